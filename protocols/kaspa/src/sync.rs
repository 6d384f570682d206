//! Catches up: the flow IBD, one peer at a time (Kaspa spec, section 4.6).
//!
//! ```text
//!   a relayed block is far ahead
//!     │
//!     ▼  RequestIBDChainBlockLocator, zooming in until the highest block of the peer's chain that is held is known
//!   Negotiating ── nothing shared ──► Importing: proof, trusted blocks; after the headers: lanes, outputs; after the
//!     │                                         bodies it replaces what is held
//!     │  RequestHeaders from there to the peer's sink, a word after each message
//!     ▼
//!   Headers
//!     │  RequestAntipast, unless the block that began it is there by now
//!     ▼
//!   Antipast
//!     │  RequestBlockBodies for what the ledger lacks, oldest first  ◄── and before, when the peer's pruning point is
//!     ▼                                         one whose body is not held: Importing on top of our headers
//!   Bodies ──► done: orphans and what was announced meanwhile have their turn
//! ```
//!
//! Headers and bodies are durable soon after they come, and what is imported stage by stage, so that another peer, or
//! the same after a restart, goes on where this one stopped. A peer whose pruning point moves meanwhile is asked anew what we
//! share, and what is of the new one is fetched.

mod bodies;
mod headers;
mod import;
mod negotiation;

use crate::handshake::ready_mut;
use crate::ledger::{BlockOutcome, Fault, Hash, Import, Request};
use crate::questions::Asked;
use crate::wire::{self, Envelope, Kind};
use crate::{Alarm, Cx, Kaspa, Misbehavior, Peer, Ready};
use bodies::Bodies;
use core::time::Duration;
use headers::HeadersStage;
use import::{Importing, Imports};
use negotiation::Negotiation;
use polypeer_engine::{ConnectionId, Overflow, Stock, Stocks, Time};

/// While others wait to be caught up with, a source has to bring so much in the time that it is waited for: a modem's
/// 16 KiB a second. Else whoever brings one header every two minutes could hold a node back for ever.
const PACE_BYTES_MIN: usize = 1 << 20;
const PACE_TIME: Duration = Duration::from_secs(60);

/// How often a peer's pruning point may move while we catch up with it: twice a day it does on the main network.
const MOVES_MAX: u8 = 4;

/// The sync that runs, if one does.
#[derive(Debug, Default)]
pub(crate) struct Sync {
    pub(crate) run: Option<Run>,
    // Counted, so that late answers of the ledger are told from those of the run.
    pub(crate) number: u64,
}

/// A sync with one peer.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) peer: ConnectionId,
    /// The block that began it.
    pub(crate) relay_block: Hash,
    /// The state that is imported; nothing when what is held is gone on with.
    pub(crate) imports: Option<Imports>,
    /// The peer's pruning point, which is caught up with once the headers are there.
    pub(crate) catches_up: Option<Hash>,
    /// How often the peer's pruning point has moved under way.
    pub(crate) moves: u8,
    pub(crate) stage: Stage,
    pace: Pace,
}

/// How fast the source is.
#[derive(Debug)]
struct Pace {
    // Since when it is waited for, how long it was before, and what it brought in that time.
    since: Time,
    waited: Duration,
    bytes: usize,
}

impl Pace {
    fn new(since: Time) -> Self {
        Self { since, waited: Duration::ZERO, bytes: 0 }
    }

    // The source has brought something. Whether it was too little for the time.
    fn adds(&mut self, now: Time, bytes: usize) -> bool {
        self.waited += now.since(self.since);
        self.bytes += bytes;
        self.since = now;
        if self.waited < PACE_TIME {
            return false;
        }
        core::mem::replace(self, Self::new(now)).bytes < PACE_BYTES_MIN
    }
}

/// How far it is.
#[derive(Debug)]
pub(crate) enum Stage {
    /// What do we share? Becomes [`Stage::Headers`].
    Negotiating(Negotiation),
    /// Headers up to the peer's sink. Becomes [`Stage::Antipast`] or [`Stage::Bodies`].
    Headers(HeadersStage),
    /// Headers between the peer's sink and the block that began it. Becomes [`Stage::Bodies`].
    Antipast(HeadersStage),
    /// Parts of a pruned state. Becomes [`Stage::Headers`], and after those once more [`Stage::Bodies`].
    Importing(Importing),
    /// Bodies. Becomes nothing: it is done.
    Bodies(Bodies),
}

impl Stage {
    // Whether the peer has the next word; else the ledger has it. How long it may take is what the alarm was set for.
    fn is_owed(&self) -> bool {
        match self {
            Self::Negotiating(negotiation) => negotiation.is_open(),
            Self::Headers(stage) | Self::Antipast(stage) => stage.is_owed(),
            Self::Importing(importing) => importing.is_owed(),
            Self::Bodies(bodies) => bodies.is_owed(),
        }
    }
}

