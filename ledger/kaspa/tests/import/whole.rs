//! Imports that come to their end.

use crate::syncer::SYNCER;
use crate::world::{World, is_good};
use polypeer_kaspa::ledger::{Answer, BlockOutcome, Import, ImportFault, Imported, Request, Status};
use polypeer_kaspa::wire::{BlockBody, BlockView, Header, TransactionView, join};
use polypeer_ledger_kaspa::BlockKey;

#[test]
fn an_import_ends_at_the_syncers_sink() {
    let mut world = World::new();
    let genesis = world.state();
    for piece in &SYNCER.pieces {
        if *piece == Import::Finish {
            break;
        }
        let imported = world.give(piece);
        assert!(is_good(&imported), "{imported:?}");
        if let Imported::Proof(point) = imported {
            assert_eq!(point.as_ref().ok(), SYNCER.chain.last());
        }
        assert_eq!(world.state(), genesis, "what is held is served until the end");
    }
    let Imported::Finished(Ok(state)) = world.give(&Import::Finish) else { panic!("it is whole") };
    assert_eq!((state.sink.hash, state.genesis), (SYNCER.sink, genesis.genesis));
    assert_eq!(Some(&state.pruning_point), SYNCER.chain.last());
    world.check_holds_all();
}

#[test]
fn what_is_above_the_base_is_served_as_the_syncer_served_it() {
    let mut world = World::imported();
    let locator = world.ask(Request::BlockLocator { high: SYNCER.sink, limit: SYNCER.locator.len() as u32 });
    assert_eq!(locator, Answer::Locator(Ok(SYNCER.locator.clone())));
    let base = world.state().pruning_point;
    let request = Request::HeadersBetween { low: base, high: SYNCER.sink, bytes_max: u32::MAX };
    let Answer::Headers(Ok(page)) = world.ask(request) else { panic!("headers") };
    assert_eq!(page.reached, SYNCER.sink);
    assert_eq!(page.headers, SYNCER.headers);
    let hash = |bytes: &bytes::Bytes| Header::decode(bytes).map(|header| header.hash());
    let known = hash(&SYNCER.headers[SYNCER.headers.len() - 10]).expect("a header");
    let request = Request::Antipast { block: known, context: SYNCER.sink, count_max: 992 };
    let Answer::Headers(Ok(antipast)) = world.ask(request) else { panic!("headers") };
    assert!(!antipast.headers.is_empty() && antipast.headers.iter().all(|header| SYNCER.headers.contains(header)));
    let request = Request::Antipast { block: base, context: SYNCER.sink, count_max: 992 };
    let Answer::Headers(Ok(antipast)) = world.ask(request) else { panic!("headers") };
    // All of them, and the other blocks at the base.
    assert!(SYNCER.headers.iter().all(|header| antipast.headers.contains(header)));
    assert_eq!(world.ask(Request::MissingBodies { of: SYNCER.sink, count_max: 10 }), Answer::MissingBodies(Vec::new()));
}

#[test]
fn blocks_at_the_base_are_served_and_those_below_are_not() {
    let mut world = World::imported();
    let blocks = SYNCER.all(|piece| match piece {
        Import::Blocks(blocks) => Some(blocks),
        _ => None,
    });
    let view = |block: &bytes::Bytes| {
        let view = BlockView::decode(block).expect("a block");
        (view.header().expect("a header").hash(), view.transaction_count)
    };
    let mut full = 0;
    for block in &blocks {
        let (hash, transactions) = view(block);
        let expected = (transactions > 0).then(|| block.clone());
        full += u32::from(transactions > 0);
        assert_eq!(world.ask(Request::Blocks(vec![hash])), Answer::Blocks(vec![expected]));
        assert_eq!(world.status(hash) == Status::Full, transactions > 0);
    }
    assert_eq!((full, blocks.len()), (3, 92));
    check_reader(&world);
}

/// What an API shows.
fn check_reader(world: &World) {
    let reader = &world.reader;
    let base = reader.state().pruning_point;
    let chain = reader.chain(10_000);
    assert_eq!(chain.last().map(|standing| standing.hash), Some(base));
    let shown = reader.block(&BlockKey::Hash(base)).expect("the pruning point");
    assert!(shown.is_on_chain && shown.transactions.len() == 1);
    assert_eq!(Some(shown.parents), shown_parents(&shown.bytes));
    let lowest = reader.block(&BlockKey::BlueScore(1)).expect("the lowest block that is held");
    assert_eq!(lowest.standing.hash, base);
    let (headers, waiting) = reader.counts();
    // Those above, the three at the base and the first block of all.
    assert_eq!((headers, waiting), (SYNCER.headers.len() as u64 + 2, 0));
    let last = &SYNCER.bodies.last().expect("a body").1;
    let body = BlockBody::decode(last).expect("a body");
    let coinbase = TransactionView::decode(body.0.slices().next().expect("a coinbase")).expect("a transaction").id();
    assert!(reader.transaction(&coinbase).is_none(), "an import's transactions are no news");
}

fn shown_parents(block: &bytes::Bytes) -> Option<Vec<polypeer_engine::kit::chain::Hash>> {
    let header = BlockView::decode(block).and_then(|view| view.header()).ok()?;
    Some(header.direct_parents().to_vec())
}

