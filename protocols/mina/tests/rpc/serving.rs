//! What is answered (Mina spec, section 11, rows 20, 21 and 23).

use crate::stage::{Stage, file, query};
use bytes::Bytes;
use polypeer_engine::kit::chain::Hash;
use polypeer_engine::{ChannelEnd, Direction};
use polypeer_mina::rpc::{
    Config, Fault, Message, Method, NOTHING, Output, Reply, RpcError, SERVING_MAX, Wanted, read_menu, write_hash,
    write_hashes,
};
use std::time::Duration;

fn hashes(count: u8) -> Vec<Hash> {
    (0..count).map(|number| Hash([number; 32])).collect()
}

// The result of the one answer among some outputs.
fn error(outputs: &[Output]) -> Option<Vec<u8>> {
    let sent = outputs.iter().find_map(|output| match output {
        Output::Send { frame, .. } => Some(frame),
        _ => None,
    });
    match Message::decode(sent?) {
        Ok(Message::Reply(Reply { result: Err(RpcError::Uncaught(text)), .. })) => Some(text.to_vec()),
        _ => None,
    }
}

#[test]
fn the_menu_lists_exactly_what_is_answered() {
    for serves_ledgers in [false, true] {
        let mut stage = Stage::with(Config { serves_ledgers });
        let connection = stage.meet("reference");
        let outputs = stage.asked(connection, &query(Method::Menu, 9, &NOTHING));
        let [Output::Send { frame, .. }] = &outputs[..] else { panic!("{outputs:?}") };
        let Ok(Message::Reply(Reply { id: 9, result: Ok(menu) })) = Message::decode(frame) else { panic!("{frame:?}") };
        let menu = read_menu(menu).expect("a menu");
        for method in Method::all() {
            let is_listed = menu.contains(&(method.tag().as_bytes(), method.version()));
            let outputs = stage.asked(connection, &query(method, 1, b"\xff"));
            let unknown = RpcError::Unimplemented { tag: method.tag().as_bytes(), version: method.version() };
            let unknown = Message::Reply(Reply { id: 1, result: Err(unknown) }).encode();
            let is_unknown =
                outputs.iter().any(|output| matches!(output, Output::Send { frame, .. } if *frame == unknown));
            assert_eq!(is_listed, !is_unknown, "{method:?}");
        }
        assert_eq!(menu.len(), if serves_ledgers { 10 } else { 8 });
    }
}

#[test]
fn a_method_of_the_menu_is_answered_on_the_same_stream_which_then_ends() {
    let mut stage = Stage::new();
    let connection = stage.meet("reference");
    let channel = stage.open(connection, Direction::Inbound);
    stage.outputs();
    stage.hear(connection, channel, &query(Method::Menu, 0, &NOTHING));
    assert_eq!(stage.sent().len(), 1);
    stage.hear(connection, channel, &query(Method::BestTip, 1, &NOTHING));
    let outputs = stage.outputs();
    let [Output::Asked { serve, wanted: Wanted::BestTip, .. }] = outputs[..] else { panic!("{outputs:?}") };
    // The peer's end of its half does not take the answer from it.
    stage.close(connection, channel, ChannelEnd::Finished);
    assert_eq!(stage.outputs(), []);
    stage.tell(|rpc, now, out| rpc.answer(now, serve, None, out));
    let none = Message::Reply(Reply { id: 1, result: Ok(&NOTHING) }).encode();
    let sent = Output::Send { connection, channel, frame: none };
    assert_eq!(stage.outputs(), [sent, Output::Finish { connection, channel }]);
    stage.tell(|rpc, now, out| rpc.answer(now, serve, None, out));
    assert_eq!(stage.outputs(), [], "a question is answered once");
}

#[test]
fn every_shape_of_answer_has_its_form() {
    let value = Bytes::from_static(b"value");
    let cases: [(Method, Bytes, &[u8], &[u8]); 6] = [
        (Method::BestTip, NOTHING, b"\x01value", b"\x00"),
        (Method::TransitionChain, write_hashes(&hashes(2)), b"\x01value", b"\x00"),
        (Method::TransitionChainProof, write_hash(&Hash([7; 32])), b"\x01value", b"\x00"),
        (Method::TransitionKnowledge, NOTHING, b"value", b"\x00"),
        (Method::InitialPeers, NOTHING, b"value", b"\x00"),
        (Method::StagedLedger, write_hash(&Hash([7; 32])), b"\x01value", b"\x00"),
    ];
    for (method, payload, some, none) in cases {
        for (answer, expected) in [(Some(&value), some), (None, none)] {
            let mut stage = Stage::with(Config { serves_ledgers: true });
            let connection = stage.meet("reference");
            let outputs = stage.asked(connection, &query(method, 3, &payload));
            let [Output::Asked { serve, .. }] = outputs[..] else { panic!("{method:?}: {outputs:?}") };
            stage.tell(|rpc, now, out| rpc.answer(now, serve, answer, out));
            let sent = stage.sent();
            assert_eq!(
                Message::decode(&sent[0]),
                Ok(Message::Reply(Reply { id: 3, result: Ok(expected) })),
                "{method:?}"
            );
        }
    }
}

