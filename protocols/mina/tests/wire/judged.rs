//! Blocks that break a cheap rule are refused for that rule (Mina spec, section 6.4).

use super::fixtures::*;
use polypeer_mina::binprot::{Binable as _, Fp, Seq};
use polypeer_mina::block::{Block, Body, Slot};
use polypeer_mina::checks::{Objection, Rules};
use polypeer_mina::config::Constants;
use polypeer_mina::hash::{Hash, body_hash, body_reference, state_hash};
use polypeer_mina::ledger::Origin;

const SLOT_MS: u64 = 180_000;

// Devnet's, as they are configured.
fn rules() -> Rules {
    let genesis = polypeer_mina::hash::text::read_state_hash("3NL93SipJfAMNDBRfQ8Uo8LPovC74mnJZfZYB5SK7mTtkL72dsPx");
    Rules { genesis: genesis.expect("a hash"), constants: Constants::DEVNET, transaction_version: 3 }
}

/// When the block was made.
const NOW: u64 = 1_729_191_060_000;

/// The block with a change, at the time it was made.
#[track_caller]
fn check<'a>(bytes: &'a [u8], change: impl FnOnce(&mut Block<'a>), expected: Result<(), Objection>) {
    let mut block = block(bytes);
    change(&mut block);
    // It decodes as what it is.
    let altered = block.encode();
    let found = rules().check_block(&decoded(&altered), NOW, Origin::Gossip);
    assert_eq!(found, expected);
}

#[test]
fn the_block_is_right_when_it_was_made() {
    let bytes = file(BLOCK);
    check(&bytes, |_| {}, Ok(()));
    assert_eq!(rules().constants(), block(&file(BLOCK)).header.state.body.constants);
}

#[test]
fn mainnets_first_block_is_right_on_mainnet_only() {
    let (devnet, bytes) = (file(BLOCK), file(MAINNET_STATE));
    let mut header = block(&devnet).header;
    header.state = state(&bytes);
    header.delta_proof.from = header.state.previous;
    let genesis = Hash::from(header.state.body.genesis);
    let mainnet = Rules { genesis, constants: Constants::MAINNET, transaction_version: 3 };
    let now = header.state.body.blockchain.timestamp;
    assert_eq!(mainnet.check_header(&header, now, Origin::Gossip), Ok(()));
    assert_eq!(rules().check_header(&header, now, Origin::Gossip), Err(Objection::Genesis));
    let other = Rules { genesis, ..rules() };
    assert_eq!(other.check_header(&header, now, Origin::Gossip), Err(Objection::Constants));
}

#[test]
fn a_block_of_another_chain_is_refused() {
    let bytes = file(BLOCK);
    check(&bytes, |block| block.header.state.body.genesis = Fp::ONE, Err(Objection::Genesis));
    check(&bytes, |block| block.header.state.body.constants.k += 1, Err(Objection::Constants));
    check(&bytes, |block| block.header.state.body.constants.delta += 1, Err(Objection::Constants));
    check(&bytes, |block| block.header.state.body.consensus.slots_per_epoch -= 1, Err(Objection::Constants));
    check(&bytes, |block| block.header.version.transaction = 4, Err(Objection::Version));
    check(&bytes, |block| block.header.version.network = 4, Ok(()));
}

#[test]
fn a_delta_proof_leads_to_the_block_below() {
    let bytes = file(BLOCK);
    check(&bytes, |block| block.header.delta_proof.from = Fp::ONE, Err(Objection::DeltaProof));
    let links = [Fp::ONE];
    check(&bytes, |block| block.header.delta_proof.bodies = Seq::of(&links).expect("one"), Err(Objection::DeltaProof));
}

