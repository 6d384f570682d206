//! Which proofs are valid (sections 7.1, 7.3 and 7.9 of the BUMO spec).

use polypeer_bumo::hash::{Hash, sha256};
use polypeer_bumo::keys::{PrivateKey, Scheme};
use polypeer_bumo::proof::{ProofFault, Validators, build, check_envelope, check_proof, check_proof_beside, quorum};
use polypeer_bumo::wire::{Body, Message as _, Pbft, PbftEnv, Signature, Vote, canonical_proof};

const DIGEST: Hash = Hash([7; 32]);

fn key(index: usize) -> PrivateKey {
    let secret = sha256(format!("bumo-test-validator-{index}").as_bytes()).0;
    PrivateKey::new(Scheme::Ed25519, secret).expect("a key")
}

fn set(count: usize) -> Validators {
    Validators::new((0..count).map(|index| key(index).public().address()).collect())
}

fn seal(pbft: &Pbft<'_>, signer: usize) -> Vec<u8> {
    let (bytes, key) = (pbft.encode(), key(signer));
    let (public_key, signature) = (key.public().text(), key.sign(&bytes));
    PbftEnv::seal(&bytes, Signature { public_key: &public_key, sign_data: &signature }).to_vec()
}

fn vote(replica_id: i64) -> Vote<'static> {
    Vote { view_number: 5 + replica_id, sequence: 9, replica_id, value_digest: &[7; 32] }
}

fn commit(replica: usize) -> Vec<u8> {
    let body = Body::Commit(vote(replica as i64));
    seal(&Pbft { round_number: 1 + replica as i64, body, chain_id: 0 }, replica)
}

fn check(commits: &[Vec<u8>]) -> Result<(), ProofFault> {
    let commits: Vec<&[u8]> = commits.iter().map(Vec::as_slice).collect();
    check_proof(&build(&commits), &DIGEST, &set(4), 0)
}

#[test]
fn how_many_must_agree() {
    let told = [(1, 0), (2, 1), (3, 1), (4, 2), (5, 3), (6, 3), (7, 4), (8, 5), (9, 5), (10, 6), (13, 8), (100, 66)];
    told.iter().for_each(|(count, wanted)| assert_eq!(quorum(*count), *wanted, "{count}"));
    assert_eq!(set(4).quorum(), 2);
}

#[test]
fn the_primary_changes_with_the_view() {
    assert_eq!((set(4).primary(0), set(4).primary(7), set(4).primary(-1)), (Some(0), Some(3), None));
    assert_eq!(Validators::default().primary(0), None);
}

#[test]
fn enough_different_commits_are_a_proof_whatever_their_views_and_rounds() {
    assert_eq!(check(&[commit(0), commit(1), commit(2)]), Ok(()));
    assert_eq!(check(&[commit(3), commit(1), commit(0), commit(2)]), Ok(()));
}

#[test]
fn a_commit_that_is_known_is_not_verified_again_and_every_other_is() {
    let proof = |commits: &[Vec<u8>]| build(&commits.iter().map(Vec::as_slice).collect::<Vec<_>>());
    let beside = |known: &[Vec<u8>], commits: &[Vec<u8>]| {
        check_proof_beside(&proof(known), &proof(commits), &DIGEST, &set(4), 0)
    };
    // It ends with its signature.
    let forged = |replica| {
        let mut commit = commit(replica);
        *commit.last_mut().expect("bytes") ^= 1;
        commit
    };
    // One that is wrong shows what is looked at.
    let known = [commit(0), commit(1), forged(2)];
    assert_eq!(check(&known), Err(ProofFault::Signature));
    assert_eq!(beside(&known, &known), Ok(()));
    assert_eq!(beside(&known, &[forged(2), commit(3), commit(0)]), Ok(()));
    assert_eq!(beside(&[], &known), Err(ProofFault::Signature));
    assert_eq!(beside(&known, &[commit(0), commit(3), forged(1)]), Err(ProofFault::Signature), "another signature");
    assert_eq!(beside(&known, &[commit(0), commit(1), forged(3)]), Err(ProofFault::Signature));
    assert_eq!(beside(&known, &[commit(0), commit(1)]), Err(ProofFault::TooFew));
    assert_eq!(beside(&known, &[commit(0), commit(1), commit(1)]), Err(ProofFault::Twice));
    let of_another = check_proof_beside(&proof(&known), &proof(&known), &Hash([8; 32]), &set(4), 0);
    assert_eq!(of_another, Err(ProofFault::Digest));
}

