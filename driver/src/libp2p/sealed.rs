//! Seals and opens what goes over a connection once Noise has agreed on keys: ChaCha20-Poly1305, in place.

use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use std::fmt;

/// What a sealed message is longer by.
pub(super) const TAG_BYTES: usize = 16;
/// Before each message stands its length, in two bytes.
pub(super) const LENGTH_BYTES: usize = 2;
/// The longest message, sealed.
pub(super) const MESSAGE_BYTES_MAX: usize = 65_535;

/// One direction's key, and how many messages it has seen.
pub(super) struct Seal {
    key: Box<LessSafeKey>,
    count: u64,
}

impl Seal {
    pub(super) fn new(key: &[u8; 32]) -> Result<Self, ring::error::Unspecified> {
        let key = UnboundKey::new(&CHACHA20_POLY1305, key)?;
        Ok(Self { key: Box::new(LessSafeKey::new(key)), count: 0 })
    }

    /// Seals the next message. Its checksum; nothing when there were more messages than can be numbered.
    pub(super) fn seal(&mut self, message: &mut [u8]) -> Option<[u8; TAG_BYTES]> {
        let nonce = self.next()?;
        let tag = self.key.seal_in_place_separate_tag(nonce, Aad::empty(), message).ok()?;
        tag.as_ref().try_into().ok()
    }

    /// Opens the next message. How long it is without its checksum; nothing when it is not what was sealed. There is no
    /// second try: the two ends would count differently.
    pub(super) fn open(&mut self, message: &mut [u8]) -> Option<usize> {
        let nonce = self.next()?;
        self.key.open_in_place(nonce, Aad::empty(), message).ok().map(|opened| opened.len())
    }

    fn next(&mut self) -> Option<Nonce> {
        let mut nonce = [0; NONCE_LEN];
        nonce[4..].copy_from_slice(&self.count.to_le_bytes());
        // The last number is Noise's own.
        self.count = self.count.checked_add(1)?;
        Some(Nonce::assume_unique_for_key(nonce))
    }
}

impl fmt::Debug for Seal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Seal").field("count", &self.count).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sealed(seal: &mut Seal, word: &[u8]) -> Vec<u8> {
        let mut message = word.to_vec();
        let tag = seal.seal(&mut message).expect("a number");
        [&message[..], &tag].concat()
    }

    #[test]
    fn what_was_sealed_opens_in_order_and_nothing_else() {
        let [mut ours, mut theirs] = [(); 2].map(|()| Seal::new(&[7; 32]).expect("a key"));
        for word in [&b""[..], b"a", &[3; 70_000]] {
            let mut message = sealed(&mut ours, word);
            assert_eq!(theirs.open(&mut message), Some(word.len()));
            assert_eq!(message[..word.len()], *word);
        }
        let (first, mut second) = (sealed(&mut ours, b"first"), sealed(&mut ours, b"second"));
        assert_eq!(theirs.open(&mut second), None, "out of turn");
        assert_eq!(theirs.open(&mut first.clone()), None, "and there is no way back");
    }

    #[test]
    fn every_bit_counts() {
        let message = sealed(&mut Seal::new(&[7; 32]).expect("a key"), b"word");
        for bit in 0..8 * message.len() {
            let mut bent = message.clone();
            bent[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(Seal::new(&[7; 32]).expect("a key").open(&mut bent), None);
        }
        for length in 0..message.len() {
            assert_eq!(Seal::new(&[7; 32]).expect("a key").open(&mut message[..length].to_vec()), None);
        }
    }
}
