//! Enters the Hello tracker, a role of its own.

use super::Launch;
use super::holdings::Nothing;
use super::hosted::{self, Hosted};
use super::running::RunningNetwork;
use polypeer_driver::Network;
use polypeer_protocols::hello::tracker::{self, Config, NoLedger, Tracker};
use rustix::process::{Resource, getrlimit};
use std::net::SocketAddr;
use std::sync::Arc;

/// Starts the tracker of a network: where and how often as `[tracker]` says, the rest from the network's section.
pub(super) fn start(launch: &Launch<'_>) -> anyhow::Result<Arc<dyn RunningNetwork>> {
    let section = &launch.network.section;
    let own = &launch.config.tracker;
    let config = Config {
        interval: own.span("interval"),
        connections_max: connections_max(),
        line_bytes_max: section.size("line_bytes_max"),
        line_budget_bytes: section.size("line_budget_bytes"),
        slips_max: section.count_u32("slips_max"),
        handshake_timeout: section.span("handshake_timeout"),
        liveness_interval: section.span("liveness_interval"),
        ..Config::default()
    };
    let listen: Option<SocketAddr> = own.text("listen").map(str::parse).transpose()?;
    let limits = &launch.config.limits;
    let mut p2p = tracker::p2p(listen.map(Into::into), &config);
    p2p.spare_loopback = limits.flag("spare_loopback");
    p2p.book_max = limits.count_u32("addresses_max");
    p2p.upload_rate = limits.count("upload_rate");
    let network = Network::<Tracker> {
        name: launch.name.to_owned(),
        p2p,
        protocol: config,
        listen,
        seed: None,
        record: section.text("record").map(Into::into),
        queue_budget: launch.budget.clone(),
        tls: None,
        identity: None,
    };
    let handle = hosted::start(network, NoLedger, launch.folder.as_deref(), "tracker.redb")?;
    let members = |tracker: &Tracker| Some(tracker.members().len() as u64);
    Ok(Arc::new(Hosted { handle, holdings: Box::new(Nothing), members }))
}

// Three quarters of the open-file limit: the rest is for dials, stores and the API.
fn connections_max() -> u32 {
    let files = getrlimit(Resource::Nofile).current.unwrap_or(u64::from(u32::MAX));
    u32::try_from(files / 4 * 3).unwrap_or(u32::MAX)
}
