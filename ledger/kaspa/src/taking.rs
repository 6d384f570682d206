//! Takes headers, bodies, blocks and transactions: one batch at work on the DAG in memory, until its one commit.

use crate::body::{Body, Frame};
use crate::dag::{Dag, GENESIS};
use crate::fresh::{Fresh, Invalid};
use crate::header::{is_remembered, judge_alone};
use crate::mempool::Mempool;
use crate::node::{self, Held, Node, Number};
use crate::store::{Change, Write};
use crate::tables::Reading;
use crate::work::from_wire;
use bytes::Bytes;
use polypeer_engine::Now;
use polypeer_engine::kit::chain::{Hash, Origin};
use polypeer_kaspa::ledger::{BlockOutcome, Fault, State, TransactionOutcome};
use polypeer_kaspa::wire::{BlockBody, BlockView, Header};

/// A batch at work.
pub(crate) struct Work<'a> {
    pub(crate) dag: &'a mut Dag,
    pub(crate) mempool: &'a mut Mempool,
    pub(crate) invalid: &'a mut Invalid,
    /// What was last committed of the DAG; nothing while the store is shut.
    pub(crate) reading: Option<&'a Reading>,
    pub(crate) fresh: Fresh,
    /// All that is to be committed, and what makes a change to this DAG one of them.
    pub(crate) writes: Vec<Write>,
    pub(crate) wrap: fn(Change) -> Write,
    /// Bytes that the batch may still add; nothing while nothing can be written.
    pub(crate) room: Option<u64>,
    /// The operator's transactions that wait since.
    pub(crate) operators: Vec<Hash>,
    pub(crate) now: Now,
    /// Whether the store failed to be read.
    pub(crate) is_broken: bool,
}

type Taken<T> = Result<T, BlockOutcome>;

fn invalid<T>(fault: Fault) -> Taken<T> {
    Err(BlockOutcome::Invalid(fault))
}

