//! Answers what needs more than the chain: the pool, the vote log, the signer.

use crate::bumo::{Bumo, read_submitted};
use crate::chain::{Proof, number};
use crate::checks::{Checked, Stop, parameters, payer};
use crate::envelope::{Envelope, is_executed};
use crate::execution::Accounts as _;
use crate::pool::{Arrival, Pool};
use crate::votes::{Ballot, read_pbft};
use bytes::Bytes;
use polypeer_bumo::hash::Hash;
use polypeer_bumo::ledger::{CloseError, Origin, Proposal, ProposeError, Served, SignError, Signed, Tip, Verdict};
use polypeer_bumo::wire::{
    ConsensusValue, ErrorCode, LEDGERS_MAX, LedgerUpgrade, LedgerUpgradeNotify, Message, SIGNATURES_MAX, Signature,
    TRANSACTION_BYTES_MAX, Whole,
};
use polypeer_engine::{Now, Time};

impl Bumo {
    /// Where the ledger stands, with what the state machine wants back after a start.
    pub(crate) fn tip(&self) -> Tip {
        let kept = self.votes.as_ref().map(|votes| votes.kept(number(self.chain.tip.number)));
        Tip { kept: kept.unwrap_or_default(), ..self.standing() }
    }

    fn standing(&self) -> Tip {
        Tip { signer: self.shared.signer.clone(), ..self.chain.standing() }
    }

    /// Takes a transaction into the pool (BUMO spec, section 9.1).
    pub(crate) fn admit(&mut self, pool: &mut Pool, bytes: &Bytes, origin: Origin, now: Time) -> (Hash, Verdict) {
        let refused = |code| Verdict::Refused(code);
        if bytes.len() >= TRANSACTION_BYTES_MAX {
            return (Hash::default(), refused(ErrorCode::TX_SIZE_TOO_BIG));
        }
        let Some(envelope) = read_submitted(bytes, &self.chain) else {
            return (Hash::default(), refused(ErrorCode::INVALID_PARAMETER));
        };
        let id = envelope.id;
        if pool.get(&id).is_some() {
            return (id, Verdict::Known);
        }
        let inserted = self.check_submitted(envelope, origin).and_then(|arrival| Ok(pool.insert(arrival, now)?));
        match inserted {
            Ok(replaced) => {
                // Whoever had its place is the same account's.
                replaced.into_iter().for_each(|old| self.chain.pending.put_operator(old, None));
                (id, Verdict::Accepted)
            }
            Err(Stop::Code(code)) => (id, refused(code)),
            Err(Stop::Foreign | Stop::Store) => (id, refused(ErrorCode::INTERNAL_ERROR)),
        }
    }

    /// The rules of the door, in their order. What takes time comes last.
    fn check_submitted(&mut self, mut envelope: Envelope, origin: Origin) -> Checked<Arrival> {
        if self.chain.follow_only.is_some() {
            // What accounts have is not known any more.
            return Err(Stop::Foreign);
        }
        self.chain.ready();
        let (view, law) = (self.chain.view(), self.chain.law());
        let whole = envelope.clone();
        let transaction = whole.open();
        let source = crate::account::key_of(transaction.source_address).ok_or(ErrorCode::ACCOUNT_NOT_EXIST)?;
        let account = view.account(&source)?.ok_or(ErrorCode::ACCOUNT_NOT_EXIST)?;
        if transaction.nonce <= account.nonce {
            return Err(ErrorCode::BAD_SEQUENCE.into());
        }
        if transaction.chain_id != self.chain.rules.chain_id {
            return Err(ErrorCode::INVALID_PARAMETER.into());
        }
        parameters(&envelope, &transaction, &law, &|key| Ok(view.account(key)?.is_some()))?;
        if envelope.signature_count() > SIGNATURES_MAX {
            return Err(ErrorCode::INVALID_SIGNATURE.into());
        }
        envelope.verify();
        payer(&envelope, &transaction, &law, &account)?;
        let (nonce, gas_price, account_nonce) = (transaction.nonce, transaction.gas_price, account.nonce);
        let is_executed = is_executed(&transaction);
        Ok(Arrival { envelope, source, nonce, gas_price, is_executed, origin, account_nonce })
    }

    /// Some ledgers for a peer; nothing where the node is silent (BUMO spec, section 6.1).
    pub(crate) fn serve(&mut self, begin: i64, end: i64) -> Option<Served> {
        let tip = number(self.chain.tip.number);
        let count = end.checked_sub(begin)?.checked_add(1)?;
        if !(1..=LEDGERS_MAX as i64).contains(&count) || end > tip || begin < 2 {
            return None;
        }
        self.chain.ready();
        let view = self.chain.view();
        let value = |seq: i64| view.value(u64::try_from(seq).ok()?).ok()?;
        let values = (begin..=end).map(value).collect::<Option<_>>()?;
        let proof = if end == tip {
            self.chain.proof.clone()
        } else {
            let next = value(end + 1)?;
            let proof = ConsensusValue::decode(&next).ok()?.previous_proof;
            // Of genesis there is none, and that is not asked for here.
            if proof.is_empty() { Bytes::new() } else { next.slice_ref(proof) }
        };
        Some(Served { values, max_seq: tip, proof })
    }

