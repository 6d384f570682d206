//! What transactions do, and how they fail (BUMO spec, section 9.5, "Dynamic checks and effects").

use crate::world::{Draft, Person, RESERVE, World, id, person};
use bytes::Bytes;
use polypeer_bumo::ledger::{Judgement, Verdict};
use polypeer_bumo::wire::{
    ConsensusValue, ErrorCode, KeyPair, List, Message, Operation, OperationBody, PayCoin, SetPrivilege, Signer,
    TypeThreshold,
};

/// A network in which `acct-a` has a hundred coins of the reserve's size.
struct Town {
    world: World,
    genesis: Person,
    a: Person,
    b: Person,
}

impl Town {
    fn new() -> Self {
        let mut world = World::new(1);
        crate::proposing::upgrade(&mut world, 1_003);
        let (genesis, a, b) = (person("genesis"), person("acct-a"), person("acct-b"));
        let create = Draft::of(&genesis, 1).creates(&a.address, 100 * RESERVE, &[]).seal();
        assert_eq!(world.submit(&create), Verdict::Accepted);
        world.advance();
        Self { world, genesis, a, b }
    }

    fn run(&mut self, envelope: &Bytes) -> (ErrorCode, i64) {
        run(&mut self.world, envelope)
    }
}

/// Has a transaction in a ledger, and says what became of it.
fn run(world: &mut World, envelope: &Bytes) -> (ErrorCode, i64) {
    assert_eq!(world.submit(envelope), Verdict::Accepted);
    let value = world.propose().value;
    assert_eq!(world.judge(&value), Judgement::Valid);
    let failed = ConsensusValue::decode(&value).unwrap().validation.is_some();
    world.advance();
    world.settle();
    let place = world.reader.transaction(&id(envelope)).unwrap().place.unwrap();
    assert_eq!(place.code != ErrorCode::SUCCESS, failed);
    (place.code, place.fee)
}

#[test]
fn each_failure_has_its_error_and_costs_all_that_was_offered() {
    let (a, b, genesis) = (person("acct-a"), person("acct-b"), person("genesis"));
    let wrong = [KeyPair { key: "k", value: "v", version: 2 }];
    let operation = |source_address, payee, amount| {
        let body = OperationBody::PayCoin(PayCoin { dest_address: payee, amount, input: "" });
        Operation { source_address, body, ..Operation::default() }
    };
    let of_another = |another| {
        let mut draft = Draft::of(&a, 1);
        draft.operations.push(operation(another, &a.address[..], 1));
        draft
    };
    // The whole fee is gone by then.
    let rest = 100 * RESERVE - 2_000_000;
    let rows: Vec<(&str, Draft<'_>, ErrorCode)> = vec![
        ("exists", Draft::of(&a, 1).creates(&genesis.address, RESERVE, &[]), ErrorCode::ACCOUNT_DEST_EXIST),
        ("begins low", Draft::of(&a, 1).creates(&b.address, RESERVE - 1, &[]), ErrorCode::ACCOUNT_INIT_LOW_RESERVE),
        (
            "creates too much",
            Draft::of(&a, 1).creates(&b.address, rest - RESERVE + 1, &[]),
            ErrorCode::ACCOUNT_LOW_RESERVE,
        ),
        ("version", Draft::of(&a, 1).creates(&b.address, RESERVE, &wrong), ErrorCode::INVALID_DATAVERSION),
        ("pays too much", Draft::of(&a, 1).pays(&genesis.address, rest - RESERVE + 1), ErrorCode::ACCOUNT_LOW_RESERVE),
        ("pays far too much", Draft::of(&a, 1).pays(&genesis.address, i64::MAX), ErrorCode::MATH_OVERFLOW),
        ("pays nobody little", Draft::of(&a, 1).pays(&b.address, RESERVE - 1), ErrorCode::ACCOUNT_INIT_LOW_RESERVE),
        ("of nobody", of_another(&b.address), ErrorCode::ACCOUNT_NOT_EXIST),
        ("of another", of_another(&genesis.address), ErrorCode::INVALID_SIGNATURE),
        ("second", Draft::of(&a, 1).pays(&genesis.address, 1).pays(&b.address, 1), ErrorCode::ACCOUNT_INIT_LOW_RESERVE),
    ];
    for (name, draft, code) in rows {
        let mut town = Town::new();
        assert_eq!(town.run(&draft.seal()), (code, 2_000_000), "{name}");
        let account = town.world.reader.account(&a.address).unwrap();
        assert_eq!((account.balance, account.nonce), (rest, 1), "{name}: nothing else stays");
        assert!(town.world.reader.account(&b.address).is_none());
    }
}

