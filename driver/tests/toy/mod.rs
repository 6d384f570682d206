//! A small protocol for transports that have messages: in each a letter that says what to do, and a payload. What is
//! compressed is said back as it came.
#![allow(dead_code, reason = "each transport's tests use a part of it")]

pub(crate) mod child;

use bytes::{BufMut, Bytes, BytesMut};
use polypeer_driver::{Budget, Handle, Network, View, start};
use polypeer_engine::{
    Address, BadFrame, ChannelId, Close, ConnectionId, Context, DialFailure, Direction, DisconnectCause, Frame, Framed,
    Framer, Ledger, Misbehavior, Now, Overflow, P2pAction, P2pConfig, Parting, Phase, Profile, Protocol, Ticket, Time,
    To, Transport, Weight,
};
use polypeer_store::Store;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt::Debug;
use std::marker::PhantomData;
use std::net::SocketAddr;
use std::time::Duration;

pub(crate) const LIMIT: Duration = Duration::from_secs(10);
pub(crate) const CHUNK_BYTES: usize = 64 << 10;
/// A message of at most so many bytes before the greeting, where one is needed.
pub(crate) const EARLY_BYTES_MAX: usize = 1024;
const LATE_BYTES_MAX: usize = 32 << 20;

/// What a transport's frames look like.
pub(crate) trait Wire: Copy + Debug + PartialEq + Send + 'static {
    /// The last word.
    const FAREWELL: &'static [u8];

    fn transport(config: &Config) -> Transport;

    /// Bytes of the header at the front, and of what follows it. Nothing when the header is not there, an error when it
    /// is none.
    fn parse(bytes: &[u8]) -> Option<Result<(usize, usize), ()>>;

    fn header(length: usize, out: &mut BytesMut);

    fn is_compressed(frame: &[u8]) -> bool {
        let _ = frame;
        false
    }
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Config {
    pub(crate) queue_bytes_max: usize,
    pub(crate) linger_ms: u64,
    pub(crate) open_ms_max: u64,
    pub(crate) pending_per_ip_max: usize,
    pub(crate) needs_greeting: bool,
    pub(crate) message_bytes_max: usize,
    pub(crate) frame_ms_max: Option<u64>,
    pub(crate) partial_bytes_budget: Option<usize>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            queue_bytes_max: 33 << 20,
            linger_ms: 3000,
            open_ms_max: 10_000,
            pending_per_ip_max: 2,
            needs_greeting: false,
            message_bytes_max: 32_000_000,
            frame_ms_max: None,
            partial_bytes_budget: None,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Fault<W> {
    Rude(PhantomData<W>),
    Unreadable(PhantomData<W>),
}

impl<W: Wire> Misbehavior for Fault<W> {
    fn name(&self) -> &'static str {
        match self {
            Self::Rude(_) => "rude",
            Self::Unreadable(_) => "unreadable",
        }
    }

    fn weight(&self) -> Weight {
        Weight::Breach
    }

    fn farewell(&self) -> Option<Bytes> {
        Some(Bytes::from_static(W::FAREWELL))
    }
}

pub(crate) struct Cutter<W>(PhantomData<W>);

fn length<W: Wire>(phase: Phase, bytes: &[u8]) -> Option<Result<usize, ()>> {
    let max = if phase == Phase(0) { EARLY_BYTES_MAX } else { LATE_BYTES_MAX };
    let (header, length) = match W::parse(bytes)? {
        Ok((header, length)) if length <= max => (header, length),
        _ => return Some(Err(())),
    };
    Some(Ok(header + length))
}

impl<W: Wire> Framer for Cutter<W> {
    fn whole(&self, phase: Phase, bytes: &[u8]) -> Option<usize> {
        length::<W>(phase, bytes)?.ok().filter(|length| bytes.len() >= *length)
    }

