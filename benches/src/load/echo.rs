//! Writes messages on connections and waits on each for what comes back.

use super::Arguments;
use super::peer::Peer;
use crate::control::{self, Look, Ready};
use crate::frames::Frames;
use crate::payload::{Arrivals, Tally};
use anyhow::Result;
use std::convert::Infallible;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::time::Duration;
use tokio::task::LocalSet;

/// What all connections share.
#[derive(Default)]
struct Progress {
    sent: Arc<AtomicU64>,
    may_send: Arc<AtomicBool>,
}

pub(super) fn run(arguments: &Arguments) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    LocalSet::new().block_on(&runtime, echo(arguments))
}

async fn echo(arguments: &Arguments) -> Result<()> {
    let (tally, progress) = (Arc::new(Tally::default()), Rc::new(Progress::default()));
    for _ in 0..arguments.peers {
        let peer = Peer::connect(arguments.to, arguments.wire).await?;
        let (arrivals, progress) = (Arrivals::new(Arc::clone(&tally)), Rc::clone(&progress));
        let (frames, window) = (Frames::new(arguments.wire, arguments.payload), arguments.window);
        tokio::task::spawn_local(async move {
            let Err(wrong) = talk(peer, frames, window, arrivals, &progress).await;
            eprintln!("a connection ended: {wrong:#}");
            std::process::exit(1);
        });
    }
    let (sent, may_send) = (Arc::clone(&progress.sent), Arc::clone(&progress.may_send));
    control::serve(
        Ready { address: None },
        move || Look { sent: sent.load(SeqCst), ..Look::with(&tally) },
        move |may| may_send.store(may, SeqCst),
    )?;
    std::future::pending().await
}

async fn talk(
    mut peer: Peer,
    mut frames: Frames,
    window: u64,
    mut arrivals: Arrivals,
    progress: &Progress,
) -> Result<Infallible> {
    let mut next = 0;
    loop {
        let room = (arrivals.arrived() + window).saturating_sub(next);
        if room > 0 && progress.may_send.load(SeqCst) {
            let count = room.min(frames.count());
            progress.sent.fetch_add(count, SeqCst);
            peer.write(frames.stamped(next, count)).await?;
            next += count;
        } else if next > arrivals.arrived() {
            peer.hear(|payload| arrivals.take(payload)).await?;
        } else {
            // A word from the harness comes without a wake-up.
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}
