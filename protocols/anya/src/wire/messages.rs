//! Encodes and decodes payloads: each is consumed whole, and no list is trusted for its length.

use super::{Kind, NAME_BYTES, Name, frame, header};
use alloc::vec::Vec;
use bytes::{BufMut, Bytes};
use core::net::{IpAddr, Ipv6Addr};
use polypeer_engine::Address;
use polypeer_engine::kit::chain::{Hash, Tip};

/// Bytes of a `network_address`.
pub const ADDRESS_BYTES: usize = 32;
/// Addresses in one `peers`.
pub const PEERS_MAX: usize = 1000;
/// Waypoints in one `blockchain_info`.
pub const WAYPOINTS_MAX: usize = 4096;
/// Blocks between two waypoints, as long as their number allows.
const WAYPOINT_SPACING: u64 = 64;
const WAYPOINT_BYTES: usize = 40;
const INFO_HEAD_BYTES: usize = 1 + 16 + 32 + 32 + 8 + 16 + 4;
/// The longest `blockchain_info`.
pub const INFO_BYTES_MAX: usize = INFO_HEAD_BYTES + WAYPOINTS_MAX * WAYPOINT_BYTES;
const INFO_VERSION: u8 = 1;

/// The network's name in ASCII, NUL padded.
pub type NetworkId = [u8; 16];

/// The payload does not parse: too short, left-over bytes, or a value that cannot be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DecodePayload;

/// Why an address was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DecodeAddress {
    /// The payload around it has the wrong length.
    Payload,
    /// Nobody can be there: non-zero padding, port 0, unspecified or multicast.
    Address,
}

/// Encodes a `network_address`.
pub fn address(address: Address) -> [u8; ADDRESS_BYTES] {
    let ip = match address.ip() {
        IpAddr::V4(ip) => ip.to_ipv6_mapped(),
        IpAddr::V6(ip) => ip,
    };
    let mut bytes = [0; ADDRESS_BYTES];
    bytes[..16].copy_from_slice(&ip.octets());
    bytes[16..18].copy_from_slice(&address.port().to_be_bytes());
    bytes
}

/// Decodes a `network_address`.
pub fn decode_address(bytes: &[u8]) -> Result<Address, DecodeAddress> {
    let bytes: &[u8; ADDRESS_BYTES] = bytes.try_into().map_err(|_| DecodeAddress::Payload)?;
    let mut ip = [0; 16];
    ip.copy_from_slice(&bytes[..16]);
    let ip = IpAddr::V6(Ipv6Addr::from(ip)).to_canonical();
    let port = u16::from_be_bytes([bytes[16], bytes[17]]);
    let is_padded = bytes[18..].iter().all(|byte| *byte == 0);
    if !is_padded || port == 0 || ip.is_unspecified() || ip.is_multicast() {
        return Err(DecodeAddress::Address);
    }
    Ok(Address::new(ip, port))
}

/// A `connect`: our own address, after the receiver's in the long form.
pub fn connect(receiver: Option<Address>, own: Address) -> Bytes {
    let mut payload = Vec::with_capacity(2 * ADDRESS_BYTES);
    if let Some(receiver) = receiver {
        payload.extend_from_slice(&address(receiver));
    }
    payload.extend_from_slice(&address(own));
    frame(Kind::Connect, &payload)
}

/// Decodes either form of `connect`: the sender's own address. The receiver's must be valid and is not used.
pub fn decode_connect(payload: &[u8]) -> Result<Address, DecodeAddress> {
    if payload.len() != 2 * ADDRESS_BYTES {
        return decode_address(payload);
    }
    let (receiver, own) = payload.split_at(ADDRESS_BYTES);
    decode_address(receiver)?;
    decode_address(own)
}

/// A `get_block`.
pub fn get_block(hash: Hash) -> Bytes {
    frame(Kind::GetBlock, &hash.0)
}

/// Decodes a `get_block`.
pub fn decode_hash(payload: &[u8]) -> Result<Hash, DecodePayload> {
    payload.try_into().map(Hash).map_err(|_| DecodePayload)
}

/// An `error`.
pub fn error(offending: &Name, code: &Name) -> Bytes {
    let mut payload = [0; 2 * NAME_BYTES];
    payload[..NAME_BYTES].copy_from_slice(offending);
    payload[NAME_BYTES..].copy_from_slice(code);
    frame(Kind::Error, &payload)
}

/// A height and the hash of the block there.
pub type Waypoint = (u64, Hash);

/// What a peer says of its chain. All of it is a claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Claimed {
    /// The network.
    pub network_id: NetworkId,
    /// The first block.
    pub genesis: Hash,
    /// The newest block.
    pub tip: Hash,
    /// Its height.
    pub height: u64,
    /// The chain's work.
    pub work: u128,
}

/// A whole `blockchain_info`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Info {
    /// What is claimed.
    pub claimed: Claimed,
    /// From genesis to the tip, strictly ascending.
    pub waypoints: Vec<Waypoint>,
}