    fn next(&mut self, phase: Phase, buffer: &mut BytesMut) -> Framed {
        match length::<W>(phase, buffer) {
            None => Framed::More,
            Some(Err(())) => {
                let head = buffer.split_to(buffer.len().min(5)).freeze();
                Framed::Bad(BadFrame { head, reason: 1, fatal: true })
            }
            Some(Ok(length)) if buffer.len() < length => Framed::More,
            Some(Ok(length)) => Framed::Frame(buffer.split_to(length).freeze()),
        }
    }
}

/// The protocol: see [`Toy::on_frame`].
pub(crate) struct Toy<W> {
    /// Frames that asked for nothing, and the last one of them.
    pub(crate) quiet: u64,
    pub(crate) last: Bytes,
    /// Frames that were compressed.
    pub(crate) compressed: Vec<Bytes>,
    pub(crate) gone: Vec<DisconnectCause>,
    pub(crate) dials_failed: Vec<DialFailure>,
    asked: BTreeMap<Ticket, ConnectionId>,
    wanted: BTreeMap<ConnectionId, u32>,
    /// What was wrong with frames.
    pub(crate) bad: Vec<u8>,
    wire: PhantomData<W>,
}

type Handled<W> = Result<(), Fault<W>>;

impl<W: Wire> Protocol for Toy<W> {
    const NAME: &'static str = "toy";
    type Config = Config;
    type Peer = ();
    type Misbehavior = Fault<W>;
    type Alarm = u8;
    type Request = Bytes;
    type Answer = Bytes;
    type Framer = Cutter<W>;

    fn profile(config: &Config) -> Profile {
        let last_phase = Phase(u8::from(config.needs_greeting));
        Profile {
            last_phase,
            queue_bytes_max: config.queue_bytes_max,
            low_water_bytes: 128 << 10,
            linger: Duration::from_millis(config.linger_ms),
            frame_time_max: config.frame_ms_max.map(Duration::from_millis),
            partial_bytes_budget: config.partial_bytes_budget,
            transport: W::transport(config),
            ..Profile::default()
        }
    }

    fn framer(_: &Config, _: u16, _: Direction) -> Cutter<W> {
        Cutter(PhantomData)
    }

    fn new(_: Config, _: &mut Context<'_, Self>) -> Self {
        Self {
            quiet: 0,
            last: Bytes::new(),
            compressed: Vec::new(),
            gone: Vec::new(),
            dials_failed: Vec::new(),
            asked: BTreeMap::new(),
            wanted: BTreeMap::new(),
            bad: Vec::new(),
            wire: PhantomData,
        }
    }

    fn on_connected(&mut self, cx: &mut Context<'_, Self>, connection: ConnectionId) -> Handled<W> {
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
    ) -> Handled<W> {
        if W::is_compressed(&frame) {
            self.compressed.push(frame.keep());
            cx.send(connection, frame.share(), Overflow::Close);
            return Ok(());
        }
        let body = frame.after(W::parse(&frame).expect("a frame").expect("a frame").0);
        match body.first().copied().unwrap_or_default() {
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
            // Without a word, which another toy would say back.
            b'H' => cx.set_phase(connection, Phase(1)),
            b'r' => {
                let count = u32::from_be_bytes([body[1], body[2], body[3], body[4]]);
                self.wanted.insert(connection, count);
                self.stream(cx, connection);
            }
            b'a' => {
                let ticket = cx.ask(body.after(1).keep());
                self.asked.insert(ticket, connection);
            }
            b'l' => return Err(Fault::Rude(PhantomData)),
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
        bad: BadFrame,
    ) -> Handled<W> {
        self.bad.push(bad.reason);
        Err(Fault::Unreadable(PhantomData))
    }

    fn on_writable(
        &mut self,
        cx: &mut Context<'_, Self>,
        connection: ConnectionId,
        (): (),
        _: ChannelId,
    ) -> Handled<W> {
        self.stream(cx, connection);
        Ok(())
    }

    fn on_parting(&mut self, cx: &mut Context<'_, Self>, connection: ConnectionId, (): (), _: Parting) -> Handled<W> {
        cx.send(connection, Bytes::from_static(W::FAREWELL), Overflow::Drop);
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
            cx.send(connection, message::<W>(b'A', &answer), Overflow::Close);
        }
    }

