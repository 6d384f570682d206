//! Keeps blocks whose parent the ledger does not hold yet, within limits by peer and in all (AnYa spec, section 6).
//!
//! Two kinds of blocks are here. An *orphan* was sent unasked: at most 64 a peer and 32 MiB in all, the oldest leaves.
//! A *gap* block was fetched on the way up to a tip: bytes beyond the sender's share are not kept, only the hash, and
//! the block is fetched again when its turn comes. The ledger checked proof of work and root of all of them.

use alloc::collections::{BTreeMap, BTreeSet, VecDeque};
use alloc::vec::Vec;
use bytes::Bytes;
use polypeer_engine::kit::chain::{Hash, Head};
use polypeer_engine::{ConnectionId, Stock, Stocks};

/// Gap blocks that are known at one time, with or without their bytes.
const GAP_BLOCKS_MAX: usize = 131_072;
/// What a block that waits costs besides its bytes.
pub(crate) const HELD_BYTES: usize = 512;
/// A frame at least this long has a read buffer of its own, so that keeping a slice of it keeps nothing else alive.
const SHARED_BYTES_MIN: usize = 16 << 10;

/// Whose limits a block is under.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Account {
    /// It was sent unasked.
    Orphan,
    /// It was fetched.
    Gap,
}

/// How far a block is on its way to the ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    /// Its parent is not held. It becomes `Due` when the parent is taken, or about to be.
    Waiting,
    /// Its turn has come, but its bytes must be fetched again.
    Due,
    /// The ledger has it.
    AtLedger,
}

/// A block that waits.
#[derive(Debug)]
pub(crate) struct Held {
    /// Its parent.
    pub parent: Hash,
    /// Its height.
    pub height: u64,
    /// Its bytes, unless they were too many.
    pub body: Option<Bytes>,
    /// Who sent it.
    pub from: ConnectionId,
    /// Its limits.
    pub account: Account,
    /// How far it is.
    pub stage: Stage,
}

#[derive(Debug, Default)]
struct Load {
    orphans: VecDeque<Hash>,
    orphan_bytes: usize,
    gap_bytes: usize,
}

/// The blocks that wait.
#[derive(Debug)]
pub(crate) struct Orphans {
    blocks: BTreeMap<Hash, Held>,
    by_parent: BTreeSet<(Hash, Hash)>,
    loads: BTreeMap<ConnectionId, Load>,
    orphan_bytes: usize,
    gap_blocks: usize,
    per_peer_max: usize,
    bytes_max: usize,
    // Parents of orphans that left for others, until they are taken.
    left: Vec<Hash>,
}

impl Orphans {
    pub(crate) fn new(per_peer_max: usize, bytes_max: usize) -> Self {
        Self {
            blocks: BTreeMap::new(),
            by_parent: BTreeSet::new(),
            loads: BTreeMap::new(),
            orphan_bytes: 0,
            gap_blocks: 0,
            per_peer_max,
            bytes_max,
            left: Vec::new(),
        }
    }

    pub(crate) fn stock(&self, stocks: &mut Stocks) {
        stocks.push(Stock::kept("orphans, bytes", self.orphan_bytes, self.bytes_max));
        stocks.push(Stock::kept("blocks ahead of their parents", self.gap_blocks, GAP_BLOCKS_MAX));
    }

    pub(crate) fn get(&self, hash: &Hash) -> Option<&Held> {
        self.blocks.get(hash)
    }

    /// Bytes of fetched blocks that a peer sent and that wait.
    pub(crate) fn gap_bytes(&self, from: ConnectionId) -> usize {
        self.loads.get(&from).map_or(0, |load| load.gap_bytes)
    }

    /// Blocks that wait for this one.
    pub(crate) fn children(&self, parent: Hash) -> Vec<Hash> {
        let range = (parent, Hash::ZERO)..=(parent, Hash([0xff; 32]));
        self.by_parent.range(range).map(|(_, child)| *child).collect()
    }

