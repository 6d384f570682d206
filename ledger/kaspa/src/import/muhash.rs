//! Hashes a set of outputs, whatever their order: MuHash, a product modulo 2^3072 - 1103717 (Kaspa spec, section 5.5).
//!
//! ```text
//! element ──BLAKE2b──► seed ──ChaCha20──► 384 bytes ──► × modulo p ──BLAKE2b──► commitment
//! ```
//!
//! Outputs are only added here, so that there is a product and no quotient: nothing is ever inverted.

use polypeer_engine::kit::chain::Hash;
use polypeer_kaspa::hash::blake2b;

/// Limbs of 64 bits in 3,072.
const LIMBS: usize = 48;
/// What 2^3072 is modulo the prime: so much is added for each time that a number goes beyond.
const FOLD: u64 = 1_103_717;
/// Bytes of a block of ChaCha20; six make an element.
const BLOCK_BYTES: usize = 64;

type Limbs = [u64; LIMBS];

/// The commitment of a set that grows.
#[derive(Clone, Debug)]
pub(crate) struct MuHash(Box<Limbs>);

impl Default for MuHash {
    /// The empty set.
    fn default() -> Self {
        let mut one = Box::new([0; LIMBS]);
        one[0] = 1;
        Self(one)
    }
}

impl MuHash {
    /// Adds an element, by its bytes.
    pub(crate) fn add(&mut self, element: &[u8]) {
        let factor = expand(&blake2b("MuHashElement", &[element]));
        *self.0 = multiply(&self.0, &factor);
    }

    /// What a header says of the set.
    pub(crate) fn commitment(&self) -> Hash {
        let mut bytes = [0; 8 * LIMBS];
        for (place, limb) in bytes.as_chunks_mut::<8>().0.iter_mut().zip(reduced(&self.0)) {
            *place = limb.to_le_bytes();
        }
        blake2b("MuHashFinalize", &[&bytes])
    }
}

/// The number that a hash stands for.
fn expand(seed: &Hash) -> Limbs {
    let mut number = [0; LIMBS];
    for (counter, limbs) in (0..).zip(number.as_chunks_mut::<{ BLOCK_BYTES / 8 }>().0) {
        let block = chacha20(&seed.0, counter, &[0; 12]);
        for (limb, words) in limbs.iter_mut().zip(block.as_chunks::<2>().0) {
            *limb = u64::from(words[0]) | u64::from(words[1]) << 32;
        }
    }
    number
}

/// A block of ChaCha20's key stream (RFC 8439, section 2.3), as its words.
fn chacha20(key: &[u8; 32], counter: u32, nonce: &[u8; 12]) -> [u32; 16] {
    let mut start = [0; 16];
    start[..4].copy_from_slice(&[0x6170_7865, 0x3320_646e, 0x7962_2d32, 0x6b20_6574]);
    for (word, bytes) in start[4..12].iter_mut().zip(key.as_chunks::<4>().0) {
        *word = u32::from_le_bytes(*bytes);
    }
    start[12] = counter;
    for (word, bytes) in start[13..].iter_mut().zip(nonce.as_chunks::<4>().0) {
        *word = u32::from_le_bytes(*bytes);
    }
    let mut state = start;
    for _ in 0..10 {
        for [a, b, c, d] in [[0, 4, 8, 12], [1, 5, 9, 13], [2, 6, 10, 14], [3, 7, 11, 15]] {
            quarter_round(&mut state, a, b, c, d);
        }
        for [a, b, c, d] in [[0, 5, 10, 15], [1, 6, 11, 12], [2, 7, 8, 13], [3, 4, 9, 14]] {
            quarter_round(&mut state, a, b, c, d);
        }
    }
    for (word, start) in state.iter_mut().zip(start) {
        *word = word.wrapping_add(start);
    }
    state
}

#[inline(always)]
fn quarter_round(state: &mut [u32; 16], a: usize, b: usize, c: usize, d: usize) {
    for (turn, [a, b, d]) in [(16, [a, b, d]), (12, [c, d, b]), (8, [a, b, d]), (7, [c, d, b])] {
        state[a] = state[a].wrapping_add(state[b]);
        state[d] = (state[d] ^ state[a]).rotate_left(turn);
    }
}

