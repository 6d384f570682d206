//! What there is, and who gets it by asking: IHAVE and IWANT.

use crate::stage::{Said, Stage, TOPIC, connection, framed, joined, settings, signed};
use polypeer_mina::mesh::frame;
use polypeer_mina::mesh::limits::{IDS_ASKED_MAX, IHAVES_MAX, PENDING_MAX};
use polypeer_mina::mesh::{BLOCK, CONSENSUS, Class, MessageId, Output, Verdict};
use std::time::Duration;

fn id(number: u64) -> MessageId {
    let mut id = [9; 32];
    id[..8].copy_from_slice(&number.to_be_bytes());
    MessageId(id)
}

fn ihave(ids: impl Iterator<Item = u64>) -> bytes::Bytes {
    frame::ihave(CONSENSUS, &ids.map(id).collect::<Vec<_>>())
}

// How many are told of a message by gossip in each of the next heartbeats.
fn told(stage: &mut Stage, name: MessageId, beats: usize) -> Vec<usize> {
    let mut told = Vec::new();
    for _ in 0..beats {
        stage.out.clear();
        stage.beats(1);
        let is_told = |output: &&Output| match output {
            Output::Send { frame, class: Class::Gossip, .. } => {
                crate::stage::read(frame).contains(&Said::IHave([name].into()))
            }
            _ => false,
        };
        told.push(stage.out.iter().filter(is_told).count());
    }
    told
}

#[test]
fn a_message_is_told_of_for_three_heartbeats_to_six_outside_the_mesh() {
    let mut stage = Stage::new();
    stage.crowd(20);
    let name = stage.spread(1, b"payload");
    assert_eq!(told(&mut stage, name, 5), [6, 6, 6, 0, 0]);
}

#[test]
fn of_many_others_a_quarter_is_told() {
    let mut stage = Stage::new();
    stage.crowd(46);
    let name = stage.spread(1, b"payload");
    assert_eq!(told(&mut stage, name, 1), [(46 - 6) / 4]);
}

#[test]
fn nobody_in_the_mesh_is_told() {
    let mut stage = Stage::new();
    stage.crowd(6);
    let name = stage.spread(1, b"payload");
    assert_eq!(told(&mut stage, name, 3), [0, 0, 0]);
}

#[test]
fn more_than_fit_are_told_of_in_different_parts() {
    let mut stage = Stage::with(settings(|settings| settings.ihave_ids = 10));
    stage.crowd(20);
    let names: Vec<MessageId> = (0..30_u64).map(|number| stage.spread(1 + number % 6, &number.to_be_bytes())).collect();
    stage.beats(1);
    let mut all = Vec::new();
    for output in stage.outputs() {
        if let Output::Send { frame, class: Class::Gossip, .. } = output
            && let [Said::IHave(ids)] = &crate::stage::read(&frame)[..]
        {
            assert!(ids.len() == 10 && ids.iter().all(|id| names.contains(id)));
            all.extend(ids.clone());
        }
    }
    all.sort_unstable();
    all.dedup();
    assert!(all.len() > 10, "all were told of the same");
}

#[test]
fn a_message_can_be_asked_for_through_five_heartbeats_three_times_by_each() {
    let mut stage = Stage::new();
    stage.crowd(20);
    let name = stage.spread(1, b"payload");
    let ask = frame::iwant(&[name]);
    for peer in [7, 8] {
        for _ in 0..5 {
            stage.say(connection(peer), &ask);
        }
    }
    let sent = stage.sent(b"payload");
    assert_eq!([7, 8].map(|peer| sent.iter().filter(|to| **to == connection(peer)).count()), [3, 3]);
    stage.beats(4);
    stage.out.clear();
    stage.say(connection(9), &ask);
    assert_eq!(stage.sent(b"payload").len(), 1);
    stage.beats(1);
    stage.out.clear();
    stage.say(connection(10), &ask);
    assert_eq!(stage.outputs(), []);
}

#[test]
fn what_a_peer_tells_of_and_we_lack_is_asked_for_once() {
    let mut stage = Stage::new();
    stage.crowd(20);
    let known = stage.spread(1, b"payload");
    let ids = [id(1), known, id(2), id(1)];
    stage.say(connection(3), &frame::ihave(CONSENSUS, &ids));
    let [Said::IWant(mut wanted)] = <[Said; 1]>::try_from(stage.heard(connection(3))).expect("one frame") else {
        panic!("no question")
    };
    wanted.sort_unstable();
    assert_eq!(wanted, [id(1), id(2)]);
    // The same peer is not asked again for as long, two others are, a fourth is not.
    for (peer, asked) in [(3, 0), (4, 1), (5, 1), (6, 0)] {
        stage.say(connection(peer), &ihave([1].into_iter()));
        assert_eq!(stage.heard(connection(peer)).len(), asked, "{peer}");
    }
    // Three seconds later others are asked, and those that were are not.
    stage.pass(Duration::from_millis(2_999));
    stage.say(connection(6), &ihave([1].into_iter()));
    assert!(!stage.heard(connection(6)).contains(&Said::IWant([id(1)].into())));
    stage.pass(Duration::from_secs(1));
    stage.out.clear();
    stage.say(connection(6), &ihave([1].into_iter()));
    assert_eq!(stage.heard(connection(6)), [Said::IWant([id(1)].into())]);
}

