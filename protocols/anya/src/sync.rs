//! Catches up with chains that have more work: claims, gaps, and the way up to the ledger (AnYa spec, sections 3, 6).
//!
//! ```text
//!   blockchain_info ──► claim: waypoints w0 < w1 < ... < wn, of which the lowest k are held
//!                         │
//!          gap (wk-1,wk)  gap (wk,wk+1)  ...       each walked downwards, block by block: a block names its parent
//!             │  ▲            │  ▲
//!   get_block ▼  │ block      ▼  │                 many gaps at once, from every peer that claims both ends
//!                ▼
//!          ledger checks proof of work and root; what has no parent yet waits (orphans.rs)
//!                ▼
//!          feed: from the lowest held block upwards, in order, many at the ledger at once
//! ```
//!
//! Blocks are known by their hashes, so it does not matter who sent one, and what was fetched survives any peer. A
//! claim is only a reason to ask. A peer that cannot deliver what it claimed loses its claim, nothing else is lost.

mod feed;
mod gaps;
mod sources;

use crate::ledger::{Asked, Submitted};
use crate::misbehavior::Misbehavior;
use crate::orphans::{Account, Orphans, Stage};
use crate::wire::{self, HEADER_BYTES, Kind};
use crate::{Alarm, Anya, Config, Cx, Open};
use alloc::boxed::Box;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;
use bytes::Bytes;
use core::time::Duration;
use gaps::{Gap, Want};
use polypeer_engine::kit::chain::{BlockFault, BlockOutcome, ChainFormat, Hash, Head, Request, Tip};
use polypeer_engine::kit::seen::Seen;
use polypeer_engine::{ConnectionId, Overflow};
use sources::{Claim, GapKey, InfoState, Source};

/// Bytes of fetched blocks that wait, all peers together; each peer with a claim has an equal share.
const GAP_BYTES_MAX: usize = 64 << 20;
/// The size that a block is thought to have before some came.
const BLOCK_BYTES_GUESS: usize = 64 << 10;
/// Bytes of blocks from peers that may be at the ledger. What is above is dropped, and asked for again if it was.
const CHECKING_BYTES_MAX: usize = 64 << 20;
/// The same of one peer, so that none fills it alone.
const CHECKING_BYTES_PER_PEER_MAX: usize = 16 << 20;
/// A claim that brings nothing for this long, while our chain does not grow either, leads nowhere.
const STALL: Duration = Duration::from_secs(30);
/// Hashes of invalid blocks that are remembered, so that they are not fetched again.
const BAD_MAX: usize = 4_096;
/// Hashes of fetched blocks that are remembered, so that they are not relayed.
const FETCHED_MAX: usize = 4_096;
/// A block this much higher than our tip is not walked down to by its sender alone; its waypoints are asked for.
const WALK_MAX: u64 = 64;
/// What was fetched is kept this long after the last claim ended: the peer may come back.
const KEPT_FOR: Duration = Duration::from_secs(60);

/// Everything about catching up.
#[derive(Debug)]
pub(crate) struct Sync {
    /// Our tip, once the ledger has said.
    pub tip: Option<Tip>,
    // Boxed: most are idle, and a tree's nodes are half empty.
    sources: BTreeMap<ConnectionId, Box<Source>>,
    gaps: BTreeMap<GapKey, Gap>,
    wants: BTreeMap<Hash, Want>,
    orphans: Orphans,
    // Blocks whose first check the ledger has not finished.
    checking: BTreeMap<Hash, (Head, Bytes)>,
    checking_bytes: usize,
    // Blocks whose parent is held or at the ledger, lowest first.
    eligible: BTreeSet<(u64, Hash)>,
    // Eligible blocks whose bytes must be fetched again.
    due: BTreeSet<(u64, Hash)>,
    feeding: usize,
    feeding_bytes: usize,
    // The average size of the last blocks that came.
    block_bytes: usize,
    awaiting_tip: BTreeMap<Hash, Vec<ConnectionId>>,
    bad: Seen<Hash>,
    fetched: Seen<Hash>,
    is_catching_up: bool,
}

