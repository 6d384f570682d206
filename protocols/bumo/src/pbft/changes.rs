//! Records view changes, by validator (BUMO spec, section 7.8).

use super::border::Replica;
use crate::hash::Hash;
use alloc::vec::Vec;
use bytes::Bytes;

/// New views that are kept of one validator. An honest one asks for one after the other, 30 s apart; a majority forms
/// for one of the last. More push out that validator's own lowest.
const KEPT_OF_EACH: usize = 4;

/// A validator's wish to move on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Change {
    pub(super) replica: Replica,
    /// The new view.
    pub(super) target: i64,
    /// The last ledger that it has.
    pub(super) last: i64,
    /// What it has prepared.
    pub(super) digest: Option<Hash>,
    /// The inner envelope.
    pub(super) inner: Bytes,
    /// The outer one's repetition.
    pub(super) round: i64,
}

/// View changes to views beyond the own one, in the order in which they came.
#[derive(Debug, Default)]
pub(super) struct Changes {
    kept: Vec<Change>,
}

impl Changes {
    /// The sender's change to this view.
    pub(super) fn find(&self, replica: Replica, target: i64) -> Option<&Change> {
        self.kept.iter().find(|change| change.replica == replica && change.target == target)
    }

    /// Keeps it. A validator's first word on a view stays; what comes later is its repetition.
    pub(super) fn insert(&mut self, change: Change) {
        let same = |kept: &&mut Change| kept.replica == change.replica && kept.target == change.target;
        if let Some(kept) = self.kept.iter_mut().find(same) {
            kept.round = kept.round.max(change.round);
            return;
        }
        let of_sender = |kept: &&Change| kept.replica == change.replica;
        if self.kept.iter().filter(of_sender).count() >= KEPT_OF_EACH {
            let lowest = self.kept.iter().filter(of_sender).map(|kept| kept.target).min();
            self.kept.retain(|kept| kept.replica != change.replica || Some(kept.target) != lowest);
        }
        self.kept.push(change);
    }

    /// All to this view, in the order in which they came.
    pub(super) fn to(&self, target: i64) -> impl Iterator<Item = &Change> {
        self.kept.iter().filter(move |change| change.target == target)
    }

    /// The highest view to which, or beyond, this many others want to move.
    pub(super) fn wanted_by(&self, count: usize, own: Option<Replica>) -> Option<i64> {
        let mut highest: Vec<(Replica, i64)> = Vec::new();
        for change in self.kept.iter().filter(|change| Some(change.replica) != own) {
            match highest.iter_mut().find(|(replica, _)| *replica == change.replica) {
                Some((_, target)) => *target = change.target.max(*target),
                None => highest.push((change.replica, change.target)),
            }
        }
        highest.sort_by_key(|(_, target)| core::cmp::Reverse(*target));
        highest.get(count.checked_sub(1)?).map(|(_, target)| *target)
    }

    /// The own view is this now.
    pub(super) fn drop_until(&mut self, view: i64) {
        self.kept.retain(|change| change.target > view);
    }

    /// This ledger is closed: whoever moved on without it moved on for another reason.
    pub(super) fn drop_behind(&mut self, last: i64) {
        self.kept.retain(|change| change.last >= last);
    }

    /// How many are kept.
    pub(super) fn len(&self) -> usize {
        self.kept.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(replica: Replica, target: i64) -> Change {
        Change { replica, target, last: 1, digest: None, inner: Bytes::new(), round: 0 }
    }

    #[test]
    fn one_word_of_each_and_few_views() {
        let mut changes = Changes::default();
        (0..1000).for_each(|target| changes.insert(change(2, target)));
        (0..1000).for_each(|_| changes.insert(change(1, 999)));
        assert_eq!(changes.len(), KEPT_OF_EACH + 1);
        assert_eq!(changes.to(999).count(), 2);
        changes.drop_until(998);
        assert_eq!(changes.len(), 2);
    }

    #[test]
    fn one_liar_alone_moves_nobody() {
        let mut changes = Changes::default();
        [change(0, 5), change(1, 1_000_000), change(2, 7)].into_iter().for_each(|change| changes.insert(change));
        assert_eq!(changes.wanted_by(2, Some(3)), Some(7));
        assert_eq!(changes.wanted_by(2, Some(2)), Some(5));
        assert_eq!(changes.wanted_by(4, Some(3)), None);
    }
}
