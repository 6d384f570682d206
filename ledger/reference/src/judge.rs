//! Judges a batch before any state is looked at: forms, roots and signatures, spread over worker threads.

use crate::mempool::Mempool;
use crate::parameters::Network;
use crate::signatures;
use crate::transaction::{self, Transaction, TransactionBytes};
use crate::validate::{Examined, examine};
use bytes::Bytes;
use polypeer_engine::kit::chain::{Hash, Request, TransactionFault};
use rayon::prelude::*;

/// Blocks are examined on worker threads from this many bytes in a batch on: some ten microseconds of hashing.
const PARALLEL_BYTES: usize = 64 << 10;

/// What is known of a request without any state.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "a large batch is nearly all blocks, which a box would only slow down")]
pub(crate) enum Judged {
    Block(Examined),
    Transactions(Vec<Judgement>),
    /// A request that brings nothing to judge.
    Plain,
}

/// What is known of a transaction without any state.
#[derive(Debug)]
pub(crate) struct Judgement {
    pub(crate) id: Hash,
    /// The transaction, or what makes it never valid.
    pub(crate) verdict: Result<(Transaction, TransactionBytes), TransactionFault>,
}

/// Judges the requests of a batch. `tip` is the block that the first new one is likely to follow: blocks that extend
/// the main chain one after another have their signatures checked here, all of them together; those on branches when
/// their branch is tried.
pub(crate) fn judge<'a>(
    network: &Network,
    mempool: &Mempool,
    tip: Hash,
    requests: impl Iterator<Item = &'a Request>,
) -> Vec<Judged> {
    let requests: Vec<&Request> = requests.collect();
    let bytes: usize =
        requests.iter().map(|request| if let Request::TakeBlock(bytes) = request { bytes.len() } else { 0 }).sum();
    let mut judged: Vec<Judged> = if bytes >= PARALLEL_BYTES {
        requests.par_iter().with_min_len(16.min(requests.len() / 4 + 1)).map(|request| form(network, request)).collect()
    } else {
        requests.iter().map(|request| form(network, request)).collect()
    };
    check_signatures(network, mempool, tip, &mut judged);
    judged
}

/// Judges one block on its own.
pub(crate) fn judge_block(network: &Network, mempool: &Mempool, tip: Hash, bytes: &Bytes) -> Examined {
    let mut judged = [Judged::Block(examine(network, bytes))];
    check_signatures(network, mempool, tip, &mut judged);
    let [Judged::Block(examined)] = judged else { unreachable!("a block was put in") };
    examined
}

fn form(network: &Network, request: &Request) -> Judged {
    match request {
        Request::TakeBlock(bytes) => Judged::Block(examine(network, bytes)),
        Request::TakeTransactions { transactions, .. } => {
            Judged::Transactions(transactions.iter().map(|bytes| form_of(bytes)).collect())
        }
        _ => Judged::Plain,
    }
}

fn form_of(bytes: &[u8]) -> Judgement {
    let verdict = match bytes.try_into() {
        Ok(bytes) => Transaction::read(&bytes).map(|transaction| (transaction, bytes)),
        Err(_) => Err(TransactionFault::Length),
    };
    Judgement { id: transaction::id(bytes), verdict }
}

/// Gathers the signatures that nobody has looked at yet and checks them all at once.
fn check_signatures(network: &Network, mempool: &Mempool, mut tip: Hash, judged: &mut [Judged]) {
    let mut gathered: Vec<&TransactionBytes> = Vec::new();
    // For each judged request in order, how many signatures of it were gathered; nothing where all is left as it is.
    let mut counts: Vec<Option<usize>> = Vec::with_capacity(judged.len());
    for request in judged.iter() {
        let before = gathered.len();
        let asked = match request {
            Judged::Block(Examined::Block(block)) if block.header.parent == tip => {
                tip = block.hash;
                let unseen = block.transactions().iter().zip(&block.ids).filter(|(_, id)| !mempool.contains(id));
                gathered.extend(unseen.map(|(bytes, _)| bytes));
                true
            }
            Judged::Transactions(list) => {
                let formed = list.iter().filter(|it| !mempool.contains(&it.id));
                gathered.extend(formed.filter_map(|it| it.verdict.as_ref().ok().map(|(_, bytes)| bytes)));
                true
            }
            _ => false,
        };
        counts.push(asked.then(|| gathered.len() - before));
    }
    let mut right = signatures::verify_each(&network.id, &gathered).into_iter();
    for (request, count) in judged.iter_mut().zip(counts) {
        let Some(count) = count else { continue };
        match request {
            Judged::Block(Examined::Block(block)) => {
                // Every answer is taken out of the line, whatever the first wrong one is.
                block.signatures = Some(right.by_ref().take(count).filter(|right| !right).count() == 0);
            }
            Judged::Transactions(list) => {
                let formed = list.iter_mut().filter(|it| it.verdict.is_ok() && !mempool.contains(&it.id));
                for (judgement, right) in formed.zip(right.by_ref().take(count)) {
                    if !right {
                        judgement.verdict = Err(TransactionFault::Signature);
                    }
                }
            }
            _ => {}
        }
    }
}
