//! Writes and reads protobuf: numbers and bytes, which is all that libp2p's messages have.

use anyhow::{Context, Result, bail};

/// A field's value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Value {
    Number(u64),
    Bytes(Vec<u8>),
}

impl Value {
    /// The number, 0 when it is none.
    pub(crate) fn number(&self) -> u64 {
        if let Self::Number(number) = self { *number } else { 0 }
    }

    /// The bytes, none when it is a number.
    pub(crate) fn bytes(&self) -> &[u8] {
        if let Self::Bytes(bytes) = self { bytes } else { &[] }
    }

    /// The bytes as text.
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(self.bytes()).into_owned()
    }
}

/// A number, seven bits a byte.
pub(crate) fn varint(mut number: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    while number >= 0x80 {
        bytes.push((number & 0x7f) as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
    bytes
}

/// The number at the front and the bytes behind it; nothing when it is not whole.
pub(crate) fn read_varint(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let mut number = 0;
    for (at, byte) in bytes.iter().take(10).enumerate() {
        number |= u64::from(byte & 0x7f) << (7 * at);
        if byte & 0x80 == 0 {
            return Some((number, bytes.get(at + 1..)?));
        }
    }
    None
}

/// A field with a number.
pub(crate) fn number(field: u64, value: u64) -> Vec<u8> {
    [varint(field << 3), varint(value)].concat()
}

/// A field with bytes, a text or a message.
pub(crate) fn bytes(field: u64, value: &[u8]) -> Vec<u8> {
    [&varint(field << 3 | 2)[..], &varint(value.len() as u64), value].concat()
}

/// A message behind its length.
pub(crate) fn framed(message: &[u8]) -> Vec<u8> {
    [&varint(message.len() as u64)[..], message].concat()
}

/// All fields of a message, in order.
pub(crate) fn fields(mut message: &[u8]) -> Result<Vec<(u64, Value)>> {
    let mut fields = Vec::new();
    while !message.is_empty() {
        let (key, rest) = read_varint(message).context("a field without a key")?;
        let (number, rest) = read_varint(rest).context("a field without a value")?;
        let value = match key & 7 {
            0 => {
                message = rest;
                Value::Number(number)
            }
            2 => {
                let (value, rest) = rest.split_at_checked(usize::try_from(number)?).context("a field is cut")?;
                message = rest;
                Value::Bytes(value.to_vec())
            }
            other => bail!("a field of type {other}"),
        };
        fields.push((key >> 3, value));
    }
    Ok(fields)
}

/// The values of one field.
pub(crate) fn all(fields: &[(u64, Value)], field: u64) -> impl Iterator<Item = &Value> {
    fields.iter().filter(move |(number, _)| *number == field).map(|(_, value)| value)
}

/// The only value of a field, or the last.
pub(crate) fn one(fields: &[(u64, Value)], field: u64) -> Option<&Value> {
    all(fields, field).last()
}
