//! One side of questions and answers, its framers, and made-up peers around it.

use bytes::{Bytes, BytesMut};
use polypeer_engine::{ChannelEnd, ChannelId, ConnectionId, Direction, Frame, Framed, Framer as _, Phase, Time};
use polypeer_mina::rpc::{Config, Cut, Fault, Message, Method, Output, Query, Rpc, handshake};
use std::collections::BTreeMap;
use std::fs;
use std::time::Duration;

/// A fixture's bytes.
pub(crate) fn file(name: &str) -> Vec<u8> {
    let path = [env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/", name].concat();
    fs::read(&path).unwrap_or_else(|wrong| panic!("{path}: {wrong}"))
}

/// What a question looks like on the wire.
pub(crate) fn query(method: Method, id: u64, payload: &[u8]) -> Bytes {
    Query { tag: method.tag().as_bytes(), version: method.version(), id, payload }.encode()
}

/// An answer on the wire, as the spec has it.
pub(crate) fn reply(id: u64, payload: &[u8]) -> Bytes {
    Message::Reply(polypeer_mina::rpc::Reply { id, result: Ok(payload) }).encode()
}

pub(crate) struct Stage {
    pub(crate) rpc: Rpc,
    pub(crate) now: Time,
    out: Vec<Output>,
    next: u64,
    // What is read of each stream, as a driver would.
    readers: BTreeMap<(ConnectionId, ChannelId), (Cut, Phase, BytesMut)>,
}

impl Stage {
    pub(crate) fn new() -> Self {
        Self::with(Config::default())
    }

    pub(crate) fn with(config: Config) -> Self {
        Self { rpc: Rpc::new(config), now: Time::ZERO, out: Vec::new(), next: 0, readers: BTreeMap::new() }
    }

    pub(crate) fn pass(&mut self, wait: Duration) {
        self.now = self.now + wait;
    }

    pub(crate) fn meet(&mut self, agent: &str) -> ConnectionId {
        self.next += 1;
        let connection = ConnectionId::nth(Direction::Outbound, self.next);
        self.rpc.on_connected(connection);
        self.rpc.on_identified(connection, agent);
        connection
    }

    /// A stream is open, and both have shaken hands.
    pub(crate) fn open(&mut self, connection: ConnectionId, opener: Direction) -> ChannelId {
        let channel = self.open_silently(connection, opener);
        self.hear(connection, channel, &handshake());
        channel
    }

    /// A stream is open, and the peer has not said a word.
    pub(crate) fn open_silently(&mut self, connection: ConnectionId, opener: Direction) -> ChannelId {
        self.next += 1;
        let channel = ChannelId(self.next as u32);
        self.readers.insert((connection, channel), (Cut::default(), Phase(0), BytesMut::new()));
        self.tell(|rpc, now, out| rpc.on_opened(now, connection, channel, opener, out));
        channel
    }

    /// Bytes come, and are cut as a driver would cut them.
    pub(crate) fn hear(&mut self, connection: ConnectionId, channel: ChannelId, bytes: &[u8]) {
        if let Some((_, _, buffer)) = self.readers.get_mut(&(connection, channel)) {
            buffer.extend_from_slice(bytes);
        }
        while let Some((cut, phase, buffer)) = self.readers.get_mut(&(connection, channel)) {
            match cut.next(*phase, buffer) {
                Framed::More => return,
                Framed::Frame(frame) => {
                    self.tell(|rpc, now, out| rpc.on_frame(now, connection, channel, Frame::from(&frame), out));
                }
                Framed::Bad(_) => {
                    self.readers.remove(&(connection, channel));
                    self.tell(|rpc, now, out| rpc.on_bad_frame(now, connection, channel, out));
                }
            }
        }
    }

    pub(crate) fn close(&mut self, connection: ConnectionId, channel: ChannelId, end: ChannelEnd) {
        self.tell(|rpc, now, out| rpc.on_closed(now, connection, channel, end, out));
    }

    pub(crate) fn wake(&mut self) {
        self.tell(Rpc::wake);
    }

    pub(crate) fn tell(&mut self, tell: impl FnOnce(&mut Rpc, Time, &mut Vec<Output>)) {
        let from = self.out.len();
        tell(&mut self.rpc, self.now, &mut self.out);
        for output in &self.out[from..] {
            match output {
                Output::SetPhase { connection, channel, phase } => {
                    if let Some((_, current, _)) = self.readers.get_mut(&(*connection, *channel)) {
                        *current = *phase;
                    }
                }
                Output::Reset { connection, channel } => drop(self.readers.remove(&(*connection, *channel))),
                _ => {}
            }
        }
        self.rpc.check();
    }

    /// What was wanted since the last call, without phases.
    pub(crate) fn outputs(&mut self) -> Vec<Output> {
        let mut out = std::mem::take(&mut self.out);
        out.retain(|output| !matches!(output, Output::SetPhase { .. }));
        out
    }

    /// The frames that were sent since the last call, whatever else was wanted.
    pub(crate) fn sent(&mut self) -> Vec<Bytes> {
        let sent = |output| match output {
            Output::Send { frame, .. } => Some(frame),
            _ => None,
        };
        self.outputs().into_iter().filter_map(sent).collect()
    }

    pub(crate) fn faults(&mut self) -> Vec<Fault> {
        let fault = |output| match output {
            Output::Fault { fault, .. } => Some(fault),
            _ => None,
        };
        self.outputs().into_iter().filter_map(fault).collect()
    }

    /// A peer asks on a new stream of its: what it is sent.
    pub(crate) fn asked(&mut self, connection: ConnectionId, frame: &[u8]) -> Vec<Output> {
        let channel = self.open(connection, Direction::Inbound);
        self.outputs();
        self.hear(connection, channel, frame);
        self.outputs()
    }
}
