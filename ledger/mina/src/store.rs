//! Opens the store, and writes what a batch changed with one durable commit.

use crate::config::OpenError;
use crate::node::Node;
use crate::tables::*;
use bytes::Bytes;
use polypeer_mina::ledger::Hash;
use polypeer_store::file::{Identity, LedgerFile, META};
pub(crate) use polypeer_store::file::{SharedDatabase, Source};
use redb::{Database, WriteTransaction};
use std::collections::BTreeMap;
use std::sync::Arc;

/// The layout's version; a file of another one is refused.
pub(crate) const LAYOUT: u64 = 1;

/// A block, and what of it stays in memory.
#[derive(Clone, Debug)]
pub(crate) struct Held {
    pub(crate) node: Arc<Node>,
    pub(crate) block: Bytes,
}

/// What one commit changes.
#[derive(Clone, Debug, Default)]
pub(crate) struct Changes {
    /// Blocks that are new, by their hash.
    pub(crate) put: BTreeMap<Hash, Held>,
    /// Blocks that are kept no longer.
    removed: BTreeMap<Hash, Arc<Node>>,
    /// Commands of the operator's that wait, or no longer.
    pub(crate) operator: BTreeMap<Hash, Option<Bytes>>,
}

impl Changes {
    pub(crate) fn is_empty(&self) -> bool {
        self.put.is_empty() && self.removed.is_empty() && self.operator.is_empty()
    }

    /// A block is kept.
    pub(crate) fn put(&mut self, held: Held) {
        let hash = held.node.hash;
        self.removed.remove(&hash);
        self.put.insert(hash, held);
    }

    /// Blocks are kept no longer.
    pub(crate) fn remove(&mut self, nodes: impl IntoIterator<Item = Arc<Node>>) {
        for node in nodes {
            // One that is new may be in the file all the same, from before it was removed in this batch.
            self.put.remove(&node.hash);
            self.removed.insert(node.hash, node);
        }
    }

    /// A block that came with it.
    pub(crate) fn block(&self, hash: &Hash) -> Option<&Bytes> {
        self.put.get(hash).map(|held| &held.block)
    }
}

/// The store.
pub(crate) struct Store {
    /// It goes before the file, whose pages it holds.
    reading: Option<Reading>,
    file: LedgerFile,
    /// What the last commit that came back left.
    pub(crate) mark: Mark,
}

impl Store {
    /// Opens the store. `network` tells it from those of other networks; `first` is what a new one begins with.
    pub(crate) fn open(
        source: Source,
        cache_bytes: usize,
        network: &Hash,
        first: (&Changes, Mark),
    ) -> Result<Self, OpenError> {
        let file = LedgerFile::open(source, cache_bytes)?;
        let identity = Identity { layout: LAYOUT, name: "rules", network: &network.0 };
        let is_new = file.is_new(&identity)?;
        let mut store = Self { reading: None, file, mark: Mark::default() };
        if is_new {
            store.write(first.0, first.1, Some(&identity))?;
        } else {
            store.mark = store.look(Mark::load)?;
        }
        Ok(store)
    }

    /// Whether damage was found in the file and taken back to the commit before it.
    pub(crate) fn was_repaired(&self) -> bool {
        self.file.was_repaired()
    }

    /// What readers on other threads look at.
    pub(crate) fn shared(&self) -> SharedDatabase {
        self.file.shared()
    }

    pub(crate) fn look<T>(&self, look: impl FnOnce(&Database) -> Result<T>) -> Result<T> {
        self.file.look(look)
    }

    /// Makes changes durable, all or none. The mark's count goes up by itself.
    pub(crate) fn commit(&mut self, changes: &Changes, mark: Mark) -> Result<()> {
        self.write(changes, mark, None)
    }

    fn write(&mut self, changes: &Changes, mark: Mark, identity: Option<&Identity<'_>>) -> Result<()> {
        // A snapshot would keep a commit from using its pages again.
        self.reading = None;
        let mark = Mark { commits: self.mark.commits + 1, ..mark };
        let transaction = self.file.begin()?;
        if let Some(identity) = identity {
            identity.write(&transaction)?;
        }
        transaction.open_table(META)?.insert(Mark::NAME, mark.encode().as_slice())?;
        write(&transaction, changes)?;
        transaction.commit()?;
        self.mark = mark;
        Ok(())
    }

    /// What was last committed.
    pub(crate) fn reading(&mut self) -> Result<&Reading> {
        if self.reading.is_none() {
            self.reading = Some(self.look(Reading::open)?);
        }
        self.reading.as_ref().ok_or(StoreError::PreviousIo)
    }

    /// Shuts it after a failure. Returns whether trying again later makes sense.
    pub(crate) fn shut(&mut self) -> bool {
        self.reading = None;
        self.file.shut()
    }

    /// Opens it again to be read, since the disk is full. It stays shut when a commit that failed shows in it.
    pub(crate) fn reopen(&mut self) -> Result<()> {
        let mark = &self.mark;
        self.file.reopen(|database| Ok(Mark::load(database)? == *mark)).map(drop)
    }

    /// Makes ready for writing again. False when the disk is still full.
    pub(crate) fn settle(&mut self) -> Result<bool> {
        self.file.settle()
    }

    /// Whether what is open is what the last commit that came back left. From now on it counts as that.
    pub(crate) fn is_as_acknowledged(&mut self) -> Result<bool> {
        let found = self.look(Mark::load)?;
        let is_same = found == self.mark;
        self.mark = found;
        Ok(is_same)
    }
}

// All tables exist from the first commit on, so that readers find them.
fn write(transaction: &WriteTransaction, changes: &Changes) -> Result<()> {
    let mut blocks = transaction.open_table(BLOCKS)?;
    let mut nodes = transaction.open_table(NODES)?;
    let mut commands = transaction.open_table(COMMANDS)?;
    for (hash, node) in &changes.removed {
        blocks.remove(&hash.0)?;
        nodes.remove(&hash.0)?;
        for spent in &node.spent {
            commands.remove((&spent.id.0, &hash.0))?;
        }
    }
    for (hash, held) in &changes.put {
        blocks.insert(&hash.0, &held.block[..])?;
        nodes.insert(&hash.0, &held.node.encode()[..])?;
        for spent in &held.node.spent {
            commands.insert((&spent.id.0, &hash.0), ())?;
        }
    }
    let mut operator = transaction.open_table(OPERATOR)?;
    for (id, command) in &changes.operator {
        match command {
            Some(command) => drop(operator.insert(&id.0, &command[..])?),
            None => drop(operator.remove(&id.0)?),
        }
    }
    Ok(())
}
