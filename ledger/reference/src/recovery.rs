//! Recovers from a disk that is full, and does not trust one that breaks its word.

use crate::chain::End;
use crate::mempool::Offer;
use crate::reference::Reference;
use crate::tables::{Look, Result};
use crate::transaction::{Transaction, id};
use crate::writing::Writing;
use polypeer_engine::kit::chain::{TransactionFault, TransactionOutcome};
use polypeer_engine::{Now, Time};
use std::sync::PoisonError;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// How long nothing is written after the disk was full; space that comes back is used within this time.
pub(crate) const PAUSE: Duration = Duration::from_millis(500);

/// Whether the store can be written.
///
/// ```text
/// sound ──no space──► full(until) ──until──► sound, or full again
///   └───another error──► broken
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Health {
    Sound,
    /// The disk is full: nothing is written before this moment, and what needs no disk goes on.
    Full(Time),
    /// The disk refused what it had promised. Only a new start reads what it really holds.
    Broken,
}

impl Health {
    /// When it wants to be looked at again.
    pub(crate) fn next_wake(self) -> Option<Time> {
        match self {
            Self::Full(until) => Some(until),
            Self::Sound | Self::Broken => None,
        }
    }
}

impl Reference {
    /// Shuts the store after a failure, and opens it again to be read if it can be trusted.
    pub(crate) fn fail(&mut self, now: Now) {
        if self.shut(now) && self.reopen().is_err() {
            self.shut(now);
        }
    }

    /// Shuts the store. True when it can be opened again.
    fn shut(&mut self, now: Now) -> bool {
        let was_full = self.store.shut();
        self.displaced.extend(self.shared.mempool.write().unwrap_or_else(PoisonError::into_inner).roll_back());
        self.set_health(if was_full { Health::Full(now.monotonic + PAUSE) } else { Health::Broken });
        was_full
    }

    /// Tries a disk again that was full.
    pub(crate) fn mend(&mut self, now: Now) {
        let Health::Full(until) = self.health else { return };
        if now.monotonic < until {
            return;
        }
        match self.settle() {
            Ok(true) => self.set_health(Health::Sound),
            Ok(false) => self.set_health(Health::Full(now.monotonic + PAUSE)),
            Err(_) => self.fail(now),
        }
    }

    fn reopen(&mut self) -> Result<()> {
        if self.store.reopen()? { self.follow() } else { Ok(()) }
    }

    fn settle(&mut self) -> Result<bool> {
        let has_room = self.store.settle()?;
        if has_room {
            // A commit that failed at its very end may have come through. Another one makes sure of what is seen now.
            self.load_operators(true)?;
            self.follow()?;
        }
        Ok(has_room)
    }

    /// Makes what is in memory what the store holds.
    fn follow(&mut self) -> Result<()> {
        let shared = self.shared.clone();
        let reading = self.store.reading()?;
        let end = End::load(reading, reading.top()?)?;
        let mut mempool = shared.mempool.write().unwrap_or_else(PoisonError::into_inner);
        for key in mempool.sender_keys() {
            let account = reading.account(&key)?;
            mempool.settle(&key, account);
        }
        for waiting in self.displaced.drain(..) {
            let Ok(transaction) = Transaction::read(&waiting.bytes) else { continue };
            let (sender, recipient) = (reading.account(&transaction.sender)?, reading.account(&transaction.recipient)?);
            let (id, bytes, operator) = (waiting.id, &waiting.bytes, waiting.operator);
            mempool.offer(&Offer { id, bytes, transaction, sender, recipient, operator });
        }
        mempool.commit();
        drop(mempool);
        self.set_end(end);
        Ok(())
    }

    fn set_health(&mut self, health: Health) {
        self.health = health;
        self.shared.ails.store(health != Health::Sound, Ordering::Relaxed);
    }

    /// Lets the operator's stored transactions wait again, and forgets those that are not valid any more. `commits`
    /// asks for a durable commit in any case.
    pub(crate) fn load_operators(&mut self, commits: bool) -> Result<()> {
        self.store.release();
        let transaction = self.store.begin()?;
        let mut tables = Writing::open(&transaction)?;
        let mut mempool = self.shared.mempool.write().unwrap_or_else(PoisonError::into_inner);
        for (place, bytes) in tables.operators()? {
            let id = id(&bytes);
            let taken = match Transaction::read(&bytes) {
                Ok(transaction) => {
                    let sender = tables.account(&transaction.sender)?;
                    let recipient = tables.account(&transaction.recipient)?;
                    let operator = Some(place);
                    mempool.offer(&Offer { id, bytes: &bytes, transaction, sender, recipient, operator })
                }
                Err(fault) => TransactionOutcome::NeverValid(fault),
            };
            let stays = matches!(
                taken,
                TransactionOutcome::Accepted
                    | TransactionOutcome::Known
                    | TransactionOutcome::NotNow(TransactionFault::NoRoom)
            );
            if !stays {
                tables.retire_operator(place, &id)?;
            }
        }
        drop(mempool);
        let counters = tables.counters;
        if tables.finish()? || commits {
            transaction.commit()?;
        } else {
            transaction.abort()?;
        }
        self.store.acknowledged = counters;
        Ok(())
    }
}
