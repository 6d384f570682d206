//! Says what a connection reads from and writes to: a socket, or a call of gRPC over one.
//!
//! An enum, not a trait: TCP pays one branch for it.

use crate::grpc::Grpc;
use bytes::BytesMut;
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
}

impl Stream {
    /// Whether there is something to receive: bytes, the end, or an error.
    pub(crate) fn poll_readable(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Tcp(stream) => stream.poll_read_ready(cx),
            Self::Grpc(call) => call.poll_readable(cx),
        }
    }

    /// Appends what has come, as far as there is room. Nothing, at the end.
    pub(crate) fn poll_receive(&mut self, buffer: &mut BytesMut, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        match self {
            // A read that does not fill the buffer tells the runtime that the socket is empty, which saves asking it.
            Self::Tcp(stream) => pin!(stream.read_buf(buffer)).poll(cx),
            Self::Grpc(call) => call.poll_receive(buffer, cx),
        }
    }

    /// Whether it takes bytes again after it took no more. What is wrong shows in the write itself.
    pub(crate) fn poll_writable(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        match self {
            Self::Tcp(stream) => stream.poll_write_ready(cx).map(|_| ()),
            Self::Grpc(call) => call.poll_writable(),
        }
    }

    /// Whether what is written goes nowhere, which a TCP socket says when it is written to.
    pub(crate) fn takes_nothing(&mut self) -> bool {
        match self {
            Self::Tcp(_) => false,
            Self::Grpc(call) => call.takes_nothing(),
        }
    }

    /// We write no more. It fails only when the connection is broken already, and then reading says so.
    pub(crate) fn shut_down(&mut self) {
        match self {
            Self::Tcp(stream) => {
                let _ = socket2::SockRef::from(&*stream).shutdown(Shutdown::Write);
            }
            Self::Grpc(call) => call.shut_down(),
        }
    }

    /// Whether it has taken bytes that are not with the socket yet; the connection's task writes them on.
    pub(crate) fn has_unsent(&self) -> bool {
        match self {
            Self::Tcp(_) => false,
            Self::Grpc(call) => call.has_unsent(),
        }
    }

    /// Bytes that it holds itself: taken and not sent, or come and not received.
    pub(crate) fn held_bytes(&self) -> usize {
        match self {
            Self::Tcp(_) => 0,
            Self::Grpc(call) => call.held_bytes(),
        }
    }

    /// Closes it, with the last word that its rules know.
    pub(crate) fn hang_up(self) {
        if let Self::Grpc(call) = self {
            call.hang_up();
        }
    }
}
