//! Asks: opens a stream or takes the one that is kept, looks at the menu, waits for the answer and no longer than for it.
//!
//! ```text
//!   Waiting for a stream ──► Waiting for the handshake ──► Menu asked ──► Question asked ──► answered
//!          └───────────────────────────┴───────────────────────┴───────────────┴──────────► failed
//! ```

use super::cut::QUESTIONS;
use super::message::{LongReply, Query, Reply, RpcError, long_reply};
use super::method::{Method, OF_RUST_NODE, Shape};
use super::payload::{NOTHING, read_menu, write_hash, write_hashes};
use super::stream::whole_bytes;
use super::{Fault, HASHES_MAX, Output, Rpc};
use crate::binprot::BinprotError;
use alloc::vec::Vec;
use bytes::Bytes;
use polypeer_engine::kit::chain::Hash;
use polypeer_engine::{ChannelId, ConnectionId, Frame, Time};

/// Questions at a time, to all peers together: a few for each of the peers that one catches up from.
pub const ASKS_MAX: usize = 64;
/// Questions at a time to one peer: each has a stream of its own, or waits for the one that is kept.
const ASKS_PER_PEER_MAX: usize = 8;

/// One question of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct AskId(u64);

/// Whose habits a peer has (section 5.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// The reference node: a fresh stream for each question, a menu, error answers.
    Reference,
    /// The Rust node: one stream, one question at a time, no menu, five methods.
    Rust,
}

impl Dialect {
    /// What a peer is that calls itself this in identify.
    pub fn of_agent(agent: &str) -> Self {
        if agent.starts_with("openmina") || agent.starts_with("mina-rust") { Self::Rust } else { Self::Reference }
    }
}

/// What is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    /// The method.
    pub method: Method,
    /// What it is asked with.
    pub payload: Bytes,
    // What it costs of the method's budget.
    cost: usize,
}

impl Question {
    /// A method that is asked with nothing.
    pub fn plain(method: Method) -> Self {
        Self { method, payload: NOTHING, cost: 1 }
    }

    /// These blocks, at most [`HASHES_MAX`] and for a Rust node one: the rest is left out.
    pub fn blocks(hashes: &[Hash]) -> Self {
        let hashes = hashes.get(..HASHES_MAX).unwrap_or(hashes);
        Self { method: Method::TransitionChain, payload: write_hashes(hashes), cost: hashes.len().max(1) }
    }

    /// How a block follows from an ancestor of its.
    pub fn chain_proof(hash: &Hash) -> Self {
        Self { method: Method::TransitionChainProof, payload: write_hash(hash), cost: 1 }
    }

    /// Whatever the host asks about ledgers.
    pub fn of_host(method: Method, payload: Bytes) -> Self {
        Self { method, payload, cost: 1 }
    }
}

/// Why a question is not even asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotAsked {
    /// The connection is gone.
    NoConnection,
    /// Too many are under way.
    TooMany,
    /// The peer was asked as often as it allows; later it may be again.
    NotYet,
    /// The peer does not answer this.
    Unsupported,
}

/// Why a question came to nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// No answer in time.
    TimedOut,
    /// The peer speaks no such protocol, or takes no more streams.
    Refused,
    /// The peer's menu does not have it, or the peer says so.
    Unsupported,
    /// The peer says that something went wrong.
    Error,
    /// The stream or the connection ended.
    Closed,
    /// Nothing came on the stream for too long.
    Silent,
    /// The peer did something else that it must not.
    Fault(Fault),
}

/// How far a question is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// It has no stream, or the stream's handshake is waited for.
    Waiting,
    /// The menu is asked first; the id of that.
    Menu(u64),
    /// It is asked, under this id.
    Asked(u64),
    /// Its answer has begun to come, in pieces.
    Coming,
}

/// A question under way.
#[derive(Clone, Debug)]
pub(super) struct Ask {
    connection: ConnectionId,
    question: Question,
    stage: Stage,
    /// Its stream, once there is one.
    pub(super) channel: Option<ChannelId>,
    pub(super) deadline: Time,
}

