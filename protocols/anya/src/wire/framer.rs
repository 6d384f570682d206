//! Cuts the byte stream into frames, and judges each header as soon as it is complete (AnYa spec, section 2).

use super::{HEADER_BYTES, Kind, Limits, is_well_formed, name_in};
use bytes::{Buf, Bytes, BytesMut};
use polypeer_engine::{BadFrame, Direction, Framed, Phase};

/// From the first byte to the handshake's second message.
pub const PHASE_GREETING: Phase = Phase(0);
/// Everything is served; a `mempool` is not awaited, and what comes of one is skipped unread.
pub const PHASE_OPEN: Phase = Phase(1);
/// The same, and a `mempool` is awaited.
pub const PHASE_POOL_AWAITED: Phase = Phase(2);

/// The most of an unknown type's payload that is skipped, in bytes. More closes the connection.
const SKIP_BYTES_MAX: u32 = 1 << 20;

/// What the framer refuses, as [`BadFrame::reason`] carries it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum BadReason {
    /// The type is not well-formed.
    Malformed,
    /// Not the message that the handshake expects.
    NotGreeting,
    /// An `error` where the handshake's message should be.
    ErrorFirst,
    /// A type that the specification does not list; its payload is skipped.
    Unknown,
    /// The same with a payload too long to skip.
    UnknownTooLong,
    /// A payload over the type's limit.
    TooLong,
    /// An `error` over its limit.
    ErrorTooLong,
    /// `connect` or `connection_accepted` on an open connection; its payload is skipped.
    GreetingAgain,
    /// A `mempool` that nobody asked for; it is skipped.
    PoolUnasked,
}

impl BadReason {
    const ALL: [Self; 9] = [
        Self::Malformed,
        Self::NotGreeting,
        Self::ErrorFirst,
        Self::Unknown,
        Self::UnknownTooLong,
        Self::TooLong,
        Self::ErrorTooLong,
        Self::GreetingAgain,
        Self::PoolUnasked,
    ];

    /// The reason with this number.
    pub fn of(number: u8) -> Option<Self> {
        Self::ALL.get(usize::from(number)).copied()
    }
}

/// Cuts what one peer sends. It holds no bytes itself and reserves none: what is announced costs nothing.
#[derive(Clone, Debug)]
pub struct Framer {
    limits: Limits,
    greeting: Kind,
    // Bytes of a refused payload that are still to come.
    skip: usize,
    is_done: bool,
}

enum Verdict {
    Take { bytes: usize },
    Refuse { reason: BadReason, skip: Option<usize> },
}

impl Framer {
    /// A framer for a connection that `opener` opened, as seen from this node.
    pub fn new(limits: Limits, opener: Direction) -> Self {
        let greeting = match opener {
            Direction::Inbound => Kind::Connect,
            Direction::Outbound => Kind::ConnectionAccepted,
        };
        Self { limits, greeting, skip: 0, is_done: false }
    }

    // In the order of section 2: well-formed, allowed before the handshake is done, known, length, allowed now.
    // What is served is judged by the protocol; those types have no payload, so it is just as early.
    fn judge(&self, phase: Phase, header: &[u8; HEADER_BYTES]) -> Verdict {
        let name = name_in(header);
        let length = u32::from_be_bytes([header[32], header[33], header[34], header[35]]);
        let kind = Kind::of(&name);
        let fatal = |reason| Verdict::Refuse { reason, skip: None };
        let skip = |reason| Verdict::Refuse { reason, skip: Some(length as usize) };
        if kind.is_none() && !is_well_formed(&name) {
            return fatal(BadReason::Malformed);
        }
        if phase == PHASE_GREETING && kind != Some(self.greeting) {
            return fatal(if kind == Some(Kind::Error) { BadReason::ErrorFirst } else { BadReason::NotGreeting });
        }
        let Some(kind) = kind else {
            return if length > SKIP_BYTES_MAX { fatal(BadReason::UnknownTooLong) } else { skip(BadReason::Unknown) };
        };
        if length > kind.payload_max(&self.limits) {
            return fatal(if kind == Kind::Error { BadReason::ErrorTooLong } else { BadReason::TooLong });
        }
        match kind {
            Kind::Connect | Kind::ConnectionAccepted if phase != PHASE_GREETING => skip(BadReason::GreetingAgain),
            Kind::Mempool if phase != PHASE_POOL_AWAITED => skip(BadReason::PoolUnasked),
            _ => Verdict::Take { bytes: HEADER_BYTES + length as usize },
        }
    }

    fn refuse(&mut self, reason: BadReason, skip: Option<usize>, buffer: &mut BytesMut) -> Framed {
        let head = Bytes::copy_from_slice(&buffer[..HEADER_BYTES]);
        buffer.advance(HEADER_BYTES);
        self.skip = skip.unwrap_or(0);
        self.is_done = skip.is_none();
        Framed::Bad(BadFrame { head, reason: reason as u8, fatal: self.is_done })
    }
}

impl polypeer_engine::Framer for Framer {
    fn whole(&self, phase: Phase, bytes: &[u8]) -> Option<usize> {
        if self.is_done || self.skip > 0 {
            return None;
        }
        match self.judge(phase, bytes.first_chunk::<HEADER_BYTES>()?) {
            Verdict::Take { bytes: length } if bytes.len() >= length => Some(length),
            _ => None,
        }
    }

    fn next(&mut self, phase: Phase, buffer: &mut BytesMut) -> Framed {
        if self.is_done {
            buffer.clear();
            return Framed::More;
        }
        let skipped = self.skip.min(buffer.len());
        buffer.advance(skipped);
        self.skip -= skipped;
        let Some(header) = buffer.first_chunk::<HEADER_BYTES>() else { return Framed::More };
        match self.judge(phase, header) {
            Verdict::Take { bytes } if buffer.len() >= bytes => Framed::Frame(buffer.split_to(bytes).freeze()),
            Verdict::Take { .. } => Framed::More,
            Verdict::Refuse { reason, skip } => self.refuse(reason, skip, buffer),
        }
    }
}
