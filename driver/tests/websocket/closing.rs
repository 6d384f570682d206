//! How WebSockets end, and that what was to be said last arrives.

use crate::oracle::{self, Listener};
use crate::raw::{BINARY, CLOSE, FIN, Raw, aside};
use crate::toy::{Config, Toy, connect, drain, message, run, tell_all, until, until_connected, until_gone};
use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use polypeer_driver::{Handle, View};
use polypeer_engine::{DisconnectCause, P2pAction};
use std::io::Read;
use std::net::Shutdown;
use std::time::{Duration, Instant};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;

#[tokio::test]
async fn a_last_word_arrives_and_an_empty_close_follows_it() {
    let node = run(Config::default());
    let address = node.listening().expect("it listens");
    let mut rude = oracle::open(address).await.expect("a WebSocket");
    let mut other = oracle::open(address).await.expect("a WebSocket");
    rude.send(b'l', b"").await;
    assert_eq!(rude.next().await, (b'z', Bytes::from_static(b"bye")));
    assert_eq!(rude.closed().await, None);
    assert_eq!(other.ask(b'e', b"unhurt").await, (b'e', Bytes::from_static(b"unhurt")));
    other.0.close(None).await.expect("it stands");
    while other.receive().await.is_some() {}
    until_gone(&node, &[DisconnectCause::Ours, DisconnectCause::Theirs]).await;
    drain(node).await;
}

#[tokio::test]
async fn the_last_word_arrives_though_the_peer_keeps_sending() {
    let node = run(Config { needs_greeting: true, ..Config::default() });
    for _ in 0..10 {
        let mut talk = oracle::open(node.listening().expect("it listens")).await.expect("a WebSocket");
        talk.ask(b'h', b"").await;
        talk.send(b'l', b"").await;
        let (mut to, mut from) = talk.0.split();
        let flood = tokio::spawn(async move {
            let noise = Message::Binary(Bytes::from(vec![b'.'; 60_000]));
            while to.send(noise.clone()).await.is_ok() {}
        });
        assert_eq!(from.next().await.expect("it stands").expect("it stands"), Message::binary(&b"zbye"[..]));
        assert_eq!(from.next().await.expect("a CLOSE").expect("a CLOSE"), Message::Close(None));
        while from.next().await.is_some() {}
        flood.await.expect("no panic");
        until_connected(&node, 0).await;
    }
    until_gone(&node, &[DisconnectCause::Ours; 10]).await;
    drain(node).await;
}

#[tokio::test]
async fn a_flushed_close_delivers_what_was_queued() {
    let node = run(Config::default());
    let mut talk = oracle::open(node.listening().expect("it listens")).await.expect("a WebSocket");
    for number in 0..100u8 {
        talk.send(b'e', &[number; 1000]).await;
    }
    talk.send(b'f', b"last").await;
    for number in 0..100u8 {
        assert_eq!(talk.next().await, (b'e', Bytes::from(vec![number; 1000])));
    }
    assert_eq!(talk.next().await, (b'f', Bytes::from_static(b"last")));
    assert_eq!(talk.closed().await, None);
    until_gone(&node, &[DisconnectCause::Ours]).await;
    drain(node).await;
}

#[tokio::test]
async fn a_close_is_said_back_and_an_empty_one_is_called_normal() {
    let node = run(Config::default());
    let address = node.listening().expect("it listens");
    let longest = [&1000_u16.to_be_bytes()[..], &[b'x'; 123]].concat();
    let cases: [(&[u8], &[u8]); 4] = [
        (b"", &[0x03, 0xe8]),
        (&[0x03, 0xe9], &[0x03, 0xe9]),
        (b"\x0f\xa0gr\xc3\xbc\xc3\x9fe", b"\x0f\xa0gr\xc3\xbc\xc3\x9fe"),
        (&longest, &longest),
    ];
    for (said, answered) in cases {
        let (said, answered) = (said.to_vec(), answered.to_vec());
        aside(move || {
            let mut raw = Raw::open(address);
            // What stands before it is heard and answered.
            let all = [raw.frame(FIN | BINARY, b"e before"), raw.frame(CLOSE, &said), raw.frame(FIN | BINARY, b".")];
            let begun = Instant::now();
            raw.send(&all[..2].concat());
            raw.expect(b'e', b" before");
            assert_eq!(raw.closed(), answered);
            assert!(begun.elapsed() < Duration::from_secs(1), "the end comes at once");
        })
        .await;
    }
    until_gone(&node, &[DisconnectCause::Theirs; 4]).await;
    assert_eq!(node.read(|view| view.engine.protocol().quiet).await, Ok(0));
    drain(node).await;
}

