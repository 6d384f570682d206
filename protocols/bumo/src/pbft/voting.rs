//! Asks for signatures, and sends what was signed: never before the vote is durable.

use super::Pbft;
use super::border::Output;
use super::message::{self, Place, Prepared};
use super::promises::{Vote, VoteKind};
use crate::hash::Hash;
use crate::ledger::{Judgement, SignError, Signed};
use crate::wire::{Body, PbftEnv, Signature};
use bytes::Bytes;
use polypeer_engine::Time;

/// What is being signed. There is one of each at most; a newer one takes the place of an older.
#[derive(Debug)]
pub(super) struct Asked {
    pub(super) ticket: u64,
    pub(super) what: What,
    // What is signed.
    pbft: Bytes,
    // Whether the vote has its record written with this signature.
    is_first: bool,
}

/// What a signature is for.
#[derive(Clone, Debug)]
pub(super) enum What {
    Proposal {
        place: Place,
        digest: Hash,
        value: Bytes,
        round: i64,
        judgement: Option<Judgement>,
    },
    Prepare {
        place: Place,
        digest: Hash,
        round: i64,
    },
    Commit {
        place: Place,
        digest: Hash,
    },
    /// The inner view change.
    Change {
        target: i64,
    },
    /// The outer one.
    RawChange {
        target: i64,
        round: i64,
    },
    NewView {
        target: i64,
        round: i64,
    },
}

impl Pbft {
    /// As primary: proposes this value, or repeats it. False when an earlier vote forbids it.
    pub(super) fn vote_proposal(
        &mut self,
        value: Bytes,
        digest: Hash,
        round: i64,
        judgement: Option<Judgement>,
    ) -> bool {
        let (Some(own), place) = (self.own, self.place()) else { return false };
        let Some(keep) = self.bind(VoteKind::Proposal, place, Some(digest), None) else { return false };
        let pbft = message::pre_prepare(&self.settings, round, place, own, &value, &digest);
        self.ask(What::Proposal { place, digest, value, round, judgement }, pbft, keep);
        true
    }

    /// As backup: votes for the proposal, if it is valid and no other value may be final.
    ///
    /// That is the rule on which agreement rests; see [`super`]. The original has no such rule.
    pub(super) fn vote_prepare(&mut self, now: Time, round: i64) {
        let (Some(own), None, None) = (self.own, &self.change, &self.closing) else { return };
        let place = self.place();
        if self.roster.len() > 1 && self.roster.is_primary(own, place.view) {
            return;
        }
        let Some(digest) = self.instance.valid().map(|proposal| proposal.digest) else { return };
        if self.kept.as_ref().is_some_and(|kept| kept.digest != digest) {
            return;
        }
        let Some(keep) = self.bind(VoteKind::Prepare, place, Some(digest), None) else { return };
        self.instance.prepared_in = Some((round, now));
        let pbft = message::pbft(&self.settings, round, Body::Prepare(message::vote(place, own, &digest)));
        self.ask(What::Prepare { place, digest, round }, pbft, keep);
    }

    /// Votes to make the prepared value final, if it is valid.
    pub(super) fn vote_commit(&mut self, now: Time, round: i64) {
        let (Some(own), None, None) = (self.own, &self.change, &self.closing) else { return };
        let place = self.place();
        let Some(digest) = self.instance.valid().map(|proposal| proposal.digest) else { return };
        // What is prepared here is kept, unless a later view's was heard of: then this one will not be final.
        let Some(kept) = self.kept.clone().filter(|kept| self.instance.is_prepared && kept.digest == digest) else {
            return;
        };
        let Some(keep) = self.bind(VoteKind::Commit, place, Some(digest), Some(&kept)) else { return };
        self.instance.committed_in = Some((round, now));
        let pbft = message::pbft(&self.settings, round, Body::Commit(message::vote(place, own, &digest)));
        self.ask(What::Commit { place, digest }, pbft, keep);
    }

