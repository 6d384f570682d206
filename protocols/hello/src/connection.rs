//! Takes a connection from its first word to its end: greeting, the table of messages, liveness.

use crate::asking::Asking;
use crate::config::printable;
use crate::handshake::{ExpectFirst, ExpectHey, Greeting, Step, meet_self};
use crate::ledger::Asked;
use crate::wire::{self, Message};
use crate::{Alarm, Config, Cx, Hello, Misbehavior, Peer, Ready};
use alloc::boxed::Box;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;
use core::marker::PhantomData;
use core::time::Duration;
use polypeer_engine::kit::chain::{ChainFormat, Request, Tip};
use polypeer_engine::{Close, ConnectionId, Direction, Overflow};

/// How long a peer that was asked whether it is there may stay silent.
const ALIVE_TIME_MAX: Duration = Duration::from_secs(20);
/// Clocks that differ by more are noted for the operator.
const OFFSET_NOTED_SECONDS: u64 = 2 * 60 * 60;

/// What the operator sees.
impl<F> Hello<F> {
    /// The end of our chain, once the ledger has said it.
    pub fn tip(&self) -> Option<Tip> {
        self.tip
    }

    /// The median of the peers' clocks less ours, in seconds. Shown, never used to move a clock.
    pub fn time_offset_median(&self) -> Option<i64> {
        let mut offsets: Vec<i64> = self.offsets.values().copied().collect();
        offsets.sort_unstable();
        offsets.get(offsets.len() / 2).copied()
    }
}

impl<F: ChainFormat> Hello<F> {
    pub(crate) fn start(config: Config, cx: &mut Cx<'_, F>) -> Self {
        let nonce = cx.random().number();
        let secret = cx.random().number();
        let config = Config { agent: printable(&config.agent), ..config };
        let ticket = cx.ask(Request::Tip);
        Self {
            config,
            nonce,
            tip: None,
            waiting: BTreeSet::new(),
            asked: BTreeMap::from([(ticket, Asked::Tip)]),
            asking: Asking::default(),
            relay: crate::relay::Relay::new(secret),
            sync: crate::sync::Sync::default(),
            frames: crate::serve::Frames::default(),
            trackers: BTreeSet::new(),
            offsets: BTreeMap::new(),
            hellos: BTreeMap::new(),
            format: PhantomData,
        }
    }

    /// A connection stands: the dialler speaks first.
    pub(crate) fn greet(&mut self, cx: &mut Cx<'_, F>, connection: ConnectionId) -> Peer {
        cx.peer_alarm(connection, Alarm::Handshake, cx.time() + self.config.handshake_timeout);
        if connection.direction() == Direction::Inbound {
            return Peer::Greeting(Greeting::First(ExpectFirst));
        }
        let greeting = Greeting::Hey(ExpectHey);
        self.say_what_is_due(cx, connection, &greeting);
        Peer::Greeting(greeting)
    }

    /// A message of the handshake.
    pub(crate) fn on_greeting(
        &mut self,
        cx: &mut Cx<'_, F>,
        connection: ConnectionId,
        greeting: Greeting,
        message: Message,
    ) -> Result<Peer, Misbehavior> {
        if self.waiting.contains(&connection) {
            // Our own word is still due, so this is nobody's answer to it.
            return Err(Misbehavior::OutOfOrder(wire::Method::from(message.method())));
        }
        if let Message::Hey { .. } = message {
            self.hey_arrived(cx, connection);
        }
        match greeting.take(message)? {
            Step::Wait(greeting) => Ok(Peer::Greeting(greeting)),
            Step::Answer(last) => {
                let stays = self.meet(cx, connection, &last.theirs)?;
                let greeting = Greeting::Last(last);
                if stays {
                    self.say_what_is_due(cx, connection, &greeting);
                }
                Ok(Peer::Greeting(greeting))
            }
            Step::Finish(theirs) => {
                if self.meet(cx, connection, &theirs)? {
                    cx.send(connection, wire::hey(self.block_count()), Overflow::Close);
                }
                Ok(self.open(cx, connection, theirs))
            }
            Step::Done(theirs) => Ok(self.open(cx, connection, theirs)),
        }
    }

