//! Simulates through the program: the list, a run and its file, replay, and what is refused.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail where they stand")]

mod support;

use polypeer::networks::ENTRIES;
use polypeer_sim::{Fault, Outcome, Request, Scenario, Simulation};
use serde_json::Value as Json;
use std::path::Path;
use std::time::Duration;
use support::{folder, output, text};

fn sim(args: &[&str]) -> (i32, String, String) {
    let output = output(&[&["sim"], args].concat());
    (output.status.code().unwrap(), text(&output.stdout), text(&output.stderr))
}

const SHORT: [&str; 6] = ["--nodes", "5", "--for", "20s", "--seed", "3"];

fn replay(file: &Path) -> (i32, String, String) {
    let output = output(&["replay", file.to_str().unwrap()]);
    (output.status.code().unwrap(), text(&output.stdout), text(&output.stderr))
}

#[test]
fn every_scenario_and_check_is_listed() {
    let (code, out, _) = sim(&["--list"]);
    assert_eq!(code, 0);
    for word in ["calm", "partition", "sync-liars", "mixed", "blame", "conservation", "durability"] {
        assert!(out.contains(word), "{word} in {out}");
    }
    let (_, out, _) = sim(&["--list", "--json"]);
    let json: Json = serde_json::from_str(&out).unwrap();
    assert!(json["scenarios"].as_array().unwrap().len() >= 16);
}

#[test]
fn wrong_names_and_seeds_are_2_and_say_what_there_is() {
    for (args, words) in [
        (&["--scenario", "calme"][..], ["did you mean `calm`?", "sync-liars"]),
        (&["--network", "anja"], ["did you mean `anya`?", "hello"]),
        (&["--seed", "seven"], ["a seed is a number", "partition"]),
        (&["--seed", "0xseven"], ["a seed is a number", "partition"]),
        (&["--seed=-1"], ["a seed is a number", "partition"]),
        (&["--seed", "18446744073709551616"], ["a seed is a number", "partition"]),
        (&["--nodes", "3"], ["--nodes", "4"]),
        (&["--seeds", "0"], ["--seeds", "1"]),
        (&["shrink"], ["FILE", "shrink"]),
    ] {
        let (code, out, err) = sim(args);
        assert_eq!(code, 2, "{args:?}: {err}");
        assert!(out.is_empty() && words.iter().all(|word| err.contains(word)), "{args:?}: {err}");
    }
}

#[test]
fn a_run_is_summarised_written_and_replayed() {
    let folder = folder();
    let file = folder.path().join("calm.sim");
    let path = file.to_str().unwrap();
    for network in ["anya", "hello-devnet", "bumo"] {
        let (code, out, err) =
            sim(&[&["--network", network, "--scenario", "calm", "--out", path], &SHORT[..]].concat());
        assert_eq!(code, 0, "{out}{err}");
        for word in ["calm, seed 3, 5 nodes", "100.000 %", "propagation", "blame", "trace ", "all held"] {
            assert!(out.contains(word), "{word} in {out}");
        }
        let (code, out, err) = replay(&file);
        assert_eq!(code, 0, "{out}{err}");
        assert!(out.contains("the same trace"), "{out}");
    }
}

