//! Restarts, clean ones and kills.

use crate::world::{Draft, World, genesis, hash, key, line, pay, read};
use bytes::Bytes;
use polypeer_engine::kit::chain::{
    BlockFault, BlockKey, BlockOutcome, Hash, Origin, TransactionFault, TransactionOutcome,
};
use polypeer_ledger_reference::{Config, NetworkParameters, OpenError, Reference, TransactionBytes, transaction_id};
use polypeer_store::file::FileError;
use redb::{ReadableDatabase, ReadableTable, TableDefinition};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;
use tempfile::TempDir;

fn folder() -> (TempDir, PathBuf) {
    let folder = TempDir::new().expect("a temporary folder");
    let path = folder.path().join("ledger.redb");
    (folder, path)
}

#[test]
fn a_restart_continues_where_it_stopped() {
    let (_folder, path) = folder();
    let mut world = World::on(&path);
    let block = world.confirm(&[pay(1, 2, 5, 1, 0)]);
    let more = line(&block, 20, 4);
    world.take_all(&more);
    let tip = world.tip();
    drop(world);
    let mut world = World::on(&path);
    assert_eq!(world.tip(), tip);
    assert_eq!(world.reader.tip(), tip);
    assert_eq!(world.balance(2), 1_000_000_005);
    assert_eq!(world.block(BlockKey::Height(1)), Some(block));
    // The median's eleven blocks too.
    let median = read(&more[14]).1.time;
    let wrong = Draft::on(&more[19]).change(|header| header.time = median).mine();
    assert_eq!(world.take(&wrong), BlockOutcome::Invalid(BlockFault::Header));
    world.confirm(&[pay(1, 2, 5, 1, 1)]);
}

#[test]
fn first_seen_and_invalid_are_remembered() {
    let (_folder, path) = folder();
    let mut world = World::on(&path);
    let (ours, theirs) = (line(&genesis(), 2, 1), line(&genesis(), 2, 2));
    world.take_all(&ours);
    world.take_all(&theirs);
    let bad = Draft::on(&ours[1]).with(&[pay(1, 2, 5, 1, 7)]).mine();
    assert_eq!(world.take(&bad), BlockOutcome::Invalid(BlockFault::State));
    drop(world);
    let mut world = World::on(&path);
    assert_eq!(world.tip().hash, hash(&ours[1]));
    assert_eq!(world.take(&theirs[1]), BlockOutcome::Known);
    assert_eq!(world.take(&Draft::on(&bad).mine()), BlockOutcome::Invalid(BlockFault::State));
    assert_eq!(world.take(&bad), BlockOutcome::Invalid(BlockFault::State));
    world.take_all(&line(&theirs[1], 1, 2));
    assert_eq!(world.tip().height, 3);
}

fn accept(world: &mut World, bytes: &TransactionBytes, origin: Origin) {
    assert_eq!(world.offer(bytes, origin), TransactionOutcome::Accepted);
}

fn ids(transactions: &[TransactionBytes]) -> Vec<Hash> {
    transactions.iter().map(|bytes| transaction_id(bytes)).collect()
}

#[test]
fn the_operators_transactions_wait_again_and_peers_may_be_lost() {
    let (_folder, path) = folder();
    let mut world = World::on(&path);
    let own = [pay(1, 2, 1, 9, 3), pay(1, 2, 1, 8, 4), pay(2, 1, 1, 7, 0)];
    for bytes in &own {
        accept(&mut world, bytes, Origin::Operator);
    }
    accept(&mut world, &pay(3, 1, 1, 9, 0), Origin::Peer);
    drop(world);
    let mut world = World::on(&path);
    assert_eq!(world.waiting(), ids(&own));
    assert_eq!(world.offer(&own[0], Origin::Operator), TransactionOutcome::Known);
}

#[test]
fn what_a_peer_brought_is_stored_once_the_operator_brings_it_too() {
    let (_folder, path) = folder();
    let mut world = World::on(&path);
    let bytes = pay(1, 2, 1, 9, 0);
    accept(&mut world, &bytes, Origin::Peer);
    assert_eq!(world.offer(&bytes, Origin::Operator), TransactionOutcome::Known);
    drop(world);
    assert_eq!(World::on(&path).waiting(), ids(&[bytes]));
}

