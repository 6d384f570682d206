//! Stories of what nobody here can verify: `unverified_blocks`, the second peer, the host's last word. Mina spec, section
//! 3.6.

use crate::make::{self, gossip, transactions_with};
use crate::stage::*;
use polypeer_engine::{ChannelId, ConnectionId};
use polypeer_mina::config::Unverified;
use polypeer_mina::ledger::{Answer, Hash, Kind, Request, Verdict};
use polypeer_mina::streams::MESH;
use polypeer_mina::{HELD_MAX, HELD_OF_ONE_MAX, LaneCounts};

/// Three of different network groups, one of the first's.
const PLACES: [&str; 4] = ["10.1.0.9:40000", "10.2.0.9:40000", "10.3.0.9:40000", "10.1.0.8:40000"];

fn second_peer() -> Setting {
    let mut setting = setting();
    setting.config.unverified_blocks = Unverified::SecondPeer;
    setting.config.unverified_diffs = Unverified::SecondPeer;
    setting
}

fn four(stage: &mut Stage) -> Vec<(ConnectionId, ChannelId)> {
    let peers: Vec<_> = (7..).zip(PLACES).map(|(key, place)| stage.gossip(place, key)).collect();
    stage.wait(seconds(2));
    peers.iter().for_each(|(peer, _)| drop(stage.hears(*peer, MESH)));
    peers
}

fn counts(stage: &Stage, kind: Kind) -> LaneCounts {
    stage.engine.protocol().lane(kind)
}

// The id by which the ledger was asked about the last message.
fn last_id(stage: &Stage) -> Hash {
    let id = |request: &Request| match request {
        Request::Block { id, .. } | Request::Commands { id, .. } | Request::SnarkWork { id, .. } => Some(*id),
        _ => None,
    };
    stage.all_asked.iter().rev().find_map(id).expect("it was asked")
}

#[test]
fn a_second_peer_of_another_network_group_sets_it_free() {
    for data in [make::block(), make::transactions(), make::snark_work()] {
        story_of(&second_peer(), |stage| {
            let [(one, a), (two, b), (three, _), (neighbour, d)] = four(stage).try_into().expect("four");
            stage.says(one, a, &gossip(20, 1, &data));
            assert!(stage.is_told(three).is_empty());
            stage.says(one, a, &gossip(20, 1, &data));
            assert!(stage.is_told(three).is_empty(), "the same peer again is no second one");
            stage.says(neighbour, d, &gossip(21, 1, &data));
            assert!(stage.is_told(three).is_empty(), "nor is its neighbour");
            stage.says(two, b, &gossip(20, 1, &data));
            assert_eq!(stage.is_told(three), std::slice::from_ref(&data));
            for sender in [one, two, neighbour] {
                assert!(stage.is_told(sender).is_empty() && stage.faults(sender).is_empty());
            }
        });
    }
}

#[test]
fn a_second_peer_that_was_faster_than_the_ledger_counts_too() {
    let mut setting = second_peer();
    setting.is_asleep = true;
    story_of(&setting, |stage| {
        let [(one, a), (two, b), (three, _), _] = four(stage).try_into().expect("four");
        stage.says(one, a, &gossip(20, 1, &make::block()));
        stage.says(two, b, &gossip(20, 1, &make::block()));
        assert!(stage.is_told(three).is_empty());
        stage.awakes();
        assert_eq!(stage.is_told(three), [make::block()]);
        assert_eq!((counts(stage, Kind::Block).held, counts(stage, Kind::Block).accepted), (0, 1));
    });
}

#[test]
fn it_is_held_thirty_seconds_and_then_goes_nowhere() {
    story_of(&second_peer(), |stage| {
        let [(one, a), (two, b), (three, _), _] = four(stage).try_into().expect("four");
        stage.says(one, a, &gossip(20, 1, &make::block()));
        assert_eq!(counts(stage, Kind::Block).held, 1);
        stage.wait(seconds(29));
        assert_eq!(counts(stage, Kind::Block).expired, 0);
        stage.wait(seconds(1));
        assert_eq!(counts(stage, Kind::Block).expired, 1);
        stage.says(two, b, &gossip(20, 1, &make::block()));
        assert!(stage.is_told(three).is_empty(), "it is known, and was of no use");
        assert!(stage.faults(one).is_empty() && stage.faults(two).is_empty());
    });
}

