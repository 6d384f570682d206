//! Lists what the outside can tell an engine: a closed enum, and the only thing that is recorded.

use crate::{Address, BadFrame, ChannelId, ConnectionId, Direction, Ends, Target, Ticket};
use alloc::string::String;
use alloc::vec::Vec;
use bytes::Bytes;
use core::net::IpAddr;
use core::time::Duration;
use serde::{Deserialize, Serialize};

/// Something that happened outside. `A` is what the network's ledger answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum P2pAction<A> {
    /// The operator wants a connection to this address now, whatever the dialer thinks.
    Connect {
        /// Whom to dial.
        address: Address,
    },
    /// A connection stands. Ours carries the id of the dial, an accepted one an id of the host's.
    Connected {
        /// The connection.
        connection: ConnectionId,
        /// Its two ends.
        ends: Ends,
    },
    /// A dial came to nothing.
    ConnectionFailed {
        /// The dial's id.
        connection: ConnectionId,
        /// Why.
        cause: DialFailure,
    },
    /// The operator wants this connection gone.
    Disconnect {
        /// The connection.
        connection: ConnectionId,
    },
    /// A connection is gone: the last that is heard of it.
    Disconnected {
        /// The connection.
        connection: ConnectionId,
        /// Why.
        cause: DisconnectCause,
    },
    /// A channel opened. [`ChannelId::ONLY`] needs no such word.
    ChannelOpened {
        /// The connection.
        connection: ConnectionId,
        /// The channel.
        channel: ChannelId,
        /// The protocol's number for the kind of channel.
        kind: u16,
        /// Who opened it.
        opener: Direction,
    },
    /// A channel closed.
    ChannelClosed {
        /// The connection.
        connection: ConnectionId,
        /// The channel.
        channel: ChannelId,
        /// How.
        end: ChannelEnd,
    },
    /// What was queued on a channel fell below its low-water mark after
    /// [`crate::Profile::low_water_bytes`] had been sent since the last such word.
    Writable {
        /// The connection.
        connection: ConnectionId,
        /// The channel.
        channel: ChannelId,
    },
    /// A whole frame came.
    MessageReceived {
        /// The connection.
        connection: ConnectionId,
        /// The channel.
        channel: ChannelId,
        /// The frame as it stood on the wire.
        frame: Bytes,
    },
    /// The framer refused bytes; the connection can still be written to.
    BadFrame {
        /// The connection.
        connection: ConnectionId,
        /// The channel.
        channel: ChannelId,
        /// What was wrong.
        bad: BadFrame,
    },
    /// The host hands in something of its own for every ready peer; `kind` is the protocol's number for what it is.
    BroadcastMessage {
        /// The protocol's number for the kind of message.
        kind: u16,
        /// Its payload.
        payload: Bytes,
    },
    /// The ledger, or a producer, says something.
    LedgerAnswered {
        /// The question's ticket; none when nobody asked.
        ticket: Option<Ticket>,
        /// What it says.
        answer: A,
    },
    /// A name was looked up.
    Resolved {
        /// The name as it was asked.
        name: String,
        /// The port as it was asked.
        port: u16,
        /// What it stands for now, at most 256; empty when it is unknown.
        addresses: Vec<Address>,
    },
    /// The operator wants something.
    Command(Command),
    /// The time that [`crate::Engine::next_wake`] named has come.
    Wake,
    /// Gossip for this connection found no room and was dropped: told at the first frame, then at most once a minute,
    /// and when the connection ends. It decides nothing; a person wants to know.
    Dropped {
        /// The connection.
        connection: ConnectionId,
        /// Frames since the last such word.
        frames: u64,
    },
}

/// What an operator can want of a running engine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Command {
    /// Keep this peer connected from now on.
    AddPeer(Target),
    /// Stop keeping it connected; an open connection stays.
    ForgetPeer(Target),
    /// Close connections with this IP address and refuse new ones; holds for loopback too.
    Ban {
        /// Whom.
        ip: IpAddr,
        /// For how long; saturates.
        duration: Duration,
    },
    /// Lift a ban or a discouragement.
    Unban {
        /// Whose.
        ip: IpAddr,
    },
    /// Say goodbye to everyone, dial and accept no more.
    Drain,
}

/// Why a dial came to nothing; the dialer's patience depends on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum DialFailure {
    /// Nobody listens there.
    Refused,
    /// No answer in time.
    TimedOut,
    /// No way there: no route, no such network.
    Unreachable,
    /// The transport's own handshake failed.
    Transport,
    /// Ours: no file descriptor, no memory. Says nothing about the address.
    Resources,
}

/// Why a connection is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum DisconnectCause {
    /// The engine closed it.
    Ours,
    /// The peer closed it in order.
    Theirs,
    /// It broke: a reset, an I/O error.
    Broken,
    /// The peer read too slowly for what it must get.
    QueueFull,
    /// The process's memory budget was spent and this connection held most of it.
    Budget,
}

/// How a channel ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ChannelEnd {
    /// The peer does not speak what it was opened for.
    Refused,
    /// The peer writes no more.
    Finished,
    /// It broke off.
    Reset,
}
