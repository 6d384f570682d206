//! Simulates with ours: production engines, AnYa's framer, and a protocol of one message that is not relayed.

use super::engine::{Counting, Plain, Silent, Speech, tally};
use crate::beat::{self, BEAT, Beats, JITTER, LATENCY, NODES, SEED};
use crate::control::{self, Look, Ready};
use crate::wire::{self, HEADER_BYTES};
use anyhow::Result;
use bytes::Bytes;
use polypeer_engine::{Address, Context, Overflow, P2pConfig, Target};
use polypeer_sim::{LinkQuality, Map, Remembering, Seat, Setting, World};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// Connections stand after this; no node says anything before.
const STANDING: Duration = Duration::from_secs(2);

pub(super) fn run() -> Result<()> {
    let tally = tally();
    let ready = Arc::new(AtomicU64::new(0));
    let (counted, is_ready) = (Arc::clone(&tally), Arc::clone(&ready));
    control::serve(
        Ready { address: None },
        move || Look { ready: is_ready.load(Relaxed), ..Look::with(&counted) },
        |_| {},
    )?;
    let mut world = build();
    world.run(STANDING);
    ready.store(1, Relaxed);
    let mut elapsed = Duration::ZERO;
    loop {
        world.run(BEAT);
        elapsed += BEAT;
        beat::insist(&tally, elapsed);
    }
}

fn build() -> World<Counting<Beating>, Silent> {
    let quality = LinkQuality {
        latency: LATENCY,
        jitter_percent: (JITTER.as_millis() * 100 / LATENCY.as_millis()) as u32,
        ..LinkQuality::default()
    };
    let setting =
        Setting { map: Map::uniform(quality), remembering: Remembering::InMemory, events_max: 0, ..Setting::default() };
    let mut world = World::new(SEED, setting);
    for node in 0..NODES {
        // Each dials those behind it, so that there is one connection between two neighbours.
        let dialled = beat::neighbours(node).step_by(2).map(|other| Target::Address(address(other)));
        let config = P2pConfig {
            connect_only: dialled.collect(),
            discovery: false,
            private_addresses: true,
            ..P2pConfig::default()
        };
        let seat = Seat::new(address(node), Own { node }, |_| Ok(Silent));
        world.add(Seat { config, ..seat });
    }
    world
}

fn address(node: usize) -> Address {
    Address::new(std::net::IpAddr::from([10, (node >> 8) as u8, node as u8, 1]), 7000)
}

/// Which node this is.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Own {
    node: usize,
}

/// Says a message a second to every neighbour.
struct Beating(Beats);

impl Speech for Beating {
    const NAME: &'static str = "beating";
    type Config = Own;
    type Carriage = Plain;

    fn new(own: Own, cx: &mut Context<'_, Counting<Self>>) -> Self {
        let at = cx.time() + STANDING + beat::begins(own.node);
        cx.alarm((), at);
        Self(Beats::of(own.node))
    }

    fn speak(&mut self, cx: &mut Context<'_, Counting<Self>>) {
        let mut bytes = Vec::with_capacity(HEADER_BYTES + beat::PAYLOAD_BYTES);
        wire::frame("tx", self.0.next(), &mut bytes);
        let frame = Bytes::from(bytes);
        for connection in cx.connections() {
            cx.send(connection, frame.clone(), Overflow::Close);
        }
        let at = cx.time() + BEAT;
        cx.alarm((), at);
    }
}
