//! Names what a stream of a connection can be for, and cuts what peers send on each into frames (Mina spec, section 2).
//!
//! | kind | protocol | who writes | a frame is |
//! |---|---|---|---|
//! | [`IDENTIFY`] | `/ipfs/id/1.0.0` | who did not open it, once | a varint length and a message |
//! | [`IDENTIFY_PUSH`] | `/ipfs/id/push/1.0.0` | who opened it, once | the same |
//! | [`PING`] | `/ipfs/ping/1.0.0` | both | 32 bytes |
//! | [`KAD`] | `/coda/kad/1.0.0` | both, in turn | a varint length and a message |
//! | [`MESH`], [`MESH_OLD`] | `/meshsub/1.1.0`, `/meshsub/1.0.0` | who opened it | the same |
//! | [`RPC`] | `coda/rpcs/0.0.1` | both | eight bytes of length and a message |
//! | [`NODE_STATUS`] | `/mina/node-status` | who did not open it, once | whatever has come |
//! | [`PEER_EXCHANGE`] | `/mina/peer-exchange` | who opened it, once | whatever has come |
//!
//! Anything else that is proposed is answered `na` by the transport, and the connection stays (section 2.1).

use bytes::{Bytes, BytesMut};
use polypeer_engine::{BadFrame, Direction, Framed, Framer, Phase};

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
    /// Whether identify announces it. What is not in the closed list of section 2.2 would end connections with peers
    /// that hold others to that list, so it is answered without being announced.
    pub is_announced: bool,
}

/// Every stream that is opened or answered, in the order in which identify announces them.
pub const STREAMS: [Stream; 9] = [
    Stream { kind: IDENTIFY, protocol: "/ipfs/id/1.0.0", is_announced: true },
    Stream { kind: IDENTIFY_PUSH, protocol: "/ipfs/id/push/1.0.0", is_announced: true },
    Stream { kind: PING, protocol: "/ipfs/ping/1.0.0", is_announced: true },
    Stream { kind: KAD, protocol: "/coda/kad/1.0.0", is_announced: true },
    Stream { kind: MESH, protocol: "/meshsub/1.1.0", is_announced: true },
    Stream { kind: MESH_OLD, protocol: "/meshsub/1.0.0", is_announced: true },
    Stream { kind: RPC, protocol: "coda/rpcs/0.0.1", is_announced: true },
    Stream { kind: NODE_STATUS, protocol: "/mina/node-status", is_announced: true },
    Stream { kind: PEER_EXCHANGE, protocol: "/mina/peer-exchange", is_announced: false },
];

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
/// An RPC message before the handshake: seven bytes, and nothing else is valid (section 5.2).
pub const RPC_EARLY_BYTES_MAX: usize = 64;
/// An RPC message from the handshake on: answers with blocks have 3.5 MB at most (section 5.2).
pub const RPC_BYTES_MAX: usize = 4 << 20;
/// An RPC message while a staged ledger was asked for: 59 MB were seen, 400 are borne (section 5.2).
pub const RPC_LEDGER_BYTES_MAX: usize = 400 << 20;
/// A piece of a document without a length, as it comes.
const PIECE_BYTES_MAX: usize = 64 << 10;

/// An RPC channel before its handshake: [`RPC_EARLY_BYTES_MAX`]. Other channels know this phase only.
pub const EARLY: Phase = Phase(0);
/// An RPC channel from its handshake on: [`RPC_BYTES_MAX`].
pub const GREETED: Phase = Phase(1);
/// An RPC channel on which a staged ledger was asked for: [`RPC_LEDGER_BYTES_MAX`].
pub const LEDGER: Phase = Phase(2);

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
    /// Eight bytes of length, little endian, and so many bytes; a frame has both.
    Long,
    /// So many bytes.
    Exactly(usize),
    /// Whatever is there.
    Pieces,
    /// Nothing may come: whoever opened it reads only.
    Nothing,
}

/// Cuts one channel. After bytes that are no frame the rest of the channel is skipped, and its room resets it: the
/// connection and its other channels go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frames {
    cut: Cut,
    is_broken: bool,
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
            (RPC, _) => Cut::Long,
            (NODE_STATUS, Direction::Outbound) | (PEER_EXCHANGE, Direction::Inbound) => Cut::Pieces,
            _ => Cut::Nothing,
        };
        Self { cut, is_broken: false }
    }

    // Where the frame at the front ends, once its length is known.
    fn end(self, phase: Phase, bytes: &[u8]) -> Result<Option<usize>, u8> {
        let (head, length, most) = match self.cut {
            Cut::Varint { most } => match varint(bytes)? {
                Some((length, head)) => (head, length, most),
                None => return Ok(None),
            },
            Cut::Long => match bytes.first_chunk::<8>() {
                Some(length) => (8, u64::from_le_bytes(*length), long_max(phase)),
                None => return Ok(None),
            },
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

fn long_max(phase: Phase) -> usize {
    match phase {
        EARLY => RPC_EARLY_BYTES_MAX,
        GREETED => RPC_BYTES_MAX,
        _ => RPC_LEDGER_BYTES_MAX,
    }
}

impl Framer for Frames {
    fn next(&mut self, phase: Phase, buffer: &mut BytesMut) -> Framed {
        if self.is_broken {
            buffer.clear();
            return Framed::More;
        }
        match self.end(phase, buffer) {
            Ok(Some(end)) if end <= buffer.len() => Framed::Frame(buffer.split_to(end).freeze()),
            Ok(_) => Framed::More,
            Err(reason) => {
                self.is_broken = true;
                buffer.clear();
                Framed::Bad(BadFrame { head: Bytes::new(), reason, fatal: false })
            }
        }
    }

    fn whole(&self, phase: Phase, bytes: &[u8]) -> Option<usize> {
        self.end(phase, bytes).ok().flatten().filter(|end| *end <= bytes.len() && !self.is_broken)
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

/// What is behind a frame's varint length. The framer saw to it that there is one.
pub(crate) fn after_varint(frame: &[u8]) -> &[u8] {
    let head = varint(frame).ok().flatten().map_or(0, |(_, head)| head);
    frame.get(head..).unwrap_or_default()
}
