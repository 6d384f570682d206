//! Times that a peer names, and clocks at their ends: gossipsub CVE-2026-33040 and CVE-2026-34219.

use crate::stage::{Stage, connection, signed};
use polypeer_engine::Time;
use polypeer_mina::mesh::frame;
use polypeer_mina::mesh::{CONSENSUS, Verdict};
use std::time::Duration;

/// A back-off of any length does no harm when it comes (CVE-2026-33040), nor at any of the heartbeats after it
/// (CVE-2026-34219), nor when its peer grafts within it.
#[test]
fn back_offs_of_any_length_do_no_harm_then_nor_ten_heartbeats_later() {
    let edges = [0, 1, 59, 60, u64::from(u32::MAX), i64::MAX as u64, i64::MAX as u64 + 1, u64::MAX - 1, u64::MAX];
    for seconds in edges {
        let mut stage = Stage::new();
        stage.crowd(3);
        stage.say(connection(1), &frame::prune(CONSENSUS, Some(seconds), &[]));
        assert_eq!(stage.members(), [2, 3], "{seconds}");
        stage.beats(40);
        stage.say(connection(1), &frame::graft(CONSENSUS));
        stage.beats(20);
        assert!(stage.mesh.held()[5] <= 1, "{seconds}");
        stage.spread(2, b"payload");
        // After the longest that is believed it is tried again.
        stage.pass(Duration::from_secs(60 * 60 + 80));
        assert_eq!(stage.members(), [1, 2, 3], "{seconds}");
    }
}

#[test]
fn clocks_at_their_ends_do_no_harm() {
    let mut stage = Stage::new();
    stage.crowd(3);
    stage.say(connection(1), &frame::prune(CONSENSUS, Some(u64::MAX), &[]));
    for micros in [u64::MAX - 5_000_000, u64::MAX - 1, u64::MAX, 0, 5, 1 << 62] {
        stage.now = Time::from_micros(micros);
        stage.mesh.wake(stage.now, &mut stage.out);
        stage.say(connection(1), &frame::graft(CONSENSUS));
        stage.say(connection(2), &frame::prune(CONSENSUS, Some(u64::MAX), &[]));
        stage.say(connection(3), &signed(9, micros, CONSENSUS, &micros.to_be_bytes()));
        stage.judge(Verdict::Accept);
        stage.out.clear();
        assert!(stage.mesh.is_sound());
    }
}

/// A machine that slept makes up for no heartbeat.
#[test]
fn a_long_sleep_is_one_heartbeat() {
    let mut stage = Stage::new();
    stage.crowd(8);
    stage.now = stage.now + Duration::from_secs(100_000);
    stage.mesh.wake(stage.now, &mut stage.out);
    assert!(stage.mesh.next_wake().is_some_and(|at| at > stage.now));
    assert!(stage.outputs().len() < 20);
}

/// Bitcoin's network time, 2020: numbers in messages are nobody's clock.
#[test]
fn numbers_of_messages_mean_nothing() {
    let mut stage = Stage::new();
    stage.crowd(3);
    for (number, seqno) in [0, 1, u64::MAX, i64::MAX as u64, i64::MAX as u64 + 1].into_iter().enumerate() {
        stage.say(connection(1), &signed(9, seqno, CONSENSUS, &[number as u8]));
    }
    assert_eq!((stage.delivered().len(), stage.faults()), (5, vec![]));
}
