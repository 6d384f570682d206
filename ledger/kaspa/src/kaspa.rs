//! Runs the ledger: takes batches, wakes when something comes due, and survives a disk that does not.

use crate::config::{Config, OpenError};
use crate::dag::Dag;
use crate::founding::{first_writes, rules};
use crate::fresh::{Fresh, Invalid};
use crate::importing::{Done, Staging, Turn};
use crate::mempool::Mempool;
use crate::producer::Production;
use crate::reader::{Reader, Shared};
use crate::store::{Source, Store, Write};
use crate::tables::{OPERATOR, Result};
use crate::taking::Work;
use bytes::Bytes;
use polypeer_engine::kit::chain::{Hash, Origin};
use polypeer_engine::{Ledger, Now, Ticket, Time, To};
use polypeer_kaspa::ledger::{Answer, BlockOutcome, Request};
use redb::{ReadableDatabase, StorageBackend};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

/// How long nothing is written after the disk was full; space that comes back is used within this time.
const PAUSE: Duration = Duration::from_millis(500);

/// Whether the store can be written.
///
/// ```text
/// sound ──no space──► full(until) ──until──► sound, or full again
///   └───another error──► broken
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Health {
    Sound,
    /// The disk is full: nothing is written before this moment, and what needs no disk goes on.
    Full(Time),
    /// The disk refused what it had promised. Only a new start reads what it really holds.
    Broken,
}

/// A ledger of Kaspa. It belongs to one thread; see [`Reader`] for the others.
pub struct Kaspa {
    shared: Arc<Shared>,
    store: Store,
    invalid: Invalid,
    /// What is being imported.
    staging: Option<Staging>,
    production: Option<Production>,
    health: Health,
}

impl std::fmt::Debug for Kaspa {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Kaspa").field("health", &self.health).finish_non_exhaustive()
    }
}

impl Kaspa {
    /// Opens the ledger where it stopped, or founds its network.
    ///
    /// # Errors
    /// See [`OpenError`].
    pub fn open(config: Config) -> Result<(Self, Reader), OpenError> {
        let source = config.path.clone().map_or_else(Source::memory, Source::file);
        Self::open_source(source, config)
    }

    /// Opens the ledger on a storage of the caller's, such as the simulator's disk. [`Config::path`] is not used.
    ///
    /// # Errors
    /// See [`OpenError`].
    pub fn open_with_backend(storage: impl StorageBackend, config: Config) -> Result<(Self, Reader), OpenError> {
        Self::open_source(Source::storage(Arc::new(storage)), config)
    }

    fn open_source(source: Source, config: Config) -> Result<(Self, Reader), OpenError> {
        let (params, limits) = (config.params, config.limits);
        params.check()?;
        if config.producer.is_some() && !params.is_private() {
            return Err(OpenError::Public(params.network));
        }
        let store = Store::open(source, limits.cache_bytes, &rules(&params), &first_writes(&params))?;
        let dag = Dag::load(&store, &params)?;
        let shared = Arc::new(Shared {
            dag: RwLock::new(dag),
            mempool: RwLock::new(Mempool::new(limits.mempool_bytes)),
            ails: AtomicBool::new(false),
            bytes: AtomicU64::new(store.counters.bytes),
            bytes_max: limits.store_bytes,
        });
        let reader = Reader { shared: shared.clone(), database: store.shared() };
        let production = config.producer.map(Production::new);
        let (invalid, staging, health) = (Invalid::default(), None, Health::Sound);
        let ledger = Self { shared, store, invalid, staging, production, health };
        ledger.load_operators()?;
        Ok((ledger, reader))
    }

    /// Whether damage was found in the store when it was opened, and taken back to the commit before it.
    pub fn was_repaired(&self) -> bool {
        self.store.was_repaired
    }

