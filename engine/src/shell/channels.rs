//! Counts what was sent on each channel, so that answers are made as the peer reads them.

use crate::{ChannelId, ConnectionId};
use alloc::collections::BTreeMap;

/// The channels that can be written to.
#[derive(Clone, Debug, Default)]
pub struct Channels {
    sent: BTreeMap<(ConnectionId, ChannelId), usize>,
}

impl Channels {
    /// A channel opened.
    pub fn opened(&mut self, connection: ConnectionId, channel: ChannelId) {
        self.sent.insert((connection, channel), 0);
    }

    /// A channel closed, or may not be written to any more. Whether it was open.
    pub fn closed(&mut self, connection: ConnectionId, channel: ChannelId) -> bool {
        self.sent.remove(&(connection, channel)).is_some()
    }

    /// All channels of a connection closed.
    pub fn closed_all(&mut self, connection: ConnectionId) {
        let all = (connection, ChannelId(0))..=(connection, ChannelId(u32::MAX));
        while let Some(key) = self.sent.range(all.clone()).next().map(|(key, _)| *key) {
            self.sent.remove(&key);
        }
    }

    /// Notes that `bytes` are about to be sent. Whether the channel is open.
    pub fn sending(&mut self, connection: ConnectionId, channel: ChannelId, bytes: usize) -> bool {
        let Some(sent) = self.sent.get_mut(&(connection, channel)) else { return false };
        *sent = sent.saturating_add(bytes);
        true
    }

    /// The host says that the channel is writable again.
    pub fn writable(&mut self, connection: ConnectionId, channel: ChannelId) {
        if let Some(sent) = self.sent.get_mut(&(connection, channel)) {
            *sent = 0;
        }
    }

    /// The connection of each open channel.
    pub(crate) fn connections(&self) -> impl Iterator<Item = ConnectionId> {
        self.sent.keys().map(|(connection, _)| *connection)
    }

    /// Bytes sent since the channel was last writable, or nothing when it is not open.
    pub fn sent(&self, connection: ConnectionId, channel: ChannelId) -> Option<usize> {
        self.sent.get(&(connection, channel)).copied()
    }
}
