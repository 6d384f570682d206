//! Anything at any time: peers that come and go, say whatever there is to say, answer rightly, wrongly, late or not at
//! all, while the ledger sleeps or wakes. Nothing panics, grows or is left over, and whoever is honest is served.

use crate::dag::{hash_of, header_bytes};
use crate::make::{self, block_on, fixture, line_on};
use crate::relaying::tip;
use crate::stage::*;
use crate::syncer::{Syncer, list};
use crate::toy::id_of;
use bytes::Bytes;
use polypeer_engine::{ConnectionId, Frame, P2pConfig, Random};
use polypeer_kaspa::ledger::Hash;
use polypeer_kaspa::wire::{self, Envelope, Hashes, Kind, OneHash, TwoHashes};
use std::collections::BTreeMap;
use std::sync::OnceLock;
use std::time::Duration;

const SEEDS: u8 = 24;
const ACTS: usize = 1_500;
/// Transactions that there are to be announced.
const OFFERED: usize = 300;
/// What wants no answer.
const IS_NO_REQUEST: [Kind; 6] =
    [Kind::Version, Kind::Verack, Kind::Ready, Kind::InvRelayBlock, Kind::InvTransactions, Kind::Reject];

fn one_of<'a, T>(random: &mut Random, of: &'a [T]) -> &'a T {
    &of[random.below(of.len())]
}

/// Every message of the fixtures, and some that fit what the node holds.
fn corpus() -> &'static [Envelope] {
    static CORPUS: OnceLock<Vec<Envelope>> = OnceLock::new();
    CORPUS.get_or_init(|| {
        let manifest: serde_json::Value = serde_json::from_slice(&fixture("manifest.json")).expect("a list");
        let names = manifest.as_array().expect("a list").iter().filter(|facts| facts["response_id"].is_u64());
        let mut messages: Vec<Envelope> = names.map(|facts| single(facts["file"].as_str().expect("a name"))).collect();
        messages.retain(|envelope| envelope.kind != Kind::Reject);
        let [low, high] = [400, 1_000].map(|at| hash_of(&make::dag()[at]));
        let fitting = [
            (Kind::InvRelayBlock, make::hashes([hash_of(tip())])),
            (Kind::InvRelayBlock, make::hashes([high])),
            (Kind::RequestRelayBlocks, make::hashes([low])),
            (Kind::RequestBlockBodies, make::hashes([low, low])),
            (Kind::RequestHeaders, TwoHashes { low, high: low }.encode()),
            (Kind::RequestNextHeaders, Bytes::new()),
            (Kind::RequestIbdChainBlockLocator, Bytes::new()),
            (Kind::RequestPruningPointProof, Bytes::new()),
            (Kind::IbdChainBlockLocator, make::hashes([high, low])),
            (Kind::BlockHeaders, list(&[header_bytes(&make::dag()[700])])),
            (Kind::Transaction, make::transaction(3)),
            (Kind::InvTransactions, make::hashes((0..40).map(make::hash))),
        ];
        let envelope = |(kind, body)| Envelope { kind, body, request_id: 3, response_id: 0 };
        messages.extend(fitting.map(envelope));
        messages
    })
}

fn single(name: &str) -> Envelope {
    let payload = fixture(name);
    let frame: Bytes = [&[0][..], &(payload.len() as u32).to_be_bytes(), &payload].concat().into();
    wire::unpack(Frame::from(&frame)).expect("a message")
}

/// Those who are there, and what they have heard and not answered.
struct Crowd {
    random: Random,
    source: Syncer,
    peers: Vec<(ConnectionId, Vec<Envelope>)>,
    come: u32,
    salt: u64,
}

impl Crowd {
    fn acts(&mut self, stage: &mut Stage) {
        self.listens(stage);
        match self.random.below(100) {
            0..4 => self.comes(stage),
            4..6 => self.leaves(stage),
            6..62 => self.answers(stage, true),
            62 => self.answers(stage, false),
            63..66 => self.says_something(stage),
            66..78 => self.announces(stage),
            78..84 => self.offers(stage),
            84..86 => stage.is_asleep = true,
            86..92 => stage.awakes(),
            92..97 => stage.wait(Duration::from_millis(self.random.below(3_000) as u64)),
            _ => self.waits_or_makes(stage),
        }
    }

    fn listens(&mut self, stage: &mut Stage) {
        self.peers.retain(|(peer, _)| stage.is_open(*peer));
        for (peer, heard) in &mut self.peers {
            let requests = stage.hears(*peer).into_iter().filter(|it| !IS_NO_REQUEST.contains(&it.kind));
            heard.extend(requests);
        }
    }

    fn comes(&mut self, stage: &mut Stage) {
        if self.peers.len() < 8 {
            self.come += 1;
            let [_, b, c, d] = self.come.to_be_bytes();
            let peer = stage.accept(&format!("10.{}.{c}.{d}:4000", b + 1));
            let version = stage.new_version();
            stage.greets(peer, &version);
            self.peers.push((peer, Vec::new()));
        }
    }

    fn somebody(&mut self) -> Option<usize> {
        (!self.peers.is_empty()).then(|| self.random.below(self.peers.len()))
    }

    fn leaves(&mut self, stage: &mut Stage) {
        if let Some(at) = self.somebody() {
            let (peer, _) = self.peers.remove(at);
            stage.hang_up(peer);
        }
    }

