//! Names the store's tables, and reads them.

use crate::node::Node;
use bytes::Bytes;
use polypeer_mina::ledger::Hash;
use polypeer_store::file::META;
use redb::{Database, ReadOnlyTable, ReadTransaction, ReadableDatabase, TableDefinition};

pub(crate) type StoreError = redb::Error;
pub(crate) type Result<T, E = StoreError> = std::result::Result<T, E>;

/// A block by its state hash.
pub(crate) const BLOCKS: TableDefinition<'_, &[u8; 32], &[u8]> = TableDefinition::new("blocks");
/// What of a block stays in memory, by its state hash: see [`Node::encode`].
pub(crate) const NODES: TableDefinition<'_, &[u8; 32], &[u8]> = TableDefinition::new("nodes");
/// A command's id and the state hash of a block that has it.
pub(crate) const COMMANDS: TableDefinition<'_, (&[u8; 32], &[u8; 32]), ()> = TableDefinition::new("commands");
/// Commands of the operator's that wait, by their id.
pub(crate) const OPERATOR: TableDefinition<'_, &[u8; 32], &[u8]> = TableDefinition::new("operator");

/// What the last commit left.
pub(crate) struct Reading {
    blocks: ReadOnlyTable<&'static [u8; 32], &'static [u8]>,
    commands: ReadOnlyTable<(&'static [u8; 32], &'static [u8; 32]), ()>,
    // The tables' pages stay as long as it lives.
    _snapshot: ReadTransaction,
}

impl Reading {
    pub(crate) fn open(database: &Database) -> Result<Self> {
        let snapshot = database.begin_read()?;
        let (blocks, commands) = (snapshot.open_table(BLOCKS)?, snapshot.open_table(COMMANDS)?);
        Ok(Self { blocks, commands, _snapshot: snapshot })
    }

    pub(crate) fn block(&self, hash: &Hash) -> Result<Option<Bytes>> {
        Ok(self.blocks.get(&hash.0)?.map(|row| Bytes::copy_from_slice(row.value())))
    }

    /// The blocks that have this command.
    pub(crate) fn blocks_with(&self, id: &Hash) -> Result<Vec<Hash>> {
        let rows = self.commands.range((&id.0, &[0; 32])..=(&id.0, &[0xff; 32]))?;
        rows.map(|row| Ok(Hash(*row?.0.value().1))).collect()
    }
}

/// All that stays in memory of the blocks.
pub(crate) fn nodes(database: &Database) -> Result<Vec<Node>> {
    let table = database.begin_read()?.open_table(NODES)?;
    let rows = table.range::<&[u8; 32]>(..)?;
    rows.map(|row| {
        let (hash, row) = row?;
        Node::decode(Hash(*hash.value()), row.value()).ok_or_else(|| torn("what is known of a block"))
    })
    .collect()
}

/// The operator's commands that wait.
pub(crate) fn operators(database: &Database) -> Result<Vec<Bytes>> {
    let table = database.begin_read()?.open_table(OPERATOR)?;
    let rows = table.range::<&[u8; 32]>(..)?;
    rows.map(|row| Ok(Bytes::copy_from_slice(row?.1.value()))).collect()
}

/// Where the last commit left the blocks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Mark {
    /// Commits so far: it tells whether one that did not come back has come through all the same.
    pub(crate) commits: u64,
    /// The oldest block that is kept, and the end of the best chain; nothing while there is no block.
    pub(crate) served: Option<(Hash, Hash)>,
    /// The same of a chain that is being fetched.
    pub(crate) fetched: Option<(Hash, Hash)>,
}

impl Mark {
    pub(crate) const NAME: &str = "mark";

    pub(crate) fn load(database: &Database) -> Result<Self> {
        let meta = database.begin_read()?.open_table(META)?;
        let row = meta.get(Self::NAME)?.ok_or_else(|| torn("where the chain ends"))?;
        Self::decode(row.value()).ok_or_else(|| torn("where the chain ends"))
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut bytes = self.commits.to_be_bytes().to_vec();
        for ends in [self.served, self.fetched] {
            bytes.push(u8::from(ends.is_some()));
            let (base, tip) = ends.unwrap_or_default();
            bytes.extend([base.0, tip.0].concat());
        }
        bytes
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let (commits, mut rest) = bytes.split_first_chunk()?;
        let mut ends = || {
            let (is_there, left) = rest.split_first()?;
            let (base, left) = left.split_first_chunk()?;
            let (tip, left) = left.split_first_chunk()?;
            rest = left;
            Some((*is_there == 1).then_some((Hash(*base), Hash(*tip))))
        };
        let (served, fetched) = (ends()?, ends()?);
        rest.is_empty().then_some(Self { commits: u64::from_be_bytes(*commits), served, fetched })
    }
}

pub(crate) fn torn(what: &str) -> StoreError {
    StoreError::Corrupted(format!("{what} is missing or cannot be read"))
}
