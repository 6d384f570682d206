//! Puts questions to peers: reaches them, opens a stream, waits for the answer, each for so long and no longer.
//!
//! ```text
//!   Dialling ──► Opening ──► Waiting ──► answered
//!      └────────────┴───────────┴──────► failed
//! ```
//!
//! A stream that has brought an answer is kept for the next question, one a connection, and let go when it has been idle
//! for a while.

use super::lookup::Lookup;
use super::message::{Contact, Kind, Message, MessageError, body};
use super::{Fault, Kad, Output};
use crate::keys::PeerId;
use alloc::vec::Vec;
use bytes::Bytes;
use core::time::Duration;
use polypeer_engine::{Address, ChannelId, ConnectionId, Time};

/// How long a dial may take (section 9).
pub(super) const DIAL_TIME: Duration = Duration::from_secs(10);
/// How long a peer has for its answer, the stream's negotiation included.
pub(super) const ANSWER_TIME: Duration = Duration::from_secs(10);
/// How long a stream is kept for the next question. Go's side ends one after a minute.
pub(super) const IDLE_TIME: Duration = Duration::from_secs(30);
/// Questions at a time: three of each look-up, the announcements of one, and tests of the table.
pub(super) const ASKS_MAX: usize = 48;

/// What a question is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum For {
    /// A look-up.
    Lookup(u32),
    /// To know whether a peer of a full bucket is there.
    Test,
    /// To say that we provide; not answered.
    Announce,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// The peer is dialled. Becomes [`Stage::Opening`].
    Dialling,
    /// A stream is opened. Becomes [`Stage::Waiting`].
    Opening(ConnectionId),
    /// It is asked. `is_reused` when the stream had brought answers before, and may be about to end.
    Waiting { connection: ConnectionId, channel: ChannelId, is_reused: bool },
}

/// One question.
#[derive(Clone, Debug)]
pub(super) struct Ask {
    pub(super) peer: PeerId,
    pub(super) what: For,
    pub(super) kind: Kind,
    pub(super) frame: Bytes,
    pub(super) stage: Stage,
    pub(super) deadline: Time,
}

/// Questions that go out.
impl Kad {
    /// Puts a question to a peer. Whether it is under way; else there are too many, or no way to the peer.
    pub(super) fn ask(&mut self, now: Time, to: &Contact, what: For, message: &Message, out: &mut Vec<Output>) -> bool {
        let connection = self.by_peer.get(&to.peer).copied();
        if self.asks.len() >= ASKS_MAX || (connection.is_none() && to.addresses.is_empty()) {
            return false;
        }
        let (kind, frame) = (message.kind, message.encode());
        let stage = connection.map_or(Stage::Dialling, Stage::Opening);
        let ask = Ask { peer: to.peer, what, kind, frame, stage, deadline: now + DIAL_TIME };
        let is_dialled = self.asks.values().any(|other| other.peer == to.peer && other.stage == Stage::Dialling);
        let number = self.next_ask;
        self.next_ask += 1;
        self.asks.insert(number, ask);
        match connection {
            Some(connection) => self.reach(now, number, connection, out),
            None if is_dialled => {}
            None => out.push(Output::Dial { peer: to.peer, addresses: to.addresses.clone() }),
        }
        true
    }

    /// A question's peer is connected: it goes out on the idle stream, or one is opened for it.
    pub(super) fn reach(&mut self, now: Time, number: u64, connection: ConnectionId, out: &mut Vec<Output>) {
        let idle = self.connections.get_mut(&connection).and_then(|known| known.idle.take());
        let Some(ask) = self.asks.get_mut(&number) else { return };
        ask.deadline = now + ANSWER_TIME;
        ask.stage = Stage::Opening(connection);
        match idle {
            Some((channel, _)) => self.put(now, number, connection, channel, true, out),
            None => out.push(Output::Open { connection }),
        }
    }

    /// A stream of ours is open: the question that waits longest for one goes out.
    pub(super) fn on_ours_opened(
        &mut self,
        now: Time,
        connection: ConnectionId,
        channel: ChannelId,
        out: &mut Vec<Output>,
    ) {
        match self.opening(connection) {
            Some(number) => self.put(now, number, connection, channel, false, out),
            // Who it was for has given up.
            None => self.rest(now, connection, channel, out),
        }
    }

