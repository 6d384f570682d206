//! Spreads messages: gossipsub 1.0 and 1.1 (Mina spec, section 3).
//!
//! [`Mesh`] is a pure state machine. Frames of peers, verdicts, signatures and the time go in; [`Output`]s come out, in
//! order. It knows nothing of what messages say: whoever understands them judges each before it goes on.
//!
//! ```text
//!   connected  opened  receive   judged  signed  publish      wake
//!       |        |       |         |       |       |           |
//!       v        v       v         v       v       v           v
//!   +----------------------------------------------------------------+
//!   |                             Mesh                               |
//!   +----------------------------------------------------------------+
//!       |        |       |         |       |       |           |
//!      Send   Deliver  Again    Expired   Sign  Published   Penalty, Connect
//! ```
//!
//! # A message's way
//!
//! ```text
//!   receive: known topic, followed ── name by hash ── new? ── room to judge it? ── author and signature
//!      └─> Deliver ──(judged)──> Accept: remembered, kept for who asks, sent to the mesh but for those who brought it
//!                                Ignore: remembered
//!                                Reject: remembered; everyone who brought it pays
//! ```
//!
//! The order is by cost: a repetition costs a hash and a look-up, and only what is new costs a signature. A message is
//! remembered once its signature was right, never before, so that nobody can spoil it for others by bringing it first
//! with a wrong one. What goes on is encoded once, and every peer's queue shares the bytes; when it came alone in its
//! frame, in canonical form, that frame is what goes on.
//!
//! # The mesh of a topic
//!
//! ```text
//!             GRAFT, by either                        PRUNE, by either; gone
//!   follower ──────────────────> in the mesh ──────────────────────────────────> follower, in back-off
//!      └── gossip of what there is (IHAVE), each heartbeat, to some; they ask (IWANT) and get it
//! ```
//!
//! Each heartbeat brings a mesh to six peers when it has fewer than five or more than twelve, and two of them are peers
//! that we dialled. Our own messages go to everyone who follows the topic.
//!
//! # What it does not do as the reference node
//!
//! * A message that is not judged within five minutes goes nowhere and costs nobody anything: it was we who were slow.
//! * Of a message that many tell of it asks three peers at once, not all.
//! * It asks a peer for no more than it can judge, and lets none have more than half of what is judged at once.
//! * Excess that the reference node passes over (IHAVEs, grafts, subscriptions) is a slip where it is gross.
//!
//! # Bounds
//!
//! They are in [`limits`], each with its reason. Of a peer: 200 bytes. Of messages: what is being judged and what can be
//! asked for, 64 MiB each at the most, and 32 bytes and a time of each for two minutes.

mod border;
mod control;
pub mod frame;
mod gossip;
mod heartbeat;
pub mod limits;
mod members;
mod memory;
mod messages;
mod peer;
mod publish;
mod score;
mod settings;
mod signing;
mod topic;

pub use border::{About, Candidate, Class, Counts, Fault, MessageId, Output, TopicId, Unpublished, Verdict, Version};
pub use score::{Scoring, Thresholds, TopicScoring};
pub use settings::{BLOCK, CONSENSUS, Degree, SNARK_WORK, Settings, TRANSACTION, Topic, Verify};

use crate::keys::PeerId;
use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use limits::TOPICS_MAX;
use memory::{Cache, Judged, Pending, Wanted};
use peer::Peer;
use polypeer_engine::{ConnectionId, Frame, Random, Time};
use publish::Unsigned;
use score::Scores;
use signing::Authors;
use topic::TopicSet;

/// The state machine.
#[derive(Debug)]
pub struct Mesh {
    settings: Settings,
    own: PeerId,
    random: Random,
    topics: Vec<topic::Topic>,

    peers: BTreeMap<ConnectionId, Peer>,
    // Who is connected, by name. Of two connections of one peer the later one counts.
    names: BTreeMap<PeerId, ConnectionId>,
    // Direct peers with a stream of ours, sorted.
    direct: Vec<ConnectionId>,
    scores: Option<Scores>,

    authors: Authors,
    pending: Pending,
    judged: Judged,
    cache: Cache,
    wanted: Wanted,

    // Our own messages.
    unsigned: BTreeMap<u64, Unsigned>,
    tickets: u64,
    seqno: u64,

    // Heartbeats so far, and when the next one is due.
    beats: u64,
    next_beat: Option<Time>,
    counts: Counts,
}

