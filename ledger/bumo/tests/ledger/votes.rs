//! A validator's votes: durable before they are signed, and never in contradiction.

use crate::world::{World, key, prove, rules, validating};
use bytes::Bytes;
use polypeer_bumo::hash::sha256;
use polypeer_bumo::ledger::{Answer, Request, SignError};
use polypeer_bumo::wire::{Body, Message, NewView, Pbft, PrePrepare, RawViewChange, ViewChange, Vote};
use polypeer_engine::Random;
use polypeer_ledger_bumo::{Bumo, Config, OpenError};
use polypeer_sim::Tape;
use std::io::ErrorKind;
use std::sync::Arc;

/// Bytes of each vote file here.
const SEGMENT: u64 = 64 << 10;
/// What a vote file begins with.
const HEAD_AND_SEAL: usize = 64;

fn pbft(round_number: i64, body: Body<'_>) -> Bytes {
    Pbft { round_number, body, chain_id: 0 }.encode()
}

fn vote(view_number: i64, sequence: i64, value_digest: &[u8]) -> Vote<'_> {
    Vote { view_number, sequence, replica_id: 0, value_digest }
}

pub(crate) fn prepare(sequence: i64, view: i64, digest: [u8; 32]) -> Bytes {
    pbft(1, Body::Prepare(vote(view, sequence, &digest)))
}

fn commit(sequence: i64, view: i64, digest: [u8; 32]) -> Bytes {
    pbft(1, Body::Commit(vote(view, sequence, &digest)))
}

fn propose(sequence: i64, view: i64, value: &[u8]) -> Bytes {
    let value_digest = &sha256(value).0;
    pbft(1, Body::PrePrepare(PrePrepare { view_number: view, sequence, replica_id: 0, value, value_digest }))
}

fn change(last: i64, view: i64, prepared: &[u8]) -> Bytes {
    let prepared_value_digest = prepared;
    pbft(0, Body::ViewChange(ViewChange { view_number: view, sequence: last, prepared_value_digest, replica_id: 0 }))
}

/// The disks of one validator.
#[derive(Clone, Default)]
pub(crate) struct Disks {
    pub(crate) store: Tape,
    pub(crate) votes: [Tape; 2],
}

impl Disks {
    pub(crate) fn open(&self, validators: usize) -> Result<World, OpenError> {
        let votes = self.votes.each_ref().map(|tape| Arc::new(tape.clone()) as _);
        let config = Config { limits: limits(), ..validating(validators) };
        Ok(World::over(Bumo::open_with_backend(self.store.clone(), votes, config)?, validators))
    }

    pub(crate) fn world(&self) -> World {
        self.open(4).unwrap()
    }

    /// What a kill at this moment leaves: all that was written.
    pub(crate) fn killed(&self) -> Self {
        let hold = |tape: &Tape| Tape::holding(tape.bytes());
        Self { store: hold(&self.store), votes: self.votes.each_ref().map(hold) }
    }

    /// What a crash may leave at these moments of each disk's past.
    pub(crate) fn crashed(&self, moments: [usize; 3], random: &mut Random) -> Self {
        let [one, other] = &self.votes;
        Self {
            store: self.store.crashed(moments[0], random),
            votes: [one.crashed(moments[1], random), other.crashed(moments[2], random)],
        }
    }

    pub(crate) fn moments(&self) -> [usize; 3] {
        [&self.store, &self.votes[0], &self.votes[1]].map(Tape::changes)
    }
}

fn limits() -> polypeer_ledger_bumo::Limits {
    polypeer_ledger_bumo::Limits { votes_bytes: SEGMENT, ..Default::default() }
}

