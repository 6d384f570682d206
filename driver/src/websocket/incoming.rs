//! Takes apart what comes through a WebSocket: messages become frames as a server sends them, control frames are answered.
//!
//! ```text
//!   82, whole          ──► passed on as it comes, unmasked
//!   81, 01 02 … 80     ──► put together, then passed on      text is looked at and then like the rest
//!   89 ping            ──► 8a pong
//!   8a pong            ──►
//!   88 close           ──► the end, once what came before it is passed on
//! ```

use super::mask::{Key, mask};
use super::outgoing::Outgoing;
use crate::noise::Noise;
use bytes::{Buf, BufMut, Bytes, BytesMut};
use std::io::Cursor;
use tungstenite::protocol::frame::FrameHeader;
use tungstenite::protocol::frame::coding::{CloseCode, Control, Data, OpCode};

/// The longest header that a frame is passed on with: no key.
pub(super) const HEADER_BYTES_MAX: usize = 10;
/// The longest payload of a control frame (RFC 6455, section 5.5).
const CONTROL_BYTES_MAX: usize = 125;

/// What one peer's bytes have become so far.
#[derive(Debug)]
pub(super) struct Incoming {
    // Whether the peer dialled, and so must mask what it sends.
    is_masked: bool,
    message_bytes_max: usize,
    // Whether the next message may be judged by other limits than this one, so that they are passed on one by one.
    is_early: bool,
    // The frame that is being taken.
    frame: Option<Taking>,
    // The message that is being put together, behind room for a header.
    parts: Option<Parts>,
    // One that was, as far as it is not passed on.
    whole: Bytes,
    control: Vec<u8>,
    // What the peer's CLOSE says.
    closed: Option<Vec<u8>>,
    // Whether nobody listens any more.
    is_deaf: bool,
    noise: Noise,
}

#[derive(Debug)]
struct Taking {
    kind: Kind,
    left: usize,
    key: Key,
}

#[derive(Clone, Copy, Debug)]
enum Kind {
    Whole,
    Part { is_last: bool },
    Control(Control),
}

#[derive(Debug)]
struct Parts {
    is_text: bool,
    bytes: Vec<u8>,
}

/// How a peer broke the rules of WebSocket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// A frame that no rule allows here.
    Protocol,
    /// A message longer than it may be.
    TooLong,
    /// Text that is none.
    NotText,
    /// Too much that is no message.
    TooMuchNoise,
}

impl Fault {
    /// What our CLOSE says then (RFC 6455, section 7.4.1).
    pub(super) fn code(self) -> CloseCode {
        match self {
            Self::Protocol => CloseCode::Protocol,
            Self::TooLong => CloseCode::Size,
            Self::NotText => CloseCode::Invalid,
            Self::TooMuchNoise => CloseCode::Policy,
        }
    }
}

impl Incoming {
    pub(super) fn new(is_masked: bool) -> Self {
        Self {
            is_masked,
            message_bytes_max: 0,
            is_early: true,
            frame: None,
            parts: None,
            whole: Bytes::new(),
            control: Vec::new(),
            closed: None,
            is_deaf: false,
            noise: Noise::new(),
        }
    }

    /// Says how long messages may be from now on, and whether that may change with any of them.
    pub(super) fn limit(&mut self, message_bytes_max: usize, is_early: bool) {
        self.message_bytes_max = message_bytes_max;
        self.is_early = is_early;
    }

    pub(super) fn is_early(&self) -> bool {
        self.is_early
    }

    pub(super) fn noise(&mut self) -> &mut Noise {
        &mut self.noise
    }

    /// What the peer's CLOSE says, once it has come.
    pub(super) fn closed(&self) -> Option<&[u8]> {
        self.closed.as_deref()
    }

    /// Whether something waits to be passed on.
    pub(super) fn has_more(&self) -> bool {
        !self.whole.is_empty()
    }

    /// Bytes of a message that is not whole.
    pub(super) fn unfinished_bytes(&self) -> usize {
        self.parts.as_ref().map_or(0, |parts| parts.bytes.len().saturating_sub(HEADER_BYTES_MAX))
    }

    /// Memory that it holds beyond what an idle one does.
    pub(super) fn held_bytes(&self) -> usize {
        self.parts.as_ref().map_or(0, |parts| parts.bytes.capacity()) + self.whole.len() + self.control.len()
    }

    /// Nobody listens any more: what comes is taken apart, for the CLOSE in it, and kept no longer.
    pub(super) fn discard(&mut self) {
        self.is_deaf = true;
        self.whole = Bytes::new();
        if let Some(parts) = &mut self.parts {
            parts.bytes = Vec::new();
        }
    }