impl Sync {
    pub(crate) fn new(config: &Config, secret: u64) -> Self {
        Self {
            tip: None,
            sources: BTreeMap::new(),
            gaps: BTreeMap::new(),
            wants: BTreeMap::new(),
            orphans: Orphans::new(config.orphans_per_peer_max as usize, config.orphan_bytes_max as usize),
            checking: BTreeMap::new(),
            checking_bytes: 0,
            eligible: BTreeSet::new(),
            due: BTreeSet::new(),
            feeding: 0,
            feeding_bytes: 0,
            block_bytes: BLOCK_BYTES_GUESS,
            awaiting_tip: BTreeMap::new(),
            bad: Seen::new(BAD_MAX, secret),
            fetched: Seen::new(FETCHED_MAX, secret),
            is_catching_up: false,
        }
    }

    /// Whether a chain with more work is being fetched, and the peer that claims it delivers.
    pub(crate) fn is_catching_up(&self) -> bool {
        self.is_catching_up
    }

    /// Whether more blocks are about to follow a fetched one that became the tip.
    pub(crate) fn is_busy(&self) -> bool {
        self.is_catching_up || self.feeding > 0 || !self.eligible.is_empty()
    }

    /// Whether a block was fetched with `get_block`, as far as one remembers.
    pub(crate) fn is_fetched(&self, hash: &Hash) -> bool {
        self.fetched.contains(hash)
    }

    fn stop_awaiting(&mut self, tip: Option<Hash>, connection: ConnectionId) {
        let Some(tip) = tip else { return };
        if let Some(waiting) = self.awaiting_tip.get_mut(&tip) {
            waiting.retain(|peer| *peer != connection);
            if waiting.is_empty() {
                self.awaiting_tip.remove(&tip);
            }
        }
    }

    fn height(&self) -> u64 {
        self.tip.map_or(0, |tip| tip.height)
    }

    fn work(&self) -> u128 {
        self.tip.map_or(0, |tip| tip.work)
    }
}

/// Claims.
impl<F: ChainFormat> Anya<F> {
    /// The handshake is done: the peer is asked for its chain.
    pub(crate) fn source_opened(&mut self, cx: &mut Cx<'_, F>, connection: ConnectionId) {
        self.sync.sources.insert(connection, Box::new(Source::new()));
        self.ask_info(cx, connection);
    }

    /// Asks a peer for its chain, unless the answer is awaited already.
    pub(crate) fn ask_info(&mut self, cx: &mut Cx<'_, F>, connection: ConnectionId) {
        let Some(source) = self.sync.sources.get_mut(&connection) else { return };
        if core::mem::replace(&mut source.info, InfoState::Asked) == InfoState::Idle {
            cx.send(connection, wire::empty(Kind::GetBlockchainInfo), Overflow::Close);
        }
    }

    /// A peer says what chain it has. Nothing when it is a stranger: then goodbye is to be said.
    pub(crate) fn info_arrived(
        &mut self,
        cx: &mut Cx<'_, F>,
        from: ConnectionId,
        open: &mut Open,
        payload: &[u8],
    ) -> Option<()> {
        let Some(source) = self.sync.sources.get_mut(&from) else { return Some(()) };
        if core::mem::take(&mut source.info) == InfoState::Idle {
            return Some(());
        }
        let Ok(info) = wire::decode_info(payload) else {
            cx.slip(from, Misbehavior::PayloadUnreadable(Kind::BlockchainInfo));
            self.disappointed(cx, from);
            return Some(());
        };
        let claimed = info.claimed;
        if claimed.network_id != self.config.network_id || claimed.genesis != self.config.genesis {
            cx.stranger(from, Misbehavior::OtherNetwork);
            return None;
        }
        self.ready(cx, from, open, claimed.height);
        let work = self.sync.work();
        let hashes = if claimed.work > work {
            info.waypoints.iter().map(|(_, hash)| *hash).collect()
        } else {
            alloc::vec![claimed.tip]
        };
        if let Some(source) = self.sync.sources.get_mut(&from) {
            let waypoints = if claimed.work > work { info.waypoints } else { Vec::new() };
            source.claim = Some(Box::new(Claim::new(claimed, waypoints)));
        }
        self.desk.ask(cx, Request::Missing(hashes), Asked::Missing(from));
        Some(())
    }

