//! Runs yamux on a wire, and agrees with the peer on what each stream is for; what is agreed on goes to the host.

use super::Rules;
use super::select::{Answering, Asking, SelectError};
use super::wire::{Fault, Pipe, Watched, Wire};
use crate::noise::Noise;
use bytes::BytesMut;
use futures_util::Stream as _;
use futures_util::io::AsyncWrite;
use polypeer_engine::{ChannelEnd, ChannelId, Direction, Time};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io::{self, ErrorKind};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use yamux::{Config, Connection, ConnectionError, FrameDecodeError, Mode, Packet};

/// Bytes that a connection may bring in a turn before the others have theirs.
const TURN_BYTES: usize = 256 << 10;
/// Bytes that are taken from a peer that must wait for the ledger, until it is read again: enough for some hundred
/// window updates, without which what we send would stop too.
const PAUSED_BYTES: usize = 8 << 10;

/// One connection's streams, from either end.
pub(crate) struct Muxer {
    yamux: Connection<Pipe>,
    wire: Rc<RefCell<Wire>>,
    rules: Rc<Rules>,
    // Streams, by the numbers that they have on the wire.
    agreeing: BTreeMap<u32, Agreeing>,
    channels: BTreeMap<u32, ChannelId>,
    own_streams: usize,
    their_streams: usize,
    next_theirs: u32,
    touched: Vec<u32>,
    news: Vec<News>,
    noise: Noise,
    now: Time,
    paused_left: usize,
    is_paused: bool,
    is_over: bool,
    is_closing: bool,
}

/// A stream on which both ends do not agree yet.
struct Agreeing {
    stream: yamux::Stream,
    side: Side,
    until: Time,
    input: BytesMut,
}

enum Side {
    Ours { channel: ChannelId, kind: u16, name: &'static str, asking: Asking },
    Theirs(Answering),
}

/// What became of streams.
pub(crate) enum News {
    /// Both ends agree on what it is for. `rest` came behind that.
    Opened { channel: ChannelId, kind: u16, opener: Direction, stream: Tube, rest: BytesMut },
    /// One that we wanted comes to nothing.
    Closed { channel: ChannelId, end: ChannelEnd },
}

/// A stream, and what it is called on the wire.
#[derive(Debug)]
pub(crate) struct Tube {
    stream: yamux::Stream,
    number: u32,
}

/// What a stream has.
pub(crate) enum Received {
    /// Bytes.
    Some(Packet),
    /// Nothing now.
    Nothing,
    /// The peer writes no more.
    Finished,
    /// The peer broke it off, or the connection is over.
    Reset,
}

impl Muxer {
    pub(super) fn new(wire: Wire, rules: Rc<Rules>, has_dialled: bool) -> Self {
        let (wire, mode) = (Rc::new(RefCell::new(wire)), if has_dialled { Mode::Client } else { Mode::Server });
        // A stream that we refuse counts until the library has said so.
        let streams = rules.net.own_streams_max + rules.net.their_streams_max + 16;
        let mut config = Config::default();
        config.set_max_connection_receive_window(None).set_max_num_streams(streams);
        // So much, and no window is ever larger than the first.
        config.set_max_connection_receive_window(Some(streams * super::wire::WINDOW_BYTES as usize));
        Self {
            yamux: Connection::new(Pipe(wire.clone()), config, mode),
            wire,
            rules,
            agreeing: BTreeMap::new(),
            channels: BTreeMap::new(),
            own_streams: 0,
            their_streams: 0,
            next_theirs: 1,
            touched: Vec::new(),
            news: Vec::new(),
            noise: Noise::new(),
            now: Time::default(),
            paused_left: PAUSED_BYTES,
            is_paused: false,
            is_over: false,
            is_closing: false,
        }
    }

