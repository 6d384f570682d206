//! Slots, and spans of them.

use crate::binprot::{Binable, BinprotError, Reader, Writer};
use serde::{Deserialize, Serialize};

/// A slot of three minutes, counted from genesis or from the hard fork, or a span of slots. On the wire a variant of one
/// constructor: `00`, then the number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Slot(pub u32);

impl<'a> Binable<'a> for Slot {
    #[inline]
    fn read(reader: &mut Reader<'a>) -> Result<Self, BinprotError> {
        if reader.byte()? != 0 {
            return Err(BinprotError::Constructor);
        }
        u32::read(reader).map(Self)
    }

    fn write(&self, writer: &mut Writer) {
        writer.byte(0);
        self.0.write(writer);
    }
}
