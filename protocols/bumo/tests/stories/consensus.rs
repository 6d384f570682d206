//! Stories of the agreement as peers see it: BUMO spec, sections 5.3 and 7, and rows 17, 24, 28 and 29 of the checklist
//! in 10.3. The state machine has stories of its own.

use crate::greeting::PEER;
use crate::make::{self, commit, data_of, pre_prepare, prepare};
use crate::stage::*;
use bytes::Bytes;
use polypeer_bumo::hash::{Hash, sha256};
use polypeer_bumo::wire::{Body, Kind, Message as _, PBFT_BYTES_MAX, Pbft, PbftEnv};
use polypeer_engine::ConnectionId;
use polypeer_engine::shell::bans::Severity;

/// The type, view, sequence and replica of each consensus message that a peer was sent since it was asked last.
fn votes(stage: &mut Stage, peer: ConnectionId) -> Vec<(i32, i64, i64)> {
    let data: Vec<Bytes> =
        stage.hears(peer).into_iter().filter(|said| said.kind == Kind::Pbft).map(|it| it.data).collect();
    data.iter().map(|data| about(data)).collect()
}

fn about(data: &[u8]) -> (i32, i64, i64) {
    let pbft = PbftEnv::decode(data).expect("an envelope").pbft.expect("a message").message;
    let view = match pbft.body {
        Body::PrePrepare(proposal) => proposal.view_number,
        Body::Prepare(vote) | Body::Commit(vote) => vote.view_number,
        Body::RawViewChange(raw) => raw.view_change().expect("an inner one").1.view_number,
        Body::NewView(opened) => opened.view_number,
        _ => -1,
    };
    (pbft.body.number(), view, pbft.body.replica_id().expect("a replica"))
}

/// Four validators of whom we are this one, or none; nothing closed yet. The others' connections.
fn network(we_are: Option<usize>) -> Setting {
    let mut setting = holding(0);
    setting.ledger.signer = we_are;
    setting
}

fn three(stage: &mut Stage) -> [ConnectionId; 3] {
    let three = [PEER, "10.0.0.7:40000", "10.0.0.8:40000"].map(|peer| stage.guest(peer));
    stage.wait(seconds(1));
    three.into_iter().for_each(|peer| drop(stage.hears(peer)));
    three
}

/// What the first validator proposes as ledger 2.
fn first_value(stage: &Stage) -> (Bytes, Hash) {
    let value = make::value(2, &make::genesis(), &[], stage.now.unix_ms as i64 * 1000);
    let digest = sha256(&value);
    (value, digest)
}

#[test]
fn row_28_a_validator_prepares_commits_and_closes_with_the_others_and_then_it_is_its_turn() {
    story_of(&network(Some(1)), |stage| {
        let [a, b, c] = three(stage);
        let (value, digest) = first_value(stage);
        let proposal = pre_prepare(0, 0, 2, &value);
        stage.says(a, Kind::Pbft, &proposal);
        assert_eq!(votes(stage, a), [(1, 0, 1)], "our vote goes to the primary too, and its own message not back");
        let heard: Vec<Bytes> = stage.hears(b).into_iter().map(|said| said.data).collect();
        assert_eq!(heard, [proposal.clone(), prepare(1, 0, 2, &digest)], "relayed byte for byte, then our own");
        stage.hears(c);
        stage.says(b, Kind::Pbft, &prepare(2, 0, 2, &digest));
        assert_eq!(votes(stage, b), [(2, 0, 1)]);
        assert_eq!(votes(stage, c), [(1, 0, 2), (2, 0, 1)]);
        stage.says(a, Kind::Pbft, &commit(0, 0, 2, &digest));
        assert_eq!(stage.tip(), 1);
        stage.says(b, Kind::Pbft, &commit(2, 0, 2, &digest));
        assert_eq!(stage.tip(), 2, "q and one commits");
        [a, b, c].into_iter().for_each(|peer| drop(votes(stage, peer)));
        stage.says(c, Kind::Pbft, &commit(3, 0, 2, &digest));
        // The next view is ours: ten seconds after the close time.
        stage.wait(seconds(9));
        assert_eq!(votes(stage, b), [], "a vote for what is over helps nobody");
        stage.wait(seconds(1));
        assert_eq!(votes(stage, b), [(0, 1, 1)]);
        assert_eq!([a, b, c].map(|peer| stage.slips(peer)), [0; 3]);
    });
}

