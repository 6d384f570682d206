//! Catches up with those who are ahead: LEDGERS, from several peers at a time (BUMO spec, sections 6.2 and 6.3).
//!
//! ```text
//!   someone became active, or no ledger closed for three intervals
//!     │  [next, next] to each peer: whoever is ahead answers, and says how far it is
//!     ▼
//!   ranges of five from the tip on, one to each peer that is ahead, in any order
//!     │                                  no answer in time ─► another peer is asked, for fewer
//!     ▼
//!   what comes is kept until its turn
//!     │  in order, each value with its proof: that in the next value, or the answer's own
//!     ▼
//!   ledger ─► closed: the tip moves
//!     └─────► wrong: whoever brought it pays, and another is asked
//! ```
//!
//! A refusal is silence, so that only time tells. Whoever is silent about what it said it has is on probation for a
//! minute; whoever is silent about what it may not have is not to blame. What was closed is durable: a node that starts
//! again goes on where it stopped.

mod ranges;

use crate::frame::Data;
use crate::ledger::{CloseError, Request, Tip};
use crate::peer::{Active, active_mut};
use crate::ping::unix_micros;
use crate::questions::Asked;
use crate::wire::{ConsensusValue, GetLedgers, Kind, LEDGERS_MAX, Ledgers, Message as _};
use crate::{Alarm, Bumo, Cx, Misbehavior};
use alloc::format;
use alloc::vec::Vec;
use bytes::Bytes;
use core::time::Duration;
use polypeer_engine::{ConnectionId, Overflow, Stock, Stocks, Time, Useful};
use ranges::{Brought, PATIENCE, Ranges};

/// Values that the ledger is given before it answered: it closes them in batches, and one that is wrong takes those
/// behind it along. One range may go beyond.
const CLOSING_MAX: usize = 40;
/// Answers of one peer that may come too late without blame.
const LATE_MAX: u32 = 8;
/// When consensus shows that we are behind, peers are asked this often at most.
const BEHIND_PAUSE: Duration = Duration::from_secs(1);

/// The sync.
#[derive(Debug)]
pub(crate) struct Sync {
    ranges: Ranges,
    // The first ledger that the ledger was not given.
    next: i64,
    // Values that it was given and has not answered.
    closing: usize,
    // Counted up when a value proves wrong: what the ledger says of those behind it means nothing.
    run: u64,
    // Whether it still has some of those: until it answered them it is given nothing.
    is_settling: bool,
    // When everyone was asked last.
    probed: Option<Time>,
    // Whether ledgers came this way and more are on theirs, and whether the ledger was told so.
    has_closed: bool,
    is_told: bool,
    // When the last ledger closed, or everyone was asked.
    moved: Time,
    // The ledger cannot go on, and the operator was told.
    has_stopped: bool,
}

/// What one peer is to the sync.
#[derive(Debug, Default)]
pub(crate) struct Source {
    asked: Option<Asking>,
    // The highest ledger that it said it has.
    max_seq: i64,
    probation: Option<Time>,
    // Questions that were given up, whose answers may still come.
    late: u32,
}

/// A request that is not answered.
#[derive(Clone, Copy, Debug)]
struct Asking {
    begin: i64,
    end: i64,
    // Whether the peer said that it has these.
    is_promised: bool,
}

/// What is needed to ask a peer that is in the table.
#[derive(Clone, Copy, Debug)]
struct Asker {
    now: Time,
    unix_micros: i64,
    chain_id: i64,
}

impl Asker {
    fn ask(self, active: &mut Active, (begin, end): (i64, i64)) -> Bytes {
        let is_promised = active.source.max_seq >= end;
        active.source.asked = Some(Asking { begin, end, is_promised });
        let body = GetLedgers { begin, end, timestamp: self.unix_micros, chain_id: self.chain_id };
        active.line.request(Kind::Ledgers, &body.encode())
    }
}

impl Source {
    /// Whether it owes an answer.
    pub(crate) fn is_asked(&self) -> bool {
        self.asked.is_some()
    }

    fn is_free(&self, now: Time) -> bool {
        self.asked.is_none() && self.probation.is_none_or(|until| until <= now)
    }

    /// Not asked for a while. What it said it has counts no more.
    fn put_on_probation(&mut self, until: Time) {
        self.probation = Some(until);
        self.max_seq = 0;
    }
}

