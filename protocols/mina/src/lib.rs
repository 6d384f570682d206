//! Speaks Mina.
//!
//! The network of Berkeley's format, on a private libp2p network (Mina spec, sections 1 and 2): TCP, a cipher keyed by the
//! chain's id, Noise and yamux are the transport's; everything on their streams is here, and pure.
//!
//! ```text
//!   either                                              either
//!     │── identify? ──────────────────────►  ◄────────────── identify? ──│  a stream each way: key, names, addresses
//!     │◄──────────────────────────── identify                            │
//!     │── meshsub: subscriptions ─────────►  ◄─────── subscriptions ─────│  a stream each way, for as long as both stand
//!     │── coda/rpcs: handshake, menu? ────►  ◄─────────────── menu ──────│  ready
//!     │── best tip?, transition chain? ───►  ◄────────────── blocks ─────│  catching up
//!     │── GRAFT, PRUNE, IHAVE, IWANT ─────►  ◄───────────────────────────│  each heartbeat
//!     │── block, transactions, work ──────►  ◄───────────────────────────│  signed by their authors, judged, sent on
//!     │── FIND_NODE, GET_PROVIDERS ───────►  ◄──────────────── peers ────│  Kademlia
//!     │── ping ───────────────────────────►  ◄────────────────── echo ───│
//! ```
//!
//! | room | what |
//! |---|---|
//! | [`streams`] | the kinds of streams, and how each is cut |
//! | `handshake`, `connection`, [`Peer`] | who is behind a connection, what it speaks, when it is ready, which of two stays; its streams and its end |
//! | [`wire`] | what is read and written |
//! | `identify`, `ping`, `node_status`, `peer_exchange` | a stream each |
//! | [`mesh`], driven by `gossip` | who is sent what |
//! | `relay`, `publish` | what is sent on, what is our own |
//! | [`kad`], driven by `discovery` | who is where |
//! | [`rpc`], driven by `serve` and `sync` | questions and answers: what peers ask, what we ask |
//! | [`ledger`] | the other conversation |
//!
//! Attacks and what stands against them: forged blocks (decoded, hashed, held to the cheap rules; what nobody here can
//! verify goes on when two independent peers sent it); floods of one kind of message (each has a lane with a budget of its
//! own, and each peer an account); eclipse (the address book spreads by network groups, two of the mesh are peers that we
//! dialled, our own goes to every subscriber); names of others (the transport proves keys; of two connections one stays);
//! poisoned answers of Kademlia (nobody is in the table who has not answered under a proven key); streams without end (a
//! number of each kind).
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

pub mod binprot;
pub mod block;
mod channels;
pub mod checks;
pub mod command;
pub mod config;
mod connection;
pub mod consensus;
mod discovery;
pub mod envelope;
mod gossip;
mod handshake;
pub mod hash;
pub mod identify;
pub mod kad;
pub mod keys;
pub mod ledger;
pub mod mesh;
mod misbehavior;
pub mod multiaddr;
mod node_status;
mod peer;
pub mod peer_exchange;
mod ping;
mod publish;
mod questions;
mod relay;
pub mod rpc;
mod serve;
pub mod snark;
pub mod streams;
pub mod sync;
pub mod wire;

pub use config::Config;
pub use misbehavior::{Misbehavior, StreamFault};
pub use peer::{Line, Peer, Ready, Stage};
pub use relay::{GossipFault, HELD_MAX, HELD_OF_ONE_MAX, LaneBudget, LaneCounts};

use alloc::collections::BTreeMap;
use core::time::Duration;
use ledger::{Answer, Request, Tip};
use polypeer_engine::{
    Address, BadFrame, ChannelEnd, ChannelId, ConnectionId, Context, DialFailure, Direction, DisconnectCause, Frame,
    Libp2p, Parting, PeerAbout, Profile, Protocol, Stock, Stocks, Ticket, Time, Transport,
};
use questions::Asked;

pub(crate) type Cx<'a> = Context<'a, Mina>;

/// The name under which the network's nodes agree on yamux (Mina spec, section 1.5).
pub const MUXER: &str = "/coda/yamux/1.0.0";
/// How long a connection may take until its muxer stands, and each step on the way (section 9).
const OPEN_TIME_MAX: Duration = Duration::from_secs(10);
const NONCE_TIME_MAX: Duration = Duration::from_secs(2);
const SELECT_TIME_MAX: Duration = Duration::from_secs(5);
/// Bytes that are taken from a peer before a muxer is agreed on (section 1.2).
const EARLY_BYTES_MAX: usize = 1024;
/// Streams of a connection, each way: what the kinds allow together, and a few that are on their way out. The strictest
/// node of the network takes ten of ours, and we open at most six that stay.
const STREAMS_MAX: usize = 40;
/// Connections that others opened and on which no identify came, in all and from one IP address.
const PENDING_MAX: usize = 128;
const PENDING_PER_IP_MAX: usize = 8;
/// What a queue holds: the longest message, and as much again for what is behind it.
const QUEUE_BYTES_MAX: usize = 2 * (32 << 20);
/// Slips fade in this time; see [`Misbehavior`].
const SLIP_FADE: Duration = Duration::from_secs(60 * 60);

