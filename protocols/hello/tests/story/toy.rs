//! Holds a chain whose blocks say themselves what is wrong with them.

use bytes::Bytes;
use polypeer_engine::kit::chain::{
    Answer, BlockFault, BlockKey, BlockOutcome, ChainFormat, Hash, Head, Origin, Request, Tip, TransactionFault,
    TransactionOutcome,
};
use polypeer_engine::{Ledger, Now, Ticket, Time, To};
use std::collections::BTreeMap;

const HEADER: usize = 1 + 32 + 8 + 1 + 8;

/// What is the matter with a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Good = 0,
    BadHeader = 1,
    BadState = 2,
    Future = 3,
    NoRoom = 4,
}

/// A block: `B`, parent, height, kind, salt; then a body whose first byte, if it is 0xff, does not fit the header.
pub(crate) fn block(parent: Hash, height: u64, kind: Kind, salt: u64, body: &[u8]) -> Bytes {
    let mut bytes = vec![b'B'];
    bytes.extend_from_slice(&parent.0);
    bytes.extend_from_slice(&height.to_be_bytes());
    bytes.push(kind as u8);
    bytes.extend_from_slice(&salt.to_be_bytes());
    bytes.extend_from_slice(body);
    bytes.into()
}

/// `count` good blocks on a parent, empty ones.
pub(crate) fn chain(mut parent: Hash, mut height: u64, count: usize, salt: u64) -> Vec<Bytes> {
    let mut blocks = Vec::new();
    for _ in 0..count {
        height += 1;
        let block = block(parent, height, Kind::Good, salt, b"");
        parent = hash_of(&block);
        blocks.push(block);
    }
    blocks
}

pub(crate) fn genesis() -> Bytes {
    block(Hash::ZERO, 0, Kind::Good, 0, b"")
}

pub(crate) fn hash_of(block: &[u8]) -> Hash {
    Toy::head(block).expect("a block of ours has its shape").hash
}

/// A transaction: its first byte says what is the matter with it.
pub(crate) fn transaction(kind: u8, salt: u64) -> Bytes {
    let mut bytes = vec![kind];
    bytes.extend_from_slice(&salt.to_be_bytes());
    bytes.into()
}

pub(crate) fn id_of(transaction: &[u8]) -> Hash {
    Toy::transaction_id(transaction)
}

/// The ledger and its format.
#[derive(Clone, Debug)]
pub(crate) struct Toy {
    blocks: BTreeMap<[u8; 32], (Head, Bytes)>,
    main: Vec<Hash>,
    pub(crate) waiting: BTreeMap<Hash, Bytes>,
    pub(crate) catching_up: Vec<bool>,
}

impl ChainFormat for Toy {
    fn head(block: &[u8]) -> Option<Head> {
        if block.len() < HEADER || block[0] != b'B' {
            return None;
        }
        let parent = Hash(block[1..33].try_into().ok()?);
        let height = u64::from_be_bytes(block[33..41].try_into().ok()?);
        Some(Head { hash: Hash(*blake3::hash(&block[..HEADER]).as_bytes()), parent, height })
    }

    fn transaction_id(transaction: &[u8]) -> Hash {
        Hash(*blake3::hash(transaction).as_bytes())
    }
}

impl Toy {
    pub(crate) fn new() -> Self {
        let block = genesis();
        let head = Self::head(&block).expect("genesis has its shape");
        let blocks = BTreeMap::from([(head.hash.0, (head, block))]);
        Self { blocks, main: vec![head.hash], waiting: BTreeMap::new(), catching_up: Vec::new() }
    }

    pub(crate) fn with(blocks: &[Bytes]) -> Self {
        let mut toy = Self::new();
        for block in blocks {
            assert_eq!(toy.take(block).1, BlockOutcome::Accepted);
        }
        toy
    }

    pub(crate) fn tip(&self) -> Tip {
        let height = self.main.len() as u64 - 1;
        Tip { hash: self.main[self.main.len() - 1], height, work: u128::from(height) + 1, genesis: self.main[0] }
    }

    pub(crate) fn new_tip(&self) -> Answer {
        let tip = self.tip();
        Answer::NewTip { tip, block: self.blocks[&tip.hash.0].1.clone() }
    }

    pub(crate) fn has(&self, hash: &Hash) -> bool {
        self.blocks.contains_key(&hash.0)
    }

