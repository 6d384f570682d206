//! A validator by the spec's section 7 that shares no code with ours. It asserts what ours owe it on the way.

use super::bumo::{Draft, Fields, Heard, Key, LEDGERS, PBFT, Peer, sha256};
use super::bumo_court::{Court, get_ledgers};
use super::bumo_pbft::{self as pbft, COMMIT, NEW_VIEW, PRE_PREPARE, PREPARE, Pbft, RAW_VIEW_CHANGE, Set};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Validators of the network, and what a majority has above one.
const COUNT: i64 = 4;
const Q: usize = 2;

/// A ledger that was closed.
#[derive(Clone, Debug)]
pub(crate) struct Closed {
    pub(crate) sequence: i64,
    pub(crate) view: i64,
    pub(crate) value: Vec<u8>,
    /// Whether it came by consensus.
    pub(crate) is_agreed: bool,
    /// Whose commits proved it.
    pub(crate) replicas: BTreeSet<i64>,
}

#[derive(Default)]
struct Attempt {
    proposal: Option<Vec<u8>>,
    value: Vec<u8>,
    digest: Vec<u8>,
    prepares: Vec<(Pbft, Vec<u8>)>,
    commits: Vec<(Pbft, Vec<u8>)>,
    has_prepared: bool,
    has_committed: bool,
}

impl Attempt {
    fn matching<'a>(&'a self, votes: &'a [(Pbft, Vec<u8>)]) -> Vec<&'a (Pbft, Vec<u8>)> {
        votes.iter().filter(|(vote, _)| vote.digest == self.digest).collect()
    }
}

/// The validator.
pub(crate) struct Validator {
    own: i64,
    key: Key,
    peers: Vec<Peer>,
    interval: Duration,
    pub(crate) view: i64,
    pub(crate) last: i64,
    last_close: i64,
    last_proof: Vec<u8>,
    is_active: bool,
    target: i64,
    attempts: BTreeMap<(i64, i64), Attempt>,
    // By target: who, and its inner envelope.
    changes: BTreeMap<i64, Vec<(i64, Vec<u8>)>>,
    kept: Option<Set>,
    known: BTreeSet<[u8; 32]>,
    own_words: VecDeque<Vec<u8>>,
    deadline: Instant,
    asked: Option<Instant>,
    pub(crate) closed: Vec<Closed>,
    /// Views whose commits it keeps to itself.
    pub(crate) withholds: Vec<i64>,
    /// Views that were opened, by whom, and whether with a prepared value; this validator's own are among them.
    pub(crate) opened: BTreeMap<i64, (i64, Option<Vec<u8>>)>,
    /// Proposals by view.
    pub(crate) proposed: BTreeMap<i64, Vec<u8>>,
    /// View changes that it heard of: target, replica, digest of what is prepared.
    pub(crate) heard_changes: Vec<(i64, i64, Vec<u8>)>,
    /// New views that it heard of: view, round.
    pub(crate) heard_new_views: Vec<(i64, i64)>,
}

fn unix_micros() -> i64 {
    i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_micros()).expect("a number")
}

impl Validator {
    /// Joins on connections to these nodes.
    pub(crate) fn join(own: usize, interval: Duration, nodes: &[&Court]) -> Self {
        let name = format!("bumo-test-node-{own}");
        Self {
            own: i64::try_from(own).expect("a replica"),
            key: Key::validator(own),
            peers: nodes.iter().map(|court| court.peer(&name)).collect(),
            interval,
            view: 0,
            last: 1,
            last_close: 0,
            last_proof: Vec::new(),
            is_active: true,
            target: 0,
            attempts: BTreeMap::new(),
            changes: BTreeMap::new(),
            kept: None,
            known: BTreeSet::new(),
            own_words: VecDeque::new(),
            deadline: Instant::now() + interval * 4,
            asked: None,
            closed: Vec::new(),
            withholds: Vec::new(),
            opened: BTreeMap::new(),
            proposed: BTreeMap::new(),
            heard_changes: Vec::new(),
            heard_new_views: Vec::new(),
        }
    }

