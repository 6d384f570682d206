//! Lets everything go wrong that a world knows, once for each network, and looks at what the nodes make of it.

#[allow(dead_code, reason = "the scenarios use the rest")]
mod cast;

use cast::{Network, SECOND, Stage, seconds};
use polypeer_engine::{ConnectionId, Effect, P2pAction, Protocol};
use polypeer_sim::{Fault, Life, Map, NodeId, Observer, Planned, Scene, Setting, Switch, World};
use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

/// Adds up every frame and byte every hundred steps, and counts steps and lives.
#[derive(Clone, Default)]
struct Accountant {
    steps: Rc<Cell<u64>>,
    lives: Rc<Cell<u64>>,
}

impl<N: Network> Observer<N::P, cast::Held> for ForNetwork<N> {
    fn on_step(
        &mut self,
        world: &World<N::P, cast::Held>,
        _: NodeId,
        _: &P2pAction<<N::P as Protocol>::Answer>,
        _: &[Effect<<N::P as Protocol>::Request>],
    ) -> Result<(), String> {
        self.0.steps.set(self.0.steps.get() + 1);
        if self.0.steps.get().is_multiple_of(100) { world.conservation() } else { Ok(()) }
    }

    fn on_life(&mut self, _: &World<N::P, cast::Held>, _: NodeId, life: Life) -> Result<(), String> {
        self.0.lives.set(self.0.lives.get() + u64::from(life == Life::Started));
        Ok(())
    }
}

/// An accountant of one network.
struct ForNetwork<N>(Accountant, std::marker::PhantomData<N>);

/// A few nodes of which the first produces blocks, watched by an accountant.
fn few<N: Network>(seed: u64, count: usize) -> (Stage<N>, Vec<NodeId>, Accountant) {
    let mut stage = Stage::<N>::with(seed, Setting { map: Map::world(), ..Setting::default() });
    let accountant = Accountant::default();
    stage.world.watch(ForNetwork::<N>(accountant.clone(), std::marker::PhantomData));
    let mut nodes: Vec<NodeId> = Vec::new();
    for id in 0..count {
        let node = stage.add(&nodes, (id == 0).then_some(seconds(2)));
        nodes.push(node);
    }
    stage.world.run(seconds(20));
    (stage, nodes, accountant)
}

/// Whether all nodes are on the producer's chain, but for what is still on its way.
fn settles<N: Network>(stage: &mut Stage<N>, within: Duration) {
    let is_settled = |stage: &Stage<N>| {
        let top = stage.tips()[0].height;
        stage.is_one_chain() && stage.tips().iter().all(|tip| tip.height + 3 >= top)
    };
    let until = stage.world.now() + within;
    while stage.world.now() < until && !is_settled(stage) {
        stage.world.run(SECOND);
    }
    assert_eq!(stage.world.violation(), None);
    assert_eq!(stage.world.conservation(), Ok(()));
    assert!(is_settled(stage), "{:?}", stage.tips());
}

/// Bytes that one way loses hold the connection up, and come through when the way is mended.
fn what_one_way_loses_comes_when_it_is_mended<N: Network>() {
    let (mut stage, nodes, _) = few::<N>(11, 2);
    let before = stage.tips()[1].height;
    assert!(before > 3);
    stage.world.inject(&Fault::OneWay { from: nodes[0], to: nodes[1] });
    stage.world.run(seconds(8));
    assert!(stage.tips()[1].height <= before + 1, "nothing comes through");
    assert!(stage.tips()[0].height > before + 1, "the producer goes on");
    stage.world.inject(&Fault::Mend { a: nodes[0], b: nodes[1] });
    settles(&mut stage, seconds(60));
}

/// A node whose connections are gone at the other end finds out, and finds others.
fn a_half_open_connection_is_found_out<N: Network>() {
    let (mut stage, nodes, _) = few::<N>(12, 2);
    let lost: Vec<_> = stage.world.connections(nodes[1]).collect();
    assert!(!lost.is_empty());
    stage.world.inject(&Fault::HalfOpen { gone: nodes[0], stays: nodes[1] });
    let stays = |stage: &Stage<N>| stage.world.connections(nodes[1]).filter(|one| one.theirs.is_none()).count();
    assert_eq!(stays(&stage), lost.len(), "it does not know yet");
    stage.world.run(seconds(300));
    assert_eq!(stays(&stage), 0, "after five minutes it does");
    settles(&mut stage, seconds(60));
}

