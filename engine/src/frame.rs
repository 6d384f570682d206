//! Lends a handler one frame of what was read.

use bytes::Bytes;
use core::ops::Deref;

/// Frames at least this long are kept by sharing the buffer that they came in: it holds little else.
const SHARED_BYTES_MIN: usize = 16 << 10;

/// One whole frame, header included, borrowed for the length of a handler from the buffer that it was read into.
///
/// Most frames are looked at and forgotten, and then cost no reference count. A handler that keeps one says so with
/// [`Frame::keep`], one that only sends it on with [`Frame::share`].
#[derive(Clone, Copy, Debug)]
pub struct Frame<'a> {
    buffer: &'a Bytes,
    bytes: &'a [u8],
}

impl<'a> Frame<'a> {
    /// The `length` bytes of `buffer` from `start` on; what the buffer does not have is left out.
    pub fn at(buffer: &'a Bytes, start: usize, length: usize) -> Self {
        let bytes = buffer.get(start..).unwrap_or_default();
        Self { buffer, bytes: bytes.get(..length).unwrap_or(bytes) }
    }

    /// The frame, with the life of the buffer.
    pub fn bytes(self) -> &'a [u8] {
        self.bytes
    }

    /// What is behind the first `count` bytes: a payload.
    pub fn after(self, count: usize) -> Self {
        Self { buffer: self.buffer, bytes: self.bytes.get(count..).unwrap_or_default() }
    }

    /// The frame for longer than this step: a copy, unless it is so long that it is most of its buffer anyway.
    /// Otherwise a few bytes could hold a large buffer in memory.
    pub fn keep(self) -> Bytes {
        if self.bytes.len() >= SHARED_BYTES_MIN { self.share() } else { Bytes::copy_from_slice(self.bytes) }
    }

    /// The frame for sending it on at once: no copy, and the buffer stays as long as it is queued.
    pub fn share(self) -> Bytes {
        self.buffer.slice_ref(self.bytes)
    }
}

impl<'a> From<&'a Bytes> for Frame<'a> {
    fn from(frame: &'a Bytes) -> Self {
        Self { buffer: frame, bytes: frame }
    }
}

impl Deref for Frame<'_> {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_short_frame_is_kept_as_a_copy_and_a_long_one_shared() {
        let buffer = Bytes::from(alloc::vec![7; 40 << 10]);
        let is_inside = |bytes: &Bytes| buffer.as_ptr_range().contains(&bytes.as_ptr());
        let short = Frame::at(&buffer, 100, 292);
        assert_eq!((short.len(), is_inside(&short.keep()), is_inside(&short.share())), (292, false, true));
        assert_eq!(short.after(36).keep().len(), 256);
        let long = Frame::at(&buffer, 100, SHARED_BYTES_MIN);
        assert!(is_inside(&long.keep()));
    }

    #[test]
    fn what_the_buffer_lacks_is_left_out() {
        let buffer = Bytes::from_static(b"abc");
        assert_eq!(Frame::at(&buffer, 1, 9).bytes(), b"bc");
        assert_eq!(Frame::at(&buffer, 9, 9).bytes(), b"");
        assert_eq!(Frame::from(&buffer).after(9).share(), Bytes::new());
    }
}
