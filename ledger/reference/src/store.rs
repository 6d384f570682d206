//! Opens the store, and keeps the snapshot that the ledger reads from.

use crate::config::OpenError;
use crate::parameters::Network;
use crate::tables::{Reading, Result, torn};
use crate::writing::{Counters, LAYOUT, Writing};
use polypeer_store::file::{Identity, LedgerFile};
pub(crate) use polypeer_store::file::{SharedDatabase, Source};
use redb::WriteTransaction;

/// The store.
pub(crate) struct Store {
    /// It goes before the file, whose pages it holds.
    reading: Option<Reading>,
    file: LedgerFile,
    /// What the last commit that came back left: it tells whether one that did not has come through all the same.
    pub(crate) acknowledged: Counters,
}

impl Store {
    /// Opens the store and founds the network in it when it is new.
    pub(crate) fn open(source: Source, cache_bytes: usize, network: &Network) -> Result<Self, OpenError> {
        let file = LedgerFile::open(source, cache_bytes)?;
        let store = Self { reading: None, file, acknowledged: Counters::default() };
        let identity = Identity { layout: LAYOUT, name: "genesis", network: &network.genesis_hash.0 };
        if store.file.is_new(&identity)? {
            store.found(network, &identity)?;
        }
        Ok(store)
    }

    fn found(&self, network: &Network, identity: &Identity<'_>) -> Result<()> {
        let transaction = self.begin()?;
        identity.write(&transaction)?;
        let mut tables = Writing::open(&transaction)?;
        tables.found(network)?;
        tables.finish()?;
        Ok(transaction.commit()?)
    }

    /// Whether damage was found in the file and taken back to the commit before it.
    pub(crate) fn was_repaired(&self) -> bool {
        self.file.was_repaired()
    }

    /// What readers on other threads look at.
    pub(crate) fn shared(&self) -> SharedDatabase {
        self.file.shared()
    }

    /// Begins what one durable commit will end.
    pub(crate) fn begin(&self) -> Result<WriteTransaction> {
        self.file.begin()
    }

    /// Whether nothing has shut it.
    pub(crate) fn is_open(&self) -> bool {
        self.file.is_open()
    }

    /// What was last committed.
    pub(crate) fn reading(&mut self) -> Result<&Reading> {
        if self.reading.is_none() {
            self.reading = Some(self.file.look(Reading::open)?);
        }
        self.reading.as_ref().ok_or_else(|| torn("a snapshot"))
    }

    /// Lets go of the snapshot, whose pages a commit could not use again.
    pub(crate) fn release(&mut self) {
        self.reading = None;
    }

    /// Shuts it after a failure. Returns whether trying again later makes sense.
    pub(crate) fn shut(&mut self) -> bool {
        self.reading = None;
        self.file.shut()
    }

    /// Opens it again to be read, since the disk is full. It stays shut, and false comes back, when a commit that failed
    /// shows in it.
    pub(crate) fn reopen(&mut self) -> Result<bool> {
        let acknowledged = &self.acknowledged;
        self.file.reopen(|database| Ok(Counters::load(database)? == *acknowledged))
    }

    /// Makes ready for writing again. False when the disk is still full.
    pub(crate) fn settle(&mut self) -> Result<bool> {
        self.file.settle()
    }
}
