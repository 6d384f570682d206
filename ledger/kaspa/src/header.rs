//! Judges headers: everything that follows from headers alone is computed and compared.

use crate::dag::{Dag, GENESIS};
use crate::ghostdag::Colouring;
use crate::node::{Held, Levels, Node, Number, Rank};
use crate::pow::proof_of_work;
use crate::work::{from_wire, work};
use polypeer_engine::kit::chain::Hash;
use polypeer_kaspa::ledger::{BlockOutcome, Fault};
use polypeer_kaspa::wire::Header;

/// The version that all blocks but the first have.
pub(crate) const VERSION: u16 = 2;

/// What a header says of itself that needs no other: its version, its time, its proof of work. The block's level.
///
/// It comes first, so that on a network with proof of work nothing else is done for free.
pub(crate) fn judge_alone(dag: &Dag, header: &Header, now_ms: u64) -> Result<u8, Fault> {
    let params = &dag.params;
    if header.version != VERSION {
        return Err(Fault::Version);
    }
    if header.timestamp > now_ms.saturating_add(params.time_ahead_ms_max) {
        return Err(Fault::TimeTooFar);
    }
    if header.direct_parents().is_empty() || header.direct_parents().len() > params.rate.parents_max {
        return Err(Fault::Parents);
    }
    let proof = proof_of_work(header, params.level_max);
    if !params.skips_proof_of_work && !proof.is_enough {
        return Err(Fault::ProofOfWork);
    }
    Ok(proof.level)
}

/// Whether a block with this hash that broke this rule can be forgotten about for good. Rules about the clock, and
/// those that cost nothing to break, are left out, as the network does.
pub(crate) fn is_remembered(fault: Fault) -> bool {
    matches!(
        fault,
        Fault::TimeTooOld
            | Fault::IndirectParents
            | Fault::BlueScore
            | Fault::BlueWork
            | Fault::MergeSet
            | Fault::Coinbase
            | Fault::Transaction
            | Fault::Mass
    )
}

impl Dag {
    /// The numbers of a header's parents.
    ///
    /// # Errors
    /// One is invalid, some are not here, one is in the past of another, or none has the pruning point in its past.
    pub(crate) fn parents(&self, header: &Header) -> Result<Vec<Number>, BlockOutcome> {
        let hashes = header.direct_parents();
        let known: Vec<Number> = hashes.iter().filter_map(|hash| self.held(hash)).collect();
        if known.iter().any(|parent| self.node(*parent).held == Held::Invalid) {
            return Err(BlockOutcome::Invalid(Fault::InvalidParent));
        }
        if known.len() < hashes.len() {
            let missing = hashes.iter().filter(|hash| self.held(hash).is_none());
            return Err(BlockOutcome::ParentsUnknown(missing.copied().collect()));
        }
        let is_related = |(at, parent): (usize, &Number)| {
            let others = known.iter().enumerate().filter(|(other, _)| *other != at);
            self.is_ancestor_of_any(*parent, others.map(|(_, other)| *other))
        };
        if known.iter().enumerate().any(is_related) {
            return Err(BlockOutcome::Invalid(Fault::Parents));
        }
        if !known.iter().any(|parent| self.is_ancestor(self.base(), *parent)) {
            return Err(BlockOutcome::TooOld);
        }
        Ok(known)
    }

    /// Holds a header to what follows from its parents. What is to be added when it is right.
    pub(crate) fn judge(&self, header: &Header, hash: Hash, level: u8, parents: &[Number]) -> Result<Node, Fault> {
        let colouring = self.colour(parents)?;
        let merged = colouring.merged_descending(self);
        let outlook = self.look_back(colouring.selected_parent, colouring.blue_score, &merged);
        let claims = [
            (header.daa_score == outlook.daa_score, Fault::DaaScore),
            (header.bits == outlook.bits, Fault::Bits),
            (header.blue_score == colouring.blue_score, Fault::BlueScore),
            (from_wire(&header.blue_work) == colouring.blue_work, Fault::BlueWork),
            (header.timestamp > outlook.median_time, Fault::TimeTooOld),
            (self.merges_nothing_too_deep(&colouring), Fault::MergeSet),
        ];
        if let Some((_, fault)) = claims.into_iter().find(|(holds, _)| !holds) {
            return Err(fault);
        }
        let lists = self.parents_by_level(parents);
        if !self.lists_parents(header, &lists) {
            return Err(Fault::IndirectParents);
        }
        Ok(Node {
            hash,
            timestamp: header.timestamp,
            bits: header.bits,
            work: work(header.bits),
            daa_score: header.daa_score,
            blue_score: colouring.blue_score,
            blue_work: colouring.blue_work,
            selected_parent: colouring.selected_parent,
            depth: 0,
            jump: GENESIS,
            level,
            rank: Rank::Judged,
            held: Held::Header,
            // At most k + 1.
            blues: colouring.blues.len() as u16,
            merge_set: colouring.blues.iter().chain(&colouring.reds).copied().collect(),
            parents: parents.into(),
            levels: Levels::new(&lists),
            anticones: colouring.anticones.into_iter().collect(),
            difficulty: outlook.difficulty,
            median: outlook.median,
        })
    }

    /// Whether each red block is above the merge depth, or in the past of a blue one whose chain goes through it there.
    pub(crate) fn merges_nothing_too_deep(&self, colouring: &Colouring) -> bool {
        let Some(root) = self.merge_root(colouring.selected_parent, colouring.blue_score) else { return true };
        let vouching = || colouring.blues.iter().copied().filter(|blue| self.is_chain_ancestor(root, *blue));
        colouring.reds.iter().all(|red| self.is_ancestor(root, *red) || self.is_ancestor_of_any(*red, vouching()))
    }

    /// Whether a header has these parents on each level, in whatever order.
    fn lists_parents(&self, header: &Header, lists: &[Vec<Number>]) -> bool {
        if header.parents.level_count() != lists.len() {
            return false;
        }
        let mut before: (&[Hash], &[Number]) = (&[], &[]);
        header.parents.levels().zip(lists).all(|(claimed, list)| {
            // Most levels have the list of the one below.
            let again = std::ptr::eq(claimed, before.0) && list == before.1;
            before = (claimed, list);
            again || self.is_same_list(claimed, list)
        })
    }

    fn is_same_list(&self, claimed: &[Hash], list: &[Number]) -> bool {
        let mut claimed: Vec<Hash> = claimed.to_vec();
        let mut expected: Vec<Hash> = list.iter().map(|block| self.node(*block).hash).collect();
        if claimed == expected {
            return true;
        }
        claimed.sort_unstable();
        expected.sort_unstable();
        claimed == expected
    }
}
