//! Blocks of private networks.

use crate::made::{CONSTANTS, Made, id, payment, rules};
use crate::world::{World, asks};
use bytes::Bytes;
use polypeer_ledger_mina::{BlockKey, Config, Mina, OpenError, Producer, Rules};
use polypeer_mina::binprot::Binable as _;
use polypeer_mina::block::Block;
use polypeer_mina::checks;
use polypeer_mina::config::Constants;
use polypeer_mina::ledger::{Answer, Hash, Kind, Origin, Request, Verdict};
use std::time::Duration;

/// The blocks among what was said, and the tips.
fn told(said: &[Answer]) -> (Vec<Bytes>, Vec<Hash>) {
    let (mut blocks, mut tips) = (Vec::new(), Vec::new());
    for answer in said {
        match answer {
            Answer::Publish { kind: Kind::Block, payload } => blocks.push(payload.clone()),
            Answer::TipMoved(tip) => tips.push(tip.hash),
            other => panic!("{other:?}"),
        }
    }
    (blocks, tips)
}

#[test]
fn every_slot_has_a_block_that_keeps_all_rules() {
    let mut world = World::producing(1, 100);
    let mut follower = World::new();
    let judge = checks::Rules { genesis: rules().genesis, constants: CONSTANTS, transaction_version: 3 };
    let started = world.now.unix_ms;
    let (blocks, tips) = told(&world.run(Duration::from_secs(70)));
    assert_eq!((blocks.len(), tips.len()), (70, 70));
    let mut parent = follower.first();
    for (place, bytes) in blocks.iter().enumerate() {
        let block = Block::decode(bytes).unwrap();
        let slot = block.header.state.body.consensus.slot.0;
        assert_eq!(slot as usize, 1 + place);
        let unix_ms = started + 1_000 * place as u64 + 600;
        assert_eq!(judge.check_block(&block, unix_ms, Origin::Gossip), Ok(()), "slot {slot}");
        let made = Made::read(bytes);
        assert_eq!((made.parent, made.length()), (parent.hash, parent.length() + 1));
        // Another ledger, which knows no producer, takes it.
        assert_eq!(follower.judge_bytes(made.hash, bytes), (Verdict::Unverified, None));
        parent = made;
    }
    assert_eq!(follower.tip(), world.tip());
    assert_eq!(follower.tip().hash, tips[69]);
}

#[test]
fn about_as_many_slots_as_were_asked_for_are_won() {
    for percent in [0, 25, 75] {
        let mut world = World::producing(2, percent);
        let (blocks, _) = told(&world.run(Duration::from_secs(400)));
        let expected = 4 * percent as usize;
        assert!(blocks.len().abs_diff(expected) <= 40, "{percent} %: {} of 400", blocks.len());
    }
}

#[test]
fn blocks_have_what_waits_by_fee_and_nonce_without_gaps() {
    let mut world = World::producing(3, 100);
    let commands = [payment(1, 1, 50), payment(1, 0, 10), payment(2, 0, 20), payment(2, 2, 90), payment(3, 0, 30)];
    assert_eq!(world.gossip(&commands), Verdict::Unverified);
    told(&world.run(Duration::from_secs(1)));
    let block = world.reader.block(&BlockKey::Tip).unwrap();
    let expected = [&commands[4], &commands[2], &commands[1], &commands[0]].map(id);
    assert_eq!(block.transactions, expected);
    // The one behind the gap waits on.
    assert_eq!(world.reader.waiting(9).1, [id(&commands[3])]);
    told(&world.run(Duration::from_secs(2)));
    assert_eq!(world.reader.block(&BlockKey::Tip).unwrap().transactions, []);
    world.gossip(&[payment(2, 1, 1)]);
    told(&world.run(Duration::from_secs(1)));
    assert_eq!(
        world.reader.block(&BlockKey::Tip).unwrap().transactions,
        [payment(2, 1, 1), commands[3].clone()].map(|it| id(&it))
    );
}

#[test]
fn a_payers_first_command_is_waited_for() {
    let mut world = World::producing(5, 100);
    let [first, second] = [0, 1].map(|nonce| payment(1, nonce, 10));
    assert_eq!(world.gossip(std::slice::from_ref(&second)), Verdict::Unverified);
    told(&world.run(Duration::from_secs(1)));
    assert_eq!(world.reader.block(&BlockKey::Tip).unwrap().transactions, []);
    // Had the second been taken, nobody would have taken the first any more.
    assert_eq!(world.gossip(std::slice::from_ref(&first)), Verdict::Unverified);
    told(&world.run(Duration::from_secs(1)));
    assert_eq!(world.reader.block(&BlockKey::Tip).unwrap().transactions, [first, second].map(|it| id(&it)));
}

