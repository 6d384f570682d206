//! Keeps what was asked of each peer and is not answered, so that answers are matched by content and nobody is asked
//! more than the spec allows (Hello spec, section 2).

use crate::wire::Question;
use alloc::collections::{BTreeMap, VecDeque};
use alloc::vec::Vec;
use polypeer_engine::kit::chain::Head;
use polypeer_engine::{ConnectionId, Time};

/// GETBLOCKs that a peer may be left with unanswered.
pub(crate) const QUESTIONS_MAX: usize = 128;

/// What was asked of all peers.
#[derive(Debug, Default)]
pub(crate) struct Asking {
    desks: BTreeMap<ConnectionId, Desk>,
}

/// What was asked of one peer. A late question stays: the peer may still be at work on it, so it counts.
#[derive(Debug, Default)]
pub(crate) struct Desk {
    open: BTreeMap<Question, Open>,
    // Deadlines in the order of asking; an entry whose question was answered meanwhile is dropped when it is first.
    due: VecDeque<(Time, Question)>,
    list: Option<ListQuestion>,
    // When it last answered with a block or a transaction.
    delivered: Time,
}

#[derive(Clone, Copy, Debug)]
struct Open {
    deadline: Time,
    is_late: bool,
}

/// The one GETLISTOFBLOCKS that may be open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ListQuestion {
    /// Asked for what is above this number.
    pub(crate) from: u64,
    /// Whether it follows up an earlier list, so that blocks are known to be missing.
    pub(crate) is_follow_up: bool,
    deadline: Time,
    is_late: bool,
}

/// What a BLOCK answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Match {
    /// This question.
    Asked(Question),
    /// None of those that are open.
    Other,
    /// Nothing: no question for a block is open, but late ones may be.
    Unasked,
}

impl Asking {
    /// How many peers can be asked.
    pub(crate) fn len(&self) -> usize {
        self.desks.len()
    }

    /// A peer can be asked from now on.
    pub(crate) fn opened(&mut self, connection: ConnectionId, now: Time) {
        self.desks.insert(connection, Desk { delivered: now, ..Desk::default() });
    }

    /// A peer is gone. What was asked of it in time is to be asked of others.
    pub(crate) fn gone(&mut self, connection: ConnectionId) -> Vec<Question> {
        let desk = self.desks.remove(&connection).unwrap_or_default();
        desk.open.into_iter().filter(|(_, open)| !open.is_late).map(|(question, _)| question).collect()
    }

    /// Whether the peer may be asked another question.
    pub(crate) fn can_ask(&self, connection: ConnectionId) -> bool {
        self.desks.get(&connection).is_some_and(|desk| desk.open.len() < QUESTIONS_MAX)
    }

    /// Whether this was asked of the peer and is not answered.
    pub(crate) fn has_asked(&self, connection: ConnectionId, question: &Question) -> bool {
        self.desks.get(&connection).is_some_and(|desk| desk.open.contains_key(question))
    }

    /// Questions that the peer has not answered.
    pub(crate) fn open_count(&self, connection: ConnectionId) -> usize {
        self.desks.get(&connection).map_or(0, |desk| desk.open.len())
    }

    /// Notes a question. Later ones have later deadlines.
    pub(crate) fn ask(&mut self, connection: ConnectionId, question: Question, deadline: Time) {
        if let Some(desk) = self.desks.get_mut(&connection) {
            desk.open.insert(question, Open { deadline, is_late: false });
            desk.due.push_back((deadline, question));
        }
    }

    /// Takes an answer that names its question. Whether it was asked.
    pub(crate) fn answered(&mut self, connection: ConnectionId, question: &Question) -> bool {
        self.desks.get_mut(&connection).is_some_and(|desk| desk.answered(question))
    }

    /// Notes that the peer delivered something.
    pub(crate) fn delivered(&mut self, connection: ConnectionId, now: Time) {
        if let Some(desk) = self.desks.get_mut(&connection) {
            desk.delivered = now;
        }
    }

