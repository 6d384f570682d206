//! Keeps strangers out: all that goes over the socket is XORed with a keystream of the private network's key.
//!
//! Each side says 24 random bytes first, in the clear, and its own stream begins with them. There is no checksum and no
//! length: whoever has another key sees garbage, and so do we.

use salsa20::XSalsa20;
use salsa20::cipher::{KeyIvInit, StreamCipher};
use std::fmt;

/// What each side says first.
pub(super) const NONCE_BYTES: usize = 24;

/// One direction's keystream.
pub(super) struct Keystream(Box<XSalsa20>);

impl Keystream {
    pub(super) fn new(network_key: &[u8; 32], nonce: &[u8; NONCE_BYTES]) -> Self {
        Self(Box::new(XSalsa20::new(network_key.into(), nonce.into())))
    }

    /// Hides or uncovers the next bytes.
    pub(super) fn apply(&mut self, bytes: &mut [u8]) {
        self.0.apply_keystream(bytes);
    }
}

impl fmt::Debug for Keystream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keystream").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_known_keystream_comes_out_however_it_is_cut() {
        let key = const_hex::decode_to_array("45818b1ab9bc781268800a92ee9f1155d4c779861924d99354c7cba83cb9d874");
        let known = "3c8a27245627a0b27ce0fa3bd9ef6be0de6d0c52a37cfc325395ff9f92ce683ea191873a9b0f3fc070b9211ea2060b27d8\
                     b9719a86a4035b83838907f13a7e79de03c98a41377c0f22666a6262201529";
        let known = const_hex::decode(known).expect("hex");
        let nonce = std::array::from_fn(|at| at as u8);
        for piece in [1, 7, 64, 80] {
            let mut stream = Keystream::new(&key.expect("hex"), &nonce);
            let mut bytes = vec![0; known.len()];
            bytes.chunks_mut(piece).for_each(|piece| stream.apply(piece));
            assert_eq!(bytes, known);
        }
    }
}