    /// The ledger has said where we stand: whoever waited for our HELLO gets it.
    pub(crate) fn on_first_tip(&mut self, cx: &mut Cx<'_, F>) {
        for connection in core::mem::take(&mut self.waiting) {
            let Some(Peer::Greeting(greeting)) = cx.peer(connection) else { continue };
            let greeting = greeting.clone();
            self.say_what_is_due(cx, connection, &greeting);
        }
    }

    // What our side says in this state of the handshake; later, when the ledger has not yet said where we stand.
    fn say_what_is_due(&mut self, cx: &mut Cx<'_, F>, connection: ConnectionId, greeting: &Greeting) {
        if self.tip.is_none() {
            self.waiting.insert(connection);
            return;
        }
        match greeting {
            Greeting::Hey(_) => {}
            Greeting::Last(_) => cx.send(connection, wire::hey(self.block_count()), Overflow::Close),
            Greeting::Hello(_) | Greeting::First(_) => return,
        }
        self.say_hello(cx, connection);
    }

    fn say_hello(&mut self, cx: &mut Cx<'_, F>, connection: ConnectionId) {
        let hello = self.hello(cx);
        self.hellos.insert(connection, cx.time());
        cx.send(connection, hello, Overflow::Close);
    }

    // How long the peer took over its HEY. One that nobody asked for says nothing.
    fn hey_arrived(&mut self, cx: &mut Cx<'_, F>, connection: ConnectionId) -> Option<Duration> {
        let round_trip = cx.time().since(self.hellos.remove(&connection)?);
        cx.answered_within(connection, round_trip);
        Some(round_trip)
    }

    fn hello(&self, cx: &Cx<'_, F>) -> bytes::Bytes {
        wire::hello(&wire::Hello {
            block_count: self.block_count(),
            time: cx.now().unix_ms / 1000,
            port: self.own_port(cx),
            genesis: Some(self.config.genesis),
            agent: Some(self.config.agent.clone()),
            nonce: Some(self.nonce),
        })
    }

    /// Blocks of our chain, genesis included.
    pub(crate) fn block_count(&self) -> u64 {
        self.tip.map_or(0, |tip| tip.height + 1)
    }

    // Judges a HELLO of the handshake. Whether the connection stays.
    fn meet(
        &mut self,
        cx: &mut Cx<'_, F>,
        connection: ConnectionId,
        theirs: &wire::Hello,
    ) -> Result<bool, Misbehavior> {
        self.check_genesis(theirs)?;
        if theirs.nonce == Some(self.nonce) {
            meet_self(cx, connection);
            return Ok(false);
        }
        match theirs.nonce {
            Some(nonce) if theirs.block_count > 0 => Ok(self.is_only(cx, connection, nonce)),
            _ => Ok(true),
        }
    }

    fn check_genesis(&self, theirs: &wire::Hello) -> Result<(), Misbehavior> {
        match theirs.genesis {
            Some(genesis) if genesis != self.config.genesis => Err(Misbehavior::OtherGenesis),
            _ => Ok(()),
        }
    }

    // Of two connections with one node the one that the smaller nonce dialled stays, of two dialled by the same side
    // the older. Whether this one does.
    fn is_only(&self, cx: &mut Cx<'_, F>, connection: ConnectionId, nonce: u64) -> bool {
        let Some(ip) = cx.ends(connection).map(|ends| ends.remote.ip()) else { return false };
        let is_same = |(other, peer): &(ConnectionId, &Peer)| {
            peer.nonce() == Some(nonce) && cx.ends(*other).is_some_and(|ends| ends.remote.ip() == ip)
        };
        let Some(other) = cx.peers().find(is_same).map(|(other, _)| other) else { return true };
        let we_are_smaller = self.nonce < nonce;
        let is_ours = |connection: ConnectionId| connection.direction() == Direction::Outbound;
        let stays = if is_ours(connection) == is_ours(other) {
            // Numbers grow with age within a direction.
            connection < other
        } else {
            is_ours(connection) == we_are_smaller
        };
        let leaver = if stays { other } else { connection };
        cx.close(leaver, Close::Now, "a second connection with the same node");
        stays
    }

