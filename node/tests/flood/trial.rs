//! Puts a node on trial: an honest peer's steady work, with and without a flood beside it.

use crate::judge::node::Node;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// The honest peer begins a piece of work this often: slow enough that a busy machine keeps up with it easily.
const PACE: Duration = Duration::from_millis(50);
/// What memory may grow by while a flood goes on and every bounded table is full: pages and the allocator.
pub(crate) const FLAT: u64 = 4 << 20;
/// Windows that a busy machine gets to show that the work can be done beside the flood, and to fill what is bounded.
const WINDOWS: usize = 4;
/// Work that is done beside a flood that is bounded in count, and how long such a flood may take.
const PIECES: usize = 40;
const FLOOD_MAX: Duration = Duration::from_secs(60);
/// Once a limit is crossed the offender is gone within this.
pub(crate) const GONE_WITHIN: Duration = Duration::from_secs(1);

/// How long each flood lasts.
pub(crate) fn window() -> Duration {
    let seconds = std::env::var("POLYPEER_FLOOD_SECONDS").ok().and_then(|text| text.parse().ok());
    Duration::from_secs(seconds.unwrap_or(3))
}

/// An honest peer that does one piece of work after another.
pub(crate) trait Citizen {
    /// Asks, waits for the answer, and complains of anything else.
    fn work(&mut self);
}

/// What a flood is told.
pub(crate) struct Signal<'a>(&'a AtomicBool);

impl Signal<'_> {
    /// Whether to go on.
    pub(crate) fn goes_on(&self) -> bool {
        !self.0.load(Ordering::Relaxed)
    }
}

// How many pieces of work are done within the window, at the pace.
fn goodput(citizen: &mut impl Citizen, window: Duration) -> usize {
    let started = Instant::now();
    let mut done = 0;
    while started.elapsed() < window {
        let due = PACE * done;
        thread::sleep(due.saturating_sub(started.elapsed()));
        citizen.work();
        done += 1;
    }
    done as usize
}

/// Runs `flood`, one whole core of it, on a thread of its own beside the citizen's work. Memory may grow by `allowance`
/// bytes in a window once the flood has filled what is bounded, which takes one window or, where others use the
/// machine, a few.
pub(crate) fn withstand(
    name: &str,
    node: &mut Node,
    citizen: &mut impl Citizen,
    allowance: u64,
    flood: impl FnOnce(&Signal<'_>) + Send,
) {
    let calm = goodput(citizen, window());
    let stop = AtomicBool::new(false);
    let (busy, grown) = thread::scope(|scope| {
        scope.spawn(|| flood(&Signal(&stop)));
        // Whatever becomes of the citizen, the flood ends.
        let stopper = Stopper(&stop);
        goodput(citizen, window());
        let (mut busy, mut grown) = (0, u64::MAX);
        for _ in 0..WINDOWS {
            let before = node.memory();
            busy = busy.max(goodput(citizen, window()));
            grown = grown.min(node.memory().saturating_sub(before));
            if 10 * busy >= 9 * calm && grown <= allowance {
                break;
            }
        }
        drop(stopper);
        (busy, grown)
    });
    println!("{name}: {calm} pieces of work undisturbed, {busy} beside the flood; memory grew by {grown} in a window");
    assert!(node.is_alive(), "{name}: the program died");
    assert!(10 * busy >= 9 * calm, "{name}: {busy} of {calm} pieces of work were done");
    assert!(grown <= allowance, "{name}: memory grew by {grown}");
}

/// Runs `flood`, which is bounded in count and says whatever it found, beside the citizen's work: all pieces of that are
/// done, however busy the machine is, and at no time has memory grown by more than `allowance`.
pub(crate) fn goes_on<T: Send>(
    name: &str,
    node: &mut Node,
    citizen: &mut impl Citizen,
    allowance: u64,
    flood: impl FnOnce(&Signal<'_>) -> T + Send,
) -> T {
    citizen.work();
    let before = node.memory();
    let stop = AtomicBool::new(false);
    let (found, done, peak) = thread::scope(|scope| {
        let flood = scope.spawn(|| flood(&Signal(&stop)));
        let stopper = Stopper(&stop);
        let started = Instant::now();
        let (mut done, mut peak) = (0, before);
        while done < PIECES || !flood.is_finished() && started.elapsed() < FLOOD_MAX {
            citizen.work();
            done += 1;
            peak = peak.max(node.memory());
            thread::sleep(PACE);
        }
        drop(stopper);
        (flood.join().expect("the flood"), done, peak)
    });
    let grown = peak - before;
    println!("{name}: {done} pieces of work beside the flood, {PIECES} wanted; memory grew by {grown} at most");
    assert!(node.is_alive(), "{name}: the program died");
    assert!(grown <= allowance, "{name}: memory grew by {grown}");
    found
}

struct Stopper<'a>(&'a AtomicBool);

impl Drop for Stopper<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// The node has convicted whoever was at `peer`, for `fault`, and the peer saw the end within a second of that.
pub(crate) fn is_gone_in_time(node: &Node, network: &str, peer: &str, fault: &str, seen_gone: SystemTime) {
    let seen = seen_gone.duration_since(UNIX_EPOCH).expect("after 1970").as_millis() as u64;
    let why = node.get(&format!("/api/v1/networks/{network}/why/{peer}")).expect("the API says why");
    let records = why.as_array().expect("a list");
    let convicted = records.iter().find(|record| record["what"] == "convicted");
    let convicted = convicted.unwrap_or_else(|| panic!("{peer} was not convicted: {why}"));
    assert!(convicted["text"].as_str().is_some_and(|text| text.contains(fault)), "{convicted}");
    let took = seen.saturating_sub(convicted["time"].as_u64().expect("a time"));
    println!("{fault}: gone {took} ms after the limit was crossed");
    assert!(u128::from(took) <= GONE_WITHIN.as_millis(), "{fault}: gone after {took} ms");
}

/// Connections that stand, from the node's own metrics' source.
pub(crate) fn connections(node: &Node, network: &str) -> usize {
    let peers = node.get(&format!("/api/v1/networks/{network}/peers")).expect("the API lists peers");
    peers.as_array().expect("a list").len()
}
