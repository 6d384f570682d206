//! An import on an import: the network's pruning point has moved on.

use crate::above::{producer, run, take};
use crate::syncer::SYNCER;
use crate::world::World;
use bytes::Bytes;
use polypeer_engine::kit::chain::Hash;
use polypeer_kaspa::hash::{LanesTree, sequencing_commitment};
use polypeer_kaspa::ledger::{Import, Keep, Status};
use polypeer_kaspa::wire::{BlockView, Ghostdag, Header, TrustedBlock, encode_block};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

const FINALITY_DEPTH: u64 = 300;
/// Blocks before the pruning point that are trusted: more than its window has.
const TRUSTED: usize = 40;
const LEVELS: u8 = 251;

/// Every header of a network whose newest blocks stand in a single file, and a pruning point among them.
pub(crate) struct Network {
    headers: BTreeMap<Hash, Header>,
    /// Blocks between what was imported and the pruning point.
    pub(crate) before: Vec<Bytes>,
    pub(crate) point: Hash,
    pub(crate) block: Bytes,
    /// Blocks above the pruning point.
    pub(crate) above: Vec<Bytes>,
}

pub(crate) fn header_of(block: &Bytes) -> Header {
    BlockView::decode(block).expect("a block").header().expect("a header")
}

impl Network {
    /// Goes on from what was imported: a hundred blocks, a pruning point that commits to no lanes, and sixty more.
    fn new() -> Self {
        Self::going_on(10, 6, |_| false)
    }

    /// The same as a full node prunes: the pruning point is the first block beyond a multiple of the finality depth, and
    /// is deep enough below the last, which is the first that names it.
    pub(crate) fn deep() -> Self {
        let score = 1_800;
        let mut network = Self::going_on(40, 75, |header| header.blue_score >= score);
        assert_eq!(network.header(&network.point).blue_score, score);
        let last = network.above.pop().expect("blocks above");
        let mut header = header_of(&last);
        header.pruning_point = network.point;
        assert!(header.blue_score >= score + 700);
        let view = BlockView::decode(&last).expect("a block");
        network.above.push(encode_block(&header.encode(), view.transactions()));
        network
    }

    fn going_on(seconds_before: u64, seconds_above: u64, is_point: impl Fn(&Header) -> bool) -> Self {
        let mut headers = BTreeMap::new();
        let lowest = SYNCER.all(|piece| match piece {
            Import::Proof { level: 0, headers } => Some(headers),
            _ => None,
        });
        let mut add = |header: Header| headers.insert(header.hash(), header);
        for bytes in lowest.iter().chain(&SYNCER.headers) {
            add(Header::decode(bytes).expect("a header"));
        }
        let (mut miner, mut world) = (producer(3), producer(4));
        let end = miner.now.after(Duration::from_secs(seconds_before));
        let mut before = run(&mut miner, end);
        let place = before.iter().position(|block| is_point(&header_of(block)));
        before.truncate(place.map_or(before.len(), |place| place + 1));
        let template = before.pop().expect("blocks");
        world.now = end;
        take(&mut world, &before);
        before.iter().for_each(|block| drop(add(header_of(block))));
        let header = committed(header_of(&template), &headers);
        let (point, view) = (header.hash(), BlockView::decode(&template).expect("a block"));
        let block = encode_block(&header.encode(), view.transactions());
        headers.insert(point, header);
        take(&mut world, std::slice::from_ref(&block));
        let above = run(&mut world, end.after(Duration::from_secs(seconds_above)));
        Self { headers, before, point, block, above }
    }

    fn header(&self, hash: &Hash) -> &Header {
        self.headers.get(hash).expect("a header")
    }

    /// The pruning point and the chain below it, down to where lanes begin to count.
    fn chain(&self) -> Vec<&Header> {
        let point = self.header(&self.point);
        let next = |header: &&Header| header.direct_parents().first().map(|parent| self.header(parent));
        let chain = std::iter::successors(Some(point), next);
        chain.take_while(|header| header.blue_score + FINALITY_DEPTH + 4 > point.blue_score).collect()
    }

