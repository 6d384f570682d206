//! Sets the stage: a real engine, a toy ledger, scripted peers, and a clock that stands until it is moved.
//!
//! A story is told twice and must have the same effects, byte for byte. After every step each stock is within its
//! limit; at the end everyone leaves, and nothing that belongs to peers stays.

use crate::make;
use crate::toy::Toy;
use bytes::{Bytes, BytesMut};
use polypeer_bumo::frame::{self, Frames};
use polypeer_bumo::ledger::{Answer, Request};
use polypeer_bumo::wire::{Envelope, Kind, Message as _};
use polypeer_bumo::{Bumo, Config};
use polypeer_engine::{
    Address, Border, ChannelId, Close, ConnectionId, Direction, DisconnectCause, Effect, Ends, Engine, Event, Frame,
    Framed, Framer as _, Ledger as _, Now, P2pAction, P2pConfig, Phase, Protocol as _, Ticket, Time, To, Told, journal,
};
use std::collections::BTreeMap;
use std::time::Duration;

pub(crate) const CH: ChannelId = ChannelId::ONLY;
pub(crate) const OWN: &str = "10.0.0.1:36001";
/// Stocks that the engine keeps for its dialer, which goes on when everyone has left.
const OF_THE_DIALER: [&str; 3] = ["dials", "dialled addresses", "closing connections"];

/// How a stage begins.
#[derive(Clone, Debug)]
pub(crate) struct Setting {
    pub(crate) config: Config,
    pub(crate) p2p: P2pConfig,
    pub(crate) ledger: Toy,
    /// The ledger says nothing until it is told to.
    pub(crate) is_asleep: bool,
}

/// A follower of four validators that holds so many of the hundred ledgers.
pub(crate) fn holding(ledgers: usize) -> Setting {
    let p2p = P2pConfig {
        listen: Some(address(OWN)),
        private_addresses: true,
        inbound_per_ip_max: 100,
        ..P2pConfig::default()
    };
    let config = Config::new(make::NETWORK, 36_001, &make::node_address(make::OURS));
    Setting { config, p2p, ledger: Toy::with(&make::hundred()[..ledgers], 4), is_asleep: false }
}

/// Tells a story of a node that holds twenty ledgers.
pub(crate) fn story(tell: impl Fn(&mut Stage)) {
    story_of(&holding(20), tell);
}

/// The same with a setting of one's own.
pub(crate) fn story_of(setting: &Setting, tell: impl Fn(&mut Stage)) {
    let [first, second] = [(); 2].map(|()| {
        let mut stage = Stage::new(setting.clone());
        tell(&mut stage);
        stage.ends();
        stage.digests
    });
    assert_eq!(first, second, "the same actions must have the same effects");
}

pub(crate) fn address(text: &str) -> Address {
    text.parse().expect("an address")
}

pub(crate) fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}

pub(crate) fn millis(count: u64) -> Duration {
    Duration::from_millis(count)
}

/// What a peer was sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Said {
    pub(crate) kind: Kind,
    pub(crate) is_request: bool,
    pub(crate) sequence: i64,
    pub(crate) data: Bytes,
    /// All of it, as it stands in the frame.
    pub(crate) payload: Bytes,
}

/// One connection as its other end sees it.
struct Line {
    phase: Phase,
    incoming: BytesMut,
    unread: usize,
}

/// An engine, its ledger and what came of both.
pub(crate) struct Stage {
    pub(crate) engine: Engine<Bumo>,
    pub(crate) ledger: Toy,
    pub(crate) now: Now,
    pub(crate) sent: BTreeMap<ConnectionId, Vec<Bytes>>,
    pub(crate) closed: BTreeMap<ConnectionId, Close>,
    pub(crate) dialled: Vec<(ConnectionId, Address)>,
    pub(crate) events: Vec<Event>,
    pub(crate) asked: Vec<(Ticket, Request)>,
    pub(crate) is_asleep: bool,
    /// Whether peers read what they are sent.
    pub(crate) reads: bool,
    /// Those who answer PINGs of their own accord.
    pub(crate) lively: Vec<ConnectionId>,
    /// The number of the next peer, by which its address is unlike others'.
    pub(crate) next_peer: usize,
    lines: BTreeMap<ConnectionId, Line>,
    closing: Vec<ConnectionId>,
    border: Border,
    config: Config,
    pub(crate) digests: Vec<[u8; 8]>,
    accepted: u64,
}

