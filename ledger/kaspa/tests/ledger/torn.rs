//! Writes that a crash cut in two: what was acknowledged comes back, or what was being written with it.

use crate::disk::open;
use crate::world::{BLOCKS, Block, World};
use polypeer_engine::kit::chain::Hash;
use polypeer_kaspa::ledger::State;
use polypeer_sim::Tape;

/// Writes at the end of the history that are torn.
const LAST_WRITES: usize = 24;

/// All that an acknowledgement promises, at one moment.
type Promised = (State, (u64, u64), Vec<Hash>);

fn promised(world: &mut World) -> Promised {
    let (state, counts) = (world.state(), world.reader.counts());
    let full = (counts.0 - counts.1) as usize;
    // The fixtures are taken in their order here.
    world.check_holds(&BLOCKS[..full]);
    let missing = world.missing_bodies(BLOCKS[counts.0 as usize - 1].hash, 1_000);
    (state, counts, missing)
}

#[test]
fn every_torn_write_leaves_what_was_acknowledged() {
    let disk = Tape::default();
    let mut world = World::over(open(&disk).unwrap());
    let mut history = vec![(disk.changes(), promised(&mut world))];
    for blocks in BLOCKS[1..61].chunks(5) {
        if history.len() % 2 == 0 {
            world.take_all(blocks);
        } else {
            assert_eq!(world.take_headers(blocks), (5, None));
            history.push((disk.changes(), promised(&mut world)));
            let bodies: Vec<&Block> = blocks.iter().collect();
            assert_eq!(world.take_bodies(&bodies), (5, None));
        }
        history.push((disk.changes(), promised(&mut world)));
    }
    let mut tried = 0;
    disk.each_torn(LAST_WRITES, |moment, torn| {
        let found = promised(&mut World::over(open(&torn).unwrap()));
        let last = history.iter().rposition(|(changes, _)| *changes <= moment).unwrap();
        let next = history.len().min(last + 2);
        assert!(history[last..next].iter().any(|(_, it)| *it == found), "change {moment}");
        tried += 1;
    });
    println!("{tried} images of torn writes");
    assert!(tried > LAST_WRITES);
}
