//! What the pool lets in, and with which error it refuses the rest (BUMO spec, section 9.1).

use crate::world::{Draft, Person, RESERVE, World, common, person};
use bytes::Bytes;
use polypeer_bumo::ledger::{Answer, Origin, Request, Verdict};
use polypeer_bumo::wire::{
    AccountPrivilege, AccountThreshold, Contract, CreateAccount, ErrorCode, KeyPair, List, Log, OperationBody, PayCoin,
    SetPrivilege, Signer, TypeThreshold,
};
use std::time::Duration;

const TOP: i64 = u32::MAX as i64;

/// A network at the newest version, and some people.
struct Town {
    world: World,
    genesis: Person,
    a: Person,
}

impl Town {
    fn new() -> Self {
        let mut world = World::new(1);
        crate::proposing::upgrade(&mut world, 1_003);
        Self { world, genesis: person("genesis"), a: person("acct-a") }
    }

    fn pay(&self) -> Draft<'_> {
        Draft::of(&self.genesis, 1).pays(&self.a.address, RESERVE)
    }
}

#[test]
fn each_refusal_has_its_error() {
    let mut town = Town::new();
    let (genesis, a) = (town.genesis.clone(), town.a.clone());
    let long = vec![7; 262_145];
    let many = vec![7; 1 << 20];
    let pay = || town.pay();
    let rows: Vec<(&str, Bytes, ErrorCode)> = vec![
        ("no account", Draft::of(&a, 1).pays(&genesis.address, 1).seal(), ErrorCode::ACCOUNT_NOT_EXIST),
        ("nonce", pay().with(|tx| tx.nonce = 0).seal(), ErrorCode::BAD_SEQUENCE),
        ("chain", pay().with(|tx| tx.chain_id = 1).seal(), ErrorCode::INVALID_PARAMETER),
        ("size", pay().with(|tx| tx.metadata = &many).seal(), ErrorCode::TX_SIZE_TOO_BIG),
        ("no operation", Draft::of(&genesis, 1).seal(), ErrorCode::MISSING_OPERATIONS),
        ("operations", (0..100).fold(pay(), |pay, _| pay.pays(&a.address, 1)).seal(), ErrorCode::TOO_MANY_OPERATIONS),
        ("metadata", pay().with(|tx| tx.metadata = &long).seal(), ErrorCode::INVALID_PARAMETER),
        ("ceiling", pay().with(|tx| tx.ceil_ledger_seq = 2).seal(), ErrorCode::INVALID_PARAMETER),
        ("negative ceiling", pay().with(|tx| tx.ceil_ledger_seq = -1).seal(), ErrorCode::INVALID_PARAMETER),
        ("fee limit", pay().with(|tx| tx.fee_limit = -1).seal(), ErrorCode::INVALID_PARAMETER),
        ("gas price", pay().with(|tx| tx.gas_price = 999).seal(), ErrorCode::INVALID_PARAMETER),
        ("signature", pay().signed_by(&["acct-a"]).seal(), ErrorCode::INVALID_SIGNATURE),
        ("no signature", pay().signed_by(&[]).seal(), ErrorCode::INVALID_SIGNATURE),
        ("reserve", pay().with(|tx| tx.fee_limit = crate::world::COINS).seal(), ErrorCode::ACCOUNT_LOW_RESERVE),
        ("fee", pay().with(|tx| tx.fee_limit = 1_000).seal(), ErrorCode::FEE_NOT_ENOUGH),
        ("fee overflow", pay().with(|tx| tx.gas_price = i64::MAX).seal(), ErrorCode::INVALID_PARAMETER),
        ("amount", Draft::of(&genesis, 1).pays(&a.address, -1).seal(), ErrorCode::INVALID_PARAMETER),
        ("itself", Draft::of(&genesis, 1).pays(&genesis.address, 1).seal(), ErrorCode::ACCOUNT_SOURCEDEST_EQUAL),
        ("no address", Draft::of(&genesis, 1).pays("buQ", 1).seal(), ErrorCode::INVALID_ADDRESS),
        (
            "reserved",
            Draft::of(&genesis, 1).pays("buQqzdS9YSnokDjvzg4YaNatcFQfkgXqk6ss", RESERVE).seal(),
            ErrorCode::INVALID_ADDRESS,
        ),
    ];
    for (name, envelope, code) in rows {
        assert_eq!(town.world.refusal(&envelope), code, "{name}");
    }
    let mut world = town.world;
    let garbage = Bytes::from_static(&[0xff]);
    assert_eq!(world.refusal(&garbage), ErrorCode::INVALID_PARAMETER);
    let good = Draft::of(&genesis, 1).pays(&a.address, RESERVE).seal();
    assert_eq!((world.submit(&good), world.submit(&good)), (Verdict::Accepted, Verdict::Known));
}