#[tokio::test]
async fn tokio_tungstenite_closes_in_order_from_either_end() {
    let node = run(Config::default());
    let listener = Listener::new().await;
    connect(&node, listener.address()).await;
    let accepted = listener.accept().await;
    let dialled = oracle::open(node.listening().expect("it listens")).await.expect("a WebSocket");
    until_connected(&node, 2).await;
    for mut talk in [accepted, dialled] {
        let said = CloseFrame { code: CloseCode::Away, reason: "enough".into() };
        talk.0.close(Some(said.clone())).await.expect("it stands");
        let mut came = Vec::new();
        while let Some(message) = talk.receive().await {
            came.push(message.expect("no error"));
        }
        assert_eq!(came, [Message::Close(Some(said))]);
    }
    until_gone(&node, &[DisconnectCause::Theirs; 2]).await;
    drain(node).await;
}

#[tokio::test]
async fn an_end_without_a_close_is_a_break() {
    let node = run(Config::default());
    let address = node.listening().expect("it listens");
    // A reset, an end, an end in the middle of a message, and of one half of the connection only.
    for (count, how) in (1..).zip(0..4) {
        let kept = aside(move || {
            let mut raw = Raw::open(address);
            raw.ask(b'e', b"");
            match how {
                0 => raw.reset(),
                1 => drop(raw),
                2 => {
                    let whole = raw.frame(FIN | BINARY, b"e cut off");
                    raw.send(&whole[..9]);
                }
                _ => {
                    raw.socket.shutdown(Shutdown::Write).expect("it stands");
                    return Some(raw);
                }
            }
            None
        });
        let kept = kept.await;
        until(&node, "broken", move |view| view.engine.protocol().gone == vec![DisconnectCause::Broken; count]).await;
        until_connected(&node, 0).await;
        drop(kept);
    }
    drain(node).await;
}

// A peer that dialled, or that was dialled.
async fn peer(node: &Handle<Toy>, has_dialled: bool) -> Raw {
    let address = node.listening().expect("it listens");
    if has_dialled {
        return aside(move || Raw::open(address)).await;
    }
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let theirs = listener.local_addr().expect("a socket");
    let accepting = tokio::task::spawn_blocking(move || Raw::accept(&listener));
    connect(node, theirs).await;
    accepting.await.expect("it dials")
}

#[tokio::test]
async fn a_socket_that_breaks_while_it_is_written_to_is_gone_too() {
    let node = run(Config { needs_greeting: true, ..Config::default() });
    for round in 0..30 {
        let mut raw = peer(&node, round % 2 == 0).await;
        raw = aside(move || {
            raw.ask(b'h', b"");
            raw.message(b'r', &[0, 0, 1, 0]);
            raw
        })
        .await;
        until(&node, "it waits", |view| view.meters.totals().all.queue_bytes > 0).await;
        if round % 3 == 0 {
            // A pong waits behind it.
            raw.send_frame(crate::raw::PING, b"");
        }
        raw.reset();
        until_connected(&node, 0).await;
    }
    assert_eq!(node.read(|view| view.meters.totals().all.queue_bytes).await, Ok(0));
    drain(node).await;
}

#[tokio::test]
async fn a_socket_that_breaks_while_only_pongs_are_written_is_gone_too() {
    let node = run(Config::default());
    for round in 0..20 {
        let mut raw = peer(&node, round % 2 == 0).await;
        until_connected(&node, 1).await;
        let pings = raw.frame(crate::raw::PING, &[7; 100]).repeat(20);
        aside(move || {
            raw.send(&pings);
            raw.reset();
        })
        .await;
        until_connected(&node, 0).await;
    }
    drain(node).await;
}

// So many have gone, and their sockets too.
async fn until_cut(node: &Handle<Toy>, count: usize) {
    let is_cut =
        move |view: &View<'_, Toy>| view.engine.protocol().gone.len() == count && view.meters.totals().connections == 0;
    until(node, "cut", is_cut).await;
}

#[tokio::test]
async fn a_peer_that_never_closes_is_cut_when_its_time_is_over() {
    let node = run(Config { linger_ms: 200, ..Config::default() });
    for count in 1..=2 {
        let mut raw = peer(&node, count == 1).await;
        let begun = Instant::now();
        raw.message(b'l', b"");
        until_cut(&node, count).await;
        let took = begun.elapsed();
        assert!(took >= Duration::from_millis(190) && took < Duration::from_secs(2), "{took:?}");
        aside(move || {
            raw.expect(b'z', b"bye");
            assert_eq!(raw.closed(), b"");
        })
        .await;
    }
    drain(node).await;
}