#[test]
fn one_bad_commit_spoils_a_proof() {
    let good = || vec![commit(0), commit(1), commit(2)];
    let with = |more: Vec<u8>| check(&[good(), vec![more]].concat());
    let pbft = |body, chain_id| Pbft { round_number: 1, body, chain_id };
    assert_eq!(check(&[commit(0), commit(1)]), Err(ProofFault::TooFew));
    assert_eq!(check(&[]), Err(ProofFault::TooFew));
    assert_eq!(with(commit(1)), Err(ProofFault::Twice));
    assert_eq!(with(seal(&pbft(Body::Commit(vote(1)), 0), 1)), Err(ProofFault::Twice));
    assert_eq!(with(commit(4)), Err(ProofFault::Stranger));
    assert_eq!(with(seal(&pbft(Body::Commit(vote(2)), 0), 3)), Err(ProofFault::ReplicaId));
    assert_eq!(with(seal(&pbft(Body::Commit(vote(-1)), 0), 3)), Err(ProofFault::ReplicaId));
    assert_eq!(with(seal(&pbft(Body::Commit(vote(3)), 8), 3)), Err(ProofFault::ChainId));
    assert_eq!(with(seal(&pbft(Body::Prepare(vote(3)), 0), 3)), Err(ProofFault::NotCommit));
    assert_eq!(with(seal(&pbft(Body::Missing(2), 0), 3)), Err(ProofFault::Incomplete));
    let other = Vote { value_digest: &[8; 32], ..vote(3) };
    assert_eq!(with(seal(&pbft(Body::Commit(other), 0), 3)), Err(ProofFault::Digest));
    let mut wrong = commit(3);
    *wrong.last_mut().expect("a byte") ^= 1;
    assert_eq!(with(wrong), Err(ProofFault::Signature));
    assert_eq!(with(PbftEnv::default().encode().to_vec()), Err(ProofFault::Incomplete));
    assert_eq!(with(vec![0xff]), Err(ProofFault::Malformed));
    assert_eq!(check_proof(&[0x0a], &DIGEST, &set(4), 0), Err(ProofFault::Malformed));
    assert_eq!(check_proof(&[], &DIGEST, &Validators::default(), 0), Err(ProofFault::TooFew));
}

/// What the original reads and writes again otherwise proves the same; a proposer may have put it into a value.
#[test]
fn a_proof_in_any_form_is_judged_by_what_it_says() {
    let commits: Vec<Vec<u8>> = [0, 1, 2].map(commit).into();
    let proof = build(&commits.iter().map(Vec::as_slice).collect::<Vec<_>>());
    // An unknown field, a length that is not minimal, and the signature before what is signed.
    let mut odd = vec![0x50, 0x07, 0x0a, commits[0].len() as u8 | 0x80, 0x80 | (commits[0].len() >> 7) as u8, 0x00];
    odd.extend_from_slice(&commits[0]);
    let turned = {
        let read = PbftEnv::decode(&commits[1]).expect("an envelope");
        let pbft = PbftEnv { signature: None, ..read }.encode();
        [&commits[1][pbft.len()..], &pbft].concat()
    };
    odd.extend_from_slice(&[0x0a, turned.len() as u8 | 0x80, (turned.len() >> 7) as u8]);
    odd.extend_from_slice(&turned);
    odd.extend_from_slice(&build(&[&commits[2]]));
    assert_eq!(check_proof(&odd, &DIGEST, &set(4), 0), Ok(()));
    assert_eq!(canonical_proof(&odd.clone().into()), Ok(proof.clone()));
    assert_eq!(canonical_proof(&proof), Ok(proof));
    // But what is signed must be right.
    *odd.last_mut().expect("a byte") ^= 1;
    assert_eq!(check_proof(&odd, &DIGEST, &set(4), 0), Err(ProofFault::Signature));
}

#[test]
fn one_validator_needs_one_commit() {
    let proof = build(&[&commit(0)]);
    assert_eq!(check_proof(&proof, &DIGEST, &set(1), 0), Ok(()));
    assert_eq!(check_proof(&proof, &Hash([9; 32]), &set(1), 0), Err(ProofFault::Digest));
}

/// What is no part of its type is signed with the rest and says nothing.
#[test]
fn sub_messages_of_other_types_change_nothing() {
    let mut pbft = Pbft { round_number: 1, body: Body::Commit(vote(3)), chain_id: 0 }.encode().to_vec();
    // An empty view change behind the commit.
    pbft.extend_from_slice(&[0x32, 0x00]);
    let (public_key, signature) = (key(3).public().text(), key(3).sign(&pbft));
    let envelope = PbftEnv::seal(&pbft, Signature { public_key: &public_key, sign_data: &signature });
    let read = PbftEnv::decode(&envelope).expect("an envelope");
    assert_eq!(check_envelope(&read, &set(4), 0), Ok(3));
    assert_eq!(read.encode(), envelope);
    assert_eq!(check(&[commit(0), commit(1), envelope.to_vec()]), Ok(()));
}
