//! Runs a recording through an engine again and compares what comes out, step by step.

use polypeer_engine::journal::{self, Damage, ENTRY_BYTES_MAX, MAGIC, Started, Stepped};
use polypeer_engine::{Effect, Engine, Protocol};
use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::Path;
use thiserror::Error;

/// A recording whose every step gave the same effects again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Replayed {
    /// The network that was recorded.
    pub network: String,
    /// Steps compared.
    pub steps: u64,
    /// Bytes of the file that were read.
    pub bytes: u64,
    /// Whether the file ends within an entry, as after a crash; what comes before is good.
    pub was_cut: bool,
}

/// Why a recording does not replay.
#[derive(Debug, Error)]
pub enum ReplayError {
    /// The file cannot be read.
    #[error("cannot read the recording: {0}")]
    Read(#[from] io::Error),
    /// It is no recording.
    #[error("this is no recording")]
    Foreign,
    /// It is another protocol's, or of another format.
    #[error("this is a recording of {protocol} in format {version}")]
    Other {
        /// The protocol's name.
        protocol: String,
        /// The format's version.
        version: u16,
    },
    /// The file is damaged.
    #[error("the recording is damaged at byte {offset}: {damage}")]
    Damaged {
        /// Where the damaged entry begins.
        offset: u64,
        /// How.
        damage: Damage,
    },
    /// A step gave other effects than it did then.
    #[error("step {step} (at byte {offset}) gave other effects than when it was recorded: {action}")]
    Differs {
        /// Which, counted from 1.
        step: u64,
        /// Where its entry begins.
        offset: u64,
        /// What happened then, cut to 400 characters.
        action: String,
    },
}

/// Replays a recording.
pub fn replay<P: Protocol>(path: &Path) -> Result<Replayed, ReplayError> {
    let mut entries = Entries::open(File::open(path)?)?;
    let started: Started<P::Config> = match entries.next()? {
        Some(entry) => begin::<P>(&entry)?,
        None => return Err(ReplayError::Damaged { offset: entries.offset, damage: Damage::Cut }),
    };
    let Started { network, now, config, protocol_config, seed, records, .. } = started;
    let mut effects = Vec::new();
    let mut engine = Engine::<P>::new(now, config, protocol_config, seed, &records, &mut effects);
    let mut steps = 0;
    while let Some(entry) = entries.next()? {
        let damaged = |damage| ReplayError::Damaged { offset: entry.offset, damage };
        let stepped: Stepped<P::Answer> = journal::take(&entry.payload).map_err(damaged)?;
        steps += 1;
        repeat(&mut engine, &mut effects, stepped).map_err(|action| ReplayError::Differs {
            step: steps,
            offset: entry.offset,
            action,
        })?;
    }
    Ok(Replayed { network, steps, bytes: entries.offset, was_cut: entries.was_cut })
}

// Name and version come first in a start, so that another protocol's is told from a damaged one.
fn begin<P: Protocol>(entry: &Entry) -> Result<Started<P::Config>, ReplayError> {
    let damaged = |damage| ReplayError::Damaged { offset: entry.offset, damage };
    let head = postcard::take_from_bytes::<(u16, String)>(&entry.payload);
    let ((version, protocol), _) = head.map_err(|_| damaged(Damage::Content))?;
    if version != journal::VERSION || protocol != P::NAME {
        return Err(ReplayError::Other { protocol, version });
    }
    journal::take(&entry.payload).map_err(damaged)
}

fn repeat<P: Protocol>(
    engine: &mut Engine<P>,
    effects: &mut Vec<Effect<P::Request>>,
    stepped: Stepped<P::Answer>,
) -> Result<(), String> {
    const SHOWN_MAX: usize = 400;
    let shown = stepped.action.clone();
    effects.clear();
    engine.step(stepped.now, stepped.action, effects);
    if journal::digest(effects) == stepped.effects {
        return Ok(());
    }
    Err(format!("{shown:?}").chars().take(SHOWN_MAX).collect())
}

struct Entry {
    offset: u64,
    payload: Vec<u8>,
}

/// Reads entries one at a time: a recording may be larger than memory.
struct Entries {
    file: BufReader<File>,
    offset: u64,
    was_cut: bool,
}

impl Entries {
    fn open(file: File) -> Result<Self, ReplayError> {
        let mut entries = Self { file: BufReader::new(file), offset: 0, was_cut: false };
        let magic = entries.up_to(MAGIC.len())?;
        if magic != MAGIC {
            return Err(ReplayError::Foreign);
        }
        entries.offset = MAGIC.len() as u64;
        Ok(entries)
    }

    // The next entry; nothing at the end, or where a crash cut the file off.
    fn next(&mut self) -> Result<Option<Entry>, ReplayError> {
        const HEAD_BYTES: usize = 8;
        let offset = self.offset;
        let damaged = |damage| ReplayError::Damaged { offset, damage };
        let mut entry = self.up_to(HEAD_BYTES)?;
        if entry.is_empty() {
            return Ok(None);
        }
        if let Some([a, b, c, d]) = entry.first_chunk::<4>() {
            let length = u32::from_be_bytes([*a, *b, *c, *d]) as usize;
            if entry.len() == HEAD_BYTES && length <= ENTRY_BYTES_MAX {
                entry.append(&mut self.up_to(length)?);
            }
        }
        match journal::entry(&entry) {
            Ok((payload, length)) => {
                self.offset += length as u64;
                Ok(Some(Entry { offset, payload: payload.to_vec() }))
            }
            Err(Damage::Cut) => {
                self.was_cut = true;
                Ok(None)
            }
            Err(damage) => Err(damaged(damage)),
        }
    }

    // So many bytes, or what is left; memory grows with what is there.
    fn up_to(&mut self, count: usize) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        (&mut self.file).take(count as u64).read_to_end(&mut bytes)?;
        Ok(bytes)
    }
}
