//! The one polymorphic variant of what is relayed.

use super::{Binable, BinprotError, Reader, Writer};

// Twice a hash of the name, and 1 (Mina spec, section 4.1).
const ONE: [u8; 4] = [0x8d, 0xa4, 0x78, 0x00];
const TWO: [u8; 4] = [0xd9, 0x4a, 0x80, 0x00];

/// `` `One`` or `` `Two`` of something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OneOrTwo<T> {
    /// `8da47800`.
    One(T),
    /// `d94a8000`.
    Two(T, T),
}

impl<T> OneOrTwo<T> {
    /// The first, and the second if there is one.
    pub fn parts(&self) -> (&T, Option<&T>) {
        match self {
            Self::One(first) => (first, None),
            Self::Two(first, second) => (first, Some(second)),
        }
    }
}

impl<'a, T: Binable<'a>> Binable<'a> for OneOrTwo<T> {
    fn read(reader: &mut Reader<'a>) -> Result<Self, BinprotError> {
        match *reader.array()? {
            ONE => T::read(reader).map(Self::One),
            TWO => Ok(Self::Two(T::read(reader)?, T::read(reader)?)),
            _ => Err(BinprotError::Constructor),
        }
    }

    fn write(&self, writer: &mut Writer) {
        let (first, second) = self.parts();
        writer.raw(if second.is_some() { &TWO } else { &ONE });
        first.write(writer);
        if let Some(second) = second {
            second.write(writer);
        }
    }
}
