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

mod claims;
mod feed;
mod gaps;
mod sources;
mod wants;

use crate::ledger::{Asked, Submitted};
use crate::misbehavior::Misbehavior;
use crate::orphans::{Account, HELD_BYTES, Orphans, Stage};
use crate::wire::{HEADER_BYTES, WAYPOINTS_MAX};
use crate::{Anya, Config, Cx, Open};
use alloc::boxed::Box;
use alloc::collections::btree_map::Entry;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;
use bytes::Bytes;
use core::time::Duration;
use gaps::Gap;
use polypeer_engine::kit::chain::{BlockFault, BlockOutcome, ChainFormat, Hash, Head, Request, Tip};
use polypeer_engine::kit::cost::Class;
use polypeer_engine::kit::seen::Seen;
use polypeer_engine::{ConnectionId, Frame, Stock, Stocks, Useful};
pub(crate) use sources::Claim;
use sources::{GapKey, Source};
use wants::Want;

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
/// Down from a block that is at most this much higher than our tip one block is fetched after the other; a higher one
/// is a claim, and its sender is asked for its waypoints too.
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
    checking: BTreeMap<Hash, Checking>,
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
    // Peers with a claim.
    claimants: usize,
    is_catching_up: bool,
}

/// A block that the ledger looks at for the first time.
#[derive(Debug)]
struct Checking {
    head: Head,
    body: Bytes,
    // The gaps that it was fetched for: if its parent is held they are done.
    gaps: Vec<GapKey>,
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
            claimants: 0,
            is_catching_up: false,
        }
    }

    pub(crate) fn stock(&self, peers: usize, stocks: &mut Stocks) {
        stocks.push(Stock::of_peers("peers to sync from", self.sources.len(), peers));
        stocks.push(Stock::of_peers("peers with a claim", self.claimants, peers));
        stocks.push(Stock::of_peers("blocks at their first check, bytes", self.checking_bytes, CHECKING_BYTES_MAX));
        stocks.push(Stock::of_peers("wanted blocks", self.wants.len(), peers * WAYPOINTS_MAX));
        stocks.push(Stock::kept("bad blocks", self.bad.len(), BAD_MAX));
        stocks.push(Stock::kept("fetched blocks", self.fetched.len(), FETCHED_MAX));
        self.orphans.stock(stocks);
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

/// Blocks as they come, and what the ledger makes of them.
impl<F: ChainFormat> Anya<F> {
    /// A `block` came, asked for or not.
    pub(crate) fn block_arrived(
        &mut self,
        cx: &mut Cx<'_, F>,
        from: ConnectionId,
        open: &mut Open,
        frame: Frame<'_>,
    ) -> Result<(), Misbehavior> {
        let body = frame.after(HEADER_BYTES).keep();
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
        // One that was asked for is looked at again even so: the ledger may have let it go.
        let is_new = (is_fetched || !was_taken) && self.block_is_new(&head, &body);
        if is_new && !self.block_paid(cx, from, body.len(), is_fetched) {
            return Ok(());
        }
        if !is_new || self.take_block(cx, from, head, body, is_fetched) {
            self.want_answered(cx, head);
            if !is_fetched {
                self.has_parent(from, head);
            }
        } else {
            self.still_wanted(cx, head.hash);
        }
        self.fill(cx, from);
        Ok(())
    }

    // What was asked for is looked at in any case. The signatures are not paid for: they are only looked at when proof
    // of work, root and parent are right, and a wrong one ends the connection.
    fn block_paid(&mut self, cx: &mut Cx<'_, F>, from: ConnectionId, bytes: usize, is_fetched: bool) -> bool {
        let price = Class::HeaderCheck.price(bytes);
        if is_fetched {
            cx.owe(from, price);
            return true;
        }
        self.pays(cx, from, Class::HeaderCheck, price)
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
        self.sync.checking.get(&head.hash).is_none_or(|checking| checking.body != *body)
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
        self.sync.checking.insert(head.hash, Checking { head, body: body.clone(), gaps: Vec::new() });
        let submitted = Submitted { from, head, body: body.clone(), is_fetched, is_fed: false };
        self.desk.ask(cx, Request::TakeBlock(body), Asked::Block(submitted));
        true
    }

    /// The ledger judged a block.
    pub(crate) fn block_taken(&mut self, cx: &mut Cx<'_, F>, submitted: Submitted, outcome: BlockOutcome) {
        let Submitted { from, head, body, is_fetched, is_fed } = submitted;
        let gaps = self.left_ledger(from, &head, &body, is_fed);
        match outcome {
            BlockOutcome::Accepted | BlockOutcome::Known => {
                if outcome == BlockOutcome::Accepted {
                    cx.useful(from, Useful::Block);
                }
                if outcome == BlockOutcome::Accepted && !is_fed {
                    cx.refund(from, Class::HeaderCheck.price(body.len()));
                }
                if is_fetched {
                    self.sync.fetched.insert(head.hash, ());
                }
                self.relay.tip_outgrown(&head.parent);
                self.block_held(cx, head);
                self.gaps_ended(gaps);
            }
            BlockOutcome::ParentUnknown => self.block_waits(cx, from, head, &body, is_fetched),
            // The ledger keeps it until its time; then it is a new tip like any other.
            BlockOutcome::Held => self.branch_ends(cx, head.hash),
            BlockOutcome::NoRoom => {
                self.relay.block_refused(&head.hash);
                self.branch_ends(cx, head.hash);
            }
            BlockOutcome::Invalid(fault) => {
                if fault == BlockFault::State {
                    cx.owe(from, Class::BlockCheck.price(body.len()));
                }
                self.block_invalid(cx, from, head, fault);
            }
        }
        self.feed(cx);
        self.fill(cx, from);
        self.tip_due(cx);
    }

    // The gaps that the block was fetched for, if this was its first check.
    fn left_ledger(&mut self, from: ConnectionId, head: &Head, body: &Bytes, is_fed: bool) -> Vec<GapKey> {
        let sync = &mut self.sync;
        if is_fed {
            sync.feeding = sync.feeding.saturating_sub(1);
            sync.feeding_bytes = sync.feeding_bytes.saturating_sub(body.len());
            return Vec::new();
        }
        sync.checking_bytes = sync.checking_bytes.saturating_sub(body.len());
        if let Some(source) = sync.sources.get_mut(&from) {
            source.checking_bytes = source.checking_bytes.saturating_sub(body.len());
        }
        match sync.checking.entry(head.hash) {
            Entry::Occupied(checking) if checking.get().body == *body => checking.remove().gaps,
            _ => Vec::new(),
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
            let share = self.share();
            let fits = self.sync.orphans.gap_bytes(from) + HELD_BYTES + body.len() <= share;
            if !self.sync.orphans.insert(head, fits.then_some(body), from, Account::Gap) {
                return self.disappointed(cx, from);
            }
        } else {
            self.sync.orphans.insert(head, Some(body), from, Account::Orphan);
            for parent in self.sync.orphans.take_left() {
                self.orphan_left(parent);
            }
        }
        let height = self.sync.height();
        // Below height 1 there is only genesis.
        if head.height <= height + WALK_MAX && head.height > 1 {
            self.want_parent(cx, from, head);
        }
        if !is_fetched {
            self.heard_above(cx, from, head);
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
}
