//! Names places on the network: an address is where a peer may be, never who it is.

use core::fmt;
use core::net::{IpAddr, SocketAddr};
use core::str::FromStr;
use serde::{Deserialize, Serialize};

/// An IP address and a TCP port. A v4-mapped IPv6 address is its IPv4 address, so that one host cannot pass for
/// two.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(from = "SocketAddr", into = "SocketAddr")]
pub struct Address(SocketAddr);

impl Address {
    /// The address with this IP address and port.
    pub fn new(ip: IpAddr, port: u16) -> Self {
        Self(SocketAddr::new(ip.to_canonical(), port))
    }

    /// The IP address, IPv4 where it is one.
    pub fn ip(&self) -> IpAddr {
        self.0.ip()
    }

    /// The port.
    pub fn port(&self) -> u16 {
        self.0.port()
    }

    /// What a socket is opened with.
    pub fn socket(&self) -> SocketAddr {
        self.0
    }

    /// Whether a peer can be there: a port, and an IP address of one host.
    pub fn is_dialable(&self) -> bool {
        self.port() != 0 && !self.ip().is_unspecified() && !self.ip().is_multicast() && !self.is_broadcast()
    }

    /// Whether it is this machine.
    pub fn is_loopback(&self) -> bool {
        self.ip().is_loopback()
    }

    /// Whether routers of the public internet would carry it: not loopback, private, link-local or documentation.
    pub fn is_public(&self) -> bool {
        match self.ip() {
            IpAddr::V4(ip) => {
                let [a, b, ..] = ip.octets();
                let shared = a == 100 && (64..128).contains(&b);
                !(ip.is_loopback()
                    || ip.is_private()
                    || ip.is_link_local()
                    || ip.is_documentation()
                    || ip.is_unspecified()
                    || ip.is_multicast()
                    || shared
                    || a == 0
                    || a >= 240)
            }
            IpAddr::V6(ip) => {
                let first = ip.segments()[0];
                let documentation = first == 0x2001 && ip.segments()[1] == 0x0db8;
                first & 0xe000 == 0x2000 && !documentation
            }
        }
    }

    /// The network that it is in, by which caps and diversity count.
    pub fn group(&self) -> NetworkGroup {
        NetworkGroup::of(self.ip())
    }

    fn is_broadcast(&self) -> bool {
        matches!(self.ip(), IpAddr::V4(ip) if ip.is_broadcast())
    }
}

impl From<SocketAddr> for Address {
    fn from(socket: SocketAddr) -> Self {
        Self::new(socket.ip(), socket.port())
    }
}

impl From<Address> for SocketAddr {
    fn from(address: Address) -> Self {
        address.0
    }
}

impl FromStr for Address {
    type Err = core::net::AddrParseError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse::<SocketAddr>().map(Self::from)
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// Addresses that one operator is likely to hold together: an IPv4 /16, an IPv6 /32.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum NetworkGroup {
    /// An IPv4 /16.
    V4([u8; 2]),
    /// An IPv6 /32.
    V6([u8; 4]),
}

impl NetworkGroup {
    /// The group of an IP address.
    pub fn of(ip: IpAddr) -> Self {
        match ip.to_canonical() {
            IpAddr::V4(ip) => {
                let [a, b, ..] = ip.octets();
                Self::V4([a, b])
            }
            IpAddr::V6(ip) => {
                let [a, b, c, d, ..] = ip.octets();
                Self::V6([a, b, c, d])
            }
        }
    }
}

impl fmt::Display for NetworkGroup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::V4([a, b]) => write!(f, "{a}.{b}.0.0/16"),
            Self::V6([a, b, c, d]) => {
                write!(f, "{:x}:{:x}::/32", u16::from_be_bytes([*a, *b]), u16::from_be_bytes([*c, *d]))
            }
        }
    }
}
