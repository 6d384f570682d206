//! Measures Kaspa: decoding beside prost, gRPC beside tonic, and whole nodes beside kaspad.
//!
//! Whole nodes are run by `interop/kaspa`, which knows how to start a kaspad, mine on it and talk to it; what it
//! measured comes back as lines of JSON. It shares no code with ours, so what needs our code is measured here.

use crate::contest::{Case, Load, Side};
use crate::daemon;
use crate::session::Session;
use crate::statistics::{median, score};
use crate::wire::Wire;
use anyhow::{Context, Result, ensure};
use serde::Deserialize;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The program that runs kaspads.
const INTEROP: &str = "polypeer-interop-kaspa";

/// An announcement of a thousand ids.
const INV: [Side; 2] = [
    Side { name: "wire", device: "kaspa-inv", wire: Wire::Bare, floor: None },
    Side { name: "prost", device: "prost-inv", wire: Wire::Bare, floor: Some(4.0) },
];

/// A transaction.
const TRANSACTION: [Side; 2] = [
    Side { name: "wire", device: "kaspa-transaction", wire: Wire::Bare, floor: None },
    Side { name: "prost", device: "prost-transaction", wire: Wire::Bare, floor: None },
];

/// One call of gRPC, from the socket up to whoever is told of each message; and through, to another call.
const CALLS: [Side; 2] = [
    Side { name: "driver", device: "grpc", wire: Wire::Grpc, floor: None },
    Side { name: "tonic", device: "tonic", wire: Wire::Grpc, floor: None },
];

/// A small message, and a large one for the bytes a second.
const PAYLOADS: [usize; 2] = [256, 64 << 10];

/// A line of what the nodes were measured to.
#[derive(Debug, Deserialize)]
struct Line {
    case: String,
    name: String,
    unit: String,
    ours: Vec<f64>,
    kaspads: Vec<f64>,
    /// What kaspad's must at least be of ours.
    floor: Option<f64>,
    /// What ours may be at most.
    most: Option<f64>,
}

pub(crate) fn run(session: &mut Session) -> Result<()> {
    for (name, sides) in [("kaspa decode inv ids=1000", INV), ("kaspa decode transaction", TRANSACTION)] {
        session.contest(&Case { name: name.to_owned(), load: Load::None, payload: 0 }, &sides)?;
    }
    for payload in PAYLOADS {
        for (what, load) in [("receive", Load::Stream), ("send on", Load::Fan { peers: 1 })] {
            let name = format!("kaspa stream {what} payload_bytes={payload}");
            session.contest(&Case { name, load, payload }, &CALLS)?;
        }
    }
    let parts: Vec<&str> = ["memory", "sync", "relay"]
        .into_iter()
        .filter(|part| session.options.wants(&format!("kaspa {part}")))
        .collect();
    if parts.is_empty() {
        return Ok(());
    }
    let (node, interop) = (daemon::binary(&session.options)?, interop()?);
    let mut command = Command::new(interop);
    command.arg("--polypeer").arg(node).args(["--rounds", &session.options.rounds.to_string(), "--bench"]).args(parts);
    let output = command.stdin(Stdio::null()).stderr(Stdio::inherit()).output().context("nodes beside kaspad")?;
    // What was measured stays when a later part fails.
    for line in String::from_utf8(output.stdout)?.lines().filter(|line| line.starts_with('{')) {
        note(session, &serde_json::from_str(line)?);
    }
    ensure!(output.status.success(), "the nodes beside kaspad ended with {}", output.status);
    Ok(())
}

fn note(session: &mut Session, line: &Line) {
    let Line { case, name, unit, ours, kaspads, floor, most } = line;
    session.figure(case, &format!("{name}: ours"), unit, ours.clone(), *most);
    session.figure(case, &format!("{name}: kaspad's"), unit, kaspads.clone(), None);
    // Of medians: single rounds may be below what a clock tells apart.
    let ratio = median(kaspads) / median(ours);
    session.figure(case, &format!("{name}: kaspad's by ours"), "", vec![ratio], *floor);
    let pairs: Vec<f64> = kaspads.iter().zip(ours).map(|(theirs, ours)| theirs / ours).collect();
    let holds = floor.is_none_or(|floor| ratio >= floor) && most.is_none_or(|most| median(ours) <= most);
    let verdict = match (floor, most) {
        (None, None) => "no bound",
        _ if holds => "holds",
        _ => "beyond the bound",
    };
    session.remark(format!("{case}, {name}: kaspad's by ours {}, of the medians {ratio:.2}: {verdict}", score(&pairs)));
}

fn interop() -> Result<PathBuf> {
    let built = Command::new("cargo").args(["build", "--release", "--package", INTEROP, "--bin", INTEROP]).status();
    ensure!(built.context("cannot run cargo")?.success(), "{INTEROP} does not build");
    let own = std::env::current_exe()?;
    let target = own.parent().and_then(Path::parent).context("this program lies outside of a target folder")?;
    Ok(target.join("release").join(INTEROP))
}