#[test]
fn a_new_account_is_made_as_the_version_wants() {
    let mut town = Town::new();
    let (genesis, a) = (town.genesis.clone(), town.a.clone());
    let base = CreateAccount {
        dest_address: &a.address,
        privilege: Some(common()),
        init_balance: RESERVE,
        ..Default::default()
    };
    let create = |create: CreateAccount<'_>| Draft::of(&genesis, 1).does(OperationBody::CreateAccount(create)).seal();
    let signer = [Signer { address: &genesis.address, weight: 1 }];
    let thresholds = |tx_threshold| Some(AccountThreshold { tx_threshold, type_thresholds: List::default() });
    let set =
        |master_weight, thresholds| Some(AccountPrivilege { master_weight, signers: List::default(), thresholds });
    let long_name = "n".repeat(1_025);
    let bad = [KeyPair { key: "", value: "v", version: 0 }];
    let long = [KeyPair { key: &long_name, value: "v", version: 0 }];
    let rows: Vec<(&str, Bytes, ErrorCode)> = vec![
        ("no address", create(CreateAccount { dest_address: "x", ..base }), ErrorCode::INVALID_ADDRESS),
        ("nobody", create(CreateAccount { dest_address: "", ..base }), ErrorCode::INVALID_ADDRESS),
        (
            "reserved",
            create(CreateAccount { dest_address: "buQcHGxxpPDBcPKys8cD5NY1CAiyAfFBjgtg", ..base }),
            ErrorCode::INVALID_ADDRESS,
        ),
        ("no privilege", create(CreateAccount { privilege: None, ..base }), ErrorCode::INVALID_PARAMETER),
        ("no thresholds", create(CreateAccount { privilege: set(1, None), ..base }), ErrorCode::INVALID_PARAMETER),
        (
            "heavy",
            create(CreateAccount { privilege: set(TOP + 1, thresholds(1)), ..base }),
            ErrorCode::WEIGHT_NOT_VALID,
        ),
        ("light", create(CreateAccount { privilege: set(-1, thresholds(1)), ..base }), ErrorCode::WEIGHT_NOT_VALID),
        (
            "threshold",
            create(CreateAccount { privilege: set(1, thresholds(-1)), ..base }),
            ErrorCode::THRESHOLD_NOT_VALID,
        ),
        (
            "two needed",
            create(CreateAccount { privilege: set(1, thresholds(2)), ..base }),
            ErrorCode::INVALID_PARAMETER,
        ),
        ("two weigh", create(CreateAccount { privilege: set(2, thresholds(1)), ..base }), ErrorCode::INVALID_PARAMETER),
        (
            "signers",
            create(CreateAccount {
                privilege: Some(AccountPrivilege { signers: List::of(&signer), ..common() }),
                ..base
            }),
            ErrorCode::INVALID_PARAMETER,
        ),
        ("empty name", create(CreateAccount { metadatas: List::of(&bad), ..base }), ErrorCode::INVALID_PARAMETER),
        ("long name", create(CreateAccount { metadatas: List::of(&long), ..base }), ErrorCode::INVALID_PARAMETER),
    ];
    for (name, envelope, code) in rows {
        assert_eq!(town.world.refusal(&envelope), code, "{name}");
    }
    let contract = Some(Contract { kind: 0, payload: "'use strict';" });
    let placed = create(CreateAccount { contract, ..base });
    assert_eq!(town.world.refusal(&placed), ErrorCode::INVALID_ADDRESS, "a contract gets an address of its own");
    let good = create(base);
    assert_eq!(town.world.submit(&good), Verdict::Accepted);
}

