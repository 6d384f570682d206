//! Damages every file that the program reads: a clear error with the place and an exit code, never a panic, and the
//! file is left as it is.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail where they stand")]

mod support;

use polypeer::anya::Anya;
use polypeer::driver::{ReplayError, Replayed, replay};
use polypeer::engine::journal::Damage;
use polypeer::reference::{Config, Format, NetworkParameters, OpenError, Reference};
use polypeer::store::file::FileError;
use polypeer::store::{self, Store};
use std::path::Path;
use support::{Daemon, eventually, folder, output, text};

/// Damages of one kind that are tried: a few, or as many as the environment says.
fn images(few: usize) -> usize {
    std::env::var("POLYPEER_TEST_IMAGES").ok().and_then(|count| count.parse().ok()).unwrap_or(few)
}

/// So many places of a file, and as many in its first 600 bytes, which have most to say.
fn places(length: usize, count: usize) -> impl Iterator<Item = usize> {
    let step = |length: usize| (length / count.max(1)).max(1);
    (0..length.min(600)).step_by(step(600)).chain((600..length).step_by(step(length)))
}

/// A node's folder after a life: a chain, a peer that it knows, secrets, a recording.
fn lived(folder: &Path) {
    let record = folder.join("node.journal");
    let more = ["--produce", "--record", record.to_str().unwrap()];
    let args = [&["run", "--network", "anya-devnet", "--listen", "127.0.0.1:0"][..], &more].concat();
    let node = Daemon::start(&args, folder, &[("POLYPEER_ANYA_DEVNET__PRODUCE_INTERVAL", "50ms")]);
    let other = support::folder();
    let other = Daemon::run("anya-devnet", other.path(), &["--add-peer", &node.address()]);
    node.command(&["peers", "add", &other.address()]);
    eventually("blocks are relayed", || (other.height() > 5).then_some(()));
    assert_eq!(node.stop().code(), Some(143));
}

fn replayed(path: &Path) -> Result<Replayed, ReplayError> {
    replay::<Anya<Format>>(path)
}

#[test]
fn a_damaged_recording_is_told_with_its_place() {
    let folder = folder();
    lived(folder.path());
    let path = folder.path().join("node.journal");
    let whole = std::fs::read(&path).unwrap();
    let good = replayed(&path).unwrap();
    assert!(good.steps > 10 && !good.was_cut);
    let damaged = folder.path().join("damaged.journal");
    let (mut told, mut cut) = (0, 0);
    for at in places(whole.len(), images(60)) {
        let mut bytes = whole.clone();
        bytes[at] ^= 0x10;
        std::fs::write(&damaged, &bytes).unwrap();
        match replayed(&damaged) {
            Err(ReplayError::Foreign) => assert!(at < 8),
            Err(ReplayError::Damaged { offset, .. }) => assert!(offset <= at as u64, "byte {at}, said {offset}"),
            // A length that has grown looks as if the end were missing.
            Ok(Replayed { was_cut: true, steps, .. }) => assert!(steps < good.steps),
            other => panic!("byte {at}: {other:?}"),
        }
        assert_eq!(std::fs::read(&damaged).unwrap(), bytes);
        told += 1;
    }
    for length in places(whole.len(), images(60)) {
        std::fs::write(&damaged, &whole[..length]).unwrap();
        match replayed(&damaged) {
            Err(ReplayError::Foreign) => assert!(length < 8),
            Err(ReplayError::Damaged { damage: Damage::Cut, .. }) => assert!(length < 2_000),
            Ok(Replayed { steps, bytes, .. }) => assert!(steps < good.steps && bytes <= length as u64),
            other => panic!("{length} bytes: {other:?}"),
        }
        cut += 1;
    }
    println!("{told} damaged recordings, {cut} cut ones");
}

#[test]
fn damaged_stores_are_told_or_harmless_and_left_as_they_are() {
    let folder = folder();
    lived(folder.path());
    let damaged = folder.path().join("damaged.redb");
    let chain = std::fs::read(folder.path().join("anya-devnet/chain.redb")).unwrap();
    let open_chain = || {
        let config = Config::in_memory(NetworkParameters::anya_devnet());
        match Reference::open(Config { path: Some(damaged.clone()), ..config }) {
            Ok(_) => None,
            Err(OpenError::File(FileError::Damaged { offset, .. })) => Some(offset),
            Err(OpenError::File(_)) => Some(0),
            Err(other) => panic!("{other}"),
        }
    };
    every_damage(&chain, &damaged, &open_chain);
    let peers = std::fs::read(folder.path().join("anya-devnet/peers.redb")).unwrap();
    let open_peers = || match Store::open(&damaged) {
        Ok(store) => {
            store.load().unwrap();
            None
        }
        Err(store::OpenError::Damaged { offset, .. }) => Some(offset),
        Err(store::OpenError::Version { .. } | store::OpenError::Storage(_)) => Some(0),
        Err(other) => panic!("{other}"),
    };
    every_damage(&peers, &damaged, &open_peers);
}

