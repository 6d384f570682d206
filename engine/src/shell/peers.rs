//! Keeps the table of peers: who is behind each connection, and which slots they fill.

use crate::kit::cost::Account;
use crate::shell::book::Which;
use crate::shell::eviction::Merit;
use crate::shell::slots::Slot;
use crate::{Address, Ends, Now, Protocol, Time};
use alloc::collections::VecDeque;
use core::fmt;
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
    /// Where the protocol found that the peer can be dialled, if it did: a named peer that is there is not dialled too.
    pub is_at: Option<Address>,
    /// What it counts as.
    pub slot: Slot,
    /// When each slip that still counts was made.
    pub slips: VecDeque<Time>,
    /// Frames received.
    pub frames_received: u64,
    /// Frames handed to the host for sending.
    pub frames_sent: u64,
    /// What it is worth, when one has to go.
    pub merit: Merit,
    /// Why it was dialled; an ordinary dial for one that was accepted.
    pub errand: Errand,
    /// What it may still have of our time.
    pub account: Account,
    /// Channels that we opened on it so far.
    pub channels_opened: u32,
}

impl<P: Protocol> PeerState<P> {
    /// A connection that just came to stand, with the slips that its host left behind.
    pub fn new(ends: Ends, now: Now, slot: Slot, slips: VecDeque<Time>) -> Self {
        Self {
            ends,
            peer: None,
            connected: now,
            last_frame: now.monotonic,
            is_ready: false,
            is_at: None,
            slot,
            slips,
            frames_received: 0,
            frames_sent: 0,
            merit: Merit::default(),
            errand: Errand::default(),
            account: Account::default(),
            channels_opened: 0,
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
    /// What it will count as, and counts as already.
    pub slot: Slot,
    /// What it is for.
    pub errand: Errand,
}

/// What a dial is for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Errand {
    /// Somebody named the peer, or the protocol wants it.
    #[default]
    Named,
    /// It fills a slot from this table of the address book.
    Slot(Which),
    /// It ends once the handshake is finished: it only shows that a peer is there.
    Test,
}
