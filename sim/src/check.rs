//! Checks what must hold: after every step what is cheap, at intervals and at the end what is not.
//!
//! | check | what must hold | when |
//! |---|---|---|
//! | `border` | what an engine asks for keeps the border's rules | every step |
//! | `recount` | every derived counter of the shell is what counting gives | every step; in large worlds every 64th |
//! | `blame` | no honest node discourages, bans or convicts an honest one | every step |
//! | `once` | nothing is new to a ledger twice in one life | every answer |
//! | `order` | what arrives between honest nodes is what was sent, in order, and no framer refuses it | every step |
//! | `durability` | what was acknowledged as durable is there after a restart | every start |
//! | `start` | a node starts again on the disk that it left | every start |
//! | `conservation` | every frame and byte that was sent arrived, was dropped for a reason, or is under way | every second |
//! | `bounds` | no map, queue or list is beyond its limit | every second |
//! | `delivery` | what an honest node published came to every honest node, in time where nothing kept it | the end |
//! | `agreement` | no two honest nodes have different final blocks in one place; all are on one chain when all is mended | every answer; the end |
//! | `liveness` | where blocks are final, one comes to everyone in the time that the network promises, once all is mended | when all is mended |
//! | `resources` | nothing is left of a peer when all are gone | the end |
//! | `panic` | nothing panics | every step |

mod delivery;
mod order;
mod trouble;

pub(crate) use delivery::Deliveries;
use order::Links;
pub(crate) use trouble::Troubles;

use crate::attack::Attack;
use crate::cast::{Cast, Held, Id, News};
use crate::fault::Fault;
use crate::observer::{Life, Observer};
use crate::plan::Plan;
use crate::world::{NodeId, World};
use polypeer_engine::{Border, Effect, Event, Ledger, P2pAction, Protocol, Reason, ReasonRecord};
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::rc::Rc;

/// The names of all checks.
pub const CHECKS: [&str; 14] = [
    "border",
    "recount",
    "blame",
    "once",
    "order",
    "durability",
    "start",
    "conservation",
    "bounds",
    "delivery",
    "agreement",
    "liveness",
    "resources",
    "panic",
];

/// Above so many nodes counting again after every step would take most of the time.
const OFTEN_NODES_MAX: usize = 64;
/// Then it is done at every step of this many.
const SELDOM: u64 = 64;

/// What is known of a run, to judge it.
pub(crate) struct Checks<A> {
    attacks: Vec<Option<Attack>>,
    names: BTreeMap<IpAddr, usize>,
    sheets: Vec<Sheet>,
    // By height: the final block, and who had it first.
    finals: BTreeMap<u64, (Id, usize)>,
    pub(crate) deliveries: Deliveries,
    pub(crate) troubles: Troubles,
    links: Links,
    pub(crate) blamed: BTreeSet<usize>,
    pub(crate) blamed_falsely: u64,
    // Faults that honest nodes have too.
    no_blame: &'static [&'static str],
    recount_every: u64,
    steps: u64,
    /// The last step, for a panic's report.
    pub(crate) last: Option<NodeId>,
    action: std::marker::PhantomData<A>,
}

/// What is known of one node.
#[derive(Default)]
struct Sheet {
    border: Border,
    // What its ledger called new in this life.
    new: BTreeSet<Id>,
    // What its ledger acknowledged as durable, in all lives.
    durable: BTreeSet<Id>,
}

/// What must not be: the check's name and what was found, as the world keeps it.
pub(crate) fn violated(check: &str, what: impl std::fmt::Display) -> Result<(), String> {
    Err(format!("{check}: {what}"))
}

impl<A> Checks<A> {
    pub(crate) fn new(plan: &Plan, names: BTreeMap<IpAddr, usize>, no_blame: &'static [&'static str]) -> Self {
        let attacks: Vec<_> = (0..plan.nodes).map(|node| plan.attack(node)).collect();
        Self {
            names,
            sheets: attacks.iter().map(|_| Sheet::default()).collect(),
            finals: BTreeMap::new(),
            deliveries: Deliveries::new(plan.nodes),
            troubles: Troubles::new(plan.nodes),
            links: Links::default(),
            blamed: BTreeSet::new(),
            blamed_falsely: 0,
            no_blame,
            recount_every: if plan.nodes > OFTEN_NODES_MAX { SELDOM } else { 1 },
            steps: 0,
            last: None,
            action: std::marker::PhantomData,
            attacks,
        }
    }

    fn is_honest(&self, node: usize) -> bool {
        self.attacks.get(node).is_some_and(Option::is_none)
    }

    // Whom an honest node holds to account for what.
    fn blame(&mut self, world_ms: u64, record: &ReasonRecord) -> Result<(), String> {
        let Some(other) = self.names.get(&record.subject.ip()).copied() else { return Ok(()) };
        let (is_sentence, fault) = match &record.reason {
            Reason::Discouraged { fault, .. } | Reason::Banned { fault, .. } => (true, fault),
            Reason::Convicted(fault) => (false, fault),
            _ => return Ok(()),
        };
        if !self.is_honest(other) {
            self.blamed.extend(is_sentence.then_some(other));
            return Ok(());
        }
        // Whoever is not heard of for a while is let go of, without a sentence; that is no blame while lines and
        // hosts are in trouble.
        let is_no_blame = || self.no_blame.contains(&&**fault);
        if !is_sentence && (self.troubles.has_been(world_ms) || is_no_blame()) {
            return Ok(());
        }
        self.blamed_falsely += 1;
        let verdict = if is_sentence { "sentenced" } else { "convicted" };
        violated("blame", format_args!("it {verdict} the honest node {other} for {fault}"))
    }

    fn news(&mut self, at_ms: u64, node: usize, news: Vec<News>) -> Result<(), String> {
        for item in news {
            match item {
                News::Block { id, is_own, is_durable } => {
                    if is_own {
                        self.deliveries.publish(id, node, at_ms, true);
                    }
                    self.deliveries.came(id, node, at_ms);
                    if is_durable {
                        self.sheets[node].durable.insert(id);
                    }
                }
                News::Final { height, id } => {
                    let (first, other) = *self.finals.entry(height).or_insert((id, node));
                    if first != id {
                        let (here, there) = (short(&id), short(&first));
                        let what = format_args!("{here} is final at height {height}, and {there} at node {other}");
                        return violated("agreement", what);
                    }
                }
                News::Transaction { id, is_durable } => {
                    self.deliveries.came(id, node, at_ms);
                    if is_durable {
                        self.sheets[node].durable.insert(id);
                    }
                }
                News::New { id } => {
                    if !self.sheets[node].new.insert(id) {
                        return violated("once", format_args!("{} was new twice", short(&id)));
                    }
                }
            }
        }
        Ok(())
    }

    /// Its ledger acknowledged this as durable.
    pub(crate) fn acknowledged(&mut self, node: usize, id: Id) {
        self.sheets[node].durable.insert(id);
    }

    fn started(&mut self, node: usize, ledger: &impl Held) -> Result<(), String> {
        let sheet = &mut self.sheets[node];
        sheet.border = Border::default();
        sheet.new.clear();
        match sheet.durable.iter().find(|id| !ledger.holds(id)) {
            Some(lost) => violated("durability", format_args!("{} was acknowledged and is gone", short(lost))),
            None => Ok(()),
        }
    }
}

