//! Forwards new transactions and blocks, each once to every ready peer that does not have it (AnYa spec, section 6).
//!
//! What a peer has is not kept per peer. One trace per transaction or block says who sent it to us and when we sent it
//! to all; a peer that was ready by then has it. So a transaction costs one look-up, however many peers there are.

use crate::misbehavior::Misbehavior;
use crate::wire::{self, HEADER_BYTES, Kind};
use crate::{Anya, Cx, Open, Peer};
use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use bytes::Bytes;
use core::time::Duration;
use polypeer_engine::kit::chain::{ChainFormat, Hash, Origin, Request, Tip, TransactionOutcome};
use polypeer_engine::kit::cost::{Charged, Class, Price};
use polypeer_engine::kit::seen::Seen;
use polypeer_engine::{ConnectionId, Frame, Overflow, Stock, Stocks, Time, Useful};

use crate::ledger::Asked;

/// Transactions that are remembered, about 100 bytes each. At 1,000 a second, a minute of them.
const TRANSACTIONS_MAX: usize = 65_536;
/// Blocks that are remembered.
const BLOCKS_MAX: usize = 4_096;
/// Senders that are remembered of one that was not sent to all yet. More may get theirs back once.
const SENDERS_MAX: usize = 128;
/// A transaction that was taken is not put to the ledger again for this long. Later it may have left the mempool, and
/// comes anew.
const TAKEN_FOR: Duration = Duration::from_secs(60);
/// Transactions of one peer that may be at the ledger. A peer may send 5,000 at once; what is above is dropped.
const AT_LEDGER_PER_PEER_MAX: u32 = 8_192;
/// Bytes of all transactions that may be at the ledger. What is above is dropped; it comes again from another peer.
const AT_LEDGER_BYTES_MAX: usize = 64 << 20;

/// What is remembered of a transaction or a block.
#[derive(Debug)]
struct Trace {
    // The newest ready peer's number when it was sent to all; 0 before.
    sent: u64,
    // When it was taken; nothing while the ledger judges it.
    taken: Option<Time>,
    first_sender: Option<ConnectionId>,
    more_senders: Vec<ConnectionId>,
}

impl Trace {
    fn new(sender: Option<ConnectionId>) -> Self {
        Self { sent: 0, taken: None, first_sender: sender, more_senders: Vec::new() }
    }

    fn came_from(&self, connection: ConnectionId) -> bool {
        self.first_sender == Some(connection) || self.more_senders.contains(&connection)
    }

    fn note(&mut self, sender: ConnectionId) {
        if self.first_sender.is_none() {
            self.first_sender = Some(sender);
        } else if self.more_senders.len() < SENDERS_MAX && !self.came_from(sender) {
            self.more_senders.push(sender);
        }
    }

    fn senders(&self) -> impl Iterator<Item = ConnectionId> {
        self.first_sender.into_iter().chain(self.more_senders.iter().copied())
    }
}

/// A transaction at the ledger.
#[derive(Clone, Debug)]
pub(crate) struct Arrival {
    from: ConnectionId,
    id: Hash,
    frame: Bytes,
}

/// Who has what.
#[derive(Debug)]
pub(crate) struct Relay {
    // Ready peers, each with its number: they are numbered as they get ready, from 1.
    ready: BTreeMap<ConnectionId, u64>,
    newest: u64,
    transactions: Seen<Hash, Trace>,
    blocks: Seen<Hash, Trace>,
    at_ledger_bytes: usize,
    // The newest tip, not relayed while more blocks are on their way (section 6: only the tip at the end).
    tip_held: Option<(Hash, Bytes)>,
}

impl Relay {
    pub(crate) fn new(secret: u64) -> Self {
        Self {
            ready: BTreeMap::new(),
            newest: 0,
            transactions: Seen::new(TRANSACTIONS_MAX, secret),
            blocks: Seen::new(BLOCKS_MAX, secret),
            at_ledger_bytes: 0,
            tip_held: None,
        }
    }

    pub(crate) fn stock(&self, peers: usize, stocks: &mut Stocks) {
        stocks.push(Stock::of_peers("ready peers", self.ready.len(), peers));
        stocks.push(Stock::kept("remembered transactions", self.transactions.len(), TRANSACTIONS_MAX));
        stocks.push(Stock::kept("remembered blocks", self.blocks.len(), BLOCKS_MAX));
        stocks.push(Stock::of_peers("transactions at the ledger, bytes", self.at_ledger_bytes, AT_LEDGER_BYTES_MAX));
    }

    /// A peer is ready: what is new is sent to it from now on.
    pub(crate) fn joined(&mut self, connection: ConnectionId) {
        self.newest += 1;
        self.ready.insert(connection, self.newest);
    }

    /// A peer is gone, or says goodbye.
    pub(crate) fn left(&mut self, connection: ConnectionId) {
        self.ready.remove(&connection);
    }

