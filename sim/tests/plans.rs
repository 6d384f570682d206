//! Runs the list of scenarios over every network, and shows that checks bite, that files are whole or refused, and that
//! a failing plan becomes smaller.

use polypeer_engine::Protocol;
use polypeer_engine::kit::chain::{Answer, Request as Asked};
use polypeer_ledger_reference::{Format, NetworkParameters, ParametersError};
use polypeer_protocols::anya::{self as speaks_anya, Anya};
use polypeer_protocols::hello::{self as speaks_hello, Hello};
use polypeer_sim::{
    Attack, Cast, Chain, Disk, Fault, FileError, Finding, Hostile, Id, LedgerSeat, Outcome, Plan, Planned, Request,
    SCENARIOS, Scenario, Simulation, Witness, run, shrink,
};
use std::time::Duration;

type AnyaNode = Anya<Format>;
type HelloNode = Hello<Format>;

fn anya(parameters: &NetworkParameters) -> Result<speaks_anya::Config, ParametersError> {
    let network = parameters.build()?;
    let (network_id, genesis) = (network.id(), network.genesis_hash());
    Ok(speaks_anya::Config { network_id, genesis, ..speaks_anya::Config::default() })
}

fn hello(parameters: &NetworkParameters) -> Result<speaks_hello::Config, ParametersError> {
    Ok(speaks_hello::Config::new(parameters.build()?.genesis_hash()))
}

fn play<P: Protocol<Request = Asked, Answer = Answer>>(
    config: fn(&NetworkParameters) -> Result<P::Config, ParametersError>,
    plan: &Plan,
) -> Outcome {
    let cast = Chain::<P>::new("simulated", config).expect("the name is short");
    run(cast, plan, &mut |_| true).expect("a scenario's plan can be run")
}

fn play_named(plan: &Plan) -> Outcome {
    match plan.protocol.as_str() {
        "anya" => play::<AnyaNode>(anya, plan),
        _ => play::<HelloNode>(hello, plan),
    }
}

fn plan(protocol: &str, scenario: &str, seed: u64, nodes: usize, seconds: u64) -> Plan {
    let request = Request { protocol, seed, nodes, lasts: Duration::from_secs(seconds) };
    Scenario::named(scenario).expect("it is in the list").plan(&request)
}

#[track_caller]
fn holds(plan: &Plan) -> Outcome {
    let outcome = play_named(plan);
    let Plan { protocol, scenario, seed, .. } = plan;
    assert_eq!(outcome.violation, None, "{protocol}, {scenario}, seed {seed}");
    assert!(outcome.figures.at_the_end > 0 && outcome.figures.height > 0, "{outcome:?}");
    outcome
}

/// Every scenario holds over every protocol.
#[test]
fn every_check_holds_in_every_scenario() {
    for scenario in SCENARIOS {
        for protocol in ["anya", "hello"] {
            holds(&plan(protocol, scenario.name, 1, 8, 60));
        }
    }
}

/// In calm weather everything is in time.
#[test]
fn calm_weather_delivers_everything_in_time() {
    for protocol in ["anya", "hello"] {
        let figures = holds(&plan(protocol, "calm", 2, 10, 150)).figures;
        assert!(figures.deliveries > 300, "{figures:?}");
        assert_eq!(figures.in_time, figures.deliveries, "{figures:?}");
        assert!(figures.took_ms[2] < 3_000, "{figures:?}");
        assert_eq!(figures.blamed_falsely, 0);
    }
}

/// The same plan comes to the same trace, mark by mark; another seed to another.
#[test]
fn a_plan_decides_its_run() {
    for protocol in ["anya", "hello"] {
        let [first, again] = [0; 2].map(|_| play_named(&plan(protocol, "mixed", 7, 8, 40)));
        assert_eq!(first, again);
        assert!(first.marks.len() > 100);
        assert_ne!(first.end.trace, play_named(&plan(protocol, "mixed", 8, 8, 40)).end.trace);
    }
}

/// Every attack by itself, against a few honest nodes.
#[test]
fn no_attack_breaks_what_must_hold() {
    for (nth, attack) in Attack::ALL.into_iter().enumerate() {
        for protocol in ["anya", "hello"] {
            let mut plan = plan(protocol, "calm", nth as u64, 7, 60);
            plan.hostile = [5, 6].map(|node| Hostile { node, attack }).to_vec();
            plan.work.authors = 4;
            plan.deadline_ms = 30_000;
            holds(&plan);
        }
    }
}

