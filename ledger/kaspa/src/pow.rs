//! Computes proof of work: kHeavyHash, a hash around a multiplication with a matrix of four-bit numbers.
//!
//! ```text
//! pre-PoW hash ──► xoshiro256++ ──► matrix of full rank
//!      │                               │
//!      └─ time, nonce ─► cSHAKE256 ─► product, shifted ─► xor ─► cSHAKE256 ─► the value, little-endian
//! ```

use crate::wide::Wide;
use crate::work::{Target, target};
use keccak::Keccak;
use polypeer_engine::kit::chain::Hash;
use polypeer_kaspa::hash::pre_pow_hash;
use polypeer_kaspa::wire::Header;
use std::sync::LazyLock;

/// Rows and columns of the matrix: one for each four bits of a hash.
const SIDE: usize = 64;
/// Primes below 2^8, so that a product and a summand fit into 16 bits, of which processors take eight at once. A matrix
/// that is singular modulo all of them is taken for singular: one of full rank would be so with a chance of 2^-62.
const PRIMES: [u16; 8] = [251, 241, 239, 233, 229, 227, 223, 211];
/// Words of a block of cSHAKE256.
const RATE_WORDS: usize = 17;

type State = [u64; 25];
type Matrix = [[u8; SIDE]; SIDE];

static PROOF_OF_WORK: LazyLock<State> = LazyLock::new(|| start(b"ProofOfWorkHash"));
static HEAVY: LazyLock<State> = LazyLock::new(|| start(b"HeavyHash"));

/// What a header's proof of work is worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProofOfWork {
    /// The number that must not exceed the target that the header's bits stand for, little-endian.
    pub value: [u8; 32],
    /// Whether it does not.
    pub is_enough: bool,
    /// The block's level.
    pub level: u8,
}

/// Looks at the proof of work of a header that has parents, on a network with levels up to `level_max`.
pub fn proof_of_work(header: &Header, level_max: u8) -> ProofOfWork {
    let value = Puzzle::new(&pre_pow_hash(header), header.timestamp).value(header.nonce);
    ProofOfWork {
        value: bytes(*value.limbs()),
        is_enough: value <= target(header.bits),
        level: level(value, level_max),
    }
}

/// What hashes with the same pre-PoW hash share.
pub(crate) struct Puzzle {
    pre_pow: [u64; 4],
    timestamp: u64,
    matrix: Box<Matrix>,
}

impl Puzzle {
    /// The puzzle of a header, by its hash without time and nonce, and its time.
    pub(crate) fn new(pre_pow: &Hash, timestamp: u64) -> Self {
        let pre_pow = words(&pre_pow.0);
        Self { pre_pow, timestamp, matrix: matrix(pre_pow) }
    }

    /// The value that must not exceed the target.
    pub(crate) fn value(&self, nonce: u64) -> Target {
        let mut state = *PROOF_OF_WORK;
        for (word, input) in state.iter_mut().zip(self.pre_pow) {
            *word ^= input;
        }
        state[4] ^= self.timestamp;
        state[9] ^= nonce;
        let inner = squeeze(state, 10);
        let mut state = *HEAVY;
        for (word, input) in state.iter_mut().zip(words(&multiply(&self.matrix, &bytes(inner)))) {
            *word ^= input;
        }
        Wide::from_limbs(squeeze(state, 4))
    }
}

/// The level of a block with this value: how many more leading zero bits it has than the network's easiest.
pub(crate) fn level(value: Target, level_max: u8) -> u8 {
    level_max.saturating_sub(u8::try_from(value.bits()).unwrap_or(u8::MAX))
}

/// cSHAKE256 with this customisation, before any input.
fn start(name: &[u8]) -> State {
    // The rate, an empty function name, the customisation with its length in bits: each with its own length first.
    let mut block = vec![1, 136, 1, 0, 1, 8 * name.len() as u8];
    block.extend_from_slice(name);
    block.resize(8 * RATE_WORDS, 0);
    let mut state = [0; 25];
    for (word, bytes) in state.iter_mut().zip(block.as_chunks::<8>().0) {
        *word = u64::from_le_bytes(*bytes);
    }
    permute(&mut state);
    state
}

/// Pads after so many words of input, and takes the first 32 bytes out.
fn squeeze(mut state: State, input_words: usize) -> [u64; 4] {
    state[input_words] ^= 0x04;
    state[RATE_WORDS - 1] ^= 1 << 63;
    permute(&mut state);
    [state[0], state[1], state[2], state[3]]
}

fn permute(state: &mut State) {
    Keccak::new().with_f1600(|f1600| f1600(state));
}

fn words(bytes: &[u8; 32]) -> [u64; 4] {
    let mut words = [0; 4];
    for (word, bytes) in words.iter_mut().zip(bytes.as_chunks::<8>().0) {
        *word = u64::from_le_bytes(*bytes);
    }
    words
}

fn bytes(words: [u64; 4]) -> [u8; 32] {
    let mut bytes = [0; 32];
    for (place, word) in bytes.as_chunks_mut::<8>().0.iter_mut().zip(words) {
        *place = word.to_le_bytes();
    }
    bytes
}

/// The first matrix of full rank that the generator gives.
fn matrix(seed: [u64; 4]) -> Box<Matrix> {
    let mut generator = Xoshiro(seed);
    let mut matrix = Box::new([[0; SIDE]; SIDE]);
    loop {
        for sixteen in matrix.iter_mut().flat_map(|row| row.as_chunks_mut::<16>().0) {
            let word = generator.next();
            for (shift, place) in sixteen.iter_mut().enumerate() {
                *place = (word >> (4 * shift)) as u8 & 0x0f;
            }
        }
        if PRIMES.iter().any(|prime| is_of_full_rank(&matrix, *prime)) {
            return matrix;
        }
    }
}

