//! Keeps SNARK work that waits for a block: the cheapest offer for each statement.
//!
//! Which statements are wanted only the tree of work tells, which is not held here. So work waits until a block buys it,
//! or until it is old.

use bytes::Bytes;
use polypeer_mina::binprot::{Binable as _, OneOrTwo};
use polypeer_mina::block::Body;
use polypeer_mina::hash::blake2b;
use polypeer_mina::ledger::Hash;
use polypeer_mina::snark::{SolvedWork, Work, WorkStatement};
use std::collections::BTreeMap;

/// What a piece takes beside its bytes.
const OVERHEAD_BYTES: usize = 256;

/// How much waits at most.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Room {
    pub(crate) works: usize,
    pub(crate) bytes: usize,
}

#[derive(Debug)]
struct Waiting {
    diff: Bytes,
    fee: u64,
    place: u64,
    slot: u32,
}

/// All that wait.
#[derive(Debug)]
pub(crate) struct Works {
    room: Room,
    /// By what names the work, whoever did it.
    waiting: BTreeMap<Hash, Waiting>,
    order: BTreeMap<u64, Hash>,
    bytes: usize,
    places: u64,
}

impl Works {
    pub(crate) fn new(room: Room) -> Self {
        Self { room, waiting: BTreeMap::new(), order: BTreeMap::new(), bytes: 0, places: 0 }
    }

    /// Whether an offer for this work at this fee is news: the work is not offered yet, or costs more.
    pub(crate) fn is_news(&self, id: &Hash, fee: u64) -> bool {
        self.waiting.get(id).is_none_or(|waiting| fee < waiting.fee)
    }

    /// Keeps an offer, `diff` being its bytes. The oldest make room.
    pub(crate) fn put(&mut self, work: &SolvedWork<'_>, diff: Bytes, slot: u32) {
        let cost = diff.len() + OVERHEAD_BYTES;
        if cost > self.room.bytes || self.room.works == 0 {
            return;
        }
        let id = work.id();
        self.remove(&id);
        while self.waiting.len() >= self.room.works || self.bytes + cost > self.room.bytes {
            let Some(oldest) = self.order.values().next().copied() else { break };
            self.remove(&oldest);
        }
        let place = self.places;
        self.places += 1;
        self.bytes += cost;
        self.order.insert(place, id);
        self.waiting.insert(id, Waiting { diff, fee: work.fee, place, slot });
    }

    fn remove(&mut self, id: &Hash) {
        if let Some(Waiting { diff, place, .. }) = self.waiting.remove(id) {
            self.order.remove(&place);
            self.bytes -= diff.len() + OVERHEAD_BYTES;
        }
    }

    /// A block of the best chain: what it buys waits no longer, nor what came before this slot.
    pub(crate) fn follow(&mut self, body: &Body<'_>, oldest_slot: u32) {
        body.works().for_each(|work| self.remove(&bought(&work)));
        while let Some(id) = self.order.values().next().copied() {
            if self.waiting.get(&id).is_none_or(|waiting| waiting.slot >= oldest_slot) {
                break;
            }
            self.remove(&id);
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.waiting.len()
    }
}

/// What names work that a block buys: as [`SolvedWork::id`] does, from what the proofs prove.
fn bought(work: &Work<'_>) -> Hash {
    let statement = |proof: &_| {
        let proof: &polypeer_mina::binprot::Whole<'_, polypeer_mina::snark::LedgerProof<'_>> = proof;
        // What was checked is read again.
        let statement = proof.get().map(|proof| WorkStatement { statement: proof.statement, sok_digest: () }.encode());
        statement.unwrap_or_default()
    };
    match &work.proofs {
        OneOrTwo::One(first) => blake2b(&[&statement(first)]),
        OneOrTwo::Two(first, second) => blake2b(&[&statement(first), &statement(second)]),
    }
}
