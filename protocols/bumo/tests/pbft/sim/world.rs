//! The network, the time, and what must hold at every step.

use super::attacker::Attacker;
use super::chance::Chance;
use super::node::{INTERVAL, Job, Node};
use crate::{keys, message};
use bytes::Bytes;
use polypeer_bumo::hash::Hash;
use polypeer_bumo::ledger::Judgement;
use polypeer_bumo::pbft::{Output, Seen};
use polypeer_bumo::proof::Validators;
use polypeer_engine::Time;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::hash::{DefaultHasher, Hasher as _};
use std::time::Duration;

const SECOND: u64 = 1_000_000;
/// A view's time; the network must go on five of them after it healed.
const VIEW: u64 = 3 * INTERVAL.as_micros() as u64;
/// After so long without a ledger everyone is asked (BUMO spec, section 6.2).
const POLL: u64 = 30 * SECOND;
/// Steps of a run, against one that never ends.
const STEPS_MAX: u64 = 3_000_000;

/// What a liar does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Liar {
    Silent,
    /// Two nodes with one key.
    Twins,
    /// Whatever harms.
    Attacker,
}

/// What happens in a run.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) seed: u64,
    pub(crate) validators: usize,
    /// The first validators' conduct, shuffled over the places.
    pub(crate) liars: Vec<(usize, Liar)>,
    pub(crate) has_follower: bool,
    /// When everything that went wrong ends.
    pub(crate) heals_at: u64,
    /// Of a thousand messages.
    pub(crate) lost: u64,
    pub(crate) twice: u64,
    pub(crate) late: u64,
    /// Between troubles: partitions, crashes, restarts.
    pub(crate) trouble_every: u64,
    /// Of a thousand judgements.
    pub(crate) doubts: u64,
    pub(crate) relays: bool,
    /// From one ledger to the next; zero for the interval timer off.
    pub(crate) interval: Duration,
}

impl Plan {
    /// The plan of a seed.
    pub(crate) fn of(seed: u64) -> Self {
        let mut chance = Chance::new(seed);
        let sizes = [4, 4, 4, 4, 4, 7, 7, 5, 6, 10, 13, 1, 2, 3];
        let validators = *chance.pick(&sizes).expect("it is there");
        let faults = (validators - 1) / 3;
        let mut places: Vec<usize> = (0..validators).collect();
        let mut liars = Vec::new();
        for _ in 0..chance.between(0, faults as u64) {
            let place = places.swap_remove(chance.below(places.len() as u64) as usize);
            let liar = *chance.pick(&[Liar::Silent, Liar::Twins, Liar::Attacker, Liar::Attacker]).expect("it is there");
            liars.push((place, liar));
        }
        // Without a pause a second has as many ledgers as a minute with one.
        let mut later = Chance::new(seed ^ 0xcafe);
        let interval = if later.permille(150) { Duration::ZERO } else { INTERVAL };
        let calm = if interval.is_zero() { 6 } else { 1 };
        let rate = |chance: &mut Chance, high| if chance.permille(300) { 0 } else { chance.below(high) };
        Self {
            seed,
            validators,
            liars,
            has_follower: chance.permille(250),
            heals_at: chance.between(30, if validators > 7 { 150 } else { 300 }) * SECOND / calm,
            lost: rate(&mut chance, 400),
            twice: rate(&mut chance, 200),
            late: rate(&mut chance, 300),
            trouble_every: if chance.permille(200) { u64::MAX } else { chance.between(2, 40) * SECOND },
            doubts: if chance.permille(500) { 0 } else { chance.below(200) },
            relays: validators <= 4 && chance.permille(300),
            interval,
        }
    }
}

#[derive(Debug)]
enum Event {
    Deliver { to: usize, from: usize, data: Bytes },
    Answer { slot: usize, life: u64 },
    Wake { slot: usize, life: u64 },
    AskLedgers { to: usize, from: usize, next: i64 },
    Ledgers { to: usize, life: u64, ledgers: Vec<(Bytes, Bytes)> },
    Poll { slot: usize },
    Start { slot: usize },
    Trouble,
    Attack,
    Heal,
}

