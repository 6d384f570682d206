//! Lanes and outputs at the pruning point (Kaspa spec, sections 4.6.8 and 4.6.9).

use super::{Next, Part};
use crate::ledger::{Hash, Import, ImportFault};
use crate::wire::{Items, Kind, OneHash, SmtMetadata, decode_lanes};
use crate::{Cx, Kaspa, Misbehavior};
use alloc::vec::Vec;
use bytes::Bytes;
use polypeer_engine::ConnectionId;

/// Chunks of lanes after which the peer waits for a word (Kaspa spec, section 4.6.8).
const LANES_A_CREDIT: u64 = 10;
/// Chunks of outputs after which it does (Kaspa spec, section 4.6.9).
const OUTPUTS_A_CREDIT: u64 = 99;
/// Outputs in a chunk: kaspad sends 1,000 and takes any number; this is what 20 MiB of the smallest could be.
const OUTPUTS_MAX: usize = 1 << 18;

impl Kaspa {
    /// What are the lanes at the pruning point?
    pub(super) fn begin_lanes(&mut self, cx: &mut Cx<'_>, connection: ConnectionId, point: Hash) {
        self.set_importing(Part::Metadata);
        self.send_to_sync(cx, connection, Kind::RequestPruningPointSmtState, &OneHash(point).encode(), 0);
        self.sync_due(cx, self.config.answer_timeout);
    }

    pub(super) fn on_metadata(&mut self, cx: &mut Cx<'_>, body: &Bytes) -> Result<(), Misbehavior> {
        let SmtMetadata { lanes_root, payload_and_context, parent_commitment, lane_count } = SmtMetadata::decode(body)?;
        let metadata = [lanes_root.0, payload_and_context.0, parent_commitment.0].concat().into();
        self.hand_in(cx, Import::LanesBegin { metadata, count: lane_count });
        match lane_count {
            0 => self.waits_for(Next::OnLanes),
            lanes => {
                if let Some(importing) = self.importing() {
                    importing.becomes(Part::Lanes(lanes));
                }
            }
        }
        Ok(())
    }

    pub(super) fn on_lanes(
        &mut self,
        cx: &mut Cx<'_>,
        connection: ConnectionId,
        left: u64,
        body: &Bytes,
    ) -> Result<(), Misbehavior> {
        let lanes = decode_lanes(body)?;
        let more = Misbehavior::Import(ImportFault::Lanes);
        let left = left.checked_sub(lanes.len() as u64).ok_or(more)?;
        self.hand_in(cx, Import::Lanes(lanes.iter().collect()));
        if left == 0 {
            self.waits_for(Next::OnLanes);
            return Ok(());
        }
        let Some(importing) = self.importing() else { return Ok(()) };
        importing.part = Part::Lanes(left);
        importing.count += 1;
        if importing.count.is_multiple_of(LANES_A_CREDIT) {
            importing.credit = Some(Kind::RequestNextPruningPointSmtChunk);
            self.give_credit(cx, connection);
        }
        Ok(())
    }

    /// What are the outputs at it?
    pub(super) fn begin_outputs(&mut self, cx: &mut Cx<'_>, connection: ConnectionId, point: Hash) {
        self.set_importing(Part::Outputs);
        self.send_to_sync(cx, connection, Kind::RequestPruningPointUtxoSet, &OneHash(point).encode(), 0);
        self.sync_due(cx, self.config.answer_timeout);
    }

    pub(super) fn on_outputs(
        &mut self,
        cx: &mut Cx<'_>,
        connection: ConnectionId,
        body: &Bytes,
    ) -> Result<(), Misbehavior> {
        let outputs: Vec<Bytes> = Items::decode(body, OUTPUTS_MAX)?.iter().collect();
        if !outputs.is_empty() {
            self.hand_in(cx, Import::Outputs(outputs));
        }
        let Some(importing) = self.importing() else { return Ok(()) };
        importing.count += 1;
        if importing.count.is_multiple_of(OUTPUTS_A_CREDIT) {
            importing.credit = Some(Kind::RequestNextPruningPointUtxoSetChunk);
            self.give_credit(cx, connection);
        }
        Ok(())
    }

    pub(super) fn on_outputs_end(&mut self, cx: &mut Cx<'_>) {
        self.hand_in(cx, Import::OutputsEnd);
        self.waits_for(Next::OnOutputs);
    }
}
