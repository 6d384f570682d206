//! Plays the tracker: remembers members, proves where they are, asks whether they are there, and tells of them (Hello
//! spec, section 7).
//!
//! ```text
//!   member                                            tracker
//!     │── HELLO port ──────────────────────────────────►│  the handshake, block_count 0 on our side
//!     │◄───────── a second connection: HELLO … ─────────│  proof: a whole handshake, then it is closed
//!     │── GETADDR port ────────────────────────────────►│
//!     │◄────────────── ADDR proven members, freshest ───│
//!     │◄───────────────────────────────── HELLO ────────│  every interval; after three without HEY it is dropped
//!     │── HEY ─────────────────────────────────────────►│
//! ```

mod config;
mod guests;
mod members;
mod proof;

pub use config::{Config, PORT, p2p};
pub use members::{MEMBERS_MAX, Members};

use crate::config::printable;
use crate::handshake::{ExpectFirst, ExpectHey, Greeting, Step, meet_self};
use crate::wire::{self, Lines, Message};
use crate::{LINE_TIME_MAX, Misbehavior, SLIP_FADE};
use alloc::boxed::Box;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;
use polypeer_engine::{
    Address, BadFrame, ChannelId, Close, ConnectionId, Context, DialFailure, Direction, DisconnectCause, Frame, Ledger,
    Now, Overflow, Parting, PeerAbout, Profile, Protocol, Ticket, Time, To,
};
use serde::{Deserialize, Serialize};

pub use guests::Guest;

type Cx<'a> = Context<'a, Tracker>;

/// Bytes queued for one connection: an ADDR of a thousand addresses has 24 KiB.
const QUEUE_BYTES_MAX: usize = 1 << 20;

/// The tracker of a Hello network.
#[derive(Debug)]
pub struct Tracker {
    config: Config,
    nonce: u64,
    members: Members,
    // Addresses that are dialled for proof, standing or under way.
    proving: BTreeMap<Address, ConnectionId>,
    // When something was last heard, by connection and by time: the longest silent one leaves first.
    heard: BTreeMap<ConnectionId, Time>,
    silence: BTreeSet<(Time, ConnectionId)>,
}

/// Who is behind a connection.
#[derive(Debug)]
pub enum Peer {
    /// The handshake is under way. May become [`Peer::Guest`].
    Greeting(Greeting),
    /// The handshake is complete.
    Guest(Box<Guest>),
}

/// The tracker's timers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Alarm {
    /// The handshake must be complete.
    Handshake,
    /// Ask a member whether it is there, or a silent guest.
    Alive,
    /// Members are to be dialled for proof.
    Proof,
}

/// A tracker asks its ledger nothing, so there is nothing to ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Nothing {}

/// The ledger of a tracker: it holds nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoLedger;

impl Ledger for NoLedger {
    type Request = Nothing;
    type Answer = Nothing;

    fn answer(&mut self, _: Now, _: Vec<(Ticket, Nothing)>, _: &mut Vec<(To, Nothing)>) {}

    fn next_wake(&self, _: Now) -> Option<Time> {
        None
    }

    fn wake(&mut self, _: Now, _: &mut Vec<(To, Nothing)>) {}
}

impl Tracker {
    /// The members, for people.
    pub fn members(&self) -> &Members {
        &self.members
    }
}

impl Protocol for Tracker {
    const NAME: &'static str = "hello-tracker";
    type Config = Config;
    type Peer = Peer;
    type Misbehavior = Misbehavior;
    type Alarm = Alarm;
    type Request = Nothing;
    type Answer = Nothing;
    type Framer = Lines;

    fn profile(config: &Config) -> Profile {
        Profile {
            default_port: PORT,
            last_phase: wire::OPEN,
            queue_bytes_max: QUEUE_BYTES_MAX,
            slips_max: config.slips_max,
            slip_fade: SLIP_FADE,
            frame_time_max: Some(LINE_TIME_MAX),
            partial_bytes_budget: Some(config.line_budget_bytes),
            ..Profile::default()
        }
    }

    fn framer(config: &Config, _: u16, _: Direction) -> Lines {
        Lines::new(config.line_bytes_max)
    }

    fn new(config: Config, cx: &mut Cx<'_>) -> Self {
        let mut tracker = Self {
            nonce: cx.random().number(),
            config: Config { agent: printable(&config.agent), ..config },
            members: Members::default(),
            proving: BTreeMap::new(),
            heard: BTreeMap::new(),
            silence: BTreeSet::new(),
        };
        tracker.remember(cx);
        tracker
    }

    fn on_connected(&mut self, cx: &mut Cx<'_>, connection: ConnectionId) -> Result<Peer, Misbehavior> {
        cx.peer_alarm(connection, Alarm::Handshake, cx.time() + self.config.handshake_timeout);
        self.hear(connection, cx.time());
        self.make_room(cx, connection);
        if connection.direction() == Direction::Inbound {
            return Ok(Peer::Greeting(Greeting::First(ExpectFirst)));
        }
        self.say_hello(cx, connection);
        Ok(Peer::Greeting(Greeting::Hey(ExpectHey)))
    }

