//! Blocks and bodies, read in place (Kaspa spec, section 2.6).

use super::proto::{Fields, Writer};
use super::{Header, Items, TransactionView, WireError};
use crate::hash;
use bytes::Bytes;
use polypeer_engine::kit::chain::Hash;

/// Bytes of a block without its header, and of a body (section 1.3).
pub const BODY_BYTES_MAX: usize = 2 << 20;

/// A `BlockMessage`, taken apart and not looked into.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlockView<'a> {
    /// The message's bytes.
    pub message: &'a [u8],
    /// The `BlockHeader`'s bytes.
    pub header: &'a [u8],
    /// How many [`BlockView::transactions`] there are; none if it is a header only.
    pub transaction_count: usize,
}

impl<'a> BlockView<'a> {
    /// Takes one apart.
    pub fn decode(message: &'a [u8]) -> Result<Self, WireError> {
        let (mut header, mut transaction_count) = (None, 0);
        let mut fields = Fields::of(message);
        while let Some((number, value)) = fields.next()? {
            match number {
                1 => value.once(&mut header)?,
                2 => {
                    value.bytes()?;
                    transaction_count += 1;
                }
                _ => {}
            }
        }
        let header = header.ok_or(WireError::MissingField)?;
        // The header's key and length count with the body, as kaspad counts.
        if message.len() - header.len() > BODY_BYTES_MAX {
            return Err(WireError::TooLarge);
        }
        Ok(Self { message, header, transaction_count })
    }

    /// The header, read.
    pub fn header(&self) -> Result<Header, WireError> {
        Header::decode(self.header)
    }

    /// The bytes of each `TransactionMessage`, the coinbase first.
    pub fn transactions(&self) -> impl Iterator<Item = &'a [u8]> + Clone + use<'a> {
        let mut fields = Fields::of(self.message);
        core::iter::from_fn(move || {
            loop {
                let (number, value) = fields.next().ok()??;
                if number == 2 {
                    return value.bytes().ok();
                }
            }
        })
    }

    /// The block's `BlockBodyMessage`.
    pub fn body(&self) -> Bytes {
        let mut writer = Writer::with_capacity(self.message.len() - self.header.len());
        self.transactions().for_each(|transaction| writer.message(1, transaction));
        writer.finish().into()
    }

    /// The merkle root of its transactions, every one of them checked.
    pub fn merkle_root(&self) -> Result<Hash, WireError> {
        merkle_root(self.transactions())
    }
}

/// A `BlockMessage` of a header and a body.
pub fn join(header: &[u8], body: &[u8]) -> Result<Bytes, WireError> {
    let body = BlockBody::decode(&Bytes::copy_from_slice(body))?;
    Ok(encode_block(header, body.0.slices()))
}

/// A `BlockMessage` of a header and transactions; none for a header only.
pub fn encode_block<'a>(header: &[u8], transactions: impl IntoIterator<Item = &'a [u8]>) -> Bytes {
    let mut writer = Writer::with_capacity(header.len() + 512);
    writer.message(1, header);
    transactions.into_iter().for_each(|transaction| writer.message(2, transaction));
    writer.finish().into()
}

/// A `BlockBodyMessage`: the bytes of each `TransactionMessage`, the coinbase first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BlockBody(pub Items);

impl BlockBody {
    /// Takes one apart.
    pub fn decode(body: &Bytes) -> Result<Self, WireError> {
        if body.len() > BODY_BYTES_MAX {
            return Err(WireError::TooLarge);
        }
        Items::decode(body, usize::MAX).map(Self)
    }

    /// The merkle root of its transactions, every one of them checked.
    pub fn merkle_root(&self) -> Result<Hash, WireError> {
        merkle_root(self.0.slices())
    }
}

fn merkle_root<'a>(transactions: impl Iterator<Item = &'a [u8]>) -> Result<Hash, WireError> {
    let mut tree = hash::MerkleTree::default();
    for transaction in transactions {
        tree.push(TransactionView::decode(transaction)?.hash());
    }
    Ok(tree.root())
}
