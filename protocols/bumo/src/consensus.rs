//! Runs the agreement: hands it the validators' messages, carries out what it wants (BUMO spec, sections 5.3 and 7).
//!
//! ```text
//!   PBFT ─► of a validator? ─► broadcast before? ─► the machine ─► fresh: recorded, sent to the others
//!                                                     │
//!                  ledger ◄── propose, judge, sign ───┤──► its own messages, to everyone
//!                         ◄── close ──────────────────┘
//! ```
//!
//! Whoever is no validator runs the same machine, which then signs nothing: it closes ledgers from the commits that it
//! sees. A vote leaves when the ledger has made it durable and signed it.

use crate::frame::Data;
use crate::hash::Hash;
use crate::ledger::{Answer, Request};
use crate::pbft::{Ignored, Output, Pbft, Seen, Settings};
use crate::peer::Active;
use crate::questions::Asked;
use crate::wire::{Body, Kind, Message as _, PbftEnv, WireError, is_protobuf};
use crate::{Alarm, Bumo, Cx, Misbehavior};
use alloc::format;
use bytes::Bytes;
use polypeer_engine::kit::cost::Class;
use polypeer_engine::{ConnectionId, Overflow, Stock, Stocks};

/// Messages of one validator that the machine keeps, as it says of itself.
const KEPT_OF_ONE_MAX: usize = 28;

/// What the agreement asked the ledger.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Question {
    /// For a value.
    Propose,
    /// Whether a value is valid.
    Judge,
    /// For a signature, by the machine's own number.
    Sign(u64),
    /// To close what was agreed on.
    Close,
}

/// Messages of validators.
impl Bumo {
    /// PBFT.
    pub(crate) fn on_pbft(
        &mut self,
        cx: &mut Cx<'_>,
        connection: ConnectionId,
        active: &mut Active,
        data: Data<'_>,
    ) -> Result<(), Misbehavior> {
        // It is read and hashed, and each signature is checked; most messages come from every peer once, and cost nothing in
        // the end.
        let hashing = Class::HeaderCheck.price(data.bytes().len());
        if !self.pays(cx, connection, Class::HeaderCheck, hashing) {
            return Ok(());
        }
        let envelope = match PbftEnv::decode(data.bytes()) {
            Ok(envelope) => envelope,
            Err(WireError::NotCanonical) if is_protobuf(data.bytes()) => {
                cx.slip(connection, Misbehavior::NotCanonical(Kind::Pbft));
                return Ok(());
            }
            Err(_) => return Err(Misbehavior::MalformedPbft),
        };
        let Some(pbft) = envelope.pbft else { return Err(Misbehavior::MalformedPbft) };
        let checking = Class::TransactionCheck.price(0).times(signatures(&pbft.message.body));
        let digest = self.config.hash.hash(data.bytes());
        if self.broadcasts.is_known(&digest) {
            cx.refund(connection, hashing);
            return Ok(());
        }
        if !self.pays(cx, connection, Class::TransactionCheck, checking) {
            return Ok(());
        }
        let (now, bytes) = (cx.time(), data.keep());
        let Some(machine) = &mut self.consensus else { return Ok(()) };
        let seen = machine.receive(now, &bytes);
        let is_wasted = matches!(seen, Err(Ignored::Stranger)) || seen.is_err_and(Ignored::is_slip);
        if !is_wasted {
            cx.refund(connection, hashing);
            cx.refund(connection, checking);
        }
        match seen {
            Ok(Seen::Fresh) => drop(self.broadcast(cx, Kind::Pbft, &bytes, digest, &[connection])),
            Err(ignored) if is_relayers_fault(ignored, &pbft.message.body) => {
                cx.slip(connection, Misbehavior::ForgedPbft);
            }
            Ok(Seen::Stale) | Err(_) => {}
        }
        self.carry_out(cx, Some((connection, active)));
        Ok(())
    }
}

// Today's node checks no signature inside a new view, and counts a primary's own vote in a prepared set, so that an
// honest one may relay what is wrong inside.
fn is_relayers_fault(ignored: Ignored, body: &Body<'_>) -> bool {
    ignored.is_slip() && !matches!(body, Body::NewView(_) | Body::RawViewChange(_))
}

/// How many signatures a message has, its own and those inside.
fn signatures(body: &Body<'_>) -> usize {
    match body {
        Body::NewView(opened) => 2 + opened.view_changes.len(),
        Body::RawViewChange(raw) => 3 + raw.prepared_set.map_or(0, |set| set.prepares.len()),
        _ => 1,
    }
}

