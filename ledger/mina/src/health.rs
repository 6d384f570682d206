//! Says whether the store can be written, and tries again when there was no room.

use crate::mina::Mina;
use crate::store::Changes;
use crate::tables::Result;
use polypeer_engine::{Now, Time};
use std::sync::atomic::Ordering;
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
    /// The disk is full: nothing is taken before this moment, and what is held is served on.
    Full(Time),
    /// The disk refused what it had promised. Only a new start reads what it really holds.
    Broken,
}

impl Mina {
    /// Shuts the store after a failure, and opens it again to be read if it can be trusted.
    pub(crate) fn fail(&mut self, now: Now) {
        let was_full = self.store.shut();
        self.set_health(if was_full { Health::Full(now.monotonic + PAUSE) } else { Health::Broken });
        if was_full && self.store.reopen().is_err() {
            let still_full = self.store.shut();
            self.set_health(if still_full { Health::Full(now.monotonic + PAUSE) } else { Health::Broken });
        }
    }

    /// Tries a disk again that was full.
    pub(crate) fn mend(&mut self, now: Now) {
        let Health::Full(until) = self.health else { return };
        if now.monotonic < until {
            return;
        }
        match self.try_to_mend() {
            Ok(true) => self.set_health(Health::Sound),
            Ok(false) => self.set_health(Health::Full(now.monotonic + PAUSE)),
            Err(_) => self.fail(now),
        }
    }

    fn try_to_mend(&mut self) -> Result<bool> {
        if !self.store.settle()? {
            return Ok(false);
        }
        // A commit that failed at its very end has come through perhaps.
        if !self.store.is_as_acknowledged()? {
            self.reload()?;
        }
        // Another commit makes sure of what is seen now.
        let mark = self.window().mark();
        self.store.commit(&Changes::default(), mark)?;
        Ok(true)
    }

    fn set_health(&mut self, health: Health) {
        self.health = health;
        self.shared.ails.store(health != Health::Sound, Ordering::Relaxed);
    }
}
