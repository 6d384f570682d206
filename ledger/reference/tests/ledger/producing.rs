//! The producer.

use crate::world::{Draft, START_MS, World, genesis, hash, key, line, pay, read};
use bytes::Bytes;
use polypeer_engine::kit::chain::{Answer, BlockOutcome, Origin, Request, TransactionOutcome};
use polypeer_engine::{Ledger, Ticket, Time, To};
use polypeer_ledger_reference::{Producer, TransactionBytes, Wallet};
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);

fn producing(seed: u8) -> World {
    World::with(|config| config.producer = Some(Producer { key: key(7), interval: SECOND, seed: [seed; 32] }))
}

/// Lets time pass until the ledger next wants it, wakes it, and returns the new tip's block if there is one.
fn step(world: &mut World) -> Option<Bytes> {
    let wake = world.ledger.next_wake(world.now).expect("a producer wants to be woken");
    world.pass(wake.since(world.now.monotonic));
    let news = world.wake();
    match &news[..] {
        [] => None,
        [Answer::NewTip { block, .. }] => Some(block.clone()),
        other => panic!("{other:?}"),
    }
}

fn produce(world: &mut World) -> (Time, Bytes) {
    for _ in 0..3 {
        if let Some(block) = step(world) {
            return (world.now.monotonic, block);
        }
    }
    panic!("no block in three wakes");
}

#[test]
fn blocks_come_at_the_interval_with_a_quarter_of_jitter() {
    let mut world = producing(1);
    let mut last = world.now.monotonic;
    let mut waits = Vec::new();
    for height in 1..=200 {
        let (at, block) = produce(&mut world);
        waits.push(at.since(last).as_millis());
        last = at;
        let header = read(&block).1;
        assert_eq!((header.height, header.producer, header.time), (height, key(7), world.now.unix_ms));
        assert_eq!(block.len(), 133, "empty ones too");
    }
    assert!(waits.iter().all(|wait| (749..=1_251).contains(wait)), "{waits:?}");
    let mean = waits.iter().sum::<u128>() / 200;
    assert!((950..=1_050).contains(&mean), "mean {mean}");
    assert!(waits.iter().any(|wait| *wait < 800) && waits.iter().any(|wait| *wait > 1_200), "drawn anew for each");
    assert_eq!(world.balance(7), 1_000_000_000 + 200 * 50);
}

#[test]
fn the_same_seed_makes_the_same_blocks_and_another_one_does_not() {
    let run = |seed| {
        let mut world = producing(seed);
        (0..10).map(|_| produce(&mut world)).collect::<Vec<_>>()
    };
    assert_eq!(run(5), run(5));
    assert_ne!(run(5), run(6));
}

#[test]
fn others_blocks_do_not_restart_the_wait() {
    let mut world = producing(1);
    world.wake();
    let due = world.ledger.next_wake(world.now);
    world.pass(Duration::from_millis(600));
    let other = Draft::on(&genesis()).mine();
    assert_eq!(world.take(&other), BlockOutcome::Accepted);
    assert_eq!(world.ledger.next_wake(world.now), due);
    let (_, block) = produce(&mut world);
    assert_eq!(read(&block).1.parent, hash(&other));
}

#[test]
fn a_producer_pauses_while_the_node_is_catching_up() {
    let mut world = producing(1);
    produce(&mut world);
    let (asked, _) = world.batch(vec![Request::CatchingUp(true)]);
    assert_eq!(asked, []);
    assert_eq!(world.ledger.next_wake(world.now), None);
    world.pass(10 * SECOND);
    assert_eq!(world.wake(), []);
    world.batch(vec![Request::CatchingUp(false)]);
    // What came due meanwhile is not made up for.
    let wake = world.ledger.next_wake(world.now).expect("it goes on");
    assert!(wake.since(world.now.monotonic) >= Duration::from_millis(750));
    let (_, block) = produce(&mut world);
    assert_eq!(read(&block).1.height, 2);
}

#[test]
fn a_blocks_time_is_above_the_median_when_the_clock_is_behind() {
    let mut world = producing(1);
    let ahead: Vec<Bytes> = (1..=3).fold(Vec::new(), |mut blocks: Vec<Bytes>, at| {
        let parent = blocks.last().cloned().unwrap_or_else(genesis);
        blocks.push(Draft::on(&parent).change(|header| header.time = START_MS + at * 30_000).mine());
        blocks
    });
    world.take_all(&ahead);
    // The four times are genesis' and these; the one at index 2 is the second of these.
    let (_, block) = produce(&mut world);
    assert_eq!(read(&block).1.time, START_MS + 60_001);
}

#[test]
fn a_block_takes_transactions_by_fee_and_each_senders_in_order() {
    let mut world = producing(1);
    let [a0, a1] = [pay(1, 2, 1, 3, 0), pay(1, 2, 1, 90, 1)];
    let [b0, b2] = [pay(2, 3, 1, 5, 0), pay(2, 3, 1, 99, 2)];
    let c0 = pay(3, 4, 1, 4, 0);
    for bytes in [&a1, &c0, &b2, &a0, &b0] {
        assert_eq!(world.offer(bytes, Origin::Peer), TransactionOutcome::Accepted);
    }
    let (_, block) = produce(&mut world);
    // What a gap keeps back stays.
    let expected: Vec<TransactionBytes> = vec![b0, c0, a0, a1];
    assert_eq!(block[133..], expected.concat());
    assert_eq!(world.waiting().len(), 1);
    let (_, block) = produce(&mut world);
    assert_eq!(block.len(), 133);
    assert_eq!(world.offer(&pay(2, 3, 1, 1, 1), Origin::Peer), TransactionOutcome::Accepted);
    let (_, block) = produce(&mut world);
    assert_eq!(block[133..], [pay(2, 3, 1, 1, 1), b2].concat());
}

