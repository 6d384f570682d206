//! A ledger of a few lines: blocks with a parent, a height and a root over their body; transactions that say of
//! themselves whether they are valid.

use bytes::Bytes;
use polypeer_engine::kit::chain::{
    Answer, BlockFault, BlockKey, BlockOutcome, ChainFormat, Hash, Head, Request, Tip, TransactionFault,
    TransactionOutcome,
};
use polypeer_engine::{Ticket, kit};
use std::collections::BTreeMap;

pub(crate) const HEADER: usize = 81;
/// Breaks a rule of the header: no work was done for it.
pub(crate) const WORTHLESS: u8 = 1;
/// Breaks a rule on its parent's state.
pub(crate) const WRONG: u8 = 2;
/// Comes from the future.
pub(crate) const EARLY: u8 = 3;

#[derive(Debug)]
pub(crate) struct Format;

impl ChainFormat for Format {
    fn head(block: &[u8]) -> Option<Head> {
        let header = block.get(..HEADER)?;
        let parent = Hash(header[..32].try_into().unwrap());
        let height = u64::from_be_bytes(header[32..40].try_into().unwrap());
        Some(Head { hash: Hash(*blake3::hash(header).as_bytes()), parent, height })
    }

    fn transaction_id(transaction: &[u8]) -> Hash {
        Hash(*blake3::hash(transaction).as_bytes())
    }
}

/// A block on `parent` with this body.
pub(crate) fn block(parent: &Bytes, nonce: u64, flag: u8, body: &[u8]) -> Bytes {
    let head = Format::head(parent).unwrap();
    let mut bytes = head.hash.0.to_vec();
    bytes.extend((head.height + 1).to_be_bytes());
    bytes.extend(nonce.to_be_bytes());
    bytes.extend(blake3::hash(body).as_bytes());
    bytes.push(flag);
    bytes.extend(body);
    Bytes::from(bytes)
}

pub(crate) fn genesis() -> Bytes {
    let mut bytes = vec![0; HEADER];
    bytes[48..80].copy_from_slice(blake3::hash(b"").as_bytes());
    Bytes::from(bytes)
}

pub(crate) fn hash(block: &Bytes) -> Hash {
    Format::head(block).unwrap().hash
}

/// `count` blocks on genesis.
pub(crate) fn chain(count: u64, nonce: u64) -> Vec<Bytes> {
    chain_on(&genesis(), count, nonce, b"")
}

pub(crate) fn chain_on(parent: &Bytes, count: u64, nonce: u64, body: &[u8]) -> Vec<Bytes> {
    let mut blocks = Vec::new();
    for _ in 0..count {
        blocks.push(block(blocks.last().unwrap_or(parent), nonce, 0, body));
    }
    blocks
}

pub(crate) struct Ledger {
    pub(crate) blocks: BTreeMap<Hash, Bytes>,
    invalid: Vec<Hash>,
    pub(crate) pool: Vec<Bytes>,
    pub(crate) tip: Tip,
    pub(crate) catching_up: Vec<bool>,
    pub(crate) taken: Vec<(Hash, BlockOutcome)>,
}

impl Ledger {
    pub(crate) fn new() -> Self {
        let genesis = genesis();
        let hash = hash(&genesis);
        let tip = Tip { hash, height: 0, work: 1, genesis: hash };
        Self {
            blocks: BTreeMap::from([(hash, genesis)]),
            invalid: Vec::new(),
            pool: Vec::new(),
            tip,
            catching_up: Vec::new(),
            taken: Vec::new(),
        }
    }

    pub(crate) fn with(blocks: &[Bytes]) -> Self {
        let mut ledger = Self::new();
        for block in blocks {
            assert_eq!(ledger.take_block(block).1, BlockOutcome::Accepted);
        }
        ledger.taken.clear();
        ledger
    }

    /// Answers a batch as a host would: in order, and one `NewTip` at its end.
    pub(crate) fn answer(&mut self, batch: Vec<(Ticket, Request)>) -> Vec<(Option<Ticket>, Answer)> {
        let before = self.tip;
        let mut answers = Vec::new();
        for (ticket, request) in batch {
            if let Some(answer) = self.one(request) {
                answers.push((Some(ticket), answer));
            }
        }
        if self.tip != before {
            answers.push((None, Answer::NewTip { tip: self.tip, block: self.blocks[&self.tip.hash].clone() }));
        }
        answers
    }

    /// Mines a block on the tip; gives what the engine is told.
    pub(crate) fn mine(&mut self, nonce: u64) -> Answer {
        let block = block(&self.blocks[&self.tip.hash].clone(), nonce, 0, b"");
        self.take_block(&block);
        Answer::NewTip { tip: self.tip, block }
    }

