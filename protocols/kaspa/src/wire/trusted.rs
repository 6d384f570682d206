//! What a pruned node needs to be believed: proof, trusted data, blocks with it (Kaspa spec, section 2.8).

use super::WireError;
use super::header::blue_work;
use super::items::Items;
use super::proto::{Fields, Writer, hash};
use crate::ledger::BlueWork;
use alloc::vec::Vec;
use bytes::Bytes;
use polypeer_engine::kit::chain::Hash;

/// Headers of a proof chunk, blocks of a trusted-data chunk: as many of the smallest as a chunk's bytes hold.
pub const CHUNK_ITEMS_MAX: usize = 1 << 18;

/// `PruningPointProofChunkMessage`: headers of one level of the proof, version 11.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProofChunk {
    /// The `BlockHeader`s: at least one.
    pub headers: Items,
    /// Their level.
    pub level: u8,
}

impl ProofChunk {
    /// Takes one apart.
    pub fn decode(body: &Bytes) -> Result<Self, WireError> {
        let headers = Items::decode(body, CHUNK_ITEMS_MAX)?;
        if headers.is_empty() {
            return Err(WireError::Empty);
        }
        let mut level = 0;
        let mut fields = Fields::of(body);
        while let Some((number, value)) = fields.next()? {
            if number == 2 {
                level = value.u32()?;
            }
        }
        Ok(Self { headers, level: u8::try_from(level).map_err(|_| WireError::OutOfRange)? })
    }

    /// The message's bytes.
    pub fn encode(&self) -> Bytes {
        let mut writer = Writer::default();
        self.headers.slices().for_each(|header| writer.message(1, header));
        writer.number(2, self.level);
        writer.finish().into()
    }
}

/// `GhostdagData`: what GHOSTDAG made of a block.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ghostdag {
    /// The blue blocks in its past.
    pub blue_score: u64,
    /// Their work.
    pub blue_work: BlueWork,
    /// The parent with the most work.
    pub selected_parent: Hash,
    /// The blue blocks that it merges, its selected parent first.
    pub blues: Vec<Hash>,
    /// The others that it merges.
    pub reds: Vec<Hash>,
    /// How many blue blocks are in the anticone of each.
    pub anticone_sizes: Vec<(Hash, u16)>,
}

impl Ghostdag {
    /// Reads one.
    pub fn decode(message: &[u8]) -> Result<Self, WireError> {
        let mut data = Self::default();
        let mut selected_parent = None;
        let mut fields = Fields::of(message);
        while let Some((number, value)) = fields.next()? {
            match number {
                1 => data.blue_score = value.u64()?,
                2 => data.blue_work = blue_work(value)?,
                3 => value.hash_once(&mut selected_parent)?,
                4 => data.blues.push(hash(value.bytes()?)?),
                5 => data.reds.push(hash(value.bytes()?)?),
                6 => data.anticone_sizes.push(anticone_size(value.bytes()?)?),
                _ => {}
            }
        }
        data.selected_parent = selected_parent.ok_or(WireError::MissingField)?;
        Ok(data)
    }

    fn write(&self, writer: &mut Writer) {
        writer.number(1, self.blue_score);
        writer.bytes(2, self.blue_work.digits());
        writer.hash(3, &self.selected_parent);
        self.blues.iter().for_each(|hash| writer.hash(4, hash));
        self.reds.iter().for_each(|hash| writer.hash(5, hash));
        for (hash, size) in &self.anticone_sizes {
            writer.nested(6, |inner| {
                inner.hash(1, hash);
                inner.number(2, *size);
            });
        }
    }

    /// The message's bytes.
    pub fn encode(&self) -> Bytes {
        let mut writer = Writer::default();
        self.write(&mut writer);
        writer.finish().into()
    }
}

// `BluesAnticoneSizes`.
fn anticone_size(message: &[u8]) -> Result<(Hash, u16), WireError> {
    let (mut blue, mut size) = (None, 0);
    let mut fields = Fields::of(message);
    while let Some((number, value)) = fields.next()? {
        match number {
            1 => value.hash_once(&mut blue)?,
            2 => size = value.u32()?,
            _ => {}
        }
    }
    Ok((blue.ok_or(WireError::MissingField)?, u16::try_from(size).map_err(|_| WireError::OutOfRange)?))
}

