//! Scores: off by default, and what they do when they are on.

use crate::stage::{Said, Stage, TOPIC, connection, name, settings, signed};
use polypeer_engine::Direction;
use polypeer_mina::mesh::frame;
use polypeer_mina::mesh::{About, CONSENSUS, MessageId, Scoring, Settings, TopicScoring, Verdict};
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

fn scored(change: impl FnOnce(&mut Scoring)) -> Settings {
    let mut scoring = Scoring::default();
    change(&mut scoring);
    settings(|settings| settings.scoring = Some(scoring))
}

fn reject(stage: &mut Stage, peer: u64, number: u64) {
    stage.say(connection(peer), &signed(900, 1, CONSENSUS, &number.to_be_bytes()));
    stage.judge(Verdict::Reject);
    stage.out.clear();
}

/// Section 3.6: there are none in the reference node.
#[test]
fn without_scores_nothing_counts() {
    let mut stage = Stage::new();
    stage.crowd(6);
    (0..20).for_each(|number| reject(&mut stage, 1, number));
    stage.beats(5);
    assert_eq!((stage.mesh.score(connection(1)), stage.members().len()), (0.0, 6));
}

#[test]
fn whoever_brings_what_is_invalid_leaves_the_mesh_and_is_heard_no_more() {
    let mut stage = Stage::with(scored(|_| {}));
    stage.crowd(6);
    reject(&mut stage, 1, 0);
    assert!(stage.mesh.score(connection(1)) < 0.0);
    stage.beats(1);
    assert_eq!(stage.heard(connection(1)), [Said::Prune(CONSENSUS.into(), Some(60), 0)]);
    assert!(!stage.members().contains(&1));
    (1..4).for_each(|number| reject(&mut stage, 1, number));
    assert!(stage.mesh.score(connection(1)) < -200.0);
    stage.say(connection(1), &signed(900, 1, CONSENSUS, b"payload"));
    assert_eq!(stage.outputs(), []);
    // It fades.
    stage.pass(Duration::from_secs(2_000));
    assert!(stage.mesh.score(connection(1)) >= 0.0);
}

#[test]
fn coming_back_makes_nobody_better() {
    let mut stage = Stage::with(scored(|_| {}));
    stage.crowd(6);
    reject(&mut stage, 1, 0);
    let before = stage.mesh.score(connection(1));
    stage.mesh.gone(stage.now, connection(1));
    stage.pass(Duration::from_secs(600));
    stage.join(1);
    // What is gone does not fade, and what was good of it is lost.
    assert!(before < 0.0 && stage.mesh.score(connection(1)) <= before);
    // An hour is remembered.
    stage.mesh.gone(stage.now, connection(1));
    stage.pass(Duration::from_secs(3_700));
    stage.join(1);
    assert_eq!(stage.mesh.score(connection(1)), 0.0);
}

#[test]
fn whoever_brings_messages_first_is_better_and_whoever_repeats_them_is_not() {
    let mut stage = Stage::with(scored(|_| {}));
    stage.crowd(6);
    let before = stage.mesh.score(connection(2));
    for number in 0..10_u64 {
        stage.spread(1, &number.to_be_bytes());
        stage.say(connection(2), &signed(1, 1, CONSENSUS, &number.to_be_bytes()));
    }
    assert!(stage.mesh.score(connection(1)) >= before + 9.0);
    assert_eq!(stage.mesh.score(connection(2)), before);
}

#[test]
fn being_in_a_mesh_counts_up_to_a_cap() {
    let mut stage = Stage::with(scored(|scoring| scoring.topics[0].in_mesh_cap = 100.0));
    stage.crowd(3);
    stage.beats(50);
    let fifty = stage.mesh.score(connection(1));
    stage.beats(500);
    let more = stage.mesh.score(connection(1));
    assert!(fifty > 0.4 && more > fifty && more <= 1.0, "{fifty} {more}");
}

fn demanding() -> Settings {
    scored(|scoring| {
        scoring.topics[0] = TopicScoring {
            in_mesh_weight: 0.0,
            in_time_weight: -1.0,
            in_time_wanted: 5.0,
            in_time_after: Duration::from_secs(5),
            in_time_decay: 1.0,
            firsts_weight: 0.0,
            failures_weight: -1.0,
            ..TopicScoring::default()
        };
    })
}

#[test]
fn a_member_that_brings_nothing_in_time_is_pruned_and_it_stays_with_it() {
    let mut stage = Stage::with(demanding());
    stage.crowd(6);
    for number in 0..5_u64 {
        stage.say(connection(1), &signed(900, 1, CONSENSUS, &number.to_be_bytes()));
        // While it is judged, shortly after, and too late; twice is once.
        stage.say(connection(2), &signed(900, 1, CONSENSUS, &number.to_be_bytes()));
        stage.judge(Verdict::Accept);
        stage.pass(Duration::from_millis(100));
        for _ in 0..2 {
            stage.say(connection(3), &signed(900, 1, CONSENSUS, &number.to_be_bytes()));
        }
        stage.pass(Duration::from_millis(600));
        stage.say(connection(4), &signed(900, 1, CONSENSUS, &number.to_be_bytes()));
        stage.out.clear();
    }
    stage.beats(5);
    let scores = [1, 2, 3].map(|peer| stage.mesh.score(connection(peer)));
    assert_eq!(scores, [0.0; 3]);
    assert!([4, 5, 6].iter().all(|peer| stage.mesh.score(connection(*peer)) <= -20.0));
    assert_eq!(stage.members(), [1, 2, 3]);
}

