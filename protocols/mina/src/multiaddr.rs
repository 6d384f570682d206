//! Reads and writes addresses as libp2p has them: a host, a TCP port and, where it is known, who is there (Mina spec,
//! section 1.6).

use crate::keys::PeerId;
use alloc::borrow::ToOwned;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use core::str::FromStr;
use polypeer_engine::{Address, Target};

/// An address as it is read; longer ones have more in them than any of this network's.
pub const MULTIADDR_BYTES_MAX: usize = 512;
/// The longest host name (RFC 1035).
const NAME_BYTES_MAX: usize = 253;

const IP4: u64 = 4;
const TCP: u64 = 6;
const IP6: u64 = 41;
const DNS: u64 = 53;
const DNS4: u64 = 54;
const DNS6: u64 = 55;
const P2P: u64 = 421;

/// A place on TCP, and who is there.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Multiaddr {
    /// Where: an IP address, or a name to look up.
    pub target: Target,
    /// Who is there, when it says so.
    pub peer: Option<PeerId>,
}

/// What is no address on TCP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadMultiaddr;

impl fmt::Display for BadMultiaddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("this is no address like /ip4/192.0.2.1/tcp/8302/p2p/12D3KooW…")
    }
}

impl core::error::Error for BadMultiaddr {}

impl Multiaddr {
    /// The address, when it needs no looking up.
    pub fn address(&self) -> Option<Address> {
        match &self.target {
            Target::Address(address) => Some(*address),
            Target::Name(..) => None,
        }
    }

    /// Reads the binary form. What is not an IP address or a name with a TCP port, and at most a peer behind it, is
    /// none that can be dialled here.
    pub fn decode(bytes: &[u8]) -> Result<Self, BadMultiaddr> {
        if bytes.len() > MULTIADDR_BYTES_MAX {
            return Err(BadMultiaddr);
        }
        let mut rest = bytes;
        let host = match number(&mut rest)? {
            IP4 => Host::Ip(Ipv4Addr::from(array(&mut rest)?).into()),
            IP6 => Host::Ip(Ipv6Addr::from(array::<16>(&mut rest)?).into()),
            DNS | DNS4 | DNS6 => {
                let name = core::str::from_utf8(sized(&mut rest)?).map_err(|_| BadMultiaddr)?;
                Host::Name(name)
            }
            _ => return Err(BadMultiaddr),
        };
        if number(&mut rest)? != TCP {
            return Err(BadMultiaddr);
        }
        let port = u16::from_be_bytes(array(&mut rest)?);
        let peer = match rest.is_empty() {
            true => None,
            false if number(&mut rest)? == P2P => Some(PeerId::from_bytes(sized(&mut rest)?).ok_or(BadMultiaddr)?),
            false => return Err(BadMultiaddr),
        };
        if rest.is_empty() { Ok(Self { target: host.at(port)?, peer }) } else { Err(BadMultiaddr) }
    }

    /// Writes the binary form.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = match &self.target {
            Target::Address(address) => of_ip(address.ip(), address.port()),
            Target::Name(name, port) => {
                let mut bytes = alloc::vec![DNS4 as u8];
                put_sized(&mut bytes, name.as_bytes());
                put_port(&mut bytes, *port);
                bytes
            }
        };
        if let Some(peer) = self.peer {
            put_number(&mut bytes, P2P);
            put_sized(&mut bytes, &peer.to_bytes());
        }
        bytes
    }
}

/// The binary form of an IP address and port.
pub fn of_address(address: Address) -> Vec<u8> {
    of_ip(address.ip(), address.port())
}

/// The address in a binary form that has an IP address, whoever it says is there.
pub fn address_of(bytes: &[u8]) -> Option<Address> {
    Multiaddr::decode(bytes).ok()?.address()
}

fn of_ip(ip: IpAddr, port: u16) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(20);
    match ip {
        IpAddr::V4(ip) => {
            bytes.push(IP4 as u8);
            bytes.extend_from_slice(&ip.octets());
        }
        IpAddr::V6(ip) => {
            bytes.push(IP6 as u8);
            bytes.extend_from_slice(&ip.octets());
        }
    }
    put_port(&mut bytes, port);
    bytes
}

fn put_port(bytes: &mut Vec<u8>, port: u16) {
    bytes.push(TCP as u8);
    bytes.extend_from_slice(&port.to_be_bytes());
}

fn put_number(bytes: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        bytes.push(number as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
}

fn put_sized(bytes: &mut Vec<u8>, what: &[u8]) {
    put_number(bytes, what.len() as u64);
    bytes.extend_from_slice(what);
}

fn number(rest: &mut &[u8]) -> Result<u64, BadMultiaddr> {
    let (number, head) = crate::streams::varint(rest).ok().flatten().ok_or(BadMultiaddr)?;
    *rest = &rest[head..];
    Ok(number)
}

fn array<const N: usize>(rest: &mut &[u8]) -> Result<[u8; N], BadMultiaddr> {
    let (array, behind) = rest.split_first_chunk().ok_or(BadMultiaddr)?;
    *rest = behind;
    Ok(*array)
}

fn sized<'a>(rest: &mut &'a [u8]) -> Result<&'a [u8], BadMultiaddr> {
    let length = usize::try_from(number(rest)?).map_err(|_| BadMultiaddr)?;
    let (sized, behind) = rest.split_at_checked(length).ok_or(BadMultiaddr)?;
    *rest = behind;
    Ok(sized)
}

