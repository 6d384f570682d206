//! Shows that nothing is lost without a word: what came in and went out adds up under load and at the end.

mod support;

use polypeer_driver::{Budget, Handle, Last, start};
use std::time::Duration;
use support::{Client, Config, Echo, LIMIT, Parrot, check_conservation, frame, network, run, until};
use tokio::io::AsyncWriteExt;
use tokio::task::JoinSet;

/// Clients at work at one time.
const CLIENTS: u32 = 12;

// What one client does: talks, asks, gossips, is unreadable, hangs up, breaks off in the middle of a frame.
async fn behave(address: std::net::SocketAddr, number: u32) {
    for round in number.. {
        let Ok(stream) = tokio::net::TcpStream::connect(address).await else { return };
        let mut client = Client(stream);
        let work = [frame(b'e', &[1; 900]), frame(b'b', &[2; 500]), frame(b'a', b"ask"), frame(b'.', b"")].concat();
        for _ in 0..50 {
            if client.0.write_all(&work).await.is_err() {
                break;
            }
        }
        let end: &[u8] = match round % 6 {
            0 => &[0, 0, 0, 9, b'e', 1],
            1 => &[0, 0, 0, 0],
            2 => &frame(b'l', b""),
            3 => &frame(b'f', b"bye"),
            4 => &frame(b'n', b""),
            _ => b"",
        };
        // It may be gone already.
        let _ = client.0.write_all(&[end, &work].concat()).await;
        if round % 3 == 0 {
            let _ = client.0.set_zero_linger();
        } else {
            let mut sink = [0; 4096];
            let reading = async {
                use tokio::io::AsyncReadExt;
                for _ in 0..200 {
                    if !matches!(client.0.read(&mut sink).await, Ok(1..)) {
                        return;
                    }
                }
            };
            let _ = tokio::time::timeout(Duration::from_millis(50), reading).await;
        }
    }
}

fn load(node: &Handle<Echo>) -> JoinSet<()> {
    let address = node.listening().expect("it listens");
    (0..CLIENTS).map(|number| behave(address, number)).collect()
}

fn at_rest(node: &Handle<Echo>) -> Last {
    let last = node.last().expect("it has ended without a panic");
    assert_eq!(last.imbalances, [], "{:?}", last.totals);
    assert!(last.totals.is_at_rest(), "{:?}", last.totals);
    last
}

#[tokio::test]
async fn what_comes_and_goes_adds_up_under_load_and_at_the_end() {
    let node = run(Config { queue_bytes_max: 64 << 10, ..Config::default() });
    let load = load(&node);
    for _ in 0..200 {
        node.read(check_conservation).await.expect("the network runs");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    drop(load);
    node.drain(LIMIT).await;
    let all = at_rest(&node).totals;
    assert_eq!(all.asks, all.asks_answered + all.asks_lost, "{all:?}");
    let meter = all.all;
    let seen =
        [meter.frames_received, meter.frames_sent, meter.bytes_refused, meter.bytes_discarded, meter.frames_lost];
    assert!(seen.iter().all(|count| *count > 0), "the load had all of it: {meter:?}");
}

#[tokio::test]
async fn an_end_in_the_middle_of_everything_leaves_nothing_on_its_way() {
    for within in [Duration::ZERO, Duration::from_millis(20)] {
        let slow = Parrot { delay: Duration::from_millis(30), ..Parrot::default() };
        let node = start(network(Config::default()), slow, None).expect("a free port");
        let load = load(&node);
        until(&node, "it is busy", |view| view.meters.totals().asks_waiting > 0).await;
        node.drain(within).await;
        drop(load);
        at_rest(&node);
    }
}

#[tokio::test]
async fn gossip_is_dropped_for_who_holds_much_before_anyone_is_closed() {
    let budget = Budget::new(8 << 20);
    let mut with_budget = network(Config { needs_greeting: true, ..Config::default() });
    with_budget.queue_budget = budget.clone();
    let node = start(with_budget, Parrot::default(), None).expect("a free port");
    let (mut slow, mut fast) = (Client::connect(&node).await, Client::connect(&node).await);
    slow.ask(b'h', b"").await;
    fast.ask(b'h', b"").await;
    // The slow one does not read: its queue, which alone could hold 33 MiB, stops at seven eighths of the budget.
    for _ in 0..800 {
        fast.send(b'b', &[5; 50_000]).await;
    }
    until(&node, "dropped", |view| view.meters.totals().all.frames_shed > 0).await;
    assert_eq!(fast.ask(b'e', b"unhurt").await, Some((b'e', b"unhurt".to_vec())));
    node.read(|view| {
        check_conservation(view);
        assert_eq!((view.meters.totals().shed, view.engine.protocol().gone.len()), (0, 0));
    })
    .await
    .expect("the network runs");
    assert!(budget.used() <= budget.limit(), "{} of {}", budget.used(), budget.limit());
    node.drain(LIMIT).await;
    at_rest(&node);
    assert_eq!(budget.used(), 0);
}

#[tokio::test]
async fn questions_at_the_ledger_and_its_answers_are_in_the_budget() {
    let budget = Budget::new(64 << 20);
    let mut with_budget = network(Config { needs_greeting: true, ..Config::default() });
    with_budget.queue_budget = budget.clone();
    let slow = Parrot { delay: Duration::from_millis(300), ..Parrot::default() };
    let node = start(with_budget, slow, None).expect("a free port");
    let mut client = Client::connect(&node).await;
    client.ask(b'h', b"").await;
    let question = vec![3; 1 << 20];
    for _ in 0..4 {
        client.send(b'a', &question).await;
    }
    until(&node, "asked", |view| view.meters.totals().asks == 4).await;
    assert!(budget.used() >= 4 << 20, "{} bytes for 4 MiB of questions", budget.used());
    for _ in 0..4 {
        assert_eq!(client.receive().await, Some((b'A', question.clone())));
    }
    until(&node, "all read", |view| view.meters.totals().all.queue_bytes == 0).await;
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert_eq!(budget.used(), 0);
    node.drain(LIMIT).await;
    at_rest(&node);
}
