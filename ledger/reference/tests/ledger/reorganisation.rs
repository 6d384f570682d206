//! The chain with most work wins, at any depth.

use crate::world::{Draft, World, genesis, hash, key, line, pay, read};
use bytes::Bytes;
use polypeer_engine::kit::chain::{Answer, BlockFault, BlockKey, BlockOutcome, Request};
use polypeer_ledger_reference::{Account, transaction_id};

const STATE: BlockOutcome = BlockOutcome::Invalid(BlockFault::State);

/// What all public accounts hold.
fn accounts(world: &World) -> Vec<Account> {
    (1..=16).map(|account| world.reader.account(&key(account))).collect()
}

/// A ledger that was only ever given these blocks, which must agree with `world` about everything.
fn agrees_with_fresh(world: &mut World, blocks: &[Bytes]) {
    let mut fresh = World::new();
    fresh.take_all(blocks);
    assert_eq!(world.tip(), fresh.tip());
    assert_eq!(accounts(world), accounts(&fresh));
    for height in 0..=fresh.tip().height {
        assert_eq!(world.block(BlockKey::Height(height)), fresh.block(BlockKey::Height(height)));
    }
    assert_eq!(world.block(BlockKey::Height(fresh.tip().height + 1)), None);
    for bytes in blocks.iter().flat_map(|block| block[133..].chunks(153)) {
        let id = transaction_id(bytes);
        assert_eq!(world.reader.transaction(&id), fresh.reader.transaction(&id));
    }
}

#[test]
fn first_seen_wins_among_equals() {
    let mut world = World::new();
    let ours = line(&genesis(), 3, 1);
    let theirs = line(&genesis(), 3, 2);
    world.take_all(&ours);
    world.take_all(&theirs);
    assert_eq!(world.tip().hash, hash(&ours[2]));
    let more = line(&theirs[2], 1, 2);
    let (_, news) = world.take_with_news(&more[0]);
    assert!(matches!(&news[..], [Answer::NewTip { block, .. }] if *block == more[0]));
    agrees_with_fresh(&mut world, &[&theirs[..], &more].concat());
    // And back again, by one more.
    let back = line(&ours[2], 2, 1);
    world.take_all(&back);
    agrees_with_fresh(&mut world, &[&ours[..], &back].concat());
}

#[test]
fn a_branch_from_genesis_replaces_a_long_chain() {
    let mut world = World::new();
    let mut ours = Vec::new();
    let mut parent = genesis();
    for at in 0..40 {
        let payments = [pay(1, 2, 3, 1, 2 * at), pay(1, 3, 1, 0, 2 * at + 1), pay(2, 1, 5, 2, at)];
        parent = Draft::on(&parent).by(1).with(&payments).mine();
        ours.push(parent.clone());
    }
    world.take_all(&ours);
    let mut theirs = Vec::new();
    let mut parent = genesis();
    for at in 0..41 {
        parent = Draft::on(&parent).by(2).with(&[pay(1, 4, 100, 1, at)]).mine();
        theirs.push(parent.clone());
    }
    // In one batch, so that the new tip is told once.
    let requests = theirs.iter().map(|block| Request::TakeBlock(block.clone())).collect();
    let (asked, news) = world.batch(requests);
    assert!(asked.iter().all(|answer| matches!(answer, Answer::BlockTaken { outcome: BlockOutcome::Accepted, .. })));
    let tips = news.iter().filter(|answer| matches!(answer, Answer::NewTip { .. })).count();
    assert_eq!(tips, 1);
    agrees_with_fresh(&mut world, &theirs);
    assert!(!world.reader.block(&BlockKey::Hash(hash(&ours[7]))).expect("kept").main);
    assert_eq!(world.block(BlockKey::Hash(hash(&ours[7]))), Some(ours[7].clone()), "abandoned but served");
}

