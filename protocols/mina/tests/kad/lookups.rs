//! Look-ups over a thousand nodes, a fifth of which are gone and replaced by others.

use crate::net::Net;
use std::time::Duration;

const NODES: usize = 1_000;
const LOOKUPS: usize = 200;

// A network in which everybody has looked itself up.
fn grown(seed: u8, nodes: usize) -> Net {
    let mut net = Net::new(seed);
    for _ in 0..nodes {
        net.join();
        net.run(Duration::from_millis(10));
    }
    net.run(Duration::from_secs(20));
    net
}

// How many of some look-ups between nodes that are up find whom they look for.
fn found(net: &mut Net, count: usize) -> usize {
    let up: Vec<usize> = net.up().collect();
    let mut wanted = Vec::new();
    for _ in 0..count {
        let pair = net.random.sample(up.clone(), 2);
        wanted.push((pair[0], pair[1], net.find(pair[0], pair[1])));
        net.run(Duration::from_millis(10));
    }
    while net.outcomes.len() < count {
        net.run(Duration::from_secs(1));
    }
    let is_found = |(from, to, lookup): &&(usize, usize, _)| {
        let outcome = net.outcomes.get(&(*from, *lookup)).expect("every look-up ends");
        outcome.nearest.first().is_some_and(|nearest| nearest.peer == crate::stage::peer(*to as u64))
    };
    wanted.iter().filter(is_found).count()
}

#[test]
fn look_ups_find_99_of_100_under_20_percent_churn() {
    let mut net = grown(1, NODES);
    let tables: usize = net.up().map(|node| net.table(node)).sum();
    assert!(tables / NODES >= 20, "{}", tables / NODES);

    let up: Vec<usize> = net.up().collect();
    let leaving = net.random.sample(up, NODES / 5);
    for node in leaving {
        net.leave(node);
        net.join();
        net.run(Duration::from_millis(20));
    }
    let found = found(&mut net, LOOKUPS);
    assert!(found * 100 >= LOOKUPS * 99, "{found} of {LOOKUPS}");
    assert_eq!(net.faults, [], "nobody honest is blamed");
}

#[test]
fn a_fifth_gone_at_once_is_found_around() {
    let mut net = grown(2, 300);
    let up: Vec<usize> = net.up().collect();
    for node in net.random.sample(up, 60) {
        net.leave(node);
    }
    let found = found(&mut net, 100);
    assert!(found >= 99, "{found} of 100");
}

#[test]
fn the_same_seed_gives_the_same_bytes() {
    let traces = [(7, 60), (7, 60), (8, 60)].map(|(seed, nodes)| grown(seed, nodes).trace);
    assert_eq!(traces[0], traces[1]);
    assert_ne!(traces[0], traces[2]);
}
