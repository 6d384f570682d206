//! Files that are closed, killed, and of others.

use crate::made::{CONSTANTS, Draft, Made, id, payment, rules};
use crate::world::World;
use polypeer_ledger_mina::{BlockKey, Config, Mina, OpenError, Rules};
use polypeer_mina::ledger::{Hash, Refusal, Verdict};
use polypeer_store::file::FileError;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;
use tempfile::TempDir;

fn folder() -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("blocks.redb");
    (folder, path)
}

#[test]
fn everything_but_peers_commands_is_there_again() {
    let (_folder, path) = folder();
    let mut world = World::on(&path);
    let first = world.first();
    let (ours, theirs, included) = (payment(1, 1, 10), payment(2, 0, 10), payment(1, 0, 10));
    world.submit(&included).unwrap();
    world.submit(&ours).unwrap();
    world.gossip(&[theirs]);
    let block = first.next(&Draft { slot: 1, drawn: 1, commands: vec![included.clone()] });
    let side = first.next(&Draft { slot: 2, drawn: 1, ..Draft::default() });
    world.judge(&block);
    world.judge(&side);
    let rest = block.line(3, 1);
    world.take_all(&rest);
    let (tip, standing) = (world.tip(), world.reader.standing());
    for _ in 0..3 {
        drop(world);
        world = World::on(&path);
        assert_eq!((world.tip(), world.reader.standing()), (tip.clone(), standing.clone()));
        assert_eq!(world.reader.waiting(9).1, [id(&ours)]);
        assert_eq!(world.reader.command(&id(&included)).unwrap().block, Some((block.hash, 2)));
        assert_eq!(world.gossip(&[payment(1, 0, 99)]), Verdict::Ignore, "its nonce is known to be used");
        world.check_holds(&[block.clone(), side.clone()]);
    }
    // What is final with its block is the operator's no longer.
    let more = rest[2].line(CONSTANTS.k, 1);
    world.take_all(&more);
    drop(world);
    let mut world = World::on(&path);
    assert_eq!(world.reader.waiting(9).1, [id(&ours)]);
    assert_eq!(world.run(Duration::from_millis(1)).len(), 1, "it is told again");
}

#[test]
fn the_operators_command_of_a_lost_block_outlives_a_kill() {
    let (folder, path) = folder();
    let mut world = World::on(&path);
    let first = world.first();
    let command = payment(1, 0, 10);
    world.submit(&command).unwrap();
    let block = first.next(&Draft { slot: 1, drawn: 1, commands: vec![command.clone()] });
    world.take_all(&[block]);
    let other = first.next(&Draft { slot: 2, drawn: 1, ..Draft::default() });
    world.judge(&other);
    world.take_all(&other.line(1, 1));
    assert_eq!(world.reader.waiting(9).1, [id(&command)]);
    // As if the process died now.
    let image = folder.path().join("image.redb");
    std::fs::copy(&path, &image).unwrap();
    assert_eq!(World::on(&image).reader.waiting(9).1, [id(&command)]);
}

#[test]
fn every_acknowledged_block_is_in_the_file() {
    let (folder, path) = folder();
    let image = folder.path().join("image.redb");
    let mut world = World::on(&path);
    for block in world.first().line(10, 1) {
        assert_eq!(world.judge(&block).0, Verdict::Unverified);
        std::fs::copy(&path, &image).unwrap();
        let mut again = World::on(&image);
        assert_eq!(again.tip(), world.tip());
        again.check_holds(&[block]);
    }
}

