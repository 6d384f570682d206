//! Speaks Hello.
//!
//! A small Bitcoin-like network whose messages are dictionaries: one JSON object a line over TCP, with one entry, the
//! method and its payload. Nodes announce blocks and transactions and fetch what they lack; a tracker, a role of the
//! same program that holds no blocks, knows who is there.
//!
//! ```text
//!   dialler                                          acceptor
//!     │── HELLO block_count, time, port ───────────────►│
//!     │◄─────────────────────────── HEY block_count ────│
//!     │◄──────────────────────── HELLO block_count … ───│
//!     │── HEY block_count ─────────────────────────────►│  connected
//!     │── GETADDR port ────────────────────────────────►│
//!     │◄──────────────────────────────── ADDR [ip:port] │
//!     │── GETLISTOFBLOCKS from, latest, transactions ──►│  each side, and every minute
//!     │◄──────────────────── LISTOFBLOCKS hashes ───────│
//!     │── GETBLOCK hash ───────────────────────────────►│  up to 128 at a time
//!     │◄─────────────────────── BLOCK or NOTFOUND ──────│
//!     │◄────────────────────────── BROADCASTBLOCK ──────│  then GETBLOCK by hash
//!     │◄──────────────────── BROADCASTTRANSACTION ──────│  then GETBLOCK by transaction
//!     │◄───────────────────────── PUSHTRANSACTION ──────│
//!     │── HELLO ───────────────────────────────────────►│  after a minute's silence
//!     │◄──────────────────────────────────── HEY ───────│
//! ```
//!
//! What does not have its form is answered with REJECT and borne, up to twenty times at once ([`Misbehavior`] has the
//! prices). Attacks and what stands against them: lines that never end (a limit before the handshake, one after, 30 s,
//! one budget for all lines in the making); lists of blocks that there are not (a list is a claim of its own that
//! holds nobody up, and whoever cannot deliver is left alone for a minute); floods of announcements (5,000 a peer);
//! questions without end (128 unanswered, answered as the peer reads).
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

mod asking;
mod blocks;
mod config;
mod connection;
mod discovery;
pub mod handshake;
pub mod json;
mod ledger;
mod misbehavior;
mod peer;
mod relay;
mod serve;
mod sync;
pub mod tracker;
pub mod wire;

pub use config::{Config, PORT};
pub use misbehavior::Misbehavior;
pub use peer::{Peer, Ready};
pub use relay::PUSH;
pub use tracker::Tracker;

use alloc::collections::{BTreeMap, BTreeSet};
use asking::Asking;
use bytes::Bytes;
use core::marker::PhantomData;
use core::time::Duration;
use ledger::Asked;
use polypeer_engine::kit::chain::{Answer, ChainFormat, Request, Tip};
use polypeer_engine::{
    Address, BadFrame, ChannelId, Close, ConnectionId, Context, Direction, DisconnectCause, Frame, Parting, PeerAbout,
    Profile, Protocol, Stock, Stocks, Ticket, Time,
};
use relay::Relay;
use serve::Frames;
use sync::Sync;

pub(crate) type Cx<'a, F> = Context<'a, Hello<F>>;

/// How long a line that was begun may take to end (Hello spec, section 1).
pub(crate) const LINE_TIME_MAX: Duration = Duration::from_secs(30);
/// How long a slip counts (Hello spec, section 1).
pub(crate) const SLIP_FADE: Duration = Duration::from_secs(10);
/// Beside the largest line, what a queue holds of answers that are not made as the peer reads.
const QUEUE_SPARE: usize = 4 << 20;

/// A node of a Hello network. `F` says how the ledger's blocks and transactions are named.
#[derive(Debug)]
pub struct Hello<F> {
    config: Config,
    // Drawn at the start: by it we know ourselves, and which of two connections stays.
    nonce: u64,
    // Nothing until the ledger has answered the first question.
    tip: Option<Tip>,
    // Whose handshake waits for the tip.
    waiting: BTreeSet<ConnectionId>,
    asked: BTreeMap<Ticket, Asked>,
    asking: Asking,
    relay: Relay,
    sync: Sync,
    frames: Frames,
    trackers: BTreeSet<Address>,
    offsets: BTreeMap<ConnectionId, i64>,
    // When each was sent a HELLO that it has not answered.
    hellos: BTreeMap<ConnectionId, Time>,
    format: PhantomData<fn() -> F>,
}

/// The protocol's timers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Alarm {
    /// The handshake must be complete.
    Handshake,
    /// Nothing was heard for long, perhaps.
    Liveness,
    /// Compare waiting transactions and newest blocks.
    Reconcile,
    /// Tell addresses, or ask a tracker for them.
    Addresses,
    /// A question may be late.
    Questions,
    /// The peer may be used for sync again.
    Bench,
    /// Catching up may have come to a halt.
    CatchUp,
}

impl<F: ChainFormat> Protocol for Hello<F> {
    const NAME: &'static str = "hello";
    type Config = Config;
    type Peer = Peer;
    type Misbehavior = Misbehavior;
    type Alarm = Alarm;
    type Request = Request;
    type Answer = Answer;
    type Framer = wire::Lines;

