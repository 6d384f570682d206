//! A peer whose pruning point is one of which the header is held and the body is not (Kaspa spec, sections 4.6.3 and
//! 4.6.4, the kind CatchUp).

use crate::catching_up::{ahead, behind, everything, is};
use crate::dag::{body_of, hash_of};
use crate::make;
use crate::recorded::said_ahead;
use crate::stage::*;
use crate::syncer::{Syncer, list};
use crate::toy::Refuses;
use bytes::Bytes;
use polypeer_engine::ConnectionId;
use polypeer_kaspa::ledger::{BlockOutcome, Branch, Fault, Hash, Import, ImportFault};
use polypeer_kaspa::wire::{Envelope, Kind, OneHash, SmtMetadata};
use std::collections::BTreeSet;

const A: &str = "10.0.0.9:40000";
const B: &str = "10.0.0.8:40000";
/// Where the peer's pruning point stands, and how many blocks are held in full: it is none of those.
const POINT: usize = 800;
const HELD: usize = 300;

fn point() -> Hash {
    // On the selected chain, as a pruning point is.
    let chain: BTreeSet<Hash> = everything().dag.chain(&everything().dag.sink()).into_iter().collect();
    let mut above = make::dag()[POINT..].iter().map(|block| hash_of(block));
    above.find(|hash| chain.contains(hash)).expect("a block of the chain")
}

/// Everything that a node of the network has to say of its pruning point. The toy judges none of it.
fn pruned() -> Syncer {
    let mut syncer = everything();
    syncer.dag.point = Some(point());
    let said = |kinds: &[Kind]| -> Vec<(Kind, Bytes)> {
        kinds
            .iter()
            .map(|kind| (*kind, said_ahead(*kind).first().map_or_else(Bytes::new, |body| (*body).clone())))
            .collect()
    };
    let lanes = said_ahead(Kind::SmtLaneChunk)[0].clone();
    let count = polypeer_kaspa::wire::decode_lanes(&lanes).expect("lanes").len() as u64;
    let metadata = SmtMetadata::decode(said_ahead(Kind::SmtMetadata)[0]).expect("metadata");
    let metadata = SmtMetadata { lane_count: count, ..metadata }.encode();
    syncer
        .pruned
        .insert(Kind::RequestPruningPointSmtState, vec![(Kind::SmtMetadata, metadata), (Kind::SmtLaneChunk, lanes)]);
    let outputs = [Kind::PruningPointUtxoSetChunk, Kind::DonePruningPointUtxoSetChunks];
    syncer.pruned.insert(Kind::RequestPruningPointUtxoSet, said(&outputs));
    let proof = [Kind::PruningPointProofChunk, Kind::PruningPointProofChunksEnd];
    syncer.pruned.insert(Kind::RequestPruningPointProof, said(&proof));
    let blocks = [
        Kind::PruningPoints,
        Kind::TrustedDataChunk,
        Kind::TrustedDataChunksEnd,
        Kind::BlockWithTrustedDataV4,
        Kind::DoneBlocksWithTrustedData,
    ];
    syncer.pruned.insert(Kind::RequestPruningPointAndItsAnticone, said(&blocks));
    syncer
}

/// A node that holds some blocks and all headers.
fn with_headers() -> Setting {
    let mut setting = behind(HELD);
    for block in &make::dag()[HELD..] {
        setting.ledger.dag.take_header(&crate::dag::header_bytes(block));
    }
    setting.ledger.proof = Ok(point());
    setting
}

fn check_caught_up(stage: &mut Stage, syncer: &Syncer) {
    let state = stage.ledger.dag.state();
    assert_eq!((state.sink.hash, state.pruning_point), (syncer.dag.sink(), point()));
    assert!(!stage.engine.protocol().is_syncing());
    let told = stage.engine.protocol().state().map(|state| (state.sink.hash, state.pruning_point));
    assert_eq!(told, Some((syncer.dag.sink(), point())));
}

