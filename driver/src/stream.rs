//! Says what a connection reads from and writes to: a socket, or a call of gRPC, a WebSocket or the streams of libp2p over
//! one.
//!
//! An enum, not a trait: TCP pays one branch for it.

use crate::grpc::Grpc;
use crate::libp2p::Muxer;
use crate::websocket::WebSocket;
use bytes::BytesMut;
use polypeer_engine::Time;
use std::io;
use std::net::Shutdown;
use std::pin::pin;
use std::task::{Context, Poll};
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;

/// A byte stream each way.
#[derive(Debug)]
pub(crate) enum Stream {
    /// The socket itself.
    Tcp(TcpStream),
    /// The messages of a call.
    Grpc(Box<Grpc>),
    /// The messages of a WebSocket.
    WebSocket(Box<WebSocket>),
    /// Many streams, each a channel. They are read and written one by one: see [`crate::libp2p`].
    Libp2p(Box<Muxer>),
}

impl Stream {
    /// The streams of one that has many.
    pub(crate) fn muxer(&mut self) -> Option<&mut Muxer> {
        match self {
            Self::Libp2p(muxer) => Some(muxer),
            _ => None,
        }
    }

    /// Whether it has many streams.
    pub(crate) fn is_muxed(&self) -> bool {
        matches!(self, Self::Libp2p(_))
    }

    /// Begins a turn of the connection's task. `is_paused` when nothing is received in this turn.
    pub(crate) fn begin_turn(&mut self, cx: &mut Context<'_>, now: Time, is_paused: bool) {
        match self {
            Self::Tcp(_) => {}
            Self::Grpc(call) => call.begin_turn(cx, now, is_paused),
            Self::WebSocket(socket) => socket.begin_turn(now),
            Self::Libp2p(muxer) => muxer.begin_turn(cx, now, is_paused),
        }
    }

    /// Ends a turn. False when the connection cannot go on: the peer sends too much that is no message.
    pub(crate) fn end_turn(&mut self, cx: &mut Context<'_>) -> bool {
        match self {
            Self::Tcp(_) => true,
            Self::Grpc(call) => call.end_turn(cx),
            Self::WebSocket(socket) => !socket.is_noisy(),
            Self::Libp2p(muxer) => muxer.end_turn(cx),
        }
    }

    /// Says whether the handshake of the peers is not done.
    pub(crate) fn set_pending(&mut self, is_pending: bool) {
        if let Self::WebSocket(socket) = self {
            socket.set_pending(is_pending);
        }
    }

    /// Whether there is something to receive: bytes, the end, or an error.
    pub(crate) fn poll_readable(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Tcp(stream) => stream.poll_read_ready(cx),
            Self::Grpc(call) => call.poll_readable(cx),
            Self::WebSocket(socket) => socket.poll_readable(cx),
            // Only what comes behind our goodbye is read here.
            Self::Libp2p(_) => Poll::Ready(Ok(())),
        }
    }

    /// Appends what has come, as far as there is room. Nothing, at the end.
    pub(crate) fn poll_receive(&mut self, buffer: &mut BytesMut, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        match self {
            // A read that does not fill the buffer tells the runtime that the socket is empty, which saves asking it.
            Self::Tcp(stream) => pin!(stream.read_buf(buffer)).poll(cx),
            Self::Grpc(call) => call.poll_receive(buffer, cx),
            Self::WebSocket(socket) => socket.poll_receive(buffer, cx),
            Self::Libp2p(muxer) => muxer.poll_discard(buffer, cx),
        }
    }

    /// Whether the error in receiving was that the peer broke a rule, so that it is to hear of it before the end.
    pub(crate) fn is_at_fault(&self) -> bool {
        matches!(self, Self::WebSocket(socket) if socket.is_at_fault())
    }

    /// Nobody waits for messages any more.
    pub(crate) fn discard(&mut self) {
        if let Self::WebSocket(socket) = self {
            socket.discard();
        }
    }

    /// Whether it takes bytes again after it took no more. What is wrong shows in the write itself.
    pub(crate) fn poll_writable(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        match self {
            Self::Tcp(stream) => stream.poll_write_ready(cx).map(|_| ()),
            Self::Grpc(call) => call.poll_writable(),
            Self::WebSocket(socket) => socket.poll_writable(cx),
            Self::Libp2p(muxer) => muxer.poll_writable(cx),
        }
    }

    /// Whether what is written goes nowhere, which a TCP socket says when it is written to.
    pub(crate) fn takes_nothing(&mut self) -> bool {
        match self {
            Self::Tcp(_) => false,
            Self::Grpc(call) => call.takes_nothing(),
            Self::WebSocket(socket) => socket.takes_nothing(),
            Self::Libp2p(muxer) => muxer.is_over(),
        }
    }

    /// We write no more. It fails only when the connection is broken already, and then reading says so.
    pub(crate) fn shut_down(&mut self) {
        match self {
            Self::Tcp(stream) => {
                let _ = socket2::SockRef::from(&*stream).shutdown(Shutdown::Write);
            }
            Self::Grpc(call) => call.shut_down(),
            Self::WebSocket(socket) => socket.shut_down(),
            Self::Libp2p(muxer) => muxer.shut_down(),
        }
    }

    /// Whether it has taken bytes that are not with the socket yet; the connection's task writes them on.
    pub(crate) fn has_unsent(&self) -> bool {
        match self {
            Self::Tcp(_) => false,
            Self::Grpc(call) => call.has_unsent(),
            Self::WebSocket(socket) => socket.has_unsent(),
            Self::Libp2p(muxer) => muxer.has_unsent(),
        }
    }

    /// Whether something that it has taken must be with the socket before we say that we write no more.
    pub(crate) fn must_send_first(&self) -> bool {
        matches!(self, Self::Libp2p(muxer) if muxer.has_unsent())
    }

    /// Whether it writes those, and what it has to say itself, when its queue is flushed, even an empty one.
    pub(crate) fn wants_flush(&self) -> bool {
        matches!(self, Self::WebSocket(socket) if socket.has_unsent())
    }

    /// Bytes of a message that it puts together and that is not whole.
    pub(crate) fn unfinished_bytes(&self) -> usize {
        match self {
            Self::WebSocket(socket) => socket.unfinished_bytes(),
            Self::Tcp(_) | Self::Grpc(_) | Self::Libp2p(_) => 0,
        }
    }

    /// Bytes that it holds itself: taken and not sent, or come and not received.
    pub(crate) fn held_bytes(&self) -> usize {
        match self {
            Self::Tcp(_) => 0,
            Self::Grpc(call) => call.held_bytes(),
            Self::WebSocket(socket) => socket.held_bytes(),
            Self::Libp2p(muxer) => muxer.held_bytes(),
        }
    }

    /// When it wants its turn at the latest, where it waits for something.
    pub(crate) fn next_deadline(&self) -> Option<Time> {
        match self {
            Self::Libp2p(muxer) => muxer.next_deadline(),
            Self::Tcp(_) | Self::Grpc(_) | Self::WebSocket(_) => None,
        }
    }

    /// Closes it, with the last word that its rules know. `is_begun` when it has a part of a piece of the queue.
    pub(crate) fn hang_up(self, is_begun: bool) {
        match self {
            Self::Tcp(_) => {}
            Self::Grpc(call) => call.hang_up(),
            Self::WebSocket(socket) => socket.hang_up(is_begun),
            Self::Libp2p(muxer) => muxer.hang_up(),
        }
    }
}
