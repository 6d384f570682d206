//! Gives peers hands and ears: what they say, what they hear, how they end.

use crate::make;
use crate::stage::{Said, Stage, address, seconds};
use bytes::Bytes;
use polypeer_bumo::frame;
use polypeer_bumo::wire::{Envelope, GetLedgers, Hello, HelloResponse, Kind, Ledgers, Message as _, Ping};
use polypeer_engine::shell::bans::Severity;
use polypeer_engine::{Close, ConnectionId, Reason};

/// What a HELLO says, kept.
#[derive(Clone, Debug)]
pub(crate) struct Greeting {
    pub(crate) network_id: i64,
    pub(crate) ledger_version: i64,
    pub(crate) overlay_version: i64,
    pub(crate) bumo_version: String,
    pub(crate) listening_port: i64,
    pub(crate) node_address: String,
    pub(crate) node_rand: String,
}

impl Greeting {
    /// What today's node with this number says.
    pub(crate) fn of(number: usize) -> Self {
        Self {
            network_id: make::NETWORK,
            ledger_version: 1003,
            overlay_version: 1000,
            bumo_version: "1.3.3".into(),
            listening_port: 36_011,
            node_address: make::node_address(number),
            node_rand: format!("node-rand-1795172222514631-{number}"),
        }
    }

    pub(crate) fn encode(&self) -> Bytes {
        Hello {
            network_id: self.network_id,
            ledger_version: self.ledger_version,
            overlay_version: self.overlay_version,
            bumo_version: &self.bumo_version,
            listening_port: self.listening_port,
            node_address: &self.node_address,
            node_rand: &self.node_rand,
        }
        .encode()
    }
}

/// Mouths.
impl Stage {
    /// The peer says these bytes as one message.
    pub(crate) fn says_raw(&mut self, connection: ConnectionId, payload: &[u8]) {
        self.types(connection, &frame::frame_of(payload));
    }

    /// The peer asks for, or pushes, something.
    pub(crate) fn says(&mut self, connection: ConnectionId, kind: Kind, data: &[u8]) {
        self.types(connection, &frame::pack(kind, true, 7, data));
    }

    /// The peer answers.
    pub(crate) fn answers(&mut self, connection: ConnectionId, kind: Kind, data: &[u8]) {
        self.types(connection, &frame::pack(kind, false, 0, data));
    }

    /// The peer greets again and again and reads no answer, until it is sent away. Bytes that it was sent.
    pub(crate) fn asks_until_cut(&mut self, connection: ConnectionId) -> usize {
        let mut bytes = 0;
        for _ in 0..20_000 {
            self.says(connection, Kind::Hello, &[]);
            bytes += self.sent.remove(&connection).unwrap_or_default().iter().map(Bytes::len).sum::<usize>();
            if !self.is_open(connection) {
                break;
            }
        }
        bytes
    }

    /// The peer asks for ledgers.
    pub(crate) fn asks_for_ledgers(&mut self, connection: ConnectionId, begin: i64, end: i64) {
        let body = GetLedgers { begin, end, timestamp: 1, chain_id: 0 };
        self.says(connection, Kind::Ledgers, &body.encode());
    }

    /// A greeting unlike that of anyone before.
    pub(crate) fn new_greeting(&mut self) -> Greeting {
        self.next_peer += 1;
        Greeting::of(self.next_peer)
    }

    /// Someone who dialled us is active, and what was said so far is forgotten.
    pub(crate) fn guest(&mut self, remote: &str) -> ConnectionId {
        let greeting = self.new_greeting();
        self.guest_as(remote, &greeting)
    }

    pub(crate) fn guest_as(&mut self, remote: &str, greeting: &Greeting) -> ConnectionId {
        let guest = self.accept(remote);
        self.is_received(guest, greeting)
    }

    /// The same for someone whom we dialled.
    pub(crate) fn host(&mut self, remote: &str) -> ConnectionId {
        let host = self.dial(remote);
        let greeting = self.new_greeting();
        self.is_received(host, &greeting)
    }

    fn is_received(&mut self, connection: ConnectionId, greeting: &Greeting) -> ConnectionId {
        self.says(connection, Kind::Hello, &greeting.encode());
        assert!(self.is_open(connection), "{:?}", self.engine.state().reasons.all().next());
        self.hears(connection);
        connection
    }

    /// The same, with its first PING, and our question whether it is ahead, over.
    pub(crate) fn settled(&mut self, remote: &str) -> ConnectionId {
        let guest = self.guest(remote);
        self.wait(seconds(9));
        self.hears(guest);
        guest
    }
}

/// Ears.
impl Stage {
    /// The kinds of what the peer was sent since this was asked last, and whether each is a request.
    pub(crate) fn hears_kinds(&mut self, connection: ConnectionId) -> Vec<(Kind, bool)> {
        self.hears(connection).iter().map(|said| (said.kind, said.is_request)).collect()
    }

    /// The one message that the peer was sent, which is of this kind.
    pub(crate) fn hears_one(&mut self, connection: ConnectionId, kind: Kind, is_request: bool) -> Said {
        let mut heard = self.hears(connection);
        let kinds: Vec<_> = heard.iter().map(|said| (said.kind, said.is_request)).collect();
        assert_eq!(kinds, [(kind, is_request)]);
        heard.remove(0)
    }

