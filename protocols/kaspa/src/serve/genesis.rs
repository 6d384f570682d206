//! Serves what belongs to a pruning point while nothing is pruned here: genesis, or an honest refusal (Kaspa spec,
//! sections 4.6.6 to 4.6.9).

use super::Job;
use super::answers::{give, header_of, headers};
use crate::handshake::VERSION;
use crate::ledger::Hash;
use crate::misbehavior::Refused;
use crate::wire::{Envelope, Items, Kind, OneHash, ProofChunk};
use crate::{Cx, Kaspa, Misbehavior, Ready};
use bytes::Bytes;
use polypeer_engine::ConnectionId;
use polypeer_engine::kit::cost::Class;

impl Kaspa {
    /// A request about the pruning point: the rest of the table.
    pub(super) fn on_pruning_request(
        &mut self,
        cx: &mut Cx<'_>,
        connection: ConnectionId,
        ready: &mut Ready,
        envelope: &Envelope,
    ) -> Result<(), Misbehavior> {
        let id = envelope.request_id;
        match envelope.kind {
            Kind::RequestPruningPointProof => ready.serving.push(Job::Proof { id }, envelope.kind),
            Kind::RequestPruningPointAndItsAnticone => ready.serving.push(Job::PruningPoints { id }, envelope.kind),
            Kind::RequestPruningPointUtxoSet => {
                self.give_outputs(cx, connection, OneHash::decode(&envelope.body)?.0);
                Ok(())
            }
            Kind::RequestPruningPointSmtState => self.give_lanes(cx, connection, OneHash::decode(&envelope.body)?.0),
            // Words that ask for more of a stream: there is none.
            Kind::RequestNextPruningPointUtxoSetChunk => Err(idle(Kind::RequestPruningPointUtxoSet, envelope.kind)),
            Kind::RequestNextPruningPointSmtChunk => Err(idle(Kind::RequestPruningPointSmtState, envelope.kind)),
            Kind::RequestNextPruningPointAndItsAnticoneBlocks => {
                Err(idle(Kind::RequestPruningPointAndItsAnticone, envelope.kind))
            }
            kind => Err(Misbehavior::NobodyListens(kind)),
        }
    }

    fn is_pruning_point(&self, hash: Hash) -> bool {
        self.state.map_or(self.config.genesis, |state| state.pruning_point) == hash
    }

    // The outputs at genesis: none.
    fn give_outputs(&self, cx: &mut Cx<'_>, connection: ConnectionId, point: Hash) {
        if self.is_pruning_point(point) {
            give(cx, connection, Kind::PruningPointUtxoSetChunk, &[], 0, false);
            give(cx, connection, Kind::DonePruningPointUtxoSetChunks, &[], 0, false);
        } else {
            give(cx, connection, Kind::UnexpectedPruningPoint, &[], 0, false);
        }
    }

    fn give_lanes(&self, cx: &mut Cx<'_>, connection: ConnectionId, point: Hash) -> Result<(), Misbehavior> {
        if self.is_pruning_point(point) {
            return Err(Misbehavior::Refused(Refused::NoSmtState));
        }
        give(cx, connection, Kind::UnexpectedPruningPoint, &[], 0, false);
        Ok(())
    }

    /// Genesis on every level, in the form of the peer's version.
    pub(super) fn give_genesis_proof(
        &self,
        cx: &mut Cx<'_>,
        connection: ConnectionId,
        version: u32,
        id: u32,
        found: &[Option<Bytes>],
    ) -> Result<(), Misbehavior> {
        let Some(header) = header_of(found) else {
            return Err(Misbehavior::Refused(Refused::UnknownHeader(self.config.genesis)));
        };
        let level = headers(&[header]);
        let levels = usize::from(self.config.block_level_max) + 1;
        cx.owe(connection, Class::ListServed.price(levels * level.len()));
        if version < VERSION {
            let whole = Items::of(core::iter::repeat_n(&level[..], levels)).encode();
            give(cx, connection, Kind::PruningPointProof, &whole, id, false);
            return Ok(());
        }
        let headers = Items::decode(&level, 1)?;
        for level in (0..=self.config.block_level_max).rev() {
            let body = ProofChunk { headers: headers.clone(), level }.encode();
            give(cx, connection, Kind::PruningPointProofChunk, &body, id, false);
        }
        give(cx, connection, Kind::PruningPointProofChunksEnd, &[], id, false);
        Ok(())
    }

    /// Genesis is the only pruning point, and has no anticone.
    pub(super) fn give_genesis_point(
        &self,
        cx: &mut Cx<'_>,
        connection: ConnectionId,
        id: u32,
        found: &[Option<Bytes>],
    ) -> Result<(), Misbehavior> {
        if let Some(header) = header_of(found) {
            give(cx, connection, Kind::PruningPoints, &headers(&[header]), id, false);
        }
        Err(Misbehavior::Refused(Refused::PruningPointIsGenesis))
    }
}

fn idle(expected: Kind, got: Kind) -> Misbehavior {
    Misbehavior::Unexpected { expected, got }
}
