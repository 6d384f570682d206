//! Runs BUMO networks of separate processes: they agree, validators crash and come back, a newcomer catches up.
//!
//! Ledgers are half a second apart, and all that consensus waits for scales with that; one test has the original's ten
//! seconds. `POLYPEER_TEST_KILLS=1000` kills a voter so often.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail where they stand")]

mod cluster;
mod support;

use cluster::tap::{Way, tap};
use cluster::{Cluster, INTERVAL, NETWORK, configure, history, start, validator, view_timeout, within};
use polypeer_protocols::bumo::wire::{Body, Envelope, GetLedgers, Kind, Ledgers, Message as _, PbftEnv};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::sleep;
use std::time::{Duration, Instant};
use support::{Daemon, folder};

/// The original's interval.
const ORIGINAL: Duration = Duration::from_secs(10);

/// All pay, all have it, then these validators are gone, and it goes on.
fn goes_on_without(mut cluster: Cluster, validators: usize, gone: &[usize]) {
    cluster.goes_on(2);
    let mut payments: Vec<_> = (0..3).map(|place| cluster.pay(place)).collect();
    // Through the follower.
    payments.push(cluster.pay(validators));
    cluster.confirms(&payments);
    gone.iter().for_each(|place| cluster.kill(*place));
    // Every validator that is left, and each that is gone, has its turn.
    cluster.goes_on(validators as u64);
    payments.push(cluster.pay(validators));
    payments.push(cluster.pay(validators - 1));
    cluster.confirms(&payments);
    gone.iter().for_each(|place| cluster.run(*place));
    cluster.goes_on(2);
    cluster.confirms(&payments);
}

#[test]
fn four_validators_agree_and_one_may_crash() {
    goes_on_without(Cluster::start(4, INTERVAL), 4, &[2]);
}

#[test]
fn seven_validators_agree_and_two_may_crash() {
    goes_on_without(Cluster::start(7, INTERVAL), 7, &[0, 3]);
}

#[test]
fn thirteen_validators_agree_and_four_may_crash() {
    goes_on_without(Cluster::start(13, INTERVAL), 13, &[0, 3, 6, 9]);
}

/// Validators that sign with SM2, on ledgers that are hashed with SM3: the keys and the hash of the original's national
/// variant.
#[test]
fn four_validators_with_sm2_keys_agree_and_one_may_crash() {
    goes_on_without(Cluster::start_sm2(4, INTERVAL), 4, &[1]);
}

/// As soon as a node has a payment it counts it, whoever it was sent through, and never again loses sight of it: not
/// between the pool and the store either.
#[test]
fn a_payment_counts_at_every_node_that_has_it_from_then_on() {
    let cluster = Cluster::start(4, INTERVAL);
    cluster.goes_on(1);
    let key = const_hex::encode(ed25519_dalek::SigningKey::from_bytes(&[1; 32]).verifying_key().to_bytes());
    for round in 0..6_u64 {
        let through = cluster.node(round as usize % 5);
        let send = ["tx", "send", "--from", "1", "--to", "2", "--amount", "10000000"];
        let sent = through.json(&send);
        assert_eq!(sent["sequence"], round, "nobody says which: {sent}");
        let path = format!("/api/v1/networks/{NETWORK}/transactions/{}", sent["id"].as_str().unwrap());
        let is_known = |daemon: &Daemon| daemon.ask("GET", &path, None).0 == 200;
        let next = |daemon: &Daemon| daemon.look(&format!("accounts/{key}"))["next"].as_u64().unwrap();
        within(support::PATIENCE, "all have it", || cluster.running().all(is_known).then_some(()));
        // It is taken into a ledger meanwhile, which is stored later.
        let until = Instant::now() + 2 * INTERVAL;
        while Instant::now() < until {
            for daemon in cluster.running() {
                assert!(is_known(daemon), "it was here before");
                assert!(next(daemon) > round, "its nonce is taken");
            }
        }
    }
}

#[test]
fn it_goes_on_whoever_is_primary_dies() {
    let mut cluster = Cluster::start(4, INTERVAL);
    cluster.goes_on(2);
    let mut payments = Vec::new();
    for round in 0..5 {
        let begun = Instant::now();
        let before = cluster.heights().into_iter().max();
        let primary = cluster.primary();
        payments.push(cluster.pay(primary));
        cluster.kill(primary);
        payments.push(cluster.pay((primary + 1) % 4));
        sleep(2 * INTERVAL);
        cluster.run(primary);
        sleep((4 * view_timeout(INTERVAL)).saturating_sub(begun.elapsed()));
        // Whoever just came back may still be behind.
        let heights = cluster.heights();
        assert!(heights.iter().copied().max() > before, "round {round}: no ledger after {before:?}: {heights:?}");
    }
    cluster.confirms(&payments);
    cluster.goes_on(1);
}

