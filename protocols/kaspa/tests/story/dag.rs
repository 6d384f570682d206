//! Holds a DAG in memory, believes what headers say of it, and answers questions about it: the toy under every story.

use bytes::Bytes;
use polypeer_kaspa::ledger::{BlockOutcome, Fault, Hash, Headers, Refusal, Standing, State, Status};
use polypeer_kaspa::wire::{BlockBody, BlockView, Header, join};
use std::collections::{BTreeMap, BTreeSet};

/// One block, with or without its body.
#[derive(Clone, Debug)]
pub(crate) struct Held {
    pub(crate) header: Bytes,
    pub(crate) body: Option<Bytes>,
    pub(crate) parents: Vec<Hash>,
    merkle_root: Hash,
    standing: Standing,
}

/// The blocks.
#[derive(Clone, Debug)]
pub(crate) struct Dag {
    pub(crate) blocks: BTreeMap<Hash, Held>,
    pub(crate) invalid: BTreeSet<Hash>,
    /// The pruning point; genesis, if it is none.
    pub(crate) point: Option<Hash>,
    genesis: Hash,
}

pub(crate) fn hash_of(block: &[u8]) -> Hash {
    header_of(block).hash()
}

pub(crate) fn header_of(block: &[u8]) -> Header {
    BlockView::decode(block).and_then(|view| view.header()).expect("a block has a header")
}

pub(crate) fn body_of(block: &[u8]) -> Bytes {
    BlockView::decode(block).expect("a block").body()
}

/// The bytes of a block's header.
pub(crate) fn header_bytes(block: &Bytes) -> Bytes {
    block.slice_ref(BlockView::decode(block).expect("a block").header)
}

impl Dag {
    /// These blocks, genesis first and parents before children.
    pub(crate) fn of(blocks: &[Bytes]) -> Self {
        let genesis = hash_of(&blocks[0]);
        let mut dag = Self { blocks: BTreeMap::new(), invalid: BTreeSet::new(), point: None, genesis };
        for block in blocks {
            assert_eq!(dag.take_block(block), BlockOutcome::Accepted);
        }
        dag
    }

    pub(crate) fn status(&self, hash: &Hash) -> Status {
        match self.blocks.get(hash) {
            _ if self.invalid.contains(hash) => Status::Invalid,
            None => Status::Unknown,
            Some(Held { body: None, .. }) => Status::HeaderOnly,
            Some(_) => Status::Full,
        }
    }

    pub(crate) fn state(&self) -> State {
        let sink = |is_full: bool| {
            let held = self.blocks.values().filter(|held| held.body.is_some() || !is_full);
            held.map(|held| held.standing)
                .max_by_key(|standing| (standing.blue_work, standing.hash))
                .unwrap_or_default()
        };
        State {
            sink: sink(true),
            header_tip: sink(false),
            pruning_point: self.point.unwrap_or(self.genesis),
            genesis: self.genesis,
        }
    }

    pub(crate) fn sink(&self) -> Hash {
        self.state().sink.hash
    }

    pub(crate) fn take_block(&mut self, block: &Bytes) -> BlockOutcome {
        let view = BlockView::decode(block).expect("it was decoded before");
        let hash = hash_of(block);
        if self.status(&hash) == Status::Full {
            return BlockOutcome::Known;
        }
        let lacks = self.lacks(&header_of(block), Status::Full);
        if !lacks.is_empty() {
            return BlockOutcome::ParentsUnknown(lacks);
        }
        if view.merkle_root() != Ok(header_of(block).hash_merkle_root) {
            return BlockOutcome::Invalid(Fault::MerkleRoot);
        }
        self.insert(hash, block.slice_ref(view.header), Some(view.body()));
        BlockOutcome::Accepted
    }

    pub(crate) fn take_header(&mut self, bytes: &Bytes) -> BlockOutcome {
        let Ok(header) = Header::decode(bytes) else { return BlockOutcome::Invalid(Fault::Malformed) };
        if self.blocks.contains_key(&header.hash()) {
            return BlockOutcome::Known;
        }
        let lacks = self.lacks(&header, Status::HeaderOnly);
        if !lacks.is_empty() {
            return BlockOutcome::ParentsUnknown(lacks);
        }
        self.insert(header.hash(), bytes.clone(), None);
        BlockOutcome::Accepted
    }

    pub(crate) fn take_body(&mut self, hash: &Hash, body: &Bytes) -> BlockOutcome {
        let held = self.blocks.get_mut(hash).expect("bodies are asked for headers that are held");
        if held.body.is_some() {
            return BlockOutcome::Known;
        }
        if BlockBody::decode(body).and_then(|body| body.merkle_root()) != Ok(held.merkle_root) {
            return BlockOutcome::Invalid(Fault::MerkleRoot);
        }
        held.body = Some(body.clone());
        BlockOutcome::Accepted
    }

    // The parents that are not held so well.
    fn lacks(&self, header: &Header, least: Status) -> Vec<Hash> {
        let is_enough = |status| status == Status::Full || status == least;
        header.direct_parents().iter().filter(|parent| !is_enough(self.status(parent))).copied().collect()
    }

    fn insert(&mut self, hash: Hash, bytes: Bytes, body: Option<Bytes>) {
        let header = Header::decode(&bytes).expect("it was decoded before");
        let standing = Standing {
            hash,
            blue_score: header.blue_score,
            blue_work: header.blue_work,
            daa_score: header.daa_score,
            timestamp: header.timestamp,
        };
        let parents = header.direct_parents().to_vec();
        self.blocks.insert(hash, Held { header: bytes, body, parents, merkle_root: header.hash_merkle_root, standing });
    }

