//! Kills processes, at random moments and in the middle of a chosen write: all that was acknowledged is there, within a
//! second, and what is there is a prefix of what was done.
//!
//! The oracle is the journal of the one who was told: the parent writes down what comes out of the child's pipe, or
//! what the API answered, and compares after every restart. `POLYPEER_TEST_KILLS=1000` is the full run.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail where they stand")]

mod support;

use polypeer_ledger_reference::{Payment, Wallet};
use serde_json::{Value as Json, json};
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use support::writer::{self, Writer};
use support::{Daemon, eventually, folder};

/// The folder that a child writes in, and the storage call in which it dies; none when the parent kills it.
const CHILD: &str = "POLYPEER_TEST_CRASH_FOLDER";
const CALL: &str = "POLYPEER_TEST_CRASH_CALL";
/// Kills on one pair of files, so that checking all of it each time stays quick.
const KILLS_A_FOLDER: u64 = 100;
/// A restart serves within this time.
const RESTART_MAX: Duration = Duration::from_secs(1);

fn kills(few: u64) -> u64 {
    std::env::var("POLYPEER_TEST_KILLS").ok().and_then(|count| count.parse().ok()).unwrap_or(few)
}

/// Numbers that differ and repeat themselves.
fn chance(round: u64) -> u64 {
    let hash = blake3::hash(&round.to_be_bytes());
    u64::from_be_bytes(*hash.as_bytes().first_chunk().unwrap())
}

#[test]
fn a_killed_writer_has_everything_that_it_acknowledged() {
    if let Some(folder) = std::env::var_os(CHILD) {
        let call = std::env::var(CALL).ok().map(|call| call.parse().unwrap());
        write_until_killed(Path::new(&folder), call);
    }
    let (mut acknowledged, mut slowest, mut within_a_write) = (0, Duration::ZERO, 0);
    let total = kills(40);
    for first in (0..total).step_by(KILLS_A_FOLDER as usize) {
        let folder = folder();
        let mut told = 0;
        for round in first..total.min(first + KILLS_A_FOLDER) {
            let said = kill_a_child(folder.path(), round);
            within_a_write += u64::from(round % 2 == 1);
            let begun = Instant::now();
            let mut again = Writer::open(folder.path(), None);
            let took = begun.elapsed();
            slowest = slowest.max(took);
            // On a machine that is busy with other things the second start has to be quick.
            if took > RESTART_MAX {
                drop(again);
                let begun = Instant::now();
                again = Writer::open(folder.path(), None);
                assert!(begun.elapsed() < RESTART_MAX, "kill {round}: a restart took {:?}", begun.elapsed());
            }
            acknowledged += said.len();
            told = said.last().copied().unwrap_or(told).max(told);
            // A step that was done, and not told before the kill, counts as told from here on.
            told = again.check(told).unwrap_or_else(|why| panic!("kill {round}, {told} acknowledged: {why}"));
        }
    }
    println!(
        "{total} kills, {within_a_write} of them within a write, {acknowledged} acknowledgements, restart {slowest:?} at most"
    );
    assert!(acknowledged as u64 > total);
}

/// Starts a child on the folder, lets it die, and gives the numbers of what it acknowledged.
fn kill_a_child(folder: &Path, round: u64) -> Vec<u64> {
    let name = "a_killed_writer_has_everything_that_it_acknowledged";
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", name, "--nocapture", "--test-threads=1"]).env(CHILD, folder);
    let dies_within = round % 2 == 1;
    if dies_within {
        // The first calls are those of the start and its repair.
        command.env(CALL, (1 + chance(round) % 300).to_string());
    }
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let pipe = BufReader::new(child.stdout.take().unwrap());
    let reader = std::thread::spawn(move || {
        let lines = pipe.lines().map_while(Result::ok);
        // The last line may be cut: it ends with its length.
        lines.filter_map(|line| writer::acknowledgement(&line)).collect::<Vec<u64>>()
    });
    if !dies_within {
        std::thread::sleep(Duration::from_micros(chance(round) % 120_000));
        child.kill().unwrap();
    }
    let status = child.wait().unwrap();
    assert_eq!(std::os::unix::process::ExitStatusExt::signal(&status), Some(9), "it ended by itself");
    reader.join().unwrap()
}

