//! Judges the proof that a quorum committed a value (BUMO spec, sections 7.1, 7.3 and 7.9).

use crate::hash::Hash;
use crate::keys::PublicKey;
use crate::wire::{Body, Encoded, List, Message, PbftEnv, PbftProof, ValidatorSet, WireError};
use crate::wire::{canonical_proof, commits};
use alloc::collections::BTreeSet;
use alloc::string::String;
use alloc::vec::Vec;
use bytes::Bytes;
use serde::{Deserialize, Serialize};

/// `q(N)`: how many of `validators` must have prepared, and one more committed. Any two groups of one more have an honest
/// validator in common.
pub fn quorum(validators: usize) -> usize {
    let others = validators.saturating_sub(1);
    2 * (others / 3) + usize::from(!others.is_multiple_of(3))
}

/// Who agrees on a ledger: their addresses, each at the place that is its replica id.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Validators {
    addresses: Vec<String>,
}

impl Validators {
    /// The set of these.
    pub fn new(addresses: Vec<String>) -> Self {
        Self { addresses }
    }

    /// The set of this message.
    pub fn of(set: &ValidatorSet<'_>) -> Self {
        Self::new(set.validators.iter().map(|validator| validator.address.into()).collect())
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.addresses.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.addresses.is_empty()
    }

    /// `q(N)` of this set.
    pub fn quorum(&self) -> usize {
        quorum(self.len())
    }

    /// The replica whose turn the view is; nothing for a negative view or an empty set.
    pub fn primary(&self, view_number: i64) -> Option<usize> {
        let view = usize::try_from(view_number).ok()?;
        view.checked_rem(self.len())
    }

    /// Their addresses, by replica id.
    pub fn addresses(&self) -> &[String] {
        &self.addresses
    }

    /// The place of this address.
    pub fn position(&self, address: &str) -> Option<usize> {
        self.addresses.iter().position(|own| own == address)
    }

    /// The validator of this public key's text, and the key.
    pub fn signer(&self, public_key: &str) -> Option<(usize, PublicKey)> {
        let key = PublicKey::parse(public_key).ok()?;
        Some((self.position(&key.address())?, key))
    }
}

/// Why an envelope or a proof of them says nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ProofFault {
    /// It does not decode, or not to the canonical form.
    Malformed,
    /// No `pbft`, no signature, or not the sub-message of its type.
    Incomplete,
    /// Of another chain.
    ChainId,
    /// By none of the validators.
    Stranger,
    /// In the name of another replica.
    ReplicaId,
    /// The signature is wrong.
    Signature,
    /// Not a commit.
    NotCommit,
    /// It commits another value.
    Digest,
    /// One validator signed twice.
    Twice,
    /// Fewer than `q(N)` and one.
    TooFew,
}

impl From<WireError> for ProofFault {
    fn from(_: WireError) -> Self {
        Self::Malformed
    }
}

/// Checks an envelope as every PBFT message is checked (section 7.3), the nested ones of its own aside, and says which
/// replica signed it. What costs little comes first.
pub fn check_envelope(envelope: &PbftEnv<'_>, validators: &Validators, chain_id: i64) -> Result<usize, ProofFault> {
    let claim = check_claims(envelope, validators, chain_id)?;
    claim.verify()?;
    Ok(claim.index)
}

// What an envelope claims, and what is to be verified yet.
struct Claim<'a> {
    index: usize,
    body: Body<'a>,
    key: PublicKey,
    signed: &'a [u8],
    signature: &'a [u8],
}

impl Claim<'_> {
    fn verify(&self) -> Result<(), ProofFault> {
        if self.key.verify(self.signed, self.signature) { Ok(()) } else { Err(ProofFault::Signature) }
    }
}

