//! Runs nodes in virtual time: carries out effects, moves bytes, wakes engines and ledgers.

use crate::agenda::Agenda;
use crate::link::LinkQuality;
use crate::node::{Node, Seat, Socket};
use bytes::Bytes;
use polypeer_engine::{
    Address, ChannelId, Close, ConnectionId, DialFailure, Direction, DisconnectCause, Effect, Ends, Engine, Framed,
    Framer, Ledger, Overflow, P2pAction, Protocol, Random, Ticket, Time, To, journal,
};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// One node of a world, in the order in which they were added.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(pub usize);

/// How long a ledger takes to answer.
const LEDGER_LATENCY: Duration = Duration::from_micros(500);
/// How long a dial to where nobody is takes to fail.
const DIAL_TIMEOUT: Duration = Duration::from_secs(10);

/// Nodes, links and what will happen.
pub struct World<P: Protocol, L> {
    nodes: Vec<Node<P, L>>,
    by_address: BTreeMap<Address, usize>,
    agenda: Agenda<Happening>,
    now: Time,
    epoch_ms: u64,
    random: Random,
    quality: LinkQuality,
    cut: BTreeSet<(usize, usize)>,
    trace: blake3::Hasher,
    steps: u64,
}

/// Something on the agenda. A node's life number tells whether it has crashed since.
#[derive(Debug)]
enum Happening {
    Dialled { from: usize, life: u64, connection: ConnectionId, to: Address },
    Arrived { to: usize, life: u64, connection: ConnectionId },
    Ended { to: usize, life: u64, connection: ConnectionId, cause: DisconnectCause },
    Answers { node: usize, life: u64 },
    Woken { node: usize, life: u64 },
}

