//! Holds what is known of one connection, from the first word to ready.

use crate::handshake::{Greeting, VERSION};
use crate::ledger::Hash;
use crate::relay::Announced;
use crate::relay::transactions::Fetching;
use crate::serve::Serving;
use crate::wire::Version;
use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::string::String;
use core::time::Duration;
use polypeer_engine::Time;
use polypeer_engine::kit::seen::Seen;

/// Blocks that a peer is remembered to know: the newest, which are the only ones that are announced.
const KNOWN_BLOCKS_MAX: usize = 1024;

/// One connection.
#[derive(Debug)]
pub enum Peer {
    /// The handshake is under way. May become [`Peer::Ready`].
    Greeting(Greeting),
    /// The handshake is complete.
    Ready(Box<Ready>),
}

/// A peer that is connected.
#[derive(Debug)]
pub struct Ready {
    /// What it calls its software.
    pub agent: String,
    /// The protocol version that it announced.
    pub advertised: u32,
    /// The one that is spoken with it: the lower of both.
    pub version: u32,
    /// Its clock less ours, in milliseconds.
    pub time_offset_ms: i64,
    /// How long its last Pong took.
    pub round_trip: Option<Duration>,
    pub(crate) id: [u8; 16],
    /// Until when it owes us its addresses; nothing once it has told them, for they are told once.
    pub(crate) addresses_due: Option<Time>,
    pub(crate) ping: Option<Ping>,
    /// What it owes us, by the number that its answer will carry.
    pub(crate) routes: BTreeMap<u32, Route>,
    pub(crate) known_blocks: Seen<Hash>,
    pub(crate) announced: Announced,
    pub(crate) fetching: Fetching,
    pub(crate) serving: Serving,
    /// Whether long answers go to it with gzip.
    pub(crate) takes_gzip: bool,
    /// When we broke off a sync with it that was no fault of its: what is still on its way from then is borne.
    pub(crate) broken_off: Option<Time>,
}

/// A Ping under way.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ping {
    pub(crate) nonce: u64,
    pub(crate) sent: Time,
}

/// What an answer is to be, and until when.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Route {
    pub(crate) wanted: Wanted,
    pub(crate) due: Time,
}

/// What was asked for under a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// This block.
    Block(Hash),
    /// A locator of this block, whose parents are not held.
    Locator(Hash),
    /// So many bodies more, in the order of the list of the sync with this number.
    Bodies {
        /// How many are to come.
        left: usize,
        /// Which sync wants them.
        run: u64,
    },
}

impl Ready {
    /// A peer that just completed its handshake. `secret` keys its sets.
    pub(crate) fn new(theirs: &Version, unix_ms: u64, secret: u64) -> Self {
        Self {
            agent: theirs.user_agent.clone(),
            advertised: theirs.protocol_version,
            version: theirs.protocol_version.min(VERSION),
            time_offset_ms: theirs.timestamp.saturating_sub(i64::try_from(unix_ms).unwrap_or(i64::MAX)),
            round_trip: None,
            id: theirs.id,
            addresses_due: None,
            ping: None,
            routes: BTreeMap::new(),
            known_blocks: Seen::new(KNOWN_BLOCKS_MAX, secret),
            announced: Announced::default(),
            fetching: Fetching::default(),
            serving: Serving::default(),
            takes_gzip: false,
            broken_off: None,
        }
    }

    /// Whether it runs today's full node, which checks outputs.
    pub fn is_full_node(&self) -> bool {
        self.agent.starts_with("/kaspad:")
    }

    /// When the earliest of what it owes us is due.
    pub(crate) fn next_due(&self, answer_timeout: Duration) -> Option<Time> {
        let routes = self.routes.values().map(|route| route.due);
        let ping = self.ping.map(|ping| ping.sent + answer_timeout);
        routes.chain(ping).chain(self.addresses_due).chain(self.fetching.due()).min()
    }
}
