//! Reads and writes what questions and answers carry (Mina spec, section 5.3).

use crate::binprot::{Binable, BinprotError, Reader, Writer};
use crate::block::Block;
use crate::keys::PeerId;
use alloc::vec::Vec;
use bytes::Bytes;
use core::net::IpAddr;
use polypeer_engine::Address;
use polypeer_engine::kit::chain::Hash;

/// Hashes of one `get_transition_chain` (section 5.3).
pub const HASHES_MAX: usize = 20;
/// Hashes of a chain proof or of what a peer knows: k of them, with room for a network that has a larger one.
pub const PATH_MAX: usize = 1 << 10;
/// Methods that a menu may list; today's have a dozen.
const MENU_MAX: usize = 64;
/// Peers that an answer may name, of which we name at most as many: the stock node's own limit.
pub const PEERS_MAX: usize = 200;
/// A host's name or address, and a peer id's text.
const HOST_BYTES_MAX: usize = 255;

/// The unit, and an empty list.
pub const NOTHING: Bytes = Bytes::from_static(&[0]);

/// Reads a unit.
pub fn read_unit(payload: &[u8]) -> Result<(), BinprotError> {
    <()>::decode(payload)
}

/// A hash: 32 bytes, with nothing before them.
pub fn write_hash(hash: &Hash) -> Bytes {
    Bytes::copy_from_slice(&hash.0)
}

/// Reads a hash.
pub fn read_hash(payload: &[u8]) -> Result<Hash, BinprotError> {
    whole(payload, hash)
}

/// A list of hashes.
pub fn write_hashes(hashes: &[Hash]) -> Bytes {
    let mut writer = Writer::with_capacity(32 * hashes.len() + 5);
    writer.nat0(hashes.len() as u64);
    hashes.iter().for_each(|hash| writer.raw(&hash.0));
    writer.finish()
}

/// Reads a list of at most so many hashes.
pub fn read_hashes(payload: &[u8], count_max: usize) -> Result<Vec<Hash>, BinprotError> {
    whole(payload, |reader| hashes(reader, count_max))
}

/// Reads what `get_ancestry` asks: a consensus state, left as it lies, and a block's hash.
pub fn read_ancestry(payload: &[u8]) -> Result<(&[u8], Hash), BinprotError> {
    let (state, hash) = payload.split_last_chunk::<32>().ok_or(BinprotError::Truncated)?;
    crate::block::ConsensusState::decode(state)?;
    Ok((state, Hash(*hash)))
}

/// A menu: the tags and versions of what is answered.
pub fn write_menu<'a>(methods: impl ExactSizeIterator<Item = (&'a str, i64)>) -> Bytes {
    let mut writer = Writer::with_capacity(256);
    writer.nat0(methods.len() as u64);
    for (tag, version) in methods {
        writer.string(tag.as_bytes());
        writer.int(version);
    }
    writer.finish()
}

/// Reads a menu.
pub fn read_menu(payload: &[u8]) -> Result<Vec<(&[u8], i64)>, BinprotError> {
    whole(payload, |reader| {
        let count = reader.count(MENU_MAX)?;
        (0..count).map(|_| Ok((reader.string(super::TAG_BYTES_MAX)?, reader.int()?))).collect()
    })
}

/// A peer that an answer names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InitialPeer {
    /// Where.
    pub address: Address,
    /// Who.
    pub peer: PeerId,
}

/// A list of peers, at most [`PEERS_MAX`] of them.
pub fn write_peers(peers: &[InitialPeer]) -> Bytes {
    let peers = peers.get(..PEERS_MAX).unwrap_or(peers);
    let mut writer = Writer::with_capacity(80 * peers.len() + 5);
    writer.nat0(peers.len() as u64);
    for InitialPeer { address, peer } in peers {
        let host = alloc::format!("{}", address.ip());
        writer.string(host.as_bytes());
        writer.int(i64::from(address.port()));
        writer.string(peer.text().as_bytes());
    }
    writer.finish()
}

/// Reads a list of peers. Those whose host is a name or whose key is of another type are left out.
pub fn read_peers(payload: &[u8]) -> Result<Vec<InitialPeer>, BinprotError> {
    whole(payload, |reader| {
        let count = reader.count(PEERS_MAX)?;
        let mut peers = Vec::new();
        for _ in 0..count {
            let host = reader.string(HOST_BYTES_MAX)?;
            let port = reader.int()?;
            let peer = reader.string(HOST_BYTES_MAX)?;
            peers.extend(initial_peer(host, port, peer));
        }
        Ok(peers)
    })
}

fn initial_peer(host: &[u8], port: i64, peer: &[u8]) -> Option<InitialPeer> {
    let ip: IpAddr = core::str::from_utf8(host).ok()?.parse().ok()?;
    let address = Address::new(ip, u16::try_from(port).ok()?);
    let peer = core::str::from_utf8(peer).ok()?.parse().ok()?;
    Some(InitialPeer { address, peer })
}

/// When a peer says that it has banned us, in seconds since 1970.
pub fn read_time(payload: &[u8]) -> Result<f64, BinprotError> {
    whole(payload, |reader| Ok(f64::from_le_bytes(*reader.array()?)))
}

