//! Takes a whole stream apart as a connection does, for whoever looks for bytes that break it: tests and fuzzers.

use super::Rules;
use super::incoming::{HEADER_BYTES_MAX, Incoming};
use super::outgoing::Outgoing;
use bytes::BytesMut;

/// What came of a stream.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Taken {
    /// What was passed on: each message as one binary frame of a server's, the last one perhaps in part.
    pub passed_on: Vec<u8>,
    /// The code of our CLOSE, if a rule was broken.
    pub fault: Option<u16>,
    /// What the peer's CLOSE says, if it came.
    pub close: Option<Vec<u8>>,
}

/// How a stream is taken.
#[derive(Clone, Copy, Debug)]
pub struct Manner {
    /// Whether the peer dialled, and so must mask what it sends.
    pub is_masked: bool,
    /// Whether messages are passed on one by one, as before a handshake is done.
    pub is_early: bool,
    /// Bytes of a message.
    pub message_bytes_max: usize,
}

/// Takes a stream that comes in pieces of `piece` bytes, and passes it on through a buffer that has room for as many at a
/// time. The most memory that it held besides is handed to `holds`.
pub fn take(stream: &[u8], manner: Manner, mut piece: impl FnMut() -> usize, mut holds: impl FnMut(usize)) -> Taken {
    let Manner { is_masked, is_early, message_bytes_max } = manner;
    let mut incoming = Incoming::new(is_masked);
    incoming.limit(message_bytes_max, is_early);
    let mut outgoing = Outgoing::new(Rules::new(message_bytes_max, message_bytes_max, None), !is_masked);
    let (mut raw, mut taken, mut rest) = (BytesMut::new(), Taken::default(), stream);
    loop {
        let mut out = BytesMut::with_capacity(HEADER_BYTES_MAX + piece());
        let fault = incoming.take(&mut raw, &mut out, &mut outgoing).err();
        taken.passed_on.extend_from_slice(&out);
        holds(incoming.held_bytes() + outgoing.held_bytes());
        if fault.is_some() || incoming.closed().is_some() {
            taken.fault = fault.map(|fault| fault.code().into());
            taken.close = incoming.closed().map(<[u8]>::to_vec);
            return taken;
        }
        if out.is_empty() {
            if rest.is_empty() {
                return taken;
            }
            let (front, back) = rest.split_at(piece().clamp(1, rest.len()));
            raw.extend_from_slice(front);
            rest = back;
        }
    }
}
