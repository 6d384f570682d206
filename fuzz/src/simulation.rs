//! Breaks the files of simulations as `polypeer replay` and `polypeer sim shrink` read them.

use crate::journal::{counted, entries_of, hashed};
use polypeer_engine::journal::{Head, Holds, MAGIC, put};
use polypeer_sim::{FileError, Mark, Outcome, Plan, Request, Scenario, Simulation};
use std::time::Duration;

/// Any bytes are a simulation or an error with its place, and a plan that fits fits when it is made smaller. The first
/// byte says whether the others are the file, its entries without their hashes, or the text of its plan.
pub fn simulation(input: &[u8]) {
    let Some((flag, bytes)) = input.split_first() else { return };
    let file = match flag % 3 {
        0 => bytes.to_vec(),
        1 => hashed(bytes),
        _ => planned(&String::from_utf8_lossy(bytes)),
    };
    match Simulation::from_bytes(&file) {
        Ok(simulation) => {
            let again = simulation.to_bytes().expect("it was in a file before");
            assert_eq!(Simulation::from_bytes(&again).expect("what is written reads"), simulation);
            let Plan { nodes, lasts_ms, .. } = simulation.plan;
            let half = simulation.plan.with_nodes((nodes / 2).max(2)).with_length((lasts_ms / 2).max(1));
            assert!(half.faults.len() <= simulation.plan.faults.len() && half.nodes <= nodes);
        }
        Err(FileError::Damaged { offset, what }) => assert!(offset <= file.len() && !what.is_empty()),
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}

/// A file of AnYa with this plan, which came to nothing.
fn planned(plan: &str) -> Vec<u8> {
    let mut file = MAGIC.to_vec();
    let outcome = serde_json::to_string(&Outcome::default()).expect("it has an encoding");
    put(&Head::new("anya", Holds::Simulation), &mut file).expect("it is short");
    put(&plan, &mut file).expect("it is short");
    put(&Vec::<Mark>::new(), &mut file).expect("it is short");
    put(&outcome, &mut file).expect("it is short");
    file
}

fn plan(scenario: &str) -> Plan {
    let request = Request { protocol: "anya", seed: 7, nodes: 5, lasts: Duration::from_secs(20) };
    Scenario::named(scenario).expect("it is in the list").plan(&request)
}

/// Plans of some scenarios, and the entries of a whole file.
pub fn written() -> Vec<(&'static str, Vec<u8>)> {
    let text = |scenario| serde_json::to_string(&plan(scenario)).expect("a plan has an encoding");
    let plans =
        ["calm", "partition", "hostile"].map(|scenario| (scenario, [&[2][..], text(scenario).as_bytes()].concat()));
    let entries = entries_of(&planned(&text("calm")));
    let whole = std::iter::once(1).chain(entries.iter().flat_map(|payload| counted(payload))).collect();
    plans.into_iter().chain([("whole", whole)]).collect()
}