    /// A stream that we wanted was refused.
    pub(super) fn on_ours_refused(&mut self, now: Time, connection: ConnectionId, out: &mut Vec<Output>) {
        if let Some(number) = self.opening(connection) {
            self.fail(now, number, out);
        }
    }

    /// A stream of ours has ended. A question on one that was used before goes out again on a new one.
    pub(super) fn on_ours_closed(
        &mut self,
        now: Time,
        connection: ConnectionId,
        channel: ChannelId,
        out: &mut Vec<Output>,
    ) {
        let Some((number, is_reused)) = self.waiting(connection, channel) else { return };
        match self.asks.get_mut(&number) {
            Some(ask) if is_reused => {
                ask.stage = Stage::Opening(connection);
                out.push(Output::Open { connection });
            }
            _ => self.fail(now, number, out),
        }
    }

    /// Something came on a stream of ours.
    pub(super) fn on_answer(
        &mut self,
        now: Time,
        connection: ConnectionId,
        channel: ChannelId,
        frame: &[u8],
        out: &mut Vec<Output>,
    ) -> Result<(), Fault> {
        let (number, _) = self.waiting(connection, channel).ok_or(Fault::Unasked)?;
        let answer = match (self.asks.get(&number), Message::decode(body(frame))) {
            (Some(ask), Ok(answer)) if ask.kind == answer.kind => answer,
            (_, answer) => {
                self.fail(now, number, out);
                return Err(answer.map_or_else(Fault::Message, |_| Fault::WrongKind));
            }
        };
        let Some(ask) = self.asks.remove(&number) else { return Ok(()) };
        self.rest(now, connection, channel, out);
        self.heard(now, connection, out);
        match ask.what {
            For::Test => self.table.stays(&ask.peer),
            For::Lookup(number) => self.on_looked_up(now, number, connection, &ask.peer, answer, out),
            For::Announce => {}
        }
        self.release(connection, out);
        Ok(())
    }

    /// Questions whose time is over.
    pub(super) fn expire_asks(&mut self, now: Time, out: &mut Vec<Output>) {
        let late: Vec<u64> =
            self.asks.iter().filter(|(_, ask)| ask.deadline <= now).map(|(number, _)| *number).collect();
        for number in late {
            if let Some(Ask { stage: Stage::Waiting { connection, channel, .. }, .. }) = self.asks.get(&number) {
                out.push(Output::Reset { connection: *connection, channel: *channel });
                if let Some(known) = self.connections.get_mut(connection) {
                    known.ours.remove(channel);
                }
            }
            self.fail(now, number, out);
        }
        for (connection, known) in &mut self.connections {
            if let Some((channel, _)) = known.idle.take_if(|(_, until)| *until <= now) {
                known.ours.remove(&channel);
                out.push(Output::Finish { connection: *connection, channel });
            }
        }
    }

    /// A question came to nothing.
    pub(super) fn fail(&mut self, now: Time, number: u64, out: &mut Vec<Output>) {
        let Some(ask) = self.asks.remove(&number) else { return };
        self.table.failed(&ask.peer);
        match ask.what {
            For::Test => self.table.stays(&ask.peer),
            For::Lookup(number) => {
                if let Some(lookup) = self.lookups.get_mut(&number) {
                    lookup.failed(&ask.peer);
                }
                self.go_on(now, number, out);
            }
            For::Announce => {}
        }
        if let Some(connection) = self.by_peer.get(&ask.peer).copied() {
            self.release(connection, out);
        }
    }

    // Writes a question on a stream.
    fn put(
        &mut self,
        now: Time,
        number: u64,
        connection: ConnectionId,
        channel: ChannelId,
        is_reused: bool,
        out: &mut Vec<Output>,
    ) {
        let Some(ask) = self.asks.get_mut(&number) else { return };
        out.push(Output::Send { connection, channel, frame: ask.frame.clone() });
        ask.stage = Stage::Waiting { connection, channel, is_reused };
        ask.deadline = now + ANSWER_TIME;
        if ask.what == For::Announce {
            self.asks.remove(&number);
            if let Some(known) = self.connections.get_mut(&connection) {
                known.ours.remove(&channel);
            }
            out.push(Output::Finish { connection, channel });
            self.release(connection, out);
        }
    }

