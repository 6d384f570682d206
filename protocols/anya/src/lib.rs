//! Speaks AnYa.
//!
//! AnYa is a flooding network of equals over plain TCP: a 36-byte header and a payload, sixteen types of messages.
//! Transactions and blocks are sent in full, once, to everyone. Whoever joins learns the chain's waypoints and fetches
//! what lies between them from all peers at once. The wire is `docs/specs/anya.md`, "AnYa spec" in comments; blocks
//! and transactions are whatever [`ChainFormat`] and the ledger make of them.
//!
//! ```text
//!   dialler                                     acceptor
//!      │ connect(own address) ────────────────────► │  is it ourselves? full? banned? then close without a word
//!      │ ◄──────────── connection_accepted(address) │
//!      │ get_blockchain_info ◄────────────────────► │  both ask; another network: disconnect, no blame
//!      │ blockchain_info(tip, waypoints) ◄────────► │  fits: ready, new things are relayed to it
//!      │ get_peers ───────────────────────────────► │
//!      │ ◄────────────────────────── peers(proven)  │
//!      │ get_block ... block ◄────────────────────► │  catching up (sync.rs)
//!      │ get_mempool ... mempool ◄────────────────► │  once, when the peer's tip is held
//!      │ tx, block ◄──────────────────────────────► │  relay (relay.rs)
//!      │ ping, pong ◄─────────────────────────────► │  after 30 s without a frame
//!      │ disconnect, disconnect_ack ◄─────────────► │  the end
//! ```
//!
//! What it refuses to do: believe an address, a height or an amount of work because a peer says so; hold what was only
//! announced; answer an `error`.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

pub mod config;
mod discovery;
mod handshake;
mod ledger;
mod liveness;
mod misbehavior;
mod orphans;
mod pool;
mod relay;
mod serve;
mod sync;
pub mod wire;

pub use config::{Config, ConnectForm};
pub use misbehavior::Misbehavior;

use alloc::boxed::Box;
use bytes::Bytes;
use core::marker::PhantomData;
use core::time::Duration;
use discovery::Discovery;
use handshake::{AwaitAccepted, AwaitConnect, Greeted};
use ledger::{Asked, Desk};
use liveness::Parting;
use polypeer_engine::kit::chain::{Answer, ChainFormat, Request};
use polypeer_engine::{
    Address, BadFrame, ChannelId, Close, ConnectionId, Context, Direction, DisconnectCause, Frame, PeerAbout, Profile,
    Protocol, Stocks, Ticket, Time,
};
use pool::Pools;
use relay::Relay;
use serve::{Reply, Serve, refusal};
use sync::Sync;
use wire::{BadReason, Framer, Kind, PHASE_OPEN, code};

/// One AnYa network: what this node says, and whom it believes.
#[derive(Debug)]
pub struct Anya<F> {
    config: Config,
    desk: Desk,
    discovery: Discovery,
    pools: Pools,
    relay: Relay,
    serve: Serve,
    sync: Sync,
    format: PhantomData<fn() -> F>,
}

type Cx<'a, F> = Context<'a, Anya<F>>;

/// What is known of one connection, from first word to last.
#[derive(Debug)]
pub enum Peer {
    /// We accepted; becomes `Open` with `connect`.
    AwaitConnect(AwaitConnect),
    /// We dialled; becomes `Open` with `connection_accepted`.
    AwaitAccepted(AwaitAccepted),
    /// Both are equal; becomes `Parting` when we want to end it.
    Open(Box<Open>),
    /// We sent `disconnect`; ends with its answer, or without.
    Parting(Parting),
}

/// An open connection. What is fetched from it or waits to be sent on it is kept in the rooms that do so.
#[derive(Debug)]
pub struct Open {
    // The address that the peer calls its own. A claim.
    claimed: Address,
    // Its chain fits ours: new things are relayed to it.
    is_ready: bool,
    // The height that it claimed last.
    height: u64,
    has_asked_peers: bool,
    awaits_peers: bool,
    has_sent_pool: bool,
    transactions_at_ledger: u32,
    // When a ping was sent, until a frame came.
    pinged: Option<Time>,
    // When a ping was sent, until its pong came.
    awaits_pong: Option<Time>,
    round_trip: Option<Duration>,
}