/// A run.
pub(crate) struct World {
    plan: Plan,
    chance: Chance,
    now: u64,
    order: u64,
    events: BinaryHeap<Reverse<(u64, u64, usize)>>,
    pending: Vec<Option<Event>>,
    free: Vec<usize>,
    nodes: Vec<Node>,
    groups: Vec<u8>,
    has_healed: bool,
    attacker: Option<Attacker>,
    // What must hold.
    closed: BTreeMap<i64, Hash>,
    signed: BTreeMap<(usize, u64, u64, u64), Vec<u8>>,
    trace: DefaultHasher,
}

impl World {
    pub(crate) fn new(plan: Plan) -> Self {
        let mut chance = Chance::new(plan.seed ^ 0xfeed);
        let addresses = (0..plan.validators).map(|number| keys::key(number).address.clone()).collect();
        let validators = Validators::new(addresses);
        let mut nodes = Vec::new();
        let mut attackers = Vec::new();
        for place in 0..plan.validators {
            let liar = plan.liars.iter().find(|(liar, _)| *liar == place).map(|(_, liar)| *liar);
            let count = match liar {
                None => 1,
                Some(Liar::Twins) => 2,
                Some(Liar::Silent) => 0,
                Some(Liar::Attacker) => {
                    attackers.push(place);
                    0
                }
            };
            for _ in 0..count {
                let skew = chance.between(0, 600) as i64 - 300;
                nodes.push(Node::new(
                    nodes.len(),
                    Some(place),
                    liar.is_none(),
                    validators.clone(),
                    (skew, plan.interval),
                ));
            }
        }
        if plan.has_follower {
            nodes.push(Node::new(nodes.len(), None, true, validators.clone(), (0, plan.interval)));
        }
        let attacker = (!attackers.is_empty()).then(|| Attacker::new(attackers, plan.validators));
        let groups = vec![0; nodes.len()];
        let mut world = Self {
            plan,
            chance,
            now: 0,
            order: 0,
            events: BinaryHeap::new(),
            pending: Vec::new(),
            free: Vec::new(),
            nodes,
            groups,
            has_healed: false,
            attacker,
            closed: BTreeMap::new(),
            signed: BTreeMap::new(),
            trace: DefaultHasher::new(),
        };
        world.begin();
        world
    }

    fn begin(&mut self) {
        for slot in 0..self.nodes.len() {
            let at = self.chance.below(2 * SECOND);
            self.at(at, Event::Start { slot });
            self.at(at + POLL, Event::Poll { slot });
        }
        self.at(self.plan.heals_at, Event::Heal);
        if self.plan.trouble_every < u64::MAX {
            self.at(self.plan.trouble_every, Event::Trouble);
        }
        if self.attacker.is_some() {
            self.at(SECOND, Event::Attack);
        }
    }

    fn at(&mut self, time: u64, event: Event) {
        self.order += 1;
        let place = match self.free.pop() {
            Some(place) => place,
            None => {
                self.pending.push(None);
                self.pending.len() - 1
            }
        };
        self.pending[place] = Some(event);
        self.events.push(Reverse((time, self.order, place)));
    }

    /// Runs until the network healed and went on. Gives a digest of all that happened.
    pub(crate) fn run(mut self) -> u64 {
        let mut wanted = None;
        let mut steps = 0;
        while let Some(Reverse((time, _, place))) = self.events.pop() {
            let event = self.pending[place].take().expect("an event is due once");
            self.free.push(place);
            self.now = time;
            self.step(event);
            steps += 1;
            assert!(steps < STEPS_MAX, "it does not end");
            if self.has_healed {
                let wanted =
                    *wanted.get_or_insert_with(|| self.honest().map(|node| node.last()).max().unwrap_or(1) + 1);
                if self.honest().all(|node| node.last() >= wanted) {
                    break;
                }
                // f liars can lead f views in a row, by right, and the next one is honest. Each can waste two views'
                // time: it opens its view late and proposes nothing (docs/decisions/0033). Three of thirteen in a row
                // were seen to take more than five.
                let views = u64::max(5, 2 * self.plan.liars.len() as u64 + 1);
                if self.now > self.plan.heals_at + views * VIEW {
                    self.tell();
                    panic!("it stands still at {wanted}");
                }
            }
        }
        self.trace.finish()
    }

