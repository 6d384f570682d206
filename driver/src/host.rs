//! Hosts one engine on one thread: steps it, carries out its effects, and owns all its connections.
//!
//! Everything here runs to completion on the network's own thread: a frame goes from the socket's buffer through
//! the engine into the queues of other peers without a lock, a channel or another thread on its way.

use crate::View;
use crate::budget::Account;
use crate::clock::Clock;
use crate::connection::{Connection, Connections, Ending};
use crate::events::Events;
use crate::ledger::{Answers, Asks};
use crate::meter::{Meter, Meters, Totals};
use crate::opening::Opening;
use crate::partials::Partials;
use crate::places::Place;
use crate::queue::{Flushed, PIECE_BYTES, Pool};
use crate::reading::ReadBuffer;
use crate::recorder::Recorder;
use crate::saver::Saver;
use crate::sockets;
use crate::stream::Stream;
use bytes::Bytes;
use polypeer_engine::journal::{self, Stepped};
use polypeer_engine::{
    BadFrame, ChannelId, Close, ConnectionId, Direction, DisconnectCause, Effect, Ends, Engine, Now, Overflow,
    P2pAction, Phase, Protocol, Ticket, Time,
};
use std::cell::RefCell;
use std::collections::{BTreeSet, VecDeque};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::{Rc, Weak};
use std::time::Duration;
use tokio::sync::{Notify, Semaphore};

/// Dials under way at one time; more wait their turn. A tracker proves 256 addresses at once.
const DIALS_MAX: usize = 256;
/// Names looked up at one time: each takes a thread of the resolver's.
const LOOKUPS_MAX: usize = 4;
/// A connection at which nothing moved for so long goes first when memory is short: a reader that still reads, however
/// slowly, has taken something by then.
const STILL: Duration = Duration::from_secs(5);
/// Effects that wait before they are carried out, so that frames in a batch do not hold many buffers.
pub(crate) const EFFECTS_MAX: usize = 256;

/// A host behind the door that everything on its thread goes through.
pub(crate) struct Door<P: Protocol> {
    host: RefCell<Host<P>>,
    failure: RefCell<Option<String>>,
    /// Rings when the keeper should look: an earlier alarm, the last connection gone, a failure.
    pub(crate) bell: Notify,
}

/// One engine and all that it acts with.
pub(crate) struct Host<P: Protocol> {
    pub(crate) engine: Engine<P>,
    pub(crate) connections: Connections<P::Framer>,
    pub(crate) now: Now,
    pub(crate) clock: Clock,
    pub(crate) effects: Vec<Effect<P::Request>>,
    pub(crate) recorder: Option<Recorder>,
    /// Where connections read to; between turns at most one has something in it.
    pub(crate) scratch: ReadBuffer,
    /// Whose unfinished frame stands in it.
    pub(crate) lodger: Option<ConnectionId>,
    pub(crate) asks: Asks<P::Request, P::Answer>,
    /// Connections that do not read because the ledger is behind.
    pub(crate) paused: Vec<ConnectionId>,
    /// Whose frames are handed to the engine right now: what is asked meanwhile is asked for it.
    pub(crate) reading: Option<ConnectionId>,
    pub(crate) totals: Totals,
    pub(crate) events: Events,
    pub(crate) dials: Rc<Semaphore>,
    pub(crate) lookups: Rc<Semaphore>,
    /// Handshakes of the network's transport that are on their way, where it has any.
    pub(crate) opening: Option<Opening>,
    pub(crate) is_draining: bool,
    pub(crate) account: Account,
    pub(crate) partials: Partials,
    door: Weak<Door<P>>,
    config: P::Config,
    rules: Rules,
    pub(crate) pending: VecDeque<P2pAction<P::Answer>>,
    dirty: Vec<ConnectionId>,
    pool: Pool,
    saver: Option<Saver>,
    /// What passed through connections that are gone.
    pub(crate) gone: Meter,
    next_inbound: u64,
    // What the keeper sleeps until.
    alarm: Option<Time>,
}

/// What of a network's profile a host needs at every turn.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rules {
    pub(crate) last_phase: Phase,
    queue_bytes_max: usize,
    low_water_bytes: usize,
    linger: Duration,
}