    /// Begins a turn of the connection's task. `is_paused` when frames are not to be taken in this turn.
    pub(crate) fn begin_turn(&mut self, cx: &mut Context<'_>, now: Time, is_paused: bool) {
        self.now = now;
        self.noise.refill(now);
        self.is_paused = is_paused;
        let mut wire = self.wire.borrow_mut();
        wire.open_for(if is_paused { self.paused_left } else { TURN_BYTES });
        if wire.is_blocked() {
            let _ = wire.poll_writable(cx);
        }
    }

    /// Ends a turn. False when the peer sends too much that is no message.
    pub(crate) fn end_turn(&mut self, cx: &mut Context<'_>) -> bool {
        let mut wire = self.wire.borrow_mut();
        self.paused_left = if self.is_paused { wire.turn_left() } else { PAUSED_BYTES };
        if wire.is_starved() && !self.is_paused {
            // Nobody waits for the socket.
            cx.waker().wake_by_ref();
        }
        if wire.is_blocked() && wire.poll_writable(cx).is_ready() {
            cx.waker().wake_by_ref();
        }
        !self.noise.is_too_much()
    }

    /// Takes what has come, once. Ready when something has, perhaps the end.
    pub(crate) fn poll_take(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.is_over {
            return Poll::Ready(Ok(()));
        }
        let filled = self.wire.borrow_mut().poll_fill(cx);
        let came = self.wire.borrow_mut().take_came();
        self.noise.came(came);
        match filled {
            Poll::Pending => return Poll::Pending,
            Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
            Poll::Ready(Ok(())) => {}
        }
        let before = self.wire.borrow().untaken();
        self.drive(true)?;
        let forgiven = self.wire.borrow_mut().take_forgiven();
        self.noise.sent(forgiven);
        // It takes nothing while the socket does not take what it answers.
        let is_stuck = came == 0 && self.wire.borrow().untaken() == before && !self.is_over;
        if is_stuck { Poll::Pending } else { Poll::Ready(Ok(())) }
    }

    /// Sends on what was written, as far as the socket takes it.
    pub(crate) fn push(&mut self) -> io::Result<()> {
        self.drive(false)
    }

    // Lets yamux do its work until there is none left, or the socket takes no more.
    fn drive(&mut self, lets_in: bool) -> io::Result<()> {
        self.wire.borrow_mut().let_in(lets_in);
        loop {
            while !self.is_over {
                match self.yamux.poll_next_inbound(&mut nobody()) {
                    Poll::Pending => break,
                    Poll::Ready(Some(Ok(stream))) => self.came(stream),
                    Poll::Ready(end) => {
                        self.is_over = true;
                        if let Some(Err(ConnectionError::Decode(error))) = end
                            && !matches!(error, FrameDecodeError::Io(_))
                        {
                            self.wire.borrow_mut().blame();
                        }
                    }
                }
            }
            let has_said = self.agree();
            let mut wire = self.wire.borrow_mut();
            let is_sent = wire.send()?;
            if !is_sent || self.is_over || !(wire.take_full() || has_said) {
                break;
            }
        }
        self.wire.borrow_mut().let_in(false);
        Ok(())
    }

    /// The peer opened a stream.
    fn came(&mut self, stream: yamux::Stream) {
        let number = stream.id().val();
        if self.their_streams >= self.rules.net.their_streams_max || self.is_closing {
            self.wire.borrow_mut().forget(number);
            return close(stream);
        }
        self.their_streams += 1;
        let until = self.now + self.rules.net.select_time_max;
        let side = Side::Theirs(Answering::default());
        self.agreeing.insert(number, Agreeing { stream, side, until, input: BytesMut::new() });
    }

