//! Opens what is gossiped, and seals it (Mina spec, section 4.2).
//!
//! ```text
//! coda/consensus-messages/0.0.1   u64 length of the rest ‖ tag ‖ block, or diff and nonce
//! mina/block/1.0.0                u64 length of the rest ‖ header
//! mina/tx/1.0.0                   u64 length of the rest ‖ list of commands
//! mina/snark-work/1.0.0           u64 length of the rest ‖ diff
//! ```

use crate::binprot::{Binable, BinprotError, Reader, Writer};
use crate::block::{Block, Header};
use crate::command::Commands;
use crate::snark::SnarkDiff;
use bytes::Bytes;
use core::fmt;
use core::ops::Range;

/// Bytes of a block with its envelope that are taken from gossip. Blocks full of zkApps have 1 to 3 MB (section 4.4).
pub const BLOCK_BYTES_MAX: usize = 4 << 20;
/// Bytes of a diff with its envelope that are taken from gossip. Honest ones have at most 40 kB (section 4.4).
pub const DIFF_BYTES_MAX: usize = 256 << 10;

const LENGTH_BYTES: usize = 8;
const TAG_BYTES: usize = 1;
const BLOCK: u8 = 0;
const SNARK: u8 = 1;
const TRANSACTIONS: u8 = 2;

/// What messages are gossiped under (section 3.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Topic {
    /// Everything. Today all traffic is here.
    Consensus,
    /// Headers of blocks.
    Block,
    /// Commands.
    Transactions,
    /// Work.
    SnarkWork,
}

impl Topic {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Consensus, Self::Block, Self::Transactions, Self::SnarkWork];

    /// Its name on the wire.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Consensus => "coda/consensus-messages/0.0.1",
            Self::Block => "mina/block/1.0.0",
            Self::Transactions => "mina/tx/1.0.0",
            Self::SnarkWork => "mina/snark-work/1.0.0",
        }
    }

    /// The one of this name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|topic| topic.name() == name)
    }
}

/// What was gossiped, decoded to its last byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Content<'a> {
    /// A block.
    Block(Block<'a>),
    /// A block's header, whose body is to be had by bitswap.
    Header(Header<'a>),
    /// Commands.
    Transactions(Commands<'a>),
    /// Work.
    SnarkWork(SnarkDiff<'a>),
}

/// A message that was opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Opened<'a> {
    /// What is in it.
    pub content: Content<'a>,
    /// Where in the message's data its bytes are, without tag and nonce.
    pub value: Range<usize>,
    /// What makes a repeated diff another message.
    pub nonce: Option<i64>,
}

/// What is wrong with a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EnvelopeError {
    /// Its length does not say how long it is.
    Length,
    /// No content has this tag.
    Tag,
    /// More bytes than are taken here: [`BLOCK_BYTES_MAX`], [`DIFF_BYTES_MAX`]. The network allows more.
    TooLarge,
    /// What is in it does not decode.
    Content(BinprotError),
}

impl EnvelopeError {
    /// Whether whoever made it broke the network's rules. What is merely over our own limits, or not in its shortest form,
    /// may have been passed on by honest nodes.
    pub fn is_fault(self) -> bool {
        match self {
            Self::Length | Self::Tag => true,
            Self::TooLarge => false,
            Self::Content(wrong) => !matches!(wrong, BinprotError::NotMinimal),
        }
    }
}

impl From<BinprotError> for EnvelopeError {
    fn from(wrong: BinprotError) -> Self {
        Self::Content(wrong)
    }
}

impl fmt::Display for EnvelopeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Length => f.write_str("length does not match"),
            Self::Tag => f.write_str("unknown tag"),
            Self::TooLarge => f.write_str("message is over its limit"),
            Self::Content(wrong) => fmt::Display::fmt(wrong, f),
        }
    }
}

impl core::error::Error for EnvelopeError {}

