//! How peers are asked: reference nodes on fresh streams, Rust nodes on one, and all that can go wrong.

use crate::stage::{Stage, query, reply};
use bytes::Bytes;
use polypeer_engine::kit::chain::Hash;
use polypeer_engine::{ChannelEnd, ChannelId, ConnectionId, Direction};
use polypeer_mina::rpc::{
    ASKS_MAX, AskId, Failure, Fault, Message, Method, NOTHING, NotAsked, Output, PIECE_BYTES, Question, Reply,
    RpcError, heartbeat, write_hashes, write_menu,
};
use std::time::Duration;

fn menu(methods: &[Method]) -> Bytes {
    write_menu(methods.iter().map(|method| (method.tag(), method.version())))
}

fn ask(stage: &mut Stage, connection: ConnectionId, question: Question) -> Result<AskId, NotAsked> {
    let mut asked = Err(NotAsked::NoConnection);
    stage.tell(|rpc, now, out| asked = rpc.ask(now, connection, question, out));
    asked
}

/// Asks a reference node with this menu: what was asked, the stream, and the id of the question on it.
fn ask_with_menu(stage: &mut Stage, question: Question, has: &[Method]) -> (ConnectionId, AskId, ChannelId) {
    let connection = stage.meet("reference");
    let asked = ask(stage, connection, question).expect("there is room");
    assert_eq!(stage.outputs(), [Output::Open { connection }]);
    let channel = stage.open(connection, Direction::Outbound);
    assert_eq!(stage.sent().last(), Some(&query(Method::Menu, 0, &NOTHING)));
    stage.hear(connection, channel, &reply(0, &menu(has)));
    (connection, asked, channel)
}

#[test]
fn a_reference_node_is_asked_for_its_menu_then_the_question_then_the_stream_ends() {
    let mut stage = Stage::new();
    let has = [Method::BestTip, Method::TransitionChain];
    let (connection, asked, channel) = ask_with_menu(&mut stage, Question::plain(Method::BestTip), &has);
    assert_eq!(stage.sent(), [query(Method::BestTip, 1, &NOTHING)]);
    stage.hear(connection, channel, &heartbeat());
    stage.hear(connection, channel, &reply(1, b"\x01tip"));
    let answer = Some(Bytes::from_static(b"tip"));
    let answered = Output::Answered { connection, ask: asked, method: Method::BestTip, answer };
    assert_eq!(stage.outputs(), [answered, Output::Finish { connection, channel }]);
    assert_eq!(stage.rpc.answers(connection, Method::TransitionChain), Some(true));

    // The menu is known now: the next is asked at once, on a stream of its own.
    ask(&mut stage, connection, Question::blocks(&[Hash([4; 32])])).expect("there is room");
    stage.open(connection, Direction::Outbound);
    assert_eq!(stage.sent().last(), Some(&query(Method::TransitionChain, 0, &write_hashes(&[Hash([4; 32])]))));
    let knowledge = ask(&mut stage, connection, Question::plain(Method::TransitionKnowledge));
    assert_eq!(knowledge, Err(NotAsked::Unsupported));
}

#[test]
fn what_is_not_on_the_menu_is_not_asked() {
    let mut stage = Stage::new();
    let (connection, asked, channel) =
        ask_with_menu(&mut stage, Question::plain(Method::BestTip), &[Method::TransitionChain]);
    let (method, failure) = (Method::BestTip, Failure::Unsupported);
    let failed = Output::Failed { connection, ask: asked, method, failure };
    assert_eq!(stage.outputs(), [failed, Output::Finish { connection, channel }]);
}

#[test]
fn who_has_no_menu_is_asked_what_every_node_answers() {
    let mut stage = Stage::new();
    let connection = stage.meet("js-libp2p");
    ask(&mut stage, connection, Question::plain(Method::BestTip)).expect("there is room");
    let channel = stage.open(connection, Direction::Outbound);
    stage.outputs();
    let unknown = RpcError::Unimplemented { tag: Method::Menu.tag().as_bytes(), version: 1 };
    stage.hear(connection, channel, &Message::Reply(Reply { id: 0, result: Err(unknown) }).encode());
    assert_eq!(stage.sent(), [query(Method::BestTip, 1, &NOTHING)]);
}

