//! A network of Kademlias: virtual time, seeded delays, nodes that come and go.

use crate::stage::{address, config, peer};
use polypeer_engine::{ChannelId, ConnectionId, Direction, Random, Time};
use polypeer_mina::kad::{Fault, Kad, LookupId, Outcome, Output};
use polypeer_mina::keys::PeerId;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// A dial to where nobody is any more.
const NO_ANSWER: Duration = Duration::from_secs(5);

/// Something that will happen to a node.
enum Event {
    Wake,
    Connected { connection: ConnectionId, other: usize, dialled: bool },
    DialFailed(PeerId),
    Opened { connection: ConnectionId, channel: ChannelId, opener: Direction },
    Frame { connection: ConnectionId, channel: ChannelId, frame: bytes::Bytes },
    Closed { connection: ConnectionId, channel: ChannelId },
    Disconnected(ConnectionId),
}

struct Node {
    kad: Kad,
    is_up: bool,
    next: u64,
    // The other end of each connection, and of each stream.
    connections: BTreeMap<ConnectionId, (usize, ConnectionId)>,
    streams: BTreeMap<(ConnectionId, ChannelId), ChannelId>,
}

/// The network.
pub(crate) struct Net {
    nodes: Vec<Node>,
    by_peer: BTreeMap<PeerId, usize>,
    queue: BTreeMap<(Time, u64), (usize, Event)>,
    scheduled: BTreeSet<(usize, Time)>,
    next: u64,
    pub(crate) now: Time,
    pub(crate) random: Random,
    pub(crate) outcomes: BTreeMap<(usize, LookupId), Outcome>,
    pub(crate) faults: Vec<Fault>,
    /// Bytes of everything that was sent, folded: the same for the same seed.
    pub(crate) trace: u64,
}

impl Net {
    pub(crate) fn new(seed: u8) -> Self {
        Self {
            nodes: Vec::new(),
            by_peer: BTreeMap::new(),
            queue: BTreeMap::new(),
            scheduled: BTreeSet::new(),
            next: 0,
            now: Time::ZERO,
            random: Random::new([seed; 32]),
            outcomes: BTreeMap::new(),
            faults: Vec::new(),
            trace: 0,
        }
    }

    /// A node joins: it knows a few that are there.
    pub(crate) fn join(&mut self) -> usize {
        let number = self.nodes.len();
        let mut seed = [0; 32];
        seed[..8].copy_from_slice(&self.random.number().to_le_bytes());
        let own = peer(number as u64);
        let kad = Kad::new(config(), own, self.now, Random::new(seed));
        let node = Node { kad, is_up: true, next: 0, connections: BTreeMap::new(), streams: BTreeMap::new() };
        self.nodes.push(node);
        self.by_peer.insert(own, number);
        let known: Vec<usize> = self.up().filter(|other| *other != number).collect();
        for other in self.random.sample(known, 3) {
            self.connect(number, other);
        }
        self.after(Duration::ZERO, number, Event::Wake);
        number
    }

    /// A node is gone, without a word.
    pub(crate) fn leave(&mut self, number: usize) {
        self.nodes[number].is_up = false;
        for (other, connection) in std::mem::take(&mut self.nodes[number].connections).into_values() {
            self.after(Duration::from_millis(100), other, Event::Disconnected(connection));
        }
    }

    pub(crate) fn up(&self) -> impl Iterator<Item = usize> {
        self.nodes.iter().enumerate().filter(|(_, node)| node.is_up).map(|(number, _)| number)
    }

    pub(crate) fn find(&mut self, from: usize, wanted: usize) -> LookupId {
        let mut lookup = None;
        self.tell(from, |kad, now, out| lookup = kad.find(now, &peer(wanted as u64), out));
        lookup.expect("there is room for one")
    }

    pub(crate) fn table(&self, number: usize) -> usize {
        self.nodes[number].kad.peers()
    }

    /// Lets so much time pass.
    pub(crate) fn run(&mut self, time: Duration) {
        let end = self.now + time;
        while let Some(entry) = self.queue.first_entry().filter(|entry| entry.key().0 <= end) {
            self.now = entry.key().0;
            let (number, event) = entry.remove();
            self.happen(number, event);
        }
        self.now = end;
    }

    fn after(&mut self, wait: Duration, number: usize, event: Event) {
        self.next += 1;
        self.queue.insert((self.now + wait, self.next), (number, event));
    }

    fn delay(&mut self) -> Duration {
        Duration::from_millis(20 + self.random.below(100) as u64)
    }

    fn fresh(&mut self, number: usize, direction: Direction) -> ConnectionId {
        self.nodes[number].next += 1;
        ConnectionId::nth(direction, self.nodes[number].next)
    }

    fn connect(&mut self, from: usize, to: usize) {
        let (ours, theirs) = (self.fresh(from, Direction::Outbound), self.fresh(to, Direction::Inbound));
        self.nodes[from].connections.insert(ours, (to, theirs));
        self.nodes[to].connections.insert(theirs, (from, ours));
        let delay = self.delay();
        self.after(delay, from, Event::Connected { connection: ours, other: to, dialled: true });
        self.after(delay, to, Event::Connected { connection: theirs, other: from, dialled: false });
    }

