//! Holds a chain of one block and takes any bytes as a transaction: a ledger that costs next to nothing.

use crate::payload::{Arrivals, STAMP_BYTES, Tally};
use bytes::Bytes;
use polypeer_engine::kit::chain::{
    Answer, BlockFault, BlockKey, BlockOutcome, ChainFormat, Hash, Head, Request, Tip, TransactionOutcome,
};
use polypeer_engine::{Ledger, Now, Ticket, Time, To};
use std::sync::Arc;

/// The only block.
const GENESIS: &[u8] = b"the beginning";
/// Its hash.
pub(super) const GENESIS_HASH: Hash = Hash([9; 32]);
const TIP: Tip = Tip { hash: GENESIS_HASH, height: 0, work: 1, genesis: GENESIS_HASH };

/// The format: a transaction's stamp is its identifier. The peers compute none, so a real hash would compare two
/// different tasks; the stamp already has a hash, which the receiver checks.
pub(super) struct Format;

impl ChainFormat for Format {
    fn head(block: &[u8]) -> Option<Head> {
        (block == GENESIS).then_some(Head { hash: GENESIS_HASH, parent: Hash::ZERO, height: 0 })
    }

    fn transaction_id(transaction: &[u8]) -> Hash {
        let mut id = [0; 32];
        let stamp = &transaction[..transaction.len().min(STAMP_BYTES)];
        id[..stamp.len()].copy_from_slice(stamp);
        Hash(id)
    }
}

/// The ledger. It checks what arrives as the peers' receivers do.
pub(super) struct Chain {
    arrivals: Arrivals,
}

impl Chain {
    /// Counts what it takes.
    pub(super) fn new(tally: Arc<Tally>) -> Self {
        Self { arrivals: Arrivals::new(tally) }
    }

    fn reply(&mut self, request: Request) -> Option<Answer> {
        Some(match request {
            Request::TakeTransactions { transactions, .. } => {
                let take = |transaction: &Bytes| {
                    self.arrivals.take(transaction);
                    (Format::transaction_id(transaction), TransactionOutcome::Accepted)
                };
                Answer::TransactionsTaken(transactions.iter().map(take).collect())
            }
            Request::Tip => Answer::Tip(TIP),
            Request::TakeBlock(block) => match Format::head(&block) {
                Some(head) => Answer::BlockTaken { hash: head.hash, outcome: BlockOutcome::Known },
                None => Answer::BlockTaken { hash: Hash::ZERO, outcome: BlockOutcome::Invalid(BlockFault::Body) },
            },
            Request::Block(key) => {
                let is_genesis = matches!(key, BlockKey::Height(0) | BlockKey::Hash(GENESIS_HASH));
                Answer::Block(is_genesis.then_some(Bytes::from_static(GENESIS)))
            }
            Request::Hashes { from: 0, count: 1.. } => {
                Answer::Hashes { from: 0, parent: Hash::ZERO, hashes: vec![GENESIS_HASH], tip: TIP }
            }
            Request::Hashes { .. } => Answer::Hashes { from: 1, parent: GENESIS_HASH, hashes: Vec::new(), tip: TIP },
            Request::HashesAt(heights) => {
                let hashes = heights.into_iter().filter(|height| *height == 0).map(|height| (height, GENESIS_HASH));
                Answer::HashesAt { hashes: hashes.collect(), tip: TIP }
            }
            Request::Missing(mut hashes) => {
                hashes.retain(|hash| *hash != GENESIS_HASH);
                Answer::Missing(hashes)
            }
            Request::Waiting { .. } => Answer::Waiting(Vec::new()),
            Request::WaitingIds(_) => Answer::WaitingIds(Vec::new()),
            Request::MissingTransactions(ids) => Answer::Missing(ids),
            Request::Transaction(_) => Answer::Transaction(None),
            Request::CatchingUp(_) => return None,
        })
    }
}

impl Ledger for Chain {
    type Request = Request;
    type Answer = Answer;

    fn answer(&mut self, _: Now, requests: Vec<(Ticket, Request)>, answers: &mut Vec<(To, Answer)>) {
        for (ticket, request) in requests {
            answers.extend(self.reply(request).map(|answer| (To::Asker(ticket), answer)));
        }
    }

    fn next_wake(&self, _: Now) -> Option<Time> {
        None
    }

    fn wake(&mut self, _: Now, _: &mut Vec<(To, Answer)>) {}
}