impl Sync {
    pub(crate) fn new(now: Time) -> Self {
        Self {
            ranges: Ranges::default(),
            next: i64::MAX,
            closing: 0,
            run: 0,
            is_settling: false,
            probed: None,
            has_closed: false,
            is_told: false,
            moved: now,
            has_stopped: false,
        }
    }

    pub(crate) fn stock(&self, stocks: &mut Stocks) {
        self.ranges.stock(stocks);
        stocks.push(Stock::kept("ledgers given to be closed", self.closing, CLOSING_MAX + LEDGERS_MAX));
    }

    fn may_ask(&self) -> bool {
        self.next < i64::MAX && !self.has_stopped
    }

    // A range for a peer that is free and ahead.
    fn choose(&mut self, now: Time, connection: ConnectionId, source: &Source) -> Option<(i64, i64)> {
        if !self.may_ask() || !source.is_free(now) {
            return None;
        }
        let range = self.ranges.choose(now, self.next, source.max_seq)?;
        self.ranges.asked(now, range, connection);
        Some(range)
    }
}

/// Asking.
impl Bumo {
    fn asker(&self, cx: &Cx<'_>) -> Asker {
        Asker { now: cx.time(), unix_micros: unix_micros(cx), chain_id: self.config.chain_id }
    }

    fn send_question(&self, cx: &mut Cx<'_>, connection: ConnectionId, frame: Bytes) {
        cx.send(connection, frame, Overflow::Close);
        let due = cx.time() + self.config.answer_timeout();
        cx.peer_alarm(connection, Alarm::Ledgers, due);
    }

    /// A peer became active: it is asked soon whether it is ahead.
    pub(crate) fn meet_source(&self, cx: &mut Cx<'_>, connection: ConnectionId) {
        let at = cx.time() + self.config.settling();
        cx.peer_alarm(connection, Alarm::Meet, at);
    }

    /// Asks a peer for the next ledger, to learn whether it is ahead.
    pub(crate) fn probe(&mut self, cx: &mut Cx<'_>, connection: ConnectionId, active: &mut Active) {
        let asker = self.asker(cx);
        if self.sync.may_ask() && active.source.is_free(asker.now) {
            let frame = asker.ask(active, (self.sync.next, self.sync.next));
            self.send_question(cx, connection, frame);
        }
    }

    /// Asks everyone in the table for the next ledger, to learn who is ahead.
    pub(crate) fn probe_all(&mut self, cx: &mut Cx<'_>) {
        let asker = self.asker(cx);
        for connection in cx.connections() {
            let Some(active) = active_mut(cx, connection) else { continue };
            if self.sync.may_ask() && active.source.is_free(asker.now) {
                let frame = asker.ask(active, (self.sync.next, self.sync.next));
                self.send_question(cx, connection, frame);
            }
        }
        self.sync.probed = Some(asker.now);
        self.moved(cx);
    }

    /// Consensus speaks of ledgers that we do not have.
    pub(crate) fn is_behind(&mut self, cx: &mut Cx<'_>) {
        if self.sync.probed.is_none_or(|probed| cx.time() >= probed + BEHIND_PAUSE) {
            self.probe_all(cx);
        }
    }

    /// No ledger may have closed for long: then everyone is asked.
    pub(crate) fn poll(&mut self, cx: &mut Cx<'_>) {
        let due = self.sync.moved + self.config.poll();
        if due > cx.time() {
            cx.alarm(Alarm::Poll, due);
        } else {
            self.probe_all(cx);
        }
    }

    fn moved(&mut self, cx: &mut Cx<'_>) {
        self.sync.moved = cx.time();
        let due = self.sync.moved + self.config.poll();
        cx.alarm(Alarm::Poll, due);
    }

    /// Asks everyone in the table who is free and ahead for what is not asked for yet.
    pub(crate) fn spread(&mut self, cx: &mut Cx<'_>) {
        let asker = self.asker(cx);
        for connection in cx.connections() {
            let Some(active) = active_mut(cx, connection) else { continue };
            if let Some(range) = self.sync.choose(asker.now, connection, &active.source) {
                let frame = asker.ask(active, range);
                self.send_question(cx, connection, frame);
            }
        }
        if self.sync.ranges.is_waiting() {
            cx.alarm(Alarm::Spread, asker.now + PATIENCE);
        }
        self.tell_whether_behind(cx);
    }

