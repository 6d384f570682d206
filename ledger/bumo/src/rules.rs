//! Says by which rules a network makes its ledgers (BUMO spec, sections 1.3, 9.3 to 9.5).

use crate::config::OpenError;
use polypeer_bumo::hash::{Hash, HashType};
use std::collections::BTreeSet;
use std::time::Duration;

/// What the first ledger is made of, and what all later ones go by. All nodes of a network have the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rules {
    /// Which chain: 0 for a main one.
    pub chain_id: i64,
    /// The hash of ledgers, values and transactions. Nothing on the wire says which: a node with another one finds every
    /// proof wrong.
    pub hash: HashType,
    /// The address of the account that has all coins at the start, 10^17. It must not be a validator's.
    pub genesis_account: String,
    /// The addresses of the validators, in the order of their replica ids.
    pub validators: Vec<String>,
    /// What stands in the first ledger's header for people to read.
    pub slogan: String,
    /// What a unit of gas costs at least.
    pub gas_price: i64,
    /// What an account must keep.
    pub base_reserve: i64,
    /// How far apart ledgers are at least, and how long a primary waits after one. A network constant: who has a longer
    /// one finds the others' values too early.
    pub interval: Duration,
    /// Values of which no proof is asked, and which may name a new validator.
    pub hard_forks: BTreeSet<Hash>,
}

/// The newest version of the rules that is known here.
pub const VERSION_MAX: i64 = 1_003;
/// The version that every chain begins with.
pub const VERSION_MIN: i64 = 1_000;
/// What the genesis account begins with.
pub(crate) const COINS: i64 = 100_000_000_000_000_000;
/// What the first ledgers pay their validators, fees aside.
const REWARD: i64 = 800_000_000;
/// After so many ledgers a quarter less is paid.
const REWARD_LEDGERS: u64 = 15_768_000;
/// Validators that a network may start with: PBFT's messages grow with their square.
const VALIDATORS_MAX: usize = 1_000;

impl Rules {
    /// Those of a private network, with the original's fees and interval.
    pub fn private(genesis_account: &str, validators: &[&str]) -> Self {
        Self {
            chain_id: 0,
            hash: HashType::Sha256,
            genesis_account: genesis_account.to_owned(),
            validators: validators.iter().map(|address| (*address).to_owned()).collect(),
            slogan: "a new era of value".to_owned(),
            gas_price: 1_000,
            base_reserve: 10_000_000,
            interval: Duration::from_secs(10),
            hard_forks: BTreeSet::new(),
        }
    }

    /// Microseconds from one ledger's close time to the next one's, at least.
    pub(crate) fn interval_us(&self) -> i64 {
        i64::try_from(self.interval.as_micros()).unwrap_or(i64::MAX)
    }

    pub(crate) fn check(&self) -> Result<(), OpenError> {
        let addresses: BTreeSet<&str> = self.validators.iter().map(String::as_str).collect();
        let wrong = [self.genesis_account.as_str()].into_iter().chain(addresses.iter().copied());
        if let Some(address) = wrong.into_iter().find(|address| crate::account::key_of(address).is_none()) {
            return Err(OpenError::Address(address.to_owned()));
        }
        if addresses.is_empty() || addresses.len() > VALIDATORS_MAX || addresses.len() < self.validators.len() {
            return Err(OpenError::Validators);
        }
        if addresses.contains(&*self.genesis_account) {
            return Err(OpenError::GenesisValidates);
        }
        if self.gas_price < 0 || self.base_reserve < 0 {
            return Err(OpenError::Fees);
        }
        Ok(())
    }
}

/// By what one ledger is made.
#[derive(Clone, Debug)]
pub(crate) struct Law {
    /// Its number.
    pub(crate) ledger: u64,
    /// The version in the header before it.
    pub(crate) version: i64,
    pub(crate) gas_price: i64,
    pub(crate) base_reserve: i64,
}

impl Law {
    pub(crate) fn number(&self) -> i64 {
        i64::try_from(self.ledger).unwrap_or(i64::MAX)
    }

    /// Whether a new account may have signers and thresholds of its own.
    pub(crate) fn allows_signers_at_birth(&self) -> bool {
        self.version <= VERSION_MIN
    }

    /// Whether the account that elects validators, if there is one, gets the reward.
    pub(crate) fn pays_electors(&self) -> bool {
        self.version > 1_002
    }

    /// What this ledger pays beside the fees: a quarter less in every period.
    pub(crate) fn reward(&self) -> i64 {
        let periods = self.ledger / REWARD_LEDGERS;
        // Nothing is left after some hundred periods.
        (0..periods.min(1_000)).fold(REWARD, |reward, _| match reward {
            0..4 => reward * 3 / 4,
            reward => reward - reward / 4,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reward_falls_by_a_quarter_until_nothing_is_left() {
        let reward = |ledger| Law { ledger, version: 1_003, gas_price: 0, base_reserve: 0 }.reward();
        assert_eq!(
            [1, 15_767_999, 15_768_000, 31_536_000].map(reward),
            [800_000_000, 800_000_000, 600_000_000, 450_000_000]
        );
        assert!(reward(15_768_000 * 60) > 0 && reward(15_768_000 * 200) == 0 && reward(u64::MAX) == 0);
    }
}