/// What a host is made of besides its engine.
pub(crate) struct Parts<P: Protocol> {
    pub(crate) config: P::Config,
    pub(crate) clock: Clock,
    pub(crate) asks: Asks<P::Request, P::Answer>,
    pub(crate) saver: Option<Saver>,
    pub(crate) recorder: Option<Recorder>,
    pub(crate) events: Events,
    pub(crate) account: Account,
    pub(crate) opening: Option<Opening>,
}

impl<P: Protocol> Door<P> {
    pub(crate) fn new(engine: Engine<P>, effects: Vec<Effect<P::Request>>, now: Now, parts: Parts<P>) -> Rc<Self> {
        Rc::new_cyclic(|door| Self {
            host: RefCell::new(Host::new(door.clone(), engine, effects, now, parts)),
            failure: RefCell::default(),
            bell: Notify::new(),
        })
    }

    /// Lets `work` at the host, with fresh clocks, and carries out what follows. Nothing when the host has failed,
    /// now or before: after a panic its state cannot be trusted.
    pub(crate) fn enter<T>(&self, work: impl FnOnce(&mut Host<P>) -> T) -> Option<T> {
        if self.failure.borrow().is_some() {
            return None;
        }
        let done = catch_unwind(AssertUnwindSafe(|| {
            let mut host = self.host.borrow_mut();
            host.now = host.clock.now();
            let out = work(&mut host);
            host.settle();
            out
        }));
        done.map_err(|panic| self.fail(crate::failure::text(&*panic))).ok()
    }

    /// Notes that the network cannot go on.
    pub(crate) fn fail(&self, why: String) {
        self.failure.borrow_mut().get_or_insert(why);
        self.bell.notify_one();
    }

    /// Why the network cannot go on, if so.
    pub(crate) fn failure(&self) -> Option<String> {
        self.failure.borrow().clone()
    }
}

impl<P: Protocol> Host<P> {
    fn new(
        door: Weak<Door<P>>,
        engine: Engine<P>,
        effects: Vec<Effect<P::Request>>,
        now: Now,
        parts: Parts<P>,
    ) -> Self {
        let profile = &engine.state().profile;
        let rules = Rules {
            last_phase: profile.last_phase,
            queue_bytes_max: profile.queue_bytes_max,
            low_water_bytes: profile.low_water_bytes,
            linger: profile.linger,
        };
        let partials = Partials::new(profile);
        Self {
            engine,
            connections: Connections::default(),
            now,
            clock: parts.clock,
            effects,
            recorder: parts.recorder,
            scratch: ReadBuffer::default(),
            lodger: None,
            asks: parts.asks,
            paused: Vec::new(),
            reading: None,
            totals: Totals { all: Meter { connected: now, ..Meter::default() }, ..Totals::default() },
            events: parts.events,
            dials: Rc::new(Semaphore::new(DIALS_MAX)),
            lookups: Rc::new(Semaphore::new(LOOKUPS_MAX)),
            opening: parts.opening,
            is_draining: false,
            account: parts.account,
            partials,
            door,
            config: parts.config,
            rules,
            pending: VecDeque::new(),
            dirty: Vec::new(),
            pool: Pool::default(),
            saver: parts.saver,
            gone: Meter::default(),
            next_inbound: 0,
            alarm: None,
        }
    }

    pub(crate) fn rules(&self) -> Rules {
        self.rules
    }

    pub(crate) fn config(&self) -> &P::Config {
        &self.config
    }

    /// Hands the engine one action; its effects wait for [`Host::apply`].
    pub(crate) fn step(&mut self, action: P2pAction<P::Answer>) {
        self.totals.steps += 1;
        step(&mut self.engine, &mut self.recorder, self.now, action, &mut self.effects);
    }

    /// Carries out the effects that wait, and what follows from them.
    pub(crate) fn apply(&mut self) {
        loop {
            let mut effects = std::mem::take(&mut self.effects);
            for effect in effects.drain(..) {
                self.carry_out(effect);
            }
            self.effects = effects;
            // Ends: each of these takes something away, a connection or an effect that cannot be carried out.
            let Some(action) = self.pending.pop_front() else { break };
            self.step(action);
        }
    }

