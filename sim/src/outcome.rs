//! Says how a run went: figures, marks by which another run is compared, and what was violated.

use crate::trace::TraceHash;
use crate::world::NodeId;
use serde::{Deserialize, Serialize};

/// How a run went.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outcome {
    /// What must not be, if anything was.
    pub violation: Option<Finding>,
    /// The last mark.
    pub end: Mark,
    /// What was measured.
    pub figures: Figures,
    /// What the run had come to, second by second of its own time.
    #[serde(skip)]
    pub marks: Vec<Mark>,
}

/// What a run had come to at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark {
    /// The world's time in milliseconds.
    pub at_ms: u64,
    /// Steps that engines had taken.
    pub steps: u64,
    /// The hash of all of them.
    pub trace: TraceHash,
}

impl Default for Mark {
    fn default() -> Self {
        Self { at_ms: 0, steps: 0, trace: TraceHash(0) }
    }
}

/// A check that failed: what must not be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// The check's name.
    pub check: String,
    /// At which node, if at one.
    pub node: Option<NodeId>,
    /// When, in milliseconds of the world's time.
    pub at_ms: u64,
    /// After how many steps.
    pub step: u64,
    /// What was found.
    pub what: String,
}

impl std::fmt::Display for Finding {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} failed", self.check)?;
        if let Some(NodeId(node)) = self.node {
            write!(f, " at node {node}")?;
        }
        write!(f, ", {}.{:03} s, step {}: {}", self.at_ms / 1_000, self.at_ms % 1_000, self.step, self.what)
    }
}

/// What was measured. Only honest nodes count.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Figures {
    /// Transactions and blocks that honest nodes published; of the blocks those of the chain that won.
    pub published: u64,
    /// Deliveries of them to a node whom nothing kept from getting them.
    pub deliveries: u64,
    /// Of those, in time.
    pub in_time: u64,
    /// How long the deliveries took that are not late, in milliseconds: half of them at most, 90 %, 99 %, all.
    pub took_ms: [u64; 4],
    /// Deliveries in all, of everything to everyone, at the end.
    pub at_the_end: u64,
    /// Of how many.
    pub at_the_end_of: u64,
    /// How high the chain is that all agree on.
    pub height: u64,
    /// Hostile nodes that an honest node discouraged or banned, each counted once.
    pub blamed: u64,
    /// Discouragements and bans of honest nodes by honest ones.
    pub blamed_falsely: u64,
    /// Frames that were sent.
    pub frames: u64,
    /// Bytes that were sent.
    pub bytes: u64,
    /// Processes that died.
    pub crashes: u64,
}

impl Figures {
    /// Deliveries in time of a million; all when there were none.
    pub fn in_time_ppm(&self) -> u64 {
        (self.in_time * 1_000_000).checked_div(self.deliveries).unwrap_or(1_000_000)
    }
}
