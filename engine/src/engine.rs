//! Reduces: state and action give state and effects.

use crate::context::Context;
use crate::shell::admission::{self, Admission, Knock};
use crate::shell::alarms::{AlarmKey, Alarms};
use crate::shell::bans::{Bans, Severity};
use crate::shell::book::Book;
use crate::shell::channels::Channels;
use crate::shell::costs::Costs;
use crate::shell::dialer::{self, Dialer};
use crate::shell::eviction::Victim;
use crate::shell::peers::{ConnectingPeer, Errand, PeerState};
use crate::shell::reasons::Reasons;
use crate::shell::serving::Serving;
use crate::shell::slips::Slips;
use crate::shell::slots::{Named, Slot, SlotCount, Slots};
use crate::{
    Address, BadFrame, ChannelId, Close, Command, ConnectionId, DialFailure, Direction, DisconnectCause, Effect, Ends,
    Frame, NetworkGroup, Now, P2pAction, P2pConfig, Parting, Profile, Protocol, Random, Reason, Record, Subject, Table,
    Target, Time,
};
use alloc::collections::{BTreeMap, VecDeque};
use alloc::vec::Vec;
use core::net::IpAddr;

/// Everything that an engine knows besides its protocol's own state. Read it and you know what can happen.
pub struct P2pState<P: Protocol> {
    /// What the operator decided.
    pub config: P2pConfig,
    /// The network, as data.
    pub profile: Profile,
    /// Connections that stand, and who is behind them.
    pub peers: BTreeMap<ConnectionId, PeerState<P>>,
    /// Dials under way.
    pub connecting_peers: BTreeMap<ConnectionId, ConnectingPeer>,
    /// Channels that can be written to.
    pub channels: Channels,
    /// Whom to dial.
    pub discovery: Discovery,
    /// Whom not to talk to.
    pub bans: Bans,
    /// Why things were done.
    pub reasons: Reasons,
    /// Whether this node is going down.
    pub is_draining: bool,
    pub(crate) closing: BTreeMap<ConnectionId, Ends>,
    pub(crate) tested: VecDeque<ConnectionId>,
    pub(crate) departed: VecDeque<(ConnectionId, Option<P::Peer>, DisconnectCause)>,
    pub(crate) dialled: BTreeMap<Address, ConnectionId>,
    pub(crate) slots: Slots,
    pub(crate) named: Named,
    pub(crate) slips: Slips,
    pub(crate) group_key: [u8; 32],
    pub(crate) alarms: Alarms<P::Alarm>,
    pub(crate) random: Random,
    pub(crate) protocol_records: Vec<Record>,
    pub(crate) next_dial: u64,
    /// Counts channels that were broken off, so that a run of frames ends with the channel that brings them.
    pub(crate) resets: u64,
    pub(crate) next_ticket: u64,
    /// What became of the frames that came.
    pub frames: FrameCount,
    /// What peers had this node do.
    pub costs: Costs,
    /// Whose answers wait, and what was sent.
    pub serving: Serving,
}

/// Frames that the host handed in, so that its own count can be checked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FrameCount {
    /// Those that a protocol handled.
    pub handled: u64,
    /// Those of connections that are gone or on their way out.
    pub unheard: u64,
}

/// Where peers may be, and whom to dial.
#[derive(Clone, Debug)]
pub struct Discovery {
    /// The address book.
    pub book: Book,
    /// The dialer.
    pub dialer: Dialer,
}

