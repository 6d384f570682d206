//! Runs the nodes of one network, and compares them.

use super::report::{Ended, Propagation, Row};
use super::stopwatch::{Hand, Stopwatch};
use super::wallets::Wallets;
use super::{Plan, SETTLE_WITHIN, eventually};
use crate::config::{Config, Given};
use crate::data::DataFolder;
use crate::event_log::EventLog;
use crate::networks::{Entry, Founding, Launch, RunningNetwork, Which};
use anyhow::Context as _;
use futures_util::future::join_all;
use polypeer_driver::Budget;
use std::collections::HashSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::sync::{Mutex, watch};

/// The nodes of one network.
pub(super) struct Group {
    entry: &'static Entry,
    pub(super) nodes: Vec<Arc<dyn RunningNetwork>>,
    stopwatch: Arc<Stopwatch>,
    sent: AtomicU64,
}

impl Group {
    /// Starts all nodes. Each is told of the one before it only; discovery has to do the rest.
    pub(super) fn start(
        entry: &'static Entry,
        plan: &Plan,
        data: &DataFolder,
        budget: &Budget,
        events: &Arc<EventLog>,
    ) -> anyhow::Result<Self> {
        let stopwatch = Arc::new(Stopwatch::default());
        let mut group = Self { entry, nodes: Vec::new(), stopwatch, sent: AtomicU64::new(0) };
        let producers = (0..plan.nodes).map(|_| producer()).collect::<anyhow::Result<Vec<_>>>()?;
        let founding = Founding { producers: &producers, interval: plan.produce_interval };
        let values = (entry.devnet_values)(&founding);
        for index in 0..plan.nodes + entry.devnet_followers {
            let before = group.nodes.last().and_then(|node| node.listening());
            let producer = producers.get(index).copied();
            let config = Config::load(None, [], &givens(entry, before, producer.is_some(), &values))?;
            // The first node answers under the network's own name.
            let name = match index {
                0 => entry.devnet.to_owned(),
                _ => format!("{}-{}", entry.devnet, index + 1),
            };
            let launch = Launch {
                name: &name,
                base_name: entry.devnet,
                network: config.network(entry.devnet)?,
                config: &config,
                folder: Some(data.network(&name)?),
                producer,
                budget: budget.clone(),
                events: events.clone(),
                arrivals: Some(Arc::new(Hand { stopwatch: group.stopwatch.clone(), node: index })),
            };
            group.nodes.push((entry.start)(&launch)?);
        }
        Ok(group)
    }

    /// Waits until every node has a peer, and each but the first has reached one: then they are one network and not
    /// several.
    pub(super) async fn meet(&self) {
        eventually(super::MEET_WITHIN, || async {
            let statuses = join_all(self.nodes.iter().map(|node| node.status())).await;
            let has_met = |(index, peers): (usize, crate::view::PeerCount)| {
                peers.outbound > 0 || (index == 0 && peers.inbound > 0)
            };
            let peers = statuses.into_iter().map(|status| status.map(|status| status.peers).unwrap_or_default());
            peers.enumerate().all(has_met)
        })
        .await;
    }

    /// Lets the wallets pay until they are stopped.
    pub(super) async fn pay(&self, rate: f64, stopped: watch::Receiver<bool>) -> anyhow::Result<HashSet<[u8; 32]>> {
        let purses = (self.entry.payers)(self.nodes.len())?;
        let share = rate / purses.len() as f64;
        let hands = self.nodes.iter().zip(purses).map(|(node, purses)| {
            let wallets = Wallets { node, purses, sent: &self.sent };
            wallets.pay(share, stopped.clone())
        });
        let mut all = HashSet::new();
        for ids in join_all(hands).await {
            all.extend(ids?);
        }
        Ok(all)
    }

    /// How it goes.
    pub(super) async fn row(&self) -> Row {
        let statuses: Vec<_> =
            join_all(self.nodes.iter().map(|node| node.status())).await.into_iter().flatten().collect();
        let heights = statuses.iter().map(|status| status.height);
        let tips: HashSet<_> = statuses.iter().map(|status| status.tip.clone()).collect();
        let [blocks, transactions] = self.stopwatch.quantiles().map(Propagation::from);
        Row {
            network: self.entry.devnet.to_owned(),
            nodes: statuses.len(),
            connections: statuses.iter().map(|status| status.peers.outbound).sum(),
            heights: (heights.clone().min().unwrap_or(0), heights.max().unwrap_or(0)),
            tips_equal: tips.len() == 1,
            sent: self.sent.load(Ordering::Relaxed),
            waiting: statuses.iter().map(|status| status.mempool).max().unwrap_or(0),
            messages: self.messages().await,
            blocks,
            transactions,
        }
    }

