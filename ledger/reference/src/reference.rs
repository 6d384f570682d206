//! Runs the ledger: takes batches, wakes when something comes due, and survives a disk that does not.

use crate::batch::{Batch, Work, answer_reading, refusal};
use crate::chain::{Chain, Changes, End};
use crate::held::Held;
use crate::judge::{Judged, judge, judge_block};
use crate::mempool::{Mempool, Offer, Waiting};
use crate::parameters::{Network, NetworkParameters, ParametersError};
use crate::producer::{Ground, Producer, Production};
use crate::reader::{Reader, Shared};
use crate::requests::{Desk, answer_without_store, copy};
use crate::store::{Source, Store};
use crate::tables::{Look, Result, StoreError};
use crate::transaction::{Transaction, id};
use crate::validate::Examined;
use crate::writing::Writing;
use polypeer_engine::kit::chain::{Answer, Hash, Request, TransactionFault, TransactionOutcome};
use polypeer_engine::{Ledger, Now, Ticket, Time, To};
use redb::StorageBackend;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;
use thiserror::Error;

/// How long nothing is written after the disk was full; space that comes back is used within this time.
const PAUSE: Duration = Duration::from_millis(500);

/// How much the ledger may keep.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The store's page cache, in bytes. It fills with use; too small a cache reads the file again and again.
    pub cache_bytes: usize,
    /// The least fee that the mempool takes. Blocks may hold less.
    pub fee_min: u64,
    /// Bytes of waiting transactions. One of 153 bytes takes up about three times as much memory.
    pub mempool_bytes: usize,
    /// Bytes of blocks off the main chain. The branch with most work may exceed them while it is being collected.
    pub side_bytes: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { cache_bytes: 32 << 20, fee_min: 1, mempool_bytes: 64 << 20, side_bytes: 256 << 20 }
    }
}

/// What a ledger is opened with.
#[derive(Clone, Debug)]
pub struct Config {
    /// The store's file, made when missing; its folder must exist. None keeps everything in memory.
    pub path: Option<PathBuf>,
    /// The network.
    pub network: NetworkParameters,
    /// Who produces blocks, if anyone.
    pub producer: Option<Producer>,
    /// How much is kept.
    pub limits: Limits,
}

impl Config {
    /// A ledger in memory that produces nothing.
    pub fn in_memory(network: NetworkParameters) -> Self {
        Self { path: None, network, producer: None, limits: Limits::default() }
    }
}

/// Why a ledger cannot be opened.
#[derive(Debug, Error)]
pub enum OpenError {
    /// The network's parameters are out of range.
    #[error(transparent)]
    Parameters(#[from] ParametersError),
    /// The file was written with a layout that this version does not read.
    #[error("the store has layout {found}, and this version reads layout {expected}", expected = crate::writing::LAYOUT)]
    Layout {
        /// The file's layout.
        found: u64,
    },
    /// The file holds another network's chain.
    #[error("the store holds another network's chain")]
    OtherNetwork,
    /// The file cannot be opened, is in use, or is damaged.
    #[error("the store cannot be opened: {0}")]
    Store(Box<redb::Error>),
}

impl From<StoreError> for OpenError {
    fn from(error: StoreError) -> Self {
        Self::Store(Box::new(error))
    }
}

/// Whether the store can be written.
///
/// ```text
/// sound ──no space──► full(until) ──until──► sound
///   └───another error──► broken
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Health {
    Sound,
    /// The disk is full: nothing is written before this moment.
    Full(Time),
    /// The disk refused what it had promised. Only a new start reads what it really holds.
    Broken,
}

/// The reference ledger. It belongs to one thread; see [`Reader`] for the others.
pub struct Reference {
    shared: Arc<Shared>,
    store: Store,
    end: End,
    /// The tip that the engine was last told of.
    told: Hash,
    /// What left the mempool in batches whose commit failed, until the store is open again.
    displaced: Vec<Waiting>,
    held: Held,
    production: Option<Production>,
    side_bytes_max: u64,
    health: Health,
}

impl std::fmt::Debug for Reference {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reference").field("end", &self.end).field("health", &self.health).finish_non_exhaustive()
    }
}

impl Reference {
    /// Opens the ledger where it stopped, or founds its network.
    ///
    /// # Errors
    /// See [`OpenError`].
    pub fn open(config: Config) -> Result<(Self, Reader), OpenError> {
        let source = config.path.clone().map_or_else(Source::memory, Source::File);
        Self::open_source(source, config)
    }

