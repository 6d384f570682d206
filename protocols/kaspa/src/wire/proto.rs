//! Reads and writes protobuf: the four forms that a field has on the wire, and nothing of any message.
//!
//! As in stock decoders: unknown fields are skipped, of a scalar the last one counts, a known field of the wrong form
//! is an error. Unlike them: a single embedded message that comes twice is an error ([`WireError::Repeated`]).

use super::WireError;
use alloc::vec::Vec;
use polypeer_engine::kit::chain::Hash;

/// How deep groups may be nested: what stock decoders allow. Groups are skipped without recursion.
const GROUP_DEPTH_MAX: usize = 100;
/// The largest field number, 29 bits.
const NUMBER_MAX: u64 = (1 << 29) - 1;
/// The largest number that is one byte of varint.
const VARINT_BYTE_MAX: u64 = 0x7f;

const VARINT: u8 = 0;
const FIXED64: u8 = 1;
const LENGTH: u8 = 2;
const GROUP_START: u8 = 3;
const GROUP_END: u8 = 4;
const FIXED32: u8 = 5;

/// One field's value.
#[derive(Clone, Copy, Debug)]
pub(super) enum Value<'a> {
    /// An integer or a bool.
    Varint(u64),
    /// Bytes, a string or a message.
    Bytes(&'a [u8]),
    /// A form that no field of Kaspa has.
    Other,
}

impl<'a> Value<'a> {
    pub(super) fn u64(self) -> Result<u64, WireError> {
        match self {
            Self::Varint(value) => Ok(value),
            _ => Err(WireError::WireType),
        }
    }

    /// The low 32 bits, as every decoder takes them.
    pub(super) fn u32(self) -> Result<u32, WireError> {
        self.u64().map(|value| (value & u64::from(u32::MAX)) as u32)
    }

    pub(super) fn bytes(self) -> Result<&'a [u8], WireError> {
        match self {
            Self::Bytes(bytes) => Ok(bytes),
            _ => Err(WireError::WireType),
        }
    }

    pub(super) fn text(self) -> Result<&'a str, WireError> {
        core::str::from_utf8(self.bytes()?).map_err(|_| WireError::Utf8)
    }

    /// A message that may stand once: into `place`.
    pub(super) fn once(self, place: &mut Option<&'a [u8]>) -> Result<(), WireError> {
        match place.replace(self.bytes()?) {
            None => Ok(()),
            Some(_) => Err(WireError::Repeated),
        }
    }

    /// A `Hash` or a `TransactionId` that may stand once: into `place`.
    pub(super) fn hash_once(self, place: &mut Option<Hash>) -> Result<(), WireError> {
        match place.replace(hash(self.bytes()?)?) {
            None => Ok(()),
            Some(_) => Err(WireError::Repeated),
        }
    }

    /// A repeated integer, packed or one by one: only its form is looked at.
    pub(super) fn numbers(self) -> Result<(), WireError> {
        match self {
            Self::Varint(_) => Ok(()),
            Self::Bytes(mut packed) => {
                while !packed.is_empty() {
                    varint(&mut packed)?;
                }
                Ok(())
            }
            Self::Other => Err(WireError::WireType),
        }
    }
}

/// The fields of a message, in the order that they came.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fields<'a> {
    rest: &'a [u8],
}

impl<'a> Fields<'a> {
    pub(super) fn of(message: &'a [u8]) -> Self {
        Self { rest: message }
    }

    /// The next field's number and value.
    pub(super) fn next(&mut self) -> Result<Option<(u32, Value<'a>)>, WireError> {
        if self.rest.is_empty() {
            return Ok(None);
        }
        let (number, form) = key(&mut self.rest)?;
        let value = match form {
            VARINT => Value::Varint(varint(&mut self.rest)?),
            LENGTH => Value::Bytes(delimited(&mut self.rest)?),
            _ => {
                skip(&mut self.rest, number, form)?;
                Value::Other
            }
        };
        Ok(Some((number, value)))
    }
}

fn key(rest: &mut &[u8]) -> Result<(u32, u8), WireError> {
    let key = varint(rest)?;
    let number = key >> 3;
    if number == 0 || number > NUMBER_MAX {
        return Err(WireError::Key);
    }
    Ok((number as u32, (key & 7) as u8))
}

fn varint(rest: &mut &[u8]) -> Result<u64, WireError> {
    if let Some((first, after)) = rest.split_first()
        && u64::from(*first) <= VARINT_BYTE_MAX
    {
        *rest = after;
        return Ok(u64::from(*first));
    }
    let mut value = 0;
    for (index, byte) in rest.iter().take(10).enumerate() {
        value |= u64::from(byte & 0x7f) << (7 * index);
        if *byte < 0x80 {
            if index == 9 && *byte > 1 {
                return Err(WireError::Varint);
            }
            *rest = rest.get(index + 1..).unwrap_or_default();
            return Ok(value);
        }
    }
    Err(if rest.len() < 10 { WireError::Truncated } else { WireError::Varint })
}