    fn one(&mut self, request: Request) -> Option<Answer> {
        Some(match request {
            Request::Tip => Answer::Tip(self.tip),
            Request::TakeBlock(block) => {
                let (hash, outcome) = self.take_block(&block);
                Answer::BlockTaken { hash, outcome }
            }
            Request::TakeTransactions { transactions, .. } => {
                Answer::TransactionsTaken(transactions.into_iter().map(|each| self.take_transaction(each)).collect())
            }
            Request::Block(BlockKey::Hash(hash)) => Answer::Block(self.blocks.get(&hash).cloned()),
            Request::HashesAt(heights) => {
                let main = self.main();
                let at = |height: u64| main.get(height as usize).map(|hash| (height, *hash));
                Answer::HashesAt { hashes: heights.into_iter().filter_map(at).collect(), tip: self.tip }
            }
            Request::Missing(hashes) => {
                Answer::Missing(hashes.into_iter().filter(|hash| !self.blocks.contains_key(hash)).collect())
            }
            Request::Waiting { bytes_max, overhead } => {
                let mut left = bytes_max;
                let fits = |transaction: &&Bytes| {
                    let bytes = transaction.len() as u64 + overhead;
                    let fits = bytes <= left;
                    left -= if fits { bytes } else { 0 };
                    fits
                };
                Answer::Waiting(self.pool.iter().filter(fits).cloned().collect())
            }
            Request::CatchingUp(is) => {
                self.catching_up.push(is);
                return None;
            }
            other => panic!("AnYa does not ask {other:?}"),
        })
    }

    fn take_block(&mut self, block: &Bytes) -> (Hash, BlockOutcome) {
        let head = Format::head(block).expect("the protocol looks at the head first");
        let outcome = self.judge(block, head);
        if outcome == BlockOutcome::Accepted {
            self.blocks.insert(head.hash, block.clone());
            if head.height > self.tip.height {
                self.tip = Tip { hash: head.hash, height: head.height, work: u128::from(head.height) + 1, ..self.tip };
            }
        }
        if matches!(outcome, BlockOutcome::Invalid(BlockFault::State)) {
            self.invalid.push(head.hash);
        }
        self.taken.push((head.hash, outcome));
        (head.hash, outcome)
    }

    fn judge(&self, block: &Bytes, head: Head) -> BlockOutcome {
        let (header, body) = block.split_at(HEADER);
        if self.blocks.contains_key(&head.hash) {
            return BlockOutcome::Known;
        }
        if header[80] == WORTHLESS {
            return BlockOutcome::Invalid(BlockFault::Header);
        }
        if header[48..80] != *blake3::hash(body).as_bytes() {
            return BlockOutcome::Invalid(BlockFault::Body);
        }
        if self.invalid.contains(&head.parent) {
            return BlockOutcome::Invalid(BlockFault::State);
        }
        let Some(parent) = self.blocks.get(&head.parent) else { return BlockOutcome::ParentUnknown };
        if Format::head(parent).unwrap().height + 1 != head.height {
            return BlockOutcome::Invalid(BlockFault::Header);
        }
        match header[80] {
            WRONG => BlockOutcome::Invalid(BlockFault::State),
            EARLY => BlockOutcome::Held,
            _ => BlockOutcome::Accepted,
        }
    }

    fn take_transaction(&mut self, transaction: Bytes) -> (Hash, TransactionOutcome) {
        let id = Format::transaction_id(&transaction);
        let outcome = match transaction.first() {
            Some(b'v') if self.pool.contains(&transaction) => TransactionOutcome::Known,
            Some(b'v') => {
                self.pool.push(Bytes::copy_from_slice(&transaction));
                TransactionOutcome::Accepted
            }
            Some(b'n') => TransactionOutcome::NotNow(TransactionFault::Balance),
            _ => TransactionOutcome::NeverValid(TransactionFault::Signature),
        };
        (id, outcome)
    }

    /// The main chain's blocks, genesis first.
    pub(crate) fn main_blocks(&self) -> Vec<Bytes> {
        self.main().into_iter().map(|hash| self.blocks[&hash].clone()).collect()
    }

    fn main(&self) -> Vec<kit::chain::Hash> {
        let mut hashes = vec![self.tip.hash];
        while let Some(head) = Format::head(&self.blocks[hashes.last().unwrap()]).filter(|head| head.height > 0) {
            hashes.push(head.parent);
        }
        hashes.reverse();
        hashes
    }
}
