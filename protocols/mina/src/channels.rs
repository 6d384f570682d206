//! Remembers which streams of each connection stand or are being opened, and what each is for.
//!
//! It is apart from what is known of the peer, which is on loan while one of its frames is handled: then, too, other rooms
//! open and break off streams of that peer.

use crate::Cx;
use crate::streams::{self, MESH, MESH_OLD};
use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use polypeer_engine::{ChannelId, ConnectionId, Direction, Stock, Stocks};

/// Streams of one connection, both ways.
const STREAMS_MAX: usize = 2 * crate::STREAMS_MAX;

/// A stream that stands or is being opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Open {
    pub(crate) kind: u16,
    pub(crate) opener: Direction,
    // Ours are not until the peer agreed.
    is_agreed: bool,
}

/// The streams of all connections.
#[derive(Debug, Default)]
pub(crate) struct Channels {
    of: BTreeMap<ConnectionId, BTreeMap<ChannelId, Open>>,
}

impl Channels {
    /// Opens a stream of this kind, unless one of ours is there.
    pub(crate) fn open(&mut self, cx: &mut Cx<'_>, connection: ConnectionId, kind: u16) -> Option<ChannelId> {
        if self.ours(connection, kind).is_some() { None } else { self.open_more(cx, connection, kind) }
    }

    /// Opens one more of this kind, for one exchange.
    pub(crate) fn open_more(&mut self, cx: &mut Cx<'_>, connection: ConnectionId, kind: u16) -> Option<ChannelId> {
        let channel = cx.open(connection, kind)?;
        let open = Open { kind, opener: Direction::Outbound, is_agreed: false };
        self.of.entry(connection).or_default().insert(channel, open);
        Some(channel)
    }

    /// A stream stands. Whether it may.
    pub(crate) fn opened(
        &mut self,
        connection: ConnectionId,
        channel: ChannelId,
        kind: u16,
        opener: Direction,
    ) -> bool {
        let of = self.of.entry(connection).or_default();
        let alike = of.values().filter(|open| open.kind == kind && open.opener == opener).count();
        if opener == Direction::Inbound && alike >= streams::open_max(kind) {
            return false;
        }
        of.insert(channel, Open { kind, opener, is_agreed: true });
        true
    }

    /// A stream is gone. What it was.
    pub(crate) fn closed(&mut self, connection: ConnectionId, channel: ChannelId) -> Option<Open> {
        self.of.get_mut(&connection)?.remove(&channel)
    }

    /// Breaks a stream off.
    pub(crate) fn reset(&mut self, cx: &mut Cx<'_>, connection: ConnectionId, channel: ChannelId) {
        self.closed(connection, channel);
        cx.reset(connection, channel);
    }

    /// A connection is gone, and its streams with it.
    pub(crate) fn gone(&mut self, connection: ConnectionId) {
        self.of.remove(&connection);
    }

    /// What a stream is.
    pub(crate) fn get(&self, connection: ConnectionId, channel: ChannelId) -> Option<Open> {
        self.of.get(&connection)?.get(&channel).copied()
    }

    /// Our stream of this kind, agreed or not.
    pub(crate) fn ours(&self, connection: ConnectionId, kind: u16) -> Option<ChannelId> {
        self.find(connection, kind, Direction::Outbound).next().map(|(channel, _)| channel)
    }

    /// Our stream of this kind, if the peer agreed to it.
    pub(crate) fn agreed(&self, connection: ConnectionId, kind: u16) -> Option<ChannelId> {
        let mut ours = self.find(connection, kind, Direction::Outbound);
        ours.find(|(_, open)| open.is_agreed).map(|(channel, _)| channel)
    }

    /// Whether our stream for gossip stands, in whichever version.
    pub(crate) fn has_mesh(&self, connection: ConnectionId) -> bool {
        self.agreed(connection, MESH).or_else(|| self.agreed(connection, MESH_OLD)).is_some()
    }

    /// Streams of this kind that the peer opened.
    pub(crate) fn theirs(&self, connection: ConnectionId, kind: u16) -> Vec<ChannelId> {
        self.find(connection, kind, Direction::Inbound).map(|(channel, _)| channel).collect()
    }

    fn find(&self, connection: ConnectionId, kind: u16, opener: Direction) -> impl Iterator<Item = (ChannelId, &Open)> {
        let all = self.of.get(&connection).into_iter().flatten();
        all.filter(move |(_, open)| open.kind == kind && open.opener == opener).map(|(channel, open)| (*channel, open))
    }

    pub(crate) fn stock(&self, peers: usize, stocks: &mut Stocks) {
        let streams = self.of.values().map(BTreeMap::len).sum();
        stocks.push(Stock::of_peers("streams", streams, peers * STREAMS_MAX));
        stocks.push(Stock::of_peers("connections with streams", self.of.len(), peers));
    }
}
