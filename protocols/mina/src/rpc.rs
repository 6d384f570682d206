//! Asks and answers over `coda/rpcs/0.0.1`: a pure state machine (Mina spec, section 5).
//!
//! ```text
//!   each stream, from both sides at once:
//!
//!     us                                   peer
//!      │ ── handshake ──►   ◄── handshake ── │   nothing else is valid before it
//!      │ ── menu? ────────►                  │   on a connection's first stream: which methods are there?
//!      │ ◄──────────────── tags, versions ── │
//!      │ ── question, id ──►                 │
//!      │ ◄───────────── answer or error, id ─│
//!      │ ── end ──────────►                  │   a fresh stream for each question
//!      │ ◄──► heartbeat every 10 s           │   120 s of silence end a stream
//! ```
//!
//! Towards the Rust node, which has no menu, takes a question at a time and holds a broken stream against us, there is
//! one stream that is kept (section 5.4). What a peer opens is answered: a menu that lists exactly what is, every other
//! method with error 4, and no more in a minute than section 5.3 allows. Ledgers are the host's: their questions and
//! answers pass through as they are.

mod asking;
mod cut;
mod message;
mod method;
mod payload;
mod serving;
mod stream;

pub use asking::{ASKS_MAX, AskId, Dialect, Failure, NotAsked, Question};
pub use cut::*;
pub use message::{LongReply, Message, Query, Reply, RpcError, TAG_BYTES_MAX, handshake, heartbeat, is_handshake};
pub use method::{Method, Shape};
pub use payload::*;
pub use serving::{SERVING_MAX, ServeId, Wanted};
pub use stream::{HEARTBEAT_TIME, SILENCE_MAX, STREAMS_SERVED_MAX};

use crate::binprot::BinprotError;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;
use asking::Ask;
use bytes::Bytes;
use polypeer_engine::kit::bucket::Bucket;
use polypeer_engine::{ChannelEnd, ChannelId, ConnectionId, Direction, Frame, Phase, Stock, Stocks, Time, Weight};
use serving::Serving;
use stream::Stream;

/// What the operator decides.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Config {
    /// Whether the host holds ledgers and answers questions about them: else they are not on our menu.
    pub serves_ledgers: bool,
}

/// What is to be done, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// Send this frame. Who does not read it in time loses the connection.
    Send {
        /// To whom.
        connection: ConnectionId,
        /// On which stream.
        channel: ChannelId,
        /// The frame, its length included.
        frame: Bytes,
    },
    /// Cut the stream's next bytes by the rules of this phase.
    SetPhase {
        /// Whose.
        connection: ConnectionId,
        /// Which.
        channel: ChannelId,
        /// The phase.
        phase: Phase,
    },
    /// Open a stream of this protocol; answered with [`Rpc::on_opened`] or [`Rpc::on_refused`].
    Open {
        /// To whom.
        connection: ConnectionId,
    },
    /// Write no more on this stream.
    Finish {
        /// Whose.
        connection: ConnectionId,
        /// Which.
        channel: ChannelId,
    },
    /// Break this stream off.
    Reset {
        /// Whose.
        connection: ConnectionId,
        /// Which.
        channel: ChannelId,
    },
    /// A question of ours is answered.
    Answered {
        /// By whom.
        connection: ConnectionId,
        /// Which.
        ask: AskId,
        /// What it was.
        method: Method,
        /// The value, without what says whether there is one ([`Method::shape`]); nothing when the peer has none.
        answer: Option<Bytes>,
    },
    /// A part of an answer that is longer than [`PIECE_BYTES`] ([`Method::StagedLedger`]), the option byte in front of
    /// the first; then more, and at last [`Output::Answered`] without a value. A question that fails on the way has
    /// brought nothing.
    Piece {
        /// By whom.
        connection: ConnectionId,
        /// Of the answer to which.
        ask: AskId,
        /// The next bytes, at most [`PIECE_BYTES`].
        piece: Bytes,
    },
    /// A question of ours came to nothing.
    Failed {
        /// By whom.
        connection: ConnectionId,
        /// Which.
        ask: AskId,
        /// What it was.
        method: Method,
        /// Why.
        failure: Failure,
    },
    /// A peer asks: answer with [`Rpc::answer`].
    Asked {
        /// Who.
        connection: ConnectionId,
        /// By which the answer names it.
        serve: ServeId,
        /// What.
        wanted: Wanted,
    },
    /// A peer says that it has banned us, at this time in seconds since 1970.
    BannedUs {
        /// Who.
        connection: ConnectionId,
        /// Since when.
        since: u64,
    },
    /// A peer did what it must not. The stream is reset by then, unless it is one that a peer may do a few times.
    Fault {
        /// Who.
        connection: ConnectionId,
        /// What.
        fault: Fault,
    },
}

