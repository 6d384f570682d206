//! Tells and learns where peers are: the flows Address Send and Address Receive (Kaspa spec, section 4.1).

use crate::wire::{self, ADDRESSES_GIVEN_MAX, ADDRESSES_MAX, Addresses, Kind, NetAddress, Version};
use crate::{Cx, Kaspa, Misbehavior, Ready};
use bytes::Bytes;
use polypeer_engine::kit::cost::{Charged, Class};
use polypeer_engine::{Address, ConnectionId, Overflow};

impl Kaspa {
    /// The handshake is complete: takes note of where the peer says it is, and asks it where others are.
    pub(crate) fn discover(&mut self, cx: &mut Cx<'_>, connection: ConnectionId, ready: &mut Ready, theirs: &Version) {
        if cx.config().discovery {
            let source = cx.ends(connection).map(|ends| ends.remote.ip());
            cx.learn(theirs.address.iter().filter_map(address), source);
        }
        // Asked of everyone, since a peer that is not asked would wait for nothing, and one that is owes an answer.
        cx.send(connection, wire::pack(Kind::RequestAddresses, &[], 0, 0), Overflow::Close);
        ready.addresses_due = Some(cx.time() + self.config.answer_timeout);
        self.watch_dues(cx, connection, ready);
    }

    /// Addresses: told once, since they are asked for once.
    pub(crate) fn on_addresses(
        &mut self,
        cx: &mut Cx<'_>,
        connection: ConnectionId,
        ready: &mut Ready,
        body: &Bytes,
    ) -> Result<(), Misbehavior> {
        if ready.addresses_due.take().is_none() {
            return Err(Misbehavior::NobodyListens(Kind::Addresses));
        }
        let Addresses(told) = Addresses::decode(body, ADDRESSES_MAX)?;
        let price = Class::AddressLearn.price(0).times(told.len());
        if cx.config().discovery && cx.charge(connection, Class::AddressLearn, price) == Charged::Paid {
            let source = cx.ends(connection).map(|ends| ends.remote.ip());
            cx.learn(told.iter().filter_map(address), source);
        }
        Ok(())
    }

    /// Answers RequestAddresses: as often as it comes, as the peer reads.
    pub(crate) fn give_addresses(&mut self, cx: &mut Cx<'_>, connection: ConnectionId) {
        let its = cx.ends(connection).and_then(|ends| ends.dialled);
        let mut known = cx.sample_proven(ADDRESSES_GIVEN_MAX);
        known.retain(|address| Some(*address) != its && !address.ip().is_loopback());
        let body =
            Addresses(known.iter().map(|address| NetAddress::new(address.ip(), address.port())).collect()).encode();
        cx.owe(connection, Class::ListServed.price(body.len()));
        cx.send(connection, wire::pack(Kind::Addresses, &body, 0, 0), Overflow::Close);
    }
}

// Loopback is nobody's but ours: it is dropped without a word, on private networks too (Kaspa spec, section 4.1).
fn address(told: &NetAddress) -> Option<Address> {
    let address = Address::new(told.ip, told.port);
    (!address.ip().is_loopback()).then_some(address)
}