#[test]
fn a_replaced_transaction_of_the_operator_does_not_wait_again() {
    let (_folder, path) = folder();
    let mut world = World::on(&path);
    let (first, second) = (pay(1, 2, 1, 10, 0), pay(1, 2, 1, 11, 0));
    accept(&mut world, &first, Origin::Operator);
    accept(&mut world, &second, Origin::Operator);
    drop(world);
    let database = redb::Database::open(&path).expect("opens");
    let stored: TableDefinition<u64, &[u8; 153]> = TableDefinition::new("operator");
    let stored = database.begin_read().expect("begins").open_table(stored).expect("opens");
    let stored: Vec<TransactionBytes> =
        stored.iter().expect("reads").map(|row| *row.expect("reads").1.value()).collect();
    assert_eq!(stored, [second]);
    drop(database);
    assert_eq!(World::on(&path).waiting(), ids(&[second]));
}

#[test]
fn what_is_in_a_block_or_not_valid_any_more_does_not_wait_again() {
    let (_folder, path) = folder();
    let mut world = World::on(&path);
    let [confirmed, overtaken, unpaid, left] =
        [pay(1, 2, 1, 1, 0), pay(1, 2, 1, 1, 1), pay(1, 2, 600_000_000, 1, 2), pay(2, 3, 1, 1, 0)];
    for bytes in [&confirmed, &overtaken, &unpaid, &left] {
        accept(&mut world, bytes, Origin::Operator);
    }
    world.confirm(&[confirmed, pay(1, 5, 500_000_000, 1, 1)]);
    drop(world);
    let mut world = World::on(&path);
    assert_eq!(world.waiting(), ids(&[left]));
    assert_eq!(world.offer(&unpaid, Origin::Operator), TransactionOutcome::NotNow(TransactionFault::Balance));
}

#[test]
fn what_a_reorganisation_put_back_waits_again_if_it_is_the_operators() {
    let (_folder, path) = folder();
    let mut world = World::on(&path);
    let (own, peers) = (pay(1, 2, 1, 1, 0), pay(2, 1, 1, 1, 0));
    accept(&mut world, &own, Origin::Operator);
    accept(&mut world, &peers, Origin::Peer);
    world.confirm(&[own, peers]);
    drop(world);
    let mut world = World::on(&path);
    assert_eq!(world.waiting(), vec![]);
    world.take_all(&line(&genesis(), 2, 8));
    assert_eq!(world.waiting(), ids(&[own, peers]));
    drop(world);
    let mut world = World::on(&path);
    assert_eq!(world.waiting(), ids(&[own]));
    // The same when the branch turned out invalid on the way.
    world.confirm(&[own]);
    let base = Draft::on(&world.block(BlockKey::Height(2)).expect("held")).by(9).mine();
    let bad = Draft::on(&base).by(9).with(&[pay(1, 2, 1, 1, 30)]).mine();
    world.take_all(&[base]);
    assert_eq!(world.take(&bad), BlockOutcome::Invalid(BlockFault::State));
    drop(world);
    assert_eq!(World::on(&path).waiting(), vec![]);
}

#[test]
fn a_file_of_another_network_or_layout_is_refused() {
    let (_folder, path) = folder();
    drop(World::on(&path));
    let mut config = Config::in_memory(NetworkParameters::hello_devnet());
    config.path = Some(path.clone());
    assert!(matches!(Reference::open(config.clone()), Err(OpenError::File(FileError::OtherNetwork))));
    let database = redb::Database::open(&path).expect("opens");
    let transaction = database.begin_write().expect("begins");
    let meta: TableDefinition<&str, &[u8]> = TableDefinition::new("meta");
    transaction.open_table(meta).expect("opens").insert("layout", 9_u64.to_be_bytes().as_slice()).expect("inserts");
    transaction.commit().expect("commits");
    drop(database);
    config.network = NetworkParameters::anya_devnet();
    assert!(matches!(Reference::open(config.clone()), Err(OpenError::File(FileError::Layout { found: 9, .. }))));
    std::fs::write(&path, vec![7; 100_000]).expect("writes");
    assert!(matches!(Reference::open(config), Err(OpenError::File(FileError::Damaged { offset: 0, .. }))));
    assert_eq!(std::fs::read(&path).expect("reads"), vec![7; 100_000], "it is left as it is");
}

#[test]
fn a_file_in_use_is_refused() {
    let (_folder, path) = folder();
    let _world = World::on(&path);
    let mut config = Config::in_memory(NetworkParameters::anya_devnet());
    config.path = Some(path);
    assert!(matches!(Reference::open(config), Err(OpenError::File(FileError::Store(_)))));
}

