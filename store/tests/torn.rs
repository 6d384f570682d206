//! Tells what a crash or a bad disk leaves of a store: a prefix of what was kept, or an error, never anything else.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail where they stand")]

use bytes::Bytes;
use polypeer_engine::{Random, Record, Table};
use polypeer_sim::Tape;
use polypeer_store::{LoadError, OpenError, SaveError, Store};
use std::io::ErrorKind;

/// Writes at the end of the history that are torn.
const LAST_WRITES: usize = 64;
/// redb's header, and what its page holds beside it.
const HEADER_BYTES: usize = 512;

/// How many images are tried where there are too many: as many as the environment says, or a few.
fn images(few: usize) -> usize {
    std::env::var("POLYPEER_TEST_IMAGES").ok().and_then(|count| count.parse().ok()).unwrap_or(few)
}

/// The batch of this number: some addresses, a ban, and something forgotten.
fn batch(number: u64) -> Vec<Record> {
    let record = |table, key: u64, value: Option<u64>| Record {
        table,
        key: Bytes::copy_from_slice(&key.to_be_bytes()),
        value: value.map(|value| Bytes::copy_from_slice(&value.to_be_bytes().repeat(5))),
    };
    let mut batch: Vec<_> =
        (0..12).map(|key| record(Table::Addresses, number * 7 + key, Some(number * 100 + key))).collect();
    batch.push(record(Table::Bans, number % 5, Some(number)));
    batch.push(record(Table::Addresses, number * 5, None));
    batch
}

/// A disk on which batches were kept: how many changes had been made when what was there.
struct History {
    disk: Tape,
    kept: Vec<(usize, Vec<Record>)>,
}

impl History {
    fn lived(batches: u64) -> Self {
        let disk = Tape::default();
        let store = Store::open_with_backend(disk.clone()).unwrap();
        let mut history = Self { disk: disk.clone(), kept: vec![(disk.changes(), Vec::new())] };
        for number in 0..batches {
            store.save(&batch(number)).unwrap();
            history.kept.push((disk.changes(), store.load().unwrap()));
        }
        // As a crash leaves it: closing changes the file.
        history.disk = disk.copy();
        history
    }

    /// What was kept when so many changes were made, and what would be next.
    fn at(&self, changes: usize) -> &[(usize, Vec<Record>)] {
        let last = self.kept.iter().rposition(|(count, _)| *count <= changes).expect("made by then");
        &self.kept[last..self.kept.len().min(last + 2)]
    }
}

#[test]
fn every_torn_write_of_the_last_64_leaves_what_was_kept() {
    let history = History::lived(24);
    let mut tried = 0;
    history.disk.each_torn(LAST_WRITES, |moment, torn| {
        let found = Store::open_with_backend(torn).unwrap().load().unwrap();
        assert!(history.at(moment).iter().any(|(_, it)| *it == found), "change {moment}");
        tried += 1;
    });
    println!("{tried} images of torn writes");
    assert!(tried > LAST_WRITES);
}

#[test]
fn whatever_a_crash_leaves_has_every_kept_batch() {
    let history = History::lived(24);
    let (made, changes) = (history.kept[0].0, history.disk.changes());
    let mut random = Random::new([4; 32]);
    for round in 0..images(1_000) {
        let at = made + random.below(changes - made + 1);
        let store = Store::open_with_backend(history.disk.crashed(at, &mut random)).unwrap();
        let found = store.load().unwrap();
        assert!(history.at(at).iter().any(|(_, it)| *it == found), "round {round}, change {at}");
    }
}

#[test]
fn a_turned_bit_is_told_or_harmless() {
    let history = History::lived(24);
    let image = history.disk.bytes();
    let mut random = Random::new([5; 32]);
    let (mut whole, mut earlier, mut told) = (0, 0, 0);
    let header: Vec<_> = (0..HEADER_BYTES).map(|byte| (byte, 1_u8 << random.below(8))).collect();
    let pages: Vec<_> = (0..images(1_500)).map(|_| (random.below(image.len()), 1_u8 << random.below(8))).collect();
    for (byte, bit) in header.into_iter().chain(pages) {
        let mut bytes = image.clone();
        bytes[byte] ^= bit;
        let disk = Tape::holding(bytes.clone());
        match Store::open_with_backend(disk.clone()) {
            Ok(store) => {
                let found = store.load().unwrap();
                let place = history.kept.iter().position(|(_, it)| *it == found);
                let place = place.unwrap_or_else(|| panic!("byte {byte}, bit {bit}: never kept"));
                match place + 1 == history.kept.len() {
                    true => whole += 1,
                    false => earlier += 1,
                }
            }
            Err(error) => {
                told += 1;
                assert!(matches!(error, OpenError::Damaged { .. } | OpenError::Storage(_) | OpenError::Version { .. }));
                assert_eq!(disk.bytes(), bytes, "a damaged file is left as it is: {error}");
            }
        }
    }
    println!("{whole} whole, {earlier} at an earlier commit, {told} told");
    assert!(told > 0 && whole > 0);
}