    /// Carries out the effects and flushes the queues that they filled: the end of every turn.
    pub(crate) fn settle(&mut self) {
        self.apply();
        while let Some(connection) = self.dirty.pop() {
            self.flush(connection);
            if !self.pending.is_empty() {
                self.apply();
            }
        }
        self.shed();
        self.asks.send();
        if let Some(saver) = &mut self.saver {
            saver.send();
        }
        let next = self.next_due();
        if next.is_some_and(|next| self.alarm.is_none_or(|alarm| next < alarm)) || self.is_drained() {
            self.alarm = next;
            self.ring();
        }
    }

    /// When the keeper is to call [`Host::wake`] if it is not rung earlier.
    pub(crate) fn next_alarm(&mut self) -> Option<Time> {
        self.alarm = self.next_due();
        self.alarm
    }

    fn next_due(&self) -> Option<Time> {
        self.engine.next_wake().into_iter().chain(self.partials.next()).min()
    }

    /// Does what is due.
    pub(crate) fn wake(&mut self) {
        self.alarm = None;
        if self.engine.next_wake().is_some_and(|due| due <= self.now.monotonic) {
            self.step(P2pAction::Wake);
            self.apply();
        }
        while let Some(id) = self.partials.overdue(self.now.monotonic) {
            let slowest = self.connections.get(&id).map_or(ChannelId::ONLY, |connection| connection.slowest());
            self.refused(id, slowest, BadFrame::of_host(BadFrame::TOO_SLOW));
        }
    }

    /// Whether this node goes down and nobody is left.
    pub(crate) fn is_drained(&self) -> bool {
        self.is_draining && self.connections.is_empty()
    }

    /// Lets someone look.
    pub(crate) fn look<T>(&self, look: impl FnOnce(&View<'_, P>) -> T) -> T {
        let connection = |id| self.connections.get(&id).map(|connection| connection.meter());
        let meters = Meters { totals: self.totals(), connection: &connection };
        look(&View { engine: &self.engine, meters, now: self.now })
    }

    /// Ends every connection and saves what is to be saved.
    pub(crate) fn finish(&mut self) {
        let mut all: Vec<_> = self.connections.keys().copied().collect();
        all.sort_unstable();
        for connection in all {
            self.end(connection, DisconnectCause::Ours);
        }
        self.settle();
        self.totals.asks_lost += self.asks.give_up() as u64;
        if let Some(saver) = &mut self.saver {
            saver.finish();
        }
        if let Some(recorder) = &mut self.recorder {
            recorder.finish();
        }
    }

    /// What passed through so far.
    pub(crate) fn totals(&self) -> Totals {
        let mut all = self.gone;
        for connection in self.connections.values() {
            all.add(&connection.meter());
        }
        all.connected = self.totals.all.connected;
        Totals {
            all,
            connections: self.connections.len() as u64,
            asks: self.asks.asked(),
            asks_waiting: self.asks.waiting() as u64,
            records_refused: self.saver.as_ref().map_or(0, Saver::refused),
            ..self.totals
        }
    }

    pub(crate) fn door(&self) -> Option<Rc<Door<P>>> {
        self.door.upgrade()
    }

    fn ring(&self) {
        if let Some(door) = self.door.upgrade() {
            door.bell.notify_one();
        }
    }
}

/// Effects.
impl<P: Protocol> Host<P> {
    fn carry_out(&mut self, effect: Effect<P::Request>) {
        match effect {
            Effect::Send { connection, channel, frame, overflow } => self.send(connection, channel, frame, overflow),
            Effect::Ask { ticket, request } => self.ask(ticket, request),
            Effect::Close { connection, how } => self.close(connection, how),
            Effect::SetPhase { connection, channel, phase } if channel != ChannelId::ONLY => {
                let connection = self.connections.get_mut(&connection);
                if let Some(channel) = connection.and_then(|connection| connection.channels.get_mut(&channel)) {
                    channel.phase = phase;
                }
            }
            Effect::SetPhase { connection, phase, .. } => {
                let is_pending = self.is_pending(phase);
                if let Some(connection) = self.connections.get_mut(&connection) {
                    connection.phase = phase;
                    connection.stream.set_pending(is_pending);
                    connection.pending = connection.pending.take().filter(|_| is_pending);
                }
            }
            Effect::Dial { connection, address } => {
                self.totals.dials += 1;
                if let Some(door) = self.door.upgrade() {
                    tokio::task::spawn_local(sockets::dial(
                        door,
                        self.dials.clone(),
                        self.opening.clone(),
                        connection,
                        address,
                    ));
                }
            }
            Effect::Resolve { name, port } => {
                if let Some(door) = self.door.upgrade() {
                    tokio::task::spawn_local(sockets::resolve(door, self.lookups.clone(), name, port));
                }
            }
            Effect::Save(record) => {
                if let Some(saver) = &mut self.saver {
                    saver.save(record);
                }
            }
            Effect::Publish(event) => self.events.publish(event),
            Effect::Open { connection, channel, kind } => self.open_channel(connection, channel, kind),
            Effect::Finish { connection, channel: ChannelId::ONLY } => self.close(connection, Close::Lingering),
            Effect::Reset { connection, channel: ChannelId::ONLY } => self.close(connection, Close::Now),
            Effect::Finish { connection, channel } => self.finish_channel(connection, channel),
            Effect::Reset { connection, channel } => self.reset_channel(connection, channel),
        }
    }

