//! Holds a Mina network's newest blocks and its pools, in one store.

use crate::config::{Config, OpenError};
use crate::health::Health;
use crate::host::Host;
use crate::identity::Identity;
use crate::node::Node;
use crate::orphans::Orphans;
use crate::pool::{self, Offer, Pool};
use crate::producer::{BODY_BYTES_MAX, COMMANDS, Production};
use crate::reader::{Reader, Shared};
use crate::rules::Rules;
use crate::store::{Changes, Held, Source, Store};
use crate::tables::{Reading, Result, nodes, operators, torn};
use crate::tree::{Moved, Shape};
use crate::turn::Turn;
use crate::window::Window;
use crate::works::{self, Works};
use bytes::Bytes;
use polypeer_engine::{Ledger, Now, Ticket, Time, To};
use polypeer_mina::binprot::{Binable as _, Writer};
use polypeer_mina::block::Block;
use polypeer_mina::command::{UserCommand, transaction_id};
use polypeer_mina::ledger::{Answer, Hash, Kind, Request, Tip};
use polypeer_store::StorageBackend;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::Duration;

/// Blocks off the best chain, in multiples of `k`: whoever makes blocks without proofs can make any number of them.
const SIDE_PER_K: usize = 2;
/// And as many at least.
const SIDE_MIN: usize = 32;
/// Commands of the operator's that are told at once.
const TOLD_MAX: usize = 100;

/// The ledger. It belongs to one thread.
pub struct Mina {
    pub(crate) shared: Arc<Shared>,
    pub(crate) store: Store,
    pub(crate) orphans: Orphans,
    pub(crate) works: Works,
    pub(crate) host: Box<dyn Host>,
    pub(crate) identity: Option<Identity>,
    pub(crate) production: Option<Production>,
    pub(crate) health: Health,
    pub(crate) store_bytes_max: u64,
    /// What `get_best_tip` is answered with, for the best chain's end and root that it was made of.
    pub(crate) best_tip: Option<(Hash, Hash, Bytes)>,
    shape: Shape,
    /// When the operator's commands are told again; nothing while none waits.
    tells: Option<Time>,
    tell_again: Duration,
}

impl std::fmt::Debug for Mina {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let tip = self.window().tip().map(|tip| tip.length);
        f.debug_struct("Mina").field("tip", &tip).field("health", &self.health).finish_non_exhaustive()
    }
}

