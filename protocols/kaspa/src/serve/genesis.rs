//! Serves what belongs to a pruning point while nothing is pruned here: genesis, or an honest refusal (Kaspa spec,
//! sections 4.6.6 to 4.6.9).

use super::Serving;
use super::answers::{give, header_of, headers};
use super::pruning::Long;
use crate::handshake::VERSION;
use crate::misbehavior::Refused;
use crate::wire::{Items, Kind, ProofChunk};
use crate::{Cx, Kaspa, Misbehavior};
use bytes::Bytes;
use polypeer_engine::ConnectionId;
use polypeer_engine::kit::cost::Class;

impl Kaspa {
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
        serving: &Serving,
        found: &[Option<Bytes>],
    ) -> Result<(), Misbehavior> {
        let id = serving.id_of(Long::Anticone);
        if let Some(header) = header_of(found) {
            give(cx, connection, Kind::PruningPoints, &headers(&[header]), id, false);
        }
        Err(Misbehavior::Refused(Refused::PruningPointIsGenesis))
    }
}
