//! Keeps commands that wait for a block, one for each nonce of a payer.
//!
//! No account is known here, so neither balances nor the next nonce of a payer that no kept block has, unless all blocks
//! are kept: what can be said is that a nonce was used, that two commands want the same one, that it is too late for one,
//! and that there is no room.
//! What nobody takes for a while makes room for others.

use crate::node::{Node, Spent};
use crate::tree::Moved;
use bytes::Bytes;
use polypeer_engine::Time;
use polypeer_mina::block::PublicKey;
use polypeer_mina::command::UserCommand;
use polypeer_mina::ledger::Hash;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};
use std::time::Duration;

/// What a command takes beside its bytes: its entries in four maps.
const OVERHEAD_BYTES: usize = 512;
/// How long a peer's command waits before it makes room for any other. Ten slots: one that pays enough has been taken by
/// then.
const PATIENCE: Duration = Duration::from_secs(30 * 60);

/// A command, its id and what the pool goes by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Offer {
    pub(crate) id: Hash,
    /// Its bytes, its kind in front.
    pub(crate) bytes: Bytes,
    pub(crate) payer: PublicKey,
    pub(crate) nonce: u32,
    pub(crate) fee: u64,
    pub(crate) valid_until: Option<u32>,
}

impl Offer {
    pub(crate) fn new(id: Hash, bytes: Bytes, command: &UserCommand<'_>) -> Self {
        let (payer, nonce) = (*command.fee_payer(), command.nonce());
        Self { id, bytes, payer, nonce, fee: command.fee(), valid_until: command.valid_until() }
    }

    fn cost(&self) -> usize {
        self.bytes.len() + OVERHEAD_BYTES
    }

    fn is_late(&self, global_slot: u32) -> bool {
        self.valid_until.is_some_and(|last| last < global_slot)
    }
}

/// What became of a command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Offered {
    /// It waits now, in the place of the operator's that had its nonce, if one had.
    Taken(Option<Offer>),
    /// It waits already.
    Known,
    /// A kept block has used its nonce.
    Used,
    /// Another waits with its nonce, and it does not pay more.
    Occupied,
    /// Its last slot is over.
    Late,
    /// There is no room for what pays so little.
    Cheap,
    /// There is no room, whatever it pays.
    Full,
}

#[derive(Clone, Debug)]
struct Waiting {
    offer: Offer,
    is_operators: bool,
    place: u64,
    since: Time,
}

/// How much waits at most.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Room {
    pub(crate) commands: usize,
    pub(crate) bytes: usize,
}

/// All that wait.
#[derive(Debug)]
pub(crate) struct Pool {
    room: Room,
    waiting: BTreeMap<Hash, Waiting>,
    nonces: BTreeMap<(PublicKey, u32), Hash>,
    /// Of those that may make room: the cheapest first, and of them the newest.
    cheapest: BTreeSet<(u64, Reverse<u64>, Hash)>,
    /// The next nonce of payers that the best chain's kept blocks have.
    next: BTreeMap<PublicKey, u32>,
    /// Whether the kept blocks go back to a first block below which nobody paid: then who is in none begins at 0.
    is_whole: bool,
    /// The operator's, until a block that settles them is final: a branch that wins could want them again.
    operators: BTreeMap<Hash, Offer>,
    bytes: usize,
    places: u64,
}

impl Pool {
    pub(crate) fn new(room: Room) -> Self {
        Self {
            room,
            waiting: BTreeMap::new(),
            nonces: BTreeMap::new(),
            cheapest: BTreeSet::new(),
            next: BTreeMap::new(),
            is_whole: false,
            operators: BTreeMap::new(),
            bytes: 0,
            places: 0,
        }
    }

    /// Offers a command in this global slot.
    pub(crate) fn offer(&mut self, offer: Offer, is_operators: bool, global_slot: u32, now: Time) -> Offered {
        if self.waiting.contains_key(&offer.id) {
            return self.adopt(&offer.id, is_operators);
        }
        if offer.is_late(global_slot) {
            return Offered::Late;
        }
        if self.next.get(&offer.payer).is_some_and(|next| offer.nonce < *next) {
            return Offered::Used;
        }
        let other = self.nonces.get(&(offer.payer, offer.nonce)).copied();
        if let Some(waiting) = other.and_then(|other| self.waiting.get(&other)) {
            // No signature is verified here: what the operator sent gives way to the operator only.
            let gives_way = is_operators || !waiting.is_operators;
            if !gives_way || offer.fee <= waiting.offer.fee {
                return Offered::Occupied;
            }
        }
        let is_known = self.operators.contains_key(&offer.id);
        if is_operators && !is_known && self.operators.len() >= self.room.commands {
            return Offered::Full;
        }
        if let Err(refused) = self.make_room(&offer, other, now) {
            return refused;
        }
        let replaced = other.and_then(|other| {
            self.remove(&other);
            self.operators.remove(&other)
        });
        self.put(offer, is_operators, now);
        Offered::Taken(replaced)
    }

