//! Says who is in a mesh: joins and leaves topics, grafts and prunes.

use super::border::{Class, Output, TopicId, Version};
use super::limits::PRUNED_PEERS_MAX;
use super::{Mesh, frame, topic};
use crate::keys::PeerId;
use alloc::vec::Vec;
use core::time::Duration;
use polypeer_engine::{ConnectionId, Time};

/// Who is looked for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Wish {
    /// Anyone who may be grafted.
    Any,
    /// Only peers that we dialled.
    Dialled,
    /// Only peers with a better score.
    Above(f64),
}

impl Mesh {
    /// Follows a topic: tells everyone, and grafts.
    pub fn subscribe(&mut self, now: Time, topic: TopicId, out: &mut Vec<Output>) {
        let Some(state) = self.at_mut(topic).filter(|state| !state.is_joined) else { return };
        state.is_joined = true;
        let kept = core::mem::take(&mut state.fanout);
        self.stay_awake(now);
        self.tell(topic, true, out);
        for peer in kept.into_iter().filter(|peer| self.may_graft(now, *peer, topic)).collect::<Vec<_>>() {
            self.graft(now, peer, topic, out);
        }
        self.fill(now, topic, out);
    }

    /// Follows it no more: prunes the mesh, and tells everyone.
    pub fn unsubscribe(&mut self, now: Time, topic: TopicId, out: &mut Vec<Output>) {
        let Some(state) = self.at_mut(topic).filter(|state| state.is_joined) else { return };
        state.is_joined = false;
        let members = core::mem::take(&mut state.mesh);
        for peer in members {
            self.score_prune(now, peer, topic);
            self.back_off(now, peer, topic, self.settings.unsubscribe_back_off);
            self.send_prune(peer, topic, self.settings.unsubscribe_back_off, self.settings.peer_exchange, out);
        }
        self.tell(topic, false, out);
    }

    // One frame for all.
    fn tell(&self, topic: TopicId, begins: bool, out: &mut Vec<Output>) {
        let frame = frame::subscriptions(core::iter::once((self.name(topic), begins)));
        let open = self.peers.iter().filter(|(_, peer)| peer.stream.is_some());
        out.extend(open.map(|(peer, _)| Output::Send { peer: *peer, frame: frame.clone(), class: Class::Control }));
    }

    /// Brings a mesh to the wanted number.
    pub(super) fn fill(&mut self, now: Time, topic: TopicId, out: &mut Vec<Output>) {
        let wanted = self.settings.degree.wanted.saturating_sub(self.members(topic).len());
        for peer in self.candidates(now, topic, Wish::Any, wanted) {
            self.graft(now, peer, topic, out);
        }
    }

    /// Some peers, by chance, that may come into a mesh.
    pub(super) fn candidates(&mut self, now: Time, topic: TopicId, wish: Wish, count: usize) -> Vec<ConnectionId> {
        if count == 0 {
            return Vec::new();
        }
        let fits = |peer: ConnectionId| {
            let is_wished = match wish {
                Wish::Any => true,
                Wish::Dialled => self.peers.get(&peer).is_some_and(super::peer::Peer::is_dialled),
                Wish::Above(score) => self.score(peer) > score,
            };
            is_wished && self.may_graft(now, peer, topic)
        };
        let fitting = self.peers.keys().copied().filter(|peer| fits(*peer)).collect();
        self.random.sample(fitting, count)
    }

    fn may_graft(&self, now: Time, peer: ConnectionId, topic: TopicId) -> bool {
        let (Some(state), Some(place)) = (self.peers.get(&peer), self.at(topic)) else { return false };
        state.stream.is_some()
            && !state.is_direct
            && state.follows.has(topic)
            && !place.has_in_mesh(peer)
            && !place.back_offs.holds(&state.id, now)
            && self.score_of(&state.id) >= 0.0
    }

    /// Takes a peer into a mesh, and tells it.
    pub(super) fn graft(&mut self, now: Time, peer: ConnectionId, topic: TopicId, out: &mut Vec<Output>) {
        self.take_in(now, peer, topic);
        if let Some(topic) = self.at(topic) {
            out.push(Output::Send { peer, frame: topic.graft.clone(), class: Class::Control });
        }
    }

    /// Takes a peer into a mesh.
    pub(super) fn take_in(&mut self, now: Time, peer: ConnectionId, topic: TopicId) {
        let is_new = self.at_mut(topic).is_some_and(|topic| topic::insert(&mut topic.mesh, peer));
        if let (true, Some(scores), Some(peer)) = (is_new, &mut self.scores, self.peers.get(&peer)) {
            scores.grafted(now, &peer.id, topic);
        }
    }

    /// Takes a peer out of a mesh, and tells it to keep away for a while.
    pub(super) fn prune(&mut self, now: Time, peer: ConnectionId, topic: TopicId, offers: bool, out: &mut Vec<Output>) {
        if self.at_mut(topic).is_some_and(|topic| topic::remove(&mut topic.mesh, peer)) {
            self.score_prune(now, peer, topic);
        }
        self.back_off(now, peer, topic, self.settings.prune_back_off);
        self.send_prune(peer, topic, self.settings.prune_back_off, offers, out);
    }

    pub(super) fn score_prune(&mut self, now: Time, peer: ConnectionId, topic: TopicId) {
        if let (Some(scores), Some(peer)) = (&mut self.scores, self.peers.get(&peer)) {
            scores.pruned(now, &peer.id, topic);
        }
    }

    pub(super) fn back_off(&mut self, now: Time, peer: ConnectionId, topic: TopicId, wait: Duration) {
        let Some(name) = self.peers.get(&peer).map(|peer| peer.id) else { return };
        if let Some(topic) = self.at_mut(topic) {
            topic.back_offs.add(name, now, wait);
        }
    }

    /// Tells a peer that it is not in the mesh, in the form of its version.
    pub(super) fn send_prune(
        &mut self,
        peer: ConnectionId,
        topic: TopicId,
        wait: Duration,
        offers: bool,
        out: &mut Vec<Output>,
    ) {
        let Some(version) = self.peers.get(&peer).and_then(|peer| peer.stream) else { return };
        let is_new = version >= Version::V1_1;
        let offers = if offers && is_new { self.offers(peer, topic) } else { Vec::new() };
        let frame = frame::prune(self.name(topic), is_new.then_some(wait.as_secs()), &offers);
        out.push(Output::Send { peer, frame, class: Class::Control });
    }

    // Others that follow the topic, none of whom did anything wrong.
    fn offers(&mut self, peer: ConnectionId, topic: TopicId) -> Vec<PeerId> {
        let good = |other: &ConnectionId| *other != peer && self.score(*other) >= 0.0;
        let others: Vec<ConnectionId> = self.followers(topic).filter(good).collect();
        let chosen = self.random.sample(others, PRUNED_PEERS_MAX);
        chosen.iter().filter_map(|other| Some(self.peers.get(other)?.id)).collect()
    }
}