    fn on_dial_failed(&mut self, cx: &mut Cx<'_>, address: Address, _: DialFailure) {
        self.proof_failed(cx, address);
    }

    fn on_frame(
        &mut self,
        cx: &mut Cx<'_>,
        connection: ConnectionId,
        peer: Peer,
        _: ChannelId,
        frame: Frame<'_>,
    ) -> Result<Peer, Misbehavior> {
        self.hear(connection, cx.time());
        let message = wire::decode(&frame);
        match peer {
            Peer::Greeting(greeting) => {
                self.on_greeting(cx, connection, greeting, message.map_err(Misbehavior::in_greeting)?)
            }
            Peer::Guest(mut guest) => {
                self.hear_guest(connection, &mut guest);
                match message {
                    Ok(message) => self.on_message(cx, connection, &mut guest, message),
                    Err(misbehavior) => {
                        cx.slip(connection, misbehavior);
                    }
                }
                Ok(Peer::Guest(guest))
            }
        }
    }

    fn on_bad_frame(
        &mut self,
        _: &mut Cx<'_>,
        _: ConnectionId,
        _: Peer,
        _: ChannelId,
        bad: BadFrame,
    ) -> Result<Peer, Misbehavior> {
        Err(Misbehavior::of(&bad))
    }

    fn on_parting(
        &mut self,
        cx: &mut Cx<'_>,
        connection: ConnectionId,
        peer: Peer,
        _: Parting,
    ) -> Result<Peer, Misbehavior> {
        cx.close(connection, Close::Flushed, "parting");
        Ok(peer)
    }

    fn on_disconnected(&mut self, cx: &mut Cx<'_>, connection: ConnectionId, _: Option<Peer>, _: DisconnectCause) {
        if let Some(heard) = self.heard.remove(&connection) {
            self.silence.remove(&(heard, connection));
        }
        self.lose_connection(cx, connection);
        let proof = self.proving.iter().find(|(_, proof)| **proof == connection).map(|(address, _)| *address);
        if let Some(address) = proof {
            self.proof_failed(cx, address);
        }
    }

    fn on_answer(&mut self, _: &mut Cx<'_>, _: Option<Ticket>, answer: Nothing) {
        match answer {}
    }

    fn on_alarm(&mut self, cx: &mut Cx<'_>, _: Alarm) {
        self.prove_due(cx);
    }

    fn on_peer_alarm(
        &mut self,
        cx: &mut Cx<'_>,
        connection: ConnectionId,
        mut peer: Peer,
        _: Alarm,
    ) -> Result<Peer, Misbehavior> {
        match &mut peer {
            Peer::Greeting(_) => cx.close(connection, Close::Now, "the handshake took too long"),
            Peer::Guest(guest) => self.look_alive(cx, connection, guest),
        }
        Ok(peer)
    }

    fn describe(&self, peer: &Peer) -> PeerAbout {
        match peer {
            Peer::Greeting(_) => PeerAbout::default(),
            Peer::Guest(guest) => guest.about(),
        }
    }
}

impl Tracker {
    fn on_greeting(
        &mut self,
        cx: &mut Cx<'_>,
        connection: ConnectionId,
        greeting: Greeting,
        message: Message,
    ) -> Result<Peer, Misbehavior> {
        match greeting.take(message)? {
            Step::Wait(greeting) => Ok(Peer::Greeting(greeting)),
            Step::Answer(last) => {
                if last.theirs.nonce == Some(self.nonce) {
                    for own in meet_self(cx, connection) {
                        self.drop_member(cx, own);
                    }
                } else {
                    cx.send(connection, wire::hey(0), Overflow::Close);
                    self.say_hello(cx, connection);
                }
                Ok(Peer::Greeting(Greeting::Last(last)))
            }
            Step::Finish(theirs) => {
                self.finish_proof(cx, connection, &theirs);
                Ok(Peer::Greeting(Greeting::Hey(ExpectHey)))
            }
            Step::Done(theirs) => Ok(Peer::Guest(self.welcome(cx, connection, theirs))),
        }
    }

    fn say_hello(&self, cx: &mut Cx<'_>, connection: ConnectionId) {
        let config = cx.config();
        let port = config.external.or(config.listen).map_or(0, |address| address.port());
        let hello = wire::hello(&wire::Hello {
            block_count: 0,
            time: cx.now().unix_ms / 1000,
            port,
            genesis: None,
            agent: Some(self.config.agent.clone()),
            nonce: Some(self.nonce),
        });
        cx.send(connection, hello, Overflow::Close);
    }

    fn hear(&mut self, connection: ConnectionId, now: Time) {
        if let Some(before) = self.heard.insert(connection, now) {
            self.silence.remove(&(before, connection));
        }
        self.silence.insert((now, connection));
    }

    // The longest silent connection leaves for one that just came.
    fn make_room(&mut self, cx: &mut Cx<'_>, newest: ConnectionId) {
        if self.heard.len() <= self.config.connections_max as usize {
            return;
        }
        let longest = self.silence.iter().map(|(_, connection)| *connection).find(|longest| *longest != newest);
        if let Some(longest) = longest {
            cx.close(longest, Close::Flushed, "the longest silent, and there are too many");
        }
    }
}