#[test]
fn a_block_has_at_most_as_many_commands_as_one_has_room_for() {
    let mut world = World::producing(4, 100);
    for payer in 0..15 {
        let commands: Vec<_> = (0..20).map(|nonce| payment(payer, nonce, 10)).collect();
        assert_eq!(world.gossip(&commands), Verdict::Unverified);
    }
    let mut counts = Vec::new();
    for _ in 0..4 {
        told(&world.run(Duration::from_secs(1)));
        counts.push(world.reader.block(&BlockKey::Tip).unwrap().transactions.len());
    }
    assert_eq!(counts, [128, 128, 44, 0]);
}

#[test]
fn producers_agree_when_they_hear_of_each_other() {
    let mut worlds: Vec<_> = (1..=3).map(|seed| World::producing(seed, 60)).collect();
    let mut forks = 0;
    for _ in 0..60 {
        let mut blocks = Vec::new();
        for world in &mut worlds {
            blocks.extend(told(&world.run(Duration::from_secs(1))).0);
        }
        forks += usize::from(blocks.len() > 1);
        for world in &mut worlds {
            for bytes in &blocks {
                let hash = Made::read(bytes).hash;
                let (verdict, wants) = world.judge_bytes(hash, bytes);
                assert!(verdict != Verdict::Reject && wants.is_none());
            }
        }
        let tips: Vec<_> = worlds.iter_mut().map(World::tip).collect();
        assert!(tips.iter().all(|tip| *tip == tips[0]), "{tips:?}");
    }
    assert!(forks > 5, "slots with two producers: {forks}");
    assert!(worlds[0].tip().length > 40);
}

#[test]
fn nothing_is_made_while_catching_up() {
    let mut world = World::producing(1, 100);
    world.batch(vec![Request::CatchingUp(true)]);
    assert_eq!(world.ledger_wakes(), None);
    assert_eq!(world.run(Duration::from_secs(5)), []);
    world.batch(vec![Request::CatchingUp(false)]);
    // The slot that is not over yet is one of them.
    assert_eq!(told(&world.run(Duration::from_secs(5))).0.len(), 6);
}

#[test]
fn a_slot_that_another_has_filled_is_not_filled_again() {
    let mut world = World::producing(1, 100);
    let ahead = world.first().line(3, 9);
    for block in &ahead {
        world.batch(vec![asks(block.hash, &block.bytes)]);
    }
    // Their slots are still to come: what is made follows on them, and only later.
    let (blocks, _) = told(&world.run(Duration::from_secs(5)));
    let slots: Vec<_> = blocks.iter().map(|block| Made::read(block).slot()).collect();
    assert_eq!(slots, [4, 5]);
}

#[test]
fn blocks_are_made_on_networks_without_proofs_only() {
    let producer = Some(Producer { seed: [1; 32], slots_percent: 100 });
    let public = Rules::public(Hash([1; 32]), Constants::DEVNET);
    let opened = Mina::open(Config { producer, ..Config::in_memory(public) });
    assert!(matches!(opened, Err(OpenError::Proofs)));
}

#[test]
fn constants_that_make_no_chain_are_refused() {
    let changes: [fn(&mut Constants); 5] = [
        |constants| constants.k = 0,
        |constants| constants.slots_per_epoch = 2,
        |constants| constants.slots_per_sub_window = 0,
        |constants| constants.delta = 1,
        |constants| constants.slot_ms = 0,
    ];
    for change in changes {
        let mut constants = CONSTANTS;
        change(&mut constants);
        assert!(matches!(Rules::private("0", constants), Err(OpenError::Constants)), "{constants:?}");
        let public = Rules::public(Hash([1; 32]), constants);
        assert!(matches!(Mina::open(Config::in_memory(public)), Err(OpenError::Constants)));
    }
    let [one, other] = ["0", "1"].map(|chain_id| Rules::private(chain_id, CONSTANTS).unwrap().genesis);
    assert_ne!(one, other, "every chain id has a first block of its own");
}

impl World {
    fn ledger_wakes(&self) -> Option<polypeer_engine::Time> {
        polypeer_engine::Ledger::next_wake(&self.ledger, self.now)
    }
}