    /// Leaves the connection to this node, which is about to die.
    pub(crate) fn hang_up(&mut self, index: usize) {
        drop(self.peers.remove(index));
    }

    /// Takes part until `is_enough`, which has to come in time.
    pub(crate) fn take_part(&mut self, court: &Court, within: Duration, is_enough: impl Fn(&Self) -> bool) {
        let end = Instant::now() + within;
        while !is_enough(self) {
            assert!(
                Instant::now() < end,
                "stuck at ledger {} in view {} (active {}, to {}), opened {:?}, node at {}",
                self.last,
                self.view,
                self.is_active,
                self.target,
                self.opened.keys(),
                court.height()
            );
            self.listen();
            while let Some(envelope) = self.own_words.pop_front() {
                self.consider(envelope);
            }
            self.advance(court);
        }
    }

    fn listen(&mut self) {
        let mut heard = Vec::new();
        for peer in &mut self.peers {
            match peer.hear(Duration::from_millis(4)) {
                Heard::Said(said) if said.kind == PBFT => heard.push((true, said)),
                Heard::Said(said) if said.kind == LEDGERS && !said.is_request => heard.push((false, said)),
                Heard::Close(_) | Heard::End => panic!("ours closed the connection of an honest validator"),
                _ => {}
            }
        }
        for (is_pbft, said) in heard {
            if is_pbft { self.consider(said.data) } else { self.catch_up(&said.fields()) }
        }
    }

    fn broadcast(&mut self, envelope: Vec<u8>) {
        for peer in &mut self.peers {
            peer.request(PBFT, &envelope);
        }
        self.own_words.push_back(envelope);
    }

    fn consider(&mut self, envelope: Vec<u8>) {
        if !self.known.insert(sha256(&envelope)) {
            return;
        }
        let read = Pbft::read(&envelope);
        match read.kind {
            PRE_PREPARE | PREPARE | COMMIT => self.normal(envelope, read),
            RAW_VIEW_CHANGE => self.raw_view_change(&read),
            NEW_VIEW => self.new_view(&read),
            other => panic!("type {other} never travels alone"),
        }
    }

    fn normal(&mut self, envelope: Vec<u8>, read: Pbft) {
        if read.sequence <= self.last {
            return;
        }
        if read.sequence > self.last + 1 {
            return self.ask_for_next();
        }
        let attempt = self.attempts.entry((read.view, read.sequence)).or_default();
        match read.kind {
            PRE_PREPARE => {
                assert_eq!(read.replica, read.view % COUNT, "only the primary proposes");
                assert_eq!(read.digest, sha256(&read.value), "the digest is the value's");
                if attempt.proposal.is_some() {
                    assert_eq!(attempt.digest, read.digest, "one value for each view");
                    return;
                }
                (attempt.value, attempt.digest) = (read.value.clone(), read.digest);
                attempt.proposal = Some(envelope);
                self.proposed.insert(read.view, read.value);
            }
            PREPARE => {
                assert_ne!(read.replica, read.view % COUNT, "the primary sends no PREPARE");
                if attempt.prepares.iter().all(|(other, _)| other.replica != read.replica) {
                    attempt.prepares.push((read, envelope));
                }
            }
            _ => {
                if attempt.commits.iter().all(|(other, _)| other.replica != read.replica) {
                    attempt.commits.push((read, envelope));
                }
            }
        }
    }

    // What is due now.
    fn advance(&mut self, court: &Court) {
        let sequence = self.last + 1;
        let committed = self.attempts.iter().find(|((_, of), attempt)| {
            *of == sequence && attempt.proposal.is_some() && attempt.matching(&attempt.commits).len() > Q
        });
        if let Some(((view, _), attempt)) = committed {
            let commits = attempt.matching(&attempt.commits);
            let proof = commits.iter().fold(Draft::new(), |draft, (_, envelope)| draft.part(1, envelope)).done();
            let closed = Closed {
                sequence,
                view: *view,
                value: attempt.value.clone(),
                is_agreed: true,
                replicas: commits.iter().map(|(vote, _)| vote.replica).collect(),
            };
            return self.close(closed, proof);
        }
        if self.is_active {
            self.vote(sequence);
            let close_time = self.last_close + i64::try_from(self.interval.as_micros()).expect("a number");
            let has_proposed = self.proposed.contains_key(&self.view);
            let is_due = self.kept.is_some() || unix_micros() >= close_time;
            if self.view % COUNT == self.own && !has_proposed && is_due {
                self.propose(court, close_time);
            }
        }
        if Instant::now() >= self.deadline {
            self.leave(self.view.max(self.target) + 1);
        }
    }

