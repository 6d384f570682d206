//! Holds what was taken and told, until the commit that makes it durable; and where the last such commit left the ledger.

use crate::dag::{Dag, GENESIS};
use crate::fresh::Fresh;
use crate::node::Number;
use crate::store::{Change, Write};
use bytes::Bytes;
use polypeer_engine::Time;
use polypeer_engine::kit::chain::Hash;
use polypeer_kaspa::ledger::State;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

/// How long what peers brought waits for its commit at most. A commit waits for the disk twice, some milliseconds to
/// tens of them, in which nothing is judged: five a second keep a block waiting rarely. A crash costs that much of what
/// peers still have, and the operator sees a block that much later.
const WAIT_MAX: Duration = Duration::from_millis(200);
/// Bytes of changes above which they do not wait: four batches of a sync. They are in memory until their commit, also
/// while a full disk takes none.
const BYTES_MAX: u64 = 4 << 20;

/// What was taken of the DAG that is served since the last durable commit, in the order of taking.
#[derive(Clone, Debug, Default)]
pub(crate) struct Unsaved {
    writes: Vec<Write>,
    headers: HashMap<Number, Bytes>,
    bodies: HashMap<Number, Bytes>,
    bytes: u64,
    due: Option<Time>,
}

impl Unsaved {
    /// Takes what a batch did.
    pub(crate) fn extend(&mut self, writes: Vec<Write>, now: Time) {
        for write in &writes {
            let Write::Served(change) = write else { continue };
            self.bytes += change.bytes();
            match change {
                Change::Header { number, header, .. } => drop(self.headers.insert(*number, header.clone())),
                Change::Body { number, body } => drop(self.bodies.insert(*number, body.clone())),
                Change::Lost(_) | Change::Kept { .. } => {}
            }
        }
        self.writes.extend(writes);
        self.due.get_or_insert(now + WAIT_MAX);
    }

    pub(crate) fn writes(&self) -> &[Write] {
        &self.writes
    }

    pub(crate) fn header(&self, number: Number) -> Option<&Bytes> {
        self.headers.get(&number)
    }

    pub(crate) fn body(&self, number: Number) -> Option<&Bytes> {
        self.bodies.get(&number)
    }

    /// Bytes that its commit will add, as the limit of the store counts them.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// When its commit is due; nothing when there is nothing to commit.
    pub(crate) fn due(&self) -> Option<Time> {
        self.due
    }

    /// Whether it is too much to wait.
    pub(crate) fn is_full(&self) -> bool {
        self.bytes >= BYTES_MAX
    }
}

/// What may be shown: where the ledger stood at its last durable commit, and what came after.
#[derive(Debug)]
pub(crate) struct Shown {
    pub(crate) state: State,
    /// Headers that are held, and those of them that wait for their bodies.
    pub(crate) counts: (u64, u64),
    pub(crate) tips: Vec<Hash>,
    pub(crate) sink: Number,
    /// Headers with a lower number are durable.
    pub(crate) count: Number,
    /// Shared with the batch at work.
    pub(crate) unsaved: Arc<Unsaved>,
}

impl Shown {
    /// Of a DAG that is durable as it is.
    pub(crate) fn new(dag: &Dag) -> Self {
        let genesis = dag.node(GENESIS).hash;
        let (sink, header_tip) = (dag.standing(dag.sink()), dag.standing(dag.header_tip()));
        Self {
            state: State { sink, header_tip, pruning_point: dag.node(dag.base()).hash, genesis },
            counts: (u64::from(dag.held_count()), dag.bodiless().len() as u64),
            tips: dag.tips().iter().map(|tip| dag.node(*tip).hash).collect(),
            sink: dag.sink(),
            count: dag.count(),
            unsaved: Arc::default(),
        }
    }

    /// Lets what a batch did wait for its commit.
    pub(crate) fn put_off(&mut self, fresh: Fresh, writes: Vec<Write>, now: Time) {
        // It shares what waits already.
        drop(fresh);
        Arc::make_mut(&mut self.unsaved).extend(writes, now);
    }
}
