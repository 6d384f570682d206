//! A stranger who speaks BUMO: protocol buffers, keys and addresses by hand from the spec, on the WebSocket next door.

use super::websocket::{Frame, Socket};
use ed25519_dalek::{Signature, Signer as _, SigningKey, VerifyingKey};
use sha2::{Digest as _, Sha256};
use std::net::{SocketAddr, TcpListener};
use std::time::{Duration, Instant};

/// The id of private networks.
pub(crate) const NETWORK: i64 = 30_000;
/// How long an answer may take: far more than it needs, since a build may run beside.
pub(crate) const PATIENCE: Duration = Duration::from_secs(8);
/// How long a silence is listened to where an answer would come at once.
pub(crate) const HUSH: Duration = Duration::from_millis(700);

/// Types of messages (section 2).
pub(crate) const PING: i64 = 1;
pub(crate) const HELLO: i64 = 2;
pub(crate) const PEERS: i64 = 3;
pub(crate) const TRANSACTION: i64 = 4;
pub(crate) const LEDGERS: i64 = 5;
pub(crate) const PBFT: i64 = 6;
pub(crate) const UPGRADE: i64 = 7;

/// The ledger hash.
pub(crate) fn sha256(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}

/// A message of protocol buffers in the making, by the rules of section 0.
#[derive(Clone, Debug, Default)]
pub(crate) struct Draft(Vec<u8>);

impl Draft {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    fn varint(&mut self, mut number: u64) {
        while number >= 0x80 {
            self.0.push(number as u8 | 0x80);
            number >>= 7;
        }
        self.0.push(number as u8);
    }

    /// A number; 0 vanishes.
    pub(crate) fn number(mut self, field: u64, number: i64) -> Self {
        if number != 0 {
            self.varint(field << 3);
            self.varint(number as u64);
        }
        self
    }

    /// Bytes or text; none vanish.
    pub(crate) fn bytes(self, field: u64, bytes: &[u8]) -> Self {
        if bytes.is_empty() { self } else { self.part(field, bytes) }
    }

    /// A message within, which stands there when it is empty too.
    pub(crate) fn part(mut self, field: u64, bytes: &[u8]) -> Self {
        self.varint(field << 3 | 2);
        self.varint(bytes.len() as u64);
        self.0.extend_from_slice(bytes);
        self
    }

    pub(crate) fn done(self) -> Vec<u8> {
        self.0
    }
}

/// A message that was read: its fields in their order.
#[derive(Clone, Debug, Default)]
pub(crate) struct Fields(Vec<(u64, i64, Vec<u8>)>);

impl Fields {
    /// Reads it; what is none is a fault of the node under judgment.
    pub(crate) fn read(bytes: &[u8]) -> Self {
        let mut fields = Vec::new();
        let mut at = 0;
        let varint = |at: &mut usize| {
            let mut number = 0_u64;
            for shift in (0..64).step_by(7) {
                let byte = bytes[*at];
                *at += 1;
                number |= u64::from(byte & 0x7f) << shift;
                if byte < 0x80 {
                    break;
                }
            }
            number
        };
        while at < bytes.len() {
            let key = varint(&mut at);
            match key & 7 {
                0 => fields.push((key >> 3, varint(&mut at) as i64, Vec::new())),
                2 => {
                    let length = varint(&mut at) as usize;
                    fields.push((key >> 3, 0, bytes[at..at + length].to_vec()));
                    at += length;
                }
                other => panic!("BUMO has no wire type {other}"),
            }
        }
        Self(fields)
    }

    pub(crate) fn number(&self, field: u64) -> i64 {
        self.0.iter().find(|it| it.0 == field).map_or(0, |it| it.1)
    }

    pub(crate) fn bytes(&self, field: u64) -> &[u8] {
        self.all(field).next().unwrap_or_default()
    }

    pub(crate) fn text(&self, field: u64) -> String {
        String::from_utf8(self.bytes(field).to_vec()).expect("text")
    }

    pub(crate) fn all(&self, field: u64) -> impl Iterator<Item = &[u8]> {
        self.0.iter().filter(move |it| it.0 == field).map(|it| &it.2[..])
    }

