//! The network of a simulation: virtual time, links, and what happens when.

use super::node::{Line, Node};
use super::plan::{Attack, Plan};
use crate::stage::{TOPIC, signed};
use bytes::Bytes;
use ed25519_dalek::Signer as _;
use polypeer_engine::{ConnectionId, Direction, Frame, Now, Random, Time, Weight};
use polypeer_mina::mesh::frame;
use polypeer_mina::mesh::{About, CONSENSUS, Class, MessageId, Output, Verdict, Version};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};
use std::time::Duration;

/// Slips that end a connection: the engine's.
const SLIPS_MAX: usize = 20;
/// What valid data begins with.
const VALID: u8 = 1;
const INVALID: u8 = 0;
/// Bytes of what is published.
const DATA_BYTES: usize = 256;

enum Event {
    Join(usize),
    Leave(usize),
    Dial(usize, u32),
    Open(usize, ConnectionId),
    Arrive(usize, ConnectionId, Bytes),
    Wake(usize, u32),
    Judge(usize, u32, MessageId, Verdict),
    Attack(usize),
    Publish(u32),
}

struct Due {
    at: Time,
    number: u64,
    event: Event,
}

impl PartialEq for Due {
    fn eq(&self, other: &Self) -> bool {
        self.number == other.number
    }
}

impl Eq for Due {}

impl PartialOrd for Due {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Due {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.at, self.number).cmp(&(other.at, other.number))
    }
}

/// What a run came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Outcome {
    /// Honest nodes, one for each message, that had no connection to an honest one: which connections a node has is not
    /// the mesh's to decide, so that nothing is due to them.
    pub(crate) captured: usize,
    /// Deliveries that were due, and those that came in time and at all.
    pub(crate) due: usize,
    pub(crate) in_time: usize,
    pub(crate) came: usize,
    /// Honest nodes that an honest one banned, and slips between them.
    pub(crate) honest_banned: usize,
    pub(crate) honest_slips: usize,
    pub(crate) hostile_banned: usize,
    /// Invalid messages that an honest node got from an honest one.
    pub(crate) invalid_taken: usize,
    /// How long half of the deliveries took, 99 of a hundred, and all, in milliseconds.
    pub(crate) took_ms: [u64; 3],
    pub(crate) frames: u64,
    /// Folds everything that arrived.
    pub(crate) trace: u64,
}

impl Outcome {
    pub(crate) fn permille_in_time(&self) -> usize {
        self.in_time * 1_000 / self.due.max(1)
    }
}

pub(crate) struct World {
    plan: Plan,
    random: Random,
    now: Time,
    agenda: BinaryHeap<Reverse<Due>>,
    numbers: u64,
    nodes: Vec<Node>,
    // When each message was published, by whom, and who was captured then; and when it came to whom.
    published: BTreeMap<u32, (Time, usize, BTreeSet<usize>)>,
    came: BTreeMap<(u32, usize), Time>,
    outcome: Outcome,
    out: Vec<Output>,
}

fn at(seconds: u64) -> Time {
    Time::from_micros(seconds * 1_000_000)
}

impl World {
    pub(crate) fn new(plan: Plan) -> Self {
        let mut seed = [5; 32];
        seed[..8].copy_from_slice(&plan.seed.to_be_bytes());
        let nodes = (0..plan.nodes).map(|number| Node::new(number, &plan, [0; 32])).collect();
        let mut world = Self {
            random: Random::new(seed),
            now: Time::ZERO,
            agenda: BinaryHeap::new(),
            numbers: 0,
            nodes,
            published: BTreeMap::new(),
            came: BTreeMap::new(),
            outcome: Outcome::default(),
            out: Vec::new(),
            plan,
        };
        world.prepare();
        world
    }

    fn prepare(&mut self) {
        let plan = self.plan.clone();
        for node in 0..plan.nodes {
            let base = if plan.attack(node).is_some() { at(plan.hostile_join_s) } else { Time::ZERO };
            let late = Duration::from_micros(self.random.number() % 1_000_000);
            self.after(base + late, Event::Join(node));
        }
        let count = plan.lasts_s * 1_000 / plan.publish_ms;
        for number in 0..count {
            let when = at(plan.begins_s) + Duration::from_millis(number * plan.publish_ms);
            self.after(when, Event::Publish(number as u32));
        }
        let honest = (0..plan.nodes).filter(|node| plan.attack(*node).is_none()).count() as u64;
        let leaves = honest * plan.churn_per_minute * (plan.begins_s + plan.lasts_s) / 6_000;
        for _ in 0..leaves {
            let node = 1 + self.random.below(honest as usize - 1);
            let when = Duration::from_millis(self.random.number() % ((plan.begins_s + plan.lasts_s) * 1_000));
            self.after(Time::ZERO + when, Event::Leave(node));
        }
    }

