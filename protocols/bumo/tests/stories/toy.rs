//! Plays a ledger: values in a row, whose proofs it checks and whose transactions it does not.

use crate::make::{self, Closed};
use bytes::Bytes;
use polypeer_bumo::hash::{Hash, sha256};
use polypeer_bumo::ledger::*;
use polypeer_bumo::proof::{self, Validators};
use polypeer_bumo::wire::*;
use polypeer_engine::{Ledger, Now, Ticket, To};
use std::collections::{BTreeMap, BTreeSet};

/// The nonce of a transaction that is refused.
pub(crate) const REFUSED: i64 = 13;

#[derive(Clone, Debug)]
pub(crate) struct Toy {
    pub(crate) closed: Vec<Closed>,
    pub(crate) validators: Validators,
    pub(crate) version: i64,
    /// The number of our validation key.
    pub(crate) signer: Option<usize>,
    pub(crate) pool: BTreeSet<Hash>,
    /// What it says to values from this ledger on.
    pub(crate) refuses: BTreeMap<i64, CloseError>,
    /// Records of votes, in order.
    pub(crate) kept: Vec<Bytes>,
    pub(crate) is_catching_up: bool,
    /// Close times are this far apart.
    pub(crate) interval_us: i64,
}

impl Toy {
    pub(crate) fn with(closed: &[Closed], validators: usize) -> Self {
        Self {
            closed: closed.to_vec(),
            validators: make::validators(validators),
            version: 1003,
            signer: None,
            pool: BTreeSet::new(),
            refuses: BTreeMap::new(),
            kept: Vec::new(),
            is_catching_up: false,
            interval_us: 10_000_000,
        }
    }

    pub(crate) fn seq(&self) -> i64 {
        self.closed.len() as i64 + 1
    }

    pub(crate) fn hash(&self) -> Hash {
        self.closed.last().map_or_else(make::genesis, |(value, _)| sha256(value))
    }

    fn close_time(&self) -> i64 {
        self.closed.last().map_or(0, |(value, _)| ConsensusValue::decode(value).expect("a value").close_time)
    }

    fn proof(&self) -> Bytes {
        self.closed.last().map(|(_, proof)| proof.clone()).unwrap_or_default()
    }

    pub(crate) fn tip(&self) -> Tip {
        Tip {
            seq: self.seq(),
            hash: self.hash(),
            value_hash: self.hash(),
            close_time: self.close_time(),
            version: self.version,
            validators: self.validators.clone(),
            validators_before: self.validators.clone(),
            proof: self.proof(),
            follow_only: None,
            signer: self.signer.map(|number| make::validator(number).public().address()),
            kept: Vec::new(),
        }
    }

    fn close(&mut self, value: Bytes, proof: Bytes) -> Result<Tip, CloseError> {
        let read = ConsensusValue::decode(&value).map_err(|_| CloseError::Malformed)?;
        if read.ledger_seq != self.seq() + 1 {
            return Err(CloseError::NotNext);
        }
        if let Some((_, error)) = self.refuses.range(..=read.ledger_seq).next_back() {
            return Err(*error);
        }
        let is_first = self.closed.is_empty();
        if is_first != read.previous_proof.is_empty() {
            return Err(CloseError::PreviousProof(proof::ProofFault::TooFew));
        }
        if !is_first {
            proof::check_proof(read.previous_proof, &self.hash(), &self.validators, 0)
                .map_err(CloseError::PreviousProof)?;
        }
        proof::check_proof(&proof, &sha256(&value), &self.validators, 0).map_err(CloseError::Proof)?;
        if let Some(upgrade) = read.ledger_upgrade {
            self.version = upgrade.new_ledger_version;
        }
        self.kept.clear();
        self.closed.push((value, proof));
        Ok(self.tip())
    }

    fn submit(&mut self, envelope: &[u8]) -> Answer {
        let read = TransactionEnv::decode(envelope).expect("the protocol has read it");
        let transaction = read.transaction.unwrap_or_default();
        let hash = sha256(transaction.bytes);
        let verdict = match transaction.message.nonce {
            REFUSED => Verdict::Refused(ErrorCode::INVALID_SIGNATURE),
            _ if !self.pool.insert(hash) => Verdict::Known,
            _ => Verdict::Accepted,
        };
        Answer::Submitted { hash, verdict }
    }