    /// The ledger said which of a peer's waypoints it lacks.
    pub(crate) fn waypoints_compared(&mut self, cx: &mut Cx<'_, F>, of: ConnectionId, missing: &[Hash]) {
        let Some(source) = self.sync.sources.get_mut(&of) else { return };
        let Some(claim) = &mut source.claim else { return };
        let tip = claim.claimed.tip;
        if !missing.contains(&tip) {
            return self.claim_done(cx, of);
        }
        let lacks: BTreeSet<Hash> = missing.iter().copied().collect();
        let first = claim.waypoints.iter().position(|(_, hash)| lacks.contains(hash));
        let awaited = (!source.is_pool_wanted).then(|| source.awaited_tip.replace(tip));
        match first {
            // Genesis is the same, so the first one is held.
            Some(from) if from > 0 => {
                (claim.from, claim.next) = (from, from);
                cx.peer_alarm(of, Alarm::Stall, cx.time() + STALL);
            }
            // A chain with less work than ours: nothing to fetch.
            _ => source.claim = None,
        }
        if let Some(before) = awaited {
            self.sync.stop_awaiting(before, of);
            self.sync.awaiting_tip.entry(tip).or_default().push(of);
        }
        self.due_again(cx);
        self.fill(cx, of);
    }

    // Our chain has come to a peer's tip, or past it.
    fn claim_done(&mut self, cx: &mut Cx<'_, F>, connection: ConnectionId) {
        self.drop_claim(cx, connection);
        let height = self.sync.height();
        let Some(source) = self.sync.sources.get_mut(&connection) else { return };
        source.disappointments = 0;
        let heard = core::mem::take(&mut source.heard);
        self.tip_of_peer_known(cx, connection);
        if heard > height + 1 {
            self.ask_info(cx, connection);
        }
    }

    /// A peer cannot deliver what it claimed, or claims what cannot be: it is asked again, later and later.
    fn disappointed(&mut self, cx: &mut Cx<'_, F>, connection: ConnectionId) {
        self.drop_claim(cx, connection);
        let Some(source) = self.sync.sources.get_mut(&connection) else { return };
        let wait = source.disappoint();
        cx.peer_alarm(connection, Alarm::Info, cx.time() + wait);
    }

    /// Looks whether a claim still leads anywhere.
    pub(crate) fn stalled(&mut self, cx: &mut Cx<'_, F>, connection: ConnectionId) {
        let height = self.sync.height();
        let Some(source) = self.sync.sources.get_mut(&connection) else { return };
        let Some(claim) = &mut source.claim else { return };
        let progress = (claim.from, source.delivered, height);
        if core::mem::replace(&mut claim.progress, progress) == progress {
            self.disappointed(cx, connection);
        } else {
            cx.peer_alarm(connection, Alarm::Stall, cx.time() + STALL);
        }
    }

    // A claim ends; what only it stood for is no longer fetched.
    fn drop_claim(&mut self, cx: &mut Cx<'_, F>, connection: ConnectionId) {
        let Some(source) = self.sync.sources.get_mut(&connection) else { return };
        if source.claim.take().is_none() {
            return;
        }
        let todo = core::mem::take(&mut source.todo);
        self.drop_unclaimed_gaps(cx);
        self.reassign(cx, todo);
        if self.sync.sources.values().all(|source| source.claim.is_none()) {
            cx.alarm(Alarm::Tidy, cx.time() + KEPT_FOR);
        }
        self.catching_up_reviewed(cx);
    }

