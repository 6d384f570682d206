//! Remembers what the ledger was asked and why, and hands each answer to the room that wants it.

use crate::ledger::{Answer, Hash, Request};
use crate::rpc::ServeId;
use crate::{Cx, Mina};
use polypeer_engine::{ConnectionId, Ticket};

/// Why the ledger was asked. Bounded by what may be asked: the lanes of gossip, the questions that peers may have under
/// way, what is fetched, our own messages that wait for a signature.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Asked {
    /// Where we stand.
    Tip,
    /// What it thinks of the message with this id.
    Gossip(Hash),
    /// What a peer asked for.
    Serve(ConnectionId, ServeId),
    /// What it thinks of a block that was fetched; it names which.
    Fetched,
    /// What is missing of a better chain that this peer has.
    Candidate(ConnectionId),
    /// A signature for the mesh, which knows it by this number.
    Sign(u64),
}

impl Mina {
    /// Puts a question to the ledger, and remembers why.
    pub(crate) fn ask_ledger(&mut self, cx: &mut Cx<'_>, request: Request, why: Asked) {
        let ticket = cx.ask(request);
        self.asked.insert(ticket, why);
    }

    /// Tells the ledger something that it does not answer.
    pub(crate) fn tell_ledger(&mut self, cx: &mut Cx<'_>, request: Request) {
        cx.ask(request);
    }

    /// The ledger says something: the table.
    pub(crate) fn on_ledger(&mut self, cx: &mut Cx<'_>, ticket: Option<Ticket>, answer: Answer) {
        let why = ticket.and_then(|ticket| self.asked.remove(&ticket));
        match (why, answer) {
            (None, Answer::Publish { kind, payload }) => self.publish(cx, kind, &payload),
            (None, Answer::TipMoved(tip)) => self.tip = Some(tip),
            (None, Answer::Judged { id, verdict, .. }) => self.on_judged(cx, id, verdict),
            (Some(Asked::Tip), Answer::Tip(tip)) => self.tip = Some(tip),
            (Some(Asked::Gossip(asked)), Answer::Judged { verdict, wants, .. }) => {
                self.on_judged(cx, asked, verdict);
                self.want_below(cx, wants);
            }
            (Some(Asked::Fetched), Answer::Judged { id, verdict, wants }) => {
                self.on_fetched_judged(cx, &id, verdict, wants);
            }
            (Some(Asked::Candidate(from)), Answer::Candidate { wants }) => self.on_candidate(cx, from, wants),
            (Some(Asked::Serve(connection, serve)), Answer::Served(value)) => {
                self.on_served(cx, connection, serve, value.as_ref());
            }
            (Some(Asked::Sign(ticket)), Answer::Signed(signature)) => self.on_signed(cx, ticket, signature.as_ref()),
            // An answer that fits no question is a fault of the ledger's, not a peer's: nothing follows from it.
            _ => {}
        }
    }
}
