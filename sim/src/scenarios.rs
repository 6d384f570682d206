//! Lists the scenarios: each makes a plan from a seed, whatever the protocol.

use crate::attack::Attack;
use crate::fault::{Fault, Planned};
use crate::plan::{Hostile, Plan, Shape, Work};
use crate::world::NodeId;
use polypeer_engine::Random;
use std::time::Duration;

/// A named way to make plans.
#[derive(Debug)]
pub struct Scenario {
    /// Its name.
    pub name: &'static str,
    /// What happens in it.
    pub about: &'static str,
    build: fn(&mut Draft),
}

/// What the caller decides of a plan.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// The protocol.
    pub protocol: &'a str,
    /// The seed.
    pub seed: u64,
    /// Nodes; at least 4.
    pub nodes: usize,
    /// How long it lasts before everything is mended.
    pub lasts: Duration,
}

/// Every scenario.
pub static SCENARIOS: &[Scenario] = &[
    Scenario { name: "calm", about: "nothing goes wrong: everything is delivered in time", build: calm },
    Scenario { name: "thin", about: "a tree without a spare link, and few blocks: every relay counts", build: thin },
    Scenario {
        name: "late-joiner",
        about: "a third of the nodes join while the others work, and catch up",
        build: late,
    },
    Scenario {
        name: "partition",
        about: "two parts are cut off from each other, mine apart, and meet again",
        build: partition,
    },
    Scenario { name: "one-way", about: "bytes get lost in one direction, connections are half open", build: one_way },
    Scenario { name: "flapping", about: "lines between some nodes go and come back within seconds", build: flapping },
    Scenario { name: "crash-storm", about: "half of the nodes crash and restart again and again", build: crash_storm },
    Scenario { name: "disk", about: "disks are full, fail, and lose or tear what was not synced", build: disk },
    Scenario { name: "clocks", about: "wall clocks are wrong, jump, stand still, run backwards", build: clocks },
    Scenario { name: "slow-peers", about: "a third of the nodes read slowly or stop for a while", build: slow_peers },
    Scenario { name: "churn", about: "nodes come and go all the time", build: churn },
    Scenario { name: "hostile", about: "a third of the nodes attack, each in its own way", build: hostile },
    Scenario { name: "sybil", about: "swarms from few networks outnumber honest nodes in the slots", build: sybil },
    Scenario { name: "eclipse", about: "a swarm surrounds one node, which restarts", build: eclipse },
    Scenario { name: "flood", about: "a few nodes say everything a hundred times", build: flood },
    Scenario {
        name: "sync-liars",
        about: "whoever catches up is served by liars, withholders and mutators",
        build: sync_liars,
    },
    Scenario { name: "mixed", about: "faults and attackers of every kind, as the seed chooses", build: mixed },
];

impl Scenario {
    /// The scenario of this name.
    pub fn named(name: &str) -> Option<&'static Self> {
        SCENARIOS.iter().find(|scenario| scenario.name == name)
    }

    /// The plan that this scenario makes. The same request gives the same plan.
    pub fn plan(&self, request: &Request<'_>) -> Plan {
        let mut draft = Draft::new(self.name, request);
        (self.build)(&mut draft);
        draft.plan.faults.sort_by_key(|planned| planned.at_ms);
        draft.plan
    }
}

/// A plan in the making.
struct Draft {
    plan: Plan,
    random: Random,
}

/// Pairs that one partition parts.
const PARTED_MAX: usize = 100_000;
/// Bytes a second that a slow peer reads.
const SLOW_BYTES: u64 = 1_000;

impl Draft {
    fn new(scenario: &str, request: &Request<'_>) -> Self {
        let nodes = request.nodes.max(4);
        let name = [scenario.as_bytes(), &request.seed.to_be_bytes()].concat();
        let producers = (nodes / 4).clamp(2, 6);
        let plan = Plan {
            scenario: scenario.to_owned(),
            protocol: request.protocol.to_owned(),
            seed: request.seed,
            map: "world".to_owned(),
            nodes,
            shape: Shape::Discovered,
            lasts_ms: u64::try_from(request.lasts.as_millis()).unwrap_or(u64::MAX),
            joins_ms: Vec::new(),
            hostile: Vec::new(),
            faults: Vec::new(),
            work: Work {
                producers,
                block_interval_ms: 8_000 * producers as u64,
                authors: nodes.min(8),
                transactions_per_minute: 60,
            },
            deadline_ms: 10_000,
            in_time_permille: 990,
            settle_ms: 150_000,
        };
        Self { plan, random: Random::new(*blake3::hash(&name).as_bytes()) }
    }

    fn add(&mut self, at_ms: u64, fault: Fault) {
        if at_ms < self.plan.lasts_ms {
            self.plan.faults.push(Planned { at_ms, fault });
        }
    }

    // A time in the given part of the run, in percent.
    fn time(&mut self, from: u64, to: u64) -> u64 {
        let (from, to) = (self.plan.lasts_ms * from / 100, self.plan.lasts_ms * to / 100);
        from + self.below(to.saturating_sub(from))
    }

