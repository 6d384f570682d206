//! Opens the store, and writes what is pending with one durable commit.

use crate::config::OpenError;
use crate::pending::Pending;
use crate::tables::*;
use polypeer_bumo::hash::Hash;
use polypeer_store::file::{Identity, LedgerFile, META};
pub(crate) use polypeer_store::file::{SharedDatabase, Source};
use redb::{Database, WriteTransaction};
use std::sync::Arc;
use std::thread::{self, JoinHandle};

/// The layout's version; a file of another one is refused.
pub(crate) const LAYOUT: u64 = 1;

/// The store.
pub(crate) struct Store {
    /// It goes before the file, whose pages it holds.
    reading: Option<Reading>,
    file: LedgerFile,
    /// What the last commit that came back left.
    pub(crate) tip: Tip,
}

impl Store {
    /// Opens the store, and puts the network's first ledger into it when it is new.
    pub(crate) fn open(source: Source, cache_bytes: usize, rules: &Hash, first: &Pending) -> Result<Self, OpenError> {
        let file = LedgerFile::open(source, cache_bytes)?;
        let identity = Identity { layout: LAYOUT, name: "rules", network: &rules.0 };
        let is_new = file.is_new(&identity)?;
        let mut store = Self { reading: None, file, tip: Tip::default() };
        if is_new {
            store.write(first, &Tip { number: 1, ..Tip::default() }, Some(&identity))?;
        } else {
            store.tip = store.look(Tip::load)?;
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

    /// Makes what is pending durable, all or none.
    pub(crate) fn commit(&mut self, pending: &Pending, tip: &Tip) -> Result<()> {
        self.write(pending, tip, None)
    }

    fn write(&mut self, pending: &Pending, tip: &Tip, identity: Option<&Identity<'_>>) -> Result<()> {
        // A snapshot would keep a commit from using its pages again.
        self.reading = None;
        let transaction = self.file.begin()?;
        if let Some(identity) = identity {
            identity.write(&transaction)?;
        }
        fill(transaction, pending, tip)?;
        self.tip = tip.clone();
        Ok(())
    }

    /// Begins to make rows durable on a thread of its own, all or none. Until it has come back well, and
    /// [`Store::written`] was told, what is read here is from before.
    pub(crate) fn begin(&self, pending: Arc<Pending>, tip: Tip) -> Result<JoinHandle<Result<()>>> {
        let transaction = self.file.begin()?;
        let body = move || fill(transaction, &pending, &tip);
        Ok(thread::Builder::new().name("bumo store".into()).spawn(body)?)
    }

    /// That thread has come back well.
    pub(crate) fn written(&mut self, tip: Tip) {
        self.reading = None;
        self.tip = tip;
    }

    /// What was last committed.
    pub(crate) fn reading(&mut self) -> Result<&Reading> {
        if self.reading.is_none() {
            self.reading = Some(self.look(Reading::open)?);
        }
        self.reading.as_ref().ok_or(StoreError::PreviousIo)
    }

    /// The same, if it was read before.
    pub(crate) fn ready(&self) -> Option<&Reading> {
        self.reading.as_ref()
    }

    /// Shuts it after a failure. Returns whether trying again later makes sense.
    pub(crate) fn shut(&mut self) -> bool {
        self.reading = None;
        self.file.shut()
    }

    /// Opens it again to be read, since the disk is full. It stays shut when a commit that failed shows in it.
    pub(crate) fn reopen(&mut self) -> Result<()> {
        let tip = &self.tip;
        self.file.reopen(|database| Ok(Tip::load(database)? == *tip)).map(drop)
    }

    /// Makes ready for writing again. False when the disk is still full.
    pub(crate) fn settle(&mut self) -> Result<bool> {
        self.file.settle()
    }
}

fn fill(transaction: WriteTransaction, pending: &Pending, tip: &Tip) -> Result<()> {
    transaction.open_table(META)?.insert(Tip::NAME, tip.encode().as_slice())?;
    write_chain(&transaction, pending)?;
    write_state(&transaction, pending)?;
    Ok(transaction.commit()?)
}

/// Values, headers, and what became of transactions. All tables exist from the first commit on.
fn write_chain(transaction: &WriteTransaction, pending: &Pending) -> Result<()> {
    let mut values = transaction.open_table(VALUES)?;
    for (number, value) in &pending.values {
        values.insert(number, &value[..])?;
    }
    let mut headers = transaction.open_table(HEADERS)?;
    let mut numbers = transaction.open_table(NUMBERS)?;
    for (number, header) in &pending.headers {
        headers.insert(number, &header.encode()[..])?;
        if let Some(hash) = header.hash {
            numbers.insert(&hash.0, number)?;
        }
    }
    let mut transactions = transaction.open_table(TRANSACTIONS)?;
    for (id, outcome) in &pending.outcomes {
        transactions.insert(&id.0, &outcome.encode()[..])?;
    }
    let mut operator = transaction.open_table(OPERATOR)?;
    for (id, envelope) in &pending.operator {
        match envelope {
            Some(envelope) => drop(operator.insert(&id.0, &envelope[..])?),
            None => drop(operator.remove(&id.0)?),
        }
    }
    Ok(())
}

fn write_state(transaction: &WriteTransaction, pending: &Pending) -> Result<()> {
    let mut accounts = transaction.open_table(ACCOUNTS)?;
    for (key, account) in pending.accounts() {
        accounts.insert(key, &account[..])?;
    }
    let mut nodes = transaction.open_table(NODES)?;
    for (location, node) in pending.nodes() {
        nodes.insert(&location[..], &node[..])?;
    }
    let mut metadata = transaction.open_table(METADATA)?;
    for ((key, name), entry) in &pending.metadata {
        metadata.insert((key, name.as_str()), &entry[..])?;
    }
    let mut sets = transaction.open_table(SETS)?;
    for (hash, set) in &pending.sets {
        sets.insert(&hash.0, &set[..])?;
    }
    Ok(())
}
