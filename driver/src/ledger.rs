//! Runs a ledger on its own thread: gathers what is asked, so that one signature batch and one commit serve many.
//!
//! The engine's thread never waits for the ledger. What it asks goes into a mailbox under a lock that is held for a
//! push; when too much waits for answers the host stops reading from its peers, so the mailbox is bounded by
//! [`ASKS_WAITING_MAX`] and [`ASK_BYTES_WAITING_MAX`] plus what one turn and the answers under way can ask. The
//! ledger's thread does wait for the engine to take its answers: the engine always gets there.

use crate::clock::Clock;
use polypeer_engine::{Ledger, Ticket, To};
use serde::Serialize;
use std::collections::{HashMap, VecDeque};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};

/// Questions answered in one go: enough to fill signature batches on every core, and few enough that the engine asks
/// on while the ledger answers.
const BATCH_MAX: usize = 2048;
/// Bytes of questions answered in one go: what one commit may have to write.
const BATCH_BYTES_MAX: usize = 64 << 20;
/// The engine's unanswered questions above which its host stops reading from peers. Well below what a protocol lets one
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
    taken_bytes: usize,
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
    waiting: usize,
    waiting_bytes: usize,
}

impl<R: Serialize, A> Asks<R, A> {
    pub(crate) fn new(mailbox: Arc<Mailbox<R, A>>) -> Self {
        Self { mailbox, next: Vec::new(), waiting: 0, waiting_bytes: 0 }
    }

    /// Notes a question; it goes out with the next [`Asks::send`].
    pub(crate) fn ask(&mut self, ticket: Ticket, request: R) {
        let bytes = encoded_bytes(&request);
        self.waiting += 1;
        self.waiting_bytes += bytes;
        self.next.push(Question { asker: Asker::Engine(ticket), request, bytes });
    }

    /// Sends what was noted: one lock and one call a turn.
    pub(crate) fn send(&mut self) {
        if self.next.is_empty() {
            return;
        }
        self.mailbox.lock().questions.extend(self.next.drain(..));
        self.mailbox.bell.notify_one();
    }

    /// The ledger took and answered some.
    pub(crate) fn answered(&mut self, answers: &Answers<A>) {
        self.waiting -= answers.taken;
        self.waiting_bytes -= answers.taken_bytes;
    }

    /// Whether so much waits that nothing more should be read from peers.
    pub(crate) fn is_behind(&self) -> bool {
        self.waiting > ASKS_WAITING_MAX || self.waiting_bytes > ASK_BYTES_WAITING_MAX
    }

    /// Questions that wait.
    pub(crate) fn waiting(&self) -> usize {
        self.waiting
    }
}

// How long the request is when written down: about what it holds in memory. Byte strings count without a copy.
fn encoded_bytes(request: &impl Serialize) -> usize {
    postcard::experimental::serialized_size(request).unwrap_or(0)
}

/// Runs the ledger until it is told to stop, or fails; never panics.
pub(crate) fn run<L: Ledger>(
    ledger: L,
    mailbox: &Mailbox<L::Request, L::Answer>,
    clock: Clock,
    engine: &mpsc::Sender<Answers<L::Answer>>,
) {
    let ended = catch_unwind(AssertUnwindSafe(|| {
        Keeper { ledger, outsiders: HashMap::new(), next: 0 }.run(mailbox, clock, engine)
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
    outsiders: HashMap<Ticket, Outsider<L::Answer>>,
    next: u64,
}

impl<L: Ledger> Keeper<L> {
    fn run(
        mut self,
        mailbox: &Mailbox<L::Request, L::Answer>,
        clock: Clock,
        engine: &mpsc::Sender<Answers<L::Answer>>,
    ) {
        let mut answers = Vec::new();
        while let Some(batch) = gather(mailbox, || self.wait(clock)) {
            let engines = batch.iter().filter(|question| matches!(question.asker, Asker::Engine(_)));
            let (taken, taken_bytes) = engines.fold((0, 0), |sum, question| (sum.0 + 1, sum.1 + question.bytes));
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
                // An engine that is gone needs no answer; what waits is still finished.
                let _ = engine.blocking_send(Answers { answers, taken, taken_bytes });
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
