//! Tells of a new sink when it is durable: a block is announced to peers before.

use crate::networks::watched::Watch;
use polypeer_engine::kit::chain::Hash;
use polypeer_engine::{Ledger, Now, Ticket, Time, To};
use polypeer_ledger_kaspa::{Kaspa, Reader};
use polypeer_protocols::kaspa::ledger::{Answer, Request};
use std::sync::Arc;

/// A ledger whose durable sink is watched.
pub(super) struct SinkTold {
    ledger: Kaspa,
    reader: Reader,
    watch: Arc<Watch>,
    told: Hash,
}

impl SinkTold {
    pub(super) fn new(ledger: Kaspa, reader: Reader, watch: Arc<Watch>) -> Self {
        let told = reader.state().sink.hash;
        Self { ledger, reader, watch, told }
    }

    fn tell(&mut self) {
        let sink = self.reader.state().sink;
        if sink.hash != self.told {
            self.told = sink.hash;
            self.watch.tip(sink.hash.to_string(), sink.blue_score);
        }
    }
}

impl Ledger for SinkTold {
    type Request = Request;
    type Answer = Answer;

    fn answer(&mut self, now: Now, requests: Vec<(Ticket, Request)>, answers: &mut Vec<(To, Answer)>) {
        self.ledger.answer(now, requests, answers);
        self.tell();
    }

    fn next_wake(&self, now: Now) -> Option<Time> {
        self.ledger.next_wake(now)
    }

    fn wake(&mut self, now: Now, answers: &mut Vec<(To, Answer)>) {
        self.ledger.wake(now, answers);
        self.tell();
    }
}
