//! Serves what a fresh node needs of a pruned network, as it was imported: proof, pruning points, trusted blocks, lanes,
//! outputs (Kaspa spec, sections 4.6.6 to 4.6.9). Long answers wait for the peer's word every so often; each kind has a
//! stream of its own, one at a time.

use super::answers::{give, headers};
use super::{Job, Serving};
use crate::handshake::VERSION;
use crate::ledger::{Hash, Keep, KeptPage, Request};
use crate::misbehavior::Refused;
use crate::wire::{BlockWithTrustedData, Envelope, Items, Kind, OneHash, ProofChunk, SmtMetadata, TrustedData};
use crate::{Cx, Kaspa, Misbehavior, Ready};
use alloc::vec::Vec;
use bytes::Bytes;
use polypeer_engine::ConnectionId;
use polypeer_engine::kit::cost::Class;

/// Bytes of one message, as kaspad sends them (Kaspa spec, sections 4.6.6 and 4.6.7).
const CHUNK_BYTES: u32 = 16 << 20;
/// Items of one such message.
const CHUNK_ITEMS: u32 = 1 << 17;
/// Blocks are sent one by one; so many bytes of them are read at once.
const BLOCKS_BYTES: u32 = 2 << 20;
/// Blocks after which the peer's word is awaited (Kaspa spec, section 4.6.7).
const BLOCKS_A_CREDIT: u64 = 99;
/// Lanes in a chunk, and chunks after which its word is awaited (Kaspa spec, section 4.6.8).
const LANES_A_CHUNK: u32 = 4_096;
const LANE_CHUNKS_A_CREDIT: u64 = 10;
/// Outputs in a chunk, and chunks after which its word is awaited (Kaspa spec, section 4.6.9).
const OUTPUTS_A_CHUNK: u32 = 1_000;
const OUTPUT_CHUNKS_A_CREDIT: u64 = 99;

/// A long answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Long {
    /// Pruning points, trusted blocks, blocks.
    Anticone,
    /// Lanes.
    Lanes,
    /// Outputs.
    Outputs,
}

/// How far it is.
#[derive(Debug)]
pub(crate) struct Stream {
    long: Long,
    id: u32,
    part: Keep,
    /// What version 10 wants whole.
    gathered: Vec<Bytes>,
    /// Messages since the last word, by what the word is counted.
    sent: u64,
    /// Whether the peer's word is awaited, and whether nothing but the end comes after it.
    waits: bool,
    is_over: bool,
}

impl Long {
    /// What begins it, and the word that it waits for.
    fn kinds(self) -> (Kind, Kind) {
        match self {
            Self::Anticone => {
                (Kind::RequestPruningPointAndItsAnticone, Kind::RequestNextPruningPointAndItsAnticoneBlocks)
            }
            Self::Lanes => (Kind::RequestPruningPointSmtState, Kind::RequestNextPruningPointSmtChunk),
            Self::Outputs => (Kind::RequestPruningPointUtxoSet, Kind::RequestNextPruningPointUtxoSetChunk),
        }
    }

    fn first(self) -> Keep {
        match self {
            Self::Anticone => Keep::PruningPoints,
            Self::Lanes => Keep::LanesBegin,
            Self::Outputs => Keep::Outputs(0),
        }
    }
}

impl Kaspa {
    /// A request about the pruning point: the rest of the table.
    pub(super) fn on_pruning_request(
        &mut self,
        cx: &mut Cx<'_>,
        connection: ConnectionId,
        ready: &mut Ready,
        envelope: &Envelope,
    ) -> Result<(), Misbehavior> {
        let id = envelope.request_id;
        let serving = &mut ready.serving;
        match envelope.kind {
            Kind::RequestPruningPointProof => {
                let level = self.config.block_level_max;
                serving
                    .push(Job::Proof { id, level, from: 0, levels: Vec::new(), level_items: Vec::new() }, envelope.kind)
            }
            Kind::RequestPruningPointAndItsAnticone => serving.begin(Long::Anticone, id),
            Kind::RequestPruningPointUtxoSet => {
                self.begin_state_of(cx, connection, serving, Long::Outputs, OneHash::decode(&envelope.body)?.0)
            }
            Kind::RequestPruningPointSmtState => {
                self.begin_state_of(cx, connection, serving, Long::Lanes, OneHash::decode(&envelope.body)?.0)
            }
            Kind::RequestNextPruningPointAndItsAnticoneBlocks => on_word(cx, connection, serving, Long::Anticone),
            Kind::RequestNextPruningPointSmtChunk => on_word(cx, connection, serving, Long::Lanes),
            Kind::RequestNextPruningPointUtxoSetChunk => on_word(cx, connection, serving, Long::Outputs),
            kind => Err(Misbehavior::NobodyListens(kind)),
        }
    }

    fn pruning_point(&self) -> Hash {
        self.state.map_or(self.config.genesis, |state| state.pruning_point)
    }

    // Whether nothing was pruned, so that there is nothing but genesis to give.
    pub(super) fn is_unpruned(&self) -> bool {
        self.pruning_point() == self.config.genesis
    }

