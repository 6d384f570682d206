//! Says who this node is, and learns who a peer is (Mina spec, section 2.2).
//!
//! The strictest reader of this network takes 4096 bytes and a closed list of names, and ends the connection for anything
//! else; so that is what is sent. What is read is held to far less: a peer may announce what it likes.

use crate::keys::PeerId;
use crate::multiaddr;
use crate::peer::{Line, Peer};
use crate::streams::{self, IDENTIFY, STREAMS};
use crate::{Cx, Mina, Misbehavior};
use alloc::borrow::ToOwned;
use alloc::string::String;
use alloc::vec::Vec;
use bytes::Bytes;
use polypeer_engine::kit::cost::Class;
use polypeer_engine::kit::protobuf::{Fields, ProtobufError, Writer};
use polypeer_engine::{Address, ChannelId, ConnectionId, Direction, Overflow};

/// What we send has at most so many bytes, length included.
pub const SENT_BYTES_MAX: usize = 4096;
/// What the network's nodes say here.
pub const PROTOCOL_VERSION: &str = "ipfs/0.1.0";
/// Bytes of what a peer calls its software that are kept.
const AGENT_BYTES_MAX: usize = 128;
/// Addresses of one peer that are looked at: as many as an entry of a routing table has (section 2.3).
const ADDRESSES_MAX: usize = 16;
/// Names that are looked at. Go's nodes announce 14.
const PROTOCOLS_MAX: usize = 64;

/// What a peer says of itself, or we of ourselves.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Identify<'a> {
    /// Who it is; the transport has proven it already.
    pub public_key: Option<PeerId>,
    /// Where it listens, in the binary form.
    pub addresses: Vec<&'a [u8]>,
    /// What it speaks.
    pub protocols: Vec<&'a str>,
    /// Where it sees us.
    pub observed: Option<&'a [u8]>,
    /// The version of this message.
    pub protocol_version: &'a str,
    /// Its software.
    pub agent: &'a str,
}

impl<'a> Identify<'a> {
    /// Reads a message, without its length.
    pub fn decode(message: &'a [u8]) -> Result<Self, ProtobufError> {
        let mut read = Self::default();
        let mut fields = Fields::of(message);
        while let Some((number, value)) = fields.next()? {
            match number {
                1 => read.public_key = PeerId::from_protobuf(value.bytes()?),
                2 if read.addresses.len() < ADDRESSES_MAX => read.addresses.push(value.bytes()?),
                3 if read.protocols.len() < PROTOCOLS_MAX => read.protocols.push(value.text()?),
                4 => read.observed = Some(value.bytes()?),
                5 => read.protocol_version = value.text()?,
                6 => read.agent = value.text()?,
                _ => {}
            }
        }
        Ok(read)
    }

    /// Writes a frame: a message behind its length.
    pub fn encode(&self) -> Bytes {
        let mut writer = Writer::with_capacity(512);
        if let Some(key) = self.public_key {
            writer.bytes(1, &key.to_protobuf());
        }
        self.addresses.iter().for_each(|address| writer.bytes(2, address));
        self.protocols.iter().for_each(|protocol| writer.bytes(3, protocol.as_bytes()));
        if let Some(observed) = self.observed {
            writer.bytes(4, observed);
        }
        writer.bytes(5, self.protocol_version.as_bytes());
        writer.bytes(6, self.agent.as_bytes());
        streams::framed(&writer.finish())
    }
}

/// What is kept of what a peer said.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct About {
    /// What it calls its software.
    pub agent: String,
    /// What it speaks of what we do.
    pub speaks: Kinds,
    /// Where it says that it listens.
    pub listens: Vec<Address>,
}

/// A set of kinds of streams.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Kinds(u16);

impl Kinds {
    /// With one more.
    pub fn with(self, kind: u16) -> Self {
        Self(self.0 | 1 << kind)
    }

    /// With one less.
    pub fn without(self, kind: u16) -> Self {
        Self(self.0 & !(1 << kind))
    }

    /// Whether this one is among them.
    pub fn has(self, kind: u16) -> bool {
        self.0 & 1 << kind != 0
    }
}

