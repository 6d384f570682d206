//! Reads and writes protobuf: the four forms that a field has on the wire, and nothing of any message.
//!
//! As in stock decoders: fields come in any order, unknown ones are skipped, of a scalar the last one counts, and a
//! known field of the wrong form is an error. Nothing is allocated in proportion to what a message claims.

use alloc::vec::Vec;

/// How many groups may be open: what stock decoders allow. They are skipped without recursion.
const GROUP_DEPTH_MAX: usize = 100;
/// The largest field number, 29 bits.
const NUMBER_MAX: u64 = (1 << 29) - 1;
/// The longest varint, that of a negative number.
const VARINT_BYTES_MAX: usize = 10;

const VARINT: u8 = 0;
const FIXED64: u8 = 1;
const LENGTH: u8 = 2;
const GROUP_START: u8 = 3;
const GROUP_END: u8 = 4;
const FIXED32: u8 = 5;

/// What is wrong with bytes that should be protobuf.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProtobufError {
    /// Something ends in the middle.
    Truncated,
    /// A varint is longer than 64 bits.
    Varint,
    /// A field has a number or a form that there is not.
    Key,
    /// A group ends that did not begin.
    Group,
    /// More groups are open than any decoder follows.
    TooDeep,
    /// A known field does not have its form.
    Form,
    /// A string is not UTF-8.
    Utf8,
}

/// One field's value.
#[derive(Clone, Copy, Debug)]
pub enum Value<'a> {
    /// An integer or a bool.
    Varint(u64),
    /// Bytes, a string or a message.
    Bytes(&'a [u8]),
    /// A form that no field has which anyone here asks for: fixed width, or a group.
    Other,
}

impl<'a> Value<'a> {
    /// An unsigned integer.
    #[inline]
    pub fn u64(self) -> Result<u64, ProtobufError> {
        match self {
            Self::Varint(value) => Ok(value),
            _ => Err(ProtobufError::Form),
        }
    }

    /// The low 32 bits, as every decoder takes them.
    #[inline]
    pub fn u32(self) -> Result<u32, ProtobufError> {
        self.u64().map(|value| value as u32)
    }

    /// A signed integer.
    #[inline]
    pub fn i64(self) -> Result<i64, ProtobufError> {
        self.u64().map(|value| value as i64)
    }

    /// The low 32 bits as a signed integer.
    #[inline]
    pub fn i32(self) -> Result<i32, ProtobufError> {
        self.u64().map(|value| value as i32)
    }

    /// Any number but 0 is true.
    #[inline]
    pub fn bool(self) -> Result<bool, ProtobufError> {
        self.u64().map(|value| value != 0)
    }

    /// Bytes, or a message inside this one.
    #[inline]
    pub fn bytes(self) -> Result<&'a [u8], ProtobufError> {
        match self {
            Self::Bytes(bytes) => Ok(bytes),
            _ => Err(ProtobufError::Form),
        }
    }

    /// A string.
    #[inline]
    pub fn text(self) -> Result<&'a str, ProtobufError> {
        core::str::from_utf8(self.bytes()?).map_err(|_| ProtobufError::Utf8)
    }
}

/// The fields of a message, in the order that they came.
#[derive(Clone, Copy, Debug)]
pub struct Fields<'a> {
    rest: &'a [u8],
}

impl<'a> Fields<'a> {
    /// Those of this message.
    #[inline]
    pub fn of(message: &'a [u8]) -> Self {
        Self { rest: message }
    }

    /// The next field's number and value.
    #[inline]
    #[expect(clippy::should_implement_trait, reason = "an iterator of results would go on behind an error")]
    pub fn next(&mut self) -> Result<Option<(u32, Value<'a>)>, ProtobufError> {
        if self.rest.is_empty() {
            return Ok(None);
        }
        let (number, form) = self.key()?;
        let value = match form {
            VARINT => Value::Varint(self.varint()?),
            LENGTH => Value::Bytes(self.delimited()?),
            _ => {
                self.skip(number, form)?;
                Value::Other
            }
        };
        Ok(Some((number, value)))
    }

