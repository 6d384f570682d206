//! Says what a protocol is to the engine: one value a network, told what happens, speaking through a [`Context`].

use crate::{
    Address, BadFrame, ChannelEnd, ChannelId, ConnectionId, Context, DialFailure, Direction, DisconnectCause, Frame,
    Framer, Misbehavior, Profile, Stocks, Ticket,
};
use bytes::Bytes;
use core::fmt::Debug;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// The two ends of a connection.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ends {
    /// Who opened it.
    pub direction: Direction,
    /// Our end.
    pub local: Address,
    /// The peer's end. For an inbound connection its port is not the one that the peer listens on.
    pub remote: Address,
    /// The address that was dialled, for an outbound connection.
    pub dialled: Option<Address>,
    /// The peer's key, when the transport proved it.
    pub identity: Option<Bytes>,
    /// Whether the peer also takes frames that are compressed with gzip. Only a transport that agrees on compression
    /// with the peer sets it: see [`crate::Transport::Grpc`].
    pub takes_compressed: bool,
}

impl Ends {
    /// The IP address that caps and groups count: the one that was dialled, else the peer's.
    pub(crate) fn counted_ip(&self) -> core::net::IpAddr {
        self.dialled.unwrap_or(self.remote).ip()
    }
}

/// Why a peer in good standing is let go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Parting {
    /// Its slot is needed.
    Evicted,
    /// This node is going down.
    Drained,
    /// The operator wants it.
    Dropped,
}

