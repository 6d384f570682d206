//! Speaks BUMO.
//!
//! The overlay of `bumo` 1.3.3: one protobuf message in each WebSocket message, a claim of a name for a handshake, a
//! ledger every ten seconds that two thirds of the validators signed.
//!
//! ```text
//!   dialler                                          acceptor
//!     │── HELLO ──────────────────►  ◄───────────── HELLO ───│  a claim each way; whoever gets a good one is active
//!     │── answer ─────────────────►  ◄──────────── answer ───│  02 and a text is a refusal
//!     │◄─────────────────────────────────────────── PEERS ───│  who is here, once
//!     │── PING ───────────────────►  ◄────────────── PING ───│  within a second, then every 15 s; answered
//!     │── LEDGERS ───────────────────────────────────────────►│  [begin, end], at most five
//!     │◄───────────────────────────────────────── LEDGERS ───│  values and a proof, or silence
//!     │── TRANSACTION ────────────►  ◄─────── TRANSACTION ───│  flooded: each sends it on to everyone who lacks it
//!     │── PBFT ───────────────────►  ◄────────────── PBFT ───│  the same, of validators only
//!     │── LEDGER_UPGRADE_NOTIFY ──►  ◄────────────────────────│  the same
//! ```
//!
//! | module of the source document | here |
//! |---|---|
//! | `PeerManager`: timers and a place to run, unicast and broadcast for other modules | [`Bumo`] and [`Alarm`] in the engine's step; [`polypeer_engine::Context::send`], `broadcast` |
//! | `PeerNetwork`: connections, and the processing of peers, transactions, ledgers, consensus and upgrades | `connection`, `discovery`, `relay`, `serve`, `sync`, `consensus`, `upgrade`; failed connections are emptied by the engine, told in `connection` |
//! | `Network`: events, heartbeats, distribution | the host's loop, `ping`, the table in `connection` |
//! | `Peer`: a connection, how to send, its current state | [`Peer`], [`frame`] |
//! | `Broadcast`: sends, records and clears | `broadcast` |
//!
//! | message of the source document | number | spread | here |
//! |---|---|---|---|
//! | `OVERLAY_MSGTYPE_PEERS` | 3 | unicast, acceptor to dialler | `discovery` |
//! | `OVERLAY_MSGTYPE_TRANSACTION` | 4 | broadcast | `relay` |
//! | `OVERLAY_MSGTYPE_LEDGERS` | 5 | unicast, both ways | `sync`, served by `serve` |
//! | `OVERLAY_MSGTYPE_PBFT` | 6 | broadcast | `consensus` |
//! | `OVERLAY_MSGTYPE_LEDGER_UPGRADE_NOTIFY` | 7 | broadcast | `upgrade` |
//!
//! Attacks and what stands against them: large messages before HELLO (16 KiB); names that others bear (whoever claimed
//! one first keeps it); lists of addresses without end (a thousand a push, each paid for); transactions that come to
//! nothing (each paid for, 512 of a peer in judgement); consensus messages of strangers (ignored unseen) and forged ones
//! (each signature paid for); sources that lie about ledgers (convicted by the proof), that say nothing (7 s, another is
//! asked meanwhile) or that promise what they do not have (a minute on probation); requests without end (eight wait).
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

mod broadcast;
mod config;
mod connection;
mod consensus;
mod discovery;
pub mod frame;
pub mod handshake;
pub mod hash;
pub mod keys;
pub mod ledger;
mod misbehavior;
pub mod pbft;
mod peer;
mod ping;
pub mod proof;
mod questions;
mod relay;
mod serve;
mod sync;
mod upgrade;
pub mod wire;

pub use broadcast::{KEPT_FOR, RECORDS_MAX};
pub use config::Config;
pub use misbehavior::{Check, Misbehavior};
pub use peer::{Active, Line, Peer};

use alloc::collections::BTreeMap;
use core::time::Duration;
use ledger::{Answer, Request, Tip};
use polypeer_engine::{
    BadFrame, ChannelId, Close, ConnectionId, Context, Direction, DisconnectCause, Frame, Parting, PeerAbout, Profile,
    Protocol, Stock, Stocks, Ticket, Transport,
};
use questions::Asked;

pub(crate) type Cx<'a> = Context<'a, Bumo>;

/// How long a connection may take to be accepted, and again to be upgraded (BUMO spec, section 1.1).
const OPEN_TIME_MAX: Duration = Duration::from_secs(5);
/// Connections that others opened and on which no good HELLO came, in all and from one IP address. Each ends after ten
/// seconds.
const PENDING_MAX: usize = 128;
const PENDING_PER_IP_MAX: usize = 8;
/// What a queue holds: two of the longest messages.
const QUEUE_BYTES_MAX: usize = 64 << 20;

