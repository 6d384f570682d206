//! Values that are checked once and left where they lie.

use super::{Binable, BinprotError, Reader, Writer};
use core::fmt;
use core::marker::PhantomData;

/// A value that is right, and its bytes.
pub struct Whole<'a, T> {
    bytes: &'a [u8],
    kind: PhantomData<fn() -> T>,
}

impl<'a, T: Binable<'a>> Whole<'a, T> {
    /// Its bytes.
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// The value. It is read again; the error is none that can be met, because the bytes were read before.
    pub fn get(&self) -> Result<T, BinprotError> {
        T::decode(self.bytes)
    }
}

impl<T> Clone for Whole<'_, T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Whole<'_, T> {}

impl<T> PartialEq for Whole<'_, T> {
    fn eq(&self, other: &Self) -> bool {
        self.bytes == other.bytes
    }
}

impl<T> Eq for Whole<'_, T> {}

impl<T> fmt::Debug for Whole<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes", self.bytes.len())
    }
}

impl<'a, T: Binable<'a>> Binable<'a> for Whole<'a, T> {
    #[inline]
    fn read(reader: &mut Reader<'a>) -> Result<Self, BinprotError> {
        let (bytes, _) = reader.span(T::read)?;
        Ok(Self { bytes, kind: PhantomData })
    }

    fn write(&self, writer: &mut Writer) {
        match writer.is_anew().then(|| self.get()) {
            Some(Ok(value)) => value.write(writer),
            _ => writer.raw(self.bytes),
        }
    }
}

/// A list of at most `MAX`, as it lies in some bytes or of items that are to be written.
pub struct Seq<'a, T, const MAX: usize> {
    source: Source<'a, T>,
}

enum Source<'a, T> {
    Run { bytes: &'a [u8], count: usize },
    Items(&'a [T]),
}

impl<T> Clone for Source<'_, T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Source<'_, T> {}

impl<'a, T> Source<'a, T> {
    fn len(&self) -> usize {
        match self {
            Self::Run { count, .. } => *count,
            Self::Items(items) => items.len(),
        }
    }

    fn iter(&self) -> Items<'a, T> {
        match self {
            Self::Run { bytes, count } => Items { run: Reader::new(bytes), left: *count, items: [].iter() },
            Self::Items(items) => Items { run: Reader::new(&[]), left: 0, items: items.iter() },
        }
    }
}

impl<'a, T: Binable<'a>> Source<'a, T> {
    #[inline]
    fn read(reader: &mut Reader<'a>, count: usize) -> Result<Self, BinprotError> {
        let (bytes, ()) = reader.span(|reader| (0..count).try_for_each(|_| T::read(reader).map(drop)))?;
        Ok(Self::Run { bytes, count })
    }

    fn write(&self, writer: &mut Writer) {
        match self {
            Self::Run { bytes, .. } if !writer.is_anew() => writer.raw(bytes),
            Self::Run { .. } => self.iter().for_each(|item| item.write(writer)),
            Self::Items(items) => items.iter().for_each(|item| item.write(writer)),
        }
    }
}

impl<'a, T, const MAX: usize> Seq<'a, T, MAX> {
    /// The list of none.
    pub const EMPTY: Self = Self { source: Source::Items(&[]) };

    /// The list of these, if they are not too many.
    pub fn of(items: &'a [T]) -> Option<Self> {
        (items.len() <= MAX).then_some(Self { source: Source::Items(items) })
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.source.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The items, in their order.
    pub fn iter(&self) -> Items<'a, T> {
        self.source.iter()
    }
}

impl<T, const MAX: usize> Clone for Seq<'_, T, MAX> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T, const MAX: usize> Copy for Seq<'_, T, MAX> {}

impl<'a, T: Binable<'a> + PartialEq, const MAX: usize> PartialEq for Seq<'a, T, MAX> {
    fn eq(&self, other: &Self) -> bool {
        self.len() == other.len() && self.iter().eq(other.iter())
    }
}

impl<'a, T: Binable<'a> + Eq, const MAX: usize> Eq for Seq<'a, T, MAX> {}

