//! Transactions that wait: taken, told, dropped when a block has them, the operator's over a restart.

use crate::world::{Block, World, real_payments};
use bytes::Bytes;
use polypeer_engine::kit::chain::{Hash, Origin};
use polypeer_kaspa::ledger::{Answer, BlockOutcome, Request, TransactionOutcome};
use polypeer_ledger_kaspa::{BlockKey, Config, Params, Producer};
use std::time::Duration;

fn offer(world: &mut World, bytes: &Bytes, origin: Origin) -> (Hash, TransactionOutcome, Vec<Answer>) {
    let (answers, news) = world.batch(vec![Request::TakeTransactions { transactions: vec![bytes.clone()], origin }]);
    match &answers[..] {
        [Answer::TransactionsTaken(taken)] => (taken[0].0, taken[0].1, news),
        other => panic!("{other:?}"),
    }
}

fn missing(world: &mut World, ids: &[Hash]) -> Vec<Hash> {
    match world.ask(Request::MissingTransactions(ids.to_vec())) {
        Answer::MissingTransactions(missing) => missing,
        other => panic!("{other:?}"),
    }
}

/// A block on the first one with these transactions, as another node makes it.
fn block_of(transactions: &[Bytes]) -> Block {
    let producer = Producer { script: vec![0x51], interval: Duration::from_millis(100), seed: [5; 32] };
    let mut world = World::open(Config { producer: Some(producer), ..Config::in_memory(Params::simnet()) });
    world.ask(Request::TakeTransactions { transactions: transactions.to_vec(), origin: Origin::Peer });
    world.wake();
    world.pass(Duration::from_millis(200));
    let Some(Answer::NewBlock { hash, .. }) = world.wake().pop() else { panic!("it is time for a block") };
    Block::read(&world.reader.block(&BlockKey::Hash(hash)).unwrap().bytes)
}

#[test]
fn what_waits_is_given_until_a_block_has_it() {
    let (payments, ids) = real_payments();
    let mut world = World::new();
    assert_eq!(missing(&mut world, &ids), ids);
    for (bytes, id) in payments.iter().zip(&ids) {
        assert_eq!(offer(&mut world, bytes, Origin::Peer), (*id, TransactionOutcome::Accepted, Vec::new()));
        assert_eq!(offer(&mut world, bytes, Origin::Peer).1, TransactionOutcome::Known);
    }
    assert_eq!(missing(&mut world, &ids), []);
    assert_eq!(world.reader.waiting_ids(100), ids);
    let unknown = Hash([9; 32]);
    let given = world.ask(Request::Transactions(vec![ids[0], unknown]));
    assert_eq!(given, Answer::Transactions(vec![Some(payments[0].clone()), None]));
    let block = block_of(&payments[..1]);
    assert_eq!((block.transactions.len(), world.take(&block)), (2, BlockOutcome::Accepted));
    assert_eq!(world.reader.waiting_ids(100), ids[1..]);
    assert_eq!(missing(&mut world, &ids), [], "the first one stood in a recent block");
    assert_eq!(offer(&mut world, &payments[0], Origin::Peer).1, TransactionOutcome::Known);
    assert_eq!(world.ask(Request::Transactions(vec![ids[0]])), Answer::Transactions(vec![None]));
}

#[test]
fn the_operators_wait_over_a_restart_until_a_block_has_them() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ledger.redb");
    let (payments, ids) = real_payments();
    let mut world = World::on(&path);
    let (_, outcome, news) = offer(&mut world, &payments[0], Origin::Operator);
    assert_eq!((outcome, news), (TransactionOutcome::Accepted, vec![Answer::NewTransaction { id: ids[0] }]));
    // A peer brought it first: it is kept all the same.
    assert_eq!(offer(&mut world, &payments[1], Origin::Peer).1, TransactionOutcome::Accepted);
    assert_eq!(offer(&mut world, &payments[1], Origin::Operator).1, TransactionOutcome::Known);
    assert_eq!(offer(&mut world, &payments[2], Origin::Peer).1, TransactionOutcome::Accepted);
    drop(world);
    let mut world = World::on(&path);
    let mut waiting = world.reader.waiting_ids(10);
    waiting.sort_unstable();
    let mut kept = ids[..2].to_vec();
    kept.sort_unstable();
    assert_eq!(waiting, kept);
    assert_eq!(world.take(&block_of(&payments[..1])), BlockOutcome::Accepted);
    drop(world);
    assert_eq!(World::on(&path).reader.waiting_ids(10), ids[1..2]);
}