    /// Our tip changed: claims that it satisfies end.
    pub(crate) fn claims_reviewed(&mut self, cx: &mut Cx<'_, F>) {
        let Some(tip) = self.sync.tip else { return };
        let is_done = |claim: &Claim| claim.claimed.tip == tip.hash || claim.from > 0 && claim.claimed.work <= tip.work;
        let done: Vec<_> = self
            .sync
            .sources
            .iter()
            .filter(|(_, source)| source.claim.as_deref().is_some_and(is_done))
            .map(|(connection, claim)| (*connection, claim.claim.as_ref().is_some_and(|c| c.claimed.tip == tip.hash)))
            .collect();
        for (connection, is_ours) in done {
            if is_ours { self.claim_done(cx, connection) } else { self.drop_claim(cx, connection) }
        }
        self.catching_up_reviewed(cx);
    }

    /// Tells the ledger when catching up begins and ends. Only a claim that delivers counts, so that words alone do
    /// not stop a producer.
    fn catching_up_reviewed(&mut self, cx: &mut Cx<'_, F>) {
        let height = self.sync.height();
        let counts = |source: &Source| {
            source.strikes == 0
                && source.claim.as_ref().is_some_and(|claim| claim.is_supported && claim.claimed.height > height + 1)
        };
        let is_catching_up = self.sync.sources.values().any(|source| counts(source));
        if is_catching_up != self.sync.is_catching_up {
            self.sync.is_catching_up = is_catching_up;
            cx.ask(Request::CatchingUp(is_catching_up));
        }
        self.tip_due(cx);
    }

    // The newest block of a peer is held here: its mempool can be understood.
    fn tip_of_peer_known(&mut self, cx: &mut Cx<'_, F>, connection: ConnectionId) {
        let Some(source) = self.sync.sources.get_mut(&connection) else { return };
        if !core::mem::replace(&mut source.is_pool_wanted, true) {
            self.pool_wanted(cx, connection);
        }
    }

    /// A connection is gone, or says goodbye: what it was asked for is asked of others.
    pub(crate) fn source_gone(&mut self, cx: &mut Cx<'_, F>, connection: ConnectionId) {
        self.drop_claim(cx, connection);
        let Some(source) = self.sync.sources.remove(&connection) else { return };
        self.sync.orphans.gone(connection);
        self.sync.stop_awaiting(source.awaited_tip, connection);
        let asked = source.asks.iter().map(|ask| ask.hash);
        self.wants_abandoned(cx, connection, asked.chain(source.todo.iter().map(|(_, hash)| *hash)));
        self.catching_up_reviewed(cx);
    }

    /// What was fetched for claims that ended long ago goes.
    pub(crate) fn tidy(&mut self) {
        if self.sync.sources.values().all(|source| source.claim.is_none()) {
            self.sync.orphans.drop_gaps();
            self.sync.due.clear();
        }
    }
}

/// Blocks as they come, and what the ledger makes of them.
impl<F: ChainFormat> Anya<F> {
    /// A `block` came, asked for or not.
    pub(crate) fn block_arrived(
        &mut self,
        cx: &mut Cx<'_, F>,
        from: ConnectionId,
        open: &mut Open,
        frame: &Bytes,
    ) -> Result<(), Misbehavior> {
        let body = frame.slice(HEADER_BYTES..);
        let head = F::head(&body).ok_or(Misbehavior::BlockUnreadable)?;
        open.height = open.height.max(head.height);
        let was_taken = self.relay.heard_block(head.hash, from);
        let is_fetched = self.sync.sources.get_mut(&from).is_some_and(|source| source.answered(head.hash));
        if self.sync.bad.contains(&head.hash) {
            return Err(Misbehavior::BlockInvalid);
        }
        if is_fetched {
            self.sync.block_bytes = (7 * self.sync.block_bytes + body.len()) / 8;
            self.supported(cx, from);
        }
        let is_new = !was_taken && self.block_is_new(&head, &body);
        if !is_new || self.take_block(cx, from, head, body, is_fetched) {
            self.want_answered(cx, head);
            self.has_parent(from, head);
        } else {
            self.still_wanted(cx, head.hash);
        }
        self.fill(cx, from);
        Ok(())
    }

