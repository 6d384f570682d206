//! Lets ours make blocks with real proof of work, and the target judge them.
//!
//! A kaspad checks of a header what we check: the work, the target, the scores, the times, the parents on every level.
//! What it finds wrong of these blocks are their outputs, for which it keeps them off its chain and rejects nobody.

use crate::rows::{Row, Scene, row};
use anyhow::{Context, Result, ensure};
use std::time::Duration;
use tokio::time::{Instant, sleep};

pub(super) const ROWS: [Row; 1] = [row!(45, "real-work", Listening, true, real_work)];

/// Blocks beside the first: enough that targets, times and levels follow from several.
const BLOCKS: u64 = 5;
/// Half a million hashes each, a second of one CPU or some more, of which others want their share.
const WORK: Duration = Duration::from_secs(240);
const POLL: Duration = Duration::from_millis(500);

async fn real_work(scene: &Scene) -> Result<()> {
    let miner = scene.miner("miner").await?;
    let until = Instant::now() + WORK;
    while miner.blocks().await? < BLOCKS {
        ensure!(Instant::now() < until, "no {BLOCKS} blocks within {WORK:?}");
        sleep(POLL).await;
    }
    let made = miner.sink().await?;
    let judge = scene.worker("judge").await?;
    judge.keep(miner.address).await?;
    let until = Instant::now() + WORK;
    while !judge.holds(&made, BLOCKS).await? {
        ensure!(Instant::now() < until, "the target has not taken what was made");
        sleep(POLL).await;
    }
    let agents = miner.agents().await.context("the miner's peers")?;
    ensure!(!agents.is_empty(), "the target has left the miner");
    Ok(())
}
