//! Notices peers that went away, and says goodbye (AnYa spec, section 4).

use crate::misbehavior::Misbehavior;
use crate::wire::{self, Kind};
use crate::{Alarm, Anya, Cx, Open, Peer};
use polypeer_engine::kit::chain::ChainFormat;
use polypeer_engine::{Close, ConnectionId, Overflow};

/// A connection that is ending: `disconnect` was sent, and nothing follows it.
#[derive(Debug)]
pub struct Parting;

impl<F: ChainFormat> Anya<F> {
    /// Watches an open connection from now on. The alarm looks at the time of the last frame, so that no frame has
    /// to touch it.
    pub(crate) fn watch(&self, cx: &mut Cx<'_, F>, connection: ConnectionId) {
        let last = cx.last_frame(connection).unwrap_or(cx.time());
        cx.peer_alarm(connection, Alarm::Liveness, last + self.config.liveness_interval);
    }

    /// Time to look whether the peer is still there.
    pub(crate) fn look(
        &self,
        cx: &mut Cx<'_, F>,
        connection: ConnectionId,
        open: &mut Open,
    ) -> Result<(), Misbehavior> {
        let (now, last) = (cx.time(), cx.last_frame(connection).unwrap_or(cx.time()));
        if let Some(pinged) = open.pinged
            && last <= pinged
        {
            let end = pinged + self.config.ping_timeout;
            if now >= end {
                return Err(Misbehavior::Silent);
            }
            cx.peer_alarm(connection, Alarm::Liveness, end);
            return Ok(());
        }
        open.pinged = None;
        if now >= last + self.config.liveness_interval {
            open.pinged = Some(now);
            open.awaits_pong = Some(now);
            cx.send(connection, wire::empty(Kind::Ping), Overflow::Close);
            cx.peer_alarm(connection, Alarm::Liveness, now + self.config.ping_timeout);
        } else {
            cx.peer_alarm(connection, Alarm::Liveness, last + self.config.liveness_interval);
        }
        Ok(())
    }

    /// A `pong` came; one that nobody asked for says nothing.
    pub(crate) fn pong(cx: &mut Cx<'_, F>, connection: ConnectionId, open: &mut Open) {
        if let Some(pinged) = open.awaits_pong.take() {
            let round_trip = cx.time().since(pinged);
            open.round_trip = Some(round_trip);
            cx.answered_within(connection, round_trip);
        }
    }

    /// Sends `disconnect` and waits for its answer.
    pub(crate) fn part(&mut self, cx: &mut Cx<'_, F>, connection: ConnectionId) -> Peer {
        self.forget(cx, connection);
        cx.send(connection, wire::empty(Kind::Disconnect), Overflow::Close);
        cx.cancel_peer_alarm(connection, Alarm::Liveness);
        cx.peer_alarm(connection, Alarm::Parting, cx.time() + self.config.disconnect_timeout);
        Peer::Parting(Parting)
    }

    /// The peer wants to end the connection.
    pub(crate) fn parted(cx: &mut Cx<'_, F>, connection: ConnectionId) {
        cx.send(connection, wire::empty(Kind::DisconnectAck), Overflow::Close);
        cx.close(connection, Close::Lingering, "the peer disconnected");
    }

    /// A frame after our `disconnect`: only the answer, or the same from the other side, means anything.
    pub(crate) fn parting_frame(cx: &mut Cx<'_, F>, connection: ConnectionId, frame: &[u8]) {
        match Kind::of(&wire::name_in(frame)) {
            Some(Kind::DisconnectAck) => cx.close(connection, Close::Flushed, "disconnected"),
            Some(Kind::Disconnect) => Self::parted(cx, connection),
            _ => {}
        }
    }
}
