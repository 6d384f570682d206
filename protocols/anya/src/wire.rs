//! Turns messages into bytes and back, with every limit of the wire (AnYa spec, sections 2 and 3).

mod framer;
mod messages;

pub use framer::{BadReason, Framer, PHASE_GREETING, PHASE_OPEN, PHASE_POOL_AWAITED};
pub use messages::{
    ADDRESS_BYTES, Claimed, DecodeAddress, DecodePayload, INFO_BYTES_MAX, Info, NetworkId, PEERS_MAX, WAYPOINTS_MAX,
    Waypoint, address, connect, decode_address, decode_connect, decode_hash, decode_info, decode_peers, error,
    get_block, info, mempool, peers, pool_entries, waypoint_heights,
};

use bytes::{BufMut, Bytes, BytesMut};

/// Bytes of a header: the type, then the payload's length.
pub const HEADER_BYTES: usize = 36;

/// Bytes of a type, NUL padded on the right.
pub const NAME_BYTES: usize = 32;

/// A message type or an error code as it stands on the wire.
pub type Name = [u8; NAME_BYTES];

/// What stands for a type that cannot be parsed.
pub const NO_NAME: Name = [0; NAME_BYTES];

/// The error codes of the source document.
pub mod code {
    use super::{Name, name};

    /// The header cannot be parsed, or the message is not allowed now.
    pub const INVALID_MESSAGE: Name = name("invalid_message");
    /// The payload is too long, does not parse, or breaks a rule.
    pub const INVALID_PAYLOAD: Name = name("invalid_payload");
    /// A type that the specification does not list.
    pub const UNKNOWN_MESSAGE_TYPE: Name = name("unknown_message_type");
    /// A type that this node is configured not to serve.
    pub const UNSUPPORTED_MESSAGE_TYPE: Name = name("unsupported_message_type");
    /// An address at which nobody can be.
    pub const INVALID_NETWORK_ADDRESS: Name = name("invalid_network_address");
}

/// A name as it stands on the wire. Only the first 32 bytes of `text` count.
pub const fn name(text: &str) -> Name {
    let text = text.as_bytes();
    let mut name = NO_NAME;
    let mut at = 0;
    while at < text.len() && at < NAME_BYTES {
        name[at] = text[at];
        at += 1;
    }
    name
}

