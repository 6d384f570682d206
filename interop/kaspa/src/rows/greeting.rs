//! Shakes hands, well and badly (Kaspa spec, section 3).

use super::{Row, Scene, row};
use crate::client::wire::{Empty, Nonce, Payload};
use crate::client::{Hello, Peer, SHORTLY, dial};
use crate::kaspad::POLL;
use anyhow::{Context, Result, ensure};
use serde_json::Value;
use std::time::Duration;
use tokio::time::{Instant, sleep};

pub(super) const ROWS: [Row; 8] = [
    row!(1, "handshake", Both, false, handshake),
    row!(2, "versions", Both, false, versions),
    row!(3, "networks", Both, false, networks),
    row!(4, "ids", Both, false, ids),
    row!(5, "no-version-no-verack", Both, false, no_version_no_verack),
    row!(6, "no-ready", Both, false, no_ready),
    row!(7, "too-early", Both, false, too_early),
    row!(8, "pending-handshakes", Listening, false, pending_handshakes),
];

/// Long enough for what a node would say right after `Ready`.
const AFTER_READY: Duration = Duration::from_millis(500);

async fn handshake(scene: &Scene) -> Result<()> {
    let hello = Hello::fresh();
    let mut peer = scene.greet(&hello).await?;
    peer.manners.addresses = false;
    ensure!(peer.theirs.protocol_version == 11, "advertises {}", peer.theirs.protocol_version);
    ensure!(peer.theirs.network == "kaspa-simnet", "is on {}", peer.theirs.network);
    ensure!(peer.theirs.id.len() == 16, "has an id of {} bytes", peer.theirs.id.len());
    peer.wait_for("RequestAddresses").await?;
    peer.quiet(AFTER_READY, "an inv of genesis", |payload| matches!(payload, Payload::InvRelayBlock(_))).await?;
    let agents = scene.target.agents().await?;
    ensure!(agents.contains(&hello.user_agent), "its list of peers has {agents:?}");

    scene.target.mine(1, 1).await?;
    let sink = scene.target.sink().await?;
    let mut second = scene.peer().await?;
    second
        .wait("inv of the sink", |message| match &message.payload {
            Some(Payload::InvRelayBlock(inv)) => inv.hash.as_ref().is_some_and(|hash| hash.get() == sink).then_some(()),
            _ => None,
        })
        .await?;
    second.open().await
}

async fn versions(scene: &Scene) -> Result<()> {
    for version in [0, 5, 9] {
        let hello = Hello { protocol_version: version, ..Hello::fresh() };
        let text = format!("P2P protocol version mismatch - local: 11, remote: {version}");
        scene.refused(&hello, &text).await.with_context(|| format!("version {version}"))?;
    }
    for version in [10, 11, 99] {
        let hello = Hello { protocol_version: version, ..Hello::fresh() };
        let mut peer = scene.greet(&hello).await.with_context(|| format!("version {version}"))?;
        peer.open().await?;
        if let Some(node) = scene.target.as_kaspad() {
            // It is entered a moment after it may speak.
            let until = Instant::now() + SHORTLY;
            let shown = loop {
                let is_it = |peer: &Value| peer["user_agent"] == hello.user_agent;
                if let Some(shown) = node.peers().await?.into_iter().find(is_it) {
                    break shown;
                }
                ensure!(Instant::now() < until, "not among its peers");
                sleep(POLL).await;
            };
            ensure!(shown["advertised_protocol_version"] == version, "shown as {shown}");
        }
        let single = proof_is_single(&mut peer).await.with_context(|| format!("proof in version {version}"))?;
        ensure!(single == (version == 10), "the proof's form in version {version}");
    }
    Ok(())
}

// While genesis is the pruning point its proof is a header of genesis in every level.
async fn proof_is_single(peer: &mut Peer) -> Result<bool> {
    peer.ask(901, Payload::RequestPruningPointProof(Empty {}));
    let mut levels = Vec::new();
    peer.wait("pruning point proof", |message| match message.payload.as_ref() {
        Some(Payload::PruningPointProof(proof)) => Some((proof.levels.len() == 251).then_some(true)),
        Some(Payload::PruningPointProofChunk(chunk)) => {
            levels.push(chunk.level);
            None
        }
        Some(Payload::PruningPointProofChunksEnd(_)) => {
            Some(levels.iter().copied().eq((0..=250).rev()).then_some(false))
        }
        _ => None,
    })
    .await?
    .context("the proof has not every level once")
}

