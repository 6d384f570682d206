//! Tells what a node does for well-behaved peers over real sockets.

mod support;

use bytes::Bytes;
use polypeer_driver::State;
use polypeer_engine::{Address, P2pAction};
use support::{Client, Config, LIMIT, check_conservation, frame, run, until};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

#[tokio::test]
async fn a_frame_comes_back_as_it_was_sent() {
    let node = run(Config::default());
    let mut client = Client::connect(&node).await;
    assert_eq!(client.ask(b'e', b"hello").await, Some((b'e', b"hello".to_vec())));
    until(&node, "both counted", |view| {
        check_conservation(view);
        let all = &view.meters.totals().all;
        (all.frames_received, all.frames_sent, all.bytes_received, all.bytes_sent) == (1, 1, 10, 10)
    })
    .await;
    node.drain(LIMIT).await;
    assert_eq!(node.state(), State::Stopped);
}

#[tokio::test]
async fn frames_come_whole_when_bytes_come_one_at_a_time() {
    let node = run(Config { needs_greeting: true, ..Config::default() });
    let mut client = Client::connect(&node).await;
    for (letter, payload) in [(b'h', &b""[..]), (b'e', b"drop by drop"), (b'e', b"x")] {
        for byte in frame(letter, payload) {
            client.0.write_all(&[byte]).await.unwrap();
            tokio::task::yield_now().await;
        }
        assert_eq!(client.receive().await, Some((letter, payload.to_vec())));
    }
    node.drain(LIMIT).await;
}

#[tokio::test]
async fn frames_in_the_making_do_not_mix_with_those_of_others() {
    let node = run(Config::default());
    // Short ones, and one that is read on in a buffer of its own.
    let frames: Vec<_> = [300, 600, 900, 100_000].map(|size| frame(b'e', &vec![size as u8; size])).into();
    let (mut clients, mut came) = (Vec::new(), 0);
    for _ in &frames {
        let mut client = Client::connect(&node).await;
        client.ask(b'h', b"").await;
        came += frame(b'h', b"").len() as u64;
        clients.push(client);
    }
    for part in 0..10 {
        for (client, whole) in clients.iter_mut().zip(&frames) {
            let piece = &whole[part * whole.len() / 10..(part + 1) * whole.len() / 10];
            client.0.write_all(piece).await.unwrap();
            came += piece.len() as u64;
            until(&node, "it came", move |view| view.meters.totals().all.bytes_received == came).await;
        }
    }
    for (client, whole) in clients.iter_mut().zip(&frames) {
        let mut back = vec![0; whole.len()];
        client.0.read_exact(&mut back).await.unwrap();
        assert!(back == *whole);
    }
    node.read(check_conservation).await.unwrap();
    node.drain(LIMIT).await;
}

#[tokio::test]
async fn many_frames_in_one_piece_are_all_answered_in_order() {
    let node = run(Config::default());
    let mut client = Client::connect(&node).await;
    let count = 20_000u32;
    let mut piece = Vec::new();
    for number in 0..count {
        piece.extend_from_slice(&frame(b'e', &number.to_be_bytes()));
    }
    let (mut reading, mut writing) = client.0.split();
    let write = async { writing.write_all(&piece).await.unwrap() };
    let read = async {
        let mut back = vec![0; piece.len()];
        reading.read_exact(&mut back).await.unwrap();
        back
    };
    let ((), back) = tokio::join!(write, read);
    assert!(back == piece);
    node.read(check_conservation).await.unwrap();
    node.drain(LIMIT).await;
}

#[tokio::test]
async fn frames_of_every_size_pass() {
    let node = run(Config { needs_greeting: true, ..Config::default() });
    let mut client = Client::connect(&node).await;
    client.ask(b'h', b"").await;
    for size in [1, 4091, 4092, 8 << 10, 65_531, 65_532, 65_533, 200_000, 1 << 20, (8 << 20) + 7] {
        let payload: Vec<u8> = (0..size).map(|at| (at * 31 + size) as u8).collect();
        let (mut reading, mut writing) = client.0.split();
        let sent = frame(b'e', &payload);
        let mut back = vec![0; sent.len()];
        let (wrote, read) = tokio::join!(writing.write_all(&sent), reading.read_exact(&mut back));
        wrote.unwrap();
        read.unwrap();
        assert!(back == sent, "a frame of {size} bytes");
    }
    node.drain(LIMIT).await;
}

#[tokio::test]
async fn a_broadcast_reaches_everyone_else() {
    let node = run(Config { needs_greeting: true, ..Config::default() });
    let mut clients = Vec::new();
    for _ in 0..8 {
        let mut client = Client::connect(&node).await;
        client.ask(b'h', b"").await;
        clients.push(client);
    }
    for size in [10, 10_000, 100_000] {
        let payload = vec![7; size];
        clients[0].send(b'b', &payload).await;
        for client in &mut clients[1..] {
            assert_eq!(client.receive().await, Some((b'b', payload.clone())));
        }
    }
    let action = P2pAction::BroadcastMessage { kind: u16::from(b'B'), payload: Bytes::from_static(b"from the host") };
    node.act(action).await.unwrap();
    for client in &mut clients {
        assert_eq!(client.receive().await, Some((b'B', b"from the host".to_vec())));
    }
    node.drain(LIMIT).await;
}

#[tokio::test]
async fn nodes_dial_each_other_and_a_failed_dial_is_told() {
    let (node, other) = (run(Config::default()), run(Config::default()));
    let address = Address::from(other.listening().unwrap());
    node.act(P2pAction::Connect { address }).await.unwrap();
    until(&node, "outbound", |view| view.engine.state().peers.len() == 1).await;
    until(&other, "inbound", |view| view.engine.state().peers.len() == 1).await;
    other.drain(LIMIT).await;
    until(&node, "gone", |view| view.engine.state().peers.is_empty()).await;
    node.act(P2pAction::Connect { address }).await.unwrap();
    until(&node, "refused", |view| view.meters.totals().dial_failures >= 1).await;
    node.drain(LIMIT).await;
}
