//! Tells what a store keeps: over a restart, over a crash at any write, and what it refuses.

use bytes::Bytes;
use polypeer_engine::{Record, Table};
use polypeer_sim::Tape;
use polypeer_store::{KEY_BYTES_MAX, OpenError, Store, VALUE_BYTES_MAX};
use std::io::ErrorKind;

fn record(table: Table, key: &str, value: Option<&str>) -> Record {
    Record {
        table,
        key: Bytes::copy_from_slice(key.as_bytes()),
        value: value.map(|value| Bytes::copy_from_slice(value.as_bytes())),
    }
}

#[test]
fn what_was_saved_is_there_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("peers.redb");
    let kept = [
        record(Table::Addresses, "a", Some("1")),
        record(Table::Addresses, "b", Some("")),
        record(Table::Bans, "a", Some("2")),
        record(Table::Anchors, "", Some("3")),
        record(Table::Protocol, "z", Some("4")),
    ];
    assert_eq!(Store::open(&path).unwrap().save(&kept).unwrap().kept, 5);
    let store = Store::open(&path).unwrap();
    assert_eq!(store.load().unwrap(), kept);
    store.save(&[record(Table::Addresses, "a", None), record(Table::Bans, "a", Some("5"))]).unwrap();
    drop(store);
    let loaded = Store::open(&path).unwrap().load().unwrap();
    assert_eq!(loaded.len(), 4);
    assert!(loaded.contains(&record(Table::Bans, "a", Some("5"))));
    assert!(!loaded.contains(&record(Table::Addresses, "a", Some("1"))));
}

#[test]
fn the_latest_of_a_key_in_one_batch_stays() {
    let store = Store::in_memory().unwrap();
    store.save(&[record(Table::Bans, "k", Some("old")), record(Table::Bans, "k", Some("new"))]).unwrap();
    assert_eq!(store.load().unwrap(), [record(Table::Bans, "k", Some("new"))]);
}

#[test]
fn records_that_are_too_large_are_refused_and_the_rest_is_kept() {
    let store = Store::in_memory().unwrap();
    let long_key = "k".repeat(KEY_BYTES_MAX + 1);
    let long_value = "v".repeat(VALUE_BYTES_MAX + 1);
    let batch = [
        record(Table::Protocol, &long_key, Some("")),
        record(Table::Protocol, "long", Some(&long_value)),
        record(Table::Protocol, "fits", Some(&long_value[1..])),
    ];
    let saved = store.save(&batch).unwrap();
    assert_eq!((saved.kept, saved.refused), (1, 2));
    assert_eq!(store.load().unwrap(), [batch[2].clone()]);
}

#[test]
fn a_file_that_is_open_is_in_use() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("peers.redb");
    let _first = Store::open(&path).unwrap();
    assert!(matches!(Store::open(&path), Err(OpenError::InUse)));
}

#[test]
fn what_is_no_store_is_not_overwritten() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("peers.redb");
    std::fs::write(&path, b"a letter to my grandmother, and rather longer than any magic number").unwrap();
    assert!(Store::open(&path).is_err());
    assert!(std::fs::read(&path).unwrap().starts_with(b"a letter"));
}

#[test]
fn a_batch_cut_off_at_any_operation_is_whole_or_absent() {
    for operations in 0..200 {
        let disk = Tape::default();
        let store = Store::open_with_backend(disk.clone()).unwrap();
        let first = [record(Table::Addresses, "a", Some("1")), record(Table::Bans, "b", Some("1"))];
        let second = [record(Table::Addresses, "a", Some("2")), record(Table::Bans, "b", Some("2"))];
        store.save(&first).unwrap();
        disk.fail_after(operations, ErrorKind::Other);
        let was_kept = store.save(&second).is_ok();
        drop(store);
        disk.heal();
        let loaded = Store::open_with_backend(disk).unwrap().load().unwrap();
        assert!(loaded == first || loaded == second, "after {operations} operations");
        assert!(!was_kept || loaded == second, "an acknowledged batch is gone after {operations} operations");
        if was_kept {
            return;
        }
    }
    panic!("the batch never went through");
}

#[test]
fn a_flipped_bit_is_told_and_never_loaded() {
    let disk = Tape::default();
    let value = "a value that can be found in the image";
    let store = Store::open_with_backend(disk.clone()).unwrap();
    store.save(&[record(Table::Protocol, "key", Some(value))]).unwrap();
    drop(store);
    let (mut bytes, needle) = (disk.bytes(), value.as_bytes());
    let places: Vec<_> =
        (0..bytes.len() - needle.len()).filter(|at| &bytes[*at..at + needle.len()] == needle).collect();
    assert!(!places.is_empty());
    for at in places {
        bytes[at] ^= 1;
    }
    let disk = Tape::holding(bytes);
    assert!(matches!(Store::open_with_backend(disk), Err(OpenError::Damaged { offset, .. }) if offset > 0));
}

// Files of a process that may hold no more than so much; the shell counts in blocks of 512 or 1024 bytes.
const STORY: &str = "POLYPEER_TEST_STORY";

#[test]
fn a_full_disk_refuses_a_batch_and_takes_it_when_there_is_room() {
    let Ok(folder) = std::env::var(STORY) else {
        // A limit on the size of files belongs to a whole process: this very test runs again in one of its own.
        let folder = tempfile::tempdir().unwrap();
        let program = std::env::current_exe().unwrap();
        let name = "a_full_disk_refuses_a_batch_and_takes_it_when_there_is_room";
        let shell = format!("trap '' XFSZ; ulimit -S -f 8000 && exec \"$0\" --exact {name} --nocapture");
        let mut command = std::process::Command::new("sh");
        let output = command.arg("-c").arg(shell).arg(program).env(STORY, folder.path()).output().unwrap();
        let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success() && out.contains("1 passed"), "{out}\n{err}");
        return;
    };
    let store = Store::open(std::path::Path::new(&folder).join("peers.redb")).unwrap();
    let small = record(Table::Bans, "small", Some("kept"));
    store.save(std::slice::from_ref(&small)).unwrap();
    let large = "x".repeat(60_000);
    let keys: Vec<String> = (0..400).map(|number| format!("key {number}")).collect();
    let batch: Vec<_> = keys.iter().map(|key| record(Table::Protocol, key, Some(&large))).collect();
    assert!(store.save(&batch).is_err(), "24 MB do not fit");
    assert_eq!(store.load().unwrap(), [small], "what was kept is still there");
    assert!(store.save(&batch).is_err(), "still not");
    assert_eq!(store.save(&batch[..10]).unwrap().kept, 10, "less does");
    assert_eq!(store.load().unwrap().len(), 11);
}
