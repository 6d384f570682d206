//! Attends to connections whose handshake is complete.

use super::{Alarm, Cx, Tracker};
use crate::Misbehavior;
use crate::peer::{getaddr_bucket, hello_bucket};
use crate::wire::{self, Message, Method};
use alloc::boxed::Box;
use alloc::string::String;
use core::time::Duration;
use polypeer_engine::kit::bucket::Bucket;
use polypeer_engine::kit::chain::Hash;
use polypeer_engine::{Address, Close, ConnectionId, Overflow, PeerAbout};

/// HELLOs in a row without a HEY after which a member is dropped (Hello spec, section 7).
pub(super) const UNANSWERED_MAX: u32 = 3;
/// How long a guest that was asked whether it is there may stay silent.
const ALIVE_TIME_MAX: Duration = Duration::from_secs(20);

/// A connection whose handshake is complete.
#[derive(Debug)]
pub struct Guest {
    genesis: Option<Hash>,
    agent: String,
    hellos: Bucket,
    getaddrs: Bucket,
    // Whether a HELLO waits: a member's for its HEY, another's for any line.
    is_asked: bool,
    unanswered: u32,
}

impl Guest {
    pub(super) fn about(&self) -> PeerAbout {
        PeerAbout { subver: self.agent.clone(), ..PeerAbout::default() }
    }
}

impl Tracker {
    /// The handshake is complete.
    pub(super) fn welcome(&mut self, cx: &mut Cx<'_>, connection: ConnectionId, theirs: wire::Hello) -> Box<Guest> {
        cx.set_phase(connection, wire::OPEN);
        cx.cancel_peer_alarm(connection, Alarm::Handshake);
        let mut guest = Box::new(Guest {
            genesis: theirs.genesis,
            agent: theirs.agent.unwrap_or_default(),
            hellos: hello_bucket(),
            getaddrs: getaddr_bucket(),
            is_asked: false,
            unanswered: 0,
        });
        cx.ready(connection, &guest.agent);
        cx.peer_alarm(connection, Alarm::Alive, cx.time() + self.config.liveness_interval);
        self.set_port(cx, connection, &mut guest, theirs.port);
        guest
    }

    /// A line came, whatever it is.
    pub(super) fn hear_guest(&mut self, connection: ConnectionId, guest: &mut Guest) {
        if self.members.of(connection).is_none() {
            guest.is_asked = false;
        }
    }

    /// A message of an open connection: the table.
    pub(super) fn on_message(
        &mut self,
        cx: &mut Cx<'_>,
        connection: ConnectionId,
        guest: &mut Guest,
        message: Message,
    ) {
        match message {
            Message::Hello(theirs) => self.on_hello(cx, connection, guest, &theirs),
            Message::Hey { .. } => self.on_hey(cx, connection, guest),
            Message::GetAddr(port) => self.on_getaddr(cx, connection, guest, port),
            // Addresses are proven here, not believed; answers and rejections to nothing we asked.
            Message::Addr(_) | Message::NotFound(_) | Message::Reject => {}
            Message::BroadcastBlock { .. }
            | Message::GetBlock(_)
            | Message::GetList(_)
            | Message::List(_)
            | Message::Block { .. }
            | Message::PushTransaction(_)
            | Message::BroadcastTransaction(_) => {
                // No slip: a node cannot know beforehand.
                let frame = wire::reject(&Method::from(message.method()), "a tracker holds no blocks");
                cx.send(connection, frame, Overflow::Close);
            }
        }
    }

    fn on_hello(&mut self, cx: &mut Cx<'_>, connection: ConnectionId, guest: &mut Guest, theirs: &wire::Hello) {
        if !guest.hellos.take(cx.time()) {
            cx.slip(connection, Misbehavior::HelloTooOften);
            return;
        }
        guest.genesis = theirs.genesis.or(guest.genesis);
        self.set_port(cx, connection, guest, theirs.port);
        cx.send(connection, wire::hey(0), Overflow::Close);
    }

    fn on_hey(&mut self, cx: &mut Cx<'_>, connection: ConnectionId, guest: &mut Guest) {
        if !core::mem::take(&mut guest.is_asked) {
            return;
        }
        guest.unanswered = 0;
        if let Some(address) = self.members.of(connection) {
            self.members.answered(address, self.epoch(cx.time()));
        }
    }

    fn on_getaddr(&mut self, cx: &mut Cx<'_>, connection: ConnectionId, guest: &mut Guest, port: Option<u16>) {
        if !guest.getaddrs.take(cx.time()) {
            cx.slip(connection, Misbehavior::GetaddrTooOften);
            return;
        }
        if let Some(port) = port {
            self.set_port(cx, connection, guest, port);
        }
        let asker = self.members.of(connection);
        let members = self.members.freshest(wire::ADDRESSES_MAX, asker, guest.genesis, cx.random());
        cx.send(connection, wire::addr(&members), Overflow::Close);
    }

    // The guest says where it listens: that makes it a member, or no longer one.
    fn set_port(&mut self, cx: &mut Cx<'_>, connection: ConnectionId, guest: &mut Guest, port: u16) {
        let Some(ip) = cx.ends(connection).map(|ends| ends.remote.ip()) else { return };
        let address = Address::new(ip, port);
        let before = self.members.of(connection);
        if let Some(before) = before.filter(|before| *before != address) {
            self.drop_member(cx, before);
        }
        if address.is_dialable() {
            self.register(cx, connection, address, guest.genesis);
        }
        if before != self.members.of(connection) {
            guest.is_asked = false;
            guest.unanswered = 0;
            // Not all at once, however many come at once.
            let first = cx.random().jitter(self.config.interval * 3 / 4, 33);
            cx.peer_alarm(connection, Alarm::Alive, cx.time() + first);
        }
    }

    /// Time to ask a member, or a guest that has been silent, whether it is there.
    pub(super) fn look_alive(&mut self, cx: &mut Cx<'_>, connection: ConnectionId, guest: &mut Guest) {
        let now = cx.time();
        let Some(member) = self.members.of(connection) else { return self.look_at_silence(cx, connection, guest) };
        if guest.is_asked {
            guest.unanswered += 1;
        }
        if guest.unanswered >= UNANSWERED_MAX {
            self.drop_member(cx, member);
            return cx.close(connection, Close::Flushed, "three HELLOs without an answer");
        }
        guest.is_asked = true;
        self.say_hello(cx, connection);
        cx.peer_alarm(connection, Alarm::Alive, now + self.config.interval);
    }

    fn look_at_silence(&mut self, cx: &mut Cx<'_>, connection: ConnectionId, guest: &mut Guest) {
        let now = cx.time();
        let heard = cx.last_frame(connection).unwrap_or(now);
        if guest.is_asked {
            // Whatever came since would have settled it.
            return cx.close(connection, Close::Now, "silent");
        }
        let mut next = heard + self.config.liveness_interval;
        if now >= next {
            guest.is_asked = true;
            self.say_hello(cx, connection);
            next = now + ALIVE_TIME_MAX;
        }
        cx.peer_alarm(connection, Alarm::Alive, next);
    }
}
