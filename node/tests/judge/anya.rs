//! Speaks AnYa as a test client does, from the AnYa spec alone: strict in what it hears, free in what it says.

use super::ledger::{Block, Hash, network_id};
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::{Duration, Instant};

/// The network that is judged.
pub(crate) const NETWORK: &str = "anya-devnet";
/// How long an answer that must come may take.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);
/// How long one listens to be sure that nothing comes.
pub(crate) const QUIET: Duration = Duration::from_millis(400);

/// A message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Message {
    /// The type without its padding.
    pub(crate) kind: String,
    /// The payload.
    pub(crate) payload: Vec<u8>,
}

/// The 36 bytes before a payload.
pub(crate) fn header(kind: &[u8], length: u32) -> Vec<u8> {
    let mut bytes = kind.to_vec();
    bytes.resize(32, 0);
    bytes.extend(length.to_be_bytes());
    bytes
}

/// A whole frame.
pub(crate) fn frame(kind: &str, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).expect("a payload fits its length");
    [&header(kind.as_bytes(), length), payload].concat()
}

/// A `network_address`.
pub(crate) fn address(of: SocketAddr) -> Vec<u8> {
    let ip = match of {
        SocketAddr::V4(v4) => v4.ip().to_ipv6_mapped(),
        SocketAddr::V6(v6) => *v6.ip(),
    };
    let mut bytes = ip.octets().to_vec();
    bytes.extend(of.port().to_be_bytes());
    bytes.resize(32, 0);
    bytes
}

/// A `blockchain_info` that is right for genesis and these blocks above it.
pub(crate) fn info(blocks: &[Block]) -> Vec<u8> {
    let genesis = Block::genesis(NETWORK);
    let tip = blocks.last().unwrap_or(&genesis);
    let gaps = 4095.min(tip.height.div_ceil(64));
    let hash_at = |height: u64| match usize::try_from(height).expect("a small chain") {
        0 => genesis.hash(),
        above => blocks[above - 1].hash(),
    };
    let heights = (0..=gaps).map(|i| (i * tip.height).checked_div(gaps).unwrap_or(0));
    info_with(&genesis.hash(), &tip.hash(), tip.height, heights.map(|height| (height, hash_at(height))).collect())
}

/// A `blockchain_info` with these claims.
pub(crate) fn info_with(genesis: &Hash, tip: &Hash, height: u64, waypoints: Vec<(u64, Hash)>) -> Vec<u8> {
    let mut bytes = vec![1];
    bytes.extend(network_id(NETWORK));
    bytes.extend(genesis);
    bytes.extend(tip);
    bytes.extend(height.to_be_bytes());
    bytes.extend((u128::from(height + 1) * 256).to_be_bytes());
    bytes.extend(u32::try_from(waypoints.len()).expect("few").to_be_bytes());
    for (height, hash) in waypoints {
        bytes.extend(height.to_be_bytes());
        bytes.extend(hash);
    }
    bytes
}

/// A `mempool` of these transactions.
pub(crate) fn mempool(transactions: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = u32::try_from(transactions.len()).expect("few").to_be_bytes().to_vec();
    for transaction in transactions {
        bytes.extend(u32::try_from(transaction.len()).expect("short").to_be_bytes());
        bytes.extend(transaction);
    }
    bytes
}

/// A `peers` of these addresses.
pub(crate) fn peers(addresses: &[SocketAddr]) -> Vec<u8> {
    let mut bytes = u32::try_from(addresses.len()).expect("few").to_be_bytes().to_vec();
    addresses.iter().for_each(|one| bytes.extend(address(*one)));
    bytes
}

/// What a test client answers of its own accord.
#[derive(Clone, Default)]
pub(crate) struct Manner {
    /// To `get_blockchain_info`.
    pub(crate) info: Option<Vec<u8>>,
    /// To `get_mempool`.
    pub(crate) mempool: Option<Vec<u8>>,
    /// To `get_peers`.
    pub(crate) peers: Option<Vec<u8>>,
    /// To `get_block`: what it holds.
    pub(crate) blocks: Vec<Block>,
    /// Whether to answer `ping`.
    pub(crate) pong: bool,
}

