//! Lays out the store: redb tables, how they are read, and the little that each row says.
//!
//! Blocks are kept under numbers in the order of their arrival, so that storing one appends. What is looked up by
//! hash goes through narrow indexes of 8 bytes of the hash and a place; two hashes that share those bytes share a
//! range of the index, and the block's own bytes decide.

use crate::block::{HEADER_BYTES, Header, header_hash, split};
use crate::index::between;
use crate::transaction;
use bytes::Bytes;
use polypeer_engine::kit::chain::Hash;
use redb::{ReadOnlyTable, ReadTransaction, ReadableDatabase, ReadableTable, TableDefinition};

/// What a store operation can fail with: the disk, or a file that is not what it was.
pub(crate) type StoreError = redb::Error;
pub(crate) type Result<T, E = StoreError> = std::result::Result<T, E>;

/// Number to a block's bytes.
pub(crate) const BLOCKS: TableDefinition<u64, &[u8]> = TableDefinition::new("blocks");
/// The last 8 bytes of a block's hash, its number.
pub(crate) const NUMBERS: TableDefinition<&[u8; 16], ()> = TableDefinition::new("numbers");
/// Those of the newest blocks.
pub(crate) const FRESH_NUMBERS: TableDefinition<&[u8; 16], ()> = TableDefinition::new("fresh-numbers");
/// Height in the main chain to hash and number.
pub(crate) const MAIN: TableDefinition<u64, &[u8; 40]> = TableDefinition::new("main");
/// The first 8 bytes of an identifier, then where in the main chain the transaction stands.
pub(crate) const TRANSACTIONS: TableDefinition<&[u8; 20], ()> = TableDefinition::new("transactions");
/// Those of the newest transactions.
pub(crate) const FRESH_TRANSACTIONS: TableDefinition<&[u8; 20], ()> = TableDefinition::new("fresh-transactions");
/// Key to balance and sequence, of the tip.
pub(crate) const ACCOUNTS: TableDefinition<&[u8; 32], &[u8; 16]> = TableDefinition::new("accounts");
/// Number of a block off the main chain to height, length, parent's number, whether its signatures were verified.
pub(crate) const SIDE: TableDefinition<u64, (u64, u64, u64, bool)> = TableDefinition::new("side");
/// Height and complement of the number of blocks in `SIDE` that no block in `SIDE` follows.
pub(crate) const LEAVES: TableDefinition<(u64, u64), ()> = TableDefinition::new("leaves");
/// Number of any block, number of a block in `SIDE` that follows it.
pub(crate) const CHILDREN: TableDefinition<(u64, u64), ()> = TableDefinition::new("children");
/// Hash of an invalid block to its place in `INVALID_ORDER` and its fault.
pub(crate) const INVALID: TableDefinition<&[u8; 32], (u64, u8)> = TableDefinition::new("invalid");
/// The invalid hashes in the order in which they were found.
pub(crate) const INVALID_ORDER: TableDefinition<u64, &[u8; 32]> = TableDefinition::new("invalid-order");
/// The operator's waiting transactions in the order of their arrival.
pub(crate) const OPERATOR: TableDefinition<u64, &[u8; 153]> = TableDefinition::new("operator");
/// The operator's transactions of the newest blocks, by height and order, in case a reorganisation puts them back.
pub(crate) const CONFIRMED: TableDefinition<(u64, u64), &[u8; 153]> = TableDefinition::new("confirmed");

/// What an account holds at the tip. One that holds nothing and never sent has no row.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Account {
    /// What it can spend.
    pub balance: u64,
    /// The number of its transactions in the chain.
    pub sequence: u64,
}

impl Account {
    pub(crate) fn encode(&self) -> [u8; 16] {
        join(self.balance.to_be_bytes(), self.sequence.to_be_bytes())
    }

    pub(crate) fn decode(bytes: &[u8; 16]) -> Self {
        let (balance, sequence) = halves(bytes);
        Self { balance, sequence }
    }
}

/// A block off the main chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Side {
    pub(crate) height: u64,
    pub(crate) bytes: u64,
    /// The parent's number; the parent is always held.
    pub(crate) parent: u64,
    /// Whether it once stood in the main chain, so that its signatures need no second look.
    pub(crate) verified: bool,
}

impl From<(u64, u64, u64, bool)> for Side {
    fn from((height, bytes, parent, verified): (u64, u64, u64, bool)) -> Self {
        Self { height, bytes, parent, verified }
    }
}

