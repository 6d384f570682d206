//! Tells whoever has to go where others are, and hears it from those who let us go (Mina spec, section 2.4).
//!
//! The stream is opened only to a peer that announced it: whoever does not know its name may end the connection for it.
//! What is told is a claim like any other, and taken from peers only that we chose ourselves, while there is room.

use crate::keys::PeerId;
use crate::multiaddr::{self, Multiaddr};
use crate::peer::Line;
use crate::streams::PEER_EXCHANGE;
use crate::{Alarm, Cx, Mina, Misbehavior, Peer};
use alloc::borrow::Cow;
use alloc::vec::Vec;
use bytes::Bytes;
use core::time::Duration;
use polypeer_engine::kit::cost::Class;
use polypeer_engine::{Address, ChannelId, Close, ConnectionId, Direction, Overflow};
use serde::{Deserialize, Serialize};

/// Bytes of a document that are read (section 2.4); more end the stream.
pub const READ_BYTES_MAX: usize = 8_192;
/// Peers that we tell of: about 150 bytes each, so that all fit into what is read.
const TOLD_MAX: usize = 20;
/// Addresses of one document that are looked at.
const LEARNT_MAX: usize = 64;
/// How long after the document the connection is closed (section 2.4).
const PARTING_TIME: Duration = Duration::from_millis(400);

/// One entry of the document.
#[derive(Debug, Serialize, Deserialize)]
struct Entry<'a> {
    #[serde(rename = "ID", borrow)]
    id: Cow<'a, str>,
    #[serde(rename = "Addrs", borrow)]
    addrs: Vec<Cow<'a, str>>,
}

/// What has come of a document.
#[derive(Debug, Default)]
pub(crate) struct Received {
    bytes: Vec<u8>,
}

/// Writes a document.
pub fn encode(peers: &[(PeerId, Vec<Address>)]) -> Bytes {
    let entry = |(id, addresses): &(PeerId, Vec<Address>)| Entry {
        id: id.text().into(),
        addrs: addresses.iter().map(|address| multiaddr::text_of(*address, None).into()).collect(),
    };
    let entries: Vec<_> = peers.iter().map(entry).collect();
    // A list of texts can always be written.
    serde_json::to_vec(&entries).unwrap_or_default().into()
}

/// Reads a document: where peers are said to be, whoever they are.
pub fn decode(document: &[u8]) -> Option<Vec<Address>> {
    let entries: Vec<Entry<'_>> = serde_json::from_slice(document).ok()?;
    let texts = entries.iter().flat_map(|entry| &entry.addrs);
    Some(texts.filter_map(|text| text.parse::<Multiaddr>().ok()?.address()).take(LEARNT_MAX).collect())
}

impl Mina {
    /// A peer has to go: it is told where others are, if it wants to know. Whether it is, so that the end waits for it.
    pub(crate) fn say_where(&mut self, cx: &mut Cx<'_>, connection: ConnectionId, peer: &Peer) -> bool {
        if !peer.speaks().has(PEER_EXCHANGE) || self.channels.open(cx, connection, PEER_EXCHANGE).is_none() {
            return false;
        }
        let end = cx.time() + PARTING_TIME;
        cx.peer_alarm(connection, Alarm::Part, end);
        true
    }

    /// The stream for it stands.
    pub(crate) fn tell_where(&self, cx: &mut Cx<'_>, connection: ConnectionId, channel: ChannelId) {
        let told = self.who_is_here(cx);
        cx.send_on(connection, channel, encode(&told), Overflow::Close);
        cx.finish(connection, channel);
    }

    /// Who is ready and where it is reached: where we reached it, or where it says that it listens.
    pub(crate) fn who_is_here(&self, cx: &mut Cx<'_>) -> Vec<(PeerId, Vec<Address>)> {
        let place = |(connection, peer): (ConnectionId, &Peer)| {
            let ready = peer.ready()?;
            let dialled = cx.ends(connection).and_then(|ends| ends.dialled);
            let address = dialled.or_else(|| ready.about.listens.first().copied())?;
            Some((peer.line.peer_id, Vec::from([address])))
        };
        let places: Vec<_> = cx.peers().filter_map(place).collect();
        cx.random().sample(places, TOLD_MAX)
    }

    /// The peer that we are to be told by opens the stream: honoured on connections that we dialled, while slots are free.
    pub(crate) fn may_tell(&self, cx: &Cx<'_>, connection: ConnectionId) -> bool {
        connection.direction() == Direction::Outbound && cx.config().discovery && cx.has_free_outbound_slot()
    }

    /// A piece of the document.
    pub(crate) fn on_told_where(
        &mut self,
        cx: &mut Cx<'_>,
        connection: ConnectionId,
        line: &mut Line,
        channel: ChannelId,
        piece: &[u8],
    ) {
        if line.exchange.bytes.len() + piece.len() > READ_BYTES_MAX {
            line.exchange = Received::default();
            self.channels.reset(cx, connection, channel);
            cx.slip(connection, Misbehavior::TooManyAddresses);
            return;
        }
        line.exchange.bytes.extend_from_slice(piece);
    }

    /// All of it has come.
    pub(crate) fn on_all_told(&self, cx: &mut Cx<'_>, connection: ConnectionId, line: &mut Line) {
        let Received { bytes } = core::mem::take(&mut line.exchange);
        let Some(addresses) = decode(&bytes) else {
            cx.slip(connection, Misbehavior::MalformedExchange);
            return;
        };
        let price = Class::AddressLearn.price(0).times(addresses.len());
        if self.pays(cx, connection, Class::AddressLearn, price) {
            let source = cx.ends(connection).map(|ends| ends.remote.ip());
            cx.learn(addresses, source);
        }
    }

    /// Whoever had to go was told.
    pub(crate) fn part(&self, cx: &mut Cx<'_>, connection: ConnectionId) {
        cx.close(connection, Close::Flushed, "parting");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_reads_back() {
        let id = PeerId::of_key([7; 32]);
        let peers: Vec<_> = (1..=20)
            .map(|port| {
                (id, Vec::from([Address::new([192, 0, 2, 1].into(), port), Address::new([1; 16].into(), port)]))
            })
            .collect();
        let document = encode(&peers);
        assert!(document.len() <= READ_BYTES_MAX, "{}", document.len());
        assert_eq!(decode(&document).map(|read| read.len()), Some(40));
    }

    #[test]
    fn what_is_no_document_is_refused_and_what_cannot_be_dialled_left_out() {
        for document in [&b""[..], b"{}", b"[1]", b"[{\"ID\":\"x\"}]", b"[{\"ID\":\"x\",\"Addrs\":[7]}]"] {
            assert_eq!(decode(document), None, "{document:?}");
        }
        let mixed = br#"[{"ID":"x","Addrs":["/ip4/1.2.3.4/udp/1","/ip4/1.2.3.4/tcp/1","garbage"],"more":{}}]"#;
        assert_eq!(decode(mixed), Some(Vec::from([Address::new([1, 2, 3, 4].into(), 1)])));
    }
}