impl<P: Protocol> P2pState<P> {
    fn new(now: Now, mut config: P2pConfig, profile: Profile, seed: [u8; 32], records: &[Record]) -> Self {
        let mut random = Random::new(seed);
        let as_map = core::mem::take(&mut config.as_map);
        let book = Book::load(records, config.book_max as usize, as_map, now.unix_ms, &mut random);
        Self {
            serving: Serving::new(config.upload_rate, now.monotonic),
            config,
            profile,
            peers: BTreeMap::new(),
            connecting_peers: BTreeMap::new(),
            channels: Channels::default(),
            discovery: Discovery { book, dialer: Dialer::default() },
            bans: Bans::default(),
            reasons: Reasons::default(),
            is_draining: false,
            closing: BTreeMap::new(),
            tested: VecDeque::new(),
            departed: VecDeque::new(),
            dialled: BTreeMap::new(),
            slots: Slots::default(),
            named: Named::default(),
            slips: Slips::default(),
            group_key: blake3::derive_key("polypeer 2026 network groups in eviction", &seed),
            alarms: Alarms::default(),
            random,
            protocol_records: Vec::new(),
            next_dial: 0,
            resets: 0,
            next_ticket: 0,
            frames: FrameCount::default(),
            costs: Costs::default(),
        }
    }

    /// What fills the slots now.
    pub fn slots(&self) -> SlotCount {
        self.slots.count()
    }

    /// The slips of hosts that left.
    pub fn slips(&self) -> &Slips {
        &self.slips
    }

    /// Whether this address was dialled and is held, or is being dialled.
    pub fn is_dialled(&self, address: Address) -> bool {
        self.dialled.contains_key(&address)
    }

    /// Whether nobody at this IP address is ever banned, discouraged or counted in a cap.
    pub fn is_spared(&self, ip: IpAddr) -> bool {
        self.config.spare_loopback && ip.is_loopback()
    }

    /// The network group by which caps and eviction count an IP address; nothing for one that no cap counts.
    pub(crate) fn capped_group(&self, ip: IpAddr) -> Option<NetworkGroup> {
        (!self.is_spared(ip)).then(|| self.discovery.book.group(ip))
    }

    /// Where a network group stands in an order that only this node knows.
    pub(crate) fn group_rank(&self, group: NetworkGroup) -> u64 {
        let hash = match group {
            NetworkGroup::V4(bytes) => blake3::keyed_hash(&self.group_key, &bytes),
            NetworkGroup::V6(bytes) => blake3::keyed_hash(&self.group_key, &bytes),
            NetworkGroup::As(number) => blake3::keyed_hash(&self.group_key, &number.to_be_bytes()),
        };
        let [a, b, c, d, e, f, g, h, ..] = *hash.as_bytes();
        u64::from_be_bytes([a, b, c, d, e, f, g, h])
    }

    pub(crate) fn insert_peer(&mut self, now: Now, connection: ConnectionId, ends: Ends, slot: Slot, errand: Errand) {
        let slips = self.slips.take(ends.remote.ip(), now.monotonic, self.profile.slip_fade);
        self.seat(slot, ends.direction, ends.counted_ip());
        let account = self.costs.arrived(ends.remote.ip());
        self.peers.insert(connection, PeerState { errand, account, ..PeerState::new(ends, now, slot, slips) });
        if !self.profile.transport.has_channels() {
            self.channels.opened(connection, ChannelId::ONLY);
        }
    }

    pub(crate) fn remove_peer(&mut self, now: Time, connection: ConnectionId) -> Option<PeerState<P>> {
        let mut state = self.peers.remove(&connection)?;
        self.serving.gone(connection);
        if !self.is_spared(state.ends.remote.ip()) {
            self.costs.left(now, state.ends.remote.ip(), state.account);
        }
        self.channels.closed_all(connection);
        self.alarms.cancel_peer(connection);
        if let Some(address) = state.ends.dialled {
            self.undial(address, connection);
        }
        self.unseat(state.slot, state.ends.direction, state.ends.counted_ip());
        let remote = state.ends.remote.ip();
        if !self.is_spared(remote) {
            self.slips.remember(remote, core::mem::take(&mut state.slips), self.profile.slips_max);
        }
        Some(state)
    }

