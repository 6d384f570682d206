//! What is served of the DAG, beside what a real node served of the same one.

use crate::world::{BLOCKS, Block, SINK, World, hash, real};
use bytes::Bytes;
use polypeer_engine::kit::chain::Hash;
use polypeer_kaspa::ledger::{Answer, Headers, Refusal, Request};
use polypeer_kaspa::wire::{Hashes, Header};
use polypeer_ledger_kaspa::BlockKey;
use std::collections::HashSet;

fn locator(world: &mut World, request: Request) -> Result<Vec<Hash>, Refusal> {
    match world.ask(request) {
        Answer::Locator(locator) => locator,
        other => panic!("{other:?}"),
    }
}

fn headers(world: &mut World, request: Request) -> Result<Headers, Refusal> {
    match world.ask(request) {
        Answer::Headers(headers) => headers,
        other => panic!("{other:?}"),
    }
}

fn hash_of(header: &Bytes) -> Hash {
    Header::decode(header).unwrap().hash()
}

/// The selected chain by the rule that a block lists its selected parent first, the sink first.
fn chain() -> Vec<&'static Block> {
    let find = |hash: Hash| BLOCKS.iter().find(|block| block.hash == hash).unwrap();
    let above = |block: &&'static Block| block.header.direct_parents().first().map(|parent| find(*parent));
    std::iter::successors(Some(find(hash(SINK))), above).collect()
}

#[test]
fn the_selected_chain_is_the_one_of_first_parents() {
    let world = World::with_blocks(BLOCKS.len());
    let ours: Vec<Hash> = world.reader.chain(2_000).iter().map(|standing| standing.hash).collect();
    let theirs: Vec<Hash> = chain().iter().map(|block| block.hash).collect();
    assert_eq!(ours, theirs);
}

#[test]
fn a_chain_locator_has_blocks_at_doubling_steps() {
    let mut world = World::with_blocks(BLOCKS.len());
    let chain: Vec<Hash> = chain().iter().map(|block| block.hash).collect();
    let open = locator(&mut world, Request::ChainLocator { low: None, high: None }).unwrap();
    let steps = [0, 1, 3, 7, 15, 31, 63, 127, 255, 511, 900];
    assert_eq!(open, steps.map(|at| chain[at]));
    let (low, high) = (Some(chain[511]), Some(chain[255]));
    let zoomed = locator(&mut world, Request::ChainLocator { low, high }).unwrap();
    let steps = [255, 256, 258, 262, 270, 286, 318, 382, 510, 511];
    assert_eq!(zoomed, steps.map(|at| chain[at]));
    let alone = locator(&mut world, Request::ChainLocator { low: high, high }).unwrap();
    assert_eq!(alone, [chain[255]]);
    let refused = locator(&mut world, Request::ChainLocator { low: high, high: low });
    assert_eq!(refused, Err(Refusal::LowAboveHigh(chain[255], chain[511])));
    let off = BLOCKS.iter().find(|block| !chain.contains(&block.hash)).unwrap().hash;
    for (low, high) in [(Some(off), None), (None, Some(off))] {
        assert_eq!(locator(&mut world, Request::ChainLocator { low, high }), Ok(Vec::new()));
    }
    let nobody = Hash([3; 32]);
    let unknown = locator(&mut world, Request::ChainLocator { low: Some(nobody), high: None });
    assert_eq!(unknown, Err(Refusal::UnknownHeader(nobody)));
}

#[test]
fn a_block_locator_falls_by_doubling_scores() {
    let mut world = World::with_blocks(BLOCKS.len());
    let chain = chain();
    let score = |hash: &Hash| chain.iter().find(|block| block.hash == *hash).unwrap().header.blue_score;
    let whole = locator(&mut world, Request::BlockLocator { high: hash(SINK), limit: 0 }).unwrap();
    let mut wanted = 1_080_u64;
    for (at, found) in whole.iter().enumerate() {
        // The lowest chain block of at least the score that was wanted.
        let expected = chain.iter().rev().find(|block| block.header.blue_score >= wanted).unwrap();
        assert_eq!(*found, expected.hash);
        wanted = score(found).saturating_sub(1 << at);
    }
    assert_eq!(whole.last(), Some(&BLOCKS[0].hash));
    let nine = locator(&mut world, Request::BlockLocator { high: hash(SINK), limit: 9 }).unwrap();
    assert_eq!(nine, whole[..9]);
    let one = locator(&mut world, Request::BlockLocator { high: BLOCKS[0].hash, limit: 9 }).unwrap();
    assert_eq!(one, [BLOCKS[0].hash]);
    // Where the DAG is four blocks wide, as a real node answered.
    let theirs = real(include_bytes!("../../../../protocols/kaspa/tests/fixtures/block_locator_repeats.bin"));
    let theirs: Vec<Hash> = Hashes::decode(&theirs, 9).unwrap().iter().collect();
    let ours = locator(&mut world, Request::BlockLocator { high: theirs[0], limit: 9 }).unwrap();
    assert_eq!(ours, theirs);
    assert_eq!(ours[0], ours[2], "neighbours may be equal");
    let nobody = Hash([3; 32]);
    let unknown = locator(&mut world, Request::BlockLocator { high: nobody, limit: 9 });
    assert_eq!(unknown, Err(Refusal::UnknownHeader(nobody)));
}

