//! Reads a transaction's envelope, and finds who signed it (BUMO spec, section 9.1).

use bytes::Bytes;
use polypeer_bumo::hash::{Hash, HashType};
use polypeer_bumo::keys::PublicKey;
use polypeer_bumo::wire::{Message, Operation, OperationBody, Transaction, TransactionEnv, WireError};
use std::collections::BTreeSet;
use std::sync::Arc;

/// Gas of making a contract.
const CREATE_CONTRACT_GAS: i64 = 1_000_000;
/// Gas of issuing an asset.
const ISSUE_ASSET_GAS: i64 = 5_000_000;

/// An envelope that was read once, with what costs time to find out of it.
#[derive(Clone, Debug)]
pub(crate) struct Envelope {
    /// Its canonical bytes.
    pub(crate) bytes: Bytes,
    /// The hash of the transaction in it.
    pub(crate) id: Hash,
    /// Whose signatures are right. Others in the list are passed over.
    pub(crate) signers: Arc<BTreeSet<String>>,
}

impl Envelope {
    /// Reads it, and verifies its signatures.
    pub(crate) fn read(bytes: Bytes, hash_type: HashType) -> Result<Self, WireError> {
        let mut envelope = Self::read_unsigned(bytes, hash_type)?;
        envelope.verify();
        Ok(envelope)
    }

    /// Reads it as if nobody had signed it.
    pub(crate) fn read_unsigned(bytes: Bytes, hash_type: HashType) -> Result<Self, WireError> {
        let envelope = TransactionEnv::decode(&bytes)?;
        let id = hash_type.hash(envelope.transaction.unwrap_or_default().bytes);
        Ok(Self { bytes, id, signers: Arc::default() })
    }

    /// How many signatures it has, right or wrong.
    pub(crate) fn signature_count(&self) -> usize {
        TransactionEnv::decode(&self.bytes).map_or(0, |envelope| envelope.signatures.len())
    }

    /// Finds out who signed it.
    pub(crate) fn verify(&mut self) {
        let Ok(envelope) = TransactionEnv::decode(&self.bytes) else { return };
        let signed = envelope.transaction.unwrap_or_default().bytes;
        let signers = envelope.signatures.iter().filter_map(|signature| {
            let key = PublicKey::parse(signature.public_key).ok()?;
            key.verify(signed, signature.sign_data).then(|| key.address())
        });
        self.signers = Arc::new(signers.collect());
    }

    /// The transaction in it.
    pub(crate) fn open(&self) -> Transaction<'_> {
        // It was read before.
        TransactionEnv::decode(&self.bytes).ok().and_then(|envelope| envelope.transaction).unwrap_or_default().message
    }
}

/// What a transaction costs in gas: its size, and what its operations take.
pub(crate) fn gas(size: usize, transaction: &Transaction<'_>) -> i64 {
    let operations: i64 = transaction.operations.iter().map(|operation| operation_gas(&operation)).sum();
    i64::try_from(size).unwrap_or(i64::MAX).saturating_add(operations)
}

fn operation_gas(operation: &Operation<'_>) -> i64 {
    match operation.body {
        OperationBody::IssueAsset(_) | OperationBody::Missing(2) => ISSUE_ASSET_GAS,
        _ if makes_contract(operation) => CREATE_CONTRACT_GAS,
        _ => 0,
    }
}

fn makes_contract(operation: &Operation<'_>) -> bool {
    let OperationBody::CreateAccount(create) = operation.body else { return false };
    create.contract.is_some_and(|contract| !contract.payload.is_empty())
}

/// Whether all of a transaction's operations are executed here, as long as no account has code.
pub(crate) fn is_executed(transaction: &Transaction<'_>) -> bool {
    transaction.operations.iter().all(|operation| match operation.body {
        OperationBody::CreateAccount(_) | OperationBody::Missing(1) => !makes_contract(&operation),
        OperationBody::PayCoin(_) | OperationBody::SetPrivilege(_) | OperationBody::Missing(7 | 9) => true,
        _ => false,
    })
}
