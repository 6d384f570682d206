//! A ledger, the time, and how to talk with it.

use crate::made::{Made, rules};
use bytes::Bytes;
use polypeer_engine::{Ledger, Now, Ticket, Time, To};
use polypeer_ledger_mina::{BlockKey, Config, Identity, Mina, OpenError, Producer, Reader};
use polypeer_mina::ledger::{Answer, Hash, Origin, Refusal, Request, Tip, Verdict};
use polypeer_sim::Tape;
use std::path::Path;
use std::time::Duration;

/// The ledger under test.
pub(crate) struct World {
    pub(crate) ledger: Mina,
    pub(crate) reader: Reader,
    pub(crate) now: Now,
    tickets: u64,
}

impl World {
    /// Of the tests' private network, in memory.
    pub(crate) fn new() -> Self {
        Self::open(Config::in_memory(rules()))
    }

    pub(crate) fn open(config: Config) -> Self {
        Self::over(Mina::open(config).unwrap())
    }

    /// In a file.
    pub(crate) fn on(path: &Path) -> Self {
        Self::open(Config { path: Some(path.to_owned()), ..Config::in_memory(rules()) })
    }

    pub(crate) fn over((ledger, reader): (Mina, Reader)) -> Self {
        // In the middle of slot 0.
        let unix_ms = rules().constants.genesis_timestamp_ms + 500;
        Self { ledger, reader, now: Now { monotonic: Time::from_micros(1_000_000), unix_ms }, tickets: 0 }
    }

    /// One that signs, and makes blocks in so many of a hundred slots.
    pub(crate) fn producing(seed: u8, slots_percent: u32) -> Self {
        let producer = Some(Producer { seed: [seed; 32], slots_percent });
        let identity = Some(Identity::of_seed(&[seed; 32]));
        Self::open(Config { producer, identity, ..Config::in_memory(rules()) })
    }

    pub(crate) fn pass(&mut self, time: Duration) {
        self.now.monotonic = self.now.monotonic + time;
        self.now.unix_ms += u64::try_from(time.as_millis()).unwrap();
    }

    /// Answers to these requests in their order, and what is said unasked.
    pub(crate) fn batch(&mut self, requests: Vec<Request>) -> (Vec<Answer>, Vec<Answer>) {
        let first = self.tickets;
        self.tickets += requests.len() as u64;
        let tickets = (first..).map(Ticket);
        let mut said = Vec::new();
        self.ledger.answer(self.now, tickets.zip(requests).collect(), &mut said);
        let mut answers = Vec::new();
        let mut news = Vec::new();
        for (to, answer) in said {
            match to {
                To::Asker(ticket) => answers.push((ticket.0, answer)),
                To::Engine => news.push(answer),
            }
        }
        answers.sort_by_key(|(ticket, _)| *ticket);
        (answers.into_iter().map(|(_, answer)| answer).collect(), news)
    }

    /// The answer to one request, which has one.
    pub(crate) fn ask(&mut self, request: Request) -> Answer {
        let (mut answers, _) = self.batch(vec![request]);
        assert_eq!(answers.len(), 1, "one answer");
        answers.remove(0)
    }

    /// Wakes it as often as it wants up to a time. What it says.
    pub(crate) fn run(&mut self, time: Duration) -> Vec<Answer> {
        let end = self.now.monotonic + time;
        let mut said = Vec::new();
        while let Some(due) = self.ledger.next_wake(self.now).filter(|due| *due <= end) {
            let wait = due.since(self.now.monotonic);
            self.pass(wait);
            self.ledger.wake(self.now, &mut said);
            // A host never calls twice at the same moment.
            self.pass(Duration::from_millis(1));
        }
        let rest = end.since(self.now.monotonic);
        self.pass(rest);
        said.into_iter().map(|(_, answer)| answer).collect()
    }

    /// Judges a block.
    pub(crate) fn judge(&mut self, block: &Made) -> (Verdict, Option<Hash>) {
        self.judge_bytes(block.hash, &block.bytes)
    }

    pub(crate) fn judge_bytes(&mut self, hash: Hash, block: &Bytes) -> (Verdict, Option<Hash>) {
        match self.ask(asks(hash, block)) {
            Answer::Judged { id, verdict, wants } if id == hash => (verdict, wants),
            other => panic!("{other:?}"),
        }
    }

    /// Takes blocks one by one, each worth it.
    pub(crate) fn take_all(&mut self, blocks: &[Made]) {
        for block in blocks {
            assert_eq!(self.judge(block), (Verdict::Unverified, None), "length {}", block.length());
        }
    }

    pub(crate) fn tip(&mut self) -> Tip {
        match self.ask(Request::Tip) {
            Answer::Tip(tip) => tip,
            other => panic!("{other:?}"),
        }
    }

    pub(crate) fn served(&mut self, request: Request) -> Option<Bytes> {
        match self.ask(request) {
            Answer::Served(served) => served,
            other => panic!("{other:?}"),
        }
    }

    /// Gossips commands.
    pub(crate) fn gossip(&mut self, commands: &[Bytes]) -> Verdict {
        let id = Hash([7; 32]);
        match self.ask(Request::Commands { id, commands: crate::made::list(commands) }) {
            Answer::Judged { id: judged, verdict, wants: None } if judged == id => verdict,
            other => panic!("{other:?}"),
        }
    }

    /// Submits a command of the operator's.
    pub(crate) fn submit(&mut self, command: &Bytes) -> Result<Hash, Refusal> {
        match self.ask(Request::Submit { command: command.clone() }) {
            Answer::Submitted { id, refused: None } => Ok(id),
            Answer::Submitted { refused: Some(refusal), .. } => Err(refusal),
            other => panic!("{other:?}"),
        }
    }

    /// The network's first block.
    pub(crate) fn first(&self) -> Made {
        let found = self.reader.block(&BlockKey::Hash(self.reader.genesis())).unwrap();
        Made::read(&found.bytes)
    }

    /// Blocks are here whole.
    pub(crate) fn check_holds(&self, blocks: &[Made]) {
        for block in blocks {
            let found = self.reader.block(&BlockKey::Hash(block.hash)).unwrap();
            assert_eq!((found.length, found.bytes), (block.length(), block.bytes.clone()));
        }
    }
}

/// How a block is asked about.
pub(crate) fn asks(hash: Hash, block: &Bytes) -> Request {
    Request::Block { id: hash, hash, block: block.clone(), header_end: 0, origin: Origin::Gossip }
}

/// Opens a ledger on a disk.
pub(crate) fn open(disk: &Tape) -> Result<(Mina, Reader), OpenError> {
    Mina::open_with_backend(disk.clone(), Config::in_memory(rules()))
}