    /// Lets the operator's stored transactions wait again.
    fn load_operators(&self) -> Result<()> {
        let stored: Vec<Bytes> = self.store.look(|database| {
            let snapshot = database.begin_read()?;
            let table = match snapshot.open_table(OPERATOR) {
                Err(redb::TableError::TableDoesNotExist(_)) => return Ok(Vec::new()),
                table => table?,
            };
            let rows = table.range::<&[u8; 32]>(..)?;
            rows.map(|row| Ok(Bytes::copy_from_slice(row?.1.value()))).collect()
        })?;
        let dag = self.shared.dag.read().unwrap_or_else(PoisonError::into_inner);
        let mut mempool = self.shared.mempool.write().unwrap_or_else(PoisonError::into_inner);
        for bytes in &stored {
            mempool.take(bytes, Origin::Operator, Time::ZERO, &dag.params);
        }
        Ok(())
    }

    /// Works through a batch and pushes its answers. When what it took cannot be stored, it is answered anew as a ledger
    /// that has no room does.
    fn turn(&mut self, now: Now, batch: &Batch<'_>, answers: &mut Vec<(To, Answer)>) {
        self.mend(now);
        let is_writable = self.health == Health::Sound;
        if !self.try_turn(now, batch, is_writable, answers) && is_writable {
            self.fail(now);
            self.try_turn(now, batch, false, answers);
        }
    }

    /// False when the store failed, and nothing was answered.
    fn try_turn(&mut self, now: Now, batch: &Batch<'_>, writes: bool, answers: &mut Vec<(To, Answer)>) -> bool {
        let shared = self.shared.clone();
        let mut dag = shared.dag.write().unwrap_or_else(PoisonError::into_inner);
        let mut mempool = shared.mempool.write().unwrap_or_else(PoisonError::into_inner);
        let count = dag.count();
        let counters = self.store.counters;
        let room = shared.bytes_max.saturating_sub(counters.bytes + counters.staged);
        let readings = self.store.readings().ok();
        let [reading, staged_reading] =
            [0, 1].map(|place: usize| readings.and_then(|readings| readings[place].as_ref()));
        let work = Work {
            dag: &mut dag,
            mempool: &mut mempool,
            invalid: &mut self.invalid,
            reading,
            fresh: Fresh::default(),
            writes: Vec::new(),
            wrap: Write::Served,
            room: writes.then_some(room),
            operators: Vec::new(),
            now,
            is_broken: false,
        };
        let mut turn = Turn::new(work, &mut self.staging, staged_reading, counters.staged > 0);
        let mut ready = turn.run(batch);
        let Done { fresh, changes, operators, is_broken, replaced } = turn.done();
        let is_stored = changes.is_empty() || writes && self.store.commit(&changes, None).is_ok();
        if is_stored && !(is_broken && writes) {
            shared.bytes.store(self.store.counters.bytes, Ordering::Relaxed);
            if replaced.is_some() {
                mempool.forget_recent();
            }
            answers.append(&mut ready);
            answers.extend(operators.into_iter().map(|id| (To::Engine, Answer::NewTransaction { id })));
            return true;
        }
        if !is_stored {
            self.staging = None;
            match replaced {
                Some(before) => *dag = before,
                None => dag.truncate(count, &fresh.filled()),
            }
            operators.iter().for_each(|id| drop(mempool.remove(id)));
            mempool.put_back(&fresh.ids, fresh.confirmed);
        }
        false
    }

    /// Shuts the store after a failure, and opens it again to be read if it can be trusted.
    fn fail(&mut self, now: Now) {
        let was_full = self.store.shut();
        self.set_health(if was_full { Health::Full(now.monotonic + PAUSE) } else { Health::Broken });
        if was_full && self.store.reopen().is_err() {
            let still_full = self.store.shut();
            self.set_health(if still_full { Health::Full(now.monotonic + PAUSE) } else { Health::Broken });
        }
    }

    /// Tries a disk again that was full.
    fn mend(&mut self, now: Now) {
        let Health::Full(until) = self.health else { return };
        if now.monotonic < until {
            return;
        }
        match self.settle() {
            Ok(true) => self.set_health(Health::Sound),
            Ok(false) => self.set_health(Health::Full(now.monotonic + PAUSE)),
            Err(_) => self.fail(now),
        }
    }

