//! Answers requests as the peer reads: each answer is made when there is room for it (AnYa spec, section 3).

use crate::ledger::Asked;
use crate::misbehavior::Misbehavior;
use crate::wire::{self, Kind, Name, Waypoint, code};
use crate::{Anya, Cx};
use alloc::collections::{BTreeMap, BTreeSet, VecDeque};
use alloc::vec::Vec;
use bytes::Bytes;
use polypeer_engine::kit::chain::{BlockKey, ChainFormat, Hash, Request, Tip};
use polypeer_engine::kit::cost::Class;
use polypeer_engine::{Address, ConnectionId, Overflow, Stock, Stocks};

/// Requests of one peer that may wait. More close the connection.
const WAITING_MAX: usize = 1_024;
/// Refusals of unknown types that may wait besides: a peer may send 5,000 frames at once.
const REFUSALS_MAX: usize = 8_192;
/// Blocks that may be at the ledger for one peer, so that small ones come in batches.
const AHEAD_MAX: usize = 32;
/// Bytes that the blocks at the ledger for one peer should have at most, by the size of its last ones.
const AHEAD_BYTES: usize = 1 << 20;
/// Blocks that may be at the ledger for all peers: what they hold in memory is bounded. Peers take turns.
const AHEAD_ALL_MAX: usize = 128;
/// The size that a block is thought to have before one was served.
const BLOCK_BYTES_GUESS: usize = 32 << 10;

/// An answer that is to be made, besides blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reply {
    /// `pong`.
    Pong,
    /// `blockchain_info`.
    Info,
    /// `mempool`.
    Mempool,
    /// `peers`, without the address that the peer claims.
    Peers(Address),
    /// `error`: the type is unknown, or not served.
    Refusal(Name, Name),
}

impl Reply {
    fn is_word(self) -> bool {
        matches!(self, Self::Pong | Self::Refusal(..))
    }
}

/// What one peer waits for.
#[derive(Debug)]
struct Waiting {
    blocks: VecDeque<Hash>,
    at_ledger: usize,
    // Pongs and refusals, which cost next to nothing and wait for nothing but the channel.
    words: VecDeque<Reply>,
    replies: VecDeque<Reply>,
    // How many of the words refuse something.
    refusals: usize,
    is_mempool_asked: bool,
    // The average size of its last blocks.
    block_bytes: usize,
}

impl Waiting {
    fn new() -> Self {
        Self {
            blocks: VecDeque::new(),
            at_ledger: 0,
            words: VecDeque::new(),
            replies: VecDeque::new(),
            refusals: 0,
            is_mempool_asked: false,
            block_bytes: BLOCK_BYTES_GUESS,
        }
    }

    fn is_empty(&self) -> bool {
        self.blocks.is_empty() && self.at_ledger == 0 && self.words.is_empty() && self.replies.is_empty()
    }

    fn is_too_much(&self) -> bool {
        let requests = self.blocks.len() + self.at_ledger + self.words.len() + self.replies.len() - self.refusals;
        requests > WAITING_MAX || self.refusals > REFUSALS_MAX
    }

    fn push(&mut self, reply: Reply) {
        self.refusals += usize::from(matches!(reply, Reply::Refusal(..)));
        if reply.is_word() { self.words.push_back(reply) } else { self.replies.push_back(reply) }
    }

    fn pop_word(&mut self) {
        let word = self.words.pop_front();
        self.refusals -= usize::from(matches!(word, Some(Reply::Refusal(..))));
    }

    fn ahead_max(&self) -> usize {
        (AHEAD_BYTES / self.block_bytes.max(1)).clamp(1, AHEAD_MAX)
    }
}

/// What all peers wait for. A peer that waits for nothing is not in it.
#[derive(Debug, Default)]
pub(crate) struct Serve {
    waiting: BTreeMap<ConnectionId, Waiting>,
    at_ledger: usize,
    // Peers whose next block waits for another peer's; they take turns.
    hungry: BTreeSet<ConnectionId>,
    last_fed: Option<ConnectionId>,
    info: Info,
}

/// The `blockchain_info` of the tip: made once, sent to all who ask.
#[derive(Debug, Default)]
struct Info {
    frame: Option<Bytes>,
    is_asked: bool,
    wanted_by: BTreeSet<ConnectionId>,
}

impl Serve {
    /// The tip changed: what is ready to be sent is no longer true.
    pub(crate) fn info_changed(&mut self) {
        self.info.frame = None;
    }

