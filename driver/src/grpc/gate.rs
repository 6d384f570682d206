//! Stands between HTTP/2 and its socket. HTTP/2 reads whatever comes, to answer it or to keep it; how much it may read
//! at a time is decided here.
//!
//! It is given one frame at a time. Given more, its buffer would hold the begin of a frame behind the last one, and
//! grow to 32 KiB for it, for as long as the connection stands.

use bytes::{Buf, BufMut, BytesMut};
use std::cell::{Cell, RefCell};
use std::io::{self, IoSlice};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// What is read from the socket at one time: so much that the read's fixed cost does not show.
const READ_BYTES: usize = 64 << 10;
/// Frames that are let in at one time. For the smallest, one byte with its head, the library keeps some 150 bytes; it
/// ends a connection on which 2,000 of them wait.
const FRAMES_MAX: usize = 1000;
/// What a frame begins with: its length in three bytes, its kind, its flags and its stream.
const HEAD_BYTES: usize = 9;
/// What a client says first of all, and a server hears, before the first frame.
const PREFACE_BYTES: usize = 24;

/// What HTTP/2 takes for its socket.
#[derive(Debug)]
pub(super) struct Gated {
    stream: TcpStream,
    gate: Rc<Gate>,
    // What was read and not handed on. Between turns that is a part of a frame's head at the most, unless there were too
    // many frames, or HTTP/2 waits for the socket to take what it answers.
    read: BytesMut,
    spare: Spare,
    // Whether that stands in the buffer that all share.
    is_lodged: bool,
    // What is left of the frame that is being handed on.
    frame_left: usize,
}

/// The buffer that sockets are read to, shared by all connections of a thread: an idle one owns none.
pub(super) type Spare = Rc<RefCell<BytesMut>>;

/// How much may be read, and what came of it; shared with whoever drives the connection.
#[derive(Debug, Default)]
pub(super) struct Gate {
    left: Cell<usize>,
    frames_left: Cell<usize>,
    read: Cell<usize>,
    held: Cell<usize>,
    is_starved: Cell<bool>,
    is_blocked: Cell<bool>,
}

impl Gated {
    /// The socket of whoever was dialled.
    pub(super) fn server(stream: TcpStream, gate: Rc<Gate>, spare: Spare) -> Self {
        Self { stream, gate, read: BytesMut::new(), spare, is_lodged: false, frame_left: PREFACE_BYTES }
    }

    /// The socket of whoever dialled.
    pub(super) fn client(stream: TcpStream, gate: Rc<Gate>, spare: Spare) -> Self {
        Self { stream, gate, read: BytesMut::new(), spare, is_lodged: false, frame_left: 0 }
    }

    // How many bytes can be handed on: none that are behind the frame, and none of a head that is not whole.
    fn ready(&mut self) -> usize {
        if self.frame_left == 0
            && let Some(head) = self.read.first_chunk::<HEAD_BYTES>()
            && let Some(frames_left) = self.gate.frames_left.get().checked_sub(1)
        {
            self.gate.frames_left.set(frames_left);
            self.frame_left = HEAD_BYTES + u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
        }
        self.frame_left.min(self.read.len())
    }

    fn hand_on(&mut self, count: usize, buffer: &mut ReadBuf<'_>) {
        let count = count.min(buffer.remaining());
        buffer.put_slice(&self.read[..count]);
        self.read.advance(count);
        self.frame_left -= count;
    }

    // Takes the buffer that all share.
    fn lodge(&mut self) {
        if !std::mem::replace(&mut self.is_lodged, true) {
            let mut buffer = self.spare.take();
            buffer.clear();
            buffer.extend_from_slice(&self.read);
            self.read = buffer;
        }
    }

    // Leaves it to the next connection, and itself with what it needs.
    fn move_out(&mut self) {
        self.gate.held.set(self.read.len());
        if std::mem::take(&mut self.is_lodged) {
            let kept = BytesMut::from(&self.read[..]);
            self.spare.replace(std::mem::replace(&mut self.read, kept));
        } else if self.read.is_empty() {
            self.read = BytesMut::new();
        }
    }

    // Reads from the socket once. How many bytes came; none at the end.
    fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        ready!(self.stream.poll_read_ready(cx))?;
        let most = self.gate.left.get().min(READ_BYTES);
        self.lodge();
        // What was handed on makes room.
        self.read.reserve(most);
        let filled = pin!(self.stream.read_buf(&mut (&mut self.read).limit(most))).poll(cx);
        if let Poll::Ready(Ok(count)) = filled {
            self.gate.left.set(self.gate.left.get() - count);
            self.gate.read.set(self.gate.read.get() + count);
        }
        filled
    }
}

impl Gate {
    /// Lets so many bytes in, and no more than so many frames.
    pub(super) fn open(&self, bytes: usize) {
        self.left.set(bytes);
        self.frames_left.set(FRAMES_MAX);
        self.read.set(0);
        self.is_starved.set(false);
    }

    /// Bytes that were read since it was opened.
    pub(super) fn read(&self) -> usize {
        self.read.get()
    }

    /// Bytes that were read and wait here.
    pub(super) fn held(&self) -> usize {
        self.held.get()
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
        loop {
            let ready = self.ready();
            if ready > 0 {
                self.hand_on(ready, buffer);
                return Poll::Ready(Ok(()));
            }
            let filled = if self.gate.left.get() > 0 && self.gate.frames_left.get() > 0 {
                self.poll_fill(cx)
            } else {
                self.gate.is_starved.set(true);
                Poll::Pending
            };
            match filled {
                Poll::Ready(Ok(1..)) => {}
                // At the end, what there is of a head is no loss.
                Poll::Ready(ended) => return Poll::Ready(ended.map(|_| ())),
                Poll::Pending => {
                    self.move_out();
                    return Poll::Pending;
                }
            }
        }
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
