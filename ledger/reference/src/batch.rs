//! Works through one batch of requests: one write transaction, one durable commit, then the answers.

use crate::chain::Chain;
use crate::held::Held;
use crate::judge::{Judged, Judgement};
use crate::mempool::{Mempool, Offer, Waiting};
use crate::reader::Shared;
use crate::requests::Desk;
use crate::tables::{Look, Result};
use crate::transaction::{self, Transaction};
use crate::validate::{Candidate, Examined};
use polypeer_engine::kit::chain::{Answer, BlockFault, BlockOutcome, Hash, Origin, Request};
use polypeer_engine::kit::chain::{TransactionFault, TransactionOutcome};
use polypeer_engine::{Ticket, To};
use std::sync::PoisonError;

/// What a batch is made of.
pub(crate) struct Batch {
    pub(crate) requests: Vec<(Ticket, Request)>,
    pub(crate) judged: Vec<Judged>,
    /// Blocks that nobody asks about now: held ones whose time has come, produced ones.
    pub(crate) own: Vec<Examined>,
}

impl Batch {
    /// Whether answering it may change the store.
    pub(crate) fn writes(&self) -> bool {
        !self.own.is_empty()
            || self.requests.iter().any(|(_, request)| {
                matches!(request, Request::TakeBlock(_) | Request::TakeTransactions { origin: Origin::Operator, .. })
            })
    }

    pub(crate) fn entries(&self) -> impl Iterator<Item = (Ticket, &Request, &Judged)> {
        self.requests.iter().zip(&self.judged).map(|((ticket, request), judged)| (*ticket, request, judged))
    }
}

/// A batch at work on the open tables.
pub(crate) struct Work<'a, 't> {
    pub(crate) shared: &'a Shared,
    pub(crate) chain: Chain<'a, 't>,
    pub(crate) held: &'a mut Held,
    pub(crate) now_ms: u64,
    /// What waits that the engine has not brought itself: the operator's, and what a reorganisation put back.
    pub(crate) news: Vec<Hash>,
}

impl Work<'_, '_> {
    /// Works through the batch; the answers hold once the tables are committed.
    pub(crate) fn run(&mut self, batch: &Batch) -> Result<Vec<(To, Answer)>> {
        for block in &batch.own {
            self.take_block(block)?;
        }
        let mut answers = Vec::with_capacity(batch.requests.len());
        for (ticket, request, judged) in batch.entries() {
            let answer = match (request, judged) {
                (Request::TakeBlock(_), Judged::Block(block)) => {
                    let (hash, outcome) = self.take_block(block)?;
                    Some(Answer::BlockTaken { hash, outcome })
                }
                (Request::TakeTransactions { origin, .. }, Judged::Transactions(judgements)) => {
                    Some(Answer::TransactionsTaken(self.take_transactions(*origin, judgements)?))
                }
                _ => self.read(request)?,
            };
            answers.extend(answer.map(|answer| (To::Asker(ticket), answer)));
        }
        let height = self.chain.end.height;
        self.chain.tables.forget_confirmed(height)?;
        Ok(answers)
    }

    fn read(&self, request: &Request) -> Result<Option<Answer>> {
        Desk { shared: self.shared, look: &self.chain.tables, end: &self.chain.end, held: self.held }.answer(request)
    }

    fn take_block(&mut self, block: &Examined) -> Result<(Hash, BlockOutcome)> {
        self.chain.changes.watched = self.shared.mempool().len() > 0;
        let taken = self.chain.take(self.now_ms, block, self.held)?;
        self.follow()?;
        Ok(taken)
    }