    fn begin_state_of(
        &mut self,
        cx: &mut Cx<'_>,
        connection: ConnectionId,
        serving: &mut Serving,
        long: Long,
        point: Hash,
    ) -> Result<(), Misbehavior> {
        if point != self.pruning_point() {
            give(cx, connection, Kind::UnexpectedPruningPoint, &[], 0, false);
            return Ok(());
        }
        match (long, self.is_unpruned()) {
            (Long::Lanes, true) => Err(Misbehavior::Refused(Refused::NoSmtState)),
            (_, true) => {
                // The outputs at genesis: none.
                give(cx, connection, Kind::PruningPointUtxoSetChunk, &[], 0, false);
                give(cx, connection, Kind::DonePruningPointUtxoSetChunks, &[], 0, false);
                Ok(())
            }
            (long, false) => serving.begin(long, 0),
        }
    }

    /// A page of the proof.
    pub(super) fn give_proof(
        &mut self,
        cx: &mut Cx<'_>,
        connection: ConnectionId,
        serving: &mut Serving,
        version: u32,
        page: Option<KeptPage>,
    ) -> Result<(), Misbehavior> {
        let page = paid(cx, connection, page)?;
        let Some(Job::Proof { id, level, from, levels, level_items }) = serving.jobs.front_mut() else { return Ok(()) };
        *from = from.saturating_add(u32::try_from(page.items.len()).unwrap_or(u32::MAX));
        if version < VERSION {
            level_items.extend(page.items);
        } else if let Ok(headers) = Items::decode(&headers(&page.items), page.items.len())
            && !headers.is_empty()
        {
            let body = ProofChunk { headers, level: *level }.encode();
            give(cx, connection, Kind::PruningPointProofChunk, &body, *id, false);
        }
        if !page.is_last {
            return Ok(());
        }
        if version < VERSION {
            levels.push(headers(&core::mem::take(level_items)));
        }
        if *level > 0 {
            (*level, *from) = (*level - 1, 0);
            return Ok(());
        }
        let id = *id;
        if version < VERSION {
            let body = Items::of(levels.iter().rev().map(|level| &level[..])).encode();
            give(cx, connection, Kind::PruningPointProof, &body, id, false);
        } else {
            give(cx, connection, Kind::PruningPointProofChunksEnd, &[], id, false);
        }
        serving.pop();
        Ok(())
    }

    /// A page of a long answer.
    pub(super) fn give_long(
        &mut self,
        cx: &mut Cx<'_>,
        connection: ConnectionId,
        serving: &mut Serving,
        long: Long,
        version: u32,
        page: Option<KeptPage>,
    ) -> Result<(), Misbehavior> {
        serving.pop();
        let Some(at) = serving.streams.iter().position(|stream| stream.long == long) else { return Ok(()) };
        let page = paid(cx, connection, page)?;
        let stream = &mut serving.streams[at];
        stream.give(cx, connection, page, version)?;
        if stream.is_over && !stream.waits {
            let stream = serving.streams.remove(at);
            stream.end(cx, connection);
            return Ok(());
        }
        if stream.waits { Ok(()) } else { serving.push(Job::Long(long), long.kinds().0) }
    }
}

// A page, if there is anything, for which the peer owes.
fn paid(cx: &mut Cx<'_>, connection: ConnectionId, page: Option<KeptPage>) -> Result<KeptPage, Misbehavior> {
    let page = page.ok_or(Misbehavior::Refused(Refused::NothingImported))?;
    cx.owe(connection, Class::ListServed.price(page.items.iter().map(Bytes::len).sum()));
    Ok(page)
}

// The peer wants more of a long answer.
fn on_word(cx: &mut Cx<'_>, connection: ConnectionId, serving: &mut Serving, long: Long) -> Result<(), Misbehavior> {
    let (expected, got) = long.kinds();
    let idle = Misbehavior::Unexpected { expected, got };
    let at = serving.streams.iter().position(|stream| stream.long == long && stream.waits).ok_or(idle)?;
    serving.streams[at].waits = false;
    if serving.streams[at].is_over {
        serving.streams.remove(at).end(cx, connection);
        return Ok(());
    }
    serving.push(Job::Long(long), got)
}

impl Serving {
    fn begin(&mut self, long: Long, id: u32) -> Result<(), Misbehavior> {
        let (got, expected) = long.kinds();
        if self.streams.iter().any(|stream| stream.long == long) {
            return Err(Misbehavior::Unexpected { expected, got });
        }
        let (part, gathered) = (long.first(), Vec::new());
        self.streams.push(Stream { long, id, part, gathered, sent: 0, waits: false, is_over: false });
        self.push(Job::Long(long), got)
    }

    /// The number of the request that began it.
    pub(super) fn id_of(&self, long: Long) -> u32 {
        self.streams.iter().find(|stream| stream.long == long).map_or(0, |stream| stream.id)
    }

