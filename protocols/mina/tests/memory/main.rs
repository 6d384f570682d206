//! Counts what decoding, hashing and judging allocate: nothing.

use polypeer_mina::binprot::{Binable as _, Reader};
use polypeer_mina::block::{Block, Header};
use polypeer_mina::checks::Rules;
use polypeer_mina::command::transaction_id;
use polypeer_mina::config::Constants;
use polypeer_mina::envelope::{Topic, open};
use polypeer_mina::hash::{body_reference, state_hash};
use polypeer_mina::ledger::Origin;
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};
use std::alloc::System;
use std::hint::black_box;

#[global_allocator]
static HEAP: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

static BLOCK: &[u8] = include_bytes!("../fixtures/v2-current/derived/block-devnet-357934.bin");
static GOSSIPED_BLOCK: &[u8] = include_bytes!("../fixtures/v2-current/derived/gossip-v0-new-state-357934.bin");
static GOSSIPED_COMMANDS: &[u8] = include_bytes!("../fixtures/v2-current/derived/gossip-v0-transaction-pool-diff.bin");

/// The only test here: others in the same process would be counted too.
#[test]
fn nothing_is_allocated() {
    // Bodies of one bitswap block have no links. Blake2's first use looks for what the processor can do.
    body_reference(&[]);
    // The harness's own thread allocates now and then, so the least of some counts is the work's.
    let once = |work: fn()| {
        let region = Region::new(HEAP);
        work();
        let change = region.change();
        (change.allocations + change.reallocations, change.bytes_allocated)
    };
    let count = |work: fn()| (0..10).map(|_| once(work)).min();
    assert_eq!(count(|| drop(black_box(vec![1_u8; 100]))), Some((1, 100)), "the counter counts");
    assert_eq!(count(decode_header), Some((0, 0)), "a header");
    assert_eq!(count(decode_block), Some((0, 0)), "a block");
    assert_eq!(count(open_messages), Some((0, 0)), "messages");
    assert_eq!(count(judge), Some((0, 0)), "a hash, an id, a judgement");
}

fn decode_header() {
    let header = Header::read(&mut Reader::new(BLOCK)).expect("a header");
    assert_eq!(black_box(header).state.body.consensus.blockchain_length, 357_934);
}

fn decode_block() {
    let (block, body_at) = Block::open(BLOCK).expect("a block");
    assert_eq!(body_at, 12_719);
    assert!(block.header.proof.get().is_ok());
    assert_eq!(block.body.get().expect("a body").commands().count(), 6);
}

fn open_messages() {
    for data in [GOSSIPED_BLOCK, GOSSIPED_COMMANDS, &GOSSIPED_BLOCK[..1_000]] {
        black_box(open(Topic::Consensus, data).is_ok());
    }
}

fn judge() {
    let block = Block::decode(BLOCK).expect("a block");
    let genesis = block.header.state.body.genesis.into();
    let rules = Rules { genesis, constants: Constants::DEVNET, transaction_version: 3 };
    assert_eq!(rules.check_block(&block, 1_729_191_060_000, Origin::Gossip), Ok(()));
    black_box(state_hash(&block.header.state));
    for judged in block.body.get().expect("a body").commands() {
        black_box(transaction_id(judged.command.bytes()).is_ok());
    }
}
