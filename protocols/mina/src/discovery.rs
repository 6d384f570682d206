//! Carries out what Kademlia wants: streams, dials, addresses for the book (Mina spec, section 2.3). The table of who is
//! where is the engine's address book, and the engine dials for slots; Kademlia dials only for its own questions.

use crate::identify::About;
use crate::kad::{self, Kad, Output};
use crate::keys::PeerId;
use crate::streams::KAD;
use crate::{Alarm, Config, Cx, Mina, Misbehavior};
use alloc::collections::{BTreeMap, BTreeSet, VecDeque};
use alloc::vec::Vec;
use polypeer_engine::kit::cost::Class;
use polypeer_engine::{
    Address, ChannelEnd, ChannelId, Close, ConnectionId, Direction, Overflow, Random, Reason, Stock, Stocks, Time,
};

/// Ready peers below which more are looked for (section 9).
const LOW_WATER: usize = 20;
/// Of those that the mesh was offered at one time, so many are looked for.
const LOOKED_FOR_MAX: usize = 4;
/// Dials for questions under way: three of each look-up, and a few more.
const DIALS_MAX: usize = 64;

/// Kademlia, and what was dialled for it.
#[derive(Debug)]
pub(crate) struct Discovery {
    kad: Kad,
    // By the address that is being dialled.
    dials: BTreeMap<Address, Dial>,
    // Connections that were dialled for a question; they go with it.
    for_questions: BTreeSet<ConnectionId>,
    ready: BTreeSet<ConnectionId>,
}

/// A dial for a question.
#[derive(Clone, Debug)]
struct Dial {
    peer: PeerId,
    // Where it may be as well, if it is not there.
    others: Vec<Address>,
}

impl Discovery {
    pub(crate) fn new(cx: &mut Cx<'_>, config: &Config) -> Self {
        let settings = kad::Config {
            rendezvous: kad::provided(&config.rendezvous()),
            private_addresses: cx.config().private_addresses,
            low_water: LOW_WATER,
            looks: cx.config().discovery,
        };
        let seed = crate::seed(cx);
        let mut kad = Kad::new(settings, config.peer_id, cx.time(), Random::new(seed));
        let own = cx.config().external.or(cx.config().listen);
        kad.set_listening(own.as_slice());
        Self { kad, dials: BTreeMap::new(), for_questions: BTreeSet::new(), ready: BTreeSet::new() }
    }

    pub(crate) fn stock(&self, peers: usize, stocks: &mut Stocks) {
        self.kad.stock(stocks);
        stocks.push(Stock::kept("dials for questions", self.dials.len(), DIALS_MAX));
        stocks.push(Stock::of_peers("connections for questions", self.for_questions.len(), peers));
        stocks.push(Stock::of_peers("ready peers", self.ready.len(), peers));
    }

    /// Kademlia itself, to look at.
    pub(crate) fn kad(&self) -> &Kad {
        &self.kad
    }

    /// How many peers are ready.
    pub(crate) fn ready(&self) -> usize {
        self.ready.len()
    }
}

/// What Kademlia is told.
impl Mina {
    pub(crate) fn meet_kad(&mut self, cx: &mut Cx<'_>, connection: ConnectionId, peer_id: PeerId) {
        let dialled = cx.ends(connection).and_then(|ends| ends.dialled);
        let group = cx.ends(connection).map(|ends| ends.remote.ip()).map(|ip| cx.book().group(ip));
        self.with_kad(cx, |kad, now, out| kad.on_connected(now, connection, peer_id, dialled, group, out));
    }

    pub(crate) fn identified_to_kad(&mut self, cx: &mut Cx<'_>, connection: ConnectionId, about: &About) {
        let speaks = about.speaks.has(KAD);
        self.with_kad(cx, |kad, now, out| kad.on_identified(now, connection, speaks, &about.listens, out));
    }

    /// A peer has become ready.
    pub(crate) fn ready_for_kad(&mut self, cx: &mut Cx<'_>, connection: ConnectionId) {
        self.discovery.ready.insert(connection);
        let ready = self.discovery.ready();
        self.with_kad(cx, |kad, now, _| kad.set_ready(now, ready));
    }

    pub(crate) fn on_kad_stream(
        &mut self,
        cx: &mut Cx<'_>,
        connection: ConnectionId,
        channel: ChannelId,
        opener: Direction,
    ) {
        self.with_kad(cx, |kad, now, out| kad.on_opened(now, connection, channel, opener, out));
    }

    pub(crate) fn on_kad_closed(
        &mut self,
        cx: &mut Cx<'_>,
        connection: ConnectionId,
        channel: ChannelId,
        end: ChannelEnd,
    ) {
        self.with_kad(cx, |kad, now, out| match end {
            ChannelEnd::Refused => kad.on_refused(now, connection, out),
            ChannelEnd::Finished | ChannelEnd::Reset => kad.on_closed(now, connection, channel, out),
        });
    }

    pub(crate) fn on_kad_frame(&mut self, cx: &mut Cx<'_>, connection: ConnectionId, channel: ChannelId, frame: &[u8]) {
        let price = Class::Lookup.price(frame.len());
        if self.pays(cx, connection, Class::Lookup, price) {
            self.with_kad(cx, |kad, now, out| kad.on_frame(now, connection, channel, frame, out));
        }
    }

