//! How bytes become messages, whatever the segments, and how much may come when.

use bytes::BytesMut;
use polypeer_engine::{Framed, Framer as _, Phase};
use polypeer_mina::rpc::{
    BLOCKS, BLOCKS_BYTES_MAX, Cut, EARLY, EARLY_BYTES_MAX, LEDGER_BYTES_MAX, LEDGERS, LIST_BYTES_MAX, LISTS,
    PIECE_BYTES, QUESTION_BYTES_MAX, QUESTIONS, STAGED, STAGED_BYTES_MAX, handshake,
};

fn framed(length: usize) -> Vec<u8> {
    [&(length as u64).to_le_bytes()[..], &vec![7; length]].concat()
}

fn cut(phase: Phase, bytes: &[u8], segment: usize) -> Vec<usize> {
    let (mut framer, mut buffer, mut lengths) = (Cut::default(), BytesMut::new(), Vec::new());
    let mut read = |buffer: &mut BytesMut| loop {
        match framer.next(phase, buffer) {
            Framed::Frame(frame) => lengths.push(frame.len()),
            Framed::More => return true,
            Framed::Bad(_) => return false,
        }
    };
    for part in bytes.chunks(segment) {
        buffer.extend_from_slice(part);
        if !read(&mut buffer) {
            break;
        }
    }
    lengths
}

#[test]
fn frames_are_the_same_however_the_stream_is_split() {
    let stream = [&handshake()[..], &framed(1), &framed(3_000), &framed(0), &framed(17)].concat();
    for segment in [1, 2, 7, 8, 9, 1_000, stream.len()] {
        assert_eq!(cut(QUESTIONS, &stream, segment), [15, 9, 3_008, 8, 25], "{segment}");
    }
}

#[test]
fn each_phase_has_its_limit_and_the_length_alone_is_enough_to_refuse() {
    let limits = [
        (EARLY, EARLY_BYTES_MAX),
        (QUESTIONS, QUESTION_BYTES_MAX),
        (LISTS, LIST_BYTES_MAX),
        (LEDGERS, LEDGER_BYTES_MAX),
        (BLOCKS, BLOCKS_BYTES_MAX),
        (STAGED, STAGED_BYTES_MAX),
    ];
    for (phase, most) in limits {
        let next = |length: u64| Cut::default().next(phase, &mut BytesMut::from(&length.to_le_bytes()[..]));
        assert_eq!(next(most as u64), Framed::More);
        for length in [most as u64 + 1, u64::MAX, 1 << 63] {
            assert!(matches!(next(length), Framed::Bad(bad) if bad.fatal), "{phase:?} {length}");
        }
    }
}

#[test]
fn a_question_behind_the_handshake_need_not_wait_for_the_phase() {
    let stream = [&handshake()[..], &framed(500)].concat();
    assert_eq!(cut(EARLY, &stream, stream.len()), [15, 508]);
    assert_eq!(cut(EARLY, &framed(500), 600), [0; 0]);
}

#[test]
fn a_staged_ledger_comes_in_pieces_of_one_size() {
    let length = 3 * PIECE_BYTES + 5;
    let stream = [framed(length), framed(1)].concat();
    for segment in [PIECE_BYTES / 3, 100_000, stream.len()] {
        let lengths = cut(STAGED, &stream, segment);
        assert_eq!(lengths, [PIECE_BYTES, PIECE_BYTES, PIECE_BYTES, 13, 9], "{segment}");
    }
    // Elsewhere it comes whole, or not at all.
    assert_eq!(cut(BLOCKS, &stream, stream.len()), [length + 8, 9]);
    assert_eq!(cut(QUESTIONS, &stream, stream.len()), [0; 0]);
}

#[test]
fn what_is_whole_is_what_would_be_cut() {
    let stream = [&handshake()[..], &framed(100)].concat();
    let mut framer = Cut::default();
    let mut buffer = BytesMut::from(&stream[..]);
    assert_eq!(framer.whole(QUESTIONS, &buffer), None, "the first changes what follows");
    framer.next(QUESTIONS, &mut buffer);
    assert_eq!(framer.whole(QUESTIONS, &buffer), Some(108));
    assert_eq!(framer.whole(QUESTIONS, &buffer[..107]), None);
}
