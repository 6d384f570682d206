//! Judges what is gossiped before it goes on: decoded to the last byte, the cheap rules, then the ledger's word (Mina
//! spec, sections 3.6, 4.2 and 6.4).
//!
//! ```text
//!   Deliver ─► kind ─► lane: room? paid? ─► decoded? ─► cheap rules ─► ledger ─► accept ─────────────► mesh
//!                        │ ignored            │ rejected   │ rejected    │         unverified ─► policy ─┤
//!                                                            or ignored  ├► ignore                       │
//!                                                                        └► reject: whoever sent it pays └► or held for a
//!                                                                                                          second peer
//! ```
//!
//! On the wire blocks, transactions and SNARK work share a topic; here each has a [`Lane`]: a queue, a budget, a handler
//! and counters of its own, so that a flood of one holds up no other. Sync messages are questions and answers, and have
//! theirs in `sync` and `serve`.

use crate::checks::{self, Objection};
use crate::config::Unverified;
use crate::envelope::{self, Content, Topic};
use crate::hash::state_hash;
use crate::ledger::{Hash, Kind, Origin, Request, Verdict};
use crate::mesh;
use crate::questions::Asked;
use crate::{Alarm, Cx, Mina, Misbehavior};
use alloc::collections::{BTreeMap, VecDeque};
use alloc::vec::Vec;
use bytes::Bytes;
use polypeer_engine::kit::cost::{Class, Price};
use polypeer_engine::{ConnectionId, NetworkGroup, Stock, Stocks, Time, Useful, Weight};

/// What is held for a second peer, all lanes together: two thirds of what the mesh lets be judged at one time, so that
/// what is held never stops what could be judged.
pub const HELD_MAX: usize = 96;
/// And of one peer; its oldest makes room. An honest one that is nearer to the source than all others sends no more in
/// the time.
pub const HELD_OF_ONE_MAX: usize = 12;
/// Peers that are remembered to have sent one message.
const SENDERS_MAX: usize = 8;

/// What a lane may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LaneBudget {
    /// The longest message, in bytes of the envelope: what a relay need not carry is less than what the network bears
    /// (section 4.4).
    pub message_bytes_max: usize,
    /// Messages in judgement.
    pub messages_max: usize,
    /// Their bytes.
    pub bytes_max: usize,
}

impl LaneBudget {
    /// What messages of this kind may have.
    pub const fn of(kind: Kind) -> Self {
        match kind {
            // One is made in three minutes, and a few by others in the same slot.
            Kind::Block => Self { message_bytes_max: envelope::BLOCK_BYTES_MAX, messages_max: 64, bytes_max: 32 << 20 },
            Kind::Transactions | Kind::SnarkWork => {
                Self { message_bytes_max: envelope::DIFF_BYTES_MAX, messages_max: 150, bytes_max: 16 << 20 }
            }
        }
    }
}

/// What was counted of one kind of message since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LaneCounts {
    /// Messages that came, each once.
    pub came: u64,
    /// Messages that were sent on.
    pub accepted: u64,
    /// Messages of no use.
    pub ignored: u64,
    /// Messages that were wrong.
    pub rejected: u64,
    /// Messages for which there was no room, or no credit.
    pub dropped: u64,
    /// Messages that were held for a second peer.
    pub held: u64,
    /// Messages for which none came in time.
    pub expired: u64,
    /// Messages of our own.
    pub published: u64,
}

/// One kind of message: its queue, its budget and its counters.
#[derive(Debug, Default)]
struct Lane {
    judging: BTreeMap<Hash, Judging>,
    bytes: usize,
    counts: LaneCounts,
}

/// A message in judgement.
#[derive(Debug)]
struct Judging {
    bytes: usize,
    // Who sent it, and where from; the first pays.
    senders: Vec<(ConnectionId, Origins)>,
    price: Price,
    is_held: bool,
}

/// Where a message came from, to tell whether two that sent it are independent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Origins {
    Group(NetworkGroup),
    // On a machine of one's own every peer is apart.
    Spared(ConnectionId),
}

/// All lanes.
#[derive(Debug, Default)]
pub(crate) struct Lanes {
    lanes: [Lane; Kind::ALL.len()],
    // What is held, in the order in which it expires.
    held: VecDeque<(Time, Kind, Hash)>,
}

/// A message that no honest peer sends on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GossipFault {
    /// It does not decode to its last byte, or its envelope's count is wrong; borne.
    Malformed,
    /// It breaks a rule that every node checks before it sends on. Another transaction version is borne, and counts five
    /// times.
    Rule(Objection),
    /// What the ledger refused: a proof or signature that is wrong, a rule of its own.
    Refused(Kind),
}

