//! Keeps the ranges of ledgers that were asked for and those that have come, between the tip and the window's end.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use bytes::Bytes;
use core::time::Duration;
use polypeer_engine::{ConnectionId, Stock, Stocks, Time};

/// Ledgers of one range: what today's node serves at most.
const RANGE_LEDGERS: i64 = crate::wire::LEDGERS_MAX as i64;
/// Ranges from the tip on that are asked for ahead of their turn.
const RANGES_MAX: usize = 32;
/// Bytes that wait for their turn. When so many do, only the range whose turn is next is asked for; an answer can have
/// 32 MB more, and each peer owes one at most.
const HELD_BYTES_MAX: usize = 64 << 20;
/// The range whose turn is next is asked of a second peer when the first takes so long.
pub(super) const PATIENCE: Duration = Duration::from_secs(2);
/// Peers that one range is asked of at one time.
const ASKED_MAX: usize = 2;

/// Ranges by their first ledger. None overlaps another.
#[derive(Debug, Default)]
pub(super) struct Ranges {
    ranges: BTreeMap<i64, Range>,
    held_bytes: usize,
    // The range from here on was not answered in time: it may be too long for one message, so one ledger is asked for.
    slow: Option<i64>,
}

#[derive(Debug)]
struct Range {
    end: i64,
    state: State,
}

#[derive(Debug)]
enum State {
    /// These peers were asked, the last at this time.
    Asked(Vec<ConnectionId>, Time),
    /// It came.
    Here(Brought),
}

/// A range that came.
#[derive(Debug)]
pub(super) struct Brought {
    /// By whom.
    pub(super) from: ConnectionId,
    /// Its first ledger.
    pub(super) begin: i64,
    /// Values and their proofs.
    pub(super) ledgers: Vec<(Bytes, Bytes)>,
}

impl Brought {
    fn bytes(&self) -> usize {
        self.ledgers.iter().map(|(value, proof)| value.len() + proof.len()).sum()
    }
}

impl Ranges {
    pub(super) fn stock(&self, stocks: &mut Stocks) {
        // The one whose turn is next may come on top.
        stocks.push(Stock::of_peers("ranges of ledgers asked for", self.ranges.len(), RANGES_MAX + 1));
    }

    /// What to ask a peer for that has ledgers up to `has`, when `next` is the first that the ledger was not given.
    pub(super) fn choose(&self, now: Time, next: i64, has: i64) -> Option<(i64, i64)> {
        if next > has {
            return None;
        }
        let mut free = next;
        let mut limit = has;
        for (begin, range) in &self.ranges {
            if *begin > free {
                limit = has.min(begin - 1);
                break;
            }
            free = free.max(range.end + 1);
        }
        // What proved wrong is asked for again, also when all that comes behind it is here already.
        let has_room = free == next || self.ranges.len() < RANGES_MAX && self.held_bytes < HELD_BYTES_MAX;
        if free > limit || !has_room {
            return self.overdue(now, next, has);
        }
        let count = if self.slow == Some(free) { 1 } else { RANGE_LEDGERS };
        Some((free, limit.min(free.saturating_add(count - 1))))
    }

    // The range whose turn is next, when whoever was asked for it takes long.
    fn overdue(&self, now: Time, next: i64, has: i64) -> Option<(i64, i64)> {
        let (begin, range) = self.ranges.first_key_value()?;
        let State::Asked(asked, since) = &range.state else { return None };
        let is_overdue = *begin <= next && range.end <= has && asked.len() < ASKED_MAX && now >= *since + PATIENCE;
        is_overdue.then_some((*begin, range.end))
    }

    /// A peer was asked for a range that [`Self::choose`] chose.
    pub(super) fn asked(&mut self, now: Time, (begin, end): (i64, i64), peer: ConnectionId) {
        let new = Range { end, state: State::Asked(Vec::new(), now) };
        let range = self.ranges.entry(begin).or_insert(new);
        if let State::Asked(asked, since) = &mut range.state {
            asked.push(peer);
            *since = now;
        }
    }