#[test]
fn without_a_quorum_it_halts_and_then_resumes() {
    let mut cluster = Cluster::start(4, INTERVAL);
    cluster.goes_on(3);
    let mut payments = vec![cluster.pay(0), cluster.pay(3)];
    cluster.kill(0);
    cluster.kill(3);
    // What was agreed on before may still be closed.
    sleep(2 * INTERVAL);
    let halted = cluster.height();
    payments.push(cluster.pay(1));
    payments.push(cluster.pay(4));
    sleep(4 * view_timeout(INTERVAL));
    assert!(cluster.running().all(|daemon| daemon.height() == halted), "two of four agreed on something");
    cluster.compare();
    cluster.run(0);
    cluster.run(3);
    cluster.goes_on(3);
    cluster.confirms(&payments);
}

/// Six ledgers and a view change, about two minutes. Nearly all of it is waiting, beside other tests.
#[test]
fn the_originals_timers_bring_ledgers_and_a_view_change() {
    let mut cluster = Cluster::start(4, ORIGINAL);
    let reaches = |cluster: &Cluster, height: u64| {
        let patience = 8 * ORIGINAL;
        within(patience, "the next ledger", || (cluster.height() >= height).then_some(()));
    };
    reaches(&cluster, 3);
    let primary = cluster.primary();
    cluster.kill(primary);
    let payment = cluster.pay(4);
    reaches(&cluster, 4);
    cluster.run(primary);
    reaches(&cluster, 7);
    cluster.compare();
    cluster.confirms(&[payment]);
    let times: Vec<u64> =
        (2..=7).map(|height| cluster.node(4).look(&format!("blocks/{height}"))["time"].as_u64().unwrap()).collect();
    let gaps: Vec<u64> = times.windows(2).map(|pair| pair[1] - pair[0]).collect();
    println!("milliseconds between ledgers 2 to 7: {gaps:?}");
    let (interval, timeout) = (10_000, 30_000);
    assert!(gaps.iter().all(|gap| *gap >= interval), "{gaps:?}");
    // A view has thirty seconds from the ledger before on.
    assert!(gaps[1] >= timeout && gaps[1] < 2 * timeout, "{gaps:?}");
    assert!([0, 2, 3, 4].iter().all(|place| gaps[*place] < timeout), "{gaps:?}");
}

/// What a relay before a source has seen.
#[derive(Debug, Default)]
struct Served {
    answers: AtomicU64,
    // Answers that were altered or held back.
    spoilt: AtomicU64,
    // The most ledgers that one question was about.
    asked_max: AtomicU64,
}

/// How a source serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Manner {
    Honest,
    Lying,
    Silent,
}

/// Lets questions pass, and answers in this manner. The first answer is true: it says how far ahead the source is.
fn serve(goal: String, manner: Manner) -> (String, Arc<Served>) {
    let served = Arc::new(Served::default());
    let seen = served.clone();
    let address = tap(goal, move |way, message| {
        let envelope = Envelope::decode(message).unwrap();
        if envelope.kind() != Some(Kind::Ledgers) {
            return true;
        }
        if envelope.is_request {
            let asked = GetLedgers::decode(envelope.data).unwrap();
            if way == Way::There {
                seen.asked_max.fetch_max(u64::try_from(asked.end - asked.begin + 1).unwrap(), Ordering::Relaxed);
            }
            return true;
        }
        if way == Way::There {
            return true;
        }
        if seen.answers.fetch_add(1, Ordering::Relaxed) == 0 || manner == Manner::Honest {
            return true;
        }
        seen.spoilt.fetch_add(1, Ordering::Relaxed);
        if manner == Manner::Silent {
            return false;
        }
        // Another close time in the middle one of the values: nothing but its proof tells.
        let values = Ledgers::decode(envelope.data).unwrap().values;
        let value = values[values.len() / 2];
        let at = value.as_ptr() as usize - message.as_ptr() as usize + close_time(value);
        message[at] ^= 1;
        true
    });
    (address.to_string(), served)
}

/// The first byte of a value's close time, which stands behind its transactions.
fn close_time(value: &[u8]) -> usize {
    assert_eq!(value[0], 0x0a);
    let (mut length, mut at) = (0, 1);
    loop {
        length |= usize::from(value[at] & 0x7f) << (7 * (at - 1));
        at += 1;
        if value[at - 1] & 0x80 == 0 {
            break;
        }
    }
    assert_eq!(value[at + length], 0x10);
    at + length + 1
}

