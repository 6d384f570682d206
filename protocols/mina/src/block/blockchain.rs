//! The part of the state that is about ledgers.

use super::Statement;
use crate::binprot::{Fp, record};

record! {
    /// Ledgers, time and the body.
    BlockchainState<'a> {
        /// The ledger with all transactions.
        staged_ledger: StagedLedgerHash,
        /// The network's first ledger.
        genesis_ledger: Fp,
        /// What the last proof of transactions that left the tree of work proves.
        statement: Statement<'a>,
        /// Stands where other statements have a digest.
        sok_digest: (),
        /// When the block's slot began, in milliseconds since 1970.
        timestamp: u64,
        /// The bitswap root of the body, see [`crate::hash::body_reference`].
        body_reference: [u8; 32],
    }
}

record! {
    /// What the ledger with all transactions hashes to.
    StagedLedgerHash {
        /// The accounts' root.
        ledger: Fp,
        /// SHA-256 of the tree of work.
        aux: [u8; 32],
        /// SHA-256 of what stands beside the coinbases that are not in a proof yet.
        pending_coinbase_aux: [u8; 32],
        /// The root of the coinbases that are not in a proof yet.
        pending_coinbase: Fp,
    }
}
