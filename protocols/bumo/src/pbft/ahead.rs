//! Keeps proposals and prepares until their view and ledger come.
//!
//! The original drops them, and waits for their repetition. A validator that is a moment behind the others would lose
//! seconds at each ledger that way.

use super::border::Replica;
use super::message::Place;
use crate::hash::Hash;
use alloc::collections::VecDeque;
use alloc::vec::Vec;
use bytes::Bytes;

/// Messages that are kept of one validator: two for each of the next few ledgers. More push out its own oldest.
const KEPT_OF_EACH: usize = 8;
/// Bytes that are kept of all: three values of the largest kind.
const KEPT_BYTES_MAX: usize = 64 << 20;
/// Bytes that every validator may have kept, however many there are.
const KEPT_BYTES_OF_EACH_MIN: usize = 64 << 10;

/// A message of another view or ledger, whose signature is right.
#[derive(Clone, Debug)]
pub(super) struct Early {
    pub(super) replica: Replica,
    pub(super) place: Place,
    pub(super) round: i64,
    pub(super) digest: Hash,
    /// A proposal's value.
    pub(super) value: Option<Bytes>,
    pub(super) envelope: Bytes,
}

impl Early {
    fn bytes(&self) -> usize {
        self.envelope.len()
    }

    fn is_same(&self, other: &Self) -> bool {
        self.place == other.place && self.value.is_some() == other.value.is_some()
    }
}

/// Early messages, by validator.
#[derive(Debug)]
pub(super) struct Ahead {
    of: Vec<VecDeque<Early>>,
}

impl Ahead {
    pub(super) fn new(validators: usize) -> Self {
        Self { of: (0..validators).map(|_| VecDeque::new()).collect() }
    }

    /// Whether the sender has its message of this kind there already, of this round or a later one.
    pub(super) fn has(&self, replica: Replica, place: Place, is_proposal: bool, round: i64) -> bool {
        self.of.get(replica).is_some_and(|kept| {
            kept.iter()
                .any(|early| early.place == place && early.value.is_some() == is_proposal && early.round >= round)
        })
    }

    /// Keeps it, in place of the sender's own oldest if need be. False when it is too large.
    pub(super) fn insert(&mut self, early: Early) -> bool {
        let share = (KEPT_BYTES_MAX / self.of.len().max(1)).max(KEPT_BYTES_OF_EACH_MIN);
        let Some(kept) = self.of.get_mut(early.replica) else { return false };
        if early.bytes() > share {
            return false;
        }
        kept.retain(|other| !other.is_same(&early));
        while kept.len() >= KEPT_OF_EACH || kept.iter().map(Early::bytes).sum::<usize>() + early.bytes() > share {
            kept.pop_front();
        }
        kept.push_back(early);
        true
    }

    /// Takes what belongs there, proposals first, and drops what is older.
    pub(super) fn take(&mut self, place: Place) -> Vec<Early> {
        let mut taken = Vec::new();
        for kept in &mut self.of {
            kept.retain(|early| early.place >= place);
            while let Some(index) = kept.iter().position(|early| early.place == place) {
                taken.extend(kept.remove(index));
            }
        }
        taken.sort_by_key(|early| early.value.is_none());
        taken
    }

    /// The proposed value of this hash for this ledger, of any view, that is not checked against its hash.
    pub(super) fn proposed(&self, place: Place, digest: &Hash) -> Option<&Bytes> {
        let of_place = self.of.iter().flatten().filter(|early| early.place == place && early.digest == *digest);
        of_place.filter_map(|early| early.value.as_ref()).next()
    }

    /// How many are kept.
    pub(super) fn len(&self) -> usize {
        self.of.iter().map(VecDeque::len).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn early(replica: Replica, view: i64, bytes: usize) -> Early {
        let envelope = Bytes::from(alloc::vec![0; bytes]);
        Early { replica, place: Place { sequence: 5, view }, round: 1, digest: Hash::ZERO, value: None, envelope }
    }

    #[test]
    fn whoever_sends_much_pushes_out_its_own() {
        let mut ahead = Ahead::new(4);
        assert!(ahead.insert(early(1, 7, 100)));
        (0..1000).for_each(|view| assert!(ahead.insert(early(2, view, 100))));
        assert_eq!(ahead.len(), 1 + KEPT_OF_EACH);
        assert_eq!(ahead.take(Place { sequence: 5, view: 7 }).len(), 1);
    }

    #[test]
    fn bytes_are_shared_among_the_validators() {
        let mut ahead = Ahead::new(4);
        assert!(!ahead.insert(early(0, 0, (16 << 20) + 1)));
        for view in 0..4 {
            assert!(ahead.insert(early(0, view, 6 << 20)));
        }
        assert_eq!(ahead.len(), 2);
    }

    #[test]
    fn what_is_over_is_dropped_and_proposals_come_first() {
        let mut ahead = Ahead::new(4);
        ahead.insert(early(0, 1, 10));
        ahead.insert(early(1, 3, 10));
        ahead.insert(Early { value: Some(Bytes::new()), ..early(3, 3, 10) });
        let taken = ahead.take(Place { sequence: 5, view: 3 });
        assert_eq!(taken.iter().map(|early| early.replica).collect::<Vec<_>>(), [3, 1]);
        assert_eq!(ahead.len(), 0);
    }
}
