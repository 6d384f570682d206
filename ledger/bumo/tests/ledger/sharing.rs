//! What is done once and not again: signatures that consensus verified, one sync for all, a store that is written beside.

use crate::votes::{Disks, prepare};
use crate::world::{Draft, RESERVE, World, commit, id, person, prove, validating};
use bytes::Bytes;
use polypeer_bumo::hash::sha256;
use polypeer_bumo::ledger::{Answer, CloseError, Judgement, Origin, Proposal, Request, SignError, Verdict};
use polypeer_bumo::proof::{self, ProofFault};
use polypeer_bumo::wire::{ConsensusValue, Message};
use polypeer_ledger_bumo::{Config, LedgerKey};
use polypeer_sim::Tape;
use std::time::Duration;

#[test]
fn what_consensus_verified_is_not_verified_again_and_all_else_is() {
    let mut world = World::new(4);
    let Proposal { value, seq, .. } = world.propose();
    let proof = prove(&value, seq, 4);
    // It ends with a signature.
    let mut forged = proof.to_vec();
    *forged.last_mut().unwrap() ^= 1;
    let forged = Bytes::from(forged);
    assert_eq!(world.close(&value, &forged), Err(CloseError::Proof(ProofFault::Signature)));
    let mut agreed = |proof: Bytes| match world.ask(Request::CloseAgreed { value: value.clone(), proof }) {
        Answer::Closed(closed) => closed.map(|tip| tip.seq),
        other => panic!("{other:?}"),
    };
    assert_eq!(agreed(prove(b"another", seq, 4)), Err(CloseError::Proof(ProofFault::Digest)));
    assert_eq!(agreed(prove(&value, seq, 1)), Err(CloseError::Proof(ProofFault::TooFew)));
    assert_eq!(agreed(prove(&value, seq, 7)), Err(CloseError::Proof(ProofFault::Stranger)));
    assert_eq!(agreed(Bytes::from_static(&[0x0a])), Err(CloseError::Proof(ProofFault::Malformed)));
    assert_eq!(agreed(forged), Ok(2), "this one the state machine has looked at");
}

#[test]
fn a_previous_proof_of_other_commits_is_verified_as_far_as_they_are_others() {
    let mut world = World::new(4);
    let (first, _, tip) = world.advance();
    let Proposal { value, seq, .. } = world.propose();
    let commit =
        |place: usize| commit(&format!("validator-{place}"), place as i64, tip.seq, tip.seq, &sha256(&first)).to_vec();
    let with = |commits: [Vec<u8>; 3]| {
        let proof = proof::build(&commits.each_ref().map(|commit| &commit[..]));
        ConsensusValue { previous_proof: &proof, ..ConsensusValue::decode(&value).unwrap() }.encode()
    };
    let mut forged = commit(3);
    *forged.last_mut().unwrap() ^= 1;
    let wrong = with([commit(1), commit(0), forged]);
    assert_eq!(world.judge(&wrong), Judgement::Doubtful);
    let refused = world.close(&wrong, &prove(&wrong, seq, 4));
    assert_eq!(refused, Err(CloseError::PreviousProof(ProofFault::Signature)));
    let right = with([commit(3), commit(1), commit(0)]);
    assert_ne!(right, value);
    assert_eq!(world.judge(&right), Judgement::Valid);
    assert_eq!(world.close(&right, &prove(&right, seq, 4)).unwrap().seq, seq);
}

#[test]
fn an_operators_transaction_is_acknowledged_with_the_votes_sync() {
    let disks = Disks::default();
    let mut world = disks.world();
    let (genesis, a) = (person("genesis"), person("acct-a"));
    let pays: Vec<_> = (1..4).map(|nonce| Draft::of(&genesis, nonce).pays(&a.address, RESERVE).seal()).collect();
    let submit = |envelope: &Bytes| Request::Submit { envelope: envelope.clone(), origin: Origin::Operator };
    let mut batch: Vec<_> = pays.iter().map(submit).collect();
    batch.push(Request::Sign { pbft: prepare(2, 0, [1; 32]), keep: Bytes::from_static(b"kept") });
    let changes = |disks: &Disks| disks.votes.iter().map(Tape::changes).sum::<usize>();
    let before = (changes(&disks), disks.store.changes());
    let (asked, news) = world.batch(batch);
    let is_accepted = |answer: &&Answer| matches!(answer, Answer::Submitted { verdict: Verdict::Accepted, .. });
    assert_eq!((asked.iter().filter(is_accepted).count(), news.len()), (3, 3));
    assert_eq!((changes(&disks) - before.0, disks.store.changes()), (2, before.1), "one write and one sync");
    // A kill right now: they wait again, and are told to nobody yet.
    let after = disks.killed().world();
    assert_eq!(after.reader.waiting(9).0, 3);
    assert!(pays.iter().all(|pay| after.reader.transaction(&id(pay)).is_some()));
    // In a ledger that a vote made durable, and then in the store as well: they wait no longer.
    world.advance();
    world.sign(&prepare(3, 1, [1; 32]), b"kept").unwrap();
    for settles in [false, true] {
        if settles {
            world.settle();
        }
        let after = disks.killed().world();
        assert_eq!(after.reader.waiting(9).0, 0);
        let place = |pay| after.reader.transaction(&id(pay)).unwrap().place.unwrap();
        assert!(pays.iter().all(|pay| place(pay).ledger == 2));
    }
}

#[test]
fn what_is_on_its_way_into_the_store_is_read_and_voted_on() {
    let folder = tempfile::tempdir().unwrap();
    let config = || Config { path: Some(folder.path().join("ledger")), ..validating(4) };
    let mut world = World::open(config(), 4);
    let (genesis, a) = (person("genesis"), person("acct-a"));
    let mut ledgers = Vec::new();
    for _ in 0..20 {
        for _ in 0..5 {
            let (seq, nonce) = (ledgers.len() as i64 + 2, ledgers.len() as i64 + 1);
            let pay = Draft::of(&genesis, nonce).pays(&a.address, RESERVE).seal();
            assert_eq!(world.submit(&pay), Verdict::Accepted, "nonces and balances are those of the last ledger");
            world.sign(&prepare(seq, seq, [1; 32]), &[7; 400]).unwrap();
            ledgers.push(world.advance());
            assert!(world.reader.transaction(&id(&pay)).is_some(), "it is never lost sight of");
        }
        // On its way from now on.
        world.pass(Duration::from_secs(2));
        for (value, proof, tip) in ledgers.iter().rev().take(12) {
            let served = world.serve(tip.seq, tip.seq).unwrap();
            assert_eq!((&served.values[0], &served.proof), (value, proof));
            assert_eq!(world.sign(&prepare(tip.seq, 99, [2; 32]), &[]), Err(SignError::Contradiction));
        }
    }
    let last = ledgers.len() as u64 + 1;
    assert!(world.reader.standing().header.number <= last);
    world.settle();
    for reopens in [false, true] {
        if reopens {
            drop(world);
            world = World::open(config(), 4);
        }
        assert_eq!((world.tip().seq as u64, world.reader.standing().header.number), (last, last));
        let account = world.reader.account(&a.address).unwrap();
        assert_eq!(account.balance, RESERVE * ledgers.len() as i64);
        for (value, _, tip) in &ledgers {
            let ledger = world.reader.ledger(&LedgerKey::Number(tip.seq as u64)).unwrap();
            assert_eq!((ledger.header.hash, &ledger.value), (Some(tip.hash), value));
        }
    }
}
