//! Messages both ways.

use crate::oracle::{self, GZIP, Listener, PLAIN};
use crate::toy::{
    CHUNK_BYTES, Config, Parrot, check, connect, drain, message, network, run, tell_all, until, until_connected,
};
use crate::toy::{LIMIT, Toy};
use bytes::Bytes;
use polypeer_driver::{Handle, start};
use polypeer_engine::DisconnectCause;
use std::io::Read;
use std::time::Duration;

// Two of ours, the second of which dialled.
async fn pair(config: Config) -> (Handle<Toy>, Handle<Toy>) {
    let (listener, dialler) = (run(config.clone()), run(config));
    connect(&dialler, listener.listening().expect("it listens")).await;
    until_connected(&dialler, 1).await;
    until_connected(&listener, 1).await;
    (listener, dialler)
}

#[tokio::test]
async fn two_of_ours_talk_and_take_gzip() {
    let (listener, dialler) = pair(Config::default()).await;
    tell_all(&listener, b'.', b"from the listener").await;
    tell_all(&dialler, b'.', b"from the dialler").await;
    let heard =
        |text: &'static [u8]| move |view: &polypeer_driver::View<'_, Toy>| view.engine.protocol().last.ends_with(text);
    until(&dialler, "heard", heard(b"from the listener")).await;
    until(&listener, "heard", heard(b"from the dialler")).await;
    for node in [listener, dialler] {
        let takes = |view: &polypeer_driver::View<'_, Toy>| {
            view.engine.state().peers.values().all(|peer| peer.ends.takes_compressed)
        };
        assert_eq!(node.read(takes).await, Ok(true));
        node.read(check).await.expect("it runs");
        drain(node).await;
    }
}

#[tokio::test]
async fn frames_of_every_size_arrive_whole() {
    let (listener, dialler) = pair(Config { needs_greeting: true, ..Config::default() }).await;
    for node in [&dialler, &listener] {
        tell_all(node, b'h', b"").await;
    }
    let mut payload = Vec::new();
    for size in [0, 1, 4090, 16_378, 16_379, 65_530, 1 << 20, 20 << 20] {
        payload.resize(size, size as u8);
        tell_all(&dialler, b'.', &payload).await;
        let whole = message(b'.', &payload);
        until(&listener, "it came", move |view| view.engine.protocol().last == whole).await;
    }
    for node in [listener, dialler] {
        drain(node).await;
    }
}