/// What a peer can do wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The first message is no handshake, or one of another version.
    Handshake,
    /// Bytes that are no message.
    Message(BinprotError),
    /// A message that is longer than anything that may come now.
    TooLong,
    /// A question that does not decode.
    Question(BinprotError),
    /// An answer to nothing.
    UnknownId,
    /// A question with the id of one that is open.
    RepeatedId,
    /// An answer that does not decode.
    Answer(BinprotError),
    /// More hashes in one question than there may be. It was refused, and the stream stays.
    TooManyHashes,
    /// More questions than one peer may have answered. It was refused, and the stream stays.
    TooManyQuestions,
    /// More streams than one peer may have open.
    TooManyStreams,
}

impl Fault {
    /// Its name in snake case, as reasons and metrics show it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Handshake => "rpc_handshake",
            Self::Message(_) => "rpc_malformed",
            Self::TooLong => "rpc_too_long",
            Self::Question(_) => "rpc_malformed_question",
            Self::UnknownId => "rpc_unknown_id",
            Self::RepeatedId => "rpc_repeated_id",
            Self::Answer(_) => "rpc_malformed_answer",
            Self::TooManyHashes => "rpc_too_many_hashes",
            Self::TooManyQuestions => "rpc_too_many_questions",
            Self::TooManyStreams => "rpc_too_many_streams",
        }
    }

    /// What it should cost: the reference node takes little of its trust for any of these, so each is borne.
    pub fn weight(self) -> Weight {
        Weight::Slip
    }
}

/// One connection's part.
#[derive(Debug)]
struct Remote {
    dialect: Dialect,
    // What the peer answers, once its menu came.
    menu: Option<Vec<Method>>,
    streams: BTreeMap<ChannelId, Stream>,
    // Streams that were wanted and are not there yet.
    opening: usize,
    asked: [Bucket; method::COUNT],
    served: [Bucket; method::COUNT],
}

/// All questions, asked and served.
#[derive(Debug, Default)]
pub struct Rpc {
    config: Config,
    remotes: BTreeMap<ConnectionId, Remote>,
    asks: BTreeMap<AskId, Ask>,
    next_ask: u64,
    serving: BTreeMap<ServeId, Serving>,
    next_serve: u64,
    // When each stream wants to be looked at: one entry a stream, and maybe earlier than need be.
    due: BTreeSet<(Time, ConnectionId, ChannelId)>,
}

impl Rpc {
    /// One that knows nobody.
    pub fn new(config: Config) -> Self {
        Self { config, ..Self::default() }
    }

    /// What is on our menu.
    pub fn menu(&self) -> impl Iterator<Item = Method> {
        let serves_ledgers = self.config.serves_ledgers;
        Method::all().filter(move |method| method.is_served(serves_ledgers))
    }

    /// Whether a peer answers this: nothing when it is not known yet.
    pub fn answers(&self, connection: ConnectionId, method: Method) -> Option<bool> {
        let remote = self.remotes.get(&connection)?;
        remote.menu.as_ref().map(|menu| menu.contains(&method))
    }

    /// What it holds, for people.
    pub fn stock(&self, peers: usize, stocks: &mut Stocks) {
        let streams = self.remotes.values().map(|remote| remote.streams.len()).sum();
        let streams_max = peers * (STREAMS_SERVED_MAX + ASKS_MAX);
        stocks.push(Stock::of_peers("streams of questions", streams, streams_max));
        stocks.push(Stock::of_peers("questions asked", self.asks.len(), ASKS_MAX));
        stocks.push(Stock::of_peers("questions served", self.serving.len(), peers * SERVING_MAX));
    }
}

