//! A node: the machine, and a ledger with a disk that a crash can tear.

use super::chance::Chance;
use crate::{keys, message};
use bytes::Bytes;
use polypeer_bumo::hash::{Hash, sha256};
use polypeer_bumo::keys::ReadyKey;
use polypeer_bumo::ledger::{Judgement, Proposal, Tip};
use polypeer_bumo::pbft::{Pbft, Settings, Timers};
use polypeer_bumo::proof::Validators;
use polypeer_engine::{Now, Time};
use std::collections::{HashSet, VecDeque};
use std::time::Duration;

/// From one ledger to the next, and what everything scales with: the original's.
pub(crate) const INTERVAL: Duration = Duration::from_secs(10);
/// What the wall clock said when the simulation began, milliseconds.
const EPOCH_MS: u64 = 1_700_000_000_000;

/// What the ledger was asked and has not answered.
#[derive(Clone, Debug)]
pub(crate) enum Job {
    Propose,
    Judge { digest: Hash, value: Bytes },
    Sign { ticket: u64, pbft: Bytes, keep: Bytes },
    Close { value: Bytes, proof: Bytes, is_sync: bool },
}

/// A closed ledger.
#[derive(Clone, Debug)]
pub(crate) struct Closed {
    pub(crate) value: Bytes,
    pub(crate) digest: Hash,
    pub(crate) proof: Bytes,
    close_ms: u64,
}

/// A node.
pub(crate) struct Node {
    /// The validator whose key it has.
    pub(crate) key: Option<usize>,
    /// Whether it keeps to the rules; a twin does not, for its other half votes too.
    pub(crate) is_honest: bool,
    /// Tells its proposals from its twin's.
    salt: u8,
    skew_ms: i64,
    interval: Duration,
    validators: Validators,
    /// Nothing while it is down.
    pub(crate) machine: Option<Pbft>,
    /// Counts its lives.
    pub(crate) life: u64,
    /// On disk.
    pub(crate) chain: Vec<Closed>,
    log: Vec<Bytes>,
    /// Asked, in order.
    pub(crate) jobs: VecDeque<Job>,
    /// What was relayed or taken.
    pub(crate) known: HashSet<u128>,
    /// When it is woken next.
    pub(crate) alarm: Option<u64>,
    /// When the last ledger closed here.
    pub(crate) moved_at: u64,
    /// When it last asked for ledgers.
    pub(crate) synced_at: u64,
}

/// A value of the simulation: number, previous value's hash, close time in seconds, whose.
fn make(sequence: i64, previous: &Hash, close_ms: u64, salt: u8) -> Bytes {
    let mut value = Vec::with_capacity(50);
    value.extend_from_slice(&sequence.to_be_bytes());
    value.extend_from_slice(&previous.0);
    value.extend_from_slice(&close_ms.div_ceil(1000).to_be_bytes());
    value.push(salt);
    value.into()
}

fn number(value: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_be_bytes(value.get(at..at + 8)?.try_into().ok()?))
}

impl Node {
    pub(crate) fn new(
        slot: usize,
        key: Option<usize>,
        is_honest: bool,
        validators: Validators,
        (skew_ms, interval): (i64, Duration),
    ) -> Self {
        Self {
            key,
            is_honest,
            salt: slot as u8,
            skew_ms,
            interval,
            validators,
            machine: None,
            life: 0,
            chain: Vec::new(),
            log: Vec::new(),
            jobs: VecDeque::new(),
            known: HashSet::new(),
            alarm: None,
            moved_at: 0,
            synced_at: 0,
        }
    }

    pub(crate) fn now(&self, at: u64) -> Now {
        let unix_ms = (EPOCH_MS + at / 1000).saturating_add_signed(self.skew_ms);
        Now { monotonic: Time::from_micros(at), unix_ms }
    }

    /// The last closed ledger's number; genesis is 1.
    pub(crate) fn last(&self) -> i64 {
        self.chain.len() as i64 + 1
    }

    fn tip_hash(&self) -> Hash {
        self.chain.last().map_or(Hash::ZERO, |closed| closed.digest)
    }

    fn tip_close_ms(&self) -> u64 {
        self.chain.last().map_or(0, |closed| closed.close_ms)
    }

