//! Weighs an idle peer that has shaken hands.

use super::usage::resident_kib;
use super::{Figure, order};
use crate::client::{Gzip, Heard, Hello, Peer, dial};
use crate::kaspad::Measured;
use crate::target::{Kind, Programs, Rules, Target};
use anyhow::{Context, Result, ensure};
use std::net::SocketAddr;
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::sleep;

/// Peers that come first: what a node makes once is not a peer's.
const FIRST: usize = 20;
/// Peers that are weighed.
const PEERS: usize = 300;
/// A node that did not change for so long is at rest.
const REST: Duration = Duration::from_secs(3);
/// What a peer over HTTP/2 may cost.
const PEER_KIB_MAX: f64 = 32.0;
/// Memory repeats well.
const ROUNDS_MAX: usize = 2;
/// Room for all of them, so that none is closed for another.
const MEASURED: Measured = Measured { peers_max: FIRST + PEERS + 16, is_indexed: false };

pub(super) async fn measure(programs: &Programs, rounds: usize) -> Result<Figure> {
    let mut figure = Figure::new("kaspa memory", "an idle peer", "KiB", None);
    figure.most = Some(PEER_KIB_MAX);
    for round in 0..rounds.min(ROUNDS_MAX) {
        for kind in order(round) {
            figure.note(kind, weigh(programs, kind, round).await?);
        }
    }
    Ok(figure)
}

async fn weigh(programs: &Programs, kind: Kind, round: usize) -> Result<f64> {
    let folder = programs.root.join(format!("memory-{kind:?}-{round}").to_lowercase());
    let target = Target::start(kind, programs, &folder, Rules::Measured(MEASURED)).await?;
    let mut peers = JoinSet::new();
    come(&mut peers, target.address(), FIRST).await?;
    sleep(REST).await;
    let before = resident_kib(target.process()?)?;
    come(&mut peers, target.address(), PEERS).await?;
    sleep(REST).await;
    let after = resident_kib(target.process()?)?;
    ensure!(peers.try_join_next().is_none(), "a peer was closed");
    Ok((after - before) / PEERS as f64)
}

// One after the other: a kaspad shakes hands with two of an address at once.
async fn come(peers: &mut JoinSet<()>, to: SocketAddr, count: usize) -> Result<()> {
    for _ in 0..count {
        let line = dial(to, Gzip::BOTH).await.context("refused")?;
        let mut peer = Peer::greet(line, &Hello::fresh(), false).await?;
        peers.spawn(async move { while let Heard::Message(_) = peer.next().await {} });
    }
    Ok(())
}
