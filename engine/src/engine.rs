//! Reduces: state and action give state and effects.

use crate::context::Context;
use crate::shell::alarms::{AlarmKey, Alarms};
use crate::shell::bans::{Bans, Severity};
use crate::shell::book::Book;
use crate::shell::channels::Channels;
use crate::shell::costs::Costs;
use crate::shell::dialer::{self, Dialer};
use crate::shell::peers::{ConnectingPeer, PeerState, PerIp, SlotCount, is_inbound};
use crate::shell::reasons::Reasons;
use crate::shell::serving::Serving;
use crate::{
    Address, BadFrame, ChannelId, Close, Command, ConnectionId, DialFailure, Direction, DisconnectCause, Effect, Ends,
    Frame, Now, P2pAction, P2pConfig, Parting, Profile, Protocol, Random, Reason, Record, Subject, Table, Target, Time,
};
use alloc::collections::{BTreeMap, VecDeque};
use alloc::vec::Vec;
use core::net::IpAddr;

/// Connections that may be on their way out beside those that fill the slots, before new ones are refused.
const CLOSING_SPARE: usize = 64;

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
    pub(crate) departed: VecDeque<(ConnectionId, Option<P::Peer>, DisconnectCause)>,
    pub(crate) dialled: BTreeMap<Address, ConnectionId>,
    pub(crate) inbound_per_ip: PerIp,
    pub(crate) inbound: usize,
    pub(crate) alarms: Alarms<P::Alarm>,
    pub(crate) random: Random,
    pub(crate) protocol_records: Vec<Record>,
    pub(crate) next_dial: u64,
    pub(crate) next_channel: u32,
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
#[derive(Clone, Debug, Default)]
pub struct Discovery {
    /// The address book.
    pub book: Book,
    /// The dialer.
    pub dialer: Dialer,
}

impl<P: Protocol> P2pState<P> {
    fn new(now: Now, config: P2pConfig, profile: Profile, seed: [u8; 32]) -> Self {
        Self {
            serving: Serving::new(config.upload_rate, now.monotonic),
            config,
            profile,
            peers: BTreeMap::new(),
            connecting_peers: BTreeMap::new(),
            channels: Channels::default(),
            discovery: Discovery::default(),
            bans: Bans::default(),
            reasons: Reasons::default(),
            is_draining: false,
            closing: BTreeMap::new(),
            departed: VecDeque::new(),
            dialled: BTreeMap::new(),
            inbound_per_ip: PerIp::default(),
            inbound: 0,
            alarms: Alarms::default(),
            random: Random::new(seed),
            protocol_records: Vec::new(),
            next_dial: 0,
            next_channel: 1,
            next_ticket: 0,
            frames: FrameCount::default(),
            costs: Costs::default(),
        }
    }

    /// What fills the slots now.
    pub fn slots(&self) -> SlotCount {
        let standing = self.peers.values().filter(|peer| peer.ends.dialled.is_some() && peer.fills_slot).count();
        let under_way = self.connecting_peers.values().filter(|dial| dial.fills_slot).count();
        SlotCount { inbound: self.inbound, outbound: standing + under_way }
    }

    /// Whether this address was dialled and is held, or is being dialled.
    pub fn is_dialled(&self, address: Address) -> bool {
        self.dialled.contains_key(&address)
    }

    /// Whether nobody at this IP address is ever banned, discouraged or counted in a cap.
    pub fn is_spared(&self, ip: IpAddr) -> bool {
        self.config.spare_loopback && ip.is_loopback()
    }

    pub(crate) fn remove_peer(&mut self, now: Time, connection: ConnectionId) -> Option<PeerState<P>> {
        let state = self.peers.remove(&connection)?;
        self.serving.gone(connection);
        if !self.is_spared(state.ends.remote.ip()) {
            self.costs.left(now, state.ends.remote.ip(), state.account);
        }
        self.channels.closed_all(connection);
        self.alarms.cancel_peer(connection);
        if let Some(address) = state.ends.dialled {
            self.undial(address, connection);
        }
        if is_inbound(connection) {
            self.inbound -= 1;
            self.inbound_per_ip.remove(state.ends.remote.ip());
        }
        Some(state)
    }

    fn undial(&mut self, address: Address, connection: ConnectionId) {
        if self.dialled.get(&address) == Some(&connection) {
            self.dialled.remove(&address);
        }
    }

