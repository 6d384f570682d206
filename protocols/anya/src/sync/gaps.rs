//! Walks gaps downwards and fetches what is wanted, from whoever can be asked.

use super::sources::{Ask, AskState, GapKey, Source};
use super::{Anya, Cx, GAP_BYTES_MAX};
use crate::Alarm;
use crate::wire;
use alloc::vec::Vec;
use polypeer_engine::kit::chain::{ChainFormat, Hash, Head};
use polypeer_engine::{ConnectionId, Overflow};

/// A gap that is being walked.
#[derive(Debug)]
pub(crate) struct Gap {
    // The next block downwards that is not known yet, and its height. At the low end when the walk is done.
    cursor: Hash,
    height: u64,
    owner: ConnectionId,
}

/// A block that is to be fetched.
#[derive(Debug)]
pub(crate) struct Want {
    height: u64,
    asked: Option<ConnectionId>,
    // The gaps that wait for it: whoever claims one can be asked.
    gaps: Vec<GapKey>,
    // Who sent a block that stands on it.
    peers: Vec<ConnectionId>,
    // Who was asked in vain.
    tried: Vec<ConnectionId>,
    // Its hash is known from above: anyone whose claim is high enough can be asked, and it is needed now.
    is_again: bool,
}

impl Want {
    fn new(height: u64) -> Self {
        Self { height, asked: None, gaps: Vec::new(), peers: Vec::new(), tried: Vec::new(), is_again: false }
    }

    fn may_ask(&self, connection: ConnectionId, source: &Source) -> bool {
        let claims = |claim: &super::Claim| {
            self.gaps.iter().any(|key| claim.covers(key)) || self.is_again && claim.claimed.height >= self.height
        };
        !self.tried.contains(&connection)
            && (self.peers.contains(&connection) || source.claim.as_ref().is_some_and(claims))
    }
}

/// Gaps.
impl<F: ChainFormat> Anya<F> {
    /// Asks a peer for as much as it may be asked for: what is wanted of it first, then new gaps, lowest first.
    pub(crate) fn fill(&mut self, cx: &mut Cx<'_, F>, connection: ConnectionId) {
        let block_bytes = self.sync.block_bytes;
        while let Some(source) = self.sync.sources.get_mut(&connection) {
            if !source.has_room(block_bytes) {
                return;
            }
            let Some((height, hash)) = source.todo.pop_first() else {
                if self.start_gap(cx, connection) {
                    continue;
                }
                return;
            };
            let source = &self.sync.sources[&connection];
            let Some(want) = self.sync.wants.get(&hash) else { continue };
            if want.asked.is_some() || !want.may_ask(connection, source) {
                continue;
            }
            if !want.is_again && !source.asks.is_empty() && self.is_over_share(connection) {
                if let Some(source) = self.sync.sources.get_mut(&connection) {
                    source.todo.insert((height, hash));
                }
                return;
            }
            self.ask_block(cx, connection, hash);
        }
    }

    // Whether a peer's blocks that wait, and those it is asked for, are as many bytes as it may have.
    fn is_over_share(&self, connection: ConnectionId) -> bool {
        let Some(source) = self.sync.sources.get(&connection) else { return true };
        let coming = source.asks.len() * self.sync.block_bytes;
        self.sync.orphans.gap_bytes(connection) + coming > GAP_BYTES_MAX / self.claimants().max(1)
    }

    // Starts the next gap of a peer's claim. Whether there may be more to ask it for.
    fn start_gap(&mut self, cx: &mut Cx<'_, F>, connection: ConnectionId) -> bool {
        let share = GAP_BYTES_MAX / self.claimants().max(1);
        let held = self.sync.orphans.gap_bytes(connection);
        let block_bytes = self.sync.block_bytes as u64;
        let Some(source) = self.sync.sources.get_mut(&connection) else { return false };
        let Some(claim) = &mut source.claim else { return false };
        if claim.from == 0 || claim.next >= claim.waypoints.len() {
            return false;
        }
        let committed = source.walking.saturating_mul(block_bytes).saturating_add(held as u64);
        if source.walking > 0 && committed >= share as u64 {
            return false;
        }
        let key = GapKey { low: claim.waypoints[claim.next - 1], high: claim.waypoints[claim.next] };
        claim.next += 1;
        if !self.sync.gaps.contains_key(&key) {
            source.walking += key.high.0 - key.low.0;
            let gap = Gap { cursor: key.high.1, height: key.high.0, owner: connection };
            self.sync.gaps.insert(key, gap);
            self.walk(cx, key, connection);
        }
        true
    }

