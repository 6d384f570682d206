//! Writes messages on one connection and receives them on many others.

use super::Arguments;
use super::peer::Peer;
use crate::control::{self, Look, Ready};
use crate::frames::Frames;
use crate::payload::{Arrivals, Tally};
use anyhow::Result;
use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::task::LocalSet;

/// How far each receiver has come, and whom to tell when the slowest moves.
struct Progress {
    arrived: RefCell<Vec<u64>>,
    moved: Notify,
}

pub(super) fn run(arguments: &Arguments) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    LocalSet::new().block_on(&runtime, fan(arguments))
}

async fn fan(arguments: &Arguments) -> Result<()> {
    let tally = Arc::new(Tally::default());
    let (sent, may_send) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
    let progress = Rc::new(Progress { arrived: RefCell::new(vec![0; arguments.peers]), moved: Notify::new() });
    for index in 0..arguments.peers {
        let peer = Peer::connect(arguments.to, arguments.wire).await?;
        let (arrivals, progress) = (Arrivals::new(Arc::clone(&tally)), Rc::clone(&progress));
        tokio::task::spawn_local(async move {
            let Err(wrong) = receive(peer, arrivals, index, &progress).await;
            eprintln!("a receiver's connection ended: {wrong:#}");
            std::process::exit(1);
        });
    }
    let source = Peer::connect(arguments.to, arguments.wire).await?;
    let (looked, told) = (Arc::clone(&sent), Arc::clone(&may_send));
    control::serve(
        Ready { address: None },
        move || Look { sent: looked.load(SeqCst), ..Look::with(&tally) },
        move |may| told.store(may, SeqCst),
    )?;
    send(source, arguments, &progress, &sent, &may_send).await
}

async fn receive(
    mut peer: Peer,
    mut arrivals: Arrivals,
    index: usize,
    progress: &Progress,
) -> Result<std::convert::Infallible> {
    loop {
        peer.hear(|payload| arrivals.take(payload)).await?;
        progress.arrived.borrow_mut()[index] = arrivals.arrived();
        progress.moved.notify_one();
    }
}

async fn send(
    mut source: Peer,
    arguments: &Arguments,
    progress: &Progress,
    sent: &AtomicU64,
    may_send: &AtomicBool,
) -> Result<()> {
    let mut frames = Frames::new(arguments.wire, arguments.payload);
    let mut next = 0;
    loop {
        let slowest = progress.arrived.borrow().iter().copied().min().unwrap_or(0);
        let room = (slowest + arguments.window).saturating_sub(next);
        if room == 0 || !may_send.load(SeqCst) {
            // The source hears too, a ping for one; and a word from the harness comes without a wake-up.
            tokio::select! {
                () = progress.moved.notified() => {}
                heard = source.hear(|_| {}) => heard?,
                () = tokio::time::sleep(Duration::from_millis(10)) => {}
            }
            continue;
        }
        let count = room.min(frames.count());
        sent.store(next + count, SeqCst);
        source.write(frames.stamped(next, count)).await?;
        next += count;
    }
}
