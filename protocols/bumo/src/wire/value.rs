//! Ledgers and the values they are made from (BUMO spec, section 3.3).

use super::field::message;
use super::list::{Encoded, List, Whole};
use super::proto::{Field, Message, Reader, Writer};
use super::{LedgerUpgrade, TransactionEnv, WireError};

message! {
    /// `ConsensusValue`: what validators agree on and a ledger is made from. Its transactions are not looked at.
    pub struct ConsensusValue<'a> {
        /// Present, also when it is empty, in every value but genesis'.
        1 txset: Option<TransactionEnvSet<'a>>,
        /// Microseconds since 1970.
        2 close_time: i64,
        /// A `PbftProof` of the ledger before; empty for ledger 2.
        3 previous_proof: &'a [u8],
        /// The ledger's number.
        4 ledger_seq: i64,
        /// The hash of the ledger before.
        5 previous_ledger_hash: &'a [u8],
        /// A change of version or, at a hard fork, of the validators.
        6 ledger_upgrade: Option<LedgerUpgrade<'a>>,
        /// Which transactions failed, if any did.
        7 validation: Option<Validation<'a>>,
    }
}

impl<'a> ConsensusValue<'a> {
    /// The transactions, each the bytes of a [`TransactionEnv`].
    pub fn transactions(&self) -> impl Iterator<Item = &'a [u8]> + Clone + use<'a> {
        self.txset.unwrap_or_default().txs.iter()
    }

    /// That the transactions too are in canonical form, without which no two nodes agree about the value's hash.
    pub fn check_transactions(&self) -> Result<(), WireError> {
        self.transactions().try_for_each(|envelope| TransactionEnv::decode(envelope).map(drop))
    }
}

message! {
    /// `TransactionEnvSet`. The list is field 2, not 1.
    pub struct TransactionEnvSet<'a> {
        /// Each the bytes of a [`TransactionEnv`], not looked at.
        2 txs: List<'a, &'a [u8]>,
    }
}

message! {
    /// `ConsensusValueValidation`.
    pub struct Validation<'a> {
        /// Places of the transactions that ran out of time or resources.
        1 expire_tx_ids: Packed<'a>,
        /// Places of the transactions that failed.
        2 error_tx_ids: Packed<'a>,
    }
}

/// A repeated `int32`, packed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Packed<'a> {
    source: Numbers<'a>,
}

#[derive(Clone, Copy, Debug)]
enum Numbers<'a> {
    Run(&'a [u8]),
    Items(&'a [i32]),
}

impl Default for Numbers<'_> {
    fn default() -> Self {
        Self::Items(&[])
    }
}

impl PartialEq for Numbers<'_> {
    fn eq(&self, other: &Self) -> bool {
        Packed { source: *self }.iter().eq(Packed { source: *other }.iter())
    }
}

impl Eq for Numbers<'_> {}

impl<'a> Packed<'a> {
    /// The list of these.
    pub fn of(numbers: &'a [i32]) -> Self {
        Self { source: Numbers::Items(numbers) }
    }

    /// The numbers, in their order.
    pub fn iter(&self) -> impl Iterator<Item = i32> + Clone + use<'a> {
        let (run, items): (&[u8], &[i32]) = match self.source {
            Numbers::Run(run) => (run, &[]),
            Numbers::Items(items) => (&[], items),
        };
        let mut reader = Reader::of(run, 0);
        items.iter().copied().chain(core::iter::from_fn(move || reader.packed().ok()?))
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.iter().next().is_none()
    }
}

impl<'a> Field<'a> for Packed<'a> {
    fn take(reader: &mut Reader<'a>, number: u8) -> Result<Self, WireError> {
        let run: &[u8] = reader.field(number)?;
        let mut numbers = Reader::of(run, 0);
        while numbers.packed()?.is_some() {}
        Ok(Self { source: Numbers::Run(run) })
    }

    fn put(&self, writer: &mut Writer, number: u8) {
        let mut run = Writer::default();
        self.iter().for_each(|one| run.packed(one));
        writer.field(number, &run.finish().as_ref());
    }
}

message! {
    /// `LedgerHeader`.
    pub struct LedgerHeader<'a> {
        /// 1 is genesis.
        1 seq: i64,
        /// The ledger's hash; empty while it is hashed.
        2 hash: &'a [u8],
        /// The hash of the ledger before; empty in genesis.
        3 previous_hash: &'a [u8],
        /// The root of the account tree.
        4 account_tree_hash: &'a [u8],
        /// Microseconds since 1970.
        5 close_time: i64,
        /// The hash of the value that it was made from.
        6 consensus_value_hash: &'a [u8],
        /// Of the ledger's rules.
        7 version: i64,
        /// Transactions of the chain up to here.
        8 tx_count: i64,
        /// The hash of the validator set in force after it.
        9 validators_hash: &'a [u8],
        /// The hash of the fees in force after it.
        10 fees_hash: &'a [u8],
        /// Genesis' slogan; empty later.
        11 reserve: &'a str,
        /// 0 on the main chain.
        12 chain_id: i64,
    }
}

message! {
    /// `Ledger`: what a ledger's hash is over, with the header's `hash` empty (section 9.3).
    pub struct Ledger<'a> {
        /// The header.
        1 header: Option<LedgerHeader<'a>>,
        /// The transactions that were applied, failed ones too, each the bytes of a [`TransactionEnv`].
        2 transaction_envs: List<'a, &'a [u8]>,
    }
}

message! {
    /// `LedgerUpgradeNotify`: a validator's wish for another version (section 8).
    pub struct LedgerUpgradeNotify<'a> {
        /// Microseconds since 1970 at the sender: makes each one unique.
        1 nonce: i64,
        /// What is wished for.
        2 upgrade: Option<Whole<'a, LedgerUpgrade<'a>>>,
        /// Over the bytes of `upgrade` and the decimal digits of `nonce`.
        3 signature: Option<super::Signature<'a>>,
    }
}

impl LedgerUpgradeNotify<'_> {
    /// What is signed: the upgrade's bytes and the nonce's decimal digits.
    pub fn signed(&self) -> alloc::vec::Vec<u8> {
        let mut signed = self.upgrade.map(|upgrade| upgrade.bytes.to_vec()).unwrap_or_default();
        signed.extend_from_slice(alloc::format!("{}", self.nonce).as_bytes());
        signed
    }
}

/// A [`TransactionEnv`] in a list, read when it is wanted.
pub type EncodedTransaction<'a> = Encoded<'a, TransactionEnv<'a>>;