#[test]
fn a_follower_closes_what_it_sees_committed_and_says_nothing_itself() {
    story_of(&network(None), |stage| {
        let [a, b, c] = three(stage);
        let (value, digest) = first_value(stage);
        stage.says(a, Kind::Pbft, &pre_prepare(0, 0, 2, &value));
        for (peer, replica) in [(b, 1), (c, 2), (c, 3)] {
            stage.says(peer, Kind::Pbft, &prepare(replica, 0, 2, &digest));
            stage.says(peer, Kind::Pbft, &commit(replica, 0, 2, &digest));
        }
        assert_eq!(stage.tip(), 2);
        let heard = votes(stage, a);
        assert!(heard.iter().all(|(_, _, replica)| *replica != 0), "not back");
        assert_eq!(heard.iter().filter(|(kind, ..)| *kind == 2).count(), 3, "relayed");
        stage.wait(seconds(45));
        assert_eq!(votes(stage, a), []);
        // What it closed it serves, with a proof that others take.
        stage.hears(a);
        stage.asks_for_ledgers(a, 2, 2);
        stage.is_served(a, 2, 2);
    });
}

#[test]
fn row_29_without_its_primary_a_validator_asks_for_another_view_after_thirty_seconds() {
    story_of(&network(Some(1)), |stage| {
        let [a, b, _] = three(stage);
        stage.lively = vec![a, b];
        stage.wait(seconds(28));
        assert_eq!(votes(stage, a), []);
        stage.wait(seconds(2));
        assert_eq!(votes(stage, a), [(5, 1, 1)], "an inner signed one inside");
        // It is the primary of that view, and opens it with the view changes of two others.
        for replica in [2, 3] {
            let inner = polypeer_bumo::wire::ViewChange {
                view_number: 1,
                sequence: 1,
                replica_id: replica as i64,
                ..Default::default()
            };
            let inner = make::sealed(replica, &Pbft { round_number: 0, body: Body::ViewChange(inner), chain_id: 0 });
            let raw = polypeer_bumo::wire::RawViewChange {
                view_change_env: Some(polypeer_bumo::wire::Encoded::of(&inner)),
                prepared_set: None,
            };
            let outer = make::sealed(replica, &Pbft { round_number: 0, body: Body::RawViewChange(raw), chain_id: 0 });
            stage.says(b, Kind::Pbft, &outer);
        }
        let heard = votes(stage, a);
        assert!(heard.contains(&(4, 1, 1)), "{heard:?}");
        assert!(heard.contains(&(0, 1, 1)), "the proposal follows at once: {heard:?}");
    });
}

#[test]
fn each_message_goes_to_the_others_once() {
    story_of(&network(Some(1)), |stage| {
        let [a, b, c] = three(stage);
        let (value, _) = first_value(stage);
        let proposal = pre_prepare(0, 0, 2, &value);
        for peer in [a, b, c, a] {
            stage.says(peer, Kind::Pbft, &proposal);
        }
        assert_eq!(votes(stage, a), [(1, 0, 1)]);
        assert_eq!(votes(stage, b).iter().filter(|(kind, ..)| *kind == 0).count(), 1);
        assert_eq!(votes(stage, c).iter().filter(|(kind, ..)| *kind == 0).count(), 1);
    });
}

#[test]
fn whoever_comes_later_is_sent_what_is_repeated_from_then_on() {
    story_of(&network(Some(0)), |stage| {
        stage.wait(seconds(4));
        let peer = stage.guest(PEER);
        assert_eq!(votes(stage, peer), []);
        stage.wait(seconds(7));
        assert_eq!(votes(stage, peer), [(0, 0, 0)], "the proposal's repetition, 7.5 s later");
    });
}

#[test]
fn row_17_a_message_without_a_message_ends_the_connection() {
    let unsigned = [0x12, 0];
    for data in [&[][..], &[0xff], &unsigned, &[0x0a, 9]] {
        story(|stage| {
            let [honest, peer] = ["10.0.0.7:40000", PEER].map(|peer| stage.guest(peer));
            stage.says(peer, Kind::Pbft, data);
            stage.is_cut(peer);
            assert_eq!(stage.severity(PEER), Some(Severity::Discouraged));
            stage.is_well(honest);
        });
    }
    story(|stage| {
        let peer = stage.guest(PEER);
        stage.says(peer, Kind::Pbft, &vec![0; PBFT_BYTES_MAX + 1]);
        stage.is_cut(peer);
    });
}

#[test]
fn row_24_strangers_forgeries_and_foreign_replicas_go_nowhere_and_nobody_is_cut_for_one() {
    story_of(&network(Some(1)), |stage| {
        let [from, b, _] = three(stage);
        let (value, digest) = first_value(stage);
        let genuine = prepare(0, 0, 2, &digest);
        let mut forged = pre_prepare(0, 0, 2, &value).to_vec();
        *forged.last_mut().expect("a byte") ^= 1;
        let vote = make::vote(3, 0, 2, &digest);
        let foreign = make::sealed(2, &Pbft { round_number: 1, body: Body::Prepare(vote), chain_id: 0 });
        let other_chain =
            make::sealed(2, &Pbft { round_number: 1, body: Body::Prepare(make::vote(2, 0, 2, &digest)), chain_id: 9 });
        let stranger =
            make::sealed(9, &Pbft { round_number: 1, body: Body::Prepare(make::vote(3, 0, 2, &digest)), chain_id: 0 });
        let unsigned = PbftEnv { signature: None, ..PbftEnv::decode(&genuine).expect("one") }.encode();
        for data in [&forged[..], &foreign, &other_chain, &stranger, &unsigned] {
            stage.says(from, Kind::Pbft, data);
        }
        assert_eq!(votes(stage, b), []);
        assert!(stage.is_open(from) && stage.slips(from) <= 3, "{}", stage.slips(from));
        assert_eq!(stage.tip(), 1);
        // The genuine one is not held back by what was forged.
        stage.says(from, Kind::Pbft, &pre_prepare(0, 0, 2, &value));
        assert!(votes(stage, b).contains(&(1, 0, 1)));
    });
}

