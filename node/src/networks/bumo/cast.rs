//! Casts BUMO for the simulator: validators with real keys, vote logs on disks that a crash tears, and followers.
//!
//! The first honest nodes validate. Where there are hostile ones, they share the keys of the validators that may be wrong:
//! several nodes then sign as one, none of which knows what the other has signed, so that values and views are told
//! differently to whoever hears both.

mod witness;

use super::payer::Account;
use crate::purses::{Payment, Purse as _, Recipient};
use polypeer_ledger_bumo::{self as ledger, Bumo as Ledger, Rules, Signer, transaction_id};
use polypeer_protocols::bumo::keys::{PrivateKey, Scheme, address_of};
use polypeer_protocols::bumo::ledger::{Origin, Request};
use polypeer_protocols::bumo::{Bumo, Config};
use polypeer_sim::{Cast, Disk, Id, LedgerSeat, Plan};
use std::sync::Arc;
use std::time::Duration;
use witness::Witness;

/// When a world begins, in milliseconds since 1970.
const EPOCH_MS: u64 = 1_700_000_000_000;
/// What HELLO carries, and where it is said that nodes listen when they do not.
const NETWORK: (i64, u16) = (30_000, 7_000);
/// With so many nodes for each, one more validator may be wrong.
const NODES_FOR_EACH_LIAR: usize = 12;
/// Validators that may be wrong: three times as many and one have to agree with each other.
const LIARS_MAX: usize = 2;
/// Ledgers in the time in which the plan has a block: so that a view that failed, three ledgers' time, shows in a short
/// run.
const LEDGERS_FOR_A_BLOCK: u32 = 4;
/// How many views' time the next ledger may take once the network has healed, and three ledgers' time is a view's.
const VIEWS_MAX: u32 = 5;
const LEDGERS_FOR_A_VIEW: u32 = 3;
/// Nodes whose operators pay. The first has all coins, and what it pays to the others makes their accounts.
const AUTHORS_MAX: usize = 8;
const GIFT: u64 = 1_000_000_000_000;
/// What a payment may cost.
const FEE: u64 = 1_000_000;
/// A node's page cache and each of its vote log's files, in bytes: many nodes must fit.
const CACHE_BYTES: usize = 256 << 10;
const VOTES_BYTES: u64 = 64 << 10;

/// A private BUMO network.
pub(super) struct Simulated {
    rules: Rules,
    // By node: with which validator's key it signs.
    seats: Vec<Option<usize>>,
    authors: Vec<Account>,
}

impl Simulated {
    /// The network of a plan.
    pub(super) fn new(plan: &Plan) -> anyhow::Result<Self> {
        let honest: Vec<usize> = plan.honest().collect();
        let hostile = plan.nodes - honest.len();
        let may_be_wrong = (plan.nodes / NODES_FOR_EACH_LIAR).clamp(1, LIARS_MAX);
        let liars = may_be_wrong.min(hostile).min(honest.len().saturating_sub(1) / 2);
        let upright = honest.len().min(3 * may_be_wrong + 1 - liars);
        let mut seats = vec![None; plan.nodes];
        let hostile = (0..plan.nodes).filter(|node| plan.attack(*node).is_some());
        let twins = hostile.enumerate().filter_map(|(nth, node)| Some((node, upright + nth.checked_rem(liars)?)));
        let own = honest.into_iter().take(upright).enumerate().map(|(nth, node)| (node, nth));
        own.chain(twins).for_each(|(node, seat)| seats[node] = Some(seat));
        let validators: Vec<String> =
            (0..upright + liars).map(|nth| address("validator", nth)).collect::<anyhow::Result<_>>()?;
        let validators: Vec<_> = validators.iter().map(String::as_str).collect();
        let authors: Vec<_> =
            (0..AUTHORS_MAX).filter_map(|author| Account::new(0, &secret("author", author))).collect();
        let blocks = u32::try_from(plan.work.producers.max(1)).unwrap_or(u32::MAX);
        let interval = Duration::from_millis(plan.work.block_interval_ms) / blocks / LEDGERS_FOR_A_BLOCK;
        let rules = Rules { interval, ..Rules::private(&address("author", 0)?, &validators) };
        Ok(Self { rules, seats, authors })
    }
}

impl Cast for Simulated {
    type Protocol = Bumo;
    type Ledger = Witness;

    fn config(&self, node: usize) -> Config {
        let (id, port) = NETWORK;
        // A name: nobody signs with it.
        let name = address_of(Scheme::Ed25519, &secret("node", node));
        Config { interval: self.rules.interval, ..Config::new(id, port, &name) }
    }

    fn epoch_ms(&self) -> u64 {
        EPOCH_MS
    }

    fn open(&self, disk: &Disk, seat: &LedgerSeat) -> Result<Witness, String> {
        let own = self.seats.get(seat.node).copied().flatten();
        let signer = own.map(|nth| key("validator", nth)).transpose().map_err(|error| error.to_string())?;
        let limits = ledger::Limits { cache_bytes: CACHE_BYTES, votes_bytes: VOTES_BYTES, ..ledger::Limits::default() };
        let signer = signer.map(|key| Box::new(key) as Box<dyn Signer>);
        let config = ledger::Config { signer, limits, ..ledger::Config::in_memory(self.rules.clone()) };
        let votes = [1, 2].map(|file| Arc::new(disk.file(file)) as _);
        let opened = Ledger::open_with_backend(disk.clone(), votes, config);
        let (ledger, reader) = opened.map_err(|error| error.to_string())?;
        Ok(Witness::new(ledger, reader, seat.lie))
    }

    fn publish(&self, author: usize, nth: u64) -> Option<(Request, Id)> {
        let purse = self.authors.get(author)?;
        // Whoever has nothing yet is refused by its node, and tries again.
        let (to, amount) = match author {
            0 => (1 + nth as usize % (self.authors.len() - 1), GIFT),
            _ => (0, 1),
        };
        let recipient = Recipient::Key(self.authors.get(to)?.key());
        let envelope = purse.sign(&Payment { recipient, amount, fee: FEE, sequence: nth })?.into();
        let id = transaction_id(&self.rules, &envelope)?;
        Some((Request::Submit { envelope, origin: Origin::Operator }, id.0))
    }

    fn no_blame(&self) -> &'static [&'static str] {
        &["duplicate_connection"]
    }

    fn patience(&self) -> Option<Duration> {
        Some(self.rules.interval * LEDGERS_FOR_A_VIEW * VIEWS_MAX)
    }
}

fn secret(what: &str, number: usize) -> [u8; 32] {
    *blake3::hash(format!("simulated {what} {number}").as_bytes()).as_bytes()
}

fn key(what: &str, number: usize) -> anyhow::Result<PrivateKey> {
    Ok(PrivateKey::new(Scheme::Ed25519, secret(what, number))?)
}

fn address(what: &str, number: usize) -> anyhow::Result<String> {
    Ok(key(what, number)?.public().address())
}
