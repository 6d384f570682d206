//! Watches a ledger from outside: what it judged, what arrived when, and whether it may produce.

use crate::event_log::EventLog;
use crate::view::What;
use polypeer_engine::{Ledger, Now, Ticket, Time, To};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// Something that a node now holds and tells its peers of. What peers brought a Kaspa ledger makes durable soon
/// afterwards, all others before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Arrival {
    /// A block, judged.
    Block([u8; 32]),
    /// A transaction that waits.
    Transaction([u8; 32]),
}

/// Is told when something has arrived, on the ledger's thread: it must be quick.
pub trait Arrivals: Send + Sync {
    /// It is here now.
    fn arrived(&self, arrival: Arrival);
}

/// What is to be seen in the answers of a ledger.
pub(super) trait Telling {
    /// What is asked of it.
    type Request;
    /// What may become of a block, and of a transaction, in words.
    const WORDS: [&'static [&'static str]; 2];

    /// The word that the network layer is catching up, or no longer.
    fn catching_up(is_syncing: bool) -> Self::Request;

    /// Whether a request is that word.
    fn is_catching_up(request: &Self::Request) -> Option<bool>;

    /// Counts what an answer tells, and passes on what has arrived.
    fn note(&self, watch: &Watch);
}

/// What is known of a ledger without asking it.
pub(super) struct Watch {
    name: String,
    events: Arc<EventLog>,
    arrivals: Option<Arc<dyn Arrivals>>,
    is_syncing: AtomicBool,
    is_halted: AtomicBool,
    words: [&'static [&'static str]; 2],
    counts: [Vec<AtomicU64>; 2],
}

impl Watch {
    pub(super) fn new<A: Telling>(name: &str, events: Arc<EventLog>, arrivals: Option<Arc<dyn Arrivals>>) -> Arc<Self> {
        Arc::new(Self {
            name: name.to_owned(),
            events,
            arrivals,
            is_syncing: AtomicBool::new(false),
            is_halted: AtomicBool::new(false),
            words: A::WORDS,
            counts: A::WORDS.map(|words| words.iter().map(|_| AtomicU64::new(0)).collect()),
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
        let kinds = ["block", "transaction"].into_iter().zip(self.words).zip(&self.counts);
        kinds
            .flat_map(|((kind, words), counts)| {
                words.iter().zip(counts).map(move |(word, count)| (kind, *word, count.load(Ordering::Relaxed)))
            })
            .collect()
    }

    /// One more block of this word's.
    pub(super) fn block(&self, word: usize) {
        self.counts[0][word].fetch_add(1, Ordering::Relaxed);
    }

    /// One more transaction of this word's.
    pub(super) fn transaction(&self, word: usize) {
        self.counts[1][word].fetch_add(1, Ordering::Relaxed);
    }

    /// Something is held now.
    pub(super) fn arrived(&self, arrival: Arrival) {
        if let Some(arrivals) = &self.arrivals {
            arrivals.arrived(arrival);
        }
    }

    /// The ledger's newest block is another.
    pub(super) fn tip(&self, hash: String, height: u64) {
        self.events.push(&self.name, What::Tip { hash, height });
    }
}

/// A ledger under watch.
pub(super) struct Watched<L> {
    pub(super) ledger: L,
    pub(super) watch: Arc<Watch>,
    pub(super) is_paused: bool,
}

impl<L: Ledger<Answer: Telling<Request = L::Request>>> Watched<L> {
    // A producer pauses while the network layer is catching up; one that is halted catches up for ever.
    fn pause(&mut self, now: Now, answers: &mut Vec<(To, L::Answer)>) {
        if self.watch.is_halted.load(Ordering::Relaxed) && !self.is_paused {
            self.is_paused = true;
            // Not answered, so the ticket is nobody's.
            self.ledger.answer(now, vec![(Ticket(u64::MAX), L::Answer::catching_up(true))], answers);
        }
    }
}

impl<L: Ledger<Answer: Telling<Request = L::Request>>> Ledger for Watched<L> {
    type Request = L::Request;
    type Answer = L::Answer;

    fn answer(&mut self, now: Now, mut requests: Vec<(Ticket, L::Request)>, answers: &mut Vec<(To, L::Answer)>) {
        let start = answers.len();
        self.pause(now, answers);
        let (watch, is_paused) = (&self.watch, self.is_paused);
        requests.retain(|(_, request)| match L::Answer::is_catching_up(request) {
            Some(is_syncing) => {
                watch.is_syncing.store(is_syncing, Ordering::Relaxed);
                !is_paused
            }
            None => true,
        });
        self.ledger.answer(now, requests, answers);
        answers[start..].iter().for_each(|(_, answer)| answer.note(&self.watch));
    }

    fn next_wake(&self, now: Now) -> Option<Time> {
        self.ledger.next_wake(now)
    }

    fn wake(&mut self, now: Now, answers: &mut Vec<(To, L::Answer)>) {
        let start = answers.len();
        self.pause(now, answers);
        self.ledger.wake(now, answers);
        answers[start..].iter().for_each(|(_, answer)| answer.note(&self.watch));
    }
}