#[test]
fn a_rust_node_is_asked_one_question_at_a_time_on_one_stream() {
    let mut stage = Stage::new();
    let connection = stage.meet("openmina");
    let first = ask(&mut stage, connection, Question::plain(Method::BestTip)).expect("there is room");
    let second = ask(&mut stage, connection, Question::blocks(&[Hash([4; 32])])).expect("there is room");
    assert_eq!(stage.outputs(), [Output::Open { connection }]);
    let channel = stage.open(connection, Direction::Outbound);
    assert_eq!(stage.sent().last(), Some(&query(Method::BestTip, 0, &NOTHING)), "without a menu");
    stage.hear(connection, channel, &reply(0, &NOTHING));
    let answered = Output::Answered { connection, ask: first, method: Method::BestTip, answer: None };
    let frame = query(Method::TransitionChain, 1, &write_hashes(&[Hash([4; 32])]));
    assert_eq!(stage.outputs(), [answered, Output::Send { connection, channel, frame }]);
    stage.hear(connection, channel, &reply(1, b"\x01\x00"));
    let answer = Some(NOTHING);
    let answered = Output::Answered { connection, ask: second, method: Method::TransitionChain, answer };
    assert_eq!(stage.outputs(), [answered], "the stream stays");

    let unsupported = [Question::plain(Method::Ancestry), Question::blocks(&[Hash([4; 32]), Hash([5; 32])])];
    for question in unsupported {
        assert_eq!(ask(&mut stage, connection, question), Err(NotAsked::Unsupported));
    }
}

#[test]
fn a_rust_nodes_stream_is_not_reset_when_it_is_late() {
    let mut stage = Stage::new();
    let connection = stage.meet("openmina");
    let asked = ask(&mut stage, connection, Question::plain(Method::BestTip)).expect("there is room");
    let channel = stage.open(connection, Direction::Outbound);
    stage.outputs();
    stage.pass(Duration::from_secs(15));
    stage.wake();
    let failed = Output::Failed { connection, ask: asked, method: Method::BestTip, failure: Failure::TimedOut };
    assert_eq!(stage.outputs(), [failed, Output::Finish { connection, channel }]);
    // What comes late is nothing.
    stage.hear(connection, channel, &reply(0, &NOTHING));
    assert_eq!(stage.outputs(), []);
}

