//! Runs simulations: one with a summary, or many seeds until one fails; replays and shrinks those that failed.

use super::args::{Sim as Args, SimAct};
use super::exit::{Code, Failure};
use super::{put_json, put_line};
use crate::config::nearest;
use crate::networks::{ENTRIES, Simulate};
use polypeer_sim::{CHECKS, Mark, Outcome, Plan, Progress, Request, SCENARIOS, Scenario, Simulation, shrink};
use serde_json::{Value as Json, json};
use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// `polypeer sim`.
pub(super) fn sim(args: &Args, json: bool) -> Result<(), Failure> {
    match &args.act {
        Some(SimAct::Shrink { file, out, tries }) => return make_smaller(file, out.as_deref(), *tries, json),
        None if args.list => return list(json),
        None => {}
    }
    let scenario = scenario(&args.scenario)?;
    let entries = entries(args.network.as_deref())?;
    let seed = match args.seed {
        Some(seed) => seed,
        None => draw()?,
    };
    let wanted = |entry: Simulated, seed| {
        let nodes = usize::from(args.nodes);
        scenario.plan(&Request { protocol: entry.protocol, seed, nodes, lasts: args.time })
    };
    for entry in entries {
        if args.seeds > 1 {
            many(entry, args, seed, &|seed| wanted(entry, seed), json)?;
        } else {
            one(entry, &wanted(entry, seed), args.out.as_deref(), json)?;
        }
    }
    Ok(())
}

fn scenario(name: &str) -> Result<&'static Scenario, Failure> {
    Scenario::named(name).ok_or_else(|| {
        let names: Vec<_> = SCENARIOS.iter().map(|scenario| scenario.name).collect();
        let hint = nearest(name, names.iter().copied());
        Failure::usage(format!("unknown scenario `{name}`{hint}; there are {}", names.join(", ")))
    })
}

/// A network that can be simulated.
#[derive(Clone, Copy)]
struct Simulated {
    protocol: &'static str,
    devnet: &'static str,
    run: Simulate,
}

fn simulated() -> impl Iterator<Item = Simulated> {
    ENTRIES
        .iter()
        .filter_map(|entry| Some(Simulated { protocol: entry.protocol, devnet: entry.devnet, run: entry.simulate? }))
}

fn entries(name: Option<&str>) -> Result<Vec<Simulated>, Failure> {
    let Some(name) = name else { return Ok(simulated().collect()) };
    let found = simulated().find(|entry| entry.protocol == name || entry.devnet == name);
    found.map(|entry| vec![entry]).ok_or_else(|| unknown(name))
}

fn unknown(name: &str) -> Failure {
    let known: Vec<_> = simulated().map(|entry| entry.protocol).collect();
    let hint = nearest(name, known.iter().copied());
    Failure::usage(format!("no network `{name}` can be simulated{hint}; there are {}", known.join(", ")))
}

// Small enough to be typed.
fn draw() -> Result<u64, Failure> {
    let mut bytes = [0; 4];
    getrandom::fill(&mut bytes).map_err(|error| Failure::new(format!("no random bytes from the system: {error}")))?;
    Ok(u32::from_be_bytes(bytes).into())
}

fn list(json: bool) -> Result<(), Failure> {
    if json {
        let scenario = |it: &Scenario| json!({ "name": it.name, "about": it.about });
        let scenarios: Vec<Json> = SCENARIOS.iter().map(scenario).collect();
        return put_json(&json!({ "scenarios": scenarios, "checks": CHECKS }));
    }
    for Scenario { name, about, .. } in SCENARIOS {
        put_line(&format!("{name:<12}  {about}"))?;
    }
    put_line(&format!("checked in all of them: {}", CHECKS.join(", ")))
}

fn one(entry: Simulated, plan: &Plan, out: Option<&Path>, json: bool) -> Result<(), Failure> {
    let started = Instant::now();
    if !json {
        let Plan { scenario, seed, nodes, lasts_ms, .. } = plan;
        let lasts = humantime::format_duration(Duration::from_millis(*lasts_ms));
        put_line(&format!("{}: {scenario}, seed {seed}, {nodes} nodes, {lasts}", entry.protocol))?;
    }
    let mut screen = Screen::new(json);
    let outcome = (entry.run)(plan, &mut |progress| screen.show(progress))?;
    screen.clear();
    summarise(plan, &outcome, started.elapsed(), json)?;
    let has_failed = outcome.violation.is_some();
    let path = out.map(Path::to_path_buf).or_else(|| has_failed.then(|| default_path(plan)));
    let Some(path) = path else { return Ok(()) };
    keep(Simulation { plan: plan.clone(), outcome }, &path)?;
    if has_failed {
        return Err(Failure::new(format!("a check failed; polypeer replay {} runs it again", path.display())));
    }
    Ok(())
}

