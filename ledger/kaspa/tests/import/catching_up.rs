//! The network's pruning point has moved into a stretch of which the headers are held and the bodies are not.

use crate::again::{Network, body, header_of};
use crate::syncer::SYNCER;
use crate::world::{World, config, fault, is_good};
use bytes::Bytes;
use polypeer_engine::kit::chain::Hash;
use polypeer_kaspa::ledger::{Answer, Branch, Import, ImportFault, Imported, Keep, Progress, Request, State, Status};
use polypeer_kaspa::wire::Header;
use polypeer_ledger_kaspa::{Config, Kaspa};
use polypeer_sim::Tape;
use std::sync::LazyLock;

static NETWORK: LazyLock<Network> = LazyLock::new(Network::deep);

fn hash(block: &Bytes) -> Hash {
    header_of(block).hash()
}

fn sink() -> Hash {
    hash(NETWORK.above.last().expect("blocks above"))
}

fn headers() -> Vec<Bytes> {
    let blocks = NETWORK.before.iter().chain([&NETWORK.block]).chain(&NETWORK.above);
    blocks.map(|block| header_of(block).encode()).collect()
}

/// Gives it all headers, and no body.
fn give_headers(world: &mut World) {
    let headers = headers();
    // The last ones are later than the fixtures' day.
    world.now = world.now.after(std::time::Duration::from_secs(3_600));
    match world.ask(Request::TakeHeaders(headers.clone())) {
        Answer::HeadersTaken { taken, fault: None, .. } => assert_eq!(taken as usize, headers.len()),
        other => panic!("{other:?}"),
    }
}

fn behind(mut world: World) -> World {
    world.give_all(&SYNCER.pieces);
    give_headers(&mut world);
    world
}

fn on_tape(disk: &Tape) -> World {
    let mut world = World::over(Kaspa::open_with_backend(disk.clone(), config()).expect("a whole disk"));
    world.now = world.now.after(std::time::Duration::from_secs(3_600));
    world
}

fn check_caught_up(world: &mut World) {
    let State { sink: leads, header_tip, pruning_point, .. } = world.state();
    assert_eq!((pruning_point, leads.hash, header_tip.hash), (NETWORK.point, NETWORK.point, sink()));
    // What was held is held, and what is missing below is missing for good.
    assert_eq!(world.status(SYNCER.sink), Status::Full);
    assert_eq!(world.status(*SYNCER.chain.last().expect("a pruning point")), Status::Full);
    assert_eq!(world.status(hash(&NETWORK.before[0])), Status::HeaderOnly);
    assert_eq!(world.status(NETWORK.point), Status::Full);
    let missing = world.ask(Request::MissingBodies { of: sink(), count_max: 10_000 });
    assert_eq!(missing, Answer::MissingBodies(NETWORK.above.iter().map(hash).collect()));
    assert_eq!(world.kept(|_| Keep::PruningPoints, 10, 100_000).map(|points| points.len()), Some(4));
    assert_eq!(world.kept(Keep::Outputs, 10, 1_000), Some(Vec::new()));
    let lowest = world.kept(|from| Keep::Proof { level: 0, from: from as u32 }, 1_000, u32::MAX).expect("a proof");
    let last = Header::decode(lowest.last().expect("headers")).expect("a header");
    assert_eq!(last.hash(), NETWORK.point, "the proof is the new one's");
    assert!(world.reader.is_sound());
}