#[test]
fn a_ledgers_question_passes_through_as_it_is_and_is_refused_with_a_text() {
    let mut stage = Stage::with(Config { serves_ledgers: true });
    let connection = stage.meet("reference");
    // The captured question, whose address is of depth 27: in today's format the hash has no version in front.
    let payload = [&[9; 32][..], &[0, 27, 4, 0, 0, 4, 0x60]].concat();
    let outputs = stage.asked(connection, &query(Method::SyncLedger, 3, &payload));
    let [Output::Asked { serve, wanted, .. }] = &outputs[..] else { panic!("{outputs:?}") };
    assert_eq!(*wanted, Wanted::Ledger { method: Method::SyncLedger, payload: payload.clone().into() });
    let serve = *serve;
    stage.tell(|rpc, now, out| rpc.answer(now, serve, None, out));
    let sent = stage.sent();
    let Ok(Message::Reply(Reply { result: Ok(refusal), .. })) = Message::decode(&sent[0]) else { panic!("{sent:?}") };
    assert!(refusal.starts_with(&[1]) && refusal.len() > 10);
    // A deeper address than any ledger has, or one whose bits do not fit, is none.
    for bad in [[0, 36, 5, 0, 0, 4, 0x60].as_slice(), &[0, 27, 3, 0, 0, 4], &[3], &[2, 0]] {
        let outputs = stage.asked(connection, &query(Method::SyncLedger, 3, &[&[9; 32], bad].concat()));
        assert!(outputs.iter().any(|it| matches!(it, Output::Fault { fault: Fault::Question(_), .. })), "{bad:?}");
    }
}

#[test]
fn an_unknown_method_or_version_is_answered_with_error_4_and_the_stream_stays() {
    let mut stage = Stage::new();
    let connection = stage.meet("reference");
    let channel = stage.open(connection, Direction::Inbound);
    stage.outputs();
    let best_tip = Method::BestTip.tag().as_bytes();
    for (tag, version) in [(&b"get_everything"[..], 1), (best_tip, 1), (best_tip, -1), (b"", 0), (b"GET_BEST_TIP", 2)] {
        let frame = polypeer_mina::rpc::Query { tag, version, id: 77, payload: b"whatever" }.encode();
        stage.hear(connection, channel, &frame);
        let unknown = Message::Reply(Reply { id: 77, result: Err(RpcError::Unimplemented { tag, version }) }).encode();
        assert_eq!(stage.outputs(), [Output::Send { connection, channel, frame: unknown }]);
    }
    stage.hear(connection, channel, &query(Method::Menu, 78, &NOTHING));
    assert_eq!(stage.sent().len(), 1);
}

#[test]
fn twenty_hashes_are_served_and_twenty_one_refused() {
    let mut stage = Stage::new();
    let connection = stage.meet("reference");
    let outputs = stage.asked(connection, &query(Method::TransitionChain, 0, &write_hashes(&hashes(21))));
    assert_eq!(error(&outputs).as_deref(), Some(&b"too many hashes"[..]));
    assert!(outputs.contains(&Output::Fault { connection, fault: Fault::TooManyHashes }));
    let outputs = stage.asked(connection, &query(Method::TransitionChain, 0, &write_hashes(&hashes(20))));
    let [Output::Asked { wanted: Wanted::TransitionChain { hashes: asked }, .. }] = &outputs[..] else {
        panic!("{outputs:?}")
    };
    assert_eq!(*asked, hashes(20));
    // The next second has room for one.
    stage.pass(Duration::from_secs(1));
    let outputs = stage.asked(connection, &query(Method::TransitionChain, 0, &write_hashes(&hashes(2))));
    assert_eq!(error(&outputs).as_deref(), Some(&b"rate limit exceeded"[..]));
}