    /// All blocks of a level in the pruning point's past, by their work.
    fn level(&self, level: u8) -> Vec<Bytes> {
        let genesis = self.headers.values().find(|header| header.blue_score == 0).expect("the first block").hash();
        let parents = |hash: &Hash| -> Vec<Hash> {
            match self.header(hash).parents.level_count() {
                0 => Vec::new(),
                count if usize::from(level) < count => self.header(hash).parents.level(usize::from(level)).to_vec(),
                _ => vec![genesis],
            }
        };
        // Its own level is 0: what is higher begins with its parents.
        let mut queue = if level == 0 { vec![self.point] } else { parents(&self.point) };
        queue.truncate(1);
        let mut found = BTreeSet::new();
        while let Some(hash) = queue.pop() {
            if found.insert(hash) {
                queue.extend(parents(&hash));
            }
        }
        let mut found: Vec<Hash> = found.into_iter().collect();
        found.sort_unstable_by_key(|hash| (self.header(hash).blue_work, *hash));
        found.iter().map(|hash| self.header(hash).encode()).collect()
    }

    fn trusted(&self) -> Import {
        let chain = self.chain();
        let trusted = chain.iter().take(TRUSTED + 1).map(|header| {
            let selected_parent = header.direct_parents()[0];
            let data = Ghostdag {
                blue_score: header.blue_score,
                blue_work: header.blue_work,
                selected_parent,
                blues: vec![selected_parent],
                reds: Vec::new(),
                anticone_sizes: vec![(selected_parent, 0)],
            };
            TrustedBlock { header: &header.encode(), ghostdag: &data.encode() }.encode()
        });
        Import::Trusted(trusted.collect())
    }

    /// By its proof.
    fn pieces(&self) -> Vec<Import> {
        let mut pieces = vec![Import::Begin(self.point)];
        pieces.extend(self.proof_and_blocks());
        let headers = self.above.iter().map(|block| header_of(block).encode()).collect();
        let [lanes, outputs] = Self::state();
        pieces.extend([Import::Headers(headers), lanes, outputs]);
        pieces.extend([Import::Bodies(self.above.iter().map(body).collect()), Import::Finish]);
        pieces
    }

    /// On top of the headers that are held.
    pub(crate) fn pieces_on_top(&self) -> Vec<Import> {
        let sink = header_of(self.above.last().expect("blocks above")).hash();
        let mut pieces = vec![Import::CatchUp { point: self.point, sink }, Import::Bodies(vec![body(&self.block)])];
        pieces.push(Import::MissingBodies { of: self.point, count_max: 10 });
        pieces.extend(Self::state());
        pieces.extend(self.proof_and_blocks());
        pieces.push(Import::Finish);
        pieces
    }

    /// No lanes and no outputs.
    fn state() -> [Import; 2] {
        let metadata = [LanesTree::default().root().0, [7; 32], [0; 32]].concat().into();
        [Import::LanesBegin { metadata, count: 0 }, Import::OutputsEnd]
    }

    fn proof_and_blocks(&self) -> Vec<Import> {
        let mut pieces = Vec::new();
        pieces.extend((0..LEVELS).rev().map(|level| Import::Proof { level, headers: self.level(level) }));
        let before = SYNCER.all(|piece| match piece {
            Import::PruningPoints(headers) => Some(headers),
            _ => None,
        });
        let points = before.into_iter().chain([self.header(&self.point).encode()]).collect();
        pieces.extend([Import::ProofEnd, Import::PruningPoints(points), self.trusted(), Import::TrustedEnd]);
        let below = self.chain().into_iter().skip(TRUSTED + 1).map(|header| encode_block(&header.encode(), []));
        pieces.extend([Import::Blocks(vec![self.block.clone()]), Import::Blocks(below.collect()), Import::BlocksEnd]);
        pieces
    }
}

pub(crate) fn body(block: &Bytes) -> (Hash, Bytes) {
    (header_of(block).hash(), BlockView::decode(block).expect("a block").body())
}