#[test]
fn the_pruning_point_moves_and_bodies_above_it_follow() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("dag.redb");
    let mut world = behind(World::on(&path));
    let before = world.state();
    assert_eq!((before.sink.hash, before.header_tip.hash), (SYNCER.sink, sink()));
    let compare = Import::Compare { known: sink(), point: NETWORK.point };
    assert_eq!(world.give(&compare), Imported::Branch(Branch::CatchUp));
    let pieces = NETWORK.pieces_on_top();
    for piece in &pieces[..pieces.len() - 1] {
        world.give_all(std::slice::from_ref(piece));
        assert_eq!(world.state(), before, "what is held is served until the end");
    }
    world.give_all(&pieces[pieces.len() - 1..]);
    check_caught_up(&mut world);
    assert_eq!(world.give(&compare), Imported::Branch(Branch::Sync));
    drop(world);
    let mut world = World::on(&path);
    world.now = world.now.after(std::time::Duration::from_secs(3_600));
    check_caught_up(&mut world);
    let bodies = NETWORK.above.iter().map(body).collect();
    let Answer::BodiesTaken { fault: None, .. } = world.ask(Request::TakeBodies(bodies)) else { panic!("bodies") };
    let check = |world: &mut World| {
        let state = world.state();
        assert_eq!((state.pruning_point, state.sink.hash, state.header_tip), (NETWORK.point, sink(), state.sink));
        let Answer::Locator(Ok(locator)) = world.ask(Request::ChainLocator { low: None, high: None }) else {
            panic!("a locator")
        };
        assert_eq!((locator[0], locator.last()), (sink(), Some(&NETWORK.point)));
        let request = Request::HeadersBetween { low: NETWORK.point, high: sink(), bytes_max: u32::MAX };
        let Answer::Headers(Ok(page)) = world.ask(request) else { panic!("headers") };
        assert_eq!(page.headers.len(), NETWORK.above.len());
    };
    check(&mut world);
    drop(world);
    let mut world = World::on(&path);
    check(&mut world);
    assert_eq!(world.reader.tips(), [sink()], "the old sink is no tip any more");
}

/// What a fresh node gets from one that caught up: the proof's way, with what is kept and served.
#[test]
fn a_fresh_ledger_imports_what_is_kept() {
    let mut world = behind(World::new());
    world.give_all(&NETWORK.pieces_on_top());
    let bodies = NETWORK.above.iter().map(body).collect();
    world.ask(Request::TakeBodies(bodies));
    let mut fresh = World::new();
    fresh.now = world.now;
    let mut pieces = vec![Import::Begin(NETWORK.point)];
    for level in (0..=250).rev() {
        let headers = world.kept(|from| Keep::Proof { level, from: from as u32 }, 1_000, u32::MAX).expect("a level");
        pieces.push(Import::Proof { level, headers });
    }
    let mut kept = |keep: fn(u64) -> Keep| world.kept(keep, 10_000, u32::MAX).expect("it is kept");
    pieces.extend([Import::ProofEnd, Import::PruningPoints(kept(|_| Keep::PruningPoints))]);
    pieces.extend([Import::Trusted(kept(Keep::Trusted)), Import::TrustedEnd]);
    pieces.extend([Import::Blocks(kept(Keep::Blocks)), Import::BlocksEnd]);
    let metadata = kept(|_| Keep::LanesBegin)[0].slice(..96);
    let request = Request::HeadersBetween { low: NETWORK.point, high: sink(), bytes_max: u32::MAX };
    let Answer::Headers(Ok(page)) = world.ask(request) else { panic!("headers") };
    pieces.extend([Import::Headers(page.headers), Import::LanesBegin { metadata, count: 0 }, Import::OutputsEnd]);
    let Answer::Bodies(bodies) = world.ask(Request::Bodies(NETWORK.above.iter().map(hash).collect())) else {
        panic!("bodies")
    };
    let bodies = NETWORK.above.iter().map(hash).zip(bodies.into_iter().map(|body| body.expect("it is held")));
    pieces.extend([Import::Bodies(bodies.collect()), Import::Finish]);
    fresh.give_all(&pieces);
    assert_eq!(fresh.state().sink, world.state().sink);
    assert_eq!(fresh.state().pruning_point, NETWORK.point);
}

#[test]
fn a_killed_node_goes_on_and_serves_what_it_did_until_the_end() {
    let disk = Tape::default();
    let mut world = behind(on_tape(&disk));
    let before = world.state();
    drop(world);
    let mut world = on_tape(&disk);
    let pieces = NETWORK.pieces_on_top();
    let mut seen = Vec::new();
    for (place, piece) in pieces.iter().enumerate() {
        let is_first_of_levels = matches!(piece, Import::Proof { level, .. } if *level != 100);
        if place > 0 && !is_first_of_levels {
            let copy = disk.copy();
            let mut found = on_tape(&copy);
            assert_eq!(found.state(), before, "killed before piece {place}");
            seen.push(found.goes_on(&pieces));
            check_caught_up(&mut found);
            drop(found);
            check_caught_up(&mut on_tape(&copy));
        }
        world.give_all(std::slice::from_ref(piece));
    }
    seen.dedup();
    let all = Progress { proof: true, base: true, lanes: true, outputs: true };
    let lanes = Progress { lanes: true, ..Progress::default() };
    let outputs = Progress { outputs: true, ..lanes };
    assert_eq!(seen, [Progress::default(), lanes, outputs, Progress { proof: true, ..outputs }, all]);
    let mut moved = 0;
    disk.each_torn(4, |moment, torn| {
        let mut found = on_tape(&torn);
        let state = found.state();
        assert!(state == before || state.pruning_point == NETWORK.point, "change {moment}: {state:?}");
        moved += u32::from(state != before);
        if state != before && moved == 1 {
            check_caught_up(&mut found);
        }
    });
}

