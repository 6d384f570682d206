//! Poseidon over Pallas' base field with Mina's `kimchi` parameters (Mina spec, section 6.3).
//!
//! ```text
//! state = three elements, of which two absorb
//! round = each to its seventh power, mixed by a matrix, constants added; 55 of them
//! hash  = permute(domain), two inputs added and permuted at a time, the first element
//! ```

use super::constants::{ADDED, MIXING, ROUNDS};
use crate::binprot::Fp;
use pasta_curves::Fp as Element;
use pasta_curves::group::ff::PrimeField as _;

/// Elements of the state.
pub(super) const WIDTH: usize = 3;
/// Elements that absorb.
const RATE: usize = 2;

static MATRIX: [[Element; WIDTH]; WIDTH] = lift(MIXING);
static CONSTANTS: [[Element; WIDTH]; ROUNDS] = lift(ADDED);

const fn lift<const N: usize>(raw: [[[u64; 4]; WIDTH]; N]) -> [[Element; WIDTH]; N] {
    let mut elements = [[Element::zero(); WIDTH]; N];
    let mut row = 0;
    while row < N {
        let mut column = 0;
        while column < WIDTH {
            elements[row][column] = Element::from_raw(raw[row][column]);
            column += 1;
        }
        row += 1;
    }
    elements
}

/// What absorbs elements and yields one.
#[derive(Clone, Debug)]
pub struct Sponge {
    state: [Element; WIDTH],
    absorbed: usize,
}

impl Sponge {
    /// A sponge for one purpose: an ASCII name of at most 20 characters. Longer ones are cut.
    pub fn new(domain: &str) -> Self {
        let mut name = [0; 32];
        for (place, byte) in name.iter_mut().zip(domain.bytes().chain(core::iter::repeat(b'*')).take(20)) {
            *place = byte;
        }
        let mut sponge = Self { state: [Element::zero(); WIDTH], absorbed: 0 };
        sponge.absorb(&Fp(name));
        sponge.state = permute(sponge.state);
        sponge.absorbed = 0;
        sponge
    }

    /// Takes an element in.
    pub fn absorb(&mut self, element: &Fp) {
        self.take(lifted(&element.0));
    }

    /// Takes 255 bits in, lowest limb first.
    pub(super) fn absorb_bits(&mut self, limbs: [u64; 4]) {
        self.take(Element::from_raw(limbs));
    }

    fn take(&mut self, element: Element) {
        if self.absorbed == RATE {
            self.state = permute(self.state);
            self.absorbed = 0;
        }
        if let Some(place) = self.state.get_mut(self.absorbed) {
            *place += element;
        }
        self.absorbed += 1;
    }

    /// The hash of what was taken in.
    pub fn finish(self) -> Fp {
        let [first, ..] = permute(self.state);
        Fp(first.to_repr())
    }
}

/// The hash of some elements for one purpose.
pub fn hash(domain: &str, elements: &[Fp]) -> Fp {
    let mut sponge = Sponge::new(domain);
    elements.iter().for_each(|element| sponge.absorb(element));
    sponge.finish()
}

/// Permutes three elements.
pub fn permutation(state: [Fp; WIDTH]) -> [Fp; WIDTH] {
    permute(state.map(|element| lifted(&element.0))).map(|element| Fp(element.to_repr()))
}

// Elements are below the modulus; others would be reduced.
fn lifted(bytes: &[u8; 32]) -> Element {
    let mut limbs = [0; 4];
    for (limb, bytes) in limbs.iter_mut().zip(bytes.as_chunks().0) {
        *limb = u64::from_le_bytes(*bytes);
    }
    Element::from_raw(limbs)
}

fn permute(mut state: [Element; WIDTH]) -> [Element; WIDTH] {
    for constants in &CONSTANTS {
        let [a, b, c] = state.map(seventh_power);
        for ((element, [x, y, z]), constant) in state.iter_mut().zip(&MATRIX).zip(constants) {
            *element = x * a + y * b + z * c + constant;
        }
    }
    state
}

#[inline]
fn seventh_power(element: Element) -> Element {
    let square = element.square();
    square.square() * square * element
}
