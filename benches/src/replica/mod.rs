//! Runs one of four replicas that agree: ours, or what it is measured beside. Each is a process of its own.

mod bumo;
mod payments;
#[cfg(feature = "commonware")]
mod simplex;

use crate::control::{self, Ready};
use crate::place;
use anyhow::Result;
use clap::{Args, ValueEnum};
use serde::{Deserialize, Serialize};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};

/// How many agree: the fewest of which one may lie.
pub(crate) const REPLICAS: usize = 4;

/// Whose code runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Kind {
    /// Ours: BUMO's PBFT over the driver's WebSockets, with its ledger and vote log.
    Bumo,
    /// commonware's simplex over its authenticated TCP, with its journal.
    #[cfg(feature = "commonware")]
    Simplex,
}

/// What is agreed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Work {
    /// One thing after the other, and nothing in it.
    Serial,
    /// As much as there can be: many transactions in a ledger of ours, many proposals at once of the other's.
    Many,
}

impl Work {
    /// As arguments name it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Serial => "serial",
            Self::Many => "many",
        }
    }
}

/// A replica's arguments.
#[derive(Clone, Debug, Args)]
pub(crate) struct Arguments {
    /// Whose code runs.
    kind: Kind,
    /// What is agreed on.
    #[arg(long)]
    work: Work,
    /// Its place among them, from 0.
    #[arg(long)]
    place: usize,
    /// Where each of them listens.
    #[arg(long, value_delimiter = ',')]
    addresses: Vec<SocketAddr>,
    /// Where it keeps what must outlive a crash.
    #[arg(long)]
    folder: PathBuf,
    /// The CPU to stay on.
    #[arg(long)]
    cpu: Option<usize>,
}

/// Runs a replica until the harness has had enough.
pub(crate) fn run(arguments: Arguments) -> Result<()> {
    place::pin(arguments.cpu)?;
    anyhow::ensure!(arguments.addresses.len() == REPLICAS, "{REPLICAS} addresses are needed");
    anyhow::ensure!(arguments.place < REPLICAS, "places are 0 to {}", REPLICAS - 1);
    let counts = Arc::new(Counts::default());
    let looked = counts.clone();
    control::serve(Ready { address: None }, move || looked.look(), |_| {})?;
    match arguments.kind {
        Kind::Bumo => bumo::run(&arguments, counts),
        #[cfg(feature = "commonware")]
        Kind::Simplex => simplex::run(arguments, counts),
    }
}

/// What a replica says of itself.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Standing {
    /// The shared clock, in nanoseconds.
    pub(crate) at_ns: u64,
    /// User and system time, in nanoseconds.
    pub(crate) cpu_ns: u64,
    /// How much was agreed on.
    pub(crate) commits: u64,
    /// Votes of its own that it signed.
    pub(crate) votes: u64,
    /// Transactions in what was agreed on.
    pub(crate) transactions: u64,
    /// Since the last look: from a proposal of its own to its commit, in nanoseconds.
    pub(crate) times_ns: Vec<u64>,
    /// Since the last look: number and hash of what was agreed on.
    pub(crate) marks: Vec<(u64, u64)>,
}

/// What a replica counted.
#[derive(Debug, Default)]
struct Counts {
    commits: AtomicU64,
    votes: AtomicU64,
    transactions: AtomicU64,
    recent: Mutex<Recent>,
}

/// What was noted since the last look, which comes within seconds.
#[derive(Debug, Default)]
struct Recent {
    times_ns: Vec<u64>,
    marks: Vec<(u64, u64)>,
}

impl Counts {
    fn vote(&self) {
        self.votes.fetch_add(1, Relaxed);
    }

    /// So many more were agreed on, the last one being this.
    fn commit(&self, count: u64, number: u64, digest: &[u8]) {
        self.commits.fetch_add(count, Relaxed);
        if let Some(hash) = digest.first_chunk() {
            self.lock().marks.push((number, u64::from_le_bytes(*hash)));
        }
    }

    /// A proposal of its own took so long.
    fn took(&self, ns: u64) {
        self.lock().times_ns.push(ns);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Recent> {
        self.recent.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn look(&self) -> Standing {
        let Recent { times_ns, marks } = std::mem::take(&mut *self.lock());
        Standing {
            at_ns: place::monotonic_ns(),
            cpu_ns: place::own_cpu_ns(),
            commits: self.commits.load(Relaxed),
            votes: self.votes.load(Relaxed),
            transactions: self.transactions.load(Relaxed),
            times_ns,
            marks,
        }
    }
}
