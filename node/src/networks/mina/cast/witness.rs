//! Watches a Mina ledger in a simulation, and lies about it where the node is hostile.

use bytes::Bytes;
use polypeer_engine::{Ledger, Now, Ticket, Time, To};
use polypeer_ledger_mina::{BlockKey, Mina, Reader};
use polypeer_protocols::mina::binprot::Binable as _;
use polypeer_protocols::mina::block::Block;
use polypeer_protocols::mina::command::{Commands, transaction_id};
use polypeer_protocols::mina::hash::state_hash;
use polypeer_protocols::mina::ledger::{Answer, Hash, Kind, Request, Verdict};
use polypeer_sim::{End, Held, Id, Lie, News};
use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};

/// Blocks that came and are not held, because what is below them is missing; the oldest is forgotten.
const LOOSE_MAX: usize = 1_000;

/// A ledger under watch.
pub(crate) struct Witness {
    ledger: Mina,
    reader: Reader,
    lie: Option<Lie>,
    is_halted: Cell<bool>,
    is_paused: bool,
    news: RefCell<Vec<News>>,
    // What open questions are about, by what their answers name.
    commands: BTreeMap<Hash, Bytes>,
    loose: Vec<Hash>,
    told: BTreeSet<Id>,
}

impl Witness {
    /// A ledger and its reader.
    pub(super) fn new(ledger: Mina, reader: Reader, lie: Option<Lie>) -> Self {
        Self {
            ledger,
            reader,
            lie,
            is_halted: Cell::default(),
            is_paused: false,
            news: RefCell::default(),
            commands: BTreeMap::new(),
            loose: Vec::new(),
            told: BTreeSet::new(),
        }
    }

    fn tell(&self, news: News) {
        self.news.borrow_mut().push(news);
    }

    // Whoever catches up for ever produces nothing.
    fn pause(&mut self, now: Now, answers: &mut Vec<(To, Answer)>) {
        if self.is_halted.get() && !self.is_paused {
            self.is_paused = true;
            // Not answered, so the ticket is nobody's.
            self.ledger.answer(now, vec![(Ticket(u64::MAX), Request::CatchingUp(true))], answers);
        }
    }

    fn asked(&mut self, request: &Request) {
        match request {
            Request::Block { hash, .. } if !self.loose.contains(hash) => {
                if self.loose.len() >= LOOSE_MAX {
                    self.loose.remove(0);
                }
                self.loose.push(*hash);
            }
            Request::Commands { id, commands } => drop(self.commands.insert(*id, commands.clone())),
            _ => {}
        }
    }

    fn note(&mut self, answer: &Answer) {
        match answer {
            Answer::Submitted { id, refused: None } => self.transaction(id.0, true),
            Answer::Judged { id, verdict, .. } => self.judged(id, *verdict),
            Answer::Publish { kind: Kind::Block, payload } => {
                if let Ok((block, _)) = Block::open(payload) {
                    self.block(state_hash(&block.header.state), true);
                }
            }
            _ => {}
        }
    }

    fn judged(&mut self, id: &Hash, verdict: Verdict) {
        let Some(list) = self.commands.remove(id) else { return };
        if !matches!(verdict, Verdict::Accept | Verdict::Unverified) {
            return;
        }
        // What was judged decodes.
        let ids = Commands::decode(&list).into_iter().flat_map(|commands| commands.iter());
        for id in ids.filter_map(|command| transaction_id(command.bytes()).ok()) {
            if self.reader.command(&Hash(id.0)).is_some() {
                self.transaction(id.0, false);
            }
        }
    }

    fn transaction(&mut self, id: Id, is_durable: bool) {
        self.tell(News::Transaction { id, is_durable });
        if self.told.insert(id) {
            self.tell(News::New { id });
        }
    }

    // Whether it is held.
    fn block(&mut self, hash: Hash, is_own: bool) -> bool {
        let Some(block) = self.reader.block(&BlockKey::Hash(hash)) else { return false };
        if self.told.insert(hash.0) {
            self.tell(News::Block { id: hash.0, is_own, is_durable: true });
            for id in block.transactions {
                self.tell(News::Transaction { id: id.0, is_durable: false });
            }
        }
        true
    }

    fn told(&mut self, answers: &mut [(To, Answer)]) {
        for (_, answer) in answers.iter() {
            self.note(answer);
        }
        let loose = std::mem::take(&mut self.loose);
        self.loose = loose.into_iter().filter(|hash| !self.block(*hash, false)).collect();
        let served = answers.iter_mut().filter_map(|(_, answer)| match answer {
            Answer::Served(served) => Some(served),
            _ => None,
        });
        match self.lie {
            None => {}
            Some(Lie::Withhold) => served.for_each(|served| *served = None),
            Some(Lie::Height | Lie::Siblings) => served.flatten().for_each(alter),
        }
    }
}

// Something else in the place of what was asked for.
fn alter(served: &mut Bytes) {
    let mut altered = served.to_vec();
    let middle = altered.len() / 2;
    if let Some(byte) = altered.get_mut(middle) {
        *byte ^= 1;
    }
    *served = altered.into();
}

impl Ledger for Witness {
    type Request = Request;
    type Answer = Answer;

    fn answer(&mut self, now: Now, mut requests: Vec<(Ticket, Request)>, answers: &mut Vec<(To, Answer)>) {
        let start = answers.len();
        self.pause(now, answers);
        requests.iter().for_each(|(_, request)| self.asked(request));
        requests.retain(|(_, request)| !(self.is_paused && matches!(request, Request::CatchingUp(_))));
        self.ledger.answer(now, requests, answers);
        self.told(&mut answers[start..]);
    }

    fn next_wake(&self, now: Now) -> Option<Time> {
        self.ledger.next_wake(now)
    }

    fn wake(&mut self, now: Now, answers: &mut Vec<(To, Answer)>) {
        let start = answers.len();
        self.pause(now, answers);
        self.ledger.wake(now, answers);
        self.told(&mut answers[start..]);
    }
}

impl Held for Witness {
    fn news(&self) -> Vec<News> {
        self.news.take()
    }

    fn halt(&self) {
        self.is_halted.set(true);
    }

    fn tip(&self) -> End {
        let tip = self.reader.standing().tip;
        End { height: tip.length.into(), id: tip.hash.0 }
    }

    fn is_on_chain(&self, id: &Id) -> bool {
        self.reader.block(&BlockKey::Hash(Hash(*id))).is_some_and(|block| block.is_on_main)
    }

    fn holds(&self, id: &Id) -> bool {
        self.reader.block(&BlockKey::Hash(Hash(*id))).is_some() || self.reader.command(&Hash(*id)).is_some()
    }
}
