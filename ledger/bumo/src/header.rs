//! Makes a ledger's header and its hash (BUMO spec, section 9.3).

use bytes::Bytes;
use polypeer_bumo::hash::{Hash, HashType};
use polypeer_bumo::wire::{Ledger, LedgerHeader, List, Message};

/// A ledger's header.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Header {
    /// The ledger's number; 1 is genesis.
    pub number: u64,
    /// Its hash; nothing for the newest ledger of a node that does not execute it: the next one's value says it.
    pub hash: Option<Hash>,
    /// The hash of the ledger before; nothing in genesis.
    pub previous: Option<Hash>,
    /// The root of the account tree; nothing in a ledger that was not executed.
    pub accounts: Option<Hash>,
    /// Microseconds since 1970.
    pub close_time: i64,
    /// The hash of the value that it was made from.
    pub value: Hash,
    /// The version of the rules that the next ledger is made by.
    pub version: i64,
    /// Transactions of the chain up to here; those of ledgers that were not executed as they stand in the values.
    pub transactions: i64,
    /// The hash of the validator set in force after it.
    pub validators: Hash,
    /// The hash of the fees in force after it.
    pub fees: Hash,
    /// Genesis' slogan; empty later.
    pub slogan: String,
    /// 0 on a main chain.
    pub chain_id: i64,
}

impl Header {
    /// Sets the ledger's hash, which is over the header without it and the envelopes that were applied.
    pub(crate) fn seal(&mut self, hash_type: HashType, envelopes: &[&[u8]]) {
        self.hash = None;
        let ledger = Ledger { header: Some(self.wire()), transaction_envs: List::of(envelopes) };
        self.hash = Some(hash_type.hash(&ledger.encode()));
    }

    pub(crate) fn encode(&self) -> Bytes {
        self.wire().encode()
    }

    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let wire = LedgerHeader::decode(bytes).ok()?;
        let optional = |bytes: &[u8]| match bytes {
            [] => Some(None),
            bytes => hash(bytes).map(Some),
        };
        Some(Self {
            number: u64::try_from(wire.seq).ok()?,
            hash: optional(wire.hash)?,
            previous: optional(wire.previous_hash)?,
            accounts: optional(wire.account_tree_hash)?,
            close_time: wire.close_time,
            value: hash(wire.consensus_value_hash)?,
            version: wire.version,
            transactions: wire.tx_count,
            validators: hash(wire.validators_hash)?,
            fees: hash(wire.fees_hash)?,
            slogan: wire.reserve.to_owned(),
            chain_id: wire.chain_id,
        })
    }

    fn wire(&self) -> LedgerHeader<'_> {
        LedgerHeader {
            seq: i64::try_from(self.number).unwrap_or(i64::MAX),
            hash: optional(&self.hash),
            previous_hash: optional(&self.previous),
            account_tree_hash: optional(&self.accounts),
            close_time: self.close_time,
            consensus_value_hash: &self.value.0,
            version: self.version,
            tx_count: self.transactions,
            validators_hash: &self.validators.0,
            fees_hash: &self.fees.0,
            reserve: &self.slogan,
            chain_id: self.chain_id,
        }
    }
}

fn optional(hash: &Option<Hash>) -> &[u8] {
    hash.as_ref().map_or(&[], |hash| &hash.0)
}

/// A hash that a message holds.
pub(crate) fn hash(bytes: &[u8]) -> Option<Hash> {
    bytes.try_into().ok().map(Hash)
}