    // While ledgers come this way, and proved right, the ledger need not propose any. That a peer only says it has more
    // counts for nothing: it could keep a validator from its turn.
    fn tell_whether_behind(&mut self, cx: &mut Cx<'_>) {
        let sync = &mut self.sync;
        sync.has_closed &= sync.closing > 0 || !sync.ranges.is_empty();
        if sync.is_told != sync.has_closed {
            sync.is_told = sync.has_closed;
            // Not answered.
            cx.ask(Request::CatchingUp(sync.is_told));
        }
    }

    // The same for one whose own handler runs.
    fn ask_more(&mut self, cx: &mut Cx<'_>, connection: ConnectionId, active: &mut Active) {
        let asker = self.asker(cx);
        if let Some(range) = self.sync.choose(asker.now, connection, &active.source) {
            let frame = asker.ask(active, range);
            self.send_question(cx, connection, frame);
        }
    }

    /// A peer did not answer in time.
    pub(crate) fn on_ledgers_late(&mut self, cx: &mut Cx<'_>, connection: ConnectionId, active: &mut Active) {
        let Some(asking) = active.source.asked.take() else { return };
        active.source.late = active.source.late.saturating_add(1).min(LATE_MAX);
        self.sync.ranges.lost(asking.begin, connection, true);
        if asking.is_promised {
            active.source.put_on_probation(cx.time() + self.config.probation());
        }
        self.spread(cx);
    }

    /// A peer is gone: others are asked for what it was.
    pub(crate) fn forget_source(&mut self, cx: &mut Cx<'_>, connection: ConnectionId, source: Option<&Source>) {
        match source {
            Some(Source { asked: Some(asking), .. }) => self.sync.ranges.lost(asking.begin, connection, false),
            Some(_) => return,
            // A conviction took what was known of it.
            None => self.sync.ranges.lost_all(connection),
        }
        self.spread(cx);
    }
}

/// Answers.
impl Bumo {
    /// A LEDGERS answer.
    pub(crate) fn on_ledgers(
        &mut self,
        cx: &mut Cx<'_>,
        connection: ConnectionId,
        active: &mut Active,
        data: Data<'_>,
    ) -> Result<(), Misbehavior> {
        // What it brings is kept, and borrows from one buffer.
        let data = data.keep();
        let Ok(answer) = Ledgers::decode(&data) else {
            cx.slip(connection, Misbehavior::Malformed(Kind::Ledgers));
            return Ok(());
        };
        if answer.chain_id != self.config.chain_id || answer.values.is_empty() {
            self.pass_over(cx, connection);
            return Ok(());
        }
        let Some(asking) = active.source.asked else {
            self.on_unasked(cx, connection, &mut active.source);
            return Ok(());
        };
        let ledgers = read(&data, &answer, asking)?;
        let Some(ledgers) = ledgers else {
            if active.source.late > 0 {
                // What was given up before comes now.
                active.source.late -= 1;
                return Ok(());
            }
            active.source.asked = None;
            cx.cancel_peer_alarm(connection, Alarm::Ledgers);
            self.sync.ranges.lost(asking.begin, connection, false);
            active.source.put_on_probation(cx.time() + self.config.probation());
            cx.slip(connection, Misbehavior::OtherLedgers);
            self.spread(cx);
            return Ok(());
        };
        active.source.asked = None;
        cx.cancel_peer_alarm(connection, Alarm::Ledgers);
        active.source.max_seq = answer.max_seq;
        active.ledger = Some(answer.max_seq);
        if asking.begin >= self.sync.next {
            let brought = Brought { from: connection, begin: asking.begin, ledgers };
            self.sync.ranges.came(asking.end, brought);
        }
        self.ask_more(cx, connection, active);
        self.hand_over(cx);
        Ok(())
    }

    fn on_unasked(&self, cx: &mut Cx<'_>, connection: ConnectionId, source: &mut Source) {
        if source.late > 0 {
            source.late -= 1;
        } else {
            cx.slip(connection, Misbehavior::UnaskedLedgers);
        }
    }

    // Gives the ledger what has its turn.
    fn hand_over(&mut self, cx: &mut Cx<'_>) {
        while !self.sync.is_settling
            && self.sync.closing < CLOSING_MAX
            && let Some(Brought { from, begin, ledgers }) = self.sync.ranges.take(self.sync.next)
        {
            for (seq, (value, proof)) in (begin..).zip(ledgers) {
                if seq < self.sync.next {
                    continue;
                }
                self.sync.next = seq.saturating_add(1);
                self.sync.closing += 1;
                let run = self.sync.run;
                self.ask_ledger(cx, Request::Close { value, proof }, Asked::Sync { from, run });
            }
        }
    }