#[test]
fn a_newcomer_catches_up_beside_a_liar_and_a_silent_one() {
    const TIP: u64 = 10_001;
    let manners = [Manner::Honest, Manner::Lying, Manner::Silent, Manner::Honest];
    let folders: Vec<_> = manners.iter().map(|_| folder()).collect();
    let file = |place: usize| folders[place].path().join(NETWORK).join("ledgers.redb");
    folders.iter().for_each(|folder| std::fs::create_dir(folder.path().join(NETWORK)).unwrap());
    let begun = Instant::now();
    history::make(&file(0), 4, INTERVAL, TIP);
    println!("{TIP} ledgers were made in {:?}", begun.elapsed());
    for place in 1..manners.len() {
        std::fs::copy(file(0), file(place)).unwrap();
    }
    let sources: Vec<Daemon> = folders
        .iter()
        .map(|folder| start(folder.path(), &configure(folder.path(), 4, INTERVAL, None), "127.0.0.1:0", &[]))
        .collect();
    assert!(sources.iter().all(|source| source.height() == TIP));
    let served: Vec<_> = sources.iter().zip(manners).map(|(source, manner)| serve(source.address(), manner)).collect();
    let late = folder();
    let more: Vec<&str> = served.iter().flat_map(|(address, _)| ["--connect", address]).collect();
    let begun = Instant::now();
    let late = start(late.path(), &configure(late.path(), 4, INTERVAL, None), "127.0.0.1:0", &more);
    within(Duration::from_secs(170), "it has all ledgers", || (late.height() == TIP).then_some(()));
    let took = begun.elapsed();
    println!("caught up in {took:?}, {:.0} ledgers a second", (TIP - 1) as f64 / took.as_secs_f64());
    for (manner, (_, served)) in manners.iter().zip(&served) {
        println!("{manner:?}: {served:?}");
        let (answers, spoilt) = (served.answers.load(Ordering::Relaxed), served.spoilt.load(Ordering::Relaxed));
        assert_eq!(spoilt > 0, *manner != Manner::Honest, "{manner:?}: {served:?}");
        // Both honest ones bring much of it.
        assert!(*manner != Manner::Honest || answers > TIP / 5 / 10, "{manner:?}: {served:?}");
        assert!((1..=5).contains(&served.asked_max.load(Ordering::Relaxed)), "{served:?}");
    }
    for height in (1..=TIP).step_by(97).chain([TIP]) {
        assert_eq!(late.look(&format!("blocks/{height}")), sources[0].look(&format!("blocks/{height}")));
    }
}

/// The digests that a validator voted for, by kind, view and sequence.
type Votes = BTreeMap<(i32, i64, i64), BTreeSet<Vec<u8>>>;

/// Writes down what this validator says with its own signature.
fn note(votes: &Mutex<Votes>, public_key: &str, message: &[u8]) {
    let envelope = Envelope::decode(message).unwrap();
    if envelope.kind() != Some(Kind::Pbft) {
        return;
    }
    let signed = PbftEnv::decode(envelope.data).unwrap();
    if signed.signature.unwrap().public_key != public_key {
        return;
    }
    let body = signed.pbft.unwrap().message.body;
    let (view, sequence, digest) = match body {
        Body::PrePrepare(one) => (one.view_number, one.sequence, one.value_digest),
        Body::Prepare(vote) | Body::Commit(vote) => (vote.view_number, vote.sequence, vote.value_digest),
        _ => return,
    };
    votes.lock().unwrap().entry((body.number(), view, sequence)).or_default().insert(digest.to_vec());
}

#[test]
fn a_voter_that_is_killed_never_contradicts_itself() {
    const VOTER: usize = 3;
    let kills = std::env::var("POLYPEER_TEST_KILLS").ok().and_then(|count| count.parse().ok()).unwrap_or(20_u64);
    let mut cluster = Cluster::found(4, INTERVAL);
    // The others know nothing of where it listens: all that it says goes through the taps.
    cluster.lead(VOTER, Vec::new());
    let votes = Arc::new(Mutex::new(Votes::new()));
    let others = [0, 1, 2, 4];
    others.iter().for_each(|place| cluster.run(*place));
    let taps = others.map(|place| {
        let (votes, key) = (votes.clone(), validator(VOTER).public().text());
        let address = tap(cluster.address(place), move |way, message| {
            if way == Way::There {
                note(&votes, &key, message);
            }
            true
        });
        address.to_string()
    });
    cluster.lead(VOTER, taps.to_vec());
    let mut voted = 0;
    for round in 0..kills {
        cluster.run(VOTER);
        within(support::PATIENCE, "it votes", || (votes.lock().unwrap().len() > voted).then_some(()));
        // Somewhere within the votes on one ledger or two.
        let hash = blake3::hash(&round.to_be_bytes());
        sleep(Duration::from_millis(u64::from(u16::from_be_bytes(*hash.as_bytes().first_chunk().unwrap())) % 700));
        cluster.kill(VOTER);
        voted = votes.lock().unwrap().len();
    }
    cluster.run(VOTER);
    cluster.goes_on(4);
    let votes = votes.lock().unwrap();
    let kinds: BTreeSet<i32> = votes.keys().map(|key| key.0).collect();
    println!("{kills} kills, {} votes of the kinds {kinds:?}", votes.len());
    assert!(votes.len() as u64 > kills);
    for (key, digests) in &*votes {
        assert_eq!(digests.len(), 1, "two votes of one kind, view and sequence: {key:?}");
    }
}