/// The answer to `get_best_tip` and `get_ancestry`: a block, and how it follows from a final one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProvenBlock {
    /// The block.
    pub block: Bytes,
    /// Body hashes of the blocks from the one behind the root to it, in that order.
    pub bodies: Vec<Hash>,
    /// The root.
    pub root: Bytes,
}

impl ProvenBlock {
    /// Reads it behind the option byte. The blocks share the payload's bytes.
    pub fn decode(payload: &Bytes) -> Result<Self, BinprotError> {
        let mut reader = Reader::new(payload);
        let block = span(&mut reader)?;
        let bodies = hashes(&mut reader, PATH_MAX)?;
        let root = span(&mut reader)?;
        reader.end()?;
        Ok(Self { block: payload.slice_ref(block), bodies, root: payload.slice_ref(root) })
    }

    /// Writes it without the option byte.
    pub fn encode(&self) -> Bytes {
        let mut writer = Writer::with_capacity(self.block.len() + 32 * self.bodies.len() + self.root.len() + 5);
        writer.raw(&self.block);
        writer.nat0(self.bodies.len() as u64);
        self.bodies.iter().for_each(|body| writer.raw(&body.0));
        writer.raw(&self.root);
        writer.finish()
    }
}

/// The answer to `get_transition_chain_proof`: an ancestor, and how the block follows from it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChainProof {
    /// The ancestor's state hash.
    pub ancestor: Hash,
    /// Body hashes of the blocks behind it, up to the one that was asked for.
    pub bodies: Vec<Hash>,
}

impl ChainProof {
    /// Reads it behind the option byte.
    pub fn decode(payload: &[u8]) -> Result<Self, BinprotError> {
        whole(payload, |reader| Ok(Self { ancestor: hash(reader)?, bodies: hashes(reader, PATH_MAX)? }))
    }

    /// Writes it without the option byte.
    pub fn encode(&self) -> Bytes {
        let mut writer = Writer::with_capacity(32 * self.bodies.len() + 40);
        writer.raw(&self.ancestor.0);
        writer.nat0(self.bodies.len() as u64);
        self.bodies.iter().for_each(|body| writer.raw(&body.0));
        writer.finish()
    }
}

/// Reads the list of blocks of `get_transition_chain`, behind the option byte. They share the payload's bytes.
pub fn read_blocks(payload: &Bytes) -> Result<Vec<Bytes>, BinprotError> {
    let mut reader = Reader::new(payload);
    let count = reader.count(HASHES_MAX)?;
    let blocks = (0..count).map(|_| Ok(payload.slice_ref(span(&mut reader)?))).collect::<Result<_, BinprotError>>()?;
    reader.end()?;
    Ok(blocks)
}

/// The text of why a ledger's question is not answered, as a result has it.
pub fn refusal(text: &str) -> Bytes {
    let mut writer = Writer::with_capacity(text.len() + 8);
    writer.byte(1);
    writer.string(text.as_bytes());
    writer.finish()
}

/// What a ledger says to a question about its accounts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LedgerQuery {
    /// The hashes below this address.
    Children(Bytes),
    /// The accounts below this address.
    Contents(Bytes),
    /// How many accounts there are.
    Count,
}

/// Reads what `answer_sync_ledger_query` version 3 asks: a ledger's hash, and what of it. An address is its depth and
/// its bits.
pub fn read_ledger_query(payload: &[u8]) -> Result<(Hash, LedgerQuery), BinprotError> {
    whole(payload, |reader| {
        let ledger = hash(reader)?;
        let query = match reader.byte()? {
            0 => LedgerQuery::Children(ledger_address(reader)?),
            1 => LedgerQuery::Contents(ledger_address(reader)?),
            2 => LedgerQuery::Count,
            _ => return Err(BinprotError::Constructor),
        };
        Ok((ledger, query))
    })
}

/// The deepest ledger has 35 levels (section 5.5).
const LEDGER_DEPTH_MAX: i64 = 35;

fn ledger_address(reader: &mut Reader<'_>) -> Result<Bytes, BinprotError> {
    let (address, ()) = reader.span(|reader| {
        let depth = reader.int()?;
        let bits = reader.string(LEDGER_DEPTH_MAX as usize)?;
        let is_right = (0..=LEDGER_DEPTH_MAX).contains(&depth) && bits.len() as i64 == (depth + 7) / 8;
        if is_right { Ok(()) } else { Err(BinprotError::Length) }
    })?;
    Ok(Bytes::copy_from_slice(address))
}

fn span<'a>(reader: &mut Reader<'a>) -> Result<&'a [u8], BinprotError> {
    reader.span(Block::read).map(|(bytes, _)| bytes)
}

fn hash(reader: &mut Reader<'_>) -> Result<Hash, BinprotError> {
    reader.array().map(|bytes| Hash(*bytes))
}

fn hashes(reader: &mut Reader<'_>, count_max: usize) -> Result<Vec<Hash>, BinprotError> {
    let count = reader.count(count_max)?;
    (0..count).map(|_| hash(reader)).collect()
}

fn whole<'a, T>(
    payload: &'a [u8],
    read: impl FnOnce(&mut Reader<'a>) -> Result<T, BinprotError>,
) -> Result<T, BinprotError> {
    let mut reader = Reader::new(payload);
    let value = read(&mut reader)?;
    reader.end()?;
    Ok(value)
}