#[test]
fn a_reader_that_is_still_about_does_not_keep_the_file() {
    let (_folder, path) = folder();
    let mut world = World::on(&path);
    let block = world.confirm(&[]);
    let World { ledger, reader, .. } = world;
    drop(ledger);
    assert_eq!(reader.block(&BlockKey::Height(1)), None);
    assert_eq!(reader.tip().hash, hash(&block));
    assert_eq!(World::on(&path).tip().hash, hash(&block));
}

#[test]
fn every_acknowledged_batch_is_in_the_file() {
    let (folder, path) = folder();
    let image = folder.path().join("image.redb");
    let mut world = World::on(&path);
    let ours = line(&genesis(), 8, 1);
    let theirs = line(&genesis(), 12, 2);
    for block in ours.iter().chain(&theirs) {
        world.take_all([block]);
        let tip = world.tip();
        // As if the process died now: nothing of it is flushed, and the file says that it was not closed.
        std::fs::copy(&path, &image).expect("copies");
        let mut again = World::on(&image);
        assert_eq!(again.tip(), tip);
        assert_eq!(again.block(BlockKey::Hash(hash(block))), Some(block.clone()));
    }
}

/// Set for the child that is going to be killed: the file it writes.
const CHILD: &str = "LEDGER_KILL_TEST_FILE";

#[test]
fn a_killed_process_has_everything_that_it_acknowledged() {
    if let Some(path) = std::env::var_os(CHILD) {
        acknowledge_until_killed(Path::new(&path));
    }
    let (_folder, path) = folder();
    let mut height = 0;
    for round in 0..10 {
        let acknowledged = kill_a_child(&path, 1 + round * 7);
        let started = Instant::now();
        let mut world = World::on(&path);
        let tip = world.tip();
        assert!(started.elapsed().as_secs_f64() < 1.0, "serves within a second");
        for (at, line) in acknowledged.iter().enumerate() {
            let expected = height + 1 + at as u64;
            let block = world.block(BlockKey::Height(expected)).expect("an acknowledged block is there");
            assert_eq!(*line, format!("{} {}", hash(&block), transaction_id(&pay(1, 2, 1, 1, expected - 1))));
            // In its block by now, or waiting again.
            assert!(world.reader.transaction(&transaction_id(&pay(1, 2, 1, 1, expected - 1))).is_some());
        }
        assert!(tip.height >= height + acknowledged.len() as u64);
        assert_eq!(world.reader.account(&key(4)).balance, 1_000_000_000 + tip.height * 51);
        height = tip.height;
    }
}

/// Starts a child on the file, kills it after so many acknowledgements, and returns them and those still in the pipe.
fn kill_a_child(path: &Path, after: usize) -> Vec<String> {
    let name = "restart::a_killed_process_has_everything_that_it_acknowledged";
    let mut child = Command::new(std::env::current_exe().expect("a path"))
        .args(["--exact", name, "--nocapture", "--test-threads=1"])
        .env(CHILD, path)
        .stdout(Stdio::piped())
        .spawn()
        .expect("a child");
    let mut lines = Vec::new();
    let mut pipe = BufReader::new(child.stdout.take().expect("a pipe"));
    let mut said = String::new();
    while lines.len() < after {
        said.clear();
        assert!(pipe.read_line(&mut said).expect("reads") > 0, "the child ended by itself");
        lines.extend(acknowledgement(&said));
    }
    child.kill().expect("kills");
    child.wait().expect("is gone");
    lines.extend(pipe.lines().map_while(Result::ok).filter_map(|line| acknowledgement(&line)));
    lines
}

/// A whole line of the child's; the last one may be cut.
fn acknowledgement(line: &str) -> Option<String> {
    let said = line.trim().strip_prefix("ack ")?;
    (said.len() == 129).then(|| said.to_owned())
}

/// Takes a transaction of the operator's and a block with it, and says so, again and again.
fn acknowledge_until_killed(path: &Path) -> ! {
    let mut world = World::on(path);
    let mut tip: Bytes = world.tip_block();
    let mut out = std::io::stdout();
    loop {
        let height = read(&tip).1.height;
        let payment = pay(1, 2, 1, 1, height);
        let outcome = world.offer(&payment, Origin::Operator);
        assert!(matches!(outcome, TransactionOutcome::Accepted | TransactionOutcome::Known));
        tip = Draft::on(&tip).change(|header| header.producer = key(4)).with(&[payment]).mine();
        assert_eq!(world.take(&tip), BlockOutcome::Accepted);
        writeln!(out, "\nack {} {}", hash(&tip), transaction_id(&payment)).expect("a pipe");
        out.flush().expect("a pipe");
    }
}
