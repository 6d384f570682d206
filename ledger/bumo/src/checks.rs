//! Checks transactions and operations by themselves, before anything is executed (BUMO spec, section 9.5, "Pre-checks"
//! and "Static operation checks"). What fails here never stands in a ledger.

use crate::account::{Account, Privilege, key_of};
use crate::envelope::{Envelope, gas};
use crate::rules::Law;
use crate::tables::{AccountKey, StoreError};
use polypeer_bumo::wire::{
    CreateAccount, ErrorCode, IssueAsset, KeyPair, List, Log, METADATA_BYTES_MAX, OPERATIONS_MAX, Operation,
    OperationBody, PayAsset, PayCoin, SetMetadata, SetPrivilege, SetSignerWeight, SetThreshold, Signer,
    TRANSACTION_BYTES_MAX, Transaction, TypeThreshold,
};
use std::collections::BTreeSet;

/// What an own key and a signer may weigh.
const WEIGHT_MAX: i64 = u32::MAX as i64;
/// Bytes of a metadata entry's name.
const NAME_BYTES_MAX: usize = 1_024;
/// Bytes of an asset's name.
const ASSET_BYTES_MAX: usize = 64;
/// Bytes of a contract's code.
const CODE_BYTES_MAX: usize = 256 << 10;
/// Bytes of a log's topic, and of each thing it says.
const TOPIC_BYTES_MAX: usize = 128;
const DATA_BYTES_MAX: usize = 1_024;
/// Operations' types have numbers up to this one where thresholds name them.
const TYPE_MAX: i32 = 100;

/// Accounts that are not made by just anyone: the contract that elects validators by stake, and five that wait for a use.
const RESERVED: [&str; 6] = [
    "buQqzdS9YSnokDjvzg4YaNatcFQfkgXqk6ss",
    "buQcHGxxpPDBcPKys8cD5NY1CAiyAfFBjgtg",
    "buQraU2Y5niuYyDdS7FNfJYRrGe8q21RmWc3",
    "buQXoma4baahLbAcnZdC7hFqCHoAxbnytYxd",
    "buQVpA6eKpuDcNfubXsgG9ihN32psE1jyygm",
    "buQa9pRC8B38zd8Z47q97D4X5WwqhMry3VEm",
];
/// Who makes them.
const RESERVED_CREATOR: &str = "buQgCBN4MSZMWRfJbksh9PWpKqgY3tSEMM4d";
/// Contracts that are made at a given address: they choose validators and fees.
const CONTRACTS: [&str; 2] = ["buQtxgoaDrVJGtoPT66YnA2S84yE8FbBqQDJ", "buQiQgRerQM1fUM3GkqUftpNxGzNg2AdJBpe"];

/// Why a transaction is not taken.
#[derive(Debug)]
pub(crate) enum Stop {
    /// This rule refuses it.
    Code(ErrorCode),
    /// It has an operation that is not executed here.
    Foreign,
    /// The store cannot be read.
    Store,
}

impl From<ErrorCode> for Stop {
    fn from(code: ErrorCode) -> Self {
        Self::Code(code)
    }
}

impl From<StoreError> for Stop {
    fn from(_: StoreError) -> Self {
        Self::Store
    }
}

pub(crate) type Checked<T = ()> = Result<T, Stop>;

/// Passes when a condition holds; else this is the reason.
fn ensure(holds: bool, code: ErrorCode) -> Checked {
    if holds { Ok(()) } else { Err(code.into()) }
}

/// Whether an account exists in the last closed ledger.
pub(crate) type Exists<'e> = &'e dyn Fn(&AccountKey) -> Result<bool, StoreError>;

/// What can be said of a transaction without the accounts that it names.
pub(crate) fn parameters(envelope: &Envelope, transaction: &Transaction<'_>, law: &Law, exists: Exists<'_>) -> Checked {
    let operations = transaction.operations;
    ensure(envelope.bytes.len() < TRANSACTION_BYTES_MAX, ErrorCode::TX_SIZE_TOO_BIG)?;
    ensure(!operations.is_empty(), ErrorCode::MISSING_OPERATIONS)?;
    ensure(operations.len() <= OPERATIONS_MAX, ErrorCode::TOO_MANY_OPERATIONS)?;
    ensure(transaction.metadata.len() <= METADATA_BYTES_MAX, ErrorCode::INVALID_PARAMETER)?;
    let ceil = transaction.ceil_ledger_seq;
    ensure(ceil == 0 || ceil >= law.number(), ErrorCode::INVALID_PARAMETER)?;
    ensure(transaction.fee_limit >= 0, ErrorCode::INVALID_PARAMETER)?;
    ensure(transaction.gas_price >= law.gas_price.max(0), ErrorCode::INVALID_PARAMETER)?;
    operations.iter().try_for_each(|operation| {
        let source = source_of(&operation, transaction);
        ensure(key_of(source).is_some(), ErrorCode::INVALID_ADDRESS)?;
        ensure(operation.metadata.len() <= METADATA_BYTES_MAX, ErrorCode::INVALID_PARAMETER)?;
        Check { source, law, exists }.operation(&operation)
    })
}

