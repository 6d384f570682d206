//! Imports the state of a pruned network: what is asked of a ledger while a proof, trusted blocks, lanes and outputs
//! come in (Kaspa spec, sections 4.6.6 to 4.6.9).
//!
//! What comes is staged beside what is held, and replaces it only when all of it is there and fits together. A faulty
//! piece leaves what is held as it was.
//!
//! ```text
//! Begin ─► Proof, from the highest level down ─► ProofEnd ─► PruningPoints ─► Trusted ─► TrustedEnd
//!       ─► Blocks ─► BlocksEnd ─► Headers ─► Lanes ─► Outputs ─► OutputsEnd ─► Bodies ─► Finish
//!
//! CatchUp ─► Bodies at the pruning point ─► Lanes ─► Outputs ─► OutputsEnd ─► Proof ─► … ─► BlocksEnd ─► Finish
//! ```
//!
//! A stage that was judged whole is durable: whoever begins with the same pruning point again, after a restart or from
//! another peer, is told by [`Progress`] what need not come once more. A stage that was broken off comes anew, since
//! nothing on the wire asks for the rest of one; headers and bodies are the exception.

use super::{BlockOutcome, Hash, State, Status};
use alloc::vec::Vec;
use bytes::Bytes;
use serde::{Deserialize, Serialize};

/// A piece of an import, or a question about what is staged. Each is answered with [`Imported`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Import {
    /// What is a peer's pruning point to us, whose chain we share up to a block? Answered with [`Imported::Branch`].
    Compare {
        /// The highest block of its chain that is held.
        known: Hash,
        /// Its pruning point.
        point: Hash,
    },
    /// The state at this pruning point is to be imported by its proof. What was staged of another one is forgotten.
    /// Answered with [`Imported::Begun`].
    Begin(Hash),
    /// The state at this pruning point, whose header is held, is to be put on top of our headers. What was staged of
    /// another one is forgotten. Judged: that the headers up to the sink make it a pruning point, and one that follows
    /// from ours. Answered with [`Imported::Begun`].
    CatchUp {
        /// The pruning point.
        point: Hash,
        /// The peer's sink, whose header is held too.
        sink: Hash,
    },
    /// Headers of one level of the proof. Levels come from the highest down, each in one piece or several. Answered with
    /// [`Imported::Taken`].
    Proof {
        /// Which level.
        level: u8,
        /// Each a `BlockHeader`, in topological order.
        headers: Vec<Bytes>,
    },
    /// The proof is whole. Judged: levels, each header at its level, order, parents within the proof, the pruning point
    /// last, more work than what is held. Answered with [`Imported::Proof`].
    ProofEnd,
    /// The headers of all pruning points, genesis first and the proof's last. Answered with [`Imported::Taken`].
    PruningPoints(Vec<Bytes>),
    /// Blocks near the pruning point with what GHOSTDAG made of them, each a `DaaBlockV4`, in any order. Answered with
    /// [`Imported::Taken`].
    Trusted(Vec<Bytes>),
    /// All of them are there. Answered with [`Imported::Taken`].
    TrustedEnd,
    /// The pruning point, its anticone, then headers of the chain below it: each a `BlockMessage`, the last ones without
    /// transactions. Answered with [`Imported::Taken`].
    Blocks(Vec<Bytes>),
    /// All of them are there. Answered with [`Imported::Taken`].
    BlocksEnd,
    /// Headers above the pruning point, like [`super::Request::TakeHeaders`]. Answered with
    /// [`Imported::HeadersTaken`].
    Headers(Vec<Bytes>),
    /// How these blocks are staged, like [`super::Request::Statuses`]. Answered with [`Imported::Statuses`].
    Statuses(Vec<Hash>),
    /// The state of the lanes at the pruning point. Judged with the proof's header. Answered with [`Imported::Taken`].
    LanesBegin {
        /// Lanes root, payload-and-context digest, parent sequencing commitment.
        metadata: Bytes,
        /// How many lanes there are.
        count: u64,
    },
    /// Lanes, each an `SmtLaneEntry`, ascending. The last ones, by the count, are judged with the lanes root. Answered
    /// with [`Imported::Taken`].
    Lanes(Vec<Bytes>),
    /// Outputs at the pruning point, each an `OutpointAndUtxoEntryPair`. Answered with [`Imported::Taken`].
    Outputs(Vec<Bytes>),
    /// All of them are there. Judged with the commitment of the pruning point's header. Answered with
    /// [`Imported::Taken`].
    OutputsEnd,
    /// Like [`super::Request::MissingBodies`]; while catching up, those at the pruning point whatever is asked. Answered
    /// with [`Imported::MissingBodies`].
    MissingBodies {
        /// Whose past.
        of: Hash,
        /// How many at most.
        count_max: u32,
    },
    /// Like [`super::Request::TakeBodies`]. Answered with [`Imported::BodiesTaken`].
    Bodies(Vec<(Hash, Bytes)>),
    /// All is there: it replaces what was held, durably. Answered with [`Imported::Finished`].
    Finish,
    /// It comes to nothing: what is staged is forgotten. Answered with [`Imported::Taken`].
    Abandon,
}

