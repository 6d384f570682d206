//! Masks payloads, and takes masks off (RFC 6455, section 5.3). It hides nothing: a proxy that knows no WebSocket shall
//! not find in a client's bytes what a page in a browser put there for it.

use std::io;

/// Keys that are drawn at one time: one call of the operating system's for so many frames.
const DRAWN: usize = 256;

/// A frame's four bytes.
pub(super) type Key = [u8; 4];

/// Keys for the frames that we send, from the operating system's entropy.
#[derive(Debug, Default)]
pub(super) struct Keys(Vec<Key>);

impl Keys {
    /// The next one.
    pub(super) fn draw(&mut self) -> io::Result<Key> {
        if self.0.is_empty() {
            let mut drawn = [0; 4 * DRAWN];
            getrandom::fill(&mut drawn).map_err(io::Error::other)?;
            self.0.extend_from_slice(drawn.as_chunks::<4>().0);
        }
        self.0.pop().ok_or_else(|| io::ErrorKind::Other.into())
    }
}

/// Masks a piece of a payload, or takes the mask off. The key for what follows the piece.
pub(super) fn mask(bytes: &mut [u8], key: Key) -> Key {
    let [a, b, c, d] = key;
    let wide = u64::from_ne_bytes([a, b, c, d, a, b, c, d]);
    let (words, rest) = bytes.as_chunks_mut::<8>();
    for word in words {
        *word = (u64::from_ne_bytes(*word) ^ wide).to_ne_bytes();
    }
    for (byte, key) in rest.iter_mut().zip(key.iter().cycle()) {
        *byte ^= key;
    }
    let mut next = key;
    next.rotate_left(rest.len() % 4);
    next
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_payload_is_masked_alike_however_it_is_cut() {
        let plain: Vec<u8> = (0..200).collect();
        let key = [1, 20, 133, 255];
        let masked: Vec<u8> = plain.iter().zip(key.iter().cycle()).map(|(byte, key)| byte ^ key).collect();
        for first in 0..40 {
            for second in first..80 {
                let mut bytes = plain.clone();
                let next = mask(&mut bytes[..first], key);
                let next = mask(&mut bytes[first..second], next);
                mask(&mut bytes[second..], next);
                assert_eq!(bytes, masked, "cut at {first} and {second}");
            }
        }
    }

    #[test]
    fn keys_do_not_come_again() {
        let mut keys = Keys::default();
        let drawn: std::collections::BTreeSet<Key> = (0..1000).map(|_| keys.draw().expect("entropy")).collect();
        assert!(drawn.len() > 990, "{}", drawn.len());
    }
}
