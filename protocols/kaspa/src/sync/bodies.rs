//! Fetches bodies for the headers that have none (Kaspa spec, section 4.6.5).

use super::Stage;
use crate::handshake::ready_mut;
use crate::ledger::{BlockOutcome, Hash, Request, State};
use crate::peer::{Route, Wanted};
use crate::wire::{BlockBody, Hashes, Kind};
use crate::{Cx, Kaspa, Misbehavior, Ready};
use alloc::collections::VecDeque;
use alloc::vec::Vec;
use bytes::Bytes;
use polypeer_engine::ConnectionId;

/// Bodies asked for at once (Kaspa spec, section 4.6.5).
const BATCH: usize = 99;
/// Requests that are open at one time: the peer reads the next bodies while these travel.
const OPEN_MAX: usize = 3;
/// Bodies that are listed at once: the ledger is asked for the next as the last of them come.
pub(super) const LISTED_MAX: u32 = 16 * BATCH as u32;
/// Bytes that are handed to the ledger together.
const JUDGED_BYTES_MAX: usize = 1 << 20;
/// So often they may be handed over before the ledger has judged the first: until then no more is asked for.
const JUDGING_MAX: usize = 16;

/// Bodies on their way.
#[derive(Debug)]
pub(crate) struct Bodies {
    // Of whose past.
    of: Hash,
    wanted: VecDeque<Hash>,
    // Asked for and not here, in the order of the answers.
    flying: VecDeque<Hash>,
    requests: usize,
    arrived: Vec<(Hash, Bytes)>,
    arrived_bytes: usize,
    judging: usize,
    is_listing: bool,
}

impl Bodies {
    /// How many are listed and not judged.
    pub(super) fn len(&self) -> usize {
        self.wanted.len() + self.flying.len() + self.arrived.len()
    }

    pub(super) fn is_owed(&self) -> bool {
        !self.flying.is_empty()
    }

    fn is_idle(&self) -> bool {
        self.len() == 0 && self.judging == 0 && !self.is_listing
    }
}

impl Kaspa {
    /// All headers are held: what of the sink's past has no body?
    pub(super) fn begin_bodies(&mut self, cx: &mut Cx<'_>, sink: Hash) {
        if let Some(run) = &mut self.sync.run {
            run.stage = Stage::Bodies(Bodies {
                of: sink,
                wanted: VecDeque::new(),
                flying: VecDeque::new(),
                requests: 0,
                arrived: Vec::new(),
                arrived_bytes: 0,
                judging: 0,
                is_listing: false,
            });
        }
        self.list_missing(cx);
    }

    fn bodies(&mut self) -> Option<&mut Bodies> {
        match &mut self.sync.run.as_mut()?.stage {
            Stage::Bodies(bodies) => Some(bodies),
            _ => None,
        }
    }

    fn list_missing(&mut self, cx: &mut Cx<'_>) {
        let Some(bodies) = self.bodies() else { return };
        bodies.is_listing = true;
        let of = bodies.of;
        self.ask_for_sync(cx, Request::MissingBodies { of, count_max: LISTED_MAX });
    }

    /// The ledger lists what has no body. When nothing is left of the sink's past it is the turn of what began the sync.
    pub(crate) fn on_missing(&mut self, cx: &mut Cx<'_>, connection: ConnectionId, missing: Vec<Hash>) {
        let Some(relay_block) = self.sync.run.as_ref().map(|run| run.relay_block) else { return };
        let Some(bodies) = self.bodies() else { return };
        bodies.is_listing = false;
        bodies.wanted = missing.into();
        if !bodies.wanted.is_empty() {
            return self.ask_bodies(cx, connection);
        }
        let of = bodies.of;
        if self.sync.run.as_ref().and_then(|run| run.imports.as_ref()).is_some_and(|imports| imports.ends_with(of)) {
            return self.on_bodies_at_point(cx, connection);
        }
        let Some(bodies) = self.bodies() else { return };
        if bodies.of == relay_block {
            return if self.sync.run.as_ref().is_some_and(|run| run.imports.is_some()) {
                self.finish_import(cx);
            } else {
                self.end_sync(cx, true);
            };
        }
        bodies.of = relay_block;
        self.list_missing(cx);
    }

    // Asks for the next ones. The peer is in the table.
    fn ask_bodies(&mut self, cx: &mut Cx<'_>, connection: ConnectionId) {
        let Some(ready) = ready_mut(cx, connection) else { return };
        let mut routes = core::mem::take(&mut ready.routes);
        self.ask_bodies_of(cx, connection, &mut routes);
        if let Some(ready) = ready_mut(cx, connection) {
            ready.routes = routes;
        }
    }

    fn ask_bodies_of(
        &mut self,
        cx: &mut Cx<'_>,
        connection: ConnectionId,
        routes: &mut alloc::collections::BTreeMap<u32, Route>,
    ) {
        loop {
            let id = self.next_request_id();
            let due = cx.time() + self.config.answer_timeout;
            let run = self.sync.number;
            let Some(bodies) = self.bodies() else { return };
            if bodies.requests >= OPEN_MAX || bodies.judging >= JUDGING_MAX || bodies.wanted.is_empty() {
                return;
            }
            let count = bodies.wanted.len().min(BATCH);
            let batch: Vec<Hash> = bodies.wanted.drain(..count).collect();
            bodies.flying.extend(&batch);
            bodies.requests += 1;
            routes.insert(id, Route { wanted: Wanted::Bodies { left: count, run }, due });
            self.send_to_sync(cx, connection, Kind::RequestBlockBodies, &Hashes::from_iter(batch).encode(), id);
            self.sync_due(cx, self.config.answer_timeout);
        }
    }

    /// BlockBody, the next one of those asked for; `is_last` of its request.
    pub(crate) fn on_body(
        &mut self,
        cx: &mut Cx<'_>,
        connection: ConnectionId,
        ready: &mut Ready,
        body: Bytes,
        is_last: bool,
    ) -> Result<(), Misbehavior> {
        self.paces(cx, body.len())?;
        let Some(bodies) = self.bodies() else { return Ok(()) };
        let Some(hash) = bodies.flying.pop_front() else { return Ok(()) };
        if BlockBody::decode(&body)?.0.is_empty() {
            return Err(Misbehavior::EmptyBody(hash));
        }
        bodies.arrived_bytes += body.len();
        bodies.arrived.push((hash, body));
        bodies.requests = bodies.requests.saturating_sub(usize::from(is_last));
        if is_last || bodies.arrived_bytes >= JUDGED_BYTES_MAX {
            bodies.judging += 1;
            bodies.arrived_bytes = 0;
            let arrived = core::mem::take(&mut bodies.arrived);
            self.ask_for_sync(cx, Request::TakeBodies(arrived));
        }
        self.sync_due(cx, self.config.answer_timeout);
        self.ask_bodies_of(cx, connection, &mut ready.routes);
        Ok(())
    }

    /// The ledger has judged some bodies.
    pub(crate) fn on_bodies_taken(&mut self, cx: &mut Cx<'_>, fault: Option<BlockOutcome>, state: State) {
        self.on_state(cx, state);
        if let Some(fault) = fault {
            return self.on_sync_fault(cx, fault);
        }
        let Some(bodies) = self.bodies() else { return };
        bodies.judging = bodies.judging.saturating_sub(1);
        if bodies.is_idle() {
            return self.list_missing(cx);
        }
        if let Some(peer) = self.sync.run.as_ref().map(|run| run.peer) {
            self.ask_bodies(cx, peer);
        }
    }
}