impl Manner {
    /// An honest peer that holds these blocks above genesis.
    pub(crate) fn honest(blocks: &[Block]) -> Self {
        Self {
            info: Some(info(blocks)),
            mempool: Some(mempool(&[])),
            peers: Some(peers(&[])),
            blocks: blocks.to_vec(),
            pong: true,
        }
    }
}

/// What came, or did not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Heard {
    /// A message that the client does not answer by itself.
    Said(Message),
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
    /// The requests that the node made, those answered too.
    pub(crate) asked: Vec<Message>,
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
            match listener.accept() {
                Ok((stream, _)) => {
                    stream.set_nonblocking(false).expect("a mode");
                    return Self::on(stream);
                }
                Err(_) => assert!(Instant::now() < deadline, "the node did not dial"),
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    fn on(stream: TcpStream) -> Self {
        stream.set_nodelay(true).expect("an option");
        Self { stream, unread: Vec::new(), manner: Manner::default(), asked: Vec::new() }
    }

    /// A connection past the handshake that answers nothing by itself.
    pub(crate) fn open(node: SocketAddr) -> Self {
        let mut peer = Self::dial(node);
        let own = address(peer.stream.local_addr().expect("a socket"));
        peer.say(&frame("connect", &own));
        let answer = peer.message();
        assert_eq!(answer, Message { kind: "connection_accepted".into(), payload: address(node) });
        peer
    }

    /// A ready peer with this manner: the node has its `blockchain_info` and has asked what it asks at the start.
    pub(crate) fn ready(node: SocketAddr, manner: Manner) -> Self {
        let mut peer = Self::open(node);
        peer.manner = manner;
        peer.settle();
        assert!(peer.asked.iter().any(|asked| asked.kind == "get_blockchain_info"), "the node asked {:?}", peer.asked);
        peer
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
        let _ = self.stream.shutdown(std::net::Shutdown::Write);
    }

    /// The next message, closing or silence, after answering what the manner answers.
    pub(crate) fn hear(&mut self, within: Duration) -> Heard {
        let deadline = Instant::now() + within;
        loop {
            match self.read(deadline) {
                Heard::Said(message) if self.answer(&message) => {}
                heard => return heard,
            }
        }
    }

    /// The next message, which must come.
    pub(crate) fn message(&mut self) -> Message {
        match self.hear(PATIENCE) {
            Heard::Said(message) => message,
            other => panic!("a message was due, but: {other:?}"),
        }
    }

    /// The next message of this kind, which must come; relayed blocks and transactions and questions may come before.
    pub(crate) fn message_of(&mut self, kind: &str) -> Message {
        loop {
            let message = self.message();
            if message.kind == kind {
                return message;
            }
            let by_itself = ["block", "tx", "get_block", "get_blockchain_info", "get_mempool", "get_peers", "ping"];
            assert!(by_itself.contains(&message.kind.as_str()), "{kind} was due, but: {message:?}");
        }
    }

    /// The next message must be this error.
    pub(crate) fn error(&mut self, about: &str, code: &str) {
        let expected = [&header(about.as_bytes(), 0)[..32], &header(code.as_bytes(), 0)[..32]].concat();
        let got = self.message_of("error");
        let show = |payload: &[u8]| String::from_utf8_lossy(payload).replace('\0', " ");
        assert_eq!(show(&got.payload), show(&expected));
    }

    /// The node must close now, in order and without another word of its own.
    pub(crate) fn closed(&mut self) {
        loop {
            match self.hear(PATIENCE) {
                Heard::Closed => return,
                Heard::Said(message) if message.kind != "error" && message.kind != "pong" => {}
                other => panic!("the node should have closed, but: {other:?}"),
            }
        }
    }

    /// The node must close now without a word; here it may break the connection, since no word can be lost.
    pub(crate) fn closed_silently(&mut self) {
        loop {
            match self.hear(PATIENCE) {
                Heard::Closed | Heard::Broken => return,
                Heard::Said(message) if message.kind != "error" && message.kind != "pong" => {}
                other => panic!("the node should have closed without a word, but: {other:?}"),
            }
        }
    }

    /// The node must close now; an `error` may come before.
    pub(crate) fn closed_somehow(&mut self) {
        loop {
            match self.hear(PATIENCE) {
                Heard::Closed | Heard::Broken => return,
                Heard::Said(message) if message.kind != "pong" => {}
                other => panic!("the node should have closed, but: {other:?}"),
            }
        }
    }

    /// The node must be there, and must have no complaint.
    pub(crate) fn fine(&mut self) {
        self.say(&frame("ping", &[]));
        self.message_of("pong");
        self.settle();
    }

    /// Listens until the node has nothing more to say; no error may be among it.
    pub(crate) fn settle(&mut self) {
        loop {
            match self.hear(QUIET) {
                Heard::Silence => return,
                Heard::Said(message) if message.kind != "error" => {}
                other => panic!("the node should be content, but: {other:?}"),
            }
        }
    }

    /// All that the node says of its own accord until it is quiet, questions that the manner answers left out.
    pub(crate) fn gather(&mut self) -> Vec<Message> {
        let mut said = Vec::new();
        while let Heard::Said(message) = self.hear(QUIET) {
            said.push(message);
        }
        said
    }

    fn read(&mut self, deadline: Instant) -> Heard {
        loop {
            if let Some(message) = self.whole() {
                return Heard::Said(message);
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Heard::Silence;
            }
            self.stream.set_read_timeout(Some(left)).expect("a timeout");
            let mut piece = [0; 65536];
            match self.stream.read(&mut piece) {
                Ok(0) if self.unread.is_empty() => return Heard::Closed,
                Ok(0) => return Heard::Broken, // Within a frame.
                Ok(length) => self.unread.extend(&piece[..length]),
                Err(fault) if matches!(fault.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
                Err(_) => return Heard::Broken,
            }
        }
    }

    // Takes a whole frame off what was read, and holds the node to the form of it.
    fn whole(&mut self) -> Option<Message> {
        let (head, rest) = self.unread.split_first_chunk::<36>()?;
        let length = u32::from_be_bytes([head[32], head[33], head[34], head[35]]) as usize;
        let payload = rest.get(..length)?.to_vec();
        let end = head[..32].iter().position(|byte| *byte == 0).unwrap_or(32);
        let well_formed = |byte: &u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_');
        assert!(end > 0 && head[..end].iter().all(well_formed), "a type: {:?}", &head[..32]);
        assert!(head[end..32].iter().all(|byte| *byte == 0), "a type's padding: {:?}", &head[..32]);
        let kind = String::from_utf8_lossy(&head[..end]).into_owned();
        assert!(payload_fits(&kind, length), "{kind} with {length} bytes");
        self.unread.drain(..36 + length);
        Some(Message { kind, payload })
    }

    // Whether the manner has an answer, which is then sent.
    fn answer(&mut self, message: &Message) -> bool {
        if message.kind.starts_with("get_") {
            self.asked.push(message.clone());
        }
        let answer = match message.kind.as_str() {
            "get_blockchain_info" => self.manner.info.as_ref().map(|payload| frame("blockchain_info", payload)),
            "get_mempool" => self.manner.mempool.as_ref().map(|payload| frame("mempool", payload)),
            "get_peers" => self.manner.peers.as_ref().map(|payload| frame("peers", payload)),
            "ping" => self.manner.pong.then(|| frame("pong", &[])),
            "get_block" => {
                let block = self.manner.blocks.iter().find(|block| block.hash()[..] == message.payload[..]);
                block.map(|block| frame("block", &block.bytes()))
            }
            _ => None,
        };
        answer.is_some_and(|answer| {
            self.try_say(&answer);
            true
        })
    }
}

// The sizes of section 2 and 3, as far as they do not depend on settings.
fn payload_fits(kind: &str, length: usize) -> bool {
    match kind {
        "connect" => length == 32 || length == 64,
        "connection_accepted" | "get_block" => length == 32,
        "error" => length == 64,
        "disconnect" | "disconnect_ack" | "ping" | "pong" => length == 0,
        "get_blockchain_info" | "get_mempool" | "get_peers" => length == 0,
        "blockchain_info" => (149..=163_949).contains(&length) && (length - 109).is_multiple_of(40),
        "peers" => length <= 32_004 && length % 32 == 4,
        "tx" => length == 153,
        "block" => (133..=4 << 20).contains(&length),
        "mempool" => (4..=32 << 20).contains(&length),
        _ => false,
    }
}
