//! Says which rule of the wire a message broke, in kaspad's words where it has some.

use alloc::string::{String, ToString};
use core::fmt;

/// Which rule a frame, a message or a field broke (Kaspa spec, sections 2 and 4.0).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WireError {
    /// Protobuf: a length or a fixed-width value reaches beyond the end.
    Truncated,
    /// Protobuf: a varint of more than 64 bits.
    Varint,
    /// Protobuf: field number 0, one of more than 29 bits, or a wire type that does not exist.
    Key,
    /// Protobuf: a known field with another wire type than it has.
    WireType,
    /// Protobuf: a group that does not end, ends unbegun or is too deep.
    Group,
    /// Protobuf: a string that is not UTF-8.
    Utf8,
    /// A field that stands for one message came twice. Stock decoders merge the two, and what is relayed as it came
    /// must not mean two things to two readers: we refuse it.
    Repeated,
    /// No payload that is known (section 2.1, rule 1).
    NoPayload,
    /// The flag before the length is neither 0 nor 1, or the length is not that of the frame.
    Prefix,
    /// More bytes than a message of its kind ever has.
    KindTooLarge,
    /// Not a gzip header, or one longer than any compressor writes.
    GzipHeader,
    /// Not a deflate stream, or one that does not end.
    GzipData,
    /// The checksum or the length behind the deflate stream is another.
    GzipChecksum,
    /// Bytes behind the end of the gzip member.
    GzipTrailing,
    /// Inflates beyond what its kind may have, or far beyond any honest ratio.
    GzipBomb,
    /// A required sub-message is absent.
    MissingField,
    /// A hash that is not 32 bytes, or another array of fixed length that has another one.
    SliceLength,
    /// A subnetwork identifier that is not 20 bytes.
    SubnetworkLength,
    /// Blue work of more than 24 bytes.
    BlueWorkLength,
    /// A number that does not fit the type that it has beyond the wire.
    OutOfRange,
    /// A transaction or a body larger than section 1.3 allows.
    TooLarge,
    /// Parents by level whose levels do not rise strictly from 1 on.
    LevelsNotIncreasing,
    /// Parents by level with neighbours that should be one run.
    EqualRuns,
    /// Parents by level that expand to more hashes than section 1.3 allows.
    TooManyParents,
    /// A peer's id that is not 16 bytes.
    IdLength(usize),
    /// An IP that is neither 4 nor 16 bytes.
    IpLength(usize),
    /// More addresses than an answer may have.
    TooManyAddresses(usize),
    /// More transaction identifiers than an announcement may have.
    TooManyInvs,
    /// More transaction identifiers than a request may have.
    TooManyRequested,
    /// More entries than a list of its kind may have.
    TooMany,
    /// A list without entries where there must be one.
    Empty,
}

impl WireError {
    /// Whether kaspad ends the stream without a word (outcome S) instead of saying [`WireError::text`] in a `Reject`
    /// (outcome R): it does when its decoder fails before any flow has seen the message.
    pub fn is_silent(self) -> bool {
        matches!(
            self,
            Self::Truncated
                | Self::Varint
                | Self::Key
                | Self::WireType
                | Self::Group
                | Self::Utf8
                | Self::NoPayload
                | Self::Prefix
                | Self::KindTooLarge
                | Self::GzipHeader
                | Self::GzipData
                | Self::GzipChecksum
                | Self::GzipTrailing
                | Self::GzipBomb
        )
    }

    /// What a `Reject` says of it.
    pub fn text(self) -> String {
        self.to_string()
    }

    // The texts without a number in them.
    fn fixed(self) -> &'static str {
        match self {
            Self::Truncated => "message is cut short",
            Self::Varint => "invalid varint",
            Self::Key => "invalid field key",
            Self::WireType => "invalid wire type",
            Self::Group => "invalid group",
            Self::Utf8 => "string is not UTF-8",
            Self::Repeated => "single field came twice",
            Self::NoPayload => "message without payload",
            Self::Prefix => "invalid message prefix",
            Self::KindTooLarge => "message is larger than its kind allows",
            Self::GzipHeader => "invalid gzip header",
            Self::GzipData => "invalid gzip data",
            Self::GzipChecksum => "gzip checksum differs",
            Self::GzipTrailing => "bytes after the gzip data",
            Self::GzipBomb => "message inflates beyond its limit",
            Self::MissingField => "Optional field is None while expected to be Some",
            Self::SliceLength => "Bytes size mismatch error could not convert slice to array",
            Self::SubnetworkLength => "could not convert slice to array",
            Self::BlueWorkLength => "Bytes size mismatch error conversion attempted from a slice too large",
            Self::OutOfRange => "Integer parsing error: out of range integral type conversion attempted",
            Self::TooLarge => "p2p conversion size too large error",
            Self::LevelsNotIncreasing => "Parents by level are not strictly increasing",
            Self::EqualRuns => "CompressedParents contains two runs with the same parents",
            Self::TooManyParents => "Parents by level expand beyond the limit",
            Self::TooManyInvs => "Number of invs in tx inv message is over the limit",
            Self::TooManyRequested => "Number of tx ids in request transactions message is over the limit",
            Self::TooMany => "Number of entries is over the limit",
            Self::Empty => "Received an empty list",
            Self::IdLength(_) | Self::IpLength(_) | Self::TooManyAddresses(_) => "",
        }
    }
}

impl fmt::Display for WireError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::IdLength(found) => write!(f, "invalid length: expected 16 bytes, found {found}"),
            Self::IpLength(found) => write!(f, "IP has illegal length {found}"),
            Self::TooManyAddresses(count) => {
                write!(f, "address count {count} exceeded {}", super::address::ADDRESSES_MAX)
            }
            _ => f.write_str(self.fixed()),
        }
    }
}

impl core::error::Error for WireError {}
