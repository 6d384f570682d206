//! Lends a protocol what it may touch while it handles something: its peers, the shell, and effects.

use crate::engine::P2pState;
use crate::shell::admission::{self, Admission, Knock};
use crate::shell::alarms::AlarmKey;
use crate::shell::bans::{Ban, PENALTY, Severity};
use crate::shell::book::{Book, Which};
use crate::shell::dialer;
use crate::shell::peers::{ConnectingPeer, Errand, PeerState};
use crate::shell::serving::Traffic;
use crate::shell::slots::{Slot, SlotCount};
use crate::{
    Address, ChannelId, Close, ConnectionId, Direction, DisconnectCause, Effect, Ends, Event, IMPORT_MAX,
    ImportedAddress, Misbehavior, Now, Overflow, P2pConfig, Phase, Protocol, Random, Reason, ReasonRecord, Record,
    Subject, Table, Target, Ticket, Time, Weight,
};
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use bytes::Bytes;
use core::net::IpAddr;
use core::time::Duration;

/// How long the address of a stranger (another network, another version) is left alone.
const STRANGER_BACK_OFF: Duration = Duration::from_secs(60 * 60);

/// What a peer was the first to bring, and was right about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Useful {
    /// A block that the ledger took.
    Block,
    /// A transaction that the ledger took.
    Transaction,
}

/// What a handler works with. Sending to, closing or convicting a connection that is gone does nothing.
pub struct Context<'a, P: Protocol> {
    pub(crate) state: &'a mut P2pState<P>,
    pub(crate) effects: &'a mut Vec<Effect<P::Request>>,
    pub(crate) now: Now,
}

/// Time, chance and configuration.
impl<P: Protocol> Context<'_, P> {
    /// Both clocks.
    pub fn now(&self) -> Now {
        self.now
    }

    /// The monotonic clock.
    pub fn time(&self) -> Time {
        self.now.monotonic
    }

    /// The engine's seeded generator.
    pub fn random(&mut self) -> &mut Random {
        &mut self.state.random
    }

    /// What the operator decided for every network.
    pub fn config(&self) -> &P2pConfig {
        &self.state.config
    }

    /// The protocol's own records, as they were when the engine started; empty afterwards.
    pub fn records(&mut self) -> Vec<Record> {
        core::mem::take(&mut self.state.protocol_records)
    }
}

