//! Changes the store: everything that one batch writes, until its one commit.

use crate::index::Index;
use crate::parameters::Network;
use crate::tables::*;
use crate::validate::Accounts;
use polypeer_engine::kit::chain::{BlockFault, Hash};
use polypeer_store::file::META;
use redb::{ReadableDatabase, ReadableTable, ReadableTableMetadata, Table, WriteTransaction};
use std::collections::HashMap;

/// The layout's version; a file of another one is refused.
pub(crate) const LAYOUT: u64 = 1;
/// Accounts that are kept in memory within a batch, about 5 MB; beyond it they go into the table early.
const CACHED_ACCOUNTS_MAX: usize = 65_536;
/// Hashes of invalid blocks that are remembered, about 8 MB on disk. Each cost its maker the work of a block; when
/// the oldest is forgotten, it can be tried and refused once more.
const INVALID_MAX: u64 = 65_536;

/// Transactions of the operator that are stored, about 64 MiB with the tables' overhead: as many as can wait.
const OPERATOR_MAX: u64 = 262_144;
/// Numbers of blocks that wait for their sweep: 60 pages.
const FRESH_NUMBERS_MAX: u64 = 8_192;
/// Places of transactions that wait for their sweep: 500 pages, and a sweep of a tenth of a second.
const FRESH_TRANSACTIONS_MAX: u64 = 65_536;

/// Numbers that a batch moves on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counters {
    /// The next block's number.
    pub(crate) number: u64,
    /// Bytes of the blocks off the main chain.
    pub(crate) side_bytes: u64,
    /// The next invalid hash's place.
    pub(crate) invalid: u64,
    /// The next operator transaction's place.
    pub(crate) operator: u64,
}

impl Counters {
    const NAME: &str = "counters";

    /// What the last commit left.
    pub(crate) fn load(database: &redb::Database) -> Result<Self> {
        let meta = database.begin_read()?.open_table(META)?;
        Ok(meta.get(Self::NAME)?.map_or_else(Self::default, |row| Self::decode(row.value())))
    }

    fn encode(self) -> [u8; 32] {
        let mut bytes = [0; 32];
        let fields = [self.number, self.side_bytes, self.invalid, self.operator];
        for (place, field) in bytes.as_chunks_mut::<8>().0.iter_mut().zip(fields) {
            *place = field.to_be_bytes();
        }
        bytes
    }

    fn decode(bytes: &[u8]) -> Self {
        let mut fields = bytes.as_chunks::<8>().0.iter().map(|bytes| u64::from_be_bytes(*bytes));
        let mut next = || fields.next().unwrap_or(0);
        Self { number: next(), side_bytes: next(), invalid: next(), operator: next() }
    }
}

/// The open tables of a transaction that writes.
pub(crate) struct Writing<'t> {
    meta: Table<'t, &'static str, &'static [u8]>,
    blocks: Table<'t, u64, &'static [u8]>,
    numbers: Index<'t, 16>,
    main: Table<'t, u64, &'static [u8; 40]>,
    transactions: Index<'t, 20>,
    accounts: Table<'t, &'static [u8; 32], &'static [u8; 16]>,
    pub(crate) side: Table<'t, u64, (u64, u64, u64, bool)>,
    pub(crate) leaves: Table<'t, (u64, u64), ()>,
    pub(crate) children: Table<'t, (u64, u64), ()>,
    invalid: Table<'t, &'static [u8; 32], (u64, u8)>,
    invalid_order: Table<'t, u64, &'static [u8; 32]>,
    pub(crate) operator: Table<'t, u64, &'static [u8; 153]>,
    pub(crate) confirmed: Table<'t, (u64, u64), &'static [u8; 153]>,
    /// Accounts by key, and whether the table has an older state.
    cache: HashMap<[u8; 32], (Account, bool)>,
    /// What the accounts were before the block that is being tried.
    journal: Vec<([u8; 32], Account)>,
    pub(crate) counters: Counters,
    saved: Counters,
    pub(crate) changed: bool,
    invalid_max: u64,
    pub(crate) operator_max: u64,
}