    /// Opens a stream for a channel of ours. False when there can be none. The connection's last turn may be long ago, and
    /// a new one has had none.
    pub(crate) fn open(&mut self, channel: ChannelId, kind: u16, now: Time) -> bool {
        let Some(name) = self.rules.name(kind) else { return false };
        if self.own_streams >= self.rules.net.own_streams_max || self.is_over || self.is_closing {
            return false;
        }
        let Poll::Ready(Ok(stream)) = self.yamux.poll_new_outbound(&mut nobody()) else { return false };
        let mut out = BytesMut::new();
        let asking = Asking::begin(name, &mut out);
        let mut tube = Tube::new(stream);
        self.wire.borrow_mut().opened(tube.number);
        if !self.say(&mut tube, &out) {
            self.wire.borrow_mut().forget(tube.number);
            return false;
        }
        self.own_streams += 1;
        let until = now + self.rules.net.select_time_max;
        let side = Side::Ours { channel, kind, name, asking };
        self.agreeing.insert(tube.number, Agreeing { stream: tube.stream, side, until, input: BytesMut::new() });
        true
    }

    /// Gives up a channel of ours that is not agreed on. Whether there was one.
    pub(crate) fn give_up(&mut self, wanted: ChannelId) -> bool {
        let is_it = |agreeing: &Agreeing| matches!(agreeing.side, Side::Ours { channel, .. } if channel == wanted);
        let Some(number) = self.agreeing.iter().find(|(_, agreeing)| is_it(agreeing)).map(|(number, _)| *number) else {
            return false;
        };
        self.agreeing.remove(&number);
        self.own_streams -= 1;
        self.wire.borrow_mut().forget(number);
        true
    }

    /// When the first of those that are not agreed on has taken too long.
    pub(crate) fn next_deadline(&self) -> Option<Time> {
        self.agreeing.values().map(|agreeing| agreeing.until).min()
    }

    /// Gives up those that have taken too long.
    pub(crate) fn expire(&mut self) {
        while let Some(number) =
            self.agreeing.iter().find(|(_, agreeing)| agreeing.until <= self.now).map(|(number, _)| *number)
        {
            let Some(agreeing) = self.agreeing.remove(&number) else { return };
            self.disagreed(number, agreeing, ChannelEnd::Reset);
        }
    }

    // Goes on with the agreements for which something has come. Whether anything was said.
    fn agree(&mut self) -> bool {
        self.wire.borrow_mut().take_touched(&mut self.touched);
        let mut has_said = false;
        let mut at = 0;
        while let Some(number) = self.touched.get(at).copied() {
            if let Some(agreeing) = self.agreeing.remove(&number) {
                self.touched.swap_remove(at);
                has_said |= self.go_on(number, agreeing);
            } else {
                at += 1;
            }
        }
        has_said
    }

    fn go_on(&mut self, number: u32, mut agreeing: Agreeing) -> bool {
        let watched = self.wire.borrow().watched(number);
        let mut out = BytesMut::new();
        let agreed = loop {
            let agreed = agreeing.take(&self.rules, &mut out);
            if !matches!(agreed, Ok(None)) {
                break agreed;
            }
            let Poll::Ready(Some(Ok(packet))) = Pin::new(&mut agreeing.stream).poll_next(&mut nobody()) else {
                break agreed;
            };
            self.wire.borrow_mut().was_read(number, packet.as_ref().len());
            agreeing.input.extend_from_slice(packet.as_ref());
        };
        let mut tube = Tube { stream: agreeing.stream, number };
        let is_said = out.is_empty() || self.say(&mut tube, &out);
        agreeing.stream = tube.stream;
        match agreed {
            Ok(Some(kind)) if is_said => self.agreed(number, agreeing, kind),
            Ok(None) if is_said && !watched.is_finished && !watched.is_reset => {
                self.agreeing.insert(number, agreeing);
            }
            Err(SelectError::Refused) => self.disagreed(number, agreeing, ChannelEnd::Refused),
            // Who is not answered with `na` but with the end was refused too.
            Ok(_) => self.disagreed(number, agreeing, ChannelEnd::Refused),
            Err(_) => self.disagreed(number, agreeing, ChannelEnd::Reset),
        }
        !out.is_empty()
    }