/// A machine that loses power again and again, with torn writes, has everything that it acknowledged, and its peers
/// are not told until it is back.
fn power_is_lost_and_nothing_acknowledged_is<N: Network>() {
    let (mut stage, nodes, accountant) = few::<N>(13, 4);
    for round in 0..12u64 {
        stage.world.run(Duration::from_millis(700 + 130 * round));
        let victim = nodes[1 + (round % 3) as usize];
        let before = stage.tips()[victim.0];
        let known = stage.world.node(victim).engine().map(|engine| engine.state().discovery.book.len());
        stage.world.inject(&Fault::Crash { node: victim, lose_unsynced: true, torn: round % 2 == 0 });
        assert!(!stage.world.node(victim).is_up());
        assert!(nodes.iter().any(|node| stage.world.connections(*node).any(|one| one.other == victim)), "nobody knows");
        stage.world.run(seconds(2));
        stage.world.inject(&Fault::Restart { node: victim });
        assert_eq!(stage.world.node(victim).failure(), None);
        let after = stage.tips()[victim.0];
        assert!(after.height >= before.height, "{before:?} {after:?}");
        let knows = stage.world.node(victim).engine().map(|engine| engine.state().discovery.book.len());
        assert!(knows >= known.map(|known| known.min(1)), "{known:?} {knows:?}");
    }
    assert_eq!(accountant.lives.get(), 4 + 12);
    settles(&mut stage, seconds(90));
}

/// A full disk stops nobody for good, and a broken one stops only its own node.
fn disks_fill_up_and_break<N: Network>() {
    let (mut stage, nodes, _) = few::<N>(14, 4);
    stage.world.inject(&Fault::DiskFull { node: nodes[1], after_bytes: 50_000 });
    stage.world.inject(&Fault::DiskError { node: nodes[2], after_operations: 5 });
    stage.world.run(seconds(30));
    let tips = stage.tips();
    assert!(tips[3].height > tips[1].height && tips[3].height > tips[2].height, "{tips:?}");
    assert!(stage.world.node(nodes[1]).ledger_disk().counts().failures > 0);
    stage.world.inject(&Fault::DiskFree { node: nodes[1] });
    stage.world.inject(&Fault::DiskFree { node: nodes[2] });
    stage.world.inject(&Fault::Crash { node: nodes[2], lose_unsynced: true, torn: true });
    stage.world.inject(&Fault::Restart { node: nodes[2] });
    settles(&mut stage, seconds(120));
}

/// Clocks that jump by years either way, stand still or race cost nobody the chain once they are right again.
fn clocks_are_wrong<N: Network>() {
    const YEARS_MS: i64 = 10 * 365 * 86_400_000;
    let (mut stage, nodes, _) = few::<N>(15, 6);
    stage.world.inject(&Fault::ClockOffset { node: nodes[1], ms: YEARS_MS });
    stage.world.inject(&Fault::ClockOffset { node: nodes[2], ms: -YEARS_MS });
    stage.world.inject(&Fault::ClockFrozen { node: nodes[3] });
    stage.world.inject(&Fault::ClockRate { node: nodes[4], percent: 1_000 });
    stage.world.inject(&Fault::ClockOffset { node: nodes[5], ms: -1_000 });
    let before = stage.tips()[0].height;
    stage.world.run(seconds(60));
    assert!(stage.tips()[0].height > before + 20);
    assert!(stage.tips()[1].height > before + 20 && stage.tips()[5].height > before + 15, "{:?}", stage.tips());
    for node in &nodes[1..] {
        stage.world.inject(&Fault::ClockOffset { node: *node, ms: 0 });
    }
    settles(&mut stage, seconds(120));
}

/// A process that is stopped goes on where it was, and a slow reader costs only itself.
fn nodes_stall_and_crawl<N: Network>() {
    let (mut stage, nodes, accountant) = few::<N>(16, 4);
    stage.world.plan(&Planned { at_ms: 21_000, fault: Fault::Stall { node: nodes[1], for_ms: 20_000 } });
    stage.world.plan(&Planned { at_ms: 21_000, fault: Fault::Slow { node: nodes[2], bytes_per_second: 40 } });
    stage.world.run(seconds(15));
    let (steps, stalled) = (accountant.steps.get(), stage.tips()[1].height);
    stage.world.run(seconds(4));
    assert_eq!(stage.tips()[1].height, stalled);
    assert!(accountant.steps.get() > steps && stage.tips()[3].height > stalled, "the others go on");
    stage.world.inject(&Fault::Slow { node: nodes[2], bytes_per_second: 0 });
    settles(&mut stage, seconds(180));
}

