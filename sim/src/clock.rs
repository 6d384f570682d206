//! Tells a node's wall clock, which may be wrong, jump, stand still, run fast or backwards. Its monotonic clock never is.

use polypeer_engine::Time;

/// A wall clock: what it showed at one moment, and how fast it has run since.
#[derive(Clone, Copy, Debug)]
pub(crate) struct WallClock {
    since: Time,
    shown_ms: u64,
    rate_percent: u32,
}

impl WallClock {
    /// A clock that is `offset_ms` off and runs as it should; `true_ms` is the right time at `world`.
    pub(crate) fn off_by(world: Time, true_ms: u64, offset_ms: i64) -> Self {
        Self { since: world, shown_ms: true_ms.saturating_add_signed(offset_ms), rate_percent: 100 }
    }

    /// What it shows, in milliseconds since 1970.
    pub(crate) fn now_ms(&self, world: Time) -> u64 {
        let passed = world.as_micros().saturating_sub(self.since.as_micros());
        let shown = passed.saturating_mul(u64::from(self.rate_percent)) / 100_000;
        self.shown_ms.saturating_add(shown)
    }

    /// Lets it run at another rate from now on; at 0 it stands still.
    pub(crate) fn set_rate(&mut self, world: Time, rate_percent: u32) {
        *self = Self { since: world, shown_ms: self.now_ms(world), rate_percent };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_jumps_stands_still_and_runs_fast() {
        let at = |seconds: u64| Time::from_micros(seconds * 1_000_000);
        let mut clock = WallClock::off_by(at(10), 50_000, -3_600_000);
        assert_eq!(clock.now_ms(at(10)), 0, "there is nothing before 1970");
        clock = WallClock::off_by(at(10), 50_000, 1_000);
        assert_eq!(clock.now_ms(at(12)), 53_000);
        clock.set_rate(at(12), 0);
        assert_eq!(clock.now_ms(at(100)), 53_000);
        clock.set_rate(at(100), 250);
        assert_eq!(clock.now_ms(at(102)), 58_000);
    }
}
