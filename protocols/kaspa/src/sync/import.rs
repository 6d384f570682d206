//! Imports the state of a pruned network (Kaspa spec, sections 4.6.3, 4.6.4 and 4.6.6 to 4.6.9).
//!
//! With a peer whose chain shares no block with ours: proof, pruning points, trusted blocks, then, above them, what every
//! sync brings, with lanes and outputs before the bodies. Everything is staged by the ledger beside what is held, and
//! replaces it when it is whole.
//!
//! With a peer whose pruning point is one whose header is held and whose body is not: bodies at it, lanes, outputs, on
//! top of our headers; then, for those who will ask us for them, proof and trusted blocks. With that the pruning point
//! moves, and bodies above it come as in every sync.
//!
//! The ledger says what it has of a pruning point from before. Should what stands on another peer's trusted blocks be
//! found wrong, nobody knows who erred: nobody is blamed, and all of it comes anew.

mod course;
mod state;

pub(super) use course::Imports;

use super::Stage;
use crate::handshake::VERSION;
use crate::ledger::{Answer, Hash, Import, ImportFault, Imported, Request};
use crate::wire::{BlockWithTrustedData, CHUNK_ITEMS_MAX, Envelope, Items, Kind, ProofChunk, TrustedData};
use crate::{Cx, Kaspa, Misbehavior};
use alloc::vec::Vec;
use bytes::Bytes;
use core::time::Duration;
use polypeer_engine::{ConnectionId, Time};

/// The first part of a proof may take so long, and the whole (Kaspa spec, section 4.6.6).
const PROOF_TIME_MAX: Duration = Duration::from_secs(600);
const WHOLE_PROOF_TIME_MAX: Duration = Duration::from_secs(900);
/// All trusted blocks may take so long (Kaspa spec, section 4.6.7).
const WHOLE_TRUSTED_TIME_MAX: Duration = Duration::from_secs(240);
/// Bytes of a proof, and of the trusted blocks (Kaspa spec, sections 4.6.6 and 4.6.7).
const STREAM_BYTES_MAX: usize = 1 << 30;
/// Pruning points: one a finality period, of which there are two a day at most; this is for centuries.
const POINTS_MAX: usize = 1 << 20;
/// Blocks after which the peer waits for a word (Kaspa spec, section 4.6.7).
const BLOCKS_A_CREDIT: u64 = 99;
/// Pieces that the ledger has not judged while the peer is asked for more.
const JUDGING_MAX: usize = 2;
/// Levels that a proof may have (Kaspa spec, section 2.8).
const LEVELS_MAX: usize = 256;

/// A part of the import that streams in.
#[derive(Debug)]
pub(crate) struct Importing {
    part: Part,
    /// Bytes, messages or what the part counts by.
    bytes: usize,
    count: u64,
    blocks: Vec<Bytes>,
    /// The word that the peer waits for, while the ledger is behind.
    credit: Option<Kind>,
    judging: usize,
    /// By when the part has to be whole, and how long that is, where the whole has a time.
    until: Option<(Time, Duration)>,
}

/// Which part is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    /// Nothing: the ledger says what it has already.
    Beginning,
    /// Chunks of the proof, or the whole.
    Proof,
    /// Nothing: the ledger judges the proof.
    Judgement,
    /// The pruning points.
    Points,
    /// Chunks of trusted blocks, or the whole.
    Trusted,
    /// The blocks at the pruning point.
    Blocks,
    /// What the lanes add up to.
    Metadata,
    /// So many lanes more.
    Lanes(u64),
    /// Chunks of outputs.
    Outputs,
    /// Nothing: the ledger judges what came.
    End(Next),
}

/// What follows when the ledger has judged a part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    /// What comes after the blocks at the pruning point.
    OnBase,
    /// What comes after the lanes.
    OnLanes,
    /// What comes after the outputs.
    OnOutputs,
    /// Nothing.
    Finish,
}

impl Importing {
    fn new(part: Part) -> Self {
        Self { part, bytes: 0, count: 0, blocks: Vec::new(), credit: None, judging: 0, until: None }
    }

    pub(super) fn is_owed(&self) -> bool {
        self.credit.is_none() && !matches!(self.part, Part::Beginning | Part::Judgement | Part::End(_))
    }

