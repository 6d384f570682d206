//! Packs what is smaller than a field element into as few of them as it takes (Mina spec, section 6.3).

use super::poseidon::Sponge;
use crate::binprot::Fp;

/// Bits that an element holds for sure.
const BITS_MAX: u32 = 254;
/// Elements that the small parts of a protocol state fill: eleven, and some for parts that may come.
const PACKED_MAX: usize = 16;

/// What is hashed: whole elements first, then those that the small parts were packed into.
pub(super) struct Input {
    sponge: Sponge,
    packed: [[u64; 4]; PACKED_MAX],
    count: usize,
    current: [u64; 4],
    width: u32,
}

impl Input {
    pub(super) fn new(domain: &str) -> Self {
        Self { sponge: Sponge::new(domain), packed: [[0; 4]; PACKED_MAX], count: 0, current: [0; 4], width: 0 }
    }

    /// A whole element.
    pub(super) fn element(&mut self, element: &Fp) {
        self.sponge.absorb(element);
    }

    /// A number of so many bits, 64 at most.
    pub(super) fn bits(&mut self, value: u64, width: u32) {
        if self.width + width > BITS_MAX {
            self.emit();
        }
        self.shift(width);
        let [lowest, ..] = &mut self.current;
        *lowest |= value;
        self.width += width;
    }

    pub(super) fn number(&mut self, value: u32) {
        self.bits(u64::from(value), u32::BITS);
    }

    pub(super) fn long(&mut self, value: u64) {
        self.bits(value, u64::BITS);
    }

    pub(super) fn flag(&mut self, value: bool) {
        self.bits(u64::from(value), 1);
    }

    /// Bytes, the lowest bit of each first, as many bits as are wanted.
    pub(super) fn flags(&mut self, bytes: &[u8], count: usize) {
        let flags = bytes.iter().flat_map(|byte| (0..u8::BITS).map(move |bit| byte >> bit & 1 == 1));
        flags.take(count).for_each(|flag| self.flag(flag));
    }

    pub(super) fn finish(mut self) -> Fp {
        if self.width > 0 {
            self.emit();
        }
        let Self { mut sponge, packed, count, .. } = self;
        packed.into_iter().take(count).for_each(|limbs| sponge.absorb_bits(limbs));
        sponge.finish()
    }

    fn emit(&mut self) {
        if let Some(place) = self.packed.get_mut(self.count) {
            *place = self.current;
            self.count += 1;
        }
        self.current = [0; 4];
        self.width = 0;
    }

    fn shift(&mut self, width: u32) {
        let mut carry = 0;
        for limb in &mut self.current {
            let wide = u128::from(*limb) << width | carry;
            *limb = wide as u64;
            carry = wide >> u64::BITS;
        }
    }
}
