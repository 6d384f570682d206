//! Chains of real nodes, closed from the first ledger on: every hash must be the one that they reported.

use crate::world::{World, hex};
use bytes::Bytes;
use polypeer_bumo::hash::{Hash, HashType, sha256};
use polypeer_bumo::ledger::CloseError;
use polypeer_bumo::wire::{ConsensusValue, Envelope, Ledgers, Message};
use polypeer_ledger_bumo::{Config, LedgerKey, Reader, Rules};
use serde_json::Value;
use std::collections::BTreeSet;

macro_rules! fixture {
    ($name:literal) => {
        include_str!(concat!("../../../../protocols/bumo/tests/fixtures/", $name))
    };
}

const SOLO: [&str; 6] = [
    fixture!("ledgers_tx_chain_2_6.hex"),
    fixture!("ledgers_tx_chain_7_11.hex"),
    fixture!("ledgers_tx_chain_12_16.hex"),
    fixture!("ledgers_tx_chain_17_21.hex"),
    fixture!("ledgers_tx_chain_22_26.hex"),
    fixture!("ledgers_tx_chain_27_27.hex"),
];
const NET4: [&str; 5] = [
    fixture!("ledgers_2_2.hex"),
    fixture!("ledgers_3_7.hex"),
    fixture!("ledgers_8_12.hex"),
    fixture!("ledgers_13_17.hex"),
    fixture!("ledgers_18_18.hex"),
];

fn solo_vectors() -> Value {
    serde_json::from_str(fixture!("tx_chain_vectors.json")).unwrap()
}

fn chain_vectors() -> Value {
    serde_json::from_str(fixture!("chain_vectors.json")).unwrap()
}

/// The values of a chain, each with its proof.
pub(crate) fn ledgers(files: &[&str]) -> Vec<(Bytes, Bytes)> {
    let mut ledgers = Vec::new();
    for file in files {
        let message = hex(file);
        let envelope = Envelope::decode(&message).unwrap();
        let page = Ledgers::decode(envelope.data).unwrap();
        for (place, value) in page.values.iter().enumerate() {
            let proof = match page.values.get(place + 1) {
                Some(next) => ConsensusValue::decode(next).unwrap().previous_proof,
                None => page.proof,
            };
            ledgers.push((Bytes::copy_from_slice(value), Bytes::copy_from_slice(proof)));
        }
    }
    ledgers
}

pub(crate) fn solo() -> Vec<(Bytes, Bytes)> {
    ledgers(&SOLO)
}

fn rules_of(vectors: &Value) -> Rules {
    let validators: Vec<_> =
        vectors["validators"].as_array().unwrap().iter().map(|one| one["address"].as_str().unwrap()).collect();
    Rules::private(vectors["genesis_account"].as_str().unwrap(), &validators)
}

pub(crate) fn solo_rules() -> Rules {
    rules_of(&chain_vectors()["single"])
}

pub(crate) fn follower(rules: Rules) -> World {
    let count = rules.validators.len();
    World::open(Config::in_memory(rules), count)
}

fn hash(value: &Value) -> Hash {
    Hash(hex(value.as_str().unwrap()).try_into().unwrap())
}

#[test]
fn genesis_is_the_real_nodes() {
    let vectors = chain_vectors();
    for name in ["single", "net4"] {
        let vectors = &vectors[name];
        let world = follower(rules_of(vectors));
        let reader = &world.reader;
        let header = reader.ledger(&LedgerKey::Number(1)).unwrap().header;
        assert_eq!(header.hash, Some(hash(&vectors["genesis_ledger_hash"])));
        assert_eq!(header.accounts, Some(hash(&vectors["account_tree_root"])));
        assert_eq!(header.value, hash(&vectors["genesis_consensus_value_hash"]));
        assert_eq!(header.validators, hash(&vectors["validators_hash"]));
        assert_eq!(header.fees, hash(&vectors["fees_hash"]));
        let leaf = |address: &Value| reader.account(address.as_str().unwrap()).unwrap().bytes;
        assert_eq!(leaf(&vectors["genesis_account"])[..], hex(vectors["genesis_account_leaf"].as_str().unwrap())[..]);
        let validator = &vectors["validators"][0]["address"];
        assert_eq!(leaf(validator)[..], hex(vectors["validator0_account_leaf"].as_str().unwrap())[..]);
    }
}

