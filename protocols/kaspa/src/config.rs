//! Holds the settings of the network's section.

use crate::ledger::Hash;
use alloc::string::String;
use alloc::vec::Vec;
use core::time::Duration;
use polypeer_engine::Target;
use serde::{Deserialize, Serialize};

/// A node's settings.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Config {
    /// The network as Version names it, `kaspa-simnet` for one (Kaspa spec, section 1.5).
    pub network: String,
    /// The chain's first block.
    pub genesis: Hash,
    /// The port that nodes listen on when nothing else is said.
    pub port: u16,
    /// Where a node finds its first peers.
    pub seeds: Vec<Target>,
    /// What we call our software, in BIP-14 style.
    pub agent: String,
    /// The highest block level; a pruning point proof has one level more (Kaspa spec, section 4.6.6).
    pub block_level_max: u8,
    /// Blocks that the network makes a second.
    pub blocks_per_second: u32,
    /// How long the exchange of Version and Verack may take (Kaspa spec, section 3.1).
    pub version_timeout: Duration,
    /// How long the peer's Ready may take after that.
    pub ready_timeout: Duration,
    /// How long an answer may take (Kaspa spec, section 4.0).
    pub answer_timeout: Duration,
    /// How often each peer is pinged (Kaspa spec, section 4.2).
    pub ping_interval: Duration,
    /// A node whose newest block is older than this is catching up (Kaspa spec, section 4.5).
    pub synced_age: Duration,
    /// Whether long messages go out with gzip, to peers that take it.
    pub compress: bool,
    /// What the source document bans for, and this operator too.
    pub bans: Bans,
}

/// Which of the source document's bans apply. Today's network bans for none of them: an honest node prunes blocks and
/// drops transactions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bans {
    /// For asking for a block that is not held.
    pub unknown_block: bool,
    /// For asking for a transaction that does not wait.
    pub unknown_transaction: bool,
    /// For a transaction whose form is wrong.
    pub invalid_transaction: bool,
    /// For a Pong with another nonce.
    pub wrong_pong: bool,
}

impl Config {
    /// The defaults, for this network.
    pub fn new(network: &str, genesis: Hash, port: u16) -> Self {
        Self {
            network: network.into(),
            genesis,
            port,
            seeds: Vec::new(),
            agent: concat!("/polypeer:", env!("CARGO_PKG_VERSION"), "/").into(),
            block_level_max: 250,
            blocks_per_second: 10,
            version_timeout: Duration::from_secs(4),
            ready_timeout: Duration::from_secs(8),
            answer_timeout: Duration::from_secs(120),
            ping_interval: Duration::from_secs(120),
            synced_age: Duration::from_secs(661),
            compress: true,
            bans: Bans::default(),
        }
    }
}
