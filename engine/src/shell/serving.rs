//! Decides whose answer is made next when there is not enough for all: the upload cap, and accounts that are overdrawn.

use crate::shell::alarms::AlarmKey;
use crate::{ChannelId, ConnectionId, Context, Overflow, Protocol, Time};
use alloc::collections::{BTreeMap, BTreeSet, VecDeque};
use bytes::Bytes;
use core::time::Duration;

/// The cap is even over this time: so much may be sent at once after a rest, and so far news may run ahead of it.
const EVEN_OVER: Duration = Duration::from_secs(1);
/// However low the cap, a largest answer of history must not wait for many of its own length.
const BURST_BYTES_MIN: u64 = 64 << 10;
/// Answers that wait for the cap are looked at this often at most.
const PAUSE: Duration = Duration::from_millis(10);

/// What a frame is to the upload cap, in the order in which they go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Traffic {
    /// Handshakes, keep-alives, questions and small answers: always sent, and counted.
    Control,
    /// New blocks and transactions: sent ahead of the cap by at most a second's worth, then dropped like all gossip.
    Relay,
    /// What was asked for of the past: made when the cap has room.
    History,
}

impl Traffic {
    /// All of them, in order.
    pub const ALL: [Self; 3] = [Self::Control, Self::Relay, Self::History];

    /// Its name, as metrics show it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Control => "control",
            Self::Relay => "relay",
            Self::History => "history",
        }
    }

    pub(crate) fn of(overflow: Overflow) -> Self {
        match overflow {
            Overflow::Drop => Self::Relay,
            Overflow::Close => Self::Control,
        }
    }
}

/// Who waits to be served, and what was sent.
#[derive(Clone, Debug, Default)]
pub struct Serving {
    /// Bytes sent of each class, in the order of [`Traffic::ALL`].
    pub sent: [u64; Traffic::ALL.len()],
    /// Frames of news that the cap had no room for.
    pub news_dropped: u64,
    // Bytes a second; 0 when there is no cap.
    rate: u64,
    // Bytes that may be sent now; below zero when more was sent than the cap allows.
    room: i64,
    filled: Time,
    // Peers whose answers wait for the cap; they take turns.
    waiting: VecDeque<ConnectionId>,
    is_waiting: BTreeSet<ConnectionId>,
    // Peers whose answers wait until their account is no longer overdrawn.
    debtors: BTreeSet<(Time, ConnectionId)>,
    debts: BTreeMap<ConnectionId, Time>,
}

impl Serving {
    pub(crate) fn new(rate: u64, now: Time) -> Self {
        let mut serving = Self { rate, filled: now, ..Self::default() };
        serving.room = serving.burst();
        serving
    }

    fn burst(&self) -> i64 {
        i64::try_from(self.rate.saturating_mul(EVEN_OVER.as_secs()).max(BURST_BYTES_MIN)).unwrap_or(i64::MAX)
    }

    fn fill(&mut self, now: Time) {
        // What is not a whole byte yet stays on the clock.
        let micros = u64::try_from(now.since(self.filled).as_micros()).unwrap_or(u64::MAX);
        let gained = u128::from(micros) * u128::from(self.rate) / 1_000_000;
        if gained > 0 {
            let gained = i64::try_from(gained).unwrap_or(i64::MAX);
            self.room = self.room.saturating_add(gained).min(self.burst());
            self.filled = now;
        }
    }

    fn has_room(&mut self, now: Time) -> bool {
        if self.rate == 0 {
            return true;
        }
        self.fill(now);
        self.room > 0
    }

    // When there will be room, if nothing is sent meanwhile.
    fn room_at(&self, now: Time) -> Time {
        let missing = u64::try_from(1 - self.room).unwrap_or(0);
        let micros = u128::from(missing) * 1_000_000 / u128::from(self.rate.max(1));
        now + Duration::from_micros(u64::try_from(micros).unwrap_or(u64::MAX)).max(PAUSE)
    }

    // Whether a frame may go; it is counted if so.
    fn admits(&mut self, now: Time, traffic: Traffic, bytes: usize) -> bool {
        let counted = i64::try_from(bytes).unwrap_or(i64::MAX);
        if self.rate > 0 {
            self.fill(now);
            if traffic == Traffic::Relay && self.room < -self.burst() {
                self.news_dropped += 1;
                return false;
            }
            // Control may run ahead of the cap as far as it likes; it is never answered by more than it was asked.
            self.room = self.room.saturating_sub(counted);
        }
        self.sent[traffic as usize] += bytes as u64;
        true
    }

    fn wait_for_room(&mut self, connection: ConnectionId) {
        if self.is_waiting.insert(connection) {
            self.waiting.push_back(connection);
        }
    }

    fn wait_for_credit(&mut self, connection: ConnectionId, until: Time) {
        if let Some(before) = self.debts.insert(connection, until) {
            self.debtors.remove(&(before, connection));
        }
        self.debtors.insert((until, connection));
    }

    /// Whose turn it is now, if anyone's.
    pub(crate) fn next(&mut self, now: Time) -> Option<ConnectionId> {
        if let Some((until, connection)) = self.debtors.first().copied()
            && until <= now
        {
            self.debtors.remove(&(until, connection));
            self.debts.remove(&connection);
            return Some(connection);
        }
        if self.waiting.is_empty() || !self.has_room(now) {
            return None;
        }
        let connection = self.waiting.pop_front()?;
        self.is_waiting.remove(&connection);
        Some(connection)
    }