#[test]
fn a_file_of_another_network_is_refused_and_so_is_one_in_use() {
    let (_folder, path) = folder();
    let world = World::on(&path);
    let open = |rules: Rules| Mina::open(Config { path: Some(path.clone()), ..Config::in_memory(rules) });
    assert!(matches!(open(rules()), Err(OpenError::File(FileError::Store(_)))), "one process has it");
    drop(world);
    let other = Rules::private(&"8".repeat(64), CONSTANTS).unwrap();
    assert!(matches!(open(other), Err(OpenError::File(FileError::OtherNetwork))));
    let proven = Rules::public(rules().genesis, CONSTANTS);
    assert!(matches!(open(proven), Err(OpenError::File(FileError::OtherNetwork))), "others would be believed there");
    assert!(open(rules()).is_ok());
    std::fs::write(&path, vec![7; 100_000]).unwrap();
    assert!(matches!(open(rules()), Err(OpenError::File(FileError::Damaged { offset: 0, .. }))));
    assert_eq!(std::fs::read(&path).unwrap(), vec![7; 100_000], "it is left as it is");
}

/// Set for the child that is going to be killed: the file it writes.
const CHILD: &str = "LEDGER_KILL_TEST_FILE";

#[test]
fn a_killed_process_has_everything_that_it_acknowledged() {
    if let Some(path) = std::env::var_os(CHILD) {
        acknowledge_until_killed(Path::new(&path));
    }
    let (_folder, path) = folder();
    for round in 0..6 {
        let acknowledged = kill_a_child(&path, 1 + round * 5);
        let mut world = World::on(&path);
        let tip = world.tip();
        let (hash, command) = acknowledged.last().unwrap();
        let block = world.reader.block(&BlockKey::Hash(*hash)).unwrap();
        assert!(block.is_on_main && tip.length >= block.length);
        // In its block, or waiting again.
        assert!(world.reader.command(command).is_some());
    }
}

/// Starts a child on the file, kills it after so many acknowledgements, and returns those that came.
fn kill_a_child(path: &Path, after: usize) -> Vec<(Hash, Hash)> {
    let name = "restart::a_killed_process_has_everything_that_it_acknowledged";
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", name, "--nocapture", "--test-threads=1"])
        .env(CHILD, path)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = Vec::new();
    let mut pipe = BufReader::new(child.stdout.take().unwrap());
    let mut said = String::new();
    while lines.len() < after {
        said.clear();
        assert!(pipe.read_line(&mut said).unwrap() > 0, "the child ended by itself");
        lines.extend(acknowledgement(&said));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    lines.extend(pipe.lines().map_while(Result::ok).filter_map(|line| acknowledgement(&line)));
    lines
}

/// A whole line of the child's; the last one may be cut.
fn acknowledgement(line: &str) -> Option<(Hash, Hash)> {
    let (block, command) = line.trim().strip_prefix("ack ")?.split_once(' ')?;
    let read = |text: &str| {
        let mut hash = [0; 32];
        const_hex::decode_to_slice(text, &mut hash).ok().map(|()| Hash(hash))
    };
    Some((read(block)?, read(command)?))
}

/// Takes a command of the operator's and a block with it, and says so, again and again.
fn acknowledge_until_killed(path: &Path) -> ! {
    let mut world = World::on(path);
    let mut out = std::io::stdout();
    let mut tip = made_anew(&world);
    loop {
        let command = payment(1, tip.length() - 1, 10);
        let taken = world.submit(&command);
        // It may have come before the last kill.
        assert!(matches!(taken, Ok(_) | Err(Refusal::Known)), "{taken:?}");
        tip = tip.next(&Draft { slot: tip.slot() + 1, drawn: 1, commands: vec![command.clone()] });
        assert_eq!(world.judge(&tip).0, Verdict::Unverified);
        writeln!(out, "\nack {} {}", tip.hash, id(&command)).unwrap();
        out.flush().unwrap();
    }
}

// The chain that was there before, as the numbers of the next block are counted from it.
fn made_anew(world: &World) -> Made {
    let mut last = World::new().first();
    while last.hash != world.reader.standing().tip.hash {
        let command = payment(1, last.length() - 1, 10);
        last = last.next(&Draft { slot: last.slot() + 1, drawn: 1, commands: vec![command] });
        assert!(last.length() < 10_000);
    }
    last
}
