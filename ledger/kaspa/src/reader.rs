//! Reads the DAG and the mempool from any thread, for an API.

use crate::dag::Dag;
use crate::mempool::Mempool;
use crate::node::{Held, Number};
use crate::store::SharedDatabase;
use crate::tables::Reading;
use crate::unsaved::Shown;
use bytes::Bytes;
use polypeer_engine::kit::chain::Hash;
use polypeer_kaspa::ledger::{Standing, State, Status};
use polypeer_kaspa::wire::{BlockBody, Header, TransactionView, encode_block};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};

/// What the ledger shares with its readers. Whoever locks several of the three locks them in this order.
pub(crate) struct Shared {
    /// All that was taken: more than is durable.
    pub(crate) dag: RwLock<Dag>,
    pub(crate) mempool: RwLock<Mempool>,
    /// How much of the DAG is durable.
    pub(crate) shown: RwLock<Shown>,
    /// Whether the last commit failed.
    pub(crate) ails: AtomicBool,
    /// Bytes held, as the limit counts them, and the limit.
    pub(crate) bytes: AtomicU64,
    pub(crate) bytes_max: u64,
}

/// A view of the ledger that is cheap to clone and can be used from any thread. What it shows of the DAG is durable, and
/// so some tenths of a second behind what peers are told and asked for. While a failing disk keeps the store shut, there
/// are no blocks to see.
#[derive(Clone)]
pub struct Reader {
    pub(crate) shared: Arc<Shared>,
    pub(crate) database: SharedDatabase,
}

/// Which block is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BlockKey {
    /// The one with this hash.
    Hash(Hash),
    /// The lowest of the sink's selected chain that has at least this blue score.
    BlueScore(u64),
    /// The sink.
    Sink,
}

/// A block and where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BlockView {
    /// Hash, scores, work and time.
    pub standing: Standing,
    /// Its parents on level 0, the selected one first among those of a chain block.
    pub parents: Vec<Hash>,
    /// How it is held.
    pub status: Status,
    /// Whether it stands on the sink's selected chain.
    pub is_on_chain: bool,
    /// Its transactions' identifiers; none while its body is not held.
    pub transactions: Vec<Hash>,
    /// The `BlockMessage`; without transactions while its body is not held.
    pub bytes: Bytes,
}

/// A transaction that waits, or stood in a recent block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FoundView {
    /// Its identifier.
    pub id: Hash,
    /// The `TransactionMessage`.
    pub bytes: Bytes,
    /// The block that had it first, and that block's blue score; nothing while it waits.
    pub block: Option<(Hash, u64)>,
}

impl Reader {
    fn dag(&self) -> RwLockReadGuard<'_, Dag> {
        self.shared.dag.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn mempool(&self) -> RwLockReadGuard<'_, Mempool> {
        self.shared.mempool.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn shown(&self) -> RwLockReadGuard<'_, Shown> {
        self.shared.shown.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Where the ledger stands.
    pub fn state(&self) -> State {
        self.shown().state
    }

    /// Headers that are held, and how many of them wait for their bodies.
    pub fn counts(&self) -> (u64, u64) {
        self.shown().counts
    }

    /// Full blocks without full children.
    pub fn tips(&self) -> Vec<Hash> {
        self.shown().tips.clone()
    }

    /// Whether the last commit succeeded. A ledger that does not keep what it is given is not ready to serve.
    pub fn is_sound(&self) -> bool {
        !self.shared.ails.load(Ordering::Relaxed)
    }

    /// Bytes held, and how many there may be. Beyond them nothing new is taken.
    pub fn room(&self) -> (u64, u64) {
        (self.shared.bytes.load(Ordering::Relaxed), self.shared.bytes_max)
    }