    // Goes down a gap through what is known, and wants the next block. `prefer` is asked for it if it may be.
    fn walk(&mut self, cx: &mut Cx<'_, F>, key: GapKey, prefer: ConnectionId) {
        let mut steps = 0;
        while let Some(gap) = self.sync.gaps.get_mut(&key) {
            if gap.height <= key.low.0 {
                break;
            }
            let (cursor, height) = (gap.cursor, gap.height);
            let Some(head) = self.known_head(&cursor) else {
                self.walked(key, steps);
                return self.want_for_gap(cx, key, cursor, height, prefer);
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

    fn known_head(&self, hash: &Hash) -> Option<Head> {
        if let Some(held) = self.sync.orphans.get(hash) {
            return Some(Head { hash: *hash, parent: held.parent, height: held.height });
        }
        self.sync.checking.get(hash).map(|(head, _)| *head)
    }

    // The blocks do not fit the heights, or the ends do not meet: whoever claims it is wrong.
    fn gap_is_false(&mut self, cx: &mut Cx<'_, F>, key: GapKey) {
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
            if claim.from > 0 && claim.waypoints.get(claim.from) == Some(&waypoint) {
                let key = GapKey { low: claim.waypoints[claim.from - 1], high: waypoint };
                claim.from += 1;
                claim.next = claim.next.max(claim.from);
                moved.push((*connection, key));
            }
        }
        for (connection, key) in moved {
            self.drop_gap(key);
            self.fill(cx, connection);
        }
    }

    // A gap is no longer walked.
    fn drop_gap(&mut self, key: GapKey) {
        let Some(gap) = self.sync.gaps.remove(&key) else { return };
        if let Some(source) = self.sync.sources.get_mut(&gap.owner) {
            source.walking = source.walking.saturating_sub(gap.height.saturating_sub(key.low.0));
        }
        if let Some(want) = self.sync.wants.get_mut(&gap.cursor) {
            want.gaps.retain(|waiting| *waiting != key);
            if want.gaps.is_empty() && want.peers.is_empty() && !want.is_again {
                self.sync.wants.remove(&gap.cursor);
            }
        }
    }

    /// Gaps that nobody claims any more are no longer walked.
    pub(crate) fn drop_unclaimed_gaps(&mut self, _cx: &mut Cx<'_, F>) {
        let sources = &self.sync.sources;
        let is_claimed =
            |key: &GapKey| sources.values().any(|source| source.claim.as_ref().is_some_and(|claim| claim.covers(key)));
        let unclaimed: Vec<_> = self.sync.gaps.keys().filter(|key| !is_claimed(key)).copied().collect();
        for key in unclaimed {
            self.drop_gap(key);
        }
    }
}

/// Wants.
impl<F: ChainFormat> Anya<F> {
    fn want_for_gap(&mut self, cx: &mut Cx<'_, F>, key: GapKey, hash: Hash, height: u64, prefer: ConnectionId) {
        let want = self.sync.wants.entry(hash).or_insert_with(|| Want::new(height));
        if !want.gaps.contains(&key) {
            want.gaps.push(key);
        }
        self.assign(cx, hash, Some(prefer));
    }

    /// The parent of a block that waits is wanted, from whoever sent that block.
    pub(crate) fn want_parent(&mut self, cx: &mut Cx<'_, F>, from: ConnectionId, head: Head) {
        let (hash, height) = (head.parent, head.height.saturating_sub(1));
        if self.known_head(&hash).is_some() || self.sync.bad.contains(&hash) {
            return;
        }
        let want = self.sync.wants.entry(hash).or_insert_with(|| Want::new(height));
        if !want.peers.contains(&from) {
            want.peers.push(from);
        }
        self.assign(cx, hash, Some(from));
    }

    /// A block's bytes are wanted whose hash and place are known.
    pub(crate) fn want_bytes(&mut self, cx: &mut Cx<'_, F>, hash: Hash, height: u64) {
        let want = self.sync.wants.entry(hash).or_insert_with(|| Want::new(height));
        want.is_again = true;
        self.assign(cx, hash, None);
    }

    /// A fetched block had a wrong body: others are asked for it.
    pub(crate) fn want_again(&mut self, cx: &mut Cx<'_, F>, head: Head, not_from: ConnectionId) {
        if self.sync.orphans.children(head.hash).is_empty() || self.known_head(&head.hash).is_some() {
            return;
        }
        let want = self.sync.wants.entry(head.hash).or_insert_with(|| Want::new(head.height));
        want.is_again = true;
        want.tried.push(not_from);
        self.assign(cx, head.hash, None);
    }

    // Asks someone for a wanted block, or notes it with all who could be asked.
    fn assign(&mut self, cx: &mut Cx<'_, F>, hash: Hash, prefer: Option<ConnectionId>) {
        let Some(want) = self.sync.wants.get(&hash) else { return };
        if want.asked.is_some() {
            return;
        }
        let (height, is_again, block_bytes) = (want.height, want.is_again, self.sync.block_bytes);
        let may: Vec<_> = self
            .sync
            .sources
            .iter()
            .filter(|(connection, source)| want.may_ask(**connection, source))
            .map(|(connection, source)| (*connection, source.has_room(block_bytes)))
            .collect();
        let ordered = may.iter().filter(|(peer, _)| Some(*peer) == prefer).chain(&may);
        let free = ordered.filter(|(_, has_room)| *has_room).map(|(peer, _)| *peer);
        let chosen = free
            .into_iter()
            .find(|peer| is_again || self.sync.sources[peer].asks.is_empty() || !self.is_over_share(*peer));
        if let Some(chosen) = chosen {
            return self.ask_block(cx, chosen, hash);
        }
        for (peer, _) in &may {
            if let Some(source) = self.sync.sources.get_mut(peer) {
                source.todo.insert((height, hash));
            }
        }
        if may.is_empty() {
            self.nobody_has(cx, hash);
        }
    }

    // Everyone who could be asked for a block was asked in vain.
    fn nobody_has(&mut self, cx: &mut Cx<'_, F>, hash: Hash) {
        let Some(want) = self.sync.wants.get_mut(&hash) else { return };
        // Who was only slow may be asked again once it answers anything.
        want.tried.retain(|peer| self.sync.sources.get(peer).is_none_or(|source| source.strikes == 0));
        let want = &self.sync.wants[&hash];
        let slow: Vec<_> =
            self.sync.sources.iter().filter(|(peer, source)| want.may_ask(**peer, source)).map(|(p, _)| *p).collect();
        if slow.is_empty() {
            let Some(want) = self.sync.wants.remove(&hash) else { return };
            for key in want.gaps {
                self.gap_is_false(cx, key);
                self.drop_gap(key);
            }
            return;
        }
        let height = want.height;
        for peer in slow {
            if let Some(source) = self.sync.sources.get_mut(&peer) {
                source.todo.insert((height, hash));
            }
        }
    }

    fn ask_block(&mut self, cx: &mut Cx<'_, F>, connection: ConnectionId, hash: Hash) {
        let Some(source) = self.sync.sources.get_mut(&connection) else { return };
        source.asks.push_back(Ask { hash, at: cx.time(), state: AskState::Open });
        if let Some(want) = self.sync.wants.get_mut(&hash) {
            want.asked = Some(connection);
        }
        cx.send(connection, wire::get_block(hash), Overflow::Close);
        if !cx.has_peer_alarm(connection, Alarm::Requests) {
            cx.peer_alarm(connection, Alarm::Requests, cx.time() + self.config.request_timeout);
        }
    }

    /// A block came: whatever waits for it goes on.
    pub(crate) fn want_answered(&mut self, cx: &mut Cx<'_, F>, from: ConnectionId, head: Head) {
        let Some(want) = self.sync.wants.remove(&head.hash) else { return };
        for key in want.gaps {
            if self.known_head(&head.hash).is_some() {
                self.walk(cx, key, from);
            }
        }
    }

    /// `error{get_block, ...}`: the peer does not have the oldest block that it was asked for.
    pub(crate) fn block_refused(&mut self, cx: &mut Cx<'_, F>, from: ConnectionId) {
        let Some(ask) = self.sync.sources.get_mut(&from).and_then(Source::refused) else { return };
        let Some(want) = self.sync.wants.get_mut(&ask.hash) else { return self.fill(cx, from) };
        want.tried.push(from);
        if want.asked == Some(from) {
            want.asked = None;
        }
        let claim = self.sync.sources.get(&from).and_then(|source| source.claim.as_ref());
        if claim.is_some_and(|claim| want.gaps.iter().any(|key| claim.covers(key))) {
            self.disappointed(cx, from);
        }
        self.assign(cx, ask.hash, None);
        self.fill(cx, from);
        self.tip_due(cx);
    }

    /// Requests may have run out: others are asked, and this peer for nothing until it answers.
    pub(crate) fn requests_late(&mut self, cx: &mut Cx<'_, F>, connection: ConnectionId) {
        let (now, timeout) = (cx.time(), self.config.request_timeout);
        let Some(source) = self.sync.sources.get_mut(&connection) else { return };
        let late: Vec<_> = source
            .asks
            .iter_mut()
            .filter(|ask| ask.state == AskState::Open && ask.at + timeout <= now)
            .map(|ask| {
                ask.state = AskState::Late;
                ask.hash
            })
            .collect();
        let deadline = source.deadline(timeout);
        // Nothing but late ones: a second look decides whether the peer delivers at all.
        let is_silent = deadline.is_none() && !source.asks.is_empty();
        if !late.is_empty() || is_silent && source.strikes > 0 {
            source.strikes += 1;
        }
        let is_hopeless = source.strikes > 1;
        if is_silent && !is_hopeless {
            cx.peer_alarm(connection, Alarm::Requests, now + timeout);
        } else if let Some(deadline) = deadline {
            cx.peer_alarm(connection, Alarm::Requests, deadline);
        }
        self.wants_abandoned(cx, connection, late.into_iter());
        if is_hopeless {
            self.disappointed(cx, connection);
        }
        self.catching_up_reviewed(cx);
    }

    /// What a peer was asked for is asked of others.
    pub(crate) fn wants_abandoned(&mut self, cx: &mut Cx<'_, F>, by: ConnectionId, hashes: impl Iterator<Item = Hash>) {
        for hash in hashes {
            let Some(want) = self.sync.wants.get_mut(&hash) else { continue };
            if want.asked == Some(by) {
                want.asked = None;
                want.tried.push(by);
                self.assign(cx, hash, None);
            }
        }
    }
}
