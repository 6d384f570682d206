//! Peers' best chains: what of them is wanted, and when they are served.

use crate::made::{CONSTANTS, Draft, Made, rules};
use crate::model::is_better;
use crate::world::World;
use polypeer_ledger_mina::{Config, Limits, Rules};
use polypeer_mina::ledger::{Answer, Hash, Request, Verdict};

/// What a peer says of a chain: its root, and all that follows.
fn candidate(chain: &[Made]) -> Request {
    let (root, rest) = chain.split_first().unwrap();
    let tip = chain.last().unwrap();
    let path = rest.iter().map(|block| block.hash).collect();
    Request::Candidate { root: root.bytes.clone(), tip: tip.bytes.clone(), path }
}

fn wants(world: &mut World, chain: &[Made]) -> Vec<Hash> {
    match world.ask(candidate(chain)) {
        Answer::Candidate { wants } => wants,
        other => panic!("{other:?}"),
    }
}

fn hashes(blocks: &[Made]) -> Vec<Hash> {
    blocks.iter().map(|block| block.hash).collect()
}

/// The first block and so many on it.
fn chain(world: &World, count: u32, drawn: u8) -> Vec<Made> {
    let first = world.first();
    let line = first.line(count, drawn);
    [vec![first], line].concat()
}

#[test]
fn what_is_missing_of_a_longer_chain_is_wanted_oldest_first() {
    let mut world = World::new();
    let all = chain(&world, 6, 1);
    assert_eq!(wants(&mut world, &all[..1]), [], "there is nothing better");
    assert_eq!(wants(&mut world, &all), hashes(&all[1..]));
    world.take_all(&all[1..3]);
    assert_eq!(wants(&mut world, &all), hashes(&all[3..]));
    assert_eq!(wants(&mut world, &all[1..]), hashes(&all[3..]), "from whatever root");
    assert_eq!(wants(&mut world, &all[..3]), [], "all of it is here");
    // The end comes with the question.
    assert_eq!(wants(&mut world, &all[..4]), []);
    assert_eq!(world.tip().hash, all[3].hash);
    world.take_all(&all[4..]);
    assert_eq!((wants(&mut world, &all), world.tip().hash), (vec![], all[6].hash));
}

#[test]
fn a_worse_chain_is_not_wanted() {
    let mut world = World::new();
    let ours = chain(&world, 5, 1);
    let theirs = chain(&world, 4, 2);
    world.take_all(&ours[1..]);
    assert_eq!(wants(&mut world, &theirs), []);
}

#[test]
fn a_path_that_does_not_end_with_its_tip_is_not_followed() {
    let mut world = World::new();
    let all = chain(&world, 3, 1);
    let Request::Candidate { root, tip, mut path } = candidate(&all) else { unreachable!() };
    path.pop();
    let answer = world.ask(Request::Candidate { root, tip, path });
    assert_eq!(answer, Answer::Candidate { wants: Vec::new() });
}

#[test]
fn a_network_without_a_first_block_begins_with_the_first_chain_that_comes() {
    let all = chain(&World::new(), 5, 1);
    let mut world = World::open(Config::in_memory(Rules::public(rules().genesis, CONSTANTS)));
    assert_eq!((world.tip().length, world.reader.standing().blocks), (0, 0));
    // Gossip alone says nothing of where the chain begins.
    assert_eq!(world.judge(&all[4]), (Verdict::Unverified, None));
    let chain = &all[2..];
    assert_eq!(wants(&mut world, chain), hashes(&chain[1..]));
    for block in &chain[1..3] {
        assert_eq!(world.judge(block), (Verdict::Unverified, None));
        assert_eq!(world.tip().length, 0, "it is not whole yet");
    }
    assert_eq!(world.judge(&chain[3]), (Verdict::Unverified, None));
    assert_eq!(world.tip().hash, all[5].hash);
    world.check_holds(chain);
    // From now on it follows gossip.
    let next = all[5].line(1, 3);
    world.take_all(&next);
    assert_eq!(world.tip().hash, next[0].hash);
}

/// Two chains from the first block on that part below the root: the other has no gaps where ours has many.
fn sparse_and_dense(world: &World) -> (Vec<Made>, Vec<Made>) {
    let first = world.first();
    let mut sparse = vec![first.clone()];
    while sparse.last().unwrap().slot() < 150 {
        let last = sparse.last().unwrap();
        sparse.push(last.next(&Draft { slot: last.slot() + 9, drawn: 1, ..Draft::default() }));
    }
    let dense = [vec![first.clone()], first.line(155, 2)].concat();
    (sparse, dense)
}

