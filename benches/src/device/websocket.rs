//! Says back what comes through the driver's WebSocket and the engine: what ours costs without a protocol.

use super::engine::{Carriage, Counting, OPEN, Silent, Speech, tally};
use super::host;
use crate::payload::Arrivals;
use crate::wire::message_header;
use anyhow::Result;
use bytes::BytesMut;
use polypeer_engine::{
    BadFrame, ConnectionId, Context, Direction, Frame, Framed, Framer, Overflow, Phase, Profile, Transport,
};
use std::time::Duration;

/// The longest message: far above any payload here.
const MESSAGE_BYTES_MAX: usize = 16 << 20;

pub(super) fn run() -> Result<()> {
    host::run::<Counting<Echo>, Silent>("websocket", (), Silent, tally())
}

/// Messages of a WebSocket.
struct Messages;

impl Carriage for Messages {
    // The payload is said back with its header, whatever that takes.
    const HEADER_BYTES: usize = 0;
    type Framer = Whole;

    fn profile() -> Profile {
        let transport = Transport::WebSocket {
            message_bytes_max: MESSAGE_BYTES_MAX,
            early_bytes_max: MESSAGE_BYTES_MAX,
            open_time_max: Duration::from_secs(10),
            pending_below: OPEN,
            pending_max: 128,
            pending_per_ip_max: 128,
        };
        Profile { last_phase: OPEN, queue_bytes_max: 4 * MESSAGE_BYTES_MAX, transport, ..Profile::default() }
    }

    fn framer(_: Direction) -> Whole {
        Whole
    }
}

/// Cuts by the length in a message's header.
struct Whole;

impl Framer for Whole {
    fn next(&mut self, _: Phase, buffer: &mut BytesMut) -> Framed {
        match message_header(buffer) {
            Some((_, length)) if length > MESSAGE_BYTES_MAX => Framed::Bad(BadFrame::of_host(0)),
            Some((header, length)) if buffer.len() >= header + length => {
                Framed::Frame(buffer.split_to(header + length).freeze())
            }
            _ => Framed::More,
        }
    }

    fn whole(&self, _: Phase, bytes: &[u8]) -> Option<usize> {
        let (header, length) = message_header(bytes)?;
        Some(header + length).filter(|frame| length <= MESSAGE_BYTES_MAX && bytes.len() >= *frame)
    }
}

/// Says back what it hears, as it came.
struct Echo;

impl Speech for Echo {
    const NAME: &'static str = "echo";
    type Config = ();
    type Carriage = Messages;

    fn new((): (), _: &mut Context<'_, Counting<Self>>) -> Self {
        Self
    }

    fn speak(&mut self, _: &mut Context<'_, Counting<Self>>) {}

    fn hear(&mut self, cx: &mut Context<'_, Counting<Self>>, from: ConnectionId, _: &mut Arrivals, frame: Frame<'_>) {
        cx.send(from, frame.share(), Overflow::Close);
    }
}
