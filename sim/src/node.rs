//! Seats an engine and its ledger at an address of the world.

use crate::link::Pipe;
use bytes::BytesMut;
use polypeer_engine::{
    Address, ChannelId, ConnectionId, Engine, Event, Ledger, Now, P2pConfig, Phase, Protocol, Record, Table, Ticket,
    Time,
};
use std::collections::{BTreeMap, VecDeque};

/// Events that a node keeps for the story to look at; the oldest leave.
const EVENTS_MAX: usize = 10_000;

/// What a node is made of.
pub struct Seat<P: Protocol, L> {
    /// Where it is and listens.
    pub address: Address,
    /// What its operator decided; `listen` is set from `address`.
    pub config: P2pConfig,
    /// The network's section.
    pub protocol: P::Config,
    /// What it holds.
    pub ledger: L,
    /// How far its wall clock is from the world's, in milliseconds.
    pub clock_offset_ms: i64,
}

/// A node that runs, or did before it crashed.
pub struct Node<P: Protocol, L> {
    pub(crate) address: Address,
    pub(crate) config: P2pConfig,
    pub(crate) protocol: P::Config,
    pub(crate) clock_offset_ms: i64,
    pub(crate) started: Time,
    pub(crate) engine: Option<Engine<P>>,
    pub(crate) ledger: L,
    pub(crate) connections: BTreeMap<ConnectionId, Socket<P>>,
    pub(crate) records: BTreeMap<(Table, Vec<u8>), Vec<u8>>,
    pub(crate) asked: Vec<(Ticket, P::Request)>,
    pub(crate) events: VecDeque<(Time, Event)>,
    pub(crate) accepted: u64,
    pub(crate) life: u64,
    pub(crate) wake_at: Option<Time>,
}

/// A node's end of a connection.
pub(crate) struct Socket<P: Protocol> {
    pub(crate) other: (usize, ConnectionId),
    pub(crate) other_life: u64,
    pub(crate) framer: P::Framer,
    pub(crate) phase: Phase,
    pub(crate) buffer: BytesMut,
    /// What this node sends.
    pub(crate) out: Pipe,
    /// What still comes is thrown away: this end closed, or its bytes cannot be read on.
    pub(crate) is_deaf: bool,
    /// This end has said that it closes.
    pub(crate) is_closing: bool,
}

impl<P: Protocol, L> Node<P, L> {
    pub(crate) fn new(seat: Seat<P, L>) -> Self {
        let Seat { address, mut config, protocol, ledger, clock_offset_ms } = seat;
        config.listen = Some(address);
        Self {
            address,
            config,
            protocol,
            clock_offset_ms,
            started: Time::ZERO,
            engine: None,
            ledger,
            connections: BTreeMap::new(),
            records: BTreeMap::new(),
            asked: Vec::new(),
            events: VecDeque::new(),
            accepted: 0,
            life: 0,
            wake_at: None,
        }
    }

    /// Where it is.
    pub fn address(&self) -> Address {
        self.address
    }

    /// Its engine, unless it has crashed.
    pub fn engine(&self) -> Option<&Engine<P>> {
        self.engine.as_ref()
    }

    /// Its ledger.
    pub fn ledger(&self) -> &L {
        &self.ledger
    }

    /// What its engine showed, oldest first, at the world's time.
    pub fn events(&self) -> impl Iterator<Item = &(Time, Event)> {
        self.events.iter()
    }

    /// Its two clocks at the world's time `world`, of which `epoch_ms` is the beginning.
    pub(crate) fn now(&self, world: Time, epoch_ms: u64) -> Now {
        let unix_ms = epoch_ms.saturating_add(world.as_micros() / 1_000);
        Now {
            monotonic: Time::from_micros(world.as_micros().saturating_sub(self.started.as_micros())),
            unix_ms: unix_ms.saturating_add_signed(self.clock_offset_ms),
        }
    }

    /// The world's time at a point of its own clock.
    pub(crate) fn world_time(&self, own: Time) -> Time {
        Time::from_micros(own.as_micros().saturating_add(self.started.as_micros()))
    }

    pub(crate) fn saved(&self) -> Vec<Record> {
        let record = |((table, key), value): (&(Table, Vec<u8>), &Vec<u8>)| Record {
            table: *table,
            key: key.clone().into(),
            value: Some(value.clone().into()),
        };
        self.records.iter().map(record).collect()
    }

    pub(crate) fn save(&mut self, record: Record) {
        let key = (record.table, record.key.to_vec());
        match record.value {
            Some(value) => self.records.insert(key, value.to_vec()),
            None => self.records.remove(&key),
        };
    }

    pub(crate) fn show(&mut self, at: Time, event: Event) {
        if self.events.len() == EVENTS_MAX {
            self.events.pop_front();
        }
        self.events.push_back((at, event));
    }

    pub(crate) fn next_wake(&self, world: Time, epoch_ms: u64) -> Option<Time>
    where
        L: Ledger<Request = P::Request, Answer = P::Answer>,
    {
        let engine = self.engine.as_ref()?.next_wake();
        let ledger = self.ledger.next_wake(self.now(world, epoch_ms));
        let own = engine.into_iter().chain(ledger).min()?;
        Some(self.world_time(own).max(world))
    }
}

impl<P: Protocol> Socket<P> {
    pub(crate) fn new(config: &P::Config, other: (usize, ConnectionId), other_life: u64, own: ConnectionId) -> Self {
        Self {
            other,
            other_life,
            framer: P::framer(config, u16::try_from(ChannelId::ONLY.0).unwrap_or(0), own.direction()),
            phase: Phase(0),
            buffer: BytesMut::new(),
            out: Pipe::default(),
            is_deaf: false,
            is_closing: false,
        }
    }
}