#[test]
fn a_denser_chain_from_below_the_root_is_fetched_aside_and_then_served() {
    let mut world = World::new();
    let (ours, theirs) = sparse_and_dense(&world);
    assert!(is_better(theirs.last().unwrap(), ours.last().unwrap()));
    world.take_all(&ours[1..]);
    let tip = ours.last().unwrap().hash;
    let root = theirs.len() - 1 - CONSTANTS.k as usize;
    let chain = &theirs[root..];
    assert_eq!(wants(&mut world, chain), hashes(&chain[1..]));
    let [middle @ .., before, last] = &chain[1..] else { unreachable!() };
    for block in middle {
        assert_eq!(world.judge(block), (Verdict::Unverified, None));
        assert_eq!(world.tip().hash, tip, "ours is served meanwhile");
    }
    // Asked again it wants what is still missing.
    assert_eq!(wants(&mut world, chain), [before.hash, last.hash]);
    assert_eq!(world.judge(before), (Verdict::Unverified, None));
    let (answers, news) = world.batch(vec![crate::world::asks(last.hash, &last.bytes)]);
    assert!(matches!(answers[..], [Answer::Judged { verdict: Verdict::Unverified, wants: None, .. }]));
    assert!(matches!(&news[..], [Answer::TipMoved(moved)] if moved.hash == last.hash));
    world.check_holds(chain);
    assert!(world.reader.block(&polypeer_ledger_mina::BlockKey::Hash(tip)).is_none(), "ours went");
    assert_eq!(world.reader.standing().blocks, chain.len());
}

#[test]
fn a_chain_that_is_no_longer_better_when_it_is_whole_is_forgotten() {
    let mut world = World::new();
    let (theirs, ours) = sparse_and_dense(&world);
    let half = ours.len() / 2;
    // Theirs is better than our beginning, and worse than all of ours.
    world.take_all(&ours[1..8]);
    let chain = &theirs[theirs.len() - 4..];
    assert_eq!(wants(&mut world, chain), hashes(&chain[1..]));
    world.take_all(&ours[8..half]);
    world.take_all(&ours[half..]);
    for block in &chain[1..] {
        assert_eq!(world.judge(block), (Verdict::Unverified, None));
    }
    assert_eq!(world.tip().hash, ours.last().unwrap().hash);
    assert_eq!(world.reader.standing().blocks, CONSTANTS.k as usize + 1);
}

#[test]
fn what_was_fetched_so_far_outlives_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("blocks.redb");
    let mut world = World::on(&path);
    let (ours, theirs) = sparse_and_dense(&world);
    world.take_all(&ours[1..]);
    let chain = &theirs[theirs.len() - 1 - CONSTANTS.k as usize..];
    wants(&mut world, chain);
    for block in &chain[1..4] {
        world.judge(block);
    }
    drop(world);
    let mut world = World::on(&path);
    assert_eq!(world.tip().hash, ours.last().unwrap().hash);
    assert_eq!(wants(&mut world, chain), hashes(&chain[4..]));
    for block in &chain[4..] {
        assert_eq!(world.judge(block), (Verdict::Unverified, None));
    }
    assert_eq!(world.tip().hash, theirs.last().unwrap().hash);
    drop(world);
    assert_eq!(World::on(&path).tip().hash, theirs.last().unwrap().hash);
}

#[test]
fn chains_that_never_become_whole_take_no_more_than_their_room() {
    let limits = Limits { store_bytes: 2 << 20, ..Limits::default() };
    let mut world = World::open(Config { limits, ..Config::in_memory(rules()) });
    let (ours, _) = sparse_and_dense(&world);
    world.take_all(&ours[1..]);
    let before = world.reader.standing();
    for drawn in 10..14 {
        // Each of a dense chain of its own, which is named and not brought.
        let theirs = ours[0].line(155, drawn);
        let chain = &theirs[theirs.len() - 1 - CONSTANTS.k as usize..];
        wants(&mut world, chain);
        world.judge(&chain[1]);
    }
    let after = world.reader.standing();
    assert_eq!((after.tip, after.blocks), (before.tip, before.blocks));
    assert!(after.bytes < before.bytes + 60_000, "{} bytes", after.bytes);
}
