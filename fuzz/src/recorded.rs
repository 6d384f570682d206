//! Reads journals as inputs, and writes what an input does as a journal that `polypeer replay` runs.
//!
//! A corpus may hold journals beside raw inputs. One that a session target wrote stands for the input in it; a
//! recording of a node is played as it is. With `POLYPEER_JOURNAL=FILE` a session target writes its session there.

use bytes::Bytes;
use polypeer_engine::journal::{self, Head, Holds, MAGIC, Started, Stepped, Writer};
use polypeer_engine::{Border, Engine, Now, P2pAction, P2pConfig, Protocol};
use serde::Serialize;
use std::path::PathBuf;

/// Steps of a recording that are played: as many as a session has.
const STEPS_MAX: usize = 400;

/// What an input that begins like a journal stands for.
pub enum Recorded<'a> {
    /// The input of a session.
    Input(Bytes),
    /// What follows the head of a recording.
    Entries(&'a [u8]),
}

/// Takes an input as a journal of this protocol. Nothing when it is a raw input.
pub fn read<'a>(input: &'a [u8], protocol: &str) -> Option<Recorded<'a>> {
    let rest = input.strip_prefix(&MAGIC)?;
    let (payload, length) = journal::entry(rest).ok()?;
    let head = Head::read(payload).ok().filter(|head| head.protocol == protocol)?;
    match head.holds {
        Holds::Fuzz { input, .. } => Some(Recorded::Input(input)),
        Holds::Node => Some(Recorded::Entries(&rest[length..])),
        Holds::Simulation => None,
    }
}

/// Plays a recording's entries, as far as they are whole, twice: the effects must be the same and keep the rules.
pub fn play<P: Protocol>(entries: &[u8]) {
    let once = || {
        let mut trace = Vec::new();
        let Ok((payload, length)) = journal::entry(entries) else { return trace };
        let Ok(started) = journal::take::<Started<P::Config>>(payload) else { return trace };
        let Started { now, config, protocol_config, seed, records, .. } = started;
        let (mut border, mut effects, mut rest) = (Border::default(), Vec::new(), &entries[length..]);
        let mut engine = Engine::<P>::new(now, config, protocol_config, seed, &records, &mut effects);
        border.started(&effects).expect("the start keeps the border's rules");
        while let Ok((payload, length)) = journal::entry(rest)
            && let Ok(stepped) = journal::take::<Stepped<P::Answer>>(payload)
            && trace.len() < STEPS_MAX
        {
            effects.clear();
            engine.step(stepped.now, stepped.action.clone(), &mut effects);
            border.stepped(&stepped.action, &effects).expect("every step keeps the border's rules");
            trace.push(journal::digest(&effects));
            rest = &rest[length..];
        }
        trace
    };
    assert_eq!(once(), once(), "the same actions gave other effects");
}

/// Writes a session down, where somebody wants it. The step that is being taken is on the disk before it is taken.
pub struct Pen {
    path: PathBuf,
    writer: Writer,
}

impl Pen {
    /// Begins, when `POLYPEER_JOURNAL` names a file.
    pub fn new<C: Serialize>(
        protocol: &str,
        input: &[u8],
        (now, config, protocol_config, seed): (Now, &P2pConfig, C, [u8; 32]),
    ) -> Option<Self> {
        let path = PathBuf::from(std::env::var_os("POLYPEER_JOURNAL")?);
        let target = format!("{protocol}_session");
        let head = Head::new(protocol, Holds::Fuzz { target, input: Bytes::copy_from_slice(input) });
        let (network, records) = (format!("{protocol}-fuzz"), Vec::new());
        let started = Started { network, now, config: config.clone(), protocol_config, seed, records };
        let pen = Self { path, writer: Writer::new(&head, &started).expect("a session is far below an entry's limit") };
        pen.save();
        Some(pen)
    }

    /// Before a step.
    pub fn before<A: Serialize>(&mut self, now: Now, action: &P2pAction<A>) {
        self.writer.before(now, action).expect("a session's actions are far below an entry's limit");
        self.save();
    }

    /// After it.
    pub fn after<A: Serialize>(&mut self, now: Now, action: &P2pAction<A>, effects: [u8; 8]) {
        self.writer.after(now, action, effects).expect("a session's actions are far below an entry's limit");
        self.save();
    }

    fn save(&self) {
        std::fs::write(&self.path, self.writer.bytes()).expect("the file that POLYPEER_JOURNAL names can be written");
    }
}
