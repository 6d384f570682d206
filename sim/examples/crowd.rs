//! Runs a crowd of nodes: `crowd 0 1000 600` is a thousand of AnYa for ten minutes. What it prints depends on the seed alone,
//! never on the machine or the build; how long it took goes to standard error.

#[allow(dead_code, reason = "the scenarios use the rest")]
#[path = "../tests/cast/mod.rs"]
mod cast;

use cast::{AnyaDevnet, HelloDevnet, Network, SECOND, Stage, seconds};
use polypeer_engine::{P2pConfig, Target};
use polypeer_sim::{Map, NodeId, Setting};
use std::time::{Duration, Instant};

/// Between two blocks, over the whole network.
const BLOCK_TIME: Duration = Duration::from_secs(15);
/// Nodes that produce.
const PRODUCERS: usize = 10;

fn main() {
    let mut arguments = std::env::args().skip(1);
    let mut number = |default: u32| arguments.next().map_or(default, |text| text.parse().expect("a number"));
    // The network's name is a number to keep this short: 0 is AnYa, 1 Hello.
    let (network, nodes, for_seconds, seed) = (number(0), number(20), number(120), number(7));
    match network {
        0 => play::<AnyaDevnet>("anya", nodes as usize, for_seconds, u64::from(seed)),
        _ => play::<HelloDevnet>("hello", nodes as usize, for_seconds, u64::from(seed)),
    }
}

fn play<N: Network>(name: &str, nodes: usize, for_seconds: u32, seed: u64) {
    let began = Instant::now();
    let mut stage = Stage::<N>::with(seed, Setting { map: Map::world(), ..Setting::default() });
    let producers = PRODUCERS.min(nodes);
    for id in 0..nodes {
        let known = [id / 2, id / 3, id.saturating_sub(1)].map(NodeId);
        let known = known.iter().filter(|other| other.0 < id);
        let add_peers = known.map(|peer| Target::Address(cast::address(peer.0))).collect();
        let config = P2pConfig { add_peers, private_addresses: true, ..P2pConfig::default() };
        stage.add_with(config, (id < producers).then_some(BLOCK_TIME * producers as u32));
    }
    eprintln!("{nodes} nodes stand after {:.1} s", began.elapsed().as_secs_f64());
    for second in 0..for_seconds {
        stage.world.run(SECOND);
        if second > 10 && second % 2 == 0 {
            stage.pay(NodeId(second as usize % nodes));
        }
        if second % 30 == 29 {
            assert_eq!(stage.world.conservation(), Ok(()));
            eprintln!("{second} s: {:.1} s, {} steps", began.elapsed().as_secs_f64(), stage.world.steps());
        }
    }
    stage.world.run(seconds(1));
    let heights: Vec<u64> = stage.tips().iter().map(|tip| tip.height).collect();
    let (least, most) = (heights.iter().min().copied(), heights.iter().max().copied());
    println!("{name} {nodes} nodes, {for_seconds} s, seed {seed}: trace {}", stage.world.trace());
    println!("{} steps, heights {least:?} to {most:?}, one chain: {}", stage.world.steps(), stage.is_one_chain());
    println!("{:?}", stage.world.counts());
}
