//! Stores that are full, that fail, and whose last writes a crash cut.

use crate::votes::Disks;
use crate::world::{COINS, Draft, RESERVE, World, person, rules};
use bytes::Bytes;
use polypeer_bumo::ledger::{CloseError, Origin, Tip, Verdict};
use polypeer_bumo::wire::ErrorCode;
use polypeer_ledger_bumo::{Bumo, Config, LedgerKey, OpenError};
use polypeer_sim::Tape;
use std::io::ErrorKind;
use std::sync::Arc;
use std::time::Duration;

/// Ledgers of one validator with a payment in each.
fn ledgers(count: i64) -> Vec<(Bytes, Bytes, Tip)> {
    let mut world = World::new(1);
    let (genesis, a) = (person("genesis"), person("acct-a"));
    let pay = |nonce| Draft::of(&genesis, nonce).pays(&a.address, RESERVE).seal();
    let ledger = |nonce| {
        assert_eq!(world.submit(&pay(nonce)), Verdict::Accepted);
        world.advance()
    };
    (1..=count).map(ledger).collect()
}

fn open(disk: &Tape) -> Result<World, OpenError> {
    let none = || Arc::new(Tape::default()) as _;
    let config = Config::in_memory(rules(1));
    Ok(World::over(Bumo::open_with_backend(disk.clone(), [none(), none()], config)?, 1))
}

/// Everything that a reader may rely on.
fn check(world: &mut World, ledgers: &[(Bytes, Bytes, Tip)]) -> usize {
    let standing = world.reader.standing();
    let durable = standing.header.number as usize - 1;
    assert_eq!(world.tip().seq as usize - 1, durable);
    for (place, (value, proof, tip)) in ledgers[..durable].iter().enumerate() {
        let ledger = world.reader.ledger(&LedgerKey::Number(place as u64 + 2)).unwrap();
        assert_eq!((ledger.header.hash, &ledger.value), (Some(tip.hash), value));
        let served = world.serve(tip.seq, tip.seq).unwrap();
        assert_eq!((&served.values[0], &served.proof), (value, proof));
        let outcome = world.reader.transaction(&ledger.transactions[0]).unwrap().place.unwrap();
        assert_eq!((outcome.ledger, outcome.code), (tip.seq as u64, ErrorCode::SUCCESS));
    }
    if durable > 0 {
        let account = |name| world.reader.account(&person(name).address).unwrap();
        assert_eq!(account("acct-a").balance, RESERVE * durable as i64);
        assert_eq!(account("genesis").nonce, durable as i64);
        let all = ["acct-a", "genesis", "validator-0"].map(|name| account(name).balance).iter().sum::<i64>();
        assert_eq!(all, COINS + 800_000_000 * durable as i64, "no coin is lost and none is made but the reward");
    }
    durable
}

#[test]
fn a_ledger_that_is_opened_again_goes_on_where_it_was() {
    let ledgers = ledgers(20);
    let disk = Tape::default();
    for (value, proof, tip) in &ledgers {
        let mut world = open(&disk).unwrap();
        assert_eq!(world.tip().seq, tip.seq - 1);
        assert_eq!(world.close(value, proof), Ok(Tip { signer: None, ..tip.clone() }));
    }
    assert_eq!(check(&mut open(&disk).unwrap(), &ledgers), 20);
}

#[test]
fn every_torn_write_leaves_a_commit_that_was() {
    let ledgers = ledgers(12);
    let disk = Tape::default();
    let mut world = open(&disk).unwrap();
    let mut history = vec![(disk.changes(), 0)];
    for (place, (value, proof, _)) in ledgers.iter().enumerate() {
        world.close(value, proof).unwrap();
        // Some ledgers share a commit.
        if place % 3 != 1 {
            world.settle();
            history.push((disk.changes(), place + 1));
        }
    }
    let mut tried = 0;
    disk.each_torn(24, |moment, torn| {
        let found = check(&mut open(&torn).unwrap(), &ledgers);
        let last = history.iter().rposition(|(changes, _)| *changes <= moment).unwrap();
        let next = history.len().min(last + 2);
        assert!(history[last..next].iter().any(|(_, durable)| *durable == found), "change {moment}");
        tried += 1;
    });
    println!("{tried} images of torn writes");
    assert!(tried > 24);
}

