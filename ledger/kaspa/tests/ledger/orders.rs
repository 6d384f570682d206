//! The blocks of a real network, in whatever order they come: the same DAG, the same sink.

use crate::world::{BLOCKS, Block, SINK, World, hash};
use polypeer_engine::Random;
use polypeer_engine::kit::chain::Hash;
use polypeer_kaspa::ledger::{Answer, BlockOutcome, Request, Status};
use polypeer_ledger_kaspa::{BlockKey, Config, Kaspa, Params};
use std::collections::HashSet;

/// Whether a world stands where the network did.
fn check_complete(world: &mut World) {
    let state = world.state();
    assert_eq!((state.sink.hash, state.sink.blue_score), (hash(SINK), 1_080));
    assert_eq!(state.header_tip, state.sink);
    let last = BLOCKS.last().unwrap();
    assert_eq!(state.sink.blue_work, last.header.blue_work);
    assert_eq!((state.sink.daa_score, state.sink.timestamp), (last.header.daa_score, last.header.timestamp));
    assert_eq!((state.genesis, state.pruning_point), (BLOCKS[0].hash, BLOCKS[0].hash));
    world.save();
    // The first block is below them all: 901 with it, as the network counted them.
    assert_eq!(world.reader.chain(2_000).len(), 901);
    assert_eq!(world.reader.tips(), [hash(SINK)]);
    assert_eq!(world.reader.counts(), (1_081, 0));
    world.check_holds(&BLOCKS);
}

/// The blocks in another order, parents before children.
fn shuffled(seed: u8) -> Vec<Block> {
    let mut random = Random::new([seed; 32]);
    let mut waiting: Vec<&Block> = BLOCKS[1..].iter().collect();
    let mut done: HashSet<Hash> = HashSet::from([BLOCKS[0].hash]);
    let mut shuffled = Vec::new();
    while !waiting.is_empty() {
        let is_ready = |block: &&Block| block.header.direct_parents().iter().all(|parent| done.contains(parent));
        let ready: Vec<usize> = (0..waiting.len().min(200)).filter(|at| is_ready(&waiting[*at])).collect();
        let block = waiting.remove(ready[random.below(ready.len())]);
        done.insert(block.hash);
        shuffled.push(block.clone());
    }
    shuffled
}

#[test]
fn every_networks_first_block_has_its_hash_and_its_root() {
    for params in [Params::mainnet(), Params::testnet_10(), Params::simnet(), Params::devnet()] {
        let world = World::open(Config::in_memory(params.clone()));
        let block = world.reader.block(&BlockKey::Sink).unwrap();
        let read = Block::read(&block.bytes);
        assert_eq!(read.hash, params.genesis.hash, "{}", params.network);
        let view = polypeer_kaspa::wire::BlockView::decode(&block.bytes).unwrap();
        assert_eq!(view.merkle_root().unwrap(), params.genesis.merkle_root, "{}", params.network);
        assert_eq!((block.transactions.len(), block.status), (1, Status::Full));
    }
    let simnet = World::new().reader.block(&BlockKey::Sink).unwrap();
    assert_eq!(simnet.bytes, BLOCKS[0].bytes());
    assert_eq!(simnet.transactions, [hash("880eb9819a31821d9d2399e2f35e2433b72637e393d71ecc9b8d0250f49153c3")]);
}

#[test]
fn blocks_are_taken_one_by_one() {
    let mut world = World::new();
    let started = std::time::Instant::now();
    world.take_all(&BLOCKS[1..]);
    let each = started.elapsed().as_micros() / 1_080;
    println!("{each} microseconds for each block");
    check_complete(&mut world);
    assert!(BLOCKS.iter().all(|block| world.take(block) == BlockOutcome::Known));
}

#[test]
fn blocks_are_taken_headers_first() {
    let mut world = World::new();
    assert_eq!(world.take_headers(&BLOCKS), (1_081, None));
    let state = world.state();
    assert_eq!((state.header_tip.hash, state.sink.hash), (hash(SINK), BLOCKS[0].hash));
    assert_eq!(world.status(hash(SINK)), Status::HeaderOnly);
    let mut pages = 0;
    loop {
        let missing = world.missing_bodies(hash(SINK), 99);
        let blocks: Vec<&Block> =
            missing.iter().map(|hash| BLOCKS.iter().find(|block| block.hash == *hash).expect("one of them")).collect();
        if blocks.is_empty() {
            break;
        }
        assert_eq!(world.take_bodies(&blocks), (blocks.len() as u32, None));
        assert_eq!(world.take_bodies(&blocks), (blocks.len() as u32, None), "known already");
        pages += 1;
    }
    assert_eq!(pages, 11);
    check_complete(&mut world);
}

