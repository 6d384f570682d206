//! Shakes hands: a HELLO each way, each answered (BUMO spec, sections 4.2 to 4.4).
//!
//! ```text
//!   dialler                                acceptor
//!     │── HELLO ───────────────────────────────►│  checked: active
//!     │◄────────────────────────────── HELLO ───│  checked: active
//!     │◄──────────────────────────── its answer ─│
//!     │◄────────────────────────────── PEERS ───│
//!     │── its answer ──────────────────────────►│
//! ```
//!
//! Nothing is signed: a node address is a claim. So it proves nothing here, and takes nothing away from whoever claimed
//! it first.

use crate::frame;
use crate::misbehavior::Check;
use crate::peer::{Active, Line};
use crate::ping::{answer_at_once, unix_micros};
use crate::wire::{self, HelloResponse, Kind, Message as _, OVERLAY_VERSION_MIN};
use crate::{Alarm, Bumo, Cx, Misbehavior, Peer};
use alloc::borrow::ToOwned;
use alloc::boxed::Box;
use alloc::format;
use alloc::string::String;
use core::time::Duration;
use polypeer_engine::{Address, Close, ConnectionId, Direction, Overflow};

/// The ledger version up to which we know the rules.
pub const LEDGER_VERSION: i64 = 1003;
/// The overlay version that we speak.
pub const OVERLAY_VERSION: i64 = 1000;

/// Two nodes that dial each other meet twice within this time. Later a second connection is refused, whoever dialled: a
/// claim must not push out whoever is there.
const CROSSING: Duration = Duration::from_secs(5);
/// Bytes that are kept of what a peer calls itself and its software: real ones have 36 and 5.
const NAME_BYTES_MAX: usize = 256;
/// Characters of a refusal that people are shown.
const REFUSAL_SHOWN_MAX: usize = 256;

/// Who we are to peers.
#[derive(Clone, Debug)]
pub(crate) struct Identity {
    rand: String,
}

impl Identity {
    /// Drawn at the start: by it we know ourselves when we meet.
    pub(crate) fn new(cx: &mut Cx<'_>) -> Self {
        let number = cx.random().number() as i32;
        Self { rand: format!("node-rand-{}-{number}", unix_micros(cx)) }
    }
}

impl Bumo {
    /// A connection stands: who dialled speaks first.
    pub(crate) fn greet(&mut self, cx: &mut Cx<'_>, connection: ConnectionId) -> Peer {
        self.watch(cx, connection);
        let mut line = Line::default();
        if is_here_already(cx, connection) {
            // It would be refused.
            cx.close(connection, Close::Flushed, "that peer dialled us");
        } else if connection.direction() == Direction::Outbound {
            self.say_hello(cx, connection, &mut line);
        }
        Peer::Opened(line)
    }

    fn say_hello(&self, cx: &mut Cx<'_>, connection: ConnectionId, line: &mut Line) {
        let ours = wire::Hello {
            network_id: self.config.network_id,
            ledger_version: LEDGER_VERSION,
            overlay_version: OVERLAY_VERSION,
            bumo_version: &self.config.version,
            listening_port: self.listening_port(cx).into(),
            node_address: &self.config.node_address,
            node_rand: &self.identity.rand,
        };
        let frame = line.request(Kind::Hello, &ours.encode());
        cx.send(connection, frame, Overflow::Close);
    }

    // Whoever does not listen says the network's port: there is no way to say that one does not.
    fn listening_port(&self, cx: &Cx<'_>) -> u16 {
        let own = cx.config().external.or(cx.config().listen).map(|address| address.port());
        own.filter(|port| *port != 0).unwrap_or(self.config.port)
    }

    /// HELLO before anything else.
    pub(crate) fn on_hello(
        &mut self,
        cx: &mut Cx<'_>,
        connection: ConnectionId,
        mut line: Line,
        sequence: i64,
        data: &[u8],
    ) -> Result<Peer, Misbehavior> {
        // What does not decode is taken for an empty one, which is of another network.
        let theirs = wire::Hello::decode(data).unwrap_or_default();
        self.judge(cx, connection, &theirs).map_err(|check| Misbehavior::Refused { sequence, check })?;
        let is_acceptor = connection.direction() == Direction::Inbound;
        if is_acceptor {
            self.say_hello(cx, connection, &mut line);
        }
        cx.send(connection, frame::pack(Kind::Hello, false, sequence, &[]), Overflow::Close);
        cx.cancel_peer_alarm(connection, Alarm::Hello);
        cx.set_phase(connection, frame::OPEN);
        let listening_port = u16::try_from(theirs.listening_port).unwrap_or_default();
        let mut active = Box::new(Active {
            line,
            place: self.place(cx, connection, listening_port),
            node_address: start_of(theirs.node_address),
            version: start_of(theirs.bumo_version),
            listening_port,
            ledger: None,
            since: cx.time(),
            joined: self.broadcasts.joins(),
            judging: 0,
            source: Default::default(),
            serving: Default::default(),
            notices: Default::default(),
        });
        cx.ready(connection, &active.version);
        if let Some(place) = active.place.filter(|_| is_acceptor) {
            cx.is_at(connection, place);
        }
        if is_acceptor {
            self.push_peers(cx, connection, &mut active);
        }
        self.meet_source(cx, connection);
        Ok(Peer::Active(active))
    }

