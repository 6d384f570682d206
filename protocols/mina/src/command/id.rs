//! Transaction ids: what users and explorers name transactions by.

use super::{FeePayer, SignedCommand, UPDATES_MAX, UpdateBody};
use crate::binprot::{Binable as _, BinprotError, Reader};
use crate::block::{DUMMY_PROOF, Proof, Signature};
use crate::hash::{Hash, Hashing};

/// The (1, 1) that stands for every signature.
const DUMMY_SIGNATURE: [u8; 64] = {
    let mut bytes = [0; 64];
    bytes[0] = 1;
    bytes[32] = 1;
    bytes
};

const PROOF: u8 = 0;
const SIGNATURE: u8 = 1;
const NONE: u8 = 2;

/// The id of the user command with these bytes: Blake2b-256 of them without the kind in front, with (1, 1) for every
/// signature and the dummy for every proof (Mina spec, section 4.3). So nobody who changes a signature changes the id.
pub fn transaction_id(command: &[u8]) -> Result<Hash, BinprotError> {
    let mut reader = Reader::new(command);
    match reader.byte()? {
        0 => signed_id(reader),
        1 => zkapp_id(reader),
        _ => Err(BinprotError::Constructor),
    }
}

fn signed_id(mut reader: Reader<'_>) -> Result<Hash, BinprotError> {
    let (bytes, _) = reader.span(SignedCommand::read)?;
    reader.end()?;
    // The signature is last.
    let kept = bytes.len().saturating_sub(DUMMY_SIGNATURE.len());
    let mut hashing = Hashing::default();
    hashing.update(bytes.get(..kept).unwrap_or_default());
    hashing.update(&DUMMY_SIGNATURE);
    Ok(hashing.finish())
}

fn zkapp_id(reader: Reader<'_>) -> Result<Hash, BinprotError> {
    let mut masked = Masked { reader, kept: reader.rest(), hashing: Hashing::default() };
    let (bytes, _) = masked.reader.span(FeePayer::read)?;
    let kept = bytes.len().saturating_sub(DUMMY_SIGNATURE.len());
    masked.hashing.update(bytes.get(..kept).unwrap_or_default());
    masked.hashing.update(&DUMMY_SIGNATURE);
    masked.kept = masked.reader.rest();
    masked.calls()?;
    super::Memo::read(&mut masked.reader)?;
    masked.reader.end()?;
    masked.flush(0);
    Ok(masked.hashing.finish())
}

/// Bytes that are hashed while they are read, except for what others stand for.
struct Masked<'a> {
    reader: Reader<'a>,
    // Where what is not hashed yet begins.
    kept: &'a [u8],
    hashing: Hashing,
}

impl<'a> Masked<'a> {
    // A list of calls.
    fn calls(&mut self) -> Result<(), BinprotError> {
        let count = self.reader.count(UPDATES_MAX)?;
        (0..count).try_for_each(|_| self.call())
    }

    fn call(&mut self) -> Result<(), BinprotError> {
        self.reader.descend()?;
        UpdateBody::read(&mut self.reader)?;
        match self.reader.byte()? {
            PROOF => self.mask(DUMMY_PROOF, |reader| Proof::read(reader).map(drop))?,
            SIGNATURE => self.mask(&DUMMY_SIGNATURE, |reader| Signature::read(reader).map(drop))?,
            NONE => {}
            _ => return Err(BinprotError::Constructor),
        }
        <()>::read(&mut self.reader)?;
        self.calls()?;
        <()>::read(&mut self.reader)?;
        self.reader.ascend();
        Ok(())
    }

    fn mask(
        &mut self,
        dummy: &[u8],
        read: impl FnOnce(&mut Reader<'a>) -> Result<(), BinprotError>,
    ) -> Result<(), BinprotError> {
        self.flush(self.reader.rest().len());
        self.hashing.update(dummy);
        read(&mut self.reader)?;
        self.kept = self.reader.rest();
        Ok(())
    }

    // Hashes what was kept, up to where so many bytes are left.
    fn flush(&mut self, left: usize) {
        let length = self.kept.len().saturating_sub(left);
        self.hashing.update(self.kept.get(..length).unwrap_or_default());
    }
}