    // A stream has nothing to do.
    fn rest(&mut self, now: Time, connection: ConnectionId, channel: ChannelId, out: &mut Vec<Output>) {
        let Some(known) = self.connections.get_mut(&connection) else { return };
        if known.idle.is_none() {
            known.idle = Some((channel, now + IDLE_TIME));
        } else {
            known.ours.remove(&channel);
            out.push(Output::Finish { connection, channel });
        }
    }

    // Lets a connection go that was made for a question, when it has no more of them.
    fn release(&mut self, connection: ConnectionId, out: &mut Vec<Output>) {
        let Some(known) = self.connections.get_mut(&connection) else { return };
        let peer = known.peer;
        if known.is_for_us && !self.asks.values().any(|ask| ask.peer == peer) {
            known.is_for_us = false;
            out.push(Output::Release { connection });
        }
    }

    fn opening(&self, connection: ConnectionId) -> Option<u64> {
        let mut waiting = self.asks.iter().filter(|(_, ask)| ask.stage == Stage::Opening(connection));
        waiting.next().map(|(number, _)| *number)
    }

    fn waiting(&self, connection: ConnectionId, channel: ChannelId) -> Option<(u64, bool)> {
        self.asks.iter().find_map(|(number, ask)| match ask.stage {
            Stage::Waiting { connection: on, channel: over, is_reused } if (on, over) == (connection, channel) => {
                Some((*number, is_reused))
            }
            _ => None,
        })
    }
}

/// Look-ups.
impl Kad {
    /// Asks whomever a look-up wants asked, and ends it when that is nobody.
    pub(super) fn go_on(&mut self, now: Time, number: u32, out: &mut Vec<Output>) {
        loop {
            let Some(lookup) = self.lookups.get_mut(&number) else { return };
            let wanted = lookup.next();
            if wanted.is_empty() && lookup.is_over() {
                return self.end_lookup(now, number, out);
            }
            let message = Message::about(lookup.kind, &lookup.key);
            let unreachable: Vec<PeerId> = wanted
                .iter()
                .filter(|contact| !self.ask(now, contact, For::Lookup(number), &message, out))
                .map(|contact| contact.peer)
                .collect();
            if unreachable.is_empty() {
                return;
            }
            if let Some(lookup) = self.lookups.get_mut(&number) {
                unreachable.iter().for_each(|peer| lookup.failed(peer));
            }
        }
    }

    fn on_looked_up(
        &mut self,
        now: Time,
        number: u32,
        connection: ConnectionId,
        peer: &PeerId,
        answer: Message,
        out: &mut Vec<Output>,
    ) {
        let closer = self.dialable(answer.closer);
        let providers = self.dialable(answer.providers);
        let Some(lookup) = self.lookups.get_mut(&number) else { return };
        for Contact { peer, addresses, .. } in lookup.answered(peer, closer, providers) {
            out.push(Output::Found { peer, addresses, named_by: connection });
        }
        self.go_on(now, number, out);
    }

    /// Ends look-ups whose time is over.
    pub(super) fn expire_lookups(&mut self, now: Time, out: &mut Vec<Output>) {
        let is_late = |lookup: &Lookup| lookup.deadline <= now;
        let late: Vec<u32> =
            self.lookups.iter().filter(|(_, lookup)| is_late(lookup)).map(|(number, _)| *number).collect();
        for number in late {
            self.end_lookup(now, number, out);
        }
    }

    // Contacts with at least one address that may be dialled here, or that are connected.
    fn dialable(&self, contacts: Vec<Contact>) -> Vec<Contact> {
        let keep = |mut contact: Contact| {
            contact.addresses = self.may_reach(&contact.addresses);
            let is_known = !contact.addresses.is_empty() || self.by_peer.contains_key(&contact.peer);
            is_known.then_some(contact)
        };
        contacts.into_iter().filter_map(keep).collect()
    }

    /// Those of some addresses that may be dialled and named here: private ones only where they are ordinary.
    pub(super) fn may_reach(&self, addresses: &[Address]) -> Vec<Address> {
        let may = |address: &&Address| self.config.may_reach(**address);
        addresses.iter().filter(may).take(super::ADDRESSES_MAX).copied().collect()
    }
}

impl From<MessageError> for Fault {
    fn from(error: MessageError) -> Self {
        Self::Message(error)
    }
}
