//! Moves from view to view (BUMO spec, section 7.8).

use super::Pbft;
use super::border::{Ignored, Seen};
use super::changes::Change;
use super::message::{self, Place, Prepared, digest};
use super::roster::Claim;
use super::voting::What;
use crate::hash::Hash;
use crate::wire::{Body, NewView, PbftEnv, RawViewChange, ViewChange};
use alloc::collections::BTreeSet;
use alloc::vec::Vec;
use bytes::Bytes;
use polypeer_engine::Time;

/// View changes of our own that are kept for those who are still there.
const SENT_MAX: usize = 4;
/// View changes that a new view may list, for each validator. Honest ones list one of each; the original counts
/// replicas, so that more are no fault.
const LISTED_PER_VALIDATOR_MAX: usize = 2;

/// A view change of our own that no new view has answered yet. No vote is cast meanwhile.
///
/// ```text
///   the view takes too long,                     q + 1 view changes
///   or f + 1 others move on                         to this view
///  active ------------------> asking for view t ---------------------> waiting for its primary
///    ^                          |  ^                                        |          |
///    |    new view t or later,  |  |       30 s more: asking for t + 1      |          |
///    +--- or a ledger closes ---+--+----------------------------------------+          |
///    |                                                                                 |
///    +---- as primary of t: sends the new view, enters it, proposes -------------------+
/// ```
#[derive(Debug)]
pub(super) struct OwnChange {
    pub(super) target: i64,
    prepared: Option<Prepared>,
    inner: Option<Bytes>,
    pub(super) round: i64,
    pub(super) asked_at: Time,
    /// Since when a majority wants the same.
    pub(super) waits_since: Option<Time>,
    /// Since when a majority wants this or a later view, and none this one.
    pub(super) outgrown_since: Option<Time>,
}

impl OwnChange {
    fn new(now: Time, target: i64, prepared: Option<Prepared>) -> Self {
        Self { target, prepared, inner: None, round: 0, asked_at: now, waits_since: None, outgrown_since: None }
    }
}

/// The new view that this validator opened, which it repeats until the ledger is closed.
#[derive(Debug)]
pub(super) struct Opened {
    place: Place,
    changes: Vec<Bytes>,
    pre_prepare: Option<Bytes>,
    pub(super) round: i64,
    pub(super) at: Time,
}

impl Pbft {
    // ---- Our own view change.

    /// Leaves the view for this one: votes no more until it is opened. A follower only waits.
    pub(super) fn start_change(&mut self, now: Time, target: i64) {
        let is_later = target > self.view && self.change.as_ref().is_none_or(|change| target > change.target);
        if self.own.is_none() || !is_later || target > message::NUMBER_MAX {
            return;
        }
        let prepared = self.kept.clone();
        if self.vote_change(target, prepared.as_ref()) {
            self.proposing = None;
            self.view_ends = None;
            self.change = Some(OwnChange::new(now, target, prepared));
        }
    }

    /// After a crash: takes up the view change that was signed before it, or a later one if what it reported is lost.
    pub(super) fn resume_change(&mut self, now: Time, target: i64, said: Option<Hash>) {
        let prepared = self.kept.clone().filter(|kept| Some(kept.digest) == said);
        if prepared.is_some() == said.is_some() && self.vote_change(target, prepared.as_ref()) {
            self.view_ends = None;
            self.change = Some(OwnChange::new(now, target, prepared));
        } else {
            self.start_change(now, target + 1);
        }
    }

    pub(super) fn own_change(&mut self, target: i64, envelope: Bytes) {
        let Some(change) = self.change.as_mut().filter(|change| change.target == target) else { return };
        change.inner = Some(envelope);
        self.ask_raw_change(0);
    }

    // The outer envelope, which changes with each repetition.
    fn ask_raw_change(&mut self, round: i64) {
        let Some(change) = &self.change else { return };
        let Some(inner) = &change.inner else { return };
        let target = change.target;
        let pbft = message::raw_view_change(&self.settings, round, inner, change.prepared.as_ref());
        self.ask_freely(What::RawChange { target, round }, pbft);
    }

    /// Repeats it, from its beginning if a signature failed.
    pub(super) fn repeat_change(&mut self, now: Time) {
        let Some(change) = &mut self.change else { return };
        change.asked_at = now;
        let (target, round) = (change.target, change.round);
        if change.inner.is_some() {
            self.ask_raw_change(round + 1);
        } else {
            let prepared = change.prepared.clone();
            self.vote_change(target, prepared.as_ref());
        }
    }