pub(crate) fn number_key(hash: &Hash, number: u64) -> [u8; 16] {
    // A hash with proof of work begins with zeros, so its end tells blocks apart.
    let end = hash.0.last_chunk().expect("8 is less than 32");
    join(*end, number.to_be_bytes())
}

pub(crate) fn transaction_key(id: &Hash, height: u64, position: u32) -> [u8; 20] {
    let mut key = [0; 20];
    key[..8].copy_from_slice(&id.0[..8]);
    key[8..16].copy_from_slice(&height.to_be_bytes());
    key[16..].copy_from_slice(&position.to_be_bytes());
    key
}

pub(crate) fn main_row(hash: &Hash, number: u64) -> [u8; 40] {
    let mut row = [0; 40];
    row[..32].copy_from_slice(&hash.0);
    row[32..].copy_from_slice(&number.to_be_bytes());
    row
}

fn main_place(row: &[u8; 40]) -> (Hash, u64) {
    let (hash, number) = row.split_first_chunk().expect("32 is less than 40");
    (Hash(*hash), number_of(number))
}

fn join(first: [u8; 8], second: [u8; 8]) -> [u8; 16] {
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&first);
    bytes[8..].copy_from_slice(&second);
    bytes
}

fn halves(bytes: &[u8; 16]) -> (u64, u64) {
    (number_of(&bytes[..8]), number_of(&bytes[8..]))
}

/// The number in these bytes; 0 when they are not eight.
pub(crate) fn number_of(bytes: &[u8]) -> u64 {
    bytes.try_into().map_or(0, u64::from_be_bytes)
}

/// Says that a row which another row names is not there, which no sequence of commits can bring about.
pub(crate) fn torn(what: &str) -> StoreError {
    StoreError::Corrupted(format!("the ledger's store names {what} that it does not hold"))
}

