//! When an account update happens.

use crate::binprot::{Binable, BinprotError, Fp, Reader, Vector, Writer, record};
use crate::block::{PublicKey, Slot};
use serde::{Deserialize, Serialize};

/// A condition, or none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum CheckOrIgnore<T> {
    /// 0: it must be so.
    Check(T),
    /// 1: it may be as it likes.
    Ignore,
}

impl<'a, T: Binable<'a>> Binable<'a> for CheckOrIgnore<T> {
    fn read(reader: &mut Reader<'a>) -> Result<Self, BinprotError> {
        match reader.byte()? {
            0 => T::read(reader).map(Self::Check),
            1 => Ok(Self::Ignore),
            _ => Err(BinprotError::Constructor),
        }
    }

    fn write(&self, writer: &mut Writer) {
        match self {
            Self::Check(value) => {
                writer.byte(0);
                value.write(writer);
            }
            Self::Ignore => writer.byte(1),
        }
    }
}

/// Both ends included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Range<T> {
    /// The least.
    pub lower: T,
    /// The most.
    pub upper: T,
}

impl<'a, T: Binable<'a>> Binable<'a> for Range<T> {
    fn read(reader: &mut Reader<'a>) -> Result<Self, BinprotError> {
        Ok(Self { lower: T::read(reader)?, upper: T::read(reader)? })
    }

    fn write(&self, writer: &mut Writer) {
        self.lower.write(writer);
        self.upper.write(writer);
    }
}

type Within<T> = CheckOrIgnore<Range<T>>;

record! {
    /// When an account update happens.
    Preconditions<'a> {
        /// How the chain has to be.
        protocol: ProtocolPrecondition,
        /// How the account has to be.
        account: AccountPrecondition<'a>,
        /// In which global slots.
        valid_while: CheckOrIgnore<Range<Slot>>,
    }
}

record! {
    /// How the chain has to be.
    ProtocolPrecondition {
        /// The ledger that is proven.
        snarked_ledger: CheckOrIgnore<Fp>,
        /// How long the chain is.
        blockchain_length: Within<u32>,
        /// How dense its worst window was.
        min_window_density: Within<u32>,
        /// How much there is.
        total_currency: Within<u64>,
        /// When it is.
        global_slot_since_genesis: Within<Slot>,
        /// The epoch whose ledger producers are drawn from.
        staking_epoch: EpochPrecondition,
        /// The epoch that comes after it.
        next_epoch: EpochPrecondition,
    }
}

record! {
    /// How an epoch has to be.
    EpochPrecondition {
        /// Its ledger.
        ledger: CheckOrIgnore<Fp>,
        /// What is in it.
        total_currency: Within<u64>,
        /// Its seed.
        seed: CheckOrIgnore<Fp>,
        /// What it began with.
        start_checkpoint: CheckOrIgnore<Fp>,
        /// What its seed was settled with.
        lock_checkpoint: CheckOrIgnore<Fp>,
        /// How many blocks it has.
        epoch_length: Within<u32>,
    }
}

record! {
    /// How the account has to be.
    AccountPrecondition<'a> {
        /// What is in it.
        balance: Within<u64>,
        /// Its nonce.
        nonce: Within<u32>,
        /// What was done with it so far.
        receipt_chain_hash: CheckOrIgnore<Fp>,
        /// Who votes with it.
        delegate: CheckOrIgnore<PublicKey>,
        /// The zkApp's state.
        state: Vector<'a, CheckOrIgnore<Fp>, 8>,
        /// The actions so far.
        action_state: CheckOrIgnore<Fp>,
        /// Whether all of the state was set by proofs.
        proved_state: CheckOrIgnore<bool>,
        /// Whether it was made just now.
        is_new: CheckOrIgnore<bool>,
    }
}