fn default_path(plan: &Plan) -> PathBuf {
    PathBuf::from(format!("{}-{}-{}.sim", plan.protocol, plan.scenario, plan.seed))
}

fn keep(simulation: Simulation, path: &Path) -> Result<(), Failure> {
    simulation.write(path).map_err(|error| Failure::new(format!("{}: {error}", path.display())))
}

/// What many seeds came to, over all threads.
#[derive(Default)]
struct Tally {
    next: AtomicU64,
    done: AtomicU64,
    steps: AtomicU64,
    in_time: AtomicU64,
    deliveries: AtomicU64,
    is_over: AtomicBool,
    failed: Mutex<Option<(Plan, Outcome)>>,
    broken: Mutex<Option<anyhow::Error>>,
}

impl Tally {
    fn work(&self, entry: Simulated, seeds: u64, first: u64, wanted: &(dyn Fn(u64) -> Plan + Sync)) {
        while !self.is_over.load(Ordering::Relaxed) {
            let nth = self.next.fetch_add(1, Ordering::Relaxed);
            if nth >= seeds {
                return;
            }
            let plan = wanted(first.wrapping_add(nth));
            match (entry.run)(&plan, &mut |_| !self.is_over.load(Ordering::Relaxed)) {
                Ok(outcome) => self.add(plan, outcome),
                Err(error) => {
                    self.is_over.store(true, Ordering::Relaxed);
                    self.broken.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
                }
            }
        }
    }

    fn add(&self, plan: Plan, outcome: Outcome) {
        if self.is_over.load(Ordering::Relaxed) {
            return;
        }
        self.steps.fetch_add(outcome.end.steps, Ordering::Relaxed);
        self.in_time.fetch_add(outcome.figures.in_time, Ordering::Relaxed);
        self.deliveries.fetch_add(outcome.figures.deliveries, Ordering::Relaxed);
        self.done.fetch_add(1, Ordering::Relaxed);
        if outcome.violation.is_some() {
            self.is_over.store(true, Ordering::Relaxed);
            self.failed.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert((plan, outcome));
        }
    }
}

fn many(
    entry: Simulated,
    args: &Args,
    first: u64,
    wanted: &(dyn Fn(u64) -> Plan + Sync),
    json: bool,
) -> Result<(), Failure> {
    let started = Instant::now();
    let tally = Tally::default();
    let is_shown = !json && io::stderr().is_terminal();
    thread::scope(|scope| {
        let workers: Vec<_> =
            (0..args.jobs).map(|_| scope.spawn(|| tally.work(entry, args.seeds, first, wanted))).collect();
        while workers.iter().any(|worker| !worker.is_finished()) {
            thread::sleep(Duration::from_millis(200));
            if is_shown {
                eprint!("\r{}: {} of {} seeds", entry.protocol, tally.done.load(Ordering::Relaxed), args.seeds);
            }
        }
        if is_shown {
            eprint!("\r\x1b[K");
        }
    });
    let Tally { done, steps, in_time, deliveries, failed, broken, .. } = tally;
    if let Some(error) = broken.into_inner().unwrap_or_else(PoisonError::into_inner) {
        return Err(error.into());
    }
    let failed = failed.into_inner().unwrap_or_else(PoisonError::into_inner);
    let (done, steps, took) = (done.into_inner(), steps.into_inner(), started.elapsed().as_secs_f64());
    let (in_time, deliveries) = (in_time.into_inner(), deliveries.into_inner());
    if json {
        put_json(&json!({
            "network": entry.protocol, "scenario": args.scenario, "nodes": args.nodes, "first_seed": first,
            "seeds": done, "violations": u64::from(failed.is_some()), "steps": steps, "seconds": took,
            "deliveries": deliveries, "in_time": in_time,
        }))?;
    } else {
        let name = &args.scenario;
        put_line(&format!(
            "{}: {name}, {done} seeds from {first}, {} nodes each: {} violations, {steps} steps in {took:.1} s, {}",
            entry.protocol,
            args.nodes,
            u8::from(failed.is_some()),
            share(in_time, deliveries),
        ))?;
    }
    let Some((plan, outcome)) = failed else { return Ok(()) };
    summarise(&plan, &outcome, started.elapsed(), json)?;
    let path = args.out.clone().unwrap_or_else(|| default_path(&plan));
    let seed = plan.seed;
    keep(Simulation { plan, outcome }, &path)?;
    let path = path.display();
    Err(Failure::new(format!("seed {seed} failed a check; polypeer replay {path} runs it again")))
}