impl<'t> Writing<'t> {
    /// Opens every table, made when missing.
    pub(crate) fn open(transaction: &'t WriteTransaction) -> Result<Self> {
        let meta = transaction.open_table(META)?;
        let saved = meta.get(Counters::NAME)?.map_or_else(Counters::default, |row| Counters::decode(row.value()));
        Ok(Self {
            blocks: transaction.open_table(BLOCKS)?,
            numbers: Index::new(
                transaction.open_table(FRESH_NUMBERS)?,
                transaction.open_table(NUMBERS)?,
                FRESH_NUMBERS_MAX,
            ),
            main: transaction.open_table(MAIN)?,
            transactions: Index::new(
                transaction.open_table(FRESH_TRANSACTIONS)?,
                transaction.open_table(TRANSACTIONS)?,
                FRESH_TRANSACTIONS_MAX,
            ),
            accounts: transaction.open_table(ACCOUNTS)?,
            side: transaction.open_table(SIDE)?,
            leaves: transaction.open_table(LEAVES)?,
            children: transaction.open_table(CHILDREN)?,
            invalid: transaction.open_table(INVALID)?,
            invalid_order: transaction.open_table(INVALID_ORDER)?,
            operator: transaction.open_table(OPERATOR)?,
            confirmed: transaction.open_table(CONFIRMED)?,
            meta,
            cache: HashMap::new(),
            journal: Vec::new(),
            counters: saved,
            saved,
            changed: false,
            invalid_max: INVALID_MAX,
            operator_max: OPERATOR_MAX,
        })
    }

    /// Writes a new network's genesis.
    pub(crate) fn found(&mut self, network: &Network) -> Result<()> {
        for (key, balance) in &network.accounts {
            self.accounts.insert(key, &Account { balance: *balance, sequence: 0 }.encode())?;
        }
        let number = self.insert_block(&network.genesis_hash, &network.genesis)?;
        self.append_main(0, &network.genesis_hash, number, &[])
    }

    /// Stores a block's bytes under the next number.
    pub(crate) fn insert_block(&mut self, hash: &Hash, bytes: &[u8]) -> Result<u64> {
        let number = self.counters.number;
        self.counters.number += 1;
        self.blocks.insert(number, bytes)?;
        self.numbers.insert(&number_key(hash, number))?;
        self.changed = true;
        Ok(number)
    }

    /// Forgets a block's bytes.
    pub(crate) fn remove_block(&mut self, hash: &Hash, number: u64) -> Result<()> {
        self.blocks.remove(number)?;
        self.numbers.remove(&number_key(hash, number))?;
        self.changed = true;
        Ok(())
    }

    /// Makes a stored block the main chain's newest.
    pub(crate) fn append_main(&mut self, height: u64, hash: &Hash, number: u64, ids: &[Hash]) -> Result<()> {
        self.main.insert(height, &main_row(hash, number))?;
        for (id, position) in ids.iter().zip(0..) {
            self.transactions.insert(&transaction_key(id, height, position))?;
        }
        self.changed = true;
        Ok(())
    }

    /// Takes the main chain's newest block off it.
    pub(crate) fn remove_main(&mut self, height: u64, ids: &[Hash]) -> Result<()> {
        self.main.remove(height)?;
        for (id, position) in ids.iter().zip(0..) {
            self.transactions.remove(&transaction_key(id, height, position))?;
        }
        self.changed = true;
        Ok(())
    }

    /// From here on [`Writing::revert_accounts`] comes back to this.
    pub(crate) fn mark_accounts(&mut self) {
        self.journal.clear();
    }

    /// Takes back what was done to accounts since the mark.
    pub(crate) fn revert_accounts(&mut self) {
        while let Some((key, account)) = self.journal.pop() {
            self.cache.insert(key, (account, true));
        }
    }

    /// Why the block with this hash was refused, if it was.
    pub(crate) fn fault_of(&self, hash: &Hash) -> Result<Option<BlockFault>> {
        Ok(self.invalid.get(&hash.0)?.map(|row| match row.value().1 {
            0 => BlockFault::Header,
            _ => BlockFault::State,
        }))
    }

    /// Remembers that the block with this hash is wrong, whatever its body.
    pub(crate) fn remember_invalid(&mut self, hash: &Hash, fault: BlockFault) -> Result<()> {
        if self.invalid.get(&hash.0)?.is_some() {
            return Ok(());
        }
        let place = self.counters.invalid;
        self.counters.invalid += 1;
        self.invalid.insert(&hash.0, (place, u8::from(fault == BlockFault::State)))?;
        self.invalid_order.insert(place, &hash.0)?;
        if self.invalid.len()? > self.invalid_max {
            let oldest = self.invalid_order.pop_first()?.map(|(_, hash)| *hash.value());
            if let Some(hash) = oldest {
                self.invalid.remove(&hash)?;
            }
        }
        self.changed = true;
        Ok(())
    }

    /// Puts what is still in memory into the tables. True when there is something to commit.
    pub(crate) fn finish(mut self) -> Result<bool> {
        if !self.changed {
            return Ok(false);
        }
        self.flush_accounts()?;
        self.numbers.sweep()?;
        self.transactions.sweep()?;
        if self.counters != self.saved {
            self.meta.insert(Counters::NAME, self.counters.encode().as_slice())?;
        }
        Ok(true)
    }

