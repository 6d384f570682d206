//! A BUMO network of separate processes: validators with key files, and a follower, that end and come back.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail where they stand")]

pub(crate) mod history;
pub(crate) mod tap;

use crate::support::{Daemon, LOOK_AGAIN, PATIENCE, folder};
use polypeer_ledger_bumo::write_key;
use polypeer_protocols::bumo::keys::{PrivateKey, Scheme};
use polypeer_protocols::bumo::wire::{Body, ConsensusValue, Message as _, commits};
use serde_json::json;
use std::cell::Cell;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// The network's name in its configuration.
pub(crate) const NETWORK: &str = "mine";
/// How far apart ledgers are: the original's ten seconds would make minutes of every test. View timeouts scale with it.
pub(crate) const INTERVAL: Duration = Duration::from_millis(500);
/// Whom each node dials at least: everyone in small networks, and enough in larger ones for messages to take several ways.
const NEIGHBOURS: usize = 4;

/// How long a view lasts in which nothing is agreed on (BUMO spec, section 7.7).
pub(crate) fn view_timeout(interval: Duration) -> Duration {
    3 * interval
}

/// The key of a validator. Accounts that pay have small numbers.
pub(crate) fn validator(place: usize) -> PrivateKey {
    key(Scheme::Ed25519, place)
}

fn key(scheme: Scheme, place: usize) -> PrivateKey {
    PrivateKey::new(scheme, [100 + place as u8; 32]).unwrap()
}

/// The addresses of so many validators.
pub(crate) fn validators(count: usize) -> Vec<String> {
    addresses(Scheme::Ed25519, count)
}

fn addresses(scheme: Scheme, count: usize) -> Vec<String> {
    (0..count).map(|place| key(scheme, place).public().address()).collect()
}

/// Writes the configuration of a node, and the key of one that validates. Both are written over at a restart.
pub(crate) fn configure(folder: &Path, count: usize, interval: Duration, place: Option<usize>) -> PathBuf {
    configure_with(Scheme::Ed25519, folder, count, interval, place)
}

// The hash is the one that goes with the scheme.
fn configure_with(scheme: Scheme, folder: &Path, count: usize, interval: Duration, place: Option<usize>) -> PathBuf {
    let hash = match scheme {
        Scheme::Ed25519 => "sha256",
        Scheme::Sm2 => "sm3",
    };
    let mut text = format!(
        "[networks.{NETWORK}]\nprotocol = \"bumo\"\ninterval = \"{}ms\"\nvalidators = {:?}\nno_discovery = true\n\
         hash_type = \"{hash}\"\n",
        interval.as_millis(),
        addresses(scheme, count),
    );
    if let Some(place) = place {
        let path = folder.join("validation.key");
        if !path.exists() {
            write_key(&path, &key(scheme, place)).unwrap();
        }
        text.push_str(&format!("validation_key_file = {path:?}\n"));
    }
    let file = folder.join("polypeer.toml");
    std::fs::write(&file, text).unwrap();
    file
}

/// Starts a node in its folder. What it listened on before may be taken for a moment.
pub(crate) fn start(folder: &Path, config: &Path, listen: &str, more: &[&str]) -> Daemon {
    let config = config.to_str().unwrap();
    let args = ["run", "--network", NETWORK, "--config", config, "--listen", listen];
    let args = [&args[..], more].concat();
    let end = Instant::now() + PATIENCE;
    loop {
        match Daemon::try_start(&args, folder, &[]) {
            Ok(daemon) => return daemon,
            Err(output) if Instant::now() >= end => panic!("{}", String::from_utf8_lossy(&output.stderr)),
            Err(_) => std::thread::sleep(10 * LOOK_AGAIN),
        }
    }
}

/// Looks until there is something, for so long.
#[track_caller]
pub(crate) fn within<T>(patience: Duration, what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + patience;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < end, "not within {patience:?}: {what}");
        std::thread::sleep(5 * LOOK_AGAIN);
    }
}

/// A network of validators; the node behind them only follows.
pub(crate) struct Cluster {
    scheme: Scheme,
    validators: usize,
    interval: Duration,
    folders: Vec<TempDir>,
    nodes: Vec<Option<Daemon>>,
    // Where each listens, from its first start on.
    addresses: Vec<String>,
    // Whom a node dials instead of the others.
    dials: Vec<Option<Vec<String>>>,
    // Payments so far, the payer's next sequence: nodes that were not told of the last one yet would give it again.
    paid: Cell<u64>,
    // How long anything may take.
    patience: Duration,
}

impl Cluster {
    /// Starts all of them.
    pub(crate) fn start(validators: usize, interval: Duration) -> Self {
        let mut cluster = Self::found(validators, interval);
        (0..=validators).for_each(|place| cluster.run(place));
        cluster
    }

    /// Starts all of them, with SM2 keys and SM3 for a hash.
    pub(crate) fn start_sm2(validators: usize, interval: Duration) -> Self {
        let mut cluster = Self { scheme: Scheme::Sm2, ..Self::found(validators, interval) };
        (0..=validators).for_each(|place| cluster.run(place));
        cluster
    }