fn check_claims<'a>(envelope: &PbftEnv<'a>, validators: &Validators, chain_id: i64) -> Result<Claim<'a>, ProofFault> {
    let pbft = envelope.pbft.ok_or(ProofFault::Incomplete)?;
    let signature = envelope.signature.ok_or(ProofFault::Incomplete)?;
    if pbft.message.chain_id != chain_id {
        return Err(ProofFault::ChainId);
    }
    let body = pbft.message.body;
    let replica_id = body.replica_id().ok_or(ProofFault::Incomplete)?;
    let (index, key) = validators.signer(signature.public_key).ok_or(ProofFault::Stranger)?;
    if usize::try_from(replica_id) != Ok(index) {
        return Err(ProofFault::ReplicaId);
    }
    Ok(Claim { index, body, key, signed: pbft.bytes, signature: signature.sign_data })
}

/// Checks that `proof` shows that these validators committed the value of this hash (section 7.9).
///
/// One commit that is wrong or of a validator that has one already spoils it, so that all nodes agree. View, sequence
/// and round are compared with nothing. All that needs no signature is checked of all commits first. The bytes may be in
/// any form, see [`canonical_proof`].
pub fn check_proof(proof: &[u8], value_hash: &Hash, validators: &Validators, chain_id: i64) -> Result<(), ProofFault> {
    check(proof, value_hash, validators, chain_id, &|_| false)
}

/// The same without the signatures: for a proof that was made here of commits that were verified one by one.
pub fn check_verified_proof(
    proof: &[u8],
    value_hash: &Hash,
    validators: &Validators,
    chain_id: i64,
) -> Result<(), ProofFault> {
    check(proof, value_hash, validators, chain_id, &|_| true)
}

/// The same where another proof of this value by these validators is known to be right: a commit that stands in both, bit
/// for bit, is not verified again. Two majorities have most of their commits in common.
pub fn check_proof_beside(
    known: &[u8],
    proof: &[u8],
    value_hash: &Hash,
    validators: &Validators,
    chain_id: i64,
) -> Result<(), ProofFault> {
    let known = commits(known).map_while(Result::ok);
    let known: Vec<_> = known.filter_map(|commit| Some((commit.pbft?.bytes, commit.signature?.sign_data))).collect();
    // Who signed stands in what is signed, and has one key.
    check(proof, value_hash, validators, chain_id, &|claim| known.contains(&(claim.signed, claim.signature)))
}

fn check(
    proof: &[u8],
    value_hash: &Hash,
    validators: &Validators,
    chain_id: i64,
    is_verified: &dyn Fn(&Claim<'_>) -> bool,
) -> Result<(), ProofFault> {
    let verify = |claims: Vec<Claim<'_>>| claims.iter().filter(|claim| !is_verified(claim)).try_for_each(Claim::verify);
    match check_canonical(proof, value_hash, validators, chain_id).and_then(verify) {
        Err(ProofFault::Malformed) => {
            let proof = canonical_proof(&Bytes::copy_from_slice(proof))?;
            check_canonical(&proof, value_hash, validators, chain_id).and_then(verify)
        }
        checked => checked,
    }
}

fn check_canonical<'p>(
    proof: &'p [u8],
    value_hash: &Hash,
    validators: &Validators,
    chain_id: i64,
) -> Result<Vec<Claim<'p>>, ProofFault> {
    let mut signers = BTreeSet::new();
    let mut claims = Vec::new();
    for commit in commits(proof) {
        let claim = check_claims(&commit?, validators, chain_id)?;
        check_commit(&claim.body, value_hash)?;
        // So there are no more of them than validators.
        if !signers.insert(claim.index) {
            return Err(ProofFault::Twice);
        }
        claims.push(claim);
    }
    if claims.len() <= validators.quorum() {
        return Err(ProofFault::TooFew);
    }
    Ok(claims)
}

fn check_commit(body: &Body<'_>, value_hash: &Hash) -> Result<(), ProofFault> {
    match body {
        Body::Commit(vote) if vote.value_digest == value_hash.as_ref() => Ok(()),
        Body::Commit(_) => Err(ProofFault::Digest),
        _ => Err(ProofFault::NotCommit),
    }
}

/// The proof of these commits, each the bytes of a `PbftEnv`.
pub fn build(commits: &[&[u8]]) -> Bytes {
    let commits: Vec<_> = commits.iter().map(|commit| Encoded::of(commit)).collect();
    PbftProof { commits: List::of(&commits) }.encode()
}