    /// A peer sent this block. Whether it was taken before.
    pub(crate) fn heard_block(&mut self, hash: Hash, from: ConnectionId) -> bool {
        let Some((trace, is_new)) = self.blocks.get_or_insert_with(hash, || Trace::new(Some(from))) else {
            return false;
        };
        if !is_new {
            trace.note(from);
        }
        trace.taken.is_some()
    }

    /// The ledger took a block.
    pub(crate) fn block_taken(&mut self, hash: Hash, now: Time) {
        if let Some((trace, _)) = self.blocks.get_or_insert_with(hash, || Trace::new(None)) {
            trace.taken = Some(now);
        }
    }

    /// A block was taken on this one: if it was the tip, word of the next one is on its way.
    pub(crate) fn tip_outgrown(&mut self, parent: &Hash) {
        if self.tip_held.as_ref().is_some_and(|(hash, _)| hash == parent) {
            self.tip_held = None;
        }
    }

    /// The ledger refused a block: its trace goes, and with it who sent it.
    pub(crate) fn block_refused(&mut self, hash: &Hash) {
        self.blocks.remove(hash);
    }

    // A peer sent this transaction. Whether the ledger is to judge it.
    fn heard_transaction(&mut self, id: Hash, from: ConnectionId, now: Time) -> bool {
        let Some((trace, is_new)) = self.transactions.get_or_insert_with(id, || Trace::new(Some(from))) else {
            return false;
        };
        if is_new {
            return true;
        }
        let is_fresh = trace.taken.is_none_or(|taken| now.since(taken) < TAKEN_FOR);
        // Whoever was ready when it was sent to all has it anyway.
        if trace.sent == 0 || self.ready.get(&from).is_none_or(|number| *number > trace.sent) {
            trace.note(from);
        }
        if !is_fresh {
            trace.taken = None;
        }
        !is_fresh
    }
}

/// Sends a frame to every ready peer that has not sent it to us or been sent it.
fn send_to_all<F: ChainFormat>(
    cx: &mut Cx<'_, F>,
    ready: &BTreeMap<ConnectionId, u64>,
    newest: u64,
    trace: &mut Trace,
    frame: &Bytes,
) {
    for (connection, number) in ready {
        let was_sent = trace.sent >= *number;
        if !was_sent && !trace.came_from(*connection) {
            cx.send(*connection, frame.clone(), Overflow::Drop);
        }
    }
    trace.sent = newest;
}

impl<F: ChainFormat> Anya<F> {
    /// A peer sent a transaction.
    pub(crate) fn transaction_arrived(
        &mut self,
        cx: &mut Cx<'_, F>,
        from: ConnectionId,
        open: &mut Open,
        frame: Frame<'_>,
    ) {
        let id = F::transaction_id(wire::payload(&frame));
        if !self.relay.heard_transaction(id, from, cx.time()) {
            return;
        }
        let price = Class::TransactionCheck.price(frame.len());
        if !self.pays(cx, from, Class::TransactionCheck, price) {
            self.relay.transactions.remove(&id);
            return;
        }
        let bytes = self.relay.at_ledger_bytes + frame.len();
        if open.transactions_at_ledger >= AT_LEDGER_PER_PEER_MAX || bytes > AT_LEDGER_BYTES_MAX {
            self.relay.transactions.remove(&id);
            return;
        }
        open.transactions_at_ledger += 1;
        self.relay.at_ledger_bytes = bytes;
        let frame = frame.keep();
        let transactions = alloc::vec![frame.slice(HEADER_BYTES..)];
        let request = Request::TakeTransactions { transactions, origin: Origin::Peer };
        self.desk.ask(cx, request, Asked::Transaction(Arrival { from, id, frame }));
    }

    /// Whether a peer can pay for work that it wants done. Gross excess is a slip.
    pub(crate) fn pays(&mut self, cx: &mut Cx<'_, F>, from: ConnectionId, class: Class, price: Price) -> bool {
        let charged = cx.charge(from, class, price);
        if charged == Charged::Excess {
            cx.slip(from, Misbehavior::TooMuchWork);
        }
        charged == Charged::Paid
    }

    /// The ledger judged a transaction of this peer's: what was useful is paid back, and what the ledger knew already
    /// cost no more than a look.
    pub(crate) fn paid_back(cx: &mut Cx<'_, F>, to: ConnectionId, bytes: usize, outcome: Option<TransactionOutcome>) {
        let price = Class::TransactionCheck.price(bytes);
        match outcome {
            Some(TransactionOutcome::Accepted) => cx.refund(to, price),
            Some(TransactionOutcome::Known) => cx.refund(to, price.less(Class::Announcement.price(0))),
            Some(TransactionOutcome::NeverValid(_) | TransactionOutcome::NotNow(_)) | None => {}
        }
    }