    pub(crate) fn has(&self, field: u64) -> bool {
        self.0.iter().any(|it| it.0 == field)
    }
}

/// Base58 in the network's own alphabet (section 4.1).
fn base58(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 58] = b"123456789AbCDEFGHJKLMNPQRSTuVWXYZaBcdefghijkmnopqrstUvwxyz";
    let mut digits = vec![0_u8];
    for byte in bytes {
        let mut carry = u32::from(*byte);
        for digit in &mut digits {
            carry += u32::from(*digit) << 8;
            *digit = (carry % 58) as u8;
            carry /= 58;
        }
        while carry > 0 {
            digits.push((carry % 58) as u8);
            carry /= 58;
        }
    }
    digits.iter().rev().map(|digit| char::from(ALPHABET[usize::from(*digit)])).collect()
}

fn checked(mut bytes: Vec<u8>) -> Vec<u8> {
    let check = sha256(&sha256(&bytes));
    bytes.extend_from_slice(&check[..4]);
    bytes
}

/// An Ed25519 key with its texts.
#[derive(Clone)]
pub(crate) struct Key {
    secret: SigningKey,
    /// The public key as text.
    pub(crate) public: String,
    pub(crate) address: String,
}

impl Key {
    /// The key of the fixtures whose seed is the hash of this text.
    pub(crate) fn named(text: &str) -> Self {
        Self::of(SigningKey::from_bytes(&sha256(text.as_bytes())))
    }

    /// One of the private networks' accounts; behind the sixteenth those of the devnet's validators.
    #[allow(dead_code, reason = "only some judges need it")]
    pub(crate) fn public_account(number: u8) -> Self {
        Self::of(SigningKey::from_bytes(&[number; 32]))
    }

    fn of(secret: SigningKey) -> Self {
        let raw = secret.verifying_key().to_bytes();
        let public = hex(&checked([&[0xb0, 1], &raw[..]].concat()));
        let address = base58(&checked([&[0x01, 0x56, 1], &sha256(&raw)[12..]].concat()));
        Self { secret, public, address }
    }

    pub(crate) fn validator(number: usize) -> Self {
        Self::named(&format!("bumo-test-validator-{number}"))
    }

    pub(crate) fn node(number: usize) -> Self {
        Self::named(&format!("bumo-test-node-{number}"))
    }

    pub(crate) fn genesis() -> Self {
        Self::named("bumo-test-genesis")
    }

    /// The private key as text.
    pub(crate) fn text(&self) -> String {
        base58(&checked([&[0xda, 0x37, 0x9f, 1], &self.secret.to_bytes()[..], &[0]].concat()))
    }

    pub(crate) fn sign(&self, bytes: &[u8]) -> Vec<u8> {
        self.secret.sign(bytes).to_bytes().to_vec()
    }

    /// A `Signature` message over these bytes.
    pub(crate) fn signature(&self, bytes: &[u8]) -> Vec<u8> {
        Draft::new().bytes(1, self.public.as_bytes()).bytes(2, &self.sign(bytes)).done()
    }
}

