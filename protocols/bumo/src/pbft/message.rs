//! Takes messages apart and puts them together (BUMO spec, sections 3.4, 7.2 and 7.8).

use super::border::{Ignored, Replica, Settings};
use super::roster::Roster;
use crate::hash::Hash;
use crate::wire::{Body, Encoded, List, Message, NewView, Pbft, PbftEnv, PrePrepare, PreparedSet, RawViewChange};
use crate::wire::{ViewChange, Vote};
use alloc::collections::BTreeSet;
use alloc::vec::Vec;
use bytes::Bytes;

/// Views and ledgers beyond this are refused, so that one more can always be counted.
pub(super) const NUMBER_MAX: i64 = i64::MAX / 2;
/// Prepares of a set, for each validator. Real nodes list each repetition that they got, and exact copies; at one
/// repetition in 7.5 s a view of 30 s has a handful.
const LISTED_PER_VALIDATOR_MAX: usize = 32;

/// Where a message belongs. Places are ordered by ledger, then by view.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    pub(super) sequence: i64,
    pub(super) view: i64,
}

impl Place {
    pub(super) fn new(view: i64, sequence: i64) -> Result<Self, Ignored> {
        if view < 0 || sequence < 0 {
            return Err(Ignored::Malformed);
        }
        if view > NUMBER_MAX || sequence > NUMBER_MAX {
            return Err(Ignored::Beyond);
        }
        Ok(Self { sequence, view })
    }

    pub(super) fn of(vote: &Vote<'_>) -> Result<Self, Ignored> {
        Self::new(vote.view_number, vote.sequence)
    }
}

/// A digest as it is on the wire.
pub(super) fn digest(bytes: &[u8]) -> Result<Hash, Ignored> {
    <[u8; 32]>::try_from(bytes).map(Hash).map_err(|_| Ignored::Malformed)
}

/// A value that a majority prepared, and what shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Prepared {
    pub(super) place: Place,
    pub(super) digest: Hash,
    pub(super) value: Bytes,
    /// The primary's envelope.
    pub(super) pre_prepare: Bytes,
    /// An envelope of each of `q` validators or more.
    pub(super) prepares: Vec<Bytes>,
}

impl Prepared {
    /// Reads a set and checks all of it, signatures at last. `known` is one that need not be checked again.
    ///
    /// The prepares count that are not the primary's: its proposal is its vote, and two votes of a liar would make fewer
    /// than a majority look like one. The original counts them.
    pub(super) fn read(
        whole: &Bytes,
        set: &PreparedSet<'_>,
        known: Option<&Prepared>,
        roster: &mut Roster,
        settings: &Settings,
    ) -> Result<Self, Ignored> {
        let listed = set.pre_prepare.ok_or(Ignored::PreparedSet)?;
        if let Some(known) = known
            && known.pre_prepare == listed.bytes
        {
            return Ok(known.clone());
        }
        if set.prepares.len() > LISTED_PER_VALIDATOR_MAX * roster.len() {
            return Err(Ignored::PreparedSet);
        }
        let primary = roster.claim(&listed.open().map_err(|_| Ignored::Malformed)?, settings)?;
        let Body::PrePrepare(proposal) = primary.body else { return Err(Ignored::PreparedSet) };
        let place = Place::new(proposal.view_number, proposal.sequence)?;
        let digest = digest(proposal.value_digest)?;
        if !roster.is_primary(primary.replica, place.view) {
            return Err(Ignored::NotPrimary);
        }
        let mut voters = BTreeSet::new();
        let mut votes = Vec::new();
        for prepare in set.prepares {
            let claim = roster.claim(&prepare.open().map_err(|_| Ignored::Malformed)?, settings)?;
            let Body::Prepare(vote) = claim.body else { return Err(Ignored::PreparedSet) };
            if Place::of(&vote)? != place || vote.value_digest != digest.as_ref() {
                return Err(Ignored::PreparedSet);
            }
            let counts = claim.replica != primary.replica || roster.len() == 1;
            if counts && voters.insert(claim.replica) {
                votes.push((claim, prepare.bytes));
            }
        }
        if voters.len() < roster.quorum() {
            return Err(Ignored::PreparedSet);
        }
        if settings.hash.hash(proposal.value) != digest {
            return Err(Ignored::Digest);
        }
        primary.verify(settings)?;
        votes.iter().try_for_each(|(claim, _)| claim.verify(settings))?;
        Ok(Self {
            place,
            digest,
            value: whole.slice_ref(proposal.value),
            pre_prepare: whole.slice_ref(listed.bytes),
            prepares: votes.iter().map(|(_, bytes)| whole.slice_ref(bytes)).collect(),
        })
    }