impl Mesh {
    /// A mesh that follows nothing yet. `own` is this node; `seed` comes from the engine's generator.
    pub fn new(settings: Settings, own: PeerId, seed: [u8; 32]) -> Self {
        let mut random = Random::new(seed);
        Self {
            own,
            topics: settings.topics.iter().take(TOPICS_MAX).map(topic::Topic::new).collect(),
            peers: BTreeMap::new(),
            names: BTreeMap::new(),
            direct: Vec::new(),
            scores: settings.scoring.clone().map(|scoring| Scores::new(scoring, random.number())),
            authors: Authors::new(settings.verify, random.number()),
            pending: Pending::new(settings.pending_max, random.number()),
            judged: Judged::new(settings.duplicates, [random.number(), random.number()]),
            cache: Cache::new(random.number()),
            wanted: Wanted::new(settings.follow_up, random.number()),
            unsigned: BTreeMap::new(),
            tickets: 0,
            seqno: 0,
            beats: 0,
            next_beat: None,
            counts: Counts::default(),
            random,
            settings,
        }
    }

    /// A connection is ready. The peer is sent to once our stream to it is [`Self::opened`].
    pub fn connected(&mut self, now: Time, peer: ConnectionId, about: About) {
        // Connections are numbered once and for all, so this would be the same one.
        if self.peers.contains_key(&peer) {
            return;
        }
        let is_direct = self.settings.direct.contains(&about.id);
        self.names.insert(about.id, peer);
        self.peers.insert(peer, Peer::new(about, is_direct));
        if let Some(scores) = &mut self.scores {
            scores.connected(now, about.id, about.ip);
        }
        self.stay_awake(now);
    }

    /// Our stream to a peer is open: it hears what we follow.
    pub fn opened(&mut self, now: Time, peer: ConnectionId, version: Version, out: &mut Vec<Output>) {
        let Some(state) = self.peers.get_mut(&peer) else { return };
        state.stream = Some(version);
        let early = core::mem::take(&mut state.grafted_early);
        if state.is_direct {
            topic::insert(&mut self.direct, peer);
        }
        let joined = self.topics.iter().filter(|topic| topic.is_joined);
        if joined.clone().next().is_some() {
            let frame = frame::subscriptions(joined.map(|topic| (topic.name.as_str(), true)));
            out.push(Output::Send { peer, frame, class: Class::Control });
        }
        for topic in self.topic_ids().filter(|topic| early.has(*topic)) {
            self.send_prune(peer, topic, self.settings.prune_back_off, false, out);
        }
        self.stay_awake(now);
    }

    /// Our stream to a peer ended, and its connection stays. It may be [`Self::opened`] again.
    pub fn closed(&mut self, now: Time, peer: ConnectionId) {
        let Some(state) = self.peers.get_mut(&peer) else { return };
        state.stream = None;
        topic::remove(&mut self.direct, peer);
        for topic in self.topic_ids() {
            self.leave_lists(now, peer, topic);
        }
    }

    /// A connection is gone. What was bad about the peer is remembered under its name.
    pub fn gone(&mut self, now: Time, peer: ConnectionId) {
        self.closed(now, peer);
        let Some(state) = self.peers.remove(&peer) else { return };
        if self.names.get(&state.id) == Some(&peer) {
            self.names.remove(&state.id);
            if let Some(scores) = &mut self.scores {
                scores.gone(now, &state.id);
            }
        }
    }

    /// A whole frame of a peer's stream, its length included.
    pub fn receive(&mut self, now: Time, peer: ConnectionId, frame: Frame<'_>, out: &mut Vec<Output>) {
        let Some(state) = self.peers.get(&peer) else { return };
        if self.score_of(&state.id) < self.thresholds().graylist && !state.is_direct {
            self.counts.passed_over += 1;
            return;
        }
        let rpc = match frame::Rpc::decode(&frame) {
            Ok(rpc) => rpc,
            Err(wrong) => {
                let fault = if wrong == frame::Wrong::TooMany { Fault::TooMany } else { Fault::Malformed };
                out.push(Output::Penalty { peer, fault });
                return;
            }
        };
        let is_borne = self.count_controls(peer, rpc.counted(), out);
        if is_borne {
            self.on_subscriptions(now, peer, rpc);
        }
        for message in rpc.messages() {
            self.on_message(now, peer, frame, rpc, &message, out);
        }
        if is_borne && rpc.counted().controls > 0 {
            self.on_ihaves(now, peer, rpc, out);
            self.on_iwants(peer, rpc, out);
            self.on_grafts(now, peer, rpc, out);
            self.on_prunes(now, peer, rpc, out);
        }
    }

    /// Time passed. Heartbeats that were slept through are not made up for.
    pub fn wake(&mut self, now: Time, out: &mut Vec<Output>) {
        if self.next_beat.is_some_and(|at| now >= at) {
            self.heartbeat(now, out);
            // Nobody to keep a mesh with, and nothing that ages: no time is wanted.
            let is_held = self.pending.len() > 0 || self.cache.len() > 0 || self.wanted.len() > 0;
            let is_needed = is_held || !self.peers.is_empty() || !self.settings.direct.is_empty();
            self.next_beat = is_needed.then(|| now + self.settings.heartbeat);
        }
    }

    /// When [`Self::wake`] is wanted.
    pub fn next_wake(&self) -> Option<Time> {
        self.next_beat
    }