/// Headers that are not held come first, as in every sync. Then what stands at the new pruning point, in the spec's order;
/// what a fresh node will ask us for; and bodies above.
#[test]
fn the_new_pruning_point_is_caught_up_with_in_the_specs_order() {
    // The peer's newest headers are not held.
    let mut setting = behind(HELD);
    for block in &make::dag()[HELD..1_000] {
        setting.ledger.dag.take_header(&crate::dag::header_bytes(block));
    }
    setting.ledger.proof = Ok(point());
    story_of(&setting, |stage| {
        let mut syncer = pruned();
        let peer = ahead(stage, A, &syncer);
        let is_state = is(Kind::RequestPruningPointSmtState);
        let request = syncer.serves_until(stage, peer, is_state).expect("the lanes");
        assert_eq!(OneHash::decode(&request.body), Ok(OneHash(point())));
        assert_eq!(syncer.bodies_given, [point()], "the bodies at the pruning point come first");
        assert_eq!(stage.ledger.dag.state().pruning_point, hash_of(make::genesis()), "it has not moved yet");
        stage.has_not_heard(peer, &[request]);
        syncer.serves(stage, peer);
        let mut order = syncer.asked.clone();
        order.dedup();
        let phases = [
            Kind::RequestRelayBlocks,
            Kind::RequestBlockLocator,
            Kind::RequestIbdChainBlockLocator,
            Kind::RequestHeaders,
            Kind::RequestNextHeaders,
            Kind::RequestBlockBodies,
            Kind::RequestPruningPointSmtState,
            Kind::RequestPruningPointUtxoSet,
            Kind::RequestPruningPointProof,
            Kind::RequestPruningPointAndItsAnticone,
            Kind::RequestBlockBodies,
        ];
        assert_eq!(order, phases);
        check_caught_up(stage, &syncer);
        let below = syncer.dag.past(&point());
        let given: BTreeSet<Hash> = syncer.bodies_given.iter().copied().collect();
        assert_eq!(given.len(), syncer.bodies_given.len(), "none twice");
        let needless: Vec<_> = given.iter().filter(|hash| below.contains(hash) && **hash != point()).collect();
        assert!(needless.is_empty(), "nobody has bodies below: {needless:?}");
        let held = make::dag()[..HELD].iter().all(|block| stage.ledger.dag.block(&hash_of(block)).is_some());
        assert!(held, "what was held stays");
        let imported = stage.ledger.imported.as_ref().expect("what is served of it");
        assert!(!imported.proof.is_empty() && !imported.blocks.is_empty() && !imported.lanes.is_empty());
        assert!(stage.notes().iter().any(|note| note.starts_with("catching up with the pruning point")));
        stage.is_well(peer);
    });
}

/// One whose pruning point is held in full, or is one of the last before ours, is synced with as ever.
#[test]
fn a_pruning_point_that_is_held_or_lags_needs_nothing() {
    story_of(&behind(HELD), |stage| {
        let mut syncer = everything();
        syncer.dag.point = Some(hash_of(&make::dag()[1]));
        stage.ledger.branch = Some(Branch::Sync);
        let peer = ahead(stage, A, &syncer);
        syncer.serves(stage, peer);
        assert_eq!(stage.ledger.dag.sink(), syncer.dag.sink());
        assert!(stage.ledger.imported.is_none());
    });
}

fn until(kind: Kind, tell: impl Fn(&mut Stage, &mut Syncer, ConnectionId, &Envelope)) {
    story_of(&with_headers(), |stage| {
        let mut syncer = pruned();
        let peer = ahead(stage, A, &syncer);
        let request = syncer.serves_until(stage, peer, is(kind)).expect("it is asked");
        let before = stage.ledger.dag.state();
        tell(stage, &mut syncer, peer, &request);
        if !stage.engine.protocol().is_syncing() && stage.ledger.imported.is_none() {
            assert_eq!(stage.ledger.dag.state(), before, "what was held stays");
        }
    });
}

fn answers(stage: &mut Stage, syncer: &mut Syncer, peer: ConnectionId, request: &Envelope) {
    for (kind, body, id) in syncer.answer(request) {
        stage.answers(peer, kind, &body, id);
    }
}

