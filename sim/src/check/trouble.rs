//! Knows who is in trouble: whose lines are cut, whose host is down, slow or wrong about the time.

use crate::fault::Fault;
use crate::observer::Life;
use crate::world::NodeId;
use std::collections::{BTreeMap, BTreeSet};

/// How long a node may take to be like others again when its trouble is over: the longest back-off of a dial to
/// somebody whom it knows, a handshake, and catching up; in milliseconds.
const RECOVERY_MS: u64 = 60_000;
/// How long a node may take from its start to having found others; in milliseconds.
const ARRIVAL_MS: u64 = 25_000;
/// How long it may take to notice that a connection is half open: silence, a ping, its time limit; in milliseconds.
const HALF_OPEN_MS: u64 = 120_000;

/// The troubles of all nodes.
#[derive(Debug)]
pub(crate) struct Troubles {
    // By node: from when to when, in milliseconds, recovery included.
    past: Vec<Vec<(u64, u64)>>,
    // What began and has not ended: since when.
    open: BTreeMap<(Kind, usize, usize), u64>,
    last_ms: Option<u64>,
    // Whose disks broke their word: a ledger trusts such a one again only from a new start.
    distrusted: BTreeSet<NodeId>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Line,
    Slow,
    Down,
    Disk,
    Clock,
}

impl Troubles {
    pub(crate) fn new(nodes: usize) -> Self {
        Self { past: vec![Vec::new(); nodes], open: BTreeMap::new(), last_ms: None, distrusted: BTreeSet::new() }
    }

    /// From when on a node that joins then is one of all, in milliseconds.
    pub(crate) const fn arrived_ms(&self, joins_ms: u64) -> u64 {
        joins_ms + if joins_ms == 0 { ARRIVAL_MS } else { RECOVERY_MS }
    }

    /// A fault was injected.
    pub(crate) fn fault(&mut self, at_ms: u64, fault: &Fault) {
        match *fault {
            Fault::Cut { a, b } | Fault::OneWay { from: a, to: b } => self.begin(at_ms, Kind::Line, a, b),
            Fault::Mend { a, b } => self.end(at_ms, Kind::Line, a, b),
            Fault::HalfOpen { gone, stays } => self.pass(at_ms, HALF_OPEN_MS, &[gone, stays]),
            Fault::Break { a, b } => self.pass(at_ms, 0, &[a, b]),
            Fault::Slow { node, bytes_per_second: 0 } => self.end(at_ms, Kind::Slow, node, node),
            Fault::Slow { node, .. } => self.begin(at_ms, Kind::Slow, node, node),
            Fault::Stall { node, for_ms } => self.pass(at_ms, for_ms, &[node]),
            Fault::Crash { node, .. } => self.begin(at_ms, Kind::Down, node, node),
            Fault::Restart { .. } => {}
            Fault::DiskFull { node, .. } => self.begin(at_ms, Kind::Disk, node, node),
            Fault::DiskError { node, .. } => {
                self.distrusted.insert(node);
                self.begin(at_ms, Kind::Disk, node, node);
            }
            Fault::DiskFree { node } => self.end(at_ms, Kind::Disk, node, node),
            Fault::ClockOffset { node, ms: 0 } | Fault::ClockRate { node, percent: 100 } => {
                self.end(at_ms, Kind::Clock, node, node);
            }
            Fault::ClockOffset { node, .. } | Fault::ClockFrozen { node } | Fault::ClockRate { node, .. } => {
                self.begin(at_ms, Kind::Clock, node, node);
            }
        }
    }

    /// A node started or died.
    pub(crate) fn life(&mut self, at_ms: u64, node: NodeId, life: Life) {
        match life {
            Life::Started => self.end(at_ms, Kind::Down, node, node),
            Life::Failed | Life::Crashed => self.begin(at_ms, Kind::Down, node, node),
        }
    }

    /// Whether anything was in trouble lately.
    pub(crate) fn has_been(&self, at_ms: u64) -> bool {
        !self.open.is_empty() || self.last_ms.is_some_and(|last| last >= at_ms)
    }

    /// Whether this node's disks may refuse.
    pub(crate) fn has_sick_disk(&self, node: NodeId) -> bool {
        self.open.contains_key(&(Kind::Disk, node.0, node.0))
    }

    /// Whether this node was in trouble at some moment between these, or had not recovered from it.
    pub(crate) fn is_troubled(&self, node: usize, from_ms: u64, to_ms: u64) -> bool {
        let is_open = |((_, a, b), since): (&(Kind, usize, usize), &u64)| (*a == node || *b == node) && *since <= to_ms;
        self.past[node].iter().any(|(begin, end)| *begin <= to_ms && *end >= from_ms) || self.open.iter().any(is_open)
    }

    /// What has to be done so that nothing is in trouble any more.
    pub(crate) fn remedies(&self) -> Vec<Fault> {
        let remedy = |(kind, a, b): &(Kind, usize, usize)| {
            let (node, other) = (NodeId(*a), NodeId(*b));
            match kind {
                Kind::Line => vec![Fault::Mend { a: node, b: other }],
                Kind::Slow => vec![Fault::Slow { node, bytes_per_second: 0 }],
                Kind::Down => vec![Fault::Restart { node }],
                Kind::Disk => vec![Fault::DiskFree { node }],
                Kind::Clock => vec![Fault::ClockRate { node, percent: 100 }, Fault::ClockOffset { node, ms: 0 }],
            }
        };
        // Disks and clocks first, so that whoever starts again finds them well.
        let mut keys: Vec<_> = self.open.keys().copied().collect();
        keys.sort_by_key(|(kind, ..)| *kind == Kind::Down);
        let again = |node: &NodeId| {
            let node = *node;
            [Fault::Crash { node, lose_unsynced: false, torn: false }, Fault::Restart { node }]
        };
        keys.iter().flat_map(remedy).chain(self.distrusted.iter().flat_map(again)).collect()
    }

    fn begin(&mut self, at_ms: u64, kind: Kind, a: NodeId, b: NodeId) {
        self.open.entry((kind, a.0.min(b.0), a.0.max(b.0))).or_insert(at_ms);
    }

    fn end(&mut self, at_ms: u64, kind: Kind, a: NodeId, b: NodeId) {
        if let Some(since) = self.open.remove(&(kind, a.0.min(b.0), a.0.max(b.0))) {
            self.pass(since, at_ms.saturating_sub(since), &[a, b]);
        }
    }

    fn pass(&mut self, at_ms: u64, lasts_ms: u64, nodes: &[NodeId]) {
        let end = at_ms.saturating_add(lasts_ms).saturating_add(RECOVERY_MS);
        for node in nodes {
            self.past[node.0].push((at_ms, end));
        }
        self.last_ms = self.last_ms.max(Some(end));
    }
}
