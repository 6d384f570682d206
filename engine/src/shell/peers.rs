//! Keeps the table of peers: who is behind each connection, and which slots they fill.

use crate::kit::cost::Account;
use crate::{Address, ConnectionId, Direction, Ends, Now, Protocol, Time};
use alloc::collections::{BTreeMap, VecDeque};
use core::fmt;
use core::net::IpAddr;
use core::time::Duration;

/// A connection and who is behind it.
pub struct PeerState<P: Protocol> {
    /// The connection's two ends.
    pub ends: Ends,
    /// What the protocol knows; out of the table while its own handler runs.
    pub peer: Option<P::Peer>,
    /// When the connection stood.
    pub connected: Now,
    /// When the last whole frame came; the connection's own time before the first.
    pub last_frame: Time,
    /// Whether the handshake is finished.
    pub is_ready: bool,
    /// Whether it fills one of the outbound slots; a tracker does not, nor does a dial that only proves an address.
    pub fills_slot: bool,
    /// When each slip that still counts was made.
    pub slips: VecDeque<Time>,
    /// Frames received.
    pub frames_received: u64,
    /// Frames handed to the host for sending.
    pub frames_sent: u64,
    /// What it may still have of our time.
    pub account: Account,
}

impl<P: Protocol> PeerState<P> {
    /// A connection that just came to stand.
    pub fn new(ends: Ends, now: Now, fills_slot: bool) -> Self {
        Self {
            ends,
            peer: None,
            connected: now,
            last_frame: now.monotonic,
            is_ready: false,
            fills_slot,
            slips: VecDeque::new(),
            frames_received: 0,
            frames_sent: 0,
            account: Account::default(),
        }
    }

    /// Notes that a whole frame came, and takes the peer out of the table to handle it.
    pub fn received(&mut self, now: Time) -> Option<P::Peer> {
        self.last_frame = now;
        self.frames_received += 1;
        self.peer.take()
    }

    /// Notes a slip. Whether it is one too many.
    pub fn slip(&mut self, now: Time, max: u32, fade: Duration) -> bool {
        while self.slips.front().is_some_and(|at| now.since(*at) >= fade) {
            self.slips.pop_front();
        }
        self.slips.push_back(now);
        self.slips.len() >= max as usize
    }
}

impl<P: Protocol> fmt::Debug for PeerState<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PeerState").field("ends", &self.ends).field("peer", &self.peer).finish_non_exhaustive()
    }
}

/// A dial under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConnectingPeer {
    /// Whom.
    pub address: Address,
    /// Whether it will fill an outbound slot.
    pub fills_slot: bool,
}

/// Counts of what fills the slots.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SlotCount {
    /// Connections accepted.
    pub inbound: usize,
    /// Connections dialled that fill a slot, standing or under way.
    pub outbound: usize,
}

/// The number of connections per IP address, so that a cap needs no walk.
#[derive(Clone, Debug, Default)]
pub struct PerIp(BTreeMap<IpAddr, u32>);

impl PerIp {
    /// How many there are.
    pub fn get(&self, ip: IpAddr) -> u32 {
        self.0.get(&ip).copied().unwrap_or(0)
    }

    /// One more.
    pub fn add(&mut self, ip: IpAddr) {
        *self.0.entry(ip).or_default() += 1;
    }

    /// One less.
    pub fn remove(&mut self, ip: IpAddr) {
        if let Some(count) = self.0.get_mut(&ip) {
            *count -= 1;
            if *count == 0 {
                self.0.remove(&ip);
            }
        }
    }
}

/// Whether `connection` was accepted.
pub fn is_inbound(connection: ConnectionId) -> bool {
    connection.direction() == Direction::Inbound
}
