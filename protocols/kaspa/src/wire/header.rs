//! Headers: what a block's hash is of (Kaspa spec, section 2.6).

use super::WireError;
use super::kind::HEADER_BYTES_MAX;
use super::parents::Parents;
use super::proto::{Fields, Value, Writer};
use crate::hash;
use crate::ledger::BlueWork;
use bytes::Bytes;
use polypeer_engine::kit::chain::Hash;

/// `BlockHeader`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Header {
    /// 2; 0 of a genesis block.
    pub version: u16,
    /// By level.
    pub parents: Parents,
    /// Of the body's transaction hashes.
    pub hash_merkle_root: Hash,
    /// Carries the sequencing commitment.
    pub accepted_id_merkle_root: Hash,
    /// Of the outputs in its past.
    pub utxo_commitment: Hash,
    /// Milliseconds since 1970.
    pub timestamp: u64,
    /// The target, compact.
    pub bits: u32,
    /// What was searched for.
    pub nonce: u64,
    /// The difficulty-adjustment score.
    pub daa_score: u64,
    /// The work of the blue blocks in its past.
    pub blue_work: BlueWork,
    /// How many they are.
    pub blue_score: u64,
    /// The block below which nothing is kept.
    pub pruning_point: Hash,
}

impl Header {
    /// Reads one.
    pub fn decode(message: &[u8]) -> Result<Self, WireError> {
        if message.len() > HEADER_BYTES_MAX {
            return Err(WireError::TooLarge);
        }
        let mut header = Self::default();
        let (mut version, mut timestamp) = (0, 0_u64);
        let mut hashes = [None; 4];
        let [merkle, accepted, utxo, pruning] = &mut hashes;
        let mut fields = Fields::of(message);
        while let Some((number, value)) = fields.next()? {
            match number {
                1 => version = value.u32()?,
                3 => value.hash_once(merkle)?,
                4 => value.hash_once(accepted)?,
                5 => value.hash_once(utxo)?,
                6 => timestamp = value.u64()?,
                7 => header.bits = value.u32()?,
                8 => header.nonce = value.u64()?,
                9 => header.daa_score = value.u64()?,
                10 => header.blue_work = blue_work(value)?,
                12 => header.parents.read_run(value.bytes()?)?,
                13 => header.blue_score = value.u64()?,
                14 => value.hash_once(pruning)?,
                _ => {}
            }
        }
        header.version = u16::try_from(version).map_err(|_| WireError::OutOfRange)?;
        header.timestamp = u64::try_from(timestamp.cast_signed()).map_err(|_| WireError::OutOfRange)?;
        let [Some(merkle), Some(accepted), Some(utxo), Some(pruning)] = hashes else {
            return Err(WireError::MissingField);
        };
        header.hash_merkle_root = merkle;
        header.accepted_id_merkle_root = accepted;
        header.utxo_commitment = utxo;
        header.pruning_point = pruning;
        Ok(header)
    }

    /// The message's bytes, parents fully compressed.
    pub fn encode(&self) -> Bytes {
        let mut writer = Writer::with_capacity(256 + self.parents.encoded_bytes());
        writer.number(1, self.version);
        writer.hash(3, &self.hash_merkle_root);
        writer.hash(4, &self.accepted_id_merkle_root);
        writer.hash(5, &self.utxo_commitment);
        writer.number(6, self.timestamp);
        writer.number(7, self.bits);
        writer.number(8, self.nonce);
        writer.number(9, self.daa_score);
        writer.bytes(10, self.blue_work.digits());
        self.parents.write(12, &mut writer);
        writer.number(13, self.blue_score);
        writer.hash(14, &self.pruning_point);
        writer.finish().into()
    }

    /// The block's hash (section 5.2).
    pub fn hash(&self) -> Hash {
        hash::block_hash(self)
    }

    /// The parents at level 0; of a chain block the first is the selected one.
    pub fn direct_parents(&self) -> &[Hash] {
        self.parents.level(0)
    }
}

/// Blue work on the wire: big-endian, at most 24 bytes. Leading zeros are taken and not written.
pub(super) fn blue_work(value: Value<'_>) -> Result<BlueWork, WireError> {
    let bytes = value.bytes()?;
    let mut work = BlueWork::default();
    let room = work.0.len().checked_sub(bytes.len()).ok_or(WireError::BlueWorkLength)?;
    if let Some(place) = work.0.get_mut(room..) {
        place.copy_from_slice(bytes);
    }
    Ok(work)
}
