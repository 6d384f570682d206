//! How calls end, and that what was to be said last arrives.

use crate::oracle::{self, GZIP, Listener, PLAIN};
use crate::raw::{CANCEL, DATA, END_STREAM, GOAWAY, INTERNAL_ERROR, RST_STREAM, Raw, frame};
use crate::toy::{Config, connect, drain, message, run, tell_all, until, until_connected, until_gone};
use bytes::Bytes;
use polypeer_engine::{DisconnectCause, P2pAction};
use std::time::{Duration, Instant};

#[tokio::test]
async fn a_last_word_arrives_and_the_call_ends_in_order() {
    let node = run(Config::default());
    let (mut call, _) = oracle::call(node.listening().expect("it listens"), GZIP).await.expect("a call");
    call.send(b'.', b"").await;
    // What tonic sends compressed is only said back; a plain client can be rude.
    let (mut rude, _) = oracle::call(node.listening().expect("it listens"), PLAIN).await.expect("a call");
    rude.send(b'l', b"").await;
    assert_eq!(rude.next().await, (b'z', Bytes::from_static(b"bye")));
    assert_eq!(rude.receive().await.expect("status 0"), None);
    assert_eq!(call.next().await.0, b'.', "the other is unhurt");
    drop((rude, call));
    until_gone(&node, &[DisconnectCause::Ours, DisconnectCause::Theirs]).await;
    drain(node).await;
}

#[tokio::test]
async fn the_last_word_arrives_though_the_peer_keeps_sending() {
    let node = run(Config { needs_greeting: true, ..Config::default() });
    for _ in 0..10 {
        let (mut call, _) = oracle::call(node.listening().expect("it listens"), PLAIN).await.expect("a call");
        call.ask(b'h', b"").await;
        let to = call.to.clone();
        call.send(b'l', b"").await;
        let flood = tokio::spawn(async move {
            let noise = Bytes::from(vec![b'.'; 60_000]);
            while to.send(noise.clone()).await.is_ok() {}
        });
        assert_eq!(call.next().await, (b'z', Bytes::from_static(b"bye")));
        assert_eq!(call.receive().await.expect("status 0"), None);
        flood.abort();
        let from = call.half_close();
        until_connected(&node, 0).await;
        drop(from);
    }
    until_gone(&node, &[DisconnectCause::Ours; 10]).await;
    drain(node).await;
}

#[tokio::test]
async fn a_flushed_close_delivers_what_was_queued() {
    let node = run(Config::default());
    let (mut call, _) = oracle::call(node.listening().expect("it listens"), PLAIN).await.expect("a call");
    for number in 0..100u8 {
        call.send(b'e', &[number; 1000]).await;
    }
    call.send(b'f', b"last").await;
    for number in 0..100u8 {
        assert_eq!(call.next().await, (b'e', Bytes::from(vec![number; 1000])));
    }
    assert_eq!(call.next().await, (b'f', Bytes::from_static(b"last")));
    assert_eq!(call.receive().await.expect("status 0"), None);
    until_gone(&node, &[DisconnectCause::Ours]).await;
    drain(node).await;
}

#[tokio::test]
async fn a_peer_that_half_closes_gets_the_answers_to_what_it_sent() {
    let node = run(Config::default());
    let (call, _) = oracle::call(node.listening().expect("it listens"), PLAIN).await.expect("a call");
    for number in 0..50u8 {
        call.send(b'e', &[number; 500]).await;
    }
    let mut from = call.half_close();
    for number in 0..50u8 {
        let message = from.message().await.expect("the call stands").expect("a message");
        assert_eq!(message[1..], [number; 500]);
    }
    assert_eq!(from.message().await.expect("status 0"), None);
    until_gone(&node, &[DisconnectCause::Theirs]).await;
    drain(node).await;
}

#[tokio::test]
async fn a_call_that_is_cancelled_was_ended_by_the_peer() {
    let node = run(Config::default());
    let address = node.listening().expect("it listens");
    let mut raw = tokio::task::spawn_blocking(move || Raw::call(address)).await.expect("a call");
    raw.send(&frame(RST_STREAM, 0, 1, &CANCEL.to_be_bytes()));
    until_gone(&node, &[DisconnectCause::Theirs]).await;
    let mut raw = tokio::task::spawn_blocking(move || Raw::call(address)).await.expect("a call");
    raw.send(&frame(RST_STREAM, 0, 1, &INTERNAL_ERROR.to_be_bytes()));
    until_gone(&node, &[DisconnectCause::Theirs, DisconnectCause::Broken]).await;
    drop(raw);
    drain(node).await;
}

#[tokio::test]
async fn a_socket_that_breaks_is_told_as_broken() {
    let node = run(Config::default());
    let address = node.listening().expect("it listens");
    let gone = [DisconnectCause::Broken; 2];
    // A reset of the socket, and an end of it in the middle of the call.
    for (count, is_reset) in [(1, true), (2, false)] {
        let raw = tokio::task::spawn_blocking(move || Raw::call(address)).await.expect("a call");
        until_connected(&node, 1).await;
        if is_reset {
            raw.reset();
        } else {
            drop(raw);
        }
        until(&node, "broken", move |view| view.engine.protocol().gone == gone[..count]).await;
    }
    drain(node).await;
}

#[tokio::test]
async fn a_socket_that_breaks_while_it_is_written_to_is_gone_too() {
    let node = run(Config::default());
    let address = node.listening().expect("it listens");
    for _ in 0..30 {
        let mut raw = tokio::task::spawn_blocking(move || Raw::call(address)).await.expect("a call");
        // More than its window of 64 KiB, which it opens and does not wait for: what it reads is that it may write.
        raw.message(b'r', &[0, 0, 1, 0]);
        until(&node, "it waits", |view| view.meters.totals().all.queue_bytes > 0).await;
        raw.widen(1 << 20);
        raw.reset();
        until_connected(&node, 0).await;
    }
    drain(node).await;
}