    fn send(&mut self, id: ConnectionId, channel: ChannelId, frame: Bytes, overflow: Overflow) {
        let Some(connection) = self.connections.get_mut(&id) else { return self.gone.too_late(frame.len()) };
        if connection.is_closed_by_us() || !connection.takes(channel) {
            return connection.too_late(frame.len());
        }
        connection.wants_to_send(channel, frame.len());
        if overflow == Overflow::Drop && self.account.is_tight_for(connection.charged) {
            return connection.shed(frame.len());
        }
        let max = self.rules.queue_bytes_max;
        if connection.queue_bytes() + frame.len() > max && !connection.is_blocked {
            // A burst is no slow reader: the socket is asked first.
            self.flush(id);
        }
        let Some(connection) = self.connections.get_mut(&id) else { return self.gone.unsent(frame.len()) };
        if !connection.takes(channel) {
            return connection.unsent(frame.len());
        }
        if connection.queue_bytes() + frame.len() > max {
            connection.dropped(frame.len());
            if overflow == Overflow::Close {
                self.end(id, DisconnectCause::QueueFull);
            } else if let Some(frames) = connection.drops_to_tell(self.now.monotonic) {
                self.pending.push_back(P2pAction::Dropped { connection: id, frames });
            }
            return;
        }
        connection.enqueue(channel, frame, &mut self.pool);
        if !connection.is_dirty {
            connection.is_dirty = true;
            self.dirty.push(id);
        }
        if connection.queue_bytes() >= PIECE_BYTES && !connection.is_blocked {
            // Large enough that waiting for more gains nothing, and still in the cache.
            self.flush(id);
        }
    }

    fn ask(&mut self, ticket: Ticket, request: P::Request) {
        let bytes = self.asks.ask(ticket, request, self.reading);
        if let Some(connection) = self.reading.and_then(|id| self.connections.get_mut(&id)) {
            if connection.asks == 0 {
                self.asks.has_asker(true);
            }
            connection.asks += 1;
            connection.ask_bytes += bytes;
        }
    }

