//! Pings and answers pings: the flows Ping Send and Ping Receive (Kaspa spec, section 4.2).

use crate::peer::Ping;
use crate::wire::{self, Kind, Nonce};
use crate::{Alarm, Cx, Kaspa, Misbehavior, Ready, misbehavior::Banned};
use bytes::Bytes;
use polypeer_engine::{ConnectionId, Overflow};

impl Kaspa {
    /// Sees to it that the peer is pinged when the interval is over.
    pub(crate) fn ping_later(&self, cx: &mut Cx<'_>, connection: ConnectionId) {
        cx.peer_alarm(connection, Alarm::Ping, cx.time() + self.config.ping_interval);
    }

    /// Time to ping the peer.
    pub(crate) fn ping(&self, cx: &mut Cx<'_>, connection: ConnectionId, ready: &mut Ready) {
        let nonce = cx.random().number();
        ready.ping = Some(Ping { nonce, sent: cx.time() });
        cx.send(connection, wire::pack(Kind::Ping, &Nonce(nonce).encode(), 0, 0), Overflow::Close);
        self.watch_dues(cx, connection, ready);
        self.ping_later(cx, connection);
    }

    /// Ping: answered with the same nonce.
    pub(crate) fn on_ping(&self, cx: &mut Cx<'_>, connection: ConnectionId, body: &Bytes) -> Result<(), Misbehavior> {
        let nonce = Nonce::decode(body)?.0;
        cx.send(connection, wire::pack(Kind::Pong, &Nonce(nonce).encode(), 0, 0), Overflow::Close);
        Ok(())
    }

    /// Pong: compared with our Ping.
    pub(crate) fn on_pong(
        &self,
        cx: &mut Cx<'_>,
        connection: ConnectionId,
        ready: &mut Ready,
        body: &Bytes,
    ) -> Result<(), Misbehavior> {
        let nonce = Nonce::decode(body)?.0;
        let Some(ping) = ready.ping.take() else {
            // Today's nodes would keep it and take it for the answer to their next Ping.
            cx.slip(connection, Misbehavior::UnaskedPong);
            return Ok(());
        };
        if nonce != ping.nonce {
            let ban = Misbehavior::Banned(Banned::WrongPong);
            return Err(if self.config.bans.wrong_pong { ban } else { Misbehavior::WrongPong });
        }
        let round_trip = cx.time().since(ping.sent);
        ready.round_trip = Some(round_trip);
        cx.answered_within(connection, round_trip);
        Ok(())
    }
}