    /// Brings the mempool up to the chain after a block.
    fn follow(&mut self) -> Result<()> {
        let changes = std::mem::take(&mut self.chain.changes);
        if changes.is_empty() {
            return Ok(());
        }
        let mut touched: Vec<[u8; 32]> = changes.touched.into_iter().collect();
        let mut returned = changes.returned;
        let shared = self.shared;
        let mut mempool = shared.mempool.write().unwrap_or_else(PoisonError::into_inner);
        for number in changes.abandoned.iter().rev() {
            let Some(block) = Candidate::stored(self.chain.tables.block(*number)?, Some(true)) else { continue };
            for (bytes, id) in block.transactions().iter().zip(&block.ids) {
                let Ok(transaction) = Transaction::read(bytes) else { continue };
                let operator = returned.get(id).copied();
                let offer = offer(&self.chain.tables, *id, transaction, bytes, operator)?;
                if mempool.offer_back(&offer) {
                    returned.remove(id);
                    touched.push(transaction.sender);
                    self.news.push(*id);
                }
            }
        }
        touched.sort_unstable();
        touched.dedup();
        for key in touched.iter().filter(|key| mempool.has_sender(key)).collect::<Vec<_>>() {
            let account = self.chain.tables.account(key)?;
            for gone in mempool.settle(key, account) {
                if let Some(place) = gone.operator {
                    self.chain.tables.retire_operator(place, &gone.id)?;
                }
            }
        }
        let mut returned: Vec<(Hash, u64)> = returned.into_iter().collect();
        returned.sort_unstable();
        for (id, place) in returned {
            self.chain.tables.retire_operator(place, &id)?;
        }
        // Only now, since what leaves could not be put back.
        if changes.abandoned.is_empty() { Ok(()) } else { self.chain.trim_abandoned() }
    }

    fn take_transactions(
        &mut self,
        origin: Origin,
        judgements: &[Judgement],
    ) -> Result<Vec<(Hash, TransactionOutcome)>> {
        let shared = self.shared;
        let mut mempool = shared.mempool.write().unwrap_or_else(PoisonError::into_inner);
        let mut outcomes = Vec::with_capacity(judgements.len());
        for judgement in judgements {
            let replaced = judgement.verdict.ok().and_then(|(it, _)| mempool.at(&it.sender, it.sequence)?.operator);
            let mut outcome = take_transaction(&self.chain.tables, &mut mempool, judgement)?;
            if origin == Origin::Operator {
                let replaced = replaced.filter(|_| outcome == TransactionOutcome::Accepted);
                outcome = self.keep(&mut mempool, judgement, outcome, replaced)?;
            }
            outcomes.push((judgement.id, outcome));
        }
        Ok(outcomes)
    }

    /// Stores a transaction of the operator's, in the place of the one that it replaces.
    fn keep(
        &mut self,
        mempool: &mut Mempool,
        judgement: &Judgement,
        outcome: TransactionOutcome,
        replaced: Option<u64>,
    ) -> Result<TransactionOutcome> {
        if let Some(place) = replaced {
            self.chain.tables.operator.remove(place)?;
        }
        let unstored = mempool.get(&judgement.id).filter(|waiting| waiting.operator.is_none());
        let Some(bytes) = unstored.map(|waiting| waiting.bytes) else { return Ok(outcome) };
        let is_new = outcome == TransactionOutcome::Accepted;
        match self.chain.tables.add_operator(&bytes)? {
            Some(place) => mempool.store_operator(&judgement.id, place, !is_new),
            None if is_new => {
                mempool.drop_one(&judgement.id);
                return Ok(TransactionOutcome::NotNow(TransactionFault::NoRoom));
            }
            None => {}
        }
        if is_new {
            self.news.push(judgement.id);
        }
        Ok(outcome)
    }
}

fn offer<'b>(
    look: &impl Look,
    id: Hash,
    transaction: Transaction,
    bytes: &'b transaction::TransactionBytes,
    operator: Option<u64>,
) -> Result<Offer<'b>> {
    let (sender, recipient) = (look.account(&transaction.sender)?, look.account(&transaction.recipient)?);
    Ok(Offer { id, bytes, transaction, sender, recipient, operator })
}