/// On a network with delta the links are hashed up.
#[test]
fn the_links_of_a_delta_proof_are_hashed_up() {
    let (bytes, below) = (file(BLOCK), file(MAINNET_STATE));
    let below = state(&below);
    let links = [body_hash(&below.body)];
    let mut header = block(&bytes).header;
    header.state.previous = Fp(state_hash(&below).0);
    header.state.body.constants.delta = 1;
    header.delta_proof.from = below.previous;
    header.delta_proof.bodies = Seq::of(&links).expect("one");
    let mut rules = rules();
    rules.constants.delta = 1;
    assert_eq!(rules.check_header(&header, NOW, Origin::Gossip), Ok(()));
    // One slot later is not late any more, two are.
    assert_eq!(rules.check_header(&header, NOW + SLOT_MS, Origin::Gossip), Ok(()));
    assert_eq!(rules.check_header(&header, NOW + 2 * SLOT_MS, Origin::Gossip), Err(Objection::Late));
    header.state.previous = Fp::ONE;
    assert_eq!(rules.check_header(&header, NOW, Origin::Gossip), Err(Objection::DeltaProof));
}

#[test]
fn a_block_has_the_time_of_its_slot() {
    let bytes = file(BLOCK);
    check(&bytes, |block| block.header.state.body.blockchain.timestamp += 1, Err(Objection::Timestamp));
    check(&bytes, |block| block.header.state.body.consensus.slot = Slot(1), Err(Objection::Timestamp));
    check(&bytes, |block| block.header.state.body.consensus.slot = Slot(u32::MAX), Err(Objection::Timestamp));
}

#[test]
fn a_body_is_the_one_that_the_state_says() {
    let bytes = file(BLOCK);
    check(&bytes, |block| block.header.state.body.blockchain.body_reference[0] ^= 1, Err(Objection::BodyReference));
    let other = Body::EMPTY.encode();
    check(&bytes, |block| block.body = decoded(&other), Err(Objection::BodyReference));
    let other = Body::EMPTY.encode();
    check(
        &bytes,
        |block| {
            block.body = decoded(&other);
            block.header.state.body.blockchain.body_reference = body_reference(&other).0;
        },
        Ok(()),
    );
}

/// Too early and too late are nobody's fault, and only gossip is late.
#[test]
fn a_block_comes_in_its_slot() {
    let bytes = file(BLOCK);
    let block = block(&bytes);
    for (now, origin, expected) in [
        (NOW + SLOT_MS - 1, Origin::Gossip, Ok(())),
        (NOW + SLOT_MS, Origin::Gossip, Err(Objection::Late)),
        (NOW + SLOT_MS, Origin::Sync, Ok(())),
        (NOW + 1_000_000 * SLOT_MS, Origin::Sync, Ok(())),
        (NOW - SLOT_MS, Origin::Gossip, Ok(())),
        (NOW - SLOT_MS - 1, Origin::Gossip, Err(Objection::Future)),
        (NOW - SLOT_MS - 1, Origin::Sync, Err(Objection::Future)),
        (0, Origin::Sync, Err(Objection::Future)),
    ] {
        assert_eq!(rules().check_block(&block, now, origin), expected, "{now} {origin:?}");
    }
    // A clock that is past the last slot there can be.
    assert_eq!(rules().check_block(&block, u64::MAX, Origin::Sync), Err(Objection::Future));
}

#[test]
fn what_is_wrong_is_a_fault_and_what_is_untimely_is_none() {
    let all = [
        Objection::Genesis,
        Objection::Constants,
        Objection::Version,
        Objection::DeltaProof,
        Objection::Timestamp,
        Objection::BodyReference,
        Objection::Future,
        Objection::Late,
        Objection::Statement,
    ];
    let ignored: Vec<_> = all.into_iter().filter(|objection| !objection.is_fault()).collect();
    assert_eq!(ignored, [Objection::Future, Objection::Late]);
    let texts: std::collections::BTreeSet<String> = all.iter().map(ToString::to_string).collect();
    assert_eq!(texts.len(), all.len(), "each says something else");
}