    fn after(&mut self, at: Time, event: Event) {
        self.numbers += 1;
        self.agenda.push(Reverse(Due { at, number: self.numbers, event }));
    }

    fn wait(&mut self, millis: u64) -> Time {
        self.now + Duration::from_millis(millis)
    }

    pub(crate) fn run(mut self) -> Outcome {
        let ends = at(self.plan.begins_s + self.plan.lasts_s) + Duration::from_millis(self.plan.deadline_ms);
        while let Some(Reverse(due)) = self.agenda.pop() {
            if due.at > ends {
                break;
            }
            self.now = due.at;
            self.happen(due.event);
        }
        self.count();
        self.outcome
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Join(node) => self.join(node),
            Event::Leave(node) => self.leave(node),
            Event::Dial(node, life) => self.dial(node, life),
            Event::Open(node, connection) => {
                if self.nodes[node].lines.contains_key(&connection) {
                    self.nodes[node].mesh.opened(self.now, connection, Version::V1_1, &mut self.out);
                    self.carry_out(node);
                }
            }
            Event::Arrive(node, connection, frame) => self.arrive(node, connection, &frame),
            Event::Wake(node, life) => self.wake(node, life),
            Event::Judge(node, life, id, verdict) => {
                if self.nodes[node].life == life {
                    self.nodes[node].mesh.judged(self.now, id, verdict, &mut self.out);
                    self.carry_out(node);
                }
            }
            Event::Attack(node) => self.attack(node),
            Event::Publish(number) => self.publish(number),
        }
    }

    fn seed(&mut self) -> [u8; 32] {
        let mut seed = [0; 32];
        seed[..8].copy_from_slice(&self.random.number().to_be_bytes());
        seed
    }

    fn join(&mut self, number: usize) {
        let seed = self.seed();
        let node = &mut self.nodes[number];
        node.begin(self.now, seed);
        node.mesh.subscribe(self.now, TOPIC, &mut self.out);
        let life = node.life;
        let is_hostile = node.attack.is_some();
        self.carry_out(number);
        self.after(self.now, Event::Dial(number, life));
        if is_hostile {
            let wait = self.random.number() % 1_000;
            let when = self.wait(wait);
            self.after(when, Event::Attack(number));
        }
    }

    fn leave(&mut self, number: usize) {
        if !self.nodes[number].is_here {
            return;
        }
        let lines: Vec<ConnectionId> = self.nodes[number].lines.keys().copied().collect();
        lines.into_iter().for_each(|line| self.cut(number, line));
        self.nodes[number].is_here = false;
        self.nodes[number].life += 1;
        let wait = 500 + self.random.number() % 4_000;
        let when = self.wait(wait);
        self.after(when, Event::Join(number));
    }

    // Both ends of a connection are gone.
    fn cut(&mut self, number: usize, connection: ConnectionId) {
        let Some(line) = self.nodes[number].lines.remove(&connection) else { return };
        self.nodes[number].mesh.gone(self.now, connection);
        self.nodes[line.to].lines.remove(&line.theirs);
        self.nodes[line.to].mesh.gone(self.now, line.theirs);
    }

    fn dial(&mut self, number: usize, life: u32) {
        let node = &self.nodes[number];
        if node.life != life {
            return;
        }
        let (wanted, most) = if node.attack.is_some() { (self.plan.hostile_dials, 8) } else { (self.plan.dials, 4) };
        let is_besieging = self.plan.eclipses_victim && node.attack.is_some();
        if is_besieging && !node.is_connected_to(0) {
            self.connect(number, 0);
        }
        let missing = wanted.saturating_sub(self.nodes[number].count(Direction::Outbound));
        for _ in 0..missing.min(most) {
            let other = self.random.below(self.nodes.len());
            self.connect(number, other);
        }
        let when = self.wait(if missing > 0 { 250 } else { 1_000 });
        self.after(when, Event::Dial(number, life));
    }

    fn connect(&mut self, dialler: usize, other: usize) {
        let (one, two) = (&self.nodes[dialler], &self.nodes[other]);
        let is_welcome = two.is_here && !two.banned.contains(&dialler) && !one.banned.contains(&other);
        let is_full = two.count(Direction::Inbound) >= self.plan.slots && two.attack.is_none();
        if dialler == other || !is_welcome || is_full || one.is_connected_to(other) {
            return;
        }
        let delay_us = 5_000 + self.random.number() % 145_000;
        let (ours, theirs) = (
            self.nodes[dialler].next_connection(Direction::Outbound),
            self.nodes[other].next_connection(Direction::Inbound),
        );
        for (number, peer, on, their) in [(dialler, other, ours, theirs), (other, dialler, theirs, ours)] {
            let about = About { id: self.nodes[peer].id, direction: on.direction(), ip: None };
            let line = Line { to: peer, theirs: their, delay_us, last: self.now };
            self.nodes[number].lines.insert(on, line);
            self.nodes[number].mesh.connected(self.now, on, about);
            // Handshake and negotiation.
            self.after(self.now + Duration::from_micros(delay_us * 4), Event::Open(number, on));
            self.set_wake(number);
        }
    }

    fn arrive(&mut self, number: usize, connection: ConnectionId, frame: &Bytes) {
        if !self.nodes[number].lines.contains_key(&connection) {
            return;
        }
        self.outcome.frames += 1;
        let place = (number as u64) << 32 ^ self.now.as_micros() ^ frame.len() as u64;
        self.outcome.trace = (self.outcome.trace ^ place).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(17);
        self.nodes[number].mesh.receive(self.now, connection, Frame::from(frame), &mut self.out);
        self.carry_out(number);
    }

    fn wake(&mut self, number: usize, life: u32) {
        let node = &mut self.nodes[number];
        if node.life != life || node.wakes != Some(self.now) {
            return;
        }
        node.wakes = None;
        node.mesh.wake(self.now, &mut self.out);
        assert!(node.mesh.is_sound());
        self.carry_out(number);
    }

    fn set_wake(&mut self, number: usize) {
        let node = &mut self.nodes[number];
        let Some(at) = node.mesh.next_wake().filter(|at| node.wakes.is_none_or(|set| *at < set)) else { return };
        node.wakes = Some(at.max(self.now));
        let (at, life) = (at.max(self.now), node.life);
        self.after(at, Event::Wake(number, life));
    }

    fn carry_out(&mut self, number: usize) {
        let mut out = std::mem::take(&mut self.out);
        for output in out.drain(..) {
            match output {
                Output::Send { peer, frame, class } => self.send(number, peer, frame, class),
                Output::Deliver { id, data, peer, .. } => self.deliver(number, id, &data, peer),
                Output::Penalty { peer, fault } => self.punish(number, peer, fault.weight()),
                Output::Again { .. } | Output::Published { .. } | Output::Connect { .. } => {}
                Output::Sign { .. } | Output::Expired { .. } => panic!("{output:?}"),
            }
        }
        self.out = out;
        self.set_wake(number);
    }

    fn send(&mut self, number: usize, connection: ConnectionId, frame: Bytes, class: Class) {
        if self.nodes[number].keeps_back(&frame, class, &self.nodes[0].id) {
            return;
        }
        self.put(number, connection, frame, class);
    }

    fn put(&mut self, number: usize, connection: ConnectionId, frame: Bytes, class: Class) {
        if class != Class::Control && self.random.below(1_000) < self.plan.lost_permille {
            return;
        }
        let jitter = self.random.number() % 10_000;
        let Some(line) = self.nodes[number].lines.get_mut(&connection) else { return };
        let at = (self.now + Duration::from_micros(line.delay_us + jitter)).max(line.last);
        line.last = at;
        let (to, theirs) = (line.to, line.theirs);
        self.after(at, Event::Arrive(to, theirs, frame));
    }

    fn deliver(&mut self, number: usize, id: MessageId, data: &[u8], from: ConnectionId) {
        let is_valid = data.first() == Some(&VALID);
        let from = self.nodes[number].lines.get(&from).map(|line| line.to);
        let is_honest = |node: usize| self.plan.attack(node).is_none();
        if !is_valid && is_honest(number) && from.is_some_and(is_honest) {
            self.outcome.invalid_taken += 1;
        }
        if let Some(number_of) = data.get(1..5).and_then(|bytes| Some(u32::from_be_bytes(bytes.try_into().ok()?)))
            && is_valid
        {
            self.came.entry((number_of, number)).or_insert(self.now);
        }
        // An attacker judges as it likes.
        let verdict = if is_valid || !is_honest(number) { Verdict::Accept } else { Verdict::Reject };
        let wait = 5 + self.random.number() % 40;
        let (when, life) = (self.wait(wait), self.nodes[number].life);
        self.after(when, Event::Judge(number, life, id, verdict));
    }

    fn punish(&mut self, number: usize, connection: ConnectionId, weight: Weight) {
        let Some(peer) = self.nodes[number].lines.get(&connection).map(|line| line.to) else { return };
        if self.plan.attack(number).is_some() {
            return;
        }
        let is_honest = self.plan.attack(peer).is_none();
        let slips = self.nodes[number].slips.entry(peer).or_default();
        *slips += 1;
        self.outcome.honest_slips += usize::from(is_honest);
        if *slips > SLIPS_MAX || weight > Weight::Slip {
            self.nodes[number].banned.insert(peer);
            self.outcome.honest_banned += usize::from(is_honest);
            self.outcome.hostile_banned += usize::from(!is_honest);
            self.cut(number, connection);
        }
    }

    // What an attacker does beside what its mesh does, each second.
    fn attack(&mut self, number: usize) {
        let lines: Vec<ConnectionId> = self.nodes[number].lines.keys().copied().collect();
        for connection in lines {
            match self.nodes[number].attack {
                Some(Attack::Greedy) => self.put(number, connection, frame::graft(CONSENSUS), Class::Control),
                Some(Attack::Noisy) => self.make_noise(number, connection),
                _ => {}
            }
        }
        let when = self.wait(1_000);
        self.after(when, Event::Attack(number));
    }

    fn make_noise(&mut self, number: usize, connection: ConnectionId) {
        if self.random.below(3) > 0 {
            return self.make_controls(number, connection);
        }
        let mut data = [INVALID; 32];
        data[8..16].copy_from_slice(&self.random.number().to_be_bytes());
        let (author, seqno) = (number as u64, self.random.number());
        let invalid = signed(author, seqno, CONSENSUS, &data);
        let mut forged = invalid.to_vec();
        if let Some(last) = forged.last_mut() {
            *last ^= 1;
        }
        let some = if self.random.below(2) == 0 { invalid } else { forged.into() };
        self.put(number, connection, some, Class::Control);
    }

    fn make_controls(&mut self, number: usize, connection: ConnectionId) {
        let ids: Vec<MessageId> = (0..20).map(|_| MessageId(self.seed())).collect();
        let noise = [
            frame::ihave(CONSENSUS, &ids),
            frame::iwant(&ids),
            frame::prune(CONSENSUS, Some(u64::MAX), &[]),
            frame::graft(CONSENSUS),
        ];
        let some = noise[self.random.below(noise.len())].clone();
        self.put(number, connection, some, Class::Control);
    }

    fn publish(&mut self, number: u32) {
        let settled = |node: &&usize| {
            let node = &self.nodes[**node];
            node.is_here && self.now >= node.since + Duration::from_secs(self.plan.settles_s)
        };
        let honest: Vec<usize> = (0..self.plan.nodes).filter(|node| self.plan.attack(*node).is_none()).collect();
        let fit: Vec<usize> = honest.iter().filter(settled).copied().collect();
        let publisher = if self.plan.victim_publishes { 0 } else { fit[self.random.below(fit.len())] };
        let mut data = vec![7; DATA_BYTES];
        data[0] = VALID;
        data[1..5].copy_from_slice(&number.to_be_bytes());
        let now = Now { monotonic: self.now, unix_ms: 1_700_000_000_000 };
        let node = &mut self.nodes[publisher];
        let ticket = node.mesh.publish(now, TOPIC, data.into(), &mut self.out).expect("it is new");
        let Some(Output::Sign { bytes, .. }) = self.out.pop() else { panic!("nothing to sign") };
        let signature = node.key.sign(&bytes).to_bytes();
        node.mesh.signed(self.now, ticket, Some(&signature), &mut self.out);
        let captured = honest.into_iter().filter(|node| self.is_captured(*node)).collect();
        self.published.insert(number, (self.now, publisher, captured));
        self.carry_out(publisher);
    }

    fn is_captured(&self, node: usize) -> bool {
        !self.nodes[node].lines.values().any(|line| self.plan.attack(line.to).is_none())
    }

    // Who must have had what: honest nodes that were there and settled when it was published, and are there still.
    fn count(&mut self) {
        let mut took = Vec::new();
        for (number, (at, publisher, captured)) in &self.published {
            let deadline = *at + Duration::from_millis(self.plan.deadline_ms);
            for node in (0..self.plan.nodes).filter(|node| self.plan.attack(*node).is_none() && node != publisher) {
                let state = &self.nodes[node];
                if !state.is_here || *at < state.since + Duration::from_secs(self.plan.settles_s) {
                    continue;
                }
                if captured.contains(&node) {
                    self.outcome.captured += 1;
                    continue;
                }
                self.outcome.due += 1;
                if let Some(came) = self.came.get(&(*number, node)) {
                    self.outcome.came += 1;
                    self.outcome.in_time += usize::from(*came <= deadline);
                    took.push(came.since(*at).as_millis() as u64);
                }
            }
        }
        took.sort_unstable();
        let at = |percent: usize| took.get((took.len() * percent / 100).min(took.len().saturating_sub(1))).copied();
        self.outcome.took_ms = [50, 99, 100].map(|percent| at(percent).unwrap_or(0));
    }
}
