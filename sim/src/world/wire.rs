//! Moves bytes: dials, carries, cuts into frames, and ends connections. Channels open and end in `channels`.

use super::{Happening, World};
use crate::line::{End, Line, LineId, Side, WireName, across};
use crate::link::{Arrival, Blocked, Pipe};
use bytes::Bytes;
use polypeer_engine::{
    Address, BadFrame, ChannelId, Close, ConnectionId, DialFailure, Direction, DisconnectCause, Ends, Framed, Framer,
    Ledger, P2pAction, Protocol, Time,
};
use std::time::Duration;

/// How long a dial to where nobody answers takes to fail.
const DIAL_TIMEOUT: Duration = Duration::from_secs(10);
/// How long TCP tries to get bytes through before it gives up: Linux's `tcp_retries2` of 15.
const GIVE_UP: Duration = Duration::from_secs(924);
/// Ports from which nodes dial: the first one, and how many there are.
const DIAL_PORTS: (u16, u64) = (32_768, 28_000);

/// Dialling.
impl<P, L> World<P, L>
where
    P: Protocol,
    L: Ledger<Request = P::Request, Answer = P::Answer>,
{
    pub(super) fn dial(&mut self, id: usize, connection: ConnectionId, to: Address) {
        let other = self.by_address.get(&to).copied().unwrap_or(id);
        let round_trip = self.latency(id, other) * 2;
        let wait = self.random.jitter(round_trip, self.quality().jitter_percent);
        self.nodes[id].dials.insert(connection, to);
        let dialled = Happening::Dialled { node: id as u32, life: self.nodes[id].life, connection };
        self.agenda.add(self.now + wait, dialled);
    }

    /// A dial has gone there and back.
    pub(super) fn dialled(&mut self, from: usize, connection: ConnectionId) {
        let Some(to) = self.nodes[from].dials.get(&connection).copied() else { return };
        let life = self.nodes[from].life;
        let failure = match self.by_address.get(&to).copied() {
            None => DialFailure::TimedOut,
            Some(other) if self.is_apart(from, other) || self.nodes[other].is_dark => DialFailure::TimedOut,
            Some(other) if !self.nodes[other].is_up() => DialFailure::Refused,
            // Whoever has to prove who it is finds itself before the connection stands.
            Some(other) if other == from && self.has_channels(from) => DialFailure::Transport,
            Some(other) if self.nodes[other].stalled_until > self.now + DIAL_TIMEOUT => DialFailure::TimedOut,
            Some(other) => {
                let free = self.nodes[other].stalled_until.max(self.nodes[from].stalled_until);
                if free > self.now {
                    self.agenda.add(free, Happening::Dialled { node: from as u32, life, connection });
                    return;
                }
                self.nodes[from].dials.remove(&connection);
                return self.connect(from, connection, other, to);
            }
        };
        self.nodes[from].dials.remove(&connection);
        let wait = if failure == DialFailure::TimedOut { DIAL_TIMEOUT } else { Duration::ZERO };
        let failed = Happening::DialFailed { node: from as u32, life, connection, cause: failure };
        self.agenda.add(self.now + wait, failed);
    }

    fn connect(&mut self, from: usize, connection: ConnectionId, other: usize, to: Address) {
        let theirs = ConnectionId::nth(Direction::Inbound, self.nodes[other].accepted);
        self.nodes[other].accepted += 1;
        let port = DIAL_PORTS.0 + (connection.as_u64() % DIAL_PORTS.1) as u16;
        let here = Address::new(self.source(from).ip(), port);
        // A framer cuts what the peer sends, and is told who opened the connection.
        let framer = |world: &Self, node: usize, opener| P::framer(&world.nodes[node].protocol, 0, opener);
        let ends = [
            Some(End::new(connection, framer(self, from, Direction::Outbound))),
            Some(End::new(theirs, framer(self, other, Direction::Inbound))),
        ];
        let line = Line { ends, pipes: [Pipe::open(self.now), Pipe::open(self.now)], nodes: [from, other] };
        let id = self.lines.add(line);
        self.nodes[from].connections.insert(connection, (id, 0));
        self.nodes[other].connections.insert(theirs, (id, 1));
        self.plan_break(id);
        let inbound = Ends {
            direction: Direction::Inbound,
            local: to,
            remote: here,
            dialled: None,
            identity: self.proven(from),
            takes_compressed: false,
        };
        let outbound = Ends {
            direction: Direction::Outbound,
            local: here,
            remote: to,
            dialled: Some(to),
            identity: self.proven(other),
            takes_compressed: false,
        };
        self.step(other, P2pAction::Connected { connection: theirs, ends: inbound });
        self.follow_up(other);
        self.step(from, P2pAction::Connected { connection, ends: outbound });
        self.follow_up(from);
    }

    // Where a node dials from: one of its addresses.
    fn source(&mut self, id: usize) -> Address {
        let count = self.nodes[id].aliases.len();
        if count == 0 {
            return self.nodes[id].address;
        }
        let place = self.random.below(count + 1);
        self.nodes[id].aliases.get(place).copied().unwrap_or(self.nodes[id].address)
    }

    fn plan_break(&mut self, line: LineId) {
        let breaks = u64::from(self.quality().breaks_a_day);
        if let Some(mean) = 86_400_000_000u64.checked_div(breaks) {
            let wait = Duration::from_micros(self.random.number() % (2 * mean));
            self.agenda.add(self.now + wait, Happening::Broke { line });
        }
    }

    fn is_apart(&self, one: usize, other: usize) -> bool {
        self.cut.contains(&(one.min(other), one.max(other)))
            || self.one_way.contains(&(one, other))
            || self.one_way.contains(&(other, one))
    }

    /// How long bytes take from one node to another, before jitter.
    pub(super) fn latency(&self, from: usize, to: usize) -> Duration {
        self.setting.map.latency(self.nodes[from].region, self.nodes[to].region)
    }
}

