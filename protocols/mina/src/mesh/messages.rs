//! Takes messages, has them judged, and sends them on.

use super::Mesh;
use super::border::{Class, Fault, MessageId, Output, TopicId, Verdict};
use super::frame::{self, Message, Rpc};
use super::limits::{JUDGED_WITHIN, MESSAGE_BYTES_MAX};
use super::memory::Waiting;
use crate::keys::PeerId;
use alloc::vec::Vec;
use bytes::Bytes;
use polypeer_engine::{ConnectionId, Frame, Time};

/// One peer may have this part of what is judged at once: whoever is nearest to the source of a burst is not held up,
/// and nobody fills it alone.
const SHARE: usize = 2;

impl Mesh {
    pub(super) fn on_message(
        &mut self,
        now: Time,
        peer: ConnectionId,
        frame: Frame<'_>,
        rpc: Rpc<'_>,
        message: &Message<'_>,
        out: &mut Vec<Output>,
    ) {
        let topic = message.topic.and_then(|name| self.topic(name));
        let Some((id, state)) = topic.and_then(|id| Some((id, self.at(id)?))).filter(|(_, state)| state.is_joined)
        else {
            self.counts.unfollowed += 1;
            return;
        };
        let data = message.data.unwrap_or_default();
        if data.len() > MESSAGE_BYTES_MAX {
            out.push(Output::Penalty { peer, fault: Fault::TooLong });
            return;
        }
        let name = state.name_of(data);
        if self.is_known(now, &name, peer, id, out) {
            self.counts.duplicates += 1;
            return;
        }
        if self.room_for(peer) == 0 || !self.pending.has_room(data.len()) {
            // Whoever was asked for it did bring it. It may be asked for again.
            self.wanted.came(&name);
            self.counts.throttled += 1;
            return;
        }
        match self.authors.verify(message) {
            // We would know what we published ourselves, unless it is old.
            Ok(author) if author == self.own => {
                self.judged.insert(name, now, false);
                self.counts.duplicates += 1;
            }
            Ok(author) => self.deliver(now, peer, name, id, author, kept(frame, rpc, message), out),
            Err(fault) => {
                self.counts.unsigned += 1;
                self.invalid(peer, id, fault, out);
            }
        }
    }

    // Whether a message came before; whoever brings it again is noted where that matters.
    fn is_known(
        &mut self,
        now: Time,
        name: &MessageId,
        peer: ConnectionId,
        topic: TopicId,
        out: &mut Vec<Output>,
    ) -> bool {
        if let Some(waiting) = self.pending.get_mut(name) {
            if waiting.bring(peer) {
                out.push(Output::Again { id: *name, peer });
            }
            return true;
        }
        let is_known = self.judged.contains(name, now);
        if let (true, Some(scores), Some(peer)) = (is_known, &mut self.scores, self.peers.get(&peer)) {
            scores.again(now, name, &peer.id, topic);
        }
        is_known
    }

    /// How many more messages of a peer may be judged.
    pub(super) fn room_for(&self, peer: ConnectionId) -> usize {
        let share = self.settings.pending_max.div_ceil(SHARE);
        let left = self.peers.get(&peer).map_or(0, |peer| share.saturating_sub(peer.judging));
        left.min(self.pending.room())
    }

    #[expect(clippy::too_many_arguments, reason = "all that is known of a message by now")]
    fn deliver(
        &mut self,
        now: Time,
        peer: ConnectionId,
        id: MessageId,
        topic: TopicId,
        author: PeerId,
        (frame, data): (Bytes, Bytes),
        out: &mut Vec<Output>,
    ) {
        self.wanted.came(&id);
        self.pending.insert(id, Waiting { since: now, topic, author, frame, bringers: [peer].into() });
        if let Some(state) = self.peers.get_mut(&peer) {
            state.judging += 1;
        }
        self.counts.delivered += 1;
        out.push(Output::Deliver { id, topic, data, author, peer });
    }

