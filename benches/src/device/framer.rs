//! Cuts frames out of memory: a framer alone, fed as a socket would feed it.

use super::engine::LIMITS;
use super::framed::codec;
use crate::control::{self, Look, Ready};
use crate::frames::Frames;
use crate::wire::{HEADER_BYTES, Wire};
use anyhow::Result;
use bytes::{Buf, BytesMut};
use polypeer_anya::wire::{Framer, PHASE_OPEN};
use polypeer_engine::{Direction, Framed, Framer as _};
use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use tokio_util::codec::Decoder;

/// Bytes that come at once, as one read brings them.
const READ_BYTES: usize = 64 << 10;

/// Cuts a frame off the front of a buffer, drops it, and says whether there was one.
type Cut = Box<dyn FnMut(&mut BytesMut) -> bool>;

/// AnYa's.
pub(super) fn anya() -> Cut {
    let mut framer = Framer::new(LIMITS, Direction::Inbound);
    Box::new(move |buffer| match framer.next(PHASE_OPEN, buffer) {
        Framed::Frame(frame) => !black_box(frame).is_empty(),
        Framed::More | Framed::Bad(_) => false,
    })
}

/// Tokio's.
pub(super) fn delimited() -> Cut {
    let mut codec = codec();
    Box::new(move |buffer| codec.decode(buffer).is_ok_and(|frame| black_box(frame).is_some()))
}

pub(super) fn run(payload_bytes: usize, mut cut: Cut) -> Result<()> {
    let cut_so_far = Arc::new(AtomicU64::new(0));
    let looked = Arc::clone(&cut_so_far);
    let look = move || {
        let delivered = looked.load(Relaxed);
        Look { ready: 1, delivered, bytes: delivered * payload_bytes as u64, ..Look::now() }
    };
    control::serve(Ready { address: None }, look, |_| {})?;
    // Whole frames over and over: a stream without an end.
    let mut frames = Frames::new(Wire::Bare, payload_bytes);
    let stream = frames.stamped(0, u64::MAX).to_vec();
    let (mut rest, mut buffer, mut count) = (&stream[..], BytesMut::with_capacity(READ_BYTES), 0);
    loop {
        buffer.reserve(READ_BYTES.max(HEADER_BYTES + payload_bytes));
        let length = rest.len().min(READ_BYTES);
        buffer.extend_from_slice(&rest[..length]);
        rest.advance(length);
        if rest.is_empty() {
            rest = &stream;
        }
        while cut(&mut buffer) {
            count += 1;
        }
        cut_so_far.store(count, Relaxed);
    }
}