    /// A peer will not bring a range that it was asked for.
    pub(super) fn lost(&mut self, begin: i64, peer: ConnectionId, is_slow: bool) {
        let Some(Range { state: State::Asked(asked, _), .. }) = self.ranges.get_mut(&begin) else { return };
        asked.retain(|other| *other != peer);
        if asked.is_empty() {
            self.ranges.remove(&begin);
        }
        if is_slow {
            self.slow = Some(begin);
        }
    }

    /// A peer brought what is wrong: nothing that it was asked for will come, and nothing that came of it is believed.
    pub(super) fn lost_all(&mut self, peer: ConnectionId) {
        let held_bytes = &mut self.held_bytes;
        self.ranges.retain(|_, range| match &mut range.state {
            State::Asked(asked, _) => {
                asked.retain(|other| *other != peer);
                !asked.is_empty()
            }
            State::Here(brought) if brought.from == peer => {
                *held_bytes -= brought.bytes();
                false
            }
            State::Here(_) => true,
        });
    }

    /// A range came. One that is here already, or that overlaps what is, is left.
    pub(super) fn came(&mut self, end: i64, brought: Brought) {
        let begin = brought.begin;
        let is_awaited = match self.ranges.get(&begin) {
            Some(range) => matches!(range.state, State::Asked(..)) && range.end == end,
            None => {
                let before = self.ranges.range(..begin).next_back().is_none_or(|(_, range)| range.end < begin);
                let after = self.ranges.range(begin..).next().is_none_or(|(other, _)| *other > end);
                before && after && self.ranges.len() < RANGES_MAX
            }
        };
        if is_awaited {
            self.held_bytes += brought.bytes();
            self.ranges.insert(begin, Range { end, state: State::Here(brought) });
        }
    }

    /// The range whose turn it is, if it is here.
    pub(super) fn take(&mut self, next: i64) -> Option<Brought> {
        let entry = self.ranges.first_entry().filter(|entry| *entry.key() <= next)?;
        if !matches!(entry.get().state, State::Here(_)) {
            return None;
        }
        let State::Here(brought) = entry.remove().state else { return None };
        self.held_bytes -= brought.bytes();
        Some(brought)
    }

    /// Ledgers below `next` are not wanted any more.
    pub(super) fn forget_below(&mut self, next: i64) {
        while let Some(entry) = self.ranges.first_entry()
            && entry.get().end < next
        {
            if let State::Here(brought) = entry.remove().state {
                self.held_bytes -= brought.bytes();
            }
        }
        self.slow = self.slow.filter(|slow| *slow >= next);
    }

    /// Whether nothing is asked for and nothing waits.
    pub(super) fn is_empty(&self) -> bool {
        self.ranges.is_empty()
    }

