//! Remembers messages: those that are being judged, those that were, and those that can be asked for.

use super::border::{MessageId, TopicId};
use super::limits::{
    ACCEPTED_MAX, ASKED_AT_ONCE_MAX, BRINGERS_MAX, CACHE_BYTES_MAX, CACHE_MAX, PENDING_BYTES_MAX, REFUSED_MAX,
    RETRANSMISSIONS_MAX, TAKERS_MAX, WANTED_MAX,
};
use crate::keys::PeerId;
use alloc::vec::Vec;
use bytes::Bytes;
use core::time::Duration;
use polypeer_engine::kit::seen::Seen;
use polypeer_engine::{ConnectionId, Time};

/// A message that is being judged.
#[derive(Debug)]
pub(super) struct Waiting {
    pub(super) since: Time,
    pub(super) topic: TopicId,
    pub(super) author: PeerId,
    /// As it will be sent on.
    pub(super) frame: Bytes,
    /// Who brought it: the first first.
    pub(super) bringers: Vec<ConnectionId>,
}

impl Waiting {
    /// Another one brought it. Whether it had not before.
    pub(super) fn bring(&mut self, peer: ConnectionId) -> bool {
        let is_new = self.bringers.len() < BRINGERS_MAX && !self.bringers.contains(&peer);
        if is_new {
            self.bringers.push(peer);
        }
        is_new
    }
}

/// The messages that are being judged, oldest first.
#[derive(Debug)]
pub(super) struct Pending {
    max: usize,
    bytes: usize,
    waiting: Seen<MessageId, Waiting>,
}

impl Pending {
    pub(super) fn new(max: usize, secret: u64) -> Self {
        let max = max.max(1);
        Self { max, bytes: 0, waiting: Seen::new(max, secret) }
    }

    pub(super) fn get_mut(&mut self, id: &MessageId) -> Option<&mut Waiting> {
        if self.waiting.is_empty() { None } else { self.waiting.get_mut(id) }
    }

    pub(super) fn contains(&self, id: &MessageId) -> bool {
        !self.waiting.is_empty() && self.waiting.contains(id)
    }

    /// How many more may come.
    pub(super) fn room(&self) -> usize {
        self.max - self.waiting.len()
    }

    /// Whether one of these bytes may come. One alone always may.
    pub(super) fn has_room(&self, bytes: usize) -> bool {
        self.waiting.is_empty() || self.room() > 0 && self.bytes + bytes <= PENDING_BYTES_MAX
    }

    pub(super) fn insert(&mut self, id: MessageId, waiting: Waiting) {
        self.bytes += waiting.frame.len();
        self.waiting.insert(id, waiting);
    }

    pub(super) fn remove(&mut self, id: &MessageId) -> Option<Waiting> {
        let waiting = self.waiting.remove(id)?;
        self.bytes -= waiting.frame.len();
        Some(waiting)
    }

    /// The one that waits longest, if it came before `since`.
    pub(super) fn overdue(&self, since: Time) -> Option<MessageId> {
        self.waiting.iter().next().filter(|(_, waiting)| waiting.since <= since).map(|(id, _)| *id)
    }

    pub(super) fn len(&self) -> usize {
        self.waiting.len()
    }
}

/// The messages that were judged, each for as long as a repetition is taken for one.
#[derive(Debug)]
pub(super) struct Judged {
    lasts: Duration,
    accepted: Seen<MessageId, Time>,
    refused: Seen<MessageId, Time>,
}

impl Judged {
    pub(super) fn new(lasts: Duration, secrets: [u64; 2]) -> Self {
        let [accepted, refused] = secrets;
        Self { lasts, accepted: Seen::new(ACCEPTED_MAX, accepted), refused: Seen::new(REFUSED_MAX, refused) }
    }

    pub(super) fn contains(&self, id: &MessageId, now: Time) -> bool {
        let is_fresh = |at: &Time| now < *at + self.lasts;
        self.accepted.get(id).is_some_and(is_fresh) || self.refused.get(id).is_some_and(is_fresh)
    }

    pub(super) fn insert(&mut self, id: MessageId, now: Time, is_accepted: bool) {
        let judged = if is_accepted { &mut self.accepted } else { &mut self.refused };
        // One that is too old and still here counts anew, and as the newest.
        judged.remove(&id);
        judged.insert(id, now);
    }

    pub(super) fn drop_old(&mut self, now: Time) {
        let lasts = self.lasts;
        let old = |judged: &Seen<MessageId, Time>| {
            let (id, at) = judged.iter().next()?;
            (now >= *at + lasts).then_some(*id)
        };
        for judged in [&mut self.accepted, &mut self.refused] {
            while let Some(id) = old(judged) {
                judged.remove(&id);
            }
        }
    }

    pub(super) fn len(&self) -> usize {
        self.accepted.len() + self.refused.len()
    }
}

