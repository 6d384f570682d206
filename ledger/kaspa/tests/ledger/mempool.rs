//! Transactions that wait: taken, told, dropped when a block has them, the operator's over a restart.

use crate::world::{BLOCKS, World};
use bytes::Bytes;
use polypeer_engine::kit::chain::{Hash, Origin};
use polypeer_kaspa::ledger::{Answer, Request, TransactionOutcome};
use polypeer_kaspa::wire::TransactionView;

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

/// The first block with payments, where it stands, and their identifiers.
fn payments() -> (usize, Vec<Bytes>, Vec<Hash>) {
    let at = BLOCKS.iter().position(|block| block.transactions.len() > 3).unwrap();
    let payments = BLOCKS[at].transactions[1..].to_vec();
    let ids = payments.iter().map(|bytes| TransactionView::decode(bytes).unwrap().id()).collect();
    (at, payments, ids)
}

#[test]
fn what_waits_is_given_until_a_block_has_it() {
    let (at, payments, ids) = payments();
    let mut world = World::with_blocks(at);
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
    world.take_all(&BLOCKS[at..=at]);
    assert_eq!(world.reader.waiting(), 0);
    assert_eq!(missing(&mut world, &ids), [], "they stood in a recent block");
    assert_eq!(offer(&mut world, &payments[0], Origin::Peer).1, TransactionOutcome::Known);
    assert_eq!(world.ask(Request::Transactions(vec![ids[0]])), Answer::Transactions(vec![None]));
}

#[test]
fn the_operators_wait_over_a_restart_until_a_block_has_them() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ledger.redb");
    let (at, payments, ids) = payments();
    let mut world = World::on(&path);
    world.take_all(&BLOCKS[1..at]);
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
    world.take_all(&BLOCKS[at..=at]);
    drop(world);
    assert_eq!(World::on(&path).reader.waiting(), 0);
}