    /// What the stream wants of the ledger next.
    pub(super) fn next_of(&self, long: Long) -> Option<Request> {
        let stream = self.streams.iter().find(|stream| stream.long == long)?;
        let (count_max, bytes_max) = match stream.part {
            Keep::Blocks(_) => ((BLOCKS_A_CREDIT - stream.sent) as u32, BLOCKS_BYTES),
            Keep::LanesBegin => (1, CHUNK_BYTES),
            Keep::Lanes(_) => (LANES_A_CHUNK, CHUNK_BYTES),
            Keep::Outputs(_) => (OUTPUTS_A_CHUNK, CHUNK_BYTES),
            Keep::Proof { .. } | Keep::PruningPoints | Keep::Trusted(_) => (CHUNK_ITEMS, CHUNK_BYTES),
        };
        Some(Request::Kept { keep: stream.part, count_max, bytes_max })
    }
}

impl Stream {
    fn give(
        &mut self,
        cx: &mut Cx<'_>,
        connection: ConnectionId,
        page: KeptPage,
        version: u32,
    ) -> Result<(), Misbehavior> {
        let KeptPage { items, is_last } = page;
        let count = items.len() as u64;
        match self.part {
            Keep::PruningPoints => {
                give(cx, connection, Kind::PruningPoints, &headers(&items), self.id, false);
                self.part = Keep::Trusted(0);
            }
            Keep::Trusted(from) => {
                self.give_trusted(cx, connection, items, is_last, version);
                self.part = if is_last { Keep::Blocks(0) } else { Keep::Trusted(from + count) };
            }
            Keep::Blocks(from) => {
                for block in &items {
                    let body = BlockWithTrustedData(block).encode();
                    give(cx, connection, Kind::BlockWithTrustedDataV4, &body, self.id, false);
                }
                self.part = Keep::Blocks(from + count);
                self.sent += count;
                self.is_over = is_last;
                self.rest(BLOCKS_A_CREDIT);
            }
            Keep::LanesBegin => {
                let metadata = items.first().and_then(|bytes| metadata(bytes));
                let metadata = metadata.ok_or(Misbehavior::Refused(Refused::NothingImported))?;
                give(cx, connection, Kind::SmtMetadata, &metadata.encode(), 0, false);
                self.is_over = metadata.lane_count == 0;
                self.part = Keep::Lanes(0);
            }
            Keep::Lanes(from) => {
                give(cx, connection, Kind::SmtLaneChunk, &headers(&items), 0, false);
                self.part = Keep::Lanes(from + count);
                self.is_over = is_last;
                self.sent += 1;
                if !is_last {
                    self.rest(LANE_CHUNKS_A_CREDIT);
                }
            }
            Keep::Outputs(from) => {
                give(cx, connection, Kind::PruningPointUtxoSetChunk, &headers(&items), 0, false);
                self.part = Keep::Outputs(from + count);
                // A full chunk is never the last, as kaspad has it.
                self.is_over = is_last && count < u64::from(OUTPUTS_A_CHUNK);
                self.sent += 1;
                self.rest(OUTPUT_CHUNKS_A_CREDIT);
            }
            Keep::Proof { .. } => {}
        }
        Ok(())
    }

    fn give_trusted(
        &mut self,
        cx: &mut Cx<'_>,
        connection: ConnectionId,
        items: Vec<Bytes>,
        is_last: bool,
        version: u32,
    ) {
        if version >= VERSION {
            if !items.is_empty() {
                give(cx, connection, Kind::TrustedDataChunk, &headers(&items), self.id, false);
            }
            if is_last {
                give(cx, connection, Kind::TrustedDataChunksEnd, &[], self.id, false);
            }
            return;
        }
        self.gathered.extend(items);
        if is_last {
            let blocks = Items::of(core::mem::take(&mut self.gathered).iter().map(|block| &block[..]));
            let body = TrustedData { blocks, pairs: Items::default() }.encode();
            give(cx, connection, Kind::TrustedData, &body, self.id, false);
        }
    }

    // After so many messages the peer's word is awaited, also when they were the last.
    fn rest(&mut self, credit: u64) {
        if self.sent >= credit {
            (self.sent, self.waits) = (0, true);
        }
    }

    fn end(self, cx: &mut Cx<'_>, connection: ConnectionId) {
        match self.long {
            Long::Anticone => give(cx, connection, Kind::DoneBlocksWithTrustedData, &[], self.id, false),
            Long::Lanes => {}
            Long::Outputs => give(cx, connection, Kind::DonePruningPointUtxoSetChunks, &[], 0, false),
        }
    }
}

// What the ledger keeps of the lanes' metadata: three hashes and a count.
fn metadata(bytes: &[u8]) -> Option<SmtMetadata> {
    let (hashes, count) = bytes.split_at_checked(96)?;
    let (hashes, _) = hashes.as_chunks::<32>();
    let [lanes_root, payload_and_context, parent_commitment] = hashes else { return None };
    Some(SmtMetadata {
        lanes_root: Hash(*lanes_root),
        payload_and_context: Hash(*payload_and_context),
        parent_commitment: Hash(*parent_commitment),
        lane_count: u64::from_be_bytes(count.try_into().ok()?),
    })
}
