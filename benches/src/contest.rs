//! Runs sides against each other in paired rounds.

use crate::control::{Look, Part};
use crate::place::{self, Placement};
use crate::session::{Duel, Row, Sample, Session};
use crate::statistics::{geometric_mean, score};
use crate::wire::Wire;
use anyhow::{Context, Result};
use std::thread;
use std::time::{Duration, Instant};

/// How long a device may take to call all peers ready.
const SETTLE: Duration = Duration::from_secs(20);
/// A device that uses less of its CPU waits for the load.
const BUSY_MIN: f64 = 0.9;
/// Messages that a fan may have under way, and bytes of them, which devices queue without dropping.
const WINDOW: usize = 4096;
const WINDOW_BYTES: usize = 4 << 20;
/// When so long after the end nothing more arrives, what is missing is lost.
const SILENCE: Duration = Duration::from_secs(1);

/// What a case measures.
#[derive(Clone, Debug)]
pub(crate) struct Case {
    /// As reports show it, `h2 frame_bytes=256`.
    pub(crate) name: String,
    /// What comes from outside.
    pub(crate) load: Load,
    /// Bytes of a payload.
    pub(crate) payload: usize,
}

/// What drives a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Load {
    /// Nothing: it works on memory.
    None,
    /// One connection that sends.
    Stream,
    /// One connection that sends, and others to which the device sends on.
    Fan {
        /// How many others.
        peers: usize,
    },
    /// Connections on which the device says back what it hears.
    Echo {
        /// How many.
        peers: usize,
        /// Messages under way on each.
        window: usize,
    },
}

impl Load {
    // Whether it is the load that receives.
    fn receives(self) -> bool {
        matches!(self, Self::Fan { .. } | Self::Echo { .. })
    }
}

/// One that takes part. The first of a case is ours.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Side {
    /// As reports show it.
    pub(crate) name: &'static str,
    /// The device's kind.
    pub(crate) device: &'static str,
    /// What the load speaks to it.
    pub(crate) wire: Wire,
    /// The least that ours must be of it.
    pub(crate) floor: Option<f64>,
}

impl Session {
    /// First ours against itself, then ours against all others, a round having each side once and every second round
    /// going backwards.
    pub(crate) fn contest(&mut self, case: &Case, sides: &[Side]) -> Result<()> {
        if !self.options.wants(&case.name) {
            return Ok(());
        }
        let ours = *sides.first().context("a contest without sides")?;
        let mut placements = self.options.placements();
        if case.load == Load::None {
            // Nothing to be placed apart from.
            placements.truncate(1);
        }
        for placement in placements {
            let again = Side { name: "ours again", floor: None, ..ours };
            let mut take = |session: &mut Self, side: &Side| session.sample(case, placement, side);
            let is_quiet = self.series(&case.name, placement, &[ours, again], true, &mut take)?;
            self.series(&case.name, placement, sides, is_quiet, &mut take)?;
        }
        Ok(())
    }

    /// Takes samples of all sides in paired rounds and notes the duels of all with the first. Whether equal sides would be
    /// told to be equal.
    pub(crate) fn series(
        &mut self,
        case: &str,
        placement: Placement,
        sides: &[Side],
        is_quiet: bool,
        take: &mut dyn FnMut(&mut Self, &Side) -> Result<Sample>,
    ) -> Result<bool> {
        let mut samples = vec![Vec::new(); sides.len()];
        for round in 0..self.options.rounds {
            let order: Vec<usize> =
                if round % 2 == 0 { (0..sides.len()).collect() } else { (0..sides.len()).rev().collect() };
            for index in order {
                let before = place::weather()?;
                let sample = take(self, &sides[index])?;
                let after = place::weather()?;
                eprintln!(
                    "{} {} round {round} {}: {:.0}/s, {:.0} ns CPU, lost {}",
                    case,
                    placement.name(),
                    sides[index].name,
                    sample.rate,
                    sample.cpu_ns,
                    sample.lost
                );
                self.rows.push(Row {
                    case: case.to_owned(),
                    placement,
                    round,
                    side: sides[index].name.to_owned(),
                    sample: sample.clone(),
                    load_average: after.load,
                    steal_ticks: after.steal_ticks - before.steal_ticks,
                });
                samples[index].push(sample);
            }
        }
        let mut all_quiet = true;
        for (side, theirs) in sides.iter().zip(&samples).skip(1) {
            let rate = score(&ratios(&samples[0], theirs, |ours, theirs| ours.rate / theirs.rate));
            let cpu = score(&ratios(&samples[0], theirs, |ours, theirs| theirs.cpu_ns / ours.cpu_ns));
            all_quiet &= rate.is_quiet();
            self.duels.push(Duel {
                case: case.to_owned(),
                placement,
                ours: sides[0].name.to_owned(),
                theirs: side.name.to_owned(),
                rate,
                cpu,
                floor: side.floor,
                is_of_rate: false,
                is_load_bound: placement == Placement::Apart && mean_busy(&samples[0]) < BUSY_MIN,
                is_quiet,
            });
        }
        Ok(all_quiet)
    }

