//! The toy in gRPC's messages: a prefix of five bytes, which says whether what follows is compressed, and how long it is.

#[path = "../toy/mod.rs"]
mod carried;

use bytes::{BufMut, Bytes, BytesMut};
pub(crate) use carried::*;
use polypeer_driver::{Handle, Network};
use polypeer_engine::{Phase, Transport};
use std::time::Duration;

pub(crate) const PATH: &str = "/toy.Peer/Talk";
const PREFIX_BYTES: usize = 5;

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Prefix;

pub(crate) type Toy = carried::Toy<Prefix>;

impl Wire for Prefix {
    const FAREWELL: &'static [u8] = b"\0\0\0\0\x04zbye";

    fn transport(config: &Config) -> Transport {
        Transport::Grpc {
            path: PATH,
            open_time_max: Duration::from_millis(config.open_ms_max),
            pending_below: Phase(u8::from(config.needs_greeting)),
            pending_max: 4,
            pending_per_ip_max: config.pending_per_ip_max,
        }
    }

    fn parse(bytes: &[u8]) -> Option<Result<(usize, usize), ()>> {
        let head = *bytes.first_chunk::<PREFIX_BYTES>()?;
        let length = u32::from_be_bytes([head[1], head[2], head[3], head[4]]) as usize;
        Some(if head[0] > 1 || length == 0 { Err(()) } else { Ok((PREFIX_BYTES, length)) })
    }

    fn header(length: usize, out: &mut BytesMut) {
        out.put_u8(0);
        out.put_u32(length as u32);
    }

    fn is_compressed(frame: &[u8]) -> bool {
        frame[0] == 1
    }
}

pub(crate) fn message(letter: u8, payload: &[u8]) -> Bytes {
    carried::message::<Prefix>(letter, payload)
}

pub(crate) fn network(config: Config) -> Network<Toy> {
    carried::network(config)
}

pub(crate) fn run(config: Config) -> Handle<Toy> {
    carried::run(config)
}