#[test]
fn the_chain_with_transactions_has_every_hash_that_the_node_reported() {
    let vectors = solo_vectors();
    let mut world = follower(solo_rules());
    assert_eq!(world.tip().hash, hash(&vectors["genesis_ledger_hash"]));
    let told = vectors["ledgers"].as_array().unwrap();
    let mut told = told.iter().filter(|ledger| ledger["seq"].as_i64() > Some(1));
    let (mut count, mut transactions) = (0, 0);
    for (value, proof) in solo() {
        let ledger = told.next().unwrap();
        let tip = world.close(&value, &proof).unwrap();
        world.settle();
        assert_eq!(tip.hash, hash(&ledger["ledger_hash"]), "ledger {}", ledger["seq"]);
        assert_eq!(tip.value_hash, hash(&ledger["consensus_value_hash"]));
        check_header(&world.reader, ledger);
        transactions += check_transactions(&world.reader, ledger, &value);
        check_accounts(&world.reader, ledger);
        count += 1;
    }
    assert_eq!((count, transactions, told.next()), (26, 10, None));
    for (address, bytes) in vectors["final_account_bytes"].as_object().unwrap() {
        assert_eq!(world.reader.account(address).unwrap().bytes[..], hex(bytes.as_str().unwrap())[..]);
    }
    check_metadata(&world.reader, &vectors["metadata"]);
}

fn check_header(reader: &Reader, ledger: &Value) {
    let header = reader.ledger(&LedgerKey::Hash(hash(&ledger["ledger_hash"]))).unwrap().header;
    assert_eq!(header.number, ledger["seq"].as_u64().unwrap());
    assert_eq!(header.accounts, Some(hash(&ledger["account_tree_hash"])));
    assert_eq!(header.previous, Some(hash(&ledger["previous_hash"])));
    assert_eq!(header.validators, hash(&ledger["validators_hash"]));
    assert_eq!(header.fees, hash(&ledger["fees_hash"]));
    let numbers = [header.close_time, header.version, header.transactions];
    assert_eq!(numbers, ["close_time", "version", "tx_count"].map(|name| ledger[name].as_i64().unwrap()));
}

fn check_transactions(reader: &Reader, ledger: &Value, value: &[u8]) -> usize {
    let told = ledger["transactions"].as_array().unwrap();
    let view = reader.ledger(&LedgerKey::Number(ledger["seq"].as_u64().unwrap())).unwrap();
    assert_eq!(view.transactions, told.iter().map(|one| hash(&one["hash"])).collect::<Vec<_>>());
    let (mut failed, mut fees) = (BTreeSet::new(), 0);
    for (place, one) in (0..).zip(told) {
        let found = reader.transaction(&hash(&one["hash"])).unwrap();
        let at = found.place.unwrap();
        assert_eq!((at.ledger, at.hash), (view.header.number, view.header.hash));
        assert_eq!(i64::from(at.code.0), one["error_code"].as_i64().unwrap());
        assert_eq!(at.fee, one["fee_charged"].as_i64().unwrap());
        assert_eq!(found.bytes.len() as u64, one["envelope_size"].as_u64().unwrap());
        fees += at.fee;
        if at.code.0 != 0 {
            failed.insert(place);
        }
    }
    assert_eq!(fees, ledger["fees_collected"].as_i64().unwrap());
    let named = ConsensusValue::decode(value).unwrap().validation.unwrap_or_default();
    assert_eq!(named.error_tx_ids.iter().collect::<BTreeSet<_>>(), failed);
    let named = ledger["error_tx_ids"].as_array().unwrap().iter().map(|one| one.as_i64().unwrap() as i32);
    assert_eq!(named.collect::<BTreeSet<_>>(), failed);
    told.len()
}

fn check_accounts(reader: &Reader, ledger: &Value) {
    for (address, told) in ledger["accounts"].as_object().unwrap() {
        let account = reader.account(address).unwrap();
        let told = ["balance", "nonce"].map(|name| told[name].as_i64().unwrap());
        assert_eq!([account.balance, account.nonce], told, "{address} in ledger {}", ledger["seq"]);
    }
}

