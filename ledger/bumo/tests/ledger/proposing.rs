//! How values are made and judged, and how chains change version (BUMO spec, sections 7.6 and 8).

use crate::world::{COINS, Draft, RESERVE, START_MS, World, address, id, key, person, prove, rules, validating};
use bytes::Bytes;
use polypeer_bumo::hash::{HashType, sha256, sm3};
use polypeer_bumo::keys::{PrivateKey, Scheme};
use polypeer_bumo::ledger::{Answer, CloseError, Judgement, Proposal, ProposeError, Request, SignError, Verdict};
use polypeer_bumo::wire::{
    Body, ConsensusValue, LedgerUpgrade, LedgerUpgradeNotify, List, Message, Packed, Pbft, PbftEnv, Signature,
    TransactionEnvSet, Validation, Vote,
};
use polypeer_ledger_bumo::{Config, Rules};
use std::time::{Duration, Instant};

/// Closes a ledger that changes the version.
pub(crate) fn upgrade(world: &mut World, version: i64) {
    let Proposal { value, seq, .. } = propose_upgrade(world, version);
    assert_eq!(world.judge(&value), Judgement::Valid);
    let proof = prove(&value, seq, world.validators);
    assert_eq!(world.close(&value, &proof).unwrap().version, version);
}

fn propose_upgrade(world: &mut World, new_ledger_version: i64) -> Proposal {
    let upgrade = LedgerUpgrade { new_ledger_version, ..LedgerUpgrade::default() }.encode();
    match world.ask(Request::Propose { upgrade: Some(upgrade) }) {
        Answer::Proposed(proposed) => proposed.unwrap(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_value_has_all_that_the_spec_names() {
    let mut world = World::new(4);
    let Proposal { value, digest, seq } = world.propose();
    let wire = ConsensusValue::decode(&value).unwrap();
    assert_eq!(&value[..2], [0x0a, 0], "an empty set is there");
    assert_eq!((seq, digest, wire.ledger_seq), (2, sha256(&value), 2));
    assert_eq!(wire.close_time, START_MS as i64 * 1_000);
    assert_eq!((wire.previous_proof, wire.validation, wire.ledger_upgrade), (&[][..], None, None));
    let genesis = world.tip().hash;
    assert_eq!(wire.previous_ledger_hash, genesis.0);
    let (_, proof, tip) = world.advance();
    let next = world.propose().value;
    let wire = ConsensusValue::decode(&next).unwrap();
    assert_eq!((wire.previous_proof, wire.previous_ledger_hash), (&proof[..], &tip.hash.0[..]));
}

#[test]
fn ledgers_are_an_interval_apart_and_not_from_the_future() {
    let rules = Rules { interval: Duration::from_secs(10), ..rules(1) };
    let mut world = World::open(Config { rules, ..validating(1) }, 1);
    let (first, ..) = world.advance();
    let start = ConsensusValue::decode(&first).unwrap().close_time;
    assert_eq!(start, START_MS as i64 * 1_000);
    let second = world.propose().value;
    let wire = ConsensusValue::decode(&second).unwrap();
    assert_eq!(wire.close_time, start + 10_000_000);
    assert_eq!(world.judge(&second), Judgement::Doubtful, "ten seconds ahead");
    world.pass(Duration::from_millis(9_000));
    assert_eq!(world.judge(&second), Judgement::Doubtful, "one second ahead to the microsecond");
    world.pass(Duration::from_millis(1));
    assert_eq!(world.judge(&second), Judgement::Valid);
    let early = ConsensusValue { close_time: wire.close_time - 1, ..wire }.encode();
    assert_eq!(world.judge(&early), Judgement::Doubtful);
    // What others agreed on is closed all the same.
    let proof = prove(&early, 3, 1);
    assert_eq!(world.close(&early, &proof).unwrap().seq, 3);
}

#[test]
fn values_that_are_wrong_are_not_voted_for() {
    let mut world = World::new(4);
    world.advance();
    let (genesis, a) = (person("genesis"), person("acct-a"));
    let good = Draft::of(&genesis, 1).pays(&a.address, RESERVE).seal();
    let fails = Draft::of(&genesis, 2).pays(&a.address, COINS).seal();
    let gap = Draft::of(&genesis, 4).pays(&a.address, RESERVE).seal();
    assert_eq!((world.submit(&good), world.submit(&fails)), (Verdict::Accepted, Verdict::Accepted));
    let value = world.propose().value;
    let wire = ConsensusValue::decode(&value).unwrap();
    assert_eq!(wire.validation.unwrap().error_tx_ids.iter().collect::<Vec<_>>(), [1]);
    assert_eq!(world.judge(&value), Judgement::Valid);
    let says = |expire: &[i32], error: &[i32]| {
        let validation = Validation { expire_tx_ids: Packed::of(expire), error_tx_ids: Packed::of(error) };
        ConsensusValue { validation: Some(validation), ..wire }.encode()
    };
    let txs = |txs: &[&[u8]]| ConsensusValue { txset: Some(TransactionEnvSet { txs: List::of(txs) }), ..wire }.encode();
    let only = [&good[..]];
    let one = ConsensusValue { validation: None, txset: Some(TransactionEnvSet { txs: List::of(&only) }), ..wire };
    let upgrade = |new_ledger_version, new_validator| {
        let ledger_upgrade = Some(LedgerUpgrade { new_ledger_version, new_validator, chain_id: 0 });
        ConsensusValue { ledger_upgrade, ..wire }.encode()
    };
    let hash = [7; 32];
    let wrong: Vec<(&str, Bytes)> = vec![
        ("nothing failed", ConsensusValue { validation: None, ..wire }.encode()),
        ("another failed", says(&[], &[0])),
        ("both failed", says(&[], &[0, 1])),
        ("twice", says(&[], &[1, 1])),
        ("nowhere", says(&[], &[1, 2])),
        ("negative", says(&[], &[-1, 1])),
        ("expired", says(&[1], &[])),
        ("expired too", says(&[0], &[1])),
        ("no nonce", txs(&[&fails, &good])),
        ("a gap", txs(&[&good, &gap])),
        ("twice the same", txs(&[&good, &good])),
        ("garbage", txs(&[&good, &[0xff]])),
        ("previous hash", ConsensusValue { previous_ledger_hash: &hash, ..wire }.encode()),
        ("short hash", ConsensusValue { previous_ledger_hash: &hash[..31], ..wire }.encode()),
        ("previous proof", ConsensusValue { previous_proof: &[], ..wire }.encode()),
        ("sequence", ConsensusValue { ledger_seq: 4, ..wire }.encode()),
        ("old version", upgrade(1_000, "")),
        ("unknown version", upgrade(1_004, "")),
        ("new validator", upgrade(0, &genesis.address)),
        ("not even a value", Bytes::from_static(&[1])),
        ("not canonical", [&value[..], &[0x20, 3]].concat().into()),
    ];
    for (name, value) in wrong {
        assert_eq!(world.judge(&value), Judgement::Doubtful, "{name}");
    }
    assert_eq!(world.judge(&one.encode()), Judgement::Valid);
    assert_eq!(world.judge(&upgrade(1_003, "")), Judgement::Valid);
}

#[test]
fn wrong_ledgers_are_not_closed() {
    let mut world = World::new(4);
    let Proposal { value, .. } = world.propose();
    let wire = ConsensusValue::decode(&value).unwrap();
    let mut close = |value: Bytes| {
        let proof = prove(&value, 2, 4);
        world.close(&value, &proof).unwrap_err()
    };
    let hash = [7; 32];
    assert_eq!(close(ConsensusValue { ledger_seq: 3, ..wire }.encode()), CloseError::NotNext);
    assert_eq!(close(ConsensusValue { previous_ledger_hash: &hash, ..wire }.encode()), CloseError::PreviousHash);
    assert!(matches!(close(ConsensusValue { previous_proof: &[1], ..wire }.encode()), CloseError::PreviousProof(_)));
    let upgrade = LedgerUpgrade { new_ledger_version: 1_004, ..LedgerUpgrade::default() };
    assert_eq!(close(ConsensusValue { ledger_upgrade: Some(upgrade), ..wire }.encode()), CloseError::Upgrade);
    let txs = [&[0xff][..]];
    let garbage = ConsensusValue { txset: Some(TransactionEnvSet { txs: List::of(&txs) }), ..wire };
    assert_eq!(close(garbage.encode()), CloseError::Malformed);
    let validation = Validation { expire_tx_ids: Packed::default(), error_tx_ids: Packed::of(&[0]) };
    assert_eq!(close(ConsensusValue { validation: Some(validation), ..wire }.encode()), CloseError::Malformed);
    assert_eq!(close(Bytes::from_static(&[1])), CloseError::Malformed);
    assert_eq!(close(vec![0; 18_874_368].into()), CloseError::TooLarge);
    let proof = prove(&value, 2, 4);
    for length in 0..proof.len() {
        assert!(matches!(world.close(&value, &proof.slice(..length)), Err(CloseError::Proof(_))), "{length}");
    }
    assert_eq!(world.close(&value, &proof).unwrap().seq, 2);
    assert_eq!(world.close(&value, &proof), Err(CloseError::NotNext));
}

#[test]
fn what_cannot_pay_any_more_is_thrown_out_and_what_waits_for_another_stays() {
    let mut world = World::new(1);
    let (genesis, a, b) = (person("genesis"), person("acct-a"), person("acct-b"));
    world.submit(&Draft::of(&genesis, 1).creates(&a.address, 3 * RESERVE, &[]).seal());
    world.advance();
    let first = Draft::of(&a, 1).pays(&b.address, RESERVE + 5_000_000).with(|tx| tx.fee_limit = 4_000_000).seal();
    // It could be paid before the first was.
    let second = Draft::of(&a, 2).pays(&b.address, 1).with(|tx| tx.fee_limit = 6_000_000).seal();
    let later = Draft::of(&a, 4).pays(&b.address, 1).seal();
    for envelope in [&first, &second, &later] {
        assert_eq!(world.submit(envelope), Verdict::Accepted);
    }
    let value = world.propose().value;
    let wire = ConsensusValue::decode(&value).unwrap();
    assert_eq!(wire.transactions().collect::<Vec<_>>(), [&first[..]]);
    assert_eq!(world.reader.waiting(9).1, [id(&first), id(&later)]);
    world.advance();
    assert_eq!(world.reader.waiting(9).1, [id(&later)]);
}

#[test]
fn the_version_changes_when_enough_wish_for_it() {
    let mut world = World::new(1);
    assert_eq!(world.tip().version, 1_000);
    for useless in [1_000, 999, 1_004] {
        let value = propose_upgrade(&mut world, useless).value;
        assert_eq!(ConsensusValue::decode(&value).unwrap().ledger_upgrade, None);
    }
    upgrade(&mut world, 1_002);
    upgrade(&mut world, 1_003);
    let value = propose_upgrade(&mut world, 1_003).value;
    assert_eq!(ConsensusValue::decode(&value).unwrap().ledger_upgrade, None);
}

#[test]
fn a_wish_is_signed_by_the_validation_key() {
    let mut world = World::new(1);
    let bytes = LedgerUpgrade { new_ledger_version: 1_003, ..LedgerUpgrade::default() }.encode();
    let ask = |world: &mut World, upgrade: Bytes| match world
        .ask(Request::SignUpgrade { nonce: 1_795_172_252_535_553, upgrade })
    {
        Answer::UpgradeSigned(signed) => signed,
        other => panic!("{other:?}"),
    };
    let signed = ask(&mut world, bytes).unwrap();
    // The captured one has the same nonce, wish and key.
    let captured =
        crate::world::hex(include_str!("../../../../protocols/bumo/tests/fixtures/ledger_upgrade_notify_r0.hex"));
    let data = polypeer_bumo::wire::Envelope::decode(&captured).unwrap().data;
    assert_eq!(LedgerUpgradeNotify::decode(&signed), LedgerUpgradeNotify::decode(data));
    assert_eq!(ask(&mut world, Bytes::from_static(&[0xff])), Err(SignError::Malformed));
}

#[test]
fn who_is_no_validator_proposes_and_signs_nothing() {
    let follower = Config::in_memory(rules(1));
    let stranger = Config { signer: Some(Box::new(key("validator-7"))), ..validating(1) };
    for config in [follower, stranger] {
        let mut world = World::open(config, 1);
        let answer = world.ask(Request::Propose { upgrade: None });
        assert_eq!(answer, Answer::Proposed(Err(ProposeError::NoValidator)));
        let pbft = crate::votes::prepare(2, 0, [1; 32]);
        assert_eq!(world.sign(&pbft, &[]), Err(SignError::NoValidator));
    }
}

#[test]
fn at_a_hard_fork_one_validator_goes_on_alone() {
    // The value is known before: it is in the configuration of whoever takes part.
    let mut before = World::new(4);
    let (first, first_proof, tip) = before.advance();
    let heir = address("validator-9");
    let upgrade = LedgerUpgrade { new_validator: &heir, ..LedgerUpgrade::default() };
    let fork = ConsensusValue {
        close_time: tip.close_time + 1,
        previous_proof: &first_proof,
        ledger_seq: 3,
        previous_ledger_hash: &tip.hash.0,
        ledger_upgrade: Some(upgrade),
        ..ConsensusValue::default()
    }
    .encode();
    assert_eq!(before.close(&fork, &Bytes::new()), Err(CloseError::Upgrade), "not without being told");
    let rules = Rules { hard_forks: [sha256(&fork)].into(), ..rules(4) };
    let heir = Config { rules: rules.clone(), signer: Some(Box::new(key("validator-9"))), ..Config::in_memory(rules) };
    let mut world = World::open(heir, 1);
    world.close(&first, &first_proof).unwrap();
    let tip = world.close(&fork, &Bytes::new()).unwrap();
    assert_eq!(tip.validators.addresses(), [address("validator-9")]);
    let Proposal { value, digest, seq } = world.propose();
    let commit = crate::world::commit("validator-9", 0, 0, seq, &digest);
    let proof = polypeer_bumo::proof::build(&[&commit]);
    let tip = world.close(&value, &proof).unwrap();
    assert_eq!((tip.seq, tip.validators.len(), tip.validators_before.len()), (4, 1, 1));
    world.settle();
    // Four shared the reward of the fork's ledger, the heir has that of the next.
    assert_eq!(world.reader.account(&address("validator-9")).unwrap().balance, 800_000_000);
    assert_eq!(world.reader.account(&address("validator-0")).unwrap().balance, 400_000_000);
}

#[test]
fn ten_thousand_ledgers_are_closed_in_a_moment() {
    let count: i64 = std::env::var("LEDGER_BUMO_LEDGERS").ok().and_then(|count| count.parse().ok()).unwrap_or(1_000);
    let mut world = World::new(1);
    let mut ledgers = Vec::new();
    for _ in 0..count {
        let (value, proof, _) = world.advance();
        ledgers.push((value, proof));
    }
    let mut follower = World::open(Config::in_memory(rules(1)), 1);
    let start = Instant::now();
    for (value, proof) in &ledgers {
        follower.close(value, proof).unwrap();
        follower.pass(Duration::from_millis(1));
    }
    follower.settle();
    let took = start.elapsed();
    println!("{count} ledgers in {took:?}: {:.0} a second", count as f64 / took.as_secs_f64());
    assert_eq!((follower.tip().seq, follower.reader.standing().header.number), (count + 1, count as u64 + 1));
    assert_eq!(follower.tip().hash, world.tip().hash);
}

/// The other hash and the other signatures: everything but the bytes is the same.
#[test]
fn a_network_of_sm3_and_sm2_makes_ledgers_too() {
    let key = || PrivateKey::new(Scheme::Sm2, [9; 32]).unwrap();
    let validator = key().public().address();
    let rules = Rules { hash: HashType::Sm3, validators: vec![validator.clone()], ..rules(1) };
    let config = Config { signer: Some(Box::new(key())), ..Config::in_memory(rules.clone()) };
    let mut world = World::open(config, 1);
    assert_ne!(world.tip().hash, World::new(1).tip().hash);
    let (genesis, a) = (person("genesis"), person("acct-a"));
    let pay = Draft::of(&genesis, 1).pays(&a.address, RESERVE).seal();
    assert_eq!(world.submit(&pay), Verdict::Accepted);
    let Proposal { value, digest, seq } = world.propose();
    assert_eq!((digest, ConsensusValue::decode(&value).unwrap().transactions().count()), (sm3(&value), 1));
    let vote = Vote { view_number: 0, sequence: seq, replica_id: 0, value_digest: &digest.0 };
    let pbft = Pbft { round_number: 1, body: Body::Commit(vote), chain_id: 0 }.encode();
    let signed = world.sign(&pbft, &[]).unwrap();
    let signature = Signature { public_key: &signed.public_key, sign_data: &signed.sign_data };
    let proof = polypeer_bumo::proof::build(&[&PbftEnv::seal(&pbft, signature)]);
    let tip = world.close(&value, &proof).unwrap();
    let mut follower = World::open(Config::in_memory(rules), 1);
    assert_eq!(follower.close(&value, &proof).unwrap().hash, tip.hash);
    follower.settle();
    assert_eq!(follower.reader.account(&a.address).unwrap().balance, RESERVE);
    assert_eq!(follower.reader.account(&validator).unwrap().balance, 800_000_000 + 1_000 * pay.len() as i64);
}

/// A value is full with ten thousand transactions; by default this is a smaller one.
#[test]
fn a_value_of_many_transactions_is_proposed_judged_and_closed() {
    let payers: usize = std::env::var("LEDGER_BUMO_PAYERS").ok().and_then(|count| count.parse().ok()).unwrap_or(20);
    let (mut world, mut other) = (World::new(1), World::new(1));
    let genesis = person("genesis");
    let people: Vec<_> = (0..payers).map(|place| person(&format!("payer-{place}"))).collect();
    for (some, nonce) in people.chunks(50).zip(1..) {
        let draft = Draft::of(&genesis, nonce).with(|tx| tx.fee_limit = 1_000_000_000);
        let draft = some.iter().fold(draft, |draft, person| draft.creates(&person.address, 100 * RESERVE, &[]));
        assert_eq!(world.submit(&draft.seal()), Verdict::Accepted);
    }
    let (value, proof, _) = world.advance();
    other.close(&value, &proof).unwrap();
    let payers = people.iter().flat_map(|person| (1..=64).map(move |nonce| (person, nonce)));
    let pay = |(person, nonce)| Draft::of(person, nonce).pays(&genesis.address, 1).seal();
    let payments: Vec<_> = payers.map(pay).collect();
    let timed = |what: &str, count: usize, start: Instant| {
        let took = start.elapsed();
        println!("{what}: {count} in {took:?}, {:.0} a second", count as f64 / took.as_secs_f64());
    };
    let start = Instant::now();
    payments.iter().for_each(|envelope| assert_eq!(world.submit(envelope), Verdict::Accepted));
    timed("taken", payments.len(), start);
    let start = Instant::now();
    let Proposal { value, seq, .. } = world.propose();
    let count = ConsensusValue::decode(&value).unwrap().transactions().count();
    assert_eq!(count, payments.len().min(10_000));
    timed("proposed", count, start);
    let start = Instant::now();
    assert_eq!(other.judge(&value), Judgement::Valid);
    timed("judged, none of them known", count, start);
    let proof = prove(&value, seq, 1);
    let start = Instant::now();
    let tip = other.close(&value, &proof).unwrap();
    timed("closed", count, start);
    assert_eq!(world.close(&value, &proof).unwrap().hash, tip.hash);
    assert_eq!(world.reader.waiting(0).0, payments.len() - count);
}
