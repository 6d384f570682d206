//! Who imported judges what comes above as one who holds the whole history does.

use crate::syncer::SYNCER;
use crate::world::{World, config};
use bytes::Bytes;
use polypeer_engine::{Ledger, Now, To};
use polypeer_kaspa::ledger::{Answer, BlockOutcome, Import, Request};
use polypeer_kaspa::wire::BlockView;
use polypeer_ledger_kaspa::{BlockKey, Config, Producer};
use std::time::Duration;

/// A ledger that holds and has judged every header since the first block. Of this network the proof has them all.
fn historian() -> World {
    let mut world = World::new();
    let lowest = SYNCER.position(|piece| matches!(piece, Import::Proof { level: 0, .. }));
    let Import::Proof { headers, .. } = &SYNCER.pieces[lowest] else { panic!("the lowest level") };
    let at_base = SYNCER.all(|piece| match piece {
        Import::Blocks(blocks) => Some(blocks),
        _ => None,
    });
    let full = at_base.iter().filter_map(|block| {
        let view = BlockView::decode(block).expect("a block");
        (view.transaction_count > 0).then(|| Bytes::copy_from_slice(view.header))
    });
    // The first block is known, and so is the pruning point when it comes again.
    let all: Vec<Bytes> = headers[1..].iter().cloned().chain(full).chain(SYNCER.headers.clone()).collect();
    check_takes(&mut world, &all);
    assert_eq!(world.state().header_tip.hash, SYNCER.sink);
    world
}

fn check_takes(world: &mut World, headers: &[Bytes]) {
    match world.ask(Request::TakeHeaders(headers.to_vec())) {
        Answer::HeadersTaken { taken, fault: None, .. } => assert_eq!(taken as usize, headers.len()),
        other => panic!("{other:?}"),
    }
}

/// A ledger that has imported, and goes on making blocks.
pub(crate) fn producer(seed: u8) -> World {
    let producer = Producer { script: vec![0x51], interval: Duration::from_millis(100), seed: [seed; 32] };
    let mut world = World::open(Config { producer: Some(producer), ..config() });
    world.give_all(&SYNCER.pieces);
    world
}

/// Blocks that it makes until then.
pub(crate) fn run(world: &mut World, end: Now) -> Vec<Bytes> {
    let mut blocks = Vec::new();
    while let Some(wake) = world.ledger.next_wake(world.now).filter(|wake| *wake < end.monotonic) {
        world.now = world.now.after(wake.since(world.now.monotonic));
        let mut news = Vec::new();
        world.ledger.wake(world.now, &mut news);
        for (to, news) in news {
            let (To::Engine, Answer::NewBlock { hash, .. }) = (to, news) else { panic!("news") };
            blocks.push(world.reader.block(&BlockKey::Hash(hash)).expect("its own block").bytes);
        }
    }
    world.now = end;
    blocks
}

pub(crate) fn take(world: &mut World, blocks: &[Bytes]) {
    for block in blocks {
        match world.ask(Request::TakeBlock(block.clone())) {
            Answer::BlockTaken { outcome: BlockOutcome::Accepted, .. } => {}
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn what_is_made_on_an_import_is_right_by_the_whole_history() {
    let mut historian = historian();
    let mut worlds = [producer(1), producer(2)];
    let mut made = 0;
    for _ in 0..40 {
        let end = worlds[0].now.after(Duration::from_millis(700));
        let blocks = worlds.each_mut().map(|world| run(world, end));
        take(&mut worlds[0], &blocks[1]);
        take(&mut worlds[1], &blocks[0]);
        historian.now = end;
        let headers = |block: &Bytes| Bytes::copy_from_slice(BlockView::decode(block).expect("a block").header);
        let headers: Vec<Bytes> = blocks.iter().flatten().map(headers).collect();
        check_takes(&mut historian, &headers);
        made += headers.len();
    }
    let [one, other] = worlds.each_mut().map(World::state);
    assert_eq!((one, one.sink), (other, historian.state().header_tip));
    worlds[0].save();
    let tips = worlds[0].reader.tips();
    assert!(tips.len() < 4 && tips.contains(&one.sink.hash), "{tips:?}");
    assert!(made > 400 && one.sink.blue_score > 1_498 + 400, "{made} blocks, {}", one.sink.blue_score);
}