/// Carrying.
impl<P, L> World<P, L>
where
    P: Protocol,
    L: Ledger<Request = P::Request, Answer = P::Answer>,
{
    /// Puts a frame into the pipe of a side; there was room.
    pub(super) fn put_on_wire(&mut self, id: LineId, side: Side, channel: WireName, frame: Bytes) {
        let Some(line) = self.lines.get_mut(id) else { return };
        let [from, to] = [line.nodes[side], line.nodes[across(side)]];
        let pipe = &mut line.pipes[side];
        if line.ends[across(side)].is_none() && pipe.blocked.is_none() {
            // The word that the other end is gone is on its way.
            self.nodes[from].counts.frames_lost += 1;
            self.nodes[from].counts.bytes_lost += frame.len() as u64;
            return;
        }
        let map = &self.setting.map;
        let latency = map.latency(self.nodes[from].region, self.nodes[to].region);
        let bytes = frame.len();
        let up = self.nodes[from].host.up;
        let ready = self.nodes[from].up.through(self.now, bytes, up);
        let late = ready + self.random.jitter(latency, map.quality.jitter_percent);
        let there = pipe.in_order(late, bytes, map.quality.bandwidth);
        let down = self.nodes[to].host.down;
        let at = self.nodes[to].down.through(there, bytes, down);
        pipe.send(at, channel, frame);
        self.arm(id, side);
    }

    // Puts the next arrival from a side on the agenda, unless it is there. One that comes too early finds nothing.
    pub(super) fn arm(&mut self, id: LineId, side: Side) {
        let Some(line) = self.lines.get_mut(id) else { return };
        let pipe = &mut line.pipes[side];
        if let Some(at) = pipe.next().map(|at| at.max(self.now))
            && pipe.armed.is_none_or(|armed| at < armed)
        {
            pipe.armed = Some(at);
            self.agenda.add(at, Happening::Arrived { line: id, side: across(side) });
        }
    }

    /// Something has come to a side.
    pub(super) fn arrived(&mut self, id: LineId, side: Side) {
        let Some(line) = self.lines.get_mut(id) else { return };
        let (to, from) = (line.nodes[side], line.nodes[across(side)]);
        let pipe = &mut line.pipes[across(side)];
        pipe.armed = pipe.armed.filter(|armed| *armed > self.now);
        if pipe.blocked.is_some() {
            return;
        }
        while let Some(line) = self.lines.get_mut(id)
            && let Some((name, arrival)) = line.pipes[across(side)].arrive(self.now, &mut self.random)
        {
            match arrival {
                Arrival::Word(word) => self.heard(id, side, name, word),
                Arrival::Bytes(bytes, is_whole) => {
                    let counts = &mut self.nodes[to].counts;
                    counts.frames_received += u64::from(is_whole);
                    counts.bytes_received += bytes.len() as u64;
                    self.arrived_on(id, side, name, bytes.len());
                    self.take_in(id, side, name, bytes);
                }
            }
        }
        if let Some(cause) = self.lines.get(id).and_then(|line| line.pipes[across(side)].over(self.now)) {
            self.end(id, side, cause);
        } else {
            self.arm(id, across(side));
            self.look_for_room(id, across(side), from);
        }
        self.follow_up(to);
    }

    // The sender hears when most of what it sent has arrived.
    fn look_for_room(&mut self, id: LineId, side: Side, sender: usize) {
        let Some(engine) = self.nodes[sender].engine.as_ref() else { return };
        let low = engine.state().profile.low_water_bytes;
        let Some(line) = self.lines.get_mut(id) else { return };
        if engine.state().profile.transport.has_channels() {
            return;
        }
        let pipe = &mut line.pipes[side];
        if pipe.since_writable >= low && pipe.in_flight < low {
            pipe.since_writable = 0;
            self.agenda.add(self.now, Happening::Writable { line: id, side, channel: ChannelId::ONLY });
        }
    }

    pub(super) fn writable(&mut self, id: LineId, side: Side, channel: ChannelId) {
        let Some(line) = self.lines.get(id) else { return };
        let node = line.nodes[side];
        let Some(end) = line.ends[side].as_ref().filter(|end| !end.is_closing) else { return };
        let connection = end.connection;
        self.step(node, P2pAction::Writable { connection, channel });
        self.follow_up(node);
    }

    // Hands on what can be cut without a copy; the rest waits in the end's buffer.
    fn take_in(&mut self, id: LineId, side: Side, name: WireName, mut bytes: Bytes) {
        let Some(line) = self.lines.get_mut(id) else { return };
        let node = line.nodes[side];
        loop {
            let end = self.lines.end_mut(id, side);
            let found = end.and_then(|end| {
                let (connection, channel) = (end.connection, end.named(name)?);
                Some((connection, channel, end.reader_mut(channel)?))
            });
            let Some((connection, channel, reader)) = found.filter(|(.., reader)| !reader.is_deaf) else {
                self.nodes[node].counts.bytes_discarded += bytes.len() as u64;
                return;
            };
            if bytes.is_empty() {
                return;
            }
            let is_fresh = reader.buffer.is_empty() && reader.held == 0;
            let whole = if is_fresh { reader.framer.whole(reader.phase, &bytes) } else { None };
            let Some(length) = whole.filter(|length| (1..=bytes.len()).contains(length)) else {
                reader.buffer.extend_from_slice(&bytes);
                self.nodes[node].counts.bytes_waiting += bytes.len() as u64;
                return self.read(id, side, channel);
            };
            let frame = bytes.split_to(length);
            let counts = &mut self.nodes[node].counts;
            counts.frames_read += 1;
            counts.bytes_read += length as u64;
            self.step(node, P2pAction::MessageReceived { connection, channel, frame });
        }
    }

    // Cuts what waits in an end's buffer.
    fn read(&mut self, id: LineId, side: Side, channel: ChannelId) {
        let Some(node) = self.lines.get(id).map(|line| line.nodes[side]) else { return };
        loop {
            let Some(end) = self.lines.end_mut(id, side) else { return };
            let connection = end.connection;
            let Some(reader) = end.reader_mut(channel) else { return };
            let counts = &mut self.nodes[node].counts;
            if reader.is_deaf {
                return reader.discard(counts);
            }
            let before = reader.buffer.len();
            let framed = reader.framer.next(reader.phase, &mut reader.buffer);
            reader.held += before - reader.buffer.len();
            let (action, length) = match framed {
                Framed::More => return self.time_partial(id, side, channel),
                Framed::Frame(frame) => {
                    let length = frame.len();
                    counts.frames_read += 1;
                    (P2pAction::MessageReceived { connection, channel, frame }, length)
                }
                Framed::Bad(bad) => {
                    reader.is_deaf = bad.fatal;
                    (P2pAction::BadFrame { connection, channel, bad }, 0)
                }
            };
            reader.partial_since = None;
            let consumed = std::mem::take(&mut reader.held);
            counts.bytes_waiting -= consumed as u64;
            counts.bytes_read += length as u64;
            counts.bytes_skipped += consumed.saturating_sub(length) as u64;
            self.step(node, action);
        }
    }

    // A frame that was begun must be whole in time, where the protocol says so.
    fn time_partial(&mut self, id: LineId, side: Side, channel: ChannelId) {
        let now = self.now;
        let Some(line) = self.lines.get_mut(id) else { return };
        let node = line.nodes[side];
        let reader = line.ends[side].as_mut().and_then(|end| end.reader_mut(channel));
        let Some(reader) = reader.filter(|reader| reader.held > 0 || !reader.buffer.is_empty()) else { return };
        let since = *reader.partial_since.get_or_insert(now);
        let max = self.nodes[node].engine.as_ref().and_then(|engine| engine.state().profile.frame_time_max);
        if let Some(max) = max
            && !std::mem::replace(&mut reader.is_timed, true)
        {
            self.agenda.add(since + max, Happening::Overdue { line: id, side, channel });
        }
    }

    pub(super) fn overdue(&mut self, id: LineId, side: Side, channel: ChannelId) {
        let now = self.now;
        let Some(line) = self.lines.get_mut(id) else { return };
        let node = line.nodes[side];
        let Some(end) = line.ends[side].as_mut() else { return };
        let connection = end.connection;
        let Some(reader) = end.reader_mut(channel) else { return };
        reader.is_timed = false;
        let max = self.nodes[node].engine.as_ref().and_then(|engine| engine.state().profile.frame_time_max);
        let (Some(since), Some(max), false) = (reader.partial_since, max, reader.is_deaf) else { return };
        if since + max > now {
            return self.time_partial(id, side, channel);
        }
        reader.is_deaf = true;
        reader.discard(&mut self.nodes[node].counts);
        let bad = BadFrame::of_host(BadFrame::TOO_SLOW);
        self.step(node, P2pAction::BadFrame { connection, channel, bad });
        self.follow_up(node);
    }
}

