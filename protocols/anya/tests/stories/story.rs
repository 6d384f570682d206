//! Tells stories: a real engine, scripted peers, a small ledger, and a clock that stands until it is moved.
//!
//! A story runs twice and must have the same effects, byte for byte.

use crate::ledger::{self, Format, Ledger};
use bytes::{Bytes, BytesMut};
use polypeer_anya::wire::{self, Framer, Kind, Name};
use polypeer_anya::{Anya, Config};
use polypeer_engine::kit::chain::{Answer, Request};
use polypeer_engine::{
    Address, ChannelId, Close, ConnectionId, Direction, DisconnectCause, Effect, Ends, Engine, Framed, Framer as _,
    Now, P2pAction, P2pConfig, PeerAbout, Phase, Protocol as _, Ticket, Time,
};
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

pub(crate) type Node = Engine<Anya<Format>>;

/// One connection as its other end sees it.
pub(crate) struct Line {
    framer: Framer,
    phase: Phase,
    incoming: BytesMut,
    /// What the node sent and the script did not look at yet.
    pub(crate) sent: VecDeque<Bytes>,
    pub(crate) closed: Option<Close>,
    // Bytes sent since the last `Writable`, when the peer reads.
    unread: usize,
}

/// One node and those who talk to it.
pub(crate) struct Story {
    pub(crate) engine: Node,
    pub(crate) ledger: Ledger,
    /// Answers at once; else `answer` is called.
    pub(crate) is_prompt: bool,
    pub(crate) asked: Vec<(Ticket, Request)>,
    pub(crate) lines: BTreeMap<ConnectionId, Line>,
    pub(crate) dialled: Vec<(ConnectionId, Address)>,
    /// Whether peers read what is sent to them.
    pub(crate) reads: bool,
    config: Config,
    now: Now,
    pub(crate) accepted: u64,
    /// Every effect, as text.
    pub(crate) log: Vec<String>,
}

pub(crate) fn address(text: &str) -> Address {
    text.parse().unwrap()
}

pub(crate) fn p2p() -> P2pConfig {
    P2pConfig {
        listen: Some(address("10.0.0.1:7333")),
        private_addresses: true,
        outbound_target: 4,
        inbound_per_ip_max: 100,
        ..P2pConfig::default()
    }
}

pub(crate) fn config() -> Config {
    Config { genesis: ledger::hash(&ledger::genesis()), ..Config::default() }
}

/// Runs a story twice and compares.
pub(crate) fn story(tell: impl Fn(&mut Story)) {
    story_with(config(), p2p(), tell);
}

pub(crate) fn story_with(config: Config, p2p: P2pConfig, tell: impl Fn(&mut Story)) {
    let once = || {
        let mut story = Story::new(config.clone(), p2p.clone(), Ledger::new());
        tell(&mut story);
        story.log
    };
    compare(&once(), &once());
}

pub(crate) fn compare(first: &[String], second: &[String]) {
    for (at, (a, b)) in first.iter().zip(second).enumerate() {
        assert_eq!(a, b, "effect {at} differs between two runs");
    }
    assert_eq!(first.len(), second.len());
}

impl Story {
    pub(crate) fn with(ledger: Ledger) -> Self {
        Self::new(config(), p2p(), ledger)
    }

    pub(crate) fn new(config: Config, p2p: P2pConfig, ledger: Ledger) -> Self {
        let mut story = Self::quiet(config, p2p, ledger);
        story.is_prompt = true;
        story.settle();
        story
    }

    /// A node whose ledger did not say anything yet.
    pub(crate) fn silent(config: Config, p2p: P2pConfig) -> Self {
        Self::quiet(config, p2p, Ledger::new())
    }