    /// Whether the peer has delivered nothing since then.
    pub(crate) fn is_stalled(&self, connection: ConnectionId, since: Time) -> bool {
        self.desks.get(&connection).is_none_or(|desk| desk.delivered <= since)
    }

    /// What a BLOCK of this number answers. `head` is its place, when its bytes have the shape of a block.
    pub(crate) fn match_block(&self, connection: ConnectionId, number: u64, head: Option<&Head>) -> Match {
        let Some(desk) = self.desks.get(&connection) else { return Match::Unasked };
        let by_hash = head.map(|head| Question::Hash(head.hash));
        let candidates = by_hash.into_iter().chain([Question::Number(number)]);
        if let Some(question) = candidates.into_iter().find(|question| desk.open.contains_key(question)) {
            return Match::Asked(question);
        }
        let is_block =
            |(question, open): (&Question, &Open)| !matches!(question, Question::Transaction(_)) && !open.is_late;
        if desk.open.iter().any(is_block) { Match::Other } else { Match::Unasked }
    }

    /// Notes a GETLISTOFBLOCKS. None may be open.
    pub(crate) fn ask_list(&mut self, connection: ConnectionId, from: u64, is_follow_up: bool, deadline: Time) {
        if let Some(desk) = self.desks.get_mut(&connection) {
            desk.list = Some(ListQuestion { from, is_follow_up, deadline, is_late: false });
        }
    }

    /// Whether a GETLISTOFBLOCKS is open, or the peer is not to be asked at all.
    pub(crate) fn is_list_open(&self, connection: ConnectionId) -> bool {
        self.desks.get(&connection).is_none_or(|desk| desk.list.is_some())
    }

    /// Whether any peer was asked for a list that follows up another, and is in time.
    pub(crate) fn follows_up(&self) -> bool {
        let follows_up = |list: &ListQuestion| list.is_follow_up && !list.is_late;
        self.desks.values().any(|desk| desk.list.as_ref().is_some_and(follows_up))
    }

    /// Takes a list that begins at `from`, or is empty because its sender's newest block is lower. What was asked.
    pub(crate) fn answered_list(&mut self, connection: ConnectionId, from: u64, is_end: bool) -> Option<ListQuestion> {
        let desk = self.desks.get_mut(&connection)?;
        desk.list.take_if(|asked| asked.from == from || asked.from > from && is_end)
    }

    /// Questions of a peer that are due now are late from now on, and are to be asked of others; whether its list is
    /// one of them; and the next deadline.
    pub(crate) fn expire(&mut self, connection: ConnectionId, now: Time) -> (Vec<Question>, bool, Option<Time>) {
        let Some(desk) = self.desks.get_mut(&connection) else { return Default::default() };
        let mut late = Vec::new();
        while let Some((deadline, question)) = desk.due.front().copied()
            && deadline <= now
        {
            desk.due.pop_front();
            if let Some(open) = desk.open.get_mut(&question)
                && open.deadline == deadline
            {
                open.is_late = true;
                late.push(question);
            }
        }
        let is_list_late = match &mut desk.list {
            Some(list) if list.deadline <= now => !core::mem::replace(&mut list.is_late, true),
            _ => false,
        };
        (late, is_list_late, desk.first_deadline())
    }
}

impl Desk {
    fn answered(&mut self, question: &Question) -> bool {
        if self.open.remove(question).is_none() {
            return false;
        }
        while let Some((deadline, question)) = self.due.front()
            && self.open.get(question).is_none_or(|open| open.deadline != *deadline)
        {
            self.due.pop_front();
        }
        true
    }

    fn first_deadline(&self) -> Option<Time> {
        let list = self.list.filter(|list| !list.is_late).map(|list| list.deadline);
        let question = self.due.front().map(|(deadline, _)| *deadline);
        list.into_iter().chain(question).min()
    }
}