/// Whether a `Signature` message signs these bytes.
pub(crate) fn verifies(signature: &Fields, bytes: &[u8]) -> bool {
    let public = unhex(&signature.text(1));
    let key: [u8; 32] = public[2..34].try_into().expect("an Ed25519 key");
    let Ok(sign): Result<[u8; 64], _> = signature.bytes(2).try_into() else { return false };
    VerifyingKey::from_bytes(&key).is_ok_and(|key| key.verify_strict(bytes, &Signature::from_bytes(&sign)).is_ok())
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

pub(crate) fn unhex(text: &str) -> Vec<u8> {
    let digits = text.trim().as_bytes();
    digits.chunks(2).map(|two| u8::from_str_radix(std::str::from_utf8(two).expect("hex"), 16).expect("hex")).collect()
}

/// A file of the captures.
pub(crate) fn fixture(name: &str) -> Vec<u8> {
    let path = format!("{}/../protocols/bumo/tests/fixtures/{name}", env!("CARGO_MANIFEST_DIR"));
    let bytes = std::fs::read(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
    if name.ends_with(".hex") { unhex(std::str::from_utf8(&bytes).expect("text")) } else { bytes }
}

/// What HELLO says.
#[derive(Clone, Debug)]
pub(crate) struct Hello {
    pub(crate) network_id: i64,
    pub(crate) ledger_version: i64,
    pub(crate) overlay_version: i64,
    pub(crate) bumo_version: String,
    pub(crate) port: i64,
    pub(crate) address: String,
}

impl Hello {
    /// A proper one of the node with this name; nobody listens on its port.
    pub(crate) fn of(name: &str) -> Self {
        let address = Key::named(name).address;
        Self {
            network_id: NETWORK,
            ledger_version: 1003,
            overlay_version: 1000,
            bumo_version: "1.3.3".to_owned(),
            port: 9,
            address,
        }
    }

    pub(crate) fn data(&self) -> Vec<u8> {
        let draft = Draft::new().number(1, self.network_id).number(2, self.ledger_version);
        let draft = draft.number(3, self.overlay_version).bytes(4, self.bumo_version.as_bytes());
        let draft = draft.number(5, self.port).bytes(6, self.address.as_bytes());
        draft.bytes(7, format!("node-rand-1-{}", self.address.len()).as_bytes()).done()
    }
}

/// A `WsMessage`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Said {
    pub(crate) kind: i64,
    pub(crate) is_request: bool,
    pub(crate) sequence: i64,
    pub(crate) data: Vec<u8>,
}

impl Said {
    pub(crate) fn read(payload: &[u8]) -> Self {
        let fields = Fields::read(payload);
        let (kind, sequence) = (fields.number(1), fields.number(3));
        Self { kind, is_request: fields.number(2) != 0, sequence, data: fields.bytes(4).to_vec() }
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        let draft = Draft::new().number(1, self.kind).number(2, self.is_request.into());
        draft.number(3, self.sequence).bytes(4, &self.data).done()
    }

    pub(crate) fn fields(&self) -> Fields {
        Fields::read(&self.data)
    }

    /// What is compared of an answer.
    pub(crate) fn outline(&self) -> (i64, bool, i64) {
        (self.kind, self.is_request, self.sequence)
    }
}

/// What came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Heard {
    Said(Said),
    /// CLOSE, with its payload.
    Close(Vec<u8>),
    Pong(Vec<u8>),
    /// TCP ended.
    End,
    /// Nothing, in its time.
    Silence,
}

/// One connection of the stranger's.
pub(crate) struct Peer {
    pub(crate) socket: Socket,
    requests: i64,
    /// Whether PINGs are answered.
    pub(crate) answers_pings: bool,
}

impl Peer {
    /// Connects, as the original does.
    pub(crate) fn dial(address: SocketAddr) -> Self {
        Self { socket: Socket::dial(address), requests: 0, answers_pings: true }
    }

    /// Waits for the node to dial.
    pub(crate) fn accept(listener: &TcpListener) -> Self {
        Self { socket: Socket::accept(listener), requests: 0, answers_pings: true }
    }

    /// Connects and shakes hands.
    pub(crate) fn ready(address: SocketAddr, name: &str) -> Self {
        let mut peer = Self::dial(address);
        peer.request(HELLO, &Hello::of(name).data());
        peer.wait_for(HELLO, true);
        assert_eq!(peer.wait_for(HELLO, false).fields().number(1), 0, "HELLO is taken");
        peer.answer(HELLO, 0, &[]);
        peer.wait_for(PEERS, true);
        peer
    }

    /// A request with the connection's next number; the number.
    pub(crate) fn request(&mut self, kind: i64, data: &[u8]) -> i64 {
        let sequence = self.requests;
        self.requests += 1;
        self.say(&Said { kind, is_request: true, sequence, data: data.to_vec() });
        sequence
    }

    pub(crate) fn answer(&mut self, kind: i64, sequence: i64, data: &[u8]) {
        self.say(&Said { kind, is_request: false, sequence, data: data.to_vec() });
    }

    pub(crate) fn say(&mut self, said: &Said) {
        self.socket.say(2, &said.bytes());
    }

