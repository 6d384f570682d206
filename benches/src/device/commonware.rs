//! Simulates with commonware: its deterministic runtime and its simulated network, each node two tasks.

use crate::beat::{self, BEAT, Beats, Heard, JITTER, LATENCY, NODES, PAYLOAD_BYTES, SEED};
use crate::control::{self, Look, Ready};
use crate::payload::Tally;
use anyhow::{Context as _, Result};
use commonware_cryptography::Signer as _;
use commonware_cryptography::ed25519::{PrivateKey, PublicKey};
use commonware_p2p::simulated::{Config, Link, Network};
use commonware_p2p::{Manager as _, Provider as _, Receiver as _, Recipients, Sender as _};
use commonware_runtime::{Clock as _, IoBuf, Quota, Runner as _, Spawner as _, Supervisor as _, deterministic};
use commonware_utils::ordered::Set;
use commonware_utils::{NZUsize, Probability};
use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// High enough that nothing is held back.
const QUOTA: Quota = Quota::per_second(NonZeroU32::MAX);

pub(super) fn run() -> Result<()> {
    let tally = Arc::new(Tally::default());
    let ready = Arc::new(AtomicU64::new(0));
    let (counted, is_ready) = (Arc::clone(&tally), Arc::clone(&ready));
    control::serve(
        Ready { address: None },
        move || Look { ready: is_ready.load(Relaxed), ..Look::with(&counted) },
        |_| {},
    )?;
    deterministic::Runner::seeded(SEED).start(|context| simulate(context, tally, ready))
}

async fn simulate(context: deterministic::Context, tally: Arc<Tally>, ready: Arc<AtomicU64>) -> Result<()> {
    let keys: Vec<PublicKey> = (0..NODES).map(|node| PrivateKey::from_seed(node as u64).public_key()).collect();
    let config = Config {
        max_size: 2 * PAYLOAD_BYTES as u32,
        max_peers_per_set: NZUsize!(NODES),
        disconnect_on_block: true,
        tracked_peer_sets: NZUsize!(1),
    };
    let (network, oracle) = Network::new(context.child("network"), config);
    network.start();
    let mut ends = Vec::new();
    for key in &keys {
        ends.push(oracle.control(key.clone()).register(0, QUOTA).await?);
    }
    let mut manager = oracle.manager();
    manager.track(0, Set::from_iter_dedup(keys.iter().cloned()));
    anyhow::ensure!(manager.peer_set(0).await.is_some(), "the peers are not tracked");
    let always = Probability::new(1, 1).context("one of one")?;
    let link = Link { latency: LATENCY, jitter: JITTER, success_rate: always };
    for (node, key) in keys.iter().enumerate() {
        for other in beat::neighbours(node) {
            oracle.add_link(key.clone(), keys[other].clone(), link.clone()).await?;
        }
    }
    let numbers: Arc<BTreeMap<PublicKey, usize>> =
        Arc::new(keys.iter().cloned().enumerate().map(|(node, key)| (key, node)).collect());
    for (node, (mut sender, mut receiver)) in ends.into_iter().enumerate() {
        let to: Vec<PublicKey> = beat::neighbours(node).map(|other| keys[other].clone()).collect();
        context.child("sender").spawn(move |context| async move {
            let mut beats = Beats::of(node);
            context.sleep(beat::begins(node)).await;
            loop {
                let message = IoBuf::copy_from_slice(beats.next());
                sender.send(Recipients::Some(to.clone()), message, false);
                context.sleep(BEAT).await;
            }
        });
        let (mut heard, numbers) = (Heard::by(node, &tally), Arc::clone(&numbers));
        context.child("receiver").spawn(move |_| async move {
            while let Ok((from, message)) = receiver.recv().await {
                if let Some(from) = numbers.get(&from) {
                    heard.take(*from, message.as_ref());
                }
            }
        });
    }
    ready.store(1, Relaxed);
    let mut elapsed = Duration::ZERO;
    loop {
        context.sleep(BEAT).await;
        elapsed += BEAT;
        beat::insist(&tally, elapsed);
    }
}
