//! Answers a peer's questions as it reads (Hello spec, section 2): beyond one, no answer waits as bytes.

use crate::asking::QUESTIONS_MAX;
use crate::ledger::Asked;
use crate::wire::{self, GetList, HASHES_MAX, List, Question};
use crate::{Cx, Hello, Misbehavior, Ready};
use alloc::collections::VecDeque;
use bytes::Bytes;
use polypeer_engine::kit::chain::{BlockKey, ChainFormat, Hash, Request};
use polypeer_engine::kit::cost::Class;
use polypeer_engine::{ConnectionId, Overflow};

/// Bytes that a channel takes before answers wait: enough for a round trip, and no answer but the last goes beyond.
pub(crate) const LOW_WATER: usize = 256 << 10;
/// Lines of the newest blocks that are kept, since every peer asks for those at once.
const FRAMES_MAX: usize = 4;
/// Bytes of a line that is kept: with blocks larger than this, reading them again is not what costs.
const FRAME_BYTES_MAX: usize = 512 << 10;

/// What a peer has asked and not been answered.
#[derive(Debug, Default)]
pub(crate) struct Serving {
    questions: VecDeque<Question>,
    // Above this number; it waits for the channel.
    list: Option<u64>,
    // Whether the list is with the ledger.
    list_asked: bool,
    // Questions that are with the ledger.
    asked: usize,
    // Bytes of the last answer, by which it is guessed how many fit in the channel.
    answer_bytes: usize,
}

impl Serving {
    fn unanswered(&self) -> usize {
        self.questions.len() + self.asked
    }

    fn has_list(&self) -> bool {
        self.list.is_some() || self.list_asked
    }
}

/// The newest blocks as lines.
#[derive(Debug, Default)]
pub(crate) struct Frames(VecDeque<(Hash, Bytes)>);

impl Frames {
    /// Keeps the line of a block that was just announced.
    pub(crate) fn keep(&mut self, hash: Hash, frame: Bytes) {
        if frame.len() > FRAME_BYTES_MAX {
            return;
        }
        if self.0.len() == FRAMES_MAX {
            self.0.pop_front();
        }
        self.0.push_back((hash, frame));
    }

    fn get(&self, question: &Question) -> Option<Bytes> {
        let Question::Hash(wanted) = question else { return None };
        self.0.iter().find(|(hash, _)| hash == wanted).map(|(_, frame)| frame.clone())
    }
}

impl<F: ChainFormat> Hello<F> {
    /// GETBLOCK.
    pub(crate) fn on_getblock(
        &mut self,
        cx: &mut Cx<'_, F>,
        connection: ConnectionId,
        ready: &mut Ready,
        question: Question,
    ) {
        if ready.serving.unanswered() >= QUESTIONS_MAX {
            cx.slip(connection, Misbehavior::TooManyQuestions);
            return;
        }
        match question {
            Question::Hash(hash) => ready.known_blocks.insert(hash, ()),
            Question::Transaction(id) => ready.known_transactions.insert(id, ()),
            Question::Number(_) => false,
        };
        ready.serving.questions.push_back(question);
        self.serve(cx, connection, &mut ready.serving);
    }

    /// GETLISTOFBLOCKS: answered, and asked back when the peer is ahead.
    pub(crate) fn on_getlist(
        &mut self,
        cx: &mut Cx<'_, F>,
        connection: ConnectionId,
        ready: &mut Ready,
        ask: &GetList,
    ) {
        if ready.serving.has_list() {
            cx.slip(connection, Misbehavior::SecondListQuestion);
            return;
        }
        ready.serving.list = Some(ask.from);
        if ready.holds_blocks() {
            ready.block_count = ask.latest + 1;
        }
        self.on_announced_transactions(cx, connection, ready, &ask.transactions);
        self.serve(cx, connection, &mut ready.serving);
        if ready.holds_blocks() && self.tip.is_some_and(|tip| ask.latest > tip.height) {
            self.ask_back(cx, connection);
        }
    }

