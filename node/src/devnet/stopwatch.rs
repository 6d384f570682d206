//! Measures how long a block or transaction takes from the first node to each of the others.

use crate::networks::{Arrival, Arrivals};
use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Arrivals that are followed at one time, about 100 bytes each. One that not every node got leaves at last.
const FOLLOWED_MAX: usize = 65_536;
/// Steps of a delay's scale to a doubling: a quantile is off by 3 % at most.
const STEPS: usize = 16;
/// Doublings from a microsecond: more than an hour.
const DOUBLINGS: usize = 33;

/// What all nodes of a network share.
#[derive(Debug, Default)]
pub(super) struct Stopwatch(Mutex<Board>);

#[derive(Debug, Default)]
struct Board {
    followed: HashMap<Arrival, Seen>,
    order: VecDeque<Arrival>,
    blocks: Delays,
    transactions: Delays,
}

#[derive(Debug)]
struct Seen {
    first: Instant,
    // One bit a node.
    nodes: u64,
}

/// One node's hand on the stopwatch.
pub(super) struct Hand {
    pub(super) stopwatch: Arc<Stopwatch>,
    pub(super) node: usize,
}

impl Arrivals for Hand {
    fn arrived(&self, arrival: Arrival) {
        self.stopwatch.lock().arrived(arrival, self.node, Instant::now());
    }
}

impl Stopwatch {
    /// The median and the 99th percentile of blocks, then of transactions.
    pub(super) fn quantiles(&self) -> [[Option<Duration>; 2]; 2] {
        let board = self.lock();
        [&board.blocks, &board.transactions].map(|delays| [delays.quantile(0.5), delays.quantile(0.99)])
    }

    fn lock(&self) -> MutexGuard<'_, Board> {
        // Nothing in here leaves the board half changed.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Board {
    fn arrived(&mut self, arrival: Arrival, node: usize, now: Instant) {
        let bit = 1 << (node % 64);
        let Some(seen) = self.followed.get_mut(&arrival) else {
            if self.order.len() == FOLLOWED_MAX
                && let Some(oldest) = self.order.pop_front()
            {
                self.followed.remove(&oldest);
            }
            self.followed.insert(arrival, Seen { first: now, nodes: bit });
            self.order.push_back(arrival);
            return;
        };
        if seen.nodes & bit == 0 {
            seen.nodes |= bit;
            let delay = now.saturating_duration_since(seen.first);
            match arrival {
                Arrival::Block(_) => self.blocks.add(delay),
                Arrival::Transaction(_) => self.transactions.add(delay),
            }
        }
    }
}

/// Counts of delays on a scale of even ratios.
#[derive(Debug)]
struct Delays {
    counts: Vec<u64>,
    total: u64,
}

impl Default for Delays {
    fn default() -> Self {
        Self { counts: vec![0; STEPS * DOUBLINGS], total: 0 }
    }
}

impl Delays {
    fn add(&mut self, delay: Duration) {
        let micros = (delay.as_secs_f64() * 1e6).max(1.0);
        let step = (micros.log2() * STEPS as f64) as usize;
        self.counts[step.min(STEPS * DOUBLINGS - 1)] += 1;
        self.total += 1;
    }

    fn quantile(&self, share: f64) -> Option<Duration> {
        let rank = (self.total as f64 * share).ceil().max(1.0) as u64;
        let mut sum = 0;
        let reaches = |count: &u64| {
            sum += count;
            sum >= rank
        };
        let step = self.counts.iter().position(reaches).filter(|_| self.total > 0)?;
        Some(Duration::from_secs_f64(2f64.powf((step as f64 + 0.5) / STEPS as f64) / 1e6))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_close() {
        let mut delays = Delays::default();
        assert_eq!(delays.quantile(0.5), None);
        (1..=1000).for_each(|millis| delays.add(Duration::from_millis(millis)));
        for (share, millis) in [(0.5, 500.0), (0.99, 990.0)] {
            let found = delays.quantile(share).unwrap().as_secs_f64() * 1000.0;
            assert!((found / millis - 1.0).abs() < 0.05, "{share}: {found}");
        }
    }

    #[test]
    fn each_other_node_counts_once() {
        let mut board = Board::default();
        let (start, later) = (Instant::now(), Instant::now() + Duration::from_millis(8));
        let block = Arrival::Block([1; 32]);
        board.arrived(block, 0, start);
        for node in [1, 1, 0, 2] {
            board.arrived(block, node, later);
        }
        assert_eq!((board.blocks.total, board.transactions.total), (2, 0));
    }
}