    /// Its envelopes, the proposal's first.
    pub(super) fn evidence(&self) -> Vec<Bytes> {
        core::iter::once(&self.pre_prepare).chain(&self.prepares).cloned().collect()
    }
}

/// Bytes of a `Pbft`, to be signed.
pub(super) fn pbft(settings: &Settings, round_number: i64, body: Body<'_>) -> Bytes {
    Pbft { round_number, body, chain_id: settings.chain_id }.encode()
}

/// A proposal, to be signed.
pub(super) fn pre_prepare(
    settings: &Settings,
    round: i64,
    place: Place,
    replica: Replica,
    value: &[u8],
    digest: &Hash,
) -> Bytes {
    let proposal = PrePrepare {
        view_number: place.view,
        sequence: place.sequence,
        replica_id: replica as i64,
        value,
        value_digest: digest.as_ref(),
    };
    pbft(settings, round, Body::PrePrepare(proposal))
}

/// A prepare's or commit's content.
pub(super) fn vote(place: Place, replica: Replica, digest: &Hash) -> Vote<'_> {
    Vote {
        view_number: place.view,
        sequence: place.sequence,
        replica_id: replica as i64,
        value_digest: digest.as_ref(),
    }
}

/// The inner part of a view change, to be signed: its round is 0.
pub(super) fn view_change(
    settings: &Settings,
    target: i64,
    last: i64,
    replica: Replica,
    prepared: Option<&Hash>,
) -> Bytes {
    let change = ViewChange {
        view_number: target,
        sequence: last,
        prepared_value_digest: prepared.map_or(&[], AsRef::as_ref),
        replica_id: replica as i64,
    };
    pbft(settings, 0, Body::ViewChange(change))
}

/// A view change with what is prepared, to be signed.
pub(super) fn raw_view_change(settings: &Settings, round: i64, inner: &[u8], prepared: Option<&Prepared>) -> Bytes {
    let prepares: Vec<_> =
        prepared.into_iter().flat_map(|prepared| &prepared.prepares).map(|bytes| Encoded::of(bytes)).collect();
    let prepared_set = prepared.map(|prepared| PreparedSet {
        pre_prepare: Some(Encoded::of(&prepared.pre_prepare)),
        prepares: List::of(&prepares),
    });
    let raw = RawViewChange { view_change_env: Some(Encoded::of(inner)), prepared_set };
    pbft(settings, round, Body::RawViewChange(raw))
}

/// A new view, to be signed.
pub(super) fn new_view(
    settings: &Settings,
    round: i64,
    place: Place,
    replica: Replica,
    changes: &[Bytes],
    pre_prepare: Option<&[u8]>,
) -> Bytes {
    let changes: Vec<Encoded<'_, PbftEnv<'_>>> = changes.iter().map(|bytes| Encoded::of(bytes)).collect();
    let opened = NewView {
        view_number: place.view,
        sequence: place.sequence,
        replica_id: replica as i64,
        view_changes: List::of(&changes),
        pre_prepare: pre_prepare.map(Encoded::of),
    };
    pbft(settings, round, Body::NewView(opened))
}
