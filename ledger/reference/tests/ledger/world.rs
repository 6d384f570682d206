//! A ledger with a clock, and a miner and wallets that serve it.

use bytes::Bytes;
use polypeer_engine::kit::chain::{Answer, BlockKey, BlockOutcome, Hash, Origin, Request, Tip, TransactionOutcome};
use polypeer_engine::{Ledger, Now, Ticket, Time, To};
use polypeer_ledger_reference::{
    Config, HEADER_BYTES, Header, NetworkParameters, Payment, Reader, Reference, Target, TransactionBytes, Wallet,
    encode_block, merkle_root, transaction_id,
};
use std::path::Path;
use std::time::Duration;

pub(crate) const NETWORK: &[u8; 16] = b"anya-devnet\0\0\0\0\0";
pub(crate) const GENESIS_TIME: u64 = 1_767_225_600_000;
pub(crate) const TARGET: [u8; 4] = [0x20, 0x00, 0xff, 0xff];
/// Ten minutes after genesis.
pub(crate) const START_MS: u64 = GENESIS_TIME + 600_000;

/// A ledger and the time.
pub(crate) struct World {
    pub(crate) ledger: Reference,
    pub(crate) reader: Reader,
    pub(crate) now: Now,
    ticket: u64,
}

impl World {
    pub(crate) fn new() -> Self {
        Self::open(Config::in_memory(NetworkParameters::anya_devnet()))
    }

    pub(crate) fn open(config: Config) -> Self {
        Self::over(Reference::open(config).unwrap())
    }

    /// A ledger in memory, with something changed.
    pub(crate) fn with(change: impl FnOnce(&mut Config)) -> Self {
        let mut config = Config::in_memory(NetworkParameters::anya_devnet());
        change(&mut config);
        Self::open(config)
    }

    /// A ledger on this file.
    pub(crate) fn on(path: &Path) -> Self {
        Self::with(|config| config.path = Some(path.to_owned()))
    }

    pub(crate) fn over((ledger, reader): (Reference, Reader)) -> Self {
        Self { ledger, reader, now: Now { monotonic: Time::from_micros(7), unix_ms: START_MS }, ticket: 0 }
    }

    pub(crate) fn pass(&mut self, wait: Duration) {
        self.now = self.now.after(wait);
    }

    /// All answers to a batch: those of the requests in order, then the unasked ones.
    pub(crate) fn batch(&mut self, requests: Vec<Request>) -> (Vec<Answer>, Vec<Answer>) {
        let first = self.ticket;
        let requests: Vec<(Ticket, Request)> =
            requests.into_iter().map(|request| (self.next_ticket(), request)).collect();
        let mut answers = Vec::new();
        self.ledger.answer(self.now, requests, &mut answers);
        split(first, answers)
    }

    fn next_ticket(&mut self) -> Ticket {
        self.ticket += 1;
        Ticket(self.ticket)
    }

    pub(crate) fn ask(&mut self, request: Request) -> Answer {
        let (mut asked, _) = self.batch(vec![request]);
        assert_eq!(asked.len(), 1);
        asked.remove(0)
    }

    /// Wakes the ledger; everything it says is unasked.
    pub(crate) fn wake(&mut self) -> Vec<Answer> {
        let mut answers = Vec::new();
        self.ledger.wake(self.now, &mut answers);
        answers
            .into_iter()
            .map(|(to, answer)| {
                assert_eq!(to, To::Engine);
                answer
            })
            .collect()
    }

    pub(crate) fn take(&mut self, block: &Bytes) -> BlockOutcome {
        self.take_with_news(block).0
    }

    pub(crate) fn take_with_news(&mut self, block: &Bytes) -> (BlockOutcome, Vec<Answer>) {
        let (asked, news) = self.batch(vec![Request::TakeBlock(block.clone())]);
        let [Answer::BlockTaken { outcome, .. }] = asked[..] else { panic!("{asked:?}") };
        (outcome, news)
    }

    pub(crate) fn offer(&mut self, transaction: &[u8], origin: Origin) -> TransactionOutcome {
        let transactions = vec![Bytes::copy_from_slice(transaction)];
        match self.ask(Request::TakeTransactions { transactions, origin }) {
            Answer::TransactionsTaken(taken) => {
                assert_eq!(taken[0].0, transaction_id(transaction));
                taken[0].1
            }
            other => panic!("{other:?}"),
        }
    }

    pub(crate) fn tip(&mut self) -> Tip {
        match self.ask(Request::Tip) {
            Answer::Tip(tip) => tip,
            other => panic!("{other:?}"),
        }
    }

    pub(crate) fn block(&mut self, key: BlockKey) -> Option<Bytes> {
        match self.ask(Request::Block(key)) {
            Answer::Block(block) => block,
            other => panic!("{other:?}"),
        }
    }

    pub(crate) fn waiting(&mut self) -> Vec<Hash> {
        match self.ask(Request::WaitingIds(u32::MAX)) {
            Answer::WaitingIds(ids) => ids,
            other => panic!("{other:?}"),
        }
    }

    pub(crate) fn is_missing(&mut self, hash: Hash) -> bool {
        match self.ask(Request::Missing(vec![hash])) {
            Answer::Missing(missing) => missing == [hash],
            other => panic!("{other:?}"),
        }
    }

