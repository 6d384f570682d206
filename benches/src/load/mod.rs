//! Drives a device from outside, the same way whoever made it.

mod call;
mod echo;
mod fan;
#[cfg(feature = "gossipsub")]
mod gossip;
mod idle;
mod peer;
mod stream;

pub(crate) use call::PATH as CALL_PATH;

use crate::place;
use crate::wire::Wire;
use anyhow::Result;
use clap::{Args, ValueEnum};
use std::net::SocketAddr;

/// What a load does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Kind {
    /// Writes messages on one connection as fast as they are read.
    Stream,
    /// Writes messages on one connection and receives them on many others.
    Fan,
    /// Writes messages on connections and receives them there again.
    Echo,
    /// Holds many connections that are ready and silent.
    Idle,
}

/// A load's arguments.
#[derive(Clone, Debug, Args)]
pub(crate) struct Arguments {
    /// What to do.
    pub(crate) kind: Kind,
    /// The device.
    #[arg(long)]
    pub(crate) to: SocketAddr,
    /// What to speak.
    #[arg(long)]
    pub(crate) wire: Wire,
    /// The CPU to stay on.
    #[arg(long)]
    pub(crate) cpu: Option<usize>,
    /// Bytes of a message's payload.
    #[arg(long, default_value_t = 256)]
    pub(crate) payload: usize,
    /// Connections that receive, or are idle.
    #[arg(long, default_value_t = 1)]
    pub(crate) peers: usize,
    /// Messages sent and not yet received by everyone.
    #[arg(long, default_value_t = 4096)]
    pub(crate) window: u64,
}

/// Runs a load until the harness has had enough.
pub(crate) fn run(arguments: Arguments) -> Result<()> {
    place::pin(arguments.cpu)?;
    place::raise_file_limit();
    match arguments.kind {
        Kind::Stream if arguments.wire == Wire::Grpc => call::run(&arguments),
        Kind::Stream => stream::run(&arguments),
        #[cfg(feature = "gossipsub")]
        Kind::Fan if arguments.wire == Wire::Gossip => gossip::run(&arguments),
        Kind::Fan => fan::run(&arguments),
        Kind::Echo => echo::run(&arguments),
        Kind::Idle => idle::run(&arguments),
    }
}