/// Questions that go out.
impl Rpc {
    /// Asks a peer. It ends in [`Output::Answered`] or [`Output::Failed`].
    pub fn ask(
        &mut self,
        now: Time,
        connection: ConnectionId,
        question: Question,
        out: &mut Vec<Output>,
    ) -> Result<AskId, NotAsked> {
        let of_peer = self.of(connection, |_| true).count();
        let total = self.asks.len();
        let remote = self.remotes.get_mut(&connection).ok_or(NotAsked::NoConnection)?;
        if of_peer >= ASKS_PER_PEER_MAX || total >= ASKS_MAX {
            return Err(NotAsked::TooMany);
        }
        if remote.menu.as_ref().is_some_and(|menu| !menu.contains(&question.method)) {
            return Err(NotAsked::Unsupported);
        }
        if remote.dialect == Dialect::Rust && question.cost > 1 {
            return Err(NotAsked::Unsupported);
        }
        let meter = &mut remote.asked[question.method.index()];
        if !meter.take_all(now, question.cost) {
            return Err(NotAsked::NotYet);
        }
        let deadline = now + question.method.timeout();
        let id = AskId(self.next_ask);
        self.next_ask += 1;
        self.asks.insert(id, Ask { connection, question, stage: Stage::Waiting, channel: None, deadline });
        self.go_on(now, connection, out);
        Ok(id)
    }

    /// How a peer is asked.
    pub fn dialect(&self, connection: ConnectionId) -> Option<Dialect> {
        self.remotes.get(&connection).map(|remote| remote.dialect)
    }

    /// The questions to one peer, in the order in which they were asked.
    pub(super) fn of(&self, connection: ConnectionId, counts: impl Fn(&Ask) -> bool) -> impl Iterator<Item = AskId> {
        let is_it = move |ask: &Ask| ask.connection == connection && counts(ask);
        self.asks.iter().filter(move |(_, ask)| is_it(ask)).map(|(id, _)| *id)
    }

    /// Finds streams for what waits for one: opens them, or takes the kept one when it is free.
    pub(super) fn go_on(&mut self, now: Time, connection: ConnectionId, out: &mut Vec<Output>) {
        let waiting: Vec<AskId> = self.of(connection, |ask| ask.channel.is_none()).collect();
        let is_busy = self.of(connection, |ask| ask.channel.is_some()).next().is_some();
        let Some(remote) = self.remotes.get_mut(&connection) else { return };
        let wanted = match remote.dialect {
            Dialect::Reference => waiting.len(),
            Dialect::Rust => waiting.len().min(1),
        };
        if remote.dialect == Dialect::Rust
            && let Some(first) = waiting.first()
            && let Some((channel, stream)) = remote.streams.iter().find(|(_, stream)| stream.is_ours)
        {
            let (channel, is_greeted) = (*channel, stream.is_greeted);
            if !is_busy {
                self.assign(*first, channel);
                if is_greeted {
                    self.on_ours_greeted(now, connection, channel, out);
                }
            }
            return;
        }
        while remote.opening < wanted {
            remote.opening += 1;
            out.push(Output::Open { connection });
        }
    }

    /// A stream of ours is open: who waits longest has it.
    pub(super) fn on_ours_opened(&mut self, connection: ConnectionId, channel: ChannelId) {
        let first = self.of(connection, |ask| ask.channel.is_none()).next();
        if let Some(first) = first {
            self.assign(first, channel);
        }
    }

    /// The peer has shaken hands on a stream of ours: what it was opened for, or the menu first.
    pub(super) fn on_ours_greeted(
        &mut self,
        now: Time,
        connection: ConnectionId,
        channel: ChannelId,
        out: &mut Vec<Output>,
    ) {
        let Some(ask) = self.of(connection, |ask| ask.channel == Some(channel)).next() else {
            // Whoever it was opened for has given up. The kept one waits for the next.
            if self.dialect(connection) == Some(Dialect::Reference) {
                out.push(Output::Finish { connection, channel });
                self.forget(now, connection, channel, Failure::Closed, out);
            }
            return;
        };
        let Some(remote) = self.remotes.get(&connection) else { return };
        if remote.menu.is_none() {
            let id = self.put(connection, channel, &Question::plain(Method::Menu), out);
            if let Some(ask) = self.asks.get_mut(&ask) {
                ask.stage = Stage::Menu(id);
            }
            return;
        }
        self.put_question(now, ask, out);
    }