/// The tables that reading needs, of a snapshot or of a transaction that writes.
pub(crate) trait Tables {
    fn blocks(&self) -> &impl ReadableTable<u64, &'static [u8]>;
    fn numbers(&self) -> [&impl ReadableTable<&'static [u8; 16], ()>; 2];
    fn main_table(&self) -> &impl ReadableTable<u64, &'static [u8; 40]>;
    fn transactions(&self) -> [&impl ReadableTable<&'static [u8; 20], ()>; 2];
    fn accounts(&self) -> &impl ReadableTable<&'static [u8; 32], &'static [u8; 16]>;
    fn side_table(&self) -> &impl ReadableTable<u64, (u64, u64, u64, bool)>;
    /// An account that was changed and has not gone into the table yet.
    fn remembered(&self, _key: &[u8; 32]) -> Option<Account> {
        None
    }
}

/// What can be asked of the store.
pub(crate) trait Look {
    /// The number of the block with this hash.
    fn number(&self, hash: &Hash) -> Result<Option<u64>>;
    /// A copy of a block's bytes.
    fn block(&self, number: u64) -> Result<Bytes>;
    fn header(&self, number: u64) -> Result<Header>;
    /// Hash and number of the main chain's block at this height.
    fn main(&self, height: u64) -> Result<Option<(Hash, u64)>>;
    /// The main chain's hashes from this height on.
    fn hashes(&self, from: u64, count: usize) -> Result<Vec<Hash>>;
    /// The tip's height.
    fn top(&self) -> Result<u64>;
    fn account(&self, key: &[u8; 32]) -> Result<Account>;
    /// The height of the main chain's block with this transaction, and the transaction's bytes.
    fn confirmed(&self, id: &Hash) -> Result<Option<(u64, Bytes)>>;
    /// The block's row if it is off the main chain.
    fn side(&self, number: u64) -> Result<Option<Side>>;
}

impl<T: Tables> Look for T {
    fn number(&self, hash: &Hash) -> Result<Option<u64>> {
        let (low, high) = (number_key(hash, 0), number_key(hash, u64::MAX));
        for key in between(self.numbers(), &low, &high)? {
            let (_, number) = halves(&key);
            if header_hash(&header_bytes(self, number)?) == *hash {
                return Ok(Some(number));
            }
        }
        Ok(None)
    }

    fn block(&self, number: u64) -> Result<Bytes> {
        let row = self.blocks().get(number)?.ok_or_else(|| torn("a block"))?;
        Ok(Bytes::copy_from_slice(row.value()))
    }

    fn header(&self, number: u64) -> Result<Header> {
        Ok(Header::decode(&header_bytes(self, number)?))
    }

    fn main(&self, height: u64) -> Result<Option<(Hash, u64)>> {
        Ok(self.main_table().get(height)?.map(|row| main_place(row.value())))
    }

    fn hashes(&self, from: u64, count: usize) -> Result<Vec<Hash>> {
        let rows = self.main_table().range(from..)?.take(count);
        rows.map(|row| Ok(main_place(row?.1.value()).0)).collect()
    }

    fn top(&self) -> Result<u64> {
        let last = self.main_table().last()?.ok_or_else(|| torn("a tip"))?;
        Ok(last.0.value())
    }

    fn account(&self, key: &[u8; 32]) -> Result<Account> {
        if let Some(account) = self.remembered(key) {
            return Ok(account);
        }
        Ok(self.accounts().get(key)?.map_or_else(Account::default, |row| Account::decode(row.value())))
    }

    fn confirmed(&self, id: &Hash) -> Result<Option<(u64, Bytes)>> {
        let (low, high) = (transaction_key(id, 0, 0), transaction_key(id, u64::MAX, u32::MAX));
        for key in between(self.transactions(), &low, &high)? {
            let (_, place) = key.split_at(8);
            let (height, position) = place.split_at(8);
            let height = number_of(height);
            let position = position.try_into().map_or(u32::MAX, u32::from_be_bytes);
            let (_, number) = self.main(height)?.ok_or_else(|| torn("a height"))?;
            let row = self.blocks().get(number)?.ok_or_else(|| torn("a block"))?;
            let found = split(row.value()).and_then(|(_, transactions)| transactions.get(position as usize));
            let found = found.ok_or_else(|| torn("a transaction"))?;
            if transaction::id(found) == *id {
                return Ok(Some((height, Bytes::copy_from_slice(found))));
            }
        }
        Ok(None)
    }

    fn side(&self, number: u64) -> Result<Option<Side>> {
        Ok(self.side_table().get(number)?.map(|row| Side::from(row.value())))
    }
}

fn header_bytes(tables: &impl Tables, number: u64) -> Result<[u8; HEADER_BYTES]> {
    let row = tables.blocks().get(number)?.ok_or_else(|| torn("a block"))?;
    row.value().first_chunk().copied().ok_or_else(|| torn("a header"))
}

/// A snapshot of what was last committed.
pub(crate) struct Reading {
    blocks: ReadOnlyTable<u64, &'static [u8]>,
    numbers: [ReadOnlyTable<&'static [u8; 16], ()>; 2],
    main: ReadOnlyTable<u64, &'static [u8; 40]>,
    transactions: [ReadOnlyTable<&'static [u8; 20], ()>; 2],
    accounts: ReadOnlyTable<&'static [u8; 32], &'static [u8; 16]>,
    side: ReadOnlyTable<u64, (u64, u64, u64, bool)>,
    /// Keeps the snapshot's pages from being used again.
    _snapshot: ReadTransaction,
}

impl Reading {
    pub(crate) fn open(database: &redb::Database) -> Result<Self> {
        let snapshot = database.begin_read()?;
        Ok(Self {
            blocks: snapshot.open_table(BLOCKS)?,
            numbers: [snapshot.open_table(FRESH_NUMBERS)?, snapshot.open_table(NUMBERS)?],
            main: snapshot.open_table(MAIN)?,
            transactions: [snapshot.open_table(FRESH_TRANSACTIONS)?, snapshot.open_table(TRANSACTIONS)?],
            accounts: snapshot.open_table(ACCOUNTS)?,
            side: snapshot.open_table(SIDE)?,
            _snapshot: snapshot,
        })
    }
}

impl Tables for Reading {
    fn blocks(&self) -> &impl ReadableTable<u64, &'static [u8]> {
        &self.blocks
    }

    fn numbers(&self) -> [&impl ReadableTable<&'static [u8; 16], ()>; 2] {
        self.numbers.each_ref()
    }

    fn main_table(&self) -> &impl ReadableTable<u64, &'static [u8; 40]> {
        &self.main
    }

    fn transactions(&self) -> [&impl ReadableTable<&'static [u8; 20], ()>; 2] {
        self.transactions.each_ref()
    }

    fn accounts(&self) -> &impl ReadableTable<&'static [u8; 32], &'static [u8; 16]> {
        &self.accounts
    }

    fn side_table(&self) -> &impl ReadableTable<u64, (u64, u64, u64, bool)> {
        &self.side
    }
}
