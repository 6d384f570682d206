//! Runs a plan: builds its world, lets things happen, mends everything, and judges how it ended.

use crate::attack::{Attack, Meddler};
use crate::cast::{Cast, Held, LedgerSeat};
use crate::check::{Checks, ChecksOf, Watch, violated};
use crate::node::Seat;
use crate::outcome::{Finding, Mark, Outcome};
use crate::places;
use crate::plan::{Plan, Shape, Unfit};
use crate::recovery::Recovery;
use crate::regions::{Map, Region};
use crate::world::{NodeId, Setting, World};
use polypeer_engine::{Command, P2pAction, P2pConfig, Random, Target, Time};
use polypeer_store::Store;
use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::time::Duration;

/// How often a run is looked at: marks, checks that are dear, progress.
const LOOK_MS: u64 = 1_000;
/// Of those looks at most so many leave a mark.
const MARKS_MAX: u64 = 4_096;
/// How long everybody gets to say goodbye at the end: the longest handshake, linger and dial that may be under way.
const GOODBYE: Duration = Duration::from_secs(30);
/// Peers that a node is told of at its start. It finds the rest.
const TOLD_OF: usize = 3;
/// While nodes settle: the share of the time in which all producers go on, and in which only one does, in percent. In
/// the rest nobody makes a block, so that all can have the last one.
const SETTLE_PERCENT: (u64, u64) = (40, 35);

/// How far a run has come.
#[derive(Clone, Copy, Debug)]
pub struct Progress {
    /// The world's time in milliseconds.
    pub at_ms: u64,
    /// When it ends.
    pub of_ms: u64,
    /// Steps so far.
    pub steps: u64,
}

/// Runs a plan. `look` is called about once a second of the world's time; the run ends early when it says no, and is
/// then worth nothing.
///
/// # Errors
/// When the plan cannot be run.
pub fn run<C: Cast + 'static>(cast: C, plan: &Plan, look: &mut dyn FnMut(&Progress) -> bool) -> Result<Outcome, Unfit> {
    plan.check()?;
    let checks = Rc::new(RefCell::new(Checks::new(plan, places::names(plan), cast.no_blame())));
    let mut outcome = Outcome::default();
    let played = catch_unwind(AssertUnwindSafe(|| {
        let mut stage = Stage::new(Rc::new(cast), plan, checks.clone(), &mut outcome);
        stage.play(look);
        stage.judge();
        stage.conclude();
    }));
    if let Err(panic) = played {
        let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
        let what = text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_default();
        // Whoever panicked may have held them.
        let node = checks.try_borrow().ok().and_then(|checks| checks.last);
        let Mark { at_ms, steps, .. } = outcome.end;
        outcome.violation = Some(Finding { check: "panic".into(), node, at_ms, step: steps, what });
    }
    Ok(outcome)
}

struct Stage<'a, C: Cast> {
    cast: Rc<C>,
    plan: &'a Plan,
    world: World<C::Protocol, C::Ledger>,
    checks: Rc<RefCell<ChecksOf<C>>>,
    outcome: &'a mut Outcome,
    random: Random,
    authors: Vec<Author>,
    ends_ms: u64,
    next_look_ms: u64,
    looks: u64,
    recovery: Recovery,
}

/// Someone whose operator publishes.
struct Author {
    node: usize,
    published: u64,
}

