//! Runs nodes in virtual time: hands engines what happens, and carries out what they want.

mod acting;
mod channels;
mod faults;
mod life;
mod wire;

use crate::agenda::Agenda;
use crate::clock::WallClock;
use crate::counts::Counts;
use crate::fault::{Fault, Planned};
use crate::keeper::Remembering;
use crate::line::{LineId, Lines, Side, across};
use crate::link::LinkQuality;
use crate::node::{Node, Seat};
use crate::observer::{Life, Observer, Violation};
use crate::regions::Map;
use crate::switch::{Deed, Switch};
use crate::trace::{Trace, TraceHash};
use bytes::Bytes;
use polypeer_engine::{
    Address, ChannelId, ConnectionId, DialFailure, DisconnectCause, Effect, Ledger, Overflow, P2pAction, Protocol,
    Random, Ticket, Time, To,
};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// One node of a world, in the order in which they were added.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct NodeId(pub usize);

/// What holds for a whole world.
#[derive(Clone, Debug)]
pub struct Setting {
    /// The right wall-clock time when the world begins, in milliseconds since 1970.
    pub epoch_ms: u64,
    /// How far hosts are from each other.
    pub map: Map,
    /// Where nodes keep their address books.
    pub remembering: Remembering,
    /// How long a ledger takes to answer.
    pub ledger_latency: Duration,
    /// Events that each node keeps to be looked at; the oldest leave.
    pub events_max: usize,
}

impl Default for Setting {
    /// Good lines on one continent, real stores, on the first of January 2026 ten minutes after midnight: ten minutes
    /// after the private networks' genesis.
    fn default() -> Self {
        Self {
            epoch_ms: 1_767_225_600_000 + 600_000,
            map: Map::default(),
            remembering: Remembering::default(),
            ledger_latency: Duration::from_micros(500),
            events_max: 64,
        }
    }
}

/// One of a node's connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Connected {
    /// Its name here.
    pub connection: ConnectionId,
    /// Who is at the other end.
    pub other: NodeId,
    /// Its name there; nothing when the other end is gone and this one does not know.
    pub theirs: Option<ConnectionId>,
    /// Bytes that this end sent and that have not arrived.
    pub in_flight: usize,
}

/// Nodes, links and what will happen.
pub struct World<P: Protocol, L> {
    nodes: Vec<Node<P, L>>,
    by_address: BTreeMap<Address, usize>,
    names: BTreeMap<String, Vec<Address>>,
    agenda: Agenda<Happening<P::Answer>>,
    now: Time,
    setting: Setting,
    random: Random,
    lines: Lines<P::Framer>,
    /// Lines that are cut, the lower node first.
    cut: BTreeSet<(usize, usize)>,
    /// Ways on which bytes are lost, from and to.
    one_way: BTreeSet<(usize, usize)>,
    trace: Trace,
    steps: u64,
    effects: Vec<Effect<P::Request>>,
    deeds: Vec<Deed<P>>,
    observers: Vec<Box<dyn Observer<P, L>>>,
    violation: Option<Violation>,
}

/// Something on the agenda. A node's life number tells whether it has crashed since.
#[derive(Debug)]
enum Happening<A> {
    Arrived { line: LineId, side: Side },
    Ended { line: LineId, side: Side, cause: DisconnectCause },
    Writable { line: LineId, side: Side, channel: ChannelId },
    Broke { line: LineId },
    GaveUp { line: LineId, side: Side },
    Overdue { line: LineId, side: Side, channel: ChannelId },
    Dialled { node: u32, life: u32, connection: ConnectionId },
    DialFailed { node: u32, life: u32, connection: ConnectionId, cause: DialFailure },
    Answers { node: u32, life: u32 },
    Woken { node: u32, life: u32, at: Time },
    Commits { node: u32, life: u32 },
    Acts { node: u32, life: u32, action: Box<P2pAction<A>> },
    Sends { node: u32, life: u32, late: Box<Late> },
    Fails(Box<Fault>),
}

/// A frame that a switch held back.
#[derive(Debug)]
struct Late {
    connection: ConnectionId,
    channel: ChannelId,
    bytes: Bytes,
    overflow: Overflow,
}

