//! Produces blocks on private networks of our own nodes, by our own rules.
//!
//! What only the set of unspent outputs tells is filled with stated values: the accepted-id root is zero, the commitment
//! that of no outputs, and the coinbase pays nobody. A node that checks outputs takes such a block, and lets none of its
//! chains lead through it; so nothing is produced while such a node is connected.

use crate::coinbase::{Payload, subsidy};
use crate::dag::Dag;
use crate::genesis::NO_OUTPUTS;
use crate::ghostdag::Colouring;
use crate::header::VERSION;
use crate::mempool::Mempool;
use crate::node::Number;
use crate::pow::Puzzle;
use crate::transaction::{self, Masses, is_final, masses};
use crate::work::{target, to_wire};
use bytes::Bytes;
use polypeer_engine::kit::chain::Hash;
use polypeer_engine::{Now, Random, Time};
use polypeer_kaspa::hash::{MerkleTree, pre_pow_hash};
use polypeer_kaspa::wire::{
    Header, Outpoint, Parents, SUBNETWORK_COINBASE, Transaction, TransactionView, encode_block,
};
use std::collections::BTreeSet;
use std::time::Duration;

/// How far a block's wait is off the interval, in percent either way.
const JITTER_PERCENT: u32 = 25;
/// Nonces that are tried between two looks at the rest of the ledger's work: some hundredths of a second.
const TRIES: u64 = 4_096;
/// Waiting transactions that are looked at for one block; a block holds fewer.
const LOOKED_AT_MAX: usize = 4_096;
/// Lanes beside the ordinary one are left to real miners.
const LANES_MAX: usize = 1;

/// What a producer needs to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Producer {
    /// Who a coinbase names: a script of version 0, of at most 150 bytes.
    pub script: Vec<u8>,
    /// The mean time between two blocks.
    pub interval: Duration,
    /// What jitter and nonces are drawn from. Two producers with one seed would make the same blocks.
    pub seed: [u8; 32],
}

/// A producer at work.
///
/// ```text
/// new ──first wake──► waiting(due) ──due──► searching ──found──► waiting(next due)
///                         │  ▲                  │ nothing yet: anew at the next wake
///                         ▼  │                  ▼
///             paused while catching up, and while a peer checks outputs
/// ```
#[derive(Debug)]
pub(crate) struct Production {
    producer: Producer,
    random: Random,
    /// When the next block is to be made; nothing before the first wake, which sets the clock going.
    due: Option<Time>,
    catches_up: bool,
    meets_full_nodes: bool,
}

impl Production {
    pub(crate) fn new(producer: Producer) -> Self {
        let random = Random::new(producer.seed);
        Self { producer, random, due: None, catches_up: false, meets_full_nodes: false }
    }

    pub(crate) fn catch_up(&mut self, catches_up: bool, now: Now) {
        self.catches_up = catches_up;
        self.skip_missed(now);
    }

    pub(crate) fn meet_full_nodes(&mut self, meets: bool, now: Now) {
        self.meets_full_nodes = meets;
        self.skip_missed(now);
    }

    fn is_paused(&self) -> bool {
        self.catches_up || self.meets_full_nodes
    }

    /// What came due during a pause is not made up for.
    fn skip_missed(&mut self, now: Now) {
        if !self.is_paused() && self.due.is_some_and(|due| due <= now.monotonic) {
            self.draw(now);
        }
    }

    /// When the producer wants to be woken.
    pub(crate) fn next_wake(&self, now: Now) -> Option<Time> {
        if self.is_paused() { None } else { Some(self.due.unwrap_or(now.monotonic)) }
    }

    /// Waits for the next block.
    pub(crate) fn draw(&mut self, now: Now) {
        self.due = Some(now.monotonic + self.random.jitter(self.producer.interval, JITTER_PERCENT));
    }

    /// Whether it is time for a block.
    pub(crate) fn is_due(&mut self, now: Now) -> bool {
        if self.due.is_none() {
            self.draw(now);
        }
        !self.is_paused() && self.due.is_some_and(|due| due <= now.monotonic)
    }

    /// A `BlockMessage` on the tips; nothing when no nonce was found yet.
    pub(crate) fn make(&mut self, now: Now, dag: &Dag, mempool: &Mempool) -> Option<Bytes> {
        let (mut header, transactions) = template(dag, mempool, now, &self.producer.script);
        header.nonce = self.random.number();
        if !dag.params.skips_proof_of_work && !search(&mut header) {
            return None;
        }
        Some(encode_block(&header.encode(), transactions.iter().map(|transaction| &transaction[..])))
    }
}

fn search(header: &mut Header) -> bool {
    let (puzzle, target) = (Puzzle::new(&pre_pow_hash(header), header.timestamp), target(header.bits));
    let first = header.nonce;
    let found = (0..TRIES).map(|tried| first.wrapping_add(tried)).find(|nonce| puzzle.value(*nonce) <= target);
    header.nonce = found.unwrap_or(first);
    found.is_some()
}

