//! Watches a reference ledger, and lies about it where the node is hostile.

use crate::cast::{End, Held, Id, News};
use bytes::Bytes;
use polypeer_engine::kit::chain::{Answer, BlockKey, BlockOutcome, Hash, Origin, Request, Tip, TransactionOutcome};
use polypeer_engine::{Ledger, Now, Ticket, Time, To};
use polypeer_ledger_reference::{EMPTY_BLOCK_BYTES, Header, Reader, Reference, encode_block};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

/// How much higher than it is a liar's chain is said to be.
const LIE_BLOCKS: u64 = 100_000;
/// Siblings of its own blocks that an equivocator keeps to hand out; peers ask soon or never.
const SIBLINGS_MAX: usize = 64;

/// How a ledger lies to its own engine, which passes the lie on in good faith.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Lie {
    /// The chain is far higher than it is.
    Height,
    /// Nothing is handed out.
    Withhold,
    /// Every block of its own has a sibling.
    Siblings,
}

/// A reference ledger under watch.
pub struct Witness {
    ledger: Reference,
    reader: Reader,
    lie: Option<Lie>,
    // What its blocks name as their producer.
    key: [u8; 32],
    is_halted: AtomicBool,
    is_paused: bool,
    news: Mutex<Vec<News>>,
    // What the open questions handed in, and what a liar must invent an answer to.
    handed: BTreeMap<Ticket, Handed>,
    // Blocks that an equivocator made beside its own: it hands them out though its ledger has never seen them.
    siblings: BTreeMap<Hash, Bytes>,
    seen: BTreeSet<Hash>,
}

enum Handed {
    Block,
    Transactions(Origin),
    Heights(Vec<u64>),
}

impl Witness {
    /// A ledger and its reader, with the key that its blocks are made with.
    pub(crate) fn new(ledger: Reference, reader: Reader, lie: Option<Lie>, key: [u8; 32]) -> Self {
        Self {
            ledger,
            reader,
            lie,
            key,
            is_halted: AtomicBool::new(false),
            is_paused: false,
            news: Mutex::default(),
            handed: BTreeMap::new(),
            siblings: BTreeMap::new(),
            seen: BTreeSet::new(),
        }
    }

    /// A look at what it holds.
    pub fn reader(&self) -> &Reader {
        &self.reader
    }

    fn tell(&self, news: News) {
        // Nothing that can panic runs under the lock.
        self.news.lock().unwrap_or_else(PoisonError::into_inner).push(news);
    }

    // A producer that is halted catches up for ever.
    fn pause(&mut self, now: Now, answers: &mut Vec<(To, Answer)>) {
        if self.is_halted.load(Ordering::Relaxed) && !self.is_paused {
            self.is_paused = true;
            // Not answered, so the ticket is nobody's.
            self.ledger.answer(now, vec![(Ticket(u64::MAX), Request::CatchingUp(true))], answers);
        }
    }

    fn asked(&mut self, ticket: Ticket, request: &Request) {
        let handed = match request {
            Request::TakeBlock(_) => Handed::Block,
            Request::TakeTransactions { origin, .. } => Handed::Transactions(*origin),
            Request::HashesAt(heights) if self.lie == Some(Lie::Height) => Handed::Heights(heights.clone()),
            Request::Hashes { from, count } if self.lie == Some(Lie::Height) => {
                Handed::Heights((*from..from.saturating_add((*count).into())).collect())
            }
            _ => return,
        };
        self.handed.insert(ticket, handed);
    }

    fn note(&mut self, to: To, answer: &Answer) {
        let handed = match to {
            To::Asker(ticket) => self.handed.remove(&ticket),
            To::Engine => None,
        };
        match (answer, handed) {
            (Answer::BlockTaken { hash, outcome: BlockOutcome::Accepted }, Some(Handed::Block)) => {
                self.tell(News::New { id: hash.0 });
                self.took(*hash, false);
            }
            (Answer::TransactionsTaken(taken), Some(Handed::Transactions(origin))) => {
                taken.iter().for_each(|(id, outcome)| self.judged(*id, outcome, origin));
            }
            // Its own blocks, and those whose time had come, are told of only here.
            (Answer::NewTip { tip, block }, _) => {
                let is_own = header(block).is_some_and(|header| header.producer == self.key);
                self.took(tip.hash, is_own);
            }
            _ => {}
        }
    }

    fn judged(&mut self, id: Hash, outcome: &TransactionOutcome, origin: Origin) {
        if *outcome == TransactionOutcome::Accepted {
            self.tell(News::Transaction { id: id.0, is_durable: origin == Origin::Operator });
            self.tell(News::New { id: id.0 });
        }
    }

    fn took(&mut self, hash: Hash, is_own: bool) {
        if !self.seen.insert(hash) {
            return;
        }
        self.tell(News::Block { id: hash.0, is_own, is_durable: true });
        let inside = self.reader.block(&BlockKey::Hash(hash)).map(|block| block.transactions).unwrap_or_default();
        inside.into_iter().for_each(|id| self.tell(News::Transaction { id: id.0, is_durable: false }));
    }