fn share(in_time: u64, deliveries: u64) -> String {
    let percent = if deliveries == 0 { 100.0 } else { in_time as f64 * 100.0 / deliveries as f64 };
    format!("{percent:.3} % of {deliveries} deliveries in time")
}

fn summarise(plan: &Plan, outcome: &Outcome, took: Duration, json: bool) -> Result<(), Failure> {
    let Outcome { figures, end, violation, .. } = outcome;
    if json {
        return put_json(&json!({
            "network": plan.protocol, "scenario": plan.scenario, "seed": plan.seed, "nodes": plan.nodes,
            "violation": violation, "figures": figures, "steps": end.steps, "virtual_ms": end.at_ms,
            "seconds": took.as_secs_f64(), "trace": end.trace.to_string(),
        }));
    }
    let [half, most, nearly_all, all] = figures.took_ms;
    put_line(&format!(
        "  delivery     {}; {} of {} at the end",
        share(figures.in_time, figures.deliveries),
        figures.at_the_end,
        figures.at_the_end_of
    ))?;
    put_line(&format!("  propagation  50 % {half} ms, 90 % {most} ms, 99 % {nearly_all} ms, all {all} ms"))?;
    put_line(&format!(
        "  blame        {} of {} hostile nodes, {} honest ones",
        figures.blamed,
        plan.hostile.len(),
        figures.blamed_falsely
    ))?;
    put_line(&format!(
        "  world        {} faults, {} crashes, height {}, {} frames, {} bytes",
        plan.faults.len(),
        figures.crashes,
        figures.height,
        figures.frames,
        figures.bytes
    ))?;
    let (seconds, virtual_seconds) = (took.as_secs_f64(), end.at_ms as f64 / 1_000.0);
    put_line(&format!(
        "  run          {} steps, {virtual_seconds:.0} s of virtual time in {seconds:.1} s, trace {}",
        end.steps, end.trace
    ))?;
    put_line(&match violation {
        Some(violation) => format!("  FAILED       {violation}"),
        None => "  checks       all held".to_owned(),
    })
}

fn make_smaller(file: &Path, out: Option<&Path>, tries: u32, json: bool) -> Result<(), Failure> {
    let Simulation { plan, .. } = read(file)?;
    let entry = entry_of(&plan, file)?;
    let first = (entry.run)(&plan, &mut |_| true)?;
    if first.violation.is_none() {
        return Err(Failure::new(format!("{}: nothing fails in it, so nothing can be smaller", file.display())));
    }
    let mut broken = None;
    let mut run = |plan: &Plan| {
        (entry.run)(plan, &mut |_| true).unwrap_or_else(|error| {
            broken = Some(error);
            Outcome::default()
        })
    };
    let size = |plan: &Plan| {
        let Plan { nodes, faults, hostile, lasts_ms, .. } = plan;
        json!({ "nodes": nodes, "faults": faults.len(), "hostile": hostile.len(), "lasts_ms": lasts_ms })
    };
    let before = size(&plan);
    let shrunk = shrink(plan, first, tries, &mut run);
    let path = out.map_or_else(|| file.with_extension("small.sim"), Path::to_path_buf);
    let (after, tried) = (size(&shrunk.plan), shrunk.tried);
    let violation = shrunk.outcome.violation.clone();
    keep(Simulation { plan: shrunk.plan, outcome: shrunk.outcome }, &path)?;
    if let Some(error) = broken {
        return Err(error.into());
    }
    if json {
        let file = path.display().to_string();
        return put_json(&json!({ "before": before, "after": after, "tried": tried, "file": file }));
    }
    let words = |size: &Json| {
        let count = |key: &str| size[key].to_string();
        let seconds = size["lasts_ms"].as_u64().unwrap_or(0) / 1_000;
        let (nodes, faults, hostile) = (count("nodes"), count("faults"), count("hostile"));
        format!("{nodes} nodes, {faults} faults, {hostile} attackers, {seconds} s")
    };
    put_line(&format!("{} became {}, {tried} runs: {}", words(&before), words(&after), path.display()))?;
    violation.map_or(Ok(()), |violation| put_line(&violation.to_string()))
}