    /// An answer, or an error, came on a stream.
    pub(super) fn on_reply(
        &mut self,
        now: Time,
        connection: ConnectionId,
        channel: ChannelId,
        frame: Frame<'_>,
        reply: &Reply<'_>,
        out: &mut Vec<Output>,
    ) -> Result<(), Fault> {
        let id = self.of(connection, |ask| ask.channel == Some(channel)).next().ok_or(Fault::UnknownId)?;
        let ask = self.asks.get(&id).ok_or(Fault::UnknownId)?;
        match ask.stage {
            Stage::Menu(number) if number == reply.id => {
                self.on_menu(connection, reply.result)?;
                self.put_question(now, id, out);
                Ok(())
            }
            Stage::Asked(number) if number == reply.id => self.on_answer(now, id, channel, frame, reply.result, out),
            _ => Err(Fault::UnknownId),
        }
    }

    /// The first piece of a long answer, or the next.
    pub(super) fn on_piece(
        &mut self,
        now: Time,
        connection: ConnectionId,
        channel: ChannelId,
        piece: Frame<'_>,
        out: &mut Vec<Output>,
    ) -> Result<(), Fault> {
        let ask = self.of(connection, |ask| ask.channel == Some(channel)).next().ok_or(Fault::UnknownId)?;
        let Some(stream) = self.stream_mut(connection, channel) else { return Ok(()) };
        let payload = if stream.left > 0 {
            stream.left = stream.left.checked_sub(piece.len()).ok_or(Fault::Message(BinprotError::Length))?;
            piece
        } else {
            let whole = whole_bytes(piece);
            stream.left = whole.saturating_sub(piece.len());
            let LongReply { id, payload_at, .. } = long_reply(piece.bytes(), whole).map_err(Fault::Message)?;
            match self.asks.get_mut(&ask) {
                Some(ask) if ask.stage == Stage::Asked(id) => ask.stage = Stage::Coming,
                _ => return Err(Fault::UnknownId),
            }
            piece.after(payload_at)
        };
        if self.asks.get(&ask).is_none_or(|ask| ask.stage != Stage::Coming) {
            return Err(Fault::UnknownId);
        }
        out.push(Output::Piece { connection, ask, piece: payload.keep() });
        if self.stream_mut(connection, channel).is_some_and(|stream| stream.left == 0) {
            self.end(now, ask, channel, None, out);
        }
        Ok(())
    }

    /// Questions whose time is over. A stream on which an answer could still come is of no use any more.
    pub(super) fn expire_asks(&mut self, now: Time, out: &mut Vec<Output>) {
        let late: Vec<AskId> = self.asks.iter().filter(|(_, ask)| ask.deadline <= now).map(|(id, _)| *id).collect();
        for id in late {
            let Some(ask) = self.asks.get(&id) else { continue };
            let (connection, channel) = (ask.connection, ask.channel);
            self.fail(id, Failure::TimedOut, out);
            if let Some(channel) = channel {
                // The Rust node takes the end of a stream for that of the connection when it is a reset.
                out.push(match self.dialect(connection) {
                    Some(Dialect::Rust) => Output::Finish { connection, channel },
                    _ => Output::Reset { connection, channel },
                });
                self.forget(now, connection, channel, Failure::TimedOut, out);
            }
        }
    }

    /// A question came to nothing.
    pub(super) fn fail(&mut self, id: AskId, failure: Failure, out: &mut Vec<Output>) {
        if let Some(ask) = self.asks.remove(&id) {
            let (connection, method) = (ask.connection, ask.question.method);
            out.push(Output::Failed { connection, ask: id, method, failure });
        }
    }

    fn assign(&mut self, id: AskId, channel: ChannelId) {
        if let Some(ask) = self.asks.get_mut(&id) {
            ask.channel = Some(channel);
        }
    }

    fn on_menu(&mut self, connection: ConnectionId, result: Result<&[u8], RpcError<'_>>) -> Result<(), Fault> {
        let menu = match result {
            Ok(payload) => {
                let menu = read_menu(payload).map_err(Fault::Answer)?;
                menu.into_iter().filter_map(|(tag, version)| Method::of(tag, version)).collect()
            }
            // It has none: what every node answers is tried.
            Err(_) => OF_RUST_NODE.to_vec(),
        };
        if let Some(remote) = self.remotes.get_mut(&connection) {
            remote.menu = Some(menu);
        }
        Ok(())
    }

