//! Writes that a crash cut in two: what was durable comes back, or what was being written with it.

use crate::made::{CONSTANTS, Draft, id, payment};
use crate::world::{World, open};
use polypeer_engine::Random;
use polypeer_ledger_mina::{BlockKey, OpenError};
use polypeer_mina::ledger::{Hash, Request, Tip};
use polypeer_sim::Tape;
use polypeer_store::file::FileError;

/// Writes at the end of the history that are torn.
const LAST_WRITES: usize = 24;
/// Moments of the history at which power is lost, with what the disk had not synced there in any order.
const CRASHES: usize = 100;

/// All that is promised at one moment.
type Promised = (Tip, Vec<Hash>, Vec<Hash>);

fn promised(world: &mut World) -> Promised {
    let standing = world.reader.standing();
    let lengths = standing.tip.length.saturating_sub(CONSTANTS.k).max(1)..=standing.tip.length;
    let blocks = lengths.map(|length| world.reader.block(&BlockKey::Length(length)).unwrap().hash).collect();
    assert!(world.served(Request::BestTip).is_some());
    (world.tip(), blocks, world.reader.waiting(100).1)
}

/// A disk with a history of blocks, branches and commands of the operator's, and what was promised at which moments.
fn history() -> (Tape, Vec<(usize, Promised)>) {
    let disk = Tape::default();
    let mut world = World::over(open(&disk).unwrap());
    let mut history = vec![(disk.changes(), promised(&mut world))];
    let mut last = world.first();
    for turn in 0..16_u32 {
        let command = payment(1, turn, 10);
        assert_eq!(world.submit(&command), Ok(id(&command)));
        history.push((disk.changes(), promised(&mut world)));
        let commands = if turn % 3 == 0 { vec![command] } else { Vec::new() };
        let slot = last.slot() + 2;
        let side = last.next(&Draft { slot: slot - 1, drawn: 3, ..Draft::default() });
        world.judge(&side);
        history.push((disk.changes(), promised(&mut world)));
        let next = last.next(&Draft { slot, drawn: 4, commands });
        world.judge(&next);
        last = if turn % 4 == 0 { side } else { next };
        history.push((disk.changes(), promised(&mut world)));
    }
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

#[test]
fn a_turned_bit_is_told_and_the_file_left_alone_or_it_changes_nothing() {
    let (disk, history) = history();
    let image = disk.bytes();
    let mut random = Random::new([8; 32]);
    let mut told = 0;
    for _ in 0..CRASHES {
        let mut bytes = image.clone();
        let at = random.below(bytes.len());
        bytes[at] ^= 1 << random.below(8);
        let damaged = Tape::holding(bytes.clone());
        match open(&damaged) {
            Ok(opened) => {
                let found = promised(&mut World::over(opened));
                assert!(history.iter().any(|(_, it)| *it == found), "byte {at}");
            }
            Err(OpenError::File(FileError::Damaged { offset, .. })) => {
                told += 1;
                assert!(offset <= image.len() as u64);
                assert_eq!(damaged.bytes(), bytes, "a damaged file is left as it is");
            }
            Err(OpenError::File(_)) => told += 1,
            Err(other) => panic!("byte {at}: {other}"),
        }
    }
    assert!(told > 0, "none of {CRASHES}");
}
