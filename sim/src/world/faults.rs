//! Lets things go wrong.

use super::{NodeId, World};
use crate::clock::WallClock;
use crate::disk::Unsynced;
use crate::fault::Fault;
use crate::link::Blocked;
use polypeer_engine::{DisconnectCause, Ledger, Protocol};
use std::time::Duration;

impl<P, L> World<P, L>
where
    P: Protocol,
    L: Ledger<Request = P::Request, Answer = P::Answer>,
{
    /// Has a fault happen now. One that names a node that is not there does nothing.
    pub fn inject(&mut self, fault: &Fault) {
        if fault.nodes().iter().any(|node| node.0 >= self.nodes.len()) {
            return;
        }
        match *fault {
            Fault::Cut { a, b } => self.set_cut(a, b, true),
            Fault::Mend { a, b } => self.mend(a.0, b.0),
            Fault::OneWay { from, to } => {
                self.one_way.insert((from.0, to.0));
                for (line, side) in self.between(from.0, to.0) {
                    self.block(line, side, Blocked::Path);
                }
            }
            Fault::HalfOpen { gone, stays } => {
                for (line, side) in self.between(gone.0, stays.0) {
                    self.desert(line, side, DisconnectCause::Broken);
                }
            }
            Fault::Break { a, b } => {
                for (line, _) in self.between(a.0, b.0) {
                    self.break_line(line);
                }
            }
            Fault::Slow { node, bytes_per_second } => self.read_at(node.0, bytes_per_second),
            Fault::Stall { node, for_ms } => {
                let until = self.now + Duration::from_millis(for_ms);
                let node = &mut self.nodes[node.0];
                node.stalled_until = node.stalled_until.max(until);
            }
            Fault::Crash { node, lose_unsynced, torn } => {
                let unsynced = match (lose_unsynced, torn) {
                    (false, _) => Unsynced::Kept,
                    (true, false) => Unsynced::Some,
                    (true, true) => Unsynced::Torn,
                };
                self.die(node.0, unsynced);
            }
            Fault::Restart { node } => self.start(node.0),
            Fault::DiskFull { node, after_bytes } => self.each_disk(node, |disk| disk.fill_after(after_bytes)),
            Fault::DiskFree { node } => self.each_disk(node, crate::Disk::heal),
            Fault::DiskError { node, after_operations } => {
                self.each_disk(node, |disk| disk.fail_after(after_operations));
            }
            Fault::ClockOffset { node, ms } => {
                let true_ms = self.true_ms();
                self.nodes[node.0].wall = WallClock::off_by(self.now, true_ms, ms);
                self.follow_up(node.0);
            }
            Fault::ClockFrozen { node } => self.set_clock_rate(node, 0),
            Fault::ClockRate { node, percent } => self.set_clock_rate(node, percent),
        }
        self.tell(None, |observer, world| observer.on_fault(world, fault));
    }

    // Whoever reads as fast as it can again has all of what was held up for it.
    fn read_at(&mut self, node: usize, bytes_per_second: u64) {
        self.nodes[node].host.down = bytes_per_second;
        if bytes_per_second > 0 {
            return;
        }
        self.nodes[node].down = crate::link::Lane::default();
        let ends: Vec<_> = self.nodes[node].connections.values().copied().collect();
        for (line, side) in ends {
            let other = crate::line::across(side);
            if let Some(line) = self.lines.get_mut(line) {
                line.pipes[other].hasten(self.now);
            }
            self.arm(line, other);
        }
    }

    fn set_clock_rate(&mut self, node: NodeId, percent: u32) {
        let now = self.now;
        self.nodes[node.0].wall.set_rate(now, percent);
        self.follow_up(node.0);
    }

    fn each_disk(&mut self, node: NodeId, work: impl Fn(&crate::Disk)) {
        let node = &self.nodes[node.0];
        work(&node.disk);
        work(node.keeper.disk());
    }

    /// Cuts the line between two nodes, or mends it: connections break, dials time out.
    pub fn set_cut(&mut self, one: NodeId, other: NodeId, is_cut: bool) {
        if !is_cut {
            return self.mend(one.0, other.0);
        }
        self.cut.insert((one.0.min(other.0), one.0.max(other.0)));
        for (line, _) in self.between(one.0, other.0) {
            self.break_line(line);
        }
    }

    fn mend(&mut self, one: usize, other: usize) {
        self.cut.remove(&(one.min(other), one.max(other)));
        self.one_way.remove(&(one, other));
        self.one_way.remove(&(other, one));
        for (line, side) in self.between(one, other).into_iter().chain(self.between(other, one)) {
            self.unblock(line, side);
        }
    }
}
