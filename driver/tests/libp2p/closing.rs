//! How channels and connections end.

use crate::raw::{DATA, FIN, RST, Raw, aside, data, frame};
use crate::toy::{
    CHUNK_BYTES, Config, TALK, Told, Toy, drain, frame as toy_frame, run, until, until_channels, until_connected,
    until_gone,
};
use polypeer_driver::Handle;
use polypeer_engine::{ChannelEnd, DisconnectCause, P2pAction};
use std::time::Instant;

// What a peer does on a stream, and what it and the node make of it.
async fn with_a_stream<T: Send + 'static>(node: &Handle<Toy>, does: impl FnOnce(Raw) -> T + Send + 'static) -> T {
    let address = node.listening().expect("it listens");
    aside(move || {
        let mut raw = Raw::connect(address);
        raw.open(1);
        does(raw)
    })
    .await
}

#[tokio::test]
async fn a_channel_that_we_finish_still_brings_what_the_peer_sends() {
    let node = run(1, Config::default());
    let mut raw = with_a_stream(&node, |mut raw| {
        raw.tell(1, b'F', b"the last");
        assert_eq!(raw.told(1), Some((b'F', b"the last".to_vec())));
        let end = raw.receive().expect("the end of its half");
        assert_eq!((end.kind, end.flags, end.stream), (DATA, FIN, 1));
        raw.tell(1, b'.', b"the other half");
        raw
    })
    .await;
    until(&node, "heard", |view| view.engine.protocol().last == toy_frame(b'.', b"the other half")).await;
    aside(move || {
        raw.say(&frame(DATA, FIN, 1, 0, b""));
        raw.open(3);
        raw.ask(3, b"the connection stands");
    })
    .await;
    let finished = Told::Closed(ChannelEnd::Finished);
    until(&node, "told", move |view| view.engine.protocol().told.contains(&finished)).await;
    drain(node).await;
}

#[tokio::test]
async fn a_channel_that_the_peer_finishes_can_be_written_to() {
    let node = run(1, Config::default());
    with_a_stream(&node, |mut raw| {
        // What is said before its end counts, and is answered behind it.
        raw.say(&data(FIN, 1, &[toy_frame(b'e', b"one"), toy_frame(b'e', b"two")].concat()));
        assert_eq!(raw.told(1), Some((b'e', b"one".to_vec())));
        assert_eq!(raw.told(1), Some((b'e', b"two".to_vec())));
    })
    .await;
    until(&node, "told", |view| view.engine.protocol().told[1..] == [Told::Closed(ChannelEnd::Finished)]).await;
    drain(node).await;
}

#[tokio::test]
async fn a_frame_that_is_never_whole_is_discarded_with_its_channel() {
    let node = run(1, Config::default());
    let raw = with_a_stream(&node, |mut raw| {
        raw.say(&data(FIN, 1, b"\0\0\0\x09half"));
        raw
    })
    .await;
    until(&node, "told", |view| view.engine.protocol().told[1..] == [Told::Closed(ChannelEnd::Finished)]).await;
    until(&node, "discarded", |view| view.meters.totals().all.bytes_discarded == 8).await;
    drop(raw);
    drain(node).await;
}

#[tokio::test]
async fn channels_broken_off_by_either_side_end_alone() {
    let node = run(1, Config::default());
    let raw = with_a_stream(&node, |mut raw| {
        raw.open(3);
        // Frames behind the one that has the channel broken off reach nobody.
        raw.say(&data(0, 3, &[toy_frame(b'R', b""), toy_frame(b'.', b"late"), toy_frame(b'e', b"late")].concat()));
        let end = raw.receive().expect("its end");
        assert_eq!((end.kind, end.flags & RST, end.stream), (DATA, RST, 3));
        raw.open(5);
        raw.say(&frame(DATA, RST, 5, 0, b""));
        raw.ask(1, b"unhurt");
        raw
    })
    .await;
    until(&node, "told", |view| view.engine.protocol().told.last() == Some(&Told::Closed(ChannelEnd::Reset))).await;
    assert_eq!(node.read(|view| view.engine.protocol().quiet).await, Ok(0));
    until_channels(&node, 1).await;
    drop(raw);
    drain(node).await;
}