    /// What comes next, its PINGs too.
    pub(crate) fn hear(&mut self, within: Duration) -> Heard {
        match self.socket.hear(within) {
            None => Heard::Silence,
            Some(Frame::End) => Heard::End,
            Some(Frame::Whole { opcode: 8, payload }) => Heard::Close(payload),
            Some(Frame::Whole { opcode: 10, payload }) => Heard::Pong(payload),
            Some(Frame::Whole { opcode: 2, payload }) => {
                let said = Said::read(&payload);
                assert_eq!(said.bytes(), payload, "an envelope has one form");
                if self.answers_pings && (said.kind, said.is_request) == (PING, true) {
                    self.answer(PING, said.sequence, &said.data);
                }
                Heard::Said(said)
            }
            Some(other) => panic!("the original sends no such frame: {other:?}"),
        }
    }

    /// All that comes until `is_last`, which has to.
    pub(crate) fn until(&mut self, within: Duration, mut is_last: impl FnMut(&Heard) -> bool) -> Vec<Heard> {
        let deadline = Instant::now() + within;
        let mut all = Vec::new();
        loop {
            let heard = self.hear(deadline.saturating_duration_since(Instant::now()));
            assert_ne!(heard, Heard::Silence, "what was waited for did not come: {all:?}");
            let is_end = heard == Heard::End;
            all.push(heard);
            if is_last(&all[all.len() - 1]) {
                return all;
            }
            assert!(!is_end, "what was waited for did not come: {all:?}");
        }
    }

    /// The next message of this kind; others are passed over.
    pub(crate) fn wait_for(&mut self, kind: i64, is_request: bool) -> Said {
        self.wait_long_for(kind, is_request, PATIENCE)
    }

    pub(crate) fn wait_long_for(&mut self, kind: i64, is_request: bool, within: Duration) -> Said {
        let is_it =
            |heard: &Heard| matches!(heard, Heard::Said(said) if said.kind == kind && said.is_request == is_request);
        match self.until(within, is_it).pop() {
            Some(Heard::Said(said)) => said,
            other => panic!("no message: {other:?}"),
        }
    }

    /// All messages of this time.
    pub(crate) fn gather(&mut self, within: Duration) -> Vec<Said> {
        let deadline = Instant::now() + within;
        let mut all = Vec::new();
        loop {
            match self.hear(deadline.saturating_duration_since(Instant::now())) {
                Heard::Said(said) => all.push(said),
                Heard::Silence => return all,
                Heard::Pong(_) => {}
                other => panic!("it ended: {other:?}, after {all:?}"),
            }
        }
    }

    /// The payload of the CLOSE that must come; what came before it.
    pub(crate) fn closed(&mut self, within: Duration) -> (Vec<Said>, Vec<u8>) {
        let all = self.until(within, |heard| matches!(heard, Heard::Close(_) | Heard::End));
        let mut said = Vec::new();
        let mut close = None;
        for heard in all {
            match heard {
                Heard::Said(one) => said.push(one),
                Heard::Close(payload) => close = Some(payload),
                Heard::End => panic!("TCP ended without a CLOSE, after {said:?}"),
                _ => {}
            }
        }
        (said, close.expect("a CLOSE"))
    }

    /// Asserts that it stays open and nothing of this kind and flag comes.
    pub(crate) fn hushed(&mut self, kind: i64, is_request: bool) {
        let all = self.gather(HUSH);
        let is_it = |said: &&Said| said.kind == kind && said.is_request == is_request;
        assert_eq!(all.iter().find(is_it), None, "silence is due");
        self.is_served();
    }

    /// Asserts that it is open: a PING is answered.
    pub(crate) fn is_served(&mut self) {
        self.is_served_within(PATIENCE);
    }

    /// The same of one that may be slow.
    pub(crate) fn is_served_within(&mut self, within: Duration) {
        let nonce = 77_000 + self.requests;
        let ping = Draft::new().number(1, nonce).done();
        let sequence = self.request(PING, &ping);
        loop {
            let pong = self.wait_long_for(PING, false, within);
            if pong.sequence == sequence {
                return assert_eq!(pong.data, ping, "the nonce comes back");
            }
        }
    }
}
