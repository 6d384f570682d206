//! Chooses between two chains (Mina spec, section 6.4; Mina's consensus document, sections 5.3, 5.4 and 6.2).
//!
//! ```text
//! same epoch, same lock checkpoint behind it ─┐                          longer, then greater VRF digest,
//! one epoch apart, the other's checkpoint    ─┴─ short range ──────────► then greater state hash
//! anything else ──────────────────────────────── long range ── denser, then as above
//! ```
//!
//! Where documents and implementations differ this does what the reference node does, because that is what the network
//! does:
//!
//! | question | reference node, and here | elsewhere |
//! |---|---|---|
//! | a block's epoch | its slot by the slots of an epoch | its count of epochs, which lags behind after an empty epoch |
//! | the seed is settled | when the next slot is in the last third | when the block's own slot is |
//! | sub-windows to empty | those between the two slots' sub-windows | as many as there are slots between them |

use crate::block::{ConsensusState, Constants, SUB_WINDOWS};
use crate::hash::{Hash, vrf_digest};
use core::cmp::Ordering;

/// The end of a chain.
#[derive(Clone, Copy, Debug)]
pub struct End<'a> {
    /// Its consensus state.
    pub state: &'a ConsensusState,
    /// Its state hash.
    pub hash: &'a Hash,
}

/// Which chain it is, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Choice {
    /// Whether the candidate is the better one. Of two that are one, none is.
    pub is_candidate: bool,
    /// How far back the chains part.
    pub fork: Fork,
    /// What decided.
    pub by: Criterion,
}

/// How far back two chains part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fork {
    /// Behind the last checkpoint that both have.
    ShortRange,
    /// Before it, so that length proves nothing.
    LongRange,
}

/// What decides between two chains, in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Criterion {
    /// The least dense window, in long range.
    Density,
    /// The length.
    Length,
    /// Blake2b-256 of the last VRF output.
    Vrf,
    /// The state hash, as a number.
    StateHash,
}

/// Chooses between the end of our chain and another. The constants are the network's.
pub fn choose(tip: End<'_>, candidate: End<'_>, constants: &Constants) -> Choice {
    let fork = fork(tip.state, candidate.state, constants);
    let slot = tip.state.slot.max(candidate.state.slot).0;
    let density = |end: End<'_>| min_window_density_at(end.state, slot, constants);
    let by_density = match fork {
        Fork::ShortRange => Ordering::Equal,
        Fork::LongRange => density(candidate).cmp(&density(tip)),
    };
    let order = [
        (Criterion::Density, by_density),
        (Criterion::Length, candidate.state.blockchain_length.cmp(&tip.state.blockchain_length)),
        (Criterion::Vrf, digest(candidate).cmp(&digest(tip))),
    ];
    let decisive = order.into_iter().find(|(_, order)| order.is_ne());
    let (by, order) = decisive.unwrap_or((Criterion::StateHash, number(candidate.hash).cmp(number(tip.hash))));
    Choice { is_candidate: order.is_gt(), fork, by }
}

fn digest(end: End<'_>) -> Hash {
    vrf_digest(&end.state.last_vrf_output)
}

// Hashes are little endian, and compared as numbers.
fn number(hash: &Hash) -> impl Iterator<Item = u8> + '_ {
    hash.0.iter().rev().copied()
}

/// How far back two chains part.
pub fn fork(one: &ConsensusState, other: &ConsensusState, constants: &Constants) -> Fork {
    let is_short = if epoch(one) == epoch(other) {
        one.staking_epoch.lock_checkpoint == other.staking_epoch.lock_checkpoint
    } else {
        is_followed_by(one, other, constants) || is_followed_by(other, one, constants)
    };
    if is_short { Fork::ShortRange } else { Fork::LongRange }
}

// Whether the other is one epoch ahead and has the checkpoint that this one has settled on.
fn is_followed_by(one: &ConsensusState, other: &ConsensusState, constants: &Constants) -> bool {
    let next = u64::from(one.slot.0 % one.slots_per_epoch.max(1)) + 1;
    let is_settled = next >= u64::from(constants.slots_per_epoch / 3) * 2;
    epoch(one) + 1 == epoch(other)
        && is_settled
        && one.next_epoch.lock_checkpoint == other.staking_epoch.lock_checkpoint
}

fn epoch(state: &ConsensusState) -> u64 {
    u64::from(state.slot.0 / state.slots_per_epoch.max(1))
}

/// The least dense window of a chain, if its next block came at this slot, which is not before its last one.
pub fn min_window_density_at(state: &ConsensusState, slot: u32, constants: &Constants) -> u32 {
    let sub_window = |slot: u32| u64::from(slot / constants.slots_per_sub_window.max(1));
    let (last, next) = (sub_window(state.slot.0), sub_window(slot));
    if last == next || u64::from(slot) < grace_end(constants) {
        return state.min_window_density;
    }
    let kept = state.sub_window_densities.0.iter().enumerate().filter(|(index, _)| is_kept(*index as u64, last, next));
    let density = kept.fold(0, |sum: u32, (_, density)| sum.saturating_add(*density));
    density.min(state.min_window_density)
}

// Whether a sub-window of the ring that ends with `last` is still in the window in front of `next`. Those between have
// no blocks.
fn is_kept(index: u64, last: u64, next: u64) -> bool {
    let size = SUB_WINDOWS as u64;
    let (from, to) = (last % size, next % size);
    let is_between = if from < to { from < index && index < to } else { index > from || index < to };
    next <= last + size && !is_between
}

// Densities of the first slots mean nothing.
fn grace_end(constants: &Constants) -> u64 {
    u64::from(constants.grace_slots) + u64::from(constants.slots_per_sub_window) * SUB_WINDOWS as u64
}
