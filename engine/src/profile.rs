//! Describes a network and a node to the shell, as data.

use crate::{Address, AsMap, Phase};
use alloc::string::String;
use alloc::vec::Vec;
use core::time::Duration;
use serde::{Deserialize, Serialize};

/// What the shell must know of a network. A protocol derives it from its configuration.
#[derive(Clone, Debug)]
pub struct Profile {
    /// The port that the network's nodes listen on when nothing else is said.
    pub default_port: u16,
    /// Where a node finds its first peers.
    pub seeds: Vec<Target>,
    /// The phase in which batching may begin: the last one that a channel reaches.
    pub last_phase: Phase,
    /// Bytes queued for one connection. A frame above it is dropped or ends the connection, as its [`crate::Overflow`]
    /// says. At least the largest frame.
    pub queue_bytes_max: usize,
    /// Once this many bytes were sent on a channel, answers wait for [`crate::P2pAction::Writable`].
    pub low_water_bytes: usize,
    /// Slips that are borne at one time.
    pub slips_max: u32,
    /// How long a slip counts.
    pub slip_fade: Duration,
    /// How long a closing connection may flush or linger before it is cut.
    pub linger: Duration,
    /// How long a frame that was begun may take to become whole; nothing when the protocol does not care. The host
    /// watches it and hands in a [`crate::BadFrame::TOO_SLOW`].
    pub frame_time_max: Option<Duration>,
    /// Bytes of frames in the making, all connections together; nothing when only the process's own budget counts.
    /// When it is spent the host hands in a [`crate::BadFrame::OVER_BUDGET`] for the connection with the longest one.
    pub partial_bytes_budget: Option<usize>,
    /// What carries the network's bytes.
    pub transport: Transport,
}

/// What carries a network's bytes from peer to peer: which one it is decides nothing but whether bytes arrive.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Transport {
    /// A TCP connection, and nothing else.
    #[default]
    Tcp,
    /// One streaming call of gRPC, which whoever dialled makes, over HTTP/2 without TLS. Frames come and go with
    /// gRPC's prefix (a flag that says whether gzip compressed the message, and its length): the framer cuts it. What
    /// the peer agreed to is in [`crate::Ends::takes_compressed`].
    Grpc {
        /// The method's path: `/package.Service/Method`.
        path: &'static str,
        /// How long the other side may take to open the call: a peer that dialled until its request, one that was
        /// dialled until its response headers.
        open_time_max: Duration,
        /// A call that someone else opened is pending until its channel reaches this phase.
        pending_below: Phase,
        /// Pending calls. More are refused with gRPC's status 8 before the engine hears of them.
        pending_max: usize,
        /// Pending calls from one IP address; loopback is spared with [`P2pConfig::spare_loopback`].
        pending_per_ip_max: usize,
    },
    /// A WebSocket (RFC 6455), which whoever dialled asks for at `/`, without subprotocol or extension.
    ///
    /// A frame is one message, as a server sends a binary one in a single frame (section 5.2 there): the byte `82`, the
    /// payload's length in the shortest of its three forms (one byte below 126; `7e` and two bytes; `7f` and eight), the
    /// payload. That is what a protocol sends, and what its framer cuts, whichever side dialled: the host masks and
    /// unmasks, puts fragments together, hands text on as if it were binary, and answers pings. Control frames never
    /// come up, so they are no sign of life. What breaks the rules becomes a [`crate::BadFrame::OF_TRANSPORT`], and is
    /// told in the CLOSE that ends the connection; any other CLOSE that we send first is empty.
    WebSocket {
        /// The payload of a message, fragments together, from the phase `pending_below` on. The length of a frame is
        /// judged when it is announced, before a byte of the payload is kept; more is answered with CLOSE 1009.
        message_bytes_max: usize,
        /// The same before that phase, whoever dialled.
        early_bytes_max: usize,
        /// How long the other side may take to accept the connection, and again for its part of the upgrade.
        open_time_max: Duration,
        /// A connection that someone else opened is pending until its channel reaches this phase.
        pending_below: Phase,
        /// Pending connections. More are refused with HTTP's status 503 before the engine hears of them.
        pending_max: usize,
        /// Pending connections from one IP address; loopback is spared with [`P2pConfig::spare_loopback`].
        pending_per_ip_max: usize,
    },
    /// A libp2p connection: many streams on one socket, each a channel of its own.
    Libp2p(Libp2p),
}

impl Transport {
    /// Whether a connection is many channels, opened and closed while it stands. Else it is one, [`crate::ChannelId::ONLY`],
    /// open from the start; where there are many that one is not among them, and what is sent on it goes nowhere.
    pub fn has_channels(&self) -> bool {
        matches!(self, Self::Libp2p(_))
    }
}

