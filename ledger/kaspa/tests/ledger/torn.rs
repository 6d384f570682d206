//! Writes that a crash cut in two: what was durable comes back, or what was being written with it.

use crate::disk::open;
use crate::world::{BLOCKS, Block, World, payment};
use polypeer_engine::Random;
use polypeer_engine::kit::chain::{Hash, Origin};
use polypeer_kaspa::ledger::{Answer, Request, State, TransactionOutcome};
use polypeer_sim::Tape;
use std::time::Duration;

/// Writes at the end of the history that are torn.
const LAST_WRITES: usize = 24;
/// Moments of the history at which power is lost, with what the disk had not synced there in any order.
const CRASHES: usize = 300;

/// All that is promised once it is durable, at one moment: the operator's transactions last.
type Promised = (State, (u64, u64), Vec<Hash>, Vec<Hash>);

fn promised(world: &mut World) -> Promised {
    let (state, counts) = (world.state(), world.reader.counts());
    let full = (counts.0 - counts.1) as usize;
    // The fixtures are taken in their order here.
    world.check_holds(&BLOCKS[..full]);
    let missing = world.missing_bodies(BLOCKS[counts.0 as usize - 1].hash, 1_000);
    let mut waiting = world.reader.waiting_ids(100);
    waiting.sort_unstable();
    (state, counts, missing, waiting)
}

/// A disk with a history of blocks that come one by one, headers first, and with transactions of the operator's between
/// them; and what was promised at which moments of it.
fn history() -> (Tape, Vec<(usize, Promised)>) {
    let disk = Tape::default();
    let mut world = World::over(open(&disk).unwrap());
    let mut history = vec![(disk.changes(), promised(&mut world))];
    for (blocks, turn) in BLOCKS[1..61].chunks(5).zip(0..) {
        let changes = disk.changes();
        if turn % 2 == 0 {
            blocks.iter().for_each(|block| world.take_all(std::slice::from_ref(block)));
        } else {
            assert_eq!(world.take_headers(blocks), (5, None));
            let bodies: Vec<&Block> = blocks.iter().take(turn % 5).collect();
            assert_eq!(world.take_bodies(&bodies).1, None);
        }
        assert_eq!(disk.changes(), changes, "nothing of this is durable yet");
        if turn % 3 == 0 {
            let transactions = vec![payment(turn as u32, 1).encode()];
            let kept = world.ask(Request::TakeTransactions { transactions, origin: Origin::Operator });
            assert!(matches!(kept, Answer::TransactionsTaken(taken) if taken[0].1 == TransactionOutcome::Accepted));
        } else {
            world.pass(Duration::from_millis(200));
            assert_eq!(world.wake(), []);
        }
        history.push((disk.changes(), promised(&mut world)));
        let bodies: Vec<&Block> = blocks.iter().collect();
        assert_eq!(world.take_bodies(&bodies), (5, None));
    }
    world.save();
    history.push((disk.changes(), promised(&mut world)));
    (disk, history)
}

fn check(history: &[(usize, Promised)], moment: usize, left: &Tape) {
    let found = promised(&mut World::over(open(left).unwrap()));
    let last = history.iter().rposition(|(changes, _)| *changes <= moment).unwrap();
    let next = history.len().min(last + 2);
    assert!(history[last..next].iter().any(|(_, it)| *it == found), "change {moment}");
}

#[test]
fn every_torn_write_leaves_what_was_durable() {
    let (disk, history) = history();
    let mut tried = 0;
    disk.each_torn(LAST_WRITES, |moment, torn| {
        check(&history, moment, &torn);
        tried += 1;
    });
    println!("{tried} images of torn writes");
    assert!(tried > LAST_WRITES);
}

#[test]
fn a_loss_of_power_at_any_moment_leaves_what_was_durable() {
    let (disk, history) = history();
    let mut random = Random::new([7; 32]);
    let first = history[0].0;
    for _ in 0..CRASHES {
        let moment = first + random.below(disk.changes() + 1 - first);
        check(&history, moment, &disk.crashed(moment, &mut random));
    }
}
