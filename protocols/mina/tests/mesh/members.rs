//! Who is in a mesh: subscriptions, grafts, prunes, heartbeats.

use crate::stage::{Said, Stage, TOPIC, connection, joined, name, settings, signed};
use polypeer_engine::Direction;
use polypeer_mina::mesh::frame;
use polypeer_mina::mesh::limits::{BACK_OFF_MAX, RECORD_BYTES_MAX};
use polypeer_mina::mesh::{
    BLOCK, CONSENSUS, Candidate, Fault, Mesh, Output, SNARK_WORK, TRANSACTION, TopicId, Verdict, Version,
};
use std::time::Duration;

fn graft() -> Said {
    Said::Graft(CONSENSUS.into())
}

fn prune(seconds: u64) -> Said {
    Said::Prune(CONSENSUS.into(), Some(seconds), 0)
}

#[test]
fn whoever_comes_hears_what_we_follow_in_one_frame() {
    let mut stage = Stage::new();
    stage.mesh.subscribe(stage.now, TopicId(1), &mut stage.out);
    let peer = stage.connect(1);
    assert_eq!(stage.outputs(), []);
    stage.mesh.opened(stage.now, peer, Version::V1_1, &mut stage.out);
    assert_eq!(stage.out.len(), 1);
    assert_eq!(stage.heard(peer), [Said::Subscribe(CONSENSUS.into(), true), Said::Subscribe(BLOCK.into(), true)]);
}

/// Row 11 of section 11: Dlo to Dhi.
#[test]
fn a_mesh_is_brought_to_six_once_it_has_fewer_than_five() {
    let mut stage = Stage::new();
    for number in 1..=20 {
        stage.join(number);
    }
    assert!(stage.members().is_empty());
    stage.pass(Duration::from_millis(100));
    let members = stage.members();
    // Six by chance, and another one or two when too few of these were dialled by us.
    assert!((6..=8).contains(&members.len()));
    for number in 1..=20 {
        let expected = if members.contains(&number) { vec![graft()] } else { vec![] };
        let heard: Vec<Said> = stage.heard(connection(number));
        assert_eq!(heard.into_iter().filter(|said| *said == graft()).collect::<Vec<_>>(), expected);
    }
    // Five are enough, four are not. Those that we dialled stay.
    let leave = |stage: &mut Stage, left: usize| {
        while stage.members().len() > left {
            let first = stage.members().into_iter().find(|number| number % 2 == 1).expect("one that dialled us");
            stage.mesh.gone(stage.now, connection(first));
        }
        stage.beats(3);
    };
    leave(&mut stage, 5);
    assert_eq!(stage.members().len(), 5);
    leave(&mut stage, 4);
    assert!((6..=8).contains(&stage.members().len()));
}

#[test]
fn a_mesh_that_grew_beyond_twelve_is_cut_to_six_and_those_keep_away_for_a_minute() {
    let mut stage = Stage::new();
    stage.crowd(0);
    // We dialled these, so they may come in beyond twelve.
    for number in (2..=30).step_by(2) {
        let peer = stage.join(number);
        stage.say(peer, &frame::graft(CONSENSUS));
    }
    assert_eq!(stage.members().len(), 15);
    stage.out.clear();
    stage.beats(1);
    let members = stage.members();
    assert_eq!(members.len(), 6);
    for number in (2..=30).step_by(2).filter(|number| !members.contains(number)) {
        assert_eq!(stage.heard(connection(number)), [prune(60)]);
    }
    // They are not grafted, however few are left, until it is over.
    members.iter().for_each(|number| stage.mesh.gone(stage.now, connection(*number)));
    stage.beats(57);
    assert!(stage.members().is_empty());
    stage.beats(5);
    assert_eq!(stage.members().len(), 6);
}

