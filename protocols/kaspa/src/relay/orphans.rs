//! Keeps blocks whose parents are not held yet, bounded.

use crate::ledger::Hash;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;
use bytes::Bytes;
use polypeer_engine::{ConnectionId, Stock, Stocks};

/// Orphans that are kept, as many as today's nodes keep (Kaspa spec, section 4.4).
const ORPHANS_MAX: usize = 1_024;
/// Of one peer: several can fill the pool, one cannot push out what the others brought.
const ORPHANS_OF_PEER_MAX: usize = 256;
/// Bytes of all: 64 KiB each, ten times what a block of today's network has.
const BYTES_MAX: usize = 64 << 20;
/// A block this large is not kept (Kaspa spec, section 4.4).
const BLOCK_BYTES_MAX: usize = 1_000_000;
/// Blocks of one peer of which it is asked whether they are near: one a worker.
const CONSIDERED_OF_PEER_MAX: usize = super::WORKERS;
/// Missing roots that are asked for at once: what a block may have for parents (Kaspa spec, section 1.3: 2,048 by the
/// form, and far fewer by the rules).
const ROOTS_MAX: usize = 256;

/// Blocks that wait for their parents.
#[derive(Debug, Default)]
pub(crate) struct Orphans {
    blocks: BTreeMap<Hash, Orphan>,
    // Whom each missing block would help.
    children: BTreeMap<Hash, BTreeSet<Hash>>,
    // By age, the oldest first.
    ages: BTreeMap<u64, Hash>,
    of_peer: BTreeMap<ConnectionId, usize>,
    bytes: usize,
    next_age: u64,
    considered: BTreeMap<(ConnectionId, Hash), (Bytes, Vec<Hash>)>,
}

#[derive(Debug)]
struct Orphan {
    block: Bytes,
    missing: BTreeSet<Hash>,
    from: ConnectionId,
    age: u64,
}

impl Orphans {
    pub(crate) fn stock(&self, stocks: &mut Stocks) {
        stocks.push(Stock::kept("orphans", self.blocks.len(), ORPHANS_MAX));
        stocks.push(Stock::kept("bytes of orphans", self.bytes, BYTES_MAX));
    }

    pub(crate) fn contains(&self, hash: &Hash) -> bool {
        self.blocks.contains_key(hash)
    }

    /// Keeps a block while its peer is asked where it stands.
    pub(crate) fn consider(&mut self, hash: Hash, block: Bytes, parents: Vec<Hash>, from: ConnectionId) {
        let range = (from, Hash([0; 32]))..=(from, Hash([0xff; 32]));
        if self.considered.range(range).count() < CONSIDERED_OF_PEER_MAX {
            self.considered.insert((from, hash), (block, parents));
        }
    }

    /// Takes it back.
    pub(crate) fn considered(&mut self, hash: &Hash, from: ConnectionId) -> Option<(Bytes, Vec<Hash>)> {
        self.considered.remove(&(from, *hash))
    }

    /// A peer is gone, and with it what only it can say. Its orphans stay: others may bring their parents.
    pub(crate) fn gone(&mut self, connection: ConnectionId) {
        self.considered.retain(|(from, _), _| *from != connection);
    }

    /// Keeps an orphan, and says whether it may; the oldest makes room. `parents` are those that are not held.
    pub(crate) fn insert(&mut self, hash: Hash, block: Bytes, parents: &[Hash], from: ConnectionId) -> bool {
        if let Some(known) = self.remove(&hash) {
            self.put(hash, known.block, parents, known.from);
            return true;
        }
        let of_peer = self.of_peer.get(&from).copied().unwrap_or(0);
        if block.len() >= BLOCK_BYTES_MAX || of_peer >= ORPHANS_OF_PEER_MAX {
            return false;
        }
        self.put(hash, block, parents, from);
        while self.blocks.len() > ORPHANS_MAX || self.bytes > BYTES_MAX {
            let Some(oldest) = self.ages.values().next().copied() else { break };
            self.remove(&oldest);
        }
        true
    }

    fn put(&mut self, hash: Hash, block: Bytes, parents: &[Hash], from: ConnectionId) {
        let age = self.next_age;
        self.next_age += 1;
        self.bytes += block.len();
        self.ages.insert(age, hash);
        *self.of_peer.entry(from).or_default() += 1;
        for parent in parents {
            self.children.entry(*parent).or_default().insert(hash);
        }
        let missing = parents.iter().copied().collect();
        self.blocks.insert(hash, Orphan { block, missing, from, age });
    }

    fn remove(&mut self, hash: &Hash) -> Option<Orphan> {
        let orphan = self.blocks.remove(hash)?;
        self.bytes -= orphan.block.len();
        self.ages.remove(&orphan.age);
        if let Some(count) = self.of_peer.get_mut(&orphan.from) {
            *count -= 1;
            if *count == 0 {
                self.of_peer.remove(&orphan.from);
            }
        }
        for parent in &orphan.missing {
            if let Some(children) = self.children.get_mut(parent) {
                children.remove(hash);
                if children.is_empty() {
                    self.children.remove(parent);
                }
            }
        }
        Some(orphan)
    }

    /// A block is held now: gives those that lacked nothing else.
    pub(crate) fn adopt(&mut self, parent: &Hash) -> Vec<(Hash, Bytes, ConnectionId)> {
        let mut adopted = Vec::new();
        // It may have come while it was an orphan itself.
        self.remove(parent);
        for child in self.children.remove(parent).unwrap_or_default() {
            let Some(orphan) = self.blocks.get_mut(&child) else { continue };
            orphan.missing.remove(parent);
            if orphan.missing.is_empty()
                && let Some(orphan) = self.remove(&child)
            {
                adopted.push((child, orphan.block, orphan.from));
            }
        }
        adopted
    }

    /// A block is invalid, and with it all that stand on it.
    pub(crate) fn forsake(&mut self, hash: &Hash) {
        let mut next = alloc::vec![*hash];
        while let Some(hash) = next.pop() {
            next.extend(self.children.get(&hash).into_iter().flatten());
            self.remove(&hash);
        }
    }

    /// The blocks that an orphan lacks and that are not orphans themselves.
    pub(crate) fn roots(&self, hash: &Hash) -> Vec<Hash> {
        let (mut roots, mut seen, mut next) = (Vec::new(), BTreeSet::new(), alloc::vec![*hash]);
        while let Some(hash) = next.pop() {
            for parent in self.blocks.get(&hash).into_iter().flat_map(|orphan| &orphan.missing) {
                if !seen.insert(*parent) {
                    continue;
                }
                if self.blocks.contains_key(parent) {
                    next.push(*parent);
                } else if roots.len() < ROOTS_MAX {
                    roots.push(*parent);
                }
            }
        }
        roots
    }

    /// All blocks that orphans lack and that are not orphans themselves.
    pub(crate) fn missing(&self) -> Vec<Hash> {
        self.children.keys().filter(|parent| !self.blocks.contains_key(*parent)).copied().collect()
    }
}