    fn told(&mut self, answers: &mut Vec<(To, Answer)>, start: usize) {
        if self.lie == Some(Lie::Height) {
            for (to, answer) in &mut answers[start..] {
                let asked = match to {
                    To::Asker(ticket) => self.handed.remove(ticket),
                    To::Engine => None,
                };
                raise(answer, asked);
            }
            return;
        }
        for (to, answer) in &answers[start..] {
            self.note(*to, answer);
        }
        match self.lie {
            Some(Lie::Withhold) => answers[start..].iter_mut().for_each(|(_, answer)| withhold(answer)),
            Some(Lie::Siblings) => {
                let siblings: Vec<_> = answers[start..].iter().filter_map(|(_, answer)| self.sibling(answer)).collect();
                answers.extend(siblings.into_iter().map(|answer| (To::Engine, answer)));
            }
            Some(Lie::Height) | None => {}
        }
    }

    // A block that could stand where a new one of its own stands.
    fn sibling(&mut self, answer: &Answer) -> Option<Answer> {
        let Answer::NewTip { tip, block } = answer else { return None };
        let mut header = header(block).filter(|header| header.producer == self.key)?;
        let (inside, _) = block.get(EMPTY_BLOCK_BYTES..)?.as_chunks();
        // The search takes as many tries as the network's target asks for, about 256.
        header.nonce = header.nonce.wrapping_add(1);
        while !self.reader.network().target().is_met_by(&header.hash().0) {
            header.nonce = header.nonce.wrapping_add(1);
        }
        let (hash, block) = (header.hash(), Bytes::from(encode_block(&header, inside)));
        if self.siblings.len() == SIBLINGS_MAX {
            self.siblings.pop_first();
        }
        self.siblings.insert(hash, block.clone());
        Some(Answer::NewTip { tip: Tip { hash, ..*tip }, block })
    }

    // Whoever was told of a sibling may ask for it.
    fn hand_out(&self, request: &Request) -> Option<Answer> {
        let Request::Block(BlockKey::Hash(hash)) = request else { return None };
        self.siblings.get(hash).map(|bytes| Answer::Block(Some(bytes.clone())))
    }
}

fn header(block: &[u8]) -> Option<Header> {
    block.first_chunk().map(Header::decode)
}

// The chain is said to go on: its end is higher, and whoever asks for the hashes there gets some.
fn raise(answer: &mut Answer, asked: Option<Handed>) {
    let invented = |height: u64| Hash(*blake3::hash(&height.to_be_bytes()).as_bytes());
    let asked = match asked {
        Some(Handed::Heights(heights)) => heights,
        _ => Vec::new(),
    };
    let (Answer::Tip(tip) | Answer::NewTip { tip, .. } | Answer::Hashes { tip, .. } | Answer::HashesAt { tip, .. }) =
        answer
    else {
        return;
    };
    let real = tip.height;
    tip.height += LIE_BLOCKS;
    tip.work += u128::from(LIE_BLOCKS) * 256;
    tip.hash = invented(tip.height);
    let claimed = real + 1..=tip.height;
    let beyond = asked.into_iter().filter(|height| claimed.contains(height));
    match answer {
        Answer::HashesAt { hashes, .. } => hashes.extend(beyond.map(|height| (height, invented(height)))),
        Answer::Hashes { hashes, .. } => hashes.extend(beyond.map(invented)),
        _ => {}
    }
}

fn withhold(answer: &mut Answer) {
    match answer {
        Answer::Block(block) => *block = None,
        Answer::Transaction(transaction) => *transaction = None,
        Answer::Waiting(waiting) => waiting.clear(),
        _ => {}
    }
}

impl Ledger for Witness {
    type Request = Request;
    type Answer = Answer;

    fn answer(&mut self, now: Now, mut requests: Vec<(Ticket, Request)>, answers: &mut Vec<(To, Answer)>) {
        let start = answers.len();
        self.pause(now, answers);
        requests.retain(|(ticket, request)| {
            self.asked(*ticket, request);
            match self.hand_out(request) {
                Some(answer) => answers.push((To::Asker(*ticket), answer)),
                None => return !(self.is_paused && matches!(request, Request::CatchingUp(_))),
            }
            false
        });
        self.ledger.answer(now, requests, answers);
        self.told(answers, start);
    }

    fn next_wake(&self, now: Now) -> Option<Time> {
        self.ledger.next_wake(now)
    }

    fn wake(&mut self, now: Now, answers: &mut Vec<(To, Answer)>) {
        let start = answers.len();
        self.pause(now, answers);
        self.ledger.wake(now, answers);
        self.told(answers, start);
    }
}

impl Held for Witness {
    fn news(&self) -> Vec<News> {
        std::mem::take(&mut *self.news.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn halt(&self) {
        self.is_halted.store(true, Ordering::Relaxed);
    }

    fn tip(&self) -> End {
        let tip = self.reader.tip();
        End { height: tip.height, id: tip.hash.0 }
    }

    fn is_on_chain(&self, id: &Id) -> bool {
        self.reader.block(&BlockKey::Hash(Hash(*id))).is_some_and(|block| block.main)
    }

    fn holds(&self, id: &Id) -> bool {
        self.reader.block(&BlockKey::Hash(Hash(*id))).is_some() || self.reader.transaction(&Hash(*id)).is_some()
    }
}