#[test]
fn what_succeeds_costs_its_size_and_the_rest_comes_back() {
    let mut town = Town::new();
    let pay = Draft::of(&town.a, 1).pays(&town.b.address, RESERVE).seal();
    let fee = 1_000 * pay.len() as i64;
    assert_eq!(town.run(&pay), (ErrorCode::SUCCESS, fee));
    let balance = |world: &World, person: &Person| world.reader.account(&person.address).unwrap().balance;
    assert_eq!(balance(&town.world, &town.a), 99 * RESERVE - fee);
    assert_eq!(balance(&town.world, &town.b), RESERVE);
    // To the last coin: all but the reserve, with a fee that is exactly enough.
    let left = balance(&town.world, &town.a);
    let draft = Draft::of(&town.a, 2).pays(&town.genesis.address, left - RESERVE - 300_000);
    let size = draft.seal().len() as i64;
    let draft = draft.with(|tx| tx.fee_limit = 1_000 * size);
    let envelope = draft.seal();
    let fee = 1_000 * envelope.len() as i64;
    let draft = draft.with(|tx| tx.fee_limit = fee);
    let envelope = draft.seal();
    assert_eq!(town.run(&envelope).0, ErrorCode::SUCCESS);
    assert_eq!(balance(&town.world, &town.a), RESERVE + 300_000 - fee);
}

#[test]
fn nothing_may_be_paid_to_an_account_that_exists() {
    let mut town = Town::new();
    let pay = Draft::of(&town.a, 1).pays(&town.genesis.address, 0).seal();
    assert_eq!(town.run(&pay).0, ErrorCode::SUCCESS);
}

#[test]
fn signers_and_thresholds_hold_from_the_next_transaction_on() {
    let mut town = Town::new();
    let signers = [Signer { address: &town.b.address, weight: 2 }];
    let types = [TypeThreshold { kind: 7, threshold: 3 }];
    let set = SetPrivilege {
        master_weight: "1",
        signers: List::of(&signers),
        tx_threshold: "1",
        type_thresholds: List::of(&types),
    };
    let envelope = Draft::of(&town.a, 1).does(OperationBody::SetPrivilege(set)).seal();
    assert_eq!(run(&mut town.world, &envelope).0, ErrorCode::SUCCESS);
    let pay = |nonce, signers: &[&'static str]| {
        Draft::of(&town.a, nonce).pays(&town.genesis.address, 1).signed_by(signers).seal()
    };
    // The transaction as a whole weighs enough, its payment does not.
    assert_eq!(run(&mut town.world, &pay(2, &["acct-a"])).0, ErrorCode::INVALID_SIGNATURE);
    assert_eq!(run(&mut town.world, &pay(3, &["acct-b"])).0, ErrorCode::INVALID_SIGNATURE);
    assert_eq!(run(&mut town.world, &pay(4, &["acct-a", "acct-b"])).0, ErrorCode::SUCCESS);
    let raise = Draft::of(&town.a, 5)
        .does(OperationBody::SetPrivilege(SetPrivilege { tx_threshold: "3", ..SetPrivilege::default() }));
    assert_eq!(run(&mut town.world, &raise.seal()).0, ErrorCode::SUCCESS);
    assert_eq!(town.world.refusal(&pay(6, &["acct-a"])), ErrorCode::INVALID_SIGNATURE);
    let gone = [Signer { address: &town.b.address, weight: 0 }];
    let lower = SetPrivilege { tx_threshold: "1", signers: List::of(&gone), ..SetPrivilege::default() };
    let lower = Draft::of(&town.a, 6).does(OperationBody::SetPrivilege(lower)).signed_by(&["acct-a", "acct-b"]);
    assert_eq!(run(&mut town.world, &lower.seal()).0, ErrorCode::SUCCESS);
    assert_eq!(run(&mut town.world, &pay(7, &["acct-a", "acct-b"])).0, ErrorCode::INVALID_SIGNATURE, "b signs no more");
}

#[test]
fn an_operation_may_be_anothers_who_signs_too() {
    let mut town = Town::new();
    let mut draft = Draft::of(&town.a, 1);
    let body = OperationBody::PayCoin(PayCoin { dest_address: &town.b.address, amount: 5 * RESERVE, input: "" });
    draft.operations.push(Operation { source_address: &town.genesis.address, body, ..Operation::default() });
    let envelope = draft.signed_by(&["acct-a", "genesis"]).seal();
    assert_eq!(run(&mut town.world, &envelope).0, ErrorCode::SUCCESS);
    assert_eq!(town.world.reader.account(&town.b.address).unwrap().balance, 5 * RESERVE);
    assert_eq!(town.world.reader.account(&town.genesis.address).unwrap().nonce, 1, "who pays the fee counts");
}

#[test]
fn metadata_is_kept_in_its_first_version() {
    let mut town = Town::new();
    let entries = [
        KeyPair { key: "k", value: "old", version: 0 },
        KeyPair { key: "key", value: "v", version: 1 },
        KeyPair { key: "k", value: "new", version: 1 },
    ];
    let envelope = Draft::of(&town.a, 1).creates(&town.b.address, RESERVE, &entries).seal();
    assert_eq!(run(&mut town.world, &envelope).0, ErrorCode::SUCCESS);
    let entry = |name| town.world.reader.metadata(&town.b.address, name);
    assert_eq!(entry("k"), Some(("new".to_owned(), 1)));
    assert_eq!(entry("key"), Some(("v".to_owned(), 1)));
    assert_eq!(entry("other"), None);
}
