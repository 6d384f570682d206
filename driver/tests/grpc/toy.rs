//! A small protocol in gRPC's messages: the prefix of five bytes, a letter that says what to do, a payload. What is
//! compressed is said back as it came.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use polypeer_driver::{Budget, Handle, Network, View, start};
use polypeer_engine::{
    Address, BadFrame, ChannelId, Close, ConnectionId, Context, DialFailure, Direction, DisconnectCause, Frame, Framed,
    Framer, Ledger, Misbehavior, Now, Overflow, P2pAction, P2pConfig, Parting, Phase, Profile, Protocol, Ticket, Time,
    To, Transport, Weight,
};
use polypeer_store::Store;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

pub(crate) const PATH: &str = "/toy.Peer/Talk";
pub(crate) const LIMIT: Duration = Duration::from_secs(10);
pub(crate) const CHUNK_BYTES: usize = 64 << 10;
/// A message of at most so many bytes before the greeting, where one is needed.
const EARLY_BYTES_MAX: usize = 1024;
const LATE_BYTES_MAX: usize = 32 << 20;
const FAREWELL: &[u8] = b"\0\0\0\0\x04zbye";

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Config {
    pub(crate) queue_bytes_max: usize,
    pub(crate) linger_ms: u64,
    pub(crate) open_ms_max: u64,
    pub(crate) pending_per_ip_max: usize,
    pub(crate) needs_greeting: bool,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            queue_bytes_max: 33 << 20,
            linger_ms: 3000,
            open_ms_max: 10_000,
            pending_per_ip_max: 2,
            needs_greeting: false,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
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

pub(crate) struct Cutter;

fn length(phase: Phase, bytes: &[u8]) -> Option<Result<usize, BadFrame>> {
    let head = *bytes.first_chunk::<5>()?;
    let length = u32::from_be_bytes([head[1], head[2], head[3], head[4]]) as usize;
    let max = if phase == Phase(0) { EARLY_BYTES_MAX } else { LATE_BYTES_MAX };
    if head[0] > 1 || length == 0 || length > max {
        return Some(Err(BadFrame { head: Bytes::copy_from_slice(&head), reason: 1, fatal: true }));
    }
    Some(Ok(5 + length))
}

impl Framer for Cutter {
    fn whole(&self, phase: Phase, bytes: &[u8]) -> Option<usize> {
        length(phase, bytes)?.ok().filter(|length| bytes.len() >= *length)
    }

    fn next(&mut self, phase: Phase, buffer: &mut BytesMut) -> Framed {
        match length(phase, buffer) {
            None => Framed::More,
            Some(Err(bad)) => {
                buffer.advance(5);
                Framed::Bad(bad)
            }
            Some(Ok(length)) if buffer.len() < length => Framed::More,
            Some(Ok(length)) => Framed::Frame(buffer.split_to(length).freeze()),
        }
    }
}

/// The protocol: see [`Toy::on_frame`].
#[derive(Default)]
pub(crate) struct Toy {
    /// Frames that asked for nothing, and the last one of them.
    pub(crate) quiet: u64,
    pub(crate) last: Bytes,
    /// Frames that were compressed.
    pub(crate) compressed: Vec<Bytes>,
    pub(crate) gone: Vec<DisconnectCause>,
    pub(crate) dials_failed: Vec<DialFailure>,
    asked: BTreeMap<Ticket, ConnectionId>,
    wanted: BTreeMap<ConnectionId, u32>,
}

type Handled = Result<(), Fault>;

impl Protocol for Toy {
    const NAME: &'static str = "toy";
    type Config = Config;
    type Peer = ();
    type Misbehavior = Fault;
    type Alarm = u8;
    type Request = Bytes;
    type Answer = Bytes;
    type Framer = Cutter;

    fn profile(config: &Config) -> Profile {
        let last_phase = Phase(u8::from(config.needs_greeting));
        Profile {
            last_phase,
            queue_bytes_max: config.queue_bytes_max,
            low_water_bytes: 128 << 10,
            linger: Duration::from_millis(config.linger_ms),
            transport: Transport::Grpc {
                path: PATH,
                open_time_max: Duration::from_millis(config.open_ms_max),
                pending_below: last_phase,
                pending_max: 4,
                pending_per_ip_max: config.pending_per_ip_max,
            },
            ..Profile::default()
        }
    }

    fn framer(_: &Config, _: u16, _: Direction) -> Cutter {
        Cutter
    }

    fn new(_: Config, _: &mut Context<'_, Self>) -> Self {
        Self::default()
    }

    fn on_connected(&mut self, cx: &mut Context<'_, Self>, connection: ConnectionId) -> Handled {
        cx.ready(connection, "toy");
        Ok(())
    }

    fn on_dial_failed(&mut self, _: &mut Context<'_, Self>, _: Address, cause: DialFailure) {
        self.dials_failed.push(cause);
    }

    fn on_frame(
        &mut self,
        cx: &mut Context<'_, Self>,
        connection: ConnectionId,
        (): (),
        _: ChannelId,
        frame: Frame<'_>,
    ) -> Handled {
        if frame[0] == 1 {
            self.compressed.push(frame.keep());
            cx.send(connection, frame.share(), Overflow::Close);
            return Ok(());
        }
        match frame[5] {
            b'e' => cx.send(connection, frame.share(), Overflow::Close),
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
                let count = u32::from_be_bytes([frame[6], frame[7], frame[8], frame[9]]);
                self.wanted.insert(connection, count);
                self.stream(cx, connection);
            }
            b'a' => {
                let ticket = cx.ask(frame.after(6).keep());
                self.asked.insert(ticket, connection);
            }
            b'l' => return Err(Fault::Rude),
            b'f' => {
                cx.send(connection, frame.share(), Overflow::Close);
                cx.close(connection, Close::Flushed, "asked to");
            }
            b'n' => cx.close(connection, Close::Now, "asked to"),
            _ => {
                self.quiet += 1;
                self.last = frame.keep();
            }
        }
        Ok(())
    }

    fn on_bad_frame(
        &mut self,
        _: &mut Context<'_, Self>,
        _: ConnectionId,
        (): (),
        _: ChannelId,
        _: BadFrame,
    ) -> Handled {
        Err(Fault::Unreadable)
    }

    fn on_writable(&mut self, cx: &mut Context<'_, Self>, connection: ConnectionId, (): (), _: ChannelId) -> Handled {
        self.stream(cx, connection);
        Ok(())
    }

    fn on_parting(&mut self, cx: &mut Context<'_, Self>, connection: ConnectionId, (): (), _: Parting) -> Handled {
        cx.send(connection, Bytes::from_static(FAREWELL), Overflow::Drop);
        cx.close(connection, Close::Lingering, "goodbye");
        Ok(())
    }

    fn on_disconnected(
        &mut self,
        _: &mut Context<'_, Self>,
        connection: ConnectionId,
        _: Option<()>,
        cause: DisconnectCause,
    ) {
        self.wanted.remove(&connection);
        self.gone.push(cause);
    }

    fn on_answer(&mut self, cx: &mut Context<'_, Self>, ticket: Option<Ticket>, answer: Bytes) {
        if let Some(connection) = ticket.and_then(|ticket| self.asked.remove(&ticket)) {
            cx.send(connection, message(b'A', &answer), Overflow::Close);
        }
    }

    fn on_broadcast(&mut self, cx: &mut Context<'_, Self>, kind: u16, payload: Bytes) {
        for connection in cx.connections() {
            cx.send(connection, message(kind as u8, &payload), Overflow::Close);
        }
    }

    fn on_alarm(&mut self, _: &mut Context<'_, Self>, _: u8) {}

    fn on_peer_alarm(&mut self, _: &mut Context<'_, Self>, _: ConnectionId, (): (), _: u8) -> Handled {
        Ok(())
    }
}

impl Toy {
    // Answers are made as the peer reads.
    fn stream(&mut self, cx: &mut Context<'_, Self>, connection: ConnectionId) {
        let Some(wanted) = self.wanted.get_mut(&connection) else { return };
        while *wanted > 0 && cx.is_writable(connection) {
            *wanted -= 1;
            cx.send(connection, message(b'R', &vec![*wanted as u8; CHUNK_BYTES]), Overflow::Close);
        }
    }
}

/// A message with gRPC's prefix.
pub(crate) fn message(letter: u8, payload: &[u8]) -> Bytes {
    let mut out = BytesMut::with_capacity(6 + payload.len());
    out.put_u8(0);
    out.put_u32(1 + payload.len() as u32);
    out.put_u8(letter);
    out.extend_from_slice(payload);
    out.freeze()
}

/// A ledger that says back what it was asked, when it has slept.
pub(crate) struct Parrot(pub(crate) Duration);

impl Ledger for Parrot {
    type Request = Bytes;
    type Answer = Bytes;

    fn answer(&mut self, _: Now, requests: Vec<(Ticket, Bytes)>, answers: &mut Vec<(To, Bytes)>) {
        std::thread::sleep(self.0);
        answers.extend(requests.into_iter().map(|(ticket, request)| (To::Asker(ticket), request)));
    }

    fn next_wake(&self, _: Now) -> Option<Time> {
        None
    }

    fn wake(&mut self, _: Now, _: &mut Vec<(To, Bytes)>) {}
}

pub(crate) fn network(config: Config) -> Network<Toy> {
    Network {
        name: "toy-test".into(),
        p2p: P2pConfig { private_addresses: true, inbound_max: 20_000, ..P2pConfig::default() },
        protocol: config,
        listen: Some(SocketAddr::from(([127, 0, 0, 1], 0))),
        seed: None,
        record: None,
        queue_budget: Budget::default(),
    }
}

pub(crate) fn run(config: Config) -> Handle<Toy> {
    start(network(config), Parrot(Duration::ZERO), Some(Store::in_memory().expect("memory"))).expect("a free port")
}

/// Has `node` dial.
pub(crate) async fn connect(node: &Handle<Toy>, to: SocketAddr) {
    node.act(P2pAction::Connect { address: to.into() }).await.expect("the network runs");
}

/// Has `node` send a message to every peer.
pub(crate) async fn tell_all(node: &Handle<Toy>, letter: u8, payload: &[u8]) {
    let payload = Bytes::copy_from_slice(payload);
    let action = P2pAction::BroadcastMessage { kind: u16::from(letter), payload };
    node.act(action).await.expect("the network runs");
}

/// Looks again and again until it is so.
pub(crate) async fn until(
    node: &Handle<Toy>,
    what: &str,
    is_so: impl Fn(&View<'_, Toy>) -> bool + Clone + Send + 'static,
) {
    for _ in 0..2000 {
        if node.read(is_so.clone()).await.expect("the network runs") {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let seen = node.read(|view| format!("{:?} {:?}", view.engine.protocol().gone, view.meters.totals())).await;
    panic!("it never happened: {what}; {seen:?}");
}

pub(crate) async fn until_connected(node: &Handle<Toy>, count: u64) {
    until(node, "connected", move |view| view.meters.totals().connections == count).await;
}

pub(crate) async fn until_gone(node: &Handle<Toy>, causes: &'static [DisconnectCause]) {
    let is_gone =
        move |view: &View<'_, Toy>| view.engine.protocol().gone == causes && view.meters.totals().connections == 0;
    until(node, "gone", is_gone).await;
    node.read(check).await.expect("the network runs");
}

/// What must hold of the counters at any moment.
pub(crate) fn check(view: &View<'_, Toy>) {
    assert_eq!(view.imbalances(), [], "{:?}", view.meters.totals());
}

/// Ends the network; nothing is left on its way.
pub(crate) async fn drain(node: Handle<Toy>) {
    node.drain(LIMIT).await;
    let last = node.last().expect("it has ended without a panic");
    assert_eq!(last.imbalances, [], "{:?}", last.totals);
    assert!(last.totals.is_at_rest(), "{:?}", last.totals);
}
