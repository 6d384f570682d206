//! Publishes on one swarm and receives on many others, all of gossipsub.

use super::Arguments;
use crate::control::{self, Look, Ready};
use crate::device::gossip::{multiaddr, swarm, topic};
use crate::payload::{self, Arrivals, Tally};
use anyhow::Result;
use futures_util::StreamExt;
use libp2p::Swarm;
use libp2p::gossipsub::{Behaviour, Event, PublishError};
use libp2p::swarm::SwarmEvent;
use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::task::LocalSet;

/// How far each receiver has come, and whom to tell when one moves.
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
        let mut swarm = swarm()?;
        swarm.dial(multiaddr(arguments.to))?;
        let arrivals = Arrivals::new(Arc::clone(&tally));
        tokio::task::spawn_local(receive(swarm, arrivals, index, Rc::clone(&progress)));
    }
    let mut source = swarm()?;
    source.dial(multiaddr(arguments.to))?;
    let (looked, told) = (Arc::clone(&sent), Arc::clone(&may_send));
    control::serve(
        Ready { address: None },
        move || Look { sent: looked.load(SeqCst), ..Look::with(&tally) },
        move |may| told.store(may, SeqCst),
    )?;
    send(source, arguments, &progress, &sent, &may_send).await
}

async fn receive(mut swarm: Swarm<Behaviour>, mut arrivals: Arrivals, index: usize, progress: Rc<Progress>) {
    loop {
        if let SwarmEvent::Behaviour(Event::Message { message, .. }) = swarm.select_next_some().await {
            arrivals.take(&message.data);
            progress.arrived.borrow_mut()[index] = arrivals.arrived();
            progress.moved.notify_one();
        }
    }
}

async fn send(
    mut source: Swarm<Behaviour>,
    arguments: &Arguments,
    progress: &Progress,
    sent: &AtomicU64,
    may_send: &AtomicBool,
) -> Result<()> {
    let mut next = 0;
    let mut payload: Vec<u8> = (0..arguments.payload).map(|at| (at * 31) as u8).collect();
    let hash = payload::hash(&payload);
    loop {
        let slowest = progress.arrived.borrow().iter().copied().min().unwrap_or(0);
        let mut room = (slowest + arguments.window).saturating_sub(next);
        while room > 0 && may_send.load(SeqCst) {
            payload::stamp(&mut payload, next, hash);
            match source.behaviour_mut().publish(topic(), payload.clone()) {
                Ok(_) => {
                    next += 1;
                    room -= 1;
                    sent.store(next, SeqCst);
                }
                Err(PublishError::NoPeersSubscribedToTopic | PublishError::AllQueuesFull(_)) => break,
                Err(wrong) => return Err(wrong.into()),
            }
        }
        tokio::select! {
            () = progress.moved.notified() => {}
            _ = source.select_next_some() => {}
            () = tokio::time::sleep(Duration::from_millis(10)) => {}
        }
    }
}
