//! Holds blocks from the future until their time (ledger spec, section "Block").

use crate::validate::{AHEAD_MS, Candidate};
use bytes::Bytes;
use polypeer_engine::kit::chain::{BlockOutcome, Hash};
use std::collections::{BTreeMap, HashMap};

/// At most this many blocks are held.
pub(crate) const HELD_MAX: usize = 64;
/// At most this many bytes of them.
pub(crate) const HELD_BYTES_MAX: usize = 32 << 20;

/// Blocks from the future, by the moment from which they may be taken.
#[derive(Debug, Default)]
pub(crate) struct Held {
    /// Due time in milliseconds since 1970, then the order of arrival, so that a child follows its parent.
    queue: BTreeMap<(u64, u64), (Hash, Bytes)>,
    due: HashMap<Hash, u64>,
    bytes: usize,
    arrivals: u64,
}

impl Held {
    pub(crate) fn contains(&self, hash: &Hash) -> bool {
        self.due.contains_key(hash)
    }

    /// When the block with this hash comes due, milliseconds since 1970.
    pub(crate) fn due_of(&self, hash: &Hash) -> Option<u64> {
        self.due.get(hash).copied()
    }

    /// When the first block comes due, milliseconds since 1970.
    pub(crate) fn next_due(&self) -> Option<u64> {
        self.queue.first_key_value().map(|((due, _), _)| *due)
    }

    /// Holds a block until its time, and not before `earliest`. The furthest ahead leaves when there are too many,
    /// which may be this one.
    pub(crate) fn put(&mut self, block: &Candidate, earliest: u64) -> BlockOutcome {
        // Its time must be less than two minutes ahead, so equal is a millisecond too early.
        let due = block.header.time.saturating_sub(AHEAD_MS).saturating_add(1).max(earliest);
        self.insert(due, block.hash, &block.bytes);
        while self.queue.len() > HELD_MAX || self.bytes > HELD_BYTES_MAX {
            let Some((_, (hash, bytes))) = self.queue.pop_last() else { break };
            self.due.remove(&hash);
            self.bytes -= bytes.len();
        }
        if self.contains(&block.hash) { BlockOutcome::Held } else { BlockOutcome::NoRoom }
    }

    fn insert(&mut self, due: u64, hash: Hash, bytes: &Bytes) {
        self.arrivals += 1;
        // A copy, lest a small block keep the large buffer alive that it was read into.
        self.queue.insert((due, self.arrivals), (hash, Bytes::copy_from_slice(bytes)));
        self.due.insert(hash, due);
        self.bytes += bytes.len();
    }

    /// Takes out the blocks whose time has come, earliest first.
    pub(crate) fn take_due(&mut self, now_ms: u64) -> Vec<Bytes> {
        let mut ready = Vec::new();
        while let Some(entry) = self.queue.first_entry() {
            if entry.key().0 > now_ms {
                break;
            }
            let (hash, bytes) = entry.remove();
            self.due.remove(&hash);
            self.bytes -= bytes.len();
            ready.push(bytes);
        }
        ready
    }
}
