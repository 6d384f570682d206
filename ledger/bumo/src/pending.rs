//! Keeps what ledgers changed since the last commit, and shows the state that they left.

use crate::account::Account;
use crate::execution::Accounts;
use crate::header::Header;
use crate::tables::{AccountKey, Outcome, Reading, Result, StoreError, torn};
use crate::trie::Nodes;
use bytes::Bytes;
use polypeer_bumo::hash::Hash;
use std::collections::BTreeMap;

/// Bytes that a row takes beside what is in it.
const ROW_BYTES: usize = 96;

/// Rows that the next commit writes.
#[derive(Clone, Debug, Default)]
pub(crate) struct Pending {
    accounts: BTreeMap<AccountKey, Bytes>,
    nodes: BTreeMap<Vec<u8>, Bytes>,
    pub(crate) metadata: BTreeMap<(AccountKey, String), Bytes>,
    pub(crate) values: BTreeMap<u64, Bytes>,
    pub(crate) headers: BTreeMap<u64, Header>,
    pub(crate) outcomes: BTreeMap<Hash, Outcome>,
    pub(crate) sets: BTreeMap<Hash, Bytes>,
    /// The operator's transactions: nothing for one that waits no longer.
    pub(crate) operator: BTreeMap<Hash, Option<Bytes>>,
    /// About what all of it takes.
    bytes: usize,
}

impl Pending {
    pub(crate) fn put_account(&mut self, key: AccountKey, account: Bytes) {
        self.bytes += account.len() + ROW_BYTES;
        self.accounts.insert(key, account);
    }

    pub(crate) fn put_metadata(&mut self, key: AccountKey, name: String, entry: Bytes) {
        self.bytes += entry.len() + name.len() + ROW_BYTES;
        self.metadata.insert((key, name), entry);
    }

    pub(crate) fn put_value(&mut self, number: u64, value: Bytes, header: Header) {
        self.bytes += value.len() + 5 * ROW_BYTES;
        self.values.insert(number, value);
        self.headers.insert(number, header);
    }

    pub(crate) fn put_outcome(&mut self, id: Hash, outcome: Outcome) {
        self.bytes += 2 * ROW_BYTES;
        self.outcomes.insert(id, outcome);
    }

    pub(crate) fn put_operator(&mut self, id: Hash, envelope: Option<Bytes>) {
        self.bytes += envelope.as_ref().map_or(0, Bytes::len) + ROW_BYTES;
        self.operator.insert(id, envelope);
    }

    /// Keeps a node of the account tree.
    pub(crate) fn put(&mut self, location: Vec<u8>, node: Bytes) {
        self.bytes += location.len() + node.len() + ROW_BYTES;
        self.nodes.insert(location, node);
    }

    pub(crate) fn accounts(&self) -> &BTreeMap<AccountKey, Bytes> {
        &self.accounts
    }

    pub(crate) fn nodes(&self) -> &BTreeMap<Vec<u8>, Bytes> {
        &self.nodes
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.bytes == 0 && self.headers.is_empty()
    }

    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Takes up what came later, which goes over what is here.
    pub(crate) fn append(&mut self, mut later: Self) {
        self.accounts.append(&mut later.accounts);
        self.nodes.append(&mut later.nodes);
        self.metadata.append(&mut later.metadata);
        self.values.append(&mut later.values);
        self.headers.append(&mut later.headers);
        self.outcomes.append(&mut later.outcomes);
        self.sets.append(&mut later.sets);
        self.operator.append(&mut later.operator);
        self.bytes += later.bytes;
    }
}

/// The state after the last closed ledger: what is pending, over what is being written, over what was committed.
#[derive(Clone, Copy)]
pub(crate) struct View<'v> {
    pub(crate) pending: &'v Pending,
    pub(crate) writing: Option<&'v Pending>,
    /// Nothing while the store is shut.
    pub(crate) reading: Option<&'v Reading>,
}

impl View<'_> {
    /// A row that is not committed.
    fn recent<T>(&self, look: impl Fn(&Pending) -> Option<T>) -> Option<T> {
        look(self.pending).or_else(|| look(self.writing?))
    }

    fn reading(&self) -> Result<&Reading> {
        self.reading.ok_or(StoreError::PreviousIo)
    }

    pub(crate) fn value(&self, number: u64) -> Result<Option<Bytes>> {
        match self.recent(|rows| rows.values.get(&number).cloned()) {
            Some(value) => Ok(Some(value)),
            None => self.reading()?.value(number),
        }
    }

    pub(crate) fn header(&self, number: u64) -> Result<Option<Header>> {
        match self.recent(|rows| rows.headers.get(&number).cloned()) {
            Some(header) => Ok(Some(header)),
            None => self.reading()?.header(number),
        }
    }
}

impl Accounts for View<'_> {
    fn account(&self, key: &AccountKey) -> Result<Option<Account>> {
        let row = match self.recent(|rows| rows.accounts.get(key).cloned()) {
            Some(row) => Some(row),
            None => self.reading()?.account(key)?,
        };
        row.map(|row| Account::decode(&row).ok_or_else(|| torn("an account"))).transpose()
    }
}

/// Nodes of the account tree that a ledger in the making changes, over those that are there.
pub(crate) struct Changing<'v> {
    view: View<'v>,
    pub(crate) changed: BTreeMap<Vec<u8>, Bytes>,
}

impl<'v> Changing<'v> {
    pub(crate) fn new(view: View<'v>) -> Self {
        Self { view, changed: BTreeMap::new() }
    }
}

impl Nodes for Changing<'_> {
    fn node(&self, location: &[u8]) -> Result<Option<Bytes>> {
        let changed = self.changed.get(location).cloned();
        match changed.or_else(|| self.view.recent(|rows| rows.nodes.get(location).cloned())) {
            Some(node) => Ok(Some(node)),
            None => self.view.reading()?.node(location),
        }
    }

    fn put(&mut self, location: Vec<u8>, node: Bytes) {
        self.changed.insert(location, node);
    }
}
