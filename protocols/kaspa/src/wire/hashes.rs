//! The messages that carry nothing but hashes: one, two, or a list of them (Kaspa spec, sections 2.7 and 2.8).

use super::proto::{Fields, Writer, hash};
use super::{Kind, WireError};
use bytes::Bytes;
use polypeer_engine::kit::chain::Hash;

/// Identifiers of an `InvTransactions` or a `RequestTransactions` (section 4.5).
pub const TRANSACTION_IDS_MAX: usize = 131_072;
/// Hashes of an `IbdChainBlockLocator` (section 4.6.2): two for each doubling of 2^32 chain blocks.
pub const CHAIN_LOCATOR_MAX: usize = 64;
/// Hashes of a `BlockLocator`: its steps double too.
pub const BLOCK_LOCATOR_MAX: usize = 64;
/// Bodies that one request asks for (section 4.6.5).
pub const BODIES_ASKED_MAX: usize = 99;
/// Hashes of a `RequestRelayBlocks`, a `RequestBlockBodies` or a `RequestIBDBlocks`: kaspad sets no limit, asks for 1
/// or 99, and was seen to serve 300.
pub const BLOCKS_ASKED_MAX: usize = 1024;

/// Bytes of one entry: key, length, key, length, hash.
const ENTRY_BYTES: usize = 36;
const ENTRY_HEAD: [u8; 4] = [0x0a, 0x22, 0x0a, 0x20];

/// A list of hashes in field 1: `RequestRelayBlocks`, `BlockLocator`, `InvTransactions`, `RequestTransactions`,
/// `RequestIBDBlocks`, `RequestBlockBodies`, `IbdChainBlockLocator`.
///
/// Kept as its encoding, in which every hash has its place; usually that is the message itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Hashes {
    entries: Bytes,
}

impl Hashes {
    /// Reads one of a kind that is such a list, with the limit and the error of that kind.
    pub fn read(kind: Kind, body: &Bytes) -> Result<Self, WireError> {
        let (count_max, error) = match kind {
            Kind::InvTransactions => (TRANSACTION_IDS_MAX, WireError::TooManyInvs),
            Kind::RequestTransactions => (TRANSACTION_IDS_MAX, WireError::TooManyRequested),
            Kind::BlockLocator => (BLOCK_LOCATOR_MAX, WireError::TooMany),
            Kind::IbdChainBlockLocator => (CHAIN_LOCATOR_MAX, WireError::TooMany),
            _ => (BLOCKS_ASKED_MAX, WireError::TooMany),
        };
        Self::decode(body, count_max).map_err(|wrong| if wrong == WireError::TooMany { error } else { wrong })
    }

    /// Reads one of at most `count_max` hashes; one more is [`WireError::TooMany`].
    pub fn decode(body: &Bytes, count_max: usize) -> Result<Self, WireError> {
        let (entries, rest) = body.as_chunks::<ENTRY_BYTES>();
        if rest.is_empty() && entries.iter().all(|entry| entry.starts_with(&ENTRY_HEAD)) {
            return if entries.len() > count_max {
                Err(WireError::TooMany)
            } else {
                Ok(Self { entries: body.clone() })
            };
        }
        let mut entries = Writer::default();
        let mut count = 0;
        let mut fields = Fields::of(body);
        while let Some((number, value)) = fields.next()? {
            if number == 1 {
                count += 1;
                if count > count_max {
                    return Err(WireError::TooMany);
                }
                entries.hash(1, &hash(value.bytes()?)?);
            }
        }
        Ok(Self { entries: entries.finish().into() })
    }

    /// The message's bytes.
    pub fn encode(&self) -> Bytes {
        self.entries.clone()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.entries.len() / ENTRY_BYTES
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The hashes, in their order, with repeats.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = Hash> + ExactSizeIterator + Clone + '_ {
        let (entries, _) = self.entries.as_chunks::<ENTRY_BYTES>();
        entries.iter().map(|[_, _, _, _, hash @ ..]| Hash(*hash))
    }
}

impl FromIterator<Hash> for Hashes {
    fn from_iter<I: IntoIterator<Item = Hash>>(hashes: I) -> Self {
        let hashes = hashes.into_iter();
        let mut entries = Writer::with_capacity(hashes.size_hint().0 * ENTRY_BYTES);
        for hash in hashes {
            entries.hash(1, &hash);
        }
        Self { entries: entries.finish().into() }
    }
}

/// One required hash in field 1: `InvRelayBlock`, `TransactionNotFound`, `RequestPruningPointUTXOSet`,
/// `RequestPruningPointSmtState`, and the retired `IbdBlockLocatorHighestHash`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OneHash(pub Hash);

