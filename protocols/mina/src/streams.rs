//! Names what a stream of a connection can be for, and cuts what peers send on each into frames (Mina spec, section 2).
//!
//! | kind | protocol | who writes | a frame is |
//! |---|---|---|---|
//! | [`IDENTIFY`] | `/ipfs/id/1.0.0` | who did not open it, once | a varint length and a message |
//! | [`IDENTIFY_PUSH`] | `/ipfs/id/push/1.0.0` | who opened it, once | the same |
//! | [`PING`] | `/ipfs/ping/1.0.0` | both | 32 bytes |
//! | [`KAD`] | `/coda/kad/1.0.0` | both, in turn | a varint length and a message |
//! | [`MESH`], [`MESH_OLD`] | `/meshsub/1.1.0`, `/meshsub/1.0.0` | who opened it | the same |
//! | [`RPC`] | `coda/rpcs/0.0.1` | both | eight bytes of length and a message, or the next piece of a long one |
//! | [`NODE_STATUS`] | `/mina/node-status` | who did not open it, once | whatever has come |
//! | [`PEER_EXCHANGE`] | `/mina/peer-exchange` | who opened it, once | whatever has come |
//!
//! Anything else that is proposed is answered `na` by the transport, and the connection stays (section 2.1).

use crate::rpc;
use bytes::{Bytes, BytesMut};
use polypeer_engine::kit::protobuf::Writer;
use polypeer_engine::{BadFrame, ChannelKind, Direction, Framed, Framer, Phase};

/// `/ipfs/id/1.0.0`: whoever opened it learns who the other is.
pub const IDENTIFY: u16 = 1;
/// `/ipfs/id/push/1.0.0`: the same told unasked.
pub const IDENTIFY_PUSH: u16 = 2;
/// `/ipfs/ping/1.0.0`.
pub const PING: u16 = 3;
/// `/coda/kad/1.0.0`: Kademlia.
pub const KAD: u16 = 4;
/// `/meshsub/1.1.0`: gossip, one stream each way.
pub const MESH: u16 = 5;
/// `/meshsub/1.0.0`: the same without back-off in what is pruned.
pub const MESH_OLD: u16 = 6;
/// `coda/rpcs/0.0.1`: questions and answers. The only name without a leading slash.
pub const RPC: u16 = 7;
/// `/mina/node-status`.
pub const NODE_STATUS: u16 = 8;
/// `/mina/peer-exchange`.
pub const PEER_EXCHANGE: u16 = 9;

/// One kind of stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stream {
    /// Its number here.
    pub kind: u16,
    /// Its name on the wire.
    pub protocol: &'static str,
    /// How many of them a peer may have open to us. Honest ones need one, or one for each question under way; more are
    /// reset.
    pub open_max: usize,
    /// Whether identify announces it. What is not in the closed list of section 2.2 would end connections with peers
    /// that hold others to that list, so it is answered without being announced.
    pub is_announced: bool,
}

/// Every stream that is opened or answered, in the order in which identify announces them.
pub const STREAMS: [Stream; 9] = [
    Stream { kind: IDENTIFY, open_max: 2, protocol: "/ipfs/id/1.0.0", is_announced: true },
    Stream { kind: IDENTIFY_PUSH, open_max: 2, protocol: "/ipfs/id/push/1.0.0", is_announced: true },
    Stream { kind: PING, open_max: 2, protocol: "/ipfs/ping/1.0.0", is_announced: true },
    Stream { kind: KAD, open_max: 8, protocol: "/coda/kad/1.0.0", is_announced: true },
    Stream { kind: MESH, open_max: 2, protocol: "/meshsub/1.1.0", is_announced: true },
    Stream { kind: MESH_OLD, open_max: 2, protocol: "/meshsub/1.0.0", is_announced: true },
    Stream { kind: RPC, open_max: 16, protocol: "coda/rpcs/0.0.1", is_announced: true },
    Stream { kind: NODE_STATUS, open_max: 1, protocol: "/mina/node-status", is_announced: true },
    Stream { kind: PEER_EXCHANGE, open_max: 1, protocol: "/mina/peer-exchange", is_announced: false },
];

/// The same for the transport.
pub(crate) const CHANNELS: [ChannelKind; STREAMS.len()] = {
    let mut channels = [ChannelKind { kind: 0, name: "", is_answered: true }; STREAMS.len()];
    let mut at = 0;
    while at < STREAMS.len() {
        channels[at] = ChannelKind { kind: STREAMS[at].kind, name: STREAMS[at].protocol, is_answered: true };
        at += 1;
    }
    channels
};

/// How many streams of this kind a peer may have open to us.
pub(crate) fn open_max(kind: u16) -> usize {
    STREAMS.iter().find(|stream| stream.kind == kind).map_or(0, |stream| stream.open_max)
}

/// The kind with this name on the wire.
pub fn kind_of(protocol: &str) -> Option<u16> {
    STREAMS.iter().find(|stream| stream.protocol == protocol).map(|stream| stream.kind)
}

