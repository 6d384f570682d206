//! Brings up a node from others, and others from it: ten thousand blocks, with interruptions.

use crate::client::wire::Payload;
use crate::client::{Gzip, Listener, SHORTLY, Said, dial};
use crate::mining::{self, Pace};
use crate::pruned::SHALLOW;
use crate::rows::{Row, Scene, row};
use crate::target::{STOCK, Target};
use anyhow::{Context, Result, ensure};
use std::net::SocketAddr;
use std::time::Duration;
use tokio::time::{Instant, sleep};

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
    Ok(ensure!(blocks > STOCK as u64, "the fresh kaspad has {blocks} blocks"))
}

async fn sync_killed(scene: &mut Scene) -> Result<()> {
    let source = scene.stocked("source").await?;
    let tip = source.sink().await?;
    // How long it takes here and now, with another one.
    let other = scene.another("measured").await?;
    let started = Instant::now();
    other.keep(source.address).await?;
    other.reaches(&tip, SYNC).await?;
    let whole = started.elapsed();
    drop(other);

    scene.target.keep(source.address).await?;
    sleep(whole / 2).await;
    ensure!(scene.target.sink().await.ok() != Some(tip), "it was done before it could be killed");
    scene.target.kill_and_restart(source.address).await?;
    let started = Instant::now();
    scene.target.reaches(&tip, SYNC).await?;
    scene.figure(format!(
        "killed after {:.1?} of {whole:.1?}, done {:.1?} after the restart",
        whole / 2,
        started.elapsed()
    ));
    Ok(())
}

async fn sync_source_stopped(scene: &Scene) -> Result<()> {
    let mut first = scene.stocked("first").await?;
    let tip = first.sink().await?;
    let second = scene.target.kaspad("second").await?;
    second.keep(first.address).await?;
    let started = Instant::now();
    second.reaches(&tip, SYNC).await.context("the second source syncs from the first")?;
    let whole = started.elapsed();

    scene.target.keep(first.address).await?;
    first.has_peers(2, SHORTLY).await?;
    scene.target.keep(second.address).await?;
    second.has_peers(2, SHORTLY).await?;
    sleep(whole / 3).await;
    ensure!(scene.target.sink().await.ok() != Some(tip), "it was done before its source could be stopped");
    first.shutdown().await?;
    // No timer starts a sync: the other source must have something to announce.
    let started = Instant::now();
    let newest = mining::mine(&second.rpc, 1, 1, None).await?;
    let newest = newest.first().context("nothing was mined")?.hash;
    scene.target.reaches(&newest, SYNC).await?;
    scene.figure(format!("done {:.1?} after its source was stopped", started.elapsed()));
    Ok(())
}

/// Blocks whose headers the target gets and whose bodies it does not.
const HEADERS: usize = 290;
/// Blocks in the end: the pruning point is then one of those.
const HEADERS_AND_MORE: usize = 470;

async fn catch_up(scene: &Scene) -> Result<()> {
    let source = scene.target.overridden("source", &SHALLOW).await?;
    let genesis = source.pruning_point().await?;
    let pace = Some(Pace::until(HEADERS_AND_MORE as u64));
    mining::mine(&source.rpc, HEADERS, 1, pace).await?;
    ensure!(source.pruning_point().await? == genesis, "the pruning point has moved too early");
    let target = scene.overridden("behind", &SHALLOW).await?;
    let bodies = |payload: &Payload| matches!(payload, Payload::RequestBlockBodies(_));
    cut(&target, source.address, bodies).await.context("the first, cut sync")?;
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

// Stands between the target and a node, and ends both connections when the target says something.
async fn cut(target: &Target, node: SocketAddr, last: impl Fn(&Payload) -> bool) -> Result<()> {
    let mut listener = Listener::open(Gzip::BOTH).await?;
    target.dial(listener.address).await?;
    let mut near = listener.accept(SHORTLY).await?;
    let mut far = dial(node, Gzip::BOTH).await?;
    loop {
        tokio::select! {
            said = near.read() => match said {
                Said::Message(message) if message.payload.as_ref().is_some_and(&last) => return Ok(()),
                Said::Message(message) => far.send_message(&message),
                other => anyhow::bail!("the target: {other:?}"),
            },
            said = far.read() => match said {
                Said::Message(message) => near.send_message(&message),
                other => anyhow::bail!("the node: {other:?}"),
            },
        }
    }
}
