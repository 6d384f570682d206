//! What a stock protobuf library writes we read, and what we take it would have written.

use super::fixtures::all;
use super::oracle::{self, Any as _, Dice};
use super::pairs::{Digits, Pair, canonical, check, loose};
use polypeer_bumo::wire::{self, Kind};
use proptest::prelude::*;
use prost::Message as _;

/// Changes some bytes at random, in the ways that messages go wrong.
fn damage(bytes: &mut Vec<u8>, dice: &mut Dice) {
    let place = dice.below(bytes.len() + 1);
    let end = (place + dice.below(12)).min(bytes.len());
    match dice.below(8) {
        0 => bytes.truncate(place),
        1 => drop(bytes.drain(place..end)),
        2 => bytes.extend_from_within(place..end),
        3 => bytes.insert(place, [0, 1, 0x08, 0x0a, 0x12, 0x80, 0xff][dice.below(7)]),
        4 => bytes.rotate_left(place),
        5 => {
            let piece: Vec<u8> = bytes[place..end].to_vec();
            bytes.splice(place..place, piece);
        }
        _ => {
            if let Some(byte) = bytes.get_mut(place) {
                *byte ^= 1 << dice.below(8);
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_a_stock_library_writes_is_read_and_written_again(seed: u64) {
        let mut dice = Dice::new(seed);
        for pair in canonical().iter().chain(&loose()) {
            let bytes = (pair.any)(&mut dice);
            check(pair, &bytes);
            prop_assert!((pair.ours)(&bytes).is_some(), "{} {}", pair.name, Digits(&bytes));
        }
    }

    #[test]
    fn what_is_damaged_is_taken_when_a_stock_library_would_have_written_it(seed: u64) {
        let mut dice = Dice::new(seed);
        for pair in canonical().iter().chain(&loose()) {
            let mut bytes = (pair.any)(&mut dice);
            for _ in 0..4 {
                damage(&mut bytes, &mut dice);
                check(pair, &bytes);
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    /// What a stock library takes of a damaged proof it writes as we do.
    #[test]
    fn a_damaged_proof_is_made_canonical_as_a_stock_library_writes_it(seed: u64) {
        let mut dice = Dice::new(seed);
        let mut bytes = oracle::PbftProof::any(&mut dice).encode_to_vec();
        for _ in 0..6 {
            damage(&mut bytes, &mut dice);
            if let Ok(theirs) = oracle::PbftProof::decode(bytes.as_slice()) {
                let ours = wire::canonical_proof(&bytes.clone().into());
                let ours = ours.map(|proof| proof.to_vec());
                prop_assert_eq!(ours, Ok(theirs.encode_to_vec()), "{}", Digits(&bytes));
            }
        }
    }
}

/// Which pair the data of a captured message belongs to.
fn name_of(kind: Kind, is_request: bool) -> &'static str {
    match (kind, is_request) {
        (Kind::Ping, _) => "Ping",
        (Kind::Hello, true) => "Hello",
        (Kind::Hello, false) => "HelloResponse",
        (Kind::Peers, _) => "Peers",
        (Kind::Transaction, _) => "TransactionEnv",
        (Kind::Ledgers, true) => "GetLedgers",
        (Kind::Ledgers, false) => "Ledgers",
        (Kind::Pbft, _) => "PbftEnv",
        (Kind::LedgerUpgradeNotify, _) => "LedgerUpgradeNotify",
    }
}

/// Every captured message, as it is, cut everywhere, and with every byte changed: both libraries say the same.
#[test]
fn captured_messages_and_all_their_damages_are_judged_alike() {
    let pairs: Vec<Pair> = canonical().into_iter().chain(loose()).collect();
    for fixture in all() {
        let envelope = fixture.envelope();
        let name = name_of(fixture.kind(), envelope.is_request);
        let pair = pairs.iter().find(|pair| pair.name == name).expect("a pair");
        let data = envelope.data;
        (0..=data.len()).for_each(|length| check(pair, &data[..length]));
        for place in 0..data.len() {
            for change in [0x01, 0x08, 0x80, 0xff] {
                let mut changed = data.to_vec();
                changed[place] ^= change;
                check(pair, &changed);
            }
        }
    }
}
