//! Lists what goes in and what comes out: the machine's whole border with whoever runs it.

use super::Timers;
use crate::hash::{Hash, HashType};
use crate::keys::ReadyKey;
use bytes::Bytes;

/// A validator's place in the set.
pub type Replica = usize;

/// Checks a signature: key, signed bytes, signature. [`ReadyKey::verify`] outside tests.
pub type Verify = fn(&ReadyKey, &[u8], &[u8]) -> bool;

/// What does not change while a machine runs.
#[derive(Clone, Debug)]
pub struct Settings {
    /// 0 on the main chain.
    pub chain_id: i64,
    /// The ledger hash.
    pub hash: HashType,
    /// How long to wait.
    pub timers: Timers,
    /// Checks signatures.
    pub verify: Verify,
}

impl Settings {
    /// Those of a main chain with SHA-256 and genuine signatures.
    pub fn new(timers: Timers) -> Self {
        Self {
            chain_id: 0,
            hash: HashType::Sha256,
            timers,
            verify: |key, signed, signature| key.verify(signed, signature),
        }
    }
}

/// What the machine wants. All of it is in order, and votes are to become durable in that order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// A value on top of the last ledger. Answered with [`super::Pbft::proposed`].
    Propose,
    /// Whether this value is valid on top of the last ledger. Answered with [`super::Pbft::judged`].
    Judge {
        /// Its hash.
        digest: Hash,
        /// A `ConsensusValue`.
        value: Bytes,
    },
    /// Make `keep` durable, if it is not empty, then sign the bytes. Answered with [`super::Pbft::signed`].
    Sign {
        /// Names the question.
        ticket: u64,
        /// Canonical bytes of a `Pbft`.
        pbft: Bytes,
        /// The vote's record, for [`crate::ledger::Tip::kept`] after a crash. Empty for what binds to nothing: a
        /// repetition, a new view, a view change's outer envelope.
        keep: Bytes,
    },
    /// The value is final. Answered with [`super::Pbft::moved`], or with [`super::Pbft::not_closed`].
    Close {
        /// A `ConsensusValue`.
        value: Bytes,
        /// A `PbftProof`, of commits that were verified when they came.
        proof: Bytes,
    },
    /// For every peer: a `PbftEnv`.
    Broadcast {
        /// Its canonical bytes.
        envelope: Bytes,
        /// Whether it is meant for those also to whom it went before: they may have missed it.
        is_repeat: bool,
    },
    /// A majority committed this ledger and its value is not here, or it is not the next one: it comes by sync only.
    Behind {
        /// The ledger.
        sequence: i64,
    },
    /// A validator signed two values where it has one vote. Whoever relayed it is not to blame.
    Equivocation {
        /// The validator.
        replica: Replica,
        /// Its second vote's sequence.
        sequence: i64,
        /// And view.
        view: i64,
    },
}

/// What became of a message that is not refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seen {
    /// It is genuine and may help others: relay it.
    Fresh,
    /// It changes nothing any more. Its signature may not have been looked at, so it is not relayed.
    Stale,
}

/// Why a message was refused. It is not relayed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ignored {
    /// No `PbftEnv` in canonical form, or not all of it there.
    Malformed,
    /// Of another chain.
    ChainId,
    /// By none of the validators, or in the name of another.
    Stranger,
    /// By this validator itself.
    Own,
    /// Of a view or a ledger that is over.
    Old,
    /// Of a ledger beyond the window, or a view beyond all reason.
    Beyond,
    /// The same as one that came before.
    Duplicate,
    /// The replica has had its vote here.
    Equivocation,
    /// Its sender is not the primary of its view.
    NotPrimary,
    /// The value has another hash than the message says.
    Digest,
    /// A prepared set that shows nothing, or another value than the view change says.
    PreparedSet,
    /// View changes that open no view.
    ViewChanges,
    /// The signature, or one inside, is wrong.
    Signature,
    /// There is no room to keep it until its turn comes.
    Full,
}

impl Ignored {
    /// Whether the peer that sent it is to blame: an honest one checks this much before it relays.
    pub fn is_slip(self) -> bool {
        matches!(
            self,
            Self::Malformed | Self::ChainId | Self::Digest | Self::PreparedSet | Self::ViewChanges | Self::Signature
        )
    }
}