    fn settle(&mut self) -> Result<bool> {
        let has_room = self.store.settle()?;
        if has_room && !self.store.is_as_acknowledged()? {
            // A commit that failed at its very end has come through after all.
            let mut dag = self.shared.dag.write().unwrap_or_else(PoisonError::into_inner);
            *dag = Dag::load(&self.store, &dag.params)?;
            // It may be one that an import brought.
            self.shared.mempool.write().unwrap_or_else(PoisonError::into_inner).forget_recent();
            self.shared.bytes.store(self.store.counters.bytes, Ordering::Relaxed);
            self.staging = None;
        }
        if has_room {
            // Another commit makes sure of what is seen now.
            self.store.commit(&[], None)?;
        }
        Ok(has_room)
    }

    fn set_health(&mut self, health: Health) {
        self.health = health;
        self.shared.ails.store(health != Health::Sound, Ordering::Relaxed);
    }

    /// Makes the next block, and takes it.
    fn produce(&mut self, now: Now, answers: &mut Vec<(To, Answer)>) {
        let Some(production) = &mut self.production else { return };
        if self.health != Health::Sound || !production.is_due(now) {
            return;
        }
        let made = {
            let dag = self.shared.dag.read().unwrap_or_else(PoisonError::into_inner);
            let mempool = self.shared.mempool.read().unwrap_or_else(PoisonError::into_inner);
            production.make(now, &dag, &mempool)
        };
        let Some(block) = made else { return };
        production.draw(now);
        self.turn(now, &Batch { requests: &[], own: Some(&block) }, answers);
    }
}

/// What is worked through at once.
struct Batch<'b> {
    requests: &'b [(Ticket, Request)],
    /// A block that was made here.
    own: Option<&'b Bytes>,
}

impl Turn<'_> {
    /// The answers hold once the batch is committed.
    fn run(&mut self, batch: &Batch<'_>) -> Vec<(To, Answer)> {
        let mut answers = Vec::with_capacity(batch.requests.len());
        if let Some((hash, BlockOutcome::Accepted)) = batch.own.map(|block| self.work.take_block(block)) {
            answers.push((To::Engine, Answer::NewBlock { hash, state: self.work.state() }));
        }
        for (ticket, request) in batch.requests {
            answers.extend(self.answer(request).map(|answer| (To::Asker(*ticket), answer)));
        }
        answers
    }
}

impl Ledger for Kaspa {
    type Request = Request;
    type Answer = Answer;

    fn answer(&mut self, now: Now, requests: Vec<(Ticket, Request)>, answers: &mut Vec<(To, Answer)>) {
        if let Some(production) = &mut self.production {
            for (_, request) in &requests {
                match request {
                    Request::CatchingUp(catches_up) => production.catch_up(*catches_up, now),
                    Request::MeetsFullNodes(meets) => production.meet_full_nodes(*meets, now),
                    _ => {}
                }
            }
        }
        self.turn(now, &Batch { requests: &requests, own: None }, answers);
    }

    fn next_wake(&self, now: Now) -> Option<Time> {
        let mends = match self.health {
            Health::Full(until) => Some(until),
            Health::Sound | Health::Broken => None,
        };
        // While nothing can be stored nothing is produced, so that a block that is due wakes nobody.
        let production = self.production.as_ref().filter(|_| self.health == Health::Sound);
        [mends, production.and_then(|production| production.next_wake(now))].into_iter().flatten().min()
    }

    fn wake(&mut self, now: Now, answers: &mut Vec<(To, Answer)>) {
        self.mend(now);
        self.produce(now, answers);
    }
}

impl Kaspa {
    /// The network's first block.
    pub fn genesis(&self) -> Hash {
        self.shared.dag.read().unwrap_or_else(PoisonError::into_inner).params.genesis.hash
    }
}
