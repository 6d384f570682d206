//! Bounds what a peer sends besides messages: pings, settings, resets, frames of nothing. HTTP/2 and WebSocket answer each
//! and keep none, so they cost no memory, but they cost our time, and no engine hears of them.

use polypeer_engine::Time;

/// What may come in one burst: the frames with which calls are opened, windows moved and settings changed take some
/// hundred bytes, and pings to keep a connection alive a few dozen.
const BURST_BYTES: i64 = 256 << 10;
/// What comes back each second. A ping to keep a connection alive has 17 bytes.
const REFILL_BYTES: i64 = 1 << 10;

/// What is left to a peer. A message's bytes pay for themselves and as much again, so that small ones in frames of
/// their own, 9 bytes of header each, are no noise; bytes that we send pay for the peer's moving its window.
#[derive(Debug)]
pub(crate) struct Noise {
    left: i64,
    refilled: Time,
}

impl Noise {
    pub(crate) fn new() -> Self {
        Self { left: BURST_BYTES, refilled: Time::default() }
    }

    /// What the peer gets back as time passes.
    pub(crate) fn refill(&mut self, now: Time) {
        let seconds = now.since(self.refilled).as_secs();
        if seconds > 0 {
            self.refilled = now;
            self.earn(i64::try_from(seconds).unwrap_or(i64::MAX).saturating_mul(REFILL_BYTES));
        }
    }

    /// So many bytes came through the socket.
    pub(crate) fn came(&mut self, bytes: usize) {
        self.left = self.left.saturating_sub_unsigned(bytes as u64);
    }

    /// So many of them were a message's.
    pub(crate) fn was_payload(&mut self, bytes: usize) {
        self.earn(i64::try_from(bytes).unwrap_or(i64::MAX).saturating_mul(2));
    }

    /// So many bytes of messages were sent.
    pub(crate) fn sent(&mut self, bytes: usize) {
        self.earn(i64::try_from(bytes).unwrap_or(i64::MAX));
    }

    /// Whether it is too much.
    pub(crate) fn is_too_much(&self) -> bool {
        self.left < 0
    }

    fn earn(&mut self, bytes: i64) {
        self.left = self.left.saturating_add(bytes).min(BURST_BYTES);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn messages_pay_for_their_frames_and_noise_runs_out() {
        let mut noise = Noise::new();
        for _ in 0..1_000_000 {
            noise.came(9 + 9);
            noise.was_payload(9);
        }
        assert!(!noise.is_too_much());
        let mut pings = 0;
        while !noise.is_too_much() {
            noise.came(17);
            pings += 1;
        }
        assert_eq!(pings, (256 << 10) / 17 + 1);
    }

    #[test]
    fn a_peer_may_ping_for_ever() {
        let mut noise = Noise::new();
        for second in 0..1_000_000 {
            noise.refill(Time::default() + Duration::from_secs(second));
            noise.came(2 * 17);
            assert!(!noise.is_too_much());
        }
    }

    #[test]
    fn windows_moved_for_what_we_send_are_no_noise() {
        let mut noise = Noise::new();
        for _ in 0..100_000 {
            noise.sent(16 << 10);
            noise.came(2 * 13);
        }
        assert!(!noise.is_too_much());
    }
}
