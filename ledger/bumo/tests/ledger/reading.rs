//! What is served to peers (BUMO spec, section 6.1) and shown to an API.

use crate::captured::{follower, solo, solo_rules};
use crate::world::{Draft, RESERVE, World, id, person, validating};
use polypeer_bumo::ledger::{Served, Verdict};
use polypeer_bumo::wire::ErrorCode;
use polypeer_ledger_bumo::{Config, LedgerKey, OpenError, Rules};
use polypeer_store::file::FileError;

#[test]
fn ledgers_are_served_as_they_came_and_what_is_not_there_with_silence() {
    let ledgers = solo();
    let mut world = follower(solo_rules());
    world.take_all(&ledgers);
    for settles in [false, true] {
        if settles {
            world.settle();
        }
        for (begin, end) in [(2, 2), (2, 6), (3, 7), (27, 27), (23, 27), (26, 27)] {
            let Served { values, max_seq, proof } = world.serve(begin, end).unwrap();
            let expected: Vec<_> = (begin..=end).map(|seq| ledgers[seq as usize - 2].0.clone()).collect();
            assert_eq!((values, max_seq, proof), (expected, 27, ledgers[end as usize - 2].1.clone()));
        }
        let silent = [
            (2, 7),
            (1, 1),
            (1, 2),
            (3, 2),
            (27, 28),
            (28, 28),
            (0, 0),
            (-3, 1),
            (i64::MIN, i64::MAX),
            (i64::MAX, i64::MAX),
        ];
        for (begin, end) in silent {
            assert_eq!(world.serve(begin, end), None, "[{begin}, {end}]");
        }
    }
}

#[test]
fn readers_see_what_is_durable_and_what_waits() {
    let mut world = World::new(1);
    let (genesis, a) = (person("genesis"), person("acct-a"));
    let pay = Draft::of(&genesis, 1).pays(&a.address, RESERVE).seal();
    assert_eq!(world.submit(&pay), Verdict::Accepted);
    let waiting = world.reader.transaction(&id(&pay)).unwrap();
    assert_eq!((&waiting.bytes, waiting.place), (&pay, None));
    assert_eq!(world.reader.next_nonce(&genesis.address), Some(2));
    let (value, _, tip) = world.advance();
    // Closed and not yet committed.
    assert_eq!(world.reader.standing().header.number, 1);
    assert_eq!(world.reader.ledger(&LedgerKey::Number(2)), None);
    // It waits no longer and stands nowhere that is durable, and is known all the same.
    assert_eq!(world.reader.waiting(9).0, 0);
    assert_eq!(world.reader.transaction(&id(&pay)), Some(waiting));
    assert_eq!(world.reader.next_nonce(&genesis.address), Some(2));
    world.settle();
    assert_eq!(world.reader.standing().header.hash, Some(tip.hash));
    let ledger = world.reader.ledger(&LedgerKey::Hash(tip.hash)).unwrap();
    assert_eq!((&ledger.value, &ledger.transactions), (&value, &vec![id(&pay)]));
    let place = world.reader.transaction(&id(&pay)).unwrap().place.unwrap();
    assert_eq!(
        (place.ledger, place.hash, place.code, place.fee),
        (2, Some(tip.hash), ErrorCode::SUCCESS, 1_000 * pay.len() as i64)
    );
    assert_eq!(world.reader.next_nonce(&genesis.address), Some(2));
    assert_eq!((world.reader.next_nonce("x"), world.reader.account("x")), (None, None));
    assert!(world.reader.is_sound());
}

#[test]
fn rules_that_make_no_network_are_refused() {
    let good = crate::world::rules(2);
    let open = |rules| polypeer_ledger_bumo::Bumo::open(Config::in_memory(rules)).map(drop);
    let validator = good.validators[0].clone();
    type Row = (Rules, fn(&OpenError) -> bool);
    let rows: Vec<Row> = vec![
        (Rules { genesis_account: "x".to_owned(), ..good.clone() }, |error| matches!(error, OpenError::Address(_))),
        (Rules { validators: vec!["x".to_owned()], ..good.clone() }, |error| matches!(error, OpenError::Address(_))),
        (Rules { validators: Vec::new(), ..good.clone() }, |error| matches!(error, OpenError::Validators)),
        (Rules { validators: vec![validator.clone(); 2], ..good.clone() }, |error| {
            matches!(error, OpenError::Validators)
        }),
        (Rules { genesis_account: validator, ..good.clone() }, |error| matches!(error, OpenError::GenesisValidates)),
        (Rules { gas_price: -1, ..good.clone() }, |error| matches!(error, OpenError::Fees)),
    ];
    for (rules, is_it) in rows {
        assert!(open(rules).is_err_and(|error| is_it(&error)));
    }
    assert!(open(good).is_ok());
}

#[test]
fn a_file_of_another_network_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = Some(folder.path().join("ledger"));
    let config = |validators| Config { path: path.clone(), ..validating(validators) };
    let mut world = World::open(config(2), 2);
    world.advance();
    let in_use = polypeer_ledger_bumo::Bumo::open(config(2));
    assert!(in_use.is_err(), "one process has it");
    drop(world);
    let other = polypeer_ledger_bumo::Bumo::open(config(3));
    assert!(matches!(other, Err(OpenError::File(FileError::OtherNetwork))));
    assert_eq!(World::open(config(2), 2).tip().seq, 2);
}