impl Open {
    fn new(claimed: Address) -> Self {
        Self {
            claimed,
            is_ready: false,
            height: 0,
            has_asked_peers: false,
            awaits_peers: false,
            has_sent_pool: false,
            transactions_at_ledger: 0,
            pinged: None,
            awaits_pong: None,
            round_trip: None,
        }
    }
}

/// The timers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Alarm {
    /// Claimed addresses wait for a free slot.
    Claims,
    /// What was fetched for nothing can go.
    Tidy,
    /// The handshake must be finished.
    Handshake,
    /// Is the peer still there?
    Liveness,
    /// The answer to `disconnect` is due.
    Parting,
    /// The oldest `get_block` runs out.
    Requests,
    /// The `mempool` is due, or its reading goes on.
    Pool,
    /// Ask for `blockchain_info` again.
    Info,
    /// Does a claim still lead anywhere?
    Stall,
    /// Is another peer slow to deliver what this one has too?
    Hedge,
}

impl<F: ChainFormat> Protocol for Anya<F> {
    const NAME: &'static str = "anya";
    type Config = Config;
    type Peer = Peer;
    type Misbehavior = Misbehavior;
    type Alarm = Alarm;
    type Request = Request;
    type Answer = Answer;
    type Framer = Framer;

    fn profile(config: &Config) -> Profile {
        config.profile()
    }

    fn framer(config: &Config, _kind: u16, opener: Direction) -> Framer {
        Framer::new(config.limits(), opener)
    }

    fn new(config: Config, cx: &mut Cx<'_, F>) -> Self {
        let (relay, sync) = (Relay::new(cx.random().number()), Sync::new(&config, cx.random().number()));
        let (mut desk, discovery, pools, serve) = Default::default();
        Desk::ask::<F>(&mut desk, cx, Request::Tip, Asked::Tip);
        Self { config, desk, discovery, pools, relay, serve, sync, format: PhantomData }
    }

    fn on_connected(&mut self, cx: &mut Cx<'_, F>, connection: ConnectionId) -> Result<Peer, Misbehavior> {
        cx.peer_alarm(connection, Alarm::Handshake, cx.time() + self.config.handshake_timeout);
        Ok(match connection.direction() {
            Direction::Inbound => Peer::AwaitConnect(AwaitConnect),
            Direction::Outbound => Peer::AwaitAccepted(AwaitAccepted::greet(self, cx, connection)),
        })
    }

    fn on_frame(
        &mut self,
        cx: &mut Cx<'_, F>,
        connection: ConnectionId,
        peer: Peer,
        _channel: ChannelId,
        frame: Frame<'_>,
    ) -> Result<Peer, Misbehavior> {
        match peer {
            Peer::Open(open) => self.open_frame(cx, connection, open, frame),
            Peer::AwaitConnect(state) => {
                let Some(greeted) = state.connect(cx, connection, greeting(frame, Kind::Connect)?)? else {
                    return Ok(Peer::Parting(Parting));
                };
                Ok(self.opened(cx, connection, greeted))
            }
            Peer::AwaitAccepted(state) => {
                let greeted = state.accepted(greeting(frame, Kind::ConnectionAccepted)?)?;
                Ok(self.opened(cx, connection, greeted))
            }
            Peer::Parting(parting) => {
                Self::parting_frame(cx, connection, &frame);
                Ok(Peer::Parting(parting))
            }
        }
    }

    fn on_bad_frame(
        &mut self,
        cx: &mut Cx<'_, F>,
        connection: ConnectionId,
        peer: Peer,
        _channel: ChannelId,
        bad: BadFrame,
    ) -> Result<Peer, Misbehavior> {
        if let Peer::Parting(_) = peer {
            return Ok(peer);
        }
        let name = wire::name_in(&bad.head);
        let kind = Kind::of(&name);
        match (BadReason::of(bad.reason), kind) {
            (Some(BadReason::NotGreeting), _) => Err(Misbehavior::NotGreeting(name)),
            (Some(BadReason::ErrorFirst), _) => Err(Misbehavior::ErrorFirst),
            (Some(BadReason::UnknownTooLong), _) => Err(Misbehavior::UnknownTooLong(name)),
            (Some(BadReason::ErrorTooLong), _) => Err(Misbehavior::ErrorTooLong),
            (Some(BadReason::TooLong), Some(kind)) => Err(Misbehavior::PayloadTooLong(kind)),
            (Some(BadReason::GreetingAgain), Some(kind)) => {
                cx.slip(connection, Misbehavior::GreetingAgain(kind));
                Ok(peer)
            }
            (Some(BadReason::Unknown), _) => {
                self.requested(cx, connection, Reply::Refusal(name, code::UNKNOWN_MESSAGE_TYPE))?;
                Ok(peer)
            }
            (Some(BadReason::PoolUnasked), _) => Ok(peer),
            (Some(BadReason::Malformed), _) => Err(Misbehavior::MalformedType),
            // The host's own reasons: a fatal one closes the connection.
            _ => Ok(peer),
        }
    }

