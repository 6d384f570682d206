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

mod orphans;
pub(crate) mod transactions;

use crate::handshake::ready_mut;
use crate::ledger::{BlockOutcome, Hash, Request, State, Status};
use crate::peer::{Route, Wanted};
use crate::questions::Asked;
use crate::wire::{self, BlockView, Hashes, Kind, OneHash};
use crate::{Alarm, Cx, Kaspa, Misbehavior, Ready};
use alloc::collections::{BTreeMap, VecDeque};
use alloc::vec::Vec;
use bytes::Bytes;
use core::time::Duration;
use orphans::Orphans;
use polypeer_engine::kit::cost::{Charged, Class};
use polypeer_engine::kit::seen::Seen;
use polypeer_engine::{ConnectionId, Overflow, Stock, Stocks, Time, Useful};

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

/// A block that the ledger judges.
#[derive(Debug)]
pub(crate) struct Judged {
    pub(crate) hash: Hash,
    pub(crate) block: Bytes,
    pub(crate) from: ConnectionId,
    is_root: bool,
    is_orphan: bool,
}

impl Announced {
    /// Takes up again what was put off while a sync ran.
    pub(crate) fn again(&mut self, hash: Hash) {
        if self.waiting.len() < INVS_MAX {
            self.waiting.push_back((hash, false));
        }
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
        stocks.push(Stock::of_peers("blocks asked for", self.fetches.len(), WORKERS * peers));
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
        let price = Class::Announcement.price(0);
        if ready.announced.waiting.len() < INVS_MAX
            && cx.charge(connection, Class::Announcement, price) == Charged::Paid
        {
            ready.announced.waiting.push_back((hash, false));
            self.work_on(cx, connection, &mut ready.announced);
        }
        Ok(())
    }

