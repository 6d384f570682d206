//! The files, and what is known of them.

use polypeer_mina::binprot::{Binable, Fp};
use polypeer_mina::block::{Block, ProtocolState};
use polypeer_mina::hash::Hash;
use serde_json::Value;
use std::fs;
use std::path::PathBuf;

/// The block of a real devnet.
pub(crate) const BLOCK: &str = "v2-current/derived/block-devnet-357934.bin";
/// The first block of mainnet's current chain, without its proof and body.
pub(crate) const MAINNET_STATE: &str = "v2-current/derived/protocol-state-mainnet-359606.bin";
pub(crate) const DUMMY_STATE: &str = "v2-current/protocol-state-dummy.bin";
pub(crate) const DUMMY_PROOF: &str = "v2-current/dummy-blockchain-proof.bin";
pub(crate) const PAYMENT: &str = "v2-current/derived/user-command-payment.bin";
pub(crate) const ZKAPP: &str = "v2-current/derived/user-command-zkapp.bin";
pub(crate) const GOSSIPED_BLOCK: &str = "v2-current/derived/gossip-v0-new-state-357934.bin";
pub(crate) const GOSSIPED_HEADER: &str = "v2-current/derived/gossip-v1-block-header-357934.bin";
pub(crate) const GOSSIPED_COMMANDS: &str = "v2-current/derived/gossip-v0-transaction-pool-diff.bin";
pub(crate) const GOSSIPED_COMMAND: &str = "v2-current/derived/gossip-v1-tx.bin";
pub(crate) const GOSSIPED_NOTHING: &str = "v2-current/derived/gossip-v0-snark-pool-diff-empty.bin";
/// zkApp commands without the kind in front.
pub(crate) const ZKAPPS: [&str; 3] = [
    "v2-current/zkapps/valid_zkapp.bin",
    "v2-current/zkapps/with_proof_auth.bin",
    "v2-current/zkapps/with_sig_auth.bin",
];

fn path(name: &str) -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "tests", "fixtures", name].iter().collect()
}

/// A file's bytes.
pub(crate) fn file(name: &str) -> Vec<u8> {
    fs::read(path(name)).unwrap_or_else(|wrong| panic!("{name}: {wrong}"))
}

/// The files of a folder, by name.
pub(crate) fn folder(name: &str) -> Vec<(String, Vec<u8>)> {
    let entries = fs::read_dir(path(name)).expect("a folder");
    let file = |entry: fs::DirEntry| {
        let file = entry.file_name().to_string_lossy().into_owned();
        (file, fs::read(entry.path()).expect("a file"))
    };
    let mut files: Vec<_> = entries.map(|entry| file(entry.expect("an entry"))).collect();
    files.sort();
    files
}

/// A file of JSON.
pub(crate) fn json(name: &str) -> Value {
    serde_json::from_slice(&file(name)).expect("JSON")
}

/// What is known of the files.
pub(crate) fn expected() -> Value {
    json("vectors/expected.json")
}

/// Decodes all bytes of a file.
#[track_caller]
pub(crate) fn decoded<'a, T: Binable<'a>>(bytes: &'a [u8]) -> T {
    T::decode(bytes).unwrap_or_else(|wrong| panic!("{wrong}"))
}

/// The devnet's block.
pub(crate) fn block(bytes: &[u8]) -> Block<'_> {
    decoded(bytes)
}

/// A protocol state alone.
pub(crate) fn state(bytes: &[u8]) -> ProtocolState<'_> {
    decoded(bytes)
}

/// A number, whether JSON has it as one or as text.
#[track_caller]
pub(crate) fn number(value: &Value) -> u64 {
    match value {
        Value::String(text) => text.parse().expect("a number"),
        Value::Array(parts) => number(parts.last().expect("a number in a variant")),
        value => value.as_u64().expect("a number"),
    }
}

/// A text.
#[track_caller]
pub(crate) fn text(value: &Value) -> &str {
    value.as_str().expect("a text")
}

/// 32 bytes of digits.
#[track_caller]
pub(crate) fn digits(value: &Value) -> Hash {
    Hash(const_hex::decode(text(value)).expect("digits").try_into().expect("32 bytes"))
}

/// An element that JSON has as `0x` and digits, or as a decimal number; highest first.
#[track_caller]
pub(crate) fn element(value: &Value) -> Fp {
    let text = text(value);
    match text.strip_prefix("0x") {
        Some(digits) => {
            let mut bytes: [u8; 32] = const_hex::decode(digits).expect("digits").try_into().expect("32 bytes");
            bytes.reverse();
            Fp(bytes)
        }
        None => Fp(decimal(text)),
    }
}

// Little endian.
fn decimal(text: &str) -> [u8; 32] {
    let mut bytes = [0; 32];
    for digit in text.bytes() {
        let mut carry = u32::from(digit - b'0');
        for byte in &mut bytes {
            carry += u32::from(*byte) * 10;
            *byte = carry as u8;
            carry >>= 8;
        }
        assert_eq!(carry, 0, "{text} fits");
    }
    bytes
}

/// Bytes of base64, in the alphabet for URLs.
pub(crate) fn base64(text: &str) -> Vec<u8> {
    const ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let digit = |byte: u8| ALPHABET.iter().position(|other| *other == byte).expect("a digit") as u32;
    let digits: Vec<u32> = text.trim_end_matches('=').bytes().map(digit).collect();
    let group = |group: &[u32]| {
        let bits = group.iter().fold(0, |bits, digit| bits << 6 | digit) << (6 * (4 - group.len()));
        bits.to_be_bytes()[1..group.len()].to_vec()
    };
    digits.chunks(4).flat_map(group).collect()
}