#[test]
fn whoever_dials_us_comes_into_a_mesh_only_up_to_twelve() {
    let mut stage = Stage::new();
    stage.crowd(0);
    for number in (1..=31).step_by(2) {
        let peer = stage.join(number);
        stage.say(peer, &frame::graft(CONSENSUS));
        let expected = if stage.members().contains(&number) { vec![] } else { vec![prune(60)] };
        let heard = stage.heard(peer);
        assert_eq!(heard.into_iter().filter(|said| matches!(said, Said::Prune(..))).collect::<Vec<_>>(), expected);
    }
    assert_eq!(stage.members().len(), 12);
}

/// Dout: whoever fills our slots does not fill our mesh.
#[test]
fn two_of_a_mesh_are_peers_that_we_dialled() {
    let mut stage = Stage::new();
    for number in (1..=79).step_by(2) {
        stage.join(number);
    }
    stage.beats(2);
    assert!(stage.members().iter().all(|number| number % 2 == 1));
    for number in [100, 102, 104] {
        stage.join(number);
    }
    stage.beats(2);
    assert_eq!(stage.members().iter().filter(|number| *number % 2 == 0).count(), 2);
    // And when it is cut, they stay.
    for number in (1..=79).step_by(2) {
        stage.say(connection(number), &frame::graft(CONSENSUS));
    }
    stage.say(connection(100), &frame::graft(CONSENSUS));
    stage.say(connection(102), &frame::graft(CONSENSUS));
    stage.say(connection(104), &frame::graft(CONSENSUS));
    assert!(stage.members().len() > 12, "{:?}", stage.members());
    stage.beats(1);
    assert_eq!(stage.members().len(), 6);
    assert!(stage.members().iter().filter(|number| *number % 2 == 0).count() >= 2);
}

#[test]
fn a_prune_takes_a_peer_out_for_as_long_as_it_says() {
    for (said, waits) in [(Some(10), 10), (None, 60), (Some(0), 60), (Some(300), 300)] {
        let mut stage = Stage::new();
        stage.crowd(1);
        assert_eq!(stage.members(), [1]);
        stage.say(connection(1), &frame::prune(CONSENSUS, said, &[]));
        assert_eq!((stage.members(), stage.outputs()), (vec![], vec![]));
        stage.pass(Duration::from_secs(waits - 1));
        assert!(stage.members().is_empty(), "{said:?}");
        stage.pass(Duration::from_secs(2));
        assert_eq!(stage.members(), [1], "{said:?}");
    }
}

#[test]
fn a_graft_in_back_off_is_refused_and_costs() {
    let mut stage = Stage::new();
    stage.crowd(1);
    stage.say(connection(1), &frame::prune(CONSENSUS, Some(60), &[]));
    // Right after it, a flood.
    stage.pass(Duration::from_secs(5));
    stage.say(connection(1), &frame::graft(CONSENSUS));
    assert_eq!(stage.faults(), [(connection(1), Fault::GraftFlood)]);
    assert_eq!(stage.heard(connection(1)), [prune(60)]);
    // It begins anew with each of them; later it is merely early.
    stage.pass(Duration::from_secs(59));
    stage.out.clear();
    stage.say(connection(1), &frame::graft(CONSENSUS));
    assert_eq!(stage.faults(), [(connection(1), Fault::GraftInBackOff)]);
    assert_eq!((stage.heard(connection(1)), stage.members()), (vec![prune(60)], vec![]));
}

#[test]
fn coming_back_ends_no_back_off() {
    let mut stage = Stage::new();
    stage.crowd(1);
    stage.say(connection(1), &frame::prune(CONSENSUS, Some(60), &[]));
    stage.mesh.gone(stage.now, connection(1));
    stage.join(1);
    stage.beats(5);
    assert!(stage.members().is_empty());
    stage.out.clear();
    stage.say(connection(1), &frame::graft(CONSENSUS));
    assert_eq!(stage.faults().len(), 1);
}

