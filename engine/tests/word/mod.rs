//! A protocol of one word, and stories told with it.

#![allow(dead_code, reason = "every test file uses a part of it")]

use bytes::{Bytes, BytesMut};
use polypeer_engine::{
    Address, BadFrame, Close, ConnectionId, Context, Direction, DisconnectCause, Effect, Ends, Engine, Frame, Framed,
    Framer, Misbehavior, Now, Overflow, P2pAction, P2pConfig, Parting, Phase, Profile, Protocol, Record, Ticket, Time,
    Useful, Weight,
};
use std::time::Duration;

/// A protocol whose frames are one byte: what the byte says decides what happens to its sender.
pub(crate) struct Word {
    pub(crate) gone: Vec<(ConnectionId, bool)>,
    pub(crate) partings: Vec<(ConnectionId, Parting)>,
    /// Whether whoever is told to go is waited for.
    pub(crate) is_patient: bool,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Fault {
    Stranger,
    Slip,
    Breach,
    Attack,
}

impl Misbehavior for Fault {
    fn name(&self) -> &'static str {
        match self {
            Self::Stranger => "stranger",
            Self::Slip => "slip",
            Self::Breach => "breach",
            Self::Attack => "attack",
        }
    }

    fn weight(&self) -> Weight {
        match self {
            Self::Stranger => Weight::Stranger,
            Self::Slip => Weight::Slip,
            Self::Breach => Weight::Breach,
            Self::Attack => Weight::Attack,
        }
    }

    fn farewell(&self) -> Option<Bytes> {
        (!matches!(self, Self::Stranger)).then(|| Bytes::from_static(b"!"))
    }
}

pub(crate) struct OneByte;

impl Framer for OneByte {
    fn next(&mut self, _: Phase, buffer: &mut BytesMut) -> Framed {
        if buffer.is_empty() { Framed::More } else { Framed::Frame(buffer.split_to(1).freeze()) }
    }
}

type Result = core::result::Result<(), Fault>;

impl Protocol for Word {
    const NAME: &'static str = "word";
    type Config = ();
    type Peer = ();
    type Misbehavior = Fault;
    type Alarm = u8;
    type Request = u8;
    type Answer = u8;
    type Framer = OneByte;

    fn profile((): &()) -> Profile {
        Profile {
            default_port: 1,
            seeds: Vec::new(),
            last_phase: Phase(0),
            queue_bytes_max: 1024,
            low_water_bytes: 4,
            slips_max: 3,
            slip_fade: Duration::from_secs(10),
            linger: Duration::from_secs(3),
            ..Profile::default()
        }
    }

    fn framer((): &(), _: u16, _: Direction) -> OneByte {
        OneByte
    }

    fn new((): (), _: &mut Context<'_, Self>) -> Self {
        Self { gone: Vec::new(), partings: Vec::new(), is_patient: false }
    }

    fn on_connected(&mut self, cx: &mut Context<'_, Self>, connection: ConnectionId) -> Result {
        cx.ready(connection, "word");
        Ok(())
    }

    fn on_frame(
        &mut self,
        cx: &mut Context<'_, Self>,
        connection: ConnectionId,
        (): (),
        _: polypeer_engine::ChannelId,
        frame: Frame<'_>,
    ) -> Result {
        match frame[0] {
            b'?' => Err(Fault::Stranger),
            b's' => {
                cx.slip(connection, Fault::Slip);
                Ok(())
            }
            b'b' => Err(Fault::Breach),
            b'a' => Err(Fault::Attack),
            b'o' => {
                let others = cx.connections();
                others.into_iter().for_each(|other| cx.convict(other, Fault::Breach));
                Ok(())
            }
            b'B' => {
                cx.useful(connection, Useful::Block);
                Ok(())
            }
            b'T' => {
                cx.useful(connection, Useful::Transaction);
                Ok(())
            }
            b'p' => {
                cx.answered_within(connection, Duration::from_millis(u64::from(frame[1])));
                Ok(())
            }
            b'w' => {
                self.is_patient = true;
                Ok(())
            }
            // Names addresses: 4 bytes of IP and 2 of port each.
            b'n' => {
                let source = cx.ends(connection).map(|ends| ends.remote.ip());
                let named = frame[1..]
                    .chunks_exact(6)
                    .map(|it| Address::new([it[0], it[1], it[2], it[3]].into(), u16::from_be_bytes([it[4], it[5]])));
                cx.learn(named.collect::<Vec<_>>(), source);
                Ok(())
            }
            b't' => {
                cx.peer_alarm(connection, 1, cx.time() + Duration::from_secs(1));
                Ok(())
            }
            _ => {
                cx.send(connection, frame.share(), Overflow::Close);
                Ok(())
            }
        }
    }

