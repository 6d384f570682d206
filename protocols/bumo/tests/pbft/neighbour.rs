//! Stands in for the original: a validator by the spec's section 7 that shares no code with ours, and the two together.

use crate::keys;
use crate::message::{self, COMMIT, NEW_VIEW, PRE_PREPARE, PREPARE, RAW_VIEW_CHANGE, Read, Set};
use crate::stage::{Stage, tip};
use bytes::Bytes;
use polypeer_bumo::keys::PublicKey;
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

/// Validators of each network here: `q` is 2.
const COUNT: usize = 4;
const Q: usize = 2;

/// A validator as section 7 describes it, without its timers: the test is the clock.
struct Neighbour {
    own: usize,
    view: u64,
    is_active: bool,
    last: u64,
    attempts: BTreeMap<(u64, u64), Attempt>,
    // By target: who, inner envelope, in the order of arrival.
    changes: BTreeMap<u64, Vec<(usize, Bytes)>>,
    kept: Option<Set>,
    closed: Vec<Vec<u8>>,
}

#[derive(Default)]
struct Attempt {
    proposal: Option<Bytes>,
    prepares: Vec<(usize, Bytes)>,
    commits: Vec<(usize, Bytes)>,
    has_committed: bool,
    is_closed: bool,
}

impl Neighbour {
    fn new(own: usize) -> Self {
        let attempts = BTreeMap::new();
        Self {
            own,
            view: 0,
            is_active: true,
            last: 1,
            attempts,
            changes: BTreeMap::new(),
            kept: None,
            closed: Vec::new(),
        }
    }

    /// A message comes; what it says to it, its own words taken in by itself too.
    fn hear(&mut self, data: &Bytes) -> Vec<Bytes> {
        let mut said = Vec::new();
        let mut heard = VecDeque::from([data.clone()]);
        while let Some(data) = heard.pop_front() {
            let read = message::read(&data);
            if !is_genuine(&read) {
                continue;
            }
            let answers = match read.kind {
                PRE_PREPARE | PREPARE | COMMIT => self.normal(&data, &read),
                RAW_VIEW_CHANGE => self.raw_view_change(&read),
                NEW_VIEW => self.new_view(&read),
                _ => Vec::new(),
            };
            heard.extend(answers.iter().cloned());
            said.extend(answers);
        }
        said
    }

    fn start(&mut self, said: Bytes) -> Vec<Bytes> {
        let mut all = vec![said.clone()];
        all.extend(self.hear(&said));
        all
    }

    fn is_primary(&self) -> bool {
        self.view as usize % COUNT == self.own
    }

    /// As primary.
    fn propose(&mut self, value: &[u8]) -> Vec<Bytes> {
        let said = message::pre_prepare(self.own, 1, self.view, self.last + 1, value);
        self.start(said)
    }

    /// The close timer ends.
    fn time_out(&mut self) -> Vec<Bytes> {
        self.is_active = false;
        let set = self.prepared();
        let digest = set.as_ref().map(|(proposal, _)| message::read(proposal).digest).unwrap_or_default();
        let inner = message::view_change(self.own, self.view + 1, self.last, &digest);
        self.start(message::raw_view_change(self.own, 0, &inner, set.as_ref()))
    }

    // The highest that is prepared above the last executed.
    fn prepared(&self) -> Option<Set> {
        let of = self.attempts.iter().rev().find(|((_, sequence), attempt)| {
            *sequence > self.last && attempt.proposal.is_some() && attempt.matching(&attempt.prepares) >= Q
        });
        of.map(|(_, attempt)| {
            let prepares = attempt.prepares.iter().map(|(_, data)| data.clone()).collect();
            (attempt.proposal.clone().expect("it has one"), prepares)
        })
    }

    fn normal(&mut self, data: &Bytes, read: &Read) -> Vec<Bytes> {
        if read.view != self.view || !self.is_active || read.sequence <= self.last || read.sequence > self.last + 10 {
            return Vec::new();
        }
        let (own, is_primary) = (self.own, self.is_primary());
        let place = (read.view, read.sequence);
        let attempt = self.attempts.entry(place).or_default();
        let mut said = Vec::new();
        let add = |to: &mut Vec<(usize, Bytes)>| {
            if to.iter().all(|(by, _)| *by != read.replica) {
                to.push((read.replica, data.clone()));
            }
        };
        match read.kind {
            PRE_PREPARE if attempt.proposal.is_none() && message::digest(&read.value) == read.digest => {
                attempt.proposal = Some(data.clone());
                if !is_primary {
                    said.push(message::vote(own, PREPARE, 1, place.0, place.1, &read.digest));
                }
            }
            PREPARE => add(&mut attempt.prepares),
            COMMIT => add(&mut attempt.commits),
            _ => {}
        }
        if attempt.proposal.is_some() && attempt.matching(&attempt.prepares) >= Q && !attempt.has_committed {
            attempt.has_committed = true;
            let digest = attempt.digest();
            said.push(message::vote(own, COMMIT, 1, place.0, place.1, &digest));
        }
        self.close(place);
        said
    }

