//! Follows what peers claim: a chain with more work is a reason to ask for its blocks, and nothing else.

use super::sources::{Claim, InfoState, Source};
use super::{GAP_BYTES_MAX, KEPT_FOR, STALL, WALK_MAX};
use crate::ledger::Asked;
use crate::misbehavior::Misbehavior;
use crate::wire::{self, Claimed, Kind};
use crate::{Alarm, Anya, Cx, Open};
use alloc::boxed::Box;
use alloc::collections::BTreeSet;
use alloc::vec::Vec;
use polypeer_engine::kit::chain::{ChainFormat, Hash, Head, Request};
use polypeer_engine::kit::cost::Class;
use polypeer_engine::{ConnectionId, Overflow};

impl<F: ChainFormat> Anya<F> {
    /// The handshake is done: the peer is asked for its chain.
    pub(crate) fn source_opened(&mut self, cx: &mut Cx<'_, F>, connection: ConnectionId) {
        self.sync.sources.insert(connection, Box::new(Source::new()));
        self.ask_info(cx, connection);
    }

    /// Asks a peer for its chain, unless the answer is awaited already.
    pub(crate) fn ask_info(&mut self, cx: &mut Cx<'_, F>, connection: ConnectionId) {
        let now = cx.time();
        let Some(source) = self.sync.sources.get_mut(&connection) else { return };
        if core::mem::replace(&mut source.info, InfoState::Asked) == InfoState::Idle {
            source.info_asked = now;
            cx.send(connection, wire::empty(Kind::GetBlockchainInfo), Overflow::Close);
        }
    }

    /// A peer says what chain it has. Nothing when it is a stranger: then goodbye is to be said.
    pub(crate) fn info_arrived(
        &mut self,
        cx: &mut Cx<'_, F>,
        from: ConnectionId,
        open: &mut Open,
        payload: &[u8],
    ) -> Option<()> {
        let Some(source) = self.sync.sources.get_mut(&from) else { return Some(()) };
        if core::mem::take(&mut source.info) == InfoState::Idle {
            return Some(());
        }
        cx.answered_within(from, cx.time().since(source.info_asked));
        let Ok(info) = wire::decode_info(payload) else {
            cx.slip(from, Misbehavior::PayloadUnreadable(Kind::BlockchainInfo));
            self.disappointed(cx, from);
            return Some(());
        };
        let claimed = info.claimed;
        if claimed.network_id != self.config.network_id || claimed.genesis != self.config.genesis {
            cx.stranger(from, Misbehavior::OtherNetwork);
            return None;
        }
        self.ready(cx, from, open, claimed.height);
        // Of a chain with less work than ours only the tip is looked for: whether it is known here.
        let is_better = claimed.work > self.sync.work();
        let waypoints = if is_better { info.waypoints } else { alloc::vec![(claimed.height, claimed.tip)] };
        let hashes = waypoints.iter().map(|(_, hash)| *hash).collect();
        cx.owe(from, Class::Announcement.price(0).times(waypoints.len()));
        let claim = Box::new(Claim::new(claimed, waypoints));
        self.desk.ask(cx, Request::Missing(hashes), Asked::Missing { of: from, claim });
        Some(())
    }

    /// The ledger said which of a peer's waypoints it lacks.
    pub(crate) fn waypoints_compared(
        &mut self,
        cx: &mut Cx<'_, F>,
        of: ConnectionId,
        mut claim: Box<Claim>,
        missing: &[Hash],
    ) {
        let tip = claim.claimed.tip;
        if !missing.contains(&tip) {
            return self.tip_of_peer_known(cx, of);
        }
        self.await_tip(of, tip);
        let lacks: BTreeSet<Hash> = missing.iter().copied().collect();
        let first = claim.waypoints.iter().position(|(_, hash)| lacks.contains(hash));
        // Genesis is the same, so the first one is held, unless there is nothing but the tip of a lesser chain.
        if let Some(from) = first.filter(|from| *from > 0) {
            (claim.from, claim.next) = (from, from);
            self.claim(cx, of, claim);
        }
    }

