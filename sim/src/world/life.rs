//! Starts nodes and lets them die.

use super::{NodeId, World};
use crate::disk::Unsynced;
use crate::observer::Life;
use polypeer_engine::{DisconnectCause, Engine, Ledger, Protocol, Record, Time};

impl<P, L> World<P, L>
where
    P: Protocol,
    L: Ledger<Request = P::Request, Answer = P::Answer>,
{
    /// A node's process dies: its connections break, what it had only in memory is lost.
    pub fn crash(&mut self, node: NodeId) {
        self.die(node.0, Unsynced::Kept);
    }

    /// A node that crashed starts again, on the disks that it left. Whether it runs.
    pub fn restart(&mut self, node: NodeId) -> bool {
        self.start(node.0);
        self.nodes[node.0].is_up()
    }

    /// Starts a node, unless it runs.
    pub(super) fn start(&mut self, id: usize) {
        if self.nodes[id].is_up() {
            return;
        }
        self.nodes[id].is_dark = false;
        // Whoever still believed in a connection hears from the machine that it knows of none.
        for (line, side) in std::mem::take(&mut self.nodes[id].deserted) {
            let Some(other) = self.lines.get(line).map(|line| line.nodes[side]) else { continue };
            let at = self.now + self.latency(id, other);
            self.tell_later(line, side, at);
        }
        let mut seed = [0; 32];
        seed.chunks_mut(8).for_each(|part| part.copy_from_slice(&self.random.number().to_be_bytes()));
        let node = &mut self.nodes[id];
        node.started = self.now;
        (node.stalled_until, node.wake_at) = (Time::ZERO, None);
        let (records, ledger) = match node.keeper.open().and_then(|records| Ok((records, (node.boot)(&node.disk)?))) {
            Ok(opened) => opened,
            Err(why) => {
                node.failure = Some(why);
                return self.note_life(id, Life::Failed);
            }
        };
        node.failure = None;
        node.ledger = Some(ledger);
        self.begin(id, seed, &records);
    }

    fn begin(&mut self, id: usize, seed: [u8; 32], records: &[Record]) {
        let node = &mut self.nodes[id];
        let now = node.now(self.now);
        let mut effects = Vec::new();
        let engine = Engine::new(now, node.config.clone(), node.protocol.clone(), seed, records, &mut effects);
        node.engine = Some(engine);
        self.trace.number(id as u64);
        self.trace.number(self.now.as_micros());
        self.trace.number(records.len() as u64);
        self.trace.effects(&effects);
        self.note_life(id, Life::Started);
        self.carry_out(id, &mut effects);
        self.follow_up(id);
    }

    /// A node's process dies, or its machine.
    pub(super) fn die(&mut self, id: usize, unsynced: Unsynced) {
        let was_up = self.nodes[id].is_up();
        let node = &mut self.nodes[id];
        node.life += 1;
        node.engine = None;
        node.asked.clear();
        node.dials.clear();
        (node.stalled_until, node.wake_at) = (Time::ZERO, None);
        node.disk = node.disk.crash(unsynced, &mut self.random);
        node.keeper.crash(unsynced, &mut self.random);
        // Only now, when its handle of the disk is dead: what it would still write is lost.
        node.ledger = None;
        node.is_dark |= unsynced != Unsynced::Kept;
        let is_dark = node.is_dark;
        let connections: Vec<_> = node.connections.values().copied().collect();
        for (line, side) in connections {
            if is_dark {
                let far = self.far_end(line, side);
                self.abandon(line, side, None);
                self.nodes[id].deserted.extend(far);
            } else {
                self.abandon(line, side, Some(DisconnectCause::Broken));
            }
        }
        self.trace.number(id as u64 | 1 << 63);
        if was_up {
            self.note_life(id, Life::Crashed);
        }
    }
}
