//! Names the store's tables, and reads them.

use crate::header::Header;
use bytes::Bytes;
use polypeer_bumo::hash::Hash;
use polypeer_store::file::META;
use redb::{Database, ReadOnlyTable, ReadTransaction, ReadableDatabase, TableDefinition};

pub(crate) type StoreError = redb::Error;
pub(crate) type Result<T, E = StoreError> = std::result::Result<T, E>;

/// The raw bytes of an address: an account's key in the tree (BUMO spec, section 9.4).
pub(crate) type AccountKey = [u8; 27];

/// A `ConsensusValue` by the ledger's number.
pub(crate) const VALUES: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("values");
/// A `LedgerHeader` by its number.
pub(crate) const HEADERS: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("headers");
/// A ledger's number by its hash.
pub(crate) const NUMBERS: TableDefinition<'_, &[u8; 32], u64> = TableDefinition::new("numbers");
/// An `Account` by its key.
pub(crate) const ACCOUNTS: TableDefinition<'_, &AccountKey, &[u8]> = TableDefinition::new("accounts");
/// A node of the account tree by its location.
pub(crate) const NODES: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("nodes");
/// A `KeyPair` by account and name.
pub(crate) const METADATA: TableDefinition<'_, (&AccountKey, &str), &[u8]> = TableDefinition::new("metadata");
/// Where a transaction stands and what became of it, by its hash: see [`Outcome`].
pub(crate) const TRANSACTIONS: TableDefinition<'_, &[u8; 32], &[u8]> = TableDefinition::new("transactions");
/// A `ValidatorSet` by its hash.
pub(crate) const SETS: TableDefinition<'_, &[u8; 32], &[u8]> = TableDefinition::new("sets");
/// Transactions of the operator's that wait: an envelope by the transaction's hash.
pub(crate) const OPERATOR: TableDefinition<'_, &[u8; 32], &[u8]> = TableDefinition::new("operator");

/// What the last commit left.
pub(crate) struct Reading {
    values: ReadOnlyTable<u64, &'static [u8]>,
    headers: ReadOnlyTable<u64, &'static [u8]>,
    numbers: ReadOnlyTable<&'static [u8; 32], u64>,
    accounts: ReadOnlyTable<&'static AccountKey, &'static [u8]>,
    nodes: ReadOnlyTable<&'static [u8], &'static [u8]>,
    metadata: ReadOnlyTable<(&'static AccountKey, &'static str), &'static [u8]>,
    transactions: ReadOnlyTable<&'static [u8; 32], &'static [u8]>,
    sets: ReadOnlyTable<&'static [u8; 32], &'static [u8]>,
    // The tables' pages stay as long as it lives.
    _snapshot: ReadTransaction,
}

impl Reading {
    pub(crate) fn open(database: &Database) -> Result<Self> {
        let snapshot = database.begin_read()?;
        Ok(Self {
            values: snapshot.open_table(VALUES)?,
            headers: snapshot.open_table(HEADERS)?,
            numbers: snapshot.open_table(NUMBERS)?,
            accounts: snapshot.open_table(ACCOUNTS)?,
            nodes: snapshot.open_table(NODES)?,
            metadata: snapshot.open_table(METADATA)?,
            transactions: snapshot.open_table(TRANSACTIONS)?,
            sets: snapshot.open_table(SETS)?,
            _snapshot: snapshot,
        })
    }

    pub(crate) fn value(&self, number: u64) -> Result<Option<Bytes>> {
        Ok(self.values.get(number)?.map(|row| copy(row.value())))
    }

    pub(crate) fn header(&self, number: u64) -> Result<Option<Header>> {
        let Some(row) = self.headers.get(number)? else { return Ok(None) };
        Header::decode(row.value()).map(Some).ok_or_else(|| torn("a header"))
    }

    pub(crate) fn number(&self, hash: &Hash) -> Result<Option<u64>> {
        Ok(self.numbers.get(&hash.0)?.map(|row| row.value()))
    }

    pub(crate) fn account(&self, key: &AccountKey) -> Result<Option<Bytes>> {
        Ok(self.accounts.get(key)?.map(|row| copy(row.value())))
    }

