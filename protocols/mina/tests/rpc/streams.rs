//! How a stream begins, lives and ends (Mina spec, section 11, rows 19 and 22).

use crate::stage::{Stage, query};
use polypeer_engine::{ChannelEnd, Direction};
use polypeer_mina::rpc::{Fault, Method, NOTHING, Output, STREAMS_SERVED_MAX, handshake, heartbeat};
use std::time::Duration;

#[test]
fn both_shake_hands_at_once_whoever_opened() {
    for opener in [Direction::Inbound, Direction::Outbound] {
        let mut stage = Stage::new();
        let connection = stage.meet("openmina");
        let channel = stage.open_silently(connection, opener);
        assert_eq!(stage.outputs(), [Output::Send { connection, channel, frame: handshake() }]);
    }
}

#[test]
fn a_handshake_in_single_bytes_with_a_question_behind_it_is_taken() {
    let mut stage = Stage::new();
    let connection = stage.meet("reference");
    let channel = stage.open_silently(connection, Direction::Inbound);
    stage.outputs();
    for byte in [&handshake()[..], &query(Method::Menu, 5, &NOTHING)].concat() {
        stage.hear(connection, channel, &[byte]);
    }
    assert_eq!(stage.sent().len(), 1);
    // All in one segment.
    let channel = stage.open_silently(connection, Direction::Inbound);
    stage.outputs();
    stage.hear(connection, channel, &[&handshake()[..], &query(Method::Menu, 5, &NOTHING)].concat());
    assert_eq!(stage.sent().len(), 1);
}

#[test]
fn a_wrong_handshake_or_anything_before_it_ends_the_stream() {
    let mut magic = handshake().to_vec();
    magic[10] ^= 1;
    let long = 100_000_u64.to_le_bytes();
    for bytes in [&magic[..], &heartbeat(), &query(Method::Menu, 0, &NOTHING), &long] {
        let mut stage = Stage::new();
        let connection = stage.meet("reference");
        let channel = stage.open_silently(connection, Direction::Inbound);
        stage.outputs();
        stage.hear(connection, channel, bytes);
        let fault = Output::Fault { connection, fault: Fault::Handshake };
        assert_eq!(stage.outputs(), [Output::Reset { connection, channel }, fault]);
        stage.hear(connection, channel, &handshake());
        assert_eq!(stage.outputs(), []);
    }
}

#[test]
fn a_second_handshake_is_an_answer_to_nothing() {
    let mut stage = Stage::new();
    let connection = stage.meet("reference");
    let channel = stage.open(connection, Direction::Inbound);
    stage.outputs();
    stage.hear(connection, channel, &handshake());
    assert_eq!(stage.faults().len(), 1);
}

#[test]
fn heartbeats_go_out_every_ten_seconds_and_keep_a_stream() {
    let mut stage = Stage::new();
    let connection = stage.meet("reference");
    let channel = stage.open(connection, Direction::Inbound);
    stage.outputs();
    for _ in 0..60 {
        stage.pass(Duration::from_secs(10));
        assert!(stage.rpc.next_wake().is_some_and(|at| at <= stage.now));
        stage.wake();
        assert_eq!(stage.outputs(), [Output::Send { connection, channel, frame: heartbeat() }]);
        stage.hear(connection, channel, &heartbeat());
    }
}

#[test]
fn two_minutes_of_silence_end_a_stream() {
    let mut stage = Stage::new();
    let connection = stage.meet("reference");
    let channel = stage.open(connection, Direction::Inbound);
    stage.outputs();
    let began = stage.now;
    loop {
        stage.now = stage.rpc.next_wake().expect("a stream that stands");
        stage.wake();
        if stage.outputs().contains(&Output::Reset { connection, channel }) {
            break;
        }
    }
    assert_eq!(stage.now.since(began), Duration::from_secs(120));
    assert_eq!(stage.rpc.next_wake(), None, "nothing is left to be woken for");
}

#[test]
fn a_handshake_that_does_not_come_is_not_waited_for_long() {
    let mut stage = Stage::new();
    let connection = stage.meet("reference");
    let channel = stage.open_silently(connection, Direction::Inbound);
    stage.hear(connection, channel, &handshake()[..9]);
    stage.outputs();
    stage.pass(Duration::from_secs(10));
    stage.wake();
    assert_eq!(stage.outputs(), [Output::Reset { connection, channel }]);
}

#[test]
fn who_opens_streams_without_end_has_a_few() {
    let mut stage = Stage::new();
    let connection = stage.meet("reference");
    for _ in 0..200 {
        stage.open(connection, Direction::Inbound);
    }
    assert_eq!(stage.faults(), vec![Fault::TooManyStreams; 200 - STREAMS_SERVED_MAX]);
    // With the connection all are gone.
    stage.tell(|rpc, _, out| rpc.on_disconnected(connection, out));
    assert_eq!(stage.rpc.next_wake(), None);
}

#[test]
fn a_stream_that_the_peer_finishes_is_finished_too() {
    let mut stage = Stage::new();
    let connection = stage.meet("reference");
    let channel = stage.open(connection, Direction::Inbound);
    stage.outputs();
    stage.close(connection, channel, ChannelEnd::Finished);
    assert_eq!(stage.outputs(), [Output::Finish { connection, channel }]);
    // A reset after that is normal.
    stage.close(connection, channel, ChannelEnd::Reset);
    assert_eq!(stage.outputs(), []);
}
