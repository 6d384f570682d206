//! Tells what has arrived and what was judged: a verdict names the message, not what is in it.

use crate::networks::watched::{Arrival, Watch};
use bytes::Bytes;
use polypeer_engine::{Ledger, Now, Ticket, Time, To};
use polypeer_ledger_mina::Mina;
use polypeer_protocols::mina::binprot::Binable as _;
use polypeer_protocols::mina::command::{Commands, transaction_id};
use polypeer_protocols::mina::ledger::{Answer, Request, Verdict};
use std::collections::BTreeMap;
use std::sync::Arc;

/// A ledger whose judgements are counted.
pub(super) struct Told {
    ledger: Mina,
    watch: Arc<Watch>,
}

/// What was asked about.
enum Asked {
    Block([u8; 32]),
    Commands(Bytes),
}

impl Told {
    pub(super) fn new(ledger: Mina, watch: Arc<Watch>) -> Self {
        Self { ledger, watch }
    }

    fn judged(&self, asked: &Asked, verdict: Verdict) {
        let is_taken = matches!(verdict, Verdict::Accept | Verdict::Unverified);
        let word = match verdict {
            Verdict::Accept => 0,
            Verdict::Unverified => 1,
            Verdict::Ignore => 2,
            Verdict::Reject => 3,
        };
        match asked {
            Asked::Block(hash) => {
                self.watch.block(word);
                if is_taken {
                    self.watch.arrived(Arrival::Block(*hash));
                }
            }
            Asked::Commands(list) => {
                self.watch.transaction(word);
                // What was judged decodes.
                let ids = Commands::decode(list).into_iter().flat_map(|commands| commands.iter());
                for id in ids.filter(|_| is_taken).filter_map(|command| transaction_id(command.bytes()).ok()) {
                    self.watch.arrived(Arrival::Transaction(id.0));
                }
            }
        }
    }
}

impl Ledger for Told {
    type Request = Request;
    type Answer = Answer;

    fn answer(&mut self, now: Now, requests: Vec<(Ticket, Request)>, answers: &mut Vec<(To, Answer)>) {
        let asked = |(ticket, request): &(Ticket, Request)| match request {
            Request::Block { hash, .. } => Some((ticket.0, Asked::Block(hash.0))),
            Request::Commands { commands, .. } => Some((ticket.0, Asked::Commands(commands.clone()))),
            _ => None,
        };
        let asked: BTreeMap<u64, Asked> = requests.iter().filter_map(asked).collect();
        let start = answers.len();
        self.ledger.answer(now, requests, answers);
        for (to, answer) in &answers[start..] {
            if let (To::Asker(ticket), Answer::Judged { verdict, .. }) = (to, answer)
                && let Some(asked) = asked.get(&ticket.0)
            {
                self.judged(asked, *verdict);
            }
        }
    }

    fn next_wake(&self, now: Now) -> Option<Time> {
        self.ledger.next_wake(now)
    }

    fn wake(&mut self, now: Now, answers: &mut Vec<(To, Answer)>) {
        self.ledger.wake(now, answers);
    }
}
