//! The types that fields have, and the table that makes a message of them.

use super::WireError;
use super::proto::{Field, Message, Reader, Writer};

impl<'a> Field<'a> for i64 {
    #[inline(always)]
    fn take(reader: &mut Reader<'a>, number: u8) -> Result<Self, WireError> {
        Ok(reader.number(number)? as i64)
    }

    fn put(&self, writer: &mut Writer, number: u8) {
        writer.number(number, *self as u64);
    }
}

impl<'a> Field<'a> for i32 {
    fn take(reader: &mut Reader<'a>, number: u8) -> Result<Self, WireError> {
        // A negative one has the ten bytes of the 64 bits that it is extended to.
        i32::try_from(reader.number(number)? as i64).map_err(|_| WireError::NotCanonical)
    }

    fn put(&self, writer: &mut Writer, number: u8) {
        writer.number(number, i64::from(*self) as u64);
    }
}

impl<'a> Field<'a> for bool {
    fn take(reader: &mut Reader<'a>, number: u8) -> Result<Self, WireError> {
        match reader.number(number)? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(WireError::NotCanonical),
        }
    }

    fn put(&self, writer: &mut Writer, number: u8) {
        writer.number(number, u64::from(*self));
    }
}

impl<'a> Field<'a> for &'a [u8] {
    #[inline(always)]
    fn take(reader: &mut Reader<'a>, number: u8) -> Result<Self, WireError> {
        match reader.message(number)? {
            None => Ok(&[]),
            Some([]) => Err(WireError::NotCanonical),
            Some(bytes) => Ok(bytes),
        }
    }

    fn put(&self, writer: &mut Writer, number: u8) {
        if !self.is_empty() {
            writer.delimited(number, self);
        }
    }
}

impl<'a> Field<'a> for &'a str {
    #[inline(always)]
    fn take(reader: &mut Reader<'a>, number: u8) -> Result<Self, WireError> {
        text(reader.field(number)?)
    }

    fn put(&self, writer: &mut Writer, number: u8) {
        self.as_bytes().put(writer, number);
    }
}

impl<'a, T: Message<'a>> Field<'a> for Option<T> {
    #[inline(always)]
    fn take(reader: &mut Reader<'a>, number: u8) -> Result<Self, WireError> {
        match reader.message(number)? {
            None => Ok(None),
            Some(message) => T::read(message, reader.inner_depth()?).map(Some),
        }
    }

    fn put(&self, writer: &mut Writer, number: u8) {
        if let Some(message) = self {
            writer.message(number, message);
        }
    }
}

/// A string's text.
#[inline(always)]
pub(super) fn text(bytes: &[u8]) -> Result<&str, WireError> {
    core::str::from_utf8(bytes).map_err(|_| WireError::Utf8)
}

/// Bytes of a list, or a message that is left as it lies: read by whoever wants to.
impl<'a> Message<'a> for &'a [u8] {
    #[inline(always)]
    fn read(message: &'a [u8], _: u32) -> Result<Self, WireError> {
        Ok(message)
    }

    fn write(&self, writer: &mut Writer) {
        writer.raw(self);
    }
}

/// A string of a list.
impl<'a> Message<'a> for &'a str {
    fn read(message: &'a [u8], _: u32) -> Result<Self, WireError> {
        text(message)
    }

    fn write(&self, writer: &mut Writer) {
        writer.raw(self.as_bytes());
    }
}

/// Makes a message of a table: number, name and type of each field, ascending.
macro_rules! message {
    ($(#[$about:meta])* pub struct $name:ident<'a> { $( $(#[$doc:meta])* $number:literal $field:ident: $kind:ty, )* }) => {
        $(#[$about])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub struct $name<'a> { $( $(#[$doc])* pub $field: $kind, )* }
        $crate::wire::field::message!(@impl [$name<'a>] $($number $field)*);
    };
    ($(#[$about:meta])* pub struct $name:ident { $( $(#[$doc:meta])* $number:literal $field:ident: $kind:ty, )* }) => {
        $(#[$about])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub struct $name { $( $(#[$doc])* pub $field: $kind, )* }
        $crate::wire::field::message!(@impl [$name] $($number $field)*);
    };
    (@impl [$name:ty] $($number:literal $field:ident)*) => {
        impl<'a> $crate::wire::Message<'a> for $name {
            #[inline(always)]
            fn read(message: &'a [u8], depth: u32) -> Result<Self, $crate::wire::WireError> {
                let mut reader = $crate::wire::Reader::of(message, depth);
                let read = Self { $($field: reader.field($number)?,)* };
                reader.end()?;
                Ok(read)
            }

            fn write(&self, writer: &mut $crate::wire::Writer) {
                $(writer.field($number, &self.$field);)*
            }
        }
    };
}
pub(crate) use message;
