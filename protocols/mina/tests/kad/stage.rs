//! One Kademlia and made-up peers around it.

use polypeer_engine::{Address, ChannelId, ConnectionId, Direction, Random, Time};
use polypeer_mina::kad::{Config, Contact, Fault, Kad, Kind, Message, Output, provided};
use polypeer_mina::keys::PeerId;
use std::net::Ipv4Addr;
use std::time::Duration;

const CHAIN_ID: &str = "29936104443aaf264a7f0192ac64b1c7173198c1ed404c1bcff5e562e05eb7f6";

/// A peer by number.
pub(crate) fn peer(number: u64) -> PeerId {
    let mut random = Random::new([7; 32]);
    let mut key = [0; 32];
    key[..8].copy_from_slice(&number.to_le_bytes());
    key[8..16].copy_from_slice(&random.number().to_le_bytes());
    PeerId::of_key(key)
}

/// A public address by number, each in a network of its own.
pub(crate) fn address(number: u64) -> Address {
    let (a, b, c) = (11 + number % 80, number / 80 % 256, number / 20_480 % 256);
    Address::new(Ipv4Addr::new(a as u8, b as u8, c as u8, 1).into(), 8302)
}

pub(crate) fn contact(number: u64) -> Contact {
    Contact { peer: peer(number), addresses: vec![address(number)], is_connected: false }
}

pub(crate) fn config() -> Config {
    Config {
        rendezvous: provided(&format!("/coda/0.0.1/{CHAIN_ID}")),
        private_addresses: false,
        low_water: 0,
        looks: true,
    }
}

/// A Kademlia, what it wanted since it was last looked, and the time.
pub(crate) struct Stage {
    pub(crate) kad: Kad,
    pub(crate) now: Time,
    out: Vec<Output>,
    next: u64,
}

impl Stage {
    pub(crate) fn new(config: Config) -> Self {
        let kad = Kad::new(config, peer(0), Time::ZERO, Random::new([3; 32]));
        Self { kad, now: Time::ZERO, out: Vec::new(), next: 0 }
    }

    pub(crate) fn pass(&mut self, wait: Duration) {
        self.now = self.now + wait;
    }

    /// A peer that speaks Kademlia is connected.
    pub(crate) fn meet(&mut self, number: u64) -> ConnectionId {
        let connection = self.connect(number);
        self.tell(|kad, now, out| kad.on_identified(now, connection, true, &[], out));
        connection
    }

    /// A peer is connected, and has not said what it speaks.
    pub(crate) fn connect(&mut self, number: u64) -> ConnectionId {
        self.next += 1;
        let connection = ConnectionId::nth(Direction::Outbound, self.next);
        let at = address(number);
        self.tell(|kad, now, out| kad.on_connected(now, connection, peer(number), Some(at), Some(at.group()), out));
        connection
    }

    /// A stream is open.
    pub(crate) fn open(&mut self, connection: ConnectionId, opener: Direction) -> ChannelId {
        self.next += 1;
        let channel = ChannelId(self.next as u32);
        self.tell(|kad, now, out| kad.on_opened(now, connection, channel, opener, out));
        channel
    }

    pub(crate) fn hear(&mut self, connection: ConnectionId, channel: ChannelId, frame: &[u8]) {
        self.tell(|kad, now, out| kad.on_frame(now, connection, channel, frame, out));
    }

    pub(crate) fn say(&mut self, connection: ConnectionId, channel: ChannelId, message: &Message) {
        self.hear(connection, channel, &message.encode());
    }

    pub(crate) fn tell(&mut self, tell: impl FnOnce(&mut Kad, Time, &mut Vec<Output>)) {
        tell(&mut self.kad, self.now, &mut self.out);
        self.kad.check();
    }

    pub(crate) fn wake(&mut self) {
        self.tell(Kad::wake);
    }

    /// What was wanted since the last call.
    pub(crate) fn outputs(&mut self) -> Vec<Output> {
        std::mem::take(&mut self.out)
    }

    /// The messages that were sent since the last call, and where.
    pub(crate) fn sent(&mut self) -> Vec<(ConnectionId, ChannelId, Message)> {
        let sent = |output| match output {
            Output::Send { connection, channel, frame } => Some((connection, channel, decode(&frame))),
            _ => None,
        };
        self.outputs().into_iter().filter_map(sent).collect()
    }

    /// The one answer to a request on a new stream of the peer's.
    pub(crate) fn answer(&mut self, connection: ConnectionId, request: &Message) -> Message {
        let channel = self.open(connection, Direction::Inbound);
        self.outputs();
        self.say(connection, channel, request);
        let sent = self.sent();
        assert_eq!(sent.len(), 1, "one answer to {request:?}");
        sent.into_iter().next().expect("an answer").2
    }

    pub(crate) fn faults(&mut self) -> Vec<Fault> {
        faults(&self.outputs())
    }
}

pub(crate) fn faults(outputs: &[Output]) -> Vec<Fault> {
    let fault = |output: &Output| match output {
        Output::Fault { fault, .. } => Some(*fault),
        _ => None,
    };
    outputs.iter().filter_map(fault).collect()
}

/// The message in a frame.
pub(crate) fn decode(frame: &[u8]) -> Message {
    let (length, head) = polypeer_engine::kit::protobuf::varint(frame).expect("a length");
    assert_eq!(frame.len(), head + length as usize, "a frame is as long as it says");
    Message::decode(&frame[head..]).expect("a message")
}

pub(crate) fn find(number: u64) -> Message {
    Message::about(Kind::FindNode, &peer(number).to_bytes())
}
