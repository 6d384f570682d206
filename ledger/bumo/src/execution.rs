//! Executes the transactions of one ledger, and pays its reward (BUMO spec, sections 9.4 and 9.5).
//!
//! ```text
//!   last closed ledger ──read──► buffer of one transaction ──commit──► this ledger
//!                                       └────────discard
//! ```
//! Reading an account copies it into the buffer, and what is committed counts as touched: an account that was only read
//! by a transaction that succeeded is written anew, which shows in the tree if it is one of genesis'.

use crate::account::{Account, Code, Privilege, key_of};
use crate::checks::{Checked, Stop, parameters, payer, source_of};
use crate::envelope::{Envelope, gas, is_executed};
use crate::rules::Law;
use crate::tables::{AccountKey, Result};
use bytes::Bytes;
use polypeer_bumo::wire::{
    CreateAccount, ErrorCode, KeyPair, Message, Operation, OperationBody, PayCoin, SetPrivilege, Transaction,
};
use std::collections::BTreeMap;

/// The account that elects validators, which gets the reward if it exists.
const ELECTORS: &str = "buQqzdS9YSnokDjvzg4YaNatcFQfkgXqk6ss";

/// Accounts of the last closed ledger.
pub(crate) trait Accounts {
    fn account(&self, key: &AccountKey) -> Result<Option<Account>>;
}

/// An account that a ledger touched, and the metadata that it was made with, by name.
#[derive(Clone, Debug)]
pub(crate) struct Touched {
    pub(crate) account: Account,
    pub(crate) metadata: BTreeMap<String, Bytes>,
}

/// What became of a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Applied {
    pub(crate) code: ErrorCode,
    /// What it cost.
    pub(crate) fee: i64,
}

/// A ledger in the making.
pub(crate) struct Execution<'e> {
    base: &'e dyn Accounts,
    law: &'e Law,
    ledger: BTreeMap<AccountKey, Touched>,
    buffer: BTreeMap<AccountKey, Touched>,
    /// Keys of addresses that were met: a checksum is two hashes, and a ledger meets the same ones again and again.
    keys: BTreeMap<String, AccountKey>,
    /// What validators get beside the reward.
    fees: i64,
}

impl<'e> Execution<'e> {
    pub(crate) fn new(base: &'e dyn Accounts, law: &'e Law) -> Self {
        let (ledger, buffer, keys) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        Self { base, law, ledger, buffer, keys, fees: 0 }
    }

    /// Applies a transaction of a value that is proposed. One that does not pass the checks before leaves nothing.
    pub(crate) fn judge(&mut self, envelope: &Envelope) -> Checked<Applied> {
        let transaction = envelope.open();
        let passed = self.check(envelope, &transaction);
        if passed.is_err() {
            self.buffer.clear();
        }
        passed?;
        self.apply(envelope, &transaction, false)
    }

    /// Applies a transaction of a value that was agreed on; nothing if it is passed over.
    pub(crate) fn follow(&mut self, envelope: &Envelope, is_expired: bool) -> Checked<Option<Applied>> {
        let transaction = envelope.open();
        if !is_executed(&transaction) {
            return Err(Stop::Foreign);
        }
        match self.apply(envelope, &transaction, is_expired) {
            Ok(applied) => Ok(Some(applied)),
            // It cannot pay. What it read stays in the buffer, as with everybody.
            Err(Stop::Code(_)) => Ok(None),
            Err(stop) => Err(stop),
        }
    }

    fn check(&mut self, envelope: &Envelope, transaction: &Transaction<'_>) -> Checked {
        if !is_executed(transaction) {
            return Err(Stop::Foreign);
        }
        let base = self.base;
        parameters(envelope, transaction, self.law, &|key| Ok(base.account(key)?.is_some()))?;
        let law = self.law;
        let account = self.touch(transaction.source_address)?.ok_or(ErrorCode::ACCOUNT_NOT_EXIST)?;
        if account.nonce.checked_add(1) != Some(transaction.nonce) {
            return Err(ErrorCode::BAD_SEQUENCE.into());
        }
        payer(envelope, transaction, law, account)
    }

