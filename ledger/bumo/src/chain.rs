//! Holds the chain: the newest ledger, what is not committed yet, and what it takes to make the next one.

use crate::config::OpenError;
use crate::envelope::Envelope;
use crate::execution::{Applied, Execution, Touched};
use crate::genesis::{Set, found};
use crate::header::Header;
use crate::pending::{Pending, View};
use crate::pool::Pool;
use crate::rules::{Law, Rules, VERSION_MAX};
use crate::store::{Source, Store};
use crate::tables::{AccountKey, Result, StoreError, torn};
use crate::writing::Writing;
use bytes::Bytes;
use polypeer_bumo::hash::Hash;
use polypeer_bumo::ledger::{CloseError, Tip};
use polypeer_bumo::proof::{ProofFault, check_proof, check_proof_beside, check_verified_proof};
use polypeer_bumo::wire::{ConsensusValue, LedgerUpgrade, Message, TransactionEnv, WireError};
use rayon::iter::{IntoParallelIterator, ParallelIterator};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Signatures that are worth another thread.
const PARALLEL_MIN: usize = 8;

/// The chain.
pub(crate) struct Chain {
    pub(crate) rules: Rules,
    pub(crate) store: Store,
    /// What ledgers changed since the last commit.
    pub(crate) pending: Pending,
    /// What is on its way into the store.
    pub(crate) writing: Option<Writing>,
    /// The newest ledger's.
    pub(crate) tip: Header,
    /// In force after it.
    pub(crate) set: Arc<Set>,
    /// Those that agreed on it.
    pub(crate) before: Arc<Set>,
    /// Of its value.
    pub(crate) proof: Bytes,
    /// The first ledger that was not executed.
    pub(crate) follow_only: Option<u64>,
    /// Bytes of values held.
    pub(crate) bytes: u64,
    pub(crate) bytes_max: u64,
    /// The last value that was executed without being closed.
    pub(crate) trial: Option<Trial>,
    /// A ledger whose proof is by validators that nobody here knows.
    pub(crate) strangers: Option<u64>,
}

/// What shows that a value was agreed on.
pub(crate) struct Proof {
    /// A `PbftProof`.
    pub(crate) bytes: Bytes,
    /// Whether the signatures in it were verified in this process, one by one.
    pub(crate) is_verified: bool,
}

/// A value that was executed on top of the tip.
pub(crate) struct Trial {
    /// The value's hash, which has the tip's in it.
    pub(crate) digest: Hash,
    pub(crate) envelopes: Vec<Envelope>,
    pub(crate) made: Made,
}

/// What executing a value gave.
pub(crate) struct Made {
    pub(crate) touched: BTreeMap<AccountKey, Touched>,
    /// Of each transaction of the value, in its order; nothing for one that was passed over.
    pub(crate) applied: Vec<Option<Applied>>,
}

impl Chain {
    /// Opens the chain where its store stopped, or founds it.
    pub(crate) fn open(source: Source, rules: Rules, cache_bytes: usize, bytes_max: u64) -> Result<Self, OpenError> {
        rules.check()?;
        let (genesis, first) = found(&rules)?;
        let id = rules.hash.hash(&[&genesis.hash.unwrap_or_default().0[..], &[rules.hash as u8]].concat());
        let mut store = Store::open(source, cache_bytes, &id, &first)?;
        let last = store.tip.clone();
        let reading = store.reading()?;
        let header = |number| reading.header(number)?.ok_or_else(|| torn("a header"));
        let set = |hash: &Hash| {
            let bytes = reading.set(hash)?.ok_or_else(|| torn("a validator set"))?;
            Ok::<_, StoreError>(Arc::new(Set::decode(bytes, rules.hash)?))
        };
        let tip = header(last.number)?;
        if tip.version > VERSION_MAX {
            return Err(OpenError::Version(tip.version));
        }
        let before = set(&header(last.number.saturating_sub(1).max(1))?.validators)?;
        let set = set(&tip.validators)?;
        let (pending, writing, trial, strangers) = (Pending::default(), None, None, None);
        let (proof, follow_only, bytes) = (last.proof, last.follow_only, last.bytes);
        Ok(Self {
            rules,
            store,
            pending,
            writing,
            tip,
            set,
            before,
            proof,
            follow_only,
            bytes,
            bytes_max,
            trial,
            strangers,
        })
    }

    /// Where the chain stands.
    pub(crate) fn standing(&self) -> Tip {
        Tip {
            seq: number(self.tip.number),
            hash: self.tip.hash.unwrap_or_default(),
            value_hash: self.tip.value,
            close_time: self.tip.close_time,
            version: self.tip.version,
            validators: self.set.validators.clone(),
            validators_before: self.before.validators.clone(),
            proof: self.proof.clone(),
            follow_only: self.follow_only.map(number),
            signer: None,
            kept: Vec::new(),
        }
    }

    /// What the next commit says of the tip.
    pub(crate) fn row(&self) -> crate::tables::Tip {
        let (follow_only, proof) = (self.follow_only, self.proof.clone());
        crate::tables::Tip { number: self.tip.number, bytes: self.bytes, follow_only, proof }
    }

