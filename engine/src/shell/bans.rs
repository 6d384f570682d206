//! Remembers whom not to talk to, until when and why.

use crate::{Now, Record, Table, Time};
use alloc::collections::BTreeMap;
use alloc::string::String;
use bytes::Bytes;
use core::net::IpAddr;
use core::time::Duration;
use serde::{Deserialize, Serialize};

/// Entries that are kept, about 150 bytes each. The one that ends first leaves.
pub const BANS_MAX: usize = 10_000;

/// How long a breach or an attack is remembered.
pub const PENALTY: Duration = Duration::from_secs(24 * 60 * 60);

/// How firm the refusal is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Severity {
    /// Not dialled, and let in only while slots are plenty.
    Discouraged,
    /// Not dialled, not let in.
    Banned,
}

/// One IP address that is refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ban {
    /// How firm.
    pub severity: Severity,
    /// Milliseconds since 1970 at which it ends.
    pub until_ms: u64,
    /// The fault's name, or `operator`.
    pub reason: String,
    /// An operator's ban holds for loopback too.
    pub by_operator: bool,
}

/// Who is refused.
#[derive(Clone, Debug, Default)]
pub struct Bans {
    // The monotonic end beside each: a clock that jumps neither frees nor catches anyone.
    entries: BTreeMap<IpAddr, (Time, Ban)>,
}

impl Bans {
    /// Refuses an IP address. A weaker refusal does not replace a stronger one that still holds.
    pub fn insert(&mut self, now: Now, ip: IpAddr, duration: Duration, ban: Ban) -> Option<Record> {
        let ip = ip.to_canonical();
        if self.get(now, ip).is_some_and(|held| held.severity > ban.severity || held.by_operator && !ban.by_operator) {
            return None;
        }
        self.make_room(now);
        let record =
            Record { table: Table::Bans, key: key(ip), value: postcard::to_allocvec(&ban).ok().map(Bytes::from) };
        self.entries.insert(ip, (now.monotonic + duration, ban));
        Some(record)
    }

    /// Lifts a refusal; the record that forgets it, if there was one.
    pub fn remove(&mut self, ip: IpAddr) -> Option<Record> {
        let ip = ip.to_canonical();
        self.entries.remove(&ip)?;
        Some(Record { table: Table::Bans, key: key(ip), value: None })
    }

    /// Takes back what was saved, less what has ended.
    pub fn load(&mut self, now: Now, record: &Record) {
        let ip = postcard::from_bytes::<IpAddr>(&record.key);
        let ban = record.value.as_ref().and_then(|value| postcard::from_bytes::<Ban>(value).ok());
        let (Ok(ip), Some(ban)) = (ip, ban) else { return };
        let left = Duration::from_millis(ban.until_ms.saturating_sub(now.unix_ms));
        if !left.is_zero() && self.entries.len() < BANS_MAX {
            self.entries.insert(ip, (now.monotonic + left, ban));
        }
    }

    /// The refusal of an IP address that holds now.
    pub fn get(&self, now: Now, ip: IpAddr) -> Option<&Ban> {
        let (until, ban) = self.entries.get(&ip.to_canonical())?;
        (*until > now.monotonic).then_some(ban)
    }

    /// All that hold now, by IP address.
    pub fn all(&self, now: Now) -> impl Iterator<Item = (IpAddr, &Ban)> {
        self.entries.iter().filter(move |(_, (until, _))| *until > now.monotonic).map(|(ip, (_, ban))| (*ip, ban))
    }

    fn make_room(&mut self, now: Now) {
        if self.entries.len() < BANS_MAX {
            return;
        }
        self.entries.retain(|_, (until, _)| *until > now.monotonic);
        if self.entries.len() >= BANS_MAX {
            let first =
                self.entries.iter().min_by_key(|(_, (until, ban))| (ban.by_operator, *until)).map(|(ip, _)| *ip);
            first.map(|ip| self.entries.remove(&ip));
        }
    }
}

fn key(ip: IpAddr) -> Bytes {
    postcard::to_allocvec(&ip).map(Bytes::from).unwrap_or_default()
}
