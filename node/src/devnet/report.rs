//! Says how private networks are doing, and how it ended.

use serde::Serialize;
use std::time::Duration;

/// One network while it runs.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Row {
    /// Its name.
    pub network: String,
    /// Its nodes.
    pub nodes: usize,
    /// Connections that stand, each counted once.
    pub connections: usize,
    /// The lowest and the highest tip.
    pub heights: (u64, u64),
    /// Whether all tips are the same block now.
    pub tips_equal: bool,
    /// Transactions that a node took.
    pub sent: u64,
    /// Transactions that wait, at the node where most do.
    pub waiting: u64,
    /// Messages received by all nodes.
    pub messages: u64,
    /// How long blocks take to each other node.
    pub blocks: Propagation,
    /// How long transactions take to each other node.
    pub transactions: Propagation,
}

/// The median and the 99th percentile, in milliseconds; nothing before the first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Propagation {
    /// The median.
    pub p50_ms: Option<f64>,
    /// The 99th percentile.
    pub p99_ms: Option<f64>,
}

/// How it ended.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Summary {
    /// Network by network.
    pub networks: Vec<Ended>,
}

/// How one network ended.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Ended {
    /// Its name.
    pub network: String,
    /// Its nodes.
    pub nodes: usize,
    /// The height of the first node's tip.
    pub height: u64,
    /// The first node's tip.
    pub tip: String,
    /// Whether all nodes have that tip.
    pub tips_equal: bool,
    /// Transactions that a node took.
    pub sent: u64,
    /// Of those, the ones in the first node's chain.
    pub confirmed: u64,
    /// Of those that were sent, the ones that every node has.
    pub everywhere: u64,
    /// Messages received by all nodes.
    pub messages: u64,
    /// How long blocks took to each other node.
    pub blocks: Propagation,
    /// How long transactions took to each other node.
    pub transactions: Propagation,
    /// What went wrong; empty when nothing did.
    pub faults: Vec<String>,
}

impl Summary {
    /// Whether every network's nodes agree on one chain and every node has every transaction.
    pub fn is_good(&self) -> bool {
        self.networks.iter().all(|network| network.faults.is_empty())
    }
}

impl From<[Option<Duration>; 2]> for Propagation {
    fn from([p50, p99]: [Option<Duration>; 2]) -> Self {
        // A hundredth of a millisecond is finer than the measure.
        let millis = |delay: Duration| (delay.as_secs_f64() * 1e5).round() / 100.0;
        Self { p50_ms: p50.map(millis), p99_ms: p99.map(millis) }
    }
}
