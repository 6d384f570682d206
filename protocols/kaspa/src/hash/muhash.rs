//! The commitment to a set of outputs, in whatever order they come (Kaspa spec, section 5.5).

use super::blake2b;
use polypeer_engine::kit::chain::Hash;
use rand_chacha::ChaCha20Rng;
use rand_core::{Rng as _, SeedableRng as _};

/// Words of a number of 3,072 bits.
const WORDS: usize = 48;
const BYTES: usize = WORDS * 8;
/// How much the modulus is below 2^3072.
const BELOW: u64 = 1_103_717;

/// The product of a set's elements modulo 2^3072 - 1,103,717. Elements are added; none is taken out.
#[derive(Clone, Debug)]
pub struct MuHash {
    // The lowest word first. Below 2^3072, and perhaps not below the modulus.
    product: [u64; WORDS],
}

impl Default for MuHash {
    fn default() -> Self {
        let mut product = [0; WORDS];
        product[0] = 1;
        Self { product }
    }
}

impl MuHash {
    /// Adds an element: of an output, what [`crate::wire::Utxo::element`] says.
    pub fn add(&mut self, element: &[u8]) {
        let seed = blake2b("MuHashElement", &[element]);
        let mut bytes = [0; BYTES];
        ChaCha20Rng::from_seed(seed.0).fill_bytes(&mut bytes);
        let mut number = [0; WORDS];
        let (words, _) = bytes.as_chunks::<8>();
        number.iter_mut().zip(words).for_each(|(place, word)| *place = u64::from_le_bytes(*word));
        self.product = reduce(&product(&self.product, &number));
    }

    /// The commitment.
    pub fn finish(&self) -> Hash {
        let mut number = self.product;
        // Not below the modulus exactly if the difference carries out.
        let mut above = number;
        if add_small(&mut above, BELOW) {
            number = above;
        }
        let mut bytes = [0; BYTES];
        let (places, _) = bytes.as_chunks_mut::<8>();
        places.iter_mut().zip(number).for_each(|(place, word)| *place = word.to_le_bytes());
        blake2b("MuHashFinalize", &[&bytes])
    }
}

fn product(a: &[u64; WORDS], b: &[u64; WORDS]) -> [u64; 2 * WORDS] {
    let mut result = [0; 2 * WORDS];
    for (shift, factor) in a.iter().enumerate() {
        let mut carry = 0;
        let places = result.iter_mut().skip(shift);
        for (place, word) in places.zip(b.iter().chain(core::iter::once(&0))) {
            let sum = u128::from(*factor) * u128::from(*word) + u128::from(*place) + u128::from(carry);
            *place = sum as u64;
            carry = (sum >> 64) as u64;
        }
    }
    result
}

// What is above 2^3072 counts 1,103,717 times below.
fn reduce(number: &[u64; 2 * WORDS]) -> [u64; WORDS] {
    let mut result = [0; WORDS];
    let (low, high) = number.split_at(WORDS);
    let mut carry: u64 = 0;
    for ((place, low), high) in result.iter_mut().zip(low).zip(high) {
        let sum = u128::from(*high) * u128::from(BELOW) + u128::from(*low) + u128::from(carry);
        *place = sum as u64;
        carry = (sum >> 64) as u64;
    }
    // The carry is at most 21 bits, and after it carried over once more what is left is small.
    if add_small(&mut result, carry * BELOW) {
        add_small(&mut result, BELOW);
    }
    result
}

// Whether it carried over.
fn add_small(number: &mut [u64; WORDS], small: u64) -> bool {
    let mut carry = small;
    for word in number {
        let (sum, is_over) = word.overflowing_add(carry);
        *word = sum;
        if !is_over {
            return false;
        }
        carry = 1;
    }
    true
}
