//! What two nodes say to each other about themselves, their peers and their ledgers (BUMO spec, section 3.1).

use super::field::message;
use super::loose::Fields;
use super::proto::{Message, Writer};
use super::{ErrorCode, LEDGERS_MAX, PEERS_MAX, WireError};
use alloc::vec::Vec;

/// Makes a message that is read in any order of a table: number, reader, name and type of each field, ascending.
macro_rules! loose {
    ($(#[$about:meta])* pub struct $name:ident$(<$life:lifetime>)? {
        $( $(#[$doc:meta])* $number:literal $reader:ident $field:ident: $kind:ty, )*
    }) => {
        $(#[$about])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub struct $name$(<$life>)? { $( $(#[$doc])* pub $field: $kind, )* }

        impl<'a> Message<'a> for $name$(<$life>)? {
            fn read(message: &'a [u8], _: u32) -> Result<Self, WireError> {
                let mut read = Self::default();
                let mut fields = Fields::of(message);
                while let Some((number, value)) = fields.next()? {
                    match number {
                        $($number => read.$field = value.$reader()?,)*
                        _ => {}
                    }
                }
                Ok(read)
            }

            fn write(&self, writer: &mut Writer) {
                $(writer.field($number, &self.$field);)*
            }
        }
    };
}

loose! {
    /// `Ping`, and `Pong` as its answer.
    pub struct Ping {
        /// The asker's, given back; real nodes take microseconds since 1970.
        1 i64 nonce: i64,
    }
}

loose! {
    /// `Hello`: who a node claims to be. Nothing of it is proven.
    pub struct Hello<'a> {
        /// Must be the same.
        1 i64 network_id: i64,
        /// Not checked.
        2 i64 ledger_version: i64,
        /// At least [`super::OVERLAY_VERSION_MIN`].
        3 i64 overlay_version: i64,
        /// Not checked.
        4 text bumo_version: &'a str,
        /// 1 to 65535.
        5 i64 listening_port: i64,
        /// Neither ours nor that of another connection; its form is not checked.
        6 text node_address: &'a str,
        /// Tells a connection to oneself from two nodes with one key.
        7 text node_rand: &'a str,
    }
}

loose! {
    /// `HelloResponse`.
    pub struct HelloResponse<'a> {
        /// Anything but 0 ends the connection.
        1 i32 error_code: i32,
        /// For people.
        2 text error_desc: &'a str,
    }
}

impl<'a> HelloResponse<'a> {
    /// The hello was right.
    pub const SUCCESS: Self = Self { error_code: 0, error_desc: "" };

    /// The hello was wrong in this.
    pub fn refusal(error_desc: &'a str) -> Self {
        Self { error_code: ErrorCode::INVALID_PARAMETER.0, error_desc }
    }
}

loose! {
    /// `Peer`: where a node listens. All but `ip` and `port` is the sender's own bookkeeping.
    pub struct Peer<'a> {
        /// Dotted IPv4.
        1 text ip: &'a str,
        /// Receivers take the low 16 bits.
        2 i64 port: i64,
        /// Dials since one succeeded.
        3 i64 num_failures: i64,
        /// Microseconds since 1970.
        4 i64 next_attempt_time: i64,
        /// Microseconds since 1970; 0 when it is not connected.
        5 i64 active_time: i64,
        /// The sender's number for the connection.
        6 i64 connection_id: i64,
    }
}

/// `Peers`: a list of others, pushed once by who was dialled.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Peers<'a> {
    /// At most [`PEERS_MAX`].
    pub peers: Vec<Peer<'a>>,
}

impl<'a> Message<'a> for Peers<'a> {
    fn read(message: &'a [u8], depth: u32) -> Result<Self, WireError> {
        let mut peers = Vec::new();
        let mut fields = Fields::of(message);
        while let Some((number, value)) = fields.next()? {
            match number {
                1 if peers.len() == PEERS_MAX => return Err(WireError::TooMany),
                1 => peers.push(Peer::read(value.bytes()?, depth)?),
                _ => {}
            }
        }
        Ok(Self { peers })
    }

    fn write(&self, writer: &mut Writer) {
        self.peers.iter().for_each(|peer| writer.message(1, peer));
    }
}

loose! {
    /// `GetLedgers`: a request for some ledgers' values.
    pub struct GetLedgers {
        /// The first.
        1 i64 begin: i64,
        /// The last; at most [`LEDGERS_MAX`] in all.
        2 i64 end: i64,
        /// The sender's clock, microseconds since 1970; ignored.
        3 i64 timestamp: i64,
        /// 0 on the main chain.
        4 i64 chain_id: i64,
    }
}

/// `Ledgers`: some ledgers' values.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ledgers<'a> {
    /// At most [`LEDGERS_MAX`], each the bytes of a [`super::ConsensusValue`], consecutive and not looked at.
    pub values: Vec<&'a [u8]>,
    /// Never set and never read: 0.
    pub sync_code: i32,
    /// The sender's last closed ledger.
    pub max_seq: i64,
    /// A [`super::PbftProof`] of the last value.
    pub proof: &'a [u8],
    /// 0 on the main chain.
    pub chain_id: i64,
}

impl<'a> Message<'a> for Ledgers<'a> {
    fn read(message: &'a [u8], _: u32) -> Result<Self, WireError> {
        let mut ledgers = Self::default();
        let mut fields = Fields::of(message);
        while let Some((number, value)) = fields.next()? {
            match number {
                1 if ledgers.values.len() == LEDGERS_MAX => return Err(WireError::TooMany),
                1 => ledgers.values.push(value.bytes()?),
                2 => ledgers.sync_code = value.i32()?,
                3 => ledgers.max_seq = value.i64()?,
                4 => ledgers.proof = value.bytes()?,
                5 => ledgers.chain_id = value.i64()?,
                _ => {}
            }
        }
        Ok(ledgers)
    }

    fn write(&self, writer: &mut Writer) {
        self.values.iter().for_each(|value| writer.message(1, value));
        writer.field(2, &self.sync_code);
        writer.field(3, &self.max_seq);
        writer.field(4, &self.proof);
        writer.field(5, &self.chain_id);
    }
}

message! {
    /// `Signature`.
    pub struct Signature<'a> {
        /// A public key's text (section 4.1).
        1 public_key: &'a str,
        /// 64 bytes.
        2 sign_data: &'a [u8],
    }
}

message! {
    /// `LedgerUpgrade`.
    pub struct LedgerUpgrade<'a> {
        /// The version from the next ledger on; 0 for none.
        1 new_ledger_version: i64,
        /// An address, at hard forks only.
        2 new_validator: &'a str,
        /// 0 on the main chain.
        3 chain_id: i64,
    }
}

message! {
    /// `DontHave`: in the schema, never sent.
    pub struct DontHave<'a> {
        /// A type.
        1 kind: i64,
        /// A hash.
        2 hash: &'a [u8],
    }
}

message! {
    /// `EntryList`: in databases only.
    pub struct EntryList<'a> {
        /// The entries.
        1 entry: super::List<'a, &'a [u8]>,
    }
}
