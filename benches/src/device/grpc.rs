//! Receives and sends on through the driver's gRPC and the engine: what ours costs without a protocol.

use super::Job;
use super::engine::{Carriage, Counting, OPEN, Silent, Speech, tally};
use super::host;
use crate::load::CALL_PATH;
use crate::payload::Arrivals;
use crate::wire::PREFIX_BYTES;
use anyhow::Result;
use bytes::BytesMut;
use polypeer_engine::{
    BadFrame, ConnectionId, Context, Direction, Frame, Framed, Framer, Overflow, Phase, Profile, Transport,
};
use std::time::Duration;

/// The longest message: far above any payload here.
const MESSAGE_BYTES_MAX: usize = 16 << 20;

pub(super) fn run(job: Job) -> Result<()> {
    match job {
        Job::Sink => host::run::<Counting<Mute>, Silent>("grpc", (), Silent, tally()),
        Job::Hub => host::run::<Counting<Relay>, Silent>("grpc", (), Silent, tally()),
    }
}

/// Messages with gRPC's prefix, on one call.
struct Call;

impl Carriage for Call {
    const HEADER_BYTES: usize = PREFIX_BYTES;
    type Framer = Prefixed;

    fn profile() -> Profile {
        let transport = Transport::Grpc {
            path: CALL_PATH,
            open_time_max: Duration::from_secs(10),
            pending_below: OPEN,
            pending_max: 32,
            pending_per_ip_max: 32,
        };
        Profile { last_phase: OPEN, queue_bytes_max: 4 * MESSAGE_BYTES_MAX, transport, ..Profile::default() }
    }

    fn framer(_: Direction) -> Prefixed {
        Prefixed
    }
}

/// Cuts by the length in the prefix.
struct Prefixed;

impl Prefixed {
    fn length(bytes: &[u8]) -> Option<usize> {
        let [_, length @ ..] = *bytes.first_chunk::<PREFIX_BYTES>()?;
        Some(PREFIX_BYTES + u32::from_be_bytes(length) as usize)
    }
}

impl Framer for Prefixed {
    fn next(&mut self, _: Phase, buffer: &mut BytesMut) -> Framed {
        match Self::length(buffer) {
            Some(length) if length > MESSAGE_BYTES_MAX => Framed::Bad(BadFrame::of_host(0)),
            Some(length) if buffer.len() >= length => Framed::Frame(buffer.split_to(length).freeze()),
            _ => Framed::More,
        }
    }

    fn whole(&self, _: Phase, bytes: &[u8]) -> Option<usize> {
        Self::length(bytes).filter(|length| *length <= MESSAGE_BYTES_MAX && bytes.len() >= *length)
    }
}

/// Says nothing.
struct Mute;

impl Speech for Mute {
    const NAME: &'static str = "heard";
    type Config = ();
    type Carriage = Call;

    fn new((): (), _: &mut Context<'_, Counting<Self>>) -> Self {
        Self
    }

    fn speak(&mut self, _: &mut Context<'_, Counting<Self>>) {}
}

/// Sends what it hears on to all others, as it came.
struct Relay;

impl Speech for Relay {
    const NAME: &'static str = "relay";
    type Config = ();
    type Carriage = Call;

    fn new((): (), _: &mut Context<'_, Counting<Self>>) -> Self {
        Self
    }

    fn speak(&mut self, _: &mut Context<'_, Counting<Self>>) {}

    fn hear(&mut self, cx: &mut Context<'_, Counting<Self>>, from: ConnectionId, _: &mut Arrivals, frame: Frame<'_>) {
        let frame = frame.share();
        for to in cx.connections().into_iter().filter(|to| *to != from) {
            // A full queue shows as a message that never arrives.
            cx.send(to, frame.clone(), Overflow::Drop);
        }
    }
}