impl Mina {
    /// Opens the ledger where it stopped, or begins with the network's first block where that is known.
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
        let Config { rules, identity, producer, host, limits, .. } = config;
        rules.check()?;
        if producer.is_some() && rules.has_proofs {
            return Err(OpenError::Proofs);
        }
        let k = rules.constants.k as usize;
        let shape = Shape { k, kept: k.max(limits.blocks as usize), side_max: (k * SIDE_PER_K).max(SIDE_MIN) };
        let (first, changes) = first(&rules)?;
        let fresh = Window::new(shape, first);
        let mut store = Store::open(source, limits.cache_bytes, &rules.name(), (&changes, fresh.mark()))?;
        let (window, strays) = load(&store, shape)?;
        if !strays.is_empty() {
            store.commit(&strays, window.mark())?;
        }
        let room = pool::Room { commands: limits.commands, bytes: limits.command_bytes };
        let shared = Arc::new(Shared {
            window: RwLock::new(Arc::new(window)),
            pool: RwLock::new(Pool::new(room)),
            works: AtomicUsize::new(0),
            ails: AtomicBool::new(false),
            rules,
        });
        let reader = Reader { shared: shared.clone(), database: store.shared() };
        let mut ledger = Self {
            shared,
            store,
            orphans: Orphans::default(),
            works: Works::new(works::Room { works: limits.works, bytes: limits.work_bytes }),
            host,
            identity,
            production: producer.map(Production::new),
            health: Health::Sound,
            store_bytes_max: limits.store_bytes,
            best_tip: None,
            shape,
            tells: None,
            tell_again: limits.tell_again,
        };
        ledger.load_pool()?;
        Ok((ledger, reader))
    }

    /// Whether damage was found in the store when it was opened, and taken back to the commit before it.
    pub fn was_repaired(&self) -> bool {
        self.store.was_repaired()
    }

    pub(crate) fn rules(&self) -> &Rules {
        &self.shared.rules
    }

    /// The blocks, all of them durable.
    pub(crate) fn window(&self) -> Arc<Window> {
        self.shared.window.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn pool(&self) -> RwLockReadGuard<'_, Pool> {
        self.shared.pool.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn pool_mut(&self) -> RwLockWriteGuard<'_, Pool> {
        self.shared.pool.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// The end of the best chain; all zeros while there is none.
    pub(crate) fn tip(window: &Window) -> Tip {
        let tip = window.tip().map(|tip| Tip { hash: tip.hash, length: tip.length, global_slot: tip.global_slot() });
        tip.unwrap_or_default()
    }

    /// The slot that commands are judged by.
    pub(crate) fn global_slot(&self, window: &Window, now: Now) -> u32 {
        window.tip().map_or(0, |tip| self.rules().global_slot(tip, now.unix_ms))
    }

    /// Lets the pool know what the kept blocks used, and the operator's stored commands wait again.
    fn load_pool(&mut self) -> Result<()> {
        let window = self.window();
        let stored = self.store.look(operators)?;
        let reading = self.store.reading()?;
        let mut pool = self.shared.pool.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(tree) = window.served() {
            pool.set_whole(self.shared.rules.begins_with(tree.base()));
            tree.main().for_each(|node| pool.settle(node));
        }
        for bytes in stored {
            // It was read before it was stored.
            let Some(offer) = offer(bytes) else { continue };
            let is_confirmed = is_confirmed(&window, reading, &offer.id)?;
            pool.load(offer, is_confirmed, window.tip().map_or(0, |tip| tip.global_slot()), Time::ZERO);
        }
        if !pool.operators(1).is_empty() {
            self.tells = Some(Time::ZERO);
        }
        Ok(())
    }

    /// Makes durable what a batch did, and shows it. False when the store failed: then nothing of it is left.
    pub(crate) fn keep(&mut self, turn: &mut Turn, now: Now) -> bool {
        let finals = turn.finals(&self.window());
        let settled = self.pool().settled(finals.iter().map(|node| &**node));
        for id in &settled {
            turn.changes.operator.insert(*id, None);
        }
        if turn.changes.is_empty() {
            return true;
        }
        let undone = self.undone(turn).unwrap_or_default();
        if self.store.commit(&turn.changes, turn.window.mark()).is_err() {
            return false;
        }
        let before = self.window();
        *self.shared.window.write().unwrap_or_else(PoisonError::into_inner) = turn.window.clone();
        self.follow(turn, undone, now);
        let mut pool = self.pool_mut();
        settled.iter().for_each(|id| pool.retire(id));
        match (turn.window.served(), before.served()) {
            (Some(tree), Some(before)) if tree.get(&before.tip().hash).is_some() => {
                // The oldest blocks that went. What went of branches had used nothing.
                let oldest = turn.gone.iter().filter(|node| node.length < tree.base().length);
                oldest.filter(|node| before.is_on_main(node)).for_each(|node| pool.forget(node));
            }
            (Some(tree), _) => pool.begin_anew(tree.main()),
            (None, _) => {}
        }
        pool.set_whole(turn.window.served().is_some_and(|tree| self.rules().begins_with(tree.base())));
        true
    }

    /// The commands of the blocks that the best chain lost in this batch.
    fn undone(&mut self, turn: &Turn) -> Result<Vec<Offer>> {
        let mut offers = Vec::new();
        for node in turn.moved.iter().flat_map(|moved| &moved.undone) {
            let block = match turn.changes.block(&node.hash) {
                Some(block) => Some(block.clone()),
                None => self.store.reading()?.block(&node.hash)?,
            };
            let Some(block) = block else { continue };
            let Ok((opened, _)) = Block::open(&block) else { continue };
            let Ok(body) = opened.body.get() else { continue };
            let commands = body.commands().map(|judged| Bytes::copy_from_slice(judged.command.bytes()));
            offers.extend(commands.filter_map(offer));
        }
        Ok(offers)
    }

    /// The pools follow the best chain.
    fn follow(&mut self, turn: &Turn, undone: Vec<Offer>, now: Now) {
        let global_slot = self.global_slot(&turn.window, now);
        let oldest = turn.window.tip().map_or(0, |tip| tip.slot().saturating_sub(self.rules().constants.k));
        let mut pool = self.shared.pool.write().unwrap_or_else(PoisonError::into_inner);
        let (last, others) = match turn.moved.split_last() {
            Some((last, others)) => (last.clone(), others),
            None => (Moved::default(), &[][..]),
        };
        others.iter().for_each(|moved| pool.follow(moved, Vec::new(), global_slot, now.monotonic));
        pool.follow(&last, undone, global_slot, now.monotonic);
        drop(pool);
        for node in turn.moved.iter().flat_map(|moved| &moved.done) {
            let block = turn.changes.block(&node.hash);
            let opened = block.and_then(|block| Block::open(block).ok());
            if let Some(body) = opened.and_then(|(block, _)| block.body.get().ok()) {
                self.works.follow(&body, oldest);
            }
        }
        self.shared.works.store(self.works.len(), Ordering::Relaxed);
    }

    /// The blocks as the store has them, after a failure of which it is not known what it left.
    pub(crate) fn reload(&mut self) -> Result<()> {
        let (window, _) = load(&self.store, self.shape)?;
        *self.shared.window.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(window);
        Ok(())
    }

    /// Makes the next block if a slot of ours has begun, and takes it.
    fn produce(&mut self, now: Now, answers: &mut Vec<(To, Answer)>) {
        if self.health != Health::Sound {
            return;
        }
        let rules = self.rules().clone();
        let Some(slot) = self.production.as_mut().and_then(|production| production.draw(&rules, now)) else { return };
        let window = self.window();
        let Some(tip) = window.tip() else { return };
        let commands = self.pool().choose(COMMANDS, BODY_BYTES_MAX);
        let made = self.production.as_ref().and_then(|production| production.make(&rules, tip, slot, &commands));
        if let Some(block) = made {
            self.turn(now, &[], Some(block), answers);
        }
    }

    /// Tells all again what the operator sent and no block has.
    fn tell(&mut self, now: Now, answers: &mut Vec<(To, Answer)>) {
        if self.tells.is_none_or(|due| due > now.monotonic) {
            return;
        }
        let waiting = self.pool().operators(TOLD_MAX);
        self.tells = (!waiting.is_empty()).then_some(now.monotonic + self.tell_again);
        if !waiting.is_empty() {
            answers.push((To::Engine, Answer::Publish { kind: Kind::Transactions, payload: list(&waiting) }));
        }
    }

    /// The operator has a command that waits: it will be told again.
    pub(crate) fn tell_later(&mut self, now: Now) {
        self.tells.get_or_insert(now.monotonic + self.tell_again);
    }
}

