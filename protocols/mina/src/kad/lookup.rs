//! Walks towards a place in the key space: asks who is near, then whom those name, until nobody nearer is left.
//!
//! Three paths go side by side, and a peer belongs to the first that it was named on: a liar on one of them sees nothing
//! of the others, and what it makes up stays on its own (S/Kademlia's disjoint paths). Each path has one question out,
//! which makes the three that the network is used to.
//!
//! ```text
//!   Named ──► Asked ──► Answered
//!               └─────► Failed
//! ```

use super::key::{Distance, Key};
use super::message::{Contact, Kind};
use super::table::BUCKET_MAX;
use crate::keys::PeerId;
use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use bytes::Bytes;
use polypeer_engine::Time;

/// Paths, and so questions at a time: α (section 2.3).
pub const PATHS: usize = 3;
/// Nearest live peers of a path that must have answered before it ends. Together they are more than a bucket.
const PATH_WIDTH: usize = 10;
/// Peers that a path remembers; the farthest leaves. An answer has 20, so four of them that are all nearer.
const PATH_PEERS_MAX: usize = 80;
/// Peers that one look-up asks. An honest one needs some thirty; without an end, whoever makes up ever nearer peers
/// would keep it busy for ever.
const ASKED_MAX: usize = 128;
/// Providers that one look-up collects: more than a node has connections.
const PROVIDERS_MAX: usize = 256;

/// What came of a look-up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// What was looked up, as it stands on the wire.
    pub key: Bytes,
    /// The nearest peers that answered, the nearest first, at most 20.
    pub nearest: Vec<Contact>,
    /// Who provides the key, if that was asked.
    pub providers: Vec<Contact>,
    /// How many peers answered.
    pub answers: usize,
}

/// Why it was begun.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// To be known, and to know who is near.
    Bootstrap,
    /// To know more peers.
    Discovery,
    /// To tell those who keep the record that we provide.
    Announce,
    /// Someone wants to know.
    Wanted,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Named,
    Asked,
    Answered,
    Failed,
}

#[derive(Clone, Debug)]
struct Candidate {
    contact: Contact,
    path: usize,
    state: State,
}

/// A look-up under way.
#[derive(Clone, Debug)]
pub(super) struct Lookup {
    pub(super) purpose: Purpose,
    pub(super) kind: Kind,
    pub(super) key: Bytes,
    /// When it ends, however far it is.
    pub(super) deadline: Time,
    own: PeerId,
    place: Key,
    candidates: BTreeMap<Distance, Candidate>,
    // How many of them each path has.
    counts: [usize; PATHS],
    providers: BTreeMap<PeerId, Contact>,
    asked: usize,
    answers: usize,
    answers_max: usize,
}

impl Lookup {
    /// Begins with the peers that are known to be near. It ends early with `answers_max` answers.
    pub(super) fn new(
        own: PeerId,
        purpose: Purpose,
        request: (Kind, Bytes),
        near: Vec<Contact>,
        deadline: Time,
    ) -> Self {
        let (kind, key) = request;
        let answers_max = if purpose == Purpose::Bootstrap { BUCKET_MAX } else { usize::MAX };
        let mut lookup = Self {
            purpose,
            kind,
            place: Key::of(&key),
            key,
            deadline,
            own,
            candidates: BTreeMap::new(),
            counts: [0; PATHS],
            providers: BTreeMap::new(),
            asked: 0,
            answers: 0,
            answers_max,
        };
        for (at, contact) in near.into_iter().enumerate() {
            lookup.name(contact, at % PATHS);
        }
        lookup
    }

    /// Whom to ask now: at most one of each path that waits for nobody.
    pub(super) fn next(&mut self) -> Vec<Contact> {
        let mut wanted = Vec::new();
        if self.is_satisfied() {
            return wanted;
        }
        for path in 0..PATHS {
            let is_out = |candidate: &Candidate| candidate.path == path && candidate.state == State::Asked;
            if self.asked >= ASKED_MAX || self.candidates.values().any(is_out) {
                continue;
            }
            let named = self.front(path).find(|candidate| candidate.state == State::Named);
            let contact = named.map(|candidate| {
                candidate.state = State::Asked;
                candidate.contact.clone()
            });
            self.asked += usize::from(contact.is_some());
            wanted.extend(contact);
        }
        wanted
    }

