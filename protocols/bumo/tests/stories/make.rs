//! Makes what stories need: the fixtures' messages, validators whose keys the fixtures tell, chains with real proofs.

use bytes::Bytes;
use polypeer_bumo::hash::{Hash, sha256};
use polypeer_bumo::keys::{PrivateKey, Scheme};
use polypeer_bumo::proof::{self, Validators};
use polypeer_bumo::wire::*;
use std::sync::OnceLock;

/// The fixtures' network and its clock at the first captured message, in milliseconds.
pub(crate) const NETWORK: i64 = 30_000;
pub(crate) const CLOCK_MS: u64 = 1_795_172_223_000;

/// The payload of a captured message.
pub(crate) fn fixture(name: &str) -> Bytes {
    let path = format!("{}/tests/fixtures/{name}", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
    const_hex::decode(text.trim()).expect("hex").into()
}

/// The data of a captured message.
pub(crate) fn data_of(name: &str) -> Bytes {
    let payload = fixture(name);
    payload.slice_ref(Envelope::decode(&payload).expect("an envelope").data)
}

/// The number of our own node key; those of the fixtures' nodes begin at 0.
pub(crate) const OURS: usize = 1_000_000;

fn key(of: &str, number: usize) -> PrivateKey {
    let secret = sha256(format!("bumo-test-{of}-{number}").as_bytes());
    PrivateKey::new(Scheme::Ed25519, secret.0).expect("a key")
}

/// The validation key of the fixtures' validator.
pub(crate) fn validator(number: usize) -> PrivateKey {
    key("validator", number)
}

pub(crate) fn validators(count: usize) -> Validators {
    Validators::new((0..count).map(|number| validator(number).public().address()).collect())
}

/// The address of a node key.
pub(crate) fn node_address(number: usize) -> String {
    key("node", number).public().address()
}

/// A consensus message that this validator signed.
pub(crate) fn sealed(signer: usize, pbft: &Pbft<'_>) -> Bytes {
    let bytes = pbft.encode();
    let key = validator(signer);
    let (public_key, signature) = (key.public().text(), key.sign(&bytes));
    PbftEnv::seal(&bytes, Signature { public_key: &public_key, sign_data: &signature })
}

pub(crate) fn vote(replica: usize, view: i64, sequence: i64, digest: &Hash) -> Vote<'_> {
    Vote { view_number: view, sequence, replica_id: replica as i64, value_digest: &digest.0 }
}

pub(crate) fn commit(replica: usize, view: i64, sequence: i64, digest: &Hash) -> Bytes {
    let body = Body::Commit(vote(replica, view, sequence, digest));
    sealed(replica, &Pbft { round_number: 1, body, chain_id: 0 })
}

pub(crate) fn prepare(replica: usize, view: i64, sequence: i64, digest: &Hash) -> Bytes {
    let body = Body::Prepare(vote(replica, view, sequence, digest));
    sealed(replica, &Pbft { round_number: 1, body, chain_id: 0 })
}

pub(crate) fn pre_prepare(replica: usize, view: i64, sequence: i64, value: &[u8]) -> Bytes {
    let digest = sha256(value);
    let proposal =
        PrePrepare { view_number: view, sequence, replica_id: replica as i64, value, value_digest: &digest.0 };
    sealed(replica, &Pbft { round_number: 1, body: Body::PrePrepare(proposal), chain_id: 0 })
}

/// The proof that `q` and one of so many validators committed this value.
pub(crate) fn proof_of(value: &[u8], seq: i64, count: usize) -> Bytes {
    let digest = sha256(value);
    let commits: Vec<_> = (0..=proof::quorum(count)).map(|replica| commit(replica, seq - 2, seq, &digest)).collect();
    let commits: Vec<&[u8]> = commits.iter().map(|commit| &commit[..]).collect();
    proof::build(&commits)
}

/// The value of a ledger without transactions.
pub(crate) fn value(seq: i64, previous_hash: &Hash, previous_proof: &[u8], close_time: i64) -> Bytes {
    let value = ConsensusValue {
        txset: Some(TransactionEnvSet::default()),
        close_time,
        previous_proof,
        ledger_seq: seq,
        previous_ledger_hash: &previous_hash.0,
        ..ConsensusValue::default()
    };
    value.encode()
}

/// The hash that a story's genesis has.
pub(crate) fn genesis() -> Hash {
    sha256(b"a new era of value")
}

/// A value and the proof that it was committed.
pub(crate) type Closed = (Bytes, Bytes);

/// Ledgers from 2 on that so many validators agreed on. In stories a ledger's hash is that of its value.
pub(crate) fn line(ledgers: usize, validators: usize) -> Vec<Closed> {
    let mut line: Vec<Closed> = Vec::with_capacity(ledgers);
    let mut hash = genesis();
    for seq in (2..).take(ledgers) {
        let before = line.last().map(|(_, proof)| proof.clone()).unwrap_or_default();
        let value = value(seq, &hash, &before, (CLOCK_MS as i64 - 1_000_000_000 + seq * 10_000) * 1_000);
        hash = sha256(&value);
        let proof = proof_of(&value, seq, validators);
        line.push((value, proof));
    }
    line
}

/// A hundred ledgers of four validators, made once.
pub(crate) fn hundred() -> &'static [Closed] {
    static LINE: OnceLock<Vec<Closed>> = OnceLock::new();
    LINE.get_or_init(|| line(100, 4))
}

/// The answer with these ledgers, beginning with the one at `begin`, of those that begin with the second.
pub(crate) fn answer(line: &[Closed], begin: i64, end: i64) -> Bytes {
    let at = |seq: i64| usize::try_from(seq - 2).expect("from the second on");
    let ledgers = &line[at(begin)..=at(end)];
    Ledgers {
        values: ledgers.iter().map(|(value, _)| &value[..]).collect(),
        max_seq: line.len() as i64 + 1,
        proof: &ledgers[ledgers.len() - 1].1,
        ..Ledgers::default()
    }
    .encode()
}

/// A payment with this nonce. Nobody signed it: a story's ledger looks at the nonce only.
pub(crate) fn transaction(nonce: i64) -> Bytes {
    transaction_with(nonce, &[])
}

/// The same with so much to carry.
pub(crate) fn transaction_with(nonce: i64, metadata: &[u8]) -> Bytes {
    let source = validator(0).public().address();
    let message = Transaction { source_address: &source, nonce, metadata, ..Transaction::default() };
    let bytes = message.encode();
    TransactionEnv { transaction: Some(Whole { bytes: &bytes, message }), ..TransactionEnv::default() }.encode()
}

/// A notice of this validator.
pub(crate) fn notice(signer: usize, nonce: i64, version: i64) -> Bytes {
    let upgrade = LedgerUpgrade { new_ledger_version: version, ..LedgerUpgrade::default() };
    let bytes = upgrade.encode();
    let mut notice = LedgerUpgradeNotify {
        nonce,
        upgrade: Some(Whole { bytes: &bytes, message: upgrade }),
        ..LedgerUpgradeNotify::default()
    };
    let key = validator(signer);
    let (public_key, signature) = (key.public().text(), key.sign(&notice.signed()));
    notice.signature = Some(Signature { public_key: &public_key, sign_data: &signature });
    notice.encode()
}