    // Why a connection that someone opened to us is not let in, if so.
    fn refusal(&self, now: Now, ip: IpAddr) -> Option<Reason> {
        let max = self.config.inbound_max as usize;
        let refused = self.bans.get(now, ip).map(|ban| ban.severity);
        if self.is_draining {
            Some(Reason::RefusedDraining)
        } else if refused == Some(Severity::Banned) {
            Some(Reason::RefusedBanned)
        } else if self.inbound >= max || self.inbound + self.closing.len() >= max + CLOSING_SPARE {
            Some(Reason::RefusedFull)
        } else if !self.is_spared(ip) && self.inbound_per_ip.get(ip) >= self.config.inbound_per_ip_max {
            Some(Reason::RefusedPerIp)
        } else if refused == Some(Severity::Discouraged) && self.inbound >= max / 2 {
            Some(Reason::RefusedDiscouraged)
        } else {
            None
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
        let mut state = P2pState::new(now, config, profile, seed);
        load(&mut state, now, records);
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
        }
        self.settle(now, effects);
    }

    /// Takes whole frames of one connection, one after another: what an [`Engine::step`] with a
    /// [`P2pAction::MessageReceived`] for each does. It is the hottest way in, and a host that does not write actions
    /// down spares itself moving each frame into an action, and its peer out of the table and back.
    ///
    /// `next` is told how many effects wait and gives the next frame, or nothing when it wants to go on elsewhere. The
    /// run also ends when a connection leaves the table.
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
        let mut frames = 0;
        self.handle(now, effects, connection, peer, |protocol, cx, mut peer| {
            let mut frame = first;
            loop {
                peer = protocol.on_frame(cx, connection, peer, channel, frame)?;
                if !cx.state.departed.is_empty() {
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

    // Tells the protocol of connections that left the table while something else was handled.
    fn settle(&mut self, now: Now, effects: &mut Vec<Effect<P::Request>>) {
        while let Some((connection, peer, cause)) = self.state.departed.pop_front() {
            let (protocol, mut cx) = self.context(now, effects);
            protocol.on_disconnected(&mut cx, connection, peer, cause);
        }
    }

    fn connected(&mut self, now: Now, effects: &mut Vec<Effect<P::Request>>, connection: ConnectionId, ends: Ends) {
        let dial = self.state.connecting_peers.remove(&connection);
        let fills_slot = dial.is_some_and(|dial| dial.fills_slot);
        let is_inbound = connection.direction() == Direction::Inbound;
        let refusal = match dial {
            // A dial that nobody knows of: a host that is confused, or one that was banned or drained meanwhile.
            None if !is_inbound => Some(Reason::RefusedDraining),
            Some(_) if self.state.is_draining => Some(Reason::RefusedDraining),
            Some(_) => self.state.bans.get(now, ends.remote.ip()).map(|_| Reason::RefusedBanned),
            None => self.state.refusal(now, ends.remote.ip()),
        };
        if let Some(reason) = refusal {
            if let Some(address) = ends.dialled {
                self.state.undial(address, connection);
            }
            let (_, mut cx) = self.context(now, effects);
            cx.because(Subject::Address(ends.remote), Some(connection), reason);
            cx.effects.push(Effect::Close { connection, how: Close::Now });
            self.state.closing.insert(connection, ends);
            return;
        }
        if is_inbound {
            self.state.inbound += 1;
            self.state.inbound_per_ip.add(ends.remote.ip());
        }
        let account = self.state.costs.arrived(ends.remote.ip());
        self.state.peers.insert(connection, PeerState { account, ..PeerState::new(ends, now, fills_slot) });
        self.state.channels.opened(connection, ChannelId::ONLY);
        let (protocol, mut cx) = self.context(now, effects);
        match protocol.on_connected(&mut cx, connection) {
            Ok(peer) => self.put_back(connection, peer),
            Err(misbehavior) => cx.convict(connection, misbehavior),
        }
    }

    fn dial_failed(
        &mut self,
        now: Now,
        effects: &mut Vec<Effect<P::Request>>,
        connection: ConnectionId,
        cause: DialFailure,
    ) {
        let Some(ConnectingPeer { address, .. }) = self.state.connecting_peers.remove(&connection) else { return };
        self.state.undial(address, connection);
        let (protocol, mut cx) = self.context(now, effects);
        dialer::failed(&mut cx, address, cause);
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
            if fatal {
                cx.close(connection, Close::Lingering, "unreadable bytes");
            }
            Ok(peer)
        });
    }

    fn part(&mut self, now: Now, effects: &mut Vec<Effect<P::Request>>, connection: ConnectionId, why: Parting) {
        if let Some(dial) = self.state.connecting_peers.get(&connection) {
            // It cannot be called back; it is closed when it stands.
            let address = dial.address;
            self.state.connecting_peers.remove(&connection);
            self.state.undial(address, connection);
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
                self.state.discovery.dialer.want(target);
                self.state.alarms.set_earlier(AlarmKey::Dial, now.monotonic);
            }
            Command::ForgetPeer(target) => {
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

fn load<P: Protocol>(state: &mut P2pState<P>, now: Now, records: &[Record]) {
    let max = state.config.book_max as usize;
    for record in records {
        match record.table {
            Table::Addresses => state.discovery.book.load(record, max),
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