    /// By when the next message must be there, if each may take so long and the whole part as long as it may.
    fn due(&self, now: Time, each: Duration) -> Time {
        let next = now + if self.part == Part::Proof && self.bytes == 0 { PROOF_TIME_MAX } else { each };
        self.until.map_or(next, |(until, _)| until.min(next))
    }

    /// Which time the peer has let go by.
    pub(super) fn limit(&self, now: Time, each: Duration) -> Duration {
        match self.until {
            Some((until, whole)) if until <= now => whole,
            _ if self.part == Part::Proof && self.bytes == 0 => PROOF_TIME_MAX,
            _ => each,
        }
    }

    fn becomes(&mut self, part: Part) {
        (self.part, self.bytes, self.count, self.until) = (part, 0, 0, None);
    }

    fn adds(&mut self, bytes: usize) -> Result<(), Misbehavior> {
        self.bytes += bytes;
        if self.bytes > STREAM_BYTES_MAX { Err(Misbehavior::Import(ImportFault::NoRoom)) } else { Ok(()) }
    }
}

/// The same question about what is staged.
pub(super) fn staged(request: Request) -> Request {
    Request::Import(match request {
        Request::TakeHeaders(headers) => Import::Headers(headers),
        Request::Statuses(hashes) => Import::Statuses(hashes),
        Request::MissingBodies { of, count_max } => Import::MissingBodies { of, count_max },
        Request::TakeBodies(bodies) => Import::Bodies(bodies),
        other => return other,
    })
}

impl Kaspa {
    fn imports(&mut self) -> Option<&mut Imports> {
        self.sync.run.as_mut()?.imports.as_mut()
    }

    fn importing(&mut self) -> Option<&mut Importing> {
        match &mut self.sync.run.as_mut()?.stage {
            Stage::Importing(importing) => Some(importing),
            _ => None,
        }
    }

    fn hand_in(&mut self, cx: &mut Cx<'_>, piece: Import) {
        if let Some(importing) = self.importing() {
            importing.judging += 1;
        }
        self.ask_for_sync(cx, Request::Import(piece));
    }

    /// A message of the import. Whether it was one.
    pub(super) fn on_import_message(
        &mut self,
        cx: &mut Cx<'_>,
        connection: ConnectionId,
        version: u32,
        envelope: &Envelope,
    ) -> Result<bool, Misbehavior> {
        let Some(importing) = self.importing() else { return Ok(false) };
        if importing.credit.is_some() {
            // The peer goes on without our word.
            return Ok(false);
        }
        let (part, body, is_whole) = (importing.part, &envelope.body, version < VERSION);
        match (part, envelope.kind) {
            (Part::Proof, Kind::PruningPointProof) if is_whole => self.on_whole_proof(cx, body)?,
            (Part::Proof, Kind::PruningPointProofChunk) if !is_whole => self.on_proof_chunk(cx, body)?,
            (Part::Proof, Kind::PruningPointProofChunksEnd) if !is_whole => self.on_proof_end(cx),
            (Part::Points, Kind::PruningPoints) => self.on_points(cx, body)?,
            (Part::Trusted, Kind::TrustedData) if is_whole => self.on_whole_trusted(cx, body)?,
            (Part::Trusted, Kind::TrustedDataChunk) if !is_whole => self.on_trusted(cx, body)?,
            (Part::Trusted, Kind::TrustedDataChunksEnd) if !is_whole => self.on_trusted_end(cx),
            (Part::Blocks, Kind::BlockWithTrustedDataV4) => self.on_trusted_block(cx, connection, body)?,
            (Part::Blocks, Kind::DoneBlocksWithTrustedData) => self.on_trusted_blocks_end(cx),
            (Part::Metadata, Kind::SmtMetadata) => self.on_metadata(cx, body)?,
            (Part::Lanes(left), Kind::SmtLaneChunk) => self.on_lanes(cx, connection, left, body)?,
            (Part::Outputs, Kind::PruningPointUtxoSetChunk) => self.on_outputs(cx, connection, body)?,
            (Part::Outputs, Kind::DonePruningPointUtxoSetChunks) => self.on_outputs_end(cx),
            (Part::Metadata | Part::Lanes(_) | Part::Outputs, Kind::UnexpectedPruningPoint) => {
                return self.asks_anew(cx, connection).map(|()| true);
            }
            _ => return Ok(false),
        }
        let (now, each) = (cx.time(), self.config.answer_timeout);
        let due = self.importing().map_or(now + each, |importing| importing.due(now, each));
        self.sync_due(cx, due.since(now));
        Ok(true)
    }

