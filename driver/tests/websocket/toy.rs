//! The toy in messages of a WebSocket: each frame is one as a server sends it, the byte 82, a length, what follows.

#[path = "../toy/mod.rs"]
mod carried;

use bytes::{BufMut, Bytes, BytesMut};
pub(crate) use carried::*;
use polypeer_driver::{Handle, Network};
use polypeer_engine::{Phase, Transport};
use std::time::Duration;

/// A pending peer's messages: more than the protocol itself takes then, which is another limit.
pub(crate) const PENDING_BYTES_MAX: usize = 2048;

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Message;

pub(crate) type Toy = carried::Toy<Message>;

impl Wire for Message {
    const FAREWELL: &'static [u8] = b"\x82\x04zbye";

    fn transport(config: &Config) -> Transport {
        Transport::WebSocket {
            message_bytes_max: config.message_bytes_max,
            early_bytes_max: PENDING_BYTES_MAX,
            open_time_max: Duration::from_millis(config.open_ms_max),
            pending_below: Phase(u8::from(config.needs_greeting)),
            pending_max: 4,
            pending_per_ip_max: config.pending_per_ip_max,
        }
    }

    fn parse(bytes: &[u8]) -> Option<Result<(usize, usize), ()>> {
        let [first, length, rest @ ..] = bytes else { return None };
        if *first != 0x82 {
            return Some(Err(()));
        }
        Some(Ok(match length {
            126 => (4, u16::from_be_bytes(*rest.first_chunk()?).into()),
            127 => (10, u64::from_be_bytes(*rest.first_chunk()?) as usize),
            length => (2, (*length).into()),
        }))
    }

    fn header(length: usize, out: &mut BytesMut) {
        out.put_u8(0x82);
        match length {
            0..126 => out.put_u8(length as u8),
            126..65_536 => {
                out.put_u8(126);
                out.put_u16(length as u16);
            }
            _ => {
                out.put_u8(127);
                out.put_u64(length as u64);
            }
        }
    }
}

pub(crate) fn message(letter: u8, payload: &[u8]) -> Bytes {
    carried::message::<Message>(letter, payload)
}

pub(crate) fn network(config: Config) -> Network<Toy> {
    carried::network(config)
}

pub(crate) fn run(config: Config) -> Handle<Toy> {
    carried::run(config)
}

/// The same messages over TCP alone.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Bare;

impl Wire for Bare {
    const FAREWELL: &'static [u8] = Message::FAREWELL;

    fn transport(_: &Config) -> Transport {
        Transport::Tcp
    }

    fn parse(bytes: &[u8]) -> Option<Result<(usize, usize), ()>> {
        Message::parse(bytes)
    }

    fn header(length: usize, out: &mut BytesMut) {
        Message::header(length, out);
    }
}

pub(crate) fn plain_network() -> Network<carried::Toy<Bare>> {
    carried::network(Config::default())
}
