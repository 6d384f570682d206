//! An import that was broken off goes on: stages that were whole come once.

use crate::syncer::SYNCER;
use crate::world::{World, config, fault, is_good, is_there};
use polypeer_engine::kit::chain::Hash;
use polypeer_kaspa::ledger::{Import, ImportFault, Imported, Progress, Status};
use polypeer_ledger_kaspa::Kaspa;
use polypeer_sim::Tape;

fn on_tape(disk: &Tape) -> World {
    World::over(Kaspa::open_with_backend(disk.clone(), config()).expect("a whole disk"))
}

/// Which stages are whole after the pieces before this place.
fn whole_before(place: usize) -> Progress {
    let last = |is_it: fn(&Import) -> bool| SYNCER.pieces.iter().rposition(is_it).expect("there are some") < place;
    Progress {
        proof: last(|piece| *piece == Import::ProofEnd),
        base: last(|piece| *piece == Import::BlocksEnd),
        lanes: last(|piece| matches!(piece, Import::Lanes(_))),
        outputs: last(|piece| *piece == Import::OutputsEnd),
    }
}

/// Places at which a node is killed: around each end of a stage, and within each.
fn places() -> Vec<usize> {
    let pieces = &SYNCER.pieces;
    let kind = |place: usize| std::mem::discriminant(&pieces[place]);
    let ends = (1..pieces.len()).filter(|place| kind(place - 1) != kind(*place));
    let mut places: Vec<usize> = ends.flat_map(|place| [place, place + 1]).chain([120, 300]).collect();
    places.retain(|place| *place > 0 && *place < pieces.len());
    places.sort_unstable();
    places.dedup();
    places
}

#[test]
fn a_killed_node_goes_on_with_the_stage_that_was_not_whole() {
    let places = places();
    let disk = Tape::default();
    let mut world = on_tape(&disk);
    let before = world.state();
    let mut seen = Vec::new();
    for (place, piece) in SYNCER.pieces.iter().enumerate() {
        if places.contains(&place) {
            let copy = disk.copy();
            let mut found = on_tape(&copy);
            assert_eq!((found.state(), found.reader.counts()), (before, (1, 0)), "nothing of it is served");
            let there = found.goes_on(&SYNCER.pieces);
            assert_eq!(there, whole_before(place), "killed before piece {place}");
            found.check_holds_all();
            drop(found);
            on_tape(&copy).check_holds_all();
            seen.push(there);
        }
        world.give_all(std::slice::from_ref(piece));
    }
    seen.dedup();
    // Nothing, then one stage more each time.
    assert_eq!(seen.len(), 5, "{seen:?}");
}

#[test]
fn whatever_write_a_kill_tears_a_stage_is_whole_or_comes_anew() {
    for end in [Import::ProofEnd, Import::BlocksEnd, Import::OutputsEnd] {
        let disk = Tape::default();
        let mut world = on_tape(&disk);
        let place = SYNCER.position(|piece| *piece == end);
        world.give_all(&SYNCER.pieces[..=place]);
        let expected = [whole_before(place), whole_before(place + 1)];
        let mut tried = 0;
        disk.each_torn(4, |moment, torn| {
            let mut found = on_tape(&torn);
            let Imported::Begun(Ok(there)) = found.give(&SYNCER.pieces[0]) else { panic!("it does not begin") };
            assert!(expected.contains(&there), "{end:?}, change {moment}: {there:?}");
            if tried == 0 {
                found.goes_on(&SYNCER.pieces);
                found.check_holds_all();
            }
            tried += 1;
        });
        assert!(tried > 4);
    }
}

/// Another peer has the same pruning point: it goes on where the first stopped, in the middle of any stage.
#[test]
fn another_source_is_asked_for_what_is_missing() {
    for place in places().into_iter().step_by(3) {
        let mut world = World::new();
        world.give_all(&SYNCER.pieces[..place]);
        let there = world.goes_on(&SYNCER.pieces);
        assert_eq!(there, whole_before(place));
        assert!(SYNCER.pieces[..place].iter().filter(|piece| is_there(piece, there)).count() <= place);
        world.check_holds_all();
    }
}

