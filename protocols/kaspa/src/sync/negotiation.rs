//! Finds the highest block of the peer's selected chain that is held here, and with it which kind of sync it takes (Kaspa
//! spec, sections 4.6.2 and 4.6.3).

use super::Stage;
use crate::ledger::{Branch, Hash, Import, Request, Status};
use crate::wire::{CHAIN_LOCATOR_MAX, Hashes, Kind, OptionalHashes};
use crate::{Cx, Kaspa, Misbehavior};
use alloc::vec::Vec;
use bytes::Bytes;
use core::time::Duration;
use polypeer_engine::ConnectionId;

/// How often the peer's chain may change under way (Kaspa spec, section 4.6.2).
const RESTARTS_MAX: usize = 32;
/// A locator between two blocks has to come within this (Kaspa spec, section 4.6.2).
const ZOOM_TIME_MAX: Duration = Duration::from_secs(10);

/// What is known of the peer's chain so far.
#[derive(Debug, Default)]
pub(crate) struct Negotiation {
    // Whether the peer owes a locator, and between which blocks when it is not of the whole chain.
    is_open: bool,
    between: Option<(Hash, Hash)>,
    // How long it may take.
    wait: Duration,
    sink: Hash,
    // The peer's pruning point.
    point: Hash,
    // The highest block that both hold, once it is found.
    known: Option<Hash>,
    // The locator that is with the ledger.
    locator: Vec<Hash>,
    zooms_left: usize,
    restarts: usize,
}

impl Negotiation {
    pub(super) fn is_open(&self) -> bool {
        self.is_open
    }

    pub(super) fn wait(&self) -> Duration {
        self.wait
    }
}

impl Kaspa {
    /// Asks the peer for a locator of its chain, the whole of it or between two blocks.
    pub(super) fn ask_chain_locator(
        &mut self,
        cx: &mut Cx<'_>,
        connection: ConnectionId,
        between: Option<(Hash, Hash)>,
        wait: Duration,
    ) {
        let Some(negotiation) = self.negotiation() else { return };
        (negotiation.is_open, negotiation.between, negotiation.wait) = (true, between, wait);
        let (low, high) = between.unzip();
        let body = OptionalHashes { low, high }.encode();
        self.send_to_sync(cx, connection, Kind::RequestIbdChainBlockLocator, &body, 0);
        self.sync_due(cx, wait);
    }

    fn negotiation(&mut self) -> Option<&mut Negotiation> {
        match &mut self.sync.run.as_mut()?.stage {
            Stage::Negotiating(negotiation) => Some(negotiation),
            _ => None,
        }
    }

    /// IbdChainBlockLocator.
    pub(crate) fn on_chain_locator(
        &mut self,
        cx: &mut Cx<'_>,
        connection: ConnectionId,
        body: &Bytes,
    ) -> Result<(), Misbehavior> {
        let locator: Vec<Hash> = Hashes::decode(body, CHAIN_LOCATOR_MAX)?.iter().collect();
        let Some(negotiation) = self.negotiation() else { return Ok(()) };
        negotiation.is_open = false;
        let (Some(first), Some(last)) = (locator.first().copied(), locator.last().copied()) else {
            return self.restart(cx, connection);
        };
        match negotiation.between {
            None => {
                negotiation.sink = first;
                negotiation.point = last;
                negotiation.zooms_left = 2 * locator.len();
            }
            Some((low, high)) if (first, last) != (high, low) => return Err(Misbehavior::BadLocator),
            Some((low, _)) if locator.len() == 2 => {
                self.on_known(cx, connection, low);
                return Ok(());
            }
            Some(_) => {}
        }
        negotiation.locator.clone_from(&locator);
        self.ask_for_sync(cx, Request::Statuses(locator));
        Ok(())
    }

    // The peer's chain changed between two questions.
    fn restart(&mut self, cx: &mut Cx<'_>, connection: ConnectionId) -> Result<(), Misbehavior> {
        let Some(negotiation) = self.negotiation() else { return Ok(()) };
        negotiation.restarts += 1;
        if negotiation.between.is_none() || negotiation.restarts > RESTARTS_MAX {
            return Err(Misbehavior::BadLocator);
        }
        self.ask_chain_locator(cx, connection, None, ZOOM_TIME_MAX);
        Ok(())
    }

    /// The ledger says which blocks of the locator are held.
    pub(crate) fn on_locator_checked(&mut self, cx: &mut Cx<'_>, connection: ConnectionId, statuses: &[Status]) {
        let Some(negotiation) = self.negotiation() else { return };
        let locator = core::mem::take(&mut negotiation.locator);
        let (sink, point) = (negotiation.sink, negotiation.point);
        let imported = self.sync.run.as_ref().and_then(|run| run.imports.as_ref()).map(|imports| imports.point);
        if imported.is_some_and(|imported| imported != point) {
            return self.asks_anew(cx, connection).unwrap_or_else(|moved| cx.convict(connection, moved));
        }
        let Some(at) = statuses.iter().position(|status| *status != Status::Unknown) else {
            if self.is_nearly_synced(cx) || imported.is_some() {
                return cx.convict(connection, Misbehavior::NothingShared);
            }
            return self.begin_import(cx, connection, sink, point);
        };
        let Some(known) = locator.get(at).copied() else { return };
        if statuses.get(at) == Some(&Status::Invalid) {
            return cx.convict(connection, Misbehavior::InvalidChainBlock(known));
        }
        let Some(unknown) = at.checked_sub(1).and_then(|above| locator.get(above)).copied() else {
            return self.on_known(cx, connection, known);
        };
        let Some(negotiation) = self.negotiation() else { return };
        if negotiation.zooms_left == 0 {
            return cx.convict(connection, Misbehavior::BadLocator);
        }
        negotiation.zooms_left -= 1;
        self.ask_chain_locator(cx, connection, Some((known, unknown)), ZOOM_TIME_MAX);
    }

    // The highest block that both hold is found. Which kind of sync it takes is settled already while one is imported.
    fn on_known(&mut self, cx: &mut Cx<'_>, connection: ConnectionId, known: Hash) {
        let is_settled = self.sync.run.as_ref().is_some_and(|run| run.imports.is_some());
        let Some(negotiation) = self.negotiation() else { return };
        let (sink, point) = (negotiation.sink, negotiation.point);
        if is_settled {
            return self.begin_headers(cx, connection, known, sink);
        }
        negotiation.known = Some(known);
        self.ask_for_sync(cx, Request::Import(Import::Compare { known, point }));
    }

    /// The ledger says which kind of sync it takes.
    pub(super) fn on_branch(&mut self, cx: &mut Cx<'_>, connection: ConnectionId, branch: Branch) {
        let Some(negotiation) = self.negotiation() else { return };
        let (Some(known), sink, point) = (negotiation.known, negotiation.sink, negotiation.point) else { return };
        match branch {
            Branch::Conflict => return cx.convict(connection, Misbehavior::FinalityConflict),
            Branch::Strange => return cx.convict(connection, Misbehavior::StrangePruningPoint),
            Branch::Sync => {}
            Branch::CatchUp => {
                if let Some(run) = &mut self.sync.run {
                    run.catches_up = Some(point);
                }
            }
        }
        self.begin_headers(cx, connection, known, sink);
    }
}
