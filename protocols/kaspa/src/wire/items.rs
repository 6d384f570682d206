//! Lists of messages, each left as it came.

use super::WireError;
use super::proto::{Fields, Writer};
use bytes::Bytes;

/// A message whose field 1 repeats another message: `BlockHeaders`, `PruningPoints`, `PruningPointProofHeaderArray`
/// (`BlockHeader`s), `BlockBody` (`TransactionMessage`s), `TrustedDataChunk` (`DaaBlockV4`s), `PruningPointProof`
/// (`PruningPointProofHeaderArray`s), `PruningPointUtxoSetChunk` and `SmtLaneChunk`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Items {
    message: Bytes,
    count: usize,
}

impl Items {
    /// Takes one of at most `count_max` items apart and looks into none.
    pub fn decode(message: &Bytes, count_max: usize) -> Result<Self, WireError> {
        let mut count = 0;
        let mut fields = Fields::of(message);
        while let Some((number, value)) = fields.next()? {
            if number == 1 {
                value.bytes()?;
                count += 1;
            }
        }
        if count > count_max { Err(WireError::TooMany) } else { Ok(Self { message: message.clone(), count }) }
    }

    /// The list of these.
    pub fn of<'a>(items: impl IntoIterator<Item = &'a [u8]>) -> Self {
        let mut writer = Writer::default();
        let mut count = 0;
        for item in items {
            writer.message(1, item);
            count += 1;
        }
        Self { message: writer.finish().into(), count }
    }

    /// The message's bytes, as they came.
    pub fn encode(&self) -> Bytes {
        self.message.clone()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.count
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Each item's bytes.
    pub fn slices(&self) -> impl Iterator<Item = &[u8]> + Clone {
        let mut fields = Fields::of(&self.message);
        core::iter::from_fn(move || {
            loop {
                let (number, value) = fields.next().ok()??;
                if number == 1 {
                    return value.bytes().ok();
                }
            }
        })
    }

    /// Each item's bytes, sharing the message's.
    pub fn iter(&self) -> impl Iterator<Item = Bytes> + Clone + '_ {
        self.slices().map(|item| self.message.slice_ref(item))
    }
}
