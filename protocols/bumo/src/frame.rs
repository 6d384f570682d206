//! Cuts WebSocket messages from what came, and packs those that go (BUMO spec, sections 1.1 and 2).
//!
//! ```text
//!    82 │ length: 1, 3 or 9 bytes │ WsMessage: 08 type │ 10 01 if a request │ 18 sequence │ 22 length data
//! ```
//!
//! A frame is what a server sends: one binary message in one piece, not masked. See
//! [`Transport::WebSocket`](polypeer_engine::Transport::WebSocket).

use crate::wire::{Kind, MESSAGE_BYTES_MAX};
use alloc::vec::Vec;
use bytes::{Bytes, BytesMut};
use polypeer_engine::{BadFrame, Frame, Framed, Framer, Phase};

/// No HELLO came.
pub const GREETING: Phase = Phase(0);
/// The peer is active.
pub const OPEN: Phase = Phase(1);

/// The payload of a message before HELLO: PING has 20 bytes and HELLO about a hundred, with room for whatever a peer calls itself.
pub const EARLY_BYTES_MAX: usize = 16 << 10;

/// The first byte: a binary message that is whole.
const BINARY: u8 = 0x82;
/// Data at least this long is kept by sharing its buffer: it is nearly all of it.
const SHARED_BYTES_MIN: usize = 16 << 10;
/// The longest header.
const HEADER_BYTES_MAX: usize = 10;

/// What is wrong with a frame.
pub mod bad {
    /// It does not begin as one.
    pub const HEADER: u8 = 1;
    /// It announces more bytes than its phase allows.
    pub const TOO_LONG: u8 = 2;
}

/// The framer: one for each direction of a connection, without a memory.
#[derive(Clone, Copy, Debug, Default)]
pub struct Frames;

/// The header and the payload's length of the frame at the front of `bytes`; nothing while they are not there.
fn header(bytes: &[u8]) -> Result<Option<(usize, u64)>, u8> {
    match bytes.first() {
        None => return Ok(None),
        Some(&BINARY) => {}
        Some(_) => return Err(bad::HEADER),
    }
    let (length, shortest, header) = match bytes.get(1) {
        None => return Ok(None),
        Some(126) => {
            let Some(length) = bytes.get(2..).and_then(|rest| rest.first_chunk()) else { return Ok(None) };
            (u64::from(u16::from_be_bytes(*length)), 126, 4)
        }
        Some(127) => {
            let Some(length) = bytes.get(2..).and_then(|rest| rest.first_chunk()) else { return Ok(None) };
            (u64::from_be_bytes(*length), 1 << 16, 10)
        }
        Some(length @ ..126) => (u64::from(*length), 0, 2),
        // The bit of a mask.
        Some(_) => return Err(bad::HEADER),
    };
    if length < shortest { Err(bad::HEADER) } else { Ok(Some((header, length))) }
}

impl Frames {
    /// The longest payload of a phase.
    pub fn payload_bytes_max(phase: Phase) -> usize {
        if phase < OPEN { EARLY_BYTES_MAX } else { MESSAGE_BYTES_MAX }
    }

    // How long the frame at the front is; nothing while its header is not there.
    fn length(phase: Phase, bytes: &[u8]) -> Result<Option<usize>, u8> {
        let Some((header, payload)) = header(bytes)? else { return Ok(None) };
        match usize::try_from(payload) {
            Ok(payload) if payload <= Self::payload_bytes_max(phase) => Ok(Some(header + payload)),
            _ => Err(bad::TOO_LONG),
        }
    }
}

impl Framer for Frames {
    fn next(&mut self, phase: Phase, buffer: &mut BytesMut) -> Framed {
        match Self::length(phase, buffer) {
            Ok(Some(length)) if length <= buffer.len() => Framed::Frame(buffer.split_to(length).freeze()),
            Ok(_) => Framed::More,
            Err(reason) => Framed::Bad(BadFrame { head: Bytes::new(), reason, fatal: true }),
        }
    }

    fn whole(&self, phase: Phase, bytes: &[u8]) -> Option<usize> {
        Self::length(phase, bytes).ok().flatten().filter(|length| *length <= bytes.len())
    }
}

/// The message in a frame.
pub fn payload(frame: Frame<'_>) -> Frame<'_> {
    let header = header(frame.bytes()).ok().flatten().map_or(frame.len(), |(header, _)| header);
    frame.after(header)
}

/// The inner message of an envelope, borrowed from its frame.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Data<'a> {
    frame: Frame<'a>,
    data: &'a [u8],
}

impl<'a> Data<'a> {
    /// `data` lies in `frame`.
    pub(crate) fn of(frame: Frame<'a>, data: &'a [u8]) -> Self {
        Self { frame, data }
    }

    /// The bytes, with the life of the frame's buffer.
    pub(crate) fn bytes(self) -> &'a [u8] {
        self.data
    }

    /// The bytes for longer than this step: a copy, or a share of a buffer that holds little else. See [`Frame::keep`].
    pub(crate) fn keep(self) -> Bytes {
        if self.data.len() >= SHARED_BYTES_MIN {
            self.frame.share().slice_ref(self.data)
        } else {
            Bytes::copy_from_slice(self.data)
        }
    }
}

