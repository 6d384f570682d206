//! Takes descriptors and disk space away from a running node, at one call after the other, and gives them back: nothing
//! panics, those who are connected notice nothing, and service goes on within a second.
//!
//! `POLYPEER_TEST_CALLS=200` tries each of the first 200 calls; without it the first few and some of the others.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail where they stand")]

mod support;

use polypeer_ledger_reference::{Payment, Wallet};
use rustix::process::{Pid, Resource, Rlimit, getrlimit, prlimit};
use serde_json::json;
use std::net::TcpStream;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};
use support::{Daemon, eventually, finish, folder, text};

/// What was taken away is used again within this time, once it is back; and what a busy machine adds.
const RESUMES_WITHIN: Duration = Duration::from_millis(1_500);

/// Which calls are tried.
fn calls() -> Vec<u64> {
    match std::env::var("POLYPEER_TEST_CALLS").ok().and_then(|count| count.parse().ok()) {
        Some(count) => (0..count).collect(),
        None => (0..6).chain([9, 17, 40]).collect(),
    }
}

fn limit(node: &Daemon, resource: Resource, soft: Option<u64>) {
    let id = Pid::from_raw(node.id() as i32);
    let maximum = getrlimit(resource).maximum;
    prlimit(id, resource, Rlimit { current: soft.or(maximum), maximum }).unwrap();
}

fn descriptors(node: &Daemon) -> u64 {
    std::fs::read_dir(format!("/proc/{}/fd", node.id())).unwrap().count() as u64
}

fn producer(folder: &Path, more: &[&str]) -> Daemon {
    let args = ["run", "--network", "anya-devnet", "--listen", "127.0.0.1:0", "--produce", "--max-in-peers", "1000"];
    Daemon::start(&[&args[..], more].concat(), folder, &[("POLYPEER_ANYA_DEVNET__PRODUCE_INTERVAL", "50ms")])
}

#[test]
fn descriptors_that_run_out_at_any_call_come_back_into_use() {
    let (one, other) = (folder(), folder());
    // Somebody who is not there is dialled all the while, which takes a descriptor too.
    let node = producer(one.path(), &["--add-peer", "127.0.0.1:9"]);
    let friend = Daemon::run("anya-devnet", other.path(), &["--add-peer", &node.address()]);
    eventually("they are peers", || (friend.height() > 2).then_some(()));
    let address = node.address();
    let mut slowest = Duration::ZERO;
    for free in calls() {
        let height = friend.height();
        let base = descriptors(&node);
        limit(&node, Resource::Nofile, Some(base + free));
        // One more than there is room for, each a call that takes a descriptor; the kernel keeps what is refused.
        let strangers: Vec<TcpStream> = (0..free + 3).map(|_| TcpStream::connect(&address).unwrap()).collect();
        eventually("the room is full", || (descriptors(&node) >= base + free).then_some(()));
        eventually("those who are connected notice nothing", || (friend.height() > height + 1).then_some(()));
        let begun = Instant::now();
        limit(&node, Resource::Nofile, None);
        assert_eq!(node.ask("GET", "/api/v1/status", None).0, 200);
        eventually("everyone is let in", || (descriptors(&node) >= base + free + 2).then_some(()));
        slowest = slowest.max(begun.elapsed());
        assert!(begun.elapsed() < RESUMES_WITHIN, "with {free} free it took {:?}", begun.elapsed());
        drop(strangers);
        eventually("all are given back", || (descriptors(&node) <= base + 1).then_some(()));
    }
    println!("{} calls, service again after {slowest:?} at most", calls().len());
    assert_eq!(node.stop().code(), Some(143));
}

/// Runs a daemon behind a shell that sets limits first, until it is ready or gone; what it said by then.
fn run_limited(limits: &str, folder: &Path) -> Output {
    // One that was killed has left it behind.
    let _ = std::fs::remove_file(folder.join("api.address"));
    let shell = format!("{limits}; exec \"$0\" \"$@\"");
    let mut command = Command::new("sh");
    command.arg("-c").arg(shell).arg(env!("CARGO_BIN_EXE_polypeer"));
    command.args(["run", "--network", "anya-devnet", "--listen", "127.0.0.1:0", "--produce", "--json"]);
    command.args(["--api", "127.0.0.1:0", "--metrics", "127.0.0.1:0", "--data-dir"]).arg(folder);
    command.env_clear().stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let id = Pid::from_raw(child.id() as i32).unwrap();
    let end = Instant::now() + Duration::from_secs(20);
    while child.try_wait().unwrap().is_none() {
        // It is ready once it has said where.
        if folder.join("api.address").exists() {
            rustix::process::kill_process(id, rustix::process::Signal::TERM).unwrap();
            break;
        }
        assert!(Instant::now() < end, "neither ready nor gone: {limits}");
        std::thread::sleep(Duration::from_millis(5));
    }
    finish(child)
}