fn read(file: &Path) -> Result<Simulation, Failure> {
    Simulation::read(file).map_err(|error| Failure::new(format!("{}: {error}", file.display())))
}

fn entry_of(plan: &Plan, file: &Path) -> Result<Simulated, Failure> {
    simulated().find(|entry| entry.protocol == plan.protocol).ok_or_else(|| {
        Failure::new(format!(
            "{}: this is a simulation of {}, which cannot be simulated here",
            file.display(),
            plan.protocol
        ))
    })
}

/// `polypeer replay` of a simulation.
pub(super) fn replay(file: &Path, json: bool) -> Result<(), Failure> {
    let Simulation { plan, outcome: then } = read(file)?;
    let entry = entry_of(&plan, file)?;
    let mut screen = Screen::new(json);
    let now = (entry.run)(&plan, &mut |progress| screen.show(progress))?;
    screen.clear();
    let difference = difference(&then, &now);
    let Outcome { end, violation, .. } = &now;
    let file = file.display();
    if json {
        put_json(&json!({
            "same": difference.is_none(), "difference": difference, "network": plan.protocol, "steps": end.steps,
            "trace": end.trace.to_string(), "violation": violation,
        }))?;
    }
    if let Some(difference) = difference {
        return Err(Failure::new(format!("{file}: {difference}")));
    }
    if !json {
        let Plan { protocol, scenario, seed, nodes, .. } = &plan;
        let (steps, trace) = (end.steps, end.trace);
        put_line(&format!(
            "{protocol}: {scenario}, seed {seed}, {nodes} nodes: {steps} steps, the same trace {trace}"
        ))?;
    }
    match violation {
        None => Ok(()),
        Some(_) if json => Err(Failure::silent(Code::Failed)),
        Some(violation) => Err(Failure::new(format!("{file}: the same violation: {violation}"))),
    }
}

// The first thing that is not as it was.
fn difference(then: &Outcome, now: &Outcome) -> Option<String> {
    let pair = then.marks.iter().zip(&now.marks).find(|(then, now)| then != now);
    if let Some((then, now)) = pair {
        let say = |mark: &Mark| format!("{} steps, trace {}", mark.steps, mark.trace);
        let at = then.at_ms.min(now.at_ms);
        return Some(format!("it differs by {at} ms: {} then, {} now", say(then), say(now)));
    }
    if then.violation != now.violation {
        let say = |outcome: &Outcome| {
            outcome.violation.as_ref().map_or_else(|| "all checks held".to_owned(), |violation| violation.to_string())
        };
        return Some(format!("it ends otherwise: {} then, {} now", say(then), say(now)));
    }
    (then.end != now.end || then.marks.len() != now.marks.len())
        .then(|| format!("it ends otherwise: trace {} then, {} now", then.end.trace, now.end.trace))
}

/// Shows the progress of one run, on a terminal only.
struct Screen {
    is_shown: bool,
    last: Option<Instant>,
}

impl Screen {
    fn new(json: bool) -> Self {
        Self { is_shown: !json && io::stderr().is_terminal(), last: None }
    }

    fn show(&mut self, progress: &Progress) -> bool {
        const EVERY: Duration = Duration::from_millis(200);
        if self.is_shown && self.last.is_none_or(|last| last.elapsed() >= EVERY) {
            self.last = Some(Instant::now());
            let (at, of) = (progress.at_ms / 1_000, progress.of_ms / 1_000);
            eprint!("\r{at} of {of} s, {} steps", progress.steps);
            // Nobody minds when it does not show.
            let _ = io::stderr().flush();
        }
        true
    }

    fn clear(&self) {
        if self.last.is_some() {
            eprint!("\r\x1b[K");
        }
    }
}
