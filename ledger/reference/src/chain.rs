//! Chooses the chain: takes blocks, follows the most work, reorganises at any depth (ledger spec, section "Block").

use crate::held::Held;
use crate::parameters::Network;
use crate::signatures;
use crate::tables::{Look, Result, Side, torn};
use crate::transaction::Transaction;
use crate::validate::{self, AHEAD_MS, Candidate, Examined, MEDIAN_BLOCKS};
use crate::writing::Writing;
use polypeer_engine::kit::chain::{BlockFault, BlockOutcome, Hash, Tip};
use std::collections::{HashMap, HashSet, VecDeque};

/// The main chain's end, as far as the next block's rules need it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct End {
    pub(crate) number: u64,
    pub(crate) hash: Hash,
    pub(crate) height: u64,
    /// The times of the last blocks, at most eleven, the newest last.
    pub(crate) times: VecDeque<u64>,
}

impl End {
    /// The main chain's end, read from the store.
    pub(crate) fn load(look: &impl Look, height: u64) -> Result<Self> {
        let (hash, number) = look.main(height)?.ok_or_else(|| torn("a tip"))?;
        let times = times_back(look, number, height)?;
        Ok(Self { number, hash, height, times: times.into_iter().rev().collect() })
    }

    fn push(&mut self, number: u64, hash: Hash, time: u64) {
        (self.number, self.hash, self.height) = (number, hash, self.height + 1);
        self.times.push_back(time);
        if self.times.len() > MEDIAN_BLOCKS {
            self.times.pop_front();
        }
    }

    /// The end without its newest block.
    fn pop(&mut self, look: &impl Look) -> Result<()> {
        self.height = self.height.checked_sub(1).ok_or_else(|| torn("what is below genesis"))?;
        (self.hash, self.number) = look.main(self.height)?.ok_or_else(|| torn("a height"))?;
        self.times.pop_back();
        if let Some(height) = (self.height + 1).checked_sub(MEDIAN_BLOCKS as u64) {
            let (_, number) = look.main(height)?.ok_or_else(|| torn("a height"))?;
            self.times.push_front(look.header(number)?.time);
        }
        Ok(())
    }

    /// What the next block's time must be above.
    pub(crate) fn median(&self) -> u64 {
        validate::median(self.times.iter().copied())
    }

    pub(crate) fn tip(&self, network: &Network) -> Tip {
        let work = network.chain_work(self.height);
        Tip { hash: self.hash, height: self.height, work, genesis: network.genesis_hash }
    }
}

/// The times of this block and those below it, at most eleven, the newest first.
fn times_back(look: &impl Look, number: u64, height: u64) -> Result<Vec<u64>> {
    let mut times = Vec::with_capacity(MEDIAN_BLOCKS);
    let (mut number, mut height) = (number, height);
    loop {
        times.push(look.header(number)?.time);
        if times.len() == MEDIAN_BLOCKS || height == 0 {
            return Ok(times);
        }
        height -= 1;
        number = match look.side(number)? {
            Some(side) => side.parent,
            None => look.main(height)?.ok_or_else(|| torn("a height"))?.1,
        };
    }
}

/// What happened to the main chain, for the mempool's eyes.
#[derive(Debug, Default)]
pub(crate) struct Changes {
    /// Whether anyone wants to know which accounts changed.
    pub(crate) watched: bool,
    /// Accounts whose count moved or whose balance may have shrunk.
    pub(crate) touched: HashSet<[u8; 32]>,
    /// Numbers of the blocks that left the main chain, the newest first.
    pub(crate) abandoned: Vec<u64>,
    /// The operator's transactions in those blocks, with their places.
    pub(crate) returned: HashMap<Hash, u64>,
}

impl Changes {
    pub(crate) fn is_empty(&self) -> bool {
        self.touched.is_empty() && self.abandoned.is_empty() && self.returned.is_empty()
    }
}

/// The chain while a batch changes it.
pub(crate) struct Chain<'a, 't> {
    pub(crate) network: &'a Network,
    pub(crate) tables: Writing<'t>,
    pub(crate) end: End,
    pub(crate) changes: Changes,
    pub(crate) side_bytes_max: u64,
}

