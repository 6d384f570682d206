//! Measures ours beside kaspad, each in the place of the other among the same nodes.
//!
//! Every figure goes out as a line of JSON, for `bench kaspa`, which puts what needs no kaspad beside it and sums up.

mod memory;
mod relay;
mod syncing;
mod usage;

use crate::kaspad::Measured;
use crate::target::{Kind, Programs};
use anyhow::{Result, ensure};
use clap::ValueEnum;
use serde_json::json;
use std::sync::Arc;

/// What can be measured alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Part {
    /// Ten thousand blocks, taken and given.
    Sync,
    /// An idle peer.
    Memory,
    /// A block's and a transaction's way through the middle of three.
    Relay,
}

/// What both nodes are started with, unless a part needs more.
const PLAIN: Measured = Measured { peers_max: 128, is_indexed: false };

/// One that both have, less being better; where there are pairs, they are of the same round.
struct Figure {
    case: &'static str,
    name: &'static str,
    unit: &'static str,
    ours: Vec<f64>,
    kaspads: Vec<f64>,
    /// What kaspad's must at least be of ours.
    floor: Option<f64>,
    /// What ours may be at most.
    most: Option<f64>,
}

impl Figure {
    fn new(case: &'static str, name: &'static str, unit: &'static str, floor: Option<f64>) -> Self {
        Self { case, name, unit, ours: Vec::new(), kaspads: Vec::new(), floor, most: None }
    }

    fn note(&mut self, kind: Kind, value: f64) {
        eprintln!("{} {}, {kind:?}: {value:.1} {}", self.case, self.name, self.unit);
        self.note_all(kind, [value]);
    }

    fn note_all(&mut self, kind: Kind, values: impl IntoIterator<Item = f64>) {
        match kind {
            Kind::Polypeer => self.ours.extend(values),
            Kind::Kaspad => self.kaspads.extend(values),
        }
    }

    fn print(&self) {
        let Self { case, name, unit, ours, kaspads, floor, most } = self;
        let line = json!({
            "case": case, "name": name, "unit": unit, "ours": ours, "kaspads": kaspads, "floor": floor, "most": most,
        });
        println!("{line}");
    }
}

/// Measures these parts, or all. It ends in an error when something did not work, whatever the figures are.
pub(crate) fn run(programs: &Arc<Programs>, parts: &[Part], rounds: usize) -> Result<bool> {
    ensure!(rounds > 0, "no round is nothing measured");
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let wants = |part: Part| parts.is_empty() || parts.contains(&part);
    runtime.block_on(async {
        if wants(Part::Memory) {
            memory::measure(programs, rounds).await?.print();
        }
        if wants(Part::Sync) {
            syncing::measure(programs, rounds).await?.iter().for_each(Figure::print);
        }
        if wants(Part::Relay) {
            relay::measure(programs).await?.iter().for_each(Figure::print);
        }
        Ok(true)
    })
}

// Both kinds, every second round the other way round.
fn order(round: usize) -> [Kind; 2] {
    if round.is_multiple_of(2) { [Kind::Polypeer, Kind::Kaspad] } else { [Kind::Kaspad, Kind::Polypeer] }
}
