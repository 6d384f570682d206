//! Holds encoded frames, so that a load only stamps and writes.

use crate::payload;
use crate::wire::{self, HEADER_BYTES, PREFIX_BYTES, Wire};

/// Bytes of a batch: large enough that a write's fixed cost does not count, small enough to stay in the cache.
const BATCH_BYTES: usize = 128 << 10;

/// Frames one after another, stamped anew for each write.
pub(crate) struct Frames {
    bytes: Vec<u8>,
    header_bytes: usize,
    frame_bytes: usize,
    hashes: Vec<u64>,
}

impl Frames {
    /// A batch of frames with payloads of that size, the bodies all different: messages of gRPC or of a WebSocket, or
    /// else AnYa's `tx`.
    pub(crate) fn new(wire: Wire, payload_bytes: usize) -> Self {
        let header_bytes = match wire {
            Wire::Grpc => PREFIX_BYTES,
            Wire::WebSocket => {
                let mut whole = Vec::new();
                wire::masked_message(&vec![0; payload_bytes], &mut whole);
                whole.len() - payload_bytes
            }
            _ => HEADER_BYTES,
        };
        let frame_bytes = header_bytes + payload_bytes;
        let (mut bytes, mut hashes) = (Vec::new(), Vec::new());
        let mut body = vec![0; payload_bytes];
        for index in 0..BATCH_BYTES.div_ceil(frame_bytes) {
            for (at, byte) in body.iter_mut().enumerate() {
                *byte = (at * 31 + index * 131) as u8;
            }
            hashes.push(payload::hash(&body));
            match wire {
                Wire::Grpc => wire::message(&body, &mut bytes),
                Wire::WebSocket => wire::masked_message(&body, &mut bytes),
                _ => wire::frame("tx", &body, &mut bytes),
            }
        }
        Self { bytes, header_bytes, frame_bytes, hashes }
    }

    /// How many frames a batch has.
    pub(crate) fn count(&self) -> u64 {
        (self.bytes.len() / self.frame_bytes) as u64
    }

    /// At most `count` frames whose payloads carry the numbers from `first` upwards.
    pub(crate) fn stamped(&mut self, first: u64, count: u64) -> &[u8] {
        let length = count.min(self.count()) as usize * self.frame_bytes;
        let frames = self.bytes[..length].chunks_exact_mut(self.frame_bytes);
        for ((frame, hash), sequence) in frames.zip(&self.hashes).zip(first..) {
            payload::stamp(&mut frame[self.header_bytes..], sequence, *hash);
        }
        &self.bytes[..length]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stamped_frames_check() {
        let mut frames = Frames::new(Wire::Bare, 256);
        assert_eq!(frames.count(), 449);
        let mut bytes = frames.stamped(7, 3).to_vec();
        for sequence in 7..10 {
            let (kind, payload) = wire::split(&bytes).unwrap();
            assert_eq!((*kind, payload::check(payload)), (wire::TX, Some(sequence)));
            let length = HEADER_BYTES + payload.len();
            bytes.drain(..length);
        }
        assert!(bytes.is_empty());
    }
}
