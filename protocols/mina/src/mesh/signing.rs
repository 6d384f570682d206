//! Verifies authors: strict signing (Mina spec, section 3.5).

use super::border::Fault;
use super::frame::{self, Message};
use super::limits::AUTHORS_MAX;
use super::settings::Verify;
use crate::keys::PeerId;
use ed25519_dalek::{Signature, Verifier as _, VerifyingKey};
use polypeer_engine::kit::seen::Seen;

/// Bytes of a message's number.
const SEQNO_BYTES: usize = 8;

/// The keys of authors that were right lately. Making a key ready is an eighth of a check, and few authors make most
/// messages.
#[derive(Debug)]
pub(super) struct Authors {
    ready: Seen<PeerId, VerifyingKey>,
    instead: Option<Verify>,
}

impl Authors {
    pub(super) fn new(instead: Option<Verify>, secret: u64) -> Self {
        Self { ready: Seen::new(AUTHORS_MAX, secret), instead }
    }

    /// Who wrote and signed a message. What is signed is written anew, so that nothing goes round that two nodes could
    /// read differently.
    pub(super) fn verify(&mut self, message: &Message<'_>) -> Result<PeerId, Fault> {
        let (Some(from), Some(seqno), Some(signature)) = (message.from, message.seqno, message.signature) else {
            return Err(Fault::Unsigned);
        };
        let author = PeerId::from_bytes(from).ok_or(Fault::BadAuthor)?;
        let signature = signature.try_into().map_err(|_| Fault::BadAuthor)?;
        let is_own_key = message.key.is_none_or(|key| key == author.to_protobuf());
        if seqno.len() != SEQNO_BYTES || !is_own_key {
            return Err(Fault::BadAuthor);
        }
        let signed = frame::signed_bytes(message);
        let is_right = match self.instead {
            Some(verify) => verify(&author, &signed, signature),
            None => self.is_right(author, &signed, signature)?,
        };
        if is_right { Ok(author) } else { Err(Fault::BadSignature) }
    }

    fn is_right(&mut self, author: PeerId, signed: &[u8], signature: &[u8; 64]) -> Result<bool, Fault> {
        let ready = self.ready.get(&author).copied();
        let key = match ready {
            Some(key) => key,
            None => VerifyingKey::from_bytes(author.key()).map_err(|_| Fault::BadAuthor)?,
        };
        // As the reference node's library does: neither cofactor nor weak keys are looked at.
        let is_right = key.verify(signed, &Signature::from_bytes(signature)).is_ok();
        if is_right && ready.is_none() {
            self.ready.insert(author, key);
        }
        Ok(is_right)
    }
}