/// Changes bytes and cuts the file off, at many places. `open` gives the place of the damage where it is told.
fn every_damage(whole: &[u8], path: &Path, open: &dyn Fn() -> Option<u64>) {
    let (mut told, mut harmless) = (0, 0);
    for at in places(whole.len(), images(60)) {
        let changed = whole.iter().enumerate().map(|(place, byte)| if place == at { byte ^ 0x10 } else { *byte });
        // Cut at nothing it is a new file.
        for bytes in [changed.collect::<Vec<_>>(), whole[..at.max(1)].to_vec()] {
            std::fs::write(path, &bytes).unwrap();
            match open() {
                Some(offset) => {
                    told += 1;
                    assert!(offset <= whole.len() as u64);
                    assert!(std::fs::read(path).unwrap() == bytes, "byte {at}: a refused file is left as it is");
                }
                None => harmless += 1,
            }
        }
    }
    println!("{told} told, {harmless} harmless");
    assert!(told > 100 && harmless > 0);
}

#[test]
fn whatever_is_damaged_the_command_says_which_and_where() {
    let place = folder();
    lived(place.path());
    let path = |name: &str| place.path().join(name);
    let config = path("polypeer.toml");
    std::fs::write(path("as.map"), "10.0.0.0/8 64512\n").unwrap();
    let map = path("as.map");
    let settings = format!("[anya-devnet]\nout_peers = 3\n[limits]\nasmap = \"{}\"\n", map.display());
    std::fs::write(&config, settings).unwrap();
    let (data, config) = (place.path().to_str().unwrap(), config.to_str().unwrap());
    let api = ["--api", "127.0.0.1:0", "--metrics", "127.0.0.1:0"];
    let run = ["run", "--network", "anya-devnet", "--produce", "--listen", "127.0.0.1:0", "--data-dir", data];
    let run = [&run[..], &api, &["--config", config]].concat();
    let check = ["config", "check", config];
    assert!(output(&check).status.success());
    let journal = path("node.journal");
    let replay = ["replay", journal.to_str().unwrap()];
    // A file, how it is damaged, who reads it, the exit code, and what is said beside the file's name.
    type Damaging = fn(&mut Vec<u8>);
    let middle: Damaging = |bytes| {
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
    };
    let short: Damaging = |bytes| bytes.truncate(20);
    let foreign: Damaging = |bytes| *bytes = b"a letter to my grandmother".to_vec();
    let bracket: Damaging = |bytes| bytes[0] = b'(';
    for (name, damage, args, code, words) in [
        ("node.journal", middle, &replay[..], 1, "damaged at byte"),
        ("node.journal", short, &replay, 1, "damaged at byte 8"),
        ("node.journal", foreign, &replay, 1, "no recording"),
        ("anya-devnet/chain.redb", short, &run, 1, "damaged at byte 0"),
        ("anya-devnet/chain.redb", foreign, &run, 1, "damaged at byte 0"),
        ("anya-devnet/peers.redb", short, &run, 1, "damaged at byte 0"),
        ("anya-devnet/peers.redb", foreign, &run, 1, "damaged at byte 0"),
        ("producer.key", short, &run, 1, "64 hex digits"),
        ("producer.key", foreign, &run, 1, "64 hex digits"),
        ("api.token", short, &run, 1, "64 hex digits"),
        ("api.token", foreign, &run, 1, "64 hex digits"),
        ("polypeer.toml", bracket, &run, 78, "polypeer.toml:1"),
        ("polypeer.toml", foreign, &run, 78, "polypeer.toml:1"),
        ("as.map", foreign, &run, 1, "as.map:1: a line is"),
        ("as.map", foreign, &check, 1, "as.map:1: a line is"),
        ("as.map", bracket, &check, 1, "as.map:1: the prefix has no IP address"),
    ] {
        let whole = std::fs::read(path(name)).unwrap();
        let mut bytes = whole.clone();
        damage(&mut bytes);
        std::fs::write(path(name), &bytes).unwrap();
        let output = output(args);
        let stderr = text(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{name}: {stderr}");
        assert!(stderr.contains(name) && stderr.contains(words), "{name}: {stderr}");
        assert!(!stderr.contains("panicked") && stderr.lines().count() == 1, "{name}: {stderr}");
        assert!(std::fs::read(path(name)).unwrap() == bytes, "{name} is left as it is");
        std::fs::write(path(name), &whole).unwrap();
    }
}

#[test]
fn a_damaged_record_is_left_out_and_logged() {
    let place = folder();
    lived(place.path());
    let path = place.path().join("anya-devnet/peers.redb");
    let table: redb::TableDefinition<'_, &[u8], &[u8]> = redb::TableDefinition::new("records");
    let database = redb::Database::open(&path).unwrap();
    let transaction = database.begin_write().unwrap();
    transaction.open_table(table).unwrap().insert(&[1_u8, 0xab, 0xcd][..], &b"no such check"[..]).unwrap();
    transaction.commit().unwrap();
    drop(database);
    let node = Daemon::run("anya-devnet", place.path(), &[]);
    assert!(node.look("addresses").as_array().is_some_and(|known| !known.is_empty()), "the others are there");
    let said = node.stop_and_read();
    assert!(said.contains("peers.redb") && said.contains("table Bans, key abcd"), "{said}");
}
