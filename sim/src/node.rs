//! Seats an engine, its ledger and its disks at an address of the world.

use crate::clock::WallClock;
use crate::counts::Counts;
use crate::disk::Disk;
use crate::keeper::{Keeper, Remembering};
use crate::line::{LineId, Side};
use crate::link::{HostQuality, Lane};
use crate::regions::Region;
use crate::switch::Switch;
use bytes::Bytes;
use polypeer_engine::{Address, ConnectionId, Engine, Event, Ledger, Now, P2pConfig, Protocol, Ticket, Time};
use std::collections::{BTreeMap, VecDeque};

/// Opens a node's ledger on the disk that it has, at its first start and after every crash; an error says why it cannot
/// be opened.
pub type Boot<L> = Box<dyn FnMut(&Disk) -> Result<L, String>>;

/// What a node is made of.
pub struct Seat<P: Protocol, L> {
    /// Where it is and listens.
    pub address: Address,
    /// Other addresses at which it is too; with [`Switch`]es, one node can be a swarm.
    pub aliases: Vec<Address>,
    /// What its operator decided; `listen` is set from `address`.
    pub config: P2pConfig,
    /// The network's section.
    pub protocol: P::Config,
    /// What it holds, opened anew at every start.
    pub boot: Boot<L>,
    /// Where it is on the world's map.
    pub region: Region,
    /// How fast its own line is.
    pub host: HostQuality,
    /// How far its wall clock is from the right time, in milliseconds.
    pub clock_offset_ms: i64,
    /// What makes it differ from an honest node.
    pub switch: Option<Box<dyn Switch<P>>>,
    /// What it proves to be, where the transport has it prove that; made up from its address when nothing is said.
    pub identity: Option<Bytes>,
}

impl<P: Protocol, L> Seat<P, L> {
    /// An honest node with defaults at this address.
    pub fn new(address: Address, protocol: P::Config, boot: impl FnMut(&Disk) -> Result<L, String> + 'static) -> Self {
        Self {
            address,
            aliases: Vec::new(),
            config: P2pConfig::default(),
            protocol,
            boot: Box::new(boot),
            region: Region::default(),
            host: HostQuality::default(),
            clock_offset_ms: 0,
            switch: None,
            identity: None,
        }
    }
}

/// A node that runs, or did before it crashed.
pub struct Node<P: Protocol, L> {
    pub(crate) address: Address,
    pub(crate) aliases: Vec<Address>,
    pub(crate) config: P2pConfig,
    pub(crate) protocol: P::Config,
    pub(crate) boot: Boot<L>,
    pub(crate) region: Region,
    pub(crate) host: HostQuality,
    pub(crate) up: Lane,
    pub(crate) down: Lane,
    pub(crate) wall: WallClock,
    pub(crate) started: Time,
    pub(crate) engine: Option<Engine<P>>,
    pub(crate) ledger: Option<L>,
    pub(crate) disk: Disk,
    pub(crate) keeper: Keeper,
    pub(crate) switch: Option<Box<dyn Switch<P>>>,
    pub(crate) identity: Bytes,
    pub(crate) failure: Option<String>,
    pub(crate) connections: BTreeMap<ConnectionId, (LineId, Side)>,
    /// Dials under way.
    pub(crate) dials: BTreeMap<ConnectionId, Address>,
    pub(crate) asked: Vec<(Ticket, P::Request)>,
    pub(crate) events: VecDeque<(Time, Event)>,
    pub(crate) counts: Counts,
    pub(crate) accepted: u64,
    /// How often it has crashed: what was on the agenda for an earlier life is void.
    pub(crate) life: u32,
    /// The earliest wake on the agenda.
    pub(crate) wake_at: Option<Time>,
    /// It takes no step before this.
    pub(crate) stalled_until: Time,
    /// It lost power: whoever was connected does not know.
    pub(crate) deserted: Vec<(LineId, Side)>,
    pub(crate) is_dark: bool,
}

