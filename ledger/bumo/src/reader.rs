//! Reads ledgers, accounts and the pool from any thread, for an API.

use crate::account::{Account, key_of};
use crate::envelope::Envelope;
use crate::header::Header;
use crate::leaving::Leaving;
use crate::pool::Pool;
use crate::rules::Rules;
use crate::store::SharedDatabase;
use crate::tables::{Reading, Result, StoreError, torn};
use bytes::Bytes;
use polypeer_bumo::hash::Hash;
use polypeer_bumo::proof::Validators;
use polypeer_bumo::wire::{ConsensusValue, ErrorCode, KeyPair, Message, Transaction, TransactionEnv};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard};

/// Where the ledger stands, durable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    /// The newest ledger's.
    pub header: Header,
    /// Who agrees on the next one.
    pub validators: Validators,
    /// The first ledger with an operation that is not executed here: from there on this node only follows.
    pub follow_only: Option<u64>,
    /// A ledger that came with a proof by validators that nobody here knows. Operations that are not executed here may
    /// have made them validators: unless others come with a proof that is right, the node stands still here, and whoever
    /// runs it must say who the validators are.
    pub strangers: Option<u64>,
}

/// What the ledger shares with its readers.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) rules: Rules,
    pub(crate) standing: RwLock<Standing>,
    pub(crate) pool: RwLock<Pool>,
    /// What waits no longer and is not stored yet. It is locked after the pool, never before.
    pub(crate) leaving: Mutex<Leaving>,
    /// Whether the last commit failed.
    pub(crate) ails: AtomicBool,
    /// Whether anything is signed here: an address.
    pub(crate) signer: Option<String>,
}

/// A view of the ledger that is cheap to clone and can be used from any thread. What it shows is durable, the pool aside.
/// While a failing disk keeps the store shut, there are no ledgers to see.
#[derive(Clone)]
pub struct Reader {
    pub(crate) shared: Arc<Shared>,
    pub(crate) database: SharedDatabase,
}

/// Which ledger is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LedgerKey {
    /// The one with this hash.
    Hash(Hash),
    /// The one of this number; 1 is genesis.
    Number(u64),
}

/// A ledger.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LedgerView {
    /// Its header.
    pub header: Header,
    /// Its transactions, failed ones too, in their order.
    pub transactions: Vec<Hash>,
    /// The `ConsensusValue`; empty for genesis.
    pub value: Bytes,
}

/// An account at the tip.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccountView {
    /// What it has.
    pub balance: i64,
    /// Transactions that it has paid for.
    pub nonce: i64,
    /// The `Account`, its leaf in the tree.
    pub bytes: Bytes,
}

/// A transaction that waits, or stands in a ledger.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TransactionView {
    /// Its hash.
    pub id: Hash,
    /// The `TransactionEnv`.
    pub bytes: Bytes,
    /// Where it stands; nothing while it waits.
    pub place: Option<PlaceView>,
}

/// Where a transaction stands, and what became of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PlaceView {
    /// The ledger's number.
    pub ledger: u64,
    /// The ledger's hash, if it is known.
    pub hash: Option<Hash>,
    /// 0 if it succeeded; a failed one stands there all the same.
    pub code: ErrorCode,
    /// What it cost.
    pub fee: i64,
}

