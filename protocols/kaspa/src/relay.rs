//! Relays blocks: the flows Block Inv Receive and, with [`crate::serve`], Block Request Receive (Kaspa spec, sections
//! 4.3 and 4.4).
//!
//! ```text
//!   InvRelayBlock ─► known? ─► RequestRelayBlocks ─► Block ─► ledger ─► taken: InvRelayBlock to the others
//!                                                               │
//!                                                               └─ parents unknown ─► RequestBlockLocator
//!                                                                     a block of it is held: kept as an orphan, its
//!                                                                     missing roots are asked for; none: sync begins
//! ```

mod blocks;
mod orphans;
pub(crate) mod transactions;

pub(crate) use blocks::Judged;

use crate::handshake::ready_mut;
use crate::ledger::{Hash, Request, Status};
use crate::peer::{Route, Wanted};
use crate::questions::Asked;
use crate::wire::{self, Hashes, Kind, OneHash};
use crate::{Alarm, Cx, Kaspa, Misbehavior, Ready};
use alloc::collections::{BTreeMap, VecDeque};
use alloc::vec::Vec;
use bytes::Bytes;
use core::time::Duration;
use orphans::Orphans;
use polypeer_engine::kit::cost::{Charged, Class};
use polypeer_engine::kit::seen::Seen;
use polypeer_engine::{ConnectionId, Overflow, Stock, Stocks, Time};

/// Blocks asked of one peer at one time, as many as today's nodes ask of us (Kaspa spec, section 4.3).
pub(crate) const WORKERS: usize = 5;
/// Announcements of one peer that wait for a worker; the rest is dropped, as by today's nodes (Kaspa spec, section 1.6).
const INVS_MAX: usize = 2_560;
/// Peers remembered to have announced a block that another was asked for.
const OTHERS_MAX: usize = 4;
/// After so long without the block another peer that announced it is asked.
const PATIENCE: Duration = Duration::from_secs(2);
/// Blocks that are remembered as held, so that their announcements need no look into the ledger.
const HELD_MAX: usize = 8_192;
/// Blocks that are remembered as invalid.
const INVALID_MAX: usize = 1_024;

/// What one peer has announced.
#[derive(Debug, Default)]
pub(crate) struct Announced {
    // With whether it is wanted as the root of an orphan.
    waiting: VecDeque<(Hash, bool)>,
    busy: usize,
    /// The last block that it announced while a sync was running.
    pub(crate) missed: Option<Hash>,
}

/// Blocks on their way.
#[derive(Debug)]
pub(crate) struct Relay {
    fetches: BTreeMap<Hash, Fetch>,
    held: Seen<Hash>,
    invalid: Seen<Hash>,
    pub(crate) orphans: Orphans,
}

#[derive(Debug)]
struct Fetch {
    asked: ConnectionId,
    since: Time,
    // Whether the block is here, and with the ledger.
    is_here: bool,
    is_root: bool,
    others: Vec<ConnectionId>,
}

impl Announced {
    /// Takes up again what was put off while a sync ran.
    pub(crate) fn again(&mut self, hash: Hash) {
        if self.waiting.len() < INVS_MAX {
            self.waiting.push_back((hash, false));
        }
    }

    // Takes something up before everything else that waits, the last of which makes room.
    fn first(&mut self, hash: Hash, is_root: bool) {
        if self.waiting.len() >= INVS_MAX {
            self.waiting.pop_back();
        }
        self.waiting.push_front((hash, is_root));
    }
}

impl Relay {
    pub(crate) fn new(secret: u64) -> Self {
        Self {
            fetches: BTreeMap::new(),
            held: Seen::new(HELD_MAX, secret),
            invalid: Seen::new(INVALID_MAX, secret),
            orphans: Orphans::default(),
        }
    }

    pub(crate) fn stock(&self, peers: usize, stocks: &mut Stocks) {
        let awaited = self.fetches.values().filter(|fetch| !fetch.is_here).count();
        stocks.push(Stock::of_peers("blocks asked for", awaited, WORKERS * peers));
        stocks.push(Stock::kept("blocks known to be held", self.held.len(), HELD_MAX));
        stocks.push(Stock::kept("invalid blocks", self.invalid.len(), INVALID_MAX));
        self.orphans.stock(stocks);
    }
}

/// Announcements.
impl Kaspa {
    /// InvRelayBlock.
    pub(crate) fn on_inv(
        &mut self,
        cx: &mut Cx<'_>,
        connection: ConnectionId,
        ready: &mut Ready,
        body: &Bytes,
    ) -> Result<(), Misbehavior> {
        let hash = OneHash::decode(body)?.0;
        ready.known_blocks.insert(hash, ());
        if self.relay.invalid.contains(&hash) {
            return Err(Misbehavior::InvalidInv(hash));
        }
        if self.relay.held.contains(&hash) {
            return Ok(());
        }
        if self.sync.is_running() && !self.is_nearly_synced(cx) {
            ready.announced.missed = Some(hash);
            return Ok(());
        }
        if ready.announced.waiting.len() < INVS_MAX && self.pays_for_announcements(cx, connection, 1) {
            ready.announced.waiting.push_back((hash, false));
            self.work_on(cx, connection, &mut ready.announced);
        }
        Ok(())
    }

    /// Whether a peer may have so many announcements looked at. Who goes on for long without credit slips.
    pub(crate) fn pays_for_announcements(&self, cx: &mut Cx<'_>, connection: ConnectionId, count: usize) -> bool {
        let charged = cx.charge(connection, Class::Announcement, Class::Announcement.price(0).times(count));
        if charged == Charged::Excess {
            cx.slip(connection, Misbehavior::TooMuchWork);
        }
        charged == Charged::Paid
    }

