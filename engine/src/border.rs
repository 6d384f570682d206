//! Holds an engine to the border's rules: what it asks of its host makes sense, whatever it was told.
//!
//! The rules are checked from outside, by hosts that look for faults: the simulator, a fuzz session, a replay. A host
//! in production does not need them, as nothing there depends on a rule's being kept.

use crate::{ChannelId, ConnectionId, Direction, Effect, P2pAction, Ticket};
use alloc::collections::{BTreeMap, BTreeSet};

/// Bytes that one step may send for each connection that stands: what the longest batch of answers is, with room.
pub const STEP_BYTES_MAX: usize = 80 << 20;

/// What a host knows of its connections, to judge effects by.
#[derive(Clone, Debug, Default)]
pub struct Border {
    // Connections that stand, and whether the engine has closed them.
    standing: BTreeMap<ConnectionId, bool>,
    dialling: BTreeSet<ConnectionId>,
    last_dial: Option<ConnectionId>,
    last_ticket: Option<Ticket>,
}

/// A rule that an engine broke.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BorderFault {
    /// A dial has an outbound id, higher than any before it.
    Dial(ConnectionId),
    /// Only a connection that stands is written to, cut by a phase, or has its channels changed.
    NotOpen(ConnectionId),
    /// A connection is closed once, and only when it stands.
    Closed(ConnectionId),
    /// Nothing empty is sent.
    EmptyFrame(ConnectionId),
    /// One step does not send more than 80 MiB for each connection.
    TooMuch,
    /// Every question has a ticket of its own, higher than any before it.
    Ticket(Ticket),
    /// A stream that cannot be read on is closed in the same step.
    LeftUnreadable(ConnectionId),
}

impl core::fmt::Display for BorderFault {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Dial(id) => write!(f, "it dials with the id {id}, which is not a new one of its own"),
            Self::NotOpen(id) => write!(f, "it uses connection {id}, which is not open"),
            Self::Closed(id) => write!(f, "it closes connection {id}, which is not open"),
            Self::EmptyFrame(id) => write!(f, "it sends an empty frame on connection {id}"),
            Self::TooMuch => f.write_str("it sends more than 80 MiB a connection in one step"),
            Self::Ticket(ticket) => write!(f, "it uses the ticket {} again", ticket.0),
            Self::LeftUnreadable(id) => write!(f, "it leaves connection {id} open, which cannot be read on"),
        }
    }
}

impl core::error::Error for BorderFault {}

impl Border {
    /// Judges the effects of a start.
    pub fn started<R>(&mut self, effects: &[Effect<R>]) -> Result<(), BorderFault> {
        self.judge(effects)
    }

    /// Judges a step: what the engine was told, and what it wants done.
    pub fn stepped<A, R>(&mut self, action: &P2pAction<A>, effects: &[Effect<R>]) -> Result<(), BorderFault> {
        let told = Told::from(action);
        self.told(told);
        self.judge(effects)?;
        match told {
            Told::Unreadable(id) if self.is_open(id) => Err(BorderFault::LeftUnreadable(id)),
            _ => Ok(()),
        }
    }

    /// Takes note of what the engine is told. [`Border::stepped`] does it itself; a host that gives its actions away
    /// makes a [`Told`] of each first.
    pub fn told(&mut self, told: Told) {
        match told {
            Told::Stands(id) => {
                self.dialling.remove(&id);
                self.standing.insert(id, false);
            }
            Told::Gone(id) => {
                self.dialling.remove(&id);
                self.standing.remove(&id);
            }
            Told::Unreadable(_) | Told::Other => {}
        }
    }

    /// Judges the effects of what was [`Border::told`].
    pub fn judge<R>(&mut self, effects: &[Effect<R>]) -> Result<(), BorderFault> {
        let mut sent = 0;
        for effect in effects {
            match effect {
                Effect::Send { connection, frame, .. } => {
                    self.open(*connection)?;
                    if frame.is_empty() {
                        return Err(BorderFault::EmptyFrame(*connection));
                    }
                    sent += frame.len();
                }
                Effect::Open { connection, .. }
                | Effect::SetPhase { connection, .. }
                | Effect::Finish { connection, .. }
                | Effect::Reset { connection, .. } => self.open(*connection)?,
                Effect::Close { connection, .. } => match self.standing.get_mut(connection) {
                    Some(is_closed) if !*is_closed => *is_closed = true,
                    _ => return Err(BorderFault::Closed(*connection)),
                },
                Effect::Dial { connection, .. } => self.dial(*connection)?,
                Effect::Ask { ticket, .. } => {
                    if self.last_ticket.is_some_and(|last| last >= *ticket) {
                        return Err(BorderFault::Ticket(*ticket));
                    }
                    self.last_ticket = Some(*ticket);
                }
                Effect::Resolve { .. } | Effect::Save(_) | Effect::Publish(_) => {}
            }
        }
        if sent > STEP_BYTES_MAX * self.standing.len().max(1) { Err(BorderFault::TooMuch) } else { Ok(()) }
    }

    /// Whether a connection stands and has not been closed.
    pub fn is_open(&self, connection: ConnectionId) -> bool {
        self.standing.get(&connection) == Some(&false)
    }

    fn open(&self, connection: ConnectionId) -> Result<(), BorderFault> {
        if self.is_open(connection) { Ok(()) } else { Err(BorderFault::NotOpen(connection)) }
    }

    fn dial(&mut self, connection: ConnectionId) -> Result<(), BorderFault> {
        let is_new = self.last_dial.is_none_or(|last| last < connection);
        if !is_new || connection.direction() != Direction::Outbound || !self.dialling.insert(connection) {
            return Err(BorderFault::Dial(connection));
        }
        self.last_dial = Some(connection);
        Ok(())
    }
}

/// What of an action the border's rules depend on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Told {
    /// A connection stands.
    Stands(ConnectionId),
    /// A connection, or a dial, is gone.
    Gone(ConnectionId),
    /// A connection cannot be read on.
    Unreadable(ConnectionId),
    /// Anything else.
    Other,
}

impl<A> From<&P2pAction<A>> for Told {
    fn from(action: &P2pAction<A>) -> Self {
        match action {
            P2pAction::Connected { connection, .. } => Self::Stands(*connection),
            P2pAction::ConnectionFailed { connection, .. } | P2pAction::Disconnected { connection, .. } => {
                Self::Gone(*connection)
            }
            // Elsewhere it is the channel that ends.
            P2pAction::BadFrame { connection, channel: ChannelId::ONLY, bad } if bad.fatal => {
                Self::Unreadable(*connection)
            }
            _ => Self::Other,
        }
    }
}