    /// Opens the ledger on a storage of the caller's, such as the simulator's disk. [`Config::path`] is not used.
    ///
    /// # Errors
    /// See [`OpenError`].
    pub fn open_with_backend(storage: impl StorageBackend, config: Config) -> Result<(Self, Reader), OpenError> {
        Self::open_source(Source::Storage(Arc::new(storage)), config)
    }

    fn open_source(source: Source, config: Config) -> Result<(Self, Reader), OpenError> {
        let network = config.network.build()?;
        let limits = config.limits;
        let mut store = Store::open(source, limits.cache_bytes, &network)?;
        let end = {
            let reading = store.reading()?;
            End::load(reading, reading.top()?)?
        };
        let shared = Arc::new(Shared {
            tip: RwLock::new(end.tip(&network)),
            mempool: RwLock::new(Mempool::new(limits.fee_min, limits.mempool_bytes)),
            ails: AtomicBool::new(false),
            network,
        });
        let reader = Reader { shared: shared.clone(), database: store.shared() };
        let production = config.producer.map(Production::new);
        let side_bytes_max = limits.side_bytes;
        let (told, held, health) = (end.hash, Held::default(), Health::Sound);
        let displaced = Vec::new();
        let mut ledger = Self { shared, store, end, told, displaced, held, production, side_bytes_max, health };
        ledger.load_operators(false)?;
        Ok((ledger, reader))
    }

    /// Lets the operator's stored transactions wait again, and forgets those that are not valid any more. `commits`
    /// asks for a durable commit in any case.
    fn load_operators(&mut self, commits: bool) -> Result<()> {
        self.store.release();
        let transaction = self.store.begin()?;
        let mut tables = Writing::open(&transaction)?;
        let mut mempool = self.shared.mempool.write().unwrap_or_else(PoisonError::into_inner);
        for (place, bytes) in tables.operators()? {
            let id = id(&bytes);
            let taken = match Transaction::read(&bytes) {
                Ok(transaction) => {
                    let sender = tables.account(&transaction.sender)?;
                    let recipient = tables.account(&transaction.recipient)?;
                    let operator = Some(place);
                    mempool.offer(&Offer { id, bytes: &bytes, transaction, sender, recipient, operator })
                }
                Err(fault) => TransactionOutcome::NeverValid(fault),
            };
            let stays = matches!(
                taken,
                TransactionOutcome::Accepted
                    | TransactionOutcome::Known
                    | TransactionOutcome::NotNow(TransactionFault::NoRoom)
            );
            if !stays {
                tables.retire_operator(place, &id)?;
            }
        }
        drop(mempool);
        if tables.finish()? || commits {
            transaction.commit()?;
        } else {
            transaction.abort()?;
        }
        Ok(())
    }

    fn network(&self) -> &Network {
        &self.shared.network
    }

    /// Takes held blocks whose time has come.
    fn due_blocks(&mut self, now: Now) -> Vec<Examined> {
        let due = self.held.take_due(now.unix_ms);
        let mempool = self.shared.mempool();
        due.iter().map(|bytes| judge_block(self.network(), &mempool, self.end.hash, bytes)).collect()
    }

    /// Keeps blocks whose time had come but for which there was no room.
    fn hold_again(&mut self, now: Now, batch: &Batch) {
        for block in &batch.own {
            if let Examined::Block(block) = block {
                self.held.put(block, now.after(PAUSE).unix_ms);
            }
        }
    }

    /// Works through a batch and pushes its answers. True when what it wrote is durable.
    fn turn(&mut self, now: Now, batch: &Batch, answers: &mut Vec<(To, Answer)>) -> bool {
        self.mend(now);
        let done = self.health == Health::Sound && batch.writes() && self.write(now, batch, answers);
        if !done && !self.read(now, batch, answers) {
            self.answer_blind(batch, answers);
        }
        self.announce(answers);
        done
    }

    /// Tells the engine of a new tip.
    fn announce(&mut self, answers: &mut Vec<(To, Answer)>) {
        if self.told == self.end.hash {
            return;
        }
        let (tip, number) = (self.end.tip(self.network()), self.end.number);
        // When it cannot be read, the next batch tells.
        if let Ok(block) = self.store.reading().and_then(|reading| reading.block(number)) {
            self.told = tip.hash;
            let place = answers.iter().position(|(to, _)| *to == To::Engine).unwrap_or(answers.len());
            answers.insert(place, (To::Engine, Answer::NewTip { tip, block }));
        }
    }

