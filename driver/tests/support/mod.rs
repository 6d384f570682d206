//! A small protocol that the tests talk to over real sockets: a length, a letter that says what to do, a payload.
#![allow(dead_code, unreachable_pub, reason = "each test file uses a part of it")]

use bytes::{Buf, Bytes, BytesMut};
use polypeer_driver::{Budget, Handle, Network, View, start};
use polypeer_engine::{
    BadFrame, ChannelId, Close, ConnectionId, Context, Direction, DisconnectCause, Frame, Framed, Framer, Ledger,
    Misbehavior, Now, Overflow, P2pConfig, Parting, Phase, Profile, Protocol, Ticket, Time, To, Weight,
};
use polypeer_store::Store;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// A frame with a payload of at most so many bytes before the greeting.
pub const EARLY_BYTES_MAX: usize = 1024;
/// And after it.
pub const LATE_BYTES_MAX: usize = 32 << 20;
/// What the streamer answers with.
pub const CHUNK_BYTES: usize = 64 << 10;
pub const FAREWELL: &[u8] = b"\0\0\0\x04zbye";

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Config {
    pub queue_bytes_max: usize,
    pub low_water_bytes: usize,
    pub linger_ms: u64,
    pub needs_greeting: bool,
    pub frame_ms_max: Option<u64>,
    pub partial_bytes_budget: Option<usize>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            queue_bytes_max: 33 << 20,
            low_water_bytes: 128 << 10,
            linger_ms: 300,
            needs_greeting: false,
            frame_ms_max: None,
            partial_bytes_budget: None,
        }
    }
}

#[derive(Debug, Default)]
pub struct Peer {
    /// Chunks that it still wants.
    wanted: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    Rude,
    Unreadable,
}

impl Misbehavior for Fault {
    fn name(&self) -> &'static str {
        match self {
            Self::Rude => "rude",
            Self::Unreadable => "unreadable",
        }
    }

    fn weight(&self) -> Weight {
        Weight::Breach
    }

    fn farewell(&self) -> Option<Bytes> {
        Some(Bytes::from_static(FAREWELL))
    }
}

pub struct Cutter;

impl Framer for Cutter {
    fn whole(&self, phase: Phase, bytes: &[u8]) -> Option<usize> {
        let length = u32::from_be_bytes(*bytes.first_chunk::<4>()?) as usize;
        let max = if phase == Phase(0) { EARLY_BYTES_MAX } else { LATE_BYTES_MAX };
        (length > 0 && length <= max && bytes.len() >= 4 + length).then_some(4 + length)
    }

    fn next(&mut self, phase: Phase, buffer: &mut BytesMut) -> Framed {
        let Some(head) = buffer.first_chunk::<4>() else { return Framed::More };
        let length = u32::from_be_bytes(*head) as usize;
        let max = if phase == Phase(0) { EARLY_BYTES_MAX } else { LATE_BYTES_MAX };
        if length > max || length == 0 {
            let head = Bytes::copy_from_slice(head);
            buffer.advance(4);
            return Framed::Bad(BadFrame { head, reason: 1, fatal: length > 0 });
        }
        if buffer.len() < 4 + length {
            return Framed::More;
        }
        Framed::Frame(buffer.split_to(4 + length).freeze())
    }
}

/// The protocol. A letter says what happens, see [`Echo::on_frame`].
pub struct Echo {
    pub quiet: u64,
    pub gone: Vec<(ConnectionId, DisconnectCause)>,
    pub asked: BTreeMap<Ticket, ConnectionId>,
    pub unasked: u64,
    pub woken: u64,
    pub names: Vec<usize>,
}

type Handled = Result<Peer, Fault>;

impl Protocol for Echo {
    const NAME: &'static str = "echo";
    type Config = Config;
    type Peer = Peer;
    type Misbehavior = Fault;
    type Alarm = u8;
    type Request = Bytes;
    type Answer = Bytes;
    type Framer = Cutter;

    fn profile(config: &Config) -> Profile {
        Profile {
            last_phase: Phase(u8::from(config.needs_greeting)),
            queue_bytes_max: config.queue_bytes_max,
            low_water_bytes: config.low_water_bytes,
            linger: Duration::from_millis(config.linger_ms),
            frame_time_max: config.frame_ms_max.map(Duration::from_millis),
            partial_bytes_budget: config.partial_bytes_budget,
            ..Profile::default()
        }
    }