    pub(crate) fn tip(&self) -> Tip {
        Tip {
            seq: self.last(),
            value_hash: self.tip_hash(),
            close_time: self.tip_close_ms() as i64 * 1000,
            validators: self.validators.clone(),
            validators_before: self.validators.clone(),
            proof: self.chain.last().map(|closed| closed.proof.clone()).unwrap_or_default(),
            signer: self.key.map(|key| keys::key(key).address.clone()),
            ..Tip::default()
        }
    }

    /// Starts, with what is on its disk.
    pub(crate) fn start(&mut self, at: u64) {
        let is_paced = !self.interval.is_zero();
        let timers = if is_paced { Timers::scaled(INTERVAL) } else { Timers::without_pause(INTERVAL) };
        let settings = Settings { verify: keys::verify, ..Settings::new(timers) };
        let tip = Tip { kept: self.log.clone(), ..self.tip() };
        self.machine = Some(Pbft::new(settings, self.now(at), &tip));
        self.moved_at = at;
    }

    /// Loses all but its disk. Of what was to be written, some of the first may be there.
    pub(crate) fn crash(&mut self, chance: &mut Chance) {
        let written = chance.below(self.jobs.len() as u64 + 1) as usize;
        for job in std::mem::take(&mut self.jobs).into_iter().take(written) {
            match job {
                Job::Sign { keep, .. } if !keep.is_empty() => self.log.push(keep),
                Job::Close { value, proof, .. } => {
                    self.close(value, proof);
                }
                _ => {}
            }
        }
        self.machine = None;
        self.life += 1;
        self.known.clear();
        self.alarm = None;
    }

    pub(crate) fn propose(&self, at: u64) -> Proposal {
        let close_ms = self.now(at).unix_ms.max(self.tip_close_ms() + self.interval.as_millis() as u64);
        let value = make(self.last() + 1, &self.tip_hash(), close_ms, self.salt);
        Proposal { digest: sha256(&value), value, seq: self.last() + 1 }
    }

    /// Valid on top of the tip, and of the past.
    pub(crate) fn judge(&self, at: u64, value: &[u8]) -> Judgement {
        let close_ms = number(value, 40).map_or(u64::MAX, |seconds| seconds.saturating_mul(1000));
        let is_next = self.follows(value);
        // Rounded up to a second here, and a second is allowed besides.
        let is_past = close_ms <= self.now(at).unix_ms + 2_000;
        let is_later = close_ms >= self.tip_close_ms() + self.interval.as_millis() as u64;
        if is_next && is_past && is_later { Judgement::Valid } else { Judgement::Doubtful }
    }

    fn follows(&self, value: &[u8]) -> bool {
        value.len() == 49
            && number(value, 0) == Some(self.last() as u64 + 1)
            && value.get(8..40) == Some(&self.tip_hash().0[..])
    }

    pub(crate) fn write(&mut self, keep: Bytes) {
        if !keep.is_empty() {
            self.log.push(keep);
        }
    }

    /// Closes a ledger if it is the next one and proven.
    pub(crate) fn close(&mut self, value: Bytes, proof: Bytes) -> bool {
        let digest = sha256(&value);
        if !self.follows(&value) || !is_proven(&proof, &digest, &self.validators) {
            return false;
        }
        let close_ms = number(&value, 40).unwrap_or(0) * 1000;
        self.chain.push(Closed { value, digest, proof, close_ms });
        self.log.clear();
        true
    }
}

/// The rules of the spec's section 7.9.
fn is_proven(proof: &[u8], digest: &Hash, validators: &Validators) -> bool {
    let mut signers = HashSet::new();
    let commits = message::fields(proof);
    let is_right = commits.iter().all(|(field, commit)| {
        let message::Value::Bytes(commit) = commit else { return false };
        let read = message::read(commit);
        let Some((signer, key)) = validators.signer(&read.public) else { return false };
        *field == 1
            && read.kind == message::COMMIT
            && read.digest == digest.0
            && read.replica == signer
            && signers.insert(signer)
            && keys::verify(&ReadyKey::new(key), &read.signed, &read.signature)
    });
    is_right && signers.len() > validators.quorum()
}
