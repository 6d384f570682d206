//! Pings and answers pings, and notices who has gone silent (BUMO spec, section 1.2).

use crate::frame;
use crate::peer::{Line, Ping};
use crate::wire::{self, Kind, Message as _};
use crate::{Alarm, Bumo, Cx, Misbehavior};
use bytes::Bytes;
use core::time::Duration;
use polypeer_engine::{ConnectionId, Overflow};

/// The first PING comes so long after the connection stood, whether a HELLO came or not. Today's node looks around once
/// a second, so that its own comes within a second, as a rule behind the handshake.
const FIRST_PING: Duration = Duration::from_millis(500);

/// Bytes of short answers that a peer may leave unread, once its channel takes no more. What it says in one turn, a
/// thousand messages with answers of a hundred bytes, is answered before the host sees whether it reads.
const UNREAD_BYTES_MAX: usize = 256 << 10;

impl Bumo {
    /// A connection stands: its timers start.
    pub(crate) fn watch(&self, cx: &mut Cx<'_>, connection: ConnectionId) {
        let now = cx.time();
        cx.peer_alarm(connection, Alarm::Ping, now + FIRST_PING);
        cx.peer_alarm(connection, Alarm::Hello, now + self.config.hello_timeout);
        cx.peer_alarm(connection, Alarm::Silence, now + self.config.silence_max);
    }

    /// Time to ping the peer, whether it answered the last one or not: any word of its shows that it is there.
    pub(crate) fn ping(&self, cx: &mut Cx<'_>, connection: ConnectionId, line: &mut Line) {
        let nonce = unix_micros(cx);
        line.ping = Some(Ping { nonce, sent: cx.time() });
        let frame = line.request(Kind::Ping, &wire::Ping { nonce }.encode());
        cx.send(connection, frame, Overflow::Close);
        cx.peer_alarm(connection, Alarm::Ping, cx.time() + self.config.ping_interval);
    }

    /// PING: answered with the same nonce and sequence, before HELLO too.
    pub(crate) fn on_ping(
        &self,
        cx: &mut Cx<'_>,
        connection: ConnectionId,
        line: &mut Line,
        sequence: i64,
        data: &[u8],
    ) -> Result<(), Misbehavior> {
        let ping = wire::Ping::decode(data).map_err(|_| Misbehavior::MalformedPing)?;
        let frame = frame::pack(Kind::Ping, false, sequence, &ping.encode());
        answer_at_once(cx, connection, line, frame)
    }

    /// The answer to a PING. One that nobody asked for says nothing.
    pub(crate) fn on_pong(
        &self,
        cx: &mut Cx<'_>,
        connection: ConnectionId,
        line: &mut Line,
        data: &[u8],
    ) -> Result<(), Misbehavior> {
        let nonce = wire::Ping::decode(data).map_err(|_| Misbehavior::MalformedPing)?.nonce;
        if let Some(ping) = line.ping.take_if(|ping| ping.nonce == nonce) {
            let round_trip = cx.time().since(ping.sent);
            line.round_trip = Some(round_trip);
            cx.answered_within(connection, round_trip);
        }
        Ok(())
    }

    /// The peer may have gone silent.
    pub(crate) fn listen_for(&self, cx: &mut Cx<'_>, connection: ConnectionId) -> Result<(), Misbehavior> {
        let Some(last) = cx.last_frame(connection) else { return Ok(()) };
        let until = last + self.config.silence_max;
        if until <= cx.time() {
            return Err(Misbehavior::Silent);
        }
        cx.peer_alarm(connection, Alarm::Silence, until);
        Ok(())
    }
}

/// Answers with a few bytes, which nobody is made to wait for. Whoever asks on and does not read them is sent away,
/// before they fill a queue.
pub(crate) fn answer_at_once(
    cx: &mut Cx<'_>,
    connection: ConnectionId,
    line: &mut Line,
    frame: Bytes,
) -> Result<(), Misbehavior> {
    line.unread = if cx.is_writable(connection) { 0 } else { line.unread + frame.len() };
    if line.unread > UNREAD_BYTES_MAX {
        return Err(Misbehavior::ReadsNothing);
    }
    cx.send(connection, frame, Overflow::Close);
    Ok(())
}

/// The clock as the wire tells it: microseconds since 1970. The host's has milliseconds.
pub(crate) fn unix_micros(cx: &Cx<'_>) -> i64 {
    i64::try_from(cx.now().unix_ms.saturating_mul(1_000)).unwrap_or(i64::MAX)
}
