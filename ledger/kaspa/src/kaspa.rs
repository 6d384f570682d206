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
use crate::unsaved::{Shown, Unsaved};
use bytes::Bytes;
use polypeer_engine::kit::chain::{Hash, Origin};
use polypeer_engine::{Ledger, Now, Ticket, Time, To};
use polypeer_kaspa::ledger::{Answer, BlockOutcome, Import, Request};
use redb::{ReadableDatabase, StorageBackend};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};
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
        Self::open_source(Source::file_or_memory(config.path.clone()), config)
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
            shown: RwLock::new(Shown::new(&dag)),
            dag: RwLock::new(dag),
            mempool: RwLock::new(Mempool::new(limits.mempool_bytes)),
            ails: AtomicBool::new(false),
            bytes: AtomicU64::new(store.counters.bytes),
            bytes_max: limits.store_bytes,
        });
        let reader = Reader { shared: shared.clone(), database: store.shared() };
        let production = config.producer.map(Production::new);
        let staging = Staging::load(&store, &params).ok().flatten();
        let (invalid, health) = (Invalid::default(), Health::Sound);
        let ledger = Self { shared, store, invalid, staging, production, health };
        ledger.load_operators()?;
        Ok((ledger, reader))
    }

    /// Whether damage was found in the store when it was opened, and taken back to the commit before it.
    pub fn was_repaired(&self) -> bool {
        self.store.was_repaired()
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

    /// False when the store failed, and nothing was answered nor is left of the batch.
    fn try_turn(&mut self, now: Now, batch: &Batch<'_>, writes: bool, answers: &mut Vec<(To, Answer)>) -> bool {
        let shared = self.shared.clone();
        let mut dag = shared.dag.write().unwrap_or_else(PoisonError::into_inner);
        let mut mempool = shared.mempool.write().unwrap_or_else(PoisonError::into_inner);
        let mut shown = shared.shown.write().unwrap_or_else(PoisonError::into_inner);
        let count = dag.count();
        let counters = self.store.counters;
        let room = shared.bytes_max.saturating_sub(counters.bytes + counters.staged + shown.unsaved.bytes());
        let readings = self.store.readings().ok();
        let [reading, staged_reading] =
            [0, 1].map(|place: usize| readings.and_then(|readings| readings[place].as_ref()));
        let work = Work {
            dag: &mut dag,
            mempool: &mut mempool,
            invalid: &mut self.invalid,
            reading,
            fresh: Fresh::over(shown.unsaved.clone()),
            writes: Vec::new(),
            wrap: Write::Served,
            room: writes.then_some(room),
            operators: Vec::new(),
            now,
            is_broken: false,
        };
        let mut turn = Turn::new(work, &mut self.staging, staged_reading, counters.staged > 0);
        let mut ready = turn.run(batch);
        let Done { fresh, changes, operators, is_broken, replaced, rebased } = turn.done();
        // While nothing can be written nothing was taken, nor promised.
        let fate = if writes { Fate::of(batch, &changes, &shown.unsaved) } else { Fate::Nothing };
        let is_stored = !(is_broken && writes)
            && match fate {
                Fate::Nothing | Fate::PutOff => true,
                Fate::Staged => self.store.commit(&changes, None).is_ok(),
                Fate::Durable => {
                    let all = [shown.unsaved.writes(), &changes].concat();
                    all.is_empty() || self.store.commit(&all, None).is_ok()
                }
            };
        if is_stored {
            match fate {
                Fate::Nothing | Fate::Staged => {}
                Fate::PutOff => shown.put_off(fresh, changes, now.monotonic),
                Fate::Durable => *shown = Shown::new(&dag),
            }
            shared.bytes.store(self.store.counters.bytes, Ordering::Relaxed);
            if replaced.is_some() {
                mempool.forget_recent();
            }
            answers.append(&mut ready);
            answers.extend(operators.into_iter().map(|id| (To::Engine, Answer::NewTransaction { id })));
            return true;
        }
        match replaced {
            Some(before) => *dag = before,
            None => {
                if let Some(base) = rebased {
                    dag.set_base(base);
                }
                dag.truncate(count, &fresh.filled());
            }
        }
        operators.iter().for_each(|id| drop(mempool.remove(id)));
        mempool.put_back(&fresh.ids, fresh.confirmed);
        false
    }

    /// Makes durable what waits for it. It goes on waiting when the disk does not take it.
    fn save(&mut self, now: Now) {
        if self.health != Health::Sound {
            return;
        }
        // Nobody waits for a lock meanwhile: what is shown changes afterwards.
        let unsaved = self.shown().unsaved.clone();
        if unsaved.writes().is_empty() {
            return;
        }
        match self.store.commit(unsaved.writes(), None) {
            Ok(()) => self.show(),
            Err(_) => self.fail(now),
        }
    }

    /// Shows the DAG as it is, all of which is durable.
    fn show(&self) {
        let dag = self.shared.dag.read().unwrap_or_else(PoisonError::into_inner);
        *self.shared.shown.write().unwrap_or_else(PoisonError::into_inner) = Shown::new(&dag);
        self.shared.bytes.store(self.store.counters.bytes, Ordering::Relaxed);
    }

    fn shown(&self) -> RwLockReadGuard<'_, Shown> {
        self.shared.shown.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_due(&self, now: Now) -> bool {
        let shown = self.shown();
        shown.unsaved.is_full() || shown.unsaved.due().is_some_and(|due| due <= now.monotonic)
    }

    /// Shuts the store after a failure, and opens it again to be read if it can be trusted.
    fn fail(&mut self, now: Now) {
        // Not all that is staged is durable.
        self.staging = None;
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
        if !self.store.settle()? {
            return Ok(false);
        }
        if !self.store.is_as_acknowledged()? {
            // A commit that failed at its very end has come through after all, with all that waited for one.
            {
                let mut dag = self.shared.dag.write().unwrap_or_else(PoisonError::into_inner);
                *dag = Dag::load(&self.store, &dag.params)?;
                // It may be one that an import brought.
                self.shared.mempool.write().unwrap_or_else(PoisonError::into_inner).forget_recent();
                *self.shared.shown.write().unwrap_or_else(PoisonError::into_inner) = Shown::new(&dag);
            }
        }
        // What was being imported is as far as what is durable of it.
        self.staging = {
            let dag = self.shared.dag.read().unwrap_or_else(PoisonError::into_inner);
            Staging::load(&self.store, &dag.params).ok().flatten()
        };
        // Another commit makes sure of what is seen now.
        let unsaved = self.shown().unsaved.clone();
        self.store.commit(unsaved.writes(), None)?;
        self.show();
        Ok(true)
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

/// How a batch's changes become durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    /// There are none.
    Nothing,
    /// Peers have them, and bring them again after a crash: soon, and with what else came.
    PutOff,
    /// They belong to an import, which a crash forgets.
    Staged,
    /// Before anybody hears of them, with all that was put off.
    Durable,
}

impl Fate {
    fn of(batch: &Batch<'_>, changes: &[Write], unsaved: &Unsaved) -> Self {
        let is_promised = batch.own.is_some() || batch.requests.iter().any(|(_, request)| is_of_operator(request));
        if is_promised {
            // An answer to the operator also acknowledges what was here before.
            Self::Durable
        } else if changes.is_empty() {
            Self::Nothing
        } else if changes.iter().all(Write::is_staged) {
            // What is staged may name blocks that wait for their commit.
            if unsaved.writes().is_empty() { Self::Staged } else { Self::Durable }
        } else if changes.iter().all(|change| matches!(change, Write::Served(_) | Write::Drop(_))) {
            Self::PutOff
        } else {
            Self::Durable
        }
    }
}

fn is_of_operator(request: &Request) -> bool {
    matches!(request, Request::TakeTransactions { origin: Origin::Operator, .. })
}

fn is_finish(request: &Request) -> bool {
    matches!(request, Request::Import(Import::Finish))
}

/// What is worked through at once.
struct Batch<'b> {
    requests: &'b [(Ticket, Request)],
    /// A block that was made here.
    own: Option<&'b Bytes>,
}