#[test]
fn one_vote_of_a_kind_for_each_view_and_sequence() {
    let mut world = World::new(4);
    let (one, other) = ([1; 32], [2; 32]);
    let contradiction = Err(SignError::Contradiction);
    for (vote, again) in [
        (prepare(2, 0, one), prepare(2, 0, other)),
        (commit(2, 0, one), commit(2, 0, other)),
        (propose(2, 4, b"one"), propose(2, 4, b"other")),
        (change(1, 5, &[]), change(1, 5, &one)),
        (change(1, 6, &one), change(1, 6, &other)),
    ] {
        let first = world.sign(&vote, b"with it").unwrap();
        assert!(key("validator-0").public().verify(&vote, &first.sign_data));
        assert_eq!(first.public_key, key("validator-0").public().text());
        assert_eq!(world.sign(&again, &[]), contradiction);
        assert_eq!(world.sign(&vote, &[]), Ok(first), "the same again is no contradiction");
    }
    // Another round of the same, and other places.
    assert!(world.sign(&pbft(2, Body::Prepare(vote(0, 2, &one))), &[]).is_ok());
    assert!(world.sign(&prepare(2, 1, other), &[]).is_ok());
    assert!(world.sign(&prepare(3, 0, other), &[]).is_ok());
    // What binds to nothing.
    assert!(world.sign(&pbft(0, Body::NewView(NewView { view_number: 5, ..NewView::default() })), &[]).is_ok());
    assert!(world.sign(&pbft(3, Body::RawViewChange(RawViewChange::default())), &[]).is_ok());
    for wrong in [
        Bytes::from_static(&[0xff]),
        pbft(1, Body::Missing(1)),
        pbft(1, Body::Prepare(vote(0, 9, &[1; 31]))),
        Pbft { round_number: 1, body: Body::Prepare(vote(0, 9, &one)), chain_id: 1 }.encode(),
    ] {
        assert_eq!(world.sign(&wrong, &[]), Err(SignError::Malformed));
    }
}

#[test]
fn a_vote_on_a_closed_ledger_must_be_for_its_value() {
    let mut world = World::new(4);
    let (value, ..) = world.advance();
    for settles in [false, true] {
        if settles {
            world.settle();
        }
        assert!(world.sign(&commit(2, 3, sha256(&value).0), &[]).is_ok());
        assert_eq!(world.sign(&commit(2, 4, [1; 32]), &[]), Err(SignError::Contradiction));
        assert_eq!(world.sign(&change(1, 9, &[]), &[]), Err(SignError::Contradiction), "it knows more");
    }
    assert!(world.sign(&change(2, 9, &[]), &[]).is_ok());
}

#[test]
fn votes_of_one_batch_share_a_write_and_a_sync() {
    let disks = Disks::default();
    let mut world = disks.world();
    let changes = |disks: &Disks| disks.votes.iter().map(Tape::changes).sum::<usize>();
    let sign = |view| Request::Sign { pbft: prepare(2, view, [1; 32]), keep: Bytes::from_static(b"kept") };
    for count in [1, 2, 50] {
        let before = changes(&disks);
        let (answers, _) = world.batch((0..count).map(|place| sign(count * 100 + place)).collect());
        assert!(answers.iter().all(|answer| matches!(answer, Answer::Signed(Ok(_)))));
        assert_eq!(changes(&disks) - before, 2, "{count} votes");
    }
    let before = (changes(&disks), disks.store.changes());
    let (answers, _) = world.batch(vec![sign(100), sign(200), sign(201)]);
    assert_eq!(answers.len(), 3);
    assert_eq!((changes(&disks), disks.store.changes()), before, "what is durable needs nothing");
    // A ledger costs nothing of its own either.
    world.advance();
    assert_eq!((changes(&disks), disks.store.changes()), before);
    let record = Request::Keep { record: Bytes::from_static(b"record") };
    assert_eq!(world.ask(record), Answer::Kept(Ok(())));
    assert_eq!(changes(&disks) - before.0, 2);
}

#[test]
fn what_was_kept_comes_back_in_order_until_its_ledger_is_closed() {
    let disks = Disks::default();
    let mut world = disks.world();
    assert_eq!(world.tip().kept, [] as [Bytes; 0]);
    world.sign(&prepare(2, 0, [1; 32]), b"first").unwrap();
    world.sign(&commit(2, 0, [1; 32]), b"second").unwrap();
    world.sign(&commit(2, 0, [1; 32]), b"").unwrap();
    world.sign(&commit(2, 0, [1; 32]), b"second").unwrap();
    world.sign(&prepare(3, 1, [1; 32]), b"third").unwrap();
    assert_eq!(world.ask(Request::Keep { record: Bytes::from_static(b"fourth") }), Answer::Kept(Ok(())));
    let killed = disks.killed();
    drop(world);
    for disks in [disks, killed] {
        let mut world = disks.world();
        assert_eq!(world.tip().kept, ["first", "second", "third", "fourth"].map(Bytes::from_static_str));
        assert_eq!(world.sign(&prepare(2, 0, [2; 32]), &[]), Err(SignError::Contradiction));
        assert_eq!(world.sign(&prepare(3, 1, [2; 32]), &[]), Err(SignError::Contradiction));
        world.advance();
        drop(world);
        let mut world = disks.world();
        assert_eq!((world.tip().seq, world.tip().kept), (2, vec![Bytes::from_static(b"third")]));
        assert_eq!(world.sign(&prepare(3, 1, [2; 32]), &[]), Err(SignError::Contradiction));
    }
}