/// Connections and peers.
impl<P: Protocol> Context<'_, P> {
    /// The two ends of a connection that is open.
    pub fn ends(&self, connection: ConnectionId) -> Option<&Ends> {
        self.state.peers.get(&connection).map(|peer| &peer.ends)
    }

    /// When the last whole frame came from a peer.
    pub fn last_frame(&self, connection: ConnectionId) -> Option<Time> {
        self.state.peers.get(&connection).map(|peer| peer.last_frame)
    }

    /// What is known of another peer.
    pub fn peer(&self, connection: ConnectionId) -> Option<&P::Peer> {
        self.state.peers.get(&connection)?.peer.as_ref()
    }

    /// What is known of another peer, to change it.
    pub fn peer_mut(&mut self, connection: ConnectionId) -> Option<&mut P::Peer> {
        self.state.peers.get_mut(&connection)?.peer.as_mut()
    }

    /// All other peers, in the order of their connections.
    pub fn peers(&self) -> impl Iterator<Item = (ConnectionId, &P::Peer)> {
        self.state.peers.iter().filter_map(|(connection, state)| Some((*connection, state.peer.as_ref()?)))
    }

    /// All other peers, to change them.
    pub fn peers_mut(&mut self) -> impl Iterator<Item = (ConnectionId, &mut P::Peer)> {
        self.state.peers.iter_mut().filter_map(|(connection, state)| Some((*connection, state.peer.as_mut()?)))
    }

    /// The connections of all other peers, for a loop that also sends.
    pub fn connections(&self) -> Vec<ConnectionId> {
        self.peers().map(|(connection, _)| connection).collect()
    }

    /// The handshake with a peer is finished: its address, when we dialled it, is proven. `about` is what it says of
    /// itself, for people.
    pub fn ready(&mut self, connection: ConnectionId, about: &str) {
        let Some(state) = self.state.peers.get_mut(&connection) else { return };
        if core::mem::replace(&mut state.is_ready, true) {
            return;
        }
        let ends = state.ends.clone();
        let (is_kept, errand) = (state.slot.is_kept(), state.errand);
        if errand == Errand::Test {
            self.state.tested.push_back(connection);
        }
        if let Some(address) = ends.dialled {
            self.prove(address);
            if is_kept {
                self.effects.push(Effect::Save(dialer::anchor(address, true)));
            }
        }
        let event = Event::PeerReady { connection, address: ends.remote, about: about.to_string() };
        self.effects.push(Effect::Publish(event));
    }

    /// A peer that dialled us is one that can be dialled at this address, as it says: while it is here there is no need,
    /// even if the operator named it. Only an address with the connection's own IP counts, since nobody can speak for
    /// another host.
    pub fn is_at(&mut self, connection: ConnectionId, address: Address) {
        if let Some(state) = self.state.peers.get_mut(&connection)
            && state.ends.remote.ip() == address.ip()
        {
            state.is_at = Some(address);
        }
    }

    /// This connection does not count in the outbound target: a tracker, a dial that only proves an address.
    pub fn leave_slot(&mut self, connection: ConnectionId) {
        if let Some(state) = self.state.peers.get(&connection) {
            if let Some(address) = state.ends.dialled {
                self.effects.push(Effect::Save(dialer::anchor(address, false)));
                self.state.change_slot(connection, Slot::Extra);
            }
            self.state.alarms.set_earlier(AlarmKey::Dial, self.now.monotonic);
        }
    }

    /// The peer was the first to bring something: one of the last to be let go when another wants its slot.
    pub fn useful(&mut self, connection: ConnectionId, what: Useful) {
        let now = self.now.monotonic;
        let Some(state) = self.state.peers.get_mut(&connection) else { return };
        match what {
            Useful::Block => state.merit.last_block = Some(now),
            Useful::Transaction => state.merit.last_transaction = Some(now),
        }
    }

    /// An answer of the peer's took this long. The lowest counts when another wants its slot.
    pub fn answered_within(&mut self, connection: ConnectionId, wait: Duration) {
        let Some(state) = self.state.peers.get_mut(&connection) else { return };
        let lowest = state.merit.ping_min.map_or(wait, |before| before.min(wait));
        state.merit.ping_min = Some(lowest);
    }

    /// What fills the slots now.
    pub fn slots(&self) -> SlotCount {
        self.state.slots()
    }

    /// Whether the dialer may open another connection that fills a slot.
    pub fn has_free_outbound_slot(&self) -> bool {
        self.state.slots().outbound < self.state.config.outbound_target as usize
    }

    /// Whom the operator or the network's preset named that is at this address.
    pub fn named(&self, address: Address) -> impl Iterator<Item = &Target> {
        let wanted = self.state.discovery.dialer.wanted.iter();
        wanted.filter(move |(_, wanted)| wanted.addresses.contains(&address)).map(|(target, _)| target)
    }

    /// Dials an address now, for an outbound slot or beside them. Nothing happens when it is held or being dialled
    /// already; a refusal by the gate leaves a reason.
    ///
    /// A dial that proves an address which its owner claims fills a slot only as one of the book would: into a network
    /// group that no other slot is in, and while not half of the slots went to the unproven. Else the connection ends
    /// with the proof, so that nobody fills a node's slots by calling it.
    pub fn dial(&mut self, address: Address, fills_slot: bool, why: Reason) -> Option<ConnectionId> {
        let errand = match why {
            Reason::DialledToProve if fills_slot && dialer::may_fill(self.state, address) => Errand::Slot(Which::New),
            Reason::DialledToProve if fills_slot => Errand::Test,
            _ => Errand::Named,
        };
        self.dial_for(address, fills_slot && errand != Errand::Test, errand, why)
    }

    pub(crate) fn dial_for(
        &mut self,
        address: Address,
        fills_slot: bool,
        errand: Errand,
        why: Reason,
    ) -> Option<ConnectionId> {
        if self.state.is_dialled(address) {
            return None;
        }
        let by_operator = why == Reason::DialledForOperator;
        let slot = match fills_slot {
            // What the network's preset names is dialled alike, but is nobody the operator knows.
            true if by_operator && self.state.named.is_named(&self.state.discovery.dialer, address) => Slot::Reserved,
            true => Slot::Outbound,
            false => Slot::Extra,
        };
        let knock = Knock::Dial { slot, by_operator };
        if let Admission::Refuse(reason) = admission::judge(self.state, self.now, address, knock) {
            self.because(Subject::Address(address), None, reason);
            return None;
        }
        let state = &mut *self.state;
        let connection = ConnectionId::nth(Direction::Outbound, state.next_dial);
        state.next_dial += 1;
        state.insert_dial(connection, ConnectingPeer { address, slot, errand });
        state.discovery.book.dialled(address, self.now.unix_ms);
        self.write_book();
        self.because(Subject::Address(address), Some(connection), why);
        self.effects.push(Effect::Dial { connection, address });
        Some(connection)
    }

    /// Closes a connection in good standing. `why` is for people.
    pub fn close(&mut self, connection: ConnectionId, how: Close, why: &str) {
        if !self.because_of(connection, Reason::Closed(why.to_string())) {
            return;
        }
        self.depart(connection, how);
    }

    /// An address turned out to be this node's own: it is never dialled again.
    pub fn met_self(&mut self, address: Address) {
        self.state.discovery.dialer.is_self(address);
        self.unlearn(address);
    }

    /// The peer behind a connection is this node itself: none of the addresses that led here is dialled again. Which
    /// those are. The other end of the connection, where it is found, is closed; this one is the protocol's to end, in
    /// its own words.
    pub fn met_self_over(&mut self, connection: ConnectionId) -> Vec<Address> {
        let Some(ends) = self.ends(connection).cloned() else { return Vec::new() };
        let mut own = Vec::from_iter(ends.dialled);
        if ends.direction == Direction::Inbound {
            // Someone here reached us under this address.
            own.push(ends.local);
            let is_other_end = |other: &ConnectionId| {
                self.ends(*other).is_some_and(|other| other.dialled.is_some() && other.local == ends.remote)
            };
            if let Some(other) = self.connections().into_iter().find(is_other_end) {
                own.extend(self.ends(other).and_then(|ends| ends.dialled));
                self.close(other, Close::Now, "it is this node itself");
            }
        }
        for address in &own {
            self.met_self(*address);
        }
        own
    }
}

