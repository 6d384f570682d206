//! Remembers what the ledger was asked and for whom, and hands each answer to the room that wants it.

use crate::ledger::{Answer, Hash, Request, Status};
use crate::relay::Judged;
use crate::sync::Stage;
use crate::{Cx, Kaspa};
use alloc::vec::Vec;
use polypeer_engine::{ConnectionId, Ticket};

/// Why the ledger was asked. Bounded by what may be asked: five blocks, one request served, and the transactions in
/// judgement a peer; one sync.
#[derive(Debug)]
pub(crate) enum Asked {
    /// Where we stand.
    State,
    /// Whether an announced block is held.
    Announced { connection: ConnectionId, hash: Hash, is_root: bool },
    /// Which blocks of a locator are held.
    Near { connection: ConnectionId, block: Hash },
    /// Which blocks that orphans lack are held.
    Parents(Vec<Hash>),
    /// What is thought of a block.
    Judged(Judged),
    /// Which of a peer's announced transactions are new.
    Offered(ConnectionId),
    /// What is thought of a peer's transactions, which have so many bytes.
    Transactions { connection: ConnectionId, bytes: usize },
    /// What a peer asked for.
    Serve(ConnectionId),
    /// Something of the sync with this number.
    Sync(u64),
}

impl Kaspa {
    /// Puts a question to the ledger, and remembers why.
    pub(crate) fn ask_ledger(&mut self, cx: &mut Cx<'_>, request: Request, why: Asked) {
        let ticket = cx.ask(request);
        self.asked.insert(ticket, why);
    }

    /// The ledger says something.
    pub(crate) fn on_ledger(&mut self, cx: &mut Cx<'_>, ticket: Option<Ticket>, answer: Answer) {
        let why = ticket.and_then(|ticket| self.asked.remove(&ticket));
        match (why, answer) {
            (None, Answer::NewBlock { hash, state }) => self.on_new_block(cx, hash, state),
            (None, Answer::NewTransaction { id }) => self.announce_transactions(cx, alloc::vec![id]),
            (Some(Asked::State), Answer::State(state)) => self.on_first_state(cx, state),
            (Some(Asked::Announced { connection, hash, is_root }), Answer::Statuses(statuses)) => {
                let status = statuses.first().copied().unwrap_or(Status::Unknown);
                self.on_announced(cx, connection, hash, is_root, status);
            }
            (Some(Asked::Near { connection, block }), Answer::Statuses(statuses)) => {
                self.on_near(cx, connection, block, &statuses);
            }
            (Some(Asked::Parents(parents)), Answer::Statuses(statuses)) => self.on_parents(cx, &parents, &statuses),
            (Some(Asked::Judged(judged)), Answer::BlockTaken { outcome, state, .. }) => {
                self.on_judged(cx, judged, outcome, state);
            }
            (Some(Asked::Offered(connection)), Answer::MissingTransactions(missing)) => {
                self.on_offered(cx, connection, missing);
            }
            (Some(Asked::Transactions { connection, bytes }), Answer::TransactionsTaken(outcomes)) => {
                self.on_transactions_judged(cx, connection, bytes, &outcomes);
            }
            (Some(Asked::Serve(connection)), answer) => self.on_served(cx, connection, answer),
            (Some(Asked::Sync(number)), answer) if self.is_of_run(number) => self.on_sync_answer(cx, answer),
            // An answer that fits no question is a fault of the ledger's, not a peer's: nothing follows from it.
            _ => {}
        }
    }

    pub(crate) fn on_sync_answer(&mut self, cx: &mut Cx<'_>, answer: Answer) {
        let Some(run) = &self.sync.run else { return };
        let peer = run.peer;
        match (&run.stage, answer) {
            (_, Answer::Imported(imported)) => self.on_staged(cx, peer, imported),
            (Stage::Negotiating(_), Answer::Statuses(statuses)) => self.on_locator_checked(cx, peer, &statuses),
            (Stage::Headers(_) | Stage::Antipast(_), Answer::HeadersTaken { fault, state, .. }) => {
                self.on_headers_taken(cx, peer, fault, state);
            }
            (Stage::Headers(_) | Stage::Antipast(_), Answer::Statuses(statuses)) => {
                self.on_headers_checked(cx, peer, &statuses);
            }
            (Stage::Bodies(_), Answer::MissingBodies(missing)) => self.on_missing(cx, peer, missing),
            (Stage::Bodies(_), Answer::BodiesTaken { fault, state, .. }) => self.on_bodies_taken(cx, fault, state),
            _ => {}
        }
    }
}
