//! Shows readers what a ledger took out of the pool, until the store has that ledger.
//!
//! Between the two nobody would know of it: it waits no longer, and stands nowhere that is durable.

use crate::closing::Closed;
use crate::pool::Pool;
use crate::tables::AccountKey;
use bytes::Bytes;
use polypeer_bumo::hash::Hash;
use std::collections::BTreeMap;

/// What the ledgers that are closed and not stored changed. It is bounded as what waits to be stored is: a commit lets
/// go of what it stored.
#[derive(Debug, Default)]
pub(crate) struct Leaving {
    /// Each with its ledger's number.
    transactions: BTreeMap<Hash, (u64, Bytes)>,
    /// Each with the number of the last ledger that changed it.
    nonces: BTreeMap<AccountKey, (u64, i64)>,
}

impl Leaving {
    /// The ledger of this number was closed, and the pool still has what stands in it.
    pub(crate) fn closed(&mut self, number: u64, closed: &Closed, pool: &Pool) {
        self.nonces.extend(closed.nonces.iter().map(|(account, nonce)| (*account, (number, *nonce))));
        let bytes = |id| Some((number, pool.get(id)?.envelope.bytes.clone()));
        let known = closed.transactions.iter().filter_map(|id| Some((*id, bytes(id)?)));
        self.transactions.extend(known);
    }

    /// The store has all ledgers up to this one.
    pub(crate) fn stored(&mut self, number: u64) {
        self.transactions.retain(|_, (ledger, _)| *ledger > number);
        self.nonces.retain(|_, (ledger, _)| *ledger > number);
    }

    /// The bytes of a transaction.
    pub(crate) fn get(&self, id: &Hash) -> Option<&Bytes> {
        self.transactions.get(id).map(|(_, bytes)| bytes)
    }

    /// An account's nonce, where a ledger changed it.
    pub(crate) fn nonce(&self, account: &AccountKey) -> Option<i64> {
        self.nonces.get(account).map(|(_, nonce)| *nonce)
    }
}
