//! Keeps what a run of the harness measured, and writes it down.

use crate::environment::Environment;
use crate::options::Options;
use crate::place::Placement;
use crate::statistics::Score;
use crate::{plot, report};
use anyhow::{Context, Result};
use serde::Serialize;
use std::fs;

/// One side of one round.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct Sample {
    /// Messages a second.
    pub(crate) rate: f64,
    /// Payload bytes a second.
    pub(crate) bytes_rate: f64,
    /// User and system time of the device's process, nanoseconds for each message.
    pub(crate) cpu_ns: f64,
    /// The same of the load's process.
    pub(crate) load_cpu_ns: f64,
    /// Messages that were sent and never arrived.
    pub(crate) lost: u64,
    /// Messages that arrived with a wrong hash.
    pub(crate) corrupt: u64,
    /// Messages that arrived twice.
    pub(crate) repeated: u64,
}

impl Sample {
    /// The share of one CPU that the device used.
    pub(crate) fn busy(&self) -> f64 {
        self.rate * self.cpu_ns / 1e9
    }

    /// Whether it may count: nothing is missing, changed or doubled.
    pub(crate) fn is_sound(&self) -> bool {
        self.rate > 0.0 && self.lost == 0 && self.corrupt == 0 && self.repeated == 0
    }
}

/// A raw row, as the CSV has it.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    pub(crate) case: String,
    pub(crate) placement: Placement,
    pub(crate) round: usize,
    pub(crate) side: String,
    pub(crate) sample: Sample,
    pub(crate) load_average: f64,
    pub(crate) steal_ticks: u64,
}

/// Ours against one peer in one case.
#[derive(Clone, Debug)]
pub(crate) struct Duel {
    pub(crate) case: String,
    pub(crate) placement: Placement,
    pub(crate) ours: String,
    pub(crate) theirs: String,
    /// Our rate over theirs.
    pub(crate) rate: Score,
    /// Their CPU time for a message over ours.
    pub(crate) cpu: Score,
    /// The least that the rate's ratio must be for the claim to stand, where there is one.
    pub(crate) floor: Option<f64>,
    /// Whether the floor is for the rate alone.
    pub(crate) is_of_rate: bool,
    /// Whether ours had time to spare, so that the load bounds the rate.
    pub(crate) is_load_bound: bool,
    /// Whether the A/A run of this case was quiet: else the figure is marked noisy.
    pub(crate) is_quiet: bool,
}

/// A figure of ours alone.
#[derive(Clone, Debug)]
pub(crate) struct Figure {
    pub(crate) case: String,
    pub(crate) name: String,
    pub(crate) unit: String,
    pub(crate) values: Vec<f64>,
    /// The most (memory, time) or least (rates) that it should be.
    pub(crate) floor: Option<f64>,
}

/// A run of the harness.
pub(crate) struct Session {
    /// What was asked for.
    pub(crate) options: Options,
    /// Where it ran.
    pub(crate) environment: Environment,
    /// All rounds.
    pub(crate) rows: Vec<Row>,
    /// All comparisons.
    pub(crate) duels: Vec<Duel>,
    /// All figures without a peer.
    pub(crate) figures: Vec<Figure>,
    /// What went wrong or was left out.
    pub(crate) remarks: Vec<String>,
}

impl Session {
    /// Begins.
    pub(crate) fn new(options: Options) -> Result<Self> {
        fs::create_dir_all(&options.out).with_context(|| format!("cannot make {}", options.out.display()))?;
        let environment = Environment::read()?;
        let (rows, duels, figures, remarks) = Default::default();
        Ok(Self { options, environment, rows, duels, figures, remarks })
    }

    /// Notes a figure.
    pub(crate) fn figure(&mut self, case: &str, name: &str, unit: &str, values: Vec<f64>, floor: Option<f64>) {
        let middle = crate::statistics::median(&values);
        eprintln!("{case}: {name} {} {unit}", report::short(middle));
        self.figures.push(Figure {
            case: case.to_owned(),
            name: name.to_owned(),
            unit: unit.to_owned(),
            values,
            floor,
        });
    }

    /// Notes what a reader of the report must know.
    pub(crate) fn remark(&mut self, text: String) {
        eprintln!("{text}");
        self.remarks.push(text);
    }

    /// Writes rows, plots and report.
    pub(crate) fn write(&self) -> Result<()> {
        let out = &self.options.out;
        fs::write(out.join("rows.csv"), report::rows(&self.rows))?;
        fs::write(out.join("figures.csv"), report::figures(&self.figures))?;
        for (name, svg) in plot::all(self) {
            fs::write(out.join(name), svg)?;
        }
        let path = out.join("report.md");
        fs::write(&path, report::markdown(self))?;
        eprintln!("wrote {}", path.display());
        Ok(())
    }
}
