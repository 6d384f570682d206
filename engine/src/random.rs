//! Draws numbers from the engine's seed: the only source of chance in an engine.

use core::time::Duration;
use rand_chacha::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};

/// A seeded generator. The same seed gives the same draws.
#[derive(Clone, Debug)]
pub struct Random(ChaCha8Rng);

impl Random {
    /// The generator of this seed.
    pub fn new(seed: [u8; 32]) -> Self {
        Self(ChaCha8Rng::from_seed(seed))
    }

    /// Any number.
    pub fn number(&mut self) -> u64 {
        self.0.next_u64()
    }

    /// A number below `end`; 0 when `end` is 0.
    pub fn below(&mut self, end: usize) -> usize {
        let wide = u128::from(self.0.next_u64()) * (end as u128);
        (wide >> 64) as usize
    }

    /// `wait`, shorter or longer by at most `percent` percent.
    pub fn jitter(&mut self, wait: Duration, percent: u32) -> Duration {
        let micros = u64::try_from(wait.as_micros()).unwrap_or(u64::MAX);
        let span = micros / 100 * u64::from(percent);
        let low = micros.saturating_sub(span);
        let wide = u128::from(self.0.next_u64()) * u128::from(span.saturating_mul(2).saturating_add(1));
        Duration::from_micros(low.saturating_add((wide >> 64) as u64))
    }

    /// Up to `count` of `items` in random order, each at most once.
    pub fn sample<T: Clone>(&mut self, mut items: alloc::vec::Vec<T>, count: usize) -> alloc::vec::Vec<T> {
        let count = count.min(items.len());
        for at in 0..count {
            let other = at + self.below(items.len() - at);
            items.swap(at, other);
        }
        items.truncate(count);
        items
    }
}