    pub(crate) fn stock(&self, peers: usize, stocks: &mut Stocks) {
        stocks.push(Stock::of_peers("peers that wait for answers", self.waiting.len(), peers));
        stocks.push(Stock::of_peers("peers whose blocks wait", self.hungry.len(), peers));
        stocks.push(Stock::of_peers("peers that wait for the tip", self.info.wanted_by.len(), peers));
        stocks.push(Stock::of_peers("blocks fetched for peers", self.at_ledger, AHEAD_ALL_MAX));
    }

    /// A connection is gone, or says goodbye.
    pub(crate) fn gone(&mut self, connection: ConnectionId) {
        self.waiting.remove(&connection);
        self.hungry.remove(&connection);
        self.info.wanted_by.remove(&connection);
    }

    // The hungry peer after the one that was fed last.
    fn next_hungry(&mut self) -> Option<ConnectionId> {
        let last = self.last_fed.unwrap_or(ConnectionId::from_u64(0));
        let after = (core::ops::Bound::Excluded(last), core::ops::Bound::Unbounded);
        let next = self.hungry.range(after).next().or(self.hungry.first()).copied()?;
        self.hungry.remove(&next);
        self.last_fed = Some(next);
        Some(next)
    }
}

impl<F: ChainFormat> Anya<F> {
    /// A peer asked for something other than a block.
    pub(crate) fn requested(
        &mut self,
        cx: &mut Cx<'_, F>,
        connection: ConnectionId,
        reply: Reply,
    ) -> Result<(), Misbehavior> {
        // Most answers can be made at once, without a queue.
        let has_words = self.serve.waiting.get(&connection).is_some_and(|waiting| !waiting.words.is_empty());
        if reply.is_word() && !has_words && cx.is_writable(connection) {
            Self::say(cx, connection, reply);
            return Ok(());
        }
        let waiting = self.serve.waiting.entry(connection).or_insert_with(Waiting::new);
        waiting.push(reply);
        if waiting.is_too_much() {
            return Err(Misbehavior::TooManyRequests);
        }
        self.pump(cx, connection);
        Ok(())
    }

    /// A peer asked for a block.
    pub(crate) fn block_requested(
        &mut self,
        cx: &mut Cx<'_, F>,
        connection: ConnectionId,
        payload: &[u8],
    ) -> Result<(), Misbehavior> {
        let Ok(hash) = wire::decode_hash(payload) else {
            cx.slip(connection, Misbehavior::PayloadUnreadable(Kind::GetBlock));
            return Ok(());
        };
        let waiting = self.serve.waiting.entry(connection).or_insert_with(Waiting::new);
        waiting.blocks.push_back(hash);
        if waiting.is_too_much() {
            return Err(Misbehavior::TooManyRequests);
        }
        self.pump(cx, connection);
        Ok(())
    }

    /// Makes the answers that there is room for.
    pub(crate) fn pump(&mut self, cx: &mut Cx<'_, F>, connection: ConnectionId) {
        while cx.is_writable(connection)
            && let Some(waiting) = self.serve.waiting.get_mut(&connection)
            && let Some(word) = waiting.words.front().copied()
        {
            waiting.pop_word();
            Self::say(cx, connection, word);
        }
        while let Some(reply) = self.serve.waiting.get(&connection).and_then(|w| w.replies.front().copied()) {
            if !cx.may_serve(connection) || !self.reply(cx, connection, reply) {
                break;
            }
            if let Some(waiting) = self.serve.waiting.get_mut(&connection) {
                waiting.replies.pop_front();
            }
        }
        self.ask_blocks(cx, connection);
        if self.serve.waiting.get(&connection).is_some_and(Waiting::is_empty) {
            self.serve.waiting.remove(&connection);
        }
    }

    // An answer that costs next to nothing.
    fn say(cx: &mut Cx<'_, F>, connection: ConnectionId, word: Reply) {
        let frame = match word {
            Reply::Refusal(name, code) => wire::error(&name, &code),
            _ => wire::empty(Kind::Pong),
        };
        cx.send(connection, frame, Overflow::Close);
    }

    // Makes one answer. Whether it could be made at once.
    fn reply(&mut self, cx: &mut Cx<'_, F>, connection: ConnectionId, reply: Reply) -> bool {
        match reply {
            Reply::Pong | Reply::Refusal(..) => Self::say(cx, connection, reply),
            Reply::Peers(claimed) => self.send_peers(cx, connection, claimed),
            Reply::Info => {
                let Some(frame) = self.serve.info.frame.clone() else {
                    self.serve.info.wanted_by.insert(connection);
                    self.find_waypoints(cx);
                    return false;
                };
                cx.owe(connection, Class::ListServed.price(frame.len()));
                cx.serve(connection, frame);
            }
            Reply::Mempool => {
                let Some(waiting) = self.serve.waiting.get_mut(&connection) else { return false };
                if !core::mem::replace(&mut waiting.is_mempool_asked, true) {
                    let bytes_max = u64::from(self.config.mempool_bytes_max).saturating_sub(4);
                    let request = Request::Waiting { bytes_max, overhead: 4 };
                    self.desk.ask(cx, request, Asked::Waiting(connection));
                }
                return false;
            }
        }
        true
    }