/// Bitcoin CVE-2024-52922: announce, then withhold.
#[test]
fn a_message_that_one_withholds_comes_from_another() {
    let mut stage = Stage::new();
    stage.crowd(20);
    let lacking = signed(9, 1, CONSENSUS, b"payload");
    let mut other = Stage::new();
    other.crowd(1);
    other.say(connection(1), &lacking);
    let name = other.delivered()[0];
    for peer in [2, 3] {
        stage.say(connection(peer), &frame::ihave(CONSENSUS, &[name]));
        assert_eq!(stage.heard(connection(peer)), [Said::IWant([name].into())]);
    }
    stage.say(connection(3), &lacking);
    assert_eq!(stage.delivered(), [name]);
    assert_eq!(stage.mesh.held()[4], 0);
}

#[test]
fn names_of_another_kind_are_merely_unknown() {
    use crate::oracle;
    use prost::Message as _;
    let mut stage = Stage::new();
    stage.crowd(6);
    let ids = vec![vec![1; 31].into(), vec![2; 33].into(), b"12D3KooW1234".to_vec().into(), Vec::new().into()];
    let control = oracle::Control {
        ihave: [oracle::IHave { topic: Some(CONSENSUS.into()), ids: ids.clone() }].into(),
        iwant: [oracle::IWant { ids }].into(),
        ..oracle::Control::default()
    };
    let rpc = oracle::Rpc { control: Some(control), ..oracle::Rpc::default() };
    stage.say(connection(1), &framed(&rpc.encode_to_vec()));
    assert_eq!(stage.outputs(), []);
}

#[test]
fn what_is_told_of_a_topic_that_we_do_not_follow_is_passed_over() {
    let mut stage = Stage::new();
    stage.crowd(6);
    for topic in [BLOCK, "unknown"] {
        stage.say(connection(1), &frame::ihave(topic, &[id(1)]));
    }
    assert_eq!((stage.outputs(), stage.mesh.held()[4]), (vec![], 0));
}

#[test]
fn no_more_is_asked_for_than_can_be_judged() {
    let mut stage = Stage::new();
    stage.crowd(6);
    stage.say(connection(1), &ihave(0..4_000));
    assert_eq!(stage.mesh.counts().asked, PENDING_MAX.div_ceil(2) as u64);
    // Nor more than ten such frames are looked at between two heartbeats.
    for frame in 1..30 {
        stage.say(connection(1), &ihave(frame * 10_000..frame * 10_000 + 100));
    }
    assert_eq!(stage.mesh.counts().asked, u64::from(IHAVES_MAX) * PENDING_MAX.div_ceil(2) as u64);
    stage.beats(1);
    stage.out.clear();
    stage.say(connection(1), &ihave(900_000..900_001));
    assert_eq!(stage.heard(connection(1)), [Said::IWant([id(900_000)].into())]);
}

#[test]
fn a_peer_is_asked_for_at_most_five_thousand_between_heartbeats() {
    let mut stage = Stage::with(settings(|settings| settings.pending_max = 1 << 20));
    stage.crowd(6);
    stage.say(connection(1), &ihave(0..4_000));
    stage.say(connection(1), &ihave(10_000..14_000));
    assert_eq!(stage.mesh.counts().asked, IDS_ASKED_MAX as u64);
}

#[test]
fn a_peer_that_asks_without_end_gets_so_many_and_so_many_bytes() {
    let mut stage = Stage::new();
    stage.crowd(6);
    let big = vec![5; 20 << 20];
    let names = [stage.spread(1, &big), stage.spread(1, b"small")];
    for _ in 0..3 {
        stage.say(connection(2), &frame::iwant(&names));
    }
    // Two of the large ones are more than 32 MiB.
    assert_eq!((stage.sent(&big).len(), stage.sent(b"small").len()), (2, 1));
    stage.beats(1);
    stage.out.clear();
    stage.say(connection(2), &frame::iwant(&names));
    assert_eq!(stage.sent(b"small").len(), 1);
    // Names that nobody has.
    stage.out.clear();
    let unknown: Vec<MessageId> = (0..5_000).map(id).collect();
    for _ in 0..3 {
        stage.say(connection(3), &frame::iwant(&unknown));
    }
    assert_eq!(stage.outputs(), []);
    stage.say(connection(3), &frame::iwant(&names));
    assert_eq!(stage.outputs(), [], "its questions are used up until the next heartbeat");
}

#[test]
fn whoever_cannot_be_answered_is_neither_asked_nor_answered() {
    let mut stage = Stage::new();
    stage.crowd(6);
    let name = stage.spread(1, b"payload");
    let silent = stage.connect(9);
    stage.say(silent, &joined(&[frame::iwant(&[name]), ihave([1].into_iter())]));
    assert_eq!(stage.outputs(), []);
}

#[test]
fn what_can_be_asked_for_has_bytes_too() {
    let mut stage = Stage::new();
    stage.crowd(6);
    let data = |number: u8| vec![number; 10 << 20];
    let names: Vec<MessageId> = (0..8).map(|number| stage.spread(1, &data(number))).collect();
    assert_eq!(stage.mesh.held()[3], 6);
    stage.say(connection(2), &frame::iwant(&names[..3]));
    assert_eq!([0, 1, 2].map(|number| stage.sent(&data(number)).len()), [0, 0, 1]);
}

#[test]
fn gossip_that_was_asked_for_is_judged_and_spread_as_any_other() {
    let mut stage = Stage::new();
    stage.crowd(6);
    stage.say(connection(1), &signed(9, 1, CONSENSUS, b"payload"));
    stage.judge(Verdict::Accept);
    assert_eq!(stage.sent(b"payload").len(), 5);
    assert_eq!(stage.mesh.members(TOPIC).len(), 6);
}
