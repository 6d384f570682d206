//! Recounts what is kept as counts, and says which of them is wrong: for simulators and properties, after every step.

use crate::engine::P2pState;
use crate::shell::slots::Slots;
use crate::{Direction, Protocol};

impl<P: Protocol> P2pState<P> {
    /// Whether every derived count and index is what a walk over the peers gives; else the first that is not. Holds
    /// between any two steps. Costs a walk over everything, so it is not for a running node.
    pub fn check(&self) -> Result<(), &'static str> {
        self.check_slots()?;
        self.check_dials()?;
        self.check_tables()?;
        self.check_caps()
    }

    fn check_slots(&self) -> Result<(), &'static str> {
        let mut slots = Slots::default();
        for peer in self.peers.values() {
            let ip = peer.ends.counted_ip();
            slots.taken(peer.slot, peer.ends.direction, ip, self.capped_group(ip));
        }
        for dial in self.connecting_peers.values() {
            let ip = dial.address.ip();
            slots.taken(dial.slot, Direction::Outbound, ip, self.capped_group(ip));
        }
        ensure(slots.count() == self.slots.count(), "the counts of slots")?;
        ensure(slots == self.slots, "the counts per host and group")
    }

    fn check_dials(&self) -> Result<(), &'static str> {
        let held = self.peers.iter().filter_map(|(connection, peer)| Some((peer.ends.dialled?, *connection)));
        let under_way = self.connecting_peers.iter().map(|(connection, dial)| (dial.address, *connection));
        let mut count = 0;
        for (address, connection) in held.chain(under_way) {
            ensure(self.dialled.get(&address) == Some(&connection), "an address that is held and not in the index")?;
            count += 1;
        }
        ensure(self.dialled.len() == count, "an address in the index that nobody holds")
    }

    fn check_tables(&self) -> Result<(), &'static str> {
        ensure(self.departed.is_empty(), "a departure that nobody was told of")?;
        ensure(self.peers.values().all(|peer| peer.peer.is_some()), "a peer out of the table between two steps")?;
        ensure(self.channels.connections().all(|id| self.peers.contains_key(&id)), "a channel of nobody")?;
        ensure(self.alarms.connections().all(|id| self.peers.contains_key(&id)), "an alarm of nobody")?;
        ensure(self.alarms.is_consistent(), "an alarm in one table and not in the other")?;
        ensure(!self.closing.keys().any(|id| self.peers.contains_key(id)), "a peer that is closed and open")?;
        ensure(!self.closing.keys().any(|id| self.connecting_peers.contains_key(id)), "a dial that is closed")?;
        let is_right = |(id, peer): (&crate::ConnectionId, &crate::shell::peers::PeerState<P>)| {
            id.direction() == peer.ends.direction
                && peer.ends.dialled.is_some() != (id.direction() == Direction::Inbound)
        };
        ensure(self.peers.iter().all(is_right), "a peer whose ends are not its connection's")
    }

    fn check_caps(&self) -> Result<(), &'static str> {
        let count = self.slots.count();
        ensure(count.inbound <= self.config.inbound_max as usize, "more inbound peers than slots")?;
        ensure(self.slots.is_within(Direction::Inbound, &self.config), "more inbound peers of one host or group")
    }
}

fn ensure(holds: bool, what: &'static str) -> Result<(), &'static str> {
    if holds { Ok(()) } else { Err(what) }
}
