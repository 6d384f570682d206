//! Says how a mesh is kept: the reference node's parameters (Mina spec, section 3.2).

use super::limits::{IDS_ASKED_MAX, PENDING_MAX};
use super::score::Scoring;
use crate::keys::PeerId;
use alloc::string::String;
use alloc::vec::Vec;
use core::time::Duration;

/// The topic of all consensus traffic today.
pub const CONSENSUS: &str = "coda/consensus-messages/0.0.1";
/// Block headers, of the generation that is off by default.
pub const BLOCK: &str = "mina/block/1.0.0";
/// Transaction diffs, of that generation.
pub const TRANSACTION: &str = "mina/tx/1.0.0";
/// Snark work, of that generation.
pub const SNARK_WORK: &str = "mina/snark-work/1.0.0";

/// A topic of the closed set: of others nothing is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Topic {
    /// Its name.
    pub name: String,
    /// Its generation. What a peer says of a lower one than its highest counts as unsaid (section 3.1).
    pub level: u8,
}

/// How many peers a mesh has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Degree {
    /// Where it is brought to: D.
    pub wanted: usize,
    /// Below this it is filled: Dlo.
    pub low: usize,
    /// Above this it is cut: Dhi.
    pub high: usize,
    /// Of those that stay when it is cut, how many are chosen by score: Dscore.
    pub by_score: usize,
    /// How many are peers that we dialled: Dout. Below `low`, and at most half of `wanted`.
    pub dialled: usize,
    /// To how many others gossip goes at least: Dlazy.
    pub lazy: usize,
}

/// Everything that is decided about a mesh. What bounds it against peers is in [`super::limits`].
#[derive(Clone, Debug)]
pub struct Settings {
    /// The closed set, at most [`super::limits::TOPICS_MAX`]; more are left out.
    pub topics: Vec<Topic>,
    /// How many peers.
    pub degree: Degree,
    /// To how many of a hundred others gossip goes, if that is more than `degree.lazy`.
    pub gossip_percent: usize,
    /// How long after the first peer the first heartbeat comes.
    pub heartbeat_first: Duration,
    /// And then each.
    pub heartbeat: Duration,
    /// Heartbeats for which a message can be asked for.
    pub history: u64,
    /// Heartbeats for which it is told of.
    pub gossip_history: u64,
    /// How long peers are kept for a topic that is published to and not followed.
    pub fanout: Duration,
    /// How long whoever was pruned keeps away.
    pub prune_back_off: Duration,
    /// The same after we left the topic.
    pub unsubscribe_back_off: Duration,
    /// A graft this soon after a prune is a flood.
    pub graft_flood: Duration,
    /// When a message that a peer told of and was asked for is overdue.
    pub follow_up: Duration,
    /// Every so many heartbeats a mesh of low scores gets better peers.
    pub opportunistic_beats: u64,
    /// So many.
    pub opportunistic_peers: usize,
    /// Every so many heartbeats direct peers that are not connected are dialled.
    pub direct_beats: u64,
    /// How long a message is remembered.
    pub duplicates: Duration,
    /// Messages that may be judged at once.
    pub pending_max: usize,
    /// Identifiers in one IHAVE that we send.
    pub ihave_ids: usize,
    /// Whether our own messages go to everyone who follows the topic, not only to the mesh: no mesh of attackers can
    /// keep them back then. It is nobody's business but ours, and our own messages are few.
    pub flood_publish: bool,
    /// Whether whoever is pruned is told of other peers, and whether we connect to those that we are told of. Off, as in
    /// the reference node: nothing shows that such peers are honest.
    pub peer_exchange: bool,
    /// Peers that are always sent to and never in a mesh. They must have us in their list too.
    pub direct: Vec<PeerId>,
    /// Scores, if there are to be any. The reference node has none (section 3.6).
    pub scoring: Option<Scoring>,
    /// Checks signatures in place of the genuine check: for simulations, in which a thousand nodes look at the same one.
    pub verify: Option<Verify>,
}

/// Checks a signature: author, signed bytes, signature.
pub type Verify = fn(&PeerId, &[u8], &[u8; 64]) -> bool;

impl Default for Settings {
    fn default() -> Self {
        let topic = |name: &str, level| Topic { name: name.into(), level };
        Self {
            topics: [topic(CONSENSUS, 0), topic(BLOCK, 1), topic(TRANSACTION, 1), topic(SNARK_WORK, 1)].into(),
            degree: Degree { wanted: 6, low: 5, high: 12, by_score: 4, dialled: 2, lazy: 6 },
            gossip_percent: 25,
            heartbeat_first: Duration::from_millis(100),
            heartbeat: Duration::from_secs(1),
            history: 5,
            gossip_history: 3,
            fanout: Duration::from_secs(60),
            prune_back_off: Duration::from_secs(60),
            unsubscribe_back_off: Duration::from_secs(10),
            graft_flood: Duration::from_secs(10),
            follow_up: Duration::from_secs(3),
            opportunistic_beats: 60,
            opportunistic_peers: 2,
            direct_beats: 300,
            duplicates: Duration::from_secs(120),
            pending_max: PENDING_MAX,
            ihave_ids: IDS_ASKED_MAX,
            flood_publish: true,
            peer_exchange: false,
            direct: Vec::new(),
            scoring: None,
            verify: None,
        }
    }
}
