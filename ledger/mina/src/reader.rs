//! Reads the blocks and the pools from any thread, for an API.

use crate::mina::Mina;
use crate::node::Node;
use crate::pool::Pool;
use crate::rules::Rules;
use crate::store::SharedDatabase;
use crate::tables::Reading;
use crate::tree::Tree;
use crate::window::Window;
use bytes::Bytes;
use polypeer_mina::block::{Block, PublicKey};
use polypeer_mina::command::transaction_id;
use polypeer_mina::ledger::{Hash, Tip};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};

/// What the ledger shares with its readers. Nobody holds both locks.
#[derive(Debug)]
pub(crate) struct Shared {
    /// The blocks, all of them durable.
    pub(crate) window: RwLock<Arc<Window>>,
    pub(crate) pool: RwLock<Pool>,
    /// Pieces of SNARK work that wait.
    pub(crate) works: AtomicUsize,
    /// Whether the last commit failed.
    pub(crate) ails: AtomicBool,
    pub(crate) rules: Rules,
}

/// A view of the ledger that is cheap to clone and can be used from any thread. What it shows of blocks is durable. While
/// a failing disk keeps the store shut, there are no blocks' bytes to see.
#[derive(Clone, Debug)]
pub struct Reader {
    pub(crate) shared: Arc<Shared>,
    pub(crate) database: SharedDatabase,
}

/// Which block is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BlockKey {
    /// The one with this state hash.
    Hash(Hash),
    /// The best chain's of this length.
    Length(u32),
    /// The end of the best chain.
    Tip,
}

/// A block and where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BlockView {
    /// Its state hash.
    pub hash: Hash,
    /// The state hash of the block below; nothing when it is the network's first.
    pub parent: Option<Hash>,
    /// Blocks from genesis to it.
    pub length: u32,
    /// Its slot since the first genesis.
    pub global_slot: u32,
    /// When its slot began, in milliseconds since 1970.
    pub timestamp: u64,
    /// Who made it.
    pub creator: PublicKey,
    /// Whether the best chain leads through it.
    pub is_on_main: bool,
    /// Whether nothing can take it back.
    pub is_final: bool,
    /// Its commands' ids.
    pub transactions: Vec<Hash>,
    /// The block.
    pub bytes: Bytes,
}

/// A command that waits, or that a kept block of the best chain has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommandView {
    /// Its id.
    pub id: Hash,
    /// The command, its kind in front.
    pub bytes: Bytes,
    /// The block that has it, and that block's length; nothing while it waits.
    pub block: Option<(Hash, u32)>,
}

/// Where the ledger stands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// The end of the best chain; all zeros while there is none.
    pub tip: Tip,
    /// The length of the newest final block.
    pub root: u32,
    /// Blocks that are kept, with those of branches.
    pub blocks: usize,
    /// Their bytes.
    pub bytes: u64,
}

impl Reader {
    fn window(&self) -> Arc<Window> {
        self.shared.window.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn pool(&self) -> RwLockReadGuard<'_, Pool> {
        self.shared.pool.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn reading(&self) -> Option<Reading> {
        let database = self.database.read().unwrap_or_else(PoisonError::into_inner);
        Reading::open(database.as_ref()?).ok()
    }

    /// Where the ledger stands.
    pub fn standing(&self) -> Standing {
        let window = self.window();
        let Some(tree) = window.served() else { return Standing::default() };
        Standing { tip: Mina::tip(&window), root: tree.root().length, blocks: tree.len(), bytes: window.bytes() }
    }

    /// The state hash of the network's first block.
    pub fn genesis(&self) -> Hash {
        self.shared.rules.genesis
    }

    /// Whether the last commit succeeded. A ledger that does not keep what it is given is not ready to serve.
    pub fn is_sound(&self) -> bool {
        !self.shared.ails.load(Ordering::Relaxed)
    }

    /// A block.
    pub fn block(&self, key: &BlockKey) -> Option<BlockView> {
        let window = self.window();
        let tree = window.served()?;
        let node = match key {
            BlockKey::Hash(hash) => tree.get(hash)?,
            BlockKey::Length(length) => tree.at(*length)?,
            BlockKey::Tip => tree.tip(),
        };
        let bytes = self.reading()?.block(&node.hash).ok()??;
        Some(describe(tree, node, bytes, self.genesis()))
    }

    /// A command that waits, or that a kept block of the best chain has.
    pub fn command(&self, id: &Hash) -> Option<CommandView> {
        if let Some(bytes) = self.pool().get(id).cloned() {
            return Some(CommandView { id: *id, bytes, block: None });
        }
        let (window, reading) = (self.window(), self.reading()?);
        let tree = window.served()?;
        let nodes = reading.blocks_with(id).ok()?.into_iter().filter_map(|hash| tree.get(&hash));
        let node = { nodes }.find(|node| tree.is_on_main(node))?;
        let block = reading.block(&node.hash).ok()??;
        let (opened, _) = Block::open(&block).ok()?;
        let commands = opened.body.get().ok()?.commands().map(|judged| judged.command.bytes());
        let is_it = |command: &&[u8]| transaction_id(command).is_ok_and(|found| found == *id);
        let bytes = Bytes::copy_from_slice({ commands }.find(is_it)?);
        Some(CommandView { id: *id, bytes, block: Some((node.hash, node.length)) })
    }

    /// How many commands wait, and the ids of some of them.
    pub fn waiting(&self, count_max: usize) -> (usize, Vec<Hash>) {
        let pool = self.pool();
        (pool.len(), pool.ids().take(count_max).collect())
    }

    /// Pieces of SNARK work that wait for a block.
    pub fn works(&self) -> usize {
        self.shared.works.load(Ordering::Relaxed)
    }

    /// How many commands of this payer the best chain has, and the nonce that the next one should have: as far as kept
    /// blocks and the pool tell. Nothing of a payer that is in none of them, unless all blocks are kept.
    pub fn nonces(&self, payer: &PublicKey) -> Option<(u32, u32)> {
        let pool = self.pool();
        let next = pool.next_nonce(payer)?;
        Some((pool.used(payer).unwrap_or(0), next))
    }
}

fn describe(tree: &Tree, node: &Node, bytes: Bytes, genesis: Hash) -> BlockView {
    let is_on_main = tree.is_on_main(node);
    BlockView {
        hash: node.hash,
        parent: (node.hash != genesis).then_some(node.parent),
        length: node.length,
        global_slot: node.global_slot(),
        timestamp: node.timestamp,
        creator: node.consensus.block_creator,
        is_on_main,
        is_final: is_on_main && node.length <= tree.root().length,
        transactions: node.spent.iter().map(|spent| spent.id).collect(),
        bytes,
    }
}
