//! Ends nodes in order and in disorder, and starts them again: nothing that was acknowledged is lost.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail where they stand")]

mod support;

use polypeer_ledger_reference::{Payment, Wallet};
use rustix::process::Signal;
use serde_json::json;
use std::path::Path;
use std::time::{Duration, Instant};
use support::{Daemon, eventually, folder};

const NETWORKS: [&str; 2] = ["anya-devnet", "hello-devnet"];

/// A daemon that makes blocks quickly.
fn producer(network: &str, folder: &Path) -> Daemon {
    let name = format!("POLYPEER_{}__PRODUCE_INTERVAL", network.replace('-', "_").to_uppercase());
    let args = ["run", "--network", network, "--listen", "127.0.0.1:0", "--produce"];
    Daemon::start(&args, folder, &[(&name, "50ms")])
}

#[test]
fn a_restart_keeps_the_chain() {
    for network in NETWORKS {
        let folder = folder();
        let node = producer(network, folder.path());
        eventually("there are blocks", || (node.height() >= 5).then_some(()));
        let before = node.look("blocks/5");
        assert_eq!(node.stop().code(), Some(143));
        let node = Daemon::run(network, folder.path(), &[]);
        assert!(node.height() >= 5);
        assert_eq!(node.look("blocks/5"), before);
    }
}

#[test]
fn what_the_api_acknowledged_survives_kill_9() {
    for network in NETWORKS {
        let folder = folder();
        let mut acknowledged = Vec::new();
        let mut sequence = 0;
        let mut highest = 0;
        for round in 0..3 {
            // Blocks are made in every second round only, so that some transactions wait over a restart.
            let node = if round % 2 == 1 {
                producer(network, folder.path())
            } else {
                Daemon::run(network, folder.path(), &[])
            };
            assert!(node.height() >= highest, "blocks that were shown are gone");
            for id in &acknowledged {
                node.look(&format!("transactions/{id}"));
            }
            let began = Instant::now();
            while began.elapsed() < Duration::from_millis(400) {
                let (status, posted) = node.ask(
                    "POST",
                    &format!("/api/v1/networks/{network}/transactions"),
                    Some(json!({ "hex": payment(network, sequence) })),
                );
                // Too many wait in a row: blocks have to be made first.
                if status == 422 {
                    break;
                }
                assert_eq!(status, 200, "{posted}");
                acknowledged.push(posted["id"].as_str().unwrap().to_owned());
                sequence += 1;
            }
            highest = node.height();
            node.kill();
        }
        let began = Instant::now();
        let node = producer(network, folder.path());
        assert!(began.elapsed() < Duration::from_secs(5), "it took {:?} to start", began.elapsed());
        for id in &acknowledged {
            eventually("it is in a block", || {
                (!node.look(&format!("transactions/{id}"))["block"].is_null()).then_some(())
            });
        }
        assert!(!acknowledged.is_empty() && node.height() >= highest);
    }
}

fn payment(network: &str, sequence: u64) -> String {
    let mut id = [0; 16];
    id[..network.len()].copy_from_slice(network.as_bytes());
    let recipient = Wallet::public_account(2).unwrap().public_key();
    let payment = Payment { recipient, amount: 5, fee: 1, sequence };
    const_hex::encode(Wallet::public_account(1).unwrap().sign(&id, &payment))
}

#[test]
fn the_first_signal_drains() {
    for (network, signal, code) in
        [("anya-devnet", Signal::TERM, 143), ("hello-devnet", Signal::INT, 130), ("anya-devnet", Signal::INT, 130)]
    {
        let (one, other) = (folder(), folder());
        let one = Daemon::run(network, one.path(), &[]);
        let other = Daemon::run(network, other.path(), &["--add-peer", &one.address()]);
        eventually("they are peers", || (one.peers() > 0 && other.peers() > 0).then_some(()));
        let began = Instant::now();
        one.signal(signal);
        assert_eq!(one.wait().code(), Some(code));
        assert!(began.elapsed() < Duration::from_secs(6), "{network} took {:?}", began.elapsed());
        eventually("the other one has noticed", || (other.peers() == 0).then_some(()));
    }
}

#[test]
fn the_second_signal_ends_at_once() {
    let folder = folder();
    let node = Daemon::run("anya-devnet", folder.path(), &[]);
    // A peer that never answers holds the goodbye up.
    let silent = std::net::TcpStream::connect(node.address()).unwrap();
    eventually("it is connected", || (!node.look("peers").as_array().unwrap().is_empty()).then_some(()));
    let began = Instant::now();
    node.signal(Signal::TERM);
    node.signal(Signal::TERM);
    assert_eq!(node.wait().code(), Some(143));
    assert!(began.elapsed() < Duration::from_secs(5));
    drop(silent);
}

#[test]
fn several_networks_run_in_one_process() {
    let folder = folder();
    let args = [
        "run",
        "--network",
        "anya-devnet",
        "--network",
        "hello-devnet",
        "--listen",
        "anya-devnet=127.0.0.1:0",
        "--listen",
        "hello-devnet=127.0.0.1:0",
        "--produce",
    ];
    let node = Daemon::start(&args, folder.path(), &[]);
    eventually("both make blocks", || {
        let status = node.get("/api/v1/status");
        status["networks"].as_array().unwrap().iter().all(|network| network["height"] != 0).then_some(())
    });
    assert_eq!(node.command(&["peers"]).status.code(), Some(2), "it has to be told which network");
    assert!(node.command(&["peers", "--network", "hello-devnet"]).status.success());
}

#[test]
fn own_networks_are_strangers_to_each_other() {
    let key = const_hex::encode(Wallet::public_account(3).unwrap().public_key());
    for protocol in ["anya", "hello"] {
        let (one, other, third) = (folder(), folder(), folder());
        let write = |folder: &Path, id: &str| {
            let file = folder.join("polypeer.toml");
            let text = format!(
                "[networks.mine]\nprotocol = \"{protocol}\"\nnetwork_id = \"{id}\"\ngenesis_time = 1\n\
                 accounts = {{ \"{key}\" = 77 }}\nproduce_interval = \"100ms\"\n"
            );
            std::fs::write(&file, text).unwrap();
            file.to_str().unwrap().to_owned()
        };
        let start = |folder: &Path, id: &str, more: &[&str]| {
            let file = write(folder, id);
            Daemon::run("mine", folder, &[&["--config", &file], more].concat())
        };
        let one = start(one.path(), "first", &["--produce"]);
        let same = start(other.path(), "first", &["--add-peer", &one.address()]);
        let stranger = start(third.path(), "second", &["--add-peer", &one.address()]);
        support::agree(&[&one, &same], 3);
        assert_eq!(same.look(&format!("accounts/{key}"))["balance"], 77);
        assert_eq!((stranger.height(), stranger.peers()), (0, 0));
    }
}