    /// Takes what it can of `raw`, and passes on to `out` as much as it has room for, which is `HEADER_BYTES_MAX` at
    /// least.
    pub(super) fn take(
        &mut self,
        raw: &mut BytesMut,
        out: &mut BytesMut,
        outgoing: &mut Outgoing,
    ) -> Result<(), Fault> {
        let passed_on = out.len();
        loop {
            let room = out.capacity() - out.len();
            let fits = self.whole.len().min(room);
            out.extend_from_slice(&self.whole[..fits]);
            self.whole.advance(fits);
            if !self.whole.is_empty() || self.closed.is_some() {
                return Ok(());
            }
            if fits > 0 {
                // An empty one would still keep its memory.
                self.whole = Bytes::new();
            }
            let Some(frame) = &mut self.frame else {
                if room - fits < HEADER_BYTES_MAX || self.is_early && out.len() > passed_on || !self.begin(raw, out)? {
                    return Ok(());
                }
                continue;
            };
            if frame.left > 0 {
                let most = if matches!(frame.kind, Kind::Whole) { room - fits } else { usize::MAX };
                let count = frame.left.min(raw.len()).min(most);
                if count == 0 {
                    return Ok(());
                }
                self.take_payload(count, raw, out);
                continue;
            }
            let kind = frame.kind;
            self.frame = None;
            self.end(kind, outgoing)?;
        }
    }

    // Takes a frame's header. False when it has not come.
    fn begin(&mut self, raw: &mut BytesMut, out: &mut BytesMut) -> Result<bool, Fault> {
        let mut cursor = Cursor::new(&raw[..]);
        let (header, length) = match FrameHeader::parse(&mut cursor) {
            Ok(Some(parsed)) => parsed,
            Ok(None) => return Ok(false),
            // An opcode that means nothing.
            Err(_) => return Err(Fault::Protocol),
        };
        let header_bytes = cursor.position() as usize;
        // The shortest form of a length is the only one (section 5.2).
        if header_bytes != header.len(length) {
            return Err(Fault::Protocol);
        }
        let kind = self.judge(&header, length)?;
        let left = length as usize;
        raw.advance(header_bytes);
        match kind {
            Kind::Whole => {
                // Memory takes it.
                let _ = plain().format(length, &mut out.writer());
            }
            Kind::Part { .. } => {
                self.noise.came(header_bytes);
                self.noise.was_payload(left);
                let is_text = header.opcode == OpCode::Data(Data::Text);
                self.parts.get_or_insert_with(|| Parts { is_text, bytes: vec![0; HEADER_BYTES_MAX] });
            }
            Kind::Control(_) => {
                self.noise.came(header_bytes + left);
                self.control.clear();
            }
        }
        if self.noise.is_too_much() {
            return Err(Fault::TooMuchNoise);
        }
        self.frame = Some(Taking { kind, left, key: header.mask.unwrap_or_default() });
        Ok(true)
    }

    // Whether the frame may come now, and be as long as it says.
    fn judge(&self, header: &FrameHeader, length: u64) -> Result<Kind, Fault> {
        if header.rsv1 || header.rsv2 || header.rsv3 || header.mask.is_some() != self.is_masked {
            return Err(Fault::Protocol);
        }
        let data = match header.opcode {
            OpCode::Control(_) if !header.is_final || length > CONTROL_BYTES_MAX as u64 => {
                return Err(Fault::Protocol);
            }
            OpCode::Control(control) => return Ok(Kind::Control(control)),
            OpCode::Data(data) => data,
        };
        // Fragments follow one another, and nothing but control frames comes between.
        if (data == Data::Continue) != self.parts.is_some() {
            return Err(Fault::Protocol);
        }
        if length > self.message_bytes_max.saturating_sub(self.unfinished_bytes()) as u64 {
            return Err(Fault::TooLong);
        }
        let is_whole = data == Data::Binary && header.is_final;
        Ok(if is_whole { Kind::Whole } else { Kind::Part { is_last: header.is_final } })
    }

    fn take_payload(&mut self, count: usize, raw: &mut BytesMut, out: &mut BytesMut) {
        let Some(frame) = &mut self.frame else { return };
        let piece = &raw[..count];
        let masked = match (frame.kind, &mut self.parts) {
            (Kind::Whole, _) => {
                out.extend_from_slice(piece);
                let from = out.len() - count;
                &mut out[from..]
            }
            (Kind::Part { .. }, Some(parts)) if !self.is_deaf => {
                parts.bytes.extend_from_slice(piece);
                let from = parts.bytes.len() - count;
                &mut parts.bytes[from..]
            }
            (Kind::Part { .. }, _) => &mut [],
            (Kind::Control(_), _) => {
                self.control.extend_from_slice(piece);
                let from = self.control.len() - count;
                &mut self.control[from..]
            }
        };
        if self.is_masked {
            frame.key = mask(masked, frame.key);
        }
        frame.left -= count;
        raw.advance(count);
    }

    // The frame has come wholly.
    fn end(&mut self, kind: Kind, outgoing: &mut Outgoing) -> Result<(), Fault> {
        match kind {
            Kind::Whole | Kind::Part { is_last: false } => Ok(()),
            Kind::Part { is_last: true } => self.end_message(),
            Kind::Control(Control::Ping) => {
                outgoing.pong(&self.control);
                Ok(())
            }
            Kind::Control(Control::Close) => self.end_all(),
            Kind::Control(_) => Ok(()),
        }
    }