#[track_caller]
fn ends_in_order(output: &Output, what: &str) -> bool {
    let (code, stderr) = (output.status.code(), text(&output.stderr));
    assert!(!stderr.contains("panicked"), "{what}: {stderr}");
    // With next to none it does not get as far as our own first line.
    let is_ours = !stderr.contains("shared libraries");
    assert!(matches!(code, Some(1 | 73 | 143)) || !is_ours, "{what}: {code:?} {stderr}");
    assert!(code == Some(143) || !stderr.trim().is_empty(), "{what}: it does not say why");
    code == Some(143)
}

#[test]
fn a_start_with_too_few_descriptors_says_so_and_harms_nothing() {
    let place = folder();
    let node = producer(place.path(), &[]);
    eventually("there are blocks", || (node.height() > 3).then_some(()));
    let height = node.height();
    node.stop();
    let mut started = 0;
    for descriptors in (3..70).step_by(3).chain(70..76) {
        let output = run_limited(&format!("ulimit -n {descriptors}"), place.path());
        started += u32::from(ends_in_order(&output, &format!("{descriptors} descriptors")));
    }
    assert!((1..29).contains(&started), "{started} of 29 had enough");
    let node = Daemon::run("anya-devnet", place.path(), &[]);
    assert!(node.height() >= height);
}

#[test]
fn a_start_on_a_full_disk_says_so_and_harms_nothing() {
    let full = "trap '' XFSZ; ulimit -f 0";
    // Nothing there yet, and then everything.
    let place = folder();
    assert!(!ends_in_order(&run_limited(full, &place.path().join("new")), "a new folder"));
    let node = producer(place.path(), &[]);
    eventually("there are blocks", || (node.height() > 3).then_some(()));
    let height = node.height();
    node.kill();
    ends_in_order(&run_limited(full, place.path()), "a folder in use");
    let node = Daemon::run("anya-devnet", place.path(), &[]);
    assert!(node.height() >= height);
}

#[test]
fn a_full_disk_loses_neither_peers_nor_records_and_is_used_again() {
    let folders = [folder(), folder(), folder()];
    // SIGXFSZ would end the process; ignored, a write that finds no room fails as on a full disk.
    let middle = ignoring_xfsz(folders[0].path());
    let [left, right] = [1, 2].map(|at| {
        let address = middle.address();
        Daemon::run("anya-devnet", folders[at].path(), &["--connect", &address])
    });
    eventually("they are peers", || (left.peers() > 0 && right.peers() > 0).then_some(()));
    let (mut sequence, mut theirs, mut slowest, mut refusals) = (0, 0, Duration::ZERO, 0);
    for round in calls() {
        // A little later each time, so that another call is the first that fails.
        let before = (0..round % 7).map(|_| post(&middle, 1, &mut sequence).unwrap()).collect::<Vec<_>>();
        limit(&middle, Resource::Fsize, Some(0));
        let refused = post(&middle, 1, &mut sequence).unwrap_err();
        refusals += 1;
        assert!((400..600).contains(&refused), "{refused}");
        middle.look("mempool");
        // Nobody is lost over it, nothing that is read, and nothing that peers relay.
        assert!(middle.peers() > 1 && left.peers() > 0 && right.peers() > 0);
        let path = format!("/api/v1/networks/anya-devnet/transactions/{}", post(&left, 2, &mut theirs).unwrap());
        eventually("it is relayed", || (right.ask("GET", &path, None).0 == 200).then_some(()));
        let begun = Instant::now();
        limit(&middle, Resource::Fsize, None);
        eventually("the operator's are taken again", || post(&middle, 1, &mut sequence).ok());
        slowest = slowest.max(begun.elapsed());
        assert!(begun.elapsed() < RESUMES_WITHIN, "it took {:?}", begun.elapsed());
        for id in before {
            middle.look(&format!("transactions/{id}"));
        }
    }
    println!("{refusals} times full, written again after {slowest:?} at most");
    assert_eq!(middle.stop().code(), Some(143));
}

fn ignoring_xfsz(folder: &Path) -> Daemon {
    // A block a second, so that not too many wait in a row.
    let args = ["run", "--network", "anya-devnet", "--listen", "127.0.0.1:0", "--produce"];
    Daemon::start_through("trap '' XFSZ", &args, folder)
}

/// Posts the next payment of an account; its identifier, or the status that refused it.
fn post(node: &Daemon, account: u8, sequence: &mut u64) -> Result<String, u16> {
    let recipient = Wallet::public_account(account + 2).unwrap().public_key();
    let payment = Payment { recipient, amount: 5, fee: 1, sequence: *sequence };
    let signed = Wallet::public_account(account).unwrap().sign(b"anya-devnet\0\0\0\0\0", &payment);
    let body = json!({ "hex": const_hex::encode(signed) });
    let (status, posted) = node.ask("POST", "/api/v1/networks/anya-devnet/transactions", Some(body));
    if status != 200 {
        return Err(status);
    }
    *sequence += 1;
    Ok(posted["id"].as_str().unwrap().to_owned())
}
