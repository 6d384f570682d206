//! Converses with the ledger: what was asked and for whom, and what becomes of each answer.

use crate::blocks::Judged;
use crate::wire::{List, Question};
use crate::{Cx, Hello};
use alloc::vec::Vec;
use polypeer_engine::kit::chain::{Answer, ChainFormat, Hash, Request, Tip};
use polypeer_engine::{ConnectionId, Ticket};

/// Why the ledger was asked. Bounded by what may be asked: one list and 128 questions a peer, one check of
/// announcements of each kind, the blocks and transactions in judgement.
#[derive(Debug)]
pub(crate) enum Asked {
    /// Where we stand.
    Tip,
    /// Which transactions wait, to tell this peer.
    Waiting(ConnectionId),
    /// Which of these announced blocks or transactions are new.
    Announced(Vec<Question>),
    /// Which of the listed blocks are new; the parent comes first.
    Listed(ConnectionId, List),
    /// What is thought of a block.
    Judge(Judged),
    /// What is thought of a peer's transactions, which have so many bytes.
    Transactions { connection: ConnectionId, bytes: usize },
    /// One block or transaction, for a peer.
    Serve { connection: ConnectionId, question: Question },
    /// Hashes above a number, for a peer.
    ServeList { connection: ConnectionId, from: u64 },
}

impl<F: ChainFormat> Hello<F> {
    /// Puts a question to the ledger, and remembers why.
    pub(crate) fn ask_ledger(&mut self, cx: &mut Cx<'_, F>, request: Request, why: Asked) {
        let ticket = cx.ask(request);
        self.asked.insert(ticket, why);
    }

    /// The ledger says something.
    pub(crate) fn on_ledger(&mut self, cx: &mut Cx<'_, F>, ticket: Option<Ticket>, answer: Answer) {
        let why = ticket.and_then(|ticket| self.asked.remove(&ticket));
        match (why, answer) {
            (None, Answer::NewTip { tip, block }) => self.on_new_tip(cx, tip, &block),
            (None, Answer::NewTransaction { id, .. }) => self.announce_transaction(cx, &id),
            (Some(Asked::Tip), Answer::Tip(tip)) => self.on_tip(cx, tip),
            (Some(Asked::Waiting(connection)), Answer::WaitingIds(ids)) => self.tell_waiting(cx, connection, &ids),
            (Some(Asked::Announced(questions)), Answer::Missing(missing)) => {
                self.on_checked(cx, &questions, &missing);
            }
            (Some(Asked::Listed(connection, list)), Answer::Missing(missing)) => {
                self.on_list_checked(cx, connection, list, &missing);
            }
            (Some(Asked::Judge(judged)), Answer::BlockTaken { outcome, .. }) => self.on_judged(cx, judged, outcome),
            (Some(Asked::Transactions { connection, bytes }), Answer::TransactionsTaken(outcomes)) => {
                self.on_transactions_judged(cx, connection, bytes, &outcomes);
            }
            (Some(Asked::Serve { connection, question }), Answer::Block(found) | Answer::Transaction(found)) => {
                self.serve_answer(cx, connection, question, found.as_ref());
            }
            (Some(Asked::ServeList { connection, from }), Answer::Hashes { from: first, parent, hashes, tip }) => {
                let list = listed(first, parent, hashes, &tip);
                self.serve_list(cx, connection, from, list);
            }
            // An answer that fits no question is a fault of the ledger's, not a peer's: nothing follows from it.
            _ => {}
        }
    }

    fn on_tip(&mut self, cx: &mut Cx<'_, F>, tip: Tip) {
        self.sync.is_tip_asked = false;
        if self.tip.is_none() {
            self.tip = Some(tip);
            self.on_first_tip(cx);
        }
        self.announce_tip(cx);
    }
}

// The answer to GETLISTOFBLOCKS. Numbers below the first hash are there even when a reorganisation is under way: the
// ledger answers from one moment.
fn listed(first: u64, parent: Hash, hashes: Vec<Hash>, tip: &Tip) -> List {
    let from = first.saturating_sub(1);
    List { from, latest: tip.height.max(from + hashes.len() as u64), parent, hashes }
}
