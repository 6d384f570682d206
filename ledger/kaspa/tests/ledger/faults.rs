//! Blocks with one thing wrong: each refused for that, and nothing of it kept.

use crate::world::{BLOCKS, Block, START_MS, World, payment as pay};
use bytes::Bytes;
use polypeer_engine::kit::chain::Hash;
use polypeer_kaspa::hash::merkle_root;
use polypeer_kaspa::ledger::{BlockOutcome, BlueWork, Fault, Status};
use polypeer_kaspa::wire::{Header, Input, Outpoint, Parents, SUBNETWORK_COINBASE, Transaction, TransactionView};

/// How many blocks are there before the one that is changed.
const BEFORE: usize = 600;

type Change = fn(&mut Header);

fn levels(header: &mut Header, change: impl FnOnce(&mut Vec<Vec<Hash>>)) {
    let mut levels: Vec<Vec<Hash>> = header.parents.levels().map(<[Hash]>::to_vec).collect();
    change(&mut levels);
    header.parents = Parents::of_levels(levels.iter().map(Vec::as_slice)).unwrap();
}

/// Every field of a header that follows from its past, set to something else. Of those that are remembered, no other
/// body is looked at any more.
const CHANGES: [(&str, Change, Fault, bool); 17] = [
    ("version", |it| it.version = 1, Fault::Version, false),
    ("later version", |it| it.version = 3, Fault::Version, false),
    ("time ahead", |it| it.timestamp = START_MS + 132_001, Fault::TimeTooFar, false),
    ("no parents", |it| it.parents = Parents::default(), Fault::Parents, false),
    (
        "a parent twice",
        |it| {
            levels(it, |all| {
                let first = all[0][0];
                all[0].push(first)
            })
        },
        Fault::Parents,
        false,
    ),
    ("its own grandparent", |it| levels(it, |all| all[0].push(BLOCKS[7].hash)), Fault::Parents, false),
    ("score, lower", |it| it.daa_score -= 1, Fault::DaaScore, false),
    ("score, higher", |it| it.daa_score += 1, Fault::DaaScore, false),
    ("bits, harder", |it| it.bits = 0x207f_fffe, Fault::Bits, false),
    ("blue score, lower", |it| it.blue_score -= 1, Fault::BlueScore, true),
    ("blue score, higher", |it| it.blue_score += 1, Fault::BlueScore, true),
    ("blue work, lower", |it| it.blue_work.0[23] -= 1, Fault::BlueWork, true),
    ("blue work, highest", |it| it.blue_work = BlueWork([0xff; 24]), Fault::BlueWork, true),
    ("median time", |it| it.timestamp = BLOCKS[1].header.timestamp - 1, Fault::TimeTooOld, true),
    ("a level less", |it| levels(it, |all| drop(all.pop())), Fault::IndirectParents, true),
    ("a level more", |it| levels(it, |all| all.push(vec![BLOCKS[0].hash])), Fault::IndirectParents, true),
    ("a level's parents", |it| levels(it, |all| all[1] = vec![Hash([1; 32])]), Fault::IndirectParents, true),
];

#[test]
fn every_wrong_field_of_a_header_is_found() {
    // One with several parents and levels.
    let has_both = |block: &Block| block.header.parents.level_count() > 1 && block.header.direct_parents().len() > 1;
    let before = BLOCKS.iter().position(has_both).unwrap();
    let (mut world, right) = (World::with_blocks(before), &BLOCKS[before]);
    let state = world.state();
    for (what, change, fault, is_remembered) in CHANGES {
        let wrong = right.with(change);
        let invalid = BlockOutcome::Invalid(fault);
        assert_eq!(world.take(&wrong), invalid, "{what}");
        let again = if is_remembered { BlockOutcome::Invalid(Fault::KnownInvalid) } else { invalid };
        let status = if is_remembered { Status::Invalid } else { Status::Unknown };
        assert_eq!(world.take_headers(std::slice::from_ref(&wrong)), (0, Some(again)), "{what}");
        assert_eq!(world.status(wrong.hash), status, "{what}");
    }
    world.save();
    assert_eq!((world.state(), world.reader.counts()), (state, (before as u64, 0)));
    // Parents may stand in any order on any level: the hash is another one, and the rules are kept.
    let reversed = right.with(|header| levels(header, |all| all.iter_mut().for_each(|level| level.reverse())));
    assert_eq!(world.take(&reversed), BlockOutcome::Accepted);
    assert_eq!(world.take(right), BlockOutcome::Accepted);
}

