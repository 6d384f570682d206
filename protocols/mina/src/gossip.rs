//! Carries out what the mesh wants: its streams, frames, signatures and penalties (Mina spec, section 3).
//!
//! One topic is followed, that of all consensus traffic; the newer ones are off on every known network (section 3.1), and
//! what came on one generation must not go on to the other.

use crate::keys::PeerId;
use crate::ledger::{Hash, Request};
use crate::mesh::{self, About, Class, Mesh, MessageId, Output, Scoring, Settings, TopicId, Version};
use crate::questions::Asked;
use crate::streams::MESH_OLD;
use crate::{Alarm, Config, Cx, Mina, Misbehavior};
use alloc::collections::{BTreeMap, VecDeque};
use alloc::vec::Vec;
use bytes::Bytes;
use polypeer_engine::{ChannelId, ConnectionId, Frame, Overflow, Stock, Stocks, Time};

/// The mesh, and the streams that we send on.
#[derive(Debug)]
pub(crate) struct Gossip {
    pub(crate) mesh: Mesh,
    pub(crate) consensus: Option<TopicId>,
    streams: BTreeMap<ConnectionId, ChannelId>,
}

impl Gossip {
    pub(crate) fn new(cx: &mut Cx<'_>, config: &Config) -> Self {
        let settings = Settings {
            flood_publish: config.flood_publish,
            scoring: config.is_scoring.then(Scoring::default),
            ..Settings::default()
        };
        let mesh = Mesh::new(settings, config.peer_id, crate::seed(cx));
        let consensus = mesh.topic(mesh::CONSENSUS.as_bytes());
        Self { mesh, consensus, streams: BTreeMap::new() }
    }

    pub(crate) fn stock(&self, peers: usize, stocks: &mut Stocks) {
        let [entries, judging, judged, cached, wanted, back_offs] = self.mesh.held();
        stocks.push(Stock::of_peers("gossip streams", self.streams.len(), peers));
        stocks.push(Stock::of_peers("gossip peers", entries, peers));
        stocks.push(Stock::kept("gossip in judgement", judging, mesh::limits::PENDING_MAX));
        let judged_max = mesh::limits::ACCEPTED_MAX + mesh::limits::REFUSED_MAX;
        stocks.push(Stock::kept("gossip remembered", judged, judged_max));
        stocks.push(Stock::kept("gossip that can be asked for", cached, mesh::limits::CACHE_MAX));
        stocks.push(Stock::kept("gossip asked for", wanted, mesh::limits::WANTED_MAX));
        let back_offs_max = mesh::limits::BACK_OFFS_MAX * mesh::limits::TOPICS_MAX;
        stocks.push(Stock::kept("back-offs", back_offs, back_offs_max));
    }
}

/// What the mesh is told.
impl Mina {
    /// From the start on: there is something to follow.
    pub(crate) fn follow(&mut self, cx: &mut Cx<'_>) {
        if let Some(topic) = self.gossip.consensus {
            self.with_mesh(cx, |mesh, now, out| mesh.subscribe(now, topic, out));
        }
    }

    pub(crate) fn meet_gossip(&mut self, cx: &mut Cx<'_>, connection: ConnectionId, id: PeerId) {
        let ip = cx.ends(connection).map(|ends| ends.remote.ip());
        let about = About { id, direction: connection.direction(), ip };
        self.with_mesh(cx, |mesh, now, _| mesh.connected(now, connection, about));
    }

    pub(crate) fn on_gossip_stream(
        &mut self,
        cx: &mut Cx<'_>,
        connection: ConnectionId,
        channel: ChannelId,
        kind: u16,
    ) {
        let version = if kind == MESH_OLD { Version::V1_0 } else { Version::V1_1 };
        self.gossip.streams.insert(connection, channel);
        self.with_mesh(cx, |mesh, now, out| mesh.opened(now, connection, version, out));
    }

    pub(crate) fn on_gossip_closed(&mut self, cx: &mut Cx<'_>, connection: ConnectionId) {
        if self.gossip.streams.remove(&connection).is_some() {
            self.with_mesh(cx, |mesh, now, _| mesh.closed(now, connection));
        }
    }