    /// Takes fee and nonce, which stay whatever follows, and runs the operations: all of them or none. A transaction that
    /// fails pays all that it offered.
    fn apply(&mut self, envelope: &Envelope, transaction: &Transaction<'_>, is_expired: bool) -> Checked<Applied> {
        let (offered, fees) = (transaction.fee_limit, self.fees);
        let payer = self.touch(transaction.source_address)?.ok_or(ErrorCode::ACCOUNT_NOT_EXIST)?;
        // The sum counts even when the account cannot pay: that is how everyone counts.
        let sum = fees.checked_add(offered).ok_or(ErrorCode::MATH_OVERFLOW)?;
        let balance = payer.balance.checked_sub(offered);
        if let Some(balance) = balance {
            payer.balance = balance;
            payer.nonce = payer.nonce.wrapping_add(1);
        }
        self.fees = sum;
        balance.ok_or(ErrorCode::MATH_OVERFLOW)?;
        self.commit();
        let ran = match is_expired {
            true => Err(ErrorCode::CONTRACT_EXECUTE_EXPIRED.into()),
            false => self.operations(envelope, transaction),
        };
        let applied = match ran {
            Ok(fee) => {
                self.refund(transaction, offered - fee)?;
                self.commit();
                Applied { code: ErrorCode::SUCCESS, fee }
            }
            Err(Stop::Code(code)) => Applied { code, fee: offered },
            Err(stop) => return Err(stop),
        };
        self.buffer.clear();
        Ok(applied)
    }

    /// Runs a transaction's operations, and says what it costs.
    fn operations(&mut self, envelope: &Envelope, transaction: &Transaction<'_>) -> Checked<i64> {
        let fee = gas(envelope.bytes.len(), transaction).checked_mul(transaction.gas_price);
        let fee = fee.ok_or(ErrorCode::MATH_OVERFLOW)?;
        if fee > transaction.fee_limit {
            return Err(ErrorCode::FEE_NOT_ENOUGH.into());
        }
        for operation in transaction.operations {
            self.operation(envelope, transaction, &operation)?;
        }
        Ok(fee)
    }

    fn refund(&mut self, transaction: &Transaction<'_>, coins: i64) -> Checked {
        let Some(fees) = self.fees.checked_sub(coins).filter(|_| coins > 0) else { return Ok(()) };
        let account = self.touch(transaction.source_address)?.ok_or(ErrorCode::ACCOUNT_NOT_EXIST)?;
        // An overflow is passed over by everyone; the sum has changed by then.
        if let Some(balance) = account.balance.checked_add(coins) {
            account.balance = balance;
        }
        self.fees = fees;
        Ok(())
    }

    fn operation(&mut self, envelope: &Envelope, transaction: &Transaction<'_>, operation: &Operation<'_>) -> Checked {
        let source = source_of(operation, transaction);
        let account = self.touch(source)?.ok_or(ErrorCode::ACCOUNT_NOT_EXIST)?;
        if !account.is_signed(&envelope.signers, account.privilege.threshold_of(operation.body.number())) {
            return Err(ErrorCode::INVALID_SIGNATURE.into());
        }
        match &operation.body {
            OperationBody::CreateAccount(create) => self.create_account(source, create),
            OperationBody::PayCoin(pay) => self.pay_coin(source, pay),
            OperationBody::SetPrivilege(set) => self.set_privilege(source, set),
            OperationBody::Missing(1) => self.create_account(source, &CreateAccount::default()),
            OperationBody::Missing(7) => self.pay_coin(source, &PayCoin::default()),
            OperationBody::Missing(9) => Ok(()),
            _ => Err(Stop::Foreign),
        }
    }

    fn create_account(&mut self, source: &str, create: &CreateAccount<'_>) -> Checked {
        let (address, coins, reserve) = (create.dest_address, create.init_balance, self.law.base_reserve);
        let key = self.key(address).ok_or(ErrorCode::INVALID_ADDRESS)?;
        if self.touch(address)?.is_some() {
            return Err(ErrorCode::ACCOUNT_DEST_EXIST.into());
        }
        if coins < reserve {
            return Err(ErrorCode::ACCOUNT_INIT_LOW_RESERVE.into());
        }
        let account = self.touch(source)?.ok_or(ErrorCode::ACCOUNT_NOT_EXIST)?;
        if account.balance.checked_sub(reserve).ok_or(ErrorCode::MATH_OVERFLOW)? < coins {
            return Err(ErrorCode::ACCOUNT_LOW_RESERVE.into());
        }
        account.balance = account.balance.checked_sub(coins).ok_or(ErrorCode::MATH_OVERFLOW)?;
        let contract = create.contract.unwrap_or_default();
        let account = Account {
            privilege: create.privilege.as_ref().and_then(Privilege::of).unwrap_or_default(),
            balance: coins,
            // Present and empty, where an account that a payment makes has none.
            contract: Some(Code { kind: contract.kind, payload: contract.payload.to_owned() }),
            ..Account::new(address)
        };
        let mut metadata = BTreeMap::new();
        for entry in create.metadatas {
            if !matches!(entry.version, 0 | 1) {
                return Err(ErrorCode::INVALID_DATAVERSION.into());
            }
            metadata.insert(entry.key.to_owned(), KeyPair { version: 1, ..entry }.encode());
        }
        self.buffer.insert(key, Touched { account, metadata });
        Ok(())
    }

