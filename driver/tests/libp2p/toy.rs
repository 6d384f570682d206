//! A small protocol of many channels: on each, frames of a length, a letter that says what to do, and a payload.

#[path = "../toy/child.rs"]
pub(crate) mod child;

use bytes::{Buf, Bytes, BytesMut};
use polypeer_driver::{Budget, Handle, Identity, Network, View, start};
use polypeer_engine::{
    Address, BadFrame, ChannelEnd, ChannelId, ChannelKind, Close, ConnectionId, Context, DialFailure, Direction,
    DisconnectCause, Frame, Framed, Framer, Ledger, Libp2p, Misbehavior, Now, Overflow, P2pAction, P2pConfig, Parting,
    Phase, Profile, Protocol, Ticket, Time, To, Transport, Weight,
};
use polypeer_store::Store;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

pub(crate) const LIMIT: Duration = Duration::from_secs(20);
pub(crate) const CHUNK_BYTES: usize = 64 << 10;
const FRAME_BYTES_MAX: usize = 32 << 20;
pub(crate) const MUXER: &str = "/coda/yamux/1.0.0";
/// Kinds of channels. The last one is not answered.
pub(crate) const TALK: u16 = 1;
pub(crate) const NEWS: u16 = 2;
pub(crate) const SHY: u16 = 3;
pub(crate) const NAMES: [&str; 3] = ["coda/talk/0.0.1", "/news/1.0.0", "/shy"];
const CHANNELS: [ChannelKind; 3] = [
    ChannelKind { kind: TALK, name: NAMES[0], is_answered: true },
    ChannelKind { kind: NEWS, name: NAMES[1], is_answered: true },
    ChannelKind { kind: SHY, name: NAMES[2], is_answered: false },
];

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Config {
    pub(crate) network_key: [u8; 32],
    pub(crate) queue_bytes_max: usize,
    pub(crate) linger_ms: u64,
    pub(crate) open_ms_max: u64,
    pub(crate) nonce_ms_max: u64,
    pub(crate) select_ms_max: u64,
    pub(crate) pending_per_ip_max: usize,
    pub(crate) needs_greeting: bool,
    pub(crate) offers_muxer_early: bool,
    pub(crate) own_streams_max: usize,
    pub(crate) their_streams_max: usize,
    pub(crate) frame_ms_max: Option<u64>,
    pub(crate) partial_bytes_budget: Option<usize>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            network_key: [42; 32],
            queue_bytes_max: 33 << 20,
            linger_ms: 3000,
            open_ms_max: 10_000,
            nonce_ms_max: 10_000,
            select_ms_max: 10_000,
            pending_per_ip_max: 4,
            needs_greeting: false,
            offers_muxer_early: false,
            own_streams_max: 16,
            their_streams_max: 16,
            frame_ms_max: None,
            partial_bytes_budget: None,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq)]
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
        // There is no channel for it.
        Some(Bytes::from_static(b"goodbye"))
    }
}

pub(crate) struct Cutter;

fn length(bytes: &[u8]) -> Option<usize> {
    Some(4 + u32::from_be_bytes(*bytes.first_chunk()?) as usize)
}

impl Framer for Cutter {
    fn whole(&self, _: Phase, bytes: &[u8]) -> Option<usize> {
        length(bytes).filter(|length| (5..=FRAME_BYTES_MAX).contains(length) && bytes.len() >= *length)
    }

    fn next(&mut self, _: Phase, buffer: &mut BytesMut) -> Framed {
        match length(buffer) {
            Some(4) => {
                buffer.advance(4);
                Framed::Bad(BadFrame { head: Bytes::new(), reason: 2, fatal: false })
            }
            Some(length) if length > FRAME_BYTES_MAX => {
                Framed::Bad(BadFrame { head: buffer.split_to(4).freeze(), reason: 1, fatal: true })
            }
            Some(length) if buffer.len() >= length => Framed::Frame(buffer.split_to(length).freeze()),
            _ => Framed::More,
        }
    }
}

/// What happened to a channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Told {
    Opened(u16, Direction),
    Closed(ChannelEnd),
}

