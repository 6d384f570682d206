//! Takes blocks: the ledger judges them, orphans wait for their parents, what is new is told to the others (Kaspa spec,
//! sections 4.3 and 4.4).

use crate::handshake::ready_mut;
use crate::ledger::{BlockOutcome, Fault, Hash, Request, State, Status};
use crate::peer::{Route, Wanted};
use crate::questions::Asked;
use crate::wire::{self, BlockView, Hashes, Kind, OneHash};
use crate::{Cx, Kaspa, Misbehavior, Ready};
use alloc::vec::Vec;
use bytes::Bytes;
use polypeer_engine::kit::cost::Class;
use polypeer_engine::{ConnectionId, Overflow, Useful};

/// Parents on all levels together that a header is hashed with. The form allows half a million, which would be 16 MiB of
/// hashing; no network has more than 256 levels of 64, the most that simnet allows.
const PARENTS_MAX: usize = 256 * 64;

/// A block that the ledger judges.
#[derive(Debug)]
pub(crate) struct Judged {
    pub(crate) hash: Hash,
    pub(crate) block: Bytes,
    pub(crate) from: ConnectionId,
    // The number that it was asked for under, free again; 0 when it comes from the orphans.
    route: u32,
    // Whether it was wanted as the root of an orphan, or was one itself.
    is_root: bool,
    is_orphan: bool,
}

/// Blocks.
impl Kaspa {
    /// Block, the answer to RequestRelayBlocks.
    pub(crate) fn on_block(
        &mut self,
        cx: &mut Cx<'_>,
        connection: ConnectionId,
        ready: &mut Ready,
        (route, wanted): (u32, Hash),
        body: Bytes,
    ) -> Result<(), Misbehavior> {
        let block = BlockView::decode(&body)?;
        let header = block.header()?;
        if header.parents.expanded_count() > PARENTS_MAX {
            return Err(Misbehavior::InvalidBlock(Fault::Parents));
        }
        let got = header.hash();
        if got != wanted {
            return Err(Misbehavior::OtherBlock { wanted, got });
        }
        if block.transaction_count == 0 {
            return Err(Misbehavior::HeaderOnly(wanted));
        }
        // A root of an orphan's is asked for without having been announced.
        ready.known_blocks.insert(wanted, ());
        let mut is_root = false;
        if let Some(fetch) = self.relay.fetches.get_mut(&wanted) {
            fetch.is_here = true;
            is_root = fetch.is_root;
        }
        let judged = Judged { hash: wanted, block: body, from: connection, route, is_root, is_orphan: false };
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
        let is_fetched = !is_orphan && self.relay.fetches.get(&hash).is_some_and(|fetch| fetch.is_here);
        if is_fetched && !outcome.is_of_bearer() {
            let others = self.relay.fetches.remove(&hash).map(|fetch| fetch.others).unwrap_or_default();
            if matches!(outcome, BlockOutcome::ParentsUnknown(_)) {
                // Should it begin a sync they are the next to go on with.
                self.put_off(cx, &others, hash);
            }
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
                    self.relay.orphans.forsake(&hash);
                }
                if !is_orphan {
                    cx.convict(from, Misbehavior::InvalidBlock(fault));
                }
                if is_fetched {
                    // Of a wrong body only: others may have the right one.
                    self.ask_another(cx, &hash);
                }
                return;
            }
            BlockOutcome::ParentsUnknown(parents) => return self.on_parents_unknown(cx, judged, parents),
            BlockOutcome::TooOld | BlockOutcome::NoRoom => {}
        }
        if !is_orphan {
            self.worker_done(cx, from);
        }
    }

    // What these peers announced has its turn when a sync is over.
    fn put_off(&self, cx: &mut Cx<'_>, peers: &[ConnectionId], hash: Hash) {
        for peer in peers {
            if let Some(ready) = ready_mut(cx, *peer) {
                ready.announced.missed = Some(hash);
            }
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
            self.put_off(cx, &[from], hash);
            return self.worker_done(cx, from);
        }
        let due = cx.time() + self.config.answer_timeout;
        // A worker keeps its number, as today's nodes have it.
        let id = judged.route;
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
        let Some((bytes, parents)) = self.relay.orphans.considered(&block, connection) else {
            // The same block came twice, and has been decided on.
            return self.worker_done(cx, connection);
        };
        if statuses.contains(&Status::Full) {
            let judged =
                Judged { hash: block, block: bytes, from: connection, route: 0, is_root: false, is_orphan: false };
            self.keep_orphan(cx, judged, &parents);
        } else {
            self.worker_done(cx, connection);
            self.begin_sync(cx, connection, block);
        }
    }

    fn keep_orphan(&mut self, cx: &mut Cx<'_>, judged: Judged, parents: &[Hash]) {
        let (hash, from, is_orphan) = (judged.hash, judged.from, judged.is_orphan);
        let is_kept = self.relay.orphans.insert(hash, judged.block, parents, from);
        self.want_roots(cx, from, &hash);
        if !is_orphan {
            self.worker_done(cx, from);
        }
        if !is_kept {
            // More than a peer's orphans lie between, or it is too large: headers first, then.
            self.begin_sync(cx, from, hash);
        }
    }

    // The peer is asked for what an orphan lacks, before what it announced.
    pub(super) fn want_roots(&mut self, cx: &mut Cx<'_>, connection: ConnectionId, hash: &Hash) {
        let roots = self.relay.orphans.roots(hash);
        cx.owe(connection, Class::Announcement.price(0).times(roots.len()));
        self.with_announced(cx, connection, |announced| {
            roots.into_iter().rev().for_each(|root| announced.first(root, true));
        });
    }

    // A block is held: those that lacked only it are judged.
    fn adopt_orphans(&mut self, cx: &mut Cx<'_>, parent: &Hash) {
        for (hash, block, from) in self.relay.orphans.adopt(parent) {
            self.judge_block(cx, Judged { hash, block, from, route: 0, is_root: false, is_orphan: true });
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
    pub(crate) fn tell_sink(&mut self, cx: &mut Cx<'_>, connection: ConnectionId, ready: &mut Ready) {
        if let Some(state) = self.state.filter(|state| state.sink.hash != state.genesis) {
            ready.known_blocks.insert(state.sink.hash, ());
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