    pub(crate) fn hears_nothing(&mut self, connection: ConnectionId) {
        assert_eq!(self.hears_kinds(connection), []);
    }

    /// The peer was asked for these ledgers, and for nothing else.
    pub(crate) fn is_asked_for(&mut self, connection: ConnectionId, begin: i64, end: i64) {
        let said = self.hears_one(connection, Kind::Ledgers, true);
        let asked = GetLedgers::decode(&said.data).expect("a request");
        assert_eq!((asked.begin, asked.end, asked.chain_id), (begin, end, 0));
        assert_eq!(asked.timestamp, self.now.unix_ms as i64 * 1000);
    }

    /// Which ledgers the peer was asked for, whatever else it was sent.
    pub(crate) fn asked_ranges(&mut self, connection: ConnectionId) -> Vec<(i64, i64)> {
        let asked = |said: &Said| {
            let is_it = said.kind == Kind::Ledgers && said.is_request;
            let asked = is_it.then(|| GetLedgers::decode(&said.data).expect("a request"))?;
            Some((asked.begin, asked.end))
        };
        self.hears(connection).iter().filter_map(asked).collect()
    }

    /// The peer was answered with these ledgers, and with nothing else.
    pub(crate) fn is_served(&mut self, connection: ConnectionId, begin: i64, end: i64) {
        let said = self.hears_one(connection, Kind::Ledgers, false);
        assert_eq!(said.sequence, 0);
        let answer = Ledgers::decode(&said.data).expect("ledgers");
        let at = |seq: i64| (seq - 2) as usize;
        let values: Vec<&[u8]> = self.ledger.closed[at(begin)..=at(end)].iter().map(|(value, _)| &value[..]).collect();
        assert_eq!(answer.values, values);
        assert_eq!(answer.proof, &self.ledger.closed[at(end)].1[..]);
        assert_eq!((answer.max_seq, answer.chain_id, answer.sync_code), (self.ledger.seq(), 0, 0));
    }

    /// The connection ended with a refusal of its HELLO, in these words, as the last.
    pub(crate) fn is_refused(&mut self, connection: ConnectionId, text: &str) {
        let said = self.hears(connection).pop().unwrap_or_else(|| panic!("heard nothing instead of {text}"));
        assert_eq!((said.kind, said.is_request), (Kind::Hello, false));
        assert_eq!(HelloResponse::decode(&said.data), Ok(HelloResponse { error_code: 2, error_desc: text }));
        assert!(!self.is_open(connection));
        assert_eq!(self.closed.get(&connection), Some(&Close::Lingering));
    }

    /// The connection ended without a word.
    pub(crate) fn is_cut(&mut self, connection: ConnectionId) {
        let heard = self.hears(connection);
        let refusal = |said: &Said| said.kind == Kind::Hello && !said.is_request && !said.data.is_empty();
        assert!(!heard.iter().any(refusal), "{heard:?}");
        assert!(!self.is_open(connection), "still open: {heard:?}");
        assert_eq!(self.closed.get(&connection), Some(&Close::Now));
    }

    /// The peer is there and answered, and was told nothing else.
    pub(crate) fn is_well(&mut self, connection: ConnectionId) {
        assert!(self.is_open(connection), "{:?}", self.hears(connection));
        let nonce = 1_795_172_253_100_213;
        let mut heard = self.hears(connection);
        self.says(connection, Kind::Ping, &Ping { nonce }.encode());
        heard.extend(self.hears(connection));
        let pong = heard.last().expect("an answer");
        assert_eq!((pong.kind, pong.is_request, pong.sequence), (Kind::Ping, false, 7));
        assert_eq!(Ping::decode(&pong.data), Ok(Ping { nonce }));
    }

    /// The transaction, consensus message or notice that the peer was sent, alone.
    pub(crate) fn hears_broadcast(&mut self, connection: ConnectionId, kind: Kind) -> Bytes {
        self.hears_one(connection, kind, true).data
    }
}

/// Marks.
impl Stage {
    /// What is remembered about an IP address, newest first.
    pub(crate) fn reasons(&self, of: &str) -> Vec<Reason> {
        self.engine.state().reasons.about(address(of).ip()).map(|record| record.reason.clone()).collect()
    }

    /// How firmly an IP address is refused.
    pub(crate) fn severity(&self, of: &str) -> Option<Severity> {
        self.engine.state().bans.get(self.now, address(of).ip()).map(|ban| ban.severity)
    }

    /// How many slips a peer has.
    pub(crate) fn slips(&self, connection: ConnectionId) -> usize {
        self.engine.state().peers[&connection].slips.len()
    }

    /// The ledger that the node stands at.
    pub(crate) fn tip(&self) -> i64 {
        self.engine.protocol().tip().map_or(0, |tip| tip.seq)
    }
}

/// The envelope of a message as today's node packs it.
pub(crate) fn envelope(kind: Kind, is_request: bool, sequence: i64, data: &[u8]) -> Bytes {
    Envelope { number: kind.number(), is_request, sequence, data }.encode()
}
