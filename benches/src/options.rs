//! Reads what to measure and for how long.

use crate::place::Placement;
use clap::Args;
use std::path::PathBuf;
use std::time::Duration;

/// How to measure. The defaults are the rules of a fair run; shorter runs say only that the harness works.
#[derive(Clone, Debug, Args)]
pub(crate) struct Options {
    /// Rounds of each case.
    #[arg(long, default_value_t = 10)]
    pub(crate) rounds: usize,
    /// Seconds that are measured in each round.
    #[arg(long, default_value_t = 5.0)]
    pub(crate) seconds: f64,
    /// Seconds before them that are not.
    #[arg(long, default_value_t = 3.0)]
    pub(crate) warm_up: f64,
    /// Where device and load run; both ways when it is not given.
    #[arg(long)]
    pub(crate) placement: Option<Placement>,
    /// Only cases that have this in their name, such as `payload_bytes=256` or `sources=4`.
    #[arg(long)]
    pub(crate) only: Option<String>,
    /// Folder for the report, raw rows and plots.
    #[arg(long, default_value = "target/bench")]
    pub(crate) out: PathBuf,
    /// The release binary of the node; built when it is not given.
    #[arg(long)]
    pub(crate) polypeer: Option<PathBuf>,
    /// Idle peers of the memory benchmark.
    #[arg(long, default_value_t = 5000)]
    pub(crate) peers: usize,
    /// Divides the lengths of the chains that are synced.
    #[arg(long, default_value_t = 1)]
    pub(crate) shorten: u64,
}

impl Options {
    /// How long each sample is measured.
    pub(crate) fn seconds(&self) -> Duration {
        Duration::from_secs_f64(self.seconds)
    }

    /// How long each sample runs before that.
    pub(crate) fn warm_up(&self) -> Duration {
        Duration::from_secs_f64(self.warm_up)
    }

    /// The placements to measure.
    pub(crate) fn placements(&self) -> Vec<Placement> {
        self.placement.map_or(vec![Placement::Apart, Placement::Together], |one| vec![one])
    }

    /// Whether a case is to be measured.
    pub(crate) fn wants(&self, case: &str) -> bool {
        self.only.as_ref().is_none_or(|only| case.contains(only.as_str()))
    }

    /// Whether the rules of a fair run are kept.
    pub(crate) fn is_fair(&self) -> bool {
        self.rounds >= 10 && self.seconds >= 5.0 && self.warm_up >= 3.0 && self.shorten == 1 && self.peers >= 5000
    }
}
