//! Runs a recording through an engine again and compares what comes out, step by step.

use crate::failure;
use polypeer_engine::journal::{self, Damage, ENTRY_BYTES_MAX, Head, HeadError, Holds, MAGIC, Started, Stepped};
use polypeer_engine::{Border, BorderFault, Effect, Engine, Protocol};
use std::fs::File;
use std::io::{self, BufReader, Read};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use thiserror::Error;

/// How much of an action is shown, in characters.
const SHOWN_MAX: usize = 400;

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
    #[error("this is no recording (at byte 0)")]
    Foreign,
    /// It is of another format.
    #[error("this recording of {protocol} has format {version}, and this version reads format {}", journal::VERSION)]
    Version {
        /// The protocol's name.
        protocol: String,
        /// The format's version.
        version: u16,
    },
    /// It is another protocol's, or no node's.
    #[error("this is a recording of {}, not of this protocol's node", .0.protocol)]
    Other(Head),
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
    /// A step broke a rule of the border.
    #[error("step {step} (at byte {offset}) broke a rule, {rule}: {action}")]
    Rule {
        /// Which, counted from 1; 0 is the start.
        step: u64,
        /// Where its entry begins.
        offset: u64,
        /// The rule.
        rule: BorderFault,
        /// What happened, cut to 400 characters.
        action: String,
    },
    /// The engine did not survive a step.
    #[error("step {step} (at byte {offset}) panicked, {text}: {action}")]
    Panicked {
        /// Which, counted from 1; 0 is the start.
        step: u64,
        /// Where its entry begins.
        offset: u64,
        /// What the panic said.
        text: String,
        /// What happened, cut to 400 characters.
        action: String,
    },
}

/// What a recording is of.
pub fn head(path: &Path) -> Result<Head, ReplayError> {
    Entries::open(File::open(path)?)?.head()
}

/// Replays the recording in a file.
pub fn replay<P: Protocol>(path: &Path) -> Result<Replayed, ReplayError> {
    replay_from::<P>(File::open(path)?)
}

/// Replays a recording, wherever its bytes come from.
pub fn replay_from<P: Protocol>(recording: impl Read) -> Result<Replayed, ReplayError> {
    let mut entries = Entries::open(recording)?;
    let head = entries.head()?;
    if head.protocol != P::NAME || head.holds == Holds::Simulation {
        return Err(ReplayError::Other(head));
    }
    let entry = entries.expect()?;
    let damaged = |damage| ReplayError::Damaged { offset: entry.offset, damage };
    let started: Started<P::Config> = journal::take(&entry.payload).map_err(damaged)?;
    let network = started.network.clone();
    let mut life = Life::<P>::start(entry.offset, started)?;
    while let Some(entry) = entries.next()? {
        let damaged = |damage| ReplayError::Damaged { offset: entry.offset, damage };
        life.step(entry.offset, journal::take(&entry.payload).map_err(damaged)?)?;
    }
    Ok(Replayed { network, steps: life.steps, bytes: entries.offset, was_cut: entries.was_cut })
}

/// An engine that lives its life again.
struct Life<P: Protocol> {
    engine: Engine<P>,
    border: Border,
    effects: Vec<Effect<P::Request>>,
    steps: u64,
}

impl<P: Protocol> Life<P> {
    fn start(offset: u64, started: Started<P::Config>) -> Result<Self, ReplayError> {
        let Started { now, config, protocol_config, seed, records, .. } = started;
        let mut effects = Vec::new();
        let start = || Engine::<P>::new(now, config, protocol_config, seed, &records, &mut effects);
        let action = || "the start".to_owned();
        let engine = catch_unwind(AssertUnwindSafe(start)).map_err(|panic| ReplayError::Panicked {
            step: 0,
            offset,
            text: failure::text(&*panic),
            action: action(),
        })?;
        let mut border = Border::default();
        let broken = |rule| ReplayError::Rule { step: 0, offset, rule, action: action() };
        border.started(&effects).map_err(broken)?;
        Ok(Self { engine, border, effects, steps: 0 })
    }

    fn step(&mut self, offset: u64, stepped: Stepped<P::Answer>) -> Result<(), ReplayError> {
        self.steps += 1;
        let step = self.steps;
        let action = stepped.action.clone();
        let shown = || format!("{action:?}").chars().take(SHOWN_MAX).collect();
        self.effects.clear();
        let (engine, effects) = (&mut self.engine, &mut self.effects);
        let took = catch_unwind(AssertUnwindSafe(|| engine.step(stepped.now, stepped.action, effects)));
        took.map_err(|panic| ReplayError::Panicked { step, offset, text: failure::text(&*panic), action: shown() })?;
        let broken = |rule| ReplayError::Rule { step, offset, rule, action: shown() };
        self.border.stepped(&action, effects).map_err(broken)?;
        if journal::digest(effects) == stepped.effects {
            return Ok(());
        }
        Err(ReplayError::Differs { step, offset, action: shown() })
    }
}

struct Entry {
    offset: u64,
    payload: Vec<u8>,
}

/// Reads entries one at a time: a recording may be larger than memory.
struct Entries<R> {
    file: BufReader<R>,
    offset: u64,
    was_cut: bool,
}

impl<R: Read> Entries<R> {
    fn open(file: R) -> Result<Self, ReplayError> {
        let mut entries = Self { file: BufReader::new(file), offset: 0, was_cut: false };
        let magic = entries.up_to(MAGIC.len())?;
        if magic != MAGIC {
            return Err(ReplayError::Foreign);
        }
        entries.offset = MAGIC.len() as u64;
        Ok(entries)
    }

    fn head(&mut self) -> Result<Head, ReplayError> {
        let entry = self.expect()?;
        Head::read(&entry.payload).map_err(|error| match error {
            HeadError::Damaged(damage) => ReplayError::Damaged { offset: entry.offset, damage },
            HeadError::Version { version, protocol } => ReplayError::Version { protocol, version },
        })
    }

    // An entry without which the rest means nothing.
    fn expect(&mut self) -> Result<Entry, ReplayError> {
        let offset = self.offset;
        self.next()?.ok_or(ReplayError::Damaged { offset, damage: Damage::Cut })
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
