//! Says what the API and the commands need of a network that runs, whatever it speaks.

use crate::view;
use polypeer_driver::Gone;
use polypeer_engine::kit::chain::TransactionFault;
use polypeer_engine::{Address, ConnectionId, Event, ImportedAddress, Target};
use std::future::Future;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::time::Duration;
use thiserror::Error;
use tokio::sync::broadcast;

/// An answer that comes later.
pub type Later<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// The network has stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("the network has stopped")]
pub struct Stopped;

impl From<Gone> for Stopped {
    fn from(_: Gone) -> Self {
        Self
    }
}

/// What an operator can want of a network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Order {
    /// Keep this peer connected.
    Add(Target),
    /// Stop keeping it connected.
    Forget(Target),
    /// Close this connection.
    Drop(ConnectionId),
    /// Refuse this IP address.
    Ban(IpAddr, Duration),
    /// Take it back.
    Unban(IpAddr),
}

/// Which block is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Which {
    /// The one with this hash.
    Hash([u8; 32]),
    /// The main chain's at this height.
    Height(u64),
    /// The tip.
    Tip,
}

/// Whom a question of why is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum About {
    /// A connection.
    Connection(ConnectionId),
    /// Everyone at an IP address.
    Ip(IpAddr),
    /// One address.
    Address(Address),
}

/// Why a transaction was not taken, or a question to the ledger not answered.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Refused {
    /// The network has stopped.
    #[error(transparent)]
    Stopped(#[from] Stopped),
    /// Too many that were not taken came before it.
    #[error("too many transactions that the ledger did not take; it may be sent again later")]
    Overdrawn,
    /// The ledger does not take it; its word for the rule.
    #[error("{text}")]
    ByLedger {
        /// The rule, in one word.
        reason: &'static str,
        /// The rule, for people.
        text: String,
    },
}

impl Refused {
    /// The reference ledger's reason, in words. A final one can never become valid.
    pub(crate) fn by_ledger(fault: TransactionFault, is_final: bool) -> Self {
        let (reason, text) = match fault {
            TransactionFault::Length => ("length", "it is not 153 bytes long"),
            TransactionFault::Version => ("version", "its version is unknown"),
            TransactionFault::Signature => ("signature", "its signature does not verify for this network"),
            TransactionFault::ToSelf => ("to_self", "sender and recipient are the same"),
            TransactionFault::Sequence => ("sequence", "its sequence is taken, or too far ahead of the sender's count"),
            TransactionFault::Balance => ("balance", "the balance does not cover what the sender has waiting"),
            TransactionFault::Overflow => ("overflow", "a sum is above 2^64 - 1"),
            TransactionFault::FeeTooLow => ("fee_too_low", "its fee is below what this node takes"),
            TransactionFault::ReplacementFeeTooLow => {
                ("replacement_fee_too_low", "one with this sequence waits, and the fee is not at least 10 % higher")
            }
            TransactionFault::NoRoom => ("no_room", "too many with a higher fee wait, or the disk is full"),
        };
        let when = if is_final { "it can never be valid" } else { "it may be sent again later" };
        Self::ByLedger { reason, text: format!("{text}; {when}") }
    }
}

