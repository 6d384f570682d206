//! Disks that are full, that fail, and that lose what was not synced.

use crate::world::{Draft, World, genesis, hash, key, line, pay, read};
use bytes::Bytes;
use polypeer_engine::kit::chain::{
    Answer, BlockKey, BlockOutcome, Origin, Request, TransactionFault, TransactionOutcome,
};
use polypeer_engine::{Ledger, Now, Random};
use polypeer_ledger_reference::{Config, NetworkParameters, OpenError, Producer, Reader, Reference, transaction_id};
use polypeer_sim::Tape as Disk;
use std::io::ErrorKind;
use std::time::Duration;

/// Opens a ledger on a disk.
pub(crate) trait Opens {
    /// The reference ledger of the devnet.
    fn open(&self) -> Result<(Reference, Reader), OpenError>;

    /// The same, with what asks it.
    fn world(&self) -> World {
        World::over(self.open().expect("opens"))
    }
}

impl Opens for Disk {
    fn open(&self) -> Result<(Reference, Reader), OpenError> {
        Reference::open_with_backend(self.clone(), Config::in_memory(NetworkParameters::anya_devnet()))
    }
}

#[test]
fn a_full_disk_refuses_blocks_and_keeps_what_was_durable() {
    let (mut refused, mut came_through) = (0, 0);
    let blocks = line(&genesis(), 50, 1);
    for left in 0..200 {
        let disk = Disk::default();
        let mut world = disk.world();
        world.take_all(&blocks[..2]);
        world.offer(&pay(2, 1, 1, 1, 0), Origin::Peer);
        disk.fail_after(left, ErrorKind::StorageFull);
        let mut height = 2;
        for block in &blocks[2..] {
            let (outcome, news) = world.take_with_news(block);
            match outcome {
                BlockOutcome::Accepted => height += 1,
                BlockOutcome::NoRoom => {
                    refused += 1;
                    assert_eq!(news, [], "nothing is announced");
                    break;
                }
                other => panic!("{other:?} after {left}"),
            }
        }
        assert_eq!(world.tip().height, height, "after {left}");
        assert_eq!(world.reader.tip().height, height);
        assert_eq!(world.waiting(), [transaction_id(&pay(2, 1, 1, 1, 0))]);
        // Space comes back, and half a second later the service resumes where it was.
        disk.heal();
        world.pass(Duration::from_millis(500));
        // The last step of the commit may have failed after its work was done; then that is made sure of, and told.
        let (_, news) = world.batch(vec![Request::Tip]);
        if let [Answer::NewTip { tip, block }] = &news[..] {
            came_through += 1;
            height += 1;
            assert_eq!((tip.height, block), (height, &blocks[height as usize - 1]));
        }
        assert_eq!(world.tip().height, height);
        world.take_all(&blocks[height as usize..]);
        assert!(world.reader.is_sound());
        drop(world);
        let mut world = disk.world();
        assert_eq!(world.tip().hash, hash(&blocks[49]));
        assert_eq!(world.reader.account(&[1; 32]).balance, 2_500);
    }
    assert!(refused == 200 && came_through > 0, "refused {refused}, came through {came_through}");
}

/// Not a byte can be written for a while: whatever needs none goes on, and whatever is acknowledged is stored.
#[test]
fn a_disk_that_takes_no_write_serves_and_lets_peers_transactions_in() {
    let blocks = line(&genesis(), 30, 1);
    let refused = TransactionOutcome::NotNow(TransactionFault::NoRoom);
    let mut unsure = 0;
    for left in 0..100 {
        let disk = Disk::default();
        let mut world = disk.world();
        world.take_all(&blocks[..2]);
        disk.fail_after(left, ErrorKind::StorageFull);
        let next = blocks.iter().skip(2).find(|block| world.take(block) != BlockOutcome::Accepted);
        let next = next.expect("the disk is full some time");
        let height = read(next).1.height;
        // The last step of a commit may have failed after its work was done: nobody hears of that before it is sure.
        if world.block(BlockKey::Height(0)).is_none() {
            unsure += 1;
            assert_eq!(world.offer(&pay(2, 1, 1, 1, 0), Origin::Peer), refused);
            continue;
        }
        // At once, and each time that the disk was tried again.
        for sequence in 0..3 {
            let payment = pay(2, 1, 1, 1, sequence);
            assert_eq!(world.offer(&payment, Origin::Peer), TransactionOutcome::Accepted, "after {left}");
            let asked = world.ask(Request::Transaction(transaction_id(&payment)));
            assert_eq!(asked, Answer::Transaction(Some(Bytes::copy_from_slice(&payment))));
            assert_eq!(world.offer(&payment, Origin::Operator), refused, "it is not stored");
            assert_eq!(world.offer(&pay(4, 1, 1, 1, 0), Origin::Operator), refused);
            assert_eq!(world.take(next), BlockOutcome::NoRoom);
            assert_eq!(world.take(&blocks[0]), BlockOutcome::Known);
            assert_eq!(world.block(BlockKey::Height(1)), Some(blocks[0].clone()));
            assert_eq!(world.reader.account(&[1; 32]).balance, 50 * (height - 1));
            world.pass(Duration::from_millis(500));
        }
        disk.heal();
        assert_eq!(world.take(next), BlockOutcome::Accepted);
        assert_eq!(world.waiting().len(), 3);
        assert_eq!(world.offer(&pay(2, 1, 1, 1, 0), Origin::Operator), TransactionOutcome::Known);
        drop(world);
        let mut world = disk.world();
        assert_eq!((world.tip().height, world.waiting()), (height, vec![transaction_id(&pay(2, 1, 1, 1, 0))]));
    }
    assert!(unsure < 20, "{unsure} of 100 had come through");
}

