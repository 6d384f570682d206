//! Scores peers by what they do: gossipsub 1.1. Off unless [`super::Settings::scoring`] says how, as in the reference
//! node.
//!
//! A score is a sum: for each topic, capped, what a peer brought first and how long it was in the mesh, less what it
//! failed to bring and what was invalid; and over all topics what the application thinks of it, less what it shares an
//! address with others for and what it did against the rules. Below zero nobody is in a mesh; the thresholds say more.

mod parameters;

pub use parameters::{Scoring, Thresholds, TopicScoring};

use super::border::{MessageId, TopicId};
use super::limits::{BRINGERS_MAX, DELIVERIES_MAX, RETAINED_MAX};
use crate::keys::PeerId;
use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::net::IpAddr;
use core::time::Duration;
use polypeer_engine::Time;
use polypeer_engine::kit::seen::Seen;

/// Decays that are made up for after a sleep; beyond that next to nothing would be left.
const CATCH_UP_MAX: u32 = 100;

/// What a peer did in one topic.
#[derive(Clone, Copy, Debug, Default)]
struct Deeds {
    grafted: Option<Time>,
    in_mesh: Duration,
    is_active: bool,
    firsts: f64,
    in_time: f64,
    failures: f64,
    invalid: f64,
}

#[derive(Debug)]
struct Stats {
    ip: Option<IpAddr>,
    topics: Vec<Deeds>,
    rating: f64,
    misdeeds: f64,
    // When a peer that is gone is forgotten.
    forgotten: Option<Time>,
}

#[derive(Debug)]
struct Delivery {
    at: Time,
    by: Vec<PeerId>,
}

/// The scores of all peers, and of some that are gone.
#[derive(Debug)]
pub(super) struct Scores {
    rules: Scoring,
    peers: BTreeMap<PeerId, Stats>,
    gone: usize,
    at_address: BTreeMap<IpAddr, usize>,
    deliveries: Seen<MessageId, Delivery>,
    decayed: Time,
}

impl Scores {
    pub(super) fn new(rules: Scoring, secret: u64) -> Self {
        Self {
            rules,
            peers: BTreeMap::new(),
            gone: 0,
            at_address: BTreeMap::new(),
            deliveries: Seen::new(DELIVERIES_MAX, secret),
            decayed: Time::ZERO,
        }
    }

    pub(super) fn connected(&mut self, now: Time, peer: PeerId, ip: Option<IpAddr>) {
        if self.peers.is_empty() {
            self.decayed = now;
        }
        let topics = self.rules.topics.len();
        let new = || Stats {
            ip: None,
            topics: alloc::vec![Deeds::default(); topics],
            rating: 0.0,
            misdeeds: 0.0,
            forgotten: None,
        };
        let stats = self.peers.entry(peer).or_insert_with(new);
        if stats.forgotten.take().is_some() {
            self.gone -= 1;
        }
        let before = core::mem::replace(&mut stats.ip, ip);
        self.count_address(before, false);
        self.count_address(ip, true);
    }

    /// A good score goes with the peer; a bad one stays, so that coming back is no way out.
    pub(super) fn gone(&mut self, now: Time, peer: &PeerId) {
        let is_good = self.of(peer) > 0.0;
        let Some(stats) = self.peers.get_mut(peer) else { return };
        let ip = stats.ip.take();
        for deeds in &mut stats.topics {
            deeds.grafted = None;
            (deeds.is_active, deeds.in_mesh, deeds.firsts) = (false, Duration::ZERO, 0.0);
        }
        if is_good || self.gone >= RETAINED_MAX {
            self.peers.remove(peer);
        } else if stats.forgotten.replace(now + self.rules.retain).is_none() {
            self.gone += 1;
        }
        self.count_address(ip, false);
    }

    fn count_address(&mut self, ip: Option<IpAddr>, is_more: bool) {
        let Some(ip) = ip else { return };
        let count = self.at_address.entry(ip).or_default();
        *count = if is_more { *count + 1 } else { count.saturating_sub(1) };
        if *count == 0 {
            self.at_address.remove(&ip);
        }
    }

    pub(super) fn of(&self, peer: &PeerId) -> f64 {
        let Some(stats) = self.peers.get(peer) else { return 0.0 };
        let topics = self.rules.topics.iter().zip(&stats.topics);
        let sum: f64 = topics.map(|(rules, deeds)| rules.weight * in_topic(rules, deeds)).sum();
        let capped = if self.rules.topic_cap > 0.0 { sum.min(self.rules.topic_cap) } else { sum };
        let shared = stats.ip.and_then(|ip| self.at_address.get(&ip)).copied().unwrap_or(0);
        let crowd = shared.saturating_sub(self.rules.address_max) as f64;
        let misdeeds = (stats.misdeeds - self.rules.misdeeds_free).max(0.0);
        capped
            + self.rules.rating_weight * stats.rating
            + self.rules.address_weight * crowd * crowd
            + self.rules.misdeeds_weight * misdeeds * misdeeds
    }

    pub(super) fn rate(&mut self, peer: &PeerId, rating: f64) {
        if let Some(stats) = self.peers.get_mut(peer) {
            stats.rating = rating;
        }
    }

    pub(super) fn misbehaved(&mut self, peer: &PeerId, by: f64) {
        if let Some(stats) = self.peers.get_mut(peer) {
            stats.misdeeds += by;
        }
    }