    /// Begins to count a dial. It counts until [`Self::remove_dial`].
    pub(crate) fn insert_dial(&mut self, connection: ConnectionId, dial: ConnectingPeer) {
        self.seat(dial.slot, Direction::Outbound, dial.address.ip());
        self.connecting_peers.insert(connection, dial);
        self.dialled.insert(dial.address, connection);
    }

    pub(crate) fn remove_dial(&mut self, connection: ConnectionId) -> Option<ConnectingPeer> {
        let dial = self.connecting_peers.remove(&connection)?;
        self.unseat(dial.slot, Direction::Outbound, dial.address.ip());
        self.undial(dial.address, connection);
        Some(dial)
    }

    /// Counts a connection as something else from now on.
    pub(crate) fn change_slot(&mut self, connection: ConnectionId, slot: Slot) {
        let Some(state) = self.peers.get_mut(&connection) else { return };
        let before = core::mem::replace(&mut state.slot, slot);
        let (direction, ip) = (state.ends.direction, state.ends.counted_ip());
        self.unseat(before, direction, ip);
        self.seat(slot, direction, ip);
    }

    fn seat(&mut self, slot: Slot, direction: Direction, ip: IpAddr) {
        self.slots.taken(slot, direction, ip, self.capped_group(ip));
    }

    fn unseat(&mut self, slot: Slot, direction: Direction, ip: IpAddr) {
        self.slots.freed(slot, direction, ip, self.capped_group(ip));
    }

    fn undial(&mut self, address: Address, connection: ConnectionId) {
        if self.dialled.get(&address) == Some(&connection) {
            self.dialled.remove(&address);
        }
    }
}

/// One network's engine: the shell's state and the protocol's.
pub struct Engine<P: Protocol> {
    state: P2pState<P>,
    protocol: P,
}

impl<P: Protocol> Engine<P> {
    /// Starts an engine. `records` are what an earlier one saved; `effects` gets what is to be done first.
    pub fn new(
        now: Now,
        config: P2pConfig,
        network: P::Config,
        seed: [u8; 32],
        records: &[Record],
        effects: &mut Vec<Effect<P::Request>>,
    ) -> Self {
        let profile = P::profile(&network);
        let mut state = P2pState::new(now, config, profile, seed, records);
        load(&mut state, now, records, effects);
        name_peers(&mut state);
        state.alarms.set(AlarmKey::Dial, now.monotonic);
        let protocol = P::new(network, &mut Context { state: &mut state, effects, now });
        Self { state, protocol }
    }

    /// What the shell knows.
    pub fn state(&self) -> &P2pState<P> {
        &self.state
    }

    /// What the protocol knows.
    pub fn protocol(&self) -> &P {
        &self.protocol
    }

    /// When the engine wants a [`P2pAction::Wake`].
    pub fn next_wake(&self) -> Option<Time> {
        self.state.alarms.next()
    }