    fn below(&mut self, end: u64) -> u64 {
        self.random.below(usize::try_from(end).unwrap_or(usize::MAX)) as u64
    }

    fn any_node(&mut self) -> NodeId {
        NodeId(self.random.below(self.plan.nodes))
    }

    fn any_pair(&mut self) -> (NodeId, NodeId) {
        let a = self.random.below(self.plan.nodes);
        let b = (a + 1 + self.random.below(self.plan.nodes - 1)) % self.plan.nodes;
        (NodeId(a), NodeId(b))
    }

    fn chosen(&mut self, count: usize) -> Vec<NodeId> {
        let all = (0..self.plan.nodes).map(NodeId).collect();
        self.random.sample(all, count)
    }

    // Makes these the attackers of the last nodes, so that authors and producers stay honest.
    fn attackers(&mut self, count: usize, attacks: &[Attack]) {
        let count = count.min(self.plan.nodes - 2);
        for at in 0..count {
            let attack = attacks[self.random.below(attacks.len())];
            self.plan.hostile.push(Hostile { node: self.plan.nodes - count + at, attack });
        }
        // An equivocator can only lie about blocks of its own.
        let honest = self.plan.nodes - count;
        self.plan.work.producers = self.plan.work.producers.min(honest);
        self.plan.work.authors = self.plan.work.authors.min(honest);
    }

    fn crash(&mut self, node: NodeId, at_ms: u64, down_ms: u64) {
        let (lose_unsynced, torn) = (self.random.below(2) == 0, self.random.below(2) == 0);
        self.add(at_ms, Fault::Crash { node, lose_unsynced, torn });
        self.add(at_ms + down_ms, Fault::Restart { node });
    }

    fn bear_faults(&mut self) {
        self.plan.in_time_permille = 950;
        self.plan.deadline_ms = 20_000;
    }
}

fn calm(_: &mut Draft) {}

fn thin(draft: &mut Draft) {
    draft.plan.shape = Shape::Tree;
    draft.plan.in_time_permille = 1_000;
    // A transaction is long overdue before a block could bring it.
    draft.plan.deadline_ms = 12_000;
    draft.plan.work = Work { producers: 1, block_interval_ms: 40_000, transactions_per_minute: 120, ..draft.plan.work };
    draft.plan.settle_ms = 240_000;
}

fn late(draft: &mut Draft) {
    let late = draft.plan.nodes / 3;
    let mut joins: Vec<u64> = (0..late).map(|_| draft.time(20, 90)).collect();
    joins.sort_unstable();
    draft.plan.joins_ms = joins;
    draft.plan.work.authors = draft.plan.work.authors.min(draft.plan.nodes - late);
}

fn partition(draft: &mut Draft) {
    // In a large world the smaller part is a small one, so that the pairs fit into a plan.
    let most = (draft.plan.nodes / 2).min(PARTED_MAX / draft.plan.nodes).max(1);
    let part = 1 + draft.random.below(most);
    let (from, to) = (draft.time(10, 40), draft.time(60, 90));
    let inside = draft.chosen(part);
    let outside: Vec<NodeId> = (0..draft.plan.nodes).map(NodeId).filter(|node| !inside.contains(node)).collect();
    for a in &inside {
        for b in &outside {
            draft.add(from, Fault::Cut { a: *a, b: *b });
            draft.add(to, Fault::Mend { a: *a, b: *b });
        }
    }
    draft.bear_faults();
}

fn one_way(draft: &mut Draft) {
    for _ in 0..draft.plan.nodes {
        let ((a, b), at) = (draft.any_pair(), draft.time(5, 80));
        if draft.random.below(2) == 0 {
            let lasts = 1_000 + draft.below(60_000);
            draft.add(at, Fault::OneWay { from: a, to: b });
            draft.add(at + lasts, Fault::Mend { a, b });
        } else {
            draft.add(at, Fault::HalfOpen { gone: a, stays: b });
        }
    }
    draft.bear_faults();
}

fn flapping(draft: &mut Draft) {
    for _ in 0..draft.plan.nodes {
        let ((a, b), mut at) = (draft.any_pair(), draft.time(5, 60));
        for _ in 0..4 + draft.random.below(8) {
            let (down, up) = (100 + draft.below(5_000), 100 + draft.below(10_000));
            draft.add(at, Fault::Cut { a, b });
            draft.add(at + down, Fault::Mend { a, b });
            at += down + up;
        }
    }
    draft.bear_faults();
}

fn crash_storm(draft: &mut Draft) {
    for node in draft.chosen(draft.plan.nodes / 2) {
        let mut at = draft.time(5, 30);
        while at < draft.plan.lasts_ms * 9 / 10 {
            let down = 500 + draft.below(15_000);
            draft.crash(node, at, down);
            at += down + 5_000 + draft.below(40_000);
        }
    }
    draft.bear_faults();
}

