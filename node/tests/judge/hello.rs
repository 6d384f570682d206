//! Speaks Hello as a test client does, from the Hello spec alone: strict in what it hears, free in what it says.

use super::ledger::{Block, Hash};
use serde_json::{Value, json};
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::time::{Duration, Instant};

/// The network that is judged.
pub(crate) const NETWORK: &str = "hello-devnet";
/// How long an answer that must come may take.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);
/// How long one listens to be sure that nothing comes.
pub(crate) const QUIET: Duration = Duration::from_millis(400);

/// Lower-case hex.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A message's line.
pub(crate) fn line(method: &str, payload: Value) -> Vec<u8> {
    format!("{{\"{method}\":{payload}}}\n").into_bytes()
}

/// A line of these characters.
pub(crate) fn raw(text: &str) -> Vec<u8> {
    format!("{text}\n").into_bytes()
}

/// The payload of a `HELLO` with this number of blocks, port and nonce, of a member of the network.
pub(crate) fn hello(block_count: u64, port: u16, nonce: u64) -> Value {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970");
    json!({
        "block_count": block_count,
        "time": now.as_secs(),
        "port": port,
        "genesis": hex(&Block::genesis(NETWORK).hash()),
        "agent": "judge/1",
        "nonce": format!("{nonce:016x}"),
    })
}

/// A nonce that no other connection of this process has.
pub(crate) fn fresh_nonce() -> u64 {
    use std::sync::atomic::{AtomicU64, Ordering};
    static NEXT: AtomicU64 = AtomicU64::new(1);
    u64::from(std::process::id()) << 32 | NEXT.fetch_add(1, Ordering::Relaxed)
}

/// A `BLOCK`'s payload.
pub(crate) fn block(of: &Block) -> Value {
    json!({ "number": of.height, "data": hex(&of.bytes()) })
}

/// What a test client holds and answers of its own accord.
#[derive(Clone)]
pub(crate) struct Manner {
    /// The chain above genesis.
    pub(crate) blocks: Vec<Block>,
    /// Waiting transactions.
    pub(crate) transactions: Vec<Vec<u8>>,
    /// Addresses for `ADDR`.
    pub(crate) addresses: Vec<SocketAddr>,
    /// Whether to answer `HELLO` with `HEY`.
    pub(crate) hey: bool,
    /// Whether to answer `GETLISTOFBLOCKS`.
    pub(crate) lists: bool,
    /// Whether to answer `GETBLOCK`.
    pub(crate) gives: bool,
}

impl Manner {
    /// An honest peer with these blocks above genesis.
    pub(crate) fn honest(blocks: &[Block]) -> Self {
        let (transactions, addresses) = (Vec::new(), Vec::new());
        Self { blocks: blocks.to_vec(), transactions, addresses, hey: true, lists: true, gives: true }
    }

    /// One that answers nothing.
    pub(crate) fn mute() -> Self {
        Self { hey: false, lists: false, gives: false, ..Self::honest(&[]) }
    }

    /// The number for `block_count`.
    pub(crate) fn count(&self) -> u64 {
        self.blocks.len() as u64 + 1
    }

    // The payload of a `LISTOFBLOCKS` for a question from `from`.
    fn list(&self, from: u64) -> Value {
        let newest = self.blocks.len() as u64;
        let from = from.min(newest);
        let start = usize::try_from(from).expect("a short chain");
        let parent = if start == 0 { Block::genesis(NETWORK).hash() } else { self.blocks[start - 1].hash() };
        let hashes: Vec<String> = self.blocks[start..].iter().take(10_000).map(|block| hex(&block.hash())).collect();
        json!({ "from": from, "latest": newest, "parent": hex(&parent), "hashes": hashes })
    }

    // The answer to a `GETBLOCK`.
    fn give(&self, question: &Value) -> (&'static str, Value) {
        let wanted = question["hash"].as_str();
        let found = self
            .blocks
            .iter()
            .find(|block| wanted == Some(&hex(&block.hash())) || question["number"].as_u64() == Some(block.height));
        if let Some(found) = found {
            return ("BLOCK", block(found));
        }
        let wanted = question["transaction"].as_str();
        match self.transactions.iter().find(|bytes| wanted == Some(&hex(&super::ledger::id(bytes)))) {
            Some(bytes) => ("PUSHTRANSACTION", json!([hex(bytes)])),
            None => ("NOTFOUND", question.clone()),
        }
    }
}

