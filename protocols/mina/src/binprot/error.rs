//! Says which rule of `bin_prot` some bytes broke.

use core::fmt;

/// Which rule the bytes of a value broke (Mina spec, section 4.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BinprotError {
    /// A value, or what a length promises, reaches beyond the end.
    Truncated,
    /// A number that is longer than need be: the reference reads it, but writes it otherwise.
    NotMinimal,
    /// No number begins with this byte.
    Number,
    /// A number that its type does not hold.
    Range,
    /// A bool that is neither 0 nor 1.
    Bool,
    /// A unit that is not 0.
    Unit,
    /// A constructor that the type does not have.
    Constructor,
    /// A string of another length than its kind has.
    Length,
    /// A field element that is not below the modulus.
    Element,
    /// More items than a list of its kind may have.
    TooMany,
    /// Calls in calls beyond [`super::DEPTH_MAX`].
    TooDeep,
    /// Bytes behind the value.
    Trailing,
}

impl fmt::Display for BinprotError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Truncated => "value is cut short",
            Self::NotMinimal => "number is longer than need be",
            Self::Number => "no number begins so",
            Self::Range => "number is out of range",
            Self::Bool => "bool is neither 0 nor 1",
            Self::Unit => "unit is not 0",
            Self::Constructor => "unknown constructor",
            Self::Length => "string of the wrong length",
            Self::Element => "field element is not below the modulus",
            Self::TooMany => "list is over its limit",
            Self::TooDeep => "calls are nested too deeply",
            Self::Trailing => "bytes follow the value",
        })
    }
}

impl core::error::Error for BinprotError {}
