//! Messages of every size and shape, with our own kind and with tokio-tungstenite.

use crate::oracle::{self, Listener};
use crate::raw::{BINARY, FIN, MORE, Raw, TEXT, aside, heard};
use crate::toy::{
    CHUNK_BYTES, Config, LIMIT, Parrot, Toy, check, connect, drain, message, network, run, tell_all, until,
    until_connected,
};
use bytes::Bytes;
use futures_util::SinkExt;
use polypeer_driver::{Handle, View, start};
use polypeer_engine::DisconnectCause;
use std::time::Duration;
use tokio_tungstenite::tungstenite::Message;

/// Where the length of a frame takes another form, and some on both sides of the buffers' sizes.
const SIZES: [usize; 14] = [0, 1, 7, 123, 124, 125, 126, 4094, 4095, 65_533, 65_534, 65_535, 262_144, 3_000_000];

// Two of ours, the first one dialled.
async fn pair(config: Config) -> (Handle<Toy>, Handle<Toy>) {
    let (listener, dialler) = (run(config.clone()), run(config));
    connect(&dialler, listener.listening().expect("it listens")).await;
    until_connected(&listener, 1).await;
    until_connected(&dialler, 1).await;
    for node in [&listener, &dialler] {
        tell_all(node, b'H', b"").await;
    }
    for node in [&listener, &dialler] {
        until(node, "greeted", |view| view.meters.totals().all.frames_received == 1).await;
    }
    (listener, dialler)
}

#[tokio::test]
async fn two_of_ours_talk_each_way() {
    let (listener, dialler) = pair(Config { needs_greeting: true, ..Config::default() }).await;
    tell_all(&listener, b'.', &[3; 100_000]).await;
    until(&dialler, "it came", |view| view.engine.protocol().last == message(b'.', &[3; 100_000])).await;
    tell_all(&dialler, b'.', &[4; 100_000]).await;
    until(&listener, "it came", |view| view.engine.protocol().last == message(b'.', &[4; 100_000])).await;
    for node in [listener, dialler] {
        node.read(check).await.expect("it runs");
        drain(node).await;
    }
}

#[tokio::test]
async fn messages_of_every_size_arrive_whole_each_way() {
    let node = run(Config { needs_greeting: true, ..Config::default() });
    let listener = Listener::new().await;
    let mut dialled = oracle::open(node.listening().expect("it listens")).await.expect("a WebSocket");
    connect(&node, listener.address()).await;
    let mut accepted = listener.accept().await;
    until_connected(&node, 2).await;
    for talk in [&mut dialled, &mut accepted] {
        talk.ask(b'h', b"").await;
        for size in SIZES {
            let payload: Bytes = (0..size).map(|at| (at % 251) as u8).collect();
            let (letter, came) = talk.ask(b'e', &payload).await;
            assert!(letter == b'e' && came == payload, "{size} bytes");
        }
        // All at once, so that frames stand beside one another and across the ends of buffers.
        for size in SIZES {
            talk.send(b'e', &vec![size as u8; size]).await;
        }
        for size in SIZES {
            assert_eq!(talk.next().await, (b'e', Bytes::from(vec![size as u8; size])));
        }
    }
    node.read(check).await.expect("it runs");
    drop((dialled, accepted));
    drain(node).await;
}

#[tokio::test]
async fn an_empty_message_is_one() {
    let node = run(Config::default());
    let mut talk = oracle::open(node.listening().expect("it listens")).await.expect("a WebSocket");
    for message in [Message::Binary(Bytes::new()), Message::text("")] {
        talk.0.send(message).await.expect("the node reads");
    }
    until(&node, "both came", |view| view.engine.protocol().quiet == 2).await;
    assert_eq!(node.read(|view| view.engine.protocol().last.clone()).await, Ok(Bytes::from_static(b"\x82\0")));
    assert_eq!(talk.ask(b'e', b"").await, (b'e', Bytes::new()));
    drop(talk);
    drain(node).await;
}