/// Frames and channels.
impl<P: Protocol> Context<'_, P> {
    /// Sends a whole frame on the only channel.
    pub fn send(&mut self, connection: ConnectionId, frame: Bytes, overflow: Overflow) {
        self.send_on(connection, ChannelId::ONLY, frame, overflow);
    }

    /// Sends a whole frame.
    pub fn send_on(&mut self, connection: ConnectionId, channel: ChannelId, frame: Bytes, overflow: Overflow) {
        self.send_as(connection, channel, frame, overflow, Traffic::of(overflow));
    }

    pub(crate) fn send_as(
        &mut self,
        connection: ConnectionId,
        channel: ChannelId,
        frame: Bytes,
        overflow: Overflow,
        traffic: Traffic,
    ) {
        let is_open = self.state.channels.sent(connection, channel).is_some();
        if !is_open || !self.cap_admits(traffic, frame.len()) {
            return;
        }
        if !self.state.channels.sending(connection, channel, frame.len()) {
            return;
        }
        if let Some(state) = self.state.peers.get_mut(&connection) {
            state.frames_sent += 1;
        }
        self.effects.push(Effect::Send { connection, channel, frame, overflow });
    }

    /// Whether the only channel can take another answer: below the low-water mark since it was last writable. When
    /// it cannot, `on_writable` says when it can. Answers that cost more than a word ask [`Context::may_answer`] or
    /// [`Context::may_serve`].
    pub fn is_writable(&self, connection: ConnectionId) -> bool {
        self.is_writable_on(connection, ChannelId::ONLY)
    }

    /// Whether a channel can take another answer.
    pub fn is_writable_on(&self, connection: ConnectionId, channel: ChannelId) -> bool {
        self.state.channels.sent(connection, channel).is_some_and(|sent| sent < self.state.profile.low_water_bytes)
    }

    /// Opens a channel. It can be written to once `on_channel` says that it stands; `on_channel_closed` says when the
    /// peer does not want it. Nothing when the connection is gone or has had more channels than can be numbered.
    pub fn open(&mut self, connection: ConnectionId, kind: u16) -> Option<ChannelId> {
        let state = self.state.peers.get_mut(&connection)?;
        let channel = ChannelId::nth(Direction::Outbound, state.channels_opened + 1)?;
        state.channels_opened += 1;
        self.effects.push(Effect::Open { connection, channel, kind });
        Some(channel)
    }

    /// Writes no more on a channel. What the peer sends still comes.
    pub fn finish(&mut self, connection: ConnectionId, channel: ChannelId) {
        if self.state.channels.closed(connection, channel) {
            self.effects.push(Effect::Finish { connection, channel });
        }
    }

    /// Breaks a channel off, also one that does not stand yet. Nothing more is handed in from it.
    pub fn reset(&mut self, connection: ConnectionId, channel: ChannelId) {
        if !self.state.peers.contains_key(&connection) {
            return;
        }
        self.state.channels.closed(connection, channel);
        self.state.resets += 1;
        self.effects.push(Effect::Reset { connection, channel });
    }

    /// The peer's next frames on the only channel are cut by the rules of this phase. Where there are many channels it
    /// is the connection's own phase, which says whether it is pending still.
    pub fn set_phase(&mut self, connection: ConnectionId, phase: Phase) {
        self.set_phase_on(connection, ChannelId::ONLY, phase);
    }

    /// The peer's next frames on this channel are cut by the rules of this phase.
    pub fn set_phase_on(&mut self, connection: ConnectionId, channel: ChannelId, phase: Phase) {
        self.effects.push(Effect::SetPhase { connection, channel, phase });
    }
}