impl Stage {
    pub(crate) fn new(setting: Setting) -> Self {
        let Setting { config, p2p, ledger, is_asleep } = setting;
        let now = Now { monotonic: Time::from_micros(1_000_000), unix_ms: make::CLOCK_MS };
        let mut effects = Vec::new();
        let engine = Engine::new(now, p2p, config.clone(), [1; 32], &[], &mut effects);
        let mut stage = Self {
            engine,
            ledger,
            now,
            sent: BTreeMap::new(),
            closed: BTreeMap::new(),
            dialled: Vec::new(),
            events: Vec::new(),
            asked: Vec::new(),
            is_asleep,
            reads: true,
            lively: Vec::new(),
            next_peer: 1,
            lines: BTreeMap::new(),
            closing: Vec::new(),
            border: Border::default(),
            config,
            digests: Vec::new(),
            accepted: 0,
        };
        stage.border.started(&effects).expect("the border's rules");
        stage.carry_out(effects);
        stage.settle();
        stage
    }

    /// One action, and all that follows from it at once.
    pub(crate) fn act(&mut self, action: P2pAction<Answer>) {
        self.step(action);
        self.settle();
    }

    fn step(&mut self, action: P2pAction<Answer>) {
        let mut effects = Vec::new();
        let told = Told::from(&action);
        self.border.told(told);
        self.engine.step(self.now, action, &mut effects);
        self.border.judge(&effects).expect("the border's rules");
        self.digests.push(journal::digest(&effects));
        self.carry_out(effects);
        for stock in self.engine.stock() {
            assert!(stock.count <= stock.max, "{}: {} of {}", stock.name, stock.count, stock.max);
        }
    }

    fn settle(&mut self) {
        loop {
            for connection in std::mem::take(&mut self.closing) {
                self.step(P2pAction::Disconnected { connection, cause: DisconnectCause::Ours });
            }
            if self.reads {
                self.read();
            }
            if self.is_asleep || self.asked.is_empty() {
                return;
            }
            self.answer();
        }
    }

    // Whoever was sent much has read it.
    fn read(&mut self) {
        let most = Bumo::profile(&self.config).low_water_bytes;
        let full: Vec<_> = self.lines.iter().filter(|(_, line)| line.unread >= most).map(|(id, _)| *id).collect();
        for connection in full {
            self.reads_all(connection);
        }
    }

    /// The peer reads all that it was sent.
    pub(crate) fn reads_all(&mut self, connection: ConnectionId) {
        if let Some(line) = self.lines.get_mut(&connection) {
            line.unread = 0;
        }
        self.step(P2pAction::Writable { connection, channel: CH });
    }

    /// The ledger answers what it was asked so far.
    pub(crate) fn answer(&mut self) {
        let mut answers = Vec::new();
        self.ledger.answer(self.now, std::mem::take(&mut self.asked), &mut answers);
        for (to, answer) in answers {
            let ticket = match to {
                To::Asker(ticket) => Some(ticket),
                To::Engine => None,
            };
            self.step(P2pAction::LedgerAnswered { ticket, answer });
        }
    }

    /// The ledger wakes and answers everything.
    pub(crate) fn awakes(&mut self) {
        self.is_asleep = false;
        self.settle();
    }

    /// The ledger says something unasked.
    pub(crate) fn ledger_says(&mut self, answer: Answer) {
        self.act(P2pAction::LedgerAnswered { ticket: None, answer });
    }

    fn carry_out(&mut self, effects: Vec<Effect<Request>>) {
        for effect in effects {
            match effect {
                Effect::Send { connection, channel, frame, .. } => {
                    assert_eq!(channel, CH);
                    let line = self.lines.get_mut(&connection).expect("nothing is sent after the end");
                    line.unread += frame.len();
                    self.sent.entry(connection).or_default().push(frame);
                }
                Effect::Close { connection, how } => {
                    self.lines.remove(&connection);
                    self.closing.push(connection);
                    assert_eq!(self.closed.insert(connection, how), None, "closed twice");
                }
                Effect::SetPhase { connection, phase, .. } => {
                    if let Some(line) = self.lines.get_mut(&connection) {
                        line.phase = phase;
                    }
                }
                Effect::Dial { connection, address } => self.dialled.push((connection, address)),
                Effect::Ask { ticket, request } => self.asked.push((ticket, request)),
                Effect::Save(_) => {}
                Effect::Publish(event) => self.events.push(event),
                other => panic!("this network has no use for {other:?}"),
            }
        }
    }

    /// Someone connects from this address.
    pub(crate) fn accept(&mut self, remote: &str) -> ConnectionId {
        let connection = ConnectionId::nth(Direction::Inbound, self.accepted);
        self.accepted += 1;
        self.connected(connection, address(OWN), address(remote), None);
        connection
    }

