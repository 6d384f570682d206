//! Lets a network prune what a node stands on, and asks the node for what it does not have.

use crate::client::hashing::hash_of;
use crate::client::wire::{Hash32, Payload, PruningPointHash, RequestHashes, RequestHeaders, hash, hashes};
use crate::client::{Gzip, Hello, Peer, dial};
use crate::process::free_address;
use crate::pruned::SHALLOW;
use crate::rows::pruning::{outputs, proof};
use crate::rows::{Row, Scene, row};
use crate::target::Target;
use anyhow::{Context, Result, ensure};
use std::time::Duration;

pub(super) const ROWS: [Row; 2] = [
    row!(50, "outrun-and-refuse", Listening, true, outrun_and_refuse),
    row!(51, "outrun-and-serve", Ours, true, outrun_and_serve),
];

/// As for a sync; proof and outputs come on top.
const IMPORT: Duration = Duration::from_secs(120);
/// A kaspad takes a proof only when it leads to a clearly younger chain than its own.
const APART: Duration = Duration::from_secs(2 * 60 * 60);
/// Blocks of the first stretch and of the second: more than is kept, so that nothing of the first is left.
const STRETCH: usize = 700;
/// More than such a stretch lasts, at ten blocks a second.
const SPAN: Duration = Duration::from_secs(90);
/// The numbers of our requests.
const HEADERS_ID: u32 = 51;
const BLOCKS_ID: u32 = 52;

async fn outrun_and_refuse(scene: &Scene) -> Result<()> {
    let source = scene.target.overridden("source", &SHALLOW).await?;
    SHALLOW.mine_until(&source, STRETCH, APART).await?;
    let (first, first_sink) = (source.pruning_point().await?, source.sink().await?);
    let mut target = scene.overridden("importing", &SHALLOW).await?;
    target.keep(source.address).await?;
    target.reaches(&first_sink, IMPORT).await.context("the first import")?;

    // Alone while the network goes on, and asked for what the network stands on now.
    target.kill_and_restart(free_address()?).await?;
    SHALLOW.mine_until(&source, STRETCH, Duration::ZERO).await?;
    let (second, sink) = (source.pruning_point().await?, source.sink().await?);
    ensure!(first != second, "the pruning point has not moved");
    has(&target, &first).await.context("what it stands on")?;
    refuses(&target, &second, &sink).await.context("what it has not")?;

    target.keep(source.address).await?;
    target.reaches(&sink, IMPORT).await.context("the second import")?;
    has(&target, &second).await.context("after importing anew")?;
    leads(&target, &second, &sink).await.context("after importing anew")
}

// One that follows the network has its new pruning point as a block, and not the state there: that it refuses. What it
// imported still brings up a fresh node to the newest block.
async fn outrun_and_serve(scene: &Scene) -> Result<()> {
    let source = scene.target.overridden("source", &SHALLOW).await?;
    SHALLOW.mine_until(&source, STRETCH, SPAN).await?;
    let (first, first_sink) = (source.pruning_point().await?, source.sink().await?);
    let target = scene.overridden("following", &SHALLOW).await?;
    target.keep(source.address).await?;
    target.reaches(&first_sink, IMPORT).await.context("the import")?;
    SHALLOW.mine_until(&source, STRETCH, Duration::ZERO).await?;
    let (second, sink) = (source.pruning_point().await?, source.sink().await?);
    ensure!(first != second, "the pruning point has not moved");
    target.reaches(&sink, IMPORT).await.context("the target follows")?;

    has(&target, &first).await.context("what it stands on")?;
    let mut peer = meet(&target).await?;
    has_no_state(&mut peer, &second).await?;
    leads(&target, &second, &sink).await.context("what it followed")?;

    let fresh = scene.target.overridden("fresh", &SHALLOW).await?;
    fresh.keep(target.address()).await?;
    fresh.reaches(&sink, IMPORT).await.context("a fresh kaspad syncs from the target")?;
    ensure!(fresh.pruning_point().await? != first, "the fresh node has stayed where it began");
    Ok(())
}

async fn meet(target: &Target) -> Result<Peer> {
    Ok(Peer::greet(dial(target.address(), Gzip::BOTH).await?, &Hello::fresh(), false).await?)
}

async fn has(target: &Target, point: &Hash32) -> Result<()> {
    let mut peer = meet(target).await?;
    ensure!(proof(&mut peer).await? == *point, "the proof ends elsewhere");
    ensure!(outputs(&mut peer, point).await?.is_some_and(|count| count > 0), "no outputs");
    peer.open().await
}

// From there on headers and blocks are given too.
async fn leads(target: &Target, point: &Hash32, sink: &Hash32) -> Result<()> {
    let mut peer = meet(target).await?;
    headers(&peer, point, sink);
    let came = peer.wait_for("BlockHeaders").await?;
    ensure!(came.response_id == HEADERS_ID, "answered with id {}", came.response_id);
    blocks(&peer, point);
    let is_it = |payload: &Payload| matches!(payload, Payload::Block(block) if hash_of(block) == *point);
    peer.wait("Block", |message| message.payload.as_ref().is_some_and(is_it).then_some(())).await
}

// It says that the pruning point is not its own, and stays.
async fn has_no_state(peer: &mut Peer, point: &Hash32) -> Result<()> {
    ensure!(outputs(peer, point).await?.is_none(), "outputs of a pruning point that it has not");
    peer.send(Payload::RequestPruningPointSmtState(PruningPointHash { hash: hash(point) }));
    peer.wait_for("UnexpectedPruningPoint").await.context("its lanes")?;
    peer.open().await
}

async fn refuses(target: &Target, point: &Hash32, sink: &Hash32) -> Result<()> {
    let mut peer = meet(target).await?;
    has_no_state(&mut peer, point).await?;
    // The way from there is refused, and so are its blocks.
    let unknown = |what: &str| format!("cannot find {what} {}", const_hex::encode(point));
    headers(&peer, point, sink);
    peer.rejected(&unknown("header")).await?;
    let mut peer = meet(target).await?;
    blocks(&peer, point);
    peer.rejected(&unknown("full block")).await
}

fn headers(peer: &Peer, low: &Hash32, high: &Hash32) {
    peer.ask(HEADERS_ID, Payload::RequestHeaders(RequestHeaders { low_hash: hash(low), high_hash: hash(high) }));
}

fn blocks(peer: &Peer, block: &Hash32) {
    peer.ask(BLOCKS_ID, Payload::RequestRelayBlocks(RequestHashes { hashes: hashes([block]) }));
}
