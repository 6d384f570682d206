//! Pings (Kaspa spec, section 4.2).

use crate::stage::*;
use polypeer_engine::shell::bans::Severity;
use polypeer_engine::{ConnectionId, P2pConfig, Protocol as _, Reason};
use polypeer_kaspa::wire::{Kind, Nonce};
use polypeer_kaspa::{Bans, Config};
use std::time::Duration;

const PEER: &str = "127.0.0.1:40000";
const MISMATCH: &str = "nonce mismatch between ping and pong";

fn pinged(stage: &mut Stage, peer: ConnectionId) -> u64 {
    let ping = stage.hears_one(peer, Kind::Ping);
    Nonce::decode(&ping.body).expect("a nonce").0
}

/// The operator wants the source document's ban, for loopback too.
fn strict() -> Setting {
    let setting = holding(2);
    let bans = Bans { wrong_pong: true, ..Bans::default() };
    Setting {
        config: Config { bans, ..setting.config },
        p2p: P2pConfig { spare_loopback: false, ..setting.p2p },
        ..setting
    }
}

#[test]
fn every_two_minutes_a_ping_and_its_pong() {
    story(|stage| {
        let peer = stage.guest(PEER);
        stage.wait(Duration::from_millis(119_999));
        stage.hears_nothing(peer);
        stage.wait(Duration::from_millis(1));
        let first = pinged(stage, peer);
        stage.wait(Duration::from_millis(7));
        stage.says(peer, Kind::Pong, &Nonce(first).encode());
        let about =
            stage.engine.protocol().describe(stage.engine.state().peers[&peer].peer.as_ref().expect("it is there"));
        assert_eq!(about.ping_micros, Some(7_000));
        stage.wait(Duration::from_millis(119_992));
        stage.hears_nothing(peer);
        stage.wait(Duration::from_millis(1));
        assert_ne!(pinged(stage, peer), first);
    });
}

#[test]
fn a_ping_is_answered_with_its_nonce() {
    story(|stage| {
        let peer = stage.guest(PEER);
        for nonce in [0, 1, u64::MAX] {
            stage.asks(peer, Kind::Ping, &Nonce(nonce).encode(), 9);
            let pong = stage.hears_one(peer, Kind::Pong);
            assert_eq!((Nonce::decode(&pong.body), pong.response_id), (Ok(Nonce(nonce)), 0));
        }
    });
}

#[test]
fn twenty_thousand_pings_in_a_burst_are_all_answered() {
    story(|stage| {
        let peer = stage.guest(PEER);
        for nonce in 0..20_000 {
            stage.says(peer, Kind::Ping, &Nonce(nonce).encode());
        }
        let pongs = stage.hears(peer);
        assert!(pongs.iter().zip(0..).all(|(pong, nonce)| Nonce::decode(&pong.body) == Ok(Nonce(nonce))));
        assert_eq!(pongs.len(), 20_000);
    });
}

#[test]
fn a_wrong_pong_is_refused_and_nobody_is_banned() {
    story(|stage| {
        let peer = stage.guest("10.0.0.9:40000");
        stage.wait(seconds(120));
        let nonce = pinged(stage, peer);
        stage.says(peer, Kind::Pong, &Nonce(nonce ^ 1).encode());
        stage.is_rejected(peer, MISMATCH);
        assert_ne!(stage.severity("10.0.0.9:1"), Some(Severity::Banned));
        let again = stage.guest("10.0.0.9:40001");
        stage.is_well(again);
    });
}

#[test]
fn a_wrong_pong_is_banned_for_where_the_operator_wants_it() {
    story_of(&strict(), |stage| {
        let peer = stage.guest(PEER);
        stage.wait(seconds(120));
        let nonce = pinged(stage, peer);
        stage.says(peer, Kind::Pong, &Nonce(nonce ^ 1).encode());
        stage.is_rejected(peer, MISMATCH);
        is_banned(stage, "wrong_pong");
    });
}

/// The ban is listed with its end, the reason is there, and a reconnection is refused until it ends.
pub(crate) fn is_banned(stage: &mut Stage, fault: &str) {
    let until_ms = stage.now.unix_ms + 86_400_000;
    let bans: Vec<_> = stage.engine.state().bans.all(stage.now).collect();
    let [(ip, ban)] = &bans[..] else { panic!("one ban: {bans:?}") };
    assert_eq!(*ip, address(PEER).ip());
    assert_eq!((ban.severity, ban.until_ms, ban.reason.as_str()), (Severity::Banned, until_ms, fault));
    assert!(stage.reasons(PEER).contains(&Reason::Banned { until_ms, fault: fault.into() }));
    let again = stage.accept(PEER);
    stage.is_cut(again);
    assert_eq!(stage.reasons(PEER).first(), Some(&Reason::RefusedBanned));
    stage.wait(seconds(86_400));
    let forgiven = stage.guest(PEER);
    stage.is_well(forgiven);
}

#[test]
fn loopback_is_spared_by_default() {
    let setting = strict();
    let spared = Setting { p2p: P2pConfig { spare_loopback: true, ..setting.p2p.clone() }, ..setting };
    story_of(&spared, |stage| {
        let peer = stage.guest(PEER);
        stage.wait(seconds(120));
        let nonce = pinged(stage, peer);
        stage.says(peer, Kind::Pong, &Nonce(nonce ^ 1).encode());
        stage.is_rejected(peer, MISMATCH);
        let again = stage.guest(PEER);
        stage.is_well(again);
    });
}

#[test]
fn a_pong_is_due_within_two_minutes() {
    story(|stage| {
        let peer = stage.guest(PEER);
        stage.wait(seconds(120));
        let nonce = pinged(stage, peer);
        stage.wait(Duration::from_millis(119_999));
        stage.says(peer, Kind::Pong, &Nonce(nonce).encode());
        stage.is_well(peer);
    });
    story(|stage| {
        let peer = stage.guest(PEER);
        stage.wait(seconds(120));
        pinged(stage, peer);
        stage.wait(seconds(120));
        stage.is_rejected(peer, "timeout expired after 120s");
    });
}

/// Today's nodes would keep it and take it for the answer to their next Ping. Here it is a slip, and the next Ping has
/// its own answer.
#[test]
fn a_pong_that_nobody_asked_for_is_borne() {
    story(|stage| {
        let peer = stage.guest(PEER);
        stage.says(peer, Kind::Pong, &Nonce(5).encode());
        stage.hears_nothing(peer);
        assert_eq!(stage.slips(peer), 1);
        stage.wait(seconds(120));
        let nonce = pinged(stage, peer);
        stage.says(peer, Kind::Pong, &Nonce(nonce).encode());
        stage.is_well(peer);
        (0..19).for_each(|_| stage.says(peer, Kind::Pong, &[]));
        assert!(stage.is_open(peer));
        stage.says(peer, Kind::Pong, &[]);
        assert!(!stage.is_open(peer));
    });
}
