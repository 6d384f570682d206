//! Stands between HTTP/2 and its socket. HTTP/2 reads whatever comes, to answer it or to keep it; how much it may read
//! at a time is decided here.

use std::cell::Cell;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// What HTTP/2 takes for its socket.
#[derive(Debug)]
pub(super) struct Gated {
    stream: TcpStream,
    gate: Rc<Gate>,
}

/// How much may be read, and what came of it; shared with whoever drives the connection.
#[derive(Debug, Default)]
pub(super) struct Gate {
    left: Cell<usize>,
    read: Cell<usize>,
    is_starved: Cell<bool>,
    is_blocked: Cell<bool>,
}

impl Gated {
    pub(super) fn new(stream: TcpStream, gate: Rc<Gate>) -> Self {
        Self { stream, gate }
    }
}

impl Gate {
    /// Lets about so many bytes in: as many more at the most as HTTP/2 has room for in one read.
    pub(super) fn open(&self, bytes: usize) {
        self.left.set(bytes);
        self.read.set(0);
        self.is_starved.set(false);
    }

    /// Bytes that were read since it was opened.
    pub(super) fn read(&self) -> usize {
        self.read.get()
    }

    /// Whether more would have been read, so that nobody waits for the socket.
    pub(super) fn is_starved(&self) -> bool {
        self.is_starved.get()
    }

    /// Whether the socket took no more when it was last written to.
    pub(super) fn is_blocked(&self) -> bool {
        self.is_blocked.get()
    }

    fn wrote(&self, written: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        self.is_blocked.set(written.is_pending());
        written
    }
}

impl AsyncRead for Gated {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.gate.left.get() == 0 {
            self.gate.is_starved.set(true);
            return Poll::Pending;
        }
        let before = buffer.filled().len();
        let polled = Pin::new(&mut self.stream).poll_read(cx, buffer);
        let count = buffer.filled().len() - before;
        self.gate.left.set(self.gate.left.get().saturating_sub(count));
        self.gate.read.set(self.gate.read.get() + count);
        polled
    }
}

impl AsyncWrite for Gated {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.gate.wrote(written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, slices);
        self.gate.wrote(written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
