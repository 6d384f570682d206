//! Remembers what was announced and is not here yet, and by whom.

use crate::wire::Question;
use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use polypeer_engine::{ConnectionId, Stock, Stocks};

/// Announced and not yet fetched identifiers that are remembered of a peer; the oldest go (Hello spec, section 4).
pub(crate) const ANNOUNCED_MAX: usize = 5_000;

/// What was announced. Each thing is asked of one announcer at a time.
#[derive(Debug, Default)]
pub(crate) struct Wants {
    wants: BTreeMap<Question, Want>,
    // By peer, in the order in which it announced them.
    announced: BTreeMap<ConnectionId, BTreeMap<u64, Question>>,
    next: u64,
}

#[derive(Debug)]
struct Want {
    // Who announced it and was not asked in vain, in order, each with its place in `announced`.
    announcers: Vec<(ConnectionId, u64)>,
    state: State,
}

/// What is done about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// The ledger may know it. May become idle.
    Unchecked,
    /// Nobody is asked. May become asked.
    Idle,
    /// This peer is asked. May become idle, or here.
    Asked(ConnectionId),
    /// It came and is judged. May become idle: a wrong body says nothing about the hash.
    Here,
}

impl Wants {
    pub(crate) fn stock(&self, peers: usize, stocks: &mut Stocks) {
        stocks.push(Stock::of_peers("announced and not here", self.wants.len(), peers * ANNOUNCED_MAX));
        stocks.push(Stock::of_peers("peers with announcements", self.announced.len(), peers));
    }

    /// A peer announces something. Whether that is the first one heard of it.
    pub(crate) fn announce(&mut self, connection: ConnectionId, question: Question) -> bool {
        let is_new = !self.wants.contains_key(&question);
        let want = self.wants.entry(question).or_insert(Want { announcers: Vec::new(), state: State::Unchecked });
        if want.announcers.iter().any(|(announcer, _)| *announcer == connection) {
            return false;
        }
        let place = self.next;
        self.next += 1;
        want.announcers.push((connection, place));
        let announced = self.announced.entry(connection).or_default();
        announced.insert(place, question);
        if announced.len() > ANNOUNCED_MAX
            && let Some((_, oldest)) = announced.pop_first()
        {
            self.forget(connection, &oldest);
        }
        is_new
    }

    /// Chooses whom to ask, unless someone is asked already.
    pub(crate) fn choose(
        &mut self,
        question: &Question,
        can_ask: impl Fn(ConnectionId) -> bool,
    ) -> Option<ConnectionId> {
        let want = self.wants.get_mut(question)?;
        if let State::Asked(_) | State::Here = want.state {
            return None;
        }
        want.state = State::Idle;
        let chosen = want.announcers.iter().map(|(announcer, _)| *announcer).find(|announcer| can_ask(*announcer))?;
        want.state = State::Asked(chosen);
        Some(chosen)
    }

    /// The first thing that this peer announced, may be asked for, and nobody is asked for; it is asked of this peer
    /// from now on.
    pub(crate) fn next_of(
        &mut self,
        connection: ConnectionId,
        may_ask: impl Fn(&Question) -> bool,
    ) -> Option<Question> {
        let is_idle = |question: &&Question| {
            self.wants.get(question).is_some_and(|want| want.state == State::Idle) && may_ask(question)
        };
        let question = *self.announced.get(&connection)?.values().find(is_idle)?;
        self.wants.get_mut(&question)?.state = State::Asked(connection);
        Some(question)
    }

    /// Who is asked for it.
    pub(crate) fn asked_of(&self, question: &Question) -> Option<ConnectionId> {
        match self.wants.get(question)?.state {
            State::Asked(connection) => Some(connection),
            _ => None,
        }
    }

    /// The peer did not deliver. Whether another one may be asked.
    pub(crate) fn lost(&mut self, connection: ConnectionId, question: &Question) -> bool {
        let Some(want) = self.wants.get_mut(question) else { return false };
        if want.state != State::Asked(connection) {
            return false;
        }
        want.state = State::Idle;
        self.spoiled(Some(connection), question)
    }

    /// It came and is judged.
    pub(crate) fn came(&mut self, question: &Question) {
        if let Some(want) = self.wants.get_mut(question) {
            want.state = State::Here;
        }
    }

    /// What came from this peer was not what the name stands for. Whether another one may be asked.
    pub(crate) fn spoiled(&mut self, connection: Option<ConnectionId>, question: &Question) -> bool {
        let Some(want) = self.wants.get_mut(question) else { return false };
        want.state = State::Idle;
        let place =
            want.announcers.iter().find(|(announcer, _)| Some(*announcer) == connection).map(|(_, place)| *place);
        if let (Some(connection), Some(place)) = (connection, place) {
            self.announced.get_mut(&connection).map(|announced| announced.remove(&place));
            self.forget(connection, question);
        }
        self.wants.contains_key(question)
    }

    /// It is held, or not wanted any more.
    pub(crate) fn remove(&mut self, question: &Question) {
        let Some(want) = self.wants.remove(question) else { return };
        for (announcer, place) in want.announcers {
            if let Some(announced) = self.announced.get_mut(&announcer) {
                announced.remove(&place);
                if announced.is_empty() {
                    self.announced.remove(&announcer);
                }
            }
        }
    }

    /// A peer is gone. What others announced too and nobody is asked for any more.
    pub(crate) fn gone(&mut self, connection: ConnectionId) -> Vec<Question> {
        let announced = self.announced.remove(&connection).unwrap_or_default();
        let mut free = Vec::new();
        for question in announced.into_values() {
            let Some(want) = self.wants.get_mut(&question) else { continue };
            if want.state == State::Asked(connection) {
                want.state = State::Idle;
            }
            let is_idle = want.state == State::Idle;
            self.forget(connection, &question);
            if is_idle && self.wants.contains_key(&question) {
                free.push(question);
            }
        }
        free
    }

    // Takes the peer out of the announcers; without any there is nobody to ask, unless one is asked right now.
    fn forget(&mut self, connection: ConnectionId, question: &Question) {
        let Some(want) = self.wants.get_mut(question) else { return };
        want.announcers.retain(|(announcer, _)| *announcer != connection);
        if want.announcers.is_empty() && !matches!(want.state, State::Asked(_) | State::Here) {
            self.wants.remove(question);
        }
    }
}
