//! Holds one attempt at a ledger: a view's proposal and the prepares for it (BUMO spec, section 7.5).

use super::border::Replica;
use super::message::{Place, Prepared};
use super::roster::Roster;
use crate::hash::Hash;
use crate::ledger::Judgement;
use alloc::vec::Vec;
use bytes::Bytes;
use polypeer_engine::Time;

/// One view's attempt at one ledger.
///
/// ```text
///              proposal                   q prepares of others           q + 1 commits
///   (nothing) ----------> pre-prepared --------------------> prepared ----------------> closing
///                              |                                 |
///                    if it is judged valid:            if it is judged valid:
///                         PREPARE                            COMMIT
/// ```
///
/// Prepares may come before their proposal, commits before both. Commits are in [`super::commits::Commits`].
#[derive(Debug)]
pub(super) struct Instance {
    pub(super) place: Place,
    pub(super) proposal: Option<Proposal>,
    // One of each, in the order in which they came.
    prepares: Vec<Prepare>,
    pub(super) is_prepared: bool,
    /// The round of the last PREPARE of ours that was asked for, and when.
    pub(super) prepared_in: Option<(i64, Time)>,
    /// The round of the last COMMIT of ours that was asked for, and when.
    pub(super) committed_in: Option<(i64, Time)>,
}

/// What is proposed.
#[derive(Debug)]
pub(super) struct Proposal {
    pub(super) digest: Hash,
    pub(super) value: Bytes,
    /// The first envelope that brought it.
    pub(super) envelope: Bytes,
    /// The last repetition, and when it was made or heard.
    pub(super) round: i64,
    pub(super) at: Time,
    /// The ledger's word, when it came.
    pub(super) judgement: Option<Judgement>,
}

#[derive(Debug)]
struct Prepare {
    replica: Replica,
    digest: Hash,
    round: i64,
    envelope: Bytes,
}

impl Instance {
    pub(super) fn new(place: Place) -> Self {
        Self { place, proposal: None, prepares: Vec::new(), is_prepared: false, prepared_in: None, committed_in: None }
    }

    /// The proposal, if the ledger called it valid.
    pub(super) fn valid(&self) -> Option<&Proposal> {
        self.proposal.as_ref().filter(|proposal| proposal.judgement == Some(Judgement::Valid))
    }

    /// The digest and last round of this replica's prepare.
    pub(super) fn prepare_of(&self, replica: Replica) -> Option<(Hash, i64)> {
        let of = self.prepares.iter().find(|prepare| prepare.replica == replica);
        of.map(|prepare| (prepare.digest, prepare.round))
    }

    /// Takes the first prepare of a replica, or notes the round of a repetition.
    pub(super) fn prepare(&mut self, replica: Replica, digest: Hash, round: i64, envelope: Bytes) {
        match self.prepares.iter_mut().find(|prepare| prepare.replica == replica) {
            Some(prepare) => prepare.round = prepare.round.max(round),
            None => self.prepares.push(Prepare { replica, digest, round, envelope }),
        }
    }

    /// What shows that the proposal is prepared, when it is. The primary's own prepares do not count, see
    /// [`Prepared::read`]; with one validator alone its own is wanted, so that it says all that it would say to others.
    pub(super) fn prepared(&self, roster: &Roster) -> Option<Prepared> {
        let proposal = self.proposal.as_ref()?;
        let is_alone = roster.len() == 1;
        let counts = |prepare: &&Prepare| {
            prepare.digest == proposal.digest && (is_alone || !roster.is_primary(prepare.replica, self.place.view))
        };
        let wanted = roster.quorum().max(usize::from(is_alone));
        if self.prepares.iter().filter(counts).count() < wanted {
            return None;
        }
        Some(Prepared {
            place: self.place,
            digest: proposal.digest,
            value: proposal.value.clone(),
            pre_prepare: proposal.envelope.clone(),
            prepares: self.prepares.iter().filter(counts).map(|prepare| prepare.envelope.clone()).collect(),
        })
    }

    /// Takes up what was prepared here before a crash.
    pub(super) fn resume(prepared: &Prepared, now: Time) -> Self {
        let mut instance = Self::new(prepared.place);
        instance.proposal = Some(Proposal {
            digest: prepared.digest,
            value: prepared.value.clone(),
            envelope: prepared.pre_prepare.clone(),
            round: 1,
            at: now,
            judgement: None,
        });
        instance.is_prepared = true;
        instance
    }
}
