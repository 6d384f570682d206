//! Holds what a batch has taken, over what waits for a commit.

use crate::mempool::Waiting;
use crate::node::Number;
use crate::store::Change;
use crate::unsaved::Unsaved;
use bytes::Bytes;
use polypeer_engine::kit::chain::Hash;
use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;

/// Hashes of invalid blocks that are remembered, in about 6 MiB. Each cost its maker the work of a block where the
/// network asks for work; when the oldest is forgotten, it can be tried and refused once more.
const INVALID_MAX: usize = 65_536;

/// What a batch has taken of a DAG.
#[derive(Debug, Default)]
pub(crate) struct Fresh {
    /// What batches before it have taken, and no commit has yet.
    before: Arc<Unsaved>,
    headers: HashMap<Number, Bytes>,
    bodies: HashMap<Number, Bytes>,
    kept: HashMap<(u16, u64), Bytes>,
    /// Identifiers in the bodies, and those of them that waited.
    pub(crate) ids: Vec<Hash>,
    pub(crate) confirmed: Vec<(Hash, Waiting)>,
}

impl Fresh {
    /// Nothing yet, over what waits for a commit.
    pub(crate) fn over(before: Arc<Unsaved>) -> Self {
        Self { before, ..Self::default() }
    }

    pub(crate) fn push(&mut self, change: &Change) {
        match change {
            Change::Header { number, header, .. } => drop(self.headers.insert(*number, header.clone())),
            Change::Body { number, body } => drop(self.bodies.insert(*number, body.clone())),
            Change::Kept { part, place, bytes } => drop(self.kept.insert((*part, *place), bytes.clone())),
            Change::Lost(_) => {}
        }
    }

    pub(crate) fn header(&self, number: Number) -> Option<&Bytes> {
        self.headers.get(&number).or_else(|| self.before.header(number))
    }

    pub(crate) fn body(&self, number: Number) -> Option<&Bytes> {
        self.bodies.get(&number).or_else(|| self.before.body(number))
    }

    pub(crate) fn kept(&self, part: u16, place: u64) -> Option<&Bytes> {
        self.kept.get(&(part, place))
    }

    /// Forgets parts of an import. How many bytes they had.
    pub(crate) fn forget(&mut self, (first, last): (u16, u16)) -> u64 {
        let mut bytes = 0;
        self.kept.retain(|(part, _), item| {
            let stays = !(first..=last).contains(part);
            bytes += if stays { 0 } else { item.len() as u64 };
            stays
        });
        bytes
    }

    /// The blocks whose bodies the batch has brought.
    pub(crate) fn filled(&self) -> Vec<Number> {
        self.bodies.keys().copied().collect()
    }
}

/// Hashes of blocks that no other body can make right.
#[derive(Debug, Default)]
pub(crate) struct Invalid {
    hashes: HashSet<Hash>,
    order: VecDeque<Hash>,
}

impl Invalid {
    pub(crate) fn contains(&self, hash: &Hash) -> bool {
        self.hashes.contains(hash)
    }

    pub(crate) fn insert(&mut self, hash: Hash) {
        if self.hashes.insert(hash) {
            self.order.push_back(hash);
        }
        while self.order.len() > INVALID_MAX {
            if let Some(oldest) = self.order.pop_front() {
                self.hashes.remove(&oldest);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_invalid_hash_is_forgotten_first() {
        let mut invalid = Invalid::default();
        let hash = |number: usize| {
            let mut hash = [0; 32];
            hash[..8].copy_from_slice(&number.to_le_bytes());
            Hash(hash)
        };
        (0..=INVALID_MAX).for_each(|number| invalid.insert(hash(number)));
        invalid.insert(hash(INVALID_MAX));
        assert!(!invalid.contains(&hash(0)) && invalid.contains(&hash(1)) && invalid.contains(&hash(INVALID_MAX)));
        assert_eq!((invalid.hashes.len(), invalid.order.len()), (INVALID_MAX, INVALID_MAX));
    }
}
