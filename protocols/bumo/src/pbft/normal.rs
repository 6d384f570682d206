//! Agrees on a ledger within a view: proposal, prepares, commits (BUMO spec, section 7.5).

use super::Pbft;
use super::ahead::Early;
use super::border::{Ignored, Output, Replica, Seen};
use super::commits::Before;
use super::instance::Proposal;
use super::message::{self, Place};
use super::roster::Claim;
use crate::hash::Hash;
use crate::ledger::{self, Judgement, ProposeError};
use crate::proof;
use crate::wire;
use alloc::vec::Vec;
use bytes::Bytes;
use polypeer_engine::Time;

/// Ledgers beyond the last one of which something is kept (BUMO spec, section 7.4).
pub(super) const WINDOW: i64 = 10;

impl Pbft {
    // ---- Proposals.

    /// Proposes if it is this validator's turn and time.
    ///
    /// What a majority may have committed to in an earlier view is proposed again, whatever the ledger thinks of it
    /// now: that a majority prepared it weighs more. The original proposes something else then.
    pub(super) fn propose(&mut self, now: Time) {
        let place = self.place();
        let is_turn = self.own.is_some_and(|own| self.roster.is_primary(own, place.view));
        let is_free = self.change.is_none() && self.closing.is_none() && self.instance.proposal.is_none();
        let is_asked =
            self.proposing.is_some() || self.is_asked(|what| matches!(what, super::voting::What::Proposal { .. }));
        if !is_turn || !is_free || is_asked || now < self.propose_from() || !self.may_propose() {
            return;
        }
        match self.kept.as_ref().map(|kept| (kept.value.clone(), kept.digest)) {
            Some((value, digest)) => {
                let judgement = self.judgement_of(&digest);
                self.vote_proposal(value, digest, 1, judgement);
            }
            None => {
                self.proposing = Some(place);
                self.out.push(Output::Propose);
            }
        }
    }

    /// When to propose: an interval after the last ledger closed. What is kept has waited already.
    pub(super) fn propose_from(&self) -> Time {
        if self.kept.is_some() { Time::ZERO } else { self.propose_at }
    }

    /// False when this validator proposed something in this view before a crash, and does not have it any more.
    pub(super) fn may_propose(&self) -> bool {
        let kept = self.kept.as_ref().map(|kept| kept.digest);
        self.promises.proposed_at(self.place()).is_none_or(|proposed| Some(proposed) == kept)
    }

    /// The value that was wanted.
    pub fn proposed(&mut self, now: Time, answer: Result<ledger::Proposal, ProposeError>) {
        let asked_for = self.proposing.take();
        match answer {
            Ok(made) if asked_for == Some(self.place()) && made.seq == self.last + 1 && self.kept.is_none() => {
                if self.change.is_none() && self.closing.is_none() && self.instance.proposal.is_none() {
                    self.vote_proposal(made.value, made.digest, 1, Some(Judgement::Valid));
                }
            }
            // The view or the ledger has moved on.
            Ok(_) => self.propose(now),
            Err(_) => self.propose_at = now + self.settings.timers.retry,
        }
    }

    pub(super) fn own_proposal(
        &mut self,
        now: Time,
        place: Place,
        (digest, value): (Hash, Bytes),
        round: i64,
        judgement: Option<Judgement>,
        envelope: Bytes,
    ) {
        if place != self.place() || self.change.is_some() {
            return;
        }
        self.broadcast(envelope.clone(), false);
        if let Some(proposal) = &mut self.instance.proposal {
            (proposal.round, proposal.at) = (round, now);
            return;
        }
        self.instance.proposal = Some(Proposal { digest, value, envelope, round, at: now, judgement });
        self.judge();
        self.advance(now);
    }