    /// Whether the range whose turn is next is on its way.
    pub(super) fn is_waiting(&self) -> bool {
        self.ranges.first_key_value().is_some_and(|(_, range)| matches!(range.state, State::Asked(..)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use polypeer_engine::Direction;

    fn at(millis: u64) -> Time {
        Time::from_micros(millis * 1000)
    }

    fn peer(number: u64) -> ConnectionId {
        ConnectionId::nth(Direction::Inbound, number)
    }

    fn brought(begin: i64, count: usize) -> Brought {
        Brought { from: peer(0), begin, ledgers: alloc::vec![(Bytes::from_static(b"value"), Bytes::new()); count] }
    }

    #[test]
    fn each_peer_gets_its_own_range_of_five_and_gaps_are_filled_first() {
        let mut ranges = Ranges::default();
        for (number, range) in [(2, 6), (7, 11), (12, 14)].into_iter().enumerate() {
            assert_eq!(ranges.choose(at(0), 2, 14), Some(range));
            ranges.asked(at(0), range, peer(number as u64));
        }
        assert_eq!(ranges.choose(at(0), 2, 14), None);
        ranges.lost(7, peer(1), false);
        assert_eq!(ranges.choose(at(0), 2, 14), Some((7, 11)));
        ranges.lost(2, peer(0), true);
        assert_eq!(ranges.choose(at(0), 2, 14), Some((2, 2)), "one at a time after a silence");
        ranges.asked(at(0), (2, 2), peer(3));
        assert_eq!(ranges.choose(at(0), 2, 14), Some((3, 7)));
        ranges.asked(at(0), (3, 7), peer(0));
        assert_eq!(ranges.choose(at(0), 2, 14), Some((8, 11)));
    }

    #[test]
    fn what_came_is_taken_in_its_turn() {
        let mut ranges = Ranges::default();
        ranges.asked(at(0), (2, 6), peer(0));
        ranges.asked(at(0), (7, 11), peer(1));
        ranges.came(11, brought(7, 5));
        assert!(ranges.take(2).is_none());
        ranges.came(6, brought(2, 5));
        ranges.came(6, brought(2, 5));
        assert_eq!(ranges.take(2).map(|it| it.begin), Some(2));
        assert_eq!(ranges.take(7).map(|it| it.begin), Some(7));
        assert_eq!((ranges.held_bytes, ranges.ranges.len()), (0, 0));
    }

    #[test]
    fn what_overlaps_is_left() {
        let mut ranges = Ranges::default();
        ranges.asked(at(0), (2, 6), peer(0));
        ranges.came(4, brought(2, 3));
        ranges.came(8, brought(6, 3));
        ranges.came(7, brought(1, 7));
        assert!(ranges.is_waiting() && ranges.held_bytes == 0 && ranges.ranges.len() == 1);
    }

    #[test]
    fn the_window_and_the_bytes_are_bounded_and_the_next_range_is_always_asked_for() {
        let mut ranges = Ranges::default();
        for number in 0..RANGES_MAX as i64 {
            let range = ranges.choose(at(0), 2, 1_000_000).expect("there is room");
            assert_eq!(range.0, 2 + 5 * number);
            ranges.asked(at(0), range, peer(0));
        }
        assert_eq!(ranges.choose(at(1_999), 2, 1_000_000), None);
        assert_eq!(ranges.choose(at(2_000), 2, 1_000_000), Some((2, 6)), "another is asked for what takes long");
        ranges.asked(at(2_000), (2, 6), peer(1));
        assert_eq!(ranges.choose(at(9_000), 2, 1_000_000), None, "not a third");
        let mut ranges = Ranges::default();
        let large = Bytes::from(alloc::vec![0; HELD_BYTES_MAX]);
        ranges.asked(at(0), (7, 11), peer(0));
        ranges.came(11, Brought { ledgers: alloc::vec![(large, Bytes::new())], ..brought(7, 0) });
        assert_eq!(ranges.choose(at(0), 2, 100), Some((2, 6)));
        ranges.asked(at(0), (2, 6), peer(1));
        assert_eq!(ranges.choose(at(0), 2, 100), None);
        ranges.forget_below(12);
        assert_eq!((ranges.held_bytes, ranges.ranges.len()), (0, 0));
    }

    #[test]
    fn what_proved_wrong_is_asked_for_again_though_the_window_is_full() {
        let mut ranges = Ranges::default();
        for number in 0..RANGES_MAX as i64 {
            let (begin, end) = ranges.choose(at(0), 42, 1_000_000).unwrap();
            ranges.asked(at(0), (begin, end), peer(number as u64 % 2));
            ranges.came(end, Brought { from: peer(number as u64 % 2), ..brought(begin, 5) });
        }
        assert_eq!(ranges.choose(at(0), 42, 1_000_000), None);
        // The ledger had been given those from 2 on.
        assert_eq!(ranges.choose(at(0), 2, 1_000_000), Some((2, 6)));
        ranges.asked(at(0), (2, 6), peer(0));
        assert_eq!(ranges.choose(at(0), 2, 1_000_000), None);
        assert_eq!(ranges.ranges.len(), RANGES_MAX + 1);
        ranges.lost_all(peer(1));
        assert_eq!((ranges.ranges.len(), ranges.held_bytes), (RANGES_MAX / 2 + 1, RANGES_MAX / 2 * 25));
        assert_eq!(ranges.choose(at(0), 2, 1_000_000), Some((7, 11)));
    }

    #[test]
    fn numbers_at_the_end_do_not_overflow() {
        let ranges = Ranges::default();
        assert_eq!(ranges.choose(at(0), i64::MAX, i64::MAX), Some((i64::MAX, i64::MAX)));
        assert_eq!(ranges.choose(at(0), 5, 4), None);
    }
}
