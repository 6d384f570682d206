//! Writes down what happened: the recording's format, the same for a live node, a simulation and a fuzz corpus.
//!
//! A journal is [`MAGIC`], then entries. An entry is its length (u32, big-endian), the first 4 bytes of the BLAKE3
//! hash of its payload, and the payload: a [`Started`] first, then [`Stepped`]s, in postcard's encoding. A file that
//! ends within an entry was cut off by a crash: what comes before is good.

use crate::{Effect, Now, P2pAction, P2pConfig, Record};
use alloc::string::String;
use alloc::vec::Vec;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// The first bytes of a journal; the last one is the format's version.
pub const MAGIC: [u8; 8] = *b"polypeer";
/// The format's version, in [`Started`].
pub const VERSION: u16 = 1;
/// An entry's payload, in bytes: the largest frame (32 MiB) and what comes with it; a start with a full book.
pub const ENTRY_BYTES_MAX: usize = 64 << 20;

/// The first entry: all that an engine is built from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Started<C> {
    /// The format's version.
    pub version: u16,
    /// The protocol's name.
    pub protocol: String,
    /// The network's name.
    pub network: String,
    /// The time of the start.
    pub now: Now,
    /// What the operator decided.
    pub config: P2pConfig,
    /// The network's own section.
    pub protocol_config: C,
    /// The seed of the engine's chance. A recording is worth as much as the secrets that it decides: keep it 0600.
    pub seed: [u8; 32],
    /// What was loaded.
    pub records: Vec<Record>,
}

/// One step: what came in, and a digest of what came out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stepped<A> {
    /// When.
    pub now: Now,
    /// What happened.
    pub action: P2pAction<A>,
    /// The first 8 bytes of the hash of the effects; see [`digest`].
    pub effects: [u8; 8],
}

/// The first 8 bytes of the BLAKE3 hash of the effects in postcard's encoding.
pub fn digest<R: Serialize>(effects: &[Effect<R>]) -> [u8; 8] {
    let mut hasher = Hasher(blake3::Hasher::new());
    // Hashing cannot fail, and every effect has an encoding.
    let _ = postcard::serialize_with_flavor::<_, _, ()>(effects, &mut hasher);
    first(hasher.0.finalize().as_bytes())
}

struct Hasher(blake3::Hasher);

impl postcard::ser_flavors::Flavor for &mut Hasher {
    type Output = ();

    fn try_push(&mut self, byte: u8) -> postcard::Result<()> {
        self.0.update(&[byte]);
        Ok(())
    }

    fn try_extend(&mut self, bytes: &[u8]) -> postcard::Result<()> {
        self.0.update(bytes);
        Ok(())
    }

    fn finalize(self) -> postcard::Result<()> {
        Ok(())
    }
}

/// Adds an entry to `out`.
pub fn put<T: Serialize>(entry: &T, out: &mut Vec<u8>) -> Result<(), Damage> {
    let payload = postcard::to_allocvec(entry).map_err(|_| Damage::Content)?;
    if payload.len() > ENTRY_BYTES_MAX {
        return Err(Damage::TooLong);
    }
    out.extend_from_slice(&(payload.len() as u32).to_be_bytes());
    out.extend_from_slice(&first::<4>(blake3::hash(&payload).as_bytes()));
    out.extend_from_slice(&payload);
    Ok(())
}

/// Why a journal cannot be read on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Damage {
    /// It ends within an entry: a crash cut it off.
    Cut,
    /// An entry's hash is not that of its payload.
    Hash,
    /// An entry is longer than any can be.
    TooLong,
    /// An entry is whole but not what is expected here: another version, another protocol.
    Content,
}

impl core::fmt::Display for Damage {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Self::Cut => "it ends within an entry",
            Self::Hash => "an entry is damaged",
            Self::TooLong => "an entry claims to be longer than any can be",
            Self::Content => "an entry is not what belongs here",
        })
    }
}

impl core::error::Error for Damage {}

/// The payload of the entry at the front of `bytes`, and how many bytes the entry takes.
pub fn entry(bytes: &[u8]) -> Result<(&[u8], usize), Damage> {
    let (head, rest) = bytes.split_first_chunk::<8>().ok_or(Damage::Cut)?;
    let [a, b, c, d, hash @ ..] = *head;
    let length = u32::from_be_bytes([a, b, c, d]) as usize;
    if length > ENTRY_BYTES_MAX {
        return Err(Damage::TooLong);
    }
    let payload = rest.get(..length).ok_or(Damage::Cut)?;
    if first::<4>(blake3::hash(payload).as_bytes()) != hash {
        return Err(Damage::Hash);
    }
    Ok((payload, 8 + length))
}

/// What an entry's payload holds; left-over bytes are as wrong as missing ones.
pub fn take<T: DeserializeOwned>(payload: &[u8]) -> Result<T, Damage> {
    match postcard::take_from_bytes(payload) {
        Ok((entry, [])) => Ok(entry),
        _ => Err(Damage::Content),
    }
}

fn first<const N: usize>(hash: &[u8; 32]) -> [u8; N] {
    let mut out = [0; N];
    out.copy_from_slice(&hash[..N]);
    out
}
