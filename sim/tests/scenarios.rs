//! One list of scenarios, run over every network with production engines, framers and ledgers in virtual time.

mod cast;

use cast::{Network, SECOND, Stage, seconds};
use polypeer_engine::kit::chain::Hash;
use polypeer_sim::NodeId;
use std::time::Duration;

/// Nodes that know one other each find the rest, keep one chain and get every transaction.
fn strangers_become_a_network<N: Network>() {
    let mut stage = Stage::<N>::new(1);
    let mut known: Vec<NodeId> = Vec::new();
    for id in 0..8 {
        let node =
            stage.add(known.last().map(std::slice::from_ref).unwrap_or_default(), (id < 3).then_some(seconds(3)));
        known.push(node);
    }
    stage.world.run(seconds(30));
    let paid: Vec<Hash> = (0..10).map(|_| stage.pay(NodeId(0))).collect();
    stage.world.run(seconds(60));
    assert!(stage.is_one_chain(), "{:?}", stage.tips());
    assert!(stage.tips()[0].height >= 45, "{:?}", stage.tips()[0]);
    for reader in stage.readers() {
        let confirmed =
            paid.iter().filter(|id| reader.transaction(id).is_some_and(|seen| seen.block.is_some())).count();
        assert_eq!(confirmed, paid.len());
    }
    for node in stage.world.nodes() {
        let slots = node.engine().map(|engine| engine.state().slots()).unwrap_or_default();
        assert!(slots.inbound + slots.outbound >= 4, "it found others than the one that it was told of: {slots:?}");
    }
}

/// A node that comes late fetches the chain from several peers.
fn a_late_node_catches_up<N: Network>() {
    let mut stage = Stage::<N>::new(2);
    let first = stage.add(&[], Some(Duration::from_millis(200)));
    let second = stage.add(&[first], None);
    let third = stage.add(&[first, second], None);
    stage.world.run(seconds(120));
    let height = stage.tips()[0].height;
    assert!(height > 400, "{height}");
    let late = stage.add(&[first, second, third], None);
    stage.world.run(seconds(15));
    assert!(stage.tips()[late.0].height >= height, "{:?}", stage.tips());
    assert!(stage.is_one_chain());
}

/// A node that crashes while it catches up goes on from its disk.
fn a_crash_while_catching_up_loses_nothing<N: Network>() {
    let mut stage = Stage::<N>::new(3);
    let first = stage.add(&[], Some(Duration::from_millis(100)));
    stage.world.run(seconds(100));
    let late = stage.add(&[first], None);
    for wait in [300u64, 500, 700, 900] {
        stage.world.run(Duration::from_millis(wait));
        let before = stage.tips()[late.0];
        stage.world.crash(late);
        stage.world.run(SECOND);
        stage.world.restart(late);
        assert_eq!(stage.tips()[late.0], before, "what was acknowledged is there");
    }
    stage.world.run(seconds(20));
    assert!(stage.is_one_chain(), "{:?}", stage.tips());
    assert!(stage.tips()[late.0].height + 5 >= stage.tips()[first.0].height, "{:?}", stage.tips());
}

/// Two halves that mined apart agree on one chain when they meet again, and no transaction is lost.
fn a_healed_partition_reorganises<N: Network>() {
    let mut stage = Stage::<N>::new(4);
    let mut nodes: Vec<NodeId> = Vec::new();
    for _ in 0..6 {
        let node = stage.add(&nodes, Some(seconds(4)));
        nodes.push(node);
    }
    stage.world.run(seconds(30));
    let (left, right) = nodes.split_at(3);
    let cut = |stage: &mut Stage<N>, is_cut| {
        left.iter().for_each(|one| right.iter().for_each(|other| stage.world.set_cut(*one, *other, is_cut)));
    };
    cut(&mut stage, true);
    let paid = stage.pay(left[0]);
    stage.world.run(seconds(60));
    let tips = stage.tips();
    assert_ne!(tips[0].hash, tips[5].hash, "apart, they differ");
    cut(&mut stage, false);
    stage.world.run(seconds(90));
    assert!(stage.is_one_chain(), "{:?}", stage.tips());
    for reader in stage.readers() {
        assert!(reader.transaction(&paid).is_some_and(|seen| seen.block.is_some()));
    }
}

/// The same seed gives the same steps; another seed gives others.
fn the_seed_decides<N: Network>() {
    let play = |seed| {
        let mut stage = Stage::<N>::new(seed);
        let mut nodes: Vec<NodeId> = Vec::new();
        for id in 0..5 {
            let node = stage.add(&nodes, (id % 2 == 0).then_some(seconds(2)));
            nodes.push(node);
        }
        stage.world.run(seconds(20));
        stage.pay(NodeId(1));
        stage.world.crash(NodeId(2));
        stage.world.run(seconds(5));
        stage.world.restart(NodeId(2));
        stage.world.run(seconds(20));
        (stage.world.trace(), stage.world.steps())
    };
    let first = play(5);
    assert_eq!(play(5), first);
    assert_eq!(play(5), first);
    assert_ne!(play(5).0, play(6).0);
}

macro_rules! scenarios {
    ($module:ident, $network:ty) => {
        mod $module {
            #[test]
            fn strangers_become_a_network() {
                super::strangers_become_a_network::<$network>();
            }

            #[test]
            fn a_late_node_catches_up() {
                super::a_late_node_catches_up::<$network>();
            }

            #[test]
            fn a_crash_while_catching_up_loses_nothing() {
                super::a_crash_while_catching_up_loses_nothing::<$network>();
            }

            #[test]
            fn a_healed_partition_reorganises() {
                super::a_healed_partition_reorganises::<$network>();
            }

            #[test]
            fn the_seed_decides() {
                super::the_seed_decides::<$network>();
            }
        }
    };
}

scenarios!(anya, super::cast::AnyaDevnet);
scenarios!(hello, super::cast::HelloDevnet);