#[test]
fn a_full_disk_at_the_end_leaves_what_was_served() {
    for left in [0, 2, 6] {
        let disk = Tape::default();
        let mut world = behind(on_tape(&disk));
        let pieces = NETWORK.pieces_on_top();
        world.give_all(&pieces[..pieces.len() - 1]);
        let before = world.state();
        disk.fail_after(left, std::io::ErrorKind::StorageFull);
        let finished = world.give(&Import::Finish);
        if is_good(&finished) {
            continue;
        }
        assert_eq!((fault(&finished), world.state()), (Some(ImportFault::NoRoom), before), "{left}");
        disk.heal();
        world.now = world.now.after(std::time::Duration::from_secs(1));
        // The commit may have come through at its very end.
        if world.state() == before {
            world.goes_on(&pieces);
        }
        check_caught_up(&mut world);
    }
}

/// Gives the pieces with one changed. Where it was refused, and why; what is held has not changed.
fn refused(change: impl FnOnce(&mut Vec<Import>)) -> (Import, Option<ImportFault>) {
    let mut world = behind(World::new());
    let before = world.state();
    let mut pieces = NETWORK.pieces_on_top();
    change(&mut pieces);
    for piece in pieces {
        let imported = world.give(&piece);
        if !is_good(&imported) {
            assert_eq!(world.state(), before);
            let there = world.goes_on(&NETWORK.pieces_on_top());
            assert_eq!(there.lanes, matches!(piece, Import::OutputsEnd) || there.outputs);
            check_caught_up(&mut world);
            return (piece, fault(&imported));
        }
    }
    panic!("nothing was wrong")
}

#[test]
fn every_check_of_the_state_fails_for_itself() {
    let at = |pieces: &[Import], is_it: fn(&Import) -> bool| pieces.iter().position(is_it).expect("a piece");
    let (piece, fault) = refused(|pieces| {
        let (place, other) = (1, body(&NETWORK.above[0]));
        pieces[place] = Import::Bodies(vec![(NETWORK.point, other.1)]);
    });
    assert!(matches!(piece, Import::Bodies(_)) && fault.is_none(), "the merkle root tells");
    // The body at the pruning point did not come.
    let (_, fault) = refused(|pieces| drop(pieces.drain(1..3)));
    assert_eq!(fault, Some(ImportFault::OutOfOrder));
    let (_, fault) = refused(|pieces| {
        let lanes = at(pieces, |piece| matches!(piece, Import::LanesBegin { .. }));
        pieces[lanes] = Import::LanesBegin { metadata: vec![7; 96].into(), count: 0 };
    });
    assert_eq!(fault, Some(ImportFault::SequencingCommitment));
    let (_, fault) = refused(|pieces| {
        let end = at(pieces, |piece| *piece == Import::OutputsEnd);
        let outputs = SYNCER.all(|piece| match piece {
            Import::Outputs(outputs) => Some(outputs),
            _ => None,
        });
        pieces.insert(end, Import::Outputs(outputs));
    });
    assert_eq!(fault, Some(ImportFault::Outputs));
    let (_, fault) = refused(|pieces| {
        let level = at(pieces, |piece| matches!(piece, Import::Proof { level: 0, .. }));
        let Import::Proof { headers, .. } = &mut pieces[level] else { panic!("a level") };
        headers.swap(5, 6);
    });
    assert_eq!(fault, Some(ImportFault::ProofOrder));
    let (_, fault) = refused(|pieces| {
        let points = at(pieces, |piece| matches!(piece, Import::PruningPoints(_)));
        let Import::PruningPoints(headers) = &mut pieces[points] else { panic!("points") };
        // Ours is not among them.
        headers.remove(2);
    });
    assert_eq!(fault, Some(ImportFault::PruningPoints));
    let (_, fault) = refused(|pieces| {
        let trusted = at(pieces, |piece| matches!(piece, Import::Trusted(_)));
        let Import::Trusted(blocks) = &mut pieces[trusted] else { panic!("trusted blocks") };
        blocks.truncate(10);
    });
    assert!(matches!(fault, Some(ImportFault::Trusted | ImportFault::Blocks)), "{fault:?}");
    let (_, fault) = refused(|pieces| {
        drop(pieces.drain(at(pieces, |piece| matches!(piece, Import::PruningPoints(_)))..pieces.len() - 1))
    });
    assert_eq!(fault, Some(ImportFault::Incomplete));
}

