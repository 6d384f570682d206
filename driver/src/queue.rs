//! Queues frames for one peer and writes them in large pieces.
//!
//! A write costs about the same whether it carries 36 bytes or 16 KiB, so small frames are copied together and large
//! ones go as they are, shared with every other queue that they stand in.

use crate::stream::Stream;
use bytes::Bytes;
use std::collections::VecDeque;
use std::io::{self, ErrorKind, IoSlice};

/// Frames below this are copied together: a piece of a vectored write of its own costs more than the copy.
const COPY_BELOW: usize = 4 << 10;
/// How large such a piece grows; from 16 KiB on a write's fixed cost no longer shows.
pub(crate) const PIECE_BYTES: usize = 64 << 10;
/// A frame that stays in a queue may be a slice of a large read buffer, which it would keep alive. Below this it is
/// copied out once the socket has blocked.
const COPY_OUT_BELOW: usize = 64 << 10;
/// Pieces in one vectored write.
const SLICES_MAX: usize = 64;
/// Buffers kept for reuse by all queues of a thread, 64 KiB each at most: enough for a relay to some dozens.
const POOL_MAX: usize = 64;
/// What the deque of a queue may keep allocated while it is empty.
const IDLE_PIECES_MAX: usize = 8;

/// Spare buffers, shared by the queues of one thread, so that an idle connection needs none.
#[derive(Debug, Default)]
pub(crate) struct Pool(Vec<Vec<u8>>);

impl Pool {
    fn take(&mut self) -> Vec<u8> {
        self.0.pop().unwrap_or_default()
    }

    fn give(&mut self, mut buffer: Vec<u8>) {
        if self.0.len() < POOL_MAX && buffer.capacity() >= PIECE_BYTES / 4 {
            buffer.clear();
            self.0.push(buffer);
        }
    }
}

/// Bytes that wait for one peer to read.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    pieces: VecDeque<Piece>,
    bytes: usize,
    frames: usize,
    // Bytes of the first piece that the socket has taken already.
    taken: usize,
}

#[derive(Debug)]
struct Piece {
    body: Body,
    frames: usize,
}

#[derive(Debug)]
enum Body {
    /// Small frames, one after another.
    Copied(Vec<u8>),
    /// One large frame.
    Shared(Bytes),
}

/// What became of a try to write.
#[derive(Debug)]
pub(crate) enum Flushed {
    /// Everything is with the socket.
    Empty,
    /// The socket takes no more for now.
    Blocked,
    /// The connection is broken.
    Broken,
}

/// What a try to write gave to the socket.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Written {
    pub(crate) bytes: usize,
    pub(crate) frames: usize,
}

impl Queue {
    /// Bytes that wait.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Frames that wait, begun ones too.
    pub(crate) fn frames(&self) -> usize {
        self.frames
    }

    /// Adds a frame. Whether there is room was asked before.
    pub(crate) fn push(&mut self, frame: Bytes, pool: &mut Pool) {
        self.bytes += frame.len();
        self.frames += 1;
        if frame.len() >= COPY_BELOW {
            self.pieces.push_back(Piece { body: Body::Shared(frame), frames: 1 });
            return;
        }
        if let Some(Piece { body: Body::Copied(tail), frames }) = self.pieces.back_mut()
            && tail.len() + frame.len() <= PIECE_BYTES
        {
            tail.extend_from_slice(&frame);
            *frames += 1;
            return;
        }
        let mut body = pool.take();
        body.extend_from_slice(&frame);
        self.pieces.push_back(Piece { body: Body::Copied(body), frames: 1 });
    }

    /// Whether a part of the first piece is with the socket. Pieces hold whole frames.
    pub(crate) fn is_begun(&self) -> bool {
        self.taken > 0
    }

