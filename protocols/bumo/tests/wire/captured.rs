//! Messages of real nodes are read, verified and written again to the same bytes.

use super::fixtures::{all, digits, facts, files, hash, named, one, validators};
use super::verify::{value_hash, verify};
use polypeer_bumo::hash::sha256;
use polypeer_bumo::keys::PublicKey;
use polypeer_bumo::proof::{Validators, check_proof};
use polypeer_bumo::wire::{
    Body, ConsensusValue, Envelope, GetLedgers, Hello, HelloResponse, Kind, Ledger, LedgerHeader, LedgerUpgradeNotify,
    Ledgers, List, Message, Packed, PbftEnv, PbftProof, Peers, Ping, TransactionEnv,
};
use serde_json::Value;

/// The validators of the network that a message is of.
pub(crate) fn validators_of(name: &str) -> Validators {
    let is_of_one = name.starts_with("ledgers_tx_chain") || name.starts_with("ledgers_with_tx");
    validators(if is_of_one { "single" } else { "net4" })
}

fn again<'a, T: Message<'a>>(bytes: &'a [u8]) -> Vec<u8> {
    T::decode(bytes).map(|message| message.encode().to_vec()).unwrap_or_else(|wrong| panic!("{wrong}"))
}

/// The data of an envelope, read and written.
pub(crate) fn data_again(envelope: &Envelope<'_>) -> Vec<u8> {
    let data = envelope.data;
    match (envelope.kind(), envelope.is_request) {
        (Some(Kind::Ping), _) => again::<Ping>(data),
        (Some(Kind::Hello), true) => again::<Hello<'_>>(data),
        (Some(Kind::Hello), false) => again::<HelloResponse<'_>>(data),
        (Some(Kind::Peers), _) => again::<Peers<'_>>(data),
        (Some(Kind::Transaction), _) => again::<TransactionEnv<'_>>(data),
        (Some(Kind::Ledgers), true) => again::<GetLedgers>(data),
        (Some(Kind::Ledgers), false) => again::<Ledgers<'_>>(data),
        (Some(Kind::Pbft), _) => again::<PbftEnv<'_>>(data),
        (Some(Kind::LedgerUpgradeNotify), _) => again::<LedgerUpgradeNotify<'_>>(data),
        (None, _) => panic!("no kind"),
    }
}

/// A digest over names and bytes of all captured files, so that none moves unnoticed.
#[test]
fn no_captured_byte_has_moved() {
    let mut everything = Vec::new();
    for (name, bytes) in files() {
        everything.extend_from_slice(format!("{name} {}\n", sha256(&bytes)).as_bytes());
    }
    assert_eq!(sha256(&everything).to_string(), "aab6523ea0c96c52816ed17f07d789de39396c6d90792159d6df98b50800307f");
}

#[test]
fn every_message_is_written_again_to_the_same_bytes() {
    let fixtures = all();
    assert_eq!(fixtures.len(), 51);
    for fixture in fixtures {
        let envelope = fixture.envelope();
        assert_eq!(envelope.encode(), fixture.payload, "{}", fixture.name);
        assert_eq!([&envelope.head(), envelope.data].concat(), fixture.payload, "{}", fixture.name);
        assert_eq!(data_again(&envelope), envelope.data, "{}", fixture.name);
    }
}

