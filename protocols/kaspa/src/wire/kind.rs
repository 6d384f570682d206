//! Names every payload: its number, its name in texts, and how large one may be.

use super::proto::varint_length;

/// A message that has only hashes of which kaspad asks at most 99, scores or texts: 1,800 hashes fit.
const SMALL: usize = 64 << 10;
/// A peer may answer with 2,500 addresses of 35 bytes, 85 KiB; as much again, so that one above is counted and told.
const ADDRESSES: usize = 256 << 10;
/// 131,072 identifiers of 36 bytes are 4.5 MiB; one above is counted and told.
const IDENTIFIERS: usize = 5 << 20;
/// A transaction is 1 MiB at most (section 1.3); some more, so that one above is told.
const TRANSACTION: usize = (1 << 20) + (64 << 10);
/// A block: the body's 2 MiB (section 1.3) and the header's.
const BLOCK: usize = (2 << 20) + HEADER_BYTES_MAX;
/// kaspad cuts its streams into messages of about 20 MiB.
const STREAMED: usize = 32 << 20;
/// Some thousand headers, two a day since 2021; or 1,000 outputs with scripts as long as a block has room for.
const LONG: usize = 64 << 20;
/// 4,096 lanes of 80 bytes, of which at most one has a proof of 8 KiB.
const LANES: usize = 1 << 20;
/// What kaspad decodes at all (section 1.3): the one message that holds everything.
const WHOLE: usize = 256 << 20;

/// Bytes of a header: 251 levels with 16 parents each and no two alike are 141 KiB.
pub const HEADER_BYTES_MAX: usize = 1 << 20;
/// Bytes of an envelope beyond its payload: key, length, both ids, and as much for fields that are unknown.
pub(super) const ENVELOPE_BYTES: usize = 64;

macro_rules! kinds {
    ($($number:literal $name:ident $max:ident $doc:literal;)*) => {
        /// The payload of an envelope: every number of section 2.2 that is in use or was.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(u8)]
        pub enum Kind {
            $(#[doc = $doc] $name = $number,)*
        }

        impl Kind {
            /// Every kind, ascending.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// The kind with this field number.
            pub fn from_number(number: u32) -> Option<Self> {
                match number {
                    $($number => Some(Self::$name),)*
                    _ => None,
                }
            }

            /// What kaspad calls it in its texts, after `Payload::`.
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$name => stringify!($name),)*
                }
            }

            /// How large a message of this kind may be, without the envelope.
            pub fn bytes_max(self) -> usize {
                match self {
                    $(Self::$name => $max,)*
                }
            }
        }
    };
}

kinds! {
    1 Addresses ADDRESSES "Answers [`Kind::RequestAddresses`], once per connection.";
    2 Block BLOCK "Answers [`Kind::RequestRelayBlocks`], by id only.";
    3 Transaction TRANSACTION "Answers [`Kind::RequestTransactions`].";
    5 BlockLocator SMALL "Answers [`Kind::RequestBlockLocator`], by id only.";
    6 RequestAddresses SMALL "Asks for addresses.";
    10 RequestRelayBlocks SMALL "Asks for announced blocks.";
    12 RequestTransactions IDENTIFIERS "Asks for announced transactions.";
    13 IbdBlock BLOCK "Answers [`Kind::RequestIbdBlocks`].";
    14 InvRelayBlock SMALL "Announces one block.";
    15 InvTransactions IDENTIFIERS "Announces transactions.";
    16 Ping SMALL "Asks for a sign of life.";
    17 Pong SMALL "Gives it.";
    19 Verack SMALL "Acknowledges a version.";
    20 Version SMALL "The first word of each side.";
    21 TransactionNotFound SMALL "Answers [`Kind::RequestTransactions`] for one that is not there.";
    22 Reject SMALL "Says why the connection ends.";
    25 PruningPointUtxoSetChunk LONG "Streams the answer to [`Kind::RequestPruningPointUtxoSet`].";
    26 RequestIbdBlocks SMALL "Asks for whole blocks.";
    27 UnexpectedPruningPoint SMALL "The pruning point asked for is not the current one.";
    30 IbdBlockLocator SMALL "Retired: nobody listens, whatever its size.";
    31 IbdBlockLocatorHighestHash SMALL "Retired.";
    33 RequestNextPruningPointUtxoSetChunk SMALL "Credit for [`Kind::PruningPointUtxoSetChunk`].";
    34 DonePruningPointUtxoSetChunks SMALL "Ends them.";
    35 IbdBlockLocatorHighestHashNotFound SMALL "Retired.";
    36 BlockWithTrustedData BLOCK "Retired: nobody listens, whatever its size.";
    37 DoneBlocksWithTrustedData SMALL "Ends [`Kind::BlockWithTrustedDataV4`].";
    40 RequestPruningPointAndItsAnticone SMALL "Asks for pruning points, trusted data and the anticone.";
    41 BlockHeaders STREAMED "Answers [`Kind::RequestHeaders`] and [`Kind::RequestAntipast`].";
    42 RequestNextHeaders SMALL "Credit for [`Kind::BlockHeaders`].";
    43 DoneHeaders SMALL "Ends them.";
    44 RequestPruningPointUtxoSet SMALL "Asks for the outputs at the pruning point.";
    45 RequestHeaders SMALL "Asks for the headers between two blocks.";
    46 RequestBlockLocator SMALL "Asks for chain ancestors of a block.";
    47 PruningPoints LONG "Answers [`Kind::RequestPruningPointAndItsAnticone`], first part.";
    48 RequestPruningPointProof SMALL "Asks for the proof.";
    49 PruningPointProof WHOLE "Answers it in version 10.";
    50 Ready SMALL "The handshake's last word.";
    51 BlockWithTrustedDataV4 BLOCK "Answers [`Kind::RequestPruningPointAndItsAnticone`], third part.";
    52 TrustedData WHOLE "The second part in version 10.";
    53 RequestIbdChainBlockLocator SMALL "Asks for chain blocks.";
    54 IbdChainBlockLocator SMALL "Answers it.";
    55 RequestAntipast SMALL "Asks for what is in one block's past and not in another's.";
    56 RequestNextPruningPointAndItsAnticoneBlocks SMALL "Credit for [`Kind::BlockWithTrustedDataV4`].";
    57 BlockBody BLOCK "Answers [`Kind::RequestBlockBodies`].";
    58 RequestBlockBodies SMALL "Asks for bodies.";
    59 RequestPruningPointSmtState SMALL "Asks for the lanes at the pruning point.";
    60 SmtMetadata SMALL "Answers it, first part.";
    61 SmtLaneChunk LANES "Streams the second.";
    63 RequestNextPruningPointSmtChunk SMALL "Credit for [`Kind::SmtLaneChunk`].";
    64 PruningPointProofChunk STREAMED "Answers [`Kind::RequestPruningPointProof`] in version 11.";
    65 PruningPointProofChunksEnd SMALL "Ends them.";
    66 TrustedDataChunk STREAMED "The second part of the answer to 40 in version 11.";
    67 TrustedDataChunksEnd SMALL "Ends them.";
}

impl Kind {
    /// Its number in the envelope.
    pub fn number(self) -> u32 {
        u32::from(self as u8)
    }

    // How large an envelope with it may be.
    pub(super) fn envelope_bytes_max(self) -> usize {
        self.bytes_max() + varint_length(self.bytes_max() as u64) + ENVELOPE_BYTES
    }
}
