//! Builds the first block, and the DAG again from what the store holds.

use crate::body::Body;
use crate::dag::{Dag, GENESIS};
use crate::genesis::Genesis;
use crate::node::{self, Held, Levels, Node, Number, Rank};
use crate::params::Params;
use crate::store::{Change, Store, Write};
use crate::tables::{FULL, INVALID, Result, SETS, torn};
use crate::work::{Work, work};
use bytes::Bytes;
use polypeer_engine::kit::chain::Hash;
use polypeer_kaspa::wire::{Header, Items, SUBNETWORK_COINBASE, Transaction, TransactionView};
use redb::ReadableDatabase;
use std::sync::Arc;

impl Genesis {
    /// Its header.
    pub fn header(&self) -> Header {
        Header {
            version: 0,
            hash_merkle_root: self.merkle_root,
            utxo_commitment: self.utxo_commitment,
            timestamp: self.timestamp,
            bits: self.bits,
            nonce: self.nonce,
            daa_score: self.daa_score,
            ..Header::default()
        }
    }

    /// Its body.
    pub(crate) fn body(&self) -> Body {
        let payload = self.payload();
        let transaction =
            Transaction { subnetwork_id: SUBNETWORK_COINBASE, payload: &payload, ..Transaction::default() }.encode();
        let ids = TransactionView::decode(&transaction).map(|view| view.id()).into_iter().collect();
        Body { bytes: Items::of([&transaction[..]]).encode(), ids }
    }

    pub(crate) fn node(&self, level_max: u8) -> Node {
        Node {
            hash: self.hash,
            timestamp: self.timestamp,
            bits: self.bits,
            work: work(self.bits),
            daa_score: self.daa_score,
            blue_score: 0,
            blue_work: Work::ZERO,
            selected_parent: GENESIS,
            depth: 0,
            jump: GENESIS,
            level: level_max,
            rank: Rank::Judged,
            held: Held::Full,
            blues: 0,
            merge_set: [].into(),
            parents: [].into(),
            levels: Levels::default(),
            anticones: [].into(),
            difficulty: Arc::default(),
            median: Arc::default(),
        }
    }
}

/// What a new store begins with.
pub(crate) fn first_writes(params: &Params) -> Vec<Write> {
    first_changes(params).into_iter().map(Write::Served).collect()
}

/// The first block.
pub(crate) fn first_changes(params: &Params) -> Vec<Change> {
    let genesis = &params.genesis;
    let row = node::encode(&genesis.node(params.level_max));
    let header: Bytes = genesis.header().encode();
    vec![Change::Header { number: GENESIS, header, row }, Change::Body { number: GENESIS, body: genesis.body().bytes }]
}

/// A hash of all by which headers are judged: what a store holds was computed by it.
pub(crate) fn rules(params: &Params) -> Hash {
    let samples = (params.median_samples, params.difficulty_samples, params.difficulty_samples_min);
    let rules = (params.genesis.hash, params.rate, samples, params.level_max, params.skips_proof_of_work);
    polypeer_kaspa::hash::blake3("PolypeerKaspaRules", &[format!("{rules:?}").as_bytes()])
}

impl Dag {
    /// The DAG that a store holds.
    pub(crate) fn load(store: &Store, params: &Params) -> Result<Self> {
        let base = u32::try_from(store.counters.base).map_err(|_| torn("the pruning point"))?;
        Self::load_set(store, params, store.counters.served(), base)
    }

    /// The one that is being imported.
    pub(crate) fn load_staged(store: &Store, params: &Params, base: Number) -> Result<Self> {
        Self::load_set(store, params, 1 - store.counters.served(), base)
    }

    fn load_set(store: &Store, params: &Params, set: usize, base: Number) -> Result<Self> {
        store.look(|database| {
            let snapshot = database.begin_read()?;
            let set = &SETS[set];
            let (nodes, held) = (snapshot.open_table(set.nodes)?, snapshot.open_table(set.held)?);
            let mut dag = Self::new(params.clone(), params.genesis.node(params.level_max));
            dag.set_base(base);
            let mut held = held.range(1..)?.peekable();
            for (row, number) in nodes.range(1..)?.zip(1_u64..) {
                let (key, row) = row?;
                let node = node::decode(row.value()).filter(|node| key.value() == number && dag.has(node));
                let number = dag.restore(node.ok_or_else(|| torn("a header"))?);
                let next = held.next_if(|it| it.as_ref().is_ok_and(|(key, _)| key.value() == u64::from(number)));
                match next.transpose()?.map(|(_, how)| how.value()) {
                    Some(FULL) => dag.fill(number),
                    Some(INVALID) => drop(dag.condemn(number)),
                    _ => {}
                }
            }
            if base >= dag.count() {
                return Err(torn("the pruning point"));
            }
            dag.leave_below();
            Ok(dag)
        })
    }

    /// Whether all blocks that a row names came before it.
    fn has(&self, node: &Node) -> bool {
        let levels = node.levels.runs().flat_map(|(_, list)| list);
        let anticones = node.anticones.iter().map(|(block, _)| block);
        let named = node.merge_set.iter().chain(&node.parents).chain(levels).chain(anticones);
        named.chain([&node.selected_parent]).all(|block| *block < self.count())
    }

    /// Adds what was judged, or imported, before.
    pub(crate) fn restore(&mut self, mut node: Node) -> u32 {
        let mut merged: Vec<u32> =
            node.merge_set.iter().copied().filter(|block| *block != node.selected_parent).collect();
        merged.sort_unstable_by(|one, other| self.compare(*other, *one));
        // Without its merge set nothing is known of what it looks back at.
        if !node.merge_set.is_empty() {
            let outlook = self.look_back(node.selected_parent, node.blue_score, &merged);
            (node.difficulty, node.median) = (outlook.difficulty, outlook.median);
        }
        let parent = self.node(node.selected_parent);
        node.work = if parent.bits == node.bits { parent.work } else { work(node.bits) };
        if node.rank == Rank::Judged { self.add(node) } else { self.add_imported(node) }
    }
}
