//! The captured messages drive the machine, and what it says to them is what the real nodes said, byte for byte.

use crate::message::{self, COMMIT, PRE_PREPARE, PREPARE, Read};
use crate::stage::{Stage, tip};
use bytes::Bytes;
use polypeer_bumo::pbft::Seen;
use polypeer_bumo::wire::{Envelope, Kind, Message as _};
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);

/// The data of a captured message.
fn captured(name: &str) -> Bytes {
    let path = format!("{}/tests/fixtures/pbft_{name}.hex", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
    let message = const_hex::decode(text.trim()).expect("it is right");
    let envelope = Envelope::decode(&message).expect("it is right");
    assert_eq!(envelope.kind(), Some(Kind::Pbft));
    Bytes::copy_from_slice(envelope.data)
}

fn read(name: &str) -> Read {
    message::read(&captured(name))
}

/// On genesis of four validators, as this one.
fn on_genesis(own: Option<usize>) -> Stage {
    let mut stage = Stage::new(own, tip(4, 1, 0, &[]));
    stage.value = read("preprepare_v0_s2_round2").value;
    stage
}

#[test]
fn a_backup_prepares_and_commits_in_the_originals_bytes() {
    for (own, other) in [(2, 3), (3, 2)] {
        let mut stage = on_genesis(Some(own));
        assert_eq!(stage.hear(&captured("preprepare_v0_s2_round2")), Ok(Seen::Fresh));
        assert_eq!(stage.take(), [captured(&format!("prepare_v0_s2_r{own}"))]);
        assert_eq!(stage.hear(&captured(&format!("prepare_v0_s2_r{other}"))), Ok(Seen::Fresh));
        assert_eq!(stage.take(), [captured(&format!("commit_v0_s2_r{own}"))]);
        assert_eq!(stage.hear(&captured("commit_v0_s2_r0")), Ok(Seen::Fresh));
        assert_eq!(stage.hear(&captured(&format!("commit_v0_s2_r{other}"))), Ok(Seen::Fresh));
        assert_eq!(stage.closed, [read("preprepare_v0_s2_round2").value]);
        assert_eq!((stage.machine.view(), stage.machine.last()), ((1, true), 2));
    }
}

#[test]
fn the_primary_repeats_its_proposal_and_commits_in_the_originals_bytes() {
    let mut stage = on_genesis(Some(0));
    stage.pass(3 * SECOND);
    let said = stage.said();
    assert_eq!((said.len(), said[0].kind, said[0].round), (1, PRE_PREPARE, 1));
    stage.pass(Duration::from_millis(7_500));
    assert_eq!(stage.take(), [captured("preprepare_v0_s2_round2")]);
    stage.hear(&captured("prepare_v0_s2_r2")).unwrap();
    assert_eq!(stage.take(), [] as [Bytes; 0]);
    stage.hear(&captured("prepare_v0_s2_r3")).unwrap();
    assert_eq!(stage.take(), [captured("commit_v0_s2_r0")]);
    stage.hear(&captured("commit_v0_s2_r2")).unwrap();
    stage.hear(&captured("commit_v0_s2_r3")).unwrap();
    assert_eq!(stage.closed.len(), 1);
}

#[test]
fn a_follower_closes_what_it_sees_committed_in_any_order_and_says_nothing() {
    let names =
        ["commit_v0_s2_r0", "prepare_v0_s2_r2", "commit_v0_s2_r3", "preprepare_v0_s2_round2", "commit_v0_s2_r2"];
    for turn in 0..names.len() {
        let mut stage = on_genesis(None);
        for index in 0..names.len() {
            // What comes after the last that matters is old.
            let _ = stage.hear(&captured(names[(turn + index) % names.len()]));
        }
        assert_eq!((stage.closed.len(), stage.take()), (1, vec![]), "from {turn}");
    }
}

/// Ledger 2 was closed in view 0; the primary of view 1 is down.
fn waits_for_view_1(own: Option<usize>) -> Stage {
    let mut stage = Stage::new(own, tip(4, 2, 0, &[0, 2, 3]));
    stage.pass(30 * SECOND - Duration::from_millis(1));
    assert_eq!((stage.machine.view(), stage.take()), ((1, true), vec![]));
    stage
}

#[test]
fn a_view_that_takes_too_long_is_left_in_the_originals_bytes() {
    for own in [0, 2, 3] {
        let mut stage = waits_for_view_1(Some(own));
        stage.pass(Duration::from_millis(1));
        assert_eq!(stage.take(), [captured(&format!("viewchange_raw_v2_r{own}"))]);
        assert_eq!(stage.machine.view(), (1, false));
    }
}

#[test]
fn the_new_primary_opens_its_view_proposes_and_repeats_in_the_originals_bytes() {
    let mut stage = waits_for_view_1(Some(2));
    stage.value = read("preprepare_v2_s3").value;
    stage.hear(&captured("viewchange_raw_v2_r0")).unwrap();
    // With the second of the others it moves on too, and its own is the third.
    stage.hear(&captured("viewchange_raw_v2_r3")).unwrap();
    let expected = ["viewchange_raw_v2_r2", "newview_v2", "preprepare_v2_s3"].map(captured);
    assert_eq!(stage.take(), expected);
    assert_eq!(stage.machine.view(), (2, true));
    stage.pass(15 * SECOND);
    let sent = stage.take();
    assert!(sent.contains(&captured("newview_v2_round2")), "{} messages", sent.len());
}

#[test]
fn validators_and_followers_enter_the_captured_view_and_take_its_proposal() {
    for own in [None, Some(0), Some(3)] {
        let mut stage = waits_for_view_1(own);
        assert_eq!(stage.hear(&captured("preprepare_v2_s3")), Ok(Seen::Fresh), "it waits");
        assert_eq!(stage.hear(&captured("newview_v2")), Ok(Seen::Fresh));
        assert_eq!(stage.machine.view(), (2, true));
        let prepares: Vec<_> = stage.said().into_iter().filter(|read| read.kind == PREPARE).collect();
        assert_eq!(prepares.len(), usize::from(own.is_some()));
        assert_eq!(stage.hear(&captured("newview_v2_round2")), Ok(Seen::Stale), "too soon");
        stage.pass(15 * SECOND);
        assert_eq!(stage.hear(&captured("newview_v2_round2")), Ok(Seen::Fresh), "relayed, and no more");
    }
}

/// Ledger 4 was closed in view 3; in view 4 a value was prepared and not committed.
fn prepared_in_view_4(own: usize) -> Stage {
    let mut stage = Stage::new(Some(own), tip(4, 4, 3, &[0, 1, 3]));
    stage.hear(&captured("preprepare_v4_s5")).expect("it is right");
    let (_, prepares) = read("viewchange_raw_v5_prepared_r0").set.expect("it is there");
    prepares.iter().filter(|prepare| message::read(prepare).replica != own).for_each(|prepare| {
        let _ = stage.hear(prepare);
    });
    stage
}

#[test]
fn what_is_prepared_is_reported_as_the_original_reports_it() {
    let mut stage = prepared_in_view_4(1);
    let said = stage.said();
    assert_eq!(said.iter().map(|read| read.kind).collect::<Vec<_>>(), [PREPARE, COMMIT]);
    stage.pass(31 * SECOND);
    let change = stage.said().into_iter().find(|read| read.kind == message::RAW_VIEW_CHANGE).unwrap();
    let captured = read("viewchange_raw_v5_prepared_r1");
    // The original lists repetitions besides.
    assert_eq!((change.round, &change.inner), (captured.round, &captured.inner));
    let (ours, theirs) = (change.set.unwrap(), captured.set.unwrap());
    assert_eq!(ours.0, theirs.0);
    assert_eq!(ours.1.len(), 2);
    assert!(ours.1.iter().all(|prepare| theirs.1.contains(prepare)));
}

#[test]
fn the_new_primary_carries_what_is_prepared_in_the_originals_bytes() {
    let mut stage = prepared_in_view_4(1);
    stage.take();
    let opened = read("newview_v5_prepared");
    let raw_of_0 = read("viewchange_raw_v5_prepared_r0");
    let raw_of_3 = message::raw_view_change(3, 0, &opened.changes[0], raw_of_0.set.as_ref());
    stage.hear(&raw_of_3).unwrap();
    stage.hear(&captured("viewchange_raw_v5_prepared_r0")).unwrap();
    let sent = stage.take();
    assert_eq!(sent[1..], ["newview_v5_prepared", "preprepare_v5_s5"].map(captured));
    assert_eq!(message::read(&sent[0]).inner, read("viewchange_raw_v5_prepared_r1").inner);
}

#[test]
fn a_new_primary_that_never_saw_the_value_learns_it_from_the_view_changes() {
    let mut stage = Stage::new(Some(1), tip(4, 4, 3, &[0, 1, 3]));
    stage.value = b"something else".to_vec();
    let opened = read("newview_v5_prepared");
    let set = read("viewchange_raw_v5_prepared_r0").set;
    stage.hear(&message::raw_view_change(3, 0, &opened.changes[0], set.as_ref())).unwrap();
    stage.hear(&captured("viewchange_raw_v5_prepared_r0")).unwrap();
    let proposal = stage.said().pop().unwrap();
    assert_eq!((proposal.kind, proposal.view, proposal.value), (PRE_PREPARE, 5, read("preprepare_v4_s5").value));
}

#[test]
fn the_prepared_value_is_prepared_again_in_the_captured_view() {
    for own in [2, 3] {
        let mut stage = if own == 2 { Stage::new(Some(2), tip(4, 4, 3, &[0, 1, 3])) } else { prepared_in_view_4(own) };
        stage.take();
        stage.hear(&captured("newview_v5_prepared")).unwrap();
        stage.hear(&captured("preprepare_v5_s5")).unwrap();
        let said = stage.said();
        let prepare = said.iter().find(|read| read.kind == PREPARE).unwrap();
        assert_eq!((prepare.view, &prepare.digest), (5, &read("preprepare_v5_s5").digest));
    }
}

#[test]
fn a_proposal_with_an_upgrade_is_prepared_like_any_other() {
    let mut stage = Stage::new(Some(1), tip(4, 3, 2, &[0, 1, 3]));
    stage.hear(&captured("preprepare_v3_s4_upgrade")).unwrap();
    let said = stage.said();
    assert_eq!((said.len(), said[0].kind, &said[0].digest), (1, PREPARE, &read("preprepare_v3_s4_upgrade").digest));
}

#[test]
fn an_altered_byte_of_a_captured_message_is_noticed() {
    let names = ["preprepare_v0_s2_round2", "prepare_v0_s2_r2", "commit_v0_s2_r0"];
    for name in names {
        let whole = captured(name);
        for at in 0..whole.len() {
            let mut broken = whole.to_vec();
            broken[at] ^= 1;
            let broken = Bytes::from(broken);
            let mut stage = on_genesis(Some(3));
            assert!(stage.hear(&broken).is_err(), "{name} at {at}");
        }
    }
    let mut stage = waits_for_view_1(Some(0));
    for name in ["newview_v2", "viewchange_raw_v2_r2"] {
        let whole = captured(name);
        for at in 0..whole.len() {
            let mut broken = whole.to_vec();
            broken[at] ^= 1;
            let broken = Bytes::from(broken);
            assert!(stage.hear(&broken).is_err(), "{name} at {at}");
            assert!(stage.hear(&whole.slice(..at)).is_err(), "{name} cut at {at}");
        }
    }
    assert_eq!(stage.machine.view(), (1, true));
}
