//! Takes a connection from its first stream to its end: the tables of streams and frames, what is due when, the end. How
//! it gets ready is in `handshake`.

use crate::channels::Open;
use crate::misbehavior::StreamFault;
use crate::peer::{Peer, Stage};
use crate::streams::{
    self, GREETED, IDENTIFY, IDENTIFY_PUSH, KAD, MESH, MESH_OLD, NODE_STATUS, PEER_EXCHANGE, PING, RPC,
};
use crate::{Alarm, Cx, Mina, Misbehavior};
use core::time::Duration;
use polypeer_engine::kit::cost::{Charged, Class, Price};
use polypeer_engine::{
    BadFrame, ChannelEnd, ChannelId, ConnectionId, Direction, Frame, Misbehavior as _, Parting, Weight,
};

/// A stream that broke is opened again after this, jittered, so that two nodes do not break each other's in step.
const REOPEN: Duration = Duration::from_secs(5);

/// Streams.
impl Mina {
    /// A stream stands: the table.
    pub(crate) fn on_stream(
        &mut self,
        cx: &mut Cx<'_>,
        connection: ConnectionId,
        mut peer: Peer,
        (channel, kind, opener): (ChannelId, u16, Direction),
    ) -> Result<Peer, Misbehavior> {
        let is_ours = opener == Direction::Outbound;
        if !self.channels.opened(connection, channel, kind, opener) {
            self.channels.reset(cx, connection, channel);
            cx.slip(connection, Misbehavior::TooManyStreams);
            return Ok(peer);
        }
        if kind != RPC {
            cx.set_phase_on(connection, channel, GREETED);
        }
        match (kind, is_ours) {
            // Whoever opened it reads.
            (IDENTIFY, false) => self.tell_who(cx, connection, channel),
            (NODE_STATUS, false) => self.show_status(cx, connection, channel),
            (PING, true) => self.send_ping(cx, connection, &mut peer.line, channel),
            (KAD, _) => self.on_kad_stream(cx, connection, channel, opener),
            (MESH | MESH_OLD, true) => self.on_gossip_stream(cx, connection, channel, kind),
            // A second one takes the place of the first, as in Go's nodes.
            (MESH | MESH_OLD, false) => self.replace_gossip(cx, connection, channel),
            (RPC, _) => self.on_rpc_stream(cx, connection, channel, opener),
            (PEER_EXCHANGE, true) => self.tell_where(cx, connection, channel),
            (PEER_EXCHANGE, false) if !self.may_tell(cx, connection) => self.channels.reset(cx, connection, channel),
            _ => {}
        }
        Ok(self.check_ready(cx, connection, peer))
    }

    /// A stream is gone, or the peer writes no more on it: the table.
    pub(crate) fn on_stream_closed(
        &mut self,
        cx: &mut Cx<'_>,
        connection: ConnectionId,
        mut peer: Peer,
        channel: ChannelId,
        end: ChannelEnd,
    ) -> Result<Peer, Misbehavior> {
        let Some(Open { kind, opener, .. }) = self.channels.closed(connection, channel) else { return Ok(peer) };
        let is_ours = opener == Direction::Outbound;
        match (kind, is_ours) {
            (IDENTIFY, true) if matches!(peer.stage, Stage::Met) => return Err(Misbehavior::NoIdentify),
            (PING, true) => self.on_ping_closed(&mut peer.line),
            (KAD, _) => self.on_kad_closed(cx, connection, channel, end),
            (MESH | MESH_OLD, true) => self.on_gossip_closed(cx, connection),
            (RPC, _) => self.on_rpc_closed(cx, connection, channel, end),
            (NODE_STATUS, true) if end == ChannelEnd::Finished => self.on_status(cx, connection, &mut peer),
            (PEER_EXCHANGE, false) if end == ChannelEnd::Finished => self.on_all_told(cx, connection, &mut peer.line),
            _ => {}
        }
        if end == ChannelEnd::Finished && kind != RPC {
            // Its other half goes too: nothing here is owed on it. Questions end theirs when they are answered.
            cx.finish(connection, channel);
        }
        if is_ours {
            self.on_own_closed(cx, connection, &mut peer, kind, end);
        }
        Ok(self.check_ready(cx, connection, peer))
    }

    // What every ready peer should have of ours is opened again; what a peer refuses it does not speak.
    fn on_own_closed(
        &mut self,
        cx: &mut Cx<'_>,
        connection: ConnectionId,
        peer: &mut Peer,
        kind: u16,
        end: ChannelEnd,
    ) {
        if end == ChannelEnd::Refused {
            peer.speaks_not(kind);
            if kind == PING {
                cx.cancel_peer_alarm(connection, Alarm::Ping);
            }
            self.open_gossip(cx, connection, peer);
        } else if matches!(kind, MESH | MESH_OLD) {
            let wait = cx.random().jitter(REOPEN, 50);
            let again = cx.time() + wait;
            cx.peer_alarm(connection, Alarm::Streams, again);
        }
    }

