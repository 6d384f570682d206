//! The state at a pruning point: outputs and lanes (Kaspa spec, sections 2.8, 4.6.8 and 4.6.9).

use super::WireError;
use super::items::Items;
use super::proto::{Fields, Writer};
use super::script::{Outpoint, Script};
use alloc::vec::Vec;
use bytes::Bytes;
use polypeer_engine::kit::chain::Hash;

/// Outputs of a chunk as kaspad sends it; one with fewer is the last.
pub const UTXOS_PER_CHUNK: usize = 1000;
/// Outputs of a chunk that we take: kaspad takes any number, and sends 1,000.
pub const UTXOS_PER_CHUNK_MAX: usize = 64 << 10;
/// Lanes of a chunk.
pub const LANES_PER_CHUNK_MAX: usize = 4096;
/// Bytes of a lane's proof: bitmap, tag, depth, key, leaf and 256 siblings.
pub const LANE_PROOF_BYTES_MAX: usize = 32 + 1 + 1 + 32 + 32 + 256 * 32;

/// `OutpointAndUtxoEntryPair`: an output that nobody has spent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Utxo<'a> {
    /// Where it is.
    pub outpoint: Outpoint,
    /// In sompi.
    pub amount: u64,
    /// Whose it is.
    pub script: Script<'a>,
    /// The DAA score of the block that accepted it.
    pub daa_score: u64,
    /// Whether it paid for a block.
    pub is_coinbase: bool,
    /// Its covenant, if it has one.
    pub covenant_id: Option<Hash>,
}

impl<'a> Utxo<'a> {
    /// Reads one.
    pub fn decode(message: &'a [u8]) -> Result<Self, WireError> {
        let (mut outpoint, mut entry) = (None, None);
        let mut fields = Fields::of(message);
        while let Some((number, value)) = fields.next()? {
            match number {
                1 => value.once(&mut outpoint)?,
                2 => value.once(&mut entry)?,
                _ => {}
            }
        }
        let outpoint = Outpoint::decode(outpoint.ok_or(WireError::MissingField)?)?;
        Self::of_entry(outpoint, entry.ok_or(WireError::MissingField)?)
    }

    // `UtxoEntry`.
    fn of_entry(outpoint: Outpoint, message: &'a [u8]) -> Result<Self, WireError> {
        let script = Script::default();
        let mut utxo = Self { outpoint, amount: 0, script, daa_score: 0, is_coinbase: false, covenant_id: None };
        let mut script = None;
        let mut fields = Fields::of(message);
        while let Some((number, value)) = fields.next()? {
            match number {
                1 => utxo.amount = value.u64()?,
                2 => value.once(&mut script)?,
                3 => utxo.daa_score = value.u64()?,
                4 => utxo.is_coinbase = value.u64()? != 0,
                5 => value.hash_once(&mut utxo.covenant_id)?,
                _ => {}
            }
        }
        utxo.script = Script::decode(script.ok_or(WireError::MissingField)?)?;
        Ok(utxo)
    }

    /// The message's bytes.
    pub fn encode(&self) -> Bytes {
        let mut writer = Writer::with_capacity(96 + self.script.bytes.len());
        writer.nested(1, |outpoint| self.outpoint.write(outpoint));
        writer.nested(2, |entry| {
            entry.number(1, self.amount);
            entry.nested(2, |script| self.script.write(script));
            entry.number(3, self.daa_score);
            entry.number(4, self.is_coinbase);
            if let Some(id) = &self.covenant_id {
                entry.hash(5, id);
            }
        });
        writer.finish().into()
    }

    /// Appends the bytes that the UTXO commitment is of (section 5.5).
    pub fn element(&self, bytes: &mut Vec<u8>) {
        bytes.extend_from_slice(&self.outpoint.transaction_id.0);
        bytes.extend_from_slice(&self.outpoint.index.to_le_bytes());
        bytes.extend_from_slice(&self.daa_score.to_le_bytes());
        bytes.extend_from_slice(&self.amount.to_le_bytes());
        bytes.push(u8::from(self.is_coinbase));
        bytes.extend_from_slice(&self.script.version.to_le_bytes());
        bytes.extend_from_slice(&(self.script.bytes.len() as u64).to_le_bytes());
        bytes.extend_from_slice(self.script.bytes);
        if let Some(id) = &self.covenant_id {
            bytes.extend_from_slice(&id.0);
        }
    }
}