    fn on_writable(
        &mut self,
        cx: &mut Cx<'_, F>,
        connection: ConnectionId,
        peer: Peer,
        _channel: ChannelId,
    ) -> Result<Peer, Misbehavior> {
        self.pump(cx, connection);
        Ok(peer)
    }

    fn on_parting(
        &mut self,
        cx: &mut Cx<'_, F>,
        connection: ConnectionId,
        peer: Peer,
        _why: polypeer_engine::Parting,
    ) -> Result<Peer, Misbehavior> {
        match peer {
            Peer::Open(_) => Ok(self.part(cx, connection)),
            Peer::Parting(_) => Ok(peer),
            // A `disconnect` would be out of place before the handshake is done.
            Peer::AwaitConnect(_) | Peer::AwaitAccepted(_) => {
                cx.close(connection, Close::Now, "let go during the handshake");
                Ok(peer)
            }
        }
    }

    fn on_disconnected(
        &mut self,
        cx: &mut Cx<'_, F>,
        connection: ConnectionId,
        _peer: Option<Peer>,
        _cause: DisconnectCause,
    ) {
        self.forget(cx, connection);
    }

    fn on_answer(&mut self, cx: &mut Cx<'_, F>, ticket: Option<Ticket>, answer: Answer) {
        self.answered(cx, ticket, answer);
    }

    fn on_broadcast(&mut self, cx: &mut Cx<'_, F>, kind: u16, payload: Bytes) {
        self.broadcast(cx, kind, &payload);
    }

    fn stock(&self, peers: usize, stocks: &mut Stocks) {
        self.desk.stock(stocks);
        self.discovery.stock(stocks);
        self.pools.stock(peers, stocks);
        self.relay.stock(peers, stocks);
        self.serve.stock(peers, stocks);
        self.sync.stock(peers, stocks);
    }

    fn on_alarm(&mut self, cx: &mut Cx<'_, F>, alarm: Alarm) {
        match alarm {
            Alarm::Claims => self.prove_claims(cx),
            Alarm::Tidy => self.tidy(),
            _ => {}
        }
    }

    fn on_peer_alarm(
        &mut self,
        cx: &mut Cx<'_, F>,
        connection: ConnectionId,
        mut peer: Peer,
        alarm: Alarm,
    ) -> Result<Peer, Misbehavior> {
        match (alarm, &mut peer) {
            (Alarm::Handshake, Peer::AwaitConnect(_) | Peer::AwaitAccepted(_)) => {
                return Err(Misbehavior::HandshakeTimeout);
            }
            (Alarm::Parting, Peer::Parting(_)) => cx.close(connection, Close::Now, "disconnect was not answered"),
            (Alarm::Liveness, Peer::Open(open)) => self.look(cx, connection, open)?,
            (Alarm::Requests, Peer::Open(_)) => self.requests_late(cx, connection),
            (Alarm::Pool, Peer::Open(_)) => self.pool_due(cx, connection),
            (Alarm::Info, Peer::Open(_)) => self.ask_info(cx, connection),
            (Alarm::Stall, Peer::Open(_)) => self.stalled(cx, connection),
            (Alarm::Hedge, Peer::Open(_)) => self.hedge(cx, connection),
            _ => {}
        }
        Ok(peer)
    }

    fn describe(&self, peer: &Peer) -> PeerAbout {
        let Peer::Open(open) = peer else { return PeerAbout::default() };
        PeerAbout {
            synced_blocks: open.is_ready.then_some(open.height),
            ping_micros: open.round_trip.and_then(|wait| u64::try_from(wait.as_micros()).ok()),
            ..PeerAbout::default()
        }
    }
}

impl<F: ChainFormat> Anya<F> {
    /// Whether a chain with more work is being fetched.
    pub fn is_catching_up(&self) -> bool {
        self.sync.is_catching_up()
    }