#[test]
fn blocks_above_an_import_are_judged_as_ever_after_a_restart_too() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("dag.redb");
    let above = 40;
    let held = SYNCER.headers.len() - above;
    {
        let mut world = World::on(&path);
        for piece in &SYNCER.pieces {
            match piece {
                Import::Headers(headers) => world.give_all(&[Import::Headers(headers[..held].to_vec())]),
                Import::Bodies(_) => {}
                Import::Finish => {
                    let bodies = SYNCER.bodies.iter().take(held - above).cloned().collect();
                    world.give_all(&[Import::Bodies(bodies), Import::Finish]);
                }
                piece => world.give_all(std::slice::from_ref(piece)),
            }
        }
    }
    let mut world = World::on(&path);
    let state = world.state();
    assert!(state.header_tip.blue_score > state.sink.blue_score && state.sink.blue_score > 1_000, "{state:?}");
    let rest = SYNCER.headers[held..].to_vec();
    let Answer::HeadersTaken { taken, fault: None, .. } = world.ask(Request::TakeHeaders(rest)) else {
        panic!("headers")
    };
    assert_eq!(taken as usize, above);
    let bodies = SYNCER.bodies.clone();
    let Answer::BodiesTaken { fault: None, .. } = world.ask(Request::TakeBodies(bodies)) else { panic!("bodies") };
    world.check_holds_all();
    drop(world);
    World::on(&path).check_holds_all();
}

#[test]
fn a_block_above_an_import_that_lies_is_refused() {
    let mut world = World::new();
    let held = SYNCER.headers.len() - 1;
    for piece in &SYNCER.pieces {
        match piece {
            Import::Headers(headers) => world.give_all(&[Import::Headers(headers[..held].to_vec())]),
            Import::Bodies(bodies) => {
                let bodies = bodies.iter().filter(|(hash, _)| *hash != SYNCER.sink).cloned().collect();
                world.give_all(&[Import::Bodies(bodies)]);
            }
            piece => world.give_all(std::slice::from_ref(piece)),
        }
    }
    let header = Header::decode(&SYNCER.headers[held]).expect("a header");
    let (_, body) = SYNCER.bodies.iter().find(|(hash, _)| *hash == SYNCER.sink).expect("the sink's body");
    let mut take = |change: fn(&mut Header)| {
        let mut header = header.clone();
        change(&mut header);
        let block = join(&header.encode(), body).expect("a block");
        match world.ask(Request::TakeBlock(block)) {
            Answer::BlockTaken { outcome, .. } => outcome,
            other => panic!("{other:?}"),
        }
    };
    let lies: [fn(&mut Header); 4] =
        [|it| it.blue_score += 1, |it| it.daa_score += 1, |it| it.bits -= 1, |it| it.blue_work.0[23] ^= 1];
    for lie in lies {
        assert!(matches!(take(lie), BlockOutcome::Invalid(_)));
    }
    assert_eq!(take(|_| {}), BlockOutcome::Accepted);
    world.check_holds_all();
}

#[test]
fn an_import_needs_every_part_and_each_in_its_turn() {
    let mut world = World::new();
    assert_eq!(world.give(&Import::Finish), Imported::Finished(Err(ImportFault::OutOfOrder)));
    assert_eq!(world.give(&Import::ProofEnd), Imported::Proof(Err(ImportFault::OutOfOrder)));
    let outputs_end = SYNCER.position(|piece| *piece == Import::OutputsEnd);
    world.give_all(&SYNCER.pieces[..outputs_end]);
    assert_eq!(world.give(&Import::Finish), Imported::Finished(Err(ImportFault::Incomplete)));
    world.give_all(&SYNCER.pieces[outputs_end..]);
    world.check_holds_all();
    // Once more would be the same pruning point.
    let proof_end = SYNCER.position(|piece| *piece == Import::ProofEnd);
    world.give_all(&SYNCER.pieces[..proof_end]);
    let again = world.give(&Import::ProofEnd);
    assert_eq!(again, Imported::Proof(Err(ImportFault::ProofPoint)));
    world.check_holds_all();
}

#[test]
fn an_import_answers_what_is_staged_of_it() {
    let mut world = World::new();
    let lanes = SYNCER.position(|piece| matches!(piece, Import::LanesBegin { .. }));
    world.give_all(&SYNCER.pieces[..lanes]);
    let base = *SYNCER.chain.last().expect("a pruning point");
    let statuses = world.give(&Import::Statuses(vec![base, SYNCER.sink, polypeer_engine::kit::chain::Hash([3; 32])]));
    assert_eq!(statuses, Imported::Statuses(vec![Status::Full, Status::HeaderOnly, Status::Unknown]));
    let Imported::MissingBodies(missing) = world.give(&Import::MissingBodies { of: SYNCER.sink, count_max: 2_000 })
    else {
        panic!("missing bodies")
    };
    let wanted: std::collections::BTreeSet<_> = SYNCER.bodies.iter().map(|(hash, _)| *hash).collect();
    assert_eq!(missing.iter().copied().collect::<std::collections::BTreeSet<_>>(), wanted);
    // What is served knows nothing of it.
    assert_eq!(world.status(base), Status::Unknown);
}
