//! How peers are asked: dialled, a stream, an answer, and everything that can go wrong on the way.

use crate::stage::{Stage, address, config, contact, decode, find, peer};
use polypeer_engine::Direction::{Inbound, Outbound};
use polypeer_engine::{ChannelId, ConnectionId};
use polypeer_mina::kad::{Fault, Kind, LookupId, Message, Outcome, Output};
use std::time::Duration;

/// Looks somebody up with one connected peer to ask: the look-up, the peer's connection and the stream it is asked on.
fn look_up(stage: &mut Stage) -> (LookupId, ConnectionId, ChannelId) {
    let connection = stage.meet(1);
    stage.outputs();
    let mut lookup = None;
    stage.tell(|kad, now, out| lookup = kad.find(now, &peer(900), out));
    assert_eq!(stage.outputs(), [Output::Open { connection }]);
    let channel = stage.open(connection, Outbound);
    let sent = stage.sent();
    assert_eq!(sent, [(connection, channel, find(900))]);
    (lookup.expect("a look-up"), connection, channel)
}

fn outcome(outputs: Vec<Output>) -> Outcome {
    let outcome = |output| match output {
        Output::LookedUp { outcome, .. } => Some(outcome),
        _ => None,
    };
    outputs.into_iter().find_map(outcome).expect("an outcome")
}

fn naming(numbers: &[u64]) -> Message {
    let mut answer = find(900);
    answer.closer = numbers.iter().map(|number| contact(*number)).collect();
    answer
}

#[test]
fn who_is_named_is_dialled_under_its_key_and_asked() {
    let mut stage = Stage::new(config());
    let (_, connection, channel) = look_up(&mut stage);
    stage.say(connection, channel, &naming(&[900]));
    let dial = Output::Dial { peer: peer(900), addresses: vec![address(900)] };
    let outputs = stage.outputs();
    assert!(outputs.contains(&dial), "{outputs:?}");
    let found = Output::Found { peer: peer(900), addresses: vec![address(900)], named_by: connection };
    assert!(outputs.contains(&found));
    assert!(!stage.kad.knows(&peer(900)), "a name is not an answer");

    let named = stage.connect(900);
    assert_eq!(stage.outputs(), [Output::Open { connection: named }]);
    let channel = stage.open(named, Outbound);
    stage.say(named, channel, &naming(&[]));
    let outputs = stage.outputs();
    assert!(outputs.contains(&Output::Release { connection: named }), "it was dialled for a question: {outputs:?}");
    let outcome = outcome(outputs);
    assert_eq!((outcome.nearest[0].peer, outcome.answers), (peer(900), 2));
    assert!(stage.kad.knows(&peer(900)));
}

#[test]
fn a_stream_that_brought_an_answer_is_used_again_and_ends_when_idle() {
    let mut stage = Stage::new(config());
    let (_, connection, channel) = look_up(&mut stage);
    stage.say(connection, channel, &naming(&[]));
    stage.outputs();
    stage.tell(|kad, now, out| {
        kad.find(now, &peer(901), out);
    });
    assert_eq!(stage.sent(), [(connection, channel, find(901))]);
    stage.say(connection, channel, &naming(&[]));
    stage.outputs();
    stage.pass(Duration::from_secs(30));
    stage.wake();
    assert!(stage.outputs().contains(&Output::Finish { connection, channel }));
}

#[test]
fn a_question_on_a_stream_that_was_about_to_end_goes_out_again() {
    let mut stage = Stage::new(config());
    let (_, connection, channel) = look_up(&mut stage);
    stage.say(connection, channel, &naming(&[]));
    stage.tell(|kad, now, out| {
        kad.find(now, &peer(901), out);
    });
    stage.outputs();
    stage.tell(|kad, now, out| kad.on_closed(now, connection, channel, out));
    assert!(stage.outputs().contains(&Output::Open { connection }));
    let channel = stage.open(connection, Outbound);
    assert_eq!(stage.sent(), [(connection, channel, find(901))]);
    // A second time it is the peer's.
    stage.tell(|kad, now, out| kad.on_closed(now, connection, channel, out));
    assert_eq!(outcome(stage.outputs()).answers, 0);
}

#[test]
fn silence_refusal_and_the_end_of_a_connection_each_end_a_question() {
    type Trouble = fn(&mut Stage, ConnectionId, ChannelId);
    let troubles: [(&str, Trouble); 4] = [
        ("silence", |stage, _, _| {
            stage.pass(Duration::from_secs(10));
            stage.wake();
        }),
        ("reset", |stage, connection, channel| {
            stage.tell(|kad, now, out| kad.on_closed(now, connection, channel, out))
        }),
        ("disconnect", |stage, connection, _| stage.tell(|kad, now, out| kad.on_disconnected(now, connection, out))),
        ("garbage", |stage, connection, channel| stage.hear(connection, channel, &[2, 0x08, 0x09])),
    ];
    for (name, trouble) in troubles {
        let mut stage = Stage::new(config());
        let (_, connection, channel) = look_up(&mut stage);
        trouble(&mut stage, connection, channel);
        let outcome = outcome(stage.outputs());
        assert_eq!((outcome.answers, outcome.nearest.len()), (0, 0), "{name}");
    }
}

#[test]
fn a_peer_that_cannot_be_reached_or_refuses_is_passed_over() {
    let mut stage = Stage::new(config());
    let (_, connection, channel) = look_up(&mut stage);
    stage.say(connection, channel, &naming(&[2, 3]));
    stage.outputs();
    stage.tell(|kad, now, out| kad.on_dial_failed(now, &peer(2), out));
    let three = stage.connect(3);
    stage.outputs();
    stage.tell(|kad, now, out| kad.on_refused(now, three, out));
    assert_eq!(outcome(stage.outputs()).answers, 1);
}

#[test]
fn an_answer_that_nobody_asked_for_or_of_another_kind_is_a_fault() {
    let mut stage = Stage::new(config());
    let (_, connection, channel) = look_up(&mut stage);
    stage.say(connection, channel, &Message::about(Kind::GetProviders, &[]));
    let outputs = stage.outputs();
    assert_eq!(crate::stage::faults(&outputs), [Fault::WrongKind]);
    assert!(outputs.contains(&Output::Reset { connection, channel }));

    let (_, connection, channel) = look_up(&mut stage);
    stage.say(connection, channel, &naming(&[]));
    assert_eq!(stage.faults(), []);
    stage.say(connection, channel, &naming(&[]));
    assert_eq!(stage.faults(), [Fault::Unasked]);
    stage.say(connection, channel, &naming(&[]));
    assert_eq!(stage.outputs(), [], "what comes on a stream that was broken off is nothing");
}

#[test]
fn requests_are_answered_on_the_peers_streams_only() {
    let mut stage = Stage::new(config());
    let (_, connection, _) = look_up(&mut stage);
    let theirs = stage.open(connection, Inbound);
    stage.outputs();
    stage.say(connection, theirs, &find(5));
    let sent: Vec<_> = stage.outputs();
    let [Output::Send { channel, frame, .. }] = &sent[..] else { panic!("{sent:?}") };
    assert_eq!((*channel, decode(frame).kind), (theirs, Kind::FindNode));
}
