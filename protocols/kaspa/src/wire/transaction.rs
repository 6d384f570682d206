//! Transactions, read in place (Kaspa spec, section 2.5).

use super::WireError;
use super::proto::{Fields, Writer, array};
use super::script::{Outpoint, Output};
use crate::hash;
use alloc::vec::Vec;
use bytes::Bytes;
use polypeer_engine::kit::chain::Hash;

/// Bytes of a transaction (section 1.3).
pub const TRANSACTION_BYTES_MAX: usize = 1 << 20;

/// A subnetwork's identifier.
pub type SubnetworkId = [u8; 20];
/// The subnetwork of ordinary transactions.
pub const SUBNETWORK_NATIVE: SubnetworkId = [0; 20];
/// The subnetwork of a block's first transaction.
pub const SUBNETWORK_COINBASE: SubnetworkId = first_byte(1);
/// A subnetwork that consensus no longer knows.
pub const SUBNETWORK_REGISTRY: SubnetworkId = first_byte(2);

const fn first_byte(byte: u8) -> SubnetworkId {
    let mut id = [0; 20];
    id[0] = byte;
    id
}

/// A `TransactionMessage`, checked as a whole and read where it lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TransactionView<'a> {
    /// The message's bytes.
    pub message: &'a [u8],
    /// 0 or 1 today.
    pub version: u16,
    /// How many [`TransactionView::inputs`] there are.
    pub input_count: usize,
    /// How many [`TransactionView::outputs`] there are.
    pub output_count: usize,
    /// The score or time from which it may stand in a block.
    pub lock_time: u64,
    /// Which lane it is in.
    pub subnetwork_id: SubnetworkId,
    /// What its subnetwork makes of it.
    pub gas: u64,
    /// What its subnetwork makes of it.
    pub payload: &'a [u8],
    /// The storage-mass commitment: part of the hash, not of the identifier.
    pub storage_mass: u64,
}

impl<'a> TransactionView<'a> {
    /// Reads one, every input and output included.
    pub fn decode(message: &'a [u8]) -> Result<Self, WireError> {
        if message.len() > TRANSACTION_BYTES_MAX {
            return Err(WireError::TooLarge);
        }
        let mut view = Self::empty(message);
        let (mut version, mut subnetwork, mut commit_max) = (0, None, 0);
        let mut fields = Fields::of(message);
        while let Some((number, value)) = fields.next()? {
            match number {
                1 => version = value.u32()?,
                2 => {
                    commit_max = commit_max.max(Input::decode(value.bytes()?)?.compute_commit);
                    view.input_count += 1;
                }
                3 => {
                    Output::decode(value.bytes()?)?;
                    view.output_count += 1;
                }
                4 => view.lock_time = value.u64()?,
                5 => value.once(&mut subnetwork)?,
                6 => view.gas = value.u64()?,
                8 => view.payload = value.bytes()?,
                9 => view.storage_mass = value.u64()?,
                _ => {}
            }
        }
        view.version = u16::try_from(version).map_err(|_| WireError::OutOfRange)?;
        view.subnetwork_id = array(subnetwork.ok_or(WireError::MissingField)?, WireError::SubnetworkLength)?;
        if view.version == 0 && commit_max > u16::from(u8::MAX) {
            return Err(WireError::OutOfRange);
        }
        Ok(view)
    }

    fn empty(message: &'a [u8]) -> Self {
        Self {
            message,
            version: 0,
            input_count: 0,
            output_count: 0,
            lock_time: 0,
            subnetwork_id: SUBNETWORK_NATIVE,
            gas: 0,
            payload: &[],
            storage_mass: 0,
        }
    }

    /// The inputs, in their order.
    pub fn inputs(&self) -> impl Iterator<Item = Input<'a>> + Clone + use<'a> {
        messages(self.message, 2).filter_map(|input| Input::decode(input).ok())
    }

    /// The outputs, in their order.
    pub fn outputs(&self) -> impl Iterator<Item = Output<'a>> + Clone + use<'a> {
        messages(self.message, 3).filter_map(|output| Output::decode(output).ok())
    }