impl Work<'_> {
    /// Where the ledger stands.
    pub(crate) fn state(&self) -> State {
        let genesis = self.dag.node(GENESIS).hash;
        State {
            sink: self.dag.standing(self.dag.sink()),
            header_tip: self.dag.standing(self.dag.header_tip()),
            pruning_point: self.dag.node(self.dag.base()).hash,
            genesis,
        }
    }

    pub(crate) fn take_block(&mut self, bytes: &[u8]) -> (Hash, BlockOutcome) {
        let decoded = BlockView::decode(bytes).and_then(|block| Ok((block, block.header()?)));
        let Ok((block, header)) = decoded else {
            return (Hash::ZERO, BlockOutcome::Invalid(Fault::Malformed));
        };
        let hash = header.hash();
        (hash, outcome(self.try_block(hash, &header, &block)))
    }

    fn try_block(&mut self, hash: Hash, header: &Header, block: &BlockView<'_>) -> Taken<()> {
        if let Some(number) = self.known(&hash)? {
            return match self.dag.node(number).held {
                Held::Full => Err(BlockOutcome::Known),
                _ if self.dag.is_left(number) => Err(BlockOutcome::TooOld),
                _ => self.try_body(number, header, block.transactions()),
            };
        }
        if block.transaction_count == 0 {
            return invalid(Fault::NoBody);
        }
        let level = judge_alone(self.dag, header, self.now.unix_ms).map_err(BlockOutcome::Invalid)?;
        if from_wire(&header.blue_work) <= self.dag.work_min() {
            return Err(BlockOutcome::TooOld);
        }
        let parents = self.dag.parents(header)?;
        self.are_full(&parents)?;
        let node = self.judge(header, hash, level, &parents)?;
        let frame = frame(self.dag, header, &node);
        let body = Body::judge(block.transactions(), &frame, &self.dag.params);
        let body = body.map_err(|fault| self.remember(hash, fault))?;
        let change = header_change(self.dag.count(), header, &node);
        self.reserve(change.bytes() + body.bytes.len() as u64)?;
        self.push(change);
        let number = self.dag.add(node);
        self.fill(number, body);
        Ok(())
    }

    /// How many headers were taken, and what was wrong with the next one.
    pub(crate) fn take_headers(&mut self, headers: &[Bytes]) -> (u32, Option<BlockOutcome>) {
        take_all(headers, |bytes| self.take_header(bytes))
    }

    fn take_header(&mut self, bytes: &[u8]) -> Taken<()> {
        let Ok(header) = Header::decode(bytes) else { return invalid(Fault::Malformed) };
        let hash = header.hash();
        if self.known(&hash)?.is_some() {
            return Err(BlockOutcome::Known);
        }
        let level = judge_alone(self.dag, &header, self.now.unix_ms).map_err(BlockOutcome::Invalid)?;
        let parents = self.dag.parents(&header)?;
        let node = self.judge(&header, hash, level, &parents)?;
        let change = header_change(self.dag.count(), &header, &node);
        self.reserve(change.bytes())?;
        self.push(change);
        self.dag.add(node);
        Ok(())
    }

    /// How many bodies were taken, and what was wrong with the next one.
    pub(crate) fn take_bodies(&mut self, bodies: &[(Hash, Bytes)]) -> (u32, Option<BlockOutcome>) {
        take_all(bodies, |(hash, bytes)| self.take_body(hash, bytes))
    }

    fn take_body(&mut self, hash: &Hash, bytes: &Bytes) -> Taken<()> {
        let Some(number) = self.known(hash)? else {
            return Err(BlockOutcome::ParentsUnknown(vec![*hash]));
        };
        if self.dag.node(number).held == Held::Full {
            return Err(BlockOutcome::Known);
        }
        let Ok(body) = BlockBody::decode(bytes) else { return invalid(Fault::Malformed) };
        let header = self.header(number).and_then(|bytes| Header::decode(&bytes).ok());
        // While the store cannot be read, nothing can be judged nor kept.
        let header = header.ok_or(BlockOutcome::NoRoom)?;
        self.try_body(number, &header, body.0.slices())
    }

    /// Takes the body of a header that is held without one.
    fn try_body<'b>(
        &mut self,
        number: Number,
        header: &Header,
        transactions: impl Iterator<Item = &'b [u8]>,
    ) -> Taken<()> {
        let node = self.dag.node(number);
        let (hash, parents) = (node.hash, node.parents.to_vec());
        self.are_full(&parents)?;
        let frame = frame(self.dag, header, self.dag.node(number));
        match Body::judge(transactions, &frame, &self.dag.params) {
            Ok(body) => {
                self.reserve(body.bytes.len() as u64)?;
                self.fill(number, body);
                Ok(())
            }
            Err(fault) => {
                if is_remembered(fault) && self.room.is_some() {
                    let lost = self.dag.condemn(number);
                    lost.into_iter().for_each(|number| self.push(Change::Lost(number)));
                }
                Err(self.remember(hash, fault))
            }
        }
    }

    fn fill(&mut self, number: Number, body: Body) {
        self.dag.fill(number);
        let confirmed = self.mempool.confirm(&body.ids, number);
        self.push(Change::Body { number, body: body.bytes });
        let operators = confirmed.iter().filter(|(_, waiting)| waiting.origin == Origin::Operator);
        self.writes.extend(operators.map(|(id, _)| Write::Drop(*id)));
        self.fresh.ids.extend(body.ids);
        self.fresh.confirmed.extend(confirmed);
    }

    /// A block's number, if its header is held.
    ///
    /// # Errors
    /// It is known to be invalid.
    fn known(&self, hash: &Hash) -> Taken<Option<Number>> {
        let number = self.dag.held(hash);
        let is_invalid = number.is_some_and(|number| self.dag.node(number).held == Held::Invalid);
        if is_invalid || self.invalid.contains(hash) { invalid(Fault::KnownInvalid) } else { Ok(number) }
    }

    fn are_full(&self, parents: &[Number]) -> Taken<()> {
        let empty = parents.iter().map(|parent| self.dag.node(*parent)).filter(|parent| parent.held != Held::Full);
        let empty: Vec<Hash> = empty.map(|parent| parent.hash).collect();
        if empty.is_empty() { Ok(()) } else { Err(BlockOutcome::ParentsUnknown(empty)) }
    }

    fn judge(&mut self, header: &Header, hash: Hash, level: u8, parents: &[Number]) -> Taken<Node> {
        self.dag.judge(header, hash, level, parents).map_err(|fault| self.remember(hash, fault))
    }

    /// Remembers a fault that nothing can mend.
    fn remember(&mut self, hash: Hash, fault: Fault) -> BlockOutcome {
        if is_remembered(fault) {
            self.invalid.insert(hash);
        }
        BlockOutcome::Invalid(fault)
    }

    fn reserve(&self, bytes: u64) -> Taken<()> {
        if self.room.is_some_and(|room| bytes <= room) { Ok(()) } else { Err(BlockOutcome::NoRoom) }
    }

    /// Lets a change be committed with the batch.
    pub(crate) fn push(&mut self, change: Change) {
        self.room = self.room.map(|room| room.saturating_sub(change.bytes()));
        self.fresh.push(&change);
        self.writes.push((self.wrap)(change));
    }

    /// Takes transactions. The operator's are kept, and so need a store that can be written.
    pub(crate) fn take_transactions(
        &mut self,
        transactions: &[Bytes],
        origin: Origin,
    ) -> Vec<(Hash, TransactionOutcome)> {
        transactions.iter().map(|bytes| self.take_transaction(bytes, origin)).collect()
    }

    fn take_transaction(&mut self, bytes: &[u8], origin: Origin) -> (Hash, TransactionOutcome) {
        if origin == Origin::Operator && self.room.is_none() {
            return (Hash::ZERO, TransactionOutcome::NoRoom);
        }
        let (id, outcome) = self.mempool.take(bytes, origin, self.now.monotonic, &self.dag.params);
        if origin == Origin::Operator {
            let kept = match outcome {
                TransactionOutcome::Accepted => self.mempool.get(&id).map(|waiting| waiting.bytes.clone()),
                TransactionOutcome::Known => self.mempool.adopt(&id),
                _ => None,
            };
            if let Some(kept) = kept {
                self.writes.push(Write::Keep(id, kept));
            }
            if outcome == TransactionOutcome::Accepted {
                self.operators.push(id);
            }
        }
        (id, outcome)
    }

    /// A header's bytes.
    pub(crate) fn header(&mut self, number: Number) -> Option<Bytes> {
        match self.fresh.header(number) {
            Some(header) => Some(header.clone()),
            None => self.read(|reading| reading.header(number)),
        }
    }

    /// A body's bytes; nothing for a block that is held without one.
    pub(crate) fn body(&mut self, number: Number) -> Option<Bytes> {
        match self.fresh.body(number) {
            Some(body) => Some(body.clone()),
            None if self.dag.node(number).held == Held::Full => self.read(|reading| reading.body(number)),
            None => None,
        }
    }

    /// An item of what is being imported.
    pub(crate) fn kept(&mut self, part: u16, place: u64) -> Option<Bytes> {
        match self.fresh.kept(part, place) {
            Some(kept) => Some(kept.clone()),
            None => self.read(|reading| reading.kept(part, place)),
        }
    }

    fn read<T>(&mut self, read: impl FnOnce(&Reading) -> crate::tables::Result<Option<T>>) -> Option<T> {
        let found = self.reading.map(read)?;
        self.is_broken |= found.is_err();
        found.ok().flatten()
    }
}

fn outcome(taken: Taken<()>) -> BlockOutcome {
    taken.err().unwrap_or(BlockOutcome::Accepted)
}

/// Takes one after the other, up to the first that is neither new and right nor known.
fn take_all<T>(items: &[T], mut take: impl FnMut(&T) -> Taken<()>) -> (u32, Option<BlockOutcome>) {
    for (item, taken) in items.iter().zip(0..) {
        match take(item) {
            Ok(()) | Err(BlockOutcome::Known) => {}
            Err(fault) => return (taken, Some(fault)),
        }
    }
    // As many as came in one request.
    (items.len() as u32, None)
}

fn header_change(number: Number, header: &Header, node: &Node) -> Change {
    Change::Header { number, header: header.encode(), row: node::encode(node) }
}

fn frame(dag: &Dag, header: &Header, node: &Node) -> Frame {
    Frame {
        merkle_root: header.hash_merkle_root,
        blue_score: node.blue_score,
        daa_score: node.daa_score,
        median_time: node.median.time(dag.node(node.selected_parent).timestamp),
    }
}
