//! Tells how connections end, and that what was to be said last arrives.

mod support;

use polypeer_engine::{DisconnectCause, P2pAction};
use std::time::{Duration, Instant};
use support::{Client, Config, FAREWELL, LIMIT, check_conservation, frame, run, until};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

#[tokio::test]
async fn the_last_frame_arrives_though_the_peer_keeps_sending() {
    let node = run(Config { linger_ms: 3000, ..Config::default() });
    for _ in 0..20 {
        let mut client = Client::connect(&node).await;
        let (mut reading, mut writing) = client.0.split();
        writing.write_all(&frame(b'l', b"")).await.unwrap();
        let mut said = Vec::new();
        let flood = async {
            let noise = vec![b'.'; 64 << 10];
            // Ends when the node has closed; a node that closed too early would reset the connection.
            while writing.write_all(&noise).await.is_ok() {
                tokio::task::yield_now().await;
            }
        };
        tokio::select! {
            read = reading.read_to_end(&mut said) => { read.expect("closed in order, not reset"); }
            () = flood => {}
        }
        assert_eq!(said, FAREWELL);
    }
    drop_and_count(&node, 20).await;
    node.drain(LIMIT).await;
}

async fn drop_and_count(node: &polypeer_driver::Handle<support::Echo>, count: usize) {
    until(node, "every end is told once", move |view| {
        let gone = &view.engine.protocol().gone;
        let mut ids: Vec<_> = gone.iter().map(|(id, _)| *id).collect();
        ids.dedup();
        assert!(ids.len() == gone.len() && gone.len() <= count);
        gone.len() == count && view.meters.totals().connections == 0
    })
    .await;
}

#[tokio::test]
async fn a_peer_that_never_closes_is_cut_when_its_time_is_over() {
    let node = run(Config { linger_ms: 200, ..Config::default() });
    let mut client = Client::connect(&node).await;
    let begun = Instant::now();
    client.send(b'l', b"").await;
    assert_eq!(client.receive().await, Some((b'z', b"bye".to_vec())));
    until(&node, "cut", |view| view.meters.totals().connections == 0).await;
    let took = begun.elapsed();
    assert!(took >= Duration::from_millis(190) && took < Duration::from_secs(2), "{took:?}");
    node.drain(LIMIT).await;
}

#[tokio::test]
async fn a_peer_that_never_reads_is_cut_when_its_time_is_over() {
    let node = run(Config { linger_ms: 200, ..Config::default() });
    let mut client = Client::connect(&node).await;
    // More than both sockets hold, then the close.
    client.send(b'r', &[0, 0, 1, 0]).await;
    for _ in 0..64 {
        client.send(b'e', &[7; 900]).await;
    }
    client.send(b'l', b"").await;
    until(&node, "cut", |view| view.meters.totals().connections == 0 && view.meters.totals().accepted == 1).await;
    node.read(check_conservation).await.unwrap();
    node.drain(LIMIT).await;
}

#[tokio::test]
async fn a_flushed_close_delivers_what_was_queued() {
    let node = run(Config::default());
    let mut client = Client::connect(&node).await;
    for number in 0..100u8 {
        client.send(b'e', &[number; 1000]).await;
    }
    client.send(b'f', b"last").await;
    for number in 0..100u8 {
        assert_eq!(client.receive().await, Some((b'e', vec![number; 1000])));
    }
    assert_eq!(client.receive().await, Some((b'f', b"last".to_vec())));
    assert_eq!(client.receive().await, None);
    drop_and_count(&node, 1).await;
    node.drain(LIMIT).await;
}

#[tokio::test]
async fn a_peer_that_half_closes_gets_the_answers_to_what_it_sent() {
    let node = run(Config::default());
    let mut client = Client::connect(&node).await;
    for number in 0..50u8 {
        client.send(b'e', &[number; 500]).await;
    }
    client.0.shutdown().await.unwrap();
    for number in 0..50u8 {
        assert_eq!(client.receive().await, Some((b'e', vec![number; 500])));
    }
    assert_eq!(client.receive().await, None);
    until(&node, "theirs", |view| matches!(view.engine.protocol().gone[..], [(_, DisconnectCause::Theirs)])).await;
    node.drain(LIMIT).await;
}

#[tokio::test]
async fn a_reset_is_told_as_broken() {
    let node = run(Config::default());
    let mut client = Client::connect(&node).await;
    client.ask(b'e', b"").await;
    client.0.set_zero_linger().unwrap();
    drop(client);
    until(&node, "broken", |view| matches!(view.engine.protocol().gone[..], [(_, DisconnectCause::Broken)])).await;
    node.drain(LIMIT).await;
}

#[tokio::test]
async fn a_close_at_once_and_one_by_the_operator_are_told_once() {
    let node = run(Config::default());
    let mut client = Client::connect(&node).await;
    client.send(b'n', b"").await;
    assert_eq!(client.receive().await, None);
    let mut other = Client::connect(&node).await;
    other.ask(b'e', b"").await;
    let connection = node.read(|view| *view.engine.state().peers.keys().next().unwrap()).await.unwrap();
    node.act(P2pAction::Disconnect { connection }).await.unwrap();
    assert_eq!(other.receive().await, Some((b'z', b"bye".to_vec())));
    assert_eq!(other.receive().await, None);
    drop(other);
    drop_and_count(&node, 2).await;
    node.drain(LIMIT).await;
}

#[tokio::test]
async fn unreadable_bytes_get_a_last_word_and_nothing_after_them_is_heard() {
    let node = run(Config::default());
    let mut client = Client::connect(&node).await;
    let mut bytes = frame(b'.', b"heard").to_vec();
    bytes.extend_from_slice(&u32::MAX.to_be_bytes());
    bytes.extend_from_slice(&frame(b'.', b"not heard"));
    client.0.write_all(&bytes).await.unwrap();
    let mut said = Vec::new();
    client.0.read_to_end(&mut said).await.unwrap();
    assert_eq!(said, FAREWELL);
    drop(client);
    drop_and_count(&node, 1).await;
    let (quiet, bad) =
        node.read(|view| (view.engine.protocol().quiet, view.meters.totals().all.bad_frames)).await.unwrap();
    assert_eq!((quiet, bad), (1, 1));
    node.drain(LIMIT).await;
}

#[tokio::test]
async fn bytes_that_are_skipped_do_not_end_the_connection() {
    let node = run(Config::default());
    let mut client = Client::connect(&node).await;
    client.0.write_all(&[0; 4]).await.unwrap();
    assert_eq!(client.receive().await, Some((b'?', vec![1])));
    assert_eq!(client.ask(b'e', b"still here").await, Some((b'e', b"still here".to_vec())));
    node.drain(LIMIT).await;
}

#[tokio::test]
async fn the_early_limit_holds_until_the_greeting_and_the_late_one_right_after() {
    let node = run(Config { needs_greeting: true, ..Config::default() });
    let long = vec![1; support::EARLY_BYTES_MAX + 1];
    let mut client = Client::connect(&node).await;
    client.send(b'e', &long).await;
    assert_eq!(client.receive().await, Some((b'z', b"bye".to_vec())));
    // In one piece: the greeting's effect must be carried out before the next frame is cut.
    let mut client = Client::connect(&node).await;
    let mut bytes = frame(b'h', b"").to_vec();
    bytes.extend_from_slice(&frame(b'e', &long));
    client.0.write_all(&bytes).await.unwrap();
    assert_eq!(client.receive().await, Some((b'h', Vec::new())));
    assert_eq!(client.receive().await, Some((b'e', long)));
    node.drain(LIMIT).await;
}