    fn close(&mut self, place: (u64, u64)) {
        let Some(attempt) = self.attempts.get_mut(&place) else { return };
        if attempt.proposal.is_none() || attempt.is_closed || attempt.matching(&attempt.commits) <= Q {
            return;
        }
        attempt.is_closed = true;
        let value = message::read(attempt.proposal.as_ref().expect("it has one")).value;
        self.closed.push(value);
        self.last = place.1;
        self.view = place.0 + 1;
        self.is_active = true;
        self.kept = None;
        self.changes.clear();
    }

    fn raw_view_change(&mut self, read: &Read) -> Vec<Bytes> {
        let inner = message::read(&read.inner);
        if read.view <= self.view || !is_genuine(&inner) || inner.replica != read.replica {
            return Vec::new();
        }
        if let Some((proposal, prepares)) = &read.set {
            let genuine = prepares.iter().chain([proposal]).all(|data| is_genuine(&message::read(data)));
            let proposed = message::read(proposal);
            assert!(genuine && proposed.digest == inner.digest, "ours reports what is true");
            assert!(prepares.iter().all(|data| message::read(data).digest == proposed.digest));
            if proposed.sequence > self.last {
                self.kept = read.set.clone();
            }
        } else {
            assert!(inner.digest.is_empty());
        }
        let changes = self.changes.entry(read.view).or_default();
        if changes.iter().all(|(by, _)| *by != read.replica) {
            changes.push((read.replica, read.inner.clone()));
        }
        if changes.len() != Q + 1 || read.view as usize % COUNT != self.own {
            return Vec::new();
        }
        let listed: Vec<Bytes> = changes.iter().map(|(_, inner)| inner.clone()).collect();
        let first = message::read(&listed[0]).sequence;
        let kept = self.kept.clone();
        let kept_proposal = kept.as_ref().map(|(proposal, _)| proposal);
        let opened = message::new_view(self.own, 0, read.view, first, &listed, kept_proposal);
        self.enter(read.view);
        let value = kept_proposal.map_or(b"a fresh value".to_vec(), |proposal| message::read(proposal).value);
        vec![opened, message::pre_prepare(self.own, 1, self.view, self.last + 1, &value)]
    }

    fn new_view(&mut self, read: &Read) -> Vec<Bytes> {
        if read.view <= self.view {
            return Vec::new();
        }
        let changes: Vec<Read> = read.changes.iter().map(|inner| message::read(inner)).collect();
        assert!(changes.iter().all(|change| is_genuine(change) && change.view == read.view));
        assert!(read.kept.as_ref().is_none_or(|kept| is_genuine(&message::read(kept))));
        if changes.len() > Q {
            self.enter(read.view);
        }
        Vec::new()
    }

    fn enter(&mut self, view: u64) {
        self.view = view;
        self.is_active = true;
        self.changes.retain(|target, _| *target > view);
    }
}

impl Attempt {
    fn digest(&self) -> Vec<u8> {
        message::read(self.proposal.as_ref().expect("it has one")).digest
    }

    fn matching(&self, votes: &[(usize, Bytes)]) -> usize {
        let digest = self.digest();
        votes.iter().filter(|(_, data)| message::read(data).digest == digest).count()
    }
}

/// Whether it is signed by the validator that it names.
fn is_genuine(read: &Read) -> bool {
    let Ok(key) = PublicKey::parse(&read.public) else { return false };
    read.public == keys::key(read.replica).public && key.verify(&read.signed, &read.signature)
}

enum Party {
    Ours(Box<Stage>),
    Theirs(Box<Neighbour>),
}

/// Some of ours and some of theirs.
struct Network {
    parties: Vec<Party>,
    /// The view whose commits do not arrive.
    lost: Option<u64>,
}

impl Network {
    fn new(ours: &[usize]) -> Self {
        let party = |number: usize| {
            if ours.contains(&number) {
                let mut stage = Stage::new(Some(number), tip(COUNT, 1, 0, &[]));
                stage.value = format!("value of {number}").into_bytes();
                Party::Ours(Box::new(stage))
            } else {
                Party::Theirs(Box::new(Neighbour::new(number)))
            }
        };
        Self { parties: (0..COUNT).map(party).collect(), lost: None }
    }

