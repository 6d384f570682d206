//! Counts beyond 64 bits: targets of 256, blue work of 192, sums of 320.

use std::cmp::Ordering;

/// An unsigned number of `N` limbs of 64 bits, the least significant first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Wide<const N: usize>([u64; N]);

impl<const N: usize> Wide<N> {
    pub(crate) const ZERO: Self = Self([0; N]);
    pub(crate) const MAX: Self = Self([u64::MAX; N]);

    pub(crate) fn from_u64(number: u64) -> Self {
        let mut limbs = [0; N];
        if let Some(least) = limbs.first_mut() {
            *least = number;
        }
        Self(limbs)
    }

    /// The limbs, the least significant first.
    pub(crate) fn limbs(&self) -> &[u64; N] {
        &self.0
    }

    pub(crate) fn from_limbs(limbs: [u64; N]) -> Self {
        Self(limbs)
    }

    /// How many bits it takes to write it.
    pub(crate) fn bits(&self) -> u32 {
        let leading = self.0.iter().rev().take_while(|limb| **limb == 0).count();
        let top = self.0.iter().rev().nth(leading).map_or(0, |limb| limb.leading_zeros());
        64 * (N - leading) as u32 - top
    }

    /// The sum, and whether it did not fit.
    pub(crate) fn adding(self, other: Self) -> (Self, bool) {
        let (mut sum, mut carry) = (self, false);
        for (limb, other) in sum.0.iter_mut().zip(other.0) {
            let (with_other, first) = limb.overflowing_add(other);
            let (with_carry, second) = with_other.overflowing_add(u64::from(carry));
            (*limb, carry) = (with_carry, first || second);
        }
        (sum, carry)
    }

    /// The sum, or the greatest number there is.
    pub(crate) fn saturating_add(self, other: Self) -> Self {
        match self.adding(other) {
            (sum, false) => sum,
            (_, true) => Self::MAX,
        }
    }

    /// The difference, wrapped around when it is negative.
    pub(crate) fn wrapping_sub(self, other: Self) -> Self {
        let (negative, _) = other.not().adding(Self::from_u64(1));
        self.adding(negative).0
    }

    pub(crate) fn not(self) -> Self {
        Self(self.0.map(|limb| !limb))
    }

    /// Moved up; what leaves at the top is gone.
    pub(crate) fn shl(self, bits: u32) -> Self {
        let (limbs, bits) = ((bits / 64) as usize, bits % 64);
        let mut moved = [0; N];
        for (place, limb) in moved.iter_mut().enumerate().skip(limbs) {
            let own = self.0[place - limbs];
            let below = place.checked_sub(limbs + 1).map_or(0, |below| self.0[below]);
            *limb = if bits == 0 { own } else { own << bits | below >> (64 - bits) };
        }
        Self(moved)
    }

    /// Moved down; what leaves at the bottom is gone.
    pub(crate) fn shr(self, bits: u32) -> Self {
        let (limbs, bits) = ((bits / 64) as usize, bits % 64);
        let limb_at = |place: usize| self.0.get(place).copied().unwrap_or(0);
        let mut moved = [0; N];
        for (place, limb) in moved.iter_mut().enumerate() {
            let (own, above) = (limb_at(place + limbs), limb_at(place + limbs + 1));
            *limb = if bits == 0 { own } else { own >> bits | above << (64 - bits) };
        }
        Self(moved)
    }

    /// The product, without what does not fit.
    pub(crate) fn wrapping_mul(self, factor: u64) -> Self {
        let (mut product, mut carry) = (self, 0);
        for limb in &mut product.0 {
            let wide = u128::from(*limb) * u128::from(factor) + carry;
            // The lower half.
            (*limb, carry) = (wide as u64, wide >> 64);
        }
        product
    }

