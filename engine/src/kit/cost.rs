//! Prices work in our time, and keeps what each peer may still have of it.
//!
//! Every door through which work comes in (pushed, announced and fetched, synced, listed, submitted) charges the same
//! account. What turns out useful is given back: an honest peer at full speed pays for little, whoever sends what comes
//! to nothing pays for all of it.
//!
//! | class | what it is | when the account is overdrawn |
//! |---|---|---|
//! | `TransactionCheck` | a signature and the rules | pushed: dropped and counted; listed: reading waits |
//! | `BlockCheck` | the signatures of a block that proved wrong | its sender is convicted, so this only follows its address |
//! | `HeaderCheck` | proof of work and root | pushed: dropped and counted; fetched: done, we asked for it |
//! | `Lookup` | one thing read from the ledger | the request waits |
//! | `ListServed` | a list made of many things | the request waits |
//! | `Announcement` | an identifier that the ledger may know | dropped and counted |
//! | `AddressLearn` | an address put into the book | dropped and counted |
//!
//! Being overdrawn is no fault. Only who goes on until [`EXCESS`] of work was refused slips, once for each such amount.

use crate::Time;
use core::time::Duration;

/// What a peer gets back of each second of ours: a quarter of one core. At the price of a transaction this is more than
/// twice the thousand frames a second that AnYa's spec grants, and at that of a look-up 80,000 small blocks a second.
const SHARE: u64 = 4;
/// What it may have at once. Five thousand transactions, which AnYa's spec grants, are less than a quarter of it.
const BURST: Duration = Duration::from_secs(2);
/// How deep into debt what we asked for ourselves may bring it.
const DEBT_MAX: Duration = Duration::from_secs(2);
/// Refused work that makes a slip. A peer that relays ten times AnYa's thousand transactions a second into a mempool
/// without room is refused two thirds of a second of work a second, and slips eight times a minute: far from the twenty
/// that end it.
pub const EXCESS: Duration = Duration::from_secs(5);

const NANOS_PER_MICRO: u64 = 1_000;

/// A kind of work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Class {
    /// A signature and the rules of a transaction.
    TransactionCheck,
    /// All signatures of a block.
    BlockCheck,
    /// A block's proof of work and root.
    HeaderCheck,
    /// One block or transaction read from the ledger and put into a frame.
    Lookup,
    /// A list made of many things.
    ListServed,
    /// An identifier of which the ledger says whether it is new.
    Announcement,
    /// An address put into the book.
    AddressLearn,
}

impl Class {
    /// All of them, in order.
    pub const ALL: [Self; 7] = [
        Self::TransactionCheck,
        Self::BlockCheck,
        Self::HeaderCheck,
        Self::Lookup,
        Self::ListServed,
        Self::Announcement,
        Self::AddressLearn,
    ];

    /// Its name, as metrics show it.
    pub fn name(self) -> &'static str {
        match self {
            Self::TransactionCheck => "transaction_check",
            Self::BlockCheck => "block_check",
            Self::HeaderCheck => "header_check",
            Self::Lookup => "lookup",
            Self::ListServed => "list_served",
            Self::Announcement => "announcement",
            Self::AddressLearn => "address_learn",
        }
    }

    // Nanoseconds of one, and of each KiB of it. `ledger/reference/examples/prices.rs` measures them. On two shared cores
    // of a virtual machine, dependencies optimised and our own code not: a signature 90 us, a header 8 us and 4.7 us a
    // KiB, a look-up 1.7 us and 1 us a KiB, a list 14 us a KiB, an announcement 2.8 us, an address 6.2 us. A block's
    // signatures follow from one's. Look-ups and lists are priced lower than measured, for a sync is full of the first
    // and most of the cost of both is our code, which a release does several times faster.
    const fn rates(self) -> (u64, u64) {
        match self {
            Self::TransactionCheck => (90_000, 0),
            Self::BlockCheck => (90_000, 600_000),
            Self::HeaderCheck => (8_000, 5_000),
            Self::Lookup => (3_000, 500),
            Self::ListServed => (20_000, 5_000),
            Self::Announcement => (3_000, 0),
            Self::AddressLearn => (6_000, 0),
        }
    }

    /// What one of `bytes` costs.
    pub const fn price(self, bytes: usize) -> Price {
        let (fixed, per_kib) = self.rates();
        Price(fixed + (bytes as u64).saturating_mul(per_kib) / 1024)
    }
}

/// An amount of our time, in nanoseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Price(u64);

impl Price {
    /// The price of so many.
    pub const fn times(self, count: usize) -> Self {
        Self(self.0.saturating_mul(count as u64))
    }

    /// What is left of it when `other` was rightly spent.
    pub const fn less(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }

    /// As time.
    pub const fn time(self) -> Duration {
        Duration::from_nanos(self.0)
    }
}

/// What became of a charge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Charged {
    /// The work may be done.
    Paid,
    /// Not now.
    Refused,
    /// Not now, and so much was refused that it is a slip.
    Excess,
}

/// What a peer may still have of our time. It starts full and needs no timer.
#[derive(Clone, Copy, Debug)]
pub struct Account {
    // Nanoseconds; below zero it is overdrawn.
    left: i64,
    // When it was filled last; nothing before the first use.
    filled: Option<Time>,
    refused: u64,
}

