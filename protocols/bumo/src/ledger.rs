//! Converses with a ledger: what is asked of it, and what it says.
//!
//! Values, proofs and transactions travel as their canonical bytes, so that what came is what is stored, hashed and
//! served. The ledger holds the private keys: a vote is signed by asking, and whoever answers made it durable before.

use crate::hash::Hash;
use crate::proof::{ProofFault, Validators};
use crate::wire::ErrorCode;
use alloc::string::String;
use alloc::vec::Vec;
use bytes::Bytes;
pub use polypeer_engine::kit::chain::Origin;
use serde::{Deserialize, Serialize};

/// What the protocol asks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Request {
    /// Where the ledger stands; asked once, at the start. Answered with [`Answer::Tip`].
    Tip,
    /// Take this transaction, a `TransactionEnv`, into the pool (BUMO spec, section 9.1). Answered with
    /// [`Answer::Submitted`].
    Submit {
        /// The envelope's bytes.
        envelope: Bytes,
        /// Who brought it: the operator's is told to all with [`Answer::NewTransaction`].
        origin: Origin,
    },
    /// Give the values of these ledgers and the proof of the last (section 6.1). Answered with [`Answer::Served`].
    Serve {
        /// The first.
        begin: i64,
        /// The last.
        end: i64,
    },
    /// Check this value and its proof, apply it and make it durable (sections 6.3 and 9.5). Answered with
    /// [`Answer::Closed`].
    Close {
        /// A `ConsensusValue`.
        value: Bytes,
        /// A `PbftProof`.
        proof: Bytes,
    },
    /// The same, of a proof that the state machine made of commits whose signatures it verified itself, each when it came:
    /// they are not verified once more. All else is checked. Whatever came in one piece is a [`Request::Close`]. Answered
    /// with [`Answer::Closed`].
    CloseAgreed {
        /// A `ConsensusValue`.
        value: Bytes,
        /// A `PbftProof`.
        proof: Bytes,
    },
    /// Make a value on top of the tip (section 7.6). Answered with [`Answer::Proposed`].
    Propose {
        /// A `LedgerUpgrade` that enough validators wish for.
        upgrade: Option<Bytes>,
    },
    /// Whether a proposed value is valid on top of the tip (section 7.6). Answered with [`Answer::Judged`].
    Judge {
        /// A `ConsensusValue`.
        value: Bytes,
    },
    /// Whether the node is behind its peers: then it proposes nothing. Not answered.
    CatchingUp(bool),
    /// Append `keep` and what `pbft` votes for to the vote log, wait until that is durable, then sign. Refused when it
    /// contradicts an earlier vote: the same kind, view and sequence, another digest. Answered with [`Answer::Signed`].
    Sign {
        /// The canonical bytes of a `Pbft`.
        pbft: Bytes,
        /// What the state machine wants back after a crash, see [`Tip::kept`]; may be empty. The ledger does not look
        /// into it.
        keep: Bytes,
    },
    /// Append this to the vote log without signing anything. Answered with [`Answer::Kept`] when it is durable.
    Keep {
        /// As in [`Request::Sign`].
        record: Bytes,
    },
    /// Sign an upgrade notice (section 8). Answered with [`Answer::UpgradeSigned`].
    SignUpgrade {
        /// Microseconds since 1970: makes it unique.
        nonce: i64,
        /// The canonical bytes of a `LedgerUpgrade`.
        upgrade: Bytes,
    },
}

/// What the ledger says: to a request, or of its own accord.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Answer {
    /// To [`Request::Tip`].
    Tip(Tip),
    /// To [`Request::Submit`].
    Submitted {
        /// The transaction's hash; zero when it does not decode.
        hash: Hash,
        /// What became of it.
        verdict: Verdict,
    },
    /// To [`Request::Serve`]; nothing where the node is silent.
    Served(Option<Served>),
    /// To [`Request::Close`] and [`Request::CloseAgreed`].
    Closed(Result<Tip, CloseError>),
    /// To [`Request::Propose`].
    Proposed(Result<Proposal, ProposeError>),
    /// To [`Request::Judge`].
    Judged {
        /// The value's hash.
        digest: Hash,
        /// What it is.
        judgement: Judgement,
    },
    /// To [`Request::Sign`].
    Signed(Result<Signed, SignError>),
    /// To [`Request::Keep`].
    Kept(Result<(), SignError>),
    /// To [`Request::SignUpgrade`]: a `LedgerUpgradeNotify`, ready to be sent.
    UpgradeSigned(Result<Bytes, SignError>),
    /// Unasked: the operator's transaction, a `TransactionEnv`, is in the pool now and wants to be told to all.
    NewTransaction {
        /// The transaction's hash.
        hash: Hash,
        /// The envelope's bytes.
        envelope: Bytes,
    },
}