#[test]
fn leaving_a_topic_prunes_for_ten_seconds_and_tells_everyone() {
    let mut stage = Stage::new();
    stage.crowd(8);
    let members = stage.members();
    stage.mesh.unsubscribe(stage.now, TOPIC, &mut stage.out);
    let ended = Said::Subscribe(CONSENSUS.into(), false);
    for number in 1..=8 {
        let expected = if members.contains(&number) { vec![prune(10), ended.clone()] } else { vec![ended.clone()] };
        assert_eq!(stage.heard(connection(number)), expected);
    }
    assert!(!stage.mesh.follows(TOPIC));
    // Whoever joins again at once leaves those alone for as long.
    stage.mesh.subscribe(stage.now, TOPIC, &mut stage.out);
    assert_eq!(stage.members().len(), 2);
    stage.beats(12);
    assert_eq!(stage.members().len(), 6);
    assert_eq!(stage.faults(), []);
}

#[test]
fn whoever_ends_its_subscription_is_in_no_mesh() {
    let mut stage = Stage::new();
    stage.crowd(3);
    stage.say(connection(2), &frame::subscriptions([(CONSENSUS, false)].into_iter()));
    assert_eq!((stage.members(), stage.outputs()), (vec![1, 3], vec![]));
    stage.beats(2);
    assert_eq!(stage.members(), [1, 3]);
}

/// Section 3.1: topics come in generations.
#[test]
fn of_two_generations_only_the_higher_one_counts() {
    let mut stage = Stage::new();
    stage.mesh.subscribe(stage.now, TopicId(1), &mut stage.out);
    stage.crowd(2);
    let both = [(CONSENSUS, true), (BLOCK, true), (TRANSACTION, true), (SNARK_WORK, true)];
    stage.say(connection(1), &frame::subscriptions(both.into_iter()));
    assert_eq!(stage.members(), [2]);
    stage.beats(2);
    assert_eq!((stage.members(), stage.mesh.members(TopicId(1))), (vec![2], &[connection(1)][..]));
    // A graft of the lower one is refused, and of the higher one implies that it is followed.
    stage.say(connection(1), &frame::graft(CONSENSUS));
    assert_eq!(stage.members(), [2]);
    let ended = both.map(|(topic, _)| (topic, topic == CONSENSUS));
    stage.say(connection(1), &frame::subscriptions(ended.into_iter()));
    assert_eq!(stage.mesh.followers(TOPIC).count(), 2);
}

#[test]
fn topics_outside_the_closed_set_are_not_even_remembered() {
    let mut stage = Stage::new();
    stage.crowd(1);
    for number in 0..100_000 {
        let topic = format!("topic/{number}");
        stage.say(connection(1), &frame::subscriptions([(topic.as_str(), true)].into_iter()));
        if number % 100 == 0 {
            stage.beats(1);
        }
    }
    assert_eq!((stage.mesh.held()[0], stage.faults()), (1, vec![]));
}

#[test]
fn whoever_grafts_follows() {
    let mut stage = Stage::new();
    let peer = stage.connect(1);
    stage.mesh.opened(stage.now, peer, Version::V1_1, &mut stage.out);
    stage.say(peer, &frame::graft(CONSENSUS));
    assert_eq!((stage.members(), stage.mesh.followers(TOPIC).count()), (vec![1], 1));
}

#[test]
fn a_graft_of_what_we_do_not_follow_is_passed_over() {
    let mut stage = Stage::new();
    stage.crowd(1);
    for topic in [BLOCK, "unknown", ""] {
        stage.say(connection(1), &frame::graft(topic));
    }
    assert_eq!(stage.outputs(), []);
}

#[test]
fn a_graft_before_our_stream_is_open_is_answered_when_it_is() {
    let mut stage = Stage::new();
    let peer = stage.connect(1);
    stage.say(peer, &frame::graft(CONSENSUS));
    assert_eq!((stage.members(), stage.outputs()), (vec![], vec![]));
    stage.mesh.opened(stage.now, peer, Version::V1_1, &mut stage.out);
    assert_eq!(stage.heard(peer), [Said::Subscribe(CONSENSUS.into(), true), prune(60)]);
}

#[test]
fn a_stream_that_closes_takes_its_peer_out_until_it_opens_again() {
    let mut stage = Stage::new();
    stage.crowd(3);
    stage.mesh.closed(stage.now, connection(2));
    assert_eq!(stage.members(), [1, 3]);
    stage.spread(1, b"payload");
    stage.beats(2);
    assert_eq!(stage.heard(connection(2)), []);
    stage.mesh.opened(stage.now, connection(2), Version::V1_1, &mut stage.out);
    stage.beats(1);
    assert_eq!(stage.members(), [1, 2, 3]);
}

