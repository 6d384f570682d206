//! Reads the committed chain and the mempool from any thread, for an API.

use crate::block::{self, Header};
use crate::mempool::Mempool;
use crate::parameters::Network;
use crate::requests::copy;
use crate::store::SharedDatabase;
use crate::tables::{Account, Look, Reading, Result, StoreError};
use crate::transaction;
use bytes::Bytes;
use polypeer_engine::kit::chain::{BlockKey, Hash, Tip};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};

/// What the ledger shares with its readers.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) network: Network,
    pub(crate) mempool: RwLock<Mempool>,
    pub(crate) tip: RwLock<Tip>,
    /// Whether the last commit failed.
    pub(crate) ails: AtomicBool,
}

impl Shared {
    /// The mempool, to look at.
    pub(crate) fn mempool(&self) -> RwLockReadGuard<'_, Mempool> {
        self.mempool.read().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A view of the ledger that is cheap to clone and can be used from any thread. What it shows of the chain is
/// durable. While a failing disk keeps the store shut, everything but the tip and the mempool is unknown.
#[derive(Clone)]
pub struct Reader {
    pub(crate) shared: Arc<Shared>,
    pub(crate) database: SharedDatabase,
}

/// A block and where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BlockView {
    /// Its hash.
    pub hash: Hash,
    /// How many blocks are below it.
    pub height: u64,
    /// Its parent's hash.
    pub parent: Hash,
    /// Its time, milliseconds since 1970.
    pub time: u64,
    /// Who got the reward and the fees.
    pub producer: [u8; 32],
    /// The work of the chain that ends in it, genesis included.
    pub work: u128,
    /// Whether it stands in the main chain.
    pub main: bool,
    /// Its transactions' identifiers, in order.
    pub transactions: Vec<Hash>,
    /// The whole block.
    pub bytes: Bytes,
}

/// A transaction that waits, or stands in the main chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TransactionView {
    /// Its identifier.
    pub id: Hash,
    /// Its bytes.
    pub bytes: Bytes,
    /// The hash of its block; nothing while it waits.
    pub block: Option<Hash>,
    /// The height of its block; nothing while it waits.
    pub height: Option<u64>,
}

impl Reader {
    /// The network that the ledger holds.
    pub fn network(&self) -> &Network {
        &self.shared.network
    }

    /// The end of the main chain.
    pub fn tip(&self) -> Tip {
        *self.shared.tip.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the last commit succeeded. A ledger that does not keep what it is given is not ready to serve.
    pub fn is_sound(&self) -> bool {
        !self.shared.ails.load(Ordering::Relaxed)
    }

    /// A block, on the main chain or off it.
    pub fn block(&self, key: &BlockKey) -> Option<BlockView> {
        self.look(|reading| {
            let number = match key {
                BlockKey::Hash(hash) => reading.number(hash)?,
                BlockKey::Height(height) => reading.main(*height)?.map(|(_, number)| number),
            };
            let Some(number) = number else { return Ok(None) };
            let bytes = reading.block(number)?;
            let Some((header_bytes, transactions)) = block::split(&bytes) else { return Ok(None) };
            let header = Header::decode(header_bytes);
            Ok(Some(BlockView {
                hash: block::header_hash(header_bytes),
                height: header.height,
                parent: header.parent,
                time: header.time,
                producer: header.producer,
                work: self.shared.network.chain_work(header.height),
                main: reading.side(number)?.is_none(),
                transactions: transactions.iter().map(|bytes| transaction::id(bytes)).collect(),
                bytes: bytes.clone(),
            }))
        })
        .flatten()
    }

    /// A transaction, waiting or in the main chain.
    pub fn transaction(&self, id: &Hash) -> Option<TransactionView> {
        // The mempool lets go of a transaction after its block is committed, and takes one back before the commit
        // that drops its block: between two looks at the mempool, the chain has it or it is nowhere.
        self.waiting_transaction(id).or_else(|| self.confirmed(id)).or_else(|| self.waiting_transaction(id))
    }

    fn waiting_transaction(&self, id: &Hash) -> Option<TransactionView> {
        let mempool = self.shared.mempool();
        let waiting = mempool.get_or_leaving(id)?;
        Some(TransactionView { id: *id, bytes: copy(&waiting.bytes), block: None, height: None })
    }

    fn confirmed(&self, id: &Hash) -> Option<TransactionView> {
        self.look(|reading| {
            let Some((height, bytes)) = reading.confirmed(id)? else { return Ok(None) };
            let block = reading.main(height)?.map(|(hash, _)| hash);
            Ok(Some(TransactionView { id: *id, bytes, block, height: Some(height) }))
        })
        .flatten()
    }

    /// How many transactions wait, and the identifiers of at most `max` of them, highest fee first. One whose block
    /// is not committed yet still waits.
    pub fn waiting(&self, max: usize) -> (usize, Vec<Hash>) {
        let mempool = self.shared.mempool();
        let leaving = mempool.leaving();
        let count = mempool.len() + leaving.len();
        (count, mempool.by_worth().map(|waiting| waiting.id).chain(leaving.copied()).take(max).collect())
    }

    /// The first sequence of an account that neither the main chain nor a waiting transaction has.
    pub fn next_sequence(&self, key: &[u8; 32]) -> u64 {
        // The mempool first: what moves into the chain meanwhile is counted there.
        let taken = self.shared.mempool().sequences(key);
        let count = self.account(key).sequence;
        (count..).find(|sequence| !taken.contains(sequence)).unwrap_or(count)
    }

    /// An account at the tip; one that nobody ever paid holds nothing.
    pub fn account(&self, key: &[u8; 32]) -> Account {
        self.look(|reading| reading.account(key)).unwrap_or_default()
    }

    /// Looks at a snapshot. A failure shows in [`Reader::is_sound`] as soon as the ledger itself meets it.
    fn look<T>(&self, look: impl FnOnce(&Reading) -> Result<T>) -> Option<T> {
        let database = self.database.read().unwrap_or_else(PoisonError::into_inner);
        let result =
            database.as_ref().ok_or(StoreError::PreviousIo).and_then(Reading::open).and_then(|reading| look(&reading));
        result.ok()
    }
}