    pub(super) fn own_raw_change(&mut self, now: Time, target: i64, round: i64, envelope: Bytes) {
        let Some(own) = self.own else { return };
        let Some(change) = self.change.as_mut().filter(|change| change.target == target) else { return };
        (change.round, change.asked_at) = (round, now);
        let Some(inner) = change.inner.clone() else { return };
        let digest = change.prepared.as_ref().map(|prepared| prepared.digest);
        self.sent.retain(|(sent, _)| *sent != target);
        if self.sent.len() >= SENT_MAX {
            self.sent.remove(0);
        }
        self.sent.push((target, envelope.clone()));
        self.broadcast(envelope, false);
        self.changes.insert(Change { replica: own, target, last: self.last, digest, inner, round });
        self.count_changes(now, target);
    }

    // ---- Those of others.

    pub(super) fn raw_change(
        &mut self,
        now: Time,
        data: &Bytes,
        claim: &Claim<'_>,
        raw: &RawViewChange<'_>,
    ) -> Result<Seen, Ignored> {
        let listed = raw.view_change_env.ok_or(Ignored::Malformed)?;
        let inner = self.roster.claim(&listed.open().map_err(|_| Ignored::Malformed)?, &self.settings)?;
        let Body::ViewChange(change) = inner.body else { return Err(Ignored::Malformed) };
        let target = Place::new(change.view_number, change.sequence)?.view;
        if target < self.view {
            self.help(now, claim)?;
            return Err(Ignored::Old);
        }
        let known = self.changes.find(claim.replica, target);
        if known.is_some_and(|known| claim.round <= known.round) {
            return Err(Ignored::Duplicate);
        }
        let is_known = known.is_some_and(|known| known.inner == listed.bytes);
        claim.verify(&self.settings)?;
        if !is_known {
            inner.verify(&self.settings)?;
        }
        let prepared = self.reported(data, raw, &change)?;
        let digest = prepared.as_ref().map(|prepared| prepared.digest);
        if let Some(prepared) = prepared {
            self.learn(now, prepared);
        }
        self.help_back(now, target, change.sequence);
        if target > self.view {
            let inner = Bytes::copy_from_slice(listed.bytes);
            let (replica, round) = (claim.replica, claim.round);
            self.changes.insert(Change { replica, target, last: change.sequence, digest, inner, round });
            self.join(now);
            self.count_changes(now, target);
        }
        Ok(Seen::Fresh)
    }

    // What a view change reports as prepared; it must say the same inside and outside.
    fn reported(
        &mut self,
        data: &Bytes,
        raw: &RawViewChange<'_>,
        change: &ViewChange<'_>,
    ) -> Result<Option<Prepared>, Ignored> {
        let prepared = match &raw.prepared_set {
            Some(set) => Some(Prepared::read(data, set, self.kept.as_ref(), &mut self.roster, &self.settings)?),
            None => None,
        };
        let said = prepared.as_ref().map_or(&[][..], |prepared| prepared.digest.as_ref());
        if said == change.prepared_value_digest { Ok(prepared) } else { Err(Ignored::PreparedSet) }
    }

    // A majority prepared this. If it is of a later view than what is kept, that is what may be final.
    fn learn(&mut self, now: Time, prepared: Prepared) {
        if prepared.place.sequence == self.last + 1 {
            self.keep(prepared);
            self.advance(now);
            self.close_final(now);
        } else if prepared.place.sequence > self.last + 1 {
            // A majority has what is still missing here.
            self.tell_behind(now, prepared.place.sequence - 1);
        }
    }

    /// Keeps what a majority prepared, if it is of a later view than what is kept.
    pub(super) fn keep(&mut self, prepared: Prepared) {
        if self.kept.as_ref().is_none_or(|kept| kept.place < prepared.place) {
            self.kept = Some(prepared);
        }
    }

    // Moves on with f + 1 others, of whom one is honest. The original does not, and can wait for ever.
    fn join(&mut self, now: Time) {
        if let Some(target) = self.changes.wanted_by(self.roster.faults() + 1, self.own) {
            self.start_change(now, target);
        }
    }

