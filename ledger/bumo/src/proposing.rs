//! Makes a value on top of the tip (BUMO spec, section 7.6).

use crate::chain::{Chain, Made, Trial, number};
use crate::checks::Stop;
use crate::pool::Pool;
use crate::rules::VERSION_MAX;
use polypeer_bumo::hash::Hash;
use polypeer_bumo::ledger::{Proposal, ProposeError};
use polypeer_bumo::wire::{
    ConsensusValue, ErrorCode, LedgerUpgrade, List, Message, Packed, TRANSACTIONS_MAX, TXSET_BYTES_MAX,
    TransactionEnvSet, Validation,
};

/// A value that was made, and those of the pool that can stand in no ledger any more.
pub(crate) struct Proposed {
    pub(crate) proposal: Proposal,
    pub(crate) dropped: Vec<Hash>,
}

impl Chain {
    /// Makes the next value. What fails before it is executed is left out, and what fails then is named in it.
    pub(crate) fn propose(
        &mut self,
        now_us: i64,
        upgrade: Option<&[u8]>,
        pool: &Pool,
    ) -> Result<Proposed, ProposeError> {
        if self.follow_only.is_some() {
            return Err(ProposeError::FollowOnly);
        }
        self.ready();
        let (view, law) = (self.view(), self.law());
        let mut execution = Self::execution(&view, &law);
        let (mut envelopes, mut applied, mut dropped) = (Vec::new(), Vec::new(), Vec::new());
        for envelope in pool.choose(TRANSACTIONS_MAX, TXSET_BYTES_MAX - 1) {
            match execution.judge(&envelope) {
                Ok(one) => {
                    envelopes.push(envelope);
                    applied.push(one);
                }
                // One before it was left out, and may come again.
                Err(Stop::Code(ErrorCode::BAD_SEQUENCE) | Stop::Foreign) => {}
                Err(Stop::Code(_)) => dropped.push(envelope.id),
                Err(Stop::Store) => return Err(ProposeError::Store),
            }
        }
        let touched = execution.finish(self.set.validators.addresses()).map_err(|_| ProposeError::Store)?;
        let failed = applied.iter().zip(0_i32..).filter(|(applied, _)| applied.code != ErrorCode::SUCCESS);
        let failed: Vec<_> = failed.map(|(_, place)| place).collect();
        let txs: Vec<_> = envelopes.iter().map(|envelope| &envelope.bytes[..]).collect();
        let validation = Validation { expire_tx_ids: Packed::default(), error_tx_ids: Packed::of(&failed) };
        let previous = self.tip.hash.unwrap_or_default();
        let value = ConsensusValue {
            txset: Some(TransactionEnvSet { txs: List::of(&txs) }),
            close_time: now_us.max(self.tip.close_time.saturating_add(self.rules.interval_us())),
            previous_proof: &self.proof,
            ledger_seq: number(self.tip.number + 1),
            previous_ledger_hash: &previous.0,
            ledger_upgrade: upgrade.and_then(|upgrade| self.wish(upgrade)),
            validation: (!failed.is_empty()).then_some(validation),
        }
        .encode();
        let (digest, seq) = (self.rules.hash.hash(&value), number(self.tip.number + 1));
        let applied = applied.into_iter().map(Some).collect();
        self.trial = Some(Trial { digest, envelopes, made: Made { touched, applied } });
        Ok(Proposed { proposal: Proposal { value, digest, seq }, dropped })
    }

    /// The change of version that is wished for, if this chain can make it.
    fn wish<'u>(&self, upgrade: &'u [u8]) -> Option<LedgerUpgrade<'u>> {
        let upgrade = LedgerUpgrade::decode(upgrade).ok()?;
        let version = upgrade.new_ledger_version;
        let may = version > self.tip.version && version <= VERSION_MAX && upgrade.new_validator.is_empty();
        may.then_some(upgrade)
    }
}