fn delimited<'a>(rest: &mut &'a [u8]) -> Result<&'a [u8], WireError> {
    let length = usize::try_from(varint(rest)?).map_err(|_| WireError::Truncated)?;
    advance(rest, length)
}

fn advance<'a>(rest: &mut &'a [u8], count: usize) -> Result<&'a [u8], WireError> {
    let (bytes, after) = rest.split_at_checked(count).ok_or(WireError::Truncated)?;
    *rest = after;
    Ok(bytes)
}

// Passes over a value of a form that no known field has.
fn skip(rest: &mut &[u8], number: u32, form: u8) -> Result<(), WireError> {
    match form {
        FIXED64 => advance(rest, 8).map(drop),
        FIXED32 => advance(rest, 4).map(drop),
        GROUP_START => skip_group(rest, number),
        GROUP_END => Err(WireError::Group),
        _ => Err(WireError::Key),
    }
}

fn skip_group(rest: &mut &[u8], number: u32) -> Result<(), WireError> {
    let mut open = alloc::vec![number];
    while let Some(innermost) = open.last().copied() {
        let (number, form) = key(rest)?;
        match form {
            VARINT => drop(varint(rest)?),
            LENGTH => drop(delimited(rest)?),
            GROUP_START if open.len() < GROUP_DEPTH_MAX => open.push(number),
            GROUP_END if number == innermost => drop(open.pop()),
            GROUP_START | GROUP_END => return Err(WireError::Group),
            _ => skip(rest, number, form)?,
        }
    }
    Ok(())
}

/// A `Hash` or `TransactionId` message: exactly 32 bytes in its field 1 (section 2.3).
pub(super) fn hash(message: &[u8]) -> Result<Hash, WireError> {
    // What every encoder writes.
    if let Some(([0x0a, 0x20], bytes)) = message.split_first_chunk::<2>()
        && let Ok(hash) = <[u8; 32]>::try_from(bytes)
    {
        return Ok(Hash(hash));
    }
    array(message, WireError::SliceLength).map(Hash)
}

/// A message with bytes of a fixed length in its field 1; absent is empty.
pub(super) fn array<const N: usize>(message: &[u8], wrong: WireError) -> Result<[u8; N], WireError> {
    let mut bytes: &[u8] = &[];
    let mut fields = Fields::of(message);
    while let Some((number, value)) = fields.next()? {
        if number == 1 {
            bytes = value.bytes()?;
        }
    }
    bytes.try_into().map_err(|_| wrong)
}

/// Fields in the order in which they are written: ascending is kaspad's. Defaults are left out.
#[derive(Debug, Default)]
pub(super) struct Writer {
    bytes: Vec<u8>,
}

impl Writer {
    pub(super) fn with_capacity(count: usize) -> Self {
        Self { bytes: Vec::with_capacity(count) }
    }

    pub(super) fn finish(self) -> Vec<u8> {
        self.bytes
    }

    /// An integer or a bool.
    pub(super) fn number(&mut self, number: u32, value: impl Into<u64>) {
        let value = value.into();
        if value != 0 {
            self.key(number, VARINT);
            self.varint(value);
        }
    }

    /// Bytes or a string.
    pub(super) fn bytes(&mut self, number: u32, value: &[u8]) {
        if !value.is_empty() {
            self.message(number, value);
        }
    }

    /// A message, also when it is empty.
    pub(super) fn message(&mut self, number: u32, value: &[u8]) {
        self.key(number, LENGTH);
        self.varint(value.len() as u64);
        self.raw(value);
    }

    /// A `Hash` or `TransactionId`.
    pub(super) fn hash(&mut self, number: u32, hash: &Hash) {
        self.key(number, LENGTH);
        self.raw(&[0x22, 0x0a, 0x20]);
        self.raw(&hash.0);
    }

    /// A message that `write` fills.
    pub(super) fn nested(&mut self, number: u32, write: impl FnOnce(&mut Self)) {
        let mut inner = Self::default();
        write(&mut inner);
        self.message(number, &inner.bytes);
    }

    /// What is encoded already.
    pub(super) fn raw(&mut self, encoded: &[u8]) {
        self.bytes.extend_from_slice(encoded);
    }

    fn key(&mut self, number: u32, form: u8) {
        self.varint(u64::from(number) << 3 | u64::from(form));
    }

    fn varint(&mut self, mut value: u64) {
        while value > VARINT_BYTE_MAX {
            self.bytes.push((value & VARINT_BYTE_MAX) as u8 | 0x80);
            value >>= 7;
        }
        self.bytes.push(value as u8);
    }
}

/// Bytes that a number takes as a varint.
pub(super) fn varint_length(value: u64) -> usize {
    (64 - (value | 1).leading_zeros() as usize).div_ceil(7)
}
