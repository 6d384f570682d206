//! Speaks Kaspa.
//!
//! The peer-to-peer protocol of `kaspad` 2.1.0, versions 10 and 11: one bidirectional stream of protobuf messages over
//! gRPC. Blocks form a graph, not a chain; whoever is behind catches up by headers first, then bodies.
//!
//! ```text
//!   dialler                                          acceptor
//!     │── Version ─────────────────►  ◄───────────── Version ──│  at once, both ways
//!     │── Verack ──────────────────►  ◄────────────── Verack ──│
//!     │── Ready ───────────────────►  ◄─────────────── Ready ──│  accepted
//!     │── RequestAddresses ────────►  ◄──── RequestAddresses ──│  once each, then Addresses
//!     │── InvRelayBlock ───────────►  ◄─────── InvRelayBlock ──│  the newest block
//!     │◄───────────────────────────────── InvRelayBlock ───────│
//!     │── RequestRelayBlocks ──────────────────────────────────►│
//!     │◄───────────────────────────────────────────── Block ───│
//!     │◄─────────────────────────────── InvTransactions ───────│
//!     │── RequestTransactions ─────────────────────────────────►│
//!     │◄──────────────────── Transaction, TransactionNotFound ─│  one for each, in order
//!     │── Ping ────────────────────────────────────────────────►│  every two minutes, both ways
//!     │◄────────────────────────────────────────────── Pong ───│
//!     │── RequestIBDChainBlockLocator, RequestHeaders, … ──────►│  to catch up
//!     │◄──────────────────────────────────────────── Reject ───│  the last word, if any
//! ```
//!
//! | flow of the source document | here | today's messages |
//! |---|---|---|
//! | Version Receive, Version Send | `handshake` | Version, Verack, Ready |
//! | Address Receive, Address Send | `discovery` | RequestAddresses, Addresses |
//! | Block Inv Receive | `relay` | InvRelayBlock, RequestRelayBlocks, Block, RequestBlockLocator, BlockLocator |
//! | Block Request Receive | `serve` | RequestRelayBlocks, Block |
//! | Transaction Inv Receive | `relay::transactions` | InvTransactions, RequestTransactions, Transaction, TransactionNotFound |
//! | Transaction Request Receive | `serve` | RequestTransactions, Transaction, TransactionNotFound |
//! | Initial Block Download | `sync`, served by `serve` | RequestIBDChainBlockLocator, RequestHeaders, RequestAntipast, RequestBlockBodies and their answers |
//! | Ping Receive, Ping Send | `ping` | Ping, Pong |
//! | Reject | `misbehavior`, `connection` | Reject |
//!
//! Attacks and what stands against them: gzip bombs (inflated piece by piece against the limit of the message's kind);
//! floods of announcements (2,560 blocks a peer wait, 131,072 transactions a message); orphans without end (256 a
//! peer, 1,024 in all); headers and bodies nobody asked for (a slip each); requests without end (256 unanswered,
//! answered as the peer reads); sources that bring next to nothing (whoever waits goes on instead); announcements whose
//! block or transaction never comes (another announcer is asked).
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

mod config;
mod connection;
mod discovery;
pub mod handshake;
pub mod hash;
pub mod ledger;
mod misbehavior;
mod peer;
mod ping;
mod questions;
mod relay;
mod serve;
mod sync;
pub mod wire;

pub use config::{Bans, Config};
pub use misbehavior::{Banned, Misbehavior, Name, Refused};
pub use peer::{Peer, Ready};

use alloc::collections::{BTreeMap, BTreeSet};
use core::time::Duration;
use ledger::{Answer, Request, State};
use polypeer_engine::{
    BadFrame, ChannelId, Close, ConnectionId, Context, Direction, DisconnectCause, Frame, Parting, PeerAbout, Profile,
    Protocol, Stock, Stocks, Ticket, Transport,
};
use questions::Asked;
use relay::Relay;
use relay::transactions::Transactions;
use sync::Sync;