/// Says nothing, and counts what it would have said.
struct Silent(Rc<Cell<u64>>);

impl<P: Protocol> Switch<P> for Silent {
    fn sends(&mut self, _: &mut Scene<'_, P>, _: ConnectionId, _: bytes::Bytes) {
        self.0.set(self.0.get() + 1);
    }
}

/// A production engine with a switch is an attacker; here one that only listens, and that nobody keeps.
fn a_switch_silences_a_node<N: Network>() {
    let (mut stage, nodes, _) = few::<N>(17, 4);
    let withheld = Rc::new(Cell::new(0));
    stage.world.set_switch(nodes[3], Some(Box::new(Silent(Rc::clone(&withheld)))));
    let before = stage.world.node(nodes[3]).counts().frames_wanted;
    stage.world.run(seconds(300));
    assert!(withheld.get() > 0);
    assert_eq!(stage.world.node(nodes[3]).counts().frames_wanted, before);
    stage.world.set_switch(nodes[3], None);
    settles(&mut stage, seconds(120));
}

/// A complaint of an observer stops the world at once, where it was.
fn a_violation_stops_the_world<N: Network>() {
    let (mut stage, nodes, accountant) = few::<N>(18, 2);
    stage.world.violate(Some(nodes[1]), "it is made up".to_owned());
    let (now, steps) = (stage.world.now(), accountant.steps.get());
    stage.world.run(seconds(10));
    assert_eq!((stage.world.now(), accountant.steps.get()), (now, steps));
    let violation = stage.world.violation().expect("it was noted");
    assert_eq!((violation.at, violation.node), (now, Some(nodes[1])));
    assert!(violation.to_string().ends_with("node 1: it is made up"), "{violation}");
}

macro_rules! faults {
    ($module:ident, $network:ty: $($story:ident),+) => {
        mod $module {
            $(#[test]
            fn $story() {
                super::$story::<$network>();
            })+
        }
    };
}

macro_rules! for_both {
    ($($story:ident),+ $(,)?) => {
        faults!(anya, super::cast::AnyaDevnet: $($story),+);
        faults!(hello, super::cast::HelloDevnet: $($story),+);
    };
}

for_both!(
    what_one_way_loses_comes_when_it_is_mended,
    a_half_open_connection_is_found_out,
    power_is_lost_and_nothing_acknowledged_is,
    disks_fill_up_and_break,
    clocks_are_wrong,
    nodes_stall_and_crawl,
    a_switch_silences_a_node,
    a_violation_stops_the_world,
);

/// A plan is data: it reads back as what it was.
#[test]
fn a_plan_can_be_written_down() {
    let [a, b] = [NodeId(1), NodeId(2)];
    let faults = [
        Fault::Cut { a, b },
        Fault::Mend { a, b },
        Fault::OneWay { from: a, to: b },
        Fault::HalfOpen { gone: a, stays: b },
        Fault::Break { a, b },
        Fault::Slow { node: a, bytes_per_second: 7 },
        Fault::Stall { node: a, for_ms: 8 },
        Fault::Crash { node: a, lose_unsynced: true, torn: false },
        Fault::Restart { node: a },
        Fault::DiskFull { node: a, after_bytes: 9 },
        Fault::DiskFree { node: a },
        Fault::DiskError { node: a, after_operations: 3 },
        Fault::ClockOffset { node: a, ms: -5 },
        Fault::ClockFrozen { node: a },
        Fault::ClockRate { node: a, percent: 50 },
    ];
    let plan: Vec<Planned> = faults.into_iter().zip(1..).map(|(fault, at_ms)| Planned { at_ms, fault }).collect();
    let text = serde_json::to_string(&plan).unwrap();
    assert!(text.starts_with(r#"[{"at_ms":1,"fault":{"cut":{"a":1,"b":2}}}"#), "{text}");
    assert_eq!(serde_json::from_str::<Vec<Planned>>(&text).unwrap(), plan);
}