/// Who acts in an operation.
pub(crate) fn source_of<'t>(operation: &Operation<'t>, transaction: &Transaction<'t>) -> &'t str {
    match operation.source_address {
        "" => transaction.source_address,
        own => own,
    }
}

/// What the account that pays must allow: signatures, and enough coins for the fee.
pub(crate) fn payer(envelope: &Envelope, transaction: &Transaction<'_>, law: &Law, account: &Account) -> Checked {
    // No operation has the type 0 that a whole transaction has here.
    ensure(account.is_signed(&envelope.signers, account.privilege.threshold), ErrorCode::INVALID_SIGNATURE)?;
    let left = account.balance.checked_sub(transaction.fee_limit).ok_or(ErrorCode::MATH_OVERFLOW)?;
    ensure(left >= law.base_reserve, ErrorCode::ACCOUNT_LOW_RESERVE)?;
    let fee = gas(envelope.bytes.len(), transaction).checked_mul(transaction.gas_price);
    ensure(transaction.fee_limit >= fee.ok_or(ErrorCode::INVALID_PARAMETER)?, ErrorCode::FEE_NOT_ENOUGH)
}

/// An operation's surroundings.
struct Check<'c> {
    source: &'c str,
    law: &'c Law,
    exists: Exists<'c>,
}

impl Check<'_> {
    fn operation(&self, operation: &Operation<'_>) -> Checked {
        match &operation.body {
            OperationBody::CreateAccount(create) => self.create_account(create),
            OperationBody::IssueAsset(issue) => issue_asset(issue),
            OperationBody::PayAsset(pay) => self.pay_asset(pay),
            OperationBody::SetMetadata(set) => set_metadata(set),
            OperationBody::SetSignerWeight(set) => self.set_signer_weight(set),
            OperationBody::SetThreshold(set) => set_threshold(set),
            OperationBody::PayCoin(pay) => self.pay_coin(pay),
            OperationBody::Log(log) => say(log),
            OperationBody::SetPrivilege(set) => self.set_privilege(set),
            OperationBody::Missing(1) => self.create_account(&CreateAccount::default()),
            OperationBody::Missing(7) => self.pay_coin(&PayCoin::default()),
            OperationBody::Missing(9) => self.set_privilege(&SetPrivilege::default()),
            OperationBody::Missing(3) => self.pay_asset(&PayAsset::default()),
            OperationBody::Missing(2) => issue_asset(&IssueAsset::default()),
            OperationBody::Missing(5) => Ok(()),
            OperationBody::Missing(6) => Ok(()),
            OperationBody::Missing(_) => Err(ErrorCode::INVALID_PARAMETER.into()),
        }
    }

    /// That a reserved account exists, or that its maker makes it.
    fn reserved(&self, address: &str) -> Checked {
        if !RESERVED.contains(&address) || self.source == RESERVED_CREATOR {
            return Ok(());
        }
        let exists = key_of(address).map_or(Ok(false), |key| (self.exists)(&key))?;
        ensure(exists, ErrorCode::INVALID_ADDRESS)
    }

    fn create_account(&self, create: &CreateAccount<'_>) -> Checked {
        let payload = create.contract.map_or("", |contract| contract.payload);
        let is_address = key_of(create.dest_address).is_some();
        if self.law.allows_signers_at_birth() {
            ensure(is_address, ErrorCode::INVALID_ADDRESS)?;
        }
        self.reserved(create.dest_address)?;
        if !self.law.allows_signers_at_birth() && !payload.is_empty() {
            let has_place = create.dest_address.is_empty() || CONTRACTS.contains(&create.dest_address);
            ensure(has_place, ErrorCode::INVALID_ADDRESS)?;
        } else {
            ensure(is_address, ErrorCode::INVALID_ADDRESS)?;
        }
        let wire = create.privilege.ok_or(ErrorCode::INVALID_PARAMETER)?;
        ensure((0..=WEIGHT_MAX).contains(&wire.master_weight), ErrorCode::WEIGHT_NOT_VALID)?;
        if self.law.allows_signers_at_birth() {
            signers(&wire.signers, create.dest_address)?;
        }
        let privilege = Privilege::of(&wire).ok_or(ErrorCode::INVALID_PARAMETER)?;
        ensure(privilege.threshold >= 0, ErrorCode::THRESHOLD_NOT_VALID)?;
        let thresholds = wire.thresholds.unwrap_or_default().type_thresholds;
        type_thresholds(&thresholds)?;
        if !payload.is_empty() {
            ensure(payload.len() <= CODE_BYTES_MAX, ErrorCode::INVALID_PARAMETER)?;
            let of_contract = Privilege { master_weight: 0, ..Privilege::common() };
            ensure(privilege == of_contract, ErrorCode::INVALID_PARAMETER)?;
        } else if !self.law.allows_signers_at_birth() {
            ensure(privilege == Privilege::common(), ErrorCode::INVALID_PARAMETER)?;
        }
        create.metadatas.iter().try_for_each(|entry: KeyPair<'_>| metadata(entry.key, entry.value))
    }

    fn pay_coin(&self, pay: &PayCoin<'_>) -> Checked {
        ensure(pay.amount >= 0, ErrorCode::INVALID_PARAMETER)?;
        ensure(pay.dest_address != self.source, ErrorCode::ACCOUNT_SOURCEDEST_EQUAL)?;
        ensure(key_of(pay.dest_address).is_some(), ErrorCode::INVALID_ADDRESS)?;
        self.reserved(pay.dest_address)
    }

    fn set_privilege(&self, set: &SetPrivilege<'_>) -> Checked {
        if !set.master_weight.is_empty() {
            let weight = number(set.master_weight).filter(|weight| *weight <= WEIGHT_MAX);
            ensure(weight.is_some(), ErrorCode::WEIGHT_NOT_VALID)?;
        }
        signers(&set.signers, self.source)?;
        if !set.tx_threshold.is_empty() {
            ensure(number(set.tx_threshold).is_some(), ErrorCode::THRESHOLD_NOT_VALID)?;
        }
        type_thresholds(&set.type_thresholds)
    }

    fn pay_asset(&self, pay: &PayAsset<'_>) -> Checked {
        if let Some(asset) = pay.asset {
            let key = asset.key.unwrap_or_default();
            let is_right = key.kind == 0 && asset.amount > 0 && (1..=ASSET_BYTES_MAX).contains(&key.code.len());
            ensure(is_right && key_of(key.issuer).is_some(), ErrorCode::ASSET_INVALID)?;
        }
        ensure(pay.dest_address != self.source, ErrorCode::ACCOUNT_SOURCEDEST_EQUAL)?;
        ensure(key_of(pay.dest_address).is_some(), ErrorCode::INVALID_ADDRESS)
    }

    fn set_signer_weight(&self, set: &SetSignerWeight<'_>) -> Checked {
        ensure((-1..=WEIGHT_MAX).contains(&set.master_weight), ErrorCode::WEIGHT_NOT_VALID)?;
        set.signers.iter().try_for_each(|one| signer(&one, self.source))
    }
}

