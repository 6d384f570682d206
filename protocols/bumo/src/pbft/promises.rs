//! Remembers what this validator signed for the ledger that is not closed yet, so that it never contradicts itself.
//!
//! Each vote is one record in the vote log, durable before the vote is signed. A validator that comes back reads them
//! and is bound by all of them, also by those that it never sent.

use super::message::{Place, Prepared};
use crate::hash::Hash;
use crate::wire::{Encoded, List, Message, PbftEnv, Reader, WireError, Writer};
use alloc::vec::Vec;
use bytes::Bytes;

/// What a vote is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum VoteKind {
    /// As primary, a value.
    Proposal,
    /// A proposal.
    Prepare,
    /// A prepared value.
    Commit,
    /// A new view, with what is prepared.
    ViewChange,
}

impl VoteKind {
    const ALL: [Self; 4] = [Self::Proposal, Self::Prepare, Self::Commit, Self::ViewChange];
}

/// A vote as it is in the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Vote {
    pub(super) kind: VoteKind,
    /// A view change's is the new one.
    pub(super) place: Place,
    /// The value's; a view change's is what is prepared.
    pub(super) digest: Option<Hash>,
    /// The envelopes of what is prepared: without them a validator that comes back could not report what it committed
    /// to. Only commits and view changes have them, and only the first that rests on it.
    pub(super) evidence: Vec<Bytes>,
}

struct Record<'a> {
    // Its place in `VoteKind::ALL`.
    kind: i64,
    view: i64,
    sequence: i64,
    digest: &'a [u8],
    evidence: List<'a, Encoded<'a, PbftEnv<'a>>>,
}

impl<'a> Message<'a> for Record<'a> {
    fn read(message: &'a [u8], depth: u32) -> Result<Self, WireError> {
        let mut reader = Reader::of(message, depth);
        let record = Self {
            kind: reader.field(1)?,
            view: reader.field(2)?,
            sequence: reader.field(3)?,
            digest: reader.field(4)?,
            evidence: reader.field(5)?,
        };
        reader.end()?;
        Ok(record)
    }

    fn write(&self, writer: &mut Writer) {
        writer.field(1, &self.kind);
        writer.field(2, &self.view);
        writer.field(3, &self.sequence);
        writer.field(4, &self.digest);
        writer.field(5, &self.evidence);
    }
}

impl Vote {
    /// Its record.
    pub(super) fn encode(&self) -> Bytes {
        let evidence: Vec<_> = self.evidence.iter().map(|bytes| Encoded::of(bytes)).collect();
        let record = Record {
            kind: self.kind as i64,
            view: self.place.view,
            sequence: self.place.sequence,
            digest: self.digest.as_ref().map_or(&[], AsRef::as_ref),
            evidence: List::of(&evidence),
        };
        let mut writer = Writer::with_capacity(64 + self.evidence.iter().map(|bytes| bytes.len() + 8).sum::<usize>());
        record.write(&mut writer);
        writer.finish()
    }

    /// Reads a record; nothing when it is none.
    pub(super) fn decode(bytes: &Bytes) -> Option<Self> {
        let record = Record::decode(bytes).ok()?;
        let kind = VoteKind::ALL.get(usize::try_from(record.kind).ok()?)?;
        let digest = match record.digest {
            [] => None,
            digest => Some(super::message::digest(digest).ok()?),
        };
        Some(Self {
            kind: *kind,
            place: Place::new(record.view, record.sequence).ok()?,
            digest,
            evidence: record.evidence.iter().map(|envelope| bytes.slice_ref(envelope.bytes)).collect(),
        })
    }
}

/// What binds this validator for one ledger. Only the last view in which it voted matters: it never votes in one before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Promises {
    sequence: i64,
    /// Where it voted last.
    view: Option<i64>,
    proposal: Option<Hash>,
    prepare: Option<Hash>,
    commit: Option<Hash>,
    /// The new view that it asked for last, and what it said is prepared.
    change: Option<(i64, Option<Hash>)>,
}

impl Promises {
    /// It has not voted on this ledger.
    pub(super) fn new(sequence: i64) -> Self {
        Self { sequence, view: None, proposal: None, prepare: None, commit: None, change: None }
    }

    /// Bound by these, whether or not they were sent.
    pub(super) fn restore(sequence: i64, votes: &[Vote]) -> Self {
        let mut promises = Self::new(sequence);
        for vote in votes.iter().filter(|vote| vote.place.sequence == sequence) {
            promises.note(vote);
        }
        promises
    }

    /// Whether a vote contradicts none before. A repetition does not.
    pub(super) fn allow(&self, kind: VoteKind, place: Place, digest: Option<&Hash>) -> bool {
        if place.sequence != self.sequence {
            return false;
        }
        if kind == VoteKind::ViewChange {
            return match &self.change {
                Some((target, said)) if *target == place.view => said.as_ref() == digest,
                Some((target, _)) => place.view > *target && Some(place.view) > self.view,
                None => Some(place.view) > self.view,
            };
        }
        if self.change.is_some_and(|(target, _)| place.view < target) || self.view.is_some_and(|view| place.view < view)
        {
            return false;
        }
        let is_new = self.view.is_none_or(|view| place.view > view);
        is_new || self.cast(kind).is_none_or(|cast| Some(&cast) == digest)
    }

