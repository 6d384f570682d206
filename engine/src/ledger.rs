//! Says what a ledger is to its host: synchronous, batched, told the time.

use crate::{Now, Ticket, Time};
use alloc::vec::Vec;

/// Who an answer is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum To {
    /// Whoever asked with this ticket.
    Asker(Ticket),
    /// The engine, unasked: a new tip, a transaction of the operator's.
    Engine,
}

/// Whatever holds blocks and transactions. The host decides on which thread it runs and gathers requests, so that
/// one signature batch and one durable commit can serve many.
pub trait Ledger: Send + 'static {
    /// What can be asked.
    type Request;
    /// What it says.
    type Answer;

    /// Answers `requests` in their order. What is acknowledged to the operator is durable before the answer is pushed.
    /// So is what peers brought, unless the ledger says how soon after: peers can bring that again.
    fn answer(&mut self, now: Now, requests: Vec<(Ticket, Self::Request)>, answers: &mut Vec<(To, Self::Answer)>);

    /// When [`Ledger::wake`] wants to be called: a producer's next block, a block from the future that comes due.
    /// A ledger without a clock never does.
    fn next_wake(&self, now: Now) -> Option<Time> {
        let _ = now;
        None
    }

    /// Does what has come due.
    fn wake(&mut self, now: Now, answers: &mut Vec<(To, Self::Answer)>) {
        let _ = (now, answers);
    }
}
