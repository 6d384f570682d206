//! Turns a record into a key and a value of the file, and back.

use bytes::Bytes;
use polypeer_engine::{Record, Table};

/// The hash's first bytes in front of every value: a flipped bit passes one time in four thousand million.
const CHECK_BYTES: usize = 4;

/// The file's key: the table's number, then the record's key, so that a table's records lie together.
pub(crate) fn key(table: Table, key: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(1 + key.len());
    out.push(crate::number(table));
    out.extend_from_slice(key);
    out
}

/// The file's value: a check over key and value, then the value.
pub(crate) fn value(key: &[u8], value: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(CHECK_BYTES + value.len());
    out.extend_from_slice(&check(key, value));
    out.extend_from_slice(value);
    out
}

/// The record, unless it is damaged.
pub(crate) fn decode(key: &[u8], stored: &[u8]) -> Option<Record> {
    let (table, own_key) = key.split_first()?;
    let (seen, value) = stored.split_first_chunk::<CHECK_BYTES>()?;
    if *seen != check(key, value) {
        return None;
    }
    let table = match table {
        0 => Table::Addresses,
        1 => Table::Bans,
        2 => Table::Anchors,
        3 => Table::Protocol,
        _ => return None,
    };
    Some(Record { table, key: Bytes::copy_from_slice(own_key), value: Some(Bytes::copy_from_slice(value)) })
}

// The key's length goes in first, so that no other pair runs together to the same bytes.
fn check(key: &[u8], value: &[u8]) -> [u8; CHECK_BYTES] {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&(key.len() as u64).to_be_bytes());
    hasher.update(key);
    hasher.update(value);
    let mut out = [0; CHECK_BYTES];
    out.copy_from_slice(&hasher.finalize().as_bytes()[..CHECK_BYTES]);
    out
}