#[test]
fn every_trouble_fails_the_question_and_says_so_once() {
    type Trouble = fn(&mut Stage, ConnectionId, ChannelId);
    let troubles: [(&str, Trouble, Failure); 9] = [
        (
            "no answer",
            |stage, _, _| {
                stage.pass(Duration::from_secs(15));
                stage.wake();
            },
            Failure::TimedOut,
        ),
        ("reset", |stage, connection, channel| stage.close(connection, channel, ChannelEnd::Reset), Failure::Closed),
        (
            "finish",
            |stage, connection, channel| stage.close(connection, channel, ChannelEnd::Finished),
            Failure::Closed,
        ),
        (
            "disconnect",
            |stage, connection, _| stage.tell(|rpc, _, out| rpc.on_disconnected(connection, out)),
            Failure::Closed,
        ),
        (
            "error",
            |stage, connection, channel| {
                let result = Err(RpcError::Uncaught(b"boom"));
                stage.hear(connection, channel, &Message::Reply(Reply { id: 1, result }).encode());
            },
            Failure::Error,
        ),
        (
            "unknown",
            |stage, connection, channel| {
                let result = Err(RpcError::Unimplemented { tag: b"get_best_tip", version: 2 });
                stage.hear(connection, channel, &Message::Reply(Reply { id: 1, result }).encode());
            },
            Failure::Unsupported,
        ),
        (
            "another id",
            |stage, connection, channel| stage.hear(connection, channel, &reply(2, &NOTHING)),
            Failure::Fault(Fault::UnknownId),
        ),
        (
            "the menu's id",
            |stage, connection, channel| stage.hear(connection, channel, &reply(0, &NOTHING)),
            Failure::Fault(Fault::UnknownId),
        ),
        (
            "too long",
            |stage, connection, channel| stage.hear(connection, channel, &(33_u64 << 20).to_le_bytes()),
            Failure::Fault(Fault::TooLong),
        ),
    ];
    for (name, trouble, failure) in troubles {
        let mut stage = Stage::new();
        let (connection, asked, channel) =
            ask_with_menu(&mut stage, Question::plain(Method::BestTip), &[Method::BestTip]);
        stage.outputs();
        trouble(&mut stage, connection, channel);
        let outputs = stage.outputs();
        let failed = Output::Failed { connection, ask: asked, method: Method::BestTip, failure };
        assert_eq!(outputs.iter().filter(|output| **output == failed).count(), 1, "{name}: {outputs:?}");
        // Whatever comes on that stream now is nothing.
        stage.hear(connection, channel, &reply(1, &NOTHING));
        assert_eq!(stage.outputs(), [], "{name}");
    }
}

#[test]
fn an_answer_that_is_no_option_is_a_fault() {
    for payload in [&b""[..], b"\x02", b"\x00\x00"] {
        let mut stage = Stage::new();
        let (connection, _, channel) = ask_with_menu(&mut stage, Question::plain(Method::BestTip), &[Method::BestTip]);
        stage.hear(connection, channel, &reply(1, payload));
        assert!(matches!(stage.faults()[..], [Fault::Answer(_)]), "{payload:?}");
    }
}

#[test]
fn a_menu_that_is_none_is_a_fault() {
    let mut stage = Stage::new();
    let connection = stage.meet("reference");
    ask(&mut stage, connection, Question::plain(Method::BestTip)).expect("there is room");
    let channel = stage.open(connection, Direction::Outbound);
    stage.outputs();
    stage.hear(connection, channel, &reply(0, b"\x05\x01"));
    assert!(matches!(stage.faults()[..], [Fault::Answer(_)]));
}

#[test]
fn an_answer_on_a_stream_of_theirs_is_to_nothing() {
    let mut stage = Stage::new();
    let connection = stage.meet("reference");
    let channel = stage.open(connection, Direction::Inbound);
    stage.outputs();
    stage.hear(connection, channel, &reply(0, &NOTHING));
    let fault = Output::Fault { connection, fault: Fault::UnknownId };
    assert_eq!(stage.outputs(), [Output::Reset { connection, channel }, fault]);
}

#[test]
fn a_refused_stream_fails_who_waits_for_it() {
    let mut stage = Stage::new();
    for (agent, failures) in [("reference", 1), ("openmina", 2)] {
        let connection = stage.meet(agent);
        ask(&mut stage, connection, Question::plain(Method::BestTip)).expect("there is room");
        ask(&mut stage, connection, Question::blocks(&[Hash([4; 32])])).expect("there is room");
        stage.outputs();
        stage.tell(|rpc, _, out| rpc.on_refused(connection, out));
        assert_eq!(stage.outputs().len(), failures, "{agent}");
    }
}