    fn vote(&mut self, sequence: i64) {
        let (view, own) = (self.view, self.own);
        let Some(attempt) = self.attempts.get_mut(&(view, sequence)) else { return };
        if attempt.proposal.is_none() {
            return;
        }
        let digest = attempt.digest.clone();
        let mut votes = Vec::new();
        if !attempt.has_prepared && view % COUNT != own {
            attempt.has_prepared = true;
            votes.push(pbft::vote(&self.key, PREPARE, view, sequence, own, &digest));
        }
        if !attempt.has_committed && attempt.matching(&attempt.prepares).len() >= Q && !self.withholds.contains(&view) {
            attempt.has_committed = true;
            votes.push(pbft::vote(&self.key, COMMIT, view, sequence, own, &digest));
        }
        votes.into_iter().for_each(|vote| self.broadcast(vote));
    }

    // Section 7.6; the header hash of the ledger before is what the node's API says.
    fn propose(&mut self, court: &Court, close_time: i64) {
        let value = match &self.kept {
            Some((proposal, _)) => Pbft::read(proposal).value,
            None => {
                let Some(block) = court.block(&self.last.to_string()) else { return };
                let hash = super::bumo::unhex(block["hash"].as_str().expect("a hash"));
                let draft = Draft::new().part(1, &[]).number(2, unix_micros().max(close_time));
                draft.bytes(3, &self.last_proof).number(4, self.last + 1).bytes(5, &hash).done()
            }
        };
        self.proposed.insert(self.view, value.clone());
        let envelope = pbft::pre_prepare(&self.key, 1, self.view, self.last + 1, self.own, &value);
        self.broadcast(envelope);
    }

    fn close(&mut self, closed: Closed, proof: Vec<u8>) {
        let value = Fields::read(&closed.value);
        assert_eq!(value.number(4), closed.sequence, "a value names its ledger");
        assert!(closed.value.starts_with(&[0x0a]), "the set of transactions is always present");
        assert!(value.number(2) >= self.last_close + self.interval.as_micros() as i64, "ledgers are an interval apart");
        self.last = closed.sequence;
        self.last_close = value.number(2);
        self.last_proof = proof;
        if closed.view >= self.view {
            self.view = closed.view + 1;
        }
        self.is_active = true;
        self.kept = None;
        self.attempts.retain(|(_, sequence), _| *sequence > closed.sequence);
        self.changes.retain(|target, _| *target > closed.view);
        self.deadline = Instant::now() + self.interval * 3;
        self.closed.push(closed);
    }

    // ---- View changes (section 7.8).

    fn prepared(&self) -> Option<Set> {
        let mut all = self.attempts.iter().rev();
        let found = all.find(|((_, sequence), attempt)| {
            *sequence == self.last + 1 && attempt.proposal.is_some() && attempt.matching(&attempt.prepares).len() >= Q
        });
        let (_, attempt) = found?;
        let prepares = attempt.matching(&attempt.prepares).into_iter().map(|(_, envelope)| envelope.clone()).collect();
        Some((attempt.proposal.clone()?, prepares))
    }

    fn leave(&mut self, target: i64) {
        (self.is_active, self.target) = (false, target);
        self.deadline = Instant::now() + self.interval * 3;
        let set = self.prepared().or_else(|| self.kept.clone());
        let (_, outer) = pbft::view_change(&self.key, target, self.last, self.own, set.as_ref());
        self.broadcast(outer);
    }

