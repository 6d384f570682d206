//! Meters what a peer may do: a token bucket.

use crate::Time;
use core::time::Duration;

/// A token bucket: `burst` at once, one more every `refill`. It starts full and needs no timer.
#[derive(Clone, Copy, Debug)]
pub struct Bucket {
    refill: Duration,
    burst: u32,
    held: u32,
    // When the last token that counts was added; nothing before the first use.
    filled: Option<Time>,
}

impl Bucket {
    /// A full bucket. A `refill` of zero is taken as one microsecond.
    pub const fn new(burst: u32, refill: Duration) -> Self {
        Self { refill, burst, held: burst, filled: None }
    }

    /// Takes one token. Whether there was one.
    pub fn take(&mut self, now: Time) -> bool {
        self.take_up_to(now, 1) == 1
    }

    /// Takes as many tokens as there are, at most `count`. How many.
    pub fn take_up_to(&mut self, now: Time, count: usize) -> usize {
        self.fill(now);
        let taken = u32::try_from(count).unwrap_or(u32::MAX).min(self.held);
        self.held -= taken;
        taken as usize
    }

    /// Takes `count` tokens, or none when there are not so many. Whether there were.
    pub fn take_all(&mut self, now: Time, count: usize) -> bool {
        self.fill(now);
        let Some(held) = u32::try_from(count).ok().and_then(|count| self.held.checked_sub(count)) else { return false };
        self.held = held;
        true
    }

    fn fill(&mut self, now: Time) {
        let filled = *self.filled.get_or_insert(now);
        let missing = self.burst - self.held;
        let gained = now.since(filled).as_micros() / self.refill.as_micros().max(1);
        if gained >= u128::from(missing) {
            // Full: what would flow over is lost.
            self.held = self.burst;
            self.filled = Some(now);
        } else {
            let gained = u32::try_from(gained).unwrap_or(missing);
            self.held += gained;
            self.filled = Some(filled + self.refill.saturating_mul(gained));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Time {
        Time::from_micros(millis * 1000)
    }

    #[test]
    fn gives_the_burst_at_once_and_then_one_a_refill() {
        let mut bucket = Bucket::new(3, Duration::from_secs(1));
        assert_eq!([(); 5].map(|()| bucket.take(at(0))), [true, true, true, false, false]);
        assert!(!bucket.take(at(999)));
        assert!(bucket.take(at(1000)) && !bucket.take(at(1000)));
        // Half a refill is not lost when a whole one is taken.
        assert!(bucket.take(at(2500)) && bucket.take(at(3000)) && !bucket.take(at(3000)));
    }

    #[test]
    fn never_holds_more_than_the_burst() {
        let mut bucket = Bucket::new(1000, Duration::from_millis(100));
        assert_eq!(bucket.take_up_to(at(0), 5000), 1000);
        assert_eq!(bucket.take_up_to(at(1_000_000_000), 5000), 1000);
        assert_eq!(bucket.take_up_to(at(1_000_000_250), 5000), 2);
    }

    #[test]
    fn takes_all_or_nothing() {
        let mut bucket = Bucket::new(20, Duration::from_secs(1));
        assert!(bucket.take_all(at(0), 15) && !bucket.take_all(at(0), 6) && bucket.take_all(at(0), 5));
        assert!(!bucket.take_all(at(0), usize::MAX) && bucket.take_all(at(0), 0));
    }

    #[test]
    fn a_clock_that_stands_or_runs_back_gives_nothing() {
        let mut bucket = Bucket::new(1, Duration::from_secs(1));
        assert!(bucket.take(at(5000)));
        assert!(!bucket.take(at(4000)) && !bucket.take(at(5000)));
    }
}