    /// The topic of this name, if it is in the closed set.
    pub fn topic(&self, name: &[u8]) -> Option<TopicId> {
        self.topic_ids().zip(&self.topics).find(|(_, topic)| topic.name.as_bytes() == name).map(|(id, _)| id)
    }

    /// Its name.
    pub fn name(&self, topic: TopicId) -> &str {
        self.at(topic).map_or("", |topic| &topic.name)
    }

    /// Whether we follow it.
    pub fn follows(&self, topic: TopicId) -> bool {
        self.at(topic).is_some_and(|topic| topic.is_joined)
    }

    /// Who is in its mesh, in the order of their connections.
    pub fn members(&self, topic: TopicId) -> &[ConnectionId] {
        self.at(topic).map_or(&[], |topic| &topic.mesh)
    }

    /// Who follows it, in the order of their connections.
    pub fn followers(&self, topic: TopicId) -> impl Iterator<Item = ConnectionId> {
        self.peers.iter().filter(move |(_, peer)| peer.follows.has(topic)).map(|(peer, _)| *peer)
    }

    /// A peer's score; zero when there are none.
    pub fn score(&self, peer: ConnectionId) -> f64 {
        self.peers.get(&peer).map_or(0.0, |peer| self.score_of(&peer.id))
    }

    /// What whoever understands messages thinks of a peer, for its score.
    pub fn rate(&mut self, peer: ConnectionId, rating: f64) {
        if let (Some(peer), Some(scores)) = (self.peers.get(&peer), &mut self.scores) {
            scores.rate(&peer.id, rating);
        }
    }

    /// What was counted.
    pub fn counts(&self) -> Counts {
        self.counts
    }

    /// How much is held: entries of peers, messages that are judged, were judged, can be asked for, and are wanted,
    /// back-offs.
    pub fn held(&self) -> [usize; 6] {
        let back_offs = self.topics.iter().map(|topic| topic.back_offs.len()).sum();
        let Self { peers, pending, judged, cache, wanted, .. } = self;
        [peers.len(), pending.len(), judged.len(), cache.len(), wanted.len(), back_offs]
    }

    /// Whether everything about it is in order; tests ask after every step.
    pub fn is_sound(&self) -> bool {
        let is_sorted = |peers: &[ConnectionId]| peers.windows(2).all(|pair| pair[0] < pair[1]);
        let is_open = |peer: &ConnectionId| self.peers.get(peer).is_some_and(|peer| peer.stream.is_some());
        let is_member = |topic: TopicId, peer: &ConnectionId| {
            self.peers.get(peer).is_some_and(|peer| peer.follows.has(topic) && !peer.is_direct) && is_open(peer)
        };
        let is_right = |(id, topic): (TopicId, &topic::Topic)| {
            is_sorted(&topic.mesh)
                && is_sorted(&topic.fanout)
                && topic.mesh.iter().all(|peer| is_member(id, peer))
                && topic.fanout.iter().all(is_open)
                && (topic.is_joined || topic.mesh.is_empty())
        };
        let judging: usize = self.peers.values().map(|peer| peer.judging).sum();
        self.topic_ids().zip(&self.topics).all(is_right)
            && judging <= self.pending.len()
            && self.cache.bytes() <= limits::CACHE_BYTES_MAX
    }
}

/// What the rooms share.
impl Mesh {
    /// There is something that heartbeats are for.
    fn stay_awake(&mut self, now: Time) {
        self.next_beat.get_or_insert(now + self.settings.heartbeat_first);
    }

    fn topic_ids(&self) -> impl Iterator<Item = TopicId> + use<> {
        (0..self.topics.len() as u8).map(TopicId)
    }

    fn at(&self, topic: TopicId) -> Option<&topic::Topic> {
        self.topics.get(usize::from(topic.0))
    }

    fn at_mut(&mut self, topic: TopicId) -> Option<&mut topic::Topic> {
        self.topics.get_mut(usize::from(topic.0))
    }

    fn score_of(&self, peer: &PeerId) -> f64 {
        self.scores.as_ref().map_or(0.0, |scores| scores.of(peer))
    }

    // Without scores all are zero, and nobody is below.
    fn thresholds(&self) -> Thresholds {
        self.settings.scoring.as_ref().map_or(Thresholds::NONE, |scoring| scoring.thresholds)
    }

    /// What counts of what a peer says that it follows: the highest generation (section 3.1).
    fn highest(&self, said: TopicSet) -> TopicSet {
        let ids = || self.topic_ids().zip(&self.topics).filter(|(id, _)| said.has(*id));
        let level = ids().map(|(_, topic)| topic.level).max().unwrap_or(0);
        let mut highest = TopicSet::default();
        ids().filter(|(_, topic)| topic.level == level).for_each(|(id, _)| highest.set(id, true));
        highest
    }
}