    /// Whether it is of the subnetwork that pays for blocks.
    pub fn is_coinbase(&self) -> bool {
        self.subnetwork_id == SUBNETWORK_COINBASE
    }

    /// Its identifier (section 5.3): in outpoints, announcements and requests.
    pub fn id(&self) -> Hash {
        hash::transaction_id(self)
    }

    /// Its hash (section 5.3): in the merkle root.
    pub fn hash(&self) -> Hash {
        hash::transaction_hash(self)
    }

    /// What it is made of.
    pub fn parts(&self) -> Transaction<'a> {
        Transaction {
            version: self.version,
            inputs: self.inputs().collect(),
            outputs: self.outputs().collect(),
            lock_time: self.lock_time,
            subnetwork_id: self.subnetwork_id,
            gas: self.gas,
            payload: self.payload,
            storage_mass: self.storage_mass,
        }
    }
}

// The messages in a repeated field of a message that was found to be right.
fn messages(message: &[u8], wanted: u32) -> impl Iterator<Item = &[u8]> + Clone {
    let mut fields = Fields::of(message);
    core::iter::from_fn(move || {
        loop {
            let (number, value) = fields.next().ok()??;
            if number == wanted {
                return value.bytes().ok();
            }
        }
    })
}

/// `TransactionInput`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Input<'a> {
    /// The output that it spends.
    pub previous: Outpoint,
    /// What proves that it may.
    pub signature_script: &'a [u8],
    /// Relative lock time.
    pub sequence: u64,
    /// Signature operations, at most 255, in version 0; from version 1 on the compute budget.
    pub compute_commit: u16,
}

impl<'a> Input<'a> {
    /// Reads one.
    pub fn decode(message: &'a [u8]) -> Result<Self, WireError> {
        let (mut previous, mut signature_script, mut sequence, mut commit): (_, &[u8], _, _) = (None, &[], 0, 0);
        let mut fields = Fields::of(message);
        while let Some((number, value)) = fields.next()? {
            match number {
                1 => value.once(&mut previous)?,
                2 => signature_script = value.bytes()?,
                3 => sequence = value.u64()?,
                4 => commit = value.u32()?,
                _ => {}
            }
        }
        let previous = Outpoint::decode(previous.ok_or(WireError::MissingField)?)?;
        let compute_commit = u16::try_from(commit).map_err(|_| WireError::OutOfRange)?;
        Ok(Self { previous, signature_script, sequence, compute_commit })
    }

    fn write(&self, writer: &mut Writer) {
        writer.nested(1, |inner| self.previous.write(inner));
        writer.bytes(2, self.signature_script);
        writer.number(3, self.sequence);
        writer.number(4, self.compute_commit);
    }
}

/// What a transaction is made of, for making one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Transaction<'a> {
    /// See [`TransactionView::version`].
    pub version: u16,
    /// What it spends.
    pub inputs: Vec<Input<'a>>,
    /// What it makes.
    pub outputs: Vec<Output<'a>>,
    /// See [`TransactionView::lock_time`].
    pub lock_time: u64,
    /// See [`TransactionView::subnetwork_id`].
    pub subnetwork_id: SubnetworkId,
    /// See [`TransactionView::gas`].
    pub gas: u64,
    /// See [`TransactionView::payload`].
    pub payload: &'a [u8],
    /// See [`TransactionView::storage_mass`].
    pub storage_mass: u64,
}

impl Transaction<'_> {
    /// The message's bytes.
    pub fn encode(&self) -> Bytes {
        let mut writer = Writer::with_capacity(128 + self.payload.len());
        writer.number(1, self.version);
        for input in &self.inputs {
            writer.nested(2, |inner| input.write(inner));
        }
        for output in &self.outputs {
            writer.nested(3, |inner| output.write(inner));
        }
        writer.number(4, self.lock_time);
        writer.nested(5, |inner| inner.bytes(1, &self.subnetwork_id));
        writer.number(6, self.gas);
        writer.bytes(8, self.payload);
        writer.number(9, self.storage_mass);
        writer.finish().into()
    }
}