    /// A peer sent a block whose parent is not held.
    pub(crate) fn heard_above(&mut self, cx: &mut Cx<'_, F>, from: ConnectionId, head: Head) {
        let is_far = head.height > self.sync.height() + WALK_MAX;
        let Some(source) = self.sync.sources.get_mut(&from) else { return };
        source.heard = source.heard.max(head.height);
        // One that could not deliver lately is left alone.
        if !is_far || source.claim.is_some() || cx.has_peer_alarm(from, Alarm::Info) {
            return;
        }
        let (network_id, genesis) = (self.config.network_id, self.config.genesis);
        let claimed = Claimed { network_id, genesis, tip: head.hash, height: head.height, work: u128::MAX };
        let waypoints = alloc::vec![(0, genesis), (head.height, head.hash)];
        let mut claim = Box::new(Claim::new(claimed, waypoints));
        (claim.from, claim.next) = (1, 1);
        self.claim(cx, from, claim);
        self.ask_info(cx, from);
    }

    // From now on a peer is asked for what it claims.
    fn claim(&mut self, cx: &mut Cx<'_, F>, connection: ConnectionId, claim: Box<Claim>) {
        self.drop_claim(cx, connection);
        let Some(source) = self.sync.sources.get_mut(&connection) else { return };
        source.claim = Some(claim);
        self.sync.claimants += 1;
        cx.peer_alarm(connection, Alarm::Stall, cx.time() + STALL);
        self.due_again(cx);
        self.fill(cx, connection);
    }

    /// What a peer claimed is held.
    pub(crate) fn claim_done(&mut self, cx: &mut Cx<'_, F>, connection: ConnectionId) {
        self.drop_claim(cx, connection);
        let height = self.sync.height();
        let Some(source) = self.sync.sources.get_mut(&connection) else { return };
        source.disappointments = 0;
        let heard = core::mem::take(&mut source.heard);
        self.tip_of_peer_known(cx, connection);
        if heard > height + 1 {
            self.ask_info(cx, connection);
        }
    }

    /// A peer cannot deliver what it claimed, or claims what cannot be: it is asked again, later and later.
    pub(crate) fn disappointed(&mut self, cx: &mut Cx<'_, F>, connection: ConnectionId) {
        self.drop_claim(cx, connection);
        let Some(source) = self.sync.sources.get_mut(&connection) else { return };
        let wait = source.disappoint();
        cx.peer_alarm(connection, Alarm::Info, cx.time() + wait);
    }

    /// Looks whether a claim still leads anywhere.
    pub(crate) fn stalled(&mut self, cx: &mut Cx<'_, F>, connection: ConnectionId) {
        let height = self.sync.height();
        let Some(source) = self.sync.sources.get_mut(&connection) else { return };
        let Some(claim) = &mut source.claim else { return };
        let progress = (claim.from, source.delivered, height);
        if core::mem::replace(&mut claim.progress, progress) == progress {
            self.disappointed(cx, connection);
        } else {
            cx.peer_alarm(connection, Alarm::Stall, cx.time() + STALL);
        }
    }

    // A claim ends; what only it stood for is no longer fetched.
    fn drop_claim(&mut self, cx: &mut Cx<'_, F>, connection: ConnectionId) {
        let Some(source) = self.sync.sources.get_mut(&connection) else { return };
        if source.claim.take().is_none() {
            return;
        }
        self.sync.claimants -= 1;
        let todo = core::mem::take(&mut source.todo);
        self.drop_unclaimed_gaps();
        self.reassign(cx, todo);
        if self.sync.claimants == 0 {
            cx.alarm(Alarm::Tidy, cx.time() + KEPT_FOR);
        }
        self.catching_up_reviewed(cx);
    }

