//! Floods what every node must see: sends it once to each, and remembers that it did (BUMO spec, section 5.3).
//!
//! A message is known by the hash of its inner bytes, so these travel unchanged; the envelope around them differs from
//! connection to connection, for it counts what was sent there.

use crate::hash::Hash;
use crate::wire::Kind;
use crate::{Alarm, Bumo, Cx};
use core::time::Duration;
use polypeer_engine::kit::seen::Seen;
use polypeer_engine::{ConnectionId, Overflow, Stock, Stocks, Time};

/// What was broadcast is remembered for this long from first sight.
pub const KEPT_FOR: Duration = Duration::from_secs(3_600);
/// Broadcasts that are remembered, about 75 bytes each. Today's node lets the oldest half go when it has more; here the
/// oldest leaves for each that comes, so that nothing is forgotten earlier and no step is long.
pub const RECORDS_MAX: usize = 1_000_000;
/// Old records that go with each new one: more than one, so that this keeps up.
const CLEARED_WITH_ONE: usize = 4;
/// The time between two looks for old ones while nothing new comes, and how many may go then.
const CLEARED_EVERY: Duration = Duration::from_secs(5);
const CLEARED_AT_ONCE_MAX: usize = 10_000;

/// What was broadcast and who has it.
#[derive(Debug)]
pub(crate) struct Broadcasts {
    records: Seen<Hash, Record>,
    // Counts broadcasts and peers that became active, so that the two have an order.
    order: u64,
}

/// One broadcast. Who was active when it was sent has it: it came from there or went there. So no record needs a list.
#[derive(Clone, Copy, Debug)]
struct Record {
    since: Time,
    sent: u64,
}

impl Broadcasts {
    /// Nothing was broadcast. `secret` keys the records.
    pub(crate) fn new(secret: u64) -> Self {
        Self { records: Seen::new(RECORDS_MAX, secret), order: 0 }
    }

    /// A peer became active: its place among the broadcasts.
    pub(crate) fn joins(&mut self) -> u64 {
        self.order += 1;
        self.order
    }

    /// Whether this was broadcast before.
    pub(crate) fn is_known(&self, digest: &Hash) -> bool {
        self.records.contains(digest)
    }

    /// This is to go to everyone once more.
    pub(crate) fn forget(&mut self, digest: &Hash) {
        self.records.remove(digest);
    }

    /// Remembers that this is broadcast now. Peers that joined after the number that it gives lack it.
    fn record(&mut self, now: Time, digest: Hash) -> u64 {
        self.clear(now, CLEARED_WITH_ONE);
        self.order += 1;
        let order = self.order;
        let new = || Record { since: now, sent: 0 };
        let Some((record, _)) = self.records.get_or_insert_with(digest, new) else { return 0 };
        core::mem::replace(&mut record.sent, order)
    }

    // What is old goes, up to so many. Records stand in the order of first sight.
    fn clear(&mut self, now: Time, most: usize) {
        for _ in 0..most {
            let Some((digest, record)) = self.records.iter().next() else { return };
            if now.since(record.since) < KEPT_FOR {
                return;
            }
            let digest = *digest;
            self.records.remove(&digest);
        }
    }

    pub(crate) fn stock(&self, stocks: &mut Stocks) {
        stocks.push(Stock::kept("broadcasts remembered", self.records.len(), RECORDS_MAX));
    }
}

impl Bumo {
    /// Forgets what was broadcast long ago.
    pub(crate) fn clear_broadcasts(&mut self, cx: &mut Cx<'_>) {
        self.broadcasts.clear(cx.time(), CLEARED_AT_ONCE_MAX);
        let again = cx.time() + CLEARED_EVERY;
        cx.alarm(Alarm::Broadcasts, again);
    }

    /// Sends a message to every active peer in the table that lacks it, but to those of `from`, who brought it. Whoever
    /// joined as the number that it gives, or later, lacked it: a peer whose own handler runs may be one of them.
    pub(crate) fn broadcast(
        &mut self,
        cx: &mut Cx<'_>,
        kind: Kind,
        data: &[u8],
        digest: Hash,
        from: &[ConnectionId],
    ) -> u64 {
        let lack_it_from = self.broadcasts.record(cx.time(), digest);
        let overflow = if kind == Kind::Pbft { Overflow::Close } else { Overflow::Drop };
        for connection in cx.connections() {
            if from.contains(&connection) {
                continue;
            }
            let Some(active) = crate::peer::active_mut(cx, connection) else { continue };
            if active.joined < lack_it_from {
                continue;
            }
            let frame = active.line.request(kind, data);
            cx.send(connection, frame, overflow);
        }
        lack_it_from
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Time {
        Time::from_micros(seconds * 1_000_000)
    }

    fn digest(number: u32) -> Hash {
        let mut bytes = [0; 32];
        bytes[..4].copy_from_slice(&number.to_be_bytes());
        Hash(bytes)
    }

    #[test]
    fn who_joined_after_a_broadcast_lacks_it_and_who_was_there_has_it() {
        let mut broadcasts = Broadcasts::new(1);
        let early = broadcasts.joins();
        let first = broadcasts.record(at(0), digest(1));
        assert!(early >= first, "it lacks what was never sent");
        let late = broadcasts.joins();
        let again = broadcasts.record(at(1), digest(1));
        assert!(early < again && late >= again);
        let both_have_it = broadcasts.record(at(2), digest(1));
        assert!(early < both_have_it && late < both_have_it);
    }

    #[test]
    fn a_broadcast_is_remembered_for_an_hour_from_first_sight() {
        let mut broadcasts = Broadcasts::new(1);
        broadcasts.record(at(0), digest(1));
        broadcasts.record(at(3_599), digest(1));
        broadcasts.clear(at(3_599), 10);
        assert!(broadcasts.is_known(&digest(1)));
        broadcasts.clear(at(3_600), 10);
        assert!(!broadcasts.is_known(&digest(1)));
    }

    #[test]
    fn a_million_are_remembered_and_then_the_oldest_leaves() {
        let mut broadcasts = Broadcasts::new(1);
        for number in 0..=RECORDS_MAX as u32 {
            broadcasts.record(at(0), digest(number));
        }
        assert_eq!(broadcasts.records.len(), RECORDS_MAX);
        assert!(!broadcasts.is_known(&digest(0)) && broadcasts.is_known(&digest(1)));
        // An hour later a flood's records leave as fast as new ones come, and faster.
        for number in 0..100 {
            broadcasts.record(at(3_600), digest(u32::MAX - number));
        }
        assert_eq!(broadcasts.records.len(), RECORDS_MAX - 100 * (CLEARED_WITH_ONE - 1));
    }
}
