//! Encodes what peers ask for, as the methods have it behind the option byte (Mina spec, section 5.3).

use crate::node::Node;
use crate::tables::{Reading, Result};
use crate::tree::Tree;
use bytes::Bytes;
use polypeer_mina::binprot::Writer;
use polypeer_mina::ledger::Hash;
use std::sync::Arc;

/// Bytes of blocks in one answer: what peers take for a chain of blocks (Mina spec, section 5.2). Blocks beyond it are not
/// sent, and as the method knows no part of an answer, nothing is.
const CHAIN_BYTES_MAX: usize = 3_500_000;

/// A block with the path that leads to it from the root: the block, the hashes of the states' bodies behind the root, the
/// root's block.
pub(crate) fn with_root(tree: &Tree, reading: &Reading, node: &Node) -> Result<Option<Bytes>> {
    let root = tree.root();
    let Some(path) = tree.path(&root.hash, &node.hash) else { return Ok(None) };
    let (Some(block), Some(root)) = (reading.block(&node.hash)?, reading.block(&root.hash)?) else { return Ok(None) };
    let mut writer = Writer::with_capacity(block.len() + root.len() + 32 * path.len() + 8);
    writer.raw(&block);
    hashes(&mut writer, &path);
    writer.raw(&root);
    Ok(Some(writer.finish()))
}

/// A list of blocks, in the order asked; nothing when one is not here.
pub(crate) fn chain(tree: &Tree, reading: &Reading, wanted: &[Hash]) -> Result<Option<Bytes>> {
    let nodes = wanted.iter().map(|hash| tree.get(hash)).collect::<Option<Vec<_>>>();
    let Some(nodes) = nodes else { return Ok(None) };
    let bytes = nodes.iter().map(|node| node.block_bytes as usize).sum::<usize>();
    // One block goes out whatever its size: nobody could have it otherwise.
    if bytes > CHAIN_BYTES_MAX && nodes.len() > 1 {
        return Ok(None);
    }
    let mut writer = Writer::with_capacity(bytes + 8);
    writer.nat0(nodes.len() as u64);
    for node in nodes {
        let Some(block) = reading.block(&node.hash)? else { return Ok(None) };
        writer.raw(&block);
    }
    Ok(Some(writer.finish()))
}

/// How a block follows from the root: the root's state hash, and the hashes of the states' bodies behind it.
pub(crate) fn chain_proof(tree: &Tree, hash: &Hash) -> Option<Bytes> {
    let root = tree.root().hash;
    let path = tree.path(&root, hash)?;
    let mut writer = Writer::with_capacity(32 + 32 * path.len() + 8);
    writer.raw(&root.0);
    hashes(&mut writer, &path);
    Some(writer.finish())
}

/// The state hashes of all blocks that are not below the root.
pub(crate) fn knowledge(tree: &Tree) -> Bytes {
    let lowest = tree.root().length;
    let mut known = tree.nodes().filter(|node| node.length >= lowest).collect::<Vec<_>>();
    known.sort_unstable_by_key(|node| (node.length, node.hash));
    let mut writer = Writer::with_capacity(32 * known.len() + 8);
    writer.nat0(known.len() as u64);
    known.iter().for_each(|node| writer.raw(&node.hash.0));
    writer.finish()
}

fn hashes(writer: &mut Writer, path: &[Arc<Node>]) {
    writer.nat0(path.len() as u64);
    path.iter().for_each(|node| writer.raw(&node.body_hash.0));
}
