//! What an import may cost, and what a crash leaves of it.

use crate::syncer::SYNCER;
use crate::world::{World, config, fault};
use bytes::Bytes;
use polypeer_kaspa::ledger::{Import, ImportFault, State};
use polypeer_ledger_kaspa::{Config, Kaspa, Limits};
use polypeer_sim::Tape;
use std::io::ErrorKind;
use std::time::Duration;

/// Writes at the end of an import that are torn.
const LAST_WRITES: usize = 10;

fn on_tape(disk: &Tape) -> World {
    World::over(Kaspa::open_with_backend(disk.clone(), config()).expect("a whole disk"))
}

#[test]
fn a_kill_before_the_end_leaves_what_was_held() {
    let disk = Tape::default();
    let mut world = on_tape(&disk);
    let before = world.state();
    let last = SYNCER.pieces.len() - 1;
    for (piece, place) in SYNCER.pieces[..last].iter().zip(0..) {
        world.give_all(std::slice::from_ref(piece));
        if place % 40 != 0 && place + 12 < last {
            continue;
        }
        let copy = disk.copy();
        let mut found = on_tape(&copy);
        assert_eq!((found.state(), found.reader.counts()), (before, (1, 0)), "killed after piece {place}");
        let (held, _) = found.reader.room();
        assert!(held < 2_000, "what is staged is not counted as held: {held}");
        if place == 240 {
            found.goes_on(&SYNCER.pieces);
            found.check_holds_all();
        }
    }
}

#[test]
fn every_torn_write_of_the_end_leaves_the_old_or_the_new() {
    let disk = Tape::default();
    let mut world = on_tape(&disk);
    let before = world.state();
    world.give_all(&SYNCER.pieces);
    let after = world.state();
    let (mut tried, mut new) = (0, 0);
    disk.each_torn(LAST_WRITES, |moment, torn| {
        let mut found = on_tape(&torn);
        let state: State = found.state();
        assert!(state == before || state == after, "change {moment}: {state:?}");
        if state == after && new == 0 {
            found.check_holds_all();
        }
        (tried, new) = (tried + 1, new + u32::from(state == after));
    });
    println!("{tried} images of torn writes, {new} with the import");
    assert!(tried > LAST_WRITES as u32 && new < tried);
    let mut world = on_tape(&disk.copy());
    world.check_holds_all();
}

#[test]
fn a_full_disk_costs_the_import_and_nothing_else() {
    for left in [0, 1, 5, 20, 60] {
        let disk = Tape::default();
        let mut world = on_tape(&disk);
        let before = world.state();
        disk.fail_after(left, ErrorKind::StorageFull);
        let found = SYNCER.pieces.iter().map(|piece| world.give(piece)).find_map(|imported| fault(&imported));
        assert!(matches!(found, Some(ImportFault::NoRoom)), "{left}: {found:?}");
        assert_eq!(world.state(), before);
        disk.heal();
        world.now = world.now.after(Duration::from_millis(500));
        world.goes_on(&SYNCER.pieces);
        world.check_holds_all();
        drop(world);
        on_tape(&disk).check_holds_all();
    }
}

#[test]
fn what_does_not_fit_is_refused_without_blame() {
    for store_bytes in [10_000, 200_000, 600_000] {
        let limits = Limits { store_bytes, ..Limits::default() };
        let mut world = World::open(Config { limits, ..config() });
        let before = world.state();
        let faults: Vec<_> = SYNCER.pieces.iter().filter_map(|piece| fault(&world.give(piece))).collect();
        assert_eq!(faults.first(), Some(&ImportFault::NoRoom), "{store_bytes}");
        assert!(!ImportFault::NoRoom.is_of_sender());
        assert_eq!(world.state(), before);
        assert!(world.reader.room().0 <= store_bytes);
    }
}

#[test]
fn beginnings_without_end_leave_nothing() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("dag.redb");
    let mut world = World::on(&path);
    let blocks_end = SYNCER.position(|piece| *piece == Import::BlocksEnd);
    let room = world.reader.room();
    let size = || std::fs::metadata(&path).map_or(0, |file| file.len());
    let mut largest = 0;
    for turn in 0..12 {
        world.give_all(&[Import::Abandon]);
        world.give_all(&SYNCER.pieces[..=blocks_end]);
        if turn == 3 {
            largest = size();
        }
    }
    assert!(size() <= largest + largest / 2, "{} after {largest}", size());
    world.give_all(&[Import::Abandon]);
    assert_eq!(world.reader.room(), room);
    assert_eq!(fault(&world.give(&Import::OutputsEnd)), Some(ImportFault::OutOfOrder));
    (0..1_000).for_each(|number| world.give_all(&[Import::Begin(point(number))]));
    (0..1_000).for_each(|_| world.give_all(&[Import::Begin(point(1_000))]));
    assert_eq!(world.reader.room(), room);
    world.give_all(&SYNCER.pieces);
    world.check_holds_all();
}

fn point(number: u16) -> polypeer_engine::kit::chain::Hash {
    let [high, low] = number.to_be_bytes();
    let mut hash = polypeer_engine::kit::chain::Hash([9; 32]);
    (hash.0[0], hash.0[1]) = (high, low);
    hash
}

#[test]
fn no_piece_that_is_cut_short_is_a_surprise() {
    let mut seen = Vec::new();
    for (place, piece) in SYNCER.pieces.iter().enumerate() {
        if seen.contains(&std::mem::discriminant(piece)) {
            continue;
        }
        seen.push(std::mem::discriminant(piece));
        for length in [0, 1, 2] {
            let mut world = World::new();
            world.give_all(&SYNCER.pieces[..place]);
            let before = world.state();
            world.give(&cut(piece, length));
            SYNCER.pieces[place..].iter().for_each(|piece| drop(world.give(piece)));
            let state = world.state();
            assert!(state == before || state.sink.hash == SYNCER.sink);
        }
    }
    assert!(seen.len() > 14);
}

/// A piece of one item, of which so many halves are left.
fn cut(piece: &Import, length: usize) -> Import {
    let mut piece = piece.clone();
    let shorten = |items: &mut Vec<Bytes>| {
        items.truncate(length);
        items.iter_mut().for_each(|item| item.truncate(item.len() * length / 2));
    };
    match &mut piece {
        Import::Proof { headers: items, .. }
        | Import::PruningPoints(items)
        | Import::Trusted(items)
        | Import::Blocks(items)
        | Import::Headers(items)
        | Import::Lanes(items)
        | Import::Outputs(items) => shorten(items),
        Import::LanesBegin { metadata, .. } => metadata.truncate(40 * length),
        Import::Bodies(bodies) => bodies.truncate(length),
        _ => {}
    }
    piece
}
