//! Turns keys and addresses into their texts and back: a prefix, the scheme, the bytes, a checksum.

use super::{KeyError, PublicKey, Scheme};
use alloc::string::String;
use alloc::vec::Vec;
use bs58::Alphabet;

/// Bitcoin's alphabet with `B` and `b`, `U` and `u` swapped.
const ALPHABET: &Alphabet = &Alphabet::new_unwrap(b"123456789AbCDEFGHJKLMNPQRSTuVWXYZaBcdefghijkmnopqrstUvwxyz");
/// Characters of the longest text, a private key's 56, and some. Reading takes time that grows with the square.
const BASE58_CHARS_MAX: usize = 64;

const PRIVATE_PREFIX: [u8; 3] = [0xda, 0x37, 0x9f];
const PUBLIC_PREFIX: [u8; 1] = [0xb0];
const ADDRESS_PREFIX: [u8; 2] = [0x01, 0x56];

/// Bytes of an address: prefix, scheme, the end of the key's hash, checksum.
pub const ADDRESS_BYTES: usize = 2 + 1 + HASH_BYTES + CHECKSUM_BYTES;
const HASH_BYTES: usize = 20;
const CHECKSUM_BYTES: usize = 4;

pub(super) fn read_public(text: &str) -> Result<PublicKey, KeyError> {
    let bytes = read_hex(text)?;
    let (scheme, raw) = open(&bytes, &PUBLIC_PREFIX)?;
    match scheme {
        Scheme::Ed25519 => raw.try_into().map(PublicKey::Ed25519),
        Scheme::Sm2 => raw.try_into().map(PublicKey::Sm2),
    }
    .map_err(|_| KeyError::Length)
}

pub(super) fn write_public(key: &PublicKey) -> String {
    hex(&seal(&PUBLIC_PREFIX, key.scheme(), key.raw()))
}

pub(super) fn read_address(text: &str) -> Result<[u8; ADDRESS_BYTES], KeyError> {
    let bytes = read_base58(text)?;
    let (_, hash) = open(&bytes, &ADDRESS_PREFIX)?;
    if hash.len() != HASH_BYTES {
        return Err(KeyError::Length);
    }
    bytes.try_into().map_err(|_| KeyError::Length)
}

pub(super) fn write_address(scheme: Scheme, raw: &[u8]) -> String {
    let hash = scheme.hash(raw);
    let (_, end) = hash.0.split_at(hash.0.len() - HASH_BYTES);
    base58(&seal(&ADDRESS_PREFIX, scheme, end))
}

pub(super) fn read_private(text: &str) -> Result<(Scheme, [u8; 32]), KeyError> {
    let bytes = read_base58(text)?;
    let (scheme, inner) = open(&bytes, &PRIVATE_PREFIX)?;
    // The secret, and a byte 0 behind it.
    let (secret, rest) = inner.split_first_chunk::<32>().ok_or(KeyError::Length)?;
    if rest == [0] { Ok((scheme, *secret)) } else { Err(KeyError::Length) }
}

pub(super) fn write_private(scheme: Scheme, secret: &[u8; 32]) -> String {
    let mut inner = secret.to_vec();
    inner.push(0);
    base58(&seal(&PRIVATE_PREFIX, scheme, &inner))
}

// What is between scheme and checksum.
fn open<'a>(bytes: &'a [u8], prefix: &[u8]) -> Result<(Scheme, &'a [u8]), KeyError> {
    let (body, checksum) = bytes.split_last_chunk::<CHECKSUM_BYTES>().ok_or(KeyError::Length)?;
    let (scheme, inner) = body.strip_prefix(prefix).ok_or(KeyError::Prefix)?.split_first().ok_or(KeyError::Length)?;
    let scheme = Scheme::from_number(*scheme).ok_or(KeyError::Scheme)?;
    if *checksum == checksum_of(scheme, body) { Ok((scheme, inner)) } else { Err(KeyError::Checksum) }
}

fn seal(prefix: &[u8], scheme: Scheme, inner: &[u8]) -> Vec<u8> {
    let mut bytes = prefix.to_vec();
    bytes.push(scheme.number());
    bytes.extend_from_slice(inner);
    let checksum = checksum_of(scheme, &bytes);
    bytes.extend_from_slice(&checksum);
    bytes
}

fn checksum_of(scheme: Scheme, bytes: &[u8]) -> [u8; CHECKSUM_BYTES] {
    let [a, b, c, d, ..] = scheme.hash(&scheme.hash(bytes).0).0;
    [a, b, c, d]
}

fn read_base58(text: &str) -> Result<Vec<u8>, KeyError> {
    if text.len() > BASE58_CHARS_MAX {
        return Err(KeyError::Length);
    }
    bs58::decode(text).with_alphabet(ALPHABET).into_vec().map_err(|_| KeyError::Text)
}

fn base58(bytes: &[u8]) -> String {
    bs58::encode(bytes).with_alphabet(ALPHABET).into_string()
}

/// Digits of an SM2 key's text, the longest.
const HEX_DIGITS_MAX: usize = 2 * 71;

fn read_hex(text: &str) -> Result<Vec<u8>, KeyError> {
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    if !rest.is_empty() || text.len() > HEX_DIGITS_MAX {
        return Err(KeyError::Length);
    }
    pairs.iter().map(|[high, low]| Ok(digit(*high)? << 4 | digit(*low)?)).collect()
}

fn digit(character: u8) -> Result<u8, KeyError> {
    match character {
        b'0'..=b'9' => Ok(character - b'0'),
        b'a'..=b'f' => Ok(character - b'a' + 10),
        b'A'..=b'F' => Ok(character - b'A' + 10),
        _ => Err(KeyError::Text),
    }
}

fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digit = |nibble: u8| char::from(DIGITS[usize::from(nibble)]);
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 0xf)]).collect()
}
