//! Relays through rust-libp2p's gossipsub, over TCP with noise and yamux.

use crate::control::{self, Look, Ready};
use anyhow::{Context, Result, bail};
use futures_util::StreamExt;
use libp2p::gossipsub::{Behaviour, ConfigBuilder, IdentTopic, MessageAuthenticity, MessageId, ValidationMode};
use libp2p::multiaddr::Protocol;
use libp2p::swarm::SwarmEvent;
use libp2p::{Multiaddr, Swarm, SwarmBuilder, noise, tcp, yamux};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// Peers that a hub keeps in its mesh: all that a load has.
const MESH: usize = 64;
/// Messages that may wait for one peer: more than any window.
const QUEUE: usize = 1 << 15;
/// As long as a run may take: nothing is dropped for waiting.
const WAIT: Duration = Duration::from_secs(600);

/// The only topic.
pub(crate) fn topic() -> IdentTopic {
    IdentTopic::new("bench")
}

/// A swarm that subscribes to the topic: unsigned messages, every subscriber in the mesh, the stamp as identifier.
pub(crate) fn swarm() -> Result<Swarm<Behaviour>> {
    let config = ConfigBuilder::default()
        .validation_mode(ValidationMode::Anonymous)
        .message_id_fn(|message| MessageId::new(&message.data[..message.data.len().min(16)]))
        .mesh_n(MESH)
        .mesh_n_low(MESH)
        .mesh_n_high(2 * MESH)
        .mesh_outbound_min(0)
        .connection_handler_queue_len(QUEUE)
        .publish_queue_duration(WAIT)
        .forward_queue_duration(WAIT)
        .build()?;
    let behaviour = Behaviour::new(MessageAuthenticity::Anonymous, config).map_err(anyhow::Error::msg)?;
    let mut swarm = SwarmBuilder::with_new_identity()
        .with_tokio()
        .with_tcp(tcp::Config::default().nodelay(true), noise::Config::new, yamux::Config::default)?
        .with_behaviour(|_| behaviour)
        .context("a behaviour")?
        .with_swarm_config(|config| config.with_idle_connection_timeout(WAIT))
        .build();
    swarm.behaviour_mut().subscribe(&topic())?;
    Ok(swarm)
}

/// Where a load dials.
pub(crate) fn multiaddr(address: SocketAddr) -> Multiaddr {
    Multiaddr::from(address.ip()).with(Protocol::Tcp(address.port()))
}

pub(super) fn run() -> Result<()> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(serve())
}

async fn serve() -> Result<()> {
    let mut swarm = swarm()?;
    swarm.listen_on(multiaddr(([127, 0, 0, 1], 0).into()))?;
    let address = loop {
        match swarm.select_next_some().await {
            SwarmEvent::NewListenAddr { address, .. } => break socket_address(&address)?,
            SwarmEvent::ListenerClosed { reason, .. } => bail!("it cannot listen: {reason:?}"),
            _ => {}
        }
    };
    let ready = Arc::new(AtomicU64::new(0));
    let looked = Arc::clone(&ready);
    control::serve(
        Ready { address: Some(address) },
        move || Look { ready: looked.load(Relaxed), ..Look::now() },
        |_| {},
    )?;
    let mut tick = tokio::time::interval(Duration::from_millis(100));
    let topic = topic().hash();
    loop {
        tokio::select! {
            // Relaying is the behaviour's own doing; what it tells its owner is dropped.
            _ = swarm.select_next_some() => {}
            _ = tick.tick() => ready.store(swarm.behaviour().mesh_peers(&topic).count() as u64, Relaxed),
        }
    }
}

fn socket_address(address: &Multiaddr) -> Result<SocketAddr> {
    let mut parts = address.iter();
    match (parts.next(), parts.next()) {
        (Some(Protocol::Ip4(ip)), Some(Protocol::Tcp(port))) => Ok((ip, port).into()),
        _ => bail!("it listens on {address}"),
    }
}
