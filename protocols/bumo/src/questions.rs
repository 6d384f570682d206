//! Remembers what the ledger was asked and why, and hands each answer to the room that wants it.

use crate::hash::Hash;
use crate::ledger::{Answer, Request};
use crate::{Bumo, Cx};
use polypeer_engine::{ConnectionId, Ticket};

/// Why the ledger was asked. Bounded by what may be asked: one request served a peer, the transactions in judgement,
/// the ledgers that it is given at once, and what consensus does at one time.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Asked {
    /// Where we stand.
    Tip,
    /// What it thinks of the transaction with this hash of its envelope.
    Transaction(Hash),
    /// What a peer asked for.
    Serve(ConnectionId),
    /// To close a ledger that this peer brought, in this run of the sync.
    Sync { from: ConnectionId, run: u64 },
    /// Our wish to upgrade, to be signed.
    Wish,
    /// Something of consensus.
    Consensus(crate::consensus::Question),
}

impl Bumo {
    /// Puts a question to the ledger, and remembers why.
    pub(crate) fn ask_ledger(&mut self, cx: &mut Cx<'_>, request: Request, why: Asked) {
        let ticket = cx.ask(request);
        self.asked.insert(ticket, why);
    }

    /// The ledger says something: the table.
    pub(crate) fn on_ledger(&mut self, cx: &mut Cx<'_>, ticket: Option<Ticket>, answer: Answer) {
        let why = ticket.and_then(|ticket| self.asked.remove(&ticket));
        match (why, answer) {
            (None, Answer::NewTransaction { envelope, .. }) => self.on_own_transaction(cx, &envelope),
            (Some(Asked::Tip), Answer::Tip(tip)) => self.on_first_tip(cx, tip),
            (Some(Asked::Transaction(digest)), Answer::Submitted { verdict, .. }) => {
                self.on_transaction_judged(cx, digest, verdict);
            }
            (Some(Asked::Serve(connection)), Answer::Served(served)) => self.on_served(cx, connection, served),
            (Some(Asked::Sync { from, run }), Answer::Closed(closed)) => self.on_synced(cx, from, run, closed),
            (Some(Asked::Wish), Answer::UpgradeSigned(notice)) => self.on_wish_signed(cx, notice),
            (Some(Asked::Consensus(question)), answer) => self.on_consensus_answer(cx, question, answer),
            // An answer that fits no question is a fault of the ledger's, not a peer's: nothing follows from it.
            _ => {}
        }
    }
}
