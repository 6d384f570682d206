//! Cuts a connection's bytes into gRPC messages (Kaspa spec, section 1.1).

use super::Kind;
use bytes::{Bytes, BytesMut};
use polypeer_engine::{BadFrame, Framed, Framer, Phase};

/// Bytes before a payload: the flag and the length, big-endian.
pub const PREFIX_BYTES: usize = 5;
/// The flag of a payload that is as it is.
pub const IDENTITY: u8 = 0;
/// The flag of a payload that is gzip.
pub const GZIP: u8 = 1;

/// Until the handshake is complete: versions and rejects.
pub const GREETING: Phase = Phase(0);
/// From then on.
pub const OPEN: Phase = Phase(1);
/// While this peer is the one that we sync from.
pub const SYNCING: Phase = Phase(2);

/// Bytes of a payload in the greeting: a version is some hundred bytes, a reject's reason 2,048.
pub const GREETING_BYTES_MAX: usize = 64 << 10;
/// Bytes of a payload once open: 131,072 transaction identifiers are 4.5 MiB, a block 3 MiB.
pub const OPEN_BYTES_MAX: usize = 8 << 20;
/// Bytes of a payload while syncing: what kaspad decodes at all (section 1.3), because a proof of version 10 is one
/// message.
pub const SYNCING_BYTES_MAX: usize = 256 << 20;

/// The framer of one connection's byte stream. A frame is prefix and payload.
///
/// What can be refused is refused from the prefix, or from the payload's first bytes: the first field's number says
/// the kind of a payload that is not compressed, and so how long it may be.
#[derive(Clone, Debug, Default)]
pub struct Frames {
    is_broken: bool,
}

impl Frames {
    /// The reason for refusing bytes: a flag that is neither 0 nor 1.
    pub const BAD_FLAG: u8 = 0;
    /// The reason for refusing bytes: a length above the phase's limit.
    pub const TOO_LONG: u8 = 1;
    /// The reason for refusing bytes: a length above what the kind ever has.
    pub const TOO_LONG_FOR_KIND: u8 = 2;

    /// A framer at the start of a stream.
    pub fn new() -> Self {
        Self::default()
    }

    /// The largest payload of a phase.
    pub fn payload_bytes_max(phase: Phase) -> usize {
        match phase {
            GREETING => GREETING_BYTES_MAX,
            OPEN => OPEN_BYTES_MAX,
            _ => SYNCING_BYTES_MAX,
        }
    }

    // The frame's length, nothing if the prefix is not there yet, or why there can be none.
    fn length(phase: Phase, bytes: &[u8]) -> Result<Option<usize>, u8> {
        let Some((flag, rest)) = bytes.split_first() else { return Ok(None) };
        if *flag > GZIP {
            return Err(Self::BAD_FLAG);
        }
        let Some((length, payload)) = rest.split_first_chunk::<4>() else { return Ok(None) };
        let length = u32::from_be_bytes(*length) as usize;
        if length > Self::payload_bytes_max(phase) {
            return Err(Self::TOO_LONG);
        }
        if *flag == IDENTITY && first_kind(payload).is_some_and(|kind| length > kind.envelope_bytes_max()) {
            return Err(Self::TOO_LONG_FOR_KIND);
        }
        Ok(Some(PREFIX_BYTES + length))
    }

    fn bad(&mut self, buffer: &mut BytesMut, reason: u8) -> Framed {
        self.is_broken = true;
        buffer.clear();
        Framed::Bad(BadFrame { head: Bytes::new(), reason, fatal: true })
    }
}

impl Framer for Frames {
    fn next(&mut self, phase: Phase, buffer: &mut BytesMut) -> Framed {
        if self.is_broken {
            buffer.clear();
            return Framed::More;
        }
        match Self::length(phase, buffer) {
            Ok(Some(length)) if buffer.len() >= length => Framed::Frame(buffer.split_to(length).freeze()),
            Ok(_) => Framed::More,
            Err(reason) => self.bad(buffer, reason),
        }
    }

    fn whole(&self, phase: Phase, bytes: &[u8]) -> Option<usize> {
        let length = Self::length(phase, bytes).ok()??;
        (!self.is_broken && bytes.len() >= length).then_some(length)
    }
}

/// The kind that a payload's first bytes begin with, if they begin with one: every kind's key is one or two bytes.
pub(super) fn first_kind(payload: &[u8]) -> Option<Kind> {
    let key = match payload {
        [first, ..] if *first < 0x80 => u32::from(*first),
        [first, second, ..] if *second < 0x80 => u32::from(first & 0x7f) | u32::from(*second) << 7,
        _ => return None,
    };
    // Wire type 2: bytes of a given length.
    (key & 7 == 2).then(|| Kind::from_number(key >> 3)).flatten()
}