#[test]
fn a_file_of_any_bytes_is_told_and_left_as_it_is() {
    let whole = History::lived(4).disk.bytes();
    let mut random = Random::new([6; 32]);
    let mut tried = 0;
    for length in (1..400).chain((400..whole.len()).step_by(whole.len() / 60)) {
        let noise: Vec<u8> = (0..length).map(|_| random.number() as u8).collect();
        // Cut off, and nothing like it.
        for bytes in [whole[..length].to_vec(), noise] {
            let disk = Tape::holding(bytes.clone());
            let opened = Store::open_with_backend(disk.clone());
            assert!(matches!(opened, Err(OpenError::Damaged { .. })), "{length}: {opened:?}");
            assert_eq!(disk.bytes(), bytes);
            tried += 1;
        }
    }
    assert!(tried > 900);
}

#[test]
fn a_full_disk_at_any_call_loses_nothing_and_is_used_again_at_once() {
    let (mut refused, batches) = (0, 40);
    for left in 0..200 {
        let disk = Tape::default();
        let store = Store::open_with_backend(disk.clone()).unwrap();
        let mut expected = Vec::new();
        disk.fail_after(left, ErrorKind::StorageFull);
        for number in 0..batches {
            if store.save(&batch(number)).is_ok() {
                expected = store.load().unwrap();
                continue;
            }
            refused += 1;
            // What was kept is still there, while the disk is full and after.
            if let Ok(found) = store.load() {
                assert!(found == expected, "after {left}");
            }
            disk.heal();
            assert_eq!(store.save(&batch(number)).unwrap().kept, 14, "after {left}");
            expected = store.load().unwrap();
        }
        assert!(!expected.is_empty());
        drop(store);
        assert_eq!(Store::open_with_backend(disk).unwrap().load().unwrap(), expected, "after {left}");
    }
    assert_eq!(refused, 200);
}

#[test]
fn a_disk_that_breaks_its_word_is_not_trusted_again() {
    for left in 0..100 {
        let disk = Tape::default();
        let store = Store::open_with_backend(disk.clone()).unwrap();
        disk.fail_after(left, ErrorKind::Other);
        let mut kept = 0;
        while store.save(&batch(kept)).is_ok() {
            kept += 1;
        }
        disk.heal();
        let again = store.save(&batch(kept));
        assert!(matches!(again, Err(SaveError::Open(OpenError::Broken))), "after {left}: {again:?}");
        assert!(matches!(store.load(), Err(LoadError::Open(OpenError::Broken))));
        drop(store);
        // A new start reads what the disk really holds: all that was kept, and perhaps the batch that failed.
        let found = Store::open_with_backend(disk).unwrap().load().unwrap();
        let of = |batches| {
            let store = Store::in_memory().unwrap();
            (0..batches).for_each(|number| assert!(store.save(&batch(number)).is_ok()));
            store.load().unwrap()
        };
        assert!(found == of(kept) || found == of(kept + 1), "after {left}");
    }
}

#[test]
fn a_damaged_record_is_left_out_and_told() {
    // A check that is wrong although the page's sum is right: written by a broken program, or made so on purpose.
    let disk = Tape::default();
    let store = Store::open_with_backend(disk.clone()).unwrap();
    store.save(&batch(1)).unwrap();
    drop(store);
    let database = redb::Database::builder().create_with_backend(disk.clone()).unwrap();
    let table: redb::TableDefinition<'_, &[u8], &[u8]> = redb::TableDefinition::new("records");
    let transaction = database.begin_write().unwrap();
    let ban = [&[1_u8][..], &1_u64.to_be_bytes()].concat();
    {
        let mut table = transaction.open_table(table).unwrap();
        assert!(table.insert(ban.as_slice(), &b"no such check"[..]).unwrap().is_some());
        table.insert(&[77_u8, 1][..], &b""[..]).unwrap();
        table.insert(&[][..], &b""[..]).unwrap();
    }
    transaction.commit().unwrap();
    drop(database);
    let store = Store::open_with_backend(disk.clone()).unwrap();
    assert!(matches!(store.load(), Err(LoadError::Damaged(_))), "nobody listens");
    let told = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
    let of = told.clone();
    let store = store.on_damage(move |damaged| of.lock().expect("nothing panics under it").push(damaged.to_string()));
    let loaded = store.load().unwrap();
    assert_eq!(loaded.len(), 12);
    assert!(loaded.iter().all(|record| record.table == Table::Addresses));
    let told = told.lock().expect("nothing panics under it").clone();
    assert_eq!(told, ["unknown table, key ", "table Bans, key 0000000000000001", "unknown table, key 01"]);
    // It can be written again.
    store.save(&batch(1)).unwrap();
    assert_eq!(store.load().unwrap().len(), 13);
}
