//! Keeps meshes in shape, once a second.

use super::border::{Candidate, Output, TopicId};
use super::members::Wish;
use super::peer::Beat;
use super::{Mesh, topic};
use alloc::vec::Vec;
use polypeer_engine::{ConnectionId, Time};

/// Every so many heartbeats back-offs that ended are forgotten.
const BACK_OFF_BEATS: u64 = 15;

impl Mesh {
    pub(super) fn heartbeat(&mut self, now: Time, out: &mut Vec<Output>) {
        self.beats += 1;
        for peer in self.peers.values_mut() {
            peer.beat = Beat::default();
        }
        self.expire(now, out);
        self.judged.drop_old(now);
        self.blame_broken(now);
        if self.beats.is_multiple_of(BACK_OFF_BEATS) {
            self.topics.iter_mut().for_each(|topic| topic.back_offs.drop_ended(now));
        }
        if self.beats % self.settings.direct_beats.max(1) == 1 {
            self.connect_direct(out);
        }
        for topic in self.topic_ids() {
            if self.follows(topic) {
                self.keep_mesh(now, topic, out);
            } else {
                self.keep_fanout(now, topic);
            }
            self.gossip(topic, out);
        }
        self.cache.drop_before((self.beats + 1).saturating_sub(self.settings.history));
    }

    // Who told of messages and did not bring them when asked. Without scores it costs nothing: the names may be of
    // another kind.
    fn blame_broken(&mut self, now: Time) {
        let broken = self.wanted.overdue(now);
        if let Some(scores) = &mut self.scores {
            scores.refresh(now);
            for peer in broken.iter().filter_map(|peer| self.peers.get(peer)) {
                scores.misbehaved(&peer.id, 1.0);
            }
        }
    }

    fn connect_direct(&self, out: &mut Vec<Output>) {
        let missing = self.settings.direct.iter().filter(|id| !self.names.contains_key(id) && **id != self.own);
        let peers: Vec<Candidate> = missing.map(|id| Candidate { id: *id, record: None }).collect();
        if !peers.is_empty() {
            out.push(Output::Connect { peers });
        }
    }

    fn keep_mesh(&mut self, now: Time, topic: TopicId, out: &mut Vec<Output>) {
        let degree = self.settings.degree;
        let bad = |peer: &&ConnectionId| self.score(**peer) < 0.0;
        let bad: Vec<ConnectionId> = self.members(topic).iter().filter(bad).copied().collect();
        for peer in bad {
            self.prune(now, peer, topic, false, out);
        }
        let members = self.members(topic).len();
        if members < degree.low {
            self.fill(now, topic, out);
        } else if members > degree.high {
            self.cut(now, topic, out);
        }
        if self.members(topic).len() >= degree.low {
            let missing = degree.dialled.saturating_sub(self.dialled(self.members(topic)));
            for peer in self.candidates(now, topic, Wish::Dialled, missing) {
                self.graft(now, peer, topic, out);
            }
        }
        if self.scores.is_some() && self.beats.is_multiple_of(self.settings.opportunistic_beats.max(1)) {
            self.graft_better(now, topic, out);
        }
    }

    fn dialled(&self, peers: &[ConnectionId]) -> usize {
        peers.iter().filter(|peer| self.peers.get(peer).is_some_and(super::peer::Peer::is_dialled)).count()
    }

    // The best few stay, the others by chance, and enough of those that we dialled.
    fn cut(&mut self, now: Time, topic: TopicId, out: &mut Vec<Output>) {
        let degree = self.settings.degree;
        let members = self.members(topic).to_vec();
        let count = members.len();
        let mut order = self.random.sample(members, count);
        let by_score = degree.by_score.min(order.len());
        order.sort_by(|one, other| self.score(*other).total_cmp(&self.score(*one)));
        let rest = self.random.sample(order.split_off(by_score), count);
        order.extend(rest);
        let kept = degree.wanted.min(order.len());
        let missing = degree.dialled.min(kept).saturating_sub(self.dialled(&order[..kept]));
        let is_dialled = |peer: &ConnectionId| self.peers.get(peer).is_some_and(super::peer::Peer::is_dialled);
        let spare: Vec<ConnectionId> = order[kept..].iter().copied().filter(is_dialled).take(missing).collect();
        // They take the places of the last ones that we did not dial.
        for peer in spare {
            let place = order[..kept].iter().rposition(|peer| !is_dialled(peer));
            let from = order.iter().position(|other| *other == peer);
            if let (Some(place), Some(from)) = (place, from) {
                order.swap(place, from);
            }
        }
        for peer in order.split_off(kept) {
            self.prune(now, peer, topic, self.settings.peer_exchange, out);
        }
    }

    // A mesh whose median is poor gets a few that are better, so that one that was captured is left.
    fn graft_better(&mut self, now: Time, topic: TopicId, out: &mut Vec<Output>) {
        let mut scores: Vec<f64> = self.members(topic).iter().map(|peer| self.score(*peer)).collect();
        if scores.len() < 2 {
            return;
        }
        scores.sort_by(f64::total_cmp);
        let median = scores[scores.len() / 2];
        if median < self.thresholds().opportunistic_graft {
            for peer in self.candidates(now, topic, Wish::Above(median), self.settings.opportunistic_peers) {
                self.graft(now, peer, topic, out);
            }
        }
    }

    fn keep_fanout(&mut self, now: Time, topic: TopicId) {
        let threshold = self.thresholds().publish;
        let Some(place) = self.topics.get_mut(usize::from(topic.0)).filter(|place| !place.fanout.is_empty()) else {
            return;
        };
        if now >= place.fanout_ends {
            place.fanout.clear();
            return;
        }
        let kept = core::mem::take(&mut place.fanout);
        let is_good = |peer: &ConnectionId| {
            self.peers.get(peer).is_some_and(|peer| peer.follows.has(topic)) && self.score(*peer) >= threshold
        };
        let kept = kept.into_iter().filter(is_good).collect();
        if let Some(place) = self.at_mut(topic) {
            place.fanout = kept;
        }
        self.fill_fanout(topic);
    }

    /// Brings the peers that are published to without a mesh to the wanted number.
    pub(super) fn fill_fanout(&mut self, topic: TopicId) {
        let threshold = self.thresholds().publish;
        let Some(place) = self.at(topic) else { return };
        let missing = self.settings.degree.wanted.saturating_sub(place.fanout.len());
        let fits = |(peer, state): &(&ConnectionId, &super::peer::Peer)| {
            state.stream.is_some()
                && !state.is_direct
                && state.follows.has(topic)
                && place.fanout.binary_search(peer).is_err()
                && self.score_of(&state.id) >= threshold
        };
        let fitting = self.peers.iter().filter(fits).map(|(peer, _)| *peer).collect();
        let chosen = self.random.sample(fitting, missing);
        if let Some(place) = self.at_mut(topic) {
            for peer in chosen {
                topic::insert(&mut place.fanout, peer);
            }
        }
    }
}