/// What happens.
impl Rpc {
    /// A connection stands. It is taken for one to a reference node until identify says otherwise.
    pub fn on_connected(&mut self, connection: ConnectionId) {
        let meter = |of: fn(Method) -> Bucket| {
            let mut meters = [Bucket::new(0, core::time::Duration::MAX); method::COUNT];
            Method::all().for_each(|method| meters[method.index()] = of(method));
            meters
        };
        let remote = Remote {
            dialect: Dialect::Reference,
            menu: None,
            streams: BTreeMap::new(),
            opening: 0,
            asked: meter(Method::asked_meter),
            served: meter(Method::served_meter),
        };
        self.remotes.insert(connection, remote);
    }

    /// Identify has said what software a peer is.
    pub fn on_identified(&mut self, connection: ConnectionId, agent: &str) {
        let Some(remote) = self.remotes.get_mut(&connection) else { return };
        remote.dialect = Dialect::of_agent(agent);
        if remote.dialect == Dialect::Rust {
            remote.menu = Some(method::OF_RUST_NODE.to_vec());
        }
    }

    /// A connection is gone.
    pub fn on_disconnected(&mut self, connection: ConnectionId, out: &mut Vec<Output>) {
        let Some(remote) = self.remotes.remove(&connection) else { return };
        for (channel, stream) in remote.streams {
            self.due.remove(&(stream.due, connection, channel));
        }
        self.serving.retain(|_, serving| serving.connection != connection);
        let lost: Vec<AskId> = self.of(connection, |_| true).collect();
        for ask in lost {
            self.fail(ask, Failure::Closed, out);
        }
    }

    /// A stream of this protocol is open.
    pub fn on_opened(
        &mut self,
        now: Time,
        connection: ConnectionId,
        channel: ChannelId,
        opener: Direction,
        out: &mut Vec<Output>,
    ) {
        let Some(remote) = self.remotes.get_mut(&connection) else { return };
        let is_ours = opener == Direction::Outbound;
        if !is_ours && remote.streams.values().filter(|stream| !stream.is_ours).count() >= STREAMS_SERVED_MAX {
            out.push(Output::Reset { connection, channel });
            out.push(Output::Fault { connection, fault: Fault::TooManyStreams });
            return;
        }
        let stream = Stream::new(now, is_ours);
        self.due.insert((stream.due, connection, channel));
        remote.streams.insert(channel, stream);
        out.push(Output::Send { connection, channel, frame: handshake() });
        if is_ours {
            remote.opening = remote.opening.saturating_sub(1);
            self.on_ours_opened(connection, channel);
        }
    }

    /// A stream that was wanted was refused.
    pub fn on_refused(&mut self, connection: ConnectionId, out: &mut Vec<Output>) {
        let Some(remote) = self.remotes.get_mut(&connection) else { return };
        remote.opening = remote.opening.saturating_sub(1);
        let is_kept = remote.dialect == Dialect::Rust;
        let waiting: Vec<AskId> = self.of(connection, |ask| ask.channel.is_none()).collect();
        // On a kept stream all wait for the same.
        let lost = if is_kept { waiting.len() } else { 1 };
        for ask in waiting.into_iter().take(lost) {
            self.fail(ask, Failure::Refused, out);
        }
    }

    /// A stream has ended, or the peer writes no more on it: then what it has asked is still answered.
    pub fn on_closed(
        &mut self,
        now: Time,
        connection: ConnectionId,
        channel: ChannelId,
        end: ChannelEnd,
        out: &mut Vec<Output>,
    ) {
        let Some(stream) = self.stream_mut(connection, channel) else { return };
        stream.is_half_closed = true;
        let is_owed = self.serving.values().any(|serving| serving.is_on(connection, channel));
        if end == ChannelEnd::Finished && is_owed {
            return;
        }
        if end == ChannelEnd::Finished {
            out.push(Output::Finish { connection, channel });
        }
        self.forget(now, connection, channel, Failure::Closed, out);
    }

    /// The framer refused bytes of a stream.
    pub fn on_bad_frame(&mut self, now: Time, connection: ConnectionId, channel: ChannelId, out: &mut Vec<Output>) {
        let is_greeted = self.stream_mut(connection, channel).map(|stream| stream.is_greeted);
        let fault = if is_greeted == Some(false) { Fault::Handshake } else { Fault::TooLong };
        self.break_off(now, connection, channel, fault, out);
    }