/// A node of a Mina network.
#[derive(Debug)]
pub struct Mina {
    config: Config,
    rules: checks::Rules,
    started: Time,
    // Nothing until the ledger has answered the first question.
    tip: Option<Tip>,
    asked: BTreeMap<Ticket, Asked>,
    channels: channels::Channels,
    gossip: gossip::Gossip,
    lanes: relay::Lanes,
    discovery: discovery::Discovery,
    rpc: rpc::Rpc,
    sync: sync::Sync,
}

/// The protocol's timers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Alarm {
    /// The connection must be ready.
    Ready,
    /// Ping the peer.
    Ping,
    /// The peer may have gone silent.
    Silence,
    /// Open streams again that broke.
    Streams,
    /// Whoever had to go was told where others are.
    Part,
    /// The peer's state is late.
    Status,
    /// The mesh's next heartbeat.
    Mesh,
    /// Kademlia wants to be woken.
    Kad,
    /// Questions and answers want to be woken.
    Rpc,
    /// What was held for a second peer may be given up.
    Held,
    /// Look whether a peer is ahead, or a fetch stands still.
    Sync,
}

impl Mina {
    fn start(config: Config, cx: &mut Cx<'_>) -> Self {
        let ticket = cx.ask(Request::Tip);
        let mut mina = Self {
            rules: checks::Rules::of(&config),
            started: cx.time(),
            tip: None,
            asked: BTreeMap::from([(ticket, Asked::Tip)]),
            channels: channels::Channels::default(),
            gossip: gossip::Gossip::new(cx, &config),
            lanes: relay::Lanes::default(),
            discovery: discovery::Discovery::new(cx, &config),
            rpc: rpc::Rpc::new(rpc::Config { serves_ledgers: config.serves_ledgers }),
            sync: sync::Sync::new(config.best_tip_interval),
            config,
        };
        mina.follow(cx);
        mina.wake_kad(cx);
        mina.begin_sync(cx);
        mina
    }

    /// Where the ledger stands, once it has said so.
    pub fn tip(&self) -> Option<&Tip> {
        self.tip.as_ref()
    }

    /// How many peers are ready.
    pub fn ready_peers(&self) -> usize {
        self.discovery.ready()
    }

    /// The mesh, to look at.
    pub fn mesh(&self) -> &mesh::Mesh {
        &self.gossip.mesh
    }

    /// Kademlia, to look at.
    pub fn kad(&self) -> &kad::Kad {
        self.discovery.kad()
    }
}

/// A seed for a room of its own, out of the engine's.
fn seed(cx: &mut Cx<'_>) -> [u8; 32] {
    let mut seed = [0; 32];
    for word in seed.as_chunks_mut::<8>().0 {
        *word = cx.random().number().to_le_bytes();
    }
    seed
}

impl Protocol for Mina {
    const NAME: &'static str = "mina";
    type Config = Config;
    type Peer = Peer;
    type Misbehavior = Misbehavior;
    type Alarm = Alarm;
    type Request = Request;
    type Answer = Answer;
    type Framer = streams::Frames;

    fn profile(config: &Config) -> Profile {
        Profile {
            default_port: config.port,
            seeds: config.seeds.iter().map(|named| named.target.clone()).collect(),
            last_phase: streams::GREETED,
            queue_bytes_max: QUEUE_BYTES_MAX,
            slip_fade: SLIP_FADE,
            transport: Transport::Libp2p(Libp2p {
                network_key: config.network_key(),
                muxer: MUXER,
                offers_muxer_early: true,
                channels: &streams::CHANNELS,
                open_time_max: OPEN_TIME_MAX,
                nonce_time_max: NONCE_TIME_MAX,
                select_time_max: SELECT_TIME_MAX,
                early_bytes_max: EARLY_BYTES_MAX,
                own_streams_max: STREAMS_MAX,
                their_streams_max: STREAMS_MAX,
                pending_below: streams::GREETED,
                pending_max: PENDING_MAX,
                pending_per_ip_max: PENDING_PER_IP_MAX,
            }),
            ..Profile::default()
        }
    }