/// The heights of the waypoints of a chain with this tip, ascending.
pub fn waypoint_heights(tip: u64) -> Vec<u64> {
    let gaps = tip.div_ceil(WAYPOINT_SPACING).min(WAYPOINTS_MAX as u64 - 1);
    if gaps == 0 {
        return alloc::vec![0];
    }
    (0..=gaps).map(|i| (u128::from(i) * u128::from(tip) / u128::from(gaps)) as u64).collect()
}

/// A `blockchain_info`. `waypoints` run from genesis to the tip, at most [`WAYPOINTS_MAX`].
pub fn info(network_id: &NetworkId, tip: &Tip, waypoints: &[Waypoint]) -> Bytes {
    let mut frame = header(Kind::BlockchainInfo, INFO_HEAD_BYTES + waypoints.len() * WAYPOINT_BYTES);
    frame.put_u8(INFO_VERSION);
    frame.put_slice(network_id);
    frame.put_slice(&tip.genesis.0);
    frame.put_slice(&tip.hash.0);
    frame.put_u64(tip.height);
    frame.put_u128(tip.work);
    frame.put_u32(waypoints.len() as u32);
    for (height, hash) in waypoints {
        frame.put_u64(*height);
        frame.put_slice(&hash.0);
    }
    frame.freeze()
}

/// Decodes a `blockchain_info`.
pub fn decode_info(payload: &[u8]) -> Result<Info, DecodePayload> {
    let mut bytes = Reader(payload);
    if bytes.array::<1>()? != [INFO_VERSION] {
        return Err(DecodePayload);
    }
    let claimed = Claimed {
        network_id: bytes.array()?,
        genesis: Hash(bytes.array()?),
        tip: Hash(bytes.array()?),
        height: u64::from_be_bytes(bytes.array()?),
        work: u128::from_be_bytes(bytes.array()?),
    };
    let count = bytes.count()?;
    if count == 0 || count > WAYPOINTS_MAX || bytes.0.len() != count * WAYPOINT_BYTES {
        return Err(DecodePayload);
    }
    let mut waypoints = Vec::with_capacity(count);
    for _ in 0..count {
        waypoints.push((u64::from_be_bytes(bytes.array()?), Hash(bytes.array()?)));
    }
    let ascends = waypoints.windows(2).all(|pair| pair[0].0 < pair[1].0);
    let ends =
        waypoints.first() == Some(&(0, claimed.genesis)) && waypoints.last() == Some(&(claimed.height, claimed.tip));
    if ascends && ends { Ok(Info { claimed, waypoints }) } else { Err(DecodePayload) }
}

/// A `peers`; at most [`PEERS_MAX`] addresses.
pub fn peers(addresses: &[Address]) -> Bytes {
    let addresses = &addresses[..addresses.len().min(PEERS_MAX)];
    let mut frame = header(Kind::Peers, 4 + addresses.len() * ADDRESS_BYTES);
    frame.put_u32(addresses.len() as u32);
    for each in addresses {
        frame.put_slice(&address(*each));
    }
    frame.freeze()
}

/// Decodes a `peers`: all addresses, or none when one is invalid.
pub fn decode_peers(payload: &[u8]) -> Result<Vec<Address>, DecodeAddress> {
    let mut bytes = Reader(payload);
    let count = bytes.count().map_err(|_| DecodeAddress::Payload)?;
    if count > PEERS_MAX || bytes.0.len() != count * ADDRESS_BYTES {
        return Err(DecodeAddress::Payload);
    }
    bytes.0.chunks_exact(ADDRESS_BYTES).map(decode_address).collect()
}

/// A `mempool` of these transactions. Together with 4 bytes each and 4 in front they fit the limit: the ledger was
/// asked for as many.
pub fn mempool(transactions: &[Bytes]) -> Bytes {
    let payload_bytes = 4 + transactions.iter().map(|transaction| 4 + transaction.len()).sum::<usize>();
    let mut frame = header(Kind::Mempool, payload_bytes);
    frame.put_u32(transactions.len() as u32);
    for transaction in transactions {
        frame.put_u32(transaction.len() as u32);
        frame.put_slice(transaction);
    }
    frame.freeze()
}

/// Checks the shape of a whole `mempool`: how many transactions it has. Nothing is allocated.
pub fn pool_entries(payload: &[u8]) -> Result<usize, DecodePayload> {
    let mut bytes = Reader(payload);
    let count = bytes.count()?;
    for _ in 0..count {
        let length = bytes.count()?;
        bytes.slice(length)?;
    }
    if bytes.0.is_empty() { Ok(count) } else { Err(DecodePayload) }
}

/// Reads from the front of a slice, never past its end.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn slice(&mut self, length: usize) -> Result<&'a [u8], DecodePayload> {
        let (front, rest) = self.0.split_at_checked(length).ok_or(DecodePayload)?;
        self.0 = rest;
        Ok(front)
    }

    fn array<const LENGTH: usize>(&mut self) -> Result<[u8; LENGTH], DecodePayload> {
        let (front, rest) = self.0.split_first_chunk().ok_or(DecodePayload)?;
        self.0 = rest;
        Ok(*front)
    }

    fn count(&mut self) -> Result<usize, DecodePayload> {
        usize::try_from(u32::from_be_bytes(self.array()?)).map_err(|_| DecodePayload)
    }
}

const _: () = assert!(INFO_BYTES_MAX == 163_949, "AnYa spec, section 2");
