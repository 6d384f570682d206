//! Steps engines and ledgers, and carries out what they want.

use super::{Happening, Late, NodeId, World};
use crate::keeper::PATIENCE;
use crate::switch::{Deed, Scene, Switch};
use bytes::Bytes;
use polypeer_engine::{ChannelId, ConnectionId, Effect, Engine, Ledger, Overflow, P2pAction, Protocol, Time, To};
use std::time::Duration;

/// How long a look-up of a name takes.
const LOOKUP: Duration = Duration::from_millis(30);
/// A node that wants to be woken at once is woken after this: time passes on any machine.
const SOON: Duration = Duration::from_micros(1);
/// What a switch sends where it is not asked about a frame.
const ELSE: (ChannelId, Overflow) = (ChannelId::ONLY, Overflow::Drop);

impl<P, L> World<P, L>
where
    P: Protocol,
    L: Ledger<Request = P::Request, Answer = P::Answer>,
{
    /// Hands a node's engine an action and carries out what comes of it.
    pub(super) fn step(&mut self, id: usize, mut action: P2pAction<P::Answer>) {
        if self.nodes[id].switch.is_some() && !self.hears(id, &mut action) {
            return;
        }
        let now = self.nodes[id].now(self.now);
        let Some(engine) = self.nodes[id].engine.as_mut() else { return };
        self.trace.action(id, self.now, &action);
        let watched = (!self.observers.is_empty()).then(|| action.clone());
        let mut effects = std::mem::take(&mut self.effects);
        engine.step(now, action, &mut effects);
        self.steps += 1;
        self.trace.effects(&effects);
        if let Some(action) = watched {
            let node = NodeId(id);
            self.tell(Some(node), |observer, world| observer.on_step(world, node, &action, &effects));
        }
        self.carry_out(id, &mut effects);
        self.effects = effects;
    }

    /// Carries out effects, in order.
    pub(super) fn carry_out(&mut self, id: usize, effects: &mut Vec<Effect<P::Request>>) {
        let is_switched = self.nodes[id].switch.is_some();
        for effect in effects.drain(..) {
            match effect {
                Effect::Send { connection, channel, frame, overflow } if is_switched => {
                    let of = (channel, overflow);
                    self.with_switch(id, of, |switch, scene| switch.sends(scene, connection, frame));
                }
                Effect::Send { connection, channel, frame, overflow } => {
                    self.send(id, connection, channel, frame, overflow);
                }
                other => {
                    let does = !is_switched
                        || self.with_switch(id, ELSE, |switch, scene| switch.does(scene, &other)) != Some(false);
                    if does {
                        self.do_other(id, other);
                    }
                }
            }
        }
    }

    fn do_other(&mut self, id: usize, effect: Effect<P::Request>) {
        let (node, life) = (id as u32, self.nodes[id].life);
        match effect {
            Effect::Dial { connection, address } => self.dial(id, connection, address),
            Effect::SetPhase { connection, channel, phase } => {
                if let Some(reader) = self.end_of(id, connection).and_then(|end| end.reader_mut(channel)) {
                    reader.phase = phase;
                }
            }
            Effect::Open { connection, channel, kind } => self.open(id, connection, channel, kind),
            Effect::Finish { connection, channel } => self.finish(id, connection, channel),
            Effect::Reset { connection, channel } => self.reset(id, connection, channel),
            Effect::Close { connection, how } => self.close(id, connection, how),
            Effect::Ask { ticket, request } => {
                if self.nodes[id].asked.is_empty() {
                    let at = self.now + self.setting.ledger_latency;
                    self.agenda.add(at, Happening::Answers { node, life });
                }
                self.nodes[id].asked.push((ticket, request));
            }
            Effect::Save(record) => {
                if self.nodes[id].keeper.save(record) {
                    self.agenda.add(self.now + PATIENCE, Happening::Commits { node, life });
                }
            }
            Effect::Publish(event) => self.nodes[id].show(self.now, event, self.setting.events_max),
            Effect::Resolve { name, port } => {
                let addresses = self.names.get(&name).cloned().unwrap_or_default();
                let action = Box::new(P2pAction::Resolved { name, port, addresses });
                self.agenda.add(self.now + LOOKUP, Happening::Acts { node, life, action });
            }
            // Carried out before.
            Effect::Send { .. } => {}
        }
    }

    fn hears(&mut self, id: usize, action: &mut P2pAction<P::Answer>) -> bool {
        self.with_switch(id, ELSE, |switch, scene| switch.hears(scene, action)) != Some(false)
    }

    // Lets a node's switch do something, and does what it wants done. Nothing when the node is down or has none.
    fn with_switch<T>(
        &mut self,
        id: usize,
        (channel, overflow): (ChannelId, Overflow),
        work: impl FnOnce(&mut dyn Switch<P>, &mut Scene<'_, P>) -> T,
    ) -> Option<T> {
        let own = self.nodes[id].now(self.now);
        let mut switch = self.nodes[id].switch.take()?;
        let mut deeds = std::mem::take(&mut self.deeds);
        let done = self.nodes[id].engine.as_ref().map(|engine| {
            let (now, random) = (self.now, &mut self.random);
            let mut scene = Scene { now, own, engine, random, channel, overflow, deeds: &mut deeds };
            work(switch.as_mut(), &mut scene)
        });
        self.nodes[id].switch = Some(switch);
        for deed in deeds.drain(..) {
            self.do_deed(id, deed);
        }
        self.deeds = deeds;
        done
    }

    fn do_deed(&mut self, id: usize, deed: Deed<P>) {
        let (node, life) = (id as u32, self.nodes[id].life);
        match deed {
            Deed::Send { connection, channel, bytes, overflow, wait } if wait.is_zero() => {
                self.send(id, connection, channel, bytes, overflow);
            }
            Deed::Send { connection, channel, bytes, overflow, wait } => {
                let late = Box::new(Late { connection, channel, bytes, overflow });
                self.agenda.add(self.now + wait, Happening::Sends { node, life, late });
            }
            Deed::Act(action) => {
                let action = Box::new(action);
                self.agenda.add(self.now, Happening::Acts { node, life, action });
            }
            Deed::Vanish(connection) => self.vanish(id, connection),
        }
    }

    /// Does what is due at a node.
    pub(super) fn wake(&mut self, id: usize, at: Time) {
        if self.nodes[id].wake_at != Some(at) {
            return;
        }
        self.nodes[id].wake_at = None;
        let now = self.nodes[id].now(self.now);
        if self.nodes[id].engine.as_ref().and_then(Engine::next_wake).is_some_and(|at| at <= now.monotonic) {
            self.step(id, P2pAction::Wake);
        }
        if let Some(ledger) = self.nodes[id].ledger.as_mut()
            && ledger.next_wake(now).is_some_and(|at| at <= now.monotonic)
        {
            let mut answers = Vec::new();
            ledger.wake(now, &mut answers);
            self.answered(id, answers);
        }
        let switch = self.nodes[id].switch.as_ref();
        if switch.and_then(|switch| switch.next_wake()).is_some_and(|at| at <= self.now) {
            self.with_switch(id, ELSE, |switch, scene| switch.wakes(scene));
        }
        self.follow_up_from(id, self.now + SOON);
    }

    /// Lets a node's ledger answer what it was asked.
    pub(super) fn answer(&mut self, id: usize) {
        let now = self.nodes[id].now(self.now);
        let asked = std::mem::take(&mut self.nodes[id].asked);
        let Some(ledger) = self.nodes[id].ledger.as_mut() else { return };
        let mut answers = Vec::new();
        ledger.answer(now, asked, &mut answers);
        self.answered(id, answers);
    }

    /// Hands a node's engine what its ledger says.
    pub(super) fn answered(&mut self, id: usize, answers: Vec<(To, P::Answer)>) {
        for (to, answer) in answers {
            let ticket = match to {
                To::Asker(ticket) => Some(ticket),
                To::Engine => None,
            };
            self.step(id, P2pAction::LedgerAnswered { ticket, answer });
        }
        self.follow_up(id);
    }

    /// Puts a frame on its way.
    pub(super) fn send(
        &mut self,
        id: usize,
        connection: ConnectionId,
        channel: ChannelId,
        frame: Bytes,
        overflow: Overflow,
    ) {
        let bytes = frame.len() as u64;
        let node = &mut self.nodes[id];
        node.counts.frames_wanted += 1;
        node.counts.bytes_wanted += bytes;
        let place = node.connections.get(&connection).copied();
        let max = node.engine.as_ref().map_or(0, |engine| engine.state().profile.queue_bytes_max);
        let found = place.and_then(|(line, side)| Some((line, side, self.lines.get_mut(line)?)));
        let found = found.and_then(|(id, side, line)| {
            let end = line.ends[side].as_mut().filter(|end| !end.is_closing)?;
            Some((id, side, end.name(channel)?, line))
        });
        let Some((id_of_line, side, name, line)) = found else {
            node.counts.frames_not_open += 1;
            node.counts.bytes_not_open += bytes;
            return;
        };
        if line.pipes[side].in_flight + frame.len() > max {
            node.counts.frames_no_room += 1;
            node.counts.bytes_no_room += bytes;
            if overflow == Overflow::Close {
                self.break_off(id, connection, polypeer_engine::DisconnectCause::QueueFull);
            }
            return;
        }
        node.counts.frames_sent += 1;
        node.counts.bytes_sent += bytes;
        if let Some(channel) = line.ends[side].as_mut().and_then(|end| end.channels.get_mut(&channel)) {
            channel.in_flight += frame.len();
            channel.since_writable += frame.len();
        }
        self.put_on_wire(id_of_line, side, name, frame);
    }
}
