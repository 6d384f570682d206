//! Sets the stage: a real engine, a toy ledger, scripted peers, and a clock that stands until it is moved.
//!
//! A story is told twice and must have the same effects, byte for byte. After every step each stock is within its
//! limit; at the end everyone leaves, and nothing that belongs to peers stays.

use crate::make;
use crate::toy::Toy;
use bytes::{Bytes, BytesMut};
use polypeer_engine::{
    Address, ChannelId, Close, ConnectionId, Direction, DisconnectCause, Effect, Ends, Engine, Event, Frame, Framed,
    Framer as _, Ledger as _, Now, P2pAction, P2pConfig, Phase, Protocol as _, Record, Ticket, Time, To, journal,
};
use polypeer_kaspa::ledger::{Answer, Request, State};
use polypeer_kaspa::wire::{self, Envelope, Frames, Kind};
use polypeer_kaspa::{Config, Kaspa};
use std::collections::BTreeMap;
use std::time::Duration;

pub(crate) const CH: ChannelId = ChannelId::ONLY;
const OWN: &str = "10.0.0.1:16511";
/// Stocks that the engine keeps for its dialer, which goes on when everyone has left.
const OF_THE_DIALER: [&str; 3] = ["dials", "dialled addresses", "closing connections"];

/// How a stage begins.
#[derive(Clone, Debug)]
pub(crate) struct Setting {
    pub(crate) config: Config,
    pub(crate) p2p: P2pConfig,
    pub(crate) ledger: Toy,
    /// How long after the fixtures' last block it begins.
    pub(crate) later: Duration,
    /// The ledger says nothing until it is told to.
    pub(crate) is_asleep: bool,
}

/// A node that holds so many blocks of the fixtures, soon after they were made.
pub(crate) fn holding(count: usize) -> Setting {
    let p2p = P2pConfig {
        listen: Some(address(OWN)),
        private_addresses: true,
        inbound_per_ip_max: 100,
        ..P2pConfig::default()
    };
    let config = Config::new("kaspa-simnet", crate::dag::hash_of(make::genesis()), 16_511);
    let ledger = Toy::with(&make::dag()[..count]);
    Setting { config, p2p, ledger, later: Duration::from_secs(1), is_asleep: false }
}

/// Tells a story of a node that holds all blocks of the fixtures.
pub(crate) fn story(tell: impl Fn(&mut Stage)) {
    story_of(&holding(make::dag().len()), tell);
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

/// One connection as its other end sees it.
struct Line {
    framer: Frames,
    phase: Phase,
    incoming: BytesMut,
    unread: usize,
}

/// An engine, its ledger and what came of both.
pub(crate) struct Stage {
    pub(crate) engine: Engine<Kaspa>,
    pub(crate) ledger: Toy,
    pub(crate) now: Now,
    pub(crate) sent: BTreeMap<ConnectionId, Vec<Bytes>>,
    pub(crate) closed: BTreeMap<ConnectionId, Close>,
    pub(crate) dialled: Vec<(ConnectionId, Address)>,
    pub(crate) saved: Vec<Record>,
    pub(crate) events: Vec<Event>,
    pub(crate) asked: Vec<(Ticket, Request)>,
    pub(crate) is_asleep: bool,
    /// Whether peers read what they are sent.
    pub(crate) reads: bool,
    /// Whether those who come from now on take compressed frames.
    pub(crate) takes_compressed: bool,
    /// Those who answer Pings of their own accord.
    pub(crate) lively: Vec<ConnectionId>,
    /// The number of the next peer, by which its id is unlike others'.
    pub(crate) next_peer: u64,
    lines: BTreeMap<ConnectionId, Line>,
    closing: Vec<ConnectionId>,
    config: Config,
    pub(crate) digests: Vec<[u8; 8]>,
    accepted: u64,
}

impl Stage {
    pub(crate) fn new(setting: Setting) -> Self {
        let Setting { config, p2p, ledger, later, is_asleep } = setting;
        let unix_ms = make::last_made_ms();
        let now = Now { monotonic: Time::from_micros(1_000_000), unix_ms }.after(later);
        let mut effects = Vec::new();
        let engine = Engine::new(now, p2p, config.clone(), [1; 32], &[], &mut effects);
        let mut stage = Self {
            engine,
            ledger,
            now,
            sent: BTreeMap::new(),
            closed: BTreeMap::new(),
            dialled: Vec::new(),
            saved: Vec::new(),
            events: Vec::new(),
            asked: Vec::new(),
            is_asleep,
            reads: true,
            takes_compressed: false,
            lively: Vec::new(),
            next_peer: 1,
            lines: BTreeMap::new(),
            closing: Vec::new(),
            config,
            digests: Vec::new(),
            accepted: 0,
        };
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
        self.engine.step(self.now, action, &mut effects);
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
        let most = Kaspa::profile(&self.config).low_water_bytes;
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

    /// The ledger says where it stands, which is the answer to the first question of all.
    pub(crate) fn is_told(&mut self, state: State) {
        let (ticket, request) = self.asked.remove(0);
        assert_eq!(request, Request::State);
        self.act(P2pAction::LedgerAnswered { ticket: Some(ticket), answer: Answer::State(state) });
        self.awakes();
    }

    /// The ledger wakes and answers everything.
    pub(crate) fn awakes(&mut self) {
        self.is_asleep = false;
        self.settle();
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
                Effect::Save(record) => self.saved.push(record),
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
        let connection = self.arrives();
        assert_eq!(self.dialled.last(), Some(&(connection, address(remote))));
        connection
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
        let framer = Kaspa::framer(&self.config, 0, direction);
        let line = Line { framer, phase: Phase(0), incoming: BytesMut::new(), unread: 0 };
        self.lines.insert(connection, line);
        let ends = Ends { direction, local, remote, dialled, identity: None, takes_compressed: self.takes_compressed };
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
            match line.framer.next(line.phase, &mut line.incoming) {
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
        let (pings, rest): (Vec<_>, Vec<_>) = self.hears(connection).into_iter().partition(|it| it.kind == Kind::Ping);
        for ping in pings {
            self.types(connection, &wire::pack(Kind::Pong, &ping.body, 0, 0));
        }
        self.has_not_heard(connection, &rest);
    }

    pub(crate) fn is_open(&self, connection: ConnectionId) -> bool {
        self.engine.state().peers.contains_key(&connection)
    }

    /// What the peer was sent since this was asked last.
    pub(crate) fn hears(&mut self, connection: ConnectionId) -> Vec<Envelope> {
        let sent = self.sent.remove(&connection).unwrap_or_default();
        sent.iter().map(|frame| wire::unpack(Frame::from(frame)).expect("what we send can be read")).collect()
    }

    /// What the peer was sent, taken back.
    pub(crate) fn has_not_heard(&mut self, connection: ConnectionId, envelopes: &[Envelope]) {
        let frame = |it: &Envelope| wire::pack(it.kind, &it.body, it.request_id, it.response_id);
        let frames: Vec<Bytes> = envelopes.iter().map(frame).collect();
        self.sent.entry(connection).or_default().splice(0..0, frames);
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
