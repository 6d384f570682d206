//! Walks gaps downwards, block by block, many gaps at once.

use super::sources::{GapKey, Source};
use super::{Anya, Cx};
use crate::orphans::HELD_BYTES;
use alloc::collections::BTreeMap;
use alloc::collections::btree_map::Entry;
use alloc::vec::Vec;
use polypeer_engine::ConnectionId;
use polypeer_engine::kit::chain::{ChainFormat, Hash, Head};

/// A gap that is being walked.
#[derive(Debug)]
pub(crate) struct Gap {
    // The next block downwards that is not known yet, and its height. At the low end when the walk is done.
    cursor: Hash,
    height: u64,
    owner: ConnectionId,
}

impl<F: ChainFormat> Anya<F> {
    // Whether a peer's blocks that wait, and those it is asked for, are as many bytes as it may have.
    pub(super) fn is_over_share(&self, connection: ConnectionId) -> bool {
        let Some(source) = self.sync.sources.get(&connection) else { return true };
        let coming = source.asks.len() * (self.sync.block_bytes + HELD_BYTES);
        self.sync.orphans.gap_bytes(connection) + coming > self.share()
    }

    // Starts the next gap of a peer's claim. Whether there may be more to ask it for.
    pub(super) fn start_gap(&mut self, cx: &mut Cx<'_, F>, connection: ConnectionId) -> bool {
        let share = self.share();
        let held = self.sync.orphans.gap_bytes(connection);
        let block_bytes = (self.sync.block_bytes + HELD_BYTES) as u64;
        let Some(source) = self.sync.sources.get_mut(&connection) else { return false };
        let Some(claim) = &mut source.claim else { return false };
        if claim.next >= claim.waypoints.len() {
            return false;
        }
        let committed = source.walking.saturating_mul(block_bytes).saturating_add(held as u64);
        if source.walking > 0 && committed >= share as u64 {
            return false;
        }
        let key = GapKey { low: claim.waypoints[claim.next - 1], high: claim.waypoints[claim.next] };
        claim.next += 1;
        if let Entry::Vacant(vacant) = self.sync.gaps.entry(key) {
            vacant.insert(Gap { cursor: key.high.1, height: key.high.0, owner: connection });
            source.walking += key.high.0 - key.low.0;
            self.walk(cx, key);
        }
        true
    }

    // A peer that has nothing to do takes over half of what the busiest one has more: the next blocks of those gaps
    // are asked of it.
    pub(super) fn share_gaps(&mut self, to: ConnectionId) {
        let Some(source) = self.sync.sources.get(&to) else { return };
        let Some(claim) = source.claim.as_ref().filter(|_| source.asks.is_empty()) else { return };
        let mut by_owner = BTreeMap::<ConnectionId, Vec<GapKey>>::new();
        for (key, gap) in &self.sync.gaps {
            if gap.height > key.low.0 && gap.owner != to && claim.covers(key) {
                by_owner.entry(gap.owner).or_default().push(*key);
            }
        }
        let Some(keys) = by_owner.into_values().max_by_key(Vec::len) else { return };
        let count = keys.len() / 2;
        for key in keys.into_iter().rev().take(count) {
            self.hand_over(key, to);
        }
    }

    /// A gap whose owner is gone gets a new one.
    pub(super) fn adopt(&mut self, key: GapKey, by: ConnectionId) {
        let owner = self.sync.gaps.get(&key).map(|gap| gap.owner);
        if owner.is_some_and(|owner| !self.sync.sources.contains_key(&owner)) {
            self.hand_over(key, by);
        }
    }

    fn hand_over(&mut self, key: GapKey, to: ConnectionId) {
        let Some(gap) = self.sync.gaps.get_mut(&key) else { return };
        let (left, from) = (gap.height - key.low.0, core::mem::replace(&mut gap.owner, to));
        if let Some(source) = self.sync.sources.get_mut(&from) {
            source.walking = source.walking.saturating_sub(left);
        }
        if let Some(source) = self.sync.sources.get_mut(&to) {
            source.walking += left;
        }
    }

