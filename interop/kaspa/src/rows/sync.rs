//! Serves a chain to the target, well and badly, and asks for what serving needs (Kaspa spec, sections 4.6.2 to 4.6.5).

use super::{Row, Scene, row};
use crate::client::chain::{Chain, Fault, parents};
use crate::client::wire::{
    BlockLocator, Empty, Hash32, Payload, RequestHeaders, RequestIbdChainBlockLocator, get_all, hash,
};
use crate::client::{Peer, SHORTLY};
use crate::mining;
use anyhow::{Context, Result, bail, ensure};
use std::time::Duration;
use tokio::time::timeout;

pub(super) const ROWS: [Row; 4] = [
    row!(23, "serve-sync", Both, false, serve_sync),
    row!(24, "serve-badly", Both, true, serve_badly),
    row!(25, "chain-locators", Both, false, chain_locators),
    row!(26, "headers", Both, false, headers),
];

/// A chain of 300 with some width in it.
async fn chain(scene: &Scene) -> Result<Chain> {
    let (stranger, mut mined) = scene.target.stranger("stranger", 300, 3).await?;
    mined.extend(mining::mine(&stranger.rpc, 1, 1, None).await?);
    let genesis = mining::block(&stranger.rpc, &stranger.pruning_point().await?).await?;
    let tip = mined.last().context("the stranger has not mined")?.hash;
    Ok(Chain::new(mined.into_iter().map(|mined| mined.block).chain([genesis]), tip))
}

async fn serve_sync(scene: &Scene) -> Result<()> {
    let chain = chain(scene).await?;
    let mut peer = scene.peer().await?;
    served(scene, &chain, &mut peer).await?;
    peer.open().await
}

async fn served(scene: &Scene, chain: &Chain, peer: &mut Peer) -> Result<()> {
    let tip = chain.tip();
    tokio::select! {
        ended = chain.serve(peer, Fault::None) => bail!("the target closed: {:?}", ended?),
        reached = scene.target.reaches(&tip, SHORTLY + SHORTLY) => reached,
    }
}

async fn serve_badly(scene: &Scene) -> Result<()> {
    let chain = chain(scene).await?;
    let faults = [
        (Fault::EmptyHeaders, "Received an empty headers message"),
        (Fault::NeverDone, "timeout expired after 120s"),
        (Fault::EmptyBody, "sent empty block body for block"),
        (Fault::SwappedBodies, "invalid merkle root"),
    ];
    for (fault, text) in faults {
        let mut peer = scene.peer().await?;
        let ended = timeout(Duration::from_secs(120) + SHORTLY, chain.serve(&mut peer, fault)).await;
        match ended.with_context(|| format!("{fault:?} goes unnoticed"))?? {
            Some(reason) => ensure!(reason.contains(text), "{fault:?}: rejected with `{reason}`"),
            None => ensure!(scene.target_dials(), "{fault:?}: closed in silence"),
        }
    }
    let mut peer = scene.peer().await?;
    served(scene, &chain, &mut peer).await.context("without a fault, after all these")
}

async fn chain_locators(scene: &Scene) -> Result<()> {
    scene.target.mine(20, 1).await?;
    let twins = scene.target.mine(2, 2).await?;
    let last = scene.target.mine(2, 1).await?;
    let (genesis, sink) = (scene.target.genesis().await?, scene.target.sink().await?);
    let merging = last.first().context("nothing was mined")?;
    let on_chain = *parents(&merging.block).first().context("a block without parents")?;
    let off_chain = twins.iter().find(|twin| twin.hash != on_chain).context("both twins are on the chain")?.hash;

    let mut peer = scene.peer().await?;
    let open_ended = locator(&mut peer, None, None).await?;
    ensure!(open_ended.first() == Some(&sink) && open_ended.last() == Some(&genesis), "not from sink to pruning point");
    ensure!(locator(&mut peer, Some(genesis), Some(on_chain)).await?.first() == Some(&on_chain), "not from high");
    ensure!(locator(&mut peer, Some(sink), Some(sink)).await? == [sink], "low is high");
    ensure!(locator(&mut peer, Some(off_chain), Some(sink)).await?.is_empty(), "off the chain");

    ask_locator(&peer, Some([0x71; 32]), None);
    peer.rejected("cannot find header").await.context("an unknown low")?;
    let mut peer = scene.peer().await?;
    ask_locator(&peer, Some(sink), Some(on_chain));
    let (low, high) = (const_hex::encode(sink), const_hex::encode(on_chain));
    peer.rejected(&format!("low hash {low} is higher than high hash {high}")).await
}

fn ask_locator(peer: &Peer, low: Option<Hash32>, high: Option<Hash32>) {
    let (low_hash, high_hash) = (low.as_ref().and_then(hash), high.as_ref().and_then(hash));
    peer.ask(31, Payload::RequestIbdChainBlockLocator(RequestIbdChainBlockLocator { low_hash, high_hash }));
}

async fn locator(peer: &mut Peer, low: Option<Hash32>, high: Option<Hash32>) -> Result<Vec<Hash32>> {
    ask_locator(peer, low, high);
    let (response_id, hashes) = peer
        .wait("IbdChainBlockLocator", |message| match &message.payload {
            Some(Payload::IbdChainBlockLocator(BlockLocator { hashes })) => {
                Some((message.response_id, get_all(hashes)))
            }
            _ => None,
        })
        .await?;
    ensure!(response_id == 31, "answered with id {response_id}");
    Ok(hashes)
}

async fn headers(scene: &Scene) -> Result<()> {
    scene.target.mine(20, 1).await?;
    let twins = scene.target.mine(2, 2).await?;
    scene.target.mine(2, 1).await?;
    let (genesis, sink) = (scene.target.genesis().await?, scene.target.sink().await?);

    let mut peer = scene.peer().await?;
    ask_headers(&peer, &sink, &sink);
    let first = peer.wait("DoneHeaders", headers_or_done).await?;
    ensure!(first == Came::Done, "headers come where low is high");
    peer.send(Payload::RequestNextHeaders(Empty {}));
    peer.rejected("expected message type/s Payload::RequestHeaders but got Some(RequestNextHeaders)").await?;

    let mut peer = scene.peer().await?;
    ask_headers(&peer, &[0x72; 32], &sink);
    peer.rejected("cannot find header").await.context("an unknown low")?;

    let mut peer = scene.peer().await?;
    let [one, other] = twins.as_slice() else { bail!("no twins") };
    ask_headers(&peer, &one.hash, &other.hash);
    peer.rejected("get_hashes_between's low hash").await.context("a low that is no ancestor")?;

    let mut peer = scene.peer().await?;
    ask_headers(&peer, &genesis, &sink);
    ensure!(peer.wait("headers", headers_or_done).await? == Came::Headers(24), "not every header came");
    ask_headers(&peer, &genesis, &sink);
    peer.rejected("expected message type/s Payload::RequestNextHeaders but got Some(RequestHeaders)").await
}

/// What answers a request for headers.
#[derive(Debug, PartialEq, Eq)]
enum Came {
    Headers(usize),
    Done,
}

fn headers_or_done(message: &crate::client::wire::KaspadMessage) -> Option<Came> {
    match &message.payload {
        Some(Payload::BlockHeaders(headers)) => Some(Came::Headers(headers.headers.len())),
        Some(Payload::DoneHeaders(_)) => Some(Came::Done),
        _ => None,
    }
}

fn ask_headers(peer: &Peer, low: &Hash32, high: &Hash32) {
    peer.ask(32, Payload::RequestHeaders(RequestHeaders { low_hash: hash(low), high_hash: hash(high) }));
}
