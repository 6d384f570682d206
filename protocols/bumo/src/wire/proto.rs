//! Reads and writes protobuf in its one canonical form (BUMO spec, section 0).
//!
//! Hashes and signatures are over what the reference encoder would write, so what is hashed or signed is read by
//! [`Reader`], which asks for the fields in their order and takes nothing else: fields that are unknown, out of order,
//! twice or present with their default stay before it, and [`Reader::end`] refuses them. What is neither hashed nor
//! signed is read by [`super::loose`].
//!
//! Small functions are inlined by force: a message that holds itself is where the compiler gives up, and a vote took
//! half as long again.

use super::{DEPTH_MAX, WireError};
use alloc::vec::Vec;
use bytes::Bytes;

pub(super) const VARINT: u8 = 0;
pub(super) const LENGTH: u8 = 2;

/// A message: what it is made of, and its canonical bytes.
///
/// Large parts are borrowed from the bytes and nothing is allocated, whatever the bytes claim.
pub trait Message<'a>: Sized {
    /// Reads one within at most `depth` messages more.
    fn read(message: &'a [u8], depth: u32) -> Result<Self, WireError>;

    /// Appends its bytes.
    fn write(&self, writer: &mut Writer);

    /// Reads one that is in no other.
    fn decode(message: &'a [u8]) -> Result<Self, WireError> {
        Self::read(message, DEPTH_MAX)
    }

    /// Its bytes.
    fn encode(&self) -> Bytes {
        let mut writer = Writer::default();
        self.write(&mut writer);
        writer.finish()
    }
}

/// A field of a message, by its number.
pub trait Field<'a>: Sized {
    /// Reads it if it comes next, else it has its default.
    fn take(reader: &mut Reader<'a>, number: u8) -> Result<Self, WireError>;

    /// Writes it unless it has its default.
    fn put(&self, writer: &mut Writer, number: u8);
}

/// Takes a message apart, field by field in ascending order.
#[derive(Clone, Copy, Debug)]
pub struct Reader<'a> {
    rest: &'a [u8],
    depth: u32,
}

impl<'a> Reader<'a> {
    /// Reads a message that may hold `depth` levels of others.
    pub fn of(message: &'a [u8], depth: u32) -> Self {
        Self { rest: message, depth }
    }

    /// The field of this number if it comes next, else its default.
    #[inline(always)]
    pub fn field<T: Field<'a>>(&mut self, number: u8) -> Result<T, WireError> {
        T::take(self, number)
    }

    /// Whether nothing is left.
    #[inline(always)]
    pub fn is_at_end(&self) -> bool {
        self.rest.is_empty()
    }

    /// That nothing is left.
    #[inline(always)]
    pub fn end(self) -> Result<(), WireError> {
        if self.rest.is_empty() { Ok(()) } else { Err(WireError::NotCanonical) }
    }

    // Passes over the key if it comes next. Numbers up to 15 have keys of one byte; the protocol has none above 12.
    #[inline(always)]
    fn key(&mut self, number: u8, form: u8) -> bool {
        match self.rest.split_first() {
            Some((key, rest)) if *key == number << 3 | form => {
                self.rest = rest;
                true
            }
            _ => false,
        }
    }

    // Most have one byte, lengths of what is signed two.
    #[inline(always)]
    fn varint(&mut self) -> Result<u64, WireError> {
        match self.rest {
            [first, rest @ ..] if *first < 0x80 => {
                self.rest = rest;
                Ok(u64::from(*first))
            }
            [first, second @ 1..0x80, rest @ ..] => {
                self.rest = rest;
                Ok(u64::from(first & 0x7f) | u64::from(*second) << 7)
            }
            _ => self.long_varint(),
        }
    }

    fn long_varint(&mut self) -> Result<u64, WireError> {
        let (value, length) = varint(self.rest)?;
        if length != varint_length(value) {
            return Err(WireError::NotCanonical);
        }
        self.rest = self.rest.get(length..).unwrap_or_default();
        Ok(value)
    }

    /// A number that is present, so not 0.
    #[inline(always)]
    pub(super) fn number(&mut self, number: u8) -> Result<u64, WireError> {
        if !self.key(number, VARINT) {
            return Ok(0);
        }
        match self.varint()? {
            0 => Err(WireError::NotCanonical),
            value => Ok(value),
        }
    }

    // A length and as many bytes.
    #[inline(always)]
    fn delimited(&mut self) -> Result<&'a [u8], WireError> {
        let length = usize::try_from(self.varint()?).map_err(|_| WireError::Truncated)?;
        let (bytes, rest) = self.rest.split_at_checked(length).ok_or(WireError::Truncated)?;
        self.rest = rest;
        Ok(bytes)
    }

    /// The bytes of a message, if it is there.
    #[inline(always)]
    pub(super) fn message(&mut self, number: u8) -> Result<Option<&'a [u8]>, WireError> {
        if self.key(number, LENGTH) { self.delimited().map(Some) } else { Ok(None) }
    }

    /// How deep messages inside this one may go.
    #[inline(always)]
    pub(super) fn inner_depth(&self) -> Result<u32, WireError> {
        self.depth.checked_sub(1).ok_or(WireError::TooDeep)
    }

    /// The next number of a packed field, whose bytes this reads; nothing at their end.
    pub(super) fn packed(&mut self) -> Result<Option<i32>, WireError> {
        if self.rest.is_empty() {
            return Ok(None);
        }
        i32::try_from(self.varint()? as i64).map(Some).map_err(|_| WireError::NotCanonical)
    }

    /// The next item of a run that was read before, past its key, which is one byte and the same for all.
    #[inline(always)]
    pub(super) fn item(&mut self) -> Option<&'a [u8]> {
        let (_, rest) = self.rest.split_first()?;
        self.rest = rest;
        self.delimited().ok()
    }

    /// The items of a repeated field, one behind the other with their keys and lengths, and how many there are.
    #[inline(always)]
    pub(super) fn run<T: Message<'a>>(&mut self, number: u8) -> Result<(&'a [u8], usize), WireError> {
        let start = self.rest;
        let mut count = 0;
        while let Some(item) = self.message(number)? {
            T::read(item, self.inner_depth()?)?;
            count += 1;
        }
        Ok((start.get(..start.len() - self.rest.len()).unwrap_or_default(), count))
    }
}

