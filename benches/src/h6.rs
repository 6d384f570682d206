//! Measures H6: seconds of simulated nodes a second of one core, and the memory of a thousand of them.

use crate::beat::{NEIGHBOURS, NODES, PAYLOAD_BYTES};
use crate::contest::{Case, Load, Side, await_count};
use crate::control::Part;
use crate::place::{Placement, memory_of};
use crate::session::{Row, Session};
use crate::wire::Wire;
use anyhow::{Context, Result};
use std::thread;
use std::time::Duration;

const SIDES: &[Side] = &[
    Side { name: "sim", device: "sim", wire: Wire::Bare, floor: None },
    #[cfg(feature = "commonware")]
    Side { name: "commonware", device: "commonware", wire: Wire::Bare, floor: Some(4.0) },
];

/// A world of a thousand nodes stands within this.
const SETTLE: Duration = Duration::from_secs(60);
/// Memory repeats well; more rounds say nothing new.
const ROUNDS_MAX: usize = 3;

pub(crate) fn run(session: &mut Session) -> Result<()> {
    if cfg!(not(feature = "commonware")) {
        session.remark("H6 without commonware: build with --features commonware for it.".to_owned());
    }
    let name = format!("h6 nodes={NODES} neighbours={NEIGHBOURS} payload_bytes={PAYLOAD_BYTES}");
    session.contest(&Case { name: name.clone(), load: Load::None, payload: PAYLOAD_BYTES }, SIDES)?;
    for side in SIDES {
        // What a node does in a second is to send once, and to receive as many messages as it has neighbours.
        let node_seconds = |row: &Row| 1e9 / row.sample.cpu_ns / NEIGHBOURS as f64;
        let rows = session.rows.iter().filter(|row| row.case == name && row.side == side.name);
        let values: Vec<f64> = rows.map(node_seconds).collect();
        session.figure(&name, &format!("{}: node-seconds a core-second", side.name), "", values, None);
        let rounds = session.options.rounds.min(ROUNDS_MAX);
        let resident = (0..rounds).map(|_| weigh(session, side)).collect::<Result<Vec<_>>>()?;
        session.figure(&name, &format!("{}: resident memory", side.name), "MiB", resident, None);
    }
    Ok(())
}

// What the process holds when it has run for as long as a sample does.
fn weigh(session: &Session, side: &Side) -> Result<f64> {
    let cpu = Placement::Apart.device().to_string();
    let mut part = Part::start(&["device", side.device, "--cpu", &cpu].map(str::to_owned))?;
    await_count(&mut part, SETTLE, |look| look.ready > 0).context("the world does not come to stand")?;
    thread::sleep(session.options.warm_up() + session.options.seconds());
    Ok(memory_of(part.process())?.resident_kib as f64 / 1024.0)
}