    /// Makes sure that the store is read, if it can be.
    pub(crate) fn ready(&mut self) {
        // When it cannot be read, whoever looks finds out.
        drop(self.store.reading());
    }

    /// The state after the tip; see [`Chain::ready`].
    pub(crate) fn view(&self) -> View<'_> {
        let writing = self.writing.as_ref().map(|writing| &*writing.pending);
        View { pending: &self.pending, writing, reading: self.store.ready() }
    }

    /// By what the next ledger is made.
    pub(crate) fn law(&self) -> Law {
        Law {
            ledger: self.tip.number + 1,
            version: self.tip.version,
            gas_price: self.rules.gas_price,
            base_reserve: self.rules.base_reserve,
        }
    }

    pub(crate) fn is_hard_fork(&self, digest: &Hash) -> bool {
        self.rules.hard_forks.contains(digest)
    }

    /// Checks what a value says of the ledger before it, and of versions and validators (BUMO spec, section 6.3, 2 to 4).
    pub(crate) fn check_base(&self, value: &ConsensusValue<'_>, digest: &Hash) -> Result<(), CloseError> {
        if value.ledger_seq != number(self.tip.number + 1) {
            return Err(CloseError::NotNext);
        }
        let previous: &[u8; 32] = value.previous_ledger_hash.try_into().map_err(|_| CloseError::PreviousHash)?;
        // The hash of a ledger that was not executed is what the next one says.
        if self.tip.hash.is_some_and(|hash| hash.0 != *previous) {
            return Err(CloseError::PreviousHash);
        }
        if value.ledger_upgrade.is_some_and(|upgrade| !self.may_upgrade(&upgrade, digest)) {
            return Err(CloseError::Upgrade);
        }
        self.check_previous_proof(value.previous_proof)
    }

    fn may_upgrade(&self, upgrade: &LedgerUpgrade<'_>, digest: &Hash) -> bool {
        let version = upgrade.new_ledger_version;
        (version == 0 || version > self.tip.version && version <= VERSION_MAX)
            && (upgrade.new_validator.is_empty() || self.is_hard_fork(digest))
    }

    fn check_previous_proof(&self, proof: &[u8]) -> Result<(), CloseError> {
        match self.tip.number {
            1 if proof.is_empty() => Ok(()),
            1 => Err(CloseError::PreviousProof(ProofFault::Malformed)),
            _ if self.is_hard_fork(&self.tip.value) => Ok(()),
            // It was checked when the tip was closed.
            _ if proof == self.proof => Ok(()),
            // Its primary counted other commits perhaps, of which most were verified here too.
            _ => check_proof_beside(&self.proof, proof, &self.tip.value, &self.before.validators, self.rules.chain_id)
                .map_err(|fault| self.name(fault, CloseError::PreviousProof(fault))),
        }
    }

    /// Checks that a value was agreed on (BUMO spec, section 6.3, 5).
    pub(crate) fn check_proof(&self, proof: &Proof, digest: &Hash) -> Result<(), CloseError> {
        if self.is_hard_fork(digest) {
            return Ok(());
        }
        let check = if proof.is_verified { check_verified_proof } else { check_proof };
        check(&proof.bytes, digest, &self.set.validators, self.rules.chain_id)
            .map_err(|fault| self.name(fault, CloseError::Proof(fault)))
    }

    /// A proof by strangers is wrong, unless operations that are not executed here can have made them validators.
    fn name(&self, fault: ProofFault, else_: CloseError) -> CloseError {
        if fault == ProofFault::Stranger && self.follow_only.is_some() { CloseError::Validators } else { else_ }
    }

    /// The envelopes of a value. Signatures of those in the pool are not verified again.
    pub(crate) fn envelopes(
        &self,
        bytes: &Bytes,
        value: &ConsensusValue<'_>,
        pool: &Pool,
    ) -> Result<Vec<Envelope>, WireError> {
        let (hash_type, whole) = (self.rules.hash, bytes);
        let known = |bytes: &[u8]| {
            let envelope = TransactionEnv::decode(bytes).ok()?;
            let waiting = pool.get(&hash_type.hash(envelope.transaction?.bytes))?;
            (waiting.envelope.bytes == bytes).then(|| waiting.envelope.clone())
        };
        let read = |(bytes, known): (&[u8], Option<Envelope>)| match known {
            Some(envelope) => Ok(envelope),
            None => Envelope::read(whole.slice_ref(bytes), hash_type),
        };
        let found: Vec<_> = value.transactions().map(|bytes| (bytes, known(bytes))).collect();
        match found.iter().filter(|(_, known)| known.is_none()).count() {
            0..PARALLEL_MIN => found.into_iter().map(read).collect(),
            _ => found.into_par_iter().map(read).collect(),
        }
    }

    /// Executes on top of the tip.
    pub(crate) fn execution<'e>(view: &'e View<'e>, law: &'e Law) -> Execution<'e> {
        Execution::new(view, law)
    }
}

/// A ledger's number as messages have it.
pub(crate) fn number(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
