//! Judges a value that is proposed (BUMO spec, section 7.6).

use crate::chain::{Chain, Made, Trial};
use crate::closing::says_failed;
use crate::pool::Pool;
use bytes::Bytes;
use polypeer_bumo::hash::Hash;
use polypeer_bumo::ledger::Judgement;
use polypeer_bumo::wire::{ConsensusValue, ErrorCode, Message, PBFT_BYTES_MAX};

/// How far a close time may be ahead of the clock, in microseconds.
const AHEAD_US_MAX: i64 = 1_000_000;

impl Chain {
    /// Whether a value may be voted for. Whatever speaks against it only makes it doubtful: it is executed all the same if
    /// others commit it.
    pub(crate) fn judge(&mut self, now_us: i64, value: &Bytes, pool: &Pool) -> (Hash, Judgement) {
        let digest = self.rules.hash.hash(value);
        match self.try_judge(now_us, value, &digest, pool) {
            Some(()) => (digest, Judgement::Valid),
            None => (digest, Judgement::Doubtful),
        }
    }

    fn try_judge(&mut self, now_us: i64, value: &Bytes, digest: &Hash, pool: &Pool) -> Option<()> {
        if self.follow_only.is_some() || value.len() >= PBFT_BYTES_MAX {
            return None;
        }
        let wire = ConsensusValue::decode(value).ok()?;
        self.check_base(&wire, digest).ok()?;
        let earliest = self.tip.close_time.checked_add(self.rules.interval_us())?;
        (wire.close_time >= earliest && now_us > wire.close_time.saturating_sub(AHEAD_US_MAX)).then_some(())?;
        if self.trial.as_ref().is_some_and(|trial| trial.digest == *digest) {
            return Some(());
        }
        let envelopes = self.envelopes(value, &wire, pool).ok()?;
        self.ready();
        let (view, law) = (self.view(), self.law());
        let mut execution = Self::execution(&view, &law);
        // A transaction that does not even pass the checks before refuses the whole value.
        let applied: Option<Vec<_>> = envelopes.iter().map(|envelope| execution.judge(envelope).ok()).collect();
        let applied = applied?;
        let failed = applied.iter().zip(0_i32..).filter(|(applied, _)| applied.code != ErrorCode::SUCCESS);
        let is_as_said = failed.map(|(_, place)| (place, 1)).eq(says_failed(&wire));
        // Nothing expires here: only contracts take time.
        let validation = wire.validation.unwrap_or_default();
        (is_as_said && validation.expire_tx_ids.is_empty()).then_some(())?;
        let touched = execution.finish(self.set.validators.addresses()).ok()?;
        let applied = applied.into_iter().map(Some).collect();
        self.trial = Some(Trial { digest: *digest, envelopes, made: Made { touched, applied } });
        Some(())
    }
}
