//! Casts Mina for the simulator: private networks without proofs, whose producers draw their slots.
//!
//! A node's key follows from its number, so that what it proves on its connections, what it signs and what its settings say
//! is one.

mod witness;

use super::payer::Account;
use crate::purses::{Payment, Purse as _, Recipient};
use bytes::Bytes;
use polypeer_ledger_mina::{self as ledger, Identity, Mina as Ledger, Producer, Rules};
use polypeer_protocols::mina::command::transaction_id;
use polypeer_protocols::mina::config::Constants;
use polypeer_protocols::mina::ledger::Request;
use polypeer_protocols::mina::{Config, Mina};
use polypeer_sim::{Cast, Disk, Id, LedgerSeat, Plan};
use std::time::Duration;
use witness::Witness;

/// When the first slot begins, in milliseconds since 1970.
const GENESIS_MS: u64 = 1_700_000_000_000;
/// How long after it a world begins: clocks that run late are not before the first slot.
const AFTER_GENESIS_MS: u64 = 600_000;
/// The least time of a slot. A block that comes when its slot is over is not relayed (Mina spec, section 6.4).
const SLOT_MS_MIN: u64 = 5_000;
/// How often peers are asked for their best chain: what was missed comes this way.
const BEST_TIP_INTERVAL: Duration = Duration::from_secs(20);
/// How often what an author sent is told again, many times while a run settles.
const TELL_AGAIN: Duration = Duration::from_secs(15);
/// A node's page cache, in bytes: many nodes must fit.
const CACHE_BYTES: usize = 256 << 10;
/// What a payment is worth and may cost.
const AMOUNT: u64 = 1;
const FEE: u64 = 1_000_000;

/// A private Mina network.
pub(super) struct Simulated {
    chain_id: String,
    rules: Rules,
}

impl Simulated {
    /// The network of a plan.
    pub(super) fn new(plan: &Plan) -> anyhow::Result<Self> {
        let chain_id = const_hex::encode(secret("chain", 0));
        let producers = plan.work.producers.max(1) as u64;
        let slot_ms = (plan.work.block_interval_ms / producers).max(SLOT_MS_MIN);
        let constants = Constants { genesis_timestamp_ms: GENESIS_MS, slot_ms, ..Constants::DEVNET };
        let rules = Rules::private(&chain_id, constants)?;
        Ok(Self { chain_id, rules })
    }
}

impl Cast for Simulated {
    type Protocol = Mina;
    type Ledger = Witness;

    fn config(&self, node: usize) -> Config {
        let Rules { genesis, constants, protocol_version, .. } = self.rules;
        let config = Config::new(identity(node).peer_id(), &self.chain_id, genesis, constants).without_proofs();
        Config { protocol_version, best_tip_interval: BEST_TIP_INTERVAL, ..config }
    }

    fn identity(&self, node: usize) -> Option<Bytes> {
        Some(Bytes::copy_from_slice(&identity(node).peer_id().to_bytes()))
    }

    fn epoch_ms(&self) -> u64 {
        GENESIS_MS + AFTER_GENESIS_MS
    }

    fn open(&self, disk: &Disk, seat: &LedgerSeat) -> Result<Witness, String> {
        let slot_ms = self.rules.constants.slot_ms;
        let producer = seat.block_interval.map(|interval| Producer {
            seed: secret("producer", seat.node),
            // As often as the plan says, on average.
            slots_percent: u32::try_from(100 * u128::from(slot_ms) / interval.as_millis().max(1)).unwrap_or(100),
        });
        let limits = ledger::Limits { cache_bytes: CACHE_BYTES, tell_again: TELL_AGAIN, ..ledger::Limits::default() };
        let identity = Some(identity(seat.node));
        let config = ledger::Config { identity, producer, limits, ..ledger::Config::in_memory(self.rules.clone()) };
        let opened = Ledger::open_with_backend(disk.clone(), config);
        let (ledger, reader) = opened.map_err(|error| error.to_string())?;
        Ok(Witness::new(ledger, reader, seat.lie))
    }

    fn publish(&self, author: usize, nth: u64) -> Option<(Request, Id)> {
        // Each from an account of its own. No ledger here knows accounts: a producer that missed somebody's first takes the
        // second for it, and the first is never settled.
        let payer = Account::new(&secret(&format!("author {author}"), usize::try_from(nth).ok()?));
        let recipient = Recipient::Key(Account::new(&secret("recipient", author)).key());
        let command = payer.sign(&Payment { recipient, amount: AMOUNT, fee: FEE, sequence: 0 })?;
        let id = transaction_id(&command).ok()?;
        Some((Request::Submit { command: command.into() }, id.0))
    }
}

fn identity(node: usize) -> Identity {
    Identity::of_seed(&secret("node", node))
}

fn secret(what: &str, number: usize) -> [u8; 32] {
    *blake3::hash(format!("simulated {what} {number}").as_bytes()).as_bytes()
}