macro_rules! kinds {
    ($($(#[$doc:meta])* $kind:ident = $text:literal,)*) => {
        /// The message types of the specification (section 3), in its order.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Kind {
            $($(#[$doc])* $kind,)*
        }

        impl Kind {
            /// All types.
            pub const ALL: &'static [Self] = &[$(Self::$kind,)*];

            /// The type as text.
            pub const fn text(self) -> &'static str {
                match self {
                    $(Self::$kind => $text,)*
                }
            }

            /// The type as it stands on the wire.
            pub const fn name(self) -> Name {
                match self {
                    $(Self::$kind => const { name($text) },)*
                }
            }
        }
    };
}

kinds! {
    /// Opens: the dialler's first word, with its own address.
    Connect = "connect",
    /// The acceptor's first word, with its own address.
    ConnectionAccepted = "connection_accepted",
    /// Asks to end the connection.
    Disconnect = "disconnect",
    /// Answers `disconnect`, the last word.
    DisconnectAck = "disconnect_ack",
    /// Asks for a sign of life.
    Ping = "ping",
    /// Answers `ping`.
    Pong = "pong",
    /// A transaction.
    Tx = "tx",
    /// A block.
    Block = "block",
    /// Asks for a block by its hash.
    GetBlock = "get_block",
    /// Asks for `blockchain_info`.
    GetBlockchainInfo = "get_blockchain_info",
    /// What chain the sender has.
    BlockchainInfo = "blockchain_info",
    /// Asks for `mempool`.
    GetMempool = "get_mempool",
    /// The sender's waiting transactions.
    Mempool = "mempool",
    /// Asks for `peers`.
    GetPeers = "get_peers",
    /// Addresses that the sender has dialled.
    Peers = "peers",
    /// What was wrong with a message.
    Error = "error",
}

impl Kind {
    /// The type with this name.
    pub fn of(name: &Name) -> Option<Self> {
        // The flood first: everything else is rare.
        const TX: Name = name_of(Kind::Tx);
        if *name == TX {
            return Some(Self::Tx);
        }
        Self::ALL.iter().copied().find(|kind| kind.name() == *name)
    }

    /// The most bytes that its payload may have.
    pub fn payload_max(self, limits: &Limits) -> u32 {
        match self {
            Self::Connect | Self::Error => 64,
            Self::ConnectionAccepted | Self::GetBlock => 32,
            Self::BlockchainInfo => INFO_BYTES_MAX as u32,
            Self::Peers => (4 + PEERS_MAX * ADDRESS_BYTES) as u32,
            Self::Tx => limits.tx_bytes_max,
            Self::Block => limits.block_bytes_max,
            Self::Mempool => limits.mempool_bytes_max,
            Self::Disconnect
            | Self::DisconnectAck
            | Self::Ping
            | Self::Pong
            | Self::GetBlockchainInfo
            | Self::GetMempool
            | Self::GetPeers => 0,
        }
    }
}

const fn name_of(kind: Kind) -> Name {
    kind.name()
}

/// The limits that are settings, in bytes of payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Of `tx`.
    pub tx_bytes_max: u32,
    /// Of `block`.
    pub block_bytes_max: u32,
    /// Of `mempool`.
    pub mempool_bytes_max: u32,
}

/// Whether a type is well-formed: 1 to 32 bytes of `a-z`, `0-9`, `_`, then NULs only (section 2).
pub fn is_well_formed(name: &Name) -> bool {
    let end = name.iter().position(|byte| *byte == 0).unwrap_or(NAME_BYTES);
    let (text, padding) = name.split_at(end);
    end > 0
        && text.iter().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_'))
        && padding.iter().all(|byte| *byte == 0)
}

/// The type in a header. `frame` has at least a header.
pub fn name_in(frame: &[u8]) -> Name {
    let mut name = NO_NAME;
    if let Some(bytes) = frame.get(..NAME_BYTES) {
        name.copy_from_slice(bytes);
    }
    name
}

/// The payload of a whole frame.
pub fn payload(frame: &[u8]) -> &[u8] {
    frame.get(HEADER_BYTES..).unwrap_or_default()
}

/// A whole frame.
pub fn frame(kind: Kind, payload: &[u8]) -> Bytes {
    let mut frame = header(kind, payload.len());
    frame.put_slice(payload);
    frame.freeze()
}

/// A frame without a payload; it costs no allocation.
pub fn empty(kind: Kind) -> Bytes {
    macro_rules! fixed {
        ($($kind:ident),*) => {
            match kind {
                $(Kind::$kind => {
                    static FRAME: [u8; HEADER_BYTES] = header_of(Kind::$kind.name());
                    Bytes::from_static(&FRAME)
                })*
                _ => frame(kind, &[]),
            }
        };
    }
    fixed!(Ping, Pong, Disconnect, DisconnectAck, GetBlockchainInfo, GetMempool, GetPeers)
}

const fn header_of(name: Name) -> [u8; HEADER_BYTES] {
    let mut header = [0; HEADER_BYTES];
    let mut at = 0;
    while at < NAME_BYTES {
        header[at] = name[at];
        at += 1;
    }
    header
}

// A header with room for the payload, whose length the limits keep far below 2^32.
fn header(kind: Kind, payload_bytes: usize) -> BytesMut {
    let mut frame = BytesMut::with_capacity(HEADER_BYTES + payload_bytes);
    frame.put_slice(&kind.name());
    frame.put_u32(u32::try_from(payload_bytes).unwrap_or(u32::MAX));
    frame
}
