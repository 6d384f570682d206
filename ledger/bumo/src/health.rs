//! Says whether the store can be written, and tries again when there was no room.

use crate::bumo::Bumo;
use polypeer_engine::{Now, Time};
use std::time::Duration;

/// How long nothing is written after the disk was full; space that comes back is used within this time.
const PAUSE: Duration = Duration::from_millis(500);

/// Whether the store can be written.
///
/// ```text
/// sound ──no space──► full(until) ──until──► sound, or full again
///   └───another error──► broken
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Health {
    Sound,
    /// The disk is full: nothing is written before this moment. What is closed meanwhile waits in memory.
    Full(Time),
    /// The disk refused what it had promised. Only a new start reads what it really holds.
    Broken,
}

impl Bumo {
    /// Shuts the store after a failure, and opens it again to be read if it can be trusted.
    pub(crate) fn fail(&mut self, now: Now) {
        let was_full = self.chain.store.shut();
        self.set_health(if was_full { Health::Full(now.monotonic + PAUSE) } else { Health::Broken });
        if was_full && self.chain.store.reopen().is_err() {
            let still_full = self.chain.store.shut();
            self.set_health(if still_full { Health::Full(now.monotonic + PAUSE) } else { Health::Broken });
        }
    }

    /// Tries a disk again that was full. A commit that failed at its very end has come through perhaps; the next one
    /// writes the same once more.
    pub(crate) fn mend(&mut self, now: Now) {
        let Health::Full(until) = self.health else { return };
        if now.monotonic < until {
            return;
        }
        match self.chain.store.settle() {
            Ok(true) => {
                self.set_health(Health::Sound);
                self.commit(now);
            }
            Ok(false) => self.set_health(Health::Full(now.monotonic + PAUSE)),
            Err(_) => self.fail(now),
        }
    }
}