    // Levels go to the ledger from the highest down, as chunks come.
    fn on_whole_proof(&mut self, cx: &mut Cx<'_>, body: &Bytes) -> Result<(), Misbehavior> {
        let levels: Vec<Bytes> = Items::decode(body, LEVELS_MAX)?.iter().collect();
        for (level, headers) in (0..=u8::MAX).zip(levels).rev() {
            let headers = Items::decode(&headers, CHUNK_ITEMS_MAX)?.iter().collect();
            self.hand_in(cx, Import::Proof { level, headers });
        }
        self.on_proof_end(cx);
        Ok(())
    }

    fn on_proof_chunk(&mut self, cx: &mut Cx<'_>, body: &Bytes) -> Result<(), Misbehavior> {
        let ProofChunk { headers, level } = ProofChunk::decode(body)?;
        if let Some(importing) = self.importing() {
            importing.adds(body.len())?;
        }
        self.hand_in(cx, Import::Proof { level, headers: headers.iter().collect() });
        Ok(())
    }

    fn on_proof_end(&mut self, cx: &mut Cx<'_>) {
        if let Some(importing) = self.importing() {
            importing.becomes(Part::Judgement);
        }
        self.hand_in(cx, Import::ProofEnd);
    }

    // The ledger believes the proof. The state that is asked for later is that of the point which the chain locator named.
    fn on_proof_judged(&mut self, cx: &mut Cx<'_>, connection: ConnectionId, proven: Hash) {
        let Some(imports) = self.imports() else { return };
        if proven != imports.point {
            return self.asks_anew(cx, connection).unwrap_or_else(|moved| cx.convict(connection, moved));
        }
        imports.there.proof = true;
        self.begin_points(cx, connection);
    }

    fn on_points(&mut self, cx: &mut Cx<'_>, body: &Bytes) -> Result<(), Misbehavior> {
        let points = Items::decode(body, POINTS_MAX)?.iter().collect();
        self.hand_in(cx, Import::PruningPoints(points));
        if let Some(importing) = self.importing() {
            importing.becomes(Part::Trusted);
            importing.until = Some((cx.time() + WHOLE_TRUSTED_TIME_MAX, WHOLE_TRUSTED_TIME_MAX));
        }
        Ok(())
    }

    fn on_whole_trusted(&mut self, cx: &mut Cx<'_>, body: &Bytes) -> Result<(), Misbehavior> {
        let TrustedData { blocks, .. } = TrustedData::decode(body, CHUNK_ITEMS_MAX)?;
        self.hand_in(cx, Import::Trusted(blocks.iter().collect()));
        self.on_trusted_end(cx);
        Ok(())
    }

    fn on_trusted(&mut self, cx: &mut Cx<'_>, body: &Bytes) -> Result<(), Misbehavior> {
        let blocks = Items::decode(body, CHUNK_ITEMS_MAX)?;
        if blocks.is_empty() {
            return Err(Misbehavior::Import(ImportFault::Trusted));
        }
        if let Some(importing) = self.importing() {
            importing.adds(body.len())?;
        }
        self.hand_in(cx, Import::Trusted(blocks.iter().collect()));
        Ok(())
    }

    fn on_trusted_end(&mut self, cx: &mut Cx<'_>) {
        self.hand_in(cx, Import::TrustedEnd);
        if let Some(importing) = self.importing() {
            importing.becomes(Part::Blocks);
        }
    }

    // Handed in by as many as make a credit; the credit waits for the ledger.
    fn on_trusted_block(&mut self, cx: &mut Cx<'_>, connection: ConnectionId, body: &Bytes) -> Result<(), Misbehavior> {
        let BlockWithTrustedData(block) = BlockWithTrustedData::decode(body)?;
        let block = body.slice_ref(block);
        let Some(importing) = self.importing() else { return Ok(()) };
        importing.adds(body.len())?;
        importing.blocks.push(block);
        importing.count += 1;
        if importing.count.is_multiple_of(BLOCKS_A_CREDIT) {
            importing.credit = Some(Kind::RequestNextPruningPointAndItsAnticoneBlocks);
            self.hand_in_blocks(cx);
            self.give_credit(cx, connection);
        }
        Ok(())
    }