    /// A peer that was asked has answered. Who of those that it named is new here.
    pub(super) fn answered(&mut self, peer: &PeerId, closer: Vec<Contact>, providers: Vec<Contact>) -> Vec<Contact> {
        let Some(path) = self.end(peer, State::Answered) else { return Vec::new() };
        self.answers += 1;
        let mut new = Vec::new();
        for contact in providers {
            let is_known = self.providers.contains_key(&contact.peer);
            if !is_known && contact.peer != self.own && self.providers.len() < PROVIDERS_MAX {
                self.providers.insert(contact.peer, contact.clone());
                new.push(contact);
            }
        }
        // In the beginning paths that have nobody to ask are given a share.
        let mut takers: Vec<usize> = (0..PATHS).filter(|other| *other == path || self.is_dry(*other)).collect();
        for contact in closer.into_iter().take(BUCKET_MAX) {
            takers.rotate_left(1);
            let taker = takers.first().copied().unwrap_or(path);
            if contact.peer != *peer && self.name(contact.clone(), taker) {
                new.push(contact);
            }
        }
        new
    }

    /// A peer that was asked did not answer.
    pub(super) fn failed(&mut self, peer: &PeerId) {
        self.end(peer, State::Failed);
    }

    /// Whether nobody is asked and nobody is left to ask; right after [`Lookup::next`].
    pub(super) fn is_over(&self) -> bool {
        self.is_satisfied() || !self.candidates.values().any(|candidate| candidate.state == State::Asked)
    }

    pub(super) fn outcome(self) -> Outcome {
        let answered = self.candidates.into_values().filter(|candidate| candidate.state == State::Answered);
        Outcome {
            key: self.key,
            nearest: answered.take(BUCKET_MAX).map(|candidate| candidate.contact).collect(),
            providers: self.providers.into_values().collect(),
            answers: self.answers,
        }
    }

    // Whether the one that was looked for has answered itself, or enough others have.
    fn is_satisfied(&self) -> bool {
        let is_found = self.candidates.get(&[0; 32]).is_some_and(|found| found.state == State::Answered);
        is_found || self.answers >= self.answers_max
    }

    // The nearest of a path that have not failed.
    fn front(&mut self, path: usize) -> impl Iterator<Item = &mut Candidate> {
        let live = move |candidate: &&mut Candidate| candidate.path == path && candidate.state != State::Failed;
        self.candidates.values_mut().filter(live).take(PATH_WIDTH)
    }

    fn is_dry(&self, path: usize) -> bool {
        let is_left =
            |candidate: &Candidate| candidate.path == path && matches!(candidate.state, State::Named | State::Asked);
        !self.candidates.values().any(is_left)
    }

    // Whether it is new, and near enough to be remembered.
    fn name(&mut self, contact: Contact, path: usize) -> bool {
        let distance = Key::of_peer(&contact.peer).distance(&self.place);
        if contact.peer == self.own || self.candidates.contains_key(&distance) {
            return false;
        }
        if self.counts[path] >= PATH_PEERS_MAX && !self.drops_farthest(path, &distance) {
            return false;
        }
        self.counts[path] += 1;
        self.candidates.insert(distance, Candidate { contact, path, state: State::Named });
        true
    }

    // Makes room on a path for somebody at this distance. Whether there was anyone farther.
    fn drops_farthest(&mut self, path: usize, distance: &Distance) -> bool {
        let may_go = |candidate: &Candidate| candidate.path == path && candidate.state != State::Asked;
        let farthest = self.candidates.iter().rfind(|(_, candidate)| may_go(candidate)).map(|(farthest, _)| *farthest);
        let Some(farthest) = farthest.filter(|farthest| farthest > distance) else { return false };
        self.candidates.remove(&farthest);
        self.counts[path] -= 1;
        true
    }

    fn end(&mut self, peer: &PeerId, state: State) -> Option<usize> {
        let distance = Key::of_peer(peer).distance(&self.place);
        let candidate = self.candidates.get_mut(&distance).filter(|candidate| candidate.state == State::Asked)?;
        candidate.state = state;
        Some(candidate.path)
    }
}