/// A header that commits to no lanes. Its parent's commitment is zero, as that of every block that is made here.
fn committed(mut header: Header, headers: &BTreeMap<Hash, Header>) -> Header {
    let highest = header.blue_score - FINALITY_DEPTH - 1;
    let mut walk = &header;
    while walk.blue_score > highest {
        walk = headers.get(&walk.direct_parents()[0]).expect("a parent");
    }
    let shortcut = walk.accepted_id_merkle_root;
    let root = LanesTree::default().root();
    header.accepted_id_merkle_root = sequencing_commitment(&shortcut, &root, &Hash([7; 32]), &Hash::ZERO);
    header
}

#[test]
fn a_pruning_point_moves_on_by_another_import() {
    let network = Network::new();
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("dag.redb");
    let mut world = World::on(&path);
    world.give_all(&SYNCER.pieces);
    let before = world.state();
    let pieces = network.pieces();
    world.give_all(&pieces);
    let check = |world: &mut World| {
        let state = world.state();
        let sink = header_of(network.above.last().expect("blocks above"));
        assert_eq!((state.pruning_point, state.sink.hash), (network.point, sink.hash()));
        assert_eq!((state.genesis, state.header_tip), (before.genesis, state.sink));
        assert_eq!(world.status(before.pruning_point), Status::Unknown);
        assert_eq!(world.status(SYNCER.sink), Status::Unknown);
        assert_eq!(world.status(network.point), Status::Full);
        assert_eq!(world.reader.counts(), (network.above.len() as u64 + 2, 0));
        assert_eq!(world.kept(Keep::Outputs, 10, 1_000), Some(Vec::new()));
        assert_eq!(world.kept(Keep::Trusted, 10, 100_000).map(|trusted| trusted.len()), Some(TRUSTED + 1));
        assert_eq!(world.kept(|_| Keep::PruningPoints, 10, 100_000).map(|points| points.len()), Some(4));
    };
    check(&mut world);
    drop(world);
    let mut world = World::on(&path);
    check(&mut world);
    // And back: the earlier one has less work.
    let proof_end = SYNCER.position(|piece| *piece == Import::ProofEnd);
    world.give_all(&SYNCER.pieces[..proof_end]);
    let fault = crate::world::fault(&world.give(&Import::ProofEnd));
    assert_eq!(fault, Some(polypeer_kaspa::ledger::ImportFault::ProofWork));
    check(&mut world);
}

/// Whoever follows the network has no use for another history that ends when ours does.
#[test]
fn what_is_not_clearly_younger_is_not_imported() {
    let network = Network::new();
    // Some blocks of the same ten seconds.
    let mut world = producer(9);
    let end = world.now.after(Duration::from_secs(3));
    assert!(!run(&mut world, end).is_empty());
    world.now = world.now.after(Duration::from_secs(60));
    let before = world.state();
    let mut found = None;
    for piece in network.pieces() {
        let fault = crate::world::fault(&world.give(&piece));
        if fault.is_some() {
            assert!(matches!(piece, Import::LanesBegin { .. }), "after all headers: {piece:?}");
            found = fault;
            break;
        }
    }
    assert_eq!(found, Some(polypeer_kaspa::ledger::ImportFault::NotYounger));
    assert!(!polypeer_kaspa::ledger::ImportFault::NotYounger.is_of_sender());
    assert_eq!(world.state(), before);
}

#[test]
fn a_block_of_the_past_is_not_taken_above_an_import() {
    let network = Network::new();
    let mut world = World::imported();
    world.give_all(&network.pieces());
    let headers = SYNCER.headers.clone();
    let answer = world.ask(polypeer_kaspa::ledger::Request::TakeHeaders(headers));
    let polypeer_kaspa::ledger::Answer::HeadersTaken { taken: 0, fault: Some(_), .. } = answer else {
        panic!("{answer:?}")
    };
    assert_eq!(world.state().pruning_point, network.point);
}