    // A claim whose blocks come counts.
    fn supported(&mut self, cx: &mut Cx<'_, F>, from: ConnectionId) {
        let Some(source) = self.sync.sources.get_mut(&from) else { return };
        source.delivered += 1;
        let Some(claim) = &mut source.claim else { return };
        if !core::mem::replace(&mut claim.is_supported, true) {
            self.catching_up_reviewed(cx);
        }
    }

    // Whether these bytes are worth a look: not held, not being checked. Another body for the same hash is.
    fn block_is_new(&self, head: &Head, body: &Bytes) -> bool {
        if let Some(held) = self.sync.orphans.get(&head.hash) {
            return held.body.is_none();
        }
        self.sync.checking.get(&head.hash).is_none_or(|(_, checked)| checked != body)
    }

    // Puts a block to the ledger, or to the others that wait. Whether it is in good hands.
    fn take_block(
        &mut self,
        cx: &mut Cx<'_, F>,
        from: ConnectionId,
        head: Head,
        body: Bytes,
        is_fetched: bool,
    ) -> bool {
        if self.sync.orphans.get(&head.hash).is_some() {
            self.sync.orphans.supply(&head.hash, &body, from);
            if self.sync.due.remove(&(head.height, head.hash)) {
                self.sync.eligible.insert((head.height, head.hash));
                self.feed(cx);
            }
            return true;
        }
        let Some(source) = self.sync.sources.get_mut(&from) else { return false };
        let (of_all, of_peer) = (self.sync.checking_bytes + body.len(), source.checking_bytes + body.len());
        if of_all > CHECKING_BYTES_MAX || of_peer > CHECKING_BYTES_PER_PEER_MAX {
            return false;
        }
        (self.sync.checking_bytes, source.checking_bytes) = (of_all, of_peer);
        self.sync.checking.insert(head.hash, (head, body.clone()));
        let submitted = Submitted { from, head, body: body.clone(), is_fetched, is_fed: false };
        self.desk.ask(cx, Request::TakeBlock(body), Asked::Block(submitted));
        true
    }

    /// The ledger judged a block.
    pub(crate) fn block_taken(&mut self, cx: &mut Cx<'_, F>, submitted: Submitted, outcome: BlockOutcome) {
        let Submitted { from, head, body, is_fetched, is_fed } = submitted;
        self.left_ledger(from, &head, &body, is_fed);
        match outcome {
            BlockOutcome::Accepted | BlockOutcome::Known => {
                if is_fetched {
                    self.sync.fetched.insert(head.hash, ());
                }
                self.relay.tip_outgrown(&head.parent);
                self.block_held(cx, head);
            }
            BlockOutcome::ParentUnknown => self.block_waits(cx, from, head, &body, is_fetched),
            // The ledger keeps it until its time; then it is a new tip like any other.
            BlockOutcome::Held => self.branch_ends(cx, head.hash),
            BlockOutcome::NoRoom => {
                self.relay.block_refused(&head.hash);
                self.branch_ends(cx, head.hash);
            }
            BlockOutcome::Invalid(fault) => self.block_invalid(cx, from, head, fault),
        }
        self.feed(cx);
        self.fill(cx, from);
        self.tip_due(cx);
    }

    fn left_ledger(&mut self, from: ConnectionId, head: &Head, body: &Bytes, is_fed: bool) {
        let sync = &mut self.sync;
        if is_fed {
            sync.feeding = sync.feeding.saturating_sub(1);
            sync.feeding_bytes = sync.feeding_bytes.saturating_sub(body.len());
            return;
        }
        sync.checking_bytes = sync.checking_bytes.saturating_sub(body.len());
        if let Some(source) = sync.sources.get_mut(&from) {
            source.checking_bytes = source.checking_bytes.saturating_sub(body.len());
        }
        if sync.checking.get(&head.hash).is_some_and(|(_, checked)| checked == body) {
            sync.checking.remove(&head.hash);
        }
    }

