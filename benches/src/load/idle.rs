//! Holds many connections that are ready and silent.

use super::Arguments;
use super::peer::Peer;
use crate::control::{self, Look, Ready};
use anyhow::Result;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use tokio::sync::Semaphore;
use tokio::task::LocalSet;

/// Handshakes under way at once: fewer than a listener's backlog.
const GREETING_MAX: usize = 64;

pub(super) fn run(arguments: &Arguments) -> Result<()> {
    let ready = Arc::new(AtomicU64::new(0));
    let looked = Arc::clone(&ready);
    control::serve(Ready { address: None }, move || Look { ready: looked.load(Relaxed), ..Look::now() }, |_| {})?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let connections = LocalSet::new();
    let greeting = Rc::new(Semaphore::new(GREETING_MAX));
    for _ in 0..arguments.peers {
        let (greeting, ready, to, wire) = (Rc::clone(&greeting), Arc::clone(&ready), arguments.to, arguments.wire);
        connections.spawn_local(async move {
            if let Err(wrong) = hold(&greeting, &ready, to, wire).await {
                eprintln!("an idle connection ended: {wrong:#}");
                std::process::exit(1);
            }
        });
    }
    runtime.block_on(connections);
    Ok(())
}

async fn hold(
    greeting: &Semaphore,
    ready: &AtomicU64,
    to: std::net::SocketAddr,
    wire: crate::wire::Wire,
) -> Result<()> {
    let turn = greeting.acquire().await?;
    let mut peer = Peer::connect(to, wire).await?;
    drop(turn);
    ready.fetch_add(1, Relaxed);
    loop {
        peer.rest();
        peer.hear(|_| {}).await?;
    }
}