    fn framer(_: &Config, kind: u16, opener: Direction) -> streams::Frames {
        streams::Frames::of(kind, opener)
    }

    fn new(config: Config, cx: &mut Context<'_, Self>) -> Self {
        Self::start(config, cx)
    }

    fn on_connected(&mut self, cx: &mut Context<'_, Self>, connection: ConnectionId) -> Result<Peer, Misbehavior> {
        self.meet(cx, connection)
    }

    fn on_dial_failed(&mut self, cx: &mut Context<'_, Self>, address: Address, _: DialFailure) {
        self.on_no_answer(cx, address);
    }

    fn on_channel(
        &mut self,
        cx: &mut Context<'_, Self>,
        connection: ConnectionId,
        peer: Peer,
        channel: ChannelId,
        kind: u16,
        opener: Direction,
    ) -> Result<Peer, Misbehavior> {
        self.on_stream(cx, connection, peer, (channel, kind, opener))
    }

    fn on_frame(
        &mut self,
        cx: &mut Context<'_, Self>,
        connection: ConnectionId,
        peer: Peer,
        channel: ChannelId,
        frame: Frame<'_>,
    ) -> Result<Peer, Misbehavior> {
        self.on_stream_frame(cx, connection, peer, channel, frame)
    }

    fn on_bad_frame(
        &mut self,
        cx: &mut Context<'_, Self>,
        connection: ConnectionId,
        peer: Peer,
        channel: ChannelId,
        bad: BadFrame,
    ) -> Result<Peer, Misbehavior> {
        self.on_bad_bytes(cx, connection, peer, channel, &bad)
    }

    fn on_channel_closed(
        &mut self,
        cx: &mut Context<'_, Self>,
        connection: ConnectionId,
        peer: Peer,
        channel: ChannelId,
        end: ChannelEnd,
    ) -> Result<Peer, Misbehavior> {
        self.on_stream_closed(cx, connection, peer, channel, end)
    }

    fn on_parting(
        &mut self,
        cx: &mut Context<'_, Self>,
        connection: ConnectionId,
        peer: Peer,
        why: Parting,
    ) -> Result<Peer, Misbehavior> {
        Ok(self.let_go(cx, connection, peer, why))
    }

    fn on_disconnected(
        &mut self,
        cx: &mut Context<'_, Self>,
        connection: ConnectionId,
        peer: Option<Peer>,
        _: DisconnectCause,
    ) {
        self.on_gone(cx, connection);
        if let Some(peer) = &peer {
            self.learn_where_it_was(cx, connection, peer);
        }
    }

    fn on_answer(&mut self, cx: &mut Context<'_, Self>, ticket: Option<Ticket>, answer: Answer) {
        self.on_ledger(cx, ticket, answer);
    }

    fn on_alarm(&mut self, cx: &mut Context<'_, Self>, alarm: Alarm) {
        match alarm {
            Alarm::Mesh => self.wake_mesh(cx),
            Alarm::Kad => self.wake_kad(cx),
            Alarm::Rpc => self.wake_rpc(cx),
            Alarm::Held => self.on_held_for_long(cx),
            Alarm::Sync => self.look_ahead(cx),
            Alarm::Ready | Alarm::Ping | Alarm::Silence | Alarm::Streams | Alarm::Part | Alarm::Status => {}
        }
    }

    fn on_peer_alarm(
        &mut self,
        cx: &mut Context<'_, Self>,
        connection: ConnectionId,
        peer: Peer,
        alarm: Alarm,
    ) -> Result<Peer, Misbehavior> {
        self.on_time(cx, connection, peer, alarm)
    }

    fn stock(&self, peers: usize, stocks: &mut Stocks) {
        stocks.push(Stock::of_peers("open questions to the ledger", self.asked.len(), usize::MAX));
        self.channels.stock(peers, stocks);
        self.gossip.stock(peers, stocks);
        self.lanes.stock(stocks);
        self.discovery.stock(peers, stocks);
        self.rpc.stock(peers, stocks);
        self.sync.stock(peers, stocks);
    }

    fn describe(&self, peer: &Peer) -> PeerAbout {
        let micros = peer.line.round_trip.and_then(|wait| u64::try_from(wait.as_micros()).ok());
        PeerAbout {
            subver: peer.about().map(|about| about.agent.clone()).unwrap_or_default(),
            synced_blocks: peer.ready().and_then(|ready| ready.length).map(u64::from),
            ping_micros: micros,
            time_offset: None,
            node_address: Some(peer.line.peer_id.text()),
        }
    }
}
