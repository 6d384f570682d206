//! Outputs, and where one is found (Kaspa spec, sections 2.3 and 2.5).

use super::WireError;
use super::proto::{Fields, Writer};
use polypeer_engine::kit::chain::Hash;

/// `Outpoint`: which output of which transaction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Outpoint {
    /// The transaction's identifier.
    pub transaction_id: Hash,
    /// Which of its outputs.
    pub index: u32,
}

impl Outpoint {
    /// Reads one.
    pub fn decode(message: &[u8]) -> Result<Self, WireError> {
        let (mut transaction_id, mut index) = (None, 0);
        let mut fields = Fields::of(message);
        while let Some((number, value)) = fields.next()? {
            match number {
                1 => value.hash_once(&mut transaction_id)?,
                2 => index = value.u32()?,
                _ => {}
            }
        }
        Ok(Self { transaction_id: transaction_id.ok_or(WireError::MissingField)?, index })
    }

    pub(super) fn write(&self, writer: &mut Writer) {
        writer.hash(1, &self.transaction_id);
        writer.number(2, self.index);
    }
}

/// `ScriptPublicKey`: what must be proved to spend.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Script<'a> {
    /// The script's version.
    pub version: u16,
    /// The script.
    pub bytes: &'a [u8],
}

impl<'a> Script<'a> {
    /// Reads one.
    pub fn decode(message: &'a [u8]) -> Result<Self, WireError> {
        let (mut version, mut bytes): (_, &[u8]) = (0, &[]);
        let mut fields = Fields::of(message);
        while let Some((number, value)) = fields.next()? {
            match number {
                1 => bytes = value.bytes()?,
                2 => version = value.u32()?,
                _ => {}
            }
        }
        Ok(Self { version: u16::try_from(version).map_err(|_| WireError::OutOfRange)?, bytes })
    }

    pub(super) fn write(&self, writer: &mut Writer) {
        writer.bytes(1, self.bytes);
        writer.number(2, self.version);
    }
}

/// `CovenantBinding`: the covenant that an output belongs to. Legal from version 1 on; a hash of version 0 does not
/// see it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Covenant {
    /// The input that allows it.
    pub authorizing_input: u16,
    /// The covenant.
    pub id: Hash,
}

impl Covenant {
    /// Reads one.
    pub fn decode(message: &[u8]) -> Result<Self, WireError> {
        let (mut input, mut id) = (0, None);
        let mut fields = Fields::of(message);
        while let Some((number, value)) = fields.next()? {
            match number {
                1 => input = value.u32()?,
                2 => value.hash_once(&mut id)?,
                _ => {}
            }
        }
        let authorizing_input = u16::try_from(input).map_err(|_| WireError::OutOfRange)?;
        Ok(Self { authorizing_input, id: id.ok_or(WireError::MissingField)? })
    }

    fn write(&self, writer: &mut Writer) {
        writer.number(1, self.authorizing_input);
        writer.hash(2, &self.id);
    }
}

/// `TransactionOutput`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Output<'a> {
    /// In sompi.
    pub value: u64,
    /// Whose it is.
    pub script: Script<'a>,
    /// Its covenant, if it has one.
    pub covenant: Option<Covenant>,
}

impl<'a> Output<'a> {
    /// Reads one.
    pub fn decode(message: &'a [u8]) -> Result<Self, WireError> {
        let (mut amount, mut script, mut covenant) = (0, None, None);
        let mut fields = Fields::of(message);
        while let Some((number, value)) = fields.next()? {
            match number {
                1 => amount = value.u64()?,
                2 => value.once(&mut script)?,
                3 => value.once(&mut covenant)?,
                _ => {}
            }
        }
        let script = Script::decode(script.ok_or(WireError::MissingField)?)?;
        Ok(Self { value: amount, script, covenant: covenant.map(Covenant::decode).transpose()? })
    }

    pub(super) fn write(&self, writer: &mut Writer) {
        writer.number(1, self.value);
        writer.nested(2, |inner| self.script.write(inner));
        if let Some(covenant) = &self.covenant {
            writer.nested(3, |inner| covenant.write(inner));
        }
    }
}
