//! Reads compact targets and counts the work that a target stands for.

/// A 256-bit number, big-endian limbs: enough arithmetic for targets, no more.
type Wide = [u64; 4];

/// The least target that a network may have. Below it a block would take more than 2^64 tries, and a chain's work
/// could leave the 128 bits that the wires give it.
const LEAST: Wide = [1, 0, 0, 0];

/// How low a block's hash must be, in the compact form that headers carry: an exponent byte `e` and three bytes of
/// mantissa `m`, for the number m × 256^(e - 3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Target {
    compact: [u8; 4],
    number: [u8; 32],
    work: u64,
}

impl Target {
    /// The target of these four bytes; nothing when it is above 2^256 - 1 or below 2^192.
    pub fn from_compact(compact: [u8; 4]) -> Option<Self> {
        let number = expand(compact)?;
        let wide = limbs(&number);
        (wide >= LEAST).then(|| Self { compact, number, work: work(wide) })
    }

    /// The four bytes that every header of the network carries.
    pub fn compact(&self) -> [u8; 4] {
        self.compact
    }

    /// Whether a block's hash is low enough.
    pub fn is_met_by(&self, hash: &[u8; 32]) -> bool {
        hash <= &self.number
    }

    /// The work of one block: floor(2^256 / (target + 1)), the tries it takes on average.
    pub fn work(&self) -> u64 {
        self.work
    }
}

fn expand([exponent, m0, m1, m2]: [u8; 4]) -> Option<[u8; 32]> {
    let mut number = [0; 32];
    for (place, digit) in [m2, m1, m0].into_iter().enumerate() {
        // The digit's power of 256; one below zero is a fraction and falls away.
        let power = usize::from(exponent) + place;
        match power.checked_sub(3) {
            Some(power) if power < 32 => number[31 - power] = digit,
            Some(_) if digit != 0 => return None,
            _ => {}
        }
    }
    Some(number)
}

fn limbs(number: &[u8; 32]) -> Wide {
    let mut wide = [0; 4];
    for (limb, bytes) in wide.iter_mut().zip(number.as_chunks::<8>().0) {
        *limb = u64::from_be_bytes(*bytes);
    }
    wide
}

/// floor(2^256 / (t + 1)) = floor(not(t) / (t + 1)) + 1, where not(t) = 2^256 - 1 - t.
fn work(target: Wide) -> u64 {
    let Some(divisor) = plus_one(target) else { return 1 };
    let dividend = target.map(|limb| !limb);
    let mut rest: Wide = [0; 4];
    let mut quotient: u64 = 0;
    for bit in (0..256).rev() {
        let next = dividend[3 - bit / 64] >> (bit % 64) & 1;
        // The divisor is at most 2^255 when not(t) has as many digits, so doubling the rest cannot overflow unless
        // the rest is then larger than the divisor anyway.
        let carried = rest[0] >> 63 == 1;
        rest = doubled(rest, next);
        quotient <<= 1;
        if carried || rest >= divisor {
            rest = minus(rest, divisor);
            quotient |= 1;
        }
    }
    // A target of at least 2^192 keeps the quotient below 2^64 - 1.
    quotient.saturating_add(1)
}

fn plus_one(mut wide: Wide) -> Option<Wide> {
    for limb in wide.iter_mut().rev() {
        let (sum, carry) = limb.overflowing_add(1);
        *limb = sum;
        if !carry {
            return Some(wide);
        }
    }
    None
}

fn doubled(wide: Wide, bit: u64) -> Wide {
    let [a, b, c, d] = wide;
    [a << 1 | b >> 63, b << 1 | c >> 63, c << 1 | d >> 63, d << 1 | bit]
}

fn minus(wide: Wide, other: Wide) -> Wide {
    let mut result = wide;
    let mut borrow = false;
    for (limb, take) in result.iter_mut().zip(other).rev() {
        let (rest, first) = limb.overflowing_sub(take);
        let (rest, second) = rest.overflowing_sub(u64::from(borrow));
        *limb = rest;
        borrow = first || second;
    }
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    fn work_of(compact: [u8; 4]) -> Option<u64> {
        Target::from_compact(compact).map(|target| target.work())
    }

    #[test]
    fn compact_targets_expand_as_the_formula_says() {
        let target = Target::from_compact([0x20, 0x00, 0xff, 0xff]).unwrap();
        assert_eq!(target.number[..4], [0x00, 0xff, 0xff, 0x00]);
        let mut hash = [0; 32];
        hash[1..3].copy_from_slice(&[0xff, 0xff]);
        assert!(target.is_met_by(&hash), "a hash equal to the target is low enough");
        hash[31] = 1;
        assert!(!target.is_met_by(&hash));
        let full = Target::from_compact([0x20, 0xff, 0xff, 0xff]).unwrap();
        assert_eq!(full.number[..4], [0xff, 0xff, 0xff, 0x00]);
    }

    #[test]
    fn work_is_the_number_of_tries() {
        assert_eq!(work_of([0x20, 0x00, 0xff, 0xff]), Some(256));
        // 2^248: 2^256 / (2^248 + 1) is a little less than 256.
        assert_eq!(work_of([0x20, 0x01, 0x00, 0x00]), Some(255));
        assert_eq!(work_of([0x20, 0xff, 0xff, 0xff]), Some(1));
        assert_eq!(work_of([0x20, 0x80, 0x00, 0x00]), Some(1));
        assert_eq!(work_of([0x20, 0x7f, 0xff, 0xff]), Some(2));
        // 2^192: 2^256 / (2^192 + 1) = 2^64 - 1.
        assert_eq!(work_of([0x19, 0x01, 0x00, 0x00]), Some(u64::MAX));
    }

    #[test]
    fn targets_out_of_range_are_refused() {
        assert_eq!(work_of([0x21, 0x01, 0x00, 0x00]), None, "above 2^256 - 1");
        assert_eq!(work_of([0x18, 0x01, 0x00, 0x00]), None, "below 2^192");
        assert_eq!(work_of([0x03, 0x00, 0x00, 0x01]), None);
        assert_eq!(work_of([0x00, 0xff, 0xff, 0xff]), None);
        assert_eq!(work_of([0x20, 0, 0, 0]), None);
        assert_eq!(work_of([0xff, 0xff, 0xff, 0xff]), None);
        // Leading zero digits of the mantissa may stand above the 32 bytes.
        assert_eq!(work_of([0x22, 0x00, 0x00, 0xff]), Some(1));
    }
}