/// `SmtMetadataMessage`: what the lanes at a pruning point add up to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SmtMetadata {
    /// The root of all lanes.
    pub lanes_root: Hash,
    /// The digest of payload and context.
    pub payload_and_context: Hash,
    /// The parent's sequencing commitment.
    pub parent_commitment: Hash,
    /// How many lanes follow.
    pub lane_count: u64,
}

impl SmtMetadata {
    /// Reads one.
    pub fn decode(body: &[u8]) -> Result<Self, WireError> {
        let (mut data, mut lane_count): (&[u8], _) = (&[], 0);
        let mut fields = Fields::of(body);
        while let Some((number, value)) = fields.next()? {
            match number {
                1 => data = value.bytes()?,
                2 => lane_count = value.u64()?,
                _ => {}
            }
        }
        let [lanes_root, payload_and_context, parent_commitment] = hashes(data)?;
        Ok(Self { lanes_root, payload_and_context, parent_commitment, lane_count })
    }

    /// The message's bytes.
    pub fn encode(&self) -> Bytes {
        let mut writer = Writer::with_capacity(112);
        let data = [self.lanes_root.0, self.payload_and_context.0, self.parent_commitment.0];
        writer.bytes(1, data.as_flattened());
        writer.number(2, self.lane_count);
        writer.finish().into()
    }
}

/// `SmtLaneEntry`: one lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SmtLane<'a> {
    /// The lane's key.
    pub key: Hash,
    /// Its tip.
    pub tip: Hash,
    /// The blue score at which it was last active.
    pub blue_score: u64,
    /// The proof of the first lane and of every 1,048,576th; else empty.
    pub proof: &'a [u8],
}

impl<'a> SmtLane<'a> {
    /// Reads one.
    pub fn decode(message: &'a [u8]) -> Result<Self, WireError> {
        let (mut data, mut blue_score, mut proof): (&[u8], _, &[u8]) = (&[], 0, &[]);
        let mut fields = Fields::of(message);
        while let Some((number, value)) = fields.next()? {
            match number {
                1 => data = value.bytes()?,
                2 => blue_score = value.u64()?,
                3 => proof = value.bytes()?,
                _ => {}
            }
        }
        let [key, tip] = hashes(data)?;
        if proof.len() > LANE_PROOF_BYTES_MAX {
            return Err(WireError::TooLarge);
        }
        Ok(Self { key, tip, blue_score, proof })
    }

    /// The message's bytes.
    pub fn encode(&self) -> Bytes {
        let mut writer = Writer::with_capacity(80 + self.proof.len());
        writer.bytes(1, [self.key.0, self.tip.0].as_flattened());
        writer.number(2, self.blue_score);
        writer.bytes(3, self.proof);
        writer.finish().into()
    }
}

/// Takes an `SmtLaneChunk` apart: 1 to 4,096 [`SmtLane`]s.
pub fn decode_lanes(body: &Bytes) -> Result<Items, WireError> {
    let lanes = Items::decode(body, LANES_PER_CHUNK_MAX)?;
    if lanes.is_empty() { Err(WireError::Empty) } else { Ok(lanes) }
}

// Exactly N hashes, one behind the other.
fn hashes<const N: usize>(data: &[u8]) -> Result<[Hash; N], WireError> {
    let (chunks, rest) = data.as_chunks::<32>();
    let chunks: &[[u8; 32]; N] = chunks.try_into().map_err(|_| WireError::SliceLength)?;
    if rest.is_empty() { Ok(chunks.map(Hash)) } else { Err(WireError::SliceLength) }
}

/// Checks the form of a message that has no field in use: `Verack`, `Ready`, the credits and the ends.
pub fn decode_empty(body: &[u8]) -> Result<(), WireError> {
    let mut fields = Fields::of(body);
    while fields.next()?.is_some() {}
    Ok(())
}