enum Host<'a> {
    Ip(IpAddr),
    Name(&'a str),
}

impl Host<'_> {
    fn at(self, port: u16) -> Result<Target, BadMultiaddr> {
        match self {
            Self::Ip(ip) => Ok(Target::Address(Address::new(ip, port))),
            Self::Name(name) => {
                let is_name = (1..=NAME_BYTES_MAX).contains(&name.len())
                    && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_'));
                if is_name { Ok(Target::Name(name.to_owned(), port)) } else { Err(BadMultiaddr) }
            }
        }
    }
}

impl FromStr for Multiaddr {
    type Err = BadMultiaddr;

    fn from_str(text: &str) -> Result<Self, BadMultiaddr> {
        let mut parts = text.strip_prefix('/').ok_or(BadMultiaddr)?.split('/');
        let mut part = || parts.next().ok_or(BadMultiaddr);
        let host = match part()? {
            "ip4" => Host::Ip(part()?.parse::<Ipv4Addr>().map_err(|_| BadMultiaddr)?.into()),
            "ip6" => Host::Ip(part()?.parse::<Ipv6Addr>().map_err(|_| BadMultiaddr)?.into()),
            "dns" | "dns4" | "dns6" => Host::Name(part()?),
            _ => return Err(BadMultiaddr),
        };
        if part()? != "tcp" {
            return Err(BadMultiaddr);
        }
        let target = host.at(part()?.parse().map_err(|_| BadMultiaddr)?)?;
        let peer = match (parts.next(), parts.next(), parts.next()) {
            (None, ..) => None,
            (Some("p2p" | "ipfs"), Some(id), None) => Some(id.parse().map_err(|_| BadMultiaddr)?),
            _ => return Err(BadMultiaddr),
        };
        Ok(Self { target, peer })
    }
}

impl fmt::Display for Multiaddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.target {
            Target::Address(address) => match address.ip() {
                IpAddr::V4(ip) => write!(f, "/ip4/{ip}/tcp/{}", address.port())?,
                IpAddr::V6(ip) => write!(f, "/ip6/{ip}/tcp/{}", address.port())?,
            },
            Target::Name(name, port) => write!(f, "/dns4/{name}/tcp/{port}")?,
        }
        match self.peer {
            Some(peer) => write!(f, "/p2p/{peer}"),
            None => Ok(()),
        }
    }
}

/// The text of an address in the form that people and documents use.
pub fn text_of(address: Address, peer: Option<PeerId>) -> String {
    alloc::format!("{}", Multiaddr { target: Target::Address(address), peer })
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    const SEED: &str =
        "/dns4/seed-1.mainnet.gcp.o1test.net/tcp/10003/p2p/12D3KooWCa1d7G3SkRxy846qTvdAFX69NnoYZ32orWVLqJcDVGHW";

    #[test]
    fn the_known_address_has_its_known_bytes() {
        let address: Multiaddr = "/ip4/192.0.2.1/tcp/8302".parse().expect("an address");
        assert_eq!(address.encode(), [0x04, 0xc0, 0x00, 0x02, 0x01, 0x06, 0x20, 0x6e]);
        assert_eq!(Multiaddr::decode(&address.encode()), Ok(address));
    }

    #[test]
    fn every_form_is_the_same_in_text_and_in_bytes() {
        for text in ["/ip4/192.0.2.1/tcp/8302", "/ip6/2001:db8::1/tcp/1", SEED] {
            let address: Multiaddr = text.parse().unwrap_or_else(|_| panic!("{text}"));
            assert_eq!(address.to_string(), text);
            assert_eq!(Multiaddr::decode(&address.encode()).as_ref(), Ok(&address), "{text}");
        }
    }

    #[test]
    fn what_cannot_be_dialled_here_is_refused() {
        let texts = [
            "",
            "/",
            "192.0.2.1:8302",
            "/ip4/192.0.2.1",
            "/ip4/192.0.2.1/udp/8302",
            "/ip4/192.0.2.1/tcp/8302/ws",
            "/ip4/192.0.2.1/tcp/70000",
            "/ip4/1.2.3/tcp/1",
            "/dns4//tcp/1",
            "/dns4/a b/tcp/1",
            "/ip4/192.0.2.1/tcp/1/p2p/12D3",
            "/ip4/192.0.2.1/tcp/1/p2p",
        ];
        for text in texts {
            assert_eq!(text.parse::<Multiaddr>(), Err(BadMultiaddr), "{text}");
        }
    }

    #[test]
    fn cut_and_altered_bytes_never_panic_and_read_back_as_they_are() {
        let bytes = SEED.parse::<Multiaddr>().expect("an address").encode();
        for length in 0..bytes.len() {
            let cut = Multiaddr::decode(&bytes[..length]);
            assert!(cut.is_err() || cut.is_ok_and(|it| it.peer.is_none()), "{length}");
        }
        for at in 0..bytes.len() {
            for bit in 0..8 {
                let mut altered = bytes.clone();
                altered[at] ^= 1 << bit;
                if let Ok(address) = Multiaddr::decode(&altered) {
                    assert_eq!(Multiaddr::decode(&address.encode()), Ok(address));
                }
            }
        }
        assert_eq!(Multiaddr::decode(&[0; MULTIADDR_BYTES_MAX + 1]), Err(BadMultiaddr));
    }
}