impl Shared {
    pub(crate) fn leaving(&self) -> MutexGuard<'_, Leaving> {
        self.leaving.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Reader {
    /// The network's rules.
    pub fn rules(&self) -> &Rules {
        &self.shared.rules
    }

    /// Where the ledger stands.
    pub fn standing(&self) -> Standing {
        self.shared.standing.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The address that this node validates with, if it does.
    pub fn signer(&self) -> Option<&str> {
        self.shared.signer.as_deref()
    }

    /// Whether the last commit succeeded. A ledger that does not keep what it is given is not ready to serve.
    pub fn is_sound(&self) -> bool {
        !self.shared.ails.load(Ordering::Relaxed)
    }

    /// A ledger.
    pub fn ledger(&self, key: &LedgerKey) -> Option<LedgerView> {
        let hash_type = self.shared.rules.hash;
        self.look(|reading| {
            let number = match key {
                LedgerKey::Hash(hash) => reading.number(hash)?,
                LedgerKey::Number(number) => Some(*number),
            };
            let Some(number) = number else { return Ok(None) };
            let Some(header) = reading.header(number)? else { return Ok(None) };
            let value = reading.value(number)?.unwrap_or_default();
            let wire = ConsensusValue::decode(&value).map_err(|_| torn("a value"))?;
            let id =
                |bytes: &[u8]| TransactionEnv::decode(bytes).ok()?.transaction.map(|one| hash_type.hash(one.bytes));
            let transactions = wire.transactions().filter_map(id).collect();
            Ok(Some(LedgerView { header, transactions, value }))
        })
        .flatten()
    }

    /// The account of this address.
    pub fn account(&self, address: &str) -> Option<AccountView> {
        let key = key_of(address)?;
        let bytes = self.look(|reading| reading.account(&key)).flatten()?;
        let account = Account::decode(&bytes)?;
        Some(AccountView { balance: account.balance, nonce: account.nonce, bytes })
    }

    /// A metadata entry of an account: its value and version.
    pub fn metadata(&self, address: &str, name: &str) -> Option<(String, i64)> {
        let key = key_of(address)?;
        let bytes = self.look(|reading| reading.metadata(&key, name)).flatten()?;
        let entry = KeyPair::decode(&bytes).ok()?;
        Some((entry.value.to_owned(), entry.version))
    }

    /// A transaction, waiting or in a ledger. One that stands in a ledger which is not durable yet waits.
    pub fn transaction(&self, id: &Hash) -> Option<TransactionView> {
        // Looked at first: what has left it when the store is looked at is in the store.
        let waiting = self.waiting_bytes(id).map(|bytes| TransactionView { id: *id, bytes, place: None });
        let found = self.look(|reading| {
            let Some(outcome) = reading.outcome(id)? else { return Ok(None) };
            let value = reading.value(outcome.ledger)?.ok_or_else(|| torn("a value"))?;
            let wire = ConsensusValue::decode(&value).map_err(|_| torn("a value"))?;
            let bytes = wire.transactions().nth(outcome.index as usize).ok_or_else(|| torn("a transaction"))?;
            let hash = reading.header(outcome.ledger)?.and_then(|header| header.hash);
            let (ledger, code, fee) = (outcome.ledger, ErrorCode(outcome.code), outcome.fee);
            let place = Some(PlaceView { ledger, hash, code, fee });
            Ok(Some(TransactionView { id: *id, bytes: value.slice_ref(bytes), place }))
        });
        found.flatten().or(waiting)
    }

    fn waiting_bytes(&self, id: &Hash) -> Option<Bytes> {
        let pool = self.pool();
        let waiting = pool.get(id).map(|waiting| waiting.envelope.bytes.clone());
        waiting.or_else(|| self.shared.leaving().get(id).cloned())
    }

    /// How many transactions wait, and the hashes of at most `max` of them, the oldest first.
    pub fn waiting(&self, max: usize) -> (usize, Vec<Hash>) {
        let pool = self.pool();
        (pool.len(), pool.in_order().take(max).map(|waiting| waiting.envelope.id).collect())
    }

    /// The first nonce of an account that neither a ledger nor a waiting transaction has, whoever brought it.
    pub fn next_nonce(&self, address: &str) -> Option<i64> {
        let key = key_of(address)?;
        let (closed, used) = {
            let pool = self.pool();
            let own = pool.in_order().filter(|waiting| waiting.source == key);
            let used: std::collections::BTreeSet<i64> = own.map(|waiting| waiting.nonce).collect();
            (self.shared.leaving().nonce(&key), used)
        };
        let nonce = self.account(address)?.nonce.max(closed.unwrap_or(0));
        (nonce.checked_add(1)?..).find(|nonce| !used.contains(nonce))
    }

    fn pool(&self) -> RwLockReadGuard<'_, Pool> {
        self.shared.pool.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Looks at a snapshot. A failure shows in [`Reader::is_sound`] as soon as the ledger itself meets it.
    fn look<T>(&self, look: impl FnOnce(&Reading) -> Result<T>) -> Option<T> {
        let database = self.database.read().unwrap_or_else(PoisonError::into_inner);
        let result =
            database.as_ref().ok_or(StoreError::PreviousIo).and_then(Reading::open).and_then(|reading| look(&reading));
        result.ok()
    }
}

/// The hash of a `TransactionEnv`'s transaction, by which it is known; nothing when it is none.
pub fn transaction_id(rules: &Rules, envelope: &Bytes) -> Option<Hash> {
    Some(Envelope::read_unsigned(envelope.clone(), rules.hash).ok()?.id)
}

/// A transaction, taken apart: see [`polypeer_bumo::wire`].
pub fn open_transaction(envelope: &[u8]) -> Option<Transaction<'_>> {
    TransactionEnv::decode(envelope).ok()?.transaction.map(|whole| whole.message)
}
