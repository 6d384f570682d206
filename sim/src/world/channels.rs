//! Opens and ends channels between two nodes, where their transport has any, by the rules that a host of it keeps.

use super::{Happening, World};
use crate::line::{LineId, Side, WireName, across};
use crate::link::Word;
use bytes::Bytes;
use polypeer_engine::{ChannelEnd, ChannelId, ConnectionId, Direction, Ledger, Libp2p, P2pAction, Protocol, Transport};

impl<P, L> World<P, L>
where
    P: Protocol,
    L: Ledger<Request = P::Request, Answer = P::Answer>,
{
    fn transport(&self, id: usize) -> Option<Libp2p> {
        match self.nodes[id].engine.as_ref()?.state().profile.transport {
            Transport::Libp2p(net) => Some(net),
            _ => None,
        }
    }

    /// Whether a node's connections have channels.
    pub(super) fn has_channels(&self, id: usize) -> bool {
        self.transport(id).is_some()
    }

    /// What a node proves to be to whom it is connected with.
    pub(super) fn proven(&self, id: usize) -> Option<Bytes> {
        self.has_channels(id).then(|| self.nodes[id].identity.clone())
    }

    fn place(&self, id: usize, connection: ConnectionId) -> Option<(LineId, Side)> {
        self.nodes[id].connections.get(&connection).copied()
    }

    // Says something of a channel, unless this end is on its way out.
    fn say(&mut self, id: LineId, side: Side, name: WireName, word: Word) {
        let Some(line) = self.lines.get_mut(id) else { return };
        let [from, to] = [line.nodes[side], line.nodes[across(side)]];
        let is_said = line.ends[side].as_ref().is_some_and(|end| !end.is_closing);
        if !is_said || line.ends[across(side)].is_none() && line.pipes[side].blocked.is_none() {
            return;
        }
        let map = &self.setting.map;
        let latency = map.latency(self.nodes[from].region, self.nodes[to].region);
        let at = self.now + self.random.jitter(latency, map.quality.jitter_percent);
        line.pipes[side].say(at, name, word);
        self.arm(id, side);
    }

    // Tells an engine what it is not told within its own step.
    fn tell_soon(&mut self, id: usize, action: P2pAction<P::Answer>) {
        let life = self.nodes[id].life;
        self.agenda.add(self.now, Happening::Acts { node: id as u32, life, action: Box::new(action) });
    }

    /// A node wants a channel.
    pub(super) fn open(&mut self, id: usize, connection: ConnectionId, channel: ChannelId, kind: u16) {
        let Some((line, side)) = self.place(id, connection) else { return };
        let net = self.transport(id).filter(|net| net.channels.iter().any(|channel| channel.kind == kind));
        let framer = P::framer(&self.nodes[id].protocol, kind, Direction::Outbound);
        let Some(end) = self.lines.end_mut(line, side).filter(|end| !end.is_closing) else { return };
        if net.is_none_or(|net| end.count(Direction::Outbound) >= net.own_streams_max) {
            let end = ChannelEnd::Refused;
            return self.tell_soon(id, P2pAction::ChannelClosed { connection, channel, end });
        }
        let name = WireName { opener: side, channel };
        end.add(channel, name, kind, framer, false);
        self.say(line, side, name, Word::Open(kind));
    }

    /// A node writes no more on a channel.
    pub(super) fn finish(&mut self, id: usize, connection: ConnectionId, channel: ChannelId) {
        let Some((line, side)) = self.place(id, connection) else { return };
        let end = self.lines.end_mut(line, side);
        let Some(found) = end.and_then(|end| end.channels.get_mut(&channel)) else { return };
        let name = found.name;
        if !std::mem::replace(&mut found.is_closed, true) {
            self.say(line, side, name, Word::Finish);
        }
        self.sweep(line, side, channel);
    }

    /// A node breaks a channel off.
    pub(super) fn reset(&mut self, id: usize, connection: ConnectionId, channel: ChannelId) {
        let Some((line, side)) = self.place(id, connection) else { return };
        let Some(end) = self.lines.end_mut(line, side) else { return };
        let Some(removed) = end.remove(channel, &mut self.nodes[id].counts) else { return };
        self.say(line, side, removed.name, Word::Reset);
    }

    // Takes a channel away on which both ends have said their last.
    fn sweep(&mut self, id: LineId, side: Side, channel: ChannelId) {
        let Some(node) = self.lines.get(id).map(|line| line.nodes[side]) else { return };
        let Some(end) = self.lines.end_mut(id, side) else { return };
        if end.channels.get(&channel).is_some_and(|channel| channel.is_closed && channel.is_finished) {
            end.remove(channel, &mut self.nodes[node].counts);
        }
    }

    /// A word on a channel has come to a side.
    pub(super) fn heard(&mut self, id: LineId, side: Side, name: WireName, word: Word) {
        let Some(node) = self.lines.get(id).map(|line| line.nodes[side]) else { return };
        if let Word::Open(kind) = word {
            return self.asked_for(id, side, name, kind);
        }
        let Some(end) = self.lines.end_mut(id, side) else { return };
        let (connection, is_closing) = (end.connection, end.is_closing);
        let Some(channel) = end.named(name) else { return };
        let Some(found) = end.channels.get_mut(&channel) else { return };
        let closed = |end| P2pAction::ChannelClosed { connection, channel, end };
        let counts = &mut self.nodes[node].counts;
        let told = match word {
            Word::Open(_) => return,
            Word::Accept => {
                found.is_agreed = true;
                P2pAction::ChannelOpened { connection, channel, kind: found.kind, opener: Direction::Outbound }
            }
            Word::Refuse => {
                end.remove(channel, counts);
                closed(ChannelEnd::Refused)
            }
            Word::Finish => {
                found.is_finished = true;
                // What was begun never becomes whole.
                found.reader.discard(counts);
                closed(ChannelEnd::Finished)
            }
            Word::Reset => {
                end.remove(channel, counts);
                closed(ChannelEnd::Reset)
            }
        };
        if !is_closing {
            self.step(node, told);
        }
        self.sweep(id, side, channel);
    }

    // The other end wants a channel.
    fn asked_for(&mut self, id: LineId, side: Side, name: WireName, kind: u16) {
        let Some(node) = self.lines.get(id).map(|line| line.nodes[side]) else { return };
        let net = self.transport(node);
        let is_known = net.is_some_and(|net| net.channels.iter().any(|known| known.kind == kind && known.is_answered));
        let framer = P::framer(&self.nodes[node].protocol, kind, Direction::Inbound);
        let Some(end) = self.lines.end_mut(id, side).filter(|end| !end.is_closing) else { return };
        let has_room = net.is_some_and(|net| end.count(Direction::Inbound) < net.their_streams_max);
        let channel = ChannelId::nth(Direction::Inbound, end.accepted + 1);
        let Some(channel) = channel.filter(|_| is_known && has_room) else {
            return self.say(id, side, name, Word::Refuse);
        };
        end.accepted += 1;
        end.add(channel, name, kind, framer, true);
        let connection = end.connection;
        self.say(id, side, name, Word::Accept);
        self.step(node, P2pAction::ChannelOpened { connection, channel, kind, opener: Direction::Inbound });
    }

    /// Bytes on a channel have arrived at a side: whoever sent them hears when most of what it sent has.
    pub(super) fn arrived_on(&mut self, id: LineId, side: Side, name: WireName, bytes: usize) {
        if name == WireName::ONLY {
            return;
        }
        let sender = across(side);
        let Some(node) = self.lines.get(id).map(|line| line.nodes[sender]) else { return };
        let Some(engine) = self.nodes[node].engine.as_ref() else { return };
        let low = engine.state().profile.low_water_bytes;
        let Some(end) = self.lines.end_mut(id, sender) else { return };
        let Some(channel) = end.named(name) else { return };
        let Some(found) = end.channels.get_mut(&channel) else { return };
        found.in_flight = found.in_flight.saturating_sub(bytes);
        if found.since_writable >= low && found.in_flight < low {
            found.since_writable = 0;
            self.agenda.add(self.now, Happening::Writable { line: id, side: sender, channel });
        }
    }
}
