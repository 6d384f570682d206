//! Names connections, channels and questions. Ids are newtypes and are never reused.

use serde::{Deserialize, Serialize};

/// Who opened a connection or a channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Direction {
    /// They dialled us.
    Inbound,
    /// We dialled them.
    Outbound,
}

/// One connection, for the life of a host. The engine numbers those that it dials, the host those that it
/// accepts; the lowest bit keeps the two apart, so neither waits for the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ConnectionId(u64);

impl ConnectionId {
    /// The `count`th connection of that direction.
    pub const fn nth(direction: Direction, count: u64) -> Self {
        match direction {
            Direction::Outbound => Self(count << 1),
            Direction::Inbound => Self(count << 1 | 1),
        }
    }

    /// Who opened it.
    pub const fn direction(self) -> Direction {
        if self.0 & 1 == 0 { Direction::Outbound } else { Direction::Inbound }
    }

    /// The number that the API and recordings show.
    pub const fn as_u64(self) -> u64 {
        self.0
    }

    /// The id with that number.
    pub const fn from_u64(number: u64) -> Self {
        Self(number)
    }
}

impl core::fmt::Display for ConnectionId {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// A stream in a connection, for the life of that connection. A transport without streams has one,
/// [`ChannelId::ONLY`], open from the start.
///
/// Like those of connections, ids are counted at both ends of the border and told apart by the lowest bit: the engine
/// numbers the channels that it opens, the host those that the peer opens, each from 1 on. What a transport calls its
/// streams stays in the host, for there a peer chooses the numbers, and may use one again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ChannelId(pub u32);

impl ChannelId {
    /// The one channel of a transport that has no streams.
    pub const ONLY: Self = Self(0);

    /// The `count`th channel that this side opened, counted from 1: nothing when there is no such number. A connection
    /// on which the numbers have run out, after 2^31 channels, opens no more.
    pub const fn nth(opener: Direction, count: u32) -> Option<Self> {
        if count == 0 || count > u32::MAX >> 1 {
            return None;
        }
        Some(match opener {
            Direction::Outbound => Self(count << 1),
            Direction::Inbound => Self(count << 1 | 1),
        })
    }

    /// Who opened it; for [`ChannelId::ONLY`] that says nothing.
    pub const fn opener(self) -> Direction {
        if self.0 & 1 == 0 { Direction::Outbound } else { Direction::Inbound }
    }
}

/// One question to the ledger; its answer carries the same ticket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Ticket(pub u64);

/// How far a channel has come, as the protocol counts it: frame limits grow with it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Phase(pub u8);
