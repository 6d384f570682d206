//! Brings up a node from others, and others from it: ten thousand blocks, with interruptions.

use crate::client::{Bridge, Bridgehead, SHORTLY};
use crate::mining::{self, Pace};
use crate::pruned::SHALLOW;
use crate::rows::{Row, Scene, row};
use crate::target::{STOCK, Target};
use anyhow::{Context, Result, ensure};
use std::net::SocketAddr;
use std::time::Duration;
use tokio::time::Instant;

pub(super) const ROWS: [Row; 4] = [
    row!(39, "sync-and-serve", Listening, true, sync_and_serve),
    row!(40, "sync-killed", Listening, true, sync_killed),
    row!(41, "sync-source-stopped", Listening, true, sync_source_stopped),
    row!(42, "catch-up", Listening, true, catch_up),
];

/// kaspad needs about 4 s alone on two cores; here thirty nodes share them.
const SYNC: Duration = Duration::from_secs(180);

async fn sync_and_serve(scene: &Scene) -> Result<()> {
    let source = scene.stocked("source").await?;
    let tip = source.sink().await?;
    let started = Instant::now();
    scene.target.keep(source.address).await?;
    scene.target.reaches(&tip, SYNC).await?;
    scene.figure(format!("{STOCK} blocks from kaspad in {:.1?}", started.elapsed()));
    drop(source);

    let fresh = scene.target.kaspad("fresh").await?;
    let started = Instant::now();
    fresh.keep(scene.target.address()).await?;
    fresh.reaches(&tip, SYNC).await.context("a fresh kaspad whose only peer is the target")?;
    scene.figure(format!("{STOCK} blocks to a fresh kaspad in {:.1?}", started.elapsed()));
    let blocks = fresh.dag().await?["blockCount"].as_u64().context("no blockCount")?;
    ensure!(blocks > STOCK as u64, "the fresh kaspad has {blocks} blocks");
    Ok(())
}

/// Batches of bodies, of at most 99, after which a sync of ten thousand blocks is cut: it is half done.
const HALF: usize = 50;

async fn sync_killed(scene: &mut Scene) -> Result<()> {
    let source = scene.stocked("source").await?;
    let tip = source.sink().await?;
    let started = Instant::now();
    let first = async { between(&scene.target, source.address).await?.carry_bodies(HALF).await };
    within(first).await.context("the first half")?;
    let half = started.elapsed();
    scene.target.kill_and_restart(source.address).await?;
    let started = Instant::now();
    scene.target.reaches(&tip, SYNC).await?;
    scene.figure(format!("killed after {half:.1?}, done {:.1?} after the restart", started.elapsed()));
    Ok(())
}

async fn sync_source_stopped(scene: &Scene) -> Result<()> {
    let mut first = scene.stocked("first").await?;
    let second = scene.target.kaspad("second").await?;
    second.keep(first.address).await?;
    second.reaches(&first.sink().await?, SYNC).await.context("the second source syncs from the first")?;

    let mut bridge = between(&scene.target, first.address).await?;
    within(bridge.carry_bodies(HALF / 5)).await.context("the beginning, from the first source")?;
    scene.target.keep(second.address).await?;
    second.has_peers(2, SHORTLY).await?;
    drop(bridge);
    first.shutdown().await?;
    let started = Instant::now();
    // No timer of kaspad's starts a sync: the other source must have something to announce.
    let newest = mining::mine(&second.rpc, 1, 1, None).await?;
    let newest = newest.first().context("nothing was mined")?.hash;
    scene.target.reaches(&newest, SYNC).await?;
    scene.figure(format!("done {:.1?} after its source was stopped", started.elapsed()));
    Ok(())
}

async fn between(target: &Target, node: SocketAddr) -> Result<Bridge> {
    let bridgehead = Bridgehead::open(node).await?;
    target.dial(bridgehead.address()).await?;
    bridgehead.bridge().await
}

async fn within(work: impl Future<Output = Result<()>>) -> Result<()> {
    tokio::time::timeout(SYNC, work).await.with_context(|| format!("not done within {SYNC:?}"))?
}

/// Blocks whose headers the target gets and whose bodies it does not.
const HEADERS: usize = 290;
/// Blocks in the end: the pruning point is then one of those.
const HEADERS_AND_MORE: usize = 470;

async fn catch_up(scene: &Scene) -> Result<()> {
    let source = scene.target.overridden("source", &SHALLOW).await?;
    let genesis = source.pruning_point().await?;
    let pace = Some(Pace::until(HEADERS_AND_MORE as u64, Duration::ZERO));
    mining::mine(&source.rpc, HEADERS, 1, pace).await?;
    ensure!(source.pruning_point().await? == genesis, "the pruning point has moved too early");
    let target = scene.overridden("behind", &SHALLOW).await?;
    let first = async { between(&target, source.address).await?.carry_bodies(1).await };
    within(first).await.context("the first, cut sync")?;
    let headers_alone = target.sink().await?;
    ensure!(headers_alone == genesis, "bodies came through the cut");

    mining::mine(&source.rpc, HEADERS_AND_MORE - HEADERS, 1, pace).await?;
    let point = source.pruning_point().await?;
    ensure!(point != genesis, "the pruning point has not moved");
    target.keep(source.address).await?;
    target.reaches(&source.sink().await?, SYNC).await?;
    if let Some(node) = target.as_kaspad() {
        ensure!(node.pruning_point().await? == point, "it did not take over the pruning point");
    }
    Ok(())
}