    fn profile(config: &Config) -> Profile {
        Profile {
            default_port: PORT,
            seeds: config.seeds.clone(),
            last_phase: wire::OPEN,
            queue_bytes_max: config.line_bytes_max + QUEUE_SPARE,
            low_water_bytes: serve::LOW_WATER,
            slips_max: config.slips_max,
            slip_fade: SLIP_FADE,
            frame_time_max: Some(LINE_TIME_MAX),
            partial_bytes_budget: Some(config.line_budget_bytes),
            ..Profile::default()
        }
    }

    fn framer(config: &Config, _: u16, _: Direction) -> wire::Lines {
        wire::Lines::new(config.line_bytes_max)
    }

    fn new(config: Config, cx: &mut Context<'_, Self>) -> Self {
        Self::start(config, cx)
    }

    fn on_connected(&mut self, cx: &mut Context<'_, Self>, connection: ConnectionId) -> Result<Peer, Misbehavior> {
        Ok(self.greet(cx, connection))
    }

    fn on_frame(
        &mut self,
        cx: &mut Context<'_, Self>,
        connection: ConnectionId,
        peer: Peer,
        _: ChannelId,
        frame: Frame<'_>,
    ) -> Result<Peer, Misbehavior> {
        let message = wire::decode(&frame);
        match peer {
            Peer::Greeting(greeting) => {
                self.on_greeting(cx, connection, greeting, message.map_err(Misbehavior::in_greeting)?)
            }
            Peer::Ready(mut ready) => {
                ready.is_asked_alive = false;
                match message {
                    Ok(message) => self.on_message(cx, connection, &mut ready, message)?,
                    Err(misbehavior) => {
                        cx.slip(connection, misbehavior);
                    }
                }
                Ok(Peer::Ready(ready))
            }
        }
    }

    fn on_bad_frame(
        &mut self,
        _: &mut Context<'_, Self>,
        _: ConnectionId,
        _: Peer,
        _: ChannelId,
        bad: BadFrame,
    ) -> Result<Peer, Misbehavior> {
        Err(Misbehavior::of(&bad))
    }

    fn on_writable(
        &mut self,
        cx: &mut Context<'_, Self>,
        connection: ConnectionId,
        mut peer: Peer,
        _: ChannelId,
    ) -> Result<Peer, Misbehavior> {
        if let Peer::Ready(ready) = &mut peer {
            self.serve(cx, connection, &mut ready.serving);
        }
        Ok(peer)
    }

    fn on_parting(
        &mut self,
        cx: &mut Context<'_, Self>,
        connection: ConnectionId,
        peer: Peer,
        _: Parting,
    ) -> Result<Peer, Misbehavior> {
        // This network has no word for goodbye.
        cx.close(connection, Close::Flushed, "parting");
        Ok(peer)
    }

    fn on_disconnected(
        &mut self,
        cx: &mut Context<'_, Self>,
        connection: ConnectionId,
        _: Option<Peer>,
        _: DisconnectCause,
    ) {
        self.on_gone(cx, connection);
    }

    fn on_answer(&mut self, cx: &mut Context<'_, Self>, ticket: Option<Ticket>, answer: Answer) {
        self.on_ledger(cx, ticket, answer);
    }

    fn on_broadcast(&mut self, cx: &mut Context<'_, Self>, kind: u16, payload: Bytes) {
        if kind == relay::PUSH {
            self.push_to_all(cx, &payload);
        }
    }

    fn stock(&self, peers: usize, stocks: &mut Stocks) {
        stocks.push(Stock::of_peers("peers that wait for the first tip", self.waiting.len(), peers));
        stocks.push(Stock::of_peers("open questions to the ledger", self.asked.len(), usize::MAX));
        stocks.push(Stock::of_peers("clock differences", self.offsets.len(), peers));
        stocks.push(Stock::of_peers("peers that can be asked", self.asking.len(), peers));
        self.relay.stock(peers, stocks);
        self.sync.stock(peers, stocks);
    }

    fn on_alarm(&mut self, cx: &mut Context<'_, Self>, _: Alarm) {
        self.sync.is_watched = false;
        self.look_at_progress(cx);
    }

    fn on_peer_alarm(
        &mut self,
        cx: &mut Context<'_, Self>,
        connection: ConnectionId,
        mut peer: Peer,
        alarm: Alarm,
    ) -> Result<Peer, Misbehavior> {
        match (&mut peer, alarm) {
            (Peer::Greeting(_), _) => cx.close(connection, Close::Now, "the handshake took too long"),
            (Peer::Ready(ready), Alarm::Liveness) => self.look_alive(cx, connection, ready),
            (Peer::Ready(ready), Alarm::Reconcile) => self.reconcile(cx, connection, ready),
            (Peer::Ready(ready), Alarm::Addresses) => self.tell_addresses(cx, connection, ready),
            (Peer::Ready(_), Alarm::Questions) => self.on_late(cx, connection),
            (Peer::Ready(_), Alarm::Bench) => self.unbench(cx, connection),
            (Peer::Ready(_), Alarm::Handshake | Alarm::CatchUp) => {}
        }
        Ok(peer)
    }

    fn describe(&self, peer: &Peer) -> PeerAbout {
        match peer {
            Peer::Greeting(_) => PeerAbout::default(),
            Peer::Ready(ready) => PeerAbout {
                subver: ready.agent.clone(),
                synced_blocks: ready.block_count.checked_sub(1),
                ping_micros: ready.round_trip.and_then(|wait| u64::try_from(wait.as_micros()).ok()),
                time_offset: Some(ready.time_offset),
                node_address: None,
            },
        }
    }
}
