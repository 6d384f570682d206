//! Remembers why: a bounded ring of what was chosen about whom.

use crate::ReasonRecord;
use alloc::collections::VecDeque;
use core::net::IpAddr;
use core::time::Duration;

/// Records that are kept; about 100 bytes each, so 400 KiB a network. The oldest leave.
pub const REASONS_MAX: usize = 4096;

/// A refusal that repeats the last one of its IP address within this time is counted, not written again: who knocks
/// a thousand times a second neither fills the ring nor the operator's log.
pub const AGAIN_WITHIN: Duration = Duration::from_secs(60);

/// How far back a refusal's like is looked for, so that a flood costs the same however long the ring is.
const AGAIN_LOOKED_AT: usize = 256;

/// The ring of reasons.
#[derive(Clone, Debug, Default)]
pub struct Reasons(VecDeque<ReasonRecord>);

impl Reasons {
    /// Remembers one. Whether it is a record of its own, and not one time more of the one before.
    pub fn push(&mut self, record: ReasonRecord) -> bool {
        if record.reason.is_refusal()
            && let Some(before) = self.same(&record)
        {
            before.times = before.times.saturating_add(1);
            return false;
        }
        if self.0.len() == REASONS_MAX {
            self.0.pop_front();
        }
        self.0.push_back(record);
        true
    }

    fn same(&mut self, record: &ReasonRecord) -> Option<&mut ReasonRecord> {
        let ip = record.subject.ip();
        let recent = self.0.iter_mut().rev().take(AGAIN_LOOKED_AT);
        let before = recent.into_iter().find(|before| before.subject.ip() == ip)?;
        let age = record.now.monotonic.since(before.now.monotonic);
        (before.reason == record.reason && age < AGAIN_WITHIN).then_some(before)
    }

    /// What is remembered about an IP address, newest first.
    pub fn about(&self, ip: IpAddr) -> impl Iterator<Item = &ReasonRecord> {
        self.0.iter().rev().filter(move |record| record.subject.ip() == ip)
    }

    /// Everything, newest first.
    pub fn all(&self) -> impl Iterator<Item = &ReasonRecord> {
        self.0.iter().rev()
    }
}