impl<P: Protocol, L> Node<P, L> {
    pub(crate) fn new(seat: Seat<P, L>, wall: WallClock, remembering: Remembering) -> Self {
        let Seat { address, aliases, mut config, protocol, boot, region, host, switch, identity, .. } = seat;
        let identity = identity.unwrap_or_else(|| made_up(address));
        config.listen = Some(address);
        Self {
            address,
            aliases,
            config,
            protocol,
            boot,
            region,
            host,
            up: Lane::default(),
            down: Lane::default(),
            wall,
            started: Time::ZERO,
            engine: None,
            ledger: None,
            disk: Disk::new(),
            keeper: Keeper::new(remembering),
            switch,
            identity,
            failure: None,
            connections: BTreeMap::new(),
            dials: BTreeMap::new(),
            asked: Vec::new(),
            events: VecDeque::new(),
            counts: Counts::default(),
            accepted: 0,
            life: 0,
            wake_at: None,
            stalled_until: Time::ZERO,
            deserted: Vec::new(),
            is_dark: false,
        }
    }

    /// Where it is.
    pub fn address(&self) -> Address {
        self.address
    }

    /// Where it is on the map.
    pub fn region(&self) -> Region {
        self.region
    }

    /// What it proves to be, where the transport has it prove that.
    pub fn identity(&self) -> &Bytes {
        &self.identity
    }

    /// Its engine, unless it is down.
    pub fn engine(&self) -> Option<&Engine<P>> {
        self.engine.as_ref()
    }

    /// Its ledger, unless it is down.
    pub fn ledger(&self) -> Option<&L> {
        self.ledger.as_ref()
    }

    /// Whether it runs.
    pub fn is_up(&self) -> bool {
        self.engine.is_some()
    }

    /// Why it could not be started the last time, if so.
    pub fn failure(&self) -> Option<&str> {
        self.failure.as_deref()
    }

    /// How often it has crashed.
    pub fn crashes(&self) -> u32 {
        self.life
    }

    /// When it started, on the world's clock.
    pub fn started(&self) -> Time {
        self.started
    }

    /// Whether it differs from an honest node.
    pub fn has_switch(&self) -> bool {
        self.switch.is_some()
    }

    /// What its operator decided.
    pub fn config(&self) -> &P2pConfig {
        &self.config
    }

    /// The disk that its ledger is on.
    pub fn ledger_disk(&self) -> &Disk {
        &self.disk
    }

    /// The disk that its address book and bans are on.
    pub fn store_disk(&self) -> &Disk {
        self.keeper.disk()
    }

    /// Records that found no room among those that wait for the disk, and commits that the disk refused.
    pub fn records_refused(&self) -> (u64, u64) {
        (self.keeper.refused, self.keeper.failed)
    }

    /// What became of its frames and bytes.
    pub fn counts(&self) -> &Counts {
        &self.counts
    }

    /// What its engine showed last, oldest first, at the world's time; see [`crate::Setting::events_max`].
    pub fn events(&self) -> impl Iterator<Item = &(Time, Event)> {
        self.events.iter()
    }

    /// Its two clocks at the world's time `world`.
    pub(crate) fn now(&self, world: Time) -> Now {
        Now {
            monotonic: Time::from_micros(world.as_micros().saturating_sub(self.started.as_micros())),
            unix_ms: self.wall.now_ms(world),
        }
    }

    /// The world's time at a point of its own monotonic clock.
    pub(crate) fn world_time(&self, own: Time) -> Time {
        Time::from_micros(own.as_micros().saturating_add(self.started.as_micros()))
    }

    pub(crate) fn show(&mut self, at: Time, event: Event, max: usize) {
        if max == 0 {
            return;
        }
        if self.events.len() >= max {
            self.events.pop_front();
        }
        self.events.push_back((at, event));
    }

    /// When it wants to be woken, on the world's clock.
    pub(crate) fn next_wake(&self, world: Time) -> Option<Time>
    where
        L: Ledger<Request = P::Request, Answer = P::Answer>,
    {
        let engine = self.engine.as_ref()?.next_wake();
        let ledger = self.ledger.as_ref().and_then(|ledger| ledger.next_wake(self.now(world)));
        let own = engine.into_iter().chain(ledger).min().map(|own| self.world_time(own));
        let switch = self.switch.as_ref().and_then(|switch| switch.next_wake());
        own.into_iter().chain(switch).min().map(|at| at.max(world))
    }
}

// An id of the form that libp2p gives an ed25519 key, of a key that nobody has.
fn made_up(address: Address) -> Bytes {
    let key = blake3::hash(address.to_string().as_bytes());
    Bytes::from([&[0x00, 0x24, 0x08, 0x01, 0x12, 0x20][..], key.as_bytes()].concat())
}