/// The protocol: see [`Toy::on_frame`].
#[derive(Default)]
pub(crate) struct Toy {
    /// Frames that asked for nothing, and the last one of them.
    pub(crate) quiet: u64,
    pub(crate) last: Bytes,
    /// Channels that stand, and of what kind they are.
    pub(crate) channels: BTreeMap<(ConnectionId, ChannelId), u16>,
    /// What happened to channels, in order.
    pub(crate) told: Vec<Told>,
    pub(crate) peers: Vec<Bytes>,
    pub(crate) gone: Vec<DisconnectCause>,
    pub(crate) dials_failed: Vec<DialFailure>,
    asked: BTreeMap<Ticket, (ConnectionId, ChannelId)>,
    wanted: BTreeMap<(ConnectionId, ChannelId), u32>,
    /// What was wrong with frames, and where.
    pub(crate) bad: Vec<(ChannelId, u8)>,
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
        Profile {
            queue_bytes_max: config.queue_bytes_max,
            low_water_bytes: 128 << 10,
            linger: Duration::from_millis(config.linger_ms),
            frame_time_max: config.frame_ms_max.map(Duration::from_millis),
            partial_bytes_budget: config.partial_bytes_budget,
            transport: Transport::Libp2p(Libp2p {
                network_key: config.network_key,
                muxer: MUXER,
                offers_muxer_early: config.offers_muxer_early,
                channels: &CHANNELS,
                open_time_max: Duration::from_millis(config.open_ms_max),
                nonce_time_max: Duration::from_millis(config.nonce_ms_max),
                select_time_max: Duration::from_millis(config.select_ms_max),
                early_bytes_max: 1024,
                own_streams_max: config.own_streams_max,
                their_streams_max: config.their_streams_max,
                pending_below: Phase(u8::from(config.needs_greeting)),
                pending_max: 8,
                pending_per_ip_max: config.pending_per_ip_max,
            }),
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
        self.peers.extend(cx.ends(connection).and_then(|ends| ends.identity.clone()));
        cx.ready(connection, "toy");
        Ok(())
    }

    fn on_dial_failed(&mut self, _: &mut Context<'_, Self>, _: Address, cause: DialFailure) {
        self.dials_failed.push(cause);
    }

    fn on_channel(
        &mut self,
        cx: &mut Context<'_, Self>,
        connection: ConnectionId,
        (): (),
        channel: ChannelId,
        kind: u16,
        opener: Direction,
    ) -> Handled {
        assert_eq!(channel.opener(), opener);
        assert!(cx.is_writable_on(connection, channel));
        self.told.push(Told::Opened(kind, opener));
        self.channels.insert((connection, channel), kind);
        Ok(())
    }

    fn on_channel_closed(
        &mut self,
        _: &mut Context<'_, Self>,
        connection: ConnectionId,
        (): (),
        channel: ChannelId,
        end: ChannelEnd,
    ) -> Handled {
        self.told.push(Told::Closed(end));
        if end != ChannelEnd::Finished {
            self.channels.remove(&(connection, channel));
        }
        Ok(())
    }