/// Faults.
impl<P: Protocol> Context<'_, P> {
    /// Another peer's fault has come to light, through an answer or an alarm: the same path as returning `Err`.
    pub fn convict(&mut self, connection: ConnectionId, misbehavior: P::Misbehavior) {
        let Some(ends) = self.ends(connection).cloned() else { return };
        let farewell = misbehavior.farewell();
        let how = if farewell.is_some() { Close::Lingering } else { Close::Now };
        if let Some(frame) = farewell {
            self.send(connection, frame, Overflow::Drop);
        }
        let name = misbehavior.name();
        self.because(Subject::Address(ends.remote), Some(connection), Reason::Convicted(name.to_string()));
        match misbehavior.weight() {
            Weight::Stranger => self.back_off_stranger(&ends),
            Weight::Slip => {}
            Weight::Breach => self.refuse(ends.remote.ip(), Severity::Discouraged, PENALTY, name, false),
            Weight::Attack => self.refuse(ends.remote.ip(), Severity::Banned, PENALTY, name, false),
        }
        self.depart(connection, how);
    }

    /// A fault is answered with its last word, recorded and borne; the one too many ends the connection and
    /// discourages the peer. Whether the connection is still open.
    pub fn slip(&mut self, connection: ConnectionId, misbehavior: P::Misbehavior) -> bool {
        let (max, fade) = (self.state.profile.slips_max, self.state.profile.slip_fade);
        let Some(state) = self.state.peers.get_mut(&connection) else { return false };
        let remote = state.ends.remote;
        let is_last = state.slip(self.now.monotonic, max, fade);
        let name = misbehavior.name();
        if let Some(frame) = misbehavior.farewell() {
            self.send(connection, frame, Overflow::Close);
        }
        let reason = if is_last { Reason::Convicted } else { Reason::Slip };
        self.because(Subject::Address(remote), Some(connection), reason(name.to_string()));
        if is_last {
            if let Some(state) = self.state.peers.get_mut(&connection) {
                // Paid for: whoever comes back after the penalty starts anew.
                state.slips.clear();
            }
            self.refuse(remote.ip(), Severity::Discouraged, PENALTY, name, false);
            self.depart(connection, Close::Lingering);
        }
        !is_last
    }

    /// A peer turned out to be a stranger, and the protocol says goodbye itself: its address is left alone for an
    /// hour, without blame.
    pub fn stranger(&mut self, connection: ConnectionId, misbehavior: P::Misbehavior) {
        let Some(ends) = self.ends(connection).cloned() else { return };
        let reason = Reason::Closed(misbehavior.name().to_string());
        self.because(Subject::Address(ends.remote), Some(connection), reason);
        self.back_off_stranger(&ends);
    }

    fn back_off_stranger(&mut self, ends: &Ends) {
        let Some(address) = ends.dialled else { return };
        let not_before = self.now.monotonic + STRANGER_BACK_OFF;
        self.state.discovery.book.put_off(address, not_before);
        if let Some(wanted) = self.state.discovery.dialer.wanted_mut(address) {
            wanted.not_before = not_before;
        }
    }

    pub(crate) fn refuse(&mut self, ip: IpAddr, severity: Severity, wait: Duration, fault: &str, by_operator: bool) {
        if self.state.is_spared(ip) && !by_operator {
            return;
        }
        let until_ms = self.now.after(wait).unix_ms;
        let ban = Ban { severity, until_ms, reason: String::from(fault), by_operator };
        let Some(record) = self.state.bans.insert(self.now, ip, wait, ban) else { return };
        self.effects.push(Effect::Save(record));
        let fault = String::from(fault);
        let reason = match severity {
            Severity::Discouraged => Reason::Discouraged { until_ms, fault },
            Severity::Banned => Reason::Banned { until_ms, fault },
        };
        self.because(Subject::Ip(ip), None, reason);
    }
}

