//! Stays connected, whoever dialled, through pings.

use crate::client::SHORTLY;
use crate::kaspad::Kaspad;
use crate::rows::{Row, Scene, row};
use anyhow::{Context, Result, ensure};
use std::time::Duration;
use tokio::time::sleep;

pub(super) const ROWS: [Row; 1] = [row!(36, "stay-connected", Listening, true, stay)];

/// Two pings of kaspad's, at 120 and 240 s.
const MINUTES: u64 = 5;
/// Four.
const MINUTES_LONG: u64 = 10;

async fn stay(scene: &Scene) -> Result<()> {
    let dialled = scene.target.kaspad("dialled").await?;
    let dialling = scene.target.kaspad("dialling").await?;
    scene.target.keep(dialled.address).await?;
    dialling.keep(scene.target.address()).await?;
    for node in [&dialled, &dialling] {
        node.has_peers(1, SHORTLY).await?;
    }
    sleep(Duration::from_secs(60 * if scene.long { MINUTES_LONG } else { MINUTES })).await;
    stayed(&dialled, scene.long).await.context("the one that was dialled")?;
    stayed(&dialling, scene.long).await.context("the one that dials")?;
    let agents = scene.target.agents().await?;
    let real = agents.iter().filter(|agent| agent.starts_with("/kaspad:2.1.0/")).count();
    ensure!(real == 2, "the target's peers are {agents:?}");
    Ok(())
}

// The one peer of a node has been there all the time, and answered its pings.
async fn stayed(node: &Kaspad, long: bool) -> Result<()> {
    let peers = node.peers().await?;
    let [peer] = peers.as_slice() else { anyhow::bail!("its peers are {peers:?}") };
    let connected = peer["time_connected"].as_u64().context("no time_connected")?;
    let due = 60_000 * if long { MINUTES_LONG } else { MINUTES };
    ensure!(connected >= due, "connected for {connected} ms only");
    // Nothing before the first answer.
    ensure!(peer["last_ping_duration"].as_u64().is_some(), "no ping was answered: {peer}");
    Ok(())
}