#[test]
fn captured_messages_of_a_view_that_is_over_are_passed_over() {
    let names = [
        "pbft_preprepare_v0_s2_round2.hex",
        "pbft_prepare_v0_s2_r2.hex",
        "pbft_commit_v0_s2_r3.hex",
        "pbft_viewchange_raw_v2_r0.hex",
        "pbft_newview_v2.hex",
    ];
    story(|stage| {
        let [from, b] = [PEER, "10.0.0.7:40000"].map(|peer| stage.settled(peer));
        stage.hears(from);
        names.into_iter().for_each(|name| stage.says(from, Kind::Pbft, &data_of(name)));
        // Others are shown what ended them: the commits of the last ledger.
        assert!(votes(stage, b).iter().all(|(kind, view, _)| (*kind, *view) == (2, 19)));
        assert_eq!(stage.slips(from), 0);
        stage.is_well(from);
    });
}

#[test]
fn floods_of_strangers_and_of_forgeries_run_out_of_credit_and_leave_nothing() {
    let digest = sha256(b"value");
    let genuine = prepare(2, 0, 2, &digest);
    story_of(&network(Some(1)), |stage| {
        let [from, b, honest] = three(stage);
        let mut sent = 0;
        while stage.is_open(from) && sent < 50_000_u32 {
            // A signature that is another one each time.
            let mut forged = genuine.to_vec();
            let end = forged.len();
            forged[end - 8..end - 4].copy_from_slice(&sent.to_be_bytes());
            stage.says(from, Kind::Pbft, &forged);
            sent += 1;
        }
        assert_eq!(sent, 20, "twenty within a minute");
        assert_eq!(votes(stage, b), []);
        stage.is_well(honest);
    });
    story_of(&network(Some(1)), |stage| {
        let [from, b, honest] = three(stage);
        let stranger =
            make::sealed(9, &Pbft { round_number: 1, body: Body::Prepare(make::vote(3, 0, 2, &digest)), chain_id: 0 });
        for sent in 0..30_000_u32 {
            let mut one = stranger.to_vec();
            let end = one.len();
            one[end - 8..end - 4].copy_from_slice(&sent.to_be_bytes());
            stage.says(from, Kind::Pbft, &one);
        }
        assert!(stage.engine.state().costs.refused.iter().sum::<u64>() > 5_000);
        assert_eq!(votes(stage, b), []);
        let (value, _) = first_value(stage);
        stage.says(honest, Kind::Pbft, &pre_prepare(0, 0, 2, &value));
        assert!(votes(stage, b).contains(&(1, 0, 1)), "the others are heard");
    });
}

#[test]
fn honest_traffic_costs_nothing_in_the_end() {
    story_of(&network(Some(1)), |stage| {
        let three = three(stage);
        for view in 0..200 {
            for replica in [0, 2, 3] {
                // Early votes of later ledgers, one of each from every peer.
                let digest = sha256(&i64::to_be_bytes(view));
                let one = commit(replica, view, 2, &digest);
                three.into_iter().for_each(|peer| stage.says(peer, Kind::Pbft, &one));
            }
        }
        assert_eq!(stage.engine.state().costs.refused.iter().sum::<u64>(), 0);
    });
}

#[test]
fn ledgers_that_others_committed_without_us_are_asked_for() {
    story_of(&network(None), |stage| {
        let [a, b, c] = three(stage);
        stage.wait(seconds(9));
        [a, b, c].into_iter().for_each(|peer| drop(stage.hears(peer)));
        let digest = sha256(b"what ledger 30 is made from");
        for (peer, replica) in [(a, 0), (b, 1), (c, 2)] {
            stage.says(peer, Kind::Pbft, &commit(replica, 28, 30, &digest));
        }
        stage.wait(seconds(2));
        let asked = [a, b, c].map(|peer| stage.asked_ranges(peer));
        assert_eq!(asked, [vec![(2, 2)], vec![(2, 2)], vec![(2, 2)]]);
        stage.answers(a, Kind::Ledgers, &make::answer(make::hundred(), 2, 2));
        assert_eq!(stage.tip(), 2);
    });
}
