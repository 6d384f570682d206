//! Counts commits of all views and ledgers at hand: a majority of them is final, wherever it formed.

use super::border::Replica;
use super::message::Place;
use crate::hash::Hash;
use alloc::collections::VecDeque;
use alloc::vec::Vec;
use bytes::Bytes;

/// Commits that are kept of one validator. An honest one has a commit a ledger, or a few while views change; with the
/// window of ten ledgers that is about a dozen. More push out that validator's own oldest.
const KEPT_OF_EACH: usize = 16;

/// A commit whose signature is right.
#[derive(Clone, Debug)]
struct Commit {
    // Counts arrivals, so that a proof lists commits in the order in which they came (section 7.5).
    arrival: u64,
    place: Place,
    digest: Hash,
    envelope: Bytes,
}

/// Commits, by validator.
#[derive(Debug)]
pub(super) struct Commits {
    of: Vec<VecDeque<Commit>>,
    arrivals: u64,
}

/// What a validator committed at a place before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Before {
    Nothing,
    Same,
    Other,
}

impl Commits {
    pub(super) fn new(validators: usize) -> Self {
        Self { of: (0..validators).map(|_| VecDeque::new()).collect(), arrivals: 0 }
    }

    pub(super) fn before(&self, replica: Replica, place: Place, digest: &Hash) -> Before {
        match self.of.get(replica).and_then(|kept| kept.iter().find(|commit| commit.place == place)) {
            None => Before::Nothing,
            Some(commit) if commit.digest == *digest => Before::Same,
            Some(_) => Before::Other,
        }
    }

    /// Takes one where there is none before.
    pub(super) fn insert(&mut self, replica: Replica, place: Place, digest: Hash, envelope: Bytes) {
        let Some(kept) = self.of.get_mut(replica) else { return };
        if kept.len() >= KEPT_OF_EACH {
            kept.pop_front();
        }
        self.arrivals += 1;
        kept.push_back(Commit { arrival: self.arrivals, place, digest, envelope });
    }

    /// How many committed this value there.
    pub(super) fn count(&self, place: Place, digest: &Hash) -> usize {
        self.matching(place, digest).count()
    }

    /// Of a ledger, the latest view with this many commits of one value.
    pub(super) fn final_at(&self, sequence: i64, majority: usize) -> Option<(Place, Hash)> {
        let at = self.of.iter().flatten().filter(|commit| commit.place.sequence == sequence);
        let values = at.map(|commit| (commit.place, commit.digest));
        values.filter(|(place, digest)| self.count(*place, digest) >= majority).max()
    }

    /// The envelopes that committed this value there, in the order in which they came.
    pub(super) fn envelopes(&self, place: Place, digest: &Hash) -> Vec<Bytes> {
        let mut matching: Vec<_> = self.matching(place, digest).collect();
        matching.sort_by_key(|commit| commit.arrival);
        matching.into_iter().map(|commit| commit.envelope.clone()).collect()
    }

    /// The ledgers before this one are closed.
    pub(super) fn drop_before(&mut self, sequence: i64) {
        self.of.iter_mut().for_each(|kept| kept.retain(|commit| commit.place.sequence >= sequence));
    }

    /// How many are kept.
    pub(super) fn len(&self) -> usize {
        self.of.iter().map(VecDeque::len).sum()
    }

    fn matching(&self, place: Place, digest: &Hash) -> impl Iterator<Item = &Commit> {
        let digest = *digest;
        self.of
            .iter()
            .filter_map(move |kept| kept.iter().find(|commit| commit.place == place && commit.digest == digest))
    }
}
