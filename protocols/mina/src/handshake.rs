//! Takes a connection from its proven key to ready: who it is, which of two stays, what is opened (Mina spec, sections
//! 1.4, 2.2 and 8.3).
//!
//! ```text
//!   proven key ─► ourselves? another than named? ─► a connection with it already? ─► identify ─► gossip ─► ready
//!                       └ let go                        └ one of the two is let go
//! ```

use crate::identify::About;
use crate::keys::PeerId;
use crate::peer::{Peer, Ready, Stage};
use crate::streams::{GREETED, MESH, MESH_OLD, PING, RPC};
use crate::{Alarm, Cx, Mina, Misbehavior};
use core::time::Duration;
use polypeer_engine::{Close, ConnectionId, Direction, Time};

/// Two nodes that dial each other meet twice within this time. A later connection between the two is refused, whoever
/// dialled.
const CROSSING: Duration = Duration::from_secs(10);
/// A peer may dial us beside the connection that stands this often in [`THIRDS_TIME`]: it may know of several addresses of
/// ours and not yet whose they are.
const THIRDS_MAX: u8 = 4;
/// An honest dialer comes to an address again after half of this at the earliest.
const THIRDS_TIME: Duration = Duration::from_secs(60);

/// Counts connections that a peer opened beside the one that stands.
#[derive(Debug, Default)]
pub(crate) struct Thirds {
    since: Time,
    count: u8,
}

impl Thirds {
    // One more. Whether it is one too many.
    fn is_too_many(&mut self, now: Time) -> bool {
        if now.since(self.since) >= THIRDS_TIME {
            *self = Self { since: now, count: 0 };
        }
        self.count = self.count.saturating_add(1);
        self.count > THIRDS_MAX
    }
}

/// A connection begins.
impl Mina {
    /// A connection stands: who is behind it is proven.
    pub(crate) fn meet(&mut self, cx: &mut Cx<'_>, connection: ConnectionId) -> Result<Peer, Misbehavior> {
        let identity = cx.ends(connection).and_then(|ends| PeerId::from_bytes(ends.identity.as_deref()?));
        let peer_id = identity.ok_or(Misbehavior::NoIdentity)?;
        self.judge_identity(cx, connection, peer_id)?;
        let ip = cx.ends(connection).map(|ends| ends.remote.ip());
        if self.is_refused_as_duplicate(cx, connection, peer_id) {
            return Ok(Peer::met(peer_id, ip, cx.time()));
        }
        self.watch(cx, connection);
        self.ask_who(cx, connection);
        self.meet_gossip(cx, connection, peer_id);
        self.meet_kad(cx, connection, peer_id);
        self.rpc.on_connected(connection);
        Ok(Peer::met(peer_id, ip, cx.time()))
    }

    // Ourselves, and whoever is not who we expected where we dialled (section 1.4).
    fn judge_identity(
        &mut self,
        cx: &mut Cx<'_>,
        connection: ConnectionId,
        peer_id: PeerId,
    ) -> Result<(), Misbehavior> {
        if peer_id == self.config.peer_id {
            self.dial_is_over(cx, connection, peer_id);
            cx.met_self_over(connection);
            return Err(Misbehavior::Itself);
        }
        let dialled = cx.ends(connection).and_then(|ends| ends.dialled);
        let is_named = |named: &PeerId| *named != peer_id;
        let other = dialled
            .into_iter()
            .flat_map(|address| cx.named(address))
            .find_map(|target| self.config.expected_at(target).filter(is_named));
        let is_found = self.dial_is_over(cx, connection, peer_id);
        if other.is_some() || !is_found { Err(Misbehavior::OtherPeer) } else { Ok(()) }
    }

    // Of two connections with one peer one stays: of two dials that cross the one of the smaller id, else the first
    // (sections 8.3 and 11). The other goes in good standing, since neither side could know; whether it is this one.
    fn is_refused_as_duplicate(&mut self, cx: &mut Cx<'_>, connection: ConnectionId, theirs: PeerId) -> bool {
        let first = cx.peers().find(|(_, peer)| peer.line.peer_id == theirs);
        let Some((first, since)) = first.map(|(first, peer)| (first, peer.line.since)) else { return false };
        let is_crossing = first.direction() != connection.direction() && cx.time().since(since) < CROSSING;
        let is_by_smaller = (connection.direction() == Direction::Outbound) == (self.config.peer_id < theirs);
        if is_crossing && is_by_smaller {
            cx.close(first, Close::Now, "both dialled at once");
            return false;
        }
        match cx.ends(connection).and_then(|ends| ends.dialled) {
            // Now it is known where that peer is: whoever named it need not dial there while it is here.
            Some(address) => cx.is_at(first, address),
            None => {
                let now = cx.time();
                if cx.peer_mut(first).is_some_and(|peer| peer.line.thirds.is_too_many(now)) {
                    cx.slip(connection, Misbehavior::Duplicate);
                }
            }
        }
        cx.close(connection, Close::Now, "a connection with that peer stands");
        true
    }

    /// A peer said who it is: what it speaks is opened.
    pub(crate) fn know(&mut self, cx: &mut Cx<'_>, connection: ConnectionId, mut peer: Peer, about: About) -> Peer {
        let is_new = matches!(peer.stage, Stage::Met);
        self.identified_to_kad(cx, connection, &about);
        self.rpc.on_identified(connection, &about.agent);
        match &mut peer.stage {
            Stage::Met => peer.stage = Stage::Known(about),
            Stage::Known(known) => *known = about,
            Stage::Ready(ready) => ready.about = about,
        }
        if is_new {
            cx.set_phase(connection, GREETED);
        }
        self.open_gossip(cx, connection, &peer);
        self.check_ready(cx, connection, peer)
    }

    /// Gossip wants a stream of ours for as long as both stand; who does not speak it gets ready without. Questions open
    /// theirs when there are any.
    pub(crate) fn open_gossip(&mut self, cx: &mut Cx<'_>, connection: ConnectionId, peer: &Peer) {
        let speaks = peer.speaks();
        let is_there = [MESH, MESH_OLD].iter().any(|kind| self.channels.ours(connection, *kind).is_some());
        if let Some(kind) = [MESH, MESH_OLD].into_iter().find(|kind| speaks.has(*kind)).filter(|_| !is_there) {
            self.channels.open(cx, connection, kind);
        }
    }

    /// Once all that it speaks stands.
    pub(crate) fn check_ready(&mut self, cx: &mut Cx<'_>, connection: ConnectionId, mut peer: Peer) -> Peer {
        let speaks = peer.speaks();
        let has_gossip = self.channels.has_mesh(connection) || !(speaks.has(MESH) || speaks.has(MESH_OLD));
        match peer.stage {
            Stage::Known(about) if has_gossip => {
                peer.stage = Stage::Ready(Ready::new(about));
                self.become_ready(cx, connection, &mut peer);
            }
            stage => peer.stage = stage,
        }
        peer
    }

    fn become_ready(&mut self, cx: &mut Cx<'_>, connection: ConnectionId, peer: &mut Peer) {
        cx.cancel_peer_alarm(connection, Alarm::Ready);
        let about = peer.about().map(crate::identify::shown).unwrap_or_default();
        cx.ready(connection, &about);
        self.ready_for_kad(cx, connection);
        if peer.speaks().has(PING) {
            let now = cx.time();
            cx.peer_alarm(connection, Alarm::Ping, now);
        }
        self.ask_status(cx, connection, peer);
        if peer.speaks().has(RPC) {
            self.meet_source(cx, connection);
            self.ask_whom_it_knows(cx, connection);
        }
    }
}
