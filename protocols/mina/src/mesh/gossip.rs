//! Tells peers outside the mesh what messages there are, and fetches what they tell of: IHAVE and IWANT.

use super::border::{Class, MessageId, Output, TopicId};
use super::frame::Rpc;
use super::limits::{ANSWER_BYTES_MAX, IDS_ASKED_MAX, IHAVES_MAX};
use super::{Mesh, frame};
use alloc::vec::Vec;
use polypeer_engine::{ConnectionId, Time};

impl Mesh {
    pub(super) fn on_ihaves(&mut self, now: Time, peer: ConnectionId, rpc: Rpc<'_>, out: &mut Vec<Output>) {
        if rpc.ihaves().next().is_none() {
            return;
        }
        let threshold = self.thresholds().gossip;
        let room = self.room_for(peer);
        let Some(state) = self.peers.get_mut(&peer) else { return };
        state.beat.ihaves += 1;
        let (ihaves, asked) = (state.beat.ihaves, state.beat.asked);
        let room = room.min(IDS_ASKED_MAX.saturating_sub(asked));
        if ihaves > IHAVES_MAX || room == 0 || state.stream.is_none() || self.score(peer) < threshold {
            self.counts.passed_over += 1;
            return;
        }
        let ids = self.unknown(now, rpc);
        // By chance, so that whoever tells of much cannot choose what is left out.
        let mut chosen = self.random.sample(ids, room);
        chosen.retain(|id| self.wanted.ask(*id, peer, now));
        if chosen.is_empty() {
            return;
        }
        if let Some(state) = self.peers.get_mut(&peer) {
            state.beat.asked += chosen.len();
        }
        self.counts.asked += chosen.len() as u64;
        out.push(Output::Send { peer, frame: frame::iwant(&chosen), class: Class::Gossip });
    }

    // What a peer tells of and we lack. Names that are no hash are those of another way to name messages: merely
    // unknown (section 3.3).
    fn unknown(&self, now: Time, rpc: Rpc<'_>) -> Vec<MessageId> {
        let is_followed = |name: &[u8]| self.topic(name).is_some_and(|topic| self.follows(topic));
        let ids = rpc.ihaves().filter(|ihave| is_followed(ihave.topic())).flat_map(super::frame::IHave::ids);
        let names = ids.filter_map(|id| id.try_into().ok().map(MessageId));
        let is_unknown = |id: &MessageId| !self.pending.contains(id) && !self.judged.contains(id, now);
        names.take(IDS_ASKED_MAX).filter(is_unknown).collect()
    }

    pub(super) fn on_iwants(&mut self, peer: ConnectionId, rpc: Rpc<'_>, out: &mut Vec<Output>) {
        let threshold = self.thresholds().gossip;
        if rpc.iwants().next().is_none() || self.score(peer) < threshold {
            return;
        }
        let Some(state) = self.peers.get_mut(&peer).filter(|state| state.stream.is_some()) else { return };
        for id in rpc.iwants() {
            state.beat.wanted += 1;
            if state.beat.wanted > IDS_ASKED_MAX || state.beat.answered_bytes >= ANSWER_BYTES_MAX {
                self.counts.passed_over += 1;
                break;
            }
            let message = id.try_into().ok().and_then(|id| self.cache.take(&MessageId(id), peer));
            if let Some(frame) = message {
                state.beat.answered_bytes += frame.len();
                self.counts.answered += 1;
                out.push(Output::Send { peer, frame, class: Class::Message });
            }
        }
    }

    /// Tells some peers outside of a topic's mesh what there is.
    pub(super) fn gossip(&mut self, topic: TopicId, out: &mut Vec<Output>) {
        let since = self.beats.saturating_sub(self.settings.gossip_history);
        let mut ids = self.cache.since(topic, since);
        if ids.is_empty() {
            return;
        }
        let to = self.listeners(topic);
        // Different ones to each when there are too many for one frame.
        if ids.len() > self.settings.ihave_ids {
            for peer in to {
                let some = self.random.sample(ids.clone(), self.settings.ihave_ids);
                let frame = frame::ihave(self.name(topic), &some);
                out.push(Output::Send { peer, frame, class: Class::Gossip });
            }
            return;
        }
        // The order in which messages came says where from.
        ids.sort_unstable();
        let frame = frame::ihave(self.name(topic), &ids);
        out.extend(to.into_iter().map(|peer| Output::Send { peer, frame: frame.clone(), class: Class::Gossip }));
    }

    fn listeners(&mut self, topic: TopicId) -> Vec<ConnectionId> {
        let Some(place) = self.at(topic) else { return Vec::new() };
        let threshold = self.thresholds().gossip;
        let others = self.peers.iter().filter(|(peer, state)| {
            state.stream.is_some()
                && !state.is_direct
                && state.follows.has(topic)
                && !place.has_in_mesh(**peer)
                && place.fanout.binary_search(peer).is_err()
                && self.score_of(&state.id) >= threshold
        });
        let others: Vec<ConnectionId> = others.map(|(peer, _)| *peer).collect();
        let share = others.len() * self.settings.gossip_percent / 100;
        self.random.sample(others, share.max(self.settings.degree.lazy))
    }
}
