//! Times blocks and transactions on their way from a kaspad over the node in the middle to another kaspad.
//!
//! Both lines of three run at the same time, half a beat apart, so that what disturbs one disturbs the other. Someone
//! listens at both ends of each: a time is from the first end's announcement to the second's.

use super::{Figure, PLAIN};
use crate::client::wire::{Hash32, Payload, get, get_all};
use crate::client::{Gzip, Heard, Hello, Peer, SHORTLY, dial};
use crate::kaspad::{Kaspad, Measured, Options};
use crate::mining;
use crate::spending::{self, Coin, MATURITY};
use crate::target::{Kind, Programs, Rules, Target};
use anyhow::{Context, Result, ensure};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::{Instant, interval, sleep};

/// Blocks on each line.
const BLOCKS: usize = 200;
/// Transactions on each line, after the blocks.
const TRANSACTIONS: usize = 200;
/// A beat, in which each line gets one: ten a second.
const BEAT: Duration = Duration::from_millis(100);
/// What is under way has arrived by then.
const LAST: Duration = Duration::from_secs(3);
/// A sync of both followers on a machine that does two at once.
const PREPARED: Duration = Duration::from_secs(180);
/// Transactions that may still wait in somebody's batch at the end.
const WAITING_MAX: usize = 20;

/// When announcements came.
type Heardings = Arc<Mutex<BTreeMap<Hash32, Instant>>>;

/// Three nodes, and the listeners at the ends.
struct Line {
    kind: Kind,
    first: Kaspad,
    coins: Vec<Coin>,
    at_first: Heardings,
    at_last: Heardings,
    _middle: Target,
    _last: Target,
}

pub(super) async fn measure(programs: &Programs) -> Result<Vec<Figure>> {
    let mut listening = JoinSet::new();
    let ours = line(programs, Kind::Polypeer, &mut listening).await?;
    let kaspads = line(programs, Kind::Kaspad, &mut listening).await?;
    let lines = [&ours, &kaspads];

    let mut beats = interval(BEAT / 2);
    let mut mined = [Vec::new(), Vec::new()];
    for turn in 0..2 * BLOCKS {
        beats.tick().await;
        let line = lines[turn % 2];
        mined[turn % 2].extend(mining::mine(&line.first.rpc, 1, 1, None).await?.into_iter().map(|one| one.hash));
    }
    sleep(LAST).await;
    let mut sent = [Vec::new(), Vec::new()];
    for turn in 0..2 * TRANSACTIONS {
        beats.tick().await;
        let line = lines[turn % 2];
        let coin = line.coins.get(turn / 2).context("too few coins")?;
        sent[turn % 2].push(spending::submit(&line.first.rpc, &spending::spend(coin)).await?);
    }
    sleep(LAST).await;

    let mut blocks = Figure::new("kaspa relay at 10/s", "a block's way, each", "ms", Some(1.0));
    let mut transactions = Figure::new("kaspa relay at 10/s", "a transaction's way, each", "ms", None);
    for (index, line) in lines.into_iter().enumerate() {
        let times = line.times(&mined[index]);
        ensure!(times.len() == BLOCKS, "{:?}: {} of {BLOCKS} blocks arrived", line.kind, times.len());
        blocks.note_all(line.kind, times);
        let times = line.times(&sent[index]);
        let least = TRANSACTIONS - WAITING_MAX;
        ensure!(times.len() >= least, "{:?}: {} of {TRANSACTIONS} transactions arrived", line.kind, times.len());
        transactions.note_all(line.kind, times);
    }
    Ok(vec![blocks, transactions])
}

async fn line(programs: &Programs, kind: Kind, listening: &mut JoinSet<()>) -> Result<Line> {
    let folder = programs.root.join(format!("relay-{kind:?}").to_lowercase());
    let measured = Some(Measured { is_indexed: true, ..PLAIN });
    let first = programs.stocked_as(&folder.join("first"), Options { measured, ..Options::default() }).await?;
    let middle = Target::start(kind, programs, &folder.join("middle"), Rules::Measured(PLAIN)).await?;
    let last = Target::start(Kind::Kaspad, programs, &folder.join("last"), Rules::Measured(PLAIN)).await?;
    let tip = first.sink().await?;
    middle.keep(first.address).await?;
    middle.reaches(&tip, PREPARED).await.context("the middle syncs")?;
    last.keep(middle.address()).await?;
    last.reaches(&tip, PREPARED).await.context("the last syncs")?;
    let coins = spending::coins(&first.rpc, MATURITY).await?;
    let at_first = listen(first.address, listening).await?;
    let at_last = listen(last.address(), listening).await?;
    // Some that do not count: what is done once is done.
    mining::mine(&first.rpc, 20, 1, None).await?;
    last.reaches(&first.sink().await?, SHORTLY).await?;
    Ok(Line { kind, first, coins, at_first, at_last, _middle: middle, _last: last })
}

async fn listen(to: SocketAddr, listening: &mut JoinSet<()>) -> Result<Heardings> {
    let mut peer = Peer::greet(dial(to, Gzip::BOTH).await?, &Hello::fresh(), false).await?;
    let heardings = Heardings::default();
    let note = Arc::clone(&heardings);
    listening.spawn(async move {
        while let Heard::Message(message) = peer.next().await {
            let now = Instant::now();
            let ids = match &message.payload {
                Some(Payload::InvRelayBlock(inv)) => vec![get(inv.hash.as_ref())],
                Some(Payload::InvTransactions(inv)) => get_all(&inv.ids),
                _ => continue,
            };
            if let Ok(mut heardings) = note.lock() {
                for id in ids {
                    heardings.entry(id).or_insert(now);
                }
            }
        }
    });
    Ok(heardings)
}

impl Line {
    // How long each was under way, in milliseconds, of those that both ends announced.
    fn times(&self, ids: &[Hash32]) -> Vec<f64> {
        let (Ok(first), Ok(last)) = (self.at_first.lock(), self.at_last.lock()) else { return Vec::new() };
        let span = |id| Some(last.get(id)?.saturating_duration_since(*first.get(id)?).as_secs_f64() * 1e3);
        ids.iter().filter_map(span).collect()
    }
}
