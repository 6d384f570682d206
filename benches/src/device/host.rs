//! Runs a network of ours as a device.

use crate::control::{self, Look, Ready};
use crate::payload::Tally;
use anyhow::{Context, Result};
use polypeer_driver::{Budget, Network, start};
use polypeer_engine::{Ledger, P2pConfig, Protocol};
use std::sync::Arc;
use tokio::runtime::Builder;

/// Connections that a device takes.
const INBOUND_MAX: u32 = 10_000;

/// Starts a network, and answers the harness until it has had enough. What `tally` counts is what was delivered.
pub(super) fn run<P, L>(name: &str, protocol: P::Config, ledger: L, tally: Arc<Tally>) -> Result<()>
where
    P: Protocol,
    L: Ledger<Request = P::Request, Answer = P::Answer>,
{
    let p2p = P2pConfig {
        outbound_target: 0,
        inbound_max: INBOUND_MAX,
        discovery: false,
        private_addresses: true,
        ..P2pConfig::default()
    };
    let network: Network<P> = Network {
        name: name.to_owned(),
        p2p,
        protocol,
        listen: Some(([127, 0, 0, 1], 0).into()),
        seed: Some([7; 32]),
        record: None,
        queue_budget: Budget::default(),
        tls: None,
        identity: None,
    };
    let handle = start(network, ledger, None)?;
    let (watched, runtime) = (handle.clone(), Builder::new_current_thread().enable_all().build()?);
    let look = move || {
        let ready = runtime.block_on(watched.read(|view| {
            let peers = view.engine.state().peers.values();
            (peers.filter(|peer| peer.is_ready).count() as u64, view.meters.totals().all.frames_dropped)
        }));
        let (ready, dropped) = ready.unwrap_or_default();
        Look { ready, dropped, ..Look::with(&tally) }
    };
    control::serve(Ready { address: handle.listening() }, look, |_| {})?;
    Builder::new_current_thread().build()?.block_on(handle.ended()).map_err(anyhow::Error::msg).context("the network")
}
