//! Finds peers: Kademlia as this network speaks it, a pure state machine (Mina spec, sections 2.3 and 9).
//!
//! ```text
//!   connected, identified, frames, time ──► Kad ──► send, open a stream, dial, found, release
//!                                            │
//!              table      who answers, by distance; full buckets test before they evict
//!              lookup     three disjoint paths towards a place
//!              asking     dial ─► open ─► wait, each with its deadline
//!              serving    FIND_NODE, GET_PROVIDERS, ADD_PROVIDER, PING; at most 20 peers an answer
//!              discovery  bootstrap, re-query, announce: when
//! ```
//!
//! What a peer names is only ever a reason to dial: nobody is in the table, or handed on to others, who has not answered
//! under the key that the encrypted channel has proven. Answers that nobody asked for, of another kind or out of shape
//! are faults.

mod asking;
mod discovery;
mod key;
mod lookup;
mod message;
mod providers;
mod serving;
mod table;

pub use key::{Distance, Key};
pub use lookup::{Outcome, PATHS};
pub use message::{ADDRESSES_MAX, Contact, KEY_BYTES_MAX, Kind, Message, MessageError, PEERS_READ_MAX};
pub use serving::{REQUEST_BYTES_MAX, SERVED_STREAMS_MAX};
pub use table::{BUCKET_MAX, BUCKET_PER_GROUP_MAX};

use crate::keys::PeerId;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;
use asking::{Ask, Stage};
use bytes::Bytes;
use core::net::IpAddr;
use discovery::Schedule;
use lookup::{Lookup, Purpose};
use polypeer_engine::kit::bucket::Bucket;
use polypeer_engine::{Address, ChannelId, ConnectionId, Direction, NetworkGroup, Random, Stock, Stocks, Time, Weight};
use providers::Providers;
use sha2::{Digest as _, Sha256};
use table::{Entered, Table};

/// Addresses of ours that are announced: identify has room for as many.
const LISTENING_MAX: usize = 4;

/// What the operator and the network decide.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// The multihash under which this network's nodes find each other ([`provided`]).
    pub rendezvous: Bytes,
    /// Whether loopback and private addresses are ordinary ones: true on a private network.
    pub private_addresses: bool,
    /// Ready peers below which it is looked for more: 20 in the stock node (section 9).
    pub low_water: usize,
    /// Whether it looks for peers: else it only answers, and asks what it is told to.
    pub looks: bool,
}

impl Config {
    /// Whether an address may be dialled and named to others.
    pub fn may_reach(&self, address: Address) -> bool {
        address.is_dialable() && (self.private_addresses || (address.is_public() && !is_benchmark(address.ip())))
    }
}

// 198.18/15, which the stock node leaves out too (section 1.6).
fn is_benchmark(ip: IpAddr) -> bool {
    matches!(ip, IpAddr::V4(ip) if ip.octets()[0] == 198 && ip.octets()[1] & 0xfe == 18)
}

/// The multihash of a rendezvous ([`crate::Config::rendezvous`]): SHA-256, as Go's side names what it provides (section
/// 2.3).
pub fn provided(rendezvous: &str) -> Bytes {
    [&[0x12, 0x20][..], &Sha256::digest(rendezvous)].concat().into()
}

/// One look-up that was wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct LookupId(u32);

/// What is to be done, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// Send this frame.
    Send {
        /// To whom.
        connection: ConnectionId,
        /// On which stream.
        channel: ChannelId,
        /// The frame, its length included.
        frame: Bytes,
    },
    /// Open a stream of this protocol; answered with [`Kad::on_opened`] or [`Kad::on_refused`].
    Open {
        /// To whom.
        connection: ConnectionId,
    },
    /// Write no more on this stream.
    Finish {
        /// Whose.
        connection: ConnectionId,
        /// Which.
        channel: ChannelId,
    },
    /// Break this stream off.
    Reset {
        /// Whose.
        connection: ConnectionId,
        /// Which.
        channel: ChannelId,
    },
    /// Dial a peer for a question, at one of these addresses, and take nobody else for it; answered with
    /// [`Kad::on_connected`] or [`Kad::on_dial_failed`]. It fills no slot.
    Dial {
        /// Who must be there.
        peer: PeerId,
        /// Where it may be.
        addresses: Vec<Address>,
    },
    /// A connection that was dialled for a question has no more of them: close it, unless someone else wants it.
    Release {
        /// Which.
        connection: ConnectionId,
    },
    /// A peer that someone named in an answer: for the address book. It may not exist.
    Found {
        /// Who.
        peer: PeerId,
        /// Where it may be; empty for one that is connected.
        addresses: Vec<Address>,
        /// Who says so.
        named_by: ConnectionId,
    },
    /// A look-up that [`Kad::find`] began is over.
    LookedUp {
        /// Which.
        lookup: LookupId,
        /// What came of it.
        outcome: Outcome,
    },
    /// A peer did what it must not. The stream is reset by then.
    Fault {
        /// Who.
        connection: ConnectionId,
        /// What.
        fault: Fault,
    },
}