#[tokio::test]
async fn text_is_heard_like_anything() {
    let node = run(Config::default());
    let mut talk = oracle::open(node.listening().expect("it listens")).await.expect("a WebSocket");
    talk.0.send(Message::text("e grüße")).await.expect("the node reads");
    assert_eq!(talk.next().await, (b'e', Bytes::from(" grüße")));
    drop(talk);
    drain(node).await;
}

#[tokio::test]
async fn fragments_are_put_together_each_way() {
    let node = run(Config { needs_greeting: true, ..Config::default() });
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let (address, theirs) = (node.listening().expect("it listens"), listener.local_addr().expect("a socket"));
    let accepting = tokio::task::spawn_blocking(move || Raw::accept(&listener));
    connect(&node, theirs).await;
    let accepted = accepting.await.expect("it dials");
    let dialled = aside(move || Raw::open(address)).await;
    for mut raw in [dialled, accepted] {
        aside(move || {
            raw.ask(b'h', b"");
            let large = vec![5; 300_000];
            let grown = vec![&b"e"[..], &large[..1], &large[1..1000], b"", &large[1000..]];
            let halves_of_a_letter = vec![&b"e gr\xc3"[..], b"\xbc\xc3", b"\x9fe"];
            let cases = [
                (BINARY, vec![&b"e"[..], b"abc", b"", b"def"]),
                (BINARY, vec![b"", b"", b"e", b""]),
                (TEXT, halves_of_a_letter),
                (TEXT, vec![b"e whole"]),
                (BINARY, grown),
            ];
            for (kind, parts) in cases {
                let last = parts.len() - 1;
                for (number, part) in parts.iter().enumerate() {
                    let first = (if number == 0 { kind } else { MORE }) | if number == last { FIN } else { 0 };
                    raw.send_frame(first, part);
                }
                // And one whole behind it at once.
                raw.message(b'e', b"next");
                raw.expect(b'e', &parts.concat()[1..]);
                raw.expect(b'e', b"next");
            }
        })
        .await;
    }
    node.read(check).await.expect("it runs");
    drain(node).await;
}

#[tokio::test]
async fn a_stream_is_cut_alike_wherever_it_is_split() {
    let node = run(Config::default());
    let address = node.listening().expect("it listens");
    let heard_of = aside(move || {
        let mut raw = Raw::open(address);
        let frames = [
            raw.frame(FIN | BINARY, b"e one"),
            raw.frame(BINARY, b"e t"),
            raw.frame(FIN | MORE, b"wo"),
            raw.frame(FIN | BINARY, &[b'e'; 300]),
        ]
        .concat();
        for at in 0..frames.len() {
            let (front, back) = frames.split_at(at);
            raw.send(front);
            std::thread::sleep(Duration::from_millis(1));
            raw.send(back);
            raw.expect(b'e', b" one");
            raw.expect(b'e', b" two");
            raw.expect(b'e', &[b'e'; 299]);
        }
        frames.len()
    });
    let splits = heard_of.await;
    assert!(splits > 300, "{splits}");
    drain(node).await;
}

#[tokio::test]
async fn a_message_may_have_32_000_000_bytes_and_no_more() {
    const MOST: usize = 32_000_000;
    let node = run(Config { needs_greeting: true, ..Config::default() });
    let address = node.listening().expect("it listens");
    let listener = Listener::new().await;
    connect(&node, listener.address()).await;
    let mut accepted = listener.accept().await;
    let mut dialled = oracle::open(address).await.expect("a WebSocket");
    let large = vec![7; MOST - 1];
    for talk in [&mut accepted, &mut dialled] {
        talk.ask(b'h', b"").await;
        talk.send(b'.', &large).await;
    }
    until(&node, "both came", |view| view.engine.protocol().quiet == 2).await;
    // What comes back is as large.
    let (letter, came) = dialled.ask(b'e', &large).await;
    assert!(letter == b'e' && came == large);
    let (letter, came) = accepted.ask(b'e', &large).await;
    assert!(letter == b'e' && came == large);
    aside(move || {
        let body = vec![b'.'; MOST + 1];
        for cut in [0, 1, 20_000_000, MOST] {
            let mut raw = Raw::open(address);
            raw.ask(b'h', b"");
            if cut == 0 {
                raw.send_frame(FIN | BINARY, &body[..MOST]);
            } else {
                raw.send_frame(BINARY, &body[..cut]);
                raw.send_frame(FIN | MORE, &body[cut..MOST]);
            }
            raw.ask(b'e', b"unhurt");
            // One byte more, which is seen in the header.
            if cut == 0 {
                raw.send(&crate::raw::header(FIN | BINARY, MOST as u64 + 1, Some([0; 4])));
            } else {
                raw.send_frame(BINARY, &body[..cut]);
                raw.send(&crate::raw::header(FIN | MORE, (MOST + 1 - cut) as u64, Some([0; 4])));
            }
            assert_eq!(raw.receive().expect("the last word").body, b"zbye");
            assert_eq!(raw.closed(), 1009_u16.to_be_bytes());
        }
    })
    .await;
    until(&node, "told", |view| view.engine.protocol().bad == [253; 4]).await;
    drop((accepted, dialled));
    until_connected(&node, 0).await;
    drain(node).await;
}