impl GossipFault {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Malformed => "malformed_message",
            Self::Rule(Objection::Genesis) => "other_genesis",
            Self::Rule(Objection::Constants) => "other_constants",
            Self::Rule(Objection::Version) => "other_protocol_version",
            Self::Rule(Objection::DeltaProof) => "wrong_delta_proof",
            Self::Rule(Objection::Timestamp) => "wrong_timestamp",
            Self::Rule(Objection::BodyReference) => "wrong_body",
            Self::Rule(Objection::Future) => "future_block",
            Self::Rule(Objection::Late) => "late_block",
            Self::Rule(Objection::Statement) => "wrong_statement",
            Self::Refused(Kind::Block) => "refused_block",
            Self::Refused(Kind::Transactions) => "refused_transactions",
            Self::Refused(Kind::SnarkWork) => "refused_snark_work",
        }
    }

    pub(crate) fn weight(self) -> Weight {
        match self {
            Self::Malformed | Self::Rule(Objection::Version | Objection::Future | Objection::Late) => Weight::Slip,
            Self::Rule(_) => Weight::Attack,
            // An honest relay that cannot verify proofs may have been used.
            Self::Refused(_) => Weight::Breach,
        }
    }
}

impl Lanes {
    fn lane(&mut self, kind: Kind) -> &mut Lane {
        &mut self.lanes[kind as usize]
    }

    pub(crate) fn counts(&self, kind: Kind) -> LaneCounts {
        self.lanes[kind as usize].counts
    }

    pub(crate) fn published(&mut self, kind: Kind) {
        self.lane(kind).counts.published += 1;
    }

    fn find(&self, id: &Hash) -> Option<Kind> {
        Kind::ALL.into_iter().find(|kind| self.lanes[*kind as usize].judging.contains_key(id))
    }

    fn has_room(&self, kind: Kind, bytes: usize) -> bool {
        let (lane, budget) = (&self.lanes[kind as usize], LaneBudget::of(kind));
        lane.judging.len() < budget.messages_max && lane.bytes + bytes <= budget.bytes_max
    }

    fn remove(&mut self, kind: Kind, id: &Hash) -> Option<Judging> {
        let lane = self.lane(kind);
        let judging = lane.judging.remove(id)?;
        lane.bytes -= judging.bytes;
        if judging.is_held {
            self.held.retain(|(_, _, held)| held != id);
        }
        Some(judging)
    }

    // The message whose place another may have: the oldest of this peer when it holds its share, else the oldest of
    // whoever holds most.
    fn to_make_room(&self, sender: ConnectionId) -> Option<Hash> {
        let mut held: BTreeMap<ConnectionId, (usize, Hash)> = BTreeMap::new();
        for (_, kind, id) in &self.held {
            let judging = self.lanes[*kind as usize].judging.get(id);
            let first = judging.and_then(|judging| judging.senders.first()).map(|(first, _)| *first);
            if let Some(first) = first {
                held.entry(first).or_insert((0, *id)).0 += 1;
            }
        }
        if let Some((_, oldest)) = held.get(&sender).filter(|(count, _)| *count >= HELD_OF_ONE_MAX) {
            return Some(*oldest);
        }
        let most = || held.values().max_by_key(|(count, _)| *count).map(|(_, oldest)| *oldest);
        if self.held.len() >= HELD_MAX { most() } else { None }
    }

    pub(crate) fn stock(&self, stocks: &mut Stocks) {
        const NAMES: [[&str; 2]; Kind::ALL.len()] = [
            ["blocks in judgement", "bytes of blocks in judgement"],
            ["transactions in judgement", "bytes of transactions in judgement"],
            ["SNARK work in judgement", "bytes of SNARK work in judgement"],
        ];
        for ((kind, lane), [messages, bytes]) in Kind::ALL.into_iter().zip(&self.lanes).zip(NAMES) {
            let budget = LaneBudget::of(kind);
            stocks.push(Stock::kept(messages, lane.judging.len(), budget.messages_max));
            stocks.push(Stock::kept(bytes, lane.bytes, budget.bytes_max));
        }
        stocks.push(Stock::kept("messages held for a second peer", self.held.len(), HELD_MAX));
    }
}

/// What comes.
impl Mina {
    /// What was counted of this kind of message.
    pub fn lane(&self, kind: Kind) -> LaneCounts {
        self.lanes.counts(kind)
    }

