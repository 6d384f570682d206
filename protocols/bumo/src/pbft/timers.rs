//! Says how long each thing waits (BUMO spec, section 7.7): all of it scales with one interval.

use core::time::Duration;

/// The waits of the agreement. With the original's interval of 10 s they are the original's, but where a field says
/// otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timers {
    /// From the close of a ledger to the next proposal.
    pub interval: Duration,
    /// From the start to the first proposal; 3 s, so that others can be connected by then.
    pub start: Duration,
    /// How long a view may take, and how long its primary may take to open it; 30 s.
    pub view: Duration,
    /// From a proposal to its repetition; 7.5 s.
    pub repeat_proposal: Duration,
    /// From a commit to its repetition; 15 s.
    pub repeat_commit: Duration,
    /// From a view change to its repetition. The original's takes 60 s, by which a healed network would lose two views;
    /// a repetition is welcome to it at any time.
    pub repeat_change: Duration,
    /// From a new view to its repetition; 15 s.
    pub repeat_new_view: Duration,
    /// Until what failed is tried again; 500 ms, the original's tick.
    pub retry: Duration,
}

impl Timers {
    /// For a ledger every `interval`.
    pub const fn scaled(interval: Duration) -> Self {
        Self {
            interval,
            start: part(interval, 300),
            view: part(interval, 3_000),
            repeat_proposal: part(interval, 750),
            repeat_commit: part(interval, 1_500),
            repeat_change: part(interval, 1_500),
            repeat_new_view: part(interval, 1_500),
            retry: part(interval, 50),
        }
    }

    /// For ledgers without a pause, one as soon as the one before is closed. The other waits are those of `scale`.
    pub const fn without_pause(scale: Duration) -> Self {
        Self { interval: Duration::ZERO, start: Duration::ZERO, ..Self::scaled(scale) }
    }
}

// So many thousandths of it, and a millisecond at least: a wait of nothing would turn in circles.
const fn part(interval: Duration, thousandths: u64) -> Duration {
    let micros = (interval.as_micros() as u64).saturating_mul(thousandths) / 1_000;
    Duration::from_micros(if micros < 1_000 { 1_000 } else { micros })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ten_seconds_are_the_originals() {
        let timers = Timers::scaled(Duration::from_secs(10));
        let seconds = [timers.start, timers.view, timers.repeat_proposal, timers.repeat_commit, timers.retry]
            .map(|wait| wait.as_secs_f64());
        assert_eq!(seconds, [3.0, 30.0, 7.5, 15.0, 0.5]);
        assert_eq!(Timers::scaled(Duration::from_millis(500)).view, Duration::from_millis(1_500));
    }

    #[test]
    fn without_a_pause_the_other_waits_stay() {
        let timers = Timers::without_pause(Duration::from_secs(10));
        assert_eq!((timers.interval, timers.view), (Duration::ZERO, Duration::from_secs(30)));
    }
}