#[test]
fn headers_between_come_in_pages_of_whole_merge_sets() {
    let mut world = World::with_blocks(BLOCKS.len());
    let (bottom, top) = (chain()[800].hash, hash(SINK));
    let mut given: Vec<Hash> = Vec::new();
    let (mut low, mut pages) = (bottom, 0);
    while low != top {
        let page = headers(&mut world, Request::HeadersBetween { low, high: top, bytes_max: 20_000 }).unwrap();
        let bytes: usize = page.headers.iter().map(Bytes::len).sum();
        assert!(!page.headers.is_empty() && bytes < 30_000, "{bytes}");
        assert_eq!(page.headers.last().map(hash_of), Some(page.reached));
        given.extend(page.headers.iter().map(hash_of));
        (low, pages) = (page.reached, pages + 1);
    }
    assert!(pages > 5);
    // What a second ledger needs that has the past of the lower end.
    let mut known = HashSet::from([bottom]);
    let mut past = vec![bottom];
    while let Some(hash) = past.pop() {
        let block = BLOCKS.iter().find(|block| block.hash == hash).unwrap();
        past.extend(block.header.direct_parents().iter().filter(|parent| known.insert(**parent)));
    }
    let all: HashSet<Hash> = BLOCKS.iter().map(|block| block.hash).collect();
    let rest: HashSet<Hash> = all.difference(&known).copied().collect();
    assert_eq!(given.iter().copied().collect::<HashSet<_>>(), rest);
    assert_eq!(given.len(), rest.len(), "each once");
    for hash in &given {
        let block = BLOCKS.iter().find(|block| block.hash == *hash).unwrap();
        assert!(block.header.direct_parents().iter().all(|parent| known.contains(parent)), "parents first");
        known.insert(*hash);
    }
    let none = headers(&mut world, Request::HeadersBetween { low: top, high: top, bytes_max: 1 }).unwrap();
    assert_eq!((none.headers.len(), none.reached), (0, top));
    let off = BLOCKS.iter().find(|block| !chain().iter().any(|it| it.hash == block.hash)).unwrap().hash;
    for (low, high) in [(off, top), (top, bottom)] {
        let refused = headers(&mut world, Request::HeadersBetween { low, high, bytes_max: 1 });
        assert_eq!(refused, Err(Refusal::NotAncestor(low, high)));
    }
}

#[test]
fn the_antipast_is_what_one_past_has_and_the_other_has_not() {
    let mut world = World::with_blocks(BLOCKS.len());
    // Where the DAG is wide.
    let merger = BLOCKS.iter().rev().find(|block| block.header.direct_parents().len() == 4).unwrap();
    let (first, last) = (merger.header.direct_parents()[0], merger.header.direct_parents()[3]);
    let antipast =
        |world: &mut World, block, context, count_max| headers(world, Request::Antipast { block, context, count_max });
    let page = antipast(&mut world, first, last, 992).unwrap();
    assert_eq!(page.headers.last().map(hash_of), Some(last));
    let page = antipast(&mut world, first, merger.hash, 992).unwrap();
    let hashes: Vec<Hash> = page.headers.iter().map(hash_of).collect();
    assert!(hashes.len() >= 4 && merger.header.direct_parents()[1..].iter().all(|parent| hashes.contains(parent)));
    let works: Vec<_> = page.headers.iter().map(|header| Header::decode(header).unwrap().blue_work).collect();
    assert!(works.is_sorted());
    assert_eq!(antipast(&mut world, hash(SINK), merger.hash, 992).unwrap().headers, Vec::<Bytes>::new());
    let refused = antipast(&mut world, BLOCKS[0].hash, hash(SINK), 992);
    assert_eq!(refused, Err(Refusal::TooMany(992)));
    assert_eq!(antipast(&mut world, BLOCKS[0].hash, hash(SINK), 1_080).unwrap().headers.len(), 1_080);
    let nobody = Hash([3; 32]);
    assert_eq!(antipast(&mut world, nobody, hash(SINK), 1), Err(Refusal::UnknownHeader(nobody)));
}

#[test]
fn a_reader_shows_blocks_by_hash_by_score_and_the_sink() {
    let world = World::with_blocks(BLOCKS.len());
    let sink = world.reader.block(&BlockKey::Sink).unwrap();
    assert_eq!(sink.standing.hash, hash(SINK));
    let by_score = world.reader.block(&BlockKey::BlueScore(1_080)).unwrap();
    assert_eq!((&by_score, by_score.is_on_chain), (&sink, true));
    assert_eq!(world.reader.block(&BlockKey::BlueScore(1_081)), None);
    let wide = BLOCKS.iter().find(|block| block.header.direct_parents().len() > 3).unwrap();
    let shown = world.reader.block(&BlockKey::Hash(wide.hash)).unwrap();
    assert_eq!(shown.parents, wide.header.direct_parents());
    assert_eq!((shown.transactions.len(), shown.bytes), (wide.transactions.len(), wide.bytes()));
    assert_eq!(world.reader.block(&BlockKey::Hash(Hash([3; 32]))), None);
}