    /// Whether exactly this vote is in the log already.
    pub(super) fn holds(&self, kind: VoteKind, place: Place, digest: Option<&Hash>) -> bool {
        match kind {
            VoteKind::ViewChange => self.change == Some((place.view, digest.copied())),
            _ => self.view == Some(place.view) && digest.is_some() && self.cast(kind).as_ref() == digest,
        }
    }

    /// The vote is to be durable: it binds from now on.
    pub(super) fn note(&mut self, vote: &Vote) {
        let view = vote.place.view;
        if vote.kind == VoteKind::ViewChange {
            if self.change.is_none_or(|(target, _)| view > target) {
                self.change = Some((view, vote.digest));
            }
            return;
        }
        if self.view.is_some_and(|last| view < last) {
            return;
        }
        if self.view.is_none_or(|last| view > last) {
            *self = Self { view: Some(view), change: self.change, ..Self::new(self.sequence) };
        }
        let place = match vote.kind {
            VoteKind::Proposal => &mut self.proposal,
            VoteKind::Prepare => &mut self.prepare,
            VoteKind::Commit | VoteKind::ViewChange => &mut self.commit,
        };
        *place = place.or(vote.digest);
    }

    /// The value that it proposed there.
    pub(super) fn proposed_at(&self, place: Place) -> Option<Hash> {
        self.proposal.filter(|_| place.sequence == self.sequence && self.view == Some(place.view))
    }

    /// The view of its last vote.
    pub(super) fn view(&self) -> Option<i64> {
        self.view
    }

    /// The new view that it asked for last, and what it said is prepared.
    pub(super) fn change(&self) -> Option<(i64, Option<Hash>)> {
        self.change
    }

    fn cast(&self, kind: VoteKind) -> Option<Hash> {
        match kind {
            VoteKind::Proposal => self.proposal,
            VoteKind::Prepare => self.prepare,
            VoteKind::Commit => self.commit,
            VoteKind::ViewChange => None,
        }
    }
}

/// What the log shows to be prepared, the highest view's. The envelopes were checked before they were logged.
pub(super) fn prepared(votes: &[Vote], sequence: i64) -> Option<Prepared> {
    let shown = votes.iter().filter(|vote| vote.place.sequence == sequence).filter_map(rebuild);
    shown.max_by_key(|prepared| prepared.place)
}

/// What one vote's evidence shows.
pub(super) fn rebuild(vote: &Vote) -> Option<Prepared> {
    let (pre_prepare, prepares) = vote.evidence.split_first()?;
    let envelope = PbftEnv::decode(pre_prepare).ok()?;
    let crate::wire::Body::PrePrepare(proposal) = envelope.pbft?.message.body else { return None };
    Some(Prepared {
        place: Place::new(proposal.view_number, proposal.sequence).ok()?,
        digest: super::message::digest(proposal.value_digest).ok()?,
        value: pre_prepare.slice_ref(proposal.value),
        pre_prepare: pre_prepare.clone(),
        prepares: prepares.to_vec(),
    })
}

#[cfg(test)]
mod tests {
    use super::VoteKind::{Commit, Prepare, Proposal, ViewChange};
    use super::*;

    fn vote(kind: VoteKind, view: i64, digest: u8) -> Vote {
        Vote { kind, place: Place { sequence: 9, view }, digest: Some(Hash([digest; 32])), evidence: Vec::new() }
    }

    fn allows(promises: &Promises, kind: VoteKind, view: i64, digest: u8) -> bool {
        promises.allow(kind, Place { sequence: 9, view }, Some(&Hash([digest; 32])))
    }

    #[test]
    fn a_record_is_read_back() {
        let empty = Vote { digest: None, ..vote(ViewChange, 3, 0) };
        for vote in [vote(Proposal, 0, 1), vote(Commit, 7, 2), empty] {
            assert_eq!(Vote::decode(&vote.encode()), Some(vote));
        }
        assert_eq!(Vote::decode(&Bytes::from_static(b"\x08\x07")), None);
    }

    #[test]
    fn one_value_for_each_kind_and_none_in_a_view_before() {
        let promises = Promises::restore(9, &[vote(Prepare, 3, 1), vote(Commit, 3, 1)]);
        assert!(allows(&promises, Prepare, 3, 1) && !allows(&promises, Prepare, 3, 2));
        assert!(!allows(&promises, Commit, 3, 2) && allows(&promises, Proposal, 3, 2));
        assert!(!allows(&promises, Prepare, 2, 1) && allows(&promises, Prepare, 4, 2));
        assert!(!promises.allow(Prepare, Place { sequence: 10, view: 3 }, Some(&Hash([1; 32]))));
    }

    #[test]
    fn whoever_asked_for_a_new_view_votes_in_none_before_it() {
        let promises = Promises::restore(9, &[vote(Prepare, 3, 1), vote(ViewChange, 5, 1)]);
        assert!(!allows(&promises, Prepare, 4, 1) && !allows(&promises, Commit, 3, 1));
        assert!(allows(&promises, Prepare, 5, 2));
        assert!(allows(&promises, ViewChange, 5, 1) && !allows(&promises, ViewChange, 5, 2));
        assert!(!allows(&promises, ViewChange, 4, 1) && allows(&promises, ViewChange, 6, 2));
    }

    #[test]
    fn no_view_is_asked_for_in_which_it_voted() {
        let promises = Promises::restore(9, &[vote(Prepare, 3, 1)]);
        assert!(!allows(&promises, ViewChange, 3, 1) && allows(&promises, ViewChange, 4, 1));
    }
}