    fn framer(_: &Config, _: u16, _: Direction) -> Cutter {
        Cutter
    }

    fn new(_: Config, cx: &mut Context<'_, Self>) -> Self {
        let records = cx.records();
        cx.alarm(0, cx.time() + Duration::from_millis(20));
        let names = records.iter().map(|record| record.key.len()).collect();
        Self { quiet: 0, gone: Vec::new(), asked: BTreeMap::new(), unasked: 0, woken: 0, names }
    }

    fn on_connected(&mut self, cx: &mut Context<'_, Self>, connection: ConnectionId) -> Handled {
        cx.ready(connection, "echo");
        Ok(Peer::default())
    }

    fn on_frame(
        &mut self,
        cx: &mut Context<'_, Self>,
        connection: ConnectionId,
        mut peer: Peer,
        _: ChannelId,
        frame: Frame<'_>,
    ) -> Handled {
        match frame[4] {
            b'e' => cx.send(connection, frame.share(), Overflow::Close),
            b'd' => cx.send(connection, frame.share(), Overflow::Drop),
            b'b' => {
                for other in cx.connections() {
                    cx.send(other, frame.share(), Overflow::Drop);
                }
            }
            b'h' => {
                cx.set_phase(connection, Phase(1));
                cx.send(connection, frame.share(), Overflow::Close);
            }
            b'r' => {
                peer.wanted = u32::from_be_bytes([frame[5], frame[6], frame[7], frame[8]]);
                stream(cx, connection, &mut peer);
            }
            b'a' => {
                let ticket = cx.ask(frame.after(5).keep());
                self.asked.insert(ticket, connection);
            }
            b's' => cx.save(Bytes::copy_from_slice(&frame[5..]), Some(Bytes::from_static(b"seen"))),
            b'l' => return Err(Fault::Rude),
            b'f' => {
                cx.send(connection, frame.share(), Overflow::Close);
                cx.close(connection, Close::Flushed, "asked to");
            }
            b'n' => cx.close(connection, Close::Now, "asked to"),
            b'p' => panic!("a peer found the panic"),
            _ => self.quiet += 1,
        }
        Ok(peer)
    }

    fn on_bad_frame(
        &mut self,
        cx: &mut Context<'_, Self>,
        connection: ConnectionId,
        peer: Peer,
        _: ChannelId,
        bad: BadFrame,
    ) -> Handled {
        if bad.fatal {
            return Err(Fault::Unreadable);
        }
        cx.send(connection, frame(b'?', &[bad.reason]), Overflow::Close);
        Ok(peer)
    }

    fn on_writable(
        &mut self,
        cx: &mut Context<'_, Self>,
        connection: ConnectionId,
        mut peer: Peer,
        _: ChannelId,
    ) -> Handled {
        stream(cx, connection, &mut peer);
        Ok(peer)
    }

    fn on_parting(&mut self, cx: &mut Context<'_, Self>, connection: ConnectionId, peer: Peer, _: Parting) -> Handled {
        cx.send(connection, Bytes::from_static(FAREWELL), Overflow::Drop);
        cx.close(connection, Close::Lingering, "goodbye");
        Ok(peer)
    }

    fn on_disconnected(
        &mut self,
        _: &mut Context<'_, Self>,
        connection: ConnectionId,
        _: Option<Peer>,
        cause: DisconnectCause,
    ) {
        self.gone.push((connection, cause));
    }

    fn on_answer(&mut self, cx: &mut Context<'_, Self>, ticket: Option<Ticket>, answer: Bytes) {
        let Some(ticket) = ticket else {
            self.unasked += 1;
            return;
        };
        if let Some(connection) = self.asked.remove(&ticket) {
            cx.send(connection, frame(b'A', &answer), Overflow::Close);
        }
    }

    fn on_broadcast(&mut self, cx: &mut Context<'_, Self>, kind: u16, payload: Bytes) {
        let frame = frame(kind as u8, &payload);
        for connection in cx.connections() {
            cx.send(connection, frame.clone(), Overflow::Drop);
        }
    }

    fn on_alarm(&mut self, cx: &mut Context<'_, Self>, alarm: u8) {
        self.woken += 1;
        cx.alarm(alarm, cx.time() + Duration::from_millis(20));
    }

    fn on_peer_alarm(&mut self, _: &mut Context<'_, Self>, _: ConnectionId, peer: Peer, _: u8) -> Handled {
        Ok(peer)
    }
}

