//! Keeps what will happen, in the order of its time, the earlier entry first among equals.

use polypeer_engine::Time;
use std::cmp::Ordering;
use std::collections::BinaryHeap;

/// Entries by time and then by when they were added.
#[derive(Debug)]
pub(crate) struct Agenda<E> {
    entries: BinaryHeap<Entry<E>>,
    added: u64,
}

#[derive(Debug)]
struct Entry<E> {
    at: Time,
    number: u64,
    what: E,
}

impl<E> Default for Agenda<E> {
    fn default() -> Self {
        Self { entries: BinaryHeap::new(), added: 0 }
    }
}

impl<E> Agenda<E> {
    /// Adds an entry.
    pub(crate) fn add(&mut self, at: Time, what: E) {
        self.entries.push(Entry { at, number: self.added, what });
        self.added += 1;
    }

    /// Takes the first entry that is due by `until`.
    pub(crate) fn take(&mut self, until: Time) -> Option<(Time, E)> {
        if self.entries.peek()?.at > until {
            return None;
        }
        self.entries.pop().map(|entry| (entry.at, entry.what))
    }
}

impl<E> Entry<E> {
    fn key(&self) -> (Time, u64) {
        (self.at, self.number)
    }
}

// The heap's greatest entry is the one that comes first.
impl<E> Ord for Entry<E> {
    fn cmp(&self, other: &Self) -> Ordering {
        other.key().cmp(&self.key())
    }
}

impl<E> PartialOrd for Entry<E> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<E> PartialEq for Entry<E> {
    fn eq(&self, other: &Self) -> bool {
        self.key() == other.key()
    }
}

impl<E> Eq for Entry<E> {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equals_come_in_the_order_in_which_they_were_added() {
        let mut agenda = Agenda::default();
        for (at, what) in [(2, 'c'), (1, 'a'), (2, 'd'), (1, 'b'), (3, 'e')] {
            agenda.add(Time::from_micros(at), what);
        }
        let mut seen = String::new();
        while let Some((_, what)) = agenda.take(Time::from_micros(2)) {
            seen.push(what);
        }
        assert_eq!(seen, "abcd");
        assert_eq!(agenda.take(Time::from_micros(3)), Some((Time::from_micros(3), 'e')));
    }
}
