//! Reads and identifies transactions (ledger spec, section "Transaction").

use polypeer_engine::kit::chain::{Hash, TransactionFault};

/// The one length that a transaction has.
pub const TRANSACTION_BYTES: usize = 153;
/// The only transaction version there is.
pub(crate) const TRANSACTION_VERSION: u8 = 1;
/// The bytes before the signature, which the signature covers.
const BODY_BYTES: usize = TRANSACTION_BYTES - SIGNATURE_BYTES;
const SIGNATURE_BYTES: usize = 64;
/// What the signature covers: the domain, the network id, the body.
pub(crate) const SIGNED_BYTES: usize = 16 + 16 + BODY_BYTES;
/// Keeps a signature made for this ledger from meaning anything elsewhere.
const DOMAIN: &[u8; 16] = b"polypeer/tx/v1\0\0";

/// A transaction's bytes.
pub type TransactionBytes = [u8; TRANSACTION_BYTES];

/// A transaction that is well-formed: its length and version are right, and it does not pay its own sender. Its
/// signature is another question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Transaction {
    /// Who pays, an Ed25519 public key.
    pub sender: [u8; 32],
    /// Who is paid: 32 bytes, not checked.
    pub recipient: [u8; 32],
    /// What the recipient gets.
    pub amount: u64,
    /// What the block's producer gets.
    pub fee: u64,
    /// The number of the sender's earlier transactions in the chain.
    pub sequence: u64,
}

impl Transaction {
    /// Reads a transaction.
    ///
    /// # Errors
    /// What is wrong whatever the state: [`TransactionFault::Length`], [`TransactionFault::Version`] or
    /// [`TransactionFault::ToSelf`].
    pub fn decode(bytes: &[u8]) -> Result<Self, TransactionFault> {
        let bytes: &TransactionBytes = bytes.try_into().map_err(|_| TransactionFault::Length)?;
        Self::read(bytes)
    }

    /// Reads a transaction of the right length; see [`Transaction::decode`].
    pub(crate) fn read(bytes: &TransactionBytes) -> Result<Self, TransactionFault> {
        if bytes[0] != TRANSACTION_VERSION {
            return Err(TransactionFault::Version);
        }
        let transaction = Self {
            sender: field(bytes, 1),
            recipient: field(bytes, 33),
            amount: u64::from_be_bytes(field(bytes, 65)),
            fee: u64::from_be_bytes(field(bytes, 73)),
            sequence: u64::from_be_bytes(field(bytes, 81)),
        };
        if transaction.sender == transaction.recipient {
            return Err(TransactionFault::ToSelf);
        }
        Ok(transaction)
    }

    /// What the sender loses, unless it is above 2^64 - 1.
    pub fn cost(&self) -> Option<u64> {
        self.amount.checked_add(self.fee)
    }

    /// The bytes with `signature` at their end.
    pub(crate) fn encode(&self, signature: &[u8; SIGNATURE_BYTES]) -> TransactionBytes {
        let mut bytes = [0; TRANSACTION_BYTES];
        bytes[0] = TRANSACTION_VERSION;
        bytes[1..33].copy_from_slice(&self.sender);
        bytes[33..65].copy_from_slice(&self.recipient);
        bytes[65..73].copy_from_slice(&self.amount.to_be_bytes());
        bytes[73..81].copy_from_slice(&self.fee.to_be_bytes());
        bytes[81..89].copy_from_slice(&self.sequence.to_be_bytes());
        bytes[BODY_BYTES..].copy_from_slice(signature);
        bytes
    }
}

/// A transaction's identifier: the hash of its bytes.
pub fn id(transaction: &[u8]) -> Hash {
    Hash(*blake3::hash(transaction).as_bytes())
}

/// What a transaction's signature covers on the network of this id.
pub(crate) fn signed(network_id: &[u8; 16], transaction: &TransactionBytes) -> [u8; SIGNED_BYTES] {
    let mut message = [0; SIGNED_BYTES];
    message[..16].copy_from_slice(DOMAIN);
    message[16..32].copy_from_slice(network_id);
    message[32..].copy_from_slice(&transaction[..BODY_BYTES]);
    message
}

/// The signature at a transaction's end.
pub(crate) fn signature(transaction: &TransactionBytes) -> [u8; SIGNATURE_BYTES] {
    field(transaction, BODY_BYTES)
}

fn field<const N: usize>(bytes: &TransactionBytes, at: usize) -> [u8; N] {
    let (field, _) = bytes[at..].split_first_chunk().expect("every field ends within the 153 bytes");
    *field
}
