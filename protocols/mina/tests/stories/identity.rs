//! Stories of who is behind a connection, and which of two stays: Mina spec, sections 1.4 and 8.3, rows 6 and 24 of
//! section 11.

use crate::make::{self, peer_id};
use crate::stage::*;
use polypeer_engine::shell::bans::Severity;
use polypeer_engine::{ConnectionId, Direction, P2pAction, Target};
use polypeer_mina::config::Named;

const HOST: &str = "10.0.0.9:8302";
const GUEST: &str = "10.0.0.9:40000";

/// Keys whose ids are below and above ours.
fn smaller_and_greater() -> (u8, u8) {
    let ours = peer_id(OURS);
    let find = |is_it: fn(&std::cmp::Ordering) -> bool| {
        (2..40).find(|number| is_it(&peer_id(*number).cmp(&ours))).expect("one of them is")
    };
    (find(|order| order.is_lt()), find(|order| order.is_gt()))
}

#[test]
fn nobody_without_a_key_is_spoken_with() {
    story(|stage| {
        let connection = ConnectionId::nth(Direction::Inbound, 500);
        stage.connected(connection, address(OWN), address(GUEST), None);
        assert_eq!((stage.is_open(connection), stage.faults(connection)), (false, vec!["no_identity".to_owned()]));
    });
}

#[test]
fn we_are_not_dialled_again_once_we_met_ourselves() {
    story(|stage| {
        let itself = stage.dial(HOST, OURS);
        assert_eq!((stage.is_open(itself), stage.faults(itself)), (false, vec!["itself".to_owned()]));
        assert_eq!(stage.severity(HOST), None);
        let before = stage.dialled.len();
        stage.act(P2pAction::Connect { address: address(HOST) });
        assert_eq!(stage.dialled.len(), before, "that address is ours");
    });
}

#[test]
fn row_6_whoever_is_not_who_was_named_is_let_go() {
    let mut setting = setting();
    let target = Target::Address(address(HOST));
    setting.p2p.add_peers = vec![target.clone()];
    setting.config.expected = vec![Named { target, peer_id: Some(peer_id(7)) }];
    story_of(&setting, |stage| {
        stage.wait(seconds(1));
        let other = stage.arrives(8, &ORDINARY);
        assert_eq!((stage.is_open(other), stage.faults(other)), (false, vec!["other_peer".to_owned()]));
        assert_eq!(stage.severity(HOST), None, "it did not ask to be dialled");
        let before = stage.dialled.len();
        stage.wait(seconds(60));
        assert!(stage.dialled.len() > before, "who was named is tried again");
        let named = stage.arrives(7, &ORDINARY);
        assert!(stage.is_ready(named));
    });
}

#[test]
fn row_24_of_two_that_dial_each_other_the_connection_of_the_smaller_id_stays() {
    let (smaller, greater) = smaller_and_greater();
    // Theirs is first, or ours.
    for (key, stays) in [(smaller, Direction::Inbound), (greater, Direction::Outbound)] {
        story(|stage| {
            let theirs = stage.guest(GUEST, key);
            let ours = stage.dial(HOST, key);
            assert_eq!(stage.is_open(theirs), stays == Direction::Inbound);
            assert_eq!(stage.is_open(ours), stays == Direction::Outbound);
            stage.wait(seconds(5));
            assert_eq!(stage.engine.protocol().ready_peers(), 1);
            assert!(stage.faults(theirs).is_empty() && stage.faults(ours).is_empty());
        });
        story(|stage| {
            let ours = stage.dial(HOST, key);
            let theirs = stage.guest(GUEST, key);
            assert_eq!(stage.is_open(theirs), stays == Direction::Inbound);
            assert_eq!(stage.is_open(ours), stays == Direction::Outbound);
            assert!(stage.faults(theirs).is_empty() && stage.faults(ours).is_empty());
            assert_eq!(stage.severity(GUEST), None);
        });
    }
}

#[test]
fn row_24_a_third_connection_is_refused_whoever_dialled() {
    let (smaller, greater) = smaller_and_greater();
    for key in [smaller, greater] {
        story(|stage| {
            let first = stage.guest(GUEST, key);
            stage.wait(seconds(10));
            let second = stage.guest("10.0.0.9:40001", key);
            let third = stage.dial(HOST, key);
            assert!(stage.is_open(first) && !stage.is_open(second) && !stage.is_open(third));
            assert!(stage.faults(second).is_empty() && stage.faults(third).is_empty());
            assert_eq!(stage.severity(GUEST), None);
        });
    }
}

/// An honest node may know several addresses of ours; whoever comes five times in a minute counts on something.
#[test]
fn row_24_whoever_opens_a_third_again_and_again_slips() {
    story(|stage| {
        let first = stage.guest(GUEST, 7);
        stage.wait(seconds(10));
        for round in 0..3 {
            for nth in 0..6 {
                let third = stage.guest(&format!("10.0.0.9:{}", 41_000 + 10 * round + nth), 7);
                let expected = if nth < 4 { vec![] } else { vec!["duplicate_connection".to_owned()] };
                assert_eq!((stage.is_open(third), stage.faults(third)), (false, expected), "{round} {nth}");
            }
            stage.wait(seconds(60));
        }
        assert!(stage.is_open(first) && stage.severity(GUEST).is_none());
        for nth in 0..30 {
            stage.guest(&format!("10.0.0.9:{}", 42_000 + nth), 7);
        }
        assert_eq!(stage.severity(GUEST), Some(Severity::Discouraged));
    });
}

/// Two nodes that name each other have one connection, and neither dials while it stands.
#[test]
fn a_named_peer_that_dialled_us_is_dialled_once_until_it_is_gone() {
    let mut setting = setting();
    let target = Target::Address(address(HOST));
    setting.p2p.add_peers = vec![target.clone()];
    setting.config.expected = vec![Named { target, peer_id: Some(peer_id(7)) }];
    story_of(&setting, |stage| {
        let guest = stage.guest(GUEST, 7);
        stage.wait(seconds(11));
        let ours = stage.arrives(7, &ORDINARY);
        assert!(stage.is_open(guest) && !stage.is_open(ours));
        let before = stage.dialled.len();
        stage.wait(seconds(90));
        assert_eq!(stage.dialled.len(), before, "it is here");
        stage.hang_up(guest);
        stage.wait(seconds(40));
        assert!(stage.dialled.len() > before, "it is gone");
    });
}

#[test]
fn names_of_others_cannot_be_taken() {
    story(|stage| {
        let honest = stage.guest(GUEST, 7);
        let thief = stage.guest("10.0.0.8:40000", 8);
        let push = stage.opens(thief, polypeer_mina::streams::IDENTIFY_PUSH);
        stage.says(thief, push, &make::identify(7, &[], &[]));
        assert!(stage.is_open(honest) && stage.is_ready(honest));
        assert_eq!(stage.faults(thief), ["other_key"]);
    });
}