#[test]
fn what_comes_after_a_faulty_header_is_not_looked_at() {
    let mut world = World::with_blocks(BEFORE);
    let mut headers = BLOCKS[BEFORE..BEFORE + 10].to_vec();
    headers[4] = headers[4].with(|header| header.blue_score += 1);
    assert_eq!(world.take_headers(&headers), (4, Some(BlockOutcome::Invalid(Fault::BlueScore))));
    world.save();
    assert_eq!(world.reader.counts(), (BEFORE as u64 + 4, 4));
    // A child of the faulty one never finds its parent.
    let child = headers[5].with(|header| levels(header, |all| all[0] = vec![headers[4].hash]));
    assert_eq!(world.take(&child), BlockOutcome::ParentsUnknown(vec![headers[4].hash]));
}

#[test]
fn a_block_too_deep_to_be_merged_is_dropped_without_blame() {
    let mut world = World::with_blocks(BEFORE);
    let nothing = BLOCKS[BEFORE].with(|header| header.blue_work = BlueWork::default());
    assert_eq!(world.take(&nothing), BlockOutcome::TooOld);
    assert_eq!(world.status(nothing.hash), Status::Unknown);
}

/// The next block with these transactions in place of its own; with its root, if that is asked for.
pub(crate) fn with_body(transactions: Vec<Bytes>, fits: bool) -> Block {
    let mut block = BLOCKS[BEFORE].clone();
    if fits {
        let hashes = transactions.iter().map(|bytes| TransactionView::decode(bytes).unwrap().hash());
        block.header.hash_merkle_root = merkle_root(hashes);
    }
    block.transactions = transactions;
    block.hash = block.header.hash();
    block
}

/// A payment that spends this output.
fn payment(index: u32) -> Transaction<'static> {
    pay(index, 1)
}

fn check_body(what: &str, block: &Block, fault: Fault) {
    let is_remembered = fault != Fault::MerkleRoot && fault != Fault::NoBody;
    let mut world = World::with_blocks(BEFORE);
    let invalid = BlockOutcome::Invalid(fault);
    assert_eq!(world.take(block), invalid, "{what}");
    let status = if is_remembered { Status::Invalid } else { Status::Unknown };
    assert_eq!(world.status(block.hash), status, "{what}");
    world.save();
    assert_eq!(world.reader.counts(), (BEFORE as u64, 0), "{what}: nothing is kept");
    // Headers first, and one on top of it.
    let mut world = World::with_blocks(BEFORE);
    let state = world.state();
    assert_eq!(world.take_headers(std::slice::from_ref(block)), (1, None));
    assert_eq!(world.state().header_tip.hash, block.hash);
    let child = BLOCKS[BEFORE + 1].with(|header| levels(header, |all| all[0] = vec![block.hash]));
    let has_child = child.header.parents.level_count() == 1;
    assert_eq!(world.take_bodies(&[block]), (0, Some(invalid)), "{what}");
    if !is_remembered {
        assert_eq!(world.status(block.hash), Status::HeaderOnly);
        return;
    }
    assert_eq!((world.status(block.hash), world.state()), (Status::Invalid, state), "{what}");
    assert_eq!(world.missing_bodies(block.hash, 10), []);
    if has_child {
        assert_eq!(world.take(&child), BlockOutcome::Invalid(Fault::InvalidParent));
    }
}