    fn count_changes(&mut self, now: Time, target: i64) {
        if self.changes.to(target).count() < self.roster.majority() {
            self.count_later(now);
            return;
        }
        let Some(change) = self.change.as_mut().filter(|change| change.target <= target) else { return };
        if self.own.is_some_and(|own| self.roster.is_primary(own, target)) {
            self.open(now, target);
        } else if change.target == target && change.waits_since.is_none() {
            change.waits_since = Some(now);
            change.outgrown_since = None;
        }
    }

    // Others may have moved on before their wish for our view could be heard. Then none will open it.
    fn count_later(&mut self, now: Time) {
        let majority = self.roster.majority();
        let is_later = |target: i64| self.changes.wanted_by(majority, None).is_some_and(|wanted| wanted >= target);
        let is_outgrown =
            self.change.as_ref().is_some_and(|change| change.waits_since.is_none() && is_later(change.target));
        if let Some(change) = self.change.as_mut().filter(|_| is_outgrown) {
            change.outgrown_since = change.outgrown_since.or(Some(now));
        }
    }

    // ---- New views.

    // Opens a view as its primary.
    fn open(&mut self, now: Time, target: i64) {
        let is_asked = self.is_asked(|what| matches!(what, What::NewView { .. }));
        if is_asked && self.opened.as_ref().is_some_and(|opened| opened.place.view >= target) {
            return;
        }
        let changes: Vec<_> = self.changes.to(target).map(|change| change.inner.clone()).collect();
        let sequence = self.changes.to(target).next().map_or(self.last, |change| change.last);
        let pre_prepare = self.kept.as_ref().map(|kept| kept.pre_prepare.clone());
        let place = Place { sequence, view: target };
        self.opened = Some(Opened { place, changes, pre_prepare, round: 0, at: now });
        self.ask_new_view(0);
    }

    fn ask_new_view(&mut self, round: i64) {
        let (Some(own), Some(opened)) = (self.own, &self.opened) else { return };
        let pre_prepare = opened.pre_prepare.as_deref();
        let pbft = message::new_view(&self.settings, round, opened.place, own, &opened.changes, pre_prepare);
        let target = opened.place.view;
        self.ask_freely(What::NewView { target, round }, pbft);
    }

    /// Repeats the new view, for those that missed it. The first repetition counts as the second round.
    pub(super) fn repeat_new_view(&mut self, now: Time) {
        let Some(opened) = &mut self.opened else { return };
        opened.at = now;
        let round = opened.round.max(1) + 1;
        self.ask_new_view(round);
    }

    pub(super) fn own_new_view(&mut self, now: Time, target: i64, round: i64, envelope: Bytes) {
        let Some(opened) = self.opened.as_mut().filter(|opened| opened.place.view == target) else { return };
        (opened.round, opened.at) = (round, now);
        self.broadcast(envelope.clone(), false);
        let may_enter = target > self.view && self.change.as_ref().is_none_or(|change| change.target <= target);
        if may_enter {
            self.enter(now, target);
            self.new_view = Some(envelope);
        }
    }

    /// Checks a new view whole, what is in it too (the original does not), and enters it.
    pub(super) fn new_view(
        &mut self,
        now: Time,
        data: &Bytes,
        claim: &Claim<'_>,
        opened: &NewView<'_>,
    ) -> Result<Seen, Ignored> {
        let target = Place::new(opened.view_number, opened.sequence)?.view;
        if !self.roster.is_primary(claim.replica, target) {
            return Err(Ignored::NotPrimary);
        }
        if target < self.view {
            return Err(Ignored::Old);
        }
        if opened.view_changes.len() > LISTED_PER_VALIDATOR_MAX * self.roster.len() {
            return Err(Ignored::ViewChanges);
        }
        // Each repetition of an open view is another message; one in a while is enough to relay.
        let gap = self.settings.timers.repeat_new_view / 2;
        if target == self.view && self.opened_at.is_some_and(|at| now < at + gap) {
            return Ok(Seen::Stale);
        }
        claim.verify(&self.settings)?;
        let listed = self.listed(target, opened)?;
        if let Some(pre_prepare) = opened.pre_prepare {
            self.kept_proposal(target, &pre_prepare.open().map_err(|_| Ignored::Malformed)?, pre_prepare.bytes)?;
        }
        let is_past_it = self.change.as_ref().is_some_and(|change| change.target > target);
        if target == self.view {
            self.opened_at = Some(now);
        }
        if target > self.view && !is_past_it {
            self.forget_refuted(target, &listed);
            self.enter(now, target);
            self.new_view = Some(data.clone());
            self.opened_at = Some(now);
        }
        Ok(Seen::Fresh)
    }

