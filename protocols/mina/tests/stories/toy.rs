//! Plays a ledger: it says of messages what the story wants, and signs with the node's key.

use crate::make;
use bytes::Bytes;
use ed25519_dalek::Signer as _;
use polypeer_engine::{Ledger, Now, Ticket, To};
use polypeer_mina::ledger::{Answer, Hash, Request, Tip, Verdict};

#[derive(Clone, Debug)]
pub(crate) struct Toy {
    /// What it says of what is gossiped.
    pub(crate) verdict: Verdict,
    /// What it misses below a block.
    pub(crate) wants: Option<Hash>,
    /// What it serves.
    pub(crate) served: Option<Bytes>,
    /// What is missing of a better chain.
    pub(crate) missing: Vec<Hash>,
    /// Whose key it signs with; nobody's when there is none.
    pub(crate) signer: Option<u8>,
}

impl Default for Toy {
    fn default() -> Self {
        Self { verdict: Verdict::Unverified, wants: None, served: None, missing: Vec::new(), signer: Some(1) }
    }
}

impl Toy {
    fn say(&self, request: &Request) -> Option<Answer> {
        let judged = |id: &Hash| Answer::Judged { id: *id, verdict: self.verdict, wants: self.wants };
        Some(match request {
            Request::Tip => Answer::Tip(Tip { hash: make::genesis(), length: 1, global_slot: 0 }),
            Request::Block { id, .. } | Request::Commands { id, .. } | Request::SnarkWork { id, .. } => judged(id),
            Request::Submit { .. } => Answer::Submitted { id: Hash::ZERO, refused: None },
            Request::Candidate { .. } => Answer::Candidate { wants: self.missing.clone() },
            Request::BestTip
            | Request::Ancestry { .. }
            | Request::TransitionChain { .. }
            | Request::ChainProof { .. }
            | Request::Knowledge
            | Request::LedgerQuery { .. } => Answer::Served(self.served.clone()),
            Request::CatchingUp(_) => return None,
            Request::Sign { bytes } => {
                let sign = |number| Bytes::copy_from_slice(&make::key(number).sign(bytes).to_bytes());
                Answer::Signed(self.signer.map(sign))
            }
        })
    }
}

impl Ledger for Toy {
    type Request = Request;
    type Answer = Answer;

    fn answer(&mut self, _: Now, requests: Vec<(Ticket, Request)>, answers: &mut Vec<(To, Answer)>) {
        for (ticket, request) in requests {
            answers.extend(self.say(&request).map(|answer| (To::Asker(ticket), answer)));
        }
    }
}