/// Where the ledger stands, durable.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tip {
    /// The last closed ledger; 1 is genesis.
    pub seq: i64,
    /// Its header's hash. In [`Tip::follow_only`] unknown until the next value tells it: zero.
    pub hash: Hash,
    /// The hash of the value that it was made from.
    pub value_hash: Hash,
    /// Microseconds since 1970.
    pub close_time: i64,
    /// Of the ledger's rules.
    pub version: i64,
    /// The validators in force after it: they agree on the next one.
    pub validators: Validators,
    /// The validators that agreed on it; genesis' own in genesis.
    pub validators_before: Validators,
    /// The `PbftProof` of its value; empty in genesis.
    pub proof: Bytes,
    /// The first ledger with an operation that is not executed here, if there was one: from there on the node only
    /// follows. It neither votes nor proposes.
    pub follow_only: Option<i64>,
    /// The address of the validation key, if there is one.
    pub signer: Option<String>,
    /// In the first answer: what was appended to the vote log since its last ledger was closed, in order. Else empty.
    pub kept: Vec<Bytes>,
}

/// What became of a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Verdict {
    /// New; it waits now, and is worth relaying.
    Accepted,
    /// It waits already.
    Known,
    /// A rule of section 9.1 refuses it, now.
    Refused(ErrorCode),
}

/// Some ledgers, to be served.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Served {
    /// Each a `ConsensusValue`, consecutive.
    pub values: Vec<Bytes>,
    /// The last closed ledger.
    pub max_seq: i64,
    /// The `PbftProof` of the last of `values`.
    pub proof: Bytes,
}

/// A value that was made here.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Proposal {
    /// A `ConsensusValue`.
    pub value: Bytes,
    /// Its hash.
    pub digest: Hash,
    /// Its number.
    pub seq: i64,
}

/// What a proposed value is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Judgement {
    /// It follows the tip and may be voted for.
    Valid,
    /// "Maybe valid": it may be executed when others committed it, and is not voted for.
    Doubtful,
}

/// A signature by the validation key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Signed {
    /// The public key's text.
    pub public_key: String,
    /// 64 bytes.
    pub sign_data: Bytes,
}

/// Why a ledger was not closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum CloseError {
    /// The value does not decode, or not to the canonical form.
    Malformed,
    /// The value is larger than section 6.3 allows.
    TooLarge,
    /// Its number is not the tip's and one. No blame: another brought that ledger before.
    NotNext,
    /// Its previous hash is not the tip's.
    PreviousHash,
    /// Its proof of the tip is wrong.
    PreviousProof(ProofFault),
    /// Its own proof is wrong.
    Proof(ProofFault),
    /// It changes version or validators in a way that it may not.
    Upgrade,
    /// It changes the validators in a way that cannot be verified here: the node stops (section 6.3).
    Validators,
    /// The disk refused. No blame.
    Store,
}

/// Why no value was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ProposeError {
    /// The node is behind its peers.
    CatchingUp,
    /// The ledger only follows.
    FollowOnly,
    /// There is no validation key, or it is none of the validators.
    NoValidator,
    /// The disk refused.
    Store,
}

/// Why nothing was signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum SignError {
    /// There is no validation key, or it is none of the validators.
    NoValidator,
    /// The ledger only follows.
    FollowOnly,
    /// It contradicts an earlier vote.
    Contradiction,
    /// It is no `Pbft` in canonical form, or none that is signed.
    Malformed,
    /// The disk refused.
    Store,
}
