//! Keys, addresses and their texts; signs and verifies (BUMO spec, section 4.1).

mod ready;
mod text;

pub use ready::ReadyKey;
pub use text::ADDRESS_BYTES;

use crate::hash::{Hash, sha256, sm3};
use alloc::string::String;
use core::fmt;
use curve25519_dalek::edwards::{CompressedEdwardsY, EdwardsPoint};
use curve25519_dalek::scalar::Scalar;
use sha2::{Digest as _, Sha512};
use sm2::dsa::signature::{Signer as _, Verifier as _};
use sm2::elliptic_curve::sec1::ToSec1Point as _;

/// Bytes of a signature of either scheme.
pub const SIGNATURE_BYTES: usize = 64;
/// Whose signature it is, by the SM2 standard: the same for all.
const SM2_IDENTITY: &str = "1234567812345678";

/// How signatures are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Scheme {
    /// 1: all known networks.
    Ed25519,
    /// 2.
    Sm2,
}

impl Scheme {
    fn from_number(number: u8) -> Option<Self> {
        match number {
            1 => Some(Self::Ed25519),
            2 => Some(Self::Sm2),
            _ => None,
        }
    }

    fn number(self) -> u8 {
        match self {
            Self::Ed25519 => 1,
            Self::Sm2 => 2,
        }
    }

    /// The hash in addresses and checksums, whatever the ledger's is.
    fn hash(self, bytes: &[u8]) -> Hash {
        match self {
            Self::Ed25519 => sha256(bytes),
            Self::Sm2 => sm3(bytes),
        }
    }
}

/// What a text is not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyError {
    /// A character that does not belong there, or one too many.
    Text,
    /// Not the length of its kind.
    Length,
    /// Not the first bytes of its kind.
    Prefix,
    /// A scheme that does not exist.
    Scheme,
    /// The checksum is another.
    Checksum,
    /// A secret that no key can have.
    Secret,
}

impl fmt::Display for KeyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Text => "invalid character",
            Self::Length => "wrong length",
            Self::Prefix => "wrong prefix",
            Self::Scheme => "unknown signature scheme",
            Self::Checksum => "wrong checksum",
            Self::Secret => "secret out of range",
        })
    }
}

impl core::error::Error for KeyError {}

/// A public key, as it came: whether it is on its curve shows when it verifies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum PublicKey {
    /// 32 bytes.
    Ed25519([u8; 32]),
    /// 4, x and y.
    Sm2([u8; 65]),
}

impl PublicKey {
    /// Reads the text that signatures have: hex, any case.
    pub fn parse(text: &str) -> Result<Self, KeyError> {
        text::read_public(text)
    }

    /// Its text: lower-case hex.
    pub fn text(&self) -> String {
        text::write_public(self)
    }

    /// The address of the account or validator that has it.
    pub fn address(&self) -> String {
        text::write_address(self.scheme(), self.raw())
    }

    /// How it verifies.
    pub fn scheme(&self) -> Scheme {
        match self {
            Self::Ed25519(_) => Scheme::Ed25519,
            Self::Sm2(_) => Scheme::Sm2,
        }
    }

    /// Its own bytes.
    pub fn raw(&self) -> &[u8] {
        match self {
            Self::Ed25519(raw) => raw,
            Self::Sm2(raw) => raw,
        }
    }

    /// Whether this is the signature of this message.
    pub fn verify(&self, message: &[u8], signature: &[u8]) -> bool {
        let Ok(signature) = <[u8; SIGNATURE_BYTES]>::try_from(signature) else { return false };
        match self {
            Self::Ed25519(raw) => verify_ed25519(raw, message, &signature).unwrap_or(false),
            Self::Sm2(raw) => verify_sm2(raw, message, &signature).unwrap_or(false),
        }
    }
}

/// Takes exactly what the original takes, also an `s` that is not reduced: what is in a ledger must be right to all or to
/// none. The common strict rule would refuse a few signatures that only their own makers can make.
fn verify_ed25519(key: &[u8; 32], message: &[u8], signature: &[u8; SIGNATURE_BYTES]) -> Option<bool> {
    verify_at(key, &minus(key)?, message, signature)
}

