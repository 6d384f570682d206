//! A pruned network's state, imported from a peer that says what a real node said to another (Kaspa spec, sections 4.6.4
//! and 4.6.6 to 4.6.9).

use crate::make;
use crate::recorded::{genesis, point, recorded, relay_block, said_ahead};
use crate::stage::*;
use crate::syncer::list;
use bytes::Bytes;
use polypeer_engine::ConnectionId;
use polypeer_kaspa::Config;
use polypeer_kaspa::ledger::{Hash, ImportFault};
use polypeer_kaspa::wire::{Envelope, Hashes, Header, Items, Kind, OneHash, OptionalHashes, SmtMetadata, TwoHashes};
use std::collections::{BTreeMap, VecDeque};

pub(crate) const A: &str = "10.0.0.9:40000";

/// The source: what it says to each kind of request, and bodies by their hash.
#[derive(Clone)]
pub(crate) struct Source {
    all: BTreeMap<Kind, VecDeque<(Kind, Bytes)>>,
    replies: BTreeMap<Kind, VecDeque<(Kind, Bytes)>>,
    bodies: BTreeMap<Hash, Bytes>,
    pub(crate) asked: Vec<Kind>,
}

impl Source {
    pub(crate) fn new() -> Self {
        let mut replies: BTreeMap<Kind, VecDeque<(Kind, Bytes)>> = BTreeMap::new();
        let (mut request, mut wanted, mut bodies) = (Kind::Ready, VecDeque::new(), BTreeMap::new());
        let is_talk = |kind| matches!(kind, Kind::RequestAddresses | Kind::Addresses);
        for (is_ahead, envelope) in recorded().iter().filter(|(_, envelope)| !is_talk(envelope.kind)) {
            if !is_ahead {
                request = envelope.kind;
                if request == Kind::RequestBlockBodies {
                    wanted.extend(Hashes::decode(&envelope.body, 99).expect("hashes").iter());
                }
            } else if envelope.kind == Kind::BlockBody {
                bodies.insert(wanted.pop_front().expect("it was asked for"), envelope.body.clone());
            } else {
                replies.entry(request).or_default().push_back((envelope.kind, envelope.body.clone()));
            }
        }
        Self { all: replies.clone(), replies, bodies, asked: Vec::new() }
    }

    /// What it says to a request.
    pub(crate) fn answer(&mut self, request: &Envelope) -> Vec<(Kind, Bytes)> {
        self.asked.push(request.kind);
        if request.kind == Kind::RequestBlockBodies {
            let wanted = Hashes::decode(&request.body, 99).expect("hashes");
            return wanted.iter().map(|hash| (Kind::BlockBody, self.bodies[&hash].clone())).collect();
        }
        match request.kind {
            Kind::RequestIbdChainBlockLocator => {
                // Whoever asks where it stands hears everything anew; between two blocks there is none.
                self.replies.clone_from(&self.all);
                if let OptionalHashes { low: Some(low), high: Some(high) } =
                    OptionalHashes::decode(&request.body).expect("hashes")
                {
                    return vec![(Kind::IbdChainBlockLocator, make::hashes([high, low]))];
                }
            }
            Kind::RequestHeaders => {
                let TwoHashes { low, high } = TwoHashes::decode(&request.body).expect("hashes");
                if low == high {
                    return vec![(Kind::DoneHeaders, Bytes::new())];
                }
            }
            _ => {}
        }
        self.replies.remove(&request.kind).unwrap_or_default().into()
    }

    /// Answers until something is asked that it does not answer: that.
    pub(crate) fn serves_until(
        &mut self,
        stage: &mut Stage,
        peer: ConnectionId,
        is_it: impl Fn(&Envelope) -> bool,
    ) -> Option<Envelope> {
        loop {
            let heard = stage.hears(peer);
            if heard.is_empty() {
                return None;
            }
            for (at, request) in heard.iter().enumerate() {
                if is_it(request) {
                    stage.has_not_heard(peer, &heard[at + 1..]);
                    return Some(request.clone());
                }
                for (kind, body) in self.answer(request) {
                    stage.answers(peer, kind, &body, request.request_id);
                }
            }
        }
    }
}

/// A node that has nothing of that network but its genesis.
pub(crate) fn fresh() -> Setting {
    let setting = holding(1);
    let genesis = Header::decode(&genesis()).expect("a header").hash();
    let mut ledger = setting.ledger.clone();
    ledger.proof = Ok(point());
    Setting { config: Config { genesis, ..setting.config }, ledger, later: seconds(700), ..setting }
}