    fn write(&mut self, now: Now, batch: &Batch, answers: &mut Vec<(To, Answer)>) -> bool {
        let worked = self.work(now, batch, answers);
        if worked.is_err() {
            self.fail(now);
        }
        worked.is_ok()
    }

    fn work(&mut self, now: Now, batch: &Batch, answers: &mut Vec<(To, Answer)>) -> Result<()> {
        self.store.release();
        let shared = self.shared.clone();
        let transaction = self.store.begin()?;
        let (mut ready, end, news, changed) = {
            let chain = Chain {
                network: &shared.network,
                tables: Writing::open(&transaction)?,
                end: self.end.clone(),
                changes: Changes::default(),
                side_bytes_max: self.side_bytes_max,
            };
            let now_ms = now.unix_ms;
            let mut work = Work { shared: &shared, chain, held: &mut self.held, now_ms, news: Vec::new() };
            let ready = work.run(batch)?;
            let Work { chain: Chain { tables, end, .. }, news, .. } = work;
            (ready, end, news, tables.finish()?)
        };
        if changed {
            transaction.commit()?;
        } else {
            transaction.abort()?;
        }
        answers.append(&mut ready);
        self.conclude(end, &news, answers);
        Ok(())
    }

    /// Makes known what has just become durable.
    fn conclude(&mut self, end: End, news: &[Hash], answers: &mut Vec<(To, Answer)>) {
        self.set_end(end);
        self.shared.mempool.write().unwrap_or_else(PoisonError::into_inner).commit();
        self.shared.ails.store(false, Ordering::Relaxed);
        let mempool = self.shared.mempool();
        let waiting = news.iter().filter_map(|id| mempool.get(id));
        answers.extend(waiting.map(|waiting| {
            let transaction = copy(&waiting.bytes);
            (To::Engine, Answer::NewTransaction { id: waiting.id, transaction })
        }));
    }

    fn set_end(&mut self, end: End) {
        self.end = end;
        let tip = self.end.tip(self.network());
        *self.shared.tip.write().unwrap_or_else(PoisonError::into_inner) = tip;
    }

    fn read(&mut self, now: Now, batch: &Batch, answers: &mut Vec<(To, Answer)>) -> bool {
        if !self.store.is_open() {
            return false;
        }
        let (shared, end, held) = (&self.shared, &self.end, &self.held);
        let read = self.store.reading().and_then(|look| answer_reading(&Desk { shared, look, end, held }, batch));
        match read {
            Ok(mut read) => {
                answers.append(&mut read);
                true
            }
            Err(_) => {
                self.fail(now);
                false
            }
        }
    }

    /// Answers while the store is shut.
    fn answer_blind(&self, batch: &Batch, answers: &mut Vec<(To, Answer)>) {
        let tip = self.end.tip(self.network());
        let mempool = self.shared.mempool();
        for (ticket, request, judged) in batch.entries() {
            let answer = match judged {
                Judged::Block(block) => {
                    let hash = block.hash(self.network());
                    Some(Answer::BlockTaken { hash, outcome: refusal(block) })
                }
                Judged::Transactions(list) => {
                    let outcome = |it: &crate::judge::Judgement| match it.verdict {
                        Err(fault) => TransactionOutcome::NeverValid(fault),
                        Ok(_) if mempool.contains(&it.id) => TransactionOutcome::Known,
                        Ok(_) => TransactionOutcome::NotNow(TransactionFault::NoRoom),
                    };
                    Some(Answer::TransactionsTaken(list.iter().map(|it| (it.id, outcome(it))).collect()))
                }
                Judged::Plain => answer_without_store(tip, &mempool, request),
            };
            answers.extend(answer.map(|answer| (To::Asker(ticket), answer)));
        }
    }

    /// Shuts the store after a failure, and opens it again if it can be trusted.
    fn fail(&mut self, now: Now) {
        self.shared.ails.store(true, Ordering::Relaxed);
        if self.shut(now) {
            self.reopen(now);
        }
    }