/// Whether no row is made of the others, counted modulo a prime. When it is not so there, it is not so at all.
fn is_of_full_rank(matrix: &Matrix, prime: u16) -> bool {
    let mut rows: Box<[[u16; SIDE]; SIDE]> = Box::new(matrix.map(|row| row.map(u16::from)));
    for column in 0..SIDE {
        let Some(found) = (column..SIDE).find(|row| rows[*row][column] != 0) else { return false };
        rows.swap(column, found);
        let (done, below) = rows.split_at_mut(column + 1);
        let pivot = &done[column];
        let inverse = power(pivot[column], prime - 2, prime);
        for row in below.iter_mut().filter(|row| row[column] != 0) {
            // Less than the prime, since neither number is a multiple of it.
            let factor = prime - reduce(row[column] * inverse, prime);
            for (place, above) in row[column..].iter_mut().zip(&pivot[column..]) {
                *place = reduce(*place + factor * above, prime);
            }
        }
    }
    true
}

/// The rest of a division by a prime below 2^8, by a multiplication: the quotient is too low by one at most.
fn reduce(number: u16, prime: u16) -> u16 {
    let inverse = u16::MAX / prime;
    let quotient = ((u32::from(number) * u32::from(inverse)) >> 16) as u16;
    let rest = number - quotient * prime;
    rest.min(rest.wrapping_sub(prime))
}

fn power(mut base: u16, mut exponent: u16, prime: u16) -> u16 {
    let mut power = 1;
    while exponent > 0 {
        if exponent & 1 == 1 {
            power = reduce(power * base, prime);
        }
        base = reduce(base * base, prime);
        exponent >>= 1;
    }
    power
}

/// The hash with the upper four bits of each product mixed in.
fn multiply(matrix: &Matrix, hash: &[u8; 32]) -> [u8; 32] {
    let mut vector = [0_u16; SIDE];
    for (pair, byte) in vector.as_chunks_mut::<2>().0.iter_mut().zip(hash) {
        *pair = [u16::from(byte >> 4), u16::from(byte & 0x0f)];
    }
    // At most 64 times 15 times 15, of which the bits above the tenth are four.
    let product = |row: &[u8; SIDE]| -> u8 {
        let sum: u16 = row.iter().zip(&vector).map(|(a, b)| u16::from(*a) * b).sum();
        (sum >> 10) as u8
    };
    let mut mixed = *hash;
    for (place, [upper, lower]) in mixed.iter_mut().zip(matrix.as_chunks::<2>().0) {
        *place ^= product(upper) << 4 | product(lower);
    }
    mixed
}

/// The generator xoshiro256++.
struct Xoshiro([u64; 4]);

impl Xoshiro {
    fn next(&mut self) -> u64 {
        let [a, b, c, d] = &mut self.0;
        let number = a.wrapping_add(*d).rotate_left(23).wrapping_add(*a);
        let shifted = *b << 17;
        *c ^= *a;
        *d ^= *b;
        *b ^= *c;
        *a ^= *d;
        *c ^= shifted;
        *d = d.rotate_left(45);
        number
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_two_hashes_begin_as_the_networks_do() {
        assert_eq!(PROOF_OF_WORK[0], 1_242_148_031_264_380_989);
        assert_eq!(PROOF_OF_WORK[24], 196_324_915_476_054_915);
        assert_eq!(HEAVY[0], 4_239_941_492_252_378_377);
        assert_eq!(HEAVY[24], 1_592_359_455_985_097_269);
    }

    #[test]
    fn a_matrix_with_a_row_twice_is_not_of_full_rank() {
        let mut matrix = matrix([1, 2, 3, 4]);
        assert!(is_of_full_rank(&matrix, PRIMES[0]));
        matrix[5] = matrix[60];
        assert!(PRIMES.iter().all(|prime| !is_of_full_rank(&matrix, *prime)));
    }

    #[test]
    fn a_matrix_is_the_networks_for_its_seed() {
        let matrix = matrix(words(&[42; 32]));
        let digits = |row: [u8; SIDE]| row.map(|digit| char::from(b"0123456789abcdef"[usize::from(digit)]));
        let row = |at: usize| digits(matrix[at]).iter().collect::<String>();
        assert_eq!(row(0), "4545454545454545f3f3f3f3f3f3f3f32a2a2a2a2a2a2a2ae122ea4c4caaaaaa");
        assert_eq!(row(63), "a5bec1c7c8a56a0756bbdc0d06b0e421c71a7f53ef1312a4b82b2554f5a3172e");
    }

    #[test]
    fn a_rest_is_that_of_a_division() {
        for prime in PRIMES {
            let largest = (prime - 1) * (prime - 1) + (prime - 1);
            assert!((0..=largest).all(|number| reduce(number, prime) == number % prime), "{prime}");
        }
    }

    #[test]
    fn a_level_counts_leading_zeros() {
        for (value, expected) in [(Target::MAX, 0), (Target::MAX.shr(6), 0), (Target::MAX.shr(7), 1)] {
            assert_eq!(level(value, 250), expected);
        }
        assert_eq!(level(Target::ZERO, 250), 250);
        assert_eq!(level(Target::from_u64(1), 225), 224);
    }
}
