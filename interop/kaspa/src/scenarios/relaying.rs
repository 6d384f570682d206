//! Carries blocks and transactions between two kaspads that know each other only through the target.

use crate::client::SHORTLY;
use crate::client::hashing::transaction_id;
use crate::client::wire::{Hash32, Transaction};
use crate::kaspad::Kaspad;
use crate::mining;
use crate::rows::{Row, Scene, row};
use crate::spending::{self, Coin, MATURITY};
use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::time::Duration;
use tokio::time::{Instant, sleep};

pub(super) const ROWS: [Row; 2] = [
    row!(37, "relay-both-ways", Listening, true, relay_both_ways),
    row!(38, "relay-to-the-miner", Listening, false, relay_to_the_miner),
];

/// Blocks that are mined on one side, ten a second.
const BLOCKS: usize = 200;
/// Transactions that are sent meanwhile, all in the first three quarters of the time.
const TRANSACTIONS: usize = 1_000;
/// How long a sync through the target may take before.
const PREPARED: Duration = Duration::from_secs(120);

/// Two kaspads and the target between them, all with the same blocks.
struct Ends {
    left: Kaspad,
    right: Kaspad,
    coins: Vec<Coin>,
}

async fn connected(scene: &Scene, coins: usize) -> Result<Ends> {
    let blocks = usize::try_from(MATURITY)? + coins + 20;
    let (left, _) = scene.target.stranger("left", blocks, 1).await?;
    scene.target.keep(left.address).await?;
    let tip = left.sink().await?;
    scene.target.reaches(&tip, PREPARED).await.context("the target syncs")?;
    let right = scene.target.kaspad("right").await?;
    right.keep(scene.target.address()).await?;
    right.has_peers(1, SHORTLY).await?;
    right.reaches(&tip, PREPARED).await.context("the right end syncs from the target")?;
    let found = spending::coins(&left.rpc, MATURITY).await?;
    ensure!(found.len() >= coins, "only {} coins", found.len());
    Ok(Ends { left, right, coins: found })
}

async fn relay_both_ways(scene: &Scene) -> Result<()> {
    let ends = connected(scene, 2 * TRANSACTIONS).await?;
    let (first, second) = ends.coins.split_at(TRANSACTIONS);
    one_way(scene, &ends.left, &ends.right, first).await.context("left to right")?;
    one_way(scene, &ends.right, &ends.left, second).await.context("right to left")
}

async fn one_way(scene: &Scene, from: &Kaspad, to: &Kaspad, coins: &[Coin]) -> Result<()> {
    let before = from.sink().await?;
    let spends: Vec<Transaction> = coins.iter().take(TRANSACTIONS).map(spending::spend).collect();
    let sent: BTreeSet<Hash32> = spends.iter().map(transaction_id).collect();
    ensure!(sent.len() == TRANSACTIONS, "the transactions are not distinct");
    let started = Instant::now();
    let mut queue = spends.chunks(TRANSACTIONS.div_ceil(BLOCKS * 3 / 4));
    let mut ticks = tokio::time::interval(Duration::from_millis(100));
    for _ in 0..BLOCKS {
        ticks.tick().await;
        for spend in queue.next().unwrap_or_default() {
            spending::submit(&from.rpc, spend).await?;
        }
        mining::mine(&from.rpc, 1, 1, None).await?;
    }
    let took = started.elapsed();
    let tip = from.sink().await?;
    let last = Instant::now();
    to.reaches(&tip, SHORTLY).await?;
    scene.figure(format!("{BLOCKS} blocks in {took:.1?}, the last arrived {:.0?} later", last.elapsed()));
    scene.target.reaches(&tip, SHORTLY).await?;
    for (name, node) in [("the sender", from), ("the receiver", to)] {
        let missing = sent.difference(&accepted(node, &before).await?).count();
        ensure!(missing == 0, "{missing} of {TRANSACTIONS} transactions are not in the chain of {name}");
    }
    Ok(())
}

// What a node's selected chain accepted since a block.
async fn accepted(node: &Kaspad, since: &Hash32) -> Result<BTreeSet<Hash32>> {
    let params = json!({ "startHash": const_hex::encode(since), "includeAcceptedTransactionIds": true });
    let answer = node.rpc.call("getVirtualChainFromBlock", params).await?;
    let blocks = answer["acceptedTransactionIds"].as_array().context("no acceptedTransactionIds")?;
    let ids = blocks.iter().filter_map(|block| block["acceptedTransactionIds"].as_array()).flatten();
    ids.map(mining::wire_hash).collect()
}

// Sent on one side and mined on the other: the transactions themselves must cross.
async fn relay_to_the_miner(scene: &Scene) -> Result<()> {
    const CROSSING: usize = 100;
    let ends = connected(scene, CROSSING).await?;
    let before = ends.right.sink().await?;
    let mut sent = BTreeSet::new();
    for coin in ends.coins.iter().take(CROSSING) {
        sent.insert(spending::submit(&ends.left.rpc, &spending::spend(coin)).await?);
    }
    let until = Instant::now() + SHORTLY + SHORTLY;
    loop {
        // A block also makes a node flush the ids that it has collected.
        mining::mine(&ends.right.rpc, 1, 1, None).await?;
        let there = accepted(&ends.right, &before).await?;
        let missing = sent.difference(&there).count();
        if missing == 0 {
            break;
        }
        ensure!(
            Instant::now() < until,
            "{missing} of {CROSSING} transactions have not crossed; {}",
            pool(&ends.right).await
        );
        sleep(Duration::from_millis(300)).await;
    }
    ends.left.reaches(&ends.right.sink().await?, SHORTLY).await
}

async fn pool(node: &Kaspad) -> Value {
    node.rpc.call("getInfo", json!({})).await.map(|mut info| info["mempoolSize"].take()).unwrap_or_default()
}
