//! Runs networks and the API over them in one process, from the first lock to the last save.

use crate::api::{self, Node, Server, Token};
use crate::event_log::EventLog;
use crate::log_quota::LogQuota;
use crate::networks::{RunningNetwork, happened};
use crate::view::What;
use anyhow::Context as _;
use futures_util::future::join_all;
use polypeer_engine::Event;
use rustix::process::{Resource, getrlimit, setrlimit};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::mpsc;
use tracing::Level;

/// How long an orderly end may take in all.
pub const DRAIN_WITHIN: Duration = Duration::from_secs(5);
/// Of that, what networks get; the rest is for the answers of the API.
const NETWORKS_WITHIN: Duration = Duration::from_millis(4500);
/// What is left for connections of the API that do not end by themselves.
const API_WITHIN: Duration = Duration::from_millis(300);

/// Reasons that tell of a peer's faults.
const FAULTS: [&str; 4] = ["slip", "convicted", "discouraged", "banned"];

/// A process that serves.
pub struct Daemon {
    node: Arc<Node>,
    api: Option<Server>,
    metrics: Option<Server>,
    stopped: mpsc::Receiver<String>,
}

/// Where a daemon listens for HTTP; nowhere when nothing is said.
#[derive(Clone, Copy, Debug, Default)]
pub struct Doors {
    /// The API.
    pub api: Option<SocketAddr>,
    /// Metrics.
    pub metrics: Option<SocketAddr>,
}

impl Daemon {
    /// Serves the API over networks that run.
    pub async fn serve(
        networks: Vec<Arc<dyn RunningNetwork>>,
        events: Arc<EventLog>,
        token: Option<&str>,
        doors: Doors,
    ) -> anyhow::Result<Self> {
        let (ended, stopped) = mpsc::channel(networks.len().max(1));
        for network in &networks {
            tokio::spawn(pump(network.clone(), events.clone()));
            tokio::spawn(guard(network.clone(), ended.clone()));
        }
        let node = Arc::new(Node::new(networks, events, token.map(Token::new)));
        let api = match doors.api {
            Some(address) => {
                let served = api::serve(address, api::router(node.clone())).await;
                Some(served.with_context(|| format!("cannot listen for the API at {address}"))?)
            }
            None => None,
        };
        let metrics = match doors.metrics {
            Some(address) => {
                let served = api::serve(address, api::metrics_router(node.clone())).await;
                Some(served.with_context(|| format!("cannot serve metrics at {address}"))?)
            }
            None => None,
        };
        Ok(Self { node, api, metrics, stopped })
    }

    /// What it shows.
    pub fn node(&self) -> &Arc<Node> {
        &self.node
    }

    /// Where the API listens.
    pub fn api(&self) -> Option<SocketAddr> {
        self.api.as_ref().map(Server::address)
    }

    /// Where metrics are served.
    pub fn metrics(&self) -> Option<SocketAddr> {
        self.metrics.as_ref().map(Server::address)
    }

    /// Waits until a network stops of its own accord, which none should; what there is to say.
    pub async fn failed(&mut self) -> String {
        match self.stopped.recv().await {
            Some(text) => text,
            // Without networks nothing can stop.
            None => std::future::pending().await,
        }
    }

    /// Says goodbye to everyone, saves everything and ends, within [`DRAIN_WITHIN`].
    pub async fn drain(self) {
        self.node.is_draining.store(true, Ordering::Relaxed);
        join_all(self.node.networks.iter().map(|network| network.drain(NETWORKS_WITHIN))).await;
        // Wakes the event streams, which end now.
        self.node.events.close();
        let servers = [self.api, self.metrics].into_iter().flatten();
        join_all(servers.map(|server| server.stop(API_WITHIN))).await;
    }
}

/// Lets this process have as many files open as it may without asking anyone: a connection is a file.
pub fn raise_file_limit() {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    if let Err(error) = setrlimit(Resource::Nofile, limit) {
        tracing::warn!("the limit on open files stays as it is: {error}");
    }
}

// Copies a network's events into the log, losses included. What people read of it is bounded by source.
async fn pump(network: Arc<dyn RunningNetwork>, log: Arc<EventLog>) {
    let mut events = network.events();
    let mut quota = LogQuota::default();
    loop {
        match events.recv().await {
            Ok((_, event)) => {
                let what = happened(&event);
                report(network.name(), &what, source(&event), &mut quota);
                log.push(network.name(), what);
            }
            Err(RecvError::Lagged(lost)) => {
                if quota.admits(Instant::now(), None, network.name().len()) {
                    tracing::warn!("{}: {lost} events were lost", network.name());
                }
                log.lose(network.name(), lost);
            }
            Err(RecvError::Closed) => return,
        }
    }
}

// Who caused it.
fn source(event: &Event) -> Option<IpAddr> {
    match event {
        Event::PeerReady { address, .. } | Event::PeerGone { address, .. } => Some(address.ip()),
        Event::Reason(record) => Some(record.subject.ip()),
        Event::Note(_) => None,
    }
}

// What an operator wants in a log: who comes and goes and who misbehaves; every other choice for those who look closer.
fn report(network: &str, what: &What, source: Option<IpAddr>, quota: &mut LogQuota) {
    let is_news = match what {
        What::PeerReady { .. } | What::PeerGone { .. } | What::Note { .. } => true,
        What::Reason { why } => FAULTS.contains(&why.what.as_str()),
        _ => false,
    };
    let is_read = if is_news { tracing::enabled!(Level::INFO) } else { tracing::enabled!(Level::DEBUG) };
    if !is_read {
        return;
    }
    let (text, now) = (what.to_string(), Instant::now());
    if !quota.admits(now, source, network.len() + text.len()) {
        if let Some(lines) = quota.left_out(now) {
            tracing::info!("{network}: {lines} lines were left out, a source is too loud; `polypeer events` has them");
        }
    } else if is_news {
        tracing::info!("{network}: {text}");
    } else {
        tracing::debug!("{network}: {text}");
    }
}

async fn guard(network: Arc<dyn RunningNetwork>, ended: mpsc::Sender<String>) {
    let why = match network.ended().await {
        Ok(()) => "it was stopped".to_owned(),
        Err(why) => why,
    };
    // The receiver is gone when the daemon is.
    let _ = ended.send(format!("the network {} has ended: {why}", network.name())).await;
}
