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
/// When so long after the end nothing more arrives, what is missing is lost.
const SILENCE: Duration = Duration::from_secs(1);

/// What a case measures.
#[derive(Clone, Debug)]
pub(crate) struct Case {
    /// As reports show it, `h2 frame_bytes=256`.
    pub(crate) name: String,
    /// The load's kind: `stream` or `fan`.
    pub(crate) load: &'static str,
    /// What the device does: `sink` or `hub`.
    pub(crate) job: &'static str,
    /// Bytes of a payload.
    pub(crate) payload: usize,
    /// Connections that receive.
    pub(crate) peers: usize,
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
        let ours = *sides.first().context("a contest without sides")?;
        for placement in self.options.placements() {
            let again = Side { name: "ours again", floor: None, ..ours };
            let is_quiet = self.series(case, placement, &[ours, again], true)?;
            self.series(case, placement, sides, is_quiet)?;
        }
        Ok(())
    }

    // Whether equal sides would be told to be equal; notes the duels of all sides with the first.
    fn series(&mut self, case: &Case, placement: Placement, sides: &[Side], is_quiet: bool) -> Result<bool> {
        let mut samples = vec![Vec::new(); sides.len()];
        for round in 0..self.options.rounds {
            let order: Vec<usize> =
                if round % 2 == 0 { (0..sides.len()).collect() } else { (0..sides.len()).rev().collect() };
            for index in order {
                let before = place::weather()?;
                let sample = self.sample(case, placement, &sides[index])?;
                let after = place::weather()?;
                eprintln!(
                    "{} {} round {round} {}: {:.0}/s, {:.0} ns CPU, lost {}",
                    case.name,
                    placement.name(),
                    sides[index].name,
                    sample.rate,
                    sample.cpu_ns,
                    sample.lost
                );
                self.rows.push(Row {
                    case: case.name.clone(),
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
                case: case.name.clone(),
                placement,
                ours: sides[0].name.to_owned(),
                theirs: side.name.to_owned(),
                rate,
                cpu,
                floor: side.floor,
                is_quiet,
            });
        }
        Ok(all_quiet)
    }

    // Device and load run in processes of their own, new ones for every sample.
    fn sample(&self, case: &Case, placement: Placement, side: &Side) -> Result<Sample> {
        let mut device = Part::start(&self.device(case, placement, side))?;
        let mut load = Part::start(&load(case, placement, side, &device)?)?;
        let peers = if case.load == "fan" { case.peers as u64 + 1 } else { 1 };
        await_count(&mut device, SETTLE, |look| look.ready >= peers).context("the device waits for peers")?;
        load.send()?;
        thread::sleep(self.options.warm_up());
        let (device_before, load_before) = (device.look()?, load.look()?);
        thread::sleep(self.options.seconds());
        let (device_after, load_after) = (device.look()?, load.look()?);
        load.stop()?;
        thread::sleep(Duration::from_millis(50));
        let expected = load.look()?.sent * case.peers as u64;
        // On a fan the load receives.
        let receiver = if case.load == "fan" { &mut load } else { &mut device };
        let last = drain(receiver, expected)?;
        let (before, after) =
            if case.load == "fan" { (load_before, load_after) } else { (device_before, device_after) };
        Ok(sample(before, after, (device_before, device_after), (load_before, load_after), expected, last))
    }

    fn device(&self, case: &Case, placement: Placement, side: &Side) -> Vec<String> {
        let cpu = placement.device().to_string();
        let payload = case.payload.to_string();
        ["device", side.device, "--job", case.job, "--cpu", &cpu, "--payload", &payload].map(str::to_owned).into()
    }
}

fn load(case: &Case, placement: Placement, side: &Side, device: &Part) -> Result<Vec<String>> {
    let (to, cpu) = (device.address()?.to_string(), placement.load().to_string());
    let (payload, peers) = (case.payload.to_string(), case.peers.to_string());
    let wire = side.wire.name();
    let arguments = ["load", case.load, "--to", &to, "--wire", wire, "--cpu", &cpu, "--payload", &payload];
    Ok(arguments.into_iter().chain(["--peers", &peers]).map(str::to_owned).collect())
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

fn sample(before: Look, after: Look, device: (Look, Look), load: (Look, Look), expected: u64, last: Look) -> Sample {
    let messages = (after.delivered - before.delivered) as f64;
    let seconds = (after.at_ns - before.at_ns) as f64 / 1e9;
    let cpu = |part: (Look, Look)| {
        // Looks of two processes are not of the same moment: each one's time is scaled to the measured span.
        let span = (part.1.at_ns - part.0.at_ns) as f64 / 1e9;
        (part.1.cpu_ns - part.0.cpu_ns) as f64 / span * seconds / messages.max(1.0)
    };
    Sample {
        rate: messages / seconds,
        bytes_rate: (after.bytes - before.bytes) as f64 / seconds,
        cpu_ns: cpu(device),
        load_cpu_ns: cpu(load),
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

/// The geometric mean of one column over the rounds of a side.
pub(crate) fn mean_of(rows: &[Row], of: impl Fn(&Sample) -> f64) -> f64 {
    geometric_mean(&rows.iter().map(|row| of(&row.sample)).collect::<Vec<_>>())
}