    fn take(&mut self, block: &Bytes) -> (Hash, BlockOutcome) {
        let Some(head) = Self::head(block) else { return (Hash::ZERO, BlockOutcome::Invalid(BlockFault::Body)) };
        let outcome = match block[41] {
            _ if block.get(HEADER) == Some(&0xff) => BlockOutcome::Invalid(BlockFault::Body),
            _ if self.has(&head.hash) => BlockOutcome::Known,
            1 => BlockOutcome::Invalid(BlockFault::Header),
            _ if !self.has(&head.parent) => BlockOutcome::ParentUnknown,
            2 => BlockOutcome::Invalid(BlockFault::State),
            3 => BlockOutcome::Held,
            4 => BlockOutcome::NoRoom,
            _ => BlockOutcome::Accepted,
        };
        if outcome == BlockOutcome::Accepted {
            self.blocks.insert(head.hash.0, (head, block.clone()));
            if head.height > self.tip().height {
                self.switch_to(head);
            }
        }
        (head.hash, outcome)
    }

    fn switch_to(&mut self, mut head: Head) {
        let mut branch = Vec::new();
        while self.main.get(head.height as usize) != Some(&head.hash) {
            branch.push(head.hash);
            head = self.blocks[&head.parent.0].0;
        }
        self.main.truncate(head.height as usize + 1);
        self.main.extend(branch.into_iter().rev());
    }

    fn take_transaction(&mut self, transaction: &Bytes) -> (Hash, TransactionOutcome) {
        let id = id_of(transaction);
        let outcome = match transaction.first() {
            None => TransactionOutcome::NeverValid(TransactionFault::Length),
            Some(1) => TransactionOutcome::NeverValid(TransactionFault::Signature),
            Some(2) => TransactionOutcome::NotNow(TransactionFault::Balance),
            _ if self.waiting.insert(id, transaction.clone()).is_some() => TransactionOutcome::Known,
            _ => TransactionOutcome::Accepted,
        };
        (id, outcome)
    }

    fn one(&mut self, request: Request) -> Option<Answer> {
        Some(match request {
            Request::Tip => Answer::Tip(self.tip()),
            Request::TakeBlock(block) => {
                let (hash, outcome) = self.take(&block);
                Answer::BlockTaken { hash, outcome }
            }
            Request::TakeTransactions { transactions, origin } => {
                assert_eq!(origin, Origin::Peer);
                Answer::TransactionsTaken(transactions.iter().map(|one| self.take_transaction(one)).collect())
            }
            Request::Block(BlockKey::Hash(hash)) => Answer::Block(self.blocks.get(&hash.0).map(|one| one.1.clone())),
            Request::Block(BlockKey::Height(height)) => {
                let hash = usize::try_from(height).ok().and_then(|height| self.main.get(height));
                Answer::Block(hash.map(|hash| self.blocks[&hash.0].1.clone()))
            }
            Request::Hashes { from, count } => {
                let from = from.min(self.main.len() as u64) as usize;
                let parent = if from == 0 { Hash::ZERO } else { self.main[from - 1] };
                let hashes = self.main[from..].iter().take(count as usize).copied().collect();
                Answer::Hashes { from: from as u64, parent, hashes, tip: self.tip() }
            }
            Request::Missing(hashes) => Answer::Missing(hashes.into_iter().filter(|hash| !self.has(hash)).collect()),
            Request::MissingTransactions(ids) => {
                Answer::Missing(ids.into_iter().filter(|id| !self.waiting.contains_key(id)).collect())
            }
            Request::WaitingIds(count) => {
                Answer::WaitingIds(self.waiting.keys().take(count as usize).copied().collect())
            }
            Request::Transaction(id) => Answer::Transaction(self.waiting.get(&id).cloned()),
            Request::CatchingUp(is_catching_up) => {
                self.catching_up.push(is_catching_up);
                return None;
            }
            Request::HashesAt(_) | Request::Waiting { .. } => panic!("this network never asks that"),
        })
    }
}

impl Ledger for Toy {
    type Request = Request;
    type Answer = Answer;

    fn answer(&mut self, _: Now, requests: Vec<(Ticket, Request)>, answers: &mut Vec<(To, Answer)>) {
        let before = self.tip().hash;
        for (ticket, request) in requests {
            answers.extend(self.one(request).map(|answer| (To::Asker(ticket), answer)));
        }
        if self.tip().hash != before {
            answers.push((To::Engine, self.new_tip()));
        }
    }

    fn next_wake(&self, _: Now) -> Option<Time> {
        None
    }

    fn wake(&mut self, _: Now, _: &mut Vec<(To, Answer)>) {}
}