    /// Starts none of them.
    pub(crate) fn found(validators: usize, interval: Duration) -> Self {
        let count = validators + 1;
        Self {
            scheme: Scheme::Ed25519,
            validators,
            interval,
            folders: (0..count).map(|_| folder()).collect(),
            nodes: (0..count).map(|_| None).collect(),
            addresses: vec!["127.0.0.1:0".to_owned(); count],
            dials: vec![None; count],
            paid: Cell::new(0),
            patience: PATIENCE.max(8 * interval),
        }
    }

    /// Lets a node dial these only.
    pub(crate) fn lead(&mut self, place: usize, addresses: Vec<String>) {
        self.dials[place] = Some(addresses);
    }

    /// Starts a node, for the first time or again.
    pub(crate) fn run(&mut self, place: usize) {
        let folder = self.folders[place].path();
        let own = (place < self.validators).then_some(place);
        let config = configure_with(self.scheme, folder, self.validators, self.interval, own);
        let more = match &self.dials[place] {
            Some(addresses) => addresses.iter().flat_map(|address| ["--connect".to_owned(), address.clone()]).collect(),
            None => self.neighbours(place),
        };
        let more: Vec<&str> = more.iter().map(String::as_str).collect();
        let daemon = start(folder, &config, &self.addresses[place], &more);
        self.addresses[place] = daemon.address();
        self.nodes[place] = Some(daemon);
    }

    // Those before it in the circle that listen somewhere.
    fn neighbours(&self, place: usize) -> Vec<String> {
        let count = self.nodes.len();
        let before = (1..count).map(|back| (place + count - back) % count);
        let known = before.filter(|other| self.dials[*other].is_none() && !self.addresses[*other].ends_with(":0"));
        known.take(NEIGHBOURS).flat_map(|other| ["--add-peer".to_owned(), self.addresses[other].clone()]).collect()
    }

    /// Kills a node as a power cut would.
    pub(crate) fn kill(&mut self, place: usize) {
        self.nodes[place].take().unwrap().kill();
    }

    /// A node that runs.
    pub(crate) fn node(&self, place: usize) -> &Daemon {
        self.nodes[place].as_ref().unwrap()
    }

    /// Where a node listens.
    pub(crate) fn address(&self, place: usize) -> String {
        self.addresses[place].clone()
    }

    /// All that run.
    pub(crate) fn running(&self) -> impl Iterator<Item = &Daemon> {
        self.nodes.iter().flatten()
    }

    /// The heights of those that run.
    pub(crate) fn heights(&self) -> Vec<u64> {
        self.running().map(Daemon::height).collect()
    }

    /// The lowest height of those that run.
    pub(crate) fn height(&self) -> u64 {
        self.running().map(Daemon::height).min().unwrap()
    }

    /// Waits until all that run have so many ledgers more than the highest has now, and compares them.
    #[track_caller]
    pub(crate) fn goes_on(&self, ledgers: u64) {
        let goal = self.running().map(Daemon::height).max().unwrap() + ledgers;
        within(self.patience, "all have new ledgers", || (self.height() >= goal).then_some(()));
        self.compare();
    }

    /// All that run have the same ledgers at every height.
    #[track_caller]
    pub(crate) fn compare(&self) {
        let first = self.running().next().unwrap();
        for height in 1..=self.height() {
            let path = format!("blocks/{height}");
            let expected = first.look(&path);
            assert!(expected["hash"].as_str().unwrap().len() == 64, "{expected}");
            for other in self.running() {
                let found = other.look(&path);
                // Not as a whole: who closed it first may have the proof of the one before from others.
                assert_eq!(found["hash"], expected["hash"], "ledgers {height} differ");
            }
        }
    }

    /// Pays through a node; the transaction's identifier, which it acknowledged.
    #[track_caller]
    pub(crate) fn pay(&self, through: usize) -> String {
        let sequence = self.paid.replace(self.paid.get() + 1).to_string();
        let args = ["tx", "send", "--from", "1", "--to", "2", "--amount", "10000000", "--sequence", &sequence];
        let sent = self.node(through).json(&args);
        sent["id"].as_str().unwrap().to_owned()
    }

    /// Waits until these transactions stand in a ledger of all that run.
    #[track_caller]
    pub(crate) fn confirms(&self, transactions: &[String]) {
        for (daemon, id) in self.running().flat_map(|daemon| transactions.iter().map(move |id| (daemon, id))) {
            within(self.patience, "a payment stands in a ledger", || {
                let (status, found) = daemon.ask("GET", &format!("/api/v1/networks/{NETWORK}/transactions/{id}"), None);
                (status == 200 && found["block"] != json!(null)).then_some(())
            });
        }
    }

    /// The validator whose turn the ledger after the tip is, when nobody is late.
    pub(crate) fn primary(&self) -> usize {
        let (daemon, height) = self.running().map(|daemon| (daemon, daemon.height())).max_by_key(|one| one.1).unwrap();
        let hex = daemon.look(&format!("blocks/{height}"))["hex"].as_str().unwrap().to_owned();
        let bytes = const_hex::decode(hex).unwrap();
        let value = ConsensusValue::decode(&bytes).unwrap();
        // The tip's value has the proof of the ledger before, whose view came before the tip's.
        let view = commits(value.previous_proof).next().map_or(-1, |commit| {
            match commit.unwrap().pbft.unwrap().message.body {
                Body::Commit(vote) => vote.view_number,
                other => panic!("{other:?}"),
            }
        });
        usize::try_from(view + 2).unwrap() % self.validators
    }
}
