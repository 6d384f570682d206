//! Runs the two programs that show how a peer is embedded.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail where they stand")]

mod support;

#[path = "../examples/echo.rs"]
#[allow(dead_code, unreachable_pub, reason = "its main is for people, its names for the test")]
mod echo;
#[path = "../examples/own_ledger.rs"]
#[allow(dead_code, unreachable_pub, reason = "its main is for people, its names for the test")]
mod own_ledger;

use polypeer::Heard;
use std::time::Duration;
use support::{Daemon, PATIENCE, eventually, folder};

#[test]
fn examples_are_as_short_as_promised() {
    for (text, lines_max) in
        [(include_str!("../examples/echo.rs"), 40), (include_str!("../examples/own_ledger.rs"), 100)]
    {
        assert!(text.lines().count() <= lines_max, "{} lines", text.lines().count());
    }
}

#[test]
fn the_echo_pays_back_over_anya() {
    let folder = folder();
    let name = "POLYPEER_ANYA_DEVNET__PRODUCE_INTERVAL";
    let args = ["run", "--network", "anya-devnet", "--listen", "127.0.0.1:0", "--produce"];
    let node = Daemon::start(&args, folder.path(), &[(name, "100ms")]);
    let address = node.address().parse().unwrap();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(echo::echo(address)).unwrap();
    });
    // Not before: a payment that stands in a block by then is not told again.
    let is_ready = || node.look("peers").as_array().is_some_and(|peers| peers.iter().any(|peer| peer["ready"] == true));
    eventually("the echo is ready", || is_ready().then_some(()));
    for number in ["1", "2", "3"] {
        node.json(&["tx", "send", "--from", number, "--to", "16", "--amount", "5"]);
    }
    let account = |seed: u8| {
        let wallet = polypeer::reference::Wallet::public_account(seed).unwrap();
        node.look(&format!("accounts/{}", const_hex::encode(wallet.public_key())))
    };
    eventually("three were paid back", || (account(16)["sequence"] == 3).then_some(()));
    assert_eq!(account(16)["balance"], 1_000_000_000 - 3);
    assert_eq!(account(1)["balance"], 1_000_000_000 - 1);
}

#[tokio::test]
async fn notes_travel_between_boards() {
    let local = "127.0.0.1:0".parse().unwrap();
    let one = own_ledger::join(local, Vec::new()).unwrap();
    // One is pinned before the other peer comes, one after.
    one.send("early").await.unwrap();
    let mut other = own_ledger::join(local, vec![one.address().unwrap()]).unwrap();
    let mut heard = Vec::new();
    while heard.len() < 2 {
        match tokio::time::timeout(PATIENCE, other.hear()).await.unwrap() {
            Some(Heard::Transaction { bytes, .. }) => heard.push(bytes),
            other => panic!("{other:?}"),
        }
        if heard.len() == 1 {
            one.send("late").await.unwrap();
        }
    }
    assert_eq!(heard, ["early", "late"]);
    other.stop(Duration::from_secs(3)).await;
}