    // Device and load run in processes of their own, new ones for every sample.
    fn sample(&self, case: &Case, placement: Placement, side: &Side) -> Result<Sample> {
        let mut device = Part::start(&device(case, placement, side))?;
        let mut load = load(case, placement, side, &device)?;
        let peers = match case.load {
            Load::Fan { peers } => peers as u64 + 1,
            Load::Echo { peers, .. } => peers as u64,
            Load::Stream | Load::None => 1,
        };
        await_count(&mut device, SETTLE, |look| look.ready >= peers).context("the device waits for peers")?;
        if let Some(load) = &mut load {
            load.send()?;
        }
        thread::sleep(self.options.warm_up());
        let before = look(&mut device, load.as_mut())?;
        thread::sleep(self.options.seconds());
        let after = look(&mut device, load.as_mut())?;
        let (expected, last) = match &mut load {
            None => (0, Look::default()),
            Some(load) => finish(case, &mut device, load)?,
        };
        Ok(sample(case, before, after, expected, last))
    }
}

// Device and load at about the same moment.
fn look(device: &mut Part, load: Option<&mut Part>) -> Result<(Look, Look)> {
    Ok((device.look()?, load.map_or(Ok(Look::default()), Part::look)?))
}

// How much had to arrive, and what did.
fn finish(case: &Case, device: &mut Part, load: &mut Part) -> Result<(u64, Look)> {
    load.stop()?;
    thread::sleep(Duration::from_millis(50));
    let sent = load.look()?.sent;
    match case.load {
        Load::Fan { peers } => {
            let expected = sent * peers as u64;
            Ok((expected, drain(load, expected)?))
        }
        Load::Echo { .. } => Ok((sent, drain(load, sent)?)),
        Load::Stream | Load::None => Ok((sent, drain(device, sent)?)),
    }
}

fn device(case: &Case, placement: Placement, side: &Side) -> Vec<String> {
    let job = if let Load::Fan { .. } = case.load { "hub" } else { "sink" };
    let (cpu, payload) = (placement.device().to_string(), case.payload.to_string());
    ["device", side.device, "--job", job, "--cpu", &cpu, "--payload", &payload].map(str::to_owned).into()
}

fn load(case: &Case, placement: Placement, side: &Side, device: &Part) -> Result<Option<Part>> {
    let window = (WINDOW_BYTES / case.payload.max(1)).clamp(1, WINDOW);
    let (kind, peers, window) = match case.load {
        Load::None => return Ok(None),
        Load::Stream => ("stream", 1, window),
        Load::Fan { peers } => ("fan", peers, window),
        Load::Echo { peers, window } => ("echo", peers, window),
    };
    let (to, cpu) = (device.address()?.to_string(), placement.load().to_string());
    let (payload, peers, wire) = (case.payload.to_string(), peers.to_string(), side.wire.name());
    let window = window.to_string();
    let first = ["load", kind, "--to", &to, "--wire", wire, "--cpu", &cpu];
    let second = ["--payload", &payload, "--peers", &peers, "--window", &window];
    Part::start(&first.into_iter().chain(second).map(str::to_owned).collect::<Vec<_>>()).map(Some)
}

// Looks at a receiver until it has everything, or nothing more comes.
fn drain(receiver: &mut Part, expected: u64) -> Result<Look> {
    let mut last = receiver.look()?;
    let mut moved = Instant::now();
    while last.delivered < expected && moved.elapsed() < SILENCE {
        thread::sleep(Duration::from_millis(20));
        let look = receiver.look()?;
        if look.delivered > last.delivered {
            moved = Instant::now();
        }
        last = look;
    }
    Ok(last)
}

/// Looks at a part until it has come far enough.
pub(crate) fn await_count(part: &mut Part, within: Duration, is_enough: impl Fn(&Look) -> bool) -> Result<Look> {
    let until = Instant::now() + within;
    loop {
        let look = part.look()?;
        if is_enough(&look) {
            return Ok(look);
        }
        anyhow::ensure!(Instant::now() < until, "it came no further than {look:?}");
        thread::sleep(Duration::from_millis(20));
    }
}

fn sample(case: &Case, before: (Look, Look), after: (Look, Look), expected: u64, last: Look) -> Sample {
    let (first, second) = if case.load.receives() { (before.1, after.1) } else { (before.0, after.0) };
    let messages = (second.delivered - first.delivered) as f64;
    let seconds = (second.at_ns - first.at_ns) as f64 / 1e9;
    let cpu = |before: Look, after: Look| {
        // Looks of two processes are not of the same moment: each one's time is scaled to the measured span.
        let span = (after.at_ns - before.at_ns).max(1) as f64 / 1e9;
        (after.cpu_ns - before.cpu_ns) as f64 / span * seconds / messages.max(1.0)
    };
    Sample {
        rate: messages / seconds,
        bytes_rate: (second.bytes - first.bytes) as f64 / seconds,
        cpu_ns: cpu(before.0, after.0),
        load_cpu_ns: cpu(before.1, after.1),
        lost: expected.saturating_sub(last.delivered),
        corrupt: last.corrupt,
        repeated: last.repeated,
    }
}

// A round in which either side is not sound scores nothing for that side; ours to blame gives 0.
fn ratios(ours: &[Sample], theirs: &[Sample], ratio: impl Fn(&Sample, &Sample) -> f64) -> Vec<f64> {
    ours.iter()
        .zip(theirs)
        .filter(|(_, theirs)| theirs.is_sound())
        .map(|(ours, theirs)| if ours.is_sound() { ratio(ours, theirs) } else { 0.0 })
        .collect()
}

fn mean_busy(samples: &[Sample]) -> f64 {
    geometric_mean(&samples.iter().map(Sample::busy).collect::<Vec<_>>())
}

/// The geometric mean of one column over the rounds of a side.
pub(crate) fn mean_of(rows: &[Row], of: impl Fn(&Sample) -> f64) -> f64 {
    geometric_mean(&rows.iter().map(|row| of(&row.sample)).collect::<Vec<_>>())
}