    #[inline]
    fn key(&mut self) -> Result<(u32, u8), ProtobufError> {
        let key = self.varint()?;
        let number = key >> 3;
        if number == 0 || number > NUMBER_MAX {
            return Err(ProtobufError::Key);
        }
        Ok((number as u32, (key & 7) as u8))
    }

    #[inline]
    fn varint(&mut self) -> Result<u64, ProtobufError> {
        if let [first, rest @ ..] = self.rest
            && *first < 0x80
        {
            self.rest = rest;
            return Ok(u64::from(*first));
        }
        let (value, length) = varint(self.rest)?;
        self.rest = self.rest.get(length..).unwrap_or_default();
        Ok(value)
    }

    #[inline]
    fn delimited(&mut self) -> Result<&'a [u8], ProtobufError> {
        let length = usize::try_from(self.varint()?).map_err(|_| ProtobufError::Truncated)?;
        self.advance(length)
    }

    #[inline]
    fn advance(&mut self, count: usize) -> Result<&'a [u8], ProtobufError> {
        let (bytes, rest) = self.rest.split_at_checked(count).ok_or(ProtobufError::Truncated)?;
        self.rest = rest;
        Ok(bytes)
    }

    // Passes over a value of a form that no known field has.
    fn skip(&mut self, number: u32, form: u8) -> Result<(), ProtobufError> {
        match form {
            FIXED64 => self.advance(8).map(drop),
            FIXED32 => self.advance(4).map(drop),
            GROUP_START => self.skip_group(number),
            GROUP_END => Err(ProtobufError::Group),
            _ => Err(ProtobufError::Key),
        }
    }

    fn skip_group(&mut self, number: u32) -> Result<(), ProtobufError> {
        let mut open = alloc::vec![number];
        while let Some(innermost) = open.last().copied() {
            let (number, form) = self.key()?;
            match form {
                VARINT => drop(self.varint()?),
                LENGTH => drop(self.delimited()?),
                GROUP_START if open.len() < GROUP_DEPTH_MAX => open.push(number),
                GROUP_START => return Err(ProtobufError::TooDeep),
                GROUP_END if number == innermost => drop(open.pop()),
                _ => self.skip(number, form)?,
            }
        }
        Ok(())
    }
}

/// A number at the start of some bytes, and its length there. It need not have its shortest form.
pub fn varint(bytes: &[u8]) -> Result<(u64, usize), ProtobufError> {
    let mut value = 0;
    for (index, byte) in bytes.iter().take(VARINT_BYTES_MAX).enumerate() {
        value |= u64::from(byte & 0x7f) << (7 * index);
        if *byte < 0x80 {
            let is_too_large = index + 1 == VARINT_BYTES_MAX && *byte > 1;
            return if is_too_large { Err(ProtobufError::Varint) } else { Ok((value, index + 1)) };
        }
    }
    Err(if bytes.len() < VARINT_BYTES_MAX { ProtobufError::Truncated } else { ProtobufError::Varint })
}