    pub(super) fn pre_prepare(
        &mut self,
        now: Time,
        data: &Bytes,
        claim: &Claim<'_>,
        proposal: &wire::PrePrepare<'_>,
    ) -> Result<Seen, Ignored> {
        let place = Place::new(proposal.view_number, proposal.sequence)?;
        self.in_window(place)?;
        if !self.roster.is_primary(claim.replica, place.view) {
            return Err(Ignored::NotPrimary);
        }
        let digest = message::digest(proposal.value_digest)?;
        if !self.is_current(place) {
            return self.early(data, claim, place, digest, Some(proposal.value));
        }
        if self.instance.proposal.is_some() {
            return self.repeated_proposal(now, claim, digest);
        }
        if self.settings.hash.hash(proposal.value) != digest {
            return Err(Ignored::Digest);
        }
        claim.verify(&self.settings)?;
        let value = data.slice_ref(proposal.value);
        self.take_proposal(now, digest, value, claim.round, data.clone());
        Ok(Seen::Fresh)
    }

    // Its hash and signature are right.
    fn take_proposal(&mut self, now: Time, digest: Hash, value: Bytes, round: i64, envelope: Bytes) {
        let judgement = self.judgement_of(&digest);
        self.instance.proposal = Some(Proposal { digest, value, envelope, round, at: now, judgement });
        self.judge();
        self.advance(now);
        self.close_final(now);
    }

    // A repetition is answered by one, so that whoever missed a prepare gets it.
    fn repeated_proposal(&mut self, now: Time, claim: &Claim<'_>, digest: Hash) -> Result<Seen, Ignored> {
        let place = self.place();
        let Some(proposal) = &mut self.instance.proposal else { return Err(Ignored::Duplicate) };
        if proposal.digest != digest {
            claim.verify(&self.settings)?;
            return Err(self.equivocation(claim.replica, place));
        }
        if claim.round <= proposal.round || now < proposal.at + self.settings.timers.repeat_proposal / 2 {
            return Err(Ignored::Duplicate);
        }
        claim.verify(&self.settings)?;
        (proposal.round, proposal.at) = (claim.round, now);
        if self.instance.prepared_in.is_some_and(|(round, _)| claim.round > round) {
            self.vote_prepare(now, claim.round);
        }
        Ok(Seen::Fresh)
    }

    // ---- Judgements.

    // Asks for the ledger's judgement of the proposal, unless it is known.
    pub(super) fn judge(&mut self) {
        let Some(proposal) = &self.instance.proposal else { return };
        if proposal.judgement.is_none() {
            self.out.push(Output::Judge { digest: proposal.digest, value: proposal.value.clone() });
        }
    }

    // "Valid" is for good, "doubtful" may be a matter of time.
    fn judgement_of(&self, digest: &Hash) -> Option<Judgement> {
        self.valid.as_ref().filter(|valid| *valid == digest).map(|_| Judgement::Valid)
    }

    /// What the ledger thinks of a value on top of the last ledger.
    pub fn judged(&mut self, now: Time, digest: Hash, judgement: Judgement) {
        let Some(proposal) = self.instance.proposal.as_mut().filter(|proposal| proposal.digest == digest) else {
            return;
        };
        proposal.judgement = Some(judgement);
        if judgement == Judgement::Valid {
            self.valid = Some(digest);
            self.advance(now);
        }
    }

    // ---- Prepares.

    pub(super) fn prepare(
        &mut self,
        now: Time,
        data: &Bytes,
        claim: &Claim<'_>,
        vote: &wire::Vote<'_>,
    ) -> Result<Seen, Ignored> {
        let place = Place::of(vote)?;
        self.in_window(place)?;
        let digest = message::digest(vote.value_digest)?;
        if !self.is_current(place) {
            return self.early(data, claim, place, digest, None);
        }
        match self.instance.prepare_of(claim.replica) {
            Some((before, _)) if before != digest => {
                claim.verify(&self.settings)?;
                return Err(self.equivocation(claim.replica, place));
            }
            Some((_, round)) if claim.round <= round => return Err(Ignored::Duplicate),
            _ => {}
        }
        // What is prepared needs no more of them, but who repeats one may lack our commit.
        let is_done = self.instance.is_prepared && (self.own.is_none() || self.instance.committed_in.is_some());
        if self.closing.is_some() || is_done && !self.wants_commit_again(now, claim.round) {
            return Ok(Seen::Stale);
        }
        claim.verify(&self.settings)?;
        self.take_prepare(now, claim.replica, digest, claim.round, data.clone());
        Ok(Seen::Fresh)
    }