async fn networks(scene: &Scene) -> Result<()> {
    for network in ["simnet", "Kaspa-simnet", "kaspa-devnet", ""] {
        let hello = Hello { network: network.to_owned(), ..Hello::fresh() };
        let text = format!("Network mismatch - local: kaspa-simnet, remote: {network}");
        scene.refused(&hello, &text).await?;
    }
    Ok(())
}

async fn ids(scene: &Scene) -> Result<()> {
    let short = Hello { id: vec![7; 15], ..Hello::fresh() };
    scene.refused(&short, "invalid length: expected 16 bytes, found 15").await?;
    let first_hello = Hello::fresh();
    let mut first = scene.greet(&first_hello).await?;
    let own = Hello { id: first.theirs.id.clone(), ..Hello::fresh() };
    scene.refused(&own, "LOOPBACK_CONNECTION").await?;
    let twin = Hello { network: "kaspa-devnet".to_owned(), ..first_hello };
    scene.refused(&twin, "DUPLICATE_CONNECTION").await?;
    first.open().await.context("the first connection stays")
}

async fn no_version_no_verack(scene: &Scene) -> Result<()> {
    // Never a version.
    let started = Instant::now();
    let mut silent = Peer::ungreeted(scene.line().await?, scene.target_dials());
    silent.rejected("timeout expired after 4s").await?;
    within(started, 4)?;
    // Never an acknowledgement.
    let started = Instant::now();
    let mut rude = Peer::ungreeted(scene.line().await?, scene.target_dials());
    rude.send(Payload::Version(Hello::fresh().version()));
    rude.rejected("timeout expired after 4s").await?;
    within(started, 4)
}

async fn no_ready(scene: &Scene) -> Result<()> {
    let mut peer = Peer::ungreeted(scene.line().await?, scene.target_dials());
    let started = Instant::now();
    peer.send(Payload::Version(Hello::fresh().version()));
    peer.send(Payload::Verack(Empty {}));
    peer.wait_for("Ready").await?;
    peer.rejected("timeout expired after 8s").await?;
    within(started, 8)
}

fn within(started: Instant, seconds: u64) -> Result<()> {
    let took = started.elapsed();
    let due = Duration::from_secs(seconds);
    // Half a second early would be another timer; late is the machine's load.
    ensure!(took > due - Duration::from_millis(500) && took < due + SHORTLY, "took {took:?}, where {due:?} are due");
    Ok(())
}

async fn too_early(scene: &Scene) -> Result<()> {
    let early = [
        Payload::Ping(Nonce { nonce: 1 }),
        Payload::RequestPruningPointProof(Empty {}),
        Payload::RequestAddresses(Default::default()),
    ];
    for payload in early {
        let mut peer = Peer::ungreeted(scene.line().await?, scene.target_dials());
        peer.send(payload);
        peer.closed().await?;
    }
    Ok(())
}

async fn pending_handshakes(scene: &mut Scene) -> Result<()> {
    scene.make_strict().await?;
    let first = scene.line().await?;
    let _second = scene.line().await?;
    let Err(status) = dial(scene.target.address(), crate::client::Gzip::BOTH).await else {
        anyhow::bail!("a third unfinished handshake from one address is taken");
    };
    ensure!(status.code() == tonic::Code::ResourceExhausted, "refused with {status:?}");
    ensure!(status.message().contains("too many pending inbound handshakes"), "refused with {status:?}");
    drop(first);
    // The slot is free as soon as the target has seen that.
    let until = Instant::now() + Duration::from_secs(3);
    loop {
        match scene.peer().await {
            Ok(mut peer) => return peer.open().await,
            Err(error) if Instant::now() > until => return Err(error.context("no slot becomes free")),
            Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
        }
    }
}