    /// A new message. Its verdict, unless the ledger is to say.
    pub(crate) fn on_gossip(
        &mut self,
        cx: &mut Cx<'_>,
        id: Hash,
        data: Bytes,
        sender: ConnectionId,
    ) -> Option<mesh::Verdict> {
        let Some(kind) = kind_of(&data) else {
            self.blame_gossip(cx, sender, GossipFault::Malformed);
            return Some(mesh::Verdict::Reject);
        };
        self.lanes.lane(kind).counts.came += 1;
        let price = price(kind, data.len());
        let is_taken = data.len() <= LaneBudget::of(kind).message_bytes_max
            && self.lanes.has_room(kind, data.len())
            && self.pays(cx, sender, Class::BlockCheck, price);
        if !is_taken {
            self.lanes.lane(kind).counts.dropped += 1;
            return Some(mesh::Verdict::Ignore);
        }
        match self.question(cx, id, &data) {
            Ok(Some(request)) => {
                let senders = Vec::from([(sender, self.origins(cx, sender))]);
                let lane = self.lanes.lane(kind);
                lane.bytes += data.len();
                lane.judging.insert(id, Judging { bytes: data.len(), senders, price, is_held: false });
                self.ask_ledger(cx, request, Asked::Gossip(id));
                None
            }
            Ok(None) => {
                self.lanes.lane(kind).counts.ignored += 1;
                Some(mesh::Verdict::Ignore)
            }
            Err(fault) => {
                self.lanes.lane(kind).counts.rejected += 1;
                self.blame_gossip(cx, sender, fault);
                Some(mesh::Verdict::Reject)
            }
        }
    }

    // Decodes a message, applies the cheap rules, and says what is to be asked; nothing when it is of no use.
    fn question(&self, cx: &Cx<'_>, id: Hash, data: &Bytes) -> Result<Option<Request>, GossipFault> {
        let opened = match envelope::open(Topic::Consensus, data) {
            Ok(opened) => opened,
            Err(wrong) => return of_no_use(wrong.is_fault(), GossipFault::Malformed),
        };
        let value = data.slice(opened.value);
        match opened.content {
            Content::Block(block) => {
                let checked = self.rules.check_block(&block, cx.now().unix_ms, Origin::Gossip);
                if let Err(objection) = checked {
                    return of_no_use(objection.is_fault(), GossipFault::Rule(objection));
                }
                let header_end = (value.len() - block.body.bytes().len()) as u32;
                let hash = state_hash(&block.header.state);
                Ok(Some(Request::Block { id, hash, block: value, header_end, origin: Origin::Gossip }))
            }
            Content::Transactions(_) => Ok(Some(Request::Commands { id, commands: value })),
            Content::SnarkWork(diff) => match checks::check_snark_work(&diff) {
                Ok(()) => Ok(Some(Request::SnarkWork { id, diff: value })),
                Err(objection) => of_no_use(objection.is_fault(), GossipFault::Rule(objection)),
            },
            // Not on this topic.
            Content::Header(_) => Ok(None),
        }
    }

    /// Another peer sent a message that is in judgement. Its verdict, if that decides.
    pub(crate) fn on_gossip_again(&mut self, cx: &mut Cx<'_>, id: Hash, sender: ConnectionId) -> Option<mesh::Verdict> {
        let origins = self.origins(cx, sender);
        let kind = self.lanes.find(&id)?;
        let judging = self.lanes.lane(kind).judging.get_mut(&id)?;
        if judging.senders.len() < SENDERS_MAX && judging.senders.iter().all(|(other, _)| *other != sender) {
            judging.senders.push((sender, origins));
        }
        if !(judging.is_held && judging.has_two_origins()) {
            return None;
        }
        self.accept(cx, kind, id);
        Some(mesh::Verdict::Accept)
    }

    /// The mesh waits for a verdict no longer.
    pub(crate) fn forget_gossip(&mut self, id: Hash) {
        if let Some(kind) = self.lanes.find(&id) {
            self.lanes.remove(kind, &id);
            self.lanes.lane(kind).counts.expired += 1;
        }
    }

    fn origins(&self, cx: &Cx<'_>, connection: ConnectionId) -> Origins {
        let ip = cx.ends(connection).map(|ends| ends.remote.ip());
        match ip {
            Some(ip) if !(ip.is_loopback() && cx.config().spare_loopback) => Origins::Group(cx.book().group(ip)),
            _ => Origins::Spared(connection),
        }
    }

    fn blame_gossip(&self, cx: &mut Cx<'_>, connection: ConnectionId, fault: GossipFault) {
        // A quarter of a point of trust, where a fault of decoding takes a twentieth (section 3.6).
        let times = if fault == GossipFault::Rule(Objection::Version) { 5 } else { 1 };
        for _ in 0..times {
            self.blame(cx, connection, Misbehavior::Gossip(fault));
        }
    }
}

/// What the ledger thinks.
impl Mina {
    /// The ledger's word on a message, asked or not: while it is held that decides.
    pub(crate) fn on_judged(&mut self, cx: &mut Cx<'_>, id: Hash, verdict: Verdict) {
        let Some(kind) = self.lanes.find(&id) else { return };
        let said = match verdict {
            Verdict::Accept => Some(self.accept(cx, kind, id)),
            Verdict::Unverified => self.on_unverified(cx, kind, id),
            Verdict::Ignore => Some(self.ignore(kind, id)),
            Verdict::Reject => Some(self.reject(cx, kind, id)),
        };
        if let Some(verdict) = said {
            self.judge_gossip(cx, id, verdict);
        }
    }

