//! What a pruned kaspad sent to a fresh one, as the pieces of an import.

use bytes::Bytes;
use polypeer_engine::Frame;
use polypeer_engine::kit::chain::Hash;
use polypeer_kaspa::ledger::Import;
use polypeer_kaspa::wire::{
    BlockView, BlockWithTrustedData, Envelope, Hashes, Items, Kind, LANES_PER_CHUNK_MAX, ProofChunk, SmtMetadata,
    UTXOS_PER_CHUNK_MAX, unpack,
};
use std::sync::LazyLock;

const ITEMS_MAX: usize = 1 << 18;

/// A recorded sync.
pub(crate) struct Syncer {
    /// In their order, from `Begin` to `Finish`.
    pub(crate) pieces: Vec<Import>,
    /// The block that was announced: the syncer's sink.
    pub(crate) sink: Hash,
    /// The chain's blocks as the syncer named them, the sink first, the pruning point last.
    pub(crate) chain: Vec<Hash>,
    /// A block locator of the sink's, as the syncer made it.
    pub(crate) locator: Vec<Hash>,
    /// The headers above the pruning point, in the syncer's order.
    pub(crate) headers: Vec<Bytes>,
    /// The bodies, with their hashes.
    pub(crate) bodies: Vec<(Hash, Bytes)>,
}

/// A fresh node that synced from a pruned one, three blocks abreast (spec, section 7.3, finality 300 and pruning 700).
pub(crate) static SYNCER: LazyLock<Syncer> = LazyLock::new(|| {
    let mut rest = &include_bytes!("../../../../protocols/kaspa/tests/fixtures/conversation_headers_proof.bin")[..];
    let mut said = Vec::new();
    while let Some(([direction, length @ ..], after)) = rest.split_first_chunk::<5>() {
        let (message, after) = after.split_at(u32::from_be_bytes(*length) as usize);
        said.push((*direction == 1, open(message)));
        rest = after;
    }
    Syncer::new(&said)
});

/// A message as it stands in the fixtures.
pub(crate) fn open(message: &[u8]) -> Envelope {
    let length = (message.len() as u32).to_be_bytes();
    let frame: Bytes = [&[0][..], &length, message].concat().into();
    unpack(Frame::from(&frame)).unwrap()
}

pub(crate) fn items(body: &Bytes, count_max: usize) -> Vec<Bytes> {
    Items::decode(body, count_max).unwrap().iter().collect()
}

impl Syncer {
    fn new(said: &[(bool, Envelope)]) -> Self {
        let body_of = |kind, is_syncer| {
            let of_kind = said.iter().filter(move |(who, message)| (*who, message.kind) == (is_syncer, kind));
            of_kind.map(|(_, message)| message.body.clone())
        };
        let hashes = |kind, is_syncer| -> Vec<Hash> {
            body_of(kind, is_syncer)
                .flat_map(|body| Hashes::read(kind, &body).unwrap().iter().collect::<Vec<_>>())
                .collect()
        };
        let block = body_of(Kind::Block, true).next().unwrap();
        let wanted = hashes(Kind::RequestBlockBodies, false);
        let bodies: Vec<(Hash, Bytes)> = wanted.into_iter().zip(body_of(Kind::BlockBody, true)).collect();
        let pieces = said.iter().filter(|(is_syncer, _)| *is_syncer).filter_map(|(_, message)| piece(message));
        let bodies_in = bodies.chunks(99).map(|some| Import::Bodies(some.to_vec()));
        let chain = hashes(Kind::IbdChainBlockLocator, true);
        let begin = Import::Begin(*chain.last().unwrap());
        Self {
            pieces: [begin].into_iter().chain(pieces).chain(bodies_in).chain([Import::Finish]).collect(),
            sink: BlockView::decode(&block).unwrap().header().unwrap().hash(),
            chain,
            locator: hashes(Kind::BlockLocator, true),
            headers: body_of(Kind::BlockHeaders, true).flat_map(|body| items(&body, ITEMS_MAX)).collect(),
            bodies,
        }
    }

    /// Where the first piece is of which this is true.
    pub(crate) fn position(&self, is_it: impl Fn(&Import) -> bool) -> usize {
        self.pieces.iter().position(is_it).unwrap()
    }

    /// All items of pieces of one kind.
    pub(crate) fn all<'s>(&'s self, of: impl Fn(&'s Import) -> Option<&'s Vec<Bytes>>) -> Vec<Bytes> {
        self.pieces.iter().filter_map(of).flatten().cloned().collect()
    }
}

/// The piece that a message is, if it is one.
pub(crate) fn piece(message: &Envelope) -> Option<Import> {
    let body = &message.body;
    Some(match message.kind {
        Kind::PruningPointProofChunk => {
            let chunk = ProofChunk::decode(body).unwrap();
            Import::Proof { level: chunk.level, headers: chunk.headers.iter().collect() }
        }
        Kind::PruningPointProofChunksEnd => Import::ProofEnd,
        Kind::PruningPoints => Import::PruningPoints(items(body, ITEMS_MAX)),
        Kind::TrustedDataChunk => Import::Trusted(items(body, ITEMS_MAX)),
        Kind::TrustedDataChunksEnd => Import::TrustedEnd,
        Kind::BlockWithTrustedDataV4 => {
            Import::Blocks(vec![Bytes::copy_from_slice(BlockWithTrustedData::decode(body).unwrap().0)])
        }
        Kind::DoneBlocksWithTrustedData => Import::BlocksEnd,
        Kind::BlockHeaders => Import::Headers(items(body, ITEMS_MAX)),
        Kind::SmtMetadata => {
            let read = SmtMetadata::decode(body).unwrap();
            let metadata = [read.lanes_root.0, read.payload_and_context.0, read.parent_commitment.0].concat().into();
            Import::LanesBegin { metadata, count: read.lane_count }
        }
        Kind::SmtLaneChunk => Import::Lanes(items(body, LANES_PER_CHUNK_MAX)),
        Kind::PruningPointUtxoSetChunk => Import::Outputs(items(body, UTXOS_PER_CHUNK_MAX)),
        Kind::DonePruningPointUtxoSetChunks => Import::OutputsEnd,
        _ => return None,
    })
}
