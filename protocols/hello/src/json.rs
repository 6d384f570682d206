//! Reads one line of JSON: strict as RFC 8259, bounded, without recursion, and without copying what stands there.
//!
//! Reading has two passes. [`check`] walks the whole line once and refuses what is not JSON, what nests too deep and
//! what names a key twice. A [`Cursor`] then reads the values that a message needs out of text that is known to be
//! well formed, so it asks only whether a value has the form that is wanted.

mod cursor;
mod scan;
mod text;

pub use cursor::Cursor;
pub use scan::{Entry, Fault, check};
pub use text::Text;

/// How deep arrays and objects may nest, the message itself being level 1 (Hello spec, section 1).
pub const DEPTH_MAX: u32 = 16;
/// The largest integer: 2^53 - 1, what every JSON reader keeps exactly.
pub const INTEGER_MAX: u64 = (1 << 53) - 1;
