//! Shares out memory: one byte budget over queues and unfinished frames of all networks of a process.

use polypeer_engine::ConnectionId;
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use tokio::sync::Notify;

/// Bytes are counted in steps of this, so that a queue that breathes does not touch the shared counter each time.
const STEP_BYTES: usize = 1 << 10;

/// Of holders above their fair share so many, the largest first, are looked at for one that has stood still.
const CANDIDATES_MAX: usize = 64;

/// A byte budget that networks share: queues, frames in the making, questions at the ledger and its answers. A clone is
/// the same budget.
///
/// When it is nearly spent gossip is dropped for those who hold more than their fair share, half of the limit by the
/// number of holders. When it is spent those are closed, in whichever network they are: first one that stands still,
/// else the one that holds most. Who holds no more than a fair share is never closed for it, whatever others hold.
#[derive(Clone, Debug)]
pub struct Budget(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    limit: usize,
    step: usize,
    used: AtomicUsize,
    holders: AtomicUsize,
    shares: Mutex<Vec<Weak<Share>>>,
}

/// What one network shows the others.
#[derive(Debug, Default)]
pub(crate) struct Share {
    largest: AtomicUsize,
    bell: Notify,
}

/// Bytes that no connection can be closed for; given back when it is dropped.
#[derive(Debug)]
pub(crate) struct Hold {
    budget: Budget,
    bytes: usize,
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.budget.0.used.fetch_sub(self.bytes, Ordering::Relaxed);
    }
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
        let (used, holders, shares) = (AtomicUsize::new(0), AtomicUsize::new(0), Mutex::new(Vec::new()));
        Self(Arc::new(Inner { limit, step, used, holders, shares }))
    }

    /// How many bytes may be held.
    pub fn limit(&self) -> usize {
        self.0.limit
    }

    /// How many bytes are held now, to the next KiB per connection.
    pub fn used(&self) -> usize {
        self.0.used.load(Ordering::Acquire)
    }

    /// What each of those who hold something may hold without being closed for it, in bytes.
    pub fn fair_share(&self) -> usize {
        self.0.limit / 2 / self.0.holders.load(Ordering::Relaxed).max(1)
    }

    /// Notes bytes that belong to no connection.
    pub(crate) fn hold(&self, bytes: usize) -> Hold {
        self.0.used.fetch_add(bytes, Ordering::Relaxed);
        Hold { budget: self.clone(), bytes }
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
        let Inner { step, used, holders, .. } = &*self.budget.0;
        let now = bytes.div_ceil(*step) * step;
        if now == charged {
            return charged;
        }
        let was_held = self.held.remove(&(charged, connection));
        if now > 0 {
            self.held.insert((now, connection));
        }
        match (was_held, now > 0) {
            (false, true) => holders.fetch_add(1, Ordering::Relaxed),
            (true, false) => holders.fetch_sub(1, Ordering::Relaxed),
            _ => 0,
        };
        // Whoever sees that the budget is spent also sees who spent it: else a small holder in another network goes.
        let largest = self.held.last().map_or(0, |(bytes, _)| *bytes);
        if now > charged {
            self.share.largest.store(largest, Ordering::Release);
            used.fetch_add(now - charged, Ordering::Release);
        } else {
            used.fetch_sub(charged - now, Ordering::AcqRel);
            self.share.largest.store(largest, Ordering::Release);
        }
        now
    }

    /// Whom of this network to close now, if anyone: the budget is spent and the one that holds most is ours. When
    /// it is another network's, that one is told. `is_still` says whether nothing moves at a connection.
    pub(crate) fn to_shed(&self, is_still: impl Fn(ConnectionId) -> bool) -> Option<ConnectionId> {
        if !self.budget.is_spent() {
            return None;
        }
        let holder = self.budget.holder_of_most()?;
        if Arc::ptr_eq(&holder, &self.share) {
            // Whoever spent it may have let go meanwhile, and so ours be the largest.
            if !self.budget.is_spent() {
                return None;
            }
            return self.above_fair_share(is_still);
        }
        if holder.largest.load(Ordering::Acquire) > self.budget.fair_share() {
            holder.bell.notify_one();
        }
        None
    }

    fn above_fair_share(&self, is_still: impl Fn(ConnectionId) -> bool) -> Option<ConnectionId> {
        let share = self.budget.fair_share();
        let mut above =
            self.held.iter().rev().take_while(|(bytes, _)| *bytes > share).map(|(_, connection)| *connection);
        let largest = above.next()?;
        let still = std::iter::once(largest).chain(above).take(CANDIDATES_MAX).find(|connection| is_still(*connection));
        Some(still.unwrap_or(largest))
    }

    /// Whether the budget is spent; cheap.
    pub(crate) fn is_spent(&self) -> bool {
        self.budget.is_spent()
    }

    /// Whether gossip for someone who is charged so much would be too much now: an eighth of the budget is left.
    pub(crate) fn is_tight_for(&self, charged: usize) -> bool {
        let limit = self.budget.0.limit;
        self.budget.used() > limit - limit / 8 && charged > self.budget.fair_share()
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
        self.budget.0.holders.fetch_sub(self.held.len(), Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use polypeer_engine::Direction;

    fn peer(count: u64) -> ConnectionId {
        ConnectionId::nth(Direction::Inbound, count)
    }

    const MOVES: fn(ConnectionId) -> bool = |_| false;

    #[test]
    fn the_one_that_holds_most_is_named_in_its_own_network() {
        let budget = Budget::new(10 << 10);
        let (mut one, mut other) = (budget.join(), budget.join());
        let charged = one.charge(peer(1), 0, 4 << 10);
        assert_eq!(other.charge(peer(2), 0, 6000), 6 << 10);
        assert_eq!((one.to_shed(MOVES), other.to_shed(MOVES)), (None, None));
        assert_eq!(one.charge(peer(1), charged, (4 << 10) + 1), 5 << 10);
        assert_eq!(one.to_shed(MOVES), None);
        assert_eq!(other.to_shed(MOVES), Some(peer(2)));
        other.charge(peer(2), 6 << 10, 0);
        assert_eq!(budget.used(), 5 << 10);
        drop((one, other));
        assert_eq!((budget.used(), budget.0.holders.load(Ordering::Relaxed)), (0, 0));
    }

    #[test]
    fn one_that_stands_still_goes_before_a_larger_one() {
        let budget = Budget::new(100 << 10);
        let mut account = budget.join();
        for (number, kib) in [(1, 60), (2, 30), (3, 20)] {
            account.charge(peer(number), 0, kib << 10);
        }
        assert_eq!(account.to_shed(MOVES), Some(peer(1)));
        assert_eq!(account.to_shed(|connection| connection != peer(1)), Some(peer(2)), "the larger of those still");
    }

    #[test]
    fn a_fair_share_is_never_closed_for_and_keeps_its_gossip() {
        let budget = Budget::new(100 << 10);
        let mut account = budget.join();
        // Half of the limit by five holders is 10 KiB.
        let greedy = account.charge(peer(0), 0, 70 << 10);
        let modest: Vec<_> = (1..5).map(|number| account.charge(peer(number), 0, 10 << 10)).collect();
        let all_still = |_| true;
        assert_eq!(account.to_shed(all_still), Some(peer(0)));
        assert!(account.is_tight_for(greedy) && !account.is_tight_for(modest[0]));
        account.charge(peer(0), greedy, 0);
        assert_eq!(account.to_shed(all_still), None);
        // What belongs to no connection is nobody's fault.
        let held = budget.hold(90 << 10);
        assert!(account.is_spent());
        assert_eq!(account.to_shed(all_still), None);
        drop(held);
        assert_eq!(budget.used(), 40 << 10);
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
                    wrongly += usize::from(small.to_shed(MOVES).is_some());
                }
                seen.store(round, Ordering::Release);
                wait_for(&shrunk, round);
            }
        });
        assert_eq!(wrongly, 0);
    }
}
