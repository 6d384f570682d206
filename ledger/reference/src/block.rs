//! Encodes, hashes and takes apart blocks (ledger spec, section "Block").

use crate::transaction::TRANSACTION_BYTES;
use blake3::Hasher;
use polypeer_engine::kit::chain::{ChainFormat, Hash, Head};

/// The header's length in bytes.
pub const HEADER_BYTES: usize = 129;
/// The length of a block without transactions: the header and their number.
pub const EMPTY_BLOCK_BYTES: usize = HEADER_BYTES + 4;
/// The most transactions that a block holds; it bounds what one signature check of a block costs.
pub const TRANSACTIONS_MAX: usize = 20_000;
/// The longest block in bytes.
pub const BLOCK_BYTES_MAX: usize = EMPTY_BLOCK_BYTES + TRANSACTIONS_MAX * TRANSACTION_BYTES;
/// The only block version there is.
pub(crate) const BLOCK_VERSION: u8 = 1;

/// What stands before a block's transactions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// 1.
    pub version: u8,
    /// The parent's hash; zero for genesis.
    pub parent: Hash,
    /// The parent's height + 1.
    pub height: u64,
    /// Milliseconds since 1970.
    pub time: u64,
    /// The Merkle root of the transactions' identifiers.
    pub root: Hash,
    /// Who gets the reward and the fees: an Ed25519 public key, not checked.
    pub producer: [u8; 32],
    /// The network's target, compact.
    pub target: [u8; 4],
    /// What the producer searched for.
    pub nonce: u64,
    /// Zero.
    pub reserved: [u8; 4],
}

impl Header {
    /// The 129 bytes on the wire.
    pub fn encode(&self) -> [u8; HEADER_BYTES] {
        let mut bytes = [0; HEADER_BYTES];
        let mut rest = bytes.as_mut_slice();
        put(&mut rest, &[self.version]);
        put(&mut rest, self.parent.as_ref());
        put(&mut rest, &self.height.to_be_bytes());
        put(&mut rest, &self.time.to_be_bytes());
        put(&mut rest, self.root.as_ref());
        put(&mut rest, &self.producer);
        put(&mut rest, &self.target);
        put(&mut rest, &self.nonce.to_be_bytes());
        put(&mut rest, &self.reserved);
        bytes
    }

    /// The header of these bytes: any 129 bytes are one.
    pub fn decode(bytes: &[u8; HEADER_BYTES]) -> Self {
        let mut rest = bytes.as_slice();
        Self {
            version: u8::from_be_bytes(take(&mut rest)),
            parent: Hash(take(&mut rest)),
            height: u64::from_be_bytes(take(&mut rest)),
            time: u64::from_be_bytes(take(&mut rest)),
            root: Hash(take(&mut rest)),
            producer: take(&mut rest),
            target: take(&mut rest),
            nonce: u64::from_be_bytes(take(&mut rest)),
            reserved: take(&mut rest),
        }
    }

    /// The block's hash.
    pub fn hash(&self) -> Hash {
        header_hash(&self.encode())
    }
}

fn put(rest: &mut &mut [u8], field: &[u8]) {
    let (head, tail) = std::mem::take(rest).split_at_mut(field.len());
    head.copy_from_slice(field);
    *rest = tail;
}

fn take<const N: usize>(rest: &mut &[u8]) -> [u8; N] {
    let (head, tail) = rest.split_first_chunk().expect("the fields' lengths add up to 129");
    *rest = tail;
    *head
}

/// The hash of a block whose header has these bytes.
pub(crate) fn header_hash(header: &[u8; HEADER_BYTES]) -> Hash {
    Hash(*blake3::hash(header).as_bytes())
}

/// The header and the transactions of a block's bytes, or nothing when they do not have the shape of a block:
/// 129 bytes, the number of transactions, at most 20,000 transactions, not a byte more.
pub(crate) fn split(block: &[u8]) -> Option<(&[u8; HEADER_BYTES], &[[u8; TRANSACTION_BYTES]])> {
    let (header, rest) = block.split_first_chunk()?;
    let (count, body) = rest.split_first_chunk()?;
    let count = usize::try_from(u32::from_be_bytes(*count)).ok()?;
    let (transactions, left) = body.as_chunks();
    (left.is_empty() && transactions.len() == count && count <= TRANSACTIONS_MAX).then_some((header, transactions))
}

/// A block's bytes. The caller vouches for at most 20,000 transactions.
pub fn encode(header: &Header, transactions: &[[u8; TRANSACTION_BYTES]]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(EMPTY_BLOCK_BYTES + transactions.len() * TRANSACTION_BYTES);
    bytes.extend_from_slice(&header.encode());
    let count = u32::try_from(transactions.len()).expect("a block holds at most 20,000 transactions");
    bytes.extend_from_slice(&count.to_be_bytes());
    bytes.extend_from_slice(transactions.as_flattened());
    bytes
}

/// The binary Merkle root over transactions' identifiers: leaf = hash(0, id), node = hash(1, left, right), an odd one
/// at the end goes up unchanged, none at all give 32 zero bytes.
pub fn merkle_root(ids: &[Hash]) -> Hash {
    let mut row: Vec<[u8; 32]> = ids.iter().map(leaf).collect();
    while row.len() > 1 {
        let mut next = 0;
        for at in (0..row.len()).step_by(2) {
            row[next] = match row.get(at + 1) {
                Some(right) => node(&row[at], right),
                None => row[at],
            };
            next += 1;
        }
        row.truncate(next);
    }
    row.first().map_or(Hash::ZERO, |root| Hash(*root))
}

fn leaf(id: &Hash) -> [u8; 32] {
    let mut hasher = Hasher::new();
    hasher.update(&[0]).update(id.as_ref());
    *hasher.finalize().as_bytes()
}

fn node(left: &[u8; 32], right: &[u8; 32]) -> [u8; 32] {
    let mut hasher = Hasher::new();
    hasher.update(&[1]).update(left).update(right);
    *hasher.finalize().as_bytes()
}

/// The reference ledger's format, as far as a protocol must read it to place what it carries.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Format;

impl ChainFormat for Format {
    fn head(block: &[u8]) -> Option<Head> {
        let (bytes, _) = split(block)?;
        let header = Header::decode(bytes);
        Some(Head { hash: header_hash(bytes), parent: header.parent, height: header.height })
    }

    fn transaction_id(transaction: &[u8]) -> Hash {
        crate::transaction::id(transaction)
    }
}