    /// Looks for what a peer announced, as long as it has a free worker.
    fn work_on(&mut self, cx: &mut Cx<'_>, connection: ConnectionId, announced: &mut Announced) {
        while announced.busy < WORKERS
            && let Some((hash, is_root)) = announced.waiting.pop_front()
        {
            if let Some(fetch) = self.relay.fetches.get_mut(&hash) {
                if fetch.others.len() < OTHERS_MAX && fetch.asked != connection {
                    fetch.others.push(connection);
                    self.watch_fetches(cx);
                }
                continue;
            }
            announced.busy += 1;
            self.ask_ledger(cx, Request::Statuses(alloc::vec![hash]), Asked::Announced { connection, hash, is_root });
        }
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
        if let Some(fetch) = self.relay.fetches.get_mut(&hash) {
            if fetch.others.len() < OTHERS_MAX && fetch.asked != connection {
                fetch.others.push(connection);
            }
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

    // The first one asked may still answer; its route stays, and so does its worker.
    fn ask_another(&mut self, cx: &mut Cx<'_>, hash: &Hash) {
        let Some(fetch) = self.relay.fetches.remove(hash) else { return };
        let mut others = fetch.others.into_iter();
        while let Some(next) = others.next() {
            let Some(ready) = ready_mut(cx, next) else { continue };
            ready.announced.busy += 1;
            self.fetch(cx, next, *hash, fetch.is_root);
            if let Some(fetch) = self.relay.fetches.get_mut(hash) {
                fetch.others = others.collect();
            }
            return;
        }
    }

    /// A peer is gone: what it was asked for is asked of others.
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

/// Blocks.
impl Kaspa {
    /// Block, the answer to RequestRelayBlocks.
    pub(crate) fn on_block(
        &mut self,
        cx: &mut Cx<'_>,
        connection: ConnectionId,
        wanted: Hash,
        body: Bytes,
    ) -> Result<(), Misbehavior> {
        let block = BlockView::decode(&body)?;
        let got = block.header()?.hash();
        if got != wanted {
            return Err(Misbehavior::OtherBlock { wanted, got });
        }
        if block.transaction_count == 0 {
            return Err(Misbehavior::HeaderOnly(wanted));
        }
        let mut is_root = false;
        if let Some(fetch) = self.relay.fetches.get_mut(&wanted) {
            fetch.is_here = true;
            is_root = fetch.is_root;
        }
        let judged = Judged { hash: wanted, block: body, from: connection, is_root, is_orphan: false };
        self.judge_block(cx, judged);
        Ok(())
    }

    fn judge_block(&mut self, cx: &mut Cx<'_>, judged: Judged) {
        let price = Class::HeaderCheck.price(judged.block.len());
        cx.owe(judged.from, price);
        self.ask_ledger(cx, Request::TakeBlock(judged.block.clone()), Asked::Judged(judged));
    }

    /// The ledger has judged a block.
    pub(crate) fn on_judged(&mut self, cx: &mut Cx<'_>, judged: Judged, outcome: BlockOutcome, state: State) {
        self.on_state(cx, state);
        let (hash, from, is_orphan) = (judged.hash, judged.from, judged.is_orphan);
        let was_asked = self.relay.fetches.get(&hash).is_some_and(|fetch| fetch.is_here);
        if was_asked && !is_orphan {
            self.relay.fetches.remove(&hash);
        }
        match outcome {
            BlockOutcome::Accepted => {
                self.relay.held.insert(hash, ());
                cx.refund(from, Class::HeaderCheck.price(judged.block.len()));
                cx.useful(from, Useful::Block);
                self.announce_block(cx, hash);
                self.adopt_orphans(cx, &hash);
            }
            BlockOutcome::Known => {
                self.relay.held.insert(hash, ());
                self.adopt_orphans(cx, &hash);
            }
            // A descendant that proves wrong is its author's fault, not its bearer's (Kaspa spec, section 4.4).
            BlockOutcome::Invalid(fault) => {
                if fault.is_of_header() {
                    self.relay.invalid.insert(hash, ());
                }
                if !is_orphan {
                    return cx.convict(from, Misbehavior::InvalidBlock(fault));
                }
            }
            BlockOutcome::ParentsUnknown(parents) => return self.on_parents_unknown(cx, judged, parents),
            BlockOutcome::TooOld | BlockOutcome::NoRoom => {}
        }
        if !is_orphan {
            self.worker_done(cx, from);
        }
    }

    // A block whose parents are not held: near enough to be an orphan, or a reason to sync.
    fn on_parents_unknown(&mut self, cx: &mut Cx<'_>, judged: Judged, parents: Vec<Hash>) {
        let (hash, from) = (judged.hash, judged.from);
        if judged.is_orphan || judged.is_root || self.relay.orphans.contains(&hash) {
            self.keep_orphan(cx, judged, &parents);
            return;
        }
        if self.sync.is_running() {
            // Its time comes when the sync is over.
            if let Some(ready) = ready_mut(cx, from) {
                ready.announced.missed = Some(hash);
            }
            return self.worker_done(cx, from);
        }
        let due = cx.time() + self.config.answer_timeout;
        let id = self.next_request_id();
        let limit = self.locator_limit();
        let Some(ready) = ready_mut(cx, from) else { return };
        ready.routes.insert(id, Route { wanted: Wanted::Locator(hash), due });
        self.relay.orphans.consider(hash, judged.block, parents, from);
        let body = wire::RequestBlockLocator { high: hash, limit }.encode();
        cx.send(from, wire::pack(Kind::RequestBlockLocator, &body, id, 0), Overflow::Close);
        self.watch_dues_of(cx, from);
    }

    // Entries of the locator by which it is decided whether a block is near (Kaspa spec, section 4.4).
    fn locator_limit(&self) -> u32 {
        5 + self.config.blocks_per_second.next_power_of_two().trailing_zeros()
    }

    /// BlockLocator, of a block whose parents are not held.
    pub(crate) fn on_block_locator(
        &mut self,
        cx: &mut Cx<'_>,
        connection: ConnectionId,
        block: Hash,
        body: &Bytes,
    ) -> Result<(), Misbehavior> {
        let hashes: Vec<Hash> = Hashes::decode(body, self.locator_limit() as usize)?.iter().collect();
        self.ask_ledger(cx, Request::Statuses(hashes), Asked::Near { connection, block });
        Ok(())
    }

    /// The ledger says which blocks of the locator are held.
    pub(crate) fn on_near(&mut self, cx: &mut Cx<'_>, connection: ConnectionId, block: Hash, statuses: &[Status]) {
        let Some((bytes, parents)) = self.relay.orphans.considered(&block, connection) else { return };
        if statuses.contains(&Status::Full) {
            let judged = Judged { hash: block, block: bytes, from: connection, is_root: false, is_orphan: false };
            self.keep_orphan(cx, judged, &parents);
        } else {
            self.worker_done(cx, connection);
            self.begin_sync(cx, connection, block);
        }
    }

    fn keep_orphan(&mut self, cx: &mut Cx<'_>, judged: Judged, parents: &[Hash]) {
        let (hash, from, is_orphan) = (judged.hash, judged.from, judged.is_orphan);
        self.relay.orphans.insert(hash, judged.block, parents, from);
        self.want_roots(cx, from, &hash);
        if !is_orphan {
            self.worker_done(cx, from);
        }
    }

    // The peer is asked for what an orphan lacks, before what it announced.
    fn want_roots(&mut self, cx: &mut Cx<'_>, connection: ConnectionId, hash: &Hash) {
        let roots = self.relay.orphans.roots(hash);
        self.with_announced(cx, connection, |announced| {
            for root in roots {
                if announced.waiting.len() < INVS_MAX {
                    announced.waiting.push_front((root, true));
                }
            }
        });
    }

    // A block is held: those that lacked only it are judged.
    fn adopt_orphans(&mut self, cx: &mut Cx<'_>, parent: &Hash) {
        for (hash, block, from) in self.relay.orphans.adopt(parent) {
            self.judge_block(cx, Judged { hash, block, from, is_root: false, is_orphan: true });
        }
    }

    /// A sync is over: orphans may have got their parents by it.
    pub(crate) fn look_at_orphans(&mut self, cx: &mut Cx<'_>) {
        let parents = self.relay.orphans.missing();
        if !parents.is_empty() {
            self.ask_ledger(cx, Request::Statuses(parents.clone()), Asked::Parents(parents));
        }
    }

    /// The ledger says which blocks that orphans lack are held.
    pub(crate) fn on_parents(&mut self, cx: &mut Cx<'_>, parents: &[Hash], statuses: &[Status]) {
        for (parent, _) in parents.iter().zip(statuses).filter(|(_, status)| **status == Status::Full) {
            self.adopt_orphans(cx, parent);
        }
    }

    /// Tells all who may not know it of a block.
    pub(crate) fn announce_block(&mut self, cx: &mut Cx<'_>, hash: Hash) {
        let frame = inv(hash);
        for connection in cx.connections() {
            let Some(ready) = ready_mut(cx, connection) else { continue };
            if ready.known_blocks.insert(hash, ()) {
                cx.send(connection, frame.clone(), Overflow::Drop);
            }
        }
    }

    /// Tells a peer that has just become ready of our newest block.
    pub(crate) fn tell_sink(&mut self, cx: &mut Cx<'_>, connection: ConnectionId) {
        if let Some(state) = self.state.filter(|state| state.sink.hash != state.genesis) {
            cx.send(connection, inv(state.sink.hash), Overflow::Close);
        }
    }

    /// A block of our own making.
    pub(crate) fn on_new_block(&mut self, cx: &mut Cx<'_>, hash: Hash, state: State) {
        self.on_state(cx, state);
        self.relay.held.insert(hash, ());
        self.announce_block(cx, hash);
        self.adopt_orphans(cx, &hash);
    }
}

fn inv(hash: Hash) -> Bytes {
    wire::pack(Kind::InvRelayBlock, &OneHash(hash).encode(), 0, 0)
}
