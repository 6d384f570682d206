//! Describes the small networks on which pruning takes seconds (Kaspa spec, section 7.3).

use crate::client::wire::get;
use crate::kaspad::{Kaspad, Options, POLL};
use crate::mining::{self, Mined, Pace};
use anyhow::{Result, ensure};
use serde_json::json;
use std::path::Path;
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// Parameters that replace simnet's.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Depths {
    /// Blue scores below the sink that are final.
    finality: u64,
    /// Blue scores below the sink that are kept.
    pruning: u64,
    /// A single-file chain of so many blocks has a pruning point that can be served.
    blocks: usize,
}

/// Deep enough for more than 99 trusted entries and more than 1,000 outputs.
pub(crate) const DEEP: Depths = Depths { finality: 300, pruning: 700, blocks: 2_600 };
/// As kaspad's own tests have it: the pruning point leaves genesis soon after 300 blocks.
pub(crate) const SHALLOW: Depths = Depths { finality: 100, pruning: 200, blocks: 700 };

/// A node prunes in seconds; thirty of them share two cores.
const PRUNED: Duration = Duration::from_secs(60);

impl Depths {
    /// What a kaspad of this network is started with; the file goes into the folder.
    pub(crate) fn options(&self, folder: &Path) -> Result<Options> {
        let text = json!({
            "timestamp_deviation_tolerance": 16,
            "difficulty_window_size": 32,
            "min_difficulty_window_size": 16,
            "pruning_proof_m": 16,
            "blockrate": {
                "target_time_per_block": 100,
                "ghostdag_k": 10,
                "past_median_time_sample_rate": 1,
                "difficulty_sample_rate": 1,
                "max_block_parents": 10,
                "mergeset_size_limit": 32,
                "merge_depth": 64,
                "finality_depth": self.finality,
                "pruning_depth": self.pruning,
                "coinbase_maturity": 10,
            },
        });
        std::fs::create_dir_all(folder)?;
        let file = folder.join("overrides.json");
        std::fs::write(&file, text.to_string())?;
        Ok(Options { overrides: Some(file), ..Options::default() })
    }

    /// Mines until the node's pruning point has left genesis and is deep enough.
    pub(crate) async fn prune(&self, node: &Kaspad) -> Result<Vec<Mined>> {
        self.mine_until(node, self.blocks, Duration::ZERO).await
    }

    /// Mines so many blocks, the last of them so long ago, and waits until the pruning point rests.
    pub(crate) async fn mine_until(&self, node: &Kaspad, blocks: usize, ago: Duration) -> Result<Vec<Mined>> {
        let pace = Pace::until(node.daa_score().await? + blocks as u64, ago);
        let mined = mining::mine(&node.rpc, blocks, 1, Some(pace)).await?;
        // It moves a moment after the block that moves it, to where the newest header has it.
        let sink = mining::block(&node.rpc, &node.sink().await?).await?;
        let due = sink.header.as_ref().map(|header| get(header.pruning_point.as_ref()));
        let until = Instant::now() + PRUNED;
        let mut point = node.pruning_point().await?;
        while Some(point) != due {
            ensure!(
                Instant::now() < until,
                "the pruning point has not moved within {PRUNED:?}: {point:02x?}, not {due:02x?}"
            );
            sleep(POLL).await;
            point = node.pruning_point().await?;
        }
        Ok(mined)
    }
}