#[tokio::test]
async fn bytes_that_cannot_be_read_on_end_their_channel() {
    let node = run(1, Config::default());
    let raw = with_a_stream(&node, |mut raw| {
        raw.open(3);
        raw.say(&data(0, 3, b"\0\0\0\0\xff\xff\xff\xffgarbage"));
        let end = raw.receive().expect("its end");
        assert_eq!((end.flags & RST, end.stream), (RST, 3));
        raw.ask(1, b"unhurt");
        raw
    })
    .await;
    let bad = node.read(|view| view.engine.protocol().bad.iter().map(|bad| bad.1).collect::<Vec<_>>()).await;
    assert_eq!(bad, Ok(vec![2, 1]), "one was skipped, one was fatal");
    drop(raw);
    drain(node).await;
}

#[tokio::test]
async fn what_is_queued_is_sent_before_a_flushed_end() {
    let node = run(1, Config::default());
    with_a_stream(&node, |mut raw| {
        let large = vec![5; 150_000];
        raw.open(3);
        raw.say(&[data(0, 3, &toy_frame(b'e', &large)), data(0, 1, &toy_frame(b'f', b"bye"))].concat());
        assert!(raw.told(3) == Some((b'e', large)), "all of it");
        assert_eq!(raw.told(1), Some((b'f', b"bye".to_vec())));
        assert!(raw.closed(), "in order");
    })
    .await;
    until_gone(&node, &[DisconnectCause::Ours]).await;
    drain(node).await;
}

#[tokio::test]
async fn an_end_at_once_and_one_for_a_fault() {
    for letter in [b'n', b'l'] {
        let node = run(1, Config::default());
        with_a_stream(&node, move |mut raw| {
            raw.tell(1, letter, b"");
            raw.closed();
        })
        .await;
        until_gone(&node, &[DisconnectCause::Ours]).await;
        drain(node).await;
    }
}

#[tokio::test]
async fn who_is_let_go_hears_it_and_may_take_its_time() {
    let node = run(1, Config { linger_ms: 500, ..Config::default() });
    let raw = with_a_stream(&node, |raw| raw).await;
    let connection = node.read(|view| view.engine.state().peers.keys().next().copied()).await.expect("it runs");
    let connection = connection.expect("a peer");
    let begun = Instant::now();
    node.act(P2pAction::Disconnect { connection }).await.expect("it runs");
    aside(move || {
        let mut raw = raw;
        assert!(raw.closed(), "in order");
        // It does not close, and goes on.
        while raw.try_say(&data(0, 1, &[7; 1000])).is_ok() {
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
    })
    .await;
    assert!(begun.elapsed().as_secs() < 10);
    until_gone(&node, &[DisconnectCause::Ours]).await;
    drain(node).await;
}

#[tokio::test]
async fn a_peer_that_vanishes_is_broken_and_one_that_closes_is_not() {
    let node = run(1, Config::default());
    with_a_stream(&node, |raw| raw.reset()).await;
    until_gone(&node, &[DisconnectCause::Broken]).await;
    with_a_stream(&node, |raw| raw.shut_down()).await;
    until_gone(&node, &[DisconnectCause::Broken, DisconnectCause::Theirs]).await;
    // In the middle of a frame.
    with_a_stream(&node, |mut raw| {
        raw.say(&[0, 0, 0]);
        raw.shut_down();
        raw.closed();
    })
    .await;
    until_gone(&node, &[DisconnectCause::Broken, DisconnectCause::Theirs, DisconnectCause::Broken]).await;
    drain(node).await;
}

#[tokio::test]
async fn who_does_not_read_what_it_must_get_is_closed() {
    let node = run(1, Config { queue_bytes_max: 1 << 20, linger_ms: 200, ..Config::default() });
    let raw = with_a_stream(&node, |mut raw| {
        let large = vec![5; 100_000];
        for _ in 0..40 {
            if raw.try_say(&data(0, 1, &toy_frame(b'e', &large))).is_err() {
                break;
            }
        }
        raw
    })
    .await;
    until(&node, "closed", |view| view.engine.protocol().gone == [DisconnectCause::QueueFull]).await;
    drop(raw);
    until_connected(&node, 0).await;
    drain(node).await;
}

#[tokio::test]
async fn a_drain_in_the_middle_of_everything_leaves_nothing_on_its_way() {
    let node = run(1, Config { linger_ms: 200, ..Config::default() });
    let raw = with_a_stream(&node, |mut raw| {
        raw.tell(1, b'r', &1000_u32.to_be_bytes());
        raw.tell(1, b'o', &[TALK as u8]);
        raw.say(&data(0, 1, &toy_frame(b'e', &[1; CHUNK_BYTES])[..1000]));
        raw
    })
    .await;
    until(&node, "busy", |view| view.meters.totals().all.queue_bytes > 0).await;
    drain(node).await;
    drop(raw);
}