impl Default for Account {
    fn default() -> Self {
        Self { left: Self::FULL, filled: None, refused: 0 }
    }
}

impl Account {
    const FULL: i64 = BURST.as_nanos() as i64;
    const EMPTY: i64 = -(DEBT_MAX.as_nanos() as i64);

    /// Charges work that somebody else wants done, if the account is not overdrawn; the last charge may overdraw it.
    pub fn charge(&mut self, now: Time, price: Price) -> Charged {
        if self.is_good(now) {
            self.take(price);
            return Charged::Paid;
        }
        self.refused += price.0;
        let excess = EXCESS.as_nanos() as u64;
        if self.refused < excess {
            return Charged::Refused;
        }
        self.refused -= excess.min(self.refused);
        Charged::Excess
    }

    /// Charges work that is done in any case: we asked for what it is about.
    pub fn owe(&mut self, now: Time, price: Price) {
        self.fill(now);
        self.take(price);
    }

    /// Gives back what was charged for something useful.
    pub fn refund(&mut self, price: Price) {
        self.left = self.left.saturating_add_unsigned(price.0).min(Self::FULL);
    }

    /// Whether it is not overdrawn.
    pub fn is_good(&mut self, now: Time) -> bool {
        self.fill(now);
        self.left > 0
    }

    /// When it is not overdrawn any more, if nothing else is charged.
    pub fn good_at(&self, now: Time) -> Time {
        let missing = u64::try_from(1 - self.left).unwrap_or(0);
        now + Duration::from_micros(missing.saturating_mul(SHARE).div_ceil(NANOS_PER_MICRO))
    }

    /// Whether it has all that it can have, so that nothing need be remembered of it.
    pub fn is_full(&mut self, now: Time) -> bool {
        self.fill(now);
        self.left == Self::FULL && self.refused == 0
    }

    /// What is left, in nanoseconds; below zero it is overdrawn.
    pub fn left(&self) -> i64 {
        self.left
    }

    /// Of two accounts of one address, the one that has less.
    #[must_use]
    pub fn poorer(self, other: Self) -> Self {
        if self.left <= other.left { self } else { other }
    }

    fn take(&mut self, price: Price) {
        self.left = self.left.saturating_sub_unsigned(price.0).max(Self::EMPTY);
    }

    fn fill(&mut self, now: Time) {
        let filled = *self.filled.get_or_insert(now);
        if now > filled {
            let gained = u64::try_from(now.since(filled).as_nanos()).unwrap_or(u64::MAX) / SHARE;
            self.left = self.left.saturating_add_unsigned(gained).min(Self::FULL);
            self.filled = Some(now);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Time {
        Time::from_micros(millis * 1000)
    }

    const SECOND: Price = Price(1_000_000_000);

    #[test]
    fn a_burst_then_a_quarter_of_each_second() {
        let mut account = Account::default();
        assert_eq!([(); 3].map(|()| account.charge(at(0), SECOND)), [Charged::Paid, Charged::Paid, Charged::Refused]);
        assert_eq!(account.charge(at(1), SECOND), Charged::Paid, "a little credit is enough, the rest is debt");
        let good = account.good_at(at(1));
        assert!(good > at(3_990) && good < at(4_010), "{good:?}");
        assert_eq!(account.charge(at(3_900), SECOND), Charged::Refused);
        assert_eq!(account.charge(good, SECOND), Charged::Paid);
    }

    #[test]
    fn useful_work_costs_nothing_in_the_end() {
        let mut account = Account::default();
        for _ in 0..1_000 {
            assert_eq!(account.charge(at(0), SECOND), Charged::Paid);
            account.refund(SECOND);
        }
        assert!(account.is_full(at(0)));
        account.refund(SECOND);
        assert_eq!([(); 3].map(|()| account.charge(at(0), SECOND))[2], Charged::Refused, "never above the burst");
    }

    #[test]
    fn what_we_asked_for_is_owed_and_debt_is_bounded() {
        let mut account = Account::default();
        account.owe(at(0), SECOND.times(1_000_000));
        assert!(!account.is_good(at(7_900)) && account.is_good(at(8_100)));
    }

    #[test]
    fn only_gross_excess_is_a_slip() {
        let mut account = Account::default();
        account.owe(at(0), SECOND.times(100));
        let refused: [Charged; 11] = [(); 11].map(|()| account.charge(at(0), SECOND));
        assert_eq!(refused.iter().filter(|charged| **charged == Charged::Excess).count(), 2);
        assert_eq!((refused[3], refused[4]), (Charged::Refused, Charged::Excess));
    }

    #[test]
    fn prices_are_whole_however_large_the_thing_is() {
        for class in Class::ALL {
            assert!(class.price(0).0 > 0 && class.price(usize::MAX).0 >= class.price(1 << 20).0, "{}", class.name());
        }
        let transaction = Class::TransactionCheck.price(153);
        assert!(transaction.times(5_000).time() < BURST, "five thousand at once are not refused");
        assert!(transaction.times(1_000).time() * 4 < Duration::from_secs(1), "nor a thousand a second");
    }
}