pub(crate) fn ahead(stage: &mut Stage) -> ConnectionId {
    let peer = stage.guest(A);
    stage.announces(peer, relay_block());
    peer
}

fn until(kind: Kind, tell: impl Fn(&mut Stage, &mut Source, ConnectionId, &Envelope)) {
    story_of(&fresh(), |stage| {
        let mut source = Source::new();
        let peer = ahead(stage);
        let request = source.serves_until(stage, peer, |it| it.kind == kind).expect("it is asked");
        tell(stage, &mut source, peer, &request);
    });
}

#[test]
fn the_whole_state_is_imported_in_the_order_in_which_a_real_node_asks() {
    story_of(&fresh(), |stage| {
        let mut source = Source::new();
        let peer = ahead(stage);
        assert_eq!(source.serves_until(stage, peer, |_| false), None);
        let imported = stage.ledger.imported.clone().expect("it is whole");
        assert_eq!((imported.proof.len(), imported.blocks.len()), (251, 92));
        let mut ours = source.asked.clone();
        ours.dedup();
        let is_of_sync = |kind: &Kind| !matches!(kind, Kind::Version | Kind::Verack | Kind::Ready);
        let theirs = recorded().iter().filter(|(is_ahead, _)| !is_ahead).map(|(_, envelope)| envelope.kind);
        let talk = [Kind::RequestAddresses, Kind::Addresses];
        let mut theirs: Vec<Kind> = theirs.filter(is_of_sync).filter(|kind| !talk.contains(kind)).collect();
        theirs.dedup();
        assert_eq!(ours, theirs);
        assert!(!stage.ledger.is_catching_up);
        let sink = stage.engine.protocol().state().expect("it has said so").sink.hash;
        assert_eq!(sink, relay_block());
        stage.is_well(peer);
    });
}

#[test]
fn a_proof_may_take_ten_minutes_to_begin_and_everything_else_two() {
    until(Kind::RequestPruningPointProof, |stage, _, peer, _| {
        stage.lively = vec![peer];
        stage.wait(seconds(599));
        assert!(stage.is_open(peer));
        stage.wait(seconds(1));
        stage.is_rejected(peer, "timeout expired after 600s");
    });
    let others = [Kind::RequestPruningPointAndItsAnticone, Kind::RequestPruningPointSmtState];
    for kind in others.into_iter().chain([Kind::RequestPruningPointUtxoSet]) {
        until(kind, |stage, _, peer, _| {
            stage.lively = vec![peer];
            stage.wait(seconds(119));
            assert!(stage.is_open(peer));
            stage.wait(seconds(1));
            stage.is_rejected(peer, "timeout expired after 120s");
            assert_eq!(stage.severity(A), None);
        });
    }
}

/// It is asked anew what is shared, and what is still there of its pruning point is not asked for again. For ever it may
/// not go on so.
#[test]
fn a_pruning_point_that_has_moved_is_no_fault() {
    for kind in [Kind::RequestPruningPointSmtState, Kind::RequestPruningPointUtxoSet] {
        until(kind, |stage, source, peer, request| {
            assert_eq!(OneHash::decode(&request.body), Ok(OneHash(point())));
            source.asked.clear();
            for _ in 0..4 {
                stage.says(peer, Kind::UnexpectedPruningPoint, &[]);
                assert!(source.serves_until(stage, peer, |it| it.kind == kind).is_some());
            }
            assert!(!source.asked.contains(&Kind::RequestPruningPointProof), "it is of the same pruning point");
            stage.says(peer, Kind::UnexpectedPruningPoint, &[]);
            stage.is_rejected(peer, "got unexpected pruning point");
            assert_eq!((stage.severity(A), stage.ledger.is_catching_up), (None, false));
        });
    }
    // A proof of another pruning point than its chain named, time and again.
    story_of(&fresh(), |stage| {
        stage.ledger.proof = Ok(make::hash(5));
        let mut source = Source::new();
        let peer = ahead(stage);
        let reject = source.serves_until(stage, peer, |it| it.kind == Kind::Reject).expect("it is refused");
        stage.has_not_heard(peer, &[reject]);
        stage.is_rejected(peer, "got unexpected pruning point");
        assert_eq!(source.asked.iter().filter(|kind| **kind == Kind::RequestPruningPointProof).count(), 5);
    });
    // The proof is of the pruning point that the chain names by then: it came, and need not come again.
    story_of(&fresh(), |stage| {
        let mut source = Source::new();
        let peer = ahead(stage);
        let first = source.serves_until(stage, peer, |it| it.kind == Kind::RequestIbdChainBlockLocator);
        let id = first.expect("it is asked").request_id;
        source.answer(&Envelope {
            kind: Kind::RequestIbdChainBlockLocator,
            body: Bytes::new(),
            request_id: id,
            response_id: 0,
        });
        stage.answers(peer, Kind::IbdChainBlockLocator, &make::hashes([relay_block(), make::hash(5)]), id);
        assert_eq!(source.serves_until(stage, peer, |_| false), None);
        assert_eq!(source.asked.iter().filter(|kind| **kind == Kind::RequestPruningPointProof).count(), 1);
        assert!(stage.ledger.imported.is_some());
        stage.is_well(peer);
    });
}

