//! Judges the state at the pruning point: lanes by the sequencing commitment, outputs by theirs (Kaspa spec, sections
//! 4.6.8, 4.6.9, 5.5 and 5.7).

use super::{BLOCKS, LANES, METADATA, OUTPUTS, Staging, Step, TRUSTED, Taken};
use crate::dag::Dag;
use crate::params::Params;
use crate::taking::Work;
use bytes::Bytes;
use polypeer_engine::kit::chain::Hash;
use polypeer_kaspa::hash::{LanesTree, lane_leaf, lane_proof_root, sequencing_commitment};
use polypeer_kaspa::ledger::ImportFault;
use polypeer_kaspa::wire::{Header, SmtLane, SmtMetadata, Utxo};

/// By how much what is imported by its proof must be younger than what is held (Kaspa spec, section 4.6.3, which has seen
/// that 90 s are too little): ten minutes, as today's node has it.
const YOUNGER_MS_MIN: u64 = 600_000;
/// One of so many lanes carries a proof, the first one before all.
const LANES_A_PROOF: u64 = 1 << 20;

/// The highest blue score at which a lane that was active last is forgotten at a pruning point of this one.
pub(super) fn lanes_forgotten_below(blue_score: u64, params: &Params) -> u64 {
    blue_score.saturating_sub(params.rate.finality_depth + 1)
}

impl Staging {
    pub(super) fn begin_lanes(&mut self, work: &mut Work<'_>, metadata: &Bytes, count: u64) -> Taken<()> {
        self.at(Step::Lanes)?;
        self.is_younger(work)?;
        let (hashes, rest) = metadata.as_chunks::<32>();
        let ([lanes_root, payload_and_context, parent_commitment], []) = (hashes, rest) else {
            return Err(ImportFault::Malformed);
        };
        let metadata_read = SmtMetadata {
            lanes_root: Hash(*lanes_root),
            payload_and_context: Hash(*payload_and_context),
            parent_commitment: Hash(*parent_commitment),
            lane_count: count,
        };
        if !self.is_committed(&metadata_read) {
            return Err(ImportFault::SequencingCommitment);
        }
        let kept: Bytes = [&metadata[..], &count.to_be_bytes()].concat().into();
        work.keep(METADATA, 0, &kept)?;
        self.lanes = Some((metadata_read, LanesTree::default(), 0));
        self.end_lanes(work)
    }

    /// All headers of an import by proof are there: do they lead to a clearly younger block than what is held? Else
    /// whoever has some work to spare could have a node that follows the network forget its history.
    fn is_younger(&self, work: &Work<'_>) -> Taken<()> {
        let Some(dag) = &self.dag else { return Ok(()) };
        let time = |dag: &Dag| dag.node(dag.header_tip()).timestamp;
        let is_younger = time(dag) >= time(work.dag).saturating_add(YOUNGER_MS_MIN);
        if is_younger { Ok(()) } else { Err(ImportFault::NotYounger) }
    }

    /// Whether the pruning point commits to the lanes.
    fn is_committed(&self, metadata: &SmtMetadata) -> bool {
        let (Some((_, point)), Some([parent, below])) = (&self.point, &self.commitments) else { return false };
        let expected = sequencing_commitment(
            below,
            &metadata.lanes_root,
            &metadata.payload_and_context,
            &metadata.parent_commitment,
        );
        *parent == metadata.parent_commitment && point.accepted_id_merkle_root == expected
    }

    /// The commitments below the pruning point, of blocks that came with it; nothing when they did not.
    pub(super) fn commitments_below(&self, work: &mut Work<'_>) -> Option<[Hash; 2]> {
        let (_, point) = self.point.as_ref()?;
        let parent = self.chain_parent(work, point)?;
        let highest = lanes_forgotten_below(point.blue_score, &work.dag.params);
        let mut walk = parent.clone();
        while walk.blue_score > highest {
            walk = self.chain_parent(work, &walk)?;
        }
        Some([parent.accepted_id_merkle_root, walk.accepted_id_merkle_root])
    }

    /// The header below one on its chain, if it came among the trusted ones or with the chain, or is the first block's.
    fn chain_parent(&self, work: &mut Work<'_>, header: &Header) -> Option<Header> {
        let parent = header.direct_parents().first()?;
        let genesis = &work.dag.params.genesis;
        if *parent == genesis.hash {
            return Some(genesis.header());
        }
        match (self.trusted.get(parent), self.chain.get(parent)) {
            (Some(place), _) => self.header_of(work, TRUSTED, *place),
            (None, Some(place)) => self.header_of(work, BLOCKS, *place),
            (None, None) => None,
        }
    }

    pub(super) fn take_lanes(&mut self, work: &mut Work<'_>, lanes: &[Bytes]) -> Taken<()> {
        self.at(Step::Lanes)?;
        let (metadata, tree, taken) = self.lanes.as_mut().ok_or(ImportFault::OutOfOrder)?;
        for bytes in lanes {
            let lane = SmtLane::decode(bytes).map_err(|_| ImportFault::Malformed)?;
            let leaf = lane_leaf(&lane.tip, lane.blue_score);
            if *taken >= metadata.lane_count || !tree.push(&lane.key, &leaf) {
                return Err(ImportFault::Lanes);
            }
            let proves = if taken.is_multiple_of(LANES_A_PROOF) {
                lane_proof_root(&lane.key, &leaf, lane.proof) == Some(metadata.lanes_root)
            } else {
                lane.proof.is_empty()
            };
            if !proves {
                return Err(ImportFault::LaneProof);
            }
            work.keep(LANES, *taken, bytes)?;
            *taken += 1;
        }
        self.end_lanes(work)
    }

    /// Goes on when the last one is there.
    fn end_lanes(&mut self, work: &mut Work<'_>) -> Taken<()> {
        let Some((metadata, tree, taken)) = &self.lanes else { return Err(ImportFault::OutOfOrder) };
        if *taken < metadata.lane_count {
            return Ok(());
        }
        if tree.clone().root() != metadata.lanes_root {
            return Err(ImportFault::Lanes);
        }
        self.goes_on(work)
    }

    pub(super) fn take_outputs(&mut self, work: &mut Work<'_>, outputs: &[Bytes]) -> Taken<()> {
        self.at(Step::Outputs)?;
        let mut element = Vec::new();
        for bytes in outputs {
            let output = Utxo::decode(bytes).map_err(|_| ImportFault::Malformed)?;
            element.clear();
            output.element(&mut element);
            self.outputs.add(&element);
            work.keep(OUTPUTS, self.output_count, bytes)?;
            self.output_count += 1;
        }
        Ok(())
    }

    pub(super) fn end_outputs(&mut self, work: &mut Work<'_>) -> Taken<()> {
        self.at(Step::Outputs)?;
        let commitment = self.point.as_ref().map(|(_, point)| point.utxo_commitment);
        if Some(self.outputs.finish()) != commitment {
            return Err(ImportFault::Outputs);
        }
        self.goes_on(work)
    }
}