impl<P, L> World<P, L>
where
    P: Protocol,
    L: Ledger<Request = P::Request, Answer = P::Answer>,
{
    /// An empty world. Its wall clock starts at `epoch_ms`, milliseconds since 1970.
    pub fn new(seed: u64, epoch_ms: u64, quality: LinkQuality) -> Self {
        Self {
            nodes: Vec::new(),
            by_address: BTreeMap::new(),
            agenda: Agenda::default(),
            now: Time::ZERO,
            epoch_ms,
            random: Random::new(*blake3::hash(&seed.to_be_bytes()).as_bytes()),
            quality,
            cut: BTreeSet::new(),
            trace: blake3::Hasher::new(),
            steps: 0,
        }
    }

    /// Adds a node and starts it.
    pub fn add(&mut self, seat: Seat<P, L>) -> NodeId {
        let id = self.nodes.len();
        self.by_address.insert(seat.address, id);
        self.nodes.push(Node::new(seat));
        self.start(id);
        NodeId(id)
    }

    /// A node.
    pub fn node(&self, node: NodeId) -> &Node<P, L> {
        &self.nodes[node.0]
    }

    /// All nodes.
    pub fn nodes(&self) -> impl Iterator<Item = &Node<P, L>> {
        self.nodes.iter()
    }

    /// The world's time since it began.
    pub fn now(&self) -> Time {
        self.now
    }

    /// A hash of every step so far: what happened where and when, and what came of it.
    pub fn trace(&self) -> [u8; 32] {
        *self.trace.finalize().as_bytes()
    }

    /// Steps that engines took so far.
    pub fn steps(&self) -> u64 {
        self.steps
    }

    /// Lets time pass.
    pub fn run(&mut self, wait: Duration) {
        let until = self.now + wait;
        while let Some((at, happening)) = self.agenda.take(until) {
            self.now = self.now.max(at);
            self.happen(happening);
        }
        self.now = until;
    }

    /// Lets time pass until `is_done`, which is asked every 100 ms, or `limit`. Whether it came true.
    pub fn run_until(&mut self, limit: Duration, mut is_done: impl FnMut(&Self) -> bool) -> bool {
        let until = self.now + limit;
        while self.now < until {
            if is_done(self) {
                return true;
            }
            self.run(Duration::from_millis(100));
        }
        is_done(self)
    }

    /// Hands a node an action of its operator's.
    pub fn act(&mut self, node: NodeId, action: P2pAction<P::Answer>) {
        self.step(node.0, action);
        self.follow_up(node.0);
    }

    /// Puts a question to a node's ledger, as its API would.
    pub fn ask(&mut self, node: NodeId, request: P::Request) -> Vec<P::Answer> {
        const API: Ticket = Ticket(u64::MAX);
        let now = self.nodes[node.0].now(self.now, self.epoch_ms);
        let mut answers = Vec::new();
        self.nodes[node.0].ledger.answer(now, vec![(API, request)], &mut answers);
        let (own, other): (Vec<_>, Vec<_>) = answers.into_iter().partition(|(to, _)| *to == To::Asker(API));
        self.answered(node.0, other);
        own.into_iter().map(|(_, answer)| answer).collect()
    }

    /// Cuts the line between two nodes, or mends it: connections break, dials fail.
    pub fn set_cut(&mut self, one: NodeId, other: NodeId, is_cut: bool) {
        let pair = (one.0.min(other.0), one.0.max(other.0));
        if !is_cut {
            self.cut.remove(&pair);
            return;
        }
        self.cut.insert(pair);
        let broken: Vec<_> = self.nodes[one.0]
            .connections
            .iter()
            .filter(|(_, socket)| socket.other.0 == other.0)
            .map(|(connection, socket)| (*connection, socket.other.1))
            .collect();
        for (mine, theirs) in broken {
            self.end(one.0, mine, DisconnectCause::Broken);
            self.end(other.0, theirs, DisconnectCause::Broken);
        }
    }

    /// A node's process dies: its connections break, what it had only in memory is lost.
    pub fn crash(&mut self, node: NodeId) {
        let id = node.0;
        self.nodes[id].engine = None;
        self.nodes[id].life += 1;
        self.nodes[id].asked.clear();
        for (_, socket) in std::mem::take(&mut self.nodes[id].connections) {
            let (other, connection) = socket.other;
            self.end(other, connection, DisconnectCause::Broken);
        }
    }

    /// A node that crashed starts again, with the ledger that its disk gives.
    pub fn restart(&mut self, node: NodeId, ledger: L) {
        self.nodes[node.0].ledger = ledger;
        self.start(node.0);
    }

    fn start(&mut self, id: usize) {
        let mut seed = [0; 32];
        seed.chunks_mut(8).for_each(|part| part.copy_from_slice(&self.random.number().to_be_bytes()));
        let node = &mut self.nodes[id];
        node.started = self.now;
        let now = node.now(self.now, self.epoch_ms);
        let mut effects = Vec::new();
        let records = node.saved();
        let engine = Engine::new(now, node.config.clone(), node.protocol.clone(), seed, &records, &mut effects);
        node.engine = Some(engine);
        self.carry_out(id, effects);
        self.follow_up(id);
    }

    fn happen(&mut self, happening: Happening) {
        match happening {
            Happening::Dialled { from, life, connection, to } => self.dialled(from, life, connection, to),
            Happening::Arrived { to, life, connection } => {
                if self.nodes[to].life == life {
                    self.arrived(to, connection);
                }
            }
            Happening::Ended { to, life, connection, cause } => {
                if self.nodes[to].life == life {
                    self.end(to, connection, cause);
                }
            }
            Happening::Answers { node, life } => {
                if self.nodes[node].life == life {
                    self.answer(node);
                }
            }
            Happening::Woken { node, life } => {
                if self.nodes[node].life == life && self.nodes[node].wake_at == Some(self.now) {
                    self.wake(node);
                }
            }
        }
    }

    fn step(&mut self, id: usize, action: P2pAction<P::Answer>) {
        let now = self.nodes[id].now(self.now, self.epoch_ms);
        let Some(engine) = self.nodes[id].engine.as_mut() else { return };
        let mut effects = Vec::new();
        engine.step(now, action, &mut effects);
        self.steps += 1;
        self.trace.update(&(id as u64).to_be_bytes());
        self.trace.update(&self.now.as_micros().to_be_bytes());
        self.trace.update(&journal::digest(&effects));
        self.carry_out(id, effects);
    }

    // After anything that may have moved a node's timers.
    fn follow_up(&mut self, id: usize) {
        let wake_at = self.nodes[id].next_wake(self.now, self.epoch_ms);
        if wake_at == self.nodes[id].wake_at {
            return;
        }
        self.nodes[id].wake_at = wake_at;
        if let Some(at) = wake_at {
            self.agenda.add(at, Happening::Woken { node: id, life: self.nodes[id].life });
        }
    }

    fn wake(&mut self, id: usize) {
        self.nodes[id].wake_at = None;
        let now = self.nodes[id].now(self.now, self.epoch_ms);
        if self.nodes[id].engine.as_ref().and_then(Engine::next_wake).is_some_and(|at| at <= now.monotonic) {
            self.step(id, P2pAction::Wake);
        }
        if self.nodes[id].ledger.next_wake(now).is_some_and(|at| at <= now.monotonic) {
            let mut answers = Vec::new();
            self.nodes[id].ledger.wake(now, &mut answers);
            self.answered(id, answers);
        }
        self.follow_up(id);
    }

    fn answer(&mut self, id: usize) {
        let now = self.nodes[id].now(self.now, self.epoch_ms);
        let asked = std::mem::take(&mut self.nodes[id].asked);
        let mut answers = Vec::new();
        self.nodes[id].ledger.answer(now, asked, &mut answers);
        self.answered(id, answers);
    }

    fn answered(&mut self, id: usize, answers: Vec<(To, P::Answer)>) {
        for (to, answer) in answers {
            let ticket = match to {
                To::Asker(ticket) => Some(ticket),
                To::Engine => None,
            };
            self.step(id, P2pAction::LedgerAnswered { ticket, answer });
        }
        self.follow_up(id);
    }

    fn carry_out(&mut self, id: usize, effects: Vec<Effect<P::Request>>) {
        for effect in effects {
            match effect {
                Effect::Dial { connection, address } => {
                    let wait = self.random.jitter(self.quality.latency * 2, self.quality.jitter_percent);
                    let life = self.nodes[id].life;
                    let dialled = Happening::Dialled { from: id, life, connection, to: address };
                    self.agenda.add(self.now + wait, dialled);
                }
                Effect::Send { connection, frame, overflow, .. } => self.send(id, connection, frame, overflow),
                Effect::SetPhase { connection, phase, .. } => {
                    if let Some(socket) = self.nodes[id].connections.get_mut(&connection) {
                        socket.phase = phase;
                    }
                }
                Effect::Close { connection, how } => self.close(id, connection, how),
                Effect::Ask { ticket, request } => {
                    if self.nodes[id].asked.is_empty() {
                        let life = self.nodes[id].life;
                        self.agenda.add(self.now + LEDGER_LATENCY, Happening::Answers { node: id, life });
                    }
                    self.nodes[id].asked.push((ticket, request));
                }
                Effect::Save(record) => self.nodes[id].save(record),
                Effect::Publish(event) => self.nodes[id].show(self.now, event),
                // A world without names or streams: nothing answers to a name, and no protocol here opens a channel.
                Effect::Resolve { .. } | Effect::Open { .. } | Effect::Finish { .. } | Effect::Reset { .. } => {}
            }
        }
    }

    fn dialled(&mut self, from: usize, life: u64, connection: ConnectionId, to: Address) {
        if self.nodes[from].life != life {
            return;
        }
        let other = self.by_address.get(&to).copied().filter(|other| self.nodes[*other].engine.is_some());
        let is_cut = other.is_some_and(|other| self.cut.contains(&(from.min(other), from.max(other))));
        let Some(other) = other.filter(|_| !is_cut) else {
            let cause = if is_cut { DialFailure::TimedOut } else { DialFailure::Refused };
            self.step(from, P2pAction::ConnectionFailed { connection, cause });
            self.follow_up(from);
            return;
        };
        let theirs = ConnectionId::nth(Direction::Inbound, self.nodes[other].accepted);
        self.nodes[other].accepted += 1;
        let here = Address::new(self.nodes[from].address.ip(), 32_768 + (connection.as_u64() % 28_000) as u16);
        let mine = Socket::new(&self.nodes[from].protocol, (other, theirs), self.nodes[other].life, connection);
        let accepted = Socket::new(&self.nodes[other].protocol, (from, connection), life, theirs);
        self.nodes[from].connections.insert(connection, mine);
        self.nodes[other].connections.insert(theirs, accepted);
        let inbound = Ends { direction: Direction::Inbound, local: to, remote: here, dialled: None, identity: None };
        let outbound =
            Ends { direction: Direction::Outbound, local: here, remote: to, dialled: Some(to), identity: None };
        self.step(other, P2pAction::Connected { connection: theirs, ends: inbound });
        self.follow_up(other);
        self.step(from, P2pAction::Connected { connection, ends: outbound });
        self.follow_up(from);
    }

    fn send(&mut self, id: usize, connection: ConnectionId, frame: Bytes, overflow: Overflow) {
        let Some(engine) = self.nodes[id].engine.as_ref() else { return };
        let max = engine.state().profile.queue_bytes_max;
        let Some(socket) = self.nodes[id].connections.get_mut(&connection) else { return };
        if socket.is_closing {
            return;
        }
        if socket.out.in_flight + frame.len() > max {
            if overflow == Overflow::Close {
                self.break_off(id, connection, DisconnectCause::QueueFull);
            }
            return;
        }
        let at = socket.out.send(self.now, frame, &self.quality, &mut self.random);
        let ((to, theirs), life) = (socket.other, socket.other_life);
        self.agenda.add(at, Happening::Arrived { to, life, connection: theirs });
    }

    fn close(&mut self, id: usize, connection: ConnectionId, how: Close) {
        if how == Close::Now {
            return self.break_off(id, connection, DisconnectCause::Ours);
        }
        let linger = self.nodes[id].engine.as_ref().map_or(DIAL_TIMEOUT, |engine| engine.state().profile.linger);
        let Some(socket) = self.nodes[id].connections.get_mut(&connection) else { return };
        socket.is_closing = true;
        socket.is_deaf = true;
        let at = socket.out.finish(self.now, &self.quality);
        let ((to, theirs), life) = (socket.other, socket.other_life);
        self.agenda.add(at, Happening::Ended { to, life, connection: theirs, cause: DisconnectCause::Theirs });
        let own_life = self.nodes[id].life;
        let cut = Happening::Ended { to: id, life: own_life, connection, cause: DisconnectCause::Ours };
        self.agenda.add(self.now + linger, cut);
    }

    // This end goes at once, the other one hears of it later.
    fn break_off(&mut self, id: usize, connection: ConnectionId, cause: DisconnectCause) {
        let life = self.nodes[id].life;
        self.agenda.add(self.now, Happening::Ended { to: id, life, connection, cause });
        let Some(socket) = self.nodes[id].connections.get_mut(&connection) else { return };
        (socket.is_closing, socket.is_deaf) = (true, true);
    }

    // An end is gone; the other end follows unless it went first.
    fn end(&mut self, id: usize, connection: ConnectionId, cause: DisconnectCause) {
        let Some(socket) = self.nodes[id].connections.remove(&connection) else { return };
        let ((other, theirs), life) = (socket.other, socket.other_life);
        let at = self.now + self.quality.latency;
        self.agenda.add(at, Happening::Ended { to: other, life, connection: theirs, cause: DisconnectCause::Theirs });
        let cause = if socket.is_closing && cause == DisconnectCause::Theirs { DisconnectCause::Ours } else { cause };
        self.step(id, P2pAction::Disconnected { connection, cause });
        self.follow_up(id);
    }

    fn arrived(&mut self, to: usize, connection: ConnectionId) {
        let Some(socket) = self.nodes[to].connections.get(&connection) else { return };
        let (from, theirs) = socket.other;
        let mut buffer = bytes::BytesMut::new();
        let is_writable = {
            let Some(sender) = self.nodes[from].connections.get_mut(&theirs) else { return };
            sender.out.arrive(&mut buffer, &mut self.random);
            self.is_writable_again(from, theirs)
        };
        if let Some(socket) = self.nodes[to].connections.get_mut(&connection)
            && !socket.is_deaf
        {
            socket.buffer.unsplit(buffer);
        }
        self.read(to, connection);
        if is_writable {
            self.step(from, P2pAction::Writable { connection: theirs, channel: ChannelId::ONLY });
        }
        self.follow_up(to);
        self.follow_up(from);
    }

    fn is_writable_again(&mut self, id: usize, connection: ConnectionId) -> bool {
        let Some(low) = self.nodes[id].engine.as_ref().map(|engine| engine.state().profile.low_water_bytes) else {
            return false;
        };
        let Some(socket) = self.nodes[id].connections.get_mut(&connection) else { return false };
        let is_again = !socket.is_closing && socket.out.since_writable >= low && socket.out.in_flight < low;
        if is_again {
            socket.out.since_writable = 0;
        }
        is_again
    }

    fn read(&mut self, id: usize, connection: ConnectionId) {
        loop {
            let Some(socket) = self.nodes[id].connections.get_mut(&connection) else { return };
            if socket.is_deaf {
                return socket.buffer.clear();
            }
            let channel = ChannelId::ONLY;
            let action = match socket.framer.next(socket.phase, &mut socket.buffer) {
                Framed::More => return,
                Framed::Frame(frame) => P2pAction::MessageReceived { connection, channel, frame },
                Framed::Bad(bad) => {
                    socket.is_deaf = bad.fatal;
                    P2pAction::BadFrame { connection, channel, bad }
                }
            };
            self.step(id, action);
        }
    }
}