#[test]
fn what_the_ledger_finds_wrong_is_the_sources_fault_or_nobodys() {
    use ImportFault::{Level, NoRoom, ProofWork, Trusted};
    for fault in [Level, Trusted, NoRoom, ProofWork] {
        story_of(&fresh(), |stage| {
            stage.ledger.proof = Err(fault);
            let mut source = Source::new();
            let peer = ahead(stage);
            source.serves_until(stage, peer, |_| false);
            assert!(!stage.engine.protocol().is_syncing() && stage.ledger.imported.is_none());
            // What is still on its way from a source that is not to blame is borne.
            assert_eq!(stage.is_open(peer), !fault.is_of_sender());
            if !fault.is_of_sender() {
                stage.says(peer, Kind::BlockHeaders, &vec![0; 9 << 20]);
                assert_eq!(stage.slips(peer), 0);
            }
            assert_eq!(stage.severity(A).is_some(), fault.is_of_sender(), "{fault:?}");
        });
    }
}

const B: &str = "10.0.0.8:40000";

/// What a source is asked for, stage by stage.
const STAGES: [Kind; 5] = [
    Kind::RequestPruningPointProof,
    Kind::RequestPruningPointAndItsAnticone,
    Kind::RequestPruningPointSmtState,
    Kind::RequestPruningPointUtxoSet,
    Kind::RequestBlockBodies,
];

/// A source that leaves in the middle: nothing of what is held has changed, and the next one is asked for what is missing.
#[test]
fn another_source_goes_on_where_one_stopped() {
    for (done, kind) in STAGES.into_iter().enumerate() {
        for begins in [false, true] {
            until(kind, |stage, source, peer, request| {
                let before = stage.engine.protocol().state().copied();
                if begins {
                    // The stage is broken off.
                    let words = source.answer(request);
                    let half = words.len() / 2;
                    for (kind, body) in words.into_iter().take(half) {
                        stage.answers(peer, kind, &body, request.request_id);
                    }
                }
                stage.hang_up(peer);
                assert_eq!(stage.engine.protocol().state().copied(), before);
                let mut source = Source::new();
                let next = stage.guest(B);
                stage.announces(next, relay_block());
                assert_eq!(source.serves_until(stage, next, |_| false), None);
                let again = STAGES[..done].iter().filter(|stage| source.asked.contains(stage)).count();
                assert_eq!(again, 0, "{kind:?}: {:?}", source.asked);
                assert!(
                    STAGES[done..].iter().all(|stage| source.asked.contains(stage)),
                    "{kind:?}: {:?}",
                    source.asked
                );
                let imported = stage.ledger.imported.as_ref().expect("it is whole");
                assert_eq!((imported.proof.len(), imported.blocks.len()), (251, 92));
                stage.is_well(next);
            });
        }
    }
}

