//! Answers what peers ask (Mina spec, section 2.3).

use super::key::Key;
use super::message::{Contact, Kind, Message, body};
use super::table::BUCKET_MAX;
use super::{Fault, Kad, Output};
use alloc::vec::Vec;
use core::time::Duration;
use polypeer_engine::kit::bucket::Bucket;
use polypeer_engine::{ChannelId, ConnectionId, Time};

/// The longest request: a peer's own record with sixteen addresses of 20 bytes, or a key. Values are kept by nobody.
pub const REQUEST_BYTES_MAX: usize = 2048;
/// Streams of one peer that are answered at a time. The stock node opens one for each question that it has out.
pub const SERVED_STREAMS_MAX: usize = 16;
/// Questions of one peer at once, and then one in this time: twenty a second is more than a look-up asks of one node in
/// all.
const REQUESTS_BURST: u32 = 64;
const REQUEST_TIME: Duration = Duration::from_millis(50);

/// What one peer may ask.
pub(super) const fn meter() -> Bucket {
    Bucket::new(REQUESTS_BURST, REQUEST_TIME)
}

/// Questions that come in.
impl Kad {
    /// A request on a stream that the peer opened.
    pub(super) fn on_request(
        &mut self,
        now: Time,
        connection: ConnectionId,
        channel: ChannelId,
        frame: &[u8],
        out: &mut Vec<Output>,
    ) -> Result<(), Fault> {
        let Some(known) = self.connections.get_mut(&connection) else { return Ok(()) };
        if !known.requests.take(now) {
            return Err(Fault::TooManyRequests);
        }
        let message = body(frame);
        if message.len() > REQUEST_BYTES_MAX {
            return Err(Fault::RequestTooLong);
        }
        let request = Message::decode(message)?;
        let answer = match request.kind {
            Kind::Ping => Message::about(Kind::Ping, &[]),
            Kind::FindNode | Kind::GetValue => self.nearest_to(connection, &request),
            Kind::GetProviders => {
                let mut answer = self.nearest_to(connection, &request);
                if request.key == self.config.rendezvous {
                    answer.providers = self.providers.some(now, BUCKET_MAX, &mut self.random);
                }
                answer
            }
            Kind::AddProvider => return self.on_provider(now, connection, request),
            // Nobody keeps values; the peer learns it from the end of the stream.
            Kind::PutValue => {
                out.push(Output::Reset { connection, channel });
                self.forget_served(connection, channel);
                return Ok(());
            }
        };
        out.push(Output::Send { connection, channel, frame: answer.encode() });
        Ok(())
    }

    // The 20 nearest peers, without the one that asks; and the one that is asked for, if it is connected.
    fn nearest_to(&self, connection: ConnectionId, request: &Message) -> Message {
        let asker = self.connections.get(&connection).map(|known| known.peer);
        let mut closer = self.table.nearest(&Key::of(&request.key), BUCKET_MAX, asker.as_ref());
        for contact in &mut closer {
            contact.is_connected = self.by_peer.contains_key(&contact.peer);
        }
        if let Some(wanted) = self.connected_as(&request.key)
            && closer.iter().all(|contact| contact.peer != wanted.peer)
            && asker != Some(wanted.peer)
        {
            closer.truncate(BUCKET_MAX - 1);
            closer.insert(0, wanted);
        }
        Message { closer, ..Message::about(request.kind, &request.key) }
    }

    fn connected_as(&self, key: &[u8]) -> Option<Contact> {
        let peer = crate::keys::PeerId::from_bytes(key)?;
        let known = self.connections.get(self.by_peer.get(&peer)?)?;
        let addresses = known.addresses.clone();
        (!addresses.is_empty()).then_some(Contact { peer, addresses, is_connected: true })
    }

    // A peer says that it provides: only of itself, which is what the encrypted channel has proven it to be.
    fn on_provider(&mut self, now: Time, connection: ConnectionId, request: Message) -> Result<(), Fault> {
        let Some(known) = self.connections.get(&connection) else { return Ok(()) };
        let (peer, group) = (known.peer, known.group);
        let own = request.providers.iter().find(|provider| provider.peer == peer);
        let own = own.ok_or(Fault::ForeignProvider)?;
        let addresses = self.may_reach(&own.addresses);
        // Keys that are not this network's are nobody's business here, and cost nothing.
        if request.key == self.config.rendezvous && !addresses.is_empty() {
            let group = group.filter(|_| !self.config.private_addresses);
            self.providers.add(now, peer, addresses, group);
        }
        Ok(())
    }

    pub(super) fn forget_served(&mut self, connection: ConnectionId, channel: ChannelId) {
        if let Some(known) = self.connections.get_mut(&connection) {
            known.served.remove(&channel);
        }
    }
}