#[test]
fn a_batch_for_which_there_is_no_room_is_answered_anew() {
    let disk = Disk::default();
    let mut world = disk.world();
    let (own, theirs) = (pay(1, 2, 1, 1, 0), pay(3, 2, 1, 1, 0));
    assert_eq!(world.offer(&own, Origin::Operator), TransactionOutcome::Accepted);
    disk.fail_after(0, ErrorKind::StorageFull);
    let take = |bytes: &[u8], origin| {
        let transactions = vec![Bytes::copy_from_slice(bytes)];
        Request::TakeTransactions { transactions, origin }
    };
    let block = Draft::on(&genesis()).mine();
    let (asked, news) = world.batch(vec![
        Request::TakeBlock(block),
        take(&theirs, Origin::Peer),
        take(&pay(1, 2, 1, 9, 0), Origin::Operator),
    ]);
    let [Answer::BlockTaken { outcome, .. }, Answer::TransactionsTaken(peers), Answer::TransactionsTaken(operators)] =
        &asked[..]
    else {
        panic!("{asked:?}")
    };
    assert_eq!((*outcome, news), (BlockOutcome::NoRoom, vec![]));
    // Not known already, or it would not be relayed.
    assert_eq!(peers[0].1, TransactionOutcome::Accepted);
    assert_eq!(operators[0].1, TransactionOutcome::NotNow(TransactionFault::NoRoom));
    let mut expected = [transaction_id(&own), transaction_id(&theirs)];
    let mut waiting = world.waiting();
    waiting.sort_unstable();
    expected.sort_unstable();
    assert_eq!(waiting, expected, "what was refused replaces nothing");
}

#[test]
fn what_reads_goes_on_while_the_disk_is_full() {
    let disk = Disk::default();
    let mut world = disk.world();
    let blocks = line(&genesis(), 3, 1);
    world.take_all(&blocks[..2]);
    disk.fail_after(0, ErrorKind::StorageFull);
    assert_eq!(world.take(&blocks[2]), BlockOutcome::NoRoom);
    assert!(!world.reader.is_sound());
    assert_eq!(world.block(BlockKey::Hash(hash(&blocks[1]))), Some(blocks[1].clone()));
    assert_eq!(world.tip().hash, hash(&blocks[1]));
    assert_eq!(world.take(&blocks[1]), BlockOutcome::Known);
    let outcome = world.offer(&pay(1, 2, 1, 1, 0), Origin::Operator);
    assert_eq!(outcome, TransactionOutcome::NotNow(TransactionFault::NoRoom), "it could not be stored");
    let mut wrong = pay(1, 2, 1, 1, 0);
    wrong[152] ^= 1;
    assert_eq!(world.offer(&wrong, Origin::Peer), TransactionOutcome::NeverValid(TransactionFault::Signature));
    let wrong = Draft::on(&blocks[1]).fail_to_mine();
    assert!(matches!(world.take(&wrong), BlockOutcome::Invalid(_)));
    disk.heal();
    world.pass(Duration::from_millis(500));
    assert_eq!(world.block(BlockKey::Hash(hash(&blocks[1]))), Some(blocks[1].clone()));
    assert_eq!(world.offer(&pay(1, 2, 1, 1, 0), Origin::Operator), TransactionOutcome::Accepted);
}

#[test]
fn a_failed_commit_takes_back_what_the_batch_did_to_the_mempool() {
    for left in 0..25 {
        let disk = Disk::default();
        let mut world = disk.world();
        let own = pay(1, 2, 1, 1, 0);
        assert_eq!(world.offer(&own, Origin::Operator), TransactionOutcome::Accepted);
        world.offer(&pay(3, 2, 1, 1, 0), Origin::Peer);
        let waiting = world.waiting();
        let block = Draft::on(&genesis()).with(&[own, pay(3, 2, 1, 1, 0)]).mine();
        disk.fail_after(left, ErrorKind::StorageFull);
        let (asked, _) = world.batch(vec![
            Request::TakeBlock(block.clone()),
            Request::TakeTransactions {
                transactions: vec![Bytes::copy_from_slice(&pay(1, 2, 1, 1, 1))],
                origin: Origin::Operator,
            },
        ]);
        let Answer::BlockTaken { outcome, .. } = asked[0] else { panic!("{asked:?}") };
        disk.heal();
        if outcome == BlockOutcome::Accepted {
            assert!(left > 5);
            continue;
        }
        assert_eq!(outcome, BlockOutcome::NoRoom);
        let refused = TransactionOutcome::NotNow(TransactionFault::NoRoom);
        assert!(matches!(&asked[1], Answer::TransactionsTaken(taken) if taken[0].1 == refused), "{asked:?}");
        world.pass(Duration::from_millis(500));
        let there = world.waiting();
        let came_through = world.tip().height == 1;
        match came_through {
            true => assert_eq!(there, [transaction_id(&pay(1, 2, 1, 1, 1))]),
            false => assert_eq!(there, waiting),
        }
        let taken = world.take(&block);
        assert_eq!(taken, if came_through { BlockOutcome::Known } else { BlockOutcome::Accepted });
        let left = world.waiting();
        drop(world);
        assert_eq!(disk.world().waiting(), left);
    }
}

