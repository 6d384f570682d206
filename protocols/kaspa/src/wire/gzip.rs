//! Inflates and deflates payloads (RFC 1952): one member, its output stopped at what its kind may have.

use super::frames::first_kind;
use super::{Kind, WireError};
use alloc::vec::Vec;
use bytes::Bytes;
use core::ops::ControlFlow;
use miniz_oxide::inflate::TINFLStatus;
use miniz_oxide::inflate::core::inflate_flags::TINFL_FLAG_USING_NON_WRAPPING_OUTPUT_BUF;
use miniz_oxide::inflate::core::{DecompressorOxide, decompress};

/// Bytes of a header: 10, and room for a name or a comment that no peer writes.
const HEADER_BYTES_MAX: usize = 1 << 10;
const HEADER_BYTES: usize = 10;
/// CRC-32 and length.
const TRAILER_BYTES: usize = 8;
const FLAG_HEADER_CRC: u8 = 1 << 1;
const FLAG_EXTRA: u8 = 1 << 2;
const FLAG_NAME: u8 = 1 << 3;
const FLAG_COMMENT: u8 = 1 << 4;
const FLAGS_RESERVED: u8 = 0b1110_0000;

/// Bytes that the first step inflates: enough for the first field's key, and for most messages as a whole.
const FIRST_BYTES: usize = 512;
/// Bytes inflated while the first field says no kind: envelopes begin with the payload.
const UNKNOWN_BYTES_MAX: usize = 64 << 10;
/// Bytes that may inflate from however few: the proof of a young network repeats one header 250 times.
const RATIO_FREE_BYTES: usize = 1 << 20;
/// Beyond that, how many bytes one byte may become. Honest chunks of outputs become 10; deflate can make 1,032.
const RATIO_MAX: usize = 100;
/// kaspad's level.
const LEVEL: u8 = 6;

/// What a payload with flag 1 inflates to: at most `bytes_max` bytes, and what its kind may have.
pub(super) fn inflate(member: &[u8], bytes_max: usize) -> Result<Bytes, WireError> {
    let data = header_end(member).and_then(|at| member.get(at..)).ok_or(WireError::GzipHeader)?;
    let mut inflation = Inflation::new(data, bytes_max);
    while inflation.step()?.is_continue() {}
    inflation.finish()
}

/// Appends one gzip member to `frame`.
pub(super) fn deflate(bytes: &[u8], frame: &mut Vec<u8>) {
    frame.extend_from_slice(&[0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff]);
    frame.extend_from_slice(&miniz_oxide::deflate::compress_to_vec(bytes, LEVEL));
    frame.extend_from_slice(&crc32fast::hash(bytes).to_le_bytes());
    frame.extend_from_slice(&(bytes.len() as u32).to_le_bytes());
}

// Where the deflate stream begins.
fn header_end(member: &[u8]) -> Option<usize> {
    let head = member.get(..member.len().min(HEADER_BYTES_MAX))?;
    let [0x1f, 0x8b, 8, flags, _, _, _, _, _, _] = head.first_chunk::<HEADER_BYTES>()? else { return None };
    if flags & FLAGS_RESERVED != 0 {
        return None;
    }
    let mut at = HEADER_BYTES;
    if flags & FLAG_EXTRA != 0 {
        let length = head.get(at..)?.first_chunk::<2>()?;
        at += 2 + usize::from(u16::from_le_bytes(*length));
    }
    for flag in [FLAG_NAME, FLAG_COMMENT] {
        if flags & flag != 0 {
            at += head.get(at..)?.iter().position(|byte| *byte == 0)? + 1;
        }
    }
    if flags & FLAG_HEADER_CRC != 0 {
        let crc = head.get(at..)?.first_chunk::<2>()?;
        if crc32fast::hash(head.get(..at)?) as u16 != u16::from_le_bytes(*crc) {
            return None;
        }
        at += 2;
    }
    (at <= head.len()).then_some(at)
}

struct Inflation<'a> {
    inflater: DecompressorOxide,
    // Compressed, and what comes behind.
    rest: &'a [u8],
    // Whatever the kind: what the phase and the honest ratio allow.
    bytes_max: usize,
    out: Vec<u8>,
    // Bytes of `out` that are inflated.
    done: usize,
}