    fn happen(&mut self, number: usize, event: Event) {
        if !self.nodes[number].is_up {
            return;
        }
        match event {
            Event::Wake => {
                self.scheduled.remove(&(number, self.now));
                if self.nodes[number].kad.next_wake() <= self.now {
                    self.tell(number, Kad::wake);
                }
                self.schedule(number);
            }
            Event::Connected { connection, other, dialled } => {
                let at = address(other as u64);
                self.tell(number, |kad, now, out| {
                    let dialled = dialled.then_some(at);
                    kad.on_connected(now, connection, peer(other as u64), dialled, Some(at.group()), out);
                    kad.on_identified(now, connection, true, &[at], out);
                });
            }
            Event::DialFailed(peer) => self.tell(number, |kad, now, out| kad.on_dial_failed(now, &peer, out)),
            Event::Opened { connection, channel, opener } => {
                self.tell(number, |kad, now, out| kad.on_opened(now, connection, channel, opener, out));
            }
            Event::Frame { connection, channel, frame } => {
                self.tell(number, |kad, now, out| kad.on_frame(now, connection, channel, &frame, out));
            }
            Event::Closed { connection, channel } => {
                self.nodes[number].streams.remove(&(connection, channel));
                self.tell(number, |kad, now, out| kad.on_closed(now, connection, channel, out));
            }
            Event::Disconnected(connection) => {
                self.nodes[number].connections.remove(&connection);
                self.tell(number, |kad, now, out| kad.on_disconnected(now, connection, out));
            }
        }
    }

    fn tell(&mut self, number: usize, tell: impl FnOnce(&mut Kad, Time, &mut Vec<Output>)) {
        let mut out = Vec::new();
        tell(&mut self.nodes[number].kad, self.now, &mut out);
        out.into_iter().for_each(|output| self.carry_out(number, output));
        self.schedule(number);
    }

    fn schedule(&mut self, number: usize) {
        let wake = self.nodes[number].kad.next_wake().max(self.now);
        // Whoever is to be woken earlier will be, and says then what is next.
        let is_scheduled = self.scheduled.range((number, Time::ZERO)..=(number, wake)).next().is_some();
        if !is_scheduled {
            self.scheduled.insert((number, wake));
            self.after(wake.since(self.now), number, Event::Wake);
        }
    }

    fn carry_out(&mut self, number: usize, output: Output) {
        match output {
            Output::Send { connection, channel, frame } => {
                self.trace = frame.iter().fold(self.trace, |trace, byte| trace.rotate_left(5) ^ u64::from(*byte));
                if let Some((other, theirs, channel)) = self.other_end(number, connection, channel) {
                    let delay = self.delay();
                    self.after(delay, other, Event::Frame { connection: theirs, channel, frame });
                }
            }
            Output::Open { connection } => self.open(number, connection),
            Output::Finish { connection, channel } | Output::Reset { connection, channel } => {
                if let Some((other, theirs, their_channel)) = self.other_end(number, connection, channel) {
                    self.nodes[number].streams.remove(&(connection, channel));
                    // Behind every frame that is on its way.
                    self.after(
                        Duration::from_millis(150),
                        other,
                        Event::Closed { connection: theirs, channel: their_channel },
                    );
                }
            }
            Output::Dial { peer, addresses } => {
                let other = self.by_peer.get(&peer).copied();
                let is_there = |other: &usize| self.nodes[*other].is_up && addresses.contains(&address(*other as u64));
                match other.filter(is_there) {
                    Some(other) => self.connect(number, other),
                    None => self.after(NO_ANSWER, number, Event::DialFailed(peer)),
                }
            }
            Output::Release { connection } => {
                if let Some((other, theirs)) = self.nodes[number].connections.get(&connection).copied() {
                    self.after(Duration::from_millis(200), number, Event::Disconnected(connection));
                    self.after(Duration::from_millis(200), other, Event::Disconnected(theirs));
                }
            }
            Output::LookedUp { lookup, outcome } => {
                self.outcomes.insert((number, lookup), outcome);
            }
            Output::Fault { fault, .. } => self.faults.push(fault),
            Output::Found { .. } => {}
        }
    }

    fn open(&mut self, number: usize, connection: ConnectionId) {
        let Some((other, theirs)) = self.nodes[number].connections.get(&connection).copied() else { return };
        self.nodes[number].next += 1;
        self.nodes[other].next += 1;
        let (ours, their_channel) =
            (ChannelId(self.nodes[number].next as u32), ChannelId(self.nodes[other].next as u32));
        self.nodes[number].streams.insert((connection, ours), their_channel);
        self.nodes[other].streams.insert((theirs, their_channel), ours);
        // The other side has it before anything that is sent on it.
        self.after(
            Duration::from_millis(1),
            other,
            Event::Opened { connection: theirs, channel: their_channel, opener: Direction::Inbound },
        );
        let delay = self.delay();
        self.after(delay, number, Event::Opened { connection, channel: ours, opener: Direction::Outbound });
    }

    fn other_end(
        &self,
        number: usize,
        connection: ConnectionId,
        channel: ChannelId,
    ) -> Option<(usize, ConnectionId, ChannelId)> {
        let (other, theirs) = self.nodes[number].connections.get(&connection).copied()?;
        let channel = self.nodes[number].streams.get(&(connection, channel)).copied()?;
        Some((other, theirs, channel))
    }
}