    fn take_prepare(&mut self, now: Time, replica: Replica, digest: Hash, round: i64, envelope: Bytes) {
        self.instance.prepare(replica, digest, round, envelope);
        if self.wants_commit_again(now, round) {
            self.vote_commit(now, round);
        }
        self.advance(now);
    }

    // Each further round of prepares is answered by a commit of that round, not too often.
    fn wants_commit_again(&self, now: Time, round: i64) -> bool {
        let gap = self.settings.timers.repeat_proposal / 2;
        self.instance.committed_in.is_some_and(|(last, at)| round > last && now >= at + gap)
    }

    pub(super) fn own_prepare(&mut self, now: Time, place: Place, digest: Hash, round: i64, envelope: Bytes) {
        let Some(own) = self.own else { return };
        if place == self.place() && self.change.is_none() {
            self.broadcast(envelope.clone(), false);
            self.take_prepare(now, own, digest, round, envelope);
        }
    }

    // ---- Commits.

    pub(super) fn commit(
        &mut self,
        now: Time,
        data: &Bytes,
        claim: &Claim<'_>,
        vote: &wire::Vote<'_>,
    ) -> Result<Seen, Ignored> {
        let place = Place::of(vote)?;
        let digest = message::digest(vote.value_digest)?;
        if place.sequence < self.last || place.sequence == self.last && place.view < self.view {
            self.help(now, claim)?;
            return Err(Ignored::Old);
        }
        if place.sequence == self.last + 1 && self.closing.is_some() {
            return Ok(Seen::Stale);
        }
        match self.commits.before(claim.replica, place, &digest) {
            Before::Same => return Err(Ignored::Duplicate),
            Before::Other => {
                claim.verify(&self.settings)?;
                return Err(self.equivocation(claim.replica, place));
            }
            Before::Nothing => claim.verify(&self.settings)?,
        }
        self.commits.insert(claim.replica, place, digest, data.clone());
        self.count_commits(now, place, digest);
        Ok(Seen::Fresh)
    }

    pub(super) fn own_commit(&mut self, now: Time, place: Place, digest: Hash, envelope: Bytes) {
        let Some(own) = self.own.filter(|_| place.sequence == self.last + 1) else { return };
        self.broadcast(envelope.clone(), false);
        if self.commits.before(own, place, &digest) == Before::Nothing {
            self.commits.insert(own, place, digest, envelope);
            self.count_commits(now, place, digest);
        }
    }

    // A majority of commits is final in any view, also in one that was left or not yet entered.
    fn count_commits(&mut self, now: Time, place: Place, digest: Hash) {
        if self.commits.count(place, &digest) < self.roster.majority() {
            return;
        }
        if place.sequence == self.last {
            // The ledger that is closed here was committed in a later view too: its committers are there.
            if digest == self.value_hash && place.view >= self.view {
                self.enter(now, place.view + 1);
            }
        } else if place.sequence == self.last + 1 {
            self.close(now, place, digest);
        } else {
            self.fell_behind(now, place.sequence);
        }
    }

    fn close(&mut self, now: Time, place: Place, digest: Hash) {
        if self.closing.is_some() || self.not_closed == Some(digest) {
            return;
        }
        let Some(value) = self.value(place, &digest) else {
            self.tell_behind(now, place.sequence);
            return;
        };
        let commits = self.commits.envelopes(place, &digest);
        let commits: Vec<&[u8]> = commits.iter().map(AsRef::as_ref).collect();
        self.closing = Some((place, digest));
        self.out.push(Output::Close { value, proof: proof::build(&commits) });
    }

    // The value of this hash, where it was proposed or prepared.
    fn value(&self, place: Place, digest: &Hash) -> Option<Bytes> {
        let proposed = self.instance.proposal.as_ref().map(|proposal| (&proposal.digest, &proposal.value));
        let kept = self.kept.as_ref().map(|kept| (&kept.digest, &kept.value));
        if let Some((_, value)) = proposed.into_iter().chain(kept).find(|(known, _)| *known == digest) {
            return Some(value.clone());
        }
        self.ahead.proposed(place, digest).filter(|value| self.settings.hash.hash(value) == *digest).cloned()
    }