/// A libp2p connection over TCP: a private network's cipher (XSalsa20), multistream-select, Noise XX, yamux.
///
/// A stream is a channel, and the name that its two ends agree on is the channel's kind. What the engine opens comes to
/// stand with [`crate::P2pAction::ChannelOpened`], or ends as [`crate::ChannelEnd::Refused`]; what the peer opens is
/// agreed on by the host, refused with `na` when its name is none of these, and opened when it is. A framer cuts what
/// comes on a channel; finishing closes one half of its stream, and a channel that ends is none of the connection's end.
/// The peer proves its key before the connection stands: [`crate::Ends::identity`] is its id, 38 bytes (`00 24 08 01 12
/// 20` and an ed25519 key). Our own key is the host's, and no engine sees it. Whoever dials an address of which the id is
/// known compares it itself.
///
/// What breaks yamux's rules becomes a [`crate::BadFrame::OF_TRANSPORT`] on [`crate::ChannelId::ONLY`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Libp2p {
    /// The private network's key. Whoever has another one is not understood, and does not understand.
    pub network_key: [u8; 32],
    /// The name under which yamux is agreed on.
    pub muxer: &'static str,
    /// Whether that name is also offered within the Noise handshake, which spares those a round trip who do so too.
    pub offers_muxer_early: bool,
    /// The kinds of channels. No two have the same number.
    pub channels: &'static [ChannelKind],
    /// How long all may take until the muxer stands.
    pub open_time_max: Duration,
    /// How long the peer's nonce may take, the first thing that it says.
    pub nonce_time_max: Duration,
    /// How long one agreement may take: on the cipher, on the muxer, on what a stream is for.
    pub select_time_max: Duration,
    /// Bytes that are taken from a peer before a muxer is agreed on, its nonce aside.
    pub early_bytes_max: usize,
    /// Streams of one connection that we opened and that are not closed. More are refused, without asking the peer.
    pub own_streams_max: usize,
    /// Streams of one connection that the peer opened and that are not closed, those without an agreement too. More are
    /// closed at once. Each may bring 256 KiB before it is read.
    pub their_streams_max: usize,
    /// A connection that someone else opened is pending until [`crate::Context::set_phase`] gives it this phase.
    pub pending_below: Phase,
    /// Pending connections. More are closed before the engine hears of them.
    pub pending_max: usize,
    /// Pending connections from one IP address; loopback is spared with [`P2pConfig::spare_loopback`].
    pub pending_per_ip_max: usize,
}

/// One kind of channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChannelKind {
    /// The protocol's number for it.
    pub kind: u16,
    /// The name that both ends agree on, at most 254 bytes without a line feed; it need not begin with a slash.
    pub name: &'static str,
    /// Whether the peer may open it. Ours may be opened either way.
    pub is_answered: bool,
}

/// Someone the operator names: an address, or a name that the host resolves.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Target {
    /// An IP address and port.
    Address(Address),
    /// A host name and port.
    Name(String, u16),
}

/// What an operator decides for every network alike. Part of a recording.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct P2pConfig {
    /// Where the host listens, with the port it really got; nothing when it does not.
    pub listen: Option<Address>,
    /// Where others reach this node, when the operator knows better than the socket.
    pub external: Option<Address>,
    /// Dialled again whenever lost, besides discovery.
    pub add_peers: Vec<Target>,
    /// When not empty only these are dialled, again whenever lost.
    pub connect_only: Vec<Target>,
    /// Connections that the dialer keeps up, at least while candidates are left.
    pub outbound_target: u32,
    /// Inbound connections. A newcomer beyond them takes the place of one that is not protected, or is closed at once.
    pub inbound_max: u32,
    /// Inbound connections from one IPv4 address or IPv6 /64, and dials to one that are not for a peer that the
    /// operator named; loopback is spared with `spare_loopback`.
    pub inbound_per_ip_max: u32,
    /// Whether to ask peers for addresses and dial what they name.
    pub discovery: bool,
    /// Whether loopback and private addresses are ordinary ones: true on a private network.
    pub private_addresses: bool,
    /// Loopback peers are never banned or discouraged and count in no cap per address or group.
    pub spare_loopback: bool,
    /// Entries in the address book; the least useful leaves first. About 115 bytes each, and only of those that there
    /// are. The sizes of its tables follow: a fifth is for addresses that were dialled.
    pub book_max: u32,
    /// Which autonomous system announces an address; the groups by which the book and the dialer spread. Empty: by
    /// IPv4 /16 and IPv6 /32.
    pub as_map: AsMap,
    /// Inbound connections from one network group, an IPv4 /16 or IPv6 /32; loopback is spared with `spare_loopback`.
    pub inbound_per_group_max: u32,
    /// Bytes a second that may be sent to all peers together; 0 for as many as they take. History waits for what
    /// handshakes, keep-alives and news leave.
    pub upload_rate: u64,
}

impl Default for P2pConfig {
    fn default() -> Self {
        Self {
            listen: None,
            external: None,
            add_peers: Vec::new(),
            connect_only: Vec::new(),
            outbound_target: 8,
            inbound_max: 117,
            inbound_per_ip_max: 16,
            discovery: true,
            private_addresses: false,
            spare_loopback: true,
            book_max: 81_920,
            as_map: AsMap::default(),
            // Above half of the default slots: one group never has them all, and a private network in one /16 works.
            inbound_per_group_max: 64,
            upload_rate: 0,
        }
    }
}

impl Default for Profile {
    /// What a network without its own opinion gets.
    fn default() -> Self {
        Self {
            default_port: 0,
            seeds: Vec::new(),
            last_phase: Phase(0),
            queue_bytes_max: 8 << 20,
            low_water_bytes: 256 << 10,
            slips_max: 20,
            slip_fade: Duration::from_secs(60),
            linger: Duration::from_secs(3),
            frame_time_max: None,
            partial_bytes_budget: None,
            transport: Transport::Tcp,
        }
    }
}
