//! A ledger with a clock, the blocks of a real network, and a miner that makes more of them.

use bytes::Bytes;
use polypeer_engine::kit::chain::{Hash, Origin};
use polypeer_engine::{Frame, Ledger, Now, Ticket, Time, To};
use polypeer_kaspa::ledger::{Answer, BlockOutcome, Request, State, Status};
use polypeer_kaspa::wire::{
    BlockView, Header, Input, Items, Outpoint, Output, Script, Transaction, TransactionView, encode_block, unpack,
};
use polypeer_ledger_kaspa::{Config, Kaspa, Params, Reader};
use std::path::Path;
use std::sync::LazyLock;
use std::time::Duration;

/// A day after the newest block of the fixtures.
pub(crate) const START_MS: u64 = 1_795_300_000_000;
/// The sink of the fixtures.
pub(crate) const SINK: &str = "958e63a2e2723867c908c3b9eaad53e90dd260969a2eb1db93cb5356fee30fc1";

/// Blocks of a real simnet in ascending blue work, the first one before all.
pub(crate) static BLOCKS: LazyLock<Vec<Block>> = LazyLock::new(|| {
    let mut rest = &include_bytes!("../../../../protocols/kaspa/tests/fixtures/dag_simnet.bin")[..];
    let mut blocks = Vec::new();
    while let Some((length, after)) = rest.split_first_chunk() {
        let (block, after) = after.split_at(u32::from_be_bytes(*length) as usize);
        blocks.push(Block::read(block));
        rest = after;
    }
    blocks
});

/// A block, taken apart.
#[derive(Clone, Debug)]
pub(crate) struct Block {
    pub(crate) hash: Hash,
    pub(crate) header: Header,
    pub(crate) transactions: Vec<Bytes>,
}

impl Block {
    pub(crate) fn read(bytes: &[u8]) -> Self {
        let view = BlockView::decode(bytes).unwrap();
        let transactions = view.transactions().map(Bytes::copy_from_slice).collect();
        let header = view.header().unwrap();
        Self { hash: header.hash(), header, transactions }
    }

    /// Its bytes as a `BlockMessage`.
    pub(crate) fn bytes(&self) -> Bytes {
        encode_block(&self.header.encode(), self.transactions.iter().map(|transaction| &transaction[..]))
    }

    /// Its bytes as a `BlockBodyMessage`.
    pub(crate) fn body(&self) -> Bytes {
        Items::of(self.transactions.iter().map(|transaction| &transaction[..])).encode()
    }

    /// The same with something else in its header.
    pub(crate) fn with(&self, change: impl FnOnce(&mut Header)) -> Self {
        let mut block = self.clone();
        change(&mut block.header);
        block.hash = block.header.hash();
        block
    }
}

/// A payment that spends this output, of this value.
pub(crate) fn payment(index: u32, value: u64) -> Transaction<'static> {
    let previous = Outpoint { transaction_id: Hash([1; 32]), index };
    let input = Input { previous, signature_script: &[], sequence: 0, compute_commit: 0 };
    let script = Script { version: 0, bytes: &[0x51] };
    let outputs = vec![Output { value, script, covenant: None }];
    Transaction { inputs: vec![input], outputs, ..Transaction::default() }
}

/// The body of a message as a real node sent it.
pub(crate) fn real(message: &[u8]) -> Bytes {
    let frame = [&[0][..], &(message.len() as u32).to_be_bytes(), message].concat();
    unpack(Frame::from(&Bytes::from(frame))).unwrap().body
}

/// Transactions of a real simnet, of both versions, and their identifiers.
pub(crate) fn real_payments() -> (Vec<Bytes>, Vec<Hash>) {
    let block = Block::read(&real(include_bytes!("../../../../protocols/kaspa/tests/fixtures/block_with_txs.bin")));
    let id = |bytes: &Bytes| TransactionView::decode(bytes).unwrap().id();
    let payments = block.transactions[1..].to_vec();
    let ids = payments.iter().map(id).collect();
    (payments, ids)
}

pub(crate) fn hash(hex: &str) -> Hash {
    let mut bytes = [0; 32];
    for (place, at) in bytes.iter_mut().zip((0..64).step_by(2)) {
        *place = u8::from_str_radix(&hex[at..at + 2], 16).unwrap();
    }
    Hash(bytes)
}

/// A ledger and the time.
pub(crate) struct World {
    pub(crate) ledger: Kaspa,
    pub(crate) reader: Reader,
    pub(crate) now: Now,
    ticket: u64,
}

impl World {
    /// An empty simnet.
    pub(crate) fn new() -> Self {
        Self::open(Config::in_memory(Params::simnet()))
    }

    /// A simnet with the first blocks of the fixtures.
    pub(crate) fn with_blocks(count: usize) -> Self {
        let mut world = Self::new();
        world.take_all(&BLOCKS[1..count]);
        world.save();
        world
    }