    /// When it is someone's turn.
    pub(crate) fn next_at(&self, now: Time) -> Option<Time> {
        let credit = self.debtors.first().map(|(until, _)| *until);
        let room = (!self.waiting.is_empty()).then(|| self.room_at(now));
        credit.into_iter().chain(room).min()
    }

    /// How many wait: at most so many turns are due at one time.
    pub(crate) fn count(&self) -> usize {
        self.waiting.len() + self.debtors.len()
    }

    /// A connection is gone.
    pub(crate) fn gone(&mut self, connection: ConnectionId) {
        if self.is_waiting.remove(&connection) {
            self.waiting.retain(|waiting| *waiting != connection);
        }
        if let Some(until) = self.debts.remove(&connection) {
            self.debtors.remove(&(until, connection));
        }
    }
}

/// Answers.
impl<P: Protocol> Context<'_, P> {
    /// Whether an answer of news may be made for this peer now: its channel is writable and its account not overdrawn.
    /// When not, `on_writable` says when.
    pub fn may_answer(&mut self, connection: ConnectionId) -> bool {
        self.may_answer_on(connection, ChannelId::ONLY)
    }

    /// The same on a channel. Who waits for credit or for room waits as a peer, not as a channel: `on_writable` then
    /// names [`ChannelId::ONLY`].
    pub fn may_answer_on(&mut self, connection: ConnectionId, channel: ChannelId) -> bool {
        if !self.is_writable_on(connection, channel) {
            return false;
        }
        let Some(until) = self.overdrawn_until(connection) else { return true };
        self.state.serving.wait_for_credit(connection, until);
        self.state.alarms.set_earlier(AlarmKey::Serve, until);
        false
    }

    /// Whether an answer of history may be made: the same, and the upload cap has room.
    pub fn may_serve(&mut self, connection: ConnectionId) -> bool {
        self.may_serve_on(connection, ChannelId::ONLY)
    }

    /// The same on a channel; see [`Context::may_answer_on`].
    pub fn may_serve_on(&mut self, connection: ConnectionId, channel: ChannelId) -> bool {
        if !self.may_answer_on(connection, channel) {
            return false;
        }
        let now = self.time();
        let has_room = self.state.serving.has_room(now);
        if !has_room {
            self.state.serving.wait_for_room(connection);
            let at = self.state.serving.room_at(now);
            self.state.alarms.set_earlier(AlarmKey::Serve, at);
        }
        has_room
    }

    /// Sends an answer of history.
    pub fn serve(&mut self, connection: ConnectionId, frame: Bytes) {
        self.serve_on(connection, ChannelId::ONLY, frame);
    }

    /// Sends an answer of history on a channel.
    pub fn serve_on(&mut self, connection: ConnectionId, channel: ChannelId, frame: Bytes) {
        self.send_as(connection, channel, frame, Overflow::Close, Traffic::History);
    }

    // Whether the cap lets a frame go.
    pub(crate) fn cap_admits(&mut self, traffic: Traffic, bytes: usize) -> bool {
        let now = self.time();
        self.state.serving.admits(now, traffic, bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Direction;

    fn at(millis: u64) -> Time {
        Time::from_micros(millis * 1000)
    }

    fn peer(number: u64) -> ConnectionId {
        ConnectionId::nth(Direction::Inbound, number)
    }

    #[test]
    fn history_waits_for_what_news_and_control_leave() {
        let mut serving = Serving::new(1 << 20, at(0));
        assert!(serving.has_room(at(0)));
        assert!(serving.admits(at(0), Traffic::History, 1 << 20));
        assert!(!serving.has_room(at(0)), "the burst is spent");
        assert!(serving.admits(at(0), Traffic::Relay, 1 << 20) && serving.admits(at(0), Traffic::Relay, 1));
        assert!(!serving.admits(at(0), Traffic::Relay, 1), "news is a second ahead at most");
        assert!(serving.admits(at(0), Traffic::Control, 1));
        assert!(!serving.has_room(at(1_000)) && serving.has_room(at(1_010)), "what ran ahead is made up for");
        assert_eq!((serving.sent, serving.news_dropped), ([1, (1 << 20) + 1, 1 << 20], 1));
    }

    #[test]
    fn without_a_cap_all_is_counted_and_nothing_waits() {
        let mut serving = Serving::new(0, at(0));
        for traffic in Traffic::ALL {
            assert!(serving.admits(at(0), traffic, usize::MAX / 4));
        }
        assert!(serving.has_room(at(0)));
    }

    #[test]
    fn those_who_wait_take_turns() {
        let mut serving = Serving::new(1000, at(0));
        serving.admits(at(0), Traffic::History, 100_000);
        for number in [1, 2, 3] {
            serving.wait_for_room(peer(number));
            serving.wait_for_room(peer(number));
        }
        let due = serving.next_at(at(0)).expect("they wait");
        assert_eq!(serving.next(at(0)), None);
        assert_eq!(serving.next(due), Some(peer(1)));
        serving.wait_for_room(peer(1));
        assert_eq!([(); 3].map(|()| serving.next(due)), [Some(peer(2)), Some(peer(3)), Some(peer(1))]);
        serving.wait_for_credit(peer(4), at(5));
        serving.wait_for_credit(peer(4), at(7));
        serving.wait_for_room(peer(5));
        serving.gone(peer(5));
        assert_eq!((serving.count(), serving.next_at(at(0))), (1, Some(at(7))));
        serving.gone(peer(4));
        assert_eq!(serving.count(), 0);
    }
}
