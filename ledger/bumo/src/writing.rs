//! Writes the store beside the ledger: a commit takes milliseconds, in which votes go on.
//!
//! ```text
//!   pending ──commit_beside──► writing ──its thread came back well──► stored; the vote log lets go of it
//!      ▲                          └───────────────failed──────────────────┐
//!      └──────────────────────────────────────────────────────────────────┘
//! ```
//! What is on its way is read from memory, below what came since. Until the store has it nothing is shown to readers, and
//! nothing that is in it leaves the vote log. One is on its way at a time.
//!
//! Only where the store is a file: in a simulation all happens in its turn.

use crate::bumo::{Bumo, PENDING_BYTES, standing};
use crate::chain::number;
use crate::health::Health;
use crate::pending::Pending;
use crate::reader::Standing;
use crate::tables::{Result, Tip};
use crate::votes::Votes;
use polypeer_engine::{Now, Time};
use std::mem;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

/// How often to look whether what is on its way has arrived, when nothing else happens: readers see it so much later.
const LOOK: Duration = Duration::from_millis(5);

/// Rows on their way into the store.
pub(crate) struct Writing {
    pub(crate) pending: Arc<Pending>,
    /// What the store says of itself when it has them.
    tip: Tip,
    /// What readers are shown then.
    standing: Standing,
    thread: JoinHandle<Result<()>>,
}

/// That the store is written beside.
#[derive(Debug, Default)]
pub(crate) struct Beside {
    /// When to look next.
    look: Time,
}

impl Bumo {
    /// Begins to make what is pending durable, or does it at once where nothing is done beside.
    pub(crate) fn commit_beside(&mut self, now: Now) {
        if self.beside.is_none() {
            self.commit(now);
            return;
        }
        // Votes wait for the last one only when there is no room for them.
        let must_wait =
            self.votes.as_ref().is_some_and(Votes::is_full) || self.chain.pending.bytes() > 2 * PENDING_BYTES;
        self.take_written(now, must_wait);
        if self.chain.writing.is_some() || self.health != Health::Sound {
            return;
        }
        if self.chain.pending.is_empty() {
            self.commit(now);
            return;
        }
        let (pending, tip) = (Arc::new(mem::take(&mut self.chain.pending)), self.chain.row());
        match self.chain.store.begin(pending.clone(), tip.clone()) {
            Ok(thread) => {
                self.chain.writing = Some(Writing { pending, tip, standing: standing(&self.chain), thread });
                self.changed = None;
                self.look_later(now);
            }
            Err(_) => {
                self.put_back(pending);
                self.fail(now);
            }
        }
    }

    /// Takes up what was on its way, if it has arrived, or waits for it.
    pub(crate) fn take_written(&mut self, now: Now, waits: bool) {
        let Some(writing) = self.chain.writing.take_if(|writing| waits || writing.thread.is_finished()) else {
            return self.look_later(now);
        };
        let Writing { pending, tip, standing, thread } = writing;
        // A panic in it is a failure of the store's like any other.
        if !matches!(thread.join(), Ok(Ok(()))) {
            self.put_back(pending);
            self.changed = self.changed.or(Some((now.monotonic, now.monotonic)));
            return self.fail(now);
        }
        let durable = number(tip.number);
        self.chain.store.written(tip);
        self.show(Standing { strangers: self.chain.strangers, ..standing });
        if let Some(votes) = &mut self.votes {
            // If it could not begin anew it goes on as it is, and the next commit tries again.
            drop(votes.forget(durable));
        }
    }

    /// When to look whether what is on its way has arrived.
    pub(crate) fn written_due(&self) -> Option<Time> {
        self.chain.writing.as_ref().and(self.beside.as_ref()).map(|beside| beside.look)
    }

    fn look_later(&mut self, now: Now) {
        if let Some(beside) = &mut self.beside {
            beside.look = now.monotonic + LOOK;
        }
    }

    // Below what came since.
    fn put_back(&mut self, pending: Arc<Pending>) {
        let mut pending = Arc::unwrap_or_clone(pending);
        pending.append(mem::take(&mut self.chain.pending));
        self.chain.pending = pending;
    }
}