    /// The ledger did not close what it was given. It comes by sync, if it can.
    pub fn not_closed(&mut self, now: Time) {
        self.not_closed = self.closing.take().map(|(_, digest)| digest);
        self.propose(now);
    }

    fn fell_behind(&mut self, now: Time, sequence: i64) {
        // The others are well: it is not the view's fault.
        self.view_ends = self.view_ends.map(|_| now + self.settings.timers.view);
        self.tell_behind(now, sequence);
    }

    /// Says so now and then: one liar can claim it too.
    pub(super) fn tell_behind(&mut self, now: Time, sequence: i64) {
        let gap = self.settings.timers.repeat_proposal;
        if sequence > self.last && self.told_behind.is_none_or(|at| now >= at + gap) {
            self.told_behind = Some(now);
            self.out.push(Output::Behind { sequence });
        }
    }

    // ---- All of them.

    /// Does what has become possible: prepares what is valid, commits what is prepared.
    pub(super) fn advance(&mut self, now: Time) {
        if self.instance.prepared_in.is_none() {
            self.vote_prepare(now, 1);
        }
        if !self.instance.is_prepared
            && let Some(prepared) = self.instance.prepared(&self.roster)
        {
            self.instance.is_prepared = true;
            self.keep(prepared);
        }
        if self.instance.is_prepared && self.instance.committed_in.is_none() {
            self.vote_commit(now, 1);
        }
    }

    /// Closes what was committed before its value was here.
    pub(super) fn close_final(&mut self, now: Time) {
        if let Some((place, digest)) = self.commits.final_at(self.last + 1, self.roster.majority()) {
            self.close(now, place, digest);
        }
    }

    /// Takes up what came too early and what can be done now.
    pub(super) fn settle(&mut self, now: Time) {
        if self.change.is_none() {
            for early in self.ahead.take(self.place()) {
                self.take_early(now, early);
            }
        }
        self.advance(now);
        self.close_final(now);
        self.propose(now);
    }

    fn take_early(&mut self, now: Time, early: Early) {
        match early.value {
            Some(value) => {
                let is_right = self.settings.hash.hash(&value) == early.digest;
                if self.instance.proposal.is_none() && is_right {
                    self.take_proposal(now, early.digest, value, early.round, early.envelope);
                }
            }
            None if self.instance.prepare_of(early.replica).is_none() => {
                self.take_prepare(now, early.replica, early.digest, early.round, early.envelope);
            }
            None => {}
        }
    }

    // Keeps a message until its view and ledger come.
    fn early(
        &mut self,
        data: &Bytes,
        claim: &Claim<'_>,
        place: Place,
        digest: Hash,
        value: Option<&[u8]>,
    ) -> Result<Seen, Ignored> {
        if self.ahead.has(claim.replica, place, value.is_some(), claim.round) {
            return Err(Ignored::Duplicate);
        }
        claim.verify(&self.settings)?;
        let value = value.map(|value| data.slice_ref(value));
        let (replica, round) = (claim.replica, claim.round);
        let is_kept = self.ahead.insert(Early { replica, place, round, digest, value, envelope: data.clone() });
        if is_kept { Ok(Seen::Fresh) } else { Err(Ignored::Full) }
    }

    // Proposals and prepares matter for the own view and ledger, and for those to come.
    fn in_window(&self, place: Place) -> Result<(), Ignored> {
        if place.sequence > self.last + WINDOW {
            return Err(Ignored::Beyond);
        }
        if place < self.place() || place.view < self.view { Err(Ignored::Old) } else { Ok(()) }
    }

    fn is_current(&self, place: Place) -> bool {
        self.change.is_none() && place == self.place()
    }

    fn equivocation(&mut self, replica: Replica, place: Place) -> Ignored {
        self.out.push(Output::Equivocation { replica, sequence: place.sequence, view: place.view });
        Ignored::Equivocation
    }
}