/// A frame with this message: one allocation, one copy of the data.
pub fn pack(kind: Kind, is_request: bool, sequence: i64, data: &[u8]) -> Bytes {
    let sequence = sequence.cast_unsigned();
    let is_present = |length: usize, value_is_default: bool| if value_is_default { 0 } else { length };
    let payload = 2
        + is_present(2, !is_request)
        + is_present(1 + varint_length(sequence), sequence == 0)
        + is_present(1 + varint_length(data.len() as u64) + data.len(), data.is_empty());
    let mut frame = Vec::with_capacity(HEADER_BYTES_MAX + payload);
    put_header(&mut frame, payload);
    frame.extend_from_slice(&[0x08, kind.number() as u8]);
    if is_request {
        frame.extend_from_slice(&[0x10, 0x01]);
    }
    if sequence != 0 {
        frame.push(0x18);
        put_varint(&mut frame, sequence);
    }
    if !data.is_empty() {
        frame.push(0x22);
        put_varint(&mut frame, data.len() as u64);
        frame.extend_from_slice(data);
    }
    frame.into()
}

/// A frame with this payload, whatever it is.
pub fn frame_of(payload: &[u8]) -> Bytes {
    let mut frame = Vec::with_capacity(HEADER_BYTES_MAX + payload.len());
    put_header(&mut frame, payload.len());
    frame.extend_from_slice(payload);
    frame.into()
}

fn put_header(frame: &mut Vec<u8>, payload: usize) {
    frame.push(BINARY);
    match payload {
        0..126 => frame.push(payload as u8),
        126..=0xffff => {
            frame.push(126);
            frame.extend_from_slice(&(payload as u16).to_be_bytes());
        }
        _ => {
            frame.push(127);
            frame.extend_from_slice(&(payload as u64).to_be_bytes());
        }
    }
}

fn varint_length(value: u64) -> usize {
    (64 - (value | 1).leading_zeros() as usize).div_ceil(7)
}

fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut(phase: Phase, bytes: &[u8]) -> Framed {
        Frames.next(phase, &mut BytesMut::from(bytes))
    }

    fn is_bad(phase: Phase, bytes: &[u8], reason: u8) -> bool {
        matches!(cut(phase, bytes), Framed::Bad(bad) if bad.reason == reason && bad.fatal)
    }

    #[test]
    fn the_shortest_messages_of_the_fixtures() {
        assert_eq!(&pack(Kind::Hello, false, 0, &[])[..], [0x82, 2, 0x08, 0x02]);
        assert_eq!(&pack(Kind::Peers, true, 1, &[])[..], [0x82, 6, 0x08, 0x03, 0x10, 0x01, 0x18, 0x01]);
    }

    #[test]
    fn a_frame_is_cut_as_it_was_packed_at_every_form_of_length() {
        for length in [0, 1, 119, 120, 121, 122, 125, 126, 127, 65_520, 65_530, 65_535, 65_536, 70_000] {
            let frame = frame_of(&alloc::vec![7; length]);
            let mut stream = BytesMut::from(&frame[..]);
            stream.extend_from_slice(&[1, 2]);
            assert_eq!(Frames.whole(OPEN, &stream), Some(frame.len()));
            assert_eq!(Frames.next(OPEN, &mut stream), Framed::Frame(frame.clone()));
            assert_eq!(&stream[..], [1, 2]);
            assert_eq!(payload(Frame::from(&frame)).len(), length);
            let packed = pack(Kind::Pbft, true, 300, &alloc::vec![7; length]);
            assert_eq!(cut(OPEN, &packed), Framed::Frame(packed.clone()));
            for end in 0..frame.len().min(20) {
                assert_eq!(cut(OPEN, &frame[..end]), Framed::More);
            }
        }
    }

    #[test]
    fn lengths_are_judged_when_they_are_announced() {
        let announced = |length: u64| {
            let mut frame = alloc::vec![BINARY, 127];
            frame.extend_from_slice(&length.to_be_bytes());
            frame
        };
        assert_eq!(cut(OPEN, &announced(32_000_000)), Framed::More);
        assert!(is_bad(OPEN, &announced(32_000_001), bad::TOO_LONG));
        assert!(is_bad(OPEN, &announced(u64::MAX), bad::TOO_LONG));
        assert_eq!(cut(GREETING, &[BINARY, 126, 0x40, 0x00]), Framed::More);
        assert!(is_bad(GREETING, &[BINARY, 126, 0x40, 0x01], bad::TOO_LONG));
    }

    #[test]
    fn what_a_server_would_not_send_is_no_frame() {
        for bytes in [&[0x81][..], &[0x02, 0], &[BINARY, 0x80], &[BINARY, 126, 0, 125], &[0]] {
            assert!(is_bad(OPEN, bytes, bad::HEADER), "{bytes:?}");
        }
        assert!(is_bad(OPEN, &[BINARY, 127, 0, 0, 0, 0, 0, 0, 0xff, 0xff], bad::HEADER));
    }
}
