//! Watches a BUMO ledger in a simulation, and lies about it where the node is hostile.

use polypeer_engine::{Ledger, Now, Ticket, Time, To};
use polypeer_ledger_bumo::{Bumo, LedgerKey, Reader};
use polypeer_protocols::bumo::hash::Hash;
use polypeer_protocols::bumo::ledger::{Answer, Origin, Request, Served, Tip, Verdict};
use polypeer_protocols::bumo::wire::{ConsensusValue, Message as _};
use polypeer_sim::{End, Held, Id, Lie, News};
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;

/// How many more ledgers than it has a liar says it has.
const LIE_LEDGERS: i64 = 100_000;

/// A ledger under watch.
pub(crate) struct Witness {
    ledger: Bumo,
    reader: Reader,
    lie: Option<Lie>,
    is_halted: Cell<bool>,
    is_paused: bool,
    news: RefCell<Vec<News>>,
    // Who brought the transactions that the open questions are about.
    brought: BTreeMap<Ticket, Origin>,
    // The newest ledger that was told as durable.
    durable: u64,
}

impl Witness {
    /// A ledger and its reader.
    pub(super) fn new(ledger: Bumo, reader: Reader, lie: Option<Lie>) -> Self {
        let durable = reader.standing().header.number;
        Self {
            ledger,
            reader,
            lie,
            is_halted: Cell::default(),
            is_paused: false,
            news: RefCell::default(),
            brought: BTreeMap::new(),
            durable,
        }
    }

    fn tell(&self, news: News) {
        self.news.borrow_mut().push(news);
    }

    // Whoever catches up for ever proposes nothing.
    fn pause(&mut self, now: Now, answers: &mut Vec<(To, Answer)>) {
        if self.is_halted.get() && !self.is_paused {
            self.is_paused = true;
            // Not answered, so the ticket is nobody's.
            self.ledger.answer(now, vec![(Ticket(u64::MAX), Request::CatchingUp(true))], answers);
        }
    }

    fn asked(&mut self, ticket: Ticket, request: &Request) {
        if let Request::Submit { origin, .. } = request {
            self.brought.insert(ticket, *origin);
        }
    }

    fn note(&mut self, to: To, answer: &Answer) {
        let brought = match to {
            To::Asker(ticket) => self.brought.remove(&ticket),
            To::Engine => None,
        };
        match (answer, brought) {
            (Answer::Closed(Ok(tip)), _) => self.closed(tip),
            (Answer::Submitted { hash, verdict: Verdict::Accepted }, Some(origin)) => {
                self.tell(News::Transaction { id: hash.0, is_durable: origin == Origin::Operator });
                self.tell(News::New { id: hash.0 });
            }
            _ => {}
        }
    }

    fn closed(&self, tip: &Tip) {
        let id = tip.hash.0;
        self.tell(News::Final { height: u64::try_from(tip.seq).unwrap_or(0), id });
        self.tell(News::Block { id, is_own: true, is_durable: false });
    }

    // What the store has now must be there after any crash.
    fn look_at_store(&mut self) {
        let newest = self.reader.standing().header.number;
        for number in self.durable + 1..=newest {
            let Some(ledger) = self.reader.ledger(&LedgerKey::Number(number)) else { continue };
            if let Some(id) = ledger.header.hash {
                self.tell(News::Block { id: id.0, is_own: false, is_durable: true });
            }
            let inside = ledger.transactions.into_iter();
            inside.for_each(|id| self.tell(News::Transaction { id: id.0, is_durable: true }));
        }
        self.durable = newest;
    }

    fn told(&mut self, answers: &mut [(To, Answer)]) {
        for (to, answer) in answers.iter() {
            self.note(*to, answer);
        }
        self.look_at_store();
        let served = answers.iter_mut().filter_map(|(_, answer)| match answer {
            Answer::Served(served) => Some(served),
            _ => None,
        });
        match self.lie {
            None => {}
            Some(Lie::Withhold) => served.for_each(|served| *served = None),
            Some(Lie::Height) => served.flatten().for_each(|served| served.max_seq += LIE_LEDGERS),
            Some(Lie::Siblings) => served.flatten().for_each(sibling),
        }
    }
}

// Another ledger in the place of the last one, with the proof of the real one.
fn sibling(served: &mut Served) {
    let Some(last) = served.values.last_mut() else { return };
    let Ok(mut value) = ConsensusValue::decode(last) else { return };
    value.close_time = value.close_time.saturating_add(1);
    *last = value.encode();
}

impl Ledger for Witness {
    type Request = Request;
    type Answer = Answer;

    fn answer(&mut self, now: Now, mut requests: Vec<(Ticket, Request)>, answers: &mut Vec<(To, Answer)>) {
        let start = answers.len();
        self.pause(now, answers);
        requests.retain(|(ticket, request)| {
            self.asked(*ticket, request);
            !(self.is_paused && matches!(request, Request::CatchingUp(_)))
        });
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
        let header = self.reader.standing().header;
        End { height: header.number, id: header.hash.unwrap_or_default().0 }
    }

    fn is_on_chain(&self, id: &Id) -> bool {
        self.reader.ledger(&LedgerKey::Hash(Hash(*id))).is_some()
    }

    fn holds(&self, id: &Id) -> bool {
        self.is_on_chain(id) || self.reader.transaction(&Hash(*id)).is_some()
    }
}
