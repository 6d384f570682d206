//! What can be asked of the chain, by the engine and by an API.

use crate::world::{Draft, World, genesis, hash, key, line, pay, read};
use bytes::Bytes;
use polypeer_engine::kit::chain::{Answer, BlockKey, BlockOutcome, Hash, Origin, Request};
use polypeer_ledger_reference::{Account, TransactionView, transaction_id};

fn hashes(blocks: &[Bytes]) -> Vec<Hash> {
    blocks.iter().map(hash).collect()
}

#[test]
fn hashes_of_a_range() {
    let mut world = World::new();
    let blocks = line(&genesis(), 10, 1);
    world.take_all(&blocks);
    let tip = world.tip();
    let mut check = |from, count, expected: (u64, Hash, Vec<Hash>)| {
        let (from_there, parent, hashes) = expected;
        let answer = world.ask(Request::Hashes { from, count });
        assert_eq!(answer, Answer::Hashes { from: from_there, parent, hashes, tip });
    };
    let all = hashes(&blocks);
    check(1, 100, (1, hash(&genesis()), all.clone()));
    check(4, 3, (4, all[2], all[3..6].to_vec()));
    check(0, 2, (0, Hash::ZERO, vec![hash(&genesis()), all[0]]));
    check(4, 0, (4, all[2], vec![]));
    check(10, u32::MAX, (10, all[8], vec![all[9]]));
    check(11, 5, (11, all[9], vec![]));
    check(12, 5, (11, all[9], vec![]));
    check(u64::MAX, u32::MAX, (11, all[9], vec![]));
}

#[test]
fn hashes_at_heights() {
    let mut world = World::new();
    let blocks = line(&genesis(), 5, 1);
    world.take_all(&blocks);
    let tip = world.tip();
    let answer = world.ask(Request::HashesAt(vec![0, 2, 5, 6, u64::MAX]));
    let hashes = vec![(0, hash(&genesis())), (2, hash(&blocks[1])), (5, hash(&blocks[4]))];
    assert_eq!(answer, Answer::HashesAt { hashes, tip });
}

#[test]
fn missing_are_those_that_are_held_in_no_form() {
    let mut world = World::new();
    let blocks = line(&genesis(), 3, 1);
    let side = line(&genesis(), 1, 2);
    world.take_all(&blocks[..2]);
    world.take_all(&side);
    let asked = vec![hash(&blocks[2]), hash(&blocks[1]), Hash([7; 32]), hash(&side[0]), hash(&genesis())];
    assert_eq!(world.ask(Request::Missing(asked)), Answer::Missing(vec![hash(&blocks[2]), Hash([7; 32])]));
}

#[test]
fn hashes_that_share_their_last_bytes_are_told_apart() {
    let mut world = World::new();
    let blocks = line(&genesis(), 2, 1);
    world.take_all(&blocks);
    let mut twin = hash(&blocks[0]);
    twin.0[0] ^= 1;
    assert!(world.is_missing(twin));
    assert_eq!(world.block(BlockKey::Hash(twin)), None);
    let payment = pay(1, 2, 1, 1, 0);
    world.confirm(&[payment]);
    let mut twin = transaction_id(&payment);
    twin.0[31] ^= 1;
    assert_eq!(world.ask(Request::MissingTransactions(vec![twin])), Answer::Missing(vec![twin]));
    assert_eq!(world.reader.transaction(&twin), None);
}

#[test]
fn every_block_of_a_long_chain_is_found() {
    // Long enough that the index moves rows on.
    let easy = [0x20, 0x7f, 0xff, 0xff];
    let mut world = World::with(|config| config.network.target = easy);
    let mut parent = world.tip_block();
    let blocks: Vec<Bytes> = (0..9_000)
        .map(|_| {
            parent = Draft::on(&parent).change(|header| header.target = easy).mine();
            parent.clone()
        })
        .collect();
    world.now.unix_ms += 9_000_000;
    for batch in blocks.chunks(3_000) {
        world.batch(batch.iter().map(|block| Request::TakeBlock(block.clone())).collect());
    }
    assert_eq!(world.tip().height, 9_000);
    assert_eq!(world.ask(Request::Missing(hashes(&blocks))), Answer::Missing(vec![]));
    // A branch from far below, whose blocks went through the index long ago.
    let mut parent = blocks[8_899].clone();
    for _ in 0..101 {
        parent = Draft::on(&parent).by(5).change(|header| header.target = easy).mine();
        assert_eq!(world.take(&parent), BlockOutcome::Accepted);
    }
    assert_eq!(world.tip().hash, hash(&parent));
    assert_eq!(world.block(BlockKey::Hash(hash(&blocks[8_950]))), Some(blocks[8_950].clone()));
}