    /// Our tip changed: claims that it satisfies end.
    pub(crate) fn claims_reviewed(&mut self, cx: &mut Cx<'_, F>) {
        let Some(tip) = self.sync.tip else { return };
        let is_done = |claim: &Claim| claim.claimed.tip == tip.hash || claim.claimed.work <= tip.work;
        let done = self.claims_that(is_done);
        for connection in done {
            let claim = self.sync.sources.get(&connection).and_then(|source| source.claim.as_ref());
            if claim.is_some_and(|claim| claim.claimed.tip == tip.hash) {
                self.claim_done(cx, connection);
            } else {
                self.drop_claim(cx, connection);
            }
        }
        self.catching_up_reviewed(cx);
    }

    /// Claims whose next waypoint stands on a block that cannot be taken lead nowhere.
    pub(crate) fn claims_through(&mut self, cx: &mut Cx<'_, F>, removed: &BTreeSet<Hash>) {
        let leads_nowhere =
            |claim: &Claim| claim.waypoints.get(claim.from).is_some_and(|(_, hash)| removed.contains(hash));
        for connection in self.claims_that(leads_nowhere) {
            self.disappointed(cx, connection);
        }
    }

    fn claims_that(&self, hold: impl Fn(&Claim) -> bool) -> Vec<ConnectionId> {
        let sources = self.sync.sources.iter();
        sources.filter(|(_, source)| source.claim.as_deref().is_some_and(&hold)).map(|(peer, _)| *peer).collect()
    }

    /// Bytes of fetched blocks that each claimant may have waiting.
    pub(crate) fn share(&self) -> usize {
        GAP_BYTES_MAX / self.sync.claimants.max(1)
    }

    /// Tells the ledger when catching up begins and ends. Only a claim that delivers counts, so that words alone do
    /// not stop a producer.
    pub(crate) fn catching_up_reviewed(&mut self, cx: &mut Cx<'_, F>) {
        let height = self.sync.height();
        let counts = |source: &Source| {
            source.strikes == 0
                && source.claim.as_ref().is_some_and(|claim| claim.is_supported && claim.claimed.height > height + 1)
        };
        let is_catching_up = self.sync.sources.values().any(|source| counts(source));
        if is_catching_up != self.sync.is_catching_up {
            self.sync.is_catching_up = is_catching_up;
            cx.ask(Request::CatchingUp(is_catching_up));
        }
        self.tip_due(cx);
    }

    // A peer's tip is not held yet: when it is, its mempool can be understood.
    fn await_tip(&mut self, connection: ConnectionId, tip: Hash) {
        let Some(source) = self.sync.sources.get_mut(&connection) else { return };
        if !source.is_pool_wanted {
            let before = source.awaited_tip.replace(tip);
            self.sync.stop_awaiting(before, connection);
            self.sync.awaiting_tip.entry(tip).or_default().push(connection);
        }
    }

    /// The newest block of a peer is held: its mempool can be understood.
    pub(crate) fn tip_of_peer_known(&mut self, cx: &mut Cx<'_, F>, connection: ConnectionId) {
        let Some(source) = self.sync.sources.get_mut(&connection) else { return };
        if !core::mem::replace(&mut source.is_pool_wanted, true) {
            self.pool_wanted(cx, connection);
        }
    }

    /// A connection is gone, or says goodbye: what it was asked for is asked of others.
    pub(crate) fn source_gone(&mut self, cx: &mut Cx<'_, F>, connection: ConnectionId) {
        self.drop_claim(cx, connection);
        let Some(source) = self.sync.sources.remove(&connection) else { return };
        self.sync.orphans.gone(connection);
        self.sync.stop_awaiting(source.awaited_tip, connection);
        let asked = source.asks.iter().map(|ask| ask.hash);
        self.wants_abandoned(cx, connection, asked.chain(source.todo.iter().map(|(_, hash)| *hash)));
        self.catching_up_reviewed(cx);
    }

    /// What was fetched for claims that ended long ago goes.
    pub(crate) fn tidy(&mut self) {
        if self.sync.claimants == 0 {
            self.sync.orphans.drop_gaps();
            self.sync.due.clear();
        }
    }
}
