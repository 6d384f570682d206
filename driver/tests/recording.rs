//! Tells how a recording is made, replayed, and found out when it is damaged.

mod support;

use polypeer_driver::{Handle, ReplayError, head, replay, start};
use polypeer_engine::Event;
use polypeer_engine::journal::{self, Damage, Head, Holds};
use polypeer_store::Store;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use support::{Client, Config, Echo, LIMIT, Parrot, network};

fn run_recording(path: &Path) -> Handle<Echo> {
    let mut network = network(Config { needs_greeting: true, ..Config::default() });
    network.record = Some(path.to_path_buf());
    start(network, Parrot::default(), Some(Store::in_memory().expect("memory"))).expect("a free port")
}

// All kinds of things happen to a node.
async fn live(node: Handle<Echo>) {
    let mut clients = Vec::new();
    for _ in 0..3 {
        let mut client = Client::connect(&node).await;
        client.ask(b'h', b"").await;
        clients.push(client);
    }
    for number in 0..200u8 {
        clients[0].ask(b'e', &[number; 300]).await;
        clients[1].send(b'b', &[number; 100]).await;
        clients[2].ask(b'a', &[number]).await;
        clients[0].send(b's', &[number]).await;
    }
    clients[1].send(b'r', &50u32.to_be_bytes()).await;
    clients[2].send(b'l', b"").await;
    clients[0].send(b'e', &[1; 200_000]).await;
    while clients[2].receive().await.is_some() {}
    drop(clients);
    tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    node.drain(LIMIT).await;
}

async fn record() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("node.journal");
    live(run_recording(&path)).await;
    (folder, path)
}

#[tokio::test]
async fn a_recording_replays_with_the_same_effects() {
    let (_folder, path) = record().await;
    let replayed = replay::<Echo>(&path).unwrap();
    assert_eq!(replayed.network, "echo-test");
    assert!(replayed.steps > 800, "{} steps", replayed.steps);
    assert!(!replayed.was_cut);
    assert_eq!(replayed.bytes, std::fs::metadata(&path).unwrap().len());
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
}

#[tokio::test]
async fn a_recording_that_a_crash_cut_off_is_good_up_to_there() {
    let (folder, path) = record().await;
    let whole = std::fs::read(&path).unwrap();
    let cut = folder.path().join("cut");
    let steps = replay::<Echo>(&path).unwrap().steps;
    for lost in [1, 7, 8, 9, 20] {
        std::fs::write(&cut, &whole[..whole.len() - lost]).unwrap();
        let replayed = replay::<Echo>(&cut).unwrap();
        assert!(replayed.was_cut && replayed.steps < steps, "{lost} bytes lost");
    }
}

#[tokio::test]
async fn a_flipped_bit_is_told_with_its_place() {
    let (folder, path) = record().await;
    let mut bytes = std::fs::read(&path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 4;
    let damaged = folder.path().join("damaged");
    std::fs::write(&damaged, &bytes).unwrap();
    match replay::<Echo>(&damaged) {
        Err(ReplayError::Damaged { offset, .. }) => assert!(offset <= middle as u64),
        other => panic!("{other:?}"),
    }
    std::fs::write(&damaged, b"no journal at all").unwrap();
    assert!(matches!(replay::<Echo>(&damaged), Err(ReplayError::Foreign)));
    std::fs::write(&damaged, &bytes[..10]).unwrap();
    assert!(matches!(replay::<Echo>(&damaged), Err(ReplayError::Damaged { damage: Damage::Cut, .. })));
}

#[tokio::test]
async fn another_course_of_events_is_found_out() {
    let (folder, path) = record().await;
    let bytes = std::fs::read(&path).unwrap();
    // A whole entry taken out, not the head or the start: what comes after cannot all give the same effects.
    let mut at = 8;
    let mut entries = Vec::new();
    while let Ok((_, length)) = polypeer_engine::journal::entry(&bytes[at..]) {
        entries.push(at..at + length);
        at += length;
    }
    let other = folder.path().join("other");
    let found = (2..40).any(|skipped| {
        let range = &entries[skipped];
        std::fs::write(&other, [&bytes[..range.start], &bytes[range.end..]].concat()).unwrap();
        matches!(replay::<Echo>(&other), Err(ReplayError::Differs { .. }))
    });
    assert!(found, "{} entries", entries.len());
}

#[tokio::test]
async fn another_format_and_another_kind_of_recording_are_told_apart() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("other");
    let write = |entry: &dyn Fn(&mut Vec<u8>)| {
        let mut bytes = journal::MAGIC.to_vec();
        entry(&mut bytes);
        std::fs::write(&path, bytes).unwrap();
    };
    // What the format before this one began with.
    write(&|bytes| journal::put(&(1u16, "echo", "echo-test", 7u8), bytes).unwrap());
    match replay::<Echo>(&path) {
        Err(error @ ReplayError::Version { version: 1, .. }) => assert!(error.to_string().contains("reads format 3")),
        other => panic!("{other:?}"),
    }
    write(&|bytes| journal::put(&Head::new("parrot", Holds::Node), bytes).unwrap());
    assert!(matches!(replay::<Echo>(&path), Err(ReplayError::Other(head)) if head.protocol == "parrot"));
    write(&|bytes| journal::put(&Head::new("echo", Holds::Simulation), bytes).unwrap());
    assert_eq!(head(&path).unwrap().holds, Holds::Simulation);
    assert!(matches!(replay::<Echo>(&path), Err(ReplayError::Other(_))));
}

#[tokio::test]
async fn a_full_disk_ends_the_recording_and_not_the_node() {
    let mut network = network(Config::default());
    network.record = Some("/dev/full".into());
    let node = start(network, Parrot::default(), None).unwrap();
    let mut events = node.events();
    let mut client = Client::connect(&node).await;
    let mut notes = 0;
    for number in 0..200u8 {
        assert_eq!(client.ask(b'e', &[number]).await, Some((b'e', vec![number])));
        tokio::time::sleep(std::time::Duration::from_millis(1)).await;
    }
    while let Ok((_, event)) = events.try_recv() {
        notes += usize::from(matches!(event, Event::Note(text) if text.contains("recording")));
    }
    assert!(notes >= 1, "somebody is told");
    node.drain(LIMIT).await;
}
