//! Writes down what happened: the recording's format, the same for a live node, a simulation and a fuzz input.
//!
//! A journal is [`MAGIC`], then entries. An entry is its length (u32, big-endian), the first 4 bytes of the BLAKE3
//! hash of its payload, and the payload in postcard's encoding. A file that ends within an entry was cut off by a
//! crash: what comes before is good. The first entry is a [`Head`], which says what the others are:
//!
//! ```text
//!   Holds::Node         Started, then Stepped for each action that the engine was told
//!   Holds::Fuzz         the same: what the input did to the one engine of a fuzz session
//!   Holds::Simulation   the simulator's plan, then its marks, then how it ended
//! ```

use crate::{Effect, Now, P2pAction, P2pConfig, Record};
use alloc::string::String;
use alloc::vec::Vec;
use bytes::Bytes;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// The first bytes of a journal.
pub const MAGIC: [u8; 8] = *b"polypeer";
/// The format's version, in [`Head`]. It changes with this file only: what an older build recorded of a protocol's or
/// the shell's own data reads as damage.
pub const VERSION: u16 = 3;
/// An entry's payload, in bytes: the largest frame (32 MiB) and what comes with it; a start with a full book.
pub const ENTRY_BYTES_MAX: usize = 64 << 20;

/// The first entry: what this file is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    /// The format's version. It stands first in every version.
    pub version: u16,
    /// The protocol's name. It stands second in every version.
    pub protocol: String,
    /// What the other entries are.
    pub holds: Holds,
}

/// What a journal tells of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Holds {
    /// One node's life: [`Started`], then [`Stepped`]s.
    Node,
    /// A simulation: its plan, its marks, its outcome, all of which are the simulator's.
    Simulation,
    /// What a fuzz input did to an engine: [`Started`], then [`Stepped`]s. The last one has no effects when the engine
    /// did not survive it.
    Fuzz {
        /// The fuzz target.
        target: String,
        /// The input as the target was given it.
        input: Bytes,
    },
}

impl Head {
    /// The head of a journal in today's format.
    pub fn new(protocol: &str, holds: Holds) -> Self {
        Self { version: VERSION, protocol: protocol.into(), holds }
    }

    /// Reads a first entry.
    pub fn read(payload: &[u8]) -> Result<Self, HeadError> {
        let before = postcard::take_from_bytes::<(u16, String)>(payload);
        let ((version, protocol), _) = before.map_err(|_| HeadError::Damaged(Damage::Content))?;
        if version != VERSION {
            return Err(HeadError::Version { version, protocol });
        }
        take(payload).map_err(HeadError::Damaged)
    }
}

/// Why a journal's first entry is no use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HeadError {
    /// It does not read.
    Damaged(Damage),
    /// Another version of the program wrote it.
    Version {
        /// That format's version.
        version: u16,
        /// The protocol's name.
        protocol: String,
    },
}

/// All that an engine is built from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Started<C> {
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

/// A journal of one engine that is written as it runs, in memory: each step stands there before it is taken, so that
/// one that the engine does not survive is in it.
#[derive(Clone, Debug)]
pub struct Writer {
    bytes: Vec<u8>,
    // Where the step that is being taken begins.
    step: usize,
}

impl Writer {
    /// A journal with its first two entries.
    pub fn new<C: Serialize>(head: &Head, started: &Started<C>) -> Result<Self, Damage> {
        let mut bytes = MAGIC.to_vec();
        put(head, &mut bytes)?;
        put(started, &mut bytes)?;
        let step = bytes.len();
        Ok(Self { bytes, step })
    }

    /// Adds a step that is about to be taken.
    pub fn before<A: Serialize>(&mut self, now: Now, action: &P2pAction<A>) -> Result<(), Damage> {
        self.step = self.bytes.len();
        put(&(now, action, [0u8; 8]), &mut self.bytes)
    }

    /// Says what came of that step.
    pub fn after<A: Serialize>(&mut self, now: Now, action: &P2pAction<A>, effects: [u8; 8]) -> Result<(), Damage> {
        self.bytes.truncate(self.step);
        put(&(now, action, effects), &mut self.bytes)
    }

    /// The journal so far.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }
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
