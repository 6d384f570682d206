//! Keeps what happened last, numbered over the whole node, for whoever asks later.

use crate::view::{Happened, What};
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};
use tokio::sync::watch;

/// Events that are kept; about 300 bytes each. Who asks for older ones is shown a gap.
pub const EVENTS_MAX: usize = 8192;

/// The events of all networks.
#[derive(Debug)]
pub struct EventLog {
    ring: Mutex<Ring>,
    last: watch::Sender<u64>,
}

#[derive(Debug)]
struct Ring {
    kept: VecDeque<Arc<Happened>>,
    next: u64,
}

impl Default for EventLog {
    fn default() -> Self {
        Self { ring: Mutex::new(Ring { kept: VecDeque::new(), next: 1 }), last: watch::Sender::new(0) }
    }
}

impl EventLog {
    /// Adds what happened.
    pub fn push(&self, network: &str, what: What) {
        let mut ring = self.lock();
        ring.push(network, what);
        self.last.send_replace(ring.next - 1);
    }

    /// `lost` events of a network were lost: their numbers are missing, and the next entry says so.
    pub fn lose(&self, network: &str, lost: u64) {
        let mut ring = self.lock();
        ring.next += lost;
        ring.push(network, What::Gap { lost });
        self.last.send_replace(ring.next - 1);
    }

    /// At most `max` events after `since`, oldest first. When some between are gone, a gap with the number of the
    /// last one that is gone comes first.
    pub fn after(&self, since: u64, max: usize) -> Vec<Arc<Happened>> {
        let ring = self.lock();
        // A number that was never given is from before a restart: everything is new to its owner.
        let since = if since >= ring.next { 0 } else { since };
        let start = ring.kept.partition_point(|kept| kept.sequence <= since);
        let mut out: Vec<_> = ring.kept.range(start..).take(max).cloned().collect();
        if let Some(first) = out.first()
            && first.sequence > since + 1
            && !matches!(first.what, What::Gap { .. })
        {
            let lost = first.sequence - since - 1;
            let gap = Happened {
                sequence: first.sequence - 1,
                time: first.time,
                network: first.network.clone(),
                what: What::Gap { lost },
            };
            out.insert(0, Arc::new(gap));
        }
        out
    }

    /// Wakes everyone who waits for the next event; there is none.
    pub fn close(&self) {
        self.last.send_modify(|_| {});
    }

    /// The number of the newest event; changes when there is a newer one.
    pub fn last(&self) -> watch::Receiver<u64> {
        self.last.subscribe()
    }

    fn lock(&self) -> MutexGuard<'_, Ring> {
        // Nothing in here leaves the ring half changed.
        self.ring.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Ring {
    fn push(&mut self, network: &str, what: What) {
        if self.kept.len() == EVENTS_MAX {
            self.kept.pop_front();
        }
        let happened = Happened { sequence: self.next, time: unix_ms(), network: network.to_owned(), what };
        self.kept.push_back(Arc::new(happened));
        self.next += 1;
    }
}

/// Milliseconds since 1970, as the machine believes.
pub fn unix_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sequences(log: &EventLog, since: u64) -> Vec<(u64, &'static str)> {
        log.after(since, 10).iter().map(|event| (event.sequence, event.what.word())).collect()
    }

    fn note(log: &EventLog) {
        log.push("net", What::Note { text: "x".into() });
    }

    #[test]
    fn events_are_numbered_from_one() {
        let log = EventLog::default();
        note(&log);
        note(&log);
        assert_eq!(sequences(&log, 0), [(1, "note"), (2, "note")]);
        assert_eq!(sequences(&log, 1), [(2, "note")]);
        assert_eq!(sequences(&log, 2), []);
        assert_eq!(*log.last().borrow(), 2);
    }

    #[test]
    fn what_was_lost_is_seen_as_missing_numbers() {
        let log = EventLog::default();
        note(&log);
        log.lose("net", 5);
        note(&log);
        assert_eq!(sequences(&log, 0), [(1, "note"), (7, "gap"), (8, "note")]);
    }

    #[test]
    fn what_left_the_ring_is_a_gap() {
        let log = EventLog::default();
        (0..EVENTS_MAX as u64 + 3).for_each(|_| note(&log));
        assert_eq!(sequences(&log, 0)[..2], [(3, "gap"), (4, "note")]);
        assert_eq!(sequences(&log, 3)[0], (4, "note"));
    }

    #[test]
    fn a_number_from_before_a_restart_gets_everything() {
        let log = EventLog::default();
        note(&log);
        assert_eq!(sequences(&log, 99), [(1, "note")]);
    }
}
