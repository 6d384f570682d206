//! Writes down what a simulation will be: plain data, the same run every time.

use crate::attack::Attack;
use crate::fault::Planned;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// Nodes of one run: what fits into the memory of a large machine.
const NODES_MAX: usize = 10_000;
/// How long a run may last in the world's time: a month.
const LASTS_MAX: Duration = Duration::from_secs(31 * 24 * 60 * 60);
/// Faults of one plan: a partition is two for each pair that it parts.
const FAULTS_MAX: usize = 500_000;
/// How often a producer makes a block at the most: ten times as often as any network whose blocks have one parent.
const BLOCK_INTERVAL_MS_MIN: u64 = 100;
/// What all authors together publish at the most: the thousand a second that one peer may send.
const TRANSACTIONS_PER_MINUTE_MAX: u32 = 60_000;

/// Everything that decides a run but the code.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// The scenario that made it.
    pub scenario: String,
    /// The protocol that its nodes speak.
    pub protocol: String,
    /// Seeds the world, and with it every engine, ledger and attacker.
    pub seed: u64,
    /// The map that places nodes; see [`crate::Map::named`].
    pub map: String,
    /// Nodes, hostile ones included.
    pub nodes: usize,
    /// How they find each other.
    pub shape: Shape,
    /// How long things happen, in milliseconds. Then every fault is mended, and [`Plan::settle_ms`] follows.
    pub lasts_ms: u64,
    /// When the last nodes join, one entry each, in milliseconds; the others are there from the beginning.
    pub joins_ms: Vec<u64>,
    /// Who is hostile, and how.
    pub hostile: Vec<Hostile>,
    /// What goes wrong.
    pub faults: Vec<Planned>,
    /// What is published.
    pub work: Work,
    /// How long after its publication a thing must have come to a node whom nothing keeps from getting it, in
    /// milliseconds.
    pub deadline_ms: u64,
    /// Of a thousand such deliveries so many must be in time.
    pub in_time_permille: u32,
    /// How long nodes get to agree when all is mended, in milliseconds.
    pub settle_ms: u64,
}

/// A hostile node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Hostile {
    /// Its number.
    pub node: usize,
    /// What it does.
    pub attack: Attack,
}

/// How nodes find each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Shape {
    /// Each is told of a few, and discovers the rest.
    Discovered,
    /// Each keeps a connection to one that came before it and discovers nobody, so that every link counts.
    Tree,
}

/// What is published, and how often.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Work {
    /// Nodes that make blocks: the first ones.
    pub producers: usize,
    /// How often each of them makes one, in milliseconds.
    pub block_interval_ms: u64,
    /// Nodes whose operators publish transactions: the first honest ones, as many as the network has accounts for.
    pub authors: usize,
    /// Transactions in a minute, of all authors together.
    pub transactions_per_minute: u32,
}

/// Why a plan cannot be run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unfit(pub String);

impl std::fmt::Display for Unfit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Unfit {}

impl Plan {
    /// Whether it can be run: everyone named exists, nothing is beyond its limit.
    ///
    /// # Errors
    /// The first thing that is wrong.
    pub fn check(&self) -> Result<(), Unfit> {
        let unfit = |what: &str| Err(Unfit(what.to_owned()));
        let lasts_max = LASTS_MAX.as_millis() as u64;
        let is_node = |node: usize| node < self.nodes;
        if self.nodes < 2 || self.nodes > NODES_MAX {
            return Err(Unfit(format!("a run has 2 to {NODES_MAX} nodes, this one {}", self.nodes)));
        }
        if self.lasts_ms == 0 || self.lasts_ms > lasts_max || self.settle_ms > lasts_max {
            return unfit("a run lasts longer than nothing and at most 31 days");
        }
        if self.joins_ms.len() + 2 > self.nodes {
            return unfit("two nodes are there from the beginning");
        }
        if !self.joins_ms.is_sorted() {
            return unfit("nodes join in the order of their numbers");
        }
        if self.faults.len() > FAULTS_MAX {
            return unfit("too many faults");
        }
        if !self.hostile.iter().all(|hostile| is_node(hostile.node)) {
            return unfit("a hostile node does not exist");
        }
        if !self.faults.iter().all(|planned| planned.fault.nodes().iter().all(|node| is_node(node.0))) {
            return unfit("a fault is about a node that does not exist");
        }
        if self.honest().next().is_none() {
            return unfit("nobody is honest");
        }
        if crate::Map::named(&self.map).is_none() {
            return Err(Unfit(format!("there is no map {}", self.map)));
        }
        if self.in_time_permille > 1_000 {
            return unfit("a share is at most 1000");
        }
        let Work { block_interval_ms, transactions_per_minute, .. } = self.work;
        if block_interval_ms < BLOCK_INTERVAL_MS_MIN || transactions_per_minute > TRANSACTIONS_PER_MINUTE_MAX {
            return Err(Unfit(format!(
                "a producer makes a block every {BLOCK_INTERVAL_MS_MIN} ms at the most, and all authors together at most \
                 {TRANSACTIONS_PER_MINUTE_MAX} transactions a minute"
            )));
        }
        Ok(())
    }

    /// What a node does that is hostile.
    pub fn attack(&self, node: usize) -> Option<Attack> {
        self.hostile.iter().find(|hostile| hostile.node == node).map(|hostile| hostile.attack)
    }

    /// The numbers of those who are honest.
    pub fn honest(&self) -> impl Iterator<Item = usize> + '_ {
        (0..self.nodes).filter(|node| self.attack(*node).is_none())
    }

    /// When a node joins, in milliseconds.
    pub fn join_ms(&self, node: usize) -> u64 {
        let first = self.nodes - self.joins_ms.len();
        node.checked_sub(first).and_then(|late| self.joins_ms.get(late)).copied().unwrap_or(0)
    }

    /// The same with fewer nodes: the last ones are gone, and with them all that is about them.
    pub fn with_nodes(&self, nodes: usize) -> Self {
        let mut plan = self.clone();
        let late = plan.joins_ms.len().saturating_sub(plan.nodes - nodes);
        plan.joins_ms.truncate(late);
        plan.nodes = nodes;
        plan.hostile.retain(|hostile| hostile.node < nodes);
        plan.faults.retain(|planned| planned.fault.nodes().iter().all(|node| node.0 < nodes));
        plan.work.producers = plan.work.producers.min(nodes);
        plan
    }

    /// The same cut short: faults that would come later are gone.
    pub fn with_length(&self, lasts_ms: u64) -> Self {
        let mut plan = self.clone();
        plan.lasts_ms = lasts_ms;
        plan.faults.retain(|planned| planned.at_ms < lasts_ms);
        plan.joins_ms.iter_mut().for_each(|at| *at = (*at).min(lasts_ms));
        plan
    }
}
