//! Holds a tracker's settings.

use alloc::string::String;
use core::time::Duration;
use polypeer_engine::{Address, P2pConfig};
use serde::{Deserialize, Serialize};

/// The port that trackers listen on when nothing else is said.
pub const PORT: u16 = 7440;
/// Connections on their way in beside those that a tracker holds, so that it is the tracker that chooses who leaves.
const SPARE: u32 = 256;

/// A tracker's settings; those that a node has too have the same names and defaults.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Config {
    /// What we call our software.
    pub agent: String,
    /// How often members are asked whether they are there; also the unit of freshness and of proof.
    pub interval: Duration,
    /// Connections: three quarters of the open-file limit. Above it the longest silent one leaves.
    pub connections_max: u32,
    /// Bytes of a line once the handshake is complete, `\n` included.
    pub line_bytes_max: usize,
    /// Bytes of all lines in the making together.
    pub line_budget_bytes: usize,
    /// The slip at one time that ends the connection.
    pub slips_max: u32,
    /// How long the whole handshake may take.
    pub handshake_timeout: Duration,
    /// After so long without a line a guest that is no member is asked whether it is there.
    pub liveness_interval: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            agent: String::from(concat!("polypeer-tracker/", env!("CARGO_PKG_VERSION"))),
            interval: Duration::from_secs(30),
            connections_max: 20_000,
            line_bytes_max: 8 << 20,
            line_budget_bytes: 64 << 20,
            slips_max: 20,
            handshake_timeout: Duration::from_secs(5),
            liveness_interval: Duration::from_secs(60),
        }
    }
}

/// What a tracker needs of the shell: as many connections as it may hold, 64 from one address, and no peers of its own.
pub fn p2p(listen: Option<Address>, config: &Config) -> P2pConfig {
    P2pConfig {
        listen,
        outbound_target: 0,
        inbound_max: config.connections_max.saturating_add(SPARE),
        inbound_per_ip_max: super::members::PER_IP_MAX as u32,
        // Everyone is a guest here, and a private network is in one group: half of the room is left for others.
        inbound_per_group_max: config.connections_max.saturating_add(SPARE) / 2,
        discovery: false,
        private_addresses: true,
        ..P2pConfig::default()
    }
}
