//! Headers by the thousand that cost nothing to make: neither the sink nor memory moves.

use crate::world::{BLOCKS, World};
use polypeer_kaspa::ledger::{BlockOutcome, BlueWork, Fault, Status};
use polypeer_kaspa::wire::{Header, Parents};
use polypeer_ledger_kaspa::{Config, Limits, Params};

/// Headers of the easiest bits and the highest blue work on a network's first block, no two alike.
fn flood(params: &Params, count: u64) -> impl Iterator<Item = Header> {
    let genesis = params.genesis.clone();
    (0..count).map(move |nonce| Header {
        version: 2,
        parents: Parents::of_levels([&[genesis.hash][..]]).unwrap(),
        timestamp: genesis.timestamp + 1 + nonce,
        bits: 0x207f_ffff,
        nonce,
        daa_score: genesis.daa_score,
        blue_work: BlueWork([0xff; 24]),
        blue_score: 1,
        pruning_point: genesis.hash,
        ..Header::default()
    })
}

#[test]
fn ten_thousand_headers_of_chosen_bits_change_nothing() {
    for params in [Params::devnet(), Params::mainnet()] {
        let mut world = World::open(Config::in_memory(params.clone()));
        let (state, room) = (world.state(), world.reader.room());
        let (mut no_work, mut wrong_bits) = (0, 0);
        for header in flood(&params, 10_000) {
            let hash = header.hash();
            let headers = vec![header.encode()];
            let answer = world.ask(polypeer_kaspa::ledger::Request::TakeHeaders(headers));
            match answer {
                polypeer_kaspa::ledger::Answer::HeadersTaken { taken: 0, fault: Some(fault), .. } => match fault {
                    BlockOutcome::Invalid(Fault::ProofOfWork) => no_work += 1,
                    BlockOutcome::Invalid(Fault::Bits) => wrong_bits += 1,
                    other => panic!("{other:?}"),
                },
                other => panic!("{other:?}"),
            }
            assert_eq!(world.status(hash), Status::Unknown);
        }
        // Half of all hashes meet the easiest target.
        assert!(no_work > 4_000 && wrong_bits > 4_000, "{no_work}, {wrong_bits}");
        assert_eq!((world.state(), world.reader.room(), world.reader.counts()), (state, room, (1, 0)));
    }
}

#[test]
fn where_work_is_not_asked_for_wrong_claims_still_change_nothing() {
    let params = Params::simnet();
    let mut world = World::new();
    let (state, room) = (world.state(), world.reader.room());
    for header in flood(&params, 10_000) {
        let fault = BlockOutcome::Invalid(Fault::BlueWork);
        let answer = world.ask(polypeer_kaspa::ledger::Request::TakeHeaders(vec![header.encode()]));
        let polypeer_kaspa::ledger::Answer::HeadersTaken { taken: 0, fault: Some(found), .. } = answer else {
            panic!("{answer:?}")
        };
        assert_eq!(found, fault);
    }
    assert_eq!((world.state(), world.reader.room(), world.reader.counts()), (state, room, (1, 0)));
}

#[test]
fn beyond_its_limit_a_ledger_takes_nothing_new_and_serves_on() {
    let limits = Limits { store_bytes: 400_000, ..Limits::default() };
    let mut world = World::open(Config { limits, ..Config::in_memory(Params::simnet()) });
    let fits = BLOCKS[1..].iter().take_while(|block| world.take(block) == BlockOutcome::Accepted).count();
    assert!((100..1_000).contains(&fits), "{fits}");
    let next = &BLOCKS[fits + 1];
    assert_eq!(world.take(next), BlockOutcome::NoRoom);
    assert_eq!(world.take(&BLOCKS[fits]), BlockOutcome::Known);
    world.save();
    let (held, most) = world.reader.room();
    assert!(held <= most && most - held < 2_000 && most == 400_000, "{held}");
    assert_eq!(
        world.state().sink.hash,
        BLOCKS[..=fits].iter().max_by_key(|block| block.header.blue_work).unwrap().hash
    );
    world.check_holds(&BLOCKS[..=fits]);
    let headers = world.take_headers(&BLOCKS[fits + 1..]);
    assert!(headers.0 < 10 && headers.1 == Some(BlockOutcome::NoRoom), "{headers:?}");
}