/// What a peer can do wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Bytes that are no message.
    Message(MessageError),
    /// Something came on a stream of ours that nobody asked for.
    Unasked,
    /// An answer of another kind than the question.
    WrongKind,
    /// A request that is longer than any.
    RequestTooLong,
    /// More requests than one peer may have answered.
    TooManyRequests,
    /// More streams than one peer may have open.
    TooManyStreams,
    /// A peer says of another that it provides.
    ForeignProvider,
}

impl Fault {
    /// Its name in snake case, as reasons and metrics show it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Message(_) => "kad_malformed",
            Self::Unasked => "kad_unasked",
            Self::WrongKind => "kad_wrong_kind",
            Self::RequestTooLong => "kad_request_too_long",
            Self::TooManyRequests => "kad_too_many_requests",
            Self::TooManyStreams => "kad_too_many_streams",
            Self::ForeignProvider => "kad_foreign_provider",
        }
    }

    /// What it should cost: nothing of it does more than end a stream, so each is borne.
    pub fn weight(self) -> Weight {
        Weight::Slip
    }
}

/// What is known of a connection.
#[derive(Clone, Debug)]
struct Known {
    peer: PeerId,
    // Where it can be dialled: what we dialled first, then what identify says.
    addresses: Vec<Address>,
    group: Option<NetworkGroup>,
    // Whether it was dialled for a question of ours.
    is_for_us: bool,
    // Whether it answers Kademlia; nothing until identify says so.
    speaks: bool,
    ours: BTreeSet<ChannelId>,
    served: BTreeSet<ChannelId>,
    idle: Option<(ChannelId, Time)>,
    requests: Bucket,
}

/// Kademlia.
#[derive(Debug)]
pub struct Kad {
    config: Config,
    own: PeerId,
    // Where we listen, as others may know it.
    listening: Vec<Address>,
    // Ready peers.
    ready: usize,
    table: Table,
    providers: Providers,
    schedule: Schedule,
    connections: BTreeMap<ConnectionId, Known>,
    by_peer: BTreeMap<PeerId, ConnectionId>,
    lookups: BTreeMap<u32, Lookup>,
    next_lookup: u32,
    asks: BTreeMap<u64, Ask>,
    next_ask: u64,
    random: Random,
}

impl Kad {
    /// One that knows nobody. `random` is its own, seeded by the engine's.
    pub fn new(config: Config, own: PeerId, now: Time, random: Random) -> Self {
        let table = Table::new(Key::of_peer(&own), !config.private_addresses);
        Self {
            config,
            own,
            listening: Vec::new(),
            ready: 0,
            table,
            providers: Providers::default(),
            schedule: Schedule::new(now),
            connections: BTreeMap::new(),
            by_peer: BTreeMap::new(),
            lookups: BTreeMap::new(),
            next_lookup: 0,
            asks: BTreeMap::new(),
            next_ask: 0,
            random,
        }
    }

    /// Where others reach this node: what it announces of itself.
    pub fn set_listening(&mut self, addresses: &[Address]) {
        self.listening = self.may_reach(addresses);
        self.listening.truncate(LISTENING_MAX);
    }

    /// Looks up who is at an id. Nothing when too many look-ups are under way.
    pub fn find(&mut self, now: Time, peer: &PeerId, out: &mut Vec<Output>) -> Option<LookupId> {
        let key = Bytes::copy_from_slice(&peer.to_bytes());
        self.begin(now, Purpose::Wanted, (Kind::FindNode, key), out)
    }

    /// Looks up who provides this network.
    pub fn find_providers(&mut self, now: Time, out: &mut Vec<Output>) -> Option<LookupId> {
        let key = self.config.rendezvous.clone();
        self.begin(now, Purpose::Wanted, (Kind::GetProviders, key), out)
    }

    /// Peers in the routing table.
    pub fn peers(&self) -> usize {
        self.table.len()
    }

