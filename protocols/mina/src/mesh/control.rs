//! Handles what peers say of topics and meshes: subscriptions, GRAFT, PRUNE.

use super::Mesh;
use super::border::{Candidate, Fault, Output, TopicId};
use super::frame::{Counted, Offer, Prune, Rpc};
use super::limits::{RECORD_BYTES_MAX, STORM};
use super::topic::TopicSet;
use crate::keys::PeerId;
use alloc::vec::Vec;
use bytes::Bytes;
use core::time::Duration;
use polypeer_engine::{ConnectionId, Time};

/// What becomes of a graft.
enum Graft {
    Taken,
    Refused { offers: bool },
}

impl Mesh {
    /// Whether a frame's subscriptions and controls are looked at. A peer that brings more of them than heartbeats
    /// explain slips for each further [`STORM`].
    pub(super) fn count_controls(&mut self, peer: ConnectionId, counted: Counted, out: &mut Vec<Output>) -> bool {
        let Some(state) = self.peers.get_mut(&peer) else { return false };
        let before = state.beat.controls;
        state.beat.controls = before.saturating_add((counted.subscriptions + counted.controls) as u32);
        if state.beat.controls <= STORM {
            return true;
        }
        self.counts.passed_over += 1;
        for _ in before.max(STORM) / STORM..state.beat.controls / STORM {
            out.push(Output::Penalty { peer, fault: Fault::ControlStorm });
        }
        false
    }

    pub(super) fn on_subscriptions(&mut self, now: Time, peer: ConnectionId, rpc: Rpc<'_>) {
        let Some(mut said) = self.peers.get(&peer).map(|state| state.said) else { return };
        // Topics outside the closed set are not even remembered.
        for subscription in rpc.subscriptions() {
            if let Some(topic) = self.topic(subscription.topic) {
                said.set(topic, subscription.begins);
            }
        }
        self.set_said(now, peer, said);
    }

    fn set_said(&mut self, now: Time, peer: ConnectionId, said: TopicSet) {
        let follows = self.highest(said);
        let Some(state) = self.peers.get_mut(&peer).filter(|state| state.said != said) else { return };
        state.said = said;
        let before = core::mem::replace(&mut state.follows, follows);
        for topic in self.topic_ids().filter(|topic| before.has(*topic) && !follows.has(*topic)) {
            self.leave_lists(now, peer, topic);
        }
    }

    pub(super) fn on_grafts(&mut self, now: Time, peer: ConnectionId, rpc: Rpc<'_>, out: &mut Vec<Output>) {
        // Who grafts what we do not follow learns nothing of our peers.
        let mut may_offer = self.settings.peer_exchange;
        for name in rpc.grafts() {
            let Some(topic) = self.topic(name).filter(|topic| self.follows(*topic)) else {
                may_offer = false;
                continue;
            };
            match self.on_graft(now, peer, topic, out) {
                Graft::Taken => {}
                Graft::Refused { offers } => {
                    may_offer &= offers;
                    self.prune(now, peer, topic, may_offer, out);
                }
            }
        }
    }

    fn on_graft(&mut self, now: Time, peer: ConnectionId, topic: TopicId, out: &mut Vec<Output>) -> Graft {
        // Whoever has us in its mesh follows the topic, whatever else it said.
        if let Some(mut said) = self.peers.get(&peer).map(|state| state.said) {
            said.set(topic, true);
            self.set_said(now, peer, said);
        }
        let (Some(state), Some(place)) = (self.peers.get_mut(&peer), self.topics.get(usize::from(topic.0))) else {
            return Graft::Taken;
        };
        if place.has_in_mesh(peer) {
            return Graft::Taken;
        }
        if state.stream.is_none() {
            // It hears of it when it can.
            state.grafted_early.set(topic, true);
            return Graft::Taken;
        }
        if state.is_direct || !state.follows.has(topic) {
            return Graft::Refused { offers: false };
        }
        let (name, is_dialled) = (state.id, state.is_dialled());
        if let Some(end) = place.back_offs.end(&name).filter(|end| now < *end) {
            self.on_graft_in_back_off(now, end, peer, name, out);
            return Graft::Refused { offers: false };
        }
        if self.score_of(&name) < 0.0 {
            return Graft::Refused { offers: false };
        }
        // Otherwise whoever dials us often enough has our whole mesh.
        if place.mesh.len() >= self.settings.degree.high && !is_dialled {
            return Graft::Refused { offers: true };
        }
        self.take_in(now, peer, topic);
        Graft::Taken
    }

    fn on_graft_in_back_off(&mut self, now: Time, end: Time, peer: ConnectionId, name: PeerId, out: &mut Vec<Output>) {
        let begun = end - self.settings.prune_back_off;
        let is_flood = now < begun + self.settings.graft_flood;
        if let Some(scores) = &mut self.scores {
            scores.misbehaved(&name, if is_flood { 2.0 } else { 1.0 });
        }
        let fault = if is_flood { Fault::GraftFlood } else { Fault::GraftInBackOff };
        out.push(Output::Penalty { peer, fault });
    }

    pub(super) fn on_prunes(&mut self, now: Time, peer: ConnectionId, rpc: Rpc<'_>, out: &mut Vec<Output>) {
        for prune in rpc.prunes() {
            let Some(topic) = self.topic(prune.topic()).filter(|topic| self.follows(*topic)) else { continue };
            if let Some(state) = self.peers.get_mut(&peer) {
                state.grafted_early.set(topic, false);
            }
            self.leave_mesh(now, peer, topic);
            // However long it says: times add up without overflow, and the back-offs bound it.
            let wait = prune.back_off().filter(|seconds| *seconds > 0).map(Duration::from_secs);
            self.back_off(now, peer, topic, wait.unwrap_or(self.settings.prune_back_off));
            self.on_offers(peer, prune, out);
        }
    }

    fn leave_mesh(&mut self, now: Time, peer: ConnectionId, topic: TopicId) {
        if self.at_mut(topic).is_some_and(|topic| super::topic::remove(&mut topic.mesh, peer)) {
            self.score_prune(now, peer, topic);
        }
    }

    fn on_offers(&mut self, peer: ConnectionId, prune: Prune<'_>, out: &mut Vec<Output>) {
        if !self.settings.peer_exchange || self.score(peer) < self.thresholds().accept_offers {
            return;
        }
        let candidate = |offer: Offer<'_>| {
            let id = PeerId::from_bytes(offer.id).filter(|id| *id != self.own && !self.names.contains_key(id))?;
            let has_record = !offer.record.is_empty() && offer.record.len() <= RECORD_BYTES_MAX;
            Some(Candidate { id, record: has_record.then(|| Bytes::copy_from_slice(offer.record)) })
        };
        let peers: Vec<Candidate> = prune.offers().filter_map(candidate).collect();
        if !peers.is_empty() {
            out.push(Output::Connect { peers });
        }
    }
}
