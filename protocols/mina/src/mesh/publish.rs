//! Publishes messages of our own: has them signed, and sends them.

use super::Mesh;
use super::border::{Class, MessageId, Output, TopicId, Unpublished};
use super::frame::{self, Message};
use super::limits::{MESSAGE_BYTES_MAX, PENDING_BYTES_MAX, UNSIGNED_MAX};
use alloc::vec::Vec;
use bytes::Bytes;
use polypeer_engine::{ConnectionId, Now, Time};

/// Bytes of a signature.
const SIGNATURE_BYTES: usize = 64;
const NANOS_PER_MILLI: u64 = 1_000_000;

/// A message of ours that waits for its signature.
#[derive(Debug)]
pub(super) struct Unsigned {
    id: MessageId,
    topic: TopicId,
    data: Bytes,
    seqno: u64,
}

impl Mesh {
    /// Publishes data, which nobody judges. Gives the ticket of the [`Output::Sign`] that comes of it.
    ///
    /// # Errors
    /// When peers would not take it, or it cannot be taken now.
    pub fn publish(
        &mut self,
        now: Now,
        topic: TopicId,
        data: Bytes,
        out: &mut Vec<Output>,
    ) -> Result<u64, Unpublished> {
        let state = self.at(topic).ok_or(Unpublished::Topic)?;
        if data.len() > MESSAGE_BYTES_MAX {
            return Err(Unpublished::TooLong);
        }
        let id = state.name_of(&data);
        let is_known = self.pending.contains(&id) || self.judged.contains(&id, now.monotonic);
        if is_known || self.unsigned.values().any(|unsigned| unsigned.id == id) {
            return Err(Unpublished::Duplicate);
        }
        let bytes: usize = self.unsigned.values().map(|unsigned| unsigned.data.len()).sum();
        if self.unsigned.len() >= UNSIGNED_MAX || bytes + data.len() > PENDING_BYTES_MAX {
            return Err(Unpublished::Full);
        }
        // Counted up from the clock, so that it grows across restarts too.
        self.seqno = now.unix_ms.saturating_mul(NANOS_PER_MILLI).max(self.seqno.saturating_add(1));
        self.tickets += 1;
        let (ticket, seqno) = (self.tickets, self.seqno);
        let unsigned = Unsigned { id, topic, data, seqno };
        let bytes = self.with_fields(&unsigned, None, frame::signed_bytes).into();
        self.unsigned.insert(ticket, unsigned);
        out.push(Output::Sign { ticket, bytes });
        Ok(ticket)
    }

    /// The signature of a message of ours, or that there is none.
    pub fn signed(&mut self, now: Time, ticket: u64, signature: Option<&[u8; SIGNATURE_BYTES]>, out: &mut Vec<Output>) {
        let Some(unsigned) = self.unsigned.remove(&ticket) else { return };
        let Some(signature) = signature else { return };
        let (frame, _) = self.with_fields(&unsigned, Some(signature), frame::message);
        let Unsigned { id, topic, .. } = unsigned;
        // Somebody else may have published the same meanwhile.
        if let Some(waiting) = self.pending.remove(&id) {
            self.no_longer_judging(&waiting);
        }
        self.judged.insert(id, now, true);
        self.cache.insert(id, topic, frame.clone(), self.beats);
        self.stay_awake(now);
        let to = self.audience(now, topic);
        let peers = to.len();
        self.counts.forwarded += peers as u64;
        out.extend(to.into_iter().map(|peer| Output::Send { peer, frame: frame.clone(), class: Class::Message }));
        out.push(Output::Published { ticket, id, peers });
    }

    fn with_fields<T>(
        &self,
        unsigned: &Unsigned,
        signature: Option<&[u8; SIGNATURE_BYTES]>,
        then: impl FnOnce(&Message<'_>) -> T,
    ) -> T {
        then(&Message {
            from: Some(&self.own.to_bytes()),
            data: Some(&unsigned.data),
            seqno: Some(&unsigned.seqno.to_be_bytes()),
            topic: Some(self.name(unsigned.topic).as_bytes()),
            signature: signature.map(<[u8; SIGNATURE_BYTES]>::as_slice),
            // It is in the author's name already.
            key: None,
            is_canonical: true,
        })
    }

    // Who gets a message of ours.
    fn audience(&mut self, now: Time, topic: TopicId) -> Vec<ConnectionId> {
        if self.settings.flood_publish {
            let threshold = self.thresholds().publish;
            let hears = |peer: &ConnectionId| {
                self.peers.get(peer).is_some_and(|state| {
                    state.stream.is_some() && (state.is_direct || self.score_of(&state.id) >= threshold)
                })
            };
            return self.followers(topic).filter(hears).collect();
        }
        if !self.follows(topic) {
            self.fill_fanout(topic);
            let ends = now + self.settings.fanout;
            if let Some(place) = self.at_mut(topic) {
                place.fanout_ends = ends;
            }
        }
        let follows = |peer: &&ConnectionId| self.peers.get(*peer).is_some_and(|state| state.follows.has(topic));
        let direct = self.direct.iter().filter(follows).copied();
        let place = self.at(topic);
        let near = place.map_or(&[][..], |place| if place.is_joined { &place.mesh[..] } else { &place.fanout[..] });
        near.iter().copied().chain(direct).collect()
    }
}