/// The negated point of a key; nothing for one that is not on the curve.
fn minus(key: &[u8; 32]) -> Option<EdwardsPoint> {
    Some(-CompressedEdwardsY(*key).decompress()?)
}

fn verify_at(key: &[u8; 32], minus: &EdwardsPoint, message: &[u8], signature: &[u8; SIGNATURE_BYTES]) -> Option<bool> {
    let (r, s) = signature.split_first_chunk::<32>()?;
    let s = <[u8; 32]>::try_from(s).ok()?;
    if s.last()? & 0xe0 != 0 {
        return None;
    }
    let challenge: [u8; 64] = Sha512::new().chain_update(r).chain_update(key).chain_update(message).finalize().into();
    let challenge = Scalar::from_bytes_mod_order_wide(&challenge);
    let s = Scalar::from_bytes_mod_order(s);
    Some(EdwardsPoint::vartime_double_scalar_mul_basepoint(&challenge, minus, &s).compress().0 == *r)
}

fn verify_sm2(key: &[u8; 65], message: &[u8], signature: &[u8; SIGNATURE_BYTES]) -> Option<bool> {
    let key = sm2::dsa::VerifyingKey::from_sec1_bytes(SM2_IDENTITY, key).ok()?;
    let signature = sm2::dsa::Signature::from_slice(signature).ok()?;
    Some(key.verify(message, &signature).is_ok())
}

/// A private key. It never enters an engine: whoever holds the ledger signs.
pub struct PrivateKey {
    secret: [u8; 32],
    signing: Signing,
}

enum Signing {
    Ed25519(ed25519_dalek::SigningKey),
    Sm2(sm2::dsa::SigningKey),
}

impl PrivateKey {
    /// The key of a secret: any for Ed25519, a number below the curve's order and not 0 for SM2.
    pub fn new(scheme: Scheme, secret: [u8; 32]) -> Result<Self, KeyError> {
        let signing = match scheme {
            Scheme::Ed25519 => Signing::Ed25519(ed25519_dalek::SigningKey::from_bytes(&secret)),
            Scheme::Sm2 => {
                Signing::Sm2(sm2::dsa::SigningKey::from_slice(SM2_IDENTITY, &secret).map_err(|_| KeyError::Secret)?)
            }
        };
        Ok(Self { secret, signing })
    }

    /// Reads the text that begins with `priv`.
    pub fn parse(text: &str) -> Result<Self, KeyError> {
        let (scheme, secret) = text::read_private(text)?;
        Self::new(scheme, secret)
    }

    /// Its text: whoever reads it can sign.
    pub fn reveal(&self) -> String {
        text::write_private(self.public().scheme(), &self.secret)
    }

    /// The key that others know.
    pub fn public(&self) -> PublicKey {
        match &self.signing {
            Signing::Ed25519(key) => PublicKey::Ed25519(key.verifying_key().to_bytes()),
            Signing::Sm2(key) => {
                let mut raw = [0; 65];
                let point = key.verifying_key().as_affine().to_uncompressed_point();
                raw.iter_mut().zip(point.iter()).for_each(|(place, byte)| *place = *byte);
                PublicKey::Sm2(raw)
            }
        }
    }

    /// Signs: the same message gives the same signature.
    pub fn sign(&self, message: &[u8]) -> [u8; SIGNATURE_BYTES] {
        match &self.signing {
            Signing::Ed25519(key) => ed25519_dalek::Signer::sign(key, message).to_bytes(),
            Signing::Sm2(key) => key.sign(message).to_bytes().into(),
        }
    }
}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PrivateKey of {}", self.public().address())
    }
}

impl Drop for PrivateKey {
    fn drop(&mut self) {
        self.secret = [0; 32];
        core::hint::black_box(&self.secret);
    }
}

/// The bytes of an address, which is the key of its leaf in the account tree.
pub fn read_address(address: &str) -> Result<[u8; ADDRESS_BYTES], KeyError> {
    text::read_address(address)
}

/// The address of something that is no key, such as the reserved accounts, whose "keys" are one character.
pub fn address_of(scheme: Scheme, raw: &[u8]) -> String {
    text::write_address(scheme, raw)
}