/// What stands on trusted blocks of another's and is found wrong may be anybody's fault: nobody pays, and all of it comes
/// anew, from one source, who pays for the same.
#[test]
fn who_spoiled_what_two_sources_brought_is_not_guessed() {
    until(Kind::RequestHeaders, |stage, _, peer, _| {
        stage.hang_up(peer);
        let mut source = Source::new();
        let next = stage.guest(B);
        stage.announces(next, relay_block());
        source.serves_until(stage, next, |it| it.kind == Kind::RequestHeaders).expect("headers");
        stage.says(next, Kind::BlockHeaders, &list(&[orphan()]));
        assert!(stage.is_open(next) && stage.severity(B).is_none() && !stage.engine.protocol().is_syncing());
        assert!(stage.ledger.staged.proof.is_empty(), "what was staged is forgotten");
        stage.hears(next);
        stage.announces(next, relay_block());
        let mut source = Source::new();
        source.serves_until(stage, next, |it| it.kind == Kind::RequestHeaders).expect("headers");
        assert!(source.asked.contains(&Kind::RequestPruningPointProof));
        stage.says(next, Kind::BlockHeaders, &list(&[orphan()]));
        assert!(!stage.is_open(next) && stage.severity(B).is_some());
    });
    // What is wrong by itself is its bearer's fault whatever it stands on.
    until(Kind::RequestHeaders, |stage, _, peer, _| {
        stage.hang_up(peer);
        let mut source = Source::new();
        let next = stage.guest(B);
        stage.announces(next, relay_block());
        source.serves_until(stage, next, |it| it.kind == Kind::RequestHeaders).expect("headers");
        stage.says(next, Kind::BlockHeaders, &list(&[Bytes::from_static(b"\x08\x01")]));
        assert!(!stage.is_open(next) && stage.severity(B).is_some());
        assert!(!stage.ledger.staged.proof.is_empty(), "what was there stays");
    });
}

/// A header whose parents nobody brought.
fn orphan() -> Bytes {
    let mut header = Header::decode(&said_headers().pop().expect("headers")).expect("a header");
    header.nonce ^= 1;
    header.encode()
}

fn said_headers() -> Vec<Bytes> {
    Items::decode(said_ahead(Kind::BlockHeaders)[0], 1 << 20).expect("headers").iter().collect()
}

/// The form of the other version is none that is waited for.
#[test]
fn a_proof_comes_in_the_form_of_the_version() {
    until(Kind::RequestPruningPointProof, |stage, _, peer, _| {
        stage.says(peer, Kind::PruningPointProof, &[]);
        assert_eq!(stage.slips(peer), 1);
    });
}

#[test]
fn the_source_gets_its_words() {
    until(Kind::RequestPruningPointAndItsAnticone, |stage, source, peer, request| {
        let words = source.answer(request);
        let (blocks, rest): (Vec<_>, Vec<_>) =
            words.into_iter().partition(|(kind, _)| *kind == Kind::BlockWithTrustedDataV4);
        for (kind, body) in rest.iter().filter(|(kind, _)| *kind != Kind::DoneBlocksWithTrustedData) {
            stage.says(peer, *kind, body);
        }
        let word = Kind::RequestNextPruningPointAndItsAnticoneBlocks;
        for (count, (kind, body)) in (1..=250).zip(blocks.iter().cycle()) {
            stage.says(peer, *kind, body);
            let heard = stage.hears_kinds(peer);
            assert_eq!(heard, if count % 99 == 0 { vec![word] } else { vec![] }, "{count}");
        }
    });
    until(Kind::RequestPruningPointSmtState, |stage, _, peer, _| {
        let lanes = said_ahead(Kind::SmtLaneChunk)[0];
        let mut metadata = SmtMetadata::decode(said_ahead(Kind::SmtMetadata)[0]).expect("metadata");
        // As many as make 25 chunks.
        metadata.lane_count = 25 * Items::decode(lanes, 4_096).expect("lanes").len() as u64;
        stage.says(peer, Kind::SmtMetadata, &metadata.encode());
        for count in 1..=25 {
            stage.says(peer, Kind::SmtLaneChunk, lanes);
            let heard = stage.hears_kinds(peer);
            let words = match count {
                10 | 20 => vec![Kind::RequestNextPruningPointSmtChunk],
                25 => vec![Kind::RequestPruningPointUtxoSet],
                _ => vec![],
            };
            assert_eq!(heard, words, "{count}");
        }
    });
}

#[test]
fn outputs_without_our_word_are_not_taken() {
    until(Kind::RequestPruningPointUtxoSet, |stage, _, peer, _| {
        let outputs = list(&[Bytes::from_static(b"an output")]);
        for count in 1..=99 {
            stage.hears_nothing(peer);
            stage.is_asleep = count >= 97;
            stage.says(peer, Kind::PruningPointUtxoSetChunk, &outputs);
        }
        stage.hears_nothing(peer);
        for _ in 0..5 {
            stage.says(peer, Kind::PruningPointUtxoSetChunk, &outputs);
        }
        assert_eq!(stage.slips(peer), 5);
        stage.awakes();
        stage.hears_one(peer, Kind::RequestNextPruningPointUtxoSetChunk);
        assert_eq!(stage.ledger.staged.outputs.len(), 99);
    });
}