    /// A block.
    pub fn block(&self, key: &BlockKey) -> Option<BlockView> {
        let dag = self.dag();
        let (count, sink) = {
            let shown = self.shown();
            (shown.count, shown.sink)
        };
        let number = match key {
            BlockKey::Hash(hash) => dag.held(hash).filter(|number| *number < count)?,
            BlockKey::Sink => sink,
            BlockKey::BlueScore(score) => {
                let score = (*score).max(dag.node(dag.base()).blue_score);
                let is_reached = dag.node(sink).blue_score >= score;
                is_reached.then(|| dag.lowest(sink, |node| node.blue_score >= score))?
            }
        };
        let mut view = describe(&dag, number, sink);
        // The DAG stays locked: an import would give another block the number.
        self.fill(number, &mut view)?;
        Some(view)
    }

    /// The newest blocks of the sink's selected chain, the sink first; none below the pruning point.
    pub fn chain(&self, count: usize) -> Vec<Standing> {
        let dag = self.dag();
        let (base, sink) = (dag.base(), self.shown().sink);
        let below = |block: &Number| (*block != base).then(|| dag.node(*block).selected_parent);
        std::iter::successors(Some(sink), below).take(count).map(|block| dag.standing(block)).collect()
    }

    fn fill(&self, number: Number, view: &mut BlockView) -> Option<()> {
        let database = self.database.read().unwrap_or_else(PoisonError::into_inner);
        let reading = Reading::open(database.as_ref()?, true).ok()?;
        let header = reading.header(number).ok()??;
        view.parents = Header::decode(&header).ok()?.direct_parents().to_vec();
        let body = if view.status == Status::Full { reading.body(number).ok()? } else { None };
        if body.is_none() && view.status == Status::Full {
            // It has come, and is not durable.
            view.status = Status::HeaderOnly;
        }
        let body = BlockBody::decode(&body.unwrap_or_default()).ok()?;
        let views = body.0.slices().filter_map(|transaction| TransactionView::decode(transaction).ok());
        view.transactions = views.map(|view| view.id()).collect();
        view.bytes = encode_block(&header, body.0.slices());
        Some(())
    }

    /// How many transactions wait.
    pub fn waiting(&self) -> usize {
        self.mempool().len()
    }

    /// The waiting transactions' identifiers, the oldest first.
    pub fn waiting_ids(&self, count: usize) -> Vec<Hash> {
        self.mempool().in_order().take(count).map(|(id, _)| *id).collect()
    }

    /// A transaction that waits or stood in a recent block: as far back as the mempool remembers, and not beyond a
    /// restart. It waits until its block is durable.
    pub fn transaction(&self, id: &Hash) -> Option<FoundView> {
        // Locked until the body is read: an import would give another block the number.
        let dag = self.dag();
        let number = {
            let mempool = self.mempool();
            if let Some(waiting) = mempool.get(id) {
                return Some(FoundView { id: *id, bytes: waiting.bytes.clone(), block: None });
            }
            mempool.block_of(id)?
        };
        let Standing { hash, blue_score, .. } = dag.standing(number);
        let unsaved = self.shown().unsaved.body(number).cloned();
        let block = unsaved.is_none().then_some((hash, blue_score));
        let body = match unsaved {
            Some(body) => BlockBody::decode(&body).ok()?,
            None => self.body(number)?,
        };
        let is_it = |bytes: &&[u8]| TransactionView::decode(bytes).is_ok_and(|view| view.id() == *id);
        let bytes = body.0.slices().find(is_it).map(Bytes::copy_from_slice)?;
        Some(FoundView { id: *id, bytes, block })
    }

    fn body(&self, number: Number) -> Option<BlockBody> {
        let database = self.database.read().unwrap_or_else(PoisonError::into_inner);
        let body = Reading::open(database.as_ref()?, true).ok()?.body(number).ok()??;
        BlockBody::decode(&body).ok()
    }
}

fn describe(dag: &Dag, number: Number, sink: Number) -> BlockView {
    let node = dag.node(number);
    BlockView {
        standing: dag.standing(number),
        parents: Vec::new(),
        status: match node.held {
            Held::Full => Status::Full,
            Held::Header => Status::HeaderOnly,
            Held::Invalid => Status::Invalid,
        },
        is_on_chain: dag.is_chain_ancestor(number, sink),
        transactions: Vec::new(),
        bytes: Bytes::new(),
    }
}