/// The product, somewhere below 2^3072.
fn multiply(one: &Limbs, other: &Limbs) -> Limbs {
    let mut product = [0_u64; 2 * LIMBS];
    for (at, limb) in one.iter().enumerate() {
        let mut carry = 0;
        let (row, above) = product[at..].split_at_mut(LIMBS);
        for (place, factor) in row.iter_mut().zip(other) {
            // 2^64 - 1 times itself and two more of it just fit.
            let sum = u128::from(*limb) * u128::from(*factor) + u128::from(*place) + u128::from(carry);
            (*place, carry) = (sum as u64, (sum >> 64) as u64);
        }
        above[0] = carry;
    }
    let (low, high) = product.split_at(LIMBS);
    let mut folded = [0; LIMBS];
    let mut carry = 0;
    for (place, (low, high)) in folded.iter_mut().zip(low.iter().zip(high)) {
        let sum = u128::from(*high) * u128::from(FOLD) + u128::from(*low) + u128::from(carry);
        (*place, carry) = (sum as u64, (sum >> 64) as u64);
    }
    // At most one beyond the factor, so that it is folded at most twice more.
    while carry != 0 {
        carry = add(&mut folded, u128::from(carry) * u128::from(FOLD));
    }
    folded
}

/// Adds a small number. What went beyond.
fn add(number: &mut Limbs, small: u128) -> u64 {
    let mut carry = small;
    for limb in number {
        let sum = u128::from(*limb) + u128::from(carry as u64);
        *limb = sum as u64;
        carry = (carry >> 64) + (sum >> 64);
        if carry == 0 {
            return 0;
        }
    }
    carry as u64
}

/// The same number below the prime.
fn reduced(number: &Limbs) -> Limbs {
    // It is at least the prime just when what the prime lacks to 2^3072 leads beyond.
    let mut beyond = *number;
    if add(&mut beyond, u128::from(FOLD)) == 0 { *number } else { beyond }
}

#[cfg(test)]
mod tests {
    use super::*;
    use polypeer_engine::Random;

    #[test]
    fn a_block_of_the_key_stream_is_that_of_the_rfc() {
        let mut key = [0; 32];
        key.iter_mut().zip(0..).for_each(|(place, byte)| *place = byte);
        let block = chacha20(&key, 1, &[0, 0, 0, 9, 0, 0, 0, 0x4a, 0, 0, 0, 0]);
        let expected = [
            0xe4e7_f110, 0x1559_3bd1, 0x1fdd_0f50, 0xc471_20a3, 0xc7f4_d1c7, 0x0368_c033, 0x9aaa_2204, 0x4e6c_d4c3,
            0x4664_82d2, 0x09aa_9f07, 0x05d7_c214, 0xa202_8bd9, 0xd19c_12b5, 0xb94e_16de, 0xe883_d0cb, 0x4e3c_50a2,
        ];
        assert_eq!(block, expected);
    }

    /// Doubles and adds, bit by bit.
    fn slowly(one: &Limbs, other: &Limbs) -> Limbs {
        let plus = |a: &Limbs, b: &Limbs| {
            let (mut sum, mut carry) = ([0; LIMBS], 0_u128);
            for (place, (a, b)) in sum.iter_mut().zip(a.iter().zip(b)) {
                let limb = u128::from(*a) + u128::from(*b) + carry;
                (*place, carry) = (limb as u64, limb >> 64);
            }
            if carry != 0 {
                assert_eq!(add(&mut sum, u128::from(FOLD)), 0);
            }
            reduced(&sum)
        };
        let mut product = [0; LIMBS];
        for bit in (0..64 * LIMBS).rev() {
            product = plus(&product, &product);
            if one[bit / 64] >> (bit % 64) & 1 == 1 {
                product = plus(&product, &reduced(other));
            }
        }
        product
    }

    #[test]
    fn a_product_is_what_doubling_and_adding_gives() {
        let mut random = Random::new([5; 32]);
        let mut any = || {
            let mut number = [0; LIMBS];
            number.fill_with(|| random.number());
            number
        };
        let mut prime = [u64::MAX; LIMBS];
        prime[0] = 0_u64.wrapping_sub(FOLD);
        let mut low = [0; LIMBS];
        low[0] = u64::MAX;
        let numbers = [any(), any(), [u64::MAX; LIMBS], prime, low, any()];
        for one in &numbers {
            for other in &numbers {
                assert_eq!(reduced(&multiply(one, other)), slowly(one, other));
            }
        }
        assert_eq!(reduced(&prime), [0; LIMBS]);
    }

    #[test]
    fn the_empty_set_has_the_networks_commitment() {
        assert_eq!(MuHash::default().commitment(), crate::genesis::NO_OUTPUTS);
    }

    #[test]
    fn the_order_of_elements_does_not_matter() {
        let of = |elements: [&[u8]; 3]| {
            let mut set = MuHash::default();
            elements.iter().for_each(|element| set.add(element));
            set.commitment()
        };
        assert_eq!(of([b"a", b"b", b"c"]), of([b"c", b"a", b"b"]));
        assert_ne!(of([b"a", b"b", b"c"]), of([b"a", b"b", b"b"]));
    }
}