/// What the older version cannot read is not said to it.
#[test]
fn a_prune_of_the_older_version_has_neither_back_off_nor_peers() {
    let mut stage = Stage::with(settings(|settings| settings.peer_exchange = true));
    stage.crowd(3);
    let peer = stage.connect(4);
    stage.mesh.opened(stage.now, peer, Version::V1_0, &mut stage.out);
    stage.say(peer, &frame::graft(CONSENSUS));
    stage.out.clear();
    stage.mesh.unsubscribe(stage.now, TOPIC, &mut stage.out);
    assert_eq!(stage.heard(peer)[0], Said::Prune(CONSENSUS.into(), None, 0));
    assert_eq!(stage.heard(connection(1))[0], Said::Prune(CONSENSUS.into(), Some(10), 3));
}

#[test]
fn direct_peers_are_sent_everything_and_are_in_no_mesh() {
    let mut stage = Stage::with(settings(|settings| settings.direct = [name(1), name(40)].into()));
    stage.crowd(8);
    assert!(!stage.members().contains(&1));
    stage.say(connection(1), &frame::graft(CONSENSUS));
    assert_eq!(stage.heard(connection(1)), [prune(60)]);
    assert_eq!(stage.faults(), []);
    let outsider = (2..=8).find(|number| !stage.members().contains(number)).expect("six of seven");
    stage.say(connection(outsider), &signed(outsider, 1, CONSENSUS, b"payload"));
    stage.judge(Verdict::Accept);
    let sent = stage.sent(b"payload");
    assert!(sent.contains(&connection(1)) && sent.len() == 7);
}

#[test]
fn direct_peers_that_are_not_here_are_dialled_at_once_and_every_five_minutes() {
    let mut stage = Stage::with(settings(|settings| settings.direct = [name(1), name(40)].into()));
    stage.join(1);
    let dials = |stage: &mut Stage, beats| {
        stage.beats(beats);
        let is_dial = |output: &Output| matches!(output, Output::Connect { .. });
        stage.outputs().into_iter().filter(is_dial).collect::<Vec<_>>()
    };
    let missing = Output::Connect { peers: [Candidate { id: name(40), record: None }].into() };
    assert_eq!(dials(&mut stage, 2), vec![missing.clone()]);
    assert_eq!(dials(&mut stage, 297), []);
    assert_eq!(dials(&mut stage, 3), [missing]);
}

#[test]
fn offered_peers_are_looked_at_only_when_peer_exchange_is_on() {
    let offered: Vec<_> = (50..90).map(name).collect();
    for (is_on, count) in [(false, 0), (true, 16)] {
        let mut stage = Stage::with(settings(|settings| settings.peer_exchange = is_on));
        stage.crowd(2);
        stage.say(connection(1), &frame::prune(CONSENSUS, Some(60), &offered));
        let connects = stage.outputs().into_iter().find_map(|output| match output {
            Output::Connect { peers } => Some(peers.len()),
            _ => None,
        });
        assert_eq!(connects.unwrap_or(0), count);
    }
}

/// Neither ourselves nor who is connected, nor what is no id, nor a record beyond its size.
#[test]
fn offered_peers_that_are_of_no_use_are_left_out() {
    use crate::oracle;
    use prost::Message as _;
    let mut stage = Stage::with(settings(|settings| settings.peer_exchange = true));
    stage.crowd(2);
    let offer =
        |id: &[u8], record: usize| oracle::Offer { id: Some(id.to_vec().into()), record: Some(vec![7; record].into()) };
    let peers = vec![
        offer(&name(0).to_bytes(), 0),
        offer(&name(2).to_bytes(), 0),
        offer(b"no id", 0),
        offer(&name(70).to_bytes(), RECORD_BYTES_MAX + 1),
        offer(&name(71).to_bytes(), RECORD_BYTES_MAX),
    ];
    let prune = oracle::Prune { topic: Some(CONSENSUS.into()), peers, back_off: Some(60) };
    let control = oracle::Control { prune: [prune].into(), ..oracle::Control::default() };
    let rpc = oracle::Rpc { control: Some(control), ..oracle::Rpc::default() };
    stage.say(connection(1), &crate::stage::framed(&rpc.encode_to_vec()));
    let record = Some(vec![7; RECORD_BYTES_MAX].into());
    let expected = vec![Candidate { id: name(70), record: None }, Candidate { id: name(71), record }];
    assert_eq!(stage.outputs(), [Output::Connect { peers: expected }]);
}

