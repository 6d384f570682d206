//! Keeps what will happen, in the order of its time, the earlier entry first among equals.

use polypeer_engine::Time;
use std::collections::BTreeMap;

/// Entries by time and then by when they were added.
#[derive(Debug)]
pub(crate) struct Agenda<E> {
    entries: BTreeMap<(Time, u64), E>,
    added: u64,
}

impl<E> Default for Agenda<E> {
    fn default() -> Self {
        Self { entries: BTreeMap::new(), added: 0 }
    }
}

impl<E> Agenda<E> {
    /// Adds an entry.
    pub(crate) fn add(&mut self, at: Time, entry: E) {
        self.entries.insert((at, self.added), entry);
        self.added += 1;
    }

    /// Takes the first entry that is due by `until`.
    pub(crate) fn take(&mut self, until: Time) -> Option<(Time, E)> {
        let first = self.entries.first_entry()?;
        if first.key().0 > until {
            return None;
        }
        let ((at, _), entry) = first.remove_entry();
        Some((at, entry))
    }
}
