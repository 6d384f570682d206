//! Simulates networks of meshes in virtual time: links that delay and lose, nodes that come and go, a third that is
//! hostile. Of a thousand deliveries to honest nodes 995 must come within six heartbeats, and no honest node may ban
//! another.

mod node;
mod plan;
mod world;

use plan::{Attack, Plan};
use world::{Outcome, World};

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

/// Runs the plan of each seed: one, or as many as `POLYPEER_TEST_SEEDS` says, from `POLYPEER_TEST_SEED` on.
/// `POLYPEER_TEST_LENGTH` makes each so many times as long.
fn check(plan: impl Fn(u64) -> Plan) {
    let first = number("POLYPEER_TEST_SEED").unwrap_or(1);
    let count = number("POLYPEER_TEST_SEEDS").unwrap_or(1);
    for seed in first..first + count {
        let plan = plan(seed).longer(number("POLYPEER_TEST_LENGTH").unwrap_or(1));
        let outcome = World::new(plan.clone()).run();
        println!("{plan:?}\n{outcome:?}");
        assert!(outcome.due > 100 && outcome.captured * 50 < outcome.due, "little was measured: {outcome:?}");
        assert!(
            outcome.permille_in_time() >= plan.in_time_permille,
            "POLYPEER_TEST_SEED={seed}: {outcome:?} of {plan:?}"
        );
        assert_eq!(outcome.honest_banned, 0, "POLYPEER_TEST_SEED={seed}: {plan:?}");
        assert_eq!(outcome.invalid_taken, 0, "POLYPEER_TEST_SEED={seed}: {plan:?}");
    }
}

#[test]
fn a_calm_network_delivers_everything() {
    check(|seed| Plan { in_time_permille: 1_000, ..Plan::new(seed, 100) });
}

#[test]
fn a_thousand_nodes_a_third_of_them_hostile_deliver_in_time() {
    check(|seed| Plan {
        hostile_percent: 33,
        attacks: &[Attack::Silent, Attack::Withholding, Attack::Greedy, Attack::Noisy],
        lost_permille: 5,
        churn_per_minute: 30,
        ..Plan::new(seed, 1_000)
    });
}

/// Everyone comes at once, sybils among them, and something is published as soon as three seconds later.
#[test]
fn a_cold_start_among_sybils_delivers_in_time() {
    check(|seed| Plan {
        hostile_percent: 50,
        attacks: &[Attack::Greedy, Attack::Silent],
        hostile_dials: 20,
        begins_s: 3,
        settles_s: 2,
        ..Plan::new(seed, 300)
    });
}

/// Twice as many sybils as honest nodes come at once, dial everyone, and graft whoever they reach.
#[test]
fn a_flash_of_sybils_delivers_in_time() {
    check(|seed| Plan {
        hostile_percent: 67,
        attacks: &[Attack::Greedy],
        hostile_join_s: 12,
        hostile_dials: 30,
        lasts_s: 30,
        ..Plan::new(seed, 450)
    });
}

/// Ten for each honest one. Half of them do nothing that anyone could be banned for.
#[test]
fn a_flash_of_ten_sybils_for_each_honest_node_delivers_in_time() {
    check(|seed| Plan {
        hostile_percent: 91,
        attacks: &[Attack::Silent, Attack::Withholding, Attack::Silent, Attack::Greedy],
        hostile_join_s: 10,
        hostile_dials: 10,
        lasts_s: 20,
        publish_ms: 1_000,
        in_time_permille: 990,
        ..Plan::new(seed, 550)
    });
}

/// As many as can be borne: 99 of a hundred deliveries are asked for.
#[test]
fn nearly_half_hostile_deliver_in_time() {
    check(|seed| Plan {
        hostile_percent: 45,
        attacks: &[Attack::Silent, Attack::Withholding, Attack::Greedy, Attack::Noisy],
        lost_permille: 5,
        churn_per_minute: 30,
        in_time_permille: 990,
        ..Plan::new(seed, 300)
    });
}

/// Every slot of one node is taken by hostile ones, but for those that it dials itself.
#[test]
fn a_node_whose_slots_are_all_taken_by_attackers_hears_everything_in_time() {
    check(|seed| Plan {
        hostile_percent: 33,
        attacks: &[Attack::Greedy, Attack::Withholding],
        eclipses_victim: true,
        lasts_s: 30,
        ..Plan::new(seed, 150)
    });
}

/// All hostile nodes gather round one publisher and pass on everything but what it says.
#[test]
fn a_publisher_whom_a_third_censors_is_heard_in_time() {
    check(|seed| Plan {
        hostile_percent: 33,
        attacks: &[Attack::Censoring],
        eclipses_victim: true,
        victim_publishes: true,
        ..Plan::new(seed, 200)
    });
}

/// That what is asked above is not had for nothing: meshes alone, a third of them silent, miss it.
#[test]
fn without_gossip_it_would_not() {
    let plan = Plan {
        hostile_percent: 33,
        attacks: &[Attack::Silent],
        is_without_gossip: true,
        lost_permille: 200,
        ..Plan::new(1, 200)
    };
    let outcome = World::new(plan.clone()).run();
    assert!(outcome.permille_in_time() < plan.in_time_permille, "{outcome:?}");
}

#[test]
fn the_same_seed_gives_the_same_trace() {
    let plan = |seed| Plan {
        hostile_percent: 33,
        attacks: &[Attack::Silent, Attack::Withholding, Attack::Greedy, Attack::Noisy],
        lost_permille: 5,
        churn_per_minute: 60,
        lasts_s: 8,
        ..Plan::new(seed, 60)
    };
    let run = |seed| World::new(plan(seed)).run();
    assert_eq!(run(1), run(1));
    assert_ne!(run(1).trace, run(2).trace);
    let _: Outcome = run(3);
}