/// At the first version signers are given at birth.
#[test]
fn at_the_first_version_an_account_may_begin_with_signers() {
    let mut world = World::new(1);
    let (genesis, a) = (person("genesis"), person("acct-a"));
    let create = |signers: &[Signer<'_>], nonce| {
        let privilege = Some(AccountPrivilege { signers: List::of(signers), ..common() });
        let create = CreateAccount { dest_address: &a.address, privilege, init_balance: RESERVE, ..Default::default() };
        Draft::of(&genesis, nonce).does(OperationBody::CreateAccount(create)).seal()
    };
    let signer = |address, weight| Signer { address, weight };
    assert_eq!(world.refusal(&create(&[signer(&a.address, 1)], 1)), ErrorCode::INVALID_ADDRESS);
    assert_eq!(world.refusal(&create(&[signer("x", 1)], 1)), ErrorCode::INVALID_ADDRESS);
    assert_eq!(world.refusal(&create(&[signer(&genesis.address, TOP + 1)], 1)), ErrorCode::WEIGHT_NOT_VALID);
    let twice = [signer(&genesis.address, 1), signer(&genesis.address, 2)];
    assert_eq!(world.refusal(&create(&twice, 1)), ErrorCode::INVALID_PARAMETER);
    assert_eq!(world.submit(&create(&twice[..1], 1)), Verdict::Accepted);
    world.advance();
    world.settle();
    assert!(world.reader.account(&a.address).is_some());
}