    /// Asks for a new view. False when an earlier vote forbids it.
    pub(super) fn vote_change(&mut self, target: i64, prepared: Option<&Prepared>) -> bool {
        let Some(own) = self.own else { return false };
        let place = Place { sequence: self.last + 1, view: target };
        let digest = prepared.map(|prepared| prepared.digest);
        let Some(keep) = self.bind(VoteKind::ViewChange, place, digest, prepared) else { return false };
        let pbft = message::view_change(&self.settings, target, self.last, own, digest.as_ref());
        self.ask(What::Change { target }, pbft, keep);
        true
    }

    /// What binds to nothing: the outer envelope of a view change, a new view.
    pub(super) fn ask_freely(&mut self, what: What, pbft: Bytes) {
        self.ask(what, pbft, Bytes::new());
    }

    /// Whether a signature of this kind is awaited.
    pub(super) fn is_asked(&self, kind: fn(&What) -> bool) -> bool {
        self.asked.iter().any(|asked| kind(&asked.what))
    }

    // Binds the validator to a vote and what it rests on, and gives its record; an empty one if the log has it. Nothing
    // when it would contradict an earlier vote.
    fn bind(
        &mut self,
        kind: VoteKind,
        place: Place,
        digest: Option<Hash>,
        rests_on: Option<&Prepared>,
    ) -> Option<Bytes> {
        if !self.promises.allow(kind, place, digest.as_ref()) {
            return None;
        }
        if !self.is_log_doubtful && self.promises.holds(kind, place, digest.as_ref()) {
            return Some(Bytes::new());
        }
        // A value can have megabytes: it is written once.
        let unwritten = rests_on.filter(|prepared| self.is_log_doubtful || self.logged != Some(prepared.place));
        self.logged = unwritten.map(|prepared| prepared.place).or(self.logged);
        let vote = Vote { kind, place, digest, evidence: unwritten.map(Prepared::evidence).unwrap_or_default() };
        self.promises.note(&vote);
        Some(vote.encode())
    }

    fn ask(&mut self, what: What, pbft: Bytes, keep: Bytes) {
        let same = core::mem::discriminant(&what);
        self.asked.retain(|asked| core::mem::discriminant(&asked.what) != same);
        self.tickets += 1;
        let ticket = self.tickets;
        self.asked.push(Asked { ticket, what, pbft: pbft.clone(), is_first: !keep.is_empty() });
        self.out.push(Output::Sign { ticket, pbft, keep });
    }

    /// What was asked to be signed is signed and its vote durable, or it is refused.
    pub fn signed(&mut self, now: Time, ticket: u64, answer: Result<Signed, SignError>) {
        let Some(index) = self.asked.iter().position(|asked| asked.ticket == ticket) else {
            // A newer question took its place. Its vote may be missing from the log all the same.
            self.is_log_doubtful |= answer.is_err();
            return;
        };
        let asked = self.asked.swap_remove(index);
        let Ok(signed) = answer else {
            self.is_log_doubtful |= asked.is_first;
            return;
        };
        let signature = Signature { public_key: &signed.public_key, sign_data: &signed.sign_data };
        let envelope = PbftEnv::seal(&asked.pbft, signature);
        match asked.what {
            What::Proposal { place, digest, value, round, judgement } => {
                self.own_proposal(now, place, (digest, value), round, judgement, envelope);
            }
            What::Prepare { place, digest, round } => self.own_prepare(now, place, digest, round, envelope),
            What::Commit { place, digest } => self.own_commit(now, place, digest, envelope),
            What::Change { target } => self.own_change(target, envelope),
            What::RawChange { target, round } => self.own_raw_change(now, target, round, envelope),
            What::NewView { target, round } => self.own_new_view(now, target, round, envelope),
        }
    }

    /// Sends it to all.
    pub(super) fn broadcast(&mut self, envelope: Bytes, is_repeat: bool) {
        self.out.push(Output::Broadcast { envelope, is_repeat });
    }
}