/// The ledger, alarms, records and events.
impl<P: Protocol> Context<'_, P> {
    /// Puts a question to the ledger.
    pub fn ask(&mut self, request: P::Request) -> Ticket {
        let ticket = Ticket(self.state.next_ticket);
        self.state.next_ticket += 1;
        self.effects.push(Effect::Ask { ticket, request });
        ticket
    }

    /// Sets an alarm of the protocol's, replacing its earlier time.
    pub fn alarm(&mut self, alarm: P::Alarm, at: Time) {
        self.state.alarms.set(AlarmKey::Protocol(alarm), at);
    }

    /// Forgets an alarm of the protocol's.
    pub fn cancel_alarm(&mut self, alarm: P::Alarm) {
        self.state.alarms.cancel(AlarmKey::Protocol(alarm));
    }

    /// Sets an alarm of one connection, replacing its earlier time. It goes with the connection.
    pub fn peer_alarm(&mut self, connection: ConnectionId, alarm: P::Alarm, at: Time) {
        if self.state.peers.contains_key(&connection) {
            self.state.alarms.set(AlarmKey::Peer(connection, alarm), at);
        }
    }

    /// Whether an alarm of one connection is set.
    pub fn has_peer_alarm(&self, connection: ConnectionId, alarm: P::Alarm) -> bool {
        self.state.alarms.is_set(AlarmKey::Peer(connection, alarm))
    }

    /// Forgets an alarm of one connection.
    pub fn cancel_peer_alarm(&mut self, connection: ConnectionId, alarm: P::Alarm) {
        self.state.alarms.cancel(AlarmKey::Peer(connection, alarm));
    }

    /// Keeps a record of the protocol's own; nothing deletes it.
    pub fn save(&mut self, key: Bytes, value: Option<Bytes>) {
        self.effects.push(Effect::Save(Record { table: Table::Protocol, key, value }));
    }

    /// Shows people something.
    pub fn note(&mut self, text: String) {
        self.effects.push(Effect::Publish(Event::Note(text)));
    }
}