    pub(crate) fn block(&self, hash: &Hash) -> Option<Bytes> {
        let held = self.blocks.get(hash)?;
        Some(join(&held.header, held.body.as_ref()?).expect("header and body were decoded before"))
    }

    pub(crate) fn body(&self, hash: &Hash) -> Option<Bytes> {
        self.blocks.get(hash)?.body.clone()
    }

    /// A block and all below it.
    pub(crate) fn past(&self, of: &Hash) -> BTreeSet<Hash> {
        let mut past = BTreeSet::new();
        self.add_past(of, &mut past);
        past
    }

    // Adds a block and what is below it. What was added.
    fn add_past(&self, of: &Hash, past: &mut BTreeSet<Hash>) -> Vec<Hash> {
        let (mut added, mut next) = (Vec::new(), vec![*of]);
        while let Some(hash) = next.pop() {
            if past.insert(hash) {
                added.push(hash);
                next.extend(&self.blocks[&hash].parents);
            }
        }
        added
    }

    /// The selected chain of a block, itself first, genesis last.
    pub(crate) fn chain(&self, of: &Hash) -> Vec<Hash> {
        let parent = |hash: &Hash| self.blocks[hash].parents.first().copied();
        std::iter::successors(Some(*of), parent).collect()
    }

    fn ascending(&self, hashes: impl IntoIterator<Item = Hash>) -> Vec<Hash> {
        let mut hashes: Vec<Hash> = hashes.into_iter().collect();
        hashes.sort_by_key(|hash| (self.blocks[hash].standing.blue_work, *hash));
        hashes
    }

    pub(crate) fn locator(&self, high: &Hash, limit: u32) -> Result<Vec<Hash>, Refusal> {
        if !self.blocks.contains_key(high) {
            return Err(Refusal::UnknownHeader(*high));
        }
        let most = if limit == 0 { usize::MAX } else { limit as usize };
        let chain = self.chain(high);
        let mut locator = Vec::new();
        let mut at = 0;
        while locator.len() < most {
            let entry = chain[at.min(chain.len() - 1)];
            locator.push(entry);
            if entry == self.genesis {
                break;
            }
            at += 1 << (locator.len() - 1);
        }
        Ok(locator)
    }

    pub(crate) fn chain_locator(&self, low: Option<Hash>, high: Option<Hash>) -> Result<Vec<Hash>, Refusal> {
        let chain = self.chain(&self.sink());
        let low = low.or(self.point);
        let mut ends = [0, chain.len() - 1];
        for (end, wanted) in ends.iter_mut().zip([high, low]) {
            let Some(wanted) = wanted else { continue };
            if !self.blocks.contains_key(&wanted) {
                return Err(Refusal::UnknownHeader(wanted));
            }
            let Some(at) = chain.iter().position(|hash| *hash == wanted) else { return Ok(Vec::new()) };
            *end = at;
        }
        let [high, low] = ends;
        if low < high {
            return Err(Refusal::LowAboveHigh(chain[low], chain[high]));
        }
        let steps = std::iter::successors(Some(1_usize), |step| Some(step * 2));
        let mut at = high;
        let mut locator = Vec::new();
        for step in steps {
            locator.push(chain[at.min(low)]);
            if at >= low {
                break;
            }
            at += step;
        }
        Ok(locator)
    }

    pub(crate) fn between(&self, low: &Hash, high: &Hash, bytes_max: u32) -> Result<Headers, Refusal> {
        for hash in [low, high] {
            if !self.blocks.contains_key(hash) {
                return Err(Refusal::UnknownHeader(*hash));
            }
        }
        let mut chain = self.chain(high);
        let Some(at) = chain.iter().position(|hash| hash == low) else {
            return Err(Refusal::NotAncestor(*low, *high));
        };
        chain.truncate(at);
        let (mut given, mut headers, mut reached) = (self.past(low), Vec::new(), *low);
        let mut bytes = 0;
        for next in chain.iter().rev() {
            let fresh = self.ascending(self.add_past(next, &mut given));
            headers.extend(fresh.iter().map(|hash| self.blocks[hash].header.clone()));
            bytes += fresh.iter().map(|hash| self.blocks[hash].header.len()).sum::<usize>();
            reached = *next;
            if bytes >= bytes_max as usize {
                break;
            }
        }
        Ok(Headers { headers, reached })
    }

    pub(crate) fn antipast(&self, block: &Hash, context: &Hash, count_max: u32) -> Result<Headers, Refusal> {
        for hash in [block, context] {
            if !self.blocks.contains_key(hash) {
                return Err(Refusal::UnknownHeader(*hash));
            }
        }
        let fresh = self.ascending(self.past(context).difference(&self.past(block)).copied());
        if fresh.len() > count_max as usize {
            return Err(Refusal::TooMany(count_max));
        }
        Ok(Headers { headers: fresh.iter().map(|hash| self.blocks[hash].header.clone()).collect(), reached: *context })
    }

    pub(crate) fn missing_bodies(&self, of: &Hash, count_max: u32) -> Vec<Hash> {
        let mut past = if self.blocks.contains_key(of) { self.past(of) } else { BTreeSet::new() };
        if let Some(point) = self.point {
            self.past(&point).iter().for_each(|below| {
                past.remove(below);
            });
        }
        let lacking = self.ascending(past.into_iter().filter(|hash| self.blocks[hash].body.is_none()));
        lacking.into_iter().take(count_max as usize).collect()
    }
}
