//! Measures H7: memory of an idle, ready peer, and of a node without peers.

use crate::contest::await_count;
use crate::control::Part;
use crate::daemon::{self, Daemon, Start};
use crate::place::{Memory, Placement, memory_of};
use crate::session::Session;
use crate::wire::Wire;
use anyhow::{Context, Result};
use std::net::SocketAddr;
use std::thread;
use std::time::Duration;

/// What a plaintext wire's idle peer may cost, KiB.
const PEER_KIB_MAX: f64 = 8.0;
/// What an empty node may hold, MiB.
const EMPTY_MIB_MAX: f64 = 8.0;
/// Thousands of handshakes take so long at the most.
const HANDSHAKES: Duration = Duration::from_secs(120);
/// A node that did not change for so long is at rest.
const REST: Duration = Duration::from_secs(2);
/// Memory repeats well; more rounds say nothing new.
const ROUNDS_MAX: usize = 3;

/// Memory before the peers came, and with them.
struct Weighed {
    empty: Memory,
    full: Memory,
}

pub(crate) fn run(session: &mut Session) -> Result<()> {
    let binary = daemon::binary(&session.options)?;
    let rounds = session.options.rounds.min(ROUNDS_MAX);
    let peers = session.options.peers;
    for (network, wire) in [("anya-devnet", Wire::Anya), ("hello-devnet", Wire::Hello)] {
        let case = format!("h7 {} peers={peers}", wire.name());
        if !session.options.wants(&case) {
            continue;
        }
        let weighed = (0..rounds).map(|_| node(&binary, network, wire, peers)).collect::<Result<Vec<_>>>()?;
        note(session, &case, peers, &weighed, Some(PEER_KIB_MAX));
        let empty = weighed.iter().map(|one| one.empty.resident_kib as f64 / 1024.0).collect();
        session.figure(&case, "empty node", "MiB", empty, Some(EMPTY_MIB_MAX));
    }
    let case = format!("h7 pea2pea peers={peers}");
    if session.options.wants(&case) {
        let weighed = (0..rounds).map(|_| pea(peers)).collect::<Result<Vec<_>>>()?;
        note(session, &case, peers, &weighed, None);
    }
    Ok(())
}

fn note(session: &mut Session, case: &str, peers: usize, weighed: &[Weighed], floor: Option<f64>) {
    let each = |of: fn(&Memory) -> u64| -> Vec<f64> {
        weighed.iter().map(|one| of(&one.full).saturating_sub(of(&one.empty)) as f64 / peers as f64).collect()
    };
    session.figure(case, "resident memory of a peer", "KiB", each(|memory| memory.resident_kib), floor);
    session.figure(case, "anonymous memory of a peer", "KiB", each(|memory| memory.anonymous_kib), None);
}

fn node(binary: &std::path::Path, network: &str, wire: Wire, peers: usize) -> Result<Weighed> {
    let data = tempfile::tempdir()?;
    let daemon = Daemon::start(&Start {
        binary,
        network,
        data: data.path(),
        cpu: Placement::Apart.device(),
        inbound_max: peers + 16,
        connect: Vec::new(),
    })?;
    thread::sleep(REST);
    let empty = memory_of(daemon.process())?;
    let _load = idle(daemon.listen, wire, peers)?;
    daemon.await_inbound(peers as u64)?;
    thread::sleep(REST);
    Ok(Weighed { empty, full: memory_of(daemon.process())? })
}

fn pea(peers: usize) -> Result<Weighed> {
    let arguments = ["device", "pea", "--job", "hub", "--cpu", "0"].map(str::to_owned);
    let mut device = Part::start(&arguments)?;
    thread::sleep(REST);
    let empty = memory_of(device.process())?;
    let _load = idle(device.address()?, Wire::Bare, peers)?;
    await_count(&mut device, HANDSHAKES, |look| look.ready == peers as u64)?;
    thread::sleep(REST);
    Ok(Weighed { empty, full: memory_of(device.process())? })
}

fn idle(to: SocketAddr, wire: Wire, peers: usize) -> Result<Part> {
    let (to, peers_argument, cpu) = (to.to_string(), peers.to_string(), Placement::Apart.load().to_string());
    let arguments = ["load", "idle", "--to", &to, "--wire", wire.name(), "--peers", &peers_argument, "--cpu", &cpu];
    let mut load = Part::start(&arguments.map(str::to_owned))?;
    await_count(&mut load, HANDSHAKES, |look| look.ready == peers as u64).context("not all idle peers are ready")?;
    Ok(load)
}
