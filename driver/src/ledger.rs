//! Runs a ledger on its own thread: gathers what is asked, so that one signature batch and one commit serve many.
//!
//! The engine's thread never waits for the ledger. What it asks goes into a mailbox under a lock that is held for a
//! push; when too much waits for answers the host stops reading, first from those peers whose frames put more than an
//! equal share of it there, so that a flood waits for itself and a quiet peer is heard. The mailbox is bounded by twice
//! [`ASKS_WAITING_MAX`] and [`ASK_BYTES_WAITING_MAX`] plus what one turn and the answers under way can ask. The
//! ledger's thread does wait for the engine to take its answers: the engine always gets there.

use crate::budget::{Budget, Hold};
use crate::clock::Clock;
use polypeer_engine::{ConnectionId, Ledger, Ticket, To};
use serde::Serialize;
use std::collections::{HashMap, VecDeque};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};

/// Questions answered in one go: enough to fill signature batches on every core, and few enough that the engine asks
/// on while the ledger answers.
const BATCH_MAX: usize = 2048;
/// Bytes of questions answered in one go, of which nobody hears before its commit. A block full of transactions takes a
/// third of a second a MiB of one core, so that whoever asks waits about as long; with ten times as much a peer that
/// serves us would seem silent, because we do not read.
const BATCH_BYTES_MAX: usize = 1 << 20;
/// The engine's unanswered questions above which its host stops reading from who asks most. Well below what a protocol lets one
/// peer have at the ledger (AnYa 8,192): a peer that sends faster than the ledger judges is slowed down by its socket,
/// and nothing of what it sends is dropped.
const ASKS_WAITING_MAX: usize = 4_096;
/// Bytes of them above which it does; half of what a protocol drops at, for the same reason.
const ASK_BYTES_WAITING_MAX: usize = 32 << 20;
/// Questions from outside the engine (the API) that may wait; more wait before the door.
const OUTSIDE_MAX: usize = 1024;
/// Batches of answers that the engine may be behind before the ledger waits for it.
pub(crate) const ANSWER_BATCHES_MAX: usize = 4;
/// Set in the tickets of questions from outside, so that they never meet the engine's, which count from 0.
const OUTSIDE_BIT: u64 = 1 << 63;

/// What the ledger says to the engine.
pub(crate) struct Answers<A> {
    /// In order; without a ticket when nobody asked.
    pub(crate) answers: Vec<(Option<Ticket>, A)>,
    taken: usize,
    // The memory that they take in the process's budget until the engine has them.
    pub(crate) _held: Hold,
}

impl<A> Answers<A> {
    /// How many of the engine's questions the ledger took for these.
    pub(crate) fn taken(&self) -> usize {
        self.taken
    }
}

/// Where questions wait for the ledger.
pub(crate) struct Mailbox<R, A> {
    inner: Mutex<Waiting<R, A>>,
    bell: Condvar,
    outside: Arc<Semaphore>,
}

struct Waiting<R, A> {
    questions: VecDeque<Question<R, A>>,
    is_stopping: bool,
    is_closed: bool,
    failure: Option<String>,
}

struct Question<R, A> {
    asker: Asker<A>,
    request: R,
    bytes: usize,
}

enum Asker<A> {
    Engine(Ticket),
    Outside(Outsider<A>),
}

struct Outsider<A> {
    answer: oneshot::Sender<A>,
    _place: OwnedSemaphorePermit,
}

impl<R, A> Mailbox<R, A> {
    pub(crate) fn new() -> Arc<Self> {
        let waiting = Waiting { questions: VecDeque::new(), is_stopping: false, is_closed: false, failure: None };
        let outside = Arc::new(Semaphore::new(OUTSIDE_MAX));
        Arc::new(Self { inner: Mutex::new(waiting), bell: Condvar::new(), outside })
    }

    fn lock(&self) -> MutexGuard<'_, Waiting<R, A>> {
        // Nothing that can panic runs under the lock.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks from outside the engine. Nothing when the ledger is gone.
    pub(crate) async fn ask(&self, request: R) -> Option<A> {
        let place = self.outside.clone().acquire_owned().await.ok()?;
        let (answer, answered) = oneshot::channel();
        {
            let mut waiting = self.lock();
            if waiting.is_stopping || waiting.is_closed {
                return None;
            }
            let asker = Asker::Outside(Outsider { answer, _place: place });
            waiting.questions.push_back(Question { asker, request, bytes: 0 });
        }
        self.bell.notify_one();
        answered.await.ok()
    }

    /// The ledger answers what waits and ends.
    pub(crate) fn stop(&self) {
        self.lock().is_stopping = true;
        self.bell.notify_one();
    }

    /// Why the ledger's thread ended early, if it did.
    pub(crate) fn failure(&self) -> Option<String> {
        self.lock().failure.clone()
    }
}

/// The engine's end of the mailbox.
pub(crate) struct Asks<R, A> {
    mailbox: Arc<Mailbox<R, A>>,
    next: Vec<Question<R, A>>,
    // The unanswered ones in their order: who is behind each, and its bytes.
    open: VecDeque<(Option<ConnectionId>, usize)>,
    open_bytes: usize,
    askers: usize,
    asked: u64,
}