// Answers are made as the peer reads.
fn stream(cx: &mut Context<'_, Echo>, connection: ConnectionId, peer: &mut Peer) {
    while peer.wanted > 0 && cx.is_writable(connection) {
        peer.wanted -= 1;
        cx.send(connection, frame(b'R', &vec![peer.wanted as u8; CHUNK_BYTES]), Overflow::Close);
    }
}

pub fn frame(letter: u8, payload: &[u8]) -> Bytes {
    let mut out = BytesMut::with_capacity(5 + payload.len());
    out.extend_from_slice(&(1 + payload.len() as u32).to_be_bytes());
    out.extend_from_slice(&[letter]);
    out.extend_from_slice(payload);
    out.freeze()
}

/// A ledger that says back what it was asked, and speaks unasked when it was asked "tell".
#[derive(Debug, Default)]
pub struct Parrot {
    pub delay: Duration,
    pub ticks: u64,
}

impl Ledger for Parrot {
    type Request = Bytes;
    type Answer = Bytes;

    fn answer(&mut self, _: Now, requests: Vec<(Ticket, Bytes)>, answers: &mut Vec<(To, Bytes)>) {
        std::thread::sleep(self.delay);
        for (ticket, request) in requests {
            match &request[..] {
                b"panic" => panic!("the ledger found the panic"),
                b"ticks" => answers.push((To::Asker(ticket), Bytes::copy_from_slice(&self.ticks.to_be_bytes()))),
                b"tell" => {
                    answers.push((To::Engine, request.clone()));
                    answers.push((To::Asker(ticket), request));
                }
                _ => answers.push((To::Asker(ticket), request)),
            }
        }
    }

    fn next_wake(&self, _: Now) -> Option<Time> {
        Some(Time::from_micros((self.ticks + 1) * 10_000))
    }

    fn wake(&mut self, now: Now, _: &mut Vec<(To, Bytes)>) {
        self.ticks = now.monotonic.as_micros() / 10_000;
    }
}

pub fn network(config: Config) -> Network<Echo> {
    Network {
        name: "echo-test".into(),
        p2p: P2pConfig { private_addresses: true, inbound_max: 20_000, ..P2pConfig::default() },
        protocol: config,
        listen: Some(SocketAddr::from(([127, 0, 0, 1], 0))),
        seed: None,
        record: None,
        queue_budget: Budget::default(),
        tls: None,
        identity: None,
    }
}

pub fn run(config: Config) -> Handle<Echo> {
    start(network(config), Parrot::default(), Some(Store::in_memory().expect("memory"))).expect("a free port")
}

pub struct Client(pub TcpStream);

impl Client {
    pub async fn connect(handle: &Handle<Echo>) -> Self {
        let stream = TcpStream::connect(handle.listening().expect("it listens")).await.expect("it accepts");
        stream.set_nodelay(true).expect("a socket");
        Self(stream)
    }

    pub async fn send(&mut self, letter: u8, payload: &[u8]) {
        self.0.write_all(&frame(letter, payload)).await.expect("the node reads");
    }

    /// The next frame's letter and payload; nothing at the end of the stream.
    pub async fn receive(&mut self) -> Option<(u8, Vec<u8>)> {
        let mut head = [0; 5];
        let within = Duration::from_secs(20);
        tokio::time::timeout(within, self.0.read_exact(&mut head)).await.expect("the node is silent").ok()?;
        let length = u32::from_be_bytes([head[0], head[1], head[2], head[3]]) as usize;
        let mut payload = vec![0; length - 1];
        tokio::time::timeout(within, self.0.read_exact(&mut payload)).await.expect("the node is silent").ok()?;
        Some((head[4], payload))
    }

    pub async fn ask(&mut self, letter: u8, payload: &[u8]) -> Option<(u8, Vec<u8>)> {
        self.send(letter, payload).await;
        self.receive().await
    }
}

/// Looks again and again until it is so.
pub async fn until(
    handle: &Handle<Echo>,
    what: &str,
    is_so: impl Fn(&View<'_, Echo>) -> bool + Clone + Send + 'static,
) {
    for _ in 0..2000 {
        if handle.read(is_so.clone()).await.expect("the network runs") {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("it never happened: {what}");
}

/// What must hold of the counters at any moment.
pub fn check_conservation(view: &View<'_, Echo>) {
    assert_eq!(view.imbalances(), [], "{:?}", view.meters.totals());
}

pub const LIMIT: Duration = Duration::from_secs(10);
