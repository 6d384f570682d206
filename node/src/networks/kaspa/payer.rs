//! Makes the transactions of a private Kaspa network: this node checks no outputs, so any will do that has not been
//! spent here.

use crate::purses::{Draft, Payer};
use anyhow::Context as _;
use polypeer_engine::kit::chain::Hash;
use polypeer_protocols::kaspa::wire::{Input, Outpoint, Output, Script, Transaction};

/// Spends what needs no key: the script that a spender shows, and what it has to hash to (Kaspa spec, section 5.8).
const REDEEM: [u8; 2] = [0x01, 0x51];
const SCRIPT: [u8; 35] = [
    0xaa, 0x20, 0xce, 0x57, 0x21, 0x62, 0x85, 0x12, 0x50, 0x06, 0xec, 0x18, 0x19, 0x7b, 0xd8, 0x18, 0x42, 0x21, 0xce,
    0xfa, 0x55, 0x9b, 0xb0, 0x79, 0x84, 0x10, 0xd9, 0x9a, 0x5b, 0xba, 0x5b, 0x07, 0xcd, 0x1d, 0x87,
];
/// Sompi of each output.
const AMOUNT: u64 = 100_000_000;

/// Spends outputs that nobody made, each another one.
struct Spender {
    source: [u8; 32],
    next: u64,
}

/// One for each node.
pub(super) fn payers(nodes: usize) -> anyhow::Result<Vec<Box<dyn Payer>>> {
    let payer = |_| {
        let mut source = [0; 32];
        getrandom::fill(&mut source).context("no random bytes from the system")?;
        Ok(Box::new(Spender { source, next: 0 }) as Box<dyn Payer>)
    };
    (0..nodes).map(payer).collect()
}

impl Payer for Spender {
    fn draft(&mut self) -> Option<Draft> {
        let mut named = [0; 40];
        named[..32].copy_from_slice(&self.source);
        named[32..].copy_from_slice(&self.next.to_be_bytes());
        let transaction = Hash(*blake3::hash(&named).as_bytes());
        Some(Draft { purse: 0, bytes: spend(transaction) })
    }

    fn taken(&mut self, _: usize) {
        self.next += 1;
    }

    fn collided(&mut self, _: usize) {
        self.next += 1;
    }

    fn keys(&self) -> Vec<[u8; 32]> {
        Vec::new()
    }

    fn confirmed(&mut self, _: usize, _: u64) {}
}

// One output that nobody has becomes one that everybody has.
fn spend(transaction_id: Hash) -> Vec<u8> {
    let previous = Outpoint { transaction_id, index: 0 };
    let input = Input { previous, signature_script: &REDEEM, sequence: 0, compute_commit: 0 };
    let output = Output { value: AMOUNT, script: Script { version: 0, bytes: &SCRIPT }, covenant: None };
    Transaction { inputs: vec![input], outputs: vec![output], ..Transaction::default() }.encode().to_vec()
}
