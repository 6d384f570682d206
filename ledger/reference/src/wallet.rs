//! Signs transactions: a small wallet for private networks (ledger spec, section "Private networks").

use crate::transaction::{self, Transaction, TransactionBytes};
use ed25519_dalek::{Signer, SigningKey};

/// How many accounts of the private networks have public secrets.
pub const PUBLIC_ACCOUNTS: u8 = 16;

/// An account's secret.
#[derive(Clone)]
pub struct Wallet {
    key: SigningKey,
}

/// What to pay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Payment {
    /// Who is paid.
    pub recipient: [u8; 32],
    /// How much.
    pub amount: u64,
    /// What the producer gets.
    pub fee: u64,
    /// The number of the sender's earlier transactions.
    pub sequence: u64,
}

impl Wallet {
    /// The account of this Ed25519 seed (RFC 8032).
    pub fn new(seed: &[u8; 32]) -> Self {
        Self { key: SigningKey::from_bytes(seed) }
    }

    /// One of the private networks' accounts, 1 to 16, whose seed is 32 times its number.
    pub fn public_account(number: u8) -> Option<Self> {
        (1..=PUBLIC_ACCOUNTS).contains(&number).then(|| Self::new(&[number; 32]))
    }

    /// The account's key.
    pub fn public_key(&self) -> [u8; 32] {
        self.key.verifying_key().to_bytes()
    }

    /// A signed transaction for the network of this id.
    pub fn sign(&self, network_id: &[u8; 16], payment: &Payment) -> TransactionBytes {
        let Payment { recipient, amount, fee, sequence } = *payment;
        let body = Transaction { sender: self.public_key(), recipient, amount, fee, sequence };
        let message = transaction::signed(network_id, &body.encode(&[0; 64]));
        body.encode(&self.key.sign(&message).to_bytes())
    }
}
