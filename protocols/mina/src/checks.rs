//! Judges blocks and diffs by what is cheap, before anything is sent on (Mina spec, section 6.4).
//!
//! | check | else |
//! |---|---|
//! | envelope, and every byte decodes | reject, see [`crate::envelope::EnvelopeError::is_fault`] |
//! | the configured genesis, and the configured constants | reject |
//! | the transaction part of the version | reject |
//! | the delta proof leads to the previous state hash | reject |
//! | the timestamp is that of the slot | reject |
//! | the body reference is that of the body | reject |
//! | the slot is at most one in the future | ignore |
//! | by gossip: the slot is not over for longer than delta | ignore |
//! | work has one proof for each statement, and of just that | reject |
//!
//! What is not checked here: whether the state hash is new, which the relay knows; proofs and signatures, which nobody
//! here can check.

use crate::block::{Block, Constants, Header};
use crate::config;
use crate::hash::{Hash, body_reference, state_hash, state_hash_above};
use crate::ledger::Origin;
use crate::snark::SnarkDiff;
use core::fmt;

/// What all blocks of a network have alike.
#[derive(Clone, Copy, Debug)]
pub struct Rules {
    /// The state hash of the network's first block.
    pub genesis: Hash,
    /// What every block repeats.
    pub constants: config::Constants,
    /// The transaction part of the protocol version.
    pub transaction_version: u32,
}

/// Why a block or a diff is not sent on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Objection {
    /// It is of another network.
    Genesis,
    /// It has other constants than the network.
    Constants,
    /// It speaks another version of transactions.
    Version,
    /// Its delta proof does not lead to the block below.
    DeltaProof,
    /// Its time is not that of its slot.
    Timestamp,
    /// Its body is another than its state says.
    BodyReference,
    /// Its slot is still to come.
    Future,
    /// Its slot is over.
    Late,
    /// Work whose proofs are of something else.
    Statement,
}

impl Objection {
    /// Whether whoever sent it could have known, and is to be blamed. Else it is ignored.
    pub fn is_fault(self) -> bool {
        !matches!(self, Self::Future | Self::Late)
    }
}

impl fmt::Display for Objection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Genesis => "wrong genesis",
            Self::Constants => "wrong constants",
            Self::Version => "wrong transaction version",
            Self::DeltaProof => "wrong delta proof",
            Self::Timestamp => "time is not the slot's",
            Self::BodyReference => "wrong body reference",
            Self::Future => "slot is in the future",
            Self::Late => "slot is over",
            Self::Statement => "proof of another statement",
        })
    }
}

impl core::error::Error for Objection {}

impl Rules {
    /// The rules of a configured network.
    pub fn of(config: &config::Config) -> Self {
        let [transaction_version, ..] = config.protocol_version;
        Self { genesis: config.genesis, constants: config.constants, transaction_version }
    }

    /// Judges a block. Time is in milliseconds since 1970. Faults come before what is ignored, and hashes last.
    pub fn check_block(&self, block: &Block<'_>, unix_ms: u64, origin: Origin) -> Result<(), Objection> {
        self.check_header(&block.header, unix_ms, origin)?;
        let blockchain = &block.header.state.body.blockchain;
        ensure(body_reference(block.body.bytes()).0 == blockchain.body_reference, Objection::BodyReference)
    }

    /// Judges a block's header.
    pub fn check_header(&self, header: &Header<'_>, unix_ms: u64, origin: Origin) -> Result<(), Objection> {
        let body = &header.state.body;
        // The first block cannot name itself.
        let is_of_network = body.genesis.0 == self.genesis.0 || state_hash(&header.state) == self.genesis;
        ensure(is_of_network, Objection::Genesis)?;
        ensure(body.constants == self.constants(), Objection::Constants)?;
        ensure(body.consensus.slots_per_epoch == self.constants.slots_per_epoch, Objection::Constants)?;
        ensure(header.version.transaction == self.transaction_version, Objection::Version)?;
        let slot = body.consensus.slot.0;
        ensure(body.blockchain.timestamp == self.constants.slot_begins_ms(slot), Objection::Timestamp)?;
        ensure(self.is_delta_proof(header), Objection::DeltaProof)?;
        self.check_slot(slot, unix_ms, origin)
    }

    // Before genesis slot 0 is still to come, and may be one slot early as others may.
    fn check_slot(&self, slot: u32, unix_ms: u64, origin: Origin) -> Result<(), Objection> {
        let soonest = self.constants.slot_at_ms(unix_ms.saturating_add(self.constants.slot_ms));
        ensure(soonest.is_some_and(|soonest| slot <= soonest), Objection::Future)?;
        let now = self.constants.slot_at_ms(unix_ms).unwrap_or_default();
        let is_late = now > slot.saturating_add(self.constants.delta);
        ensure(origin == Origin::Sync || !is_late, Objection::Late)
    }

    fn is_delta_proof(&self, header: &Header<'_>) -> bool {
        let proof = &header.delta_proof;
        let is_short = proof.bodies.len() <= self.constants.delta as usize;
        is_short
            && proof.bodies.iter().fold(proof.from, |hash, body| state_hash_above(&hash, &body))
                == header.state.previous
    }

    /// The constants as a block of the network has them.
    pub fn constants(&self) -> Constants {
        let config::Constants { k, slots_per_epoch, slots_per_sub_window, grace_slots, delta, .. } = self.constants;
        let genesis_timestamp = self.constants.genesis_timestamp_ms;
        Constants { k, slots_per_epoch, slots_per_sub_window, grace_slots, delta, genesis_timestamp }
    }
}

/// Judges gossiped work.
pub fn check_snark_work(diff: &SnarkDiff<'_>) -> Result<(), Objection> {
    match diff {
        SnarkDiff::AddSolvedWork(work) => ensure(work.is_consistent(), Objection::Statement),
        SnarkDiff::Empty => Ok(()),
    }
}

fn ensure(is_so: bool, objection: Objection) -> Result<(), Objection> {
    if is_so { Ok(()) } else { Err(objection) }
}