#[test]
fn a_peer_is_asked_no_more_than_it_allows() {
    let mut stage = Stage::new();
    let connection = stage.meet("reference");
    let limits = [
        (Method::BestTip, 3),
        (Method::Ancestry, 5),
        (Method::TransitionChainProof, 3),
        (Method::TransitionKnowledge, 1),
        (Method::InitialPeers, 1),
    ];
    for (method, per_minute) in limits {
        // However they are spread over two minutes, no minute has more.
        let mut times = Vec::new();
        for _ in 0..240 {
            stage.pass(Duration::from_millis(500));
            if let Ok(asked) = ask(&mut stage, connection, Question::plain(method)) {
                times.push(stage.now);
                let _ = asked;
            }
            stage.wake();
            stage.outputs();
        }
        assert!(times.len() > per_minute, "{method:?}");
        for (at, first) in times.iter().enumerate() {
            let within = times[at..].iter().filter(|time| time.since(*first) < Duration::from_secs(60)).count();
            assert!(within <= per_minute, "{method:?}: {within}");
        }
    }
    // A batch costs as much as it names blocks.
    let twenty: Vec<Hash> = (0..20).map(|number| Hash([number; 32])).collect();
    ask(&mut stage, connection, Question::blocks(&twenty)).expect("it has rested");
    assert_eq!(ask(&mut stage, connection, Question::blocks(&twenty[..1])), Err(NotAsked::NotYet));
}

#[test]
fn questions_under_way_have_a_limit() {
    let mut stage = Stage::new();
    let mut asked = 0;
    for _ in 0..40 {
        let connection = stage.meet("reference");
        for method in Method::all().chain(Method::all()) {
            asked += usize::from(ask(&mut stage, connection, Question::of_host(method, NOTHING)).is_ok());
        }
    }
    assert_eq!(asked, ASKS_MAX);
}

#[test]
fn a_staged_ledger_comes_in_pieces_and_what_is_missing_of_it_fails() {
    let method = Method::StagedLedger;
    let value: Vec<u8> = (0..3 * PIECE_BYTES + 100).map(|at| at as u8).collect();
    let answer = reply(1, &[&[1], &value[..]].concat());
    for cut in [0, 1, answer.len() / 2] {
        let mut stage = Stage::new();
        let question = Question::of_host(method, Bytes::from_static(&[7; 32]));
        let (connection, asked, channel) = ask_with_menu(&mut stage, question, &[method]);
        stage.outputs();
        for segment in answer[..answer.len() - cut].chunks(300_000) {
            stage.hear(connection, channel, segment);
        }
        let mut outputs = stage.outputs();
        if cut == 0 {
            let finish = outputs.pop();
            assert_eq!(finish, Some(Output::Finish { connection, channel }));
            assert_eq!(outputs.pop(), Some(Output::Answered { connection, ask: asked, method, answer: None }));
        }
        let mut came = Vec::new();
        for output in outputs {
            let Output::Piece { piece, .. } = output else { panic!("{output:?}") };
            assert!(piece.len() <= PIECE_BYTES);
            came.extend_from_slice(&piece);
        }
        assert_eq!(came[0], 1);
        assert!(value.starts_with(&came[1..]));
        assert_eq!(came.len() == value.len() + 1, cut == 0);
        if cut > 0 {
            stage.pass(Duration::from_secs(180));
            stage.wake();
            let failed = Output::Failed { connection, ask: asked, method, failure: Failure::TimedOut };
            assert!(stage.outputs().contains(&failed));
        }
    }
}

#[test]
fn pieces_of_something_else_are_a_fault() {
    let method = Method::StagedLedger;
    let wrong: [Bytes; 3] = [
        // Another id, a question, and a length that is not the message's.
        reply(2, &vec![1; 2 * PIECE_BYTES]),
        query(Method::BestTip, 1, &vec![1; 2 * PIECE_BYTES]),
        {
            let mut frame = reply(1, &vec![1; 2 * PIECE_BYTES]).to_vec();
            frame[12] ^= 1;
            frame.into()
        },
    ];
    for frame in wrong {
        let mut stage = Stage::new();
        let question = Question::of_host(method, Bytes::from_static(&[7; 32]));
        let (connection, _, channel) = ask_with_menu(&mut stage, question, &[method]);
        stage.hear(connection, channel, &frame);
        assert_eq!(stage.faults().len(), 1, "{:?}", &frame[..20]);
    }
}