    // A message on an open connection, by its type.
    fn open_frame(
        &mut self,
        cx: &mut Cx<'_, F>,
        connection: ConnectionId,
        mut open: Box<Open>,
        frame: Frame<'_>,
    ) -> Result<Peer, Misbehavior> {
        let payload = wire::payload(&frame);
        match Kind::of(&wire::name_in(&frame)) {
            Some(Kind::Tx) => self.transaction_arrived(cx, connection, &mut open, frame),
            Some(Kind::Block) => self.block_arrived(cx, connection, &mut open, frame)?,
            Some(Kind::GetBlock) => self.block_requested(cx, connection, payload)?,
            Some(Kind::Ping) => self.requested(cx, connection, Reply::Pong)?,
            Some(Kind::Pong) => Self::pong(cx, connection, &mut open),
            Some(Kind::GetBlockchainInfo) => self.requested(cx, connection, Reply::Info)?,
            Some(Kind::BlockchainInfo) => {
                if self.info_arrived(cx, connection, &mut open, payload).is_none() {
                    return Ok(self.part(cx, connection));
                }
            }
            Some(Kind::GetMempool) => {
                let refused = refusal(self.config.serve_mempool, Kind::GetMempool);
                self.requested(cx, connection, refused.unwrap_or(Reply::Mempool))?;
            }
            Some(Kind::Mempool) => self.pool_arrived(cx, connection, &mut open, frame),
            Some(Kind::GetPeers) => {
                let refused = refusal(self.config.serve_peers, Kind::GetPeers);
                self.requested(cx, connection, refused.unwrap_or(Reply::Peers(open.claimed)))?;
            }
            Some(Kind::Peers) => self.learn_peers(cx, connection, &mut open, payload),
            Some(Kind::Error) => self.error_arrived(cx, connection, payload),
            Some(Kind::Disconnect) => Self::parted(cx, connection),
            Some(Kind::DisconnectAck) => {
                cx.slip(connection, Misbehavior::AckUnasked);
            }
            // The framer lets neither these nor unknown types through.
            Some(kind @ (Kind::Connect | Kind::ConnectionAccepted)) => {
                cx.slip(connection, Misbehavior::GreetingAgain(kind));
            }
            None => return Err(Misbehavior::MalformedType),
        }
        Ok(Peer::Open(open))
    }

    // An `error` is never answered, whatever is in it. Only one means something: a block that was asked for is not
    // there.
    fn error_arrived(&mut self, cx: &mut Cx<'_, F>, connection: ConnectionId, payload: &[u8]) {
        match Kind::of(&wire::name_in(payload)) {
            Some(Kind::GetBlock) => self.block_refused(cx, connection),
            Some(Kind::GetMempool) => self.pool_done(cx, connection),
            _ => {}
        }
    }

    // The handshake is done: from now on both sides are equal.
    fn opened(&mut self, cx: &mut Cx<'_, F>, connection: ConnectionId, greeted: Greeted) -> Peer {
        cx.set_phase(connection, PHASE_OPEN);
        cx.cancel_peer_alarm(connection, Alarm::Handshake);
        if let Some(dialled) = cx.ends(connection).and_then(|ends| ends.dialled) {
            cx.prove(dialled);
        }
        self.watch(cx, connection);
        self.source_opened(cx, connection);
        self.claimed(cx, connection, greeted.claimed);
        Peer::Open(Box::new(Open::new(greeted.claimed)))
    }

    // The peer's chain fits ours.
    fn ready(&mut self, cx: &mut Cx<'_, F>, connection: ConnectionId, open: &mut Open, height: u64) {
        open.height = height;
        if !core::mem::replace(&mut open.is_ready, true) {
            cx.ready(connection, "");
            self.relay.joined(connection);
            self.ask_peers(cx, connection, open);
        }
    }

    // A connection is gone, or says goodbye: no room keeps anything of it.
    fn forget(&mut self, cx: &mut Cx<'_, F>, connection: ConnectionId) {
        self.relay.left(connection);
        self.serve.gone(connection);
        self.discovery.gone(connection);
        self.pool_done(cx, connection);
        self.source_gone(cx, connection);
    }
}

// The payload of the one message that the handshake waits for; the framer lets no other through.
fn greeting(frame: Frame<'_>, kind: Kind) -> Result<&[u8], Misbehavior> {
    let name = wire::name_in(&frame);
    if name == kind.name() { Ok(wire::payload(frame.bytes())) } else { Err(Misbehavior::NotGreeting(name)) }
}