    pub(crate) fn on_gossip_frame(&mut self, cx: &mut Cx<'_>, connection: ConnectionId, frame: Frame<'_>) {
        self.with_mesh(cx, |mesh, now, out| mesh.receive(now, connection, frame, out));
    }

    pub(crate) fn on_gossip_gone(&mut self, cx: &mut Cx<'_>, connection: ConnectionId) {
        self.gossip.streams.remove(&connection);
        self.with_mesh(cx, |mesh, now, _| mesh.gone(now, connection));
    }

    pub(crate) fn wake_mesh(&mut self, cx: &mut Cx<'_>) {
        self.with_mesh(cx, Mesh::wake);
    }

    /// The ledger signed a message of ours, or has no key.
    pub(crate) fn on_signed(&mut self, cx: &mut Cx<'_>, ticket: u64, signature: Option<&Bytes>) {
        let signature = signature.and_then(|bytes| <&[u8; 64]>::try_from(&bytes[..]).ok());
        self.with_mesh(cx, |mesh, now, out| mesh.signed(now, ticket, signature, out));
    }

    /// A message was judged.
    pub(crate) fn judge_gossip(&mut self, cx: &mut Cx<'_>, id: Hash, verdict: mesh::Verdict) {
        self.with_mesh(cx, |mesh, now, out| mesh.judged(now, MessageId(id.0), verdict, out));
    }

    /// Tells the mesh something, and does what it wants.
    pub(crate) fn with_mesh(&mut self, cx: &mut Cx<'_>, tell: impl FnOnce(&mut Mesh, Time, &mut Vec<Output>)) {
        let mut out = Vec::new();
        tell(&mut self.gossip.mesh, cx.time(), &mut out);
        self.do_for_mesh(cx, out);
        match self.gossip.mesh.next_wake() {
            Some(at) => cx.alarm(Alarm::Mesh, at),
            None => cx.cancel_alarm(Alarm::Mesh),
        }
    }

    // What is judged at once goes back to the mesh, behind all that it wanted before.
    pub(crate) fn do_for_mesh(&mut self, cx: &mut Cx<'_>, out: Vec<Output>) {
        let mut out = VecDeque::from(out);
        while let Some(output) = out.pop_front() {
            match output {
                Output::Send { peer, frame, class } => self.send_gossip(cx, peer, frame, class),
                Output::Deliver { id, data, peer, .. } => {
                    if let Some(verdict) = self.on_gossip(cx, Hash(id.0), data, peer) {
                        let mut more = Vec::new();
                        self.gossip.mesh.judged(cx.time(), id, verdict, &mut more);
                        out.extend(more);
                    }
                }
                Output::Again { id, peer } => {
                    if let Some(verdict) = self.on_gossip_again(cx, Hash(id.0), peer) {
                        let mut more = Vec::new();
                        self.gossip.mesh.judged(cx.time(), id, verdict, &mut more);
                        out.extend(more);
                    }
                }
                Output::Expired { id } => self.forget_gossip(Hash(id.0)),
                Output::Sign { ticket, bytes } => self.ask_ledger(cx, Request::Sign { bytes }, Asked::Sign(ticket)),
                Output::Published { ticket, peers, .. } => self.on_published(cx, ticket, peers),
                // Whoever sent something that was rejected has been blamed for what was wrong with it.
                Output::Penalty { fault: mesh::Fault::Rejected, .. } => {}
                Output::Penalty { peer, fault } => self.blame(cx, peer, Misbehavior::Mesh(fault)),
                Output::Connect { peers } => self.look_for(cx, peers.into_iter().map(|candidate| candidate.id)),
            }
        }
    }

    fn send_gossip(&self, cx: &mut Cx<'_>, connection: ConnectionId, frame: Bytes, class: Class) {
        let Some(channel) = self.gossip.streams.get(&connection) else { return };
        let overflow = if class == Class::Control { Overflow::Close } else { Overflow::Drop };
        cx.send_on(connection, *channel, frame, overflow);
    }
}