    pub(crate) fn node(&self, location: &[u8]) -> Result<Option<Bytes>> {
        Ok(self.nodes.get(location)?.map(|row| copy(row.value())))
    }

    pub(crate) fn metadata(&self, key: &AccountKey, name: &str) -> Result<Option<Bytes>> {
        Ok(self.metadata.get((key, name))?.map(|row| copy(row.value())))
    }

    pub(crate) fn outcome(&self, transaction: &Hash) -> Result<Option<Outcome>> {
        let Some(row) = self.transactions.get(&transaction.0)? else { return Ok(None) };
        Outcome::decode(row.value()).map(Some).ok_or_else(|| torn("a transaction's outcome"))
    }

    pub(crate) fn set(&self, hash: &Hash) -> Result<Option<Bytes>> {
        Ok(self.sets.get(&hash.0)?.map(|row| copy(row.value())))
    }
}

fn copy(row: &[u8]) -> Bytes {
    Bytes::copy_from_slice(row)
}

/// What became of a transaction that stands in a ledger. None of it is hashed (BUMO spec, section 9.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Outcome {
    pub(crate) ledger: u64,
    /// Its place in the ledger's value.
    pub(crate) index: u32,
    /// An `ERRORCODE`.
    pub(crate) code: i32,
    /// What it cost.
    pub(crate) fee: i64,
}

impl Outcome {
    pub(crate) fn encode(&self) -> [u8; 24] {
        let mut row = [0; 24];
        row[..8].copy_from_slice(&self.ledger.to_be_bytes());
        row[8..12].copy_from_slice(&self.index.to_be_bytes());
        row[12..16].copy_from_slice(&self.code.to_be_bytes());
        row[16..].copy_from_slice(&self.fee.to_be_bytes());
        row
    }

    fn decode(row: &[u8]) -> Option<Self> {
        let (ledger, rest) = row.split_first_chunk()?;
        let (index, rest) = rest.split_first_chunk()?;
        let (code, rest) = rest.split_first_chunk()?;
        Some(Self {
            ledger: u64::from_be_bytes(*ledger),
            index: u32::from_be_bytes(*index),
            code: i32::from_be_bytes(*code),
            fee: i64::from_be_bytes(rest.try_into().ok()?),
        })
    }
}

/// What every commit moves on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tip {
    /// The newest ledger's number.
    pub(crate) number: u64,
    /// Bytes of values, as the limit of the store counts them.
    pub(crate) bytes: u64,
    /// The ledger from which on operations are not executed.
    pub(crate) follow_only: Option<u64>,
    /// A `PbftProof` of the newest value; empty for genesis.
    pub(crate) proof: Bytes,
}

impl Tip {
    pub(crate) const NAME: &str = "tip";

    fn of(snapshot: &ReadTransaction) -> Result<Self> {
        let meta = snapshot.open_table(META)?;
        let row = meta.get(Self::NAME)?.ok_or_else(|| torn("the tip"))?;
        Self::decode(row.value()).ok_or_else(|| torn("the tip"))
    }

    pub(crate) fn load(database: &Database) -> Result<Self> {
        Self::of(&database.begin_read()?)
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        let numbers = [self.number, self.bytes, self.follow_only.unwrap_or(0)].map(u64::to_be_bytes);
        [&numbers.concat()[..], &self.proof].concat()
    }

    fn decode(row: &[u8]) -> Option<Self> {
        let (numbers, proof) = row.split_at_checked(24)?;
        let [number, bytes, follow_only] = numbers.as_chunks::<8>().0 else { return None };
        let [number, bytes, follow_only] = [number, bytes, follow_only].map(|number| u64::from_be_bytes(*number));
        let follow_only = Some(follow_only).filter(|number| *number > 0);
        Some(Self { number, bytes, follow_only, proof: copy(proof) })
    }
}

/// The file does not hold together.
pub(crate) fn torn(what: &str) -> StoreError {
    StoreError::Corrupted(format!("{what} is missing or cannot be read"))
}