#[test]
fn every_wrong_body_is_found() {
    let coinbase = BLOCKS[BEFORE].transactions[0].clone();
    let with = |others: &[Transaction<'_>]| {
        with_body([coinbase.clone()].into_iter().chain(others.iter().map(Transaction::encode)).collect(), true)
    };
    let changed = |change: &dyn Fn(&mut Transaction<'_>)| {
        let mut other = payment(1);
        change(&mut other);
        with(&[other])
    };
    check_body("no transactions", &with_body(Vec::new(), false), Fault::NoBody);
    check_body("another body", &with_body(BLOCKS[BEFORE + 1].transactions.clone(), false), Fault::MerkleRoot);
    check_body("no coinbase", &with_body(vec![payment(0).encode()], true), Fault::Coinbase);
    let second = Transaction { subnetwork_id: SUBNETWORK_COINBASE, ..Transaction::default() };
    check_body("two coinbases", &with(&[second]), Fault::Coinbase);
    check_body(
        "an output twice",
        &with(&[payment(1), Transaction { gas: 0, lock_time: 1, ..payment(1) }]),
        Fault::Transaction,
    );
    check_body("a transaction twice", &with(&[payment(1), payment(1)]), Fault::Transaction);
    let first = payment(1);
    let previous = Outpoint { transaction_id: TransactionView::decode(&first.encode()).unwrap().id(), index: 0 };
    let chained = Transaction { inputs: vec![Input { previous, ..first.inputs[0] }], ..payment(2) };
    check_body("one spends the other's", &with(&[first, chained]), Fault::Transaction);
    check_body("nothing spent", &changed(&|it| it.inputs.clear()), Fault::Transaction);
    check_body("an input twice", &changed(&|it| it.inputs.push(it.inputs[0])), Fault::Transaction);
    check_body("worth nothing", &changed(&|it| it.outputs[0].value = 0), Fault::Transaction);
    check_body("worth too much", &changed(&|it| it.outputs[0].value = u64::MAX), Fault::Transaction);
    check_body("a later version", &changed(&|it| it.version = 2), Fault::Transaction);
    check_body("gas without a lane", &changed(&|it| it.gas = 1), Fault::Transaction);
    check_body("a lane in version 0", &changed(&|it| it.subnetwork_id[1] = 1), Fault::Transaction);
    check_body("not final", &changed(&|it| it.lock_time = 1_000_000), Fault::Transaction);
    check_body("storage mass", &changed(&|it| it.storage_mass = 500_001), Fault::Mass);
    let payload = vec![0; 250_000];
    check_body("transient mass", &with(&[Transaction { payload: &payload, ..payment(1) }]), Fault::Mass);
}

#[test]
fn every_wrong_coinbase_is_found() {
    let bytes = &BLOCKS[BEFORE].transactions[0];
    let coinbase = TransactionView::decode(bytes).unwrap().parts();
    let with_payload = |change: &dyn Fn(&mut Vec<u8>)| {
        let mut payload = coinbase.payload.to_vec();
        change(&mut payload);
        with_body(vec![Transaction { payload: &payload, ..coinbase.clone() }.encode()], true)
    };
    check_body("blue score", &with_payload(&|payload| payload[0] ^= 1), Fault::Coinbase);
    check_body("subsidy", &with_payload(&|payload| payload[8] ^= 1), Fault::Coinbase);
    check_body("a script cut off", &with_payload(&|payload| payload.truncate(20)), Fault::Coinbase);
    check_body("too long", &with_payload(&|payload| payload.resize(205, 0)), Fault::Coinbase);
    let mut spends = coinbase.clone();
    spends.inputs = payment(1).inputs;
    check_body("inputs", &with_body(vec![spends.encode()], true), Fault::Transaction);
    let outputs = vec![payment(1).outputs[0]; 127];
    let pays = Transaction { outputs, ..coinbase.clone() };
    check_body("outputs", &with_body(vec![pays.encode()], true), Fault::Transaction);
}

#[test]
fn what_no_hash_covers_is_not_kept() {
    let mut world = World::with_blocks(BEFORE);
    let right = &BLOCKS[BEFORE];
    // An unknown field of a thousand bytes behind the header's, and one behind a transaction's.
    let junk = [&[0x82, 0x06, 0xe8, 0x07][..], &[0xaa; 1_000]].concat();
    let header = [&right.header.encode()[..], &junk].concat();
    let transaction = [&right.transactions[0][..], &junk].concat();
    let bytes = polypeer_kaspa::wire::encode_block(&header, [&transaction[..]]);
    match world.ask(polypeer_kaspa::ledger::Request::TakeBlock(bytes)) {
        polypeer_kaspa::ledger::Answer::BlockTaken { hash, outcome: BlockOutcome::Accepted, .. } => {
            assert_eq!(hash, right.hash);
        }
        other => panic!("{other:?}"),
    }
    world.check_holds(std::slice::from_ref(right));
}