/// `DaaBlockV4`: a header with its GHOSTDAG data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TrustedBlock<'a> {
    /// The `BlockHeader`'s bytes.
    pub header: &'a [u8],
    /// The `GhostdagData`'s bytes.
    pub ghostdag: &'a [u8],
}

impl<'a> TrustedBlock<'a> {
    /// Takes one apart.
    pub fn decode(message: &'a [u8]) -> Result<Self, WireError> {
        let [header, ghostdag] = pair(message)?;
        Ok(Self { header: header.ok_or(WireError::MissingField)?, ghostdag: ghostdag.ok_or(WireError::MissingField)? })
    }

    /// The message's bytes.
    pub fn encode(&self) -> Bytes {
        let mut writer = Writer::with_capacity(self.header.len() + self.ghostdag.len() + 10);
        writer.message(1, self.header);
        writer.message(2, self.ghostdag);
        writer.finish().into()
    }
}

/// `BlockGhostdagDataHashPair`: a block's hash with its GHOSTDAG data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TrustedHash<'a> {
    /// The block's hash.
    pub hash: Hash,
    /// The `GhostdagData`'s bytes.
    pub ghostdag: &'a [u8],
}

impl<'a> TrustedHash<'a> {
    /// Takes one apart.
    pub fn decode(message: &'a [u8]) -> Result<Self, WireError> {
        let [block, ghostdag] = pair(message)?;
        Ok(Self {
            hash: hash(block.ok_or(WireError::MissingField)?)?,
            ghostdag: ghostdag.ok_or(WireError::MissingField)?,
        })
    }

    /// The message's bytes.
    pub fn encode(&self) -> Bytes {
        let mut writer = Writer::with_capacity(self.ghostdag.len() + 48);
        writer.hash(1, &self.hash);
        writer.message(2, self.ghostdag);
        writer.finish().into()
    }
}

// The single messages in fields 1 and 2.
fn pair(message: &[u8]) -> Result<[Option<&[u8]>; 2], WireError> {
    let (mut first, mut second) = (None, None);
    let mut fields = Fields::of(message);
    while let Some((number, value)) = fields.next()? {
        match number {
            1 => value.once(&mut first)?,
            2 => value.once(&mut second)?,
            _ => {}
        }
    }
    Ok([first, second])
}

/// `TrustedDataMessage`: the whole of it, version 10.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TrustedData {
    /// [`TrustedBlock`]s.
    pub blocks: Items,
    /// [`TrustedHash`]es.
    pub pairs: Items,
}

impl TrustedData {
    /// Takes one of at most `count_max` blocks and as many pairs apart.
    pub fn decode(body: &Bytes, count_max: usize) -> Result<Self, WireError> {
        let blocks = Items::decode(body, count_max)?;
        let mut pairs = Writer::default();
        let mut count = 0;
        let mut fields = Fields::of(body);
        while let Some((number, value)) = fields.next()? {
            if number == 2 {
                count += 1;
                if count > count_max {
                    return Err(WireError::TooMany);
                }
                pairs.message(1, value.bytes()?);
            }
        }
        Ok(Self { blocks, pairs: Items::decode(&pairs.finish().into(), count_max)? })
    }

    /// The message's bytes.
    pub fn encode(&self) -> Bytes {
        let mut writer = Writer::default();
        self.blocks.slices().for_each(|block| writer.message(1, block));
        self.pairs.slices().for_each(|pair| writer.message(2, pair));
        writer.finish().into()
    }
}

/// `BlockWithTrustedDataV4Message`: the `BlockMessage`'s bytes. Its two lists of indices mean nothing today and are
/// not written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlockWithTrustedData<'a>(pub &'a [u8]);

impl<'a> BlockWithTrustedData<'a> {
    /// Takes one apart.
    pub fn decode(body: &'a [u8]) -> Result<Self, WireError> {
        let mut block = None;
        let mut fields = Fields::of(body);
        while let Some((number, value)) = fields.next()? {
            match number {
                1 => value.once(&mut block)?,
                2 | 3 => value.numbers()?,
                _ => {}
            }
        }
        block.map(Self).ok_or(WireError::MissingField)
    }

    /// The message's bytes.
    pub fn encode(self) -> Bytes {
        let mut writer = Writer::with_capacity(self.0.len() + 5);
        writer.message(1, self.0);
        writer.finish().into()
    }
}