    fn agreed(&mut self, number: u32, agreeing: Agreeing, kind: u16) {
        let (channel, opener) = match agreeing.side {
            Side::Ours { channel, .. } => (channel, Direction::Outbound),
            Side::Theirs(_) => match ChannelId::nth(Direction::Inbound, self.next_theirs) {
                Some(channel) => (channel, Direction::Inbound),
                None => return self.disagreed(number, agreeing, ChannelEnd::Reset),
            },
        };
        self.next_theirs += u32::from(opener == Direction::Inbound);
        self.channels.insert(number, channel);
        let stream = Tube { stream: agreeing.stream, number };
        self.news.push(News::Opened { channel, kind, opener, stream, rest: agreeing.input });
        // Nobody needs to be told that there may be more.
        self.touched.push(number);
    }

    fn disagreed(&mut self, number: u32, agreeing: Agreeing, end: ChannelEnd) {
        self.wire.borrow_mut().forget(number);
        match agreeing.side {
            Side::Ours { channel, .. } => {
                self.own_streams -= 1;
                self.news.push(News::Closed { channel, end });
            }
            Side::Theirs(_) => self.their_streams -= 1,
        }
        if end == ChannelEnd::Refused {
            close(agreeing.stream);
        }
    }

    // Some hundred bytes at the begin of a stream: the first window and the library's queue have room for them. What waits
    // for the socket already does not count, for each is answered once.
    fn say(&mut self, tube: &mut Tube, bytes: &[u8]) -> bool {
        let said = Pin::new(&mut tube.stream).poll_write(&mut nobody(), bytes);
        let is_said = matches!(said, Poll::Ready(Ok(count)) if count == bytes.len());
        self.wire.borrow_mut().was_given(if is_said { bytes.len() } else { 0 });
        is_said
    }

    /// What became of streams since this was last asked.
    pub(crate) fn take_news(&mut self) -> Vec<News> {
        std::mem::take(&mut self.news)
    }

    /// Channels on which something has come since this was last asked.
    pub(crate) fn take_touched(&mut self, into: &mut Vec<ChannelId>) {
        self.wire.borrow_mut().take_touched(&mut self.touched);
        into.extend(self.touched.drain(..).filter_map(|number| self.channels.get(&number)));
    }

    /// A channel is over. The stream is closed in order where it has said its last, else broken off.
    pub(crate) fn closed(&mut self, tube: Tube, opener: Direction) {
        self.channels.remove(&tube.number);
        let mut wire = self.wire.borrow_mut();
        let Watched { is_finished, is_reset, .. } = wire.watched(tube.number);
        if !is_finished && !is_reset {
            wire.forgive();
        }
        wire.forget(tube.number);
        drop(wire);
        match opener {
            Direction::Outbound => self.own_streams -= 1,
            Direction::Inbound => self.their_streams -= 1,
        }
    }

    /// So much of what came were frames.
    pub(crate) fn was_payload(&mut self, bytes: usize) {
        self.noise.was_payload(bytes);
    }

    /// Whether nothing more comes.
    pub(crate) fn is_over(&self) -> bool {
        self.is_over
    }

    /// Whether it is over because the peer broke a rule, so that it is to hear of it before the end.
    pub(crate) fn is_at_fault(&self) -> bool {
        self.wire.borrow().fault() == Some(Fault::Rules)
    }

    /// Whether it is over because the peer said so, or closed in order.
    pub(crate) fn is_orderly(&self) -> bool {
        let wire = self.wire.borrow();
        wire.fault().is_none() && (wire.is_gone() || wire.has_ended_in_order())
    }

    /// Whether the socket takes no more.
    pub(crate) fn is_blocked(&self) -> bool {
        self.wire.borrow().is_blocked()
    }

    /// See [`crate::stream::Stream::poll_writable`].
    pub(crate) fn poll_writable(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.wire.borrow_mut().poll_writable(cx)
    }

    /// See [`crate::stream::Stream::has_unsent`].
    pub(crate) fn has_unsent(&self) -> bool {
        !self.is_over && self.wire.borrow().has_unsent()
    }

    /// See [`crate::stream::Stream::held_bytes`].
    pub(crate) fn held_bytes(&self) -> usize {
        self.wire.borrow().held_bytes() + self.agreeing.values().map(|agreeing| agreeing.input.len()).sum::<usize>()
    }