    /// Puts the peer's questions to the ledger, as many as its channel has room for. News overtakes history that waits
    /// for the upload cap.
    pub(crate) fn serve(&mut self, cx: &mut Cx<'_, F>, connection: ConnectionId, serving: &mut Serving) {
        if serving.list.is_some()
            && cx.may_serve(connection)
            && let Some(from) = serving.list.take()
        {
            serving.list_asked = true;
            let request = Request::Hashes { from: from.saturating_add(1), count: HASHES_MAX as u32 };
            self.ask_ledger(cx, request, Asked::ServeList { connection, from });
        }
        let room = LOW_WATER / serving.answer_bytes.max(1);
        while serving.asked < room.clamp(1, QUESTIONS_MAX)
            && let Some(question) = self.next_question(cx, connection, serving)
        {
            if let Some(frame) = self.frames.get(&question) {
                cx.owe(connection, Class::Lookup.price(frame.len()));
                cx.send(connection, frame, Overflow::Close);
                continue;
            }
            serving.asked += 1;
            let request = match question {
                Question::Hash(hash) => Request::Block(BlockKey::Hash(hash)),
                Question::Number(number) => Request::Block(BlockKey::Height(number)),
                Question::Transaction(id) => Request::Transaction(id),
            };
            self.ask_ledger(cx, request, Asked::Serve { connection, question });
        }
    }

    // Takes the question that may be answered next: the first, or the first about news.
    fn next_question(&self, cx: &mut Cx<'_, F>, connection: ConnectionId, serving: &mut Serving) -> Option<Question> {
        let is_news =
            |question: &Question| matches!(question, Question::Transaction(_)) || self.frames.get(question).is_some();
        if is_news(serving.questions.front()?) {
            return if cx.may_answer(connection) { serving.questions.pop_front() } else { None };
        }
        if cx.may_serve(connection) {
            return serving.questions.pop_front();
        }
        let at = serving.questions.iter().position(is_news)?;
        if cx.may_answer(connection) { serving.questions.remove(at) } else { None }
    }

    /// The ledger gave what a peer asked for, or has nothing of it.
    pub(crate) fn serve_answer(
        &mut self,
        cx: &mut Cx<'_, F>,
        connection: ConnectionId,
        question: Question,
        found: Option<&Bytes>,
    ) {
        let is_writable = cx.is_writable(connection);
        let Some(ready) = ready_mut(cx, connection) else { return };
        let mut serving = core::mem::take(&mut ready.serving);
        serving.asked -= 1;
        if let (Question::Transaction(id), None) = (&question, found) {
            // It went into a block meanwhile. Should a reorganisation bring it back, the peer has to be told again.
            ready.known_transactions.remove(id);
        }
        if is_writable {
            let frame = answer::<F>(&question, found);
            serving.answer_bytes = frame.len();
            cx.owe(connection, Class::Lookup.price(frame.len()));
            match question {
                Question::Transaction(_) => cx.send(connection, frame, Overflow::Close),
                Question::Hash(_) | Question::Number(_) => cx.serve(connection, frame),
            }
            self.serve(cx, connection, &mut serving);
        } else {
            // Answers before it were longer than was guessed: it is read again when the peer has taken those.
            serving.answer_bytes = serving.answer_bytes.max(LOW_WATER);
            serving.questions.push_front(question);
        }
        put_back(cx, connection, serving);
    }

    /// The ledger gave the hashes above `from`, or above its newest block if that is lower.
    pub(crate) fn serve_list(&mut self, cx: &mut Cx<'_, F>, connection: ConnectionId, from: u64, list: List) {
        let is_writable = cx.is_writable(connection);
        let Some(ready) = ready_mut(cx, connection) else { return };
        let mut serving = core::mem::take(&mut ready.serving);
        serving.list_asked = false;
        if is_writable {
            // What was listed is known: the last ones are the only ones that may yet be announced.
            ready.knows_end_of(&list.hashes);
            let frame = wire::list(&list);
            cx.owe(connection, Class::ListServed.price(frame.len()));
            cx.serve(connection, frame);
            self.serve(cx, connection, &mut serving);
        } else {
            serving.list = Some(from);
        }
        put_back(cx, connection, serving);
    }
}

fn answer<F: ChainFormat>(question: &Question, found: Option<&Bytes>) -> Bytes {
    match (question, found) {
        (_, None) => wire::notfound(question),
        (Question::Transaction(_), Some(transaction)) => wire::push_transaction(&[transaction]),
        (Question::Hash(_) | Question::Number(_), Some(block)) => {
            // What a ledger holds has a place; a height of 0 is as wrong as the block would be.
            wire::block(F::head(block).map_or(0, |head| head.height), block)
        }
    }
}

pub(crate) fn ready_mut<'a, F: ChainFormat>(cx: &'a mut Cx<'_, F>, connection: ConnectionId) -> Option<&'a mut Ready> {
    cx.peer_mut(connection)?.ready_mut()
}

fn put_back<F: ChainFormat>(cx: &mut Cx<'_, F>, connection: ConnectionId, serving: Serving) {
    if let Some(ready) = ready_mut(cx, connection) {
        ready.serving = serving;
    }
}