fn take_transaction(look: &impl Look, mempool: &mut Mempool, judgement: &Judgement) -> Result<TransactionOutcome> {
    let (transaction, bytes) = match &judgement.verdict {
        Ok(formed) => formed,
        Err(fault) => return Ok(TransactionOutcome::NeverValid(*fault)),
    };
    let outcome = mempool.offer(&offer(look, judgement.id, *transaction, bytes, None)?);
    let used = outcome == TransactionOutcome::NotNow(TransactionFault::Sequence);
    if used && look.confirmed(&judgement.id)?.is_some() {
        return Ok(TransactionOutcome::Known);
    }
    Ok(outcome)
}

/// Answers a batch without changing the store: because nothing in it asks for that, or because there is no room.
pub(crate) fn answer_reading(desk: &Desk<'_, impl Look>, batch: &Batch) -> Result<Vec<(To, Answer)>> {
    let mut answers = Vec::with_capacity(batch.requests.len());
    for (ticket, request, judged) in batch.entries() {
        let answer = match (request, judged) {
            (Request::TakeBlock(_), Judged::Block(block)) => Some(refuse_block(desk, block)?),
            (Request::TakeTransactions { origin, .. }, Judged::Transactions(judgements)) => {
                Some(Answer::TransactionsTaken(take_unstored(desk, *origin, judgements)?))
            }
            _ => desk.answer(request)?,
        };
        answers.extend(answer.map(|answer| (To::Asker(ticket), answer)));
    }
    Ok(answers)
}

/// What can be said of a block that cannot be stored now.
fn refuse_block(desk: &Desk<'_, impl Look>, block: &Examined) -> Result<Answer> {
    let hash = block.hash(&desk.shared.network);
    let outcome = match block {
        Examined::Block(_) if desk.look.number(&hash)?.is_some() => BlockOutcome::Known,
        _ => refusal(block),
    };
    Ok(Answer::BlockTaken { hash, outcome })
}

/// What a block's bytes alone say when nothing can be stored.
pub(crate) fn refusal(block: &Examined) -> BlockOutcome {
    match block {
        Examined::Genesis { right: true } => BlockOutcome::Known,
        Examined::Genesis { right: false } => BlockOutcome::Invalid(BlockFault::Body),
        Examined::Wrong { fault, .. } => BlockOutcome::Invalid(*fault),
        Examined::Block(_) => BlockOutcome::NoRoom,
    }
}

/// Takes peers' transactions, which need not be stored, and refuses the operator's, which must be.
fn take_unstored(
    desk: &Desk<'_, impl Look>,
    origin: Origin,
    judgements: &[Judgement],
) -> Result<Vec<(Hash, TransactionOutcome)>> {
    let mut mempool = desk.shared.mempool.write().unwrap_or_else(PoisonError::into_inner);
    let mut outcomes = Vec::with_capacity(judgements.len());
    for judgement in judgements {
        let outcome = match origin {
            Origin::Peer => take_transaction(desk.look, &mut mempool, judgement)?,
            Origin::Operator if desk.look.confirmed(&judgement.id)?.is_some() => TransactionOutcome::Known,
            Origin::Operator => refuse_transaction(&mempool, origin, judgement),
        };
        outcomes.push((judgement.id, outcome));
    }
    Ok(outcomes)
}

/// What can be said of a transaction that cannot be taken now. To the operator only what is stored is known.
pub(crate) fn refuse_transaction(mempool: &Mempool, origin: Origin, judgement: &Judgement) -> TransactionOutcome {
    let is_known = |waiting: &Waiting| origin == Origin::Peer || waiting.operator.is_some();
    match judgement.verdict {
        Err(fault) => TransactionOutcome::NeverValid(fault),
        Ok(_) if mempool.get(&judgement.id).is_some_and(is_known) => TransactionOutcome::Known,
        Ok(_) => TransactionOutcome::NotNow(TransactionFault::NoRoom),
    }
}
