//! Stories of upgrade notices: BUMO spec, section 8, and rows 17 and 25 of the checklist in 10.3.

use crate::greeting::PEER;
use crate::make::{self, data_of, notice};
use crate::stage::*;
use bytes::Bytes;
use polypeer_bumo::ledger::Request;
use polypeer_bumo::wire::{Kind, LedgerUpgrade, LedgerUpgradeNotify, Message as _};
use polypeer_engine::ConnectionId;
use polypeer_engine::shell::bans::Severity;

const NOTICE: Kind = Kind::LedgerUpgradeNotify;

/// A node whose chain has the oldest rules.
fn old() -> Setting {
    let mut setting = holding(20);
    setting.ledger.version = 1000;
    setting
}

fn three(stage: &mut Stage) -> [ConnectionId; 3] {
    let three = [PEER, "10.0.0.7:40000", "10.0.0.8:40000"].map(|peer| stage.guest(peer));
    stage.wait(seconds(9));
    three.into_iter().for_each(|peer| drop(stage.hears(peer)));
    three
}

#[test]
fn a_validators_notice_goes_to_the_others_once() {
    let captured = data_of("ledger_upgrade_notify_r0.hex");
    story_of(&old(), |stage| {
        let [from, b, c] = three(stage);
        stage.says(from, NOTICE, &captured);
        stage.hears_nothing(from);
        [b, c].into_iter().for_each(|peer| assert_eq!(stage.hears_broadcast(peer, NOTICE), captured));
        [from, b].into_iter().for_each(|peer| stage.says(peer, NOTICE, &captured));
        [from, b, c].into_iter().for_each(|peer| stage.hears_nothing(peer));
    });
}

/// Today's node relays it once, and discards it afterwards. Ours looks first.
#[test]
fn row_25_a_notice_with_a_wrong_signature_goes_nowhere_and_its_relayer_is_not_to_blame() {
    let honest = notice(1, 5, 1003);
    let mut forged = honest.to_vec();
    *forged.last_mut().expect("a byte") ^= 1;
    let other_nonce = {
        let read = LedgerUpgradeNotify { nonce: 6, ..LedgerUpgradeNotify::decode(&honest).expect("a notice") };
        read.encode()
    };
    story_of(&old(), |stage| {
        let [from, b, _] = three(stage);
        for forged in [&forged[..], &other_nonce] {
            stage.says(from, NOTICE, forged);
        }
        stage.hears_nothing(b);
        assert_eq!(stage.slips(from), 0);
        stage.says(from, NOTICE, &honest);
        assert_eq!(stage.hears_broadcast(b, NOTICE), honest, "the genuine one is not held back by the forged");
    });
}

#[test]
fn a_strangers_notice_is_ignored_and_so_is_one_without_a_signature() {
    let unsigned =
        LedgerUpgradeNotify { signature: None, ..LedgerUpgradeNotify::decode(&notice(0, 1, 1003)).expect("one") }
            .encode();
    story_of(&old(), |stage| {
        let [from, b, _] = three(stage);
        for data in [&notice(7, 5, 1003)[..], &unsigned, &[]] {
            stage.says(from, NOTICE, data);
        }
        stage.hears_nothing(b);
        assert_eq!(stage.slips(from), 0);
    });
}

/// Whoever relays a forged one may be honest, so that it is not cut for any number; they just are looked at no more, and
/// cost no credit that its other words need.
#[test]
fn of_a_flood_of_forged_notices_one_of_each_possible_validator_is_looked_at() {
    let genuine = notice(1, 5, 1003);
    let read = LedgerUpgradeNotify::decode(&genuine).expect("a notice");
    let forged: Vec<_> = (0..4_000).map(|nonce| LedgerUpgradeNotify { nonce, ..read }.encode()).collect();
    story_of(&old(), |stage| {
        let [from, b, _] = three(stage);
        forged[..1_023].iter().filter(|data| **data != genuine).for_each(|data| stage.says(from, NOTICE, data));
        stage.says(from, NOTICE, &forged[2_000]);
        stage.says(from, NOTICE, &forged[2_001]);
        stage.says(from, NOTICE, &genuine);
        stage.hears_nothing(b);
        forged[2_002..].iter().for_each(|data| stage.says(from, NOTICE, data));
        assert_eq!((stage.slips(from), stage.severity(PEER)), (0, None));
        stage.is_well(from);
        stage.wait(millis(30));
        stage.hears(b);
        stage.says(from, NOTICE, &genuine);
        assert_eq!(stage.hears_broadcast(b, NOTICE), genuine, "another has its turn after 30 ms");
    });
}

/// No node relays these.
#[test]
fn whoever_brings_640_notices_of_strangers_within_a_minute_is_gone() {
    let made: Vec<_> = (0..640).map(|nonce| notice(7, nonce, 1003)).collect();
    story_of(&old(), |stage| {
        let [honest, from, _] = three(stage);
        made[..639].iter().for_each(|data| stage.says(from, NOTICE, data));
        assert_eq!(stage.slips(from), 19);
        stage.is_well(from);
        stage.says(from, NOTICE, &made[639]);
        assert!(!stage.is_open(from));
        stage.is_well(honest);
    });
}