    fn tell(&self) {
        for (slot, node) in self.nodes.iter().enumerate() {
            let machine = node
                .machine
                .as_ref()
                .map(|machine| (machine.view(), machine.wanted_view(), machine.last(), machine.kept_messages()));
            println!("node {slot} key {:?} last {} machine {machine:?}", node.key, node.last());
        }
    }

    fn honest(&self) -> impl Iterator<Item = &Node> {
        self.nodes.iter().filter(|node| node.is_honest)
    }

    fn step(&mut self, event: Event) {
        match event {
            Event::Deliver { to, from, data } => self.deliver(to, from, data),
            Event::Answer { slot, life } => self.answer(slot, life),
            Event::Wake { slot, life } => self.wake(slot, life),
            Event::AskLedgers { to, from, next } => self.serve(to, from, next),
            Event::Ledgers { to, life, ledgers } => self.ledgers(to, life, ledgers),
            Event::Poll { slot } => self.poll(slot),
            Event::Start { slot } => self.start(slot),
            Event::Trouble => self.trouble(),
            Event::Attack => self.attack(),
            Event::Heal => self.heal(),
        }
    }

    // ---- Nodes.

    fn start(&mut self, slot: usize) {
        let node = &mut self.nodes[slot];
        if node.machine.is_none() {
            node.start(self.now);
            self.carry_out(slot);
        }
    }

    fn deliver(&mut self, to: usize, from: usize, data: Bytes) {
        let now = Time::from_micros(self.now);
        let node = &mut self.nodes[to];
        let Some(machine) = &mut node.machine else { return };
        let digest = keys::fingerprint(&[&data]);
        if node.known.contains(&digest) {
            return;
        }
        let seen = machine.receive(now, &data);
        if seen == Ok(Seen::Fresh) {
            node.known.insert(digest);
            if self.plan.relays {
                self.send(to, Some(from), &data);
            }
        }
        self.trace.write_u128(digest);
        self.trace.write_u64(self.now);
        self.carry_out(to);
    }

    fn wake(&mut self, slot: usize, life: u64) {
        let now = self.now;
        let node = &mut self.nodes[slot];
        if node.life != life || node.alarm.is_none_or(|alarm| alarm > now) {
            return;
        }
        node.alarm = None;
        let Some(machine) = &mut node.machine else { return };
        machine.tick(Time::from_micros(now));
        self.carry_out(slot);
    }

    // Does what the machine wants.
    fn carry_out(&mut self, slot: usize) {
        let Some(machine) = &mut self.nodes[slot].machine else { return };
        for output in machine.outputs() {
            match output {
                Output::Propose => self.ask(slot, Job::Propose),
                Output::Judge { digest, value } => self.ask(slot, Job::Judge { digest, value }),
                Output::Sign { ticket, pbft, keep } => self.ask(slot, Job::Sign { ticket, pbft, keep }),
                Output::Close { value, proof } => self.ask(slot, Job::Close { value, proof, is_sync: false }),
                Output::Broadcast { envelope, is_repeat: _ } => self.send(slot, None, &envelope),
                Output::Behind { sequence: _ } => self.sync(slot),
                Output::Equivocation { replica, .. } => {
                    let is_liar = self.plan.liars.iter().any(|(liar, _)| *liar == replica);
                    assert!(is_liar, "{replica} is honest and is said to equivocate");
                }
            }
        }
        self.set_alarm(slot);
    }

    fn set_alarm(&mut self, slot: usize) {
        let node = &mut self.nodes[slot];
        let Some(wanted) = node.machine.as_ref().and_then(|machine| machine.alarm()) else { return };
        // A wake that comes too early does nothing and sets the next.
        let wanted = wanted.as_micros().max(self.now + 1);
        if node.alarm.is_none_or(|alarm| wanted < alarm) {
            node.alarm = Some(wanted);
            let life = node.life;
            self.at(wanted, Event::Wake { slot, life });
        }
    }

    fn ask(&mut self, slot: usize, job: Job) {
        let node = &mut self.nodes[slot];
        node.jobs.push_back(job);
        if node.jobs.len() == 1 {
            self.schedule_answer(slot);
        }
    }

