//! What was imported is served as it came.

use crate::syncer::SYNCER;
use crate::world::World;
use bytes::Bytes;
use polypeer_kaspa::ledger::{Import, Keep};

fn check_kept(world: &mut World, count_max: u32, bytes_max: u32) {
    let mut levels = 0;
    for level in (0..=250).rev() {
        let sent = SYNCER.all(|piece| match piece {
            Import::Proof { level: of, headers } if *of == level => Some(headers),
            _ => None,
        });
        let kept = world.kept(|from| Keep::Proof { level, from: from as u32 }, count_max, bytes_max);
        assert_eq!(kept, Some(sent), "level {level}");
        levels += 1;
    }
    assert_eq!(levels, 251);
    let of = |of: fn(&Import) -> Option<&Vec<Bytes>>| Some(SYNCER.all(of));
    let points = of(|piece| match piece {
        Import::PruningPoints(headers) => Some(headers),
        _ => None,
    });
    assert_eq!(world.kept(|_| Keep::PruningPoints, 1_000, u32::MAX), points);
    let trusted = of(|piece| match piece {
        Import::Trusted(blocks) => Some(blocks),
        _ => None,
    });
    assert_eq!(world.kept(Keep::Trusted, count_max, bytes_max), trusted);
    let blocks = of(|piece| match piece {
        Import::Blocks(blocks) => Some(blocks),
        _ => None,
    });
    assert_eq!(world.kept(Keep::Blocks, count_max, bytes_max), blocks);
    let lanes = of(|piece| match piece {
        Import::Lanes(lanes) => Some(lanes),
        _ => None,
    });
    assert_eq!(world.kept(Keep::Lanes, count_max, bytes_max), lanes);
    let outputs = of(|piece| match piece {
        Import::Outputs(outputs) => Some(outputs),
        _ => None,
    });
    assert_eq!(world.kept(Keep::Outputs, count_max, bytes_max), outputs);
    let begin = SYNCER.pieces.iter().find_map(|piece| match piece {
        Import::LanesBegin { metadata, count } => Some([&metadata[..], &count.to_be_bytes()].concat().into()),
        _ => None,
    });
    assert_eq!(world.kept(|_| Keep::LanesBegin, count_max, bytes_max), begin.map(|begin| vec![begin]));
}

#[test]
fn every_part_is_served_byte_for_byte() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("dag.redb");
    let mut world = World::on(&path);
    world.give_all(&SYNCER.pieces);
    check_kept(&mut world, 99, 1 << 20);
    drop(world);
    let mut world = World::on(&path);
    check_kept(&mut world, 7, 2_000);
}

#[test]
fn who_imported_nothing_serves_nothing() {
    let mut world = World::new();
    for keep in [Keep::PruningPoints, Keep::LanesBegin, Keep::Trusted(0), Keep::Outputs(0)] {
        assert_eq!(world.kept(|_| keep, 10, 1_000), None);
    }
    let before_end = SYNCER.pieces.len() - 1;
    world.give_all(&SYNCER.pieces[..before_end]);
    assert_eq!(world.kept(Keep::Outputs, 10, 1_000), None, "what is staged is not served");
}