fn check_metadata(reader: &Reader, told: &Value) {
    for (address, entries) in told.as_object().unwrap() {
        for (name, bytes) in entries.as_object().unwrap() {
            let bytes = hex(bytes.as_str().unwrap());
            let entry = polypeer_bumo::wire::KeyPair::decode(&bytes).unwrap();
            assert_eq!(reader.metadata(address, name), Some((entry.value.to_owned(), entry.version)));
        }
    }
}

#[test]
fn the_chain_of_four_validators_is_closed_from_their_proofs() {
    let vectors = &chain_vectors()["net4"];
    let mut world = follower(rules_of(vectors));
    let told = vectors["chain"].as_array().unwrap();
    let ledgers = ledgers(&NET4);
    assert_eq!(ledgers.len(), 17);
    for ((value, proof), told) in ledgers.iter().zip(told) {
        assert_eq!(world.tip().hash, hash(&told["previous_ledger_hash"]));
        let tip = world.close(value, proof).unwrap();
        assert_eq!(
            (tip.seq, tip.value_hash),
            (told["ledger_seq"].as_i64().unwrap(), hash(&told["consensus_value_hash"]))
        );
        assert_eq!(tip.close_time, told["close_time"].as_i64().unwrap());
    }
    assert_eq!(world.tip().version, 1_003, "the chain upgrades itself");
}

/// A rule that is another one shows in the very hash that it is for.
#[test]
fn any_other_rule_gives_other_hashes() {
    let count = |rules: Rules| {
        let mut world = follower(rules);
        solo().iter().take_while(|(value, proof)| world.close(value, proof).is_ok()).count()
    };
    let rules = solo_rules();
    assert_eq!(count(rules.clone()), 26);
    let others: [(&str, Rules, usize); 6] = [
        ("gas price", Rules { gas_price: 1_001, ..rules.clone() }, 0),
        ("reserve", Rules { base_reserve: 10_000_001, ..rules.clone() }, 0),
        ("slogan", Rules { slogan: "another".to_owned(), ..rules.clone() }, 0),
        ("chain", Rules { chain_id: 1, ..rules.clone() }, 0),
        ("hash", Rules { hash: HashType::Sm3, ..rules.clone() }, 0),
        ("genesis account", Rules { genesis_account: crate::world::address("acct-a"), ..rules.clone() }, 0),
    ];
    for (name, rules, closed) in others {
        assert_eq!(count(rules), closed, "{name}");
    }
}

/// What a transaction does is in the hash of its ledger, which the next value names: with anything else done the chain
/// cannot go on.
#[test]
fn a_ledger_with_something_else_in_it_is_not_the_one_that_the_next_is_made_on() {
    let ledgers = solo();
    for (place, (value, proof)) in ledgers.iter().enumerate() {
        let wire = ConsensusValue::decode(value).unwrap();
        if wire.transactions().count() == 0 || place + 1 == ledgers.len() {
            continue;
        }
        let without = ConsensusValue { txset: Some(Default::default()), validation: None, ..wire }.encode();
        let later = ConsensusValue { close_time: wire.close_time + 1, ..wire }.encode();
        for altered in [without, later] {
            let digest = sha256(&altered);
            let rules = Rules { hard_forks: BTreeSet::from([digest]), ..solo_rules() };
            let mut world = follower(rules);
            world.take_all(&ledgers[..place]);
            // As if it had been agreed on.
            world.close(&altered, proof).unwrap();
            let (next, proof) = &ledgers[place + 1];
            assert_eq!(world.close(next, proof), Err(CloseError::PreviousHash));
        }
    }
}

#[test]
fn a_real_proof_of_another_ledger_closes_nothing() {
    let ledgers = ledgers(&NET4);
    let mut world = follower(rules_of(&chain_vectors()["net4"]));
    world.take_all(&ledgers[..2]);
    let (value, _) = &ledgers[2];
    for (place, (_, proof)) in ledgers.iter().enumerate().filter(|(place, _)| *place != 2) {
        assert!(matches!(world.close(value, proof), Err(CloseError::Proof(_))), "{place}");
    }
    assert_eq!(world.close(&ledgers[1].0, &ledgers[1].1), Err(CloseError::NotNext));
    assert_eq!(world.close(&ledgers[3].0, &ledgers[3].1), Err(CloseError::NotNext));
    world.take_all(&ledgers[2..]);
    assert_eq!(world.tip().seq, 18);
}
