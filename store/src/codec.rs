//! Turns a record into a key and a value of the file, and back.

use crate::DamagedRecord;
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

/// The record, or which one is damaged.
pub(crate) fn decode(key: &[u8], stored: &[u8]) -> Result<Record, DamagedRecord> {
    let (number, own_key) = key.split_first().unwrap_or((&u8::MAX, &[]));
    let table = table(*number);
    let whole = stored.split_first_chunk::<CHECK_BYTES>().filter(|(seen, value)| **seen == check(key, value));
    match (table, whole) {
        (Some(table), Some((_, value))) => {
            Ok(Record { table, key: Bytes::copy_from_slice(own_key), value: Some(Bytes::copy_from_slice(value)) })
        }
        _ => Err(DamagedRecord { table, key: own_key.to_vec() }),
    }
}

fn table(number: u8) -> Option<Table> {
    Some(match number {
        0 => Table::Addresses,
        1 => Table::Bans,
        2 => Table::Anchors,
        3 => Table::Protocol,
        _ => return None,
    })
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