    fn quiet(config: Config, p2p: P2pConfig, ledger: Ledger) -> Self {
        let now = Now { monotonic: Time::from_micros(1_000_000), unix_ms: 1_800_000_000_000 };
        let mut effects = Vec::new();
        let engine = Engine::new(now, p2p, config.clone(), [7; 32], &[], &mut effects);
        let mut story = Self {
            engine,
            ledger,
            is_prompt: false,
            asked: Vec::new(),
            lines: BTreeMap::new(),
            dialled: Vec::new(),
            reads: true,
            config,
            now,
            accepted: 0,
            log: Vec::new(),
        };
        story.apply(effects);
        story
    }

    pub(crate) fn now(&self) -> Time {
        self.now.monotonic
    }

    pub(crate) fn both_clocks(&self) -> Now {
        self.now
    }

    /// What the API shows of a peer.
    pub(crate) fn about(&self, connection: ConnectionId) -> PeerAbout {
        let peer = self.engine.state().peers[&connection].peer.as_ref();
        self.engine.protocol().describe(peer.expect("no handler runs"))
    }

    /// One action, its effects, and what the ledger says to them.
    pub(crate) fn act(&mut self, action: P2pAction<Answer>) {
        self.step(action);
        self.settle();
    }

    fn step(&mut self, action: P2pAction<Answer>) {
        let mut effects = Vec::new();
        self.engine.step(self.now, action, &mut effects);
        self.apply(effects);
    }

    fn settle(&mut self) {
        loop {
            if self.reads {
                self.drain_lines();
            }
            if !self.is_prompt || self.asked.is_empty() {
                return;
            }
            self.answer();
        }
    }

    /// The ledger answers what was asked.
    pub(crate) fn answer(&mut self) {
        let batch = std::mem::take(&mut self.asked);
        for (ticket, answer) in self.ledger.answer(batch) {
            self.step(P2pAction::LedgerAnswered { ticket, answer });
        }
        if self.reads {
            self.drain_lines();
        }
    }

    /// The ledger speaks of its own accord.
    pub(crate) fn ledger_says(&mut self, answer: Answer) {
        self.act(P2pAction::LedgerAnswered { ticket: None, answer });
    }

    fn drain_lines(&mut self) {
        let low_water = Anya::<Format>::profile(&self.config).low_water_bytes;
        let full: Vec<_> = self.lines.iter().filter(|(_, line)| line.unread >= low_water).map(|(id, _)| *id).collect();
        for connection in full {
            self.lines.get_mut(&connection).unwrap().unread = 0;
            self.step(P2pAction::Writable { connection, channel: ChannelId::ONLY });
        }
    }

    fn apply(&mut self, effects: Vec<Effect<Request>>) {
        for effect in effects {
            self.log.push(text(&effect));
            match effect {
                Effect::Dial { connection, address } => self.dialled.push((connection, address)),
                Effect::Send { connection, frame, .. } => {
                    let line = self.lines.get_mut(&connection).expect("sent on a connection that never was");
                    assert!(line.closed.is_none(), "sent after the end: {frame:?}");
                    line.unread += frame.len();
                    line.sent.push_back(frame);
                }
                Effect::SetPhase { connection, phase, .. } => {
                    self.lines.get_mut(&connection).unwrap().phase = phase;
                }
                Effect::Close { connection, how } => {
                    let line = self.lines.get_mut(&connection).unwrap();
                    assert!(line.closed.is_none(), "closed twice");
                    line.closed = Some(how);
                }
                Effect::Ask { ticket, request } => self.asked.push((ticket, request)),
                _ => {}
            }
        }
    }

    pub(crate) fn add_line(&mut self, connection: ConnectionId, ends: Ends) {
        let framer = Anya::<Format>::framer(&self.config, 0, ends.direction);
        let line =
            Line { framer, phase: Phase(0), incoming: BytesMut::new(), sent: VecDeque::new(), closed: None, unread: 0 };
        self.lines.insert(connection, line);
        self.act(P2pAction::Connected { connection, ends });
    }