impl<R: Serialize, A> Asks<R, A> {
    pub(crate) fn new(mailbox: Arc<Mailbox<R, A>>) -> Self {
        Self { mailbox, next: Vec::new(), open: VecDeque::new(), open_bytes: 0, askers: 0, asked: 0 }
    }

    /// Notes a question that came of a frame of this connection's, or of none; it goes out with the next
    /// [`Asks::send`]. Its bytes.
    pub(crate) fn ask(&mut self, ticket: Ticket, request: R, of: Option<ConnectionId>) -> usize {
        let bytes = encoded_bytes(&request);
        self.asked += 1;
        self.open.push_back((of, bytes));
        self.open_bytes += bytes;
        self.next.push(Question { asker: Asker::Engine(ticket), request, bytes });
        bytes
    }

    /// A connection has questions open from now on, or no longer.
    pub(crate) fn has_asker(&mut self, is_new: bool) {
        self.askers = if is_new { self.askers + 1 } else { self.askers.saturating_sub(1) };
    }

    /// Sends what was noted: one lock and one call a turn.
    pub(crate) fn send(&mut self) {
        if self.next.is_empty() {
            return;
        }
        self.mailbox.lock().questions.extend(self.next.drain(..));
        self.mailbox.bell.notify_one();
    }

    /// The ledger took and answered the oldest so many: who is behind each of them, and its bytes.
    pub(crate) fn answered(&mut self, answers: &Answers<A>) -> impl Iterator<Item = (ConnectionId, usize)> + use<R, A> {
        let taken: Vec<_> = self.open.drain(..answers.taken.min(self.open.len())).collect();
        self.open_bytes -= taken.iter().map(|(_, bytes)| bytes).sum::<usize>();
        taken.into_iter().filter_map(|(of, bytes)| Some((of?, bytes)))
    }

    /// Whether a connection with so many open questions is to be read from later: too much waits, and it has its equal
    /// share there, or so much waits that everyone is to.
    pub(crate) fn must_wait(&self, open: usize) -> bool {
        let fill = |times: usize| {
            self.open.len() > times * ASKS_WAITING_MAX || self.open_bytes > times * ASK_BYTES_WAITING_MAX
        };
        fill(1) && (open * self.askers >= ASKS_WAITING_MAX.min(self.open.len()) || fill(2))
    }

    /// Questions that wait.
    pub(crate) fn waiting(&self) -> usize {
        self.open.len()
    }

    /// Questions so far.
    pub(crate) fn asked(&self) -> u64 {
        self.asked
    }

    /// The end: nobody waits for the answers any more. How many there were.
    pub(crate) fn give_up(&mut self) -> usize {
        self.open_bytes = 0;
        std::mem::take(&mut self.open).len()
    }
}

// How long a request or answer is when written down: about what it holds in memory. Byte strings count without a copy.
fn encoded_bytes(value: &impl Serialize) -> usize {
    postcard::experimental::serialized_size(value).unwrap_or(0)
}

/// Runs the ledger until it is told to stop, or fails; never panics.
pub(crate) fn run<L: Ledger<Answer: Serialize>>(
    ledger: L,
    mailbox: &Mailbox<L::Request, L::Answer>,
    clock: Clock,
    budget: Budget,
    engine: &mpsc::Sender<Answers<L::Answer>>,
) {
    let ended = catch_unwind(AssertUnwindSafe(|| {
        Keeper { ledger, budget, outsiders: HashMap::new(), next: 0 }.run(mailbox, clock, engine)
    }));
    let mut waiting = mailbox.lock();
    waiting.is_closed = true;
    // Whoever waits learns by the closed channel that no answer comes.
    waiting.questions.clear();
    if let Err(panic) = ended {
        waiting.failure = Some(crate::failure::text(&*panic));
    }
}

struct Keeper<L: Ledger> {
    ledger: L,
    budget: Budget,
    outsiders: HashMap<Ticket, Outsider<L::Answer>>,
    next: u64,
}

impl<L: Ledger<Answer: Serialize>> Keeper<L> {
    fn run(
        mut self,
        mailbox: &Mailbox<L::Request, L::Answer>,
        clock: Clock,
        engine: &mpsc::Sender<Answers<L::Answer>>,
    ) {
        let mut answers = Vec::new();
        while let Some(batch) = gather(mailbox, || self.wait(clock)) {
            let taken = batch.iter().filter(|question| matches!(question.asker, Asker::Engine(_))).count();
            if !batch.is_empty() {
                let requests = batch.into_iter().map(|question| self.ticket(question)).collect();
                self.ledger.answer(clock.now(), requests, &mut answers);
            }
            let now = clock.now();
            if self.ledger.next_wake(now).is_some_and(|due| due <= now.monotonic) {
                self.ledger.wake(now, &mut answers);
            }
            let answers = self.sort(&mut answers);
            if taken > 0 || !answers.is_empty() {
                let bytes = answers.iter().map(|(_, answer)| encoded_bytes(answer)).sum();
                let _held = self.budget.hold(bytes);
                // An engine that is gone needs no answer; what waits is still finished.
                let _ = engine.blocking_send(Answers { answers, taken, _held });
            }
        }
    }