/// A message that can be asked for.
#[derive(Debug)]
struct Cached {
    topic: TopicId,
    beat: u64,
    frame: Bytes,
    takers: Vec<(ConnectionId, u8)>,
}

/// The messages that can be asked for, oldest first.
#[derive(Debug)]
pub(super) struct Cache {
    bytes: usize,
    messages: Seen<MessageId, Cached>,
}

impl Cache {
    pub(super) fn new(secret: u64) -> Self {
        Self { bytes: 0, messages: Seen::new(CACHE_MAX, secret) }
    }

    pub(super) fn insert(&mut self, id: MessageId, topic: TopicId, frame: Bytes, beat: u64) {
        let bytes = frame.len();
        while self.messages.len() >= CACHE_MAX || self.bytes + bytes > CACHE_BYTES_MAX {
            if !self.drop_oldest() {
                break;
            }
        }
        if self.messages.insert(id, Cached { topic, beat, frame, takers: Vec::new() }) {
            self.bytes += bytes;
        }
    }

    /// A message for a peer that asks for it, unless it had it often enough.
    pub(super) fn take(&mut self, id: &MessageId, peer: ConnectionId) -> Option<Bytes> {
        let cached = self.messages.get_mut(id)?;
        let takers = cached.takers.len();
        match cached.takers.iter_mut().find(|(taker, _)| *taker == peer) {
            Some((_, times)) if *times >= RETRANSMISSIONS_MAX => return None,
            Some((_, times)) => *times += 1,
            None if takers >= TAKERS_MAX => return None,
            None => cached.takers.push((peer, 1)),
        }
        Some(cached.frame.clone())
    }

    /// The messages of a topic that came in this heartbeat or later.
    pub(super) fn since(&self, topic: TopicId, beat: u64) -> Vec<MessageId> {
        let is_told = |cached: &Cached| cached.topic == topic && cached.beat >= beat;
        self.messages.iter().filter(|(_, cached)| is_told(cached)).map(|(id, _)| *id).collect()
    }

    /// Those that came before this heartbeat leave.
    pub(super) fn drop_before(&mut self, beat: u64) {
        while self.messages.iter().next().is_some_and(|(_, cached)| cached.beat < beat) {
            self.drop_oldest();
        }
    }

    fn drop_oldest(&mut self) -> bool {
        let oldest = self.messages.iter().next().map(|(id, _)| *id);
        let dropped = oldest.and_then(|id| self.messages.remove(&id));
        self.bytes -= dropped.as_ref().map_or(0, |cached| cached.frame.len());
        dropped.is_some()
    }

    pub(super) fn len(&self) -> usize {
        self.messages.len()
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }
}

/// The messages that we asked for and that have not come.
#[derive(Debug)]
pub(super) struct Wanted {
    lasts: Duration,
    asked: Seen<MessageId, Vec<(ConnectionId, Time)>>,
}

impl Wanted {
    pub(super) fn new(lasts: Duration, secret: u64) -> Self {
        Self { lasts, asked: Seen::new(WANTED_MAX, secret) }
    }

    /// Notes that a peer is asked for a message, if it may be: not while it is asked already, or enough others are.
    pub(super) fn ask(&mut self, id: MessageId, peer: ConnectionId, now: Time) -> bool {
        let lasts = self.lasts;
        let Some((asked, _)) = self.asked.get_or_insert_with(id, Vec::new) else { return false };
        let is_open = |(_, at): &(ConnectionId, Time)| now < *at + lasts;
        let is_asked = asked.iter().any(|one| one.0 == peer);
        if is_asked || asked.iter().filter(|one| is_open(one)).count() >= ASKED_AT_ONCE_MAX {
            return false;
        }
        // Who was asked in vain is not asked again for the same, as long as this is remembered.
        if asked.len() >= 2 * ASKED_AT_ONCE_MAX {
            asked.remove(0);
        }
        asked.push((peer, now));
        true
    }

    /// It came.
    pub(super) fn came(&mut self, id: &MessageId) {
        if !self.asked.is_empty() {
            self.asked.remove(id);
        }
    }

    /// Forgets what is overdue, and says who did not bring what it told of; each peer once.
    pub(super) fn overdue(&mut self, now: Time) -> Vec<ConnectionId> {
        let mut broken = Vec::new();
        let is_over = |asked: &Vec<(ConnectionId, Time)>| asked.iter().all(|(_, at)| now >= *at + self.lasts);
        let over: Vec<MessageId> = self.asked.iter().filter(|(_, asked)| is_over(asked)).map(|(id, _)| *id).collect();
        for id in over {
            broken.extend(self.asked.remove(&id).unwrap_or_default().into_iter().map(|(peer, _)| peer));
        }
        broken.sort_unstable();
        broken.dedup();
        broken
    }

    pub(super) fn len(&self) -> usize {
        self.asked.len()
    }
}
