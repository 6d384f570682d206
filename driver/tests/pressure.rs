//! Tells what slow, greedy and dripping peers get, and that nobody else notices.

mod support;

use polypeer_driver::{Budget, start};
use polypeer_engine::DisconnectCause;
use polypeer_store::Store;
use std::time::Duration;
use support::{
    CHUNK_BYTES, Client, Config, LATE_BYTES_MAX, LIMIT, Parrot, check_conservation, frame, network, run, until,
};
use tokio::io::AsyncWriteExt;

#[tokio::test]
async fn a_peer_that_reads_too_slowly_for_its_answers_is_closed() {
    let node = run(Config { queue_bytes_max: 1 << 20, needs_greeting: true, ..Config::default() });
    let mut client = Client::connect(&node).await;
    client.ask(b'h', b"").await;
    let question = frame(b'e', &vec![1; 100_000]);
    // It asks and never reads; at last the node lets go of it.
    while client.0.write_all(&question).await.is_ok() {}
    until(&node, "closed", |view| matches!(view.engine.protocol().gone[..], [(_, DisconnectCause::QueueFull)])).await;
    node.read(check_conservation).await.unwrap();
    node.drain(LIMIT).await;
}

#[tokio::test]
async fn gossip_that_finds_no_room_is_dropped_and_counted() {
    let node = run(Config { queue_bytes_max: 1 << 20, needs_greeting: true, ..Config::default() });
    let (mut slow, mut fast) = (Client::connect(&node).await, Client::connect(&node).await);
    slow.ask(b'h', b"").await;
    fast.ask(b'h', b"").await;
    for _ in 0..300 {
        fast.send(b'b', &[5; 50_000]).await;
    }
    until(&node, "dropped", |view| view.meters.totals().all.frames_dropped > 0).await;
    assert_eq!(fast.ask(b'e', b"unhurt").await, Some((b'e', b"unhurt".to_vec())));
    node.read(|view| {
        check_conservation(view);
        assert!(view.meters.totals().all.queue_bytes <= 1 << 20);
        assert!(view.engine.protocol().gone.is_empty());
    })
    .await
    .unwrap();
    // What was not dropped is whole and in order.
    assert_eq!(slow.receive().await, Some((b'b', vec![5; 50_000])));
    node.drain(LIMIT).await;
}

#[tokio::test]
async fn answers_are_made_as_the_peer_reads() {
    let node = run(Config { low_water_bytes: 256 << 10, ..Config::default() });
    let mut client = Client::connect(&node).await;
    let chunks = 1000u32;
    client.send(b'r', &chunks.to_be_bytes()).await;
    for number in (0..chunks).rev() {
        assert_eq!(client.receive().await, Some((b'R', vec![number as u8; CHUNK_BYTES])));
        if number % 100 == 0 {
            let queued = node.read(|view| view.meters.totals().all.queue_bytes).await.unwrap();
            // Below the mark when the word came, and as much again and a chunk before the engine waits for the next.
            assert!(queued <= (512 << 10) + 2 * CHUNK_BYTES as u64, "{queued} bytes wait");
        }
    }
    until(&node, "all counted", |view| view.meters.totals().all.frames_sent == 1000).await;
    node.read(check_conservation).await.unwrap();
    node.drain(LIMIT).await;
}

#[tokio::test]
async fn a_length_that_is_only_announced_costs_nothing() {
    let node = run(Config { needs_greeting: true, ..Config::default() });
    let mut client = Client::connect(&node).await;
    client.ask(b'h', b"").await;
    client.0.write_all(&(LATE_BYTES_MAX as u32).to_be_bytes()).await.unwrap();
    until(&node, "the length came", |view| view.meters.totals().all.partial_bytes == 4).await;
    node.drain(LIMIT).await;
}

