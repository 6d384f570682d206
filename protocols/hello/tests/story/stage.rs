//! Sets the stage: a real engine, a ledger that answers at once, and hands that play the peers.

use crate::toy::{Toy, genesis, hash_of};
use bytes::{Bytes, BytesMut};
use polypeer_engine::kit::chain::{Answer, Hash, Request};
use polypeer_engine::{
    Address, ChannelId, Close, ConnectionId, Direction, DisconnectCause, Effect, Ends, Engine, Framed, Framer, Ledger,
    Now, P2pAction, P2pConfig, Phase, Protocol, Record, Ticket, Time, To, journal,
};
use polypeer_hello::{Config, Hello};
use serde::Serialize;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fmt::Debug;
use std::time::Duration;

pub(crate) const CH: ChannelId = ChannelId::ONLY;
pub(crate) const START_UNIX_MS: u64 = 1_767_225_700_000;

/// Tells a story twice and sees to it that every effect is the same.
pub(crate) fn story(tell: impl Fn(&mut Stage)) {
    story_of(|| Stage::new(config(), p2p(), Toy::new(), 1), tell);
}

/// The same with a stage of one's own.
pub(crate) fn story_of<P: Protocol, L>(stage: impl Fn() -> Set<P, L>, tell: impl Fn(&mut Set<P, L>)) {
    let mut first = stage();
    tell(&mut first);
    let mut second = stage();
    tell(&mut second);
    assert_eq!(first.digests, second.digests, "the same actions must have the same effects");
    assert!(!first.digests.is_empty());
}

pub(crate) fn config() -> Config {
    Config::new(hash_of(&genesis()))
}

pub(crate) fn p2p() -> P2pConfig {
    P2pConfig { listen: Some(address("127.0.0.1:7444")), private_addresses: true, ..P2pConfig::default() }
}

pub(crate) fn address(text: &str) -> Address {
    text.parse().expect("an address")
}