/// Building and looking.
impl<P, L> World<P, L>
where
    P: Protocol,
    L: Ledger<Request = P::Request, Answer = P::Answer>,
{
    /// An empty world.
    pub fn new(seed: u64, setting: Setting) -> Self {
        Self {
            nodes: Vec::new(),
            by_address: BTreeMap::new(),
            names: BTreeMap::new(),
            agenda: Agenda::default(),
            now: Time::ZERO,
            setting,
            random: Random::new(*blake3::hash(&seed.to_be_bytes()).as_bytes()),
            lines: Lines::default(),
            cut: BTreeSet::new(),
            one_way: BTreeSet::new(),
            trace: Trace::new(seed),
            steps: 0,
            effects: Vec::new(),
            deeds: Vec::new(),
            observers: Vec::new(),
            violation: None,
        }
    }

    /// Adds a node and starts it. When its ledger cannot be opened it is there and down.
    pub fn add(&mut self, seat: Seat<P, L>) -> NodeId {
        let id = self.nodes.len();
        self.by_address.insert(seat.address, id);
        self.by_address.extend(seat.aliases.iter().map(|alias| (*alias, id)));
        let wall = WallClock::off_by(self.now, self.true_ms(), seat.clock_offset_ms);
        self.nodes.push(Node::new(seat, wall, self.setting.remembering));
        self.start(id);
        NodeId(id)
    }

    /// Lets a name stand for addresses from now on; a name that was never set is unknown.
    pub fn set_name(&mut self, name: &str, addresses: Vec<Address>) {
        self.names.insert(name.to_owned(), addresses);
    }

    /// Sets or takes away what makes a node differ from an honest one.
    pub fn set_switch(&mut self, node: NodeId, switch: Option<Box<dyn Switch<P>>>) {
        self.nodes[node.0].switch = switch;
        self.follow_up(node.0);
    }

    /// Has someone look on after every step from now on.
    pub fn watch(&mut self, observer: impl Observer<P, L> + 'static) {
        self.observers.push(Box::new(observer));
    }

    /// A node.
    ///
    /// # Panics
    /// When there is none of this number.
    pub fn node(&self, node: NodeId) -> &Node<P, L> {
        &self.nodes[node.0]
    }

    /// All nodes, in the order of their numbers.
    pub fn nodes(&self) -> impl ExactSizeIterator<Item = &Node<P, L>> {
        self.nodes.iter()
    }

    /// Who is at an address.
    pub fn at(&self, address: Address) -> Option<NodeId> {
        self.by_address.get(&address).copied().map(NodeId)
    }

    /// A node's connections.
    pub fn connections(&self, node: NodeId) -> impl Iterator<Item = Connected> {
        self.nodes[node.0].connections.iter().filter_map(|(connection, (line, side))| {
            let line = self.lines.get(*line)?;
            Some(Connected {
                connection: *connection,
                other: NodeId(line.nodes[across(*side)]),
                theirs: line.ends[across(*side)].as_ref().map(|end| end.connection),
                in_flight: line.pipes[*side].in_flight,
            })
        })
    }

    /// What holds for the whole world.
    pub fn setting(&self) -> &Setting {
        &self.setting
    }

    /// The world's time since it began.
    pub fn now(&self) -> Time {
        self.now
    }

    /// The right wall-clock time, in milliseconds since 1970.
    pub fn true_ms(&self) -> u64 {
        self.setting.epoch_ms.saturating_add(self.now.as_micros() / 1_000)
    }

    /// A hash of every step so far: what happened where and when, and what came of it.
    pub fn trace(&self) -> TraceHash {
        self.trace.hash()
    }

    /// Steps that engines took so far.
    pub fn steps(&self) -> u64 {
        self.steps
    }

    /// The world's chance, for a story that wants to be decided by the seed too.
    pub fn random(&mut self) -> &mut Random {
        &mut self.random
    }

    /// What must not be and was, if anything: nothing happens any more after that.
    pub fn violation(&self) -> Option<&Violation> {
        self.violation.as_ref()
    }

    /// Notes that something is that must not be, unless something was before.
    pub fn violate(&mut self, node: Option<NodeId>, what: String) {
        let (at, step) = (self.now, self.steps);
        self.violation.get_or_insert(Violation { at, step, node, what });
    }

    /// What became of the frames and bytes of all nodes.
    pub fn counts(&self) -> Counts {
        let mut all = Counts::default();
        self.nodes.iter().for_each(|node| all.add(&node.counts));
        all
    }

    /// Adds up every frame and byte of the world: what was sent arrived, was lost with a connection, or is under way,
    /// and what arrived was read, skipped, discarded, or waits.
    ///
    /// # Errors
    /// What does not add up, and where.
    pub fn conservation(&self) -> Result<(), String> {
        let (mut frames, mut bytes) = (0, 0);
        for line in self.lines.all() {
            for pipe in &line.pipes {
                let counts = pipe.counts;
                let (in_flight, counted) = (pipe.in_flight_frames(), pipe.counted_bytes());
                let frames_out = counts.frames_arrived + counts.frames_lost + in_flight;
                let bytes_out = counts.bytes_arrived + counts.bytes_lost + counted as u64;
                if (counts.frames_sent, counts.bytes_sent) != (frames_out, bytes_out) || counted != pipe.in_flight {
                    return Err(format!("between nodes {:?}: {counts:?}, {in_flight} frames under way", line.nodes));
                }
                frames += in_flight;
                bytes += counted as u64;
            }
        }
        if let Some((id, fault)) = self.nodes.iter().enumerate().find_map(|(id, node)| Some((id, node.counts.fault()?)))
        {
            return Err(format!("node {id}: {fault}"));
        }
        let all = self.counts();
        let (frames, bytes) =
            (all.frames_received + all.frames_lost + frames, all.bytes_received + all.bytes_lost + bytes);
        if (all.frames_sent, all.bytes_sent) != (frames, bytes) {
            return Err(format!("of all sent, {frames} frames and {bytes} bytes are accounted for: {all:?}"));
        }
        Ok(())
    }
}

