//! Verifies whatever in a message can be verified, without any node: signatures, proofs, and the links between ledgers.

use polypeer_bumo::hash::{Hash, HashType, sha256};
use polypeer_bumo::keys::PublicKey;
use polypeer_bumo::proof::{Validators, check_envelope, check_proof};
use polypeer_bumo::wire::{
    Body, ConsensusValue, Encoded, Kind, LedgerUpgradeNotify, Ledgers, Message as _, PbftEnv, TransactionEnv,
};

type Found = Result<(), String>;

fn wrong(what: impl std::fmt::Debug) -> String {
    format!("{what:?}")
}

/// Whether a message that a node pushed or answered is right.
pub(crate) fn verify(kind: Kind, data: &[u8], validators: &Validators) -> Found {
    match kind {
        Kind::Pbft => verify_pbft(&PbftEnv::decode(data).map_err(wrong)?, validators),
        Kind::Transaction => verify_transaction(data),
        Kind::LedgerUpgradeNotify => verify_notice(data, validators),
        Kind::Ledgers => verify_ledgers(data, validators),
        Kind::Ping | Kind::Hello | Kind::Peers => Ok(()),
    }
}

fn verify_pbft(envelope: &PbftEnv<'_>, validators: &Validators) -> Found {
    check_envelope(envelope, validators, 0).map_err(wrong)?;
    match envelope.pbft.ok_or("no pbft")?.message.body {
        Body::PrePrepare(one) => {
            if sha256(one.value).0 != one.value_digest {
                return Err("another digest".into());
            }
            let value = ConsensusValue::decode(one.value).map_err(wrong)?;
            value.check_transactions().map_err(wrong)
        }
        Body::RawViewChange(raw) => {
            let set = raw.prepared_set.unwrap_or_default();
            let inner = raw.view_change_env.into_iter().chain(set.pre_prepare).chain(set.prepares);
            verify_all(inner, validators)
        }
        Body::NewView(view) => verify_all(view.view_changes.into_iter().chain(view.pre_prepare), validators),
        Body::Prepare(_) | Body::Commit(_) | Body::ViewChange(_) => Ok(()),
        Body::Missing(number) => Err(format!("type {number}")),
    }
}

fn verify_all<'a>(inner: impl Iterator<Item = Encoded<'a, PbftEnv<'a>>>, validators: &Validators) -> Found {
    inner.into_iter().try_for_each(|one| verify_pbft(&one.open().map_err(wrong)?, validators))
}

/// Every signature; the hash that they are over is told apart.
pub(crate) fn verify_transaction(envelope: &[u8]) -> Found {
    let envelope = TransactionEnv::decode(envelope).map_err(wrong)?;
    let transaction = envelope.transaction.ok_or("no transaction")?;
    if envelope.signatures.is_empty() {
        return Err("no signature".into());
    }
    for signature in envelope.signatures {
        let key = PublicKey::parse(signature.public_key).map_err(wrong)?;
        if !key.verify(transaction.bytes, signature.sign_data) {
            return Err("a wrong signature".into());
        }
    }
    Ok(())
}

fn verify_notice(data: &[u8], validators: &Validators) -> Found {
    let notice = LedgerUpgradeNotify::decode(data).map_err(wrong)?;
    let signature = notice.signature.ok_or("no signature")?;
    let (_, key) = validators.signer(signature.public_key).ok_or("a stranger")?;
    if key.verify(&notice.signed(), signature.sign_data) { Ok(()) } else { Err("a wrong signature".into()) }
}

/// Proofs of all values, the links between them, and the signatures of their transactions.
fn verify_ledgers(data: &[u8], validators: &Validators) -> Found {
    let ledgers = Ledgers::decode(data).map_err(wrong)?;
    let values: Result<Vec<_>, _> = ledgers.values.iter().map(|value| ConsensusValue::decode(value)).collect();
    let values = values.map_err(wrong)?;
    let proofs = values.iter().skip(1).map(|value| value.previous_proof).chain([ledgers.proof]);
    for ((bytes, value), proof) in ledgers.values.iter().zip(&values).zip(proofs) {
        check_proof(proof, &value_hash(bytes), validators, 0).map_err(wrong)?;
        value.transactions().try_for_each(verify_transaction)?;
    }
    if values.is_empty() {
        return Err("no value".into());
    }
    let follows = values.windows(2).all(|pair| pair[0].ledger_seq + 1 == pair[1].ledger_seq);
    if follows { Ok(()) } else { Err("not consecutive".into()) }
}

/// A value's hash.
pub(crate) fn value_hash(value: &[u8]) -> Hash {
    HashType::Sha256.hash(value)
}