    /// Carries all that is said to all, until nobody says any more.
    fn carry(&mut self, mut said: VecDeque<(usize, Bytes)>) {
        self.overhear(&mut said);
        while let Some((from, data)) = said.pop_front() {
            let read = message::read(&data);
            if read.kind == COMMIT && Some(read.view) == self.lost {
                continue;
            }
            for to in (0..COUNT).filter(|to| *to != from) {
                match &mut self.parties[to] {
                    Party::Ours(stage) => {
                        let _ = stage.hear(&data);
                    }
                    Party::Theirs(neighbour) => said.extend(neighbour.hear(&data).into_iter().map(|data| (to, data))),
                }
            }
            self.overhear(&mut said);
        }
    }

    fn overhear(&mut self, said: &mut VecDeque<(usize, Bytes)>) {
        for (number, party) in self.parties.iter_mut().enumerate() {
            if let Party::Ours(stage) = party {
                said.extend(stage.take().into_iter().map(|data| (number, data)));
            }
        }
    }

    /// Ten seconds pass: whose turn it is proposes.
    fn propose(&mut self, number: usize) {
        let mut said = VecDeque::new();
        for (by, party) in self.parties.iter_mut().enumerate() {
            match party {
                Party::Ours(stage) => stage.pass(Duration::from_secs(10)),
                Party::Theirs(neighbour) if neighbour.is_primary() => {
                    let value = format!("value {number} of {by}");
                    said.extend(neighbour.propose(value.as_bytes()).into_iter().map(|data| (by, data)));
                }
                Party::Theirs(_) => {}
            }
        }
        self.carry(said);
    }

    /// The view takes too long for all but its primary, who is gone.
    fn time_out(&mut self, but: Option<usize>) {
        let mut said = VecDeque::new();
        for (by, party) in self.parties.iter_mut().enumerate().filter(|(by, _)| Some(*by) != but) {
            match party {
                Party::Ours(stage) => stage.pass(Duration::from_secs(31)),
                Party::Theirs(neighbour) => said.extend(neighbour.time_out().into_iter().map(|data| (by, data))),
            }
        }
        self.carry(said);
    }

    fn closed(&self) -> Vec<Vec<Vec<u8>>> {
        let of = |party: &Party| match party {
            Party::Ours(stage) => stage.closed.iter().map(|value| value.to_vec()).collect(),
            Party::Theirs(neighbour) => neighbour.closed.clone(),
        };
        self.parties.iter().map(of).collect()
    }

    /// All closed the same, this many.
    fn check(&self, count: usize) {
        let closed = self.closed();
        assert_eq!(closed[0].len(), count);
        assert!(closed.iter().all(|one| *one == closed[0]), "{closed:?}");
    }
}

/// One, two or three of four are ours.
const MIXES: [&[usize]; 7] = [&[0], &[3], &[0, 1], &[1, 2], &[0, 2], &[0, 1, 2], &[1, 2, 3]];

#[test]
fn ledgers_are_closed_together_whoever_is_primary() {
    for ours in MIXES {
        let mut network = Network::new(ours);
        (1..=12).for_each(|number| network.propose(number));
        network.check(12);
    }
}

#[test]
fn the_view_is_changed_together_whoever_opens_the_next() {
    for ours in MIXES {
        for turns in 0..4 {
            let mut network = Network::new(ours);
            (0..turns).for_each(|number| network.propose(number));
            network.time_out(None);
            network.propose(turns);
            network.check(turns + if network.closed()[0].len() > turns + 1 { 2 } else { 1 });
        }
    }
}

#[test]
fn what_is_prepared_is_carried_to_the_next_view_and_closed_there() {
    for ours in MIXES {
        for turns in 0..4 {
            let mut network = Network::new(ours);
            (0..turns).for_each(|number| network.propose(number));
            // A view for each ledger so far.
            network.lost = Some(turns as u64);
            network.propose(turns);
            network.check(turns);
            let proposed = network.prepared();
            network.time_out(None);
            let closed = network.closed();
            assert_eq!(closed[0].get(turns), Some(&proposed), "ours {ours:?}, turn {turns}");
            network.check(turns + 1);
        }
    }
}

impl Network {
    // What the neighbours have prepared.
    fn prepared(&self) -> Vec<u8> {
        let neighbour = self.parties.iter().find_map(|party| match party {
            Party::Theirs(neighbour) => Some(neighbour),
            Party::Ours(_) => None,
        });
        let (proposal, _) = neighbour.and_then(|neighbour| neighbour.prepared()).expect("something is prepared");
        message::read(&proposal).value
    }
}
