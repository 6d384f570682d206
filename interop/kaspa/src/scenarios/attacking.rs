//! Feeds the target blocks that nobody's chain will have, and counts what that costs.
//!
//! Whatever of a block makes a kaspad reject it must be checked by the target, or else its own kaspads close on it.
//! What is wrong about outputs makes no kaspad reject a block: it is stored, announced, and in no selected chain.

use crate::client::SHORTLY;
use crate::client::chain::offer;
use crate::client::wire::hash;
use crate::kaspad::{Kaspad, POLL};
use crate::mining;
use crate::rows::{Row, Scene, row};
use anyhow::{Context, Result, ensure};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::time::{Instant, sleep};

pub(super) const ROWS: [Row; 1] = [row!(43, "hostile-blocks", Listening, true, hostile_blocks)];

/// Blocks whose outputs are wrong.
const BLOCKS: usize = 100;
/// A kaspad redials after 30 s and then after 60, looked at every 30: two rounds, and a margin.
const RECOVERY: Duration = Duration::from_secs(180);

async fn hostile_blocks(scene: &Scene) -> Result<()> {
    let (honest, _) = scene.target.stranger("honest", 20, 1).await?;
    honest.keep(scene.target.address()).await?;
    honest.has_peers(1, SHORTLY).await?;
    scene.target.reaches(&honest.sink().await?, SHORTLY).await?;
    let mut templates = Vec::new();
    for _ in 0..BLOCKS {
        let mut block = mining::wire_block(&mining::template(&honest.rpc).await?)?;
        block.header.as_mut().context("a template without header")?.utxo_commitment = hash(&[0x66; 32]);
        templates.push(block);
    }

    let attack = async {
        let mut connections = 1;
        let mut attacker = scene.peer().await?;
        for block in &templates {
            // What is closed on the attacker is opened again: nobody bans by itself.
            if offer(&mut attacker, block).await.is_err() {
                connections += 1;
                attacker = scene.peer().await?;
                offer(&mut attacker, block).await?;
            }
        }
        anyhow::Ok(connections)
    };
    let lost = AtomicUsize::new(0);
    let recovery = async {
        let connections = attack.await?;
        scene.figure(format!("{connections} connections of the attacker for {BLOCKS} blocks"));
        recovered(scene, &honest).await
    };
    tokio::select! {
        ended = recovery => ended?,
        failed = count_losses(&honest, &lost) => failed?,
    }
    let lost = lost.into_inner();
    scene.figure(format!("the kaspad beside it was lost {lost} times"));
    ensure!(lost == 0, "the kaspad beside the target closed {lost} times");
    Ok(())
}

async fn recovered(scene: &Scene, honest: &Kaspad) -> Result<()> {
    let started = Instant::now();
    loop {
        mining::mine(&honest.rpc, 1, 1, None).await?;
        let tip = honest.sink().await?;
        if scene.target.reaches(&tip, Duration::from_secs(2)).await.is_ok() {
            break;
        }
        ensure!(started.elapsed() < RECOVERY, "not back on the honest chain within {RECOVERY:?}");
    }
    scene.figure(format!("back on the honest chain after {:.1?}", started.elapsed()));
    Ok(())
}

// Counts the connections that a node loses, until it is dropped.
async fn count_losses(node: &Kaspad, lost: &AtomicUsize) -> Result<()> {
    let mut since = Duration::MAX;
    loop {
        let peers = node.peers().await?;
        let connected = peers.first().map(|peer| peer["time_connected"].as_u64().context("no time_connected"));
        let connected = connected.transpose()?.map_or(Duration::MAX, Duration::from_millis);
        // It is gone, or younger than when we last looked.
        if since != Duration::MAX && (connected == Duration::MAX || connected < since) {
            lost.fetch_add(1, Ordering::Relaxed);
        }
        since = connected;
        sleep(POLL).await;
    }
}