    fn serve(&self, begin: i64, end: i64) -> Option<Served> {
        let at = |seq: i64| usize::try_from(seq - 2).ok();
        let ledgers = self.closed.get(at(begin)?..=at(end)?)?;
        Some(Served {
            values: ledgers.iter().map(|(value, _)| value.clone()).collect(),
            max_seq: self.seq(),
            proof: ledgers.last()?.1.clone(),
        })
    }

    fn propose(&self, now: Now, upgrade: Option<Bytes>) -> Result<Proposal, ProposeError> {
        if self.signer.is_none() {
            return Err(ProposeError::NoValidator);
        }
        let proof = self.proof();
        let hash = self.hash();
        let mut value = ConsensusValue {
            txset: Some(TransactionEnvSet::default()),
            close_time: (now.unix_ms as i64 * 1000).max(self.close_time() + self.interval_us),
            previous_proof: &proof,
            ledger_seq: self.seq() + 1,
            previous_ledger_hash: &hash.0,
            ..ConsensusValue::default()
        };
        value.ledger_upgrade = upgrade.as_deref().map(|bytes| LedgerUpgrade::decode(bytes).expect("an upgrade"));
        let value = value.encode();
        Ok(Proposal { digest: sha256(&value), seq: self.seq() + 1, value })
    }

    fn judge(&self, value: &[u8]) -> Judgement {
        let is_next = ConsensusValue::decode(value).is_ok_and(|value| {
            value.ledger_seq == self.seq() + 1
                && value.previous_ledger_hash == self.hash().0
                && value.close_time >= self.close_time() + self.interval_us
        });
        if is_next { Judgement::Valid } else { Judgement::Doubtful }
    }

    fn sign(&self, bytes: &[u8]) -> Result<Signed, SignError> {
        let key = make::validator(self.signer.ok_or(SignError::NoValidator)?);
        Ok(Signed { public_key: key.public().text(), sign_data: key.sign(bytes).to_vec().into() })
    }

    fn sign_upgrade(&self, nonce: i64, upgrade: &[u8]) -> Result<Bytes, SignError> {
        let version = LedgerUpgrade::decode(upgrade).expect("an upgrade").new_ledger_version;
        Ok(make::notice(self.signer.ok_or(SignError::NoValidator)?, nonce, version))
    }

    fn say(&mut self, now: Now, request: Request) -> Option<Answer> {
        Some(match request {
            Request::Tip => Answer::Tip(Tip { kept: self.kept.clone(), ..self.tip() }),
            Request::Submit { envelope, .. } => self.submit(&envelope),
            Request::Serve { begin, end } => Answer::Served(self.serve(begin, end)),
            Request::Close { value, proof } | Request::CloseAgreed { value, proof } => {
                Answer::Closed(self.close(value, proof))
            }
            Request::Propose { upgrade } => Answer::Proposed(self.propose(now, upgrade)),
            Request::Judge { value } => Answer::Judged { digest: sha256(&value), judgement: self.judge(&value) },
            Request::Sign { pbft, keep } => {
                if !keep.is_empty() {
                    self.kept.push(keep);
                }
                Answer::Signed(self.sign(&pbft))
            }
            Request::Keep { record } => {
                self.kept.push(record);
                Answer::Kept(Ok(()))
            }
            Request::SignUpgrade { nonce, upgrade } => Answer::UpgradeSigned(self.sign_upgrade(nonce, &upgrade)),
            Request::CatchingUp(is_catching_up) => {
                self.is_catching_up = is_catching_up;
                return None;
            }
        })
    }
}

impl Ledger for Toy {
    type Request = Request;
    type Answer = Answer;

    fn answer(&mut self, now: Now, requests: Vec<(Ticket, Request)>, answers: &mut Vec<(To, Answer)>) {
        for (ticket, request) in requests {
            answers.extend(self.say(now, request).map(|answer| (To::Asker(ticket), answer)));
        }
    }
}