/// A node of a BUMO network.
#[derive(Debug)]
pub struct Bumo {
    config: Config,
    identity: handshake::Identity,
    // Nothing until the ledger has answered the first question.
    tip: Option<Tip>,
    asked: BTreeMap<Ticket, Asked>,
    broadcasts: broadcast::Broadcasts,
    transactions: relay::Transactions,
    upgrades: upgrade::Upgrades,
    sync: sync::Sync,
    // The agreement, once the ledger has said where it stands.
    consensus: Option<pbft::Pbft>,
}

/// The protocol's timers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Alarm {
    /// HELLO must have come.
    Hello,
    /// Ping the peer.
    Ping,
    /// The peer may have gone silent.
    Silence,
    /// Ask a new peer whether it is ahead.
    Meet,
    /// The ledgers that the peer was asked for are late.
    Ledgers,
    /// No ledger closed for long: ask everyone.
    Poll,
    /// Others may be asked for what takes long.
    Spread,
    /// Repeat the wish to upgrade.
    Wish,
    /// What was broadcast long ago can be forgotten.
    Broadcasts,
    /// Consensus spoke of ledgers that are not here.
    Behind,
    /// Consensus waits for nothing longer than this.
    Consensus,
}

impl Protocol for Bumo {
    const NAME: &'static str = "bumo";
    type Config = Config;
    type Peer = Peer;
    type Misbehavior = Misbehavior;
    type Alarm = Alarm;
    type Request = Request;
    type Answer = Answer;
    type Framer = frame::Frames;

    fn profile(config: &Config) -> Profile {
        Profile {
            default_port: config.port,
            seeds: config.seeds.clone(),
            // From HELLO on frames change nothing for those behind them.
            last_phase: frame::OPEN,
            queue_bytes_max: QUEUE_BYTES_MAX,
            transport: Transport::WebSocket {
                message_bytes_max: wire::MESSAGE_BYTES_MAX,
                early_bytes_max: frame::EARLY_BYTES_MAX,
                open_time_max: OPEN_TIME_MAX,
                pending_below: frame::OPEN,
                pending_max: PENDING_MAX,
                pending_per_ip_max: PENDING_PER_IP_MAX,
            },
            ..Profile::default()
        }
    }

    fn framer(_: &Config, _: u16, _: Direction) -> frame::Frames {
        frame::Frames
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
        self.on_message(cx, connection, peer, frame)
    }

    fn on_bad_frame(
        &mut self,
        _: &mut Context<'_, Self>,
        _: ConnectionId,
        _: Peer,
        _: ChannelId,
        bad: BadFrame,
    ) -> Result<Peer, Misbehavior> {
        Err(bad.into())
    }

    fn on_writable(
        &mut self,
        cx: &mut Context<'_, Self>,
        connection: ConnectionId,
        mut peer: Peer,
        _: ChannelId,
    ) -> Result<Peer, Misbehavior> {
        if let Peer::Active(active) = &mut peer {
            self.serve(cx, connection, &mut active.serving);
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
        // There is no word for goodbye; the CLOSE says it.
        cx.close(connection, Close::Flushed, "parting");
        Ok(peer)
    }

    fn on_disconnected(
        &mut self,
        cx: &mut Context<'_, Self>,
        connection: ConnectionId,
        peer: Option<Peer>,
        _: DisconnectCause,
    ) {
        self.on_gone(cx, connection, peer.as_ref());
    }

    fn on_answer(&mut self, cx: &mut Context<'_, Self>, ticket: Option<Ticket>, answer: Answer) {
        self.on_ledger(cx, ticket, answer);
    }

    fn stock(&self, _: usize, stocks: &mut Stocks) {
        stocks.push(Stock::of_peers("open questions to the ledger", self.asked.len(), usize::MAX));
        self.broadcasts.stock(stocks);
        self.transactions.stock(stocks);
        self.upgrades.stock(stocks);
        self.sync.stock(stocks);
        self.consensus_stock(stocks);
    }

    fn on_alarm(&mut self, cx: &mut Context<'_, Self>, alarm: Alarm) {
        match alarm {
            Alarm::Poll => self.poll(cx),
            Alarm::Spread => self.spread(cx),
            Alarm::Wish => self.wish(cx),
            Alarm::Broadcasts => self.clear_broadcasts(cx),
            Alarm::Behind => self.is_behind(cx),
            Alarm::Consensus => self.wake_consensus(cx),
            Alarm::Hello | Alarm::Ping | Alarm::Silence | Alarm::Meet | Alarm::Ledgers => {}
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

    fn describe(&self, peer: &Peer) -> PeerAbout {
        let active = peer.active();
        let micros = peer.line().round_trip.and_then(|wait| u64::try_from(wait.as_micros()).ok());
        PeerAbout {
            subver: active.map(|active| active.version.clone()).unwrap_or_default(),
            synced_blocks: active.and_then(|active| u64::try_from(active.ledger?).ok()),
            ping_micros: micros,
            time_offset: None,
            node_address: active.map(|active| active.node_address.clone()),
        }
    }
}