#[test]
fn a_branch_is_tried_only_when_it_has_more_work() {
    let mut world = World::new();
    let ours = line(&genesis(), 2, 1);
    world.take_all(&ours);
    // Invalid in its state, which nobody looks at yet.
    let bad = Draft::on(&genesis()).by(2).with(&[pay(1, 2, 1, 1, 9)]).mine();
    let child = Draft::on(&bad).by(2).mine();
    world.take_all(&[bad.clone(), child.clone()]);
    let third = Draft::on(&child).by(2).mine();
    assert_eq!(world.take(&third), STATE);
    agrees_with_fresh(&mut world, &ours);
    // Now it is known, with everything on it.
    for block in [&bad, &child, &third, &Draft::on(&third).mine()] {
        assert_eq!(world.take(block), STATE);
        assert!(world.is_missing(hash(block)));
    }
}

#[test]
fn the_best_valid_chain_comes_back_when_a_branch_proves_invalid() {
    let mut world = World::new();
    let mut ours = Vec::new();
    let mut parent = genesis();
    for at in 0..6 {
        parent = Draft::on(&parent).with(&[pay(1, 2, 10, 1, at)]).mine();
        ours.push(parent.clone());
    }
    world.take_all(&ours);
    // Forks from height 2: two good blocks, a bad one, two more on it, and a branch of its own on the bad one.
    let good1 = Draft::on(&ours[1]).by(9).with(&[pay(1, 3, 10, 1, 2)]).mine();
    let good2 = Draft::on(&good1).by(9).with(&[pay(1, 3, 10, 1, 3)]).mine();
    let bad = Draft::on(&good2).by(9).with(&[pay(1, 3, 10, 1, 3)]).mine();
    let beside = Draft::on(&bad).by(7).mine();
    let child = Draft::on(&bad).by(9).mine();
    let last = Draft::on(&child).by(9).mine();
    world.take_all(&[good1.clone(), good2.clone(), bad.clone(), beside.clone(), child.clone()]);
    assert_eq!(world.take(&last), STATE);
    agrees_with_fresh(&mut world, &ours);
    for block in [&bad, &beside, &child, &last] {
        assert!(world.is_missing(hash(block)));
        assert_eq!(world.take(block), STATE);
    }
    // What is good of the branch stays, and can still win.
    let rest = line(&good2, 3, 9);
    world.take_all(&rest);
    agrees_with_fresh(&mut world, &[&ours[..2], &[good1, good2], &rest].concat());
}

#[test]
fn a_branch_that_overtakes_within_a_batch_is_seen_by_what_follows_in_it() {
    let mut world = World::new();
    let ours = line(&genesis(), 1, 1);
    let theirs = line(&genesis(), 2, 2);
    world.take_all(&ours);
    let mut requests = vec![Request::TakeBlock(theirs[0].clone()), Request::Tip];
    requests.extend([Request::TakeBlock(theirs[1].clone()), Request::Tip, Request::Block(BlockKey::Height(1))]);
    let (asked, _) = world.batch(requests);
    let tip_of = |answer: &Answer| if let Answer::Tip(tip) = answer { tip.hash } else { panic!("{answer:?}") };
    assert_eq!(tip_of(&asked[1]), hash(&ours[0]));
    assert_eq!(tip_of(&asked[3]), hash(&theirs[1]));
    assert_eq!(asked[4], Answer::Block(Some(theirs[0].clone())));
}

#[test]
fn times_count_again_after_a_reorganisation() {
    let mut world = World::new();
    world.take_all(&line(&genesis(), 14, 1));
    let slow: Vec<Bytes> = (0..15).fold(Vec::new(), |mut blocks, _| {
        let parent = blocks.last().cloned().unwrap_or_else(genesis);
        let time = read(&parent).1.time + 10;
        blocks.push(Draft::on(&parent).by(2).change(|header| header.time = time).mine());
        blocks
    });
    world.take_all(&slow);
    assert_eq!(world.tip().hash, hash(&slow[14]));
    // The median of the new chain's last eleven is the time of the sixth from the end.
    let median = read(&slow[9]).1.time;
    let wrong = Draft::on(&slow[14]).change(|header| header.time = median).mine();
    assert_eq!(world.take(&wrong), BlockOutcome::Invalid(BlockFault::Header));
    let right = Draft::on(&slow[14]).change(|header| header.time = median + 1).mine();
    assert_eq!(world.take(&right), BlockOutcome::Accepted);
}
