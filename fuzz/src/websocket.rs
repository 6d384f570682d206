//! Breaks the reader of WebSockets: however a stream is cut, the same comes of it, and it holds no more than has come.

use crate::pieces;
use crate::targets::Seeds;
use bytes::BytesMut;
use polypeer_bumo::frame::{Frames, OPEN};
use polypeer_driver::websocket_trial::{Manner, Taken, take};
use polypeer_engine::{Framed, Framer as _};

/// Bytes of a message: less than the longest input, so that some are too long.
const MESSAGE_BYTES_MAX: usize = 600;
/// What is held besides the parts of a message: pongs that wait, a control frame.
const HELD_BYTES_MAX: usize = 4 << 10;

/// What came of a stream that was taken in one piece, and in pieces of these sizes.
pub fn reader(input: &[u8]) {
    let (manner, sizes, stream) = read(input);
    let whole = taken(stream, manner, &[]);
    let cut = taken(stream, manner, sizes);
    assert_eq!(cut, whole, "the pieces matter");
    let Taken { passed_on, fault, close } = whole;
    assert!(fault.is_none() || close.is_none(), "one end only");
    assert!(fault.is_none_or(|code| [1_002, 1_007, 1_008, 1_009].contains(&code)), "{fault:?}");
    assert!(passed_on.len() <= 2 * stream.len(), "{} bytes of {}", passed_on.len(), stream.len());
    // What is passed on is what a protocol's framer takes.
    let mut buffer = BytesMut::from(&passed_on[..]);
    loop {
        match Frames.next(OPEN, &mut buffer) {
            Framed::Frame(_) => {}
            Framed::More => break,
            other => panic!("{other:?} is passed on"),
        }
    }
}

/// The reader once, for what it takes in memory.
pub fn reader_once(input: &[u8]) {
    let (manner, _, stream) = read(input);
    drop(take(stream, manner, || stream.len() + 1, |_| {}));
}

fn read(input: &[u8]) -> (Manner, &[u8], &[u8]) {
    let (flags, _, sizes, stream) = pieces::head(input);
    let manner = Manner { is_masked: flags & 1 == 0, is_early: flags & 2 != 0, message_bytes_max: MESSAGE_BYTES_MAX };
    (manner, sizes, stream)
}

fn taken(stream: &[u8], manner: Manner, sizes: &[u8]) -> Taken {
    let mut sizes = sizes.iter().map(|size| usize::from(*size) + 1).chain(std::iter::repeat(stream.len() + 1));
    let piece = || sizes.next().unwrap_or(1);
    take(stream, manner, piece, |held| {
        assert!(held <= 2 * stream.len() + HELD_BYTES_MAX, "{held} bytes are held for {}", stream.len());
    })
}

/// Streams of both roles: whole messages, fragments, text, control frames, an end.
pub fn streams() -> Seeds {
    let mask = [0x12, 0x34, 0x56, 0x78];
    let frame = |first: u8, is_masked: bool, payload: &[u8]| {
        let mut frame = vec![first, payload.len() as u8 | u8::from(is_masked) << 7];
        if is_masked {
            frame.extend(mask);
            frame.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
        } else {
            frame.extend(payload);
        }
        frame
    };
    let stream = |is_masked: bool| {
        let frames: [(u8, &[u8]); 9] = [
            (0x82, b"\x08\x01\x10\x01"),
            (0x02, b"\x08\x01"),
            (0x89, b"between"),
            (0x00, b""),
            (0x80, b"\x10\x01"),
            (0x81, "text \u{e9}".as_bytes()),
            (0x8a, b""),
            (0x82, &[7; 100]),
            (0x88, b"\x03\xe8bye"),
        ];
        let head = [if is_masked { 0 } else { 1 }, 0, 3, 1, 40, 2];
        head.into_iter().chain(frames.iter().flat_map(|(first, payload)| frame(*first, is_masked, payload))).collect()
    };
    vec![("dialler", stream(true)), ("listener", stream(false))]
}
