//! Shows what happens, for eyes only: events, and the reasons behind every choice.

use crate::{Address, ConnectionId, DialFailure, DisconnectCause, Now};
use alloc::string::String;
use core::net::IpAddr;
use serde::{Deserialize, Serialize};

/// Something that an operator may want to see as it happens.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Event {
    /// A peer finished its handshake.
    PeerReady {
        /// Its connection.
        connection: ConnectionId,
        /// Where it is.
        address: Address,
        /// What it says of itself, as text for people.
        about: String,
    },
    /// A connection is gone.
    PeerGone {
        /// Its connection.
        connection: ConnectionId,
        /// Where it was.
        address: Address,
        /// Why.
        cause: DisconnectCause,
    },
    /// A choice was made; the ring of reasons has it too.
    Reason(ReasonRecord),
    /// The protocol has something to say that people read.
    Note(String),
}

/// Whom a reason is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Subject {
    /// A place.
    Address(Address),
    /// Everyone at an IP address.
    Ip(IpAddr),
}

impl Subject {
    /// The IP address that it is about.
    pub fn ip(&self) -> IpAddr {
        match self {
            Self::Address(address) => address.ip(),
            Self::Ip(ip) => *ip,
        }
    }
}

/// One choice, about whom, and when.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReasonRecord {
    /// When.
    pub now: Now,
    /// About whom.
    pub subject: Subject,
    /// The connection, where there was one.
    pub connection: Option<ConnectionId>,
    /// What was chosen and why.
    pub reason: Reason,
    /// How often, for a refusal that was repeated within a minute; else 1.
    pub times: u32,
}

/// Why something was done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Reason {
    /// Dialled because the operator named it.
    DialledForOperator,
    /// Dialled to fill an outbound slot from the address book.
    DialledForSlot,
    /// Dialled because the protocol wanted to prove the address.
    DialledToProve,
    /// Not dialled again before this time (milliseconds since 1970), because the last dial failed.
    BackOff {
        /// Until when.
        until_ms: u64,
        /// Why the dial failed.
        cause: DialFailure,
    },
    /// Not dialled again before this time, because the connection was lost.
    BackOffLost {
        /// Until when.
        until_ms: u64,
    },
    /// Refused: no inbound slot was free.
    RefusedFull,
    /// Refused: too many connections from its IP address.
    RefusedPerIp,
    /// Refused: banned.
    RefusedBanned,
    /// Refused: discouraged, and no slot to spare.
    RefusedDiscouraged,
    /// Refused: this node is going down.
    RefusedDraining,
    /// A fault was recorded and borne.
    Slip(String),
    /// A fault ended the connection.
    Convicted(String),
    /// Discouraged until this time because of a fault.
    Discouraged {
        /// Until when.
        until_ms: u64,
        /// The fault's name, or the operator.
        fault: String,
    },
    /// Banned until this time because of a fault.
    Banned {
        /// Until when.
        until_ms: u64,
        /// The fault's name, or `operator`.
        fault: String,
    },
    /// A ban or discouragement was lifted.
    Unbanned,
    /// The protocol closed the connection, with its own word for why.
    Closed(String),
    /// The connection is gone.
    Disconnected(DisconnectCause),
    /// Refused: too many connections from its network group.
    RefusedPerGroup,
    /// Not dialled: the address is this node's own.
    RefusedSelf,
    /// Not dialled: nobody can be at such an address.
    RefusedNoHost,
    /// Not dialled: too many dials are under way.
    RefusedBusy,
    /// Let go to make room for another.
    Evicted {
        /// Who came in its place.
        for_whom: Address,
        /// How many of the inbound peers were protected.
        protected: u32,
        /// How many inbound peers its network group had, itself included.
        in_group: u32,
        /// Whether it went first because its IP address is discouraged.
        is_discouraged: bool,
    },
    /// Gossip that found no room in its queue was dropped.
    Dropped {
        /// How many frames since the last such record, at least a minute before.
        frames: u64,
    },
}

impl Reason {
    /// Whether it says that someone was not let in, or not dialled.
    pub fn is_refusal(&self) -> bool {
        matches!(
            self,
            Self::RefusedFull
                | Self::RefusedPerIp
                | Self::RefusedPerGroup
                | Self::RefusedBanned
                | Self::RefusedDiscouraged
                | Self::RefusedDraining
                | Self::RefusedSelf
                | Self::RefusedNoHost
                | Self::RefusedBusy
        )
    }
}