#[tokio::test]
async fn memory_for_a_frame_grows_with_what_came() {
    let budget = Budget::new(1 << 30);
    let mut with_budget = network(Config { needs_greeting: true, ..Config::default() });
    with_budget.queue_budget = budget.clone();
    let node = start(with_budget, Parrot::default(), None).unwrap();
    let mut client = Client::connect(&node).await;
    client.ask(b'h', b"").await;
    let whole = frame(b'.', &vec![9; LATE_BYTES_MAX - 1]);
    let mut sent = 0;
    for size in [1, 100, 5000, 9000, 50_000, 100_000, 1_000_000, 3_000_000, 9_000_000, 15_000_000] {
        client.0.write_all(&whole[sent..sent + size]).await.unwrap();
        sent += size;
        let came = sent as u64;
        until(&node, "it came", move |view| view.meters.totals().all.partial_bytes == came).await;
        assert!(budget.used() <= 2 * sent + (64 << 10), "{} bytes held for {sent}", budget.used());
    }
    client.0.write_all(&whole[sent..]).await.unwrap();
    until(&node, "whole", |view| view.engine.protocol().quiet == 1).await;
    assert_eq!(budget.used(), 0, "nothing is held when nothing is in the making");
    node.drain(LIMIT).await;
}

#[tokio::test]
async fn whoever_holds_most_goes_when_the_budget_is_spent() {
    let budget = Budget::new(4 << 20);
    let mut with_budget = network(Config { needs_greeting: true, ..Config::default() });
    with_budget.queue_budget = budget.clone();
    let node = start(with_budget, Parrot::default(), Some(Store::in_memory().unwrap())).unwrap();
    let mut clients = Vec::new();
    // Held twice over at the most, as buffers grow, the first two leave the third enough to hold more than either.
    for bytes in [400_000, 800_000, 3_200_000] {
        let mut client = Client::connect(&node).await;
        client.ask(b'h', b"").await;
        let begun = &frame(b'e', &vec![0; 8 << 20])[..bytes];
        client.0.write_all(begun).await.unwrap();
        clients.push(client);
    }
    until(&node, "the third is closed", |view| {
        matches!(view.engine.protocol().gone[..], [(_, DisconnectCause::Budget)])
    })
    .await;
    assert!(budget.used() <= budget.limit());
    let left = node.read(|view| view.meters.totals().all.partial_bytes).await.unwrap();
    assert_eq!(left, 400_000 + 800_000, "the other two keep what they have");
    node.drain(LIMIT).await;
    assert_eq!(budget.used(), 0);
}