    fn close(&mut self, id: ConnectionId, how: Close) {
        let until = self.now.monotonic + self.rules.linger;
        let Some(connection) = self.connections.get_mut(&id) else { return };
        let lingers = match how {
            Close::Now => return self.end(id, DisconnectCause::Ours),
            Close::Flushed => false,
            Close::Lingering => true,
        };
        connection.ending = Some(Ending { cause: DisconnectCause::Ours, lingers, until, is_shut: false });
        connection.discard_partial();
        self.partials.forget(id, connection);
        // The task discards what comes, and keeps the time.
        connection.wake();
        if !connection.is_dirty {
            connection.is_dirty = true;
            self.dirty.push(id);
        }
    }
}

/// Connections.
impl<P: Protocol> Host<P> {
    /// A stream stands: it gets a task, and the engine hears of it. `pending` is its place while its handshake lasts.
    pub(crate) fn adopt(&mut self, id: ConnectionId, mut stream: Stream, ends: Ends, pending: Option<Place>) {
        let framer = P::framer(&self.config, 0, ends.direction);
        let is_pending = self.is_pending(Phase(0));
        stream.set_pending(is_pending);
        let pending = pending.filter(|_| is_pending);
        self.connections.insert(id, Box::new(Connection::new(stream, framer, pending, self.now)));
        self.step(P2pAction::Connected { connection: id, ends });
        self.apply();
        if let Some(door) = self.door.upgrade()
            && self.connections.contains_key(&id)
        {
            tokio::task::spawn_local(sockets::serve(door, id));
        }
    }

    fn is_pending(&self, phase: Phase) -> bool {
        self.opening.as_ref().is_some_and(|opening| opening.is_pending(phase))
    }

    /// The id of the next connection that is accepted.
    pub(crate) fn accepted(&mut self) -> ConnectionId {
        self.totals.accepted += 1;
        let id = ConnectionId::nth(Direction::Inbound, self.next_inbound);
        self.next_inbound += 1;
        id
    }

    /// Writes what the socket takes, and what follows from its being written.
    pub(crate) fn flush(&mut self, id: ConnectionId) {
        let Some(connection) = self.connections.get_mut(&id) else { return };
        connection.is_dirty = false;
        let has_more = connection.queue_bytes() > 0 || connection.stream.wants_flush() || connection.stream.is_muxed();
        if !connection.is_blocked && has_more {
            match connection.flush(&mut self.pool, self.now) {
                Flushed::Empty => {}
                Flushed::Blocked => connection.wake(),
                Flushed::Broken => {
                    let cause = connection.ending.map_or(DisconnectCause::Broken, |ending| ending.cause);
                    return self.end(id, cause);
                }
            }
        }
        let is_owed = connection.owes_writable(self.rules.low_water_bytes);
        if is_owed && !connection.is_closed_by_us() && !connection.is_writable_due {
            // Told in the connection's own turn, so that one fast reader does not hold up the others.
            connection.is_writable_due = true;
            connection.wake();
        }
        if connection.note_writable(self.rules.low_water_bytes) && !connection.is_closed_by_us() {
            connection.wake();
        }
        if connection.ending.is_some() {
            self.go_on_ending(id);
        }
        if self.opening.is_some() {
            self.sweep(id);
        }
        self.charge(id);
    }

    /// Has a connection's queues flushed at the end of the turn.
    pub(crate) fn mark_dirty(&mut self, id: ConnectionId) {
        if let Some(connection) = self.connections.get_mut(&id)
            && !std::mem::replace(&mut connection.is_dirty, true)
        {
            self.dirty.push(id);
        }
    }

    /// Takes a connection that is on its way out as far as it gets now.
    pub(crate) fn go_on_ending(&mut self, id: ConnectionId) {
        let now = self.now.monotonic;
        let Some(connection) = self.connections.get_mut(&id) else { return };
        let Some(ending) = &mut connection.ending else { return };
        let cause = ending.cause;
        let is_overdue = now >= ending.until;
        if connection.queue_bytes() > 0 {
            let is_heard_out = connection.is_finished || connection.stream.is_muxed();
            if is_overdue || is_heard_out && connection.stream.takes_nothing() {
                self.end(id, cause);
            }
            return;
        }
        if connection.stream.must_send_first() && !is_overdue {
            return;
        }
        let Some(ending) = &mut connection.ending else { return };
        if !ending.is_shut {
            ending.is_shut = true;
            connection.stream.shut_down();
            if connection.stream.wants_flush() {
                // Comes back here.
                return self.flush(id);
            }
        }
        if connection.stream.has_unsent() && !is_overdue {
            // The task writes it on.
            return;
        }
        if !ending.lingers || connection.is_finished || is_overdue {
            self.end(id, cause);
        }
    }