    // The handshake is complete.
    fn open(&mut self, cx: &mut Cx<'_, F>, connection: ConnectionId, theirs: wire::Hello) -> Peer {
        let now = cx.now();
        let secret = cx.random().number();
        let mut ready = Box::new(Ready::new(theirs, now.unix_ms, secret));
        if cx.ends(connection).is_none() {
            // It was closed just now, as a second one.
            return Peer::Ready(ready);
        }
        if ready.time_offset.unsigned_abs() > OFFSET_NOTED_SECONDS {
            cx.note(alloc::format!("connection {connection}: its clock is {} s from ours", ready.time_offset));
        }
        self.offsets.insert(connection, ready.time_offset);
        cx.set_phase(connection, wire::OPEN);
        cx.cancel_peer_alarm(connection, Alarm::Handshake);
        cx.peer_alarm(connection, Alarm::Liveness, now.monotonic + self.config.liveness_interval);
        self.asking.opened(connection, now.monotonic);
        self.sync.opened(connection);
        self.discover(cx, connection, &mut ready);
        if ready.holds_blocks() {
            self.reconcile(cx, connection, &mut ready);
        }
        Peer::Ready(ready)
    }

    /// A message of an open connection: the table.
    pub(crate) fn on_message(
        &mut self,
        cx: &mut Cx<'_, F>,
        connection: ConnectionId,
        ready: &mut Ready,
        message: Message,
    ) -> Result<(), Misbehavior> {
        match message {
            Message::Hello(theirs) => self.on_hello(cx, connection, ready, &theirs)?,
            Message::Hey { block_count } => {
                ready.round_trip = self.hey_arrived(cx, connection).or(ready.round_trip);
                ready.heard_of(block_count);
            }
            Message::GetAddr(port) => self.on_getaddr(cx, connection, ready, port),
            Message::Addr(addresses) => self.on_addr(cx, connection, ready, &addresses),
            Message::BroadcastBlock { number, hash } => self.on_broadcast_block(cx, connection, ready, number, hash),
            Message::BroadcastTransaction(id) => self.on_announced_transactions(cx, connection, ready, &[id]),
            Message::GetBlock(question) => self.on_getblock(cx, connection, ready, question),
            Message::GetList(ask) => self.on_getlist(cx, connection, ready, &ask),
            Message::List(list) => self.on_list(cx, connection, ready, list)?,
            Message::Block { number, data } => self.on_block(cx, connection, ready, number, data)?,
            Message::PushTransaction(pack) => self.on_pack(cx, connection, ready, pack),
            Message::NotFound(question) => self.on_notfound(cx, connection, question),
            Message::Reject => {}
        }
        Ok(())
    }

    // A liveness check.
    fn on_hello(
        &mut self,
        cx: &mut Cx<'_, F>,
        connection: ConnectionId,
        ready: &mut Ready,
        theirs: &wire::Hello,
    ) -> Result<(), Misbehavior> {
        self.check_genesis(theirs)?;
        if !ready.hellos.take(cx.time()) {
            cx.slip(connection, Misbehavior::HelloTooOften);
            return Ok(());
        }
        ready.block_count = theirs.block_count;
        self.on_port(cx, connection, ready, theirs.port);
        cx.send(connection, wire::hey(self.block_count()), Overflow::Close);
        Ok(())
    }

    /// Asks a silent peer whether it is there, and lets it go when it does not say so.
    pub(crate) fn look_alive(&mut self, cx: &mut Cx<'_, F>, connection: ConnectionId, ready: &mut Ready) {
        let now = cx.time();
        let heard = cx.last_frame(connection).unwrap_or(now);
        if ready.is_asked_alive {
            // Whatever came since would have settled it.
            return cx.close(connection, Close::Now, "silent");
        }
        let mut next = heard + self.config.liveness_interval;
        if now >= next {
            ready.is_asked_alive = true;
            self.say_hello(cx, connection);
            next = now + ALIVE_TIME_MAX;
        }
        cx.peer_alarm(connection, Alarm::Liveness, next);
    }

    /// A connection is gone: what was asked of it is asked of others.
    pub(crate) fn on_gone(&mut self, cx: &mut Cx<'_, F>, connection: ConnectionId) {
        self.waiting.remove(&connection);
        self.offsets.remove(&connection);
        self.hellos.remove(&connection);
        let questions = self.asking.gone(connection);
        self.sync.gone(connection);
        for question in &questions {
            self.on_lost(cx, connection, question);
        }
        self.forget_announcer(cx, connection);
        self.go_on(cx);
    }
}

impl Ready {
    // A tracker stays one until it says otherwise in a HELLO.
    fn heard_of(&mut self, block_count: u64) {
        if self.holds_blocks() {
            self.block_count = block_count.max(1);
        }
    }
}
