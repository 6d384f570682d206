//! Lists what an engine asks of its host: a closed enum.

use crate::{Address, ChannelId, ConnectionId, Event, Phase, Ticket};
use alloc::string::String;
use bytes::Bytes;
use serde::{Deserialize, Serialize};

/// Something to carry out, in order. `R` is what the network asks its ledger.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub enum Effect<R> {
    /// Open a connection; answered with `Connected` or `ConnectionFailed`.
    Dial {
        /// The id that the connection will have.
        connection: ConnectionId,
        /// Whom to dial.
        address: Address,
    },
    /// Open a channel of this kind; answered with `ChannelOpened` or `ChannelClosed`.
    Open {
        /// The connection.
        connection: ConnectionId,
        /// The channel's id from now on.
        channel: ChannelId,
        /// The protocol's number for the kind of channel.
        kind: u16,
    },
    /// Write a whole frame. A broadcast is many of these that share one buffer.
    Send {
        /// The connection.
        connection: ConnectionId,
        /// The channel.
        channel: ChannelId,
        /// The frame as it will stand on the wire.
        frame: Bytes,
        /// What happens when the peer reads too slowly.
        overflow: Overflow,
    },
    /// Cut the channel's next bytes by the rules of this phase.
    SetPhase {
        /// The connection.
        connection: ConnectionId,
        /// The channel.
        channel: ChannelId,
        /// The phase.
        phase: Phase,
    },
    /// Write no more on this channel.
    Finish {
        /// The connection.
        connection: ConnectionId,
        /// The channel.
        channel: ChannelId,
    },
    /// Break this channel off, both ways.
    Reset {
        /// The connection.
        connection: ConnectionId,
        /// The channel.
        channel: ChannelId,
    },
    /// Close a connection; nothing more is handed in from it but `Disconnected`.
    Close {
        /// The connection.
        connection: ConnectionId,
        /// How.
        how: Close,
    },
    /// Look a name up; answered with `Resolved`.
    Resolve {
        /// The host name.
        name: String,
        /// The port, handed back.
        port: u16,
    },
    /// Put a question to the ledger; answered with `LedgerAnswered` and the same ticket.
    Ask {
        /// The question's ticket.
        ticket: Ticket,
        /// The question.
        request: R,
    },
    /// Keep a record, soon; not answered. What must be durable before a word is sent goes through the ledger.
    Save(Record),
    /// Show something to whoever watches. It decides nothing.
    Publish(Event),
}

/// What happens to a frame for which a peer's queue has no room.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Overflow {
    /// Gossip: the frame is dropped and counted; the peer learns of it another way.
    Drop,
    /// Anything that the peer waits for: the connection ends.
    Close,
}

/// How a connection is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Close {
    /// At once; what is queued is lost.
    Now,
    /// When what is queued has been written.
    Flushed,
    /// Flushed, our sending side shut down, and what still comes is discarded until the peer closes: else the last
    /// frame could be lost in a reset.
    Lingering,
}

/// Something small to remember over a restart.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// What kind of thing.
    pub table: Table,
    /// Which one.
    pub key: Bytes,
    /// What to remember; nothing deletes it.
    pub value: Option<Bytes>,
}

/// The kinds of things that are remembered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Table {
    /// The address book.
    Addresses,
    /// Bans and discouragements.
    Bans,
    /// Peers that a restart dials first.
    Anchors,
    /// The protocol's own, the tracker's members for one.
    Protocol,
}