impl Sync {
    pub(crate) fn is_running(&self) -> bool {
        self.run.is_some()
    }

    pub(crate) fn is_with(&self, connection: ConnectionId) -> bool {
        self.run.as_ref().is_some_and(|run| run.peer == connection)
    }

    pub(crate) fn stock(&self, stocks: &mut Stocks) {
        let (wanted, max) = match self.run.as_ref().map(|run| &run.stage) {
            Some(Stage::Bodies(bodies)) => (bodies.len(), bodies::LISTED_MAX as usize),
            _ => (0, 0),
        };
        stocks.push(Stock::of_peers("bodies on their way", wanted, max));
    }
}

impl Kaspa {
    /// A block came whose parents are not held, and that is not near: its peer is ahead.
    pub(crate) fn begin_sync(&mut self, cx: &mut Cx<'_>, connection: ConnectionId, relay_block: Hash) {
        if self.sync.is_running() {
            if let Some(ready) = ready_mut(cx, connection) {
                ready.announced.missed = Some(relay_block);
            }
            return;
        }
        if ready_mut(cx, connection).is_none() {
            return;
        }
        self.sync.number += 1;
        let stage = Stage::Negotiating(Negotiation::default());
        let pace = Pace::new(cx.time());
        let run = Run { peer: connection, relay_block, imports: None, catches_up: None, moves: 0, stage, pace };
        self.sync.run = Some(run);
        cx.ask(Request::CatchingUp(true));
        cx.set_phase(connection, wire::SYNCING);
        cx.note(alloc::format!("catching up with connection {connection}"));
        self.ask_chain_locator(cx, connection, None, self.config.answer_timeout);
    }

    /// The sync is over, done or not.
    pub(crate) fn end_sync(&mut self, cx: &mut Cx<'_>, is_done: bool) {
        let Some(run) = self.sync.run.take() else { return };
        cx.cancel_alarm(Alarm::Sync);
        // What is still on its way from a source that was broken off may be long.
        if is_done {
            cx.set_phase(run.peer, wire::OPEN);
        }
        let broken_off = (!is_done).then(|| cx.time());
        if let Some(ready) = ready_mut(cx, run.peer) {
            ready.broken_off = broken_off;
        }
        cx.ask(Request::CatchingUp(false));
        if is_done {
            // What is staged is of no use to who is up to date; until then another peer may go on with it.
            if self.is_nearly_synced(cx) {
                cx.ask(Request::Import(Import::Abandon));
            }
            cx.note(alloc::format!("caught up with connection {}", run.peer));
            if let Some(sink) = self.state.map(|state| state.sink.hash) {
                self.announce_block(cx, sink);
            }
            self.look_at_orphans(cx);
        }
        self.look_at_missed(cx);
    }

    // What was announced while the sync ran has its turn now, and may begin the next.
    fn look_at_missed(&mut self, cx: &mut Cx<'_>) {
        for connection in cx.connections() {
            let missed = ready_mut(cx, connection).and_then(|ready| ready.announced.missed.take());
            if let Some(hash) = missed {
                self.with_announced(cx, connection, |announced| announced.again(hash));
            }
        }
    }

    /// A message of the sync's: the table.
    pub(crate) fn on_sync_message(
        &mut self,
        cx: &mut Cx<'_>,
        connection: ConnectionId,
        ready: &Ready,
        envelope: Envelope,
    ) -> Result<(), Misbehavior> {
        let kind = envelope.kind;
        if self.sync.is_with(connection) && self.on_import_message(cx, connection, ready.version, &envelope)? {
            return Ok(());
        }
        let stage = self.sync.run.as_ref().filter(|run| run.peer == connection).map(|run| &run.stage);
        match (stage, kind) {
            (Some(Stage::Negotiating(negotiation)), Kind::IbdChainBlockLocator) if negotiation.is_open() => {
                self.on_chain_locator(cx, connection, &envelope.body)
            }
            (Some(Stage::Headers(stage) | Stage::Antipast(stage)), Kind::BlockHeaders) if stage.takes_headers() => {
                self.on_headers(cx, connection, &envelope.body)
            }
            (Some(Stage::Headers(stage) | Stage::Antipast(stage)), Kind::DoneHeaders) if stage.is_open() => {
                self.on_done_headers(cx, connection)
            }
            _ if ready.broken_off.is_some_and(|at| cx.time() < at + self.config.answer_timeout) => Ok(()),
            _ => {
                // Today's nodes keep it, and it spoils the next exchange of its kind.
                cx.slip(connection, Misbehavior::Unasked(kind));
                Ok(())
            }
        }
    }

