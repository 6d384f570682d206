//! A command's memo.

use crate::binprot::{Binable, BinprotError, Reader, Writer};
use core::fmt;

/// Bytes of a memo: a tag, a length, and 32.
pub const MEMO_BYTES: usize = 34;
/// A text follows.
const TEXT: u8 = 1;

/// A string of 34 bytes: `01`, how many are used, and 32 padded with zeros; or `00`, 32 and a digest.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Memo<'a>(pub &'a [u8; MEMO_BYTES]);

impl<'a> Memo<'a> {
    /// The memo that says nothing.
    pub const EMPTY: Memo<'static> = Memo({
        static BYTES: [u8; MEMO_BYTES] = {
            let mut bytes = [0; MEMO_BYTES];
            bytes[0] = TEXT;
            bytes
        };
        &BYTES
    });

    /// The memo of a text of at most 32 bytes, as it is written.
    pub fn bytes_of(text: &[u8]) -> Option<[u8; MEMO_BYTES]> {
        let mut bytes = [0; MEMO_BYTES];
        let [tag, length, content @ ..] = &mut bytes;
        content.get_mut(..text.len())?.copy_from_slice(text);
        *tag = TEXT;
        *length = u8::try_from(text.len()).ok()?;
        Some(bytes)
    }

    /// What it says; nothing when it is a digest or malformed.
    pub fn text(&self) -> Option<&'a [u8]> {
        let [TEXT, length, content @ ..] = self.0 else { return None };
        let (text, padding) = content.split_at_checked(usize::from(*length))?;
        padding.iter().all(|byte| *byte == 0).then_some(text)
    }
}

impl fmt::Debug for Memo<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\"", self.text().unwrap_or(self.0).escape_ascii())
    }
}

impl<'a> Binable<'a> for Memo<'a> {
    fn read(reader: &mut Reader<'a>) -> Result<Self, BinprotError> {
        if reader.nat0()? == MEMO_BYTES as u64 { reader.array().map(Self) } else { Err(BinprotError::Length) }
    }

    fn write(&self, writer: &mut Writer) {
        writer.string(self.0);
    }
}
