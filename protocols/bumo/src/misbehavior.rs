//! Lists every way in which a peer can be wrong, and its price (BUMO spec, sections 4.4 and 10.2).
//!
//! Today's node closes connections and blames nobody. It closes for few things, and so does this one: what it lets pass
//! is borne here too, and counted. What no honest node can send costs the connection and a day's discouragement.

use crate::frame;
use crate::wire::{HelloResponse, Kind, Message};
use alloc::format;
use alloc::string::String;
use bytes::Bytes;
use core::net::IpAddr;
use polypeer_engine::{BadFrame, Weight};

/// What a peer did wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Misbehavior {
    /// A frame longer than its phase allows, or bytes that are none.
    BadFrame,
    /// A frame that took too long to become whole.
    FrameTooSlow,
    /// Too many frames in the making, and its was the longest.
    FrameOverBudget,
    /// A PING, or an answer to one, that does not decode.
    MalformedPing,
    /// A transaction that does not decode.
    MalformedTransaction,
    /// A consensus message without a message in it.
    MalformedPbft,
    /// An upgrade notice that does not decode.
    MalformedUpgrade,
    /// A broadcast of this kind that is longer than any can be.
    TooLong(Kind),
    /// No HELLO within its time.
    NoHello,
    /// Nothing came for too long.
    Silent,
    /// A HELLO that was refused.
    Refused {
        /// The number of the request that was refused; the answer carries it.
        sequence: i64,
        /// Which check failed.
        check: Check,
    },
    /// Bytes that are no envelope; borne.
    Garbage,
    /// A body of this kind that does not decode and that today's node takes for an empty one; borne.
    Malformed(Kind),
    /// A transaction in other bytes than the network's own encoder makes; borne, and not relayed.
    NotCanonical(Kind),
    /// A consensus message that its relayer must have seen is forged; borne, and not relayed.
    ForgedPbft,
    /// Addresses beyond what one message may bring; borne.
    TooManyAddresses,
    /// Ledgers that nobody asked for; borne.
    UnaskedLedgers,
    /// Other ledgers than those that were asked for; borne, and not asked again for a while.
    OtherLedgers,
    /// A ledger that its proof does not prove, or that breaks a rule.
    InvalidLedger,
    /// Work wanted that it had no credit for; borne.
    TooMuchWork,
    /// It asks on and on and reads no answer.
    ReadsNothing,
    /// Many upgrade notices of strangers, which no node passes on; borne.
    StrangersNotices,
}

/// A check of HELLO, in the order in which they are made (BUMO spec, section 4.4). The first of them closes nothing and
/// is no fault, so that it is not here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Check {
    /// Another connection of ours already carries its node address.
    Duplicate {
        /// Where it comes from.
        ip: IpAddr,
        /// The number of its connection.
        id: u64,
    },
    /// Another network.
    Network {
        /// The peer's.
        remote: i64,
        /// Ours.
        local: i64,
    },
    /// Our own node address, and it is not this node.
    SameAddress,
    /// This node itself.
    Itself,
    /// An overlay version that is spoken no more.
    OverlayVersion(i64),
    /// Nobody can listen there.
    ListeningPort(i64),
}

impl Check {
    /// What the answer says.
    fn text(self) -> String {
        match self {
            Self::Duplicate { ip, id } => format!("Duplicated connection with ip({ip}), id({id})"),
            Self::Network { remote, local } => {
                format!("Different network id, remote id({remote}) is not equal to the local id({local})")
            }
            Self::SameAddress => "The peer connection breaks as the configuration node addresses are duplicated".into(),
            Self::Itself => "The peer connection is broken because it connects itself".into(),
            Self::OverlayVersion(version) => format!("Peer's overlay version({version}) is too old,"),
            Self::ListeningPort(port) => format!("Peer's listen port({port}) is not valid"),
        }
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
            Self::MalformedPing => "malformed_ping",
            Self::MalformedTransaction => "malformed_transaction",
            Self::MalformedPbft => "malformed_pbft",
            Self::MalformedUpgrade => "malformed_upgrade",
            Self::TooLong(_) => "too_long",
            Self::NoHello => "no_hello",
            Self::Silent => "silent",
            Self::Refused { check, .. } => match check {
                Check::Duplicate { .. } => "duplicate_connection",
                Check::Network { .. } => "other_network",
                Check::SameAddress => "same_node_address",
                Check::Itself => "itself",
                Check::OverlayVersion(_) => "old_overlay_version",
                Check::ListeningPort(_) => "bad_listening_port",
            },
            Self::Garbage => "garbage",
            Self::Malformed(_) => "malformed_body",
            Self::NotCanonical(_) => "not_canonical",
            Self::ForgedPbft => "forged_pbft",
            Self::TooManyAddresses => "too_many_addresses",
            Self::UnaskedLedgers => "unasked_ledgers",
            Self::OtherLedgers => "other_ledgers",
            Self::InvalidLedger => "invalid_ledger",
            Self::TooMuchWork => "too_much_work",
            Self::ReadsNothing => "reads_nothing",
            Self::StrangersNotices => "strangers_notices",
        }
    }

    fn weight(&self) -> Weight {
        match self {
            Self::Refused { check: Check::Network { .. } | Check::OverlayVersion(_), .. } => Weight::Stranger,
            Self::BadFrame
            | Self::MalformedPing
            | Self::MalformedTransaction
            | Self::MalformedPbft
            | Self::MalformedUpgrade
            | Self::TooLong(_)
            | Self::InvalidLedger => Weight::Breach,
            // Nobody's fault, or borne.
            Self::FrameTooSlow
            | Self::FrameOverBudget
            | Self::NoHello
            | Self::Silent
            | Self::Refused { .. }
            | Self::Garbage
            | Self::Malformed(_)
            | Self::NotCanonical(_)
            | Self::ForgedPbft
            | Self::TooManyAddresses
            | Self::UnaskedLedgers
            | Self::OtherLedgers
            | Self::TooMuchWork
            | Self::ReadsNothing
            | Self::StrangersNotices => Weight::Slip,
        }
    }

    /// Only a refused HELLO is answered.
    fn farewell(&self) -> Option<Bytes> {
        let Self::Refused { sequence, check } = self else { return None };
        let response = HelloResponse::refusal(&check.text()).encode();
        Some(frame::pack(Kind::Hello, false, *sequence, &response))
    }
}