/// Ending.
impl<P, L> World<P, L>
where
    P: Protocol,
    L: Ledger<Request = P::Request, Answer = P::Answer>,
{
    pub(super) fn end_of(&mut self, id: usize, connection: ConnectionId) -> Option<&mut End<P::Framer>> {
        let (line, side) = *self.nodes[id].connections.get(&connection)?;
        self.lines.end_mut(line, side)
    }

    /// A node closes a connection.
    pub(super) fn close(&mut self, id: usize, connection: ConnectionId, how: Close) {
        if how == Close::Now {
            return self.break_off(id, connection, DisconnectCause::Ours);
        }
        let linger = self.nodes[id].engine.as_ref().map_or(DIAL_TIMEOUT, |engine| engine.state().profile.linger);
        let Some((line_id, side)) = self.nodes[id].connections.get(&connection).copied() else { return };
        let Some(line) = self.lines.get_mut(line_id) else { return };
        let latency = self.setting.map.latency(self.nodes[id].region, self.nodes[line.nodes[across(side)]].region);
        let Some(end) = line.ends[side].as_mut() else { return };
        end.close(&mut self.nodes[id].counts);
        let arrives = line.pipes[side].finish(self.now + latency, DisconnectCause::Theirs);
        self.arm(line_id, side);
        let cut = self.now + linger;
        // Who does not linger is gone when the other end has acknowledged it.
        let at = if how == Close::Flushed { cut.min(arrives + latency) } else { cut };
        self.agenda.add(at, Happening::Ended { line: line_id, side, cause: DisconnectCause::Ours });
    }

    /// This end goes at once, the other one hears of it later.
    pub(super) fn break_off(&mut self, id: usize, connection: ConnectionId, cause: DisconnectCause) {
        let Some((line, side)) = self.nodes[id].connections.get(&connection).copied() else { return };
        let Some(end) = self.lines.end_mut(line, side) else { return };
        end.close(&mut self.nodes[id].counts);
        self.agenda.add(self.now, Happening::Ended { line, side, cause });
    }

    /// An end is gone; the other end follows unless it went first.
    pub(super) fn end(&mut self, id: LineId, side: Side, cause: DisconnectCause) {
        let told = if cause == DisconnectCause::Broken { cause } else { DisconnectCause::Theirs };
        let Some((node, connection, was_closing)) = self.abandon(id, side, Some(told)) else { return };
        let cause = if was_closing && cause == DisconnectCause::Theirs { DisconnectCause::Ours } else { cause };
        self.step(node, P2pAction::Disconnected { connection, cause });
        self.follow_up(node);
    }

    /// Takes an end away. The other end is told that it is so for this cause, as soon as that can be; or never.
    /// The node that it was at, its name there, and whether it was closing.
    pub(super) fn abandon(
        &mut self,
        id: LineId,
        side: Side,
        told: Option<DisconnectCause>,
    ) -> Option<(usize, ConnectionId, bool)> {
        let line = self.lines.get_mut(id)?;
        let mut end = line.ends[side].take()?;
        let [node, other] = [line.nodes[side], line.nodes[across(side)]];
        end.discard(&mut self.nodes[node].counts);
        let latency = self.setting.map.latency(self.nodes[node].region, self.nodes[other].region);
        let blocked = line.pipes[across(side)].blocked;
        for (pipe, sender) in [(side, node), (across(side), other)] {
            // Whoever is not told that nobody is here keeps what it has sent, and waits.
            if pipe == side || told.is_some() && blocked.is_none() {
                let (frames, bytes) = line.pipes[pipe].lose();
                self.nodes[sender].counts.frames_lost += frames;
                self.nodes[sender].counts.bytes_lost += bytes;
            }
        }
        let is_last = line.ends[across(side)].is_none();
        match told {
            _ if is_last => {
                // Both ends are gone: what the one that stayed had still under way is lost too.
                let (frames, bytes) = line.pipes[across(side)].lose();
                self.nodes[other].counts.frames_lost += frames;
                self.nodes[other].counts.bytes_lost += bytes;
                self.lines.remove(id);
            }
            Some(cause) => {
                line.pipes[side].finish(self.now + latency, cause);
                self.arm(id, side);
            }
            None => {
                for pipe in 0..2 {
                    self.block(id, pipe, Blocked::Deserted);
                }
            }
        }
        self.nodes[node].connections.remove(&end.connection);
        Some((node, end.connection, end.is_closing))
    }

    /// Both ends of a connection break.
    pub(super) fn break_line(&mut self, id: LineId) {
        self.end(id, 0, DisconnectCause::Broken);
        self.end(id, 1, DisconnectCause::Broken);
    }

    /// An end goes without a word: the other one believes that it stands.
    pub(super) fn vanish(&mut self, id: usize, connection: ConnectionId) {
        let Some((line, side)) = self.nodes[id].connections.get(&connection).copied() else { return };
        self.desert(line, side, DisconnectCause::Broken);
    }

    pub(super) fn desert(&mut self, line: LineId, side: Side, cause: DisconnectCause) {
        let Some((node, connection, _)) = self.abandon(line, side, None) else { return };
        self.step(node, P2pAction::Disconnected { connection, cause });
        self.follow_up(node);
    }

    /// Nothing comes out of a side's pipe from now on.
    pub(super) fn block(&mut self, id: LineId, side: Side, why: Blocked) {
        let now = self.now;
        let Some(line) = self.lines.get_mut(id) else { return };
        if line.pipes[side].blocked.is_none() || why == Blocked::Deserted {
            line.pipes[side].blocked = Some((why, now));
            self.agenda.add(now + GIVE_UP, Happening::GaveUp { line: id, side });
        }
    }

    /// What a path held up comes through again.
    pub(super) fn unblock(&mut self, id: LineId, side: Side) {
        let now = self.now;
        let Some(line) = self.lines.get_mut(id) else { return };
        if !matches!(line.pipes[side].blocked, Some((Blocked::Path, _))) {
            return;
        }
        let latency =
            self.setting.map.latency(self.nodes[line.nodes[side]].region, self.nodes[line.nodes[across(side)]].region);
        line.pipes[side].resume(now + latency);
        self.arm(id, side);
    }

    /// TCP has tried for long enough, if it had something to send all the time.
    pub(super) fn give_up(&mut self, id: LineId, side: Side) {
        let now = self.now;
        let Some(line) = self.lines.get(id) else { return };
        let Some((_, since)) = line.pipes[side].blocked else { return };
        if line.pipes[side].in_flight == 0 {
            self.agenda.add(now + GIVE_UP, Happening::GaveUp { line: id, side });
        } else if since + GIVE_UP <= now {
            self.end(id, side, DisconnectCause::Broken);
        }
    }

    /// The connections of two nodes, by the side at which the first one is.
    pub(super) fn between(&self, one: usize, other: usize) -> Vec<(LineId, Side)> {
        let joins = |(line, side): &(LineId, Side)| {
            self.lines.get(*line).is_some_and(|line| line.nodes[across(*side)] == other)
        };
        self.nodes[one].connections.values().copied().filter(joins).collect()
    }

    pub(super) fn far_end(&self, id: LineId, side: Side) -> Option<(LineId, Side)> {
        self.lines.get(id)?.ends[across(side)].as_ref().map(|_| (id, across(side)))
    }

    pub(super) fn tell_later(&mut self, line: LineId, side: Side, at: Time) {
        self.agenda.add(at, Happening::Ended { line, side, cause: DisconnectCause::Broken });
    }
}
