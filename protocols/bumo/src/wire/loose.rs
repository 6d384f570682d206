//! Reads protobuf as stock decoders do: fields in any order, the last of a scalar counts, unknown ones are skipped.
//!
//! For what is neither hashed nor signed: envelope, greeting, pings, lists of peers and of ledgers. A newer node may
//! add fields to these, and the original node takes them.

use super::WireError;
use super::field::text;
use super::proto::{LENGTH, VARINT, varint};

const FIXED64: u8 = 1;
const GROUP_START: u8 = 3;
const GROUP_END: u8 = 4;
const FIXED32: u8 = 5;

/// The largest field number, 29 bits.
const NUMBER_MAX: u64 = (1 << 29) - 1;
/// How many groups may be open: what stock decoders allow. They are skipped without recursion.
const GROUP_DEPTH_MAX: u32 = 100;

/// One field's value.
#[derive(Clone, Copy, Debug)]
pub(super) enum Value<'a> {
    Varint(u64),
    Bytes(&'a [u8]),
    /// A form that no field of BUMO has.
    Other,
}

impl<'a> Value<'a> {
    pub(super) fn i64(self) -> Result<i64, WireError> {
        match self {
            Self::Varint(value) => Ok(value as i64),
            _ => Err(WireError::Form),
        }
    }

    /// The low 32 bits, as every decoder takes them.
    pub(super) fn i32(self) -> Result<i32, WireError> {
        self.i64().map(|value| value as i32)
    }

    pub(super) fn bool(self) -> Result<bool, WireError> {
        self.i64().map(|value| value != 0)
    }

    pub(super) fn bytes(self) -> Result<&'a [u8], WireError> {
        match self {
            Self::Bytes(bytes) => Ok(bytes),
            _ => Err(WireError::Form),
        }
    }

    pub(super) fn text(self) -> Result<&'a str, WireError> {
        text(self.bytes()?)
    }
}

/// Whether some bytes are fields of protobuf, one behind the other, whatever they hold: what is not in canonical form is
/// that at least, and garbage is not.
pub fn is_protobuf(message: &[u8]) -> bool {
    let mut fields = Fields::of(message);
    loop {
        match fields.next() {
            Ok(Some(_)) => {}
            Ok(None) => return true,
            Err(_) => return false,
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
    #[inline]
    pub(super) fn next(&mut self) -> Result<Option<(u32, Value<'a>)>, WireError> {
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
    fn key(&mut self) -> Result<(u32, u8), WireError> {
        let key = self.varint()?;
        let number = key >> 3;
        if number == 0 || number > NUMBER_MAX {
            return Err(WireError::Key);
        }
        Ok((number as u32, (key & 7) as u8))
    }

    #[inline]
    fn varint(&mut self) -> Result<u64, WireError> {
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
    fn delimited(&mut self) -> Result<&'a [u8], WireError> {
        let length = usize::try_from(self.varint()?).map_err(|_| WireError::Truncated)?;
        self.advance(length)
    }

    #[inline]
    fn advance(&mut self, count: usize) -> Result<&'a [u8], WireError> {
        let (bytes, rest) = self.rest.split_at_checked(count).ok_or(WireError::Truncated)?;
        self.rest = rest;
        Ok(bytes)
    }

    // Passes over a value of a form that no known field has.
    fn skip(&mut self, number: u32, form: u8) -> Result<(), WireError> {
        match form {
            FIXED64 => self.advance(8).map(drop),
            FIXED32 => self.advance(4).map(drop),
            GROUP_START => self.skip_group(number),
            _ => Err(WireError::Key),
        }
    }

    fn skip_group(&mut self, number: u32) -> Result<(), WireError> {
        let mut open = alloc::vec![number];
        while let Some(innermost) = open.last().copied() {
            let (number, form) = self.key()?;
            match form {
                VARINT => drop(self.varint()?),
                LENGTH => drop(self.delimited()?),
                GROUP_START if open.len() < GROUP_DEPTH_MAX as usize => open.push(number),
                GROUP_START => return Err(WireError::TooDeep),
                GROUP_END if number == innermost => drop(open.pop()),
                _ => self.skip(number, form)?,
            }
        }
        Ok(())
    }
}