    /// Keeps a block. Whether there was room for it.
    pub(crate) fn insert(&mut self, head: Head, body: Option<&Bytes>, from: ConnectionId, account: Account) -> bool {
        if self.blocks.contains_key(&head.hash) {
            return true;
        }
        let bytes = body.map_or(0, Bytes::len);
        let has_room = match account {
            Account::Orphan => self.make_room(from, bytes),
            Account::Gap => self.gap_blocks < GAP_BLOCKS_MAX,
        };
        if !has_room {
            return false;
        }
        let load = self.loads.entry(from).or_default();
        match account {
            Account::Orphan => {
                load.orphans.push_back(head.hash);
                load.orphan_bytes += bytes;
                self.orphan_bytes += bytes;
            }
            Account::Gap => {
                load.gap_bytes += HELD_BYTES + bytes;
                self.gap_blocks += 1;
            }
        }
        let body = body.map(own);
        let held = Held { parent: head.parent, height: head.height, body, from, account, stage: Stage::Waiting };
        self.by_parent.insert((head.parent, head.hash));
        self.blocks.insert(head.hash, held);
        true
    }

    /// A gap block's bytes came again, from this peer.
    pub(crate) fn supply(&mut self, hash: &Hash, body: &Bytes, from: ConnectionId) {
        let Some(held) = self.blocks.get_mut(hash) else { return };
        if held.body.is_none() && held.account == Account::Gap {
            held.body = Some(own(body));
            let before = core::mem::replace(&mut held.from, from);
            if let Some(load) = self.loads.get_mut(&before) {
                load.gap_bytes -= HELD_BYTES;
            }
            self.loads.entry(from).or_default().gap_bytes += HELD_BYTES + body.len();
        }
    }

    pub(crate) fn set_stage(&mut self, hash: &Hash, stage: Stage) {
        if let Some(held) = self.blocks.get_mut(hash) {
            held.stage = stage;
        }
    }

    /// A block no longer waits.
    pub(crate) fn remove(&mut self, hash: &Hash) -> Option<Held> {
        let held = self.blocks.remove(hash)?;
        self.by_parent.remove(&(held.parent, *hash));
        let bytes = held.body.as_ref().map_or(0, Bytes::len);
        if held.account == Account::Gap {
            self.gap_blocks -= 1;
        } else {
            self.orphan_bytes -= bytes;
        }
        if let Some(load) = self.loads.get_mut(&held.from) {
            match held.account {
                Account::Orphan => {
                    load.orphans.retain(|orphan| orphan != hash);
                    load.orphan_bytes -= bytes;
                }
                Account::Gap => load.gap_bytes -= HELD_BYTES + bytes,
            }
            if load.orphans.is_empty() && load.gap_bytes == 0 {
                self.loads.remove(&held.from);
            }
        }
        Some(held)
    }

    /// Takes out a block and all that stand on it: their hashes.
    pub(crate) fn remove_branch(&mut self, root: Hash) -> BTreeSet<Hash> {
        let mut removed = BTreeSet::new();
        let mut next = alloc::vec![root];
        while let Some(hash) = next.pop() {
            if removed.insert(hash) {
                next.extend(self.children(hash));
                self.remove(&hash);
            }
        }
        removed
    }

    /// A connection is gone: its orphans go with it. What was fetched stays, whoever it came from.
    pub(crate) fn gone(&mut self, connection: ConnectionId) {
        let orphans = self.loads.get(&connection).map(|load| load.orphans.iter().copied().collect::<Vec<_>>());
        for hash in orphans.unwrap_or_default() {
            self.remove(&hash);
        }
    }

    /// Fetched blocks that wait for nothing any more go.
    pub(crate) fn drop_gaps(&mut self) {
        let all: Vec<_> =
            self.blocks.iter().filter(|(_, held)| held.account == Account::Gap).map(|(h, _)| *h).collect();
        for hash in all {
            self.remove(&hash);
        }
    }

