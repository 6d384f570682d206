//! Watches a ledger from outside: what it judged, what arrived when, and whether it may produce.

use crate::event_log::EventLog;
use crate::view::What;
use polypeer_engine::kit::chain::{Answer, BlockOutcome, Hash, Request, TransactionOutcome};
use polypeer_engine::{Ledger, Now, Ticket, Time, To};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// Something that a node now holds, durably.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Arrival {
    /// A block, stored.
    Block([u8; 32]),
    /// A transaction that waits.
    Transaction([u8; 32]),
}

/// Is told when something has arrived, on the ledger's thread: it must be quick.
pub trait Arrivals: Send + Sync {
    /// It is here now.
    fn arrived(&self, arrival: Arrival);
}

/// What is known of a ledger without asking it.
pub(super) struct Watch {
    name: String,
    events: Arc<EventLog>,
    arrivals: Option<Arc<dyn Arrivals>>,
    is_syncing: AtomicBool,
    is_halted: AtomicBool,
    blocks: [AtomicU64; BLOCK_WORDS.len()],
    transactions: [AtomicU64; TRANSACTION_WORDS.len()],
}

const BLOCK_WORDS: [&str; 7] = ["accepted", "known", "parent_unknown", "held", "invalid", "no_room", "tip"];
const TRANSACTION_WORDS: [&str; 4] = ["accepted", "known", "never_valid", "not_now"];

impl Watch {
    pub(super) fn new(name: &str, events: Arc<EventLog>, arrivals: Option<Arc<dyn Arrivals>>) -> Arc<Self> {
        Arc::new(Self {
            name: name.to_owned(),
            events,
            arrivals,
            is_syncing: AtomicBool::new(false),
            is_halted: AtomicBool::new(false),
            blocks: Default::default(),
            transactions: Default::default(),
        })
    }

    /// Whether the network layer is catching up.
    pub(super) fn is_syncing(&self) -> bool {
        self.is_syncing.load(Ordering::Relaxed)
    }

    /// No block is produced after the next question that the ledger answers.
    pub(super) fn halt(&self) {
        self.is_halted.store(true, Ordering::Relaxed);
    }

    /// What was judged: kind, outcome, count.
    pub(super) fn judged(&self) -> Vec<(&'static str, &'static str, u64)> {
        let rows = |kind: &'static str, words: &[&'static str], counts: &[AtomicU64]| {
            let row = |(word, count): (&&'static str, &AtomicU64)| (kind, *word, count.load(Ordering::Relaxed));
            words.iter().zip(counts).map(row).collect::<Vec<_>>()
        };
        let mut all = rows("block", &BLOCK_WORDS, &self.blocks);
        all.extend(rows("transaction", &TRANSACTION_WORDS, &self.transactions));
        all
    }

    fn note(&self, answer: &Answer) {
        match answer {
            Answer::BlockTaken { hash, outcome } => {
                let index = match outcome {
                    BlockOutcome::Accepted => 0,
                    BlockOutcome::Known => 1,
                    BlockOutcome::ParentUnknown => 2,
                    BlockOutcome::Held => 3,
                    BlockOutcome::Invalid(_) => 4,
                    BlockOutcome::NoRoom => 5,
                };
                self.blocks[index].fetch_add(1, Ordering::Relaxed);
                if *outcome == BlockOutcome::Accepted {
                    self.arrived(Arrival::Block(hash.0));
                }
            }
            Answer::NewTip { tip, .. } => {
                self.blocks[6].fetch_add(1, Ordering::Relaxed);
                self.arrived(Arrival::Block(tip.hash.0));
                self.events.push(&self.name, What::Tip { hash: tip.hash.to_string(), height: tip.height });
            }
            Answer::TransactionsTaken(taken) => taken.iter().for_each(|(id, outcome)| self.taken(id, outcome)),
            Answer::NewTransaction { id, .. } => self.arrived(Arrival::Transaction(id.0)),
            _ => {}
        }
    }

    fn taken(&self, id: &Hash, outcome: &TransactionOutcome) {
        let index = match outcome {
            TransactionOutcome::Accepted => 0,
            TransactionOutcome::Known => 1,
            TransactionOutcome::NeverValid(_) => 2,
            TransactionOutcome::NotNow(_) => 3,
        };
        self.transactions[index].fetch_add(1, Ordering::Relaxed);
        if *outcome == TransactionOutcome::Accepted {
            self.arrived(Arrival::Transaction(id.0));
        }
    }

    fn arrived(&self, arrival: Arrival) {
        if let Some(arrivals) = &self.arrivals {
            arrivals.arrived(arrival);
        }
    }
}

/// A ledger under watch.
pub(super) struct Watched<L> {
    pub(super) ledger: L,
    pub(super) watch: Arc<Watch>,
    pub(super) is_paused: bool,
}

impl<L: Ledger<Request = Request, Answer = Answer>> Watched<L> {
    // A producer pauses while the network layer is catching up; one that is halted catches up for ever.
    fn pause(&mut self, now: Now, answers: &mut Vec<(To, Answer)>) {
        if self.watch.is_halted.load(Ordering::Relaxed) && !self.is_paused {
            self.is_paused = true;
            // Not answered, so the ticket is nobody's.
            self.ledger.answer(now, vec![(Ticket(u64::MAX), Request::CatchingUp(true))], answers);
        }
    }
}

impl<L: Ledger<Request = Request, Answer = Answer>> Ledger for Watched<L> {
    type Request = Request;
    type Answer = Answer;

    fn answer(&mut self, now: Now, mut requests: Vec<(Ticket, Request)>, answers: &mut Vec<(To, Answer)>) {
        let start = answers.len();
        self.pause(now, answers);
        let (watch, is_paused) = (&self.watch, self.is_paused);
        requests.retain(|(_, request)| match request {
            Request::CatchingUp(is_syncing) => {
                watch.is_syncing.store(*is_syncing, Ordering::Relaxed);
                !is_paused
            }
            _ => true,
        });
        self.ledger.answer(now, requests, answers);
        answers[start..].iter().for_each(|(_, answer)| self.watch.note(answer));
    }

    fn next_wake(&self, now: Now) -> Option<Time> {
        self.ledger.next_wake(now)
    }

    fn wake(&mut self, now: Now, answers: &mut Vec<(To, Answer)>) {
        let start = answers.len();
        self.pause(now, answers);
        self.ledger.wake(now, answers);
        answers[start..].iter().for_each(|(_, answer)| self.watch.note(answer));
    }
}
