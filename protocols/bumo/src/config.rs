//! Holds the settings of the network's section.

use crate::hash::HashType;
use crate::pbft::Timers;
use alloc::string::String;
use alloc::vec::Vec;
use core::time::Duration;
use polypeer_engine::Target;
use serde::{Deserialize, Serialize};

/// A node's settings. Keys are not among them: the ledger signs, and says for whom.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Config {
    /// Must be the same on both sides of a connection (BUMO spec, section 1.3).
    pub network_id: i64,
    /// Which chain: 0 for the main one. Whoever speaks of another is not answered.
    pub chain_id: i64,
    /// The port that nodes listen on when nothing else is said.
    pub port: u16,
    /// Where a node finds its first peers.
    pub seeds: Vec<Target>,
    /// The address of this node's own key, which HELLO carries; a second node with it is refused.
    pub node_address: String,
    /// The hash that ledgers are made with; both sides must have the same, and nothing on the wire says which.
    pub hash: HashType,
    /// What we call our software. Peers store it and check nothing.
    pub version: String,
    /// How far apart ledgers are. It drives proposing and the rule of close times; what consensus waits for scales with
    /// it (BUMO spec, section 7.7).
    pub interval: Duration,
    /// Whether ledgers are an interval apart. Else one follows the other as fast as validators agree, which measures them
    /// and serves nobody.
    pub is_paced: bool,
    /// How often each peer is pinged (BUMO spec, section 1.2).
    pub ping_interval: Duration,
    /// A peer from which nothing came for so long is gone.
    pub silence_max: Duration,
    /// How long a connection may take until HELLO came.
    pub hello_timeout: Duration,
}

/// However short the interval, a peer has so long to read ledgers from its disk and to send them: five may be 40 MB.
const ANSWER_TIME_MIN: Duration = Duration::from_secs(1);

impl Config {
    /// The defaults, for this network and this node.
    pub fn new(network_id: i64, port: u16, node_address: &str) -> Self {
        Self {
            network_id,
            chain_id: 0,
            port,
            seeds: Vec::new(),
            node_address: node_address.into(),
            hash: HashType::Sha256,
            version: "1.3.3".into(),
            interval: Duration::from_secs(10),
            is_paced: true,
            ping_interval: Duration::from_secs(15),
            silence_max: Duration::from_secs(60),
            hello_timeout: Duration::from_secs(10),
        }
    }

    /// What consensus waits for.
    pub(crate) fn timers(&self) -> Timers {
        if self.is_paced { Timers::scaled(self.interval) } else { Timers::without_pause(self.interval) }
    }

    /// After so long without a new ledger every peer is asked for the next one: three intervals, 30 s (BUMO spec,
    /// section 6.2).
    pub(crate) fn poll(&self) -> Duration {
        self.interval.saturating_mul(3)
    }

    /// How long a peer may take over ledgers before another is asked: seven tenths of an interval, 7 s. Refusals are
    /// silent, so this is all that is seen of them (BUMO spec, section 12).
    pub(crate) fn answer_timeout(&self) -> Duration {
        (self.interval.saturating_mul(7) / 10).max(ANSWER_TIME_MIN)
    }

    /// How long a peer is not asked for ledgers that did not bring what it said it had: six intervals, 60 s.
    pub(crate) fn probation(&self) -> Duration {
        self.interval.saturating_mul(6).max(ANSWER_TIME_MIN)
    }

    /// How long to wait before a peer that just became active is asked whether it is ahead: a tenth of an interval, so
    /// that what its greeting brings comes first.
    pub(crate) fn settling(&self) -> Duration {
        self.interval / 10
    }

    /// How often a wish to upgrade is repeated: three intervals, 30 s (BUMO spec, section 8).
    pub(crate) fn wish_interval(&self) -> Duration {
        self.interval.saturating_mul(3)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_sync_waits_for_scales_with_the_interval() {
        let waits = |millis| {
            let config = Config { interval: Duration::from_millis(millis), ..Config::new(1, 1, "") };
            let waits = [config.answer_timeout(), config.probation(), config.poll(), config.settling()];
            waits.map(|wait| wait.as_millis() as u64)
        };
        assert_eq!(waits(10_000), [7_000, 60_000, 30_000, 1_000], "the original's");
        assert_eq!(waits(2_000), [1_400, 12_000, 6_000, 200]);
        // Disks and lines get no quicker.
        assert_eq!(waits(100), [1_000, 1_000, 300, 10]);
    }
}