    /// Waits until the nodes agree, and compares them.
    pub(super) async fn settle(&self, sent: &HashSet<[u8; 32]>, must_grow: bool) -> Ended {
        // What each node is known to lack shrinks from look to look.
        let lacking: Mutex<Vec<HashSet<[u8; 32]>>> = Mutex::new(vec![sent.clone(); self.nodes.len()]);
        eventually(SETTLE_WITHIN, || async {
            let mut lacking = lacking.lock().await;
            for (node, lacks) in self.nodes.iter().zip(lacking.iter_mut()) {
                self.look_for(node, lacks).await;
            }
            lacking.iter().all(HashSet::is_empty) && self.tips().await.len() == 1
        })
        .await;
        self.compare(sent, &lacking.into_inner(), must_grow).await
    }

    async fn look_for(&self, node: &Arc<dyn RunningNetwork>, lacks: &mut HashSet<[u8; 32]>) {
        let mut found = Vec::new();
        for id in lacks.iter() {
            if matches!(node.transaction(*id).await, Ok(Some(_))) {
                found.push(*id);
            }
        }
        found.iter().for_each(|id| {
            lacks.remove(id);
        });
    }

    async fn compare(&self, sent: &HashSet<[u8; 32]>, lacking: &[HashSet<[u8; 32]>], must_grow: bool) -> Ended {
        let tips = self.tips().await;
        let mut confirmed = 0;
        for id in sent {
            let found = self.nodes[0].transaction(*id).await;
            confirmed += u64::from(found.is_ok_and(|found| found.is_some_and(|found| found.block.is_some())));
        }
        let lacked: HashSet<_> = lacking.iter().flatten().collect();
        let mut faults = Vec::new();
        if tips.len() != 1 {
            faults.push(format!("{} different tips", tips.len()));
        }
        for (node, lacks) in self.nodes.iter().zip(lacking).filter(|(_, lacks)| !lacks.is_empty()) {
            faults.push(format!("{} lacks {} transactions", node.name(), lacks.len()));
        }
        let tip = self.nodes[0].block(Which::Tip).await.ok().flatten();
        if must_grow && tip.as_ref().is_none_or(|tip| tip.parents.is_empty()) {
            faults.push("no block was made".into());
        }
        let [blocks, transactions] = self.stopwatch.quantiles().map(Propagation::from);
        Ended {
            network: self.entry.devnet.to_owned(),
            nodes: self.nodes.len(),
            height: tip.as_ref().map_or(0, |tip| tip.height),
            tip: tip.map(|tip| tip.hash).unwrap_or_default(),
            tips_equal: tips.len() == 1,
            sent: sent.len() as u64,
            confirmed,
            everywhere: (sent.len() - lacked.len()) as u64,
            messages: self.messages().await,
            blocks,
            transactions,
            faults,
        }
    }

    // The tips that there are; a node that has stopped counts as one of its own.
    async fn tips(&self) -> HashSet<String> {
        let statuses = join_all(self.nodes.iter().map(|node| node.status())).await;
        let tip = |(index, status): (usize, Result<crate::view::Network, _>)| {
            let tip = status.ok().and_then(|status| Some((status.tip?, status.blocks)));
            tip.map_or_else(|| format!("none at node {index}"), |(tip, blocks)| format!("{tip} {blocks:?}"))
        };
        statuses.into_iter().enumerate().map(tip).collect()
    }

    async fn messages(&self) -> u64 {
        let meters = join_all(self.nodes.iter().map(|node| node.meters())).await;
        meters.into_iter().flatten().map(|meters| meters.frames.0).sum()
    }
}

fn producer() -> anyhow::Result<[u8; 32]> {
    let mut seed = [0; 32];
    getrandom::fill(&mut seed).context("no random bytes from the system")?;
    Ok(seed)
}

fn givens(entry: &Entry, before: Option<SocketAddr>, produces: bool, values: &[(&'static str, String)]) -> Vec<Given> {
    let given = |key, text: String| Given { section: entry.devnet.to_owned(), key, text, flag: "devnet" };
    let mut all = vec![given("listen", "127.0.0.1:0".into()), given("produce", produces.to_string())];
    all.extend(values.iter().map(|(key, text)| given(*key, text.clone())));
    all.extend(before.map(|address| given("add_peer", address.to_string())));
    all
}