    fn hand_in_blocks(&mut self, cx: &mut Cx<'_>) {
        let blocks = self.importing().map(|importing| core::mem::take(&mut importing.blocks)).unwrap_or_default();
        if !blocks.is_empty() {
            self.hand_in(cx, Import::Blocks(blocks));
        }
    }

    fn on_trusted_blocks_end(&mut self, cx: &mut Cx<'_>) {
        self.hand_in_blocks(cx);
        self.hand_in(cx, Import::BlocksEnd);
        self.waits_for(Next::OnBase);
    }

    fn waits_for(&mut self, next: Next) {
        if let Some(importing) = self.importing() {
            importing.becomes(Part::End(next));
        }
    }

    fn give_credit(&mut self, cx: &mut Cx<'_>, connection: ConnectionId) {
        let Some(importing) = self.importing() else { return };
        if importing.judging < JUDGING_MAX
            && let Some(credit) = importing.credit.take()
        {
            self.send_to_sync(cx, connection, credit, &[], 0);
            self.sync_due(cx, self.config.answer_timeout);
        }
    }

    fn set_importing(&mut self, part: Part) {
        if let Some(run) = &mut self.sync.run {
            run.stage = Stage::Importing(Importing::new(part));
        }
    }

    /// The ledger says something of what is staged: the rooms of every sync hear it as always.
    pub(crate) fn on_staged(&mut self, cx: &mut Cx<'_>, connection: ConnectionId, imported: Imported) {
        let Some(state) = self.state else { return };
        let answer = match imported {
            Imported::HeadersTaken(fault) => Answer::HeadersTaken { taken: 0, fault, state },
            Imported::Statuses(statuses) => Answer::Statuses(statuses),
            Imported::MissingBodies(missing) => Answer::MissingBodies(missing),
            Imported::BodiesTaken(fault) => Answer::BodiesTaken { taken: 0, fault, state },
            Imported::Branch(branch) => return self.on_branch(cx, connection, branch),
            piece => return self.on_imported(cx, connection, piece),
        };
        self.on_sync_answer(cx, answer);
    }

    /// The ledger has judged a piece.
    fn on_imported(&mut self, cx: &mut Cx<'_>, connection: ConnectionId, imported: Imported) {
        let (fault, proven, there) = match imported {
            Imported::Taken(taken) => (taken.err(), None, None),
            Imported::Proof(proof) => (proof.err(), proof.ok(), None),
            Imported::Begun(there) => (there.err(), None, there.ok()),
            Imported::Finished(Ok(state)) => return self.on_finished(cx, state),
            Imported::Finished(Err(fault)) => (Some(fault), None, None),
            _ => return,
        };
        match fault {
            Some(fault) if fault.is_of_sender() => return self.on_import_fault(cx, connection, fault),
            Some(fault) => {
                cx.note(alloc::format!("the import comes to nothing: {}", fault.text()));
                return self.end_sync(cx, false);
            }
            None => {}
        }
        let Some(importing) = self.importing() else { return };
        importing.judging = importing.judging.saturating_sub(1);
        match (importing.part, proven, there) {
            (Part::Beginning, _, Some(there)) => self.on_begun(cx, connection, there),
            (Part::Judgement, Some(proven), _) => self.on_proof_judged(cx, connection, proven),
            (Part::End(next), ..) if importing.judging == 0 => self.on_part(cx, connection, next),
            _ => self.give_credit(cx, connection),
        }
    }

    // The proof stands alone, and so do lanes and outputs; trusted blocks are judged with the proof.
    fn on_import_fault(&mut self, cx: &mut Cx<'_>, connection: ConnectionId, fault: ImportFault) {
        let is_with_proof = matches!(fault, ImportFault::Trusted | ImportFault::Blocks);
        let is_resumed = self.imports().is_some_and(|imports| imports.is_resumed && imports.there.proof);
        if is_with_proof && is_resumed {
            return self.give_up_import(cx);
        }
        cx.convict(connection, Misbehavior::Import(fault));
    }
}