#[tokio::test]
async fn who_is_pending_may_say_little_and_what_follows_the_greeting_counts_anew() {
    let node = run(Config { needs_greeting: true, ..Config::default() });
    let address = node.listening().expect("it listens");
    aside(move || {
        // The greeting and a large message in one go: the one decides about the other.
        let mut raw = Raw::open(address);
        let both = [raw.frame(FIN | BINARY, b"h"), raw.frame(FIN | BINARY, &[b'e'; 100_000])].concat();
        raw.send(&both);
        raw.expect(b'h', b"");
        raw.expect(b'e', &[b'e'; 99_999]);
        // Without a greeting, one whole and one in parts.
        let mut raw = Raw::open(address);
        raw.ask(b'e', &[1; 1000]);
        raw.send(&crate::raw::header(FIN | BINARY, 2049, Some([0; 4])));
        assert_eq!(raw.receive().expect("the last word").body, b"zbye");
        assert_eq!(raw.closed(), 1009_u16.to_be_bytes());
        let mut raw = Raw::open(address);
        raw.send_frame(BINARY, b"");
        raw.send_frame(MORE, &[0; 2048]);
        raw.send_frame(MORE, &[0; 1]);
        assert_eq!(raw.receive().expect("the last word").body, b"zbye");
        assert_eq!(raw.closed(), 1009_u16.to_be_bytes());
    })
    .await;
    until_connected(&node, 0).await;
    drain(node).await;
}

#[tokio::test]
async fn one_frame_reaches_all_and_a_slow_reader_holds_up_nobody() {
    let network = network(Config { queue_bytes_max: 1 << 20, needs_greeting: true, ..Config::default() });
    let budget = network.queue_budget.clone();
    let node = start(network, Parrot(Duration::ZERO), None).expect("a free port");
    let address = node.listening().expect("it listens");
    let listener = Listener::new().await;
    connect(&node, listener.address()).await;
    // Neither whom we dialled nor who dialled us reads.
    let mut slow = [listener.accept().await, oracle::open(address).await.expect("a WebSocket")];
    let mut fast = oracle::open(address).await.expect("a WebSocket");
    let mut source = oracle::open(address).await.expect("a WebSocket");
    for talk in slow.iter_mut().chain([&mut fast, &mut source]) {
        talk.ask(b'h', b"").await;
    }
    let gossip = vec![5; 50_000];
    for _ in 0..100 {
        // No more at a time than a queue has room for.
        for _ in 0..10 {
            source.send(b'b', &gossip).await;
        }
        for _ in 0..10 {
            let (letter, came) = fast.next().await;
            assert!(letter == b'b' && came == gossip);
        }
    }
    assert_eq!(fast.ask(b'e', b"unhurt").await, (b'e', Bytes::from_static(b"unhurt")));
    node.read(|view| {
        check(view);
        assert!(view.engine.protocol().gone.is_empty());
        assert!(view.meters.totals().all.frames_dropped > 1000, "{:?}", view.meters.totals().all);
    })
    .await
    .expect("it runs");
    assert!(budget.used() >= 1_800_000, "{} bytes", budget.used());
    for talk in &mut slow {
        assert_eq!(talk.next().await, (b'b', Bytes::from(vec![5; 50_000])));
    }
    drop((slow, fast, source));
    until_connected(&node, 0).await;
    assert_eq!(budget.used(), 0);
    drain(node).await;
}