impl<'a, T: Binable<'a> + fmt::Debug, const MAX: usize> fmt::Debug for Seq<'a, T, MAX> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

impl<'a, T: Binable<'a>, const MAX: usize> Binable<'a> for Seq<'a, T, MAX> {
    #[inline]
    fn read(reader: &mut Reader<'a>) -> Result<Self, BinprotError> {
        let count = reader.count(MAX)?;
        Ok(Self { source: Source::read(reader, count)? })
    }

    fn write(&self, writer: &mut Writer) {
        writer.nat0(self.len() as u64);
        self.source.write(writer);
    }
}

impl<'a, T: Binable<'a>, const MAX: usize> IntoIterator for Seq<'a, T, MAX> {
    type Item = T;
    type IntoIter = Items<'a, T>;

    fn into_iter(self) -> Items<'a, T> {
        self.iter()
    }
}

/// A vector of exactly `N`.
pub struct Vector<'a, T, const N: usize> {
    source: Source<'a, T>,
}

impl<'a, T, const N: usize> Vector<'a, T, N> {
    /// The vector of these.
    pub fn of(items: &'a [T; N]) -> Self {
        Self { source: Source::Items(items) }
    }

    /// The items, in their order.
    pub fn iter(&self) -> Items<'a, T> {
        self.source.iter()
    }
}

impl<T, const N: usize> Clone for Vector<'_, T, N> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T, const N: usize> Copy for Vector<'_, T, N> {}

impl<'a, T: Binable<'a> + PartialEq, const N: usize> PartialEq for Vector<'a, T, N> {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

impl<'a, T: Binable<'a> + Eq, const N: usize> Eq for Vector<'a, T, N> {}

impl<'a, T: Binable<'a> + fmt::Debug, const N: usize> fmt::Debug for Vector<'a, T, N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

impl<'a, T: Binable<'a>, const N: usize> Binable<'a> for Vector<'a, T, N> {
    #[inline]
    fn read(reader: &mut Reader<'a>) -> Result<Self, BinprotError> {
        let source = Source::read(reader, N)?;
        <()>::read(reader)?;
        Ok(Self { source })
    }

    fn write(&self, writer: &mut Writer) {
        self.source.write(writer);
        ().write(writer);
    }
}

impl<'a, T: Binable<'a>, const N: usize> IntoIterator for Vector<'a, T, N> {
    type Item = T;
    type IntoIter = Items<'a, T>;

    fn into_iter(self) -> Items<'a, T> {
        self.iter()
    }
}

/// The items of a [`Seq`] or a [`Vector`].
#[derive(Clone, Debug)]
pub struct Items<'a, T> {
    run: Reader<'a>,
    left: usize,
    items: core::slice::Iter<'a, T>,
}

impl<'a, T: Binable<'a>> Iterator for Items<'a, T> {
    type Item = T;

    fn next(&mut self) -> Option<T> {
        match self.left.checked_sub(1) {
            Some(left) => {
                self.left = left;
                T::read(&mut self.run).ok()
            }
            None => self.items.next().copied(),
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let count = self.left + self.items.len();
        (count, Some(count))
    }
}

/// A string of at most `MAX` bytes, which need not be UTF-8.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Text<'a, const MAX: usize>(&'a [u8]);

impl<'a, const MAX: usize> Text<'a, MAX> {
    /// The string of these bytes, if they are not too many.
    pub fn of(bytes: &'a [u8]) -> Option<Self> {
        (bytes.len() <= MAX).then_some(Self(bytes))
    }

    /// The bytes.
    pub fn as_bytes(&self) -> &'a [u8] {
        self.0
    }
}

impl<const MAX: usize> fmt::Debug for Text<'_, MAX> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\"", self.0.escape_ascii())
    }
}

impl<'a, const MAX: usize> Binable<'a> for Text<'a, MAX> {
    fn read(reader: &mut Reader<'a>) -> Result<Self, BinprotError> {
        reader.string(MAX).map(Self)
    }

    fn write(&self, writer: &mut Writer) {
        writer.string(self.0);
    }
}