    /// Looks for what a peer announced, as long as it has a free worker.
    fn work_on(&mut self, cx: &mut Cx<'_>, connection: ConnectionId, announced: &mut Announced) {
        while announced.busy < WORKERS
            && let Some((hash, is_root)) = announced.waiting.pop_front()
        {
            if self.joins_fetch(cx, connection, &hash, is_root) {
                continue;
            }
            announced.busy += 1;
            self.ask_ledger(cx, Request::Statuses(alloc::vec![hash]), Asked::Announced { connection, hash, is_root });
        }
    }

    // Whether a block is on its way already. Then the peer is remembered to have it too.
    fn joins_fetch(&mut self, cx: &mut Cx<'_>, connection: ConnectionId, hash: &Hash, is_root: bool) -> bool {
        let Some(fetch) = self.relay.fetches.get_mut(hash) else { return false };
        fetch.is_root |= is_root;
        let is_new = fetch.asked != connection && !fetch.others.contains(&connection);
        if is_new && fetch.others.len() < OTHERS_MAX {
            fetch.others.push(connection);
            self.watch_fetches(cx);
        }
        true
    }

    /// The ledger says whether an announced block is held.
    pub(crate) fn on_announced(
        &mut self,
        cx: &mut Cx<'_>,
        connection: ConnectionId,
        hash: Hash,
        is_root: bool,
        status: Status,
    ) {
        match status {
            Status::Full => {
                self.relay.held.insert(hash, ());
                self.worker_done(cx, connection);
            }
            Status::Invalid => {
                self.relay.invalid.insert(hash, ());
                cx.convict(connection, Misbehavior::InvalidInv(hash));
            }
            Status::Unknown | Status::HeaderOnly if self.relay.orphans.contains(&hash) => {
                self.want_roots(cx, connection, &hash);
                self.worker_done(cx, connection);
            }
            Status::Unknown | Status::HeaderOnly => self.fetch(cx, connection, hash, is_root),
        }
    }

    // Asks a peer, one of whose workers is taken for it, for a block.
    fn fetch(&mut self, cx: &mut Cx<'_>, connection: ConnectionId, hash: Hash, is_root: bool) {
        if self.joins_fetch(cx, connection, &hash, is_root) {
            return self.worker_done(cx, connection);
        }
        let (now, due) = (cx.time(), cx.time() + self.config.answer_timeout);
        let id = self.next_request_id();
        let Some(ready) = ready_mut(cx, connection) else { return };
        ready.routes.insert(id, Route { wanted: Wanted::Block(hash), due });
        let fetch = Fetch { asked: connection, since: now, is_here: false, is_root, others: Vec::new() };
        self.relay.fetches.insert(hash, fetch);
        let frame = wire::pack(Kind::RequestRelayBlocks, &Hashes::from_iter([hash]).encode(), id, 0);
        cx.send(connection, frame, Overflow::Close);
        self.watch_dues_of(cx, connection);
        self.watch_fetches(cx);
    }

    /// Changes what a peer that is in the table has announced, and goes on with it.
    pub(crate) fn with_announced(
        &mut self,
        cx: &mut Cx<'_>,
        connection: ConnectionId,
        change: impl FnOnce(&mut Announced),
    ) {
        let Some(ready) = ready_mut(cx, connection) else { return };
        let mut announced = core::mem::take(&mut ready.announced);
        change(&mut announced);
        self.work_on(cx, connection, &mut announced);
        if let Some(ready) = ready_mut(cx, connection) {
            ready.announced = announced;
        }
    }

    // A worker of the peer's is free again.
    fn worker_done(&mut self, cx: &mut Cx<'_>, connection: ConnectionId) {
        self.with_announced(cx, connection, |announced| announced.busy = announced.busy.saturating_sub(1));
    }

    fn watch_fetches(&self, cx: &mut Cx<'_>) {
        let waits = |fetch: &&Fetch| !fetch.is_here && !fetch.others.is_empty();
        if let Some(since) = self.relay.fetches.values().filter(waits).map(|fetch| fetch.since).min() {
            cx.alarm(Alarm::Fetches, since + PATIENCE);
        }
    }

    /// Blocks that a peer does not bring are asked of another that announced them.
    pub(crate) fn look_at_fetches(&mut self, cx: &mut Cx<'_>) {
        let now = cx.time();
        let is_late = |fetch: &Fetch| !fetch.is_here && !fetch.others.is_empty() && now >= fetch.since + PATIENCE;
        let late: Vec<Hash> =
            self.relay.fetches.iter().filter(|(_, fetch)| is_late(fetch)).map(|(hash, _)| *hash).collect();
        for hash in late {
            self.ask_another(cx, &hash);
        }
        self.watch_fetches(cx);
    }

    // The first one asked may still answer; its route stays, and so does its worker. For the others it is as if they
    // announced the block now, before what waits.
    fn ask_another(&mut self, cx: &mut Cx<'_>, hash: &Hash) {
        let Some(fetch) = self.relay.fetches.remove(hash) else { return };
        for other in fetch.others {
            self.with_announced(cx, other, |announced| announced.first(*hash, fetch.is_root));
        }
    }

    /// A peer is gone: what it was asked for is asked of others. What it brought is with the ledger.
    pub(crate) fn forget_fetches(&mut self, cx: &mut Cx<'_>, connection: ConnectionId) {
        let lost: Vec<Hash> = self
            .relay
            .fetches
            .iter()
            .filter(|(_, fetch)| fetch.asked == connection && !fetch.is_here)
            .map(|(hash, _)| *hash)
            .collect();
        for hash in lost {
            self.ask_another(cx, &hash);
        }
    }
}
