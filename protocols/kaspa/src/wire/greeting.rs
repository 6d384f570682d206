//! The messages of the handshake, of liveness and of parting (Kaspa spec, section 2.4).

use super::WireError;
use super::address::NetAddress;
use super::proto::{Fields, Writer, array};
use alloc::string::String;
use bytes::Bytes;

/// Bytes of a user agent that are kept (section 1.3).
pub const USER_AGENT_BYTES_MAX: usize = 256;
/// Bytes of a reject's reason that are kept (section 1.3).
pub const REASON_BYTES_MAX: usize = 2048;

/// `VersionMessage`: the first word of each side.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Version {
    /// The newest protocol version that the sender speaks.
    pub protocol_version: u32,
    /// Means nothing today.
    pub services: u64,
    /// Milliseconds since 1970 by the sender's clock.
    pub timestamp: i64,
    /// Where the sender listens for all the world.
    pub address: Option<NetAddress>,
    /// Drawn when the sender's program started.
    pub id: [u8; 16],
    /// What the sender calls its software, cut to [`USER_AGENT_BYTES_MAX`].
    pub user_agent: String,
    /// Means nothing today.
    pub disable_relay_tx: bool,
    /// Means nothing today.
    pub subnetwork_id: Option<[u8; 20]>,
    /// The network's name, `kaspa-` included.
    pub network: String,
}

impl Version {
    /// Reads one; checks 1 to 4 of section 3.2, in that order.
    pub fn decode(body: &[u8]) -> Result<Self, WireError> {
        let mut version = Self::default();
        let (mut address, mut id, mut subnetwork): (_, &[u8], _) = (None, &[], None);
        let mut fields = Fields::of(body);
        while let Some((number, value)) = fields.next()? {
            match number {
                1 => version.protocol_version = value.u32()?,
                2 => version.services = value.u64()?,
                3 => version.timestamp = value.u64()?.cast_signed(),
                4 => value.once(&mut address)?,
                5 => id = value.bytes()?,
                6 => version.user_agent = cut(value.text()?, USER_AGENT_BYTES_MAX).into(),
                8 => version.disable_relay_tx = value.u64()? != 0,
                9 => value.once(&mut subnetwork)?,
                10 => version.network = value.text()?.into(),
                _ => {}
            }
        }
        version.address = address.map(NetAddress::decode).transpose()?;
        version.id = id.try_into().map_err(|_| WireError::IdLength(id.len()))?;
        version.subnetwork_id = subnetwork.map(|id| array(id, WireError::SubnetworkLength)).transpose()?;
        Ok(version)
    }

    /// The message's bytes.
    pub fn encode(&self) -> Bytes {
        let mut writer = Writer::with_capacity(128);
        writer.number(1, self.protocol_version);
        writer.number(2, self.services);
        writer.number(3, self.timestamp.cast_unsigned());
        if let Some(address) = &self.address {
            writer.nested(4, |inner| address.write(inner));
        }
        writer.bytes(5, &self.id);
        writer.bytes(6, self.user_agent.as_bytes());
        writer.number(8, self.disable_relay_tx);
        if let Some(id) = &self.subnetwork_id {
            writer.nested(9, |inner| inner.bytes(1, id));
        }
        writer.bytes(10, self.network.as_bytes());
        writer.finish().into()
    }
}

/// `PingMessage` and `PongMessage`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Nonce(pub u64);

impl Nonce {
    /// Reads one.
    pub fn decode(body: &[u8]) -> Result<Self, WireError> {
        let mut nonce = 0;
        let mut fields = Fields::of(body);
        while let Some((number, value)) = fields.next()? {
            if number == 1 {
                nonce = value.u64()?;
            }
        }
        Ok(Self(nonce))
    }

    /// The message's bytes.
    pub fn encode(self) -> Bytes {
        let mut writer = Writer::default();
        writer.number(1, self.0);
        writer.finish().into()
    }
}

/// `RejectMessage`: the last word of a side.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reject {
    /// Text for humans, cut to [`REASON_BYTES_MAX`]; [`Reject::LOOPBACK`] and [`Reject::DUPLICATE`] are words.
    pub reason: String,
}

impl Reject {
    /// The peer's id is our own.
    pub const LOOPBACK: &str = "LOOPBACK_CONNECTION";
    /// The peer is connected already.
    pub const DUPLICATE: &str = "DUPLICATE_CONNECTION";

    /// One with this reason, cut.
    pub fn new(reason: &str) -> Self {
        Self { reason: cut(reason, REASON_BYTES_MAX).into() }
    }

    /// Reads one.
    pub fn decode(body: &[u8]) -> Result<Self, WireError> {
        let mut reason = "";
        let mut fields = Fields::of(body);
        while let Some((number, value)) = fields.next()? {
            if number == 1 {
                reason = value.text()?;
            }
        }
        Ok(Self::new(reason))
    }

    /// The message's bytes.
    pub fn encode(&self) -> Bytes {
        let mut writer = Writer::with_capacity(self.reason.len() + 4);
        writer.bytes(1, self.reason.as_bytes());
        writer.finish().into()
    }
}

/// `RequestAddressesMessage`. Both fields mean nothing today; their form is checked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RequestAddresses {
    /// Sent as false.
    pub include_all_subnetworks: bool,
    /// Sent as absent.
    pub subnetwork_id: Option<[u8; 20]>,
}

impl RequestAddresses {
    /// Reads one.
    pub fn decode(body: &[u8]) -> Result<Self, WireError> {
        let mut request = Self::default();
        let mut subnetwork = None;
        let mut fields = Fields::of(body);
        while let Some((number, value)) = fields.next()? {
            match number {
                1 => request.include_all_subnetworks = value.u64()? != 0,
                2 => value.once(&mut subnetwork)?,
                _ => {}
            }
        }
        request.subnetwork_id = subnetwork.map(|id| array(id, WireError::SubnetworkLength)).transpose()?;
        Ok(request)
    }

    /// The message's bytes.
    pub fn encode(&self) -> Bytes {
        let mut writer = Writer::default();
        writer.number(1, self.include_all_subnetworks);
        if let Some(id) = &self.subnetwork_id {
            writer.nested(2, |inner| inner.bytes(1, id));
        }
        writer.finish().into()
    }
}

// At most so many bytes, whole characters.
fn cut(text: &str, bytes_max: usize) -> &str {
    text.get(..text.floor_char_boundary(bytes_max)).unwrap_or_default()
}
