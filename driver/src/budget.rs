//! Shares out memory: one byte budget over queues and unfinished frames of all networks of a process.

use polypeer_engine::ConnectionId;
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use tokio::sync::Notify;

/// Bytes are counted in steps of this, so that a queue that breathes does not touch the shared counter each time.
const STEP_BYTES: usize = 1 << 10;

/// A byte budget that networks share. When it is spent, the connection that holds most is closed, in whichever
/// network it is. A clone is the same budget.
#[derive(Clone, Debug)]
pub struct Budget(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    limit: usize,
    step: usize,
    used: AtomicUsize,
    shares: Mutex<Vec<Weak<Share>>>,
}

/// What one network shows the others.
#[derive(Debug, Default)]
pub(crate) struct Share {
    largest: AtomicUsize,
    bell: Notify,
}

impl Budget {
    /// A budget of so many bytes. It should be several times the largest frame of any network in it.
    pub fn new(limit: usize) -> Self {
        Self::in_steps(limit, STEP_BYTES)
    }

    /// A budget that counts every byte.
    pub(crate) fn exact(limit: usize) -> Self {
        Self::in_steps(limit, 1)
    }

    fn in_steps(limit: usize, step: usize) -> Self {
        Self(Arc::new(Inner { limit, step, used: AtomicUsize::new(0), shares: Mutex::new(Vec::new()) }))
    }

    /// How many bytes may be held.
    pub fn limit(&self) -> usize {
        self.0.limit
    }

    /// How many bytes are held now, to the next KiB per connection.
    pub fn used(&self) -> usize {
        self.0.used.load(Ordering::Acquire)
    }

    pub(crate) fn join(&self) -> Account {
        let share = Arc::new(Share::default());
        let mut shares = self.0.shares.lock().unwrap_or_else(PoisonError::into_inner);
        shares.retain(|share| share.strong_count() > 0);
        shares.push(Arc::downgrade(&share));
        drop(shares);
        Account { budget: self.clone(), share, held: BTreeSet::new() }
    }

    fn is_spent(&self) -> bool {
        self.used() > self.0.limit
    }

    // The network whose largest connection is the largest of all.
    fn holder_of_most(&self) -> Option<Arc<Share>> {
        let shares = self.0.shares.lock().unwrap_or_else(PoisonError::into_inner);
        shares.iter().filter_map(Weak::upgrade).max_by_key(|share| share.largest.load(Ordering::Acquire))
    }
}

impl Default for Budget {
    /// 1 GiB: what 32 AnYa peers that each drip a largest mempool would hold.
    fn default() -> Self {
        Self::new(1 << 30)
    }
}

/// One network's part of a budget: who holds how much, largest last.
#[derive(Debug)]
pub(crate) struct Account {
    budget: Budget,
    share: Arc<Share>,
    held: BTreeSet<(usize, ConnectionId)>,
}

impl Account {
    /// Notes that a connection that was charged `charged` now holds `bytes`. What it is charged from now on.
    pub(crate) fn charge(&mut self, connection: ConnectionId, charged: usize, bytes: usize) -> usize {
        let step = self.budget.0.step;
        let now = bytes.div_ceil(step) * step;
        if now == charged {
            return charged;
        }
        self.held.remove(&(charged, connection));
        if now > 0 {
            self.held.insert((now, connection));
        }
        // Whoever sees that the budget is spent also sees who spent it: else a small holder in another network goes.
        let largest = self.held.last().map_or(0, |(bytes, _)| *bytes);
        if now > charged {
            self.share.largest.store(largest, Ordering::Release);
            self.budget.0.used.fetch_add(now - charged, Ordering::Release);
        } else {
            self.budget.0.used.fetch_sub(charged - now, Ordering::AcqRel);
            self.share.largest.store(largest, Ordering::Release);
        }
        now
    }

    /// Whom of this network to close now, if anyone: the budget is spent and the one that holds most is ours. When
    /// it is another network's, that one is told.
    pub(crate) fn to_shed(&self) -> Option<ConnectionId> {
        if !self.budget.is_spent() {
            return None;
        }
        let holder = self.budget.holder_of_most()?;
        if Arc::ptr_eq(&holder, &self.share) {
            // Whoever spent it may have let go meanwhile, and so ours be the largest.
            if !self.budget.is_spent() {
                return None;
            }
            return self.held.last().map(|(_, connection)| *connection);
        }
        holder.bell.notify_one();
        None
    }

    /// Whether the budget is spent; cheap.
    pub(crate) fn is_spent(&self) -> bool {
        self.budget.is_spent()
    }

    /// What rings when another network wants this one to look.
    pub(crate) fn share(&self) -> Arc<Share> {
        self.share.clone()
    }
}

impl Share {
    pub(crate) async fn rung(&self) {
        self.bell.notified().await;
    }
}

impl Drop for Account {
    fn drop(&mut self) {
        let held: usize = self.held.iter().map(|(bytes, _)| bytes).sum();
        self.budget.0.used.fetch_sub(held, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use polypeer_engine::Direction;

    #[test]
    fn the_one_that_holds_most_is_named_in_its_own_network() {
        let budget = Budget::new(10 << 10);
        let (mut one, mut other) = (budget.join(), budget.join());
        let [a, b] = [1, 2].map(|count| ConnectionId::nth(Direction::Inbound, count));
        let charged = one.charge(a, 0, 4 << 10);
        assert_eq!(other.charge(b, 0, 6000), 6 << 10);
        assert_eq!((one.to_shed(), other.to_shed()), (None, None));
        assert_eq!(one.charge(a, charged, (4 << 10) + 1), 5 << 10);
        assert_eq!(one.to_shed(), None);
        assert_eq!(other.to_shed(), Some(b));
        other.charge(b, 6 << 10, 0);
        assert_eq!(budget.used(), 5 << 10);
        drop((one, other));
        assert_eq!(budget.used(), 0);
    }

    #[test]
    fn who_holds_less_never_goes_while_another_grows() {
        const ROUNDS: usize = 300_000;
        let budget = Budget::new(3 << 20);
        let (mut small, mut growing) = (budget.join(), budget.join());
        let [a, b] = [1, 2].map(|count| ConnectionId::nth(Direction::Inbound, count));
        small.charge(a, 0, 1 << 20);
        let (grown, seen, shrunk) = (AtomicUsize::new(0), AtomicUsize::new(0), AtomicUsize::new(0));
        let wait_for = |count: &AtomicUsize, round| {
            while count.load(Ordering::Acquire) < round {
                std::thread::yield_now();
            }
        };
        let mut wrongly = 0;
        std::thread::scope(|threads| {
            threads.spawn(|| {
                for round in 1..=ROUNDS {
                    // A buffer that doubles: smaller than the other network's at one moment, too much at the next.
                    let charged = growing.charge(b, 0, 900 << 10);
                    let charged = growing.charge(b, charged, 4 << 20);
                    grown.store(round, Ordering::Release);
                    wait_for(&seen, round);
                    growing.charge(b, charged, 0);
                    shrunk.store(round, Ordering::Release);
                }
            });
            for round in 1..=ROUNDS {
                while grown.load(Ordering::Acquire) < round {
                    wrongly += usize::from(small.to_shed().is_some());
                }
                seen.store(round, Ordering::Release);
                wait_for(&shrunk, round);
            }
        });
        assert_eq!(wrongly, 0);
    }
}
