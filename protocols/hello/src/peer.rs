//! Holds what is known of one connection, from the first word to ready.

use crate::handshake::Greeting;
use crate::serve::Serving;
use crate::wire::Hello;
use alloc::boxed::Box;
use alloc::string::String;
use core::time::Duration;
use polypeer_engine::kit::bucket::Bucket;
use polypeer_engine::kit::chain::Hash;
use polypeer_engine::kit::seen::Seen;

/// Blocks that a peer is remembered to know: the newest, which are the only ones that are announced.
const KNOWN_BLOCKS_MAX: usize = 1024;
/// Blocks of a list that are remembered so.
const KNOWN_OF_LIST: usize = 256;
/// Transactions that a peer is remembered to know. One that is forgotten is announced a second time, which the peer
/// drops.
const KNOWN_TRANSACTIONS_MAX: usize = 8192;
/// HELLO and GETADDR: one a second over time.
const ONCE_A_SECOND: Duration = Duration::from_secs(1);
/// HELLOs at once.
const HELLOS_MAX: u32 = 10;
/// GETADDRs at once.
const GETADDRS_MAX: u32 = 5;
/// Addresses at once; ten a second over time.
const ADDRESSES_BURST: u32 = 1000;
const ADDRESS_REFILL: Duration = Duration::from_millis(100);

/// What meters HELLO on an open connection.
pub(crate) const fn hello_bucket() -> Bucket {
    Bucket::new(HELLOS_MAX, ONCE_A_SECOND)
}

/// What meters GETADDR.
pub(crate) const fn getaddr_bucket() -> Bucket {
    Bucket::new(GETADDRS_MAX, ONCE_A_SECOND)
}

/// One connection.
#[derive(Debug)]
pub enum Peer {
    /// The handshake is under way. May become [`Peer::Ready`].
    Greeting(Greeting),
    /// The handshake is complete.
    Ready(Box<Ready>),
}

impl Peer {
    /// The peer's nonce, when it has said one and holds blocks: trackers may hold several connections.
    pub(crate) fn nonce(&self) -> Option<u64> {
        match self {
            Self::Greeting(greeting) => greeting.nonce(),
            Self::Ready(ready) if ready.holds_blocks() => ready.nonce,
            Self::Ready(_) => None,
        }
    }

    /// The peer, once the handshake is complete.
    pub(crate) fn ready_mut(&mut self) -> Option<&mut Ready> {
        match self {
            Self::Ready(ready) => Some(ready),
            Self::Greeting(_) => None,
        }
    }
}

/// A peer that is connected.
#[derive(Debug)]
pub struct Ready {
    /// Blocks of its chain, genesis included, as it said last; 0 if it holds none.
    pub block_count: u64,
    /// Where it listens; 0 if it does not.
    pub port: u16,
    /// What it calls its software.
    pub agent: String,
    /// Its clock less ours, in seconds.
    pub time_offset: i64,
    pub(crate) nonce: Option<u64>,
    pub(crate) hellos: Bucket,
    pub(crate) getaddrs: Bucket,
    pub(crate) addresses: Bucket,
    /// Whether it was asked if it is there, and nothing came since.
    pub(crate) is_asked_alive: bool,
    pub(crate) known_blocks: Seen<Hash>,
    pub(crate) known_transactions: Seen<Hash>,
    pub(crate) serving: Serving,
    /// Whether it is to be told what waits here as soon as its list is answered.
    pub(crate) is_untold: bool,
    /// Bytes of its transactions that the ledger has not judged yet.
    pub(crate) in_judgement_bytes: usize,
    /// How long it took to answer our last HELLO.
    pub(crate) round_trip: Option<Duration>,
}

impl Ready {
    /// A peer that just completed its handshake. `secret` keys its sets.
    pub(crate) fn new(theirs: Hello, unix_ms: u64, secret: u64) -> Self {
        let ours = i64::try_from(unix_ms / 1000).unwrap_or(i64::MAX);
        Self {
            block_count: theirs.block_count,
            port: theirs.port,
            agent: theirs.agent.unwrap_or_default(),
            // Both are below 2^54.
            time_offset: i64::try_from(theirs.time).unwrap_or(i64::MAX).saturating_sub(ours),
            nonce: theirs.nonce,
            hellos: hello_bucket(),
            getaddrs: getaddr_bucket(),
            addresses: Bucket::new(ADDRESSES_BURST, ADDRESS_REFILL),
            is_asked_alive: false,
            known_blocks: Seen::new(KNOWN_BLOCKS_MAX, secret),
            known_transactions: Seen::new(KNOWN_TRANSACTIONS_MAX, secret),
            serving: Serving::default(),
            is_untold: false,
            in_judgement_bytes: 0,
            round_trip: None,
        }
    }

    /// Notes that it knows these blocks: the newest, the only ones that may yet be announced.
    pub(crate) fn knows_end_of(&mut self, hashes: &[Hash]) {
        for hash in &hashes[hashes.len().saturating_sub(KNOWN_OF_LIST)..] {
            self.known_blocks.insert(*hash, ());
        }
    }

    /// Whether it holds blocks: a tracker does not, and is neither asked for any nor told of any.
    pub fn holds_blocks(&self) -> bool {
        self.block_count > 0
    }
}
