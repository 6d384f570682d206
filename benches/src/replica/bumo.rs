//! Validates with ours: the whole of BUMO over WebSockets and its durable ledger, the network's interval off.

use super::{Arguments, Counts, REPLICAS, Work, payments};
use crate::place::monotonic_ns;
use anyhow::{Context as _, Result};
use polypeer_bumo::hash::sha256;
use polypeer_bumo::keys::{PrivateKey, Scheme};
use polypeer_bumo::ledger::{Answer, Request};
use polypeer_bumo::wire::{ConsensusValue, Message as _};
use polypeer_bumo::{Bumo, Config};
use polypeer_driver::{Budget, Network, start};
use polypeer_engine::{Address, Ledger, Now, P2pConfig, Target, Ticket, Time, To};
use polypeer_ledger_bumo as ledger;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;
use tokio::runtime::Builder;

/// What a view's time, and how often what was said is said again, scale with: the devnet's. Nothing waits for it while
/// all is well.
const SCALE: Duration = Duration::from_millis(500);

pub(super) fn run(arguments: &Arguments, counts: Arc<Counts>) -> Result<()> {
    let addresses = (0..REPLICAS).map(|place| Ok(validator(place)?.public().address())).collect::<Result<Vec<_>>>()?;
    let validators: Vec<_> = addresses.iter().map(String::as_str).collect();
    let rich = payments::rich()?.public().address();
    let rules = ledger::Rules { interval: Duration::ZERO, ..ledger::Rules::private(&rich, &validators) };
    let path = arguments.folder.join(format!("replica{}", arguments.place));
    let config = ledger::Config {
        path: Some(path),
        signer: Some(Box::new(validator(arguments.place)?)),
        ..ledger::Config::in_memory(rules)
    };
    let (ledger, reader) = ledger::Bumo::open(config)?;
    let counted = Counted { ledger, counts, proposed: None, has_transactions: arguments.work == Work::Many };
    let own = arguments.addresses[arguments.place];
    // Each dials those before it, so that there is one connection between two.
    let before = &arguments.addresses[..arguments.place];
    let p2p = P2pConfig {
        connect_only: before.iter().map(|address| Target::Address(Address::from(*address))).collect(),
        outbound_target: before.len() as u32,
        discovery: false,
        private_addresses: true,
        ..P2pConfig::default()
    };
    let protocol = Config {
        interval: SCALE,
        is_paced: false,
        ..Config::new(30_000, own.port(), &key("node", arguments.place)?.public().address())
    };
    let network: Network<Bumo> = Network {
        name: "bumo".to_owned(),
        p2p,
        protocol,
        listen: Some(own),
        seed: None,
        record: None,
        queue_budget: Budget::default(),
        tls: None,
        identity: None,
    };
    let handle = start(network, counted, None)?;
    if arguments.work == Work::Many {
        payments::begin(handle.clone(), reader, arguments.place)?;
    }
    Builder::new_current_thread().build()?.block_on(handle.ended()).map_err(anyhow::Error::msg).context("the network")
}

fn validator(place: usize) -> Result<PrivateKey> {
    key("validator", place)
}

/// A key of this name and number.
pub(super) fn key(name: &str, number: usize) -> Result<PrivateKey> {
    Ok(PrivateKey::new(Scheme::Ed25519, sha256(format!("measured {name} {number}").as_bytes()).0)?)
}

/// The ledger, and what passes its door.
struct Counted {
    ledger: ledger::Bumo,
    counts: Arc<Counts>,
    /// When the last value was asked for here.
    proposed: Option<u64>,
    /// Whether to count what is in values.
    has_transactions: bool,
}

impl Counted {
    fn asked(&mut self, request: &Request) -> u64 {
        match request {
            Request::Propose { .. } => self.proposed = Some(monotonic_ns()),
            Request::Close { value, .. } | Request::CloseAgreed { value, .. } if self.has_transactions => {
                return ConsensusValue::decode(value).map_or(0, |value| value.transactions().count() as u64);
            }
            _ => {}
        }
        0
    }

    fn answered(&mut self, answer: &Answer) {
        match answer {
            Answer::Signed(Ok(_)) => self.counts.vote(),
            Answer::Closed(Ok(tip)) => {
                if let Some(proposed) = self.proposed.take() {
                    self.counts.took(monotonic_ns() - proposed);
                }
                self.counts.commit(1, tip.seq.unsigned_abs(), &tip.hash.0);
            }
            _ => {}
        }
    }
}

impl Ledger for Counted {
    type Request = Request;
    type Answer = Answer;

    fn answer(&mut self, now: Now, requests: Vec<(Ticket, Request)>, answers: &mut Vec<(To, Answer)>) {
        let transactions = requests.iter().map(|(_, request)| self.asked(request)).sum();
        let before = answers.len();
        self.ledger.answer(now, requests, answers);
        answers[before..].iter().for_each(|(_, answer)| self.answered(answer));
        // Those that were not closed by consensus came by sync, and count as well.
        self.counts.transactions.fetch_add(transactions, Relaxed);
    }

    fn next_wake(&self, now: Now) -> Option<Time> {
        self.ledger.next_wake(now)
    }

    fn wake(&mut self, now: Now, answers: &mut Vec<(To, Answer)>) {
        let before = answers.len();
        self.ledger.wake(now, answers);
        answers[before..].iter().for_each(|(_, answer)| self.answered(answer));
    }
}
