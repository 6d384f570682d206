//! Says how peers are scored. The defaults suit a network of few and irregular messages; no node of it uses any.

use alloc::vec::Vec;
use core::time::Duration;

/// How peers are scored. Weights of what is bad are negative.
#[derive(Clone, Debug)]
pub struct Scoring {
    /// One for each topic of the closed set, in its order. Topics without one do not count.
    pub topics: Vec<TopicScoring>,
    /// More than this all topics together do not bring; 0 is no cap.
    pub topic_cap: f64,
    /// What the application's rating counts.
    pub rating_weight: f64,
    /// So many peers at one address are nothing unusual.
    pub address_max: usize,
    /// What the square of the number beyond counts.
    pub address_weight: f64,
    /// So many broken rules are nothing unusual.
    pub misdeeds_free: f64,
    /// What the square of those beyond counts.
    pub misdeeds_weight: f64,
    /// What is left of them after each interval.
    pub misdeeds_decay: f64,
    /// How often everything fades.
    pub decay_interval: Duration,
    /// Below this it is nothing.
    pub decay_to_zero: f64,
    /// How long a bad score of a peer that is gone is remembered.
    pub retain: Duration,
    /// What scores decide.
    pub thresholds: Thresholds,
}

/// What scores decide, beside a mesh, which nobody below zero is in.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Thresholds {
    /// Below this nothing is told or asked.
    pub gossip: f64,
    /// Below this our own messages are not sent.
    pub publish: f64,
    /// Below this nothing is heard.
    pub graylist: f64,
    /// Below this the peers that it offers are passed over.
    pub accept_offers: f64,
    /// A mesh whose median is below this gets better peers.
    pub opportunistic_graft: f64,
}

impl Thresholds {
    /// Those of no scores.
    pub const NONE: Self =
        Self { gossip: 0.0, publish: 0.0, graylist: 0.0, accept_offers: 0.0, opportunistic_graft: 0.0 };
}

/// How peers are scored in one topic.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TopicScoring {
    /// What all of it counts.
    pub weight: f64,
    /// What each quantum in the mesh counts (P1).
    pub in_mesh_weight: f64,
    /// A quantum.
    pub in_mesh_quantum: Duration,
    /// How many count.
    pub in_mesh_cap: f64,
    /// What each message counts that a peer was the first to bring (P2).
    pub firsts_weight: f64,
    /// What is left of them after each interval.
    pub firsts_decay: f64,
    /// How many count.
    pub firsts_cap: f64,
    /// What the square of those counts that a peer in the mesh did not bring in time (P3).
    pub in_time_weight: f64,
    /// What is left of those it brought after each interval.
    pub in_time_decay: f64,
    /// How many count.
    pub in_time_cap: f64,
    /// How many it must bring.
    pub in_time_wanted: f64,
    /// How long after the first one it is in time.
    pub in_time_window: Duration,
    /// How long a peer is in the mesh before it must.
    pub in_time_after: Duration,
    /// What such a lack counts after the peer left the mesh (P3b).
    pub failures_weight: f64,
    /// What is left of it after each interval.
    pub failures_decay: f64,
    /// What the square of the invalid messages counts (P4).
    pub invalid_weight: f64,
    /// What is left of them after each interval.
    pub invalid_decay: f64,
}

impl Default for TopicScoring {
    /// Nothing is demanded of a mesh (P3): too few messages go round to tell a silent peer from a quiet network.
    fn default() -> Self {
        Self {
            weight: 1.0,
            in_mesh_weight: 0.01,
            in_mesh_quantum: Duration::from_secs(1),
            in_mesh_cap: 300.0,
            firsts_weight: 1.0,
            firsts_decay: 0.99,
            firsts_cap: 50.0,
            in_time_weight: 0.0,
            in_time_decay: 0.99,
            in_time_cap: 50.0,
            in_time_wanted: 1.0,
            in_time_window: Duration::from_millis(500),
            in_time_after: Duration::from_secs(30),
            failures_weight: 0.0,
            failures_decay: 0.99,
            // Three within a minute outweigh everything good.
            invalid_weight: -20.0,
            invalid_decay: 0.995,
        }
    }
}

impl Default for Scoring {
    fn default() -> Self {
        Self {
            topics: alloc::vec![TopicScoring::default(); 4],
            topic_cap: 50.0,
            rating_weight: 1.0,
            address_max: 3,
            address_weight: -10.0,
            misdeeds_free: 2.0,
            misdeeds_weight: -5.0,
            misdeeds_decay: 0.99,
            decay_interval: Duration::from_secs(1),
            decay_to_zero: 0.01,
            retain: Duration::from_secs(60 * 60),
            thresholds: Thresholds {
                gossip: -50.0,
                publish: -100.0,
                graylist: -200.0,
                accept_offers: 10.0,
                opportunistic_graft: 2.0,
            },
        }
    }
}