fn disk(draft: &mut Draft) {
    for node in draft.chosen(draft.plan.nodes / 2) {
        let (at, free) = (draft.time(5, 50), draft.time(55, 90));
        match draft.random.below(3) {
            0 => {
                let after_bytes = draft.below(1 << 20);
                draft.add(at, Fault::DiskFull { node, after_bytes });
            }
            1 => {
                let after_operations = draft.below(200);
                draft.add(at, Fault::DiskError { node, after_operations });
            }
            _ => draft.add(at, Fault::Crash { node, lose_unsynced: true, torn: true }),
        }
        draft.add(free, Fault::DiskFree { node });
        draft.add(free, Fault::Restart { node });
    }
    draft.bear_faults();
}

fn clocks(draft: &mut Draft) {
    const HOUR_MS: i64 = 3_600_000;
    // Blocks from two minutes ahead are held.
    const BORNE_MS: i64 = 90_000;
    for node in draft.chosen(draft.plan.nodes / 3) {
        let (at, right) = (draft.time(5, 50), draft.time(60, 90));
        let fault = match draft.random.below(6) {
            0 => Fault::ClockFrozen { node },
            1 => Fault::ClockRate { node, percent: 50 + draft.random.below(100) as u32 },
            2 => Fault::ClockOffset { node, ms: -HOUR_MS },
            // Further ahead than a ledger bears, a producer is alone with its blocks until time has caught up: longer
            // than nodes get to agree.
            3 if node.0 < draft.plan.work.producers => Fault::ClockOffset { node, ms: BORNE_MS },
            3 => Fault::ClockOffset { node, ms: HOUR_MS },
            4 => Fault::ClockOffset { node, ms: -24 * 3_650 * HOUR_MS },
            _ => Fault::ClockOffset { node, ms: draft.below(4_000) as i64 - 2_000 },
        };
        draft.add(at, fault);
        draft.add(right, Fault::ClockRate { node, percent: 100 });
        draft.add(right, Fault::ClockOffset { node, ms: 0 });
    }
    draft.bear_faults();
}

fn slow_peers(draft: &mut Draft) {
    for (index, node) in draft.chosen(draft.plan.nodes / 3).into_iter().enumerate() {
        let (at, end) = (draft.time(5, 30), draft.time(70, 90));
        if index % 3 == 0 {
            let for_ms = 2_000 + draft.below(60_000);
            draft.add(at, Fault::Stall { node, for_ms });
        } else {
            draft.add(at, Fault::Slow { node, bytes_per_second: SLOW_BYTES });
            draft.add(end, Fault::Slow { node, bytes_per_second: 0 });
        }
    }
    draft.bear_faults();
}

fn churn(draft: &mut Draft) {
    let late = draft.plan.nodes / 4;
    let mut joins: Vec<u64> = (0..late).map(|_| draft.time(5, 90)).collect();
    joins.sort_unstable();
    draft.plan.joins_ms = joins;
    for _ in 0..2 * draft.plan.nodes {
        let (node, at, down) = (draft.any_node(), draft.time(5, 90), 1_000 + draft.below(60_000));
        draft.crash(node, at, down);
    }
    draft.bear_faults();
}

fn hostile(draft: &mut Draft) {
    draft.attackers(draft.plan.nodes / 3, &Attack::ALL);
    draft.plan.deadline_ms = 30_000;
    draft.plan.in_time_permille = 995;
}

fn sybil(draft: &mut Draft) {
    draft.attackers(draft.plan.nodes / 2, &[Attack::Sybil]);
    draft.plan.deadline_ms = 30_000;
}

fn eclipse(draft: &mut Draft) {
    draft.attackers(draft.plan.nodes / 2, &[Attack::Eclipse, Attack::Eclipse, Attack::Poison]);
    let at = draft.time(30, 60);
    // The victim is node 0.
    draft.crash(NodeId(0), at, 5_000);
    draft.plan.deadline_ms = 30_000;
}

fn flood(draft: &mut Draft) {
    draft.attackers((draft.plan.nodes / 8).max(1), &[Attack::Flood]);
    draft.plan.deadline_ms = 30_000;
}

fn sync_liars(draft: &mut Draft) {
    let liars = [Attack::Height, Attack::Withhold, Attack::Mutate, Attack::Slow, Attack::Silent];
    draft.attackers(draft.plan.nodes / 2, &liars);
    // Whoever crashes has to catch up among them.
    for node in 2..draft.plan.nodes / 2 {
        let (at, down) = (draft.time(10, 60), 10_000 + draft.below(40_000));
        draft.crash(NodeId(node), at, down);
    }
    draft.bear_faults();
    draft.plan.deadline_ms = 30_000;
}

fn mixed(draft: &mut Draft) {
    const PARTS: [fn(&mut Draft); 8] = [partition, one_way, flapping, crash_storm, disk, clocks, slow_peers, churn];
    draft.plan.map = ["uniform", "world", "rack", "poor"][draft.random.below(4)].to_owned();
    for _ in 0..1 + draft.random.below(3) {
        PARTS[draft.random.below(PARTS.len())](draft);
    }
    if draft.random.below(2) == 0 {
        let most = draft.plan.nodes / 3;
        let count = 1 + draft.random.below(most);
        draft.attackers(count, &Attack::ALL);
    }
    draft.bear_faults();
    draft.plan.deadline_ms = 30_000;
    draft.plan.in_time_permille = 900;
}
