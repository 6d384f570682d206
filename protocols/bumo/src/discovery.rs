//! Tells and learns where peers are: PEERS (BUMO spec, sections 5.1 and 5.2). The table is the engine's address book, and
//! the engine dials.

use crate::peer::Active;
use crate::wire::{Kind, Message as _, PEERS_SENT_MAX, Peer as Told, Peers, WireError};
use crate::{Bumo, Cx, Misbehavior, Peer};
use alloc::string::ToString;
use alloc::vec::Vec;
use core::net::{IpAddr, Ipv4Addr};
use polypeer_engine::kit::cost::Class;
use polypeer_engine::{Address, ConnectionId, Direction, Overflow};

/// Bytes of a push that is looked at; [`PEERS_MAX`](crate::wire::PEERS_MAX) entries with all that today's node tells of
/// each.
const PUSH_BYTES_MAX: usize = 80 << 10;

impl Bumo {
    /// Tells a peer that dialled us of those who are here, once. Where it comes from itself it knows.
    pub(crate) fn push_peers(&self, cx: &mut Cx<'_>, connection: ConnectionId, active: &mut Active) {
        let told = self.who_is_here(cx);
        let texts: Vec<_> = told.iter().map(|address| address.ip().to_string()).collect();
        let peers = texts
            .iter()
            .zip(&told)
            .map(|(ip, address)| Told { ip, port: address.port().into(), ..Told::default() })
            .collect();
        let frame = active.line.request(Kind::Peers, &Peers { peers }.encode());
        cx.send(connection, frame, Overflow::Close);
    }

    // Where the active peers are reached: those that we reached there first. The network has IPv4 only.
    fn who_is_here(&self, cx: &mut Cx<'_>) -> Vec<Address> {
        let place = |(connection, peer): (ConnectionId, &Peer)| {
            let address = peer.active()?.place.filter(|place| place.ip().is_ipv4())?;
            Some((connection.direction() == Direction::Inbound, address))
        };
        let places: Vec<_> = cx.peers().filter_map(place).collect();
        let mut places = cx.random().sample(places, usize::MAX);
        places.sort_by_key(|(is_claimed, _)| *is_claimed);
        places.truncate(PEERS_SENT_MAX);
        places.into_iter().map(|(_, address)| address).collect()
    }

    /// PEERS: taken from whoever is active, and never answered.
    pub(crate) fn on_peers(&self, cx: &mut Cx<'_>, connection: ConnectionId, data: &[u8]) {
        let told = if data.len() > PUSH_BYTES_MAX { Err(WireError::TooLarge) } else { Peers::decode(data) };
        let told = match told {
            Ok(Peers { peers }) => peers,
            Err(error) => {
                let is_flood = matches!(error, WireError::TooLarge | WireError::TooMany);
                let fault = if is_flood { Misbehavior::TooManyAddresses } else { Misbehavior::Malformed(Kind::Peers) };
                cx.slip(connection, fault);
                return;
            }
        };
        let price = Class::AddressLearn.price(0).times(told.len());
        if cx.config().discovery && self.pays(cx, connection, Class::AddressLearn, price) {
            let source = cx.ends(connection).map(|ends| ends.remote.ip());
            cx.learn(told.iter().filter_map(place), source);
        }
    }
}

// Today's node takes the lowest 16 bits of a port. Nobody is at port 0 or at 0.0.0.0; the address book knows that.
fn place(told: &Told<'_>) -> Option<Address> {
    let ip: Ipv4Addr = told.ip.parse().ok()?;
    Some(Address::new(IpAddr::V4(ip), told.port as u16))
}
