//! Fetches headers: up to the peer's sink, then those between it and the block that began the sync (Kaspa spec, section
//! 4.6.5).

use super::{Run, Stage};
use crate::ledger::{BlockOutcome, Hash, Request, State, Status};
use crate::wire::{Items, Kind, TwoHashes};
use crate::{Cx, Kaspa, Misbehavior};
use alloc::vec::Vec;
use bytes::Bytes;
use polypeer_engine::ConnectionId;

/// Headers in one message: today's nodes send some thousand, this is what 20 MiB of the smallest could be.
const HEADERS_MAX: usize = 131_072;
/// Messages that the ledger has not judged while the peer is asked for more: one that it judges and one that waits.
const JUDGING_MAX: usize = 2;

/// Headers that come.
#[derive(Debug)]
pub(crate) struct HeadersStage {
    sink: Hash,
    // Whether more is to come.
    is_open: bool,
    // Whether the peer waits for our word.
    owes_next: bool,
    // Whether the one message that an antipast has is here.
    is_whole: bool,
    judging: usize,
}

impl HeadersStage {
    pub(super) fn is_open(&self) -> bool {
        self.is_open
    }

    pub(super) fn is_owed(&self) -> bool {
        self.is_open && !self.owes_next
    }

    // Whether headers may come: the peer has our word for them.
    pub(super) fn takes_headers(&self) -> bool {
        self.is_owed() && !self.is_whole
    }
}

impl Kaspa {
    /// The highest block that both hold is known.
    pub(super) fn begin_headers(&mut self, cx: &mut Cx<'_>, connection: ConnectionId, low: Hash, sink: Hash) {
        self.set_headers(cx, Stage::Headers, sink);
        let body = TwoHashes { low, high: sink }.encode();
        self.send_to_sync(cx, connection, Kind::RequestHeaders, &body, 0);
    }

    fn begin_antipast(&mut self, cx: &mut Cx<'_>, connection: ConnectionId, sink: Hash, context: Hash) {
        self.set_headers(cx, Stage::Antipast, sink);
        let body = TwoHashes { low: sink, high: context }.encode();
        self.send_to_sync(cx, connection, Kind::RequestAntipast, &body, 0);
    }

    fn set_headers(&mut self, cx: &mut Cx<'_>, stage: fn(HeadersStage) -> Stage, sink: Hash) {
        if let Some(run) = &mut self.sync.run {
            run.stage = stage(HeadersStage { sink, is_open: true, owes_next: false, is_whole: false, judging: 0 });
        }
        self.sync_due(cx, self.config.answer_timeout);
    }

    // The run, its stage, and whether it is the antipast's.
    fn headers(&mut self) -> Option<(&mut HeadersStage, bool)> {
        match &mut self.sync.run.as_mut()?.stage {
            Stage::Headers(stage) => Some((stage, false)),
            Stage::Antipast(stage) => Some((stage, true)),
            _ => None,
        }
    }

    /// BlockHeaders. The peer sends on after a word of ours, which it gets while the ledger still judges these.
    pub(crate) fn on_headers(
        &mut self,
        cx: &mut Cx<'_>,
        connection: ConnectionId,
        body: &Bytes,
    ) -> Result<(), Misbehavior> {
        let headers: Vec<Bytes> = Items::decode(body, HEADERS_MAX)?.iter().collect();
        let Some((stage, is_antipast)) = self.headers() else { return Ok(()) };
        stage.is_whole = is_antipast;
        if headers.is_empty() {
            return if is_antipast { Ok(()) } else { Err(Misbehavior::EmptyHeaders) };
        }
        stage.judging += 1;
        stage.owes_next = !is_antipast;
        self.ask_for_sync(cx, Request::TakeHeaders(headers));
        self.paces(cx, body.len())?;
        self.sync_due(cx, self.config.answer_timeout);
        self.ask_next(cx, connection);
        Ok(())
    }

    fn ask_next(&mut self, cx: &mut Cx<'_>, connection: ConnectionId) {
        let Some((stage, _)) = self.headers() else { return };
        if stage.owes_next && stage.judging < JUDGING_MAX {
            stage.owes_next = false;
            self.send_to_sync(cx, connection, Kind::RequestNextHeaders, &[], 0);
            self.sync_due(cx, self.config.answer_timeout);
        }
    }

    /// DoneHeaders.
    pub(crate) fn on_done_headers(&mut self, cx: &mut Cx<'_>, _: ConnectionId) -> Result<(), Misbehavior> {
        if let Some((stage, _)) = self.headers() {
            (stage.is_open, stage.owes_next) = (false, false);
        }
        self.look_at_headers(cx);
        Ok(())
    }

    /// The ledger has judged one message's headers.
    pub(crate) fn on_headers_taken(
        &mut self,
        cx: &mut Cx<'_>,
        connection: ConnectionId,
        fault: Option<BlockOutcome>,
        state: State,
    ) {
        self.on_state(cx, state);
        if let Some(fault) = fault {
            return self.on_sync_fault(cx, fault);
        }
        if let Some((stage, _)) = self.headers() {
            stage.judging = stage.judging.saturating_sub(1);
        }
        self.ask_next(cx, connection);
        self.look_at_headers(cx);
    }

    // When all headers are judged: is there what was wanted?
    fn look_at_headers(&mut self, cx: &mut Cx<'_>) {
        let Some(relay_block) = self.sync.run.as_ref().map(|run| run.relay_block) else { return };
        let Some((stage, _)) = self.headers() else { return };
        if !stage.is_open && stage.judging == 0 {
            let wanted = alloc::vec![stage.sink, relay_block];
            self.ask_for_sync(cx, Request::Statuses(wanted));
        }
    }

    // All headers are there.
    fn on_all_headers(&mut self, cx: &mut Cx<'_>, connection: ConnectionId, sink: Hash) {
        let Some(run) = &mut self.sync.run else { return };
        match (run.imports.is_some(), run.catches_up.take()) {
            (true, _) => self.on_import_headers(cx, connection, sink),
            (false, Some(point)) => self.begin_catch_up(cx, connection, sink, point),
            (false, None) => self.begin_bodies(cx, sink),
        }
    }

    /// The ledger says whether the peer's sink and the block that began the sync are held.
    pub(crate) fn on_headers_checked(&mut self, cx: &mut Cx<'_>, connection: ConnectionId, statuses: &[Status]) {
        let Some(Run { relay_block, .. }) = self.sync.run else { return };
        let Some((stage, is_antipast)) = self.headers() else { return };
        let sink = stage.sink;
        match statuses {
            [Status::Unknown | Status::Invalid, _] => cx.convict(connection, Misbehavior::SinkMissing),
            [_, Status::Invalid] => cx.convict(connection, Misbehavior::InvalidInv(relay_block)),
            [_, Status::Unknown] if is_antipast => cx.convict(connection, Misbehavior::RelayBlockMissing),
            [_, Status::Unknown] => self.begin_antipast(cx, connection, sink, relay_block),
            _ => self.on_all_headers(cx, connection, sink),
        }
    }
}