#[test]
fn headers_and_bodies_that_came_are_there_after_a_kill() {
    let disk = Tape::default();
    let mut world = on_tape(&disk);
    let finish = SYNCER.pieces.len() - 1;
    world.give_all(&SYNCER.pieces[..finish]);
    // The next stage's end, or many pieces more, would have made them durable.
    drop(world);
    let mut found = on_tape(&disk);
    found.give_all(&SYNCER.pieces[..1]);
    let Imported::Statuses(statuses) = found.give(&Import::Statuses(vec![SYNCER.sink])) else { panic!("statuses") };
    assert_ne!(statuses, [Status::Unknown], "headers came before the lanes");
    found.goes_on(&SYNCER.pieces);
    found.check_holds_all();
}

/// The pruning point has moved: of the one before nothing is left, and it takes no room.
#[test]
fn another_pruning_point_begins_anew() {
    let mut world = World::new();
    let outputs_end = SYNCER.position(|piece| *piece == Import::OutputsEnd);
    world.give_all(&SYNCER.pieces[..=outputs_end]);
    let other = Import::Begin(Hash([5; 32]));
    assert_eq!(world.give(&other), Imported::Begun(Ok(Progress::default())));
    assert_eq!(world.goes_on(&SYNCER.pieces), Progress::default());
    world.check_holds_all();
    // A proof of another pruning point than was asked for is one of that: whoever asks for that one finds it.
    let mut world = World::new();
    world.give_all(&[other]);
    let proof_end = SYNCER.position(|piece| *piece == Import::ProofEnd);
    world.give_all(&SYNCER.pieces[1..=proof_end]);
    assert_eq!(world.goes_on(&SYNCER.pieces), Progress { proof: true, ..Progress::default() });
    world.check_holds_all();
}

/// A faulty stage costs itself where what is judged stands alone, and all of an import where it hangs together.
#[test]
fn a_fault_costs_no_more_than_it_may_have_spoiled() {
    let wrong = |world: &mut World, place: usize| {
        world.give_all(&SYNCER.pieces[..place]);
        let piece = match &SYNCER.pieces[place] {
            Import::OutputsEnd => Import::OutputsEnd,
            Import::LanesBegin { metadata, count } => {
                Import::LanesBegin { metadata: metadata.clone(), count: count + 1 }
            }
            Import::Blocks(_) => Import::Blocks(vec![bytes::Bytes::from_static(&[0xff])]),
            other => panic!("{other:?}"),
        };
        let mut imported = world.give(&piece);
        if is_good(&imported) {
            // One lane too many is wanted.
            imported = world.give(&SYNCER.pieces[place + 1]);
            let more = world.give(&SYNCER.pieces[place + 1]);
            imported = if is_good(&imported) { more } else { imported };
        }
        fault(&imported)
    };
    let lanes = SYNCER.position(|piece| matches!(piece, Import::LanesBegin { .. }));
    let mut world = World::new();
    assert_eq!(wrong(&mut world, lanes), Some(ImportFault::Lanes));
    let there = world.goes_on(&SYNCER.pieces);
    assert_eq!(there, Progress { proof: true, base: true, ..Progress::default() });
    world.check_holds_all();

    let first = SYNCER.position(|piece| matches!(piece, Import::Outputs(_)));
    let end = SYNCER.position(|piece| *piece == Import::OutputsEnd);
    let mut world = World::new();
    world.give_all(&SYNCER.pieces[..first]);
    assert_eq!(fault(&world.give(&SYNCER.pieces[end])), Some(ImportFault::Outputs));
    let there = world.goes_on(&SYNCER.pieces);
    assert_eq!(there, Progress { proof: true, base: true, lanes: true, outputs: false });
    world.check_holds_all();

    let blocks = SYNCER.position(|piece| matches!(piece, Import::Blocks(_)));
    let mut world = World::new();
    assert_eq!(wrong(&mut world, blocks), Some(ImportFault::Malformed));
    assert_eq!(world.goes_on(&SYNCER.pieces), Progress::default());
    world.check_holds_all();
}
