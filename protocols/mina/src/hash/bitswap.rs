//! The root of a block's body as bitswap carries it (Mina spec, section 2.6).
//!
//! ```text
//! content = u32 of what follows ‖ 00 ‖ body
//! block   = u16 of links ‖ links ‖ data                       at most 262,144 bytes
//! root    = the block with the first of the content and a link to every other; those have data only, and all but the
//!           last are full
//! ```
//!
//! There are two levels because a root holds 8,191 links, which is content of two gigabytes.

use super::{Hash, Hashing};
use alloc::vec::Vec;

/// Bytes of a bitswap block.
pub const BITSWAP_BLOCK_BYTES_MAX: usize = 262_144;
const LINK_BYTES: usize = 32;
/// The count of links.
const COUNT_BYTES: usize = 2;
/// The kind of content that a body is.
const BODY: u8 = 0;
/// The content's length and its kind.
const HEAD_BYTES: usize = 5;

/// The body reference of a body with these bytes. Of bodies that fill one block, so nearly all, it is one Blake2b-256.
pub fn body_reference(body: &[u8]) -> Hash {
    let [a, b, c, d] = u32::try_from(body.len() + 1).unwrap_or(u32::MAX).to_le_bytes();
    let head = [a, b, c, d, BODY];
    let others = others(HEAD_BYTES + body.len());
    let kept = (BITSWAP_BLOCK_BYTES_MAX - COUNT_BYTES).saturating_sub(HEAD_BYTES + others * LINK_BYTES);
    let (first, rest) = body.split_at(kept.min(body.len()));
    let links: Vec<Hash> = rest.chunks(BITSWAP_BLOCK_BYTES_MAX - COUNT_BYTES).map(|data| block(&[], &[data])).collect();
    block(&links, &[&head, first])
}

// How many blocks there are beside the root. Each costs the root a link, and takes as much as a block without links.
fn others(length: usize) -> usize {
    let room = BITSWAP_BLOCK_BYTES_MAX - COUNT_BYTES;
    length.saturating_sub(room).div_ceil(room - LINK_BYTES)
}

fn block(links: &[Hash], data: &[&[u8]]) -> Hash {
    let mut hashing = Hashing::default();
    hashing.update(&u16::try_from(links.len()).unwrap_or(u16::MAX).to_le_bytes());
    links.iter().for_each(|link| hashing.update(link.as_ref()));
    data.iter().for_each(|data| hashing.update(data));
    hashing.finish()
}