#[tokio::test]
async fn a_peer_that_never_closes_is_cut_when_its_time_is_over() {
    let node = run(Config { linger_ms: 200, ..Config::default() });
    let address = node.listening().expect("it listens");
    let mut raw = tokio::task::spawn_blocking(move || Raw::call(address)).await.expect("a call");
    let begun = Instant::now();
    raw.message(b'l', b"");
    until(&node, "cut", |view| view.meters.totals().connections == 0 && view.meters.totals().accepted == 1).await;
    let took = begun.elapsed();
    assert!(took >= Duration::from_millis(190) && took < Duration::from_secs(2), "{took:?}");
    let last = tokio::task::spawn_blocking(move || raw.read_to_end()).await.expect("it reads");
    let kinds: Vec<u8> = last.iter().map(|frame| frame.kind).collect();
    assert!(kinds.contains(&GOAWAY), "a goodbye: {kinds:?}");
    drain(node).await;
}

#[tokio::test]
async fn a_peer_that_never_reads_is_cut_when_its_time_is_over() {
    let node = run(Config { linger_ms: 200, ..Config::default() });
    let address = node.listening().expect("it listens");
    let mut raw = tokio::task::spawn_blocking(move || Raw::call(address)).await.expect("a call");
    // More than its window of 64 KiB, then the close.
    raw.message(b'r', &[0, 0, 1, 0]);
    raw.message(b'l', b"");
    until(&node, "cut", |view| view.meters.totals().connections == 0 && view.meters.totals().accepted == 1).await;
    drop(raw);
    drain(node).await;
}

#[tokio::test]
async fn a_close_at_once_and_one_by_the_operator_are_told_once() {
    let node = run(Config::default());
    let (call, _) = oracle::call(node.listening().expect("it listens"), PLAIN).await.expect("a call");
    call.send(b'n', b"").await;
    until_gone(&node, &[DisconnectCause::Ours]).await;
    let (mut other, _) = oracle::call(node.listening().expect("it listens"), PLAIN).await.expect("a call");
    other.ask(b'e', b"").await;
    let connection = node.read(|view| view.engine.state().peers.keys().next().copied()).await.expect("it runs");
    node.act(P2pAction::Disconnect { connection: connection.expect("a peer") }).await.expect("it runs");
    assert_eq!(other.next().await, (b'z', Bytes::from_static(b"bye")));
    assert_eq!(other.receive().await.expect("status 0"), None);
    drop((call, other));
    until_gone(&node, &[DisconnectCause::Ours; 2]).await;
    drain(node).await;
}

#[tokio::test]
async fn a_peer_that_we_called_may_end_it_or_vanish() {
    let node = run(Config::default());
    let mut tonic = Listener::new(true).await;
    connect(&node, tonic.address).await;
    let mut call = tonic.next().await;
    until_connected(&node, 1).await;
    tell_all(&node, b'.', b"before").await;
    call.next().await;
    // The server ends the call in order: its trailers.
    drop(call.to);
    until_gone(&node, &[DisconnectCause::Theirs]).await;
    drop(call.from);
    // Another one only hangs up.
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    connect(&node, listener.local_addr().expect("a socket")).await;
    let (socket, _) = listener.accept().await.expect("it dials");
    let mut server = h2::server::handshake(socket).await.expect("HTTP/2");
    let (_, mut respond) = server.accept().await.expect("a request").expect("a request");
    let headers = http::Response::builder().header("content-type", "application/grpc").body(()).expect("headers");
    let sending = respond.send_response(headers, false).expect("it is sent");
    let serving = tokio::spawn(async move { server.accept().await.is_none() });
    until_connected(&node, 1).await;
    serving.abort();
    until_gone(&node, &[DisconnectCause::Theirs, DisconnectCause::Broken]).await;
    drop(sending);
    drain(node).await;
}

#[tokio::test]
async fn what_a_peer_said_last_is_heard_though_it_takes_no_answer() {
    let node = run(Config { linger_ms: 60_000, ..Config::default() });
    let address = node.listening().expect("it listens");
    let mut raw = tokio::task::spawn_blocking(move || Raw::call(address)).await.expect("a call");
    // More than its window of 64 KiB is on its way to it.
    raw.message(b'r', &[0, 0, 1, 0]);
    until(&node, "it waits", |view| view.meters.totals().all.queue_bytes > 0).await;
    let last = frame(DATA, END_STREAM, 1, &message(b'.', b"last"));
    raw.send(&[last, frame(RST_STREAM, 0, 1, &CANCEL.to_be_bytes())].concat());
    drop(raw);
    until_gone(&node, &[DisconnectCause::Theirs]).await;
    let heard = node.read(|view| view.engine.protocol().last.clone()).await;
    assert_eq!(heard, Ok(message(b'.', b"last")));
    drain(node).await;
}

#[tokio::test]
async fn we_say_goodbye_to_whom_we_called() {
    let node = run(Config::default());
    let mut tonic = Listener::new(true).await;
    connect(&node, tonic.address).await;
    let mut call = tonic.next().await;
    until_connected(&node, 1).await;
    tell_all(&node, b'.', b"before").await;
    assert_eq!(call.next().await.0, b'.');
    let ending = tokio::spawn(drain(node));
    assert_eq!(call.next().await, (b'z', Bytes::from_static(b"bye")));
    assert_eq!(call.receive().await.expect("the end, not a reset"), None);
    drop(call);
    ending.await.expect("it ends");
}
