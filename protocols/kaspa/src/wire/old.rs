//! Messages that are retired: read from old traffic, never sent (Kaspa spec, section 2.8, at the end).

use super::WireError;
use super::items::Items;
use super::proto::{Fields, Writer};
use bytes::Bytes;

/// `BlockWithTrustedDataMessage`: a block with everything that it takes to trust it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OldBlockWithTrustedData {
    /// The `BlockMessage`'s bytes.
    pub block: Bytes,
    /// Its DAA score.
    pub daa_score: u64,
    /// `DaaBlock`s: `BlockMessage` 3, `GhostdagData` 2.
    pub window: Items,
    /// `BlockGhostdagDataHashPair`s.
    pub pairs: Items,
}

impl OldBlockWithTrustedData {
    /// Takes one of at most `count_max` window blocks and as many pairs apart.
    pub fn decode(body: &Bytes, count_max: usize) -> Result<Self, WireError> {
        let (mut block, mut daa_score) = (None, 0);
        let (mut window, mut pairs) = (Writer::default(), Writer::default());
        let mut counts = [0; 2];
        let mut fields = Fields::of(body);
        while let Some((number, value)) = fields.next()? {
            let [windows, paired] = &mut counts;
            match number {
                1 => value.once(&mut block)?,
                2 => daa_score = value.u64()?,
                3 => add(&mut window, value.bytes()?, windows, count_max)?,
                4 => add(&mut pairs, value.bytes()?, paired, count_max)?,
                _ => {}
            }
        }
        let block = body.slice_ref(block.ok_or(WireError::MissingField)?);
        let (window, pairs) = (window.finish().into(), pairs.finish().into());
        let (window, pairs) = (Items::decode(&window, count_max)?, Items::decode(&pairs, count_max)?);
        Ok(Self { block, daa_score, window, pairs })
    }

    /// The message's bytes.
    pub fn encode(&self) -> Bytes {
        let mut writer = Writer::default();
        writer.message(1, &self.block);
        writer.number(2, self.daa_score);
        self.window.slices().for_each(|block| writer.message(3, block));
        self.pairs.slices().for_each(|pair| writer.message(4, pair));
        writer.finish().into()
    }
}

fn add(items: &mut Writer, item: &[u8], count: &mut usize, count_max: usize) -> Result<(), WireError> {
    if *count == count_max {
        return Err(WireError::TooMany);
    }
    *count += 1;
    items.message(1, item);
    Ok(())
}