#[test]
fn what_is_inside_a_message_is_written_again_to_the_same_bytes() {
    let mut values = 0;
    for fixture in named("pbft_") {
        let envelope = PbftEnv::decode(fixture.data()).expect("an envelope");
        let pbft = envelope.pbft.expect("a pbft");
        assert_eq!(pbft.message.encode(), pbft.bytes, "{}", fixture.name);
        let signature = envelope.signature.expect("a signature");
        assert_eq!(PbftEnv::seal(pbft.bytes, signature), fixture.data(), "{}", fixture.name);
        if let Body::PrePrepare(proposal) = pbft.message.body {
            assert_eq!(again::<ConsensusValue<'_>>(proposal.value), proposal.value, "{}", fixture.name);
            values += 1;
        }
    }
    for fixture in named("ledgers_") {
        let ledgers = Ledgers::decode(fixture.data()).unwrap_or_default();
        for bytes in &ledgers.values {
            let value = ConsensusValue::decode(bytes).expect("a value");
            assert_eq!(value.encode(), *bytes, "{}", fixture.name);
            value.transactions().for_each(|one| assert_eq!(again::<TransactionEnv<'_>>(one), one, "{}", fixture.name));
            for envelope in value.transactions() {
                let transaction = TransactionEnv::decode(envelope).expect("an envelope").transaction.expect("one");
                assert_eq!(transaction.message.encode(), transaction.bytes, "{}", fixture.name);
            }
            values += 1;
        }
        if !ledgers.proof.is_empty() {
            assert_eq!(again::<PbftProof<'_>>(ledgers.proof), ledgers.proof, "{}", fixture.name);
        }
    }
    assert_eq!(values, 5 + 17 + 1 + 26);
}

#[test]
fn every_message_verifies() {
    for fixture in all().iter().filter(|fixture| !fixture.name.starts_with("getledgers")) {
        let found = verify(fixture.kind(), fixture.data(), &validators_of(&fixture.name));
        assert_eq!(found, Ok(()), "{}", fixture.name);
    }
}

#[test]
fn an_empty_set_of_transactions_stays_present() {
    let fixture = one("pbft_preprepare_v0_s2_round2");
    let Body::PrePrepare(proposal) = body(&fixture) else { panic!("a proposal") };
    assert!(proposal.value.starts_with(&[0x0a, 0x00]));
    let value = ConsensusValue::decode(proposal.value).expect("a value");
    assert!(value.txset.is_some_and(|set| set.txs.is_empty()));
    assert!(value.encode().starts_with(&[0x0a, 0x00]));
}

fn body(fixture: &super::fixtures::Fixture) -> Body<'_> {
    PbftEnv::decode(fixture.data()).expect("an envelope").pbft.expect("a pbft").message.body
}

#[test]
fn the_chain_of_four_validators_is_what_the_vectors_say() {
    let facts = facts("chain_vectors.json");
    let network = &facts["net4"];
    let set = validators("net4");
    let mut previous = network["genesis_ledger_hash"].clone();
    let mut chain = network["chain"].as_array().expect("a chain").iter();
    for name in ["ledgers_2_2", "ledgers_3_7", "ledgers_8_12", "ledgers_13_17", "ledgers_18_18"] {
        let fixture = one(name);
        let ledgers = Ledgers::decode(fixture.data()).expect("ledgers");
        let values: Vec<_> = ledgers.values.iter().map(|one| ConsensusValue::decode(one).expect("a value")).collect();
        let proofs = values.iter().skip(1).map(|value| value.previous_proof).chain([ledgers.proof]);
        for ((bytes, value), proof) in ledgers.values.iter().zip(&values).zip(proofs) {
            let told = chain.next().expect("a ledger");
            check_ledger(bytes, value, proof, told, &set);
            if value.ledger_seq == 2 {
                assert_eq!(value.previous_ledger_hash, digits(&previous));
            }
            previous = told["previous_ledger_hash"].clone();
            assert_eq!(value.previous_ledger_hash, digits(&previous));
        }
    }
    assert!(chain.next().is_none());
}

fn check_ledger(bytes: &[u8], value: &ConsensusValue<'_>, proof: &[u8], told: &Value, set: &Validators) {
    let digest = value_hash(bytes);
    assert_eq!(value.ledger_seq, told["ledger_seq"].as_i64().expect("a number"));
    assert_eq!(value.close_time, told["close_time"].as_i64().expect("a number"));
    assert_eq!(digest, hash(&told["consensus_value_hash"]));
    let version = value.ledger_upgrade.unwrap_or_default().new_ledger_version;
    assert_eq!(version, told["new_ledger_version"].as_i64().expect("a number"));
    assert_eq!(check_proof(proof, &digest, set, 0), Ok(()));
    let numbers = |name: &str| -> Vec<i64> {
        told[name].as_array().expect("a list").iter().map(|one| one.as_i64().expect("a number")).collect()
    };
    let (mut replicas, mut rounds) = (Vec::new(), Vec::new());
    for commit in PbftProof::decode(proof).expect("a proof").commits {
        let pbft = commit.open().expect("an envelope").pbft.expect("a pbft").message;
        let Body::Commit(vote) = pbft.body else { panic!("a commit") };
        replicas.push(vote.replica_id);
        rounds.push(pbft.round_number);
        assert!(numbers("proof_views").contains(&vote.view_number));
        assert!(numbers("proof_sequences").contains(&vote.sequence));
    }
    assert_eq!((replicas, rounds), (numbers("proof_replicas"), numbers("proof_rounds")));
}

#[test]
fn keys_and_addresses_of_the_captured_networks_belong_together() {
    let facts = facts("chain_vectors.json");
    for network in ["single", "net4"] {
        for validator in facts[network]["validators"].as_array().expect("a list") {
            let key = PublicKey::parse(validator["public_key"].as_str().expect("a key")).expect("a key");
            assert_eq!(key.address(), validator["address"].as_str().expect("an address"));
        }
    }
}

/// The header's hash of every ledger of the chain with transactions, from the values alone and the told tree roots.
#[test]
fn ledgers_hash_to_what_the_node_reported() {
    let facts = facts("tx_chain_vectors.json");
    let mut told = facts["ledgers"].as_array().expect("a chain").iter();
    let mut previous = hash(&facts["genesis_ledger_hash"]);
    let mut files = named("ledgers_tx_chain");
    files.sort_by_key(|fixture| Ledgers::decode(fixture.data()).expect("ledgers").max_seq);
    files.sort_by_key(|fixture| first_ledger(fixture.data()));
    for fixture in files {
        for bytes in Ledgers::decode(fixture.data()).expect("ledgers").values {
            let value = ConsensusValue::decode(bytes).expect("a value");
            let told = told.next().expect("a ledger");
            assert_eq!(value.previous_ledger_hash, previous.0);
            previous = check_header(bytes, &value, told);
        }
    }
    assert!(told.next().is_none());
}

fn first_ledger(data: &[u8]) -> i64 {
    let ledgers = Ledgers::decode(data).expect("ledgers");
    ConsensusValue::decode(ledgers.values[0]).expect("a value").ledger_seq
}

fn check_header(bytes: &[u8], value: &ConsensusValue<'_>, told: &Value) -> polypeer_bumo::hash::Hash {
    let digest = value_hash(bytes);
    let [root, validators, fees] =
        ["account_tree_hash", "validators_hash", "fees_hash"].map(|name| digits(&told[name]));
    let header = LedgerHeader {
        seq: value.ledger_seq,
        previous_hash: value.previous_ledger_hash,
        account_tree_hash: &root,
        close_time: value.close_time,
        consensus_value_hash: &digest.0,
        version: told["version"].as_i64().expect("a number"),
        tx_count: told["tx_count"].as_i64().expect("a number"),
        validators_hash: &validators,
        fees_hash: &fees,
        ..LedgerHeader::default()
    };
    let transactions: Vec<&[u8]> = value.transactions().collect();
    let ledger = Ledger { header: Some(header), transaction_envs: List::of(&transactions) };
    let hash_of_ledger = sha256(&ledger.encode());
    assert_eq!(hash_of_ledger, hash(&told["ledger_hash"]));
    check_transactions(value, told);
    hash_of_ledger
}

fn check_transactions(value: &ConsensusValue<'_>, told: &Value) {
    let told_errors: Vec<i32> = serde_json::from_value(told["error_tx_ids"].clone()).expect("numbers");
    let errors = value.validation.unwrap_or_default().error_tx_ids;
    assert_eq!(errors, Packed::of(&told_errors));
    let told = told["transactions"].as_array().expect("a list");
    assert_eq!(value.transactions().count(), told.len());
    for (envelope, told) in value.transactions().zip(told) {
        let read = TransactionEnv::decode(envelope).expect("an envelope");
        let transaction = read.transaction.expect("a transaction");
        assert_eq!(sha256(transaction.bytes), hash(&told["hash"]));
        assert_eq!(transaction.message.source_address, told["source"].as_str().expect("a source"));
        assert_eq!(transaction.message.nonce, told["nonce"].as_i64().expect("a number"));
        assert_eq!(transaction.message.fee_limit, told["fee_limit"].as_i64().expect("a number"));
        assert_eq!(envelope.len() as u64, told["envelope_size"].as_u64().expect("a number"));
        assert_eq!(read.signatures.len() as u64, told["signatures"].as_u64().expect("a number"));
        let kinds: Vec<i32> = transaction.message.operations.iter().map(|one| one.body.number()).collect();
        let told_kinds: Vec<i32> = serde_json::from_value(told["operation_types"].clone()).expect("numbers");
        assert_eq!(kinds, told_kinds);
    }
}