fn issue_asset(issue: &IssueAsset<'_>) -> Checked {
    let is_named = (1..=ASSET_BYTES_MAX).contains(&issue.code.len()) && issue.code.trim() == issue.code;
    ensure(issue.amount > 0 && is_named, ErrorCode::ASSET_INVALID)
}

fn set_metadata(set: &SetMetadata<'_>) -> Checked {
    metadata(set.key, set.value)
}

fn set_threshold(set: &SetThreshold<'_>) -> Checked {
    ensure(set.tx_threshold >= -1, ErrorCode::THRESHOLD_NOT_VALID)?;
    let mut types = set.type_thresholds.iter();
    ensure(types.all(|one| is_type(one.kind) && one.threshold >= 0), ErrorCode::THRESHOLD_NOT_VALID)
}

fn say(log: &Log<'_>) -> Checked {
    ensure((1..=TOPIC_BYTES_MAX).contains(&log.topic.len()), ErrorCode::INVALID_PARAMETER)?;
    ensure(log.datas.iter().all(|data| (1..=DATA_BYTES_MAX).contains(&data.len())), ErrorCode::INVALID_PARAMETER)
}

fn metadata(name: &str, value: &str) -> Checked {
    let is_right = (1..=NAME_BYTES_MAX).contains(&name.len()) && value.len() <= METADATA_BYTES_MAX;
    ensure(is_right, ErrorCode::INVALID_PARAMETER)
}

/// That signers may be, and each is there once. `owner` is whose they are.
fn signers(signers: &List<'_, Signer<'_>>, owner: &str) -> Checked {
    let mut seen = BTreeSet::new();
    signers.iter().try_for_each(|one| {
        signer(&one, owner)?;
        ensure(seen.insert(one.address), ErrorCode::INVALID_PARAMETER)
    })
}

fn signer(signer: &Signer<'_>, owner: &str) -> Checked {
    ensure((0..=WEIGHT_MAX).contains(&signer.weight), ErrorCode::WEIGHT_NOT_VALID)?;
    ensure(signer.address != owner && key_of(signer.address).is_some(), ErrorCode::INVALID_ADDRESS)
}

fn type_thresholds(thresholds: &List<'_, TypeThreshold>) -> Checked {
    let mut seen = BTreeSet::new();
    thresholds.iter().try_for_each(|one| {
        ensure(is_type(one.kind), ErrorCode::INVALID_PARAMETER)?;
        ensure(one.threshold >= 0, ErrorCode::THRESHOLD_NOT_VALID)?;
        ensure(seen.insert(one.kind), ErrorCode::INVALID_PARAMETER)
    })
}

fn is_type(kind: i32) -> bool {
    (1..=TYPE_MAX).contains(&kind)
}

/// A decimal number that is not negative, in its one form.
pub(crate) fn number(text: &str) -> Option<i64> {
    let number: i64 = text.parse().ok()?;
    (number >= 0 && number.to_string() == text).then_some(number)
}
