//! Produces blocks: a proof-of-work producer with its own rhythm (ledger spec, section "Private networks").

use crate::block::{self, BLOCK_VERSION, HEADER_BYTES, Header, TRANSACTIONS_MAX};
use crate::chain::End;
use crate::mempool::Mempool;
use crate::parameters::Network;
use crate::tables::{Account, Look, Result};
use crate::transaction::{Transaction, TransactionBytes};
use crate::validate::{self, Accounts};
use polypeer_engine::kit::chain::Hash;
use polypeer_engine::{Now, Random, Time};
use std::collections::HashMap;
use std::time::Duration;

/// How far a block's wait is off the interval, in percent either way.
const JITTER_PERCENT: u32 = 25;
/// Tries between two looks at the rest of the ledger's work: about ten milliseconds.
const TRIES: u64 = 65_536;
/// Where the nonce stands in a header.
const NONCE_AT: usize = HEADER_BYTES - 12;

/// What a producer needs to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Producer {
    /// The account that gets rewards and fees: an Ed25519 public key.
    pub key: [u8; 32],
    /// The mean time between two blocks.
    pub interval: Duration,
    /// What the jitter is drawn from. Two producers with one seed would be equal, and fork for ever.
    pub seed: [u8; 32],
}

/// A search that was not finished within one wake.
#[derive(Debug)]
struct Search {
    parent: Hash,
    header: Header,
    transactions: Vec<TransactionBytes>,
}

/// A producer at work.
///
/// ```text
/// new ──first wake──► waiting(due) ──due──► searching ──found──► waiting(next due)
///                         │  ▲                  │ new tip: starts over on it
///                         ▼  │                  ▼
///                     paused while the network layer is catching up
/// ```
#[derive(Debug)]
pub(crate) struct Production {
    producer: Producer,
    random: Random,
    /// When the next block is to be made; nothing before the first wake, which sets the clock going.
    due: Option<Time>,
    search: Option<Search>,
    paused: bool,
}

impl Production {
    pub(crate) fn new(producer: Producer) -> Self {
        let random = Random::new(producer.seed);
        Self { producer, random, due: None, search: None, paused: false }
    }

    /// Pauses while the network layer catches up.
    pub(crate) fn set_paused(&mut self, paused: bool, now: Now) {
        let resumes = self.paused && !paused;
        self.paused = paused;
        // What came due meanwhile is not made up for.
        if resumes && self.due.is_some_and(|due| due <= now.monotonic) {
            self.draw(now);
        }
    }

    /// When the producer wants to be woken.
    pub(crate) fn next_wake(&self, now: Now) -> Option<Time> {
        if self.paused {
            return None;
        }
        Some(self.due.unwrap_or(now.monotonic))
    }

    fn draw(&mut self, now: Now) {
        self.due = Some(now.monotonic + self.random.jitter(self.producer.interval, JITTER_PERCENT));
    }

    /// Whether it is time to search.
    pub(crate) fn is_due(&mut self, now: Now) -> bool {
        if self.due.is_none() {
            self.draw(now);
        }
        !self.paused && self.due.is_some_and(|due| due <= now.monotonic)
    }

    /// Searches for a block on this tip, for a while. The block's bytes when one was found; the wait for the next one
    /// begins then.
    pub(crate) fn search(&mut self, now: Now, ground: &Ground<'_, impl Look>) -> Result<Option<Vec<u8>>> {
        let mut search = match self.search.take() {
            Some(search) if search.parent == ground.end.hash => search,
            _ => ground.template(&self.producer.key)?,
        };
        // On time even when the search takes long; the nonce starts over, as the header is another one then.
        search.header.time = ground.time(now);
        search.header.nonce = self.random.number();
        if !find_nonce(&mut search.header, ground.network) {
            self.search = Some(search);
            return Ok(None);
        }
        self.draw(now);
        Ok(Some(block::encode(&search.header, &search.transactions)))
    }

    /// Gives up on a block that could not be stored, until the next one is due.
    pub(crate) fn skip(&mut self, now: Now) {
        self.search = None;
        self.draw(now);
    }
}

fn find_nonce(header: &mut Header, network: &Network) -> bool {
    let mut bytes = header.encode();
    for tried in 0..TRIES {
        let nonce = header.nonce.wrapping_add(tried);
        bytes[NONCE_AT..NONCE_AT + 8].copy_from_slice(&nonce.to_be_bytes());
        if network.target.is_met_by(&block::header_hash(&bytes).0) {
            header.nonce = nonce;
            return true;
        }
    }
    false
}

/// What a block is built on.
pub(crate) struct Ground<'a, L> {
    pub(crate) network: &'a Network,
    pub(crate) look: &'a L,
    pub(crate) end: &'a End,
    pub(crate) mempool: &'a Mempool,
}

impl<L: Look> Ground<'_, L> {
    fn time(&self, now: Now) -> u64 {
        now.unix_ms.max(self.end.median().saturating_add(1))
    }

    fn template(&self, producer: &[u8; 32]) -> Result<Search> {
        let mut state = Trial { look: self.look, changed: HashMap::new() };
        let (mut transactions, mut ids) = (Vec::new(), Vec::new());
        let mut ready = self.mempool.ready();
        while transactions.len() < TRANSACTIONS_MAX
            && let Some((key, sequence, waiting)) = ready.next_head()
        {
            let Ok(transaction) = Transaction::read(&waiting.bytes) else { continue };
            // One that does not go through now (a recipient that would hold too much) keeps its sender's later ones
            // back.
            if validate::apply(&mut state, &transaction)?.is_ok() {
                transactions.push(waiting.bytes);
                ids.push(waiting.id);
                ready.accept(key, sequence);
            }
        }
        let header = Header {
            version: BLOCK_VERSION,
            parent: self.end.hash,
            height: self.end.height + 1,
            time: 0,
            root: block::merkle_root(&ids),
            producer: *producer,
            target: self.network.target.compact(),
            nonce: 0,
            reserved: [0; 4],
        };
        Ok(Search { parent: self.end.hash, header, transactions })
    }
}

/// Accounts as a block in the making would leave them. At most two for each transaction and one for the producer.
struct Trial<'a, L> {
    look: &'a L,
    changed: HashMap<[u8; 32], Account>,
}

impl<L: Look> Accounts for Trial<'_, L> {
    fn account_of(&self, key: &[u8; 32]) -> Result<Account> {
        match self.changed.get(key) {
            Some(account) => Ok(*account),
            None => self.look.account(key),
        }
    }

    fn set_account(&mut self, key: &[u8; 32], account: Account) -> Result<()> {
        self.changed.insert(*key, account);
        Ok(())
    }
}
