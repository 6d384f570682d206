//! Says which rule of the wire a message broke.

use core::fmt;

/// Which rule the bytes of a message broke (BUMO spec, section 0).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WireError {
    /// A length or a number reaches beyond the end.
    Truncated,
    /// A number of more than 64 bits.
    Varint,
    /// Field number 0, one of more than 29 bits, or a form of field that does not exist.
    Key,
    /// A known field of another form than it has.
    Form,
    /// A string that is not UTF-8.
    Utf8,
    /// Right, but not as the reference encoder writes it: a field that is unknown, out of order, twice or present with
    /// its default; a number that is not minimal or not of its type; numbers that are not packed.
    NotCanonical,
    /// Messages in messages beyond [`super::DEPTH_MAX`].
    TooDeep,
    /// More items than a list of its kind may have.
    TooMany,
    /// More bytes than a message of its kind may have.
    TooLarge,
}

impl fmt::Display for WireError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Truncated => "message is cut short",
            Self::Varint => "invalid varint",
            Self::Key => "invalid field key",
            Self::Form => "field of the wrong form",
            Self::Utf8 => "string is not UTF-8",
            Self::NotCanonical => "message is not in canonical form",
            Self::TooDeep => "messages are nested too deeply",
            Self::TooMany => "list is over its limit",
            Self::TooLarge => "message is over its limit",
        })
    }
}

impl core::error::Error for WireError {}
