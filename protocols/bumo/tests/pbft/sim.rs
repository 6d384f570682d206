//! Simulates networks of validators in virtual time, with everything that can go wrong, and checks after every step that
//! no two honest ones closed different ledgers.

mod attacker;
mod chance;
mod node;
mod world;

use world::{Plan, World};

/// Seeds of a run in which every signature is checked, not only those that were not made here.
const CHECKED_MAX: u64 = 1_000;

/// Runs each seed and says which fails.
fn run(seeds: impl Iterator<Item = u64>) {
    for seed in seeds {
        let plan = Plan::of(seed);
        let outcome = std::panic::catch_unwind(|| World::new(plan.clone()).run());
        if outcome.is_err() {
            panic!("seed {seed} failed: POLYPEER_TEST_SEED={seed}, {plan:?}");
        }
    }
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

/// As many seeds as `POLYPEER_TEST_SEEDS` says, from `POLYPEER_TEST_SEED` on if it is set.
#[test]
fn no_two_ledgers_and_on_it_goes_when_the_network_heals() {
    let first = number("POLYPEER_TEST_SEED").unwrap_or(0);
    let count = number("POLYPEER_TEST_SEEDS").unwrap_or(if first > 0 { 1 } else { 200 });
    let threads = number("POLYPEER_TEST_THREADS").unwrap_or(2);
    std::thread::scope(|scope| {
        for thread in 0..threads {
            scope.spawn(move || {
                if count > CHECKED_MAX {
                    crate::keys::trust_own();
                }
                run((first..first + count).filter(move |seed| seed % threads == thread));
            });
        }
    });
}

#[test]
fn the_same_seed_gives_the_same_trace() {
    for seed in [1, 2, 3, 11] {
        let trace = || World::new(Plan::of(seed)).run();
        assert_eq!(trace(), trace(), "seed {seed}");
    }
}