    // Goes down a gap through what is known, and wants the next block, of the gap's owner if it may be asked.
    pub(super) fn walk(&mut self, cx: &mut Cx<'_, F>, key: GapKey) {
        let mut steps = 0;
        while let Some(gap) = self.sync.gaps.get_mut(&key) {
            if gap.height <= key.low.0 {
                break;
            }
            let (cursor, height, owner) = (gap.cursor, gap.height, gap.owner);
            let Some(head) = self.known_head(&cursor) else {
                self.walked(key, steps);
                return self.want_for_gap(cx, key, cursor, height, owner);
            };
            let is_last = height == key.low.0 + 1;
            if self.sync.bad.contains(&cursor) || head.height != height || is_last && head.parent != key.low.1 {
                self.walked(key, steps);
                return self.gap_is_false(cx, key);
            }
            if let Some(gap) = self.sync.gaps.get_mut(&key) {
                gap.cursor = head.parent;
                gap.height -= 1;
                steps += 1;
            }
        }
        self.walked(key, steps);
    }

    fn walked(&mut self, key: GapKey, steps: u64) {
        let owner = self.sync.gaps.get(&key).map(|gap| gap.owner);
        if let Some(source) = owner.and_then(|owner| self.sync.sources.get_mut(&owner)) {
            source.walking = source.walking.saturating_sub(steps);
        }
    }

    pub(super) fn known_head(&self, hash: &Hash) -> Option<Head> {
        if let Some(held) = self.sync.orphans.get(hash) {
            return Some(Head { hash: *hash, parent: held.parent, height: held.height });
        }
        self.sync.checking.get(hash).map(|checking| checking.head)
    }

    // The blocks do not fit the heights, or the ends do not meet: whoever claims it is wrong.
    pub(super) fn gap_is_false(&mut self, cx: &mut Cx<'_, F>, key: GapKey) {
        for connection in self.claimants_of(&key) {
            self.disappointed(cx, connection);
        }
    }

    fn claimants_of(&self, key: &GapKey) -> Vec<ConnectionId> {
        let claims = |source: &Source| source.claim.as_ref().is_some_and(|claim| claim.covers(key));
        self.sync.sources.iter().filter(|(_, source)| claims(source)).map(|(connection, _)| *connection).collect()
    }

    /// A waypoint is held: the gap below it is done.
    pub(crate) fn gaps_finished(&mut self, cx: &mut Cx<'_, F>, waypoint: (u64, Hash)) {
        let mut moved = Vec::new();
        for (connection, source) in &mut self.sync.sources {
            let Some(claim) = &mut source.claim else { continue };
            if claim.waypoints.get(claim.from) == Some(&waypoint) {
                let key = GapKey { low: claim.waypoints[claim.from - 1], high: waypoint };
                claim.from += 1;
                claim.next = claim.next.max(claim.from);
                moved.push((*connection, key));
            }
        }
        for (connection, key) in moved {
            self.drop_gap(key);
            let claim = self.sync.sources.get(&connection).and_then(|source| source.claim.as_ref());
            if claim.is_some_and(|claim| claim.from == claim.waypoints.len()) {
                self.claim_done(cx, connection);
            } else {
                self.fill(cx, connection);
            }
        }
    }

    /// A block of these gaps is held, and so is all that is below it, wherever their lower ends are.
    pub(crate) fn gaps_ended(&mut self, keys: Vec<GapKey>) {
        for key in keys {
            let Some(gap) = self.sync.gaps.get_mut(&key).filter(|gap| gap.height > key.low.0) else { continue };
            let (cursor, left) = (gap.cursor, core::mem::replace(&mut gap.height, key.low.0) - key.low.0);
            self.walked(key, left);
            self.gap_no_longer_wants(key, cursor);
        }
    }

    // A gap is no longer walked.
    pub(super) fn drop_gap(&mut self, key: GapKey) {
        let Some(gap) = self.sync.gaps.remove(&key) else { return };
        if let Some(source) = self.sync.sources.get_mut(&gap.owner) {
            source.walking = source.walking.saturating_sub(gap.height.saturating_sub(key.low.0));
        }
        self.gap_no_longer_wants(key, gap.cursor);
    }

    /// Gaps that nobody claims any more are no longer walked.
    pub(crate) fn drop_unclaimed_gaps(&mut self) {
        let sources = &self.sync.sources;
        let is_claimed =
            |key: &GapKey| sources.values().any(|source| source.claim.as_ref().is_some_and(|claim| claim.covers(key)));
        let unclaimed: Vec<_> = self.sync.gaps.keys().filter(|key| !is_claimed(key)).copied().collect();
        for key in unclaimed {
            self.drop_gap(key);
        }
    }
}