/// Whoever is pruned when a mesh is cut is told of others, if that is on; whoever did wrong is not.
#[test]
fn peers_are_offered_only_to_whom_nothing_is_held_against() {
    let mut stage = Stage::with(settings(|settings| settings.peer_exchange = true));
    stage.crowd(8);
    let outsider = (1..=8).find(|number| !stage.members().contains(number)).expect("six of eight");
    stage.say(connection(outsider), &frame::prune(CONSENSUS, Some(60), &[]));
    stage.say(connection(outsider), &frame::graft(CONSENSUS));
    assert_eq!(stage.heard(connection(outsider)), [prune(60)]);
    // Nor to whoever grafts what there is not.
    for number in (9..=41).step_by(2) {
        stage.join(number);
        stage.say(connection(number), &joined(&[frame::graft("unknown"), frame::graft(CONSENSUS)]));
    }
    let last = connection(41);
    let offers = |said: &Said| matches!(said, Said::Prune(_, _, offers) if *offers > 0);
    assert!(!stage.heard(last).iter().any(offers));
    let next = stage.join(43);
    stage.say(next, &frame::graft(CONSENSUS));
    assert!(stage.heard(next).iter().any(offers));
}

#[test]
fn a_back_off_is_never_longer_than_its_bound() {
    let mut stage = Stage::new();
    stage.crowd(1);
    stage.say(connection(1), &frame::prune(CONSENSUS, Some(u64::MAX), &[]));
    stage.pass(BACK_OFF_MAX + Duration::from_secs(20));
    assert_eq!(stage.members(), [1]);
}

#[test]
fn nobody_to_keep_a_mesh_with_means_no_alarm() {
    let mut stage = Stage::new();
    stage.crowd(2);
    assert!(stage.mesh.next_wake().is_some());
    stage.mesh.gone(stage.now, connection(1));
    stage.mesh.gone(stage.now, connection(2));
    stage.beats(10);
    assert_eq!(stage.mesh.next_wake(), None);
    stage.join(3);
    assert!(stage.mesh.next_wake().is_some());
}

/// The same seed and the same inputs give the same outputs.
#[test]
fn the_same_seed_does_the_same() {
    let run = || {
        let mut stage = Stage::new();
        for number in 1..=40 {
            stage.join(number);
        }
        stage.beats(3);
        stage.say(connection(7), &signed(9, 1, CONSENSUS, b"payload"));
        stage.judge(Verdict::Accept);
        stage.beats(70);
        stage.outputs()
    };
    assert_eq!(run(), run());
}

/// Two connections of one peer: the later one counts, and its end is the end.
#[test]
fn a_second_connection_of_a_peer_replaces_the_first_in_its_name() {
    let mut stage = Stage::new();
    stage.crowd(2);
    let second = connection(1_001);
    let about = polypeer_mina::mesh::About { id: name(1), direction: Direction::Inbound, ip: None };
    stage.mesh.connected(stage.now, second, about);
    stage.mesh.gone(stage.now, connection(1));
    stage.mesh.opened(stage.now, second, Version::V1_1, &mut stage.out);
    stage.say(second, &frame::graft(CONSENSUS));
    stage.out.clear();
    stage.say(connection(2), &signed(1, 1, CONSENSUS, b"payload"));
    stage.judge(Verdict::Accept);
    // It is the author of this.
    assert_eq!(stage.sent(b"payload"), []);
    let _: &Mesh = &stage.mesh;
}