#[test]
fn blocks_are_taken_in_any_order_that_has_parents_first() {
    for seed in 0..3 {
        let mut world = World::new();
        world.take_all(&shuffled(seed));
        check_complete(&mut world);
    }
}

#[test]
fn headers_and_blocks_mix() {
    let mut world = World::new();
    let shuffled = shuffled(9);
    let mut random = Random::new([4; 32]);
    for block in &shuffled {
        if random.below(3) == 0 {
            assert_eq!(world.take_headers(std::slice::from_ref(block)), (1, None));
        }
        assert_eq!(world.take(block), BlockOutcome::Accepted);
        assert_eq!(world.status(block.hash), Status::Full);
    }
    check_complete(&mut world);
}

#[test]
fn a_block_whose_parents_are_not_here_names_them_and_leaves_nothing() {
    let mut world = World::with_blocks(400);
    let wide = BLOCKS[500..].iter().find(|block| block.header.direct_parents().len() == 4).unwrap();
    let parents = wide.header.direct_parents().to_vec();
    assert_eq!(world.take(wide), BlockOutcome::ParentsUnknown(parents.clone()));
    assert_eq!(world.take_headers(std::slice::from_ref(wide)), (0, Some(BlockOutcome::ParentsUnknown(parents))));
    assert_eq!(world.status(wide.hash), Status::Unknown);
    world.save();
    assert_eq!(world.reader.counts(), (400, 0));
    // A parent of which only the header is here will do for a header, and not for a block.
    let [parent, block] = [&BLOCKS[400], &BLOCKS[401]];
    assert_eq!(block.header.direct_parents(), [parent.hash]);
    assert_eq!(world.take_headers(std::slice::from_ref(parent)), (1, None));
    assert_eq!(world.take(block), BlockOutcome::ParentsUnknown(vec![parent.hash]));
    assert_eq!(world.take_headers(std::slice::from_ref(block)), (1, None));
    assert_eq!(world.take_bodies(&[block]), (0, Some(BlockOutcome::ParentsUnknown(vec![parent.hash]))));
    assert_eq!(world.take_bodies(&[parent, block]), (2, None));
    let unknown = world.take_bodies(&[&BLOCKS[700]]);
    assert_eq!(unknown, (0, Some(BlockOutcome::ParentsUnknown(vec![BLOCKS[700].hash]))));
}

#[test]
fn a_new_start_finds_everything() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ledger.redb");
    let mut world = World::on(&path);
    world.take_all(&BLOCKS[1..600]);
    assert_eq!(world.take_headers(&BLOCKS[600..900]), (300, None));
    let (state, missing) = (world.state(), world.missing_bodies(BLOCKS[899].hash, 1_000));
    drop(world);
    let mut world = World::on(&path);
    assert_eq!((world.state(), world.missing_bodies(BLOCKS[899].hash, 1_000)), (state, missing));
    assert_eq!(world.take_headers(&BLOCKS[900..]), (181, None));
    world.take_bodies(&BLOCKS[600..].iter().collect::<Vec<_>>());
    check_complete(&mut world);
    drop(world);
    check_complete(&mut World::on(&path));
}

#[test]
fn another_network_or_other_rules_do_not_open_the_store() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ledger.redb");
    drop(World::on(&path));
    let small = Params::simnet().with_overrides(r#"{"difficulty_window_size": 32}"#).unwrap();
    for params in [Params::devnet(), small] {
        let config = Config { path: Some(path.clone()), ..Config::in_memory(params) };
        let error = Kaspa::open(config).err().unwrap();
        assert_eq!(error.to_string(), "the store holds another network, or one with other rules");
    }
}

#[test]
fn a_batch_answers_from_what_it_has_taken_itself() {
    let mut world = World::new();
    let (answers, _) = world.batch(vec![
        Request::TakeHeaders(vec![BLOCKS[1].header.encode()]),
        Request::TakeBodies(vec![(BLOCKS[1].hash, BLOCKS[1].body())]),
        Request::Blocks(vec![BLOCKS[1].hash]),
        Request::Bodies(vec![BLOCKS[1].hash, BLOCKS[2].hash]),
    ]);
    assert_eq!(answers[2], Answer::Blocks(vec![Some(BLOCKS[1].bytes())]));
    assert_eq!(answers[3], Answer::Bodies(vec![Some(BLOCKS[1].body()), None]));
}
