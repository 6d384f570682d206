//! Measures ours beside its peers.

mod beat;
mod bumo;
mod chains;
mod contest;
mod control;
mod daemon;
mod device;
mod environment;
mod frames;
mod h1;
mod h2;
mod h4;
mod h6;
mod h7;
mod h8;
mod kaspa;
mod load;
mod mina;
mod options;
mod payload;
mod pinned;
mod place;
mod plot;
mod replica;
mod report;
mod session;
mod start;
mod statistics;
mod websocket;
mod wire;

use anyhow::Result;
use clap::{Parser, Subcommand};
use options::Options;
use session::Session;

/// Measures ours beside its peers, by the rules in docs/benchmarks.md.
#[derive(Debug, Parser)]
#[command(name = "bench")]
enum Command {
    /// Everything.
    All(Options),
    /// BUMO: decoding beside prost.
    Bumo(Options),
    /// Relay fan-out: one hub to 32 peers.
    H1(Options),
    /// One connection: framed messages a second.
    H2(Options),
    /// Sync of long chains, ours from ours.
    H4(Options),
    /// Simulation: a thousand nodes, each with a message a second to eight neighbours.
    H6(Options),
    /// Memory: thousands of idle peers, and none.
    H7(Options),
    /// Agreement: four durable replicas.
    H8(Options),
    /// Kaspa: decoding beside prost, and syncs, memory and relay beside kaspad.
    Kaspa(Options),
    /// Mina: decoding beside binprot.
    Mina(Options),
    /// Time from a node's start to serving.
    Start(Options),
    /// WebSockets: echoes beside tokio-tungstenite.
    Websocket(Options),
    /// A process that the harness starts for itself.
    #[command(hide = true, subcommand)]
    Part(Part),
}

#[derive(Debug, Subcommand)]
enum Part {
    Device(device::Arguments),
    Load(load::Arguments),
    Pinned(pinned::Arguments),
    Replica(replica::Arguments),
}

type Benchmark = fn(&mut Session) -> Result<()>;

fn main() -> Result<()> {
    let (options, benchmarks): (Options, &[Benchmark]) = match Command::parse() {
        Command::Part(Part::Device(arguments)) => return device::run(arguments),
        Command::Part(Part::Load(arguments)) => return load::run(arguments),
        Command::Part(Part::Pinned(arguments)) => return pinned::run(arguments),
        Command::Part(Part::Replica(arguments)) => return replica::run(arguments),
        Command::All(options) => {
            let all: &[Benchmark] = &[
                h2::run,
                h6::run,
                h7::run,
                h8::run,
                start::run,
                h4::run,
                kaspa::run,
                bumo::run,
                mina::run,
                websocket::run,
                h1::run,
            ];
            (options, all)
        }
        Command::Bumo(options) => (options, &[bumo::run]),
        Command::H4(options) => (options, &[h4::run]),
        Command::H6(options) => (options, &[h6::run]),
        Command::H7(options) => (options, &[h7::run]),
        Command::H8(options) => (options, &[h8::run]),
        Command::Kaspa(options) => (options, &[kaspa::run]),
        Command::Mina(options) => (options, &[mina::run]),
        Command::Start(options) => (options, &[start::run]),
        Command::Websocket(options) => (options, &[websocket::run]),
        Command::H1(options) => (options, &[h1::run]),
        Command::H2(options) => (options, &[h2::run]),
    };
    let mut session = Session::new(options)?;
    for benchmark in benchmarks {
        benchmark(&mut session)?;
        // After each one: what was measured stays when a later one fails.
        session.write()?;
    }
    Ok(())
}