    pub(super) fn grafted(&mut self, now: Time, peer: &PeerId, topic: TopicId) {
        self.change(peer, topic, |deeds, _| {
            deeds.grafted = Some(now);
            (deeds.in_mesh, deeds.is_active) = (Duration::ZERO, false);
        });
    }

    /// What it failed to bring until now stays with it.
    pub(super) fn pruned(&mut self, now: Time, peer: &PeerId, topic: TopicId) {
        self.change(peer, topic, |deeds, rules| {
            let missing = rules.in_time_wanted - deeds.in_time;
            let is_active = deeds.grafted.is_some_and(|at| now.since(at) > rules.in_time_after);
            if is_active && missing > 0.0 {
                deeds.failures += missing * missing;
            }
            deeds.grafted = None;
            deeds.is_active = false;
        });
    }

    pub(super) fn invalid(&mut self, peer: &PeerId, topic: TopicId) {
        self.change(peer, topic, |deeds, _| deeds.invalid += 1.0);
    }

    /// A message was accepted; the first of `by` brought it first, the others while it was judged.
    pub(super) fn accepted(&mut self, now: Time, id: MessageId, by: Vec<PeerId>, topic: TopicId) {
        for (at, peer) in by.iter().enumerate() {
            self.change(peer, topic, |deeds, rules| {
                if at == 0 {
                    deeds.firsts = (deeds.firsts + 1.0).min(rules.firsts_cap);
                }
                credit(deeds, rules);
            });
        }
        self.deliveries.insert(id, Delivery { at: now, by });
    }

    /// A peer brought a message that was judged already. Shortly after, that is as good as before.
    pub(super) fn again(&mut self, now: Time, id: &MessageId, peer: &PeerId, topic: TopicId) {
        let window = self.rules.topics.get(usize::from(topic.0)).map_or(Duration::ZERO, |rules| rules.in_time_window);
        let Some(delivery) = self.deliveries.get_mut(id) else { return };
        let is_first_time = !delivery.by.contains(peer) && delivery.by.len() < BRINGERS_MAX;
        if is_first_time && now.since(delivery.at) <= window {
            delivery.by.push(*peer);
            self.change(peer, topic, credit);
        }
    }

    fn change(&mut self, peer: &PeerId, topic: TopicId, change: impl FnOnce(&mut Deeds, &TopicScoring)) {
        let at = usize::from(topic.0);
        let deeds = self.peers.get_mut(peer).and_then(|stats| stats.topics.get_mut(at));
        if let (Some(deeds), Some(rules)) = (deeds, self.rules.topics.get(at)) {
            change(deeds, rules);
        }
    }

    /// Lets time pass: everything fades, what is over is forgotten.
    pub(super) fn refresh(&mut self, now: Time) {
        let interval = self.rules.decay_interval.max(Duration::from_millis(1));
        let mut rounds = 0;
        while now >= self.decayed + interval && rounds < CATCH_UP_MAX {
            self.decayed = self.decayed + interval;
            rounds += 1;
            self.decay();
        }
        if now >= self.decayed + interval {
            self.decayed = now;
        }
        for stats in self.peers.values_mut() {
            for (deeds, rules) in stats.topics.iter_mut().zip(&self.rules.topics) {
                if let Some(grafted) = deeds.grafted {
                    deeds.in_mesh = now.since(grafted);
                    deeds.is_active = deeds.in_mesh > rules.in_time_after;
                }
            }
        }
        let before = self.peers.len();
        self.peers.retain(|_, stats| stats.forgotten.is_none_or(|at| now < at));
        self.gone -= before - self.peers.len();
    }

    fn decay(&mut self) {
        let zero = self.rules.decay_to_zero;
        let fade = |value: &mut f64, by: f64| {
            *value *= by;
            if *value < zero {
                *value = 0.0;
            }
        };
        for stats in self.peers.values_mut() {
            // What a peer that is gone did stays as it was.
            if stats.forgotten.is_some() {
                continue;
            }
            fade(&mut stats.misdeeds, self.rules.misdeeds_decay);
            for (deeds, rules) in stats.topics.iter_mut().zip(&self.rules.topics) {
                fade(&mut deeds.firsts, rules.firsts_decay);
                fade(&mut deeds.in_time, rules.in_time_decay);
                fade(&mut deeds.failures, rules.failures_decay);
                fade(&mut deeds.invalid, rules.invalid_decay);
            }
        }
    }
}

fn credit(deeds: &mut Deeds, rules: &TopicScoring) {
    if deeds.grafted.is_some() {
        deeds.in_time = (deeds.in_time + 1.0).min(rules.in_time_cap);
    }
}

fn in_topic(rules: &TopicScoring, deeds: &Deeds) -> f64 {
    let quantum = rules.in_mesh_quantum.as_micros().max(1);
    let in_mesh = (deeds.in_mesh.as_micros() / quantum) as f64;
    let in_mesh = if deeds.grafted.is_some() { in_mesh.min(rules.in_mesh_cap) } else { 0.0 };
    let missing = if deeds.is_active { (rules.in_time_wanted - deeds.in_time).max(0.0) } else { 0.0 };
    rules.in_mesh_weight * in_mesh
        + rules.firsts_weight * deeds.firsts
        + rules.in_time_weight * missing * missing
        + rules.failures_weight * deeds.failures
        + rules.invalid_weight * deeds.invalid * deeds.invalid
}
