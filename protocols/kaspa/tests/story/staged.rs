//! Plays the ledger while the state of a pruned network is imported, and gives again what was.

use bytes::Bytes;
use polypeer_kaspa::ledger::{
    BlockOutcome, Fault, Hash, Import, Imported, Keep, KeptPage, Progress, Standing, State, Status,
};
use polypeer_kaspa::wire::{BlockBody, BlockView, Header, TrustedBlock};
use std::collections::{BTreeMap, BTreeSet};

/// What came, as it came.
#[derive(Clone, Debug, Default)]
pub(crate) struct Staged {
    /// Of which pruning point, and what of it is whole.
    pub(crate) target: Option<Hash>,
    pub(crate) there: Progress,
    pub(crate) proof: BTreeMap<u8, Vec<Bytes>>,
    pub(crate) points: Vec<Bytes>,
    pub(crate) trusted: Vec<Bytes>,
    pub(crate) blocks: Vec<Bytes>,
    /// Three hashes and a count.
    pub(crate) metadata: Vec<Bytes>,
    pub(crate) lanes: Vec<Bytes>,
    lane_count: u64,
    pub(crate) outputs: Vec<Bytes>,
    // What is believed without its past, and what stands on it, in order.
    ground: BTreeSet<Hash>,
    above: Vec<Hash>,
    headers: BTreeMap<Hash, Header>,
    pub(crate) full: BTreeSet<Hash>,
}

impl Staged {
    /// The answer to a piece that is right, if the proof is of this pruning point.
    pub(crate) fn take(&mut self, piece: Import, point: Hash) -> Imported {
        match piece {
            Import::Abandon => *self = Self::default(),
            Import::Begin(target) | Import::CatchUp { point: target, .. } => {
                return Imported::Begun(Ok(self.begin(target)));
            }
            // What is held is none of this one's business.
            Import::Compare { .. } => {}
            Import::Proof { level, headers } => self.proof.entry(level).or_default().extend(headers),
            Import::ProofEnd => {
                (self.target, self.there.proof) = (Some(point), true);
                return Imported::Proof(Ok(point));
            }
            Import::PruningPoints(points) => self.points = points,
            Import::Trusted(blocks) => {
                let header = |block: &Bytes| Header::decode(TrustedBlock::decode(block).expect("whole").header);
                self.ground.extend(blocks.iter().map(|block| header(block).expect("a header").hash()));
                self.trusted.extend(blocks);
            }
            Import::Blocks(blocks) => self.take_blocks(blocks),
            Import::Headers(headers) => return Imported::HeadersTaken(self.take_headers(&headers)),
            Import::Statuses(hashes) => {
                return Imported::Statuses(hashes.iter().map(|hash| self.status(hash)).collect());
            }
            Import::LanesBegin { metadata, count } => {
                self.metadata = vec![[&metadata[..], &count.to_be_bytes()].concat().into()];
                (self.lane_count, self.there.lanes) = (count, count == 0);
            }
            Import::Lanes(lanes) => {
                self.lanes.extend(lanes);
                self.there.lanes = self.lanes.len() as u64 >= self.lane_count;
            }
            Import::Outputs(outputs) => self.outputs.extend(outputs),
            Import::MissingBodies { of, count_max } => return Imported::MissingBodies(self.missing(of, count_max)),
            Import::Bodies(bodies) => return Imported::BodiesTaken(self.take_bodies(&bodies)),
            Import::Finish => return Imported::Finished(Ok(self.state(point))),
            Import::TrustedEnd => {}
            Import::BlocksEnd => self.there.base = true,
            Import::OutputsEnd => self.there.outputs = true,
        }
        Imported::Taken(Ok(()))
    }

    // What was whole of the same pruning point stays.
    fn begin(&mut self, target: Hash) -> Progress {
        if self.target != Some(target) {
            *self = Self { target: Some(target), ..Self::default() };
        }
        let Progress { proof, base, lanes, outputs } = self.there;
        if !proof {
            self.proof.clear();
        }
        if !base {
            (self.points, self.trusted, self.blocks) = Default::default();
        }
        if !lanes {
            self.lanes.clear();
        }
        if !outputs {
            self.outputs.clear();
        }
        self.there
    }

