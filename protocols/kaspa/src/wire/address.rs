//! Addresses as peers exchange them (Kaspa spec, sections 2.3 and 4.1).

use super::WireError;
use super::proto::{Fields, Writer};
use alloc::vec::Vec;
use bytes::Bytes;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Entries of an answer that kaspad takes (section 4.1).
pub const ADDRESSES_MAX: usize = 2500;
/// Entries of an answer that kaspad gives (section 4.1).
pub const ADDRESSES_GIVEN_MAX: usize = 1000;

/// `NetAddress`: where a peer listens. An IPv4-mapped IPv6 address stays one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NetAddress {
    /// Sent as 0, ignored.
    pub timestamp: i64,
    /// The IP address.
    pub ip: IpAddr,
    /// The port, 0 included.
    pub port: u16,
}

impl NetAddress {
    /// One as it is sent.
    pub fn new(ip: IpAddr, port: u16) -> Self {
        Self { timestamp: 0, ip, port }
    }

    /// Reads one.
    pub fn decode(message: &[u8]) -> Result<Self, WireError> {
        let (mut timestamp, mut ip, mut port): (_, &[u8], _) = (0, &[], 0);
        let mut fields = Fields::of(message);
        while let Some((number, value)) = fields.next()? {
            match number {
                1 => timestamp = value.u64()?.cast_signed(),
                3 => ip = value.bytes()?,
                4 => port = value.u32()?,
                _ => {}
            }
        }
        let ip = match ip.len() {
            4 => <[u8; 4]>::try_from(ip).ok().map(|bytes| IpAddr::V4(Ipv4Addr::from(bytes))),
            16 => <[u8; 16]>::try_from(ip).ok().map(|bytes| IpAddr::V6(Ipv6Addr::from(bytes))),
            _ => None,
        }
        .ok_or(WireError::IpLength(ip.len()))?;
        let port = u16::try_from(port).map_err(|_| WireError::OutOfRange)?;
        Ok(Self { timestamp, ip, port })
    }

    pub(super) fn write(&self, writer: &mut Writer) {
        writer.number(1, self.timestamp.cast_unsigned());
        match self.ip {
            IpAddr::V4(ip) => writer.bytes(3, &ip.octets()),
            IpAddr::V6(ip) => writer.bytes(3, &ip.octets()),
        }
        writer.number(4, self.port);
    }
}

/// `AddressesMessage`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Addresses(pub Vec<NetAddress>);

impl Addresses {
    /// Reads one of at most `count_max` entries; one malformed entry fails the whole.
    pub fn decode(body: &[u8], count_max: usize) -> Result<Self, WireError> {
        let mut addresses = Vec::new();
        let mut count = 0;
        let mut fields = Fields::of(body);
        while let Some((number, value)) = fields.next()? {
            if number == 1 {
                let address = NetAddress::decode(value.bytes()?)?;
                count += 1;
                if count <= count_max {
                    addresses.push(address);
                }
            }
        }
        if count > count_max {
            return Err(WireError::TooManyAddresses(count));
        }
        Ok(Self(addresses))
    }

    /// The message's bytes.
    pub fn encode(&self) -> Bytes {
        let mut writer = Writer::with_capacity(self.0.len() * 16);
        for address in &self.0 {
            writer.nested(1, |inner| address.write(inner));
        }
        writer.finish().into()
    }
}