#[test]
fn a_hundred_questions_in_a_second_are_not_a_hundred_answers() {
    let limits =
        [(Method::BestTip, 3), (Method::InitialPeers, 1), (Method::TransitionKnowledge, 1), (Method::BanNotify, 1)];
    for (method, served) in limits {
        let mut stage = Stage::new();
        let connection = stage.meet("reference");
        let channel = stage.open(connection, Direction::Inbound);
        stage.outputs();
        let payload = if method == Method::BanNotify { Bytes::from_static(&[0; 8]) } else { NOTHING };
        for id in 0..100 {
            stage.hear(connection, channel, &query(method, id, &payload));
        }
        let outputs = stage.outputs();
        let refused = outputs.iter().filter(|it| matches!(it, Output::Fault { fault: Fault::TooManyQuestions, .. }));
        assert_eq!(refused.count(), 100 - served, "{method:?}");
        let told = outputs.iter().filter(|it| matches!(it, Output::Asked { .. } | Output::BannedUs { .. })).count();
        assert_eq!(told, served, "{method:?}");
    }
}

#[test]
fn unknown_methods_without_end_are_a_fault() {
    let mut stage = Stage::new();
    let connection = stage.meet("reference");
    let channel = stage.open(connection, Direction::Inbound);
    for id in 0..1_000 {
        let frame = polypeer_mina::rpc::Query { tag: b"x", version: 1, id, payload: &[] }.encode();
        stage.hear(connection, channel, &frame);
    }
    assert!(stage.faults().len() > 900);
}

#[test]
fn questions_that_wait_for_the_host_have_a_limit_and_go_with_the_stream() {
    let mut stage = Stage::with(Config { serves_ledgers: true });
    let connection = stage.meet("reference");
    let channel = stage.open(connection, Direction::Inbound);
    stage.outputs();
    let payload = [&[9; 32][..], &[2]].concat();
    for id in 0..100 {
        stage.hear(connection, channel, &query(Method::SyncLedger, id, &payload));
    }
    let outputs = stage.outputs();
    let serves: Vec<_> = outputs
        .iter()
        .filter_map(|output| match output {
            Output::Asked { serve, .. } => Some(*serve),
            _ => None,
        })
        .collect();
    assert_eq!(serves.len(), SERVING_MAX);
    stage.close(connection, channel, ChannelEnd::Reset);
    stage.outputs();
    stage.tell(|rpc, now, out| rpc.answer(now, serves[0], None, out));
    assert_eq!(stage.outputs(), []);
}

#[test]
fn an_id_that_is_open_may_not_be_used_again() {
    let mut stage = Stage::new();
    let connection = stage.meet("reference");
    let channel = stage.open(connection, Direction::Inbound);
    stage.outputs();
    stage.hear(connection, channel, &query(Method::BestTip, 5, &NOTHING));
    stage.hear(connection, channel, &query(Method::Menu, 5, &NOTHING));
    assert_eq!(stage.faults(), [Fault::RepeatedId]);
}

#[test]
fn a_ban_is_heard_and_answered() {
    let mut stage = Stage::new();
    let connection = stage.meet("reference");
    let outputs = stage.asked(connection, &query(Method::BanNotify, 5, &1_729_191_060.5_f64.to_le_bytes()));
    assert!(outputs.contains(&Output::BannedUs { connection, since: 1_729_191_060 }));
    assert!(outputs.iter().any(|output| matches!(output, Output::Send { .. })));
    stage.pass(Duration::from_secs(60));
    let outputs = stage.asked(connection, &query(Method::BanNotify, 5, &f64::NAN.to_le_bytes()));
    assert!(outputs.contains(&Output::BannedUs { connection, since: 0 }));
}

#[test]
fn an_ancestrys_consensus_state_is_read_and_handed_on() {
    let block = file("v2-current/derived/block-devnet-357934.bin");
    let state = &block[1067..1524];
    let payload = [state, &[8; 32]].concat();
    let mut stage = Stage::new();
    let connection = stage.meet("reference");
    let outputs = stage.asked(connection, &query(Method::Ancestry, 5, &payload));
    let [Output::Asked { wanted: Wanted::Ancestry { consensus_state, hash }, .. }] = &outputs[..] else {
        panic!("{outputs:?}")
    };
    assert_eq!((&consensus_state[..], *hash), (state, Hash([8; 32])));
    let outputs = stage.asked(connection, &query(Method::Ancestry, 5, &payload[1..]));
    assert!(outputs.iter().any(|output| matches!(output, Output::Fault { fault: Fault::Question(_), .. })));
}
