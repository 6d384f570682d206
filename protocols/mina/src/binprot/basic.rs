//! The values that others are made of.

use super::{Binable, BinprotError, Reader, Writer};

impl<'a> Binable<'a> for () {
    #[inline]
    fn read(reader: &mut Reader<'a>) -> Result<Self, BinprotError> {
        if reader.byte()? == 0 { Ok(()) } else { Err(BinprotError::Unit) }
    }

    fn write(&self, writer: &mut Writer) {
        writer.byte(0);
    }
}

impl<'a> Binable<'a> for bool {
    #[inline]
    fn read(reader: &mut Reader<'a>) -> Result<Self, BinprotError> {
        match reader.byte()? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(BinprotError::Bool),
        }
    }

    fn write(&self, writer: &mut Writer) {
        writer.byte(u8::from(*self));
    }
}

/// A char.
impl<'a> Binable<'a> for u8 {
    #[inline]
    fn read(reader: &mut Reader<'a>) -> Result<Self, BinprotError> {
        reader.byte()
    }

    fn write(&self, writer: &mut Writer) {
        writer.byte(*self);
    }
}

impl<'a> Binable<'a> for i64 {
    #[inline]
    fn read(reader: &mut Reader<'a>) -> Result<Self, BinprotError> {
        reader.int()
    }

    fn write(&self, writer: &mut Writer) {
        writer.int(*self);
    }
}

/// The bits of a signed number.
impl<'a> Binable<'a> for u64 {
    #[inline]
    fn read(reader: &mut Reader<'a>) -> Result<Self, BinprotError> {
        Ok(reader.int()?.cast_unsigned())
    }

    fn write(&self, writer: &mut Writer) {
        writer.int(self.cast_signed());
    }
}

/// The bits of a signed number.
impl<'a> Binable<'a> for u32 {
    #[inline]
    fn read(reader: &mut Reader<'a>) -> Result<Self, BinprotError> {
        i32::try_from(reader.int()?).map(i32::cast_unsigned).map_err(|_| BinprotError::Range)
    }

    fn write(&self, writer: &mut Writer) {
        writer.int(i64::from(self.cast_signed()));
    }
}

/// A string of 32 bytes.
impl<'a> Binable<'a> for [u8; 32] {
    #[inline]
    fn read(reader: &mut Reader<'a>) -> Result<Self, BinprotError> {
        if reader.nat0()? == 32 { reader.array().copied() } else { Err(BinprotError::Length) }
    }

    fn write(&self, writer: &mut Writer) {
        writer.string(self);
    }
}

impl<'a, T: Binable<'a>> Binable<'a> for Option<T> {
    #[inline]
    fn read(reader: &mut Reader<'a>) -> Result<Self, BinprotError> {
        match reader.byte()? {
            0 => Ok(None),
            1 => T::read(reader).map(Some),
            _ => Err(BinprotError::Constructor),
        }
    }

    fn write(&self, writer: &mut Writer) {
        writer.byte(u8::from(self.is_some()));
        if let Some(value) = self {
            value.write(writer);
        }
    }
}

impl<'a, T: Binable<'a>, U: Binable<'a>> Binable<'a> for (T, U) {
    #[inline]
    fn read(reader: &mut Reader<'a>) -> Result<Self, BinprotError> {
        Ok((T::read(reader)?, U::read(reader)?))
    }

    fn write(&self, writer: &mut Writer) {
        self.0.write(writer);
        self.1.write(writer);
    }
}
