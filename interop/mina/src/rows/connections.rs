//! Two connections with one peer, and what runs again (Mina spec, section 11, rows 24 and 25).

use super::{Scene, gossiper};
use crate::client::PATIENCE;
use crate::client::line::Manner;
use crate::client::peer::{IDENTIFY, PINGS, Peer};
use crate::node::{Options, free_address, wait};
use crate::payments::Payment;
use anyhow::{Context, Result, ensure};
use std::net::TcpListener;
use std::process::Command;

/// Row 24.
pub(super) fn crossing(scene: &Scene) -> Result<String> {
    for is_smaller in [true, false] {
        let listener = TcpListener::bind(free_address()?)?;
        let options = Options { add_peers: vec![listener.local_addr()?], ..Options::default() };
        let node = scene.node(if is_smaller { "larger" } else { "smaller" }, &options)?;
        let is_fit = |manner: &Manner| {
            let own = manner.keypair().map(|keypair| keypair.public().to_peer_id().to_bytes());
            own.is_ok_and(|own| (own < node.peer_id.to_bytes()) == is_smaller)
        };
        let manner = (1..=u8::MAX).map(|number| node.manner(number)).find(is_fit).context("all ids are on one side")?;
        let speaks = [IDENTIFY, PINGS];
        let theirs = Peer::accept(&listener, &manner, &speaks)?;
        let ours = Peer::dial(node.address, &manner, &speaks)?;
        let (stays, goes) = if is_smaller { (&ours, &theirs) } else { (&theirs, &ours) };
        goes.ends(PATIENCE).context("the one dialled by the larger id")?;
        stays.is_alive(1).context("the one dialled by the smaller id")?;
        wait(|| Ok(node.ready()?.len() == 1)).context("one connection is ready")?;
        // Another, from who is connected: refused, or closed before it stands.
        let third = Peer::dial(node.address, &manner, &speaks);
        if let Ok(third) = third {
            third.ends(PATIENCE).context("a third")?;
        }
        stays.is_alive(2).context("the one that stood")?;
        ensure!(node.ready()?.len() == 1, "{:?}", node.ready()?);
    }
    Ok("both ways the connection dialled by the smaller id stays, and alone; a third is closed".to_owned())
}

/// Row 25.
pub(super) fn replay(scene: &Scene) -> Result<String> {
    let journal = scene.folder.join("journal");
    let record = format!("{}", journal.display());
    let options = Options { arguments: vec!["--record".to_owned(), record.clone()], ..Options::default() };
    let mut node = scene.node("node", &options)?;
    let (a, b) = (gossiper(&node, 1)?, gossiper(&node, 2)?);
    for nonce in 0..20 {
        let payment = Payment::new(nonce);
        a.1.publish(&payment.message())?;
        b.1.hear_until(&payment.message())?;
    }
    node.stop()?;
    let replay = || -> Result<String> {
        let output = Command::new(&scene.polypeer).args(["--json", "replay", &record]).output()?;
        ensure!(output.status.success(), "replay: {}", String::from_utf8_lossy(&output.stderr));
        Ok(String::from_utf8(output.stdout)?)
    };
    let (first, second) = (replay()?, replay()?);
    ensure!(first == second && first.contains("\"same\":true"), "{first} and {second}");
    let told: serde_json::Value = serde_json::from_str(&first)?;
    let steps = told["steps"].as_u64().context("no steps")?;
    let file = "protocols/mina/tests/mesh/sim.rs";
    let test = scene.tested(file, "the_same_seed_gives_the_same_trace")?;
    Ok(format!(
        "a recording of this node, {steps} steps, replays twice with the same effects; seeds of the simulator: {test}"
    ))
}