#[test]
fn the_host_s_word_decides_while_it_is_held() {
    for (verdict, is_sent_on) in [(Verdict::Accept, true), (Verdict::Ignore, false), (Verdict::Reject, false)] {
        story_of(&second_peer(), |stage| {
            let [(one, a), _, (three, _), _] = four(stage).try_into().expect("four");
            stage.says(one, a, &gossip(20, 1, &make::block()));
            let id = last_id(stage);
            stage.ledger_says(Answer::Judged { id, verdict: Verdict::Unverified, wants: None });
            assert!(stage.is_told(three).is_empty(), "that was said before");
            stage.ledger_says(Answer::Judged { id, verdict, wants: None });
            assert_eq!(stage.is_told(three).len(), usize::from(is_sent_on));
            assert_eq!(stage.is_open(one), verdict != Verdict::Reject);
            stage.wait(seconds(31));
            assert_eq!(counts(stage, Kind::Block).expired, 0);
        });
    }
}

#[test]
fn a_host_that_verifies_needs_no_second_peer() {
    let mut setting = second_peer();
    setting.ledger.verdict = Verdict::Accept;
    story_of(&setting, |stage| {
        let [(one, a), _, (three, _), _] = four(stage).try_into().expect("four");
        stage.says(one, a, &gossip(20, 1, &make::block()));
        assert_eq!(stage.is_told(three), [make::block()]);
    });
}

#[test]
fn never_is_never_and_forward_is_at_once_each_for_its_own_kind() {
    for (blocks, diffs) in [(Unverified::Never, Unverified::Forward), (Unverified::Forward, Unverified::Never)] {
        let mut setting = setting();
        setting.config.unverified_blocks = blocks;
        setting.config.unverified_diffs = diffs;
        story_of(&setting, |stage| {
            let [(one, a), (two, b), (three, _), _] = four(stage).try_into().expect("four");
            stage.says(one, a, &gossip(20, 1, &make::block()));
            stage.says(two, b, &gossip(20, 1, &make::block()));
            assert_eq!(stage.is_told(three).len(), usize::from(blocks == Unverified::Forward));
            stage.says(one, a, &gossip(20, 2, &make::transactions()));
            assert_eq!(stage.is_told(three).len(), usize::from(diffs == Unverified::Forward));
            assert!(stage.faults(one).is_empty());
        });
    }
}

#[test]
fn on_one_machine_every_peer_is_a_second_one() {
    story_of(&second_peer(), |stage| {
        let (one, a) = stage.gossip("127.0.0.1:40001", 7);
        let (two, b) = stage.gossip("127.0.0.1:40002", 8);
        let (three, _) = stage.gossip("127.0.0.1:40003", 9);
        stage.wait(seconds(2));
        stage.hears(three, MESH);
        stage.says(one, a, &gossip(20, 1, &make::block()));
        assert!(stage.is_told(three).is_empty());
        stage.says(two, b, &gossip(20, 1, &make::block()));
        assert_eq!(stage.is_told(three), [make::block()]);
    });
}

#[test]
fn one_peer_s_oldest_makes_room_for_its_newest() {
    story_of(&second_peer(), |stage| {
        let [(one, a), (two, b), (three, _), _] = four(stage).try_into().expect("four");
        let sent = HELD_OF_ONE_MAX as u8 + 3;
        for nonce in 1..=sent {
            stage.says(one, a, &gossip(20, nonce.into(), &transactions_with(nonce)));
        }
        assert_eq!(counts(stage, Kind::Transactions).expired, 3);
        for nonce in 1..=sent {
            stage.says(two, b, &gossip(20, nonce.into(), &transactions_with(nonce)));
        }
        let told = stage.is_told(three);
        let kept: Vec<_> = (4..=sent).map(transactions_with).collect();
        assert_eq!(told, kept, "the three oldest are gone");
    });
}

#[test]
fn a_crowd_that_fills_what_is_held_does_not_keep_out_a_block() {
    story_of(&second_peer(), |stage| {
        let [(one, a), (two, b), (three, _), _] = four(stage).try_into().expect("four");
        let crowd: Vec<_> = (30..42).map(|key| stage.gossip(&format!("10.{key}.0.9:40000"), key)).collect();
        let mut nonce = 0;
        for (peer, channel) in crowd {
            for _ in 0..HELD_OF_ONE_MAX {
                nonce += 1;
                if nonce < 127 {
                    stage.says(peer, channel, &gossip(20, nonce.into(), &transactions_with(nonce)));
                }
            }
        }
        let held = counts(stage, Kind::Transactions).held - counts(stage, Kind::Transactions).expired;
        assert_eq!(held, HELD_MAX as u64);
        stage.says(one, a, &gossip(20, 200, &make::block()));
        stage.says(two, b, &gossip(20, 200, &make::block()));
        assert_eq!(stage.is_told(three), [make::block()]);
    });
}