#[tokio::test]
async fn who_reads_too_slowly_for_its_answers_is_closed() {
    let node = run(Config { queue_bytes_max: 1 << 20, needs_greeting: true, ..Config::default() });
    let mut talk = oracle::open(node.listening().expect("it listens")).await.expect("a WebSocket");
    talk.ask(b'h', b"").await;
    let question = Message::Binary([&b"e"[..], &[1; 100_000]].concat().into());
    while talk.0.send(question.clone()).await.is_ok() {}
    until(&node, "closed", |view| view.engine.protocol().gone == [DisconnectCause::QueueFull]).await;
    drain(node).await;
}

#[tokio::test]
async fn a_slow_ledger_slows_its_askers_and_loses_nothing() {
    let node = start(network(Config::default()), Parrot(Duration::from_millis(100)), None).expect("a free port");
    let address = node.listening().expect("it listens");
    let talk = oracle::open(address).await.expect("a WebSocket");
    let mut bystander = oracle::open(address).await.expect("a WebSocket");
    let count = 30_000_u32;
    let (mut said, mut heard) = futures_util::StreamExt::split(talk.0);
    let asking = tokio::spawn(async move {
        for number in 0..count {
            let question = [&b"a"[..], &number.to_be_bytes()].concat();
            said.feed(Message::Binary(question.into())).await.expect("it stands");
        }
        said.flush().await.expect("it stands");
        said
    });
    let mut most = 0;
    for number in 0..count {
        let came = tokio::time::timeout(LIMIT, futures_util::StreamExt::next(&mut heard)).await.expect("an answer");
        let came = came.expect("it stands").expect("it stands");
        assert_eq!(came, Message::Binary([&b"A"[..], &number.to_be_bytes()].concat().into()));
        if number % 1000 == 0 {
            most = most.max(node.read(|view| view.meters.totals().asks_waiting).await.expect("it runs"));
        }
    }
    assert!(most <= 4_096 + 1024, "{most} questions wait");
    let said = asking.await.expect("all were asked");
    assert_eq!(bystander.ask(b'e', b"").await, (b'e', Bytes::new()));
    until(&node, "all answered", |view| view.meters.totals().asks_waiting == 0).await;
    drop((said, heard, bystander));
    node.drain(LIMIT).await;
}

#[tokio::test]
async fn answers_are_made_as_the_peer_reads() {
    let (listener, dialler) = pair(Config { needs_greeting: true, ..Config::default() }).await;
    let chunks = 1000_u32;
    tell_all(&dialler, b'r', &chunks.to_be_bytes()).await;
    let mut most = 0;
    let sent = |view: &View<'_, Toy>| (view.meters.totals().all.queue_bytes, view.meters.totals().all.frames_sent);
    loop {
        let (queued, sent) = listener.read(sent).await.expect("it runs");
        most = most.max(queued);
        if sent >= u64::from(chunks) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    assert!(most <= (256 << 10) + 2 * CHUNK_BYTES as u64, "{most} bytes waited");
    until(&dialler, "all came", move |view| view.engine.protocol().quiet >= u64::from(chunks)).await;
    for node in [listener, dialler] {
        node.read(check).await.expect("it runs");
        drain(node).await;
    }
}

#[tokio::test]
async fn what_came_is_the_frame_that_a_server_would_send() {
    let node = run(Config { needs_greeting: true, ..Config::default() });
    let address = node.listening().expect("it listens");
    for payload in [&b""[..], &[1; 200], &[2; 70_000]] {
        aside(move || {
            let mut raw = Raw::open(address);
            raw.ask(b'h', b"");
            raw.message(b'.', payload);
        })
        .await;
        until(&node, "it came", move |view| view.engine.protocol().last == heard(b'.', payload)).await;
    }
    drain(node).await;
}
