//! Transactions and work have the names that explorers know them by.

use super::fixtures::*;
use polypeer_mina::binprot::{Binable as _, BinprotError, OneOrTwo, Whole};
use polypeer_mina::block::{DUMMY_PROOF, PublicKey, Signature};
use polypeer_mina::checks::{Objection, check_snark_work};
use polypeer_mina::command::{Authorization, UserCommand, ZkappCommand, transaction_id};
use polypeer_mina::hash::text;
use polypeer_mina::snark::{LedgerProof, SnarkDiff, SolvedWork, WorkStatement};

const SIGNED: u8 = 0;
const ZKAPP_COMMAND: u8 = 1;

fn zkapp(name: &str) -> Vec<u8> {
    [vec![ZKAPP_COMMAND], file(name)].concat()
}

#[track_caller]
fn id(command: &[u8]) -> String {
    text::transaction_id(&transaction_id(command).expect("a command"))
}

#[test]
fn zkapp_commands_have_the_ids_that_are_known() {
    let known = &expected()["zkapps"];
    for name in ["with_proof_auth.bin", "with_sig_auth.bin"] {
        let command = zkapp(&format!("v2-current/zkapps/{name}"));
        assert_eq!(id(&command), known[name]["transaction_hash"], "{name}");
    }
}

#[test]
fn a_payment_has_the_id_that_follows_from_the_rule() {
    assert_eq!(id(&file(PAYMENT)), expected()["user_command_payment"]["transaction_hash_by_rule_unconfirmed"]);
}

#[test]
fn signatures_do_not_change_an_id() {
    let payment = file(PAYMENT);
    let UserCommand::Signed(mut command) = decoded(&payment) else { panic!("a signed command") };
    command.signature = Signature::ONE;
    assert_eq!(id(&UserCommand::Signed(command).encode()), id(&payment));
    command.nonce += 1;
    assert_ne!(id(&UserCommand::Signed(command).encode()), id(&payment));
    let bytes = zkapp(ZKAPPS[2]);
    let UserCommand::Zkapp(mut command) = decoded(&bytes) else { panic!("a zkApp command") };
    command.fee_payer.signature = Signature::ONE;
    assert_eq!(id(&UserCommand::Zkapp(command).encode()), id(&bytes));
    command.fee_payer.fee += 1;
    assert_ne!(id(&UserCommand::Zkapp(command).encode()), id(&bytes));
}

/// What is not a command to its last byte has none.
#[test]
fn what_is_no_command_has_no_id() {
    for command in [file(PAYMENT), file(ZKAPP), zkapp(ZKAPPS[0]), zkapp(ZKAPPS[2])] {
        for length in 0..command.len() {
            assert_eq!(transaction_id(&command[..length]), Err(BinprotError::Truncated), "cut at {length}");
        }
        assert_eq!(transaction_id(&[command.as_slice(), &[0]].concat()), Err(BinprotError::Trailing));
        for kind in [SIGNED, ZKAPP_COMMAND, 2, 255] {
            let other = [&[kind], &command[1..]].concat();
            let is_same = kind == command[0];
            assert_eq!(transaction_id(&other).is_ok(), is_same, "{kind}");
        }
    }
}

/// Ids are given to just what decodes, wherever a byte is altered.
#[test]
fn whatever_decodes_has_an_id_and_nothing_else() {
    for command in [file(PAYMENT), file(ZKAPP), zkapp(ZKAPPS[0])] {
        for place in 0..command.len() {
            for change in [0x01, 0x80, 0xff] {
                let mut altered = command.clone();
                altered[place] ^= change;
                let decoded = UserCommand::decode(&altered).map(drop);
                assert_eq!(transaction_id(&altered).map(drop), decoded, "byte {place} by {change:#x}");
            }
        }
    }
}

#[test]
fn a_proof_is_found_where_one_is() {
    let bytes = file(ZKAPPS[1]);
    let command: ZkappCommand<'_> = decoded(&bytes);
    let proofs = command.calls.iter().filter(|call| matches!(call.update.authorization, Authorization::Proof(_)));
    assert_eq!(proofs.count(), 1);
}

// Work that proves the statement of the devnet's block.
fn work(block: &[u8]) -> (Vec<u8>, Vec<u8>) {
    let statement = super::fixtures::block(block).header.state.body.blockchain.statement;
    let proof = LedgerProof { statement, sok_digest: [7; 32], proof: Whole::decode(DUMMY_PROOF).expect("a proof") };
    (WorkStatement { statement, sok_digest: () }.encode().to_vec(), proof.encode().to_vec())
}

#[test]
fn work_is_named_by_what_is_proven() {
    let block = file(BLOCK);
    let (statement, proof) = work(&block);
    let (statement, proof) = (decoded(&statement), decoded(&proof));
    let one = SolvedWork {
        statements: OneOrTwo::One(statement),
        proofs: OneOrTwo::One(proof),
        fee: 1,
        prover: PublicKey::EMPTY,
    };
    let cheaper = SolvedWork { fee: 0, ..one };
    let two = SolvedWork { statements: OneOrTwo::Two(statement, statement), ..one };
    assert_eq!(one.id(), cheaper.id());
    assert_ne!(one.id(), two.id());
    let bytes = SnarkDiff::AddSolvedWork(one).encode();
    assert_eq!(super::anew::anew(&decoded::<SnarkDiff<'_>>(&bytes)), bytes);
    assert_eq!(check_snark_work(&decoded(&bytes)), Ok(()));
    assert_eq!(check_snark_work(&SnarkDiff::Empty), Ok(()));
    assert_eq!(check_snark_work(&SnarkDiff::AddSolvedWork(two)), Err(Objection::Statement), "one proof of two");
    let both = SolvedWork { proofs: OneOrTwo::Two(proof, proof), ..two };
    assert_eq!(check_snark_work(&SnarkDiff::AddSolvedWork(both)), Ok(()));
    let twice = SolvedWork { proofs: OneOrTwo::Two(proof, proof), ..one };
    assert_eq!(check_snark_work(&SnarkDiff::AddSolvedWork(twice)), Err(Objection::Statement), "two proofs of one");
}

#[test]
fn work_that_proves_something_else_is_refused() {
    let block = file(BLOCK);
    let (statement, proof) = work(&block);
    let mut other: LedgerProof<'_> = decoded(&proof);
    other.statement.fee_excess_left.amount.magnitude += 1;
    let other = other.encode();
    let work = SolvedWork {
        statements: OneOrTwo::One(decoded(&statement)),
        proofs: OneOrTwo::One(decoded(&other)),
        fee: 0,
        prover: PublicKey::EMPTY,
    };
    assert_eq!(check_snark_work(&SnarkDiff::AddSolvedWork(work)), Err(Objection::Statement));
}