/// What came, or did not.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Heard {
    /// A message that the client does not answer by itself: method and payload.
    Said(String, Value),
    /// The node closed in order.
    Closed,
    /// The connection broke.
    Broken,
    /// Nothing within the time.
    Silence,
}

/// One connection with the node, from the side of the test.
pub(crate) struct Peer {
    stream: TcpStream,
    unread: Vec<u8>,
    /// What it does by itself.
    pub(crate) manner: Manner,
    /// The questions that the node asked, those answered too.
    pub(crate) asked: Vec<(String, Value)>,
    /// The payload of the node's first `HELLO`.
    pub(crate) greeting: Value,
}

impl Peer {
    /// A connection without a word.
    pub(crate) fn dial(node: SocketAddr) -> Self {
        Self::on(TcpStream::connect(node).expect("the node accepts"))
    }

    /// The next connection that the node opens to us.
    pub(crate) fn accept(listener: &TcpListener) -> Self {
        listener.set_nonblocking(true).expect("a mode");
        let deadline = Instant::now() + Duration::from_secs(20);
        loop {
            if let Ok((stream, _)) = listener.accept() {
                stream.set_nonblocking(false).expect("a mode");
                return Self::on(stream);
            }
            assert!(Instant::now() < deadline, "the node did not dial");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    fn on(stream: TcpStream) -> Self {
        stream.set_nodelay(true).expect("an option");
        Self { stream, unread: Vec::new(), manner: Manner::mute(), asked: Vec::new(), greeting: Value::Null }
    }

    /// A connection past the handshake, with this `HELLO`, that answers nothing by itself.
    pub(crate) fn open_as(node: SocketAddr, own: Value) -> Self {
        let mut peer = Self::dial(node);
        peer.say(&line("HELLO", own));
        let (method, hey) = peer.message();
        assert_eq!(method, "HEY", "first the acknowledgement: {hey}");
        let (method, greeting) = peer.message();
        assert_eq!(method, "HELLO", "then its own: {greeting}");
        peer.greeting = greeting;
        peer.say(&line("HEY", json!({ "block_count": 1 })));
        peer
    }

    /// The same as an ordinary member without blocks of its own.
    pub(crate) fn open(node: SocketAddr) -> Self {
        Self::open_as(node, hello(1, 0, fresh_nonce()))
    }

    /// A connection of an honest peer, after what both ask at the start.
    pub(crate) fn ready(node: SocketAddr, manner: Manner) -> Self {
        let mut peer = Self::open_as(node, hello(manner.count(), 0, fresh_nonce()));
        peer.manner = manner;
        peer.settle();
        assert!(peer.has_asked("GETLISTOFBLOCKS"), "the node asked {:?}", peer.asked);
        peer
    }

    /// Answers the handshake that the node has begun.
    pub(crate) fn welcome(&mut self, own: Value) {
        let (method, greeting) = self.message();
        assert_eq!(method, "HELLO", "the dialler begins: {greeting}");
        self.greeting = greeting;
        let count = own["block_count"].clone();
        self.say(&[line("HEY", json!({ "block_count": count })), line("HELLO", own)].concat());
        let (method, hey) = self.message();
        assert_eq!(method, "HEY", "the dialler ends: {hey}");
    }

    /// Whether the node has asked this.
    pub(crate) fn has_asked(&self, method: &str) -> bool {
        self.asked.iter().any(|(asked, _)| asked == method)
    }

    /// Where it is, as the node sees it.
    #[allow(dead_code, reason = "only the floods ask")]
    pub(crate) fn local(&self) -> SocketAddr {
        self.stream.local_addr().expect("a socket")
    }

    /// Sends bytes as they are.
    pub(crate) fn say(&mut self, bytes: &[u8]) {
        assert!(self.try_say(bytes), "the node broke the connection");
    }

    /// Sends bytes; whether the connection took them.
    pub(crate) fn try_say(&mut self, bytes: &[u8]) -> bool {
        self.stream.set_write_timeout(Some(PATIENCE)).expect("a timeout");
        self.stream.write_all(bytes).is_ok()
    }

    /// Ends the sending side.
    pub(crate) fn finish(&mut self) {
        let _ = self.stream.shutdown(Shutdown::Write);
    }

    /// The next message, closing or silence, after answering what the manner answers.
    pub(crate) fn hear(&mut self, within: Duration) -> Heard {
        let deadline = Instant::now() + within;
        loop {
            match self.read(deadline) {
                Heard::Said(method, payload) if self.answer(&method, &payload) => {}
                heard => return heard,
            }
        }
    }

    /// The next message, which must come.
    pub(crate) fn message(&mut self) -> (String, Value) {
        match self.hear(PATIENCE) {
            Heard::Said(method, payload) => (method, payload),
            other => panic!("a message was due, but: {other:?}"),
        }
    }

    /// The next message of this method, which must come; news and questions may come before.
    pub(crate) fn message_of(&mut self, wanted: &str) -> Value {
        loop {
            let (method, payload) = self.message();
            if method == wanted {
                return payload;
            }
            let by_itself =
                ["BROADCASTBLOCK", "BROADCASTTRANSACTION", "GETLISTOFBLOCKS", "GETBLOCK", "GETADDR", "ADDR"];
            assert!(by_itself.contains(&method.as_str()) || method == "HELLO", "{wanted} was due: {method} {payload}");
        }
    }

    /// The next message must be a `REJECT` with this method.
    pub(crate) fn rejected(&mut self, about: &str) {
        let payload = self.message_of("REJECT");
        assert_eq!(payload["method"], about, "{payload}");
    }

    /// The node must close now, in order and without another `REJECT`.
    pub(crate) fn closed(&mut self) {
        self.ends(|heard| *heard == Heard::Closed);
    }

    /// The node must close now without a word; here it may break the connection, since no word can be lost.
    pub(crate) fn closed_silently(&mut self) {
        self.ends(|heard| matches!(heard, Heard::Closed | Heard::Broken));
    }

    fn ends(&mut self, expected: impl Fn(&Heard) -> bool) {
        loop {
            match self.hear(PATIENCE) {
                heard if expected(&heard) => return,
                Heard::Said(method, _) if method != "REJECT" => {}
                other => panic!("the node should have closed, but: {other:?}"),
            }
        }
    }

    /// The node must close now; a `REJECT` may come before.
    pub(crate) fn closed_somehow(&mut self) {
        loop {
            match self.hear(PATIENCE) {
                Heard::Closed | Heard::Broken => return,
                Heard::Said(..) => {}
                Heard::Silence => panic!("the node should have closed"),
            }
        }
    }

    /// The node must close within this time, whatever it says before.
    pub(crate) fn closed_after(&mut self, within: Duration) {
        let deadline = Instant::now() + within;
        while !matches!(self.hear(Duration::from_millis(500)), Heard::Closed | Heard::Broken) {
            assert!(Instant::now() < deadline, "the node should have closed");
        }
    }

    /// The node must be there, and must have no complaint.
    pub(crate) fn fine(&mut self) {
        self.is_served();
        self.settle();
    }

    /// The node must answer at once.
    pub(crate) fn is_served(&mut self) {
        let unknown = hex(&super::ledger::hash(&[&fresh_nonce().to_be_bytes()]));
        self.say(&line("GETBLOCK", json!({ "hash": unknown })));
        loop {
            if self.message_of("NOTFOUND")["hash"] == unknown {
                return;
            }
        }
    }

    /// Listens until the node has nothing more to say; no `REJECT` may be among it.
    pub(crate) fn settle(&mut self) {
        loop {
            match self.hear(QUIET) {
                Heard::Silence => return,
                Heard::Said(method, _) if method != "REJECT" => {}
                other => panic!("the node should be content, but: {other:?}"),
            }
        }
    }

    /// All that the node says of its own accord until it is quiet, questions that the manner answers left out.
    pub(crate) fn gather(&mut self) -> Vec<(String, Value)> {
        let mut said = Vec::new();
        while let Heard::Said(method, payload) = self.hear(QUIET) {
            said.push((method, payload));
        }
        said
    }

    fn read(&mut self, deadline: Instant) -> Heard {
        loop {
            if let Some(end) = self.unread.iter().position(|byte| *byte == b'\n') {
                let rest = self.unread.split_off(end + 1);
                let line = std::mem::replace(&mut self.unread, rest);
                let (method, payload) = dictionary(&line[..end]);
                return Heard::Said(method, payload);
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Heard::Silence;
            }
            self.stream.set_read_timeout(Some(left)).expect("a timeout");
            let mut piece = [0; 65536];
            match self.stream.read(&mut piece) {
                Ok(0) if self.unread.is_empty() => return Heard::Closed,
                Ok(0) => return Heard::Broken, // Within a line.
                Ok(length) => self.unread.extend(&piece[..length]),
                Err(fault) if matches!(fault.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
                Err(_) => return Heard::Broken,
            }
        }
    }

    // Whether the manner has an answer, which is then sent.
    fn answer(&mut self, method: &str, payload: &Value) -> bool {
        if method.starts_with("GET") {
            self.asked.push((method.to_owned(), payload.clone()));
        }
        let answer = match method {
            "HELLO" if self.manner.hey => Some(("HEY", json!({ "block_count": self.manner.count() }))),
            "GETLISTOFBLOCKS" if self.manner.lists => {
                let from = payload["from"].as_u64().expect("a number");
                Some(("LISTOFBLOCKS", self.manner.list(from)))
            }
            "GETBLOCK" if self.manner.gives => Some(self.manner.give(payload)),
            "GETADDR" if self.manner.hey => {
                let addresses: Vec<String> = self.manner.addresses.iter().map(SocketAddr::to_string).collect();
                Some(("ADDR", json!(addresses)))
            }
            _ => None,
        };
        answer.is_some_and(|(method, payload)| {
            self.try_say(&line(method, payload));
            true
        })
    }
}

// The one entry of a message of the node's, held to the form that section 2 gives it.
fn dictionary(line: &[u8]) -> (String, Value) {
    let text = std::str::from_utf8(line).expect("UTF-8");
    let message: Value = serde_json::from_str(text).unwrap_or_else(|wrong| panic!("{wrong}: {text}"));
    let entries = message.as_object().expect("an object");
    assert_eq!(entries.len(), 1, "one entry: {text}");
    let (method, payload) = entries.iter().next().expect("one entry");
    assert!(has_form(method, payload), "the form of {text}");
    (method.clone(), payload.clone())
}

fn has_form(method: &str, payload: &Value) -> bool {
    let number = |key: &str| payload[key].as_u64().is_some_and(|number| number < 1 << 53);
    match method {
        "HELLO" => {
            number("block_count")
                && number("time")
                && payload["port"].as_u64().is_some_and(|port| port < 1 << 16)
                && (payload.get("genesis").is_none() || is_hash(&payload["genesis"]))
                && payload["nonce"].as_str().is_some_and(|nonce| is_hex(nonce, 16))
        }
        "HEY" => number("block_count"),
        "GETADDR" => payload.is_null() || payload.as_u64().is_some_and(|port| port < 1 << 16),
        "ADDR" => list(payload, 1000, |entry| entry.as_str().is_some_and(|text| text.parse::<SocketAddr>().is_ok())),
        "BROADCASTBLOCK" => number("number") && is_hash(&payload["hash"]),
        "GETBLOCK" | "NOTFOUND" => {
            let keys = ["number", "hash", "transaction"];
            keys.iter().filter(|key| payload.get(**key).is_some()).count() == 1
        }
        "GETLISTOFBLOCKS" => {
            let ids = payload.get("transactions").is_none_or(|ids| list(ids, 1000, is_hash));
            number("from") && number("latest") && ids
        }
        "LISTOFBLOCKS" => {
            let hashes = list(&payload["hashes"], 10_000, is_hash);
            number("from") && number("latest") && is_hash(&payload["parent"]) && hashes
        }
        "BLOCK" => number("number") && payload["data"].as_str().is_some_and(|data| is_hex(data, data.len() & !1)),
        "PUSHTRANSACTION" => list(payload, 1000, |one| one.as_str().is_some_and(|text| is_hex(text, 306))),
        "BROADCASTTRANSACTION" => is_hash(&payload["id"]),
        "REJECT" => {
            let printable = |key: &str, max: usize| {
                payload[key]
                    .as_str()
                    .is_some_and(|text| text.len() <= max && text.bytes().all(|byte| (0x20..0x7f).contains(&byte)))
            };
            printable("method", 32) && printable("reason", 128)
        }
        _ => false,
    }
}

fn list(payload: &Value, max: usize, fits: impl Fn(&Value) -> bool) -> bool {
    payload.as_array().is_some_and(|entries| entries.len() <= max && entries.iter().all(fits))
}

fn is_hash(payload: &Value) -> bool {
    payload.as_str().is_some_and(|text| is_hex(text, 64))
}

fn is_hex(text: &str, length: usize) -> bool {
    text.len() == length && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// A hash as it stands in messages.
pub(crate) fn named(hash: &Hash) -> Value {
    json!(hex(hash))
}