fn template(dag: &Dag, mempool: &Mempool, now: Now, script: &[u8]) -> (Header, Vec<Bytes>) {
    let (parents, colouring) = parents(dag);
    let merged = colouring.merged_descending(dag);
    let outlook = dag.look_back(colouring.selected_parent, colouring.blue_score, &merged);
    let payload = Payload { blue_score: colouring.blue_score, subsidy: subsidy(&dag.params, outlook.daa_score) };
    let payload = payload.write(script, b"");
    let coinbase =
        Transaction { version: 1, subnetwork_id: SUBNETWORK_COINBASE, payload: &payload, ..Transaction::default() };
    let mut transactions = vec![coinbase.encode()];
    transactions.extend(choose(dag, mempool, outlook.daa_score, outlook.median_time));
    let mut tree = MerkleTree::default();
    let views = transactions.iter().filter_map(|bytes| TransactionView::decode(bytes).ok());
    views.for_each(|view| tree.push(view.hash()));
    let lists = dag.parents_by_level(&parents);
    let lists = lists.iter().map(|list| list.iter().map(|block| dag.node(*block).hash).collect::<Vec<Hash>>());
    let lists: Vec<Vec<Hash>> = lists.collect();
    let header = Header {
        version: VERSION,
        // 255 lists of at most 255 parents, or the direct ones.
        parents: Parents::of_levels(lists.iter().map(Vec::as_slice)).unwrap_or_default(),
        hash_merkle_root: tree.root(),
        accepted_id_merkle_root: Hash::ZERO,
        utxo_commitment: NO_OUTPUTS,
        timestamp: now.unix_ms.max(outlook.median_time.saturating_add(1)),
        bits: outlook.bits,
        nonce: 0,
        daa_score: outlook.daa_score,
        blue_work: to_wire(colouring.blue_work),
        blue_score: colouring.blue_score,
        pruning_point: dag.node(dag.base()).hash,
    };
    (header, transactions)
}

/// The sink and as many other tips as a block can merge, the highest first; the sink alone when they are too much.
fn parents(dag: &Dag) -> (Vec<Number>, Colouring) {
    let sink = dag.sink();
    let mut tips: Vec<Number> = dag.tips().iter().copied().filter(|tip| *tip != sink).collect();
    tips.sort_unstable_by(|one, other| dag.compare(*other, *one));
    tips.insert(0, sink);
    tips.truncate(dag.params.rate.parents_max);
    match dag.colour(&tips) {
        Ok(colouring) if dag.merges_nothing_too_deep(&colouring) => (tips, colouring),
        _ => {
            let score = dag.node(sink).blue_score + 1;
            let blue_work = dag.node(sink).blue_work.saturating_add(dag.node(sink).work);
            let alone = Colouring {
                selected_parent: sink,
                blues: vec![sink],
                reds: Vec::new(),
                anticones: Default::default(),
                blue_score: score,
                blue_work,
            };
            (vec![sink], alone)
        }
    }
}

/// Waiting transactions that can stand in one block together, the oldest first.
fn choose(dag: &Dag, mempool: &Mempool, daa_score: u64, median_time: u64) -> Vec<Bytes> {
    let (limits, block) = (&dag.params.transaction, &dag.params.block);
    let mut chosen: Vec<Bytes> = Vec::new();
    let mut total = Masses::default();
    let (mut spent, mut made, mut lanes) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
    for (id, waiting) in mempool.in_order().take(LOOKED_AT_MAX) {
        let Ok(view) = TransactionView::decode(&waiting.bytes) else { continue };
        let own = masses(&view, limits);
        let sum = Masses {
            compute: total.compute.saturating_add(own.compute),
            transient: total.transient.saturating_add(own.transient),
            storage: total.storage.saturating_add(own.storage),
        };
        let outpoints: Vec<Outpoint> = transaction::spent(&view).collect();
        let is_apart = !outpoints.iter().any(|it| spent.contains(it) || made.contains(&it.transaction_id));
        let fits = sum.compute <= block.compute_mass_max
            && sum.transient <= block.transient_mass_max
            && sum.storage <= block.storage_mass_max;
        let has_lane = view.gas == 0 && (lanes.contains(&view.subnetwork_id) || lanes.len() < LANES_MAX);
        // What spends this one's outputs and stands in the block already came before it.
        let is_spent = spent.iter().any(|outpoint: &Outpoint| outpoint.transaction_id == *id);
        if is_apart && fits && has_lane && !is_spent && is_final(&view, daa_score, median_time) {
            total = sum;
            spent.extend(outpoints);
            made.insert(*id);
            lanes.insert(view.subnetwork_id);
            chosen.push(waiting.bytes.clone());
        }
    }
    chosen
}
