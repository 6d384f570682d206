//! Holds the settings of the network's section.

use crate::keys::PeerId;
use alloc::string::String;
use alloc::vec::Vec;
use core::time::Duration;
use polypeer_engine::Target;
use polypeer_engine::kit::chain::Hash;
use serde::{Deserialize, Serialize};

/// A node's settings. The key that belongs to [`Config::peer_id`] is not among them: the host shakes hands with it, and
/// the ledger signs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Config {
    /// Who this node is.
    pub peer_id: PeerId,
    /// 64 lower-case hex characters that stand for genesis, circuits and protocol versions (Mina spec, section 1.3). The
    /// private network's key follows from it, so that nodes of another chain hear noise.
    pub chain_id: String,
    /// The port that nodes listen on when nothing else is said.
    pub port: u16,
    /// Where a node finds its first peers.
    pub seeds: Vec<Named>,
    /// Who the operator expects where, of those that were named with a `/p2p/` part. Whoever else is met there is let go.
    pub expected: Vec<Named>,
    /// What we call our software in identify.
    pub agent: String,
    /// The first block's state hash, as it stands on the wire. A block that names another is refused (section 6.4).
    pub genesis: Hash,
    /// The constants that every block repeats.
    pub constants: Constants,
    /// Transaction, network and patch version. Blocks of another transaction version are refused (section 6.4).
    pub protocol_version: [u32; 3],
    /// What becomes of a block that decodes, keeps the cheap rules and whose proof nobody here checked.
    pub unverified_blocks: Unverified,
    /// The same for transactions and SNARK work, whose signatures and proofs nobody here checked.
    pub unverified_diffs: Unverified,
    /// How long one may be held for a second peer that sends it too.
    pub held_for: Duration,
    /// Whether what is our own goes to every peer that subscribed, and not to those of the mesh only.
    pub flood_publish: bool,
    /// Whether the gossip mesh scores its peers. The network's own nodes do not (section 3.6).
    pub is_scoring: bool,
    /// Whether the ledger answers questions about accounts and pending work: else they are not on our menu.
    pub serves_ledgers: bool,
    /// Whether peers that show their state are asked for it, once. It is for people.
    pub asks_status: bool,
    /// How long a peer may take from the connection to both identify messages and open streams.
    pub ready_timeout: Duration,
    /// How often each peer is pinged.
    pub ping_interval: Duration,
    /// How long an answer to a ping may take. Peers that do not speak ping are not asked.
    pub ping_timeout: Duration,
    /// A peer from which nothing came for so long is gone.
    pub silence_max: Duration,
    /// How often each peer may be asked for its best tip.
    pub best_tip_interval: Duration,
    /// How long a peer may take over an answer before another is asked (section 5.2).
    pub answer_timeout: Duration,
}

/// Someone whom an operator or a preset names.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Named {
    /// Where.
    pub target: Target,
    /// Who, when it is said.
    pub peer_id: Option<PeerId>,
}

/// What every block of a network says alike (Mina spec, sections 1.3 and 6.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Constants {
    /// Blocks until one is final.
    pub k: u32,
    /// Slots of an epoch.
    pub slots_per_epoch: u32,
    /// Slots of one of the eleven parts of the window in which density is measured.
    pub slots_per_sub_window: u32,
    /// Slots after genesis in which density is not judged.
    pub grace_slots: u32,
    /// Slots that a block may be late.
    pub delta: u32,
    /// Milliseconds since 1970.
    pub genesis_timestamp_ms: u64,
    /// Milliseconds of a slot. Not on the wire; all known networks have three minutes.
    pub slot_ms: u64,
}

/// What is done with a message that is well formed and that nobody here can verify.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Unverified {
    /// It is sent on: right where nobody makes proofs, risky elsewhere, as whoever forwards a forged one is blamed.
    Forward,
    /// It is sent on when two peers of different network groups have sent it.
    #[default]
    SecondPeer,
    /// It is not sent on.
    Never,
}

impl Config {
    /// The defaults, for this network and this node.
    pub fn new(peer_id: PeerId, chain_id: &str, genesis: Hash, constants: Constants) -> Self {
        Self {
            peer_id,
            chain_id: chain_id.into(),
            port: 8_302,
            seeds: Vec::new(),
            expected: Vec::new(),
            agent: concat!("polypeer/", env!("CARGO_PKG_VERSION")).into(),
            genesis,
            constants,
            protocol_version: [3, 0, 0],
            unverified_blocks: Unverified::SecondPeer,
            unverified_diffs: Unverified::SecondPeer,
            held_for: Duration::from_secs(30),
            flood_publish: true,
            is_scoring: false,
            serves_ledgers: false,
            asks_status: true,
            ready_timeout: Duration::from_secs(15),
            ping_interval: Duration::from_secs(15),
            ping_timeout: Duration::from_secs(20),
            silence_max: Duration::from_secs(60),
            best_tip_interval: Duration::from_secs(60),
            answer_timeout: Duration::from_secs(15),
        }
    }

    /// A network of one's own, on which no block has a proof: everything well formed is sent on.
    pub fn without_proofs(self) -> Self {
        Self { unverified_blocks: Unverified::Forward, unverified_diffs: Unverified::Forward, ..self }
    }

    /// The name under which nodes of the chain find each other (section 1.2).
    pub fn rendezvous(&self) -> String {
        alloc::format!("/coda/0.0.1/{}", self.chain_id)
    }

    /// The private network's key (section 1.2).
    pub fn network_key(&self) -> [u8; 32] {
        let digest = blake2b_simd::Params::new().hash_length(32).hash(self.rendezvous().as_bytes());
        let mut key = [0; 32];
        key.copy_from_slice(digest.as_bytes());
        key
    }

    /// Who is expected at this place.
    pub(crate) fn expected_at(&self, target: &Target) -> Option<PeerId> {
        let named = self.expected.iter().chain(&self.seeds).find(|named| named.target == *target);
        named.and_then(|named| named.peer_id)
    }
}

impl Constants {
    /// Those of mainnet since June 2024.
    pub const MAINNET: Self = Self { genesis_timestamp_ms: 1_717_545_600_000, ..Self::DEVNET };
    /// Those of the public devnet since April 2024.
    pub const DEVNET: Self = Self {
        k: 290,
        slots_per_epoch: 7_140,
        slots_per_sub_window: 7,
        grace_slots: 2_160,
        delta: 0,
        genesis_timestamp_ms: 1_712_696_400_000,
        slot_ms: 180_000,
    };

    /// When a slot of this chain, counted from its genesis, begins, in milliseconds since 1970.
    pub fn slot_begins_ms(&self, slot: u32) -> u64 {
        self.genesis_timestamp_ms.saturating_add(u64::from(slot).saturating_mul(self.slot_ms))
    }

    /// The slot of this chain at this time; nothing before genesis.
    pub fn slot_at_ms(&self, unix_ms: u64) -> Option<u32> {
        let since = unix_ms.checked_sub(self.genesis_timestamp_ms)?;
        u32::try_from(since / self.slot_ms.max(1)).ok()
    }
}