#[test]
fn another_chains_notice_is_ignored() {
    let key = make::validator(1);
    let upgrade = LedgerUpgrade { new_ledger_version: 1003, chain_id: 2, ..LedgerUpgrade::default() };
    let bytes = upgrade.encode();
    let whole = polypeer_bumo::wire::Whole { bytes: &bytes, message: upgrade };
    let mut read = LedgerUpgradeNotify { nonce: 3, upgrade: Some(whole), signature: None };
    let (public_key, signature) = (key.public().text(), key.sign(&read.signed()));
    read.signature = Some(polypeer_bumo::wire::Signature { public_key: &public_key, sign_data: &signature });
    let other = read.encode();
    story_of(&old(), |stage| {
        let [from, b, _] = three(stage);
        stage.says(from, NOTICE, &other);
        stage.hears_nothing(b);
    });
}

#[test]
fn row_17_a_notice_that_does_not_decode_ends_the_connection() {
    story(|stage| {
        let [honest, peer] = ["10.0.0.7:40000", PEER].map(|peer| stage.guest(peer));
        stage.says(peer, NOTICE, &[0xff]);
        stage.is_cut(peer);
        assert_eq!(stage.severity(PEER), Some(Severity::Discouraged));
        stage.is_well(honest);
    });
}

#[test]
fn a_notice_in_other_bytes_or_too_long_is_borne() {
    let mut unknown = notice(1, 5, 1003).to_vec();
    unknown.extend_from_slice(&[0x78, 1]);
    let long_address = "b".repeat(2_000);
    let upgrade = LedgerUpgrade { new_validator: &long_address, ..LedgerUpgrade::default() };
    let bytes = upgrade.encode();
    let whole = polypeer_bumo::wire::Whole { bytes: &bytes, message: upgrade };
    let long = LedgerUpgradeNotify { upgrade: Some(whole), ..LedgerUpgradeNotify::default() }.encode();
    story(|stage| {
        let peer = stage.settled(PEER);
        stage.says(peer, NOTICE, &unknown);
        stage.says(peer, NOTICE, &long);
        assert_eq!(stage.slips(peer), 2);
        stage.is_well(peer);
    });
}

/// The notices that a peer was sent since it was asked last.
fn notices(stage: &mut Stage, peer: ConnectionId) -> Vec<Bytes> {
    stage.hears(peer).into_iter().filter(|said| said.kind == NOTICE).map(|said| said.data).collect()
}

fn validating(number: usize) -> Setting {
    let mut setting = old();
    setting.ledger.signer = Some(number);
    setting
}

#[test]
fn a_validator_wishes_for_the_rules_that_it_knows_at_once_and_every_thirty_seconds() {
    story_of(&validating(2), |stage| {
        let peer = stage.guest(PEER);
        stage.lively = vec![peer];
        stage.wait(seconds(95));
        let told = notices(stage, peer);
        let nonces: Vec<_> = told.iter().map(|data| LedgerUpgradeNotify::decode(data).expect("one").nonce).collect();
        let clock = make::CLOCK_MS as i64 * 1000;
        assert_eq!(nonces, [30, 60, 90].map(|second| clock + second * 1_000_000));
        assert_eq!(told[0], notice(2, nonces[0], 1003));
    });
    for setting in [holding(20), old()] {
        story_of(&setting, |stage| {
            let peer = stage.guest(PEER);
            stage.lively = vec![peer];
            stage.wait(seconds(95));
            assert_eq!(notices(stage, peer), Vec::<Bytes>::new(), "nobody to wish, or nothing to wish for");
        });
    }
}

/// What the ledger is told to put into the value that it proposes next.
fn proposes(stage: &mut Stage) -> Option<Bytes> {
    for _ in 0..2_000 {
        stage.is_asleep = true;
        stage.wait(millis(100));
        let proposed = stage.asked.iter().find_map(|(_, request)| match request {
            Request::Propose { upgrade } => Some(upgrade.clone()),
            _ => None,
        });
        stage.awakes();
        if let Some(upgrade) = proposed {
            return upgrade;
        }
    }
    panic!("it never proposes");
}

/// A validator alone on a chain whose next primary it is, with wishes of these others.
fn with_wishes(wishes: &[(usize, i64)], expected: Option<i64>) {
    let mut setting = validating(0);
    // After genesis the first validator proposes.
    setting.ledger.closed.clear();
    story_of(&setting, |stage| {
        let peer = stage.guest(PEER);
        for (signer, version) in wishes {
            stage.says(peer, NOTICE, &notice(*signer, 77, *version));
        }
        let upgrade = proposes(stage);
        let version = upgrade.map(|bytes| LedgerUpgrade::decode(&bytes).expect("one").new_ledger_version);
        assert_eq!(version, expected, "{wishes:?}");
    });
}

#[test]
fn what_a_majority_wishes_for_is_proposed() {
    with_wishes(&[], None);
    with_wishes(&[(1, 1003)], None);
    // With our own there are three of four.
    with_wishes(&[(1, 1003), (3, 1003)], Some(1003));
    with_wishes(&[(1, 1003), (1, 1003)], None);
    with_wishes(&[(1, 1003), (3, 1002)], None);
    // A later wish of a validator takes the place of its first only if it is newer.
    with_wishes(&[(1, 1002), (1, 1003), (3, 1003)], None);
    // Nobody can be made to go beyond the rules that it knows, or back.
    with_wishes(&[(1, 1004), (2, 1004), (3, 1004)], None);
    with_wishes(&[(1, 1000), (2, 1000), (3, 1000)], None);
}