    fn accept(&mut self, cx: &mut Cx<'_>, kind: Kind, id: Hash) -> mesh::Verdict {
        let judging = self.lanes.remove(kind, &id);
        self.lanes.lane(kind).counts.accepted += 1;
        if let Some((judging, (first, _))) = judging.as_ref().and_then(|it| Some((it, it.senders.first()?))) {
            cx.refund(*first, judging.price);
            cx.useful(*first, if kind == Kind::Block { Useful::Block } else { Useful::Transaction });
        }
        mesh::Verdict::Accept
    }

    fn ignore(&mut self, kind: Kind, id: Hash) -> mesh::Verdict {
        self.lanes.remove(kind, &id);
        self.lanes.lane(kind).counts.ignored += 1;
        mesh::Verdict::Ignore
    }

    fn reject(&mut self, cx: &mut Cx<'_>, kind: Kind, id: Hash) -> mesh::Verdict {
        self.lanes.lane(kind).counts.rejected += 1;
        for (sender, _) in self.lanes.remove(kind, &id).map(|judging| judging.senders).unwrap_or_default() {
            self.blame_gossip(cx, sender, GossipFault::Refused(kind));
        }
        mesh::Verdict::Reject
    }

    // Well formed, and nobody here can tell more: what the operator wants of such.
    fn on_unverified(&mut self, cx: &mut Cx<'_>, kind: Kind, id: Hash) -> Option<mesh::Verdict> {
        let policy = if kind == Kind::Block { self.config.unverified_blocks } else { self.config.unverified_diffs };
        let judging = self.lanes.lane(kind).judging.get_mut(&id)?;
        match policy {
            Unverified::Forward => Some(self.accept(cx, kind, id)),
            Unverified::Never => Some(self.ignore(kind, id)),
            Unverified::SecondPeer if judging.has_two_origins() => Some(self.accept(cx, kind, id)),
            // Said before.
            Unverified::SecondPeer if judging.is_held => None,
            Unverified::SecondPeer => {
                let first = judging.senders.first().map(|(first, _)| *first);
                self.hold(cx, kind, id, first);
                None
            }
        }
    }

    fn hold(&mut self, cx: &mut Cx<'_>, kind: Kind, id: Hash, first: Option<ConnectionId>) {
        let in_the_way = first.and_then(|first| self.lanes.to_make_room(first));
        if let Some(other) = in_the_way {
            self.give_up(cx, other);
        }
        let until = cx.time() + self.config.held_for;
        let lane = self.lanes.lane(kind);
        lane.counts.held += 1;
        if let Some(judging) = lane.judging.get_mut(&id) {
            judging.is_held = true;
        }
        self.lanes.held.push_back((until, kind, id));
        self.watch_held(cx);
    }

    fn watch_held(&self, cx: &mut Cx<'_>) {
        match self.lanes.held.front() {
            Some((until, ..)) => cx.alarm(Alarm::Held, *until),
            None => cx.cancel_alarm(Alarm::Held),
        }
    }

    /// Nobody else has sent what was held.
    pub(crate) fn on_held_for_long(&mut self, cx: &mut Cx<'_>) {
        while let Some((_, _, id)) = self.lanes.held.front().copied().filter(|(until, ..)| *until <= cx.time()) {
            self.give_up(cx, id);
        }
        self.watch_held(cx);
    }

    fn give_up(&mut self, cx: &mut Cx<'_>, id: Hash) {
        self.forget_gossip(id);
        self.judge_gossip(cx, id, mesh::Verdict::Ignore);
    }
}

impl Judging {
    fn has_two_origins(&self) -> bool {
        self.senders.first().is_some_and(|(_, first)| self.senders.iter().any(|(_, other)| other != first))
    }
}

// What is wrong is a fault or merely of no use.
fn of_no_use(is_fault: bool, fault: GossipFault) -> Result<Option<Request>, GossipFault> {
    if is_fault { Err(fault) } else { Ok(None) }
}

// The tag behind the count says what it is (section 4.2).
fn kind_of(data: &[u8]) -> Option<Kind> {
    match data.get(8)? {
        0 => Some(Kind::Block),
        1 => Some(Kind::SnarkWork),
        2 => Some(Kind::Transactions),
        _ => None,
    }
}

// A block's hash costs most, whatever its length; the rest is decoding.
fn price(kind: Kind, bytes: usize) -> Price {
    match kind {
        Kind::Block => Class::BlockCheck.price(0).times(16),
        Kind::Transactions | Kind::SnarkWork => Class::TransactionCheck.price(0).times(1 + bytes / 4096),
    }
}