    /// We dial this address, and someone is there.
    pub(crate) fn dial(&mut self, remote: &str) -> ConnectionId {
        self.act(P2pAction::Connect { address: address(remote) });
        assert_eq!(self.dialled.last().map(|(_, address)| *address), Some(address(remote)));
        self.arrives()
    }

    /// The last dial reaches someone.
    pub(crate) fn arrives(&mut self) -> ConnectionId {
        let (connection, dialled) = *self.dialled.last().expect("it is dialled");
        let local = Address::new(address(OWN).ip(), 40_000);
        self.connected(connection, local, dialled, Some(dialled));
        connection
    }

    /// A connection comes to stand.
    pub(crate) fn connected(
        &mut self,
        connection: ConnectionId,
        local: Address,
        remote: Address,
        dialled: Option<Address>,
    ) {
        let direction = connection.direction();
        self.lines.insert(connection, Line { phase: Phase(0), incoming: BytesMut::new(), unread: 0 });
        let ends = Ends { direction, local, remote, dialled, identity: None, takes_compressed: false };
        self.act(P2pAction::Connected { connection, ends });
    }

    /// The peer hangs up.
    pub(crate) fn hang_up(&mut self, connection: ConnectionId) {
        self.lines.remove(&connection);
        self.act(P2pAction::Disconnected { connection, cause: DisconnectCause::Theirs });
    }

    /// The peer sends bytes.
    pub(crate) fn types(&mut self, connection: ConnectionId, bytes: &[u8]) {
        if let Some(line) = self.lines.get_mut(&connection) {
            line.incoming.extend_from_slice(bytes);
        }
        while let Some(line) = self.lines.get_mut(&connection) {
            match Frames.next(line.phase, &mut line.incoming) {
                Framed::More => return,
                Framed::Frame(frame) => self.act(P2pAction::MessageReceived { connection, channel: CH, frame }),
                Framed::Bad(bad) => self.act(P2pAction::BadFrame { connection, channel: CH, bad }),
            }
        }
    }

    /// Lets time go by, with every wake that is due.
    pub(crate) fn wait(&mut self, time: Duration) {
        let end = self.now.after(time);
        while let Some(wake) = self.engine.next_wake().filter(|wake| *wake <= end.monotonic) {
            self.now = self.now.after(wake.since(self.now.monotonic));
            self.act(P2pAction::Wake);
            self.lively.clone().into_iter().for_each(|peer| self.answers_pings(peer));
        }
        self.now = end;
    }

    fn answers_pings(&mut self, connection: ConnectionId) {
        let (pings, rest): (Vec<_>, Vec<_>) =
            self.hears(connection).into_iter().partition(|it| it.kind == Kind::Ping && it.is_request);
        for ping in pings {
            self.types(connection, &frame::pack(Kind::Ping, false, ping.sequence, &ping.data));
        }
        let frames: Vec<Bytes> = rest.iter().map(|it| frame::frame_of(&it.payload)).collect();
        self.sent.entry(connection).or_default().splice(0..0, frames);
    }

    pub(crate) fn is_open(&self, connection: ConnectionId) -> bool {
        self.engine.state().peers.contains_key(&connection)
    }

    /// What the peer was sent since this was asked last.
    pub(crate) fn hears(&mut self, connection: ConnectionId) -> Vec<Said> {
        self.sent.remove(&connection).unwrap_or_default().iter().map(read).collect()
    }

    // Everyone leaves, and takes along what was theirs.
    pub(crate) fn ends(&mut self) {
        self.awakes();
        assert_eq!(self.engine.state().check(), Ok(()));
        for connection in self.lines.keys().copied().collect::<Vec<_>>() {
            self.hang_up(connection);
        }
        let left = self.engine.stock().into_iter().filter(|stock| stock.goes_with_peers && stock.count > 0);
        let left: Vec<_> = left.filter(|stock| !OF_THE_DIALER.contains(&stock.name)).collect();
        assert!(left.is_empty(), "{left:?}");
        assert_eq!(self.engine.state().check(), Ok(()));
    }
}

fn read(frame: &Bytes) -> Said {
    let payload = frame::payload(Frame::from(frame)).share();
    let envelope = Envelope::decode(&payload).expect("what we send can be read");
    assert_eq!(envelope.encode(), payload, "what we send is canonical");
    Said {
        kind: envelope.kind().expect("one of the kinds"),
        is_request: envelope.is_request,
        sequence: envelope.sequence,
        data: payload.slice_ref(envelope.data),
        payload: payload.clone(),
    }
}