#[tokio::test]
async fn a_peer_that_never_reads_is_cut_when_its_time_is_over() {
    let node = run(Config { linger_ms: 200, needs_greeting: true, ..Config::default() });
    for count in 1..=2 {
        let mut raw = peer(&node, count == 1).await;
        raw = aside(move || {
            raw.ask(b'h', b"");
            raw.message(b'r', &[0, 0, 1, 0]);
            raw.message(b'l', b"");
            raw
        })
        .await;
        until_cut(&node, count).await;
        drop(raw);
    }
    until_gone(&node, &[DisconnectCause::Ours; 2]).await;
    drain(node).await;
}

#[tokio::test]
async fn what_comes_after_our_close_is_dropped_and_their_close_ends_it() {
    let node = run(Config { linger_ms: 60_000, ..Config::default() });
    let address = node.listening().expect("it listens");
    aside(move || {
        let mut raw = Raw::open(address);
        raw.message(b'l', b"");
        raw.expect(b'z', b"bye");
        assert_eq!(raw.receive().expect("a CLOSE").first, CLOSE);
        // Messages, one in fragments, pings: nobody answers.
        let parts = [raw.frame(BINARY, b".x"), raw.frame(crate::raw::PING, b"?"), raw.frame(FIN, b"y")].concat();
        raw.send(&parts.repeat(100));
        raw.message(b'e', b"too late");
        raw.send_frame(CLOSE, b"");
        let mut rest = Vec::new();
        raw.socket.read_to_end(&mut rest).expect("the end, not a reset");
        assert_eq!(rest, b"");
    })
    .await;
    until_gone(&node, &[DisconnectCause::Ours]).await;
    assert_eq!(node.read(|view| view.engine.protocol().quiet).await, Ok(0));
    drain(node).await;
}

#[tokio::test]
async fn a_close_at_once_and_one_by_the_operator_are_told_once() {
    let node = run(Config::default());
    let address = node.listening().expect("it listens");
    let mut talk = oracle::open(address).await.expect("a WebSocket");
    talk.send(b'n', b"").await;
    assert_eq!(talk.closed().await, None, "even so there is a CLOSE");
    until_gone(&node, &[DisconnectCause::Ours]).await;
    let mut other = oracle::open(address).await.expect("a WebSocket");
    other.ask(b'e', b"").await;
    let connection = node.read(|view| view.engine.state().peers.keys().next().copied()).await.expect("it runs");
    node.act(P2pAction::Disconnect { connection: connection.expect("a peer") }).await.expect("it runs");
    assert_eq!(other.next().await, (b'z', Bytes::from_static(b"bye")));
    assert_eq!(other.closed().await, None);
    until_gone(&node, &[DisconnectCause::Ours; 2]).await;
    drain(node).await;
}

#[tokio::test]
async fn what_a_peer_said_last_is_heard_though_it_takes_no_answer() {
    let node = run(Config { linger_ms: 60_000, needs_greeting: true, ..Config::default() });
    for count in 1..=2 {
        let mut raw = peer(&node, count == 1).await;
        raw = aside(move || {
            raw.ask(b'h', b"");
            raw.message(b'r', &[0, 0, 1, 0]);
            raw
        })
        .await;
        until(&node, "it waits", |view| view.meters.totals().all.queue_bytes > 0).await;
        let all = [raw.frame(FIN | BINARY, b".last"), raw.frame(CLOSE, b"")].concat();
        raw.send(&all);
        until(&node, "gone", move |view| view.engine.protocol().gone == vec![DisconnectCause::Theirs; count]).await;
        until_connected(&node, 0).await;
        drop(raw);
        let heard = node.read(|view| view.engine.protocol().last.clone()).await;
        assert_eq!(heard, Ok(message(b'.', b"last")));
    }
    drain(node).await;
}

#[tokio::test]
async fn we_say_goodbye_to_whom_we_dialled() {
    let node = run(Config::default());
    let listener = Listener::new().await;
    connect(&node, listener.address()).await;
    let mut talk = listener.accept().await;
    until_connected(&node, 1).await;
    tell_all(&node, b'.', b"before").await;
    assert_eq!(talk.next().await.0, b'.');
    let ending = tokio::spawn(drain(node));
    assert_eq!(talk.next().await, (b'z', Bytes::from_static(b"bye")));
    assert_eq!(talk.closed().await, None);
    ending.await.expect("it ends");
}

#[tokio::test]
async fn a_drain_closes_all_in_order() {
    let node = run(Config::default());
    let address = node.listening().expect("it listens");
    let mut talks = Vec::new();
    for _ in 0..20 {
        talks.push(oracle::open(address).await.expect("a WebSocket"));
    }
    until_connected(&node, 20).await;
    let ending = tokio::spawn(drain(node));
    for mut talk in talks {
        assert_eq!(talk.next().await, (b'z', Bytes::from_static(b"bye")));
        assert_eq!(talk.closed().await, None);
    }
    ending.await.expect("it ends");
}
