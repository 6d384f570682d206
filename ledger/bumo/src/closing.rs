//! Closes a ledger: checks a value and its proof, applies it, and makes its header (BUMO spec, sections 6.3 and 9.3).
//!
//! From the first ledger with an operation that is not executed here the state is not known any more. Such a ledger is
//! closed by its proof alone, and its hash is learned from the next one, which a proof covers too.

use crate::chain::{Chain, Made, Proof, Trial, number};
use crate::checks::Stop;
use crate::envelope::Envelope;
use crate::execution::Touched;
use crate::genesis::Set;
use crate::header::{Header, hash};
use crate::pending::Changing;
use crate::pool::Pool;
use crate::tables::{AccountKey, Outcome, Result, StoreError};
use crate::trie::{Change, Scratch, empty_root, update};
use bytes::Bytes;
use polypeer_bumo::hash::{Hash, HashType};
use polypeer_bumo::ledger::CloseError;
use polypeer_bumo::wire::{ConsensusValue, Message, PBFT_BYTES_MAX, Validation, canonical_proof};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Bytes that may wait for a commit. The store has failed for long when there is so much.
const PENDING_BYTES_MAX: usize = 256 << 20;

/// What a ledger that was closed did.
#[derive(Debug, Default)]
pub(crate) struct Closed {
    /// Accounts that it touched, and their nonces.
    pub(crate) nonces: Vec<(AccountKey, i64)>,
    /// Transactions that stand in it.
    pub(crate) transactions: Vec<Hash>,
}

impl Chain {
    /// Closes the next ledger.
    pub(crate) fn close(&mut self, value: &Bytes, proof: &Proof, pool: &Pool) -> Result<Closed, CloseError> {
        if value.len() >= PBFT_BYTES_MAX {
            return Err(CloseError::TooLarge);
        }
        let wire = ConsensusValue::decode(value).map_err(|_| CloseError::Malformed)?;
        let digest = self.rules.hash.hash(value);
        // What was executed on top of this tip was checked against it.
        let is_tried = self.trial.as_ref().is_some_and(|trial| trial.digest == digest);
        let base = if is_tried { Ok(()) } else { self.check_base(&wire, &digest) };
        let checked = base.and_then(|()| self.check_proof(proof, &digest));
        if checked == Err(CloseError::Validators) {
            self.strangers = Some(self.tip.number + 1);
        }
        checked?;
        let has_room = self.bytes.saturating_add(value.len() as u64) <= self.bytes_max;
        if !has_room || self.pending.bytes() > PENDING_BYTES_MAX {
            return Err(CloseError::Store);
        }
        let trial = self.trial.take_if(|trial| trial.digest == digest);
        let (envelopes, made) = match trial {
            Some(Trial { envelopes, made, .. }) => (envelopes, Some(made)),
            None => (self.envelopes(value, &wire, pool).map_err(|_| CloseError::Malformed)?, None),
        };
        self.ready();
        let made = match made.map_or_else(|| self.make(&wire, &envelopes), |made| Ok(Some(made))) {
            Ok(made) => made,
            Err(Stop::Foreign) => None,
            Err(Stop::Code(_)) => return Err(CloseError::Malformed),
            Err(Stop::Store) => return Err(CloseError::Store),
        };
        let proof = canonical_proof(&proof.bytes).map_err(|_| CloseError::Malformed)?;
        let sealed = self.seal(value, &wire, digest, &envelopes, made).map_err(|_| CloseError::Store)?;
        self.proof = proof;
        (self.trial, self.strangers) = (None, None);
        Ok(sealed)
    }

    /// What the value does; nothing when the state is not known.
    fn make(&self, wire: &ConsensusValue<'_>, envelopes: &[Envelope]) -> Result<Option<Made>, Stop> {
        let expired = expired(wire, envelopes.len())?;
        if self.follow_only.is_some() {
            return Ok(None);
        }
        let (view, law) = (self.view(), self.law());
        let mut execution = Self::execution(&view, &law);
        let follow = |(place, envelope)| execution.follow(envelope, expired.contains(&place));
        let applied = (0..).zip(envelopes).map(follow).collect::<Result<_, _>>()?;
        let touched = execution.finish(self.set.validators.addresses())?;
        Ok(Some(Made { touched, applied }))
    }