    fn raw_view_change(&mut self, read: &Pbft) {
        if let Some((proposal, prepares)) = &read.set {
            let proposal = Pbft::read(proposal);
            let prepares: Vec<Pbft> = prepares.iter().map(|prepare| Pbft::read(prepare)).collect();
            let place = (proposal.view, proposal.sequence, &proposal.digest);
            assert!(prepares.iter().all(|it| it.kind == PREPARE && (it.view, it.sequence, &it.digest) == place));
            let replicas: BTreeSet<i64> = prepares.iter().map(|it| it.replica).collect();
            assert!(replicas.len() >= Q, "q distinct prepares");
            assert_eq!((proposal.kind, &read.digest), (PRE_PREPARE, &proposal.digest));
            if proposal.sequence == self.last + 1
                && self.kept.as_ref().is_none_or(|(kept, _)| Pbft::read(kept).view < proposal.view)
            {
                self.kept = read.set.clone();
            }
        } else {
            assert!(read.digest.is_empty(), "nothing is prepared");
        }
        self.heard_changes.push((read.view, read.replica, read.digest.clone()));
        if read.view <= self.view {
            return;
        }
        let changes = self.changes.entry(read.view).or_default();
        if changes.iter().all(|(replica, _)| *replica != read.replica) {
            changes.push((read.replica, read.inner.clone()));
        }
        let changes = changes.clone();
        if changes.len() == Q && read.view > self.target.max(self.view) {
            self.leave(read.view);
        }
        if changes.len() == Q + 1 && read.view % COUNT == self.own && read.view >= self.target {
            let listed: Vec<Vec<u8>> = changes.iter().map(|(_, inner)| inner.clone()).collect();
            let kept = self.kept.as_ref().map(|(proposal, _)| proposal.clone());
            let sequence = Pbft::read(&listed[0]).sequence;
            let opened = pbft::new_view(&self.key, read.view, sequence, self.own, &listed, kept.as_deref());
            self.broadcast(opened);
            self.enter(read.view, self.own, kept);
        }
    }

    fn new_view(&mut self, read: &Pbft) {
        assert_eq!(read.replica, read.view % COUNT, "only its primary opens a view");
        self.heard_new_views.push((read.view, read.round));
        let changes: Vec<Pbft> = read.changes.iter().map(|inner| Pbft::read(inner)).collect();
        assert!(changes.iter().all(|it| it.kind == pbft::VIEW_CHANGE && it.view == read.view));
        let replicas: BTreeSet<i64> = changes.iter().map(|it| it.replica).collect();
        assert!(replicas.len() > Q, "q + 1 distinct view changes");
        if let Some(kept) = &read.kept {
            assert_eq!(Pbft::read(kept).kind, PRE_PREPARE);
        }
        if read.view > self.view {
            self.enter(read.view, read.replica, read.kept.clone());
        }
    }

    fn enter(&mut self, view: i64, by: i64, kept: Option<Vec<u8>>) {
        self.opened.insert(view, (by, kept));
        (self.view, self.is_active) = (view, true);
        self.changes.retain(|target, _| *target > view);
        self.deadline = Instant::now() + self.interval * 3;
    }

    // ---- Ledgers that it missed (section 6).

    fn ask_for_next(&mut self) {
        if self.asked.is_none_or(|asked| asked.elapsed() > self.interval / 2) {
            self.asked = Some(Instant::now());
            let next = self.last + 1;
            self.peers[0].request(LEDGERS, &get_ledgers(next, next, 0));
        }
    }

    fn catch_up(&mut self, ledgers: &Fields) {
        let value = ledgers.bytes(1).to_vec();
        if Fields::read(&value).number(4) != self.last + 1 {
            return;
        }
        let proof = Fields::read(ledgers.bytes(4));
        let commits: Vec<Pbft> = proof.all(1).map(Pbft::read).collect();
        let replicas: BTreeSet<i64> = commits.iter().map(|it| it.replica).collect();
        assert!(replicas.len() == commits.len() && commits.len() > Q, "a proof has q + 1 distinct commits");
        assert!(commits.iter().all(|it| it.kind == COMMIT && it.digest == sha256(&value)));
        let (sequence, view) = (self.last + 1, commits[0].view);
        self.close(Closed { sequence, view, value, is_agreed: false, replicas }, ledgers.bytes(4).to_vec());
        self.asked = None;
        if ledgers.number(3) > self.last {
            self.ask_for_next();
        }
    }
}
