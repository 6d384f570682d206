//! Charges the API for what it has a ledger do: an account like a peer's, one for each network.

use super::running::Refused;
use polypeer_engine::Time;
use polypeer_engine::kit::cost::{Account, Charged, Class, Price};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

const TRANSACTION: Price = Class::TransactionCheck.price(0);

/// The account of everyone who holds the token together.
#[derive(Debug)]
pub(super) struct Till {
    started: Instant,
    account: Mutex<Account>,
}

impl Till {
    pub(super) fn new() -> Self {
        Self { started: Instant::now(), account: Mutex::default() }
    }

    /// Charges a transaction that is to be checked.
    pub(super) fn charge(&self) -> Result<(), Refused> {
        match self.lock().charge(self.now(), TRANSACTION) {
            Charged::Paid => Ok(()),
            Charged::Refused | Charged::Excess => Err(Refused::Overdrawn),
        }
    }

    /// It was useful.
    pub(super) fn refund(&self) {
        self.lock().refund(TRANSACTION);
    }

    fn now(&self) -> Time {
        Time::from_micros(u64::try_from(self.started.elapsed().as_micros()).unwrap_or(u64::MAX))
    }

    fn lock(&self) -> MutexGuard<'_, Account> {
        // Nothing in here leaves the account half changed.
        self.account.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn useful_submissions_cost_nothing_and_useless_ones_run_out_of_credit() {
        let till = Till::new();
        for _ in 0..200_000 {
            till.charge().expect("what was useful is paid back");
            till.refund();
        }
        let paid = (0..1_000_000).take_while(|_| till.charge().is_ok()).count();
        assert!((5_000..1_000_000).contains(&paid), "{paid} useless ones were taken");
    }
}