/// An identify message as others send it. Go's side sends eight KiB at most, signed record included; ours has at most
/// half of that, which is what the strictest reader takes (section 2.2).
pub const IDENTIFY_BYTES_MAX: usize = 8 << 10;
/// A ping, and its echo.
pub const PING_BYTES: usize = 32;
/// A Kademlia message: twenty peers with all the addresses that they may have (section 2.3).
pub const KAD_BYTES_MAX: usize = 81_920;
/// A gossip frame: the longest message (section 3.2), its topic, author and signature, and a round MiB for control
/// messages in the same frame.
pub const MESH_BYTES_MAX: usize = 33_554_432 + (1 << 20);
/// A piece of a document without a length, as it comes.
const PIECE_BYTES_MAX: usize = 64 << 10;

/// A channel that is past its first word, and a connection whose peer has said who it is. Questions count further from
/// here on ([`crate::rpc::QUESTIONS`] and what is behind it).
pub const GREETED: Phase = Phase(1);

/// A frame that is longer than its kind allows.
pub const TOO_LONG: u8 = 1;
/// A length that is no number.
pub const BAD_LENGTH: u8 = 2;

/// How what a peer sends on one channel is cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cut {
    /// A varint length, and so many bytes; a frame has both.
    Varint {
        /// The longest message, without its length.
        most: usize,
    },
    /// Questions and answers.
    Rpc(rpc::Cut),
    /// So many bytes.
    Exactly(usize),
    /// Whatever is there.
    Pieces,
    /// Nothing may come: whoever opened it reads only.
    Nothing,
}

/// Cuts one channel. Bytes that are no frame end the channel; the connection and its other channels go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frames {
    cut: Cut,
}

impl Frames {
    /// The one for what the peer sends on a channel of this kind, which `opener` opened.
    pub fn of(kind: u16, opener: Direction) -> Self {
        let cut = match (kind, opener) {
            (IDENTIFY, Direction::Outbound) | (IDENTIFY_PUSH, Direction::Inbound) => {
                Cut::Varint { most: IDENTIFY_BYTES_MAX }
            }
            (PING, _) => Cut::Exactly(PING_BYTES),
            (KAD, _) => Cut::Varint { most: KAD_BYTES_MAX },
            (MESH | MESH_OLD, Direction::Inbound) => Cut::Varint { most: MESH_BYTES_MAX },
            (RPC, _) => Cut::Rpc(rpc::Cut::default()),
            (NODE_STATUS, Direction::Outbound) | (PEER_EXCHANGE, Direction::Inbound) => Cut::Pieces,
            _ => Cut::Nothing,
        };
        Self { cut }
    }

    // Where the frame at the front ends, once its length is known.
    fn end(self, bytes: &[u8]) -> Result<Option<usize>, u8> {
        let (head, length, most) = match self.cut {
            Cut::Varint { most } => match varint(bytes)? {
                Some((length, head)) => (head, length, most),
                None => return Ok(None),
            },
            Cut::Rpc(_) => return Ok(None),
            Cut::Exactly(length) => (0, length as u64, length),
            Cut::Pieces => (0, bytes.len().min(PIECE_BYTES_MAX) as u64, PIECE_BYTES_MAX),
            Cut::Nothing => return if bytes.is_empty() { Ok(None) } else { Err(TOO_LONG) },
        };
        match usize::try_from(length) {
            Ok(length) if length <= most => Ok(Some(head + length).filter(|end| *end > 0)),
            _ => Err(TOO_LONG),
        }
    }
}

impl Framer for Frames {
    fn next(&mut self, phase: Phase, buffer: &mut BytesMut) -> Framed {
        if let Cut::Rpc(cut) = &mut self.cut {
            return cut.next(phase, buffer);
        }
        match self.end(buffer) {
            Ok(Some(end)) if end <= buffer.len() => Framed::Frame(buffer.split_to(end).freeze()),
            Ok(_) => Framed::More,
            Err(reason) => Framed::Bad(BadFrame { head: Bytes::new(), reason, fatal: true }),
        }
    }

    fn whole(&self, phase: Phase, bytes: &[u8]) -> Option<usize> {
        if let Cut::Rpc(cut) = &self.cut {
            return cut.whole(phase, bytes);
        }
        self.end(bytes).ok().flatten().filter(|end| *end <= bytes.len())
    }
}

/// Bytes of the longest varint that a length may have: nothing here is as long as five of them say.
const LENGTH_BYTES_MAX: usize = 5;

/// The number at the front, and how many bytes it has; nothing when it is not whole.
pub(crate) fn varint(bytes: &[u8]) -> Result<Option<(u64, usize)>, u8> {
    let mut number = 0;
    for (at, byte) in bytes.iter().take(LENGTH_BYTES_MAX).enumerate() {
        number |= u64::from(byte & 0x7f) << (7 * at);
        if byte & 0x80 == 0 {
            return Ok(Some((number, at + 1)));
        }
    }
    if bytes.len() >= LENGTH_BYTES_MAX { Err(BAD_LENGTH) } else { Ok(None) }
}

/// A message behind its varint length: a frame.
pub(crate) fn framed(message: &[u8]) -> Bytes {
    let mut writer = Writer::with_capacity(message.len() + LENGTH_BYTES_MAX);
    writer.varint(message.len() as u64);
    writer.raw(message);
    writer.finish().into()
}

/// What is behind a frame's varint length. The framer saw to it that there is one.
pub(crate) fn after_varint(frame: &[u8]) -> &[u8] {
    let head = varint(frame).ok().flatten().map_or(0, |(_, head)| head);
    frame.get(head..).unwrap_or_default()
}
