//! Names nodes by their keys (Mina spec, section 1.6).
//!
//! A peer id is the identity multihash of the protobuf of an ed25519 public key, so it has the key in it, and the first
//! six of its 38 bytes are the same for all. No other type of key is on this network.

use alloc::string::String;
use core::fmt;
use core::str::FromStr;
use serde::{Deserialize, Serialize};

/// Bytes of a peer id on the wire.
pub const PEER_ID_BYTES: usize = 38;
/// Bytes of a public key's protobuf.
pub const KEY_BYTES: usize = 36;
/// What stands before the key: the identity multihash of 36 bytes, and the protobuf of an ed25519 key.
const HEAD: [u8; 6] = [0x00, 0x24, 0x08, 0x01, 0x12, 0x20];

/// Who a node is: its ed25519 public key. Ids are in the order of their bytes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct PeerId([u8; 32]);

impl PeerId {
    /// The id of whoever holds this ed25519 public key.
    pub const fn of_key(key: [u8; 32]) -> Self {
        Self(key)
    }

    /// The id with these bytes, or nothing when they are none of an ed25519 key.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let key = bytes.strip_prefix(&HEAD)?;
        key.try_into().ok().map(Self)
    }

    /// The id of the key in this protobuf, or nothing when it is none of an ed25519 key. Fields come in any order.
    pub fn from_protobuf(key: &[u8]) -> Option<Self> {
        let mut fields = polypeer_engine::kit::protobuf::Fields::of(key);
        let (mut is_ed25519, mut bytes) = (false, None);
        while let Some((number, value)) = fields.next().ok()? {
            match number {
                1 => is_ed25519 = value.u64().ok()? == 1,
                2 => bytes = value.bytes().ok()?.try_into().ok(),
                _ => {}
            }
        }
        bytes.filter(|_| is_ed25519).map(Self)
    }

    /// The ed25519 public key.
    pub const fn key(&self) -> &[u8; 32] {
        &self.0
    }

    /// As it stands on the wire.
    pub fn to_bytes(self) -> [u8; PEER_ID_BYTES] {
        let mut bytes = [0; PEER_ID_BYTES];
        let (head, key) = bytes.split_at_mut(HEAD.len());
        head.copy_from_slice(&HEAD);
        key.copy_from_slice(&self.0);
        bytes
    }

    /// The protobuf of the public key, as identify and the handshake carry it.
    pub fn to_protobuf(self) -> [u8; KEY_BYTES] {
        let mut bytes = [0; KEY_BYTES];
        bytes.copy_from_slice(&self.to_bytes()[PEER_ID_BYTES - KEY_BYTES..]);
        bytes
    }

    /// In base58btc, as people write it: `12D3KooW…`.
    pub fn text(&self) -> String {
        bs58::encode(self.to_bytes()).into_string()
    }
}

impl AsRef<[u8]> for PeerId {
    /// The public key: as good as the id, for what only tells ids apart.
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Display for PeerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text())
    }
}

impl fmt::Debug for PeerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A text that is no id of an ed25519 key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadPeerId;

impl fmt::Display for BadPeerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("this is no peer id of an ed25519 key, which begins with 12D3KooW")
    }
}

impl core::error::Error for BadPeerId {}

impl FromStr for PeerId {
    type Err = BadPeerId;

    fn from_str(text: &str) -> Result<Self, BadPeerId> {
        // One that does not fit is no id, however long.
        let mut bytes = [0; PEER_ID_BYTES + 1];
        let length = bs58::decode(text).onto(&mut bytes[..]).map_err(|_| BadPeerId)?;
        Self::from_bytes(&bytes[..length]).ok_or(BadPeerId)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    /// The key of the seed of 32 times 1.
    const KEY: [u8; 32] = [
        0x8a, 0x88, 0xe3, 0xdd, 0x74, 0x09, 0xf1, 0x95, 0xfd, 0x52, 0xdb, 0x2d, 0x3c, 0xba, 0x5d, 0x72, 0xca, 0x67,
        0x09, 0xbf, 0x1d, 0x94, 0x12, 0x1b, 0xf3, 0x74, 0x88, 0x01, 0xb4, 0x0f, 0x6f, 0x5c,
    ];
    const TEXT: &str = "12D3KooWK99VoVxNE7XzyBwXEzW7xhK7Gpv85r9F3V3fyKSUKPH5";

    #[test]
    fn a_key_has_its_known_id() {
        let id = PeerId::of_key(KEY);
        assert_eq!((id.to_string().as_str(), TEXT.parse()), (TEXT, Ok(id)));
        assert_eq!(PeerId::from_bytes(&id.to_bytes()), Some(id));
        assert_eq!(PeerId::from_protobuf(&id.to_protobuf()), Some(id));
    }

    #[test]
    fn what_is_no_id_of_an_ed25519_key_is_refused() {
        for text in ["", "12D3KooW", "QmYyQSo1c1Ym7orWxLYvCrM2EmxFTANf8wXmmE7DWjhx5N", "0OIl", &TEXT.repeat(100)] {
            assert_eq!(text.parse::<PeerId>(), Err(BadPeerId), "{text}");
        }
        let bytes = PeerId::of_key(KEY).to_bytes();
        for length in 0..bytes.len() {
            assert_eq!(PeerId::from_bytes(&bytes[..length]), None);
        }
        let mut longer = bytes.to_vec();
        longer.push(0);
        assert_eq!(PeerId::from_bytes(&longer), None);
        assert_eq!(PeerId::from_protobuf(&[0x08, 0x00, 0x12, 0x01, 0x07]), None);
    }
}
