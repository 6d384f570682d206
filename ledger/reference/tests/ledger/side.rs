//! What is kept off the main chain.

use crate::world::{Draft, World, genesis, hash, line};
use bytes::Bytes;
use polypeer_engine::kit::chain::BlockOutcome;

/// Room for five empty blocks.
fn world() -> World {
    World::with(|config| config.limits.side_bytes = 5 * 133 + 132)
}

fn held(world: &mut World, blocks: &[Bytes]) -> Vec<bool> {
    blocks.iter().map(|block| !world.is_missing(hash(block))).collect()
}

#[test]
fn the_least_work_leaves_first() {
    let mut world = world();
    world.take_all(&line(&genesis(), 10, 1));
    let low = line(&genesis(), 2, 2);
    let high = line(&genesis(), 4, 3);
    world.take_all(&low);
    world.take_all(&high);
    // The sixth block pushed out the end of the branch with less work.
    assert_eq!(held(&mut world, &low), [true, false]);
    assert_eq!(held(&mut world, &high), [true; 4]);
    // One that has the least work itself finds no room.
    let least = Draft::on(&genesis()).by(4).mine();
    assert_eq!(world.take(&least), BlockOutcome::NoRoom);
    assert!(world.is_missing(hash(&least)));
    // What left can come again when it is worth more.
    let higher = line(&high[3], 1, 3);
    world.take_all(&higher);
    assert_eq!(held(&mut world, &low), [false, false]);
}

#[test]
fn the_branch_that_may_be_switched_to_stays_whatever_its_size() {
    let mut world = world();
    world.take_all(&line(&genesis(), 10, 1));
    let long = line(&genesis(), 11, 2);
    world.take_all(&long[..10]);
    assert_eq!(held(&mut world, &long[..10]), [true; 10]);
    let other = Draft::on(&genesis()).by(3).mine();
    assert_eq!(world.take(&other), BlockOutcome::NoRoom);
    assert_eq!(world.take(&long[10]), BlockOutcome::Accepted);
    assert_eq!(world.tip().hash, hash(&long[10]));
}

#[test]
fn what_a_reorganisation_leaves_behind_is_trimmed() {
    let mut world = world();
    let old = line(&genesis(), 10, 1);
    world.take_all(&old);
    world.take_all(&line(&genesis(), 11, 2));
    assert_eq!(held(&mut world, &old), [[true; 5], [false; 5]].concat());
    // Room is counted right: the branch grows back and wins.
    world.take_all(&old[5..]);
    world.take_all(&line(&old[9], 2, 1));
    assert_eq!(world.tip().height, 12);
}

#[test]
fn a_switch_does_not_touch_the_branch_that_it_switches_to() {
    let mut world = World::with(|config| config.limits.side_bytes = 0);
    let old = line(&genesis(), 6, 1);
    world.take_all(&old);
    let new = line(&genesis(), 7, 2);
    world.take_all(&new);
    assert_eq!(world.tip().hash, hash(&new[6]));
    assert_eq!(held(&mut world, &old), [false; 6]);
    assert_eq!(held(&mut world, &new), [true; 7]);
}