impl Chain<'_, '_> {
    /// Takes a block, whatever it is.
    pub(crate) fn take(&mut self, now_ms: u64, block: &Examined, held: &mut Held) -> Result<(Hash, BlockOutcome)> {
        let outcome = match block {
            Examined::Genesis { right: true } => BlockOutcome::Known,
            Examined::Genesis { right: false } => BlockOutcome::Invalid(BlockFault::Body),
            Examined::Wrong { hash, fault, costly: true } => self.refuse(hash, *fault)?,
            Examined::Wrong { fault, .. } => BlockOutcome::Invalid(*fault),
            Examined::Block(candidate) => self.place(now_ms, candidate, held)?,
        };
        Ok((block.hash(self.network), outcome))
    }

    fn place(&mut self, now_ms: u64, block: &Candidate, held: &mut Held) -> Result<BlockOutcome> {
        // Nothing that is held stands on the tip: it would have more work, and be the tip. So the common case, the next
        // block, need not be looked up.
        if block.header.parent != self.end.hash && self.tables.number(&block.hash)?.is_some() {
            return Ok(BlockOutcome::Known);
        }
        if held.contains(&block.hash) {
            return Ok(BlockOutcome::Held);
        }
        if let Some(fault) = self.tables.fault_of(&block.hash)? {
            return Ok(BlockOutcome::Invalid(fault));
        }
        let Some((parent, height)) = self.parent_of(block)? else {
            return self.without_parent(now_ms, block, held);
        };
        if block.header.height != height + 1 || block.header.time <= self.median_after(parent, height)? {
            return self.refuse(&block.hash, BlockFault::Header);
        }
        if now_ms.checked_add(AHEAD_MS).is_some_and(|limit| block.header.time >= limit) {
            return Ok(held.put(block, 0));
        }
        if parent == self.end.number {
            return self.extend(block);
        }
        self.branch(block, parent)
    }

    /// The parent's number and height, if it is held.
    fn parent_of(&self, block: &Candidate) -> Result<Option<(u64, u64)>> {
        let parent = block.header.parent;
        if parent == self.end.hash {
            return Ok(Some((self.end.number, self.end.height)));
        }
        let Some(number) = self.tables.number(&parent)? else { return Ok(None) };
        Ok(Some((number, self.tables.header(number)?.height)))
    }

    fn without_parent(&mut self, now_ms: u64, block: &Candidate, held: &mut Held) -> Result<BlockOutcome> {
        if self.tables.fault_of(&block.header.parent)?.is_some() {
            return self.refuse(&block.hash, BlockFault::State);
        }
        // A block on one from the future waits with it.
        if let Some(due) = held.due_of(&block.header.parent) {
            let own = block.header.time.saturating_sub(AHEAD_MS).max(now_ms);
            return Ok(held.put(block, due.max(own)));
        }
        Ok(BlockOutcome::ParentUnknown)
    }

    fn refuse(&mut self, hash: &Hash, fault: BlockFault) -> Result<BlockOutcome> {
        self.tables.remember_invalid(hash, fault)?;
        Ok(BlockOutcome::Invalid(fault))
    }

    fn median_after(&self, parent: u64, height: u64) -> Result<u64> {
        if parent == self.end.number {
            return Ok(self.end.median());
        }
        Ok(validate::median(times_back(&self.tables, parent, height)?))
    }

    fn extend(&mut self, block: &Candidate) -> Result<BlockOutcome> {
        if !self.apply(block)? {
            return self.refuse(&block.hash, BlockFault::State);
        }
        let number = self.tables.insert_block(&block.hash, &block.bytes)?;
        self.join(block, number)?;
        Ok(BlockOutcome::Accepted)
    }

    /// Stores a block that does not extend the main chain, and tries its branch when it has more work. Among equals
    /// the first seen stays, since nothing but more work is tried.
    fn branch(&mut self, block: &Candidate, parent: u64) -> Result<BlockOutcome> {
        let number = self.tables.insert_block(&block.hash, &block.bytes)?;
        let (height, bytes) = (block.header.height, block.bytes.len() as u64);
        let verified = block.signatures == Some(true);
        self.tables.add_side(number, Side { height, bytes, parent, verified })?;
        if self.network.chain_work(height) > self.network.chain_work(self.end.height) {
            return Ok(if self.switch(number)? {
                BlockOutcome::Accepted
            } else {
                BlockOutcome::Invalid(BlockFault::State)
            });
        }
        self.tables.trim_side(self.side_bytes_max, true)?;
        let kept = self.tables.side(number)?.is_some();
        Ok(if kept { BlockOutcome::Accepted } else { BlockOutcome::NoRoom })
    }

