//! Sets the stage: a real engine, a toy ledger, scripted peers with keys and streams, and a clock that stands until it is
//! moved.
//!
//! A story is told twice and must have the same effects, byte for byte. After every step each stock is within its
//! limit; at the end everyone leaves, and nothing that belongs to peers stays.

use crate::make;
use crate::toy::Toy;
use bytes::{Bytes, BytesMut};
use polypeer_engine::shell::bans::Severity;
use polypeer_engine::{
    Address, Border, ChannelEnd, ChannelId, Close, ConnectionId, Direction, DisconnectCause, Effect, Ends, Engine,
    Event, Framed, Framer as _, Ledger as _, Now, P2pAction, P2pConfig, Phase, Reason, Ticket, Time, To, Told, journal,
};
use polypeer_mina::config::Constants;
use polypeer_mina::identify::Identify;
use polypeer_mina::ledger::{Answer, Request};
use polypeer_mina::mesh::frame;
use polypeer_mina::streams::{Frames, IDENTIFY, KAD, MESH, PING, RPC};
use polypeer_mina::{Config, Mina, Peer};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

pub(crate) const OWN: &str = "10.0.0.1:8302";
/// Our own key's number.
pub(crate) const OURS: u8 = 1;
/// What an ordinary peer speaks; questions are left to stories about them.
pub(crate) const ORDINARY: [u16; 4] = [IDENTIFY, PING, KAD, MESH];
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

/// A node of the fixtures' network, on which what nobody verified is sent on.
pub(crate) fn setting() -> Setting {
    let p2p = P2pConfig {
        listen: Some(address(OWN)),
        private_addresses: true,
        inbound_per_ip_max: 100,
        outbound_target: 0,
        ..P2pConfig::default()
    };
    let config = Config::new(make::peer_id(OURS), make::CHAIN, make::genesis(), Constants::DEVNET).without_proofs();
    Setting { config, p2p, ledger: Toy::default(), is_asleep: false }
}