    /// Whether a connection with a peer stands.
    pub fn is_connected(&self, peer: &PeerId) -> bool {
        self.by_peer.contains_key(peer)
    }

    /// Whether a peer is in the routing table.
    pub fn knows(&self, peer: &PeerId) -> bool {
        self.table.contains(peer)
    }

    /// Up to `count` peers of the table that are nearest to an id.
    pub fn nearest(&self, peer: &PeerId, count: usize) -> Vec<Contact> {
        self.table.nearest(&Key::of_peer(peer), count, None)
    }

    /// What it holds, for people.
    pub fn stock(&self, stocks: &mut Stocks) {
        stocks.push(Stock::kept("peers in the routing table", self.table.len(), table_max()));
        stocks.push(Stock::kept("provider records", self.providers.len(), providers::PROVIDERS_MAX));
        stocks.push(Stock::kept("Kademlia questions under way", self.asks.len(), asking::ASKS_MAX));
    }
}

// A table has a bucket for each number of shared bits.
const fn table_max() -> usize {
    257 * BUCKET_MAX
}

/// What happens.
impl Kad {
    /// A connection stands, and its peer is who it says. `dialled` is where we reached it; `group` is the network that
    /// it is in.
    pub fn on_connected(
        &mut self,
        now: Time,
        connection: ConnectionId,
        peer: PeerId,
        dialled: Option<Address>,
        group: Option<NetworkGroup>,
        out: &mut Vec<Output>,
    ) {
        let wanting: Vec<u64> = self.dialling(&peer);
        let known = Known {
            peer,
            addresses: self.may_reach(dialled.as_slice()),
            group,
            is_for_us: !wanting.is_empty() && dialled.is_some(),
            speaks: false,
            ours: BTreeSet::new(),
            served: BTreeSet::new(),
            idle: None,
            requests: serving::meter(),
        };
        self.connections.insert(connection, known);
        self.by_peer.insert(peer, connection);
        for number in wanting {
            self.reach(now, number, connection, out);
        }
    }

    /// Identify has said whether a peer answers Kademlia, and where it listens.
    pub fn on_identified(
        &mut self,
        now: Time,
        connection: ConnectionId,
        speaks: bool,
        listening: &[Address],
        out: &mut Vec<Output>,
    ) {
        let listening = self.may_reach(listening);
        let Some(known) = self.connections.get_mut(&connection) else { return };
        known.speaks = speaks;
        for address in listening {
            if known.addresses.len() < ADDRESSES_MAX && !known.addresses.contains(&address) {
                known.addresses.push(address);
            }
        }
        if speaks {
            self.heard(now, connection, out);
            // With the first peer there is somebody to ask.
            if self.table.len() == 1 && !self.is_looking(Purpose::Bootstrap) {
                self.schedule = Schedule::new(now);
            }
        }
    }

    /// A connection is gone.
    pub fn on_disconnected(&mut self, now: Time, connection: ConnectionId, out: &mut Vec<Output>) {
        let Some(known) = self.connections.remove(&connection) else { return };
        if self.by_peer.get(&known.peer) == Some(&connection) {
            self.by_peer.remove(&known.peer);
            let other = self.connections.iter().find(|(_, other)| other.peer == known.peer);
            if let Some(other) = other.map(|(connection, _)| *connection) {
                self.by_peer.insert(known.peer, other);
            }
        }
        let is_over = |ask: &Ask| match ask.stage {
            Stage::Dialling => false,
            Stage::Opening(over) | Stage::Waiting { connection: over, .. } => over == connection,
        };
        let lost: Vec<u64> = self.asks.iter().filter(|(_, ask)| is_over(ask)).map(|(number, _)| *number).collect();
        for number in lost {
            self.fail(now, number, out);
        }
    }

    /// A peer could not be reached, or somebody else was there.
    pub fn on_dial_failed(&mut self, now: Time, peer: &PeerId, out: &mut Vec<Output>) {
        for number in self.dialling(peer) {
            self.fail(now, number, out);
        }
    }

    /// A stream of this protocol is open.
    pub fn on_opened(
        &mut self,
        now: Time,
        connection: ConnectionId,
        channel: ChannelId,
        opener: Direction,
        out: &mut Vec<Output>,
    ) {
        let Some(known) = self.connections.get_mut(&connection) else { return };
        match opener {
            Direction::Outbound => {
                known.ours.insert(channel);
                self.on_ours_opened(now, connection, channel, out);
            }
            Direction::Inbound if known.served.len() < SERVED_STREAMS_MAX => {
                known.served.insert(channel);
            }
            Direction::Inbound => {
                out.push(Output::Reset { connection, channel });
                out.push(Output::Fault { connection, fault: Fault::TooManyStreams });
            }
        }
    }

