//! Shows the DAG and the mempool, and takes the operator's transactions.

use crate::networks::holdings::Holdings;
use crate::networks::running::{Later, Refused, Stopped, Which};
use crate::networks::till::Till;
use crate::networks::watched::{Arrival, Telling, Watch};
use crate::view;
use polypeer_driver::Handle;
use polypeer_engine::kit::chain::{Hash, Origin};
use polypeer_ledger_kaspa::{BlockKey, BlockView, Reader};
use polypeer_protocols::kaspa::Kaspa;
use polypeer_protocols::kaspa::ledger::{Answer, BlockOutcome, Request, TransactionOutcome};
use std::sync::Arc;

/// What a Kaspa node holds.
pub(super) struct Held {
    pub(super) handle: Handle<Kaspa>,
    pub(super) reader: Reader,
    pub(super) watch: Arc<Watch>,
    pub(super) till: Till,
}

fn block(found: BlockView) -> view::Block {
    view::Block {
        hash: found.standing.hash.to_string(),
        height: found.standing.blue_score,
        parents: found.parents.iter().map(Hash::to_string).collect(),
        time: found.standing.timestamp,
        transactions: found.transactions.iter().map(Hash::to_string).collect(),
        hex: const_hex::encode(&found.bytes),
        parent: None,
        producer: None,
        work: Some(decimal(found.standing.blue_work.0)),
        main: Some(found.is_on_chain),
    }
}

// 24 bytes, big-endian, in decimal: by long division.
fn decimal(bytes: [u8; 24]) -> String {
    let mut limbs: Vec<u64> =
        bytes.chunks_exact(4).map(|limb| limb.iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte))).collect();
    let mut digits = Vec::new();
    while digits.is_empty() || limbs.iter().any(|limb| *limb > 0) {
        let mut rest = 0;
        for limb in &mut limbs {
            let dividend = rest << 32 | *limb;
            (*limb, rest) = (dividend / 10, dividend % 10);
        }
        digits.push(char::from_digit(rest as u32, 10).unwrap_or('0'));
    }
    digits.iter().rev().collect()
}

impl Holdings for Held {
    fn tip(&self) -> Option<(u64, String)> {
        let sink = self.reader.state().sink;
        Some((sink.blue_score, sink.hash.to_string()))
    }

    fn blocks(&self) -> Option<u64> {
        Some(self.reader.counts().0)
    }

    fn is_syncing(&self) -> bool {
        self.watch.is_syncing()
    }

    fn is_sound(&self) -> bool {
        self.reader.is_sound()
    }

    fn block(&self, which: Which) -> Option<view::Block> {
        let key = match which {
            Which::Hash(hash) => BlockKey::Hash(Hash(hash)),
            Which::Height(score) => BlockKey::BlueScore(score),
            Which::Tip => BlockKey::Sink,
        };
        self.reader.block(&key).map(block)
    }

    fn transaction(&self, id: [u8; 32]) -> Option<view::Transaction> {
        let found = self.reader.transaction(&Hash(id))?;
        Some(view::Transaction {
            id: found.id.to_string(),
            hex: const_hex::encode(&found.bytes),
            block: found.block.map(|(hash, _)| hash.to_string()),
            height: found.block.map(|(_, score)| score),
        })
    }

    fn mempool(&self, max: usize) -> view::Mempool {
        let ids = self.reader.waiting_ids(max);
        view::Mempool { count: self.reader.waiting() as u64, transactions: ids.iter().map(Hash::to_string).collect() }
    }

    fn submit(&self, transaction: Vec<u8>) -> Later<'_, Result<String, Refused>> {
        Box::pin(async move {
            self.till.charge()?;
            let transactions = vec![transaction.into()];
            let request = Request::TakeTransactions { transactions, origin: Origin::Operator };
            let answer = self.handle.ask(request).await.map_err(Stopped::from)?;
            let Answer::TransactionsTaken(taken) = answer else { return Err(Stopped.into()) };
            let (id, outcome) = taken.first().ok_or(Stopped)?;
            if *outcome == TransactionOutcome::Accepted {
                self.till.refund();
            }
            accepted(id, *outcome)
        })
    }

    fn halt(&self) -> Later<'_, ()> {
        Box::pin(async {
            self.watch.halt();
            // Whatever it answers, the ledger has heard by then; one that has stopped produces nothing.
            let _ = self.handle.ask(Request::State).await;
        })
    }

    fn judged(&self) -> Vec<(&'static str, &'static str, u64)> {
        self.watch.judged()
    }
}

fn accepted(id: &Hash, outcome: TransactionOutcome) -> Result<String, Refused> {
    let (reason, text) = match outcome {
        TransactionOutcome::Accepted | TransactionOutcome::Known => return Ok(id.to_string()),
        TransactionOutcome::Malformed => ("malformed", "it is no transaction; it can never be valid"),
        TransactionOutcome::TooLarge => ("too_large", "it is larger than is relayed; it can never be valid"),
        TransactionOutcome::NoRoom => ("no_room", "too many wait, or the disk is full; it may be sent again later"),
    };
    Err(Refused::ByLedger { reason, text: text.to_owned() })
}

impl Telling for Answer {
    type Request = Request;
    const WORDS: [&'static [&'static str]; 2] = [
        &["accepted", "known", "parents_unknown", "invalid", "too_old", "no_room", "produced"],
        &["accepted", "known", "malformed", "too_large", "no_room"],
    ];

    fn catching_up(is_syncing: bool) -> Request {
        Request::CatchingUp(is_syncing)
    }

    fn is_catching_up(request: &Request) -> Option<bool> {
        match request {
            Request::CatchingUp(is_syncing) => Some(*is_syncing),
            _ => None,
        }
    }

    fn note(&self, watch: &Watch) {
        match self {
            // Of the sink `SinkTold` tells, when it is durable.
            Answer::BlockTaken { hash, outcome, .. } => {
                watch.block(match outcome {
                    BlockOutcome::Accepted => 0,
                    BlockOutcome::Known => 1,
                    BlockOutcome::ParentsUnknown(_) => 2,
                    BlockOutcome::Invalid(_) => 3,
                    BlockOutcome::TooOld => 4,
                    BlockOutcome::NoRoom => 5,
                });
                if *outcome == BlockOutcome::Accepted {
                    watch.arrived(Arrival::Block(hash.0));
                }
            }
            Answer::NewBlock { hash, .. } => {
                watch.block(6);
                watch.arrived(Arrival::Block(hash.0));
            }
            Answer::TransactionsTaken(taken) => taken.iter().for_each(|(id, outcome)| {
                watch.transaction(match outcome {
                    TransactionOutcome::Accepted => 0,
                    TransactionOutcome::Known => 1,
                    TransactionOutcome::Malformed => 2,
                    TransactionOutcome::TooLarge => 3,
                    TransactionOutcome::NoRoom => 4,
                });
                if *outcome == TransactionOutcome::Accepted {
                    watch.arrived(Arrival::Transaction(id.0));
                }
            }),
            _ => {}
        }
    }
}