    fn on_bad_frame(
        &mut self,
        _: &mut Context<'_, Self>,
        _: ConnectionId,
        (): (),
        _: polypeer_engine::ChannelId,
        _: BadFrame,
    ) -> Result {
        Ok(())
    }

    fn on_parting(&mut self, cx: &mut Context<'_, Self>, connection: ConnectionId, (): (), why: Parting) -> Result {
        self.partings.push((connection, why));
        if !self.is_patient {
            cx.close(connection, Close::Flushed, "parting");
        }
        Ok(())
    }

    fn on_disconnected(
        &mut self,
        _: &mut Context<'_, Self>,
        connection: ConnectionId,
        peer: Option<()>,
        _: DisconnectCause,
    ) {
        self.gone.push((connection, peer.is_some()));
    }

    fn on_answer(&mut self, _: &mut Context<'_, Self>, _: Option<Ticket>, _: u8) {}

    fn on_alarm(&mut self, _: &mut Context<'_, Self>, _: u8) {}

    fn on_peer_alarm(&mut self, cx: &mut Context<'_, Self>, connection: ConnectionId, (): (), _: u8) -> Result {
        cx.send(connection, Bytes::from_static(b"alarm"), Overflow::Close);
        Ok(())
    }
}

/// An engine in a story: time passes when the story says so.
pub(crate) struct Story {
    pub(crate) engine: Engine<Word>,
    pub(crate) effects: Vec<Effect<u8>>,
    pub(crate) now: Now,
    pub(crate) inbound: u64,
    /// Whether all counts are recounted after every step; long stories do so now and then.
    pub(crate) is_recounted: bool,
}

impl Story {
    pub(crate) fn new(config: P2pConfig) -> Self {
        Self::with_records(config, &[])
    }

    pub(crate) fn with_records(config: P2pConfig, records: &[Record]) -> Self {
        let now = Now { monotonic: Time::ZERO, unix_ms: 1_767_225_600_000 };
        let mut effects = Vec::new();
        let engine = Engine::new(now, config, (), [7; 32], records, &mut effects);
        Self { engine, effects, now, inbound: 0, is_recounted: true }
    }

    pub(crate) fn act(&mut self, action: P2pAction<u8>) -> Vec<Effect<u8>> {
        self.engine.step(self.now, action, &mut self.effects);
        if self.is_recounted {
            assert_eq!(self.engine.state().check(), Ok(()), "a recount after every step");
        }
        std::mem::take(&mut self.effects)
    }

    /// Lets time pass, waking the engine whenever it wants.
    pub(crate) fn wait(&mut self, seconds: u64) -> Vec<Effect<u8>> {
        let end = self.now.after(Duration::from_secs(seconds));
        let mut all = Vec::new();
        while let Some(at) = self.engine.next_wake().filter(|at| *at <= end.monotonic) {
            self.now = self.now.after(at.since(self.now.monotonic));
            all.extend(self.act(P2pAction::Wake));
        }
        self.now = end;
        all
    }

    pub(crate) fn accept(&mut self, ip: &str) -> (ConnectionId, Vec<Effect<u8>>) {
        let connection = ConnectionId::nth(Direction::Inbound, self.inbound);
        self.inbound += 1;
        let remote = Address::new(ip.parse().expect("an IP address"), 50_000 + self.inbound as u16);
        let ends = Ends {
            direction: Direction::Inbound,
            local: at("10.0.0.1:1"),
            remote,
            dialled: None,
            identity: None,
            takes_compressed: false,
        };
        (connection, self.act(P2pAction::Connected { connection, ends }))
    }

    pub(crate) fn say(&mut self, connection: ConnectionId, word: &'static [u8]) -> Vec<Effect<u8>> {
        let (channel, frame) = (polypeer_engine::ChannelId::ONLY, Bytes::from_static(word));
        self.act(P2pAction::MessageReceived { connection, channel, frame })
    }

    pub(crate) fn stand(&mut self, connection: ConnectionId, address: Address) -> Vec<Effect<u8>> {
        let (direction, local) = (Direction::Outbound, at("10.0.0.1:40000"));
        let ends =
            Ends { direction, local, remote: address, dialled: Some(address), identity: None, takes_compressed: false };
        self.act(P2pAction::Connected { connection, ends })
    }
}

pub(crate) fn at(text: &str) -> Address {
    text.parse().expect("an address")
}
