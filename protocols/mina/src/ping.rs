//! Pings and answers pings, and notices who has gone silent (Mina spec, section 2.1).

use crate::identify::Kinds;
use crate::peer::Line;
use crate::streams::{PING, PING_BYTES, RPC};
use crate::{Alarm, Cx, Mina, Misbehavior};
use bytes::Bytes;
use polypeer_engine::kit::bucket::Bucket;
use polypeer_engine::{ChannelId, ConnectionId, Frame, Overflow, Time};

/// Pings of one peer that are answered at once, and how often one more: an honest peer sends one in 15 seconds.
const ANSWERED_AT_ONCE: u32 = 16;
const ANSWERED_EVERY: core::time::Duration = core::time::Duration::from_secs(1);

/// Pings of one connection, both ways.
#[derive(Debug)]
pub(crate) struct Pings {
    under_way: Option<Ping>,
    answered: Bucket,
}

impl Default for Pings {
    fn default() -> Self {
        Self { under_way: None, answered: Bucket::new(ANSWERED_AT_ONCE, ANSWERED_EVERY) }
    }
}

/// A ping under way.
#[derive(Clone, Copy, Debug)]
struct Ping {
    bytes: [u8; PING_BYTES],
    sent: Time,
}

impl Mina {
    /// A connection stands: its timers start.
    pub(crate) fn watch(&self, cx: &mut Cx<'_>, connection: ConnectionId) {
        let now = cx.time();
        cx.peer_alarm(connection, Alarm::Ready, now + self.config.ready_timeout);
        cx.peer_alarm(connection, Alarm::Silence, now + self.config.silence_max);
    }

    /// Time to ping a peer that speaks ping. The stream stays for the next one.
    pub(crate) fn ping(
        &mut self,
        cx: &mut Cx<'_>,
        connection: ConnectionId,
        line: &mut Line,
    ) -> Result<(), Misbehavior> {
        if line.pings.under_way.is_some_and(|ping| cx.time().since(ping.sent) >= self.config.ping_timeout) {
            return Err(Misbehavior::NoPong);
        }
        let again = cx.time() + self.config.ping_interval;
        cx.peer_alarm(connection, Alarm::Ping, again);
        match self.channels.agreed(connection, PING) {
            Some(channel) => self.send_ping(cx, connection, line, channel),
            None => drop(self.channels.open(cx, connection, PING)),
        }
        Ok(())
    }

    /// Our stream for pings stands, or it is time for another one.
    pub(crate) fn send_ping(&self, cx: &mut Cx<'_>, connection: ConnectionId, line: &mut Line, channel: ChannelId) {
        if line.pings.under_way.is_some() {
            return;
        }
        let mut bytes = [0; PING_BYTES];
        for word in bytes.as_chunks_mut::<8>().0 {
            *word = cx.random().number().to_le_bytes();
        }
        line.pings.under_way = Some(Ping { bytes, sent: cx.time() });
        cx.send_on(connection, channel, Bytes::copy_from_slice(&bytes), Overflow::Close);
    }

    /// 32 bytes on a stream that the peer opened: echoed.
    pub(crate) fn on_ping(
        &self,
        cx: &mut Cx<'_>,
        connection: ConnectionId,
        line: &mut Line,
        channel: ChannelId,
        frame: Frame<'_>,
    ) {
        if line.pings.answered.take(cx.time()) {
            cx.send_on(connection, channel, frame.share(), Overflow::Close);
        } else {
            cx.slip(connection, Misbehavior::TooManyPings);
        }
    }

    /// 32 bytes on our own stream: the echo.
    pub(crate) fn on_pong(&self, cx: &mut Cx<'_>, connection: ConnectionId, line: &mut Line, frame: Frame<'_>) {
        match line.pings.under_way.take() {
            Some(ping) if ping.bytes == *frame.bytes() => {
                let round_trip = cx.time().since(ping.sent);
                line.round_trip = Some(round_trip);
                cx.answered_within(connection, round_trip);
            }
            _ => drop(cx.slip(connection, Misbehavior::WrongPong)),
        }
    }

    /// Our stream for pings is gone, and what was under way with it.
    pub(crate) fn on_ping_closed(&self, line: &mut Line) {
        line.pings.under_way = None;
    }

    /// The peer may have gone silent.
    pub(crate) fn listen_for(
        &self,
        cx: &mut Cx<'_>,
        connection: ConnectionId,
        speaks: Kinds,
    ) -> Result<(), Misbehavior> {
        // Questions of the Rust node keep a stream with heartbeats; whoever has neither says nothing of its own accord.
        if !speaks.has(PING) && self.channels.theirs(connection, RPC).is_empty() {
            let again = cx.time() + self.config.silence_max;
            cx.peer_alarm(connection, Alarm::Silence, again);
            return Ok(());
        }
        let Some(last) = cx.last_frame(connection) else { return Ok(()) };
        let until = last + self.config.silence_max;
        if until <= cx.time() {
            return Err(Misbehavior::Silent);
        }
        cx.peer_alarm(connection, Alarm::Silence, until);
        Ok(())
    }
}