/// What is written is read again; damage is named with its place, and nothing panics.
#[test]
fn a_file_is_whole_or_refused() {
    let plan = plan("anya", "partition", 3, 5, 20);
    let outcome = play_named(&plan);
    let simulation = Simulation { plan, outcome };
    let bytes = simulation.to_bytes().unwrap();
    assert_eq!(Simulation::from_bytes(&bytes).unwrap(), simulation);
    for cut in (0..bytes.len()).step_by(7) {
        match Simulation::from_bytes(&bytes[..cut]) {
            Err(FileError::Foreign) => assert!(cut < 8),
            Err(FileError::Damaged { offset, .. }) => assert!(offset <= cut, "{offset} of {cut}"),
            other => panic!("{other:?}"),
        }
    }
    for place in (8..bytes.len()).step_by(5) {
        let mut bent = bytes.clone();
        bent[place] ^= 0x10;
        match Simulation::from_bytes(&bent) {
            Err(FileError::Damaged { offset, .. }) => assert!((8..=place).contains(&offset), "{offset}, {place}"),
            other => panic!("{other:?}"),
        }
    }
}

/// A network of which the next block is promised at once, whatever chance says.
struct Hasty(Chain<AnyaNode>);

impl Cast for Hasty {
    type Protocol = AnyaNode;
    type Ledger = Witness;

    fn config(&self, node: usize) -> speaks_anya::Config {
        self.0.config(node)
    }

    fn epoch_ms(&self) -> u64 {
        self.0.epoch_ms()
    }

    fn open(&self, disk: &Disk, seat: &LedgerSeat) -> Result<Witness, String> {
        self.0.open(disk, seat)
    }

    fn publish(&self, author: usize, nth: u64) -> Option<(Asked, Id)> {
        self.0.publish(author, nth)
    }

    fn patience(&self) -> Option<Duration> {
        Some(Duration::from_millis(1))
    }
}

/// Where the next block is promised in some time, a network that stands still is found.
#[test]
fn a_block_that_is_promised_must_come() {
    let plan = plan("anya", "calm", 1, 4, 20);
    let cast = Hasty(Chain::new("simulated", anya).expect("the name is short"));
    let outcome = run(cast, &plan, &mut |_| true).expect("a scenario's plan can be run");
    let violation = outcome.violation.expect("blocks come by chance");
    assert_eq!(violation.check, "liveness", "{violation}");
    assert!((plan.lasts_ms..plan.lasts_ms + 10_000).contains(&violation.at_ms), "{violation}");
}

/// A plan that names what there is not is refused.
#[test]
fn a_plan_that_cannot_be_run_is_refused() {
    let good = plan("anya", "calm", 1, 5, 20);
    assert_eq!(good.check(), Ok(()));
    for (change, word) in [
        ((|plan| plan.nodes = 1) as fn(&mut Plan), "2 to"),
        (|plan| plan.lasts_ms = 0, "31 days"),
        (|plan| plan.hostile = vec![Hostile { node: 9, attack: Attack::Silent }], "does not exist"),
        (|plan| plan.hostile = (0..5).map(|node| Hostile { node, attack: Attack::Silent }).collect(), "honest"),
        (
            |plan| {
                let fault = Fault::Restart { node: polypeer_sim::NodeId(7) };
                plan.faults = vec![Planned { at_ms: 1, fault }];
            },
            "does not exist",
        ),
        (|plan| plan.map = "flat".to_owned(), "no map"),
        (|plan| plan.joins_ms = vec![9, 3], "order"),
        (|plan| plan.work.block_interval_ms = 1, "every 100 ms"),
        (|plan| plan.work.transactions_per_minute = u32::MAX, "60000 transactions"),
    ] {
        let mut plan = good.clone();
        change(&mut plan);
        let error = plan.check().expect_err(word);
        assert!(error.to_string().contains(word), "{error}");
    }
}

/// A shrinker that is told which things matter keeps those and little else.
#[test]
fn a_failing_plan_becomes_small() {
    let plan = plan("anya", "mixed", 5, 20, 180);
    let culprit = plan.faults[plan.faults.len() / 2].clone();
    let mut runs = 0;
    // Fails as long as that one fault is in the plan and there are five nodes.
    let mut run = |plan: &Plan| {
        runs += 1;
        let fails = plan.faults.contains(&culprit) && plan.nodes >= 5;
        let finding =
            Finding { check: "agreement".into(), node: None, at_ms: culprit.at_ms + 10, step: 1, what: String::new() };
        Outcome { violation: fails.then_some(finding), ..Outcome::default() }
    };
    let first = run(&plan);
    let shrunk = shrink(plan, first, 400, &mut run);
    let last = culprit.fault.nodes().iter().map(|node| node.0 + 1).max().unwrap_or(0);
    assert_eq!(shrunk.plan.faults, std::slice::from_ref(&culprit));
    assert_eq!(shrunk.plan.hostile, []);
    assert_eq!(shrunk.plan.nodes, last.max(5));
    assert!(shrunk.plan.lasts_ms <= culprit.at_ms + 11);
    assert!(runs <= 401, "{runs}");
}