    /// Trims what a reorganisation left behind.
    pub(crate) fn trim_abandoned(&mut self) -> Result<()> {
        self.tables.trim_side(self.side_bytes_max, false)
    }

    /// Makes the branch that ends in `tip` the main chain, or comes back when a block in it is invalid.
    fn switch(&mut self, tip: u64) -> Result<bool> {
        let (fork_height, path) = self.path_to(tip)?;
        let mut left = Vec::new();
        while self.end.height > fork_height {
            left.push(self.end.number);
            self.disconnect()?;
        }
        for (at, number) in path.iter().rev().enumerate() {
            if self.connect(*number)? {
                continue;
            }
            for _ in 0..at {
                self.disconnect()?;
            }
            for number in left.iter().rev() {
                if !self.connect(*number)? {
                    return Err(torn("a valid block"));
                }
            }
            self.tables.purge(*number)?;
            return Ok(false);
        }
        self.changes.abandoned.append(&mut left);
        Ok(true)
    }

    /// The height at which a branch leaves the main chain, and its blocks from the end down.
    fn path_to(&self, tip: u64) -> Result<(u64, Vec<u64>)> {
        let mut path = Vec::new();
        let (mut number, mut height) = (tip, 0);
        while let Some(side) = self.tables.side(number)? {
            path.push(number);
            (number, height) = (side.parent, side.height - 1);
        }
        Ok((height, path))
    }

    /// Puts a branch's block on the main chain's end. False, and nothing changed, when it is invalid there.
    fn connect(&mut self, number: u64) -> Result<bool> {
        let side = self.tables.side(number)?.ok_or_else(|| torn("a branch's block"))?;
        let bytes = self.tables.block(number)?;
        let block = Candidate::stored(bytes, side.verified.then_some(true)).ok_or_else(|| torn("a block"))?;
        if !self.apply(&block)? {
            return Ok(false);
        }
        self.tables.remove_side(number)?;
        self.join(&block, number)?;
        Ok(true)
    }

    fn disconnect(&mut self) -> Result<()> {
        let (number, height) = (self.end.number, self.end.height);
        let block = Candidate::stored(self.tables.block(number)?, Some(true)).ok_or_else(|| torn("a block"))?;
        validate::undo(&mut self.tables, &block)?;
        self.tables.remove_main(height, &block.ids)?;
        self.end.pop(&self.tables)?;
        let side = Side { height, bytes: block.bytes.len() as u64, parent: self.end.number, verified: true };
        self.tables.add_side(number, side)?;
        self.tables.return_operators(height, &mut self.changes.returned)?;
        if self.changes.watched {
            self.changes.touched.insert(block.header.producer);
            let touched = block.transactions().iter().flat_map(Transaction::read);
            self.changes.touched.extend(touched.flat_map(|transaction| [transaction.sender, transaction.recipient]));
        }
        Ok(())
    }

    /// Applies a block's transactions and reward in order. False, and nothing changed, when one is not valid.
    fn apply(&mut self, block: &Candidate) -> Result<bool> {
        let transactions = block.transactions();
        if !block.signatures.unwrap_or_else(|| signatures::verify_all(&self.network.id, transactions)) {
            return Ok(false);
        }
        self.tables.mark_accounts();
        let mut fees: u128 = 0;
        for bytes in transactions {
            let valid = match Transaction::read(bytes) {
                Ok(transaction) => {
                    fees += u128::from(transaction.fee);
                    validate::apply(&mut self.tables, &transaction)?.is_ok()
                }
                Err(_) => false,
            };
            if !valid {
                self.tables.revert_accounts();
                return Ok(false);
            }
        }
        if !validate::reward(&mut self.tables, &block.header.producer, fees)? {
            self.tables.revert_accounts();
            return Ok(false);
        }
        Ok(true)
    }

    /// Makes a stored and applied block the main chain's end.
    fn join(&mut self, block: &Candidate, number: u64) -> Result<()> {
        self.tables.append_main(block.header.height, &block.hash, number, &block.ids)?;
        self.end.push(number, block.hash, block.header.time);
        if self.changes.watched {
            let senders = block.transactions().iter().flat_map(Transaction::read);
            self.changes.touched.extend(senders.map(|transaction| transaction.sender));
        }
        Ok(())
    }
}
