//! Says what a network's ledger shows and takes, whatever it holds.

use super::running::{Later, Refused, Which};
use crate::view;

/// The ledger's side of a running network. What is not overridden is that of a ledger that holds nothing.
pub(super) trait Holdings: Send + Sync {
    /// What transactions are signed for.
    fn network_id(&self) -> Option<String> {
        None
    }

    /// The tip's height and hash.
    fn tip(&self) -> Option<(u64, String)> {
        None
    }

    /// How many blocks it holds, where they form a graph and the tip says too little.
    fn blocks(&self) -> Option<u64> {
        None
    }

    /// Whether it is behind its peers.
    fn is_syncing(&self) -> bool {
        false
    }

    /// Whether it keeps what it is given.
    fn is_sound(&self) -> bool {
        true
    }

    /// The first block whose effects are not known here, where there is one: from there on it only follows.
    fn follow_only(&self) -> Option<u64> {
        None
    }

    /// A block.
    fn block(&self, _: Which) -> Option<view::Block> {
        None
    }

    /// A transaction that waits or is in the main chain.
    fn transaction(&self, _: [u8; 32]) -> Option<view::Transaction> {
        None
    }

    /// The transactions that wait, at most so many by name.
    fn mempool(&self, _: usize) -> view::Mempool {
        view::Mempool::default()
    }

    /// An account at the tip.
    fn account(&self, _: [u8; 32]) -> Option<view::Account> {
        None
    }

    /// Takes a transaction.
    fn submit(&self, _: Vec<u8>) -> Later<'_, Result<String, Refused>> {
        let text = "this network holds no transactions".to_owned();
        Box::pin(async { Err(Refused::ByLedger { reason: "no_ledger", text }) })
    }

    /// Produces no more.
    fn halt(&self) -> Later<'_, ()> {
        Box::pin(async {})
    }

    /// What was judged: kind, outcome, count.
    fn judged(&self) -> Vec<(&'static str, &'static str, u64)> {
        Vec::new()
    }
}

/// The holdings of a tracker.
pub(super) struct Nothing;

impl Holdings for Nothing {}
