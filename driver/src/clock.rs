//! Reads the machine's clocks: the only place that does.

use polypeer_engine::{Now, Time};
use std::time::{Duration, Instant, SystemTime};

/// Both clocks, counted from one start. Engine and ledger of a network share one.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    base: Instant,
}

impl Clock {
    /// A clock that starts now.
    pub(crate) fn start() -> Self {
        Self { base: Instant::now() }
    }

    /// What both clocks show. A wall clock before 1970 shows 1970.
    pub(crate) fn now(self) -> Now {
        let unix = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        Now {
            monotonic: Time::from_micros(u64::try_from(self.base.elapsed().as_micros()).unwrap_or(u64::MAX)),
            unix_ms: u64::try_from(unix.as_millis()).unwrap_or(u64::MAX),
        }
    }

    /// The instant that `time` stands for; a time too far off to be one is a year from the start.
    pub(crate) fn instant(self, time: Time) -> Instant {
        const FAR: Duration = Duration::from_secs(365 * 24 * 3600);
        self.base + Duration::from_micros(time.as_micros()).min(FAR)
    }
}