impl OneHash {
    /// Reads one.
    pub fn decode(body: &[u8]) -> Result<Self, WireError> {
        let mut hash = None;
        let mut fields = Fields::of(body);
        while let Some((number, value)) = fields.next()? {
            if number == 1 {
                value.hash_once(&mut hash)?;
            }
        }
        hash.map(Self).ok_or(WireError::MissingField)
    }

    /// The message's bytes.
    pub fn encode(self) -> Bytes {
        OptionalHashes { low: Some(self.0), high: None }.encode()
    }
}

/// Two required hashes: `RequestHeaders` (low, high) and `RequestAntipast` (block, context).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TwoHashes {
    /// The lower end, or the block whose past is known.
    pub low: Hash,
    /// The upper end, or the block whose past is wanted.
    pub high: Hash,
}

impl TwoHashes {
    /// Reads one.
    pub fn decode(body: &[u8]) -> Result<Self, WireError> {
        match OptionalHashes::decode(body)? {
            OptionalHashes { low: Some(low), high: Some(high) } => Ok(Self { low, high }),
            _ => Err(WireError::MissingField),
        }
    }

    /// The message's bytes.
    pub fn encode(self) -> Bytes {
        OptionalHashes { low: Some(self.low), high: Some(self.high) }.encode()
    }
}

/// Two hashes that may be absent: `RequestIBDChainBlockLocator`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OptionalHashes {
    /// Where the answer ends; the pruning point if absent.
    pub low: Option<Hash>,
    /// Where it starts; the sink if absent.
    pub high: Option<Hash>,
}

impl OptionalHashes {
    /// Reads one.
    pub fn decode(body: &[u8]) -> Result<Self, WireError> {
        let mut hashes = Self::default();
        let mut fields = Fields::of(body);
        while let Some((number, value)) = fields.next()? {
            match number {
                1 => value.hash_once(&mut hashes.low)?,
                2 => value.hash_once(&mut hashes.high)?,
                _ => {}
            }
        }
        Ok(hashes)
    }

    /// The message's bytes.
    pub fn encode(self) -> Bytes {
        let mut writer = Writer::with_capacity(2 * ENTRY_BYTES);
        for (number, hash) in [(1, self.low), (2, self.high)] {
            if let Some(hash) = hash {
                writer.hash(number, &hash);
            }
        }
        writer.finish().into()
    }
}

/// `RequestBlockLocatorMessage`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestBlockLocator {
    /// Where the answer starts.
    pub high: Hash,
    /// How many entries at most; 0 for no limit.
    pub limit: u32,
}

impl RequestBlockLocator {
    /// Reads one.
    pub fn decode(body: &[u8]) -> Result<Self, WireError> {
        let (mut high, mut limit) = (None, 0);
        let mut fields = Fields::of(body);
        while let Some((number, value)) = fields.next()? {
            match number {
                1 => value.hash_once(&mut high)?,
                2 => limit = value.u32()?,
                _ => {}
            }
        }
        Ok(Self { high: high.ok_or(WireError::MissingField)?, limit })
    }

    /// The message's bytes.
    pub fn encode(self) -> Bytes {
        let mut writer = Writer::with_capacity(ENTRY_BYTES + 6);
        writer.hash(1, &self.high);
        writer.number(2, self.limit);
        writer.finish().into()
    }
}

/// The retired `IbdBlockLocatorMessage`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IbdBlockLocator {
    /// The block that the asker wants to reach.
    pub target: Hash,
    /// Blocks that it knows.
    pub known: Hashes,
}

impl IbdBlockLocator {
    /// Reads one of at most `count_max` known blocks.
    pub fn decode(body: &[u8], count_max: usize) -> Result<Self, WireError> {
        let mut target = None;
        let mut known = Writer::default();
        let mut count = 0;
        let mut fields = Fields::of(body);
        while let Some((number, value)) = fields.next()? {
            match number {
                1 => value.hash_once(&mut target)?,
                2 if count == count_max => return Err(WireError::TooMany),
                2 => {
                    count += 1;
                    known.hash(1, &hash(value.bytes()?)?);
                }
                _ => {}
            }
        }
        let known = Hashes { entries: known.finish().into() };
        Ok(Self { target: target.ok_or(WireError::MissingField)?, known })
    }

    /// The message's bytes.
    pub fn encode(&self) -> Bytes {
        let mut writer = Writer::with_capacity((1 + self.known.len()) * ENTRY_BYTES);
        writer.hash(1, &self.target);
        self.known.iter().for_each(|hash| writer.hash(2, &hash));
        writer.finish().into()
    }
}
