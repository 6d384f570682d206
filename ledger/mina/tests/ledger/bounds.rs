//! Whatever peers bring, memory and disk stay as they are.

use crate::made::{CONSTANTS, Draft, rules};
use crate::world::World;
use polypeer_ledger_mina::{BlockKey, Config, Limits};
use polypeer_mina::ledger::{Hash, Verdict};

const K: usize = CONSTANTS.k as usize;
/// Blocks of branches that are kept at least.
const SIDE: usize = 32;

#[test]
fn only_the_newest_blocks_are_kept() {
    for kept in [0, 20] {
        let limits = Limits { blocks: kept, ..Limits::default() };
        let mut world = World::open(Config { limits, ..Config::in_memory(rules()) });
        let line = world.first().line(50, 1);
        world.take_all(&line);
        let kept = K.max(kept as usize);
        let standing = world.reader.standing();
        assert_eq!((standing.blocks, standing.root, standing.tip.length), (kept + 1, 51 - K as u32, 51));
        world.check_holds(&line[49 - kept..]);
        let gone = &line[48 - kept];
        assert_eq!(world.reader.block(&BlockKey::Hash(gone.hash)), None);
        assert_eq!(world.judge(gone).0, Verdict::Ignore);
        let last_final = world.reader.block(&BlockKey::Length(standing.root)).unwrap();
        assert!(last_final.is_final && !world.reader.block(&BlockKey::Length(standing.root + 1)).unwrap().is_final);
    }
}

#[test]
fn final_blocks_are_not_contradicted_and_branches_below_them_go() {
    let mut world = World::new();
    let line = world.first().line(20, 1);
    let mut branches = Vec::new();
    for block in &line {
        let branch = block.next(&Draft { slot: block.slot() + 1, drawn: 9, ..Draft::default() });
        assert_eq!(world.judge(block).0, Verdict::Unverified);
        world.judge(&branch);
        branches.push(branch);
    }
    let root = world.reader.standing().root;
    for branch in &branches {
        let is_here = world.reader.block(&BlockKey::Hash(branch.hash)).is_some();
        assert_eq!(is_here, branch.length() > root, "length {}", branch.length());
    }
    let late = line[10].next(&Draft { slot: 100, drawn: 200, ..Draft::default() });
    assert!(line[10].length() < root);
    assert_eq!(world.judge(&late), (Verdict::Ignore, None));
}

#[test]
fn branches_are_counted_and_the_lowest_go_first() {
    let mut world = World::new();
    let line = world.first().line(4, 1);
    world.take_all(&line);
    // Whoever makes blocks without proofs makes as many as they like.
    for (place, slot) in (100..200).enumerate() {
        let parent = &line[place % 3];
        world.judge(&parent.next(&Draft { slot, drawn: 3, ..Draft::default() }));
        assert!(world.reader.standing().blocks <= 5 + SIDE);
    }
    world.check_holds(&line);
    assert_eq!(world.reader.standing().blocks, 5 + SIDE);
}

#[test]
fn bytes_are_bounded_and_history_goes_before_what_is_not_final() {
    let size = u64::try_from(World::new().first().bytes.len()).unwrap();
    let limits = Limits { blocks: 100, store_bytes: 12 * size + size / 2, ..Limits::default() };
    let mut world = World::open(Config { limits, ..Config::in_memory(rules()) });
    let line = world.first().line(40, 1);
    world.take_all(&line);
    let standing = world.reader.standing();
    assert!((K + 1..=12).contains(&standing.blocks) && standing.bytes <= limits.store_bytes, "{standing:?}");
    let limits = Limits { store_bytes: 4 * size + size / 2, ..Limits::default() };
    let mut world = World::open(Config { limits, ..Config::in_memory(rules()) });
    world.take_all(&line[..3]);
    assert_eq!(world.judge(&line[3]), (Verdict::Ignore, None), "what is not final is not given up");
    world.check_holds(&line[..3]);
}

#[test]
fn blocks_without_parents_are_few() {
    let mut world = World::new();
    let first = world.first();
    let line = first.line(3, 1);
    world.take_all(&line[..1]);
    assert_eq!(world.judge(&line[2]), (Verdict::Unverified, Some(line[1].hash)));
    for drawn in 0..100 {
        // Children of blocks that never come.
        let parent = first.next(&Draft { slot: 5, drawn, ..Draft::default() });
        let child = parent.next(&Draft { slot: 7, drawn, ..Draft::default() });
        assert_eq!(world.judge(&child), (Verdict::Unverified, Some(parent.hash)));
    }
    world.take_all(&line[1..2]);
    assert_eq!(world.tip().hash, line[1].hash, "the one that waited longest made room");
    let far = line[2].line(20, 1).pop().unwrap();
    assert_eq!(world.judge(&far), (Verdict::Unverified, None), "it takes a whole chain to reach that");
    assert_eq!(world.judge_bytes(Hash([9; 32]), &far.bytes).0, Verdict::Reject);
}
