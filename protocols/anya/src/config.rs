//! Holds the settings of a network that speaks AnYa (AnYa spec, section 7).

use crate::wire::{HEADER_BYTES, Limits, NetworkId};
use alloc::vec::Vec;
use core::time::Duration;
use polypeer_engine::kit::chain::Hash;
use polypeer_engine::{Profile, Target, Transport};
use serde::{Deserialize, Serialize};

/// The port that AnYa nodes listen on when nothing else is said.
pub const PORT: u16 = 7333;

/// Answers wait once this many bytes were sent and not yet taken by the peer. Larger than what a peer's 5,000 pings
/// at once are answered with, so that they are answered in one go.
const LOW_WATER_BYTES: usize = 256 << 10;

/// Kept faults that are borne within [`SLIP_FADE`]. The spec asks for five; a newcomer's test of every kept fault on
/// one connection should survive too.
const SLIPS_MAX: u32 = 20;
const SLIP_FADE: Duration = Duration::from_secs(60);

/// What still comes is discarded for at most this long after the last word (section 1).
const LINGER: Duration = Duration::from_secs(3);

/// Which form of `connect` is sent (section 3). Both are always accepted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ConnectForm {
    /// 32 bytes: our own address.
    #[default]
    OwnAddress,
    /// 64 bytes: the receiver's address as we see it, then our own.
    TwoAddresses,
}

/// One AnYa network. `Default` is `anya-devnet`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// The network's name in ASCII, NUL padded. A peer with another one is a stranger.
    pub network_id: NetworkId,
    /// The first block's hash. A peer with another one is a stranger.
    pub genesis: Hash,
    /// The port that this network's nodes listen on when nothing else is said.
    pub default_port: u16,
    /// Where a node finds its first peers.
    pub seeds: Vec<Target>,
    /// From the TCP connection to the handshake's second message; then the connection is closed without a word.
    pub handshake_timeout: Duration,
    /// Without a whole frame for this long the peer is pinged.
    pub liveness_interval: Duration,
    /// Without a whole frame for this long after the ping the connection is closed.
    pub ping_timeout: Duration,
    /// How long the answer to `disconnect` is awaited.
    pub disconnect_timeout: Duration,
    /// How long an answer is awaited before the request is put to another peer.
    pub request_timeout: Duration,
    /// The form of `connect` that is sent.
    pub connect_form: ConnectForm,
    /// Whether `get_mempool` is answered.
    pub serve_mempool: bool,
    /// Whether `get_peers` is answered.
    pub serve_peers: bool,
    /// The longest `tx`, in bytes of payload.
    pub tx_bytes_max: u32,
    /// The longest `block`, in bytes of payload.
    pub block_bytes_max: u32,
    /// The longest `mempool`, in bytes of payload, in both directions.
    pub mempool_bytes_max: u32,
    /// Blocks without a parent that are kept of one peer.
    pub orphans_per_peer_max: u32,
    /// Bytes of blocks without a parent that are kept in all.
    pub orphan_bytes_max: u32,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            network_id: *b"anya-devnet\0\0\0\0\0",
            genesis: Hash([
                0x4e, 0xd5, 0x7f, 0x05, 0x70, 0x09, 0xf6, 0x53, 0xe3, 0x58, 0x4b, 0xd1, 0x89, 0xc3, 0xda, 0x2f, 0x47,
                0x21, 0xfa, 0x07, 0xed, 0xd7, 0xcb, 0x3e, 0xb6, 0x3f, 0xe2, 0xe1, 0x7c, 0xf4, 0x2b, 0xc6,
            ]),
            default_port: PORT,
            seeds: Vec::new(),
            handshake_timeout: Duration::from_secs(5),
            liveness_interval: Duration::from_secs(30),
            ping_timeout: Duration::from_secs(20),
            disconnect_timeout: Duration::from_secs(3),
            request_timeout: Duration::from_secs(10),
            connect_form: ConnectForm::OwnAddress,
            serve_mempool: true,
            serve_peers: true,
            tx_bytes_max: 1 << 20,
            block_bytes_max: 4 << 20,
            mempool_bytes_max: 32 << 20,
            orphans_per_peer_max: 64,
            orphan_bytes_max: 32 << 20,
        }
    }
}

impl Config {
    pub(crate) fn limits(&self) -> Limits {
        Limits {
            tx_bytes_max: self.tx_bytes_max,
            block_bytes_max: self.block_bytes_max,
            mempool_bytes_max: self.mempool_bytes_max,
        }
    }

    pub(crate) fn profile(&self) -> Profile {
        let largest = self.mempool_bytes_max.max(self.block_bytes_max).max(self.tx_bytes_max) as usize + HEADER_BYTES;
        Profile {
            default_port: self.default_port,
            seeds: self.seeds.clone(),
            last_phase: crate::wire::PHASE_OPEN,
            // The largest answer, and what is queued before it is made.
            queue_bytes_max: largest + 2 * LOW_WATER_BYTES,
            low_water_bytes: LOW_WATER_BYTES,
            slips_max: SLIPS_MAX,
            slip_fade: SLIP_FADE,
            linger: LINGER,
            // A frame that drips in ends with the liveness check.
            frame_time_max: None,
            partial_bytes_budget: None,
            transport: Transport::Tcp,
        }
    }
}