#[test]
fn privileges_are_checked() {
    let mut town = Town::new();
    let (genesis, a) = (town.genesis.clone(), town.a.clone());
    let set = |set: SetPrivilege<'_>| Draft::of(&genesis, 1).does(OperationBody::SetPrivilege(set)).seal();
    let with_signers = |signers: &[Signer<'_>]| set(SetPrivilege { signers: List::of(signers), ..Default::default() });
    let with_types =
        |types: &[TypeThreshold]| set(SetPrivilege { type_thresholds: List::of(types), ..Default::default() });
    let signer = |address, weight| Signer { address, weight };
    let kind = |kind, threshold| TypeThreshold { kind, threshold };
    let rows: Vec<(Bytes, ErrorCode)> = vec![
        (set(SetPrivilege { master_weight: "4294967296", ..Default::default() }), ErrorCode::WEIGHT_NOT_VALID),
        (set(SetPrivilege { master_weight: "-1", ..Default::default() }), ErrorCode::WEIGHT_NOT_VALID),
        (set(SetPrivilege { master_weight: "one", ..Default::default() }), ErrorCode::WEIGHT_NOT_VALID),
        (set(SetPrivilege { master_weight: "+1", ..Default::default() }), ErrorCode::WEIGHT_NOT_VALID),
        (set(SetPrivilege { tx_threshold: "-1", ..Default::default() }), ErrorCode::THRESHOLD_NOT_VALID),
        (
            set(SetPrivilege { tx_threshold: "9223372036854775808", ..Default::default() }),
            ErrorCode::THRESHOLD_NOT_VALID,
        ),
        (with_signers(&[signer(&a.address, -1)]), ErrorCode::WEIGHT_NOT_VALID),
        (with_signers(&[signer(&genesis.address, 1)]), ErrorCode::INVALID_ADDRESS),
        (with_signers(&[signer("x", 1)]), ErrorCode::INVALID_ADDRESS),
        (with_signers(&[signer(&a.address, 1), signer(&a.address, 1)]), ErrorCode::INVALID_PARAMETER),
        (with_types(&[kind(0, 1)]), ErrorCode::INVALID_PARAMETER),
        (with_types(&[kind(101, 1)]), ErrorCode::INVALID_PARAMETER),
        (with_types(&[kind(7, -1)]), ErrorCode::THRESHOLD_NOT_VALID),
        (with_types(&[kind(7, 1), kind(7, 2)]), ErrorCode::INVALID_PARAMETER),
    ];
    for (place, (envelope, code)) in rows.iter().enumerate() {
        assert_eq!(town.world.refusal(envelope), *code, "{place}");
    }
    assert_eq!(town.world.submit(&with_types(&[kind(100, 1)])), Verdict::Accepted);
}

#[test]
fn what_is_not_executed_here_waits_to_be_relayed_and_is_never_proposed() {
    let mut town = Town::new();
    let log = |topic| Draft::of(&town.genesis, 1).does(OperationBody::Log(Log { topic, datas: List::default() }));
    let (bad, good) = (log("").seal(), log("t").seal());
    assert_eq!(town.world.refusal(&bad), ErrorCode::INVALID_PARAMETER);
    assert_eq!(town.world.submit(&good), Verdict::Accepted);
    let (value, ..) = town.world.advance();
    assert!(
        polypeer_bumo::wire::Message::decode(&value)
            .is_ok_and(|value: polypeer_bumo::wire::ConsensusValue<'_>| value.transactions().count() == 0)
    );
    assert_eq!(town.world.reader.waiting(9).0, 1);
}

#[test]
fn a_dearer_one_takes_the_place_and_what_waits_too_long_goes() {
    let mut town = Town::new();
    let (cheap, dear) = (town.pay().seal(), town.pay().with(|tx| tx.gas_price = 1_100).seal());
    let dearest = town.pay().with(|tx| tx.gas_price = 1_150).seal();
    assert_eq!(town.world.submit(&cheap), Verdict::Accepted);
    assert_eq!(town.world.submit(&dear), Verdict::Accepted);
    assert_eq!(town.world.refusal(&dearest), ErrorCode::TX_INSERT_QUEUE_FAIL);
    assert_eq!(town.world.reader.waiting(9), (1, vec![crate::world::id(&dear)]));
    town.world.pass(Duration::from_secs(599));
    assert_eq!(town.world.reader.waiting(9).0, 1);
    town.world.pass(Duration::from_secs(1));
    assert_eq!(town.world.reader.waiting(9).0, 0);
    assert_eq!(town.world.submit(&dear), Verdict::Accepted);
}

#[test]
fn signatures_that_are_wrong_are_passed_over_and_too_many_are_not_looked_at() {
    let mut town = Town::new();
    let pay = town.pay().signed_by(&["acct-b", "acct-c", "genesis"]).seal();
    assert_eq!(town.world.submit(&pay), Verdict::Accepted);
    let many = town.pay().with(|tx| tx.nonce = 2).signed_by(&["genesis"; 101]).with(|tx| tx.fee_limit *= 100).seal();
    assert_eq!(town.world.refusal(&many), ErrorCode::INVALID_SIGNATURE);
}

#[test]
fn the_operators_is_told_to_all_and_waits_again_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let config = || {
        let path = Some(folder.path().join("ledger"));
        polypeer_ledger_bumo::Config { path, ..crate::world::validating(1) }
    };
    let mut world = World::open(config(), 1);
    let (genesis, a) = (person("genesis"), person("acct-a"));
    let envelope = Draft::of(&genesis, 1).pays(&a.address, RESERVE).seal();
    let request = Request::Submit { envelope: envelope.clone(), origin: Origin::Operator };
    let hash = crate::world::id(&envelope);
    let told = Answer::NewTransaction { hash, envelope: envelope.clone() };
    assert_eq!(world.batch(vec![request]), (vec![Answer::Submitted { hash, verdict: Verdict::Accepted }], vec![told]));
    let second =
        Draft::of(&genesis, 2).does(OperationBody::PayCoin(PayCoin { dest_address: &a.address, amount: 1, input: "" }));
    assert_eq!(world.submit(&second.seal()), Verdict::Accepted);
    drop(world);
    let mut world = World::open(config(), 1);
    assert_eq!(world.reader.waiting(9), (1, vec![hash]), "a peer's is lost with the process");
    world.advance();
    world.settle();
    drop(world);
    let world = World::open(config(), 1);
    assert_eq!(world.reader.waiting(9).0, 0);
    assert_eq!(world.reader.account(&a.address).unwrap().balance, RESERVE);
}
