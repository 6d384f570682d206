//! Writes hashes and keys as people read them: base58 with a version byte and a checksum (Mina spec, section 6.2). The
//! wire never carries these forms.

use super::Hash;
use crate::binprot::{Fp, Fq};
use crate::block::{PublicKey, Signature};
use crate::command::Memo;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use sha2::{Digest as _, Sha256};

/// What a text is of. Each has a version byte, and bytes that are in front of the 32.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A block.
    State,
    /// All of a block's state but the block below.
    StateBody,
    /// A ledger's root.
    Ledger,
    /// An epoch's seed.
    EpochSeed,
    /// A receipt chain, or the root of pending coinbases.
    ReceiptChain,
    /// The digest of a tree of work.
    StagedLedgerAux,
    /// The digest of what stands beside pending coinbases.
    PendingCoinbaseAux,
    /// The coinbases' stack: the data.
    CoinbaseData,
    /// The coinbases' stack: the state.
    CoinbaseState,
    /// A transaction.
    Transaction,
    /// A token.
    Token,
}

impl Kind {
    fn form(self) -> (u8, &'static [u8]) {
        match self {
            Self::State => (0x10, &[1]),
            Self::StateBody => (0x11, &[1]),
            Self::Ledger => (0x05, &[1]),
            Self::EpochSeed => (0x0d, &[1]),
            Self::ReceiptChain => (0x0c, &[1]),
            Self::StagedLedgerAux => (0x0e, &[]),
            Self::PendingCoinbaseAux => (0x0f, &[]),
            Self::CoinbaseData => (0x17, &[1]),
            Self::CoinbaseState => (0x18, &[1]),
            Self::Transaction => (0x1d, &[0x20]),
            Self::Token => (0x1c, &[]),
        }
    }

    /// These 32 bytes as text.
    pub fn write(self, bytes: &[u8; 32]) -> String {
        let (version, front) = self.form();
        encode(version, &[front, bytes])
    }

    /// The 32 bytes of a text.
    pub fn read(self, text: &str) -> Result<[u8; 32], TextError> {
        let (version, front) = self.form();
        let payload = decode(version, text)?;
        let bytes = payload.strip_prefix(front).ok_or(TextError::Payload)?;
        bytes.try_into().map_err(|_| TextError::Payload)
    }
}

/// What is wrong with a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TextError {
    /// It is longer than any of these texts.
    Length,
    /// It is no base58.
    Base58,
    /// The checksum is another.
    Checksum,
    /// It is of something else.
    Version,
    /// What is in it is not in the form of its kind.
    Payload,
}

impl fmt::Display for TextError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Length => "text is too long",
            Self::Base58 => "text is no base58",
            Self::Checksum => "wrong checksum",
            Self::Version => "text is of something else",
            Self::Payload => "wrong payload",
        })
    }
}

impl core::error::Error for TextError {}

/// The characters of the longest text, a signature's, and some.
const TEXT_MAX: usize = 128;
const CHECKSUM_BYTES: usize = 4;
const PUBLIC_KEY: u8 = 0xcb;
const SIGNATURE: u8 = 0x9a;
const MEMO: u8 = 0x14;

/// A state hash as text, as explorers have it: `3N...`.
pub fn state_hash(hash: &Hash) -> String {
    Kind::State.write(&hash.0)
}

/// The state hash of a text.
pub fn read_state_hash(text: &str) -> Result<Hash, TextError> {
    Kind::State.read(text).map(Hash)
}

/// A transaction's id as text: `5J...`.
pub fn transaction_id(id: &Hash) -> String {
    Kind::Transaction.write(&id.0)
}

/// The transaction's id of a text.
pub fn read_transaction_id(text: &str) -> Result<Hash, TextError> {
    Kind::Transaction.read(text).map(Hash)
}

/// A public key as text: `B62...`.
pub fn public_key(key: &PublicKey) -> String {
    encode(PUBLIC_KEY, &[&[1, 1], &key.x.0, &[u8::from(key.is_odd)]])
}

/// The public key of a text. Whether there is a point with this x is not looked at, but x is below the modulus.
pub fn read_public_key(text: &str) -> Result<PublicKey, TextError> {
    let payload = decode(PUBLIC_KEY, text)?;
    let [1, 1, x @ .., sign @ (0 | 1)] = payload.as_slice() else { return Err(TextError::Payload) };
    Ok(PublicKey { x: element(x)?, is_odd: *sign == 1 })
}

/// A signature as text: `7m...`.
pub fn signature(signature: &Signature) -> String {
    encode(SIGNATURE, &[&[1], &signature.r.0, &signature.s.0])
}

/// The signature of a text.
pub fn read_signature(text: &str) -> Result<Signature, TextError> {
    let payload = decode(SIGNATURE, text)?;
    let [1, both @ ..] = payload.as_slice() else { return Err(TextError::Payload) };
    let (r, s) = both.split_at_checked(32).ok_or(TextError::Payload)?;
    let s = <[u8; 32]>::try_from(s).map_err(|_| TextError::Payload)?;
    Ok(Signature { r: element(r)?, s: Fq::checked(s).ok_or(TextError::Payload)? })
}

/// A memo as text: `E4...`.
pub fn memo(memo: &Memo<'_>) -> String {
    encode(MEMO, &[memo.0])
}

fn element(bytes: &[u8]) -> Result<Fp, TextError> {
    let bytes = <[u8; 32]>::try_from(bytes).map_err(|_| TextError::Payload)?;
    Fp::checked(bytes).ok_or(TextError::Payload)
}

fn encode(version: u8, parts: &[&[u8]]) -> String {
    let mut bytes = Vec::with_capacity(1 + 65 + CHECKSUM_BYTES);
    bytes.push(version);
    parts.iter().for_each(|part| bytes.extend_from_slice(part));
    let checksum = checksum(&bytes);
    bytes.extend_from_slice(&checksum);
    bs58::encode(bytes).into_string()
}

fn decode(version: u8, text: &str) -> Result<Vec<u8>, TextError> {
    // Base58 takes time that grows with the square of the length.
    if text.len() > TEXT_MAX {
        return Err(TextError::Length);
    }
    let bytes = bs58::decode(text).into_vec().map_err(|_| TextError::Base58)?;
    let (content, end) = bytes.split_last_chunk().ok_or(TextError::Checksum)?;
    if checksum(content) != *end {
        return Err(TextError::Checksum);
    }
    match content.split_first() {
        Some((first, payload)) if *first == version => Ok(payload.to_vec()),
        _ => Err(TextError::Version),
    }
}

fn checksum(bytes: &[u8]) -> [u8; CHECKSUM_BYTES] {
    let [a, b, c, d, ..]: [u8; 32] = Sha256::digest(Sha256::digest(bytes)).into();
    [a, b, c, d]
}
