//! Takes blocks: what a BLOCK answers, what the ledger thinks of it, and blocks whose parent is not here yet.

mod orphans;

pub(crate) use orphans::Orphans;

use crate::asking::Match;
use crate::ledger::Asked;
use crate::sync::Arrival;
use crate::wire::Question;
use crate::{Cx, Hello, Misbehavior, Ready};
use alloc::vec::Vec;
use bytes::Bytes;
use polypeer_engine::kit::chain::{BlockFault, BlockOutcome, ChainFormat, Hash, Head, Request};
use polypeer_engine::kit::cost::Class;
use polypeer_engine::{ConnectionId, Useful};

/// Bytes of blocks that the ledger judges; what comes above is dropped, and listed again in a minute at the latest.
pub(crate) const JUDGED_BYTES_MAX: usize = 64 << 20;

/// A block on its way through the ledger.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Judged {
    pub(crate) head: Head,
    pub(crate) block: Bytes,
    pub(crate) sender: ConnectionId,
}

impl<F: ChainFormat> Hello<F> {
    /// BLOCK.
    pub(crate) fn on_block(
        &mut self,
        cx: &mut Cx<'_, F>,
        connection: ConnectionId,
        ready: &mut Ready,
        number: u64,
        data: Bytes,
    ) -> Result<(), Misbehavior> {
        let head = F::head(&data);
        let question = match self.asking.match_block(connection, number, head.as_ref()) {
            Match::Asked(question) => question,
            Match::Other => return Err(head.map_or(Misbehavior::NotABlock, |_| Misbehavior::OtherBlock)),
            Match::Unasked => {
                cx.slip(connection, Misbehavior::UnaskedBlock);
                return Ok(());
            }
        };
        let head = head.ok_or(Misbehavior::NotABlock)?;
        if number != head.height {
            return Err(Misbehavior::WrongNumber);
        }
        self.asking.answered(connection, &question);
        self.asking.delivered(connection, cx.time());
        // It was asked for, so it is looked at in any case.
        cx.owe(connection, Class::HeaderCheck.price(data.len()));
        ready.known_blocks.insert(head.hash, ());
        if let Question::Number(_) = question {
            self.relay.wants.remove(&question);
        }
        self.relay.wants.came(&Question::Hash(head.hash));
        let arrived = Judged { head, block: data, sender: connection };
        if let Arrival::Judge(judged) = self.sync.arrived(arrived, &self.relay.held) {
            self.judge(cx, judged);
        }
        self.ask_waiting(cx, connection);
        self.go_on(cx);
        Ok(())
    }

    /// Puts a block to the ledger.
    pub(crate) fn judge(&mut self, cx: &mut Cx<'_, F>, judged: Judged) {
        if !self.sync.can_judge(judged.block.len()) {
            self.relay.wants.remove(&Question::Hash(judged.head.hash));
            return;
        }
        self.sync.judging(&judged);
        self.ask_ledger(cx, Request::TakeBlock(judged.block.clone()), Asked::Judge(judged));
    }

    /// The ledger has judged a block.
    pub(crate) fn on_judged(&mut self, cx: &mut Cx<'_, F>, judged: Judged, outcome: BlockOutcome) {
        let hash = judged.head.hash;
        let question = Question::Hash(hash);
        self.sync.judged(&judged);
        match outcome {
            BlockOutcome::Accepted | BlockOutcome::Known => {
                if outcome == BlockOutcome::Accepted {
                    cx.useful(judged.sender, Useful::Block);
                    cx.refund(judged.sender, Class::HeaderCheck.price(judged.block.len()));
                }
                self.relay.wants.remove(&question);
                self.relay.held.insert(hash, ());
                self.taken(&hash, cx.time());
                for orphan in self.sync.orphans.take_children(&hash) {
                    self.judge(cx, orphan);
                }
            }
            BlockOutcome::ParentUnknown => self.on_orphan(cx, judged),
            // It waits in the ledger for its time, or there is no room for it: nobody is to blame.
            BlockOutcome::Held | BlockOutcome::NoRoom => {
                self.relay.wants.remove(&question);
                self.give_up(cx, &hash);
            }
            BlockOutcome::Invalid(fault) => self.on_invalid(cx, &judged, fault),
        }
        self.go_on(cx);
    }

    fn on_invalid(&mut self, cx: &mut Cx<'_, F>, judged: &Judged, fault: BlockFault) {
        let hash = judged.head.hash;
        let question = Question::Hash(hash);
        if fault == BlockFault::State {
            cx.owe(judged.sender, Class::BlockCheck.price(judged.block.len()));
        }
        cx.convict(judged.sender, Misbehavior::InvalidBlock(fault));
        if fault == BlockFault::Body {
            // Another body may be right: whoever else has it is asked.
            self.sync.ask_again();
            if self.relay.wants.spoiled(Some(judged.sender), &question) {
                self.want(cx, question);
            }
            return;
        }
        self.relay.invalid.insert(hash, ());
        self.relay.wants.remove(&question);
        self.give_up(cx, &hash);
    }

    // A block whose parent is not here: its sender is asked for what lies between.
    fn on_orphan(&mut self, cx: &mut Cx<'_, F>, judged: Judged) {
        let Judged { head: Head { hash, .. }, sender, .. } = judged;
        self.relay.wants.remove(&Question::Hash(hash));
        if self.sync.return_listed(judged.clone()) {
            for liar in self.sync.listers_of_front(&hash) {
                self.bench(cx, liar);
            }
            return;
        }
        self.sync.orphans.hold(judged);
        self.ask_ahead(cx, sender, Vec::new());
    }

    /// A block is held: lists that begin with it go on with the next one.
    pub(crate) fn taken(&mut self, hash: &Hash, now: polypeer_engine::Time) {
        self.sync.taken(hash, now);
    }
}