impl About {
    fn of(read: &Identify<'_>) -> Self {
        let speaks = read.protocols.iter().filter_map(|protocol| streams::kind_of(protocol));
        let agent = read.agent.get(..read.agent.floor_char_boundary(AGENT_BYTES_MAX)).unwrap_or_default();
        Self {
            // It goes into logs and lists, where it must not begin a line.
            agent: agent.chars().filter(|it| !it.is_control()).collect(),
            speaks: speaks.fold(Kinds::default(), Kinds::with),
            listens: read.addresses.iter().filter_map(|bytes| multiaddr::address_of(bytes)).collect(),
        }
    }
}

impl Mina {
    /// Asks a new peer who it is.
    pub(crate) fn ask_who(&mut self, cx: &mut Cx<'_>, connection: ConnectionId) {
        self.channels.open(cx, connection, IDENTIFY);
    }

    /// Somebody asks who we are: told, and our half is closed.
    pub(crate) fn tell_who(&self, cx: &mut Cx<'_>, connection: ConnectionId, channel: ChannelId) {
        let frame = self.identity(cx, connection);
        cx.send_on(connection, channel, frame, Overflow::Close);
        cx.finish(connection, channel);
    }

    // The closed list, in one message that is the same for everybody but for where we see them.
    fn identity(&self, cx: &Cx<'_>, connection: ConnectionId) -> Bytes {
        let own = cx.config().external.or_else(|| listens_at(cx, connection)).filter(Address::is_dialable);
        let own = own.filter(|own| cx.config().private_addresses || own.is_public()).map(multiaddr::of_address);
        let observed = cx.ends(connection).map(|ends| multiaddr::of_address(ends.remote));
        let announced = STREAMS.iter().filter(|stream| stream.is_announced);
        let agent = self.config.agent.get(..self.config.agent.floor_char_boundary(AGENT_BYTES_MAX));
        let ours = Identify {
            public_key: Some(self.config.peer_id),
            addresses: own.iter().map(|own| &own[..]).collect(),
            protocols: announced.map(|stream| stream.protocol).collect(),
            observed: observed.as_deref(),
            protocol_version: PROTOCOL_VERSION,
            agent: agent.unwrap_or_default(),
        };
        ours.encode()
    }

    /// A peer says who it is, asked or not. What is wrong with it is borne: the transport has proven the key.
    pub(crate) fn on_identify(
        &self,
        cx: &mut Cx<'_>,
        connection: ConnectionId,
        line: &Line,
        frame: &[u8],
    ) -> Option<About> {
        let Ok(read) = Identify::decode(streams::after_varint(frame)) else {
            cx.slip(connection, Misbehavior::MalformedIdentify);
            return None;
        };
        if read.public_key.is_some_and(|claimed| claimed != line.peer_id) {
            cx.slip(connection, Misbehavior::OtherKey);
            return None;
        }
        let mut about = About::of(&read);
        let price = Class::AddressLearn.price(0).times(about.listens.len());
        if !about.listens.is_empty() && !self.pays(cx, connection, Class::AddressLearn, price) {
            about.listens.clear();
        }
        Some(about)
    }

    /// A peer that dialled us is gone. Where it said that it listens is a claim like any other's, and all there is. Dialled
    /// while it was here it would have been met twice, and some do not gossip on when one of two connections ends.
    pub(crate) fn learn_where_it_was(&self, cx: &mut Cx<'_>, connection: ConnectionId, peer: &Peer) {
        if connection.direction() == Direction::Inbound && cx.config().discovery {
            let listens = peer.about().map(|about| &about.listens[..]).unwrap_or_default();
            cx.learn(listens.iter().copied(), peer.line.ip);
        }
    }
}

// Where a peer reaches us: where we listen, and if that is everywhere, where this connection has its end.
fn listens_at(cx: &Cx<'_>, connection: ConnectionId) -> Option<Address> {
    let listen = cx.config().listen?;
    if !listen.ip().is_unspecified() {
        return Some(listen);
    }
    cx.ends(connection).map(|ends| Address::new(ends.local.ip(), listen.port()))
}

/// The text of what was said, owned; for people.
pub(crate) fn shown(about: &About) -> String {
    if about.agent.is_empty() { "unnamed".to_owned() } else { about.agent.clone() }
}