    /// What comes behind our goodbye, to be thrown away.
    pub(crate) fn poll_discard(&mut self, buffer: &mut BytesMut, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        self.wire.borrow_mut().poll_discard(buffer, cx)
    }

    /// Says that we go, and shuts our side down when that is sent.
    pub(crate) fn shut_down(&mut self) {
        self.is_closing = true;
        self.agreeing.clear();
        // As far as the socket takes it: whoever does not read does not hear it.
        while self.yamux.poll_close(&mut nobody()).is_pending() {
            if !self.wire.borrow_mut().send().unwrap_or(false) {
                break;
            }
        }
        let mut wire = self.wire.borrow_mut();
        let _ = wire.send();
        wire.shut_down();
        self.is_over = true;
    }

    /// Says that we go if the socket takes it, and closes.
    pub(crate) fn hang_up(mut self) {
        if !self.is_over {
            self.shut_down();
        }
    }
}

impl Agreeing {
    // Goes on with what has come. The kind of channel that is agreed on, once one is.
    fn take(&mut self, rules: &Rules, out: &mut BytesMut) -> Result<Option<u16>, SelectError> {
        match &mut self.side {
            Side::Ours { name, kind, asking, .. } => {
                asking.take(name, &mut self.input).map(|is_agreed| is_agreed.then_some(*kind))
            }
            Side::Theirs(answering) => answering.take(&mut self.input, out, |name| rules.kind(name)),
        }
    }
}

impl Tube {
    fn new(stream: yamux::Stream) -> Self {
        let number = stream.id().val();
        Self { stream, number }
    }

    /// Takes what has come, in the pieces in which it came.
    pub(crate) fn receive(&mut self, muxer: &Muxer) -> Received {
        let Watched { is_finished, is_reset, .. } = muxer.wire.borrow().watched(self.number);
        match Pin::new(&mut self.stream).poll_next(&mut nobody()) {
            Poll::Ready(Some(Ok(packet))) => {
                muxer.wire.borrow_mut().was_read(self.number, packet.as_ref().len());
                Received::Some(packet)
            }
            Poll::Ready(_) if is_reset || !is_finished => Received::Reset,
            Poll::Ready(_) => Received::Finished,
            Poll::Pending if is_reset => Received::Reset,
            Poll::Pending => Received::Nothing,
        }
    }

    /// Takes the first of `bytes`, as many as the peer's window and the library's queue have room for.
    pub(crate) fn write(&mut self, muxer: &mut Muxer, bytes: &[u8]) -> io::Result<usize> {
        let room = muxer.wire.borrow().room();
        if room == 0 {
            return Err(ErrorKind::WouldBlock.into());
        }
        match Pin::new(&mut self.stream).poll_write(&mut nobody(), &bytes[..room.min(bytes.len())]) {
            Poll::Ready(Ok(count)) => {
                muxer.wire.borrow_mut().was_given(count);
                muxer.noise.sent(count);
                Ok(count)
            }
            Poll::Ready(Err(error)) => Err(error),
            Poll::Pending => Err(ErrorKind::WouldBlock.into()),
        }
    }

    /// Says that nothing more is written. Whether that is said.
    pub(crate) fn finish(&mut self) -> bool {
        // A stream that is broken off needs no such word.
        Pin::new(&mut self.stream).poll_close(&mut nobody()).is_ready()
    }
}

impl std::fmt::Debug for Muxer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Muxer")
            .field("channels", &self.channels)
            .field("is_over", &self.is_over)
            .finish_non_exhaustive()
    }
}

// Whoever asks here comes back when the wire was driven: nobody is to be woken.
fn nobody() -> Context<'static> {
    Context::from_waker(Waker::noop())
}

// Ends a stream that nobody wants, in order: some nodes take a stream that is broken off for a connection that is.
fn close(mut stream: yamux::Stream) {
    let _ = Pin::new(&mut stream).poll_close(&mut nobody());
}