#[tokio::test]
async fn answers_are_made_as_the_peer_reads() {
    let (listener, dialler) = pair(Config { needs_greeting: true, ..Config::default() }).await;
    for node in [&dialler, &listener] {
        tell_all(node, b'h', b"").await;
    }
    until(&dialler, "greeted", |view| view.meters.totals().all.frames_received >= 2).await;
    let chunks = 2000u32;
    tell_all(&dialler, b'r', &chunks.to_be_bytes()).await;
    let mut most = 0;
    loop {
        let (queued, sent) = listener
            .read(|view| (view.meters.totals().all.queue_bytes, view.meters.totals().all.frames_sent))
            .await
            .expect("it runs");
        most = most.max(queued);
        if sent >= u64::from(chunks) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    // Below the mark when the word came, and as much again and a chunk before the engine waits for the next.
    assert!(most <= (256 << 10) + 2 * CHUNK_BYTES as u64, "{most} bytes waited");
    until(&dialler, "all came", move |view| view.engine.protocol().quiet == u64::from(chunks)).await;
    for node in [listener, dialler] {
        node.read(check).await.expect("it runs");
        drain(node).await;
    }
}

#[tokio::test]
async fn tonic_calls_us() {
    let node = run(Config::default());
    let address = node.listening().expect("it listens");
    for style in [PLAIN, GZIP] {
        let (mut call, headers) = oracle::call(address, style).await.expect("a call");
        assert_eq!(headers.metadata().get("content-type").expect("a type"), "application/grpc");
        let encoding = headers.metadata().get("grpc-encoding").map(|encoding| encoding.as_encoded_bytes());
        assert_eq!(encoding, style.accepts.map(|_| &b"gzip"[..]));
        for payload in [&b""[..], b"short", &[7; 1000]] {
            assert_eq!(call.ask(b'e', payload).await, (b'e', Bytes::copy_from_slice(payload)));
        }
    }
    let compressed = node.read(|view| view.engine.protocol().compressed.clone()).await.expect("it runs");
    assert_eq!(compressed.len(), 3, "tonic compresses each message, even an empty one, and we hear it as it came");
    let mut plain = Vec::new();
    flate2::read::GzDecoder::new(&compressed[1][5..]).read_to_end(&mut plain).expect("gzip");
    assert_eq!((compressed[1][0], &plain[..]), (1, &b"eshort"[..]));
    until(&node, "gone", |view| view.engine.protocol().gone == [DisconnectCause::Theirs; 2]).await;
    drain(node).await;
}

#[tokio::test]
async fn whether_a_client_takes_gzip_is_in_the_ends() {
    let node = run(Config::default());
    for style in [GZIP, PLAIN] {
        let (call, _) = oracle::call(node.listening().expect("it listens"), style).await.expect("a call");
        let takes = node.read(|view| view.engine.state().peers.values().next().map(|peer| peer.ends.takes_compressed));
        assert_eq!(takes.await, Ok(Some(style.accepts.is_some())));
        drop(call);
        until_connected(&node, 0).await;
    }
    drain(node).await;
}

#[tokio::test]
async fn we_call_tonic() {
    let node = run(Config::default());
    let mut tonic = Listener::new(true).await;
    connect(&node, tonic.address).await;
    let mut call = tonic.next().await;
    until_connected(&node, 1).await;
    // Ours without compression, theirs with it.
    tell_all(&node, b'x', b"hello").await;
    assert_eq!(call.next().await, (b'x', Bytes::from_static(b"hello")));
    assert_eq!(
        call.ask(b'?', b"compressed and said back").await,
        (b'?', Bytes::from_static(b"compressed and said back"))
    );
    let flags = |view: &polypeer_driver::View<'_, Toy>| view.engine.protocol().compressed.len();
    assert_eq!(node.read(flags).await, Ok(1));
    drain(node).await;
}

#[tokio::test]
async fn a_large_answer_reaches_tonic() {
    let node = run(Config { needs_greeting: true, ..Config::default() });
    let (mut call, _) = oracle::call(node.listening().expect("it listens"), PLAIN).await.expect("a call");
    call.ask(b'h', b"").await;
    let large = vec![3; 10 << 20];
    assert_eq!(call.ask(b'e', &large).await, (b'e', Bytes::from(large)));
    call.send(b'r', &100u32.to_be_bytes()).await;
    for number in (0..100u8).rev() {
        assert_eq!(call.next().await, (b'R', Bytes::from(vec![number; CHUNK_BYTES])));
    }
    node.read(check).await.expect("it runs");
    drop(call);
    drain(node).await;
}

#[tokio::test]
async fn one_frame_reaches_all_and_a_slow_reader_holds_up_nobody() {
    let network = network(Config { queue_bytes_max: 1 << 20, needs_greeting: true, ..Config::default() });
    let budget = network.queue_budget.clone();
    let node = start(network, Parrot(Duration::ZERO), None).expect("a free port");
    let address = node.listening().expect("it listens");
    let (mut fast, _) = oracle::call(address, PLAIN).await.expect("a call");
    fast.ask(b'h', b"").await;
    let (mut slow, _) = oracle::call(address, PLAIN).await.expect("a call");
    slow.ask(b'h', b"").await;
    // The slow one reads no more: its window, the queue and what is between them fill, then gossip is dropped.
    for _ in 0..600 {
        fast.send(b'b', &[5; 50_000]).await;
    }
    until(&node, "dropped", |view| view.meters.totals().all.frames_dropped > 0).await;
    assert_eq!(fast.ask(b'e', b"unhurt").await, (b'e', Bytes::from_static(b"unhurt")));
    node.read(|view| {
        check(view);
        assert!(view.engine.protocol().gone.is_empty());
    })
    .await
    .expect("it runs");
    // What HTTP/2 holds is counted too.
    assert!(budget.used() >= 900_000, "{} bytes", budget.used());
    assert_eq!(slow.next().await, (b'b', Bytes::from(vec![5; 50_000])));
    drop((slow, fast));
    until_connected(&node, 0).await;
    assert_eq!(budget.used(), 0);
    drain(node).await;
}

#[tokio::test]
async fn who_reads_too_slowly_for_its_answers_is_closed() {
    let node = run(Config { queue_bytes_max: 1 << 20, needs_greeting: true, ..Config::default() });
    let (mut call, _) = oracle::call(node.listening().expect("it listens"), PLAIN).await.expect("a call");
    call.ask(b'h', b"").await;
    let question = Bytes::from([&b"e"[..], &[1; 100_000]].concat());
    while call.to.send(question.clone()).await.is_ok() {}
    until(&node, "closed", |view| view.engine.protocol().gone == [DisconnectCause::QueueFull]).await;
    drain(node).await;
}

#[tokio::test]
async fn a_slow_ledger_slows_its_askers_and_loses_nothing() {
    let node = start(network(Config::default()), Parrot(Duration::from_millis(100)), None).expect("a free port");
    let address = node.listening().expect("it listens");
    let (mut call, _) = oracle::call(address, PLAIN).await.expect("a call");
    let (mut bystander, _) = oracle::call(address, PLAIN).await.expect("a call");
    let (count, to) = (30_000u32, call.to.clone());
    let asking = tokio::spawn(async move {
        for number in 0..count {
            to.send([&b"a"[..], &number.to_be_bytes()].concat().into()).await.expect("the call stands");
        }
    });
    let mut most = 0;
    for number in 0..count {
        assert_eq!(call.next().await, (b'A', Bytes::copy_from_slice(&number.to_be_bytes())));
        if number % 1000 == 0 {
            most = most.max(node.read(|view| view.meters.totals().asks_waiting).await.expect("it runs"));
        }
    }
    assert!(most <= 4_096 + 1024, "{most} questions wait");
    asking.await.expect("all were asked");
    assert_eq!(bystander.ask(b'e', b"").await, (b'e', Bytes::new()));
    until(&node, "all answered", |view| view.meters.totals().asks_waiting == 0).await;
    drop((call, bystander));
    node.drain(LIMIT).await;
}
