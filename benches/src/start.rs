//! Measures how long a node takes from its start to serving.

use crate::daemon::{self, Daemon, Start};
use crate::place::Placement;
use crate::session::Session;
use crate::wire::{Manners, Wire};
use anyhow::{Context, Result};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::time::{Duration, Instant};

/// From the start of the process to the first answer, milliseconds.
const SERVING_MS_MAX: f64 = 6.0;
/// A node that does not listen by then never will.
const PATIENCE: Duration = Duration::from_secs(20);
/// Starts are short: so many for each round that was asked for.
const STARTS_PER_ROUND: usize = 3;

/// Milliseconds from the start of the process.
struct Times {
    listens: f64,
    answers: f64,
}

pub(crate) fn run(session: &mut Session) -> Result<()> {
    let binary = daemon::binary(&session.options)?;
    for (network, wire) in [("anya-devnet", Wire::Anya), ("hello-devnet", Wire::Hello)] {
        let (mut fresh, mut again) = (Vec::new(), Vec::new());
        for _ in 0..session.options.rounds * STARTS_PER_ROUND {
            let data = tempfile::tempdir()?;
            fresh.push(once(&binary, network, wire, data.path())?);
            again.push(once(&binary, network, wire, data.path())?);
        }
        for (times, what) in [(fresh, "a new data folder"), (again, "a data folder of its own")] {
            let case = format!("start {} with {what}", wire.name());
            let of = |of: fn(&Times) -> f64| times.iter().map(of).collect();
            session.figure(&case, "port accepts", "ms", of(|times| times.listens), None);
            session.figure(&case, "first handshake answered", "ms", of(|times| times.answers), Some(SERVING_MS_MAX));
        }
    }
    Ok(())
}

fn once(binary: &Path, network: &str, wire: Wire, data: &Path) -> Result<Times> {
    let began = Instant::now();
    let cpu = Placement::Apart.device();
    let daemon = Daemon::spawn(&Start { binary, network, data, cpu, inbound_max: 16, connect: Vec::new() })?;
    let mut stream = loop {
        match TcpStream::connect(daemon.listen) {
            Ok(stream) => break stream,
            Err(_) if began.elapsed() < PATIENCE => std::thread::sleep(Duration::from_micros(50)),
            Err(wrong) => return Err(wrong).context("the node never listened"),
        }
    };
    let listens = began.elapsed();
    let mut hello = Vec::new();
    Manners::new(wire, stream.local_addr()?, &mut hello);
    stream.write_all(&hello)?;
    let length = stream.read(&mut [0; 4096])?;
    anyhow::ensure!(length > 0, "the node closed the connection");
    let milliseconds = |time: Duration| time.as_secs_f64() * 1e3;
    Ok(Times { listens: milliseconds(listens), answers: milliseconds(began.elapsed()) })
}