    // The ledger holds this block now: what waits for it can follow.
    pub(crate) fn block_held(&mut self, cx: &mut Cx<'_, F>, head: Head) {
        let hash = head.hash;
        self.relay.block_taken(hash, cx.time());
        self.sync.orphans.remove(&hash);
        self.sync.eligible.remove(&(head.height, hash));
        for child in self.sync.orphans.children(hash) {
            self.block_follows(child);
        }
        self.gaps_finished(cx, (head.height, hash));
        for peer in self.sync.awaiting_tip.remove(&hash).unwrap_or_default() {
            self.tip_of_peer_known(cx, peer);
        }
    }

    // Proof of work and root are right, the parent is not held.
    fn block_waits(&mut self, cx: &mut Cx<'_, F>, from: ConnectionId, head: Head, body: &Bytes, is_fetched: bool) {
        if self.sync.orphans.get(&head.hash).is_some() {
            self.sync.orphans.set_stage(&head.hash, Stage::Waiting);
        } else if is_fetched {
            let share = GAP_BYTES_MAX / self.claimants().max(1);
            let fits = self.sync.orphans.gap_bytes(from) + body.len() <= share;
            if !self.sync.orphans.insert(head, fits.then_some(body), from, Account::Gap) {
                return self.disappointed(cx, from);
            }
        } else {
            self.sync.orphans.insert(head, Some(body), from, Account::Orphan);
        }
        let height = self.sync.height();
        if let Some(source) = self.sync.sources.get_mut(&from)
            && !is_fetched
        {
            source.heard = source.heard.max(head.height);
            if head.height > height + WALK_MAX && source.claim.is_none() {
                self.ask_info(cx, from);
            }
        }
        if head.height <= height + WALK_MAX && head.height > 1 {
            self.want_parent(cx, from, head);
        }
    }

    // A block cannot be taken now, and it is nobody's fault: what stands on it cannot either.
    fn branch_ends(&mut self, cx: &mut Cx<'_, F>, root: Hash) {
        let removed = self.sync.orphans.remove_branch(root);
        self.claims_through(cx, &removed);
    }

    fn block_invalid(&mut self, cx: &mut Cx<'_, F>, from: ConnectionId, head: Head, fault: BlockFault) {
        self.relay.block_refused(&head.hash);
        if fault == BlockFault::Body {
            // The same hash with the right body is still good: what stands on it waits, and another peer is asked.
            self.sync.orphans.remove(&head.hash);
            cx.convict(from, Misbehavior::BlockInvalid);
            return self.want_again(cx, head, from);
        }
        self.sync.bad.insert(head.hash, ());
        let removed = self.sync.orphans.remove_branch(head.hash);
        cx.convict(from, Misbehavior::BlockInvalid);
        self.claims_through(cx, &removed);
    }

    // Claims whose next waypoint stands on a block that cannot be taken lead nowhere.
    fn claims_through(&mut self, cx: &mut Cx<'_, F>, removed: &BTreeSet<Hash>) {
        let leads_nowhere = |claim: &Claim| {
            claim.from > 0 && claim.waypoints.get(claim.from).is_some_and(|(_, hash)| removed.contains(hash))
        };
        let concerned: Vec<_> = self
            .sync
            .sources
            .iter()
            .filter(|(_, source)| source.claim.as_deref().is_some_and(leads_nowhere))
            .map(|(connection, _)| *connection)
            .collect();
        for connection in concerned {
            self.disappointed(cx, connection);
        }
    }

    fn claimants(&self) -> usize {
        self.sync.sources.values().filter(|source| source.claim.as_ref().is_some_and(|claim| claim.from > 0)).count()
    }
}
