//! Watches frames in the making: how long one takes to become whole, and how many bytes all of them hold.

use crate::budget::{Account, Budget};
use crate::connection::Connection;
use polypeer_engine::{ConnectionId, Framer, Profile, Time};
use std::collections::BTreeSet;
use std::time::Duration;

/// One network's frames in the making. Protocols that set no limits pay nothing for it.
#[derive(Debug)]
pub(crate) struct Partials {
    frame_time_max: Option<Duration>,
    begun: BTreeSet<(Time, ConnectionId)>,
    account: Option<Account>,
}

impl Partials {
    pub(crate) fn new(profile: &Profile) -> Self {
        let account = profile.partial_bytes_budget.map(|bytes| Budget::exact(bytes).join());
        Self { frame_time_max: profile.frame_time_max, begun: BTreeSet::new(), account }
    }

    /// A turn of reading ended: `has_cut` when it brought a whole frame, so that what is left was begun now.
    pub(crate) fn note<F: Framer>(
        &mut self,
        id: ConnectionId,
        connection: &mut Connection<F>,
        now: Time,
        has_cut: bool,
    ) {
        if self.frame_time_max.is_none() && self.account.is_none() {
            return;
        }
        // Whole frames that wait for their turn are ours to take, not the peer's to send.
        let bytes = if connection.has_uncut { 0 } else { connection.partial_bytes() };
        if let Some(account) = &mut self.account {
            connection.partial_charged = account.charge(id, connection.partial_charged, bytes);
        }
        if self.frame_time_max.is_some() {
            let since = match connection.partial_since {
                Some(since) if bytes > 0 && !has_cut => Some(since),
                _ => (bytes > 0).then_some(now),
            };
            self.began(id, connection, since);
        }
    }

    /// Something has changed on a channel of a connection that has many.
    pub(crate) fn note_channels<F: Framer>(&mut self, id: ConnectionId, connection: &mut Connection<F>) {
        if let Some(account) = &mut self.account {
            connection.partial_charged = account.charge(id, connection.partial_charged, connection.partial_bytes());
        }
        if self.frame_time_max.is_some() {
            let since = connection.channels.values().filter_map(|channel| channel.partial_since).min();
            self.began(id, connection, since);
        }
    }

    /// The connection is gone, or nobody listens to it any more.
    pub(crate) fn forget<F: Framer>(&mut self, id: ConnectionId, connection: &mut Connection<F>) {
        if let Some(account) = &mut self.account {
            connection.partial_charged = account.charge(id, connection.partial_charged, 0);
        }
        self.began(id, connection, None);
    }

    /// Whose frame has taken too long.
    pub(crate) fn overdue(&self, now: Time) -> Option<ConnectionId> {
        let (since, id) = self.begun.first()?;
        (now >= *since + self.frame_time_max?).then_some(*id)
    }

    /// When the first of them will have.
    pub(crate) fn next(&self) -> Option<Time> {
        Some(self.begun.first()?.0 + self.frame_time_max?)
    }

    /// Who holds most, when all together hold too much.
    pub(crate) fn longest(&self) -> Option<ConnectionId> {
        self.account.as_ref()?.to_shed(|_| false)
    }

    fn began<F>(&mut self, id: ConnectionId, connection: &mut Connection<F>, since: Option<Time>) {
        if connection.partial_since == since {
            return;
        }
        if let Some(before) = connection.partial_since {
            self.begun.remove(&(before, id));
        }
        if let Some(since) = since {
            self.begun.insert((since, id));
        }
        connection.partial_since = since;
    }
}