/// Letting time pass.
impl<P, L> World<P, L>
where
    P: Protocol,
    L: Ledger<Request = P::Request, Answer = P::Answer>,
{
    /// Lets time pass, up to `wait` or a violation.
    pub fn run(&mut self, wait: Duration) {
        let until = self.now + wait;
        while self.violation.is_none() {
            let Some((at, happening)) = self.agenda.take(until) else {
                self.now = until;
                return;
            };
            self.now = self.now.max(at);
            self.happen(happening);
        }
    }

    /// Lets time pass until `is_done`, which is asked every 100 ms, or `limit`, or a violation. Whether it came true.
    pub fn run_until(&mut self, limit: Duration, mut is_done: impl FnMut(&Self) -> bool) -> bool {
        let until = self.now + limit;
        while self.now < until && self.violation.is_none() {
            if is_done(self) {
                return true;
            }
            self.run(Duration::from_millis(100));
        }
        is_done(self)
    }

    /// Hands a node an action of its operator's. A node that is down does not hear it.
    pub fn act(&mut self, node: NodeId, action: P2pAction<P::Answer>) {
        self.step(node.0, action);
        self.follow_up(node.0);
    }

    /// Puts a question to a node's ledger, as its API would. A node that is down does not answer.
    pub fn ask(&mut self, node: NodeId, request: P::Request) -> Vec<P::Answer> {
        const API: Ticket = Ticket(u64::MAX);
        let now = self.nodes[node.0].now(self.now);
        let Some(ledger) = self.nodes[node.0].ledger.as_mut() else { return Vec::new() };
        let mut answers = Vec::new();
        ledger.answer(now, vec![(API, request)], &mut answers);
        let (own, other): (Vec<_>, Vec<_>) = answers.into_iter().partition(|(to, _)| *to == To::Asker(API));
        self.answered(node.0, other);
        own.into_iter().map(|(_, answer)| answer).collect()
    }

    /// Has a fault happen at its time; one that is past happens at once.
    pub fn plan(&mut self, planned: &Planned) {
        let at = Time::from_micros(planned.at_ms.saturating_mul(1_000)).max(self.now);
        self.agenda.add(at, Happening::Fails(Box::new(planned.fault.clone())));
    }

    fn happen(&mut self, happening: Happening<P::Answer>) {
        if let Some(node) = self.whose(&happening)
            && self.nodes[node].stalled_until > self.now
        {
            let until = self.nodes[node].stalled_until;
            self.agenda.add(until, happening);
            return;
        }
        match happening {
            Happening::Arrived { line, side } => self.arrived(line, side),
            Happening::Ended { line, side, cause } => self.end(line, side, cause),
            Happening::Writable { line, side, channel } => self.writable(line, side, channel),
            Happening::Broke { line } => self.break_line(line),
            Happening::GaveUp { line, side } => self.give_up(line, side),
            Happening::Overdue { line, side, channel } => self.overdue(line, side, channel),
            Happening::Fails(fault) => self.inject(&fault),
            Happening::Dialled { node, life, .. }
            | Happening::DialFailed { node, life, .. }
            | Happening::Answers { node, life }
            | Happening::Woken { node, life, .. }
            | Happening::Commits { node, life }
            | Happening::Acts { node, life, .. }
            | Happening::Sends { node, life, .. } => {
                if self.nodes[node as usize].life == life {
                    self.happen_to(node as usize, happening);
                }
            }
        }
    }

    fn happen_to(&mut self, id: usize, happening: Happening<P::Answer>) {
        match happening {
            Happening::Dialled { connection, .. } => self.dialled(id, connection),
            Happening::DialFailed { connection, cause, .. } => {
                self.step(id, P2pAction::ConnectionFailed { connection, cause });
            }
            Happening::Answers { .. } => return self.answer(id),
            Happening::Woken { at, .. } => return self.wake(id, at),
            Happening::Commits { .. } => {
                if let Some(wait) = self.nodes[id].keeper.commit() {
                    let life = self.nodes[id].life;
                    self.agenda.add(self.now + wait, Happening::Commits { node: id as u32, life });
                }
                return;
            }
            Happening::Acts { action, .. } => self.step(id, *action),
            Happening::Sends { late, .. } => self.send(id, late.connection, late.channel, late.bytes, late.overflow),
            _ => {}
        }
        self.follow_up(id);
    }

    // Whose process it takes for this to happen.
    fn whose(&self, happening: &Happening<P::Answer>) -> Option<usize> {
        match happening {
            Happening::Arrived { line, side }
            | Happening::Ended { line, side, .. }
            | Happening::Writable { line, side, .. }
            | Happening::Overdue { line, side, .. } => self.lines.get(*line).map(|line| line.nodes[*side]),
            Happening::DialFailed { node, .. }
            | Happening::Answers { node, .. }
            | Happening::Woken { node, .. }
            | Happening::Commits { node, .. }
            | Happening::Acts { node, .. }
            | Happening::Sends { node, .. } => Some(*node as usize),
            Happening::Dialled { .. } | Happening::Broke { .. } | Happening::GaveUp { .. } | Happening::Fails(_) => {
                None
            }
        }
    }

    fn follow_up(&mut self, id: usize) {
        self.follow_up_from(id, self.now);
    }

    // After anything that may have moved a node's timers. Only an earlier time needs a new entry on the agenda: an entry
    // that comes too early looks again.
    fn follow_up_from(&mut self, id: usize, earliest: Time) {
        let node = &mut self.nodes[id];
        let Some(at) = node.next_wake(self.now).map(|at| at.max(earliest)) else { return };
        if node.wake_at.is_some_and(|armed| armed <= at) {
            return;
        }
        node.wake_at = Some(at);
        self.agenda.add(at, Happening::Woken { node: id as u32, life: node.life, at });
    }

    fn quality(&self) -> &LinkQuality {
        &self.setting.map.quality
    }

    fn note_life(&mut self, id: usize, life: Life) {
        self.tell(Some(NodeId(id)), |observer, world| observer.on_life(world, NodeId(id), life));
    }

    // Lets all observers look; the first complaint is the violation.
    fn tell(
        &mut self,
        node: Option<NodeId>,
        mut look: impl FnMut(&mut dyn Observer<P, L>, &Self) -> Result<(), String>,
    ) {
        let mut observers = std::mem::take(&mut self.observers);
        let complaint = observers.iter_mut().find_map(|observer| look(observer.as_mut(), self).err());
        self.observers = observers;
        if let Some(what) = complaint {
            self.violate(node, what);
        }
    }
}
