//! Feeds the ledger from the lowest held block upwards, in order, with many blocks at the ledger at once.

use crate::ledger::{Asked, Submitted};
use crate::orphans::{Account, Stage};
use crate::{Anya, Cx};
use alloc::vec::Vec;
use polypeer_engine::kit::chain::{ChainFormat, Hash, Head, Request};

/// Blocks that wait at the ledger at one time: enough for one durable commit to serve many.
const FEEDING_MAX: usize = 1_024;
/// Bytes that wait at the ledger at one time, one block more at most.
const FEEDING_BYTES_MAX: usize = 16 << 20;
/// Blocks whose bytes are fetched again at one time.
const AGAIN_MAX: usize = 64;
/// Bytes that those should have together.
const AGAIN_BYTES: usize = 8 << 20;

impl<F: ChainFormat> Anya<F> {
    /// A block's parent is held, or about to be: its turn has come.
    pub(crate) fn block_follows(&mut self, hash: Hash) {
        let Some(held) = self.sync.orphans.get(&hash) else { return };
        if held.stage == Stage::Waiting {
            self.sync.eligible.insert((held.height, hash));
        }
    }

    /// Puts the blocks whose turn has come to the ledger, lowest first. The ledger answers in order, so a child can
    /// follow its parent before the parent is judged.
    pub(crate) fn feed(&mut self, cx: &mut Cx<'_, F>) {
        while self.sync.feeding < FEEDING_MAX && self.sync.feeding_bytes < FEEDING_BYTES_MAX {
            let Some((height, hash)) = self.sync.eligible.pop_first() else { return };
            let Some(held) = self.sync.orphans.get(&hash) else { continue };
            if held.stage == Stage::AtLedger {
                continue;
            }
            let Some(body) = held.body.clone() else {
                self.sync.orphans.set_stage(&hash, Stage::Due);
                self.sync.due.insert((height, hash));
                self.fetch_again(cx, hash);
                continue;
            };
            let head = Head { hash, parent: held.parent, height };
            let is_fetched = held.account == Account::Gap;
            let submitted = Submitted { from: held.from, head, body: body.clone(), is_fetched, is_fed: true };
            self.sync.orphans.set_stage(&hash, Stage::AtLedger);
            self.sync.feeding += 1;
            self.sync.feeding_bytes += body.len();
            self.desk.ask(cx, Request::TakeBlock(body), Asked::Block(submitted));
            for child in self.sync.orphans.children(hash) {
                self.block_follows(child);
            }
        }
    }

    // Fetches a block's bytes again, and those of the next ones above it, so that they come in one go.
    fn fetch_again(&mut self, cx: &mut Cx<'_, F>, lowest: Hash) {
        let most = (AGAIN_BYTES / self.sync.block_bytes.max(1)).clamp(1, AGAIN_MAX);
        let mut next = alloc::vec![lowest];
        for _ in 0..most {
            let Some(hash) = next.pop() else { return };
            let Some(held) = self.sync.orphans.get(&hash) else { continue };
            if held.body.is_none() {
                let height = held.height;
                self.want_bytes(cx, hash, height);
            }
            next.extend(self.sync.orphans.children(hash));
        }
    }

    /// A new claim may bring what nobody could deliver.
    pub(crate) fn due_again(&mut self, cx: &mut Cx<'_, F>) {
        let due: Vec<_> = self.sync.due.iter().take(AGAIN_MAX).copied().collect();
        for (height, hash) in due {
            if self.sync.orphans.get(&hash).is_some() {
                self.want_bytes(cx, hash, height);
            } else {
                self.sync.due.remove(&(height, hash));
            }
        }
    }
}
