//! Knows the validators, and checks who says what (BUMO spec, section 7.3).

use super::border::{Ignored, Replica, Settings};
use crate::keys::{PublicKey, ReadyKey};
use crate::proof::Validators;
use crate::wire::{Body, PbftEnv};
use alloc::string::{String, ToString};
use alloc::vec::Vec;

/// The validators in force, and the keys that they have shown.
#[derive(Debug)]
pub(super) struct Roster {
    validators: Validators,
    // A key is known once a message showed it: its text, so that it is parsed and hashed to an address once.
    keys: Vec<Option<(String, ReadyKey)>>,
}

/// A message whose claims were checked, and its signature not yet.
#[derive(Clone, Copy, Debug)]
pub(super) struct Claim<'a> {
    pub(super) replica: Replica,
    pub(super) round: i64,
    pub(super) body: Body<'a>,
    key: ReadyKey,
    signed: &'a [u8],
    signature: &'a [u8],
}

impl Claim<'_> {
    /// The check that costs most, so it comes last.
    pub(super) fn verify(&self, settings: &Settings) -> Result<(), Ignored> {
        if (settings.verify)(&self.key, self.signed, self.signature) { Ok(()) } else { Err(Ignored::Signature) }
    }
}

impl Roster {
    pub(super) fn new(validators: Validators) -> Self {
        let keys = validators.addresses().iter().map(|_| None).collect();
        Self { validators, keys }
    }

    pub(super) fn validators(&self) -> &Validators {
        &self.validators
    }

    pub(super) fn len(&self) -> usize {
        self.validators.len()
    }

    /// How many of them may lie without harm.
    pub(super) fn faults(&self) -> usize {
        self.len().saturating_sub(1) / 3
    }

    /// The prepares that make a value prepared: with its primary they are a majority.
    pub(super) fn quorum(&self) -> usize {
        self.validators.quorum()
    }

    /// The commits that make a value final and the view changes that move a view: any two such groups have an honest
    /// validator in common.
    pub(super) fn majority(&self) -> usize {
        self.validators.quorum() + 1
    }

    pub(super) fn is_primary(&self, replica: Replica, view: i64) -> bool {
        self.validators.primary(view) == Some(replica)
    }

    /// Checks all of a message's claims that need no signature.
    pub(super) fn claim<'a>(&mut self, envelope: &PbftEnv<'a>, settings: &Settings) -> Result<Claim<'a>, Ignored> {
        let pbft = envelope.pbft.ok_or(Ignored::Malformed)?;
        let signature = envelope.signature.ok_or(Ignored::Malformed)?;
        if pbft.message.chain_id != settings.chain_id {
            return Err(Ignored::ChainId);
        }
        let replica = pbft.message.body.replica_id().ok_or(Ignored::Malformed)?;
        let replica = Replica::try_from(replica).map_err(|_| Ignored::Stranger)?;
        let key = self.key(replica, signature.public_key)?;
        let round = pbft.message.round_number;
        Ok(Claim { replica, round, body: pbft.message.body, key, signed: pbft.bytes, signature: signature.sign_data })
    }

    // The key of this text, if it is this replica's.
    fn key(&mut self, replica: Replica, text: &str) -> Result<ReadyKey, Ignored> {
        let known = self.keys.get_mut(replica).ok_or(Ignored::Stranger)?;
        if let Some((known, key)) = known
            && known == text
        {
            return Ok(*key);
        }
        let key = PublicKey::parse(text).map_err(|_| Ignored::Stranger)?;
        if self.validators.addresses().get(replica) != Some(&key.address()) {
            return Err(Ignored::Stranger);
        }
        let key = ReadyKey::new(key);
        *known = Some((text.to_string(), key));
        Ok(key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn roster(count: usize) -> Roster {
        Roster::new(Validators::new((0..count).map(|number| number.to_string()).collect()))
    }

    #[test]
    fn two_majorities_have_an_honest_validator_in_common_and_the_honest_are_one() {
        for count in 1..200 {
            let roster = roster(count);
            assert!(2 * roster.majority() > count + roster.faults(), "of {count}");
            assert!(roster.majority() <= count - roster.faults(), "of {count}");
        }
    }
}