fn short(id: &Id) -> String {
    id[..6].iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Looks on for [`Checks`] that a runner looks at too.
pub(crate) struct Watch<A>(pub(crate) Rc<RefCell<Checks<A>>>);

impl<P, L> Observer<P, L> for Watch<P::Answer>
where
    P: Protocol,
    L: Held + Ledger<Request = P::Request, Answer = P::Answer>,
{
    fn on_step(
        &mut self,
        world: &World<P, L>,
        node: NodeId,
        action: &P2pAction<P::Answer>,
        effects: &[Effect<P::Request>],
    ) -> Result<(), String> {
        let mut checks = self.0.borrow_mut();
        let at_ms = world.now().as_micros() / 1_000;
        checks.steps += 1;
        checks.last = Some(node);
        let seat = world.node(node);
        if !checks.is_honest(node.0) {
            // What a hostile node's ledger says is its own business, but is not kept.
            if let (P2pAction::LedgerAnswered { .. }, Some(ledger)) = (action, seat.ledger()) {
                ledger.news();
            }
            return Ok(());
        }
        if let Err(fault) = checks.sheets[node.0].border.stepped(action, effects) {
            return violated("border", fault);
        }
        let is_counted = checks.steps.is_multiple_of(checks.recount_every);
        if let (true, Some(engine)) = (is_counted, seat.engine()) {
            engine.state().check().or_else(|what| violated("recount", what))?;
        }
        let Checks { links, attacks, .. } = &mut *checks;
        let is_honest = |other: usize| attacks.get(other).is_some_and(Option::is_none);
        links.stepped(world, node, (action, effects), is_honest).or_else(|what| violated("order", what))?;
        for effect in effects {
            if let Effect::Publish(Event::Reason(record)) = effect {
                checks.blame(at_ms, record)?;
            }
        }
        match (action, seat.ledger()) {
            (P2pAction::LedgerAnswered { .. }, Some(ledger)) => checks.news(at_ms, node.0, ledger.news()),
            _ => Ok(()),
        }
    }

    fn on_fault(&mut self, world: &World<P, L>, fault: &Fault) -> Result<(), String> {
        self.0.borrow_mut().troubles.fault(world.now().as_micros() / 1_000, fault);
        Ok(())
    }

    fn on_life(&mut self, world: &World<P, L>, node: NodeId, life: Life) -> Result<(), String> {
        let mut checks = self.0.borrow_mut();
        let at_ms = world.now().as_micros() / 1_000;
        checks.troubles.life(at_ms, node, life);
        if life == Life::Crashed {
            checks.links.died(node);
        }
        match (life, world.node(node).ledger()) {
            (Life::Started, Some(ledger)) if checks.is_honest(node.0) => checks.started(node.0, ledger),
            (Life::Failed, _) if !checks.troubles.has_sick_disk(node) => {
                violated("start", world.node(node).failure().unwrap_or("it does not start"))
            }
            _ => Ok(()),
        }
    }
}

/// What a cast's checks are about.
pub(crate) type ChecksOf<C> = Checks<<<C as Cast>::Protocol as Protocol>::Answer>;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenarios::{Request, Scenario};
    use std::time::Duration;

    #[test]
    fn two_final_blocks_in_one_place_are_found() {
        let request = Request { protocol: "any", seed: 1, nodes: 4, lasts: Duration::from_secs(20) };
        let plan = Scenario::named("calm").expect("it is in the list").plan(&request);
        let mut checks = Checks::<()>::new(&plan, BTreeMap::new(), &[]);
        let is_final = |height, id| vec![News::Final { height, id: [id; 32] }];
        for (node, height, id) in [(0, 2, 7), (1, 2, 7), (1, 3, 8), (2, 2, 7)] {
            assert_eq!(checks.news(5, node, is_final(height, id)), Ok(()));
        }
        let found = checks.news(6, 2, is_final(3, 9)).expect_err("it is another one");
        assert!(
            found.starts_with("agreement: ") && found.contains("at height 3") && found.contains("node 1"),
            "{found}"
        );
    }
}