/// What the machine is told, and what it wants.
impl Bumo {
    pub(crate) fn consensus_stock(&self, stocks: &mut Stocks) {
        let (Some(machine), Some(tip)) = (&self.consensus, &self.tip) else { return };
        let most = KEPT_OF_ONE_MAX * tip.validators.len();
        stocks.push(Stock::kept("consensus messages kept", machine.kept_messages(), most));
    }

    /// The ledger has said where it stands, and what this node voted for since.
    pub(crate) fn start_consensus(&mut self, cx: &mut Cx<'_>) {
        let settings =
            Settings { chain_id: self.config.chain_id, hash: self.config.hash, ..Settings::new(self.config.timers()) };
        self.consensus = self.tip.as_ref().map(|tip| Pbft::new(settings, cx.now(), tip));
        self.carry_out(cx, None);
    }

    /// A ledger closed, or the ledger only follows from now on.
    pub(crate) fn move_consensus(&mut self, cx: &mut Cx<'_>) {
        let now = cx.now();
        if let (Some(machine), Some(tip)) = (&mut self.consensus, &self.tip) {
            machine.moved(now, tip);
        }
        self.carry_out(cx, None);
    }

    /// Something is due.
    pub(crate) fn wake_consensus(&mut self, cx: &mut Cx<'_>) {
        let now = cx.time();
        if let Some(machine) = &mut self.consensus {
            machine.tick(now);
        }
        self.carry_out(cx, None);
    }

    /// The ledger answered the machine.
    pub(crate) fn on_consensus_answer(&mut self, cx: &mut Cx<'_>, question: Question, answer: Answer) {
        let now = cx.time();
        let Some(machine) = &mut self.consensus else { return };
        match (question, answer) {
            (Question::Propose, Answer::Proposed(proposal)) => machine.proposed(now, proposal),
            (Question::Judge, Answer::Judged { digest, judgement }) => machine.judged(now, digest, judgement),
            (Question::Sign(ticket), Answer::Signed(signed)) => machine.signed(now, ticket, signed),
            (Question::Close, Answer::Closed(Ok(tip))) => return self.on_tip(cx, tip),
            (Question::Close, Answer::Closed(Err(error))) => {
                machine.not_closed(now);
                self.on_agreed_not_closed(cx, error);
            }
            // No answer to that question: a fault of the ledger's.
            _ => {}
        }
        self.carry_out(cx, None);
    }

    // Carries out what the machine wants, in order. A peer whose own handler runs is `present`.
    fn carry_out(&mut self, cx: &mut Cx<'_>, mut present: Option<(ConnectionId, &mut Active)>) {
        let Some(machine) = &mut self.consensus else { return };
        for output in machine.outputs() {
            match output {
                Output::Propose => {
                    let upgrade = self.agreed_upgrade(cx.time());
                    self.ask_ledger(cx, Request::Propose { upgrade }, Asked::Consensus(Question::Propose));
                }
                Output::Judge { value, .. } => {
                    self.ask_ledger(cx, Request::Judge { value }, Asked::Consensus(Question::Judge));
                }
                Output::Sign { ticket, pbft, keep } => {
                    self.ask_ledger(cx, Request::Sign { pbft, keep }, Asked::Consensus(Question::Sign(ticket)));
                }
                Output::Close { value, proof } => {
                    let request = Request::CloseAgreed { value, proof };
                    self.ask_ledger(cx, request, Asked::Consensus(Question::Close));
                }
                Output::Broadcast { envelope, is_repeat } => {
                    let digest = self.config.hash.hash(&envelope);
                    self.send_to_all(cx, present.as_mut(), &envelope, digest, is_repeat);
                }
                Output::Behind { .. } => {
                    let now = cx.time();
                    cx.alarm(Alarm::Behind, now);
                }
                Output::Equivocation { replica, sequence, view } => {
                    cx.note(format!("validator {replica} signed two values for ledger {sequence} in view {view}"));
                }
            }
        }
        match self.consensus.as_ref().and_then(Pbft::alarm) {
            Some(at) => cx.alarm(Alarm::Consensus, at),
            None => cx.cancel_alarm(Alarm::Consensus),
        }
    }

    fn send_to_all(
        &mut self,
        cx: &mut Cx<'_>,
        present: Option<&mut (ConnectionId, &mut Active)>,
        envelope: &Bytes,
        digest: Hash,
        is_repeat: bool,
    ) {
        if is_repeat {
            self.broadcasts.forget(&digest);
        }
        let lack_it_from = self.broadcast(cx, Kind::Pbft, envelope, digest, &[]);
        if let Some((connection, active)) = present
            && active.joined >= lack_it_from
        {
            let frame = active.line.request(Kind::Pbft, envelope);
            cx.send(*connection, frame, Overflow::Close);
        }
    }
}