impl Ledger for Mina {
    type Request = Request;
    type Answer = Answer;

    fn answer(&mut self, now: Now, requests: Vec<(Ticket, Request)>, answers: &mut Vec<(To, Answer)>) {
        self.mend(now);
        for (_, request) in &requests {
            if let (Request::CatchingUp(catches_up), Some(production)) = (request, &mut self.production) {
                production.catch_up(*catches_up);
            }
        }
        self.turn(now, &requests, None, answers);
    }

    fn next_wake(&self, now: Now) -> Option<Time> {
        let mends = match self.health {
            Health::Full(until) => Some(until),
            Health::Sound | Health::Broken => None,
        };
        // While nothing can be stored nothing is produced, so that what is due wakes nobody.
        let production = self.production.as_ref().filter(|_| self.health == Health::Sound);
        let produces = production.and_then(|production| production.next_wake(self.rules(), now));
        [mends, produces, self.tells].into_iter().flatten().min()
    }

    fn wake(&mut self, now: Now, answers: &mut Vec<(To, Answer)>) {
        self.mend(now);
        self.produce(now, answers);
        self.tell(now, answers);
    }
}

/// The first block, where it is known.
fn first(rules: &Rules) -> Result<(Option<Arc<Node>>, Changes), OpenError> {
    let mut changes = Changes::default();
    let Some(block) = rules.first() else { return Ok((None, changes)) };
    let node = Arc::new(Node::of(block).map_err(|_| OpenError::Constants)?);
    changes.put(Held { node: node.clone(), block: block.clone() });
    Ok((Some(node), changes))
}

/// The blocks as the store has them, and those that none of the chains needs.
fn load(store: &Store, shape: Shape) -> Result<(Window, Changes)> {
    let nodes: BTreeMap<Hash, Arc<Node>> =
        store.look(nodes)?.into_iter().map(|node| (node.hash, Arc::new(node))).collect();
    let window = Window::gather(shape, &nodes, &store.mark).ok_or_else(|| torn("the best chain"))?;
    let mut strays = Changes::default();
    strays.remove(nodes.into_values().filter(|node| window.get(&node.hash).is_none()));
    Ok((window, strays))
}

/// Whether the best chain has this command.
pub(crate) fn is_confirmed(window: &Window, reading: &Reading, id: &Hash) -> Result<bool> {
    let Some(tree) = window.served() else { return Ok(false) };
    let blocks = reading.blocks_with(id)?;
    Ok(blocks.iter().any(|hash| tree.get(hash).is_some_and(|node| tree.is_on_main(node))))
}

/// What the pool goes by, of a command's bytes; nothing when they are none.
pub(crate) fn offer(bytes: Bytes) -> Option<Offer> {
    let command = UserCommand::decode(&bytes).ok()?;
    let id = transaction_id(&bytes).ok()?;
    Some(Offer::new(id, bytes.clone(), &command))
}

/// A list of commands as it is gossiped.
pub(crate) fn list(commands: &[Bytes]) -> Bytes {
    let mut writer = Writer::with_capacity(commands.iter().map(Bytes::len).sum::<usize>() + 8);
    writer.nat0(commands.len() as u64);
    commands.iter().for_each(|command| writer.raw(command));
    writer.finish()
}