trait FromStr {
    fn from_static_str(text: &'static str) -> Bytes;
}

impl FromStr for Bytes {
    fn from_static_str(text: &'static str) -> Bytes {
        Bytes::from_static(text.as_bytes())
    }
}

/// A validator that is killed at any moment has every ledger that it voted on.
#[test]
fn a_kill_leaves_the_ledgers_that_were_closed_before_the_last_vote() {
    let disks = Disks::default();
    let mut world = disks.world();
    let mut tips = Vec::new();
    for seq in 2..40 {
        world.sign(&prepare(seq, seq, [1; 32]), b"kept").unwrap();
        let tip = world.tip().seq;
        let mut after = disks.killed().world();
        assert_eq!(after.tip().seq, tip, "closed and not committed");
        assert_eq!(after.tip().hash, world.tip().hash);
        assert_eq!(after.reader.standing().header.number as i64, tip, "and committed when it is opened");
        assert_eq!(after.sign(&prepare(seq, seq, [2; 32]), &[]), Err(SignError::Contradiction));
        tips.push(world.advance().2);
        if seq % 7 == 0 {
            world.settle();
        }
    }
    assert_eq!(tips.len(), 38);
}

/// Whatever sectors a crash leaves of what was not synced.
#[test]
fn every_vote_that_was_signed_survives_a_crash() {
    let disks = Disks::default();
    let mut world = disks.world();
    let mut history = vec![(disks.moments(), 1, 0)];
    let founded = disks.moments();
    for seq in 2..30 {
        for vote in [prepare(seq, seq, [1; 32]), commit(seq, seq, [1; 32])] {
            world.sign(&vote, &[7; 600]).unwrap();
            history.push((disks.moments(), world.tip().seq, seq));
        }
        world.advance();
        if seq % 5 == 0 {
            world.settle();
            history.push((disks.moments(), world.tip().seq, seq));
        }
    }
    let mut random = Random::new([9; 32]);
    let rounds = std::env::var("LEDGER_CRASHES").ok().and_then(|rounds| rounds.parse().ok()).unwrap_or(200);
    for round in 0..rounds {
        let (moments, tip, voted) = history[random.below(history.len())];
        assert!(moments.iter().zip(founded).all(|(moment, founded)| *moment >= founded));
        let mut after = disks.crashed(moments, &mut random).world();
        assert!(after.tip().seq >= tip, "round {round}: {} of {tip}", after.tip().seq);
        if voted > after.tip().seq {
            assert_eq!(
                after.sign(&prepare(voted, voted, [2; 32]), &[]),
                Err(SignError::Contradiction),
                "round {round}"
            );
        }
    }
}

#[test]
fn a_log_that_is_cut_at_any_byte_holds_what_is_before() {
    let disks = Disks::default();
    let mut world = disks.world();
    for seq in 2..6 {
        world.sign(&prepare(seq, 0, [1; 32]), format!("kept {seq}").as_bytes()).unwrap();
    }
    let kept = world.tip().kept;
    drop(world);
    let used = |tape: &Tape| tape.bytes().iter().rposition(|byte| *byte != 0).unwrap_or(0);
    let active = usize::from(used(&disks.votes[1]) > used(&disks.votes[0]));
    let whole = disks.votes[active].bytes();
    let mut seen = 0;
    for cut in 0..=used(&disks.votes[active]) + 1 {
        let mut bytes = whole.clone();
        bytes[cut..].fill(0);
        let mut torn = disks.killed();
        torn.votes[active] = Tape::holding(bytes);
        let mut world = match torn.open(4) {
            Ok(world) => world,
            // No write that was torn leaves a file without its head and seal: they were durable before the first vote.
            Err(OpenError::Votes(0)) if cut <= HEAD_AND_SEAL => continue,
            Err(other) => panic!("cut at {cut}: {other}"),
        };
        assert!(cut >= HEAD_AND_SEAL);
        let left = world.tip().kept;
        assert!(kept.starts_with(&left) && left.len() >= seen, "cut at {cut}");
        seen = left.len();
        for seq in 2..2 + seen as i64 {
            assert_eq!(world.sign(&prepare(seq, 0, [2; 32]), &[]), Err(SignError::Contradiction));
        }
    }
    assert_eq!(seen, kept.len());
}

#[test]
fn a_bit_that_turned_in_a_log_is_told_unless_it_looks_like_a_cut() {
    let disks = Disks::default();
    let mut world = disks.world();
    for seq in 2..6 {
        world.sign(&prepare(seq, 0, [1; 32]), b"kept").unwrap();
    }
    drop(world);
    let used = |tape: &Tape| tape.bytes().iter().rposition(|byte| *byte != 0).unwrap_or(0);
    let active = usize::from(used(&disks.votes[1]) > used(&disks.votes[0]));
    let (whole, end) = (disks.votes[active].bytes(), used(&disks.votes[active]));
    let (mut told, mut cut) = (0, 0);
    for byte in 0..=end {
        let mut bytes = whole.clone();
        bytes[byte] ^= 1 << (byte % 8);
        let mut turned = disks.killed();
        turned.votes[active] = Tape::holding(bytes.clone());
        match turned.open(4) {
            Err(OpenError::Votes(_)) => {
                told += 1;
                assert_eq!(turned.votes[active].bytes(), bytes, "it is left as it is");
            }
            Ok(mut world) => {
                cut += 1;
                // The last vote, or a log that never began.
                assert!(world.tip().kept.len() <= 3);
            }
            Err(other) => panic!("{other}"),
        }
    }
    println!("{told} told, {cut} as if cut");
    assert!(told > 3 * cut, "{told} told, {cut} as if cut");
}

#[test]
fn a_full_log_begins_anew_with_what_still_matters() {
    let disks = Disks::default();
    let mut world = disks.world();
    for seq in 2..400 {
        world.sign(&prepare(seq, seq, [1; 32]), &[7; 400]).unwrap();
        world.advance();
        if seq % 50 == 0 {
            world.settle();
        }
        assert!(disks.votes.iter().all(|tape| tape.bytes().len() as u64 <= 2 * SEGMENT), "ledger {seq}");
    }
    world.sign(&prepare(400, 400, [1; 32]), b"kept").unwrap();
    let mut after = disks.killed().world();
    assert_eq!((after.tip().seq, after.tip().kept), (399, vec![Bytes::from_static(b"kept")]));
}

#[test]
fn a_disk_that_takes_no_vote_gets_no_signature() {
    for (kind, comes_back) in [(ErrorKind::StorageFull, true), (ErrorKind::Other, false)] {
        for left in 0..2 {
            let disks = Disks::default();
            let mut world = disks.world();
            world.sign(&prepare(2, 0, [1; 32]), &[]).unwrap();
            disks.votes.iter().for_each(|tape| tape.fail_after(left, kind));
            assert_eq!(world.sign(&prepare(3, 0, [1; 32]), b"kept"), Err(SignError::Store));
            assert_eq!(
                world.ask(Request::Keep { record: Bytes::from_static(b"x") }),
                Answer::Kept(Err(SignError::Store))
            );
            disks.votes.iter().for_each(Tape::heal);
            // After a write that failed it can be tried again; after a sync that failed nobody knows what is there.
            let again = world.sign(&prepare(4, 0, [1; 32]), &[]);
            assert_eq!(again.is_ok(), left == 0, "{kind:?} {left} {comes_back}");
            // It may be on the disk by now, so it still counts.
            assert_eq!(world.sign(&prepare(3, 0, [2; 32]), &[]), Err(SignError::Contradiction));
            drop(world);
            let mut world = disks.world();
            assert_eq!(world.sign(&prepare(2, 0, [2; 32]), &[]), Err(SignError::Contradiction));
            assert!(world.sign(&prepare(5, 0, [2; 32]), &[]).is_ok());
        }
    }
}

#[test]
fn a_log_that_is_gone_with_a_store_that_is_there_is_a_new_one() {
    // Nobody can tell; the operator who removes it is told what it means where it is damaged.
    let disks = Disks::default();
    let mut world = disks.world();
    let (value, proof, _) = world.advance();
    world.settle();
    drop(world);
    let fresh = Disks { votes: Default::default(), ..disks };
    assert_eq!(fresh.world().tip().seq, 2);
    let mut follower = World::open(Config::in_memory(rules(4)), 4);
    assert_eq!(prove(&value, 2, 4), proof);
    follower.close(&value, &proof).unwrap();
}
