//! Reads peers' mempools: asked for once on each connection, each transaction taken like a `tx` (AnYa spec, section 6).

use crate::ledger::Asked;
use crate::misbehavior::Misbehavior;
use crate::wire::{self, HEADER_BYTES, Kind, PHASE_OPEN, PHASE_POOL_AWAITED};
use crate::{Alarm, Anya, Cx, Open};
use alloc::collections::{BTreeMap, VecDeque};
use alloc::vec::Vec;
use bytes::{Buf, Bytes};
use polypeer_engine::kit::chain::{ChainFormat, Hash, Origin, Request, TransactionOutcome};
use polypeer_engine::kit::cost::Class;
use polypeer_engine::{ConnectionId, Frame, Overflow, Stock, Stocks, Useful};

/// Mempools that are awaited or read at one time: each may be 32 MiB long. The next peer is asked when one is done.
const READ_AT_ONCE_MAX: usize = 4;
/// Transactions put to the ledger together.
const CHUNK_MAX: usize = 256;
/// The first ones are put to it one by one, then ever more together, so that little is judged past a bad one.
const SINGLY: usize = 32;

#[derive(Debug)]
struct Reading {
    // What is left to read; nothing until the answer comes.
    rest: Bytes,
    // How many were put to the ledger.
    read: usize,
    is_here: bool,
}

/// The mempools that are awaited or read, and who is asked next.
#[derive(Debug, Default)]
pub(crate) struct Pools {
    reading: BTreeMap<ConnectionId, Reading>,
    next: VecDeque<ConnectionId>,
}

impl Pools {
    pub(crate) fn stock(&self, peers: usize, stocks: &mut Stocks) {
        stocks.push(Stock::of_peers("mempools that are read", self.reading.len(), READ_AT_ONCE_MAX));
        stocks.push(Stock::of_peers("mempools to be read", self.next.len(), peers));
    }
}

impl<F: ChainFormat> Anya<F> {
    /// The tip block of a peer is known: its mempool can be understood.
    pub(crate) fn pool_wanted(&mut self, cx: &mut Cx<'_, F>, connection: ConnectionId) {
        self.pools.next.push_back(connection);
        self.ask_pools(cx);
    }

    fn ask_pools(&mut self, cx: &mut Cx<'_, F>) {
        while self.pools.reading.len() < READ_AT_ONCE_MAX {
            let Some(connection) = self.pools.next.pop_front() else { return };
            self.pools.reading.insert(connection, Reading { rest: Bytes::new(), read: 0, is_here: false });
            cx.send(connection, wire::empty(Kind::GetMempool), Overflow::Close);
            cx.set_phase(connection, PHASE_POOL_AWAITED);
            cx.peer_alarm(connection, Alarm::Pool, cx.time() + self.config.request_timeout);
        }
    }

    /// A peer's `mempool` came. The framer lets only one through that was asked for.
    pub(crate) fn pool_arrived(&mut self, cx: &mut Cx<'_, F>, from: ConnectionId, open: &mut Open, frame: Frame<'_>) {
        if core::mem::replace(&mut open.has_sent_pool, true) {
            return;
        }
        cx.set_phase(from, PHASE_OPEN);
        cx.cancel_peer_alarm(from, Alarm::Pool);
        if wire::pool_entries(wire::payload(&frame)).is_err() {
            cx.slip(from, Misbehavior::PayloadUnreadable(Kind::Mempool));
            return self.pool_done(cx, from);
        }
        let rest = frame.after(HEADER_BYTES + 4).keep();
        self.pools.reading.insert(from, Reading { rest, read: 0, is_here: true });
        self.read_pool(cx, from);
    }

    /// A `mempool` is overdue, or its reading goes on, which waited until the peer could pay for it.
    pub(crate) fn pool_due(&mut self, cx: &mut Cx<'_, F>, from: ConnectionId) {
        match self.pools.reading.get(&from) {
            Some(Reading { is_here: true, .. }) => self.read_pool(cx, from),
            _ => self.pool_done(cx, from),
        }
    }

    /// A peer does not answer, or is gone: the next one is asked. An answer that comes yet is still read.
    pub(crate) fn pool_done(&mut self, cx: &mut Cx<'_, F>, from: ConnectionId) {
        self.pools.next.retain(|connection| *connection != from);
        if self.pools.reading.remove(&from).is_some() {
            self.ask_pools(cx);
        }
    }

    // Puts the next few transactions to the ledger that it has not judged.
    fn read_pool(&mut self, cx: &mut Cx<'_, F>, from: ConnectionId) {
        let Some(Reading { rest, read, .. }) = self.pools.reading.get(&from) else { return };
        if let Some(until) = cx.overdrawn_until(from) {
            return cx.peer_alarm(from, Alarm::Pool, until);
        }
        let (mut rest, most) = (rest.clone(), (read / SINGLY).clamp(1, CHUNK_MAX));
        let mut entries: Vec<(Hash, Bytes)> = Vec::new();
        while entries.len() < most && rest.remaining() >= 4 {
            let length = rest.get_u32() as usize;
            // The shape was checked as a whole.
            let transaction = rest.split_to(length.min(rest.len()));
            let id = F::transaction_id(&transaction);
            if self.transaction_heard(cx, from, id) {
                entries.push((id, transaction));
            }
        }
        if entries.is_empty() {
            return self.pool_done(cx, from);
        }
        if let Some(reading) = self.pools.reading.get_mut(&from) {
            reading.rest = rest;
            reading.read += entries.len();
        }
        for (_, transaction) in &entries {
            cx.owe(from, Class::TransactionCheck.price(transaction.len()));
        }
        let transactions = entries.iter().map(|(_, transaction)| transaction.clone()).collect();
        let request = Request::TakeTransactions { transactions, origin: Origin::Peer };
        self.desk.ask(cx, request, Asked::Pool { from, entries });
    }

    /// The ledger judged some of a peer's mempool. One that is never valid ends its reading.
    pub(crate) fn pool_taken(
        &mut self,
        cx: &mut Cx<'_, F>,
        from: ConnectionId,
        entries: Vec<(Hash, Bytes)>,
        outcomes: &[(Hash, TransactionOutcome)],
    ) {
        let mut is_wrong = false;
        for (at, (id, transaction)) in entries.into_iter().enumerate() {
            let outcome = outcomes.get(at).map(|(_, outcome)| *outcome);
            Self::paid_back(cx, from, transaction.len(), outcome);
            match outcome {
                Some(TransactionOutcome::Accepted) => {
                    cx.useful(from, Useful::Transaction);
                    self.relay_transaction(cx, id, &wire::frame(Kind::Tx, &transaction));
                }
                Some(TransactionOutcome::Known) => self.transaction_is_known(cx.time(), id),
                Some(TransactionOutcome::NeverValid(_)) => {
                    is_wrong = true;
                    self.transaction_refused(&id);
                }
                Some(TransactionOutcome::NotNow(_)) | None => self.transaction_refused(&id),
            }
        }
        if is_wrong {
            cx.slip(from, Misbehavior::PoolTransactionInvalid);
            return self.pool_done(cx, from);
        }
        self.read_pool(cx, from);
    }
}
