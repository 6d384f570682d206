//! Reads one captured BUMO message over and over: ours as our node does before it decides, and structs derived by prost,
//! which share the message's bytes too.

use super::decode::run;
use anyhow::{Context, Result};
use bytes::Bytes;
use polypeer_bumo::wire::{self, Body, Message as _};
use prost::Message as _;

#[path = "../../../protocols/bumo/tests/wire/oracle.rs"]
#[expect(dead_code, reason = "the tests make messages of all kinds at random, and this only reads some")]
mod oracle;

const VOTE: &str = include_str!("../../../protocols/bumo/tests/fixtures/pbft_commit_v0_s2_r2.hex");
const LEDGERS: &str = include_str!("../../../protocols/bumo/tests/fixtures/ledgers_3_7.hex");
const TRANSACTION: &str = include_str!("../../../protocols/bumo/tests/fixtures/transaction_pay_coin.hex");

/// Ours, of a vote: from the WebSocket message until all that a replica looks at before it verifies is known.
pub(super) fn vote_ours() -> Result<()> {
    run(&captured(VOTE)?, |message| {
        let envelope = wire::PbftEnv::decode(wire::Envelope::decode(message).ok()?.data).ok()?;
        let (pbft, signature) = (envelope.pbft?, envelope.signature?);
        let Body::Commit(vote) = pbft.message.body else { return None };
        Some(vote.sequence as u64 + first(vote.value_digest) + first(signature.sign_data))
    })
}

/// prost, of the same.
pub(super) fn vote_prost() -> Result<()> {
    run(&captured(VOTE)?, |message| {
        let envelope = oracle::PbftEnv::decode(oracle::WsMessage::decode(message.clone()).ok()?.data).ok()?;
        let (pbft, signature) = (envelope.pbft?, envelope.signature?);
        let vote = pbft.commit?;
        Some(vote.sequence as u64 + first(&vote.value_digest) + first(&signature.sign_data))
    })
}

/// Ours, of five ledgers: values and the votes of their proofs.
pub(super) fn ledgers_ours() -> Result<()> {
    run(&captured(LEDGERS)?, |message| {
        let ledgers = wire::Ledgers::decode(wire::Envelope::decode(message).ok()?.data).ok()?;
        let mut sum = commits_ours(ledgers.proof)?;
        for value in &ledgers.values {
            let value = wire::ConsensusValue::decode(value).ok()?;
            value.check_transactions().ok()?;
            sum += value.ledger_seq as u64 + commits_ours(value.previous_proof)?;
        }
        Some(sum)
    })
}

fn commits_ours(proof: &[u8]) -> Option<u64> {
    let mut sum = 0;
    for commit in wire::commits(proof) {
        sum += first(commit.ok()?.signature?.sign_data);
    }
    Some(sum)
}

/// prost, of the same; without the second look that tells whether the bytes were canonical.
pub(super) fn ledgers_prost() -> Result<()> {
    run(&captured(LEDGERS)?, |message| {
        let ledgers = oracle::Ledgers::decode(oracle::WsMessage::decode(message.clone()).ok()?.data).ok()?;
        let mut sum = commits_prost(ledgers.proof)?;
        for value in ledgers.values {
            let value = oracle::ConsensusValue::decode(value).ok()?;
            for transaction in value.txset.unwrap_or_default().txs {
                oracle::TransactionEnv::decode(transaction).ok()?;
            }
            sum += value.ledger_seq as u64 + commits_prost(value.previous_proof)?;
        }
        Some(sum)
    })
}

fn commits_prost(proof: Bytes) -> Option<u64> {
    let mut sum = 0;
    for commit in oracle::PbftProof::decode(proof).ok()?.commits {
        sum += first(&commit.signature?.sign_data);
    }
    Some(sum)
}

/// Ours, of a transaction that pays coins.
pub(super) fn transaction_ours() -> Result<()> {
    run(&captured(TRANSACTION)?, |message| {
        let envelope = wire::TransactionEnv::decode(wire::Envelope::decode(message).ok()?.data).ok()?;
        let transaction = envelope.transaction?.message;
        Some(transaction.nonce as u64 + transaction.operations.len() as u64 + envelope.signatures.len() as u64)
    })
}

/// prost, of the same.
pub(super) fn transaction_prost() -> Result<()> {
    run(&captured(TRANSACTION)?, |message| {
        let envelope = oracle::TransactionEnv::decode(oracle::WsMessage::decode(message.clone()).ok()?.data).ok()?;
        let transaction = envelope.transaction?;
        Some(transaction.nonce as u64 + transaction.operations.len() as u64 + envelope.signatures.len() as u64)
    })
}

fn first(bytes: &[u8]) -> u64 {
    bytes.first().copied().map_or(0, u64::from)
}

fn captured(digits: &str) -> Result<Bytes> {
    let digits = digits.trim();
    let byte = |at| u8::from_str_radix(digits.get(at..at + 2).unwrap_or_default(), 16).context("the capture is no hex");
    (0..digits.len()).step_by(2).map(byte).collect()
}
