//! Every frame cut short and altered at every byte, and noise.

use crate::stage::{Stage, file, query, reply};
use bytes::Bytes;
use polypeer_engine::{Direction, Random};
use polypeer_mina::rpc::{
    Config, Message, Method, NOTHING, Question, Reply, RpcError, handshake, heartbeat, read_ledger_query, write_hash,
    write_hashes, write_menu,
};
use std::time::Duration;

// One frame of every kind.
fn frames() -> Vec<Bytes> {
    let hash = polypeer_engine::kit::chain::Hash([5; 32]);
    vec![
        handshake(),
        heartbeat(),
        query(Method::Menu, 0, &NOTHING),
        query(Method::BestTip, 1 << 40, &NOTHING),
        query(Method::TransitionChain, 3, &write_hashes(&[hash; 3])),
        query(Method::TransitionChainProof, 300, &write_hash(&hash)),
        query(Method::SyncLedger, 4, &[&hash.0[..], &[0, 27, 4, 0, 0, 4, 0x60]].concat()),
        query(Method::BanNotify, 5, &[0; 8]),
        reply(0, &write_menu([("get_best_tip", 2)].into_iter())),
        reply(1, b"\x01tip"),
        Message::Reply(Reply { id: 1, result: Err(RpcError::Uncaught(b"boom")) }).encode(),
        Message::Reply(Reply { id: 1, result: Err(RpcError::Unimplemented { tag: b"x", version: 300 }) }).encode(),
        Message::Reply(Reply { id: 1, result: Err(RpcError::UnknownId(70_000)) }).encode(),
    ]
}

#[test]
fn no_frame_cut_short_is_a_message() {
    for frame in &frames()[1..] {
        let message = &frame[8..];
        for length in 0..message.len() {
            assert!(Message::read(&message[..length]).is_err(), "{message:?} to {length}");
        }
        assert!(Message::read(&[message, &[0]].concat()).is_err(), "{message:?} and a byte");
    }
}

#[test]
fn altered_frames_never_panic_and_what_is_read_is_written_as_it_was_read() {
    for frame in &frames()[1..] {
        for at in 8..frame.len() {
            for value in 0..=255 {
                let mut altered = frame[8..].to_vec();
                altered[at - 8] = value;
                if let Ok(message) = Message::read(&altered) {
                    let written = message.encode();
                    assert_eq!(Message::decode(&written), Ok(message));
                }
                let _ = read_ledger_query(&altered);
            }
        }
    }
}

#[test]
fn real_captures_cut_and_altered_never_panic() {
    for name in ["get-ancestry-query-95977", "menu-response-40160", "answer-sync-ledger-response-236759"] {
        let bytes = file(&format!("v1-legacy/rpc/{name}.bin"));
        for at in 0..bytes.len() {
            assert!(Message::read(&bytes[..at]).is_err());
            let mut altered = bytes.clone();
            altered[at] ^= 0x80;
            let _ = Message::read(&altered);
        }
    }
}

#[test]
fn altered_and_cut_frames_on_live_streams_do_no_harm() {
    let frames = frames();
    let mut random = Random::new([1; 32]);
    let mut stage = Stage::with(Config { serves_ledgers: true });
    for round in 0..3_000 {
        let connection = stage.meet(if round % 2 == 0 { "openmina" } else { "reference" });
        let opener = if random.below(2) == 0 { Direction::Inbound } else { Direction::Outbound };
        if opener == Direction::Outbound {
            stage.tell(|rpc, now, out| {
                let _ = rpc.ask(now, connection, Question::plain(Method::BestTip), out);
            });
        }
        let channel = stage.open(connection, opener);
        for _ in 0..4 {
            let mut frame = frames[random.below(frames.len())].to_vec();
            let at = random.below(frame.len());
            frame[at] ^= 1 << random.below(8);
            if random.below(4) == 0 {
                frame.truncate(at);
            }
            stage.hear(connection, channel, &frame);
        }
        stage.pass(Duration::from_secs(1));
        stage.wake();
        stage.outputs();
        stage.tell(|rpc, _, out| rpc.on_disconnected(connection, out));
    }
    assert_eq!(stage.rpc.next_wake(), None);
}

#[test]
fn a_stream_without_end_of_heartbeats_costs_nothing_and_empty_messages_end_it() {
    let mut stage = Stage::new();
    let connection = stage.meet("reference");
    let channel = stage.open(connection, Direction::Inbound);
    stage.outputs();
    stage.hear(connection, channel, &heartbeat().repeat(100_000));
    assert_eq!(stage.outputs(), []);
    stage.hear(connection, channel, &[0; 800_000]);
    assert_eq!(stage.faults().len(), 1);
}
