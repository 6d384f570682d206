//! Lists every way in which a peer can be wrong, and its price (Kaspa spec, sections 3.2 and 4).
//!
//! Today's network closes a connection, most often after a `Reject` that says why, and bans nobody. The source
//! document bans for four of these; whoever wants that says so in [`crate::Bans`].

use crate::ledger::{Fault, Hash, ImportFault};
use crate::wire::{self, Kind, Reject, WireError};
use alloc::format;
use alloc::string::{String, ToString};
use bytes::Bytes;
use polypeer_engine::{BadFrame, Weight};

/// What a peer did wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Misbehavior {
    /// Bytes that no frame begins with, or a frame longer than its phase or kind allows; nothing is said.
    BadFrame,
    /// A frame that took too long to become whole; nothing is said.
    FrameTooSlow,
    /// Too many frames in the making, and its was the longest; nothing is said.
    FrameOverBudget,
    /// A message that does not decode.
    Wire(WireError),
    /// A message that nobody listens for at this time; nothing is said.
    NobodyListens(Kind),
    /// An answer to a request that was not made; nothing is said.
    UnknownRoute,
    /// More of these unanswered than are kept; nothing is said.
    QueueFull(Kind),
    /// Another message than the one that was waited for.
    Unexpected {
        /// What was waited for.
        expected: Kind,
        /// What came.
        got: Kind,
    },
    /// It did not say within so many seconds what it owes.
    TimedOut(u64),
    /// A second connection with the same node.
    Duplicate,
    /// This node itself.
    Loopback,
    /// Another network.
    OtherNetwork {
        /// Ours.
        local: Name,
        /// The peer's.
        remote: Name,
    },
    /// A protocol version that is spoken no more.
    OldVersion(u32),
    /// A Pong with another nonce than our Ping.
    WrongPong,
    /// A Pong that nobody asked for; borne.
    UnaskedPong,
    /// Part of an exchange that nobody began; borne.
    Unasked(Kind),
    /// Another block than the one that was asked for.
    OtherBlock {
        /// What was asked for.
        wanted: Hash,
        /// What came.
        got: Hash,
    },
    /// A header where a block was asked for.
    HeaderOnly(Hash),
    /// A block that the ledger found wrong.
    InvalidBlock(Fault),
    /// It announced a block that is known to be invalid.
    InvalidInv(Hash),
    /// A block that is known to be invalid is in its chain.
    InvalidChainBlock(Hash),
    /// It asked for a block that is not held.
    UnknownBlock(Hash),
    /// Another transaction than the next one asked for.
    OtherTransaction {
        /// What was asked for.
        wanted: Hash,
        /// What came.
        got: Hash,
    },
    /// Its request cannot be answered; the text says why. No blame: it may not know better.
    Refused(Refused),
    /// A locator that is none: too long, empty, or with other ends than were asked for.
    BadLocator,
    /// Headers without a header.
    EmptyHeaders,
    /// The headers ended and the block that was synced to is not among them.
    SinkMissing,
    /// The antipast ended and the block that began the sync is not among it.
    RelayBlockMissing,
    /// A body without a transaction.
    EmptyBody(Hash),
    /// A part of a pruned state is wrong.
    Import(ImportFault),
    /// Its pruning point has moved under way. No blame.
    PruningPointMoved,
    /// Our pruning point is not in the chain that it shares with us.
    FinalityConflict,
    /// Its pruning point is none that we know, though it shares blocks with us.
    StrangePruningPoint,
    /// It shares no block with us, and no proof is wanted of it.
    NothingShared,
    /// Work wanted that it had no credit for; nothing is said.
    TooMuchWork,
    /// What the source document bans for, and the operator wants banned.
    Banned(Banned),
}

/// The start of a network's name, held in place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Name {
    bytes: [u8; Self::BYTES_MAX],
    length: u8,
}

impl Name {
    // The longest that today's nodes have is 16 bytes; more says nothing new.
    const BYTES_MAX: usize = 32;

    fn as_str(&self) -> &str {
        let bytes = self.bytes.get(..usize::from(self.length)).unwrap_or_default();
        // It was cut where a character begins.
        core::str::from_utf8(bytes).unwrap_or_default()
    }
}

impl From<&str> for Name {
    fn from(name: &str) -> Self {
        let mut bytes = [0; Self::BYTES_MAX];
        let length = name.floor_char_boundary(Self::BYTES_MAX);
        bytes[..length].copy_from_slice(&name.as_bytes()[..length]);
        // At most 32.
        Self { bytes, length: length as u8 }
    }
}

