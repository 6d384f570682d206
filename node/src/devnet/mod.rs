//! Starts private networks in one process: real sockets between real engines, blocks and transactions flowing.
//!
//! ```text
//!  start ──► watch (blocks, transactions) ──► decide ──► settle ──► compare
//!            all nodes produce, wallets pay    one node    nobody    one chain? every transaction
//!                                              produces    produces  on every node?
//! ```
//!
//! The last of the given time belongs to one producer: two blocks made at the same moment would otherwise leave two
//! chains of equal work, each the first that its half of the nodes saw, and nobody to decide.

mod group;
mod report;
mod stopwatch;
mod wallets;

pub use report::{Ended, Propagation, Row, Summary};

use crate::config::Config;
use crate::daemon::{Daemon, Doors};
use crate::data::DataFolder;
use crate::event_log::EventLog;
use crate::networks::{Entry, RunningNetwork};
use futures_util::future::join_all;
use group::Group;
use polypeer_driver::Budget;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;
use tokio::sync::watch;
use tokio::time::{Instant, interval, sleep, timeout};

/// How long nodes have to find a first peer before wallets start anyway.
const MEET_WITHIN: Duration = Duration::from_secs(10);
/// How long nodes have to agree when nothing is made any more.
pub const SETTLE_WITHIN: Duration = Duration::from_secs(10);
/// A pause between two looks at what is waited for.
const LOOK_AGAIN: Duration = Duration::from_millis(50);
/// How often whoever watches is shown how it goes.
pub const SHOWN_EVERY: Duration = Duration::from_millis(500);

/// What to start.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The networks.
    pub networks: Vec<&'static Entry>,
    /// Nodes of each.
    pub nodes: usize,
    /// How long blocks and transactions are made; until it is stopped when nothing is said.
    pub time: Option<Duration>,
    /// Transactions a second in each network.
    pub tx_rate: f64,
    /// How often each node makes a block.
    pub produce_interval: Duration,
    /// Where the API of all nodes listens.
    pub api: SocketAddr,
}

/// Private networks that run.
pub struct Devnet {
    plan: Plan,
    groups: Vec<Group>,
    daemon: Daemon,
    data: DataFolder,
    // Removed with everything in it when this is dropped, after all else.
    _folder: TempDir,
}

impl Devnet {
    /// Starts everything in a temporary folder.
    pub async fn start(plan: Plan) -> anyhow::Result<Self> {
        let folder = tempfile::Builder::new().prefix("polypeer-devnet-").tempdir()?;
        let data = DataFolder::lock(folder.path())?;
        let token = data.token()?;
        let events = Arc::new(EventLog::default());
        let budget = Budget::new(Config::defaults().limits.size("queue_bytes_max"));
        let mut groups = Vec::new();
        for entry in &plan.networks {
            groups.push(Group::start(entry, &plan, &data, &budget, &events)?);
        }
        let all: Vec<Arc<dyn RunningNetwork>> = groups.iter().flat_map(|group| group.nodes.iter().cloned()).collect();
        let doors = Doors { api: Some(plan.api), metrics: None };
        let daemon = Daemon::serve(all, events, Some(&token), doors).await?;
        Ok(Self { plan, groups, daemon, data, _folder: folder })
    }

    /// Where the API listens.
    pub fn api(&self) -> Option<SocketAddr> {
        self.daemon.api()
    }

    /// The folder with the API's token.
    pub fn data(&self) -> &DataFolder {
        &self.data
    }

    /// Lets blocks and transactions flow for the given time, or until `stop` turns true; then lets the nodes settle
    /// and compares them. `show` is called twice a second.
    pub async fn run(&self, mut stop: watch::Receiver<bool>, mut show: impl FnMut(&[Row])) -> anyhow::Result<Summary> {
        let started = Instant::now();
        let (wallets_stop, wallets_stopped) = watch::channel(false);
        let wallets = self.groups.iter().map(|group| group.pay(self.plan.tx_rate, wallets_stopped.clone()));
        let production = async {
            // Nodes that know nobody yet would only make chains of their own.
            let _ = timeout(MEET_WITHIN, join_all(self.groups.iter().map(Group::meet))).await;
            self.until(started, &mut stop).await;
            wallets_stop.send_replace(true);
            self.decide(started).await;
        };
        let watching = async {
            let mut ticks = interval(SHOWN_EVERY);
            loop {
                ticks.tick().await;
                show(&self.rows().await);
            }
        };
        let paid = tokio::select! {
            (paid, ()) = futures_util::future::join(join_all(wallets), production) => paid,
            () = watching => unreachable!("it never ends"),
        };
        let mut networks = Vec::new();
        for (group, sent) in self.groups.iter().zip(paid) {
            networks.push((group, sent?));
        }
        // In a shorter time it may be that nobody's turn came.
        let must_grow = started.elapsed() >= 5 * self.plan.produce_interval;
        let summaries = networks.iter().map(|(group, sent)| group.settle(sent, must_grow));
        let networks = join_all(summaries).await;
        Ok(Summary { networks })
    }

    /// Ends everything.
    pub async fn end(self) {
        self.daemon.drain().await;
    }

    async fn rows(&self) -> Vec<Row> {
        join_all(self.groups.iter().map(Group::row)).await
    }

    // How long one node alone makes the last blocks: two of its blocks, and less than half of a short run.
    fn tail(&self) -> Duration {
        let two = self.plan.produce_interval.mul_f64(2.5);
        self.plan.time.map_or(two, |time| two.min(time.mul_f64(0.4)))
    }

    async fn until(&self, started: Instant, stop: &mut watch::Receiver<bool>) {
        let stopped = async {
            // A sender that is gone stops nothing.
            if stop.wait_for(|stop| *stop).await.is_err() {
                std::future::pending::<()>().await;
            }
        };
        match self.plan.time {
            Some(time) => {
                let end = started + time.saturating_sub(self.tail());
                let _ = tokio::time::timeout_at(end, stopped).await;
            }
            None => stopped.await,
        }
    }

    async fn decide(&self, started: Instant) {
        join_all(self.groups.iter().flat_map(|group| group.nodes.iter().skip(1)).map(|node| node.halt())).await;
        let end = self.plan.time.map_or(Instant::now() + self.tail(), |time| started + time);
        // Stopped early by hand: the last blocks still need their time.
        let end = end.min(Instant::now() + self.tail());
        tokio::time::sleep_until(end).await;
        join_all(self.groups.iter().filter_map(|group| group.nodes.first()).map(|node| node.halt())).await;
    }
}

// Looks again and again until it is so, or the time is over. Whether it is so.
async fn eventually<F: Future<Output = bool>>(within: Duration, mut look: impl FnMut() -> F) -> bool {
    let end = Instant::now() + within;
    loop {
        if look().await {
            return true;
        }
        if Instant::now() >= end {
            return false;
        }
        sleep(LOOK_AGAIN).await;
    }
}
