//! Makes what peers send: blocks of the fixtures, blocks and transactions of our own.

use crate::dag::{hash_of, header_of};
use bytes::Bytes;
use polypeer_kaspa::ledger::{BlueWork, Hash};
use polypeer_kaspa::wire::{BlockBody, Hashes, Header, Items, NetAddress, Parents, Version, encode_block};
use std::path::PathBuf;
use std::sync::OnceLock;

/// Bytes of a fixture.
pub(crate) fn fixture(name: &str) -> Bytes {
    let path: PathBuf = [env!("CARGO_MANIFEST_DIR"), "tests", "fixtures", name].iter().collect();
    std::fs::read(&path).unwrap_or_else(|wrong| panic!("{}: {wrong}", path.display())).into()
}

/// The 1,081 blocks of a real simnet, ascending in blue work, genesis first.
pub(crate) fn dag() -> &'static [Bytes] {
    static DAG: OnceLock<Vec<Bytes>> = OnceLock::new();
    DAG.get_or_init(|| {
        let mut rest = fixture("dag_simnet.bin");
        let mut blocks = Vec::new();
        while !rest.is_empty() {
            let length = u32::from_be_bytes(rest[..4].try_into().expect("four")) as usize;
            blocks.push(rest.slice(4..4 + length));
            rest = rest.slice(4 + length..);
        }
        blocks
    })
}

pub(crate) fn genesis() -> &'static Bytes {
    &dag()[0]
}

/// When the last block of the fixtures was made, in milliseconds since 1970.
pub(crate) fn last_made_ms() -> u64 {
    header_of(&dag()[dag().len() - 1]).timestamp
}

/// A block on these; the first is its selected parent.
pub(crate) fn block_on(parents: &[&Bytes], salt: u64) -> Bytes {
    block_with(parents, salt, &[transaction(salt)])
}

/// The same with these transactions.
pub(crate) fn block_with(parents: &[&Bytes], salt: u64, transactions: &[Bytes]) -> Bytes {
    let headers: Vec<Header> = parents.iter().map(|parent| header_of(parent)).collect();
    let best = headers.iter().max_by_key(|header| header.blue_work).expect("a block has parents");
    let hashes: Vec<Hash> = headers.iter().map(Header::hash).collect();
    block_of(&hashes, best, salt, transactions)
}

/// A block whose parents nobody has seen.
pub(crate) fn block_on_nothing(parents: &[Hash], salt: u64) -> Bytes {
    block_of(parents, &header_of(&dag()[dag().len() - 1]), salt, &[transaction(salt)])
}

fn block_of(parents: &[Hash], best: &Header, salt: u64, transactions: &[Bytes]) -> Bytes {
    let items = Items::of(transactions.iter().map(|transaction| &transaction[..]));
    let header = Header {
        version: 2,
        parents: Parents::of_levels([parents]).expect("few"),
        hash_merkle_root: BlockBody(items).merkle_root().expect("our transactions decode"),
        timestamp: last_made_ms() + 100,
        bits: best.bits,
        nonce: salt,
        daa_score: best.daa_score + 1,
        blue_work: above(best.blue_work),
        blue_score: best.blue_score + 1,
        pruning_point: hash_of(genesis()),
        ..Header::default()
    };
    encode_block(&header.encode(), transactions.iter().map(|transaction| &transaction[..]))
}

/// `count` blocks in a line on this one.
pub(crate) fn line_on(parent: &Bytes, count: usize, salt: u64) -> Vec<Bytes> {
    let mut blocks: Vec<Bytes> = Vec::new();
    for _ in 0..count {
        let next = block_on(&[blocks.last().unwrap_or(parent)], salt);
        blocks.push(next);
    }
    blocks
}

/// The same header with another body.
pub(crate) fn with_body(block: &Bytes, transactions: &[Bytes]) -> Bytes {
    encode_block(&header_of(block).encode(), transactions.iter().map(|transaction| &transaction[..]))
}

fn above(work: BlueWork) -> BlueWork {
    let mut work = work;
    for byte in work.0.iter_mut().rev() {
        let (sum, has_more) = byte.overflowing_add(1);
        *byte = sum;
        if !has_more {
            break;
        }
    }
    work
}

/// A transaction that differs from others by its lock time alone.
pub(crate) fn transaction(salt: u64) -> Bytes {
    transaction_with(salt, 0)
}

/// The same with a payload of so many bytes.
pub(crate) fn transaction_with(salt: u64, payload_bytes: usize) -> Bytes {
    let mut bytes = vec![0x20];
    varint(&mut bytes, salt + 1);
    bytes.extend_from_slice(&[0x2a, 0x16, 0x0a, 0x14]);
    bytes.extend_from_slice(&[0; 20]);
    if payload_bytes > 0 {
        bytes.push(0x42);
        varint(&mut bytes, payload_bytes as u64);
        bytes.resize(bytes.len() + payload_bytes, 7);
    }
    bytes.into()
}

fn varint(bytes: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        bytes.push(number as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
}

pub(crate) fn hash_of_header(header: &[u8]) -> Option<Hash> {
    Header::decode(header).ok().map(|header| header.hash())
}

pub(crate) fn hash(number: u64) -> Hash {
    let mut hash = [0xee; 32];
    hash[..8].copy_from_slice(&number.to_be_bytes());
    Hash(hash)
}

pub(crate) fn hashes(hashes: impl IntoIterator<Item = Hash>) -> Bytes {
    Hashes::from_iter(hashes).encode()
}

/// The Version of a peer of this network; by its number two peers differ.
pub(crate) fn version(number: u64) -> Version {
    let mut id = [0x5a; 16];
    id[..8].copy_from_slice(&number.to_be_bytes());
    Version {
        protocol_version: 11,
        timestamp: i64::try_from(last_made_ms()).expect("not so late"),
        id,
        user_agent: "/scripted:1.0.0/".into(),
        network: "kaspa-simnet".into(),
        ..Version::default()
    }
}

pub(crate) fn net_address(text: &str) -> NetAddress {
    let address: std::net::SocketAddr = text.parse().expect("an address");
    NetAddress::new(address.ip(), address.port())
}