    // Asks the ledger for the next blocks that a peer waits for, as far as it reads.
    fn ask_blocks(&mut self, cx: &mut Cx<'_, F>, connection: ConnectionId) {
        while let Some(waiting) = self.serve.waiting.get_mut(&connection) {
            if waiting.at_ledger >= waiting.ahead_max() || waiting.blocks.is_empty() || !cx.may_serve(connection) {
                return;
            }
            if self.serve.at_ledger >= AHEAD_ALL_MAX {
                self.serve.hungry.insert(connection);
                return;
            }
            let Some(hash) = waiting.blocks.pop_front() else { return };
            waiting.at_ledger += 1;
            self.serve.at_ledger += 1;
            self.desk.ask(cx, Request::Block(BlockKey::Hash(hash)), Asked::Serve(connection));
        }
    }

    /// The ledger looked for a block that a peer asked for.
    pub(crate) fn block_found(&mut self, cx: &mut Cx<'_, F>, to: ConnectionId, block: Option<Bytes>) {
        self.serve.at_ledger = self.serve.at_ledger.saturating_sub(1);
        if let Some(waiting) = self.serve.waiting.get_mut(&to) {
            waiting.at_ledger = waiting.at_ledger.saturating_sub(1);
            let frame = match block {
                Some(block) => {
                    waiting.block_bytes = (3 * waiting.block_bytes + block.len()) / 4;
                    wire::frame(Kind::Block, &block)
                }
                None => wire::error(&Kind::GetBlock.name(), &code::INVALID_PAYLOAD),
            };
            cx.owe(to, Class::Lookup.price(frame.len()));
            cx.serve(to, frame);
            self.pump(cx, to);
        }
        if let Some(next) = self.serve.next_hungry() {
            self.pump(cx, next);
        }
    }

    /// The ledger gave the waiting transactions.
    pub(crate) fn waiting_found(&mut self, cx: &mut Cx<'_, F>, to: ConnectionId, transactions: &[Bytes]) {
        let Some(waiting) = self.serve.waiting.get_mut(&to) else { return };
        waiting.is_mempool_asked = false;
        if waiting.replies.front() == Some(&Reply::Mempool) {
            waiting.replies.pop_front();
            let frame = wire::mempool(transactions);
            cx.owe(to, Class::ListServed.price(frame.len()));
            cx.serve(to, frame);
        }
        self.pump(cx, to);
    }

    fn find_waypoints(&mut self, cx: &mut Cx<'_, F>) {
        let Some(tip) = self.sync.tip else { return };
        if !core::mem::replace(&mut self.serve.info.is_asked, true) {
            let request = Request::HashesAt(wire::waypoint_heights(tip.height));
            self.desk.ask(cx, request, Asked::Waypoints(tip));
        }
    }

    /// The ledger gave the waypoints of the chain that ended in `wanted`. If that is still part of the main chain its
    /// info is true, though the tip may be newer: a node that catches up would never hit its tip.
    pub(crate) fn waypoints_found(&mut self, cx: &mut Cx<'_, F>, wanted: Tip, hashes: Vec<Waypoint>, tip: Tip) {
        self.serve.info.is_asked = false;
        if hashes.last() != Some(&(wanted.height, wanted.hash)) {
            self.sync.tip = Some(tip);
            return self.find_waypoints(cx);
        }
        self.serve.info.frame = Some(wire::info(&self.config.network_id, &wanted, &hashes));
        for connection in core::mem::take(&mut self.serve.info.wanted_by) {
            self.pump(cx, connection);
        }
        if self.sync.tip.is_some_and(|newest| newest.hash != wanted.hash) {
            self.serve.info.frame = None;
        }
    }

    /// The first word of the ledger's: from now on peers can be told of the chain.
    pub(crate) fn tip_known(&mut self, cx: &mut Cx<'_, F>, tip: Tip) {
        self.sync.tip.get_or_insert(tip);
        if !self.serve.info.wanted_by.is_empty() {
            self.find_waypoints(cx);
        }
        self.claims_reviewed(cx);
    }
}

/// Whether a request is served; else its refusal.
pub(crate) fn refusal(is_served: bool, kind: Kind) -> Option<Reply> {
    (!is_served).then(|| Reply::Refusal(kind.name(), code::UNSUPPORTED_MESSAGE_TYPE))
}
