//! Judges bodies: what a block's transactions are together, and what its header says of them.

use crate::coinbase::{Payload, subsidy};
use crate::params::Params;
use crate::transaction::{self, Masses};
use bytes::Bytes;
use polypeer_engine::kit::chain::Hash;
use polypeer_kaspa::hash::MerkleTree;
use polypeer_kaspa::ledger::Fault;
use polypeer_kaspa::wire::{Items, Outpoint, TransactionView};
use std::collections::{BTreeMap, BTreeSet};

/// What a header says that its body is held to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Frame {
    pub(crate) merkle_root: Hash,
    pub(crate) blue_score: u64,
    pub(crate) daa_score: u64,
    pub(crate) median_time: u64,
}

/// A body that is right.
#[derive(Clone, Debug)]
pub(crate) struct Body {
    /// A `BlockBodyMessage`, encoded anew: what no hash covers is not kept, nor stored for its sender.
    pub(crate) bytes: Bytes,
    /// Its transactions' identifiers, in order.
    pub(crate) ids: Vec<Hash>,
}

impl Body {
    /// Judges transactions, each a `TransactionMessage`, as the body of a header.
    pub(crate) fn judge<'b>(
        transactions: impl Iterator<Item = &'b [u8]>,
        frame: &Frame,
        params: &Params,
    ) -> Result<Self, Fault> {
        let views: Result<Vec<_>, _> = transactions.map(TransactionView::decode).collect();
        let views = views.map_err(|_| Fault::Malformed)?;
        let (first, others) = views.split_first().ok_or(Fault::NoBody)?;
        let mut tree = MerkleTree::default();
        views.iter().for_each(|view| tree.push(view.hash()));
        if tree.root() != frame.merkle_root {
            return Err(Fault::MerkleRoot);
        }
        if !first.is_coinbase() || others.iter().any(TransactionView::is_coinbase) {
            return Err(Fault::Coinbase);
        }
        if !views.iter().all(|view| transaction::is_formed(view, params)) {
            return Err(Fault::Transaction);
        }
        if !fits(&views, params) {
            return Err(Fault::Mass);
        }
        let ids: Vec<Hash> = views.iter().map(TransactionView::id).collect();
        let is_final = |view: &TransactionView<'_>| transaction::is_final(view, frame.daa_score, frame.median_time);
        if !are_independent(&views, &ids) || !views.iter().all(is_final) {
            return Err(Fault::Transaction);
        }
        let expected = Payload { blue_score: frame.blue_score, subsidy: subsidy(params, frame.daa_score) };
        if Payload::read(first.payload, params) != Some(expected) {
            return Err(Fault::Coinbase);
        }
        let encoded: Vec<Bytes> = views.iter().map(|view| view.parts().encode()).collect();
        Ok(Self { bytes: Items::of(encoded.iter().map(|bytes| &bytes[..])).encode(), ids })
    }
}

/// Whether all masses, lanes and their gas are within the limits.
fn fits(views: &[TransactionView<'_>], params: &Params) -> bool {
    let limits = &params.block;
    let mut total = Masses::default();
    let mut lanes = BTreeMap::new();
    for view in views {
        let masses = transaction::masses(view, &params.transaction);
        total.compute = total.compute.saturating_add(masses.compute);
        total.transient = total.transient.saturating_add(masses.transient);
        total.storage = total.storage.saturating_add(masses.storage);
        if !view.is_coinbase() {
            let gas: &mut u64 = lanes.entry(view.subnetwork_id).or_default();
            *gas = gas.saturating_add(view.gas);
        }
    }
    total.compute <= limits.compute_mass_max
        && total.transient <= limits.transient_mass_max
        && total.storage <= limits.storage_mass_max
        && lanes.len() <= limits.lanes_max
        && lanes.values().all(|gas| *gas <= limits.lane_gas_max)
}

/// Whether no transaction stands there twice, none spends what another spends, and none what another makes.
fn are_independent(views: &[TransactionView<'_>], ids: &[Hash]) -> bool {
    let made: BTreeMap<Hash, usize> = ids.iter().copied().zip(views.iter().map(|view| view.output_count)).collect();
    let is_made = |outpoint: &Outpoint| {
        made.get(&outpoint.transaction_id).is_some_and(|outputs| (outpoint.index as usize) < *outputs)
    };
    let mut spent = BTreeSet::new();
    made.len() == ids.len()
        && views.iter().flat_map(transaction::spent).all(|outpoint| !is_made(&outpoint) && spent.insert(outpoint))
}
