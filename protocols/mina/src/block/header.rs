//! A block's outermost parts.

use super::{Body, Proof, ProtocolState};
use crate::binprot::{Binable, BinprotError, Fp, Reader, Seq, Whole, Writer, record};

record! {
    /// A block.
    Block<'a> {
        /// What says where the block stands, and proves it.
        header: Header<'a>,
        /// What the block does. Its bytes are what the body reference is a hash of.
        body: Whole<'a, Body<'a>>,
    }
}

impl<'a> Block<'a> {
    /// Reads a block of which these are all bytes, and says where in them the body begins.
    pub fn open(bytes: &'a [u8]) -> Result<(Self, usize), BinprotError> {
        let block = Self::decode(bytes)?;
        Ok((block, bytes.len() - block.body.bytes().len()))
    }
}

record! {
    /// A block's header: all of a gossiped block on `mina/block/1.0.0`.
    Header<'a> {
        /// What the state hash is a hash of.
        state: ProtocolState<'a>,
        /// The proof of the whole chain.
        proof: Whole<'a, Proof<'a>>,
        /// How the block hangs together with the one that was final when its slot began.
        delta_proof: DeltaProof<'a>,
        /// What the producer's software speaks.
        version: Version,
        /// What the producer votes for.
        proposed_version: Option<Version>,
    }
}

record! {
    /// A chain of hashes that ends at the previous state hash. Without delta, so on every known network, it has no links.
    DeltaProof<'a> {
        /// The state hash that it begins with.
        from: Fp,
        /// The body hashes of what follows, oldest first: at most as many as delta.
        bodies: Seq<'a, Fp, 16>,
    }
}

/// A protocol version: three ints.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
pub struct Version {
    /// Which transactions there are. Hard forks raise it.
    pub transaction: u32,
    /// How nodes speak.
    pub network: u32,
    /// What changes neither.
    pub patch: u32,
}

impl<'a> Binable<'a> for Version {
    fn read(reader: &mut Reader<'a>) -> Result<Self, BinprotError> {
        let mut part = || u32::try_from(reader.int()?).map_err(|_| BinprotError::Range);
        Ok(Self { transaction: part()?, network: part()?, patch: part()? })
    }

    fn write(&self, writer: &mut Writer) {
        for part in [self.transaction, self.network, self.patch] {
            writer.int(i64::from(part));
        }
    }
}