    fn end_message(&mut self) -> Result<(), Fault> {
        let Some(Parts { is_text, mut bytes }) = self.parts.take() else { return Ok(()) };
        if self.is_deaf {
            return Ok(());
        }
        let Some((room, payload)) = bytes.split_at_mut_checked(HEADER_BYTES_MAX) else { return Ok(()) };
        if is_text && std::str::from_utf8(payload).is_err() {
            return Err(Fault::NotText);
        }
        let (header, length) = (plain(), payload.len() as u64);
        let from = HEADER_BYTES_MAX - header.len(length);
        // It fits to the byte.
        let _ = header.format(length, &mut &mut room[from..]);
        self.whole = Bytes::from(bytes).slice(from..);
        Ok(())
    }

    // Nothing more is taken after the peer's CLOSE.
    fn end_all(&mut self) -> Result<(), Fault> {
        match &self.control[..] {
            [] => {}
            [_] => return Err(Fault::Protocol),
            [high, low, reason @ ..] => {
                if !CloseCode::from(u16::from_be_bytes([*high, *low])).is_allowed() {
                    return Err(Fault::Protocol);
                }
                if std::str::from_utf8(reason).is_err() {
                    return Err(Fault::NotText);
                }
            }
        }
        self.closed = Some(std::mem::take(&mut self.control));
        Ok(())
    }
}

// The header of a binary message in one frame, as a server sends it.
fn plain() -> FrameHeader {
    FrameHeader { opcode: OpCode::Data(Data::Binary), ..FrameHeader::default() }
}

#[cfg(test)]
mod tests {
    use super::super::trial::{Manner, Taken, take};
    use super::*;

    /// Chance that comes again.
    struct Chance(u64);

    impl Chance {
        fn below(&mut self, most: usize) -> usize {
            self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (self.0 >> 33) as usize % most
        }
    }

    // What a peer may send, with something wrong now and then.
    fn stream(chance: &mut Chance, is_masked: bool) -> Vec<u8> {
        let mut stream = Vec::new();
        for _ in 0..chance.below(12) {
            let first = match chance.below(14) {
                0..6 => 0x82,
                6 => 0x81,
                7 => 0x02,
                8 => 0x00,
                9 => 0x80,
                10 => 0x89,
                11 => 0x8a,
                12 => 0x01,
                _ => [0x88, 0x88, 0xc2, chance.below(256) as u8][chance.below(4)],
            };
            let length = if chance.below(60) == 0 { 70_000 } else { [0, 1, 5, 125, 126, 300][chance.below(6)] };
            let opcode = OpCode::from(first & 15);
            let mask = (is_masked != (chance.below(200) == 0)).then_some([1, 2, 3, chance.below(256) as u8]);
            let header = FrameHeader { is_final: first & 0x80 != 0, rsv1: first & 0x40 != 0, opcode, mask, ..plain() };
            header.format(length as u64, &mut stream).expect("memory");
            stream.extend((0..length).map(|at| at as u8 & 0x7f));
        }
        stream.truncate(stream.len() - chance.below(stream.len() / 4 + 1));
        stream
    }

    // Takes the stream in pieces, into a buffer that has a little room at a time.
    fn taken(stream: &[u8], is_masked: bool, is_early: bool, piece: impl FnMut() -> usize) -> Taken {
        let manner = Manner { is_masked, is_early, message_bytes_max: 100_000 };
        take(stream, manner, piece, |held| assert!(held < 200_000, "{held} bytes are held"))
    }

    #[test]
    fn anything_is_taken_alike_however_it_is_cut() {
        let mut chance = Chance(7);
        let (mut messages, mut faults, mut closes) = (0, 0, 0);
        for round in 0..2000 {
            let (is_masked, is_early) = (round % 2 == 0, round % 3 == 0);
            let stream = stream(&mut chance, is_masked);
            let whole = taken(&stream, is_masked, is_early, || 1 << 20);
            let mut cut = Chance(round);
            let most = [2, 20, 5000][cut.below(3)];
            let cut = taken(&stream, is_masked, is_early, || 1 + cut.below(most));
            assert_eq!(cut.fault, whole.fault, "round {round}: another fault");
            assert!(cut == whole, "round {round}");
            // What was passed on is frames as a server sends them, the last one perhaps in part.
            let mut cursor = Cursor::new(&whole.passed_on[..]);
            while let Ok(Some((header, length))) = FrameHeader::parse(&mut cursor) {
                assert_eq!(header, plain(), "round {round}");
                cursor.set_position(cursor.position() + length);
                messages += 1;
            }
            faults += usize::from(whole.fault.is_some());
            closes += usize::from(whole.close.is_some());
        }
        assert!(messages > 1000 && faults > 300 && closes > 10, "{messages} {faults} {closes}");
    }
}