pub(crate) type Cx<'a> = Context<'a, Kaspa>;

/// Where the stream is opened (Kaspa spec, section 1.1).
const PATH: &str = "/protowire.P2P/MessageStream";
/// How long a call may take to open (Kaspa spec, section 1.4).
const OPEN_TIME_MAX: Duration = Duration::from_secs(10);
/// Handshakes under way that others began, in all and from one IP address (Kaspa spec, section 1.6).
const PENDING_MAX: usize = 32;
const PENDING_PER_IP_MAX: usize = 2;
/// What a queue holds: the largest answer that is not made as the peer reads, a page of blocks of 2 MiB each.
const QUEUE_BYTES_MAX: usize = 64 << 20;

/// A node of a Kaspa network.
#[derive(Debug)]
pub struct Kaspa {
    config: Config,
    // Drawn at the start: by it we know ourselves, and peers that we have twice.
    id: [u8; 16],
    // Nothing until the ledger has answered the first question.
    state: Option<State>,
    asked: BTreeMap<Ticket, Asked>,
    next_request_id: u32,
    relay: Relay,
    transactions: Transactions,
    sync: Sync,
    // Peers that check outputs, which we do not.
    full_nodes: BTreeSet<ConnectionId>,
}

/// The protocol's timers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Alarm {
    /// Version and Verack must have come.
    Version,
    /// Ready must have come.
    Ready,
    /// Ping the peer.
    Ping,
    /// Something that the peer owes may be late.
    Dues,
    /// A block that was asked for may be had from another.
    Fetches,
    /// Announce the transactions that were gathered.
    Announce,
    /// The sync may have come to a halt.
    Sync,
}

impl Protocol for Kaspa {
    const NAME: &'static str = "kaspa";
    type Config = Config;
    type Peer = Peer;
    type Misbehavior = Misbehavior;
    type Alarm = Alarm;
    type Request = Request;
    type Answer = Answer;
    type Framer = wire::Frames;

    fn profile(config: &Config) -> Profile {
        Profile {
            default_port: config.port,
            seeds: config.seeds.clone(),
            // From Ready on frames change nothing for those behind them.
            last_phase: wire::OPEN,
            queue_bytes_max: QUEUE_BYTES_MAX,
            transport: Transport::Grpc {
                path: PATH,
                open_time_max: OPEN_TIME_MAX,
                // Greeting is pending.
                pending_below: wire::OPEN,
                pending_max: PENDING_MAX,
                pending_per_ip_max: PENDING_PER_IP_MAX,
            },
            ..Profile::default()
        }
    }

    fn framer(_: &Config, _: u16, _: Direction) -> wire::Frames {
        wire::Frames::new()
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
        // A Reject would be for a fault.
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

    fn stock(&self, peers: usize, stocks: &mut Stocks) {
        stocks.push(Stock::of_peers("open questions to the ledger", self.asked.len(), usize::MAX));
        stocks.push(Stock::of_peers("peers that check outputs", self.full_nodes.len(), peers));
        self.relay.stock(peers, stocks);
        self.transactions.stock(stocks);
        self.sync.stock(stocks);
    }

    fn on_alarm(&mut self, cx: &mut Context<'_, Self>, alarm: Alarm) {
        match alarm {
            Alarm::Fetches => self.look_at_fetches(cx),
            Alarm::Announce => self.tell_transactions(cx),
            Alarm::Sync => self.on_sync_late(cx),
            Alarm::Version | Alarm::Ready | Alarm::Ping | Alarm::Dues => {}
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
        match peer {
            Peer::Greeting(_) => PeerAbout::default(),
            Peer::Ready(ready) => PeerAbout {
                subver: ready.agent.clone(),
                synced_blocks: None,
                ping_micros: ready.round_trip.and_then(|wait| u64::try_from(wait.as_micros()).ok()),
                time_offset: Some(ready.time_offset_ms / 1000),
                node_address: None,
            },
        }
    }
}