impl Turn<'_> {
    /// The answers hold once the batch is committed, or put off.
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
        // What ends an import replaces the DAG, and stands alone: a failure then takes nothing else back.
        for requests in requests.chunk_by(|(_, one), (_, next)| !is_finish(one) && !is_finish(next)) {
            self.turn(now, &Batch { requests, own: None }, answers);
        }
        if self.shown().unsaved.is_full() {
            self.save(now);
        }
    }

    fn next_wake(&self, now: Now) -> Option<Time> {
        let mends = match self.health {
            Health::Full(until) => Some(until),
            Health::Sound | Health::Broken => None,
        };
        // While nothing can be stored nothing is produced nor saved, so that what is due wakes nobody.
        let is_sound = self.health == Health::Sound;
        let production = self.production.as_ref().filter(|_| is_sound);
        let saves = self.shown().unsaved.due().filter(|_| is_sound);
        [mends, saves, production.and_then(|production| production.next_wake(now))].into_iter().flatten().min()
    }

    fn wake(&mut self, now: Now, answers: &mut Vec<(To, Answer)>) {
        self.mend(now);
        self.produce(now, answers);
        if self.is_due(now) {
            self.save(now);
        }
    }
}

impl Drop for Kaspa {
    /// Saves what waits. Should the disk not take it peers bring it again, as after a crash.
    fn drop(&mut self) {
        let unsaved = self.shown().unsaved.clone();
        if self.health == Health::Sound && !unsaved.writes().is_empty() {
            let _ = self.store.commit(unsaved.writes(), None);
        }
    }
}

impl Kaspa {
    /// The network's first block.
    pub fn genesis(&self) -> Hash {
        self.shared.dag.read().unwrap_or_else(PoisonError::into_inner).params.genesis.hash
    }
}