#[test]
fn what_is_closed_while_the_disk_is_full_waits_for_room() {
    let ledgers = ledgers(30);
    let mut came_back = 0;
    for left in 0..60 {
        let disk = Tape::default();
        let mut world = open(&disk).unwrap();
        world
            .take_all(&ledgers[..3].iter().map(|(value, proof, _)| (value.clone(), proof.clone())).collect::<Vec<_>>());
        world.settle();
        disk.fail_after(left, ErrorKind::StorageFull);
        let mut closed = 3;
        for (value, proof, tip) in &ledgers[3..] {
            match world.close(value, proof) {
                Ok(new) => {
                    assert_eq!(new.hash, tip.hash);
                    closed += 1;
                }
                // It cannot be read: whether a commit that failed at its end came through is not known.
                Err(error) => assert_eq!(error, CloseError::Store),
            }
            if closed < tip.seq as usize - 1 {
                break;
            }
            world.settle();
        }
        assert!(!world.reader.is_sound(), "after {left}");
        assert!(world.reader.standing().header.number as usize <= closed + 1);
        disk.heal();
        world.pass(Duration::from_millis(500));
        assert!(world.reader.is_sound());
        for (value, proof, _) in &ledgers[closed..] {
            world.close(value, proof).unwrap();
        }
        world.settle();
        assert_eq!(check(&mut world, &ledgers), 30);
        drop(world);
        assert_eq!(check(&mut open(&disk).unwrap(), &ledgers), 30);
        came_back += 1;
    }
    assert_eq!(came_back, 60);
}

#[test]
fn a_disk_that_breaks_its_word_is_not_written_again() {
    let ledgers = ledgers(10);
    for left in 0..20 {
        let disk = Tape::default();
        let mut world = open(&disk).unwrap();
        disk.fail_after(left, ErrorKind::Other);
        for (value, proof, _) in &ledgers {
            if world.close(value, proof).is_err() {
                break;
            }
            world.settle();
        }
        disk.heal();
        let changes = disk.changes();
        world.pass(Duration::from_secs(60));
        assert!(!world.reader.is_sound(), "after {left}");
        assert_eq!(disk.changes(), changes);
        drop(world);
        let mut world = open(&disk).unwrap();
        let durable = check(&mut world, &ledgers);
        for (value, proof, _) in &ledgers[durable..] {
            world.close(value, proof).unwrap();
        }
        world.settle();
        assert_eq!(check(&mut world, &ledgers), 10);
    }
}

#[test]
fn an_operators_transaction_that_cannot_be_stored_is_refused_and_a_validator_votes_on() {
    let disks = Disks::default();
    let mut world = disks.world();
    let (genesis, a) = (person("genesis"), person("acct-a"));
    let pay = |nonce| Draft::of(&genesis, nonce).pays(&a.address, RESERVE).seal();
    disks.store.fail_after(0, ErrorKind::StorageFull);
    // The vote log keeps it, until it shows that the store cannot.
    assert_eq!(world.offer(&pay(1), Origin::Operator).1, Verdict::Accepted);
    world.pass(Duration::from_millis(50));
    assert!(!world.reader.is_sound());
    assert_eq!(world.offer(&pay(2), Origin::Operator).1, Verdict::Refused(ErrorCode::INTERNAL_ERROR));
    assert_eq!(world.reader.waiting(9).0, 1);
    // Votes have a file of their own.
    assert!(world.sign(&crate::votes::prepare(2, 0, [1; 32]), b"kept").is_ok());
    disks.store.heal();
    world.pass(Duration::from_millis(500));
    assert_eq!(world.offer(&pay(2), Origin::Operator).1, Verdict::Accepted);
    for disks in [disks.killed(), disks] {
        assert_eq!(disks.killed().world().reader.waiting(9).0, 2);
    }
}

#[test]
fn an_operators_transaction_that_neither_log_nor_store_takes_is_refused() {
    let disks = Disks::default();
    let mut world = disks.world();
    let (genesis, a) = (person("genesis"), person("acct-a"));
    let pay = Draft::of(&genesis, 1).pays(&a.address, RESERVE).seal();
    disks.votes.iter().for_each(|tape| tape.fail_after(0, ErrorKind::Other));
    assert_eq!(world.offer(&pay, Origin::Operator).1, Verdict::Accepted, "the store takes it");
    let pay = Draft::of(&genesis, 2).pays(&a.address, RESERVE).seal();
    disks.store.fail_after(0, ErrorKind::StorageFull);
    assert_eq!(world.offer(&pay, Origin::Operator).1, Verdict::Refused(ErrorCode::INTERNAL_ERROR));
    assert_eq!(world.reader.waiting(9).0, 1);
}

#[test]
fn a_store_without_room_closes_nothing_and_serves_on() {
    let ledgers = ledgers(8);
    let mut config = Config::in_memory(rules(1));
    let bytes: usize = ledgers[..5].iter().map(|(value, ..)| value.len()).sum();
    config.limits.store_bytes = bytes as u64;
    let mut world = World::open(config, 1);
    for (value, proof, _) in &ledgers[..5] {
        world.close(value, proof).unwrap();
    }
    assert_eq!(world.close(&ledgers[5].0, &ledgers[5].1), Err(CloseError::Store));
    assert_eq!(world.serve(2, 6).unwrap().values.len(), 5);
}
