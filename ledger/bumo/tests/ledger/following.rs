//! What a node does from the first ledger on that it does not execute (BUMO spec, section 6.3).

use crate::world::{Draft, RESERVE, World, commit, key, person, prove, rules, validating};
use bytes::Bytes;
use polypeer_bumo::hash::{Hash, sha256};
use polypeer_bumo::ledger::{Answer, CloseError, Judgement, ProposeError, Request, SignError, Verdict};
use polypeer_bumo::proof;
use polypeer_bumo::wire::{
    AccountPrivilege, ConsensusValue, Contract, CreateAccount, ErrorCode, IssueAsset, List, Log, Message,
    OperationBody, SetMetadata, SetSignerWeight, SetThreshold, TransactionEnvSet,
};
use polypeer_ledger_bumo::{Config, LedgerKey};

/// Operations that are not executed here.
fn foreign() -> Vec<OperationBody<'static>> {
    let code = Some(Contract { kind: 0, payload: "'use strict';" });
    let privilege = Some(AccountPrivilege { master_weight: 0, ..crate::world::common() });
    vec![
        OperationBody::IssueAsset(IssueAsset { code: "c", amount: 1 }),
        OperationBody::SetMetadata(SetMetadata { key: "k", ..SetMetadata::default() }),
        OperationBody::SetSignerWeight(SetSignerWeight::default()),
        OperationBody::SetThreshold(SetThreshold::default()),
        OperationBody::Log(Log { topic: "t", datas: List::default() }),
        OperationBody::CreateAccount(CreateAccount {
            contract: code,
            privilege,
            init_balance: RESERVE,
            ..Default::default()
        }),
        OperationBody::Missing(3),
        OperationBody::Missing(77),
    ]
}

/// A value of this transaction on top of the world's tip.
fn value_of(world: &mut World, envelope: &[u8]) -> Bytes {
    let tip = world.tip();
    let txs = [envelope];
    ConsensusValue {
        txset: Some(TransactionEnvSet { txs: List::of(&txs) }),
        close_time: tip.close_time.max(1_795_000_000_000_000) + 1,
        previous_proof: &tip.proof,
        ledger_seq: tip.seq + 1,
        previous_ledger_hash: &tip.hash.0,
        ..ConsensusValue::default()
    }
    .encode()
}

/// A value without transactions after a ledger of which only others know the hash.
fn next_of(world: &mut World, hash: Hash) -> Bytes {
    let tip = world.tip();
    ConsensusValue {
        txset: Some(TransactionEnvSet::default()),
        close_time: tip.close_time + 1,
        previous_proof: &tip.proof,
        ledger_seq: tip.seq + 1,
        previous_ledger_hash: &hash.0,
        ..ConsensusValue::default()
    }
    .encode()
}

#[test]
fn a_value_with_something_else_is_not_voted_for_and_makes_a_follower_when_others_close_it() {
    let genesis = person("genesis");
    for body in foreign() {
        let mut world = World::new(4);
        world.advance();
        let envelope = Draft::of(&genesis, 1).does(body).with(|tx| tx.fee_limit = 10_000_000_000).seal();
        let value = value_of(&mut world, &envelope);
        assert_eq!(world.judge(&value), Judgement::Doubtful, "{body:?}");
        assert_eq!(world.tip().follow_only, None);
        let tip = world.close(&value, &prove(&value, 3, 4)).unwrap();
        assert_eq!((tip.seq, tip.follow_only, tip.hash), (3, Some(3), Hash::ZERO), "{body:?}");
        assert_eq!(tip.value_hash, sha256(&value));
    }
}

#[test]
fn a_follower_goes_on_by_proofs_learns_hashes_serves_and_neither_votes_nor_proposes() {
    let folder = tempfile::tempdir().unwrap();
    let config = || Config { path: Some(folder.path().join("ledger")), ..validating(4) };
    let mut world = World::open(config(), 4);
    let (genesis, a) = (person("genesis"), person("acct-a"));
    world.advance();
    let envelope = Draft::of(&genesis, 1).does(foreign()[4]).seal();
    let value = value_of(&mut world, &envelope);
    world.close(&value, &prove(&value, 3, 4)).unwrap();
    // Whatever the others computed.
    let hashes = [Hash([3; 32]), Hash([4; 32]), Hash([5; 32])];
    for (place, hash) in hashes.into_iter().enumerate() {
        let value = next_of(&mut world, hash);
        let wrong = prove(&value, 3, 1);
        assert!(matches!(world.close(&value, &wrong), Err(CloseError::Proof(_))), "a proof of one is none of four");
        let tip = world.close(&value, &prove(&value, 4, 4)).unwrap();
        assert_eq!((tip.seq, tip.follow_only), (4 + place as i64, Some(3)));
        if place == 1 {
            drop(world);
            world = World::open(config(), 4);
        }
    }
    world.settle();
    let told = |number| world.reader.ledger(&LedgerKey::Number(number)).unwrap().header.hash;
    assert_eq!([3, 4, 5, 6].map(told), [Some(hashes[0]), Some(hashes[1]), Some(hashes[2]), None]);
    assert_eq!(world.reader.ledger(&LedgerKey::Hash(hashes[1])).unwrap().header.number, 4);
    assert_eq!(world.reader.standing().follow_only, Some(3));
    let served = world.serve(2, 6).unwrap();
    assert_eq!((served.values.len(), served.max_seq), (5, 6));
    assert!(proof::check_proof(&served.proof, &sha256(&served.values[4]), &world.tip().validators, 0).is_ok());
    let next = next_of(&mut world, Hash([6; 32]));
    assert_eq!(world.judge(&next), Judgement::Doubtful);
    assert_eq!(world.ask(Request::Propose { upgrade: None }), Answer::Proposed(Err(ProposeError::FollowOnly)));
    assert_eq!(world.sign(&crate::votes::prepare(7, 9, [1; 32]), &[]), Err(SignError::FollowOnly));
    let pay = Draft::of(&genesis, 2).pays(&a.address, RESERVE).seal();
    assert_eq!(world.submit(&pay), Verdict::Refused(ErrorCode::INTERNAL_ERROR), "what accounts have is not known");
}

#[test]
fn validators_that_nobody_here_knows_are_named_and_others_are_still_believed() {
    let mut world = World::open(Config::in_memory(rules(1)), 1);
    let genesis = person("genesis");
    let by = |name: &str, value: &[u8]| proof::build(&[&commit(name, 0, 0, 2, &sha256(value))]);
    let envelope = Draft::of(&genesis, 1).does(foreign()[4]).seal();
    let value = value_of(&mut world, &envelope);
    // As long as all is executed, validators change where everyone sees it.
    assert!(matches!(world.close(&value, &by("validator-5", &value)), Err(CloseError::Proof(_))));
    world.close(&value, &by("validator-0", &value)).unwrap();
    let next = next_of(&mut world, Hash([3; 32]));
    assert_eq!(world.close(&next, &by("validator-5", &next)), Err(CloseError::Validators));
    assert_eq!(world.reader.standing().strangers, Some(3));
    assert_eq!(world.tip().seq, 2, "it stands still");
    // It was a lie, which anyone can tell.
    world.close(&next, &by("validator-0", &next)).unwrap();
    world.settle();
    assert_eq!((world.reader.standing().strangers, world.tip().seq), (None, 3));
    assert_eq!(key("validator-0").public().address(), world.tip().validators.addresses()[0]);
}
