//! Lists what can go wrong in a world, as plain values: a plan of faults is data that can be written down and cut short.

use crate::world::NodeId;
use serde::{Deserialize, Serialize};

/// Something that goes wrong, or right again. A fault that finds nothing to act on does nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fault {
    /// The line between two nodes is cut: connections break, dials time out.
    Cut {
        /// One end.
        a: NodeId,
        /// The other.
        b: NodeId,
    },
    /// The line between two nodes is whole again, both ways: what [`Fault::OneWay`] held up arrives.
    Mend {
        /// One end.
        a: NodeId,
        /// The other.
        b: NodeId,
    },
    /// Bytes from one node to the other are lost without a word while the other way works. Connections stall as TCP
    /// does, and break when it gives up after 15 minutes; dials time out.
    OneWay {
        /// Whose bytes are lost.
        from: NodeId,
        /// Who does not get them.
        to: NodeId,
    },
    /// The connections between two nodes are gone for one of them, and the other believes that they stand: what it
    /// sends reaches nobody.
    HalfOpen {
        /// For whom they are gone.
        gone: NodeId,
        /// Who does not know.
        stays: NodeId,
    },
    /// The connections between two nodes are reset.
    Break {
        /// One end.
        a: NodeId,
        /// The other.
        b: NodeId,
    },
    /// A node reads no faster than this from now on; 0 lifts it.
    Slow {
        /// Who.
        node: NodeId,
        /// Bytes a second over all of its connections.
        bytes_per_second: u64,
    },
    /// A node takes no step for a while, as if its process were stopped, and goes on where it was.
    Stall {
        /// Who.
        node: NodeId,
        /// For how long, in milliseconds.
        for_ms: u64,
    },
    /// A node's process dies.
    Crash {
        /// Who.
        node: NodeId,
        /// The whole machine loses power: of what was not synced only some writes are on the disks, and nobody is told
        /// that the connections are gone until it starts again.
        lose_unsynced: bool,
        /// The writes that are kept are torn at sector boundaries.
        torn: bool,
    },
    /// A node that crashed starts again, on the disks that it left.
    Restart {
        /// Who.
        node: NodeId,
    },
    /// A node's disks take so many bytes more, and then are full.
    DiskFull {
        /// Whose.
        node: NodeId,
        /// Bytes that still fit, on each of its disks.
        after_bytes: u64,
    },
    /// A node's disks have room again, and fail no more.
    DiskFree {
        /// Whose.
        node: NodeId,
    },
    /// A node's disks fail every operation after so many more.
    DiskError {
        /// Whose.
        node: NodeId,
        /// Operations that still succeed, on each of its disks.
        after_operations: u64,
    },
    /// A node's wall clock jumps to this far from the right time, and runs on.
    ClockOffset {
        /// Whose.
        node: NodeId,
        /// Milliseconds, negative for a clock that is behind.
        ms: i64,
    },
    /// A node's wall clock stands still.
    ClockFrozen {
        /// Whose.
        node: NodeId,
    },
    /// A node's wall clock runs fast or slow from what it shows now.
    ClockRate {
        /// Whose.
        node: NodeId,
        /// Its speed; 100 is right.
        percent: u32,
    },
}

/// A fault with its time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Planned {
    /// Milliseconds since the world began.
    pub at_ms: u64,
    /// What happens then.
    pub fault: Fault,
}

impl Fault {
    /// The nodes that it is about.
    pub fn nodes(&self) -> Vec<NodeId> {
        match *self {
            Self::Cut { a, b } | Self::Mend { a, b } | Self::Break { a, b } => vec![a, b],
            Self::OneWay { from, to } => vec![from, to],
            Self::HalfOpen { gone, stays } => vec![gone, stays],
            Self::Slow { node, .. }
            | Self::Stall { node, .. }
            | Self::Crash { node, .. }
            | Self::Restart { node }
            | Self::DiskFull { node, .. }
            | Self::DiskFree { node }
            | Self::DiskError { node, .. }
            | Self::ClockOffset { node, .. }
            | Self::ClockFrozen { node }
            | Self::ClockRate { node, .. } => vec![node],
        }
    }
}
