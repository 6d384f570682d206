//! What peers bring is told and served at once, and durable soon; what the operator is told is durable before.

use crate::disk::open;
use crate::faults::with_body;
use crate::world::{BLOCKS, Block, World, payment, real_payments};
use bytes::Bytes;
use polypeer_engine::Ledger;
use polypeer_engine::kit::chain::{Hash, Origin};
use polypeer_kaspa::ledger::{Answer, BlockOutcome, Request, State, Status, TransactionOutcome};
use polypeer_kaspa::wire::Transaction;
use polypeer_ledger_kaspa::{BlockKey, Config, Kaspa, Params, Producer};
use polypeer_sim::Tape;
use std::time::Duration;

/// What peers brought is durable so long after the first of it at the latest.
const BOUND: Duration = Duration::from_millis(200);

/// Where a ledger would stand after a crash now.
fn after_a_crash(disk: &Tape) -> (State, Vec<Hash>) {
    let mut world = World::over(open(&disk.copy()).unwrap());
    (world.state(), world.reader.waiting_ids(10))
}

fn offer(transaction: &Bytes) -> Request {
    Request::TakeTransactions { transactions: vec![transaction.clone()], origin: Origin::Operator }
}

#[test]
fn blocks_are_told_and_served_without_a_write_and_durable_within_the_bound() {
    let disk = Tape::default();
    let mut world = World::over(open(&disk).unwrap());
    for blocks in BLOCKS[1..21].chunks(4) {
        let (changes, before) = (disk.changes(), world.state());
        let bound = world.now.after(BOUND).monotonic;
        for block in blocks {
            assert_eq!(world.take(block), BlockOutcome::Accepted);
            world.check_holds(std::slice::from_ref(block));
            let [bodies, headers] = [
                Request::Bodies(vec![block.hash]),
                Request::HeadersBetween { low: before.sink.hash, high: block.hash, bytes_max: 1 << 20 },
            ]
            .map(|request| world.ask(request));
            assert_eq!(bodies, Answer::Bodies(vec![Some(block.body())]));
            assert!(matches!(headers, Answer::Headers(Ok(headers)) if headers.reached == block.hash));
            assert_eq!(
                (world.status(block.hash), world.reader.block(&BlockKey::Hash(block.hash))),
                (Status::Full, None)
            );
            assert_eq!(world.ledger.next_wake(world.now), Some(bound), "later ones do not move it");
            world.pass(Duration::from_millis(30));
        }
        assert_eq!(disk.changes(), changes, "neither a write nor a sync");
        assert_eq!((world.reader.state(), after_a_crash(&disk).0), (before, before));
        world.pass(bound.since(world.now.monotonic));
        assert_eq!(world.wake(), []);
        assert!(disk.changes() > changes);
        assert_eq!((world.reader.state(), after_a_crash(&disk).0), (world.state(), world.state()));
        let shown = world.reader.block(&BlockKey::Sink).unwrap();
        assert_eq!((shown.status, shown.bytes), (Status::Full, blocks[3].bytes()));
        assert_eq!(world.ledger.next_wake(world.now), None);
    }
}

#[test]
fn headers_and_bodies_of_a_sync_are_shown_as_far_as_they_are_durable() {
    let disk = Tape::default();
    let mut world = World::over(open(&disk).unwrap());
    let changes = disk.changes();
    assert_eq!(world.take_headers(&BLOCKS[1..11]), (10, None));
    assert_eq!((disk.changes(), world.reader.counts()), (changes, (1, 0)));
    world.save();
    assert_eq!(world.reader.counts(), (11, 10));
    let bodies: Vec<&Block> = BLOCKS[1..6].iter().collect();
    assert_eq!(world.take_bodies(&bodies), (5, None));
    let shown = world.reader.block(&BlockKey::Hash(BLOCKS[5].hash)).unwrap();
    assert_eq!((shown.status, shown.transactions.len(), shown.is_on_chain), (Status::HeaderOnly, 0, false));
    assert_eq!(
        (world.reader.counts(), world.reader.chain(9).len(), world.reader.tips()),
        ((11, 10), 1, vec![BLOCKS[0].hash])
    );
    world.save();
    let shown = world.reader.block(&BlockKey::Hash(BLOCKS[5].hash)).unwrap();
    assert_eq!((shown.status, shown.bytes, shown.is_on_chain), (Status::Full, BLOCKS[5].bytes(), true));
    assert_eq!((world.reader.counts(), world.reader.tips()), ((11, 5), vec![BLOCKS[5].hash]));
}