/// What the headers do not make a pruning point is none.
#[test]
fn a_pruning_point_that_the_headers_do_not_show_is_refused() {
    let mut world = behind(World::new());
    let sink = sink();
    let catch_up = |point: Hash, sink: Hash| Import::CatchUp { point, sink };
    let at = |place: usize| hash(&NETWORK.above[place]);
    let before = NETWORK.before.last().map(hash).expect("blocks before");
    for (what, piece) in [
        ("not the first beyond a multiple", catch_up(at(0), sink)),
        ("not the first, below", catch_up(before, sink)),
        ("not deep enough", catch_up(NETWORK.point, at(600))),
        ("deep, and named by nobody", catch_up(NETWORK.point, at(NETWORK.above.len() - 2))),
        ("above the sink", catch_up(NETWORK.point, before)),
        ("unknown", catch_up(Hash([3; 32]), sink)),
        ("an unknown sink", catch_up(NETWORK.point, Hash([3; 32]))),
    ] {
        assert_eq!(world.give(&piece), Imported::Begun(Err(ImportFault::Path)), "{what}");
    }
    // One whose body is held is nothing to catch up with.
    let held = world.give(&catch_up(SYNCER.sink, sink));
    assert_eq!(held, Imported::Begun(Err(ImportFault::ProofPoint)));
    world.give_all(&NETWORK.pieces_on_top());
    check_caught_up(&mut world);
}

#[test]
fn branches_are_told_apart() {
    let mut world = behind(World::new());
    let base = *SYNCER.chain.last().expect("a pruning point");
    let genesis = world.state().genesis;
    let points = SYNCER.all(|piece| match piece {
        Import::PruningPoints(headers) => Some(headers),
        _ => None,
    });
    let last_before = Header::decode(&points[points.len() - 2]).expect("a header").hash();
    let mut branch = |known: Hash, point: Hash| match world.give(&Import::Compare { known, point }) {
        Imported::Branch(branch) => branch,
        other => panic!("{other:?}"),
    };
    assert_eq!(branch(sink(), base), Branch::Sync);
    assert_eq!(branch(SYNCER.sink, SYNCER.sink), Branch::Sync, "its body is held");
    assert_eq!(branch(SYNCER.sink, last_before), Branch::Sync, "it lags");
    assert_eq!(branch(sink(), NETWORK.point), Branch::CatchUp);
    assert_eq!(branch(sink(), Hash([3; 32])), Branch::Strange);
    assert_eq!(branch(genesis, genesis), Branch::Conflict, "ours is not in what is shared");
    assert_eq!(branch(Hash([3; 32]), base), Branch::Conflict);
}

/// A producer goes on above the new pruning point, and not on what is below.
#[test]
fn what_is_made_stands_on_the_new_pruning_point() {
    let producer = polypeer_ledger_kaspa::Producer {
        script: vec![0x51],
        interval: std::time::Duration::from_millis(100),
        seed: [8; 32],
    };
    let mut world = behind(World::open(Config { producer: Some(producer), ..config() }));
    world.give_all(&NETWORK.pieces_on_top());
    let end = world.now.after(std::time::Duration::from_secs(2));
    let blocks = crate::above::run(&mut world, end);
    assert!(blocks.len() > 5);
    assert_eq!(header_of(&blocks[0]).direct_parents(), [NETWORK.point]);
    assert_eq!(world.state().sink.hash, hash(blocks.last().expect("blocks")));
}
