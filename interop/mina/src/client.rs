//! Speaks Mina's network from the spec, by hand, so that it can also break its rules. Blocking; a thread reads.

pub(crate) mod binprot;
pub(crate) mod gossip;
pub(crate) mod kad;
pub(crate) mod line;
pub(crate) mod peer;
pub(crate) mod protobuf;
pub(crate) mod rpc;

use std::time::Duration;

/// How long anything may take that a node does at once, on a machine that runs forty others.
pub(crate) const PATIENCE: Duration = Duration::from_secs(40);