    /// The quotient; zero for a divisor of zero.
    pub(crate) fn div_u64(self, divisor: u64) -> Self {
        let (mut quotient, mut rest) = (Self::ZERO, 0_u128);
        for (limb, place) in self.0.iter().zip(quotient.0.iter_mut()).rev() {
            let wide = rest << 64 | u128::from(*limb);
            // The rest is below the divisor, so that the quotient fits.
            *place = wide.checked_div(u128::from(divisor)).unwrap_or(0) as u64;
            rest = wide.checked_rem(u128::from(divisor)).unwrap_or(0);
        }
        quotient
    }

    /// The quotient, bit by bit; zero for a divisor of zero.
    pub(crate) fn div(self, divisor: Self) -> Self {
        let (mut quotient, mut rest) = (Self::ZERO, Self::ZERO);
        if divisor == Self::ZERO {
            return quotient;
        }
        for bit in (0..self.bits()).rev() {
            let overflows = rest.bits() as usize == 64 * N;
            rest = rest.shl(1);
            rest.0[0] |= self.0[(bit / 64) as usize] >> (bit % 64) & 1;
            if overflows || rest >= divisor {
                rest = rest.wrapping_sub(divisor);
                quotient.0[(bit / 64) as usize] |= 1 << (bit % 64);
            }
        }
        quotient
    }

    /// The same number in `M` limbs; nothing when it does not fit.
    pub(crate) fn resize<const M: usize>(self) -> Option<Wide<M>> {
        let mut limbs = [0; M];
        for (place, limb) in self.0.into_iter().enumerate() {
            match limbs.get_mut(place) {
                Some(same) => *same = limb,
                None if limb == 0 => {}
                None => return None,
            }
        }
        Some(Wide(limbs))
    }
}

impl<const N: usize> Default for Wide<N> {
    fn default() -> Self {
        Self::ZERO
    }
}

impl<const N: usize> Ord for Wide<N> {
    fn cmp(&self, other: &Self) -> Ordering {
        self.0.iter().rev().cmp(other.0.iter().rev())
    }
}

impl<const N: usize> PartialOrd for Wide<N> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use polypeer_engine::Random;

    type Small = Wide<2>;

    fn small(number: u128) -> Small {
        Wide([number as u64, (number >> 64) as u64])
    }

    /// Numbers of every length.
    fn numbers() -> Vec<u128> {
        let mut random = Random::new([3; 32]);
        let mut any = || u128::from(random.number()) << 64 | u128::from(random.number());
        let mut numbers: Vec<u128> = (0..128).map(|bits| any() >> bits).collect();
        numbers.extend([0, 1, u128::from(u64::MAX), u128::from(u64::MAX) + 1, u128::MAX]);
        numbers
    }

    #[test]
    fn two_limbs_count_as_the_machine_does() {
        let numbers = numbers();
        for (one, other) in numbers.iter().zip(numbers.iter().rev()) {
            let (a, b) = (small(*one), small(*other));
            assert_eq!(a.cmp(&b), one.cmp(other));
            assert_eq!(a.adding(b), (small(one.wrapping_add(*other)), one.checked_add(*other).is_none()));
            assert_eq!(a.wrapping_sub(b), small(one.wrapping_sub(*other)));
            assert_eq!(a.div(b), small(one.checked_div(*other).unwrap_or(0)));
            assert_eq!(a.bits(), 128 - one.leading_zeros());
            let factor = *other as u64;
            assert_eq!(a.wrapping_mul(factor), small(one.wrapping_mul(u128::from(factor))));
            assert_eq!(a.div_u64(factor), small(one.checked_div(u128::from(factor)).unwrap_or(0)));
            for bits in [0, 1, 63, 64, 65, 127] {
                assert_eq!((a.shl(bits), a.shr(bits)), (small(one << bits), small(one >> bits)));
            }
        }
    }

    #[test]
    fn a_number_is_resized_only_when_it_fits() {
        assert_eq!(small(u128::from(u64::MAX)).resize::<1>(), Some(Wide([u64::MAX])));
        assert_eq!(small(u128::from(u64::MAX) + 1).resize::<1>(), None);
        assert_eq!(small(7).resize::<5>(), Some(Wide::from_u64(7)));
    }
}