    pub(crate) fn open(config: Config) -> Self {
        Self::over(Kaspa::open(config).unwrap())
    }

    pub(crate) fn on(path: &Path) -> Self {
        Self::open(Config { path: Some(path.to_owned()), ..Config::in_memory(Params::simnet()) })
    }

    pub(crate) fn over((ledger, reader): (Kaspa, Reader)) -> Self {
        Self { ledger, reader, now: Now { monotonic: Time::from_micros(7), unix_ms: START_MS }, ticket: 0 }
    }

    pub(crate) fn pass(&mut self, wait: Duration) {
        self.now = self.now.after(wait);
    }

    /// All answers to a batch: those of the requests in order, then the unasked ones.
    pub(crate) fn batch(&mut self, requests: Vec<Request>) -> (Vec<Answer>, Vec<Answer>) {
        let tickets = self.ticket + 1..;
        self.ticket += requests.len() as u64;
        let requests = tickets.map(Ticket).zip(requests).collect();
        let mut answers = Vec::new();
        self.ledger.answer(self.now, requests, &mut answers);
        split(answers)
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
        let (asked, news) = split(answers);
        assert_eq!(asked, []);
        news
    }

    /// Lets what was taken become durable, which is when a reader shows it: an answer to the operator takes care of it.
    pub(crate) fn save(&mut self) {
        self.ask(Request::TakeTransactions { transactions: Vec::new(), origin: Origin::Operator });
    }

    pub(crate) fn take(&mut self, block: &Block) -> BlockOutcome {
        match self.ask(Request::TakeBlock(block.bytes())) {
            Answer::BlockTaken { hash, outcome, .. } => {
                assert_eq!(hash, block.hash);
                outcome
            }
            other => panic!("{other:?}"),
        }
    }

    /// Takes blocks, all of which are new and right, a hundred in a batch.
    pub(crate) fn take_all(&mut self, blocks: &[Block]) {
        for some in blocks.chunks(100) {
            let requests = some.iter().map(|block| Request::TakeBlock(block.bytes())).collect();
            for (answer, block) in self.batch(requests).0.into_iter().zip(some) {
                match answer {
                    Answer::BlockTaken { outcome: BlockOutcome::Accepted, .. } => {}
                    other => panic!("{}: {other:?}", block.header.blue_score),
                }
            }
        }
    }

    pub(crate) fn take_headers(&mut self, blocks: &[Block]) -> (u32, Option<BlockOutcome>) {
        let headers = blocks.iter().map(|block| block.header.encode()).collect();
        match self.ask(Request::TakeHeaders(headers)) {
            Answer::HeadersTaken { taken, fault, .. } => (taken, fault),
            other => panic!("{other:?}"),
        }
    }

    pub(crate) fn take_bodies(&mut self, blocks: &[&Block]) -> (u32, Option<BlockOutcome>) {
        let bodies = blocks.iter().map(|block| (block.hash, block.body())).collect();
        match self.ask(Request::TakeBodies(bodies)) {
            Answer::BodiesTaken { taken, fault, .. } => (taken, fault),
            other => panic!("{other:?}"),
        }
    }

    pub(crate) fn state(&mut self) -> State {
        match self.ask(Request::State) {
            Answer::State(state) => state,
            other => panic!("{other:?}"),
        }
    }

    pub(crate) fn status(&mut self, hash: Hash) -> Status {
        match self.ask(Request::Statuses(vec![hash])) {
            Answer::Statuses(statuses) => statuses[0],
            other => panic!("{other:?}"),
        }
    }

    pub(crate) fn missing_bodies(&mut self, of: Hash, count_max: u32) -> Vec<Hash> {
        match self.ask(Request::MissingBodies { of, count_max }) {
            Answer::MissingBodies(missing) => missing,
            other => panic!("{other:?}"),
        }
    }

    /// Everything that an acknowledgement promises: where the ledger stands, and every block of it.
    pub(crate) fn check_holds(&mut self, blocks: &[Block]) {
        let hashes: Vec<Hash> = blocks.iter().map(|block| block.hash).collect();
        match self.ask(Request::Blocks(hashes)) {
            Answer::Blocks(held) => {
                for (held, block) in held.into_iter().zip(blocks) {
                    assert_eq!(held, Some(block.bytes()));
                }
            }
            other => panic!("{other:?}"),
        }
    }
}

fn split(answers: Vec<(To, Answer)>) -> (Vec<Answer>, Vec<Answer>) {
    let (asked, news): (Vec<_>, Vec<_>) = answers.into_iter().partition(|(to, _)| *to != To::Engine);
    let only = |answers: Vec<(To, Answer)>| answers.into_iter().map(|(_, answer)| answer).collect();
    (only(asked), only(news))
}
