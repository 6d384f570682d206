//! Writes and reads the few values of bin_prot that questions and payments need (Mina spec, section 4.1).

use anyhow::{Context, Result, bail, ensure};

/// A length.
pub(crate) fn nat0(number: usize) -> Vec<u8> {
    match number {
        0..0x80 => vec![number as u8],
        0x80..0x1_0000 => [&[0xfe][..], &(number as u16).to_le_bytes()].concat(),
        _ => [&[0xfd][..], &(number as u32).to_le_bytes()].concat(),
    }
}

/// A number in its shortest form. Unsigned ones are the signed number with the same bits.
pub(crate) fn int(number: i64) -> Vec<u8> {
    if (0..0x80).contains(&number) {
        vec![number as u8]
    } else if let Ok(number) = i8::try_from(number) {
        vec![0xff, number.to_le_bytes()[0]]
    } else if let Ok(number) = i16::try_from(number) {
        [&[0xfe][..], &number.to_le_bytes()].concat()
    } else if let Ok(number) = i32::try_from(number) {
        [&[0xfd][..], &number.to_le_bytes()].concat()
    } else {
        [&[0xfc][..], &number.to_le_bytes()].concat()
    }
}

/// Bytes behind their length.
pub(crate) fn string(bytes: &[u8]) -> Vec<u8> {
    [&nat0(bytes.len())[..], bytes].concat()
}

/// Reads values off the front.
pub(crate) struct Reader<'a>(pub(crate) &'a [u8]);

impl<'a> Reader<'a> {
    pub(crate) fn bytes(&mut self, count: usize) -> Result<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count).context("it is cut")?;
        self.0 = rest;
        Ok(taken)
    }

    pub(crate) fn byte(&mut self) -> Result<u8> {
        Ok(self.bytes(1)?[0])
    }

    fn little_endian(&mut self, count: usize) -> Result<[u8; 8]> {
        let mut bytes = [0; 8];
        bytes[..count].copy_from_slice(self.bytes(count)?);
        Ok(bytes)
    }

    pub(crate) fn nat0(&mut self) -> Result<usize> {
        Ok(usize::try_from(match self.byte()? {
            byte @ 0..0x80 => u64::from(byte),
            0xfe => u64::from_le_bytes(self.little_endian(2)?),
            0xfd => u64::from_le_bytes(self.little_endian(4)?),
            0xfc => u64::from_le_bytes(self.little_endian(8)?),
            other => bail!("{other:02x} begins no length"),
        })?)
    }

    pub(crate) fn int(&mut self) -> Result<i64> {
        Ok(match self.byte()? {
            byte @ 0..0x80 => i64::from(byte),
            0xff => i64::from(self.bytes(1)?[0].cast_signed()),
            0xfe => i64::from(i16::from_le_bytes(self.bytes(2)?.try_into()?)),
            0xfd => i64::from(i32::from_le_bytes(self.bytes(4)?.try_into()?)),
            0xfc => i64::from_le_bytes(self.bytes(8)?.try_into()?),
            other => bail!("{other:02x} begins no number"),
        })
    }

    pub(crate) fn string(&mut self) -> Result<&'a [u8]> {
        let length = self.nat0()?;
        self.bytes(length)
    }

    pub(crate) fn end(&self) -> Result<()> {
        ensure!(self.0.is_empty(), "{} bytes are left", self.0.len());
        Ok(())
    }
}
