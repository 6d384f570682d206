//! Takes the stages of an import in their order (Kaspa spec, section 4.6.4), without those that are there.

use super::{Importing, Next, PROOF_TIME_MAX, Part, WHOLE_PROOF_TIME_MAX};
use crate::ledger::{Hash, Import, Progress, Request, State};
use crate::sync::{Negotiation, Stage};
use crate::wire::Kind;
use crate::{Cx, Kaspa};
use polypeer_engine::ConnectionId;

/// A state that is imported.
#[derive(Debug)]
pub(crate) struct Imports {
    /// The pruning point whose state it is.
    pub(in crate::sync) point: Hash,
    sink: Hash,
    /// Whether it is put on top of our headers.
    catches_up: bool,
    /// What is there already, and whether some of it came before this run.
    pub(super) there: Progress,
    pub(super) is_resumed: bool,
}

impl Imports {
    /// Whether these bodies are those at the pruning point that is caught up with.
    pub(in crate::sync) fn ends_with(&self, of: Hash) -> bool {
        self.catches_up && of == self.point
    }

    /// Whether what comes now is judged by trusted blocks that another peer may have brought.
    pub(in crate::sync) fn stands_on_anothers(&self) -> bool {
        self.is_resumed && !self.catches_up
    }
}

impl Kaspa {
    /// The peer's chain is to be believed by its proof.
    pub(in crate::sync) fn begin_import(&mut self, cx: &mut Cx<'_>, connection: ConnectionId, sink: Hash, point: Hash) {
        cx.note(alloc::format!("importing the pruned state of connection {connection}"));
        self.begins(cx, sink, point, false);
    }

    /// The peer's pruning point is to be ours, on top of our headers.
    pub(in crate::sync) fn begin_catch_up(
        &mut self,
        cx: &mut Cx<'_>,
        connection: ConnectionId,
        sink: Hash,
        point: Hash,
    ) {
        cx.note(alloc::format!("catching up with the pruning point {point} of connection {connection}"));
        self.begins(cx, sink, point, true);
    }

    fn begins(&mut self, cx: &mut Cx<'_>, sink: Hash, point: Hash, catches_up: bool) {
        let Some(run) = &mut self.sync.run else { return };
        run.imports = Some(Imports { point, sink, catches_up, there: Progress::default(), is_resumed: false });
        run.stage = Stage::Importing(Importing::new(Part::Beginning));
        let piece = if catches_up { Import::CatchUp { point, sink } } else { Import::Begin(point) };
        self.hand_in(cx, piece);
        self.sync_due(cx, self.config.answer_timeout);
    }

    // The ledger says what it has.
    pub(super) fn on_begun(&mut self, cx: &mut Cx<'_>, connection: ConnectionId, there: Progress) {
        let Some(imports) = self.imports() else { return };
        (imports.there, imports.is_resumed) = (there, there != Progress::default());
        let Imports { sink, point, catches_up, is_resumed, .. } = *imports;
        if is_resumed {
            cx.note(alloc::format!("going on with what is there of the pruned state at {point}"));
        }
        if catches_up {
            return self.begin_bodies(cx, point);
        }
        if !there.base {
            return self.begin_proof(cx, connection);
        }
        // Above its pruning point some headers may be here: which?
        if let Some(run) = &mut self.sync.run {
            run.stage = Stage::Negotiating(Negotiation::default());
            run.imports = Some(Imports { point, sink, catches_up, there, is_resumed });
        }
        self.ask_chain_locator(cx, connection, None, self.config.answer_timeout);
    }

    // What a fresh node believes the pruning point by, as far as it is not there.
    fn begin_proof(&mut self, cx: &mut Cx<'_>, connection: ConnectionId) {
        if self.imports().is_some_and(|imports| imports.there.proof) {
            return self.begin_points(cx, connection);
        }
        let until = Some((cx.time() + WHOLE_PROOF_TIME_MAX, WHOLE_PROOF_TIME_MAX));
        if let Some(run) = &mut self.sync.run {
            run.stage = Stage::Importing(Importing { until, ..Importing::new(Part::Proof) });
        }
        self.send_to_sync(cx, connection, Kind::RequestPruningPointProof, &[], 0);
        self.sync_due(cx, PROOF_TIME_MAX);
    }

    pub(super) fn begin_points(&mut self, cx: &mut Cx<'_>, connection: ConnectionId) {
        self.set_importing(Part::Points);
        self.send_to_sync(cx, connection, Kind::RequestPruningPointAndItsAnticone, &[], 0);
        self.sync_due(cx, self.config.answer_timeout);
    }

    /// All headers above the pruning point are there.
    pub(in crate::sync) fn on_import_headers(&mut self, cx: &mut Cx<'_>, connection: ConnectionId, sink: Hash) {
        if let Some(imports) = self.imports() {
            imports.sink = sink;
        }
        self.begin_state(cx, connection);
    }

    /// All bodies at the pruning point that is caught up with are there.
    pub(in crate::sync) fn on_bodies_at_point(&mut self, cx: &mut Cx<'_>, connection: ConnectionId) {
        self.begin_state(cx, connection);
    }

    // Lanes and outputs, as far as they are not there; then what follows.
    fn begin_state(&mut self, cx: &mut Cx<'_>, connection: ConnectionId) {
        let Some(imports) = self.imports() else { return };
        let Imports { sink, point, there, catches_up, .. } = *imports;
        match (there.lanes, there.outputs) {
            (false, _) => self.begin_lanes(cx, connection, point),
            (true, false) => self.begin_outputs(cx, connection, point),
            (true, true) if !catches_up => self.begin_bodies(cx, sink),
            (true, true) if there.base => self.finish_import(cx),
            (true, true) => self.begin_proof(cx, connection),
        }
    }

    // The ledger has judged a part.
    pub(super) fn on_part(&mut self, cx: &mut Cx<'_>, connection: ConnectionId, next: Next) {
        let Some(imports) = self.imports() else { return };
        match next {
            Next::OnBase => {
                imports.there.base = true;
                let Imports { sink, point, catches_up, .. } = *imports;
                if catches_up {
                    self.finish_import(cx);
                } else {
                    self.begin_headers(cx, connection, point, sink);
                }
            }
            Next::OnLanes => {
                imports.there.lanes = true;
                self.begin_state(cx, connection);
            }
            Next::OnOutputs => {
                imports.there.outputs = true;
                self.begin_state(cx, connection);
            }
            Next::Finish => {}
        }
    }

    // What is held is now what was imported. On top of our headers, bodies follow.
    pub(super) fn on_finished(&mut self, cx: &mut Cx<'_>, state: State) {
        self.on_state(cx, state);
        let Some(run) = &mut self.sync.run else { return };
        match run.imports.take() {
            Some(Imports { catches_up: true, sink, .. }) => self.begin_bodies(cx, sink),
            _ => self.end_sync(cx, true),
        }
    }

    /// What is staged does not hang together, by whose fault nobody knows.
    pub(in crate::sync) fn give_up_import(&mut self, cx: &mut Cx<'_>) {
        cx.note("what two peers brought of a pruned state does not fit together: it comes anew".into());
        cx.ask(Request::Import(Import::Abandon));
        self.end_sync(cx, false);
    }

    /// Everything is staged.
    pub(in crate::sync) fn finish_import(&mut self, cx: &mut Cx<'_>) {
        self.set_importing(Part::End(Next::Finish));
        self.hand_in(cx, Import::Finish);
    }
}