#[test]
fn a_transaction_that_does_not_go_through_keeps_its_sender_back_and_nobody_else() {
    let mut world = World::with(|config| {
        config.producer = Some(Producer { key: key(7), interval: SECOND, seed: [1; 32] });
        config.network.accounts = vec![(key(1), 100), (key(2), u64::MAX - 60), (key(3), 100)];
    });
    // Each fits on its own; together they would lift account 2 too high.
    let [a, a1, b] = [pay(1, 2, 40, 9, 0), pay(1, 4, 1, 8, 1), pay(3, 2, 40, 10, 0)];
    for bytes in [&a, &a1, &b] {
        assert_eq!(world.offer(bytes, Origin::Peer), TransactionOutcome::Accepted);
    }
    let (_, block) = produce(&mut world);
    assert_eq!(block[133..], b);
    // Room comes back when account 2 pays.
    assert_eq!(world.offer(&pay(2, 4, 1_000, 1, 0), Origin::Peer), TransactionOutcome::Accepted);
    produce(&mut world);
    let (_, block) = produce(&mut world);
    assert_eq!(block[133..], [a, a1].concat());
}

#[test]
fn a_block_holds_at_most_twenty_thousand() {
    let wallets: Vec<Wallet> = (0..314_u32)
        .map(|at| {
            let mut seed = [1; 32];
            seed[..4].copy_from_slice(&at.to_be_bytes());
            Wallet::new(&seed)
        })
        .collect();
    let mut world = World::with(|config| {
        config.producer = Some(Producer { key: key(7), interval: SECOND, seed: [1; 32] });
        config.network.accounts = wallets.iter().map(|wallet| (wallet.public_key(), 1_000)).collect();
    });
    let mut transactions = Vec::new();
    for wallet in &wallets {
        for sequence in 0..64 {
            let payment = polypeer_ledger_reference::Payment { recipient: [1; 32], amount: 1, fee: 1, sequence };
            transactions.push(Bytes::copy_from_slice(&wallet.sign(crate::world::NETWORK, &payment)));
        }
    }
    world.ask(Request::TakeTransactions { transactions, origin: Origin::Peer });
    let (_, block) = produce(&mut world);
    assert_eq!(block.len(), 3_060_133);
    let (_, block) = produce(&mut world);
    assert_eq!(block.len(), 133 + 96 * 153);
}

#[test]
fn a_search_goes_on_over_wakes_and_starts_over_on_a_new_tip() {
    // About four million tries a block, some sixty wakes.
    let hard = [0x1e, 0x03, 0xff, 0xff];
    let mut world = World::with(|config| {
        config.producer = Some(Producer { key: key(7), interval: SECOND, seed: [1; 32] });
        config.network.target = hard;
    });
    world.wake();
    let due = world.ledger.next_wake(world.now).expect("due");
    world.pass(due.since(world.now.monotonic));
    let mut wakes = 0;
    let news = loop {
        let news = world.wake();
        if !news.is_empty() {
            break news;
        }
        assert_eq!(world.ledger.next_wake(world.now), Some(due), "as soon as can be");
        world.pass(Duration::from_millis(10));
        wakes += 1;
    };
    assert!(wakes > 0, "the first slice would have had to be one in sixty");
    let [Answer::NewTip { block, .. }] = &news[..] else { panic!("{news:?}") };
    assert_eq!(read(block).1.time, world.now.unix_ms);
    assert_eq!(line(block, 1, 3).len(), 1);
}

#[test]
fn the_engine_hears_of_a_transaction_before_the_block_that_it_is_in() {
    let mut world = producing(9);
    produce(&mut world);
    // A host may gather the answers of one turn of its thread: the request's first, then what the wake brings.
    let transactions = vec![Bytes::copy_from_slice(&pay(1, 2, 5, 1, 0))];
    let request = Request::TakeTransactions { transactions, origin: Origin::Operator };
    let mut answers = Vec::new();
    let mut wake = world.ledger.next_wake(world.now).expect("a producer wants to be woken");
    world.pass(wake.since(world.now.monotonic));
    world.ledger.answer(world.now, vec![(Ticket(u64::MAX), request)], &mut answers);
    while !answers.iter().any(|(_, answer)| matches!(answer, Answer::NewTip { .. })) {
        world.ledger.wake(world.now, &mut answers);
        wake = world.ledger.next_wake(world.now).expect("a producer wants to be woken");
        world.pass(wake.since(world.now.monotonic));
    }
    let news: Vec<_> = answers.iter().filter(|(to, _)| *to == To::Engine).map(|(_, answer)| answer).collect();
    assert!(matches!(news[..], [Answer::NewTransaction { .. }, Answer::NewTip { .. }]), "{news:?}");
}
