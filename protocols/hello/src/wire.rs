//! Puts messages into lines and takes them out again: every form and every limit (Hello spec, sections 1 and 2).

mod decode;
mod encode;
mod hex;
mod lines;

pub use decode::decode;
pub use encode::*;
pub use lines::{GREETING_LINE_BYTES_MAX, Lines, OPEN};

use alloc::string::String;
use alloc::vec::Vec;
use bytes::Bytes;
use core::fmt;
use polypeer_engine::Address;
use polypeer_engine::kit::chain::Hash;

/// Bytes of a block, decoded.
pub const BLOCK_BYTES_MAX: usize = 3_060_133;
/// Bytes of what a peer calls its software.
pub const AGENT_BYTES_MAX: usize = 128;
/// Entries of an ADDR.
pub const ADDRESSES_MAX: usize = 1000;
/// Identifiers in a GETLISTOFBLOCKS.
pub const WAITING_MAX: usize = 1000;
/// Hashes in a LISTOFBLOCKS.
pub const HASHES_MAX: usize = 10_000;
/// Transactions in a PUSHTRANSACTION.
pub const PACK_MAX: usize = 1000;

/// One message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    /// The first word of each side, and a liveness check later.
    Hello(Hello),
    /// Acknowledges a HELLO.
    Hey {
        /// Blocks of the sender's chain, genesis included.
        block_count: u64,
    },
    /// Asks for addresses; with the sender's listening port, 0 if it has none.
    GetAddr(Option<u16>),
    /// Addresses where a peer can be; those that no peer can have are skipped already.
    Addr(Vec<Address>),
    /// A new block exists.
    BroadcastBlock {
        /// Its number: a hint.
        number: u64,
        /// Its hash, when the sender says it.
        hash: Option<Hash>,
    },
    /// Asks for one block or waiting transaction.
    GetBlock(Question),
    /// Asks for the hashes above a number.
    GetList(GetList),
    /// Answers it.
    List(List),
    /// Answers GETBLOCK.
    Block {
        /// The height that it claims.
        number: u64,
        /// The ledger's encoding.
        data: Bytes,
    },
    /// Transactions, each in the ledger's encoding.
    PushTransaction(Vec<Bytes>),
    /// A new transaction exists.
    BroadcastTransaction(Hash),
    /// Answers GETBLOCK for something unknown.
    NotFound(Question),
    /// The peer refused something. No program reads what.
    Reject,
}

impl Message {
    /// The key under which it travels.
    pub fn method(&self) -> &'static str {
        match self {
            Self::Hello(_) => "HELLO",
            Self::Hey { .. } => "HEY",
            Self::GetAddr(_) => "GETADDR",
            Self::Addr(_) => "ADDR",
            Self::BroadcastBlock { .. } => "BROADCASTBLOCK",
            Self::GetBlock(_) => "GETBLOCK",
            Self::GetList(_) => "GETLISTOFBLOCKS",
            Self::List(_) => "LISTOFBLOCKS",
            Self::Block { .. } => "BLOCK",
            Self::PushTransaction(_) => "PUSHTRANSACTION",
            Self::BroadcastTransaction(_) => "BROADCASTTRANSACTION",
            Self::NotFound(_) => "NOTFOUND",
            Self::Reject => "REJECT",
        }
    }
}

/// HELLO's payload.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Hello {
    /// Blocks of the sender's chain, genesis included; 0 means that it holds none, as a tracker.
    pub block_count: u64,
    /// Seconds since 1970 by the sender's clock.
    pub time: u64,
    /// Where the sender listens; 0 if it does not.
    pub port: u16,
    /// The first block's hash.
    pub genesis: Option<Hash>,
    /// What the sender calls its software.
    pub agent: Option<String>,
    /// Drawn when the sender's program started.
    pub nonce: Option<u64>,
}

/// What a GETBLOCK asks for, and a NOTFOUND repeats.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Question {
    /// Any block that the other side holds.
    Hash(Hash),
    /// The main chain's block of this number.
    Number(u64),
    /// A waiting transaction.
    Transaction(Hash),
}

/// GETLISTOFBLOCKS's payload.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GetList {
    /// The answer begins above this number.
    pub from: u64,
    /// The number of the asker's newest block.
    pub latest: u64,
    /// Transactions that wait at the asker.
    pub transactions: Vec<Hash>,
}

/// LISTOFBLOCKS's payload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct List {
    /// As asked, or the sender's newest if that is lower.
    pub from: u64,
    /// The number of the sender's newest block.
    pub latest: u64,
    /// The hash of block `from`.
    pub parent: Hash,
    /// The hashes from `from` + 1 upwards.
    pub hashes: Vec<Hash>,
}

/// The offending key as a REJECT repeats it: at most 32 characters of printable ASCII.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Method {
    text: [u8; Self::LENGTH_MAX],
    length: u8,
}

impl Method {
    /// Characters that are repeated.
    pub const LENGTH_MAX: usize = 32;
    /// When there is no key to blame.
    pub const NONE: Self = Self { text: [0; Self::LENGTH_MAX], length: 0 };

    /// A key, cut, with `?` for what is not printable ASCII.
    pub fn new(key: impl Iterator<Item = char>) -> Self {
        let mut method = Self::NONE;
        for (place, character) in method.text.iter_mut().zip(key) {
            *place = if matches!(character, ' '..='~') { character as u8 } else { b'?' };
            method.length += 1;
        }
        method
    }

    /// What it says.
    pub fn as_str(&self) -> &str {
        core::str::from_utf8(&self.text[..usize::from(self.length)]).unwrap_or_default()
    }
}

impl From<&str> for Method {
    fn from(name: &str) -> Self {
        Self::new(name.chars())
    }
}

impl fmt::Debug for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}