/// Each check that fails ends it, with the blame that it deserves; what is held stays, and another source is asked for no
/// more than is missing.
#[test]
fn each_check_that_fails_has_its_blame() {
    let checks: [(Kind, Refuses, ImportFault); 7] = [
        (
            Kind::RequestPruningPointSmtState,
            |it| matches!(it, Import::LanesBegin { .. }),
            ImportFault::SequencingCommitment,
        ),
        (Kind::RequestPruningPointSmtState, |it| matches!(it, Import::Lanes(_)), ImportFault::Lanes),
        (Kind::RequestPruningPointUtxoSet, |it| *it == Import::OutputsEnd, ImportFault::Outputs),
        (Kind::RequestPruningPointProof, |it| matches!(it, Import::Proof { .. }), ImportFault::Level),
        (
            Kind::RequestPruningPointAndItsAnticone,
            |it| matches!(it, Import::PruningPoints(_)),
            ImportFault::PruningPoints,
        ),
        (Kind::RequestPruningPointAndItsAnticone, |it| matches!(it, Import::Trusted(_)), ImportFault::Malformed),
        (Kind::RequestPruningPointAndItsAnticone, |it| matches!(it, Import::Blocks(_)), ImportFault::Body),
    ];
    for (kind, refuses, fault) in checks {
        until(kind, |stage, syncer, peer, request| {
            stage.ledger.refuses = Some((refuses, fault));
            answers(stage, syncer, peer, request);
            stage.is_rejected(peer, fault.text());
            assert!(stage.severity(A).is_some(), "{fault:?}");
            let mut other = pruned();
            let next = ahead(stage, B, &other);
            other.serves(stage, next);
            check_caught_up(stage, &other);
            assert_eq!(stage.severity(B), None);
        });
    }
    // The headers do not make it a pruning point.
    story_of(&with_headers(), |stage| {
        stage.ledger.path = Some(ImportFault::Path);
        let mut syncer = pruned();
        let peer = ahead(stage, A, &syncer);
        syncer.serves(stage, peer);
        stage.is_rejected(peer, ImportFault::Path.text());
        assert!(stage.severity(A).is_some());
    });
    // There is no room, or more work is held by now: nobody's fault.
    for fault in [ImportFault::NoRoom, ImportFault::ProofWork] {
        until(Kind::RequestPruningPointUtxoSet, |stage, syncer, peer, request| {
            stage.ledger.refuses = Some((|it| *it == Import::OutputsEnd, fault));
            answers(stage, syncer, peer, request);
            assert!(stage.is_open(peer) && !stage.engine.protocol().is_syncing());
            assert_eq!((stage.severity(A), stage.slips(peer)), (None, 0));
        });
    }
}

#[test]
fn a_body_at_the_pruning_point_that_is_wrong_is_its_senders_fault() {
    until(Kind::RequestBlockBodies, |stage, _, peer, request| {
        let other = body_of(&make::dag()[5]);
        stage.answers(peer, Kind::BlockBody, &other, request.request_id);
        stage.is_rejected(peer, Fault::MerkleRoot.text());
        assert!(stage.severity(A).is_some());
    });
    until(Kind::RequestBlockBodies, |stage, _, peer, request| {
        stage.answers(peer, Kind::BlockBody, &[], request.request_id);
        stage.is_rejected(peer, &format!("sent empty block body for block {}", point()));
    });
    until(Kind::RequestBlockBodies, |stage, _, peer, _| {
        stage.wait(seconds(120));
        stage.is_rejected(peer, "timeout expired after 120s");
        assert_eq!(stage.severity(A), None);
    });
}

