//! Opens the store, and writes a batch with one durable commit.

use crate::config::OpenError;
use crate::node::Number;
use crate::tables::*;
use bytes::Bytes;
use polypeer_engine::kit::chain::Hash;
use polypeer_store::file::{Identity, LedgerFile, META};
pub(crate) use polypeer_store::file::{SharedDatabase, Source};
use redb::{Database, Durability, WriteTransaction};

/// The layout's version; a file of another one is refused.
pub(crate) const LAYOUT: u64 = 2;

/// Commits of what is being imported of which only the last is made durable, and each in which a stage ends: a stage that
/// a crash breaks off comes anew anyway, and each commit that is not durable holds on to some pages until one is.
const STAGED_COMMITS_MAX: u32 = 32;

/// One change.
#[derive(Clone, Debug)]
pub(crate) enum Write {
    /// To the DAG that is served.
    Served(Change),
    /// To the one that is being imported.
    Staged(Change),
    /// Parts of what is being imported are forgotten, from one to another, which have so many bytes.
    Forget { parts: (u16, u16), bytes: u64 },
    /// What is being imported is forgotten.
    Clear,
    /// What was imported is served from now on, above this pruning point.
    Switch(Number),
    /// The DAG that is served has another pruning point from now on, with what was imported of it in the place of what
    /// was kept. So many bytes less are held than both were.
    Rebase { base: Number, freed: u64 },
    /// A transaction of the operator's waits.
    Keep(Hash, Bytes),
    /// It waits no longer.
    Drop(Hash),
}

impl Write {
    /// Whether it changes nothing of what is served.
    pub(crate) fn is_staged(&self) -> bool {
        matches!(self, Self::Staged(_) | Self::Forget { .. })
    }

    /// Whether a stage of an import ends with it.
    fn is_mark(&self) -> bool {
        matches!(self, Self::Staged(Change::Kept { part: crate::importing::MARKS, .. }))
    }
}

/// One change to a DAG.
#[derive(Clone, Debug)]
pub(crate) enum Change {
    Header { number: Number, header: Bytes, row: Vec<u8> },
    Body { number: Number, body: Bytes },
    Lost(Number),
    Kept { part: u16, place: u64, bytes: Bytes },
}

impl Change {
    /// Bytes that it adds, as the limit of the store counts them.
    pub(crate) fn bytes(&self) -> u64 {
        let bytes = match self {
            Self::Header { header, row, .. } => header.len() + row.len(),
            Self::Body { body, .. } => body.len(),
            Self::Kept { bytes, .. } => bytes.len(),
            Self::Lost(_) => 0,
        };
        bytes as u64
    }
}

impl Counters {
    /// What they are after this change.
    fn after(mut self, write: &Write) -> Self {
        match write {
            Write::Served(change) => self.bytes += change.bytes(),
            Write::Staged(change) => self.staged += change.bytes(),
            Write::Forget { bytes, .. } => self.staged = self.staged.saturating_sub(*bytes),
            Write::Clear => self.staged = 0,
            Write::Switch(base) => {
                (self.bytes, self.staged) = (self.staged, 0);
                (self.base, self.imports) = (u64::from(*base), self.imports + 1);
            }
            Write::Rebase { base, freed } => {
                self.bytes = (self.bytes + self.staged).saturating_sub(*freed);
                (self.base, self.staged) = (u64::from(*base), 0);
            }
            Write::Keep(..) | Write::Drop(_) => {}
        }
        self
    }
}

/// The store.
pub(crate) struct Store {
    /// Of what is served, and of what is being imported. They go before the file, whose pages they hold.
    readings: [Option<Reading>; 2],
    file: LedgerFile,
    /// What the last commit that came back left.
    pub(crate) counters: Counters,
    /// Commits since the last durable one.
    staged_commits: u32,
}