    /// The ledger closed what a peer brought, or did not.
    pub(crate) fn on_synced(&mut self, cx: &mut Cx<'_>, from: ConnectionId, run: u64, closed: Result<Tip, CloseError>) {
        self.sync.closing = self.sync.closing.saturating_sub(1);
        match closed {
            Ok(tip) => {
                cx.useful(from, Useful::Block);
                self.sync.has_closed = true;
                self.on_tip(cx, tip);
            }
            Err(CloseError::NotNext) => {}
            Err(error) if run == self.sync.run => self.on_not_closed(cx, from, error),
            Err(_) => {}
        }
        if self.sync.closing == 0 {
            // What failed, and what stood behind it, is asked for again.
            self.sync.is_settling = false;
            self.sync.next = self.tip.as_ref().map_or(i64::MAX, |tip| tip.seq.saturating_add(1));
        }
        self.hand_over(cx);
        self.spread(cx);
    }

    fn on_not_closed(&mut self, cx: &mut Cx<'_>, from: ConnectionId, error: CloseError) {
        self.sync.run += 1;
        self.sync.is_settling = true;
        match error {
            CloseError::NotNext => {}
            CloseError::Malformed | CloseError::TooLarge | CloseError::PreviousProof(_) | CloseError::Proof(_) => {
                cx.convict(from, Misbehavior::InvalidLedger);
            }
            // That its proof is right is not known, nor that it is wrong: another chain, or rules newer than ours.
            CloseError::PreviousHash | CloseError::Upgrade => {
                let until = cx.time() + self.config.probation();
                if let Some(active) = active_mut(cx, from) {
                    active.source.put_on_probation(until);
                }
                cx.slip(from, Misbehavior::OtherLedgers);
            }
            CloseError::Validators | CloseError::Store => self.stop(cx, error),
        }
    }

    /// What was agreed on was not closed: without blame, for most validators want it so.
    pub(crate) fn on_agreed_not_closed(&mut self, cx: &mut Cx<'_>, error: CloseError) {
        match error {
            CloseError::Validators | CloseError::Store => self.stop(cx, error),
            // It came by sync meanwhile.
            CloseError::NotNext => {}
            // It may come by sync, from whoever has it.
            _ => self.is_behind(cx),
        }
    }

    /// The ledger cannot go on: nothing more is asked for, and the operator is told.
    fn stop(&mut self, cx: &mut Cx<'_>, error: CloseError) {
        if core::mem::replace(&mut self.sync.has_stopped, true) {
            return;
        }
        let seq = self.tip.as_ref().map_or(0, |tip| tip.seq.saturating_add(1));
        cx.note(match error {
            CloseError::Validators => {
                format!("stopped before ledger {seq}: it changes the validators in a way that cannot be verified")
            }
            _ => format!("stopped before ledger {seq}: it cannot be stored"),
        });
    }

    /// The tip moved, whoever moved it.
    pub(crate) fn sync_to(&mut self, cx: &mut Cx<'_>, seq: i64) {
        let next = seq.saturating_add(1);
        self.sync.next = if self.sync.next == i64::MAX { next } else { self.sync.next.max(next) };
        self.sync.ranges.forget_below(self.sync.next);
        self.moved(cx);
    }
}

/// The values of an answer, each with its proof; nothing when they are not those that were asked for.
///
/// The proof of a value stands in the next one, that of the last beside them.
fn read(data: &Bytes, answer: &Ledgers<'_>, asking: Asking) -> Result<Option<Vec<(Bytes, Bytes)>>, Misbehavior> {
    let mut ledgers: Vec<(Bytes, Bytes)> = Vec::with_capacity(answer.values.len());
    let mut seq = asking.begin;
    for bytes in &answer.values {
        let value = ConsensusValue::decode(bytes).map_err(|_| Misbehavior::InvalidLedger)?;
        if value.ledger_seq != seq {
            return Ok(None);
        }
        if let Some((_, proof)) = ledgers.last_mut() {
            *proof = data.slice_ref(value.previous_proof);
        }
        ledgers.push((data.slice_ref(bytes), Bytes::new()));
        seq = seq.saturating_add(1);
    }
    if let Some((_, proof)) = ledgers.last_mut() {
        *proof = data.slice_ref(answer.proof);
    }
    Ok((seq == asking.end.saturating_add(1)).then_some(ledgers))
}
