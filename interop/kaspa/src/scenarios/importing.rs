//! Lets a network prune what a node stands on, and lets the node import anew.

use crate::process::free_address;
use crate::pruned::{Depths, SHALLOW};
use crate::rows::{Row, Scene, row};
use anyhow::{Context, Result, ensure};
use std::time::Duration;

pub(super) const ROWS: [Row; 1] = [row!(44, "import-anew", Listening, true, import_anew)];

/// As for a sync; proof and outputs come on top.
const IMPORT: Duration = Duration::from_secs(120);
/// A kaspad takes a proof only when it leads to a clearly younger chain than its own.
const APART: Duration = Duration::from_secs(2 * 60 * 60);
/// Blocks of the first stretch and of the second: more than is kept, so that nothing of the first is left.
const STRETCH: usize = 700;

async fn import_anew(scene: &Scene) -> Result<()> {
    const SMALL: Depths = SHALLOW;
    let source = scene.target.overridden("source", &SMALL).await?;
    SMALL.mine_until(&source, STRETCH, APART).await?;
    let (first, first_sink) = (source.pruning_point().await?, source.sink().await?);
    let mut target = scene.overridden("importing", &SMALL).await?;
    target.keep(source.address).await?;
    target.reaches(&first_sink, IMPORT).await.context("the first import")?;

    // Alone while the network goes on.
    target.kill_and_restart(free_address()?).await?;
    SMALL.mine_until(&source, STRETCH, Duration::ZERO).await?;
    let (second, sink) = (source.pruning_point().await?, source.sink().await?);
    ensure!(first != second, "the pruning point has not moved");
    ensure!(target.sink().await? == first_sink, "the target has heard of it");
    target.keep(source.address).await?;
    target.reaches(&sink, IMPORT).await.context("the second import")?;

    let fresh = scene.target.overridden("fresh", &SMALL).await?;
    fresh.keep(target.address()).await?;
    fresh.reaches(&sink, IMPORT).await.context("a fresh kaspad imports from the target")?;
    ensure!(fresh.pruning_point().await? == second, "the fresh node has another pruning point");
    Ok(())
}
