//! Holds what is known of one stream: its handshake, who was heard when, and what is under way.

use super::cut::{HEAD_BYTES, QUESTIONS};
use super::message::{heartbeat, is_handshake};
use super::{Failure, Fault, Output, Rpc};
use alloc::vec::Vec;
use core::time::Duration;
use polypeer_engine::{ChannelId, ConnectionId, Frame, Time};

/// How often a heartbeat is sent (section 5.2).
pub const HEARTBEAT_TIME: Duration = Duration::from_secs(10);
/// A stream on which nothing came for so long is dead (section 5.2).
pub const SILENCE_MAX: Duration = Duration::from_secs(120);
/// How long a handshake may take.
pub(super) const GREET_TIME: Duration = Duration::from_secs(10);
/// Streams that one peer may have open to us. The reference node opens one for each question, and asks a few at a time.
pub const STREAMS_SERVED_MAX: usize = 16;

/// One stream.
///
/// ```text
///   open ──► greeted ──► half closed
/// ```
#[derive(Clone, Debug)]
pub(super) struct Stream {
    /// Whether we opened it, to ask.
    pub(super) is_ours: bool,
    /// Whether the peer's handshake came.
    pub(super) is_greeted: bool,
    /// Whether the peer writes no more.
    pub(super) is_half_closed: bool,
    pub(super) last_heard: Time,
    beat: Time,
    /// When it is looked at next: its place in [`Rpc`]'s list.
    pub(super) due: Time,
    /// The id of the next question on it.
    pub(super) next_id: u64,
    /// Bytes of a long answer that are still to come.
    pub(super) left: usize,
}

impl Stream {
    pub(super) fn new(now: Time, is_ours: bool) -> Self {
        Self {
            is_ours,
            is_greeted: false,
            is_half_closed: false,
            last_heard: now,
            beat: now + HEARTBEAT_TIME,
            due: now + HEARTBEAT_TIME.min(GREET_TIME),
            next_id: 0,
            left: 0,
        }
    }

    /// Whether a frame is a piece of a message: the next of one that has begun, or the first.
    pub(super) fn is_in_pieces(&self, frame: Frame<'_>) -> bool {
        self.left > 0 || whole_bytes(frame) > frame.len()
    }
}

/// How long the message at the front of a frame is, its length included.
pub(super) fn whole_bytes(frame: Frame<'_>) -> usize {
    let length = frame.first_chunk::<HEAD_BYTES>().map_or(0, |length| u64::from_le_bytes(*length));
    usize::try_from(length).unwrap_or(usize::MAX).saturating_add(HEAD_BYTES)
}

impl Rpc {
    pub(super) fn on_handshake(
        &mut self,
        now: Time,
        connection: ConnectionId,
        channel: ChannelId,
        frame: Frame<'_>,
        out: &mut Vec<Output>,
    ) -> Result<(), Fault> {
        if !is_handshake(frame.bytes()) {
            return Err(Fault::Handshake);
        }
        let Some(stream) = self.stream_mut(connection, channel) else { return Ok(()) };
        stream.is_greeted = true;
        let is_ours = stream.is_ours;
        out.push(Output::SetPhase { connection, channel, phase: QUESTIONS });
        if is_ours {
            self.on_ours_greeted(now, connection, channel, out);
        }
        Ok(())
    }

    /// Looks at a stream whose time has come: a heartbeat, or its end.
    pub(super) fn look_at(&mut self, now: Time, connection: ConnectionId, channel: ChannelId, out: &mut Vec<Output>) {
        let Some(stream) = self.stream_mut(connection, channel) else { return };
        let patience = if stream.is_greeted { SILENCE_MAX } else { GREET_TIME };
        let dies = stream.last_heard + patience;
        if dies <= now {
            out.push(Output::Reset { connection, channel });
            // Its entry is taken off already.
            self.forget(now, connection, channel, Failure::Silent, out);
            return;
        }
        if stream.beat <= now {
            stream.beat = now + HEARTBEAT_TIME;
            out.push(Output::Send { connection, channel, frame: heartbeat() });
        }
        stream.due = stream.beat.min(dies);
        let due = stream.due;
        self.due.insert((due, connection, channel));
    }
}