#[test]
fn many_bytes_do_not_wait_for_the_bound() {
    let disk = Tape::default();
    let mut world = World::over(open(&disk).unwrap());
    world.take_all(&BLOCKS[1..600]);
    world.save();
    let payload = vec![0; 110_000];
    let coinbase = &BLOCKS[600].transactions[0];
    let (mut changes, mut saves, mut unsaved, mut most) = (disk.changes(), 0, 0, 0);
    for index in 0..90 {
        let large = Transaction { payload: &payload, ..payment(index, 1) }.encode();
        let block = with_body(vec![coinbase.clone(), large], true);
        assert_eq!(world.take(&block), BlockOutcome::Accepted);
        unsaved += block.bytes().len();
        if disk.changes() > changes {
            (saves, changes, most, unsaved) = (saves + 1, disk.changes(), most.max(unsaved), 0);
        }
    }
    assert!(saves == 2 && most < (4 << 20) + 200_000, "{saves} saves, {most} bytes at most");
}

#[test]
fn what_the_operator_is_told_is_durable_with_all_before_it() {
    let (payments, ids) = real_payments();
    let disk = Tape::default();
    let mut world = World::over(open(&disk).unwrap());
    world.take_all(&BLOCKS[1..6]);
    let (answers, _) = world.batch(vec![offer(&payments[0]), Request::TakeBlock(BLOCKS[6].bytes())]);
    assert_eq!(answers[0], Answer::TransactionsTaken(vec![(ids[0], TransactionOutcome::Accepted)]));
    assert_eq!(after_a_crash(&disk), (world.state(), ids[..1].to_vec()));
    // A peer's transaction needs no disk, and becomes the operator's by the operator's asking.
    let changes = disk.changes();
    let peers = Request::TakeTransactions { transactions: payments[1..2].to_vec(), origin: Origin::Peer };
    world.batch(vec![peers]);
    assert_eq!(disk.changes(), changes);
    assert_eq!(world.ask(offer(&payments[1])), Answer::TransactionsTaken(vec![(ids[1], TransactionOutcome::Known)]));
    assert_eq!(after_a_crash(&disk).1.len(), 2);
    // Nothing is left to do, and nothing is done.
    let changes = disk.changes();
    world.ask(offer(&payments[1]));
    assert_eq!(disk.changes(), changes);
}

#[test]
fn a_transaction_waits_until_its_block_is_durable() {
    let disk = Tape::default();
    let mut world = World::over(open(&disk).unwrap());
    world.take_all(&BLOCKS[1..600]);
    world.save();
    let spends = payment(7, 1).encode();
    let Answer::TransactionsTaken(taken) = world.ask(offer(&spends)) else { panic!("transactions") };
    let id = taken[0].0;
    let block = with_body(vec![BLOCKS[600].transactions[0].clone(), spends.clone()], true);
    let changes = disk.changes();
    assert_eq!((world.take(&block), disk.changes()), (BlockOutcome::Accepted, changes));
    let found = world.reader.transaction(&id).unwrap();
    assert_eq!((&found.bytes, found.block), (&spends, None), "as a crash would leave it");
    assert_eq!(after_a_crash(&disk).1, [id]);
    // That it is known is an answer too: to the operator, of a block that must then stay.
    assert_eq!(world.ask(offer(&spends)), Answer::TransactionsTaken(vec![(id, TransactionOutcome::Known)]));
    assert_eq!(after_a_crash(&disk), (world.state(), Vec::new()));
    let found = world.reader.transaction(&id).unwrap();
    assert_eq!((found.bytes, found.block.map(|(hash, _)| hash)), (spends, Some(block.hash)));
}

#[test]
fn a_block_of_our_own_is_durable_before_it_is_told() {
    let producer = Producer { script: vec![0x51], interval: Duration::from_secs(1), seed: [5; 32] };
    let config = Config { producer: Some(producer), ..Config::in_memory(Params::simnet()) };
    let disk = Tape::default();
    let mut world = World::over(Kaspa::open_with_backend(disk.clone(), config).unwrap());
    world.wake();
    world.take_all(&BLOCKS[1..6]);
    world.pass(Duration::from_millis(1_300));
    let Some(Answer::NewBlock { hash, state }) = world.wake().pop() else { panic!("it is time for a block") };
    assert_eq!((state.sink.hash, after_a_crash(&disk).0), (hash, state));
}