/// What the source document bans for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Banned {
    /// [`Misbehavior::UnknownBlock`].
    UnknownBlock(Hash),
    /// It asked for a transaction that does not wait here.
    UnknownTransaction(Hash),
    /// A transaction whose form is wrong.
    InvalidTransaction(Hash),
    /// [`Misbehavior::WrongPong`].
    WrongPong,
}

/// Why a request cannot be answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// A header that is not held.
    UnknownHeader(Hash),
    /// Not a chain ancestor.
    NotAncestor(Hash, Hash),
    /// Low above high.
    LowAboveHigh(Hash, Hash),
    /// The pruning point is not below.
    PruningPointMissed(Hash),
    /// Too much lies between.
    TooMany(u32),
    /// Nothing is pruned here: there is neither an anticone nor a state to give.
    PruningPointIsGenesis,
    /// The same, of the lanes.
    NoSmtState,
    /// What was imported is not whole: it is refused until another import is.
    NothingImported,
}

impl Misbehavior {
    // What the Reject says; nothing when the connection just ends.
    fn reason(&self) -> Option<String> {
        Some(match self {
            Self::BadFrame
            | Self::FrameTooSlow
            | Self::FrameOverBudget
            | Self::NobodyListens(_)
            | Self::UnknownRoute
            | Self::QueueFull(_)
            | Self::UnaskedPong
            | Self::Unasked(_)
            | Self::TooMuchWork => return None,
            Self::Wire(error) if error.is_silent() => return None,
            Self::Wire(error) => error.text(),
            Self::Unexpected { expected, got } => {
                format!("expected message type/s Payload::{} but got Some({})", expected.name(), got.name())
            }
            Self::TimedOut(seconds) => format!("timeout expired after {seconds}s"),
            Self::Duplicate => "DUPLICATE_CONNECTION".into(),
            Self::Loopback => "LOOPBACK_CONNECTION".into(),
            Self::OtherNetwork { local, remote } => {
                format!("Network mismatch - local: {}, remote: {}", local.as_str(), remote.as_str())
            }
            Self::OldVersion(remote) => {
                format!("P2P protocol version mismatch - local: {}, remote: {remote}", crate::handshake::VERSION)
            }
            Self::WrongPong | Self::Banned(Banned::WrongPong) => "nonce mismatch between ping and pong".into(),
            Self::OtherBlock { wanted, got } => format!("requested block hash {wanted} but got block {got}"),
            Self::HeaderOnly(hash) => format!("sent header of {hash} where expected block with body"),
            Self::InvalidBlock(fault) => fault.text().into(),
            Self::InvalidInv(hash) => format!("sent inv of an invalid block {hash}"),
            Self::InvalidChainBlock(hash) => format!("sent invalid chain block {hash}"),
            Self::UnknownBlock(hash) | Self::Banned(Banned::UnknownBlock(hash)) => {
                format!("cannot find full block {hash}")
            }
            Self::OtherTransaction { wanted, got } => {
                format!("requested transaction id {wanted} but got transaction {got}")
            }
            Self::Banned(Banned::UnknownTransaction(id)) => format!("cannot find transaction {id}"),
            Self::Banned(Banned::InvalidTransaction(id)) => format!("rejected invalid transaction {id}"),
            Self::Refused(refused) => refused.text(),
            Self::BadLocator => "invalid block locator".into(),
            Self::EmptyHeaders => "Received an empty headers message".into(),
            Self::SinkMissing => "did not receive syncer's virtual selected parent".into(),
            Self::RelayBlockMissing => "did not receive relay block".into(),
            Self::EmptyBody(hash) => format!("sent empty block body for block {hash}"),
            Self::Import(fault) => fault.text().into(),
            Self::PruningPointMoved => "got unexpected pruning point".into(),
            Self::FinalityConflict => "peer is in a finality conflict with the local pruning point".into(),
            Self::StrangePruningPoint => "peer has a pruning point that is not recognised".into(),
            Self::NothingShared => {
                "peer has no known block but conditions for requesting headers proof are not met".into()
            }
        })
    }
}

impl Refused {
    fn text(self) -> String {
        match self {
            Self::UnknownHeader(hash) => format!("cannot find header {hash}"),
            Self::NotAncestor(low, high) => {
                format!("get_hashes_between's low hash {low} is not a chain ancestor of {high}")
            }
            Self::LowAboveHigh(low, high) => {
                format!("sync manager error: low hash {low} is higher than high hash {high}")
            }
            Self::PruningPointMissed(hash) => format!("the pruning point is not in the chain of {hash}"),
            Self::TooMany(most) => format!("traversal error: passed max allowed traversal ({} > {most})", most + 1),
            Self::PruningPointIsGenesis => "local pruning point is genesis: there is no anticone to send".to_string(),
            Self::NothingImported => "the pruning point's state is not held".to_string(),
            Self::NoSmtState => "cannot export SMT metadata: pruning point is genesis".to_string(),
        }
    }
}