/// What is counted of a network, for its metrics.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Meters {
    /// Peers by direction.
    pub peers: view::PeerCount,
    /// Peers whose handshake is finished.
    pub ready: u64,
    /// Dials under way.
    pub dialling: u64,
    /// Entries of the address book, and how many of them are proven.
    pub addresses: (u64, u64),
    /// IP addresses that are refused.
    pub bans: u64,
    /// The height of the tip.
    pub height: u64,
    /// Transactions that wait.
    pub mempool: u64,
    /// Whether it is catching up.
    pub syncing: bool,
    /// Bytes received and sent.
    pub bytes: (u64, u64),
    /// Frames received and sent.
    pub frames: (u64, u64),
    /// Frames that were not sent, by why.
    pub unsent: Vec<(&'static str, u64)>,
    /// Bytes that came and were no part of a frame, by why.
    pub unread: Vec<(&'static str, u64)>,
    /// Bytes handed to connections, by what they are to the upload cap.
    pub upload: Vec<(&'static str, u64)>,
    /// How often work was refused to a peer that had no credit for it, by kind.
    pub refused: Vec<(&'static str, u64)>,
    /// Connections closed because memory was short.
    pub shed: u64,
    /// Sums of what came and went that do not add up.
    pub imbalances: u64,
    /// Connections that were accepted and dialled.
    pub connections: (u64, u64),
    /// Blocks and transactions that the ledger judged, by what became of them.
    pub judged: Vec<(&'static str, &'static str, u64)>,
    /// How near it is to an eclipse, 0 to 100.
    pub eclipse_risk: u8,
}

/// A network that runs.
pub trait RunningNetwork: Send + Sync {
    /// Its name.
    fn name(&self) -> &str;
    /// Where it listens.
    fn listening(&self) -> Option<SocketAddr>;
    /// How it is.
    fn status(&self) -> Later<'_, Result<view::Network, Stopped>>;
    /// Whether it is catching up with its peers.
    fn is_syncing(&self) -> bool;
    /// Whether its ledger keeps what it is given.
    fn is_sound(&self) -> bool;
    /// Its peers, by connection.
    fn peers(&self) -> Later<'_, Result<Vec<view::Peer>, Stopped>>;
    /// Entries of its address book after this one, in order, at most so many.
    fn addresses(&self, after: Option<Address>, max: usize) -> Later<'_, Result<Vec<view::KnownAddress>, Stopped>>;
    /// Its address book by network group.
    fn groups(&self) -> Later<'_, Result<view::BookGroups, Stopped>>;
    /// IP addresses that it refuses after this one, in order, at most so many.
    fn bans(&self, after: Option<IpAddr>, max: usize) -> Later<'_, Result<Vec<view::Ban>, Stopped>>;
    /// Why things were done about a peer, newest first, as far as that is remembered.
    fn why(&self, about: About) -> Later<'_, Result<Vec<view::Why>, Stopped>>;
    /// How near it is to an eclipse.
    fn risk(&self) -> Later<'_, Result<view::Risk, Stopped>>;
    /// Takes addresses over from another book, at most [`polypeer_engine::IMPORT_MAX`]. By how many its own grew.
    fn import(&self, addresses: Vec<ImportedAddress>) -> Later<'_, Result<u64, Stopped>>;
    /// Carries out an order. Whether there was anything to do.
    fn order(&self, order: Order) -> Later<'_, Result<bool, Stopped>>;
    /// A block that its ledger holds.
    fn block(&self, which: Which) -> Later<'_, Result<Option<view::Block>, Stopped>>;
    /// A transaction that waits or is in the main chain.
    fn transaction(&self, id: [u8; 32]) -> Later<'_, Result<Option<view::Transaction>, Stopped>>;
    /// The transactions that wait, at most so many by name.
    fn mempool(&self, max: usize) -> Later<'_, Result<view::Mempool, Stopped>>;
    /// An account at the tip; nothing when the ledger has none.
    fn account(&self, key: [u8; 32]) -> Later<'_, Result<Option<view::Account>, Stopped>>;
    /// Hands a transaction to the ledger; its identifier, also when it is known. Stored when this answers.
    fn submit(&self, transaction: Vec<u8>) -> Later<'_, Result<String, Refused>>;
    /// Produces no more blocks until the process ends; every block made before is stored and announced.
    fn halt(&self) -> Later<'_, ()>;
    /// What is counted.
    fn meters(&self) -> Later<'_, Result<Meters, Stopped>>;
    /// What happens from now on; numbered, so that a lag can be counted.
    fn events(&self) -> broadcast::Receiver<(u64, Event)>;
    /// Waits until it has stopped; why, if it failed.
    fn ended(&self) -> Later<'_, Result<(), String>>;
    /// Says goodbye to everyone and stops, everything saved, within this time.
    fn drain(&self, within: Duration) -> Later<'_, ()>;
}