/// Scenarios hold over BUMO too: its ledgers are final, and come again soon after all is mended. CI runs all of them.
#[test]
fn scenarios_hold_over_bumo() {
    const NAMES: [&str; 8] = ["calm", "crash-storm", "partition", "disk", "churn", "hostile", "sync-liars", "mixed"];
    let entry = ENTRIES.iter().find(|entry| entry.protocol == "bumo").unwrap();
    let simulate = entry.simulate.unwrap();
    let play = |scenario: &Scenario| {
        let request = Request { protocol: "bumo", seed: 1, nodes: 8, lasts: Duration::from_secs(40) };
        let plan = scenario.plan(&request);
        let Outcome { violation, figures, .. } = simulate(&plan, &mut |_| true).unwrap();
        assert_eq!(violation, None, "{}", scenario.name);
        assert!(figures.height > 10 && figures.at_the_end > 50, "{}: {figures:?}", scenario.name);
        assert!(plan.faults.iter().all(|it| !matches!(it.fault, Fault::Crash { .. })) || figures.crashes > 0);
    };
    // On two processors, side by side.
    let (even, odd): (Vec<_>, Vec<_>) = NAMES.iter().enumerate().partition(|(nth, _)| nth % 2 == 0);
    std::thread::scope(|scope| {
        for half in [even, odd] {
            scope.spawn(move || half.into_iter().for_each(|(_, name)| play(Scenario::named(name).unwrap())));
        }
    });
}

#[test]
fn many_seeds_are_counted() {
    let args = ["--network", "hello", "--scenario", "calm", "--seeds", "3", "--jobs", "2", "--json"];
    let (code, out, err) = sim(&[&args[..], &SHORT[..]].concat());
    assert_eq!(code, 0, "{err}");
    let json: Json = serde_json::from_str(&out).unwrap();
    assert_eq!((&json["seeds"], &json["violations"], &json["first_seed"]), (&3.into(), &0.into(), &3.into()));
    assert!(json["steps"].as_u64().unwrap() > 1_000);
}

#[test]
fn a_plan_that_cannot_be_run_is_refused_with_its_place() {
    let folder = folder();
    let file = folder.path().join("odd.sim");
    let path = file.to_str().unwrap();
    let (code, _, err) = sim(&[&["--network", "anya", "--scenario", "calm", "--out", path], &SHORT[..]].concat());
    assert_eq!(code, 0, "{err}");
    let mut simulation = Simulation::read(&file).unwrap();
    simulation.plan.nodes = 1;
    simulation.write(&file).unwrap();
    let bytes = std::fs::read(&file).unwrap();
    for command in [&["replay", path][..], &["sim", "shrink", path]] {
        let output = output(command);
        let err = text(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{err}");
        assert!(err.contains("damaged at byte ") && err.contains("a run has 2 to 10000 nodes"), "{err}");
        assert_eq!(err.lines().count(), 1, "{err}");
        assert_eq!(std::fs::read(&file).unwrap(), bytes);
    }
}

#[test]
fn a_damaged_simulation_is_refused_with_its_place_and_left_alone() {
    let folder = folder();
    let file = folder.path().join("damaged.sim");
    let path = file.to_str().unwrap();
    let (code, _, err) = sim(&[&["--network", "anya", "--scenario", "calm", "--out", path], &SHORT[..]].concat());
    assert_eq!(code, 0, "{err}");
    let good = std::fs::read(&file).unwrap();
    for (place, words) in [(12, "byte 8"), (good.len() / 2, "byte "), (good.len() - 1, "byte ")] {
        let mut bytes = good.clone();
        bytes[place] ^= 1;
        std::fs::write(&file, &bytes).unwrap();
        for command in [&["replay", path][..], &["sim", "shrink", path]] {
            let output = output(command);
            let err = text(&output.stderr);
            assert_eq!(output.status.code(), Some(1), "{err}");
            assert!(err.contains(words) && err.contains("damaged"), "{err}");
            assert_eq!(err.lines().count(), 1, "{err}");
        }
        assert_eq!(std::fs::read(&file).unwrap(), bytes);
    }
    // Nothing fails in a good one, so there is nothing to make smaller.
    std::fs::write(&file, &good).unwrap();
    let (code, _, err) = sim(&["shrink", path]);
    assert_eq!(code, 1);
    assert!(err.contains("nothing fails"), "{err}");
    std::fs::write(&file, b"neither this nor that").unwrap();
    let (code, _, err) = replay(&file);
    assert_eq!(code, 1);
    assert!(err.contains("no recording"), "{err}");
}