    fn schedule_answer(&mut self, slot: usize) {
        let is_slow = !self.has_healed && self.chance.permille(10);
        let wait = if is_slow { self.chance.below(5 * SECOND) } else { self.chance.between(100, 3_000) };
        let life = self.nodes[slot].life;
        self.at(self.now + wait, Event::Answer { slot, life });
    }

    fn answer(&mut self, slot: usize, life: u64) {
        if self.nodes[slot].life != life {
            return;
        }
        let Some(job) = self.nodes[slot].jobs.pop_front() else { return };
        let is_doubted = !self.has_healed && self.chance.permille(self.plan.doubts);
        let now = Time::from_micros(self.now);
        let node = &mut self.nodes[slot];
        let Some(machine) = &mut node.machine else { return };
        match job {
            Job::Propose => {
                let proposal = node.propose(self.now);
                node.machine.as_mut().expect("it is up").proposed(now, Ok(proposal));
            }
            Job::Judge { digest, value } => {
                let judgement = if is_doubted { Judgement::Doubtful } else { node.judge(self.now, &value) };
                node.machine.as_mut().expect("it is up").judged(now, digest, judgement);
            }
            Job::Sign { ticket, pbft, keep } => {
                let key = node.key.expect("a follower signs nothing");
                machine.signed(now, ticket, Ok(keys::signed(key, &pbft)));
                node.write(keep);
                if node.is_honest {
                    self.check_vote(key, &pbft);
                }
            }
            Job::Close { value, proof, is_sync } => self.close(slot, value, proof, is_sync),
        }
        if !self.nodes[slot].jobs.is_empty() {
            self.schedule_answer(slot);
        }
        self.carry_out(slot);
    }

    fn close(&mut self, slot: usize, value: Bytes, proof: Bytes, is_sync: bool) {
        let node = &mut self.nodes[slot];
        if node.close(value, proof) {
            node.moved_at = self.now;
            let (now, tip) = (node.now(self.now), node.tip());
            node.machine.as_mut().expect("it is up").moved(now, &tip);
            self.check_ledger(slot);
        } else if !is_sync {
            let now = Time::from_micros(self.now);
            node.machine.as_mut().expect("it is up").not_closed(now);
        }
    }

    // ---- What must hold.

    // One ledger of each number, whoever closed it.
    fn check_ledger(&mut self, slot: usize) {
        let node = &self.nodes[slot];
        if !node.is_honest {
            return;
        }
        let last = node.chain.last().expect("it closed one");
        let closed = *self.closed.entry(node.last()).or_insert(last.digest);
        self.trace.write(&closed.0);
        assert_eq!(closed, last.digest, "two ledgers {}", node.last());
    }

    // One value for each kind, view and ledger that an honest validator signs, also across its crashes.
    fn check_vote(&mut self, key: usize, pbft: &[u8]) {
        let mut envelope = Vec::new();
        message::part(&mut envelope, 1, pbft);
        let vote = message::read(&envelope);
        if matches!(vote.kind, message::NEW_VIEW | message::RAW_VIEW_CHANGE) {
            return;
        }
        let place = (key, vote.kind, vote.view, vote.sequence);
        let before = self.signed.entry(place).or_insert_with(|| vote.digest.clone());
        assert_eq!(*before, vote.digest, "{key} signed twice {place:?}");
    }

    // ---- The network.

    fn send(&mut self, from: usize, but: Option<usize>, data: &Bytes) {
        if let Some(attacker) = &mut self.attacker {
            attacker.hear(data);
        }
        for to in 0..self.nodes.len() {
            if to != from && Some(to) != but {
                self.send_one(from, to, data);
            }
        }
    }

    fn send_one(&mut self, from: usize, to: usize, data: &Bytes) {
        if let Some(wait) = self.travel(from, to) {
            let data = data.clone();
            self.at(self.now + wait, Event::Deliver { to, from, data });
        }
        if !self.has_healed && self.chance.permille(self.plan.twice) {
            let wait = self.chance.below(20 * SECOND);
            let data = data.clone();
            self.at(self.now + wait, Event::Deliver { to, from, data });
        }
    }

