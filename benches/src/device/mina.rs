//! Reads one captured Mina block over and over: ours as our node does before it decides, and structs derived by binprot,
//! which checks no moduli, no limits and no shortest forms.

use super::decode::run;
use anyhow::Result;
use bytes::Bytes;
use polypeer_mina::binprot::{Binable as _, Reader};
use polypeer_mina::block::{Block, Header};

#[path = "../../../protocols/mina/tests/wire/oracle.rs"]
#[expect(dead_code, reason = "the tests write what was read, and this only reads")]
mod oracle;

const BLOCK: &[u8] =
    include_bytes!("../../../protocols/mina/tests/fixtures/v2-current/derived/block-devnet-357934.bin");

/// Ours, of the header: state, proof, versions.
pub(super) fn header_ours() -> Result<()> {
    run(&Bytes::from_static(BLOCK), |block| {
        let header = Header::read(&mut Reader::new(block)).ok()?;
        let rounds = header.proof.get().ok()?.wrap.bulletproof.lr.len();
        Some(u64::from(header.state.body.consensus.blockchain_length) + rounds as u64)
    })
}

/// binprot, of the same.
pub(super) fn header_binprot() -> Result<()> {
    run(&Bytes::from_static(BLOCK), |block| {
        let header: oracle::Header = oracle::read(&mut &block[..])?;
        Some(header.0.3.0 as u64 + header.1.3.3.0.len() as u64)
    })
}

/// Ours, of the whole block with its commands.
pub(super) fn block_ours() -> Result<()> {
    run(&Bytes::from_static(BLOCK), |block| {
        let block = Block::decode(block).ok()?;
        let body = block.body.get().ok()?;
        Some(u64::from(block.header.state.body.consensus.blockchain_length) + body.commands().count() as u64)
    })
}

/// binprot, of the same.
pub(super) fn block_binprot() -> Result<()> {
    run(&Bytes::from_static(BLOCK), |block| {
        let block: oracle::Block = oracle::decode(block)?;
        Some(block.0.0.3.0 as u64 + block.1.0.1.len() as u64)
    })
}