    /// What became of a message that was delivered. Of one that is not being judged nothing comes.
    pub fn judged(&mut self, now: Time, id: MessageId, verdict: Verdict, out: &mut Vec<Output>) {
        let Some(waiting) = self.settle(now, &id, verdict == Verdict::Accept) else { return };
        match verdict {
            Verdict::Accept => {
                self.counts.accepted += 1;
                if self.scores.is_some() {
                    self.reward(now, id, &waiting);
                }
                self.cache.insert(id, waiting.topic, waiting.frame.clone(), self.beats);
                self.send_on(&waiting, out);
            }
            Verdict::Ignore => {}
            Verdict::Reject => {
                self.counts.rejected += 1;
                for peer in waiting.bringers {
                    self.invalid(peer, waiting.topic, Fault::Rejected, out);
                }
            }
        }
    }

    // It is not judged any more.
    fn settle(&mut self, now: Time, id: &MessageId, is_accepted: bool) -> Option<Waiting> {
        let waiting = self.pending.remove(id)?;
        self.no_longer_judging(&waiting);
        self.judged.insert(*id, now, is_accepted);
        Some(waiting)
    }

    pub(super) fn no_longer_judging(&mut self, waiting: &Waiting) {
        let first = waiting.bringers.first().and_then(|first| self.peers.get_mut(first));
        if let Some(first) = first {
            first.judging = first.judging.saturating_sub(1);
        }
    }

    /// Gives up what was not judged in time.
    pub(super) fn expire(&mut self, now: Time, out: &mut Vec<Output>) {
        if now.as_micros() < JUDGED_WITHIN.as_micros() as u64 {
            return;
        }
        while let Some(id) = self.pending.overdue(now - JUDGED_WITHIN) {
            self.settle(now, &id, false);
            out.push(Output::Expired { id });
        }
    }

    fn reward(&mut self, now: Time, id: MessageId, waiting: &Waiting) {
        let names = waiting.bringers.iter().filter_map(|peer| Some(self.peers.get(peer)?.id)).collect();
        if let Some(scores) = &mut self.scores {
            scores.accepted(now, id, names, waiting.topic);
        }
    }

    /// A message that no honest peer sends.
    fn invalid(&mut self, peer: ConnectionId, topic: TopicId, fault: Fault, out: &mut Vec<Output>) {
        if let (Some(scores), Some(peer)) = (&mut self.scores, self.peers.get(&peer)) {
            scores.invalid(&peer.id, topic);
        }
        out.push(Output::Penalty { peer, fault });
    }

    // To the mesh and to direct peers, but for its author and those who brought it.
    fn send_on(&mut self, waiting: &Waiting, out: &mut Vec<Output>) {
        let Some(topic) = self.topics.get(usize::from(waiting.topic.0)) else { return };
        let author = self.names.get(&waiting.author).copied();
        let lacks = |peer: &&ConnectionId| author != Some(**peer) && !waiting.bringers.contains(peer);
        let before = out.len();
        let send =
            |peer: &ConnectionId| Output::Send { peer: *peer, frame: waiting.frame.clone(), class: Class::Message };
        out.extend(topic.mesh.iter().filter(lacks).map(send));
        if !self.direct.is_empty() && topic.is_joined {
            let follows =
                |peer: &&ConnectionId| self.peers.get(*peer).is_some_and(|peer| peer.follows.has(waiting.topic));
            out.extend(self.direct.iter().filter(follows).filter(lacks).map(send));
        }
        self.counts.forwarded += (out.len() - before) as u64;
    }

    pub(super) fn leave_lists(&mut self, now: Time, peer: ConnectionId, topic: TopicId) {
        if self.at_mut(topic).is_some_and(|topic| topic.forget(peer)) {
            self.score_prune(now, peer, topic);
        }
    }
}

// The frame that is sent on, and the data in it. A message that came alone and as we would write it goes on as it came.
fn kept(frame: Frame<'_>, rpc: Rpc<'_>, message: &Message<'_>) -> (Bytes, Bytes) {
    if !(rpc.is_one_message() && message.is_canonical) {
        let (frame, data) = frame::message(message);
        let data = frame.slice(data);
        return (frame, data);
    }
    let frame = frame.keep();
    let data = frame.slice(frame::data_in(frame.len(), message));
    (frame, data)
}
