//! Fetches the blocks that are wanted, from whoever can be asked.

use super::sources::{Ask, AskState, GapKey, Source};
use super::{Anya, Cx};
use crate::{Alarm, wire};
use alloc::collections::BTreeSet;
use alloc::vec::Vec;
use core::time::Duration;
use polypeer_engine::kit::chain::{ChainFormat, Hash, Head};
use polypeer_engine::{ConnectionId, Overflow, Time};

/// A peer that has nothing to do is asked for what another one was asked for this long ago.
const HEDGE: Duration = Duration::from_secs(2);

/// A block that is to be fetched.
#[derive(Debug)]
pub(crate) struct Want {
    height: u64,
    asked: Option<ConnectionId>,
    asked_at: Time,
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
        Self {
            height,
            asked: None,
            asked_at: Time::ZERO,
            gaps: Vec::new(),
            peers: Vec::new(),
            tried: Vec::new(),
            is_again: false,
        }
    }

    fn may_ask(&self, connection: ConnectionId, source: &Source) -> bool {
        let claims = |claim: &super::Claim| {
            self.gaps.iter().any(|key| claim.covers(key)) || self.is_again && claim.claimed.height >= self.height
        };
        !self.tried.contains(&connection)
            && (self.peers.contains(&connection)
                || self.is_again && source.heard >= self.height
                || source.claim.as_deref().is_some_and(claims))
    }
}

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
                self.share_gaps(connection);
                return self.hedge(cx, connection);
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

    /// Asks a peer that delivers and has nothing to do for what others are slow to deliver.
    pub(crate) fn hedge(&mut self, cx: &mut Cx<'_, F>, connection: ConnectionId) {
        let (now, block_bytes) = (cx.time(), self.sync.block_bytes);
        let Some(source) = self.sync.sources.get(&connection) else { return };
        let is_idle = source.asks.is_empty() && source.delivered > 0 && source.claim.is_some();
        if !is_idle || cx.has_peer_alarm(connection, Alarm::Hedge) {
            return;
        }
        let may = |want: &Want| want.asked.is_some_and(|asked| asked != connection) && want.may_ask(connection, source);
        let others: Vec<_> = self
            .sync
            .wants
            .iter()
            .filter(|(_, want)| may(want))
            .map(|(hash, want)| (want.height, *hash, want.asked_at))
            .collect();
        if others.is_empty() {
            return;
        }
        let mut slow: Vec<_> = others.into_iter().filter(|(_, _, at)| now.since(*at) >= HEDGE).collect();
        slow.sort_unstable();
        for (_, hash, _) in slow {
            if self.sync.sources.get(&connection).is_some_and(|source| source.has_room(block_bytes)) {
                self.ask_block(cx, connection, hash);
            }
        }
        cx.peer_alarm(connection, Alarm::Hedge, now + HEDGE);
    }

    pub(super) fn want_for_gap(
        &mut self,
        cx: &mut Cx<'_, F>,
        key: GapKey,
        hash: Hash,
        height: u64,
        prefer: ConnectionId,
    ) {
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

    /// An orphan had to leave: its parent is wanted no more, else as many would be wanted as ever came. What was asked
    /// for already is bounded.
    pub(crate) fn orphan_left(&mut self, parent: Hash) {
        let Some(want) = self.sync.wants.get(&parent) else { return };
        let is_needed = want.asked.is_some() || want.is_again || !want.gaps.is_empty();
        if is_needed || !self.sync.orphans.children(parent).is_empty() {
            return;
        }
        for peer in &want.peers {
            if let Some(source) = self.sync.sources.get_mut(peer) {
                source.todo.remove(&(want.height, parent));
            }
        }
        self.sync.wants.remove(&parent);
    }

    /// A block's bytes are wanted whose hash and place are known.
    pub(crate) fn want_bytes(&mut self, cx: &mut Cx<'_, F>, hash: Hash, height: u64) {
        let want = self.sync.wants.entry(hash).or_insert_with(|| Want::new(height));
        want.is_again = true;
        self.assign(cx, hash, None);
    }

    /// A fetched block had a wrong body: others are asked for it.
    pub(crate) fn want_again(&mut self, cx: &mut Cx<'_, F>, head: Head, not_from: ConnectionId) {
        let is_high = |gap: &GapKey| gap.high.1 == head.hash;
        let is_needed = !self.sync.orphans.children(head.hash).is_empty() || self.sync.gaps.keys().any(is_high);
        if !is_needed || self.known_head(&head.hash).is_some() {
            return;
        }
        let want = self.sync.wants.entry(head.hash).or_insert_with(|| Want::new(head.height));
        want.is_again = true;
        want.tried.push(not_from);
        self.assign(cx, head.hash, None);
    }

    /// A gap no longer waits for this block.
    pub(super) fn gap_no_longer_wants(&mut self, key: GapKey, cursor: Hash) {
        if let Some(want) = self.sync.wants.get_mut(&cursor) {
            want.gaps.retain(|waiting| *waiting != key);
            if want.gaps.is_empty() && want.peers.is_empty() && !want.is_again {
                self.sync.wants.remove(&cursor);
            }
        }
    }

    // Asks someone for a wanted block, or notes it with all who could be asked. `prefer` is asked if it may be, else
    // whoever has least to do.
    fn assign(&mut self, cx: &mut Cx<'_, F>, hash: Hash, prefer: Option<ConnectionId>) {
        let Some(want) = self.sync.wants.get(&hash) else { return };
        if want.asked.is_some() {
            return;
        }
        if let Some(prefer) = prefer.filter(|prefer| self.may_ask_now(want, *prefer)) {
            return self.ask_block(cx, prefer, hash);
        }
        let sources = self.sync.sources.iter();
        let may: Vec<_> =
            sources.filter(|(peer, source)| want.may_ask(**peer, source)).map(|(peer, _)| *peer).collect();
        let free = may.iter().copied().filter(|peer| self.may_ask_now(want, *peer));
        if let Some(chosen) =
            free.min_by_key(|peer| (self.sync.sources[peer].delivered == 0, self.sync.sources[peer].asks.len()))
        {
            return self.ask_block(cx, chosen, hash);
        }
        let height = want.height;
        for peer in &may {
            if let Some(source) = self.sync.sources.get_mut(peer) {
                source.todo.insert((height, hash));
            }
        }
        if may.is_empty() {
            self.nobody_has(cx, hash);
        }
    }

    fn may_ask_now(&self, want: &Want, peer: ConnectionId) -> bool {
        let Some(source) = self.sync.sources.get(&peer) else { return false };
        source.has_room(self.sync.block_bytes)
            && (want.is_again || source.asks.is_empty() || !self.is_over_share(peer))
            && want.may_ask(peer, source)
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
            (want.asked, want.asked_at) = (Some(connection), cx.time());
            if let Some(key) = want.gaps.first().copied() {
                self.adopt(key, connection);
            }
        }
        cx.send(connection, wire::get_block(hash), Overflow::Close);
        if !cx.has_peer_alarm(connection, Alarm::Requests) {
            cx.peer_alarm(connection, Alarm::Requests, cx.time() + self.config.request_timeout);
        }
    }

    /// A block came: whatever waits for it goes on.
    pub(crate) fn want_answered(&mut self, cx: &mut Cx<'_, F>, head: Head) {
        let Some(want) = self.sync.wants.remove(&head.hash) else { return };
        if self.known_head(&head.hash).is_none() {
            return;
        }
        for key in &want.gaps {
            self.walk(cx, *key);
        }
        if let Some(checking) = self.sync.checking.get_mut(&head.hash) {
            checking.gaps = want.gaps;
        }
    }

    /// `error{get_block, ...}`: the peer does not have the oldest block that it was asked for.
    pub(crate) fn block_refused(&mut self, cx: &mut Cx<'_, F>, from: ConnectionId) {
        let Some(ask) = self.sync.sources.get_mut(&from).and_then(|source| source.refused()) else { return };
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
            source.strikes = source.strikes.saturating_add(1);
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
            if want.asked.is_none_or(|asked| asked == by) {
                want.asked = None;
                want.tried.push(by);
                self.assign(cx, hash, None);
            }
        }
    }

    /// A block that came could not be looked at: it is still wanted.
    pub(crate) fn still_wanted(&mut self, cx: &mut Cx<'_, F>, hash: Hash) {
        if let Some(want) = self.sync.wants.get_mut(&hash) {
            want.asked = None;
            self.assign(cx, hash, None);
        }
    }

    /// Wanted blocks that a peer can no longer be asked for are asked of others.
    pub(crate) fn reassign(&mut self, cx: &mut Cx<'_, F>, todo: BTreeSet<(u64, Hash)>) {
        for (_, hash) in todo {
            self.assign(cx, hash, None);
        }
    }

    /// A peer sent a block that waits already: it can be asked for its parent too.
    pub(crate) fn has_parent(&mut self, from: ConnectionId, head: Head) {
        if let Some(want) = self.sync.wants.get_mut(&head.parent)
            && !want.peers.contains(&from)
        {
            want.peers.push(from);
        }
    }
}