    fn pay_coin(&mut self, source: &str, pay: &PayCoin<'_>) -> Checked {
        let (address, coins, reserve) = (pay.dest_address, pay.amount, self.law.base_reserve);
        let payer = self.touch(source)?.ok_or(ErrorCode::ACCOUNT_NOT_EXIST)?;
        if payer.balance < coins.checked_add(reserve).ok_or(ErrorCode::MATH_OVERFLOW)? {
            return Err(ErrorCode::ACCOUNT_LOW_RESERVE.into());
        }
        let rest = payer.balance.checked_sub(coins).ok_or(ErrorCode::MATH_OVERFLOW)?;
        let key = self.key(address).ok_or(ErrorCode::INVALID_ADDRESS)?;
        if self.touch(address)?.is_none() {
            if coins < reserve {
                return Err(ErrorCode::ACCOUNT_INIT_LOW_RESERVE.into());
            }
            self.buffer.insert(key, Touched { account: Account::new(address), metadata: BTreeMap::new() });
        }
        if let Some(payer) = self.touch(source)? {
            payer.balance = rest;
        }
        let payee = self.touch(address)?.ok_or(ErrorCode::ACCOUNT_NOT_EXIST)?;
        payee.balance = payee.balance.checked_add(coins).ok_or(ErrorCode::MATH_OVERFLOW)?;
        if payee.has_code() { Err(Stop::Foreign) } else { Ok(()) }
    }

    fn set_privilege(&mut self, source: &str, set: &SetPrivilege<'_>) -> Checked {
        let account = self.touch(source)?.ok_or(ErrorCode::ACCOUNT_NOT_EXIST)?;
        let privilege = &mut account.privilege;
        let number = |text: &str| text.parse().ok().filter(|number: &i64| *number >= 0);
        if let Some(weight) = number(set.master_weight) {
            privilege.master_weight = weight;
        }
        set.signers.iter().for_each(|signer| privilege.set_signer(signer.address, signer.weight));
        if let Some(threshold) = number(set.tx_threshold) {
            privilege.threshold = threshold;
        }
        set.type_thresholds.iter().for_each(|one| privilege.set_type(one.kind, one.threshold));
        Ok(())
    }

    /// Pays fees and reward to those who agreed on this ledger, and says what it touched.
    pub(crate) fn finish(mut self, validators: &[String]) -> Checked<BTreeMap<AccountKey, Touched>> {
        let coins = self.fees.saturating_add(self.law.reward());
        if coins != 0 {
            match self.pay(validators, coins) {
                Ok(()) => self.commit(),
                // Someone has more than can be counted: then nobody gets anything.
                Err(Stop::Code(_)) => {}
                Err(stop) => return Err(stop),
            }
        }
        Ok(self.ledger)
    }

    fn pay(&mut self, validators: &[String], coins: i64) -> Checked {
        if self.law.pays_electors() && self.touch(ELECTORS)?.is_some() {
            return self.give(ELECTORS, coins);
        }
        let count = i64::try_from(validators.len()).ok().filter(|count| *count > 0).ok_or(ErrorCode::NOT_EXIST)?;
        let share = coins / count;
        for (validator, place) in validators.iter().zip(0_i64..) {
            self.give(validator, share)?;
            if place == self.law.number() % count && coins - share * count > 0 {
                self.give(validator, coins - share * count)?;
            }
        }
        Ok(())
    }

    fn give(&mut self, address: &str, coins: i64) -> Checked {
        if self.touch(address)?.is_none() {
            let key = self.key(address).ok_or(ErrorCode::INVALID_ADDRESS)?;
            self.buffer.insert(key, Touched { account: Account::new(address), metadata: BTreeMap::new() });
        }
        let account = self.touch(address)?.ok_or(ErrorCode::ACCOUNT_NOT_EXIST)?;
        account.balance = account.balance.checked_add(coins).ok_or(ErrorCode::MATH_OVERFLOW)?;
        Ok(())
    }

    /// An account, copied into the buffer; nothing if it does not exist.
    fn touch(&mut self, address: &str) -> Checked<Option<&mut Account>> {
        let Some(key) = self.key(address) else { return Ok(None) };
        if !self.buffer.contains_key(&key) {
            let found = match self.ledger.get(&key) {
                Some(touched) => Some(touched.clone()),
                None => self.base.account(&key)?.map(|account| Touched { account, metadata: BTreeMap::new() }),
            };
            let Some(found) = found else { return Ok(None) };
            self.buffer.insert(key, found);
        }
        Ok(self.buffer.get_mut(&key).map(|touched| &mut touched.account))
    }

    fn key(&mut self, address: &str) -> Option<AccountKey> {
        if let Some(key) = self.keys.get(address) {
            return Some(*key);
        }
        let key = key_of(address)?;
        self.keys.insert(address.to_owned(), key);
        Some(key)
    }

    fn commit(&mut self) {
        self.ledger.append(&mut self.buffer);
    }
}
