//! Holds what is known of one connection, from the proven key on.

use crate::handshake::Thirds;
use crate::identify::{About, Kinds};
use crate::keys::PeerId;
use crate::ping::Pings;
use crate::{Cx, node_status, peer_exchange};
use core::net::IpAddr;
use core::time::Duration;
use polypeer_engine::{ConnectionId, Time};

/// One connection.
///
/// ```text
///              ┌─────┐ its identify ┌───────┐ gossip and questions have their streams ┌───────┐
///   connected ─►│ Met │─────────────►│ Known │────────────────────────────────────────►│ Ready │
///              └─────┘              └───────┘                                         └───────┘
/// ```
///
/// Whoever opens a stream of identify learns who the other is, so both sides do, and neither waits for the other. What
/// the peer opens is served from the first moment on: a peer that speaks less than we do gets ready without it.
#[derive(Debug)]
pub struct Peer {
    /// The connection's own part.
    pub line: Line,
    /// How far it has come.
    pub stage: Stage,
}

/// How far a connection has come.
#[derive(Debug)]
pub enum Stage {
    /// Its key is proven, and nothing else is known. May become [`Stage::Known`].
    Met,
    /// It said who it is; streams for gossip and questions are being opened. May become [`Stage::Ready`].
    Known(About),
    /// All that it speaks stands.
    Ready(Ready),
}

/// What every connection has.
#[derive(Debug)]
pub struct Line {
    /// Who it is: the transport proved it.
    pub peer_id: PeerId,
    /// Where from.
    pub(crate) ip: Option<IpAddr>,
    /// Since when.
    pub since: Time,
    pub(crate) pings: Pings,
    /// How long its last answer to a ping took.
    pub round_trip: Option<Duration>,
    pub(crate) exchange: peer_exchange::Received,
    pub(crate) thirds: Thirds,
}

/// A peer that is ready.
#[derive(Debug)]
pub struct Ready {
    /// What it says of itself.
    pub about: About,
    /// The longest chain that it spoke of, in blocks.
    pub length: Option<u32>,
    pub(crate) status: node_status::Reading,
}

impl Peer {
    /// A connection with whoever holds this key.
    pub(crate) fn met(peer_id: PeerId, ip: Option<IpAddr>, since: Time) -> Self {
        let line = Line {
            peer_id,
            ip,
            since,
            pings: Pings::default(),
            round_trip: None,
            exchange: Default::default(),
            thirds: Thirds::default(),
        };
        Self { line, stage: Stage::Met }
    }

    /// What it says of itself, once it has.
    pub fn about(&self) -> Option<&About> {
        match &self.stage {
            Stage::Met => None,
            Stage::Known(about) => Some(about),
            Stage::Ready(ready) => Some(&ready.about),
        }
    }

    /// The peer, if it is ready.
    pub fn ready(&self) -> Option<&Ready> {
        match &self.stage {
            Stage::Ready(ready) => Some(ready),
            Stage::Met | Stage::Known(_) => None,
        }
    }

    pub(crate) fn ready_mut(&mut self) -> Option<&mut Ready> {
        match &mut self.stage {
            Stage::Ready(ready) => Some(ready),
            Stage::Met | Stage::Known(_) => None,
        }
    }

    /// It turned out not to speak this.
    pub(crate) fn speaks_not(&mut self, kind: u16) {
        let about = match &mut self.stage {
            Stage::Met => return,
            Stage::Known(about) => about,
            Stage::Ready(ready) => &mut ready.about,
        };
        about.speaks = about.speaks.without(kind);
    }

    /// What it speaks, as far as is known.
    pub(crate) fn speaks(&self) -> Kinds {
        self.about().map(|about| about.speaks).unwrap_or_default()
    }
}

impl Ready {
    pub(crate) fn new(about: About) -> Self {
        Self { about, length: None, status: node_status::Reading::default() }
    }
}

/// The peer behind a connection, if it is ready. A peer whose own handler runs is not found.
pub(crate) fn ready_mut<'a>(cx: &'a mut Cx<'_>, connection: ConnectionId) -> Option<&'a mut Ready> {
    cx.peer_mut(connection)?.ready_mut()
}
