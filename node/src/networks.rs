//! Lists the networks: what each is called, which keys it has, how it starts.
//!
//! A sixth network is its folder under `protocols/` and one [`Entry`] here.

mod anya;
mod bumo;
mod chain;
mod hello;
mod holdings;
mod hosted;
mod kaspa;
mod mina;
mod running;
mod settings;
mod shown;
mod till;
mod tracker;
mod watched;

pub use running::{About, Later, Meters, Order, Refused, RunningNetwork, Stopped, Which};
pub use shown::happened;
pub use watched::{Arrival, Arrivals};

use crate::config::{Config, Key, NetworkSection};
use crate::event_log::EventLog;
use crate::purses::{Payer, Purse};
use polypeer_driver::Budget;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// Every network that this program speaks.
pub static ENTRIES: &[Entry] = &[anya::ENTRY, hello::ENTRY, kaspa::ENTRY, bumo::ENTRY, mina::ENTRY];

/// One protocol and its preset networks.
#[derive(Debug)]
pub struct Entry {
    /// The protocol's name, as `protocol` has it in an own network's section.
    pub protocol: &'static str,
    /// The network that a short name such as `anya` stands for in `devnet`.
    pub devnet: &'static str,
    /// The keys of its sections, beside those that every network has.
    pub keys: &'static [&'static [Key]],
    /// The keys that only an own network's section has.
    pub own_keys: &'static [Key],
    /// Whether an own network's section, under this name, makes a network.
    pub check: fn(&str, &NetworkSection) -> anyhow::Result<()>,
    /// The networks that are built in.
    pub presets: &'static [Preset],
    /// Starts one: it listens when this returns.
    pub start: Start,
    /// Starts its tracker, where the protocol has one.
    pub tracker: Option<Start>,
    /// Nodes of a devnet beyond those that were asked for, which only follow.
    pub(crate) devnet_followers: usize,
    /// The keys of a devnet's section, beside those that every network's has.
    pub(crate) devnet_values: fn(&Founding<'_>) -> Vec<(&'static str, String)>,
    /// Who pays in a private network of so many nodes: one for each, or fewer.
    pub(crate) payers: Payers,
    /// The files with the private keys of its nodes, where it has such.
    pub(crate) key_files: Option<KeyFiles>,
    /// Run a recording through a new engine: one for each protocol that it has, the tracker's is another.
    pub replay: &'static [Replay],
    /// Simulates it, where the simulator has its ledger. Scenarios and checks are the simulator's own, the same for every
    /// network.
    pub simulate: Option<Simulate>,
}

/// Starts a network.
pub type Start = fn(&Launch<'_>) -> anyhow::Result<Arc<dyn RunningNetwork>>;

/// With what a devnet's network is made.
pub(crate) struct Founding<'a> {
    /// The keys of the nodes that produce.
    pub(crate) producers: &'a [[u8; 32]],
    /// How often each is to make a block, where it is theirs to say.
    pub(crate) interval: Duration,
}

/// Makes those who pay, each at a node of its own.
pub(crate) type Payers = fn(usize) -> anyhow::Result<Vec<Box<dyn Payer>>>;

/// Makes and reads a protocol's key files, which only their owners may read.
#[derive(Debug)]
pub(crate) struct KeyFiles {
    /// The kinds of keys, the usual one first.
    pub(crate) schemes: &'static [&'static str],
    /// Makes a new file with a key of this kind that nobody has.
    pub(crate) generate: fn(&Path, &str) -> anyhow::Result<ShownKey>,
    /// Looks at a file.
    pub(crate) show: fn(&Path) -> anyhow::Result<ShownKey>,
}

/// What others may know of a key.
#[derive(Debug)]
pub(crate) struct ShownKey {
    /// What its owner is known by.
    pub(crate) address: String,
    /// What signatures are checked with.
    pub(crate) public_key: String,
}

/// Runs a recording through a new engine.
pub type Replay = fn(&Path) -> Result<polypeer_driver::Replayed, polypeer_driver::ReplayError>;

/// Runs a plan with a world of this network's nodes, showing its progress as it goes.
pub type Simulate = fn(&polypeer_sim::Plan, &mut Look<'_>) -> anyhow::Result<polypeer_sim::Outcome>;

/// Is shown how far a simulation has come, and says whether it goes on.
pub type Look<'a> = dyn FnMut(&polypeer_sim::Progress) -> bool + 'a;

/// A network that is built in.
#[derive(Debug)]
pub struct Preset {
    /// Its name.
    pub name: &'static str,
    /// Keys that differ from their defaults, as text.
    pub values: &'static [(&'static str, &'static str)],
}

/// What a network needs to start.
pub struct Launch<'a> {
    /// Its name, as the API has it.
    pub name: &'a str,
    /// The network's own name, where several nodes of it run in one process.
    pub base_name: &'a str,
    /// Its section, and what runs it.
    pub network: &'a NetworkSection,
    /// The whole configuration.
    pub config: &'a Config,
    /// Where it keeps things; in memory when there is none.
    pub folder: Option<PathBuf>,
    /// The key that its blocks are made with; nothing when it makes none.
    pub producer: Option<[u8; 32]>,
    /// Bytes that all networks' queues share.
    pub budget: Budget,
    /// Where its events go.
    pub events: Arc<EventLog>,
    /// Who is told when a block or transaction has arrived; nothing when nobody measures.
    pub arrivals: Option<Arc<dyn Arrivals>>,
}

/// A BUMO account that pays; nothing when the seed makes no key.
pub(crate) fn bumo_account(chain_id: i64, seed: &[u8; 32]) -> Option<impl Purse + use<>> {
    bumo::Account::new(chain_id, seed)
}

/// A Mina account that pays on private networks.
pub(crate) fn mina_account(seed: &[u8; 32]) -> impl Purse + use<> {
    mina::Account::new(seed)
}

/// All networks that are built in.
pub fn presets() -> impl Iterator<Item = (&'static Entry, &'static Preset)> {
    ENTRIES.iter().flat_map(|entry| entry.presets.iter().map(move |preset| (entry, preset)))
}