    /// The peer writes no more. What is queued for it is still written, for as long as a connection may linger.
    pub(crate) fn finished(&mut self, id: ConnectionId) {
        let until = self.now.monotonic + self.rules.linger;
        let Some(connection) = self.connections.get_mut(&id) else { return };
        connection.is_finished = true;
        connection.discard_partial();
        self.partials.forget(id, connection);
        let ending = Ending { cause: DisconnectCause::Theirs, lingers: false, until, is_shut: false };
        connection.ending.get_or_insert(ending);
        if connection.queue_bytes() > 0 && !connection.is_blocked {
            // Comes there too. Who takes nothing more after this gets what the socket takes.
            return self.flush(id);
        }
        self.go_on_ending(id);
    }

    /// A connection is gone: nothing of it stays but its counts, and the engine hears of it, once.
    pub(crate) fn end(&mut self, id: ConnectionId, cause: DisconnectCause) {
        let Some(mut connection) = self.connections.remove(&id) else { return };
        self.partials.forget(id, &mut connection);
        self.account.charge(id, connection.charged, 0);
        if connection.asks > 0 {
            self.asks.has_asker(false);
        }
        self.gone.add(&connection.last_meter());
        connection.wake();
        if let Some(frames) = connection.last_drops() {
            self.pending.push_back(P2pAction::Dropped { connection: id, frames });
        }
        connection.hang_up();
        self.pending.push_back(P2pAction::Disconnected { connection: id, cause });
    }

    /// Notes what a connection holds now.
    pub(crate) fn charge(&mut self, id: ConnectionId) {
        if let Some(connection) = self.connections.get_mut(&id) {
            connection.charged = self.account.charge(id, connection.charged, connection.held_bytes());
        }
    }

    /// Closes those that hold most while a memory budget is spent.
    pub(crate) fn shed(&mut self) {
        while let Some(id) = self.partials.longest() {
            let longest = self.connections.get(&id).map_or(ChannelId::ONLY, |connection| connection.longest());
            self.refused(id, longest, BadFrame::of_host(BadFrame::OVER_BUDGET));
        }
        if !self.account.is_spent() {
            return;
        }
        loop {
            let (connections, now) = (&self.connections, self.now.monotonic);
            let is_still = |id| {
                connections.get(&id).is_some_and(|connection: &Box<_>| now.since(connection.last_moved()) >= STILL)
            };
            let Some(id) = self.account.to_shed(is_still) else { return };
            self.totals.shed += 1;
            self.end(id, DisconnectCause::Budget);
            self.apply();
        }
    }

    /// The ledger answered: connections that waited for it read again, as far as it caught up.
    pub(crate) fn answered(&mut self, answers: &Answers<P::Answer>) {
        self.totals.asks_answered += answers.taken() as u64;
        let mut touched = BTreeSet::new();
        for (id, bytes) in self.asks.answered(answers) {
            let Some(connection) = self.connections.get_mut(&id) else { continue };
            connection.asks -= 1;
            connection.ask_bytes -= bytes;
            if connection.asks == 0 {
                self.asks.has_asker(false);
            }
            touched.insert(id);
        }
        for id in touched {
            self.charge(id);
        }
        let (asks, connections) = (&self.asks, &self.connections);
        self.paused.retain(|id| {
            let Some(connection) = connections.get(id) else { return false };
            let waits = asks.must_wait(connection.asks);
            if !waits {
                connection.wake();
            }
            waits
        });
    }
}

/// One step, written down when there is a recorder. Apart from the host so that a connection can be borrowed
/// meanwhile.
pub(crate) fn step<P: Protocol>(
    engine: &mut Engine<P>,
    recorder: &mut Option<Recorder>,
    now: Now,
    action: P2pAction<P::Answer>,
    effects: &mut Vec<Effect<P::Request>>,
) {
    let Some(recorder) = recorder.as_mut().filter(|recorder| !recorder.is_over()) else {
        return engine.step(now, action, effects);
    };
    let before = effects.len();
    let written = action.clone();
    engine.step(now, action, effects);
    recorder.put(&Stepped { now, action: written, effects: journal::digest(&effects[before..]) });
}
