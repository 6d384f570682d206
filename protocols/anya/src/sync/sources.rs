//! Keeps what each peer claims and what it was asked for.

use crate::wire::{Claimed, Waypoint};
use alloc::boxed::Box;
use alloc::collections::{BTreeSet, VecDeque};
use alloc::vec::Vec;
use core::time::Duration;
use polypeer_engine::Time;
use polypeer_engine::kit::chain::Hash;

/// `get_block`s that a peer may have unanswered (section 3).
pub(crate) const ASKS_MAX: usize = 128;
/// Bytes that the answers to one peer's open requests should have together, by the size of the last blocks: what is
/// asked for must come within the request timeout on a slow line too.
const ASKED_BYTES: usize = 8 << 20;
/// How long a peer whose claim came to nothing is left alone, the first time; it doubles.
const PATIENCE_FIRST: Duration = Duration::from_secs(10);
/// The longest such wait.
const PATIENCE_MAX: Duration = Duration::from_secs(600);

/// Both ends of a gap, the lower first: the key orders gaps from the bottom up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct GapKey {
    /// A block that is held, or will be.
    pub low: Waypoint,
    /// A block that is not.
    pub high: Waypoint,
}

/// A peer's chain, as it claims, with more work than ours.
#[derive(Debug)]
pub(crate) struct Claim {
    /// What it ends in.
    pub claimed: Claimed,
    /// From genesis to the tip.
    pub waypoints: Vec<Waypoint>,
    /// The lowest waypoint that is not held; never the first, which is genesis.
    pub from: usize,
    /// The waypoint on top of the next gap to start.
    pub next: usize,
    /// Whether it delivered a block of it.
    pub is_supported: bool,
    /// How far things were when it was looked at last.
    pub progress: (usize, u64, u64),
}

impl Claim {
    pub(crate) fn new(claimed: Claimed, waypoints: Vec<Waypoint>) -> Self {
        Self { claimed, waypoints, from: 0, next: 0, is_supported: false, progress: (0, 0, 0) }
    }

    /// Whether both ends of a gap are neighbours in it.
    pub(crate) fn covers(&self, key: &GapKey) -> bool {
        self.waypoints.binary_search(&key.high).is_ok_and(|at| at > 0 && self.waypoints[at - 1] == key.low)
    }
}

/// What became of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AskState {
    /// It waits for its answer.
    Open,
    /// Its time is over; the block was asked of another peer.
    Late,
    /// The block came by itself; the answer is still to come.
    Done,
}

/// A `get_block` without its answer.
#[derive(Debug)]
pub(crate) struct Ask {
    /// The block.
    pub hash: Hash,
    /// When it was asked for.
    pub at: Time,
    /// What became of it.
    pub state: AskState,
}

/// Whether `blockchain_info` was asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum InfoState {
    /// Not now.
    #[default]
    Idle,
    /// The answer is awaited.
    Asked,
}

/// A peer, as one that blocks can be fetched from.
#[derive(Debug)]
pub(crate) struct Source {
    /// Its chain, while it has more work than ours and was not disproved.
    pub claim: Option<Box<Claim>>,
    /// Requests without an answer, oldest first: answers come in this order.
    pub asks: VecDeque<Ask>,
    /// Blocks that it could be asked for, lowest first.
    pub todo: BTreeSet<(u64, Hash)>,
    /// Times in a row that it let a request run out. It is asked for nothing meanwhile.
    pub strikes: u8,
    /// Blocks that are still to be walked in the gaps that it started.
    pub walking: u64,
    /// The highest block that it sent without its parent.
    pub heard: u64,
    /// Its `blockchain_info`.
    pub info: InfoState,
    /// When it was asked for.
    pub info_asked: Time,
    /// How often in a row its claim came to nothing.
    pub disappointments: u8,
    /// Whether its mempool was asked for, or is about to be.
    pub is_pool_wanted: bool,
    /// The block that must be held before that.
    pub awaited_tip: Option<Hash>,
    /// Bytes of its blocks that the ledger has not looked at.
    pub checking_bytes: usize,
    /// Blocks that it delivered when asked.
    pub delivered: u64,
}

impl Source {
    pub(crate) fn new() -> Self {
        Self {
            claim: None,
            asks: VecDeque::new(),
            todo: BTreeSet::new(),
            strikes: 0,
            walking: 0,
            heard: 0,
            info: InfoState::Idle,
            info_asked: Time::ZERO,
            disappointments: 0,
            is_pool_wanted: false,
            awaited_tip: None,
            checking_bytes: 0,
            delivered: 0,
        }
    }

    /// Whether it can be asked for another block of about this size. One that has not delivered yet gets one request,
    /// then twice as many as it delivered: a crowd of liars ties up little.
    pub(crate) fn has_room(&self, block_bytes: usize) -> bool {
        let max = (ASKED_BYTES / block_bytes.max(1)).clamp(2, ASKS_MAX);
        let earned = usize::try_from(self.delivered.saturating_mul(2)).unwrap_or(ASKS_MAX).saturating_add(1);
        self.strikes == 0 && self.asks.len() < max.min(earned)
    }

    /// How long to leave it alone, now that its claim came to nothing once more.
    pub(crate) fn disappoint(&mut self) -> Duration {
        let wait = PATIENCE_FIRST.saturating_mul(1 << self.disappointments.min(8)).min(PATIENCE_MAX);
        self.disappointments = self.disappointments.saturating_add(1);
        wait
    }

    /// A block came. Whether it answers a request; an answer behind others is one that came by itself.
    pub(crate) fn answered(&mut self, hash: Hash) -> bool {
        if !self.asks.iter().any(|ask| ask.hash == hash) {
            return false;
        }
        self.strikes = 0;
        // Answers come in order, so what came by itself before this one will not come again.
        while self.asks.front().is_some_and(|ask| ask.state == AskState::Done && ask.hash != hash) {
            self.asks.pop_front();
        }
        if self.asks.front().is_some_and(|ask| ask.hash == hash) {
            self.asks.pop_front();
        } else if let Some(ask) = self.asks.iter_mut().find(|ask| ask.hash == hash) {
            ask.state = AskState::Done;
        }
        true
    }

    /// The peer does not have the oldest block that it was asked for: which one.
    pub(crate) fn refused(&mut self) -> Option<Ask> {
        while self.asks.front().is_some_and(|ask| ask.state == AskState::Done) {
            self.asks.pop_front();
        }
        self.strikes = 0;
        self.asks.pop_front()
    }

    /// When the oldest request runs out that has not yet.
    pub(crate) fn deadline(&self, timeout: Duration) -> Option<Time> {
        self.asks.iter().find(|ask| ask.state == AskState::Open).map(|ask| ask.at + timeout)
    }
}