/// A header on the way that is wrong is refused as in every sync, before anything of the pruning point is asked for.
#[test]
fn headers_are_judged_before_the_pruning_point() {
    story_of(&behind(HELD), |stage| {
        stage.ledger.branch = Some(Branch::CatchUp);
        let bad = hash_of(&make::dag()[HELD + 10]);
        stage.ledger.outcomes.insert(bad, BlockOutcome::Invalid(Fault::BlueWork));
        let mut syncer = pruned();
        let peer = ahead(stage, A, &syncer);
        // It shares no entry of its locator: only the genesis of a longer one.
        syncer.dag.point = None;
        syncer.serves(stage, peer);
        stage.is_rejected(peer, Fault::BlueWork.text());
        assert!(stage.severity(A).is_some() && !syncer.asked.contains(&Kind::RequestPruningPointSmtState));
    });
}

/// Stages in the order in which they are asked for.
const STAGES: [Kind; 4] = [
    Kind::RequestPruningPointSmtState,
    Kind::RequestPruningPointUtxoSet,
    Kind::RequestPruningPointProof,
    Kind::RequestPruningPointAndItsAnticone,
];

#[test]
fn another_source_goes_on_where_one_stopped() {
    for (done, kind) in STAGES.into_iter().enumerate() {
        for begins in [false, true] {
            until(kind, |stage, syncer, peer, request| {
                if begins {
                    let words = syncer.answer(request);
                    let (kind, body, id) = &words[0];
                    stage.answers(peer, *kind, body, *id);
                }
                stage.hang_up(peer);
                let mut other = pruned();
                let next = ahead(stage, B, &other);
                other.serves(stage, next);
                check_caught_up(stage, &other);
                assert!(!STAGES[..done].iter().any(|stage| other.asked.contains(stage)), "{kind:?}: {:?}", other.asked);
                assert!(STAGES[done..].iter().all(|stage| other.asked.contains(stage)), "{kind:?}: {:?}", other.asked);
                assert!(!other.bodies_given.contains(&point()), "its body came already");
            });
        }
    }
}

/// A node that is started again with what was staged goes on.
#[test]
fn a_restart_goes_on_from_what_is_staged() {
    until(Kind::RequestPruningPointProof, |stage, _, _, _| {
        let mut again = Stage::new(Setting { ledger: stage.ledger.clone(), ..with_headers() });
        let mut syncer = pruned();
        let peer = ahead(&mut again, A, &syncer);
        syncer.serves(&mut again, peer);
        check_caught_up(&mut again, &syncer);
        assert!(!syncer.asked.contains(&Kind::RequestPruningPointUtxoSet));
    });
}

/// The source's pruning point moves on under way: what is of the new one is fetched, and no header comes again.
#[test]
fn a_source_whose_pruning_point_moves_is_gone_on_with() {
    until(Kind::RequestPruningPointUtxoSet, |stage, syncer, peer, _| {
        let chain: BTreeSet<Hash> = syncer.dag.chain(&syncer.dag.sink()).into_iter().collect();
        let mut later = make::dag()[POINT + 100..].iter().map(|block| hash_of(block));
        let moved = later.find(|hash| chain.contains(hash)).expect("a block of the chain");
        syncer.dag.point = Some(moved);
        stage.ledger.proof = Ok(moved);
        syncer.asked.clear();
        stage.says(peer, Kind::UnexpectedPruningPoint, &[]);
        syncer.serves(stage, peer);
        let state = stage.ledger.dag.state();
        assert_eq!((state.sink.hash, state.pruning_point), (syncer.dag.sink(), moved));
        assert_eq!(syncer.headers_given, 0);
        assert!(syncer.asked.contains(&Kind::RequestPruningPointSmtState), "its lanes are others");
        assert_eq!(stage.severity(A), None);
        stage.is_well(peer);
    });
}

/// Words that are not its turn's are slips, and credits are given as in every import.
#[test]
fn what_is_not_asked_for_is_borne() {
    until(Kind::RequestPruningPointSmtState, |stage, _, peer, _| {
        stage.says(peer, Kind::PruningPointUtxoSetChunk, &list(&[Bytes::from_static(b"an output")]));
        stage.says(peer, Kind::PruningPoints, &[]);
        stage.says(peer, Kind::PruningPointProofChunksEnd, &[]);
        assert_eq!(stage.slips(peer), 3);
    });
}