#[tokio::test]
async fn the_budget_is_one_over_networks() {
    let budget = Budget::new(3 << 20);
    let mut nodes = Vec::new();
    for _ in 0..2 {
        let mut with_budget = network(Config { needs_greeting: true, ..Config::default() });
        with_budget.queue_budget = budget.clone();
        nodes.push(start(with_budget, Parrot::default(), None).unwrap());
    }
    let mut clients = Vec::new();
    for node in &nodes {
        let mut client = Client::connect(node).await;
        client.ask(b'h', b"").await;
        client.0.write_all(&frame(b'e', &vec![0; 8 << 20])[..900_000]).await.unwrap();
        until(node, "it came", |view| view.meters.totals().all.bytes_received >= 900_000).await;
        clients.push(client);
    }
    // Each alone fits. Now one grows until both do not, and the larger one goes, whichever network it is in.
    let growing = async {
        while clients[1].0.write_all(&[0; 10_000]).await.is_ok() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    let mut shed = [0, 0];
    let watching = async {
        while shed == [0, 0] {
            for (shed, node) in shed.iter_mut().zip(&nodes) {
                *shed = node.read(|view| view.meters.totals().shed).await.unwrap();
            }
        }
    };
    tokio::select! { () = growing => {}, () = watching => {} }
    assert!(budget.used() <= budget.limit());
    let mut left = 0;
    for node in &nodes {
        left += node.read(|view| view.meters.totals().connections).await.unwrap();
    }
    assert_eq!(left, 1, "one went and one stays");
    for node in nodes {
        node.drain(LIMIT).await;
    }
    assert_eq!(budget.used(), 0);
}

#[tokio::test]
async fn a_frame_that_drips_in_too_slowly_ends_its_connection() {
    let node = run(Config { frame_ms_max: Some(150), ..Config::default() });
    let (mut slow, mut quick) = (Client::connect(&node).await, Client::connect(&node).await);
    let drip = frame(b'e', &[0; 100]);
    let dripping = async {
        for byte in &drip[..100] {
            if slow.0.write_all(&[*byte]).await.is_err() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let chatting = async {
        // Every read ends in the middle of a frame, but each frame is quick.
        let frames = [frame(b'e', b"1"), frame(b'e', b"2")].concat();
        quick.0.write_all(&frames[..3]).await.unwrap();
        for _ in 0..40 {
            quick.0.write_all(&[&frames[3..], &frames[..3]].concat()).await.unwrap();
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        quick.0.write_all(&frames[3..]).await.unwrap();
    };
    let ((), ()) = tokio::join!(dripping, chatting);
    until(&node, "one is gone", |view| view.meters.totals().all.bad_frames >= 1).await;
    assert_eq!(slow.receive().await, Some((b'z', b"bye".to_vec())));
    let bad = node.read(|view| view.meters.totals().all.bad_frames).await.unwrap();
    assert_eq!(bad, 1, "the quick one is unhurt");
    node.drain(LIMIT).await;
}

#[tokio::test]
async fn the_longest_frame_in_the_making_goes_when_their_budget_is_spent() {
    let config = Config { partial_bytes_budget: Some(1 << 20), needs_greeting: true, ..Config::default() };
    let node = run(config);
    let mut clients = Vec::new();
    for bytes in [300_000, 500_000, 400_000] {
        let mut client = Client::connect(&node).await;
        client.ask(b'h', b"").await;
        client.0.write_all(&frame(b'e', &vec![0; 8 << 20])[..bytes]).await.unwrap();
        clients.push(client);
    }
    assert_eq!(clients[1].receive().await, Some((b'z', b"bye".to_vec())));
    until(&node, "the others stay", |view| view.meters.totals().all.partial_bytes == 700_000).await;
    node.drain(LIMIT).await;
}

#[tokio::test]
async fn a_slow_ledger_slows_its_askers_and_loses_nothing() {
    let slow = Parrot { delay: Duration::from_millis(100), ..Parrot::default() };
    let node = start(network(Config::default()), slow, None).unwrap();
    let client = Client::connect(&node).await;
    let count = 60_000u32;
    let mut questions = Vec::new();
    for number in 0..count {
        questions.extend_from_slice(&frame(b'a', &number.to_be_bytes()));
    }
    let mut bystander = Client::connect(&node).await;
    let (reading, mut writing) = client.0.into_split();
    let asking = tokio::spawn(async move {
        writing.write_all(&questions).await.unwrap();
        writing
    });
    let mut most = 0;
    for _ in 0..20 {
        most = most.max(node.read(|view| view.meters.totals().asks_waiting).await.unwrap());
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert!(most <= 4_096 + 1024, "{most} questions wait");
    let writing = asking.await.unwrap();
    let mut client = Client(reading.reunite(writing).unwrap());
    for number in 0..count {
        assert_eq!(client.receive().await, Some((b'A', number.to_be_bytes().to_vec())));
    }
    assert_eq!(bystander.ask(b'e', b"").await, Some((b'e', Vec::new())));
    until(&node, "all answered", |view| view.meters.totals().asks_waiting == 0).await;
    node.drain(LIMIT).await;
}

#[tokio::test]
async fn a_flood_from_one_does_not_starve_another() {
    let node = run(Config::default());
    let flood = Client::connect(&node).await;
    let flooding = tokio::spawn(async move {
        let mut flood = flood;
        let noise: Vec<u8> = frame(b'.', &[0; 20]).repeat(5000);
        while flood.0.write_all(&noise).await.is_ok() {}
    });
    let mut client = Client::connect(&node).await;
    for number in 0..200u8 {
        let answer = tokio::time::timeout(Duration::from_secs(2), client.ask(b'e', &[number])).await;
        assert_eq!(answer.expect("in time"), Some((b'e', vec![number])));
    }
    flooding.abort();
    node.drain(LIMIT).await;
}