    /// Writes until everything is written or the socket blocks.
    pub(crate) fn flush(&mut self, stream: &mut Stream, pool: &mut Pool, written: &mut Written) -> Flushed {
        while !self.pieces.is_empty() || stream.wants_flush() {
            let wrote = match stream {
                Stream::Tcp(stream) => self.write_once(|slices| match slices {
                    [only] => stream.try_write(only),
                    slices => stream.try_write_vectored(slices),
                }),
                Stream::Grpc(call) => call.try_write(&self.front(pool), self.bytes),
                // Each of its channels has a queue of its own.
                Stream::Libp2p(_) => return Flushed::Empty,
                Stream::WebSocket(socket) => match socket.catch_up(self.is_begun()) {
                    Ok(()) if self.pieces.is_empty() => break,
                    Ok(()) => self.write_once(|slices| socket.try_write(slices)),
                    Err(error) => Err(error),
                },
            };
            match wrote {
                Ok(0) => return Flushed::Broken,
                Ok(count) => {
                    written.bytes += count;
                    written.frames += self.advance(count, pool);
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    self.let_go(pool);
                    return Flushed::Blocked;
                }
                Err(_) => return Flushed::Broken,
            }
        }
        if self.pieces.capacity() > IDLE_PIECES_MAX {
            self.pieces = VecDeque::new();
        }
        Flushed::Empty
    }

    /// Writes until everything is written or `write` takes no more: one of many queues over one socket. Whether it took
    /// anything.
    pub(crate) fn pour(
        &mut self,
        pool: &mut Pool,
        written: &mut Written,
        mut write: impl FnMut(&[u8]) -> io::Result<usize>,
    ) -> bool {
        let mut has_moved = false;
        while let Some(piece) = self.pieces.front() {
            let Ok(count @ 1..) = write(&piece.bytes()[self.taken..]) else {
                self.let_go(pool);
                return has_moved;
            };
            has_moved = true;
            written.bytes += count;
            written.frames += self.advance(count, pool);
        }
        if self.pieces.capacity() > IDLE_PIECES_MAX {
            self.pieces = VecDeque::new();
        }
        has_moved
    }

    fn write_once(&self, write: impl FnOnce(&[IoSlice<'_>]) -> io::Result<usize>) -> io::Result<usize> {
        let mut pieces = self.pieces.iter();
        let first = IoSlice::new(pieces.next().map_or(&[][..], |piece| &piece.bytes()[self.taken..]));
        if pieces.len() == 0 {
            return write(&[first]);
        }
        let mut slices = [IoSlice::new(&[]); SLICES_MAX];
        slices[0] = first;
        let mut count = 1;
        for (slot, piece) in slices[1..].iter_mut().zip(pieces) {
            *slot = IoSlice::new(piece.bytes());
            count += 1;
        }
        write(&slices[..count])
    }

    // What is left of the first piece, to be shared with a transport that keeps it until the peer has room.
    fn front(&mut self, pool: &mut Pool) -> Bytes {
        let Some(piece) = self.pieces.front_mut() else { return Bytes::new() };
        piece.share(pool).slice(self.taken..)
    }

    // Drops what the socket has taken. How many frames it has now wholly.
    fn advance(&mut self, count: usize, pool: &mut Pool) -> usize {
        self.bytes -= count;
        self.taken += count;
        let mut frames = 0;
        while let Some(piece) = self.pieces.front() {
            let length = piece.bytes().len();
            if self.taken < length {
                break;
            }
            self.taken -= length;
            frames += piece.frames;
            if let Some(Piece { body: Body::Copied(buffer), .. }) = self.pieces.pop_front() {
                pool.give(buffer);
            }
        }
        self.frames -= frames;
        frames
    }

    // What stays for a while keeps alive no more than itself.
    fn let_go(&mut self, pool: &mut Pool) {
        for piece in &mut self.pieces {
            match &mut piece.body {
                Body::Shared(frame) if frame.len() < COPY_OUT_BELOW => piece.body = Body::Copied(frame.to_vec()),
                Body::Copied(buffer) if buffer.capacity() > 2 * buffer.len().max(COPY_BELOW) => {
                    let copy = buffer.to_vec();
                    pool.give(std::mem::replace(buffer, copy));
                }
                _ => {}
            }
        }
    }
}

impl Piece {
    // Makes it one that is shared. A buffer that is mostly empty is copied, for it would be kept as a whole.
    fn share(&mut self, pool: &mut Pool) -> Bytes {
        let frame = match &mut self.body {
            Body::Shared(frame) => return frame.clone(),
            Body::Copied(buffer) if buffer.len() < buffer.capacity() / 2 => {
                let copy = Bytes::copy_from_slice(buffer);
                pool.give(std::mem::take(buffer));
                copy
            }
            Body::Copied(buffer) => std::mem::take(buffer).into(),
        };
        self.body = Body::Shared(frame.clone());
        frame
    }

    fn bytes(&self) -> &[u8] {
        match &self.body {
            Body::Copied(buffer) => buffer,
            Body::Shared(frame) => frame,
        }
    }
}