    fn flush_accounts(&mut self) -> Result<()> {
        let mut changed: Vec<([u8; 32], Account)> =
            self.cache.drain().filter(|(_, (_, dirty))| *dirty).map(|(key, (account, _))| (key, account)).collect();
        // In the table's order, which is also the same order on every run.
        changed.sort_unstable_by_key(|(key, _)| *key);
        for (key, account) in changed {
            if account == Account::default() {
                self.accounts.remove(&key)?;
            } else {
                self.accounts.insert(&key, &account.encode())?;
            }
        }
        Ok(())
    }
}

impl Accounts for Writing<'_> {
    fn account_of(&self, key: &[u8; 32]) -> Result<Account> {
        self.account(key)
    }

    fn set_account(&mut self, key: &[u8; 32], account: Account) -> Result<()> {
        if self.cache.len() >= CACHED_ACCOUNTS_MAX {
            self.flush_accounts()?;
        }
        let before = self.account(key)?;
        self.journal.push((*key, before));
        self.cache.insert(*key, (account, true));
        Ok(())
    }
}

impl Tables for Writing<'_> {
    fn blocks(&self) -> &impl ReadableTable<u64, &'static [u8]> {
        &self.blocks
    }

    fn numbers(&self) -> [&impl ReadableTable<&'static [u8; 16], ()>; 2] {
        [&self.numbers.fresh, &self.numbers.settled]
    }

    fn main_table(&self) -> &impl ReadableTable<u64, &'static [u8; 40]> {
        &self.main
    }

    fn transactions(&self) -> [&impl ReadableTable<&'static [u8; 20], ()>; 2] {
        [&self.transactions.fresh, &self.transactions.settled]
    }

    fn accounts(&self) -> &impl ReadableTable<&'static [u8; 32], &'static [u8; 16]> {
        &self.accounts
    }

    fn side_table(&self) -> &impl ReadableTable<u64, (u64, u64, u64, bool)> {
        &self.side
    }

    fn remembered(&self, key: &[u8; 32]) -> Option<Account> {
        self.cache.get(key).map(|(account, _)| *account)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use redb::backends::InMemoryBackend;

    /// Runs on the empty tables of a store in memory.
    fn with_tables(run: impl FnOnce(Writing<'_>)) {
        let database = redb::Database::builder().create_with_backend(InMemoryBackend::new()).unwrap();
        let transaction = database.begin_write().unwrap();
        run(Writing::open(&transaction).unwrap());
    }

    #[test]
    fn the_oldest_invalid_hash_is_forgotten_first() {
        with_tables(|mut tables| {
            tables.invalid_max = 3;
            for (place, fault) in [(1, BlockFault::State), (2, BlockFault::Header), (1, BlockFault::Header)] {
                tables.remember_invalid(&Hash([place; 32]), fault).unwrap();
            }
            for place in 3..=4 {
                tables.remember_invalid(&Hash([place; 32]), BlockFault::State).unwrap();
            }
            let fault = |place| tables.fault_of(&Hash([place; 32])).unwrap();
            assert_eq!((fault(1), fault(2)), (None, Some(BlockFault::Header)));
            assert_eq!((fault(3), fault(4)), (Some(BlockFault::State), Some(BlockFault::State)));
            assert_eq!((tables.invalid.len().unwrap(), tables.invalid_order.len().unwrap()), (3, 3));
        });
    }

    #[test]
    fn so_many_of_the_operators_transactions_are_stored_and_no_more() {
        with_tables(|mut tables| {
            tables.operator_max = 2;
            let store = |tables: &mut Writing<'_>, place| tables.add_operator(&[place; 153]).unwrap();
            assert_eq!((store(&mut tables, 1), store(&mut tables, 2)), (Some(0), Some(1)));
            assert_eq!(store(&mut tables, 3), None);
            tables.retire_operator(0, &Hash([1; 32])).unwrap();
            assert_eq!(store(&mut tables, 4), Some(2));
            assert_eq!(tables.operators().unwrap(), [(1, [2; 153]), (2, [4; 153])]);
        });
    }

    #[test]
    fn old_confirmed_transactions_of_the_operator_are_forgotten() {
        with_tables(|mut tables| {
            for height in [5, 6] {
                tables.confirmed.insert((height, 0), &[7; 153]).unwrap();
            }
            tables.forget_confirmed(1_005).unwrap();
            assert_eq!(tables.confirmed.len().unwrap(), 2);
            tables.forget_confirmed(1_006).unwrap();
            assert_eq!(tables.confirmed.first().unwrap().unwrap().0.value(), (6, 0));
        });
    }
}
