//! Converses with the ledger: what was asked under which ticket, and where each answer goes.

use crate::relay::Arrival;
use crate::sync::Claim;
use crate::{Anya, Cx};
use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::vec::Vec;
use bytes::Bytes;
use polypeer_engine::kit::chain::{Answer, ChainFormat, Hash, Head, Request, Tip};
use polypeer_engine::{ConnectionId, Stock, Stocks, Ticket};

/// Why the ledger was asked.
#[derive(Debug)]
pub(crate) enum Asked {
    /// For the tip, to start with.
    Tip,
    /// For the waypoints of the chain that ends here.
    Waypoints(Tip),
    /// To take a peer's transaction.
    Transaction(Arrival),
    /// To take some of a peer's `mempool`.
    Pool {
        /// The peer.
        from: ConnectionId,
        /// What was asked about, in order, each with its place in the peer's `mempool`.
        entries: Vec<(Hash, Bytes)>,
    },
    /// To take a block.
    Block(Submitted),
    /// Which of a peer's waypoints are missing.
    Missing {
        /// The peer.
        of: ConnectionId,
        /// What it claims.
        claim: Box<Claim>,
    },
    /// For a block that a peer asked for.
    Serve(ConnectionId),
    /// For the waiting transactions that a peer asked for.
    Waiting(ConnectionId),
}

/// A block at the ledger.
#[derive(Clone, Debug)]
pub(crate) struct Submitted {
    /// Who sent it.
    pub from: ConnectionId,
    /// Its place.
    pub head: Head,
    /// The block.
    pub body: Bytes,
    /// Whether it was asked for.
    pub is_fetched: bool,
    /// Whether it waited for its parent before, and was checked then.
    pub is_fed: bool,
}

/// The questions that are open, by their tickets, which run on. The ledger answers in order, so this is a queue, as
/// long as the rooms allow themselves.
#[derive(Debug, Default)]
pub(crate) struct Desk {
    first: u64,
    asked: VecDeque<Option<Asked>>,
}

impl Desk {
    /// Puts a question, and remembers why.
    pub(crate) fn ask<F: ChainFormat>(&mut self, cx: &mut Cx<'_, F>, request: Request, why: Asked) {
        let Ticket(ticket) = cx.ask(request);
        if self.asked.is_empty() {
            self.first = ticket;
        }
        // Tickets between are of questions that are not answered.
        while self.first + (self.asked.len() as u64) < ticket {
            self.asked.push_back(None);
        }
        self.asked.push_back(Some(why));
    }

    /// What is asked and not answered. The rooms bound it: by bytes at the ledger, and by blocks ahead.
    pub(crate) fn stock(&self, stocks: &mut Stocks) {
        let open = self.asked.iter().flatten().count();
        stocks.push(Stock::of_peers("open questions", open, usize::MAX));
    }

    fn take(&mut self, Ticket(ticket): Ticket) -> Option<Asked> {
        let at = usize::try_from(ticket.checked_sub(self.first)?).ok()?;
        let asked = self.asked.get_mut(at)?.take();
        while matches!(self.asked.front(), Some(None)) {
            self.asked.pop_front();
            self.first += 1;
        }
        asked
    }
}

impl<F: ChainFormat> Anya<F> {
    /// Sends an answer to the room that asked. An answer of another kind than was asked for is dropped.
    pub(crate) fn answered(&mut self, cx: &mut Cx<'_, F>, ticket: Option<Ticket>, answer: Answer) {
        let asked = ticket.and_then(|ticket| self.desk.take(ticket));
        match (asked, answer) {
            (Some(Asked::Transaction(arrival)), Answer::TransactionsTaken(outcomes)) => {
                self.transaction_taken(cx, arrival, outcomes.first().map(|(_, outcome)| *outcome));
            }
            (Some(Asked::Pool { from, entries }), Answer::TransactionsTaken(outcomes)) => {
                self.pool_taken(cx, from, entries, &outcomes);
            }
            (Some(Asked::Block(submitted)), Answer::BlockTaken { outcome, .. }) => {
                self.block_taken(cx, submitted, outcome);
            }
            (Some(Asked::Serve(to)), Answer::Block(block)) => self.block_found(cx, to, block),
            (Some(Asked::Missing { of, claim }), Answer::Missing(hashes)) => {
                self.waypoints_compared(cx, of, claim, &hashes);
            }
            (Some(Asked::Waypoints(wanted)), Answer::HashesAt { hashes, tip }) => {
                self.waypoints_found(cx, wanted, hashes, tip);
            }
            (Some(Asked::Waiting(to)), Answer::Waiting(transactions)) => self.waiting_found(cx, to, &transactions),
            (Some(Asked::Tip), Answer::Tip(tip)) => self.tip_known(cx, tip),
            (None, Answer::NewTip { tip, block }) => self.tip_changed(cx, tip, block),
            (None, Answer::NewTransaction { id, transaction }) => self.transaction_new(cx, id, &transaction),
            _ => {}
        }
    }
}
