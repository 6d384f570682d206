//! A producer on a private network, and when it does not produce.

use crate::world::{Block, World, payment};
use polypeer_engine::Ledger;
use polypeer_engine::kit::chain::Origin;
use polypeer_kaspa::ledger::{Answer, BlockOutcome, Request};
use polypeer_ledger_kaspa::{BlockKey, Config, Kaspa, Params, Producer};
use std::time::Duration;

fn config(params: Params, seed: u8) -> Config {
    let producer = Producer { script: vec![0x51], interval: Duration::from_millis(100), seed: [seed; 32] };
    Config { producer: Some(producer), ..Config::in_memory(params) }
}

/// Lets the producer run, and gives the blocks that it tells of.
fn run(world: &mut World, seconds: u64) -> Vec<Block> {
    let end = world.now.after(Duration::from_secs(seconds)).monotonic;
    let mut blocks = Vec::new();
    while let Some(wake) = world.ledger.next_wake(world.now).filter(|wake| *wake < end) {
        world.pass(wake.since(world.now.monotonic));
        for news in world.wake() {
            let Answer::NewBlock { hash, state } = news else { panic!("{news:?}") };
            assert_eq!(state.sink.hash, hash);
            blocks.push(Block::read(&world.reader.block(&BlockKey::Hash(hash)).unwrap().bytes));
        }
    }
    world.pass(end.since(world.now.monotonic));
    blocks
}

#[test]
fn ten_blocks_a_second_are_made_and_taken_by_another_ledger() {
    let mut world = World::open(config(Params::simnet(), 1));
    let blocks = run(&mut world, 20);
    assert!((180..=220).contains(&blocks.len()), "{}", blocks.len());
    let mut other = World::new();
    other.now = world.now;
    other.take_all(&blocks);
    assert_eq!(other.state(), world.state());
}

#[test]
fn two_producers_merge_each_others_blocks() {
    let mut worlds = [1, 2].map(|seed| World::open(config(Params::simnet(), seed)));
    for _ in 0..40 {
        let blocks = worlds.each_mut().map(|world| run(world, 1));
        worlds[0].take_all(&blocks[1]);
        worlds[1].take_all(&blocks[0]);
    }
    let [one, other] = worlds.each_mut().map(World::state);
    assert_eq!(one, other);
    assert!(one.sink.blue_score > 700, "{}", one.sink.blue_score);
    let (count, _) = worlds[0].reader.counts();
    assert!(count > 760 && worlds[0].reader.chain(10_000).len() < count as usize, "some stand beside the chain");
}

#[test]
fn blocks_carry_what_waits_and_can_stand_together() {
    let mut world = World::open(config(Params::simnet(), 1));
    let transactions = vec![payment(0, 1).encode(), payment(0, 2).encode(), payment(1, 1).encode()];
    world.ask(Request::TakeTransactions { transactions: transactions.clone(), origin: Origin::Peer });
    let first = run(&mut world, 1).remove(0);
    assert_eq!(first.transactions[1..], [transactions[0].clone(), transactions[2].clone()], "one output, once");
    let mut other = World::new();
    other.now = world.now;
    other.ask(Request::TakeTransactions { transactions, origin: Origin::Peer });
    assert_eq!((other.take(&first), other.reader.waiting()), (BlockOutcome::Accepted, 1));
}

#[test]
fn nothing_is_produced_while_catching_up_or_beside_full_nodes() {
    let mut world = World::open(config(Params::simnet(), 1));
    assert!(!run(&mut world, 2).is_empty());
    for pause in [Request::CatchingUp as fn(bool) -> Request, Request::MeetsFullNodes] {
        assert_eq!(world.batch(vec![pause(true)]), (Vec::new(), Vec::new()));
        assert_eq!(world.ledger.next_wake(world.now), None);
        assert!(run(&mut world, 2).is_empty());
        world.batch(vec![pause(false)]);
        let blocks = run(&mut world, 2);
        assert!((15..=25).contains(&blocks.len()), "what came due meanwhile is not made up for: {}", blocks.len());
    }
}

#[test]
fn where_work_is_asked_for_it_is_done() {
    let json = r#"{"difficulty_window_size": 3000}"#;
    let mut params = Params::devnet().with_overrides(json).unwrap();
    // So that a test can find a nonce.
    params.genesis.bits = 0x2000_ffff;
    params.genesis.hash = params.genesis.header().hash();
    let mut world = World::open(config(params, 1));
    let blocks = run(&mut world, 2);
    assert!(!blocks.is_empty());
    assert!(blocks.iter().all(|block| block.header.bits == 0x2000_ffff));
    let lazy = blocks[0].with(|header| header.nonce ^= 1);
    assert_ne!(world.take(&lazy), BlockOutcome::Accepted);
}

#[test]
fn nobody_produces_on_a_public_network() {
    for params in [Params::mainnet(), Params::testnet_10()] {
        assert!(Kaspa::open(config(params, 1)).err().unwrap().to_string().contains("is a public network"));
    }
}