    pub(crate) fn on_kad_gone(&mut self, cx: &mut Cx<'_>, connection: ConnectionId) {
        self.discovery.for_questions.remove(&connection);
        self.discovery.ready.remove(&connection);
        let ready = self.discovery.ready();
        self.with_kad(cx, |kad, now, out| {
            kad.on_disconnected(now, connection, out);
            kad.set_ready(now, ready);
        });
    }

    /// The mesh was offered these.
    pub(crate) fn look_for(&mut self, cx: &mut Cx<'_>, peers: impl Iterator<Item = PeerId>) {
        if cx.config().discovery && cx.has_free_outbound_slot() {
            for peer in peers.take(LOOKED_FOR_MAX) {
                self.with_kad(cx, |kad, now, out| {
                    kad.find(now, &peer, out);
                });
            }
        }
    }

    /// The time that Kademlia named has come.
    pub(crate) fn wake_kad(&mut self, cx: &mut Cx<'_>) {
        self.with_kad(cx, Kad::wake);
    }

    /// What was dialled stands, and this is who is there. Whether it is who was looked for, if it was for a question.
    pub(crate) fn dial_is_over(&mut self, cx: &mut Cx<'_>, connection: ConnectionId, met: PeerId) -> bool {
        let dialled = cx.ends(connection).and_then(|ends| ends.dialled);
        let Some(dial) = dialled.and_then(|address| self.discovery.dials.remove(&address)) else { return true };
        if dial.peer == met {
            self.discovery.for_questions.insert(connection);
            return true;
        }
        self.dial_next(cx, dial);
        false
    }

    /// A dial came to nothing.
    pub(crate) fn on_no_answer(&mut self, cx: &mut Cx<'_>, address: Address) {
        if let Some(dial) = self.discovery.dials.remove(&address) {
            self.dial_next(cx, dial);
        }
    }
}

/// What it wants.
impl Mina {
    fn with_kad(&mut self, cx: &mut Cx<'_>, tell: impl FnOnce(&mut Kad, Time, &mut Vec<Output>)) {
        let mut out = Vec::new();
        tell(&mut self.discovery.kad, cx.time(), &mut out);
        let mut out = VecDeque::from(out);
        while let Some(output) = out.pop_front() {
            if let Some(peer) = self.do_for_kad(cx, output) {
                let mut more = Vec::new();
                self.discovery.kad.on_dial_failed(cx.time(), &peer, &mut more);
                out.extend(more);
            }
        }
        cx.alarm(Alarm::Kad, self.discovery.kad.next_wake());
    }

    // Somebody who cannot be dialled is given back.
    fn do_for_kad(&mut self, cx: &mut Cx<'_>, output: Output) -> Option<PeerId> {
        match output {
            Output::Send { connection, channel, frame } => cx.send_on(connection, channel, frame, Overflow::Close),
            Output::Open { connection } => drop(self.channels.open_more(cx, connection, KAD)),
            Output::Finish { connection, channel } => cx.finish(connection, channel),
            Output::Reset { connection, channel } => self.channels.reset(cx, connection, channel),
            Output::Dial { peer, addresses } => return self.dial_for_kad(cx, Dial { peer, others: addresses }),
            Output::Release { connection } if self.discovery.for_questions.remove(&connection) => {
                cx.close(connection, Close::Flushed, "asked what it was dialled for");
            }
            Output::Release { .. } => {}
            // Somebody whom the mesh was offered: where it is, is all that is wanted of it.
            Output::LookedUp { outcome, .. } => {
                cx.learn(outcome.nearest.into_iter().take(1).flat_map(|contact| contact.addresses), None);
            }
            // Who is here is not dialled.
            Output::Found { peer, .. } if self.discovery.kad.is_connected(&peer) => {}
            Output::Found { addresses, named_by, .. } => self.learn_found(cx, addresses, named_by),
            Output::Fault { connection, fault } => self.blame(cx, connection, Misbehavior::Kad(fault)),
        }
        None
    }

    fn learn_found(&self, cx: &mut Cx<'_>, addresses: Vec<Address>, named_by: ConnectionId) {
        let price = Class::AddressLearn.price(0).times(addresses.len());
        if !cx.config().discovery || addresses.is_empty() {
            return;
        }
        let source = cx.ends(named_by).map(|ends| ends.remote.ip());
        // We asked for it.
        cx.owe(named_by, price);
        cx.learn(addresses, source);
    }

    // At the first address where nobody is being dialled already.
    fn dial_for_kad(&mut self, cx: &mut Cx<'_>, mut dial: Dial) -> Option<PeerId> {
        while !dial.others.is_empty() && self.discovery.dials.len() < DIALS_MAX {
            let address = dial.others.remove(0);
            if cx.dial(address, false, Reason::DialledToProve).is_some() {
                self.discovery.dials.insert(address, dial);
                return None;
            }
        }
        Some(dial.peer)
    }

    fn dial_next(&mut self, cx: &mut Cx<'_>, dial: Dial) {
        if let Some(peer) = self.dial_for_kad(cx, dial) {
            self.with_kad(cx, |kad, now, out| kad.on_dial_failed(now, &peer, out));
        }
    }
}
