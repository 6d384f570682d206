//! Turns bytes into lower-case hex digits and back, a table look-up for each.

use alloc::vec::Vec;

const DIGITS: &[u8; 16] = b"0123456789abcdef";
/// What is no digit; above every value of one.
const NONE: u8 = 0xff;

const VALUES: [u8; 256] = {
    let mut values = [NONE; 256];
    let mut value = 0;
    while value < 16 {
        values[DIGITS[value] as usize] = value as u8;
        value += 1;
    }
    values
};

const PAIRS: [[u8; 2]; 256] = {
    let mut pairs = [[0; 2]; 256];
    let mut byte = 0;
    while byte < 256 {
        pairs[byte] = [DIGITS[byte >> 4], DIGITS[byte & 15]];
        byte += 1;
    }
    pairs
};

/// Fills `out` from twice as many digits. Whether all of them were lower-case hex digits.
pub(super) fn fill(digits: &[u8], out: &mut [u8]) -> bool {
    if digits.len() != out.len() * 2 {
        return false;
    }
    let mut seen = 0;
    for (pair, byte) in digits.chunks_exact(2).zip(out) {
        let (high, low) = (VALUES[usize::from(pair[0])], VALUES[usize::from(pair[1])]);
        seen |= high | low;
        *byte = high << 4 | low & 15;
    }
    seen < 16
}

/// As many bytes as the digits make, at most `max`.
pub(super) fn bytes(digits: &[u8], max: usize) -> Option<Vec<u8>> {
    if digits.len() / 2 > max {
        return None;
    }
    let mut out = alloc::vec![0; digits.len() / 2];
    fill(digits, &mut out).then_some(out)
}

/// Adds the digits of `bytes` to `out`.
pub(super) fn push(out: &mut Vec<u8>, bytes: &[u8]) {
    let begin = out.len();
    out.resize(begin + bytes.len() * 2, 0);
    for (pair, byte) in out[begin..].chunks_exact_mut(2).zip(bytes) {
        pair.copy_from_slice(&PAIRS[usize::from(*byte)]);
    }
}
