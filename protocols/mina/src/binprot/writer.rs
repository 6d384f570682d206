//! Appends values to bytes.

use alloc::vec::Vec;
use bytes::Bytes;

/// Bytes that grow.
#[derive(Debug, Default)]
pub struct Writer {
    bytes: Vec<u8>,
    is_anew: bool,
}

impl Writer {
    /// A writer with room for this many bytes.
    pub fn with_capacity(count: usize) -> Self {
        Self { bytes: Vec::with_capacity(count), is_anew: false }
    }

    /// A writer that takes apart what lies in bytes and writes it anew, item by item, instead of copying it: so that it
    /// can be seen whether the layouts say all. It is slow, and there is no other use for it.
    pub fn anew() -> Self {
        Self { bytes: Vec::new(), is_anew: true }
    }

    pub(super) fn is_anew(&self) -> bool {
        self.is_anew
    }

    /// What was written.
    pub fn finish(self) -> Bytes {
        self.bytes.into()
    }

    /// A byte.
    pub fn byte(&mut self, byte: u8) {
        self.bytes.push(byte);
    }

    /// Bytes as they are.
    pub fn raw(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// A length.
    pub fn nat0(&mut self, value: u64) {
        match value {
            0..0x80 => self.byte(value as u8),
            0x80..0x1_0000 => self.coded(0xfe, &(value as u16).to_le_bytes()),
            0x1_0000..0x1_0000_0000 => self.coded(0xfd, &(value as u32).to_le_bytes()),
            _ => self.coded(0xfc, &value.to_le_bytes()),
        }
    }

    /// A signed number.
    pub fn int(&mut self, value: i64) {
        if let Ok(small @ 0..) = i8::try_from(value) {
            self.byte(small as u8);
        } else if let Ok(value) = i8::try_from(value) {
            self.coded(0xff, &value.to_le_bytes());
        } else if let Ok(value) = i16::try_from(value) {
            self.coded(0xfe, &value.to_le_bytes());
        } else if let Ok(value) = i32::try_from(value) {
            self.coded(0xfd, &value.to_le_bytes());
        } else {
            self.coded(0xfc, &value.to_le_bytes());
        }
    }

    /// A string.
    pub fn string(&mut self, bytes: &[u8]) {
        self.nat0(bytes.len() as u64);
        self.raw(bytes);
    }

    fn coded(&mut self, code: u8, bytes: &[u8]) {
        self.byte(code);
        self.raw(bytes);
    }
}