    /// A frame came: the table.
    pub(crate) fn on_stream_frame(
        &mut self,
        cx: &mut Cx<'_>,
        connection: ConnectionId,
        mut peer: Peer,
        channel: ChannelId,
        frame: Frame<'_>,
    ) -> Result<Peer, Misbehavior> {
        let Some(Open { kind, opener, .. }) = self.channels.get(connection, channel) else { return Ok(peer) };
        match (kind, opener) {
            (IDENTIFY, Direction::Outbound) | (IDENTIFY_PUSH, Direction::Inbound) => {
                if let Some(about) = self.on_identify(cx, connection, &peer.line, frame.bytes()) {
                    return Ok(self.know(cx, connection, peer, about));
                }
            }
            (PING, Direction::Inbound) => self.on_ping(cx, connection, &mut peer.line, channel, frame),
            (PING, Direction::Outbound) => self.on_pong(cx, connection, &mut peer.line, frame),
            (KAD, _) => self.on_kad_frame(cx, connection, channel, frame.bytes()),
            (MESH | MESH_OLD, Direction::Inbound) => self.on_gossip_frame(cx, connection, frame),
            (RPC, _) => self.on_rpc_frame(cx, connection, channel, frame),
            (NODE_STATUS, Direction::Outbound) => self.on_status_piece(cx, connection, &mut peer, channel, &frame),
            (PEER_EXCHANGE, Direction::Inbound) => {
                self.on_told_where(cx, connection, &mut peer.line, channel, &frame);
            }
            // Framers let nothing through on streams that are written by us alone.
            _ => {}
        }
        Ok(peer)
    }

    /// Bytes that are no frame: the stream ends, and what broke the rules of the transport ends the connection.
    pub(crate) fn on_bad_bytes(
        &mut self,
        cx: &mut Cx<'_>,
        connection: ConnectionId,
        peer: Peer,
        channel: ChannelId,
        bad: &BadFrame,
    ) -> Result<Peer, Misbehavior> {
        let kind = self.channels.get(connection, channel).map(|open| open.kind);
        let fault = match bad.reason {
            BadFrame::OF_TRANSPORT => return Err(Misbehavior::Transport),
            BadFrame::TOO_SLOW => StreamFault::TooSlow,
            BadFrame::OVER_BUDGET => StreamFault::OverBudget,
            // It knows what was due, and blames for it.
            _ if kind == Some(RPC) => {
                self.on_bad_rpc(cx, connection, channel);
                return Ok(peer);
            }
            streams::BAD_LENGTH => StreamFault::BadLength,
            _ => StreamFault::TooLong,
        };
        cx.slip(connection, Misbehavior::Stream(fault));
        self.on_stream_closed(cx, connection, peer, channel, ChannelEnd::Reset)
    }
}

/// What is due, what is paid, the end.
impl Mina {
    /// An alarm of a connection's.
    pub(crate) fn on_time(
        &mut self,
        cx: &mut Cx<'_>,
        connection: ConnectionId,
        mut peer: Peer,
        alarm: Alarm,
    ) -> Result<Peer, Misbehavior> {
        match alarm {
            Alarm::Ready if peer.ready().is_none() => return Err(Misbehavior::NotReady),
            Alarm::Ping => self.ping(cx, connection, &mut peer.line)?,
            Alarm::Silence => self.listen_for(cx, connection, peer.speaks())?,
            Alarm::Streams => self.open_gossip(cx, connection, &peer),
            Alarm::Part => self.part(cx, connection),
            Alarm::Status => self.on_status_late(cx, connection),
            _ => {}
        }
        Ok(peer)
    }

    /// The shell lets a peer go. There is no word for goodbye; who wants to know is told where others are.
    pub(crate) fn let_go(&mut self, cx: &mut Cx<'_>, connection: ConnectionId, peer: Peer, why: Parting) -> Peer {
        if why != Parting::Evicted || !self.say_where(cx, connection, &peer) {
            self.part(cx, connection);
        }
        peer
    }

    /// A connection is gone: what it was asked for is asked of others.
    pub(crate) fn on_gone(&mut self, cx: &mut Cx<'_>, connection: ConnectionId) {
        self.channels.gone(connection);
        self.on_gossip_gone(cx, connection);
        self.on_kad_gone(cx, connection);
        self.on_rpc_gone(cx, connection);
        self.forget_source(cx, connection);
    }

    /// Whether a peer may have this work done. Who goes on for long without credit slips.
    pub(crate) fn pays(&self, cx: &mut Cx<'_>, connection: ConnectionId, class: Class, price: Price) -> bool {
        let charged = cx.charge(connection, class, price);
        if charged == Charged::Excess {
            cx.slip(connection, Misbehavior::TooMuchWork);
        }
        charged == Charged::Paid
    }

    fn replace_gossip(&mut self, cx: &mut Cx<'_>, connection: ConnectionId, channel: ChannelId) {
        for kind in [MESH, MESH_OLD] {
            for other in self.channels.theirs(connection, kind).into_iter().filter(|other| *other != channel) {
                self.channels.reset(cx, connection, other);
            }
        }
    }

    /// A peer did something wrong: borne, or the end, as it weighs.
    pub(crate) fn blame(&self, cx: &mut Cx<'_>, connection: ConnectionId, misbehavior: Misbehavior) {
        if misbehavior.weight() == Weight::Slip {
            cx.slip(connection, misbehavior);
        } else {
            cx.convict(connection, misbehavior);
        }
    }
}