/// One network's rules: what to say and whom to believe.
///
/// A handler gets the connection's peer by value and gives it back. `Err` drops the peer's state, records the blame,
/// says the last word and closes the connection: `?` on a decode is the ban policy. While a handler runs its own
/// peer is out of the table, so iterating over peers sees the others only. After `Err`, or after
/// [`Context::close`], nothing more of that connection is handed in but `on_disconnected`, once.
pub trait Protocol: Sized + Send + 'static {
    /// The protocol's name in lower case, as configuration and metrics show it.
    const NAME: &'static str;
    /// The network's section of the configuration. It is part of a recording, so no secret belongs in it.
    type Config: Clone + Debug + Send + Serialize + DeserializeOwned + 'static;
    /// What is known of one connection, an enum from first word to ready.
    type Peer: Debug + Send + 'static;
    /// What a peer can do wrong.
    type Misbehavior: Misbehavior;
    /// The protocol's timers.
    type Alarm: Ord + Copy + Debug + Send + 'static;
    /// What it asks its ledger.
    type Request: Clone + Debug + PartialEq + Send + Serialize + 'static;
    /// What a ledger, or a producer, tells it.
    type Answer: Clone + Debug + PartialEq + Send + Serialize + DeserializeOwned + 'static;
    /// How bytes become frames.
    type Framer: Framer;

    /// The network as data, for shell and host.
    fn profile(config: &Self::Config) -> Profile;

    /// The framer for what the peer sends on a channel of this kind; `opener` is who opened the channel, or the
    /// connection itself for [`ChannelId::ONLY`].
    fn framer(config: &Self::Config, kind: u16, opener: Direction) -> Self::Framer;

    /// Starts. Records of [`crate::Table::Protocol`] are in [`Context::records`].
    fn new(config: Self::Config, cx: &mut Context<'_, Self>) -> Self;

    /// A connection stands and was admitted.
    fn on_connected(
        &mut self,
        cx: &mut Context<'_, Self>,
        connection: ConnectionId,
    ) -> Result<Self::Peer, Self::Misbehavior>;

    /// A dial came to nothing; the dialer has noted it already.
    fn on_dial_failed(&mut self, cx: &mut Context<'_, Self>, address: Address, cause: DialFailure) {
        let _ = (cx, address, cause);
    }

    /// A channel opened.
    fn on_channel(
        &mut self,
        cx: &mut Context<'_, Self>,
        connection: ConnectionId,
        peer: Self::Peer,
        channel: ChannelId,
        kind: u16,
        opener: Direction,
    ) -> Result<Self::Peer, Self::Misbehavior> {
        let _ = (cx, connection, channel, kind, opener);
        Ok(peer)
    }

    /// A whole frame came. It is lent: see [`Frame::keep`].
    fn on_frame(
        &mut self,
        cx: &mut Context<'_, Self>,
        connection: ConnectionId,
        peer: Self::Peer,
        channel: ChannelId,
        frame: Frame<'_>,
    ) -> Result<Self::Peer, Self::Misbehavior>;

    /// The framer refused bytes. After a fatal one `Ok` still closes the connection, lingering; where a connection is many
    /// channels, it breaks off the channel and no more.
    fn on_bad_frame(
        &mut self,
        cx: &mut Context<'_, Self>,
        connection: ConnectionId,
        peer: Self::Peer,
        channel: ChannelId,
        bad: BadFrame,
    ) -> Result<Self::Peer, Self::Misbehavior>;

    /// Answers may go on: see [`Context::is_writable`] and [`Context::may_serve`].
    fn on_writable(
        &mut self,
        cx: &mut Context<'_, Self>,
        connection: ConnectionId,
        peer: Self::Peer,
        channel: ChannelId,
    ) -> Result<Self::Peer, Self::Misbehavior> {
        let _ = (cx, connection, channel);
        Ok(peer)
    }

    /// A channel closed.
    fn on_channel_closed(
        &mut self,
        cx: &mut Context<'_, Self>,
        connection: ConnectionId,
        peer: Self::Peer,
        channel: ChannelId,
        end: ChannelEnd,
    ) -> Result<Self::Peer, Self::Misbehavior> {
        let _ = (cx, connection, channel, end);
        Ok(peer)
    }

    /// The shell lets a peer go: the last word, and how to close. The protocol sends its goodbye and either closes
    /// here or, when it waits for an answer, sets an alarm and closes then.
    fn on_parting(
        &mut self,
        cx: &mut Context<'_, Self>,
        connection: ConnectionId,
        peer: Self::Peer,
        why: Parting,
    ) -> Result<Self::Peer, Self::Misbehavior>;

    /// A connection is gone. `peer` is what was known of it, unless a conviction took it.
    fn on_disconnected(
        &mut self,
        cx: &mut Context<'_, Self>,
        connection: ConnectionId,
        peer: Option<Self::Peer>,
        cause: DisconnectCause,
    );

    /// The ledger answered, or spoke of its own accord when there is no ticket.
    fn on_answer(&mut self, cx: &mut Context<'_, Self>, ticket: Option<Ticket>, answer: Self::Answer);

    /// The host wants something sent to every ready peer.
    fn on_broadcast(&mut self, cx: &mut Context<'_, Self>, kind: u16, payload: Bytes) {
        let _ = (cx, kind, payload);
    }

    /// An alarm of the protocol's own is due.
    fn on_alarm(&mut self, cx: &mut Context<'_, Self>, alarm: Self::Alarm);

    /// An alarm of one connection is due. It was dropped if the connection went first.
    fn on_peer_alarm(
        &mut self,
        cx: &mut Context<'_, Self>,
        connection: ConnectionId,
        peer: Self::Peer,
        alarm: Self::Alarm,
    ) -> Result<Self::Peer, Self::Misbehavior>;

    /// How much it holds of everything that it keeps many of, while so many peers are connected.
    fn stock(&self, peers: usize, stocks: &mut Stocks) {
        let _ = (peers, stocks);
    }

    /// What the API shows of a peer beyond the shell's own fields.
    fn describe(&self, peer: &Self::Peer) -> PeerAbout {
        let _ = peer;
        PeerAbout::default()
    }
}

/// What a protocol knows of a peer, for people. Names follow Bitcoin Core's `getpeerinfo`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PeerAbout {
    /// What the peer calls its software.
    pub subver: alloc::string::String,
    /// The height that the peer was last known to have, in blocks.
    pub synced_blocks: Option<u64>,
    /// The last round trip of a ping, in microseconds.
    pub ping_micros: Option<u64>,
    /// The peer's clock less ours, in seconds.
    pub time_offset: Option<i64>,
    /// The name of its node key, as it claims; nothing proves it.
    pub node_address: Option<alloc::string::String>,
}
