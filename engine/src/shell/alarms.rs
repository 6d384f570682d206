//! Keeps the table of timers: one time for each key, so its size is bounded by what can be named.

use crate::{ConnectionId, Time};
use alloc::collections::{BTreeMap, BTreeSet};

/// Who set an alarm.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum AlarmKey<A> {
    /// The dialer: look for someone to dial.
    Dial,
    /// The shell: someone whose answers waited may be served.
    Serve,
    /// The protocol.
    Protocol(A),
    /// The protocol, for one connection; dropped with it.
    Peer(ConnectionId, A),
}

/// The timers that are set.
#[derive(Clone, Debug)]
pub struct Alarms<A> {
    own: BTreeMap<AlarmKey<A>, Time>,
    // Nothing stands before every alarm of a connection, so that its alarms can be found together.
    of_peers: BTreeMap<(ConnectionId, Option<A>), Time>,
    by_time: BTreeSet<(Time, AlarmKey<A>)>,
}

impl<A> Default for Alarms<A> {
    fn default() -> Self {
        Self { own: BTreeMap::new(), of_peers: BTreeMap::new(), by_time: BTreeSet::new() }
    }
}

impl<A: Ord + Copy> Alarms<A> {
    /// Sets the alarm to `at`, replacing its earlier time.
    pub fn set(&mut self, key: AlarmKey<A>, at: Time) {
        let before = match key {
            AlarmKey::Peer(connection, alarm) => self.of_peers.insert((connection, Some(alarm)), at),
            _ => self.own.insert(key, at),
        };
        if let Some(before) = before {
            self.by_time.remove(&(before, key));
        }
        self.by_time.insert((at, key));
    }

    /// Sets the alarm unless it is due earlier already.
    pub fn set_earlier(&mut self, key: AlarmKey<A>, at: Time) {
        if self.time_of(key).is_none_or(|set| set > at) {
            self.set(key, at);
        }
    }

    /// Whether the alarm is set.
    pub fn is_set(&self, key: AlarmKey<A>) -> bool {
        self.time_of(key).is_some()
    }

    /// Forgets the alarm.
    pub fn cancel(&mut self, key: AlarmKey<A>) {
        if let Some(at) = self.remove(key) {
            self.by_time.remove(&(at, key));
        }
    }

    /// Forgets all alarms of a connection.
    pub fn cancel_peer(&mut self, connection: ConnectionId) {
        let first = (connection, None);
        while let Some((key, at)) = self.of_peers.range(first..).next().map(|(key, at)| (*key, *at)) {
            let (of, Some(alarm)) = key else { return };
            if of != connection {
                return;
            }
            self.of_peers.remove(&key);
            self.by_time.remove(&(at, AlarmKey::Peer(connection, alarm)));
        }
    }

    /// The connection of each alarm that has one.
    pub(crate) fn connections(&self) -> impl Iterator<Item = ConnectionId> {
        self.of_peers.keys().map(|(connection, _)| *connection)
    }

    /// Whether both tables name the same alarms.
    pub(crate) fn is_consistent(&self) -> bool {
        self.by_time.len() == self.own.len() + self.of_peers.len()
            && self.by_time.iter().all(|(at, key)| self.time_of(*key) == Some(*at))
    }

    /// When the first alarm is due.
    pub fn next(&self) -> Option<Time> {
        self.by_time.first().map(|(at, _)| *at)
    }

    /// Takes the first alarm that is due by `now`.
    pub fn take_due(&mut self, now: Time) -> Option<AlarmKey<A>> {
        let (at, key) = *self.by_time.first()?;
        if at > now {
            return None;
        }
        self.by_time.remove(&(at, key));
        self.remove(key);
        Some(key)
    }

    fn time_of(&self, key: AlarmKey<A>) -> Option<Time> {
        match key {
            AlarmKey::Peer(connection, alarm) => self.of_peers.get(&(connection, Some(alarm))).copied(),
            _ => self.own.get(&key).copied(),
        }
    }

    fn remove(&mut self, key: AlarmKey<A>) -> Option<Time> {
        match key {
            AlarmKey::Peer(connection, alarm) => self.of_peers.remove(&(connection, Some(alarm))),
            _ => self.own.remove(&key),
        }
    }
}