#[test]
fn a_disk_that_breaks_its_word_is_not_trusted_again() {
    let blocks = line(&genesis(), 30, 1);
    for left in 0..100 {
        let disk = Disk::default();
        let mut world = disk.world();
        world.take_all(&blocks[..2]);
        disk.fail_after(left, ErrorKind::Other);
        let refused = blocks.iter().skip(2).find(|block| world.take(block) != BlockOutcome::Accepted);
        let refused = refused.expect("the disk fails some time");
        let height = read(refused).1.height;
        disk.heal();
        world.pass(Duration::from_secs(60));
        assert_eq!(world.take(refused), BlockOutcome::NoRoom, "after {left}");
        assert_eq!(world.tip().height, height - 1);
        assert!(!world.reader.is_sound());
        drop(world);
        // A new start reads what the disk really holds.
        let mut world = disk.world();
        let tip = world.tip().height;
        assert!(tip == height - 1 || tip == height, "after {left}");
        world.take_all(&blocks[tip as usize..]);
    }
}

#[test]
fn a_producer_whose_disk_fails_sleeps_until_it_can_do_something() {
    for (kind, pause) in [(ErrorKind::StorageFull, Some(Duration::from_millis(500))), (ErrorKind::Other, None)] {
        let disk = Disk::default();
        let producer = Producer { key: key(1), interval: Duration::from_secs(1), seed: [1; 32] };
        let config = Config { producer: Some(producer), ..Config::in_memory(NetworkParameters::anya_devnet()) };
        let (mut ledger, reader) = Reference::open_with_backend(disk.clone(), config).expect("opens");
        let mut now = Now { unix_ms: 1_767_225_700_000, ..Now::default() };
        disk.fail_after(0, kind);
        // The first call draws when the first block is due, the one then finds that the disk refuses it.
        for _ in 0..100 {
            ledger.wake(now, &mut Vec::new());
            now = now.after(Duration::from_millis(50));
        }
        assert!(!reader.is_sound());
        let next = ledger.next_wake(now);
        assert!(next.is_none_or(|at| at > now.monotonic), "{kind:?}: it would be woken at once for ever, {next:?}");
        assert_eq!(next.map(|at| at.since(now.monotonic) <= pause.unwrap_or_default()), pause.map(|_| true));
        disk.heal();
        let mut answers = Vec::new();
        for _ in 0..50 {
            now = now.after(Duration::from_millis(100));
            ledger.wake(now, &mut answers);
        }
        // A full disk that has room again is used; one that broke its word waits for a new start.
        assert_eq!(answers.iter().any(|(_, answer)| matches!(answer, Answer::NewTip { .. })), pause.is_some());
    }
}

#[test]
fn whatever_a_crash_leaves_has_every_acknowledged_block() {
    let disk = Disk::default();
    let mut world = disk.world();
    let founded = disk.changes();
    let (ours, theirs) = (line(&genesis(), 6, 1), line(&genesis(), 9, 2));
    // How many changes had been made when which tip was acknowledged.
    let mut acknowledged = vec![(founded, world.tip())];
    for block in ours.iter().chain(&theirs) {
        world.take_all([block]);
        acknowledged.push((disk.changes(), world.tip()));
    }
    let (disk, changes) = (disk.copy(), disk.changes());
    let mut random = Random::new([3; 32]);
    let rounds = std::env::var("LEDGER_CRASHES").ok().and_then(|rounds| rounds.parse().ok()).unwrap_or(400);
    for round in 0..rounds {
        let at = founded + random.below(changes - founded + 1);
        let mut after = disk.crashed(at, &mut random).world();
        let last = acknowledged.iter().rposition(|(when, _)| *when <= at).expect("founded");
        let tip = after.tip();
        // The crash may have come between a commit and its acknowledgement.
        let next = acknowledged.get(last + 1).map_or(tip, |(_, tip)| *tip);
        assert!(tip == acknowledged[last].1 || tip == next, "round {round}, change {at}");
        let producer = if tip.height > 6 { 2 } else { 1 };
        assert_eq!(after.reader.account(&[producer; 32]).balance, tip.height * 50);
        assert_eq!(after.balance(1), 1_000_000_000);
        assert_eq!(after.reader.account(&key(1)).sequence, 0);
    }
}