    /// Closes a ledger. It becomes durable with the next vote, if this node votes, and else with the next commit.
    pub(crate) fn close(&mut self, now: Now, pool: &mut Pool, value: &Bytes, proof: &Proof) -> Result<Tip, CloseError> {
        let closed = match self.chain.close(value, proof, pool) {
            Ok(closed) => closed,
            Err(error) => {
                if error == CloseError::Validators {
                    self.show_strangers();
                }
                return Err(error);
            }
        };
        self.touch(now);
        if let Some(votes) = &mut self.votes {
            // Without it the ledger is only committed later.
            drop(votes.close(number(self.chain.tip.number), value, &proof.bytes));
        }
        self.shared.leaving().closed(self.chain.tip.number, &closed, pool);
        let used = closed.nonces.iter().flat_map(|(key, nonce)| pool.advance(key, *nonce));
        let mut gone: Vec<_> = used.map(|waiting| (waiting.envelope.id, waiting.origin)).collect();
        let stood = closed.transactions.iter().filter_map(|id| pool.remove(id));
        gone.extend(stood.map(|waiting| (waiting.envelope.id, waiting.origin)));
        self.retire(now, gone);
        Ok(self.standing())
    }

    pub(crate) fn propose(
        &mut self,
        now: Now,
        now_us: i64,
        pool: &mut Pool,
        upgrade: Option<&[u8]>,
    ) -> Result<Proposal, ProposeError> {
        self.own_place().ok_or(ProposeError::NoValidator)?;
        let proposed = self.chain.propose(now_us, upgrade, pool)?;
        let gone: Vec<_> = proposed.dropped.iter().filter_map(|id| pool.remove(id)).collect();
        self.retire(now, gone.into_iter().map(|waiting| (waiting.envelope.id, waiting.origin)));
        Ok(proposed.proposal)
    }

    /// This node's replica id, if it has one.
    fn own_place(&self) -> Option<usize> {
        self.chain.set.validators.position(self.shared.signer.as_deref()?)
    }

    fn may_sign(&self) -> Result<(), SignError> {
        match (self.own_place(), self.chain.follow_only) {
            (None, _) => Err(SignError::NoValidator),
            (Some(_), Some(_)) => Err(SignError::FollowOnly),
            (Some(_), None) => Ok(()),
        }
    }

    /// Takes a vote into the log, unless it contradicts an earlier one.
    pub(crate) fn vote(&mut self, pbft: &[u8], keep: &Bytes) -> Result<(), SignError> {
        self.may_sign()?;
        match read_pbft(pbft, self.chain.rules.chain_id)? {
            Some(ballot) if ballot.place.sequence <= number(self.chain.tip.number) => self.check_late(&ballot),
            Some(ballot) => self.votes.as_mut().ok_or(SignError::NoValidator)?.vote(ballot, keep),
            None if keep.is_empty() => Ok(()),
            None => self.keep(keep),
        }
    }

    /// A vote on a ledger that is closed already helps those who are behind; it must be for that ledger's value.
    fn check_late(&mut self, ballot: &Ballot) -> Result<(), SignError> {
        self.chain.ready();
        let ledger = u64::try_from(ballot.place.sequence).map_err(|_| SignError::Malformed)?;
        let header = self.chain.view().header(ledger).map_err(|_| SignError::Store)?;
        let is_same = header.is_some_and(|header| ballot.digest == Some(header.value));
        if ballot.is_for_value() && is_same { Ok(()) } else { Err(SignError::Contradiction) }
    }

    /// Takes a record of the state machine's into the log.
    pub(crate) fn keep(&mut self, record: &Bytes) -> Result<(), SignError> {
        let next = number(self.chain.tip.number + 1);
        self.votes.as_mut().ok_or(SignError::NoValidator)?.keep(next, record).map_err(|_| SignError::Store)
    }

    pub(crate) fn kept(&self, is_durable: bool) -> Result<(), SignError> {
        if is_durable { Ok(()) } else { Err(SignError::Store) }
    }

    /// Signs what is durable in the log.
    pub(crate) fn sign(&self, pbft: &[u8], is_durable: bool) -> Result<Signed, SignError> {
        self.kept(is_durable)?;
        let signer = self.signer.as_ref().ok_or(SignError::NoValidator)?;
        let sign_data = signer.sign(pbft).ok_or(SignError::NoValidator)?;
        Ok(Signed { public_key: signer.public_key().text(), sign_data: Bytes::copy_from_slice(&sign_data) })
    }

    /// Makes a `LedgerUpgradeNotify` (BUMO spec, section 8).
    pub(crate) fn sign_upgrade(&self, nonce: i64, upgrade: &[u8]) -> Result<Bytes, SignError> {
        self.may_sign()?;
        let message = LedgerUpgrade::decode(upgrade).map_err(|_| SignError::Malformed)?;
        let mut notify =
            LedgerUpgradeNotify { nonce, upgrade: Some(Whole { bytes: upgrade, message }), signature: None };
        let Signed { public_key, sign_data } = self.sign(&notify.signed(), true)?;
        notify.signature = Some(Signature { public_key: &public_key, sign_data: &sign_data });
        Ok(notify.encode())
    }

    /// Tells readers that the node stands still for want of validators that it knows.
    fn show_strangers(&self) {
        let standing = self.shared.standing.write();
        standing.unwrap_or_else(std::sync::PoisonError::into_inner).strangers = self.chain.strangers;
    }
}