    // The view changes of a new view: a majority's, each genuine.
    fn listed(&mut self, target: i64, opened: &NewView<'_>) -> Result<Vec<(i64, Option<Hash>)>, Ignored> {
        let mut senders = BTreeSet::new();
        let mut listed = Vec::new();
        for envelope in opened.view_changes {
            let claim = self.roster.claim(&envelope.open().map_err(|_| Ignored::Malformed)?, &self.settings)?;
            let Body::ViewChange(change) = claim.body else { return Err(Ignored::ViewChanges) };
            if change.view_number != target {
                return Err(Ignored::ViewChanges);
            }
            let known = self.changes.find(claim.replica, target);
            if known.is_none_or(|known| known.inner != envelope.bytes) {
                claim.verify(&self.settings)?;
            }
            let said = match change.prepared_value_digest {
                [] => None,
                said => Some(digest(said)?),
            };
            if senders.insert(claim.replica) {
                listed.push((change.sequence, said));
            }
        }
        if senders.len() < self.roster.majority() { Err(Ignored::ViewChanges) } else { Ok(listed) }
    }

    // The proposal that a new view says is kept: genuine, of an earlier view and its primary.
    fn kept_proposal(&mut self, target: i64, envelope: &PbftEnv<'_>, bytes: &[u8]) -> Result<(), Ignored> {
        let claim = self.roster.claim(envelope, &self.settings)?;
        let Body::PrePrepare(proposal) = claim.body else { return Err(Ignored::ViewChanges) };
        let place = Place::new(proposal.view_number, proposal.sequence)?;
        if place.view >= target || !self.roster.is_primary(claim.replica, place.view) {
            return Err(Ignored::ViewChanges);
        }
        if self.kept.as_ref().is_some_and(|kept| kept.pre_prepare == bytes) {
            return Ok(());
        }
        claim.verify(&self.settings)
    }

    // A majority that has the same ledger, and none of which has prepared what is kept here when it left for this view,
    // shows that it is not final and cannot be any more: one of those who would have committed it is among them.
    fn forget_refuted(&mut self, target: i64, listed: &[(i64, Option<Hash>)]) {
        let Some(kept) = self.kept.as_ref().filter(|kept| kept.place.view < target) else { return };
        let digest = Some(kept.digest);
        let refuting = listed.iter().filter(|(last, said)| *last == self.last && *said != digest).count();
        if refuting >= self.roster.majority() {
            self.kept = None;
        }
    }

    /// The view is this one now. Votes are cast again unless a later one was asked for.
    pub(super) fn enter(&mut self, now: Time, view: i64) {
        self.view = view;
        self.new_view = None;
        self.change = self.change.take().filter(|change| change.target > view);
        self.begin(now);
    }

    // ---- Help for those who are behind.

    /// Whoever repeats what is over does not know that it is: it is shown what ended it, now and then.
    pub(super) fn help(&mut self, now: Time, claim: &Claim<'_>) -> Result<(), Ignored> {
        let is_change = matches!(claim.body, Body::RawViewChange(_));
        if (is_change || claim.round > 1) && self.may_show(now) {
            claim.verify(&self.settings)?;
            self.show(now);
        }
        Ok(())
    }

    // Someone wants to move to this view, with this ledger as its last.
    fn help_back(&mut self, now: Time, target: i64, last: i64) {
        if last > self.last {
            self.tell_behind(now, last);
        }
        if (last < self.last || target == self.view) && self.may_show(now) {
            self.show(now);
        }
        // Our own word on that view may be what is missing.
        let is_past_it = self.change.as_ref().is_some_and(|change| change.target > target);
        if is_past_it && self.may_show(now) {
            let sent = self.sent.iter().find(|(sent, _)| *sent == target).map(|(_, envelope)| envelope.clone());
            if let Some(envelope) = sent {
                self.shown_at = Some(now);
                self.broadcast(envelope, true);
            }
        }
    }

    fn may_show(&self, now: Time) -> bool {
        self.shown_at.is_none_or(|at| now >= at + self.settings.timers.repeat_proposal)
    }

    // Why this view and this ledger: the commits of the last one, and the new view.
    fn show(&mut self, now: Time) {
        self.shown_at = Some(now);
        let commits = self.proof_commits();
        commits.into_iter().chain(self.new_view.clone()).for_each(|envelope| self.broadcast(envelope, true));
    }
}