impl From<WireError> for Misbehavior {
    fn from(error: WireError) -> Self {
        Self::Wire(error)
    }
}

impl From<crate::ledger::Refusal> for Misbehavior {
    fn from(refusal: crate::ledger::Refusal) -> Self {
        use crate::ledger::Refusal;
        Self::Refused(match refusal {
            Refusal::UnknownHeader(hash) => Refused::UnknownHeader(hash),
            Refusal::NotAncestor(low, high) => Refused::NotAncestor(low, high),
            Refusal::LowAboveHigh(low, high) => Refused::LowAboveHigh(low, high),
            Refusal::PruningPointMissed(hash) => Refused::PruningPointMissed(hash),
            Refusal::TooMany(most) => Refused::TooMany(most),
        })
    }
}

impl From<BadFrame> for Misbehavior {
    fn from(bad: BadFrame) -> Self {
        match bad.reason {
            BadFrame::TOO_SLOW => Self::FrameTooSlow,
            BadFrame::OVER_BUDGET => Self::FrameOverBudget,
            _ => Self::BadFrame,
        }
    }
}

impl polypeer_engine::Misbehavior for Misbehavior {
    fn name(&self) -> &'static str {
        match self {
            Self::BadFrame => "bad_frame",
            Self::FrameTooSlow => "frame_too_slow",
            Self::FrameOverBudget => "frame_over_budget",
            Self::Wire(_) => "malformed_message",
            Self::NobodyListens(_) => "nobody_listens",
            Self::UnknownRoute => "unknown_route",
            Self::QueueFull(_) => "queue_full",
            Self::Unexpected { .. } => "unexpected_message",
            Self::TimedOut(_) => "timed_out",
            Self::Duplicate => "duplicate_connection",
            Self::Loopback => "loopback_connection",
            Self::OtherNetwork { .. } => "other_network",
            Self::OldVersion(_) => "old_version",
            Self::WrongPong | Self::Banned(Banned::WrongPong) => "wrong_pong",
            Self::UnaskedPong => "unasked_pong",
            Self::Unasked(_) => "unasked_message",
            Self::OtherBlock { .. } => "other_block",
            Self::HeaderOnly(_) => "header_only",
            Self::InvalidBlock(_) => "invalid_block",
            Self::InvalidInv(_) => "invalid_inv",
            Self::InvalidChainBlock(_) => "invalid_chain_block",
            Self::UnknownBlock(_) | Self::Banned(Banned::UnknownBlock(_)) => "unknown_block",
            Self::OtherTransaction { .. } => "other_transaction",
            Self::Banned(Banned::UnknownTransaction(_)) => "unknown_transaction",
            Self::Banned(Banned::InvalidTransaction(_)) => "invalid_transaction",
            Self::Refused(_) => "request_refused",
            Self::BadLocator => "bad_locator",
            Self::EmptyHeaders => "empty_headers",
            Self::SinkMissing => "sink_missing",
            Self::RelayBlockMissing => "relay_block_missing",
            Self::EmptyBody(_) => "empty_body",
            Self::Import(_) => "bad_import",
            Self::PruningPointMoved => "pruning_point_moved",
            Self::FinalityConflict => "finality_conflict",
            Self::StrangePruningPoint => "strange_pruning_point",
            Self::NothingShared => "nothing_shared",
            Self::TooMuchWork => "too_much_work",
        }
    }

    fn weight(&self) -> Weight {
        match self {
            Self::OtherNetwork { .. } | Self::OldVersion(_) => Weight::Stranger,
            // Nobody's fault, or one that an honest peer of another mind can have.
            Self::FrameTooSlow
            | Self::FrameOverBudget
            | Self::TimedOut(_)
            | Self::Duplicate
            | Self::Loopback
            | Self::UnaskedPong
            | Self::Unasked(_)
            | Self::UnknownBlock(_)
            | Self::Refused(_)
            | Self::PruningPointMoved
            | Self::FinalityConflict
            | Self::StrangePruningPoint
            | Self::NothingShared
            | Self::TooMuchWork => Weight::Slip,
            Self::Banned(_) => Weight::Attack,
            _ => Weight::Breach,
        }
    }

    fn farewell(&self) -> Option<Bytes> {
        let reason = self.reason()?;
        Some(wire::pack(Kind::Reject, &Reject::new(&reason).encode(), 0, 0))
    }
}