    /// Makes the header and all that the next commit writes, and moves the tip.
    fn seal(
        &mut self,
        value: &Bytes,
        wire: &ConsensusValue<'_>,
        digest: Hash,
        envelopes: &[Envelope],
        made: Option<Made>,
    ) -> Result<Closed> {
        let mut header = self.header(wire, digest);
        let upgrade = wire.ledger_upgrade.unwrap_or_default();
        let set = match upgrade.new_validator {
            "" => self.set.clone(),
            one => Arc::new(Set::new(&[one.to_owned()], self.rules.hash)),
        };
        if upgrade.new_ledger_version > 0 {
            header.version = upgrade.new_ledger_version;
        }
        header.validators = set.hash;
        let mut closed = Closed::default();
        match made {
            Some(made) => self.write(&mut header, envelopes, made, &mut closed)?,
            None => {
                header.transactions = header.transactions.saturating_add(number(envelopes.len() as u64));
                self.follow_only.get_or_insert(header.number);
            }
        }
        if self.tip.hash.is_none() {
            // The next one says it.
            self.tip.hash = hash(wire.previous_ledger_hash);
            self.pending.headers.insert(self.tip.number, self.tip.clone());
        }
        closed.transactions = envelopes.iter().map(|envelope| envelope.id).collect();
        self.pending.sets.insert(set.hash, set.bytes.clone());
        self.pending.put_value(header.number, value.clone(), header.clone());
        self.bytes = self.bytes.saturating_add(value.len() as u64);
        self.before = std::mem::replace(&mut self.set, set);
        self.tip = header;
        Ok(closed)
    }

    fn header(&self, wire: &ConsensusValue<'_>, digest: Hash) -> Header {
        Header {
            number: self.tip.number + 1,
            hash: None,
            previous: hash(wire.previous_ledger_hash),
            accounts: None,
            close_time: wire.close_time,
            value: digest,
            slogan: String::new(),
            ..self.tip.clone()
        }
    }

    /// Writes accounts, tree and outcomes, and hashes the header.
    fn write(&mut self, header: &mut Header, envelopes: &[Envelope], made: Made, closed: &mut Closed) -> Result<()> {
        let hash_type = self.rules.hash;
        let mut rows = Vec::with_capacity(made.touched.len());
        for (key, mut touched) in made.touched {
            root_tries(&mut touched, hash_type)?;
            closed.nonces.push((key, touched.account.nonce));
            let row = touched.account.encode();
            rows.push((key, hash_type.hash(&row), row, touched.metadata));
        }
        let changes: Vec<_> = rows.iter().map(|(key, value, ..)| Change { key, value: *value }).collect();
        let mut changing = Changing::new(self.view());
        header.accounts = Some(update(&mut changing, hash_type, &changes)?);
        let nodes = changing.changed;
        let applied = envelopes.iter().zip(&made.applied).filter(|(_, applied)| applied.is_some());
        let applied: Vec<_> = applied.map(|(envelope, _)| &envelope.bytes[..]).collect();
        header.transactions = header.transactions.saturating_add(number(applied.len() as u64));
        header.seal(hash_type, &applied);
        nodes.into_iter().for_each(|(location, node)| self.pending.put(location, node));
        for (key, _, row, metadata) in rows {
            self.pending.put_account(key, row);
            metadata.into_iter().for_each(|(name, entry)| self.pending.put_metadata(key, name, entry));
        }
        for ((envelope, applied), index) in envelopes.iter().zip(&made.applied).zip(0..) {
            if let Some(applied) = applied {
                let outcome = Outcome { ledger: header.number, index, code: applied.code.0, fee: applied.fee };
                self.pending.put_outcome(envelope.id, outcome);
            }
        }
        Ok(())
    }
}

/// Sets the roots of an account's own tries: of metadata when it was made with some, else as they were.
fn root_tries(touched: &mut Touched, hash_type: HashType) -> Result<(), StoreError> {
    touched.account.assets.get_or_insert_with(|| empty_root(hash_type));
    if touched.account.metadatas.is_none() {
        let leaves: Vec<_> =
            touched.metadata.iter().map(|(name, entry)| (name.as_bytes(), hash_type.hash(entry))).collect();
        let changes: Vec<_> = leaves.iter().map(|(key, value)| Change { key, value: *value }).collect();
        touched.account.metadatas = Some(update(&mut Scratch::default(), hash_type, &changes)?);
    }
    Ok(())
}

/// The places of a value's transactions that expired. None of what it says may be twice or nowhere.
fn expired(wire: &ConsensusValue<'_>, count: usize) -> Result<BTreeSet<i32>, Stop> {
    let Validation { expire_tx_ids, error_tx_ids } = wire.validation.unwrap_or_default();
    let mut seen = BTreeSet::new();
    let is_right = |place: i32| usize::try_from(place).is_ok_and(|place| place < count);
    if expire_tx_ids.iter().chain(error_tx_ids.iter()).all(|place| is_right(place) && seen.insert(place)) {
        Ok(expire_tx_ids.iter().collect())
    } else {
        Err(Stop::Code(polypeer_bumo::wire::ErrorCode::INVALID_PARAMETER))
    }
}

/// What a value says of its transactions, by place: whether each failed.
pub(crate) fn says_failed(wire: &ConsensusValue<'_>) -> BTreeMap<i32, u32> {
    let mut failed = BTreeMap::new();
    let validation = wire.validation.unwrap_or_default();
    validation.error_tx_ids.iter().for_each(|place| *failed.entry(place).or_default() += 1);
    failed
}