    /// A frame, or the next piece of one, came.
    pub fn on_frame(
        &mut self,
        now: Time,
        connection: ConnectionId,
        channel: ChannelId,
        frame: Frame<'_>,
        out: &mut Vec<Output>,
    ) {
        let Some(stream) = self.stream_mut(connection, channel) else { return };
        stream.last_heard = now;
        let result = if !stream.is_greeted {
            self.on_handshake(now, connection, channel, frame, out)
        } else if stream.is_in_pieces(frame) {
            self.on_piece(now, connection, channel, frame, out)
        } else {
            self.on_message(now, connection, channel, frame, out)
        };
        if let Err(fault) = result {
            self.break_off(now, connection, channel, fault, out);
        }
    }

    /// The time that [`Rpc::next_wake`] named has come.
    pub fn wake(&mut self, now: Time, out: &mut Vec<Output>) {
        self.expire_asks(now, out);
        while let Some((due, connection, channel)) = self.due.first().copied().filter(|(due, ..)| *due <= now) {
            self.due.remove(&(due, connection, channel));
            self.look_at(now, connection, channel, out);
        }
    }

    /// When it wants to be woken, if it does.
    pub fn next_wake(&self) -> Option<Time> {
        let streams = self.due.first().map(|(due, ..)| *due);
        let asks = self.asks.values().map(|ask| ask.deadline).min();
        streams.into_iter().chain(asks).min()
    }

    /// Panics when something does not hold that always must; for tests.
    pub fn check(&self) {
        assert!(self.asks.len() <= ASKS_MAX, "questions have a limit");
        let streams: usize = self.remotes.values().map(|remote| remote.streams.len()).sum();
        assert_eq!(streams, self.due.len(), "each stream is looked at again");
        for (connection, remote) in &self.remotes {
            let served = remote.streams.values().filter(|stream| !stream.is_ours).count();
            assert!(served <= STREAMS_SERVED_MAX, "streams of a peer have a limit");
            for (channel, stream) in &remote.streams {
                assert!(self.due.contains(&(stream.due, *connection, *channel)), "at the time that it says");
            }
        }
        for serving in self.serving.values() {
            let remote = self.remotes.get(&serving.connection);
            let is_there = remote.is_some_and(|remote| remote.streams.contains_key(&serving.channel));
            assert!(is_there, "a question is served on a stream that is there");
        }
    }

    fn on_message(
        &mut self,
        now: Time,
        connection: ConnectionId,
        channel: ChannelId,
        frame: Frame<'_>,
        out: &mut Vec<Output>,
    ) -> Result<(), Fault> {
        match Message::decode(frame.bytes()).map_err(Fault::Message)? {
            Message::Heartbeat => Ok(()),
            Message::Query(query) => self.on_query(now, connection, channel, &query, out),
            Message::Reply(reply) => self.on_reply(now, connection, channel, frame, &reply, out),
        }
    }

    fn stream_mut(&mut self, connection: ConnectionId, channel: ChannelId) -> Option<&mut Stream> {
        self.remotes.get_mut(&connection)?.streams.get_mut(&channel)
    }

    // A fault ends the stream on which it was.
    fn break_off(
        &mut self,
        now: Time,
        connection: ConnectionId,
        channel: ChannelId,
        fault: Fault,
        out: &mut Vec<Output>,
    ) {
        out.push(Output::Reset { connection, channel });
        out.push(Output::Fault { connection, fault });
        self.forget(now, connection, channel, Failure::Fault(fault), out);
    }

    // A stream is no more: what was asked on it fails, what was to be answered on it is not.
    fn forget(
        &mut self,
        now: Time,
        connection: ConnectionId,
        channel: ChannelId,
        failure: Failure,
        out: &mut Vec<Output>,
    ) {
        let Some(remote) = self.remotes.get_mut(&connection) else { return };
        let Some(stream) = remote.streams.remove(&channel) else { return };
        self.due.remove(&(stream.due, connection, channel));
        self.serving.retain(|_, serving| !serving.is_on(connection, channel));
        let lost: Vec<AskId> = self.of(connection, |ask| ask.channel == Some(channel)).collect();
        for ask in lost {
            self.fail(ask, failure, out);
        }
        self.go_on(now, connection, out);
    }
}