    // What waits becomes the operator's; that is news when it was a peer's.
    fn adopt(&mut self, id: &Hash, is_operators: bool) -> Offered {
        let Some(waiting) = self.waiting.get_mut(id).filter(|waiting| is_operators && !waiting.is_operators) else {
            return Offered::Known;
        };
        if self.operators.len() >= self.room.commands {
            return Offered::Full;
        }
        waiting.is_operators = true;
        self.cheapest.remove(&(waiting.offer.fee, Reverse(waiting.place), *id));
        self.operators.insert(*id, waiting.offer.clone());
        Offered::Taken(None)
    }

    fn put(&mut self, offer: Offer, is_operators: bool, since: Time) {
        let (id, place) = (offer.id, self.places);
        self.places += 1;
        self.bytes += offer.cost();
        self.nonces.insert((offer.payer, offer.nonce), id);
        if is_operators {
            self.operators.insert(id, offer.clone());
        } else {
            self.cheapest.insert((offer.fee, Reverse(place), id));
        }
        self.waiting.insert(id, Waiting { offer, is_operators, place, since });
    }

    /// Lets the cheapest go that pay less, or have waited long enough, until there is room beside what is replaced.
    fn make_room(&mut self, offer: &Offer, replaced: Option<Hash>, now: Time) -> Result<(), Offered> {
        let freed = replaced.and_then(|id| self.waiting.get(&id)).map_or(0, |waiting| waiting.offer.cost());
        let count = |pool: &Self| pool.waiting.len() - usize::from(replaced.is_some()) + 1;
        while count(self) > self.room.commands || self.bytes - freed + offer.cost() > self.room.bytes {
            let is_other = |(_, _, id): &&(u64, Reverse<u64>, Hash)| Some(*id) != replaced;
            let Some((fee, _, id)) = self.cheapest.iter().find(is_other).copied() else { return Err(Offered::Full) };
            let is_stale = self.waiting.get(&id).is_some_and(|waiting| now.since(waiting.since) >= PATIENCE);
            if fee >= offer.fee && !is_stale {
                return Err(Offered::Cheap);
            }
            self.remove(&id);
        }
        Ok(())
    }

    /// Takes one out of those that wait.
    fn remove(&mut self, id: &Hash) -> Option<Waiting> {
        let waiting = self.waiting.remove(id)?;
        self.nonces.remove(&(waiting.offer.payer, waiting.offer.nonce));
        self.cheapest.remove(&(waiting.offer.fee, Reverse(waiting.place), *id));
        self.bytes -= waiting.offer.cost();
        Some(waiting)
    }

    /// Takes back what the operator offered, as it could not be stored, and lets wait again what it had replaced.
    pub(crate) fn withdraw(&mut self, id: &Hash, replaced: Option<Offer>, now: Time) {
        self.retire(id);
        if let Some(replaced) = replaced {
            self.put(replaced, true, now);
        }
    }

    /// Follows the best chain: what it lost waits again, as far as `undone` has the commands; what it won does not.
    pub(crate) fn follow(&mut self, moved: &Moved, undone: Vec<Offer>, global_slot: u32, now: Time) {
        for Spent { payer, nonce, .. } in moved.undone.iter().flat_map(|node| &node.spent) {
            self.next.entry(*payer).and_modify(|next| *next = (*next).min(*nonce));
        }
        moved.done.iter().for_each(|node| self.settle(node));
        for offer in undone {
            let is_operators = self.operators.contains_key(&offer.id);
            self.offer(offer, is_operators, global_slot, now);
        }
        if !moved.undone.is_empty() {
            // Their nonces may be free again. What the chain has is not taken.
            let unsettled = self.operators.values().filter(|offer| !self.waiting.contains_key(&offer.id));
            for offer in unsettled.cloned().collect::<Vec<_>>() {
                self.offer(offer, true, global_slot, now);
            }
        }
        let late = self.waiting.values().filter(|waiting| waiting.offer.is_late(global_slot));
        for id in late.map(|waiting| waiting.offer.id).collect::<Vec<_>>() {
            self.remove(&id);
        }
    }

    /// A block of the best chain: its commands, and others with nonces that it used, wait no longer.
    pub(crate) fn settle(&mut self, node: &Node) {
        for Spent { payer, nonce, .. } in &node.spent {
            let after = nonce.saturating_add(1);
            let next = self.next.entry(*payer).or_insert(after);
            *next = (*next).max(after);
            let used = self.nonces.range((*payer, 0)..=(*payer, *nonce)).map(|(_, id)| *id).collect::<Vec<_>>();
            used.iter().for_each(|id| drop(self.remove(id)));
        }
    }

