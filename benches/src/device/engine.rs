//! Receives through driver, framer and engine, up to a handler that only checks: what ours costs without a protocol.

use super::host;
use crate::payload::{Arrivals, Tally};
use crate::wire::HEADER_BYTES;
use anyhow::Result;
use bytes::Bytes;
use polypeer_anya::wire::{Framer, Limits, PHASE_OPEN};
use polypeer_engine::{
    BadFrame, ChannelId, Close, ConnectionId, Context, Direction, DisconnectCause, Frame, Ledger, Misbehavior, Now,
    Parting, Phase, Profile, Protocol, Ticket, Time, To, Weight,
};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::fmt::Debug;
use std::sync::{Arc, Mutex, PoisonError};

/// The counters of this process's only network or world: a protocol's configuration is plain data.
static TALLY: Mutex<Option<Arc<Tally>>> = Mutex::new(None);

/// The phase of every connection from its first byte on.
pub(super) const OPEN: Phase = PHASE_OPEN;

/// AnYa's defaults.
pub(super) const LIMITS: Limits =
    Limits { tx_bytes_max: 1 << 20, block_bytes_max: 4 << 20, mempool_bytes_max: 32 << 20 };

pub(super) fn run() -> Result<()> {
    host::run::<Counting<Mute>, Silent>("engine", (), Silent, tally())
}

/// Makes this process's counters.
pub(super) fn tally() -> Arc<Tally> {
    let tally = Arc::new(Tally::default());
    *TALLY.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(&tally));
    tally
}

/// A protocol that counts frames, and says what `S` says.
pub(super) struct Counting<S> {
    tally: Arc<Tally>,
    speech: S,
}

/// What carries a counting protocol's frames, and how they look.
pub(super) trait Carriage {
    /// Bytes of a frame in front of its payload.
    const HEADER_BYTES: usize;
    type Framer: polypeer_engine::Framer;

    fn profile() -> Profile;

    fn framer(opener: Direction) -> Self::Framer;
}

/// AnYa's frames on TCP.
pub(super) struct Plain;

impl Carriage for Plain {
    const HEADER_BYTES: usize = HEADER_BYTES;
    type Framer = Framer;

    fn profile() -> Profile {
        Profile { last_phase: OPEN, ..Profile::default() }
    }

    fn framer(opener: Direction) -> Framer {
        Framer::new(LIMITS, opener)
    }
}

/// What a counting protocol says of its own accord, and what carries it.
pub(super) trait Speech: Sized + Send + 'static {
    const NAME: &'static str;
    type Config: Clone + Debug + Send + Serialize + DeserializeOwned + 'static;
    type Carriage: Carriage;

    /// Begins, and sets the first alarm if there is something to say.
    fn new(config: Self::Config, cx: &mut Context<'_, Counting<Self>>) -> Self;

    /// Says it, at an alarm.
    fn speak(&mut self, cx: &mut Context<'_, Counting<Self>>);

    /// Hears a frame: checks and counts it, and nothing else.
    fn hear(
        &mut self,
        _: &mut Context<'_, Counting<Self>>,
        _: ConnectionId,
        arrivals: &mut Arrivals,
        frame: Frame<'_>,
    ) {
        arrivals.take(&frame[Self::Carriage::HEADER_BYTES..]);
    }
}

/// Says nothing.
struct Mute;

impl Speech for Mute {
    const NAME: &'static str = "heard";
    type Config = ();
    type Carriage = Plain;

    fn new((): (), _: &mut Context<'_, Counting<Self>>) -> Self {
        Self
    }

    fn speak(&mut self, _: &mut Context<'_, Counting<Self>>) {}
}

/// Nothing is wrong but bytes that are no frame.
#[derive(Clone, Copy, Debug)]
pub(super) struct Unreadable;

impl Misbehavior for Unreadable {
    fn name(&self) -> &'static str {
        "unreadable"
    }

    fn weight(&self) -> Weight {
        Weight::Breach
    }

    fn farewell(&self) -> Option<Bytes> {
        None
    }
}

impl<S: Speech> Protocol for Counting<S> {
    const NAME: &'static str = S::NAME;
    type Config = S::Config;
    // Boxed, as a real protocol's open peers are: it goes in and comes back with every frame.
    type Peer = Box<Arrivals>;
    type Misbehavior = Unreadable;
    type Alarm = ();
    type Request = ();
    type Answer = ();
    type Framer = <S::Carriage as Carriage>::Framer;

    fn profile(_: &S::Config) -> Profile {
        S::Carriage::profile()
    }

    fn framer(_: &S::Config, _: u16, opener: Direction) -> Self::Framer {
        S::Carriage::framer(opener)
    }

    fn new(config: S::Config, cx: &mut Context<'_, Self>) -> Self {
        let speech = S::new(config, cx);
        let tally = TALLY.lock().unwrap_or_else(PoisonError::into_inner);
        Self { tally: tally.as_ref().map(Arc::clone).unwrap_or_default(), speech }
    }

    fn on_connected(
        &mut self,
        cx: &mut Context<'_, Self>,
        connection: ConnectionId,
    ) -> Result<Box<Arrivals>, Unreadable> {
        cx.set_phase(connection, OPEN);
        cx.ready(connection, S::NAME);
        Ok(Box::new(Arrivals::new(Arc::clone(&self.tally))))
    }

    fn on_frame(
        &mut self,
        cx: &mut Context<'_, Self>,
        connection: ConnectionId,
        mut arrivals: Box<Arrivals>,
        _: ChannelId,
        frame: Frame<'_>,
    ) -> Result<Box<Arrivals>, Unreadable> {
        self.speech.hear(cx, connection, &mut arrivals, frame);
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
        self.speech.speak(cx);
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

/// A ledger that nobody asks.
pub(super) struct Silent;

impl Ledger for Silent {
    type Request = ();
    type Answer = ();

    fn answer(&mut self, _: Now, _: Vec<(Ticket, ())>, _: &mut Vec<(To, ())>) {}

    fn next_wake(&self, _: Now) -> Option<Time> {
        None
    }

    fn wake(&mut self, _: Now, _: &mut Vec<(To, ())>) {}
}