    /// Takes one action. What is to be done is added to `effects`, in order. Total: an action about a connection
    /// that is gone does nothing.
    pub fn step(&mut self, now: Now, action: P2pAction<P::Answer>, effects: &mut Vec<Effect<P::Request>>) {
        match action {
            P2pAction::MessageReceived { connection, channel, frame } => {
                let mut lent = Some(Frame::from(&frame));
                return self.receive(now, connection, channel, effects, |_| lent.take());
            }
            P2pAction::Writable { connection, channel } => {
                self.state.channels.writable(connection, channel);
                self.with_peer(now, effects, connection, |protocol, cx, peer| {
                    protocol.on_writable(cx, connection, peer, channel)
                });
            }
            P2pAction::LedgerAnswered { ticket, answer } => {
                let (protocol, mut cx) = self.context(now, effects);
                protocol.on_answer(&mut cx, ticket, answer);
            }
            P2pAction::Wake => self.wake(now, effects),
            P2pAction::Connected { connection, ends } => self.connected(now, effects, connection, ends),
            P2pAction::ConnectionFailed { connection, cause } => self.dial_failed(now, effects, connection, cause),
            P2pAction::Disconnected { connection, cause } => self.disconnected(now, effects, connection, cause),
            P2pAction::BadFrame { connection, channel, bad } => self.bad_frame(now, effects, connection, channel, bad),
            P2pAction::ChannelOpened { connection, channel, kind, opener } => {
                if self.state.peers.contains_key(&connection) {
                    self.state.channels.opened(connection, channel);
                }
                self.with_peer(now, effects, connection, |protocol, cx, peer| {
                    protocol.on_channel(cx, connection, peer, channel, kind, opener)
                });
            }
            P2pAction::ChannelClosed { connection, channel, end } => {
                if end != crate::ChannelEnd::Finished {
                    self.state.channels.closed(connection, channel);
                }
                self.with_peer(now, effects, connection, |protocol, cx, peer| {
                    protocol.on_channel_closed(cx, connection, peer, channel, end)
                });
            }
            P2pAction::BroadcastMessage { kind, payload } => {
                let (protocol, mut cx) = self.context(now, effects);
                protocol.on_broadcast(&mut cx, kind, payload);
            }
            P2pAction::Connect { address } => {
                let (_, mut cx) = self.context(now, effects);
                cx.dial(address, true, Reason::DialledForOperator);
            }
            P2pAction::Disconnect { connection } => self.part(now, effects, connection, Parting::Dropped),
            P2pAction::Resolved { name, port, addresses } => self.resolved(now, name, port, addresses),
            P2pAction::Command(command) => self.command(now, effects, command),
            P2pAction::Dropped { connection, frames } => {
                let (_, mut cx) = self.context(now, effects);
                cx.because_of(connection, Reason::Dropped { frames });
            }
        }
        self.settle(now, effects);
    }