#[test]
fn many_at_one_address_are_all_worse() {
    let mut stage = Stage::with(scored(|_| {}));
    let at = |last| Some(IpAddr::V4(Ipv4Addr::new(9, 9, 9, last)));
    for number in 1..=5 {
        let about = About { id: name(number), direction: Direction::Inbound, ip: at(1) };
        stage.mesh.connected(stage.now, connection(number), about);
    }
    let about = About { id: name(6), direction: Direction::Inbound, ip: at(2) };
    stage.mesh.connected(stage.now, connection(6), about);
    assert_eq!([1, 6].map(|peer| stage.mesh.score(connection(peer))), [-40.0, 0.0]);
    stage.mesh.gone(stage.now, connection(4));
    stage.mesh.gone(stage.now, connection(5));
    assert_eq!(stage.mesh.score(connection(1)), 0.0);
}

#[test]
fn broken_promises_and_grafts_in_back_off_are_misdeeds() {
    let mut stage = Stage::with(scored(|scoring| scoring.misdeeds_free = 0.0));
    stage.crowd(6);
    stage.say(connection(1), &frame::ihave(CONSENSUS, &[MessageId([1; 32])]));
    stage.say(connection(2), &frame::prune(CONSENSUS, None, &[]));
    stage.say(connection(2), &frame::graft(CONSENSUS));
    assert!(stage.mesh.score(connection(2)) < 0.0);
    stage.beats(2);
    assert!(stage.mesh.score(connection(1)) >= 0.0);
    stage.beats(3);
    assert!(stage.mesh.score(connection(1)) < 0.0);
}

/// What comes when there is no room for it was brought all the same.
#[test]
fn a_promise_that_was_kept_at_the_wrong_time_is_no_misdeed() {
    let mut settings = scored(|scoring| scoring.misdeeds_free = 0.0);
    settings.pending_max = 4;
    let mut stage = Stage::with(settings);
    stage.crowd(6);
    let late = signed(900, 1, CONSENSUS, b"late");
    let mut other = Stage::new();
    other.crowd(1);
    other.say(connection(1), &late);
    stage.say(connection(1), &frame::ihave(CONSENSUS, &other.delivered()));
    for number in 0..4_u64 {
        stage.say(connection(2 + number), &signed(900, 1, CONSENSUS, &number.to_be_bytes()));
    }
    stage.say(connection(1), &late);
    assert_eq!((stage.delivered().len(), stage.mesh.counts().throttled), (4, 1));
    stage.beats(5);
    assert!(stage.mesh.score(connection(1)) >= 0.0);
}

#[test]
fn whoever_is_below_zero_is_not_taken_in_and_gets_no_gossip() {
    let mut stage = Stage::with(scored(|_| {}));
    stage.crowd(10);
    for number in 1..=10 {
        stage.mesh.rate(connection(number), if number > 4 { -60.0 } else { 0.0 });
    }
    stage.beats(1);
    assert_eq!(stage.members(), [1, 2, 3, 4]);
    stage.out.clear();
    let name = stage.spread(1, b"payload");
    stage.say(connection(7), &frame::graft(CONSENSUS));
    assert!(matches!(stage.heard(connection(7))[..], [Said::Prune(..)]));
    stage.say(connection(8), &frame::iwant(&[name]));
    stage.say(connection(9), &frame::ihave(CONSENSUS, &[MessageId([1; 32])]));
    stage.beats(1);
    assert_eq!(stage.outputs(), []);
    // Ours go to them as long as they are above the threshold for that.
    stage.mesh.rate(connection(10), -150.0);
    stage.publish(TOPIC, b"ours");
    assert_eq!(stage.sent(b"ours").len(), 9);
}

#[test]
fn a_poor_mesh_gets_better_peers_after_a_minute() {
    let mut stage = Stage::with(scored(|scoring| scoring.topics[0].in_mesh_weight = 0.0));
    stage.crowd(12);
    let members = stage.members();
    for number in 1..=12 {
        stage.mesh.rate(connection(number), if members.contains(&number) { 0.5 } else { 30.0 });
    }
    stage.beats(60);
    assert_eq!(stage.members().len(), 8);
}

#[test]
fn a_mesh_that_is_cut_keeps_the_best_four() {
    let mut stage = Stage::with(scored(|_| {}));
    stage.crowd(0);
    for number in (2..=30).step_by(2) {
        let peer = stage.join(number);
        stage.say(peer, &frame::graft(CONSENSUS));
        stage.mesh.rate(peer, number as f64);
    }
    stage.beats(1);
    let members = stage.members();
    assert!(members.len() == 6 && [24, 26, 28, 30].iter().all(|best| members.contains(best)), "{members:?}");
}

/// However long nothing woke it, and whatever the rates are.
#[test]
fn scores_are_numbers_after_any_sleep() {
    let mut stage = Stage::with(scored(|scoring| scoring.decay_interval = Duration::ZERO));
    stage.crowd(6);
    reject(&mut stage, 1, 0);
    stage.now = stage.now + Duration::from_secs(u64::MAX / 4_000_000);
    stage.mesh.wake(stage.now, &mut stage.out);
    for number in 1..=6 {
        assert!(stage.mesh.score(connection(number)).is_finite());
    }
    assert!(stage.mesh.is_sound());
}
