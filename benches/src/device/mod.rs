//! Lists the devices under test: ours and the peers that it is measured beside.

mod anya;
mod bumo;
mod chain;
#[cfg(feature = "commonware")]
mod commonware;
mod decode;
mod engine;
mod framed;
mod framer;
#[cfg(feature = "gossipsub")]
pub(crate) mod gossip;
mod grpc;
mod host;
mod mina;
mod pea;
mod raw;
mod sim;
mod tonic;
mod tungstenite;
mod websocket;

use crate::place;
use anyhow::Result;
use clap::{Args, ValueEnum};

/// Whose code runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Kind {
    /// Ours: the whole of AnYa over a ledger that takes any bytes.
    Anya,
    /// Ours without AnYa's rules: driver, framer and engine, up to a handler that only checks.
    Engine,
    /// Tokio's `Framed` with its length-delimited codec.
    Framed,
    /// pea2pea.
    Pea,
    /// rust-libp2p's gossipsub.
    #[cfg(feature = "gossipsub")]
    Gossip,
    /// A loop that reads and forgets: what the sockets alone can do. It checks nothing.
    Raw,
    /// Ours: AnYa's framer alone, over memory.
    AnyaFramer,
    /// Tokio's length-delimited codec alone, over memory.
    DelimitedFramer,
    /// Ours without a protocol's rules: the driver's gRPC and the engine.
    Grpc,
    /// A plain tonic server whose codec passes bytes through.
    Tonic,
    /// Ours without a protocol's rules: the driver's WebSocket and the engine. It says back what it hears.
    Websocket,
    /// Plain tokio-tungstenite that does the same.
    Tungstenite,
    /// Ours: a Kaspa announcement, read over and over.
    KaspaInv,
    /// prost: the same.
    ProstInv,
    /// Ours: a Kaspa transaction, read over and over.
    KaspaTransaction,
    /// prost: the same.
    ProstTransaction,
    /// Ours: a vote of BUMO's validators, read over and over.
    BumoVote,
    /// prost: the same.
    ProstVote,
    /// Ours: five of BUMO's ledgers, read over and over.
    BumoLedgers,
    /// prost: the same.
    ProstLedgers,
    /// Ours: a BUMO transaction, read over and over.
    BumoTransaction,
    /// prost: the same.
    ProstBumoTransaction,
    /// Ours: a Mina block's header, read over and over.
    MinaHeader,
    /// binprot: the same.
    BinprotHeader,
    /// Ours: a Mina block, read over and over.
    MinaBlock,
    /// binprot: the same.
    BinprotBlock,
    /// Ours: a simulated world.
    Sim,
    /// commonware's simulated world.
    #[cfg(feature = "commonware")]
    Commonware,
}

/// What a device does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Job {
    /// Receives and checks.
    Sink,
    /// Sends what it receives on to all others.
    Hub,
}

/// A device's arguments.
#[derive(Clone, Debug, Args)]
pub(crate) struct Arguments {
    /// Whose code runs.
    pub(crate) kind: Kind,
    /// What it does.
    #[arg(long, default_value = "sink")]
    pub(crate) job: Job,
    /// The CPU to stay on.
    #[arg(long)]
    pub(crate) cpu: Option<usize>,
    /// Bytes of a message's payload.
    #[arg(long, default_value_t = 256)]
    pub(crate) payload: usize,
}

/// Runs a device until the harness has had enough.
pub(crate) fn run(arguments: Arguments) -> Result<()> {
    place::pin(arguments.cpu)?;
    place::raise_file_limit();
    match arguments.kind {
        Kind::Anya => anya::run(),
        Kind::Engine => engine::run(),
        Kind::Framed => framed::run(),
        #[cfg(feature = "gossipsub")]
        Kind::Gossip => gossip::run(),
        Kind::Pea => pea::run(arguments.job),
        Kind::Raw => raw::run(arguments.payload),
        Kind::AnyaFramer => framer::run(arguments.payload, framer::anya()),
        Kind::DelimitedFramer => framer::run(arguments.payload, framer::delimited()),
        Kind::Grpc => grpc::run(arguments.job),
        Kind::Tonic => tonic::run(arguments.job),
        Kind::Websocket => websocket::run(),
        Kind::Tungstenite => tungstenite::run(),
        Kind::KaspaInv => decode::inv_ours(),
        Kind::ProstInv => decode::inv_prost(),
        Kind::KaspaTransaction => decode::transaction_ours(),
        Kind::ProstTransaction => decode::transaction_prost(),
        Kind::BumoVote => bumo::vote_ours(),
        Kind::ProstVote => bumo::vote_prost(),
        Kind::BumoLedgers => bumo::ledgers_ours(),
        Kind::ProstLedgers => bumo::ledgers_prost(),
        Kind::BumoTransaction => bumo::transaction_ours(),
        Kind::ProstBumoTransaction => bumo::transaction_prost(),
        Kind::MinaHeader => mina::header_ours(),
        Kind::BinprotHeader => mina::header_binprot(),
        Kind::MinaBlock => mina::block_ours(),
        Kind::BinprotBlock => mina::block_binprot(),
        Kind::Sim => sim::run(),
        #[cfg(feature = "commonware")]
        Kind::Commonware => commonware::run(),
    }
}