    /// An answer of the ledger's to the run that it was asked for.
    pub(crate) fn is_of_run(&self, number: u64) -> bool {
        self.sync.run.is_some() && self.sync.number == number
    }

    /// Puts a question of the run's to the ledger.
    pub(crate) fn ask_for_sync(&mut self, cx: &mut Cx<'_>, request: Request) {
        let is_import = self.sync.run.as_ref().is_some_and(|run| run.imports.is_some());
        let request = if is_import { import::staged(request) } else { request };
        let number = self.sync.number;
        self.ask_ledger(cx, request, Asked::Sync(number));
    }

    /// The peer of the sync has so long for its next word.
    pub(crate) fn sync_due(&self, cx: &mut Cx<'_>, wait: Duration) {
        cx.alarm(Alarm::Sync, cx.time() + wait);
    }

    /// The peer of the sync owes a word.
    pub(crate) fn on_sync_late(&mut self, cx: &mut Cx<'_>) {
        let Some(run) = &self.sync.run else { return };
        let limit = match &run.stage {
            Stage::Negotiating(negotiation) => negotiation.wait(),
            Stage::Importing(importing) => importing.limit(cx.time(), self.config.answer_timeout),
            _ => self.config.answer_timeout,
        };
        if !run.stage.is_owed() {
            return self.sync_due(cx, limit);
        }
        cx.convict(run.peer, Misbehavior::TimedOut(limit.as_secs()));
    }

    /// The source has brought so many bytes of headers or bodies.
    pub(crate) fn paces(&mut self, cx: &Cx<'_>, bytes: usize) -> Result<(), Misbehavior> {
        let Some(run) = &mut self.sync.run else { return Ok(()) };
        let is_slow = run.pace.adds(cx.time(), bytes);
        let waits = |(_, peer): (_, &Peer)| matches!(peer, Peer::Ready(ready) if ready.announced.missed.is_some());
        let is_late = is_slow && cx.peers().any(waits);
        if is_late { Err(Misbehavior::TimedOut(PACE_TIME.as_secs())) } else { Ok(()) }
    }

    /// What a header or body that the sync brought came to, when it was not taken.
    pub(crate) fn on_sync_fault(&mut self, cx: &mut Cx<'_>, fault: BlockOutcome) {
        let Some(run) = &self.sync.run else { return };
        let peer = run.peer;
        if run.imports.as_ref().is_some_and(Imports::stands_on_anothers) && !is_surely_of_bearer(&fault) {
            return self.give_up_import(cx);
        }
        match fault {
            BlockOutcome::Invalid(fault) => cx.convict(peer, Misbehavior::InvalidBlock(fault)),
            BlockOutcome::ParentsUnknown(_) => cx.convict(peer, Misbehavior::InvalidBlock(Fault::Parents)),
            BlockOutcome::NoRoom | BlockOutcome::TooOld | BlockOutcome::Accepted | BlockOutcome::Known => {
                self.end_sync(cx, false);
            }
        }
    }

    /// A peer is gone: a sync with it goes on with another.
    pub(crate) fn forget_sync(&mut self, cx: &mut Cx<'_>, connection: ConnectionId) {
        if self.sync.is_with(connection) {
            cx.note(alloc::format!("connection {connection} is gone before we caught up with it"));
            self.end_sync(cx, false);
        }
    }

    /// The peer's pruning point is another by now: what do we share, seen from there?
    fn asks_anew(&mut self, cx: &mut Cx<'_>, connection: ConnectionId) -> Result<(), Misbehavior> {
        let wait = self.config.answer_timeout;
        let Some(run) = &mut self.sync.run else { return Ok(()) };
        run.moves += 1;
        if run.moves > MOVES_MAX {
            return Err(Misbehavior::PruningPointMoved);
        }
        (run.imports, run.catches_up) = (None, None);
        run.stage = Stage::Negotiating(Negotiation::default());
        // What the ledger still says of the old one is nobody's concern.
        self.sync.number += 1;
        cx.note(alloc::format!("the pruning point of connection {connection} has moved"));
        self.ask_chain_locator(cx, connection, None, wait);
        Ok(())
    }

    pub(crate) fn send_to_sync(&mut self, cx: &mut Cx<'_>, connection: ConnectionId, kind: Kind, body: &[u8], id: u32) {
        if let Some(run) = &mut self.sync.run {
            run.pace.since = cx.time();
        }
        cx.send(connection, wire::pack(kind, body, id, 0), Overflow::Close);
    }
}

/// Whether a header or body is wrong whatever it stands on.
fn is_surely_of_bearer(fault: &BlockOutcome) -> bool {
    use Fault::{Malformed, MerkleRoot, NoBody, ProofOfWork, TimeTooFar, Version};
    matches!(fault, BlockOutcome::Invalid(Malformed | MerkleRoot | NoBody | ProofOfWork | TimeTooFar | Version))
}