fn write_until_killed(folder: &Path, call: Option<u64>) -> ! {
    let mut writer = Writer::open(folder, call);
    let mut out = std::io::stdout();
    loop {
        let number = writer.step();
        writeln!(out, "\n{}", writer::acknowledge(number)).unwrap();
        out.flush().unwrap();
    }
}

#[test]
fn a_killed_daemon_has_everything_that_its_api_acknowledged() {
    let rounds = (kills(40) / 10).max(4);
    for network in ["anya-devnet", "hello-devnet"] {
        let folder = folder();
        let mut acknowledged: Vec<String> = Vec::new();
        let mut slowest = Duration::ZERO;
        for round in 0..rounds {
            let begun = Instant::now();
            let node = start(network, folder.path(), round % 2 == 1);
            slowest = slowest.max(begun.elapsed());
            for id in &acknowledged {
                node.look(&format!("transactions/{id}"));
            }
            let wait = Duration::from_millis(20 + chance(round) % 400);
            acknowledged.extend(post_until_killed(node, network, wait));
        }
        let node = start(network, folder.path(), true);
        for id in &acknowledged {
            eventually("it is in a block", || {
                (!node.look(&format!("transactions/{id}"))["block"].is_null()).then_some(())
            });
        }
        println!("{network}: {rounds} kills, {} acknowledgements, start {slowest:?} at most", acknowledged.len());
        assert!(!acknowledged.is_empty());
    }
}

fn start(network: &str, folder: &Path, produces: bool) -> Daemon {
    let name = format!("POLYPEER_{}__PRODUCE_INTERVAL", network.replace('-', "_").to_uppercase());
    let mut args = vec!["run", "--network", network, "--listen", "127.0.0.1:0"];
    args.extend(produces.then_some("--produce"));
    Daemon::start(&args, folder, &[(&name, "50ms")])
}

/// Posts transactions, kills the daemon in the middle of it, and gives the identifiers that it had answered with.
fn post_until_killed(node: Daemon, network: &str, wait: Duration) -> Vec<String> {
    let token = std::fs::read_to_string(node.folder.join("api.token")).unwrap();
    let (api, token) = (node.api(), token.trim().to_owned());
    let sender = Wallet::public_account(1).unwrap().public_key();
    let account = node.look(&format!("accounts/{}", const_hex::encode(sender)));
    let first = account["next"].as_u64().unwrap();
    let path = format!("/api/v1/networks/{network}/transactions");
    let network = network.to_owned();
    let poster = std::thread::spawn(move || {
        let mut ids = Vec::new();
        for sequence in first.. {
            let body = json!({ "hex": payment(&network, sequence) });
            match support::try_ask(&api, "POST", &path, Some(&token), Some(body)) {
                Some((200, Json::Object(posted))) => ids.push(posted["id"].as_str().unwrap().to_owned()),
                // Too many wait in a row: blocks have to be made first.
                Some((422, _)) => break,
                Some((status, posted)) => panic!("{status}: {posted}"),
                None => break,
            }
        }
        ids
    });
    std::thread::sleep(wait);
    node.kill();
    poster.join().unwrap()
}

fn payment(network: &str, sequence: u64) -> String {
    let mut id = [0; 16];
    id[..network.len()].copy_from_slice(network.as_bytes());
    let recipient = Wallet::public_account(2).unwrap().public_key();
    let payment = Payment { recipient, amount: 5, fee: 1, sequence };
    const_hex::encode(Wallet::public_account(1).unwrap().sign(&id, &payment))
}
