//! Carries out what catching up wants: questions to the ledger, and faults.

use super::{Blame, Hands, Output, Sync};
use crate::ledger::{Hash, Kind, Origin, Request, Verdict};
use crate::peer::ready_mut;
use crate::questions::Asked;
use crate::relay::GossipFault;
use crate::rpc;
use crate::{Alarm, Cx, Mina, Misbehavior};
use alloc::vec::Vec;
use bytes::Bytes;
use polypeer_engine::ConnectionId;

/// What catching up is told.
impl Mina {
    pub(crate) fn begin_sync(&mut self, cx: &mut Cx<'_>) {
        self.look_ahead(cx);
    }

    /// Its time has come.
    pub(crate) fn look_ahead(&mut self, cx: &mut Cx<'_>) {
        self.with_sync(cx, Sync::wake);
    }

    /// A peer that answers questions is ready.
    pub(crate) fn meet_source(&mut self, cx: &mut Cx<'_>, connection: ConnectionId) {
        self.with_sync(cx, |sync, hands| sync.meet(connection, hands));
    }

    /// A peer is gone.
    pub(crate) fn forget_source(&mut self, cx: &mut Cx<'_>, connection: ConnectionId) {
        self.with_sync(cx, |sync, hands| sync.forget(connection, hands));
    }

    /// A question is answered.
    pub(crate) fn on_answered(
        &mut self,
        cx: &mut Cx<'_>,
        connection: ConnectionId,
        ask: rpc::AskId,
        answer: Option<&Bytes>,
    ) {
        self.with_sync(cx, |sync, hands| sync.on_answered(connection, ask, answer, hands));
    }

    /// A block that gossip brought has one below it that is not here.
    pub(crate) fn want_below(&mut self, cx: &mut Cx<'_>, wants: Option<Hash>) {
        if let Some(hash) = wants {
            self.with_sync(cx, |sync, hands| sync.want(&hash, hands));
        }
    }

    /// What the ledger says of a fetched block.
    pub(crate) fn on_fetched_judged(&mut self, cx: &mut Cx<'_>, hash: &Hash, verdict: Verdict, wants: Option<Hash>) {
        self.with_sync(cx, |sync, hands| sync.on_judged(hash, verdict, wants, hands));
    }

    /// What the ledger says of a peer's chain.
    pub(crate) fn on_candidate(&mut self, cx: &mut Cx<'_>, connection: ConnectionId, wants: Vec<Hash>) {
        let length = self.sync.length(connection);
        if let (Some(length), Some(ready)) = (length, ready_mut(cx, connection)) {
            ready.length = ready.length.max(Some(length));
        }
        self.with_sync(cx, |sync, hands| sync.on_candidate(connection, wants, hands));
    }

    fn with_sync(&mut self, cx: &mut Cx<'_>, tell: impl FnOnce(&mut Sync, &mut Hands<'_>)) {
        let (mut wire, mut out) = (Vec::new(), Vec::new());
        let own = self.tip.as_ref().map(|tip| tip.hash);
        let (rules, rpc) = (&self.rules, &mut self.rpc);
        tell(&mut self.sync, &mut Hands { now: cx.now(), rules, own, rpc, wire: &mut wire, out: &mut out });
        cx.alarm(Alarm::Sync, self.sync.next_wake());
        self.with_rpc(cx, |_, _, out| out.append(&mut wire));
        for output in out {
            self.do_for_sync(cx, output);
        }
    }

    fn do_for_sync(&mut self, cx: &mut Cx<'_>, output: Output) {
        match output {
            Output::Candidate { connection, root, tip, path, .. } => {
                self.ask_ledger(cx, Request::Candidate { root, tip, path }, Asked::Candidate(connection));
            }
            Output::Block { hash, block, header_end, .. } => {
                let request = Request::Block { id: hash, hash, block, header_end, origin: Origin::Sync };
                self.ask_ledger(cx, request, Asked::Fetched);
            }
            Output::CatchingUp(is_so) => self.tell_ledger(cx, Request::CatchingUp(is_so)),
            Output::Blame { connection, blame } => {
                let misbehavior = match blame {
                    Blame::UnprovenTip => Misbehavior::UnprovenTip,
                    Blame::OtherBlocks => Misbehavior::OtherBlocks,
                    Blame::RefusedChain => Misbehavior::Gossip(GossipFault::Refused(Kind::Block)),
                };
                self.blame(cx, connection, misbehavior);
            }
        }
    }
}
