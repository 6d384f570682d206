//! Holds the settings of the network's section (Hello spec, section 8).

use crate::wire::AGENT_BYTES_MAX;
use alloc::string::String;
use alloc::vec::Vec;
use core::time::Duration;
use polypeer_engine::Target;
use polypeer_engine::kit::chain::Hash;
use serde::{Deserialize, Serialize};

/// The port that nodes listen on when nothing else is said.
pub const PORT: u16 = 7444;

/// A node's settings, those of the spec's section 8 under the same names.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Config {
    /// The chain's first block. Whoever names another one is a stranger.
    pub genesis: Hash,
    /// What we call our software: printable ASCII, at most 128 bytes.
    pub agent: String,
    /// Where a node finds its first peers.
    pub seeds: Vec<Target>,
    /// Bytes of a line once the handshake is complete, `\n` included. Below 6.2 MB the largest blocks cannot pass.
    pub line_bytes_max: usize,
    /// Bytes of all lines in the making together; when they are spent the longest one ends its connection.
    pub line_budget_bytes: usize,
    /// The slip at one time that ends the connection.
    pub slips_max: u32,
    /// How long the whole handshake may take.
    pub handshake_timeout: Duration,
    /// After so long without a line the peer is asked whether it is there.
    pub liveness_interval: Duration,
    /// After so long without an answer another peer is asked.
    pub request_timeout: Duration,
    /// How often waiting transactions and newest blocks are compared with each peer.
    pub reconcile_interval: Duration,
    /// Blocks asked for to catch up and not here yet, over all peers.
    pub blocks_in_flight: usize,
    /// How often addresses are told to each peer.
    pub address_interval: Duration,
}

impl Config {
    /// The defaults, for the chain that begins with this block.
    pub fn new(genesis: Hash) -> Self {
        Self {
            genesis,
            agent: String::from(concat!("polypeer/", env!("CARGO_PKG_VERSION"))),
            seeds: Vec::new(),
            line_bytes_max: 8 << 20,
            line_budget_bytes: 64 << 20,
            slips_max: 20,
            handshake_timeout: Duration::from_secs(5),
            liveness_interval: Duration::from_secs(60),
            request_timeout: Duration::from_secs(10),
            reconcile_interval: Duration::from_secs(60),
            blocks_in_flight: 128,
            address_interval: Duration::from_secs(600),
        }
    }
}

/// What of `agent` goes on the wire: its printable ASCII, as far as it fits.
pub(crate) fn printable(agent: &str) -> String {
    agent.chars().filter(|character| matches!(character, ' '..='~')).take(AGENT_BYTES_MAX).collect()
}
