//! Turns `bin_prot` into values and back (Mina spec, section 4.1).
//!
//! ```text
//! T::decode(bytes)     a value, to the last byte                                    value.encode()
//! T::read(reader)      the next value, whatever comes behind it                     value.write(writer)
//! Whole, Seq, Vector   checked once and left where they lie, read again when asked for
//! ```
//!
//! Nothing is allocated, whatever the bytes claim: large parts are borrowed. There is one form of every value, the one
//! that the reference encoder writes, so what was decoded is written again to the same bytes. The reference also reads
//! numbers that are longer than need be, and passes on what it read; here they are refused as
//! [`BinprotError::NotMinimal`], which is no reason to blame whoever passed them on.
//!
//! | OCaml | here | bytes |
//! |---|---|---|
//! | length | [`Reader::nat0`] | `00`–`7f`; `fe` u16; `fd` u32; `fc` u64, little endian as everything |
//! | `int`, `int64` | `i64` | `00`–`7f`; `ff` i8 below 0; `fe` i16; `fd` i32; `fc` i64 |
//! | unsigned 64 | `u64` | the `int64` of the same bits |
//! | unsigned 32 | `u32` | the `int32` of the same bits |
//! | `bool` | `bool` | `00`, `01` |
//! | `unit` | `()` | `00` |
//! | `char` | `u8` | one byte |
//! | `string` | [`Text`], `[u8; 32]` | a length, the bytes |
//! | `option` | `Option` | `00`; `01` and the value |
//! | `list`, `array` | [`Seq`] | a length, the items |
//! | tuple, record | tuple, struct | the parts in order |
//! | variant | enum | the constructor's number, its arguments |
//! | polymorphic variant | [`OneOrTwo`] | four bytes of a hash of the name, its arguments |
//! | vector of N | [`Vector`] | the items, then a unit |
//! | field element | [`Fp`], [`Fq`] | 32 bytes, little endian, below the modulus |

mod basic;
mod element;
mod error;
mod lazy;
mod pair;
mod reader;
mod record;
mod writer;

pub use element::{Fp, Fq};
pub use error::BinprotError;
pub use lazy::{Items, Seq, Text, Vector, Whole};
pub use pair::OneOrTwo;
pub use reader::Reader;
pub use writer::Writer;

pub(crate) use record::{choice, record};

use bytes::Bytes;

/// How deep account updates may call others. What fits into the largest command that a block may hold (some 14 updates)
/// is not half as deep.
pub const DEPTH_MAX: u8 = 32;

/// A value with its bytes.
pub trait Binable<'a>: Copy {
    /// Reads the next one.
    fn read(reader: &mut Reader<'a>) -> Result<Self, BinprotError>;

    /// Appends its bytes.
    fn write(&self, writer: &mut Writer);

    /// Reads one of which these are all bytes.
    fn decode(bytes: &'a [u8]) -> Result<Self, BinprotError> {
        let mut reader = Reader::new(bytes);
        let value = Self::read(&mut reader)?;
        reader.end()?;
        Ok(value)
    }

    /// Its bytes.
    fn encode(&self) -> Bytes {
        let mut writer = Writer::default();
        self.write(&mut writer);
        writer.finish()
    }
}
