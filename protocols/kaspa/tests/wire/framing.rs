//! The framer, fed in every way that a stream can be split.

use super::fixtures::{all, framed};
use bytes::{Bytes, BytesMut};
use polypeer_engine::{Framed, Framer as _, Phase};
use polypeer_kaspa::wire::*;
use proptest::prelude::*;

// Every frame of these pieces; nothing may stay behind.
fn cut(phase: Phase, pieces: impl IntoIterator<Item = impl AsRef<[u8]>>) -> Vec<Bytes> {
    let (mut framer, mut buffer) = (Frames::new(), BytesMut::new());
    let mut frames = Vec::new();
    for piece in pieces {
        buffer.extend_from_slice(piece.as_ref());
        loop {
            let whole = framer.whole(phase, &buffer);
            match framer.next(phase, &mut buffer) {
                Framed::More => {
                    assert_eq!(whole, None);
                    break;
                }
                Framed::Frame(frame) => {
                    assert_eq!(whole, Some(frame.len()));
                    frames.push(frame);
                }
                Framed::Bad(bad) => panic!("{bad:?}"),
            }
        }
    }
    assert!(buffer.is_empty());
    assert_eq!(framer.held_bytes(), 0);
    frames
}

fn frames() -> Vec<Bytes> {
    let short = all().into_iter().filter(|fixture| fixture.payload.len() < 2000);
    short.enumerate().map(|(index, fixture)| framed((index % 2) as u8, &fixture.payload)).collect()
}

#[test]
fn frames_come_whole_from_single_bytes() {
    let frames = frames();
    let stream = frames.concat();
    assert_eq!(cut(OPEN, stream.chunks(1)), frames);
    assert_eq!(cut(SYNCING, [&stream]), frames);
}

#[test]
fn frames_come_whole_however_the_stream_is_split() {
    let frames: Vec<Bytes> = frames().into_iter().take(4).collect();
    let stream = frames.concat();
    for at in 0..stream.len() {
        assert_eq!(cut(OPEN, [&stream[..at], &stream[at..]]), frames, "{at}");
    }
}

#[test]
fn an_empty_payload_is_a_frame() {
    assert_eq!(cut(GREETING, [[0; 10]]), [Bytes::from_static(&[0; 5]), Bytes::from_static(&[0; 5])]);
}

#[track_caller]
fn check_bad(phase: Phase, bytes: &[u8], reason: u8) {
    let (mut framer, mut buffer) = (Frames::new(), BytesMut::from(bytes));
    assert_eq!(framer.whole(phase, &buffer), None);
    let Framed::Bad(bad) = framer.next(phase, &mut buffer) else { panic!("{bytes:x?} is taken") };
    assert_eq!((bad.reason, bad.fatal, bad.head.len(), buffer.len()), (reason, true, 0, 0));
    buffer.extend_from_slice(&framed(0, &[0x9a, 1, 0]));
    assert_eq!(framer.whole(phase, &buffer), None, "nothing comes after what is fatal");
    assert_eq!(framer.next(phase, &mut buffer), Framed::More);
    assert!(buffer.is_empty());
}

#[test]
fn a_flag_that_means_nothing_is_fatal_at_once() {
    for flag in 2..=255 {
        check_bad(SYNCING, &[flag], Frames::BAD_FLAG);
    }
}

#[test]
fn a_length_above_the_phase_is_fatal_before_anything_more_is_read() {
    for (phase, max) in [(GREETING, 64 << 10), (OPEN, 8 << 20), (SYNCING, 256 << 20), (Phase(9), 256 << 20)] {
        assert_eq!(Frames::payload_bytes_max(phase), max);
        for flag in [IDENTITY, GZIP] {
            let prefix = |length: usize| [&[flag][..], &(length as u32).to_be_bytes()].concat();
            check_bad(phase, &prefix(max + 1), Frames::TOO_LONG);
            check_bad(phase, &prefix(u32::MAX as usize), Frames::TOO_LONG);
            assert_eq!(Frames::new().next(phase, &mut BytesMut::from(&prefix(max)[..])), Framed::More);
        }
    }
}

#[test]
fn a_length_above_the_kind_is_fatal_with_its_first_bytes() {
    let begin = |flag, kind: Kind, length: usize| {
        let key = pack(kind, &[1; 300], 0, 0)[PREFIX_BYTES..PREFIX_BYTES + 2].to_vec();
        [&[flag][..], &(length as u32).to_be_bytes(), &key].concat()
    };
    for kind in Kind::ALL.iter().filter(|kind| kind.bytes_max() < OPEN_BYTES_MAX) {
        let whole = pack(*kind, &vec![0; kind.bytes_max()], u32::MAX, u32::MAX);
        assert_eq!(cut(OPEN, [&whole]), [whole]);
        check_bad(OPEN, &begin(IDENTITY, *kind, kind.bytes_max() + 100), Frames::TOO_LONG_FOR_KIND);
        let packed = begin(GZIP, *kind, kind.bytes_max() + 100);
        assert_eq!(Frames::new().next(OPEN, &mut BytesMut::from(&packed[..])), Framed::More);
    }
}

proptest! {
    #[test]
    fn garbage_is_refused_or_waited_for(bytes in proptest::collection::vec(any::<u8>(), 0..200), phase in 0..4_u8) {
        let (mut framer, mut buffer) = (Frames::new(), BytesMut::from(&bytes[..]));
        loop {
            let whole = framer.whole(Phase(phase), &buffer);
            match framer.next(Phase(phase), &mut buffer) {
                Framed::Frame(frame) => {
                    prop_assert_eq!(whole, Some(frame.len()));
                    let _ = unpack(polypeer_engine::Frame::from(&frame));
                }
                _ => break,
            }
        }
    }
}