/// Bytes that a number takes in its shortest form.
pub fn varint_length(value: u64) -> usize {
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
    pub fn finish(self) -> Vec<u8> {
        self.bytes
    }

    /// An integer or a bool, unless it is 0.
    pub fn number(&mut self, number: u32, value: impl Into<u64>) {
        let value = value.into();
        if value != 0 {
            self.present(number, value);
        }
    }

    /// An integer or a bool, also when it is 0.
    pub fn present(&mut self, number: u32, value: impl Into<u64>) {
        self.key(number, VARINT);
        self.varint(value.into());
    }

    /// Bytes or a string, unless they are none.
    pub fn bytes(&mut self, number: u32, value: &[u8]) {
        if !value.is_empty() {
            self.message(number, value);
        }
    }

    /// A message, bytes or a string, also when it is empty.
    pub fn message(&mut self, number: u32, value: &[u8]) {
        self.key(number, LENGTH);
        self.varint(value.len() as u64);
        self.raw(value);
    }

    /// A message that `write` fills.
    pub fn nested(&mut self, number: u32, write: impl FnOnce(&mut Self)) {
        let mut inner = Self::default();
        write(&mut inner);
        self.message(number, &inner.bytes);
    }

    /// What is encoded already.
    pub fn raw(&mut self, encoded: &[u8]) {
        self.bytes.extend_from_slice(encoded);
    }

    /// A number alone, as it stands before a message that is delimited by its length.
    pub fn varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.bytes.push(value as u8 & 0x7f | 0x80);
            value >>= 7;
        }
        self.bytes.push(value as u8);
    }

    fn key(&mut self, number: u32, form: u8) {
        self.varint(u64::from(number) << 3 | u64::from(form));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn walk(message: &[u8]) -> Result<Vec<(u32, u64)>, ProtobufError> {
        let (mut fields, mut read) = (Fields::of(message), Vec::new());
        while let Some((number, value)) = fields.next()? {
            read.push((number, value.u64().unwrap_or(u64::MAX)));
        }
        Ok(read)
    }

    #[test]
    fn what_is_written_is_read_and_defaults_are_left_out() {
        let mut writer = Writer::default();
        writer.number(1, 0_u32);
        writer.present(2, 0_u32);
        writer.number(16, u64::MAX);
        writer.bytes(3, b"");
        writer.message(4, b"");
        writer.nested(5, |inner| inner.bytes(1, b"text"));
        let message = writer.finish();
        let mut fields = Fields::of(&message);
        let mut next = || fields.next().expect("a field");
        assert!(matches!(next(), Some((2, Value::Varint(0)))));
        assert!(matches!(next(), Some((16, Value::Varint(u64::MAX)))));
        assert!(matches!(next(), Some((4, Value::Bytes(b"")))));
        let Some((5, inner)) = next() else { panic!("a message") };
        let Ok(Some((1, text))) = Fields::of(inner.bytes().expect("bytes")).next() else { panic!("a string") };
        assert_eq!(text.text(), Ok("text"));
        assert!(next().is_none());
    }

    #[test]
    fn other_forms_are_passed_over() {
        let fixed = [[0x09].as_slice(), &[7; 8], &[0x15], &[7; 4], &[0x18, 5]].concat();
        assert_eq!(walk(&fixed), Ok(alloc::vec![(1, u64::MAX), (2, u64::MAX), (3, 5)]));
        // A group in a group, with fields in both.
        assert_eq!(
            walk(&[0x0b, 0x08, 1, 0x13, 0x12, 1, 9, 0x14, 0x0c, 0x18, 5]),
            Ok(alloc::vec![(1, u64::MAX), (3, 5)])
        );
        let deep = |depth: usize| [[0x0b].repeat(depth), [0x0c].repeat(depth)].concat();
        assert!(walk(&deep(GROUP_DEPTH_MAX)).is_ok());
        assert_eq!(walk(&deep(GROUP_DEPTH_MAX + 1)), Err(ProtobufError::TooDeep));
    }

    #[test]
    fn bad_bytes_are_refused_with_their_reason() {
        let cases: [(&[u8], ProtobufError); 8] = [
            (&[0x00, 1], ProtobufError::Key),
            (&[0x0e, 1], ProtobufError::Key),
            (&[0x0c], ProtobufError::Group),
            (&[0x0b, 0x14], ProtobufError::Group),
            (&[0x0b], ProtobufError::Truncated),
            (&[0x0a, 2, 1], ProtobufError::Truncated),
            (&[0x08, 0xff], ProtobufError::Truncated),
            (&[0x08, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02], ProtobufError::Varint),
        ];
        for (message, error) in cases {
            assert_eq!(walk(message), Err(error), "{message:?}");
        }
        assert_eq!(Value::Bytes(b"\xff").text(), Err(ProtobufError::Utf8));
        assert_eq!(Value::Bytes(b"").u64(), Err(ProtobufError::Form));
        assert_eq!([0, 127, 128, u64::MAX].map(varint_length), [1, 1, 2, 10]);
    }
}