/// Tells a story.
pub(crate) fn story(tell: impl Fn(&mut Stage)) {
    story_of(&setting(), tell);
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

/// One stream as its other end sees it.
struct Stream {
    kind: u16,
    framer: Frames,
    phase: Phase,
    incoming: BytesMut,
}

/// One connection as its other end sees it.
#[derive(Default)]
struct Line {
    speaks: Vec<u16>,
    /// The number of its key, when it plays along: answers identify and echoes pings.
    plays: Option<u8>,
    streams: BTreeMap<ChannelId, Stream>,
    opened: u32,
}

/// An engine, its ledger and what came of both.
pub(crate) struct Stage {
    pub(crate) engine: Engine<Mina>,
    pub(crate) ledger: Toy,
    pub(crate) now: Now,
    pub(crate) sent: BTreeMap<(ConnectionId, ChannelId), Vec<Bytes>>,
    pub(crate) finished: BTreeSet<(ConnectionId, ChannelId)>,
    pub(crate) reset: BTreeSet<(ConnectionId, ChannelId)>,
    pub(crate) opened: Vec<(ConnectionId, ChannelId, u16)>,
    pub(crate) closed: BTreeMap<ConnectionId, Close>,
    pub(crate) dialled: Vec<(ConnectionId, Address)>,
    pub(crate) events: Vec<Event>,
    pub(crate) asked: Vec<(Ticket, Request)>,
    /// All that the ledger was ever asked.
    pub(crate) all_asked: Vec<Request>,
    pub(crate) is_asleep: bool,
    lines: BTreeMap<ConnectionId, Line>,
    pending: Vec<P2pAction<Answer>>,
    border: Border,
    pub(crate) digests: Vec<[u8; 8]>,
    accepted: u64,
}

impl Stage {
    pub(crate) fn new(setting: Setting) -> Self {
        let Setting { config, p2p, ledger, is_asleep } = setting;
        let now = Now { monotonic: Time::from_micros(1_000_000), unix_ms: make::CLOCK_MS };
        let mut effects = Vec::new();
        let engine = Engine::new(now, p2p, config, [1; 32], &[], &mut effects);
        let mut stage = Self {
            engine,
            ledger,
            now,
            sent: BTreeMap::new(),
            finished: BTreeSet::new(),
            reset: BTreeSet::new(),
            opened: Vec::new(),
            closed: BTreeMap::new(),
            dialled: Vec::new(),
            events: Vec::new(),
            asked: Vec::new(),
            all_asked: Vec::new(),
            is_asleep,
            lines: BTreeMap::new(),
            pending: Vec::new(),
            border: Border::default(),
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
        self.border.told(Told::from(&action));
        self.engine.step(self.now, action, &mut effects);
        self.border.judge(&effects).expect("the border's rules");
        self.digests.push(journal::digest(&effects));
        self.carry_out(effects);
        for stock in self.engine.stock() {
            assert!(stock.count <= stock.max, "{}: {} of {}", stock.name, stock.count, stock.max);
        }
        let mina = self.engine.protocol();
        assert!(mina.mesh().is_sound());
        mina.kad().check();
    }

    fn settle(&mut self) {
        loop {
            while !self.pending.is_empty() {
                let action = self.pending.remove(0);
                self.step(action);
            }
            if self.is_asleep || self.asked.is_empty() {
                return;
            }
            self.answer();
        }
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
                Effect::Send { connection, channel, frame, .. } => self.on_send(connection, channel, frame),
                Effect::Close { connection, how } => {
                    self.lines.remove(&connection);
                    self.pending.push(P2pAction::Disconnected { connection, cause: DisconnectCause::Ours });
                    assert_eq!(self.closed.insert(connection, how), None, "closed twice");
                }
                Effect::SetPhase { connection, channel, phase } => {
                    if let Some(stream) = self.stream(connection, channel) {
                        stream.phase = phase;
                    }
                }
                Effect::Open { connection, channel, kind } => self.on_open(connection, channel, kind),
                Effect::Finish { connection, channel } => assert!(self.finished.insert((connection, channel))),
                Effect::Reset { connection, channel } => {
                    self.reset.insert((connection, channel));
                    if let Some(line) = self.lines.get_mut(&connection) {
                        line.streams.remove(&channel);
                    }
                }
                Effect::Dial { connection, address } => self.dialled.push((connection, address)),
                Effect::Ask { ticket, request } => {
                    self.all_asked.push(request.clone());
                    self.asked.push((ticket, request));
                }
                Effect::Save(_) | Effect::Resolve { .. } => {}
                Effect::Publish(event) => self.events.push(event),
            }
        }
    }

    fn stream(&mut self, connection: ConnectionId, channel: ChannelId) -> Option<&mut Stream> {
        self.lines.get_mut(&connection)?.streams.get_mut(&channel)
    }

    fn on_send(&mut self, connection: ConnectionId, channel: ChannelId, frame: Bytes) {
        assert!(!self.finished.contains(&(connection, channel)), "nothing is sent behind the end of a stream");
        let line = self.lines.get(&connection).expect("nothing is sent after the end");
        let (kind, plays) = (line.streams.get(&channel).map(|stream| stream.kind), line.plays.is_some());
        if kind == Some(PING) && channel.opener() == Direction::Outbound && plays {
            self.pending.push(P2pAction::MessageReceived { connection, channel, frame });
            return;
        }
        self.sent.entry((connection, channel)).or_default().push(frame);
    }

    fn on_open(&mut self, connection: ConnectionId, channel: ChannelId, kind: u16) {
        self.opened.push((connection, channel, kind));
        let Some(line) = self.lines.get_mut(&connection) else { return };
        if !line.speaks.contains(&kind) {
            self.pending.push(P2pAction::ChannelClosed { connection, channel, end: ChannelEnd::Refused });
            return;
        }
        line.put(channel, kind, Direction::Outbound);
        self.pending.push(P2pAction::ChannelOpened { connection, channel, kind, opener: Direction::Outbound });
        if let (IDENTIFY, Some(number)) = (kind, line.plays) {
            let frame = make::identify(number, &make::names(&line.speaks), &[]);
            self.pending.push(P2pAction::MessageReceived { connection, channel, frame });
            self.pending.push(P2pAction::ChannelClosed { connection, channel, end: ChannelEnd::Finished });
        }
    }

    /// Someone connects from this address, and proves this key. It speaks these, and says nothing of its own accord.
    pub(crate) fn accepts(&mut self, remote: &str, key: u8, speaks: &[u16]) -> ConnectionId {
        let connection = ConnectionId::nth(Direction::Inbound, self.accepted);
        self.accepted += 1;
        self.lines.insert(connection, Line { speaks: speaks.to_vec(), ..Line::default() });
        self.connected(connection, address(OWN), address(remote), Some(key));
        connection
    }

    /// Someone connects and plays along: it is ready at once.
    pub(crate) fn guest(&mut self, remote: &str, key: u8) -> ConnectionId {
        self.guest_that(remote, key, &ORDINARY)
    }

    /// The same with what it speaks.
    pub(crate) fn guest_that(&mut self, remote: &str, key: u8, speaks: &[u16]) -> ConnectionId {
        let connection = ConnectionId::nth(Direction::Inbound, self.accepted);
        self.accepted += 1;
        self.lines.insert(connection, Line { speaks: speaks.to_vec(), plays: Some(key), ..Line::default() });
        self.connected(connection, address(OWN), address(remote), Some(key));
        assert!(self.is_ready(connection) || !self.is_open(connection));
        connection
    }

    /// A guest that subscribed to the topic, with the stream that it gossips on.
    pub(crate) fn gossip(&mut self, remote: &str, key: u8) -> (ConnectionId, ChannelId) {
        let connection = self.guest(remote, key);
        let channel = self.opens(connection, MESH);
        self.says(connection, channel, &make::vector("subscribe_frame"));
        (connection, channel)
    }

    /// The last dial reaches someone with this key who plays along.
    pub(crate) fn arrives(&mut self, key: u8, speaks: &[u16]) -> ConnectionId {
        let (connection, dialled) = *self.dialled.last().expect("it is dialled");
        self.lines.insert(connection, Line { speaks: speaks.to_vec(), plays: Some(key), ..Line::default() });
        self.connected(connection, Address::new(address(OWN).ip(), 40_000), dialled, Some(key));
        connection
    }

    /// We dial this address, and someone with this key is there.
    pub(crate) fn dial(&mut self, remote: &str, key: u8) -> ConnectionId {
        self.dial_that(remote, key, &ORDINARY)
    }

    /// The same with what it speaks.
    pub(crate) fn dial_that(&mut self, remote: &str, key: u8, speaks: &[u16]) -> ConnectionId {
        self.act(P2pAction::Connect { address: address(remote) });
        assert_eq!(self.dialled.last().map(|(_, address)| *address), Some(address(remote)));
        self.arrives(key, speaks)
    }

    /// A connection comes to stand.
    pub(crate) fn connected(&mut self, connection: ConnectionId, local: Address, remote: Address, key: Option<u8>) {
        self.lines.entry(connection).or_default();
        let identity = key.map(|key| Bytes::copy_from_slice(&make::peer_id(key).to_bytes()));
        let direction = connection.direction();
        let ends = Ends { direction, local, remote, dialled: None, identity, takes_compressed: false };
        self.act(P2pAction::Connected { connection, ends });
    }

    /// The peer hangs up.
    pub(crate) fn hang_up(&mut self, connection: ConnectionId) {
        self.lines.remove(&connection);
        self.act(P2pAction::Disconnected { connection, cause: DisconnectCause::Theirs });
    }

    /// The peer opens a stream of this kind.
    pub(crate) fn opens(&mut self, connection: ConnectionId, kind: u16) -> ChannelId {
        let Some(line) = self.lines.get_mut(&connection) else { return ChannelId::ONLY };
        line.opened += 1;
        let channel = ChannelId::nth(Direction::Inbound, line.opened).expect("few streams");
        line.put(channel, kind, Direction::Inbound);
        self.act(P2pAction::ChannelOpened { connection, channel, kind, opener: Direction::Inbound });
        channel
    }

    /// The peer writes bytes on a stream.
    pub(crate) fn says(&mut self, connection: ConnectionId, channel: ChannelId, bytes: &[u8]) {
        if let Some(stream) = self.stream(connection, channel) {
            stream.incoming.extend_from_slice(bytes);
        }
        while let Some(stream) = self.stream(connection, channel) {
            match stream.framer.next(stream.phase, &mut stream.incoming) {
                Framed::More => return,
                Framed::Frame(frame) => self.act(P2pAction::MessageReceived { connection, channel, frame }),
                Framed::Bad(bad) => {
                    self.act(P2pAction::BadFrame { connection, channel, bad });
                    assert!(self.reset.contains(&(connection, channel)) || !self.is_open(connection));
                }
            }
        }
    }

    /// The peer ends a stream in this way.
    pub(crate) fn stream_ends(&mut self, connection: ConnectionId, channel: ChannelId, end: ChannelEnd) {
        self.act(P2pAction::ChannelClosed { connection, channel, end });
    }

    /// Lets time go by, with every wake that is due.
    pub(crate) fn wait(&mut self, time: Duration) {
        let end = self.now.after(time);
        while let Some(wake) = self.engine.next_wake().filter(|wake| *wake <= end.monotonic) {
            self.now = self.now.after(wake.since(self.now.monotonic));
            self.act(P2pAction::Wake);
        }
        self.now = end;
    }

    pub(crate) fn is_open(&self, connection: ConnectionId) -> bool {
        self.engine.state().peers.contains_key(&connection)
    }

    pub(crate) fn peer(&self, connection: ConnectionId) -> Option<&Peer> {
        self.engine.state().peers.get(&connection)?.peer.as_ref()
    }

    pub(crate) fn is_ready(&self, connection: ConnectionId) -> bool {
        self.peer(connection).is_some_and(|peer| peer.ready().is_some())
    }

    /// What was written on a stream since this was asked last.
    pub(crate) fn hears_on(&mut self, connection: ConnectionId, channel: ChannelId) -> Vec<Bytes> {
        self.sent.remove(&(connection, channel)).unwrap_or_default()
    }

    /// What was written on our streams of this kind.
    pub(crate) fn hears(&mut self, connection: ConnectionId, kind: u16) -> Vec<Bytes> {
        let ours = self.opened.iter().filter(|(to, _, opened)| *to == connection && *opened == kind);
        let ours: Vec<_> = ours.map(|(_, channel, _)| *channel).collect();
        ours.into_iter().flat_map(|channel| self.hears_on(connection, channel)).collect()
    }

    /// The payloads that were gossiped to a peer.
    pub(crate) fn is_told(&mut self, connection: ConnectionId) -> Vec<Bytes> {
        let frames = self.hears(connection, MESH);
        let payloads = frames.iter().flat_map(|frame| {
            let rpc = frame::Rpc::decode(frame).expect("what we send can be read");
            rpc.messages().map(|message| Bytes::copy_from_slice(message.data.expect("data"))).collect::<Vec<_>>()
        });
        payloads.collect()
    }

    /// What a peer is told of us.
    pub(crate) fn identity(&mut self, connection: ConnectionId) -> Bytes {
        let channel = self.opens(connection, IDENTIFY);
        let frames = self.hears_on(connection, channel);
        assert!(self.finished.contains(&(connection, channel)), "our half is closed behind it");
        let [frame] = frames.try_into().expect("one message");
        frame
    }

    /// The faults of a connection so far, in order: slips and what it was convicted of.
    pub(crate) fn faults(&self, connection: ConnectionId) -> Vec<String> {
        let of_it = self.engine.state().reasons.all().filter(|record| record.connection == Some(connection));
        let fault = |reason: &Reason| match reason {
            Reason::Slip(fault) | Reason::Convicted(fault) => Some(fault.clone()),
            _ => None,
        };
        let faults = of_it.filter_map(|record| Some(vec![fault(&record.reason)?; record.times as usize]));
        let mut faults: Vec<_> = faults.flatten().collect();
        faults.reverse();
        faults
    }

    /// How this address is looked at.
    pub(crate) fn severity(&self, remote: &str) -> Option<Severity> {
        self.engine.state().bans.get(self.now, address(remote).ip()).map(|ban| ban.severity)
    }

    // Everyone leaves, and takes along what was theirs.
    fn ends(&mut self) {
        self.awakes();
        assert_eq!(self.engine.state().check(), Ok(()));
        for connection in self.lines.keys().copied().collect::<Vec<_>>() {
            self.hang_up(connection);
        }
        // What is held or can be asked for goes in its own time.
        self.wait(seconds(60));
        let left = self.engine.stock().into_iter().filter(|stock| stock.goes_with_peers && stock.count > 0);
        let left: Vec<_> = left.filter(|stock| !OF_THE_DIALER.contains(&stock.name)).collect();
        assert!(left.is_empty(), "{left:?}");
        assert_eq!(self.engine.state().check(), Ok(()));
    }
}

impl Line {
    fn put(&mut self, channel: ChannelId, kind: u16, opener: Direction) {
        let framer = Frames::of(kind, opener);
        let phase = Phase(0);
        self.streams.insert(channel, Stream { kind, framer, phase, incoming: BytesMut::new() });
    }
}

/// What an identify frame says.
pub(crate) fn read_identify(frame: &Bytes) -> (usize, Vec<String>) {
    let (length, head) = polypeer_engine::kit::protobuf::varint(frame).expect("a length");
    assert_eq!(length as usize, frame.len() - head);
    let read = Identify::decode(&frame[head..]).expect("an identify message");
    (frame.len(), read.protocols.iter().map(|protocol| (*protocol).to_owned()).collect())
}

/// Whether questions were asked of a peer.
pub(crate) fn has_questions(stage: &Stage, connection: ConnectionId) -> bool {
    stage.opened.iter().any(|(to, _, kind)| *to == connection && *kind == RPC)
}