/// What a peer's pruning point is to us (Kaspa spec, section 4.6.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Branch {
    /// Nothing is missing at it: ours, one before ours, or one whose body is held.
    Sync,
    /// It follows ours, and its body is not held.
    CatchUp,
    /// Ours is not in the chain that we share.
    Conflict,
    /// It is none that is known.
    Strange,
}

/// Which stages of an import are there already, whole and durable.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// The proof.
    pub proof: bool,
    /// The pruning points, the trusted blocks and those at the pruning point.
    pub base: bool,
    /// The lanes.
    pub lanes: bool,
    /// The outputs.
    pub outputs: bool,
}

/// What the ledger says of a piece.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Imported {
    /// To [`Import::Compare`].
    Branch(Branch),
    /// To [`Import::Begin`] and [`Import::CatchUp`]: what need not come again.
    Begun(Result<Progress, ImportFault>),
    /// It was taken, or this was wrong with it.
    Taken(Result<(), ImportFault>),
    /// To [`Import::ProofEnd`]: the pruning point that it proves.
    Proof(Result<Hash, ImportFault>),
    /// To [`Import::Headers`].
    HeadersTaken(Option<BlockOutcome>),
    /// To [`Import::Statuses`], in the same order.
    Statuses(Vec<Status>),
    /// To [`Import::MissingBodies`].
    MissingBodies(Vec<Hash>),
    /// To [`Import::Bodies`].
    BodiesTaken(Option<BlockOutcome>),
    /// To [`Import::Finish`].
    Finished(Result<State, ImportFault>),
}

/// What is wrong with a piece, or with the whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ImportFault {
    /// Nothing like it is wanted at this time.
    OutOfOrder,
    /// It does not decode.
    Malformed,
    /// The proof has not as many levels as the network, or an empty one, or they do not descend.
    Levels,
    /// A header of the proof that does not reach its level, or has no proof of work.
    Level,
    /// A header of the proof that stands before a parent of its, or whose parents are not in the proof.
    ProofOrder,
    /// The proof's last header is not where it says, or is genesis, or what is held already.
    ProofPoint,
    /// What is held has as much work.
    ProofWork,
    /// What it leads to is not clearly younger than what is held.
    NotYounger,
    /// The headers do not make it a pruning point that follows from ours.
    Path,
    /// The pruning points do not lead from genesis to the proof's.
    PruningPoints,
    /// A trusted block that lacks what GHOSTDAG needs of it, or whose numbers do not fit together.
    Trusted,
    /// A full block that is not among the trusted ones, or a block out of its place.
    Blocks,
    /// A body that does not fit its header.
    Body,
    /// The metadata of the lanes do not give the pruning point's sequencing commitment.
    SequencingCommitment,
    /// Lanes that do not ascend, more or fewer than announced, or that do not give the lanes root.
    Lanes,
    /// A lane's proof does not lead to the lanes root.
    LaneProof,
    /// The outputs do not give the pruning point's commitment.
    Outputs,
    /// Something is missing.
    Incomplete,
    /// There is no room for it. No blame.
    NoRoom,
}

impl ImportFault {
    /// What the sender is told.
    pub fn text(self) -> &'static str {
        match self {
            Self::OutOfOrder => "unexpected part of a pruning import",
            Self::Malformed => "malformed part of a pruning import",
            Self::Levels => "the pruning proof has wrong levels",
            Self::Level => "the pruning proof has a header at a wrong level",
            Self::ProofOrder => "the pruning proof is not topologically ordered",
            Self::ProofPoint => "the pruning proof has a wrong pruning point",
            Self::ProofWork => "the pruning proof is not stronger than what is held",
            Self::NotYounger => {
                "The difference between the timestamps of the current selected tip and the staging selected tip is too \
                 small or negative. Aborting IBD..."
            }
            Self::Path => "the alleged pruning point is not a valid pruning point, aborting catchup attempt",
            Self::PruningPoints => "the pruning points do not lead to the proof's",
            Self::Trusted => "missing ghostdag data for some trusted entries",
            Self::Blocks => "a trusted block is out of its place",
            Self::Body => "invalid merkle root of a trusted block",
            Self::SequencingCommitment => "the SMT metadata do not match the sequencing commitment",
            Self::Lanes => "the SMT lanes do not match the lanes root",
            Self::LaneProof => "the proof of an SMT lane is wrong",
            Self::Outputs => "the imported UTXO set does not match its commitment",
            Self::Incomplete => "the pruning import is incomplete",
            Self::NoRoom => "no room for the pruning import",
        }
    }

    /// Whether the sender is to blame.
    pub fn is_of_sender(self) -> bool {
        !matches!(self, Self::NoRoom | Self::ProofWork | Self::NotYounger | Self::OutOfOrder)
    }
}

/// A part of what was imported and is kept as it came, to be served. Each is answered with [`super::Answer::Kept`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Keep {
    /// The proof's headers of a level, from one on.
    Proof {
        /// Which level.
        level: u8,
        /// From which of its headers on.
        from: u32,
    },
    /// The headers of all pruning points.
    PruningPoints,
    /// Trusted blocks from this one on, in any order that stays.
    Trusted(u64),
    /// The blocks at the pruning point from this one on, in the order in which they came.
    Blocks(u64),
    /// The lanes' metadata, alone; 96 bytes and the count as 8 more, big-endian.
    LanesBegin,
    /// Lanes from this one on.
    Lanes(u64),
    /// Outputs from this one on.
    Outputs(u64),
}