    fn on_broadcast(&mut self, cx: &mut Context<'_, Self>, kind: u16, payload: Bytes) {
        for connection in cx.connections() {
            cx.send(connection, message::<W>(kind as u8, &payload), Overflow::Close);
        }
    }

    fn on_alarm(&mut self, _: &mut Context<'_, Self>, _: u8) {}

    fn on_peer_alarm(&mut self, _: &mut Context<'_, Self>, _: ConnectionId, (): (), _: u8) -> Handled<W> {
        Ok(())
    }
}

impl<W: Wire> Toy<W> {
    // Answers are made as the peer reads.
    fn stream(&mut self, cx: &mut Context<'_, Self>, connection: ConnectionId) {
        let Some(wanted) = self.wanted.get_mut(&connection) else { return };
        while *wanted > 0 && cx.is_writable(connection) {
            *wanted -= 1;
            cx.send(connection, message::<W>(b'R', &vec![*wanted as u8; CHUNK_BYTES]), Overflow::Close);
        }
    }
}

/// A frame.
pub(crate) fn message<W: Wire>(letter: u8, payload: &[u8]) -> Bytes {
    let mut out = BytesMut::with_capacity(16 + payload.len());
    W::header(1 + payload.len(), &mut out);
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

pub(crate) fn network<W: Wire>(config: Config) -> Network<Toy<W>> {
    Network {
        name: "toy-test".into(),
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

pub(crate) fn run<W: Wire>(config: Config) -> Handle<Toy<W>> {
    start(network(config), Parrot(Duration::ZERO), Some(Store::in_memory().expect("memory"))).expect("a free port")
}

/// Has `node` dial.
pub(crate) async fn connect<W: Wire>(node: &Handle<Toy<W>>, to: SocketAddr) {
    node.act(P2pAction::Connect { address: to.into() }).await.expect("the network runs");
}

/// Has `node` send a message to every peer.
pub(crate) async fn tell_all<W: Wire>(node: &Handle<Toy<W>>, letter: u8, payload: &[u8]) {
    let payload = Bytes::copy_from_slice(payload);
    let action = P2pAction::BroadcastMessage { kind: u16::from(letter), payload };
    node.act(action).await.expect("the network runs");
}

/// Looks again and again until it is so.
pub(crate) async fn until<W: Wire>(
    node: &Handle<Toy<W>>,
    what: &str,
    is_so: impl Fn(&View<'_, Toy<W>>) -> bool + Clone + Send + 'static,
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

pub(crate) async fn until_connected<W: Wire>(node: &Handle<Toy<W>>, count: u64) {
    until(node, "connected", move |view| view.meters.totals().connections == count).await;
}

pub(crate) async fn until_gone<W: Wire>(node: &Handle<Toy<W>>, causes: &'static [DisconnectCause]) {
    let is_gone =
        move |view: &View<'_, Toy<W>>| view.engine.protocol().gone == causes && view.meters.totals().connections == 0;
    until(node, "gone", is_gone).await;
    node.read(check).await.expect("the network runs");
}

/// What must hold of the counters at any moment.
pub(crate) fn check<W: Wire>(view: &View<'_, Toy<W>>) {
    assert_eq!(view.imbalances(), [], "{:?}", view.meters.totals());
}

/// Ends the network; nothing is left on its way.
pub(crate) async fn drain<W: Wire>(node: Handle<Toy<W>>) {
    node.drain(LIMIT).await;
    let last = node.last().expect("it has ended without a panic");
    assert_eq!(last.imbalances, [], "{:?}", last.totals);
    assert!(last.totals.is_at_rest(), "{:?}", last.totals);
}