#[test]
fn a_batch_sees_its_own_changes_and_tells_the_tip_once() {
    let mut world = World::new();
    let blocks = line(&genesis(), 3, 1);
    let payment = Bytes::copy_from_slice(&pay(1, 2, 1, 1, 0));
    let id = transaction_id(&payment);
    let (asked, news) = world.batch(vec![
        Request::TakeBlock(blocks[0].clone()),
        Request::Block(BlockKey::Hash(hash(&blocks[0]))),
        Request::TakeTransactions { transactions: vec![payment.clone()], origin: Origin::Peer },
        Request::WaitingIds(9),
        Request::TakeBlock(blocks[1].clone()),
        Request::Hashes { from: 1, count: 9 },
        Request::TakeBlock(Draft::on(&blocks[1]).with(&[pay(1, 2, 1, 1, 0)]).mine()),
        Request::WaitingIds(9),
        Request::MissingTransactions(vec![id]),
        Request::TakeBlock(blocks[2].clone()),
    ]);
    assert_eq!(asked[1], Answer::Block(Some(blocks[0].clone())));
    assert_eq!(asked[3], Answer::WaitingIds(vec![id]));
    assert!(matches!(&asked[5], Answer::Hashes { hashes: list, .. } if *list == hashes(&blocks[..2])));
    assert_eq!(asked[7], Answer::WaitingIds(vec![]));
    assert_eq!(asked[8], Answer::Missing(vec![]));
    assert!(matches!(asked[9], Answer::BlockTaken { outcome: BlockOutcome::Accepted, .. }), "off the main chain");
    let [Answer::NewTip { tip, .. }] = news[..] else { panic!("{news:?}") };
    assert_eq!(tip.height, 3);
}

#[test]
fn the_reader_shows_blocks_and_where_they_stand() {
    let mut world = World::new();
    let payment = pay(1, 2, 5, 1, 0);
    let first = world.confirm(&[payment]);
    let side = Draft::on(&genesis()).by(2).mine();
    world.take_all([&side]);
    let view = world.reader.block(&BlockKey::Hash(hash(&first))).expect("held");
    let header = read(&first).1;
    assert_eq!((view.hash, view.height, view.parent), (hash(&first), 1, hash(&genesis())));
    assert_eq!((view.time, view.producer, view.work, view.main), (header.time, key(3), 512, true));
    assert_eq!((view.transactions, view.bytes), (vec![transaction_id(&payment)], first.clone()));
    assert_eq!(world.reader.block(&BlockKey::Height(1)).expect("held").hash, hash(&first));
    let abandoned = world.reader.block(&BlockKey::Hash(hash(&side))).expect("held");
    assert_eq!((abandoned.main, abandoned.work), (false, 512));
    assert_eq!(world.reader.block(&BlockKey::Height(2)), None);
    assert_eq!(world.reader.block(&BlockKey::Hash(Hash([1; 32]))), None);
    assert_eq!(world.reader.tip(), world.tip());
    assert!(world.reader.is_sound());
}

#[test]
fn the_reader_shows_transactions_and_accounts() {
    let mut world = World::new();
    let (confirmed, waiting) = (pay(1, 2, 5, 1, 0), pay(1, 2, 6, 2, 1));
    let block = world.confirm(&[confirmed]);
    world.offer(&waiting, Origin::Peer);
    let view = |bytes: &[u8]| world.reader.transaction(&transaction_id(bytes));
    let bytes = Bytes::copy_from_slice(&confirmed);
    let id = transaction_id(&confirmed);
    assert_eq!(view(&confirmed), Some(TransactionView { id, bytes, block: Some(hash(&block)), height: Some(1) }));
    let (id, bytes) = (transaction_id(&waiting), Bytes::copy_from_slice(&waiting));
    assert_eq!(view(&waiting), Some(TransactionView { id, bytes, block: None, height: None }));
    assert_eq!(view(&[1]), None);
    assert_eq!(world.reader.waiting(0), (1, vec![]));
    assert_eq!(world.reader.waiting(9), (1, vec![id]));
    assert_eq!(world.reader.account(&key(1)), Account { balance: 1_000_000_000 - 6, sequence: 1 });
    assert_eq!(world.reader.account(&[200; 32]), Account::default());
}

#[test]
fn the_reader_never_loses_a_transaction_on_its_way_into_a_block() {
    let mut world = World::new();
    let transactions: Vec<_> = (0..60).map(|at| pay(1, 2, 1, 1, at)).collect();
    for bytes in &transactions {
        world.offer(bytes, Origin::Peer);
    }
    let ids: Vec<Hash> = transactions.iter().map(|bytes| transaction_id(bytes)).collect();
    let reader = world.reader.clone();
    let done = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        let watcher = scope.spawn(|| {
            let mut looks = 0;
            while !done.load(std::sync::atomic::Ordering::Relaxed) {
                let lost = ids.iter().filter(|id| reader.transaction(id).is_none()).count();
                assert_eq!(lost, 0);
                looks += 1;
            }
            looks
        });
        for bytes in &transactions {
            world.confirm(&[*bytes]);
        }
        // And back: a longer branch without them.
        world.take_all(&line(&genesis(), 61, 9));
        done.store(true, std::sync::atomic::Ordering::Relaxed);
        assert!(watcher.join().expect("nothing was lost") > 0);
    });
    assert_eq!(world.waiting().len(), 60);
}