impl Store {
    /// Opens the store, and puts the network's first block into it when it is new.
    pub(crate) fn open(source: Source, cache_bytes: usize, rules: &Hash, first: &[Write]) -> Result<Self, OpenError> {
        let file = LedgerFile::open(source, cache_bytes)?;
        let identity = Identity { layout: LAYOUT, name: "rules", network: &rules.0 };
        let is_new = file.is_new(&identity)?;
        let mut store = Self { readings: Default::default(), file, counters: Counters::default(), staged_commits: 0 };
        if is_new {
            store.commit(first, Some(&identity))?;
        } else {
            store.counters = store.look(Counters::load)?;
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

    /// Makes changes durable, all or none. What is only staged becomes so with a later commit.
    pub(crate) fn commit(&mut self, writes: &[Write], identity: Option<&Identity<'_>>) -> Result<()> {
        // A snapshot would keep a commit from using its pages again.
        self.readings = Default::default();
        let is_staged = !writes.is_empty() && writes.iter().all(Write::is_staged);
        let may_wait = is_staged && !writes.iter().any(Write::is_mark);
        let staged_commits = if may_wait { (self.staged_commits + 1) % STAGED_COMMITS_MAX } else { 0 };
        // What nobody was promised is not counted.
        let next = Counters { commits: self.counters.commits + u64::from(!is_staged), ..self.counters };
        let counters = writes.iter().fold(next, Counters::after);
        let mut transaction = self.file.begin()?;
        if staged_commits > 0 {
            // What says which pages are in use is durable only with the next that is.
            transaction.set_quick_repair(false);
            transaction.set_durability(Durability::None)?;
        }
        if let Some(identity) = identity {
            identity.write(&transaction)?;
        }
        transaction.open_table(META)?.insert(Counters::NAME, counters.encode().as_slice())?;
        write(&transaction, writes, self.counters.served())?;
        transaction.commit()?;
        (self.counters, self.staged_commits) = (counters, staged_commits);
        Ok(())
    }

    /// What was last committed: of what is served, then of what is being imported.
    pub(crate) fn readings(&mut self) -> Result<&[Option<Reading>; 2]> {
        for (place, is_served) in [(0, true), (1, false)] {
            if self.readings[place].is_none() {
                self.readings[place] = Some(self.look(|database| Reading::open(database, is_served))?);
            }
        }
        Ok(&self.readings)
    }

    /// Shuts it after a failure. Returns whether trying again later makes sense.
    pub(crate) fn shut(&mut self) -> bool {
        self.readings = Default::default();
        self.file.shut()
    }

    /// Opens it again to be read, since the disk is full. It stays shut when a commit that failed shows in it.
    pub(crate) fn reopen(&mut self) -> Result<()> {
        let counters = &self.counters;
        self.file.reopen(|database| Ok(Counters::load(database)?.promises_as(counters))).map(drop)
    }

    /// Makes ready for writing again. False when the disk is still full.
    pub(crate) fn settle(&mut self) -> Result<bool> {
        self.file.settle()
    }

    /// Whether what is open is what the last commit that came back left. From now on it counts as that.
    pub(crate) fn is_as_acknowledged(&mut self) -> Result<bool> {
        let found = self.look(Counters::load)?;
        let is_same = found.promises_as(&self.counters);
        self.counters = found;
        Ok(is_same)
    }
}

/// Carries changes out, in their order, one run of the same kind after the other.
fn write(transaction: &WriteTransaction, writes: &[Write], mut served: usize) -> Result<()> {
    // All tables exist from the first commit on, so that readers find them.
    open(transaction)?;
    let is_same = |one: &Write, other: &Write| std::mem::discriminant(one) == std::mem::discriminant(other);
    for run in writes.chunk_by(is_same) {
        match &run[0] {
            Write::Served(_) => write_set(transaction, &SETS[served], run)?,
            Write::Staged(_) => write_set(transaction, &SETS[1 - served], run)?,
            Write::Forget { .. } => forget(transaction, &SETS[1 - served], run)?,
            Write::Clear => clear(transaction, &SETS[1 - served])?,
            Write::Switch(_) => {
                clear(transaction, &SETS[served])?;
                served = 1 - served;
            }
            Write::Rebase { .. } => {
                transaction.delete_table(SETS[served].kept)?;
                transaction.rename_table(SETS[1 - served].kept, SETS[served].kept)?;
                clear(transaction, &SETS[1 - served])?;
            }
            Write::Keep(..) | Write::Drop(_) => write_operator(transaction, run)?,
        }
    }
    Ok(())
}

fn forget(transaction: &WriteTransaction, set: &Set, writes: &[Write]) -> Result<()> {
    let mut kept = transaction.open_table(set.kept)?;
    for write in writes {
        if let Write::Forget { parts: (first, last), .. } = write {
            kept.retain_in((*first, 0)..=(*last, u64::MAX), |_, _| false)?;
        }
    }
    Ok(())
}

fn open(transaction: &WriteTransaction) -> Result<()> {
    for set in &SETS {
        transaction.open_table(set.headers)?;
        transaction.open_table(set.nodes)?;
        transaction.open_table(set.bodies)?;
        transaction.open_table(set.held)?;
        transaction.open_table(set.kept)?;
    }
    transaction.open_table(OPERATOR)?;
    Ok(())
}

fn clear(transaction: &WriteTransaction, set: &Set) -> Result<()> {
    transaction.delete_table(set.headers)?;
    transaction.delete_table(set.nodes)?;
    transaction.delete_table(set.bodies)?;
    transaction.delete_table(set.held)?;
    transaction.delete_table(set.kept)?;
    open(transaction)
}

fn write_set(transaction: &WriteTransaction, set: &Set, writes: &[Write]) -> Result<()> {
    let mut headers = transaction.open_table(set.headers)?;
    let mut nodes = transaction.open_table(set.nodes)?;
    let mut bodies = transaction.open_table(set.bodies)?;
    let mut held = transaction.open_table(set.held)?;
    let mut kept = transaction.open_table(set.kept)?;
    for write in writes {
        let (Write::Served(change) | Write::Staged(change)) = write else { continue };
        match change {
            Change::Header { number, header, row } => {
                headers.insert(u64::from(*number), &header[..])?;
                nodes.insert(u64::from(*number), &row[..])?;
            }
            Change::Body { number, body } => {
                bodies.insert(u64::from(*number), &body[..])?;
                held.insert(u64::from(*number), FULL)?;
            }
            Change::Lost(number) => {
                held.insert(u64::from(*number), INVALID)?;
            }
            Change::Kept { part, place, bytes } => {
                kept.insert((*part, *place), &bytes[..])?;
            }
        }
    }
    Ok(())
}

fn write_operator(transaction: &WriteTransaction, writes: &[Write]) -> Result<()> {
    let mut operator = transaction.open_table(OPERATOR)?;
    for write in writes {
        match write {
            Write::Keep(id, bytes) => drop(operator.insert(&id.0, &bytes[..])?),
            Write::Drop(id) => drop(operator.remove(&id.0)?),
            _ => {}
        }
    }
    Ok(())
}