    // Room for another orphan of this peer: its own oldest leave first, then those of whoever holds most.
    fn make_room(&mut self, from: ConnectionId, bytes: usize) -> bool {
        if bytes > self.bytes_max || self.per_peer_max == 0 {
            return false;
        }
        while self.loads.get(&from).is_some_and(|load| load.orphans.len() >= self.per_peer_max) {
            self.drop_oldest(from);
        }
        while self.orphan_bytes + bytes > self.bytes_max {
            let largest = self.loads.iter().max_by_key(|(_, load)| load.orphan_bytes).map(|(peer, _)| *peer);
            let Some(largest) = largest else { return false };
            self.drop_oldest(largest);
        }
        true
    }

    fn drop_oldest(&mut self, of: ConnectionId) {
        if let Some(oldest) = self.loads.get(&of).and_then(|load| load.orphans.front().copied()) {
            let held = self.remove(&oldest);
            self.left.extend(held.map(|held| held.parent));
        }
    }

    /// The parents of orphans that had to leave for others since this was asked last.
    pub(crate) fn take_left(&mut self) -> Vec<Hash> {
        core::mem::take(&mut self.left)
    }
}

// A block that is kept must not keep a whole read buffer alive.
fn own(body: &Bytes) -> Bytes {
    if body.len() >= SHARED_BYTES_MIN { body.clone() } else { Bytes::copy_from_slice(body) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use polypeer_engine::Direction;

    fn peer(number: u64) -> ConnectionId {
        ConnectionId::nth(Direction::Inbound, number)
    }

    fn head(number: u8, parent: u8) -> Head {
        Head { hash: Hash([number; 32]), parent: Hash([parent; 32]), height: u64::from(number) }
    }

    #[test]
    fn a_peers_oldest_orphan_leaves_first() {
        let mut orphans = Orphans::new(2, 1_000);
        let body = Bytes::from_static(&[1; 10]);
        for number in 1..=3 {
            assert!(orphans.insert(head(number, 100), Some(&body), peer(0), Account::Orphan));
        }
        assert!(orphans.insert(head(9, 100), Some(&body), peer(1), Account::Orphan));
        assert!(orphans.get(&Hash([1; 32])).is_none() && orphans.get(&Hash([9; 32])).is_some());
        assert_eq!(orphans.children(Hash([100; 32])), [Hash([2; 32]), Hash([3; 32]), Hash([9; 32])]);
    }

    #[test]
    fn whoever_holds_most_bytes_makes_room() {
        let mut orphans = Orphans::new(64, 100);
        let (large, small) = (Bytes::from_static(&[1; 40]), Bytes::from_static(&[1; 20]));
        orphans.insert(head(1, 100), Some(&large), peer(0), Account::Orphan);
        orphans.insert(head(2, 100), Some(&large), peer(0), Account::Orphan);
        orphans.insert(head(3, 100), Some(&small), peer(1), Account::Orphan);
        assert!(orphans.insert(head(4, 100), Some(&small), peer(1), Account::Orphan));
        assert!(orphans.get(&Hash([1; 32])).is_none());
        assert_eq!(orphans.orphan_bytes, 80);
        assert!(!orphans.insert(head(5, 100), Some(&Bytes::from_static(&[0; 101])), peer(1), Account::Orphan));
    }

    #[test]
    fn a_branch_leaves_as_a_whole_and_the_accounts_are_even() {
        let mut orphans = Orphans::new(64, 1_000);
        let body = Bytes::from_static(&[1; 10]);
        for number in 1..=5 {
            orphans.insert(head(number, number - 1), Some(&body), peer(0), Account::Gap);
        }
        orphans.insert(head(6, 5), Some(&body), peer(1), Account::Orphan);
        assert_eq!(orphans.remove_branch(Hash([3; 32])).len(), 4);
        assert_eq!((orphans.gap_blocks, orphans.gap_bytes(peer(0)), orphans.orphan_bytes), (2, 20 + 2 * HELD_BYTES, 0));
        orphans.drop_gaps();
        assert!(orphans.blocks.is_empty() && orphans.loads.is_empty() && orphans.by_parent.is_empty());
    }
}
