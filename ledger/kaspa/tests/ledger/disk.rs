//! Disks that are full, and that fail.

use crate::world::{BLOCKS, World, real_payments};
use polypeer_engine::Ledger;
use polypeer_engine::kit::chain::Origin;
use polypeer_kaspa::ledger::{Answer, BlockOutcome, Request, Status, TransactionOutcome};
use polypeer_ledger_kaspa::{Config, Kaspa, OpenError, Params, Reader};
use polypeer_sim::Tape;
use std::io::ErrorKind;
use std::time::Duration;

/// Opens a ledger on a disk.
pub(crate) fn open(disk: &Tape) -> Result<(Kaspa, Reader), OpenError> {
    Kaspa::open_with_backend(disk.clone(), Config::in_memory(Params::simnet()))
}

/// A ledger whose disk has four blocks and fails after so many more changes.
fn failing(disk: &Tape, left: usize, how: ErrorKind) -> World {
    let mut world = World::over(open(disk).unwrap());
    world.take_all(&BLOCKS[1..4]);
    world.save();
    disk.fail_after(left, how);
    world
}

/// Takes blocks, each of which is to be durable a little later, until one is not; how many there are then.
fn take_until_it_fails(world: &mut World) -> usize {
    for (block, count) in BLOCKS[4..100].iter().zip(5..) {
        assert_eq!(world.take(block), BlockOutcome::Accepted);
        world.pass(Duration::from_millis(200));
        assert_eq!(world.wake(), []);
        if !world.reader.is_sound() {
            return count;
        }
    }
    panic!("the disk fails some time");
}

#[test]
fn a_full_disk_refuses_blocks_and_keeps_those_that_were_told_of() {
    for left in 0..120 {
        let disk = Tape::default();
        let mut world = failing(&disk, left, ErrorKind::StorageFull);
        let held = take_until_it_fails(&mut world);
        assert_eq!(world.take(&BLOCKS[held]), BlockOutcome::NoRoom);
        assert_eq!(world.take(&BLOCKS[held - 1]), BlockOutcome::Known);
        assert_eq!(world.state().sink.hash, BLOCKS[held - 1].hash, "after {left}");
        assert_eq!(world.status(BLOCKS[held].hash), Status::Unknown);
        // What the disk did not take is served, and not shown.
        world.check_holds(&BLOCKS[held - 1..held]);
        assert_eq!(world.reader.state().sink.hash, BLOCKS[held - 2].hash);
        assert_eq!(world.reader.counts(), (held as u64 - 1, 0));
        disk.heal();
        world.pass(Duration::from_millis(500));
        assert_eq!(world.wake(), []);
        assert_eq!((world.reader.is_sound(), world.reader.state()), (true, world.state()), "after {left}");
        let on_disk = World::over(open(&disk.copy()).unwrap()).state();
        assert_eq!(on_disk, world.state(), "after {left}");
        world.take_all(&BLOCKS[held..held + 20]);
        drop(world);
        let mut world = World::over(open(&disk).unwrap());
        assert_eq!(world.state().sink.hash, BLOCKS[held + 19].hash);
        world.check_holds(&BLOCKS[..held + 20]);
    }
}

#[test]
fn what_cannot_be_kept_for_the_operator_is_refused_and_blocks_stay() {
    let (payments, ids) = real_payments();
    let offer = || Request::TakeTransactions { transactions: payments[..1].to_vec(), origin: Origin::Operator };
    let mut came_through = 0;
    for left in 0..40 {
        let disk = Tape::default();
        let mut world = failing(&disk, left, ErrorKind::StorageFull);
        assert_eq!(world.take(&BLOCKS[4]), BlockOutcome::Accepted);
        let (answers, news) = world.batch(vec![offer(), Request::TakeBlock(BLOCKS[5].bytes())]);
        let Answer::TransactionsTaken(taken) = &answers[0] else { panic!("{answers:?}") };
        if taken[0].1 == TransactionOutcome::Accepted {
            assert!(left > 5 && world.reader.is_sound() && news.len() == 1);
            continue;
        }
        assert_eq!((taken[0].1, news), (TransactionOutcome::NoRoom, Vec::new()), "after {left}");
        let Answer::BlockTaken { outcome: BlockOutcome::NoRoom, .. } = answers[1] else { panic!("{answers:?}") };
        assert_eq!((world.reader.waiting(), world.state().sink.hash), (0, BLOCKS[4].hash));
        assert_eq!((world.take(&BLOCKS[4]), world.reader.is_sound()), (BlockOutcome::Known, false));
        disk.heal();
        world.pass(Duration::from_millis(500));
        assert_eq!(world.wake(), []);
        // The last step of the commit may have failed after its work was done.
        let sink = world.state().sink.hash;
        assert!(sink == BLOCKS[4].hash || sink == BLOCKS[5].hash, "after {left}");
        came_through += u32::from(sink == BLOCKS[5].hash);
        assert_eq!(world.reader.state(), world.state());
        world.batch(vec![offer(), Request::TakeBlock(BLOCKS[5].bytes())]);
        let mut found = World::over(open(&disk.copy()).unwrap());
        assert_eq!(found.reader.waiting_ids(9), ids[..1], "after {left}");
        found.check_holds(&BLOCKS[..6]);
    }
    assert!(came_through > 0);
}

#[test]
fn a_disk_that_breaks_its_word_is_written_no_more() {
    for left in 0..20 {
        let disk = Tape::default();
        let mut world = failing(&disk, left, ErrorKind::Other);
        let held = take_until_it_fails(&mut world);
        disk.heal();
        world.pass(Duration::from_secs(60));
        let changes = disk.changes();
        assert_eq!((world.ledger.next_wake(world.now), world.wake()), (None, Vec::new()));
        assert_eq!(world.take(&BLOCKS[held]), BlockOutcome::NoRoom);
        assert_eq!(world.state().sink.hash, BLOCKS[held - 1].hash);
        assert_eq!(world.reader.state().sink.hash, BLOCKS[held - 2].hash, "what is shown is durable");
        assert!(!world.reader.is_sound());
        drop(world);
        assert_eq!(disk.changes(), changes, "nothing is written, not even at the end");
        let mut world = World::over(open(&disk).unwrap());
        world.check_holds(&BLOCKS[..held - 1]);
    }
}