impl<'a> Inflation<'a> {
    fn new(data: &'a [u8], bytes_max: usize) -> Self {
        Self {
            inflater: DecompressorOxide::new(),
            rest: data,
            bytes_max: bytes_max.min((data.len() * RATIO_MAX).max(RATIO_FREE_BYTES)),
            out: alloc::vec![0; FIRST_BYTES],
            done: 0,
        }
    }

    // Inflates until there is no room or no more, and makes room: at most one byte more than the limit is inflated.
    fn step(&mut self) -> Result<ControlFlow<()>, WireError> {
        let flags = TINFL_FLAG_USING_NON_WRAPPING_OUTPUT_BUF;
        let (status, read, written) = decompress(&mut self.inflater, self.rest, &mut self.out, self.done, flags);
        self.rest = self.rest.get(read..).unwrap_or_default();
        self.done += written;
        let max = self.bytes_max();
        if self.done > max {
            return Err(WireError::GzipBomb);
        }
        match status {
            TINFLStatus::Done => Ok(ControlFlow::Break(())),
            TINFLStatus::HasMoreOutput => {
                self.out.resize((self.done * 2).min(max + 1), 0);
                Ok(ControlFlow::Continue(()))
            }
            _ => Err(WireError::GzipData),
        }
    }

    fn bytes_max(&self) -> usize {
        let inflated = self.out.get(..self.done).unwrap_or_default();
        let of_kind = first_kind(inflated).map_or(UNKNOWN_BYTES_MAX, Kind::envelope_bytes_max);
        of_kind.min(self.bytes_max)
    }

    fn finish(mut self) -> Result<Bytes, WireError> {
        self.out.truncate(self.done);
        let (crc, length) = match self.rest.len() {
            TRAILER_BYTES => self.rest.split_at(TRAILER_BYTES / 2),
            0..TRAILER_BYTES => return Err(WireError::GzipData),
            _ => return Err(WireError::GzipTrailing),
        };
        let is_right = crc == crc32fast::hash(&self.out).to_le_bytes() && length == (self.done as u32).to_le_bytes();
        if !is_right {
            return Err(WireError::GzipChecksum);
        }
        // What is kept may be kept for long: not with room for twice as much.
        self.out.shrink_to_fit();
        Ok(self.out.into())
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Kind, PREFIX_BYTES, WireError, pack};
    use super::{Inflation, deflate, header_end};
    use alloc::vec::Vec;

    // How many bytes were inflated and allocated before the end.
    fn spent(payload: &[u8]) -> (WireError, usize, usize) {
        let mut member = Vec::new();
        deflate(payload, &mut member);
        let mut inflation = Inflation::new(&member[header_end(&member).expect("ours")..], usize::MAX);
        loop {
            match inflation.step() {
                Ok(end) => assert!(end.is_continue(), "a bomb inflates to its end"),
                Err(wrong) => return (wrong, inflation.done, inflation.out.capacity()),
            }
        }
    }

    #[test]
    fn a_bomb_is_inflated_to_its_limit_and_one_byte() {
        for (kind, bytes) in [(Kind::Ping, 40 << 20), (Kind::Block, 40 << 20), (Kind::PruningPointProof, 40 << 20)] {
            let payload = pack(kind, &alloc::vec![0; bytes], 0, 0).slice(PREFIX_BYTES..);
            let (wrong, inflated, allocated) = spent(&payload);
            // Deflate makes a thousand bytes of one: the ratio stops what the kind does not.
            let max = kind.envelope_bytes_max().min(bytes / 1000 * 110);
            assert_eq!(wrong, WireError::GzipBomb);
            assert!(inflated <= max + 1 && allocated <= 2 * max, "{kind:?}: {inflated}, {allocated}");
        }
    }

    #[test]
    fn nothing_is_allocated_ahead_of_what_is_inflated() {
        let mut member = Vec::new();
        deflate(&[0x9a, 1, 0], &mut member);
        let length = member.len();
        member[length - 4..].copy_from_slice(&u32::MAX.to_le_bytes());
        let mut inflation = Inflation::new(&member[header_end(&member).expect("ours")..], usize::MAX);
        assert!(inflation.step().is_ok_and(|end| end.is_break()));
        assert_eq!(inflation.out.capacity(), super::FIRST_BYTES);
        assert_eq!(inflation.finish(), Err(WireError::GzipChecksum));
    }
}