pub(crate) fn hex(bytes: impl AsRef<[u8]>) -> String {
    bytes.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A node on its stage.
pub(crate) type Stage = Set<Hello<Toy>, Toy>;

/// An engine, its ledger and what came of both.
pub(crate) struct Set<P: Protocol, L> {
    pub(crate) engine: Engine<P>,
    pub(crate) ledger: L,
    pub(crate) now: Now,
    pub(crate) sent: BTreeMap<ConnectionId, Vec<Value>>,
    pub(crate) closed: BTreeMap<ConnectionId, Close>,
    pub(crate) dialled: Vec<(ConnectionId, Address)>,
    pub(crate) saved: Vec<Record>,
    pub(crate) events: Vec<polypeer_engine::Event>,
    /// Questions wait here while the ledger is asleep.
    pub(crate) asked: Vec<(Ticket, P::Request)>,
    pub(crate) is_asleep: bool,
    /// Whether the host reports at once that everything was sent.
    pub(crate) reads: bool,
    framers: BTreeMap<ConnectionId, (P::Framer, Phase, BytesMut)>,
    config: P::Config,
    digests: Vec<[u8; 8]>,
    next: u64,
}

impl<P, L> Set<P, L>
where
    P: Protocol<Request: Serialize + Debug>,
    L: Ledger<Request = P::Request, Answer = P::Answer>,
{
    pub(crate) fn new(config: P::Config, p2p: P2pConfig, ledger: L, seed: u8) -> Self {
        Self::restarted(config, p2p, ledger, seed, &[])
    }

    /// A ledger that says nothing yet.
    pub(crate) fn asleep_with(config: P::Config, p2p: P2pConfig, ledger: L, seed: u8) -> Self {
        Self::begun(config, p2p, ledger, seed, &[], true)
    }

    pub(crate) fn restarted(config: P::Config, p2p: P2pConfig, ledger: L, seed: u8, records: &[Record]) -> Self {
        Self::begun(config, p2p, ledger, seed, records, false)
    }

    fn begun(config: P::Config, p2p: P2pConfig, ledger: L, seed: u8, records: &[Record], is_asleep: bool) -> Self {
        let now = Now { monotonic: Time::from_micros(1_000_000), unix_ms: START_UNIX_MS };
        let mut effects = Vec::new();
        let engine = Engine::new(now, p2p, config.clone(), [seed; 32], records, &mut effects);
        let mut set = Self {
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
            framers: BTreeMap::new(),
            config,
            digests: Vec::new(),
            next: 0,
        };
        set.carry_out(effects);
        set.settle();
        set
    }

    /// One action, and all that follows from it at once.
    pub(crate) fn act(&mut self, action: P2pAction<P::Answer>) {
        self.step(action);
        self.settle();
    }

    fn step(&mut self, action: P2pAction<P::Answer>) {
        let mut effects = Vec::new();
        self.engine.step(self.now, action, &mut effects);
        self.digests.push(journal::digest(&effects));
        self.carry_out(effects);
    }

    fn settle(&mut self) {
        while !self.is_asleep && !self.asked.is_empty() {
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

    fn carry_out(&mut self, effects: Vec<Effect<P::Request>>) {
        let mut written = Vec::new();
        for effect in effects {
            match effect {
                Effect::Send { connection, channel, frame, .. } => {
                    assert_eq!((channel, frame.last()), (CH, Some(&b'\n')), "every frame is one line");
                    let line = serde_json::from_slice(&frame).expect("what we send is JSON");
                    self.sent.entry(connection).or_default().push(line);
                    written.push(connection);
                }
                Effect::Close { connection, how } => {
                    self.closed.insert(connection, how);
                    self.framers.remove(&connection);
                }
                Effect::SetPhase { connection, phase, .. } => {
                    if let Some(framer) = self.framers.get_mut(&connection) {
                        framer.1 = phase;
                    }
                }
                Effect::Dial { connection, address } => self.dialled.push((connection, address)),
                Effect::Ask { ticket, request } => self.asked.push((ticket, request)),
                Effect::Save(record) => self.saved.push(record),
                Effect::Publish(event) => self.events.push(event),
                other => panic!("this network has no use for {other:?}"),
            }
        }
        if self.reads {
            written.dedup();
            for connection in written {
                self.step(P2pAction::Writable { connection, channel: CH });
            }
        }
    }

    /// Someone connects from this address to 127.0.0.1:7444.
    pub(crate) fn accept(&mut self, remote: &str) -> ConnectionId {
        let connection = ConnectionId::nth(Direction::Inbound, self.next);
        self.next += 1;
        let local = address("127.0.0.1:7444");
        self.connected(connection, local, address(remote), None);
        connection
    }

    /// We dial this address, and someone is there.
    pub(crate) fn dial(&mut self, remote: &str) -> ConnectionId {
        self.act(P2pAction::Connect { address: address(remote) });
        let (connection, dialled) = *self.dialled.last().expect("it is dialled");
        assert_eq!(dialled, address(remote));
        self.arrive(connection, dialled);
        connection
    }

    /// The dial reaches someone.
    pub(crate) fn arrive(&mut self, connection: ConnectionId, dialled: Address) {
        self.connected(connection, address("127.0.0.1:50000"), dialled, Some(dialled));
    }

    pub(crate) fn connected(
        &mut self,
        connection: ConnectionId,
        local: Address,
        remote: Address,
        dialled: Option<Address>,
    ) {
        let direction = connection.direction();
        let framer = (P::framer(&self.config, 0, direction), Phase(0), BytesMut::new());
        self.framers.insert(connection, framer);
        let ends = Ends { direction, local, remote, dialled, identity: None, takes_compressed: false };
        self.act(P2pAction::Connected { connection, ends });
    }

    /// The peer hangs up.
    pub(crate) fn hang_up(&mut self, connection: ConnectionId) {
        self.framers.remove(&connection);
        self.act(P2pAction::Disconnected { connection, cause: DisconnectCause::Theirs });
    }

    /// The peer says a message.
    pub(crate) fn says(&mut self, connection: ConnectionId, message: Value) {
        self.types(connection, format!("{message}\n").as_bytes());
    }

    /// The peer sends bytes.
    pub(crate) fn types(&mut self, connection: ConnectionId, bytes: &[u8]) {
        if let Some((_, _, buffer)) = self.framers.get_mut(&connection) {
            buffer.extend_from_slice(bytes);
        }
        while let Some((framer, phase, buffer)) = self.framers.get_mut(&connection) {
            match framer.next(*phase, buffer) {
                Framed::More => return,
                Framed::Frame(frame) => self.act(P2pAction::MessageReceived { connection, channel: CH, frame }),
                Framed::Bad(bad) => self.act(P2pAction::BadFrame { connection, channel: CH, bad }),
            }
        }
    }

    /// What the peer was sent since this was asked last.
    pub(crate) fn hears(&mut self, connection: ConnectionId) -> Vec<Value> {
        self.sent.remove(&connection).unwrap_or_default()
    }

    /// The methods of what the peer was sent since this was asked last.
    pub(crate) fn hears_methods(&mut self, connection: ConnectionId) -> Vec<String> {
        self.hears(connection).iter().map(method).collect()
    }

    /// The one message that the peer was sent.
    pub(crate) fn hears_one(&mut self, connection: ConnectionId) -> Value {
        let heard = self.hears(connection);
        assert_eq!(heard.len(), 1, "one message: {heard:?}");
        heard[0].clone()
    }

    /// Lets time go by, with every wake that is due.
    pub(crate) fn wait(&mut self, time: Duration) {
        let end = self.now.after(time);
        while let Some(wake) = self.engine.next_wake().filter(|wake| *wake <= end.monotonic) {
            let skipped = wake.since(self.now.monotonic);
            self.now = self.now.after(skipped);
            self.act(P2pAction::Wake);
        }
        self.now = end;
    }

    pub(crate) fn is_open(&self, connection: ConnectionId) -> bool {
        self.engine.state().peers.contains_key(&connection)
    }

    /// How the connection was closed.
    pub(crate) fn end(&self, connection: ConnectionId) -> Option<Close> {
        self.closed.get(&connection).copied()
    }
}

/// The method of a message.
pub(crate) fn method(message: &Value) -> String {
    message.as_object().and_then(|entries| entries.keys().next()).expect("one entry").clone()
}

/// A HELLO of the same chain.
pub(crate) fn hello(block_count: u64) -> Value {
    json!({"HELLO": {"block_count": block_count, "time": START_UNIX_MS / 1000, "port": 0}})
}

/// A HELLO with more in it.
pub(crate) fn hello_with(block_count: u64, port: u16, more: &[(&str, Value)]) -> Value {
    let mut payload = json!({"block_count": block_count, "time": START_UNIX_MS / 1000, "port": port});
    for (key, value) in more {
        payload[*key] = value.clone();
    }
    json!({"HELLO": payload})
}

pub(crate) fn hey(block_count: u64) -> Value {
    json!({"HEY": {"block_count": block_count}})
}

impl Stage {
    /// A stage whose node holds these blocks above genesis.
    pub(crate) fn holding(blocks: &[Bytes]) -> Self {
        Self::new(config(), p2p(), Toy::with(blocks), 1)
    }

    /// A stage whose ledger has not answered yet.
    pub(crate) fn asleep(ledger: Toy) -> Self {
        Self::asleep_with(config(), p2p(), ledger, 1)
    }

    /// Someone who dialled us has completed the handshake, and everything said so far is forgotten.
    pub(crate) fn guest(&mut self, remote: &str, block_count: u64) -> ConnectionId {
        let guest = self.accept(remote);
        self.says(guest, hello(block_count));
        self.says(guest, hey(block_count));
        assert!(self.is_open(guest));
        self.answer_first_list(guest);
        guest
    }

    /// The same for someone whom we dialled.
    pub(crate) fn host(&mut self, remote: &str, block_count: u64) -> ConnectionId {
        let host = self.dial(remote);
        self.says(host, hey(block_count));
        self.says(host, hello(block_count));
        assert!(self.is_open(host));
        self.answer_first_list(host);
        host
    }

    // The peer has nothing that the node lacks.
    fn answer_first_list(&mut self, connection: ConnectionId) {
        if self.hears_methods(connection).contains(&"GETLISTOFBLOCKS".to_owned()) {
            let tip = self.ledger.tip();
            self.lists(connection, tip.height, tip.height, tip.hash, &[]);
        }
        self.hears(connection);
    }

    pub(crate) fn lists(&mut self, connection: ConnectionId, from: u64, latest: u64, parent: Hash, hashes: &[Hash]) {
        let hashes: Vec<String> = hashes.iter().map(hex).collect();
        let list = json!({"from": from, "latest": latest, "parent": hex(parent), "hashes": hashes});
        self.says(connection, json!({"LISTOFBLOCKS": list}));
    }

    pub(crate) fn delivers(&mut self, connection: ConnectionId, block: &Bytes) {
        let number = u64::from_be_bytes(block[33..41].try_into().expect("a height"));
        self.says(connection, json!({"BLOCK": {"number": number, "data": hex(block)}}));
    }

    pub(crate) fn announces(&mut self, connection: ConnectionId, number: u64, hash: Hash) {
        self.says(connection, json!({"BROADCASTBLOCK": {"number": number, "hash": hex(hash)}}));
    }

    /// The chain grows by a block of our own.
    pub(crate) fn makes(&mut self, block: &Bytes) {
        let ticket = Ticket(u64::MAX);
        let mut answers = Vec::new();
        self.ledger.answer(self.now, vec![(ticket, Request::TakeBlock(block.clone()))], &mut answers);
        for (to, answer) in answers {
            if to == To::Engine {
                self.act(P2pAction::LedgerAnswered { ticket: None, answer });
            }
        }
    }

    /// A transaction of the operator's waits.
    pub(crate) fn is_given(&mut self, transaction: &Bytes) {
        let id = crate::toy::id_of(transaction);
        self.ledger.waiting.insert(id, transaction.clone());
        let answer = Answer::NewTransaction { id, transaction: transaction.clone() };
        self.act(P2pAction::LedgerAnswered { ticket: None, answer });
    }
}

pub(crate) fn ask_hash(hash: Hash) -> Value {
    json!({"GETBLOCK": {"hash": hex(hash)}})
}

pub(crate) fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}

/// Asserts that the message is a REJECT of this method, and well formed.
pub(crate) fn assert_reject(message: &Value, method: &str) {
    let payload = message.get("REJECT").unwrap_or_else(|| panic!("a REJECT, not {message}"));
    assert_eq!(payload["method"], method, "{message}");
    let reason = payload["reason"].as_str().expect("a reason");
    assert!(reason.len() <= 128 && reason.bytes().all(|byte| matches!(byte, b' '..=b'~')), "{reason}");
}