    /// HELLO once more: answered, and nothing changes (BUMO spec, section 4.4, check 1).
    pub(crate) fn on_second_hello(
        &self,
        cx: &mut Cx<'_>,
        connection: ConnectionId,
        line: &mut Line,
        sequence: i64,
    ) -> Result<(), Misbehavior> {
        let Some(ip) = cx.ends(connection).map(|ends| ends.remote.ip()) else { return Ok(()) };
        let text = format!("Peer is active connection with ip({ip}), id({connection})");
        let answer = HelloResponse { error_code: 0, error_desc: &text }.encode();
        answer_at_once(cx, connection, line, frame::pack(Kind::Hello, false, sequence, &answer))
    }

    /// The answer to our HELLO: only a refusal means something, at any time.
    pub(crate) fn on_hello_answer(&self, cx: &mut Cx<'_>, connection: ConnectionId, data: &[u8]) {
        let Ok(HelloResponse { error_code, error_desc }) = HelloResponse::decode(data) else { return };
        if error_code == 0 {
            return;
        }
        // It goes into logs and lists, where it must neither begin a line nor fill a page.
        let shown: String = error_desc.chars().filter(|it| !it.is_control()).take(REFUSAL_SHOWN_MAX).collect();
        cx.note(format!("connection {connection} refused us: {shown}"));
        cx.close(connection, Close::Flushed, &format!("refused us: {shown}"));
    }

    // The checks in their order (BUMO spec, section 4.4).
    fn judge(&self, cx: &mut Cx<'_>, connection: ConnectionId, theirs: &wire::Hello<'_>) -> Result<(), Check> {
        if let Some(first) = self.duplicate_of(cx, connection, theirs.node_address) {
            if !self.is_kept_instead(cx, connection, first, theirs.node_address) {
                let ip = cx.ends(connection).map_or([0; 4].into(), |ends| ends.remote.ip());
                return Err(Check::Duplicate { ip, id: connection.as_u64() });
            }
            cx.close(first, Close::Flushed, "both dialled at once");
        }
        if theirs.network_id != self.config.network_id {
            return Err(Check::Network { remote: theirs.network_id, local: self.config.network_id });
        }
        if theirs.node_address == self.config.node_address {
            if theirs.node_rand != self.identity.rand {
                return Err(Check::SameAddress);
            }
            cx.met_self_over(connection);
            return Err(Check::Itself);
        }
        if theirs.overlay_version < OVERLAY_VERSION_MIN {
            return Err(Check::OverlayVersion(theirs.overlay_version));
        }
        if u16::try_from(theirs.listening_port).is_ok_and(|port| port > 0) {
            Ok(())
        } else {
            Err(Check::ListeningPort(theirs.listening_port))
        }
    }

    // The other connection with a peer of this node address. Whoever has not said HELLO has none.
    fn duplicate_of(&self, cx: &Cx<'_>, connection: ConnectionId, node_address: &str) -> Option<ConnectionId> {
        let is_it = |peer: &Peer| peer.active().is_some_and(|active| active.node_address == start_of(node_address));
        cx.peers().find(|(other, peer)| *other != connection && is_it(peer)).map(|(other, _)| other)
    }

    // Two nodes that dial each other at once would each refuse the other's connection and have none. The one that the
    // smaller node address dialled is kept, which both can tell.
    fn is_kept_instead(&self, cx: &Cx<'_>, new: ConnectionId, first: ConnectionId, theirs: &str) -> bool {
        let is_young =
            cx.peer(first).and_then(Peer::active).is_some_and(|active| cx.time().since(active.since) < CROSSING);
        let dialled_by = |connection: ConnectionId| match connection.direction() {
            Direction::Outbound => &*self.config.node_address,
            Direction::Inbound => theirs,
        };
        is_young && new.direction() != first.direction() && dialled_by(new) < dialled_by(first)
    }

    // Where a peer is reached: where we reached it, or where it says that it listens.
    fn place(&self, cx: &Cx<'_>, connection: ConnectionId, listening_port: u16) -> Option<Address> {
        let ends = cx.ends(connection)?;
        Some(ends.dialled.unwrap_or(Address::new(ends.remote.ip(), listening_port)))
    }

    /// Whoever dialled us and is gone can be dialled where it said that it listens. While it is here there is no need.
    pub(crate) fn note_address(&self, cx: &mut Cx<'_>, connection: ConnectionId, active: &Active) {
        if connection.direction() == Direction::Inbound && cx.config().discovery {
            cx.learn(active.place, active.place.map(|place| place.ip()));
        }
    }
}

// Whether the peer that we dialled is one that dialled us. Today's node dials none that is (BUMO spec, section 1.5).
fn is_here_already(cx: &Cx<'_>, connection: ConnectionId) -> bool {
    let dialled = cx.ends(connection).and_then(|ends| ends.dialled);
    let is_it = |peer: &Peer| peer.active().is_some_and(|active| active.place == dialled);
    dialled.is_some() && cx.peers().any(|(other, peer)| other != connection && is_it(peer))
}

// A peer may call itself what it likes, and only the start of it is kept.
fn start_of(name: &str) -> String {
    name.get(..name.floor_char_boundary(NAME_BYTES_MAX)).unwrap_or_default().to_owned()
}
