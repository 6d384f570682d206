//! Runs the ledger: takes batches, wakes when something comes due, and survives a disk that does not.

use crate::batch::{Batch, Work, answer_reading, refusal, refuse_transaction};
use crate::chain::{Chain, Changes, End};
use crate::config::{Config, OpenError};
use crate::held::Held;
use crate::judge::{Judged, judge, judge_block};
use crate::mempool::{Mempool, Waiting};
use crate::parameters::Network;
use crate::producer::{Ground, Production};
use crate::reader::{Reader, Shared};
use crate::recovery::{Health, PAUSE};
use crate::requests::{Desk, answer_without_store, copy};
use crate::store::{Source, Store};
use crate::tables::{Look, Result};
use crate::validate::Examined;
use crate::writing::Writing;
use polypeer_engine::kit::chain::{Answer, Hash, Request};
use polypeer_engine::{Ledger, Now, Ticket, Time, To};
use redb::StorageBackend;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

/// The reference ledger. It belongs to one thread; see [`Reader`] for the others.
pub struct Reference {
    pub(crate) shared: Arc<Shared>,
    pub(crate) store: Store,
    end: End,
    /// The tip that the engine was last told of.
    told: Hash,
    /// What left the mempool in batches whose commit failed, until the store is open again.
    pub(crate) displaced: Vec<Waiting>,
    held: Held,
    production: Option<Production>,
    side_bytes_max: u64,
    pub(crate) health: Health,
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

    /// Whether damage was found in the store when it was opened, and taken back to the commit before it.
    pub fn was_repaired(&self) -> bool {
        self.store.was_repaired()
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
        let start = answers.len();
        self.mend(now);
        let done = self.health == Health::Sound && batch.writes() && self.write(now, batch, answers);
        if !done && !self.read(now, batch, answers) {
            self.answer_blind(batch, answers);
        }
        self.announce(answers, start);
        done
    }

    /// Tells the engine of a new tip: before what else this turn has for it, which began at `start`, and after what
    /// earlier turns had. A transaction is told of before the block that it is in.
    fn announce(&mut self, answers: &mut Vec<(To, Answer)>, start: usize) {
        if self.told == self.end.hash {
            return;
        }
        let (tip, number) = (self.end.tip(self.network()), self.end.number);
        // When it cannot be read, the next batch tells.
        if let Ok(block) = self.store.reading().and_then(|reading| reading.block(number)) {
            self.told = tip.hash;
            let own = answers[start..].iter().position(|(to, _)| *to == To::Engine);
            let place = own.map_or(answers.len(), |own| start + own);
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
        shared.mempool.write().unwrap_or_else(PoisonError::into_inner).begin();
        let (mut ready, end, news, counters, changed) = {
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
            (ready, end, news, tables.counters, tables.finish()?)
        };
        if changed {
            transaction.commit()?;
        } else {
            transaction.abort()?;
        }
        self.store.acknowledged = counters;
        answers.append(&mut ready);
        self.conclude(end, &news, answers);
        Ok(())
    }

    /// Makes known what has just become durable.
    fn conclude(&mut self, end: End, news: &[Hash], answers: &mut Vec<(To, Answer)>) {
        self.set_end(end);
        self.shared.mempool.write().unwrap_or_else(PoisonError::into_inner).commit();
        let mempool = self.shared.mempool();
        let waiting = news.iter().filter_map(|id| mempool.get(id));
        answers.extend(waiting.map(|waiting| {
            let transaction = copy(&waiting.bytes);
            (To::Engine, Answer::NewTransaction { id: waiting.id, transaction })
        }));
    }

    pub(crate) fn set_end(&mut self, end: End) {
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
            let answer = match (request, judged) {
                (_, Judged::Block(block)) => {
                    let hash = block.hash(self.network());
                    Some(Answer::BlockTaken { hash, outcome: refusal(block) })
                }
                (Request::TakeTransactions { origin, .. }, Judged::Transactions(list)) => {
                    let outcomes = list.iter().map(|it| (it.id, refuse_transaction(&mempool, *origin, it)));
                    Some(Answer::TransactionsTaken(outcomes.collect()))
                }
                _ => answer_without_store(tip, &mempool, request),
            };
            answers.extend(answer.map(|answer| (To::Asker(ticket), answer)));
        }
    }

    /// Searches for the next block, and takes it when there is one.
    fn produce(&mut self, now: Now, answers: &mut Vec<(To, Answer)>) {
        let Some(production) = &mut self.production else { return };
        if self.health != Health::Sound || !production.is_due(now) {
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
        // While nothing can be stored nothing is produced, so that a block that is due wakes nobody.
        let production = self.production.as_ref().filter(|_| self.health == Health::Sound);
        let production = production.and_then(|production| production.next_wake(now));
        [held, production, self.health.next_wake()].into_iter().flatten().min()
    }

    fn wake(&mut self, now: Now, answers: &mut Vec<(To, Answer)>) {
        self.mend(now);
        self.announce(answers, answers.len());
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