    /// The ledger judged a peer's transaction.
    pub(crate) fn transaction_taken(
        &mut self,
        cx: &mut Cx<'_, F>,
        arrival: Arrival,
        outcome: Option<TransactionOutcome>,
    ) {
        let Arrival { from, id, frame } = arrival;
        self.relay.at_ledger_bytes = self.relay.at_ledger_bytes.saturating_sub(frame.len());
        if let Some(Peer::Open(open)) = cx.peer_mut(from) {
            open.transactions_at_ledger = open.transactions_at_ledger.saturating_sub(1);
        }
        Self::paid_back(cx, from, frame.len(), outcome);
        match outcome {
            Some(TransactionOutcome::Accepted) => {
                cx.useful(from, Useful::Transaction);
                self.relay_transaction(cx, id, &frame);
            }
            Some(TransactionOutcome::Known) => self.transaction_is_known(cx.time(), id),
            Some(TransactionOutcome::NeverValid(_)) => {
                let trace = self.relay.transactions.remove(&id);
                for sender in trace.iter().flat_map(Trace::senders) {
                    cx.slip(sender, Misbehavior::TransactionInvalid);
                }
            }
            // It may come again.
            Some(TransactionOutcome::NotNow(_)) | None => {
                self.relay.transactions.remove(&id);
            }
        }
    }

    /// A transaction of a peer's `mempool`: whether the ledger is to judge it.
    pub(crate) fn transaction_heard(&mut self, cx: &Cx<'_, F>, from: ConnectionId, id: Hash) -> bool {
        self.relay.heard_transaction(id, from, cx.time())
    }

    /// A transaction was not taken and may come again.
    pub(crate) fn transaction_refused(&mut self, id: &Hash) {
        self.relay.transactions.remove(id);
    }

    /// A transaction waits already, or stands in the chain.
    pub(crate) fn transaction_is_known(&mut self, now: Time, id: Hash) {
        if let Some(trace) = self.relay.transactions.get_mut(&id) {
            trace.taken = Some(now);
        }
    }

    /// A transaction is new to the mempool: everyone gets it.
    pub(crate) fn relay_transaction(&mut self, cx: &mut Cx<'_, F>, id: Hash, frame: &Bytes) {
        let Relay { ready, newest, transactions, .. } = &mut self.relay;
        if let Some((trace, _)) = transactions.get_or_insert_with(id, || Trace::new(None)) {
            trace.taken = Some(cx.time());
            send_to_all(cx, ready, *newest, trace, frame);
        }
    }

    /// The operator's transaction, or one that a reorganisation put back.
    pub(crate) fn transaction_new(&mut self, cx: &mut Cx<'_, F>, id: Hash, transaction: &[u8]) {
        self.relay_transaction(cx, id, &wire::frame(Kind::Tx, transaction));
    }

    /// The main chain has a new end, durably.
    pub(crate) fn tip_changed(&mut self, cx: &mut Cx<'_, F>, tip: Tip, block: Bytes) {
        self.sync.tip = Some(tip);
        if let Some(head) = F::head(&block) {
            self.block_held(cx, head);
        }
        self.relay.tip_held = Some((tip.hash, block));
        self.claims_reviewed(cx);
        self.serve.info_changed();
        self.tip_due(cx);
    }

    /// Relays the tip unless it was fetched and more is on its way.
    pub(crate) fn tip_due(&mut self, cx: &mut Cx<'_, F>) {
        let Some((hash, _)) = &self.relay.tip_held else { return };
        if self.sync.is_fetched(hash) && self.sync.is_busy() {
            return;
        }
        let Some((hash, block)) = self.relay.tip_held.take() else { return };
        let frame = wire::frame(Kind::Block, &block);
        let Relay { ready, newest, blocks, .. } = &mut self.relay;
        if let Some((trace, _)) = blocks.get_or_insert_with(hash, || Trace::new(None)) {
            trace.taken = Some(cx.time());
            send_to_all(cx, ready, *newest, trace, &frame);
        }
    }

    /// The host hands in a payload for every ready peer: kind 0 is a transaction, kind 1 a block. What is over its
    /// limit, and other kinds, are dropped.
    pub(crate) fn broadcast(&mut self, cx: &mut Cx<'_, F>, kind: u16, payload: &[u8]) {
        let kind = match kind {
            0 => Kind::Tx,
            1 => Kind::Block,
            _ => return,
        };
        if payload.len() > kind.payload_max(&self.config.limits()) as usize {
            return;
        }
        let frame = wire::frame(kind, payload);
        let now = cx.time();
        let Relay { ready, newest, transactions, blocks, .. } = &mut self.relay;
        let (traces, id) = match kind {
            Kind::Tx => (transactions, F::transaction_id(payload)),
            _ => match F::head(payload) {
                Some(head) => (blocks, head.hash),
                None => return,
            },
        };
        if let Some((trace, _)) = traces.get_or_insert_with(id, || Trace::new(None)) {
            trace.taken.get_or_insert(now);
            send_to_all(cx, ready, *newest, trace, &frame);
        }
    }
}