/// Opens the data of a message on this topic. Nothing is allocated.
pub fn open(topic: Topic, data: &[u8]) -> Result<Opened<'_>, EnvelopeError> {
    let (length, rest) = data.split_first_chunk().ok_or(EnvelopeError::Length)?;
    if u64::from_le_bytes(*length) != rest.len() as u64 {
        return Err(EnvelopeError::Length);
    }
    let opening = Opening { data, reader: Reader::new(rest) };
    match topic {
        Topic::Consensus => opening.tagged(),
        Topic::Block => opening.bare(BLOCK_BYTES_MAX, Content::Header),
        Topic::Transactions => opening.bare(DIFF_BYTES_MAX, Content::Transactions),
        Topic::SnarkWork => opening.bare(DIFF_BYTES_MAX, Content::SnarkWork),
    }
}

struct Opening<'a> {
    data: &'a [u8],
    reader: Reader<'a>,
}

impl<'a> Opening<'a> {
    fn tagged(mut self) -> Result<Opened<'a>, EnvelopeError> {
        match self.reader.byte()? {
            BLOCK => self.bare(BLOCK_BYTES_MAX, Content::Block),
            SNARK => self.with_nonce(Content::SnarkWork),
            TRANSACTIONS => self.with_nonce(Content::Transactions),
            _ => Err(EnvelopeError::Tag),
        }
    }

    fn with_nonce<T: Binable<'a>>(mut self, content: fn(T) -> Content<'a>) -> Result<Opened<'a>, EnvelopeError> {
        let (content, value) = self.value(DIFF_BYTES_MAX, content)?;
        let nonce = self.reader.int()?;
        self.reader.end()?;
        Ok(Opened { content, value, nonce: Some(nonce) })
    }

    fn bare<T: Binable<'a>>(
        mut self,
        bytes_max: usize,
        content: fn(T) -> Content<'a>,
    ) -> Result<Opened<'a>, EnvelopeError> {
        let (content, value) = self.value(bytes_max, content)?;
        self.reader.end()?;
        Ok(Opened { content, value, nonce: None })
    }

    fn value<T: Binable<'a>>(
        &mut self,
        bytes_max: usize,
        content: fn(T) -> Content<'a>,
    ) -> Result<(Content<'a>, Range<usize>), EnvelopeError> {
        if self.data.len() > bytes_max {
            return Err(EnvelopeError::TooLarge);
        }
        let start = self.data.len() - self.reader.rest().len();
        let value = T::read(&mut self.reader)?;
        Ok((content(value), start..self.data.len() - self.reader.rest().len()))
    }
}

/// A block as [`Topic::Consensus`] has it.
pub fn seal_block(block: &[u8]) -> Bytes {
    seal(Some(BLOCK), block, None)
}

/// A list of commands as [`Topic::Consensus`] has it. A nonce that was not used before makes it a new message.
pub fn seal_transactions(commands: &[u8], nonce: i64) -> Bytes {
    seal(Some(TRANSACTIONS), commands, Some(nonce))
}

/// A diff of work as [`Topic::Consensus`] has it. A nonce that was not used before makes it a new message.
pub fn seal_snark_work(diff: &[u8], nonce: i64) -> Bytes {
    seal(Some(SNARK), diff, Some(nonce))
}

/// A header, commands or work as the topic of its own has it.
pub fn seal_bare(value: &[u8]) -> Bytes {
    seal(None, value, None)
}

fn seal(tag: Option<u8>, value: &[u8], nonce: Option<i64>) -> Bytes {
    let mut end = Writer::default();
    if let Some(nonce) = nonce {
        end.int(nonce);
    }
    let end = end.finish();
    let length = usize::from(tag.is_some()) * TAG_BYTES + value.len() + end.len();
    let mut writer = Writer::with_capacity(LENGTH_BYTES + length);
    writer.raw(&(length as u64).to_le_bytes());
    if let Some(tag) = tag {
        writer.byte(tag);
    }
    writer.raw(value);
    writer.raw(&end);
    writer.finish()
}