    /// Takes whole frames of one connection, one after another: what an [`Engine::step`] with a
    /// [`P2pAction::MessageReceived`] for each does. It is the hottest way in, and a host that does not write actions
    /// down spares itself moving each frame into an action, and its peer out of the table and back.
    ///
    /// `next` is told how many effects wait and gives the next frame, or nothing when it wants to go on elsewhere. The
    /// run also ends when a connection leaves the table or a channel is broken off.
    pub fn receive<'a>(
        &mut self,
        now: Now,
        connection: ConnectionId,
        channel: ChannelId,
        effects: &mut Vec<Effect<P::Request>>,
        mut next: impl FnMut(usize) -> Option<Frame<'a>>,
    ) {
        let Some(first) = next(effects.len()) else { return };
        let peer = self.state.peers.get_mut(&connection).and_then(|state| state.received(now.monotonic));
        let is_heard = peer.is_some();
        let (mut frames, resets) = (0, self.state.resets);
        self.handle(now, effects, connection, peer, |protocol, cx, mut peer| {
            let mut frame = first;
            loop {
                peer = protocol.on_frame(cx, connection, peer, channel, frame)?;
                if !cx.state.departed.is_empty() || cx.state.resets != resets {
                    return Ok(peer);
                }
                match next(cx.effects.len()) {
                    Some(another) => frame = another,
                    None => return Ok(peer),
                }
                frames += 1;
            }
        });
        if let Some(state) = self.state.peers.get_mut(&connection) {
            state.frames_received += frames;
        }
        self.state.frames.handled += if is_heard { 1 + frames } else { 0 };
        self.state.frames.unheard += u64::from(!is_heard);
        self.settle(now, effects);
    }

    fn context<'a>(&'a mut self, now: Now, effects: &'a mut Vec<Effect<P::Request>>) -> (&'a mut P, Context<'a, P>) {
        (&mut self.protocol, Context { state: &mut self.state, effects, now })
    }

    // Runs a handler with its peer out of the table, and puts the peer back, or carries out the conviction.
    fn with_peer(
        &mut self,
        now: Now,
        effects: &mut Vec<Effect<P::Request>>,
        connection: ConnectionId,
        handle: impl FnOnce(&mut P, &mut Context<'_, P>, P::Peer) -> Result<P::Peer, P::Misbehavior>,
    ) {
        let peer = self.state.peers.get_mut(&connection).and_then(|state| state.peer.take());
        self.handle(now, effects, connection, peer, handle);
    }

    fn handle(
        &mut self,
        now: Now,
        effects: &mut Vec<Effect<P::Request>>,
        connection: ConnectionId,
        peer: Option<P::Peer>,
        handle: impl FnOnce(&mut P, &mut Context<'_, P>, P::Peer) -> Result<P::Peer, P::Misbehavior>,
    ) {
        let Some(peer) = peer else { return };
        let (protocol, mut cx) = self.context(now, effects);
        match handle(protocol, &mut cx, peer) {
            Ok(peer) => self.put_back(connection, peer),
            Err(misbehavior) => cx.convict(connection, misbehavior),
        }
    }

    fn put_back(&mut self, connection: ConnectionId, peer: P::Peer) {
        if let Some(state) = self.state.peers.get_mut(&connection) {
            state.peer = Some(peer);
        } else if let Some(departed) = self.state.departed.iter_mut().find(|departed| departed.0 == connection) {
            departed.1 = Some(peer);
        }
    }

    // Ends dials that have shown what they were for, and tells the protocol of connections that left the table while
    // something else was handled.
    fn settle(&mut self, now: Now, effects: &mut Vec<Effect<P::Request>>) {
        while let Some(connection) = self.state.tested.pop_front() {
            self.part(now, effects, connection, Parting::Dropped);
        }
        while let Some((connection, peer, cause)) = self.state.departed.pop_front() {
            let (protocol, mut cx) = self.context(now, effects);
            protocol.on_disconnected(&mut cx, connection, peer, cause);
        }
    }

    fn connected(&mut self, now: Now, effects: &mut Vec<Effect<P::Request>>, connection: ConnectionId, mut ends: Ends) {
        if self.state.peers.contains_key(&connection) || self.state.closing.contains_key(&connection) {
            return;
        }
        ends.direction = connection.direction();
        let dial = self.state.remove_dial(connection);
        ends.dialled = dial.map(|dial| dial.address);
        let admission = match (dial, ends.direction) {
            (Some(dial), _) => admission::judge(&self.state, now, dial.address, Knock::Stands(dial.slot)),
            (None, Direction::Inbound) => admission::judge(&self.state, now, ends.remote, Knock::Accepted),
            // A dial that nobody knows of: a host that is confused, or one that was banned or drained meanwhile.
            (None, Direction::Outbound) => Admission::Refuse(Reason::RefusedDraining),
        };
        let slot = match admission {
            Admission::Admit(slot) => slot,
            Admission::AdmitByEvicting(victim) => {
                self.evict(now, effects, victim, ends.remote);
                Slot::Inbound
            }
            Admission::Refuse(reason) => {
                let (_, mut cx) = self.context(now, effects);
                cx.because(Subject::Address(ends.remote), Some(connection), reason);
                cx.effects.push(Effect::Close { connection, how: Close::Now });
                self.state.closing.insert(connection, ends);
                return;
            }
        };
        if let Some(address) = ends.dialled {
            self.state.dialled.insert(address, connection);
        }
        let errand = dial.map(|dial| dial.errand).unwrap_or_default();
        self.state.insert_peer(now, connection, ends, slot, errand);
        let (protocol, mut cx) = self.context(now, effects);
        match protocol.on_connected(&mut cx, connection) {
            Ok(peer) => self.put_back(connection, peer),
            Err(misbehavior) => cx.convict(connection, misbehavior),
        }
    }

    fn evict(&mut self, now: Now, effects: &mut Vec<Effect<P::Request>>, victim: Victim, for_whom: Address) {
        let Victim { connection, protected, in_group, is_discouraged } = victim;
        let (_, mut cx) = self.context(now, effects);
        cx.because_of(connection, Reason::Evicted { for_whom, protected, in_group, is_discouraged });
        self.part(now, effects, connection, Parting::Evicted);
    }

    fn dial_failed(
        &mut self,
        now: Now,
        effects: &mut Vec<Effect<P::Request>>,
        connection: ConnectionId,
        cause: DialFailure,
    ) {
        let Some(ConnectingPeer { address, slot, .. }) = self.state.remove_dial(connection) else { return };
        let (protocol, mut cx) = self.context(now, effects);
        dialer::failed(&mut cx, address, slot.is_kept(), cause);
        protocol.on_dial_failed(&mut cx, address, cause);
    }

    fn disconnected(
        &mut self,
        now: Now,
        effects: &mut Vec<Effect<P::Request>>,
        connection: ConnectionId,
        cause: DisconnectCause,
    ) {
        if self.state.closing.remove(&connection).is_some() {
            return;
        }
        let Some(state) = self.state.remove_peer(now.monotonic, connection) else { return };
        let (_, mut cx) = self.context(now, effects);
        let subject = Subject::Address(state.ends.remote);
        cx.because(subject, Some(connection), Reason::Disconnected(cause));
        cx.departed(connection, state, cause);
    }

    fn bad_frame(
        &mut self,
        now: Now,
        effects: &mut Vec<Effect<P::Request>>,
        connection: ConnectionId,
        channel: ChannelId,
        bad: BadFrame,
    ) {
        let fatal = bad.fatal;
        self.with_peer(now, effects, connection, |protocol, cx, peer| {
            let peer = protocol.on_bad_frame(cx, connection, peer, channel, bad)?;
            if fatal && channel == ChannelId::ONLY {
                cx.close(connection, Close::Lingering, "unreadable bytes");
            } else if fatal {
                cx.reset(connection, channel);
            }
            Ok(peer)
        });
    }

    fn part(&mut self, now: Now, effects: &mut Vec<Effect<P::Request>>, connection: ConnectionId, why: Parting) {
        // A dial cannot be called back; it is closed when it stands.
        self.state.remove_dial(connection);
        // Whoever is told to go may take its time over the last word, but holds no slot any more.
        if self.state.peers.get(&connection).is_some_and(|peer| peer.slot == Slot::Inbound) {
            self.state.change_slot(connection, Slot::Leaving);
        }
        self.with_peer(now, effects, connection, |protocol, cx, peer| protocol.on_parting(cx, connection, peer, why));
    }

    fn wake(&mut self, now: Now, effects: &mut Vec<Effect<P::Request>>) {
        // An alarm that sets itself again for now waits for the next wake, so this ends.
        let mut due = Vec::new();
        while let Some(key) = self.state.alarms.take_due(now.monotonic) {
            due.push(key);
        }
        for key in due {
            match key {
                AlarmKey::Dial => dialer::look(&mut Context { state: &mut self.state, effects, now }),
                AlarmKey::Serve => self.serve(now, effects),
                AlarmKey::Protocol(alarm) => {
                    let (protocol, mut cx) = self.context(now, effects);
                    protocol.on_alarm(&mut cx, alarm);
                }
                AlarmKey::Peer(connection, alarm) => self.with_peer(now, effects, connection, |protocol, cx, peer| {
                    protocol.on_peer_alarm(cx, connection, peer, alarm)
                }),
            }
            self.settle(now, effects);
        }
    }

    // Those whose answers waited take turns, each once at most.
    fn serve(&mut self, now: Now, effects: &mut Vec<Effect<P::Request>>) {
        for _ in 0..self.state.serving.count() {
            let Some(connection) = self.state.serving.next(now.monotonic) else { break };
            self.with_peer(now, effects, connection, |protocol, cx, peer| {
                protocol.on_writable(cx, connection, peer, ChannelId::ONLY)
            });
            self.settle(now, effects);
        }
        if let Some(at) = self.state.serving.next_at(now.monotonic) {
            self.state.alarms.set_earlier(AlarmKey::Serve, at);
        }
    }

    fn resolved(&mut self, now: Now, name: alloc::string::String, port: u16, addresses: Vec<Address>) {
        /// Addresses of one name that are used: the host hands in at most as many.
        const PER_NAME_MAX: usize = 256;
        if let Some(wanted) = self.state.discovery.dialer.wanted.get_mut(&Target::Name(name, port))
            && !addresses.is_empty()
        {
            wanted.addresses = addresses.into_iter().take(PER_NAME_MAX).collect();
            self.state.alarms.set_earlier(AlarmKey::Dial, now.monotonic);
        }
    }

    fn command(&mut self, now: Now, effects: &mut Vec<Effect<P::Request>>, command: Command) {
        match command {
            Command::AddPeer(target) => {
                self.state.named.add(target.clone());
                self.state.discovery.dialer.want(target);
                self.state.alarms.set_earlier(AlarmKey::Dial, now.monotonic);
            }
            Command::ForgetPeer(target) => {
                self.state.named.remove(&target);
                self.state.discovery.dialer.wanted.remove(&target);
            }
            Command::Ban { ip, duration } => {
                let ip = ip.to_canonical();
                let (_, mut cx) = self.context(now, effects);
                cx.refuse(ip, Severity::Banned, duration, "operator", true);
                for connection in self.connections_with(ip) {
                    self.part(now, effects, connection, Parting::Dropped);
                }
            }
            Command::Unban { ip } => {
                let record = self.state.bans.remove(ip);
                let (_, mut cx) = self.context(now, effects);
                if let Some(record) = record {
                    cx.effects.push(Effect::Save(record));
                    cx.because(Subject::Ip(ip.to_canonical()), None, Reason::Unbanned);
                }
            }
            Command::Import(addresses) => {
                let (_, mut cx) = self.context(now, effects);
                cx.import(&addresses);
            }
            Command::Drain => {
                self.state.is_draining = true;
                let all: Vec<_> = self.state.peers.keys().copied().collect();
                for connection in all {
                    self.part(now, effects, connection, Parting::Drained);
                }
            }
        }
    }

    fn connections_with(&self, ip: IpAddr) -> Vec<ConnectionId> {
        self.state.peers.iter().filter(|(_, peer)| peer.ends.remote.ip() == ip).map(|(id, _)| *id).collect()
    }
}

fn load<P: Protocol>(state: &mut P2pState<P>, now: Now, records: &[Record], effects: &mut Vec<Effect<P::Request>>) {
    let secret = state.discovery.book.secret();
    if !records.contains(&secret) {
        effects.push(Effect::Save(secret));
    }
    effects.extend(state.discovery.book.take_changes().into_iter().map(Effect::Save));
    for record in records {
        match record.table {
            // The book has them.
            Table::Addresses => {}
            Table::Bans => state.bans.load(now, record),
            Table::Anchors => state.discovery.dialer.load_anchor(record),
            Table::Protocol => state.protocol_records.push(record.clone()),
        }
    }
}

fn name_peers<P: Protocol>(state: &mut P2pState<P>) {
    let config = &state.config;
    let seeds = if config.discovery { state.profile.seeds.clone() } else { Vec::new() };
    let named = if config.connect_only.is_empty() {
        config.add_peers.iter().cloned().chain(seeds).collect::<Vec<_>>()
    } else {
        config.connect_only.clone()
    };
    let by_operator = if config.connect_only.is_empty() { &config.add_peers } else { &config.connect_only };
    by_operator.iter().for_each(|target| state.named.add(target.clone()));
    if let Some(external) = config.external {
        state.discovery.dialer.is_self(external);
    }
    if let Some(listen) = config.listen
        && listen.is_dialable()
    {
        state.discovery.dialer.is_self(listen);
    }
    for target in named {
        state.discovery.dialer.want(target);
    }
}