impl<'a, C: Cast + 'static> Stage<'a, C> {
    fn new(cast: Rc<C>, plan: &'a Plan, checks: Rc<RefCell<ChecksOf<C>>>, outcome: &'a mut Outcome) -> Self {
        let map = Map::named(&plan.map).unwrap_or_default();
        let setting = Setting { epoch_ms: cast.epoch_ms(), map, events_max: 0, ..Setting::default() };
        let mut world = World::new(plan.seed, setting);
        world.watch(Watch(checks.clone()));
        plan.faults.iter().for_each(|planned| world.plan(planned));
        let authors = plan.honest().take(plan.work.authors).map(|node| Author { node, published: 0 });
        let mut stage = Self {
            random: Random::new(*blake3::hash(&plan.seed.to_be_bytes()).as_bytes()),
            authors: authors.collect(),
            ends_ms: plan.lasts_ms + plan.settle_ms + GOODBYE.as_millis() as u64,
            next_look_ms: LOOK_MS,
            looks: 0,
            recovery: Recovery::Unasked,
            cast,
            plan,
            world,
            checks,
            outcome,
        };
        (0..plan.nodes).filter(|node| plan.join_ms(*node) == 0).for_each(|node| stage.join(node));
        stage
    }

    fn now_ms(&self) -> u64 {
        self.world.now().as_micros() / 1_000
    }

    fn seed(&mut self) -> [u8; 32] {
        let mut seed = [0; 32];
        seed.chunks_mut(8).for_each(|part| part.copy_from_slice(&self.random.number().to_be_bytes()));
        seed
    }

    fn join(&mut self, node: usize) {
        let attack = self.plan.attack(node);
        let makes_blocks = node < self.plan.work.producers && attack.is_none() || attack == Some(Attack::Equivocate);
        let seat = LedgerSeat {
            node,
            block_interval: makes_blocks.then(|| Duration::from_millis(self.plan.work.block_interval_ms)),
            lie: attack.and_then(Attack::lie),
            seed: self.seed(),
        };
        let cast = self.cast.clone();
        let boot = move |disk: &crate::disk::Disk| cast.open(disk, &seat);
        let mut place = Seat::new(places::address(self.plan, node), self.cast.config(node), boot);
        place.config = self.config(node, attack);
        place.identity = self.cast.identity(node);
        let regions = Map::named(&self.plan.map).unwrap_or_default().regions();
        place.region = Region(self.random.below(regions) as u8);
        if let Some(attack) = attack {
            place.switch = Some(Box::new(Meddler::new(attack, self.seed())));
        }
        let id = self.world.add(place);
        if attack == Some(Attack::Poison) {
            self.poison(id);
        }
    }

    fn config(&mut self, node: usize, attack: Option<Attack>) -> P2pConfig {
        if self.plan.shape == Shape::Tree {
            let before = node.checked_sub(1).map(|last| self.random.below(last + 1));
            let target = before.map(|peer| Target::Address(places::address(self.plan, peer)));
            let connect_only = target.into_iter().collect();
            return P2pConfig { connect_only, discovery: false, ..P2pConfig::default() };
        }
        let told = match attack {
            // Its victim.
            Some(Attack::Eclipse) => vec![0],
            _ => self.told_of(node),
        };
        let add_peers = told.into_iter().map(|peer| Target::Address(places::address(self.plan, peer))).collect();
        let outbound_target = attack.and_then(Attack::outbound_target).unwrap_or(P2pConfig::default().outbound_target);
        P2pConfig { add_peers, outbound_target, ..P2pConfig::default() }
    }

    // A few of those who came before, one of them honest.
    fn told_of(&mut self, node: usize) -> Vec<usize> {
        let mut told = self.random.sample((0..node).collect(), TOLD_OF);
        let honest: Vec<usize> = self.plan.honest().take_while(|other| *other < node).collect();
        if !honest.is_empty() && !told.iter().any(|peer| self.plan.attack(*peer).is_none()) {
            told[0] = honest[self.random.below(honest.len())];
        }
        told
    }

    // Starts a node again with a book of places where nobody is.
    fn poison(&mut self, id: NodeId) {
        self.world.crash(id);
        let records = places::poisoned(self.world.true_ms(), &mut self.random);
        if let Ok(store) = Store::open_with_backend(self.world.node(id).store_disk().clone()) {
            // A disk that has just been made takes it.
            let _ = store.save(&records);
        }
        self.world.restart(id);
    }

    /// Lets things happen, mends everything, and lets the nodes settle.
    fn play(&mut self, look: &mut dyn FnMut(&Progress) -> bool) {
        let pause_ms = 60_000u64.checked_div(self.plan.work.transactions_per_minute.into());
        let mut publish_ms = pause_ms;
        while self.now_ms() < self.plan.lasts_ms && self.world.violation().is_none() {
            let joined = self.world.nodes().count();
            let join_ms = (joined < self.plan.nodes).then(|| self.plan.join_ms(joined));
            let next = [publish_ms, join_ms, Some(self.plan.lasts_ms)].into_iter().flatten().min();
            if !self.run_to(next.unwrap_or(self.plan.lasts_ms), look) {
                return;
            }
            let now_ms = self.now_ms();
            if join_ms.is_some_and(|at| at <= now_ms) {
                self.join(joined);
            }
            if let (Some(at), Some(pause)) = (publish_ms, pause_ms)
                && at <= now_ms
            {
                self.publish();
                publish_ms = Some(now_ms + pause.max(1));
            }
        }
        self.settle(look);
    }

    fn publish(&mut self) {
        if self.authors.is_empty() {
            return;
        }
        let chosen = self.random.below(self.authors.len());
        let Author { node, published } = self.authors[chosen];
        let Some((request, id)) = self.cast.publish(node, published) else { return };
        if node >= self.world.nodes().count() || !self.world.node(NodeId(node)).is_up() {
            return;
        }
        let at_ms = self.now_ms();
        self.checks.borrow_mut().deliveries.publish(id, node, at_ms, false);
        self.world.ask(NodeId(node), request);
        let is_taken = self.world.node(NodeId(node)).ledger().is_some_and(|ledger| ledger.holds(&id));
        if is_taken {
            self.authors[chosen].published += 1;
            self.checks.borrow_mut().acknowledged(node, id);
        } else {
            self.checks.borrow_mut().deliveries.retract(&id);
        }
    }

    fn settle(&mut self, look: &mut dyn FnMut(&Progress) -> bool) {
        let remedies = self.checks.borrow().troubles.remedies();
        remedies.iter().for_each(|fault| self.world.inject(fault));
        self.recovery = Recovery::Connecting;
        let (all, one) = SETTLE_PERCENT;
        let (lasts, settle) = (self.plan.lasts_ms, self.plan.settle_ms);
        if !self.run_to(lasts + settle * all / 100, look) {
            return;
        }
        // From now on the next block may have to wait for one node's turn.
        self.recovery = Recovery::Unasked;
        let last = self.plan.honest().next().unwrap_or(0);
        self.halt(|node| node != last);
        if self.run_to(lasts + settle * (all + one) / 100, look) {
            self.halt(|_| true);
            self.run_to(lasts + settle, look);
        }
    }

    fn halt(&self, whom: impl Fn(usize) -> bool) {
        let nodes = self.world.nodes().enumerate().filter(|(node, _)| whom(*node));
        nodes.filter_map(|(_, node)| node.ledger()).for_each(Held::halt);
    }

    // Runs until this time, looking at what comes of it. Whether to go on.
    fn run_to(&mut self, until_ms: u64, look: &mut dyn FnMut(&Progress) -> bool) -> bool {
        while self.now_ms() < until_ms {
            let next = until_ms.min(self.next_look_ms);
            let until = Time::from_micros(next * 1_000);
            self.world.run(until.since(self.world.now()));
            if self.world.violation().is_some() {
                return false;
            }
            if next == self.next_look_ms {
                self.next_look_ms += LOOK_MS;
                if !self.look(look) {
                    return false;
                }
            }
        }
        true
    }

    fn mark(&self) -> Mark {
        Mark { at_ms: self.now_ms(), steps: self.world.steps(), trace: self.world.trace() }
    }

    fn look(&mut self, look: &mut dyn FnMut(&Progress) -> bool) -> bool {
        let mark = self.mark();
        self.outcome.end = mark;
        let every = (self.ends_ms / LOOK_MS).div_ceil(MARKS_MAX).max(1);
        if self.looks.is_multiple_of(every) {
            self.outcome.marks.push(mark);
        }
        self.looks += 1;
        if let Err(what) = self.world.conservation() {
            self.world.violate(None, format!("conservation: {what}"));
        }
        for node in self.plan.honest().take_while(|node| *node < self.world.nodes().count()).collect::<Vec<_>>() {
            if let Err(what) = self.within_bounds(node) {
                self.world.violate(Some(NodeId(node)), what);
            }
        }
        if let Some(patience) = self.cast.patience()
            && let Err(what) = self.recovery.look(&self.world, self.plan, patience)
        {
            self.world.violate(None, what);
        }
        let goes_on = look(&Progress { at_ms: mark.at_ms, of_ms: self.ends_ms, steps: mark.steps });
        goes_on && self.world.violation().is_none()
    }

    fn within_bounds(&self, node: usize) -> Result<(), String> {
        let Some(engine) = self.world.node(NodeId(node)).engine() else { return Ok(()) };
        let over = engine.stock().into_iter().find(|stock| stock.count > stock.max);
        over.map_or(Ok(()), |stock| {
            let (name, count, max) = (stock.name, stock.count, stock.max);
            violated("bounds", format_args!("{name} has {count} entries, and at most {max} are allowed"))
        })
    }

    /// Judges how it ended, unless something was found before.
    fn judge(&mut self) {
        let is_over = self.now_ms() >= self.plan.lasts_ms + self.plan.settle_ms;
        if self.world.violation().is_some() || !is_over {
            return;
        }
        let found = self.agreement().and_then(|()| self.delivery());
        if let Err((node, what)) = found {
            return self.world.violate(node.map(NodeId), what);
        }
        self.goodbye();
    }

    fn agreement(&mut self) -> Result<(), (Option<usize>, String)> {
        let mut first = None;
        for node in self.plan.honest() {
            let Some(ledger) = self.world.node(NodeId(node)).ledger() else {
                return Err((Some(node), "agreement: it is down though all is mended".to_owned()));
            };
            let end = ledger.tip();
            match first {
                None => first = Some((node, end)),
                Some((_, other)) if other == end => {}
                Some((reference, other)) => {
                    let (here, there) = (end.height, other.height);
                    let what =
                        format!("agreement: its chain ends at height {here}, that of node {reference} at {there}");
                    return Err((Some(node), format!("{what}, in another block")));
                }
            }
        }
        self.outcome.figures.height = first.map_or(0, |(_, end)| end.height);
        Ok(())
    }

    fn delivery(&mut self) -> Result<(), (Option<usize>, String)> {
        let checks = self.checks.borrow();
        let figures = &mut self.outcome.figures;
        let winner = self.plan.honest().next().and_then(|node| self.world.node(NodeId(node)).ledger());
        let counts =
            |id: &crate::cast::Id, is_block: bool| !is_block || winner.is_some_and(|ledger| ledger.is_on_chain(id));
        let mut missing = None;
        for published in checks.deliveries.all().iter().filter(|it| counts(&it.id, it.is_block)) {
            for node in self.plan.honest() {
                let holds = self.world.node(NodeId(node)).ledger().is_some_and(|ledger| ledger.holds(&published.id));
                figures.at_the_end_of += 1;
                figures.at_the_end += u64::from(holds);
                if !holds {
                    missing = missing.or(Some((node, *published)));
                }
            }
        }
        let late = checks.deliveries.measure(self.plan, &checks.troubles, |it| counts(&it.id, it.is_block), figures);
        if let Some((node, published)) = missing {
            return Err((Some(node), format!("delivery: {} never came, though all is mended", published.told())));
        }
        let wanted = figures.deliveries * u64::from(self.plan.in_time_permille);
        match late {
            Some((published, node)) if figures.in_time * 1_000 < wanted => {
                let (in_time, of) = (figures.in_time, figures.deliveries);
                let first = published.told();
                Err((Some(node), format!("delivery: {in_time} of {of} were in time; the first that was not: {first}")))
            }
            _ => Ok(()),
        }
    }

    // Everybody says goodbye to everybody; nothing may be left of it.
    fn goodbye(&mut self) {
        for node in 0..self.world.nodes().count() {
            self.world.act(NodeId(node), P2pAction::Command(Command::Drain));
        }
        self.world.run(GOODBYE);
        for node in self.plan.honest() {
            if let Err(what) = self.nothing_left(node) {
                return self.world.violate(Some(NodeId(node)), what);
            }
        }
    }

    fn nothing_left(&self, node: usize) -> Result<(), String> {
        let Some(engine) = self.world.node(NodeId(node)).engine() else { return Ok(()) };
        let state = engine.state();
        state.check().or_else(|what| violated("resources", what))?;
        let (peers, dials) = (state.peers.len(), state.connecting_peers.len());
        if peers + dials > 0 {
            return violated("resources", format_args!("{peers} peers and {dials} dials are left"));
        }
        let left = engine.stock().into_iter().find(|stock| stock.goes_with_peers && stock.count > 0);
        left.map_or(Ok(()), |stock| {
            violated("resources", format_args!("{} of {} are left of peers that are gone", stock.count, stock.name))
        })
    }

    fn conclude(&mut self) {
        self.outcome.end = self.mark();
        let figures = &mut self.outcome.figures;
        for node in self.world.nodes() {
            figures.crashes += u64::from(node.crashes());
        }
        let counts = self.world.counts();
        (figures.frames, figures.bytes) = (counts.frames_sent, counts.bytes_sent);
        let checks = self.checks.borrow();
        (figures.blamed, figures.blamed_falsely) = (checks.blamed.len() as u64, checks.blamed_falsely);
        self.outcome.violation = self.world.violation().map(|violation| {
            let (check, what) = violation.what.split_once(": ").unwrap_or(("world", &violation.what));
            Finding {
                check: check.to_owned(),
                node: violation.node,
                at_ms: violation.at.as_micros() / 1_000,
                step: violation.step,
                what: what.to_owned(),
            }
        });
    }
}
