//! Follows one peer's list: which blocks it claims above what we hold, and how far we have come with it.

use crate::wire::List;
use alloc::collections::VecDeque;
use polypeer_engine::Time;
use polypeer_engine::kit::chain::Hash;

/// Hashes of one peer's list that are kept, 640 KiB: what comes above is asked for again when there is room.
const KEPT_MAX: usize = 20_000;

/// What a peer claims to have above our blocks.
#[derive(Debug, Default)]
pub(crate) struct Listing {
    /// The number of the peer's newest block, by its last list.
    pub(crate) latest: u64,
    /// When its last list brought nothing new.
    pub(crate) fruitless: Option<Time>,
    /// How far the last question went back to find where the chains meet.
    pub(crate) step: u64,
    // Blocks that we did not hold when they were listed, ascending, the first of this number on this parent.
    hashes: VecDeque<Hash>,
    first: u64,
    parent: Hash,
    // Those before it are asked for, here or with the ledger; those before `submitted` are with the ledger.
    cursor: usize,
    submitted: usize,
    // Whether the blocks are known to stand on ours, so that the next list can be added.
    is_joined: bool,
    benched_until: Option<Time>,
}

impl Listing {
    /// A peer that is not used.
    pub(crate) fn benched(until: Time) -> Self {
        Self { benched_until: Some(until), ..Self::default() }
    }

    pub(crate) fn is_benched(&self) -> bool {
        self.benched_until.is_some()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.hashes.is_empty()
    }

    pub(crate) fn len(&self) -> usize {
        self.hashes.len()
    }

    /// The number of the last block listed.
    pub(crate) fn end(&self) -> u64 {
        (self.first + self.hashes.len() as u64).saturating_sub(1)
    }

    /// Whether the peer claims more than it has listed.
    pub(crate) fn has_more(&self) -> bool {
        self.is_joined && self.latest > self.end()
    }

    /// The parent of a list that begins at `from` is not ours: from where to ask next. Steps double.
    pub(crate) fn step_back(&mut self, from: u64) -> u64 {
        self.step = (self.step * 2).max(1);
        from.saturating_sub(self.step)
    }

    /// Begins with a list whose hashes from `at` on are new.
    pub(crate) fn set(&mut self, list: &List, at: usize) {
        let parent = if at == 0 { list.parent } else { list.hashes[at - 1] };
        *self = Self {
            latest: list.latest,
            hashes: list.hashes.range_from(at),
            first: list.from + 1 + at as u64,
            parent,
            is_joined: true,
            ..Self::default()
        };
    }

    /// Adds a list that goes on where the last one ended. Whether it does.
    pub(crate) fn extend(&mut self, list: &List) -> bool {
        let end = self.hashes.back().copied().unwrap_or(self.parent);
        let goes_on = self.is_joined && list.from == self.end() && list.parent == end && !list.hashes.is_empty();
        if goes_on {
            self.latest = list.latest;
            self.hashes.extend(list.hashes.iter().take(KEPT_MAX - self.hashes.len().min(KEPT_MAX)));
        }
        goes_on
    }

    /// A block is held now: if the list begins with it, it goes on with the next.
    pub(crate) fn taken(&mut self, hash: &Hash) {
        if self.hashes.front() == Some(hash) {
            self.hashes.pop_front();
            self.parent = *hash;
            self.first += 1;
            self.cursor = self.cursor.saturating_sub(1);
            self.submitted = self.submitted.saturating_sub(1);
        }
    }

    /// The next one to ask for, among the first `window`, that is not on its way.
    pub(crate) fn next_to_ask(
        &mut self,
        window: usize,
        is_on_its_way: impl Fn(&Hash) -> bool,
    ) -> Option<(usize, Hash)> {
        while self.cursor < window
            && let Some(hash) = self.hashes.get(self.cursor)
        {
            self.cursor += 1;
            if !is_on_its_way(hash) {
                return Some((self.cursor - 1, *hash));
            }
        }
        None
    }

    /// Takes back the last [`Listing::next_to_ask`].
    pub(crate) fn step_cursor_back(&mut self) {
        self.cursor = self.cursor.saturating_sub(1);
    }

    /// The next one to hand to the ledger: its hash, its number and its parent.
    pub(crate) fn next_to_submit(&self) -> Option<(Hash, u64, Hash)> {
        let hash = *self.hashes.get(self.submitted)?;
        let parent = match self.submitted.checked_sub(1) {
            Some(before) => self.hashes[before],
            None => self.parent,
        };
        Some((hash, self.first + self.submitted as u64, parent))
    }

    /// The next one is with the ledger.
    pub(crate) fn submitted(&mut self) {
        self.submitted += 1;
        self.cursor = self.cursor.max(self.submitted);
    }

    /// The next one to hand to the ledger is not on its way any more.
    pub(crate) fn rewind_to_submitted(&mut self) {
        self.cursor = self.cursor.min(self.submitted);
    }

    /// Something that was on its way is not any more: looks at everything again.
    pub(crate) fn rewind(&mut self) {
        self.cursor = 0;
        self.submitted = 0;
    }

    /// The first `window` hashes.
    pub(crate) fn window(&self, window: usize) -> impl Iterator<Item = &Hash> {
        self.hashes.iter().take(window)
    }
}

trait RangeFrom {
    fn range_from(&self, at: usize) -> VecDeque<Hash>;
}

impl RangeFrom for alloc::vec::Vec<Hash> {
    fn range_from(&self, at: usize) -> VecDeque<Hash> {
        self[at..].iter().copied().collect()
    }
}
