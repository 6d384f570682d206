//! Reads and writes what a WebSocket stands on: TCP, or TLS on it.

use bytes::{BufMut, BytesMut};
use std::io::{self, ErrorKind, IoSlice};
use std::net::Shutdown;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};
use tokio::io::{AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsStream;

/// A byte stream each way.
#[derive(Debug)]
pub(super) enum Socket {
    /// In the clear.
    Plain(TcpStream),
    /// Encrypted, and both ends proven.
    Tls(Box<TlsStream<TcpStream>>),
}

impl Socket {
    fn tcp(&self) -> &TcpStream {
        match self {
            Self::Plain(stream) => stream,
            Self::Tls(stream) => stream.get_ref().0,
        }
    }

    /// Whether there is something to read. TLS does not know before it has read.
    pub(super) fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Plain(stream) => stream.poll_read_ready(cx),
            Self::Tls(_) => Poll::Ready(Ok(())),
        }
    }

    /// Appends so many bytes at the most. None, at the end.
    pub(super) fn poll_read(
        &mut self,
        raw: &mut BytesMut,
        most: usize,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        raw.reserve(most);
        let mut raw = raw.limit(most);
        match self {
            Self::Plain(stream) => pin!(stream.read_buf(&mut raw)).poll(cx),
            Self::Tls(stream) => pin!(stream.read_buf(&mut raw)).poll(cx),
        }
    }

    /// The same, for who can wait.
    pub(super) async fn read(&mut self, raw: &mut BytesMut, most: usize) -> io::Result<usize> {
        std::future::poll_fn(|cx| self.poll_read(raw, most, cx)).await
    }

    /// Writes all of it, for who can wait.
    pub(super) async fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Self::Plain(stream) => stream.write_all(bytes).await,
            Self::Tls(stream) => {
                stream.write_all(bytes).await?;
                stream.flush().await
            }
        }
    }

    /// Says that nothing more comes, for who can wait.
    pub(super) async fn end(&mut self) {
        // Whoever is gone needs no goodbye.
        let _ = match self {
            Self::Plain(stream) => stream.shutdown().await,
            Self::Tls(stream) => stream.shutdown().await,
        };
    }

    /// Whether it may take bytes again.
    pub(super) fn poll_writable(&self, cx: &mut Context<'_>) -> Poll<()> {
        self.tcp().poll_write_ready(cx).map(|_| ())
    }

    /// Writes what it takes now.
    pub(super) fn try_write(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        match self {
            Self::Plain(stream) => stream.try_write_vectored(slices),
            // Who is to be woken says so by asking whether it is writable.
            Self::Tls(stream) => now(|cx| Pin::new(&mut *stream).poll_write_vectored(cx, slices)),
        }
    }

    /// Sends what it has taken and kept.
    pub(super) fn try_flush(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(_) => Ok(()),
            Self::Tls(stream) => now(|cx| Pin::new(&mut *stream).poll_flush(cx)),
        }
    }

    /// Whether it has taken bytes that are not sent.
    pub(super) fn has_unsent(&self) -> bool {
        match self {
            Self::Plain(_) => false,
            Self::Tls(stream) => match &**stream {
                TlsStream::Client(stream) => stream.get_ref().1.wants_write(),
                TlsStream::Server(stream) => stream.get_ref().1.wants_write(),
            },
        }
    }

    /// Says that nothing more comes, as far as it can be said now.
    pub(super) fn shut_down(&mut self) {
        if let Self::Tls(stream) = self {
            let _ = now(|cx| Pin::new(&mut *stream).poll_shutdown(cx));
        }
        let _ = socket2::SockRef::from(self.tcp()).shutdown(Shutdown::Write);
    }
}

// Asks once, for nobody who waits.
fn now<T>(poll: impl FnOnce(&mut Context<'_>) -> Poll<io::Result<T>>) -> io::Result<T> {
    match poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(done) => done,
        Poll::Pending => Err(ErrorKind::WouldBlock.into()),
    }
}
