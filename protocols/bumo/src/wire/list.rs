//! Parts of messages that are left where they lie: lists, and messages together with their bytes.

use super::proto::{Field, LENGTH, Message, Reader, Writer};
use super::{DEPTH_MAX, WireError};
use core::fmt;
use core::marker::PhantomData;

/// A repeated field of messages, strings or bytes: as it lies in a message, or of items that are to be written.
///
/// Of what was decoded every item was read once and is right.
#[derive(Clone, Copy)]
pub struct List<'a, T> {
    source: Source<'a, T>,
}

#[derive(Clone, Copy)]
enum Source<'a, T> {
    Run { bytes: &'a [u8], count: usize },
    Items(&'a [T]),
}

impl<'a, T> List<'a, T> {
    /// The list of these.
    pub fn of(items: &'a [T]) -> Self {
        Self { source: Source::Items(items) }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        match self.source {
            Source::Run { count, .. } => count,
            Source::Items(items) => items.len(),
        }
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl<'a, T: Message<'a> + Copy> List<'a, T> {
    /// The items, in their order.
    pub fn iter(&self) -> Items<'a, T> {
        match self.source {
            Source::Run { bytes, .. } => Items { run: Reader::of(bytes, 0), items: [].iter() },
            Source::Items(items) => Items { run: Reader::of(&[], 0), items: items.iter() },
        }
    }
}

/// The items of a [`List`].
#[derive(Clone, Debug)]
pub struct Items<'a, T> {
    run: Reader<'a>,
    items: core::slice::Iter<'a, T>,
}

impl<'a, T: Message<'a> + Copy> Iterator for Items<'a, T> {
    type Item = T;

    #[inline(always)]
    fn next(&mut self) -> Option<T> {
        match self.items.next() {
            Some(item) => Some(*item),
            None => T::read(self.run.item()?, DEPTH_MAX).ok(),
        }
    }
}

impl<'a, T: Message<'a> + Copy> IntoIterator for List<'a, T> {
    type Item = T;
    type IntoIter = Items<'a, T>;

    fn into_iter(self) -> Items<'a, T> {
        self.iter()
    }
}

impl<T> Default for List<'_, T> {
    fn default() -> Self {
        Self { source: Source::Run { bytes: &[], count: 0 } }
    }
}

impl<'a, T: Message<'a> + Copy + PartialEq> PartialEq for List<'a, T> {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

impl<'a, T: Message<'a> + Copy + Eq> Eq for List<'a, T> {}

impl<'a, T: Message<'a> + Copy + fmt::Debug> fmt::Debug for List<'a, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

impl<'a, T: Message<'a> + Copy> Field<'a> for List<'a, T> {
    #[inline(always)]
    fn take(reader: &mut Reader<'a>, number: u8) -> Result<Self, WireError> {
        let (bytes, count) = reader.run::<T>(number)?;
        Ok(Self { source: Source::Run { bytes, count } })
    }

    fn put(&self, writer: &mut Writer, number: u8) {
        match self.source {
            // As it lies, if it lay in a field of this number.
            Source::Run { bytes, .. } if bytes.first() == Some(&(number << 3 | LENGTH)) => writer.raw(bytes),
            _ => self.iter().for_each(|item| writer.message(number, &item)),
        }
    }
}

/// A message and its bytes: what is signed or hashed over them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Whole<'a, T> {
    /// Its canonical bytes.
    pub bytes: &'a [u8],
    /// What they say.
    pub message: T,
}

impl<'a, T: Message<'a>> Message<'a> for Whole<'a, T> {
    #[inline(always)]
    fn read(message: &'a [u8], depth: u32) -> Result<Self, WireError> {
        Ok(Self { bytes: message, message: T::read(message, depth)? })
    }

    fn write(&self, writer: &mut Writer) {
        writer.raw(self.bytes);
    }
}

/// A message left as it lies. Of what was decoded it was read once and is right.
pub struct Encoded<'a, T> {
    /// Its canonical bytes.
    pub bytes: &'a [u8],
    kind: PhantomData<fn() -> T>,
}

impl<'a, T: Message<'a>> Encoded<'a, T> {
    /// The message of these bytes, which are trusted to be one.
    pub fn of(bytes: &'a [u8]) -> Self {
        Self { bytes, kind: PhantomData }
    }

    /// What the bytes say.
    pub fn open(&self) -> Result<T, WireError> {
        T::decode(self.bytes)
    }
}

impl<'a, T: Message<'a>> Message<'a> for Encoded<'a, T> {
    // Here messages may come to hold themselves: the rest is faster without.
    #[inline(never)]
    fn read(message: &'a [u8], depth: u32) -> Result<Self, WireError> {
        T::read(message, depth)?;
        Ok(Self::of(message))
    }

    fn write(&self, writer: &mut Writer) {
        writer.raw(self.bytes);
    }
}

impl<T> Clone for Encoded<'_, T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Encoded<'_, T> {}

impl<T> PartialEq for Encoded<'_, T> {
    fn eq(&self, other: &Self) -> bool {
        self.bytes == other.bytes
    }
}

impl<T> Eq for Encoded<'_, T> {}

impl<T> fmt::Debug for Encoded<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Encoded({} bytes)", self.bytes.len())
    }
}
