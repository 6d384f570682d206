//! Runs every target on inputs that a seed decides: `mutate [--inputs N] [--seed N] [--seconds N] [TARGET...]`.
//!
//! ```text
//! mutate                          every target, its short run
//! mutate --inputs 1000000         every target, so many inputs each
//! mutate --seconds 10 NAME        one target, at most so long
//! mutate --run NAME FILE          one input again
//! mutate --list                   the targets, those with the shortest runs first: the slowest ones
//! mutate --write-seeds FOLDER     the real inputs as files, for cargo-fuzz
//! ```
//!
//! A failure is made smaller, written to `artifacts/NAME/`, and the exit code is 1. `POLYPEER_JOURNAL=FILE` with `--run`
//! writes a session down for `polypeer replay`.

use peak_alloc::PeakAlloc;
use polypeer_fuzz::mutator::{Mutator, shrink};
use polypeer_fuzz::{SEEDS, TARGETS, Target, find};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

#[global_allocator]
static HEAP: PeakAlloc = PeakAlloc;

/// What a decoder may take beside twice its input.
const WEIGHT_BYTES: usize = 64 << 10;
/// One input that takes longer than this is a failure too: the slowest, a session of thousands of steps, takes a
/// hundredth of it.
const TIME_MAX: Duration = Duration::from_secs(5);

/// What the last panic said, and where.
static SAID: Mutex<String> = Mutex::new(String::new());

struct Order {
    inputs: Option<u64>,
    seed: u64,
    limit: Option<Duration>,
    names: Vec<String>,
}

fn main() -> ExitCode {
    match carry_out(std::env::args().skip(1).collect()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(text) => {
            eprintln!("mutate: {text}");
            ExitCode::from(2)
        }
    }
}

fn carry_out(words: Vec<String>) -> Result<bool, String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    std::panic::set_hook(Box::new(|panic| *SAID.lock().unwrap_or_else(PoisonError::into_inner) = panic.to_string()));
    let mut order = Order { inputs: None, seed: 1, limit: None, names: Vec::new() };
    let mut words = words.into_iter();
    while let Some(word) = words.next() {
        let mut value = || words.next().ok_or_else(|| format!("{word} needs a value"));
        let number = |text: String| text.parse::<u64>().map_err(|_| format!("`{text}` is no number"));
        match word.as_str() {
            "--inputs" => order.inputs = Some(number(value()?)?),
            "--seed" => order.seed = number(value()?)?,
            "--seconds" => order.limit = Some(Duration::from_secs(number(value()?)?)),
            "--run" => return repeat(find(&value()?)?, Path::new(&value()?)),
            "--list" => return Ok(list()),
            "--write-seeds" => return write_seeds(Path::new(&value()?)),
            word if word.starts_with('-') => return Err(format!("unknown option {word}")),
            name => order.names.push(name.to_owned()),
        }
    }
    let chosen = match order.names.as_slice() {
        [] => TARGETS.iter().collect(),
        names => names.iter().map(|name| find(name)).collect::<Result<Vec<_>, _>>()?,
    };
    let mut is_well = true;
    for target in chosen {
        is_well &= hunt(target, &order, folder)?;
    }
    Ok(is_well)
}

fn list() -> bool {
    let mut targets: Vec<_> = TARGETS.iter().collect();
    targets.sort_by_key(|target| target.inputs);
    targets.iter().for_each(|target| println!("{}", target.name));
    true
}

/// Runs one target. Whether nothing failed.
fn hunt(target: &Target, order: &Order, folder: &Path) -> Result<bool, String> {
    let seeds = seeds(&folder.join("seeds").join(target.name))?;
    let (count, wanted) = (seeds.len(), order.inputs.unwrap_or(target.inputs));
    for seed in &seeds {
        if let Err(why) = check(target, seed) {
            return report(target, seed, &why, order, folder);
        }
    }
    let mut mutator = Mutator::new(order.seed, seeds, target.length_max);
    let began = Instant::now();
    let mut done = 0;
    while done < wanted && order.limit.is_none_or(|limit| began.elapsed() < limit) {
        let input = mutator.next();
        done += 1;
        if let Err(why) = check(target, &input) {
            return report(target, &input, &why, order, folder);
        }
    }
    let seconds = began.elapsed().as_secs_f64();
    let rate = done as f64 / seconds.max(1e-9);
    println!(
        "{:16} {done:>9} inputs, {seconds:>6.1} s, {rate:>8.0} a second, {count} seeds, seed {}",
        target.name, order.seed
    );
    Ok(true)
}

fn check(target: &Target, input: &[u8]) -> Result<(), String> {
    if let Some(weigh) = target.weigh {
        let before = HEAP.current_usage();
        HEAP.reset_peak_usage();
        attempt(weigh, input)?;
        let taken = HEAP.peak_usage().saturating_sub(before);
        if taken > 2 * input.len() + WEIGHT_BYTES {
            return Err(format!("{} bytes of input took {taken} bytes of memory", input.len()));
        }
    }
    let began = Instant::now();
    attempt(target.run, input)?;
    if began.elapsed() > TIME_MAX {
        return Err(format!("it took {:?}", began.elapsed()));
    }
    Ok(())
}

fn attempt(run: fn(&[u8]), input: &[u8]) -> Result<(), String> {
    let outcome = catch_unwind(AssertUnwindSafe(|| run(input)));
    outcome.map_err(|_| SAID.lock().unwrap_or_else(PoisonError::into_inner).clone())
}

fn report(target: &Target, input: &[u8], why: &str, order: &Order, folder: &Path) -> Result<bool, String> {
    // The same fault: what is said up to the first number, which differs from input to input.
    let kind = |why: &str| why.split(|letter: char| letter.is_ascii_digit()).next().map(str::to_owned);
    let place = |why: &str| why.lines().next().map(str::to_owned);
    let is_same = |other: &str| place(other) == place(why) || kind(other) == kind(why);
    let small = shrink(input, |input| check(target, input).is_err_and(|other| is_same(&other)));
    let folder = folder.join("artifacts").join(target.name);
    let path = folder.join(format!("mutate-{}", &blake3::hash(&small).to_hex()[..16]));
    let written = std::fs::create_dir_all(&folder).and_then(|()| std::fs::write(&path, &small));
    written.map_err(|error| format!("{}: {error}", path.display()))?;
    println!("{:16} FAILED with seed {}: {}", target.name, order.seed, why.replace('\n', ": "));
    println!("                 {} bytes, again with: mutate --run {} {}", small.len(), target.name, path.display());
    Ok(false)
}

fn repeat(target: &Target, file: &Path) -> Result<bool, String> {
    let input = std::fs::read(file).map_err(|error| format!("{}: {error}", file.display()))?;
    match check(target, &input) {
        Ok(()) => println!("{}: nothing is wrong", target.name),
        Err(why) => println!("{}: {why}", target.name),
    }
    Ok(check(target, &input).is_ok())
}

fn seeds(folder: &Path) -> Result<Vec<Vec<u8>>, String> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Ok(Vec::new()) };
    let mut paths: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    paths.sort();
    let read = |path: &PathBuf| std::fs::read(path).map_err(|error| format!("{}: {error}", path.display()));
    paths.iter().map(read).collect()
}

fn write_seeds(folder: &Path) -> Result<bool, String> {
    for (name, seeds) in SEEDS {
        let folder = folder.join(name);
        std::fs::create_dir_all(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
        for (name, input) in seeds() {
            let path = folder.join(name);
            std::fs::write(&path, input).map_err(|error| format!("{}: {error}", path.display()))?;
        }
    }
    Ok(true)
}
