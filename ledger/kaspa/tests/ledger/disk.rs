//! Disks that are full, and that fail.

use crate::world::{BLOCKS, World};
use polypeer_kaspa::ledger::{BlockOutcome, Status};
use polypeer_ledger_kaspa::{Config, Kaspa, OpenError, Params, Reader};
use polypeer_sim::Tape;
use std::io::ErrorKind;
use std::time::Duration;

/// Opens a ledger on a disk.
pub(crate) fn open(disk: &Tape) -> Result<(Kaspa, Reader), OpenError> {
    Kaspa::open_with_backend(disk.clone(), Config::in_memory(Params::simnet()))
}

#[test]
fn a_full_disk_refuses_blocks_and_keeps_what_was_durable() {
    let (mut refused, mut came_through) = (0, 0);
    for left in 0..120 {
        let disk = Tape::default();
        let mut world = World::over(open(&disk).unwrap());
        world.take_all(&BLOCKS[1..4]);
        disk.fail_after(left, ErrorKind::StorageFull);
        let mut held = 4;
        while world.take(&BLOCKS[held]) == BlockOutcome::Accepted {
            held += 1;
        }
        assert!(held < 100, "the disk is full some time");
        refused += 1;
        assert_eq!(world.take(&BLOCKS[held]), BlockOutcome::NoRoom);
        assert_eq!(world.take(&BLOCKS[held - 1]), BlockOutcome::Known);
        assert_eq!(world.state().sink.hash, BLOCKS[held - 1].hash, "after {left}");
        assert_eq!((world.status(BLOCKS[held].hash), world.reader.is_sound()), (Status::Unknown, false));
        disk.heal();
        world.pass(Duration::from_millis(500));
        // The last step of the commit may have failed after its work was done.
        match world.take(&BLOCKS[held]) {
            BlockOutcome::Accepted => {}
            BlockOutcome::Known => came_through += 1,
            other => panic!("{other:?} after {left}"),
        }
        world.take_all(&BLOCKS[held + 1..held + 20]);
        assert!(world.reader.is_sound());
        drop(world);
        let mut world = World::over(open(&disk).unwrap());
        assert_eq!(world.state().sink.hash, BLOCKS[held + 19].hash);
        world.check_holds(&BLOCKS[..held + 20]);
    }
    assert!(refused == 120 && came_through > 0, "{refused}, {came_through}");
}

#[test]
fn a_disk_that_breaks_its_word_is_written_no_more() {
    let disk = Tape::default();
    let mut world = World::over(open(&disk).unwrap());
    world.take_all(&BLOCKS[1..4]);
    disk.fail_after(3, ErrorKind::Other);
    let held = 4 + BLOCKS[4..].iter().take_while(|block| world.take(block) == BlockOutcome::Accepted).count();
    disk.heal();
    world.pass(Duration::from_secs(60));
    assert_eq!(world.take(&BLOCKS[held]), BlockOutcome::NoRoom);
    assert_eq!(world.state().sink.hash, BLOCKS[held - 1].hash);
    assert!(!world.reader.is_sound());
    drop(world);
    let mut world = World::over(open(&disk).unwrap());
    world.check_holds(&BLOCKS[..held]);
}