    // Rightly, or with something else under the same number.
    fn answers(&mut self, stage: &mut Stage, is_right: bool) {
        let Some(at) = self.somebody() else { return };
        let (peer, heard) = &mut self.peers[at];
        if heard.is_empty() {
            return;
        }
        let request = heard.remove(0);
        if !is_right {
            let other = one_of(&mut self.random, corpus());
            return stage.answers(*peer, other.kind, &other.body, request.request_id);
        }
        if request.kind == Kind::RequestAddresses {
            return stage.says(*peer, Kind::Addresses, &[]);
        }
        if request.kind == Kind::RequestTransactions {
            return brings(stage, *peer, &request);
        }
        for (kind, body, id) in self.source.try_answer(&request).unwrap_or_default() {
            stage.answers(*peer, kind, &body, id);
        }
    }

    fn says_something(&mut self, stage: &mut Stage) {
        let Some(at) = self.somebody() else { return };
        let message = one_of(&mut self.random, corpus());
        let response_id = if self.random.below(4) == 0 { self.random.below(9) as u32 } else { 0 };
        stage.types(self.peers[at].0, &wire::pack(message.kind, &message.body, message.request_id, response_id));
    }

    fn announces(&mut self, stage: &mut Stage) {
        let Some(at) = self.somebody() else { return };
        let block = match self.random.below(4) {
            0 => tip(),
            1 => one_of(&mut self.random, make::dag()),
            _ => one_of(&mut self.random, lines()),
        };
        stage.announces(self.peers[at].0, hash_of(block));
    }

    fn offers(&mut self, stage: &mut Stage) {
        let Some(at) = self.somebody() else { return };
        let first = self.random.below(OFFERED);
        let ids = (first..first + 5).map(|salt| id_of(&make::transaction(salt as u64)));
        stage.offers(self.peers[at].0, ids);
    }

    fn waits_or_makes(&mut self, stage: &mut Stage) {
        self.salt += 1;
        match self.random.below(3) {
            0 => stage.wait(seconds(self.random.below(130) as u64)),
            1 => {
                let sink = stage.ledger.dag.sink();
                if let Some(parent) = stage.ledger.dag.block(&sink) {
                    stage.makes(&block_on(&[&parent], 1_000 + self.salt));
                }
            }
            _ => {
                stage.is_given(&make::transaction(self.salt));
            }
        }
    }
}

// Each of the transactions, or that it is not there.
fn brings(stage: &mut Stage, peer: ConnectionId, request: &Envelope) {
    static KNOWN: OnceLock<BTreeMap<Hash, Bytes>> = OnceLock::new();
    let known = KNOWN.get_or_init(|| {
        let transactions = (0..OFFERED as u64 + 5).map(make::transaction);
        transactions.map(|transaction| (id_of(&transaction), transaction)).collect()
    });
    for id in Hashes::decode(&request.body, wire::TRANSACTION_IDS_MAX).expect("hashes").iter() {
        match known.get(&id) {
            Some(transaction) => stage.says(peer, Kind::Transaction, transaction),
            None => stage.says(peer, Kind::TransactionNotFound, &OneHash(id).encode()),
        }
    }
}

/// Blocks above what the fixtures have.
fn lines() -> &'static [Bytes] {
    static LINES: OnceLock<Vec<Bytes>> = OnceLock::new();
    LINES.get_or_init(|| [line_on(tip(), 12, 1), line_on(&make::dag()[1_050], 6, 2)].concat())
}

/// What a crowd does with a node that holds so many blocks; then someone honest comes.
fn happens(seed: u8, held: usize) {
    let setting = holding(held);
    // Nobody is refused for what another of the crowd did.
    let p2p = P2pConfig { outbound_target: 0, ..setting.p2p };
    story_of(&Setting { p2p, ..setting }, |stage| {
        let mut crowd = Crowd {
            random: Random::new([seed; 32]),
            source: Syncer::of(&[make::dag(), lines()].concat()),
            peers: Vec::new(),
            come: 0,
            salt: 0,
        };
        for _ in 0..ACTS {
            crowd.acts(stage);
            assert_eq!(stage.engine.state().check(), Ok(()));
        }
        stage.awakes();
        let asked = |name: &str| stage.ledger.log.contains(&name);
        assert!(asked("TakeBlock") && asked("TakeTransactions"), "little happened");
        assert!(held == make::dag().len() || asked("TakeHeaders") && asked("TakeBodies"), "no sync came about");
        for (peer, _) in crowd.peers {
            if stage.is_open(peer) {
                stage.hang_up(peer);
            }
        }
        let [honest, other] = ["10.200.0.1:4000", "10.200.0.2:4000"].map(|remote| stage.guest(remote));
        let block = block_on(&[&sink(stage)], 900_000);
        stage.relays(honest, &block);
        stage.hears_of(other, hash_of(&block));
        stage.is_well(honest);
    });
}

fn sink(stage: &Stage) -> Bytes {
    stage.ledger.dag.block(&stage.ledger.dag.sink()).expect("a sink has a body")
}

#[test]
fn whatever_happens_to_a_node_that_is_up_to_date() {
    (0..SEEDS).for_each(|seed| happens(seed, make::dag().len()));
}

#[test]
fn whatever_happens_to_a_node_that_is_behind() {
    (100..100 + SEEDS).for_each(|seed| happens(seed, 300));
}
