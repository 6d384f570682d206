//! Answers what only reads: locators, headers, bodies, statuses (Kaspa spec, sections 4.4, 4.6 and 4.7).

use crate::node::{Held, Number};
use crate::taking::Work;
use bytes::Bytes;
use polypeer_engine::kit::chain::Hash;
use polypeer_kaspa::ledger::{Answer, Headers, Refusal, Request, Status};
use polypeer_kaspa::wire::{BlockBody, encode_block};
use std::collections::{BTreeSet, VecDeque};

impl Work<'_> {
    /// The answer; nothing to a request that has none.
    pub(crate) fn answer(&mut self, request: &Request) -> Option<Answer> {
        Some(match request {
            Request::State => Answer::State(self.state()),
            Request::Statuses(hashes) => Answer::Statuses(self.statuses(hashes)),
            Request::TakeBlock(block) => {
                let (hash, outcome) = self.take_block(block);
                Answer::BlockTaken { hash, outcome, state: self.state() }
            }
            Request::TakeHeaders(headers) => {
                let (taken, fault) = self.take_headers(headers);
                Answer::HeadersTaken { taken, fault, state: self.state() }
            }
            Request::TakeBodies(bodies) => {
                let (taken, fault) = self.take_bodies(bodies);
                Answer::BodiesTaken { taken, fault, state: self.state() }
            }
            Request::Blocks(hashes) => Answer::Blocks(hashes.iter().map(|hash| self.block(hash)).collect()),
            Request::Bodies(hashes) => {
                let body = |hash| self.dag.number(hash).and_then(|number| self.body(number));
                Answer::Bodies(hashes.iter().map(body).collect())
            }
            Request::BlockLocator { high, limit } => Answer::Locator(self.block_locator(high, *limit)),
            Request::ChainLocator { low, high } => Answer::Locator(self.chain_locator(*low, *high)),
            Request::HeadersBetween { low, high, bytes_max } => {
                Answer::Headers(self.headers_between(low, high, *bytes_max as usize))
            }
            Request::Antipast { block, context, count_max } => {
                Answer::Headers(self.antipast(block, context, *count_max))
            }
            Request::MissingBodies { of, count_max } => Answer::MissingBodies(self.missing_bodies(of, *count_max)),
            Request::TakeTransactions { transactions, origin } => {
                Answer::TransactionsTaken(self.take_transactions(transactions, *origin))
            }
            Request::Transactions(ids) => {
                let bytes = |id| self.mempool.get(id).map(|waiting| waiting.bytes.clone());
                Answer::Transactions(ids.iter().map(bytes).collect())
            }
            Request::MissingTransactions(ids) => {
                Answer::MissingTransactions(ids.iter().filter(|id| !self.mempool.contains(id)).copied().collect())
            }
            Request::Import(_) | Request::Kept { .. } | Request::CatchingUp(_) | Request::MeetsFullNodes(_) => {
                return None;
            }
        })
    }

    pub(crate) fn statuses(&self, hashes: &[Hash]) -> Vec<Status> {
        hashes.iter().map(|hash| self.status(hash)).collect()
    }

    fn status(&self, hash: &Hash) -> Status {
        match self.dag.held(hash).map(|number| self.dag.node(number).held) {
            Some(Held::Full) => Status::Full,
            Some(Held::Header) => Status::HeaderOnly,
            Some(Held::Invalid) => Status::Invalid,
            None if self.invalid.contains(hash) => Status::Invalid,
            None => Status::Unknown,
        }
    }

    fn block(&mut self, hash: &Hash) -> Option<Bytes> {
        let number = self.dag.number(hash)?;
        let body = BlockBody::decode(&self.body(number)?).ok()?;
        Some(encode_block(&self.header(number)?, body.0.slices()))
    }

    fn find(&self, hash: &Hash) -> Result<Number, Refusal> {
        self.dag.held(hash).ok_or(Refusal::UnknownHeader(*hash))
    }

    fn hashes(&self, blocks: impl IntoIterator<Item = Number>) -> Vec<Hash> {
        blocks.into_iter().map(|block| self.dag.node(block).hash).collect()
    }

    /// As the network builds them: neighbours may be the same block where the chain's scores are far apart.
    fn block_locator(&self, high: &Hash, limit: u32) -> Result<Vec<Hash>, Refusal> {
        let (mut block, base) = (self.find(high)?, self.dag.base());
        if !self.dag.is_chain_ancestor(base, block) {
            return Err(Refusal::PruningPointMissed(*high));
        }
        let lowest = self.dag.node(base).blue_score;
        let (mut locator, mut step) = (vec![block], 1_u64);
        while block != base && locator.len() != limit as usize {
            let score = self.dag.node(block).blue_score.saturating_sub(step).max(lowest);
            block = self.dag.lowest(block, |node| node.blue_score >= score);
            locator.push(block);
            step = step.saturating_mul(2);
        }
        Ok(self.hashes(locator))
    }

    fn chain_locator(&self, low: Option<Hash>, high: Option<Hash>) -> Result<Vec<Hash>, Refusal> {
        let low = low.map_or(Ok(self.dag.base()), |low| self.find(&low))?;
        let high = high.map_or(Ok(self.dag.sink()), |high| self.find(&high))?;
        if low == high {
            return Ok(self.hashes([low]));
        }
        if !self.dag.is_on_chain(low) || !self.dag.is_on_chain(high) {
            return Ok(Vec::new());
        }
        let [lowest, highest] = [low, high].map(|block| self.dag.node(block).depth as usize);
        if lowest > highest {
            return Err(Refusal::LowAboveHigh(self.dag.node(low).hash, self.dag.node(high).hash));
        }
        let (mut locator, mut step, mut depth) = (Vec::new(), 1, Some(highest));
        while let Some(at) = depth.filter(|depth| *depth > lowest) {
            locator.extend(self.dag.chain().get(at));
            (depth, step) = (at.checked_sub(step), 2 * step);
        }
        locator.push(low);
        Ok(self.hashes(locator))
    }

    fn headers_between(&mut self, low: &Hash, high: &Hash, bytes_max: usize) -> Result<Headers, Refusal> {
        let (bottom, top) = (self.find(low)?, self.find(high)?);
        if !self.dag.is_chain_ancestor(bottom, top) {
            return Err(Refusal::NotAncestor(*low, *high));
        }
        let depths = self.dag.node(bottom).depth + 1..=self.dag.node(top).depth;
        let (mut headers, mut bytes, mut reached) = (Vec::new(), 0, bottom);
        for depth in depths {
            if bytes >= bytes_max && !headers.is_empty() {
                break;
            }
            reached = self.dag.at_depth(top, depth);
            for block in self.merge_set(reached) {
                // While the store cannot be read, no header is known.
                let header = self.header(block).ok_or(Refusal::UnknownHeader(self.dag.node(block).hash))?;
                bytes += header.len();
                headers.push(header);
            }
        }
        Ok(Headers { headers, reached: self.dag.node(reached).hash })
    }

    /// What a block merges beside its selected parent, from below, and the block.
    fn merge_set(&self, block: Number) -> Vec<Number> {
        let node = self.dag.node(block);
        let others = node.merge_set.iter().filter(|merged| **merged != node.selected_parent);
        let mut blocks: Vec<Number> = others.copied().collect();
        blocks.sort_unstable_by(|one, other| self.dag.compare(*one, *other));
        blocks.push(block);
        blocks
    }

    fn antipast(&mut self, block: &Hash, context: &Hash, count_max: u32) -> Result<Headers, Refusal> {
        let (known, context) = (self.find(block)?, self.find(context)?);
        let mut queue = VecDeque::from([context]);
        let mut found = BTreeSet::new();
        while let Some(block) = queue.pop_front() {
            let is_known = self.dag.node(block).rank.is_below() || self.dag.is_ancestor(block, known);
            if is_known || !found.insert(block) {
                continue;
            }
            if found.len() > count_max as usize {
                return Err(Refusal::TooMany(count_max));
            }
            queue.extend(&self.dag.node(block).parents);
        }
        let mut found: Vec<Number> = found.into_iter().collect();
        found.sort_unstable_by(|one, other| self.dag.compare(*one, *other));
        let headers =
            found.into_iter().map(|block| self.header(block).ok_or(Refusal::UnknownHeader(self.dag.node(block).hash)));
        let headers: Vec<Bytes> = headers.collect::<Result<_, _>>()?;
        Ok(Headers { headers, reached: self.dag.node(context).hash })
    }

    pub(crate) fn missing_bodies(&self, of: &Hash, count_max: u32) -> Vec<Hash> {
        let Some(of) = self.dag.held(of) else { return Vec::new() };
        let waiting = self.dag.bodiless().range(..=of).copied();
        let missing = waiting.filter(|block| self.dag.is_ancestor(*block, of));
        self.hashes(missing.take(count_max as usize))
    }
}