/// The address book.
impl<P: Protocol> Context<'_, P> {
    /// The address book, to read.
    pub fn book(&self) -> &Book {
        &self.state.discovery.book
    }

    /// Learns addresses that `source` named, unproven. Those that cannot be dialled here, our own and known ones are
    /// skipped. How many were new.
    pub fn learn(&mut self, addresses: impl IntoIterator<Item = Address>, source: Option<IpAddr>) -> usize {
        let mut new = 0;
        for address in addresses {
            if !self.may_know(address) {
                continue;
            }
            let book = &mut self.state.discovery.book;
            new += usize::from(book.learn(address, source, self.now.unix_ms, &mut self.state.random));
        }
        self.write_book();
        if new > 0 {
            self.state.alarms.set_earlier(AlarmKey::Dial, self.now.monotonic);
        }
        new
    }

    /// Forgets an address that is not a node's: it is neither handed out nor dialled again, unless the operator named
    /// it.
    pub fn unlearn(&mut self, address: Address) {
        self.state.discovery.book.forget(address);
        self.write_book();
    }

    /// Up to `count` proven addresses in random order, for handing out.
    pub fn sample_proven(&mut self, count: usize) -> Vec<Address> {
        self.state.discovery.book.sample_proven(count, self.now.unix_ms, &mut self.state.random)
    }

    /// A dial of this address led to a peer that speaks this protocol: it may be handed out. [`Context::ready`] does
    /// the same for the connection's own.
    pub fn prove(&mut self, address: Address) {
        self.state.discovery.book.good(address, self.now);
        self.write_book();
    }
}

impl<P: Protocol> Context<'_, P> {
    /// Takes over what an operator imports.
    pub(crate) fn import(&mut self, addresses: &[ImportedAddress]) {
        for imported in addresses.iter().take(IMPORT_MAX) {
            if self.may_know(imported.address) {
                self.state.discovery.book.import(imported, self.now.unix_ms);
            }
        }
        self.write_book();
        self.state.alarms.set_earlier(AlarmKey::Dial, self.now.monotonic);
    }

    fn may_know(&self, address: Address) -> bool {
        let is_ours = self.state.discovery.dialer.selves.contains(&address);
        let is_here = self.state.config.private_addresses || address.is_public();
        is_here && !is_ours && address.is_dialable()
    }

    /// Has what changed in the address book written down.
    pub(crate) fn write_book(&mut self) {
        self.effects.extend(self.state.discovery.book.take_changes().into_iter().map(Effect::Save));
    }

    /// Leaves a record of why.
    pub(crate) fn because(&mut self, subject: Subject, connection: Option<ConnectionId>, reason: Reason) {
        let record = ReasonRecord { now: self.now, subject, connection, reason, times: 1 };
        if self.state.reasons.push(record.clone()) {
            self.effects.push(Effect::Publish(Event::Reason(record)));
        }
    }

    /// Leaves a record of why about a connection. Whether it is open.
    pub(crate) fn because_of(&mut self, connection: ConnectionId, reason: Reason) -> bool {
        let Some(remote) = self.ends(connection).map(|ends| ends.remote) else { return false };
        self.because(Subject::Address(remote), Some(connection), reason);
        true
    }

    /// Takes a connection out of the table. The protocol hears of it when the handler that runs has returned.
    pub(crate) fn depart(&mut self, connection: ConnectionId, how: Close) {
        let Some(state) = self.state.remove_peer(self.now.monotonic, connection) else { return };
        self.effects.push(Effect::Close { connection, how });
        self.state.closing.insert(connection, state.ends.clone());
        self.departed(connection, state, DisconnectCause::Ours);
    }

    /// What follows when a connection has left the table, whoever closed it.
    pub(crate) fn departed(&mut self, connection: ConnectionId, state: PeerState<P>, cause: DisconnectCause) {
        let address = state.ends.remote;
        self.effects.push(Effect::Publish(Event::PeerGone { connection, address, cause }));
        if let Some(dialled) = state.ends.dialled {
            let lasted = self.now.monotonic.since(state.connected.monotonic);
            dialer::lost(self, dialled, state.slot.is_kept(), state.is_ready, lasted);
        }
        self.state.departed.push_back((connection, state.peer, cause));
    }
}