    // How long something takes, if it arrives.
    fn travel(&mut self, from: usize, to: usize) -> Option<u64> {
        if self.has_healed {
            return Some(self.chance.between(1_000, 50_000));
        }
        if self.groups[from] != self.groups[to] || self.chance.permille(self.plan.lost) {
            return None;
        }
        let is_late = self.chance.permille(self.plan.late);
        Some(if is_late { self.chance.below(25 * SECOND) } else { self.chance.between(1_000, 80_000) })
    }

    fn trouble(&mut self) {
        if self.has_healed {
            return;
        }
        let slot = self.chance.below(self.nodes.len() as u64) as usize;
        match self.chance.below(6) {
            0 => self.groups.fill(0),
            1 => {
                for group in 0..self.groups.len() {
                    self.groups[group] = self.chance.below(2) as u8;
                }
            }
            2 | 3 if self.nodes[slot].machine.is_some() => {
                self.nodes[slot].crash(&mut self.chance);
                let up_at = self.now + self.chance.below(60 * SECOND);
                self.at(up_at, Event::Start { slot });
            }
            4 => {
                // All at once, as when the power fails.
                for slot in 0..self.nodes.len() {
                    if self.nodes[slot].machine.is_some() {
                        self.nodes[slot].crash(&mut self.chance);
                        let up_at = self.now + self.chance.below(10 * SECOND);
                        self.at(up_at, Event::Start { slot });
                    }
                }
            }
            _ => self.groups[slot] = 1 - self.groups[slot],
        }
        let next = self.now + self.chance.between(1, 2 * self.plan.trouble_every);
        self.at(next, Event::Trouble);
    }

    fn heal(&mut self) {
        self.has_healed = true;
        self.groups.fill(0);
        (0..self.nodes.len()).for_each(|slot| self.start(slot));
    }

    fn attack(&mut self) {
        let nodes = self.nodes.len() as u64;
        let Some(attacker) = &mut self.attacker else { return };
        for (data, to) in attacker.act(&mut self.chance) {
            for slot in 0..nodes as usize {
                // Some get it, some do not, and each may get something else.
                if to.is_none_or(|to| (slot as u64 + to).is_multiple_of(2)) {
                    let wait = self.chance.below(100_000);
                    self.at(self.now + wait, Event::Deliver { to: slot, from: slot, data: data.clone() });
                }
            }
        }
        let next = self.now + self.chance.between(10_000, 3 * SECOND);
        self.at(next, Event::Attack);
    }

    // ---- Sync.

    fn poll(&mut self, slot: usize) {
        if self.nodes[slot].machine.is_some() && self.now >= self.nodes[slot].moved_at + POLL {
            self.sync(slot);
        }
        self.at(self.now + POLL / 3, Event::Poll { slot });
    }

    fn sync(&mut self, slot: usize) {
        let node = &mut self.nodes[slot];
        if node.synced_at > 0 && self.now < node.synced_at + SECOND {
            return;
        }
        node.synced_at = self.now;
        let next = node.last() + 1;
        for to in 0..self.nodes.len() {
            if let Some(wait) = self.travel(slot, to).filter(|_| to != slot) {
                self.at(self.now + wait, Event::AskLedgers { to, from: slot, next });
            }
        }
    }

    fn serve(&mut self, slot: usize, to: usize, next: i64) {
        let node = &self.nodes[slot];
        let ledgers: Vec<_> = node.chain.iter().skip((next - 2) as usize).take(5).collect();
        if node.machine.is_none() || ledgers.is_empty() {
            return;
        }
        let ledgers = ledgers.into_iter().map(|closed| (closed.value.clone(), closed.proof.clone())).collect();
        let life = self.nodes[to].life;
        if let Some(wait) = self.travel(slot, to) {
            self.at(self.now + wait, Event::Ledgers { to, life, ledgers });
        }
    }

    fn ledgers(&mut self, to: usize, life: u64, ledgers: Vec<(Bytes, Bytes)>) {
        if self.nodes[to].life != life || self.nodes[to].machine.is_none() {
            return;
        }
        let full = ledgers.len() == 5;
        for (value, proof) in ledgers {
            self.ask(to, Job::Close { value, proof, is_sync: true });
        }
        if full {
            self.nodes[to].synced_at = 0;
        }
    }
}
