//! Tells and learns where peers are (Hello spec, sections 6 and 7).

use crate::wire;
use crate::{Alarm, Cx, Hello, Misbehavior, Ready};
use alloc::vec::Vec;
use core::time::Duration;
use polypeer_engine::kit::chain::ChainFormat;
use polypeer_engine::kit::cost::{Charged, Class};
use polypeer_engine::{Address, ConnectionId, Direction, Overflow};

/// Random addresses that are told with the own one.
const TOLD_MAX: usize = 10;
/// How far the telling strays from its interval, in percent.
const TOLD_JITTER: u32 = 25;
/// How often a tracker is asked.
const TRACKER_INTERVAL: Duration = Duration::from_secs(600);
/// Trackers that are remembered, so that their addresses are not handed out: an operator names a few.
const TRACKERS_MAX: usize = 64;

impl<F: ChainFormat> Hello<F> {
    /// The port on which others reach this node, 0 if there is none.
    pub(crate) fn own_port(&self, cx: &Cx<'_, F>) -> u16 {
        let config = cx.config();
        config.external.or(config.listen).map_or(0, |address| address.port())
    }

    // Where others reach this node, when it is known: a socket that listens everywhere does not say.
    fn own_address(&self, cx: &Cx<'_, F>) -> Option<Address> {
        let config = cx.config();
        config.external.or(config.listen).filter(Address::is_dialable)
    }

    /// The handshake is complete: takes note of where the peer is, and asks it where others are.
    pub(crate) fn discover(&mut self, cx: &mut Cx<'_, F>, connection: ConnectionId, ready: &mut Ready) {
        let is_dialled = connection.direction() == Direction::Outbound;
        if !ready.holds_blocks() && is_dialled {
            return self.meet_tracker(cx, connection, ready);
        }
        cx.ready(connection, &ready.agent);
        let port = ready.port;
        self.on_port(cx, connection, ready, port);
        if is_dialled && cx.config().discovery {
            let port = self.own_port(cx);
            cx.send(connection, wire::getaddr(port), Overflow::Close);
        }
        if ready.holds_blocks() {
            self.tell_again(cx, connection);
        }
    }

    // A tracker is no peer of ours: it fills no slot, and its address is not handed out.
    fn meet_tracker(&mut self, cx: &mut Cx<'_, F>, connection: ConnectionId, ready: &Ready) {
        cx.leave_slot(connection);
        cx.ready(connection, &ready.agent);
        if let Some(address) = cx.ends(connection).and_then(|ends| ends.dialled) {
            cx.unlearn(address);
            if self.trackers.len() < TRACKERS_MAX {
                self.trackers.insert(address);
            }
        }
        self.ask_tracker(cx, connection);
    }

    fn ask_tracker(&mut self, cx: &mut Cx<'_, F>, connection: ConnectionId) {
        let port = self.own_port(cx);
        cx.send(connection, wire::getaddr(port), Overflow::Close);
        cx.peer_alarm(connection, Alarm::Addresses, cx.time() + TRACKER_INTERVAL);
    }

    /// The peer says where it listens.
    pub(crate) fn on_port(&mut self, cx: &mut Cx<'_, F>, connection: ConnectionId, ready: &mut Ready, port: u16) {
        ready.port = port;
        if connection.direction() == Direction::Inbound && ready.holds_blocks() {
            let Some(ip) = cx.ends(connection).map(|ends| ends.remote.ip()) else { return };
            cx.learn([Address::new(ip, port)], Some(ip));
        }
    }

    /// GETADDR.
    pub(crate) fn on_getaddr(
        &mut self,
        cx: &mut Cx<'_, F>,
        connection: ConnectionId,
        ready: &mut Ready,
        port: Option<u16>,
    ) {
        if !ready.getaddrs.take(cx.time()) {
            cx.slip(connection, Misbehavior::GetaddrTooOften);
            return;
        }
        if let Some(port) = port {
            self.on_port(cx, connection, ready, port);
        }
        let known = self.sample(cx, connection, ready, wire::ADDRESSES_MAX);
        let frame = wire::addr(&known);
        cx.owe(connection, Class::ListServed.price(frame.len()));
        cx.send(connection, frame, Overflow::Close);
    }

    /// ADDR: as many addresses as the peer may name now, the rest is dropped.
    pub(crate) fn on_addr(
        &mut self,
        cx: &mut Cx<'_, F>,
        connection: ConnectionId,
        ready: &mut Ready,
        addresses: &[Address],
    ) {
        let count = ready.addresses.take_up_to(cx.time(), addresses.len());
        let source = cx.ends(connection).map(|ends| ends.remote.ip());
        let is_node = |address: &Address| !self.trackers.contains(address);
        let price = Class::AddressLearn.price(0).times(count);
        if count == 0 || cx.charge(connection, Class::AddressLearn, price) != Charged::Paid {
            return;
        }
        cx.learn(addresses[..count].iter().copied().filter(is_node), source);
    }

    /// Time to tell the peer where others are, or to ask a tracker.
    pub(crate) fn tell_addresses(&mut self, cx: &mut Cx<'_, F>, connection: ConnectionId, ready: &Ready) {
        if !ready.holds_blocks() {
            return self.ask_tracker(cx, connection);
        }
        let mut told = Vec::from_iter(self.own_address(cx));
        let own = told.first().copied();
        told.extend(self.sample(cx, connection, ready, TOLD_MAX).into_iter().filter(|address| Some(*address) != own));
        if !told.is_empty() {
            cx.send(connection, wire::addr(&told), Overflow::Drop);
        }
        self.tell_again(cx, connection);
    }

    fn tell_again(&mut self, cx: &mut Cx<'_, F>, connection: ConnectionId) {
        let wait = cx.random().jitter(self.config.address_interval, TOLD_JITTER);
        cx.peer_alarm(connection, Alarm::Addresses, cx.time() + wait);
    }

    // Proven addresses, neither the peer's own nor a tracker's.
    fn sample(&self, cx: &mut Cx<'_, F>, connection: ConnectionId, ready: &Ready, count: usize) -> Vec<Address> {
        let Some(ends) = cx.ends(connection) else { return Vec::new() };
        let its = [Some(Address::new(ends.remote.ip(), ready.port)), ends.dialled];
        // Two more than needed: its own may be among them. Trackers are not in the book.
        let mut known = cx.sample_proven(count + its.len());
        known.retain(|address| !its.contains(&Some(*address)));
        known.truncate(count);
        known
    }
}