    fn on_frame(
        &mut self,
        cx: &mut Context<'_, Self>,
        connection: ConnectionId,
        (): (),
        channel: ChannelId,
        frame: Frame<'_>,
    ) -> Handled {
        let body = frame.after(4);
        match body[0] {
            b'e' => cx.send_on(connection, channel, frame.share(), Overflow::Close),
            // News for all others.
            b'b' => {
                let others = self.channels.iter().filter(|((other, _), kind)| **kind == NEWS && *other != connection);
                for (other, channel) in others.map(|(place, _)| *place) {
                    cx.send_on(other, channel, frame.share(), Overflow::Drop);
                }
            }
            b'h' => {
                cx.set_phase(connection, Phase(1));
                cx.send_on(connection, channel, frame.share(), Overflow::Close);
            }
            b'r' => {
                let count = u32::from_be_bytes([body[1], body[2], body[3], body[4]]);
                self.wanted.insert((connection, channel), count);
                self.stream(cx, connection, channel);
            }
            b'a' => {
                let ticket = cx.ask(body.after(1).keep());
                self.asked.insert(ticket, (connection, channel));
            }
            b'o' => {
                cx.open(connection, u16::from(body[1]));
            }
            b'F' => {
                cx.send_on(connection, channel, frame.share(), Overflow::Close);
                cx.finish(connection, channel);
                // It is too late for this.
                cx.send_on(connection, channel, frame.share(), Overflow::Close);
            }
            b'R' => {
                cx.reset(connection, channel);
                self.channels.remove(&(connection, channel));
            }
            b'l' => return Err(Fault::Rude),
            b'f' => {
                cx.send_on(connection, channel, frame.share(), Overflow::Close);
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
        channel: ChannelId,
        bad: BadFrame,
    ) -> Handled {
        self.bad.push((channel, bad.reason));
        if channel == ChannelId::ONLY { Err(Fault::Unreadable) } else { Ok(()) }
    }

    fn on_writable(
        &mut self,
        cx: &mut Context<'_, Self>,
        connection: ConnectionId,
        (): (),
        channel: ChannelId,
    ) -> Handled {
        self.stream(cx, connection, channel);
        Ok(())
    }

    fn on_parting(&mut self, cx: &mut Context<'_, Self>, connection: ConnectionId, (): (), _: Parting) -> Handled {
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
        self.wanted.retain(|(of, _), _| *of != connection);
        self.channels.retain(|(of, _), _| *of != connection);
        self.gone.push(cause);
    }

    fn on_answer(&mut self, cx: &mut Context<'_, Self>, ticket: Option<Ticket>, answer: Bytes) {
        if let Some((connection, channel)) = ticket.and_then(|ticket| self.asked.remove(&ticket)) {
            cx.send_on(connection, channel, frame(b'A', &answer), Overflow::Close);
        }
    }

    // `O` opens a channel of a kind on each connection; any other letter is sent on each channel.
    fn on_broadcast(&mut self, cx: &mut Context<'_, Self>, kind: u16, payload: Bytes) {
        if kind == u16::from(b'O') {
            for connection in cx.connections() {
                cx.open(connection, u16::from(payload[0]));
            }
            return;
        }
        let frame = frame(kind as u8, &payload);
        for (connection, channel) in self.channels.keys() {
            cx.send_on(*connection, *channel, frame.clone(), Overflow::Close);
        }
    }

    fn on_alarm(&mut self, _: &mut Context<'_, Self>, _: u8) {}

    fn on_peer_alarm(&mut self, _: &mut Context<'_, Self>, _: ConnectionId, (): (), _: u8) -> Handled {
        Ok(())
    }
}

impl Toy {
    // Answers are made as the peer reads.
    fn stream(&mut self, cx: &mut Context<'_, Self>, connection: ConnectionId, channel: ChannelId) {
        let Some(wanted) = self.wanted.get_mut(&(connection, channel)) else { return };
        while *wanted > 0 && cx.is_writable_on(connection, channel) {
            *wanted -= 1;
            let chunk = frame(b'C', &vec![*wanted as u8; CHUNK_BYTES]);
            cx.send_on(connection, channel, chunk, Overflow::Close);
        }
    }
}

/// A frame.
pub(crate) fn frame(letter: u8, payload: &[u8]) -> Bytes {
    let mut out = BytesMut::with_capacity(5 + payload.len());
    out.extend_from_slice(&(1 + payload.len() as u32).to_be_bytes());
    out.extend_from_slice(&[letter]);
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

/// The identity of the `number`th node.
pub(crate) fn identity(number: u8) -> Identity {
    Identity::from_seed(&[number; 32])
}

pub(crate) fn network(number: u8, config: Config) -> Network<Toy> {
    Network {
        name: format!("toy-{number}"),
        p2p: P2pConfig { private_addresses: true, inbound_max: 20_000, ..P2pConfig::default() },
        protocol: config,
        listen: Some(SocketAddr::from(([127, 0, 0, 1], 0))),
        seed: None,
        record: None,
        queue_budget: Budget::default(),
        tls: None,
        identity: Some(identity(number)),
    }
}

pub(crate) fn run(number: u8, config: Config) -> Handle<Toy> {
    let store = Some(Store::in_memory().expect("memory"));
    start(network(number, config), Parrot(Duration::ZERO), store).expect("a free port")
}

/// Has `node` dial.
pub(crate) async fn connect(node: &Handle<Toy>, to: SocketAddr) {
    node.act(P2pAction::Connect { address: to.into() }).await.expect("the network runs");
}

/// Has `node` open a channel on every connection.
pub(crate) async fn open_on_all(node: &Handle<Toy>, kind: u16) {
    tell_all(node, b'O', &[kind as u8]).await;
}

/// Has `node` send a frame on every channel.
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
    for _ in 0..4000 {
        if node.read(is_so.clone()).await.expect("the network runs") {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let seen = node.read(|view| {
        let toy = view.engine.protocol();
        format!("{:?} {:?} {:?} {:?} {:?}", toy.told, toy.bad, toy.gone, toy.dials_failed, view.meters.totals())
    });
    panic!("it never happened: {what}; {:?}", seen.await);
}

pub(crate) async fn until_connected(node: &Handle<Toy>, count: u64) {
    until(node, "connected", move |view| view.meters.totals().connections == count).await;
}

pub(crate) async fn until_channels(node: &Handle<Toy>, count: usize) {
    until(node, "channels", move |view| view.engine.protocol().channels.len() == count).await;
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
