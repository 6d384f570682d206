//! Simulates with ours: production engines, AnYa's framer, and a protocol of one message that is not relayed.

use super::engine::{LIMITS, Silent, Unreadable};
use crate::beat::{self, BEAT, Beats, JITTER, LATENCY, NODES, SEED};
use crate::control::{self, Look, Ready};
use crate::payload::{Arrivals, Tally};
use crate::wire::{self, HEADER_BYTES};
use anyhow::Result;
use bytes::Bytes;
use polypeer_anya::wire::{Framer, PHASE_OPEN};
use polypeer_engine::{
    Address, BadFrame, ChannelId, Close, ConnectionId, Context, Direction, DisconnectCause, Frame, Overflow, P2pConfig,
    Parting, Phase, Profile, Protocol, Target, Ticket,
};
use polypeer_sim::{LinkQuality, Map, Remembering, Seat, Setting, World};
use serde::{Deserialize, Serialize};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// The counters of this process's only world: a protocol's configuration is plain data.
static TALLY: Mutex<Option<Arc<Tally>>> = Mutex::new(None);

/// Connections stand after this; no node says anything before.
const STANDING: Duration = Duration::from_secs(2);

pub(super) fn run() -> Result<()> {
    let tally = Arc::new(Tally::default());
    *TALLY.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(&tally));
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

fn build() -> World<Beating, Silent> {
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

/// Sends a message a second to every neighbour, and counts theirs.
struct Beating {
    tally: Arc<Tally>,
    beats: Beats,
}

impl Protocol for Beating {
    const NAME: &'static str = "beating";
    type Config = Own;
    // Boxed, as a real protocol's open peers are: it goes in and comes back with every frame.
    type Peer = Box<Arrivals>;
    type Misbehavior = Unreadable;
    type Alarm = ();
    type Request = ();
    type Answer = ();
    type Framer = Framer;

    fn profile(_: &Own) -> Profile {
        Profile { last_phase: PHASE_OPEN, ..Profile::default() }
    }

    fn framer(_: &Own, _: u16, opener: Direction) -> Framer {
        Framer::new(LIMITS, opener)
    }

    fn new(own: Own, cx: &mut Context<'_, Self>) -> Self {
        let at = cx.time() + STANDING + beat::begins(own.node);
        cx.alarm((), at);
        let tally = TALLY.lock().unwrap_or_else(PoisonError::into_inner);
        Self { tally: tally.as_ref().map(Arc::clone).unwrap_or_default(), beats: Beats::of(own.node) }
    }

    fn on_connected(
        &mut self,
        cx: &mut Context<'_, Self>,
        connection: ConnectionId,
    ) -> Result<Box<Arrivals>, Unreadable> {
        cx.set_phase(connection, Phase(PHASE_OPEN.0));
        cx.ready(connection, "beating");
        Ok(beat::arrivals(&self.tally))
    }

    fn on_frame(
        &mut self,
        _: &mut Context<'_, Self>,
        _: ConnectionId,
        mut arrivals: Box<Arrivals>,
        _: ChannelId,
        frame: Frame<'_>,
    ) -> Result<Box<Arrivals>, Unreadable> {
        arrivals.take(&frame[HEADER_BYTES..]);
        Ok(arrivals)
    }

    fn on_bad_frame(
        &mut self,
        _: &mut Context<'_, Self>,
        _: ConnectionId,
        _: Box<Arrivals>,
        _: ChannelId,
        _: BadFrame,
    ) -> Result<Box<Arrivals>, Unreadable> {
        Err(Unreadable)
    }

    fn on_parting(
        &mut self,
        cx: &mut Context<'_, Self>,
        connection: ConnectionId,
        arrivals: Box<Arrivals>,
        _: Parting,
    ) -> Result<Box<Arrivals>, Unreadable> {
        cx.close(connection, Close::Flushed, "parting");
        Ok(arrivals)
    }

    fn on_disconnected(
        &mut self,
        _: &mut Context<'_, Self>,
        _: ConnectionId,
        _: Option<Box<Arrivals>>,
        _: DisconnectCause,
    ) {
    }

    fn on_answer(&mut self, _: &mut Context<'_, Self>, _: Option<Ticket>, (): ()) {}

    fn on_alarm(&mut self, cx: &mut Context<'_, Self>, (): ()) {
        let mut bytes = Vec::with_capacity(HEADER_BYTES + beat::PAYLOAD_BYTES);
        wire::frame("tx", self.beats.next(), &mut bytes);
        let frame = Bytes::from(bytes);
        for connection in cx.connections() {
            cx.send(connection, frame.clone(), Overflow::Close);
        }
        let at = cx.time() + BEAT;
        cx.alarm((), at);
    }

    fn on_peer_alarm(
        &mut self,
        _: &mut Context<'_, Self>,
        _: ConnectionId,
        arrivals: Box<Arrivals>,
        (): (),
    ) -> Result<Box<Arrivals>, Unreadable> {
        Ok(arrivals)
    }
}