    // How long until the ledger wants to be woken.
    fn wait(&self, clock: Clock) -> Option<Duration> {
        let now = clock.now();
        self.ledger.next_wake(now).map(|due| due.since(now.monotonic))
    }

    fn ticket(&mut self, question: Question<L::Request, L::Answer>) -> (Ticket, L::Request) {
        let ticket = match question.asker {
            Asker::Engine(ticket) => ticket,
            Asker::Outside(outsider) => {
                let ticket = Ticket(OUTSIDE_BIT | self.next);
                self.next += 1;
                self.outsiders.insert(ticket, outsider);
                ticket
            }
        };
        (ticket, question.request)
    }

    // Hands answers from outside to those who asked; the engine's are left.
    fn sort(&mut self, answers: &mut Vec<(To, L::Answer)>) -> Vec<(Option<Ticket>, L::Answer)> {
        let mut of_engine = Vec::with_capacity(answers.len());
        for (to, answer) in answers.drain(..) {
            match to {
                To::Engine => of_engine.push((None, answer)),
                To::Asker(ticket) if ticket.0 & OUTSIDE_BIT == 0 => of_engine.push((Some(ticket), answer)),
                To::Asker(ticket) => {
                    if let Some(outsider) = self.outsiders.remove(&ticket) {
                        // Whoever asked may have gone away.
                        let _ = outsider.answer.send(answer);
                    }
                }
            }
        }
        of_engine
    }
}

// Waits for questions, or for the ledger's own time. Nothing when it is to end and all is answered.
fn gather<R, A>(mailbox: &Mailbox<R, A>, wait: impl FnOnce() -> Option<Duration>) -> Option<Vec<Question<R, A>>> {
    let mut waiting = mailbox.lock();
    if waiting.questions.is_empty() && !waiting.is_stopping {
        drop(waiting);
        let wait = wait();
        waiting = mailbox.lock();
        let is_idle = |waiting: &mut Waiting<R, A>| waiting.questions.is_empty() && !waiting.is_stopping;
        waiting = match wait {
            Some(wait) => {
                mailbox.bell.wait_timeout_while(waiting, wait, is_idle).unwrap_or_else(PoisonError::into_inner).0
            }
            None => mailbox.bell.wait_while(waiting, is_idle).unwrap_or_else(PoisonError::into_inner),
        };
    }
    if waiting.is_stopping && waiting.questions.is_empty() {
        return None;
    }
    let mut bytes = 0;
    let fits = |question: &Question<R, A>| {
        bytes += question.bytes;
        bytes <= BATCH_BYTES_MAX
    };
    // At least one, however large.
    let count = waiting
        .questions
        .iter()
        .take(BATCH_MAX)
        .take_while({
            let mut fits = fits;
            move |question| fits(question)
        })
        .count()
        .max(1)
        .min(waiting.questions.len());
    Some(waiting.questions.drain(..count).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use polypeer_engine::Direction;

    #[test]
    fn large_questions_are_answered_a_few_at_a_time() {
        let mailbox = Mailbox::new();
        let mut asks: Asks<Vec<u8>, u64> = Asks::new(Arc::clone(&mailbox));
        for (number, bytes) in [400 << 10, 400 << 10, 400 << 10, 3 << 20, 1, 1].into_iter().enumerate() {
            asks.ask(Ticket(number as u64), vec![7; bytes], None);
        }
        asks.send();
        let batches = std::iter::from_fn(|| {
            mailbox.lock().is_stopping = true;
            gather(&mailbox, || None).map(|batch| batch.len())
        });
        assert_eq!(batches.collect::<Vec<_>>(), [2, 1, 1, 2]);
    }

    #[test]
    fn who_asks_most_waits_first_and_a_quiet_one_is_heard() {
        let mut asks: Asks<u64, u64> = Asks::new(Mailbox::new());
        let (loud, quiet) = (ConnectionId::nth(Direction::Inbound, 1), ConnectionId::nth(Direction::Inbound, 2));
        asks.has_asker(true);
        for number in 0..=ASKS_WAITING_MAX as u64 {
            asks.ask(Ticket(number), number, Some(loud));
        }
        assert!(asks.must_wait(ASKS_WAITING_MAX + 1) && !asks.must_wait(0));
        asks.has_asker(true);
        asks.ask(Ticket(0), 0, Some(quiet));
        assert!(!asks.must_wait(ASKS_WAITING_MAX / 2 - 1) && asks.must_wait(ASKS_WAITING_MAX / 2));
        for number in 0..ASKS_WAITING_MAX as u64 {
            asks.ask(Ticket(number), number, Some(loud));
        }
        assert!(asks.must_wait(0), "there is an end for everyone together");
        let answers = Answers { answers: Vec::new(), taken: asks.waiting(), _held: Budget::new(1).hold(0) };
        assert_eq!(asks.answered(&answers).filter(|(of, _)| *of == quiet).count(), 1);
        assert_eq!((asks.waiting(), asks.open_bytes, asks.must_wait(usize::MAX)), (0, 0, false));
    }
}
