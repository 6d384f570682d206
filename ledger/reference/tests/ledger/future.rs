//! Blocks from the future.

use crate::world::{Draft, START_MS, World, genesis, hash};
use bytes::Bytes;
use polypeer_engine::Ledger;
use polypeer_engine::kit::chain::{Answer, BlockFault, BlockKey, BlockOutcome};
use std::time::Duration;

fn at(parent: &Bytes, time: u64) -> Bytes {
    Draft::on(parent).change(|header| header.time = time).mine()
}

#[test]
fn two_minutes_ahead_is_held_and_a_millisecond_less_is_not() {
    let mut world = World::new();
    assert_eq!(world.take(&at(&genesis(), START_MS + 119_999)), BlockOutcome::Accepted);
    let mut world = World::new();
    let ahead = at(&genesis(), START_MS + 120_000);
    let (outcome, news) = world.take_with_news(&ahead);
    assert_eq!((outcome, news), (BlockOutcome::Held, vec![]));
    assert_eq!(world.tip().height, 0);
    assert!(!world.is_missing(hash(&ahead)), "held is not missing");
    assert_eq!(world.block(BlockKey::Hash(hash(&ahead))), None, "nor served");
    assert_eq!(world.take(&ahead), BlockOutcome::Held, "again");
    assert_eq!(world.ledger.next_wake(world.now), Some(world.now.after(Duration::from_millis(1)).monotonic));
    assert_eq!(world.wake(), []);
    world.pass(Duration::from_millis(1));
    let news = world.wake();
    let [Answer::NewTip { tip, .. }] = news[..] else { panic!("{news:?}") };
    assert_eq!(tip.hash, hash(&ahead));
    assert_eq!(world.take(&ahead), BlockOutcome::Known);
    assert_eq!(world.ledger.next_wake(world.now), None);
}

#[test]
fn a_held_block_is_taken_before_the_next_batch_too() {
    let mut world = World::new();
    let ahead = at(&genesis(), START_MS + 125_000);
    assert_eq!(world.take(&ahead), BlockOutcome::Held);
    world.pass(Duration::from_secs(6));
    let (outcome, news) = world.take_with_news(&ahead);
    assert_eq!(outcome, BlockOutcome::Known);
    assert!(matches!(news[..], [Answer::NewTip { .. }]));
}

#[test]
fn a_block_on_a_held_one_waits_with_it() {
    let mut world = World::new();
    let ahead = at(&genesis(), START_MS + 180_000);
    // Above the median, which is its parent's time; later by its own time too.
    let child = at(&ahead, START_MS + 180_001);
    let grandchild = at(&child, START_MS + 180_002);
    for block in [&ahead, &child, &grandchild] {
        assert_eq!(world.take(block), BlockOutcome::Held);
    }
    world.pass(Duration::from_millis(60_003));
    world.wake();
    assert_eq!(world.tip().hash, hash(&grandchild));
}

#[test]
fn what_is_wrong_is_not_held() {
    let mut world = World::new();
    let far = START_MS + 1_000_000;
    let wrong = Draft::on(&genesis()).change(|header| (header.time, header.height) = (far, 9)).mine();
    assert_eq!(world.take(&wrong), BlockOutcome::Invalid(BlockFault::Header));
    let orphan = at(&at(&genesis(), START_MS), far);
    assert_eq!(world.take(&orphan), BlockOutcome::ParentUnknown);
    assert_eq!(world.ledger.next_wake(world.now), None);
}

#[test]
fn at_most_sixty_four_are_held_and_the_furthest_ahead_leaves() {
    let mut world = World::new();
    let first = START_MS + 200_000;
    let blocks: Vec<Bytes> = (0..64).map(|place| at(&genesis(), first + 2 * place)).collect();
    for block in &blocks {
        assert_eq!(world.take(block), BlockOutcome::Held);
    }
    let further = at(&genesis(), first + 1_000);
    assert_eq!(world.take(&further), BlockOutcome::NoRoom);
    assert!(world.is_missing(hash(&further)));
    let nearer = at(&genesis(), first + 1);
    assert_eq!(world.take(&nearer), BlockOutcome::Held);
    assert!(world.is_missing(hash(&blocks[63])), "the furthest ahead made room");
    assert!(!world.is_missing(hash(&blocks[62])));
}

#[test]
fn at_most_thirty_two_mebibytes_are_held() {
    let mut world = World::new();
    // Nobody looks at the transactions before their time.
    let junk = vec![[1; 153]; 20_000];
    let first = START_MS + 200_000;
    let blocks: Vec<Bytes> = (0..11)
        .map(|place| Draft::on(&genesis()).with(&junk).change(|header| header.time = first + place).mine())
        .collect();
    for block in &blocks[..10] {
        assert_eq!(world.take(block), BlockOutcome::Held);
    }
    assert_eq!(world.take(&blocks[10]), BlockOutcome::NoRoom);
    let small = at(&genesis(), first + 9);
    assert_eq!(world.take(&small), BlockOutcome::Held);
    assert!(!world.is_missing(hash(&blocks[9])));
}

#[test]
fn a_time_that_only_a_broken_clock_reaches_does_no_harm() {
    let mut world = World::new();
    let never = at(&genesis(), u64::MAX);
    assert_eq!(world.take(&never), BlockOutcome::Held);
    let wake = world.ledger.next_wake(world.now);
    assert!(wake.is_some_and(|wake| wake > world.now.after(Duration::from_secs(1 << 40)).monotonic));
    world.now.unix_ms = u64::MAX;
    world.wake();
    assert_eq!(world.tip().hash, hash(&never));
    // No later time exists, so nothing can follow, and a producer cannot make it fail either.
    let after = at(&never, u64::MAX);
    assert_eq!(world.take(&after), BlockOutcome::Invalid(BlockFault::Header));
}
