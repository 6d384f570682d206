//! Takes bytes apart from front to back.

use super::{BinprotError, DEPTH_MAX};

/// What is left of some bytes.
#[derive(Clone, Copy, Debug)]
pub struct Reader<'a> {
    rest: &'a [u8],
    depth: u8,
}

impl<'a> Reader<'a> {
    /// Reads these bytes.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes, depth: DEPTH_MAX }
    }

    /// What is left.
    pub fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// That nothing is left.
    pub fn end(self) -> Result<(), BinprotError> {
        if self.rest.is_empty() { Ok(()) } else { Err(BinprotError::Trailing) }
    }

    /// The next byte.
    #[inline]
    pub fn byte(&mut self) -> Result<u8, BinprotError> {
        let (first, rest) = self.rest.split_first().ok_or(BinprotError::Truncated)?;
        self.rest = rest;
        Ok(*first)
    }

    /// The next bytes.
    #[inline]
    pub fn bytes(&mut self, count: usize) -> Result<&'a [u8], BinprotError> {
        let (bytes, rest) = self.rest.split_at_checked(count).ok_or(BinprotError::Truncated)?;
        self.rest = rest;
        Ok(bytes)
    }

    /// As many bytes as the array has.
    #[inline]
    pub fn array<const N: usize>(&mut self) -> Result<&'a [u8; N], BinprotError> {
        let (bytes, rest) = self.rest.split_first_chunk().ok_or(BinprotError::Truncated)?;
        self.rest = rest;
        Ok(bytes)
    }

    /// A length.
    #[inline]
    pub fn nat0(&mut self) -> Result<u64, BinprotError> {
        let (value, least) = match self.byte()? {
            small @ 0..0x80 => return Ok(u64::from(small)),
            0xfe => (u64::from(u16::from_le_bytes(*self.array()?)), 0x80),
            0xfd => (u64::from(u32::from_le_bytes(*self.array()?)), 1 << 16),
            0xfc => (u64::from_le_bytes(*self.array()?), 1 << 32),
            _ => return Err(BinprotError::Number),
        };
        if value < least { Err(BinprotError::NotMinimal) } else { Ok(value) }
    }

    /// A signed number.
    #[inline]
    pub fn int(&mut self) -> Result<i64, BinprotError> {
        let (value, shorter) = match self.byte()? {
            small @ 0..0x80 => return Ok(i64::from(small)),
            0xff => {
                let value = i64::from(i8::from_le_bytes(*self.array()?));
                // The reference refuses this one too.
                return if value < 0 { Ok(value) } else { Err(BinprotError::Number) };
            }
            0xfe => {
                let value = i16::from_le_bytes(*self.array()?);
                (i64::from(value), i8::try_from(value).is_ok())
            }
            0xfd => {
                let value = i32::from_le_bytes(*self.array()?);
                (i64::from(value), i16::try_from(value).is_ok())
            }
            0xfc => {
                let value = i64::from_le_bytes(*self.array()?);
                (value, i32::try_from(value).is_ok())
            }
            _ => return Err(BinprotError::Number),
        };
        if shorter { Err(BinprotError::NotMinimal) } else { Ok(value) }
    }

    /// The bytes of a string of this many at most.
    #[inline]
    pub fn string(&mut self, length_max: usize) -> Result<&'a [u8], BinprotError> {
        let length = usize::try_from(self.nat0()?).map_err(|_| BinprotError::Truncated)?;
        if length > length_max {
            return Err(BinprotError::Length);
        }
        self.bytes(length)
    }

    /// How many items a list has, of which each has a byte at least.
    #[inline]
    pub fn count(&mut self, count_max: usize) -> Result<usize, BinprotError> {
        let count = usize::try_from(self.nat0()?).map_err(|_| BinprotError::Truncated)?;
        if count > self.rest.len() {
            return Err(BinprotError::Truncated);
        }
        if count > count_max { Err(BinprotError::TooMany) } else { Ok(count) }
    }

    /// The bytes that something reads.
    #[inline]
    pub fn span<T>(
        &mut self,
        read: impl FnOnce(&mut Self) -> Result<T, BinprotError>,
    ) -> Result<(&'a [u8], T), BinprotError> {
        let start = self.rest;
        let value = read(self)?;
        Ok((start.get(..start.len() - self.rest.len()).unwrap_or_default(), value))
    }

    /// Goes into something that may hold more of its kind.
    pub fn descend(&mut self) -> Result<(), BinprotError> {
        self.depth = self.depth.checked_sub(1).ok_or(BinprotError::TooDeep)?;
        Ok(())
    }

    /// Comes out of it again.
    pub fn ascend(&mut self) {
        self.depth = self.depth.saturating_add(1);
    }
}