    /// Someone connects from this address.
    pub(crate) fn accept(&mut self, remote: &str) -> ConnectionId {
        let connection = ConnectionId::nth(Direction::Inbound, self.accepted);
        self.accepted += 1;
        let (local, remote) = (address("10.0.0.1:7333"), address(remote));
        self.add_line(
            connection,
            Ends {
                direction: Direction::Inbound,
                local,
                remote,
                dialled: None,
                identity: None,
                takes_compressed: false,
            },
        );
        connection
    }

    /// The node dials an address because the operator wants it, and the connection comes to stand.
    pub(crate) fn dial(&mut self, remote: &str) -> ConnectionId {
        let before = self.dialled.len();
        self.act(P2pAction::Connect { address: address(remote) });
        assert_eq!(self.dialled.len(), before + 1, "did not dial");
        self.dial_stands()
    }

    /// The last dial comes to stand.
    pub(crate) fn dial_stands(&mut self) -> ConnectionId {
        let (connection, remote) = *self.dialled.last().unwrap();
        self.stands(connection, remote)
    }

    /// A dial comes to stand.
    pub(crate) fn stands(&mut self, connection: ConnectionId, remote: Address) -> ConnectionId {
        let local = Address::new(address("10.0.0.1:1").ip(), 40_000 + connection.as_u64() as u16);
        let ends = Ends {
            direction: Direction::Outbound,
            local,
            remote,
            dialled: Some(remote),
            identity: None,
            takes_compressed: false,
        };
        self.add_line(connection, ends);
        connection
    }

    /// Bytes come from a peer, in one piece.
    pub(crate) fn bytes(&mut self, connection: ConnectionId, bytes: &[u8]) {
        let Some(line) = self.lines.get_mut(&connection).filter(|line| line.closed.is_none()) else { return };
        line.incoming.extend_from_slice(bytes);
        loop {
            let Some(line) = self.lines.get_mut(&connection).filter(|line| line.closed.is_none()) else { return };
            let phase = line.phase;
            let channel = ChannelId::ONLY;
            match line.framer.next(phase, &mut line.incoming) {
                Framed::More => break,
                Framed::Frame(frame) => self.act(P2pAction::MessageReceived { connection, channel, frame }),
                Framed::Bad(bad) => self.act(P2pAction::BadFrame { connection, channel, bad }),
            }
        }
    }

    /// A message comes from a peer.
    pub(crate) fn says(&mut self, connection: ConnectionId, kind: Kind, payload: &[u8]) {
        self.bytes(connection, &wire::frame(kind, payload));
    }

    /// What the node said next, which must be this type; its payload.
    pub(crate) fn hears(&mut self, connection: ConnectionId, kind: Kind) -> Bytes {
        let frame = self.lines.get_mut(&connection).unwrap().sent.pop_front();
        let frame = frame.unwrap_or_else(|| panic!("expected {}, heard nothing", kind.text()));
        let name = wire::name_in(&frame);
        assert_eq!(Kind::of(&name), Some(kind), "heard {}", String::from_utf8_lossy(&name));
        frame.slice(wire::HEADER_BYTES..)
    }

    /// The node said this error next.
    pub(crate) fn hears_error(&mut self, connection: ConnectionId, offending: Name, code: Name) {
        let payload = self.hears(connection, Kind::Error);
        let text = |name: &[u8]| String::from_utf8_lossy(name).trim_end_matches('\0').to_owned();
        assert_eq!((text(&payload[..32]), text(&payload[32..])), (text(&offending), text(&code)));
    }

    pub(crate) fn hears_nothing(&mut self, connection: ConnectionId) {
        let sent = &self.lines[&connection].sent;
        let names: Vec<_> = sent.iter().map(|f| String::from_utf8_lossy(&wire::name_in(f)).into_owned()).collect();
        assert!(names.is_empty(), "heard {names:?}");
    }

    pub(crate) fn all_hear_nothing(&mut self, connections: &[ConnectionId]) {
        for connection in connections {
            self.hears_nothing(*connection);
        }
    }