    /// The best chain is another altogether, of these blocks: what was known of payers is not true any more.
    pub(crate) fn begin_anew<'n>(&mut self, main: impl Iterator<Item = &'n Node>) {
        self.next.clear();
        main.for_each(|node| self.settle(node));
    }

    /// Whether the best chain's kept blocks are all that there ever were.
    pub(crate) fn set_whole(&mut self, is_whole: bool) {
        self.is_whole = is_whole;
    }

    /// A block of the best chain is kept no longer: payers that were in none since are not known any more.
    pub(crate) fn forget(&mut self, node: &Node) {
        for Spent { payer, nonce, .. } in &node.spent {
            if self.next.get(payer) == Some(&nonce.saturating_add(1)) {
                self.next.remove(payer);
            }
        }
    }

    /// Of the operator's commands those that these final blocks settle: they have them, or used their nonces, or came
    /// too late for them.
    pub(crate) fn settled<'n>(&self, finals: impl Iterator<Item = &'n Node>) -> Vec<Hash> {
        let mut settled = Vec::new();
        for node in finals {
            let is_used = |offer: &&Offer| {
                let used = |spent: &Spent| spent.payer == offer.payer && spent.nonce >= offer.nonce;
                node.spent.iter().any(used) || offer.is_late(node.global_slot())
            };
            settled.extend(self.operators.values().filter(is_used).map(|offer| offer.id));
        }
        settled
    }

    /// The operator's command is settled for good.
    pub(crate) fn retire(&mut self, id: &Hash) {
        self.operators.remove(id);
        self.remove(id);
    }

    /// Lets the operator's stored command wait, or not when the best chain has it.
    pub(crate) fn load(&mut self, offer: Offer, is_confirmed: bool, global_slot: u32, now: Time) {
        if is_confirmed {
            self.operators.insert(offer.id, offer);
        } else {
            self.offer(offer, true, global_slot, now);
        }
    }

    /// The operator's commands that wait, at most so many.
    pub(crate) fn operators(&self, count_max: usize) -> Vec<Bytes> {
        let waiting = self.operators.keys().filter_map(|id| self.waiting.get(id));
        waiting.take(count_max).map(|waiting| waiting.offer.bytes.clone()).collect()
    }

    /// Whether it waits.
    pub(crate) fn get(&self, id: &Hash) -> Option<&Bytes> {
        self.waiting.get(id).map(|waiting| &waiting.offer.bytes)
    }

    /// How many wait.
    pub(crate) fn len(&self) -> usize {
        self.waiting.len()
    }

    /// The ids of those that wait.
    pub(crate) fn ids(&self) -> impl Iterator<Item = Hash> + use<'_> {
        self.waiting.keys().copied()
    }

    /// The next nonce of a payer, behind what waits without a gap; nothing of one that no kept block has and none waits
    /// of.
    pub(crate) fn next_nonce(&self, payer: &PublicKey) -> Option<u32> {
        let mut waiting = self.nonces.range((*payer, 0)..=(*payer, u32::MAX)).map(|((_, nonce), _)| *nonce).peekable();
        let first = self.used(payer).or_else(|| waiting.peek().copied())?;
        Some(
            waiting
                .skip_while(|nonce| *nonce < first)
                .fold(first, |next, nonce| if nonce == next { next.saturating_add(1) } else { next }),
        )
    }

    /// How many commands of a payer the best chain's kept blocks used, as far as they tell.
    pub(crate) fn used(&self, payer: &PublicKey) -> Option<u32> {
        self.next.get(payer).copied().or(self.is_whole.then_some(0))
    }

    /// What the next block should have: those that pay most, each payer's in the order of the nonces and without a gap.
    pub(crate) fn choose(&self, count_max: usize, bytes_max: usize) -> Vec<Bytes> {
        let mut heads = BinaryHeap::new();
        let mut payers = self.nonces.keys().map(|(payer, _)| *payer).collect::<Vec<_>>();
        payers.dedup();
        for payer in payers {
            let first = self.nonces.range((payer, 0)..=(payer, u32::MAX)).next().map(|((_, nonce), _)| *nonce);
            let next = self.used(&payer).or(first);
            heads.extend(next.and_then(|next| self.head(payer, next)));
        }
        let (mut chosen, mut bytes) = (Vec::new(), 0);
        while let Some((_, _, id)) = heads.pop().filter(|_| chosen.len() < count_max) {
            let Some(Waiting { offer, .. }) = self.waiting.get(&id) else { continue };
            if bytes + offer.bytes.len() > bytes_max {
                // The payer's later ones have to wait with it.
                continue;
            }
            bytes += offer.bytes.len();
            chosen.push(offer.bytes.clone());
            heads.extend(offer.nonce.checked_add(1).and_then(|next| self.head(offer.payer, next)));
        }
        chosen
    }

    // Of the same fee the one that came first.
    fn head(&self, payer: PublicKey, nonce: u32) -> Option<(u64, Reverse<u64>, Hash)> {
        let id = self.nonces.get(&(payer, nonce))?;
        self.waiting.get(id).map(|waiting| (waiting.offer.fee, Reverse(waiting.place), *id))
    }
}
