//! Captured messages cut short and altered: nothing panics, and no altered byte that is signed or hashed verifies.

use super::captured::validators_of;
use super::fixtures::{Fixture, all, named, one};
use super::verify::verify;
use polypeer_bumo::wire::{
    Body, Encoded, Envelope, Kind, LedgerUpgradeNotify, Ledgers, Message as _, PbftEnv, TransactionEnv,
};
use std::ops::Range;

/// Cut after every byte: the whole envelope, and the data alone.
#[test]
fn a_message_that_is_cut_short_never_verifies() {
    for fixture in all() {
        for length in 0..fixture.payload.len() {
            let cut = &fixture.payload[..length];
            // The data are last and say how long they are, so no cut leaves them whole.
            let opened = Envelope::decode(cut).map(|envelope| envelope.data.len());
            assert!(opened.is_err() || opened == Ok(0), "{} cut at {length}", fixture.name);
        }
        if !is_verified(&fixture) {
            continue;
        }
        let validators = validators_of(&fixture.name);
        for length in 0..fixture.data().len() {
            let found = verify(fixture.kind(), &fixture.data()[..length], &validators);
            // Ledgers end with an optional field; without their proof they verify no longer.
            assert!(found.is_err(), "{} cut at {length}", fixture.name);
        }
    }
}

fn is_verified(fixture: &Fixture) -> bool {
    match fixture.kind() {
        Kind::Transaction | Kind::Pbft | Kind::LedgerUpgradeNotify => true,
        Kind::Ledgers => !fixture.envelope().is_request,
        Kind::Ping | Kind::Hello | Kind::Peers => false,
    }
}

/// Where a slice lies in the data it is of.
fn place(data: &[u8], part: &[u8]) -> Range<usize> {
    let start = part.as_ptr() as usize - data.as_ptr() as usize;
    assert!(start + part.len() <= data.len(), "a part of the data");
    start..start + part.len()
}

fn signed_of_pbft(data: &[u8], envelope: &[u8], places: &mut Vec<Range<usize>>) {
    let read = PbftEnv::decode(envelope).expect("an envelope");
    let pbft = read.pbft.expect("a pbft");
    places.push(place(data, pbft.bytes));
    places.push(place(data, read.signature.expect("a signature").sign_data));
    places.push(place(data, read.signature.expect("a signature").public_key.as_bytes()));
    let inner: Vec<Encoded<'_, PbftEnv<'_>>> = match pbft.message.body {
        Body::RawViewChange(raw) => {
            let set = raw.prepared_set.unwrap_or_default();
            raw.view_change_env.into_iter().chain(set.pre_prepare).chain(set.prepares).collect()
        }
        Body::NewView(view) => view.view_changes.into_iter().chain(view.pre_prepare).collect(),
        _ => Vec::new(),
    };
    inner.into_iter().for_each(|one| signed_of_pbft(data, one.bytes, places));
}

/// Every byte that a signature or a proof covers, and those of the signatures.
fn covered(fixture: &Fixture) -> Vec<Range<usize>> {
    let data = fixture.data();
    let mut places = Vec::new();
    match fixture.kind() {
        Kind::Pbft => signed_of_pbft(data, data, &mut places),
        Kind::Transaction => {
            let envelope = TransactionEnv::decode(data).expect("an envelope");
            places.push(place(data, envelope.transaction.expect("a transaction").bytes));
            for signature in envelope.signatures {
                places.push(place(data, signature.sign_data));
                places.push(place(data, signature.public_key.as_bytes()));
            }
        }
        Kind::LedgerUpgradeNotify => {
            let notice = LedgerUpgradeNotify::decode(data).expect("a notice");
            places.push(place(data, notice.upgrade.expect("an upgrade").bytes));
            places.push(place(data, notice.signature.expect("a signature").sign_data));
            // The nonce: the field before the upgrade.
            places.push(1..place(data, notice.upgrade.expect("an upgrade").bytes).start - 2);
        }
        Kind::Ledgers => {
            let ledgers = Ledgers::decode(data).expect("ledgers");
            places.extend(ledgers.values.iter().map(|value| place(data, value)));
            places.push(place(data, ledgers.proof));
        }
        Kind::Ping | Kind::Hello | Kind::Peers => {}
    }
    places
}

fn check_covered(fixture: &Fixture, changes: &[u8]) {
    let validators = validators_of(&fixture.name);
    let mut is_covered = vec![false; fixture.data().len()];
    covered(fixture).into_iter().flatten().for_each(|place| is_covered[place] = true);
    let mut altered = fixture.data().to_vec();
    for place in (0..altered.len()).filter(|place| is_covered[*place]) {
        for change in changes {
            altered[place] ^= change;
            assert!(verify(fixture.kind(), &altered, &validators).is_err(), "{} at {place}", fixture.name);
            altered[place] ^= change;
        }
    }
    assert_eq!(altered, fixture.data());
}

#[test]
fn no_signed_byte_of_a_vote_can_be_altered() {
    for fixture in named("pbft_").iter().filter(|fixture| fixture.payload.len() < 1000) {
        check_covered(fixture, &[0x01, 0x80]);
    }
}

#[test]
fn no_signed_byte_of_a_view_change_with_a_prepared_set_can_be_altered() {
    for name in ["pbft_newview_v5_prepared", "pbft_viewchange_raw_v5_prepared_r0"] {
        check_covered(&one(name), &[0x01]);
    }
}

#[test]
fn no_signed_byte_of_a_transaction_or_a_notice_can_be_altered() {
    check_covered(&one("transaction_pay_coin"), &[0x01, 0x02, 0x10, 0x80, 0xff]);
    check_covered(&one("ledger_upgrade_notify_r0"), &[0x01, 0x02, 0x10, 0x80, 0xff]);
}

#[test]
fn no_byte_of_a_value_or_a_proof_can_be_altered() {
    for name in ["ledgers_2_2", "ledgers_18_18", "ledgers_with_tx", "ledgers_tx_chain_17_21"] {
        check_covered(&one(name), &[0x01]);
    }
}

/// Every byte of every message changed in several ways is read without a panic, by every reader.
#[test]
fn nothing_panics() {
    for fixture in all() {
        for place in 0..fixture.payload.len() {
            for change in [0x01, 0x04, 0x20, 0x7f, 0x80, 0xff] {
                let mut altered = fixture.payload.clone();
                altered[place] ^= change;
                if let Ok(envelope) = Envelope::decode(&altered) {
                    read_as_everything(envelope.data);
                }
            }
        }
    }
}

fn read_as_everything(data: &[u8]) {
    use polypeer_bumo::wire as w;
    macro_rules! read {
        ($($name:ident)*) => { $(let _ = w::$name::decode(data).map(|message| message.encode());)* };
    }
    read!(Envelope Ping Hello HelloResponse Peers GetLedgers Ledgers LedgerUpgradeNotify TransactionEnv PbftEnv
        PbftProof ConsensusValue Ledger Account TransactionEnvStore ValidatorSet);
}