    pub(crate) fn is_open(&self, connection: ConnectionId) -> bool {
        self.lines[&connection].closed.is_none()
    }

    /// Closed without a word.
    pub(crate) fn is_cut(&mut self, connection: ConnectionId) {
        self.hears_nothing(connection);
        assert_eq!(self.lines[&connection].closed, Some(Close::Now));
    }

    /// Closed after this error.
    pub(crate) fn is_refused(&mut self, connection: ConnectionId, offending: Name, code: Name) {
        self.hears_error(connection, offending, code);
        self.hears_nothing(connection);
        assert_eq!(self.lines[&connection].closed, Some(Close::Lingering));
    }

    /// Throws away what the node said so far.
    pub(crate) fn skip(&mut self, connection: ConnectionId) {
        self.lines.get_mut(&connection).unwrap().sent.clear();
    }

    /// Moves the clock, waking the engine whenever it wants.
    pub(crate) fn wait(&mut self, wait: Duration) {
        let end = self.now.monotonic + wait;
        while let Some(wake) = self.engine.next_wake().filter(|wake| *wake <= end) {
            self.now = self.now.after(wake.since(self.now.monotonic));
            self.act(P2pAction::Wake);
        }
        self.now = self.now.after(end.since(self.now.monotonic));
    }

    /// The connection is gone.
    pub(crate) fn gone(&mut self, connection: ConnectionId) {
        self.act(P2pAction::Disconnected { connection, cause: DisconnectCause::Theirs });
    }

    /// Up to `connection_accepted`, from outside.
    pub(crate) fn greeted(&mut self, remote: &str) -> ConnectionId {
        let connection = self.accept(remote);
        let own = Address::new(address(remote).ip(), 9);
        self.says(connection, Kind::Connect, &wire::address(own));
        self.hears(connection, Kind::ConnectionAccepted);
        self.hears(connection, Kind::GetBlockchainInfo);
        connection
    }

    /// A ready peer whose chain is these blocks on genesis.
    pub(crate) fn ready(&mut self, remote: &str, blocks: &[Bytes]) -> ConnectionId {
        let connection = self.greeted(remote);
        self.bytes(connection, &info(blocks));
        connection
    }

    /// A ready peer whose chain is these blocks on genesis, which the node holds, and whose empty mempool was read.
    pub(crate) fn friend_of(&mut self, remote: &str, blocks: &[Bytes]) -> ConnectionId {
        let connection = self.ready(remote, blocks);
        self.hears(connection, Kind::GetMempool);
        self.says(connection, Kind::Mempool, &[0; 4]);
        self.hears_nothing(connection);
        connection
    }

    /// A ready peer with nothing but genesis, whose empty mempool was read.
    pub(crate) fn friend(&mut self, remote: &str) -> ConnectionId {
        self.friend_of(remote, &[])
    }
}

// An effect as text, by its digest when it is long.
fn text(effect: &Effect<Request>) -> String {
    let bytes = postcard::to_allocvec(effect).unwrap();
    if bytes.len() < 4_096 { format!("{effect:?}") } else { blake3::hash(&bytes).to_string() }
}

/// The `blockchain_info` of a chain of these blocks on genesis.
pub(crate) fn info(blocks: &[Bytes]) -> Bytes {
    let chain: Vec<_> = std::iter::once(ledger::genesis()).chain(blocks.iter().cloned()).collect();
    let heights = wire::waypoint_heights(blocks.len() as u64);
    let waypoints: Vec<_> = heights.into_iter().map(|height| (height, ledger::hash(&chain[height as usize]))).collect();
    let tip = polypeer_engine::kit::chain::Tip {
        hash: waypoints.last().unwrap().1,
        height: blocks.len() as u64,
        work: blocks.len() as u128 + 1,
        genesis: waypoints[0].1,
    };
    wire::info(&config().network_id, &tip, &waypoints)
}
