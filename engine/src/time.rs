//! Tells time: two clocks that the host reads, handed in with every action.

use core::ops::{Add, Sub};
use core::time::Duration;
use serde::{Deserialize, Serialize};

/// A point on the host's monotonic clock, in microseconds since the host started. Every timer uses it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Time(u64);

impl Time {
    /// The moment the host started.
    pub const ZERO: Self = Self(0);

    /// The point `micros` microseconds after the host started.
    pub const fn from_micros(micros: u64) -> Self {
        Self(micros)
    }

    /// Microseconds since the host started.
    pub const fn as_micros(self) -> u64 {
        self.0
    }

    /// How long after `earlier` this is; zero when it is not after it.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_micros(self.0.saturating_sub(earlier.0))
    }
}

impl Add<Duration> for Time {
    type Output = Self;

    /// Saturates: a wait that a peer names can be as long as it likes.
    fn add(self, wait: Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(wait.as_micros()).unwrap_or(u64::MAX)))
    }
}

impl Sub<Duration> for Time {
    type Output = Self;

    /// Saturates at the start.
    fn sub(self, wait: Duration) -> Self {
        Self(self.0.saturating_sub(u64::try_from(wait.as_micros()).unwrap_or(u64::MAX)))
    }
}

/// Both clocks at one moment. Timers use `monotonic`; message fields and ledger rules use `unix_ms`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Now {
    /// The monotonic clock.
    pub monotonic: Time,
    /// Milliseconds since 1970, as the machine believes; it may be wrong, jump or run backwards.
    pub unix_ms: u64,
}

impl Now {
    /// Both clocks `wait` later.
    pub fn after(self, wait: Duration) -> Self {
        Self {
            monotonic: self.monotonic + wait,
            unix_ms: self.unix_ms.saturating_add(u64::try_from(wait.as_millis()).unwrap_or(u64::MAX)),
        }
    }
}
