//! Syncs ten thousand blocks: a fresh node of each kind from a kaspad, and a fresh kaspad from a node of each kind.

use super::usage::{cpu_ms, peak_kib};
use super::{Figure, PLAIN, order};
use crate::client::wire::Hash32;
use crate::kaspad::{Kaspad, Options};
use crate::mining;
use crate::target::{Kind, Programs, Rules, STOCK, Target};
use anyhow::{Context, Result, ensure};
use std::net::SocketAddr;
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// kaspad needs about 4 s alone on two cores.
const SYNC: Duration = Duration::from_secs(180);
/// Between two looks at a tip.
const LOOK: Duration = Duration::from_millis(20);
/// What a node does after its start, and after its sync, is done by then.
const REST: Duration = Duration::from_secs(1);

/// Somebody who serves.
struct Server {
    address: SocketAddr,
    process: u32,
}

/// One sync.
struct Synced {
    seconds: f64,
    cpu_ms: f64,
    peak_mib: f64,
    server_us_a_block: f64,
}

/// What is measured of a sync.
struct Figures {
    seconds: Figure,
    cpu: Figure,
    peak: Figure,
    serving: Figure,
    serving_seconds: Figure,
}

pub(super) async fn measure(programs: &Programs, rounds: usize) -> Result<Vec<Figure>> {
    let root = &programs.root;
    let options = Options { measured: Some(PLAIN), ..Options::default() };
    let kaspad = programs.stocked_as(&root.join("source"), options).await?;
    let ours = Target::start(Kind::Polypeer, programs, &root.join("ours"), Rules::Measured(PLAIN)).await?;
    ours.keep(kaspad.address).await?;
    let mut figures = Figures {
        seconds: Figure::new("kaspa sync from kaspad", "time", "s", None),
        cpu: Figure::new("kaspa sync from kaspad", "CPU of the syncing node", "ms", None),
        peak: Figure::new("kaspa sync from kaspad", "peak memory of the syncing node", "MiB", None),
        serving: Figure::new("kaspa sync of a kaspad", "CPU of the serving node", "µs/block", Some(2.0)),
        serving_seconds: Figure::new("kaspa sync of a kaspad", "time", "s", None),
    };
    for round in 0..rounds {
        let tip = freshen(&kaspad, &ours).await?;
        let servers = [
            Server { address: ours.address(), process: ours.process()? },
            Server { address: kaspad.address, process: kaspad.process()? },
        ];
        play(programs, round, &servers, &tip, &mut figures).await?;
    }
    Ok(vec![figures.seconds, figures.cpu, figures.peak, figures.serving, figures.serving_seconds])
}

// A node whose newest block is old does not count as synced.
async fn freshen(kaspad: &Kaspad, ours: &Target) -> Result<Hash32> {
    mining::mine(&kaspad.rpc, 1, 1, None).await?;
    let tip = kaspad.sink().await?;
    reaches(ours, &tip).await.context("ours, which is to serve")?;
    Ok(tip)
}

async fn play(programs: &Programs, round: usize, servers: &[Server; 2], tip: &Hash32, to: &mut Figures) -> Result<()> {
    let [ours, kaspad] = servers;
    // Who syncs and from whom; the sync of a kaspad from a kaspad is the other side of both comparisons.
    let mut syncs = [(Kind::Polypeer, kaspad), (Kind::Kaspad, kaspad), (Kind::Kaspad, ours)];
    if order(round)[0] == Kind::Kaspad {
        syncs.reverse();
    }
    for (step, (kind, server)) in syncs.into_iter().enumerate() {
        let synced = sync(programs, &format!("sync-{round}-{step}"), kind, server, tip).await?;
        let is_ours = server.process == ours.process;
        if !is_ours {
            to.seconds.note(kind, synced.seconds);
            to.cpu.note(kind, synced.cpu_ms);
            to.peak.note(kind, synced.peak_mib);
        }
        if kind == Kind::Kaspad {
            let serves = if is_ours { Kind::Polypeer } else { Kind::Kaspad };
            to.serving.note(serves, synced.server_us_a_block);
            to.serving_seconds.note(serves, synced.seconds);
        }
    }
    Ok(())
}

// A new node that is up and at rest, told to dial, until it has the tip.
async fn sync(programs: &Programs, name: &str, kind: Kind, server: &Server, tip: &Hash32) -> Result<Synced> {
    let folder = programs.root.join(name);
    let client = Target::start(kind, programs, &folder, Rules::Measured(PLAIN)).await?;
    sleep(REST).await;
    let process = client.process()?;
    let before = (cpu_ms(process)?, cpu_ms(server.process)?);
    let began = Instant::now();
    client.keep(server.address).await?;
    reaches(&client, tip).await.with_context(|| format!("a fresh {kind:?}"))?;
    let seconds = began.elapsed().as_secs_f64();
    sleep(REST).await;
    let synced = Synced {
        seconds,
        cpu_ms: cpu_ms(process)? - before.0,
        peak_mib: peak_kib(process)? / 1024.0,
        server_us_a_block: (cpu_ms(server.process)? - before.1) * 1e3 / STOCK as f64,
    };
    drop(client);
    // Its folder goes with all others when this one's files are still open.
    let _ = std::fs::remove_dir_all(folder);
    Ok(synced)
}

async fn reaches(node: &Target, tip: &Hash32) -> Result<()> {
    let until = Instant::now() + SYNC;
    while node.sink_at_once().await.ok() != Some(*tip) {
        ensure!(Instant::now() < until, "not synced within {SYNC:?}");
        sleep(LOOK).await;
    }
    Ok(())
}
