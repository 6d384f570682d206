//! Makes the transactions of private networks.

use crate::purses::{Ledgers, PUBLIC_ACCOUNTS, Payer, Payment, Purse, Purses, Recipient};
use polypeer_protocols::bumo::keys::{PrivateKey, PublicKey, Scheme, address_of};
use polypeer_protocols::bumo::wire::{
    List, Message as _, Operation, OperationBody, PayCoin, Signature, Transaction, TransactionEnv, Whole,
};

/// What every unit of gas is offered: the private networks' price.
const GAS_PRICE: i64 = 1_000;

/// One of the private networks' accounts, 1 to 16, whose seed is 32 times its number; the first has all coins.
pub(super) fn public_account(number: u8) -> anyhow::Result<PrivateKey> {
    Ok(PrivateKey::new(Scheme::Ed25519, [number; 32])?)
}

/// One of the devnet's validators, whose seed is 32 times a number behind the accounts'.
pub(super) fn public_validator(number: u8) -> anyhow::Result<PrivateKey> {
    public_account(PUBLIC_ACCOUNTS + number)
}

/// The one that pays, at the first node: the others own nothing.
pub(super) fn payers(_: usize) -> anyhow::Result<Vec<Box<dyn Payer>>> {
    Ok(vec![Box::new(Purses::public(Ledgers::Bumo { chain_id: 0 }, PUBLIC_ACCOUNTS, 1, 0))])
}

/// An account that pays in coins.
pub(crate) struct Account {
    chain_id: i64,
    key: PrivateKey,
}

impl Account {
    /// The account of this Ed25519 seed; nothing when it makes no key.
    pub(crate) fn new(chain_id: i64, seed: &[u8; 32]) -> Option<Self> {
        Some(Self { chain_id, key: PrivateKey::new(Scheme::Ed25519, *seed).ok()? })
    }
}

impl Purse for Account {
    fn key(&self) -> [u8; 32] {
        match self.key.public() {
            PublicKey::Ed25519(key) => key,
            // The key was made for Ed25519.
            PublicKey::Sm2(_) => [0; 32],
        }
    }

    fn sign(&self, payment: &Payment) -> Option<Vec<u8>> {
        let recipient = match &payment.recipient {
            Recipient::Key(key) => address_of(Scheme::Ed25519, key),
            Recipient::Address(address) => address.clone(),
        };
        let public = self.key.public();
        let source = public.address();
        let pay = PayCoin { dest_address: &recipient, amount: i64::try_from(payment.amount).ok()?, input: "" };
        let operations = [Operation { body: OperationBody::PayCoin(pay), ..Operation::default() }];
        let message = Transaction {
            source_address: &source,
            nonce: i64::try_from(payment.sequence).ok()?.checked_add(1)?,
            fee_limit: i64::try_from(payment.fee).ok()?,
            gas_price: GAS_PRICE,
            operations: List::of(&operations),
            chain_id: self.chain_id,
            ..Transaction::default()
        };
        let bytes = message.encode();
        let (text, sign_data) = (public.text(), self.key.sign(&bytes));
        let signatures = [Signature { public_key: &text, sign_data: &sign_data }];
        let transaction = Some(Whole { bytes: &bytes, message });
        Some(TransactionEnv { transaction, signatures: List::of(&signatures), trigger: None }.encode().to_vec())
    }
}
