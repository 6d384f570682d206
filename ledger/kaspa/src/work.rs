//! Turns compact targets into numbers, and targets into work (the definitions are Bitcoin's).

use crate::wide::Wide;
use polypeer_kaspa::ledger::BlueWork;

/// What a proof of work must not exceed.
pub(crate) type Target = Wide<4>;
/// Work, as hashes that one expects to try.
pub(crate) type Work = Wide<3>;

/// The largest target that a block can have: 2^255 - 1.
pub(crate) fn target_max() -> Target {
    Target::MAX.shr(1)
}

/// The number that a header's `bits` stand for: three bytes of digits, and in the highest byte how many bytes the
/// whole number has. A set sign bit means zero.
pub(crate) fn target(bits: u32) -> Target {
    let (bytes, digits) = (bits >> 24, bits & 0x00ff_ffff);
    if digits > 0x007f_ffff {
        return Target::ZERO;
    }
    let digits = Target::from_u64(u64::from(digits));
    if bytes <= 3 { digits.shr(8 * (3 - bytes)) } else { digits.shl(8 * (bytes - 3)) }
}

/// The `bits` that stand for a number, or for the next lower one that some do.
pub(crate) fn compact(target: Target) -> u32 {
    let mut bytes = target.bits().div_ceil(8);
    let digits = if bytes <= 3 { target.shl(8 * (3 - bytes)) } else { target.shr(8 * (bytes - 3)) };
    // At most three bytes are left.
    let mut digits = digits.limbs()[0] as u32;
    if digits & 0x0080_0000 != 0 {
        digits >>= 8;
        bytes += 1;
    }
    digits | bytes << 24
}

/// How many hashes it takes on average to meet the target: 2^256 / (target + 1), rounded down.
pub(crate) fn work(bits: u32) -> Work {
    let target = target(bits);
    let (next, _) = target.adding(Target::from_u64(1));
    let work = target.not().div(next).saturating_add(Target::from_u64(1));
    // No block has more: it would not fit into a header.
    work.resize().unwrap_or(Work::MAX)
}

/// As it stands in headers and answers.
pub(crate) fn to_wire(work: Work) -> BlueWork {
    let mut bytes = [0; 24];
    for (place, limb) in bytes.as_chunks_mut::<8>().0.iter_mut().zip(work.limbs().iter().rev()) {
        *place = limb.to_be_bytes();
    }
    BlueWork(bytes)
}

/// The number that it stands for.
pub(crate) fn from_wire(work: &BlueWork) -> Work {
    let mut limbs = [0; 3];
    for (limb, bytes) in limbs.iter_mut().rev().zip(work.0.as_chunks::<8>().0) {
        *limb = u64::from_be_bytes(*bytes);
    }
    Work::from_limbs(limbs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_stand_for_the_numbers_that_they_should() {
        let shifted = |digits, bits| Target::from_u64(digits).shl(bits);
        for (bits, number) in [
            (0x207f_ffff, shifted(0x7f_ffff, 8 * 29)),
            (0x1d00_ffff, shifted(0xffff, 8 * 26)),
            (0x0412_3456, shifted(0x12_3456, 8)),
            (0x0312_3456, shifted(0x12_3456, 0)),
            (0x0200_8000, shifted(0x80, 0)),
            (0, Target::ZERO),
        ] {
            assert_eq!(target(bits), number, "{bits:#x}");
            assert_eq!(compact(number), bits, "{bits:#x}");
        }
        assert_eq!(target(0x0480_0000), Target::ZERO, "a negative number");
        assert_eq!(target(0xff7f_ffff), Target::ZERO, "a number beyond all limbs");
        assert_eq!(compact(target_max()), 0x207f_ffff);
    }

    #[test]
    fn work_is_what_the_networks_count() {
        assert_eq!(work(0x207f_ffff), Work::from_u64(2));
        // One block above the first of the main network and of devnet (spec, section 5.6).
        assert_eq!(work(0x1e21_bc1c), Work::from_u64(0x0796ae));
        assert_eq!(work(0), Work::MAX);
        // The highest target of one bit has half of all hashes below it, and so on down.
        for shift in 0..190 {
            assert_eq!(work(compact(target_max().shr(shift))).bits(), shift + 2);
        }
    }

    #[test]
    fn blue_work_comes_back_from_its_bytes() {
        let work = Work::from_limbs([0x1122_3344_5566_7788, 0x99aa_bbcc_ddee_ff00, 7]);
        let wire = to_wire(work);
        assert_eq!(wire.0[..9], [0, 0, 0, 0, 0, 0, 0, 7, 0x99]);
        assert_eq!(from_wire(&wire), work);
        assert!(to_wire(Work::from_u64(256)) > to_wire(Work::from_u64(255)));
    }
}