/// A number at the start of some bytes, and its length.
pub(super) fn varint(bytes: &[u8]) -> Result<(u64, usize), WireError> {
    let mut value = 0;
    for (index, byte) in bytes.iter().take(10).enumerate() {
        value |= u64::from(byte & 0x7f) << (7 * index);
        if *byte < 0x80 {
            return if index == 9 && *byte > 1 { Err(WireError::Varint) } else { Ok((value, index + 1)) };
        }
    }
    Err(if bytes.len() < 10 { WireError::Truncated } else { WireError::Varint })
}

/// Bytes that a number takes.
pub(super) fn varint_length(value: u64) -> usize {
    (64 - (value | 1).leading_zeros() as usize).div_ceil(7)
}

/// Appends fields in the order in which they are put.
#[derive(Debug, Default)]
pub struct Writer {
    bytes: Vec<u8>,
}

impl Writer {
    /// A writer with room for this many bytes.
    pub fn with_capacity(count: usize) -> Self {
        Self { bytes: Vec::with_capacity(count) }
    }

    /// What was written.
    pub fn finish(self) -> Bytes {
        self.bytes.into()
    }

    /// A field, unless it has its default.
    pub fn field<'a, T: Field<'a>>(&mut self, number: u8, value: &T) {
        value.put(self, number);
    }

    /// A message, also when it is empty.
    pub fn message<'a>(&mut self, number: u8, message: &impl Message<'a>) {
        self.key(number, LENGTH);
        let start = self.bytes.len();
        // Most are shorter than 128 bytes, and then their length has its place already.
        self.bytes.push(0);
        message.write(self);
        let length = (self.bytes.len() - start - 1) as u64;
        if length < 0x80 {
            if let Some(place) = self.bytes.get_mut(start) {
                *place = length as u8;
            }
        } else {
            let (digits, count) = digits(length);
            self.bytes.splice(start..=start, digits.into_iter().take(count));
        }
    }

    /// Bytes, also when they are none.
    pub fn delimited(&mut self, number: u8, bytes: &[u8]) {
        self.announce(number, bytes.len());
        self.raw(bytes);
    }

    /// The key and the length of bytes that follow.
    pub(super) fn announce(&mut self, number: u8, length: usize) {
        self.key(number, LENGTH);
        self.varint(length as u64);
    }

    /// What is encoded already.
    pub fn raw(&mut self, encoded: &[u8]) {
        self.bytes.extend_from_slice(encoded);
    }

    /// A number of a packed field, whose bytes this writes.
    pub(super) fn packed(&mut self, value: i32) {
        self.varint(i64::from(value) as u64);
    }

    /// A number, unless it is 0.
    pub(super) fn number(&mut self, number: u8, value: u64) {
        if value != 0 {
            self.key(number, VARINT);
            self.varint(value);
        }
    }

    fn key(&mut self, number: u8, form: u8) {
        self.bytes.push(number << 3 | form);
    }

    fn varint(&mut self, value: u64) {
        let (digits, count) = digits(value);
        self.raw(digits.get(..count).unwrap_or_default());
    }
}

fn digits(mut value: u64) -> ([u8; 10], usize) {
    let mut digits = [0; 10];
    let count = varint_length(value);
    for (index, digit) in digits.iter_mut().take(count).enumerate() {
        *digit = (value & 0x7f) as u8 | if index + 1 < count { 0x80 } else { 0 };
        value >>= 7;
    }
    (digits, count)
}