    // Writes the question that a stream is there for, unless the peer does not answer it.
    fn put_question(&mut self, now: Time, id: AskId, out: &mut Vec<Output>) {
        let Some(ask) = self.asks.get(&id) else { return };
        let (connection, question) = (ask.connection, ask.question.clone());
        let Some(channel) = ask.channel else { return };
        if self.answers(connection, question.method) == Some(false) {
            self.fail(id, Failure::Unsupported, out);
            self.rest(now, connection, channel, out);
            return;
        }
        let number = self.put(connection, channel, &question, out);
        if let Some(ask) = self.asks.get_mut(&id) {
            ask.stage = Stage::Asked(number);
        }
    }

    fn put(&mut self, connection: ConnectionId, channel: ChannelId, question: &Question, out: &mut Vec<Output>) -> u64 {
        let Some(stream) = self.stream_mut(connection, channel) else { return 0 };
        let id = stream.next_id;
        stream.next_id += 1;
        let (tag, version) = (question.method.tag().as_bytes(), question.method.version());
        let frame = Query { tag, version, id, payload: &question.payload }.encode();
        out.push(Output::SetPhase { connection, channel, phase: question.method.phase() });
        out.push(Output::Send { connection, channel, frame });
        id
    }

    fn on_answer(
        &mut self,
        now: Time,
        id: AskId,
        channel: ChannelId,
        frame: Frame<'_>,
        result: Result<&[u8], RpcError<'_>>,
        out: &mut Vec<Output>,
    ) -> Result<(), Fault> {
        let Some(ask) = self.asks.get(&id) else { return Ok(()) };
        let (connection, method) = (ask.connection, ask.question.method);
        match result {
            Ok(payload) => {
                // The payload is the frame's end.
                let payload = frame.after(frame.len() - payload.len());
                let answer = unwrap(method.shape(), payload).map_err(Fault::Answer)?;
                self.end(now, id, channel, answer.map(Frame::keep), out);
            }
            Err(error) => {
                let is_unknown = matches!(error, RpcError::Unimplemented { .. });
                if is_unknown && let Some(menu) = self.remotes.get_mut(&connection).and_then(|it| it.menu.as_mut()) {
                    menu.retain(|other| *other != method);
                }
                self.fail(id, if is_unknown { Failure::Unsupported } else { Failure::Error }, out);
                self.rest(now, connection, channel, out);
            }
        }
        Ok(())
    }

    fn end(&mut self, now: Time, id: AskId, channel: ChannelId, answer: Option<Bytes>, out: &mut Vec<Output>) {
        let Some(Ask { connection, question, .. }) = self.asks.remove(&id) else { return };
        out.push(Output::Answered { connection, ask: id, method: question.method, answer });
        self.rest(now, connection, channel, out);
    }

    // A stream of ours has done what it was for: it ends, or waits for the next question.
    fn rest(&mut self, now: Time, connection: ConnectionId, channel: ChannelId, out: &mut Vec<Output>) {
        match self.dialect(connection) {
            Some(Dialect::Rust) => {
                out.push(Output::SetPhase { connection, channel, phase: QUESTIONS });
                self.go_on(now, connection, out);
            }
            _ => {
                out.push(Output::Finish { connection, channel });
                self.forget(now, connection, channel, Failure::Closed, out);
            }
        }
    }
}

// Takes off what says whether there is a value.
fn unwrap(shape: Shape, payload: Frame<'_>) -> Result<Option<Frame<'_>>, BinprotError> {
    match (shape, payload.first()) {
        (Shape::Value | Shape::List, Some(_)) => Ok(Some(payload)),
        (Shape::Option, Some(0)) if payload.len() == 1 => Ok(None),
        (Shape::Option, Some(0)) => Err(BinprotError::Trailing),
        (Shape::Option, Some(1)) | (Shape::Result, Some(0)) => Ok(Some(payload.after(1))),
        (Shape::Result, Some(1)) => Ok(None),
        (_, None) => Err(BinprotError::Truncated),
        _ => Err(BinprotError::Constructor),
    }
}