    /// Takes blocks that must all be accepted.
    pub(crate) fn take_all<'a>(&mut self, blocks: impl IntoIterator<Item = &'a Bytes>) {
        for block in blocks {
            assert_eq!(self.take(block), BlockOutcome::Accepted);
        }
    }

    /// A block on the tip with these transactions, taken.
    pub(crate) fn confirm(&mut self, transactions: &[TransactionBytes]) -> Bytes {
        let block = Draft::on(&self.tip_block()).with(transactions).mine();
        assert_eq!(self.take(&block), BlockOutcome::Accepted);
        block
    }

    pub(crate) fn tip_block(&mut self) -> Bytes {
        let tip = self.tip();
        self.block(BlockKey::Hash(tip.hash)).unwrap()
    }

    pub(crate) fn balance(&self, account: u8) -> u64 {
        self.reader.account(&key(account)).balance
    }
}

fn split(first: u64, answers: Vec<(To, Answer)>) -> (Vec<Answer>, Vec<Answer>) {
    let (mut asked, mut unasked) = (Vec::new(), Vec::new());
    for (to, answer) in answers {
        match to {
            To::Asker(ticket) => {
                assert!(ticket.0 > first && unasked.is_empty(), "answers come before what is unasked");
                asked.push(answer);
            }
            To::Engine => unasked.push(answer),
        }
    }
    (asked, unasked)
}

/// The public key of a public account.
pub(crate) fn key(account: u8) -> [u8; 32] {
    Wallet::public_account(account).unwrap().public_key()
}

/// A payment between public accounts.
pub(crate) fn pay(from: u8, to: u8, amount: u64, fee: u64, sequence: u64) -> TransactionBytes {
    pay_to(from, key(to), amount, fee, sequence)
}

pub(crate) fn pay_to(from: u8, recipient: [u8; 32], amount: u64, fee: u64, sequence: u64) -> TransactionBytes {
    let wallet = Wallet::public_account(from).unwrap();
    wallet.sign(NETWORK, &Payment { recipient, amount, fee, sequence })
}

/// A block in the making, with everything as the rules want it.
#[derive(Clone)]
pub(crate) struct Draft {
    pub(crate) header: Header,
    pub(crate) transactions: Vec<TransactionBytes>,
    /// Set when the root is to stay as it is.
    pub(crate) keep_root: bool,
}

impl Draft {
    /// An empty block on this one, a second later.
    pub(crate) fn on(parent: &Bytes) -> Self {
        let (hash, header) = read(parent);
        let header = Header {
            version: 1,
            parent: hash,
            height: header.height + 1,
            time: header.time.saturating_add(1_000),
            root: Hash::ZERO,
            producer: key(3),
            target: TARGET,
            nonce: 0,
            reserved: [0; 4],
        };
        Self { header, transactions: Vec::new(), keep_root: false }
    }

    pub(crate) fn with(mut self, transactions: &[TransactionBytes]) -> Self {
        self.transactions.extend_from_slice(transactions);
        self
    }

    pub(crate) fn change(mut self, change: impl FnOnce(&mut Header)) -> Self {
        change(&mut self.header);
        self
    }

    /// Tells blocks apart that are equal otherwise.
    pub(crate) fn by(self, producer: u8) -> Self {
        self.change(|header| header.producer = [producer; 32])
    }

    fn sealed(mut self) -> Self {
        if !self.keep_root {
            let ids: Vec<Hash> = self.transactions.iter().map(|bytes| transaction_id(bytes)).collect();
            self.header.root = merkle_root(&ids);
        }
        self
    }

    fn is_low(&self) -> bool {
        Target::from_compact(self.header.target).unwrap().is_met_by(&self.header.hash().0)
    }

    /// The block with the smallest nonce that works.
    pub(crate) fn mine(self) -> Bytes {
        let mut draft = self.sealed();
        while !draft.is_low() {
            draft.header.nonce += 1;
        }
        encode_block(&draft.header, &draft.transactions).into()
    }

    /// The block with a nonce that does not work.
    pub(crate) fn fail_to_mine(self) -> Bytes {
        let mut draft = self.sealed();
        while draft.is_low() {
            draft.header.nonce += 1;
        }
        encode_block(&draft.header, &draft.transactions).into()
    }
}

/// Hash and header of a block.
pub(crate) fn read(block: &Bytes) -> (Hash, Header) {
    let header = Header::decode(block[..HEADER_BYTES].try_into().unwrap());
    (header.hash(), header)
}

pub(crate) fn hash(block: &Bytes) -> Hash {
    read(block).0
}

/// The genesis block of `anya-devnet`.
pub(crate) fn genesis() -> Bytes {
    NetworkParameters::anya_devnet().build().unwrap().genesis().clone()
}

/// Empty blocks one after another, told apart by their producer.
pub(crate) fn line(parent: &Bytes, count: usize, producer: u8) -> Vec<Bytes> {
    let mut blocks: Vec<Bytes> = Vec::with_capacity(count);
    for _ in 0..count {
        let parent = blocks.last().unwrap_or(parent);
        blocks.push(Draft::on(parent).by(producer).mine());
    }
    blocks
}
