//! Lets a network prune into a stretch of which the node has the headers and not the bodies (Kaspa spec, section 4.6.3).

use crate::client::Bridgehead;
use crate::process::free_address;
use crate::pruned::SHALLOW;
use crate::rows::{Row, Scene, row};
use anyhow::{Context, Result, ensure};
use std::time::Duration;
use tokio::time::sleep;

pub(super) const ROWS: [Row; 1] = [row!(52, "catch-up-pruned", Listening, true, catch_up_pruned)];

/// As for a sync; proof and outputs come on top.
const IMPORT: Duration = Duration::from_secs(120);
/// Ours takes 200 ms, and this machine runs a crowd of nodes.
const DURABLE: Duration = Duration::from_secs(3);
/// Blocks that the node has in full: further below the next than a block locator of nine entries goes.
const HELD: usize = 20;
/// Blocks after those of which it gets the headers: as many as are mined before anything is pruned.
const HEADERS: usize = 270;
/// Blocks after those: the pruning point moves beyond what is held, and not beyond the headers.
const MORE: usize = 160;
/// How long ago each stretch but the last ends: more than the next one lasts, at ten blocks a second.
const SPANS: [Duration; 2] = [Duration::from_secs(150), Duration::from_secs(60)];

async fn catch_up_pruned(scene: &Scene) -> Result<()> {
    let source = scene.target.overridden("source", &SHALLOW).await?;
    SHALLOW.mine_until(&source, HELD, SPANS[0]).await?;
    let (genesis, held) = (source.pruning_point().await?, source.sink().await?);
    let mut target = scene.overridden("catching", &SHALLOW).await?;
    target.keep(source.address).await?;
    target.reaches(&held, IMPORT).await.context("the first blocks")?;

    // Away while the network goes on; back for the headers alone.
    target.kill_and_restart(free_address()?).await?;
    let stretch = SHALLOW.mine_until(&source, HEADERS, SPANS[1]).await?;
    ensure!(source.pruning_point().await? == genesis, "the pruning point has moved too early");
    let bridgehead = Bridgehead::open(source.address).await?;
    target.dial(bridgehead.address()).await?;
    let mut bridge = bridgehead.bridge().await?;
    tokio::time::timeout(IMPORT, bridge.carry_bodies(1)).await.context("no bodies are asked for")??;
    drop(bridge);
    // Headers of a peer's are durable a moment after they came.
    sleep(DURABLE).await;
    target.kill_and_restart(free_address()?).await?;
    ensure!(target.sink().await? == held, "bodies came with the headers");

    SHALLOW.mine_until(&source, MORE, Duration::ZERO).await?;
    let (point, sink) = (source.pruning_point().await?, source.sink().await?);
    ensure!(stretch.iter().any(|block| block.hash == point), "the pruning point is not in the stretch of headers");
    target.keep(source.address).await?;
    target.reaches(&sink, IMPORT).await.context("the target catches up")?;
    let (is_way, other_way) = match target.as_kaspad() {
        Some(_) => ("catching up to new pruning point", "IBD with headers proof"),
        None => ("catching up with the pruning point", "importing the pruned state"),
    };
    ensure!(target.printed(is_way) && !target.printed(other_way), "it has taken another way");

    let fresh = scene.target.overridden("fresh", &SHALLOW).await?;
    fresh.keep(target.address()).await?;
    fresh.reaches(&sink, IMPORT).await.context("a fresh kaspad imports from the target")?;
    ensure!(fresh.pruning_point().await? == point, "the fresh node has another pruning point");
    Ok(())
}
