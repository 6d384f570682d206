//! Remembers why: a bounded ring of what was chosen about whom.

use crate::ReasonRecord;
use alloc::collections::VecDeque;
use core::net::IpAddr;

/// Records that are kept; about 100 bytes each, so 400 KiB a network. The oldest leave.
pub const REASONS_MAX: usize = 4096;

/// The ring of reasons.
#[derive(Clone, Debug, Default)]
pub struct Reasons(VecDeque<ReasonRecord>);

impl Reasons {
    /// Remembers one.
    pub fn push(&mut self, record: ReasonRecord) {
        if self.0.len() == REASONS_MAX {
            self.0.pop_front();
        }
        self.0.push_back(record);
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