    fn take_blocks(&mut self, blocks: Vec<Bytes>) {
        for block in &blocks {
            let view = BlockView::decode(block).expect("a block");
            let hash = view.header().expect("a header").hash();
            self.ground.insert(hash);
            if view.transaction_count > 0 {
                self.full.insert(hash);
            }
        }
        self.blocks.extend(blocks);
    }

    fn take_headers(&mut self, headers: &[Bytes]) -> Option<BlockOutcome> {
        for header in headers {
            let Ok(header) = Header::decode(header) else { return Some(BlockOutcome::Invalid(Fault::Malformed)) };
            let is_here = |hash: &Hash| self.ground.contains(hash) || self.headers.contains_key(hash);
            if is_here(&header.hash()) {
                continue;
            }
            let lacks: Vec<Hash> = header.direct_parents().iter().filter(|hash| !is_here(hash)).copied().collect();
            if !lacks.is_empty() {
                return Some(BlockOutcome::ParentsUnknown(lacks));
            }
            self.above.push(header.hash());
            self.headers.insert(header.hash(), header);
        }
        None
    }

    fn take_bodies(&mut self, bodies: &[(Hash, Bytes)]) -> Option<BlockOutcome> {
        for (hash, body) in bodies {
            let root = BlockBody::decode(body).and_then(|body| body.merkle_root());
            if root != Ok(self.headers[hash].hash_merkle_root) {
                return Some(BlockOutcome::Invalid(Fault::MerkleRoot));
            }
            self.full.insert(*hash);
        }
        None
    }

    fn status(&self, hash: &Hash) -> Status {
        let is_here = self.ground.contains(hash) || self.headers.contains_key(hash);
        match (is_here, self.full.contains(hash)) {
            (false, _) => Status::Unknown,
            (true, false) => Status::HeaderOnly,
            (true, true) => Status::Full,
        }
    }

    fn missing(&self, of: Hash, count_max: u32) -> Vec<Hash> {
        let (mut past, mut next) = (BTreeSet::new(), vec![of]);
        while let Some(hash) = next.pop() {
            if let Some(header) = self.headers.get(&hash).filter(|_| past.insert(hash)) {
                next.extend(header.direct_parents());
            }
        }
        let lacking = self.above.iter().filter(|hash| past.contains(*hash) && !self.full.contains(hash));
        lacking.take(count_max as usize).copied().collect()
    }

    fn state(&self, point: Hash) -> State {
        let sink = self.headers.values().max_by_key(|header| header.blue_work).expect("there are headers");
        let standing = Standing {
            hash: sink.hash(),
            blue_score: sink.blue_score,
            blue_work: sink.blue_work,
            daa_score: sink.daa_score,
            timestamp: sink.timestamp,
        };
        let genesis = Header::decode(&self.points[0]).expect("genesis").hash();
        State { sink: standing, header_tip: standing, pruning_point: point, genesis }
    }

    /// Some of what was imported.
    pub(crate) fn page(&self, keep: Keep, count_max: u32) -> KeptPage {
        let none = Vec::new();
        let (of, from) = match keep {
            Keep::Proof { level, from } => (self.proof.get(&level).unwrap_or(&none), u64::from(from)),
            Keep::PruningPoints => (&self.points, 0),
            Keep::Trusted(from) => (&self.trusted, from),
            Keep::Blocks(from) => (&self.blocks, from),
            Keep::LanesBegin => (&self.metadata, 0),
            Keep::Lanes(from) => (&self.lanes, from),
            Keep::Outputs(from) => (&self.outputs, from),
        };
        let from = from as usize;
        let items: Vec<Bytes> = of.iter().skip(from).take(count_max as usize).cloned().collect();
        KeptPage { is_last: from + items.len() >= of.len(), items }
    }
}