    /// Shuts the store. True when it can be opened again.
    fn shut(&mut self, now: Now) -> bool {
        let was_full = self.store.shut();
        self.displaced.extend(self.shared.mempool.write().unwrap_or_else(PoisonError::into_inner).roll_back());
        self.health = if was_full { Health::Full(now.monotonic + PAUSE) } else { Health::Broken };
        was_full
    }

    /// Tries a disk again that was full.
    fn mend(&mut self, now: Now) {
        let Health::Full(until) = self.health else { return };
        if now.monotonic >= until && (self.store.is_open() || self.reopen(now)) {
            self.health = Health::Sound;
        }
    }

    /// Opens the store again and makes what is in memory what the store holds.
    fn reopen(&mut self, now: Now) -> bool {
        let restored = self.store.reopen().and_then(|()| self.restore());
        if restored.is_err() {
            self.shut(now);
        }
        restored.is_ok()
    }

    fn restore(&mut self) -> Result<()> {
        let shared = self.shared.clone();
        // A commit that failed at its very end may have come through. Another one makes sure of what is seen now.
        self.load_operators(true)?;
        let reading = self.store.reading()?;
        let end = End::load(reading, reading.top()?)?;
        let mut mempool = shared.mempool.write().unwrap_or_else(PoisonError::into_inner);
        for key in mempool.sender_keys() {
            let account = reading.account(&key)?;
            mempool.settle(&key, account);
        }
        for waiting in self.displaced.drain(..) {
            let Ok(transaction) = Transaction::read(&waiting.bytes) else { continue };
            let (sender, recipient) = (reading.account(&transaction.sender)?, reading.account(&transaction.recipient)?);
            let (id, bytes, operator) = (waiting.id, &waiting.bytes, waiting.operator);
            mempool.offer(&Offer { id, bytes, transaction, sender, recipient, operator });
        }
        mempool.commit();
        drop(mempool);
        self.set_end(end);
        Ok(())
    }

    /// Searches for the next block, and takes it when there is one.
    fn produce(&mut self, now: Now, answers: &mut Vec<(To, Answer)>) {
        let Some(production) = &mut self.production else { return };
        if !production.is_due(now) {
            return;
        }
        let found = {
            let mempool = self.shared.mempool();
            let (network, end) = (&self.shared.network, &self.end);
            self.store
                .reading()
                .and_then(|look| production.search(now, &Ground { network, look, end, mempool: &mempool }))
        };
        let taken = match found {
            Ok(None) => true,
            Ok(Some(bytes)) => {
                let block = {
                    let mempool = self.shared.mempool();
                    judge_block(self.network(), &mempool, self.end.hash, &bytes.into())
                };
                let batch = Batch { requests: Vec::new(), judged: Vec::new(), own: vec![block] };
                self.turn(now, &batch, answers)
            }
            Err(_) => {
                self.fail(now);
                false
            }
        };
        if !taken && let Some(production) = &mut self.production {
            production.skip(now);
        }
    }
}

impl Ledger for Reference {
    type Request = Request;
    type Answer = Answer;

    fn answer(&mut self, now: Now, requests: Vec<(Ticket, Request)>, answers: &mut Vec<(To, Answer)>) {
        for (_, request) in &requests {
            if let (Request::CatchingUp(catching_up), Some(production)) = (request, &mut self.production) {
                production.set_paused(*catching_up, now);
            }
        }
        let judged = {
            let mempool = self.shared.mempool();
            judge(self.network(), &mempool, self.end.hash, requests.iter().map(|(_, request)| request))
        };
        let batch = Batch { requests, judged, own: self.due_blocks(now) };
        if !self.turn(now, &batch, answers) {
            self.hold_again(now, &batch);
        }
    }

    fn next_wake(&self, now: Now) -> Option<Time> {
        let held =
            self.held.next_due().map(|due| now.monotonic + Duration::from_millis(due.saturating_sub(now.unix_ms)));
        let production = self.production.as_ref().and_then(|production| production.next_wake(now));
        [held, production].into_iter().flatten().min()
    }

    fn wake(&mut self, now: Now, answers: &mut Vec<(To, Answer)>) {
        let own = self.due_blocks(now);
        if !own.is_empty() {
            let batch = Batch { requests: Vec::new(), judged: Vec::new(), own };
            if !self.turn(now, &batch, answers) {
                self.hold_again(now, &batch);
            }
        }
        self.produce(now, answers);
    }
}
