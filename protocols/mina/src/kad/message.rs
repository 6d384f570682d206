//! Reads and writes the messages of Kademlia (Mina spec, section 2.3).
//!
//! | field | what | field of a peer | what |
//! |---|---|---|---|
//! | 1 | [`Kind`] | 1 | peer id, 38 bytes |
//! | 2 | key | 2 | addresses, binary |
//! | 3 | record, which nobody here keeps | 3 | whether it is connected |
//! | 8, 9 | closer peers, providers | | |
//! | 10 | cluster level, which nobody reads | | |
//!
//! A peer whose id is none of an ed25519 key, and an address that is none on TCP, is left out; the others are read.

use crate::keys::PeerId;
use crate::multiaddr;
use crate::streams;
use alloc::vec::Vec;
use bytes::Bytes;
use polypeer_engine::Address;
use polypeer_engine::kit::protobuf::{Fields, ProtobufError, Writer};

/// Peers of one list that are read: what an answer has at most is 20, and nodes that keep many providers name them all.
/// The rest of a longer list is not looked at.
pub const PEERS_READ_MAX: usize = 64;
/// Addresses of one peer, as many as a routing table has of each (section 2.3).
pub const ADDRESSES_MAX: usize = 16;
/// Addresses of one peer that are looked at: what cannot be dialled here is passed over, and more of it is noise.
const ADDRESSES_READ_MAX: usize = 4 * ADDRESSES_MAX;
/// A key: a peer id or a multihash. The longest multihash that anyone uses, of 64 bytes, has two or three more.
pub const KEY_BYTES_MAX: usize = 80;

/// What a message wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// Keep this record. Nobody here does.
    PutValue,
    /// The record with this key. Nobody here has one.
    GetValue,
    /// I provide what this key names.
    AddProvider,
    /// Who provides what this key names?
    GetProviders,
    /// Who is near this id?
    FindNode,
    /// Are you there?
    Ping,
}

impl Kind {
    fn of(number: u64) -> Option<Self> {
        Some(match number {
            0 => Self::PutValue,
            1 => Self::GetValue,
            2 => Self::AddProvider,
            3 => Self::GetProviders,
            4 => Self::FindNode,
            5 => Self::Ping,
            _ => return None,
        })
    }

    fn number(self) -> u64 {
        match self {
            Self::PutValue => 0,
            Self::GetValue => 1,
            Self::AddProvider => 2,
            Self::GetProviders => 3,
            Self::FindNode => 4,
            Self::Ping => 5,
        }
    }
}

/// A peer that a message names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Contact {
    /// Who.
    pub peer: PeerId,
    /// Where it may be, at most [`ADDRESSES_MAX`].
    pub addresses: Vec<Address>,
    /// Whether whoever names it is connected to it.
    pub is_connected: bool,
}

/// A request or its answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// What it wants, or what it answers.
    pub kind: Kind,
    /// What it is about. An answer need not repeat it.
    pub key: Bytes,
    /// Peers that are closer to the key.
    pub closer: Vec<Contact>,
    /// Peers that provide what the key names.
    pub providers: Vec<Contact>,
}

/// Why some bytes are no message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MessageError {
    /// They are not protobuf.
    Protobuf(ProtobufError),
    /// A kind that there is not.
    Kind,
    /// A key that is longer than any.
    Key,
}

impl From<ProtobufError> for MessageError {
    fn from(error: ProtobufError) -> Self {
        Self::Protobuf(error)
    }
}

impl Message {
    /// A request about a key.
    pub fn about(kind: Kind, key: &[u8]) -> Self {
        Self { kind, key: Bytes::copy_from_slice(key), closer: Vec::new(), providers: Vec::new() }
    }

    /// Reads one, without its length. A list is read up to [`PEERS_READ_MAX`] peers.
    pub fn decode(message: &[u8]) -> Result<Self, MessageError> {
        let (mut kind, mut key) = (Kind::PutValue, &[][..]);
        let (mut closer, mut providers) = (Vec::new(), Vec::new());
        // Counted, not only kept: a list of what is left out is as long as one of peers.
        let (mut closer_read, mut providers_read) = (0, 0);
        let mut fields = Fields::of(message);
        while let Some((number, value)) = fields.next()? {
            match number {
                1 => kind = Kind::of(value.u64()?).ok_or(MessageError::Kind)?,
                2 => key = value.bytes()?,
                8 => read_contact(value.bytes()?, &mut closer, &mut closer_read)?,
                9 => read_contact(value.bytes()?, &mut providers, &mut providers_read)?,
                _ => {}
            }
        }
        if key.len() > KEY_BYTES_MAX {
            return Err(MessageError::Key);
        }
        Ok(Self { kind, key: Bytes::copy_from_slice(key), closer, providers })
    }

    /// Writes one with its length: a frame.
    pub fn encode(&self) -> Bytes {
        let mut message = Writer::with_capacity(64 + 64 * (self.closer.len() + self.providers.len()));
        message.present(1, self.kind.number());
        message.bytes(2, &self.key);
        for contact in &self.closer {
            message.nested(8, |peer| write_contact(peer, contact));
        }
        for contact in &self.providers {
            message.nested(9, |peer| write_contact(peer, contact));
        }
        let message = message.finish();
        let mut frame = Writer::with_capacity(message.len() + 5);
        frame.varint(message.len() as u64);
        frame.raw(&message);
        frame.finish().into()
    }
}

fn read_contact(peer: &[u8], contacts: &mut Vec<Contact>, read: &mut usize) -> Result<(), ProtobufError> {
    *read += 1;
    if *read > PEERS_READ_MAX {
        return Ok(());
    }
    let (mut id, mut addresses, mut is_connected) = (None, Vec::new(), false);
    let mut looked_at = 0;
    let mut fields = Fields::of(peer);
    while let Some((number, value)) = fields.next()? {
        match number {
            1 => id = PeerId::from_bytes(value.bytes()?),
            2 => {
                looked_at += 1;
                let address = value.bytes()?;
                if looked_at <= ADDRESSES_READ_MAX && addresses.len() < ADDRESSES_MAX {
                    addresses.extend(multiaddr::address_of(address).filter(|address| !addresses.contains(address)));
                }
            }
            3 => is_connected = value.u64()? == 1,
            _ => {}
        }
    }
    contacts.extend(id.map(|peer| Contact { peer, addresses, is_connected }));
    Ok(())
}

fn write_contact(writer: &mut Writer, contact: &Contact) {
    writer.message(1, &contact.peer.to_bytes());
    for address in contact.addresses.iter().take(ADDRESSES_MAX) {
        writer.message(2, &multiaddr::of_address(*address));
    }
    writer.number(3, contact.is_connected);
}

/// What is behind a frame's length.
pub(super) fn body(frame: &[u8]) -> &[u8] {
    streams::after_varint(frame)
}
