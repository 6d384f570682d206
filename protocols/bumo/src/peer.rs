//! Holds what is known of one connection, from the socket on.

use crate::frame;
use crate::wire::Kind;
use crate::{Cx, serve::Serving, sync::Source, upgrade::Notices};
use alloc::boxed::Box;
use alloc::string::String;
use bytes::Bytes;
use core::time::Duration;
use polypeer_engine::{Address, ConnectionId, Time};

/// One connection.
///
/// ```text
///              ┌────────┐ a valid HELLO request ┌────────┐
///   connected ─►│ Opened │──────────────────────►│ Active │
///              └────────┘                       └────────┘
///               PING and HELLO only               everything
/// ```
///
/// Each side decides by the HELLO request that it gets; the answer to its own changes nothing, unless it is a refusal
/// (BUMO spec, sections 4.2 and 4.3).
#[derive(Debug)]
pub enum Peer {
    /// No HELLO came. May become [`Peer::Active`].
    Opened(Line),
    /// Its HELLO was good.
    Active(Box<Active>),
}

/// What every connection has.
#[derive(Debug, Default)]
pub struct Line {
    // Requests sent so far: the number of the next (BUMO spec, section 2).
    requests: i64,
    pub(crate) ping: Option<Ping>,
    // Bytes of the short answers that it was sent and has not read.
    pub(crate) unread: usize,
    /// How long its last answer to a PING took.
    pub round_trip: Option<Duration>,
}

/// A PING under way.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ping {
    pub(crate) nonce: i64,
    pub(crate) sent: Time,
}

/// A peer whose HELLO was good.
#[derive(Debug)]
pub struct Active {
    pub(crate) line: Line,
    /// The address of its node key, as it claims; nothing proves it.
    pub node_address: String,
    /// What it calls its software.
    pub version: String,
    /// Where it says it listens.
    pub listening_port: u16,
    /// Where it is reached: where we reached it, or where it says that it listens.
    pub place: Option<Address>,
    /// The highest ledger that it spoke of.
    pub ledger: Option<i64>,
    // Since when it is active, and its place among the broadcasts.
    pub(crate) since: Time,
    pub(crate) joined: u64,
    // Its transactions that the ledger looks at.
    pub(crate) judging: usize,
    pub(crate) source: Source,
    pub(crate) serving: Serving,
    pub(crate) notices: Notices,
}

impl Line {
    /// A request around these bytes, with the next number of this connection.
    pub(crate) fn request(&mut self, kind: Kind, data: &[u8]) -> Bytes {
        let sequence = self.requests;
        self.requests = self.requests.saturating_add(1);
        frame::pack(kind, true, sequence, data)
    }
}

impl Peer {
    /// The connection's own part.
    pub fn line(&self) -> &Line {
        match self {
            Self::Opened(line) => line,
            Self::Active(active) => &active.line,
        }
    }

    pub(crate) fn line_mut(&mut self) -> &mut Line {
        match self {
            Self::Opened(line) => line,
            Self::Active(active) => &mut active.line,
        }
    }

    /// The peer, if its HELLO was good.
    pub fn active(&self) -> Option<&Active> {
        match self {
            Self::Opened(_) => None,
            Self::Active(active) => Some(active),
        }
    }
}

/// The peer behind a connection, if its HELLO was good. A peer whose own handler runs is not found.
pub(crate) fn active_mut<'a>(cx: &'a mut Cx<'_>, connection: ConnectionId) -> Option<&'a mut Active> {
    match cx.peer_mut(connection)? {
        Peer::Opened(_) => None,
        Peer::Active(active) => Some(active),
    }
}
