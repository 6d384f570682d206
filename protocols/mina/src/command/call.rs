//! Reads and writes zkApp commands: a fee payer, and account updates that call others.

use super::{AccountUpdate, Memo, UPDATES_MAX};
use crate::binprot::{Binable, BinprotError, Reader, Seq, Writer, record};
use crate::block::{PublicKey, Signature, Slot};

record! {
    /// Account updates that happen together or not at all.
    ZkappCommand<'a> {
        /// Who pays.
        fee_payer: FeePayer,
        /// What is done.
        calls: Seq<'a, Call<'a>, UPDATES_MAX>,
        /// A word to whoever reads it.
        memo: Memo<'a>,
    }
}

record! {
    /// Who pays for a zkApp command.
    FeePayer {
        /// Whose account.
        public_key: PublicKey,
        /// For being included, in nanomina.
        fee: u64,
        /// The last global slot in which it may be included.
        valid_until: Option<Slot>,
        /// Its number among the payer's.
        nonce: u32,
        /// Over the full commitment.
        signature: Signature,
    }
}

/// An account update and those that it calls: a tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Call<'a> {
    /// What is done. A unit follows, where a digest stands in memory.
    pub update: AccountUpdate<'a>,
    /// What it calls. A unit follows, where the hash of the stack stands in memory.
    pub calls: Seq<'a, Self, UPDATES_MAX>,
}

impl<'a> Binable<'a> for Call<'a> {
    fn read(reader: &mut Reader<'a>) -> Result<Self, BinprotError> {
        reader.descend()?;
        let update = Binable::read(reader)?;
        <()>::read(reader)?;
        let calls = Binable::read(reader)?;
        <()>::read(reader)?;
        reader.ascend();
        Ok(Self { update, calls })
    }

    fn write(&self, writer: &mut Writer) {
        self.update.write(writer);
        ().write(writer);
        self.calls.write(writer);
        ().write(writer);
    }
}