    /// A stream that was wanted was refused.
    pub fn on_refused(&mut self, now: Time, connection: ConnectionId, out: &mut Vec<Output>) {
        self.on_ours_refused(now, connection, out);
    }

    /// A stream has ended, one way or another. One that the peer has only finished writing counts as ended: it asks no
    /// more, or answers no more.
    pub fn on_closed(&mut self, now: Time, connection: ConnectionId, channel: ChannelId, out: &mut Vec<Output>) {
        if self.forget(now, connection, channel, out) {
            out.push(Output::Finish { connection, channel });
        }
    }

    /// A frame came.
    pub fn on_frame(
        &mut self,
        now: Time,
        connection: ConnectionId,
        channel: ChannelId,
        frame: &[u8],
        out: &mut Vec<Output>,
    ) {
        let Some(known) = self.connections.get(&connection) else { return };
        let result = if known.ours.contains(&channel) {
            self.on_answer(now, connection, channel, frame, out)
        } else if known.served.contains(&channel) {
            self.on_request(now, connection, channel, frame, out)
        } else {
            // It was broken off, and what was under way is of no interest.
            return;
        };
        if let Err(fault) = result {
            out.push(Output::Reset { connection, channel });
            out.push(Output::Fault { connection, fault });
            self.forget(now, connection, channel, out);
        }
    }

    /// The time that [`Kad::next_wake`] named has come.
    pub fn wake(&mut self, now: Time, out: &mut Vec<Output>) {
        self.expire_asks(now, out);
        self.expire_lookups(now, out);
        self.on_schedule(now, out);
    }

    /// When it wants to be woken.
    pub fn next_wake(&self) -> Time {
        let asks = self.asks.values().map(|ask| ask.deadline);
        let idle = self.connections.values().filter_map(|known| known.idle.map(|(_, until)| until));
        let lookups = self.lookups.values().map(|lookup| lookup.deadline);
        let due = self.schedule.next_wake(|purpose| self.is_looking(purpose));
        asks.chain(idle).chain(lookups).fold(due, Time::min)
    }

    /// Panics when something does not hold that always must; for tests.
    pub fn check(&self) {
        self.table.check();
        assert!(self.asks.len() <= asking::ASKS_MAX, "questions have a limit");
        assert!(self.providers.len() <= providers::PROVIDERS_MAX, "records have a limit");
        for (peer, connection) in &self.by_peer {
            let known = self.connections.get(connection);
            assert!(known.is_some_and(|known| known.peer == *peer), "a peer is found over its own connection");
        }
    }

    // A stream is no more. Whether it was one.
    fn forget(&mut self, now: Time, connection: ConnectionId, channel: ChannelId, out: &mut Vec<Output>) -> bool {
        let Some(known) = self.connections.get_mut(&connection) else { return false };
        known.idle.take_if(|(idle, _)| *idle == channel);
        let (is_served, is_ours) = (known.served.remove(&channel), known.ours.remove(&channel));
        if is_ours {
            self.on_ours_closed(now, connection, channel, out);
        }
        is_served || is_ours
    }

    // A peer has answered, or said that it would: it is in the table if there is room.
    fn heard(&mut self, now: Time, connection: ConnectionId, out: &mut Vec<Output>) {
        let Some(known) = self.connections.get(&connection) else { return };
        if known.addresses.is_empty() {
            // Nobody could reach it whom we name it to.
            return;
        }
        let (peer, addresses) = (known.peer, known.addresses.clone());
        if let Entered::WaitsFor(oldest) = self.table.answered(now, peer, &addresses) {
            let test = self.table.nearest(&Key::of_peer(&oldest), 1, None);
            // Not PING: some answer nothing but this.
            let message = Message::about(Kind::FindNode, &oldest.to_bytes());
            let is_asked = test.first().is_some_and(|test| self.ask(now, test, asking::For::Test, &message, out));
            if !is_asked {
                self.table.stays(&oldest);
            }
        }
    }

    fn dialling(&self, peer: &PeerId) -> Vec<u64> {
        let is_it = |ask: &Ask| ask.peer == *peer && ask.stage == Stage::Dialling;
        self.asks.iter().filter(|(_, ask)| is_it(ask)).map(|(number, _)| *number).collect()
    }
}
